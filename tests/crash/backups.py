#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Backups that end early: whatever happens, there is the backup before or the new one, whole.

A store that a kill has left is backed up, once to a place where nothing is and once over an earlier
backup of it, while

 - the process is killed at one of the calls by which it changes files (disk-shim.c),
 - one of these calls fails (each sync for want of space: the log then has what was not written), or
 - the power is cut, and the disk has some of what was not synced (disk.py).

Then what is at the place has to be nothing (the first time), the earlier backup, or the new one: it
opens, passes fsck, and has every branch, tag, commit and value of the one or the other. So has the store. The
next backup succeeds, and is the new one.

A process that aborts has failed, unless it was still opening the store: there RocksDB, as Debian builds
it, ends it by an assertion where it cannot write a file (failures.py).
"""

import argparse
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

from disk import Choice, Disk, read_log
from kills import Report, Stepper, make_image
from mounts import Control, find_memory, is_long, layer_environment, skip_unless_possible
from stores import Refused, Store
from workload import ENVIRONMENT, NAMESPACES

ERRORS = (errno.ENOSPC, errno.EIO, errno.EINTR)


class Saver(Stepper):
    """Backs copies of an image up, from disk/store to disk/backup."""

    def __init__(self, options, victim, scratch):
        super().__init__(options, victim, scratch)
        self.scratch = scratch
        self.words = ('backup', self.disk + '/backup')
        self.earlier = None  # the state of the backup that there is

    def fetch(self, path):
        """All that the store PATH holds."""
        with self.probe.open(path):
            store = Store(self.probe, NAMESPACES, random.Random(0))
            return (store.branches, store.tags, sorted(store.commits),
                    store.read(sorted(store.branches), sorted(store.branches.values())))

    def begin_second(self):
        """The image has a backup from now on, and something that is newer than that."""
        image = self.victim.dir + '/disk'
        self.ctl(image, 'backup', image + '/backup')
        self.earlier = self.fetch(image + '/backup')
        self.ctl(image, 'put', NAMESPACES[0] + '/new', 'value')
        self.ctl(image, 'commit', '-m', 'new')
        self.counts.clear()

    def ctl(self, disk, *words):
        subprocess.run([self.build + '/src/prollyfs-ctl', '-C', disk + '/store', '-q', *words],
                       env={**os.environ, **ENVIRONMENT}, check=True)

    def examine(self, disk, must_be_new=False):
        """What is wrong with the store and the backup on DISK."""
        try:
            new = self.fetch(disk + '/store')
        except Refused as refusal:
            return ['the store: %s' % refusal]
        if not os.path.exists(disk + '/backup'):
            return ['there is no backup'] if self.earlier or must_be_new else []
        try:
            found = self.fetch(disk + '/backup')
        except Refused as refusal:
            return ['the backup: %s' % refusal]
        if found == new or (found == self.earlier and not must_be_new):
            return []
        return ['the backup is neither the one before nor the new one']

    def finish(self, disk):
        """What is wrong with DISK, and after another backup."""
        complaints = self.examine(disk)
        done = subprocess.run([self.build + '/src/prollyfs-ctl', '-C', disk + '/store', 'backup',
                               disk + '/backup'], env={**os.environ, **ENVIRONMENT},
                              capture_output=True, check=False)
        if done.returncode:
            return complaints + ['the next one: ' + done.stderr.decode()]
        if os.path.exists(disk + '/backup.partial') or os.path.exists(disk + '/store/checkpoint'):
            complaints.append('something was left behind')
        return complaints + self.examine(disk, must_be_new=True)

    def kill(self, at):
        self.copy_image()
        self.run(self.words, Control.KILL, at)
        return self.finish(self.disk)

    def has_begun(self):
        """Whether anything of the backup was made on the disk."""
        return (os.path.exists(self.disk + '/backup.partial')
                or os.path.exists(self.disk + '/store/checkpoint')
                or (os.path.exists(self.disk + '/backup')
                    and self.fetch(self.disk + '/backup') != self.earlier))

    def fail(self, at, error, calls=Control.ALL):
        self.copy_image()
        done = self.run(self.words, Control.FAIL, at, error, calls)
        if (done.returncode == -signal.SIGABRT and b'rocksdb::' in done.stderr
                and not self.has_begun()):
            return self.finish(self.disk)
        if done.returncode not in (0, 2) or (done.returncode and not done.stderr):
            return ['it ended with %d: %s' % (done.returncode, done.stderr.decode())]
        if not done.returncode:
            return self.examine(self.disk, must_be_new=True)
        return self.finish(self.disk)

    def record(self):
        """The disk's changes as a backup makes them."""
        log = self.scratch + '/log'
        if os.path.exists(log):
            os.unlink(log)
        self.copy_image()
        subprocess.run([self.build + '/src/prollyfs-ctl', '-C', self.disk + '/store', *self.words],
                       env={**layer_environment(self.build, self.disk, log), **ENVIRONMENT},
                       stdout=subprocess.DEVNULL, check=True)
        return read_log(log)

    def cut(self, records, moments, r):
        """Of each of MOMENTS, in order, complaints about a state of the disk then."""
        disk, at = Disk(self.disk, self.victim.dir + '/disk'), 0
        state = self.scratch + '/state'
        for moment in moments:
            for record in records[at:moment]:
                disk.feed(record)
            at = moment
            shutil.rmtree(state, ignore_errors=True)
            disk.write_state(state, Choice(r, disk.pending(), r.choice(Choice.STRATEGIES)))
            complaints = []
            if moment == len(records):  # it had returned
                complaints = self.examine(state, must_be_new=True)
            yield moment, complaints + self.finish(state)


