/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file back end: one file a node.
 *
 *     PATH/tree/ab/cdef...    a node whose hash is abcdef...
 *     PATH/chunk/ab/cdef...   a chunk
 *     PATH/incoming/          files being written
 *
 * Crash order. A file gets its name only when its bytes are on disk: all files of a put are written
 * under PATH/incoming, then synced together (a few one by one, many by one syncfs(2), which costs
 * about as much as a handful of fsyncs), then renamed. So what is visible is whole, after a power
 * cut too; and since a put leaves what is there already, it must be: a torn file would stay torn.
 * The renames are durable once the directories are synced, which is sync()'s part.
 *
 *  I1  A name under tree/ or chunk/ stands for a complete file whose data are durable.
 *  I2  `dirty` holds every fan-out directory with a name in it that may not be durable; those too that
 *      a process which died has left.
 *  I3  After a sync that failed none succeeds, until the next opening: what the disk has is not known.
 *
 * Temporary names are unique within the process, and the store's lock keeps other processes out.
 * What a dead process left in incoming/ is removed at opening. Rejected: O_TMPFILE and linkat(2),
 * which need no clean-up but are missing on network and overlay filesystems.
 */
#include "store/store-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/sync.h"

#define N_FANOUT 256
/* A put of more files than this is synced as a whole filesystem. */
#define MAX_SINGLE_SYNCS 16
/* A larger file is not a node: nodes are bounded by what a tree or a chunker makes. */
#define MAX_FILE_SIZE (1u << 30)

typedef struct {
	ProllyBackend base;
	char *path;
	int dirs[PROLLY_N_NODE_CLASSES]; /* open directories */
	int incoming;
	gint n_names; /* atomic; for temporary names */
	GMutex lock;  /* protects all below */
	bool dirty[PROLLY_N_NODE_CLASSES][N_FANOUT];
	bool is_unsure; /* a sync has failed */
} FileBackend;

static const ProllyBackendClass file_class;

static const char *const class_names[PROLLY_N_NODE_CLASSES] = {
	[PROLLY_NODE_TREE] = "tree",
	[PROLLY_NODE_CHUNK] = "chunk",
};

static FileBackend *get_self(ProllyBackend *backend)
{
	g_assert(backend->class == &file_class);
	return (FileBackend *)backend;
}

/* ---- Names ------------------------------------------------------------------------------- */

/* "ab/cdef...", relative to a class's directory. */
typedef struct {
	char text[PROLLY_HASH_HEX_SIZE + 1];
} NodeName;

static void make_name(const ProllyHash *hash, NodeName *out_name)
{
	char hex[PROLLY_HASH_HEX_SIZE];

	prolly_hash_to_hex(hash, hex);
	g_snprintf(out_name->text, sizeof(out_name->text), "%.2s/%s", hex, hex + 2);
}

/* The hash that a file REST in the fan-out directory FANOUT names; false if it names none. */
static bool parse_name(unsigned fanout, const char *rest, ProllyHash *out_hash)
{
	char hex[PROLLY_HASH_HEX_SIZE];

	if (strlen(rest) != PROLLY_HASH_HEX_SIZE - 3)
		return false;
	g_snprintf(hex, sizeof(hex), "%02x%s", fanout, rest);
	return prolly_hash_from_hex(hex, out_hash);
}

static ProllyNodeClass other_class(ProllyNodeClass node_class)
{
	return node_class == PROLLY_NODE_TREE ? PROLLY_NODE_CHUNK : PROLLY_NODE_TREE;
}

/* ---- Read -------------------------------------------------------------------------------- */

static bool read_whole(int fd, const char *what, GBytes **out_bytes, GError **error)
{
	struct stat st;
	size_t done = 0;

	if (fstat(fd, &st) < 0)
		return prolly_throw_errno(error, errno, "read %s", what);
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_FILE_SIZE)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s is no node's file", what);
	g_autofree uint8_t *data = prolly_try_malloc((size_t)st.st_size, "a node", error);

	if (!data)
		return false;
	while (done < (size_t)st.st_size) {
		ssize_t n = read(fd, data + done, (size_t)st.st_size - done);

		if (n < 0 && errno != EINTR)
			return prolly_throw_errno(error, errno, "read %s", what);
		if (n == 0)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	*out_bytes = g_bytes_new_take(g_steal_pointer(&data), done);
	return true;
}

