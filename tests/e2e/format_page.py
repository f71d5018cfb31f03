# SPDX-License-Identifier: Apache-2.0
"""The test vectors of prollyfs-format(5), computed by the rules of its other sections.

usage: format_page.py PAGE GOLDEN

PAGE is the manual page, GOLDEN the directory of the unit tests' golden files. Each subsection of
TEST VECTORS is a table: lines of an offset and bytes in hexadecimal, which together are one string
of bytes that begins at offset 0, and lines of a name and a value. Both are computed here, in the
same order, by a function of this file; the functions are in the page's order. Prints the name of
every subsection that came out as it is printed.
"""

import pathlib
import re
import struct
import sys

from format import (CHARACTER, DIRECTORY, EXECUTABLE, FIFO, FILE, Format, Kept, SOCKET, SYMLINK, build_all,
                    build_blob, build_tree, build_value, draw, is_cut, le, le32, le64, namespace_file,
                    namespace_file_name, sha256, splitmix64)
from format_db import (Branch, LOAD, be32, be64, build_attributes, build_branch, build_entry, build_journal,
                       build_mark, derive_number, git_id, staged_key, string)

FORM = Format(Format.DEFAULTS)
TIME = 1795000000 * 10**9
ZERO_ID = bytes(20)


def stream(count):
    outputs = splitmix64(1)
    return b"".join(le64(next(outputs)) for _ in range(count // 8 + 1))[:count]


def hashes(keep, top):
    """The bytes of the top node, its hash and the root hash."""
    return [keep[top][1], ("hash", top.hex()), ("root", FORM.root(top).hex())]


# ---- What commits refer to -----------------------------------------------------------------------


def descriptor():
    return [FORM.descriptor]


def seeds():
    return [(str(level), f"{FORM.seeds[level]:016x}") for level in (0, 1, 2, 63)]


def example_cuts(form, level, count):
    """(i, s0, s1, cut) of the entries of the page's example, without the rule for first entries."""
    s0 = 0
    for i in range(count):
        key = b"key-%06d" % i
        s1 = s0 + len(key) + 7 * i % 200
        cut = is_cut(form, level, False, s0, s1, key)
        yield i, s0, s1, cut
        s0 = 0 if cut else s1


def cuts():
    steps = [(str(i), f"{s0} {s1} {draw(FORM, 0, b'key-%06d' % i):08x} {'yes' if cut else 'no'}")
             for i, s0, s1, cut in example_cuts(FORM, 0, 56) if i >= 51]
    ends = [(f"level {level}", " ".join([str(i) for i, _, _, cut in example_cuts(FORM, level, 400) if cut][:8]))
            for level in (0, 1, 2)]
    return steps + ends


def empty_tree():
    keep = Kept()
    return hashes(keep, build_tree(FORM, [], keep))


USERS = {b"users/alice": b"\0likes trees", b"users/bin/greet": b"\1#!/bin/sh\n", b"users/bob": b"\0",
         b"users/carol": b"\2alice", b"users/dave": bytes([DIRECTORY])}


def leaf():
    keep = Kept()
    return hashes(keep, build_tree(FORM, sorted(USERS.items()), keep))


def example_entries(count):
    return [(b"%08d" % i, b"\0value of %d" % i) for i in range(count)]


def internal_node():
    keep = Kept()
    return hashes(keep, build_tree(FORM, example_entries(244), keep))


def large_tree():
    keep = Kept()
    top = build_tree(FORM, example_entries(12345), keep)
    level, size = keep[top][1][5], le(keep[top][1][32:40])
    return [("level", str(level)), ("nodes", str(len(keep))), ("bytes", str(size)), ("top", top.hex()),
            ("root", FORM.root(top).hex())]


def stored_values():
    values = [("file", FILE, b"hello"), ("empty", FILE, b""), ("executable", EXECUTABLE, b"#!/bin/sh\n"),
              ("link", SYMLINK, b"a/b"), ("directory", DIRECTORY, b""), ("fifo", FIFO, b""),
              ("socket", SOCKET, b""), ("device", CHARACTER, le32(5) + le32(1))]
    return [(name, build_value(FORM, kind, content, Kept()).hex()) for name, kind, content in values]


def one_chunk():
    keep, content = Kept(), stream(10000)
    value = build_value(FORM, FILE, content, keep)
    (digest, (_, chunk)), = keep.items()
    return [("content", content[:16].hex()), ("chunk", chunk[:16].hex()), ("hash", digest.hex()), value]


def blob_with_a_hole():
    keep, content = Kept(), stream(105000)
    content = content[:100000] + bytes(100000) + content[100000:]
    height, digest = build_blob(FORM, content, keep)
    return [keep[digest][1], ("hash", digest.hex()), build_value(FORM, FILE, content, Kept())]


def all_namespaces():
    keep, tops = Kept(), {b"empty": build_tree(FORM, [], Kept()), b"users": build_tree(FORM, sorted(USERS.items()), Kept())}
    top = build_all(FORM, [(name, FORM.root(tree)) for name, tree in tops.items()], keep)
    return hashes(keep, top)


def commit():
    size = sum(len(key) + FORM.weigh(value) for key, value in USERS.items())
    files = {b"empty": namespace_file(FORM, build_tree(FORM, [], Kept()), 0, 0),
             b"users": namespace_file(FORM, build_tree(FORM, sorted(USERS.items()), Kept()), len(USERS), size)}
    tree = b"".join(b"100644 " + namespace_file_name(name).encode() + b"\0" + git_id(3, text)
                    for name, text in files.items())
    return ([tuple(line.split(" ")) for line in files[b"users"].decode().splitlines()]
            + [(namespace_file_name(name), git_id(3, text).hex()) for name, text in files.items()]
            + [("tree", git_id(2, tree).hex()), ("name", namespace_file_name("naïve.txt".encode()))])


# ---- What is local -------------------------------------------------------------------------------


def attributes():
    full = {"mode": 0o644, "uid": 1000, "gid": 1000, "mtime": TIME, "atime": TIME + 1, "ctime": TIME,
            "xattrs": {b"user.a": b"x"}, "number": 4097}
    return [build_attributes(3, full), ("number", f"{derive_number(b'users', b'alice', False, 0):x}"),
            ("directory", f"{derive_number(b'users', b'a/', True, 1):x}")]


def staged_records():
    mode = build_attributes(0, {"mode": 0o600})
    reference = build_value(FORM, FILE, stream(10000), Kept())
    records = [
        (staged_key(1, 5, b"e", b"users", b"a/b"), build_entry(b"\0hello", mode)),
        (staged_key(1, 5, b"e", b"users", b"bob"), build_entry(tombstone=True)),
        (staged_key(1, 5, b"e", b"users", b"big"), build_entry(reference, extents=(1 << 40 | 6, 10000, 10005))),
        (staged_key(1, 5, b"d", b"users", b"a/"), b"\3" + mode),
        (staged_key(1, 5, b"l", b"", be64(4097)), string(b"users") + string(b"a") + string(b"users") + string(b"b")),
        (staged_key(1, 5, b"n", b"new"), b"\1"),
        (staged_key(1, 5, b"m"), b""),
        (staged_key(1, LOAD | 4, b"t"), le64(TIME)),
        (staged_key(1, LOAD | 4, b"e", b"users", b"k"), build_entry(b"\0v"))]
    return [part for key, value in records for part in (key, value or ("value", "none"))]


def extents():
    number = 1 << 40 | 6
    return [be64(number) + be64(0), le64(10000) + le64(5) + b"hello",
            be64(number) + be64(1), le64(16) + le64(4096)]


def branch_record():
    move = (1, TIME, ZERO_ID, bytes(range(20)))
    return [build_branch(Branch(b"main", bytes(range(20)), build_tree(FORM, [], Kept()), 0, 0, [6, LOAD | 4], [move]))]


def journal_record():
    blob = b"hello\n"
    update = (b"refs/tags/x", ZERO_ID, git_id(3, blob), b"A <a@b> 1795000000 +0000\tmade", b"")
    return [build_journal([(3, blob)], [update])]


def node_records():
    digest = build_tree(FORM, [], Kept())
    return [be64(1) + digest, digest, be64(1) + be32(40) + b"\0",
            b"ingesting", b"\1" + be64(2) + be64(9)]


def mark():
    return [build_mark(3, 1000)]


VECTORS = {
    "The descriptor": descriptor, "Seeds": seeds, "Where nodes end": cuts, "The empty tree": empty_tree,
    "A leaf": leaf, "An internal node": internal_node, "A larger tree": large_tree,
    "Stored values": stored_values, "A chunk": one_chunk, "A blob with a hole": blob_with_a_hole,
    "All namespaces": all_namespaces, "A commit's files": commit, "Attributes": attributes,
    "Staged records": staged_records, "Extents": extents, "A branch": branch_record,
    "A journal record": journal_record, "Nodes in the database": node_records, "The mark": mark,
}

# ---- The page ------------------------------------------------------------------------------------


def unescape(line):
    return line.replace(r"\e", "\\").replace(r"\(dq", '"').replace(r"\-", "-").replace(r"\&", "")


def split_page(page):
    """Subsection -> lines of its tables."""
    section = re.search(r"^\.Sh TEST VECTORS\n(.*?)^\.Sh ", page, re.MULTILINE | re.DOTALL).group(1)
    found = {}
    for part in re.split(r"^\.Ss ", section, flags=re.MULTILINE)[1:]:
        title, body = part.split("\n", 1)
        tables = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", body, re.MULTILINE | re.DOTALL)
        found[title.strip('"')] = [unescape(line) for table in tables for line in table.splitlines()]
    return found


def parse_table(lines):
    """As the functions above give it: bytes, and (name, value)."""
    items = []
    for line in lines:
        row = re.match(r" *(\d+) +([0-9a-f]+)(?:  .*)?$", line)
        named = re.match(r"(\S+(?: \d)?)  +(\S+(?: \S+)*)", line)
        if row and line.startswith(" "):
            at, data = int(row.group(1)), bytes.fromhex(row.group(2))
            if at == 0:
                items.append(b"")
            assert len(items[-1]) == at, f"{line!r} is not at {len(items[-1])}"
            items[-1] += data
        elif named:
            items.append(named.groups())
        else:
            assert not line.strip(), line
    return items


def check_page(page):
    tables = split_page(page)
    assert list(tables) == list(VECTORS), set(tables) ^ set(VECTORS)
    for title, function in VECTORS.items():
        printed, computed = parse_table(tables[title]), function()
        assert len(printed) == len(computed), f"{title}: {len(printed)} items, not {len(computed)}"
        for a, b in zip(printed, computed):
            assert a == b, f"{title}: the page has {a}, by its rules it is {b}"
        print(title)


# ---- The golden files ----------------------------------------------------------------------------


def split_golden(path):
    """(title, text) of what is below each line that begins with '# '."""
    return [tuple(part.split("\n", 1)) for part in re.split(r"^# ", path.read_text(), flags=re.MULTILINE)[1:]]


def check_golden(directory):
    """They are made with values that weigh their length, as nothing in a store does."""
    plain = Format(Format.DEFAULTS, weighing=0)
    tiny = Format({**Format.DEFAULTS, "min": 32, "max": 512, "scale-shift": 6}, weighing=0)
    texts = [text for _, text in split_golden(directory / "descriptor.txt")]
    assert [bytes.fromhex(text) for text in texts[:2]] == [plain.descriptor, FORM.descriptor]
    assert [int(line, 16) for line in texts[2].split()] == FORM.seeds
    for level, (_, text) in enumerate(split_golden(directory / "boundaries.txt")):
        assert [i for i, _, _, cut in example_cuts(plain, level, 10000) if cut] == list(map(int, text.split()))
    trees = [(plain, []), (plain, [(b"users/alice", b"1"), (b"users/bob", b"")]),
             (tiny, [(b"%08d" % i, b"value of %d" % i) for i in range(8)])]
    printed = split_golden(directory / "nodes.txt")
    for number, (form, entries) in enumerate(trees):
        keep = Kept()
        top = build_tree(form, entries, keep)
        (_, data), (digest, _), (root, _) = printed[3 * number:3 * number + 3]
        assert bytes.fromhex(data) == keep[top][1]
        assert digest == f"hash {top.hex()}" and root == f"root {form.root(top).hex()}"
    entries = [(b"%08d" % i, b"value of %d" % i) for i in range(12345)]
    for form, (title, root) in zip((plain, tiny), split_golden(directory / "root.txt")):
        keep = Kept()
        top = build_tree(form, entries, keep)
        _, size = struct.unpack("<QQ", keep[top][1][24:40])
        assert f"height {keep[top][1][5] + 1}, bytes {size}," in title
        assert form.root(top).hex() == root.strip()
    print("golden files")


if __name__ == "__main__":
    check_page(pathlib.Path(sys.argv[1]).read_text())
    check_golden(pathlib.Path(sys.argv[2]))
