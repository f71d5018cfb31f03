# SPDX-License-Identifier: Apache-2.0
# Promise: it is mounted as people mount: by mount(8) and fstab, by a service manager, by an ordinary
# user, and by somebody else who passes the descriptor.
load common

# ---- mount(8) and fstab --------------------------------------------------------------------------

# In a mount namespace of its own, where the programs are in mount's directories.
with_installed()
{
	need_root
	need_fuse
	mkdir -p "$T/upper" "$T/work" "$T/over"
	ln -s "$PROLLYFS" "$T/upper/prollyfs"
	ln -s "$PROLLYFS" "$T/upper/mount.prollyfs"
	unshare -m true 2>/dev/null || skip "no mount namespaces"
	mount -t tmpfs none "$T/over" || skip "no tmpfs can be mounted"
	mkdir "$T/over/upper" "$T/over/work"
	cp -P "$T/upper/"* "$T/over/upper/"
	unshare -m sh -c "mount -t overlay -o lowerdir=/usr/sbin,upperdir=$T/over/upper,workdir=$T/over/work \
		none /usr/sbin" 2>/dev/null || skip "no overlay can be mounted"
	export T STORE MNT CTL
	run unshare -m bash -eu -c "mount -t overlay \
		-o lowerdir=/usr/sbin,upperdir=$T/over/upper,workdir=$T/over/work none /usr/sbin
$1"
}

teardown()
{
	umount "$T/over" 2>/dev/null || true
	common_teardown
}

@test "fstab in three spellings" {
	ctl . init "$STORE"
	# after umount the next mount waits for the daemon that is just going away
	# shellcheck disable=SC2016
	with_installed '
for line in "$STORE $MNT prollyfs rw,nofail,x-systemd.automount 0 0" \
	"$STORE $MNT fuse.prollyfs defaults,_netdev,noauto 0 0" \
	"prollyfs#$STORE $MNT fuse defaults,noatime,allow_other,user 0 0"; do
	echo "$line" >"$T/fstab"
	mount -T "$T/fstab" "$MNT"
	test "$(findmnt -n -o FSTYPE "$MNT")" = fuse.prollyfs
	test "$(findmnt -n -o SOURCE "$MNT")" = "$STORE"
	echo "$line" >>"$MNT/main/lines"
	umount "$MNT"
done
mount -r -t prollyfs "$STORE" "$MNT"
test "$(wc -l <"$MNT/main/lines")" = 3
! touch "$MNT/main/new" 2>/dev/null
umount "$MNT"
mount -f -t prollyfs "$STORE" "$MNT"
! mountpoint -q "$MNT"
! mount -t prollyfs "$T/none" "$MNT" 2>"$T/error"
grep -q "$T/none" "$T/error"
# opens it when the last daemon has closed it
"$CTL" -C "$STORE" log'
	status_is 0
}

# ---- A service manager ---------------------------------------------------------------------------

@test "the service manager hears when it is ready, and when it stops" {
	need_fuse
	run python3 - "$PROLLYFS" "$STORE" "$MNT" "$T/notify" <<-'EOF'
		import os, signal, socket, subprocess, sys

		program, store, mountpoint, path = sys.argv[1:]
		for address in (path, "\0prollyfs-test-%d" % os.getpid()):
		    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		    manager.bind(address)
		    manager.settimeout(100)
		    os.environ["NOTIFY_SOCKET"] = address.replace("\0", "@")
		    daemon = subprocess.Popen([program, "-f", "-o", "create", store, mountpoint])
		    ready = manager.recv(4096).decode().split("\n")
		    assert ready[0] == "READY=1" and ready[1] == f"MAINPID={daemon.pid}", ready
		    assert os.listdir(mountpoint) == ["main"]
		    daemon.send_signal(signal.SIGTERM)
		    assert manager.recv(4096) == b"STOPPING=1"
		    assert daemon.wait(100) == 0
	EOF
	status_is 0
}

@test "the unit and mount's helper are installed" {
	DESTDIR=$T/root meson install -C "$PROLLYFS_BUILD" --no-rebuild --quiet
	local unit helper
	unit=$(find "$T/root" -name 'prollyfs@.service')
	helper=$(find "$T/root" -name mount.prollyfs)
	grep -q '^Type=notify' "$unit"
	[ -x "$T/root$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$unit")" ]
	"$helper" --version
}

# ---- A descriptor that somebody else has mounted -------------------------------------------------