/* *OUT_BYTES: NULL if there is no such file. */
static bool read_node(FileBackend *self, ProllyNodeClass node_class, const ProllyHash *hash,
		      GBytes **out_bytes, GError **error)
{
	NodeName name;
	prolly_autofd int fd = -1;

	make_name(hash, &name);
	fd = openat(self->dirs[node_class], name.text,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT) {
		*out_bytes = NULL;
		return true;
	}
	g_autofree char *what =
		g_strdup_printf("%s/%s/%s", self->path, class_names[node_class], name.text);

	if (fd < 0)
		return prolly_throw_errno(error, errno, "open %s", what);
	return read_whole(fd, what, out_bytes, error);
}

static bool file_get_many(ProllyBackend *backend, ProllyNodeClass node_class,
			  const ProllyHash *hashes, size_t n, GBytes **out_nodes, GError **error)
{
	FileBackend *self = get_self(backend);
	g_autofree GBytes **nodes = g_new0(GBytes *, n);
	bool ok = true;

	for (size_t i = 0; i < n && ok; i++) {
		ok = read_node(self, node_class, &hashes[i], &nodes[i], error) &&
		     (nodes[i] ||
		      read_node(self, other_class(node_class), &hashes[i], &nodes[i], error));
	}
	for (size_t i = 0; i < n; i++) {
		if (ok)
			out_nodes[i] = nodes[i];
		else
			g_bytes_unref(nodes[i]);
	}
	return ok;
}

static bool has_file(FileBackend *self, ProllyNodeClass node_class, const NodeName *name)
{
	return faccessat(self->dirs[node_class], name->text, F_OK, 0) == 0;
}

static bool has_node(FileBackend *self, ProllyNodeClass node_class, const ProllyHash *hash)
{
	NodeName name;

	make_name(hash, &name);
	return has_file(self, node_class, &name) || has_file(self, other_class(node_class), &name);
}

static bool file_has_many(ProllyBackend *backend, ProllyNodeClass node_class,
			  const ProllyHash *hashes, size_t n, bool *out_has, GError **error)
{
	FileBackend *self = get_self(backend);

	for (size_t i = 0; i < n; i++)
		out_has[i] = has_node(self, node_class, &hashes[i]);
	return true;
}

/* ---- Write ------------------------------------------------------------------------------- */

/* A file of a put, under its temporary name until it has its own. */
typedef struct {
	const ProllyBackendNode *node;
	char temporary[32];
} Incoming;

