# SPDX-License-Identifier: Apache-2.0
"""One random history made twice: with prollyfs-ctl in a mount, and with git on a file for each key.

usage: twin.py MOUNT STORE-GIT-DIR TWIN-DIR CTL SEED STEPS

Every step is given to both: commits, keys that are renamed, amends, branches, merges (with --no-commit
and --squash too), cherry-picks and reverts (of merges against a parent too), resets, restores, tags.
They must end alike, conflicts included, which are then settled alike. Each step has a date of its own,
so that a commit is known by its committer's date on both sides. After each step the branch's keys are
compared; now and then, and in the end, logs, parents, differences, tags, what contains what, and every
key's past. What git does better than a key store can (renames, lines within a value) is off, or not there:
values are one line.

Where two branches have several merge bases, and these are in conflict, git takes a side of what one
deleted and the other changed, where ours conflicts (prollyfs-merge(7)): such a merge is given up.
"""

import json
import os
import random
import subprocess
import sys

MOUNT, STORE, TWIN, CTL, SEED = sys.argv[1:6]
STEPS = int(sys.argv[6])
KEYS = [f"k{n}" for n in range(7)]
rand = random.Random(int(SEED))
NO_RENAMES = ("-s", "recursive", "-X", "no-renames")  # git's default, ort, does not obey the latter
KINDS = {"UU": "both-modified", "AA": "both-added", "DU": "deleted-by-us", "UD": "deleted-by-them"}


class Both:
    def __init__(self):
        self.date = 1_900_000_000
        self.tags, self.branches, self.given_up = [], ["main"], 0

    def environment(self):
        date = f"@{self.date} +0000"
        return dict(os.environ, GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date, GIT_EDITOR="true")

    def ctl(self, branch, *words, ok=(0,)):
        done = subprocess.run([CTL, "-C", f"{MOUNT}/{branch}", *words], env=self.environment(),
                              text=True, capture_output=True)
        assert done.returncode in ok, (self.date, words, done)
        return done.returncode, done.stdout

    def git(self, *words, ok=(0,)):
        done = subprocess.run(["git", "-C", TWIN, "-c", "diff.renames=false", *words],
                              env=self.environment(), text=True, capture_output=True)
        assert done.returncode in ok, (self.date, words, done)
        return done.returncode, done.stdout

    def next_date(self):
        self.date += 60

    # ---- The same thing on both sides ----

    def id_of(self, date, git_dir=STORE):
        """The commit of that date."""
        lines = subprocess.run(["git", "--git-dir", git_dir, "log", "--all", "--reflog",
                                "--format=%ct %H"], text=True, check=True,
                               capture_output=True).stdout.split("\n")
        return next(line.split()[1] for line in lines if line.startswith(f"{date} "))

    def dates(self, branch, *words):
        return [int(line) for line in self.git("log", "--format=%ct", *words, branch)[1].split()]


def read(folder):
    folder = f"{folder}/ns"
    found = {}
    for key in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(f"{folder}/{key}") as file:
            found[key] = file.read()
    return found


def compare_keys(both, branch):
    both.git("switch", "-q", branch)
    compare_keys_only(both, branch)


def compare_keys_only(both, branch):
    assert read(f"{MOUNT}/{branch}") == read(TWIN), (both.date, branch, read(f"{MOUNT}/{branch}"), read(TWIN))


# ---- Steps ---------------------------------------------------------------------------------------


def edit(both, branch):
    for key in rand.sample(KEYS, rand.randint(1, 2)):
        value = f"{rand.randint(0, 4)}\n"
        delete = rand.random() < 0.25
        for folder in (f"{MOUNT}/{branch}/ns", f"{TWIN}/ns"):
            os.makedirs(folder, exist_ok=True)
            path = f"{folder}/{key}"
            if not delete:
                with open(path, "w") as file:
                    file.write(value)
            elif os.path.exists(path):
                os.remove(path)


def rename(both, branch):
    """A key takes another's place. (To git, renames off, that is a key that went and one that came.)"""
    keys = sorted(set(read(f"{MOUNT}/{branch}")) & set(KEYS))
    if not keys:
        return
    old, new = rand.choice(keys), rand.choice(KEYS)
    for folder in (f"{MOUNT}/{branch}/ns", f"{TWIN}/ns"):
        os.rename(f"{folder}/{old}", f"{folder}/{new}")


