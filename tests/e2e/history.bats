# SPDX-License-Identifier: Apache-2.0
# Promise: history has names and a past: tags, reflogs, messages as people give them.
load common

setup()
{
	common_setup
	mount_namespace
}

# commit_value KEY VALUE [MESSAGE]: one key, one commit on main.
commit_value()
{
	echo "$2" >"$NS/$1"
	commit_all main "${3:-$1 = $2}"
}

# errno_of_command CONTROL-FILE COMMAND: that of the write.
errno_of_command()
{
	errno_of "os.write(os.open('$MNT/$1', os.O_WRONLY), b'$2\n')"
}

# on_terminal COMMAND: what it prints there, with line ends as elsewhere.
on_terminal()
{
	script -qec "$1" /dev/null </dev/null | tr -d '\r'
}

# ---- Tags ---------------------------------------------------------------------------------------

@test "tag: light and annotated ones, as git makes them" {
	commit_value a 1
	commit_value a 2
	on_main tag v1 main~1
	on_main tag -m "Release two" -m "With more." v2
	on_main tag -a -F - v3 <<<"from a file"
	is "$(on_main tag)" "v1
v2
v3"
	is "$(on_main --json tag | json '[.name, .commit, .message]')" \
		"[\"v1\",\"$(head_of main~1)\",null]
[\"v2\",\"$(head_of main)\",\"Release two\\n\\nWith more.\"]
[\"v3\",\"$(head_of main)\",\"from a file\"]"
	is "$(store_git cat-file -t v1)" commit
	is "$(store_git cat-file -t v2)" tag
	is "$(store_git for-each-ref --format='%(taggername)|%(subject)' refs/tags/v2)" "C O Mitter|Release two"
	is "$(on_main tag -n | tr -s ' ')" "v1 a = 1
v2 Release two
v3 from a file"
	is "$(on_main tag -l 'v[12]' 'v?' | wc -l)" 3
	# as git shows it, but for the changes
	is "$(on_main show v2 | sed '/^commit/,$d')" "$(store_git show --no-color v2 | sed '/^commit/,$d')"
	is "$(on_main show v1 | head -1)" "commit $(head_of main~1)"
	file_is "$MNT/.prollyfs/at/v1/ns/a" 1
	file_is "$MNT/.prollyfs/at/v2/ns/a" 2
	store_git fsck --strict
	remount
	is "$(on_main tag | tr '\n' ' ')" "v1 v2 v3 "
}

@test "tag: names that clash or cannot be, -f and -d" {
	commit_value a 1
	on_main tag v1 main~1
	run on_main tag v1
	status_is 2
	output_has "'v1' already exists"
	run on_main tag v1/x
	status_is 2
	run on_main tag 'bad..name'
	status_is 2
	output_has "bad..name"
	run on_main tag v2 nothing
	status_is 2
	output_has nothing
	is "$(head_of v1)" "$(head_of main~1)"
	on_main tag -f v1
	is "$(head_of v1)" "$(head_of main)"
	is "$(on_main tag -d v1)" "Deleted tag 'v1' (was $(head_of main | cut -c1-10))"
	missing "$MNT/.prollyfs/at/v1"
	run on_main tag -d v1
	status_is 2
	output_has v1
	on_main tag v1/x
	file_is "$MNT/.prollyfs/at/v1/x/ns/a" 1
	run on_main tag -a v4
	status_is 2
	run on_main tag -m '' v4
	status_is 2
	is "$(on_main tag)" v1/x
}

@test "tag: what git tags is there, also while it is packed" {
	commit_value a 1
	missing "$MNT/.prollyfs/at/theirs"
	store_git tag theirs main
	GIT_COMMITTER_NAME=Else store_git tag -a -m "by git" annotated main~1
	store_git tag blob "$(store_git rev-parse main:ns-ns)"
	file_is "$MNT/.prollyfs/at/theirs/ns/a" 1
	store_git pack-refs --all
	is "$(on_main tag | tr '\n' ' ')" "annotated blob theirs "
	is "$(on_main --json tag | json '[.name, .message]' | tr '\n' ' ')" \
		'["annotated","by git"] ["theirs",null] '
	on_main tag -d theirs
	run store_git rev-parse -q --verify refs/tags/theirs
	isnt "$status" 0
	run on_main show blob
	status_is 2
	output_has "not a commit"
}

@test "tag: not through a branch's own control file" {
	commit_value a 1
	is "$(errno_of_command main/.prollyfs/ctl 'tag v1')" EPERM
	exec 4<>"$MNT/main/.prollyfs/ctl"
	echo "tag" >&4
	exec 4>&-
	echo 'tag -m "two words" v1' >"$MNT/.prollyfs/ctl"
	is "$(on_main tag -n | tr -s ' ')" "v1 two words"
	is "$(errno_of_command main/.prollyfs/ctl 'tag -d v1')" EPERM
}

# ---- Reflogs ------------------------------------------------------------------------------------

@test "reflog: every move of a branch, newest first" {
	commit_value a 1
	commit_value a 2
	is "$(on_main reflog | cut -d' ' -f2-)" "main@{0}: commit: a = 2
main@{1}: commit: a = 1
main@{2}: commit (initial): Initial commit"
	is "$(on_main --json reflog -n 1 | json '[.commit, .previous, .message]')" \
		"[\"$(head_of main)\",\"$(head_of main~1)\",\"commit: a = 2\"]"
	is "$(on_main --json reflog | tail -1 | json .previous)" null
	[[ $(on_main --json reflog -n 1 | jq -r .date) =~ ^20[0-9-]+T[0-9:]+\+00:00$ ]]
	mkdir "$MNT/other"
	is "$(on_main reflog show other | cut -d' ' -f2-)" "other@{0}: branch: Created from $(head_of main)"
	store_git update-ref -m "by git" refs/heads/other main~1
	is "$(on_main reflog other | head -1 | cut -d' ' -f2-)" "other@{0}: by git"
	run on_main reflog nothing
	status_is 2
	output_has nothing
}

# last_mover BRANCH: who and when, by the last line of its reflog.
last_mover()
{
	tail -n 1 "$STORE/git/logs/refs/heads/$1" | sed 's/^[0-9a-f]* [0-9a-f]* //; s/\t.*//'
}

@test "reflog: it names who had a branch moved, as git does" {
	local zoe="Zoe <zoe@there> 1772600767 +0200" n
	for n in 1 2 3; do
		echo "$n" >"$MNT/main/key"
		commit_all main "$n"
	done
	export GIT_COMMITTER_NAME=Zoe GIT_COMMITTER_EMAIL=zoe@there GIT_COMMITTER_DATE='1772600767 +0200'
	on_main reset --hard main~1
	is "$(last_mover main)" "$zoe"
	on_main branch side main~1
	is "$(last_mover side)" "$zoe"
	ctl "$MNT/side" merge main
	is "$(last_mover side)" "$zoe"
	is "$(last_mover main)" "$zoe"
	# without a mount, and without a name that git would take
	unmount
	GIT_COMMITTER_NAME='' ctl "$STORE" branch nobody main
	[[ $(last_mover nobody) != Zoe* ]]
	ctl "$STORE" branch -m nobody somebody
	is "$(last_mover somebody)" "$zoe"
}

@test "keys-at: the keys of a revision, by path" {
	mkdir "$MNT/main/other" "$NS/empty"
	echo x >"$MNT/main/other/x"
	echo top >"$MNT/main/100%"
	mkdir "$NS/a"
	commit_value a/b 1
	rm "$NS/a/b"
	commit_all main
	is "$(on_main keys-at main~1)" "100%
ns/a/b
other/x"
	is "$(on_main keys-at main ns)" ""
	is "$(on_main --json keys-at main~1 ns)" '{"path":"ns/a/b","key":"a/b"}'
	is "$(on_main keys-at main .)" "100%"
	run on_main keys-at main~2 ns
	status_is 1
	run on_main keys-at nothing
	status_is 2
}

# ---- Taking back --------------------------------------------------------------------------------

# staged [BRANCH]: what status says, as path and operation.
staged()
{
	ctl "$MNT/${1:-main}" --json status | json '[.changes[] | [.path, .operation]] | sort'
}

@test "restore: what is staged of a key goes, what is staged of others stays" {
	mkdir "$NS/d"
	echo 1 >"$NS/d/x"
	commit_value a 1
	echo 2 >"$NS/a"
	echo 2 >"$NS/b"
	rm -r "$NS/d"
	mkdir "$MNT/main/made"
	echo 2 >"$MNT/main/made/y"
	is "$(on_main restore ns/a)" "Updated 1 key from HEAD"
	file_is "$NS/a" 1
	is "$(staged)" '[["made/y","added"],["ns/b","added"],["ns/d/x","deleted"]]'
	is "$(cd "$NS" && "$CTL" --json restore d)" '{"changes":1}'
	file_is "$NS/d/x" 1
	on_main restore made ns/b
	missing "$NS/b"
	is "$(staged)" '[]'
	run on_main commit -m nothing
	status_is 1
	run on_main restore ns/nothing
	status_is 1
	output_has ns/nothing
}

@test "restore --source: keys, directories and everything of any revision, as one change" {
	mkdir "$NS/d"
	echo old >"$NS/d/x"
	commit_value a old
	echo new >"$NS/d/x"
	echo new >"$NS/d/y"
	commit_value a new
	exec 9<"$NS/a"
	on_main -q restore --source main~1 ns/a
	is "$(cat <&9)" new
	exec 9<&-
	file_is "$NS/a" old
	is "$(staged)" '[["ns/a","modified"]]'
	on_main -q restore -s main~1 ns/d
	is "$(staged)" '[["ns/a","modified"],["ns/d/x","modified"],["ns/d/y","deleted"]]'
	is "$(on_main root)" "$(on_main --at main~1 root)"
	on_main -q restore .
	is "$(staged)" '[]'
	file_is "$NS/d/y" new
	on_main -q restore -s main~2 .
	is "$(ls "$MNT/main")" ""
	remount
	is "$(on_main root)" "$(on_main --at main~2 root)"
	run on_main restore -s nothing ns
	status_is 2
}

@test "reset --hard: the branch and its working state are the commit" {
	commit_value a 1
	commit_value a 2
	echo 3 >"$NS/a"
	echo 3 >"$NS/b"
	mkdir "$NS/d"
	is "$(on_main reset --hard main~1)" "main is now at $(head_of main | cut -c1-10) a = 1"
	is "$(head_of main)" "$(head_of 'main@{1}~1')"
	is "$(find "$MNT/main" -mindepth 1 | sort)" "$NS
$NS/a"
	file_is "$NS/a" 1
	is "$(staged)" '[]'
	is "$(on_main reflog -n 1 | cut -d' ' -f2-)" "main@{0}: reset: moving to main~1"
	run on_main --json reset --hard 'main@{1}'
	is "$(jq -c '[.branch, .commit == "'"$(head_of main)"'", .previous]' <<<"$output")" \
		"[\"main\",true,\"$(head_of main~1)\"]"
	file_is "$NS/a" 2
	kill_daemon
	unmount_all
	mount_store
	file_is "$NS/a" 2
	commit_value a 4
}

@test "reset: without --hard the working state stays, and what differs is staged" {
	commit_value a 1
	commit_value a 2
	commit_value b 2
	echo 3 >"$NS/c"
	root=$(on_main root)
	is "$(on_main reset --soft main~2)" ""
	is "$(on_main root)" "$root"
	is "$(staged)" '[["ns/a","modified"],["ns/b","added"],["ns/c","added"]]'
	on_main reset main~1
	is "$(staged)" '[["ns/a","added"],["ns/b","added"],["ns/c","added"]]'
	remount
	is "$(staged)" '[["ns/a","added"],["ns/b","added"],["ns/c","added"]]'
	commit_all main
	is "$(on_main root)" "$root"
	store_git fsck --strict
}

@test "reset PATH: as restore; and what does not go together is refused" {
	commit_value a 1
	commit_value a 2
	echo 3 >"$NS/a"
	on_main reset ns/a
	file_is "$NS/a" 2
	on_main reset main~1 -- ns/a
	file_is "$NS/a" 1
	is "$(on_main log --oneline | wc -l)" 3
	for wrong in "--hard --soft" "--hard main -- ns/a" "nothing" "main main~1 -- ns/a"; do
		run on_main reset $wrong
		[ "$status" -ne 0 ]
	done
	is "$(errno_of_command main/.prollyfs/ctl 'reset -b main --hard nothing-here')" ENOENT
	mkdir "$MNT/other"
	is "$(errno_of_command other/.prollyfs/ctl 'reset -b main --hard main~1')" EPERM
	echo 'reset --hard main~1' >"$MNT/other/.prollyfs/ctl"
	file_is "$MNT/other/ns/a" 1
}

# ---- Messages -----------------------------------------------------------------------------------

@test "commit -F: a file's text, of any length and encoding" {
	echo x >"$NS/a"
	{
		echo "A subject"
		echo
		entries 1 20000
	} >"$T/long"
	on_main commit -F "$T/long"
	is "$(store_git log -1 --format=%B main | wc -c)" "$(($(wc -c <"$T/long") + 1))"
	echo y >"$NS/a"
	printf 'latin \xe9\n' | on_main commit -F -
	is "$(store_git log -1 --format=%s main)" "latin é"
	is "$(on_main --json log -n 1 | jq -r .message)" "latin é"
	echo z >"$NS/a"
	printf 'a\0b' >"$T/nul"
	run on_main commit -F "$T/nul"
	status_is 2
	output_has NUL
	run on_main commit -F "$T/none"
	status_is 2
	output_has "$T/none"
	run on_main commit -F "$T/long" -m both
	status_is 2
	run on_main commit -F /dev/null
	status_is 2
	output_has empty
	printf '\n\n  # no comment \n\n\n\ntext  \n\n' | on_main commit -F -
	is "$(store_git log -1 --format=%B main)" "  # no comment

text"
	is "$(errno_of_command .prollyfs/ctl 'commit -F /etc/passwd')" EINVAL
}

# An editor that puts $SAYS before what is there, and notes the latter in $T/draft.
make_editor()
{
	cat >"$T/editor" <<-'END'
		#!/bin/sh
		cp "$1" "$T/draft"
		[ -n "$SAYS" ] || exit 0
		{ printf '%s\n' "$SAYS" && cat "$1"; } >"$1.new" && mv "$1.new" "$1"
	END
	chmod +x "$T/editor"
	export GIT_EDITOR=$T/editor
}

@test "commit: an editor when no message is given on a terminal" {
	make_editor
	echo x >"$NS/a"
	run on_main commit
	status_is 2
	output_has -m
	SAYS="From the editor" on_terminal "$CTL -C $MNT/main commit"
	is "$(store_git log -1 --format=%B main)" "From the editor"
	grep -q '^# On branch main' "$T/draft"
	grep -q '^#.*added:.*ns/a' "$T/draft"
	rm "$T/draft"
	SAYS=no on_terminal "$CTL -C $MNT/main commit" | grep -q "nothing to commit"
	missing "$T/draft"
	echo y >"$NS/a"
	SAYS='' on_terminal "$CTL -C $MNT/main commit" | grep -q "message is empty"
	GIT_EDITOR=false on_terminal "$CTL -C $MNT/main commit" | grep -q "editor false failed"
	is "$(store_git rev-list --count main)" 2
	SAYS="A tag's" on_terminal "$CTL -C $MNT/main tag -a v1"
	is "$(on_main --json tag | json .message)" "\"A tag's\""
	SAYS='' on_terminal "$CTL -C $MNT/main commit --amend"
	is "$(store_git log -1 --format=%s main)" "From the editor"
	is "$(store_git rev-list --count main)" 2
	file_is "$MNT/.prollyfs/at/main/ns/a" y
}

@test "merge, revert, cherry-pick -e: an editor on a terminal, where a commit will come of it" {
	local here="$CTL -C $MNT/main"
	make_editor
	commit_value a 1
	mkdir "$MNT/side"
	echo side >"$MNT/side/ns/b"
	commit_all side "on side"
	# a fast-forward, what is up to date, and what would only say so: none
	SAYS=no on_terminal "$here merge --dry-run side"
	SAYS=no on_terminal "$here merge side" | grep -q Fast-forward
	SAYS=no on_terminal "$here merge side" | grep -q "up to date"
	missing "$T/draft"
	SAYS='Not so' on_terminal "$here revert main"
	is "$(store_git log -1 --format=%B main)" "Not so
Revert \"on side\"

This reverts commit $(head_of side)."
	grep -q "^# .*aborts the revert" "$T/draft"
	rm "$T/draft"
	SAYS=no on_terminal "$here revert --no-edit main"
	SAYS=no on_terminal "$here revert -n main"
	SAYS=no on_terminal "$here cherry-pick side~1" || true
	missing "$T/draft"
	on_main reset --hard
	commit_value a 2
	echo more >"$MNT/side/ns/c"
	echo side >"$MNT/side/ns/a"
	commit_all side "two keys"
	SAYS=no on_terminal "$here merge side" | grep -q "CONFLICT (both-modified): ns/a"
	SAYS=no on_terminal "$here merge --continue" | grep -q "CONFLICT"
	missing "$T/draft"
	on_main resolve --ours ns/a
	SAYS='Both' on_terminal "$here merge --continue"
	is "$(store_git log -1 --format=%B main)" "Both
Merge branch 'side'"
	on_main reset --hard main~1
	SAYS=Picked on_terminal "$here cherry-pick -e -X ours side"
	is "$(store_git log -1 --format='%B%an' main)" "Picked
two keys
A U Thor"
	cat >"$T/editor" <<-'END'
		#!/bin/sh
		echo '# nothing' >"$1"
	END
	head=$(head_of main)
	on_terminal "$here revert main" | grep -q "revert: the message is empty, nothing is done"
	on_terminal "$here merge -X ours side" | grep -q "merge: the message is empty, nothing is done"
	is "$(head_of main)" "$head"
	# without a terminal the message is the ready one, or what -F and --message say
	on_main revert -F - main <<<"from input"
	is "$(store_git log -1 --format=%B main)" "from input"
	on_main revert --message "from an option" main
	is "$(store_git log -1 --format=%B main)" "from an option"
	run on_main revert --message x main~2..main
	status_is 2
}

@test "commit --amend, --author and --date" {
	commit_value a 1
	local base
	base=$(head_of main~1)
	echo 2 >"$NS/a"
	GIT_AUTHOR_NAME=Else on_main commit --amend -m better
	is "$(head_of main~1)" "$base"
	is "$(store_git log -1 --format='%s|%an' main)" "better|A U Thor"
	file_is "$MNT/.prollyfs/at/main/ns/a" 2
	is "$(changes_of main)" '[]'
	is "$(on_main reflog | head -1 | cut -d' ' -f2-)" "main@{0}: commit (amend): better"
	on_main commit --amend --no-edit --author 'Some One <one@example.org>' --date '2005-04-07 22:13:13 +0200'
	is "$(store_git log -1 --format='%s|%an|%ae|%aI' main)" \
		"better|Some One|one@example.org|2005-04-07T22:13:13+02:00"
	run on_main commit --allow-empty -m x --author nobody
	status_is 2
	run on_main commit --allow-empty -m x --date soonish
	status_is 2
	store_git fsck --strict
}

@test "commit --author: what is not exactly a name and an address is refused" {
	local person
	local -a bad=(
		$'A\nB <x@y>' $'A <a@b> 1 +0000\ntree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nX <x@y>'
		$'A\tB <x@y>' $'A <x\n@y>' $'A\x7f <x@y>' 'A <a> <b>' 'A <<b>' 'A <b>>' 'A > <b>' 'A <b> c' 'A <b'
		'A b>' ' <x@y>' '<x@y>' '.,: <x@y>' nobody ''
	)
	commit_value a 1
	for person in "${bad[@]}"; do
		run on_main commit --allow-empty -m x --author "$person"
		status_is 2
		output_has "--author"
		is "${#lines[@]}" 1
		is "$(store_git log -1 --format=%s main)" "a = 1"
	done
	on_main commit -q --allow-empty -m cleaned --author '. "Ö Dr. A.", < .a@b; > '
	is "$(store_git log -1 --format='%an|%ae' main)" 'Ö Dr. A|a@b'
	on_main commit -q --allow-empty -m "no address" --author 'A<>'
	is "$(store_git log -1 --format='%an|%ae' main)" 'A|'
	GIT_COMMITTER_NAME=$'C\nD' GIT_AUTHOR_EMAIL=$'a>\n<b' on_main commit -q --allow-empty -m environment
	GIT_COMMITTER_NAME=$'C\nD <x>' on_main tag -m tagged v1
	is "$(store_git log -1 --format='%cn|%ae' main)" 'CD|ab'
	is "$(store_git for-each-ref --format='%(taggername)' refs/tags/v1)" 'CD x'
	store_git fsck --strict
	remount
	is "$(on_main --json log -n 1 | json '[.author.email, .message]')" '["ab","environment"]'
}

changes_of()
{
	ctl "$MNT/$1" --json status | json '[.changes[] | [.path, .operation]] | sort'
}

# ---- The past of keys ---------------------------------------------------------------------------

@test "history, blame, log: as git has it, over random histories with merges" {
	python3 "$BATS_TEST_DIRNAME/past.py" "$MNT" "$STORE/git" "$CTL" 2
}

@test "history: old and new values of a key, as text and JSON; a key that never was is exit 1" {
	commit_value a 1
	commit_value b 1
	commit_value a 2
	rm "$NS/a"
	commit_all main "a goes"
	is "$(on_main --json history ns/a | json '[.operation, .old, .new]')" '["deleted","2\n",null]
["modified","1\n","2\n"]
["added",null,"1\n"]'
	is "$(on_main --json history -n 1 ns/a main~1 | json '[.commit, .author.name]')" \
		"[\"$(head_of main~1)\",\"A U Thor\"]"
	is "$(cd "$NS" && "$CTL" history --oneline a | cut -d' ' -f2-)" "a goes
a = 2
a = 1"
	run on_main history ns/a
	output_has "deleted file"
	output_has "-2"
	[[ $output != *ns/b* ]]
	echo 'history ns/a --oneline' >"$T/line"
	is "$(exec 9<>"$MNT/main/.prollyfs/ctl"; cat "$T/line" >&9; cat <&9 | wc -l)" 3
	run on_main history ns/nothing
	status_is 1
	run on_main history ns/
	status_is 2
}

@test "blame: text, JSON, and a namespace that is not there" {
	commit_value a 1
	first=$(head_of main)
	echo 1 >"$NS/b"
	mkdir "$NS/empty"
	GIT_AUTHOR_NAME=Other commit_value a 2
	is "$(on_main --json blame ns | json '[.key, .path, .commit, .author.name]')" \
		"[\"a\",\"ns/a\",\"$(head_of main)\",\"Other\"]
[\"b\",\"ns/b\",\"$(head_of main)\",\"Other\"]"
	[[ $(on_main blame ns main~1) =~ ^${first:0:10}\ \(A\ U\ Thor\ 20[0-9-]+\ [0-9:]+\ \+0000\)\ ns/a$ ]]
	run on_main blame nothing
	status_is 1
}

@test "log: changes beside the commits, who made them, and what does not go together" {
	commit_value a 1 "first of all"
	GIT_AUTHOR_NAME=Other GIT_COMMITTER_NAME=Third commit_value b 2 "second"
	is "$(on_main log --oneline --author '^Other' | cut -d' ' -f2-)" second
	is "$(on_main log --oneline --committer third -i | cut -d' ' -f2-)" second
	is "$(on_main log --oneline --grep 'fir(st|m)' -E | cut -d' ' -f2-)" "first of all"
	is "$(on_main log --oneline --grep first --author Other)" ""
	run on_main log --stat -n 1
	output_has " ns/b | 1 +"
	is "$(on_main log --oneline --name-status -n 2 | grep '^A')" "A	ns/b
A	ns/a"
	is "$(on_main --json log -p -n 1 | json '[.message, .path, .new]')" '["second",null,null]
[null,"ns/b","2\n"]'
	is "$(on_main log --oneline main~1.. | cut -d' ' -f2-)" second
	is "$(on_main log --oneline --key ns/a main~2..main | cut -d' ' -f2-)" "first of all"
	is "$(on_main log --oneline --key ns/a main~1..main)" ""
	for wrong in "--since nonsense" "--grep \\(" "^main~1..main"; do
		run on_main log $wrong
		status_is 2
	done
}

@test "log --graph: lines to what is shown, and changes beside them" {
	commit_value a 1 first
	mkdir "$MNT/side"
	commit_value b 2 main
	echo side >"$MNT/side/ns/c"
	commit_all side side
	on_main -q merge -m merged side
	commit_value a 3 last
	is "$(on_main log --graph --oneline | sed 's/[0-9a-f]\{10\} //')" '* last
*  merged
|\
| * side
* | main
|/
* first
* Initial commit'
	is "$(on_main log --graph --oneline --key ns/a | sed 's/[0-9a-f]\{10\} //')" '* last
* first'
	is "$(on_main log --graph --oneline side..main | sed 's/[0-9a-f]\{10\} //')" '* last
* merged
* main'
	is "$(on_main log --graph --oneline --name-status -n 3 | sed 's/[0-9a-f]\{10\} //')" '* last
| M	ns/a
*  merged
|\
| * side
| | A	ns/c'
	is "$(on_main log --graph --oneline --stat -n 1 | tail -1)" "|  1 key changed, 1 line added, 1 removed"
	is "$(on_main --json log --graph | jq -r .commit)" "$(store_git log --topo-order --format=%H main)"
}

@test "diff A..B and A...B, show of several commits: --stat, --name-only, paths" {
	commit_value a 1
	mkdir "$MNT/side"
	commit_value b 1
	echo 2 >"$MNT/side/ns/c"
	commit_all side "on the side"
	is "$(on_main diff main..side --name-status)" "D	ns/b
A	ns/c"
	is "$(on_main diff main...side --name-only)" "ns/c"
	is "$(on_main diff side... --name-only)" "ns/b"
	is "$(on_main diff main..side --name-only -- ns/b ns/c)" "ns/b
ns/c"
	is "$(on_main show --name-only main main~1 | grep ^ns)" "ns/b
ns/a"
	is "$(on_main show --oneline --stat side | sed 1d)" " ns/c | 1 +
 1 key changed, 1 line added, 0 removed"
	run on_main diff main..nothing
	status_is 2
}

# ---- Commits made again, and undone -------------------------------------------------------------

@test "cherry-pick: a commit's change, with its author and message; ranges; -x" {
	commit_value a 1
	mkdir "$MNT/side"
	for n in 1 2 3; do
		echo "$n" >"$MNT/side/ns/s$n"
		GIT_AUTHOR_NAME="Author $n" GIT_AUTHOR_DATE="@160000000$n +0100" \
			ctl "$MNT/side" -q commit -m "side $n"
	done
	echo staged >"$NS/staged"
	[[ $(on_main cherry-pick side~1) =~ ^\[main\ [0-9a-f]{10}\]\ side\ 2$ ]]
	is "$(store_git log -1 --format='%an|%at|%cn|%B|%p' main)" \
		"Author 2|1600000002|C O Mitter|side 2
|$(store_git rev-parse --short main~1)"
	is "$(ls "$NS")" "a
s2
staged"
	is "$(staged)" '[["ns/staged","added"]]'
	is "$(on_main --json cherry-pick main~1..side | json '[.result, .conflicts]')" \
		'["merged",[]]
["up-to-date",[]]
["merged",[]]'
	is "$(store_git log -2 --format=%s main)" "side 3
side 1"
	run on_main cherry-pick side
	status_is 1
	on_main reset --hard main~1
	on_main cherry-pick -x side
	is "$(store_git log -1 --format=%b main)" "(cherry picked from commit $(head_of side))"
	store_git fsck --strict
}

@test "cherry-pick: conflicts stop it; --continue, --skip and --abort go on" {
	commit_value a 1
	mkdir "$MNT/side"
	echo side >"$MNT/side/ns/a"
	commit_all side "side a"
	echo side >"$MNT/side/ns/b"
	commit_all side "side b"
	commit_value a 2
	head=$(head_of main)
	run on_main cherry-pick main~1..side
	status_is 1
	output_has "both-modified"
	is "$(head_of main)" "$head"
	is "$(on_main --json conflicts | json '[.path, .base, .ours, .theirs]')" '["ns/a","1\n","2\n","side\n"]'
	run on_main merge --continue
	status_is 2
	remount
	on_main resolve --theirs ns/a
	on_main cherry-pick --continue
	is "$(store_git log -2 --format=%s main)" "side b
side a"
	file_is "$NS/a" side
	file_is "$NS/b" side
	on_main reset --hard "$head"
	run on_main cherry-pick side~1 side
	status_is 1
	on_main cherry-pick --skip
	is "$(store_git log -1 --format=%s main)" "side b"
	file_is "$NS/a" 2
	run on_main cherry-pick side~1
	status_is 1
	on_main cherry-pick --abort
	is "$(on_main conflicts)" ""
	run on_main cherry-pick --continue
	status_is 2
}

@test "revert: undoes a commit, a range, and a merge against the parent that -m names" {
	commit_value a 1
	commit_value a 2
	commit_value b 2
	root=$(on_main --at main~2 root)
	on_main revert main
	is "$(store_git log -1 --format=%B main)" "Revert \"b = 2\"

This reverts commit $(head_of main~1)."
	missing "$NS/b"
	on_main -q revert main
	file_is "$NS/b" 2
	on_main -q revert main~4..main
	is "$(on_main root)" "$root"
	mkdir "$MNT/side"
	echo side >"$MNT/side/ns/s"
	commit_all side
	on_main -q merge --no-ff side
	run on_main revert main
	status_is 2
	output_has "is a merge"
	on_main -q revert -m 1 main
	missing "$NS/s"
	is "$(on_main root)" "$root"
	run on_main revert -m 3 main~1
	status_is 2
	is "$(errno_of_command side/.prollyfs/ctl 'revert -b main main')" EPERM
}

@test "cherry-pick -n and revert -n: stage the changes of commits, of several together or none" {
	commit_value a 1
	commit_value c 0
	mkdir "$MNT/side"
	for n in 1 2 3; do
		echo "$n" >"$MNT/side/ns/s"
		echo "$n" >"$MNT/side/ns/s$n"
		commit_all side "side $n"
	done
	echo other >"$MNT/side/ns/a"
	commit_all side "side a"
	head=$(head_of main)
	is "$(on_main cherry-pick -n side~1)" "CONFLICT (deleted-by-us): ns/s
Stopped with 1 in conflict; the branch is as it was. When all is resolved
('conflicts', 'resolve'), run 'cherry-pick --continue'; 'cherry-pick --abort' forgets it."
	on_main resolve --theirs --all
	on_main cherry-pick --continue
	is "$(changes_of main)" '[["ns/s","added"],["ns/s3","added"]]'
	on_main reset --hard
	# the second changes what the first has made
	echo mine >"$NS/mine"
	on_main -q cherry-pick --no-commit main..side
	is "$(head_of main)" "$head"
	is "$(changes_of main)" '[["ns/a","modified"],["ns/mine","added"],["ns/s","added"],["ns/s1","added"],["ns/s2","added"],["ns/s3","added"]]'
	file_is "$NS/s" 3
	on_main -q commit -m "all of side"
	# two reverts together give what was there
	run on_main revert -n side~2 side
	status_is 1
	output_has "Stopped with 1 in conflict; nothing is staged."
	is "$(on_main status --json | jq -c .changes)" "[]"
	is "$(on_main conflicts)" ""
	on_main -q revert -n side~4..side
	is "$(changes_of main)" '[["ns/a","modified"],["ns/s","deleted"],["ns/s1","deleted"],["ns/s2","deleted"],["ns/s3","deleted"]]'
	file_is "$NS/a" 1
	# what is staged is not overwritten, and then nothing else is staged either
	on_main reset --hard
	echo staged >"$NS/s2"
	run on_main revert -n side~4..side
	status_is 2
	output_has "ns/s2: staged changes would be overwritten"
	is "$(changes_of main)" '[["ns/s2","modified"]]'
	run on_main revert -n side~1 --dry-run
	status_is 0
	run on_main revert -n side~2 side~3
	status_is 1
	is "$(changes_of main)" '[["ns/s2","modified"]]'
	store_git fsck --strict
}

@test "branch: what contains, what is merged, -v, -l, -f" {
	commit_value a 1
	on_main branch one
	on_main branch two/x main~1
	commit_value a 2
	is "$(on_main branch --contains main~1)" "* main
  one"
	is "$(on_main branch --no-merged one)" "* main"
	is "$(on_main --json branch --merged one | json .name)" '"one"
"two/x"'
	is "$(on_main branch -l 'two/*' 'o?e')" "  one
  two/x"
	is "$(on_main branch -v | tail -1)" "  two/x $(head_of two/x | cut -c1-10) Initial commit"
	is "$(on_main branch --show-current)" main
	run on_main branch one main
	status_is 2
	on_main branch -f one main
	is "$(head_of one)" "$(head_of main)"
	file_is "$MNT/one/ns/a" 2
	is "$(on_main reflog -n 1 one | cut -d' ' -f2-)" "one@{0}: reset: moving to main"
}

@test "diff: only the lines that differ, and JSON a member a line" {
	seq 40 >"$NS/lines"
	echo '{"name":"x","tags":["a","b"],"n":1}' >"$NS/json"
	commit_all main
	sed -i 's/^5$/five/; 20d; s/^35$/&\nmore/' "$NS/lines"
	echo '{"name":"x","tags":["a","c"],"n":1}' >"$NS/json"
	is "$(on_main diff -- ns/json | sed 1,3d)" '@@ -2,7 +2,7 @@
   "name": "x",
   "tags": [
     "a",
-    "b"
+    "c"
   ],
   "n": 1
 }'
	git diff --no-index --no-color "$MNT/.prollyfs/at/main/ns/lines" "$NS/lines" |
		sed -n '/^@@/,$s/^\(@@.*@@\).*/\1/p; /^[-+ ][^-+]/p' >"$T/git" || true
	on_main diff -- ns/lines | sed -n '/^@@/p; /^[-+ ][^-+]/p' >"$T/ours"
	diff "$T/git" "$T/ours"
	is "$(on_main diff --stat -- ns/lines | head -1)" " ns/lines | 4 ++--"
}

# write_texts SEED DIR: forty texts of a few different lines.
write_texts()
{
	python3 -c '
import random, sys
rand = random.Random(int(sys.argv[1]))
for n in range(40):
	lines = [rand.choice("abcde") + "\n" for _ in range(rand.randint(0, 30))]
	open(f"{sys.argv[2]}/t{n:02}", "w").write("".join(lines))
' "$@"
}

@test "diff: as few lines as git finds with --minimal, over random texts" {
	write_texts 1 "$NS"
	commit_all main
	write_texts 2 "$NS"
	(cd "$MNT/main" && git diff --no-index --minimal --numstat ../.prollyfs/at/main/ns ns) |
		awk '{ print $1 + $2 }' >"$T/git" || true
	on_main diff --stat | sed '$d' | awk '{ print $3 }' >"$T/ours"
	is "$(wc -l <"$T/git")" 40
	diff "$T/git" "$T/ours"
}

# ---- Who ----------------------------------------------------------------------------------------

@test "authors and committers: from environment and configuration as git takes them" {
	local -a worlds=(
		""
		"GIT_AUTHOR_NAME=A GIT_COMMITTER_EMAIL=c@x.org"
		"GIT_CONFIG_GLOBAL=/dev/null EMAIL=e@x.org GIT_AUTHOR_NAME=A GIT_COMMITTER_NAME=C"
		"GIT_CONFIG_GLOBAL=$T/global"
		"GIT_CONFIG_SYSTEM=$T/global GIT_CONFIG_NOSYSTEM=0"
		"GIT_CONFIG_SYSTEM=$T/global"
		"XDG_CONFIG_HOME=$T/xdg"
		"GIT_AUTHOR_NAME=<Doctor>.,;No GIT_AUTHOR_EMAIL=<x@y>"
	)
	unset "${!GIT_AUTHOR_@}" "${!GIT_COMMITTER_@}"
	mkdir -p "$T/xdg/git"
	printf '[user]\nname = Global One\nemail = global@x.org\n[author]\nname = Writer\n' >"$T/global"
	printf '[user]\nemail = xdg@x.org\n[committer]\nname = Xdg Committer\n' >"$T/xdg/git/config"
	git config --global user.name "Home One"
	git config --global user.email home@x.org
	local world format='%an <%ae>|%cn <%ce>'
	for world in "${worlds[@]}"; do
		export GIT_AUTHOR_DATE=@1600000000 GIT_COMMITTER_DATE=@1600000000
		# shellcheck disable=SC2086
		expected=$(env $world git var GIT_AUTHOR_IDENT | sed 's/ [0-9]* [-+0-9]*$//')"|"$(
			env $world git var GIT_COMMITTER_IDENT | sed 's/ [0-9]* [-+0-9]*$//')
		echo "$world" >"$NS/a"
		# shellcheck disable=SC2086
		env $world "$CTL" -C "$MNT/main" -q commit --allow-empty -m x
		is "$(store_git log -1 --format="$format" main)" "$expected"
	done
}
