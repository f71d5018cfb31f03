# SPDX-License-Identifier: Apache-2.0
# Promise: prollyfs-ctl does the same wherever it is called, and the control file takes the same
# commands.
load common

COMMANDS='init put get delete ls load dump status commit log show diff branch merge root stats'

# A store with a little history, its commits always the same. Not mounted.
make_history()
{
	export GIT_AUTHOR_DATE='2026-01-02T03:04:05 +0100' GIT_COMMITTER_DATE='2026-01-02T03:04:05 +0100'
	ctl . init "$STORE"
	entries 1 20 | ctl "$STORE" load ns
	ctl "$STORE" put README 'a file of the unnamed namespace'
	ctl "$STORE" -q commit -m base
	ctl "$STORE" branch side
	ctl "$STORE" -b side put ns/k0000001 theirs
	ctl "$STORE" -b side -q commit -m theirs
	ctl "$STORE" put ns/k0000002 ours
	ctl "$STORE" -q commit -m ours
	ctl "$STORE" put ns/k0000003 staged
	ctl "$STORE" delete ns/k0000004
}

# ---- One command, three ways --------------------------------------------------------------------

# transcript PATH: what each reading command prints there, with its exit status.
transcript()
{
	local words code
	while read -ra words; do
		code=0
		"$CTL" -C "$1" "${words[@]}" >"$T/out" 2>"$T/err" </dev/null || code=$?
		printf '%s\n' "# ${words[*]} -> $code" "$(cat "$T/out")" "-- stderr" "$(cat "$T/err")"
	done <<'L'
get ns/k0000001
get ns/none
get none/none
--json ls
ls
ls ns
ls -r
--json ls ns
dump ns
dump --format jsonl ns
dump .
status
--json status
log
log --oneline --graph --all
--json log
log --key ns/k0000002
show
show side
--json show side
diff
diff main side
diff --stat main side
diff --name-status side
--json diff
diff --exit-code main main
diff --exit-code main side
branch
--json branch
merge --dry-run side
--json merge --dry-run side
root
root ns
root .
--json root ns
--json root
--at side get ns/k0000001
--at side root
--at side~1 ls ns
-b side get ns/k0000001
-b side --json status
--at nothing get ns/k0000001
-b nothing status
show nothing
frobnicate
get
get --frobnicate x
commit
log -n x
--version
L
}

@test "in a mount, on a mounted store by its path, on an unmounted one: the same output and status" {
	make_history
	transcript "$STORE" >"$T/unmounted"
	mount_store
	transcript "$STORE" >"$T/by-path"
	transcript "$MNT/main" >"$T/mounted"
	diff "$T/unmounted" "$T/by-path"
	diff "$T/unmounted" "$T/mounted"
	[ "$(wc -l <"$T/mounted")" -gt 300 ] || fail "$(wc -l <"$T/mounted") lines"
}

# changes_to PATH: commands that change the store at PATH; what they print.
changes_to()
{
	local run=("$CTL" -C "$1")

	echo fresh | "${run[@]}" put ns/new
	"${run[@]}" delete ns/k0000005 ns/none || echo "status $?"
	entries 30 40 | "${run[@]}" load more
	printf 'no tab\n' | "${run[@]}" load more || echo "status $?"
	"${run[@]}" commit -m one
	"${run[@]}" commit -m none || echo "status $?"
	"${run[@]}" branch next
	"${run[@]}" branch next || echo "status $?"
	"${run[@]}" branch -m next then
	"${run[@]}" branch -d then
	"${run[@]}" --json merge -m merged side
	"${run[@]}" merge side
	"${run[@]}" --json commit --allow-empty -m empty
	"${run[@]}" root
	"${run[@]}" log --oneline
}

