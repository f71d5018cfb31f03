# SPDX-License-Identifier: Apache-2.0
"""prollyfs-format(5), followed by a stranger: what is local, read and written.

usage: format_db.py check STORE
       format_db.py working STORE BRANCH
       format_db.py attributes STORE BRANCH NAMESPACE KEY...
       format_db.py write STORE [PARAMETER=NUMBER...]

check: decodes every record of the database, encodes it again, and compares. Prints how many there
are of each type, by family, and the mark.

working: lays what is staged on a branch over its head, and prints the roots of that as format.py
does. Checks its committed attributes as well.

attributes: prints the recorded attributes of keys in a working state: mode, user, group, the times
of access, modification and change in seconds, and the extended attributes.

write: makes a store, of the file back end, with two commits and something staged, and prints the
same roots of its working state. The parameters are the defaults but for those named.

The database is read and written with ldb(1), which knows nothing of prollyfs.
"""

import collections
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from format import (DIRECTORY, EXECUTABLE, FILE, Format, Kept, SYMLINK, build_all, build_tree, build_value, git, le,
                    le32, le64, load_namespaces, namespace_file, namespace_file_name, open_nodes, read_tree,
                    read_value, sha256, show_all, splitmix64, WORD)

FAMILIES = "meta", "nodes", "chunks", "index", "staged", "extents", "journal"
LOAD = 1 << 63
VALUE, TOMBSTONE, ATTRIBUTES, EXTENTS = 1, 2, 4, 8


def be(data):
    return int.from_bytes(data, "big")


def be32(number):
    return number.to_bytes(4, "big")


def be64(number):
    return number.to_bytes(8, "big")


# ---- Numbers and strings -------------------------------------------------------------------------


def varint(number):
    data = b""
    while number > 0x7f:
        data += bytes([number & 0x7f | 0x80])
        number >>= 7
    return data + bytes([number])


def zigzag(number):
    return varint((number << 1 ^ number >> 63) & WORD)


def string(data):
    return varint(len(data)) + data


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, count):
        self.at += count
        assert self.at <= len(self.data)
        return self.data[self.at - count:self.at]

    def byte(self):
        return self.bytes(1)[0]

    def varint(self):
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return number

    def zigzag(self):
        number = self.varint()
        number = (number >> 1 ^ -(number & 1)) & WORD
        return number - (number >> 63 << 64)

    def string(self):
        return self.bytes(self.varint())

    def rest(self):
        return self.bytes(len(self.data) - self.at)

    def list(self, take):
        return [take() for _ in range(self.varint())]

    def end(self):
        assert self.at == len(self.data)


# ---- Records: branches ---------------------------------------------------------------------------

Branch = collections.namedtuple("Branch", "name head top keys bytes generations moves")


def build_branch(branch):
    moves = [varint(sequence) + le64(time & WORD) + before + after for sequence, time, before, after in branch.moves]
    return (b"\1" + string(branch.name) + branch.head + branch.top + varint(branch.keys) + varint(branch.bytes)
            + varint(len(branch.generations)) + b"".join(map(le64, branch.generations))
            + varint(len(moves)) + b"".join(moves))


def parse_branch(data):
    r = Reader(data)
    assert r.byte() == 1
    branch = Branch(r.string(), r.bytes(20), r.bytes(32), r.varint(), r.varint(), r.list(lambda: le(r.bytes(8))),
                    r.list(lambda: (r.varint(), le(r.bytes(8)), r.bytes(20), r.bytes(20))))
    r.end()
    assert branch.generations and not branch.generations[0] & LOAD
    sequences = [move[0] for move in branch.moves]
    assert sequences == sorted(set(sequences))
    return branch


# ---- Records: attributes -------------------------------------------------------------------------

BITS = "mode", "uid", "gid", "atime", "mtime", "ctime", "xattrs", "number", "group", "salt"
ORDER = "mode", "uid", "gid", "mtime", "atime", "ctime", "number", "group", "salt"


def build_attributes(sequence, a):
    """A has of the names in BITS those that are there."""
    data = varint(sum(1 << BITS.index(name) for name in a)) + varint(sequence)
    for name in ORDER:
        if name in a and name.endswith("time"):
            data += zigzag(a[name] - (a.get("mtime", 0) if name != "mtime" else 0))
        elif name in a:
            data += varint(a[name])
    for name, value in sorted(a.get("xattrs", {}).items()):
        data += string(name) + string(value)
    return data


