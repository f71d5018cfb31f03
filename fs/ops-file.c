/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ops-file: open files.
 *
 * All handles of a node share its ProllyFile, which the version layer shares with whoever else has
 * the key open; the node holds it while it has handles. (Those that only read may have none yet:
 * lazy.c.) What is written is in that file at once, and staged, so that it survives our death, at
 * each close (flush). Handles that only read need no flush, which saves a round trip for each close.
 *
 * Pages stay cached over opens (keep_cache): a content that changed behind the kernel has another
 * node (inode.c), so what is cached for this one is right, unless it could not be staged (close_file).
 * Therefore
 * - a node that was not looked up since its scope moved is checked when it is opened; ESTALE makes
 *   the kernel look the name up again;
 * - O_TRUNC is ours to do (the kernel passes it on), and so is O_APPEND: written at the true end,
 *   whatever offset the kernel believes in. Written-back pages of a mapping are no appends;
 * - O_TRUNC of a program that runs is refused (ETXTBSY) by the kernel where it is also opened for
 *   writing; by us, with O_RDONLY, to which the kernel objects only afterwards. Its handle that it
 *   executes from says so in the flags.
 *
 * Rejected: no_open (ENOSYS to open): it drops O_TRUNC on the floor. The write-back cache: it gives
 * truncated reads after changes behind the kernel.
 */

#include "base/memory.h"
#include "fs-private.h"

#include <linux/falloc.h>
#include <string.h>

#define FLAG_EXECUTE 0x20 /* __FMODE_EXEC, which the kernel's headers keep to themselves */

#define PIECES_MIN (32u << 10) /* bytes of a read that is worth to be answered without a copy */
#define PIECES_MAX 64

#define CREATE_TRIES 8           /* while commands take away what is made */
#define COPY_STEP    (1u << 20)  /* bytes at a time of copy_file_range */
#define COPY_MAX     (64u << 20) /* bytes of one request: callers ask again */
#define SHARE_MAX    (1u << 30)  /* the same, of one that copies nothing: an answer has 32 bits */

/* ---- Handles ----------------------------------------------------------------------------- */

PfsHandle *pfs_handle_new(PfsMount *mount, PfsInode *inode, PfsAccount *account)
{
	PfsHandle *handle = g_new0(PfsHandle, 1);

	handle->account = account;
	handle->inode = pfs_inode_ref(&mount->table, inode);
	handle->link.data = handle;
	handle->lazy.data = handle;
	g_mutex_lock(&mount->handles_lock);
	g_queue_push_tail_link(&mount->handles, &handle->link);
	g_mutex_unlock(&mount->handles_lock);
	return handle;
}

/*
 * HANDLE less on its node's file; the last gives it up, and with it what could not be staged: whoever
 * closed was told. The kernel has that in its pages, of which the next open drops all; and the length,
 * which it forgets here. (That takes no lock which somebody who waits for us could have.)
 */
static void close_file(PfsMount *mount, PfsHandle *handle)
{
	g_autoptr(ProllyFile) file = handle->file;
	bool is_staged;

	if (!file) /* others may have opened it, and written */
		file = pfs_lazy_close(mount, handle);
	is_staged = !file || prolly_file_flush(file, NULL);
	g_clear_pointer(&file, prolly_file_unref);
	if (pfs_table_close(&mount->table, handle->inode, handle->is_executed, is_staged))
		return;
	fuse_lowlevel_notify_inval_inode(mount->session, handle->inode->id, -1, 0);
}

void pfs_handle_free(PfsMount *mount, PfsHandle *handle)
{
	g_mutex_lock(&mount->handles_lock);
	g_queue_unlink(&mount->handles, &handle->link);
	g_mutex_unlock(&mount->handles_lock);
	if (handle->is_open)
		close_file(mount, handle);
	prolly_session_free(handle->session);
	if (handle->text)
		prolly_allowance_give(pfs_account_get_allowance(handle->account),
				      g_bytes_get_size(handle->text));
	g_clear_pointer(&handle->text, g_bytes_unref);
	pfs_account_close(mount, handle->account, handle->is_control);
	pfs_inode_unref(&mount->table, handle->inode);
	g_free(handle);
}

static PfsHandle *file_handle(const struct fuse_file_info *fi)
{
	return (PfsHandle *)(uintptr_t)fi->fh;
}

