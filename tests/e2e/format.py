# SPDX-License-Identifier: Apache-2.0
"""prollyfs-format(5), followed by a stranger: what commits refer to, read and written.

usage: format.py read STORE REVISION
       format.py build STORE NAMESPACE=SOURCE...

Nothing of prollyfs is used: git for commits, libxxhash for the boundary rule, and for the database
ldb(1), by way of format_db.py.

read: reads all namespaces of a commit. Every node is checked against its name and against its one
encoding. Every tree and blob is built again from its contents, and must come out with the same
hashes, so that this is a second opinion on the canonical form and on the manual page.

build: builds the trees of a commit with the namespaces named, under the parameters of STORE, which
is not looked at otherwise. A SOURCE is a directory, as the mount would show the namespace, or else
a file of lines {"key": ..., "value": ...}.

Both print for each namespace its root hash, name, number of keys and of blobs, separated by tabs,
and at last the same for all of them together, under the name "/".
"""

import base64
import configparser
import ctypes
import hashlib
import json
import os
import pathlib
import re
import stat
import struct
import subprocess
import sys
import urllib.parse

CHILD = 48
REFERENCE = 45
HOLE = bytes(32)
WORD = (1 << 64) - 1
KEY_MAX, VALUE_MAX = 65536, 1 << 20
FILE, EXECUTABLE, SYMLINK, DIRECTORY, FIFO, SOCKET, CHARACTER, BLOCK = range(8)

xxhash = ctypes.CDLL("libxxhash.so.0")
xxhash.XXH3_64bits_withSeed.restype = ctypes.c_uint64
xxhash.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def le(data):
    return int.from_bytes(data, "little")


def le16(number):
    return number.to_bytes(2, "little")


def le32(number):
    return number.to_bytes(4, "little")


def le64(number):
    return number.to_bytes(8, "little")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def splitmix64(state):
    """Its outputs, from the seed STATE on."""
    while True:
        state = (state + 0x9e3779b97f4a7c15) & WORD
        z = (state ^ state >> 30) * 0xbf58476d1ce4e5b9 & WORD
        z = (z ^ z >> 27) * 0x94d049bb133111eb & WORD
        yield z ^ z >> 31


# ---- The format ----------------------------------------------------------------------------------


class Format:
    """The parameters, and what follows from them."""

    DEFAULTS = {"min": 512, "max": 16384, "scale-shift": 12, "inline-limit": 1024,
                "chunk-min": 16384, "chunk-average": 65536, "chunk-max": 262144}
    LABEL = b"prolly seed v1\0\0"

    def __init__(self, parameters, weighing=1):
        self.p = parameters
        numbers = [1, 1, 1, self.p["min"], self.p["max"], self.p["scale-shift"], weighing,
                   self.p["inline-limit"], self.p["chunk-min"], self.p["chunk-average"], self.p["chunk-max"]]
        self.descriptor = b"prollyfm" + b"".join(map(le32, numbers)) + self.LABEL + b"fastcdc1"
        assert len(self.descriptor) == 76
        self.seeds = [le(sha256(self.LABEL, bytes([level]))[:8]) for level in range(64)]
        outputs = splitmix64(le(b"prollyfs"))
        self.gear = [next(outputs) for _ in range(256)]
        self.weighing = weighing

    @classmethod
    def load(cls, store):
        config = configparser.ConfigParser()
        config.read(pathlib.Path(store) / "config")
        assert config["prollyfs"]["format"] == "1"
        assert list(config["tree"]) == list(cls.DEFAULTS)
        return cls({key: int(value) for key, value in config["tree"].items()})

    def root(self, top):
        return sha256(self.descriptor, top)

    def weigh(self, value):
        if self.weighing == 0:
            return len(value)
        if len(value) == REFERENCE and value[0] in (0x80, 0x81, 0x82):
            return le(value[1:9])
        return max(len(value) - 1, 0)


class Files:
    """The nodes of a store of the file back end."""

    def __init__(self, store):
        self.path = pathlib.Path(store) / "nodes"

    def load(self, kind, digest):
        name = digest.hex()
        return (self.path / kind / name[:2] / name[2:]).read_bytes()


class Kept(dict):
    """Nodes that were built, by their hashes."""

    def put(self, kind, data):
        digest = sha256(data)
        self[digest] = kind, data
        return digest


def open_nodes(store):
    if (pathlib.Path(store) / "nodes").is_dir():
        return Files(store)
    import format_db
    return format_db.Nodes(store)


