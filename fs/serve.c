/* SPDX-License-Identifier: Apache-2.0 */

/*
 * serve: the receive loop and the worker pools.
 *
 * A request costs 8 to 19 us of waking up, whatever the server does, and handing it to another
 * thread costs that again. So one thread receives, and answers inline whatever needs no waiting,
 * which is nearly everything. What may wait goes, with the buffer it came in, to one of two pools:
 *   disk      fsync, writes that must make room first or wait for others, large reads that were not
 *             loaded ahead, large copies, closing what has much to be staged, renames of directories,
 *             making, deleting and renaming branches, which is synced: bounded
 *   control   commands: control files, texts, computed attributes. Unbounded, since one that waits
 *             may wait for another (a framed read for the write that feeds it)
 * A handler is the same code on either; which one it runs on is decided here, by opcode, node and
 * handle, from the request's header (linux/fuse.h).
 *
 * What is answered inline is answered one after the other, so an operation on names need not fear
 * that a directory has another name between its parts. A worker that changes names takes the gate
 * for that moment, which the receive thread holds while it answers.
 *
 * spin=USEC polls the device that long after each request before sleeping: 1.35 to 1.6 times as
 * fast for a busy client, at the price of a processor, and nothing when idle.
 *
 * Rejected: libfuse's multi-threaded loop (any of ten threads may be woken: up to 2.5 times slower
 * when the processors are busy); clone_fd (no gain); splice (slower for replies from memory).
 */

#include "fs-private.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_WORKERS   4
#define LARGE_IO       (64u << 10) /* bytes of a read that may wait for the disk */
#define LARGE_FLUSH    (1u << 20)  /* bytes not staged yet that a close should not stage inline */
#define SPARE_REQUESTS 4
#define NSEC_PER_USEC  1000

typedef struct {
	PfsMount *mount;
	GThreadPool *disk;
	GThreadPool *control;
	GMutex lock;
	GQueue spare; /* of Request *; protected by lock */
} Server;

/* ---- Requests ---------------------------------------------------------------------------- */

typedef struct {
	struct fuse_buf buffer;
	int64_t received; /* pfs_latency_now() */
} Request;

static Request *take_request(Server *self)
{
	g_mutex_lock(&self->lock);
	Request *request = g_queue_pop_head(&self->spare);
	g_mutex_unlock(&self->lock);
	return request ? request : g_new0(Request, 1);
}

static void free_request(Request *request)
{
	free(request->buffer.mem); /* libfuse allocates it when it first receives */
	g_free(request);
}

static void give_request(Server *self, Request *request)
{
	g_mutex_lock(&self->lock);
	if (g_queue_get_length(&self->spare) < SPARE_REQUESTS) {
		g_queue_push_head(&self->spare, request);
		request = NULL;
	}
	g_mutex_unlock(&self->lock);
	if (request)
		free_request(request);
}

static void process(gpointer data, gpointer user_data)
{
	Server *self = user_data;
	Request *request = data;
	const struct fuse_in_header *header = request->buffer.mem;
	unsigned operation = request->buffer.size >= sizeof *header ? header->opcode : FUSE_DESTROY;

	fuse_session_process_buf(self->mount->session, &request->buffer);
	pfs_latency_note(self->mount->latency, operation, request->received);
	give_request(self, request);
}

/* ---- The gate ---------------------------------------------------------------------------- */

void pfs_gate_enter(PfsMount *mount)
{
	PfsGate *gate = &mount->gate;

	if (g_thread_self() == mount->receiver)
		return;
	g_atomic_int_inc(&gate->n_waiting);
	g_mutex_lock(&gate->lock);
	g_atomic_int_add(&gate->n_waiting, -1);
}

void pfs_gate_leave(PfsMount *mount)
{
	PfsGate *gate = &mount->gate;

	if (g_thread_self() == mount->receiver)
		return;
	g_cond_signal(&gate->passed);
	g_mutex_unlock(&gate->lock);
}

static void answer_inline(Server *self, Request *request)
{
	PfsGate *gate = &self->mount->gate;

	g_mutex_lock(&gate->lock);
	while (g_atomic_int_get(&gate->n_waiting))
		g_cond_wait(&gate->passed, &gate->lock);
	process(request, self);
	g_mutex_unlock(&gate->lock);
}

/* ---- Where a request runs ---------------------------------------------------------------- */

/* The BODY of type TYPE that follows the header, or NULL if the request is too short for it. */
#define REQUEST_BODY(type, buffer)                                                             \
	((buffer)->size >= sizeof(struct fuse_in_header) + sizeof(type)                        \
		 ? (const type *)((const char *)(buffer)->mem + sizeof(struct fuse_in_header)) \
		 : NULL)

static PfsHandle *handle_of(uint64_t fh)
{
	return (PfsHandle *)(uintptr_t)fh;
}

