#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts: what a disk may hold at any moment of a store's life is a store that keeps its promises.

A daemon works under a layer that records what it does to its files (disk-shim.c), from the making of
the store on, through unmounts and a kill, for several users (workload.py). Then states of the disk are
made, each for a moment of that recording and with some of what was not synced then (disk.py): it has
to open, to pass fsck, and to have what was promised until then (promises.py). Some openings are
recorded in turn, and cut off as well. So are commands that do little but move references, each just
after it has, and has not returned: in a life that is seldom.

A state is named by the recording's directory and its number. What fails is kept, and said how to see
again.
"""

import argparse
import errno
import os
import random
import shutil
import subprocess
import sys
import tempfile

from disk import Choice, Disk, NOTE, RENAME, SYNC, SYNC_ALL, UNLINK, read_log
from kills import look
from mounts import Control, Mount, find_memory, is_long, layer_environment, skip_unless_possible
from promises import Promises
from stores import Probe, Refused, Store
from workload import ENVIRONMENT, NAMESPACES, Workload

SESSIONS = 4  # mounts of a recording
LIVES = {  # name: how the store is named, and what its disk looks like
    'rocksdb': ('', {}),
    'fuse': ('', {'PROLLY_DISK_FUSE': '1'}),
    'file': ('file://', {}),
    # In the second session a sync fails, in which nobody believes afterwards; that is all.
    'lost-sync': ('', {}),
}
RECORD_EVERY = 10    # states: the opening of one is recorded
OPENING_STATES = 5   # that are made of it
MOVES = (            # of references
    ('tag', 'light'), ('tag', '-m', 'annotated', 'annotated'), ('branch', 'one'),
    ('branch', '-m', 'one', 'two'), ('tag', '-f', 'light', 'side'), ('branch', '-D', 'two'),
    ('tag', '-d', 'light'))


class Recording:
    """DIR has `log`; the recorded files were below `disk` in it. IMAGE: what was there at first."""

    def __init__(self, directory, image=None):
        self.dir, self.image = directory, image
        self.root = directory + '/disk'  # one that was kept says where that was
        if os.path.exists(directory + '/root'):
            with open(directory + '/root', encoding='utf-8') as file:
                self.root = file.read()
            self.image = directory + '/image' if os.path.isdir(directory + '/image') else None
        self.records = read_log(directory + '/log')
        self.syncs = [i for i, record in enumerate(self.records)
                      if record.op in (SYNC, SYNC_ALL, NOTE)]

    def choose_moment(self, r):
        """How many records there were: half of the time just after something was synced or said."""
        if r.random() < 0.5 and self.syncs:
            return r.choice(self.syncs) + 1
        return r.randrange(len(self.records) + 1)


def record_life(build, directory, life, seed, turns):
    """Records a store's life of SESSIONS mounts; one in the middle and the last end by a kill."""
    kind, looks = LIVES[life]
    disk, log, mount = directory + '/disk', directory + '/log', directory + '/mnt'
    os.makedirs(disk)
    environment = {**layer_environment(build, disk, log), **looks}
    workload = Workload(build + '/src/prollyfs-ctl', mount, log, '%s %s' % (seed, life))
    control = Control(directory + '/control')
    environment['PROLLY_DISK_CONTROL'] = control.path
    r = random.Random('%s syncs' % seed)
    for session in range(2 if life == 'lost-sync' else SESSIONS):
        daemon = Mount(build, kind + disk + '/store', mount, environment, directory + '/daemon.log')
        try:
            if session == 0:
                workload.make_branches()
            elif life == 'lost-sync':
                control.arm(Control.FAIL, r.randrange(60), Control.SYNCS, errno.EIO)
            failure = workload.run(turns)
            control.disarm()
            if life == 'lost-sync' and session == 1:
                break
            if failure or not daemon.is_alive():
                raise RuntimeError('the daemon went: %s' % failure)
            if session not in (1, SESSIONS - 1):
                daemon.unmount()
        finally:
            daemon.kill()
    if life == 'lost-sync':
        subprocess.run([build + '/src/prollyfs-ctl', '-C', disk + '/store', 'status'],
                       env=environment, stdout=subprocess.DEVNULL, check=False)
    control.close()
    return Recording(directory)


