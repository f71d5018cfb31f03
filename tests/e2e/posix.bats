# SPDX-License-Identifier: Apache-2.0
# Promise: each system call does what POSIX says, and what Linux does where it is silent.
#
# tests/posix is the matrix: calls, cases, and what each has to give. It runs here through a mount,
# as root and as two users without privileges, and on a native filesystem with the same
# expectations, so that a wrong one is seen.
load common

MATRIX=$PROLLYFS_BUILD/tests/posix/posix-matrix

# matrix ARGUMENT...: shows what failed.
matrix()
{
	[ -x "$MATRIX" ] || skip "posix-matrix is not built"
	"$MATRIX" "$@" >"$T/matrix.tap" 2>&1 || {
		grep -A 4 -E '^not ok|ERROR' "$T/matrix.tap"
		fail "$(grep -c '^not ok' "$T/matrix.tap") cases failed"
	}
	[ "$(grep -c '^ok' "$T/matrix.tap")" -gt 10 ] || fail "few cases ran"
}

# what stat(1) says of each alone: what the kernel has of one must not depend on another.
modes()
{
	local file
	for file; do
		stat -c %a "$file"
	done | tr '\n' ' '
}

# Mounts a store with places that everybody may write.
mount_for_all()
{
	mount_store "$STORE" "$MNT" "$@"
	chmod 755 "$T"
	mkdir "$MNT/other" "$MNT/main/ns" "$MNT/main/ns2" "$MNT/other/ns"
	chmod 1777 "$MNT/main/ns" "$MNT/main/ns2" "$MNT/other/ns"
}

on_mount()
{
	matrix "$@" "$MNT/main/ns" "$MNT/main/ns2" "$MNT/other/ns"
}

# Native places: two in one filesystem and one in another.
make_native()
{
	need_root
	mkdir "$T/native" "$T/foreign"
	mount -t tmpfs none "$T/native" || skip "no tmpfs can be mounted"
	mount -t tmpfs none "$T/foreign"
	mkdir "$T/native/a" "$T/native/b"
	chmod 755 "$T"
	chmod 1777 "$T/native/a" "$T/native/b" "$T/foreign"
}

teardown()
{
	umount "$T/native" "$T/foreign" 2>/dev/null || true
	common_teardown
}

on_native()
{
	matrix --native "$@" "$T/native/a" "$T/native/b" "$T/foreign"
}

@test "the matrix, as root" {
	need_root
	mount_for_all -o allow_other
	on_mount
}

@test "the matrix, as two other users" {
	need_root
	mount_for_all -o allow_other
	on_mount --user 12001
	on_mount --user 12002
}

@test "the matrix, as the user who mounted" {
	[ "$(id -u)" -ne 0 ] || skip "that is root"
	mount_for_all
	on_mount
}

@test "the matrix holds on a native filesystem, as root" {
	make_native
	on_native
}

@test "the matrix holds on a native filesystem, as another user" {
	make_native
	on_native --user 12001
}

# ---- Read-only places ----------------------------------------------------------------------------

make_readonly()
{
	mkdir "$1/dir" "$1/empty"
	printf abc >"$1/file"
	printf abc >"$1/dir/file"
	ln -s file "$1/link"
}

@test "EROFS: a native filesystem" {
	make_native
	mkdir "$T/native/ro"
	make_readonly "$T/native/ro"
	mount --bind "$T/native/ro" "$T/native/ro"
	mount -o remount,bind,ro "$T/native/ro"
	on_native --group readonly --readonly "$T/native/ro"
	umount "$T/native/ro"
}

@test "EROFS: a commit in .prollyfs/at" {
	mount_for_all
	mkdir "$MNT/main/ro"
	make_readonly "$MNT/main/ro"
	commit_all main
	on_mount --group readonly --readonly "$MNT/.prollyfs/at/main/ro"
	on_mount --group readonly --readonly "$MNT/.prollyfs/at/$(store_git rev-parse main)/ro"
}

