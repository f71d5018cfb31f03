# SPDX-License-Identifier: Apache-2.0
# Promise: a script that says it as it would to git is understood as git understands it: revisions, dates,
# the options of a log. git is asked beside, on the store's own repository.
load common

setup()
{
	common_setup
	mount_namespace
}

# commit_on DATE MESSAGE: a commit with that committer's and author's date.
commit_on()
{
	echo "$2" >"$NS/a"
	GIT_AUTHOR_DATE="$1" GIT_COMMITTER_DATE="$1" commit_all main "$2"
}

subjects()
{
	on_main log --oneline "$@" | cut -d' ' -f2-
}

# as_git REV: prollyfs-ctl and git mean the same commit.
as_git()
{
	is "$1: $(on_main --json log -1 "$1" | jq -r .commit)" "$1: $(store_git rev-parse "$1^{commit}")"
}

@test "revisions: all that name a branch, a tag, or what is behind it" {
	for i in 1 2 3 4 5; do
		commit_on "2026-01-0$i 12:00" "c$i"
	done
	on_main tag v1 main~2
	on_main tag -m annotated v2 main~1
	on_main branch feature/ü main~3
	for revision in heads/main refs/heads/main tags/v1 refs/tags/v2 'v2^{}' 'v2^{commit}~1' feature/ü heads/feature/ü \
		'main@{1}^{}' 'main^{}^^{}' 'main@{1}~2^0' '@{2}' main~~ 'HEAD^'; do
		as_git "$revision"
	done
	on_main tag feature main
	on_main branch v1 main~4
	is "$(on_main --json log -1 v1 | jq -r .commit)" "$(head_of heads/v1)"
	as_git tags/v1
	# what is no name is no revision, and said so
	for revision in 'a b' main: ':/c3' /main main/ 'main@{6}' 'main@{-1}' 'main@{u}' '*' $'\x01' main.. ..a..b; do
		run on_main show "$revision"
		status_is 2
		[ "${#lines[@]}" -eq 1 ] || fail "$output"
		[[ $output == "prollyfs-ctl: $revision: "* ]] || [[ $revision == *..* ]] || fail "$output"
	done
}

@test "dates: of a reflog and of --since and --until, in whatever words" {
	for i in 1 2 3 4 5 6 7 8 9; do
		commit_on "2026-01-0$i 12:00 +0000" "c$i"
	done
	local date
	for date in '2026-01-05 12:00' 2026-01-05T12:00:01Z '2026-01-05 12:00 EST' 2026-01-06T10:00:00+0200 \
		20260105T120000 '@1767614400' 1767614400 'Mon, 5 Jan 2026 12:00:00 +0000' \
		'Mon Jan 5 12:00:00 2026 +0000' 'jan 5 2026 3pm' '5 january 2026 11:59' 01/05/2026 2026.01.05 \
		'2 weeks 3 days ago' 3.days.ago 'ten years ago' yesterday 'last friday' 'last month' never now; do
		for option in since after until before; do
			is "$option $date: $(subjects "--$option" "$date")" \
				"$option $date: $(store_git log --format=%s "--$option=$date" main)"
		done
		[ "$date" = never ] || as_git "main@{$date}" # git fails there
	done
	for date in garbage '' 'next friday' '3 moons ago' 2026-13-01; do
		run on_main log --since "$date"
		status_is 2
		is "$output" "prollyfs-ctl: $date: not a date that is understood"
	done
}

@test "log --since ends at a commit that is older, whatever clock the ones before it had" {
	commit_on '2026-01-09 12:00' late
	for i in 1 2 3; do
		commit_on "2026-01-0$i 12:00" "c$i"
	done
	is "$(subjects --since '2026-01-02 12:00')" "c3
c2"
	is "$(subjects --since '2026-01-02 12:00')" "$(store_git log --format=%s --since='2026-01-02 12:00' main)"
}