@test "what changes a store: the same, whichever way; the histories are equal to the last bit" {
	make_history
	cp -r "$STORE" "$T/two"
	cp -r "$STORE" "$T/three"
	changes_to "$STORE" >"$T/unmounted" 2>&1
	mkdir "$T/mnt2" "$T/mnt3"
	mount_store "$T/two" "$T/mnt2"
	changes_to "$T/two" >"$T/by-path" 2>&1
	mount_store "$T/three" "$T/mnt3"
	changes_to "$T/mnt3/main" >"$T/mounted" 2>&1
	diff "$T/unmounted" "$T/by-path"
	diff "$T/unmounted" "$T/mounted"
	grep -q '"merged"' "$T/mounted"
	is "$(git --git-dir="$T/two/git" rev-parse main)" "$(store_git rev-parse main)"
	is "$(git --git-dir="$T/three/git" rev-parse main)" "$(store_git rev-parse main)"
}

@test "in a mount, where one stands says the branch, and what paths are relative to" {
	mount_store
	mkdir -p "$MNT/main/ns/dir"
	echo one >"$MNT/main/ns/dir/file"
	commit_all main
	mkdir "$MNT/side"
	echo two >"$MNT/side/ns/dir/file"
	cd "$MNT/main/ns/dir"
	is "$("$CTL" get file)" one
	is "$("$CTL" ls)" file
	is "$("$CTL" --json status | json .branch)" '"main"'
	"$CTL" put other value
	file_is other value
	cd "$MNT/side/ns"
	is "$("$CTL" get dir/file)" two
	is "$("$CTL" -b main get dir/file)" one
	is "$("$CTL" --json diff | json '[.path, .new]')" '["ns/dir/file","two\n"]'
	is "$("$CTL" diff --name-status -- dir | tr -s ' \t' ' ')" "M ns/dir/file"
	cd "$MNT"
	is "$("$CTL" get ns/dir/other)" value
	is "$("$CTL" --json status | json .branch)" '"main"'
	cd "$MNT/.prollyfs"
	is "$("$CTL" --json status | json .branch)" '"main"'
}

@test "neither in a mount nor on a store: exit 2, and it says so" {
	run "$CTL" status
	status_is 2
	output_has "$T"
	run ctl "$T/none" status
	status_is 2
	output_has "$T/none"
}

# ---- Each command -------------------------------------------------------------------------------

@test "--help: for the program and for each command, on standard output" {
	run --separate-stderr "$CTL" --help
	status_is 0
	is "$stderr" ""
	for command in $COMMANDS; do
		[[ $output =~ (^|$'\n')' '+$command($|[^a-z]) ]] || fail "no $command in: $output"
	done
	for command in $(sed -n '/^Commands:$/,/^$/ s/^  \([a-z-]*\) .*/\1/p' <<<"$output"); do
		run --separate-stderr "$CTL" "$command" --help
		status_is 0
		output_has "$command"
		is "$stderr" ""
	done
	run "$CTL" --version
	status_is 0
	is "$output" "prollyfs-ctl ${output##* }"
}

@test "errors: one line on standard error that begins with the program's name, exit 2" {
	ctl . init "$STORE"
	while read -r named words; do
		# shellcheck disable=SC2086
		run --separate-stderr ctl "$STORE" $words
		status_is 2
		is "$output" ""
		is "$(wc -l <<<"$stderr")" 1
		[[ $stderr == 'prollyfs-ctl: '*"$named"* ]] || fail "$words: $stderr"
	done <<'L'
frobnicate frobnicate
frobnicate status --frobnicate
frobnicate --frobnicate
nothing show nothing
nothing --at nothing ls
nothing -b nothing status
nothing merge nothing
nothing branch -d nothing
a..b branch a..b
many log -n many
excel load --format excel ns
put put
get get
merge merge
L
	run "$CTL"
	status_is 2
}

@test "options stand before or after the command; -- ends them" {
	ctl . init "$STORE"
	"$CTL" put -C "$STORE" ns/k v
	is "$("$CTL" -C "$STORE" get ns/k)" v
	is "$("$CTL" status --json -b main -C "$STORE" | json '.changes | length')" 1
	"$CTL" -C "$STORE" put -- -ns/-k -v
	is "$("$CTL" -C "$STORE" get -- -ns/-k)" -v
}

