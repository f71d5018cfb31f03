# SPDX-License-Identifier: Apache-2.0
# Promise: a branch is an ordinary directory tree; files behave as POSIX says.
load common

setup()
{
	common_setup
	mount_namespace
}

# py SCRIPT: Python with the namespace as the current directory; assertions fail the test.
py()
{
	(cd "$NS" && python3 -c "
import ctypes, errno, fcntl, mmap, os, random, socket, stat, sys
def fails(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except OSError as error:
        assert error.errno == code, (errno.errorcode[error.errno], errno.errorcode[code])
    else:
        raise AssertionError('no ' + errno.errorcode[code])
$1")
}

# ---- Content ------------------------------------------------------------------------------------

@test "create, overwrite, append, truncate" {
	echo one >"$NS/f"
	file_is "$NS/f" one
	echo longer than before >"$NS/f"
	file_is "$NS/f" "longer than before"
	echo more >>"$NS/f"
	file_is "$NS/f" "longer than before
more"
	truncate -s 6 "$NS/f"
	file_is "$NS/f" longer
	truncate -s 10 "$NS/f"
	is "$(od -An -c "$NS/f" | tr -d ' \n')" 'longer\0\0\0\0'
	: >"$NS/f"
	is "$(stat -c %s "$NS/f")" 0
	remount
	is "$(stat -c %s "$NS/f")" 0
}

@test "every flag of open" {
	py "
fails(errno.ENOENT, os.open, 'f', os.O_RDWR)
fd = os.open('f', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
fails(errno.EEXIST, os.open, 'f', os.O_RDWR | os.O_CREAT | os.O_EXCL)
assert os.write(fd, b'0123456789') == 10
fails(errno.EBADF, os.write, os.open('f', os.O_RDONLY), b'x')
fails(errno.EBADF, os.read, os.open('f', os.O_WRONLY), 1)
a = os.open('f', os.O_WRONLY | os.O_APPEND)
os.lseek(a, 0, os.SEEK_SET)
os.write(a, b'ab')
assert os.pread(fd, 20, 0) == b'0123456789ab'
t = os.open('f', os.O_RDWR | os.O_TRUNC)
assert os.fstat(fd).st_size == 0 and os.read(fd, 10) == b''
os.pwrite(t, b'xyz', 5)
assert os.pread(fd, 10, 0) == bytes(5) + b'xyz'
fails(errno.ENOTDIR, os.open, 'f', os.O_RDONLY | os.O_DIRECTORY)
fails(errno.ENOTDIR, os.open, 'f/x', os.O_RDONLY)
fails(errno.EISDIR, os.open, '.', os.O_WRONLY)
os.symlink('f', 'l')
fails(errno.ELOOP, os.open, 'l', os.O_RDONLY | os.O_NOFOLLOW)
s = os.open('f', os.O_WRONLY | os.O_SYNC)
assert os.write(s, b'synced') == 6
os.fsync(fd); os.fdatasync(fd)
d = os.open('.', os.O_RDONLY)
os.fsync(d)
"
}

@test "random writes, truncations and reads are those of any other file, also after commit and remount" {
	py "
seed = 20261121
print('seed', seed)
r = random.Random(seed)
path = os.environ['T'] + '/reference'
flags = os.O_RDWR | os.O_CREAT
ours, theirs = os.open('f', flags), os.open(path, flags)
for step in range(600):
    size = os.fstat(theirs).st_size
    action = r.randrange(10)
    if action < 5:
        at, n = r.randrange(size + 100000), r.choice([1, 100, 4096, 70000, 300000])
        data = r.randbytes(n) if r.random() < .8 else bytes(n)
        assert os.pwrite(ours, data, at) == os.pwrite(theirs, data, at) == n
    elif action < 6:
        to = r.randrange(size * 5 // 4 + 10)
        os.ftruncate(ours, to); os.ftruncate(theirs, to)
    elif action < 9:
        at, n = r.randrange(size + 1), r.choice([1, 4096, 200000])
        assert os.pread(ours, n, at) == os.pread(theirs, n, at), (step, at, n)
    elif action == 9 and step % 3 == 0:
        os.close(ours); ours = os.open('f', os.O_RDWR)
    if size > 6000000:
        os.ftruncate(ours, 1000); os.ftruncate(theirs, 1000)
    assert os.fstat(ours).st_size == os.fstat(theirs).st_size, step
"
	cmp "$NS/f" "$T/reference"
	on_main commit -m random
	cmp "$NS/f" "$T/reference"
	remount
	cmp "$NS/f" "$T/reference"
}


@test "several descriptors see each other's writes at once" {
	py "
a = os.open('f', os.O_RDWR | os.O_CREAT)
b = os.open('f', os.O_RDONLY)
os.write(a, b'hello')
assert os.read(b, 10) == b'hello'
os.pwrite(a, b'J', 0)
assert os.pread(b, 10, 0) == b'Jello'
assert os.stat('f').st_size == 5
"
}

@test "appends of several processes do not tear each other" {
	local writers=()
	for writer in a b c d; do
		(for i in $(seq 200); do echo "$writer $i" >>"$NS/log"; done) &
		writers+=($!)
	done
	wait "${writers[@]}"
	is "$(wc -l <"$NS/log")" 800
	for writer in a b c d; do
		is "$(grep "^$writer " "$NS/log")" "$(seq -f "$writer %g" 200)"
	done
}

@test "an unlinked file can be used while it is open, and ends with that" {
	py "
fd = os.open('f', os.O_RDWR | os.O_CREAT)
os.write(fd, b'before')
os.unlink('f')
assert os.listdir('.') == []
os.write(fd, b' and after')
assert os.pread(fd, 100, 0) == b'before and after'
assert os.fstat(fd).st_nlink == 0
os.ftruncate(fd, 3)
assert os.fstat(fd).st_size == 3
other = os.open('f', os.O_RDWR | os.O_CREAT | os.O_EXCL)
os.write(other, b'new')
assert os.pread(fd, 100, 0) == b'bef'
"
	file_is "$NS/f" new
	is "$(ls -A "$NS")" f
}

@test "an open directory that was removed keeps its attributes, apart from the next of its name" {
	py "
os.mkdir('d')
os.mkfifo('p')
d = os.open('d', os.O_RDONLY)
p = os.open('p', os.O_RDWR)
os.stat('d')
os.rmdir('d')
os.unlink('p')
os.mkdir('d', 0o755)
for fd in (d, p):
    os.fchmod(fd, 0o700)
    os.utime(fd, ns=(5, 6))
    found = os.fstat(fd)
    assert found.st_mode & 0o777 == 0o700 and found.st_mtime_ns == 6 and found.st_nlink == 0
assert os.stat('d').st_mode & 0o777 == 0o755
try:
    os.mkdir('sub', dir_fd=d)
    assert False
except FileNotFoundError:
    pass
"
}

@test "mmap: what is written to shared pages is in the file" {
	py "
size = 3 << 20
with open('f', 'wb') as f:
    f.truncate(size)
fd = os.open('f', os.O_RDWR)
m = mmap.mmap(fd, size)
m[0:5] = b'start'
m[size - 3:size] = b'end'
m[1000000:1000004] = b'here'
m.flush()
assert os.pread(fd, 5, 0) == b'start'
m.close(); os.close(fd)
"
	remount
	py "
data = open('f', 'rb').read()
assert len(data) == 3 << 20
assert data[:5] == b'start' and data[-3:] == b'end' and data[1000000:1000004] == b'here'
assert data.count(0) == len(data) - 12
m = mmap.mmap(os.open('f', os.O_RDONLY), 0, prot=mmap.PROT_READ)
assert m[1000000:1000004] == b'here'
"
}

@test "holes cost nothing, read as zeros and are found" {
	truncate -s 1T "$NS/sparse"
	is "$(stat -c %s "$NS/sparse")" $((1 << 40))
	[ "$(du -k "$NS/sparse" | cut -f1)" -lt 1024 ]
	py "
fd = os.open('sparse', os.O_RDWR)
assert os.pread(fd, 4096, 1 << 39) == bytes(4096)
os.pwrite(fd, b'x' * 65536, 1 << 38)
at = os.lseek(fd, 0, os.SEEK_DATA)
assert (1 << 38) - (1 << 20) <= at <= 1 << 38, at
assert os.lseek(fd, 1 << 38, os.SEEK_HOLE) <= (1 << 38) + (1 << 20)
fails(errno.ENXIO, os.lseek, fd, 1 << 40, os.SEEK_DATA)
"
	commit_all main
	remount
	is "$(stat -c %s "$NS/sparse")" $((1 << 40))
	py "
fd = os.open('sparse', os.O_RDONLY)
assert os.pread(fd, 65537, 1 << 38) == b'x' * 65536 + bytes(1)
"
}

@test "fallocate, and punching holes" {
	py "
fd = os.open('f', os.O_RDWR | os.O_CREAT)
os.posix_fallocate(fd, 0, 100000)
assert os.fstat(fd).st_size == 100000
os.pwrite(fd, b'x' * 100000, 0)
libc = ctypes.CDLL(None, use_errno=True)
off = ctypes.c_int64
KEEP_SIZE, PUNCH_HOLE = 1, 2
assert libc.fallocate(fd, KEEP_SIZE | PUNCH_HOLE, off(10000), off(50000)) == 0, ctypes.get_errno()
assert os.pread(fd, 100001, 0) == b'x' * 10000 + bytes(50000) + b'x' * 40000
"
}

@test "copy_file_range copies, within a branch and between branches" {
	mkdir "$MNT/other" "$MNT/other/ns"
	random_bytes 3000000 1 >"$NS/from"
	py "
a = os.open('from', os.O_RDONLY)
for name in 'to', '../../other/ns/to':
    b = os.open(name, os.O_RDWR | os.O_CREAT)
    done = 0
    while done < 3000000:
        n = os.copy_file_range(a, b, 3000000 - done, done, done)
        assert n > 0
        done += n
"
	cmp "$NS/from" "$NS/to"
	cmp "$NS/from" "$MNT/other/ns/to"
	# over what is longer, in steps, and of a source that is still being written
	random_bytes 4000000 2 >"$NS/to"
	py "
a = os.open('from', os.O_RDWR)
b = os.open('to', os.O_RDWR)
assert os.copy_file_range(a, b, 1000000, 0, 0) == 1000000
os.ftruncate(b, 1000000)
assert os.copy_file_range(a, b, 1000000, 1000000, 1000000) == 1000000
os.pwrite(a, b'later', 2500000)
assert os.copy_file_range(a, b, 1000000, 2000000, 2000000) == 1000000
os.pwrite(a, b'changed', 0)
"
	printf later | dd of="$MNT/other/ns/to" bs=1 seek=2500000 conv=notrunc status=none
	cmp "$NS/to" "$MNT/other/ns/to"
	cp "$NS/to" "$MNT/other/ns/copy"
	is "$(getfattr --only-values -n user.prollyfs.hash "$MNT/other/ns/copy")" \
		"$(getfattr --only-values -n user.prollyfs.hash "$NS/to")"
	commit_all main
	remount
	cmp "$NS/to" "$MNT/other/ns/to"
}

# ---- Directories --------------------------------------------------------------------------------

@test "directories: made, listed, removed; empty ones survive a commit and a remount" {
	mkdir -p "$NS/a/b/c" "$NS/empty"
	is "$(errno_of "os.mkdir('$NS/a')")" EEXIST
	is "$(errno_of "os.rmdir('$NS/a')")" ENOTEMPTY
	is "$(errno_of "os.rmdir('$NS/none')")" ENOENT
	echo x >"$NS/a/file"
	is "$(errno_of "os.rmdir('$NS/a/file')")" ENOTDIR
	is "$(errno_of "os.unlink('$NS/a')")" EISDIR
	is "$(cd "$NS" && find . | sort | tr '\n' ' ')" ". ./a ./a/b ./a/b/c ./a/file ./empty "
	commit_all main
	remount
	is "$(cd "$NS" && find . | sort | tr '\n' ' ')" ". ./a ./a/b ./a/b/c ./a/file ./empty "
	rm -r "$NS/a"
	rmdir "$NS/empty"
	is "$(ls -A "$NS")" ""
	[ -d "$NS" ]
	rmdir "$NS"
	missing "$NS"
}

@test "a directory whose last file is removed stays, empty" {
	mkdir "$NS/d"
	echo x >"$NS/d/f"
	commit_all main
	rm "$NS/d/f"
	[ -d "$NS/d" ]
	is "$(ls -A "$NS/d")" ""
	commit_all main
	remount
	[ -d "$NS/d" ]
	rmdir "$NS/d"
}

@test "a parent's times move when an entry is made or removed, and only then" {
	mkdir "$NS/d"
	touch -d '2001-01-01 00:00:00' "$NS/d"
	is "$(stat -c %Y "$NS/d")" 978307200
	echo x >"$NS/d/f"
	local made
	made=$(stat -c %y "$NS/d")
	[[ $made > 2020 ]] || fail "$made"
	echo more >>"$NS/d/f"
	is "$(stat -c %y "$NS/d")" "$made"
	rm "$NS/d/f"
	isnt "$(stat -c %y "$NS/d")" "$made"
}

@test "a listing goes on while others delete and create: nothing is lost, nothing twice" {
	py "
for i in range(3000):
    os.close(os.open('f%04d' % i, os.O_CREAT))
seen = []
with os.scandir('.') as entries:
    for n, entry in enumerate(entries):
        seen.append(entry.name)
        os.unlink(entry.name)
        if n % 7 == 0:
            os.close(os.open('new%04d' % n, os.O_CREAT))
old = [name for name in seen if name[0] == 'f']
assert sorted(old) == ['f%04d' % i for i in range(3000)], len(old)
assert len(set(seen)) == len(seen)
"
	is "$(find "$NS" -name 'f*' | wc -l)" 0
}

@test "seekdir and rewinddir: a position is found again" {
	py "
for i in range(1000):
    os.close(os.open('f%04d' % i, os.O_CREAT))
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
class Entry(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('len', ctypes.c_ushort),
                ('type', ctypes.c_ubyte), ('name', ctypes.c_char * 256)]
d = ctypes.c_void_p(libc.opendir(b'.'))
def read():
    p = libc.readdir(d)
    return ctypes.cast(p, ctypes.POINTER(Entry)).contents.name if p else None
names, places = [], []
while True:
    places.append(libc.telldir(d))
    name = read()
    if name is None:
        break
    names.append(name)
assert len(names) == 1002 and b'.' in names and b'..' in names
for i in (0, 1, 500, 1001, 3):
    libc.seekdir(d, ctypes.c_long(places[i]))
    assert read() == names[i], i
libc.rewinddir(d)
assert read() == names[0]
"
}

@test "readdir, lookup and stat agree on inode numbers, which stay over renames and remounts" {
	mkdir "$NS/d"
	echo x >"$NS/d/f"
	echo y >"$NS/g"
	local before
	before=$(stat -c %i "$NS/d/f" "$NS/g")
	is "$(ls -i "$NS/g" | cut -d' ' -f1)" "$(stat -c %i "$NS/g")"
	is "$(ls -ai "$NS" | awk '$2 == "g" { print $1 }')" "$(stat -c %i "$NS/g")"
	is "$(ls -ai "$NS" | awk '$2 == "d" { print $1 }')" "$(stat -c %i "$NS/d")"
	mv "$NS/d" "$NS/e"
	mv "$NS/g" "$NS/h"
	is "$(stat -c %i "$NS/e/f" "$NS/h")" "$before"
	commit_all main
	is "$(stat -c %i "$NS/e/f" "$NS/h")" "$before"
	remount
	is "$(stat -c %i "$NS/e/f" "$NS/h")" "$before"
	echo z >"$NS/g"
	isnt "$(stat -c %i "$NS/g")" "$(stat -c %i "$NS/h")"
	is "$(find "$MNT" -printf '%i\n' | sort | uniq -d)" ""
}

# ---- Rename and links ---------------------------------------------------------------------------

@test "rename: files, over files, into and out of directories and namespaces" {
	mkdir "$NS/d" "$MNT/main/ns2"
	echo one >"$NS/a"
	echo two >"$NS/b"
	mv "$NS/a" "$NS/c"
	file_is "$NS/c" one
	missing "$NS/a"
	mv "$NS/c" "$NS/b"
	file_is "$NS/b" one
	mv "$NS/b" "$NS/d/b"
	mv "$NS/d/b" "$MNT/main/ns2/x"
	file_is "$MNT/main/ns2/x" one
	mv "$MNT/main/ns2/x" "$MNT/main/top"
	file_is "$MNT/main/top" one
	is "$(errno_of "os.rename('$NS/none', '$NS/x')")" ENOENT
	is "$(errno_of "os.rename('$MNT/main/top', '$NS/d')")" EISDIR
	is "$(errno_of "os.rename('$NS/d', '$MNT/main/top')")" ENOTDIR
	is "$(errno_of "os.rename('$NS/d', '$NS/d/e')")" EINVAL
	is "$(errno_of "os.rename('$MNT/main/top', '$MNT/main/top')")" ok
}

@test "rename: directories with all that is in them, staged and committed" {
	mkdir -p "$NS/d/deep" "$NS/empty" "$NS/full"
	echo one >"$NS/d/deep/one"
	echo x >"$NS/full/x"
	commit_all main
	echo two >"$NS/d/two"
	mv "$NS/d" "$NS/e"
	missing "$NS/d"
	file_is "$NS/e/deep/one" one
	file_is "$NS/e/two" two
	is "$(errno_of "os.rename('$NS/e', '$NS/full')")" ENOTEMPTY
	is "$(errno_of "os.rename('$NS/e', '$NS/empty')")" ok
	file_is "$NS/empty/deep/one" one
	mv "$NS" "$MNT/main/moved"
	file_is "$MNT/main/moved/empty/two" two
	missing "$NS"
	commit_all main
	remount
	file_is "$MNT/main/moved/empty/deep/one" one
	is "$(find "$MNT/main" -type f | sort)" "$MNT/main/moved/empty/deep/one
$MNT/main/moved/empty/two
$MNT/main/moved/full/x"
}

@test "rename: NOREPLACE and EXCHANGE" {
	echo one >"$NS/a"
	echo two >"$NS/b"
	is "$(errno_of "renameat2('$NS/a', '$NS/b', NOREPLACE)")" EEXIST
	file_is "$NS/b" two
	is "$(errno_of "renameat2('$NS/a', '$NS/c', NOREPLACE)")" ok
	file_is "$NS/c" one
	is "$(errno_of "renameat2('$NS/c', '$NS/b', EXCHANGE)")" ok
	file_is "$NS/c" two
	file_is "$NS/b" one
	is "$(errno_of "renameat2('$NS/c', '$NS/none', EXCHANGE)")" ENOENT
	mkdir "$NS/d"
	echo three >"$NS/d/x"
	is "$(errno_of "renameat2('$NS/c', '$NS/d', EXCHANGE)")" ok
	file_is "$NS/d" two
	file_is "$NS/c/x" three
}

@test "rename over and of open files: descriptors keep what they opened" {
	py "
open('a', 'w').write('A'); open('b', 'w').write('B')
a, b = os.open('a', os.O_RDWR), os.open('b', os.O_RDWR)
os.rename('a', 'b')
assert os.pread(b, 10, 0) == b'B' and os.fstat(b).st_nlink == 0
assert os.pread(a, 10, 0) == b'A'
os.pwrite(a, b'AAA', 0)
os.pwrite(b, b'BBB', 0)
assert os.pread(b, 10, 0) == b'BBB'
os.close(a); os.close(b)
assert open('b').read() == 'AAA'
os.mkdir('d'); f = os.open('d/f', os.O_RDWR | os.O_CREAT)
os.rename('d', 'e')
os.write(f, b'moved'); os.close(f)
assert open('e/f').read() == 'moved'
"
}

@test "rename to another branch is EXDEV, and mv copies" {
	mkdir "$MNT/other" "$MNT/other/ns"
	echo one >"$NS/a"
	is "$(errno_of "os.rename('$NS/a', '$MNT/other/ns/a')")" EXDEV
	is "$(errno_of "os.link('$NS/a', '$MNT/other/ns/a')")" EXDEV
	mv "$NS/a" "$MNT/other/ns/a"
	file_is "$MNT/other/ns/a" one
	missing "$NS/a"
}

@test "hard links: one file with several names, over remounts and commits" {
	echo one >"$NS/a"
	mkdir "$NS/d"
	ln "$NS/a" "$NS/d/b"
	is "$(stat -c %h "$NS/a" "$NS/d/b" | tr '\n' ' ')" "2 2 "
	is "$(stat -c %i "$NS/a")" "$(stat -c %i "$NS/d/b")"
	echo two >>"$NS/d/b"
	file_is "$NS/a" "one
two"
	chmod 600 "$NS/a"
	is "$(stat -c %a "$NS/d/b")" 600
	commit_all main
	remount
	is "$(stat -c '%i %h' "$NS/a")" "$(stat -c '%i %h' "$NS/d/b")"
	is "$(stat -c %h "$NS/a")" 2
	echo three >"$NS/a"
	file_is "$NS/d/b" three
	rm "$NS/a"
	is "$(stat -c %h "$NS/d/b")" 1
	file_is "$NS/d/b" three
	is "$(errno_of "os.link('$NS/d/b', '$NS/d/b')")" EEXIST
	is "$(errno_of "os.link('$NS/d', '$NS/e')")" EPERM
}

@test "renaming one hard link over another does nothing" {
	echo one >"$NS/a"
	ln "$NS/a" "$NS/b"
	is "$(errno_of "os.rename('$NS/a', '$NS/b')")" ok
	file_is "$NS/a" one
	file_is "$NS/b" one
}

@test "symbolic links, dangling and long ones too" {
	echo one >"$NS/a"
	ln -s a "$NS/l"
	file_is "$NS/l" one
	is "$(readlink "$NS/l")" a
	ln -s nowhere/at/all "$NS/dangling"
	[ -L "$NS/dangling" ]
	[ ! -e "$NS/dangling" ]
	local long
	long=$(printf 'x/%.0s' {1..2000})end
	ln -s "$long" "$NS/long"
	is "$(readlink "$NS/long")" "$long"
	ln -s . "$NS/self"
	file_is "$NS/self/self/a" one
	commit_all main
	remount
	is "$(readlink "$NS/long")" "$long"
	is "$(stat -c '%F %s' "$NS/l")" "symbolic link 1"
}

@test "fifos, sockets and device nodes" {
	mkfifo "$NS/fifo"
	echo through >"$NS/fifo" &
	is "$(cat "$NS/fifo")" through
	wait $!
	py "
s = socket.socket(socket.AF_UNIX); s.bind('sock'); s.listen()
c = socket.socket(socket.AF_UNIX); c.connect('sock')
c.send(b'hi'); assert s.accept()[0].recv(2) == b'hi'
"
	if [ "$(id -u)" -eq 0 ]; then
		mknod "$NS/null" c 1 3
		mknod "$NS/loop" b 7 0
	fi
	commit_all main
	remount
	is "$(stat -c %F "$NS/fifo" "$NS/sock" | tr '\n' ' ')" "fifo socket "
	if [ "$(id -u)" -eq 0 ]; then
		is "$(stat -c '%F %t %T' "$NS/null")" "character special file 1 3"
		is "$(stat -c '%F %t %T' "$NS/loop")" "block special file 7 0"
	fi
}

# ---- Attributes ---------------------------------------------------------------------------------

@test "modes, owners and times are kept, over commits and remounts" {
	need_root
	echo x >"$NS/f"
	mkdir "$NS/d"
	chmod 4751 "$NS/f"
	chmod 1777 "$NS/d"
	chown 1234:2345 "$NS/d"
	chown 1234:2345 "$NS/f"
	chmod 4751 "$NS/f"
	touch -d '2001-02-03 04:05:06.789012345' "$NS/f"
	touch -d '1969-12-31 23:59:58.5' "$NS/d"
	for round in staged committed remounted; do
		is "$(stat -c '%a %u %g %y' "$NS/f")" "4751 1234 2345 2001-02-03 04:05:06.789012345 +0000"
		is "$(stat -c '%a %u %g %y' "$NS/d")" "1777 1234 2345 1969-12-31 23:59:58.500000000 +0000"
		case $round in
		staged) commit_all main ;;
		committed) remount ;;
		esac
	done
}

@test "times: access and change, now and omitted" {
	py "
open('f', 'w').write('x')
os.utime('f', ns=(1000000001, 2000000002))
s = os.stat('f')
assert (s.st_atime_ns, s.st_mtime_ns) == (1000000001, 2000000002)
c = s.st_ctime_ns
os.chmod('f', 0o600)
s = os.stat('f')
assert s.st_mtime_ns == 2000000002 and s.st_ctime_ns > c
with open('f', 'a') as f: f.write('y')
assert os.stat('f').st_mtime_ns > 2000000002
libc = ctypes.CDLL(None, use_errno=True)
class Times(ctypes.Structure):
    _fields_ = [('s', ctypes.c_long), ('ns', ctypes.c_long)]
OMIT, NOW = (1 << 30) - 2, (1 << 30) - 1
m = os.stat('f').st_mtime_ns
assert libc.utimensat(-100, b'f', (Times * 2)(Times(5, 0), Times(0, OMIT)), 0) == 0
assert os.stat('f').st_mtime_ns == m and os.stat('f').st_atime_ns == 5000000000
os.symlink('f', 'l')
os.utime('l', ns=(7, 8), follow_symlinks=False)
assert os.lstat('l').st_mtime_ns == 8 and os.stat('f').st_mtime_ns == m
"
}

@test "being executable is part of a commit, other bits are not" {
	echo x >"$NS/f"
	commit_all main
	chmod 600 "$NS/f"
	is "$(on_main --json status | json '.changes | length')" 0
	chmod 755 "$NS/f"
	is "$(on_main --json status | json '[.changes[] | [.path, .operation]]')" '[["ns/f","modified"]]'
	commit_all main
	is "$(stat -c %a "$MNT/.prollyfs/at/main/ns/f" | cut -c1)" 7
}

@test "umask applies, setgid directories hand their group on, the sticky bit protects" {
	need_root
	mount_other_for_nobody
	(umask 027 && echo x >"$NS/f" && mkdir "$NS/d")
	is "$(stat -c %a "$NS/f" "$NS/d" | tr '\n' ' ')" "640 750 "
	chgrp 2345 "$NS/d"
	chmod 2777 "$NS/d"
	mkdir "$NS/d/e"
	echo x >"$NS/d/f"
	is "$(stat -c '%g' "$NS/d/f" "$NS/d/e" | tr '\n' ' ')" "2345 2345 "
	is "$(stat -c '%a' "$NS/d/e" | cut -c1)" 2
	mkdir -m 1777 "$NS/tmp"
	echo x >"$NS/tmp/f"
	as_nobody "! rm -f '$NS/tmp/f' 2>/dev/null"
	file_is "$NS/tmp/f" x
}

mount_other_for_nobody()
{
	unmount
	chmod 755 "$T"
	mount_store "$STORE" "$MNT" -o allow_other
}

as_nobody()
{
	setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "$1"
}

@test "access is decided by owner and mode" {
	need_root
	mount_other_for_nobody
	echo secret >"$NS/f"
	chmod 600 "$NS/f"
	as_nobody "! cat '$NS/f' 2>/dev/null"
	as_nobody "! touch '$NS/new' 2>/dev/null"
	chmod 604 "$NS/f"
	is "$(as_nobody "cat '$NS/f'")" secret
	as_nobody "! chmod 777 '$NS/f' 2>/dev/null"
	mkdir -m 777 "$NS/open"
	as_nobody "echo mine >'$NS/open/f'"
	is "$(stat -c '%u %g' "$NS/open/f")" "65534 65534"
	as_nobody "cd '$NS/open' && python3 -c '
import os
os.umask(0)
os.close(os.open(\"s\", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o4755))
assert os.stat(\"s\").st_mode & 0o7777 == 0o4755
os.close(os.open(\"s\", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o4755))
assert os.stat(\"s\").st_mode & 0o7777 == 0o755
'"
}

@test "extended attributes: set, listed, removed, kept" {
	echo x >"$NS/f"
	setfattr -n user.colour -v red "$NS/f"
	setfattr -n user.size -v big "$NS/f"
	setfattr -n user.colour -v green "$NS"
	is "$(getfattr --only-values -n user.colour "$NS/f")" red
	is "$(getfattr --absolute-names "$NS/f" | grep -c ^user)" 2
	commit_all main
	remount
	is "$(getfattr --only-values -n user.colour "$NS/f")" red
	is "$(getfattr --only-values -n user.colour "$NS")" green
	setfattr -x user.colour "$NS/f"
	py "
assert os.listxattr('f') == ['user.size']
fails(errno.ENODATA, os.getxattr, 'f', 'user.colour')
fails(errno.EEXIST, os.setxattr, 'f', 'user.size', b'x', os.XATTR_CREATE)
fails(errno.ENODATA, os.setxattr, 'f', 'user.none', b'x', os.XATTR_REPLACE)
os.setxattr('f', 'user.large', bytes(60000))
assert os.getxattr('f', 'user.large') == bytes(60000)
fails(errno.EOPNOTSUPP, os.getxattr, 'f', 'security.selinux')
fails(errno.EOPNOTSUPP, os.getxattr, 'f', 'system.posix_acl_access')
"
}

@test "extended attributes of every length are committed" {
	py "
for size in range(80):
    for name in 'a%d' % size, 'b%d' % size:
        open(name, 'w').close()
        os.setxattr(name, 'user.x', bytes(size))
"
	commit_all main
	remount
	py "
for size in range(80):
    assert os.getxattr('a%d' % size, 'user.x') == os.getxattr('b%d' % size, 'user.x') == bytes(size)
"
}

# own ATTRIBUTE PATH...
own()
{
	getfattr --absolute-names --only-values -n "user.prollyfs.$1" "${@:2}"
}

@test "of a directory: staged if anything below is; a namespace's and a branch's hash are their roots" {
	mkdir "$NS/d" "$NS/e"
	echo 1 | tee "$NS/d/k" >"$NS/e/k"
	commit_all main one
	is "$(own staged "$NS/d" "$NS/e" "$NS" "$MNT/main")" 0000
	echo 2 >"$NS/d/k"
	is "$(own staged "$NS/d" "$NS/e" "$NS" "$MNT/main")" 1011
	is "$(own hash "$NS")" "$(on_main root ns)"
	is "$(own hash "$MNT/main")" "$(on_main root)"
	isnt "$(on_main root)" "$(on_main root ns)"
}

@test "a program that runs is not truncated, small or not, by who opens it to read" {
	echo 'int pause(void); int main(void) { return pause(); }' >"$T/program.c"
	cc -s -o "$T/program" "$T/program.c"
	local size program refusal
	size=$(stat -c %s "$T/program")
	[ "$size" -le 16384 ] || fail "a program of $size bytes"
	cp "$T/program" "$NS/program"
	remount
	cmp "$NS/program" "$T/program"
	cmp "$NS/program" "$T/program" # from what the kernel was given
	"$NS/program" 3>&- &
	program=$!
	wait_for 10 test "$NS/program" -ef "/proc/$program/exe"
	refusal=$(errno_of "os.open('$NS/program', os.O_RDONLY | os.O_TRUNC)")
	kill "$program"
	! wait "$program"
	is "$refusal" ETXTBSY
	is "$(stat -c %s "$NS/program")" "$size"
	is "$(errno_of "os.open('$NS/program', os.O_RDONLY | os.O_TRUNC)")" ok
	is "$(stat -c %s "$NS/program")" 0
}

@test "user.prollyfs.hash, commit and staged can be read and are not listed" {
	echo x >"$NS/f"
	is "$(getfattr --only-values -n user.prollyfs.staged "$NS/f")" 1
	commit_all main
	is "$(getfattr --only-values -n user.prollyfs.staged "$NS/f")" 0
	is "$(getfattr --only-values -n user.prollyfs.commit "$NS/f")" "$(store_git rev-parse main)"
	[[ $(getfattr --only-values -n user.prollyfs.hash "$NS/f") =~ ^[0-9a-f]{64}$ ]]
	is "$(getfattr --absolute-names "$NS/f")" ""
	local hash
	hash=$(getfattr --only-values -n user.prollyfs.hash "$NS/f")
	cp "$NS/f" "$NS/g"
	is "$(getfattr --only-values -n user.prollyfs.hash "$NS/g")" "$hash"
	echo y >"$NS/f"
	isnt "$(getfattr --only-values -n user.prollyfs.hash "$NS/f")" "$hash"
}

# ---- Names --------------------------------------------------------------------------------------

@test "any name that POSIX allows is listed as it was created" {
	py "
names = [b'a b', b'new\nline', b'tab\there', 'grüße'.encode(), '日本語'.encode(), b'\xff\xfe\x80', b'-rf',
         b'*', b'100%', b'%41', b'%', b'%%', b'%25', b'a%2Fb', b'%2E.', b'%00', b'%2500', b'%empty', b'%2E',
         b'%2E%2E', b'...', b'.hidden', b'x' * 255, '日'.encode() * 85, b'%.prollyfs', b'.prollyfs',
         b'\x01\x7f', b'quote\"and\x27', b'back\\\\slash', b'%prolly', b'prolly-key', b'%PROLLY-KEY']
for n, name in enumerate(names):
    with open(name, 'xb') as f: f.write(b'%d' % n)
assert sorted(os.listdir(b'.')) == sorted(names), set(os.listdir(b'.')) ^ set(names)
for n, name in enumerate(names):
    assert open(name, 'rb').read() == b'%d' % n, name
fails(errno.ENAMETOOLONG, open, b'x' * 256, 'w')
fails(errno.ENAMETOOLONG, os.mkdir, b'x' * 256)
fails(errno.EINVAL, open, b'a%prolly-key', 'w')
fails(errno.EINVAL, open, b'a%prolly-more', 'w')
fails(errno.EINVAL, os.mkdir, b'%prolly-key')
"
	commit_all main
	local before
	before=$(cd "$NS" && find . -print0 | sort -z | md5sum)
	remount
	is "$(cd "$NS" && find . -print0 | sort -z | md5sum)" "$before"
	is "$(cd "$NS" && find . -mindepth 1 -print0 | tr -dc '\0' | wc -c)" 32
}

@test "the same names work as directories, and straight in a branch" {
	py "
names = [b'a b', b'new\nline', b'\xff\xfe', b'100%', b'%41', b'%2F', b'a%2Fb', b'%252F', b'%empty', b'x' * 255]
for name in names:
    os.mkdir(b'D' + name[:254])
    open(b'D' + name[:254] + b'/' + name, 'w').close()
    open(b'../' + name, 'w').write('top')
top = os.listdir(b'..')
for name in names:
    assert name in top, (name, top)
    assert os.listdir(b'D' + name[:254]) == [name]
    assert open(b'../' + name).read() == 'top'
"
	commit_all main
	remount
	py "
assert b'a%2Fb' in os.listdir(b'..')
assert os.listdir(b'Da%2Fb') == [b'a%2Fb']
"
}

@test "paths of any depth" {
	py "
os.mkdir('deep'); os.chdir('deep')
for i in range(300):
    os.mkdir('directory%03d' % i); os.chdir('directory%03d' % i)
open('leaf', 'w').write('at the bottom')
assert open('leaf').read() == 'at the bottom'
"
	commit_all main
	is "$(cd "$NS" && find deep -name leaf -exec cat {} +)" "at the bottom"
	rm -r "$NS/deep"
	missing "$NS/deep"
}

@test "a key that is also a directory of others, and other keys only load can make" {
	printf 'a\tA\na/b\tB\n/x\tempty first\nd//e\tempty middle\n./dot\tdot\n../up\tup\nnul\\0\tnul\n' |
		on_main load ns
	file_is "$NS/a%prolly-key" A
	file_is "$NS/a/b" B
	file_is "$NS/%empty/x" "empty first"
	file_is "$NS/d/%empty/e" "empty middle"
	file_is "$NS/%2E/dot" dot
	file_is "$NS/%2E%2E/up" up
	file_is "$NS/nul%00" nul
	is "$(cd "$NS" && find . -type f | sort)" "./%2E%2E/up
./%2E/dot
./%empty/x
./a%prolly-key
./a/b
./d/%empty/e
./nul%00"
	echo changed >"$NS/a%prolly-key"
	is "$(on_main get ns/a%prolly-key)" changed
	rm "$NS/a/b"
	rm -r "$NS/%empty"
	mv "$NS/nul%00" "$NS/plain"
	file_is "$NS/plain" nul
	is "$(on_main dump ns | cut -f1 | sort | tr '\n' ' ')" "../up ./dot a d//e plain "
}

@test "a component over 255 bytes goes on in the next level" {
	local long
	long=$(printf 'l%.0s' {1..600})
	printf '%s\tvalue\n' "$long" | on_main load ns
	local found
	found=$(cd "$NS" && find . -type f)
	is "$(cat "$NS/$found")" value
	is "$(echo "$found" | tr -d / | sed 's/%prolly-more//g')" ".$long"
	is "$(on_main get "ns/${found#./}")" value
	rm "$NS/$found"
	is "$(on_main dump ns)" ""
}

# ---- Straight into a branch ---------------------------------------------------------------------

@test "files straight into a branch are keys of the unnamed namespace" {
	echo top >"$MNT/main/README"
	file_is "$MNT/main/README" top
	is "$(on_main get ./README)" top
	is "$(on_main --json status | json '[.changes[] | select(.key == "README") | [.namespace, .path]]')" \
		'[["","README"]]'
	commit_all main
	remount
	file_is "$MNT/main/README" top
	is "$(ls "$MNT/main")" "README
ns"
	printf 'a/b\tslash\n' | on_main load .
	file_is "$MNT/main/a%2Fb" slash
}

@test "a regular file in the mount's root: EPERM" {
	is "$(errno_of "open('$MNT/file', 'w')")" EPERM
	is "$(errno_of "os.symlink('x', '$MNT/link')")" EPERM
	is "$(errno_of "os.mkfifo('$MNT/fifo')")" EPERM
}

@test "locks: flock and fcntl hold between processes" {
	echo x >"$NS/f"
	exec 4<>"$NS/f"
	flock 4
	run flock -n "$NS/f" true
	isnt "$status" 0
	exec 4>&-
	flock -n "$NS/f" true
	py "
a = os.open('f', os.O_RDWR)
fcntl.lockf(a, fcntl.LOCK_EX)
if os.fork() == 0:
    try:
        fcntl.lockf(os.open('f', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os._exit(0)
    os._exit(1)
assert os.wait()[1] == 0
"
}
