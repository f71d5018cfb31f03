/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spares: empty files made ahead. A commit makes four files (three objects, the lock of a
 * reference), and making one takes as long as a sync where a filesystem looks long for an inode:
 * ext4 without a journal does not give one away again for a minute after a file was deleted, and
 * passes over those one by one (0.01 ms without any, 0.6 ms among 8,000). So a thread makes them
 * while nobody waits: files without a name (O_TMPFILE), so that no directory is locked meanwhile
 * and none is left behind. What is put is written to one, which then gets its name by a link: the
 * name is never that of half a file. Some may only be read, as the three objects, and some be
 * written, as the lock, so that no permissions are changed while somebody waits.
 *
 * A file that is removed has its blocks given back when nobody has it open any more, which takes as
 * long as a sync where the filesystem tells the disk (mount option discard). So another thread
 * closes it, and those that were put; some at a time, since to wake that thread costs as much as to
 * close a few.
 *
 * A process that puts but a few files makes them as it needs them. Where there are no files without
 * a name, one is made under a name of its own and moved.
 *
 * Threads: any. The lock is a leaf; no file is touched under it.
 */
#include "version/spares-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_READ_ONLY 48
#define N_WRITABLE  16
#define N_CLOSING   16 /* files at a time */
#define FEW         8  /* puts of a process that makes none ahead */

typedef struct {
	int fd;
	mode_t mode; /* its permissions */
	mode_t most; /* those that the umask would leave it */
} Spare;

/* Those whose permissions are MASK of what the umask leaves. */
typedef struct {
	mode_t mask;
	unsigned n_wanted;
	unsigned n_ready;
	Spare spares[N_READ_ONLY];
} Pool;

struct ProllySpares {
	char *dir;
	int dir_fd;          /* -1: paths are walked from their beginning */
	gint needs_proc;     /* atomic; this kernel gives no name to what is but open */
	GThreadPool *maker;  /* one thread, there when it is needed; NULL: all files have names */
	GThreadPool *closer; /* likewise */
	gint n_names;        /* atomic; given so far */

	GMutex lock; /* protects all below */
	Pool read_only;
	Pool writable;
	int closing[N_CLOSING]; /* that nobody needs any more */
	unsigned n_closing;
	unsigned n_puts; /* up to FEW */
	bool making;
	bool stop;
};

/* ---- Making ------------------------------------------------------------------------------ */

static bool set_mode(Spare *spare, mode_t mode)
{
	if (spare->mode != mode && fchmod(spare->fd, mode) < 0)
		return false;
	spare->mode = mode;
	return true;
}

/* FD: of a file that was just made, or -1 and errno. */
static Spare examine(int fd)
{
	Spare spare = {.fd = fd};
	struct stat st = {0};

	if (fd >= 0 && fstat(fd, &st) < 0)
		prolly_close_fd(&spare.fd);
	spare.mode = spare.most = st.st_mode & 0777;
	return spare;
}

/* Its fd is -1, with errno, if there is none. */
static Spare make_spare(const ProllySpares *self, mode_t mask)
{
	Spare spare = examine(open(self->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));

	if (spare.fd >= 0 && !set_mode(&spare, spare.most & mask))
		prolly_close_fd(&spare.fd);
	return spare;
}

/* Under the lock, which it leaves meanwhile. False: no file could be made. */
static bool fill_pool(ProllySpares *self, Pool *pool)
{
	Spare spare = {.fd = 0};

	while (!self->stop && pool->n_ready < pool->n_wanted && spare.fd >= 0) {
		g_mutex_unlock(&self->lock);
		spare = make_spare(self, pool->mask);
		g_mutex_lock(&self->lock);
		/* Only this thread adds any, so there is room. */
		if (spare.fd >= 0)
			pool->spares[pool->n_ready++] = spare;
	}
	return spare.fd >= 0;
}

static void make_all(gpointer data, gpointer user_data)
{
	ProllySpares *self = user_data;

	g_mutex_lock(&self->lock);
	(void)(fill_pool(self, &self->read_only) && fill_pool(self, &self->writable));
	self->making = false;
	g_mutex_unlock(&self->lock);
}

static bool is_low(const Pool *pool)
{
	return pool->n_ready <= pool->n_wanted / 2;
}

