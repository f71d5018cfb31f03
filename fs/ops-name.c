/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ops-name: making, removing and renaming names in directories of keys. What happens to branches is
 * in ops-branch.c; everything else is read-only or EPERM.
 *
 * Each operation is one atomic change of the version layer; when it is done the table of nodes
 * follows, and the scope's count of changes is moved, so that open directories know that the state
 * they pinned has been overtaken (ops-dir.c). The kernel keeps its own caches right for what it
 * asked for, but for one case: a directory that goes away uncovers a key of the same name, which
 * was NAME%prolly-key meanwhile. It goes by rmdir or rename, or with the last name in it, since there
 * is no place for the marker of an empty directory where a key is.
 */

#include "fs-private.h"

#include <string.h>
#include <sys/sysmacros.h>

#define LARGE_DIRECTORY 1024 /* keys: some milliseconds' work */

/* ---- Where ------------------------------------------------------------------------------- */

bool pfs_begin_change(PfsMount *mount, PfsInode *dir, PfsPlace *out_place, GError **error)
{
	if (!dir->scope || pfs_kind_is_virtual(dir->kind))
		return prolly_throw(error, PROLLY_ERROR_DENIED, "nothing can be made here");
	if (!dir->scope->branch)
		return prolly_throw(error, PROLLY_ERROR_READ_ONLY, "commits do not change");
	if (!pfs_table_get_place(&mount->table, dir, out_place))
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "the directory was removed");
	return true;
}

static bool is_meta(const PfsInode *dir, const char *name)
{
	return dir->kind == PFS_KIND_TOP && !strcmp(name, PFS_META_NAME);
}

/* What NAME, which is to be made, means in DIR. */
static bool begin_make(PfsMount *mount, PfsInode *dir, const char *name, PfsMeaning *out_meaning,
		       GError **error)
{
	g_auto(PfsPlace) place = {0};

	if (is_meta(dir, name))
		return prolly_throw(error, PROLLY_ERROR_DENIED, "%s is reserved", name);
	return pfs_begin_change(mount, dir, &place, error) &&
	       pfs_place_create(&place, name, out_meaning, error);
}

/* What NAME, which should be there, means in DIR. */
static bool begin_remove(PfsMount *mount, PfsInode *dir, const char *name, PfsMeaning *out_meaning,
			 GError **error)
{
	g_auto(PfsPlace) place = {0};

	if (is_meta(dir, name))
		return prolly_throw(error, PROLLY_ERROR_DENIED, "%s is reserved", name);
	if (!pfs_begin_change(mount, dir, &place, error))
		return false;
	pfs_place_lookup(&place, name, out_meaning);
	return true;
}

static bool need_directory(const PfsMeaning *meaning, const char *name, GError **error)
{
	if (meaning->directory.bytes)
		return true;
	return prolly_throw(error, PROLLY_ERROR_INVALID, "%s cannot be a directory", name);
}

static bool need_key(const PfsMeaning *meaning, const char *name, GError **error)
{
	if (meaning->key.bytes)
		return true;
	return prolly_throw(error, PROLLY_ERROR_INVALID, "%s cannot be a key", name);
}

/* The directory of REQ, or NULL after an answer. */
static PfsInode *request_dir(fuse_req_t req, fuse_ino_t id)
{
	PfsInode *dir = pfs_table_find(&pfs_mount(req)->table, id);

	if (!dir)
		fuse_reply_err(req, ESTALE);
	return dir;
}

/* A name in DIR came or went. */
static void note_name(PfsMount *mount, PfsInode *dir)
{
	pfs_scope_touch(dir->scope);
	pfs_table_touch_names(&mount->table, dir);
}

/* One that went. */
static void note_gone(PfsMount *mount, PfsInode *dir)
{
	note_name(mount, dir);
	pfs_notifier_drop_covered(mount, dir);
}

/* ---- Making ------------------------------------------------------------------------------ */

