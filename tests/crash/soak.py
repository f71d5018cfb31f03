#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everything at once, for a long time, on one mount: nothing is lost, and nothing grows.

Each branch has an owner (Owner), a thread that alone changes it, so that it knows what every key must be
at every commit it made: it writes small and large values, appends, renames, deletes, links, sets
attributes, commits, merges what others have committed, with conflicts and without, resets, reverts, tags,
makes branches and deletes them. Meanwhile somebody (Director) collects garbage, makes a backup, and turns
the daemon's clock (clock-shim.c) by hours to and fro.

That goes by rounds. In the first ones (four, or two fifths of the time) the daemon is killed in most, in
the middle of things, or unmounted at the end, when `fsck` looks at the store. Then it lives until the end
(twelve rounds, or the rest of the time), and only then numbers of a process can be compared. After a round
each branch is compared with what its owner knows, then all branches but main, where nothing happens, are
deleted and made anew, tags and backups go, and garbage is collected: now the store is as it was after any
other round, and is measured.

What must not grow from the second quarter of those samples to the last (medians) is in LIMITS: things that
can be counted, so that it does not depend on a machine's speed or an allocator. Memory and disk, whose
users keep something for later (malloc's arenas, RocksDB's tables and logs), are compared in a long run.
"""

import argparse
import collections
import hashlib
import json
import mmap
import os
import random
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

from mounts import PATIENCE, Mount, find_memory, is_long, skip_unless_possible
from workload import ENVIRONMENT

BRANCHES = ('one', 'two', 'three', 'four')
STEPS = 12          # of each owner in a round
ROUNDS_MIN = 4      # before the last life
SAMPLES_MIN = 12    # of the last life
# What may grow from the second quarter to the last: a sum, or a share, whichever is more. A leak of one
# object a step makes hundreds between the two; the rest is what happened to be under way.
LIMITS = {'names': (4, 0), 'threads': (16, 0), 'inodes': (24, 0), 'nodes': (0, 0),
          'git_kib': (0, 0), 'store_files': (0, 0)}
LONG_LIMITS = {'rss_kib': (16384, 0.1), 'store_kib': (65536, 0.25)}
LONG = 1800         # seconds
# Open files without a name: spares (core/version/spares.c) and those that wait there to be closed.
NAMELESS_MAX = 100


class Lost(Exception):
    """What the store has is not what it has to have."""


class Gone(Exception):
    """The daemon has."""


def digest(value):
    return None if value is None else hashlib.sha256(value).digest()[:12]


def make_value(r):
    """Many small ones, some of a page and more, few large."""
    size = r.choice((0, 1, 20, 20, 200, 200, 900, 5000, 5000, 70000, 400000 if r.random() < .3 else 30))
    return r.randbytes(min(size, 64)) * (size // 64 + 1) if size > 70000 else r.randbytes(size)


def make_directory(path):
    """Its parent is there."""
    try:
        os.mkdir(path)
    except FileExistsError:
        pass


class Commits:
    """What was committed: id -> (parents, {path: digest}). Of all owners."""

    def __init__(self):
        self.lock, self.all, self.first = threading.Lock(), {}, None

    def add(self, commit, parents, state):
        with self.lock:
            self.all.setdefault(commit, (parents, state))

    def ancestors(self, commit):
        found, todo = set(), [commit]
        while todo:
            commit = todo.pop()
            if commit not in found:
                found.add(commit)
                todo += self.all[commit][0]
        return found

    def base(self, a, b):
        """The merge base's id; None: there are several."""
        common = self.ancestors(a) & self.ancestors(b)
        below = set()
        for commit in common:
            for parent in self.all[commit][0]:
                below |= self.ancestors(parent)
        bases = common - below
        return bases.pop() if len(bases) == 1 else None

    def forget(self):
        with self.lock:
            self.all = {self.first: self.all[self.first]}


