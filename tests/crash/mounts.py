# SPDX-License-Identifier: Apache-2.0
"""Daemons on a store, for the crash tests: started under the layer, unmounted, killed."""

import mmap
import os
import signal
import struct
import subprocess
import sys
import time

SHIM = '/tests/crash/disk-shim.so'
PATIENCE = 120  # seconds: for what hangs, never for what is slow


def is_long():
    return bool(os.environ.get('PROLLYFS_LONG'))


def find_memory():
    """A directory in memory, where thousands of stores cost no waiting for a disk; None: there is none."""
    return '/dev/shm' if os.access('/dev/shm', os.W_OK) else None


def skip_unless_possible(build):
    """Ends the program, as TAP has it, where there is no FUSE, or a sanitizer in the daemon."""
    libraries = subprocess.run(['ldd', build + '/src/prollyfs'], capture_output=True, check=False)
    if not os.path.exists('/dev/fuse'):
        print('1..0 # SKIP no /dev/fuse')
    elif b'libasan' in libraries.stdout or b'libtsan' in libraries.stdout:
        print('1..0 # SKIP a sanitizer wants to be loaded first')
    else:
        return
    sys.exit(0)


def is_mounted(mount):
    with open('/proc/self/mountinfo', encoding='utf-8') as file:
        return any(line.split()[4] == mount for line in file)


def layer_environment(build, root, log=None, control=None):
    """Of a program under the layer."""
    environment = dict(os.environ, LD_PRELOAD=build + SHIM, PROLLY_DISK_ROOT=root)
    if log:
        environment['PROLLY_DISK_LOG'] = log
    if control:
        environment['PROLLY_DISK_CONTROL'] = control
    return environment


class Mount:
    """A daemon in the foreground, this process's child; it answers when this is made."""

    def __init__(self, build, store, mount, environment=None, log_path=os.devnull):
        self.mount = mount
        os.makedirs(mount, exist_ok=True)
        with open(log_path, 'ab') as log:
            self.process = subprocess.Popen(
                [build + '/src/prollyfs', '-f', '-o', 'create', store, mount],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while not self.answers():
            if time.monotonic() > end:
                raise RuntimeError('%s is not mounted' % store)
            time.sleep(0.01)

    def answers(self):
        """It does, or its process has ended."""
        if self.process.poll() is not None:
            return True
        return is_mounted(self.mount) and os.path.isdir(self.mount + '/main')

    def is_alive(self):
        return self.process.poll() is None

    def unmount(self):
        subprocess.run(['fusermount3', '-u', self.mount], check=True)
        self.process.wait(PATIENCE)

    def kill(self):
        if self.is_alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)
        subprocess.run(['fusermount3', '-u', '-z', self.mount], stderr=subprocess.DEVNULL, check=False)


class Mapped:
    """A file of FIELDS that a layer under a program has mapped, too, and reads and counts in."""

    FIELDS = None

    def __init__(self, path):
        self.path = path
        with open(path, 'wb') as file:
            file.write(bytes(self.FIELDS.size))
        self.fd = os.open(path, os.O_RDWR)
        self.map = mmap.mmap(self.fd, self.FIELDS.size)

    def get(self, number):
        return self.FIELDS.unpack(self.map[:])[number]

    def close(self):
        self.map.close()
        os.close(self.fd)


class Control(Mapped):
    """What the layer is to do: disk-shim.h."""

    DATA, SYNCS, NAMES, MAKING, READS = 1, 2, 4, 8, 16
    ALL = 15  # that change something
    PASS, FAIL, PART, KILL = range(4)
    FIELDS = struct.Struct('<IIiIqqq')

    def arm(self, action, wait=0, calls=ALL, error=0, times=1):
        """From now on, after WAIT CALLS. (The set comes last: until then nothing is meant.)"""
        self.map[:4] = bytes(4)
        fields = self.FIELDS.pack(calls, action, error, times, wait, 0, 0)
        self.map[4:] = fields[4:]
        self.map[:4] = fields[:4]

    def disarm(self):
        self.map[:4] = bytes(4)

    def n_calls(self):
        return self.get(5)

    def n_struck(self):
        return self.get(6)
