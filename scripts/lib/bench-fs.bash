# SPDX-License-Identifier: Apache-2.0
# scripts/bench fs: the mount and the bulk paths, in multiples of what others take. Sourced by
# scripts/bench, which has record, fsloop and $scratch. The peers:
#
#   floor           tests/bench/floorfs, which does no work: what any FUSE server pays
#   passthrough_hp  libfuse's, over tmpfs
#   prollyfs        with default options; -spin: with spin=50
#   ext4            a loop device in memory, for what is synced; tmpfs: without a mount
#
# All stores and peers are in memory (/dev/shm), so that no disk is measured, but for what says so.

FS_FILES=10000      # small files
FS_FILE_SIZE=100    # bytes of each
FS_DIRECTORY=100000 # keys in one directory
FS_ENTRIES=1000000  # entries loaded
FS_LARGE_MIB=1024   # of the large file
FS_PAGES=20000      # of it, read or overwritten at random
FS_CLIENTS=64       # processes at a time
FS_OPEN=19000       # files open at a time: the limit is often 20,000
FS_COUNTED=1000     # small files, to count what the kernel asks for
FS_MANY=10000000    # entries loaded with --large
FS_IDLE=10          # seconds that nobody asks for anything

# What an entry of fsloop has: a key of 24 bytes and a value of 100.
FS_ENTRY_SIZE=124

# The peer: libfuse's example, from the source package of the libfuse that is installed.
build_passthrough_hp()
{
	local sources=$1 uri

	passthrough_hp=$sources/passthrough_hp
	[ ! -x "$passthrough_hp" ] || return 0
	say "building libfuse's passthrough_hp"
	mkdir -p "$sources/lists/partial"
	apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
		grep -i debian | sort -u >"$sources/sources.list"
	fetch_and_compile "$sources" >"$sources/log" 2>&1 || die "passthrough_hp: $(tail -3 "$sources/log")"
}

fetch_and_compile()
{
	local options=(-q -o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=-
		-o "Dir::State::Lists=$1/lists" -o APT::Sandbox::User=root)

	(cd "$1" && as_root apt-get "${options[@]}" update &&
		as_root apt-get "${options[@]}" source --download-only fuse3) &&
		tar -C "$1" -xf "$(find "$1" -name 'fuse3_*.orig.tar.*' ! -name '*.asc')" &&
		g++ -O2 -std=c++11 -D_GNU_SOURCE -DHAVE_STRUCT_STAT_ST_ATIM \
			"$(find "$1" -name passthrough_hp.cc)" \
			$(pkg-config --cflags --libs fuse3) -o "$1/passthrough_hp"
}

# ---- Mounts --------------------------------------------------------------------------------------

# mount_peer PEER: mounts it, and says in $place where files go.
mount_peer()
{
	place=$ram/mnt/ns
	case $1 in
	floor) mount_and_wait "$programs/floorfs" "$ram/mnt" ;;
	passthrough_hp) mount_and_wait "$passthrough_hp" "$ram/source" "$ram/mnt" ;;
	prollyfs) mount_ours create ;;
	prollyfs-spin) mount_ours create,spin=50 ;;
	ext4) mount -o loop "$ram/ext4" "$ram/mnt" ;;
	tmpfs) place=$ram/plain/ns ;;
	esac
	mkdir -p "$place"
}

mount_ours()
{
	"$programs/prollyfs" -o "$1" "$ram/store" "$ram/mnt"
	place=$ram/mnt/main/ns
}

# Servers that may return before they are mounted, or stay in the foreground.
mount_and_wait()
{
	"$@" &
	until mountpoint -q "$ram/mnt"; do
		sleep 0.05
	done
}

unmount_peer()
{
	case $1 in
	tmpfs) return ;;
	ext4) umount "$ram/mnt" ;;
	*) fusermount3 -u "$ram/mnt" ;;
	esac
	while pgrep -f "^$programs/(prollyfs|floorfs) .*$ram" >/dev/null; do
		sleep 0.05
	done
}

# remount_peer PEER: so that nothing is cached. What the floor has would be gone: it is only
# forgotten by the kernel.
remount_peer()
{
	case $1 in
	floor | tmpfs) as_root sh -c 'echo 3 >/proc/sys/vm/drop_caches' ;;
	*)
		unmount_peer "$1"
		mount_peer "$1"
		;;
	esac
}

