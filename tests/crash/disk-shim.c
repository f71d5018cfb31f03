/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer between a program and its disk: see disk-shim.h.
 *
 * Why a library and not a filesystem of our own: FUSE passes on neither syncfs(2) nor files without
 * a name (O_TMPFILE), so that what was tested would not be what runs. All that a store's libraries
 * do to files goes through the C library's functions below, but for a symbolic link with which libgit2
 * tries whether there are any.
 *
 * One lock is held over a call and its record, so that the log has the order in which the calls
 * took effect. Nothing is synced really: the test that reads the log decides what a disk would have
 * kept. (With PROLLY_DISK_SYNC set, it is.)
 *
 * With PROLLY_DISK_FUSE set the files seem to be on a FUSE filesystem, which is not told of syncfs(2)
 * and has no files without a name.
 *
 * A file mapped for writing is logged when it is unmapped or synced, as one write: a subset of what
 * the disk may have got before.
 */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#include "disk-shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MAX_FDS      65536
#define MAX_MAPPINGS 64
#define FUSE_MAGIC   0x65735546

typedef struct {
	void *address; /* NULL: unused */
	size_t len;
	uint32_t handle;
	off_t offset;
} Mapping;

static struct {
	pthread_mutex_t lock;
	bool ready;
	bool syncs;   /* really */
	bool is_fuse; /* or looks so */
	const char *root;
	size_t root_len;
	int log;
	ProllyDiskControl *control; /* NULL: none */
	uint32_t handles[MAX_FDS];  /* by descriptor; 0: none of ours */
	uint32_t last_handle;
	Mapping mappings[MAX_MAPPINGS];
} shim = {.lock = PTHREAD_MUTEX_INITIALIZER, .log = -1};

#define REAL(name) ((__typeof__(&name))find_real(#name))

static void *find_real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	return function;
}