@test "/dev/fd/N: a mount that was made by somebody else" {
	need_root
	need_fuse
	run python3 - "$PROLLYFS" "$STORE" "$MNT" <<-'EOF'
		import ctypes, os, signal, subprocess, sys

		program, store, mountpoint = sys.argv[1:]
		libc = ctypes.CDLL(None, use_errno=True)

		def start(*options):
		    fd = os.open("/dev/fuse", os.O_RDWR)
		    data = f"fd={fd},rootmode=40000,user_id=0,group_id=0,default_permissions"
		    if libc.mount(b"prollyfs", mountpoint.encode(), b"fuse.prollyfs", 0, data.encode()):
		        raise OSError(ctypes.get_errno(), "mount")
		    daemon = subprocess.Popen([program, *options, store, f"/dev/fd/{fd}"], pass_fds=[fd])
		    os.close(fd)
		    return daemon

		daemon = start("-f", "-o", "create")
		with open(mountpoint + "/main/key", "w") as file:
		    file.write("value")
		assert libc.umount2(mountpoint.encode(), 0) == 0
		assert daemon.wait(100) == 0

		daemon = start("-f")
		assert open(mountpoint + "/main/key").read() == "value"
		daemon.send_signal(signal.SIGTERM)
		assert daemon.wait(100) == 0
		assert libc.umount2(mountpoint.encode(), 2) == 0

		daemon = start()
		assert daemon.wait(100) == 0
		assert open(mountpoint + "/main/key").read() == "value"
		assert libc.umount2(mountpoint.encode(), 0) == 0
	EOF
	status_is 0
	run "$PROLLYFS" "$STORE" /dev/fd/0 </dev/null
	status_is 1
	output_has /dev/fd/0
	run "$PROLLYFS" "$STORE" /dev/fd/77
	status_is 1
	output_has /dev/fd/77
}

# ---- An ordinary user ----------------------------------------------------------------------------

# as_user SCRIPT: as nobody, with a /dev/fuse that is open to that user.
as_user()
{
	need_root
	need_fuse
	id nobody >/dev/null && getent group nogroup >/dev/null || skip "nobody is nobody"
	[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not setuid"
	unshare -m true 2>/dev/null || skip "no mount namespaces"
	mknod -m 666 "$T/fuse" c 10 229 || skip "no device can be made"
	chmod 755 "$T"
	mkdir "$T/user"
	chown nobody "$T/user" "$T/home"
	export T PROLLYFS CTL
	run unshare -m bash -eu -c "mount --bind $T/fuse /dev/fuse
exec setpriv --reuid=nobody --regid=nogroup --clear-groups bash -eu" <<<"cd \$T/user; mkdir mnt; $1"
}

@test "an ordinary user mounts, commits and unmounts" {
	# shellcheck disable=SC2016
	as_user '
"$PROLLYFS" -o create store mnt
echo one >mnt/main/key
test "$(stat -c "%u %g" mnt/main/key)" = "$(id -u) $(id -g)"
chmod 600 mnt/main/key
ln mnt/main/key mnt/main/link
"$CTL" -C mnt/main -q commit -m mine
test "$("$CTL" -C mnt --json log main | head -1 | wc -l)" = 1
fusermount3 -u mnt
"$PROLLYFS" store mnt
test "$(cat mnt/main/link)" = one
! chown 0 mnt/main/key 2>/dev/null
fusermount3 -u mnt
if "$PROLLYFS" -o allow_other store mnt 2>error; then
	grep -q "^user_allow_other" /etc/fuse.conf
	fusermount3 -u mnt
else
	test -s error
fi
"$CTL" -C store log'
	status_is 0
}

@test "uid, gid and umask: for another than who mounts" {
	need_root
	ctl . init "$STORE"
	ctl "$STORE" put ns/key value
	ctl "$STORE" -q commit -m one
	mount_store "$STORE" "$MNT" -o uid=12001,gid=12002,umask=077,allow_other
	chmod 755 "$T"
	is "$(setpriv --reuid=12001 --regid=12001 --clear-groups cat "$MNT/main/ns/key")" value
	run setpriv --reuid=12003 --regid=12003 --clear-groups cat "$MNT/main/ns/key"
	isnt "$status" 0
	# what is made belongs to who makes it, with the mode that was asked for
	setpriv --reuid=12001 --regid=12001 --clear-groups sh -c "umask 022; echo x >$MNT/main/ns/new"
	is "$(stat -c '%u %g %a' "$MNT/main/ns/new")" "12001 12001 644"
}

# ---- The end -------------------------------------------------------------------------------------

@test "SIGTERM under load loses nothing that was closed" {
	mount_store
	mkdir "$MNT/main/ns"
	local writers=() i
	for i in 1 2 3; do
		(
			n=0
			while echo "$i $n" 2>/dev/null >"$MNT/main/ns/$i-$n"; do
				echo "$i-$n" >>"$T/done-$i"
				n=$((n + 1))
			done
		) 2>/dev/null &
		writers+=($!)
	done
	wait_for 60 test -s "$T/done-1" -a -s "$T/done-2" -a -s "$T/done-3"
	kill "$DAEMON"
	wait "${writers[@]}" || true
	wait_for 60 gone "$DAEMON"
	mount_store
	for i in 1 2 3; do
		while read -r name; do
			file_is "$MNT/main/ns/$name" "${name/-/ }"
		done <"$T/done-$i"
	done
}