bool pfs_make_key(fuse_req_t req, PfsInode *dir, const char *name, GBytes *stored, mode_t mode,
		  PfsFound *out_found, GError **error)
{
	PfsMount *mount = pfs_mount(req);
	g_auto(PfsMeaning) meaning = {0};
	g_auto(ProllyEntry) entry = {0};
	ProllyAttrs attrs = pfs_attrs_new(req, dir, mode, NULL);
	ProllyPlace place;
	ProllyValue value;
	size_t len;
	const uint8_t *bytes = g_bytes_get_data(stored, &len);

	if (!begin_make(mount, dir, name, &meaning, error) || !need_key(&meaning, name, error) ||
	    !prolly_value_parse(bytes, len, &value, error))
		return false;
	place = pfs_place_get(&meaning.key);
	out_found->moves = g_atomic_int_get(&dir->scope->moves);
	if (!prolly_edit_put(mount->repo, dir->scope->branch, &place, stored, &attrs,
			     PROLLY_EDIT_EXCLUSIVE, &entry.attrs, error))
		return false;
	note_name(mount, dir);
	entry.stored = g_bytes_ref(stored);
	entry.kind = value.kind;
	entry.length = value.length;
	pfs_found_entry(mount, dir->scope, &entry, out_found);
	return true;
}

static void make_and_reply(fuse_req_t req, fuse_ino_t parent, const char *name, GBytes *stored,
			   mode_t mode)
{
	PfsInode *dir = request_dir(req, parent);
	g_autoptr(GError) error = NULL;
	PfsFound found = {0};

	if (!dir)
		return;
	if (pfs_make_key(req, dir, name, stored, mode, &found, &error))
		pfs_reply_entry(req, dir, name, &found);
	else
		pfs_reply_error(req, "create", error);
}

static bool mode_to_kind(mode_t mode, ProllyKind *out_kind)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case 0:
		*out_kind = mode & S_IXUSR ? PROLLY_KIND_EXECUTABLE : PROLLY_KIND_FILE;
		return true;
	case S_IFIFO:
		*out_kind = PROLLY_KIND_FIFO;
		return true;
	case S_IFSOCK:
		*out_kind = PROLLY_KIND_SOCKET;
		return true;
	case S_IFCHR:
		*out_kind = PROLLY_KIND_CHARDEV;
		return true;
	case S_IFBLK:
		*out_kind = PROLLY_KIND_BLOCKDEV;
		return true;
	default:
		return false;
	}
}

void pfs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	g_autoptr(GBytes) stored = NULL;
	ProllyKind kind;
	uint8_t device[2 * sizeof(uint32_t)];

	if (!mode_to_kind(mode, &kind)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	prolly_set_le32(device, major(rdev));
	prolly_set_le32(device + sizeof(uint32_t), minor(rdev));
	if (kind == PROLLY_KIND_CHARDEV || kind == PROLLY_KIND_BLOCKDEV)
		stored = prolly_value_new_inline(kind, device, sizeof device);
	else
		stored = prolly_value_new_inline(kind, NULL, 0);
	make_and_reply(req, parent, name, stored, mode);
}

void pfs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	PfsMount *mount = pfs_mount(req);
	const ProllyTreeContext *context = prolly_repo_get_context(mount->repo);
	g_auto(ProllyGuard) guard = prolly_guard_enter(mount->repo);
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GError) error = NULL;

	if (prolly_value_store(context, PROLLY_KIND_SYMLINK, target, strlen(target), &stored,
			       &error))
		make_and_reply(req, parent, name, stored, S_IFLNK | 0777);
	else
		pfs_reply_error(req, "symlink", error);
}

static bool make_directory(fuse_req_t req, PfsInode *dir, const char *name, mode_t mode,
			   PfsFound *out_found, GError **error)
{
	PfsMount *mount = pfs_mount(req);
	g_auto(PfsMeaning) meaning = {0};
	g_auto(ProllyAttrs) made = {0};
	ProllyAttrs attrs = pfs_attrs_new(req, dir, S_IFDIR | mode, NULL);
	ProllyPlace place;

	if (!begin_make(mount, dir, name, &meaning, error) ||
	    !need_directory(&meaning, name, error))
		return false;
	place = pfs_place_get(&meaning.directory);
	out_found->moves = g_atomic_int_get(&dir->scope->moves);
	if (!prolly_edit_make_directory(mount->repo, dir->scope->branch, &place, &attrs, &made,
					error))
		return false;
	note_name(mount, dir);
	pfs_found_directory(mount, dir->scope, &made, out_found);
	return true;
}

void pfs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	PfsInode *dir = request_dir(req, parent);
	g_autoptr(GError) error = NULL;
	PfsFound found = {0};

	if (!dir)
		return;
	if (pfs_has_branches(dir))
		pfs_branch_mkdir(req, dir, name);
	else if (make_directory(req, dir, name, mode, &found, &error))
		pfs_reply_entry(req, dir, name, &found);
	else
		pfs_reply_error(req, "mkdir", error);
}

