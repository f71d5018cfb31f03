/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floorfs: a filesystem that does no work, to know what any FUSE server pays.
 *
 *   floorfs MOUNTPOINT     stays in the foreground; ends when it is unmounted
 *
 * Directories are hash tables, files are buffers, everything is gone at the end. What the kernel is
 * told is what serves it best (research: day-long timeouts, pages kept over opens, no flush for
 * readers, no question about security.* twice), and one thread receives and answers. A server that
 * keeps anything cannot be faster than this by more than noise; prollyfs is measured in multiples
 * of it.
 *
 * A node's number is its address. A node lives until it has no name and the kernel forgot it.
 */
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOREVER 86400.0

typedef struct Node {
	struct Node *parent; /* NULL: no name (any more) */
	char *name;
	GHashTable *children; /* name -> Node *, of a directory */
	struct stat attr;
	GByteArray *data; /* of a file; a symlink's target */
	uint64_t lookups;
} Node;

/* ---- Nodes ------------------------------------------------------------------------------- */

static Node *find_node(fuse_req_t req, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? fuse_req_userdata(req) : (Node *)(uintptr_t)ino;
}

static Node *new_node(mode_t mode, uid_t uid, gid_t gid)
{
	Node *node = g_new0(Node, 1);

	node->attr.st_ino = (ino_t)(uintptr_t)node;
	node->attr.st_mode = mode;
	node->attr.st_nlink = 1;
	node->attr.st_uid = uid;
	node->attr.st_gid = gid;
	clock_gettime(CLOCK_REALTIME, &node->attr.st_mtim);
	node->attr.st_ctim = node->attr.st_atim = node->attr.st_mtim;
	if (S_ISDIR(mode))
		node->children = g_hash_table_new(g_str_hash, g_str_equal);
	else
		node->data = g_byte_array_new();
	return node;
}

static void free_if_unused(Node *node)
{
	if (node->parent || node->lookups)
		return;
	if (node->children)
		g_hash_table_unref(node->children);
	if (node->data)
		g_byte_array_unref(node->data);
	g_free(node->name);
	g_free(node);
}

static void link_node(Node *parent, Node *node, const char *name)
{
	node->parent = parent;
	node->name = g_strdup(name);
	g_hash_table_insert(parent->children, node->name, node);
}

static void unlink_node(Node *node)
{
	g_hash_table_remove(node->parent->children, node->name);
	g_clear_pointer(&node->name, g_free);
	node->parent = NULL;
	free_if_unused(node);
}

static void fill_entry(Node *node, struct fuse_entry_param *out_param)
{
	*out_param = (struct fuse_entry_param){
		.ino = (fuse_ino_t)(uintptr_t)node,
		.attr = node->attr,
		.attr_timeout = FOREVER,
		.entry_timeout = FOREVER,
	};
	node->lookups++;
}

static void reply_node(fuse_req_t req, Node *node)
{
	struct fuse_entry_param param;

	fill_entry(node, &param);
	fuse_reply_entry(req, &param);
}

/* ---- Names ------------------------------------------------------------------------------- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	Node *node = g_hash_table_lookup(find_node(req, parent)->children, name);
	const struct fuse_entry_param absent = {.entry_timeout = FOREVER};

	if (node)
		reply_node(req, node);
	else
		fuse_reply_entry(req, &absent);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	Node *node = find_node(req, ino);

	if (ino != FUSE_ROOT_ID) {
		node->lookups -= n;
		free_if_unused(node);
	}
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++) {
		Node *node = find_node(req, forgets[i].ino);

		if (forgets[i].ino == FUSE_ROOT_ID)
			continue;
		node->lookups -= forgets[i].nlookup;
		free_if_unused(node);
	}
	fuse_reply_none(req);
}

/* Makes NAME, or answers that it is there. */
static Node *make_node(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	Node *dir = find_node(req, parent), *node;

	if (g_hash_table_contains(dir->children, name)) {
		fuse_reply_err(req, EEXIST);
		return NULL;
	}
	node = new_node(mode, caller->uid, caller->gid);
	link_node(dir, node, name);
	return node;
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	Node *node = make_node(req, parent, name, S_IFDIR | mode);

	if (node)
		reply_node(req, node);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	Node *node = make_node(req, parent, name, mode);

	if (node)
		reply_node(req, node);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	Node *node = make_node(req, parent, name, S_IFLNK | 0777);

	if (!node)
		return;
	g_byte_array_append(node->data, (const guint8 *)target, (guint)strlen(target) + 1);
	node->attr.st_size = (off_t)strlen(target);
	reply_node(req, node);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	fuse_reply_readlink(req, (const char *)find_node(req, ino)->data->data);
}

static void op_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	Node *node = g_hash_table_lookup(find_node(req, parent)->children, name);

	if (!node) {
		fuse_reply_err(req, ENOENT);
	} else if (node->children && g_hash_table_size(node->children)) {
		fuse_reply_err(req, ENOTEMPTY);
	} else {
		unlink_node(node);
		fuse_reply_err(req, 0);
	}
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	Node *to = find_node(req, new_parent);
	Node *node = g_hash_table_lookup(find_node(req, parent)->children, name);
	Node *old = g_hash_table_lookup(to->children, new_name);

	if (flags || !node) {
		fuse_reply_err(req, flags ? EINVAL : ENOENT);
		return;
	}
	if (old)
		unlink_node(old);
	node->lookups++; /* it is in use while it has no name */
	unlink_node(node);
	node->lookups--;
	link_node(to, node, new_name);
	fuse_reply_err(req, 0);
}

/* ---- Attributes -------------------------------------------------------------------------- */

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_attr(req, &find_node(req, ino)->attr, FOREVER);
}