@test "init: a store with an initial commit; what exists is not touched" {
	ctl . init "$STORE"
	is "$(store_git rev-list --count main)" 1
	is "$(ctl "$STORE" --json branch | json .name)" '"main"'
	ctl "$STORE" put ns/k v
	run ctl . init "$STORE"
	status_is 2
	output_has "$STORE"
	is "$(ctl "$STORE" get ns/k)" v
	mkdir "$T/full"
	echo x >"$T/full/file"
	run ctl . init "$T/full"
	status_is 2
	output_has "$T/full"
	is "$(ls -A "$T/full")" file
	mkdir "$T/empty"
	ctl . init --branch trunk "$T/empty"
	is "$(ctl "$T/empty" --json branch | json '[.name, .current]')" '["trunk",true]'
	ctl . init "$T/new/deep" # as git does
	is "$(ctl "$T/new/deep" --json status | json .branch)" '"main"'
	run ctl . init "$T/empty/git/config/x"
	status_is 2
	output_has "$T/empty/git/config"
}

@test "put, get, delete" {
	ctl . init "$STORE"
	ctl "$STORE" put ns/k 'no newline'
	is "$(ctl "$STORE" get ns/k; echo .)" 'no newline.'
	random_bytes 3000000 7 >"$T/value"
	ctl "$STORE" put ns/large <"$T/value"
	ctl "$STORE" get ns/large | cmp - "$T/value"
	ctl "$STORE" put ns/empty ''
	is "$(ctl "$STORE" get ns/empty; echo $?)" 0
	ctl "$STORE" put ./top level
	is "$(ctl "$STORE" get ./top)" level
	run ctl "$STORE" get ns/none
	status_is 1
	output_has ns/none
	run ctl "$STORE" delete ns/none
	status_is 1
	output_has ns/none
	ctl "$STORE" delete ns/k ns/large
	run ctl "$STORE" get ns/k
	status_is 1
	is "$(ctl "$STORE" ls ns)" empty
}

@test "put and get through a mount: values larger than any frame or buffer" {
	mount_store
	random_bytes 20000000 8 >"$T/value"
	on_main put ns/large <"$T/value"
	on_main get ns/large | cmp - "$T/value"
	cmp "$MNT/main/ns/large" "$T/value"
	run on_main put ns/directory <"$T"
	status_is 2
	is "$output" "prollyfs-ctl: standard input: Is a directory"
	is "$(on_main ls ns)" large
}

@test "ls: names, all keys below, JSON" {
	ctl . init "$STORE"
	printf 'a\t1\nb/c\t22\nb/d/e\t333\n' | ctl "$STORE" load ns
	is "$(ctl "$STORE" ls -r ns)" "a
b/c
b/d/e"
	is "$(ctl "$STORE" --json ls -r ns | json '[.path, .key, .size]')" '["ns/a","a",1]
["ns/b/c","b/c",2]
["ns/b/d/e","b/d/e",3]'
	is "$(ctl "$STORE" ls -r ns/b)" "$(printf 'c\nd/e')"
	is "$(ctl "$STORE" ls ns | tr -d / | tr '\n' ' ')" "a b "
	is "$(ctl "$STORE" ls | tr -d /)" ns
	run ctl "$STORE" ls none
	status_is 1
}

@test "load and dump: every format gives back every byte" {
	ctl . init "$STORE"
	python3 - >"$T/in" <<'P'
import random, sys
r = random.Random(4)
seen = set()
while len(seen) < 500:
    seen.add(bytes(r.choice([9, 10, 13, 92, 47, 37, 65, 66, 200, 255]) for _ in range(r.randrange(1, 12))))
for key in sorted(seen):
    sys.stdout.buffer.write(key + b"\0" + r.randbytes(r.randrange(40)).replace(b"\0", b"0") + b"\0")
P
	ctl "$STORE" load --format nul a <"$T/in"
	ctl "$STORE" dump --format nul a | cmp - "$T/in"
	for format in tsv jsonl nul; do
		ctl "$STORE" dump --format $format a >"$T/$format"
		ctl "$STORE" load --format $format "b$format" <"$T/$format"
		is "$(ctl "$STORE" root "b$format")" "$(ctl "$STORE" root a)"
		ctl "$STORE" dump --format $format "b$format" | cmp - "$T/$format"
	done
	is "$(ctl "$STORE" dump a | wc -l)" 500
	is "$(ctl "$STORE" dump --format jsonl a | jq -s length)" 500
}