static GThreadPool *choose_for_read(Server *self, const struct fuse_buf *buffer)
{
	const struct fuse_read_in *in = REQUEST_BODY(struct fuse_read_in, buffer);

	if (!in)
		return NULL;
	if (handle_of(in->fh)->session)
		return self->control;
	if (!handle_of(in->fh)->file || in->size < LARGE_IO ||
	    prolly_file_is_loaded(handle_of(in->fh)->file, in->offset, in->size))
		return NULL;
	return self->disk;
}

static GThreadPool *choose_for_write(Server *self, const struct fuse_buf *buffer)
{
	const struct fuse_write_in *in = REQUEST_BODY(struct fuse_write_in, buffer);

	if (!in)
		return NULL;
	if (handle_of(in->fh)->session)
		return self->control;
	if (!handle_of(in->fh)->file ||
	    prolly_file_has_room(handle_of(in->fh)->file, in->offset, in->size))
		return NULL;
	return self->disk;
}

/* A small file is copied as by a small read and a write. (What cannot be written to has no file: it is
 * refused.) */
static GThreadPool *choose_for_copy(Server *self, const struct fuse_buf *buffer)
{
	const struct fuse_copy_file_range_in *in =
		REQUEST_BODY(struct fuse_copy_file_range_in, buffer);
	g_autoptr(ProllyFile) from = NULL;
	ProllyFile *to;
	uint64_t length;

	if (!in)
		return NULL;
	to = handle_of(in->fh_out)->file;
	if (!to)
		return NULL;
	/* A handle that has none as yet (lazy.c) gets its node's, if others have it open. */
	from = pfs_table_dup_file(&self->mount->table, handle_of(in->fh_in)->inode);
	length = from ? prolly_file_get_length(from) : 0;
	return length < LARGE_IO && prolly_file_has_room(to, in->off_out, length) ? NULL
										  : self->disk;
}

/* Of a control file, a write (control.c). */
static GThreadPool *choose_for_ioctl(Server *self, const struct fuse_buf *buffer)
{
	const struct fuse_ioctl_in *in = REQUEST_BODY(struct fuse_ioctl_in, buffer);

	if (!in || (in->flags & FUSE_IOCTL_DIR))
		return NULL;
	return handle_of(in->fh)->session ? self->control : NULL;
}

static GThreadPool *choose_for_close(Server *self, const PfsHandle *handle)
{
	if (handle->session)
		return self->control; /* waits for the command it ends */
	return handle->unflushed >= LARGE_FLUSH ? self->disk : NULL;
}

static GThreadPool *choose_for_open(Server *self, const struct fuse_in_header *header)
{
	const PfsInode *inode = pfs_table_find(&self->mount->table, header->nodeid);

	return inode && inode->kind == PFS_KIND_TEXT ? self->control : NULL;
}

static GThreadPool *choose_for_branches(Server *self, const struct fuse_in_header *header)
{
	const PfsInode *dir = pfs_table_find(&self->mount->table, header->nodeid);

	return dir && pfs_has_branches(dir) ? self->disk : NULL;
}

/* NAMES: of what is renamed, and its next one. A directory may have many keys. */
static GThreadPool *choose_for_rename(Server *self, const struct fuse_buf *buffer,
				      const void *names)
{
	const struct fuse_in_header *header = buffer->mem;
	const char *end = (const char *)buffer->mem + buffer->size;
	PfsTable *table = &self->mount->table;
	const PfsInode *dir = pfs_table_find(table, header->nodeid);
	PfsInode *inode;
	bool is_directory;

	if (!dir || !names || !memchr(names, 0, (size_t)(end - (const char *)names)))
		return NULL;
	if (pfs_has_branches(dir))
		return self->disk;
	inode = pfs_table_find_name(table, (PfsInode *)dir, names);
	is_directory = inode && inode->kind == PFS_KIND_DIRECTORY;
	pfs_inode_unref(table, inode);
	return is_directory ? self->disk : NULL;
}

static GThreadPool *choose_for_getxattr(Server *self, const struct fuse_buf *buffer)
{
	static const char own[] = "user.prollyfs.";
	const struct fuse_getxattr_in *in = REQUEST_BODY(struct fuse_getxattr_in, buffer);
	size_t head = sizeof(struct fuse_in_header) + sizeof *in;

	if (!in || buffer->size < head + sizeof own)
		return NULL;
	return memcmp(in + 1, own, sizeof own - 1) ? NULL : self->control;
}

