# SPDX-License-Identifier: Apache-2.0
# Promise: when a command has returned, every process sees its effect, whatever the kernel had cached;
# a file that was open goes on reading what it opened.
load common

setup()
{
	common_setup
	mount_namespace
}

# warm DIRECTORY: everything below it is in the kernel's caches: names, attributes, pages, and the
# absence of a name.
warm()
{
	ls -lR "$1" >/dev/null
	find "$1" -type f -exec cat {} + >/dev/null
	missing "$1/ns/absent"
	missing "$1/ns/d/absent"
}

# A process that sees the mount from before the change: it answers one line for each line it reads.
watcher_start()
{
	mkfifo "$T/ask" "$T/answer"
	python3 -c '
import os, sys
os.chdir(sys.argv[1])
asked, out = open(sys.argv[2]), open(sys.argv[3], "w", buffering=1)
for line in asked:
    path = line.rstrip("\n")
    try:
        out.write("%d %s\n" % (os.stat(path).st_size, open(path).read().replace("\n", "/")))
    except OSError as error:
        out.write(os.strerror(error.errno) + "\n")
' "$MNT/main/ns" "$T/ask" "$T/answer" 3>&- &
	WATCHER=$!
	exec 8>"$T/ask" 9<"$T/answer"
}

watcher_sees()
{
	local answer
	echo "$1" >&8
	read -r -t 10 answer <&9
	is "$answer" "$2"
}

watcher_end()
{
	exec 8>&- 9<&-
	wait "$WATCHER"
}

@test "after a merge every process sees it: changed, added, deleted, in directories too" {
	mkdir "$NS/d" "$NS/gone"
	for name in same changed shorter longer deleted d/changed gone/last; do
		echo "before in $name" >"$NS/$name"
	done
	commit_all main base
	mkdir "$MNT/side"
	echo "a text that is much longer than before" >"$MNT/side/ns/longer"
	echo x >"$MNT/side/ns/shorter"
	echo "after! in changed" >"$MNT/side/ns/changed"
	echo "after! in d/changed" >"$MNT/side/ns/d/changed"
	rm "$MNT/side/ns/deleted"
	rm -r "$MNT/side/ns/gone"
	echo new >"$MNT/side/ns/absent"
	echo new >"$MNT/side/ns/d/absent"
	commit_all side theirs
	warm "$MNT/main"
	watcher_start
	watcher_sees changed "18 before in changed/"
	watcher_sees absent "No such file or directory"

	on_main -q merge side

	watcher_sees changed "18 after! in changed/"
	watcher_sees longer "39 a text that is much longer than before/"
	watcher_sees shorter "2 x/"
	watcher_sees deleted "No such file or directory"
	watcher_sees d/changed "20 after! in d/changed/"
	watcher_sees absent "4 new/"
	watcher_sees d/absent "4 new/"
	watcher_sees same "15 before in same/"
	watcher_end
	is "$(ls "$NS" | tr '\n' ' ')" "absent changed d longer same shorter "
	is "$(ls "$NS/d" | tr '\n' ' ')" "absent changed "
	is "$(cat "$NS/longer")" "a text that is much longer than before"
}

@test "a merge of thousands of keys is seen whole" {
	entries 1 5000 | on_main load ns
	mkdir -p "$NS/gone/below"
	echo x >"$NS/gone/below/k"
	commit_all main base
	mkdir "$MNT/side"
	rm -r "$MNT/side/ns/gone"
	entries 1 5000 -after | ctl "$MNT/side" load ns
	entries 6000 6999 | ctl "$MNT/side" load ns
	for n in 0000001 0000777 0005000; do
		rm "$MNT/side/ns/k$n"
	done
	commit_all side theirs
	warm "$MNT/main"
	watcher_start
	watcher_sees k0002500 "10 value 2500"
	on_main -q merge side
	watcher_sees k0002500 "16 value 2500-after"
	watcher_sees k0006500 "10 value 6500"
	watcher_sees k0000777 "No such file or directory"
	watcher_end
	# which asks for nothing that the kernel thinks it knows
	is "$(errno_of "os.open('$NS/gone', os.O_PATH)")" ENOENT
	is "$(ls "$NS" | wc -l)" 5997
	is "$(find "$NS" -type f -exec grep -L after {} + | wc -l)" 1000
}