/* Under the lock. */
static void make_ahead(ProllySpares *self)
{
	self->n_puts = MIN(self->n_puts + 1, FEW);
	if (self->n_puts < FEW || self->making ||
	    (!is_low(&self->read_only) && !is_low(&self->writable)))
		return;
	self->making = true;
	g_thread_pool_push(self->maker, self, NULL);
}

/* One for permissions MODE that was made ahead, or one made now. */
static Spare take(ProllySpares *self, mode_t mode)
{
	Pool *pool = mode & 0222 ? &self->writable : &self->read_only;
	Spare spare = {.fd = -1};

	g_mutex_lock(&self->lock);
	if (pool->n_ready > 0)
		spare = pool->spares[--pool->n_ready];
	make_ahead(self);
	g_mutex_unlock(&self->lock);
	return spare.fd >= 0 ? spare : make_spare(self, pool->mask);
}

/* ---- Closing ----------------------------------------------------------------------------- */

typedef struct {
	unsigned n;
	int fds[N_CLOSING];
} Closing;

static void close_files(gpointer data, gpointer user_data)
{
	Closing *closing = data;

	for (unsigned i = 0; i < closing->n; i++)
		close(closing->fds[i]);
	g_free(closing);
}

/* (transfer full) Those that are to be closed, taken from SELF. Under the lock. */
static Closing *take_closing(ProllySpares *self)
{
	Closing *closing = g_new(Closing, 1);

	closing->n = self->n_closing;
	memcpy(closing->fds, self->closing, sizeof(closing->fds));
	self->n_closing = 0;
	return closing;
}

/* Closes FD by and by. */
static void close_later(ProllySpares *self, int fd)
{
	Closing *closing = NULL;

	g_mutex_lock(&self->lock);
	self->closing[self->n_closing++] = fd;
	if (self->n_closing == N_CLOSING)
		closing = take_closing(self);
	g_mutex_unlock(&self->lock);
	if (closing)
		g_thread_pool_push(self->closer, closing, NULL);
}

/* ---- Putting ----------------------------------------------------------------------------- */

typedef struct {
	const char *path;
	const void *data;
	size_t len;
	mode_t mode;
	bool replace;
} Put;

static bool fill(Spare *spare, const Put *put, GError **error)
{
	if (!prolly_write_all(spare->fd, put->data, put->len, put->path, error))
		return false;
	return set_mode(spare, spare->most & put->mode) ||
	       prolly_throw_errno(error, errno, "permissions of %s", put->path);
}

/* (transfer full) */
static char *make_name(ProllySpares *self)
{
	return g_strdup_printf("%s/prollyfs-%d-%d", self->dir, (int)getpid(),
			       g_atomic_int_add(&self->n_names, 1));
}

/* FROM, a name of ours, gets PUT's; errno. */
static int move_file(const char *from, const Put *put)
{
	int result;

	if (put->replace)
		result = rename(from, put->path) == 0 ? 0 : errno;
	else
		result = link(from, put->path) == 0 ? 0 : errno;
	if (result || !put->replace)
		(void)unlink(from);
	return result;
}

/* The part of PATH below *OUT_DIR, a descriptor: of self->dir if it lies there. */
static const char *find_place(const ProllySpares *self, const char *path, int *out_dir)
{
	size_t len = strlen(self->dir);
	bool is_below = self->dir_fd >= 0 && strncmp(path, self->dir, len) == 0 && path[len] == '/';

	*out_dir = is_below ? self->dir_fd : AT_FDCWD;
	return is_below ? path + len + 1 : path;
}

/* The file without a name that is open at FD gets the name PATH; errno. By the descriptor alone, what
 * is privileged in older kernels and ENOENT to others, or by its name in /proc. */