def parse_attributes(data):
    r, a = Reader(data), {}
    bits, sequence = r.varint(), r.varint()
    assert bits < 1 << len(BITS)
    for name in ORDER:
        if bits >> BITS.index(name) & 1:
            base = a.get("mtime", 0) if name != "mtime" else 0
            a[name] = base + r.zigzag() if name.endswith("time") else r.varint()
    if bits >> BITS.index("xattrs") & 1:
        a["xattrs"] = {}
        while r.at < len(data):
            name = r.string()
            a["xattrs"][name] = r.string()
    r.end()
    assert a.get("mode", 0) <= 0o7777
    return sequence, a


def murmur64a(data, seed):
    m = 0xc6a4a7935bd1e995
    h = seed ^ len(data) * m & WORD
    whole = len(data) & ~7
    for at in range(0, whole, 8):
        k = le(data[at:at + 8]) * m & WORD
        h = (h ^ (k ^ k >> 47) * m) * m & WORD
    if whole < len(data):
        h = (h ^ le(data[whole:])) * m & WORD
    h = (h ^ h >> 47) * m & WORD
    return h ^ h >> 47


def derive_number(namespace, key, is_directory, salt):
    seed = murmur64a(namespace, salt << 1 | is_directory)
    return murmur64a(key, seed) & (1 << 46) - 1 | 1 << 46


# ---- Records: what is staged ---------------------------------------------------------------------

Entry = collections.namedtuple("Entry", "flags extents base_length length attributes value")


def staged_key(branch, generation, kind, namespace=b"", rest=b""):
    return be32(branch) + be64(generation) + kind + namespace + b"\0" + rest


def split_staged_key(key):
    """(branch, generation, type, namespace, rest)"""
    namespace, rest = key[13:].split(b"\0", 1)
    return be(key[:4]), be(key[4:12]), key[12:13], namespace, rest


def build_entry(value=b"", attributes=None, extents=None, tombstone=False):
    """ATTRIBUTES is a record of them, EXTENTS (number, base length, length)."""
    flags = ((VALUE if value else 0) | (TOMBSTONE if tombstone else 0)
             | (ATTRIBUTES if attributes is not None else 0) | (EXTENTS if extents else 0))
    data = bytes([flags]) + b"".join(map(varint, extents or ()))
    return data + (string(attributes) if attributes is not None else b"") + value


def parse_entry(data):
    r = Reader(data)
    flags = r.byte()
    extents = [r.varint() for _ in range(3)] if flags & EXTENTS else (0, 0, 0)
    attributes = r.string() if flags & ATTRIBUTES else None
    value = r.rest()
    assert flags < 16 and bool(flags & VALUE) == (value != b"") and flags & 3 != 3
    assert flags & VALUE or not flags & EXTENTS
    return Entry(flags, *extents, attributes, value)


def check_attributes(data):
    assert build_attributes(*parse_attributes(data)) == data


def check_pairs(data):
    r, pairs = Reader(data), []
    while r.at < len(data):
        pairs.append((r.string(), r.string()))
    assert b"".join(string(namespace) + string(key) for namespace, key in pairs) == data


def check_staged(key, data):
    branch, generation, kind, namespace, rest = split_staged_key(key)
    assert staged_key(branch, generation, kind, namespace, rest) == key
    if generation & LOAD:
        assert kind in b"ent"
    if kind == b"e":
        entry = parse_entry(data)
        assert build_entry(entry.value, entry.attributes, entry[1:4] if entry.extents else None,
                           bool(entry.flags & TOMBSTONE)) == data
        if entry.attributes is not None:
            check_attributes(entry.attributes)
        assert entry.flags == VALUE or not generation & LOAD
    elif kind == b"d":
        assert data[0] <= 4 and (rest == b"" or rest.endswith(b"/"))
        check_attributes(data[1:])
    elif kind == b"l":
        assert namespace == b"" and len(rest) == 8
        check_pairs(data)
    elif kind == b"n":
        assert rest == b"" and namespace and data in (b"\0", b"\1")
    elif kind == b"m":
        assert data == namespace == rest == b""
    else:
        assert kind == b"t" and namespace == rest == b"" and len(data) == 8 and generation & LOAD
    return kind.decode() + (" load" if generation & LOAD else "")


