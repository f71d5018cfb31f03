# SPDX-License-Identifier: Apache-2.0
"""Reads a store of the file back end by prollyfs-format(5) alone, and builds its trees anew.

usage: format.py STORE REVISION

Nothing of prollyfs is used: git for commits, libxxhash for the boundary rule. Every node is checked
against its name and against its one encoding. Every tree and blob is read, built again from its
contents, and must come out with the same hashes, so that this is a second opinion on the canonical
form and on the manual page. Prints for each namespace its root hash, name, number of keys and of blobs, separated by tabs.
"""

import configparser
import ctypes
import hashlib
import pathlib
import struct
import subprocess
import sys
import urllib.parse

CHILD = 48
WORD = (1 << 64) - 1

xxhash = ctypes.CDLL("libxxhash.so.0")
xxhash.XXH3_64bits_withSeed.restype = ctypes.c_uint64
xxhash.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def le(data):
    return int.from_bytes(data, "little")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class Store:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        config = configparser.ConfigParser()
        config.read(self.path / "config")
        assert config["prollyfs"]["format"] == "1"
        self.p = {key: int(value) for key, value in config["tree"].items()}
        names = "min", "max", "scale-shift", None, "inline-limit", "chunk-min", "chunk-average", "chunk-max"
        numbers = [1, 1, 1] + [self.p[name] if name else 1 for name in names]
        self.label = b"prolly seed v1\0\0"
        self.descriptor = (b"prollyfm" + b"".join(n.to_bytes(4, "little") for n in numbers) + self.label
                           + b"fastcdc1")
        assert len(self.descriptor) == 76
        self.seeds = [le(sha256(self.label, bytes([level]))[:8]) for level in range(64)]

    def load(self, kind, digest):
        name = digest.hex()
        data = (self.path / "nodes" / kind / name[:2] / name[2:]).read_bytes()
        assert sha256(data) == digest, f"{name} is not its hash"
        return data

    def root(self, top):
        return sha256(self.descriptor, top)


# ---- Trees, read ---------------------------------------------------------------------------------


def parse_node(data):
    """Its level and its entries: (key, value) in a leaf, (key, hash, keys, bytes) above."""
    assert data[:3] == b"PTN" and data[3] == 1
    kind, level, flags = data[4], data[5], le(data[6:8])
    n, prefix_len, keys_len, values_len = struct.unpack("<IIII", data[8:24])
    keys, size = struct.unpack("<QQ", data[24:40])
    wide = flags & 1
    assert flags == wide and wide == (keys_len > 65535 or values_len > 65535)
    assert (kind == 0) == (level == 0)
    at = 40
    width = 4 if wide else 2

    def take(count):
        nonlocal at
        at += count
        assert at <= len(data)
        return data[at - count:at]

    if kind:
        child_keys = struct.unpack(f"<{n}Q", take(8 * n))
        child_bytes = struct.unpack(f"<{n}Q", take(8 * n))
        hashes = [take(32) for _ in range(n)]
    key_ends = [le(take(width)) for _ in range(n)]
    value_ends = [le(take(width)) for _ in range(n)] if not kind else []
    prefix, suffixes, values = take(prefix_len), take(keys_len), take(values_len)
    assert at == len(data)
    found = [prefix + suffixes[a:b] for a, b in zip([0] + key_ends, key_ends)]
    assert found == sorted(set(found))
    assert n == 0 or key_ends[-1] == keys_len
    if kind:
        assert sum(child_keys) == keys and sum(child_bytes) == size
        return level, list(zip(found, hashes, child_keys, child_bytes)), (keys, size)
    contents = [values[a:b] for a, b in zip([0] + value_ends, value_ends)]
    assert (value_ends[-1] if n else 0) == values_len and n == keys
    return level, list(zip(found, contents)), (keys, size)


def read_tree(store, top):
    level, entries, counts = parse_node(store.load("tree", top))
    if level == 0:
        return entries, counts
    everything = []
    for key, child, keys, size in entries:
        below, (child_keys, child_size) = read_tree(store, child)
        assert below[-1][0] == key and (child_keys, child_size) == (keys, size)
        everything += below
    return everything, counts


