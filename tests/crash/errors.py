#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Errors below a mount: while somebody works with it, a call that the daemon makes to a file fails.

Each operation (OPERATIONS) is tried on a mounted store while the first such call fails, then the
second... until none is left to fail: with no space left, an input/output error, an interruption, a
write that writes less than it was given; at reads; or that one and all that follow.

 - Who asked is told an error that fits, or the operation is done. What is there meanwhile is what was
   there after one of its steps up to that one, and all else is as it was.
 - The daemon lives, answers, and has no more files open and leaves none behind that nobody names.
 - The next try does it. After a call failed that the database cannot make good itself (`wounds`), the
   next try may be refused, until the store is mounted again; reading is not.
 - After the next mount all that was done is there, and fsck has no complaint.
 - If it synced, the operation is still there when all that was not synced is lost, and all that a sync
   which failed was for (disk.py).
"""

import argparse
import errno
import hashlib
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time

from disk import Choice, Disk, read_log
from kills import Report
from mounts import Control, Mount, PATIENCE, find_memory, is_long, layer_environment, \
    skip_unless_possible
from workload import ENVIRONMENT

LARGE = random.Random(7).randbytes(300000)
OTHER = random.Random(8).randbytes(300000)
KINDS = {'database': '', 'files': 'file://'}  # how the store is named
CHANGES = Control.ALL
FAILURES = (  # (name, what, errno, calls, times)
    ('space', Control.FAIL, errno.ENOSPC, CHANGES, 1),
    ('error', Control.FAIL, errno.EIO, CHANGES, 1),
    ('interruption', Control.FAIL, errno.EINTR, CHANGES, 1),
    ('short', Control.PART, errno.ENOSPC, Control.DATA, 1),
    ('dead', Control.FAIL, errno.EIO, CHANGES, 1 << 30),
    ('full', Control.FAIL, errno.ENOSPC, CHANGES, 1 << 30),
    ('reads', Control.FAIL, errno.EIO, Control.READS, 1),
)


class Refusal(Exception):
    """Of a command: an error that it said."""


# ---- The store, mounted

class Site:
    """A store in SCRATCH/disk, the layer under its daemon, and what a client does with it."""

    def __init__(self, build, scratch, image, kind):
        self.build, self.image, self.kind = build, image, kind
        self.disk, self.mount = scratch + '/disk', scratch + '/mnt'
        os.makedirs(self.disk)
        self.log, self.daemon_log = scratch + '/log', scratch + '/daemon.log'
        self.control = Control(scratch + '/control')
        self.environment = layer_environment(build, self.disk, self.log, self.control.path)
        self.fds, self.daemon = {}, None

    def start(self, layered=True):
        self.daemon = Mount(self.build, self.kind + self.disk + '/store', self.mount,
                            self.environment if layered else None, self.daemon_log)

    def begin(self):
        """A copy of the image, mounted."""
        shutil.rmtree(self.disk, ignore_errors=True)
        shutil.copytree(self.image, self.disk)
        for path in (self.log, self.daemon_log):
            if os.path.exists(path):
                os.unlink(path)
        self.start()

    def path(self, name):
        return self.mount + '/main/ns/' + name

    def open(self, name, flags=os.O_RDWR):
        self.fds[name] = os.open(self.path(name), flags, 0o644)

    def close(self, name):
        os.close(self.fds.pop(name))

    def close_all(self):
        while self.fds:
            try:
                os.close(self.fds.popitem()[1])
            except OSError:
                pass

    def call(self, *words, given=b''):
        done = subprocess.run([self.build + '/src/prollyfs-ctl', '-C', self.mount + '/main', *words],
                              env={**os.environ, **ENVIRONMENT}, input=given,
                              capture_output=True, check=False)
        if done.returncode:
            raise Refusal(done.stderr.decode() or 'status %d, and not a word' % done.returncode)
        return done.stdout.decode()

    # ---- What is there

    def look_at(self, path):
        st = os.lstat(path)
        seen = [stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_nlink]
        if stat.S_ISLNK(st.st_mode):
            return (*seen, os.readlink(path))
        names = os.listxattr(path)
        seen.append(tuple(sorted((name, os.getxattr(path, name)) for name in names)))
        if stat.S_ISREG(st.st_mode):
            with open(path, 'rb') as file:
                data = file.read()
            seen.append((len(data), hashlib.sha256(data).hexdigest()))
        return tuple(seen)

    def snapshot(self):
        """All of main, and how many commits each branch has. (Who asks for a branch has what is unfinished
        of it finished, so that comes first.)"""
        found = {branch: len(self.call('--json', 'log', branch).splitlines())
                 for branch in self.branches()}
        top = self.mount + '/main'
        for folder, folders, names in os.walk(top):
            for name in folders + names:
                path = os.path.join(folder, name)
                found[path[len(top):]] = self.look_at(path)
            folders[:] = [name for name in folders if not os.path.islink(os.path.join(folder, name))]
        return found

    def branches(self):
        return [json.loads(line)['name'] for line in self.call('--json', 'branch').splitlines()]

    def count_files(self):
        """Files that the daemon has open, but for those that RocksDB opens and closes as it likes, and
        git's, which are made ahead and closed later (spares.c), if they are no reflogs."""
        folder = '/proc/%d/fd' % self.daemon.process.pid
        paths = []
        for fd in os.listdir(folder):
            try:
                paths.append(os.readlink(folder + '/' + fd))
            except FileNotFoundError:
                pass
        return sorted(path for path in paths
                      if ('/store/git/' not in path or '/git/logs/' in path) and
                      ('/store/data/' not in path or '/store/data/incoming' in path))

    def find_strays(self):
        """Files in the store that are only there while something is under way, but for one that libgit2
        could not remove, which a later gc does."""
        return [os.path.join(folder, name)[len(self.disk):]
                for folder, _, names in os.walk(self.disk) for name in names
                if '/incoming' in folder or name.startswith('tmp_') or
                name.endswith('.lock') and not name.startswith('pack_git2_')]