@test "same size, same length of time: the content that is read is the new one" {
	echo aaaa >"$NS/k"
	touch -d '2020-01-01' "$NS/k"
	commit_all main base
	mkdir "$MNT/side"
	echo bbbb >"$MNT/side/ns/k"
	touch -d '2020-01-01' "$MNT/side/ns/k"
	commit_all side theirs
	cat "$NS/k" >/dev/null
	on_main -q merge side
	file_is "$NS/k" bbbb
	[ "$(stat -c %Y "$NS/k")" -gt 1600000000 ]
}

@test "a file that was open goes on reading what it opened, and its writes end with it" {
	random_bytes 1000000 1 >"$T/old"
	random_bytes 1000000 2 >"$T/new"
	cp "$T/old" "$NS/read"
	cp "$T/old" "$NS/written"
	echo short >"$NS/deleted"
	commit_all main base
	mkdir "$MNT/side"
	cp "$T/new" "$MNT/side/ns/read"
	cp "$T/new" "$MNT/side/ns/written"
	rm "$MNT/side/ns/deleted"
	commit_all side theirs
	exec 4<"$NS/read" 5<>"$NS/written" 6<"$NS/deleted"
	head -c 1000 <&4 | cmp - <(head -c 1000 "$T/old")

	on_main -q merge side

	cat <&4 | cmp - <(tail -c +1001 "$T/old")
	echo "to the orphan" >&5
	is "$(cat <&6)" short
	exec 4<&- 5>&- 6<&-
	cmp "$NS/read" "$T/new"
	cmp "$NS/written" "$T/new"
	missing "$NS/deleted"
	is "$(on_main --json status | json .changes)" '[]'
}

@test "mapped pages of an open file stay what they were; a new mapping has the new ones" {
	head -c 8192 /dev/zero | tr '\0' a >"$NS/k"
	commit_all main base
	mkdir "$MNT/side"
	head -c 8192 /dev/zero | tr '\0' b >"$MNT/side/ns/k"
	commit_all side theirs
	python3 - "$NS/k" "$CTL" "$MNT/main" <<'P'
import mmap, os, subprocess, sys
path = sys.argv[1]
fd = os.open(path, os.O_RDONLY)
old = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
assert old[:4] == b"aaaa"
subprocess.run([sys.argv[2], "-C", sys.argv[3], "-q", "merge", "side"], check=True)
assert old[:4] == b"aaaa" and old[5000:5004] == b"aaaa"
new = mmap.mmap(os.open(path, os.O_RDONLY), 0, prot=mmap.PROT_READ)
assert new[:4] == b"bbbb" and new[5000:5004] == b"bbbb"
P
}

# The kernel keeps what is held by O_PATH, and does not tell us that it is held.
@test "who has found a file sees what it was, never a mix with what took its place" {
	random_bytes 2000000 1 >"$NS/changed"
	echo staged >"$NS/cut"
	commit_all main base
	mkdir "$MNT/side"
	echo new >"$MNT/side/ns/changed"
	echo new >"$MNT/side/ns/cut"
	commit_all side theirs
	python3 - "$NS" "$CTL" "$MNT/main" <<'P'
import errno, os, subprocess, sys
os.chdir(sys.argv[1])
ctl = lambda *words: subprocess.run([sys.argv[2], "-C", sys.argv[3], "-q", *words], check=True)

def hold(name, size):
    file = os.open(name, os.O_PATH)
    assert os.fstat(file).st_size == size
    return file

def size_of(file):
    """None: the kernel shall look it up again."""
    try:
        return os.fstat(file).st_size
    except OSError as error:
        assert error.errno == errno.ESTALE
        return None

with open("removed", "w") as file:
    file.write("abc")
removed = hold("removed", 3)
with open("removed", "a") as file:
    file.write("def")
os.unlink("removed")
assert size_of(removed) == 6
# Bytes over a value, and a length that was set by name: what is cached has no digest.
with open("changed", "r+b") as file:
    file.seek(1000)
    file.write(b"over")
os.truncate("cut", 4)
changed, cut = os.open("changed", os.O_PATH), hold("cut", 4)
ctl("commit", "-m", "more")
ctl("merge", "-X", "theirs", "side")
assert size_of(changed) in (None, 2000000), size_of(changed)
for name in "changed", "cut":
    with open(name) as file:
        assert file.read() == "new\n", name
P
}