/* The pool for a request, or NULL: it is answered inline. */
static GThreadPool *choose(Server *self, const struct fuse_buf *buffer)
{
	const struct fuse_in_header *header = buffer->mem;
	const struct fuse_release_in *release;
	const struct fuse_flush_in *flush;
	const struct fuse_rename_in *rename;
	const struct fuse_rename2_in *rename2;

	if (buffer->size < sizeof *header)
		return NULL;
	switch (header->opcode) {
	case FUSE_READ:
		return choose_for_read(self, buffer);
	case FUSE_WRITE:
		return choose_for_write(self, buffer);
	case FUSE_COPY_FILE_RANGE:
		return choose_for_copy(self, buffer);
	case FUSE_IOCTL:
		return choose_for_ioctl(self, buffer);
	case FUSE_FLUSH:
		flush = REQUEST_BODY(struct fuse_flush_in, buffer);
		return flush ? choose_for_close(self, handle_of(flush->fh)) : NULL;
	case FUSE_RELEASE:
		release = REQUEST_BODY(struct fuse_release_in, buffer);
		return release ? choose_for_close(self, handle_of(release->fh)) : NULL;
	case FUSE_OPEN:
		return choose_for_open(self, header);
	case FUSE_MKDIR:
	case FUSE_RMDIR:
		return choose_for_branches(self, header);
	case FUSE_RENAME:
		rename = REQUEST_BODY(struct fuse_rename_in, buffer);
		return choose_for_rename(self, buffer, rename ? rename + 1 : NULL);
	case FUSE_RENAME2:
		rename2 = REQUEST_BODY(struct fuse_rename2_in, buffer);
		return choose_for_rename(self, buffer, rename2 ? rename2 + 1 : NULL);
	case FUSE_GETXATTR:
		return choose_for_getxattr(self, buffer);
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_FALLOCATE:
		return self->disk;
	default:
		return NULL;
	}
}

/* ---- The loop ---------------------------------------------------------------------------- */

/* Nothing was there: polls on while the last request is recent, then sleeps. */
static void wait_for_request(PfsMount *mount, int64_t last_request)
{
	struct pollfd device = {.fd = fuse_session_fd(mount->session), .events = POLLIN};

	if (pfs_latency_now() - last_request < (int64_t)mount->options->spin_usec * NSEC_PER_USEC)
		return;
	poll(&device, 1, -1);
}

static void tell_ready(PfsMount *mount)
{
	g_autofree char *state = NULL;
	const char done = 0;

	if (!mount->is_ready)
		return;
	mount->is_told = true;
	pfs_readahead_raise(mount);
	state = g_strdup_printf("READY=1\nMAINPID=%d\nSTATUS=%s on %s", (int)getpid(),
				mount->options->store, mount->mountpoint);
	pfs_service_tell(state);
	if (mount->ready_fd < 0)
		return;
	if (write(mount->ready_fd, &done, 1) < 0) {
		/* The parent is gone: nobody waits. */
	}
	close(mount->ready_fd);
	mount->ready_fd = -1;
	pfs_mount_background(mount);
}

/* A push that fails could start no thread: the request waits in the pool for one that there is. */
static void dispatch(Server *self, Request *request)
{
	GThreadPool *pool = choose(self, &request->buffer);

	if (pool)
		(void)g_thread_pool_push(pool, request, NULL);
	else
		answer_inline(self, request);
}

static int receive_loop(Server *self)
{
	PfsMount *mount = self->mount;
	struct fuse_session *session = mount->session;
	int64_t last_request = pfs_latency_now();
	int result = 0;

	while (!fuse_session_exited(session)) {
		Request *request = take_request(self);

		result = fuse_session_receive_buf(session, &request->buffer);
		if (result <= 0) {
			give_request(self, request);
			if (result == -EAGAIN)
				wait_for_request(mount, last_request);
			else if (result != -EINTR)
				break;
			continue;
		}
		request->received = pfs_latency_now();
		dispatch(self, request);
		if (mount->options->spin_usec)
			last_request = pfs_latency_now();
		if (G_UNLIKELY(!mount->is_told))
			tell_ready(mount);
	}
	return result;
}

static bool set_polling(PfsMount *mount, GError **error)
{
	int fd = fuse_session_fd(mount->session);

	if (mount->options->spin_usec && fcntl(fd, F_SETFL, O_NONBLOCK))
		return prolly_throw_errno(error, errno, "/dev/fuse");
	return true;
}

bool pfs_serve(PfsMount *mount, GError **error)
{
	Server self = {.mount = mount};
	int result;

	if (!set_polling(mount, error))
		return false;
	g_mutex_init(&self.lock);
	g_queue_init(&self.spare);
	self.control = g_thread_pool_new(process, &self, -1, FALSE, NULL);
	if (!mount->options->single_thread) /* files can do without, commands cannot */
		self.disk = g_thread_pool_new(process, &self, DISK_WORKERS, FALSE, NULL);
	mount->receiver = g_thread_self();
	result = receive_loop(&self);
	mount->receiver = NULL;
	pfs_control_interrupt_all(mount);
	if (self.disk)
		g_thread_pool_free(self.disk, FALSE, TRUE);
	g_thread_pool_free(self.control, FALSE, TRUE);
	g_queue_clear_full(&self.spare, (GDestroyNotify)free_request);
	g_mutex_clear(&self.lock);
	return result >= 0 || prolly_throw_errno(error, -result, "/dev/fuse");
}
