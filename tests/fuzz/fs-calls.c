/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs-calls: what fuzz-fs does to a filesystem. A call gives what its system call does, -1 with errno
 * or a number, and what it has read. Those of more than one system call are what programs do.
 */
#include "fs-calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static char *path_of(const FsPlace *place, const char *path)
{
	return fs_pair_path(place->pair, place->side, path);
}

static int *slot_of(const FsPlace *place, unsigned slot)
{
	return &place->pair->fds[place->side][slot];
}

/* The same bytes on both sides. */
static void fill(uint8_t *bytes, size_t len, unsigned seed)
{
	uint32_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		state = state * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(state >> 24);
	}
}

/* ---- Files ------------------------------------------------------------------------ */

static long call_open(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);
	int *slot = slot_of(place, step->slot);
	int fd = open(path, step->flags | O_CLOEXEC | O_NONBLOCK, step->mode);

	if (fd < 0)
		return -1;
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
	return 0;
}

static long call_close(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	int fd = *slot_of(place, step->slot);

	*slot_of(place, step->slot) = -1;
	return close(fd);
}

/* At an offset, or at the place of the descriptor. */
static long call_write(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree uint8_t *bytes = g_malloc(step->length + 1);
	int fd = *slot_of(place, step->slot);

	fill(bytes, step->length, step->seed);
	return step->flags ? pwrite(fd, bytes, step->length, (off_t)step->offset)
			   : write(fd, bytes, step->length);
}

static long call_read(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	int fd = *slot_of(place, step->slot);
	ssize_t n;

	g_string_set_size(outcome->bytes, step->length);
	n = step->flags ? pread(fd, outcome->bytes->str, step->length, (off_t)step->offset)
			: read(fd, outcome->bytes->str, step->length);
	g_string_set_size(outcome->bytes, n > 0 ? (gsize)n : 0);
	return n;
}

/* A whole file at once, as most are written. */
static long call_put(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);
	g_autofree uint8_t *bytes = g_malloc(step->length + 1);
	int fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK | step->flags, 0644);
	long n;
	int failure;

	if (fd < 0)
		return -1;
	fill(bytes, step->length, step->seed);
	n = write(fd, bytes, step->length);
	failure = errno;
	close(fd);
	errno = failure;
	return n;
}

static long call_seek(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	int fd = *slot_of(place, step->slot);
	struct stat attr;

	if (fstat(fd, &attr) || !S_ISREG(attr.st_mode)) /* a directory's places are its own */
		return 0;
	return lseek(fd, (off_t)step->offset, step->flags);
}

static long call_truncate(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);

	return truncate(path, (off_t)step->offset);
}

static long call_ftruncate(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	return ftruncate(*slot_of(place, step->slot), (off_t)step->offset);
}