# ---- Trees, read ---------------------------------------------------------------------------------


def parse_node(form, data):
    """Its level, its entries and its counts; an entry is (key, value) in a leaf, (key, hash, keys,
    bytes) above."""
    assert data[:4] == b"PTN\1"
    kind, level, flags = data[4], data[5], le(data[6:8])
    n, prefix_len, keys_len, values_len = struct.unpack("<IIII", data[8:24])
    keys, size = struct.unpack("<QQ", data[24:40])
    wide = flags & 1
    assert flags == wide == (keys_len > 65535 or values_len > 65535)
    assert kind in (0, 1) and (kind == 0) == (level == 0) and level <= 63
    assert n or (level == 0 and prefix_len == 0)
    assert not kind or values_len == 0
    at, width = 40, 4 if wide else 2

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
    assert key_ends == sorted(key_ends) and value_ends == sorted(value_ends)
    assert (key_ends[-1] if n else 0) == keys_len
    found = [prefix + suffixes[a:b] for a, b in zip([0] + key_ends, key_ends)]
    assert found == sorted(set(found)) and all(len(key) <= KEY_MAX for key in found)
    assert prefix_len == (common_prefix(found[0], found[-1]) if n else 0)
    if kind:
        assert all(child_keys) and sum(child_keys) == keys and sum(child_bytes) == size
        return level, list(zip(found, hashes, child_keys, child_bytes)), (keys, size)
    contents = [values[a:b] for a, b in zip([0] + value_ends, value_ends)]
    assert (value_ends[-1] if n else 0) == values_len and n == keys
    assert all(len(value) <= VALUE_MAX for value in contents)
    assert sum(len(key) + form.weigh(value) for key, value in zip(found, contents)) == size
    return level, list(zip(found, contents)), (keys, size)


def load_checked(nodes, kind, digest):
    data = nodes.load(kind, digest)
    assert sha256(data) == digest, f"{digest.hex()} is not its hash"
    return data


def read_tree(form, nodes, top):
    """Its entries, and its counts."""
    level, entries, counts = parse_node(form, load_checked(nodes, "tree", top))
    if level == 0:
        return entries, counts
    everything = []
    for key, child, keys, size in entries:
        below, below_counts = read_tree(form, nodes, child)
        assert below[-1][0] == key and below_counts == (keys, size)
        everything += below
    return everything, counts


# ---- Trees, written ------------------------------------------------------------------------------


def common_prefix(a, b):
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def build_node(form, level, entries, keep):
    """The entry of the level above: last key, hash, keys, bytes."""
    keys = [entry[0] for entry in entries]
    prefix = common_prefix(keys[0], keys[-1]) if keys else 0
    suffixes = [key[prefix:] for key in keys]
    values = [entry[1] for entry in entries] if level == 0 else []
    if level == 0:
        total = len(entries), sum(len(key) + form.weigh(value) for key, value in entries)
    else:
        total = sum(e[2] for e in entries), sum(e[3] for e in entries)
    heap, value_heap = b"".join(suffixes), b"".join(values)
    wide = len(heap) > 65535 or len(value_heap) > 65535
    data = [b"PTN\1", bytes([level > 0, level, wide, 0]),
            struct.pack("<IIIIQQ", len(keys), prefix, len(heap), len(value_heap), *total)]
    if level:
        data += [le64(e[2]) for e in entries] + [le64(e[3]) for e in entries] + [e[1] for e in entries]
    for strings in (suffixes, values):
        end = 0
        for string in strings:
            end += len(string)
            data.append(le32(end) if wide else le16(end))
    data += [keys[0][:prefix] if keys else b"", heap, value_heap]
    return keys[-1] if keys else b"", keep.put("tree", b"".join(data)), *total


def draw(form, level, key):
    """The number that decides whether a node ends behind KEY."""
    return xxhash.XXH3_64bits_withSeed(key, len(key), form.seeds[level]) & 0xffffffff


def is_cut(form, level, first, s0, s1, key):
    if level and first:
        return False
    if s1 >= form.p["max"]:
        return True
    if s1 < form.p["min"]:
        return False
    return draw(form, level, key) << (4 * form.p["scale-shift"]) < (s1 ** 4 - s0 ** 4) << 32


