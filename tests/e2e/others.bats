# SPDX-License-Identifier: Apache-2.0
# Promise: other users of a mount do what owners and modes allow and no more, hold as much as one may and
# no more, and command nothing.
load common

setup()
{
	common_setup
	need_root
}

# users SCRIPT: in Python, in the mount's root (wherever that is); BECOME(ID), a user in no other group;
# OPEN(PATH[, FLAGS]) and CLOSE() all of it; HAVE(FUNCTION), how often it could be called, and the error
# that ended that.
users()
{
	python3 -c '
import errno, os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
os.chdir(sys.argv[1])
fds = []
def BECOME(user):
    os.seteuid(0)
    os.setgroups([])
    os.setegid(user)
    os.seteuid(user)
def OPEN(path, flags=os.O_RDONLY):
    fds.append(os.open(path, flags, 0o644))
    return fds[-1]
def CLOSE():  # the kernel tells of it later
    user = os.geteuid()
    BECOME(0)
    while fds:
        os.close(fds.pop())
    while b"has 1 files and 0 directories open" not in open(".prollyfs/stats", "rb").read():
        pass
    BECOME(user)
def HAVE(function, most=2000):
    for n in range(most):
        try:
            function(n)
        except OSError as error:
            return n, errno.errorcode[error.errno]
    return most, "no error"
'"$1" "$MNT"
}

# ---- What one may hold ---------------------------------------------------------------------------

@test "files and directories: one user has as many as max_open says, others go on" {
	mount_store "$STORE" "$MNT" -o allow_other,max_open=40
	mkdir -m 777 "$MNT/main/ns"
	echo x >"$MNT/main/ns/f"
	users '
BECOME(12001)
assert HAVE(lambda n: OPEN("main/ns/f")) == (40, "EMFILE")
assert HAVE(lambda n: OPEN("main/ns", os.O_DIRECTORY)) == (0, "EMFILE")
assert HAVE(lambda n: OPEN("main/ns/new", os.O_CREAT | os.O_WRONLY)) == (0, "EMFILE")
assert os.read(fds[0], 10) == b"x\n"                    # what is open goes on,
os.mkdir("main/ns/d"), os.rmdir("main/ns/d")  # and so does what opens nothing
BECOME(12003)
assert HAVE(lambda n: OPEN("main/ns", os.O_DIRECTORY)) == (40, "EMFILE")
BECOME(0)
assert HAVE(lambda n: OPEN("main/ns/f")) == (640, "EMFILE")
BECOME(12001)
assert HAVE(lambda n: OPEN("main/ns/f")) == (0, "EMFILE")
CLOSE()  # who has closed can open again
assert HAVE(lambda n: OPEN("main/ns/new%d" % n, os.O_CREAT | os.O_WRONLY)) == (40, "EMFILE")
BECOME(12002)
assert HAVE(lambda n: OPEN("main/ns", os.O_DIRECTORY)) == (40, "EMFILE")
assert HAVE(lambda n: OPEN("main/ns", os.O_DIRECTORY)) == (0, "EMFILE")
'
	is "$(grep -c 'user 12002 has all the open files' "$T/daemon.log")" 1 # not once a refusal
	is "$(on_main ls ns | grep -cx new)" 0                                # nothing was made for nothing
	file_is "$MNT/main/ns/f" x
}