static void set_size(Node *node, uint64_t size)
{
	guint old = node->data->len;

	g_byte_array_set_size(node->data, (guint)size);
	if (size > old)
		memset(node->data->data + old, 0, (size_t)size - old);
	node->attr.st_size = (off_t)size;
	node->attr.st_blocks = (blkcnt_t)((size + 511) / 512);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	Node *node = find_node(req, ino);

	if (to_set & FUSE_SET_ATTR_MODE)
		node->attr.st_mode = (node->attr.st_mode & S_IFMT) | (attr->st_mode & 07777);
	if (to_set & FUSE_SET_ATTR_UID)
		node->attr.st_uid = attr->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		node->attr.st_gid = attr->st_gid;
	if ((to_set & FUSE_SET_ATTR_SIZE) && node->data)
		set_size(node, (uint64_t)attr->st_size);
	if (to_set & FUSE_SET_ATTR_MTIME)
		node->attr.st_mtim = attr->st_mtim;
	if (to_set & FUSE_SET_ATTR_ATIME)
		node->attr.st_atim = attr->st_atim;
	fuse_reply_attr(req, &node->attr, FOREVER);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct statvfs figures = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = 1 << 28,
		.f_bfree = 1 << 28,
		.f_bavail = 1 << 28,
		.f_namemax = 255,
	};

	fuse_reply_statfs(req, &figures);
}

/* ---- Files ------------------------------------------------------------------------------- */

static void prepare_open(Node *node, struct fuse_file_info *fi)
{
	if (fi->flags & O_TRUNC)
		set_size(node, 0);
	fi->keep_cache = 1;
	fi->noflush = 1; /* there is nothing that a close could tell */
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	prepare_open(find_node(req, ino), fi);
	fuse_reply_open(req, fi);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	Node *node = make_node(req, parent, name, mode);
	struct fuse_entry_param param;

	if (!node)
		return;
	prepare_open(node, fi);
	fill_entry(node, &param);
	fuse_reply_create(req, &param, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	const GByteArray *data = find_node(req, ino)->data;

	if ((uint64_t)offset >= data->len)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, (const char *)data->data + offset,
			       MIN(size, data->len - (size_t)offset));
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	Node *node = find_node(req, ino);
	uint64_t at = fi->flags & O_APPEND ? node->data->len : (uint64_t)offset;

	if (at + size > G_MAXINT) {
		fuse_reply_err(req, EFBIG);
		return;
	}
	if (at > node->data->len)
		set_size(node, at);
	if (at + size > node->data->len)
		g_byte_array_set_size(node->data, (guint)(at + size));
	memcpy(node->data->data + at, data, size);
	node->attr.st_size = node->data->len;
	fuse_reply_write(req, size);
}

static void op_done(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

/* ---- Directories ------------------------------------------------------------------------- */

/* A listing is of the children at the open; those that went since stay allocated for it. */
static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	Node *dir = find_node(req, ino), *node;
	GPtrArray *list = g_ptr_array_new();
	GHashTableIter iter;

	g_hash_table_iter_init(&iter, dir->children);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&node)) {
		node->lookups++;
		g_ptr_array_add(list, node);
	}
	fi->fh = (uintptr_t)list;
	fuse_reply_open(req, fi);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	GPtrArray *list = (GPtrArray *)(uintptr_t)fi->fh;

	for (guint i = 0; i < list->len; i++) {
		Node *node = g_ptr_array_index(list, i);

		node->lookups--;
		free_if_unused(node);
	}
	g_ptr_array_unref(list);
	fuse_reply_err(req, 0);
}

/* Adds NODE to a reply; 0 if it does not fit. */
static size_t add_dirent(fuse_req_t req, Node *node, char *buffer, size_t size, off_t next,
			 bool plus)
{
	struct fuse_entry_param param;
	size_t needed;

	if (!plus)
		return fuse_add_direntry(req, buffer, size, node->name, &node->attr, next);
	fill_entry(node, &param);
	needed = fuse_add_direntry_plus(req, buffer, size, node->name, &param, next);
	if (needed > size)
		node->lookups--;
	return needed;
}

static void read_directory(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi,
			   bool plus)
{
	const GPtrArray *list = (const GPtrArray *)(uintptr_t)fi->fh;
	g_autofree char *buffer = g_malloc(size);
	size_t used = 0, needed = 0;

	for (guint i = (guint)offset; i < list->len && used + needed <= size; i++) {
		Node *node = g_ptr_array_index(list, i);

		used += needed;
		needed = 0;
		if (node->parent)
			needed = add_dirent(req, node, buffer + used, size - used, i + 1, plus);
	}
	if (used + needed <= size)
		used += needed;
	fuse_reply_buf(req, buffer, used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	read_directory(req, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			   struct fuse_file_info *fi)
{
	read_directory(req, size, offset, fi, true);
}

/* ---- Serving ----------------------------------------------------------------------------- */

static void op_init(void *data, struct fuse_conn_info *conn)
{
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_remove,
	.rmdir = op_remove,
	.symlink = op_symlink,
	.rename = op_rename,
	.open = op_open,
	.create = op_create,
	.read = op_read,
	.write = op_write,
	.release = op_done,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.getxattr = op_getxattr,
	.statfs = op_statfs,
};

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session;
	Node *root = new_node(S_IFDIR | 0755, getuid(), getgid());

	if (argc != 2) {
		fprintf(stderr, "usage: floorfs MOUNTPOINT\n");
		return 2;
	}
	fuse_opt_add_arg(&args, "floorfs");
	fuse_opt_add_arg(&args, "-odefault_permissions,fsname=floorfs,subtype=floorfs");
	session = fuse_session_new(&args, &operations, sizeof(operations), root);
	if (!session || fuse_session_mount(session, argv[1]))
		return 1;
	fuse_session_loop(session);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	return 0;
}
