# SPDX-License-Identifier: Apache-2.0
# Promise: prollyfs-format(5) is enough to read a store and to write one, and there is one encoding
# of any contents.
load common

stranger()
{
	local script=$1
	shift
	python3 "$BATS_TEST_DIRNAME/$script.py" "$@"
}

need_ldb()
{
	command -v ldb >/dev/null || skip "no ldb"
}

# same_roots FILE [OPTION...]: the roots in FILE, which a stranger found, are those that root prints.
same_roots()
{
	local file=$1 root name
	shift

	while IFS=$'\t' read -r root name _; do
		[ "$name" != / ] || name=
		is "$(ctl "$STORE" "$@" root ${name:+"$name"})" "$root"
	done <"$file"
}

# A tree of files of all kinds and sizes in the namespace $1 of branch main.
make_files()
{
	local ns=$MNT/main/$1

	mkdir "$ns"
	cp -r /usr/include/linux "$ns/"
	random_bytes 1200000 1 >"$ns/large"
	{ random_bytes 100000 2; head -c 300000 /dev/zero; random_bytes 50000 3; head -c 70000 /dev/zero; } >"$ns/holes"
	truncate -s 400000 "$ns/all zeros"
	: >"$ns/nothing"
	head -c 1024 /dev/zero >"$ns/inline"
	head -c 1025 /dev/zero >"$ns/not-inline"
	ln -s nowhere "$ns/link"
	mkfifo "$ns/fifo"
	python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$ns/socket')"
	mkdir -p "$ns/directory/empty" "$ns/directory/full"
	echo '#!/bin/sh' >"$ns/directory/full/run"
	chmod +x "$ns/directory/full/run"
}

@test "the test vectors of the manual page follow from the rest of it" {
	stranger format_page "$BATS_TEST_DIRNAME/../../man/prollyfs-format.5" "$BATS_TEST_DIRNAME/../unit/golden"
}

@test "a reader written from the manual page finds the same roots and builds the same nodes" {
	mount_store "file://$STORE"
	mkdir "$MNT/main/empty" "$MNT/main/odd name"
	entries 1 20000 | on_main load many
	make_files ns
	echo top >"$MNT/main/top"
	echo x >"$MNT/main/odd name/x"
	printf 'long\t%s\n%s\tv\n' "$(printf 'v%.0s' {1..1000})" "$(printf 'k%.0s' {1..30000})" | on_main load long
	commit_all main one
	for n in 1 500 9999 20000; do
		echo changed >"$MNT/main/many/k$(printf %07d "$n")"
	done
	rm "$MNT"/main/many/k00031*
	printf insert | dd of="$MNT/main/ns/large" bs=1 seek=600000 conv=notrunc status=none
	truncate -s 777777 "$MNT/main/ns/holes"
	commit_all main two
	unmount
	for revision in main main~1; do
		stranger format read "$STORE" "$revision" >"$T/found"
		is "$(wc -l <"$T/found")" 7
		same_roots "$T/found" --at "$revision"
	done
	is "$(awk -F'\t' '$2 == "many" { print $3 }' "$T/found")" 20000
	[ "$(awk -F'\t' '$2 == "ns" { print $4 }' "$T/found")" -gt 100 ]
}

@test "it finds damage" {
	ctl . init "file://$STORE"
	entries 1 1000 | ctl "$STORE" load ns
	ctl "$STORE" -q commit -m one
	stranger format read "$STORE" main
	local node
	node=$(grep -rlF "value 500" "$STORE/nodes" | head -1)
	chmod u+w "$node"
	printf X | dd of="$node" bs=1 seek=200 conv=notrunc status=none
	run stranger format read "$STORE" main
	isnt "$status" 0
}

# A namespace of random keys and values, as lines of JSON: any bytes, long keys, values over the
# inline limit, runs of zeros.
random_entries()
{
	python3 - "$1" "$2" <<-'EOF'
		import base64, json, random, sys
		r = random.Random(int(sys.argv[2]))
		text = lambda data: {"base64": base64.b64encode(data).decode()}
		keys = {r.randbytes(int(r.paretovariate(0.7)) % 3000) for _ in range(int(sys.argv[1]))}
		for key in sorted(keys, key=lambda _: r.random()):
		    value = r.randbytes(r.choice([0, 1, 30, 100, 1024, 1025]))
		    if r.random() < 0.002:
		        value = r.randbytes(r.randrange(200000)) + bytes(r.randrange(200000)) + r.randbytes(r.randrange(200000))
		    print(json.dumps({"key": text(key), "value": text(value)}))
	EOF
}

@test "a writer that follows the manual page builds the same trees" {
	local sources=() n=0 count
	ctl . init "$STORE"
	stranger format build "$STORE" >"$T/found"
	same_roots "$T/found"
	for count in 1 2 40 1500 6000; do
		random_entries "$count" "$((n++))" >"$T/$count"
		ctl "$STORE" -q load --format jsonl "random$count" <"$T/$count"
		sources+=("random$count=$T/$count")
	done
	entries 1 120000 | ctl "$STORE" -q load ordered
	entries 1 120000 | jq -cR 'split("\t") | {key: .[0], value: .[1]}' >"$T/ordered"
	sources+=("ordered=$T/ordered")
	printf '{"key": "", "value": ""}\n' | tee "$T/unnamed" | ctl "$STORE" -q load --format jsonl .
	sources+=("=$T/unnamed")
	: | tee "$T/empty" | ctl "$STORE" -q load empty
	sources+=("empty=$T/empty")
	stranger format build "$STORE" "${sources[@]}" >"$T/found"
	same_roots "$T/found"
	ctl "$STORE" -q commit -m one
	same_roots "$T/found" --at main
	[ "$(ctl "$STORE" --json stats | jq '.namespaces[] | select(.name == "ordered").height')" -ge 3 ]
}