def build_tree(form, entries, keep):
    """Of sorted entries (key, value): the hash of the top node."""
    level = 0
    while True:
        nodes, draft, measure = [], [], 0
        for entry in entries:
            size = len(entry[0]) + (CHILD if level else len(entry[1]))
            cut = is_cut(form, level, not draft, measure, measure + size, entry[0])
            draft.append(entry)
            measure += size
            if cut:
                nodes.append(build_node(form, level, draft, keep))
                draft, measure = [], 0
        if draft or not nodes:
            nodes.append(build_node(form, level, draft, keep))
        if len(nodes) == 1:
            return nodes[0][1]
        entries, level = nodes, level + 1


# ---- Blobs ---------------------------------------------------------------------------------------


def read_blob(nodes, digest, height, length):
    if height == 0:
        data = load_checked(nodes, "chunk", digest)
        assert data[:4] == b"PrC\1" and le(data[4:8]) == len(data) - 8 == length
        return data[8:]
    data = load_checked(nodes, "tree", digest)
    assert data[:4] == b"PrB\1" and data[4] == height <= 16 and not any(data[5:8] + data[12:16])
    count = le(data[8:12])
    assert 1 <= count <= 256 and len(data) == 16 + 48 * count
    content, start = [], 0
    for at in range(16, len(data), 48):
        end, filled, child = le(data[at:at + 8]), le(data[at + 8:at + 16]), data[at + 16:at + 48]
        zero_last, end = end >> 63, end & (WORD >> 1)
        assert end > start and filled <= end and (child != HOLE or height == 1)
        part = bytes(end - start) if child == HOLE else read_blob(nodes, child, height - 1, end - start)
        assert zero_last == (part[-1] == 0)
        content.append(part)
        start = end
    assert start == length
    return b"".join(content)


def cut_chunks(form, data):
    low, average, high = (max(form.p[f"chunk-{name}"], 64) for name in ("min", "average", "max"))
    bits = average.bit_length() - 1
    gear = form.gear
    while data:
        h, end = 0, min(len(data), high)
        for at in range(low - 64, end):
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
        end = hole + len(re.match(rb"\0*", data[hole:]).group())
        yield True, data[hole:end]
        at = end


def build_blob_node(level, entries, keep):
    """The entry of the level above: length, bytes in no hole, hash, is the last byte zero."""
    data = [b"PrB\1", bytes([level, 0, 0, 0]), struct.pack("<II", len(entries), 0)]
    end = filled = 0
    for length, full, digest, zero_last in entries:
        end += length
        filled += full
        data += [le64(end | zero_last << 63), le64(filled), digest]
    return end, filled, keep.put("tree", b"".join(data)), entries[-1][3]


def build_blob(form, data, keep):
    """(height, hash) of the blob of DATA."""
    entries = []
    for hole, stretch in split_holes(data, max(form.p["chunk-average"], 64)):
        if hole:
            entries.append((len(stretch), 0, HOLE, True))
            continue
        for chunk in cut_chunks(form, stretch):
            digest = keep.put("chunk", b"PrC\1" + le32(len(chunk)) + chunk)
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
                nodes.append(build_blob_node(level, draft, keep))
                draft = []
        if len(nodes) == 1:
            return level, nodes[0][2]
        entries = nodes


# ---- Stored values -------------------------------------------------------------------------------


def build_value(form, kind, content, keep):
    if len(content) <= form.p["inline-limit"]:
        return bytes([kind]) + content
    height, digest = build_blob(form, content, keep)
    return bytes([kind | 0x80]) + le64(len(content)) + le32(height) + digest


def read_value(form, nodes, value):
    """(kind, content); a content of several chunks is built again."""
    kind = value[0] & 0x7f
    assert kind < 8
    if not value[0] & 0x80:
        assert len(value) - 1 <= form.p["inline-limit"]
        if kind > SYMLINK:
            assert len(value) == (9 if kind in (CHARACTER, BLOCK) else 1)
        return kind, value[1:]
    length, height, digest = le(value[1:9]), le(value[9:13]), value[13:]
    assert len(value) == REFERENCE and kind <= SYMLINK and length > form.p["inline-limit"]
    content = read_blob(nodes, digest, height, length)
    assert build_value(form, kind, content, Kept()) == value, "a blob is not canonical"
    return kind, content


# ---- Commits -------------------------------------------------------------------------------------


def git(store, *words):
    return subprocess.run(["git", f"--git-dir={pathlib.Path(store) / 'git'}", *words], check=True,
                          capture_output=True).stdout


def namespace_file(form, top, keys, size):
    return f"format 1\nroot {form.root(top).hex()}\ntop {top.hex()}\nkeys {keys}\nbytes {size}\n".encode()


