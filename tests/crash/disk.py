# SPDX-License-Identifier: Apache-2.0
"""What a disk may hold after a power cut, from a recording that disk-shim.c made.

The model is POSIX's promise and no more: what was not synced may be there, wholly, in part or not at
all, in any order.

 - A file's data are there when that file was synced since. Until then each sector of 512 bytes of a
   write may be there or not, and the file may be longer without having what is in it (zeros).
 - A name is there when its directory was synced since: not when the file was that it names, nor when
   the directory above was. A rename is one change to two names; it happens or does not.
 - syncfs(2) syncs everything.
 - When a sync fails, what it was for is never on disk, whatever is synced later: the kernel takes it for
   written.

Order is kept only where two changes are to the same byte or length, and of names.
"""

import os
import random
import struct
import time

RECORD = struct.Struct('<IIIIqII')  # disk-shim.h
(OPEN, WRITE, TRUNCATE, ALLOCATE, SYNC, SYNC_ALL, MKDIR, RENAME, LINK, UNLINK, RMDIR,
 LOSE, NOTE) = range(1, 14)
SECTOR = 512
EXCHANGE = 2  # of renameat2(2)


class Record:
    __slots__ = ('op', 'file', 'offset', 'path', 'other', 'data')

    def __init__(self, op, file, offset, path, other, data):
        self.op, self.file, self.offset = op, file, offset
        self.path, self.other, self.data = path, other, data


def read_log(path):
    """The records of a log, in order."""
    with open(path, 'rb') as file:
        log = file.read()
    records, at = [], 0
    while at < len(log):
        size, op, process, handle, offset, n, m = RECORD.unpack_from(log, at)
        start = at + RECORD.size
        records.append(Record(op, (process, handle) if handle else None, offset,
                              log[start:start + n].decode(),
                              log[start + n:start + n + m].decode(),
                              log[start + n + m:at + size]))
        at += size
    return records


class File:
    """What is on disk of a file, and what may get there: changes of (number, kind, offset, data)."""

    def __init__(self, content=b''):
        self.content = bytearray(content)
        self.length = len(content)  # as processes see it
        self.changes = []

    def sync(self):
        for change in self.changes:
            apply_change(self.content, change)
        self.changes = []


class Directory:
    """Its names: as processes see them, and on disk, where each has the number of its last change."""

    def __init__(self):
        self.names = {}
        self.stored = {}


def apply_change(content, change):
    _, kind, offset, data = change
    if kind == WRITE:
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset:offset + len(data)] = data
    elif kind == TRUNCATE and len(content) > offset:
        del content[offset:]
    elif len(content) < offset:
        content.extend(bytes(offset - len(content)))


