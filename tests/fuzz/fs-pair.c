/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs-pair: both sides, made, mounted and compared.
 *
 *   TOP/mnt/main, TOP/mnt/side        ours: branches
 *   TOP/native/main, TOP/native/side  theirs: filesystems of their own, as branches are
 *   TOP/store                         ours, if it is kept
 *
 * What is compared of two trees: names as readdir(3) gives them, with types; what lstat(2) says but
 * for what no two filesystems have in common (device, number, blocks, size of a directory); that two
 * names are one file on both sides or on none; contents; targets of links; extended attributes. Of
 * times only those that are in the past, since they were set there: whatever has moved one side's
 * to the present has to have moved the other's. Of a file that is open, the same by its descriptor.
 *
 * The kernel does not tell us that somebody uses a fifo, so its times do not move.
 * A directory's link count is 1 with us, whatever is in it (prollyfs(1)). Of what has no name any more
 * we remember but type, mode and owner, if it is no file or open for nothing (O_PATH).
 *
 * A process that serves its own files and dies waits, when the kernel closes them, for the answer of a
 * thread that is dead already. So another watches over it, and cuts the connection when a lock that
 * this one has is free. That is so as soon as its file is closed, which has the lowest number of all.
 * (Its end of a pipe would count as open until the last file is closed.)
 */
#include "fs-pair.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs.h"

#define FUSE_MAGIC  0x65735546
#define PAST        1500000000 /* times before this one were set by somebody */
#define PIECE       65536
#define XATTRS_MAX  4096
#define XATTR_MAX   4096
#define FDS_MAX     1024 /* of a process that has just begun */
#define PATIENCE_US (120 * G_USEC_PER_SEC)

static const char *const branches[] = {"main", "side"};

/* ---- A place to be ----------------------------------------------------------------------- */

static void must(bool done, const char *what)
{
	if (!done)
		g_error("%s: %s", what, g_strerror(errno));
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text);
}

/* Root in a user namespace of its own may mount as well. */
static bool become_root(void)
{
	g_autofree char *users = g_strdup_printf("0 %u 1", getuid());
	g_autofree char *groups = g_strdup_printf("0 %u 1", getgid());

	return unshare(CLONE_NEWUSER) == 0 && write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", users) && write_text("/proc/self/gid_map", groups);
}

static bool mount_memory(const char *path)
{
	return mount("none", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOATIME, "mode=755") == 0;
}

static char *in_top(const FsPair *self, const char *name)
{
	return g_build_filename(self->top, name, NULL);
}

/* (a descriptor) A lock of this process, until it is closed. Waits until it is free. */
static int take_lock(const FsPair *self)
{
	g_autofree char *path = in_top(self, "lock");
	struct flock lock = {.l_type = F_WRLCK};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int done;

	must(fd >= 0, path);
	do
		done = fcntl(fd, F_SETLKW, &lock);
	while (done < 0 && errno == EINTR);
	return fd;
}

/* In a process of its own. What the caller has open may not stay so in it: somebody may wait. */
static void watch(const FsPair *self)
{
	g_autofree char *mountpoint = in_top(self, "mnt");

	(void)setsid();
	for (int fd = 0; fd < FDS_MAX; fd++)
		close(fd);
	take_lock(self);
	(void)umount2(mountpoint, MNT_FORCE);
	(void)umount2(self->top, MNT_DETACH);
	(void)rmdir(self->top);
	_exit(0);
}

static void start_watcher(const FsPair *self)
{
	pid_t watcher;

	take_lock(self);
	watcher = fork();
	must(watcher >= 0, "fork");
	if (!watcher)
		watch(self);
}

/*
 * A mount is there until the last namespace has let go of it: who unmounts another one of ours while
 * this process lives would wait for its end.
 */
static void let_go_of_others(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;

	must(mounts, "/proc/self/mounts");
	while ((entry = getmntent(mounts)))
		if (g_str_has_prefix(entry->mnt_type, "fuse"))
			(void)umount2(entry->mnt_dir, MNT_DETACH);
	endmntent(mounts);
}

FsPair *fs_pair_new(void)
{
	g_autoptr(GError) error = NULL;
	FsPair *self;
	bool is_root = getuid() == 0;
	char *top;

	if (access("/dev/fuse", R_OK | W_OK) || (!is_root && !become_root()) ||
	    unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return NULL;
	let_go_of_others();
	top = g_dir_make_tmp("fuzz-fs-XXXXXX", &error);
	g_assert_no_error(error);
	must(mount_memory(top), top);
	self = g_new0(FsPair, 1);
	self->top = top;
	self->is_root = is_root;
	memset(self->fds, -1, sizeof(self->fds));
	start_watcher(self);
	return self;
}

/* ---- The mount --------------------------------------------------------------------------- */

/* libFuzzer has a clock that strikes each second, and a command that is interrupted ends.
 * This thread goes on hearing it: it is who notices that an input takes too long. */
static GThread *start_undisturbed(const char *name, GThreadFunc func, gpointer data)
{
	sigset_t clock, before;
	GThread *thread;

	sigemptyset(&clock);
	sigaddset(&clock, SIGALRM);
	must(pthread_sigmask(SIG_BLOCK, &clock, &before) == 0, "pthread_sigmask");
	thread = g_thread_new(name, func, data);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0, "pthread_sigmask");
	return thread;
}