fresh_peer()
{
	rm -rf "$ram/store" "$ram/source" "$ram/plain"
	mkdir -p "$ram/source" "$ram/plain"
	if [ "$1" = ext4 ]; then
		truncate -s 4G "$ram/ext4"
		mkfs.ext4 -q -F "$ram/ext4"
	fi
	mount_peer "$1"
}

# ---- Workloads -----------------------------------------------------------------------------------

# measure PEER WORKLOAD N COMMAND...: seconds.
measure()
{
	local peer=$1 workload=$2 n=$3

	shift 3
	record "$peer" "$workload" "$n" s "$(fsloop "$@")"
}

small_files()
{
	local peer=$1 n=$FS_FILES

	fresh_peer "$peer"
	measure "$peer" create "$n" create "$place" "$n" "$FS_FILE_SIZE"
	remount_peer "$peer"
	measure "$peer" lstat_cold "$n" stat "$place" "$n"
	measure "$peer" lstat_warm "$n" stat "$place" "$n"
	remount_peer "$peer"
	measure "$peer" read_cold "$n" read "$place" "$n"
	measure "$peer" read_warm "$n" read "$place" "$n"
	remount_peer "$peer"
	measure "$peer" grep_r_cold "$n" run sh -c "grep -r 'not in there' '$place'; true"
	measure "$peer" grep_r_warm "$n" run sh -c "grep -r 'not in there' '$place'; true"
	measure "$peer" rewrite "$n" rewrite "$place" "$n" "$FS_FILE_SIZE"
	measure "$peer" replace "$n" replace "$place" "$n" "$FS_FILE_SIZE"
	[ "$peer" = passthrough_hp ] || # which answers EIO: it opens without the right to read
		measure "$peer" append "$n" append "$place" "$n" "$FS_FILE_SIZE"
	unmount_peer "$peer"
}

# Archives, copies and a repository, as people move them.
trees()
{
	local peer=$1 n=$FS_FILES but_times=

	# It refuses to set times, one by one, and copies all the same.
	[ "$peer" != passthrough_hp ] || but_times='2>/dev/null || true'
	fresh_peer "$peer"
	measure "$peer" tar_x "$n" run sh -c "tar -C '$place' -xf '$ram/files.tar' $but_times"
	measure "$peer" cp_a "$n" run sh -c "cp -a '$place/files' '$place/copy' $but_times"
	remount_peer "$peer"
	measure "$peer" rm_r "$n" run rm -r "$place/copy"
	[ "$peer" = passthrough_hp ] || repository "$peer" # on which git cannot write: no times
	unmount_peer "$peer"
}

repository()
{
	measure "$1" git_clone "$FS_FILES" run git clone -q "$ram/repository" "$place/clone"
	run_status_twice "$place/clone" # git writes its index anew at first
	measure "$1" git_status "$FS_FILES" run git -C "$place/clone" status
}

run_status_twice()
{
	git -C "$1" status >/dev/null
	git -C "$1" status >/dev/null
}

# What trees() needs: an archive of small files, and a repository of them.
prepare_trees()
{
	mkdir "$ram/files"
	fsloop create "$ram/files" "$FS_FILES" "$FS_FILE_SIZE" >/dev/null
	tar -C "$ram" -cf "$ram/files.tar" files
	git init -q "$ram/repository"
	mv "$ram/files" "$ram/repository/"
	git -C "$ram/repository" add .
	git -C "$ram/repository" -c user.name=bench -c user.email=bench@example.org commit -q -m files
}

synced_files()
{
	local peer=$1 n=$((FS_FILES / 10))

	fresh_peer "$peer"
	measure "$peer" create_synced "$n" create-sync "$place" "$n" "$FS_FILE_SIZE"
	measure "$peer" replace_synced "$n" replace-sync "$place" "$n" "$FS_FILE_SIZE"
	unmount_peer "$peer"
}

list_directory()
{
	local peer=$1 n=$2

	fresh_peer "$peer"
	fill_directory "$peer" "$n"
	remount_peer "$peer"
	measure "$peer" ls_l_cold "$n" run ls -l "$place"
	measure "$peer" ls_l_warm "$n" run ls -l "$place"
	measure "$peer" list "$n" list "$place"
	unmount_peer "$peer"
}