def commit(both, branch):
    rename(both, branch) if rand.random() < 0.2 else edit(both, branch)
    ours, _ = both.ctl(branch, "commit", "-m", f"m{both.date}", ok=(0, 1))
    both.git("add", "-A")
    theirs, _ = both.git("commit", "-q", "-m", f"m{both.date}", ok=(0, 1))
    assert ours == theirs, (both.date, ours, theirs)


def amend(both, branch):
    """The last commit once more, with what is edited; a merge too."""
    if len(both.dates(branch)) < 2:
        return
    edit(both, branch)
    both.git("add", "-A")
    # git refuses one that would be as its parent
    theirs, _ = both.git("commit", "-q", "--amend", "-m", f"m{both.date}", ok=(0, 1))
    if theirs:
        both.git("reset", "-q", "--hard")
        both.ctl(branch, "reset", "--hard")
        return
    both.ctl(branch, "commit", "--amend", "-m", f"m{both.date}")


def restore(both, branch):
    """One key, or all of them, as another branch has them."""
    source = rand.choice(both.branches)
    path = rand.choice([f"ns/{key}" for key in KEYS] + ["."])
    there = path == "." or both.git("cat-file", "-e", f"{source}:{path}", ok=(0, 128))[0] == 0
    here = path == "." or path[3:] in read(TWIN)
    if path != "." and not there and not here:
        assert both.ctl(branch, "restore", "-s", source, path, ok=(1,))[0] == 1
        return
    both.ctl(branch, "restore", "-s", source, path)
    both.git("restore", "-s", source, "-S", "-W", path)
    compare_keys(both, branch)
    ours, _ = both.ctl(branch, "commit", "-m", f"m{both.date}", ok=(0, 1))
    theirs, _ = both.git("commit", "-q", "-m", f"m{both.date}", ok=(0, 1))
    assert ours == theirs, (both.date, ours, theirs)


def make_branch(both, branch):
    if len(both.branches) < 5:
        name = f"b{both.date}"
        both.ctl(branch, "branch", name, branch)
        both.git("branch", name, branch)
        both.branches.append(name)


def conflicts_of(both, branch):
    ours = {json.loads(line)["path"]: json.loads(line)["kind"]
            for line in both.ctl(branch, "--json", "conflicts")[1].splitlines()}
    status = both.git("status", "--porcelain")[1].splitlines()
    theirs = {line[3:]: KINDS[line[:2]] for line in status if line[:2] in KINDS}
    assert ours == theirs, (both.date, ours, theirs)
    return ours


def settle(both, branch, operation):
    """Conflicts, the same on both sides, are settled the same way; or the whole is given up."""
    found = conflicts_of(both, branch)
    if rand.random() < 0.25:
        both.ctl(branch, operation, "--abort")
        both.git(operation, "--abort")
        return
    for path, kind in found.items():
        side = rand.choice(("ours", "theirs"))
        both.ctl(branch, "resolve", f"--{side}", path)
        if kind == f"deleted-by-{'us' if side == 'ours' else 'them'}":
            both.git("rm", "-q", path)
        else:
            both.git("checkout", f"--{side}", "--", path)
            both.git("add", path)
    ours, text = both.ctl(branch, "--json", operation, "--continue", ok=(0, 1))
    if operation == "merge":
        both.git("commit", "-q", "--no-edit")
        return
    # what is left of a commit may be nothing
    theirs, _ = both.git(operation, "--continue", ok=(0, 1))
    if theirs:
        both.git(operation, "--skip", ok=(0, 128))  # there may be nothing to skip
    assert (json.loads(text)["result"] == "up-to-date") == bool(theirs), (both.date, text, theirs)


def merge(both, branch):
    other = rand.choice(both.branches)
    flags = ["--no-ff"] if rand.random() < 0.5 else []
    several = len(both.git("merge-base", "--all", branch, other)[1].split()) > 1
    ours, _ = both.ctl(branch, "merge", *flags, "-m", f"m{both.date}", other, ok=(0, 1))
    theirs, _ = both.git("merge", "-q", *NO_RENAMES, *flags, "-m", f"m{both.date}", other, ok=(0, 1))
    if ours != theirs:
        assert several and ours and not theirs, (both.date, branch, other, ours, theirs)
        both.ctl(branch, "merge", "--abort")
        both.git("reset", "-q", "--hard", "HEAD@{1}")
        both.given_up += 1
    elif ours:
        settle(both, branch, "merge")