static bool link_key(PfsMount *mount, PfsInode *inode, PfsInode *dir, const char *name,
		     PfsFound *out_found, GError **error)
{
	g_auto(PfsPlace) from = {0};
	g_auto(PfsMeaning) to = {0};
	ProllyPlace from_place, to_place;
	bool has_place, found_it = false;

	if (inode->scope && dir->scope && inode->scope != dir->scope)
		return prolly_throw(error, PROLLY_ERROR_CROSS, "hard links stay in a branch");
	if (!begin_make(mount, dir, name, &to, error) || !need_key(&to, name, error))
		return false;
	if (!pfs_find_place(mount, inode, &from, &has_place, error))
		return false;
	if (!has_place)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "the file was removed");
	from_place = pfs_place_get(&from);
	to_place = pfs_place_get(&to.key);
	if (!prolly_edit_link(mount->repo, dir->scope->branch, &from_place, &to_place, NULL, error))
		return false;
	note_name(mount, dir);
	if (!pfs_keys_find(mount, dir, name, out_found, &found_it, error))
		return false;
	if (!found_it)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s was removed", name);
	pfs_table_link(&mount->table, inode, dir, name, out_found->group);
	return true;
}

void pfs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *inode = pfs_table_find(&mount->table, ino);
	PfsInode *dir = request_dir(req, new_parent);
	g_autoptr(GError) error = NULL;
	PfsFound found = {0};

	if (!dir)
		return;
	if (!inode || inode->kind != PFS_KIND_FILE) {
		fuse_reply_err(req, inode ? EPERM : ESTALE);
		return;
	}
	if (link_key(mount, inode, dir, new_name, &found, &error))
		pfs_reply_entry(req, dir, new_name, &found);
	else
		pfs_reply_error(req, "link", error);
	pfs_found_clear(&mount->table, &found);
}

/* ---- Removing ---------------------------------------------------------------------------- */

/* A file that is to lose its name: the kernel may be about to open it. */
typedef struct {
	PfsInode *inode; /* (transfer full) nullable */
	ProllyFile *file;
} Leaver;

static Leaver begin_leaving(PfsMount *mount, PfsInode *dir, const char *name)
{
	Leaver leaver = {pfs_table_find_name(&mount->table, dir, name), NULL};

	if (leaver.inode)
		pfs_lazy_settle(mount, leaver.inode);
	if (leaver.inode && pfs_table_may_keep(&mount->table, leaver.inode))
		(void)pfs_file_open(mount, leaver.inode, &leaver.file, NULL);
	return leaver;
}

static void end_leaving(PfsMount *mount, Leaver *leaver)
{
	if (leaver->file)
		pfs_table_keep(&mount->table, leaver->inode, leaver->file);
	pfs_inode_unref(&mount->table, leaver->inode);
}

static bool remove_key(PfsMount *mount, PfsInode *dir, const char *name, GError **error)
{
	g_auto(PfsMeaning) meaning = {0};
	ProllyPlace place;

	if (!begin_remove(mount, dir, name, &meaning, error) || !need_key(&meaning, name, error))
		return false;
	place = pfs_place_get(&meaning.key);
	return prolly_edit_delete(mount->repo, dir->scope->branch, &place, NULL, error);
}

void pfs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *dir = request_dir(req, parent);
	g_autoptr(GError) error = NULL;
	Leaver leaver;
	bool done;

	if (!dir)
		return;
	leaver = begin_leaving(mount, dir, name);
	done = remove_key(mount, dir, name, &error);
	if (done) {
		note_gone(mount, dir);
		pfs_table_unlink(&mount->table, dir, name);
		fuse_reply_err(req, 0);
	} else {
		pfs_reply_error(req, "unlink", error);
	}
	end_leaving(mount, &leaver);
}

/* The directory NAME in DIR is gone: the key NAME, if there is one, has its name back. */
static void uncover_key(PfsMount *mount, PfsInode *dir, const char *name)
{
	g_autofree char *covered = g_strconcat(name, "%prolly-key", NULL);
	PfsInode *key = pfs_table_find_name(&mount->table, dir, covered);

	if (!key)
		return;
	pfs_table_rename(&mount->table, dir, covered, dir, name);
	pfs_notifier_drop_name(mount, dir->id, covered);
	pfs_inode_unref(&mount->table, key);
}