@test "load: COPY's escapes, NUL included" {
	ctl . init "$STORE"
	printf 'k\\ty\tv\\n\\\\\\0\n' | ctl "$STORE" load ns
	is "$(ctl "$STORE" dump ns)" 'k\ty	v\n\\\0'
	is "$(ctl "$STORE" dump --format jsonl ns | json .)" '{"key":"k\ty","value":{"base64":"dgpcAA=="}}'
	run ctl "$STORE" dump --format nul ns
	status_is 2
	output_has 'k'
}

@test "load: all or nothing; a bad entry is named by its line or number" {
	ctl . init "$STORE"
	ctl "$STORE" put ns/old value
	run bash -c "printf 'a\t1\nb\t2\nno tab here\nd\t4\n' | '$CTL' -C '$STORE' load ns"
	status_is 2
	[[ $output =~ (line|:)\ *3 ]] || fail "$output"
	is "$(ctl "$STORE" ls ns)" old
	run bash -c "printf 'a\t1\nb\t\\\\x\n' | '$CTL' -C '$STORE' load ns"
	status_is 2
	[[ $output =~ (line|:)\ *2 ]] || fail "$output"
	run bash -c "printf '{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":1}\n' | '$CTL' -C '$STORE' load --format jsonl ns"
	status_is 2
	[[ $output =~ (line|:)\ *2 ]] || fail "$output"
	run bash -c "printf 'a\0001\000b' | '$CTL' -C '$STORE' load --format nul ns"
	status_is 2
	[[ $output =~ 2 ]] || fail "$output"
	is "$(ctl "$STORE" ls ns)" old
	ctl "$STORE" load ns </dev/null
	is "$(ctl "$STORE" ls ns)" old
}

@test "load: through a mount, seen by every process at once" {
	mount_store
	mkdir "$MNT/main/ns"
	is "$(ls "$MNT/main/ns")" ""
	missing "$MNT/main/ns/k0000500"
	entries 1 1000 | on_main load ns
	is "$(ls "$MNT/main/ns" | wc -l)" 1000
	file_is "$MNT/main/ns/k0000500" "value 500"
	on_main dump ns | cmp - <(entries 1 1000)
}

@test "JSON: strings where they are text, base64 where not, size and hash where large" {
	ctl . init "$STORE"
	printf 'text\tgr\303\274n\\n\nbyte\377\tx\nctrl\001\t\002\n' | ctl "$STORE" load ns
	head -c 65537 /dev/zero | tr '\0' a | ctl "$STORE" put ns/large
	head -c 65536 /dev/zero | tr '\0' a | ctl "$STORE" put ns/limit
	is "$(ctl "$STORE" --json diff -- ns | json '[.key, (.new | if type == "string" then .[0:6] else keys end)]')" \
		'[{"base64":"Ynl0Zf8="},"x"]
[{"base64":"Y3RybAE="},["base64"]]
["large",["hash","size"]]
["limit","aaaaaa"]
["text","grün\n"]'
	is "$(ctl "$STORE" --json diff -- ns/large | json .new.size)" 65537
	[[ $(ctl "$STORE" --json diff -- ns/large | jq -r .new.hash) =~ ^[0-9a-f]{64}$ ]]
}

