# SPDX-License-Identifier: Apache-2.0
# Promise: a store is mounted by one command that says what is wrong, and unmounted by the usual ones.
load common

# mount_here ARGUMENT...: prollyfs as a user calls it, in the background; $status and $output.
mount_here()
{
	need_fuse
	run "$PROLLYFS" "$@" 3>&-
	DAEMON=$(daemon_on "$MNT") && DAEMONS+=("$DAEMON") || true
}

# How the kernel says it is mounted.
mountpoint_options()
{
	awk -v at="$MNT" '$5 == at { print $6 }' /proc/self/mountinfo
}

@test "returns when the mount answers, and leaves a daemon" {
	mount_here -o create "$STORE" "$MNT"
	status_is 0
	is "$output" ""
	is_mounted "$MNT"
	is "$(ls "$MNT")" main
	fusermount3 -u "$MNT"
	wait_for 120 gone "$DAEMON"
	run is_mounted "$MNT"
	status_is 1
}

@test "shows branches, and hides .prollyfs, which can be entered" {
	mount_store
	is "$(ls -A "$MNT")" main
	is "$(ls -A "$MNT/main")" ""
	[ -d "$MNT/.prollyfs" ]
	[ -d "$MNT/main/.prollyfs" ]
	is "$(cd "$MNT/.prollyfs" && pwd)" "$MNT/.prollyfs"
	is "$(find "$MNT" | sort)" "$MNT
$MNT/main"
}

@test "a namespace has no .prollyfs of its own" {
	mount_store
	mkdir "$MNT/main/ns"
	missing "$MNT/main/ns/.prollyfs"
	echo mine >"$MNT/main/ns/.prollyfs"
	file_is "$MNT/main/ns/.prollyfs" mine
	is "$(ls -A "$MNT/main/ns")" .prollyfs
}

@test "is listed as fuse.prollyfs with its store, nosuid and nodev" {
	mount_store
	run findmnt -n -o FSTYPE,SOURCE "$MNT"
	status_is 0
	output_has fuse.prollyfs
	output_has "$STORE"
	run findmnt -n -o OPTIONS "$MNT"
	output_has nosuid
	output_has nodev
}

@test "what was written is there after unmounting and mounting again" {
	mount_store
	mkdir "$MNT/main/ns"
	echo one >"$MNT/main/ns/key"
	remount
	file_is "$MNT/main/ns/key" one
}

@test "mounts again at once while the last daemon is just going away" {
	mount_store
	echo one >"$MNT/main/key"
	fusermount3 -u "$MNT"
	mount_here "$STORE" "$MNT"
	status_is 0
	file_is "$MNT/main/key" one
}

@test "SIGTERM unmounts" {
	mount_store
	kill "$DAEMON"
	wait_for 120 gone "$DAEMON"
	wait "$DAEMON"
	run is_mounted "$MNT"
	status_is 1
}

@test "SIGTERM detaches, and serves an open file until it is closed" {
	mount_store
	mkdir "$MNT/main/ns"
	exec 4>"$MNT/main/ns/key"
	echo before >&4
	kill "$DAEMON"
	wait_for 120 not_mounted
	echo after >&4
	kill -0 "$DAEMON"
	exec 4>&-
	wait_for 120 gone "$DAEMON"
	mount_store
	file_is "$MNT/main/ns/key" "before
after"
}

not_mounted()
{
	! is_mounted "$MNT"
}

@test "umount unmounts too" {
	need_root
	mount_store
	umount "$MNT"
	wait_for 120 gone "$DAEMON"
	wait "$DAEMON"
}

@test "mount(8) mounts it, with the options that fstab adds" {
	need_root
	need_fuse
	ctl . init "$STORE"
	# with PROGRAM# before the store, the program need not be in mount's own PATH
	mount -t fuse -o rw,nofail,_netdev,x-systemd.automount,noatime "$PROLLYFS#$STORE" "$MNT" 3>&-
	is_mounted "$MNT"
	DAEMONS+=("$(daemon_on "$MNT")")
	echo one >"$MNT/main/key"
	file_is "$MNT/main/key" one
}

