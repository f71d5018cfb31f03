# SPDX-License-Identifier: Apache-2.0
# Promise: bad input and damage get the right errno or exit status and a message that names the object;
# everything else goes on.
load common

# A store whose nodes are files, so that damage can be done with precision.
file_store()
{
	ctl . init "file://$STORE"
	entries 1 5000 | ctl "$STORE" load ns
	ctl "$STORE" put other/k value
	random_bytes 1000000 1 | ctl "$STORE" put ns/large
	ctl "$STORE" -q commit -m base
}

# leaf_with TEXT: the file of the node that has TEXT in it.
leaf_with()
{
	grep -rlF "$1" "$STORE/nodes" | head -1
}

hash_in()
{
	grep -oE '[0-9a-f]{64}' | head -1
}

@test "a corrupt node: EIO, its hash in the message, everything else readable" {
	file_store
	local node hash
	node=$(leaf_with "value 2500")
	[ -n "$node" ]
	printf X | dd of="$node" bs=1 seek=200 conv=notrunc status=none
	run ctl "$STORE" get ns/k0002500
	status_is 2
	hash=$(hash_in <<<"$output")
	[ -n "$hash" ] || fail "no hash in: $output"
	[[ ${node//\//} == *"$hash" ]] || fail "$hash is not the hash of $node"
	is "$(ctl "$STORE" get ns/k0000001)" "value 1"
	is "$(ctl "$STORE" get other/k)" value
	mount_store
	is "$(errno_of "open('$MNT/main/ns/k0002500').read()")" EIO
	file_is "$MNT/main/ns/k0000001" "value 1"
	file_is "$MNT/main/ns/k0005000" "value 5000"
	file_is "$MNT/main/other/k" value
	echo new >"$MNT/main/other/k"
	commit_all main "beside the damage"
	file_is "$MNT/main/other/k" new
}

@test "a missing node: EIO, its hash in the message, everything else readable" {
	file_store
	local node
	node=$(leaf_with "value 2500")
	rm -f "$node"
	run ctl "$STORE" get ns/k0002500
	status_is 2
	[[ ${node//\//} == *"$(hash_in <<<"$output")" ]] || fail "$output"
	mount_store
	is "$(errno_of "open('$MNT/main/ns/k0002500').read()")" EIO
	file_is "$MNT/main/ns/k0000001" "value 1"
	file_is "$MNT/main/other/k" value
}

@test "a damaged chunk of a large file: EIO there, the rest of it readable" {
	file_store
	local chunk
	chunk=$(find "$STORE/nodes" -type f -size +20k | head -1)
	[ -n "$chunk" ]
	printf XXXX | dd of="$chunk" bs=1 seek=1000 conv=notrunc status=none
	mount_store
	python3 - "$MNT/main/ns/large" <<'P'
import errno, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
good = bad = 0
for at in range(0, 1000000, 4096):
    try:
        good += len(os.pread(fd, 4096, at)) > 0
    except OSError as error:
        assert error.errno == errno.EIO, error
        bad += 1
assert good > 100 and 1 <= bad <= 130, (good, bad)
P
}

@test "what is damaged after it was read is found, too" {
	mount_namespace
	random_bytes 16777216 7 >"$T/large"
	cp "$T/large" "$NS/large"
	remount -o cache=1M
	cmp "$T/large" "$NS/large"
	python3 - "$T/large" "$NS/large" "$STORE/data" <<'P'
import errno, glob, os, sys
wanted = open(sys.argv[1], "rb").read()
for table in glob.glob(sys.argv[3] + "/*.sst"):
    size = os.path.getsize(table)
    if size < 1 << 20:
        continue
    with open(table, "r+b") as f:
        for at in range(10000, size - 100000, 20000):
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ 0x10]))
fd = os.open(sys.argv[2], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
bad = 0
for at in range(0, len(wanted), 65536):
    try:
        data = os.pread(fd, 65536, at)
        assert data == wanted[at:at + len(data)], at
    except OSError as error:
        assert error.errno == errno.EIO, error
        bad += 1
print(bad, "of", len(wanted) // 65536, "are known to be damaged")
assert bad > 100
P
}

@test "a truncated node file, and an empty one" {
	file_store
	local node
	node=$(leaf_with "value 2500")
	truncate -s 100 "$node"
	run ctl "$STORE" get ns/k0002500
	status_is 2
	truncate -s 0 "$node"
	run ctl "$STORE" get ns/k0002500
	status_is 2
	is "$(ctl "$STORE" get other/k)" value
}

@test "every byte of a node matters: no damage goes unseen" {
	file_store
	local node size at
	node=$(leaf_with "value 2500")
	cp "$node" "$T/saved"
	size=$(stat -c %s "$node")
	chmod u+w "$node"
	for at in 0 1 2 3 4 5 8 12 16 20 24 30 40 50 $((size / 2)) $((size - 1)); do
		cp "$T/saved" "$node"
		python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1)[0]
f.seek(int(sys.argv[2])); f.write(bytes([b ^ 0x55]))' "$node" "$at"
		run ctl "$STORE" get ns/k0002500
		status_is 2
	done
	cp "$T/saved" "$node"
	is "$(ctl "$STORE" get ns/k0002500)" "value 2500"
}

@test "a RocksDB store with a damaged file: refused or read, never wrong, never a crash" {
	ctl . init "$STORE"
	entries 1 20000 | ctl "$STORE" load ns
	ctl "$STORE" -q commit -m base
	cp -r "$STORE" "$T/saved"
	local file damage
	for file in $(cd "$STORE/data" && find . -type f -name '*.sst' -o -name MANIFEST-* -o -name CURRENT); do
		rm -rf "$STORE"
		cp -r "$T/saved" "$STORE"
		printf 'damage damage' | dd of="$STORE/data/$file" bs=1 conv=notrunc status=none \
			seek=$(($(stat -c %s "$STORE/data/$file") / 2))
		run ctl "$STORE" get ns/k0010000
		case $status in
		0) is "$output" "value 10000" ;;
		2) isnt "$output" "" ;;
		*) fail "$file damaged: exit status $status: $output" ;;
		esac
	done
}

@test "a truncated store: what is missing is named, nothing is made up" {
	ctl . init "$STORE"
	entries 1 20000 | ctl "$STORE" load ns
	ctl "$STORE" -q commit -m base
	cp -r "$STORE" "$T/saved"
	local part
	for part in config git data git/HEAD git/objects data/CURRENT; do
		rm -rf "$STORE"
		cp -r "$T/saved" "$STORE"
		rm -rf "${STORE:?}/$part"
		run ctl "$STORE" get ns/k0010000
		status_is 2
		output_has "$STORE"
		missing "$STORE/$part"
		run "$PROLLYFS" "$STORE" "$MNT"
		status_is 1
		missing "$STORE/$part"
	done
}

@test "a path that is no store: exit 2, it says so, nothing is touched" {
	mkdir "$T/foreign"
	echo mine >"$T/foreign/file"
	for path in "$T/foreign" "$T/foreign/file" /usr/include; do
		run ctl "$path" status
		status_is 2
		output_has "$path"
		run "$PROLLYFS" "$path" "$MNT"
		status_is 1
		output_has "$path"
	done
	run "$PROLLYFS" -o create "$T/foreign" "$MNT"
	status_is 1
	is "$(ls -A "$T/foreign")" file
	git init -q "$T/repository"
	run ctl "$T/repository" status
	status_is 2
}

@test "a newer format version: it says so, nothing is touched" {
	ctl . init "$STORE"
	ctl "$STORE" put ns/k value
	cp "$STORE/config" "$T/config"
	grep -qx 'format=1' "$STORE/config"
	sed -i -E 's/^format=.*/format=999/' "$STORE/config"
	find "$STORE" -type f -exec md5sum {} + | sort >"$T/before"
	run ctl "$STORE" get ns/k
	status_is 2
	output_has "$STORE"
	output_has 999
	run "$PROLLYFS" "$STORE" "$MNT"
	status_is 1
	output_has 999
	find "$STORE" -type f -exec md5sum {} + | sort | diff "$T/before" -
	cp "$T/config" "$STORE/config"
	is "$(ctl "$STORE" get ns/k)" value
}

@test "a config that makes no sense: named" {
	ctl . init "$STORE"
	cp "$STORE/config" "$T/config"
	for bad in 'no key file at all' '' '[store]' ; do
		echo "$bad" >"$STORE/config"
		run ctl "$STORE" status
		status_is 2
		output_has "$STORE"
	done
	sed -E 's/^(backend)=.*/\1=paper/' "$T/config" >"$STORE/config"
	run ctl "$STORE" status
	status_is 2
	output_has paper
}

# write_synced FILE SIZE SEED: writes random bytes and syncs them; prints ok, or the error's name.
write_synced()
{
	python3 -c '
import errno, os, random, sys
try:
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    data = random.Random(sys.argv[3]).randbytes(int(sys.argv[2]))
    while data:
        data = data[os.write(fd, data):]
    os.fsync(fd)
    os.close(fd)
    print("ok")
except OSError as error:
    print(errno.errorcode[error.errno])
' "$@"
}

# fill_disk MOST SIZE NAME: writes files (NAME, of which each + is its number) until there is no room,
# and prints how many were tried: at most MOST.
fill_disk()
{
	local n=0 code=ok
	while [ "$n" -lt "$1" ] && [ "$code" = ok ]; do
		n=$((n + 1))
		code=$(write_synced "${3//+/$n}" "$2" "$n")
	done
	is "$code" ENOSPC && echo "$n"
}

@test "a full disk: ENOSPC, nothing staged before is lost, and it goes on when there is room" {
	need_root
	mkdir "$T/disk"
	mount -t tmpfs -o size=48M none "$T/disk"
	mount_store "$T/disk/store"
	mkdir "$MNT/main/ns"
	echo before >"$MNT/main/ns/before"
	local n
	n=$(fill_disk 60 3000000 "$MNT/main/ns/f+")
	[ "$n" -gt 3 ]
	file_is "$MNT/main/ns/before" before
	is "$(stat -c %s "$MNT/main/ns/f1")" 3000000
	mount -o remount,size=400M "$T/disk"
	echo after >"$MNT/main/ns/after"
	commit_all main "there was room again"
	unmount
	mount_store "$T/disk/store"
	file_is "$MNT/main/ns/before" before
	file_is "$MNT/main/ns/after" after
	is "$(stat -c %s "$MNT/main/ns/f1")" 3000000
	git --git-dir="$T/disk/store/git" fsck --strict
	unmount
	umount "$T/disk"
}

@test "a full disk: deleting works, gc gives space back, and then there is room to write" {
	need_root
	mkdir "$T/disk"
	mount -t tmpfs -o size=64M none "$T/disk"
	mount_store "$T/disk/store"
	mkdir "$MNT/main/ns"
	echo kept >"$MNT/main/ns/kept"
	echo gone >"$MNT/main/ns/gone"
	mkdir "$MNT/topic"
	commit_all main
	local n
	n=$(fill_disk 100 1500000 "$MNT/main/ns/k")
	[ "$n" -gt 15 ]
	rm "$MNT/main/ns/gone"
	[ "$(on_main --json gc --prune=now | jq .reclaimed_bytes)" -gt 15000000 ]
	on_main -q branch -D topic
	random_bytes 1500000 1 >"$MNT/main/ns/again"
	commit_all main
	random_bytes 1500000 1 | cmp - "$MNT/main/ns/again"
	file_is "$MNT/main/ns/kept" kept
	missing "$MNT/main/ns/gone"
	missing "$MNT/topic"
	unmount
	mount_store "$T/disk/store"
	random_bytes 1500000 1 | cmp - "$MNT/main/ns/again"
	file_is "$MNT/main/ns/kept" kept
	git --git-dir="$T/disk/store/git" fsck --strict
	unmount
	umount "$T/disk"
}

@test "a full disk under a commit: exit 2, all of it still staged" {
	need_root
	mkdir "$T/disk"
	mount -t tmpfs -o size=400M none "$T/disk"
	ctl . init "$T/disk/store"
	entries 1 200000 | ctl "$T/disk/store" load ns
	local used
	used=$(du -sm "$T/disk" | cut -f1)
	mount -o "remount,size=$((used + 1))M" "$T/disk"
	# (RocksDB whose log failed cannot be closed, so it is left open: no leak of ours)
	ASAN_OPTIONS=detect_leaks=0 run ctl "$T/disk/store" -q commit -m large
	if [ "$status" -ne 0 ]; then
		status_is 2
		[[ $output == *[Ss]pace* ]] || fail "$output"
		mount -o remount,size=400M "$T/disk"
		is "$(ctl "$T/disk/store" get ns/k0123456)" "value 123456"
		ctl "$T/disk/store" -q commit -m large
	fi
	mount -o remount,size=400M "$T/disk"
	is "$(ctl "$T/disk/store" --at main --json root ns | json .keys)" 200000
	umount "$T/disk"
}

@test "a store that another process has open: it says who, and where it is mounted" {
	mount_store
	run ctl "$STORE" status # carried out by the mount
	status_is 0
	rm -f "$T/second"
	mkdir "$T/second"
	run "$PROLLYFS" "$STORE" "$T/second"
	status_is 1
	output_has "$DAEMON"
	output_has "$MNT"
}

@test "branch names that git refuses: EINVAL, exit 2, named" {
	mount_store
	for name in 'a..b' 'x.lock' 'a b' 'a~1' 'a^' 'a:b' 'a?' 'a*' 'a[b' '.hidden' 'end.' 'a@{b' '@' "$(printf 'a\001')" \
		'back\slash'; do
		is "$(NAME=$MNT/$name errno_of "os.mkdir(os.environb[b'NAME'])")" EINVAL
		run on_main branch "$name"
		status_is 2
		output_has "$name"
	done
	is "$(ls -A "$MNT")" main
	is "$(store_git for-each-ref --format='%(refname)')" refs/heads/main
}

@test "keys and names over the limit" {
	mount_store
	mkdir "$MNT/main/ns"
	python3 -c 'print("k" * 65536 + "\tvalue")' | on_main load ns
	is "$(on_main --json root ns | json .keys)" 1
	run bash -c "python3 -c 'print(\"a\\t1\\n\" + \"k\" * 65537 + \"\\tvalue\")' | '$CTL' -C '$MNT/main' load ns"
	status_is 2
	output_has 2
	is "$(on_main --json root ns | json .keys)" 1
	is "$(errno_of "os.mkdir('$MNT/main/' + 'n' * 256)")" ENAMETOOLONG
	run on_main put "$(printf 'n%.0s' {1..256})/k" v
	status_is 2
	is "$(python3 - "$MNT/main/ns" <<'P'
import errno, os, sys
os.chdir(sys.argv[1])
try:
    for n in range(400):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    print("ok")
except OSError as error:
    print(errno.errorcode[error.errno])
P
)" ENAMETOOLONG
}

