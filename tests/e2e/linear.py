# SPDX-License-Identifier: Apache-2.0
"""Many clients of a few keys; whether what they saw of each is linearizable.

usage: linear.py MOUNT SEED CLIENTS ROUNDS

Each client is a process that reads and writes keys of the branch main, in every way there is: through the
mount (a file renamed over, bytes written in place, emptied and written, appended, made with O_EXCL,
unlinked) and through the control file. Meanwhile the steward merges another branch, which has changed the
same keys, resets, restores, loads, commits and collects garbage, ROUNDS times; then all end. An operation
on many keys is on each of them a write of the value that it gave the key, within the time it took.

Some keys are hot, and some calm: a merge is refused where something is staged, so hot keys are never merged.

A change is seen through each door at one moment between its call and its return, but not at the same: a
rename is done here before the kernel knows, and bytes written are in the kernel's pages before they are
here. So all changes are judged with what was seen through one door, for each door: what was read, sizes
from stat(2), and the control file. (O_DIRECT is none: the kernel puts together what it reads past its
pages and what is in them.)

Two things are the kernel's, and are done again: a name whose file is replaced between its look-up and our
answer, twice (ESTALE); and zeros for bytes, where a file is emptied by O_TRUNC, which it does without the
lock that readers and writers have (so they may come before what is appended, where the kernel believes the
end to be still).
"""

import collections
import errno
import mmap
import os
import pickle
import random
import re
import sys
import tempfile
import time
import traceback
import zlib

from frames import COMMAND, INPUT, INPUT_END, Session
from registers import Operation, find_violation

MOUNT, SEED = sys.argv[1:3]
CLIENTS, ROUNDS = map(int, sys.argv[3:5])
SPACE = f"{MOUNT}/main/ns"
HOT = ["hot0", "hot1", "hot2"]
CALM = ["calm0", "calm1", "calm2", "calm3"]
KEYS = HOT + CALM
DOORS = ("file", "stat", "control")
PATIENCE = 100  # times that a torn value is read again
clock = time.monotonic_ns


def record(client, number):
    """A value, or a piece of one: who wrote it, its number there, and a sum."""
    text = f"{client}{number:06d}"
    return f"{text}{zlib.crc32(text.encode()) & 0xFFFF:04x};".encode()


def is_whole(value):
    return all(re.fullmatch(rb"\w{11}", piece) and
               b"%04x" % (zlib.crc32(piece[:7]) & 0xFFFF) == piece[7:]
               for piece in value.split(b";")[:-1]) and value[-1:] in (b"", b";")