/* The open file of a request, or NULL after an answer. */
static ProllyFile *request_file(fuse_req_t req, const struct fuse_file_info *fi)
{
	g_autoptr(GError) error = NULL;
	ProllyFile *file = pfs_handle_get_file(pfs_mount(req), file_handle(fi), &error);

	if (error)
		pfs_reply_error(req, "open", error);
	else if (!file)
		fuse_reply_err(req, EOPNOTSUPP);
	return file;
}

static void reply_done(fuse_req_t req, const char *what, bool done, const GError *error)
{
	if (done)
		fuse_reply_err(req, 0);
	else
		pfs_reply_error(req, what, error);
}

/* ---- Opening ----------------------------------------------------------------------------- */

static bool is_writing(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* Through the kernel's pages, that is, and by nobody who executes it. */
static bool is_only_read(int flags)
{
	return !is_writing(flags) && !(flags & (O_DIRECT | FLAG_EXECUTE));
}

static bool open_place(PfsMount *mount, PfsInode *inode, ProllyFile **out_file, GError **error)
{
	PfsScope *scope = inode->scope;
	g_auto(PfsPlace) where = {0};
	g_auto(ProllyEntry) entry = {0};
	ProllyPlace place;
	bool found;

	if (!pfs_table_get_place(&mount->table, inode, &where))
		return prolly_throw_errno(error, ESTALE, "open");
	place = pfs_place_get(&where);
	if (scope->branch)
		return prolly_file_open(mount->repo, scope->branch, &place, out_file, error);
	if (!prolly_view_get(scope->view, &place, true, &entry, &found, error))
		return false;
	if (!found)
		return prolly_throw_errno(error, ESTALE, "open");
	return prolly_file_open_entry(scope->view, &entry, out_file, error);
}

/* Is the scope where the kernel's look-up left it, or the content at least what it was? */
static bool check_unmoved(PfsMount *mount, PfsInode *inode, GError **error)
{
	struct stat ignored;

	g_mutex_lock(&mount->table.lock);
	bool has_moved = inode->seen_moves != g_atomic_int_get(&inode->scope->moves);
	g_mutex_unlock(&mount->table.lock);
	return !has_moved || pfs_stat_inode(mount, inode, &ignored, error);
}

bool pfs_file_open(PfsMount *mount, PfsInode *inode, ProllyFile **out_file, GError **error)
{
	ProllyFile *file = pfs_table_dup_file(&mount->table, inode);

	if (!file &&
	    (!check_unmoved(mount, inode, error) || !open_place(mount, inode, &file, error)))
		return false;
	*out_file = file;
	return true;
}

/* Gives HANDLE the file of its node. *OUT_KEEP: what the kernel has cached of it is right. */
static bool open_file(PfsMount *mount, PfsHandle *handle, int flags, bool *out_keep, GError **error)
{
	PfsInode *inode = handle->inode;
	ProllyFile *file;

	if (is_only_read(flags) && pfs_lazy_open(mount, handle)) {
		*out_keep = true;
		return true;
	}
	if (!pfs_file_open(mount, inode, &file, error))
		return false;
	g_mutex_lock(&mount->table.lock);
	pfs_inode_share_file(inode, file);
	inode->n_open++;
	handle->is_open = true;
	handle->is_executed = flags & FLAG_EXECUTE;
	inode->n_executing += handle->is_executed;
	*out_keep = !inode->has_lost;
	inode->has_lost = false;
	g_mutex_unlock(&mount->table.lock);
	handle->file = file;
	return true;
}

/* May INODE be truncated by who opens it with FLAGS? Of writers the kernel has seen to it. */
static bool check_not_executed(PfsMount *mount, PfsInode *inode, int flags, GError **error)
{
	if ((flags & O_ACCMODE) != O_RDONLY)
		return true;
	g_mutex_lock(&mount->table.lock);
	bool is_executed = inode->n_executing > 0;
	g_mutex_unlock(&mount->table.lock);
	return !is_executed || prolly_throw_errno(error, ETXTBSY, "a program that runs");
}

/* A file that is changed by somebody without privilege is no longer setuid. The kernel, which leaves
 * that to us, forgets what it has of the mode. */
static bool drop_privileges(fuse_req_t req, PfsInode *inode, ProllyFile *file, GError **error)
{
	ProllyAttrs attrs = {0};

	if (fuse_req_ctx(req)->uid != 0)
		pfs_attrs_drop_privileges(inode->mode, &attrs);
	if (!attrs.has)
		return true;
	if (!prolly_file_set_attrs(file, &attrs, -1, error))
		return false;
	inode->mode = (inode->mode & S_IFMT) | attrs.mode;
	fuse_lowlevel_notify_inval_inode(pfs_mount(req)->session, inode->id, -1, 0);
	return true;
}

static bool truncate_opened(fuse_req_t req, PfsInode *inode, ProllyFile *file, int flags,
			    GError **error)
{
	PfsMount *mount = pfs_mount(req);

	if (!check_not_executed(mount, inode, flags, error) ||
	    !prolly_file_truncate(file, 0, error) || !drop_privileges(req, inode, file, error))
		return false;
	pfs_table_touch(&mount->table, inode);
	pfs_scope_touch(inode->scope);
	return true;
}

/* HANDLE is not opened after all. Unless the kernel was to KEEP what it has cached, the next who opens
 * has it dropped. */
static void undo_open(PfsMount *mount, PfsHandle *handle, bool keep)
{
	g_mutex_lock(&mount->table.lock);
	handle->inode->has_lost |= !keep;
	g_mutex_unlock(&mount->table.lock);
	pfs_handle_free(mount, handle);
}

/* (transfer full) A handle of INODE as FLAGS say. Takes ACCOUNT over, even on an error. */
static PfsHandle *open_handle(fuse_req_t req, PfsInode *inode, PfsAccount *account,
			      struct fuse_file_info *fi, GError **error)
{
	PfsMount *mount = pfs_mount(req);
	PfsHandle *handle;
	bool keep = true;

	if (is_writing(fi->flags) && !inode->scope->branch) {
		pfs_account_close(mount, account, false);
		prolly_throw(error, PROLLY_ERROR_READ_ONLY, "commits do not change");
		return NULL;
	}
	handle = pfs_handle_new(mount, inode, account);
	if (!open_file(mount, handle, fi->flags, &keep, error) ||
	    ((fi->flags & O_TRUNC) &&
	     !truncate_opened(req, inode, handle->file, fi->flags, error))) {
		undo_open(mount, handle, keep);
		return NULL;
	}
	fi->fh = (uintptr_t)handle;
	fi->keep_cache = keep;
	if (keep && handle->file)
		pfs_fill(mount, handle, fi->flags);
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY && !(fi->flags & O_TRUNC);
	return handle;
}

/* HANDLE's text, which counts as long as it is kept. */
static bool give_text(PfsMount *mount, PfsHandle *handle, GError **error)
{
	g_autoptr(GBytes) text = NULL;

	if (!pfs_text_make(mount, handle->inode, handle->account, &text, error))
		return false;
	if (!prolly_allowance_take(pfs_account_get_allowance(handle->account),
				   g_bytes_get_size(text)))
		return prolly_throw_errno(error, EDQUOT, "%s", handle->inode->verb);
	handle->text = g_steal_pointer(&text);
	return true;
}

static void open_text(fuse_req_t req, PfsInode *inode, PfsAccount *account,
		      struct fuse_file_info *fi)
{
	PfsMount *mount = pfs_mount(req);
	g_autoptr(GError) error = NULL;
	PfsHandle *handle = pfs_handle_new(mount, inode, account);

	if (is_writing(fi->flags)) {
		fuse_reply_err(req, EACCES);
		pfs_handle_free(mount, handle);
		return;
	}
	if (!give_text(mount, handle, &error)) {
		pfs_account_note(mount, account, prolly_error_to_errno(error));
		pfs_reply_error(req, "open", error);
		pfs_handle_free(mount, handle);
		return;
	}
	fi->fh = (uintptr_t)handle;
	fi->direct_io = 1; /* its length is known to nobody before it is read */
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) < 0)
		pfs_handle_free(mount, handle);
}