/* As it would be: tmpfs does not make zeros of a range, but holes. */
static long zero_range(int fd, int flags, off_t offset, off_t length)
{
	struct stat attr;

	if (fallocate(fd, flags & FALLOC_FL_KEEP_SIZE, offset, length) || fstat(fd, &attr))
		return -1;
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

static long call_fallocate(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	int fd = *slot_of(place, step->slot);

	if (place->side == FS_THEIRS && (step->flags & FALLOC_FL_ZERO_RANGE))
		return zero_range(fd, step->flags, (off_t)step->offset, (off_t)step->length);
	return fallocate(fd, step->flags, (off_t)step->offset, (off_t)step->length);
}

/* Far beyond what can be compared, and back. */
static long call_far(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	int fd = *slot_of(place, step->slot);
	off_t far = (off_t)(UINT64_C(1) << 38) + (off_t)step->offset;
	off_t before = lseek(fd, 0, SEEK_CUR);
	struct stat attr;
	uint8_t byte = (uint8_t)step->seed;

	if (fstat(fd, &attr) || pwrite(fd, &byte, 1, far) != 1)
		return -1;
	if (pread(fd, &byte, 1, far) == 1)
		g_string_append_c(outcome->bytes, (char)byte);
	g_string_append_printf(outcome->bytes, "%lld", (long long)lseek(fd, 0, SEEK_END));
	(void)lseek(fd, before, SEEK_SET);
	return ftruncate(fd, attr.st_size);
}

static long call_copy(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	off64_t in = (off64_t)step->offset, out = (off64_t)step->offset2;

	return copy_file_range(*slot_of(place, step->slot), &in, *slot_of(place, step->slot2), &out,
			       step->length, 0);
}

/* Within the file: beyond it is a signal. */
static long call_map(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	int fd = *slot_of(place, step->slot);
	struct stat attr;
	size_t begin, len;
	uint8_t *map;
	int done;

	if (fstat(fd, &attr))
		return -1;
	if (!S_ISREG(attr.st_mode) || attr.st_size == 0 || (fcntl(fd, F_GETFL) & O_PATH))
		return 0;
	begin = step->offset % (size_t)attr.st_size;
	len = MIN(step->length, (size_t)attr.st_size - begin);
	map = mmap(NULL, (size_t)attr.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -1;
	fill(map + begin, len, step->seed);
	done = msync(map, (size_t)attr.st_size, MS_SYNC);
	g_string_append_len(outcome->bytes, (const char *)map, attr.st_size);
	munmap(map, (size_t)attr.st_size);
	return done;
}

static long call_sync(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	int fd = *slot_of(place, step->slot);

	return step->flags ? fsync(fd) : fdatasync(fd);
}

/* ---- Names ------------------------------------------------------------------------ */

static long call_mkdir(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);

	return mkdir(path, step->mode);
}

static long call_rmdir(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);

	return rmdir(path);
}

static long call_unlink(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);

	return unlink(path);
}

static long call_rename(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *from = path_of(place, step->path);
	g_autofree char *to = path_of(place, step->other);

	return renameat2(AT_FDCWD, from, AT_FDCWD, to, (unsigned)step->flags);
}

static long call_link(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *from = path_of(place, step->path);
	g_autofree char *to = path_of(place, step->other);

	return linkat(AT_FDCWD, from, AT_FDCWD, to, step->flags);
}

static long call_link_open(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *to = path_of(place, step->path);
	g_autofree char *from = g_strdup_printf("/proc/self/fd/%d", *slot_of(place, step->slot));

	return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

static long call_symlink(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);

	return symlink(step->text, path);
}

static long call_mknod(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);

	return mknod(path, (mode_t)step->flags | step->mode, makedev(1, 3));
}

static long call_access(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);

	return faccessat(AT_FDCWD, path, step->flags, AT_EACCESS);
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static long call_list(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		g_ptr_array_add(names, g_strdup(entry->d_name));
	closedir(dir);
	g_ptr_array_sort(names, compare_texts);
	for (guint i = 0; i < names->len; i++)
		g_string_append_printf(outcome->bytes, "%s\n", (char *)names->pdata[i]);
	return 0;
}

/* All that is in a directory goes while it is read, as `rm -r` does it. */
static long call_empty(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);
	DIR *dir = opendir(path);
	struct dirent *entry;
	long n = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			n += unlinkat(dirfd(dir), entry->d_name, 0) == 0;
	closedir(dir);
	return n;
}

/* ---- Attributes ------------------------------------------------------------------- */

static long call_chmod(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);

	return chmod(path, step->mode);
}

static long call_chown(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	static const int ids[] = {-1, 0, FS_OTHER_USER, FS_OTHER_USER + 1};
	g_autofree char *path = path_of(place, step->path);

	return lchown(path, (uid_t)ids[step->seed % 4], (gid_t)ids[step->seed / 4 % 4]);
}

static long call_times(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	static const long special[] = {UTIME_NOW, UTIME_OMIT};
	g_autofree char *path = path_of(place, step->path);
	struct timespec times[2];

	for (int i = 0; i < 2; i++) {
		unsigned kind = step->seed >> (i * 2) & 3;

		times[i].tv_sec = 1000000000 + (time_t)step->offset * (i ? 1 : -1);
		times[i].tv_nsec = kind < 2 ? special[kind] : (long)step->offset2 % 1000000000;
	}
	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static long call_setxattr(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);
	uint8_t value[1024];
	size_t len = step->length % sizeof(value);

	fill(value, len, step->seed);
	for (size_t i = 0; i < len; i++) /* they are compared as texts */
		value[i] = 'a' + value[i] % 26;
	return lsetxattr(path, step->name, value, len, step->flags);
}

