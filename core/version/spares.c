/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spares: empty files made ahead. A commit makes four files (three objects, the lock of a
 * reference), and making one takes as long as a sync where a filesystem looks long for an inode:
 * ext4 without a journal does not give one away again for a minute after a file was deleted, and
 * passes over those one by one (0.01 ms without any, 0.6 ms among 8,000). So a thread makes them
 * while nobody waits: files without a name (O_TMPFILE), so that no directory is locked meanwhile
 * and none is left behind. What is put is written to one, which then gets its name by a link: the
 * name is never that of half a file. They may only be read, as the three objects, so that only the
 * lock has its permissions changed while somebody waits.
 *
 * A file that is removed has its blocks given back when nobody has it open any more, which takes as
 * long as a sync where the filesystem tells the disk (mount option discard). So another thread
 * closes it.
 *
 * A process that puts but a few files makes them as it needs them. Where there are no files without
 * a name, one is made under a name of its own and moved.
 *
 * Threads: any. The lock is a leaf; no file is touched under it.
 */
#include "version/spares-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_SPARES 64
#define FEW      8 /* puts of a process that makes none ahead */

#define READ_ONLY 0444

typedef struct {
	int fd;
	mode_t mode; /* its permissions */
	mode_t most; /* those that the umask would leave it */
} Spare;

struct ProllySpares {
	char *dir;
	GThreadPool *maker;  /* one thread, there when it is needed; NULL: all files have names */
	GThreadPool *closer; /* likewise; of files without a name any more */
	gint n_names;        /* atomic; given so far */

	GMutex lock; /* protects all below */
	Spare spares[N_SPARES];
	unsigned n_ready;
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
static Spare make_spare(const ProllySpares *self)
{
	Spare spare = examine(open(self->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));

	if (spare.fd >= 0 && !set_mode(&spare, spare.most & READ_ONLY))
		prolly_close_fd(&spare.fd);
	return spare;
}

static void make_all(gpointer data, gpointer user_data)
{
	ProllySpares *self = user_data;
	Spare spare = {.fd = 0};

	g_mutex_lock(&self->lock);
	while (!self->stop && self->n_ready < N_SPARES && spare.fd >= 0) {
		g_mutex_unlock(&self->lock);
		spare = make_spare(self);
		g_mutex_lock(&self->lock);
		/* Only this thread adds any, so there is room. */
		if (spare.fd >= 0)
			self->spares[self->n_ready++] = spare;
	}
	self->making = false;
	g_mutex_unlock(&self->lock);
}

/* Under the lock. */
static void make_ahead(ProllySpares *self)
{
	self->n_puts = MIN(self->n_puts + 1, FEW);
	if (self->n_puts < FEW || self->n_ready > N_SPARES / 2 || self->making)
		return;
	self->making = true;
	g_thread_pool_push(self->maker, self, NULL);
}

/* One that was made ahead, or one made now. */
static Spare take(ProllySpares *self)
{
	Spare spare = {.fd = -1};

	g_mutex_lock(&self->lock);
	if (self->n_ready > 0)
		spare = self->spares[--self->n_ready];
	make_ahead(self);
	g_mutex_unlock(&self->lock);
	return spare.fd >= 0 ? spare : make_spare(self);
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

/* The file without a name that is open at FD gets PUT's; errno. */
static int name_file(ProllySpares *self, int fd, const Put *put)
{
	g_autofree char *file = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autofree char *name = NULL;

	if (linkat(AT_FDCWD, file, AT_FDCWD, put->path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno != EEXIST || !put->replace)
		return errno;
	name = make_name(self);
	if (linkat(AT_FDCWD, file, AT_FDCWD, name, AT_SYMLINK_FOLLOW) < 0)
		return errno;
	return move_file(name, put);
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
	Spare spare = self->maker ? take(self) : (Spare){.fd = -1};
	bool ok;

	if (spare.fd < 0)
		return put_named(self, put, out_errno, error);
	ok = put_spare(self, &spare, put, out_errno, error);
	close(spare.fd);
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

/* 1 + a file descriptor. */
static void close_file(gpointer data, gpointer user_data)
{
	close(GPOINTER_TO_INT(data) - 1);
}

int prolly_spares_remove(ProllySpares *self, const char *path)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int result = unlink(path) == 0 ? 0 : errno;

	if (fd >= 0)
		g_thread_pool_push(self->closer, GINT_TO_POINTER(fd + 1), NULL);
	return result;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

ProllySpares *prolly_spares_new(const char *dir)
{
	ProllySpares *self = g_new0(ProllySpares, 1);

	self->dir = g_strdup(dir);
	g_mutex_init(&self->lock);
	self->closer = g_thread_pool_new(close_file, self, 1, FALSE, NULL);
	/* Without /proc a file that has no name gets none. */
	if (access("/proc/self/fd", X_OK) == 0)
		self->maker = g_thread_pool_new(make_all, self, 1, FALSE, NULL);
	return self;
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
	for (unsigned i = 0; i < self->n_ready; i++)
		close(self->spares[i].fd);
	g_mutex_clear(&self->lock);
	g_free(self->dir);
	g_free(self);
}