def stage_merge(both, branch):
    """A merge that is staged, edited, and committed by hand: of two parents, or of one."""
    other = rand.choice(both.branches)
    squash = rand.random() < 0.5
    flag = "--squash" if squash else "--no-commit"
    several = len(both.git("merge-base", "--all", branch, other)[1].split()) > 1
    forward = both.git("merge-base", "--is-ancestor", branch, other, ok=(0, 1))[0] == 0
    merged = both.git("merge-base", "--is-ancestor", other, branch, ok=(0, 1))[0] == 0
    if several or (forward and not squash) or merged:
        return
    ours, _ = both.ctl(branch, "merge", flag, other, ok=(0, 1))
    theirs, _ = both.git("merge", "-q", *NO_RENAMES, flag, other, ok=(0, 1))
    assert ours == theirs, (both.date, branch, other, ours, theirs)
    if ours:
        both.ctl(branch, "merge", "--abort")
        both.git("reset", "-q", "--hard")
        return
    compare_keys_only(both, branch)
    if rand.random() < 0.5:
        edit(both, branch)
        both.git("add", "-A")
    if not squash and rand.random() < 0.25:
        both.ctl(branch, "merge", "--abort")
        both.ctl(branch, "reset", "--hard")  # what was edited stays staged
        both.git("reset", "-q", "--hard")
        return
    ours, _ = both.ctl(branch, "commit", "-m", f"m{both.date}", ok=(0, 1))
    theirs, _ = both.git("commit", "-q", "-m", f"m{both.date}", ok=(0, 1))
    assert ours == theirs, (both.date, flag, ours, theirs)


def pick_merge(both, branch):
    """What a merge brought, made again or undone."""
    source = rand.choice(both.branches)
    date = rand.choice(both.dates(source, "--merges") or [0])
    parent = rand.choice("12")
    if date:
        pick_commit(both, branch, date, ["-m", parent])


def pick(both, branch):
    """A commit of any branch, with one parent, made again or undone."""
    source = rand.choice(both.branches)
    date = rand.choice(both.dates(source, "--no-merges", "--min-parents=1") or [0])
    if date:
        pick_commit(both, branch, date, [])


def pick_commit(both, branch, date, words):
    operation = rand.choice(("cherry-pick", "revert"))
    ours, text = both.ctl(branch, "--json", operation, "--no-edit", *words, both.id_of(date), ok=(0, 1))
    edit_not = ["--no-edit"] if operation == "revert" else []
    theirs, _ = both.git(operation, "--strategy", *NO_RENAMES[1:], *edit_not, *words,
                         both.id_of(date, f"{TWIN}/.git"), ok=(0, 1))
    result = json.loads(text)["result"]
    assert ours == theirs, (both.date, operation, date, text, theirs, both.git("status")[1],
                            read(TWIN), read(f"{MOUNT}/{branch}"))
    if result == "conflict":
        settle(both, branch, operation)
    elif result == "up-to-date":
        both.git(operation, "--skip", ok=(0, 128))  # there may be nothing to skip


def reset(both, branch):
    steps = rand.randint(1, 2)
    if len(both.dates(branch, "--first-parent")) <= steps + 2:
        return
    hard = rand.random() < 0.6
    both.ctl(branch, "reset", "--hard" if hard else "--soft", f"{branch}~{steps}")
    both.git("reset", "-q", "--hard" if hard else "--soft", f"{branch}~{steps}")
    if not hard:
        both.ctl(branch, "commit", "-m", f"m{both.date}", ok=(0, 1))
        both.git("commit", "-q", "-m", f"m{both.date}", ok=(0, 1))


def tag(both, branch):
    name = f"t{both.date}"
    note = ["-m", "note"] if rand.random() < 0.5 else []
    both.ctl(branch, "tag", *note, name, branch)
    both.git("tag", *note, name, branch)
    both.tags.append(name)


# ---- Comparing -----------------------------------------------------------------------------------


def committed(text):
    """Seconds since the epoch of the commits in a log's JSON."""
    ids = [json.loads(line)["commit"] for line in text.splitlines()]
    known = subprocess.run(["git", "--git-dir", STORE, "log", "--no-walk=unsorted", "--stdin",
                            "--format=%ct"], input="\n".join(ids), text=True, check=True,
                           capture_output=True).stdout.split() if ids else []
    return [int(date) for date in known]