@test "JSON: the members that are promised" {
	make_history
	local json=(ctl "$STORE" --json)
	is "$("${json[@]}" status | json keys)" '["branch","changes","head"]'
	is "$("${json[@]}" status | json '.changes[0] | keys')" '["key","namespace","operation","path"]'
	is "$("${json[@]}" status | json '[.branch, .head]')" "[\"main\",\"$(store_git rev-parse main)\"]"
	is "$("${json[@]}" log -n 1 | json keys)" \
		'["author","commit","committed","date","message","parents"]'
	is "$("${json[@]}" log -n 1 | json '[.author, .date]')" \
		'[{"name":"A U Thor","email":"author@example.org"},"2026-01-02T03:04:05+01:00"]'
	is "$("${json[@]}" diff | head -1 | json keys)" '["key","namespace","new","old","operation","path"]'
	is "$("${json[@]}" branch | head -1 | json keys)" '["commit","current","name"]'
	is "$("${json[@]}" ls ns | head -1 | json keys)" '["key","path","size"]'
	is "$("${json[@]}" root ns | json keys)" '["bytes","keys","namespace","root"]'
	is "$("${json[@]}" root ns | json .root)" "\"$(ctl "$STORE" root ns)\""
	is "$("${json[@]}" stats | json keys)" '["backend","bytes","cache","gc","namespaces","nodes","store"]'
	is "$("${json[@]}" stats | json '.cache | keys')" \
		'["bytes","capacity","evictions","hit_rate","hits","misses"]'
	is "$("${json[@]}" stats | json '.gc | keys')" \
		'["automatic","collections","limit","pack_limit","packs","written"]'
	is "$("${json[@]}" stats | json '[.namespaces[] | [.name, .keys]]')" '[["",1],["ns",19]]'
	is "$("${json[@]}" stats | json '.namespaces[0] | keys')" '["bytes","height","keys","name","root"]'
	is "$("${json[@]}" commit -m x | json 'keys')" '["branch","changes","commit"]'
	is "$("${json[@]}" merge -m x side | json 'keys')" '["commit","conflicts","result"]'
	is "$("${json[@]}" stats | json .backend)" '"rocksdb"'
}

@test "--work: what a command cost, on standard error" {
	ctl . init "$STORE"
	entries 1 20000 | ctl "$STORE" load ns
	run --separate-stderr ctl "$STORE" --work -q commit -m base
	is "$(json keys <<<"$stderr")" \
		'["bytes_read","bytes_written","chunks_written","nodes_hashed","nodes_read","nodes_written"]'
	[ "$(json .nodes_written <<<"$stderr")" -gt 50 ]
	run --separate-stderr ctl "$STORE" --work get ns/k0010000
	is "$output" "value 10000"
	[ "$(json .nodes_read <<<"$stderr")" -le 8 ]
	is "$(json .nodes_written <<<"$stderr")" 0
	ctl "$STORE" put ns/k0010000 other
	run --separate-stderr ctl "$STORE" --work -q commit -m one
	[ "$(json .bytes_written <<<"$stderr")" -le 65536 ]
	run --separate-stderr ctl "$STORE" --work --json diff main~1 main
	is "$(json .key <<<"$output")" '"k0010000"'
	[ "$(json .nodes_read <<<"$stderr")" -le 20 ]
}

@test "-q: no messages" {
	ctl . init "$STORE"
	ctl "$STORE" put ns/k v
	is "$(ctl "$STORE" -q commit -m x 2>&1)" ""
	is "$(ctl "$STORE" -q branch b 2>&1)" ""
	is "$(ctl "$STORE" -q merge b 2>&1)" ""
}

@test "output that nobody reads ends the command quietly" {
	ctl . init "$STORE"
	entries 1 50000 | ctl "$STORE" load ns
	is "$(ctl "$STORE" dump ns 2>&1 | head -1)" "k0000001	value 1"
	mount_store
	is "$(on_main dump ns 2>&1 | head -1)" "k0000001	value 1"
	is "$(on_main get ns/k0000002)" "value 2"
}

# ---- The control file ---------------------------------------------------------------------------

