#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No memory: whatever large allocation is refused, nobody dies of it, and nothing is lost.

Each command, and each operation on a mounted store, is tried while its first allocation of 64 KiB or
more is refused (memory-shim.c), then its second... until none is left to refuse.

 - Who asked is told that there is no memory, or what was asked for is done.
 - What there is meanwhile is what was there before, or after one of its steps; all else is as it was.
 - The daemon lives, and the next try does it.
 - Afterwards fsck has no complaint, and all that was done is there after the next mount.
"""

import argparse
import errno
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

from errors import CREATE, Operation, Refusal, Site, Trial, appending, closing, command, opening, \
    syncing, writing
from kills import Report
from mounts import Mapped, find_memory, is_long, skip_unless_possible
from workload import ENVIRONMENT

SHIM = '/tests/crash/memory-shim.so'
DATED = {**ENVIRONMENT, 'GIT_AUTHOR_DATE': '1700000000 +0000',
         'GIT_COMMITTER_DATE': '1700000000 +0000'}  # what is done again is the same commit
LARGE = 65536
VALUE = 1 << 20
N_KEYS = 50000 if is_long() else 6000
SAID = ('no memory', 'cannot allocate memory', 'out of memory')
KINDS = {  # and what the default suite tries
    'commands': ('put', 'load', 'dump-jsonl', 'commit', 'merge-union', 'diff'),
    'mounted': ('write', 'rewrite', 'get'),
}
FAILURE = ('no memory', 0, errno.ENOMEM, None, 1)  # as errors.py has them


class Memory(Mapped):
    """What the shim is to do, as mounts.Control is for files."""

    FIELDS = struct.Struct('<QQQQQ')
    PASS, FAIL = -1, 0

    def arm(self, action, wait=0, calls=None, error=0, times=1):
        """From now on the large allocation number WAIT fails; PASS: none does."""
        number = wait if action != self.PASS else (1 << 64) - 1
        self.map[:] = self.FIELDS.pack(0, LARGE, number, 0, 0)
        self.map[:8] = struct.pack('<Q', 1)

    def disarm(self):
        self.map[:8] = bytes(8)

    def n_calls(self):
        return self.get(3)


# ---- What is tried, and on what

def make_lines(changed=()):
    return b''.join(b'line %d %s%s\n' % (i, b'-' * 100, b' changed' if i in changed else b'')
                    for i in range(1500))


def make_json(n, changed=()):
    return json.dumps({'m%d' % i: -i if i in changed else i for i in range(n)}).encode()


def make_entries(salt):
    return b''.join(b'k%06d\tvalue %d of %s\n' % (i, i, salt) for i in range(N_KEYS))


VALUES = {name: random.Random(name).randbytes(VALUE) for name in ('one', 'two', 'three')}
ENTRIES = b''.join(json.dumps({'key': 'j%d' % i, 'value': {'base64': text}}).encode() + b'\n'
                   for i, text in enumerate(('QUJD' * 60000, 'REVG' * 30000)))


def fed(words, data):
    """A command that reads DATA."""
    return lambda site: site.feed(words, data)


def reading(name):
    def read(site):
        if len(os.pread(site.fds[name], 2 * VALUE, 0)) != VALUE:
            raise OSError(errno.EIO, 'less was read')
    return read


COMMANDS = (
    Operation('put', fed(('put', 'ns/put'), VALUES['two'])),
    Operation('get', command('get', 'ns/large')),
    Operation('get-json', command('--json', 'get', 'ns/bytes')),
    Operation('load', fed(('load', 'loaded'), make_entries(b'two'))),
    Operation('load-jsonl', fed(('load', '--format', 'jsonl', 'loaded'), ENTRIES)),
    Operation('dump', command('dump', 'ns')),
    Operation('dump-jsonl', command('dump', '--format', 'jsonl', 'ns')),
    Operation('ls', command('ls', 'keys')),
    Operation('commit', command('commit', '--allow-empty', '-m', 'm')),
    Operation('merge', command('merge', '-m', 'm', 'side')),
    Operation('merge-union', command('merge', '-m', 'm', '-X', 'union', 'lines')),
    Operation('diff', command('diff', '--patch', 'main', 'side')),
    Operation('diff-json', command('--json', 'diff', 'main', 'side')),
    Operation('diff-stat', command('diff', '--stat', 'main', 'side')),
    Operation('prove', command('prove', 'ns/large')),
    Operation('blame', command('blame', 'keys')),
    Operation('backup', lambda site: site.back_up()),
    Operation('gc', command('gc', '--prune=now')),
    Operation('fsck', command('fsck')),
    Operation('reset', command('reset', '--hard', 'main')),
)
CALLS = (
    Operation('write', opening('new', CREATE), writing('new', VALUES['two'][:700000]), closing('new')),
    Operation('append', opening('new', CREATE), appending('new', VALUES['two'][:400000]),
              appending('new', VALUES['one'][:300000]), syncing('new'), closing('new')),
    Operation('rewrite', opening('large', os.O_RDWR | os.O_TRUNC),
              writing('large', VALUES['two'][:700000]), closing('large')),
    Operation('write-within', opening('large'), writing('large', VALUES['two'][:200000], 150000),
              syncing('large'), closing('large')),
    Operation('truncate', lambda site: os.truncate(site.path('large'), 500001)),
    Operation('extend', lambda site: os.truncate(site.path('large'), 5 << 20)),
    Operation('read', opening('unread'), reading('unread'), closing('unread')),
    Operation('list', lambda site: os.listdir(site.mount + '/main/keys')),
)


class Shortage(Site):
    """A store, and whatever works with it short of memory: a daemon, or each command."""

    def __init__(self, build, scratch, image, is_mounted):
        super().__init__(build, scratch, image, '')
        self.control.close()
        self.control = Memory(scratch + '/memory')
        self.environment = dict(os.environ, **DATED, LD_PRELOAD=build + SHIM,
                                PROLLY_MEMORY=self.control.path)
        self.is_mounted = is_mounted
        self.backup = scratch + '/backup'

    def start(self, layered=True):
        if self.is_mounted:
            super().start(layered)
        else:
            self.daemon = Nobody()

    def feed(self, words, data):
        where = self.mount + '/main' if self.is_mounted else self.disk + '/store'
        environment = {**os.environ, **DATED} if self.is_mounted else self.environment
        done = subprocess.run([self.build + '/src/prollyfs-ctl', '-C', where, *words], input=data,
                              env=environment, capture_output=True, check=False)
        if done.returncode < 0:
            raise Refusal('and not a word: killed by signal %d' % -done.returncode)
        if done.returncode:
            raise Refusal(done.stderr.decode() or 'status %d, and not a word' % done.returncode)
        return done.stdout

    def call(self, *words):
        return self.feed(words, b'').decode(errors='replace')

    def count_files(self):
        return super().count_files() if self.is_mounted else []

    def back_up(self):
        shutil.rmtree(self.backup, ignore_errors=True)
        self.feed(('backup', self.backup), b'')

    def snapshot(self):
        """Where each branch is, and all that main has."""
        found = {'branches': self.call('--json', 'branch')}
        for namespace in ('ns', 'keys', 'loaded'):
            content = self.feed(('dump', namespace), b'')
            found['dump ' + namespace] = hashlib.sha256(content).hexdigest()
        return found


class Nobody:
    """In a daemon's place, where commands open the store."""

    def __init__(self):
        self.process = self

    def is_alive(self):
        return True

    def unmount(self):
        pass

    def kill(self):
        pass


