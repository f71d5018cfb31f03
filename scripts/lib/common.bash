# SPDX-License-Identifier: Apache-2.0
# What the scripts share: messages, packages, the build. Sourced, never run.

# shellcheck disable=SC2034  # used by those who source this
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# What a build needs, and what its tests and bench need besides, as Debian 12 names it.
BUILD_PACKAGES=(
	build-essential meson ninja-build pkg-config
	libglib2.0-dev libssl-dev libxxhash-dev librocksdb-dev libgit2-dev zlib1g-dev libjansson-dev
	libfuse3-dev fuse3
)
USE_PACKAGES=(git jq)
TEST_PACKAGES=(
	bats clang-format universal-ctags mandoc groff-base python3 jq git rocksdb-tools
	rsync sqlite3 attr tar xz-utils diffutils findutils procps util-linux e2fsprogs
	vim nano emacs-nox python3-pip
)

say()
{
	printf '== %s\n' "$*"
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "needs root or sudo for: $*"
	fi
}

# Installs those of the packages named that are missing. Asks the network only if one is.
install_packages()
{
	local package missing=()

	command -v dpkg-query >/dev/null || return 0 # not a Debian: the build says what it lacks
	for package; do
		dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null |
			grep -q 'ok installed$' || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	say "installing ${missing[*]}"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"
}

# Everybody may use /dev/fuse, which mounts for its user alone, where udev makes it; in a container it
# may be root's. False: there is none.
open_fuse()
{
	[ -c /dev/fuse ] || return
	[ -r /dev/fuse ] && [ -w /dev/fuse ] && return
	say "letting everybody use /dev/fuse, as udev would"
	as_root chmod a+rw /dev/fuse
}

# build DIRECTORY [MESON OPTION...]: configures it unless it is, and builds everything.
build()
{
	local directory=$1
	shift

	say "building in ${directory#"$TOP"/}"
	[ -f "$directory/build.ninja" ] || meson setup "$directory" "$TOP" "$@" || return
	ninja -C "$directory" -j "${JOBS:-2}" --quiet
}

# unmount_below DIRECTORY: detaches every mount under it, the deepest first. Works on dead ones.
unmount_below()
{
	local mountpoint

	awk -v top="$1/" 'index($5, top) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r mountpoint; do
			# shellcheck disable=SC2059  # mountinfo writes octal escapes
			mountpoint=$(printf "$mountpoint")
			fusermount3 -u -z "$mountpoint" 2>/dev/null ||
				umount -l "$mountpoint" 2>/dev/null || true
		done
}

# end_programs_below DIRECTORY PROGRAM: ends the processes of PROGRAM (a file) that were started on
# something under DIRECTORY, which is the caller's own scratch directory, so that they are its own.
end_programs_below()
{
	local process id

	for process in /proc/[0-9]*; do
		id=${process#/proc/}
		[ "$(readlink "$process/exe" 2>/dev/null)" = "$2" ] || continue
		tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qF "$1/" || continue
		kill "$id" 2>/dev/null || true
	done
}