def namespace_file_name(name):
    """NAME is bytes."""
    return "ns-" + "".join(chr(c) if re.match(rb"[A-Za-z0-9_-]", bytes([c])) else f"%{c:02X}" for c in name)


def load_namespaces(form, store, revision):
    """(name, top, keys, bytes) of each, by name."""
    found = []
    for line in git(store, "ls-tree", "-z", revision).split(b"\0"):
        if not line:
            continue
        head, file = line.split(b"\t", 1)
        file = file.decode()
        name = urllib.parse.unquote_to_bytes(file[3:])
        if not file.startswith("ns-") or namespace_file_name(name) != file:
            continue
        assert head.startswith(b"100644 blob ")
        text = git(store, "cat-file", "blob", f"{revision}:{file}")
        fields = dict(line.split(" ", 1) for line in text.decode().splitlines())
        top, keys, size = bytes.fromhex(fields["top"]), int(fields["keys"]), int(fields["bytes"])
        assert text == namespace_file(form, top, keys, size)
        found.append((name, top, keys, size))
    return sorted(found)


def build_all(form, roots, keep):
    """The top of the tree of namespaces: ROOTS are (name, root)."""
    return build_tree(form, sorted(roots), keep)


def show(root, name, keys, blobs):
    print(root.hex(), os.fsdecode(name) or ".", keys, blobs, sep="\t")


def show_all(form, roots):
    """ROOTS: of (name, root, keys, blobs)."""
    for name, root, keys, blobs in roots:
        show(root, name, keys, blobs)
    top = build_all(form, [(name, root) for name, root, _, _ in roots], Kept())
    show(form.root(top), b"/", sum(r[2] for r in roots), sum(r[3] for r in roots))


def read(store, revision):
    form, nodes, roots = Format.load(store), open_nodes(store), []
    for name, top, keys, size in load_namespaces(form, store, revision):
        entries, counts = read_tree(form, nodes, top)
        assert counts == (keys, size)
        assert build_tree(form, entries, Kept()) == top, f"the tree of {name} is not canonical"
        for _, value in entries:
            read_value(form, nodes, value)
        roots.append((name, form.root(top), len(entries), sum(value[0] >> 7 for _, value in entries)))
    show_all(form, roots)


# ---- Contents of elsewhere -----------------------------------------------------------------------


def from_json(text):
    return base64.b64decode(text["base64"]) if isinstance(text, dict) else text.encode()


def read_lines(path):
    """key -> (kind, content) of a file of JSON lines."""
    lines = map(json.loads, path.read_text().splitlines())
    return {from_json(line["key"]): (FILE, from_json(line["value"])) for line in lines}


def read_inode(path):
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return SYMLINK, os.readlink(path)
    if stat.S_ISREG(status.st_mode):
        return EXECUTABLE if status.st_mode & 0o100 else FILE, pathlib.Path(os.fsdecode(path)).read_bytes()
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        numbers = le32(os.major(status.st_rdev)) + le32(os.minor(status.st_rdev))
        return CHARACTER if stat.S_ISCHR(status.st_mode) else BLOCK, numbers
    return {stat.S_IFIFO: FIFO, stat.S_IFSOCK: SOCKET, stat.S_IFDIR: DIRECTORY}[stat.S_IFMT(status.st_mode)], b""


def read_directory(path, prefix=b""):
    """key -> (kind, content) of a directory whose names need no escapes."""
    found = {}
    for name in os.listdir(path):
        inode, key = os.path.join(path, name), prefix + name
        kind, content = read_inode(inode)
        below = read_directory(inode, key + b"/") if kind == DIRECTORY else None
        found.update(below or {key: (kind, content)})
    return found


def build(store, sources):
    form, roots, keep = Format.load(store), [], Kept()
    for source in sources:
        name, path = source.split("=", 1)
        path = pathlib.Path(path)
        contents = read_directory(os.fsencode(path)) if path.is_dir() else read_lines(path)
        entries = [(key, build_value(form, kind, content, keep))
                   for key, (kind, content) in sorted(contents.items())]
        root = form.root(build_tree(form, entries, keep))
        roots.append((os.fsencode(name), root, len(entries), sum(value[0] >> 7 for _, value in entries)))
    show_all(form, sorted(roots))


if __name__ == "__main__":
    if sys.argv[1] == "read":
        read(sys.argv[2], sys.argv[3])
    else:
        build(sys.argv[2], sys.argv[3:])