class Want(Trial):
    """An operation that memory is wanting for."""

    SETS = (None,)

    def fits(self, raised, error):
        if isinstance(raised, Refusal):
            return any(said in str(raised).lower() for said in SAID)
        return raised.errno == errno.ENOMEM

    def is_wounded(self, raised):
        return False

    def tell_end(self):
        return super().tell_end() if self.site.is_mounted else 'a command died'


def make_image(build, scratch):
    """A store with something to be done for each of them."""
    site = Shortage(build, scratch + '/making', None, False)

    def put(branch, key, data):
        site.feed(('-b', branch, 'put', key), data)

    subprocess.run([build + '/src/prollyfs-ctl', '-q', 'init', site.disk + '/store'],
                   env={**os.environ, **DATED}, check=True)
    put('main', 'ns/large', VALUES['one'])
    put('main', 'ns/unread', VALUES['three'])
    put('main', 'ns/lines', make_lines())
    put('main', 'ns/bytes', VALUES['one'][:60000])
    put('main', 'ns/json', make_json(3000))
    site.feed(('load', 'keys'), make_entries(b'one'))
    site.feed(('load', 'loaded'), b'a\tb\n')
    site.call('commit', '-m', 'one')
    for branch in ('side', 'lines'):
        site.call('branch', branch)
    put('side', 'ns/side', VALUES['three'][::-1])
    put('side', 'ns/bytes', VALUES['one'][1:60001])
    put('side', 'ns/json', make_json(3000, (7, 8)))
    site.feed(('-b', 'side', 'load', 'keys'), make_entries(b'side')[:N_KEYS * 10])
    site.call('-b', 'side', 'commit', '-m', 'two')
    put('lines', 'ns/lines', make_lines((17,)))
    site.call('-b', 'lines', 'commit', '-m', 'three')
    put('main', 'ns/lines', make_lines((1000, 1001)))
    site.call('commit', '-m', 'four')
    site.call('branch', 'gone')
    put('gone', 'ns/gone', VALUES['two'][::-1])
    site.call('-b', 'gone', 'commit', '-m', 'five')
    site.call('branch', '-D', 'gone')
    site.feed(('load', 'loaded'), make_entries(b'staged'))
    site.control.close()
    return site.disk


def try_all(options, site, kind, report):
    r = random.Random(options.seed + kind)
    names = options.operations or ([] if is_long() else KINDS[kind])
    for operation in CALLS + COMMANDS if site.is_mounted else COMMANDS:
        if operation.name not in (names or [operation.name]):
            continue
        trial = Want(site, operation)
        wrong = trial.measure()
        if wrong:
            report.add(operation.name, wrong)
            continue
        n = trial.n_calls[None]
        for at in sorted(r.sample(range(n), min(n, options.calls))):
            report.add('%s, allocation %d of %d' % (operation.name, at, n),
                       trial.strike(FAILURE, at))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True)
    parser.add_argument('--calls', type=int, default=1000000 if is_long() else 1,
                        help='of an operation, at most')
    parser.add_argument('--operations', nargs='+', help='only those')
    parser.add_argument('--kinds', nargs='+', default=list(KINDS), choices=KINDS)
    parser.add_argument('--seed', default='1')
    options = parser.parse_args()
    skip_unless_possible(options.build)
    print('1..%d\n# seed %s' % (len(options.kinds), options.seed), flush=True)
    n_bad = 0
    with tempfile.TemporaryDirectory(prefix='allocations.', dir=find_memory()) as scratch:
        scratch = os.path.realpath(scratch)
        image = make_image(options.build, scratch)
        for number, kind in enumerate(options.kinds):
            report = Report('refusals')
            site = Shortage(options.build, scratch + '/' + kind, image, kind == 'mounted')
            try_all(options, site, kind, report)
            site.control.close()
            n_bad += report.say(number + 1, kind)
    return 1 if n_bad else 0


if __name__ == '__main__':
    sys.exit(main())