def choose(r, n, n_wanted):
    """Some of range(N), in order; with the last ones, in which the two are exchanged."""
    late = range(max(0, n - 12), n)
    chosen = set(r.sample(range(n), min(n_wanted, n)))
    return sorted(chosen | set(r.sample(late, min(len(late), n_wanted // 2))))


def strike(saver, options, r, which, report):
    n, wrong = saver.count(saver.words)
    report.add('nothing happens', [wrong] if wrong else [])
    for at in choose(r, n, options.kills):
        report.add('%s, killed at call %d of %d' % (which, at, n), saver.kill(at))
    for at in choose(r, n, options.failures):
        error = r.choice(ERRORS)
        report.add('%s, %s at call %d of %d' % (which, errno.errorcode[error], at, n),
                   saver.fail(at, error))
    for at in range(saver.count(saver.words, Control.SYNCS)[0]):
        report.add('%s, no space at sync %d' % (which, at),
                   saver.fail(at, errno.ENOSPC, Control.SYNCS))
    records = saver.record()
    moments = sorted(r.choices(range(len(records)), k=options.cuts) + [len(records)] * 3)
    for moment, complaints in saver.cut(records, moments, r):
        report.add('%s, cut after record %d of %d' % (which, moment, len(records)), complaints)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True)
    parser.add_argument('--kills', type=int, default=1000000 if is_long() else 4)
    parser.add_argument('--failures', type=int, default=1000000 if is_long() else 4)
    parser.add_argument('--cuts', type=int, default=1000 if is_long() else 15)
    parser.add_argument('--seed', default='1')
    options = parser.parse_args()
    skip_unless_possible(options.build)
    n_bad = 0
    print('1..2\n# seed %s' % options.seed, flush=True)
    with tempfile.TemporaryDirectory(prefix='backups.', dir=find_memory()) as scratch:
        scratch = os.path.realpath(scratch)
        saver = Saver(options, make_image(options, scratch), scratch)
        for number, which in enumerate(('the first backup', 'the second backup')):
            report = Report('states')
            if number:
                saver.begin_second()
            strike(saver, options, random.Random('%s %s' % (options.seed, which)), which, report)
            n_bad += report.say(number + 1, which)
        saver.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return 1 if n_bad else 0


if __name__ == '__main__':
    sys.exit(main())
