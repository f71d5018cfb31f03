#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills: whatever moment SIGKILL comes at, a store keeps its promises.

 - under load: a daemon that several users work with (workload.py) is killed at some call that changes
   a file, in the middle of it if it writes: of theirs, or while it collects and they go on writing; so
   are those that open the store after it, while they recover, now and then.
 - step by step: each command that changes a store is killed at its first such call, at its second...
   and what opens the store after that, likewise.

The layer under the daemon (disk-shim.c) kills. After each kill the store has to open, to pass fsck,
and to have every value, commit, branch and tag that a caller was told of (promises.py). And it has to
work: nothing of what is done to it by a later user may be refused, such as for a lock that is nobody's.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

from mounts import Control, Mount, find_memory, is_long, layer_environment, skip_unless_possible
from promises import Promises, make_content
from stores import Probe, Refused, Store
from workload import ENVIRONMENT, NAMESPACES, Workload, read_notes

KILLS_OF_A_STORE = 25
SPARSE = 8  # of the calls that every command begins with, so many less are tried with each
CALLS = {'while it opens the store': 60, 'while it collects': 250, 'at work': 1500}
COMMANDS = (  # and what a caller is told of each
    (('commit', '-m', 'm'), {'what': 'moving', 'branch': 'main'}),
    (('merge', '-m', 'm', 'side'), {'what': 'moving', 'branch': 'main', 'side': 'side'}),
    (('gc', '--prune=now'), None),
    (('branch', 'new', 'side'), {'what': 'branching', 'branch': 'new'}),
    (('branch', '-D', 'scratch'), {'what': 'branching', 'branch': 'scratch'}),
    (('-b', 'scratch', 'reset', '--hard', 'scratch~1'),
     {'what': 'moving', 'branch': 'scratch', 'to': 'BEFORE'}),
    (('put', 'put/whole-put-9', make_content('whole-put-9', 1).decode()),
     {'what': 'begin', 'branch': 'main', 'key': 'whole-put-9', 'version': 1}),
    (('status',), None),  # recovery alone
)
RECOVERY = COMMANDS[-1][0]


class Report:
    def __init__(self, unit):
        self.unit, self.n, self.n_bad = unit, 0, 0

    def add(self, what, complaints):
        self.n += 1
        if complaints:
            self.n_bad += 1
            print('# %s' % what)
            for complaint in complaints[:5]:
                print('#   ' + complaint.strip())
            sys.stdout.flush()

    def say(self, number, name):
        print('%s %d - %s: %d %s, %d bad' % ('not ok' if self.n_bad else 'ok', number, name,
                                             self.n, self.unit, self.n_bad), flush=True)
        return self.n_bad


def look(probe, store, promises, r):
    """Complaints about STORE."""
    try:
        with probe.open(store):
            return list(promises.check(Store(probe, NAMESPACES, r)))
    except Refused as refusal:
        return [str(refusal)]


# ---- Under load

