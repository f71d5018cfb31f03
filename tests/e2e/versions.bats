# SPDX-License-Identifier: Apache-2.0
# Promise: branches are directories; commit, diff and merge mean what they mean in git, whose tools
# read the history.
load common

setup()
{
	common_setup
	mount_namespace
}

# changes BRANCH: what is staged, as path and operation.
changes()
{
	ctl "$MNT/$1" --json status | json '[.changes[] | [.path, .operation]] | sort'
}

# two_sides: branches main and side with a common base of keys k1 to k9, both to be changed.
two_sides()
{
	for n in 1 2 3 4 5 6 7 8 9; do
		echo "base $n" >"$NS/k$n"
	done
	commit_all main base
	mkdir "$MNT/side"
	SIDE=$MNT/side/ns
}

# ---- Branches -----------------------------------------------------------------------------------

@test "mkdir makes a branch from the default branch's head, without what is staged there" {
	echo committed >"$NS/a"
	commit_all main
	echo staged >"$NS/b"
	mkdir "$MNT/trial"
	is "$(ls "$MNT")" "main
trial"
	file_is "$MNT/trial/ns/a" committed
	missing "$MNT/trial/ns/b"
	is "$(head_of trial)" "$(head_of main)"
	echo changed >"$MNT/trial/ns/a"
	file_is "$NS/a" committed
	is "$(errno_of "os.mkdir('$MNT/trial')")" EEXIST
	remount
	file_is "$MNT/trial/ns/a" changed
	is "$(changes trial)" '[["ns/a","modified"]]'
	is "$(changes main)" '[["ns/b","added"]]'
}

@test "rmdir drops a branch that is empty and merged, and no other" {
	echo x >"$NS/a"
	commit_all main
	mkdir "$MNT/merged" "$MNT/unmerged"
	is "$(errno_of "os.rmdir('$MNT/merged')")" ENOTEMPTY
	rm -rf "$MNT/merged"
	missing "$MNT/merged"
	run store_git rev-parse --verify -q refs/heads/merged
	isnt "$status" 0
	echo y >"$MNT/unmerged/ns/b"
	commit_all unmerged
	rm -rf "$MNT/unmerged" || true
	present "$MNT/unmerged"
	head_of unmerged
	is "$(errno_of "os.rmdir('$MNT/unmerged')")" ENOTEMPTY
	rm -rf "$MNT/main" || true
	is "$(errno_of "os.rmdir('$MNT/main')")" EBUSY
}

@test "mv renames a branch, with what is staged and what is open" {
	echo x >"$NS/a"
	commit_all main
	mkdir "$MNT/old"
	echo staged >"$MNT/old/ns/b"
	exec 4>>"$MNT/old/ns/b"
	mv "$MNT/old" "$MNT/new"
	echo more >&4
	exec 4>&-
	is "$(ls "$MNT")" "main
new"
	file_is "$MNT/new/ns/b" "staged
more"
	is "$(changes new)" '[["ns/b","added"]]'
	head_of new
	remount
	file_is "$MNT/new/ns/b" "staged
more"
	isnt "$(errno_of "os.rename('$MNT/new', '$MNT/main')")" ok
}

@test "branches with slashes are directories of branches" {
	echo x >"$NS/a"
	commit_all main
	on_main branch feature/x
	on_main branch feature/deep/y
	is "$(ls "$MNT" "$MNT/feature" "$MNT/feature/deep" | tr '\n' ' ')" \
		"$MNT: feature main  $MNT/feature: deep x  $MNT/feature/deep: y "
	file_is "$MNT/feature/x/ns/a" x
	echo y >"$MNT/feature/x/ns/a"
	ctl "$MNT/feature/x/ns" commit -m "on the branch"
	is "$(ctl "$MNT/feature/x" --json log -n 1 | json .message)" '"on the branch"'
	mkdir "$MNT/feature/z"
	head_of feature/z
	is "$(errno_of "open('$MNT/feature/file', 'w')")" EPERM
	is "$(errno_of "os.mkdir('$MNT/feature')")" EEXIST
	mv "$MNT/feature/z" "$MNT/feature/w"
	head_of feature/w
	rm -r "$MNT/feature/w"
	is "$(ls "$MNT/feature" | tr '\n' ' ')" "deep x "
	run on_main branch main/sub
	status_is 2
	run on_main branch feature
	status_is 2
	is "$(readlink "$MNT/.prollyfs/at/feature/x" | grep -o '[0-9a-f]*$')" "$(head_of feature/x)"
	file_is "$MNT/.prollyfs/at/feature/x/ns/a" y
}

