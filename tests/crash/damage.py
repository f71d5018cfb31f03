#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damage at rest: whatever happens to a file of a closed store, nobody reads anything wrong.

Each file of a store is damaged in each of these ways, one at a time: a bit is flipped, a block of zeros
takes its place, it is cut short (to nothing, to a half, by a byte), it changes places with another of its
kind, it is removed. Then everything is read, and `fsck` is asked. Either

 - the store does not open, and the message names what is damaged, or
 - fsck says what is, and everything else reads as before; what does not is an error, or
 - fsck says that nothing is, and everything reads as before: what was changed means nothing.

Never does it end by a signal, never is anything read that was not written, never is there less without
being told. HARMLESS are the files that nothing depends on.

Git's references and reflogs are lines of text without a sum: two that change places are two that were
moved, a tag that is gone was deleted, and what of a reflog reads as a line is believed. So such are not
asked of them; that a branch is gone with a file is noticed, as its reflog is not.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from kills import Report
from mounts import find_memory, is_long
from stores import Probe, Refused
from workload import ENVIRONMENT

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), 'golden')
HARMLESS = re.compile(r'(data/(LOG.*|LOCK|IDENTITY|OPTIONS-.*)|lock|backup|'
                      r'git/(description|info/exclude|hooks/.*|objects/info/commit-graph))$')
BLOCK = 512
WAYS = ('flip', 'flip', 'flip', 'zero', 'empty', 'half', 'shorter', 'swap', 'remove')


def list_files(top):
    return sorted(os.path.relpath(os.path.join(directory, name), top)
                  for directory, _, names in os.walk(top) for name in names)


def get_kind(name):
    """What NAME is a file of: its directory (of objects: all of them) and its suffix."""
    directory, base = os.path.split(name)
    if re.search(r'objects/..$|(tree|chunk)/..$', directory):
        return os.path.dirname(directory)
    if directory.startswith(('git/refs', 'git/logs')):
        return directory.split('/')[1]
    return directory + '/*' + os.path.splitext(base)[1] if '.' in base else name


def get_believed(name, status):
    """The commands whose answer git's text files decide, if NAME is one. STATUS: of fsck."""
    if name.startswith('git/logs/'):
        return re.compile('reflog')
    if name.startswith('git/refs/tags/') or (status and re.match('git/(refs/|packed-refs)', name)):
        return re.compile('^branch$|^tag$|log --all')
    return re.compile('$^')


class Image:
    """A closed store, and what everything in it reads as."""

    def __init__(self, name, path, probe, prepare):
        self.name, self.path = name, path
        self.probe = probe
        for words in prepare:
            subprocess.run([*words], check=True, stdout=subprocess.DEVNULL)
        self.files = list_files(path)
        state = path + '.state'
        shutil.copytree(path, state)
        branches = [line[2:] for line in self.ask(state, ['branch'])[0][1].decode().split('\n')[:-1]]
        self.commands = ['fsck --json', 'branch', 'tag', '--json log --all']
        for branch in branches:
            self.commands += ['-b %s %s' % (branch, words) for words in
                              ('--json status', '--json conflicts', 'reflog', 'root')]
            for where in '-b ' + branch, '--at ' + branch:
                self.commands += ['%s dump --format jsonl %s' % (where, ns)
                                  for ns in ('ns', 'other', 'files', '.', 'fresh')]
        self.expected = self.ask(state, self.commands)
        shutil.rmtree(state)
        assert self.expected[0] == (0, b''), self.expected[0]

    def ask(self, path, commands):
        return self.probe.ask(path, commands)

    def judge(self, state, name):
        """What is wrong with what is said of STATE, whose file NAME is damaged; and what was said."""
        try:
            answers = self.ask(state, self.commands)
        except Refused as refusal:
            return self.judge_refusal(str(refusal), state, name), 'refused'
        status, found = answers[0]
        if HARMLESS.match(name) and status:
            return ['it is harmless, but: ' + found.decode(errors='replace')], 'named'
        if status and not found.strip():
            return ['fsck says that there is damage, and not what'], 'named'
        complaints, is_believed = [], get_believed(name, status)
        for command, expected, (again, text) in zip(self.commands[1:], self.expected[1:], answers[1:]):
            if (again, text) == expected:
                continue
            if again == 2 and text and status:
                continue  # an error, of what fsck has found
            if is_believed.search(command):
                continue
            complaints.append('%s: %d %r for %d %r; fsck: %d %r' %
                              (command, again, text[-200:], expected[0], expected[1][-200:], status,
                               found[:300]))
        return complaints, 'named' if status else 'harmless'

    @staticmethod
    def judge_refusal(text, state, name):
        if not text.startswith('refused'):
            return [text]
        if HARMLESS.match(name):
            return ['it is harmless, but: ' + text]
        if os.path.basename(name) in text or state in text:
            return []
        return ['it does not say what is damaged: ' + text]


