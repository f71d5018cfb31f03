# SPDX-License-Identifier: Apache-2.0
# scripts/bench version: branches, commits, merges and history, from the shell, beside git with a file
# for each key, and beside what of Dolt's and prollytree's Python packages is installed. Sourced by
# scripts/bench, which has record and $scratch. All are in memory (/dev/shm): what is measured is work,
# not a disk. Times are of whole commands, their start included, but where a note says otherwise.
#
# A note "at most" is the bound that is promised for prollyfs. What of these is work, not time, is
# asserted by counts: tests/e2e/big.bats at a million keys, tests/unit/test-topo.c for logs.

VERSION_KEYS=100000    # with --large a million
VERSION_CHANGES=100    # keys changed between two commits
VERSION_BRANCHES=100   # made by mkdir
VERSION_MANY=10000     # branches of a mount that is listed
VERSION_CHAIN=100      # branches, each made from the one before
VERSION_LOOKUPS=1000   # keys looked up through the first and the last of them
VERSION_BLAMED=1000    # commits of a few keys each, over which all keys are blamed
VERSION_COMMITS=10000  # commits of one key each, for history and space; git makes a hundredth of
                       # them: it looks at every file for each
VERSION_LONG=100000    # commits of a history that is only read as a log

# elapsed COMMAND...: how many milliseconds it takes.
elapsed()
{
	local start end
	start=${EPOCHREALTIME/./}
	"$@" >"$scratch/output" || die "$*"
	end=${EPOCHREALTIME/./}
	awk "BEGIN { print ($end - $start) / 1000 }"
}

# timed PEER WORKLOAD N NOTE COMMAND...: records how long it takes.
timed()
{
	local milliseconds
	milliseconds=$(elapsed "${@:5}") || die "$1: $2"
	record "$1" "$2" "$3" ms "$milliseconds" "$4"
}

ctl()
{
	"$programs/prollyfs-ctl" -C "$ram/mnt/$1" "${@:2}"
}

plain_git()
{
	git -C "$ram/plain" -c gc.auto=0 -c user.name=x -c user.email=x@example.org "$@"
}

# change DIRECTORY FIRST: VERSION_CHANGES keys, spread over all, get other values.
change()
{
	local i step=$((VERSION_KEYS / VERSION_CHANGES))
	for ((i = 0; i < VERSION_CHANGES; i++)); do
		echo "changed $2 $RANDOM $i" >"$1/k$(printf %07d $((i * step + $2)))"
	done
}

# size_of DIRECTORY: in KiB.
size_of()
{
	du -sk "$1" | cut -f1
}

# ---- The two -------------------------------------------------------------------------------------

list_keys()
{
	awk "BEGIN { for (i = 0; i < $VERSION_KEYS; i++) printf \"k%07d\\tvalue %d\\n\", i, i }"
}

fill_ours()
{
	"$programs/prollyfs" -o create "$ram/store" "$ram/mnt"
	list_keys >"$ram/keys"
	timed prollyfs "load" "$VERSION_KEYS" "" ctl main load ns <"$ram/keys"
	timed prollyfs "first commit" "$VERSION_KEYS" "" ctl main -q commit -m first
}

fill_git()
{
	git init -q -b main "$ram/plain"
	mkdir "$ram/plain/ns"
	timed git "load" "$VERSION_KEYS" "" python3 -c '
import sys
for line in sys.stdin:
    key, value = line.rstrip("\n").split("\t")
    with open(f"{sys.argv[1]}/{key}", "w") as file:
        file.write(value)' "$ram/plain/ns" <"$ram/keys"
	timed git "first commit" "$VERSION_KEYS" "" \
		eval 'plain_git add ns && plain_git commit -qm first'
}

# The system call that makes branch $1, alone.
time_mkdir()
{
	python3 -c '
import os, sys, time
start = time.perf_counter()
os.mkdir(sys.argv[1])
print((time.perf_counter() - start) * 1e3)' "$ram/mnt/$1"
}