@test "load: base64 that no encoder makes is refused" {
	local text member
	ctl . -q init "$STORE"
	for text in ==== QQ==QQ== QR== QUJ= QUK= QUJD= Q=== = == QUI QU=I 'QU I' 'QQ==QUJD' 'QU\u0000=' 'QUJ_' 'Q\u0000=='; do
		for member in '"key":{"base64":"%s"},"value":"v"' '"key":"k","value":{"base64":"%s"}'; do
			# shellcheck disable=SC2059
			printf "{$member}\n" "$text" >"$T/line"
			run ctl "$STORE" load --format jsonl q <"$T/line"
			status_is 2
			output_has "line 1: bad base64"
		done
	done
	for text in "" QQ== QUI= QUJD AA== +/+/ ////; do
		echo "{\"key\":\"k\",\"value\":{\"base64\":\"$text\"}}" | ctl "$STORE" load --format jsonl q
		is "$(ctl "$STORE" get q/k | base64)" "$text"
	done
}

@test "load: a key that does not end is refused before memory is" {
	is_sanitized && skip "a sanitizer takes more memory than there is here"
	ctl . -q init "$STORE"
	run bash -c "ulimit -v 700000; { head -c 150000000 /dev/zero | tr '\0' a; printf '\0v\0'; } |
		'$CTL' -C '$STORE' load --format nul q"
	status_is 2
	output_has "entry 1: "
	run bash -c "printf 'a\0b\0%065536d\0v\0%065537d\0v\0' 1 2 | '$CTL' -C '$STORE' load --format nul q"
	status_is 2
	output_has "entry 3: over 65536 bytes"
	printf 'a\0b\0%065536d\0v\0' 1 | ctl "$STORE" load --format nul q
	is "$(ctl "$STORE" --json root q | json .keys)" 2
}

