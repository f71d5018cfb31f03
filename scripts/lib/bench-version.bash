# SPDX-License-Identifier: Apache-2.0
# scripts/bench version: branches, commits, merges and history, from the shell, beside git with a file
# for each key. Sourced by scripts/bench, which has record and $scratch. Both are in memory
# (/dev/shm): what is measured is work, not a disk. Times are of whole commands, their start included.

VERSION_KEYS=100000    # with --large a million
VERSION_CHANGES=100    # keys changed between two commits
VERSION_BRANCHES=100   # made by mkdir
VERSION_COMMITS=1000   # of a few keys each, for history and blame; with --large 10 000. git makes
                       # a tenth of them: it looks at every file for each
VERSION_LONG=100000    # commits of a history that is only read as a log

# timed PEER WORKLOAD N COMMAND...: records how many milliseconds it takes.
timed()
{
	local peer=$1 workload=$2 n=$3 start end
	shift 3
	start=${EPOCHREALTIME/./}
	"$@" >"$scratch/output" || die "$peer: $*"
	end=${EPOCHREALTIME/./}
	record "$peer" "$workload" "$n" ms "$(awk "BEGIN { print ($end - $start) / 1000 }")"
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

# ---- The two -------------------------------------------------------------------------------------

list_keys()
{
	awk "BEGIN { for (i = 0; i < $VERSION_KEYS; i++) printf \"k%07d\tvalue %d\n\", i, i }"
}

fill_ours()
{
	"$programs/prollyfs" -o create "$ram/store" "$ram/mnt"
	list_keys >"$ram/keys"
	timed prollyfs "load" "$VERSION_KEYS" ctl main load ns <"$ram/keys"
	timed prollyfs "first commit" "$VERSION_KEYS" ctl main -q commit -m first
}

fill_git()
{
	git init -q -b main "$ram/plain"
	mkdir "$ram/plain/ns"
	timed git "load" "$VERSION_KEYS" python3 -c '
import sys
for line in sys.stdin:
    key, value = line.rstrip("\n").split("\t")
    with open(f"{sys.argv[1]}/{key}", "w") as file:
        file.write(value)' "$ram/plain/ns" <"$ram/keys"
	timed git "first commit" "$VERSION_KEYS" eval 'plain_git add ns && plain_git commit -qm first'
}

round_of_ours()
{
	local n=$VERSION_CHANGES main=$ram/mnt/main/ns

	change "$main" "$1"
	timed prollyfs "diff" "$n" ctl main diff
	timed prollyfs "status" "$n" ctl main status
	timed prollyfs "commit" "$n" ctl main -q commit -m one
	timed prollyfs "show" "$n" ctl main show
	timed prollyfs "branch" 1 mkdir "$ram/mnt/side$1"
	change "$ram/mnt/side$1/ns" $(($1 + 100))
	ctl "side$1" -q commit -m side
	change "$main" $(($1 + 200))
	ctl main -q commit -m main
	timed prollyfs "merge" "$((2 * n))" ctl main -q merge "side$1"
}

round_of_git()
{
	local n=$VERSION_CHANGES main=$ram/plain/ns

	change "$main" "$1"
	timed git "diff" "$n" plain_git diff
	timed git "status" "$n" plain_git status
	timed git "commit" "$n" plain_git commit -qam one
	timed git "show" "$n" plain_git show
	timed git "branch" 1 plain_git switch -qc "side$1"
	change "$main" $(($1 + 100))
	plain_git commit -qam side
	plain_git switch -q main
	change "$main" $(($1 + 200))
	plain_git commit -qam main
	timed git "merge" "$((2 * n))" plain_git merge -q -m merge "side$1"
}

# ---- History -------------------------------------------------------------------------------------

make_branches()
{
	local i
	for ((i = 0; i < VERSION_BRANCHES; i++)); do
		mkdir "$ram/mnt/branch$i"
	done
}

# make_commits PEER DIRECTORY N: of three keys each, one of them k0000000 in every tenth.
make_commits()
{
	local i key
	exec 4>"$ram/mnt/main/.prollyfs/ctl"
	for ((i = 0; i < $3; i++)); do
		for key in $((i * 7919)) $((i * 104729)) $((i % 10 ? i : 0)); do
			echo "$i" >"$2/k$(printf %07d $((key % VERSION_KEYS)))"
		done
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
	timed "$peer" "log -n 20" "$VERSION_LONG" $log log -n 20 long
	timed "$peer" "log -n 20 --graph" "$VERSION_LONG" $log log -n 20 --graph long
	timed "$peer" "log" "$VERSION_LONG" $log log --oneline long
	timed "$peer" "log A..B" 100 $log log --oneline long~100..long
}

measure_history()
{
	local before n

	before=$(du -sk "$ram/store" | cut -f1)
	timed prollyfs "branches by mkdir" "$VERSION_BRANCHES" make_branches
	record prollyfs "bytes of them" "$VERSION_BRANCHES" KiB $(($(du -sk "$ram/store" | cut -f1) - before))
	n=$((VERSION_COMMITS / 10))
	timed prollyfs "commits of 3 keys" "$n" make_commits prollyfs "$ram/mnt/main/ns" "$n"
	timed git "commits of 3 keys" "$n" make_commits git "$ram/plain/ns" "$n"
	timed prollyfs "history of a key" "$n" ctl main history ns/k0000000
	timed git "history of a key" "$n" plain_git log -p ns/k0000000
	n=$VERSION_COMMITS
	timed prollyfs "commits of 3 keys" "$n" make_commits prollyfs "$ram/mnt/main/ns" "$n"
	timed prollyfs "history of a key" "$n" ctl main history ns/k0000000
	timed prollyfs "blame of all keys" "$VERSION_KEYS" ctl main blame ns
	long_history "$(git --git-dir "$ram/store/git" rev-parse main)" |
		git --git-dir "$ram/store/git" fast-import --quiet
	long_history "$(plain_git rev-parse main)" | plain_git fast-import --quiet
	for _ in $(seq "$rounds"); do
		read_history prollyfs "ctl main"
		read_history git plain_git
	done
}

bench_version()
{
	local round

	! $large || { VERSION_KEYS=1000000 VERSION_COMMITS=10000; }
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
	say "history"
	measure_history
}