@test "put, delete and load behind the kernel's back are seen at once" {
	echo before >"$NS/k"
	echo before >"$NS/d"
	warm "$MNT/main"
	watcher_start
	watcher_sees k "7 before/"
	on_main put ns/k "longer than before"
	watcher_sees k "18 longer than before"
	on_main delete ns/d
	watcher_sees d "No such file or directory"
	watcher_sees absent "No such file or directory"
	printf 'absent\tnow\n' | on_main load ns
	watcher_sees absent "3 now"
	watcher_end
	is "$(ls "$NS" | tr '\n' ' ')" "absent k "
}

@test "branches made, renamed and deleted by commands are seen at once" {
	echo x >"$NS/k"
	commit_all main
	is "$(ls "$MNT")" main
	missing "$MNT/new"
	on_main branch new
	file_is "$MNT/new/ns/k" x
	cd "$MNT/new/ns"
	on_main branch -m new newer
	missing "$MNT/new"
	file_is "$MNT/newer/ns/k" x
	file_is k x
	cd "$T"
	exec 4<"$MNT/newer/ns/k"
	on_main branch -D newer
	missing "$MNT/newer"
	is "$(cat <&4)" x
	exec 4<&-
	is "$(ls "$MNT")" main
}

@test "who stands in a branch stays in it while others are made, renamed and deleted" {
	echo x >"$NS/k"
	commit_all main
	on_main branch f/x
	cd "$MNT/main"
	for words in "branch other" "branch -m other another" "branch -D another"; do
		"$CTL" $words
		is "$("$CTL" --json status | json .branch)" '"main"'
		is "$(/bin/pwd)" "$MNT/main"
		file_is "$MNT/f/x/ns/k" x
	done
	cd "$MNT/f/x/ns"
	on_main branch f/y
	is "$(/bin/pwd)" "$MNT/f/x/ns"
	on_main branch -m f/x f/z
	missing "$MNT/f/x"
	file_is "$MNT/f/z/ns/k" x
	is "$(/bin/pwd)" "$MNT/f/z/ns"
	on_main branch -D f/z
	missing "$MNT/f/z"
	! touch new 2>"$T/out"
}

@test "who stands in a directory stays in it over a merge" {
	mkdir "$NS/d"
	echo before >"$NS/d/k"
	commit_all main base
	mkdir "$MNT/side"
	entries 1 500 | ctl "$MNT/side" load ns
	echo after >"$MNT/side/ns/d/k"
	commit_all side theirs
	cd "$NS/d"
	is "$(cat k)" before
	on_main -q merge side
	is "$(cat k)" after
	is "$(/bin/pwd)" "$NS/d"
	is "$(ls .. | wc -l)" 501
	touch here
	present "$NS/d/here"
}

@test "a directory handle goes on listing what it opened" {
	entries 1 2000 | on_main load ns
	commit_all main base
	mkdir "$MNT/side"
	rm -r "$MNT/side/ns"
	mkdir "$MNT/side/ns"
	echo x >"$MNT/side/ns/only"
	commit_all side theirs
	python3 - "$NS" "$CTL" "$MNT/main" <<'P'
import os, subprocess, sys
with os.scandir(sys.argv[1]) as entries:
    first = next(entries).name
    subprocess.run([sys.argv[2], "-C", sys.argv[3], "-q", "merge", "side"], check=True)
    names = [first] + [entry.name for entry in entries]
assert sorted(names) == ["k%07d" % n for n in range(1, 2001)], len(names)
assert os.listdir(sys.argv[1]) == ["only"]
P
}