@test "control files, unfinished lines and results: a member of ctl_gid's group has enough" {
	mount_store "$STORE" "$MNT" -o allow_other,ctl_gid=12001
	mkdir "$MNT/main/ns"
	random_bytes 3000000 1 >"$MNT/main/ns/large"
	users '
def ctl():
    return OPEN(".prollyfs/ctl", os.O_RDWR)
BECOME(12001)
assert HAVE(lambda n: ctl()) == (64, "EMFILE")
os.write(fds[0], b"ls ns\n")
assert os.read(fds[0], 100) == b"large\n"
CLOSE()

piece = b"# " + b"x" * 1000000
def line(n):  # 8 MiB at the most in each
    n % 8 or ctl()
    os.write(fds[-1], piece)
n, error = HAVE(line, 100)
assert error == "EDQUOT" and 60 < n <= 67, (n, error)
CLOSE()

def result(n):
    n % 3 or ctl()
    os.write(fds[-1], b"get ns/large\n")
n, error = HAVE(result, 40)
assert error == "EDQUOT" and 18 < n <= 22, (n, error)
for fd in fds:  # what is read is given back
    while os.read(fd, 1 << 20):
        pass
os.write(fds[0], b"get ns/large\n")
'
	grep -q 'user 12001 has all the open control files' "$T/daemon.log"
	grep -q 'user 12001 has all the bytes of commands and results' "$T/daemon.log"
	is "$(on_main ls ns)" large
}

@test "requests of control files that wait, of one who shares a descriptor among many threads" {
	mount_store "$STORE" "$MNT" -o allow_other,ctl_gid=12001
	users '
import threading
BECOME(12001)
fd = OPEN(".prollyfs/ctl", os.O_RDWR)
os.write(fd, b"frames 1\n")
os.write(fd, b"\1\7\0\0\0load ns")  # which waits for what it shall load
errors, change = [], threading.Condition()
def wait():
    try:
        error = len(os.pread(fd, 100, 0))
    except OSError as e:
        error = errno.errorcode[e.errno]
    with change:
        errors.append(error)
        change.notify()
for n in range(300):
    threading.Thread(target=wait, daemon=True).start()
with change:  # the rest wait on
    assert change.wait_for(lambda: len(errors) == 300 - 256, 120), errors
assert set(errors) == {"EBUSY"}, errors
assert HAVE(lambda n: os.write(fd, b"\3\0\0\0\0")) == (0, "EBUSY")
BECOME(0)
with open(".prollyfs/ctl", "r+b", buffering=0) as other:
    other.write(b"put ns/a 1\n")
os._exit(0)
'
	is "$(on_main get ns/a)" 1
}

@test "requests of control files that were answered are none that wait" {
	mount_store "$STORE" "$MNT" -o allow_other,ctl_gid=12001
	mkdir "$MNT/main/ns"
	users '
BECOME(12001)
fd = OPEN(".prollyfs/ctl", os.O_RDWR)
def run(n):
    os.write(fd, b"ls\n")
    assert os.read(fd, 100) == b"ns\n" and not os.read(fd, 100)
assert HAVE(run, 300) == (300, "no error")
'
}

@test "texts and names of branches: kept as long as they may be" {
	ctl . init "$STORE"
	local i message
	message=$(printf 'm%.0s' {1..60000})
	for i in $(seq 20); do
		ctl "$STORE" -q commit --allow-empty -m "$message"
	done
	mount_store "$STORE" "$MNT" -o allow_other,ctl_gid=12001
	for i in $(seq 300); do
		printf 'branch %0.200d/%0.200d\n' "$i" "$i"
	done >"$MNT/.prollyfs/ctl"
	users '
def read(n):  # what is closed counts no more
    fd = os.open(".prollyfs/log/main", os.O_RDONLY)
    while os.read(fd, 1 << 20):
        pass
    os.close(fd)
def names(n):
    fd = os.open(".", os.O_DIRECTORY)
    assert len(os.listdir(fd)) == 301
    os.close(fd)
BECOME(12001)
OPEN(".", os.O_DIRECTORY)
assert HAVE(read, 80) == (80, "no error")
assert HAVE(names, 80) == (80, "no error")
n, error = HAVE(lambda n: OPEN(".prollyfs/log/main"), 100)
assert error == "EDQUOT" and 50 < n < 56, (n, error)
BECOME(12002)
n, error = HAVE(lambda n: os.listdir(OPEN(".", os.O_DIRECTORY)))
assert error == "EDQUOT" and 1000 < n < 1100, (n, error)
'
}

