# SPDX-License-Identifier: Apache-2.0
# Merging from the shell: strategies, the attributes file, commands and whom they are run for, many
# conflicts, and other branches meanwhile. Conflicts as files are in conflicts.bats.

load common

# sides KEY BASE OURS THEIRS: main and side with KEY of namespace ns.
sides()
{
	ctl "$STORE" put "ns/$1" "$2"
	ctl "$STORE" -q commit -m "base of $1"
	ctl "$STORE" branch "side-$1"
	ctl "$STORE" -b "side-$1" put "ns/$1" "$4"
	GIT_COMMITTER_DATE='@2000000000 +0000' ctl "$STORE" -b "side-$1" -q commit -m "theirs of $1"
	ctl "$STORE" put "ns/$1" "$3"
	GIT_COMMITTER_DATE='@1900000000 +0000' ctl "$STORE" -q commit -m "ours of $1"
}

value()
{
	ctl "$STORE" get "ns/$1"
}

@test "strategies of a run" {
	"$CTL" init "$STORE"
	sides ours 1 2 3
	ctl "$STORE" -q merge --strategy ours side-ours
	is "$(value ours)" 2
	sides theirs 1 2 3
	ctl "$STORE" -q merge -s theirs side-theirs
	is "$(value theirs)" 3
	sides number 10 7 25
	ctl "$STORE" -q merge -s number side-number
	is "$(value number)" 22
	sides union "$(printf 'a\nb\nc')" "$(printf 'a\nb\nc\nd')" "$(printf 'b\nc\nd\ne')"
	ctl "$STORE" -q merge -s union side-union
	is "$(value union)" "b
c
d
e"
	sides json '{"a":1,"b":{"c":2,"d":3},"e":[1,2,3]}' '{"a":1,"b":{"c":20,"d":3},"e":[0,1,2,3]}' \
		'{"b":{"c":2,"d":30},"e":[1,2,3,4],"f":1.50}'
	ctl "$STORE" -q merge -s json side-json
	is "$(value json | json .)" '{"b":{"c":20,"d":30},"e":[0,1,2,3,4],"f":1.5}'
	[[ $(value json) == *1.50* ]]
	sides newest 1 2 3
	ctl "$STORE" -q merge -s newest side-newest
	is "$(value newest)" 3
	sides exec one two three
	ctl "$STORE" -q merge -s 'exec:cat "$1" "$2" "$3" >new; mv new "$2"' side-exec
	is "$(value exec)" onetwothree
	# A list, of which the first that can does it.
	sides list '{}' no three
	run -1 ctl "$STORE" -q merge -s json side-list
	ctl "$STORE" merge --abort
	ctl "$STORE" -q merge -s json,number,theirs side-list
	is "$(value list)" three
	run -2 ctl "$STORE" merge -s sideways side-list
	[[ $output == *sideways* ]]
}

@test "a driver that says no, and one that fails" {
	"$CTL" init "$STORE"
	sides key 1 2 3
	run -1 ctl "$STORE" merge -s 'exec:exit 1' side-key
	[[ $output == *"CONFLICT (both-modified): ns/key"* ]]
	ctl "$STORE" merge --abort
	run -2 ctl "$STORE" merge -s 'exec:no-such-command-at-all' side-key
	is "$(ctl "$STORE" conflicts)" ""
	is "$(value key)" 2
	run -1 ctl "$STORE" merge --dry-run -s 'exec:exit 3' side-key
}

