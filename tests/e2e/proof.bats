# SPDX-License-Identifier: Apache-2.0
# Promise: whoever has a root hash and a proof knows what the tree holds, with no store at hand.
load common

setup()
{
	common_setup
	"$CTL" -q init "$STORE"
	seq 5000 | awk '{ printf "u/%d\tvalue %d\n", $1, $1 }' | ctl "$STORE" -q load users
	ROOT=$(ctl "$STORE" root users)
}

prove()
{
	ctl "$STORE" prove "$1" >"$T/proof"
}

# verify PATH [VALUE]: where there is no store.
verify()
{
	local path=$1
	shift
	(cd / && "$CTL" verify-proof "$ROOT" "$path" "$T/proof" "$@")
}

@test "a proof of a key that is there, with its value" {
	prove users/u/17
	is "$(verify users/u/17)" present
	is "$(verify users/u/17 'value 17')" present
	run verify users/u/17 'value 18'
	is "$status" 1
	run verify users/u/17 ''
	is "$status" 1
}

@test "a proof of a key that is not there" {
	for key in u/17x u/0 a zzz; do
		prove "users/$key"
		is "$(verify "users/$key")" absent
		run verify "users/$key" ''
		is "$status" 1
	done
}

@test "a proof needs neither store nor mount" {
	prove users/u/17
	rm -r "$STORE"
	is "$(verify users/u/17 'value 17')" present
	is "$(env -i "$CTL" verify-proof "$ROOT" users/u/17 proof)" present
}

@test "a proof is for one key and one root" {
	prove users/u/17
	run verify users/u/18
	is "$status" 1
	other=$(echo "$ROOT" | tr 0-9a-f 1-9a-f0)
	run "$CTL" verify-proof "$other" users/u/17 "$T/proof"
	is "$status" 1
	ctl "$STORE" put users/new x
	run "$CTL" verify-proof "$(ctl "$STORE" root users)" users/u/17 "$T/proof"
	is "$status" 1
}

@test "a proof with a byte changed, dropped, swapped or added does not hold" {
	prove users/u/17
	cat >"$T/attack.py" <<-'END'
		import random, subprocess, sys
		ctl, root, path, file = sys.argv[1:]
		good, choose = open(file, "rb").read(), random.Random(1)
		def status(data):
		    open(file + ".bad", "wb").write(data)
		    return subprocess.run([ctl, "verify-proof", root, path, file + ".bad"],
		                          capture_output=True).returncode
		assert status(good) == 0
		assert status(b"") == 1 and status(good[:-1]) == 1 and status(good + b"\0") == 1
		for at in [*range(0, 100), *(choose.randrange(len(good) - 1) for _ in range(100))]:
		    byte = bytes([good[at] ^ 1 << choose.randrange(8)])
		    assert status(good[:at] + byte + good[at + 1:]) == 1, at
		    assert status(good[:at] + good[at + 1:]) == 1, at
		    if good[at] != good[at + 1]:
		        swapped = bytes([good[at + 1], good[at]])
		        assert status(good[:at] + swapped + good[at + 2:]) == 1, at
	END
	python3 "$T/attack.py" "$CTL" "$ROOT" users/u/17 "$T/proof"
}

@test "values of any length and kind are compared by their content" {
	mount_store
	head -c 90000 /dev/urandom | base64 -w0 >"$MNT/main/users/big"
	printf '#!/bin/sh\n' >"$MNT/main/users/program"
	chmod +x "$MNT/main/users/program"
	ln -s some/where "$MNT/main/users/link"
	: >"$MNT/main/users/empty"
	unmount
	ROOT=$(ctl "$STORE" root users)
	prove users/big
	is "$(verify users/big "$(ctl "$STORE" get users/big)")" present
	run verify users/big "$(ctl "$STORE" get users/big | tr a b)"
	is "$status" 1
	prove users/program
	is "$(verify users/program $'#!/bin/sh\n')" present
	prove users/link
	is "$(verify users/link some/where)" present
	prove users/empty
	is "$(verify users/empty '')" present
}

@test "keys are named as in the mount" {
	ctl "$STORE" put users/u%prolly-key one
	ctl "$STORE" put plain two
	ctl "$STORE" put 'users/a%00b' three
	ROOT=$(ctl "$STORE" root users)
	prove users/u%prolly-key
	is "$(verify users/u%prolly-key one)" present
	prove 'users/a%00b'
	is "$(verify 'users/a%00b' three)" present
	prove plain
	ROOT=$(ctl "$STORE" root .)
	is "$(verify plain two)" present
	run verify users/
	is "$status" 2
	run ctl "$STORE" prove users
	is "$status" 2
	run ctl "$STORE" prove nowhere/key
	is "$status" 1
}

@test "a revision is proved too, and in a mount paths are relative" {
	ctl "$STORE" -q commit -m one
	ctl "$STORE" put users/u/17 other
	mount_store
	cd "$MNT/main/users/u"
	"$CTL" prove 17 >"$T/proof"
	is "$("$CTL" verify-proof "$("$CTL" root users)" 17 "$T/proof" other)" present
	"$CTL" --at main prove 17 >"$T/proof"
	is "$("$CTL" verify-proof "$ROOT" 17 "$T/proof" 'value 17')" present
	is "$("$CTL" -C "$MNT/main" verify-proof "$ROOT" users/u/17 "$T/proof")" present
	cd "$T"
	is "$(verify users/u/17 'value 17')" present
}

@test "what is wrong is told apart from what does not hold" {
	prove users/u/17
	run "$CTL" verify-proof 123 users/u/17 "$T/proof"
	is "$status" 2
	run "$CTL" verify-proof "$ROOT" users/u/17 "$T/nothing"
	is "$status" 2
	is "$output" "prollyfs-ctl: $T/nothing: No such file or directory"
	run "$CTL" verify-proof "$ROOT" users/u/17
	is "$status" 2
	is "$("$CTL" --json verify-proof "$ROOT" users/u/17 "$T/proof" | json '[.result, .value, .keys]')" \
		'["present","value 17",5000]'
	ctl "$STORE" --json prove users/u/17 | jq -r .proof.base64 | base64 -d | cmp - "$T/proof"
}
