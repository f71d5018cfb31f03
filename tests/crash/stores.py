# SPDX-License-Identifier: Apache-2.0
"""Stores as they are found, read through probe.c."""

import json
import subprocess


class Refused(Exception):
    """A store that does not open, or does not stand being read."""


class Probe:
    def __init__(self, build):
        self.process = subprocess.Popen([build + '/tests/crash/crash-probe'], text=False,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def ask(self, store, commands):
        """What COMMANDS print: (status, bytes) of each."""
        out = self.process.stdout
        request = '\n'.join([store, *commands]) + '\n\n'
        self.process.stdin.write(request.encode())
        self.process.stdin.flush()
        first = out.readline().decode().rstrip('\n')
        answers = []
        while True:
            line = (out.readline().decode() if first == 'opened' else first).rstrip('\n')
            if first != 'opened':
                if first.startswith('refused'):
                    out.readline()  # end
                    raise Refused(first)
                raise Refused('it %s in the opening' % out.readline().decode().strip())
            if line == 'end':
                return answers
            if line.startswith('died') or not line:
                raise Refused('it %s in %s' % (line or out.readline().decode(),
                                               commands[len(answers)]))
            status, length = line.split()
            answers.append((int(status), out.read(int(length))))


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
    """NAMESPACES: those that hold what is looked at. R: chooses N_COMMITS of those there are."""

    def __init__(self, probe, path, namespaces, r, n_commits=2):
        self.probe, self.path, self.namespaces = probe, path, namespaces
        self.r, self.n_commits = r, n_commits
        answers = probe.ask(path, ['fsck', '--json branch', '--json tag', '--json log --all'])
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
        answers = iter(self.probe.ask(self.path, commands))
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
