# SPDX-License-Identifier: Apache-2.0
"""What a store has promised, from the notes of those who used it, and whether a store keeps it.

Every value says what it is: version V of key K has one content, made from the two. A version is noted
before it is written (`begin`), when its close(2) or rename(2) has returned (`done`), and when an
fsync(2) or a command that takes it along has (`sync`). So each key has, at any moment, a lowest
version that it must have and a highest one that it may have; what lies between, whole, is right.

Versions that are multiples of 7 stand for the key's absence. A key "K#i" is block I of file K.
"""

import copy
import hashlib
import json
import re

BLOCK = 4096
BLOCKS = 12
PART = 40960  # the piece in which files named "part..." are written: whole pages, as the kernel gives them on


def make_content(key, version):
    """None: version VERSION of KEY is that there is none."""
    if version % 7 == 0:
        return None
    seed = hashlib.shake_128(('%s %d' % (key, version)).encode())
    kind = seed.digest(1)[0]
    size = BLOCK if '#' in key else 100000 if key.startswith('part') else \
        (20, 200, 900, 1500, 5000, 60000)[kind % 6] + kind
    head = '%s %d %d\n' % (key, version, size)
    return (head + seed.hexdigest(size // 2 + 1))[:size].encode()


def find_version(key, data):
    """The version that DATA is of KEY; -1: none."""
    head = re.match(rb'(\S+) (\d+) (\d+)\n', data)
    if not head or head.group(1).decode() != key:
        return -1
    version = int(head.group(2))
    return version if make_content(key, version) == data else -1


def find_begun(key, data):
    """The version of KEY that DATA is the beginning of, as its writes make it; -1: none."""
    head = re.match(rb'(\S+) (\d+) (\d+)\n', data)
    if not head or head.group(1).decode() != key or len(data) % PART:
        return -1
    version = int(head.group(2))
    return version if (make_content(key, version) or b'').startswith(data) else -1


class Bounds:
    """Of the keys of one branch's state: KEY -> the lowest and the highest version."""

    def __init__(self):
        self.low, self.high = {}, {}

    def copy(self):
        other = Bounds()
        other.low, other.high = dict(self.low), dict(self.high)
        return other

    def widen(self, other):
        """Either of the two states may be the one."""
        for key in set(self.high) | set(other.high):
            self.low[key] = min(self.low.get(key, 0), other.low.get(key, 0))
            self.high[key] = max(self.high.get(key, 0), other.high.get(key, 0))

    def check(self, entries, what):
        """Complaints about ENTRIES (key -> content), a state that should lie within the bounds."""
        files = {key.partition('#')[0] for key in self.high}
        for key in sorted(files | set(entries)):
            if key.startswith('new'):  # on its way to be renamed
                continue
            wrong = self.check_blocks(key, entries.get(key)) if key.startswith('block') else \
                self.check_key(key, entries.get(key))
            if wrong:
                yield '%s: %s' % (what, wrong)

    def check_key(self, key, data):
        low, high = self.low.get(key, 0), self.high.get(key, 0)
        if data is None:
            if not any(make_content(key, v) is None for v in range(low, high + 1)):
                return '%s is missing, should be version %d to %d' % (key, low, high)
            return None
        version = find_version(key, data)
        if version < 0 and low < high and not key.startswith('whole'):
            # it is written in place: first it is cut, then its parts come
            version = high if not data else find_begun(key, data)
        if version < low or version > high:
            return '%s is version %d (%d bytes, %r), should be %d to %d' % (
                key, version, len(data), data[:40], low, high)
        return None

    def check_blocks(self, key, data):
        for i in range(BLOCKS):
            name = '%s#%d' % (key, i)
            low, high = self.low.get(name, 0), self.high.get(name, 0)
            block = (data or b'')[i * BLOCK:(i + 1) * BLOCK]
            version = find_version(name, block) if block.strip(b'\0') else 0
            if version < low or version > high:
                return '%s is version %d (%r), should be %d to %d' % (
                    name, version, block[:40], low, high)
        return None


class Promises:
    """KILL: of what the death of the process leaves; else of what a power cut does."""

    def __init__(self, kill):
        self.kill = kill
        self.made = False       # the store is there
        self.states = {}        # branch -> Bounds of its working state
        self.closed = {}        # branch -> key -> version that a commit begun now has
        self.commits = {}       # id -> Bounds
        self.heads = {}         # branch -> id
        self.tags = {}          # name -> id
        self.moving = set()     # branches whose heads a command may be moving
        self.resetting = set()  # of them, those that may be losing what is staged
        self.unsure = set()     # branches that are being made or deleted
        self.begun = {}         # what a command that runs began with
        self.under_way = {}     # branch -> file that is being written -> did a reset come between?

    def feed(self, text):
        self.feed_note(json.loads(text))

    def feed_note(self, note):
        getattr(self, 'feed_' + note.pop('what'))(**note)

    def state(self, branch):
        return self.states.setdefault(branch, Bounds())

    # ---- Files

    def files(self, branch):
        return self.under_way.setdefault(branch, {})

    def feed_open(self, branch, key):
        self.files(branch).setdefault(key, False)

    def feed_shut(self, branch, key):
        self.files(branch).pop(key, None)

    def raise_high(self, branch, key, version):
        high = self.state(branch).high
        high[key] = max(high.get(key, 0), version)

    def feed_begin(self, branch, key, version):
        self.feed_open(branch, key.partition('#')[0])
        self.raise_high(branch, key, version)

    def is_in_doubt(self, branch, key):
        """A reset may take what was written, or the file from who has it open: one that came while it was
        open, or that is on its way."""
        return branch in self.resetting or self.files(branch).get(key.partition('#')[0], False)

    def raise_low(self, branch, key, version):
        low = self.state(branch).low
        low[key] = max(low.get(key, 0), version)

    def feed_done(self, branch, key, version):
        if not self.is_in_doubt(branch, key):
            self.closed.setdefault(branch, {})[key] = version
            if self.kill:
                self.raise_low(branch, key, version)
        self.feed_shut(branch, key)  # (of blocks by the file's name)

    def feed_sync(self, branch, key, version):
        """Of a file that is open, or closed: as long as no reset took it."""
        is_open = key.partition('#')[0] in self.files(branch)
        is_there = is_open or self.closed.get(branch, {}).get(key) == version
        if is_there and not self.is_in_doubt(branch, key):
            self.raise_low(branch, key, version)

    # ---- Commands

    def feed_made(self, branch, head):
        self.made = True
        self.heads[branch] = head
        self.commits[head] = Bounds()

    def feed_moving(self, branch, side=None, to=None):
        """A command begins that moves BRANCH: a commit; a merge of SIDE; a reset to commit TO."""
        self.moving.add(branch)
        self.begun[branch] = dict(self.closed.get(branch, {}))
        if side:
            merged = self.commits[self.heads[side]]
            self.begun[branch] = dict(merged.low)
            for key, version in merged.high.items():
                self.raise_high(branch, key, version)
        if to:
            self.resetting.add(branch)
            self.state(branch).widen(self.commits[to])

    def feed_moved(self, branch, head):
        """It is done, and BRANCH stands at HEAD."""
        begun = self.begun.pop(branch)
        self.moving.discard(branch)
        if branch in self.resetting:
            self.resetting.discard(branch)
            self.state(branch).low = dict(self.commits[head].low)
            self.closed[branch] = dict(self.commits[head].low)
            self.under_way[branch] = dict.fromkeys(self.files(branch), True)
        else:
            closed = self.closed.setdefault(branch, {})
            for key, version in begun.items():
                self.raise_low(branch, key, version)
                closed[key] = max(closed.get(key, 0), version)
        if head not in self.commits:
            bounds = self.state(branch).copy()
            bounds.low = {**self.commits[self.heads[branch]].low, **begun}
            self.commits[head] = bounds
        self.heads[branch] = head

    def feed_branching(self, branch):
        self.unsure.add(branch)

    def feed_branched(self, branch, head=None, origin=None):
        """It has been made at HEAD, which is ORIGIN's; or (None) deleted."""
        self.unsure.discard(branch)
        if not head:
            self.heads.pop(branch, None)
            self.states.pop(branch, None)
            return
        self.heads[branch] = head
        if head not in self.commits:
            self.commits[head] = self.states[origin].copy()
        self.states[branch] = self.commits[head].copy()

    def feed_tagged(self, tag, head):
        self.tags[tag] = head

    def settle(self, store):
        """What STORE has is how what was cut off went: nobody is at work any more."""
        for branch in self.moving:
            head = store.branches[branch]
            if head not in self.commits:
                bounds = self.state(branch).copy()
                bounds.low = {**self.commits[self.heads[branch]].low, **self.begun[branch]}
                self.commits[head] = bounds
            self.heads[branch] = head
        for branch in self.unsure:
            if branch not in store.branches:
                self.heads.pop(branch, None)
                self.states.pop(branch, None)
            else:
                head = self.heads[branch] = store.branches[branch]
                self.states.setdefault(branch, self.commits[head].copy())
        self.moving, self.resetting, self.unsure = set(), set(), set()
        self.under_way = {}
        branches = sorted(self.states)
        for branch, entries in zip(branches, store.read(branches, [])):
            self.settle_state(branch, entries)

    def settle_state(self, branch, entries):
        state, found = self.states[branch], {}
        for key, data in entries.items():
            parts = [(key, data)]
            if key.startswith('block'):
                parts = [('%s#%d' % (key, i), data[i * BLOCK:(i + 1) * BLOCK])
                         for i in range(BLOCKS)]
            for name, content in parts:
                version = find_version(name, content)
                if version >= 0 and name in state.high:
                    state.low[name] = state.high[name] = found[name] = version
        # What is not there is what a reset took that was cut off, unless it was deleted.
        deleted = {name: version for name, version in self.closed.get(branch, {}).items()
                   if name not in found and make_content(name, version) is None}
        self.closed[branch] = {**deleted, **found}

    # ---- Looking

    def copy(self):
        return copy.deepcopy(self)

    def check(self, store):
        """Complaints about STORE (stores.py)."""
        yield from self.check_names(store)
        branches = sorted(set(store.branches) & set(self.states))
        commits = store.choose([c for c in store.commits if c in self.commits])
        states = store.read(branches, commits)
        for branch, entries in zip(branches, states):
            yield from self.states[branch].check(entries, branch)
        for commit, entries in zip(commits, states[len(branches):]):
            yield from self.commits[commit].check(entries, 'commit ' + commit[:8])

    def check_names(self, store):
        for branch, head in self.heads.items():
            if branch in self.unsure:
                continue
            if branch not in store.branches:
                yield 'branch %s is lost' % branch
            elif store.branches[branch] != head and branch not in self.moving:
                yield 'branch %s stands at %s, should at %s' % (branch, store.branches[branch], head)
            elif head not in store.commits and branch not in self.moving:
                yield 'commit %s of %s is lost' % (head, branch)
        for branch in store.branches:
            if branch not in self.heads and branch not in self.unsure and self.made:
                yield 'branch %s is there' % branch
        for tag, head in self.tags.items():
            if store.tags.get(tag) != head:
                yield 'tag %s is %s, should be %s' % (tag, store.tags.get(tag), head)