static int link_file(ProllySpares *self, int fd, const char *path)
{
	g_autofree char *file = NULL;
	int dir;
	const char *place = find_place(self, path, &dir);

	if (!g_atomic_int_get(&self->needs_proc)) {
		if (linkat(fd, "", dir, place, AT_EMPTY_PATH) == 0)
			return 0;
		if (errno != ENOENT)
			return errno;
	}
	file = g_strdup_printf("/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, file, dir, place, AT_SYMLINK_FOLLOW) < 0)
		return errno;
	g_atomic_int_set(&self->needs_proc, 1);
	return 0;
}

/* The same with PUT's name. */
static int name_file(ProllySpares *self, int fd, const Put *put)
{
	g_autofree char *name = NULL;
	int result = link_file(self, fd, put->path);

	if (result != EEXIST || !put->replace)
		return result;
	name = make_name(self);
	result = link_file(self, fd, name);
	return result ? result : move_file(name, put);
}

/* *OUT_ERRNO: why it has no name. */
static bool put_spare(ProllySpares *self, Spare *spare, const Put *put, int *out_errno,
		      GError **error)
{
	if (!fill(spare, put, error))
		return false;
	*out_errno = name_file(self, spare->fd, put);
	return true;
}

static bool put_named(ProllySpares *self, const Put *put, int *out_errno, GError **error)
{
	g_autofree char *name = make_name(self);
	Spare file = examine(open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
	bool ok;

	if (file.fd < 0)
		return prolly_throw_errno(error, errno, "make %s", name);
	ok = fill(&file, put, error);
	close(file.fd);
	if (ok)
		*out_errno = move_file(name, put);
	else
		(void)unlink(name);
	return ok;
}

static bool put(ProllySpares *self, const Put *put, int *out_errno, GError **error)
{
	Spare spare = self->maker ? take(self, put->mode) : (Spare){.fd = -1};
	bool ok;

	if (spare.fd < 0)
		return put_named(self, put, out_errno, error);
	ok = put_spare(self, &spare, put, out_errno, error);
	close_later(self, spare.fd);
	return ok;
}

bool prolly_spares_put(ProllySpares *self, const char *path, const void *data, size_t len,
		       mode_t mode, GError **error)
{
	Put one = {path, data, len, mode, true};
	int result;

	if (!put(self, &one, &result, error))
		return false;
	return result == 0 || prolly_throw_errno(error, result, "make %s", path);
}

bool prolly_spares_put_new(ProllySpares *self, const char *path, const void *data, size_t len,
			   mode_t mode, bool *out_exists, GError **error)
{
	Put one = {path, data, len, mode, false};
	int result;

	if (!put(self, &one, &result, error))
		return false;
	*out_exists = result == EEXIST;
	return result == 0 || *out_exists || prolly_throw_errno(error, result, "make %s", path);
}

/* ---- Removing ---------------------------------------------------------------------------- */

int prolly_spares_remove(ProllySpares *self, const char *path)
{
	int dir;
	const char *place = find_place(self, path, &dir);
	int fd = openat(dir, place, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int result = unlinkat(dir, place, 0) == 0 ? 0 : errno;

	if (fd >= 0)
		close_later(self, fd);
	return result;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

ProllySpares *prolly_spares_new(const char *dir)
{
	ProllySpares *self = g_new0(ProllySpares, 1);

	self->dir = g_strdup(dir);
	self->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	self->read_only = (Pool){.mask = 0444, .n_wanted = N_READ_ONLY};
	self->writable = (Pool){.mask = 0777, .n_wanted = N_WRITABLE};
	g_mutex_init(&self->lock);
	self->closer = g_thread_pool_new(close_files, self, 1, FALSE, NULL);
	/* Without /proc a file that has no name gets none. */
	if (access("/proc/self/fd", X_OK) == 0)
		self->maker = g_thread_pool_new(make_all, self, 1, FALSE, NULL);
	return self;
}

static void empty_pool(Pool *pool)
{
	for (unsigned i = 0; i < pool->n_ready; i++)
		close(pool->spares[i].fd);
}

void prolly_spares_free(ProllySpares *self)
{
	if (!self)
		return;
	g_mutex_lock(&self->lock);
	self->stop = true;
	g_mutex_unlock(&self->lock);
	if (self->maker)
		g_thread_pool_free(self->maker, FALSE, TRUE);
	g_thread_pool_free(self->closer, FALSE, TRUE);
	close_files(take_closing(self), self);
	empty_pool(&self->read_only);
	empty_pool(&self->writable);
	prolly_close_fd(&self->dir_fd);
	g_mutex_clear(&self->lock);
	g_free(self->dir);
	g_free(self);
}
