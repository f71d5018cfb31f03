#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Errors from below: each call that a command makes to change a file fails once.

Of each command that changes a store the first such call fails, then its second... with no space left, an
input/output error, an interruption, or a write that writes less than it was given. The command says so,
or goes on as if nothing had been; what was there is there, nothing else is; and the same command,
given again, succeeds.

RocksDB as Debian builds it ends the process by an assertion where it closes a file that it could not
write while it opens a database. That is a kill: what is there has to be whole, and is counted.
"""

import argparse
import errno
import os
import random
import shutil
import signal
import sys
import tempfile

from kills import COMMANDS, Report, Stepper, look, make_image
from mounts import Control, find_memory, is_long, skip_unless_possible
from stores import Store

ERRORS = (  # (name, what, errno, of which calls)
    ('no space left', Control.FAIL, errno.ENOSPC, Control.ALL),
    ('input/output error', Control.FAIL, errno.EIO, Control.ALL),
    ('interrupted', Control.FAIL, errno.EINTR, Control.ALL),
    ('short write', Control.PART, errno.ENOSPC, Control.DATA))


class Failer(Stepper):
    n_asserted = 0  # by RocksDB

    def fail(self, words, note, action, error, calls, at):
        """Complaints about the failure of call AT of CALLS."""
        promises = self.prepare(note)
        done = self.run(words, action, at, error, calls)
        complaints = look(self.probe, self.disk + '/store', promises, random.Random(at))
        if done.returncode == -signal.SIGABRT and b'rocksdb::' in done.stderr:
            self.n_asserted += 1
        elif done.returncode < 0 or (done.returncode and not done.stderr):
            complaints.append('it ended with %d: %s' % (done.returncode, done.stderr.decode()))
        if complaints or not done.returncode or self.is_done(words):
            return complaints
        again = self.run(words, Control.PASS)
        if again.returncode < 0 or again.returncode == 2:
            complaints.append('it said %s, and again: %s' % (done.stderr.decode(),
                                                             again.stderr.decode()))
        return complaints + look(self.probe, self.disk + '/store', promises, random.Random(at))

    def is_done(self, words):
        """What WORDS do, and cannot be done twice, was done before it failed."""
        branches = {branch['name']: branch['commit'] for branch in
                    Store.parse(self.run(('--json', 'branch'), Control.PASS).stdout)}
        if words[0] == 'branch':
            return ('new' in branches) == (words[1] == 'new')
        return 'reset' in words and branches['scratch'] == self.victim.before


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True)
    parser.add_argument('--calls', type=int, default=1000000 if is_long() else 2,
                        help='of each command, for each error, at most')
    parser.add_argument('--seed', default='1')
    options = parser.parse_args()
    skip_unless_possible(options.build)
    r = random.Random(options.seed + ' failures')
    print('1..%d\n# seed %s' % (len(ERRORS), options.seed), flush=True)
    n_bad = 0
    with tempfile.TemporaryDirectory(prefix='failures.', dir=find_memory()) as scratch:
        scratch = os.path.realpath(scratch)
        failer = Failer(options, make_image(options, scratch), scratch)
        for number, (name, action, error, calls) in enumerate(ERRORS):
            report = Report('failures')
            for words, note in COMMANDS:
                for at in failer.choose(words, options.calls, r, calls):
                    report.add('%s, %s at call %d' % (words[0], name, at),
                               failer.fail(words, note, action, error, calls, at))
            n_bad += report.say(number + 1, name)
        print('# %d ended by an assertion of RocksDB' % failer.n_asserted)
        failer.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return 1 if n_bad else 0


if __name__ == '__main__':
    sys.exit(main())