static gpointer serve(gpointer data)
{
	FsPair *self = data;
	g_autofree char *store = in_top(self, "store");
	g_autofree char *mountpoint = in_top(self, "mnt");
	PfsOptions options = {
		.store = self->is_kept ? store : ":memory:",
		.mountpoint = mountpoint,
		.foreground = true,
		.create = true,
		.allow_other = self->is_root,
		.uid = -1,
		.gid = -1,
		.umask = -1,
		.ctl_gid = -1,
	};

	g_assert_cmpint(pfs_run(&options), ==, 0);
	return NULL;
}

void fs_pair_mount(FsPair *self)
{
	g_autofree char *mountpoint = in_top(self, "mnt");
	gint64 end = g_get_monotonic_time() + PATIENCE_US;
	struct statfs info;

	self->server = start_undisturbed("server", serve, self);
	while (statfs(mountpoint, &info) || info.f_type != FUSE_MAGIC) {
		g_assert_cmpint(g_get_monotonic_time(), <, end);
		g_usleep(500);
	}
}

static void close_slot(FsPair *self, FsSide side, unsigned slot)
{
	if (self->fds[side][slot] >= 0)
		close(self->fds[side][slot]);
	self->fds[side][slot] = -1;
}

void fs_pair_unmount(FsPair *self)
{
	g_autofree char *mountpoint = in_top(self, "mnt");

	for (FsSide side = 0; side < FS_SIDES; side++)
		for (unsigned slot = 0; slot < FS_SLOTS; slot++)
			close_slot(self, side, slot);
	must(umount2(mountpoint, MNT_DETACH) == 0, mountpoint);
	g_thread_join(self->server);
	self->server = NULL;
}

typedef struct {
	char *ctl;
	const char *line;
} Command;

static gpointer send_command(gpointer data)
{
	Command *self = data;

	must(write_text(self->ctl, self->line), self->line);
	return NULL;
}

void fs_pair_command(FsPair *self, const char *line)
{
	Command command = {in_top(self, "mnt/.prollyfs/ctl"), line};

	g_thread_join(start_undisturbed("command", send_command, &command));
	g_free(command.ctl);
}

/* ---- Begin and end ----------------------------------------------------------------------- */

char *fs_pair_path(const FsPair *self, FsSide side, const char *path)
{
	return g_build_filename(self->top, side == FS_OURS ? "mnt" : "native", path, NULL);
}

void fs_pair_begin(FsPair *self, bool is_kept)
{
	g_autofree char *mountpoint = in_top(self, "mnt");
	g_autofree char *native = in_top(self, "native");
	g_autofree char *main_path = fs_pair_path(self, FS_THEIRS, branches[0]);

	self->is_kept = is_kept;
	must(g_mkdir_with_parents(mountpoint, 0755) == 0, mountpoint);
	must(g_mkdir_with_parents(native, 0755) == 0, native);
	fs_pair_mount(self);
	fs_pair_command(self, "branch side\n");
	for (size_t i = 0; i < G_N_ELEMENTS(branches); i++) {
		g_autofree char *path = fs_pair_path(self, FS_THEIRS, branches[i]);

		must(g_mkdir_with_parents(path, 0755) == 0, path);
		must(mount_memory(path), path);
	}
	self->has_xattrs = setxattr(main_path, "user.t", "", 0, 0) == 0;
	(void)removexattr(main_path, "user.t");
}

static int remove_one(const char *path, const struct stat *attr, int type, struct FTW *where)
{
	return remove(path);
}