@test "remounted read-only and back, with the options that mount(8) hands over" {
	need_root
	mount_store
	echo one >"$MNT/main/key"
	"$PROLLYFS" -o remount,ro,noexec,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions,allow_other \
		"$STORE" "$MNT"
	mountpoint_options | grep -qw ro
	mountpoint_options | grep -qw noexec
	if echo two 2>/dev/null >"$MNT/main/key"; then fail "written"; fi
	file_is "$MNT/main/key" one
	run ctl "$MNT/main" put key two
	status_is 2
	output_has 'the mount is read-only'
	ctl "$MNT/main" log >/dev/null
	"$PROLLYFS" "$STORE" "$MNT" -o rw,remount,exec,user_id=0
	is "$(mountpoint_options | grep -cw noexec)" 0
	echo three >"$MNT/main/key"
	file_is "$MNT/main/key" three
	run "$PROLLYFS" -o remount,ro "$STORE" "$T"
	[ "$status" -ne 0 ]
	unmount
	mount_store "$STORE" "$MNT" -o ro
	run ctl "$MNT/main" put key four
	status_is 2
	"$PROLLYFS" -o remount,rw "$STORE" "$MNT"
	ctl "$MNT/main" put key four
	file_is "$MNT/main/key" four
}

@test "nosuid and nodev, unless the contrary is asked for" {
	need_root
	mount_store
	mountpoint_options | grep -qw nosuid
	mountpoint_options | grep -qw nodev
	unmount
	mount_store "$STORE" "$MNT" -o suid,dev
	is "$(mountpoint_options | grep -cw 'nosuid\|nodev')" 0
}

@test "the value of an option may have commas, escaped or in quotes" {
	for option in 'fsname=a\,b' 'fsname=a\\b' 'fsname="a,b",noatime' 'subtype=x\,suid'; do
		mount_store "$STORE" "$MNT" -o "$option"
		is "$(mountpoint_options | grep -cw suid)" 0
		unmount
	done
	for option in 'fsname="a,b' 'fsname="a,b"c' 'fsname=a"b,c"'; do # quotes that do not end, and some in it
		run "$PROLLYFS" -o "create,$option" "$STORE" "$MNT"
		status_is 2
	done
}

@test "a mount point with spaces and other characters" {
	mkdir "$T/a mount, point"
	mount_store "$STORE" "$T/a mount, point"
	echo one >"$T/a mount, point/main/key"
	file_is "$T/a mount, point/main/key" one
	fusermount3 -u "$T/a mount, point"
	wait_for 120 gone "$DAEMON"
}

@test "relative paths, of the store and the mount point" {
	mount_here -o create store mnt
	status_is 0
	DAEMONS+=("$(daemon_on mnt)")
	echo one >"$MNT/main/key"
	file_is "$MNT/main/key" one
	[ -d "$STORE/git" ]
}

# ---- Usage --------------------------------------------------------------------------------------

@test "--help and --version: on standard output, exit 0" {
	run --separate-stderr "$PROLLYFS" --help
	status_is 0
	output_has "STORE MOUNTPOINT"
	is "$stderr" ""
	for option in create branch rev cache spin ctl_gid max_open uid gid umask ro allow_other; do
		output_has "$option"
	done
	run --separate-stderr "$PROLLYFS" --version
	status_is 0
	[[ $output =~ ^prollyfs\ [0-9]+\.[0-9]+\.[0-9]+ ]] || fail "$output"
	is "$stderr" ""
}

@test "no argument, one, or three: usage on standard error, exit 2" {
	for arguments in "" "$STORE" "$STORE $MNT more"; do
		# shellcheck disable=SC2086
		run --separate-stderr "$PROLLYFS" $arguments
		status_is 2
		is "$output" ""
		isnt "$stderr" ""
	done
	missing "$STORE"
}

@test "an unknown option is named, exit 2, and nothing is made" {
	run "$PROLLYFS" -o create,frobnicate "$STORE" "$MNT"
	status_is 2
	output_has frobnicate
	run "$PROLLYFS" -o create,frobnicate=3 "$STORE" "$MNT"
	status_is 2
	output_has frobnicate
	run "$PROLLYFS" --frobnicate "$STORE" "$MNT"
	status_is 2
	output_has frobnicate
	run "$PROLLYFS" -Z "$STORE" "$MNT"
	status_is 2
	output_has Z
	missing "$STORE"
}

