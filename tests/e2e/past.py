# SPDX-License-Identifier: Apache-2.0
"""A random history in a mounted store, and the same in a git repository with a file for each key.

usage: past.py MOUNT GIT-DIR CTL SEED

What a key's history is, git says: `git log -- FILE`, with its own simplification of merges. `history`,
`log --key` and `blame` must give the same commits. Logs of ranges and graphs are compared with git on
the store's own repository.
"""

import json
import os
import random
import re
import subprocess
import sys

MOUNT, GIT, CTL, SEED = sys.argv[1:]
KEYS = [f"k{n}" for n in range(6)]
DATES = iter(range(1_900_000_000, 2_000_000_000, 60))
rand = random.Random(int(SEED))


def ctl(branch, *words, ok=(0,)):
    """Standard output of a command on a branch, made at the next date."""
    date = f"@{next(DATES)} +0000"
    env = dict(os.environ, GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
    done = subprocess.run([CTL, "-C", f"{MOUNT}/{branch}", *words], env=env, text=True,
                          capture_output=True)
    assert done.returncode in ok, (words, done)
    return done.stdout


def git(where, *words, text=None):
    return subprocess.run(["git", "--git-dir", where, *words], input=text, text=True, check=True,
                          capture_output=True).stdout


def edit(branch):
    folder = f"{MOUNT}/{branch}/ns"
    os.makedirs(folder, exist_ok=True)
    for key in rand.sample(KEYS, rand.randint(1, 2)):
        path = f"{folder}/{key}"
        if os.path.exists(path) and rand.random() < 0.25:
            os.remove(path)
        else:
            with open(path, "w") as file:
                file.write(f"{rand.randint(0, 3)}")


def grow(n):
    """N steps: commits on a few branches, and merges between them."""
    branches = ["main"]
    for number in range(n):
        branch = rand.choice(branches)
        if rand.random() < 0.1 and len(branches) < 4:
            name = f"b{number}"
            ctl(branch, "branch", name, branch)
            branches.append(name)
        elif rand.random() < 0.3 and len(branches) > 1:
            other = rand.choice([name for name in branches if name != branch])
            ctl(branch, "merge", "--no-ff", "-m", f"merge {number}", other, ok=(0, 1))
        else:
            edit(branch)
            ctl(branch, "commit", "-m", f"step {number}", ok=(0, 1))
    return branches


def copy(shadow):
    """The history with a file for each key, read through the mount; {its commits: the store's}."""
    git(shadow, "init", "-q", "--bare", shadow)
    stream, marks = [], {}
    for line in git(GIT, "rev-list", "--all", "--topo-order", "--reverse", "--parents",
                    "--timestamp").splitlines():
        date, commit, *parents = line.split()
        marks[commit] = len(marks) + 1
        stream.append(f"commit refs/heads/all\nmark :{marks[commit]}\n"
                      f"committer x <x@example.org> {date} +0000\ndata 1\n-")
        for word, parent in zip(["from"] + ["merge"] * len(parents), parents):
            stream.append(f"{word} :{marks[parent]}")
        stream.append("deleteall")
        folder = f"{MOUNT}/.prollyfs/at/{commit}/ns"
        for key in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(f"{folder}/{key}") as file:
                value = file.read()
            stream.append(f"M 644 inline {key}\ndata {len(value)}\n{value}")
        stream.append("")
    git(shadow, "fast-import", "--quiet", f"--export-marks={shadow}/marks", text="\n".join(stream))
    names = {number: commit for commit, number in marks.items()}
    with open(f"{shadow}/marks") as file:
        pairs = [line.split() for line in file]
    return {names[int(mark[1:])]: commit for mark, commit in pairs}


def commits_of(text):
    return [json.loads(line)["commit"] for line in text.splitlines()]


def compare_keys(branch, shadow, copies):
    back = {copy: commit for commit, copy in copies.items()}
    head = git(GIT, "rev-parse", branch).strip()
    last = {}
    for key in KEYS:
        expected = [back[line] for line in
                    git(shadow, "log", "--format=%H", copies[head], "--", key).split()]
        for words in (("history", f"ns/{key}"), ("log", "--key", f"ns/{key}")):
            found = commits_of(ctl(branch, "--json", *words, ok=(0, 1)))
            assert found == expected, (branch, words, found, expected)
        if expected:
            last[key] = expected[0]
    blamed = [json.loads(line) for line in ctl(branch, "--json", "blame", "ns", ok=(0, 1)).splitlines()]
    there = ctl(branch, "keys-at", branch, "ns", ok=(0, 1)).split()
    assert [line["path"] for line in blamed] == there, (blamed, there)
    for line in blamed:
        assert line["commit"] == last[line["key"]], (branch, line, last)


def compare_logs(branches):
    a, b = rand.choice(branches), rand.choice(branches)
    for words in ([a], [f"{a}..{b}"], [f"{a}...{b}"], [a, f"^{b}"], [a, "--no-merges"],
                  [a, "--merges"], [a, b, "-n", "5"], [a, "--grep", "step 1"],
                  [a, "--until", "@1900001000"], [a, "--since", "@1900001000"]):
        expected = git(GIT, "log", "--format=%H", *words).split()
        found = commits_of(ctl("main", "--json", "log", *words))
        assert found == expected, (words, found, expected)


def read_graph(text):
    """{commit: the commits that its lines lead to} of a picture with ids behind it."""
    rows = [re.match(r"([*|/\\ ]*)([0-9a-f]*)", line).groups() for line in text.splitlines()]
    width = 2 + max(len(row) for row, _ in rows)
    rows = [(" " + row.ljust(width), commit) for row, commit in rows]  # columns at 1, 3, 5...

    def follow(at, row):
        """A line in column AT, or (negative) under a '/': where it is below ROW."""
        if at < 0:
            at = -at
            if row[at - 2] == "/":
                return [-(at - 2)]
            at -= 1
        if row[at] in "|*":
            return [at, at + 2] if row[at + 1] == "\\" else [at]
        return [at + 2] if row[at + 1] == "\\" else [-(at - 1)] if row[at - 1] == "/" else []

    edges = {}
    for number, (row, commit) in enumerate(rows):
        if "*" not in row:
            continue
        edges[commit], lines = [], [row.index("*")]
        for below, other in rows[number + 1:]:
            lines = [to for at in lines for to in follow(at, below)]
            if "*" in below and below.index("*") in lines:
                edges[commit].append(other)
                lines = [at for at in lines if at != below.index("*")]
    return edges


def compare_graph(branch, words, expected):
    """EXPECTED: git's lines of a commit and its parents, which may be other than those shown."""
    rows = [line.split() for line in expected]
    shown = {row[0] for row in rows}
    found = ctl(branch, "log", "--graph", "--oneline", *words)
    assert commits_of(ctl(branch, "--json", "log", "--graph", *words)) == [row[0] for row in rows]
    drawn = read_graph(found) if found else {}
    short = len(next(iter(drawn), ""))
    assert list(drawn) == [row[0][:short] for row in rows], (words, found, rows)
    for commit, *parents in rows:
        wanted = {parent[:short] for parent in parents if parent in shown}
        # a commit that is the last of its line may have another's right below it, as in git
        assert set(drawn[commit[:short]]) == wanted or not wanted, (words, commit, wanted, found)


def compare_graphs(branches, shadow, copies):
    back = {copy: commit for commit, copy in copies.items()}
    a, b = rand.choice(branches), rand.choice(branches)
    for words in ([a], [a, b], [f"{a}..{b}"], [a, "--grep", "step [1-4]"], [a, "--no-merges"],
                  [a, "-n", "7"], [a, "--since", "@1900001000"]):
        lines = git(GIT, "log", "--topo-order", "--format=%H %P", *words).splitlines()
        compare_graph("main", words, lines)
    for key in KEYS:
        for words in ([a], [f"{a}..{b}"]):
            copied = [re.sub(r"[a-z][\w]*", lambda name: copies[git(GIT, "rev-parse", name[0]).strip()],
                             word) for word in words]
            lines = [" ".join(back[commit] for commit in line.split()) for line in
                     git(shadow, "log", "--graph", "--format=%x00%H %P%x00", *copied, "--",
                         key).split("\0")[1::2]]
            compare_graph("main", [*words, "--key", f"ns/{key}"], lines)


def main():
    branches = grow(60)
    copies = copy(f"{MOUNT}.shadow")
    for branch in branches:
        compare_keys(branch, f"{MOUNT}.shadow", copies)
    for _ in range(2):
        compare_logs(branches)
        compare_graphs(branches, f"{MOUNT}.shadow", copies)


main()