void fs_pair_end(FsPair *self)
{
	g_autofree char *store = in_top(self, "store");

	fs_pair_unmount(self);
	for (size_t i = 0; i < G_N_ELEMENTS(branches); i++) {
		g_autofree char *path = fs_pair_path(self, FS_THEIRS, branches[i]);

		must(umount2(path, MNT_DETACH) == 0, path);
	}
	if (self->is_kept)
		must(nftw(store, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, store);
}

/* ---- Attributes -------------------------------------------------------------------------- */

static void differ(const char *path, const char *what, long long ours, long long theirs)
{
	g_error("%s: %s is %lld, should be %lld", path, what, ours, theirs);
}

static void compare_number(const char *path, const char *what, uint64_t ours, uint64_t theirs)
{
	if (ours != theirs)
		differ(path, what, (long long)ours, (long long)theirs);
}

static void compare_time(const char *path, const char *what, const struct timespec *ours,
			 const struct timespec *theirs)
{
	if (ours->tv_sec >= PAST && theirs->tv_sec >= PAST)
		return;
	compare_number(path, what, (uint64_t)ours->tv_sec, (uint64_t)theirs->tv_sec);
	compare_number(path, what, (uint64_t)ours->tv_nsec, (uint64_t)theirs->tv_nsec);
}

static void compare_stat(const char *path, const struct stat *ours, const struct stat *theirs)
{
	if (ours->st_mode != theirs->st_mode)
		g_error("%s: mode is %o, should be %o", path, ours->st_mode, theirs->st_mode);
	compare_number(path, "uid", ours->st_uid, theirs->st_uid);
	compare_number(path, "gid", ours->st_gid, theirs->st_gid);
	if (!S_ISFIFO(theirs->st_mode)) {
		compare_time(path, "mtime", &ours->st_mtim, &theirs->st_mtim);
		compare_time(path, "atime", &ours->st_atim, &theirs->st_atim);
	}
	if (S_ISDIR(theirs->st_mode))
		return;
	compare_number(path, "nlink", ours->st_nlink, theirs->st_nlink);
	compare_number(path, "size", (uint64_t)ours->st_size, (uint64_t)theirs->st_size);
	compare_number(path, "rdev", ours->st_rdev, theirs->st_rdev);
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* (transfer full) "NAME=VALUE" of each of PATH's attributes for users, in order. */
static GPtrArray *read_xattrs(const char *path)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
	char names[XATTRS_MAX], value[XATTR_MAX];
	ssize_t len = llistxattr(path, names, sizeof(names));

	must(len >= 0, path);
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t n;

		if (!g_str_has_prefix(name, "user."))
			continue;
		n = lgetxattr(path, name, value, sizeof(value));
		must(n >= 0, name);
		g_ptr_array_add(found, g_strdup_printf("%s=%.*s", name, (int)n, value));
	}
	g_ptr_array_sort(found, compare_texts);
	return found;
}

static void compare_xattrs(const char *const *paths)
{
	g_autoptr(GPtrArray) ours = read_xattrs(paths[FS_OURS]);
	g_autoptr(GPtrArray) theirs = read_xattrs(paths[FS_THEIRS]);

	compare_number(paths[FS_OURS], "number of extended attributes", ours->len, theirs->len);
	for (guint i = 0; i < ours->len; i++)
		if (strcmp(ours->pdata[i], theirs->pdata[i]))
			g_error("%s: attribute %s, should be %s", paths[FS_OURS],
				(char *)ours->pdata[i], (char *)theirs->pdata[i]);
}

/* ---- Contents ---------------------------------------------------------------------------- */

static void compare_bytes(const char *path, const int *fds)
{
	g_autofree char *ours = g_malloc(PIECE);
	g_autofree char *theirs = g_malloc(PIECE);
	ssize_t n, m;
	off_t at = 0;

	do {
		n = pread(fds[FS_OURS], ours, PIECE, at);
		m = pread(fds[FS_THEIRS], theirs, PIECE, at);
		if (n != m)
			differ(path, "what a read gives", n < 0 ? -errno : n, m);
		for (ssize_t i = 0; i < n; i++)
			if (ours[i] != theirs[i])
				g_error("%s: byte %lld is %d, should be %d", path,
					(long long)(at + i), ours[i], theirs[i]);
		at += n;
	} while (n > 0);
}

static void compare_files(const char *const *paths)
{
	int fds[FS_SIDES];

	for (FsSide side = 0; side < FS_SIDES; side++) {
		fds[side] = open(paths[side], O_RDONLY | O_NOFOLLOW);
		must(fds[side] >= 0, paths[side]);
	}
	compare_bytes(paths[FS_OURS], fds);
	close(fds[FS_OURS]);
	close(fds[FS_THEIRS]);
}

static void compare_targets(const char *const *paths)
{
	char targets[FS_SIDES][PATH_MAX + 1];

	for (FsSide side = 0; side < FS_SIDES; side++) {
		ssize_t len = readlink(paths[side], targets[side], PATH_MAX);

		must(len >= 0, paths[side]);
		targets[side][len] = '\0';
	}
	if (strcmp(targets[FS_OURS], targets[FS_THEIRS]))
		g_error("%s: leads to %s, should lead to %s", paths[FS_OURS], targets[FS_OURS],
			targets[FS_THEIRS]);
}