@test "malformed control lines: EINVAL, the mount goes on" {
	mount_store
	for line in "put 'unbalanced" 'put "unbalanced' 'put back\' 'nothing of the kind' '-C' '--at'; do
		is "$(LINE=$line errno_of "os.write(os.open('$MNT/.prollyfs/ctl', os.O_RDWR), os.environb[b'LINE'] + b'\n')")" \
			EINVAL
	done
	is "$(errno_of "os.write(os.open('$MNT/.prollyfs/ctl', os.O_RDWR), b'put ns/a \xff\n')")" EINVAL
	is "$(errno_of "os.write(os.open('$MNT/.prollyfs/ctl', os.O_RDWR), b'put ns/a b\0c\n')")" EINVAL
	run on_main ls
	status_is 0
}

@test "malformed frames: the session ends or fails, the mount goes on" {
	mount_store
	python3 - "$MNT/.prollyfs/ctl" <<'P'
import os, struct, sys
def session(data):
    fd = os.open(sys.argv[1], os.O_RDWR)
    try:
        os.write(fd, b"frames 1\n")
        os.write(fd, data)
        os.read(fd, 10)
    except OSError:
        pass
    os.close(fd)
session(struct.pack("<BI", 1, 0xffffffff) + b"x" * 1000)
session(struct.pack("<BI", 3, 0))
session(struct.pack("<BI", 2, 5) + b"input")
session(struct.pack("<BI", 1, 11) + b"put 'a\nb' c")
session(b"\1\2")
fd = os.open(sys.argv[1], os.O_RDWR)
try:
    os.write(fd, b"frames 99\n")
    raise AssertionError("frames 99 was taken")
except OSError:
    pass
P
	on_main put ns/k v
	file_is "$MNT/main/ns/k" v
}

@test "reserved and impossible places: the errno that fits" {
	mount_store
	is "$(errno_of "os.mkdir('$MNT/main/.prollyfs')")" EEXIST
	is "$(errno_of "os.rmdir('$MNT/main/.prollyfs')")" EPERM
	is "$(errno_of "os.rename('$MNT/.prollyfs', '$MNT/x')")" EPERM
	is "$(errno_of "os.unlink('$MNT/.prollyfs/ctl')")" EPERM
	is "$(errno_of "open('$MNT/.prollyfs/new', 'w')")" EPERM
	is "$(errno_of "open('$MNT/main/none/f', 'w')")" ENOENT
	echo x >"$MNT/main/f"
	is "$(errno_of "open('$MNT/main/f/g', 'w')")" ENOTDIR
	is "$(errno_of "os.listdir('$MNT/main/none')")" ENOENT
	is "$(errno_of "os.link('$MNT/main', '$MNT/other')")" EPERM
}