@test "an option whose value is not right is named, exit 2" {
	for option in cache=lots spin=-1 uid=me umask=9 ctl_gid=x max_open=0 branch= rev=; do
		run "$PROLLYFS" -o "create,$option" "$STORE" "$MNT"
		status_is 2
		output_has "${option%%=*}"
	done
	missing "$STORE"
}

@test "options that begin with x- are ignored" {
	mount_store "$STORE" "$MNT" -o x-gvfs-show,x-a.b=c,nofail,_netdev
	is "$(ls "$MNT")" main
}

# ---- What is wrong ------------------------------------------------------------------------------

@test "no store: exit 1, named, and none is made without -o create" {
	mount_here "$STORE" "$MNT"
	status_is 1
	output_has "$STORE"
	missing "$STORE"
	run is_mounted "$MNT"
	status_is 1
}

@test "no mount point: exit 1, named" {
	mount_here -o create "$STORE" "$T/nowhere"
	status_is 1
	output_has "$T/nowhere"
}

@test "a mount point that is a file: exit 1, named" {
	need_fuse
	touch "$T/file"
	mount_here -o create "$STORE" "$T/file"
	status_is 1
	output_has "$T/file"
}

@test "a mount point that is busy: exit 1, named, and the first mount goes on" {
	mount_store
	echo one >"$MNT/main/key"
	run "$PROLLYFS" -o create "$T/other" "$MNT" 3>&-
	status_is 1
	output_has "$MNT"
	file_is "$MNT/main/key" one
	is "$(grep -c " $MNT " /proc/self/mountinfo)" 1
}

@test "a mount point left dead by a crash is cleared" {
	mount_store
	echo one >"$MNT/main/key"
	kill_daemon
	run ls "$MNT"
	output_has "not connected"
	mount_here "$STORE" "$MNT"
	status_is 0
	file_is "$MNT/main/key" one
	is "$(grep -c " $MNT " /proc/self/mountinfo)" 1
}

@test "a store inside its own mount point: exit 1, and nothing is made there" {
	mount_here -o create "$MNT/store" "$MNT"
	status_is 1
	output_has "$MNT"
	is "$(ls -A "$MNT")" ""
	ctl . init "$MNT/store"
	mount_here "$MNT/store" "$MNT"
	status_is 1
	output_has "$MNT"
	run is_mounted "$MNT"
	status_is 1
	ln -s "$MNT/store" "$T/link"
	mount_here "$T/link" "$MNT"
	status_is 1
}

@test "a store that another process has mounted: exit 1 after a while, and it says who" {
	mount_store
	mkdir "$T/second"
	SECONDS=0
	run "$PROLLYFS" "$STORE" "$T/second" 3>&-
	status_is 1
	output_has "$STORE"
	output_has "$DAEMON"
	[ "$SECONDS" -ge 8 ] || fail "waited only $SECONDS s"
	is "$(ls "$MNT")" main
}

# ---- Options ------------------------------------------------------------------------------------

@test "-o ro: everything can be read, nothing changed" {
	mount_store
	mkdir "$MNT/main/ns"
	echo one >"$MNT/main/ns/key"
	remount -o ro
	file_is "$MNT/main/ns/key" one
	is "$(errno_of "open('$MNT/main/ns/key', 'a')")" EROFS
	is "$(errno_of "os.mkdir('$MNT/branch')")" EROFS
	is "$(errno_of "os.unlink('$MNT/main/ns/key')")" EROFS
	run on_main commit -m no
	status_is 2
	run on_main --json status
	status_is 0
}