round_of_ours()
{
	local n=$VERSION_CHANGES main=$ram/mnt/main/ns

	change "$main" "$1"
	timed prollyfs "diff" "$n" "at most 10" ctl main diff
	timed prollyfs "status" "$n" "" ctl main status
	timed prollyfs "commit" "$n" "at most 50" ctl main -q commit -m one
	timed prollyfs "show" "$n" "" ctl main show
	record prollyfs "branch, the call" 1 ms "$(time_mkdir "call$1")" "at most 1"
	timed prollyfs "branch" 1 "" mkdir "$ram/mnt/side$1"
	timed prollyfs "tag" 1 "" ctl main tag "tag$1"
	change "$ram/mnt/side$1/ns" $(($1 + 100))
	ctl "side$1" -q commit -m side
	change "$main" $(($1 + 200))
	ctl main -q commit -m main
	timed prollyfs "merge" "$((2 * n))" "at most 50" ctl main -q merge --no-edit "side$1"
}

round_of_git()
{
	local n=$VERSION_CHANGES main=$ram/plain/ns

	change "$main" "$1"
	timed git "diff" "$n" "" plain_git diff
	timed git "status" "$n" "" plain_git status
	timed git "commit" "$n" "" plain_git commit -qam one
	timed git "show" "$n" "" plain_git show
	timed git "tag" 1 "" plain_git tag "tag$1"
	timed git "branch" 1 "" plain_git switch -qc "side$1"
	change "$main" $(($1 + 100))
	plain_git commit -qam side
	plain_git switch -q main
	change "$main" $(($1 + 200))
	plain_git commit -qam main
	timed git "merge" "$((2 * n))" "" plain_git merge -q -m merge "side$1"
}

measure_packages()
{
	TMPDIR=$ram python3 "$TOP/scripts/lib/bench_version_peers.py" \
		"$VERSION_KEYS" "$VERSION_CHANGES" "$rounds" >>"$scratch/figures"
}

# ---- Branches ------------------------------------------------------------------------------------

measure_branches()
{
	local before n=$VERSION_BRANCHES

	before=$(size_of "$ram/store")
	timed prollyfs "branches by mkdir" "$n" "at most 200" \
		eval "mkdir $ram/mnt/branch{1..$n}"
	record prollyfs "bytes of them" "$n" KiB $(($(size_of "$ram/store") - before)) "at most 2048"
	mkdir "$ram/many"
	"$programs/prollyfs" -o create "$ram/store-many" "$ram/many"
	seq "$VERSION_MANY" | (cd "$ram/many" && xargs mkdir)
	# A listing is remembered when the directory of references has been still for a second and a half.
	timed prollyfs "ls of branches, new" "$VERSION_MANY" "" ls "$ram/many"
	sleep 2
	ls "$ram/many" >/dev/null
	for _ in $(seq "$rounds"); do
		timed prollyfs "ls of branches" "$VERSION_MANY" "at most 10" ls "$ram/many"
	done
	fusermount3 -u "$ram/many"
}

# Microseconds for each of VERSION_LOOKUPS keys that nobody looked up before.
time_lookups()
{
	python3 -c '
import os, sys, time
folder, n, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
start = time.perf_counter()
for i in range(n):
    os.stat(f"{folder}/k{i * step:07d}")
print((time.perf_counter() - start) * 1e6 / n)' \
		"$1" "$VERSION_LOOKUPS" $((VERSION_KEYS / VERSION_LOOKUPS))
}

# Each branch is made from the one before, after a commit of its own.
measure_chain()
{
	local i from=main
	for ((i = 1; i <= VERSION_CHAIN; i++)); do
		ctl "$from" -q branch "chain$i"
		echo "$i" >"$ram/mnt/chain$i/ns/chain"
		ctl "chain$i" -q commit -m "$i"
		from=chain$i
	done
	for i in 1 "$VERSION_CHAIN" 2 "$((VERSION_CHAIN - 1))"; do
		record prollyfs "lookup, generation $((i <= 2 ? 1 : VERSION_CHAIN))" \
			"$VERSION_LOOKUPS" us "$(time_lookups "$ram/mnt/chain$i/ns")" \
			"$([ "$i" -le 2 ] || echo "as the first")"
	done
}