def compare_logs(both, branch, other):
    for ours, theirs in (((branch,), (branch,)), ((f"{other}..{branch}",), (f"{other}..{branch}",)),
                         (("--graph", branch, other), ("--topo-order", branch, other)),
                         ((f"{other}...{branch}",), (f"{other}...{branch}",)),
                         (("--all", "--no-merges", "--reverse"),
                          ("--branches", "--tags", "--no-merges", "--reverse")),
                         (("--since", f"@{both.date - 900}", branch),
                          (f"--since=@{both.date - 900}", branch))):
        found = committed(both.ctl("main", "--json", "log", *ours)[1])
        expected = [int(date) for date in both.git("log", "--format=%ct", *theirs)[1].split()]
        assert found == expected, (both.date, ours, found, expected)
    shapes = [subprocess.run(["git", "--git-dir", folder, "log", "--format=%ct %p", "--topo-order", branch],
                             text=True, check=True, capture_output=True).stdout.splitlines()
              for folder in (STORE, f"{TWIN}/.git")]
    assert [line.count(" ") for line in shapes[0]] == [line.count(" ") for line in shapes[1]]


def compare_differences(both, branch, other):
    for dots in ("..", "..."):
        if dots == "..." and len(both.git("merge-base", "--all", branch, other)[1].split()) > 1:
            continue  # git takes any of several
        ours = both.ctl("main", "diff", "--name-status", f"{branch}{dots}{other}")[1]
        theirs = both.git("diff", "--name-status", f"{branch}{dots}{other}")[1]
        assert sorted(ours.split("\n")) == sorted(theirs.split("\n")), (both.date, dots, ours, theirs)


def compare_names(both):
    for name in both.tags:
        date = both.git("log", "-1", "--format=%ct", name)[1]
        assert committed(both.ctl("main", "--json", "log", "-n", "1", name)[1]) == [int(date)], name
    for words in (("--contains",), ("--merged",), ("--no-merged",)):
        name = rand.choice(both.branches)
        ours = both.ctl("main", "--json", "branch", *words, name)[1].splitlines()
        theirs = both.git("branch", "--format=%(refname:short)", *words, name)[1].split()
        assert sorted(json.loads(line)["name"] for line in ours) == sorted(theirs), (words, name)


def compare_past(both, branch):
    last = {}
    for key in ["stays", *KEYS]:
        found = committed(both.ctl(branch, "--json", "history", f"ns/{key}", branch, ok=(0, 1))[1])
        expected = [
            int(date) for date in both.git("log", "--format=%ct", branch, "--", f"ns/{key}")[1].split()]
        assert found == expected, (both.date, branch, key, found, expected)
        if found:
            last[key] = found[0]
    for line in both.ctl(branch, "--json", "blame", "ns", branch, ok=(0, 1))[1].splitlines():
        blamed = json.loads(line)
        assert committed(line) == [last[blamed["key"]]], (both.date, branch, blamed)


def compare_all(both):
    for branch in both.branches:
        compare_keys(both, branch)
        other = rand.choice(both.branches)
        compare_logs(both, branch, other)
        compare_differences(both, branch, other)
        compare_past(both, branch)
    compare_names(both)


def main():
    print("seed", SEED, flush=True)
    both = Both()
    subprocess.run(["git", "init", "-q", "-b", "main", TWIN], check=True)
    for folder in (f"{MOUNT}/main/ns", f"{TWIN}/ns"):
        os.mkdir(folder)
        with open(f"{folder}/stays", "w") as file:  # git has no empty namespaces
            file.write("0\n")
    both.ctl("main", "commit", "--amend", "--reset-author", "-m", "Initial commit",
             "--date", f"@{both.date}")
    both.git("add", "-A")
    both.git("commit", "-q", "-m", "Initial commit")
    steps = (*[commit] * 6, make_branch, make_branch, *[merge] * 3, stage_merge, pick, pick, pick_merge,
             amend, restore, reset, tag)
    for number in range(STEPS):
        both.next_date()
        branch = rand.choice(both.branches)
        both.git("switch", "-q", branch)
        rand.choice(steps)(both, branch)
        compare_keys(both, branch)
        if number % 40 == 39:
            compare_all(both)
    compare_all(both)
    print(STEPS, "steps,", len(both.dates("--all")), "commits,", both.given_up, "merges given up")


main()