def damage(path, way, other, r):
    """Damages the file PATH in WAY; returns how, or None if that changes nothing."""
    with open(path, 'rb') as file:
        data = bytearray(file.read())
    before, how = bytes(data), way
    if way == 'flip' and data:
        at, bit = r.randrange(len(data)), r.randrange(8)
        data[at] ^= 1 << bit
        how = 'bit %d of byte %d flipped' % (bit, at)
    elif way == 'zero' and data:
        at = r.randrange(len(data)) // BLOCK * BLOCK
        data[at:at + BLOCK] = bytes(len(data[at:at + BLOCK]))
        how = 'zeros from byte %d' % at
    elif way in ('empty', 'half', 'shorter'):
        length = {'empty': 0, 'half': len(data) // 2, 'shorter': max(0, len(data) - 1)}[way]
        del data[length:]
        how = 'cut to %d bytes' % length
    elif way == 'swap' and other:
        with open(other, 'rb') as file:
            data = bytearray(file.read())
        os.chmod(other, 0o600)
        with open(other, 'wb') as file:
            file.write(before)
        how = 'swapped with ' + os.path.basename(other)
    elif way == 'remove':
        os.unlink(path)
        return 'removed'
    if bytes(data) == before:
        return None
    os.chmod(path, 0o600)
    with open(path, 'wb') as file:
        file.write(data)
    return how


def try_all(image, scratch, options, report, counts):
    r = random.Random('%s %s' % (options.seed, image.name))
    work = [(name, way) for name in image.files for way in WAYS]
    if options.share < len(work):
        # each file at least once
        work = [(name, r.choice(WAYS)) for name in image.files] + r.sample(work, options.share)
        work = work[:max(options.share, len(image.files))]
    for number, (name, way) in enumerate(work):
        r = random.Random('%s %s %s %d' % (options.seed, name, way, number))
        others = [other for other in image.files
                  if other != name and get_kind(other) == get_kind(name)]
        if options.only and options.only not in name:
            continue
        if way == 'swap' and name.startswith('git/refs/'):
            continue
        state = scratch + '/state'
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(image.path, state)
        other = state + '/' + r.choice(others) if others else None
        how = damage(state + '/' + name, way, other, r)
        if not how:
            continue
        if options.verbose:
            print('# %s: %s %s' % (image.name, name, how), flush=True)
        complaints, outcome = image.judge(state, name)
        counts[outcome] = counts.get(outcome, 0) + 1
        report.add('%s: %s %s' % (image.name, name, how), complaints)


def make_images(build, scratch, probe):
    """Golden stores as they are, and packed."""
    def unpack(name, as_name):
        subprocess.run(['tar', '-C', scratch, '-xJf', '%s/%s.tar.xz' % (GOLDEN, name)], check=True)
        os.rename(scratch + '/' + name, scratch + '/' + as_name)
        return scratch + '/' + as_name

    ctl = build + '/src/prollyfs-ctl'
    packed = unpack('rocksdb', 'packed')
    yield Image('as it was left', unpack('rocksdb', 'plain'), probe, [])
    yield Image('packed', packed, probe, [
        [ctl, '-C', packed, '-q', 'gc', '--prune=now'],
        ['git', '--git-dir=%s/git' % packed, 'pack-refs', '--all'],
        ['git', '--git-dir=%s/git' % packed, 'commit-graph', 'write', '--reachable'],
        [ctl, '-C', packed, '-q', 'put', 'ns/since', 'then']])
    yield Image('with files', unpack('file', 'files'), probe, [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True)
    parser.add_argument('--share', type=int, default=1000000 if is_long() else 90,
                        help='damages of each store')
    parser.add_argument('--seed', default='1')
    parser.add_argument('--only', help='files with this in their names')
    parser.add_argument('--verbose', action='store_true', help='say what is done')
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    print('1..3\n# seed %s' % options.seed, flush=True)
    n_bad = 0
    probe = Probe(options.build)
    with tempfile.TemporaryDirectory(prefix='damage.', dir=find_memory()) as scratch:
        scratch = os.path.realpath(scratch)
        for number, image in enumerate(make_images(options.build, scratch, probe)):
            report, counts = Report('damages'), {}
            try_all(image, scratch, options, report, counts)
            n_bad += report.say(number + 1, image.name)
            print('# ' + ', '.join('%d %s' % (n, what) for what, n in sorted(counts.items())))
    probe.close()
    return 1 if n_bad else 0


if __name__ == '__main__':
    sys.exit(main())
