# SPDX-License-Identifier: Apache-2.0
"""Users of a mounted store: writers, each in a namespace of its own, and one who gives commands.

It goes by turns: in each, the writers do some writes while a command runs. Whatever is done is noted
before and after (promises.py).
"""

import errno
import json
import os
import random
import struct
import subprocess
import threading

from disk import NOTE, RECORD, read_log
from promises import BLOCK, BLOCKS, PART, make_content

ENVIRONMENT = {'GIT_AUTHOR_NAME': 'A', 'GIT_AUTHOR_EMAIL': 'a@example.org',
               'GIT_COMMITTER_NAME': 'C', 'GIT_COMMITTER_EMAIL': 'c@example.org',
               'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'}


class Gone(Exception):
    """The daemon has."""


class Notes:
    """Appended to a log, one write(2) each."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what, **fields):
        data = json.dumps({'what': what, **fields}).encode()
        os.write(self.fd, RECORD.pack(RECORD.size + len(data), NOTE, 0, 0, 0, 0, 0) + data)

    def close(self):
        os.close(self.fd)


def read_notes(path):
    """What a log that has nothing but notes says."""
    return [record.data for record in read_log(path)]


class Writer:
    """Of one namespace of a branch. Its keys' versions only grow."""

    def __init__(self, mount, branch, name, notes, seed):
        self.dir = '%s/%s/%s' % (mount, branch, name)
        self.branch, self.name, self.notes = branch, name, notes
        self.r = random.Random('%s %s' % (seed, name))
        self.version = 0

    def key(self, kind, n):
        return '%s-%s-%d' % (kind, self.name, self.r.randrange(n))

    def path(self, key):
        return self.dir + '/' + key

    def note(self, what, key):
        self.notes.write(what, branch=self.branch, key=key, version=self.version)

    def run(self, n):
        """N writes."""
        try:
            os.makedirs(self.dir, exist_ok=True)
            for _ in range(n):
                self.version += 1
                self.write_something()
        except OSError as error:
            raise Gone('%s: %s' % (self.dir, error)) from error

    def write_something(self):
        """Unless a command takes what is written to away in between: then it has begun, and no more."""
        try:
            self.r.choice((self.replace, self.write, self.write, self.write_parts,
                           self.write_blocks, self.write_blocks))()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise

    def delete(self, key):
        self.note('begin', key)
        try:
            os.unlink(self.path(key))
        except FileNotFoundError:
            pass
        self.note('done', key)

    def sync_directory(self, key):
        if self.r.random() < 0.5:
            return
        fd = os.open(self.dir, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        self.note('sync', key)

    def replace(self):
        """By a rename: there is no moment at which it is not whole."""
        key = self.key('whole', 5)
        content = make_content(key, self.version)
        if content is None:
            return self.delete(key)
        new = self.path('new-' + self.name)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(fd, content)
        if self.r.random() < 0.5:
            os.fsync(fd)
        os.close(fd)
        self.note('begin', key)
        os.rename(new, self.path(key))
        self.note('done', key)
        self.sync_directory(key)

    def write_content(self, key, size):
        content = make_content(key, self.version)
        if content is None:
            return self.delete(key)
        self.note('begin', key)
        fd = os.open(self.path(key), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for at in range(0, len(content), size):
            os.write(fd, content[at:at + size])
        is_synced = self.r.random() < 0.3
        if is_synced:
            os.fsync(fd)
            self.note('sync', key)
        os.close(fd)
        self.note('done', key)
        if not is_synced:
            self.sync_directory(key)

    def write(self):
        self.write_content(self.key('place', 8), 1 << 20)

    def write_parts(self):
        self.write_content(self.key('part', 2), PART)

    def write_blocks(self):
        """Some of a file that is there."""
        key = self.key('block', 2)
        self.notes.write('open', branch=self.branch, key=key)
        fd = os.open(self.path(key), os.O_WRONLY | os.O_CREAT, 0o644)
        written = []
        for _ in range(self.r.randrange(1, 4)):
            self.version += 1
            name = '%s#%d' % (key, self.r.randrange(BLOCKS))
            content = make_content(name, self.version) or bytes(BLOCK)
            if not content.strip(b'\0'):
                continue
            self.note('begin', name)
            os.pwrite(fd, content, int(name.partition('#')[2]) * BLOCK)
            written.append((name, self.version))
        is_synced = self.r.random() < 0.4
        if is_synced:
            os.fsync(fd)
            for name, version in written:
                self.notes.write('sync', branch=self.branch, key=name, version=version)
        os.close(fd)
        for name, version in written:
            self.notes.write('done', branch=self.branch, key=name, version=version)
        self.notes.write('shut', branch=self.branch, key=key)


class Commander:
    """Who gives commands, by prollyfs-ctl."""

    def __init__(self, ctl, mount, notes, seed):
        self.ctl, self.mount, self.notes = ctl, mount, notes
        self.r = random.Random('%s commands' % seed)
        self.n = 0
        self.branches = []

    def call(self, branch, *words):
        done = subprocess.run([self.ctl, '-C', '%s/%s' % (self.mount, branch), *words],
                              env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
        if done.returncode == 2:
            raise Gone(done.stderr.decode())
        return done.stdout.decode()

    def head(self, branch):
        return json.loads(self.call(branch, '--json', 'log', '-n', '1', branch))['commit']

    def commit(self, branch):
        self.n += 1
        self.notes.write('moving', branch=branch)
        self.call(branch, 'commit', '--allow-empty', '-m', 'commit %d' % self.n)
        self.notes.write('moved', branch=branch, head=self.head(branch))

    def merge(self):
        self.notes.write('moving', branch='main', side='side')
        self.call('main', 'merge', '-m', 'merge', 'side')
        self.notes.write('moved', branch='main', head=self.head('main'))

    def reset(self):
        """Of a branch to the commit before its last one, whatever is staged."""
        lines = self.call('scratch', '--json', 'log', '-n', '2', 'scratch').splitlines()
        to = json.loads(lines[-1])['commit']
        self.notes.write('moving', branch='scratch', to=to)
        self.call('scratch', 'reset', '--hard', to)
        self.notes.write('moved', branch='scratch', head=to)

    def branch(self):
        """Makes one of side's head, or deletes one."""
        if self.branches and self.r.random() < 0.5:
            name = self.branches.pop(0)
            self.notes.write('branching', branch=name)
            self.call('main', 'branch', '-D', name)
            self.notes.write('branched', branch=name)
            return
        self.n += 1
        name = 'made%d' % self.n
        head = self.head('side')
        self.notes.write('branching', branch=name)
        self.call('main', 'branch', name, head)
        self.branches.append(name)
        self.notes.write('branched', branch=name, head=head, origin='side')

    def tag(self):
        self.n += 1
        name, head = 'tag%d' % self.n, self.head('main')
        self.call('main', 'tag', name, head)
        self.notes.write('tagged', tag=name, head=head)

    def put(self):
        key = 'whole-put-%d' % self.r.randrange(4)
        self.n += 1
        content = make_content(key, self.n)
        if content is None:
            return
        self.notes.write('begin', branch='main', key=key, version=self.n)
        self.call('main', 'put', 'put/' + key, content.decode())
        for what in ('done', 'sync'):
            self.notes.write(what, branch='main', key=key, version=self.n)

    def collect(self):
        self.call('main', 'gc', '--prune=now')

    def choose(self):
        """The next command, to be called."""
        return self.r.choice((lambda: self.commit('main'), lambda: self.commit('side'),
                              lambda: self.commit('scratch'), self.merge, self.reset, self.branch,
                              self.tag, self.put, self.put, self.collect))


NAMESPACES = ('w0', 'w1', 'w2', 'put')


class Workload:
    """All of them, on MOUNT; NOTES go to the log."""

    def __init__(self, ctl, mount, log, seed):
        self.notes = Notes(log)
        self.commander = Commander(ctl, mount, self.notes, seed)
        self.writers = [Writer(mount, branch, name, self.notes, seed)
                        for branch, name in (('main', 'w0'), ('side', 'w1'), ('scratch', 'w2'))]
        self.r = random.Random('%s turns' % seed)

    def make_branches(self):
        """Once the store is made."""
        self.notes.write('made', branch='main', head=self.commander.head('main'))
        for branch in ('side', 'scratch'):
            self.notes.write('branching', branch=branch)
            self.commander.call('main', 'branch', branch)
            self.notes.write('branched', branch=branch, head=self.commander.head(branch),
                             origin='main')

    def run(self, turns, command=None):
        """TURNS of commands, or that COMMAND, and writes meanwhile. What it returns: the daemon went."""
        gone = []

        def write(writer, n):
            try:
                writer.run(n)
            except Gone as error:
                gone.append(error)

        for _ in range(turns):
            turn = command or self.commander.choose()
            # (who writes while a branch is reset does not know what came before, and what after)
            threads = [threading.Thread(target=write, args=(writer, self.r.randrange(1, 7)))
                       for writer in self.writers
                       if turn != self.commander.reset or writer.branch != 'scratch']
            for thread in threads:
                thread.start()
            try:
                turn()
            except (Gone, json.JSONDecodeError, IndexError) as error:
                gone.append(error)
            for thread in threads:
                thread.join()
            if gone:
                return gone[0]
        return None