def merge_states(base, ours, theirs):
    """The merged state, and the paths in conflict."""
    merged, conflicts = {}, set()
    for path in set(base) | set(ours) | set(theirs):
        o, a, b = base.get(path), ours.get(path), theirs.get(path)
        result = a if a == b or b == o else b
        if a != b and a != o and b != o:
            conflicts.add(path)
            result = a
        if result is not None:
            merged[path] = result
    return merged, conflicts


class Owner:
    """STATE: path -> value, of its branch as it must be; DOUBT: of what was cut off, path -> values."""

    def __init__(self, soak, branch):
        self.soak, self.branch = soak, branch
        self.dir = soak.mount_point + '/' + branch
        self.r = random.Random('%s %s' % (soak.options.seed, branch))
        self.state, self.head, self.doubt, self.moving = {}, None, {}, None
        self.steps, self.failure = 0, None
        self.done = collections.deque(maxlen=STEPS)  # commands and changes of files, to be told

    # ---- Commands

    def ctl(self, *words, ok=(0,)):
        self.done.append(' '.join(words))
        done = subprocess.run([self.soak.ctl, '-C', self.dir, *words], stdin=subprocess.DEVNULL,
                              env={**os.environ, **ENVIRONMENT}, capture_output=True, check=False)
        if done.returncode not in ok:
            if self.soak.is_cut():
                raise Gone
            raise Lost('%s on %s gives %d: %s' % (words, self.branch, done.returncode,
                                                  done.stderr.decode()))
        return done.returncode, done.stdout.decode()

    def digests(self):
        return {path: digest(value) for path, value in self.state.items()}

    def read_head(self):
        return json.loads(self.ctl('--json', 'log', '-n', '1', self.branch)[1])

    def moved(self, state=None):
        """The head is another, and has STATE (None: the working state)."""
        head = self.read_head()
        self.head = head['commit']
        self.soak.commits.add(self.head, head['parents'], self.digests() if state is None else state)
        self.moving = None

    def read_back(self, state):
        """The working state is that of digests STATE: values are read to be known."""
        found = self.read_tree()
        if {path: digest(value) for path, value in found.items()} != state:
            raise Lost('%s: %s' % (self.branch, explain(state, found)))
        self.state = found

    # ---- Looking

    def read_tree(self):
        found = {}
        for place, _, names in os.walk(self.dir, onerror=self.stop):
            for name in names:
                path = os.path.join(place, name)
                with open(path, 'rb') as file:
                    found[path[len(self.dir) + 1:]] = file.read()
        return found

    @staticmethod
    def stop(error):
        raise error

    def check(self):
        """The branch is what it must be; of what was cut off it says how that went."""
        found = self.read_tree()
        if self.moving:
            head = self.read_head()['commit']
            if head != self.head:
                states = [state for state in self.moving if state is not None]
                got = {path: digest(value) for path, value in found.items()}
                if got not in states:
                    raise Lost('%s after a kill: %s' % (self.branch, explain(states[0], found)))
                self.state = found
                self.moved()
            self.moving = None
        for path, values in self.doubt.items():
            value = found.get(path)
            if not any(value == v or (v and value is not None and v.startswith(value))
                       for v in values) and value not in values:
                raise Lost('%s: %s is %s' % (self.branch, path, value and value[:40]))
            self.state.pop(path, None)
            if value is not None:
                self.state[path] = value
        self.doubt = {}
        if found != self.state:
            raise Lost('%s: %s' % (self.branch, explain(self.digests(), found)))
        if self.read_head()['commit'] != self.head:
            raise Lost('%s does not stand at %s' % (self.branch, self.head))

    def check_past(self):
        """Some commit that it has, as files and by its log."""
        mine = [c['commit'] for c in map(json.loads, self.ctl(
            '--json', 'log', '-n', '50', self.branch)[1].splitlines())]
        for commit in mine:
            if commit not in self.soak.commits.all:
                raise Lost('%s: nobody made %s' % (self.branch, commit))
        commit = self.r.choice(mine)
        state = self.soak.commits.all[commit][1]
        names = {path for path in self.ctl('--at', commit, 'ls', '-r')[1].splitlines()}
        if names != set(state):
            raise Lost('commit %s has %s, should have %s' % (commit, names, set(state)))
        for path in self.r.sample(sorted(state), min(3, len(state))):
            with open('%s/.prollyfs/at/%s/%s' % (self.soak.mount_point, commit, path), 'rb') as file:
                if digest(file.read()) != state[path]:
                    raise Lost('commit %s: %s is another' % (commit, path))

    # ---- Files

    def path(self):
        return '%s/%s%s' % (self.r.choice(('n', 'n', 'm')), self.r.choice(('', 'd/', 'd/e/', 'f/')),
                            'k%d' % self.r.randrange(8))

    def whole(self, path):
        """Its directories are made, but for the branch's: if that is not there, there is no mount any
        more, and what would be made were the mount point's own."""
        place = self.dir
        for name in path.split('/')[:-1]:
            place += '/' + name
            make_directory(place)
        return self.dir + '/' + path

    def unsure(self, what, values):
        """It is about to change files: until it is done each has any of its VALUES."""
        self.done.append('%s %s' % (what, ' '.join(values)))
        self.doubt.update(values)

    def write(self):
        path, value = self.path(), make_value(self.r)
        whole = self.whole(path)
        self.unsure('write', {path: [self.state.get(path), value]})
        with open(whole, 'wb') as file:
            file.write(value)
            if self.r.random() < .1:
                os.fsync(file.fileno())
        self.state[path] = value
        del self.doubt[path]

    def append(self):
        if not self.state:
            return
        path, more = self.r.choice(sorted(self.state)), self.r.randbytes(self.r.randrange(1, 300))
        old = self.state[path]
        self.unsure('append', {path: [old, old + more]})
        with open(self.dir + '/' + path, 'ab') as file:
            file.write(more)
        self.state[path] = old + more
        del self.doubt[path]

    def delete(self):
        if not self.state:
            return
        path = self.r.choice(sorted(self.state))
        self.unsure('delete', {path: [self.state[path], None]})
        os.unlink(self.dir + '/' + path)
        del self.state[path], self.doubt[path]

    def rename(self):
        if not self.state:
            return
        old, new = self.r.choice(sorted(self.state)), self.path()
        if old == new:
            return
        whole = self.whole(new)
        value = self.state[old]
        self.unsure('rename', {old: [value, None], new: [value, self.state.get(new)]})
        os.rename(self.dir + '/' + old, whole)
        del self.state[old], self.doubt[old], self.doubt[new]
        self.state[new] = value

    def replace(self):
        """A new file in the place of another, as editors save."""
        path, value = self.path(), make_value(self.r)
        whole = self.whole(path)
        new = os.path.dirname(path) + '/.new'
        self.unsure('replace', {new: [None, value], path: [self.state.get(path), value]})
        with open(self.dir + '/' + new, 'wb') as file:
            file.write(value)
        os.rename(self.dir + '/' + new, whole)
        self.state[path] = value
        del self.doubt[new], self.doubt[path]

    def link(self):
        """Another name for a moment; attributes; a file that is read when its name is gone."""
        if not self.state:
            return
        path = self.r.choice(sorted(self.state))
        other = os.path.dirname(path) + '/.other'
        self.unsure('link', {other: [None, self.state[path]]})
        os.link(self.dir + '/' + path, self.dir + '/' + other)
        os.setxattr(self.dir + '/' + path, 'user.a', b'x')
        if os.getxattr(self.dir + '/' + other, 'user.a') != b'x':
            raise Lost('%s: an attribute of %s' % (self.branch, path))
        with open(self.dir + '/' + other, 'rb') as file:
            os.unlink(self.dir + '/' + other)
            if file.read() != self.state[path]:
                raise Lost('%s: %s by its other name' % (self.branch, path))
        os.removexattr(self.dir + '/' + path, 'user.a')
        del self.doubt[other]

    # ---- Versions

    def commit(self):
        self.moving = [self.digests()]
        self.ctl('commit', '--allow-empty', '-m', 'commit of %s' % self.branch)
        self.moved()

    def merge(self):
        self.commit()
        commits = self.soak.commits
        with commits.lock:
            theirs = self.r.choice(sorted(commits.all))
        base = commits.base(self.head, theirs)
        if base is None or theirs in commits.ancestors(self.head):
            return
        state, conflicts = merge_states(commits.all[base][1], commits.all[self.head][1],
                                        commits.all[theirs][1])
        self.moving = [state]
        status, text = self.ctl('--json', 'merge', '--no-ff', '-m', 'merge', theirs, ok=(0, 1))
        found = {c['path'] for c in json.loads(text)['conflicts']}
        if found != conflicts:
            raise Lost('%s: conflicts %s, should be %s' % (self.branch, found, conflicts))
        if status and self.r.random() < .4:
            self.ctl('merge', '--abort')
            self.moving = None
            return
        if status:
            side = self.r.choice(('--ours', '--theirs'))
            self.ctl('resolve', side, *sorted(conflicts))
            chosen = commits.all[self.head if side == '--ours' else theirs][1]
            for path in conflicts:
                state.pop(path, None)
                if path in chosen:
                    state[path] = chosen[path]
            self.ctl('merge', '--continue')
        self.read_back(state)
        self.moved(state)

    def reset(self):
        past = [c for c in self.soak.commits.ancestors(self.head)]
        to = self.r.choice(sorted(past))
        state = self.soak.commits.all[to][1]
        # (what was staged may go without the head's moving, if it was there already)
        self.moving = [state]
        self.doubt = {path: [value, None] for path, value in self.state.items()} if to == self.head \
            else self.doubt
        self.ctl('reset', '--hard', to)
        self.read_back(state)
        self.doubt = {}
        self.moved(state)

    def revert(self):
        self.commit()
        parents, state = self.soak.commits.all[self.head]
        if len(parents) != 1:
            return
        state = self.soak.commits.all[parents[0]][1]
        if state == self.soak.commits.all[self.head][1]:
            return
        self.moving = [state]
        self.ctl('revert', '--no-edit', self.branch)
        self.read_back(state)
        self.moved(state)

    def tag(self):
        name = 'tag-%s-%d' % (self.branch, self.r.randrange(3))
        self.ctl('tag', '-f', name, self.head)
        if self.ctl('--json', 'log', '-n', '1', name)[1].split('"')[3] != self.head:
            raise Lost('%s: tag %s' % (self.branch, name))

    def make_branch(self):
        """One that lives for a moment, with something staged."""
        name = 'x%s' % self.branch
        self.ctl('branch', '-f', name, self.head)
        place = '%s/%s' % (self.soak.mount_point, name)
        make_directory(place + '/n')
        with open(place + '/n/staged', 'wb') as file:
            file.write(b'staged')
        os.rename(place, place + 'y')
        self.ctl('branch', '-D', name + 'y')

    # ---- A round

    def look_after(self, has_kill):
        """A merge that was under way ends; the head and the keys are as they were before it."""
        said = self.ctl('merge', '--abort', ok=(0, 1, 2))
        try:
            self.check()
        except Lost as error:
            raise Lost('%s (%s; it did %s; the merge %s)' % (
                error, 'after a kill' if has_kill else 'after no kill', ', '.join(self.done), said)
                ) from error

    def choose(self):
        return self.r.choice([self.write] * 8 + [self.append, self.delete, self.rename, self.replace,
                                                 self.link] * 3 +
                             [self.commit] * 3 + [self.merge] * 3 +
                             [self.reset, self.revert, self.tag, self.make_branch, self.check,
                              self.check_past])

    def run(self, steps):
        try:
            for _ in range(steps):
                self.steps += 1
                self.choose()()
        except Gone:
            pass
        except OSError as error:
            if not self.soak.is_cut():
                self.failure = '%s: %r' % (self.branch, error)
        except Exception as error:  # whatever it is, it is told with the seed
            if not (self.soak.is_cut() and isinstance(error, (json.JSONDecodeError, IndexError))):
                self.failure = '%s: %r' % (self.branch, error)


