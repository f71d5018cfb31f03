# SPDX-License-Identifier: Apache-2.0
# Merges that wait: what they show below .prollyfs/conflicts, to plain tools; resolving; crashes.

load common

# main and side have both changed, added and deleted keys of namespace ns. In conflict are: both
# (modified), added (by both), ours-gone and theirs-gone (deleted by one, changed by the other),
# kind (a file became a link on one side, was changed on the other) and deep/er.
make_sides()
{
	mount_store
	M=$MNT/main S=$MNT/side
	mkdir -p "$M/ns/deep"
	printf '%s\n' one two three four five >"$M/ns/both"
	echo base >"$M/ns/ours-gone"
	echo base >"$M/ns/theirs-gone"
	echo base >"$M/ns/kind"
	echo base >"$M/ns/deep/er"
	echo same >"$M/ns/untouched"
	ctl "$M" -q commit -m base
	mkdir "$S"
	sed -i 's/one/ONE/; s/five/cinq/' "$M/ns/both"
	echo ours >"$M/ns/added"
	rm "$M/ns/ours-gone"
	echo ours >"$M/ns/theirs-gone"
	ln -sfn elsewhere "$M/ns/kind"
	echo ours >"$M/ns/deep/er"
	echo ours >"$M/ns/ours-only"
	ctl "$M" -q commit -m ours
	sed -i 's/five/FIVE/' "$S/ns/both"
	echo theirs >"$S/ns/added"
	echo theirs >"$S/ns/ours-gone"
	rm "$S/ns/theirs-gone"
	echo theirs >"$S/ns/kind"
	echo theirs >"$S/ns/deep/er"
	echo theirs >"$S/ns/theirs-only"
	ctl "$S" -q commit -m theirs
	HEAD=$(git_store rev-parse main)
}

git_store()
{
	git --git-dir="$STORE/git" "$@"
}

# The merge stops, and nothing of it is seen in the branch.
stop_merge()
{
	run -1 ctl "$M" merge side
	is "$(git_store rev-parse main)" "$HEAD"
	is "$(ctl "$M" diff --name-status)" ""
	[ ! -e "$M/ns/theirs-only" ]
	C=$MNT/.prollyfs/conflicts/main
}

@test "conflicts are files, and diff -r compares the sides" {
	make_sides
	[ "$(ls "$MNT/.prollyfs/conflicts")" = "" ]
	stop_merge
	is "$(ls "$MNT/.prollyfs/conflicts")" main
	is "$(ls "$C")" "base
ours
theirs"
	is "$(cd "$C/base" && find . | sort)" ".
./ns
./ns/both
./ns/deep
./ns/deep/er
./ns/kind
./ns/ours-gone
./ns/theirs-gone"
	is "$(cd "$C/theirs" && find . -type f | sort)" "./ns/added
./ns/both
./ns/deep/er
./ns/kind
./ns/ours-gone"
	is "$(readlink "$C/ours/ns/kind")" elsewhere
	run diff -r --no-dereference "$C/base" "$C/ours"
	is "$status" 1
	[[ $output == *"Only in $C/ours/ns: added"* ]]
	[[ $output == *"Only in $C/base/ns: ours-gone"* ]]
	[[ $output == *"< one"* ]]
	run diff3 "$C/ours/ns/both" "$C/base/ns/both" "$C/theirs/ns/both"
	[[ $output == *"cinq"* && $output == *"FIVE"* ]]
	# The same in the branch's own directory.
	diff -r --no-dereference "$C/ours" "$M/.prollyfs/conflicts/ours"
	is "$(ls "$S/.prollyfs/conflicts")" ""
	[ ! -e "$MNT/.prollyfs/conflicts/side" ]
	run ! sh -c "echo x >'$C/ours/ns/both'"
	is "$(ctl "$M" conflicts)" "both-added       ns/added
both-modified    ns/both
both-modified    ns/deep/er
type             ns/kind
deleted-by-us    ns/ours-gone
deleted-by-them  ns/theirs-gone"
}

@test "resolve by editing, by sides and all the rest; then continue" {
	make_sides
	stop_merge
	run -1 ctl "$M" -q merge --continue
	diff3 -m "$C/ours/ns/both" "$C/base/ns/both" "$C/theirs/ns/both" | sed '/^[<|=>]/d; /^five$/d; /^cinq$/d' >"$M/ns/both" || true
	ctl "$M" resolve ns/both
	[ ! -e "$C/base/ns/both" ]
	[ ! -e "$C/theirs/ns/both" ]
	ctl "$M/ns/deep" resolve --theirs .
	[ ! -e "$C/ours/ns/deep" ]
	rm "$M/ns/theirs-gone"
	ctl "$M" resolve ns/theirs-gone
	ctl "$M" resolve --base ns/ours-gone
	run -1 ctl "$M" resolve ns/untouched
	[[ $output == *"ns/untouched: not in conflict"* ]]
	run -1 ctl "$M" merge --continue
	[[ $output == *"ns/added"* && $output == *"ns/kind"* && $output != *"ns/both"* ]]
	ctl "$M" resolve --ours --all
	is "$(ctl "$M" conflicts)" ""
	is "$(ls "$C/base")" ""
	ctl "$M" merge --continue -m "Merge by hand"
	is "$(ls "$MNT/.prollyfs/conflicts")" ""
	is "$(git_store log -1 --format='%s, %p')" \
		"Merge by hand, $(git_store rev-parse --short "$HEAD") $(git_store rev-parse --short side)"
	is "$(cat "$M/ns/both")" "ONE
two
three
four
FIVE"
	is "$(cat "$M/ns/added")" ours
	is "$(cat "$M/ns/deep/er")" theirs
	is "$(cat "$M/ns/ours-gone")" base
	[ ! -e "$M/ns/theirs-gone" ]
	is "$(readlink "$M/ns/kind")" elsewhere
	is "$(cat "$M/ns/theirs-only" "$M/ns/ours-only")" "theirs
ours"
	is "$(ctl "$M" diff --name-status)" ""
	is "$(ctl "$M" merge side)" "Already up to date."
	is "$(ctl "$S" merge main | tail -1)" "Fast-forward"
}