# ---- Records: extents, journal, nodes ------------------------------------------------------------


def check_extent(key, data):
    offset, length = le(data[:8]), le(data[8:16])
    assert len(key) == 16 and be(key[:8]) >> 40 and length and offset + length <= WORD
    assert len(data) in (16, 16 + length)
    return "zeros" if len(data) == 16 else "bytes"


def build_journal(objects, updates):
    """OBJECTS are (type, contents), UPDATES (name, from, to, line, lines before)."""
    return (b"\1" + varint(len(objects)) + b"".join(bytes([kind]) + string(data) for kind, data in objects)
            + varint(len(updates)) + b"".join(string(name) + before + after + string(line) + string(lines)
                                              for name, before, after, line, lines in updates))


def parse_journal(data):
    r = Reader(data)
    assert r.byte() == 1
    objects = r.list(lambda: (r.byte(), r.string()))
    updates = r.list(lambda: (r.string(), r.bytes(20), r.bytes(20), r.string(), r.string()))
    r.end()
    return objects, updates


def git_id(kind, data):
    return hashlib.sha1(b"%s %d\0" % ((b"", b"commit", b"tree", b"blob", b"tag")[kind], len(data)) + data).digest()


def check_journal(data):
    objects, updates = parse_journal(data)
    assert build_journal(objects, updates) == data
    for name, _, _, line, lines in updates:
        assert name.startswith(b"refs/") and b"\n" not in line and (lines == b"" or lines.endswith(b"\n"))
    return objects, updates


def check_meta(key, data):
    if key.startswith(b"branch/"):
        assert len(key) == 11 and build_branch(parse_branch(data)) == data
        return "branch"
    if key.startswith(b"name/"):
        assert len(data) == 4
        return "name"
    if key in (b"counter/0", b"counter/1", b"counter/2"):
        assert len(data) == 8
        return "counter"
    if key == b"gc/account":
        assert len(data) == 41 and data[0] == 1
        return "collections"
    if key == b"gc/abandoned":
        assert len(data) == 8
        return "collections"
    if key == b"store-id":
        assert re.fullmatch(rb"[0-9a-f-]{36}", data), data
        return "store-id"
    assert key == b"git-locks", key
    assert not check_journal(data)[0]
    return "locks"


def check_index(key, data):
    if key == b"ingesting":
        assert len(data) == 17 and data[0] < 2
        return "ingest"
    assert len(key) == 32 and len(data) == 13 and data[12] < 2
    return "entry"


def check_node(key, data):
    assert len(key) == 40 and sha256(data) == key[8:]
    return data[:3].decode()


# ---- The database --------------------------------------------------------------------------------


class Database:
    """A copy of a store's database, as what it has in each family: key -> value."""

    def __init__(self, store):
        with tempfile.TemporaryDirectory() as scratch:
            copy = os.path.join(scratch, "data")
            shutil.copytree(pathlib.Path(store) / "data", copy)
            self.families = {family: self.scan(copy, family) for family in FAMILIES}

    @staticmethod
    def scan(path, family):
        text = subprocess.run(["ldb", f"--db={path}", f"--column_family={family}", "--hex", "scan"],
                              check=True, capture_output=True, text=True).stdout
        pairs = re.findall(r"^0x([0-9A-F]*) : 0x([0-9A-F]*)$", text, re.MULTILINE)
        assert len(pairs) == len(text.splitlines()), text[:200]
        return {bytes.fromhex(key): bytes.fromhex(value) for key, value in pairs}

    def find_branch(self, name):
        """(id, Branch)"""
        number = self.families["meta"][b"name/" + os.fsencode(name)]
        return be(number), parse_branch(self.families["meta"][b"branch/" + number])


class Nodes:
    """The nodes of a store of the RocksDB back end."""

    def __init__(self, store):
        self.families = Database(store).families

    def load(self, kind, digest):
        entry = self.families["index"][digest]
        node = self.families[("nodes", "chunks")[entry[12]]][entry[:8] + digest]
        assert be(entry[8:12]) == len(node) and entry[12] == (kind == "chunk")
        return node