@test "a branch where a directory of branches was has a reflog" {
	echo x >"$NS/a"
	commit_all main
	local name
	for name in feature/x feature/deep/y; do
		on_main branch "$name"
		echo "$name" >"$MNT/$name/ns/a"
		ctl "$MNT/$name" -q commit -m "on $name"
	done
	on_main -q branch -D feature/x
	on_main -q branch -D feature/deep/y
	mkdir -p "$STORE/git/logs/refs/heads/feature/deep" # as a git leaves it that is interrupted
	on_main -q branch feature
	echo y >"$MNT/feature/ns/a"
	ctl "$MNT/feature" -q commit -m 'on feature'
	local heads
	heads=$(printf '%s\n' "$(head_of feature)" "$(head_of main)")
	is "$(ctl "$MNT/feature" --json reflog feature | json .commit | tr -d '"')" "$heads"
	is "$(store_git log -g --format=%H feature)" "$heads"
}

@test "branch -m to the name it has: nothing changes, what is staged stays" {
	two_sides
	echo staged >"$SIDE/a"
	on_main branch -m side side
	file_is "$SIDE/a" staged
	remount
	file_is "$SIDE/a" staged
	is "$(changes side)" '[["ns/a","added"]]'
}

@test "branch: lists, makes at a revision, deletes, renames" {
	echo 1 >"$NS/a"
	commit_all main one
	echo 2 >"$NS/a"
	commit_all main two
	on_main branch back main~1
	file_is "$MNT/back/ns/a" 1
	is "$(on_main --json branch | json '[.name, .current]' | sort | tr '\n' ' ')" \
		'["back",false] ["main",true] '
	is "$(on_main --json branch | json 'select(.name == "main").commit')" "\"$(head_of main)\""
	run on_main branch back
	status_is 2
	output_has back
	on_main branch -m back behind
	present "$MNT/behind"
	missing "$MNT/back"
	on_main branch -d behind
	missing "$MNT/behind"
	on_main branch ahead
	echo 3 >"$MNT/ahead/ns/a"
	commit_all ahead three
	run on_main branch -d ahead
	status_is 2
	output_has ahead
	present "$MNT/ahead"
	on_main branch -D ahead
	missing "$MNT/ahead"
	run on_main branch -d nothing
	status_is 2
	output_has nothing
	run on_main branch -D main
	status_is 2
}

# ---- Commits ------------------------------------------------------------------------------------

@test "commit: all namespaces of a branch at once, and nothing is staged afterwards" {
	mkdir "$MNT/main/other"
	echo a >"$NS/a"
	echo b >"$MNT/main/other/b"
	echo c >"$MNT/main/c"
	is "$(changes main)" '[["c","added"],["ns/a","added"],["other/b","added"]]'
	local before
	before=$(head_of main)
	is "$(on_main --json commit -m "all of it" | json '[.branch, .commit == ""]')" '["main",false]'
	is "$(store_git rev-list --count "$before..main")" 1
	is "$(head_of main~1)" "$before"
	is "$(changes main)" '[]'
	is "$(store_git log -1 --format='%s|%an|%ae|%cn|%ce' main)" \
		"all of it|A U Thor|author@example.org|C O Mitter|committer@example.org"
	remount
	is "$(changes main)" '[]'
	file_is "$MNT/main/other/b" b
}

@test "commit: nothing staged is exit 1; --allow-empty makes one" {
	echo a >"$NS/a"
	commit_all main
	local before
	before=$(head_of main)
	run on_main commit -m again
	status_is 1
	is "$(head_of main)" "$before"
	on_main commit --allow-empty -m empty
	is "$(head_of main~1)" "$before"
}

