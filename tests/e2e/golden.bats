# SPDX-License-Identifier: Apache-2.0
# Promise: a store that was made once can be read for ever; one of a newer format is refused, and both
# versions are named. tests/golden has stores of each format there was, and what is in them.
load common

GOLDEN=$BATS_TEST_DIRNAME/../golden

# Unpacks the golden store NAME as $STORE.
unpack()
{
	tar -C "$T" --no-same-owner -xJf "$GOLDEN/$1.tar.xz"
	mv "$T/$1" "$STORE"
}

# Everything in the golden store NAME is as it was.
check_golden()
{
	unpack "$1"
	"$GOLDEN/tell" "$PROLLYFS_BUILD" "$STORE" >"$T/found"
	diff "$GOLDEN/$1.txt" "$T/found"
	# and it can be worked with
	ctl "$STORE" -q commit -m 'What was staged'
	ctl "$STORE" -q put ns/later 'by a later program'
	ctl "$STORE" -q -b old resolve --ours ns/key/001 ns/key/150
	ctl "$STORE" -q -b old merge --continue
	ctl "$STORE" -q gc --prune=now
	[ "$(ctl "$STORE" get ns/staged)" = 'staged and not committed' ]
	run -0 ctl "$STORE" fsck
	[ "$output" = 'nothing is damaged' ]
}

# refused WORD...: the last run failed, and said each WORD.
refused()
{
	echo "$output"
	[ "$status" -eq 2 ]
	for word; do
		[[ $output == *"$word"* ]]
	done
}

@test "every golden store has its expectations, and all are small" {
	local store
	for store in "$GOLDEN"/*.tar.xz; do
		grep -qF "check_golden $(basename "$store" .tar.xz)" "$BATS_TEST_FILENAME"
		[ -s "${store%.tar.xz}.txt" ]
	done
	[ "$(cat "$GOLDEN"/*.tar.xz | wc -c)" -lt 307200 ]
}

@test "format 1, RocksDB" {
	check_golden rocksdb
}

@test "format 1, files" {
	check_golden file
}

@test "format 1, small nodes and chunks" {
	check_golden small
}

@test "format 1, mounted: kinds, attributes, links, what lies over a large value" {
	unpack rocksdb
	mount_store
	local at=$MNT/main/files
	[ "$(stat -c %a "$at/run")" = 755 ]
	[ "$(TZ=UTC stat -c %y "$at/run")" = '2001-02-03 04:05:06.789000000 +0000' ]
	[ "$(readlink "$at/symlink")" = ../elsewhere ]
	[ -p "$at/fifo" ] && [ -c "$at/null" ]
	[ "$(stat -c '%t %T' "$at/null")" = '1 3' ]
	[ "$(stat -c %u:%g:%a "$at/owned")" = 1000:1001:640 ]
	[ "$(getfattr --absolute-names --only-values -n user.comment "$at/owned")" = 'an attribute' ]
	[ "$(cat "$at/owned")" = $'mine\nmore' ]
	[ "$(stat -c %h "$at/renamed")" = 2 ]
	[ "$(stat -c %i "$at/renamed")" = "$(stat -c %i "$at/directory/two")" ]
	[ "$(cat "$at/directory/two")" = linked ] && [ ! -e "$at/one" ]
	[ -d "$at/directory/empty" ] && [ "$(cat "$at/100% Größe")" = x ]
	[ "$(stat -c %s "$at/sparse")" = 10485760 ]
	[ "$(dd if="$at/sparse" bs=1 skip=4999998 count=8 status=none | od -An -tx1)" = ' 00 00 6f 76 65 72 00 00' ]
	[ "$(head -c 6 "$at/sparse")" = sparse ]
	[ "$(cat "$MNT/.prollyfs/conflicts/old/theirs/ns/key/001")" = 'changed on main' ]
}

@test "a newer store: refused, both versions named" {
	"$CTL" init "$STORE" >/dev/null
	sed -i 's/^format=1$/format=2/' "$STORE/config"
	run ctl "$STORE" status
	refused "$STORE/config" 'format 2' 'up to 1'
}

@test "a newer database: refused" {
	"$CTL" init "$STORE" >/dev/null
	command -v ldb >/dev/null || skip "no ldb"
	ldb --db="$STORE/data" create_column_family later
	run ctl "$STORE" status
	refused "$STORE/data" newer
}

@test "a newer proof: refused, both versions named" {
	"$CTL" init "$STORE" >/dev/null
	ctl "$STORE" -q put ns/k v
	local root
	root=$(ctl "$STORE" root ns)
	ctl "$STORE" prove ns/k >"$T/proof"
	[ "$("$CTL" verify-proof "$root" ns/k "$T/proof")" = present ]
	printf '\2' | dd of="$T/proof" bs=1 seek=3 conv=notrunc status=none
	run "$CTL" verify-proof "$root" ns/k "$T/proof"
	echo "$output"
	[ "$status" -eq 1 ] # what cannot be verified is not proved
	[[ $output == *"$T/proof"*'version 2'*'up to 1'* ]]
}

@test "newer frames: refused" {
	mount_store
	run ! bash -c "echo 'frames 2' >'$MNT/.prollyfs/ctl'"
	[[ $output == *'Protocol not supported'* ]]
}

@test "a newer record of a namespace in git: refused, both versions named" {
	"$CTL" init "$STORE" >/dev/null
	ctl "$STORE" -q put ns/k v
	ctl "$STORE" -q commit -m c
	local blob tree commit
	blob=$(store_git show main:ns-ns | sed 's/^format 1$/format 2/' | store_git hash-object -w --stdin)
	tree=$(printf '100644 blob %s\tns-ns\n' "$blob" | store_git mktree)
	commit=$(store_git commit-tree -p main -m later "$tree")
	store_git update-ref refs/heads/main "$commit"
	run ctl "$STORE" --at main get ns/k
	refused 'format 2' 'up to 1'
}