def read_mark(store):
    """(generation, sequence) of the slot that counts."""
    data, found = (pathlib.Path(store) / "data.mark").read_bytes(), []
    for at in (0, 4096):
        slot = data[at:at + 32]
        if slot[:8] == b"prollymk" and sha256(slot[:24])[:8] == slot[24:]:
            found.append((le(slot[8:16]), le(slot[16:24])))
            assert found[-1][0] % 2 == at // 4096
    assert len(data) == 4128
    return max(found)


def build_mark(generation, sequence):
    slot = b"prollymk" + le64(generation) + le64(sequence)
    return slot + sha256(slot)[:8]


def check(store):
    families = Database(store).families
    checks = {"meta": check_meta, "staged": check_staged, "extents": check_extent, "index": check_index,
              "nodes": check_node, "chunks": check_node}
    counts = collections.Counter()
    for family, function in checks.items():
        for key, data in families[family].items():
            counts[f"{family} {function(key, data)}"] += 1
    for key, data in families["journal"].items():
        objects, updates = check_journal(data)
        assert len(key) == 8
        made = {git_id(kind, contents) for kind, contents in objects}
        assert not made or updates[0][2] in made
        counts["journal record"] += 1
    for key, entry in families["index"].items():
        if len(key) == 32:
            assert entry[:8] + key in families[("nodes", "chunks")[entry[12]]]
    for name, count in sorted(counts.items()):
        print(name, count, sep="\t")
    print("mark", read_mark(store)[1], sep="\t")


# ---- A working state -----------------------------------------------------------------------------


def lay_extents(extents, entry, content):
    """CONTENT with the writes over it."""
    data = bytearray(content[:entry.base_length].ljust(entry.length, b"\0"))
    for key in sorted(extents):
        if be(key[:8]) == entry.extents:
            offset, length = le(extents[key][:8]), le(extents[key][8:16])
            data[offset:offset + length] = extents[key][16:] or bytes(length)
    assert len(data) == entry.length
    return bytes(data)


class Working:
    """A branch's working state."""

    def __init__(self, store, name):
        database = Database(store)
        self.form, self.nodes = Format.load(store), open_nodes(store)
        self.extents = database.families["extents"]
        number, self.branch = database.find_branch(name)
        assert self.branch.name == os.fsencode(name)
        assert self.branch.head == bytes.fromhex(git(store, "rev-parse", f"refs/heads/{name}").decode())
        self.records = {generation: [] for generation in self.branch.generations}
        for key, data in database.families["staged"].items():
            branch, generation, kind, namespace, rest = split_staged_key(key)
            if branch == number and generation in self.records:
                self.records[generation].append((kind, namespace, rest, data))
        self.committed = {name: dict(read_tree(self.form, self.nodes, top)[0])
                          for name, top, _, _ in load_namespaces(self.form, store, f"refs/heads/{name}")}
        self.namespaces = collections.defaultdict(dict, {name: dict(e) for name, e in self.committed.items()})
        self.made = {}
        self.check_attributes()
        for generation in reversed(self.branch.generations):
            self.lay(generation)

    def check_attributes(self):
        entries, counts = read_tree(self.form, self.nodes, self.branch.top)
        assert counts == (self.branch.keys, self.branch.bytes)
        assert build_tree(self.form, entries, Kept()) == self.branch.top
        self.attributes = dict(entries)
        for key, value in entries:
            namespace, rest = key.split(b"\0", 1)
            assert rest[:1] in (b"d", b"e") or (rest[:1] == b"l" and namespace == b"" and len(rest) == 9)
            (check_pairs if rest[:1] == b"l" else check_attributes)(value)

    def find_attributes(self, namespace, key):
        for generation in self.branch.generations:
            for kind, *place, data in self.records[generation]:
                entry = parse_entry(data) if kind == b"e" and place == [namespace, key] else None
                if entry and (entry.attributes is not None or entry.flags & TOMBSTONE):
                    return parse_attributes(entry.attributes or b"\0\0")[1]
        return parse_attributes(self.attributes.get(namespace + b"\0e" + key, b"\0\0"))[1]

    def lay(self, generation):
        """Newer over older."""
        for kind, namespace, rest, data in self.records[generation]:
            if kind == b"n":
                self.made[namespace] = data != b"\0"
            elif kind == b"e":
                self.lay_entry(self.namespaces[namespace], rest, parse_entry(data))
        if generation & LOAD:
            self.drop_markers(generation)

    def lay_entry(self, entries, key, entry):
        if entry.flags & TOMBSTONE:
            entries.pop(key, None)
        if entry.flags & VALUE:
            entries[key] = entry.value
        if entry.flags & EXTENTS:
            kind, content = read_value(self.form, self.nodes, entry.value)
            entries[key] = build_value(self.form, kind, lay_extents(self.extents, entry, content), Kept())

    def drop_markers(self, generation):
        """Of directories that the load has keys in."""
        for kind, namespace, key, _ in self.records[generation]:
            parts = key.split(b"/") if kind == b"e" and namespace else []
            for n in range(1, len(parts)):
                marker = b"/".join(parts[:n])
                if self.namespaces[namespace].get(marker) == bytes([DIRECTORY]):
                    del self.namespaces[namespace][marker]

    def get_roots(self):
        roots = []
        for name in sorted({*self.namespaces, *self.made}):
            entries = self.namespaces[name]
            if not self.made.get(name, bool(entries) or (name != b"" and name in self.committed)):
                continue
            top = build_tree(self.form, sorted(entries.items()), Kept())
            blobs = sum(value[0] >> 7 for value in entries.values())
            roots.append((name, self.form.root(top), len(entries), blobs))
        return roots


