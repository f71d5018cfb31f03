# SPDX-License-Identifier: Apache-2.0
# scripts/bench fs: the mount and the bulk paths, beside libfuse's passthrough_hp over tmpfs and
# beside tmpfs itself. Sourced by scripts/bench, which has record, fsloop and $scratch.

FS_FILES=10000      # small files created, read, removed
FS_FILE_SIZE=100    # bytes of each
FS_DIRECTORY=100000 # keys in one directory
FS_ENTRIES=1000000  # entries loaded
FS_LARGE_MIB=1024   # of the large file
FS_MANY=10000000    # entries loaded with --large

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

mount_prollyfs()
{
	"$programs/prollyfs" -o create "$scratch/store" "$scratch/mnt"
}

mount_passthrough()
{
	"$passthrough_hp" "$ram/source" "$scratch/mnt"
	until mountpoint -q "$scratch/mnt"; do # it may return before
		sleep 0.05
	done
}

# unmount_now: and wait until the store is closed, so that the next mount is cold.
unmount_now()
{
	fusermount3 -u "$scratch/mnt"
	while pgrep -f "^$programs/prollyfs .*$scratch" >/dev/null; do
		sleep 0.05
	done
}

fresh_store()
{
	rm -rf "$scratch/store"
}

# ---- Workloads -----------------------------------------------------------------------------------

# small_files PEER MOUNT-FUNCTION DIRECTORY
small_files()
{
	local peer=$1 mount=$2 directory=$3

	"$mount"
	mkdir -p "$directory"
	record "$peer" create_files "$FS_FILES" s "$(fsloop create "$directory" "$FS_FILES" "$FS_FILE_SIZE")"
	unmount_now
	"$mount"
	record "$peer" read_files_cold "$FS_FILES" s "$(fsloop read "$directory" "$FS_FILES")"
	record "$peer" read_files_warm "$FS_FILES" s "$(fsloop read "$directory" "$FS_FILES")"
	record "$peer" rm_r "$FS_FILES" s "$(fsloop run rm -r "$directory")"
	unmount_now
}

large_file()
{
	local peer=$1 mount=$2 file=$3 seconds

	"$mount"
	mkdir -p "$(dirname "$file")"
	seconds=$(fsloop write "$file" "$FS_LARGE_MIB")
	record "$peer" write_large "$FS_LARGE_MIB" MiB/s "$(per_second "$FS_LARGE_MIB" "$seconds")"
	unmount_now
	"$mount"
	seconds=$(fsloop scan "$file")
	record "$peer" read_large_cold "$FS_LARGE_MIB" MiB/s "$(per_second "$FS_LARGE_MIB" "$seconds")"
	rm "$file"
	unmount_now
}

list_directory()
{
	local peer=$1 directory=$2

	record "$peer" ls_l_cold "$FS_DIRECTORY" s "$(fsloop run ls -l "$directory")"
	record "$peer" ls_l_warm "$FS_DIRECTORY" s "$(fsloop run ls -l "$directory")"
}

directories()
{
	fresh_store
	mount_prollyfs
	"$programs/fsloop" entries "$FS_DIRECTORY" | tr / _ |
		"$programs/prollyfs-ctl" -C "$scratch/mnt/main" -q load --format nul ns
	unmount_now
	mount_prollyfs
	list_directory prollyfs "$scratch/mnt/main/ns"
	unmount_now

	mkdir "$ram/flat"
	(cd "$ram/flat" && seq -f 'user_%08.0f_profile_nm' "$FS_DIRECTORY" | xargs touch)
	list_directory tmpfs "$ram/flat"
	rm -r "$ram/flat"
}

# bulk_load ENTRIES-FILE: into RocksDB, by prollyfs-ctl in its own process.
bulk_load()
{
	local ctl="$programs/prollyfs-ctl -C $scratch/store" seconds disk

	fresh_store
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

	fresh_store
	mount_prollyfs
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

	fresh_store
	mount_prollyfs
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

memory_of()
{
	awk -v field="$2:" '$1 == field { printf "%.1f\n", $2 / 1024 }' "/proc/$1/status"
}

per_second()
{
	awk "BEGIN { print $1 / $2 }"
}

# ---- All of it -----------------------------------------------------------------------------------

bench_fs()
{
	local round

	build_passthrough_hp "$TOP/build-bench/peers"
	ram=$(mktemp -d /dev/shm/prollyfs-bench.XXXXXX)
	mkdir "$ram/source" "$scratch/mnt"

	for round in $(seq "$rounds"); do
		say "round $round of $rounds: $FS_FILES small files"
		fresh_store
		small_files prollyfs mount_prollyfs "$scratch/mnt/main/ns"
		small_files passthrough_hp mount_passthrough "$scratch/mnt/ns"
		say "round $round of $rounds: a directory of $FS_DIRECTORY"
		directories
	done

	"$programs/fsloop" entries "$FS_ENTRIES" >"$scratch/entries"
	for round in $(seq "$rounds"); do
		say "round $round of $rounds: load of $FS_ENTRIES"
		bulk_load "$scratch/entries"
	done
	rm "$scratch/entries"

	say "commits of one key"
	commit_one 1000
	commit_one "$FS_ENTRIES"

	for round in $(seq "$rounds"); do
		say "round $round of $rounds: a file of $FS_LARGE_MIB MiB"
		fresh_store
		large_file prollyfs mount_prollyfs "$scratch/mnt/main/ns/large"
		large_file passthrough_hp mount_passthrough "$scratch/mnt/large"
	done

	if $large; then
		say "load of $FS_MANY"
		memory_after_load
	fi
}