class Client:
    def __init__(self, name, resets=None):
        self.name, self.rand, self.n_values = name, random.Random(f"{SEED}/{name}"), 0
        self.resets = resets  # all see it; odd while there is one
        self.operations = {key: [] for key in KEYS}
        self.session = Session(f"{MOUNT}/.prollyfs/ctl")

    def value(self):
        self.n_values += 1
        return record(self.name, self.n_values)

    def note(self, key, kind, path, call, argument=None, answer=None, after=None):
        operation = Operation(kind, call, clock(), argument, answer, after, path, self.name)
        self.operations[key].append(operation)
        return operation

    def control(self, *words, data=None, ok=(0, )):
        status, output, error = self.session.run(" ".join(("-b", "main") + words), data)
        assert status in ok, (words, status, error)
        return status, output

    def follow(self, function, *arguments):
        """What loses its name between the kernel's look-up and our open is ESTALE, upon which the kernel
        tries once more, and so does everybody who looks at a file that others replace all the time."""
        for _ in range(PATIENCE):
            try:
                return function(*arguments)
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
        raise AssertionError("stale")

    # ---- What is seen

    def read_whole(self, read):
        for _ in range(PATIENCE):
            value = read()
            if value is None or is_whole(value):
                return value
            assert is_whole(value.strip(b"\0")), f"torn: {value}"
        raise AssertionError(f"zeros: {value}")

    def read_file(self, key):
        try:
            file = self.follow(os.open, f"{SPACE}/{key}", os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return os.read(file, 65536)
        finally:
            os.close(file)

    def read(self, key):
        call = clock()
        self.note(key, "read", "file", call, answer=self.read_whole(lambda: self.read_file(key)))

    def stat(self, key):
        call = clock()
        try:
            size = self.follow(os.stat, f"{SPACE}/{key}").st_size
        except FileNotFoundError:
            size = None
        self.note(key, "size", "stat", call, answer=size)

    def get(self, key):
        call = clock()
        status, output = self.control("get", f"ns/{key}", ok=(0, 1))
        self.note(key, "read", "control", call, answer=None if status else output)

    # ---- What is changed

    def put(self, key):
        call, value = clock(), self.value()
        self.control("put", f"ns/{key}", value.decode())
        self.note(key, "set", "control", call, value)

    def delete(self, key):
        call = clock()
        status, _ = self.control("delete", f"ns/{key}", ok=(0, 1))
        self.note(key, "delete", "control", call, answer=status == 0)

    def rename(self, key):
        """A reset may take the new file, or, if it was committed when it was still empty, empty it."""
        value, resets = self.value(), self.resets[0]
        other = f"{SPACE}/.{self.name}-{self.n_values}"
        with open(other, "wb") as file:
            file.write(value)
        call = clock()
        try:
            os.rename(other, f"{SPACE}/{key}")
        except FileNotFoundError:
            assert self.resets[0] != resets or resets % 2, "a file is lost"
            return
        if self.resets[0] == resets and resets % 2 == 0:
            self.note(key, "set", "rename", call, value)
        else:
            self.note(key, "set to one", "rename", call, (value, b""))

    def unlink(self, key):
        call = clock()
        try:
            os.unlink(f"{SPACE}/{key}")
        except FileNotFoundError:
            self.note(key, "delete", "unlink", call, answer=False)
        else:
            self.note(key, "delete", "unlink", call, answer=True)

    def write_file(self, key, flags, opened, written):
        """Opens the file, which is OPENED if that is an operation by itself, and writes. What is open
        may lose its name before the bytes come: then the write was before that, so it begins here."""
        call, operation = clock(), None
        try:
            file = self.follow(os.open, f"{SPACE}/{key}", os.O_WRONLY | flags)
        except (FileNotFoundError, FileExistsError):
            self.note(key, opened or written, "open", call, b"", False)
            return
        if opened:
            operation = self.note(key, opened, "open", call, answer=True)
        value = self.value()
        assert os.write(file, value) == len(value)
        if self.rand.random() < 0.5:
            os.close(file)
            file = None
        self.note(key, written, "write", call, value, True, operation)
        if file is not None:
            os.close(file)

    def overwrite(self, key):
        self.write_file(key, 0, None, "overwrite")

    def append(self, key):
        self.write_file(key, os.O_APPEND, None, "append")

    def empty_and_write(self, key):
        self.write_file(key, os.O_TRUNC, "truncate", "overwrite")

    def create(self, key):
        self.write_file(key, os.O_CREAT | os.O_EXCL, "create", "overwrite")

    def step(self):
        looks = ((self.read, 8), (self.stat, 3), (self.get, 3))
        changes = ((self.rename, 4), (self.overwrite, 4), (self.append, 2), (self.empty_and_write, 3),
                   (self.create, 3), (self.unlink, 2), (self.put, 2), (self.delete, 1))
        calm = self.rand.random() < 0.4
        chosen = looks if self.rand.random() < (0.99 if calm else 0.5) else changes
        act, = self.rand.choices([act for act, _ in chosen], [weight for _, weight in chosen])
        act(self.rand.choice(CALM if calm else HOT))


class Steward(Client):
    """Changes many keys at a time."""

    def __init__(self, resets):
        super().__init__("s", resets)
        self.counts = collections.Counter()

    def head(self):
        return os.readlink(f"{MOUNT}/.prollyfs/at/main")

    def values_at(self, commit):
        values = dict.fromkeys(KEYS)
        for key in KEYS:
            try:
                with open(f"{MOUNT}/.prollyfs/at/{commit}/ns/{key}", "rb") as file:
                    values[key] = file.read()
            except FileNotFoundError:
                pass
        return values

    def note_all(self, values, path, call, back):
        for key, value in values.items():
            operation = self.note(key, "set", path, call, value)
            operation.back = back

    def commit(self):
        self.control("commit", "-q", "--allow-empty", "-m", "a")

    def merge(self):
        """The keys that side has changed are what they are there."""
        for key in self.rand.sample(CALM, 2) + self.rand.sample(HOT, self.rand.random() < 0.2):
            if self.rand.random() < 0.8:
                self.control("-b", "side", "put", f"ns/{key}", self.value().decode())
            else:
                self.control("-b", "side", "delete", f"ns/{key}", ok=(0, 1))
        self.control("-b", "side", "commit", "-q", "--allow-empty", "-m", "b")
        self.commit()
        before, call = self.head(), clock()
        status, _ = self.control("merge", "--no-ff", "-X", "theirs", "-m", "c", "side", ok=(0, 2))
        back, after = clock(), self.head()
        was, values = self.values_at(before), self.values_at(after)
        changed = {key: values[key] for key in KEYS if values[key] != was[key]}
        assert status == 0 or not changed, "refused, and done"
        self.counts["merges" if changed else "merges refused or of nothing"] += 1
        self.note_all(changed, "merge", call, back)

    def reset(self):
        self.resets[0] += 1
        call = clock()
        self.control("reset", "--hard", self.rand.choice(("HEAD", "HEAD~1", "HEAD~2")))
        back = clock()
        self.resets[0] += 1
        self.note_all(self.values_at(self.head()), "reset", call, back)
        self.counts["resets"] += 1

    def restore(self):
        values = self.values_at(self.head())
        keys = self.rand.sample([key for key in KEYS if values[key] is not None], 2)
        call = clock()
        self.control("restore", *(f"ns/{key}" for key in keys), ok=(0, 1))
        self.note_all({key: values[key] for key in keys}, "restore", call, clock())
        self.counts["restores"] += 1

    def load(self):
        values = {key: self.value() for key in self.rand.sample(KEYS, 2)}
        lines = b"".join(b"%s\t%s\n" % (key.encode(), value) for key, value in values.items())
        call = clock()
        self.control("load", "-q", "ns", data=lines)
        self.note_all(values, "load", call, clock())
        self.counts["loads"] += 1

    def gc(self):
        self.control("gc", "-q")
        self.counts["collections"] += 1

    def run(self):
        for number in range(ROUNDS):
            for act in (self.merge, self.merge, self.restore, self.merge, self.load,
                        self.reset if number % 2 else self.gc):
                act()


def run_client(name, ended, resets, results):
    client = Client(name, resets)
    while not ended[0]:
        client.step()
    pickle.dump(client.operations, results)


def run_steward(ended, resets, results):
    steward = Steward(resets)
    try:
        steward.run()
    finally:
        ended[0] = 1
    print(dict(steward.counts))
    assert steward.counts["merges"], "nothing was merged"
    pickle.dump(steward.operations, results)


def fork(function):
    """(process, the file that FUNCTION writes its results to)"""
    results = tempfile.TemporaryFile()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid, results
    status = 1
    try:
        function(results)
        results.flush()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def record_histories():
    ended, resets = (memoryview(mmap.mmap(-1, 4096)).cast("Q") for _ in range(2))  # all see them
    children = [fork(lambda results, name=f"{number}": run_client(name, ended, resets, results))
                for number in range(CLIENTS)]
    children.append(fork(lambda results: run_steward(ended, resets, results)))
    histories, failed = {key: [] for key in KEYS}, False
    for pid, results in reversed(children):
        if os.waitpid(pid, 0)[1] != 0:
            failed, ended[0] = True, 1
    assert not failed, "a client failed"
    for _, results in children:
        results.seek(0)
        for key, operations in pickle.load(results).items():
            histories[key] += operations
    return histories


def is_seen(operation, door):
    """What failed because of what is there, or is not, was seen through the door that it came by."""
    if operation.kind in ("read", "size"):
        return operation.path == door
    return operation.answer is not False or (operation.path == "control") == (door == "control")


def mark_optional(operations, door):
    """What writes while the file loses its name has found it by the kernel's names, and may do so
    here after that: then it writes to what has none."""
    losses = [operation for operation in operations if operation.answer is not False and
              operation.kind in ("set", "set to one", "delete")]
    for operation in operations:
        operation.is_optional = door == "control" and operation.path in ("open", "write") and \
            operation.kind != "create" and \
            any(loss.call < operation.back and loss.back > operation.call for loss in losses)


def explain(key, door, operations, violation):
    last, pending, states = violation
    print(f"{key} through {door}: no order explains what was answered up to the last of these,")
    print("when it was one of", *sorted(states, key=str), "(! was under way)")
    before = sorted((operation for operation in operations
                     if operation.back < last.back and operation not in pending),
                    key=lambda operation: operation.back)
    for operation in before[-20:] + pending + [last]:
        print(f"  {'!' if operation in pending else ' '} {operation.call - last.back:9} to "
              f"{operation.back - last.back:9} ns: {operation.client} {operation.path} "
              f"{operation.kind} {operation.argument} -> {operation.answer}")


def main():
    print("seed", SEED)
    first = Client("f")
    initial = {key: first.value() for key in KEYS}
    os.mkdir(SPACE)
    first.control("put", "ns/stays", "here")
    for key in KEYS:
        with open(f"{SPACE}/{key}", "wb") as file:
            file.write(initial[key])
    first.control("commit", "-q", "-m", "first")
    first.control("branch", "side")
    for _ in range(2):
        first.control("commit", "-q", "--allow-empty", "-m", "more")
    first.session.close()
    histories, failed = record_histories(), False
    for key, operations in histories.items():
        print(key, dict(collections.Counter(operation.kind for operation in operations)))
        for door in DOORS:
            seen = [operation for operation in operations if is_seen(operation, door)]
            mark_optional(seen, door)
            violation = find_violation(seen, initial[key])
            if violation:
                explain(key, door, seen, violation)
                failed = True
    sys.exit(failed)


main()