def record_opening(build, directory, image, life):
    """Records what the next command does to the disk IMAGE, of which a copy is worked on."""
    kind, looks = LIVES[life]
    disk = directory + '/disk'
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(image, disk)
    subprocess.run([build + '/src/prollyfs-ctl', '-C', kind + disk + '/store', 'status'],
                   env={**layer_environment(build, disk, directory + '/log'), **looks},
                   stdout=subprocess.DEVNULL, check=False)
    return Recording(directory, image)


def record_moves(build, directory):
    """Records MOVES on a store with a commit and another branch."""
    image, disk = directory + '/image', directory + '/disk'

    def run(store, words, environment=None):
        subprocess.run([build + '/src/prollyfs-ctl', '-C', store + '/store', '-q', *words], check=True,
                       env={**os.environ, **(environment or {}), **ENVIRONMENT})
    os.makedirs(image)
    subprocess.run([build + '/src/prollyfs-ctl', '-q', 'init', image + '/store'], check=True)
    for words in (('put', 'ns/k', 'value'), ('commit', '-m', 'one'), ('branch', 'side'),
                  ('put', 'ns/k', 'other'), ('commit', '-m', 'two')):
        run(image, words)
    shutil.copytree(image, disk, symlinks=True)
    for words in MOVES:
        run(disk, words, layer_environment(build, disk, directory + '/log'))
    return Recording(directory, image)


class Cutter:
    """Makes states of a recording, and looks whether they keep their promises."""

    def __init__(self, build, recording, seed, state):
        self.build, self.recording, self.seed = build, recording, seed
        self.state = state  # the path of the present one
        self.disk = None
        self.probe = Probe(build)

    def choose(self, number):
        """The moment of state NUMBER, and the random source of the rest of it."""
        r = random.Random('%s state %d' % (self.seed, number))
        return self.recording.choose_moment(r), r

    def look(self, promises, r):
        """Complaints about the present state."""
        store = self.state + '/store'
        if not os.path.exists(store + '/config'):
            if promises.made:
                return ['there is no store']
            # what was cut off in its making is begun again
            done = subprocess.run([self.build + '/src/prollyfs-ctl', 'init', store],
                                  capture_output=True, check=False)
            return [done.stderr.decode()] if done.returncode else []
        return look(self.probe, store, promises, r)

    def cut(self, numbers, promises):
        """Makes and looks at the states NUMBERS, at self.state; yields (number, what, complaints)."""
        self.disk = disk = Disk(self.recording.root, self.recording.image)
        at = 0
        for moment, number in sorted((self.choose(number)[0], number) for number in numbers):
            for record in self.recording.records[at:moment]:
                if record.op == NOTE:
                    promises.feed(record.data)
                else:
                    disk.feed(record)
            at = moment
            strategy, r = self.make(number, self.state)
            yield number, '%s after record %d' % (strategy, moment), self.look(promises, r)

    def make(self, number, path):
        """Makes state NUMBER, whose moment it is, at PATH."""
        _, r = self.choose(number)
        strategy = r.choice(Choice.STRATEGIES)
        shutil.rmtree(path, ignore_errors=True)
        self.disk.write_state(path, Choice(r, self.disk.pending(), strategy))
        return strategy, r

    def close(self):
        self.probe.close()


class Report:
    """Counts, and keeps what failed for whoever looks into it."""

    def __init__(self):
        self.n_states = self.n_bad = 0

    def add(self, what, cutter, complaints):
        self.n_states += 1
        if not complaints:
            return
        self.n_bad += 1
        print('# %s' % what)
        for complaint in complaints[:5]:
            print('#   ' + complaint.strip())
        if self.n_bad == 1:
            kept = tempfile.mkdtemp(prefix='powercut-', dir=cutter.build + '/meson-logs')
            shutil.copy(cutter.recording.dir + '/log', kept)
            with open(kept + '/root', 'w', encoding='utf-8') as file:
                file.write(cutter.recording.root)
            if cutter.recording.image:
                shutil.copytree(cutter.recording.image, kept + '/image')
            print('# again: powercut.py --recording %s --seed "%s" --state N' % (kept, cutter.seed))
        sys.stdout.flush()

    def say(self, number, what):
        """How test NUMBER ended; how many were bad."""
        print('%s %d - %s: %d states of the disk after a power cut, %d bad' % (
            'not ok' if self.n_bad else 'ok', number, what, self.n_states, self.n_bad), flush=True)
        return self.n_bad