def explain(state, found):
    got = {path: digest(value) for path, value in found.items()}
    wrong = sorted(path for path in set(state) | set(got) if state.get(path) != got.get(path))
    return 'not as it must be: ' + ', '.join('%s %s' % (path, 'is missing' if path not in got else
                                                        'should not be' if path not in state else
                                                        'is another') for path in wrong[:5])


class Soak:
    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.ctl = options.build + '/src/prollyfs-ctl'
        self.store, self.mount_point = scratch + '/store', scratch + '/mnt'
        self.backup = scratch + '/backup'
        self.log = scratch + '/daemon.log'
        self.r = random.Random('%s director' % options.seed)
        self.commits = Commits()
        self.counts = dict.fromkeys(('rounds', 'kills', 'mounts', 'jumps', 'backups', 'collections'), 0)
        with open(scratch + '/clock', 'wb') as file:
            file.write(bytes(8))
        fd = os.open(scratch + '/clock', os.O_RDWR)
        self.clock = mmap.mmap(fd, 8)
        os.close(fd)
        self.cut = False
        self.mount()
        self.owners = [Owner(self, branch) for branch in BRANCHES]
        self.begin()

    def is_cut(self):
        return self.cut

    def mount(self):
        self.cut = False
        self.counts['mounts'] += 1
        environment = {**os.environ, 'LD_PRELOAD': self.options.build + '/tests/crash/clock-shim.so',
                       'PROLLY_CLOCK': self.scratch + '/clock'}
        self.daemon = Mount(self.options.build, self.store, self.mount_point, environment, self.log)

    def command(self, *words):
        done = subprocess.run([self.ctl, '-C', self.mount_point, *words], capture_output=True,
                              env={**os.environ, **ENVIRONMENT}, check=False)
        if done.returncode:
            if self.cut:
                raise Gone
            raise Lost('%s gives %d: %s' % (words, done.returncode, done.stderr.decode()))
        return done.stdout.decode()

    def begin(self):
        self.commits.first = json.loads(self.command('--json', 'log', '-n', '1', 'main'))['commit']
        self.commits.add(self.commits.first, [], {})
        for owner in self.owners:
            self.command('branch', owner.branch)
            owner.head = self.commits.first

    # ---- What happens meanwhile

    def collect(self):
        self.counts['collections'] += 1
        self.command('gc', '--prune=now')

    def make_backup(self):
        self.counts['backups'] += 1
        self.command('backup', self.backup)

    def jump(self):
        """By hours, days, or back."""
        self.counts['jumps'] += 1
        self.clock[:8] = struct.pack('<q', self.r.choice((0, -3600, 86400, -86400 * 40, 86400 * 400, 5)))

    def disturb(self):
        try:
            for _ in range(3):
                self.r.choice((self.collect, self.make_backup, self.jump, self.jump))()
        except Gone:
            pass

    def kill(self):
        """In the middle of things: when the owners have done some of theirs."""
        goal = sum(o.steps for o in self.owners) + self.r.randrange(STEPS * len(self.owners))
        end = time.monotonic() + 10
        while sum(o.steps for o in self.owners) < goal and time.monotonic() < end:
            time.sleep(.002)
        self.cut = True
        self.counts['kills'] += 1
        self.daemon.kill()

    # ---- Rounds

    def run_round(self, has_kill):
        threads = [threading.Thread(target=o.run, args=(STEPS,)) for o in self.owners]
        other = threading.Thread(target=self.kill if has_kill else self.disturb)
        for thread in threads + [other]:
            thread.start()
        for thread in threads + [other]:
            thread.join()
        for owner in self.owners:
            if owner.failure:
                raise Lost(owner.failure)
        if self.cut:
            self.mount()
        for owner in self.owners:
            owner.look_after(has_kill)
        self.counts['rounds'] += 1

    def check_backup(self):
        if not os.path.exists(self.backup):
            return
        for words in (('fsck',), ('branch',)):
            done = subprocess.run([self.ctl, '-C', self.backup, '--json', *words], capture_output=True,
                                  check=False)
            if done.returncode:
                raise Lost('the backup, %s: %s' % (words, (done.stdout + done.stderr).decode()))
        for branch in map(json.loads, done.stdout.decode().splitlines()):
            if branch['commit'] not in self.commits.all:
                raise Lost('the backup has %s of %s' % (branch['commit'], branch['name']))
        shutil.rmtree(self.backup)

    def clear(self):
        """As in the beginning."""
        self.check_backup()
        names = [json.loads(line)['name'] for line in self.command('--json', 'branch').splitlines()]
        for name in names:
            if name != 'main':  # (with its reflog, which would keep what it had)
                self.command('branch', '-D', name)
        for owner in self.owners:
            self.command('branch', owner.branch)
            owner.state, owner.head = {}, self.commits.first
        tags = [json.loads(line)['name'] for line in self.command('--json', 'tag').splitlines()]
        if tags:
            self.command('tag', '-d', *tags)
        self.commits.forget()
        for owner in self.owners:
            owner.check()
        self.collect()

    def remount(self):
        self.daemon.unmount()
        done = subprocess.run([self.ctl, '-C', self.store, 'fsck'], capture_output=True, check=False)
        if done.returncode:
            raise Lost('fsck: %s' % (done.stdout + done.stderr).decode())
        self.mount()

    # ---- Figures

    @staticmethod
    def count_descriptors(pid):
        """Of files with names, but for RocksDB's tables, which come and go as it compacts them; and of
        those without."""
        n_names, n_nameless, place = 0, 0, '/proc/%d/fd/' % pid
        for fd in os.listdir(place):
            try:
                name = os.readlink(place + fd)
            except FileNotFoundError:
                continue
            n_nameless += name.endswith(' (deleted)')
            n_names += not name.endswith((' (deleted)', '.sst'))
        return n_names, n_nameless

    def count_nodes(self):
        """Those that the kernel knows. It has no directory open, and of files only the one in which we
        read that: it tells the daemon so when it likes."""
        end = time.monotonic() + PATIENCE
        while True:
            with open(self.mount_point + '/.prollyfs/stats', encoding='utf-8') as file:
                held = next(line for line in file if line.startswith('kernel '))
            nodes, files, directories = map(int, re.findall(r'\d+', held))
            if files <= 1 and directories == 0:
                return nodes
            if time.monotonic() > end:
                raise Lost('nobody has anything open: ' + held)
            time.sleep(.01)

    def sample(self):
        pid = self.daemon.process.pid
        inodes = self.count_nodes()
        with open('/proc/%d/status' % pid, encoding='ascii') as file:
            status = dict(line.split()[:2] for line in file if len(line.split()) > 1)
        n_names, n_nameless = self.count_descriptors(pid)
        stats = json.loads(self.command('--json', 'stats'))
        git, n_files, size = 0, 0, 0
        for place, _, names in os.walk(self.store):
            for name in names:
                try:
                    n = os.lstat(os.path.join(place, name)).st_blocks * 512
                except FileNotFoundError:
                    continue
                n_files += not place.startswith(self.store + '/data')
                size += n
                git += n if place.startswith(self.store + '/git') else 0
        return {'names': n_names, 'threads': int(status['Threads:']), 'inodes': inodes,
                'nodes': stats['nodes'], 'git_kib': git // 1024, 'store_files': n_files,
                'nameless': n_nameless, 'rss_kib': int(status['VmRSS:']), 'store_kib': size // 1024}

    def run(self):
        begun = time.monotonic()
        samples, n = [], 0
        while True:
            spent = time.monotonic() - begun
            is_last_life = spent > self.options.seconds * .4 and n >= ROUNDS_MIN
            if is_last_life and spent > self.options.seconds and len(samples) >= SAMPLES_MIN:
                return samples
            n += 1
            self.run_round(not is_last_life and n % 4 != 0)
            self.clear()
            if is_last_life:
                samples.append({'seconds': round(time.monotonic() - begun, 1), **self.sample()})
            elif n % 4 == 0:
                self.remount()

    def close(self):
        self.daemon.kill()
        self.clock.close()


# ---- The verdict

BARS = '▁▂▃▄▅▆▇█'


def draw(values, width=60):
    step = max(1, -(-len(values) // width))
    values = [statistics.median(values[i:i + step]) for i in range(0, len(values), step)]
    low, high = min(values), max(values)
    return ''.join(BARS[int((v - low) * (len(BARS) - 1) / (high - low)) if high > low else 0]
                   for v in values)


def judge(samples, limits):
    """What has grown."""
    quarter = len(samples) // 4
    for name in list(samples[0])[1:]:
        values = [sample[name] for sample in samples]
        before = statistics.median(values[quarter:2 * quarter])
        after = statistics.median(values[-quarter:])
        print('# %-12s %9d to %9d, %9d of the second quarter, %9d of the last  %s' % (
            name, min(values), max(values), before, after, draw(values)))
        if name in limits and after - before > max(limits[name][0], limits[name][1] * before):
            yield '%s grew from %d to %d' % (name, before, after)
        if name == 'nameless' and max(values) > NAMELESS_MAX:
            yield '%d files without a name are open' % max(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True)
    parser.add_argument('--seconds', type=float, default=3600 if is_long() else 0,
                        help='that it takes; more if that is too few for its rounds')
    parser.add_argument('--seed', default='1')
    parser.add_argument('--csv', help='a file for the samples')
    options = parser.parse_args()
    skip_unless_possible(options.build)
    print('1..2\n# seed %s, %d seconds' % (options.seed, options.seconds), flush=True)
    failure, samples = None, []
    with tempfile.TemporaryDirectory(prefix='soak.', dir=find_memory()) as scratch:
        soak = Soak(options, os.path.realpath(scratch))
        try:
            samples = soak.run()
        except (Lost, Gone, OSError, StopIteration) as error:
            failure = '%s: %s' % (type(error).__name__, error)
        soak.close()
        print('# %s; %d steps' % (', '.join('%d %s' % (v, k) for k, v in soak.counts.items()),
                                  sum(o.steps for o in soak.owners)))
        if failure:
            with open(soak.log, encoding='utf-8', errors='replace') as file:
                for line in file.readlines()[-20:]:
                    print('# daemon: ' + line.rstrip())
    if options.csv and samples:
        with open(options.csv, 'w', encoding='ascii') as file:
            for row in [list(samples[0])] + [list(s.values()) for s in samples]:
                file.write(','.join(map(str, row)) + '\n')
    print('%s 1 - soak: nothing is lost' % ('not ok' if failure else 'ok'))
    limits = {**LIMITS, **LONG_LIMITS} if options.seconds >= LONG else LIMITS
    grown = list(judge(samples, limits)) if samples else [failure]
    for text in [failure] * bool(failure) + grown:
        print('# %s' % text)
    print('%s 2 - soak: nothing grows' % ('not ok' if grown else 'ok'))
    return 1 if failure or grown else 0


if __name__ == '__main__':
    sys.exit(main())
