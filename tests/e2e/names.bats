# SPDX-License-Identifier: Apache-2.0
# Promise: every key, whatever its bytes, has one path in the mount: there it can be read, changed and
# deleted, and from there it comes back byte for byte.
load common

setup()
{
	common_setup
	mount_store
	mkdir "$MNT/main/ns"
}

# keys NS DIRECTORY SEED: loads keys of all kinds into NS, which is DIRECTORY, and does with them what
# can be done, through the mount.
keys()
{
	CTL=$CTL python3 - "$MNT/main" "$@" <<-'EOF'
		import base64, hashlib, json, os, random, subprocess, sys

		top, ns, directory, seed = sys.argv[1:]
		print("seed", seed)
		source = random.Random(int(seed))

		def ctl(*words, given=b""):
		    done = subprocess.run([os.environ["CTL"], "-C", top, *words], input=given, check=True,
		                          stdout=subprocess.PIPE)
		    return done.stdout

		def value_of(key, extra=b""):
		    return hashlib.sha256(key + extra).hexdigest().encode()

		# ---- The keys

		parts = [b"", b"a", b"b", b".", b"..", b"/", b"//", b"%", b"\0", b"%00", b"%2F", b"%2E",
		         b"%2E%2E", b"%25", b"%empty", b"%prolly-key", b"%prolly-more", b".prollyfs",
		         b"%.prollyfs", b"\xff\xfe", b"\n", b"\t", b"\\", b" ", b"x" * 254, b"y" * 300]
		keys = {b"", b"/", b"//", b".", b"..", b"a", b"a/", b"a/b", b"a//b", b"a%prolly-key",
		        b"\0", b"\0/\0", b"x" * 255, b"x" * 256, b"x" * 65536, b"%" * 1000, b"\0" * 2000,
		        b"k/" + b"z" * 65534, b"100%", b"%41", b"../../etc/passwd", b".prollyfs/ctl"}
		while len(keys) < 300:
		    key = b"".join(source.choice(parts) for i in range(source.randrange(1, 6)))
		    if source.random() < .3:
		        key = source.randbytes(source.randrange(40))
		    keys.add(key)
		    if source.random() < .3:
		        keys.add(key + b"/" + source.choice(parts))
		if ns == ".":  # a namespace has that name
		    keys -= {b"ns"}

		def escape(data):
		    for byte, text in ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\0", b"\\0"),
		                       (b"\r", b"\\r")):
		        data = data.replace(byte, text)
		    return data

		def as_bytes(told):
		    return base64.b64decode(told["base64"]) if isinstance(told, dict) else told.encode()

		def dump():
		    found = {}
		    for line in ctl("dump", ns, "--format", "jsonl").splitlines():
		        entry = json.loads(line)
		        found[as_bytes(entry["key"])] = as_bytes(entry["value"])
		    return found

		def paths():
		    listed = (json.loads(line) for line in ctl("--json", "ls", "-r", ns).splitlines())
		    return {as_bytes(entry["key"]): as_bytes(entry["path"]) for entry in listed}

		# ---- The mount, by descriptors: paths may be longer than PATH_MAX

		def walk(fd, prefix=b""):
		    for name in os.listdir(fd):
		        name = os.fsencode(name)
		        if directory == "." and not prefix and name == b"ns":
		            continue
		        try:
		            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
		        except NotADirectoryError:
		            yield fd, name, prefix + name
		            continue
		        yield from walk(below, prefix + name + b"/")
		        os.close(below)

		def each(do):
		    fd = os.open(os.path.join(top, directory), os.O_RDONLY)
		    found = {path: do(at, name) for at, name, path in walk(fd)}
		    os.close(fd)
		    return found

		def read(at, name):
		    fd = os.open(name, os.O_RDONLY, dir_fd=at)
		    data = os.read(fd, 1000)
		    os.close(fd)
		    return data

		sys.setrecursionlimit(10000)
		wanted = {key: value_of(key) for key in keys}
		ctl("load", ns, given=b"".join(escape(k) + b"\t" + v + b"\n" for k, v in wanted.items()))
		assert dump() == wanted
		told = paths()
		strip = b"" if ns == "." else os.fsencode(ns) + b"/"
		assert set(told) == keys
		assert each(read) == {told[key][len(strip):] if told[key].startswith(strip) else
		                      told[key]: value for key, value in wanted.items()}

		# ---- Changed, by the content that was there

		def change(at, name):
		    before = read(at, name)
		    fd = os.open(name, os.O_WRONLY | os.O_TRUNC, dir_fd=at)
		    os.write(fd, b"changed " + before)
		    os.close(fd)

		each(change)
		wanted = {key: b"changed " + value for key, value in wanted.items()}
		assert dump() == wanted
		ctl("-q", "commit", "-m", "changed")
		assert dump() == wanted

		# ---- Half of them deleted

		gone = {wanted[key] for key in source.sample(sorted(wanted), len(wanted) // 2)}

		def delete(at, name):
		    if read(at, name) in gone:
		        os.unlink(name, dir_fd=at)

		each(delete)
		wanted = {key: value for key, value in wanted.items() if value not in gone}
		found = {key: value for key, value in dump().items() if value}
		assert found == wanted, set(found) ^ set(wanted)
		assert sorted(each(read).values()) == sorted(wanted.values())
		ctl("-q", "commit", "-m", "deleted")
		assert sorted(each(read).values()) == sorted(wanted.values())
	EOF
}

@test "keys of all bytes in a namespace" {
	keys ns ns 1
}

@test "keys of all bytes in the unnamed namespace" {
	keys . . 2
}

@test "the same after a remount" {
	keys ns ns 3
	on_main dump ns >"$T/before"
	remount
	on_main dump ns | cmp - "$T/before"
	is "$(find "$MNT/main/ns" -type f -print0 2>/dev/null | tr -dc '\0' | wc -c)" \
		"$(find "$MNT/main/ns" -type f -print0 2>/dev/null | sort -zu | tr -dc '\0' | wc -c)"
}

@test "a key that is a directory's name, too, is listed and diffed as such among neighbours" {
	local keys=(a 'a!' 'a!/x' 'a!/y' a-b a/b a/c/d a0 b b/c c 'c!1' 'c!2' 'c!3' 'c!4' 'c!5' 'c!6' 'c!7' 'c!8' 'c!9' c/d d)
	for key in "${keys[@]}"; do
		printf '%s\tvalue\n' "$key"
	done | on_main load ns
	printf '%s\n' 'a!%prolly-key' 'a!/x' 'a!/y' a%prolly-key a-b a/b a/c/d a0 b%prolly-key b/c \
		c%prolly-key 'c!1' 'c!2' 'c!3' 'c!4' 'c!5' 'c!6' 'c!7' 'c!8' 'c!9' c/d d |
		sort >"$T/expected"
	is "$(on_main ls -r ns | sort)" "$(cat "$T/expected")"
	is "$(on_main diff --name-only | sed 's,^ns/,,' | sort)" "$(cat "$T/expected")"
	is "$(cd "$MNT/main/ns" && find . -type f | sed 's,^\./,,' | sort)" "$(cat "$T/expected")"
	commit_all main one
	on_main -q delete ns/a/b ns/a/c/d ns/c%prolly-key ns/b%prolly-key
	is "$(on_main ls -r ns | grep prolly-key)" $'a%prolly-key\na!%prolly-key' # an empty a stays
	is "$(on_main diff --name-only | grep prolly-key)" $'ns/b%prolly-key\nns/c%prolly-key'
}

# It is told some time soon.
@test "a key has its name back when the directory of that name goes, in whatever way" {
	local way ns=0
	for way in "mv d z" "rm d/b" "mv d/b z" "rmdir d/c" "mv d/c z"; do
		ns=$((++ns))
		mkdir "$MNT/main/$ns"
		cd "$MNT/main/$ns"
		printf 'd\tK\nd/b\tB\n' | on_main load "$ns"
		[ "$way" = "${way/d\/c/}" ] || { mkdir d/c && rm d/b; }
		file_is d%prolly-key K
		[ -d d ]
		# shellcheck disable=SC2086
		$way
		wait_for 10 missing d%prolly-key
		file_is d K
		is "$(ls | grep -v z)" d
	done
}
