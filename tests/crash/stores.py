# SPDX-License-Identifier: Apache-2.0
"""Stores as they are found, read through probe.c."""

import contextlib
import json
import os
import subprocess


class Refused(Exception):
    """A store that does not open, or does not stand being read."""


class Probe:
    """Opens one store at a time."""

    def __init__(self, build, environment=None):
        self.path = build + '/tests/crash/crash-probe'
        # LD_BIND_NOW: or each process that it makes looks the same symbols up
        self.environment = {**(environment or os.environ), 'LD_BIND_NOW': '1'}
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=self.environment)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def send(self, lines):
        self.process.stdin.write(''.join(line + '\n' for line in lines).encode())
        self.process.stdin.flush()

    def read_line(self):
        return self.process.stdout.readline().decode().rstrip('\n')

    def give_up(self, line, what):
        """LINE was not what was waited for: what opened the store is gone, and what it was given lost."""
        how = line or self.read_line()
        self.close()
        self.start()
        return Refused('it %s in %s' % (how, what))

    @contextlib.contextmanager
    def open(self, store):
        """For run() until it is left."""
        self.send([store])
        line = self.read_line()
        if line.startswith('refused'):
            self.read_line()  # end
            raise Refused(line)
        if line != 'opened':
            raise self.give_up(line, 'the opening')
        process = self.process
        try:
            yield
        finally:
            if process == self.process:
                self.send([''])
                line = self.read_line()
                if line != 'end':
                    raise self.give_up(line, 'the end')

    def run(self, commands):
        """What COMMANDS print: (status, bytes) of each."""
        self.send(commands)
        return [self.read_answer(command) for command in commands]

    def read_answer(self, command):
        line = self.read_line()
        if not line or line.startswith('died'):
            raise self.give_up(line, command)
        status, length = line.split()
        return int(status), self.process.stdout.read(int(length))

    def ask(self, store, commands):
        """What COMMANDS print of STORE, opened for them."""
        with self.open(store):
            return self.run(commands)


UNESCAPES = {ord('b'): 8, ord('f'): 12, ord('n'): 10, ord('r'): 13, ord('t'): 9, ord('v'): 11,
             ord('\\'): 92, ord('0'): 0}


def unescape(text):
    if b'\\' not in text:
        return text
    parts = text.split(b'\\')
    out, i = bytearray(parts[0]), 1
    while i < len(parts):
        if parts[i]:
            out.append(UNESCAPES[parts[i][0]])
            out += parts[i][1:]
        else:  # a backslash escaped: what follows is plain
            i += 1
            out += b'\\' + (parts[i] if i < len(parts) else b'')
        i += 1
    return bytes(out)


class Store:
    """The one that PROBE has open. NAMESPACES: those that hold what is looked at. R: chooses N_COMMITS of
    those there are."""

    def __init__(self, probe, namespaces, r, n_commits=2):
        self.probe, self.namespaces = probe, namespaces
        self.r, self.n_commits = r, n_commits
        answers = probe.run(['fsck', '--json branch', '--json tag', '--json log --all'])
        for status, text in answers:
            if status:
                raise Refused(text.decode())
        self.branches = {b['name']: b['commit'] for b in self.parse(answers[1][1])}
        self.tags = {t['name']: t['commit'] for t in self.parse(answers[2][1])}
        self.commits = [c['commit'] for c in self.parse(answers[3][1])]

    @staticmethod
    def parse(text):
        return [json.loads(line) for line in text.decode().splitlines()]

    def choose(self, commits):
        return self.r.sample(commits, min(self.n_commits, len(commits)))

    def read(self, branches, commits):
        """The entries (key -> content) of the working states of BRANCHES, and of COMMITS."""
        wheres = ['-b ' + branch for branch in branches] + ['--at ' + commit for commit in commits]
        commands = ['%s dump %s' % (where, ns) for where in wheres for ns in self.namespaces]
        answers = iter(self.probe.run(commands))
        return [self.merge(next(answers) for _ in self.namespaces) for _ in wheres]

    @staticmethod
    def merge(answers):
        entries = {}
        for status, text in answers:
            if status == 2:
                raise Refused(text.decode(errors='replace'))
            if status == 0:  # 1: there is no such namespace
                for line in text.split(b'\n')[:-1]:
                    key, _, value = line.partition(b'\t')
                    entries[unescape(key).decode()] = unescape(value)
        return entries