# ---- Operations

class Operation:
    """STEPS are called one after the other; what was done already they take as done. SYNCS: who sees
    it succeed may have the power cut."""

    def __init__(self, name, *steps, syncs=False):
        self.name, self.steps, self.syncs = name, steps, syncs

    def run(self, site):
        """The number of steps that were done, and the error of the next one."""
        for i, step in enumerate(self.steps):
            try:
                step(site)
            except (OSError, Refusal) as error:
                site.close_all()
                return i, error
        return len(self.steps), None


def opening(name, flags=os.O_RDWR):
    return lambda site: site.open(name, flags)


def closing(name):
    return lambda site: site.close(name)


def writing(name, data, at=0):
    def write(site):
        n = 0
        while n < len(data):
            n += os.pwrite(site.fds[name], data[n:], at + n)
    return write


def appending(name, data):
    return lambda site: os.write(site.fds[name], data)


def syncing(name):
    return lambda site: os.fsync(site.fds[name])


def command(*words):
    return lambda site: site.call(*words)


def without(error, function):
    """FUNCTION, of which ERROR says that it was done before."""
    def call(site):
        try:
            function(site)
        except OSError as raised:
            if raised.errno != error:
                raise
    return call


def copy_range(site):
    n = 0
    while n < len(LARGE):
        step = os.copy_file_range(site.fds['large'], site.fds['copied'], len(LARGE) - n, n, n)
        if step == 0:
            raise OSError(errno.EIO, 'nothing was copied')
        n += step