@test "control file: a line written is a command carried out, its output is read back" {
	mount_store
	mkdir "$MNT/main/ns"
	echo x >"$MNT/main/ns/k"
	echo 'commit -b main -m "fix typo"' >"$MNT/.prollyfs/ctl"
	is "$(store_git log -1 --format=%s main)" "fix typo"
	exec 4<>"$MNT/.prollyfs/ctl"
	echo 'branch' >&4
	is "$(cat <&4)" "$(on_main branch)"
	echo 'get ns/k' >&4
	is "$(cat <&4)" x
	is "$(cat <&4)" ""
	exec 4>&-
	is "$(stat -c %a "$MNT/.prollyfs/ctl")" 600
}

@test "control file: lines split over writes, several in one, quoting as in a shell" {
	mount_store
	python3 - "$MNT/.prollyfs/ctl" <<'P'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
for part in (b"put ns/a ", b"'one two'", b"\n"):
    assert os.write(fd, part) == len(part)
assert os.write(fd, b"put ns/b \"x 'y'\" \nput ns/c a\\ b\nput 'ns/d e' \"\"\n") > 0
assert os.write(fd, b"get ns/a\nget ns/b\nget ns/c\n\nget 'ns/d e'\n") > 0
assert os.pread(fd, 1000, 12345) == b"one twox 'y'a b", "offsets are ignored"
assert os.read(fd, 100) == b""
P
	is "$(on_main ls ns)" "a
b
c
d e"
}

@test "control file: a command that failed fails the write with an errno that fits, until it is closed" {
	mount_store
	python3 - "$MNT/.prollyfs/ctl" <<'P'
import errno, os, sys
def fails(code, line, keep=None):
    fd = os.open(sys.argv[1], os.O_RDWR)
    try:
        os.write(fd, line)
        raise AssertionError(line)
    except OSError as error:
        assert error.errno == code, (line, errno.errorcode[error.errno])
    try:
        os.write(fd, b"put ns/after failure\n")
        raise AssertionError("no latch")
    except OSError as error:
        assert error.errno == code
    os.close(fd)
fails(errno.EINVAL, b"frobnicate\n")
fails(errno.EINVAL, b"put 'unbalanced\n")
fails(errno.ENOENT, b"show nothing\n")
fails(errno.ENOENT, b"-b nothing status\n")
fails(errno.EEXIST, b"branch main\n")
fd = os.open(sys.argv[1], os.O_RDWR)
assert os.write(fd, b"get ns/none\n") == 12, "exit status 1 fails no write"
assert os.write(fd, b"commit -m nothing\n") > 0
P
	run on_main get ns/after
	status_is 1
}

@test "control file: a line that never ends is refused, and nothing else suffers" {
	mount_store
	mkdir "$MNT/main/ns"
	python3 - "$MNT/.prollyfs/ctl" <<'P'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
try:
    for n in range(4096):
        os.write(fd, b"x" * 65536)
    raise AssertionError("256 MiB of a line were taken")
except OSError:
    pass
os.close(fd)
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, b"put ns/half")
os.close(fd)
P
	is "$(ls "$MNT/main/ns")" ""
	on_main put ns/k v
	file_is "$MNT/main/ns/k" v
}

@test "a branch's control file: that branch, and no other" {
	mount_store
	mkdir "$MNT/main/ns"
	echo x >"$MNT/main/ns/k"
	commit_all main
	mkdir "$MNT/side"
	echo y >"$MNT/side/ns/k"
	echo 'commit -m "on side"' >"$MNT/side/.prollyfs/ctl"
	is "$(store_git log -1 --format=%s side)" "on side"
	python3 - "$MNT/side/.prollyfs/ctl" <<'P'
import errno, os, sys
for line in b"-b main put ns/k z\n", b"branch new\n", b"branch -D main\n", b"-b main commit -m x\n", \
        b"-b main merge side\n":
    fd = os.open(sys.argv[1], os.O_RDWR)
    try:
        os.write(fd, line)
        raise AssertionError(line)
    except OSError as error:
        assert error.errno == errno.EPERM, (line, errno.errorcode[error.errno])
    os.close(fd)
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, b"--at main get ns/k\n")
assert os.read(fd, 100) == b"x\n"
os.write(fd, b"merge main\nlog main\nput ns/new v\n")
P
	file_is "$MNT/side/ns/new" v
	is "$(ls "$MNT")" "main