# ---- History -------------------------------------------------------------------------------------

# make_commits PEER DIRECTORY N STEP: of one key each, k0000000 in every STEPth.
make_commits()
{
	local i
	exec 4>"$ram/mnt/main/.prollyfs/ctl"
	for ((i = 0; i < $3; i++)); do
		echo "$i" >"$2/k$(printf %07d $((i % $4 ? i * 7919 % VERSION_KEYS : 0)))"
		[ "$1" = git ] && plain_git commit -qam "$i" && continue
		echo "-q commit -m $i" >&4
	done
	exec 4>&-
}

# long_history FROM: a branch with many commits, for git fast-import.
long_history()
{
	awk -v n="$VERSION_LONG" -v from="$1" 'BEGIN {
		for (i = 1; i <= n; i++) {
			printf "commit refs/heads/long\ncommitter x <x@example.org> %d +0000\n", 1.9e9 + i
			printf "data 1\n-\n"
			if (i == 1) print "from " from
		}
	}'
}

read_history()
{
	local peer=$1 log=$2
	timed "$peer" "log -n 20" "$VERSION_LONG" "" $log log -n 20 long
	timed "$peer" "log -n 20 --graph" "$VERSION_LONG" "" $log log -n 20 --graph long
	timed "$peer" "log" "$VERSION_LONG" "at most 1000" $log log --oneline long
	timed "$peer" "log A..B" 100 "" $log log --oneline long~100..long
}

measure_commits()
{
	local before git_size n=$VERSION_COMMITS few=$((VERSION_COMMITS / 100))

	make_commits prollyfs "$ram/mnt/main/ns" "$VERSION_BLAMED" 10
	for _ in $(seq "$rounds"); do
		timed prollyfs "blame of all keys" "$VERSION_KEYS" "over $VERSION_BLAMED commits" \
			ctl main blame ns
	done
	before=$(size_of "$ram/store")
	timed prollyfs "commits of a key" "$n" "" make_commits prollyfs "$ram/mnt/main/ns" "$n" 10
	record prollyfs "bytes of them" "$n" KiB $(($(size_of "$ram/store") - before)) "at most 204800"
	timed git "commits of a key" "$few" "" make_commits git "$ram/plain/ns" "$few" 10
	for _ in $(seq "$rounds"); do
		timed prollyfs "history of a key" "$n" "" ctl main history ns/k0000000
		timed prollyfs "history -n 20" "$n" "" ctl main history -n 20 ns/k0000000
	done
	timed git "history of a key" "$few" "" plain_git log -p ns/k0000000
	timed prollyfs "gc" "$n" "" ctl main -q gc --prune=now
	git_size=$(size_of "$ram/store/git")
	record prollyfs "git repository after gc" "$n" KiB "$git_size" "at most 20480"
}

measure_logs()
{
	long_history "$(git --git-dir "$ram/store/git" rev-parse main)" |
		git --git-dir "$ram/store/git" fast-import --quiet
	long_history "$(plain_git rev-parse main)" | plain_git fast-import --quiet
	# what commits of its own would have left behind
	ctl main -q gc
	plain_git commit-graph write --reachable
	for _ in $(seq "$rounds"); do
		read_history prollyfs "ctl main"
		read_history git plain_git
	done
}

bench_version()
{
	local round

	! $large || VERSION_KEYS=1000000
	ram=$(mktemp -d /dev/shm/prollyfs-bench.XXXXXX)
	mkdir "$ram/mnt"
	say "filling both with $VERSION_KEYS keys"
	fill_ours
	fill_git
	for round in $(seq "$rounds"); do
		say "round $round"
		round_of_ours "$round"
		round_of_git "$round"
	done
	say "other programs"
	measure_packages
	say "branches"
	measure_branches
	measure_chain
	say "history"
	measure_commits
	measure_logs
}