@test "commit: writing back what was there stages nothing" {
	echo a >"$NS/a"
	commit_all main
	echo b >"$NS/a"
	echo a >"$NS/a"
	echo c >"$NS/c"
	rm "$NS/c"
	is "$(changes main)" '[]'
	run on_main commit -m no
	status_is 1
}

@test "commit: holds what was written to files that are open" {
	exec 4>"$NS/open"
	echo first >&4
	commit_all main one
	echo second >&4
	is "$(on_main --at main get ns/open)" first
	commit_all main two
	exec 4>&-
	is "$(on_main --at main get ns/open)" "first
second"
	is "$(on_main --at main~1 get ns/open)" first
}

@test "commit: authors, dates and messages as given" {
	echo a >"$NS/a"
	GIT_AUTHOR_NAME='Jörg Ärger' GIT_AUTHOR_DATE='2005-04-07T22:13:13 +0200' \
		GIT_COMMITTER_DATE='1112911994 -0300' on_main commit -m 'Subject

Body with "quotes", ünïcode and a \backslash'
	is "$(store_git log -1 --format='%an|%aI|%cI|%s|%b' main)" \
		'Jörg Ärger|2005-04-07T22:13:13+02:00|2005-04-07T19:13:14-03:00|Subject|Body with "quotes", ünïcode and a \backslash'
	is "$(on_main --json log -n 1 | json '[.author.name, .date, .committed]')" \
		'["Jörg Ärger","2005-04-07T22:13:13+02:00","2005-04-07T19:13:14-03:00"]'
}

@test "commit: without GIT_AUTHOR_*, git's configuration says who" {
	unset GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
	git config --global user.name 'Con Figured'
	git config --global user.email con@example.org
	unmount
	ctl "$STORE" put ns/a value
	ctl "$STORE" commit -m one
	is "$(store_git log -1 --format='%an <%ae>' main)" "Con Figured <con@example.org>"
}

# ---- History ------------------------------------------------------------------------------------

@test "stock git accepts the repository: fsck --strict, log, show --stat, clone" {
	two_sides
	mkdir "$MNT/main/with space" "$MNT/main/.git" "$MNT/main/a%b"
	echo x >"$MNT/main/with space/x"
	echo x >"$MNT/main/.git/x"
	echo x >"$MNT/main/a%b/x"
	echo x >"$MNT/main/top"
	commit_all main "odd names"
	echo theirs >"$SIDE/k1"
	commit_all side theirs
	on_main merge -m merged side
	store_git fsck --strict --full
	is "$(store_git log --format=%s main | sort | tr '\n' '|')" \
		"$(printf '%s|' "$(store_git log --format=%s --max-parents=0 main)" base merged 'odd names' theirs |
			tr '|' '\n' | sort | sed '/^$/d' | tr '\n' '|')"
	run store_git show --stat --format= main~1
	output_has 'ns-%2Egit'
	output_has 'ns-with%20space'
	output_has 'ns-a%25b'
	output_has 'ns- '
	run store_git show --stat --format= side
	output_has ns-ns
	is "$(store_git show --name-only --format= side)" ns-ns
	store_git show main:ns-ns | grep -q "$(on_main root ns)"
	git clone -q "$STORE/git" "$T/clone" -b main
	git -C "$T/clone" fsck --strict
	unmount
	store_git fsck --strict --full
}

@test "a branch that git made is there at the next mount" {
	echo x >"$NS/a"
	commit_all main
	unmount
	store_git branch made main
	mount_store
	file_is "$MNT/made/ns/a" x
}

@test "log: newest first, -n, --oneline, --graph, --all, --key" {
	two_sides
	echo main >"$NS/k1"
	commit_all main "on main"
	echo side >"$SIDE/k2"
	commit_all side "on side"
	on_main merge -m "the merge" side
	is "$(on_main --json log | jq -r .commit)" "$(store_git log --format=%H main)"
	is "$(on_main --json log -n 2 | wc -l)" 2
	is "$(on_main --json log -n 1 | json '[.parents[]]')" \
		"[\"$(head_of main^1)\",\"$(head_of main^2)\"]"
	is "$(on_main log --oneline | wc -l)" "$(store_git rev-list --count main)"
	run on_main log --oneline
	[[ ${lines[0]} =~ ^[0-9a-f]{7,}\ the\ merge$ ]] || fail "${lines[0]}"
	run on_main log
	output_has "commit $(head_of main)"
	output_has "Author: A U Thor <author@example.org>"
	run on_main log --graph --oneline
	output_has '|\'
	output_has '* '
	ctl "$MNT/side" log --all --oneline | grep -q "the merge"
	is "$(on_main --json log --key ns/k2 | json .message | tr '\n' ' ')" '"on side" "base" '
	is "$(on_main --json log --key ns/k9 | json .message)" '"base"'
	is "$(on_main --json log side -n 1 | json .message)" '"on side"'
	is "$(cat "$MNT/.prollyfs/log/main")" "$(on_main log)"
	is "$(cat "$MNT/main/.prollyfs/log")" "$(on_main log)"
}