# ---- What lies in the store ----------------------------------------------------------------------

# reachable DIR: what of it another user could read, or change, by its modes.
reachable()
{
	find "$1" \( -type d ! -perm /077 -prune \) -o -perm /077 -print
}

@test "a store, and a backup of it, is for its owner alone, whatever the umask" {
	umask 0
	ctl . init "$T/a/b/store"
	ctl . init "file://$T/files"
	mkdir "$T/there"
	ctl . init "$T/there"
	mount_store "$T/mounted"
	mkdir "$MNT/main/ns"
	echo secret >"$MNT/main/ns/key"
	chmod 600 "$MNT/main/ns/key"
	random_bytes 1000000 1 >"$MNT/main/ns/large"
	commit_all main
	ctl "$MNT" -q gc --prune=now
	ctl "$MNT" -q backup "$T/backup"
	is "$(reachable "$T/a/b/store")" ""
	is "$(reachable "$T/files")" ""
	is "$(reachable "$T/mounted")" ""
	is "$(reachable "$T/backup")" ""
	# one that was there has the mode that it was given, and nothing worth in it
	is "$(reachable "$T/there" | sort | xargs -n1 basename | tr '\n' ' ')" "there config data.mark lock "
	cp -a "$T/files/." "$T/copied"
	is "$(find "$T/copied" -mindepth 1 -maxdepth 1 -type d -perm /077)" ""
}

# ---- What one may not do -------------------------------------------------------------------------

@test "a backup is not built in a directory that somebody else has put there" {
	ctl . -q init "$STORE"
	local backup=$T/backup
	install -d -o nobody "$backup.partial"
	run ctl "$STORE" backup "$backup"
	status_is 2
	is "$output" "prollyfs-ctl: $backup.partial is in the way: the backup is built there"
	is "$(ls -A "$backup.partial")" ""
	is "$(stat -c '%U %a' "$backup.partial")" 'nobody 755'
	missing "$backup"
	chown root "$backup.partial"
	ctl "$STORE" -q backup "$backup"
	run ctl "$backup" fsck
	is "$output" 'nothing is damaged'
}

@test "the hidden directories are closed to others, by whatever way" {
	mount_store "$STORE" "$MNT" -o allow_other
	mkdir "$MNT/main/ns"
	echo x >"$MNT/main/ns/f"
	commit_all main
	ls "$MNT/.prollyfs/at/main" "$MNT/main/.prollyfs" "$MNT/.prollyfs/log/main" >/dev/null # which the kernel knows now
	users '
def refused(function, *arguments):
    try:
        function(*arguments)
    except PermissionError:
        return
    raise AssertionError(arguments)
hidden = os.open(".prollyfs", os.O_RDONLY | os.O_DIRECTORY)
control = os.open(".prollyfs/ctl", os.O_RDWR)
BECOME(12001)
for top in ".prollyfs", "main/.prollyfs":
    refused(os.listdir, top)
    for name in "ctl", "at/main", "log/main", "log", "status", "status/main", "stats", "conflicts", "at/HEAD/ns/f":
        refused(os.stat, top + "/" + name)
        refused(os.open, top + "/" + name, os.O_RDONLY)
        refused(os.open, top + "/" + name, os.O_RDWR | os.O_CREAT)
for name in "ctl", "stats", "at/main/ns/f", "log/main":  # through a directory that was passed on
    refused(lambda name: os.open(name, os.O_RDONLY, dir_fd=hidden), name)
refused(os.write, control, b"put ns/f y\n")
refused(os.chmod, ".prollyfs", 0o777)
refused(os.chown, ".prollyfs/ctl", 12001, 12001)
refused(os.mkdir, "branch")
refused(os.rmdir, "main")
refused(os.rename, "main", "other")
'
	file_is "$MNT/main/ns/f" x
}