__attribute__((constructor)) static void start(void)
{
	const char *log = getenv("PROLLY_DISK_LOG");
	const char *control = getenv("PROLLY_DISK_CONTROL");
	int fd;

	shim.root = getenv("PROLLY_DISK_ROOT");
	if (!shim.root)
		return;
	shim.root_len = strlen(shim.root);
	shim.syncs = getenv("PROLLY_DISK_SYNC") != NULL;
	shim.is_fuse = getenv("PROLLY_DISK_FUSE") != NULL;
	if (log)
		shim.log = REAL(open)(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (control) {
		fd = REAL(open)(control, O_RDWR | O_CLOEXEC);
		shim.control = REAL(mmap)(NULL, sizeof(*shim.control), PROT_READ | PROT_WRITE,
					  MAP_SHARED, fd, 0);
		if (shim.control == MAP_FAILED)
			abort();
		REAL(close)(fd);
	}
	shim.ready = true;
}

/* ---- What is ours ------------------------------------------------------------------------ */

/* The absolute path of NAME, if it is below the root. */
static bool find_path(int dir, const char *name, char out[PATH_MAX])
{
	char link[64];
	ssize_t len;

	if (!shim.ready)
		return false;
	if (name[0] == '/') {
		snprintf(out, PATH_MAX, "%s", name);
	} else {
		snprintf(link, sizeof(link),
			 dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
		len = readlink(link, out, PATH_MAX - 1);
		if (len < 0)
			return false;
		snprintf(out + len, PATH_MAX - (size_t)len, "/%s", name);
	}
	len = (ssize_t)strlen(out);
	while (len > 1 && out[len - 1] == '/')
		out[--len] = '\0';
	return strncmp(out, shim.root, shim.root_len) == 0 &&
	       (out[shim.root_len] == '/' || out[shim.root_len] == '\0');
}

static uint32_t get_handle(int fd)
{
	return shim.ready && fd >= 0 && fd < MAX_FDS ? shim.handles[fd] : 0;
}

static void append_record(uint32_t op, uint32_t handle, int64_t offset, const char *path,
			  const char *other, const void *data, size_t len)
{
	ProllyDiskRecord record = {
		.op = op,
		.process = (uint32_t)getpid(),
		.handle = handle,
		.offset = offset,
		.path_len = path ? (uint32_t)strlen(path) : 0,
		.other_len = other ? (uint32_t)strlen(other) : 0,
	};
	struct iovec parts[] = {
		{&record, sizeof(record)},
		{(void *)path, record.path_len},
		{(void *)other, record.other_len},
		{(void *)data, len},
	};

	if (shim.log < 0)
		return;
	record.size = (uint32_t)(sizeof(record) + record.path_len + record.other_len + len);
	if (REAL(writev)(shim.log, parts, 4) != (ssize_t)record.size)
		abort();
}

/* ---- What a test wants to happen --------------------------------------------------------- */

static void kill_self(void)
{
	kill(getpid(), SIGKILL);
	pause();
}

/* Under the lock: what is to be done with a call of this kind. */
static ProllyDiskAction choose(uint32_t call)
{
	ProllyDiskControl *control = shim.control;

	if (!control || !(control->calls & call))
		return PROLLY_DISK_PASS;
	control->n_calls++;
	if (control->action == PROLLY_DISK_PASS || control->times == 0 || control->wait-- > 0)
		return PROLLY_DISK_PASS;
	control->times--;
	control->n_struck++;
	errno = control->error;
	return (ProllyDiskAction)control->action;
}

/* The same for calls of which nothing can be done in part: true if it fails. */
static bool strike(uint32_t call)
{
	ProllyDiskAction action = choose(call);

	if (action == PROLLY_DISK_KILL)
		kill_self();
	return action != PROLLY_DISK_PASS;
}

static void lock(void)
{
	pthread_mutex_lock(&shim.lock);
}

static void unlock(void)
{
	int error = errno;

	pthread_mutex_unlock(&shim.lock);
	errno = error;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static int open_file(int dir, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];
	bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	bool is_ours = find_path(dir, name, path);
	int fd = -1;

	if (!is_ours)
		return REAL(openat)(dir, name, flags, mode);
	if (shim.is_fuse && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	lock();
	makes = makes && access(path, F_OK) < 0;
	if (!strike(makes ? PROLLY_DISK_MAKING : PROLLY_DISK_READS))
		fd = REAL(openat)(dir, name, flags, mode);
	if (fd >= 0 && fd < MAX_FDS) {
		shim.handles[fd] = ++shim.last_handle;
		append_record(PROLLY_DISK_OPEN, shim.handles[fd], flags, path, NULL, NULL, 0);
	}
	unlock();
	return fd;
}

#define GET_MODE(flags)                                                      \
	({                                                                   \
		mode_t mode_ = 0;                                            \
		if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE) { \
			va_list args_;                                       \
			va_start(args_, flags);                              \
			mode_ = va_arg(args_, mode_t);                       \
			va_end(args_);                                       \
		}                                                            \
		mode_;                                                       \
	})

int open(const char *path, int flags, ...)
{
	return open_file(AT_FDCWD, path, flags, GET_MODE(flags));
}

int open64(const char *path, int flags, ...)
{
	return open_file(AT_FDCWD, path, flags | O_LARGEFILE, GET_MODE(flags));
}

int openat(int dir, const char *path, int flags, ...)
{
	return open_file(dir, path, flags, GET_MODE(flags));
}

int openat64(int dir, const char *path, int flags, ...)
{
	return open_file(dir, path, flags | O_LARGEFILE, GET_MODE(flags));
}

/* What open(2) without a mode becomes with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return open_file(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return open_file(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
	return open_file(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags)
{
	return open_file(dir, path, flags, 0);
}

int close(int fd)
{
	if (fd >= 0 && fd < MAX_FDS)
		shim.handles[fd] = 0;
	return REAL(close)(fd);
}

/* ---- Data -------------------------------------------------------------------------------- */

/* OFFSET -1: where the descriptor stands. */
static ssize_t write_data(int fd, const void *data, size_t len, off_t offset)
{
	uint32_t handle = get_handle(fd);
	ProllyDiskAction action;
	ssize_t n = -1;

	if (!handle)
		return offset < 0 ? REAL(write)(fd, data, len)
				  : REAL(pwrite)(fd, data, len, offset);
	lock();
	action = choose(PROLLY_DISK_DATA);
	if (action == PROLLY_DISK_KILL)
		len /= 2;
	if (action == PROLLY_DISK_PART && len > 1)
		len = 1;
	if (action != PROLLY_DISK_FAIL)
		n = offset < 0 ? REAL(write)(fd, data, len) : REAL(pwrite)(fd, data, len, offset);
	if (n > 0 && offset < 0)
		offset = lseek(fd, 0, SEEK_CUR) - n;
	if (n > 0)
		append_record(PROLLY_DISK_WRITE, handle, offset, NULL, NULL, data, (size_t)n);
	if (action == PROLLY_DISK_KILL)
		kill_self();
	unlock();
	return n;
}

ssize_t write(int fd, const void *data, size_t len)
{
	return write_data(fd, data, len, -1);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return write_data(fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
{
	return write_data(fd, data, len, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	size_t total = 0;
	char *all;
	ssize_t result;

	if (!get_handle(fd))
		return REAL(writev)(fd, parts, n);
	for (int i = 0; i < n; i++)
		total += parts[i].iov_len;
	all = malloc(total + 1);
	if (!all)
		abort();
	total = 0;
	for (int i = 0; i < n; i++) {
		memcpy(all + total, parts[i].iov_base, parts[i].iov_len);
		total += parts[i].iov_len;
	}
	result = write_data(fd, all, total, -1);
	free(all);
	return result;
}

/* OFFSET -1: where the descriptor stands. */
static ssize_t read_data(int fd, void *data, size_t len, off_t offset)
{
	bool fails = false;

	if (get_handle(fd)) {
		lock();
		fails = strike(PROLLY_DISK_READS);
		unlock();
	}
	if (fails)
		return -1;
	return offset < 0 ? REAL(read)(fd, data, len) : REAL(pread)(fd, data, len, offset);
}

ssize_t read(int fd, void *data, size_t len)
{
	return read_data(fd, data, len, -1);
}

ssize_t pread(int fd, void *data, size_t len, off_t offset)
{
	return read_data(fd, data, len, offset);
}

ssize_t pread64(int fd, void *data, size_t len, off_t offset)
{
	return read_data(fd, data, len, offset);
}

/* What they become with _FORTIFY_SOURCE. */
ssize_t __read_chk(int fd, void *data, size_t len, size_t room);
ssize_t __pread_chk(int fd, void *data, size_t len, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *data, size_t len, off_t offset, size_t room);

ssize_t __read_chk(int fd, void *data, size_t len, size_t room)
{
	return read_data(fd, data, len, -1);
}

ssize_t __pread_chk(int fd, void *data, size_t len, off_t offset, size_t room)
{
	return read_data(fd, data, len, offset);
}

ssize_t __pread64_chk(int fd, void *data, size_t len, off_t offset, size_t room)
{
	return read_data(fd, data, len, offset);
}

int ftruncate(int fd, off_t length)
{
	uint32_t handle = get_handle(fd);
	int result = -1;

	if (!handle)
		return REAL(ftruncate)(fd, length);
	lock();
	if (!strike(PROLLY_DISK_DATA))
		result = REAL(ftruncate)(fd, length);
	if (result == 0)
		append_record(PROLLY_DISK_TRUNCATE, handle, length, NULL, NULL, NULL, 0);
	unlock();
	return result;
}

int ftruncate64(int fd, off_t length)
{
	return ftruncate(fd, length);
}

int truncate(const char *name, off_t length)
{
	char path[PATH_MAX];
	int result = -1;

	if (!find_path(AT_FDCWD, name, path))
		return REAL(truncate)(name, length);
	lock();
	if (!strike(PROLLY_DISK_DATA))
		result = REAL(truncate)(name, length);
	if (result == 0)
		append_record(PROLLY_DISK_TRUNCATE, 0, length, path, NULL, NULL, 0);
	unlock();
	return result;
}

int truncate64(const char *path, off_t length)
{
	return truncate(path, length);
}

/* -1 and errno, as fallocate(2). */
static int allocate(int fd, int mode, off_t offset, off_t len)
{
	uint32_t handle = get_handle(fd);
	int result = -1;

	if (!handle)
		return REAL(fallocate)(fd, mode, offset, len);
	lock();
	if (!strike(PROLLY_DISK_DATA))
		result = REAL(fallocate)(fd, mode, offset, len);
	if (result == 0 && !(mode & FALLOC_FL_KEEP_SIZE))
		append_record(PROLLY_DISK_ALLOCATE, handle, offset + len, NULL, NULL, NULL, 0);
	unlock();
	return result;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	return allocate(fd, mode, offset, len);
}

int fallocate64(int fd, int mode, off_t offset, off_t len)
{
	return allocate(fd, mode, offset, len);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	return allocate(fd, 0, offset, len) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off_t offset, off_t len)
{
	return posix_fallocate(fd, offset, len);
}

/* ---- Mappings ---------------------------------------------------------------------------- */

static void note_mapping(void *address, size_t len, uint32_t handle, off_t offset)
{
	for (int i = 0; i < MAX_MAPPINGS; i++) {
		if (!shim.mappings[i].address) {
			shim.mappings[i] = (Mapping){address, len, handle, offset};
			return;
		}
	}
	abort();
}

void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
	uint32_t handle = get_handle(fd);
	void *result = REAL(mmap)(address, len, protection, flags, fd, offset);

	if (result != MAP_FAILED && handle && (protection & PROT_WRITE) && (flags & MAP_SHARED)) {
		lock();
		note_mapping(result, len, handle, offset);
		unlock();
	}
	return result;
}

void *mmap64(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
	return mmap(address, len, protection, flags, fd, offset);
}

/* Under the lock. NULL: none. */
static Mapping *find_mapping(const void *address)
{
	for (int i = 0; i < MAX_MAPPINGS; i++)
		if (shim.mappings[i].address == address)
			return &shim.mappings[i];
	return NULL;
}

static void log_mapping(const Mapping *mapping)
{
	append_record(PROLLY_DISK_WRITE, mapping->handle, mapping->offset, NULL, NULL,
		      mapping->address, mapping->len);
}

int munmap(void *address, size_t len)
{
	Mapping *mapping;

	if (shim.ready) {
		lock();
		mapping = find_mapping(address);
		if (mapping) {
			log_mapping(mapping);
			mapping->address = NULL;
		}
		unlock();
	}
	return REAL(munmap)(address, len);
}

int msync(void *address, size_t len, int flags)
{
	Mapping *mapping = NULL;
	int result = 0;

	lock();
	if (shim.ready)
		mapping = find_mapping(address);
	if (mapping && strike(PROLLY_DISK_SYNCS)) {
		result = -1;
	} else if (mapping) {
		log_mapping(mapping);
		append_record(PROLLY_DISK_SYNC, mapping->handle, 0, NULL, NULL, NULL, 0);
	}
	unlock();
	return mapping && !shim.syncs ? result : REAL(msync)(address, len, flags);
}

/* ---- Syncing ----------------------------------------------------------------------------- */

static int sync_file(int fd, uint32_t op, int (*real)(int fd))
{
	uint32_t handle = get_handle(fd);
	int result = -1;

	if (!handle)
		return real(fd);
	lock();
	if (!strike(PROLLY_DISK_SYNCS))
		result = shim.syncs ? real(fd) : 0;
	append_record(result == 0 ? op : PROLLY_DISK_LOSE, handle, 0, NULL, NULL, NULL, 0);
	unlock();
	return result;
}

int fsync(int fd)
{
	return sync_file(fd, PROLLY_DISK_SYNC, REAL(fsync));
}

int fdatasync(int fd)
{
	return sync_file(fd, PROLLY_DISK_SYNC, REAL(fdatasync));
}

int syncfs(int fd)
{
	if (shim.is_fuse && get_handle(fd))
		return 0;
	return sync_file(fd, PROLLY_DISK_SYNC_ALL, REAL(syncfs));
}

int fstatfs(int fd, struct statfs *out)
{
	int result = REAL(fstatfs)(fd, out);

	if (result == 0 && shim.is_fuse && get_handle(fd))
		out->f_type = FUSE_MAGIC;
	return result;
}

/* (The same structure, on a machine of 64 bits.) */
int fstatfs64(int fd, struct statfs64 *out)
{
	return fstatfs(fd, (struct statfs *)out);
}

/* ---- Space ------------------------------------------------------------------------------- */

/* Is the disk full, and stays so? */
static bool is_full(void)
{
	const ProllyDiskControl *control = shim.control;

	return control && control->calls && control->error == ENOSPC && control->n_struck > 0 &&
	       control->times > 0;
}

int statvfs(const char *path, struct statvfs *out)
{
	int result = REAL(statvfs)(path, out);

	if (result == 0 && is_full())
		out->f_bfree = out->f_bavail = 0;
	return result;
}

/* (The same structure, on a machine of 64 bits.) */
int statvfs64(const char *path, struct statvfs64 *out)
{
	return statvfs(path, (struct statvfs *)out);
}

/* ---- Names ------------------------------------------------------------------------------- */

int mkdirat(int dir, const char *name, mode_t mode)
{
	char path[PATH_MAX];
	int result = -1;

	if (!find_path(dir, name, path))
		return REAL(mkdirat)(dir, name, mode);
	lock();
	if (access(path, F_OK) == 0 || !strike(PROLLY_DISK_MAKING))
		result = REAL(mkdirat)(dir, name, mode);
	if (result == 0)
		append_record(PROLLY_DISK_MKDIR, 0, 0, path, NULL, NULL, 0);
	unlock();
	return result;
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	char path[PATH_MAX];
	char other[PATH_MAX];
	int result = -1;

	if (!find_path(from_dir, from, path) || !find_path(to_dir, to, other))
		return REAL(renameat2)(from_dir, from, to_dir, to, flags);
	lock();
	if (!strike(PROLLY_DISK_NAMES))
		result = REAL(renameat2)(from_dir, from, to_dir, to, flags);
	if (result == 0)
		append_record(PROLLY_DISK_RENAME, 0, flags, path, other, NULL, 0);
	unlock();
	return result;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return renameat2(from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	char path[PATH_MAX];
	char other[PATH_MAX];
	uint32_t handle = 0;
	int result = -1;
	int fd;

	if (!find_path(to_dir, to, other))
		return REAL(linkat)(from_dir, from, to_dir, to, flags);
	if (sscanf(from, "/proc/self/fd/%d", &fd) == 1)
		handle = get_handle(fd);
	else if (flags & AT_EMPTY_PATH && !from[0])
		handle = get_handle(from_dir);
	if (!handle && !find_path(from_dir, from, path))
		abort();
	lock();
	if (!strike(PROLLY_DISK_NAMES))
		result = REAL(linkat)(from_dir, from, to_dir, to, flags);
	if (result == 0)
		append_record(PROLLY_DISK_LINK, handle, 0, handle ? NULL : path, other, NULL, 0);
	unlock();
	return result;
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dir, const char *name, int flags)
{
	char path[PATH_MAX];
	int result = -1;

	if (!find_path(dir, name, path))
		return REAL(unlinkat)(dir, name, flags);
	lock();
	if (!strike(PROLLY_DISK_NAMES))
		result = REAL(unlinkat)(dir, name, flags);
	if (result == 0)
		append_record(flags & AT_REMOVEDIR ? PROLLY_DISK_RMDIR : PROLLY_DISK_UNLINK, 0, 0,
			      path, NULL, NULL, 0);
	unlock();
	return result;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -1;
	return unlinkat(AT_FDCWD, path, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
}