# fill_directory PEER N: empty files; into ours by load, which makes no difference to who lists them.
fill_directory()
{
	case $1 in
	prollyfs*) seq -f 'user_%08.0f_profile_nm' "$2" | sed 's/$/\t/' |
		"$programs/prollyfs-ctl" -C "$ram/mnt/main" -q load ns ;;
	*) (cd "$place" && seq -f 'user_%08.0f_profile_nm' "$2" | xargs touch) ;;
	esac
}

large_file()
{
	local peer=$1 n=$FS_LARGE_MIB seconds

	fresh_peer "$peer"
	seconds=$(fsloop write "$place/large" "$n")
	record "$peer" write_large "$n" MiB/s "$(per_second "$n" "$seconds")"
	remount_peer "$peer"
	seconds=$(fsloop scan "$place/large")
	record "$peer" read_large_cold "$n" MiB/s "$(per_second "$n" "$seconds")"
	seconds=$(fsloop scan "$place/large")
	record "$peer" read_large_warm "$n" MiB/s "$(per_second "$n" "$seconds")"
	remount_peer "$peer"
	measure "$peer" read_pages "$FS_PAGES" peek "$place/large" "$FS_PAGES"
	measure "$peer" overwrite_pages "$FS_PAGES" poke "$place/large" "$FS_PAGES"
	unmount_peer "$peer"
}

# bulk_load ENTRIES-FILE: into RocksDB, by prollyfs-ctl in its own process.
bulk_load()
{
	local ctl="$programs/prollyfs-ctl -C $scratch/store" seconds disk

	rm -rf "$scratch/store"
	"$programs/prollyfs-ctl" init "$scratch/store" >/dev/null
	seconds=$(fsloop run sh -c "$ctl -q load --format nul ns <'$1'")
	record prollyfs load "$FS_ENTRIES" entries/s "$(per_second "$FS_ENTRIES" "$seconds")"
	record prollyfs commit_all "$FS_ENTRIES" s "$(fsloop run $ctl -q commit -m all)"
	disk=$(du -s --apparent-size -B1 "$scratch/store" | cut -f1)
	record prollyfs disk_ratio "$FS_ENTRIES" "of raw" \
		"$(awk "BEGIN { print $disk / ($FS_ENTRIES * $FS_ENTRY_SIZE) }")"
}

# commit_one N: one changed key among N, in a mounted store.
commit_one()
{
	local n=$1 round ctl="$programs/prollyfs-ctl -C $scratch/mnt/main"

	rm -rf "$scratch/store"
	"$programs/prollyfs" -o create "$scratch/store" "$scratch/mnt"
	"$programs/fsloop" entries "$n" | $ctl -q load --format nul ns
	$ctl -q commit -m base
	for round in 1 2 3 4 5 6 7; do
		$ctl put "ns/user/$(printf %08d $((n / 9 * round * 2)))/profile/nm" "changed in round $round"
		record prollyfs commit_one "$n" ms \
			"$(awk "BEGIN { print 1000 * $(fsloop run $ctl -q --work commit -m one 2>"$scratch/work") }")"
		record prollyfs commit_one_bytes "$n" bytes "$(jq .bytes_written "$scratch/work")"
	done
	unmount_now
}

memory_after_load()
{
	local pid

	rm -rf "$scratch/store"
	"$programs/prollyfs" -o create "$scratch/store" "$scratch/mnt"
	pid=$(pgrep -f "^$programs/prollyfs .*$scratch")
	"$programs/fsloop" entries "$FS_MANY" |
		"$programs/prollyfs-ctl" -C "$scratch/mnt/main" -q load --format nul ns
	record prollyfs memory_loaded "$FS_MANY" MiB "$(memory_of "$pid" VmRSS)" "cache of 256 MiB"
	record prollyfs memory_peak "$FS_MANY" MiB "$(memory_of "$pid" VmHWM)" "cache of 256 MiB"
	"$programs/prollyfs-ctl" -C "$scratch/mnt/main" -q commit -m all
	record prollyfs memory_committed "$FS_MANY" MiB "$(memory_of "$pid" VmRSS)" "cache of 256 MiB"
	record prollyfs memory_committed_peak "$FS_MANY" MiB "$(memory_of "$pid" VmHWM)" "cache of 256 MiB"
	unmount_now
}