def sync_directory(site):
    fd = os.open(site.path('.'), os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def close_and_sync(site):
    """Whatever has failed before: a sync that failed once may not succeed without it."""
    try:
        site.close('new')
    except OSError as error:
        try:
            sync_directory(site)
        finally:
            raise error
    try:
        sync_directory(site)
    except OSError:
        sync_directory(site)


def load_over(site):
    """A load of the key of an open file: one that did not happen leaves the two together."""
    site.open('old')
    try:
        site.call('load', 'ns', given=b'old\tloaded\n')
    except Refusal as refusal:
        os.pwrite(site.fds['old'], b'old', 0)  # so that the kernel asks for its attributes
        if not os.fstat(site.fds['old']).st_nlink and site.call('get', 'ns/old') != 'loaded':
            raise OSError(errno.ESTALE, 'the open file has lost its key') from refusal
        raise  # the sync after it failed
    site.close('old')


CREATE = os.O_RDWR | os.O_CREAT
OPERATIONS = (
    Operation('create', opening('new', CREATE), writing('new', b'new\n'), closing('new')),
    Operation('create-large', opening('new', CREATE), writing('new', OTHER), closing('new')),
    Operation('rewrite', opening('old', os.O_RDWR | os.O_TRUNC), writing('old', b'newer\n'),
              closing('old')),
    Operation('rewrite-large', opening('large', os.O_RDWR | os.O_TRUNC), writing('large', OTHER),
              closing('large')),
    Operation('write-within', opening('large'), writing('large', b'within' * 700, 150000),
              closing('large')),
    Operation('append', opening('log', CREATE | os.O_TRUNC), appending('log', b'line\n'),
              closing('log')),
    Operation('sync', opening('old'), writing('old', b'synced'), syncing('old'), closing('old'),
              syncs=True),
    Operation('sync-large', opening('new', CREATE), writing('new', OTHER), syncing('new'),
              closing('new'), syncs=True),
    Operation('sync-after-close', opening('new', CREATE), writing('new', b'new'), closing('new'),
              sync_directory, syncs=True),
    Operation('sync-again', opening('new', CREATE), writing('new', b'new'), close_and_sync, syncs=True),
    Operation('truncate', lambda site: os.truncate(site.path('large'), 100001)),
    Operation('rename', without(errno.ENOENT, lambda site: os.rename(site.path('old'),
                                                                     site.path('renamed')))),
    Operation('rename-over', without(errno.ENOENT, lambda site: os.rename(site.path('old'),
                                                                          site.path('large')))),
    Operation('rename-directory', without(errno.ENOENT, lambda site: os.rename(site.path('dir'),
                                                                               site.path('moved')))),
    Operation('unlink', without(errno.ENOENT, lambda site: os.unlink(site.path('old')))),
    Operation('mkdir', without(errno.EEXIST, lambda site: os.mkdir(site.path('made')))),
    Operation('rmdir', without(errno.ENOENT, lambda site: os.rmdir(site.path('empty')))),
    Operation('namespace', without(errno.EEXIST, lambda site: os.mkdir(site.mount + '/main/ns2'))),
    Operation('symlink', without(errno.EEXIST, lambda site: os.symlink('old', site.path('soft')))),
    Operation('link', without(errno.EEXIST, lambda site: os.link(site.path('old'),
                                                                 site.path('hard')))),
    Operation('setxattr', lambda site: os.setxattr(site.path('old'), 'user.a', b'b')),
    Operation('chmod', lambda site: os.chmod(site.path('old'), 0o600)),
    Operation('copy', opening('large'), opening('copied', CREATE), copy_range, closing('copied'),
              closing('large')),
    Operation('read', opening('unread'), lambda site: os.pread(site.fds['unread'], 1 << 20, 0),
              closing('unread')),
    Operation('commit', command('commit', '--allow-empty', '-m', 'm'), syncs=True),
    Operation('merge', command('merge', '-m', 'm', 'side'), syncs=True),
    Operation('gc', command('gc', '--prune=now'), syncs=True),
    Operation('put', command('put', 'ns/put', 'value'), syncs=True),
    Operation('load', load_over),
    Operation('branch', lambda site: sync_directory(site) if 'made' in site.branches() else
              site.call('branch', 'made'), syncs=True),
    Operation('reset', command('reset', '--hard', 'main'), syncs=True),
)


def make_image(build, scratch, kind):
    """A store with something to be done for each of them."""
    site = Site(build, scratch + '/making', None, kind)
    site.start(False)
    os.mkdir(site.path(''))
    for name in ('dir', 'empty'):
        os.mkdir(site.path(name))
    for name, data in (('old', b'old\n' * 70), ('large', LARGE), ('unread', OTHER[::-1]),
                       ('dir/in', b'in'), ('kept', LARGE[::-1])):
        with open(site.path(name), 'wb') as file:
            file.write(data)
    site.call('commit', '-m', 'one')
    site.call('branch', 'side')
    site.call('-b', 'side', 'put', 'ns/side', 'side')
    site.call('-b', 'side', 'commit', '-m', 'two')
    site.call('branch', 'gone', 'side')
    site.call('-b', 'gone', 'put', 'ns/gone', OTHER[:3000].hex())
    site.call('-b', 'gone', 'commit', '-m', 'three')
    site.call('branch', '-D', 'gone')
    with open(site.path('staged'), 'wb') as file:
        file.write(b'staged')
    site.daemon.unmount()
    os.rmdir(site.mount)
    return site.disk


# ---- Trying them

class Trial:
    """One operation on SITE, of which is known what there is after each of its steps."""

    SETS = (CHANGES, Control.DATA, Control.READS)  # of calls, one of which fails

    def __init__(self, site, operation):
        self.site, self.operation = site, operation
        self.states, self.n_calls = [], {}

    def measure(self):
        """Complaints, if it does not succeed with nothing failing."""
        site = self.site
        site.begin()
        try:
            self.states.append(site.snapshot())
            for i in range(len(self.operation.steps)):
                done, error = Operation('', self.operation.steps[i]).run(site)
                if error:
                    return ['step %d: %s' % (i, error)]
                self.states.append(site.snapshot())
            site.close_all()
        finally:
            site.daemon.kill()
        for calls in self.SETS:
            site.begin()
            try:
                site.control.arm(site.control.PASS, calls=calls)
                self.operation.run(site)
                site.control.disarm()
                self.n_calls[calls] = site.control.n_calls()
            finally:
                site.daemon.kill()
        return []

    def strike(self, failure, at):
        """Does the operation while the call AT fails: complaints."""
        site = self.site
        site.begin()
        watch = threading.Timer(5 * PATIENCE, site.daemon.process.kill)
        watch.start()
        try:
            complaints = list(self.try_it(failure, at))
            if not complaints and site.daemon.is_alive():
                complaints = list(self.look_again(at))
            elif not site.daemon.is_alive():
                complaints.append(self.tell_end())
        except (OSError, Refusal) as error:
            complaints = ['reading: %s' % error, self.tell_end()]
        finally:
            site.close_all()
            site.control.disarm()
            watch.cancel()
            site.daemon.kill()
        return complaints

    def try_it(self, failure, at):
        site, (_, action, error, calls, times) = self.site, failure
        files = site.count_files()
        site.control.arm(action, at, calls, error, times)
        n_done, raised = self.operation.run(site)
        site.control.disarm()
        if raised and not self.fits(raised, error):
            yield 'it said: %s' % raised
        seen = site.snapshot()
        states = self.states[:n_done + 2] if raised else self.states[-1:]
        if seen not in states:
            yield '%s; there is %s' % (raised, self.compare(seen, states[-1]))
        self.failed, self.synced = raised, self.operation.syncs and not raised
        if raised and seen != self.states[-1]:
            yield from self.try_again(seen)
        yield from self.check_leaks(files, times)

    def try_again(self, seen):
        _, raised = self.operation.run(self.site)
        if raised and not self.is_wounded(raised):
            yield 'again: %s' % raised
        now = self.site.snapshot()
        self.synced = self.operation.syncs and not raised
        if now not in ([seen, *self.states] if raised else self.states[-1:]):
            yield 'again: %s; there is %s' % (raised, self.compare(now, self.states[-1]))
        self.failed = raised

    @staticmethod
    def fits(raised, error):
        if isinstance(raised, Refusal):
            return 'and not a word' not in str(raised)
        return raised.errno in (error, errno.EIO)

    @staticmethod
    def is_wounded(raised):
        return 'mount' in str(raised) if isinstance(raised, Refusal) else raised.errno == errno.EIO

    def check_leaks(self, files, times):
        """(The kernel tells the daemon of a last close when it likes. What cannot be removed because
        everything fails is removed later.)"""
        end = time.monotonic() + PATIENCE / 2
        left = files
        while left and time.monotonic() < end:
            left = [path for path in self.site.count_files() if path not in files]
            time.sleep(0.01)
        if left:
            yield 'open: %s' % left
        strays = self.site.find_strays()
        if strays and times == 1:
            yield 'left behind: %s' % strays

    # ---- Afterwards

    def look_again(self, at):
        """After the next mount, and after a power cut instead."""
        site = self.site
        seen = site.snapshot()
        if at % 2:
            site.daemon.unmount()
        else:
            site.daemon.kill()
        yield from self.check_store('after the next mount',
                                    [*self.states, seen] if self.failed else [seen])
        if self.synced:
            disk = Disk(site.disk, site.image)
            for record in read_log(site.log):
                disk.feed(record)
            shutil.rmtree(site.disk)
            disk.write_state(site.disk, Choice(random.Random(1), disk.pending(), 'none'))
            yield from self.check_store('after a power cut', self.states[-1:])

    def check_store(self, when, states):
        site = self.site
        done = subprocess.run([site.build + '/src/prollyfs-ctl', '-C', site.disk + '/store', 'fsck'],
                              capture_output=True, check=False)
        if done.returncode:
            yield '%s: fsck: %s' % (when, (done.stdout + done.stderr).decode())
        site.start(False)
        seen = site.snapshot() if site.daemon.is_alive() else {}
        if seen not in states:
            yield '%s: %s' % (when, self.compare(seen, states[-1]))
        site.daemon.kill()

    @staticmethod
    def compare(seen, wanted):
        return '; '.join('%s: %s, not %s' % (name, seen.get(name), wanted.get(name))
                         for name in sorted(set(seen) | set(wanted))
                         if seen.get(name) != wanted.get(name))

    def tell_end(self):
        """Of the daemon, if it has ended."""
        with open(self.site.daemon_log, encoding='utf-8', errors='replace') as file:
            return 'the daemon: %s: %s' % (self.site.daemon.process.poll(), file.read()[-500:])


def choose(options, r):
    """What is tried: (operation, failures)."""
    pairs = [(operation, failure) for operation in OPERATIONS for failure in FAILURES
             if operation.name in (options.operations or [operation.name]) and
             failure[0] in (options.failures or [failure[0]])]
    n = len(pairs) if options.operations else min(len(pairs), options.trials)
    chosen = r.sample(pairs, n)
    return [(operation, [failure for failure in FAILURES if (operation, failure) in chosen])
            for operation in OPERATIONS]


def try_all(options, site, report, r):
    for operation, failures in choose(options, r):
        trial = Trial(site, operation)
        wrong = trial.measure() if failures else []
        if wrong:
            report.add(operation.name, wrong)
            continue
        for failure in failures:
            n = trial.n_calls[failure[3]]
            for at in sorted(r.sample(range(n), min(n, options.calls))):
                report.add('%s%s, %s at call %d of %d' % (
                    site.kind, operation.name, failure[0], at, n), trial.strike(failure, at))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True)
    parser.add_argument('--calls', type=int, default=1000000 if is_long() else 1,
                        help='of an operation, for each kind of failure, at most')
    parser.add_argument('--operations', nargs='+', help='only those; all of the failures')
    parser.add_argument('--failures', nargs='+', help='only those kinds')
    parser.add_argument('--trials', type=int, default=1000000 if is_long() else 12,
                        help='pairs of operation and failure, at most, if no operations are named')
    parser.add_argument('--kinds', nargs='+', default=list(KINDS), choices=KINDS)
    parser.add_argument('--seed', default='1')
    options = parser.parse_args()
    skip_unless_possible(options.build)
    print('1..%d\n# seed %s' % (len(options.kinds), options.seed), flush=True)
    n_bad = 0
    for number, kind in enumerate(options.kinds):
        report = Report('failures')
        with tempfile.TemporaryDirectory(prefix='errors.', dir=find_memory()) as scratch:
            scratch = os.path.realpath(scratch)
            site = Site(options.build, scratch,
                        make_image(options.build, scratch, KINDS[kind]), KINDS[kind])
            try_all(options, site, report, random.Random(options.seed + kind))
            site.control.close()
        n_bad += report.say(number + 1, kind)
    return 1 if n_bad else 0


if __name__ == '__main__':
    sys.exit(main())