void pfs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *inode = pfs_table_find(&mount->table, ino);
	g_autoptr(GError) error = NULL;
	PfsAccount *account;
	PfsHandle *handle;

	if (!inode) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	account = pfs_account_open(req, inode->kind == PFS_KIND_CONTROL);
	if (!account) {
		fuse_reply_err(req, EMFILE);
		return;
	}
	if (inode->kind == PFS_KIND_CONTROL) {
		pfs_control_open(req, inode, account, fi);
		return;
	}
	if (inode->kind == PFS_KIND_TEXT) {
		open_text(req, inode, account, fi);
		return;
	}
	handle = open_handle(req, inode, account, fi, &error);
	if (!handle)
		pfs_reply_error(req, "open", error);
	else if (fuse_reply_open(req, fi) < 0)
		undo_open(mount, handle, fi->keep_cache);
}

/*
 * May who asks open FOUND in DIR as FLAGS say, by its mode alone? The kernel, which believes that it is
 * made, did not look. False also where that takes more than we know (which other groups he is in,
 * capabilities, what is special in sticky directories).
 */
static bool is_plainly_allowed(fuse_req_t req, const PfsInode *dir, const PfsFound *found,
			       int flags)
{
	static const mode_t wanted_of[] = {[O_RDONLY] = 4, [O_WRONLY] = 2};
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	const struct stat *attr = &found->attr;
	int access = flags & O_ACCMODE;
	mode_t wanted = access == O_RDONLY || access == O_WRONLY ? wanted_of[access] : 6;
	mode_t given = (attr->st_mode >> 3) & attr->st_mode;

	if (flags & O_TRUNC)
		wanted |= 2;
	if (caller->uid == attr->st_uid)
		given = attr->st_mode >> 6;
	else if (dir->mode & S_ISVTX)
		return false;
	else if (caller->gid == attr->st_gid)
		given = attr->st_mode >> 3;
	return S_ISREG(attr->st_mode) && (given & wanted) == wanted;
}

