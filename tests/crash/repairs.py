#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Repairs that are killed: whatever moment SIGKILL comes at, nothing is lost by it, and nothing guessed.

A store of plain files is damaged in one way. `fsck --repair` is killed at its first call that changes a
file, at its second... What it is given again after that has to do what it would have done at first: take
back what is held elsewhere, so that all is as it was; or leave what is not, and say so, and the rest be
as it was.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

from kills import Report
from mounts import Control, find_memory, is_long, layer_environment, skip_unless_possible
from workload import ENVIRONMENT

N_KEYS = 500
READS = (('-b', 'main', 'dump', 'ns'), ('-b', 'topic', 'dump', 'ns'),
         ('--at', 'main~1', 'dump', 'ns'), ('-b', 'main', 'get', 'ns/large'),
         ('-b', 'topic', 'get', 'ns/large'), ('-b', 'main', 'status'), ('branch',), ('tag',))


class Site:
    """The store, and a copy of it as it was before."""

    def __init__(self, build, scratch):
        self.ctl_path, self.scratch = build + '/src/prollyfs-ctl', scratch
        self.disk, self.whole = scratch + '/disk', scratch + '/whole'
        self.store = self.disk + '/store'
        self.control = Control(scratch + '/control')
        self.plain = {**os.environ, **ENVIRONMENT}
        self.layered = {**layer_environment(build, self.disk, None, self.control.path),
                        **ENVIRONMENT}

    def call(self, *words, stdin=b'', environment=None):
        return subprocess.run([self.ctl_path, '-C', self.store, *words], input=stdin,
                              env=environment or self.plain, capture_output=True, check=False)

    def must(self, *words, stdin=b''):
        done = self.call(*words, stdin=stdin)
        if done.returncode:
            raise RuntimeError('%s: %s' % (words, done.stderr.decode()))

    def make(self):
        """Two commits on main; a topic whose value of the key `large` begins with main's."""
        content = random.Random(1).randbytes(5000)
        os.makedirs(self.disk)
        subprocess.run([self.ctl_path, '-q', 'init', 'file://' + self.store], env=self.plain,
                       check=True)
        self.must('load', 'ns', stdin=b''.join(b'k%04d\tvalue %d\n' % (i, i) for i in range(N_KEYS)))
        self.must('commit', '-m', 'one')
        self.must('put', 'ns/large', stdin=content)
        self.must('commit', '-m', 'two')
        self.must('branch', 'topic')
        self.must('-b', 'topic', 'put', 'ns/large', stdin=content + b'more')
        self.must('-b', 'topic', 'commit', '-m', 'three')
        self.must('tag', 'v1', 'topic')
        self.must('put', 'ns/k0007', 'staged')
        shutil.copytree(self.disk, self.whole)

    def restore(self):
        shutil.rmtree(self.disk)
        shutil.copytree(self.whole, self.disk)

    def read(self):
        return [(done.returncode, done.stdout) for done in (self.call(*words) for words in READS)]

    def nodes(self, node_class, least):
        """The files of nodes of at least LEAST bytes, the largest first."""
        found = [os.path.join(folder, name)
                 for folder, _, names in os.walk('%s/nodes/%s' % (self.store, node_class))
                 for name in names]
        return sorted((path for path in found if os.path.getsize(path) >= least),
                      key=os.path.getsize, reverse=True)

    def repair(self, action, wait=0):
        self.control.arm(action, wait)
        done = self.call('fsck', '--repair', environment=self.layered)
        self.control.disarm()
        return done


# ---- Damages

def damage_file(path):
    os.chmod(path, 0o644)
    with open(path, 'r+b') as file:
        file.seek(20)
        file.write(b'XXXX')


def damage_reference(site):
    with open(site.store + '/git/refs/heads/topic', 'w', encoding='utf-8') as file:
        file.write('nonsense\n')


def damage_copied(site):
    """Nodes of which there is a copy in the other class."""
    for path in site.nodes('tree', 200):
        copy = path.replace('/nodes/tree/', '/nodes/chunk/')
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy(path, copy)
        damage_file(path)


def damage_held(site):
    """main's value, the bytes of which topic's has too; lost, not changed."""
    os.remove(site.nodes('chunk', 5000)[1])


def damage_unique(site):
    """What nobody else holds."""
    damage_file(site.nodes('chunk', 5000)[0])


DAMAGES = (('a reference', damage_reference, True), ('nodes that are there twice', damage_copied, True),
           ('a value that another has', damage_held, True), ('a value', damage_unique, False))


# ---- Kills

def complain(site, sound, is_repairable):
    """About the store after a repair that was killed."""
    again = site.repair(Control.PASS)
    verdict = site.call('fsck').returncode
    found = site.read()
    if again.returncode != (0 if is_repairable else 1) or verdict != again.returncode:
        yield 'again %d, fsck %d: %s %s' % (again.returncode, verdict, again.stdout.decode(),
                                            again.stderr.decode())
    for words, was, now in zip(READS, sound, found):
        may_differ = not is_repairable and ('topic' in words and 'ns/large' in words or
                                            words == ('-b', 'topic', 'dump', 'ns'))
        if now != was and not may_differ:
            yield '%s: %d, %r' % (' '.join(words), now[0], now[1][:60])
        if may_differ and now[0] != 2:
            yield '%s: what is lost was read' % ' '.join(words)


def kill_repair(site, options, name, damage, is_repairable):
    report = Report('kills')
    site.restore()
    sound = site.read()
    damage(site)
    done = site.repair(Control.PASS)
    n = site.control.n_calls()
    if done.returncode != (0 if is_repairable else 1):
        report.add(name, ['%d: %s' % (done.returncode, done.stdout.decode())])
    r = random.Random(name)
    steps = range(n) if options.steps >= n else sorted(r.sample(range(n), options.steps))
    for at in steps:
        site.restore()
        damage(site)
        site.repair(Control.KILL, at)
        report.add('%s, killed at call %d of %d' % (name, at, n),
                   list(complain(site, sound, is_repairable)))
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True)
    parser.add_argument('--steps', type=int, default=1000000 if is_long() else 4,
                        help='of each repair, at most')
    options = parser.parse_args()
    skip_unless_possible(options.build)
    print('1..%d' % len(DAMAGES), flush=True)
    n_bad = 0
    with tempfile.TemporaryDirectory(prefix='repairs.', dir=find_memory()) as scratch:
        site = Site(options.build, os.path.realpath(scratch))
        site.make()
        for number, (name, damage, is_repairable) in enumerate(DAMAGES):
            n_bad += kill_repair(site, options, name, damage, is_repairable).say(number + 1, name)
        site.control.close()
    return 1 if n_bad else 0


if __name__ == '__main__':
    sys.exit(main())