@test "unresolved conflicts and resolutions survive kill -9 and a new mount" {
	make_sides
	stop_merge
	echo settled >"$M/ns/added"
	ctl "$M" resolve ns/added
	ctl "$M" resolve --theirs ns/kind
	before=$(cd "$C" && find . -type f | sort | xargs cat; find "$C" -printf '%P %y\n' | sort)
	kill_daemon
	mount_store
	after=$(cd "$C" && find . -type f | sort | xargs cat; find "$C" -printf '%P %y\n' | sort)
	is "$after" "$before"
	run -1 ctl "$M" merge --continue
	ctl "$M" resolve --ours --all
	kill_daemon
	mount_store
	is "$(ctl "$M" conflicts)" ""
	ctl "$M" -q merge --continue
	is "$(cat "$M/ns/added")" settled
	is "$(cat "$M/ns/kind")" theirs
	is "$(cat "$M/ns/theirs-only")" theirs
	git_store fsck --strict --no-dangling
}

@test "abort forgets the merge, and git gc keeps what an unfinished one needs" {
	make_sides
	stop_merge
	local waiting
	waiting=$(ctl "$M" conflicts)
	run -2 ctl "$M" merge --abort --dry-run
	is "$(ctl "$M" conflicts)" "$waiting"
	run -2 ctl "$M" merge --dry-run --abort
	is "$(ctl "$M" conflicts)" "$waiting"
	ctl "$M" merge --abort
	is "$(ls "$MNT/.prollyfs/conflicts")" ""
	run -2 ctl "$M" merge --abort
	stop_merge
	ctl "$MNT" branch -D side
	git_store reflog expire --expire=all --all
	git_store gc -q --prune=now
	is "$(cat "$C/theirs/ns/added")" theirs
	ctl "$M" resolve --all --theirs
	ctl "$M" -q merge --continue
	is "$(cat "$M/ns/added" "$M/ns/deep/er")" "theirs
theirs"
}

@test "a branch with a slash, and writes while its merge waits" {
	make_sides
	ctl "$M" branch feature/x
	run -1 ctl "$MNT/feature/x" merge side
	is "$(ls "$MNT/.prollyfs/conflicts")" feature
	is "$(ls "$MNT/.prollyfs/conflicts/feature")" x
	is "$(cat "$MNT/.prollyfs/conflicts/feature/x/ours/ns/added")" ours
	echo later >"$MNT/feature/x/ns/later"
	ctl "$MNT/feature/x" resolve --theirs ns/added
	ctl "$MNT/feature/x" resolve --ours --all
	# What the branch does to a resolved key afterwards is not lost: it is in conflict again.
	echo again >"$MNT/feature/x/ns/added"
	ctl "$MNT/feature/x" -q commit -m again
	run -1 ctl "$MNT/feature/x" merge --continue
	[[ $output == *"both-added"*"ns/added"* ]]
	ctl "$MNT/feature/x" resolve ns/added
	ctl "$MNT/feature/x" -q merge --continue
	is "$(cat "$MNT/feature/x/ns/added" "$MNT/feature/x/ns/later" "$MNT/feature/x/ns/theirs-only")" "again
later
theirs"
}

@test "squash and no-commit stage; open files, kill -9, and abort takes it back" {
	make_sides
	ctl "$M" branch clean "$HEAD~1"
	B=$MNT/clean
	echo mine >"$B/ns/mine"
	exec 7<"$B/ns/both"
	ctl "$B" merge --no-commit --no-ff side
	is "$(head -1 <&7)" one
	exec 7<&-
	is "$(cat "$B/ns/theirs-only")" theirs
	[ ! -e "$B/ns/theirs-gone" ]
	is "$(git_store rev-parse clean)" "$(git_store rev-parse "$HEAD~1")"
	kill_daemon
	mount_store
	is "$(cat "$B/ns/theirs-only" "$B/ns/mine")" "theirs
mine"
	is "$(ls "$B/ns")" "$(ls "$S/ns" | sed "s/^kind$/&\nmine/")"
	ctl "$B" merge --abort
	is "$(ctl "$B" diff --name-status)" "A	ns/mine"
	[ ! -e "$B/ns/theirs-only" ]
	is "$(cat "$B/ns/theirs-gone")" base
	# Directories come and go with what is staged.
	mkdir "$S/made" "$S/made/deep"
	echo x >"$S/made/deep/key"
	rm -r "$S/ns/deep"
	ctl "$S" -q commit -m directories
	ctl "$B" merge --squash side
	is "$(cat "$B/made/deep/key")" x
	[ ! -e "$B/ns/deep" ]
	echo y >"$B/made/deep/other"
	rm "$B/made/deep/key"
	is "$(ls "$B/made/deep")" other
	rm "$B/made/deep/other"
	rmdir "$B/made/deep" "$B/made"
	ctl "$B" -q commit -m squashed
	is "$(git_store log -1 --format=%p clean)" "$(git_store rev-parse --short "$HEAD~1")"
	is "$(diff -r "$B" "$S" | sort)" "Only in $B/ns: mine
Only in $S: made"
	# A reset forgets a merge.
	stop_merge
	ctl "$M" reset --hard
	is "$(ls "$MNT/.prollyfs/conflicts")" ""
}