@test "attributes say how keys are merged; their commands need the owner's trust" {
	"$CTL" init "$STORE"
	printf '%s\n' '# how keys are merged' '*.n merge=number' 'ns/l* merge=union' 'ns/left -merge' \
		'x.cmd merge=exec:cat>"$2"<"$3"' | ctl "$STORE" put .prollyattributes
	ctl "$STORE" -q commit -m attributes
	sides hits.n 5 6 7
	ctl "$STORE" -q merge side-hits.n
	is "$(value hits.n)" 8
	sides lines a "$(printf 'a\nb')" "$(printf 'a\nc')"
	ctl "$STORE" -q merge side-lines
	is "$(value lines)" "a
b
c"
	sides left a b c
	run -1 ctl "$STORE" -q merge -X theirs side-left
	ctl "$STORE" -q merge -s theirs side-left
	is "$(value left)" c
	sides other a b c
	ctl "$STORE" -q merge -X theirs side-other
	is "$(value other)" c
	sides x.cmd a b c
	run -1 ctl "$STORE" merge side-x.cmd
	[[ $output == *"does not name this store in prollyfs.trust"* ]]
	ctl "$STORE" merge --abort
	printf '[merge]\ntrust=true\n' >>"$STORE/config" # as whoever made the store could have
	git --git-dir="$STORE/git" config prollyfs.trust '*'
	printf '[prollyfs]\n\ttrust\n' >>"$HOME/.gitconfig" # without a value
	git config --global --add prollyfs.trust "$T/another"
	run -1 ctl "$STORE" merge side-x.cmd
	[[ $output == *"does not name this store in prollyfs.trust"* ]]
	ctl "$STORE" merge --abort
	git config --global --add prollyfs.trust "$STORE"
	ctl "$STORE" -q merge side-x.cmd
	is "$(value x.cmd)" c
	# A line that makes no sense is named before anything is done.
	printf '*.n merge=sideways\n' | ctl "$STORE" put .prollyattributes
	sides more 1 2 3
	run -2 ctl "$STORE" merge side-more
	[[ $output == *prollyattributes* && $output == *sideways* ]]
	run -2 ctl "$STORE" merge -X theirs side-more
	ctl "$STORE" -q merge -s theirs side-more # has no need of it
	is "$(value more)" 3
}

@test "ten thousand conflicts" {
	"$CTL" init "$STORE"
	seq -f 'k%06.0f' 20000 | sed 's/$/\tbase/' | ctl "$STORE" load ns
	ctl "$STORE" -q commit -m base
	ctl "$STORE" branch side
	seq -f 'k%06.0f' 1 2 20000 | sed 's/$/\ttheirs/' | ctl "$STORE" -b side load ns
	ctl "$STORE" -b side -q commit -m theirs
	seq -f 'k%06.0f' 1 2 20000 | sed 's/$/\tours/' | ctl "$STORE" load ns
	ctl "$STORE" -q commit -m ours
	is "$(ctl "$STORE" merge --dry-run side | grep -c ^CONFLICT)" 10000
	is "$(ctl "$STORE" conflicts)" ""
	is "$(ctl "$STORE" merge side | grep -c ^CONFLICT)" 10000
	is "$(ctl "$STORE" conflicts | wc -l)" 10000
	ctl "$STORE" resolve --ours ns/k000001
	ctl "$STORE" resolve --theirs --all
	is "$(ctl "$STORE" conflicts)" ""
	ctl "$STORE" -q merge --continue
	is "$(ctl "$STORE" get ns/k000001)" ours
	is "$(ctl "$STORE" get ns/k019999)" theirs
	is "$(ctl "$STORE" diff --name-status main side)" "M	ns/k000001"
}

@test "a merge that takes its time keeps nobody from writing" {
	mount_store
	mkdir "$MNT/main/ns"
	echo base >"$MNT/main/ns/key"
	on_main -q commit -m base
	mkdir "$MNT/side" "$MNT/other"
	echo theirs >"$MNT/side/ns/key"
	ctl "$MNT/side" -q commit -m theirs
	echo ours >"$MNT/main/ns/key"
	on_main -q commit -m ours
	mkfifo "$T/begun" "$T/go"
	on_main -q merge -s "exec:echo >'$T/begun'; read line <'$T/go'; echo merged >\"\$2\"" side &
	read -r _ <"$T/begun"
	echo elsewhere >"$MNT/other/ns/key"
	ctl "$MNT/other" -q commit -m "while another branch is merged"
	echo beside >"$MNT/main/ns/beside"
	is "$(cat "$MNT/main/ns/key" "$MNT/main/ns/beside")" "ours
beside"
	is "$(ctl "$MNT/other" log --oneline -n 1 | cut -d' ' -f2-)" "while another branch is merged"
	echo >"$T/go"
	wait $!
	is "$(cat "$MNT/main/ns/key" "$MNT/main/ns/beside")" "merged
beside"
	is "$(on_main diff --name-status)" "A	ns/beside"
}

@test "a file that a squashed merge changes is another one for who has it open" {
	mount_namespace
	echo base >"$NS/k"
	commit_all main base
	mkdir "$MNT/side"
	echo theirs >"$MNT/side/ns/k"
	commit_all side theirs
	python3 - "$NS/k" "$CTL" "$MNT/main" <<'P'
import os, subprocess, sys
path, ctl, branch = sys.argv[1:]
fd = os.open(path, os.O_RDWR)
subprocess.run([ctl, "-C", branch, "-q", "merge", "--squash", "side"], check=True)
os.pwrite(fd, b"mine", 0)
os.close(fd)
P
	file_is "$NS/k" theirs
}