@test "O_CREAT of what a command made a moment ago opens what mode and owner allow" {
	export PROLLYFS_TEST_DEAF=$T/deaf
	mount_store "$STORE" "$MNT" -o allow_other
	mkdir "$MNT/main/ns"
	chmod 777 "$MNT/main/ns"
	echo target >"$MNT/main/ns/target"
	commit_all main
	on_main branch side
	for name in read written changed own; do
		echo "$name" >"$MNT/side/ns/$name"
	done
	ln -s target "$MNT/side/ns/link"
	commit_all side
	for name in read written changed own link; do # the kernel knows that they are not there
		missing "$MNT/main/ns/$name"
	done
	touch "$T/deaf"
	on_main -q merge side 3>&- &
	local merge=$!
	wait_for 120 [ -e "$T/deaf.held" ]
	users '
def fails(name, flags):
    assert HAVE(lambda n: OPEN("main/ns/" + name, os.O_CREAT | flags), 1) == (0, "EACCES"), name
BECOME(12001)
assert os.read(OPEN("main/ns/read", os.O_CREAT), 9) == b"read\n"
fails("written", os.O_WRONLY | os.O_TRUNC)
fails("changed", os.O_RDWR)
fails("link", os.O_WRONLY | os.O_TRUNC)
fails("own", os.O_TRUNC)
BECOME(0)
os.write(OPEN("main/ns/own", os.O_CREAT | os.O_WRONLY | os.O_APPEND), b"more\n")
os.write(OPEN("main/ns/link", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), b"new\n")
'
	rm "$T/deaf"
	wait "$merge"
	file_is "$MNT/main/ns/written" written
	file_is "$MNT/main/ns/changed" changed
	file_is "$MNT/main/ns/own" "own
more"
	is "$(readlink "$MNT/main/ns/link")" target
	file_is "$MNT/main/ns/target" new
}

@test "a control file that is passed on obeys who may command, and its owner's only its owner" {
	mount_store "$STORE" "$MNT" -o allow_other,ctl_gid=12001
	users '
import fcntl
LINE = b"status\n"
def ctl():
    return OPEN(".prollyfs/ctl", os.O_RDWR)
def ioctl(fd):
    fcntl.ioctl(fd, 1 << 30 | len(LINE) << 16 | ord("P") << 8 | 1, LINE)
def write(fd):
    os.write(fd, LINE)
def refused(fd):
    for give in write, ioctl:
        assert HAVE(lambda n: give(fd), 1) == (0, "EACCES"), give
def obeyed(fd):
    for give in write, ioctl:
        give(fd)
        while os.read(fd, 1 << 20):
            pass
owners = ctl()
obeyed(owners)
BECOME(12001)
refused(owners)
obeyed(ctl())
passed = fds[-1]
BECOME(65534)
refused(owners)
refused(passed)
BECOME(12003)  # in a group that is not theirs first
os.seteuid(0)
os.setgroups([12005, 12001])
os.seteuid(12003)
obeyed(ctl())
obeyed(passed)
refused(owners)
os.seteuid(0)
os.setgroups([])
os.seteuid(12003)
refused(fds[-1])
'
}