/*
 * Makes NAME, or without O_EXCL takes the one that came into being since the kernel looked. What is
 * made has nothing to truncate, and stays setuid if it is made so. Where it is not for us to say
 * whether what is there may be opened: STALE, and the kernel looks it up and decides.
 */
static bool make_or_find(fuse_req_t req, PfsInode *dir, const char *name, mode_t mode,
			 struct fuse_file_info *fi, PfsFound *out_found, GError **error)
{
	g_autoptr(GBytes) stored = prolly_value_new_inline(
		mode & S_IXUSR ? PROLLY_KIND_EXECUTABLE : PROLLY_KIND_FILE, NULL, 0);
	GError *failure = NULL;
	bool found_it = false;

	if (pfs_make_key(req, dir, name, stored, mode, out_found, &failure)) {
		fi->flags &= ~O_TRUNC;
		return true;
	}
	if ((fi->flags & O_EXCL) || !prolly_error_is(failure, PROLLY_ERROR_EXISTS)) {
		g_propagate_error(error, failure);
		return false;
	}
	g_error_free(failure);
	if (!pfs_keys_find(pfs_mount(req), dir, name, out_found, &found_it, error))
		return false;
	if (!found_it)
		return prolly_throw_errno(error, ESTALE, "create");
	return (out_found->kind == PFS_KIND_FILE &&
		is_plainly_allowed(req, dir, out_found, fi->flags)) ||
	       prolly_throw(error, PROLLY_ERROR_STALE, "it is there already");
}

/* Makes NAME in DIR, or finds it, and opens it. */
static PfsHandle *make_and_open(fuse_req_t req, PfsInode *dir, const char *name, mode_t mode,
				struct fuse_file_info *fi, struct fuse_entry_param *out_param,
				GError **error)
{
	PfsMount *mount = pfs_mount(req);
	PfsAccount *account = pfs_account_open(req, false); /* before anything is made */
	PfsFound found = {0};
	PfsHandle *handle;

	if (!account) {
		prolly_throw_errno(error, EMFILE, "create");
		return NULL;
	}
	if (!make_or_find(req, dir, name, mode, fi, &found, error)) {
		pfs_account_close(mount, account, false);
		return NULL;
	}
	handle = open_handle(req, pfs_enter(mount, dir, name, &found, out_param), account, fi,
			     error);
	if (handle) {
		if (fi->flags & O_TRUNC) /* of what was there, and may have been setuid */
			pfs_stat_file(mount, handle->inode, handle->file, &out_param->attr, NULL);
		return handle;
	}
	pfs_table_forget(&mount->table, out_param->ino, 1);
	if (error && prolly_error_is(*error, PROLLY_ERROR_NOT_FOUND)) {
		g_clear_error(error);
		prolly_throw_errno(error, ESTALE, "create");
	}
	return NULL;
}

/* Did a command take away what was just made, or found? */
static bool was_faster(const GError *error)
{
	return g_error_matches(error, PROLLY_ERRNO, ESTALE);
}