@test "-o branch=: the branch alone, its namespaces in the root" {
	mount_store
	mkdir "$MNT/main/ns" "$MNT/other" "$MNT/other/ns"
	echo one >"$MNT/main/ns/key"
	echo two >"$MNT/other/ns/key"
	remount -o branch=other
	is "$(ls "$MNT")" ns
	file_is "$MNT/ns/key" two
	echo three >"$MNT/ns/key"
	ctl "$MNT" commit -m three
	is "$(ctl "$MNT" -b other get ns/key)" three
	is "$(ctl "$MNT" --json status | json .branch)" '"other"'
	remount
	file_is "$MNT/main/ns/key" one
	file_is "$MNT/other/ns/key" three
}

@test "-o ro: a control file takes commands by ioctl(2)" {
	mount_store
	remount -o ro
	python3 - "$MNT/.prollyfs/ctl" <<-'EOF'
		import errno, fcntl, os, sys
		fd = os.open(sys.argv[1], os.O_RDONLY)
		give = lambda line: fcntl.ioctl(fd, 1 << 30 | len(line) << 16 | ord("P") << 8 | 1, line)
		give(b"bran")
		give(b"ch\n")
		assert os.read(fd, 100) == b"* main\n"
		try:
		    give(b"branch x\n")
		except OSError as e:
		    assert e.errno == errno.EROFS
		else:
		    raise AssertionError
	EOF
}

@test "-o branch= of none: exit 1, named" {
	ctl . init "$STORE"
	mount_here -o branch=nothing "$STORE" "$MNT"
	status_is 1
	output_has nothing
}

@test "-o rev=: that revision, read-only" {
	mount_store
	mkdir "$MNT/main/ns"
	echo one >"$MNT/main/ns/key"
	commit_all main
	echo two >"$MNT/main/ns/key"
	commit_all main
	remount -o rev=main~1
	is "$(ls "$MNT")" ns
	file_is "$MNT/ns/key" one
	is "$(errno_of "open('$MNT/ns/key', 'w')")" EROFS
}

@test "-o rev=: commands only read" {
	local root
	mount_store
	mkdir "$MNT/main/ns"
	echo one >"$MNT/main/ns/key"
	commit_all main one
	remount -o rev=main
	root=$(root_of "$MNT")
	for words in "put ns/key x" "branch x" "tag x" "gc"; do
		# shellcheck disable=SC2086
		run ctl "$MNT" $words
		status_is 2
		output_has read-only
	done
	run ctl "$MNT" log --oneline
	status_is 0
	output_has one
	is "$(ctl "$MNT" branch)" "  main"
	is "$(root_of "$MNT")" "$root"
	remount
	is "$(root_of "$MNT/main")" "$root"
}

@test "-o rev=: commands are on that revision, from the current directory on" {
	local id
	ctl . init "$STORE"
	ctl "$STORE" put a/k 2
	ctl "$STORE" put a/n new
	ctl "$STORE" -q commit -m then
	id=$(head_of main)
	ctl "$STORE" put a/k 3
	ctl "$STORE" delete a/n
	ctl "$STORE" -q commit -m now
	ctl "$STORE" put a/k staged
	mount_store "$STORE" "$MNT" -o rev=main~1
	is "$(readlink "$MNT/.prollyfs/rev")" "at/$id"
	file_is "$MNT/.prollyfs/rev/a/k" 2
	missing "$MNT/.prollyfs/rev/a/other"
	is "$(ctl "$MNT" get a/k)" 2
	is "$(ctl "$MNT" get a/n)" new
	is "$(ctl "$MNT/a" get n)" new
	is "$(ctl "$MNT/a" ls .)" "k
n"
	is "$(ctl "$MNT/a" ls)" "k
n"
	is "$(ctl "$MNT" --json log -n 1 | json .commit)" "\"$id\""
	is "$(ctl "$MNT" --json show HEAD | head -1 | json .commit)" "\"$id\""
	is "$(root_of "$MNT")" "$(ctl "$STORE" --at "$id" --json root | json .root | tr -d '"')"
	is "$(ctl "$MNT" diff)" ""
	is "$(ctl "$MNT" diff --name-status HEAD main)" "$(ctl "$STORE" diff --name-status main~1 main)"
	is "$(ctl "$MNT" keys-at HEAD)" "a/k
a/n"
	is "$(ctl "$MNT" branch --show-current)" ""
	ctl "$MNT" tag
	ctl "$MNT" gc -n
	ctl "$MNT" fsck
	ctl "$MNT" reflog main
	for words in status conflicts reflog "show HEAD@{1}"; do
		# shellcheck disable=SC2086
		run ctl "$MNT" $words
		status_is 2
		output_has "${id:0:10}"
	done
	# what is named counts for more than the place
	is "$(ctl "$MNT" --at main get a/k)" 3
	is "$(ctl "$MNT" -b main get a/k)" staged
	is "$(ctl "$MNT" -b main status --json | json '.changes | length')" 1
	is "$(ctl "$STORE" get a/k)" staged
}