def cut_life(options, life, scratch, report):
    """The states of a life; every RECORD_EVERY-th is opened under the layer, and cut off again."""
    directory = '%s/%s' % (scratch, life)
    recording = Recording(options.recording) if options.recording else \
        record_life(options.build, directory, life, options.seed, options.turns)
    print('# %s: seed %s, %d records' % (life, options.seed, len(recording.records)), flush=True)
    cutter = Cutter(options.build, recording, options.seed, scratch + '/state')
    promises = Promises(False)
    numbers = [options.state] if options.state is not None else \
        range(options.states // len(options.lives))
    for number, what, complaints in cutter.cut(numbers, promises):
        report.add('%s, state %d: %s' % (life, number, what), cutter, complaints)
        if options.first and complaints:
            break
        if promises.made and not complaints and number % RECORD_EVERY == 0:
            cut_opening(options, life, scratch, cutter, number, promises, report)
    cutter.close()


def cut_opening(options, life, scratch, cutter, number, promises, report):
    """States of an opening of the state that CUTTER has just made."""
    directory = scratch + '/opening'
    image = directory + '-image'
    cutter.make(number, image)
    opening = Cutter(options.build, record_opening(options.build, directory, image, life),
                     '%s %d' % (options.seed, number), scratch + '/state')
    for again, what, complaints in opening.cut(range(OPENING_STATES), promises.copy()):
        report.add('%s, state %d of the opening of state %d: %s' % (life, again, number, what),
                   opening, complaints)
    opening.close()


def look_at_moves(cutter, image, r):
    """Complaints about a state of what IMAGE was: its branches are as they were, all else is or is not."""
    try:
        with cutter.probe.open(cutter.state + '/store'):
            store = Store(cutter.probe, NAMESPACES, r)
    except Refused as refusal:
        return [str(refusal)]
    complaints = ['branch %s moved' % name for name, commit in image.branches.items()
                  if store.branches.get(name) != commit]
    return complaints + ['%s is %s' % (name, commit)
                         for name, commit in [*store.branches.items(), *store.tags.items()]
                         if commit not in image.commits]


def cut_moves(options, scratch, report):
    """States just after a reference's file was renamed or removed, of which the disk has the name."""
    recording = record_moves(options.build, scratch + '/moves')
    cutter = Cutter(options.build, recording, options.seed, scratch + '/state')
    with cutter.probe.open(recording.image + '/store'):
        image = Store(cutter.probe, NAMESPACES, random.Random(0))
    disk = cutter.disk = Disk(recording.root, recording.image)
    for at, record in enumerate(recording.records, 1):
        disk.feed(record)
        if record.op not in (RENAME, UNLINK) or '/git/refs/' not in record.path + record.other:
            continue
        for again in range(options.moves):
            r = random.Random('%s move %d %d' % (options.seed, at, again))
            choice = Choice(r, disk.pending(), 'journal')
            choice.limit = max(disk.pending(), default=0)
            shutil.rmtree(cutter.state, ignore_errors=True)
            disk.write_state(cutter.state, choice)
            report.add('move after record %d, %d' % (at, again), cutter,
                       look_at_moves(cutter, image, r))
    cutter.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True)
    parser.add_argument('--states', type=int, default=7200 if is_long() else 240,
                        help='beside those of openings, which are half as many')
    parser.add_argument('--turns', type=int, default=12, help='of the users, in each session')
    parser.add_argument('--moves', type=int, default=100 if is_long() else 6,
                        help='states just after a reference was moved')
    parser.add_argument('--seed', default='1')
    parser.add_argument('--first', action='store_true', help='stop at the first failure')
    # A sync that fails is rarer than a power cut.
    parser.add_argument('--lives', nargs='+', choices=LIVES,
                        default=[life for life in LIVES if life != 'lost-sync' or is_long()])
    parser.add_argument('--recording', help='of one of the lives, made before: its directory')
    parser.add_argument('--state', type=int, help='only that one')
    options = parser.parse_args()
    skip_unless_possible(options.build)
    print('1..%d' % (len(options.lives) + 1))
    report = Report()
    with tempfile.TemporaryDirectory(prefix='powercut.', dir=find_memory()) as scratch:
        cut_moves(options, os.path.realpath(scratch), report)
    n_bad = report.say(1, 'references')
    for number, life in enumerate(options.lives, 2):
        report = Report()
        with tempfile.TemporaryDirectory(prefix='powercut.', dir=find_memory()) as scratch:
            cut_life(options, life, os.path.realpath(scratch), report)
        n_bad += report.say(number, life)
    return 1 if n_bad else 0


if __name__ == '__main__':
    sys.exit(main())