static bool remove_directory(PfsMount *mount, PfsInode *dir, const char *name, GError **error)
{
	g_auto(PfsMeaning) meaning = {0};
	ProllyPlace place;

	if (!begin_remove(mount, dir, name, &meaning, error))
		return false;
	if (!meaning.directory.bytes)
		return prolly_throw(error, PROLLY_ERROR_NOT_DIR, "%s is no directory", name);
	place = pfs_place_get(&meaning.directory);
	return prolly_edit_remove_directory(mount->repo, dir->scope->branch, &place, error);
}

void pfs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *dir = request_dir(req, parent);
	g_autoptr(GError) error = NULL;

	if (!dir)
		return;
	if (pfs_has_branches(dir)) {
		pfs_branch_rmdir(req, dir, name);
		return;
	}
	if (!remove_directory(mount, dir, name, &error)) {
		pfs_reply_error(req, "rmdir", error);
		return;
	}
	note_gone(mount, dir);
	pfs_table_unlink(&mount->table, dir, name);
	uncover_key(mount, dir, name);
	fuse_reply_err(req, 0);
}

/* ---- Renaming ---------------------------------------------------------------------------- */

typedef struct {
	PfsMeaning from;
	PfsMeaning to;
	bool from_is_directory;
	bool to_is_directory;
} Rename;

static void rename_clear(Rename *self)
{
	pfs_meaning_clear(&self->from);
	pfs_meaning_clear(&self->to);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rename, rename_clear)

/* What the kernel has under NAME, which it looked up just before; else what is there. */
static bool find_type(PfsMount *mount, PfsInode *dir, const char *name, bool *out_exists,
		      bool *out_is_directory, GError **error)
{
	PfsInode *known = pfs_table_find_name(&mount->table, dir, name);
	PfsFound found = {0};

	if (known) {
		*out_exists = true;
		*out_is_directory = pfs_inode_is_directory(known);
		pfs_inode_unref(&mount->table, known);
		return true;
	}
	if (!pfs_keys_find(mount, dir, name, &found, out_exists, error))
		return false;
	*out_is_directory = *out_exists && found.kind == PFS_KIND_DIRECTORY;
	pfs_found_clear(&mount->table, &found);
	return true;
}

static bool begin_rename(PfsMount *mount, PfsInode *from, const char *from_name, PfsInode *to,
			 const char *to_name, unsigned flags, Rename *out, GError **error)
{
	bool from_exists, to_exists;

	if (!begin_remove(mount, from, from_name, &out->from, error))
		return false;
	if (flags & PROLLY_RENAME_EXCHANGE ? !begin_remove(mount, to, to_name, &out->to, error)
					   : !begin_make(mount, to, to_name, &out->to, error))
		return false;
	if (!find_type(mount, from, from_name, &from_exists, &out->from_is_directory, error) ||
	    !find_type(mount, to, to_name, &to_exists, &out->to_is_directory, error))
		return false;
	if (!from_exists)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s is not there", from_name);
	if (!(flags & PROLLY_RENAME_EXCHANGE)) {
		if (to_exists && out->to_is_directory && !out->from_is_directory)
			return prolly_throw(error, PROLLY_ERROR_IS_DIR, "%s is a directory",
					    to_name);
		if (to_exists && !out->to_is_directory && out->from_is_directory)
			return prolly_throw(error, PROLLY_ERROR_NOT_DIR, "%s is no directory",
					    to_name);
		out->to_is_directory = out->from_is_directory;
	}
	return (out->from_is_directory ? need_directory(&out->from, from_name, error)
				       : need_key(&out->from, from_name, error)) &&
	       (out->to_is_directory ? need_directory(&out->to, to_name, error)
				     : need_key(&out->to, to_name, error));
}

/* (transfer full) RENAME as the version layer has it. */
static ProllyRename *new_rename(PfsMount *mount, ProllyBranch *branch, const Rename *rename,
				unsigned flags)
{
	ProllyPlace from = pfs_place_get(rename->from_is_directory ? &rename->from.directory
								   : &rename->from.key);
	ProllyPlace to =
		pfs_place_get(rename->to_is_directory ? &rename->to.directory : &rename->to.key);

	if (rename->from_is_directory)
		flags |= PROLLY_RENAME_FROM_DIRECTORY;
	if (rename->to_is_directory)
		flags |= PROLLY_RENAME_TO_DIRECTORY;
	return prolly_rename_new(mount->repo, branch, &from, &to, flags);
}

