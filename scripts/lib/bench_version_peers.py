# SPDX-License-Identifier: Apache-2.0
"""scripts/bench version on programs with versions in Python, if they are installed.

usage: bench_version_peers.py KEYS CHANGES ROUNDS

Prints lines PEER, WORKLOAD, N, UNIT, VALUE, NOTE for results_table.py. The changes are those of
bench-version.bash: every CHANGES-th of all keys gets another value, on two branches in turn. These are
calls in a running program, without the start of a process that all other figures have.

doltlite is Dolt's way of versions in SQLite. prollytree stages a key by writing all that is staged
again, so it gets a fiftieth of the keys, and its figures are for these: its peer's name says so.
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time

KEYS, CHANGES, ROUNDS = map(int, sys.argv[1:])


def timed(peer, workload, n, call):
    start = time.perf_counter()
    call()
    milliseconds = (time.perf_counter() - start) * 1e3
    print(peer, workload, n, "ms", f"{milliseconds:.3f}", "in process", sep="\t", flush=True)


class Doltlite:
    name = "doltlite"

    def __init__(self, folder):
        import doltlite  # noqa: F401  (makes the next one Dolt's)
        import sqlite3
        self.keys = KEYS
        self.db = sqlite3.connect(os.path.join(folder, "lite.db"), isolation_level=None)
        self.query("CREATE TABLE kv(k TEXT PRIMARY KEY, v TEXT)")

    def query(self, text, *values):
        return self.db.execute(text, values).fetchall()

    def write(self, pairs):
        self.query("BEGIN")
        self.db.executemany("INSERT INTO kv VALUES(?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v",
                            pairs)
        self.query("COMMIT")

    def commit(self, message):
        self.query("SELECT dolt_commit('-A', '-m', ?)", message)

    def diff(self):
        self.query("SELECT * FROM dolt_diff_kv('HEAD', 'WORKING')")

    def status(self):
        self.query("SELECT * FROM dolt_status")

    def branch(self, name):
        self.query("SELECT dolt_branch(?)", name)

    def switch(self, name):
        self.query("SELECT dolt_checkout(?)", name)

    def merge(self, name):
        self.query("SELECT dolt_merge(?)", name)

    def log(self):
        self.query("SELECT * FROM dolt_log")


class Prollytree:
    def __init__(self, folder):
        from prollytree import StorageBackend, VersionedKvStore
        self.keys = KEYS // 50
        self.name = f"prollytree ({self.keys:,} keys)"
        for words in (["init", "-q", "-b", "main"], ["config", "user.name", "x"],
                      ["config", "user.email", "x@example.org"]):
            subprocess.run(["git", "-C", folder, *words], check=True)
        os.mkdir(os.path.join(folder, "data"))
        os.chdir(os.path.join(folder, "data"))
        self.store = VersionedKvStore(os.getcwd(), StorageBackend.File)

    def write(self, pairs):
        for key, value in pairs:
            self.store.insert(key.encode(), value.encode())

    def commit(self, message):
        self.store.commit(message)

    def diff(self):
        pass  # between commits only

    def status(self):
        self.store.status()

    def branch(self, name):
        self.store.create_branch(name)
        self.store.checkout("main")

    def switch(self, name):
        self.store.checkout(name)

    def merge(self, name):
        self.store.merge(name)

    def log(self):
        self.store.log()


def change(peer, first, number):
    step = peer.keys // CHANGES
    peer.write([(f"k{i * step + first % step:07d}", f"changed {first} {number} {i}")
                for i in range(CHANGES)])


def measure(peer):
    name, n = peer.name, CHANGES
    pairs = [(f"k{i:07d}", f"value {i}") for i in range(peer.keys)]
    timed(name, "load", peer.keys, lambda: peer.write(pairs))
    timed(name, "first commit", peer.keys, lambda: peer.commit("first"))
    for number in range(1, ROUNDS + 1):
        change(peer, number, number)
        if isinstance(peer, Doltlite):
            timed(name, "diff", n, peer.diff)
        timed(name, "status", n, peer.status)
        timed(name, "commit", n, lambda: peer.commit("one"))
        side = f"side{number}"
        timed(name, "branch", 1, lambda: peer.branch(side))
        peer.switch(side)
        change(peer, number + 5, number)
        peer.commit("side")
        peer.switch("main")
        change(peer, number + 10, number)
        peer.commit("main")
        timed(name, "merge", 2 * n, lambda: peer.merge(side))


def main():
    for module, peer in (("doltlite", Doltlite), ("prollytree", Prollytree)):
        if not importlib.util.find_spec(module):
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            measure(peer(folder))


main()
