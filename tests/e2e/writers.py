# SPDX-License-Identifier: Apache-2.0
"""Many writers of one mounted store, whose outcomes are then accounted for.

usage: writers.py MOUNT GIT-DIR CTL SEED WRITERS STEPS

Each writer, a process of its own, gives commands to prollyfs-ctl and to the mount's control files, in
a random order: commits on one branch that all share, merges into it, amends of one commit, and names
of branches and tags that all want. Each command is done, says no, or is refused with a reason; what
was done is there, once, and nothing else is. A SEED gives the same commands; the order is the machine's.
"""

import collections
import json
import os
import random
import re
import subprocess
import sys
import tempfile

MOUNT, GIT, CTL, SEED = sys.argv[1:5]
WRITERS, STEPS = map(int, sys.argv[5:])
# What may be in the way of who comes second.
REFUSALS = re.compile(r"exists|no such|not found|moved|meanwhile|stands elsewhere|changed|already")


def ctl(branch, *words):
    """(status, standard output, standard error)"""
    done = subprocess.run([CTL, "-C", f"{MOUNT}/{branch}", *words], text=True, capture_output=True)
    return done.returncode, done.stdout, done.stderr


def control(branch, line):
    """The same through the branch's control file, in framed mode."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from frames import COMMAND, Session
    session = Session(f"{MOUNT}/{branch}/.prollyfs/ctl")
    session.send(COMMAND, line.encode())
    status, output, error = session.result()
    os.close(session.fd)
    return status, output.decode(), error.decode()


def git(*words):
    return subprocess.run(["git", "--git-dir", GIT, *words], text=True, check=True,
                          capture_output=True).stdout


class Writer:
    def __init__(self, number):
        self.name, self.rand, self.outcomes = f"w{number}", random.Random(f"{SEED}/{number}"), []

    def note(self, kind, what, result):
        status, output, error = result
        assert status in (0, 1, 2), (kind, what, result)
        assert status != 2 or (REFUSALS.search(error) and error.count("\n") == 1), (kind, what, result)
        self.outcomes.append((kind, what, status, output))
        return status

    def write(self, branch, key):
        if self.rand.random() < 0.5:
            assert ctl(branch, "put", f"ns/{key}", self.name)[0] == 0
        else:
            with open(f"{MOUNT}/{branch}/ns/{key}", "w") as file:
                file.write(self.name)
        self.outcomes.append(("key", f"{branch}/ns/{key}", 0, ""))

    def commit(self, step):
        key = f"{self.name}-{step}"
        self.write("main", key)
        if self.rand.random() < 0.5:
            result = ctl("main", "--json", "commit", "-m", key)
        else:
            result = control("main", f"--json commit -m {key}")
        self.note("commit", key, result)  # 1: another's commit took it

    def merge(self, step):
        branch = f"{self.name}/{step}"
        assert self.note("own branch", branch, ctl("main", "branch", branch, "main")) == 0
        self.write(branch, f"side-{self.name}-{step}")
        assert self.note("side", branch, ctl(branch, "--json", "commit", "-m", branch)) == 0
        assert self.note("merge", branch, control("main", f"--json merge --no-ff {branch}")) == 0
        self.outcomes.append(("key", f"main/ns/side-{self.name}-{step}", 0, ""))

    def amend(self, step):
        """A commit that came between is not to be amended away."""
        if self.rand.random() < 0.5:
            words = ("commit", "--allow-empty", "-m", f"{self.name} before {step}")
            assert self.note("empty", "", ctl("amended", *words)) == 0
        words = ("--json", "commit", "--amend", "-m", f"{self.name} {step}")
        self.note("amend", "", ctl("amended", *words))

    def want(self, step):
        """Names that others want too."""
        self.note("branch", f"b{step}", ctl("main", "branch", f"b{step}", "main"))
        self.note("tag", f"t{step}", control("main", "root") if step % 2 else
                  ctl("main", "tag", f"t{step}"))
        self.note("rename", f"r{step}", ctl("main", "branch", "-m", f"r{step}",
                                            f"{self.name}-{step}"))

    def run(self):
        for step in range(STEPS):
            for act in self.rand.sample((self.commit, self.merge, self.amend, self.want), 4):
                act(step)


def run_all():
    """The outcomes of all writers, each run in a process."""
    children = []
    for number in range(WRITERS):
        record = tempfile.TemporaryFile("w+")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                writer = Writer(number)
                writer.run()
                json.dump(writer.outcomes, record)
                record.flush()
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status) if status == 0 else sys.excepthook(*sys.exc_info())
                os._exit(status)
        children.append((pid, record))
    outcomes, failed = [], False
    for pid, record in children:
        failed |= os.waitpid(pid, 0)[1] != 0
        record.seek(0)
        outcomes += [] if failed else json.load(record)
    assert not failed, "a writer failed"
    return outcomes


def check_history(outcomes):
    of_kind = {}
    for kind, what, status, output in outcomes:
        of_kind.setdefault(kind, []).append((what, status, output))
    made = [json.loads(output)["commit"] for kind in ("commit", "merge")
            for _, status, output in of_kind[kind] if status == 0]
    there = git("rev-list", "main").split()
    assert len(set(made)) == len(made) and set(made) <= set(there), "commits were lost"
    # the first two are there from the beginning
    assert len(there) == 2 + len(made) + len(of_kind["side"]), "commits that nobody made"
    amended = [json.loads(output)["commit"] for _, status, output in of_kind["amend"] if status == 0]
    assert amended and git("rev-parse", "amended").strip() in amended
    expected = 3 + len(of_kind["empty"])
    assert int(git("rev-list", "--count", "amended")) == expected, "an amend lost a commit, or added one"
    for kind in ("branch", "tag", "rename"):
        for what in {what for what, _, _ in of_kind[kind]}:
            if kind == "tag" and int(what[1:]) % 2:
                continue
            won = [1 for other, status, _ in of_kind[kind] if other == what and status == 0]
            assert len(won) == 1, (kind, what, won)


def check_reflogs():
    for branch in ("main", "amended"):
        _, output, _ = ctl("main", "--json", "reflog", branch)
        entries = [json.loads(line) for line in output.splitlines()]
        assert entries[0]["commit"] == git("rev-parse", branch).strip()
        for entry, before in zip(entries, entries[1:]):
            assert entry["previous"] == before["commit"], (branch, entry, before)


def check_keys(outcomes):
    ctl("main", "commit", "-m", "the rest")
    for kind, path, _, _ in outcomes:
        if kind == "key" and path.startswith("main/"):
            with open(f"{MOUNT}/.prollyfs/at/{path}") as file:
                assert re.search(rf"\b{file.read()}\b", path), path


def main():
    print("seed", SEED)
    os.mkdir(f"{MOUNT}/main/ns")
    assert ctl("main", "put", "ns/base", "base")[0] == 0
    assert ctl("main", "commit", "-m", "base")[0] == 0
    assert ctl("main", "branch", "amended")[0] == 0
    assert ctl("amended", "commit", "--allow-empty", "-m", "to be amended")[0] == 0
    for step in range(STEPS):
        assert ctl("main", "branch", f"r{step}")[0] == 0
    outcomes = run_all()
    print(collections.Counter((kind, status) for kind, _, status, _ in outcomes))
    check_history(outcomes)
    check_reflogs()
    check_keys(outcomes)
    git("fsck", "--strict")
    assert ctl("main", "fsck")[0] == 0


main()