@test "-o rev= of none: exit 1, named" {
	ctl . init "$STORE"
	mount_here -o rev=nothing~3 "$STORE" "$MNT"
	status_is 1
	output_has nothing~3
}

@test "-o uid, gid and umask: for what has no owner recorded" {
	need_root # or they could not look at it
	ctl . init "$STORE"
	ctl "$STORE" put ns/key value
	ctl "$STORE" commit -m one
	mount_store "$STORE" "$MNT" -o uid=1234,gid=2345,umask=027,allow_other
	is "$(stat -c '%u %g %a' "$MNT/main/ns/key")" "1234 2345 640"
	is "$(stat -c '%u %g %a' "$MNT/main/ns")" "1234 2345 750"
}

@test "-o cache=: the node cache's capacity, as stats says" {
	mount_store "$STORE" "$MNT" -o cache=7M
	is "$(ctl "$MNT" --json stats | json .cache.capacity)" $((7 << 20))
	remount
	is "$(ctl "$MNT" --json stats | json .cache.capacity)" $((256 << 20))
}

@test "a control file that is open and passed on takes no command of somebody else" {
	need_root
	mount_store
	is "$(python3 - "$MNT/.prollyfs/ctl" <<'P'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, b"status\n")
os.setresuid(65534, 65534, 65534)
try:
    os.write(fd, b"status\n")
    print("taken")
except PermissionError:
    print("refused")
P
)" refused
}

@test "-o ctl_gid=: that group may use the control files" {
	mount_store
	is "$(stat -c %a "$MNT/.prollyfs/ctl")" 600
	is "$(stat -c %a "$MNT/.prollyfs")" 700
	remount -o ctl_gid=4321
	is "$(stat -c '%a %g' "$MNT/.prollyfs/ctl")" "660 4321"
	is "$(stat -c '%a %g' "$MNT/.prollyfs")" "750 4321"
	is "$(stat -c '%a %g' "$MNT/main/.prollyfs/ctl")" "660 4321"
}

@test "only the mounting user may enter .prollyfs" {
	need_root
	mount_store "$STORE" "$MNT" -o allow_other
	chmod 755 "$T"
	run setpriv --reuid=65534 --regid=65534 --clear-groups ls "$MNT/.prollyfs"
	isnt "$status" 0
	run setpriv --reuid=65534 --regid=65534 --clear-groups cat "$MNT/.prollyfs/stats"
	isnt "$status" 0
	run setpriv --reuid=65534 --regid=65534 --clear-groups ls "$MNT/main"
	status_is 0
}

@test "-s and spin= change nothing that can be seen" {
	mount_store "$STORE" "$MNT" -s -o spin=50
	mkdir "$MNT/main/ns"
	local writers=()
	for i in 1 2 3 4 5; do
		echo "$i" >"$MNT/main/ns/$i" &
		writers+=($!)
	done
	wait "${writers[@]}"
	is "$(sort "$MNT"/main/ns/* | tr '\n' ' ')" "1 2 3 4 5 "
}

@test "as root, the kernel reads ahead by half a megabyte, where that can be set" {
	mount_store
	local setting
	setting=/sys/class/bdi/$(mountpoint -d "$MNT")/read_ahead_kb
	[ "$(id -u)" = 0 ] && [ -w "$setting" ] || skip "needs root, and sysfs to write to"
	is "$(cat "$setting")" 512
}