@test "EROFS: -o ro and -o rev=" {
	mount_for_all
	mkdir "$MNT/main/ro" "$T/a" "$T/b" "$T/c"
	make_readonly "$MNT/main/ro"
	commit_all main
	remount -o ro
	matrix --group readonly --readonly "$MNT/main/ro" "$T/a" "$T/b" "$T/c"
	remount -o rev=main
	matrix --group readonly --readonly "$MNT/ro" "$T/a" "$T/b" "$T/c"
}

# ---- Large directories ---------------------------------------------------------------------------

@test "a directory of 100,000 entries: listed, renamed, gone into and removed from" {
	mount_store
	entries 1 100000 | sed 's/^/d\//' | on_main load ns
	is "$(find "$MNT/main/ns/d" -type f | wc -l)" 100000
	is "$(ls -U "$MNT/main/ns/d" | sort -u | wc -l)" 100000
	mv "$MNT/main/ns/d" "$MNT/main/ns/e"
	missing "$MNT/main/ns/d"
	file_is "$MNT/main/ns/e/k0050000" "value 50000"
	is "$(errno_of "os.rmdir('$MNT/main/ns/e')")" ENOTEMPTY
	rm "$MNT/main/ns/e"/k000*
	is "$(find "$MNT/main/ns/e" -type f | wc -l)" 90001
	commit_all main
	mv "$MNT/main/ns/e" "$MNT/main/ns2"
	is "$(find "$MNT/main/ns2" -type f | wc -l)" 90001
	is "$(ls "$MNT/main/ns")" ""
}

@test "renamed directories keep the numbers of all in them, and no two files share one" {
	mount_store
	mkdir "$MNT/main/ns"
	CTL=$CTL MNT=$MNT python3 - <<-'EOF'
		import os, random, subprocess

		seed = 20261121
		print("seed", seed)
		source = random.Random(seed)
		top, ctl = os.environ["MNT"] + "/main", os.environ["CTL"]
		os.chdir(top + "/ns")
		names = ["a", "b", "c/x", "c"]

		def run(*command, given=None):
		    subprocess.run([ctl, "-C", top, "-q", *command], input=given, check=False)

		def numbers():
		    found = {}
		    for place, dirs, files in os.walk("."):
		        for name in dirs + files:
		            path = os.path.normpath(os.path.join(place, name))
		            found[path] = os.lstat(path).st_ino
		    assert len(set(found.values())) == len(found), found
		    return found

		def moved(before, old, new):
		    return {new + path[len(old):] if path == old or path.startswith(old + "/") else path:
		            number for path, number in before.items()}

		for step in range(120):
		    name, other = source.choice(names), source.choice(names)
		    action = source.randrange(10)
		    try:
		        if action < 3:
		            os.makedirs(name, exist_ok=True)
		            for i in range(source.randrange(4)):
		                open(f"{name}/f{source.randrange(5)}", "w").write(str(step))
		        elif action == 3:
		            run("load", "ns", given=f"{name}/f1\tloaded {step}\n".encode())
		        elif action == 4:
		            run("commit", "-m", "x")
		        elif action == 5 and os.path.isdir(name):
		            os.unlink(f"{name}/f{source.randrange(5)}")
		        else:
		            before = numbers()
		            os.rename(name, other)
		            if name != other:
		                before.pop(other, None)
		                assert numbers() == moved(before, name, other), step
		    except (FileNotFoundError, OSError):
		        pass
		    numbers()
	EOF
}

@test "who changes a program that is setuid takes that from it, and the mode says so at once" {
	need_root
	mount_for_all -o allow_other
	cd "$MNT/main/ns"
	touch opened written truncated
	chown 65534:65534 opened written truncated
	chmod 4755 opened written truncated
	is "$(modes opened written truncated)" "4755 4755 4755 "
	setpriv --reuid=65534 --regid=65534 --clear-groups \
		bash -c ': >opened; echo x >>written; truncate -s 9 truncated'
	is "$(modes opened written truncated)" "755 755 755 "
	cd /
}