class Victim:
    """A store and its users, in DIRECTORY."""

    def __init__(self, build, directory, seed):
        self.build, self.dir = build, directory
        self.store, self.mount = directory + '/disk/store', directory + '/mnt'
        os.makedirs(directory + '/disk')
        self.control = Control(directory + '/control')
        self.environment = layer_environment(build, directory + '/disk', None, self.control.path)
        self.log = directory + '/notes'
        self.workload = Workload(build + '/src/prollyfs-ctl', self.mount, self.log, seed)
        self.promises = Promises(True)
        self.n_fed = 0
        self.r = random.Random('%s kills' % seed)
        self.probe = Probe(build)
        daemon = self.start()
        self.workload.make_branches()
        daemon.unmount()

    def start(self):
        return Mount(self.build, self.store, self.mount, self.environment, self.dir + '/daemon.log')

    def live_and_die(self):
        """What the kill hit, and what was refused (nullable) though nobody had been killed yet."""
        hit = self.r.choices(('while it opens the store', 'while it collects', 'at work'),
                             (2, 3, 5))[0]
        wait = self.r.randrange(CALLS[hit])
        self.control.arm(Control.PASS)
        if hit == 'while it opens the store':
            self.control.arm(Control.KILL, wait)
        daemon = self.start()
        failure = None
        if hit == 'while it collects' and daemon.is_alive():
            failure = self.workload.run(2)
        if hit != 'while it opens the store' and daemon.is_alive():
            self.control.arm(Control.KILL, wait)
        while daemon.is_alive() and not failure:
            failure = self.workload.run(
                1, self.workload.commander.collect if hit == 'while it collects' else None)
        was_killed = self.control.n_struck() > 0
        daemon.kill()
        self.control.disarm()
        return '%s, at call %d' % (hit, wait), None if was_killed else failure

    def judge(self):
        for text in read_notes(self.log)[self.n_fed:]:
            self.promises.feed(text)
            self.n_fed += 1
        try:
            with self.probe.open(self.store):
                found = Store(self.probe, NAMESPACES, self.r)
                complaints = list(self.promises.check(found))
                self.promises.settle(found)
        except Refused as refusal:
            return [str(refusal)]
        self.workload.commander.branches = [b for b in found.branches if b.startswith('made')]
        return complaints

    def keep(self):
        """For whoever looks into what it is. Where."""
        kept = tempfile.mkdtemp(prefix='kills-', dir=self.build + '/meson-logs')
        shutil.copytree(self.dir + '/disk', kept + '/disk', symlinks=True)
        shutil.copy(self.log, kept)
        return kept

    def close(self):
        self.probe.close()
        self.control.close()


def kill_under_load(options, scratch, report):
    for i in range(0, options.kills, KILLS_OF_A_STORE):
        seed = '%s %d' % (options.seed, i)
        victim = Victim(options.build, '%s/%d' % (scratch, i), seed)
        for n in range(min(KILLS_OF_A_STORE, options.kills - i)):
            what, refusal = victim.live_and_die()
            complaints = victim.judge()
            if refusal:
                complaints.append('refused: %s' % refusal)
            report.add('store "%s", kill %d %s' % (seed, n, what), complaints)
            if complaints:
                print('# store and notes: ' + victim.keep(), flush=True)
                break  # what it has is not what it should have any more
        victim.close()
        shutil.rmtree(victim.dir, ignore_errors=True)


# ---- Step by step

def make_image(options, scratch):
    """A store that a kill has left, with something to be done for each command: its promises."""
    victim = Victim(options.build, scratch + '/image', options.seed + ' steps')
    daemon = victim.start()
    failure = victim.workload.run(10)
    for branch in ('main', 'side', 'scratch', 'scratch'):
        victim.workload.commander.commit(branch)
        failure = failure or victim.workload.run(1)
    for writer in victim.workload.writers:
        writer.run(5)
    daemon.kill()
    if failure:
        raise failure
    notes = [json.loads(text) for text in read_notes(victim.log)]
    for note in notes:
        victim.promises.feed_note(dict(note))
    victim.before = [note['head'] for note in notes
                     if note['what'] == 'moved' and note['branch'] == 'scratch'][-2]
    victim.close()
    return victim