@test "revisions: names, ids, ~ and ^, reflog by number and date" {
	two_sides
	echo side >"$SIDE/k1"
	commit_all side "on side"
	echo main >"$NS/k2"
	commit_all main "on main"
	on_main merge -m merged side
	store_git tag v1 main~1
	local id
	id=$(head_of main)
	for revision in main main~0 'main^0' "$id" "${id:0:10}" 'main@{0}' main~1 main^1 main^2 v1 \
		main~2 'main^2~1' 'main@{1}' v1^; do
		is "$(on_main --json show "$revision" | head -1 | json .commit)" \
			"\"$(store_git rev-parse "$revision^{commit}")\""
	done
	is "$(on_main --json show 'main@{2099-01-01}' | head -1 | json .commit)" "\"$id\""
	for revision in nothing main~99 'main^3' 'main@{99}' 0000000000000000000000000000000000000000; do
		run on_main show "$revision"
		status_is 2
		output_has "$revision"
	done
}

@test ".prollyfs/at: a commit by its id, any other revision as a link to it, read-only" {
	echo one >"$NS/a"
	commit_all main one
	echo two >"$NS/a"
	commit_all main two
	local at=$MNT/.prollyfs/at
	is "$(ls -A "$at")" ""
	file_is "$at/$(head_of main)/ns/a" two
	file_is "$at/$(head_of main~1)/ns/a" one
	file_is "$at/main~1/ns/a" one
	file_is "$at/main@{1}/ns/a" one
	[ -L "$at/main~1" ]
	is "$(basename "$(readlink "$at/main~1")")" "$(head_of main~1)"
	is "$(basename "$(readlink -f "$at/main~1")")" "$(head_of main~1)"
	missing "$at/nothing"
	missing "$at/0123456789012345678901234567890123456789"
	is "$(errno_of "open('$at/main/ns/a', 'w')")" EROFS
	is "$(errno_of "os.unlink('$at/main/ns/a')")" EROFS
	is "$(errno_of "os.mkdir('$at/main/ns/d')")" EROFS
	echo three >"$NS/a"
	file_is "$at/main/ns/a" two
	commit_all main three
	file_is "$at/main/ns/a" three
	file_is "$at/main~1/ns/a" two
	is "$(diff -r "$at/main~2" "$at/main" | grep '^[<>]')" "< one
> three"
}

@test ".prollyfs/at: commands in it are on that commit, those about the store work" {
	echo one >"$NS/a"
	commit_all main one
	echo two >"$NS/a"
	commit_all main two
	local id at
	id=$(head_of main~1)
	at=$MNT/.prollyfs/at/main~1
	is "$(ctl "$at/ns" get a)" one
	is "$(ctl "$at" --json show | head -1 | json .commit)" "\"$id\""
	is "$(ctl "$at" branch)" "  main"
	ctl "$at" gc -n
	ctl "$at" fsck
	ctl "$at" reflog main
	is "$(ctl "$at" keys-at main)" ns/a
	ctl "$at" tag then
	is "$(head_of then)" "$id"
	is "$(ctl "$at" tag)" then
	ctl "$at" branch again
	is "$(head_of again)" "$id"
	for words in "put ns/a x" "delete ns/a" "restore ns/a" "commit -m x" "reset HEAD" "merge main" \
		"cherry-pick main" "revert main" status conflicts reflog "branch -m other"; do
		# shellcheck disable=SC2086
		run ctl "$at" $words
		status_is 2
		output_has "${id:0:10}"
	done
	run ctl "$at" --at main status
	status_is 2
	output_has --at
	ctl "$at" -b again put ns/a x
	is "$(ctl "$at" -b again get ns/a)" x
}