/* (transfer full) The rename of a directory, most of it done while others go on; NULL if it is none,
 * or on the receive thread, which should not be kept. */
static ProllyRename *prepare_rename(PfsMount *mount, PfsInode *from, const char *from_name,
				    PfsInode *to, const char *to_name, unsigned flags)
{
	g_auto(Rename) rename = {0};
	ProllyRename *prepared;

	if (g_thread_self() == mount->receiver ||
	    !begin_rename(mount, from, from_name, to, to_name, flags, &rename, NULL) ||
	    !rename.from_is_directory)
		return NULL;
	prepared = new_rename(mount, from->scope->branch, &rename, flags);
	prolly_rename_prepare(prepared, LARGE_DIRECTORY);
	return prepared;
}

/* Behind the gate: as what is PREPARED (nullable), unless a directory above has another name now. */
static bool rename_keys(PfsMount *mount, ProllyBranch *branch, const Rename *rename, unsigned flags,
			ProllyRename *prepared, GError **error)
{
	g_autoptr(ProllyRename) present = new_rename(mount, branch, rename, flags);

	return prolly_rename_finish(
		prepared && prolly_rename_is_same(prepared, present) ? prepared : present, error);
}

/* The kernel's nodes follow. */
static void note_renamed(PfsMount *mount, PfsInode *from, const char *from_name, PfsInode *to,
			 const char *to_name, unsigned flags, const Rename *rename)
{
	note_gone(mount, from);
	note_name(mount, to);
	if (flags & PROLLY_RENAME_EXCHANGE) {
		pfs_table_exchange(&mount->table, from, from_name, to, to_name);
		return;
	}
	pfs_table_rename(&mount->table, from, from_name, to, to_name);
	if (rename->from_is_directory)
		uncover_key(mount, from, from_name);
}

/* Behind the gate. */
static bool rename_now(PfsMount *mount, PfsInode *from, const char *from_name, PfsInode *to,
		       const char *to_name, unsigned flags, ProllyRename *prepared, GError **error)
{
	g_auto(Rename) rename = {0};
	Leaver leaver = {0};
	bool done;

	if (!begin_rename(mount, from, from_name, to, to_name, flags, &rename, error))
		return false;
	if (!(flags & PROLLY_RENAME_EXCHANGE))
		leaver = begin_leaving(mount, to, to_name);
	done = rename_keys(mount, from->scope->branch, &rename, flags, prepared, error);
	if (done)
		note_renamed(mount, from, from_name, to, to_name, flags, &rename);
	end_leaving(mount, &leaver);
	return done;
}

static void rename_in_scope(fuse_req_t req, PfsInode *from, const char *from_name, PfsInode *to,
			    const char *to_name, unsigned flags)
{
	PfsMount *mount = pfs_mount(req);
	g_autoptr(ProllyRename) prepared =
		prepare_rename(mount, from, from_name, to, to_name, flags);
	g_autoptr(GError) error = NULL;
	bool done;

	pfs_gate_enter(mount);
	done = rename_now(mount, from, from_name, to, to_name, flags, prepared, &error);
	pfs_gate_leave(mount);
	if (done)
		fuse_reply_err(req, 0);
	else
		pfs_reply_error(req, "rename", error);
}

void pfs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		   const char *new_name, unsigned flags)
{
	PfsInode *from = request_dir(req, parent);
	PfsInode *to = from ? request_dir(req, new_parent) : NULL;

	if (!from || !to)
		return;
	/* The flags are rename(2)'s. */
	if (flags & ~(unsigned)(PROLLY_RENAME_NOREPLACE | PROLLY_RENAME_EXCHANGE))
		fuse_reply_err(req, EINVAL);
	else if (pfs_has_branches(from) && pfs_has_branches(to))
		pfs_branch_rename(req, from, name, to, new_name, flags);
	else if (pfs_has_branches(from) || pfs_has_branches(to))
		fuse_reply_err(req, EPERM);
	else if (from->scope != to->scope && from->scope && to->scope)
		fuse_reply_err(req, EXDEV);
	else
		rename_in_scope(req, from, name, to, new_name, flags);
}