void pfs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		   struct fuse_file_info *fi)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *dir = pfs_table_find(&mount->table, parent);
	g_autoptr(GError) error = NULL;
	struct fuse_entry_param param;
	const int flags = fi->flags;
	PfsHandle *handle;
	int tries = 0;

	if (!dir) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	do {
		g_clear_error(&error);
		fi->flags = flags;
		handle = make_and_open(req, dir, name, mode, fi, &param, &error);
	} while (!handle && was_faster(error) && ++tries < CREATE_TRIES);
	if (!handle) { /* told ESTALE, the kernel looks the name up and asks again */
		pfs_reply_error(req, "create", error);
	} else if (fuse_reply_create(req, &param, fi) < 0) {
		undo_open(mount, handle, fi->keep_cache);
		pfs_table_forget(&mount->table, param.ino, 1);
	}
}

/* ---- Reading and writing ----------------------------------------------------------------- */

static void reply_text(fuse_req_t req, GBytes *text, size_t size, off_t offset)
{
	size_t len;
	const char *data = g_bytes_get_data(text, &len);

	if ((uint64_t)offset >= len)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, data + offset, MIN(size, len - (size_t)offset));
}

/* Answers with bytes where they lie in memory; false: they do not, and no answer was given. */
static bool reply_pieces(fuse_req_t req, ProllyFile *file, size_t size, off_t offset)
{
	g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(ProllyBlobPiece));
	g_autoptr(GError) error = NULL;
	struct iovec parts[PIECES_MAX];
	bool has, ok;

	g_array_set_clear_func(pieces, (GDestroyNotify)prolly_blob_piece_clear);
	ok = prolly_file_read_pieces(file, (uint64_t)offset, size, pieces, &has, &error);
	if (!has || pieces->len > PIECES_MAX)
		return false;
	for (guint i = 0; i < pieces->len; i++) {
		const ProllyBlobPiece *piece = &g_array_index(pieces, ProllyBlobPiece, i);

		parts[i].iov_base = (void *)piece->data;
		parts[i].iov_len = piece->len;
	}
	if (ok)
		fuse_reply_iov(req, parts, (int)pieces->len);
	else
		pfs_reply_error(req, "read", error);
	return true;
}

void pfs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		 struct fuse_file_info *fi)
{
	PfsHandle *handle = file_handle(fi);
	g_autoptr(GError) error = NULL;
	g_autofree char *buffer = NULL;
	ProllyFile *file;
	size_t len = 0;

	if (handle->session) {
		pfs_control_read(req, handle, size);
		return;
	}
	if (handle->text) {
		reply_text(req, handle->text, size, offset);
		return;
	}
	file = request_file(req, fi);
	if (!file || (size >= PIECES_MIN && reply_pieces(req, file, size, offset)))
		return;
	buffer = prolly_try_malloc(size, "a read", &error);
	if (buffer && prolly_file_read(file, (uint64_t)offset, buffer, size, &len, &error))
		fuse_reply_buf(req, buffer, len);
	else
		pfs_reply_error(req, "read", error);
}

/*
 * Appends. The kernel has put the bytes where it believes the end to be, OFFSET. While somebody else
 * truncates the file by opening it, which the kernel does without the inode's lock, that is behind the
 * end: so that nobody reads zeros between, it has to ask for the length before it reads again.
 */
static bool append(PfsMount *mount, PfsHandle *handle, const char *data, size_t size, off_t offset,
		   GError **error)
{
	uint64_t end;

	if (!prolly_file_append(handle->file, data, size, &end, error))
		return false;
	if (end != (uint64_t)offset)
		fuse_lowlevel_notify_inval_inode(mount->session, handle->inode->id, -1, 0);
	return true;
}

void pfs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		  struct fuse_file_info *fi)
{
	PfsMount *mount = pfs_mount(req);
	PfsHandle *handle = file_handle(fi);
	g_autoptr(GError) error = NULL;
	bool done;

	if (handle->session) {
		pfs_control_write(req, handle, data, size);
		return;
	}
	if (!request_file(req, fi))
		return;
	pfs_table_touch(&mount->table, handle->inode);
	pfs_scope_touch(handle->inode->scope);
	if ((fi->flags & O_APPEND) && !fi->writepage)
		done = append(mount, handle, data, size, offset, &error);
	else
		done = prolly_file_write(handle->file, (uint64_t)offset, data, size, &error);
	handle->unflushed += size;
	if (done)
		fuse_reply_write(req, size);
	else
		pfs_reply_error(req, "write", error);
}

void pfs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	PfsHandle *handle = file_handle(fi);
	g_autoptr(GError) error = NULL;
	bool done = true;

	if (handle->file) {
		handle->unflushed = 0;
		done = prolly_file_flush(handle->file, &error);
	}
	reply_done(req, "close", done, error);
}