side"
	file_is "$MNT/main/ns/k" x
	is "$(cat "$MNT/side/.prollyfs/status")" "$(cat "$MNT/.prollyfs/status/side")"
	is "$(cat "$MNT/side/.prollyfs/status")" "$(ctl "$MNT/side" status)"
}

@test "stats and status files say what the commands say" {
	mount_store
	mkdir "$MNT/main/ns"
	echo x >"$MNT/main/ns/k"
	is "$(cat "$MNT/.prollyfs/status/main")" "$(on_main status)"
	grep -qi cache "$MNT/.prollyfs/stats"
	grep -q "$STORE" "$MNT/.prollyfs/stats"
	is "$(grep -c '^namespace' "$MNT/.prollyfs/stats")" 0
	on_main stats | grep -q '^namespace .*ns: 1 key,'
	commit_all main
	echo y >"$MNT/main/ns/l"
	grep -q '^namespace .*ns: 1 key,' "$MNT/.prollyfs/stats"
	on_main stats | grep -q '^namespace .*ns: 2 keys,'
	is "$(cat "$MNT/.prollyfs/status/main")" "$(on_main status)"
}

@test "frames: commands, input and output of any bytes, exit statuses, in order" {
	mount_store
	python3 - "$BATS_TEST_DIRNAME" "$MNT/.prollyfs/ctl" <<'P'
import os, random, sys
sys.path.insert(0, sys.argv[1])
from frames import COMMAND, INPUT, INPUT_END, Session
s = Session(sys.argv[2])
data = random.Random(5).randbytes(3000000)
assert s.run("put ns/large", data) == (0, b"", b"")
assert s.run("get ns/large") == (0, data, b"")
status, out, err = s.run("get ns/none")
assert status == 1 and out == b"" and err.startswith(b"prollyfs-ctl: ") and b"ns/none" in err
status, out, err = s.run("frobnicate")
assert status == 2 and b"frobnicate" in err and err.count(b"\n") == 1
assert s.run("get ns/none")[0] == 1, "a failure does not latch here"
s.send(200, b"of a type that is not known")
for n in range(50):
    s.send(COMMAND, b"put ns/k%d v%d" % (n, n))
s.send(COMMAND, b"load more")
s.send(INPUT, b"a\t1\nb")
s.send(INPUT, b"\t2\n")
s.send(INPUT_END)
s.send(COMMAND, b"dump more")
for n in range(50):
    assert s.result()[0] == 0
assert s.result()[0] == 0
assert s.result() == (0, b"a\t1\nb\t2\n", b"")
status, out, err = s.run("--work get ns/k7")
assert (status, out) == (0, b"v7") and b"nodes_read" in err
s.close()
P
	is "$(on_main ls ns | wc -l)" 51
	is "$(python3 "$BATS_TEST_DIRNAME/frames.py" "$MNT/.prollyfs/ctl" 'get ns/k9')" v9
}

@test "frames: a session's long command does not hold up other sessions; closing ends it" {
	mount_store
	entries 1 30000 | on_main load ns
	python3 - "$BATS_TEST_DIRNAME" "$MNT/.prollyfs/ctl" <<'P'
import sys
sys.path.insert(0, sys.argv[1])
from frames import COMMAND, Session
waiting = Session(sys.argv[2])
waiting.send(COMMAND, b"load slow")           # waits for its input
reading = Session(sys.argv[2])
reading.send(COMMAND, b"dump ns")             # nobody reads its output yet
other = Session(sys.argv[2])
for n in range(20):
    assert other.run("get ns/k0000007")[:2] == (0, b"value 7")
waiting.close()
assert len(reading.result()[1].splitlines()) == 30000
assert other.run("ls slow")[0] == 1
P
}
