# SPDX-License-Identifier: Apache-2.0
# Promise: what the systems before this one lose or forget is here. What they did stands at each test;
# of the rest, what has tests of its own:
#   a "merge" that is a checkout of the other branch     versions.bats, merge: different keys
#   merges that keep only one of several merge bases     test-merge-model, versions.bats: criss-cross
#   trees changed by a merge that then reports conflicts versions.bats, merge: conflicts are listed
#   staging lost by a commit that fails, or by a crash   bad.bats: a full disk; crash.bats
#   a missing or damaged node read as an empty store     bad.bats
#   a collection that removes what other branches have   gc.bats
#   git's own gc that removes data                       conflicts.bats, test-history: stock-git
#   changes at the end of a leaf that no diff sees       test-tree and test-canonical: diffs
#   contents with the same root that are not the same    test-injective
#   proofs that hold for other keys, and none of absence proof.bats
#   invalid JSON of quotes, newlines and bytes           ctl.bats, JSON
#   no HEAD~N, no short ids, no tags                     versions.bats, revisions
#   last writer wins                                     writers.bats
load common

setup()
{
	common_setup
	mount_namespace
}

# commits N: of one key, through the control file.
commits()
{
	local i
	for i in $(seq "$1"); do
		echo "$i" >"$NS/counter"
		echo "-q commit -m $i" >"$MNT/main/.prollyfs/ctl"
	done
}

@test "history does not end at 100 commits, nor a list at 1024 keys" {
	entries 1 3000 | on_main load ns
	commits 150
	is "$(on_main log --oneline | wc -l)" 151
	is "$(on_main --json history ns/counter | wc -l)" 150
	is "$(on_main history --oneline ns/counter | tail -1 | cut -d' ' -f2)" 1
	is "$(on_main --at main~149 get ns/counter)" 1
	is "$(on_main keys-at main ns | wc -l)" 3001
	is "$(on_main --json ls -r | wc -l)" 3001
	is "$(on_main --json blame ns | jq -r .commit | sort | uniq -c | sort -n | awk '{ print $1 }' | tr '\n' ' ')" \
		"1 3000 "
}

@test "a merge has two parents, and merging again begins where it ended" {
	echo 1 >"$NS/a"
	commit_all main base
	mkdir "$MNT/side"
	echo side >"$MNT/side/ns/s"
	commit_all side
	echo main >"$NS/m"
	commit_all main
	on_main -q merge --no-edit side
	is "$(store_git log -1 --format=%p main | wc -w)" 2
	# undone on main, and not brought back by what side does next
	rm "$NS/s"
	commit_all main "without s"
	echo more >"$MNT/side/ns/t"
	commit_all side
	is "$(on_main --json merge --no-edit side | json '[.result, .conflicts]')" '["merged",[]]'
	missing "$NS/s"
	file_is "$NS/t" more
	is "$(on_main merge side)" "Already up to date."
}

@test "what one deleted and the other changed is in conflict, whichever side it is" {
	for key in a b; do
		echo 1 >"$NS/$key"
	done
	commit_all main base
	mkdir "$MNT/side"
	rm "$NS/a"
	echo changed >"$NS/b"
	commit_all main
	echo changed >"$MNT/side/ns/a"
	rm "$MNT/side/ns/b"
	commit_all side
	run on_main merge side
	status_is 1
	output_has "CONFLICT (deleted-by-us): ns/a"
	output_has "CONFLICT (deleted-by-them): ns/b"
	run ctl "$MNT/side" merge main
	status_is 1
	output_has "CONFLICT (deleted-by-them): ns/a"
	output_has "CONFLICT (deleted-by-us): ns/b"
}

@test "what is staged is no part of a merge, of a commit that is shown, or of a comparison of two" {
	echo 1 >"$NS/a"
	commit_all main base
	mkdir "$MNT/side"
	echo side >"$MNT/side/ns/s"
	commit_all side
	echo main >"$NS/m"
	commit_all main
	echo staged >"$NS/staged"
	echo staged >"$NS/a"
	on_main -q merge --no-edit side
	is "$(on_main show --name-only main | grep ^ns)" "ns/s"
	is "$(on_main diff --name-only side main)" "ns/m"
	is "$(on_main keys-at main)" "ns/a
ns/m
ns/s"
	is "$(on_main --at main get ns/a)" 1
	is "$(on_main diff --name-only)" "ns/a
ns/staged"
	run on_main history ns/staged
	status_is 1
}

@test "a namespace that was deleted does not come back" {
	mkdir "$MNT/main/gone"
	echo 1 >"$MNT/main/gone/a"
	echo 1 >"$NS/a"
	commit_all main base
	mkdir "$MNT/side"
	echo side >"$MNT/side/ns/s"
	commit_all side
	rm -r "$MNT/main/gone"
	commit_all main "without it"
	echo 2 >"$NS/a"
	commit_all main
	on_main -q merge --no-edit side
	remount
	missing "$MNT/main/gone"
	is "$(ls "$MNT/.prollyfs/at/main")" ns
	is "$(ls "$MNT/.prollyfs/at/side")" "gone
ns"
	on_main -q branch again main
	missing "$MNT/again/gone"
}

@test "a branch that is there is not made again; packed and with slashes they are all listed" {
	echo 1 >"$NS/a"
	commit_all main base
	on_main branch feature/x
	on_main branch plain
	on_main tag v1
	echo 2 >"$NS/a"
	commit_all main
	run on_main branch feature/x main
	status_is 2
	output_has "feature/x"
	is "$(head_of feature/x)" "$(head_of main~1)"
	store_git pack-refs --all
	is "$(on_main --json branch | jq -r .name | tr '\n' ' ')" "feature/x main plain "
	is "$(on_main tag)" v1
	is "$(on_main --at v1 get ns/a)" 1
	remount
	is "$(ls "$MNT" "$MNT/feature")" "$MNT:
feature
main
plain

$MNT/feature:
x"
	run on_main merge --ff-only feature/x
	status_is 0
	echo side >"$MNT/plain/ns/a"
	commit_all plain
	run on_main merge --ff-only plain
	status_is 2
	is "$(on_main --at main get ns/a)" 2
}