void pfs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	pfs_handle_free(pfs_mount(req), file_handle(fi));
	fuse_reply_err(req, 0);
}

void pfs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	g_autoptr(GError) error = NULL;
	ProllyFile *file = pfs_handle_get_file(pfs_mount(req), file_handle(fi), &error);
	bool done = !error && (!file || prolly_file_sync(file, &error));

	reply_done(req, "fsync", done, error);
}

/* ---- Space ------------------------------------------------------------------------------- */

static bool allocate(ProllyFile *file, int mode, uint64_t offset, uint64_t len, GError **error)
{
	uint64_t end = offset + len;
	uint64_t length = prolly_file_get_length(file);

	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
		uint64_t known = MIN(end, length);

		if (offset < known && !prolly_file_zero(file, offset, known - offset, error))
			return false;
	}
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > length)
		return prolly_file_truncate(file, end, error);
	return true; /* space is not reserved: contents may be stored already */
}

void pfs_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		      struct fuse_file_info *fi)
{
	PfsMount *mount = pfs_mount(req);
	const int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	g_autoptr(GError) error = NULL;
	ProllyFile *file;
	bool done;

	if (mode & ~known) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	file = request_file(req, fi);
	if (!file)
		return;
	pfs_table_touch(&mount->table, file_handle(fi)->inode);
	pfs_scope_touch(file_handle(fi)->inode->scope);
	done = allocate(file, mode, (uint64_t)offset, (uint64_t)length, &error);
	reply_done(req, "fallocate", done, error);
}

void pfs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		  struct fuse_file_info *fi)
{
	ProllyFile *file = request_file(req, fi);
	g_autoptr(GError) error = NULL;
	bool wants_data = whence == SEEK_DATA;
	uint64_t length, found;

	if (!file)
		return;
	length = prolly_file_get_length(file);
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		fuse_reply_err(req, EINVAL);
	else if (offset < 0 || (uint64_t)offset >= length)
		fuse_reply_err(req, ENXIO);
	else if (!prolly_file_seek(file, (uint64_t)offset, wants_data, &found, &error))
		pfs_reply_error(req, "lseek", error);
	else if (wants_data && found >= length)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, (off_t)found);
}

/* Copies up to LEN bytes; *OUT_DONE, fewer at the source's end. What was copied before an error
 * counts. */
static bool copy_range(ProllyFile *in, uint64_t in_offset, ProllyFile *out, uint64_t out_offset,
		       size_t len, size_t *out_done, GError **error)
{
	uint64_t length = prolly_file_get_length(in);
	size_t room = (size_t)MIN(MIN(len, COPY_STEP), length - MIN(length, in_offset));
	size_t done = 0, step = room;
	g_autofree char *buffer = prolly_try_malloc(room, "a copy", error);

	if (!buffer)
		return false;
	while (room && done < len && step == room) {
		if (!prolly_file_read(in, in_offset + done, buffer, MIN(len - done, room), &step,
				      error) ||
		    !prolly_file_write(out, out_offset + done, buffer, step, error)) {
			if (!done)
				return false;
			g_clear_error(error);
			break;
		}
		done += step;
	}
	*out_done = done;
	return true;
}

void pfs_op_copy_file_range(fuse_req_t req, fuse_ino_t in_ino, off_t in_offset,
			    struct fuse_file_info *in_fi, fuse_ino_t out_ino, off_t out_offset,
			    struct fuse_file_info *out_fi, size_t len, int flags)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *inode = file_handle(out_fi)->inode;
	g_autoptr(GError) error = NULL;
	ProllyFile *in, *out;
	uint64_t shared;
	size_t done;

	if (flags) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	in = request_file(req, in_fi);
	out = in ? request_file(req, out_fi) : NULL;
	if (!out)
		return;
	pfs_table_touch(&mount->table, inode);
	pfs_scope_touch(inode->scope);
	len = MIN(len, SHARE_MAX);
	if (in_offset == out_offset &&
	    prolly_file_share(in, out, (uint64_t)in_offset, len, &shared))
		fuse_reply_write(req, shared);
	else if (copy_range(in, (uint64_t)in_offset, out, (uint64_t)out_offset, MIN(len, COPY_MAX),
			    &done, &error))
		fuse_reply_write(req, done);
	else
		pfs_reply_error(req, "copy_file_range", error);
}