@test "a member of ctl_gid's group commands, and runs nothing and opens nothing outside" {
	ctl . -q init "$STORE"
	mkdir "$T/outside"
	echo secret >"$T/outside/file"
	chmod 600 "$T/outside/file"
	printf '#!/bin/sh\ntouch "%s/mark"\n' "$T" >"$T/program"
	chmod 755 "$T/program"
	git config --global prollyfs.trust '*' # of who mounts
	git config --global core.editor "$T/program"
	git config --global core.pager "$T/program"
	export GIT_EDITOR="$T/program" EDITOR="$T/program" PAGER="$T/program"
	ctl "$STORE" put ns/key base
	echo "* merge=exec:$T/program" | ctl "$STORE" put .prollyattributes
	ctl "$STORE" -q commit -m base
	ctl "$STORE" branch side
	ctl "$STORE" put ns/key ours
	ctl "$STORE" -q commit -m ours
	ctl "$STORE" -b side put ns/key theirs
	ctl "$STORE" -b side -q commit -m theirs
	mount_store "$STORE" "$MNT" -o allow_other,ctl_gid=12001
	find "$T/outside" "$T/home" -printf '%p %m %s %T@\n' | sort >"$T/before"
	users "
OUT = '$T/outside'
STORE = '$STORE'
PROGRAM = '$T/program'
"'
def run(line, control=".prollyfs/ctl"):
    """The errno of a command, and what it printed."""
    fd = os.open(control, os.O_RDWR)
    try:
        os.write(fd, line.encode() + b"\n")
        code = "ok"
    except OSError as error:
        code = errno.errorcode[error.errno]
    text = b""
    while piece := os.read(fd, 1 << 20):
        text += piece
    os.close(fd)
    return code, text.decode()
BECOME(12001)
assert run("get ns/key") == ("ok", "ours")
assert run("put ns/mine 1")[0] == "ok"
assert run("commit -q -m mine")[0] == "ok"
for control in ".prollyfs/ctl", "main/.prollyfs/ctl":
    for line in ("merge -s exec:%s side" % PROGRAM, "merge --dry-run -s exec:%s side" % PROGRAM,
                 "cherry-pick -X exec:%s side" % PROGRAM, "revert -X exec:%s HEAD" % PROGRAM,
                 "backup %s/backup" % OUT, "backup ../backup", "init %s/new" % OUT, "init %s" % OUT,
                 "-C %s status" % OUT, "-C %s/file status" % OUT, "verify-proof %s ns/key %s/file" % ("0" * 64, OUT),
                 "commit -F %s/file" % OUT, "tag -F %s/file x" % OUT, "prove ns/key -o %s/new" % OUT,
                 "load ns %s/file" % OUT, "dump ns -o %s/new" % OUT, "log --output=%s/new" % OUT,
                 "commit --allow-empty", "merge --edit side", "--env GIT_EDITOR=%s commit --allow-empty" % PROGRAM,
                 "--env PAGER=%s --terminal log" % PROGRAM, "get ../../../../%s/file" % OUT,
                 "--cwd ../../.. get %s/file" % OUT, "--env HOME=%s merge side" % OUT):
        code, text = run(line, control)
        assert "secret" not in text, (line, text)
        for command in "merge", "cherry-pick", "revert":
            run(command + " --abort", control)
    # attributes name a command, which who mounts trusts; but it is not them who merges
    code, text = run("merge side", control)
    assert "was not run: only who owns the mount" in text, text
    run("merge --abort", control)
'
	missing "$T/mark"
	find "$T/outside" "$T/home" -printf '%p %m %s %T@\n' | sort | diff "$T/before" -
	! grep -q secret "$T/daemon.log"
	on_main merge side || true # but who mounts is obeyed
	present "$T/mark"
}

@test "no content, key, message or environment of anybody's is in the log" {
	mount_store "$STORE" "$MNT" -o allow_other,max_open=5
	mkdir -m 777 "$MNT/main/ns"
	users '
BECOME(12001)
with open("main/ns/top-secret-key", "w") as file:
    file.write("top-secret-value")
HAVE(lambda n: OPEN("main/ns/top-secret-key"))
'
	GIT_AUTHOR_NAME=top-secret-name on_main -q commit -m top-secret-message
	run on_main put ns/top-secret-key/below top-secret-value
	run on_main merge top-secret-branch
	run on_main nothing top-secret-argument
	echo 'put ns/k top-secret-value "unbalanced' >"$MNT/.prollyfs/ctl" || true
	kill -USR1 "$DAEMON"
	rm -rf "$STORE/data"/*.sst
	find "$STORE/data" -name '*.log' -exec truncate -s 0 {} +
	run ls "$MNT/main/ns"
	unmount || true
	[ -s "$T/daemon.log" ]
	! grep -i top-secret "$T/daemon.log"
}