@test "a directory handle that was overtaken brings no deleted name back" {
	entries 1 3000 | on_main load ns
	python3 - "$NS" "$CTL" "$MNT/main" <<'P'
import os, subprocess, sys
os.chdir(sys.argv[1])
deleted = ["k%07d" % n for n in range(50, 1001, 20)]
with os.scandir() as entries:
    next(entries)
    os.stat("k0002990")
    subprocess.run([sys.argv[2], "-C", sys.argv[3], "-q", "delete", *("ns/" + name for name in deleted)],
                   check=True)
    assert len(list(entries)) >= 2999 - len(deleted)
assert not [name for name in deleted if os.path.exists(name)]
P
}

# listings: requests for names of directories so far
listings()
{
	awk '$2 ~ /^readdir/ { n += $3 } END { print n + 0 }' "$MNT/.prollyfs/stats"
}

@test "a directory is listed again without a request, and anew once anything has changed" {
	local before
	mkdir "$NS/d"
	echo 1 >"$NS/d/1"
	is "$(ls "$NS" && ls "$NS/d")" $'d\n1'
	is "$(ls "$NS" && ls "$NS/d")" $'d\n1'
	before=$(listings)
	[ "$before" -gt 0 ]
	is "$(ls "$NS" && ls "$NS/d")" $'d\n1'
	is "$(listings)" "$before"
	echo 2 >"$NS/d/2"
	is "$(ls "$NS/d")" $'1\n2'
	echo 3 | on_main put ns/d/3
	is "$(ls "$NS/d")" $'1\n2\n3'
	on_main delete ns/d/1
	is "$(ls "$NS/d")" $'2\n3'
	on_main -q commit -m one
	is "$(ls "$NS/d")" $'2\n3'
	echo 4 | on_main put ns/e/f/4
	is "$(ls "$NS" && ls "$NS/e" && ls "$NS/e/f")" $'d\ne\nf\n4'
	on_main -q reset --hard HEAD
	is "$(ls "$NS" && ls "$NS/d")" $'d\n2\n3'
}

@test "a directory's list is kept while others change" {
	local before
	mkdir "$NS/d" "$NS/other"
	echo 1 >"$NS/d/1"
	echo 4 | on_main put ns/e/f/4
	is "$(ls "$NS/d" && ls "$NS/e")" $'1\nf'
	is "$(ls "$NS/d" && ls "$NS/e")" $'1\nf'
	before=$(listings)
	echo 2 >"$NS/other/2"
	echo more >>"$NS/d/1"
	chmod 700 "$NS/d/1"
	mv "$NS/other/2" "$NS/other/3"
	rm "$NS/other/3"
	rmdir "$NS/other"
	is "$(ls "$NS/d" && ls "$NS/e")" $'1\nf'
	is "$(listings)" "$before"
	is "$(ls "$NS")" $'d\ne'
	mkdir "$NS/g"
	is "$(ls "$NS" && ls "$NS/g")" $'d\ne\ng'
	mv "$NS/d" "$NS/g/d"
	is "$(ls "$NS" && ls "$NS/g" && ls "$NS/g/d")" $'e\ng\nd\n1'
	ln "$NS/g/d/1" "$NS/g/2"
	ln -s 1 "$NS/g/d/3"
	is "$(ls "$NS" && ls "$NS/g" && ls "$NS/g/d")" $'e\ng\n2\nd\n1\n3'
	mv "$NS/g/d/1" "$NS/e/f/4"
	is "$(ls "$NS/g/d" && ls "$NS/e" && ls "$NS/e/f")" $'3\nf\n4'
	echo 5 | on_main put ns/h/5
	is "$(ls "$NS")" $'e\ng\nh'
	on_main -q restore .
	is "$(ls "$NS")" ""
}