static long call_getxattr(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);
	char value[1024];
	ssize_t n = lgetxattr(path, step->name, value, step->seed % 8 ? sizeof(value) : 3);

	if (n > 0)
		g_string_append_len(outcome->bytes, value, n);
	return n;
}

static long call_removexattr(FsPlace *place, const FsStep *step, FsOutcome *outcome)
{
	g_autofree char *path = path_of(place, step->path);

	return lremovexattr(path, step->name);
}

/* ---- What a call may be given ------------------------------------------------------------ */

static const int is_at[] = {0, 1, -1};
static const int put_flags[] = {O_TRUNC, O_TRUNC, O_TRUNC, O_EXCL, O_APPEND, 0, -1};
static const int seek_flags[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE, -1};
static const int allocate_flags[] = {0,
				     FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_COLLAPSE_RANGE,
				     FALLOC_FL_INSERT_RANGE,
				     -1};
static const int rename_flags[] = {
	0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_NOREPLACE | RENAME_EXCHANGE, -1};
static const int link_flags[] = {0, AT_SYMLINK_FOLLOW, -1};
static const int node_flags[] = {S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFREG, S_IFDIR, -1};
static const int access_flags[] = {F_OK, R_OK, W_OK, X_OK, R_OK | W_OK | X_OK, -1};
static const int xattr_flags[] = {0, 0, XATTR_CREATE, XATTR_REPLACE, -1};

const FsOperation fs_operations[] = {
	{"open", "sPFm", call_open, NULL},
	{"open", "sPFm", call_open, NULL},
	{"open", "sPFm", call_open, NULL},
	{"close", "s", call_close, NULL},
	{"write", "sfol", call_write, is_at},
	{"write", "sfol", call_write, is_at},
	{"write", "sfol", call_write, is_at},
	{"read", "sfol", call_read, is_at},
	{"read", "sfol", call_read, is_at},
	{"put", "pfl", call_put, put_flags},
	{"put", "pfl", call_put, put_flags},
	{"seek", "sof", call_seek, seek_flags},
	{"truncate", "po", call_truncate, NULL},
	{"ftruncate", "so", call_ftruncate, NULL},
	{"fallocate", "solf", call_fallocate, allocate_flags},
	{"far", "so", call_far, NULL},
	{"copy", "storl", call_copy, NULL},
	{"map", "sol", call_map, NULL},
	{"sync", "sf", call_sync, is_at},
	{"mkdir", "pm", call_mkdir, NULL},
	{"mkdir", "pm", call_mkdir, NULL},
	{"mkdir", "pm", call_mkdir, NULL},
	{"rmdir", "p", call_rmdir, NULL},
	{"unlink", "p", call_unlink, NULL},
	{"rename", "pqf", call_rename, rename_flags},
	{"rename", "pqf", call_rename, rename_flags},
	{"rename", "pqf", call_rename, rename_flags},
	{"link", "pqf", call_link, link_flags},
	{"link-open", "sp", call_link_open, NULL},
	{"symlink", "pk", call_symlink, NULL},
	{"mknod", "pfm", call_mknod, node_flags},
	{"access", "Pf", call_access, access_flags},
	{"list", "P", call_list, NULL},
	{"empty", "p", call_empty, NULL},
	{"chmod", "Pm", call_chmod, NULL},
	{"chown", "P", call_chown, NULL},
	{"times", "Por", call_times, NULL},
	{"setxattr", "Pxlf", call_setxattr, xattr_flags},
	{"getxattr", "Px", call_getxattr, NULL},
	{"removexattr", "Px", call_removexattr, NULL},
};

const size_t fs_n_operations = G_N_ELEMENTS(fs_operations);