static void compare_open_files(FsPair *self)
{
	for (unsigned slot = 0; slot < FS_SLOTS; slot++) {
		int fds[FS_SIDES] = {self->fds[FS_OURS][slot], self->fds[FS_THEIRS][slot]};
		g_autofree char *what = g_strdup_printf("descriptor %u", slot);
		struct stat ours, theirs;
		int flags;

		if (fds[FS_OURS] < 0)
			continue;
		must(fstat(fds[FS_OURS], &ours) == 0, what);
		must(fstat(fds[FS_THEIRS], &theirs) == 0, what);
		flags = fcntl(fds[FS_OURS], F_GETFL);
		if (!theirs.st_nlink && (!S_ISREG(theirs.st_mode) || (flags & O_PATH)))
			continue;
		compare_stat(what, &ours, &theirs);
		if (S_ISREG(theirs.st_mode) && (flags & O_ACCMODE) != O_WRONLY && !(flags & O_PATH))
			compare_bytes(what, fds);
	}
}

/* ---- Trees ------------------------------------------------------------------------------- */

/* Of one comparison: numbers of files on one side -> on the other. */
typedef struct {
	GHashTable *numbers[FS_SIDES];
} Seen;

static void compare_identity(Seen *seen, const char *path, const struct stat *stats)
{
	for (FsSide side = 0; side < FS_SIDES; side++) {
		gpointer number = GSIZE_TO_POINTER(stats[side].st_ino ^ stats[side].st_dev << 48);
		gpointer other = GSIZE_TO_POINTER(stats[!side].st_ino ^ stats[!side].st_dev << 48);
		gpointer known = g_hash_table_lookup(seen->numbers[side], number);

		if (known && known != other)
			g_error("%s: %s", path,
				side == FS_OURS ? "has the number of another file"
						: "should be a link to another file");
		g_hash_table_insert(seen->numbers[side], number, other);
	}
}

/* (transfer full) "NAME", and of what type it is said to be, in order. */
static GPtrArray *read_names(const char *path)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	DIR *dir = opendir(path);
	struct dirent *entry;

	must(dir != NULL, path);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			g_ptr_array_add(names,
					g_strdup_printf("%s/%u", entry->d_name, entry->d_type));
	closedir(dir);
	g_ptr_array_sort(names, compare_texts);
	return names;
}

static void compare_paths(FsPair *self, Seen *seen, const char *const *paths);

static void compare_directories(FsPair *self, Seen *seen, const char *const *paths)
{
	g_autoptr(GPtrArray) ours = read_names(paths[FS_OURS]);
	g_autoptr(GPtrArray) theirs = read_names(paths[FS_THEIRS]);

	for (guint i = 0; i < MAX(ours->len, theirs->len); i++) {
		const char *name = i < ours->len ? ours->pdata[i] : "nothing";
		const char *other = i < theirs->len ? theirs->pdata[i] : "nothing";

		if (strcmp(name, other))
			g_error("%s: has %s, should have %s", paths[FS_OURS], name, other);
	}
	for (guint i = 0; i < ours->len; i++) {
		g_autofree char *name = g_path_get_dirname(ours->pdata[i]);
		g_autofree char *a = g_build_filename(paths[FS_OURS], name, NULL);
		g_autofree char *b = g_build_filename(paths[FS_THEIRS], name, NULL);

		compare_paths(self, seen, (const char *const[]){a, b});
	}
}

static void compare_paths(FsPair *self, Seen *seen, const char *const *paths)
{
	struct stat stats[FS_SIDES];

	for (FsSide side = 0; side < FS_SIDES; side++)
		must(lstat(paths[side], &stats[side]) == 0, paths[side]);
	compare_stat(paths[FS_OURS], &stats[FS_OURS], &stats[FS_THEIRS]);
	compare_identity(seen, paths[FS_OURS], stats);
	if (self->has_xattrs)
		compare_xattrs(paths);
	if (S_ISREG(stats[FS_THEIRS].st_mode))
		compare_files(paths);
	else if (S_ISLNK(stats[FS_THEIRS].st_mode))
		compare_targets(paths);
	else if (S_ISDIR(stats[FS_THEIRS].st_mode))
		compare_directories(self, seen, paths);
}

void fs_pair_compare(FsPair *self)
{
	Seen seen = {{g_hash_table_new(NULL, NULL), g_hash_table_new(NULL, NULL)}};

	for (size_t i = 0; i < G_N_ELEMENTS(branches); i++) {
		g_autofree char *ours = fs_pair_path(self, FS_OURS, branches[i]);
		g_autofree char *theirs = fs_pair_path(self, FS_THEIRS, branches[i]);

		compare_paths(self, &seen, (const char *const[]){ours, theirs});
	}
	compare_open_files(self);
	g_hash_table_unref(seen.numbers[FS_OURS]);
	g_hash_table_unref(seen.numbers[FS_THEIRS]);
}