@test "what is there all the time is listed once, whatever is made, deleted and listed meanwhile" {
	python3 - "$NS" "$CTL" "$MNT/main" <<'P'
import os, subprocess, sys
top, ctl, main = sys.argv[1:]
names = ["file-%05d" % i for i in range(4000)]
for name in names:
    open("%s/%s" % (top, name), "w").close()
def behind(i):
    subprocess.run([ctl, "-C", main, "-q", "delete", "ns/" + names[i]], check=True)
def unlink(i):
    os.unlink("%s/%s" % (top, names[i]))
def delete(how, i):  # and the kernel keeps what is left
    how(i)
    assert os.listdir(top) == os.listdir(top) == [n for n in names if os.path.exists(top + "/" + n)]
def check(listing, first, stays):
    got = [first.name] + [entry.name for entry in listing]
    assert len(got) == len(set(got)), "twice"
    assert not set(stays) - set(got), sorted(set(stays) - set(got))
os.listdir(top)
for how, i in (unlink, 0), (behind, 10):
    # begun with what the kernel has, which is dropped
    listing = os.scandir(top)
    first = next(listing)
    delete(how, i)
    check(listing, first, names[i + 1:])
    # opened before another began what the kernel has, which is dropped
    listing = os.scandir(top)
    delete(how, i + 1)
    first = next(listing)
    delete(how, i + 2)
    check(listing, first, names[i + 3:])
# the same, and what was read is new
listing = os.scandir(top)
new = ["a%05d" % i for i in range(1500)]
for name in new:
    open("%s/%s" % (top, name), "w").close()
names[:0] = new
os.listdir(top)
first = next(listing)
delete(unlink, 0)
check(listing, first, names[2000:])
# what was read goes, as with rm -r
listing = os.scandir(top)
first = next(listing)
for i in range(1, 1500):
    unlink(i)
delete(unlink, 1600)
check(listing, first, names[2001:])
P
}

@test "appending after a change behind the kernel appends at the true end" {
	printf '%0100d\n' 1 >"$NS/k"
	cat "$NS/k" >/dev/null
	printf '%0200d\n' 2 | on_main put ns/k
	echo end >>"$NS/k"
	is "$(stat -c %s "$NS/k")" 205
	is "$(tail -1 "$NS/k")" end
}

# requests OPERATION: how many so far
requests()
{
	awk -v what="$1" '$2 == what { n = $3 } END { print n + 0 }' "$MNT/.prollyfs/stats"
}

# cost OPERATION COMMAND...: how many it takes, without those of reading the figures
cost()
{
	local what=$1 before start

	before=$(requests "$what")
	start=$(requests "$what")
	"${@:2}" >&2
	echo $(($(requests "$what") - 2 * start + before))
}

@test "a name that is absent is looked up once, and each time by a kernel that is told only of names" {
	local again=0
	[ -z "${PROLLYFS_TEST_KERNEL:-}" ] || again=2 # it looks twice
	missing "$NS/absent"
	is "$(cost lookup missing "$NS/absent")" "$again"
}