# list_many: the names of a directory of very many keys, by who has just mounted.
list_many()
{
	local pid

	fresh_peer prollyfs
	fill_directory prollyfs "$FS_MANY"
	remount_peer prollyfs
	pid=$(pgrep -f "^$programs/prollyfs .*$ram")
	record prollyfs list_many "$FS_MANY" entries/s \
		"$(per_second "$FS_MANY" "$(fsloop list "$place")")"
	record prollyfs list_many_peak "$FS_MANY" MiB "$(memory_of "$pid" VmHWM)" "cache of 256 MiB"
	unmount_peer prollyfs
}

# idle: what a mount takes of the processor that was used, and is not any more.
idle()
{
	local pid before

	fresh_peer prollyfs
	fsloop create "$place" "$FS_COUNTED" "$FS_FILE_SIZE" >/dev/null
	pid=$(pgrep -f "^$programs/prollyfs .*$ram")
	sleep 1
	before=$(ticks_of "$pid")
	sleep "$FS_IDLE"
	record prollyfs idle "$FS_IDLE" "ms of processor" \
		"$((($(ticks_of "$pid") - before) * 1000 / $(getconf CLK_TCK)))"
	unmount_peer prollyfs
}

# ticks_of PID: of the processor, so far.
ticks_of()
{
	sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

memory_of()
{
	awk -v field="$2:" '$1 == field { printf "%.1f\n", $2 / 1024 }' "/proc/$1/status"
}

per_second()
{
	awk "BEGIN { print $1 / $2 }"
}

# ---- Load ----------------------------------------------------------------------------------------

# record_latency WORKLOAD N: what making files took meanwhile, request by request, since the mount.
record_latency()
{
	awk -v workload="$1" -v n="$2" '
		$1 == "request" && $2 ~ /^(lookup|create|write|flush|release|getattr)$/ {
			printf "prollyfs\t%s_%s\t%d\tus p99\t%s\t%d requests, median %s, longest %s\n",
				workload, $2, n, $6, $3, $5, $7
		}' "$ram/mnt/.prollyfs/stats" >>"$scratch/figures"
}

# One client makes files while a million keys, which were loaded into its branch, are committed.
under_commit()
{
	local ctl="$programs/prollyfs-ctl -C $ram/mnt/main" committer i=0

	fresh_peer prollyfs
	"$programs/fsloop" entries "$FS_ENTRIES" | $ctl -q load --format nul loaded
	remount_peer prollyfs
	$ctl -q commit -m all &
	committer=$!
	while [ -d "/proc/$committer" ] && [ "$(ps -o stat= -p "$committer")" != Z ]; do
		mkdir "$place/$((++i))"
		fsloop create "$place/$i" "$FS_COUNTED" "$FS_FILE_SIZE" >/dev/null
	done
	wait "$committer"
	record_latency under_commit "$FS_ENTRIES"
	unmount_peer prollyfs
}

# Many processes, each with files of its own.
under_clients()
{
	local clients=() i

	fresh_peer prollyfs
	for i in $(seq "$FS_CLIENTS"); do
		mkdir "$place/$i"
		fsloop create "$place/$i" "$((FS_FILES / FS_CLIENTS))" "$FS_FILE_SIZE" >/dev/null &
		clients+=($!)
	done
	wait "${clients[@]}"
	record_latency under_clients "$FS_CLIENTS"
	unmount_peer prollyfs
}

# What the daemon takes for each file that is open and written to.
under_handles()
{
	local pid before

	fresh_peer prollyfs
	pid=$(pgrep -f "^$programs/prollyfs .*$ram")
	fsloop create "$place" "$FS_OPEN" "$FS_FILE_SIZE" >/dev/null
	before=$(memory_of "$pid" VmRSS)
	fsloop hold "$place" "$FS_OPEN" grep VmRSS "/proc/$pid/status" >/dev/null
	record prollyfs open_files_peak "$FS_OPEN" MiB "$(memory_of "$pid" VmHWM)" "$before before"
	unmount_peer prollyfs
}

# ---- What the kernel asks for -----------------------------------------------------------------------

# requests_so_far: of the mount, "operation number" a line.
requests_so_far()
{
	awk '$1 == "request" { print $2, $3 }' "$ram/mnt/.prollyfs/stats"
}

# count_requests WORKLOAD COMMAND...: how many the kernel makes for each file, in all and of each kind.
count_requests()
{
	local workload=$1 n=$FS_COUNTED

	shift
	requests_so_far >"$scratch/requests"
	fsloop "$@" >/dev/null
	requests_so_far | awk -v n="$n" -v workload="$workload" '
		NR == FNR { before[$1] = $2; next }
		{ each = ($2 - before[$1]) / n; if (each >= 0.01) { all += each; note = note sprintf(" %s %.4g", $1, each) } }
		END { printf "prollyfs\t%s_requests\t%d\ta file\t%.4g\t%s\n", workload, n, all, substr(note, 2) }
		' "$scratch/requests" - >>"$scratch/figures"
}

requests_of_workloads()
{
	local n=$FS_COUNTED

	fresh_peer prollyfs
	count_requests create create "$place" "$n" "$FS_FILE_SIZE"
	remount_peer prollyfs
	count_requests lstat_cold stat "$place" "$n"
	count_requests lstat_warm stat "$place" "$n"
	remount_peer prollyfs
	count_requests read_cold read "$place" "$n"
	count_requests read_warm read "$place" "$n"
	remount_peer prollyfs
	count_requests grep_r_cold run sh -c "grep -r 'not in there' '$place'; true"
	count_requests grep_r_warm run sh -c "grep -r 'not in there' '$place'; true"
	count_requests ls_l run ls -lR "$place"
	count_requests rewrite rewrite "$place" "$n" "$FS_FILE_SIZE"
	count_requests replace replace "$place" "$n" "$FS_FILE_SIZE"
	count_requests append append "$place" "$n" "$FS_FILE_SIZE"
	tar -C "$place" -cf "$ram/counted.tar" .
	mkdir "$place/tar"
	count_requests tar_x run tar -C "$place/tar" -xf "$ram/counted.tar"
	count_requests cp_a run cp -a "$place/tar" "$place/copy"
	count_requests rm_r run rm -r "$place/copy"
	unmount_peer prollyfs
}

# ---- All of it -----------------------------------------------------------------------------------

unmount_now()
{
	fusermount3 -u "$scratch/mnt"
	while pgrep -f "^$programs/prollyfs .*$scratch" >/dev/null; do
		sleep 0.05
	done
}

# each_peer FUNCTION PEERS [ARGUMENT...]: in turn, round after round.
each_peer()
{
	local function=$1 peers=$2 peer round

	shift 2
	for round in $(seq "$rounds"); do
		say "round $round of $rounds: $function $*"
		for peer in $peers; do
			"$function" "$peer" "$@"
		done
	done
}

bench_fs()
{
	local round servers='floor passthrough_hp prollyfs prollyfs-spin'

	build_passthrough_hp "$TOP/build-bench/peers"
	ulimit -n "$(ulimit -H -n)" # passthrough_hp has a descriptor for each file
	ram=$(mktemp -d /dev/shm/prollyfs-bench.XXXXXX)
	mkdir "$ram/mnt" "$scratch/mnt"

	say "what the kernel asks for"
	requests_of_workloads
	say "under load"
	under_commit
	under_clients
	under_handles
	idle
	each_peer small_files "$servers"
	prepare_trees
	each_peer trees "$servers"
	[ "$(id -u)" -ne 0 ] || each_peer synced_files 'ext4 prollyfs'
	each_peer list_directory "tmpfs floor prollyfs" "$FS_FILES"
	each_peer list_directory "tmpfs floor prollyfs" "$FS_DIRECTORY"
	each_peer large_file 'passthrough_hp prollyfs'

	"$programs/fsloop" entries "$FS_ENTRIES" >"$scratch/entries"
	for round in $(seq "$rounds"); do
		say "round $round of $rounds: load of $FS_ENTRIES"
		bulk_load "$scratch/entries"
	done
	rm "$scratch/entries"

	say "commits of one key"
	commit_one 1000
	commit_one "$FS_ENTRIES"

	if $large; then
		say "load of $FS_MANY"
		memory_after_load
		say "a directory of $FS_MANY"
		list_many
	fi
}
