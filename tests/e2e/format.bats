# SPDX-License-Identifier: Apache-2.0
# Promise: prollyfs-format(5) is enough to read a store, and there is one encoding of any contents.
load common

second_opinion()
{
	python3 "$BATS_TEST_DIRNAME/format.py" "$STORE" "$1"
}

@test "a reader written from the manual page finds the same roots and builds the same nodes" {
	mount_store "file://$STORE"
	mkdir "$MNT/main/ns" "$MNT/main/empty" "$MNT/main/odd name"
	entries 1 20000 | on_main load many
	cp -r /usr/include/linux "$MNT/main/ns/"
	random_bytes 1200000 1 >"$MNT/main/ns/large"
	{ random_bytes 100000 2; head -c 300000 /dev/zero; random_bytes 50000 3; head -c 70000 /dev/zero; } \
		>"$MNT/main/ns/holes"
	truncate -s 400000 "$MNT/main/ns/all zeros"
	: >"$MNT/main/ns/nothing"
	head -c 1024 /dev/zero >"$MNT/main/ns/inline"
	head -c 1025 /dev/zero >"$MNT/main/ns/not-inline"
	ln -s nowhere "$MNT/main/ns/link"
	mkfifo "$MNT/main/ns/fifo"
	mkdir "$MNT/main/ns/directory"
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
		second_opinion "$revision" >"$T/found"
		is "$(wc -l <"$T/found")" 6
		while IFS=$'\t' read -r root name _; do
			is "$(ctl "$STORE" --at "$revision" root "$name")" "$root"
		done <"$T/found"
	done
	is "$(awk -F'\t' '$2 == "many" { print $3 }' "$T/found")" 20000
	[ "$(awk -F'\t' '$2 == "ns" { print $4 }' "$T/found")" -gt 100 ]
}

@test "it finds damage" {
	ctl . init "file://$STORE"
	entries 1 1000 | ctl "$STORE" load ns
	ctl "$STORE" -q commit -m one
	second_opinion main
	local node
	node=$(grep -rlF "value 500" "$STORE/nodes" | head -1)
	printf X | dd of="$node" bs=1 seek=200 conv=notrunc status=none
	run second_opinion main
	isnt "$status" 0
}
