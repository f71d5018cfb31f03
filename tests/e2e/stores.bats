# SPDX-License-Identifier: Apache-2.0
# Promise: four kinds of stores with the same semantics; a store knows its own.
load common

# life SPECIFICATION: work in a mount of it that uses everything; prints what must be the same for all.
life()
{
	mount_store "$1" "$MNT"
	mkdir "$MNT/main/ns"
	cp -r /usr/include/linux/usb "$MNT/main/ns/"
	random_bytes 2000000 3 >"$MNT/main/ns/large"
	entries 1 3000 | on_main load loaded
	commit_all main base
	mkdir "$MNT/side"
	echo theirs >"$MNT/side/ns/theirs"
	commit_all side theirs
	echo ours >"$MNT/main/ns/ours"
	rm "$MNT/main/ns/usb/audio.h"
	commit_all main ours
	on_main -q merge -m merged side
	on_main root
	on_main --json log | json .message | sort
	on_main --json diff main~1 main | json .path
	md5sum <"$MNT/main/ns/large"
	is "$(on_main --json status | json .changes)" '[]'
}

backend_of()
{
	ctl "$1" --json stats | json .backend | tr -d '"'
}

@test "all four give the same roots and the same answers" {
	life "$T/one" >"$T/rocksdb"
	is "$(backend_of "$MNT/main")" rocksdb
	unmount
	for specification in "rocksdb://$T/two" "file://$T/three" "cached-file://$T/four?cache=8M" :memory:; do
		life "$specification" >"$T/lived"
		diff "$T/rocksdb" "$T/lived"
		case $specification in
		*:memory:*) is "$(backend_of "$MNT/main")" memory ;;
		cached*) is "$(backend_of "$MNT/main")" cached-file ;;
		file*) is "$(backend_of "$MNT/main")" file ;;
		*) is "$(backend_of "$MNT/main")" rocksdb ;;
		esac
		unmount
	done
	is "$(ls "$T" | grep -c memory)" 0
}

@test "what was written is there when the store is opened by its path alone" {
	for kind in rocksdb file cached-file; do
		ctl . init "$kind://$T/$kind"
		ctl "$T/$kind" put ns/k value
		ctl "$T/$kind" commit -m one
		mount_store "$T/$kind"
		file_is "$MNT/main/ns/k" value
		is "$(backend_of "$MNT/main")" "$kind"
		unmount
		is "$(ctl "$kind://$T/$kind" get ns/k)" value
		git --git-dir="$T/$kind/git" fsck --strict
	done
	find "$T/file/nodes" -type f | grep -q .
	find "$T/cached-file/nodes" -type f | grep -q .
	missing "$T/rocksdb/nodes"
}

@test "a specification that contradicts the store is an error, and nothing is touched" {
	ctl . init "file://$STORE"
	ctl "$STORE" put ns/k value
	local before
	before=$(cd "$STORE" && find . -type f -name config -exec cat {} +)
	for wrong in "rocksdb://$STORE" "cached-file://$STORE"; do
		run ctl "$wrong" get ns/k
		status_is 2
		output_has "$STORE"
		output_has file
		run "$PROLLYFS" "$wrong" "$MNT"
		status_is 1
		output_has "$STORE"
	done
	is "$(cd "$STORE" && find . -type f -name config -exec cat {} +)" "$before"
	is "$(ctl "$STORE" get ns/k)" value
}

@test "a specification of no kind, or with an unknown parameter: named, exit 2" {
	for wrong in "ftp://$STORE" "file://" "cached-file://$STORE?size=3" "cached-file://$STORE?cache=many"; do
		run ctl . init "$wrong"
		status_is 2
		output_has "${wrong%%:*}"
	done
	missing "$STORE"
}

@test ":memory: leaves nothing, and each mount has its own" {
	mount_store :memory:
	echo x >"$MNT/main/k"
	commit_all main
	mkdir "$T/mnt2"
	local first=$DAEMON
	mount_store :memory: "$T/mnt2"
	is "$(ls "$T/mnt2/main")" ""
	unmount "$T/mnt2"
	unmount "$MNT" "$first"
	is "$(ls "$T" | sort | tr '\n' ' ')" "daemon.log home mnt mnt2 "
	mount_store :memory: "$MNT"
	is "$(ls "$MNT/main")" ""
}

@test "the cache of cached-file is bounded, and counts" {
	ctl . init "cached-file://$STORE?cache=1M"
	entries 1 100000 | ctl "$STORE" load ns
	ctl "$STORE" commit -m base
	mount_store "cached-file://$STORE?cache=1M"
	on_main dump ns | md5sum >/dev/null
	on_main dump ns | md5sum >/dev/null
	is "$(on_main --json stats | json .cache.capacity)" 1048576
	[ "$(on_main --json stats | json .cache.bytes)" -le 1048576 ]
	[ "$(on_main --json stats | json .cache.evictions)" -gt 0 ]
	[ "$(on_main --json stats | json .cache.misses)" -gt 0 ]
	remount -o cache=64M
	on_main dump ns | md5sum >/dev/null
	local misses
	misses=$(on_main --json stats | json .cache.misses)
	on_main dump ns | md5sum >/dev/null
	is "$(on_main --json stats | json .cache.misses)" "$misses"
	is "$(on_main --json stats | json .cache.evictions)" 0
}

@test "a closed store may be moved and copied" {
	ctl . init "$STORE"
	ctl "$STORE" put ns/k value
	ctl "$STORE" commit -m one
	ctl "$STORE" put ns/k staged
	mv "$STORE" "$T/moved"
	cp -r "$T/moved" "$T/copied"
	is "$(ctl "$T/moved" get ns/k)" staged
	ctl "$T/copied" commit -m two
	is "$(ctl "$T/copied" --at main get ns/k)" staged
	is "$(ctl "$T/moved" --at main get ns/k)" value
}

@test "the same content in two namespaces and branches is stored once" {
	mount_store
	mkdir "$MNT/main/a" "$MNT/main/b"
	random_bytes 8000000 9 >"$MNT/main/a/large"
	commit_all main one
	local before after
	before=$(on_main --json stats | json .bytes)
	cp "$MNT/main/a/large" "$MNT/main/b/copy"
	mkdir "$MNT/side"
	mkdir "$MNT/side/c"
	cp "$MNT/main/a/large" "$MNT/side/c/third"
	commit_all main two
	commit_all side three
	after=$(on_main --json stats | json .bytes)
	[ $((after - before)) -lt 400000 ] || fail "$((after - before)) bytes more"
}