@test "--at: every reading command" {
	echo one >"$NS/a"
	echo only then >"$NS/b"
	commit_all main one
	local root
	root=$(on_main root ns)
	echo two >"$NS/a"
	rm "$NS/b"
	commit_all main two
	is "$(on_main --at main~1 get ns/a)" one
	is "$(on_main --at main~1 ls ns)" "a
b"
	is "$(on_main --at main~1 root ns)" "$root"
	is "$(on_main --at main~1 dump ns)" "a	one\\n
b	only then\\n"
	is "$(on_main get ns/a)" two
	run on_main --at main get ns/b
	status_is 1
	run on_main --at main put ns/b x
	status_is 2
}

@test "show: a commit and its changes" {
	echo one >"$NS/a"
	commit_all main "make a"
	run on_main show
	status_is 0
	output_has "make a"
	output_has ns/a
	is "$(on_main --json show main | jq -sc '[.[0].message, .[1].path, .[1].operation, .[1].new]')" \
		'["make a","ns/a","added","one\n"]'
}

@test "diff: head, revision and working state; path, stat, name-status, exit code" {
	two_sides
	echo new >"$NS/k2"
	rm "$NS/k3"
	echo added >"$NS/new"
	mkdir "$MNT/main/other"
	echo o >"$MNT/main/other/o"
	is "$(on_main --json diff | json '[.path, .operation, .old, .new]')" \
		'["ns/k2","modified","base 2\n","new\n"]
["ns/k3","deleted","base 3\n",null]
["ns/new","added",null,"added\n"]
["other/o","added",null,"o\n"]'
	is "$(on_main --json diff | jq -c 'select(.operation == "added") | has("old")' | sort -u)" false
	is "$(on_main --json diff -- other | json .path)" '"other/o"'
	is "$(on_main --json diff -- ns/k2 | json .path)" '"ns/k2"'
	is "$(on_main diff --name-status | tr -s ' \t' ' ')" "M ns/k2
D ns/k3
A ns/new
A other/o"
	run on_main diff --exit-code
	status_is 1
	run on_main diff --stat
	status_is 0
	output_has ns/k2
	output_has 4
	commit_all main changed
	is "$(on_main --json diff)" ""
	run on_main diff --exit-code
	status_is 0
	is "$(on_main --json diff main~1 | json .path | wc -l)" 4
	is "$(on_main --json diff main side | json '[.path, .operation]' | tr '\n' ' ')" \
		'["ns/k2","modified"] ["ns/k3","added"] ["ns/new","deleted"] ["other/o","deleted"] '
	run on_main diff nothing side
	status_is 2
	output_has nothing
}

# ---- Merges -------------------------------------------------------------------------------------

@test "merge: different keys on both sides, a commit of two parents" {
	two_sides
	echo main >"$NS/k1"
	rm "$NS/k2"
	echo m >"$NS/m"
	commit_all main ours
	echo side >"$SIDE/k3"
	rm "$SIDE/k4"
	mkdir "$MNT/side/more"
	echo s >"$MNT/side/more/s"
	commit_all side theirs
	local ours theirs
	ours=$(head_of main) theirs=$(head_of side)
	is "$(on_main --json merge -m "both" side | json '[.result, (.conflicts | length)]')" '["merged",0]'
	is "$(store_git log -1 --format='%P|%s' main)" "$ours $theirs|both"
	is "$(cd "$NS" && grep . k*)" "k1:main
k3:side
k5:base 5
k6:base 6
k7:base 7
k8:base 8
k9:base 9"
	file_is "$NS/m" m
	file_is "$MNT/main/more/s" s
	is "$(changes main)" '[]'
	is "$(on_main --json merge side | json .result)" '"up-to-date"'
	is "$(ctl "$MNT/side" --json merge main | json .result)" '"fast-forward"'
	is "$(head_of side)" "$(head_of main)"
	is "$(root_of "$MNT/side")" "$(root_of "$MNT/main")"
}