class Disk:
    """A directory's tree, and what is not on disk yet: feed it records, then ask for states."""

    def __init__(self, root, image=None):
        self.root_path = root
        self.root = self.load(image) if image else Directory()
        self.files = {}   # (process, handle) -> File or Directory
        self.names = []   # changes of (number, ((directory, name, what), ...))
        self.changed = set()  # files with changes
        self.number = 0
        self.time = time.time() - 60

    def load(self, path):
        """The tree below PATH, all of it on disk."""
        directory = Directory()
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                what = self.load(entry.path)
            else:
                with open(entry.path, 'rb') as file:
                    what = File(file.read())
            directory.names[entry.name] = what
            directory.stored[entry.name] = (what, 0)
        return directory

    # ---- Paths

    def split(self, path):
        """The directory and the name that a path means; the root has no name."""
        directory = self.root
        parts = [part for part in path[len(self.root_path):].split('/') if part not in ('', '.')]
        for part in parts[:-1]:
            directory = directory.names[part]
        return directory, parts[-1] if parts else None

    def find(self, path):
        directory, name = self.split(path)
        return directory.names.get(name) if name else directory

    # ---- Changes

    def name(self, *changes):
        self.number += 1
        self.names.append((self.number, changes))
        for directory, name, what in changes:
            if what is None:
                directory.names.pop(name, None)
            else:
                directory.names[name] = what

    def change(self, file, kind, offset, data=b''):
        self.number += 1
        file.changes.append((self.number, kind, offset, data))
        self.changed.add(file)
        if kind == WRITE:
            file.length = max(file.length, offset + len(data))
        elif kind == TRUNCATE:
            file.length = offset
        else:
            file.length = max(file.length, offset)

    def store_names(self, wanted):
        left = []
        for number, changes in self.names:
            if not wanted(changes):
                left.append((number, changes))
                continue
            for directory, name, what in changes:
                if directory.stored.get(name, (None, 0))[1] < number:
                    directory.stored[name] = (what, number)
        self.names = left

    def sync(self, what):
        if isinstance(what, Directory):
            self.store_names(lambda changes: any(change[0] is what for change in changes))
        else:
            what.sync()
            self.changed.discard(what)

    def lose(self, what):
        if isinstance(what, Directory):
            self.names = [change for change in self.names
                          if not any(part[0] is what for part in change[1])]
        else:
            what.changes = []
            self.changed.discard(what)

    def sync_all(self):
        self.store_names(lambda changes: True)
        for file in self.changed:
            file.sync()
        self.changed = set()

    # ---- Records

    def open(self, record):
        path = os.path.normpath(record.path)  # "..", where somebody looks what a directory is in
        if path != self.root_path and not path.startswith(self.root_path + '/'):
            return
        directory, name = self.split(path)
        what = directory.names.get(name) if name else directory
        if record.offset & os.O_TMPFILE == os.O_TMPFILE:
            what = File()
        elif what is None:
            what = File()
            self.name((directory, name, what))
        elif record.offset & os.O_TRUNC and what.length:
            self.change(what, TRUNCATE, 0)
        self.files[record.file] = what

    def rename(self, record):
        (old, old_name), (new, new_name) = self.split(record.path), self.split(record.other)
        what = old.names.get(old_name)
        if record.offset & EXCHANGE:
            self.name((old, old_name, new.names[new_name]), (new, new_name, what))
        else:
            # (a file that came to be by other means than these records is an empty one)
            self.name((old, old_name, None), (new, new_name, what or File()))

    def feed(self, record):
        op = record.op
        if op == OPEN:
            self.open(record)
        elif op in (WRITE, ALLOCATE):
            self.change(self.files[record.file], op, record.offset, record.data)
        elif op == TRUNCATE:
            file = self.files[record.file] if record.file else self.find(record.path)
            self.change(file, op, record.offset)
        elif op == SYNC:
            self.sync(self.files[record.file])
        elif op == SYNC_ALL:
            self.sync_all()
        elif op == LOSE:
            self.lose(self.files[record.file])
        elif op == MKDIR:
            self.name((*self.split(record.path), Directory()))
        elif op == RENAME:
            self.rename(record)
        elif op == LINK:
            what = self.files[record.file] if record.file else self.find(record.path)
            self.name((*self.split(record.other), what))
        elif op in (UNLINK, RMDIR):
            self.name((*self.split(record.path), None))

    # ---- States

    def pending(self):
        """The numbers of all changes that may or may not be on disk."""
        numbers = [number for number, _ in self.names]
        for file in self.changed:
            numbers.extend(change[0] for change in file.changes)
        return sorted(numbers)

    def write_state(self, path, choice):
        """Makes at PATH what the disk holds if it is CHOICE that decides. A lock in it is not new: a
        machine takes longer to come up than anyone waits for who may have made it."""
        names = {}
        for number, changes in self.names:
            if choice.takes_name(number):
                for directory, name, what in changes:
                    names.setdefault(id(directory), {})[name] = (what, number)
        self.write_directory(path, self.root, names, choice, {})

    def write_directory(self, path, directory, names, choice, written):
        os.mkdir(path)
        entries = dict(directory.stored)
        for name, (what, number) in names.get(id(directory), {}).items():
            if entries.get(name, (None, 0))[1] < number:
                entries[name] = (what, number)
        for name, (what, _) in entries.items():
            child = os.path.join(path, name)
            if isinstance(what, Directory):
                if what not in written:
                    written[what] = child
                    self.write_directory(child, what, names, choice, written)
            elif what in written:
                os.link(written[what], child)
            elif what is not None:
                written[what] = child
                with open(child, 'wb') as file:
                    file.write(choice.make_content(what))
                if name.endswith('.lock'):
                    os.utime(child, (self.time, self.time))


class Choice:
    """Which of the changes are on disk. STRATEGY is one of those below; R a random.Random."""

    STRATEGIES = ('none', 'none', 'all', 'prefix', 'journal', 'few', 'half', 'most', 'but-one')

    def __init__(self, r, pending, strategy):
        self.r, self.strategy = r, strategy
        self.share = {'few': 0.1, 'half': 0.5, 'most': 0.9, 'journal': 0.5}.get(strategy)
        self.limit = r.choice(pending) if pending else 0

    def takes(self, number):
        if self.strategy == 'none':
            return False
        if self.strategy == 'all':
            return True
        if self.strategy == 'prefix':  # in order, the last one in part
            return number <= self.limit
        if self.strategy == 'but-one':
            return number != self.limit
        return self.r.random() < self.share

    def takes_name(self, number):
        """Names get to the disk in order, as a filesystem with a journal keeps them: RocksDB, when it
        recovers, renames what refers to new files before it syncs the directory that names both."""
        if self.strategy in ('none', 'all'):
            return self.takes(number)
        return number <= self.limit

    def is_torn(self, number):
        if self.strategy in ('prefix', 'but-one'):
            return number == self.limit
        return self.share is not None and self.r.random() < 0.5

    def make_content(self, file):
        content = file.content
        if file.changes and self.strategy != 'none':
            content = bytearray(content)
            for change in file.changes:
                self.apply(content, change)
        return content

    def apply(self, content, change):
        number, kind, offset, data = change
        if not self.takes(number):
            if kind == WRITE and self.share is not None and self.r.random() < 0.3:
                apply_change(content, (number, ALLOCATE, offset + len(data), b''))
        elif kind != WRITE or not self.is_torn(number):
            apply_change(content, change)
        else:
            self.tear(content, change)

    def tear(self, content, change):
        number, _, offset, data = change
        at = 0
        while at < len(data):
            n = min(SECTOR - (offset + at) % SECTOR, len(data) - at)
            if self.r.random() < 0.5:
                apply_change(content, (number, WRITE, offset + at, data[at:at + n]))
            at += n