@test "it does so under other parameters: small chunks, high trees" {
	need_ldb
	local parameters=(min=32 max=512 scale-shift=6 inline-limit=50 chunk-min=64 chunk-average=256 chunk-max=1024)
	stranger format_db write "$STORE" "${parameters[@]}" >"$T/found"
	same_roots "$T/found"
	random_entries 2000 7 >"$T/random"
	ctl "$STORE" -q load --format jsonl random <"$T/random"
	mkdir "$T/large"
	random_bytes 1500000 8 >"$T/large/file"
	ctl "$STORE" put large/file <"$T/large/file"
	stranger format build "$STORE" random="$T/random" large="$T/large" | grep -v '\s/\s' >"$T/built"
	is "$(wc -l <"$T/built")" 2
	same_roots "$T/built"
	ctl "$STORE" -q commit -m two
	stranger format read "$STORE" main >"$T/found"
	same_roots "$T/found" --at main
	is "$(grep -cFf "$T/built" "$T/found")" 2
	[ "$(ctl "$STORE" --json stats | jq '.namespaces[] | select(.name == "random").height')" -ge 8 ]
}

@test "it builds the same tree from a directory as the mount does" {
	mount_store
	make_files ns
	stranger format build "$STORE" "ns=$MNT/main/ns" >"$T/found"
	while IFS=$'\t' read -r root name _; do
		[ "$name" != / ] || name=
		is "$(on_main root ${name:+"$name"})" "$root"
	done <"$T/found"
	[ "$(awk -F'\t' '$2 == "ns" { print $4 }' "$T/found")" -gt 100 ]
}

@test "every record of the database is as the manual page says, and so is the working state" {
	need_ldb
	mount_store
	make_files ns
	entries 1 3000 | on_main load many
	commit_all main one
	on_main branch other
	mkdir "$MNT/main/made" "$MNT/main/gone"
	rmdir "$MNT/main/gone"
	echo x >"$MNT/main/made/one"
	ln "$MNT/main/made/one" "$MNT/main/made/two"
	setfattr -n user.a -v 1 "$MNT/main/made/one"
	chmod 600 "$MNT/main/ns/inline"
	rm -r "$MNT/main/ns/linux/can" "$MNT/main/many/k0000007"
	printf 'a few' | dd of="$MNT/main/ns/large" bs=1 seek=600000 conv=notrunc status=none
	printf 'more' >>"$MNT/main/ns/large"
	truncate -s 1100000 "$MNT/main/ns/large"
	mkdir "$MNT/main/ns/sub"
	printf 'directory/empty/key\tv\nsub/key\tv\nlarge2\tv\n' | on_main load ns
	rm "$MNT/main/ns/sub/key"
	echo y >"$MNT/main/ns/directory/full/more"
	echo z >"$MNT/other/ns/theirs"
	ctl "$MNT/other" -q commit -m theirs
	on_main -q merge other
	touch -a -d @1700000000 "$MNT/main/ns/inline"
	touch -m -d @1600000000 "$MNT/main/ns/not-inline"
	(cd "$MNT/main/ns" && stat -c '%n %a %u %g %X %Y %Z' inline not-inline large nothing) >"$T/status"
	kill_daemon
	stranger format_db attributes "$STORE" main ns inline not-inline large nothing | diff - "$T/status"
	stranger format_db attributes "$STORE" main made one two | grep -c "(b'user.a', b'1')" | grep -x 2
	stranger format_db check "$STORE" >"$T/types"
	for type in 'meta branch' 'meta name' 'meta counter' 'staged '{d,e,l,n,'e load','n load','t load'} \
		'extents bytes' 'journal record' 'nodes PTN' 'nodes PrB' 'chunks PrC' 'index entry'; do
		grep "^$type" "$T/types"
	done
	stranger format_db working "$STORE" main >"$T/found"
	same_roots "$T/found"
	stranger format read "$STORE" main >"$T/found"
	same_roots "$T/found" --at main
}

@test "a store that a stranger wrote is one" {
	need_ldb
	stranger format_db write "$STORE" >"$T/found"
	same_roots "$T/found"
	store_git fsck --strict
	is "$(ctl "$STORE" get files/new)" new
	is "$(ctl "$STORE" get many/00000002)" newer
	run ctl "$STORE" get many/00000001
	is "$status" 1
	is "$(ctl "$STORE" get files/large | tail -c +1001 | head -c 5)" hello
	mount_store
	is "$(stat -c '%a %u %g %X %Y %Z' "$MNT/main/files/new")" "644 1 2 1794999990 1795000000 1795000010"
	is "$(getfattr --only-values -n user.a "$MNT/main/files/new")" x
	is "$(ls "$MNT/main/files/docs")" a
	commit_all main three
	unmount
	same_roots "$T/found" --at main
	stranger format_db check "$STORE"
}
