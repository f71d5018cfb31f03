# SPDX-License-Identifier: Apache-2.0
# Promise: a store that an enemy made is refused, or read; nothing outside of it is read, changed or
# made, nothing that it brings is run, and nothing waits for ever.
load common

# Beside the store, what is not its own.
setup()
{
	common_setup
	mkdir "$T/outside" "$T/outside/dir"
	echo canary >"$T/outside/file"
}

# make_store [SCHEME]: with something to read, and a copy of it.
make_store()
{
	ctl . -q init "${1:-}$STORE"
	ctl "$STORE" put ns/key value
	random_bytes 100000 1 | ctl "$STORE" put ns/large
	ctl "$STORE" -q commit -m base
	ctl "$STORE" branch side
	cp -a "$STORE" "$T/saved"
}

restore()
{
	rm -rf "$STORE"
	cp -a "$T/saved" "$STORE"
}

# What is outside, to the last bit and time.
outside()
{
	find "$T/outside" -printf '%p %y %m %s %T@ %l\n' | sort
	find "$T/outside" -type f -exec md5sum {} + | sort
}

# ends COMMAND...: it does, and is not killed; the exit status is $status.
ends()
{
	run timeout 300 "$@"
	[ "$status" -le 2 ] || fail "$* ended with $status: $output"
}

# is_refused WHAT: whatever is asked of the store, the answer names it, and nothing happens outside.
is_refused()
{
	local before
	before=$(outside)
	for command in status "put ns/key new" "commit -m x" gc fsck "get ns/key"; do
		# shellcheck disable=SC2086
		ends "$CTL" -C "$STORE" $command </dev/null
		[ "$status" = 2 ] && [[ $output == *"$STORE"* ]] || fail "$1: $command: $status: $output"
	done
	ends "$PROLLYFS" -o create "$STORE" "$MNT"
	[ "$status" = 1 ] || fail "$1: mounted: $status: $output"
	is "$(outside)" "$before"
}

# ---- Links, fifos --------------------------------------------------------------------------------