# ---- Trees, built --------------------------------------------------------------------------------


def weigh(value):
    return le(value[1:9]) if value[0] & 0x80 else len(value) - 1


def common_prefix(a, b):
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def build_node(level, entries):
    keys = [entry[0] for entry in entries]
    prefix = common_prefix(keys[0], keys[-1]) if len(keys) > 1 else len(keys[0]) if keys else 0
    suffixes = [key[prefix:] for key in keys]
    values = [entry[1] for entry in entries] if level == 0 else []
    if level == 0:
        total = len(entries), sum(len(k) + weigh(v) for k, v in entries)
    else:
        total = sum(e[2] for e in entries), sum(e[3] for e in entries)
    heap, value_heap = b"".join(suffixes), b"".join(values)
    wide = len(heap) > 65535 or len(value_heap) > 65535
    data = (b"PTN\1" + bytes([level > 0, level, wide, 0])
            + struct.pack("<IIIIQQ", len(keys), prefix, len(heap), len(value_heap), *total))
    if level:
        data += b"".join(e[2].to_bytes(8, "little") for e in entries)
        data += b"".join(e[3].to_bytes(8, "little") for e in entries)
        data += b"".join(e[1] for e in entries)
    for strings in (suffixes, values):
        end = 0
        for string in strings:
            end += len(string)
            data += end.to_bytes(4 if wide else 2, "little")
    data += (keys[0][:prefix] if keys else b"") + heap + value_heap
    return keys[-1] if keys else b"", sha256(data), *total


def is_cut(store, level, first, s0, s1, key):
    if level and first:
        return False
    if s1 >= store.p["max"]:
        return True
    if s1 < store.p["min"]:
        return False
    e = xxhash.XXH3_64bits_withSeed(key, len(key), store.seeds[level]) & 0xffffffff
    return e << (4 * store.p["scale-shift"]) < (s1 ** 4 - s0 ** 4) << 32


def build_tree(store, entries):
    level = 0
    while True:
        nodes, draft, measure = [], [], 0
        for entry in entries:
            size = len(entry[0]) + (CHILD if level else len(entry[1]))
            cut = is_cut(store, level, not draft, measure, measure + size, entry[0])
            draft.append(entry)
            measure += size
            if cut:
                nodes.append(build_node(level, draft))
                draft, measure = [], 0
        if draft or not nodes:
            nodes.append(build_node(level, draft))
        if len(nodes) == 1:
            return nodes[0][1]
        entries, level = nodes, level + 1


# ---- Blobs ---------------------------------------------------------------------------------------


def read_blob(store, digest, height, length):
    if height == 0:
        data = store.load("chunk", digest)
        assert data[:4] == b"PrC\1" and le(data[4:8]) == len(data) - 8 == length
        return data[8:]
    data = store.load("tree", digest)
    assert data[:4] == b"PrB\1" and data[4] == height and not any(data[5:8] + data[12:16])
    count = le(data[8:12])
    assert count >= 1 and len(data) == 16 + 48 * count
    content, start = b"", 0
    for at in range(16, len(data), 48):
        end, filled, child = le(data[at:at + 8]), le(data[at + 8:at + 16]), data[at + 16:at + 48]
        zero_last, end = end >> 63, end & (WORD >> 1)
        if child == bytes(32):
            assert height == 1
            content += bytes(end - start)
        else:
            content += read_blob(store, child, height - 1, end - start)
        assert zero_last == (content[-1] == 0) and filled <= end
        start = end
    assert start == length
    return content


def make_gear():
    state, gear = le(b"prollyfs"), []
    for _ in range(256):
        state = (state + 0x9e3779b97f4a7c15) & WORD
        z = state
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & WORD
        z = (z ^ z >> 27) * 0x94d049bb133111eb & WORD
        gear.append(z ^ z >> 31)
    return gear