@test "log: -N, --skip, --reverse, and one line for each with its changes below" {
	for i in 1 2 3 4; do
		commit_on "2026-01-0$i 12:00" "c$i"
	done
	local words
	for words in -2 '-n 2' '--skip 1' '--skip 1 -2' --reverse '--reverse -2' '--reverse --skip 1 -2' '--skip 9' -0; do
		# shellcheck disable=SC2086
		is "$words: $(subjects $words)" "$words: $(store_git log --format=%s $words main)"
	done
	is "$(on_main log --oneline --name-status -2 | cut -d' ' -f2-)" "c4
M	ns/a
c3
M	ns/a"
	is "$(on_main log --graph --oneline --name-only -1 | sed 's/ [0-9a-f]* / /')" "* c4
| ns/a"
	is "$(on_main show --oneline --name-only main | tail -n +2)" ns/a
	is "$(on_main --json log --reverse -2 | jq -r .message | tr '\n' ' ')" "c3 c4 "
	run on_main log --graph --reverse
	status_is 2
	run on_main log --skip x
	status_is 2
	run on_main get -5 ns/a
	status_is 2
}

@test "dates that git has no commits of are refused, and far ones printed as git prints them" {
	for date in 1960-01-01T00:00:00Z '1969-12-31 23:59:59 +0000' '@-5 +0000'; do
		echo x >"$NS/a"
		GIT_AUTHOR_DATE=$date run on_main commit -m x
		status_is 2
		output_has "GIT_AUTHOR_DATE: $date"
	done
	commit_on '@253402300799 +1400' far
	is "$(on_main --json log -1 | jq -r .date)" "$(store_git log -1 --format=%aI main)"
	is "$(on_main log -1 | sed -n 's/^Date:   //p')" "$(store_git log -1 --format=%ad main)"
	commit_on '@99999999999 -0930' farther
	is "$(on_main --json log -1 | jq -r .committed)" "$(store_git log -1 --format=%cI main)"
	is "$(on_main log -1 | sed -n 's/^Date:   //p')" "$(store_git log -1 --format=%ad main)"
	is "$(on_main blame ns | grep -o '([^)]*)')" "(A U Thor $(store_git log -1 --format=%ai main))"
	store_git fsck --strict
}

@test "an empty address is one, an empty name is none" {
	echo 1 >"$NS/a"
	GIT_AUTHOR_EMAIL='' on_main -q commit -m x
	is "$(store_git log -1 --format='%an <%ae>' main)" "A U Thor <>"
	echo 2 >"$NS/a"
	for name in '' ' <>., '; do
		GIT_COMMITTER_NAME=$name run on_main commit -m x
		status_is 2
		output_has "prollyfs-ctl: GIT_COMMITTER_NAME: "
		! GIT_COMMITTER_NAME=$name git var GIT_COMMITTER_IDENT 2>/dev/null || fail "git takes '$name'"
	done
	store_git fsck --strict
}

@test "what a control file cannot take is said there" {
	exec 5<>"$MNT/.prollyfs/ctl"
	! echo "commit -m 'never ends" 2>/dev/null >&5 || fail "that was taken"
	is "$(cat <&5)" "prollyfs-ctl: 'never ends: unbalanced quote"
	exec 5<&- 5<>"$MNT/.prollyfs/ctl"
	! echo "commit -F -" 2>/dev/null >&5 || fail "that was taken"
	is "$(cat <&5)" "prollyfs-ctl: commit: -F -: there is no standard input here"
	exec 5<&-
	is "$(on_main --json branch --show-current | json '[.name, .current]')" '["main",true]'
}

@test "a namespace without keys is a change like any, for who asks as for commit" {
	is "$(on_main status | tail -1)" "	added:     ns/"
	is "$(on_main --json status | json .changes)" "[]"
	is "$(on_main diff --name-status)" "A	ns/"
	echo x | GIT_EDITOR='sh -c "echo made >\$1" --' script -qec "'$CTL' -C '$MNT/main' commit" /dev/null
	is "$(store_git log -1 --format=%s main)" made
	is "$(on_main show --name-status | tail -1)" "A	ns/"
	is "$(on_main status | tail -1)" "nothing to commit, nothing is staged"
	echo 1 >"$NS/a"
	chmod +x "$NS/a"
	is "$(on_main --json diff | json '[.path, .new, .new_kind, .old_kind]')" '["ns/a","1\n","executable file",null]'
	commit_all main
	rm "$NS/a"
	is "$(on_main diff --name-status)" "D	ns/a"
	commit_all main
	rmdir "$NS"
	is "$(on_main diff --name-status)" "D	ns/"
	is "$(on_main diff --name-status main -- ns)" "D	ns/"
	is "$(on_main diff --name-status main -- ns/a)" ""
	commit_all main
	run on_main commit -m nothing
	status_is 1
}