@test "a small file comes with its opening: not read, nor are its attributes asked for again" {
	echo small >"$NS/small"
	random_bytes 16384 1 >"$T/pages"
	random_bytes 16385 1 >"$T/larger"
	cp "$T/pages" "$T/larger" "$NS"
	remount
	stat "$NS"/* >"$T/stat"
	is "$(cost read file_is "$NS/small" small)" 0
	is "$(cost read cmp "$NS/pages" "$T/pages")" 0
	is "$(cost getattr stat "$NS/small" "$NS/pages")" 0
	[ "$(cost read cmp "$NS/larger" "$T/larger")" -gt 0 ]
	is "$(cost getattr stat "$NS/larger")" 1
	stat "$NS"/* | cmp - "$T/stat"
	echo more >>"$NS/small"
	is "$(cost read file_is "$NS/small" $'small\nmore')" 0
	echo rewritten >"$NS/small"
	is "$(cost read file_is "$NS/small" rewritten)" 0
}

@test "what the kernel was given of a small file is what was written since" {
	python3 - "$NS" <<'P'
import os, sys
os.chdir(sys.argv[1])
model = b"first"

def check():
    with open("k", "rb") as file:
        assert file.read() == model, (model, file.read())

with open("k", "wb") as file:
    file.write(model)
check()
for size in (3, 4000, 0, 4097, 16384, 16385, 100, 5000):
    os.truncate("k", size)
    model = model[:size].ljust(size, b"\0")
    check()
    with open("k", "ab") as file:
        file.write(b"tail")
    model += b"tail"
    check()
    with open("k", "r+b") as file, open("k", "rb") as reader:
        file.seek(size // 2)
        file.write(b"over")
        file.flush()
        model = model[:size // 2] + b"over" + model[size // 2 + 4:]
        assert reader.read() == model
        check()
    check()
P
}

# That git moved a branch is found out by who looks it up, be it the kernel for a text about it.
@test "what git moves and deletes is seen by all once anybody has looked, and what is open stays" {
	echo first >"$NS/k"
	echo same >"$NS/l"
	commit_all main first
	echo "the second" >"$NS/k"
	echo more >"$NS/m"
	commit_all main second
	on_main branch side
	echo staged >"$MNT/side/ns/s"
	warm "$MNT/main"
	warm "$MNT/side"
	watcher_start
	watcher_sees k "11 the second/"
	exec 4<"$NS/k" 5<"$NS/l" 6<"$MNT/side/ns/k" 7<"$MNT/side/ns/s"
	store_git update-ref -d refs/heads/side
	missing "$MNT/.prollyfs/conflicts/side"
	store_git update-ref refs/heads/main main~1
	ls "$MNT/.prollyfs/conflicts/main" >"$T/out" || true
	wait_for 10 file_is "$NS/k" first
	watcher_sees k "6 first/"
	watcher_sees m "No such file or directory"
	watcher_end
	wait_for 10 missing "$MNT/side"
	python3 - <<'P'
import os
for file, content in ((4, b"the second\n"), (5, b"same\n"), (6, b"the second\n"), (7, b"staged\n")):
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    assert os.read(file, 100) == content, (file, content)
P
	exec 4<&- 5<&- 6<&- 7<&-
	is "$(on_main --json status | json .changes)" '[]'
}

# Of what the kernel has in its pages nothing is asked when it is opened again. So it is opened, its name
# is taken, or gets another content, the pages are thrown away, and only then it is read.
@test "what is open and not yet read stays what it was, whatever becomes of its name" {
	python3 - "$MNT" "$CTL" <<'P'
import ctypes, os, shutil, subprocess, sys
mount, program = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
OLD, NEW = b"what was there", b"what is there now, which is longer"

def ctl(*words, data=None):
    subprocess.run([program, "-q", *words], input=data, check=True)

def write(path, content):
    with open(path, "wb") as file:
        file.write(content)

def write_in_place():
    with open("k", "r+b") as file:
        file.write(b"WHAT")

def read_twice(path):
    for _ in range(2):
        with open(path, "rb") as file:
            assert file.read() == OLD

ways = {
    "unlink": ("k", lambda: os.unlink("k"), OLD),
    "rename over it": ("k", lambda: os.rename("other", "k"), OLD),
    "rename": ("k", lambda: os.rename("k", "d/k"), OLD),
    "rename, unlink": ("k", lambda: (os.rename("k", "d/k"), os.unlink("d/k")), OLD),
    "exchange": ("k", lambda: libc.renameat2(-100, b"k", -100, b"other", 2), OLD),
    "rename of a directory above": ("d/e/k", lambda: os.rename("d", "f"), OLD),
    "rm -r": ("d/e/k", lambda: shutil.rmtree("d"), OLD),
    "link, unlink": ("k", lambda: (os.link("k", "l"), os.unlink("k"), os.unlink("l")), OLD),
    "delete": ("k", lambda: ctl("delete", "k"), OLD),
    "put": ("k", lambda: ctl("put", "k", data=NEW), OLD),
    "load": ("k", lambda: ctl("load", "ns", data=b"k\t" + NEW + b"\n"), OLD),
    "reset": ("k", lambda: ctl("reset", "--hard", "HEAD~1"), OLD),
    "merge": ("k", lambda: ctl("merge", "-m", "m", "side"), OLD),
    "revert": ("k", lambda: ctl("revert", "HEAD"), OLD),
    "cherry-pick": ("k", lambda: ctl("cherry-pick", "side"), OLD),
    "restore": ("staged", lambda: ctl("restore", "staged"), OLD),
    "commit": ("staged", lambda: ctl("commit", "-m", "staged"), OLD),
    "the branch goes": ("k", lambda: ctl("-b", "main", "branch", "-D", "way"), OLD),
    "another key": ("k", lambda: ctl("put", "l", data=NEW), OLD),
    "written in place": ("k", write_in_place, b"WHAT was there"),
    "written anew": ("k", lambda: write("k", NEW), NEW),
    "truncate": ("k", lambda: os.truncate("k", 4), b"what"),
}
os.chdir(f"{mount}/main")
ctl("put", "ns/k", data=b"first")
ctl("commit", "-m", "first")
os.makedirs("ns/d/e")
for path, content in (("k", OLD), ("d/e/k", OLD), ("other", NEW), ("staged", NEW)):
    write("ns/" + path, content)
ctl("commit", "-m", "second")
ctl("branch", "side")
ctl("-b", "side", "put", "ns/k", data=NEW)
ctl("-b", "side", "commit", "-m", "third")
for name, (path, act, content) in ways.items():
    ctl("-b", "main", "branch", "way")
    os.chdir(f"{mount}/way/ns")
    if path == "staged":
        write(path, OLD)
    read_twice(path)
    file = os.open(path, os.O_RDONLY)
    act()
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    assert os.read(file, 100) == content, (name, content)
    assert os.fstat(file).st_size == len(content), name
    os.lseek(file, 0, os.SEEK_DATA)
    os.fsync(file)
    os.close(file)
    os.chdir(f"{mount}/main")
    if name != "the branch goes":
        ctl("branch", "-D", "way")
P
}

@test "many open, read, write, cut and replace a few small files at a time" {
	python3 - "$NS" <<'P'
import os, random, sys, time
os.chdir(sys.argv[1])
END = time.monotonic() + 3

def content(r):
    return bytes([r.choice(b"abcdef")]) * r.choice((1, 100, 4095, 4097, 16000))

def live(number):
    r = random.Random(number)
    while time.monotonic() < END:
        name = "k%d" % r.randrange(3)
        what = r.randrange(8)
        if what == 0:
            with open(name + ".%d" % number, "wb") as file:
                file.write(content(r))
            os.rename(name + ".%d" % number, name)
        elif what == 1:
            os.truncate(name, r.choice((0, 1, 5000)))
        elif what == 2:
            with open(name, "r+b") as file:
                file.write(content(r))
        else:
            with open(name, "rb") as file:
                seen = file.read()
            assert set(seen) <= set(b"abcdef\0"), set(seen)

for n in range(3):
    open("k%d" % n, "wb").close()
children = []
for number in range(6):
    children.append(os.fork())
    if not children[-1]:
        live(number)
        os._exit(0)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
for n in range(3):
    with open("k%d" % n, "rb") as file:
        seen = file.read()
    assert len(seen) == os.stat("k%d" % n).st_size
    os.posix_fadvise(os.open("k%d" % n, os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)
    with open("k%d" % n, "rb") as file:
        assert file.read() == seen
P
}

@test "what is replaced over and over can be opened at any time, and is removed for good" {
	python3 - "$NS" <<'P'
import os, sys, time
os.chdir(sys.argv[1])
END = time.monotonic() + 3

def replace():
    n = 0
    while time.monotonic() < END:
        n += 1
        with open("t", "wb") as file:
            file.write(b"%d" % n * 20)
        os.rename("t", "file")
        os.symlink("target%d" % n, "l")
        os.rename("l", "link")

def use():
    n = 0
    while time.monotonic() < END:
        with open("file", "rb") as file:
            seen = file.read()
            assert seen[:len(seen) // 20] * 20 == seen, seen
        assert os.readlink("link").startswith("target")
        os.stat("file")
        os.utime("file")
        n += 1
    assert n > 100, n

open("file", "wb").close()
os.symlink("target", "link")
children = []
for what in replace, use, use:
    children.append(os.fork())
    if not children[-1]:
        what()
        os._exit(0)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 3
held = os.open("file", os.O_PATH)
os.unlink("file")
with open("/proc/self/fd/%d" % held, "rb") as file:
    seen = file.read()
assert seen and seen[:len(seen) // 20] * 20 == seen, seen
assert os.fstat(held).st_nlink == 0
os.close(held)
assert os.listdir(".") in (["link"], ["link", "t"]), os.listdir(".")
P
	grep -q 'has 1 files' "$MNT/.prollyfs/stats" # that one
}