class Stepper:
    """Runs a command on copies of an image, killed at one call after the other."""

    def __init__(self, options, victim, scratch):
        self.build, self.victim = options.build, victim
        self.disk = scratch + '/disk'
        self.control = Control(scratch + '/control')
        self.environment = {**layer_environment(self.build, self.disk, None, self.control.path),
                            **ENVIRONMENT}
        self.probe = Probe(self.build)
        self.counts, self.openings = {}, {}

    def copy_image(self):
        shutil.rmtree(self.disk, ignore_errors=True)
        shutil.copytree(self.victim.dir + '/disk', self.disk)

    def run(self, words, action, wait=0, error=0, calls=Control.ALL):
        self.control.arm(action, wait, calls, error)
        done = subprocess.run([self.build + '/src/prollyfs-ctl', '-C', self.disk + '/store', *words],
                              env=self.environment, capture_output=True, check=False)
        self.control.disarm()
        return done

    def count(self, words, calls=Control.ALL):
        """The CALLS that WORDS make, and what is wrong if nobody kills them."""
        if (words, calls) not in self.counts:
            self.copy_image()
            done = self.run(words, Control.PASS, calls=calls)
            wrong = done.stderr.decode() if done.returncode else None
            self.counts[words, calls] = self.control.n_calls(), wrong
        return self.counts[words, calls]

    def count_opening(self, calls):
        """The CALLS that the opening of the image makes."""
        if calls in self.openings:
            return self.openings[calls]
        self.copy_image()
        self.control.arm(Control.PASS, calls=calls)
        probe = Probe(self.build, self.environment)
        with probe.open(self.disk + '/store'):
            self.openings[calls] = self.control.n_calls()
        probe.close()
        self.control.disarm()
        return self.openings[calls]

    def choose(self, words, n_wanted, r, calls=Control.ALL):
        """N_WANTED numbers of CALLS of WORDS, or all: those of the opening are tried in RECOVERY."""
        n, opening = self.count(words, calls)[0], 0 if words == RECOVERY else self.count_opening(calls)
        chosen = [at for at in range(n) if at >= opening or r.randrange(SPARSE) == 0]
        return sorted(r.sample(chosen, min(n_wanted, len(chosen))))

    def prepare(self, note):
        """A new copy, of which a caller is told NOTE: its promises."""
        self.copy_image()
        promises = self.victim.promises.copy()
        if note:
            promises.feed_note({field: self.victim.before if value == 'BEFORE' else value
                                for field, value in note.items()})
        return promises

    def step(self, words, note, at, again):
        """Complaints after a kill at call AT, and (not None) another of what comes next."""
        promises = self.prepare(note)
        self.run(words, Control.KILL, at)
        if again is not None:
            self.run(('status',), Control.KILL, again)
        complaints = look(self.probe, self.disk + '/store', promises, random.Random(at))
        branch = note['branch'] if note and note['what'] == 'moving' else 'main'
        done = self.run(('-b', branch, 'commit', '--allow-empty', '-m', 'after'), Control.PASS)
        if done.returncode:
            complaints.append('refused: ' + done.stderr.decode())
        return complaints

    def close(self):
        self.probe.close()
        self.control.close()


def kill_by_steps_of(options, stepper, state, report):
    r = random.Random(options.seed + ' steps')
    for words, note in COMMANDS:
        if options.commands and words[0] not in options.commands:
            continue
        n, wrong = stepper.count(words)
        if wrong:
            report.add(' '.join(words), [wrong])
            continue
        for at in stepper.choose(words, options.steps, r):
            again = r.randrange(60) if r.random() < 0.5 else None
            report.add('%s, of a store %s, killed at call %d of %d%s' % (
                words[0], state, at, n, '' if again is None else ', and recovery at call %d' % again),
                stepper.step(words, note, at, again))
    stepper.close()


def kill_by_steps(options, scratch, report):
    """Of a store that has a journal of what is not synced yet, and of one that has none."""
    victim = make_image(options, scratch)
    kill_by_steps_of(options, Stepper(options, victim, scratch), 'that a kill has left', report)
    subprocess.run([options.build + '/src/prollyfs-ctl', '-C', victim.store, 'status'],
                   stdout=subprocess.DEVNULL, check=True)
    kill_by_steps_of(options, Stepper(options, victim, scratch), 'that was closed', report)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True)
    parser.add_argument('--kills', type=int, default=700 if is_long() else 25, help='under load')
    parser.add_argument('--steps', type=int, default=1000000 if is_long() else 5,
                        help='of each command, at most')
    parser.add_argument('--commands', nargs='+', help='only those')
    parser.add_argument('--seed', default='1')
    options = parser.parse_args()
    skip_unless_possible(options.build)
    n_bad = 0
    print('1..2\n# seed %s' % options.seed, flush=True)
    for number, (name, run) in enumerate((('under load', kill_under_load),
                                          ('step by step', kill_by_steps))):
        report = Report('kills')
        with tempfile.TemporaryDirectory(prefix='kills.', dir=find_memory()) as scratch:
            run(options, os.path.realpath(scratch), report)
        n_bad += report.say(number + 1, name)
    return 1 if n_bad else 0


if __name__ == '__main__':
    sys.exit(main())