static bool write_incoming(FileBackend *self, Incoming *file, bool sync, GError **error)
{
	size_t len;
	const void *data = g_bytes_get_data(file->node->bytes, &len);
	g_autofree char *what = NULL;

	g_snprintf(file->temporary, sizeof(file->temporary), "%d",
		   g_atomic_int_add(&self->n_names, 1));
	what = g_strdup_printf("%s/incoming/%s", self->path, file->temporary);
	prolly_autofd int fd = openat(self->incoming, file->temporary,
				      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	if (fd < 0)
		return prolly_throw_errno(error, errno, "make %s", what);
	if (!prolly_write_all(fd, data, len, what, error))
		return false;
	if (sync && fsync(fd) < 0)
		return prolly_throw_errno(error, errno, "sync %s", what);
	return true;
}

static bool make_fanout(FileBackend *self, ProllyNodeClass node_class, const NodeName *name,
			GError **error)
{
	char dir[3] = {name->text[0], name->text[1], '\0'};

	if (mkdirat(self->dirs[node_class], dir, 0777) == 0 || errno == EEXIST)
		return true;
	return prolly_throw_errno(error, errno, "make %s/%s/%s", self->path,
				  class_names[node_class], dir);
}

/* Renames a synced file to its own name, over an equal one if another put was faster. */
static bool name_incoming(FileBackend *self, Incoming *file, GError **error)
{
	ProllyNodeClass node_class = file->node->node_class;
	int dir = self->dirs[node_class];
	NodeName name;

	make_name(&file->node->hash, &name);
	int result = renameat(self->incoming, file->temporary, dir, name.text);

	if (result < 0 && errno == ENOENT) {
		if (!make_fanout(self, node_class, &name, error))
			return false;
		result = renameat(self->incoming, file->temporary, dir, name.text);
	}
	if (result < 0)
		return prolly_throw_errno(error, errno, "make %s/%s/%s", self->path,
					  class_names[node_class], name.text);
	file->temporary[0] = '\0';
	g_mutex_lock(&self->lock);
	self->dirty[node_class][file->node->hash.bytes[0]] = true;
	g_mutex_unlock(&self->lock);
	return true;
}

static bool store_incoming(FileBackend *self, Incoming *files, size_t n, GError **error)
{
	bool together = n > MAX_SINGLE_SYNCS && prolly_syncs_together(self->incoming);

	for (size_t i = 0; i < n; i++) {
		if (!write_incoming(self, &files[i], !together, error))
			return false;
	}
	if (together && syncfs(self->incoming) < 0)
		return prolly_throw_errno(error, errno, "sync %s", self->path);
	for (size_t i = 0; i < n; i++) {
		if (!name_incoming(self, &files[i], error))
			return false;
	}
	return true;
}

static bool file_put_many(ProllyBackend *backend, const ProllyBackendNode *nodes, size_t n,
			  ProllyDbBatch *batch, GError **error)
{
	FileBackend *self = get_self(backend);
	g_autofree Incoming *files = g_new0(Incoming, n);
	size_t n_files = 0;

	for (size_t i = 0; i < n; i++) {
		if (!has_node(self, nodes[i].node_class, &nodes[i].hash))
			files[n_files++].node = &nodes[i];
	}
	bool ok = store_incoming(self, files, n_files, error);

	for (size_t i = 0; i < n_files && !ok; i++) {
		if (files[i].temporary[0])
			(void)unlinkat(self->incoming, files[i].temporary, 0);
	}
	return ok;
}

static bool take_dirty(FileBackend *self, ProllyNodeClass node_class, unsigned fanout)
{
	g_mutex_lock(&self->lock);
	bool dirty = self->dirty[node_class][fanout];

	self->dirty[node_class][fanout] = false;
	g_mutex_unlock(&self->lock);
	return dirty;
}

static void mark_dirty(FileBackend *self, ProllyNodeClass node_class, unsigned fanout)
{
	g_mutex_lock(&self->lock);
	self->dirty[node_class][fanout] = true;
	g_mutex_unlock(&self->lock);
}

/* Syncs the directory FD, which WHAT names (I3). */
static bool sync_dir(FileBackend *self, int fd, const char *what, GError **error)
{
	if (fsync(fd) == 0)
		return true;
	prolly_throw_errno(error, errno, "sync %s/%s", self->path, what);
	g_mutex_lock(&self->lock);
	self->is_unsure = true;
	g_mutex_unlock(&self->lock);
	return false;
}

static bool sync_fanout(FileBackend *self, ProllyNodeClass node_class, unsigned fanout,
			GError **error)
{
	g_autofree char *what = g_strdup_printf("%s/%02x", class_names[node_class], fanout);
	prolly_autofd int fd =
		openat(self->dirs[node_class], what + strlen(class_names[node_class]) + 1,
		       O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		prolly_throw_errno(error, errno, "sync %s/%s", self->path, what);
		mark_dirty(self, node_class, fanout);
		return false;
	}
	return sync_dir(self, fd, what, error);
}

/* The fan-out directories that are dirty, then the directory that names them. */
static bool sync_class(FileBackend *self, ProllyNodeClass node_class, GError **error)
{
	bool any = false;

	for (unsigned i = 0; i < N_FANOUT; i++) {
		if (!take_dirty(self, node_class, i))
			continue;
		any = true;
		if (!sync_fanout(self, node_class, i, error))
			return false;
	}
	return !any || sync_dir(self, self->dirs[node_class], class_names[node_class], error);
}

static bool is_unsure(FileBackend *self)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

	return self->is_unsure;
}

static bool file_sync(ProllyBackend *backend, GError **error)
{
	FileBackend *self = get_self(backend);

	if (is_unsure(self))
		return prolly_throw(error, PROLLY_ERROR_FAILED,
				    "%s could not be synced before: it has to be mounted again",
				    self->path);
	return sync_class(self, PROLLY_NODE_TREE, error) &&
	       sync_class(self, PROLLY_NODE_CHUNK, error);
}

static bool file_delete_many(ProllyBackend *backend, ProllyNodeClass node_class,
			     const ProllyHash *hashes, size_t n, GError **error)
{
	FileBackend *self = get_self(backend);

	for (size_t i = 0; i < n; i++) {
		NodeName name;

		make_name(&hashes[i], &name);
		if (unlinkat(self->dirs[node_class], name.text, 0) == 0)
			mark_dirty(self, node_class, hashes[i].bytes[0]);
		else if (errno != ENOENT)
			return prolly_throw_errno(error, errno, "delete %s/%s/%s", self->path,
						  class_names[node_class], name.text);
	}
	return true;
}