@test "merge: the same change on both sides is no conflict" {
	two_sides
	for branch in main side; do
		echo same >"$MNT/$branch/ns/k1"
		rm "$MNT/$branch/ns/k2"
		echo both >"$MNT/$branch/ns/new"
		commit_all $branch "on $branch"
	done
	is "$(on_main --json merge side | json .result)" '"merged"'
	file_is "$NS/k1" same
	missing "$NS/k2"
}

@test "merge: fast-forward, --no-ff and --ff-only" {
	two_sides
	echo side >"$SIDE/k1"
	commit_all side theirs
	local base
	base=$(head_of main)
	is "$(on_main --json merge --ff-only side | json '[.result, .commit]')" \
		"[\"fast-forward\",\"$(head_of side)\"]"
	file_is "$NS/k1" side
	echo more >"$SIDE/k1"
	commit_all side more
	is "$(on_main --json merge --no-ff -m two side | json .result)" '"merged"'
	is "$(store_git log -1 --format=%P main | wc -w)" 2
	echo ours >"$NS/k2"
	commit_all main ours
	echo theirs >"$SIDE/k3"
	commit_all side theirs
	base=$(head_of main)
	run on_main merge --ff-only side
	status_is 2
	is "$(head_of main)" "$base"
	is "$(changes main)" '[]'
}

@test "merge: conflicts are listed exactly, exit 1, and nothing is changed" {
	two_sides
	echo ours >"$NS/k1"
	echo ours >"$NS/k2"
	rm "$NS/k3"
	echo ours >"$NS/added"
	ln -sf elsewhere "$NS/k4"
	echo ours only >"$NS/k5"
	commit_all main ours
	echo theirs >"$SIDE/k1"
	rm "$SIDE/k2"
	echo theirs >"$SIDE/k3"
	echo theirs >"$SIDE/added"
	echo theirs >"$SIDE/k4"
	echo theirs only >"$SIDE/k6"
	commit_all side theirs
	echo staged >"$NS/staged"
	local head root
	head=$(head_of main) root=$(root_of "$MNT/main")
	local expected='[["ns/added","both-added"],["ns/k1","both-modified"],["ns/k2","deleted-by-them"],["ns/k3","deleted-by-us"],["ns/k4","type"]]'
	for options in --dry-run ""; do
		# shellcheck disable=SC2086
		run --separate-stderr on_main --json merge $options side
		status_is 1
		is "$(json .result <<<"$output")" '"conflict"'
		is "$(json '[.conflicts[] | [.path, .kind]] | sort' <<<"$output")" "$expected"
		is "$(json '[.conflicts[] | .namespace] | unique' <<<"$output")" '["ns"]'
		is "$(head_of main)" "$head"
		is "$(root_of "$MNT/main")" "$root"
		is "$(changes main)" '[["ns/staged","added"]]'
		file_is "$NS/k6" "base 6"
	done
	run on_main merge side
	status_is 1
	for key in added k1 k2 k3 k4; do
		output_has "ns/$key"
	done
	[[ $output != *ns/k5* && $output != *ns/k6* ]] || fail "$output"
}

@test "merge --dry-run: says what would happen, and changes nothing" {
	two_sides
	echo theirs >"$SIDE/k1"
	commit_all side theirs
	local head
	head=$(head_of main)
	is "$(on_main --json merge --dry-run side | json .result)" '"fast-forward"'
	is "$(head_of main)" "$head"
	echo ours >"$NS/k2"
	commit_all main ours
	head=$(head_of main)
	is "$(on_main --json merge --dry-run side | json .result)" '"merged"'
	is "$(head_of main)" "$head"
	file_is "$NS/k1" "base 1"
	is "$(store_git rev-list --count --all)" "$(store_git rev-list --count main side)"
}

@test "merge: staged changes that it would overwrite stop it, others stay staged" {
	two_sides
	echo theirs >"$SIDE/k1"
	rm "$SIDE/k2"
	commit_all side theirs
	local head
	echo staged >"$NS/k1"
	echo staged >"$NS/other"
	head=$(head_of main)
	run on_main merge side
	status_is 2
	output_has ns/k1
	is "$(head_of main)" "$head"
	file_is "$NS/k1" staged
	file_is "$NS/k2" "base 2"
	is "$(changes main)" '[["ns/k1","modified"],["ns/other","added"]]'
	echo "base 1" >"$NS/k1"
	is "$(on_main --json merge side | json .result)" '"fast-forward"'
	file_is "$NS/k1" theirs
	missing "$NS/k2"
	file_is "$NS/other" staged
	is "$(changes main)" '[["ns/other","added"]]'
	remount
	is "$(changes main)" '[["ns/other","added"]]'
}

