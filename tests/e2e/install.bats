# SPDX-License-Identifier: Apache-2.0
# Promise: meson install gives programs, library, headers, pkg-config file and manual pages, and the
# library can be used by who has only these.
load common

setup()
{
	common_setup
	DESTDIR=$T/root meson install -C "$PROLLYFS_BUILD" --no-rebuild --quiet
	PREFIX=$T/root$(meson introspect "$PROLLYFS_BUILD" --buildoptions |
		jq -r '.[] | select(.name == "prefix").value')
	# the file speaks of where it would be without DESTDIR
	mkdir "$T/pkgconfig"
	sed "s|^prefix=.*|prefix=$PREFIX|" "$(find "$PREFIX" -name libprollyfs.pc)" >"$T/pkgconfig/libprollyfs.pc"
	export PKG_CONFIG_PATH=$T/pkgconfig
}

@test "programs and manual pages are where they belong" {
	for name in prollyfs prollyfs-ctl; do
		[ -x "$PREFIX/bin/$name" ]
		"$PREFIX/bin/$name" --version
		present "$PREFIX/share/man/man1/$name.1"
	done
	present "$PREFIX/share/man/man5/prollyfs-format.5"
	present "$PREFIX/share/man/man7/prollyfs-merge.7"
	PROLLYFS=$PREFIX/bin/prollyfs
	CTL=$PREFIX/bin/prollyfs-ctl
	mount_store
	echo one >"$MNT/main/key"
	commit_all main
	is "$(on_main --at main get ./key)" one
}

@test "the library exports prolly_ symbols and no others" {
	local library
	library=$(find "$PREFIX" -name 'libprollyfs.so' | head -1)
	is "$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | grep -v '^prolly_' || true)" ""
	nm -D --defined-only "$library" | grep -q 'prolly_repo_open@@PROLLYFS_0'
	find "$PREFIX" -name 'libprollyfs.a' | grep -q .
}

@test "programs and library are hardened" {
	local file flag flags library missing
	library=$(find "$PREFIX" -name 'libprollyfs.so' | head -1)
	for file in "$PREFIX/bin/prollyfs" "$PREFIX/bin/prollyfs-ctl" "$library"; do
		[[ $(readelf -hW "$file") == *'Type:'*' DYN '* ]] || fail "$file: always at the same address"
		[[ $(readelf -lW "$file") == *GNU_RELRO* ]] || fail "$file: no relro"
		[[ $(readelf -dW "$file") =~ BIND_NOW|Flags:\ NOW ]] || fail "$file: its table of functions stays writable"
		[[ $(readelf -lW "$file") =~ GNU_STACK[x0-9\ ]*\ RW\  ]] || fail "$file: an executable stack"
		[[ ! $(readelf -dW "$file") =~ TEXTREL|RPATH|RUNPATH ]] || fail "$file: relocated code, or a path to libraries"
		[[ $(nm -D "$file") == *'U __stack_chk_fail'* ]] || fail "$file: no stack protector"
	done
	# of what leaves no trace that is easy to find, what the compiler was told, for each source
	flags=(-fstack-protector-strong -Werror=format-security)
	[ "$(uname -m)" != x86_64 ] || flags+=(-fstack-clash-protection -fcf-protection)
	[ "$(jq -r '.[] | select(.name == "optimization").value' <(meson introspect "$PROLLYFS_BUILD" --buildoptions))" = 0 ] ||
		flags+=(-D_FORTIFY_SOURCE=2)
	for flag in "${flags[@]}"; do
		missing=$(jq -r --arg flag "$flag" '.[] | select(.file | test("^(\\.\\./|.*/)(core|fs|src)/[^ ]*[.]c$")) |
			select(.output | startswith("tests/") | not) |
			select(.command | split(" ") | index($flag) | not) | .file' "$PROLLYFS_BUILD/compile_commands.json")
		is "$missing" ""
	done
}

@test "each header compiles by itself, with what pkg-config says" {
	local header
	for header in $(cd "$PREFIX/include/prollyfs" && find . -name '*.h'); do
		# shellcheck disable=SC2046
		echo "#include <${header#./}>" |
			cc -std=c11 -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags libprollyfs) -x c - ||
			fail "$header"
	done
	is "$(find "$PREFIX/include" -name '*-private.h')" ""
}

@test "a program that has only these makes a store, writes and commits" {
	! is_sanitized || skip "the library needs the sanitizer's runtime"
	cat >"$T/use.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <version/version.h>
#include <blob/blob.h>

#define CHECK(call) \
	if (!(call)) { \
		fprintf(stderr, "%s: %s\n", #call, error ? error->message : "?"); \
		return 1; \
	}

int main(int argc, char **argv)
{
	ProllyRepoOptions options = {.create = true};
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = NULL;
	ProllyBranch *branch = NULL;
	ProllyPlace place = {.ns = "ns", .key = (const uint8_t *)"key", .key_len = 3};
	ProllySignature who = {.name = "N", .email = "e@example.org", .time = 1};
	ProllyCommitOptions commit = {.message = "from C\n", .author = &who, .committer = &who};
	ProllyCommitId id;
	uint64_t changes;

	CHECK(prolly_repo_open(argv[argc - 1], &options, &repo, &error));
	CHECK(prolly_branch_lookup(repo, "main", &branch, &error));
	g_autoptr(GBytes) value = prolly_value_new_inline(PROLLY_KIND_FILE, "value", 5);
	CHECK(prolly_edit_put(repo, branch, &place, value, NULL, 0, NULL, &error));
	CHECK(prolly_history_commit(repo, branch, &commit, &id, &changes, &error));
	prolly_branch_unref(branch);
	prolly_repo_free(repo);
	printf("%d\n", (int)changes);
	return 0;
}
C
	# shellcheck disable=SC2046
	cc -std=c11 -Wall -o "$T/use" "$T/use.c" $(pkg-config --cflags --libs libprollyfs)
	local libraries
	libraries=$(dirname "$(find "$PREFIX" -name 'libprollyfs.so' | head -1)")
	is "$(LD_LIBRARY_PATH=$libraries "$T/use" "$STORE")" 1
	is "$(ctl "$STORE" --at main get ns/key)" value
	is "$(store_git log -1 --format='%s|%an' main)" "from C|N"
}