/* ---- All nodes --------------------------------------------------------------------------- */

static bool visit_fanout(FileBackend *self, ProllyNodeClass node_class, unsigned fanout,
			 ProllyStoreFunc func, void *data, GError **error)
{
	g_autofree char *path =
		g_strdup_printf("%s/%s/%02x", self->path, class_names[node_class], fanout);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *rest;

	if (!dir && errno == ENOENT)
		return true;
	if (!dir)
		return prolly_throw_errno(error, errno, "read %s", path);
	while ((rest = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, rest, NULL);
		struct stat st;
		ProllyHash hash;

		if (!parse_name(fanout, rest, &hash) || stat(file, &st) < 0)
			continue;
		if (!func(&hash, (uint64_t)st.st_size, data, error))
			return false;
	}
	return true;
}

static bool file_foreach(ProllyBackend *backend, ProllyNodeClass node_class, ProllyStoreFunc func,
			 void *data, GError **error)
{
	for (unsigned i = 0; i < N_FANOUT; i++) {
		if (!visit_fanout(get_self(backend), node_class, i, func, data, error))
			return false;
	}
	return true;
}

typedef struct {
	uint64_t nodes;
	uint64_t bytes;
} Totals;

static bool add_to_totals(const ProllyHash *hash, uint64_t size, void *data, GError **error)
{
	Totals *totals = data;

	totals->nodes++;
	totals->bytes += size;
	return true;
}

static bool file_get_size(ProllyBackend *backend, uint64_t *out_nodes, uint64_t *out_bytes,
			  GError **error)
{
	Totals totals = {0};

	if (!file_foreach(backend, PROLLY_NODE_TREE, add_to_totals, &totals, error) ||
	    !file_foreach(backend, PROLLY_NODE_CHUNK, add_to_totals, &totals, error))
		return false;
	*out_nodes = totals.nodes;
	*out_bytes = totals.bytes;
	return true;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

static void file_close(ProllyBackend *backend)
{
	FileBackend *self = get_self(backend);

	for (int i = 0; i < PROLLY_N_NODE_CLASSES; i++)
		prolly_close_fd(&self->dirs[i]);
	prolly_close_fd(&self->incoming);
	g_mutex_clear(&self->lock);
	g_free(self->path);
	g_free(self);
}

static const ProllyBackendClass file_class = {
	.close = file_close,
	.get_many = file_get_many,
	.has_many = file_has_many,
	.put_many = file_put_many,
	.sync = file_sync,
	.foreach = file_foreach,
	.delete_many = file_delete_many,
	.get_size = file_get_size,
};

static bool open_dir(const char *path, const char *name, int *out_fd, GError **error)
{
	g_autofree char *dir = g_build_filename(path, name, NULL);

	if (g_mkdir_with_parents(dir, 0777) < 0)
		return prolly_throw_errno(error, errno, "make %s", dir);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return prolly_throw_errno(error, errno, "open %s", dir);
	*out_fd = fd;
	return true;
}

static void remove_strays(FileBackend *self)
{
	g_autofree char *path = g_build_filename(self->path, "incoming", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		(void)unlinkat(self->incoming, name, 0);
}

/* I2. What was named before is synced now, or counts as dirty. */
static bool take_over(FileBackend *self, GError **error)
{
	if (prolly_syncs_together(self->incoming))
		return prolly_sync_tree(self->path, error);
	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++) {
		for (unsigned i = 0; i < N_FANOUT; i++) {
			char name[3];

			g_snprintf(name, sizeof(name), "%02x", i);
			self->dirty[c][i] = faccessat(self->dirs[c], name, F_OK, 0) == 0;
		}
	}
	return prolly_sync_path(self->path, error);
}

bool prolly_backend_file_open(const char *path, ProllyBackend **out_backend, GError **error)
{
	FileBackend *self = g_new0(FileBackend, 1);
	bool ok = true;

	self->base.class = &file_class;
	self->path = g_strdup(path);
	self->incoming = -1;
	g_mutex_init(&self->lock);
	for (int i = 0; i < PROLLY_N_NODE_CLASSES; i++)
		self->dirs[i] = -1;
	for (int i = 0; i < PROLLY_N_NODE_CLASSES && ok; i++)
		ok = open_dir(path, class_names[i], &self->dirs[i], error);
	if (!ok || !open_dir(path, "incoming", &self->incoming, error) || !take_over(self, error)) {
		file_close(&self->base);
		return false;
	}
	remove_strays(self);
	*out_backend = &self->base;
	return true;
}