@test "merge: a staged deletion, and a staged file where they add one, stop it too" {
	two_sides
	echo theirs >"$SIDE/k1"
	echo theirs >"$SIDE/new"
	commit_all side theirs
	rm "$NS/k1"
	run on_main merge side
	status_is 2
	output_has ns/k1
	missing "$NS/k1"
	echo "base 1" >"$NS/k1"
	echo mine >"$NS/new"
	run on_main merge side
	status_is 2
	output_has ns/new
	file_is "$NS/new" mine
}

@test "merge: a key here and keys under it there are different keys" {
	two_sides
	echo key >"$NS/a"
	commit_all main ours
	mkdir "$SIDE/a"
	echo below >"$SIDE/a/b"
	commit_all side theirs
	is "$(on_main --json merge side | json .result)" '"merged"'
	file_is "$NS/a%prolly-key" key
	file_is "$NS/a/b" below
	on_main ls -r ns | grep -qx 'a%prolly-key'
}

@test "merge: criss-cross, and of branches that were merged before" {
	two_sides
	for round in 1 2 3; do
		echo "main $round" >"$NS/m$round"
		commit_all main "m$round"
		echo "side $round" >"$SIDE/s$round"
		commit_all side "s$round"
		on_main merge -m "to main $round" side
		ctl "$MNT/side" merge -m "to side $round" main~1
	done
	on_main merge -m end side
	is "$(ls "$NS" | tr '\n' ' ')" "k1 k2 k3 k4 k5 k6 k7 k8 k9 m1 m2 m3 s1 s2 s3 "
	store_git fsck --strict
}

@test "merge: a large merge keeps the times of what it did not change" {
	entries 1 3000 | on_main load ns
	commit_all main base
	mkdir "$MNT/side"
	entries 1 1000 changed | ctl "$MNT/side" load ns
	commit_all side theirs
	touch -d '2001-01-01' "$NS/k0002000"
	is "$(on_main --json merge side | json .result)" '"fast-forward"'
	is "$(cat "$NS/k0000500")" "value 500changed"
	is "$(stat -c %Y "$NS/k0002000")" 978307200
	[ "$(stat -c %Y "$NS/k0000500")" -gt 1500000000 ]
}

@test "root: equal for equal contents, whatever way they came" {
	echo 1 >"$NS/a"
	echo 2 >"$NS/b"
	local root
	root=$(on_main root ns)
	[[ $root =~ ^[0-9a-f]{64}$ ]]
	mkdir "$MNT/main/same"
	echo 2 >"$MNT/main/same/b"
	echo x >"$MNT/main/same/c"
	echo 1 >"$MNT/main/same/a"
	isnt "$(on_main root same)" "$root"
	rm "$MNT/main/same/c"
	is "$(on_main root same)" "$root"
	commit_all main
	is "$(on_main root ns)" "$root"
	is "$(on_main --json root ns | json '[.namespace, .root, .keys]')" "[\"ns\",\"$root\",2]"
	printf 'b\t2\\n\na\t1\\n\n' | on_main load loaded
	is "$(on_main root loaded)" "$root"
}

@test "of two branches with the same commits that are removed at a time, one stays" {
	for round in $(seq 12); do
		mkdir -p "$MNT/left$round/ns"
		echo "$round" >"$MNT/left$round/ns/only"
		commit_all "left$round" "round $round"
		rm -r "$MNT/left$round/ns"
		commit_all "left$round" "empty $round"
		ctl "$MNT/left$round" branch "deep/right$round" "left$round"
		rmdir "$MNT/left$round" 2>/dev/null &
		rmdir "$MNT/deep/right$round" 2>/dev/null || true
		wait $! || true
		is "$(on_main branch | grep -c "t$round\$")" 1
	done
}