@test "-d prints requests" {
	need_fuse
	"$PROLLYFS" -d -o create "$STORE" "$MNT" >"$T/debug.log" 2>&1 3>&- &
	DAEMON=$!
	DAEMONS+=("$DAEMON")
	wait_for 120 answers "$MNT" "$DAEMON"
	ls "$MNT/main" >/dev/null
	unmount
	grep -q LOOKUP "$T/debug.log"
}

# requests_of OPERATION: how many there were, as the mount's stats say.
requests_of()
{
	awk -v operation="$1" '$1 == "request" && $2 == operation { print $3 }' "$MNT/.prollyfs/stats"
}

@test "stats: what the kernel asked for, and what it cost" {
	mount_store
	is "$(requests_of mkdir)" ""
	mkdir "$MNT/main/ns" "$MNT/main/ns/a" "$MNT/main/ns/b"
	is "$(requests_of mkdir)" 3
	rmdir "$MNT/main/ns/b"
	is "$(requests_of mkdir)" 3
	is "$(requests_of rmdir)" 1
	# mean, median, 99th percentile, longest: in order, and none without an answer
	awk '$1 == "request" && !($5 > 0 && $5 <= $6 && $6 <= $7 && $4 > 0 && $4 <= $7) { print; bad = 1 }
		END { exit bad }' "$MNT/.prollyfs/stats"
}

@test "writing again and again asks for nothing but the writes" {
	mount_store
	mkdir "$MNT/main/ns"
	python3 - "$MNT/main/ns/key" <<-'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
		for i in range(200):
		    os.pwrite(fd, b"x", i)
		os.close(fd)
	END
	is "$(requests_of write)" 200
	[ "$(requests_of getxattr)" -lt 10 ]
}

# held: nodes, files and directories that the kernel has of the mount, as its stats say.
held()
{
	awk '$1 == "kernel" { print $3, $6, $9 }' "$MNT/.prollyfs/stats"
}

is_held()
{
	[ "$(held)" = "$*" ]
}

@test "stats: what the kernel has of it, until it forgets that" {
	mount_namespace
	local nodes files directories
	read -r nodes files directories <<<"$(held)"
	touch "$NS"/{1..20}
	exec 4<"$NS/1" 5<"$NS/2" 6<"$NS"
	wait_for 60 is_held "$((nodes + 20)) $((files + 2)) $((directories + 1))"
	exec 4<&- 5<&- 6<&-
	rm "$NS"/*
	wait_for 60 is_held "$nodes $files $directories"
}

tells_of_mkdir()
{
	kill -USR1 "$DAEMON"
	grep -q "^prollyfs: request  *mkdir  *1 " "$T/daemon.log"
}

@test "SIGUSR1: the same to the log, and the mount goes on" {
	mount_store
	mkdir "$MNT/main/ns"
	wait_for 60 tells_of_mkdir # which it counts after it has answered
	echo value >"$MNT/main/ns/key"
	file_is "$MNT/main/ns/key" value
}

@test "statfs tells of space, and of names up to 255 bytes" {
	mount_store
	is "$(stat -f -c %l "$MNT")" 255
	[ "$(stat -f -c %f "$MNT")" -gt 0 ]
	[ "$(stat -f -c %b "$MNT")" -ge "$(stat -f -c %f "$MNT")" ]
}

@test "a connection that is cut while directories and files are open: the daemon ends in order" {
	[ "$(id -u)" = 0 ] || skip "only root can cut it"
	mount_store
	mkdir "$MNT/main/ns"
	touch "$MNT/main/ns"/{1..100}
	python3 -c 'import os, subprocess, sys
place = sys.argv[1] + "/main/ns"
names = os.scandir(place)
next(names)
file = open(place + "/new", "w")
file.write("not closed yet")
file.flush()
subprocess.run(["umount", "-f", sys.argv[1]], stderr=subprocess.DEVNULL)
os._exit(0)' "$MNT"
	umount -l "$MNT"
	wait_for 60 gone "$DAEMON"
	wait "$DAEMON"
	! grep -i assertion "$T/daemon.log"
	mount_store
	is "$(ls "$MNT/main/ns" | wc -l)" 101
}