def cut_chunks(store, data, gear):
    low, average, high = (store.p[f"chunk-{name}"] for name in ("min", "average", "max"))
    bits = average.bit_length() - 1
    while data:
        h, end = 0, min(len(data), high)
        for at in range(max(0, low - 64), end):
            h = ((h << 1) + gear[data[at]]) & WORD
            if at + 1 >= low and h < 1 << (62 - bits if at + 1 < average else 66 - bits):
                end = at + 1
                break
        yield data[:end]
        data = data[end:]


def split_holes(data, shortest):
    """Stretches of DATA, in order: (is it a hole, bytes)."""
    at = 0
    while at < len(data):
        hole = data.find(bytes(shortest), at)
        if hole < 0:
            yield False, data[at:]
            return
        if hole > at:
            yield False, data[at:hole]
        end = hole
        while end < len(data) and data[end] == 0:
            end += 1
        yield True, data[hole:end]
        at = end


def build_blob(store, data, gear):
    """(height, hash) of the blob of DATA."""
    entries = []  # length, bytes in no hole, hash, is the last byte zero
    for hole, stretch in split_holes(data, store.p["chunk-average"]):
        if hole:
            entries.append((len(stretch), 0, bytes(32), True))
            continue
        for chunk in cut_chunks(store, stretch, gear):
            digest = sha256(b"PrC\1", len(chunk).to_bytes(4, "little"), chunk)
            entries.append((len(chunk), len(chunk), digest, chunk[-1] == 0))
    if len(entries) == 1 and entries[0][1]:
        return 0, entries[0][2]
    level = 0
    while True:
        level += 1
        nodes, draft = [], []
        for number, entry in enumerate(entries):
            draft.append(entry)
            cut = entry[1] and len(draft) >= 16 and le(entry[2][:4]) < 1 << 26
            if cut or len(draft) == 256 or number == len(entries) - 1:
                nodes.append(build_blob_node(level, draft))
                draft = []
        if len(nodes) == 1:
            return level, nodes[0][2]
        entries = nodes


def build_blob_node(level, entries):
    data = b"PrB\1" + bytes([level, 0, 0, 0]) + struct.pack("<II", len(entries), 0)
    end = filled = 0
    for length, full, digest, zero_last in entries:
        end += length
        filled += full
        data += struct.pack("<QQ", end | zero_last << 63, filled) + digest
    return end, filled, sha256(data), entries[-1][3]


# ---- Commits -------------------------------------------------------------------------------------


def git(store, *words):
    return subprocess.run(["git", f"--git-dir={store.path / 'git'}", *words], check=True,
                          capture_output=True).stdout


def namespaces(store, revision):
    for line in git(store, "ls-tree", "-z", revision).split(b"\0"):
        if not line:
            continue
        name = line.split(b"\t", 1)[1].decode()
        if name.startswith("ns-"):
            text = git(store, "cat-file", "blob", f"{revision}:{name}").decode()
            fields = dict(field.split(" ", 1) for field in text.splitlines())
            assert list(fields) == ["format", "root", "top", "keys", "bytes"] and fields["format"] == "1"
            yield urllib.parse.unquote(name[3:]), fields


def check_value(store, value, gear):
    if value[0] & 0x80:
        length, height, digest = le(value[1:9]), le(value[9:13]), value[13:]
        assert len(digest) == 32 and length > store.p["inline-limit"]
        content = read_blob(store, digest, height, length)
        assert build_blob(store, content, gear) == (height, digest), "a blob is not canonical"
        return 1
    assert len(value) - 1 <= store.p["inline-limit"]
    return 0


def main():
    store, gear = Store(sys.argv[1]), make_gear()
    for name, fields in namespaces(store, sys.argv[2]):
        top = bytes.fromhex(fields["top"])
        assert store.root(top).hex() == fields["root"]
        entries, counts = read_tree(store, top)
        assert counts == (int(fields["keys"]), int(fields["bytes"]))
        assert build_tree(store, entries) == top, f"the tree of {name} is not canonical"
        blobs = sum(check_value(store, value, gear) for _, value in entries)
        print(fields["root"], name or ".", len(entries), blobs, sep="\t")


main()