@test "links in a store lead nowhere: files" {
	make_store
	local file
	for file in config lock data.mark data/CURRENT data/LOG data/IDENTITY "data/$(basename "$STORE"/data/MANIFEST-*)" \
		"data/$(basename "$(ls "$STORE"/data/*.log)")" git/HEAD git/config git/refs/heads/main \
		git/logs/refs/heads/main git/packed-refs data/999999.sst git/hooks/x git/new new; do
		restore
		rm -f "${STORE:?}/$file"
		ln -s "$T/outside/file" "$STORE/$file"
		is_refused "$file -> a file"
		ln -sf "$T/outside/new" "$STORE/$file"
		is_refused "$file -> a new file"
	done
}

@test "links in a store lead nowhere: directories, though all is there" {
	make_store
	local dir
	for dir in data git git/objects "git/objects/$(ls "$STORE/git/objects" | head -1)" git/refs git/refs/heads git/logs \
		git/logs/refs/heads git/objects/pack; do
		restore
		[ -d "$STORE/$dir" ] || continue
		rm -rf "$T/outside/dir"
		mv "$STORE/$dir" "$T/outside/dir"
		ln -s "$T/outside/dir" "$STORE/$dir"
		is_refused "$dir"
	done
}

@test "links in a store lead nowhere: nodes that are files" {
	make_store file://
	local dir node
	for dir in nodes nodes/tree nodes/incoming "nodes/tree/$(ls "$STORE/nodes/tree" | head -1)"; do
		restore
		rm -rf "$T/outside/dir"
		mv "$STORE/$dir" "$T/outside/dir"
		ln -s "$T/outside/dir" "$STORE/$dir"
		is_refused "$dir"
	done
	local n_named=0
	for node in "$T"/saved/nodes/*/??/*; do
		restore
		rm -f "$STORE/${node#"$T/saved/"}"
		mkfifo "$STORE/${node#"$T/saved/"}"
		ends "$CTL" -C "$STORE" dump ns
		ends "$CTL" -C "$STORE" fsck
		n_named=$((n_named + (status == 1)))
	done
	[ "$n_named" -gt 3 ] # not of those that nothing needs
}

@test "fifos in a store are not waited for" {
	make_store
	local file
	for file in config lock data.mark data/CURRENT data/LOG git/HEAD git/config git/refs/heads/main git/packed-refs \
		git/logs/refs/heads/main; do
		restore
		rm -f "${STORE:?}/$file"
		mkfifo "$STORE/$file"
		is_refused "$file"
	done
}

@test "a directory that is said to be half a store leads nowhere when it is made one" {
	local piece
	for piece in lock config.new git data nodes data.mark; do
		rm -rf "$STORE"
		mkdir "$STORE"
		touch "$STORE/lock"
		ln -sf "$T/outside/dir" "$STORE/$piece"
		outside >"$T/before"
		ends "$CTL" init "$STORE"
		outside | diff "$T/before" -
		rm -rf "$STORE"
		mkdir "$STORE"
		touch "$STORE/lock"
		ln -sf "$T/outside/new" "$STORE/$piece"
		ends "$CTL" init "$STORE"
		outside | diff "$T/before" -
	done
}

@test "a configuration of any length is not read" {
	make_store
	truncate -s 100G "$STORE/config"
	is_refused "config of 100G"
	restore
	truncate -s 100G "$STORE/git/config"
	is_refused "git/config of 100G"
}

# ---- The git repository ---------------------------------------------------------------------------

@test "a repository that has its objects, references or configuration elsewhere is refused" {
	make_store
	git init -q --bare "$T/outside/repository"
	echo "$T/outside/repository" >"$STORE/git/commondir"
	is_refused commondir
	restore
	mkdir -p "$STORE/git/objects/info"
	echo "$T/outside/repository/objects" >"$STORE/git/objects/info/alternates"
	is_refused alternates
	restore
	rm -r "$STORE/git"
	echo "gitdir: $T/outside/repository" >"$STORE/git"
	is_refused "a gitdir file"
	for section in '[include]' '[ InClude ]' '[includeIf "gitdir:/"]' '#\0\n[include]'; do
		restore
		printf '%b\n\tpath = %s\n' "$section" "$T/outside/file" >>"$STORE/git/config"
		is_refused "$section"
	done
}

@test "no program that the repository names is run, by any command" {
	make_store
	mkdir "$T/mark"
	printf '#!/bin/sh\ntouch "%s/$(basename "$0")"\n' "$T/mark" >"$T/program"
	chmod +x "$T/program"
	local hook setting
	for hook in pre-commit commit-msg post-commit post-update update pre-receive post-receive reference-transaction \
		post-merge pre-merge-commit post-checkout pre-auto-gc post-rewrite fsmonitor-watchman; do
		ln "$T/program" "$STORE/git/hooks/$hook"
	done
	for setting in core.fsmonitor core.pager core.editor core.sshCommand core.askPass core.gitProxy gpg.program \
		gpg.ssh.program diff.external merge.x.driver filter.x.clean filter.x.smudge filter.x.process \
		credential.helper alias.log uploadpack.packObjectsHook sequence.editor trailer.x.command; do
		git config -f "$STORE/git/config" "$setting" "$T/program"
	done
	git config -f "$STORE/git/config" core.hooksPath "$STORE/git/hooks"
	git config -f "$STORE/git/config" commit.gpgSign true
	git config -f "$STORE/git/config" tag.gpgSign true
	git config -f "$STORE/git/config" core.worktree "$T/outside/dir"
	mkdir -p "$STORE/git/info"
	echo '* filter=x diff=x merge=x' >"$STORE/git/info/attributes"
	outside >"$T/before"
	echo '* merge=x' | ctl "$STORE" put .gitattributes
	echo "* merge=exec:$T/program" | ctl "$STORE" put .prollyattributes
	printf '[merge]\ntrust=true\n' >>"$STORE/config"
	git config -f "$STORE/git/config" prollyfs.trust '*'
	ctl "$STORE" -q commit -m one
	ctl "$STORE" put ns/key ours
	ctl "$STORE" -q commit -m ours
	ctl "$STORE" -b side put ns/key theirs
	ctl "$STORE" -b side -q commit -m theirs
	run -1 ctl "$STORE" merge side
	ctl "$STORE" resolve --theirs ns/key
	ctl "$STORE" merge --continue
	ctl "$STORE" tag -m message v1
	ctl "$STORE" log --graph --all
	ctl "$STORE" diff HEAD~1 HEAD
	ctl "$STORE" revert --no-edit HEAD~1 || ctl "$STORE" revert HEAD~1 || true
	ctl "$STORE" branch -m side other
	ctl "$STORE" gc --prune=now
	ctl "$STORE" fsck
	mount_store
	echo x >"$MNT/main/ns/new"
	commit_all main
	unmount
	is "$(ls "$T/mark")" ""
	outside | diff "$T/before" -
}

# odd WHAT: commands with a store that has something odd in it end, and stay inside; the rest is there.
odd()
{
	local command
	for command in branch "log --all --oneline" tag "merge side" "put ns/new 1" "commit -q -m x" "branch -m side other" \
		"gc --prune=now" fsck; do
		# shellcheck disable=SC2086
		ends "$CTL" -C "$STORE" $command </dev/null
	done
	outside | diff "$T/before" - || fail "$1: something happened outside"
	is "$(ctl "$STORE" get ns/key)" value || fail "$1"
}

@test "references that lead elsewhere, and such as cannot be" {
	make_store
	local head
	head=$(head_of main)
	outside >"$T/before"
	put_ref()
	{
		restore
		mkdir -p "$(dirname "$STORE/git/$1")"
		printf '%s\n' "$2" >"$STORE/git/$1"
		odd "$1: $2"
	}
	put_ref refs/heads/evil "ref: ../../../outside/file"
	put_ref refs/heads/evil "ref: refs/heads/../../../../outside/new"
	put_ref refs/heads/evil "ref: refs/heads/evil"
	put_ref refs/heads/evil "ref: $T/outside/file"
	put_ref refs/heads/evil.lock "$head"
	put_ref refs/heads/evil "$(printf 'f%.0s' {1..40})"
	put_ref refs/heads/evil "not an id at all"
	put_ref refs/tags/evil "$(git --git-dir="$T/saved/git" rev-parse "$head^{tree}")"
	put_ref 'refs/heads/-evil' "$head"
	put_ref $'refs/heads/e\tvil\x1b[2J' "$head"
	for name in 'refs/heads/../../../../outside/new' 'refs/heads//x' "refs/heads/$(printf 'n%.0s' {1..5000})" 'refs/../HEAD' \
		'../../outside/file' 'refs/heads/.lock'; do
		put_ref packed-refs "# pack-refs with: peeled fully-peeled sorted
$head $name"
	done
	restore
	truncate -s 100G "$STORE/git/refs/heads/evil"
	odd "a reference of 100G"
}

@test "commits of an enemy's: entries that are no namespaces, names that are paths" {
	make_store
	outside >"$T/before"
	python3 - "$STORE/git" <<-'EOF'
		import hashlib, os, subprocess, sys, zlib

		top = sys.argv[1]
		head = subprocess.check_output(["git", "--git-dir", top, "rev-parse", "main"], text=True).strip()

		def write(kind, data):
		    data = b"%s %d\0" % (kind.encode(), len(data)) + data
		    name = hashlib.sha1(data).hexdigest()
		    os.makedirs(f"{top}/objects/{name[:2]}", exist_ok=True)
		    with open(f"{top}/objects/{name[:2]}/{name[2:]}", "wb") as file:
		        file.write(zlib.compress(data))
		    return bytes.fromhex(name)

		file = write("blob", b"root " + b"f" * 64 + b"\nkeys 1\nbytes 1\nformat 1\n")
		nothing = write("blob", b"")
		large = write("blob", b"root " * 1000000)
		tree = write("tree", b"100644 ns-a\0" + file)
		entries = [("100644", b"../../outside/new", file), ("100644", b"ns-../../x", file),
		           ("160000", b"ns-sub", bytes.fromhex(head)), ("120000", b"ns-link", file),
		           ("40000", b"ns-dir", tree), ("100644", b"ns-empty", nothing), ("100644", b"ns-large", large),
		           ("100644", b".git", file), ("100644", b"ns-%2E%2E", file), ("100644", b"ns-%zz", file),
		           ("100644", b"ns-" + b"n" * 5000, file), ("100644", b"ns-gone", b"\x11" * 20)]
		who = "E <e@example.org> 1000000000 +0000"
		for i, (mode, name, target) in enumerate(entries):
		    tree = write("tree", mode.encode() + b" " + name + b"\0" + target)
		    commit = write("commit", f"tree {tree.hex()}\nparent {head}\nauthor {who}\ncommitter {who}\n\nevil\n".encode())
		    with open(f"{top}/refs/heads/evil{i}", "w") as ref:
		        ref.write(commit.hex() + "\n")
		itself = write("commit", f"tree {tree.hex()}\nparent {'2' * 40}\nauthor \x00<\n\n".encode())
		with open(f"{top}/refs/heads/evil99", "w") as ref:
		    ref.write(itself.hex() + "\n")
	EOF
	local i
	for i in {0..11} 99; do
		for command in "--at evil$i ls -r" "--at evil$i dump ns" "log evil$i" "show evil$i" "diff main evil$i" \
			"branch new$i main" "-b new$i merge evil$i" "-b evil$i status" "--at evil$i root"; do
			# shellcheck disable=SC2086
			ends "$CTL" -C "$STORE" $command </dev/null
		done
	done
	odd commits
	mount_store
	for i in {0..11} 99; do
		ends ls -R "$MNT/evil$i" "$MNT/.prollyfs/at/evil$i/"
		ends cat "$MNT/.prollyfs/log/evil$i"
	done
	file_is "$MNT/main/ns/key" value
	unmount
	outside | diff "$T/before" -
}

# ---- Commands of an enemy's ----------------------------------------------------------------------

@test "patterns of an enemy's: refused or matched, the mount lives and answers" {
	local pattern
	mount_namespace
	echo 1 >"$NS/a"
	head -c 3000 /dev/zero | tr '\0' a | on_main -q commit -F -
	for pattern in "$(head -c 30000 /dev/zero | tr '\0' '(')" '(((a{1,255}){1,255}){1,100})' '(a*)*\1' \
		'((((){9999}){9999}){9999}){9999}'; do
		run timeout 60 "$CTL" -C "$MNT/main" log -n1 -E --grep "$pattern"
		status_is 2
		is "${#lines[@]}" 1
		run timeout 60 "$CTL" -C "$MNT/main" log -n1 -E --author "$pattern"
		status_is 2
	done
	run timeout 60 "$CTL" -C "$MNT/main" log -n1 --grep '\(\(a\{1,255\}\)\{1,255\}\)\{1,100\}'
	status_is 2
	# these took minutes and gigabytes of such a line
	for pattern in '(a|b)*a(a|b){100}c' '(.*.*.*.*.*)*b$'; do
		is "$(timeout 60 "$CTL" -C "$MNT/main" log --oneline -E --grep "$pattern" | wc -l)" 0
	done
	file_is "$NS/a" 1
	is "$(on_main log --oneline -E --grep '^a{1,1000}' | wc -l)" 1
}