def show_attributes(working, namespace, keys):
    for key in keys:
        a = working.find_attributes(os.fsencode(namespace), os.fsencode(key))
        times = [a[name] // 10**9 for name in ("atime", "mtime", "ctime")]
        print(key, f"{a['mode']:o}", a["uid"], a["gid"], *times, *a.get("xattrs", {}).items())


# ---- A store -------------------------------------------------------------------------------------


def ldb(store, family, *words):
    subprocess.run(["ldb", f"--db={pathlib.Path(store) / 'data'}", f"--column_family={family}", "--hex", *words],
                   check=True, stdout=subprocess.DEVNULL)


def hexadecimal(records):
    return ["0x" + part.hex().upper() for record in records.items() for part in record]


def write_database(store, families):
    data = str(pathlib.Path(store) / "data")
    subprocess.run(["ldb", f"--db={data}", "--create_if_missing", "put", "x", "y"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["ldb", f"--db={data}", "delete", "x"], check=True, stdout=subprocess.DEVNULL)
    for family in FAMILIES:
        subprocess.run(["ldb", f"--db={data}", "create_column_family", family], check=True,
                       stdout=subprocess.DEVNULL)
    for family, records in families.items():
        ldb(store, family, "batchput", *hexadecimal(records))
    (pathlib.Path(store) / "data.mark").write_bytes(build_mark(2, 0).ljust(4096, b"\0") + build_mark(1, 0))


def write_nodes(store, keep):
    for kind in ("tree", "chunk", "incoming"):
        (pathlib.Path(store) / "nodes" / kind).mkdir(parents=True)
    for digest, (kind, data) in keep.items():
        name = digest.hex()
        path = pathlib.Path(store) / "nodes" / kind / name[:2] / name[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def write_commit(store, form, namespaces, keep, parents):
    """The id, in hexadecimal, of a commit of NAMESPACES: name -> key -> value."""
    lines = []
    for name, entries in namespaces.items():
        top = build_tree(form, sorted(entries.items()), keep)
        size = sum(len(key) + form.weigh(value) for key, value in entries.items())
        text = namespace_file(form, top, len(entries), size)
        blob = subprocess.run(["git", f"--git-dir={store}/git", "hash-object", "-w", "--stdin"], check=True,
                              capture_output=True, input=text).stdout.decode().strip()
        lines.append(f"100644 blob {blob}\t{namespace_file_name(name)}\n")
    tree = subprocess.run(["git", f"--git-dir={store}/git", "mktree"], check=True, capture_output=True,
                          input="".join(lines).encode()).stdout.decode().strip()
    words = [word for parent in parents for word in ("-p", parent)]
    return git(store, "commit-tree", "-m", "written elsewhere", *words, tree).decode().strip()


def random_bytes(count, seed):
    outputs = splitmix64(seed)
    return b"".join(le64(next(outputs)) for _ in range(count // 8))


def write(store, parameters):
    form, keep = Format({**Format.DEFAULTS, **parameters}), Kept()
    pathlib.Path(store).mkdir()
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", f"{store}/git"], check=True)
    large = random_bytes(300000, 7) + bytes(100000) + random_bytes(8000, 8)
    many = {b"%08d" % i: bytes([FILE]) + b"value of %d" % i for i in range(3000)}
    files = {b"bin/run": build_value(form, EXECUTABLE, b"#!/bin/sh\n", keep), b"docs": bytes([DIRECTORY]),
             b"latest": build_value(form, SYMLINK, b"bin/run", keep), b"large": build_value(form, FILE, large, keep)}
    namespaces = {b"": {b"README": bytes([FILE]) + b"read me\n"}, b"odd name%": {}, b"files": files}
    first = write_commit(store, form, namespaces, keep, [])
    namespaces[b"many"] = many
    head = write_commit(store, form, namespaces, keep, [first])
    git(store, "update-ref", "refs/heads/main", head)
    write_nodes(store, keep)

    now = 1795000000 * 10**9
    attributes = build_attributes(0, {"mode": 0o644, "uid": 1, "gid": 2, "mtime": now, "atime": now - 10**10,
                                      "ctime": now + 10**10, "xattrs": {b"user.a": b"x"}, "number": 17})
    extents = 1 << 40 | 9
    meta = {b"name/main": be32(1), b"counter/0": le64(17), b"counter/1": le64(257), b"counter/2": le64(4097),
            b"branch/" + be32(1): build_branch(Branch(b"main", bytes.fromhex(head), build_tree(form, [], keep), 0, 0,
                                                      [8, LOAD | 7, 5], []))}
    staged = {staged_key(1, 5, b"e", b"files", b"new"): build_entry(b"\0new\n", attributes),
              staged_key(1, 5, b"e", b"many", b"00000001"): build_entry(tombstone=True),
              staged_key(1, 5, b"e", b"many", b"00000002"): build_entry(b"\0older"),
              staged_key(1, LOAD | 7, b"t"): le64(now), staged_key(1, LOAD | 7, b"n", b"many"): b"\1",
              staged_key(1, LOAD | 7, b"e", b"many", b"00000002"): build_entry(b"\0newer"),
              staged_key(1, LOAD | 7, b"e", b"files", b"docs/a"): build_entry(b"\0a"),
              staged_key(1, 8, b"e", b"files", b"large"):
                  build_entry(files[b"large"], attributes, (extents, 350000, 360000)),
              staged_key(1, 8, b"n", b"odd name%"): b"\0", staged_key(1, 8, b"n", b"made"): b"\1",
              staged_key(1, 8, b"d", b"made"): b"\4" + attributes}
    records = {be64(extents) + be64(0): le64(1000) + le64(5) + b"hello", be64(extents) + be64(1): le64(2000) + le64(9)}
    write_database(store, {"meta": meta, "staged": staged, "extents": records})
    (pathlib.Path(store) / "lock").touch()
    tree = "".join(f"{key}={value}\n" for key, value in form.p.items())
    (pathlib.Path(store) / "config").write_text(
        f"[prollyfs]\nformat=1\nbackend=file\ndefault-branch=main\n\n[tree]\n{tree}")


if __name__ == "__main__":
    if sys.argv[1] == "check":
        check(sys.argv[2])
    elif sys.argv[1] == "working":
        working = Working(sys.argv[2], sys.argv[3])
        show_all(working.form, working.get_roots())
    elif sys.argv[1] == "attributes":
        show_attributes(Working(sys.argv[2], sys.argv[3]), sys.argv[4], sys.argv[5:])
    else:
        write(sys.argv[2], {name: int(number) for name, number in (word.split("=") for word in sys.argv[3:])})
        working = Working(sys.argv[2], "main")
        show_all(working.form, working.get_roots())
