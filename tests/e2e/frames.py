# SPDX-License-Identifier: Apache-2.0
"""The other end of a control file in framed mode, for the tests (interface.md, section 4)."""

import os
import struct
import sys

COMMAND, INPUT, INPUT_END = 1, 2, 3
OUTPUT, ERROR, PROGRESS, STATUS = 4, 5, 6, 7


class Session:
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR)
        self.buffer = b""
        self.write(b"frames 1\n")

    def write(self, data):
        """A program whose threads share the descriptor uses pwrite, so this does too."""
        while data:
            data = data[os.pwrite(self.fd, data, 0):]

    def send(self, kind, payload=b""):
        self.write(struct.pack("<BI", kind, len(payload)) + payload)

    def receive(self):
        """The next frame: its type and payload."""
        while True:
            if len(self.buffer) >= 5:
                kind, size = struct.unpack("<BI", self.buffer[:5])
                if len(self.buffer) >= 5 + size:
                    payload, self.buffer = self.buffer[5:5 + size], self.buffer[5 + size:]
                    return kind, payload
            data = os.pread(self.fd, 65536, 0)
            if not data:
                raise EOFError("the control file ended inside a command")
            self.buffer += data

    def result(self):
        """(exit status, standard output, standard error) of the command that is next to end."""
        streams = {OUTPUT: b"", ERROR: b"", PROGRESS: b""}
        while True:
            kind, payload = self.receive()
            if kind == STATUS:
                assert len(payload) == 1, payload
                return payload[0], streams[OUTPUT], streams[ERROR]
            if kind in streams:
                streams[kind] += payload

    def run(self, line, data=None):
        self.send(COMMAND, line.encode())
        if data is not None:
            for at in range(0, len(data), 60000):
                self.send(INPUT, data[at:at + 60000])
            self.send(INPUT_END)
        return self.result()

    def close(self):
        os.close(self.fd)


if __name__ == "__main__":
    session = Session(sys.argv[1])
    status, output, error = session.run(sys.argv[2], sys.stdin.buffer.read() if len(sys.argv) > 3 else None)
    sys.stdout.buffer.write(output)
    sys.stderr.buffer.write(error)
    sys.exit(status)
