/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ops-xattr: extended attributes.
 *
 * `user.*` ones are local attributes of a path, kept with its owner and mode. Three more can be
 * read by name and are not listed, so that cp -a does not copy them: user.prollyfs.hash    of a
 * file, the SHA-256 of its stored value (equal content, equal hash); of a namespace or branch, its
 * root hash user.prollyfs.commit  the commit: the branch's head, or the one looked at
 *   user.prollyfs.staged  1 if something here is staged, else 0
 *
 * `security.*` and `system.*` are EOPNOTSUPP, not ENODATA: coreutils then asks once for each device
 * instead of twice for each file (`ls -l` eight times faster).
 */

#include "fs-private.h"

#include <string.h>
#include <sys/xattr.h>

#define USER         "user."
#define OWN          "user.prollyfs."
#define TOTAL_MAX    (1u << 20) /* bytes of all attributes of a path */
#define NAME_MAX_LEN 255

/* ---- Our own ----------------------------------------------------------------------------- */

/* The entry of a file node; false without an error too if it is not there. */
static bool get_entry(PfsMount *mount, PfsInode *inode, ProllyEntry *out_entry, bool *out_found,
		      GError **error)
{
	g_autoptr(ProllyFile) file = pfs_table_dup_file(&mount->table, inode);
	g_auto(PfsPlace) where = {0};
	ProllyPlace place;

	*out_found = false;
	if (file && !prolly_file_is_orphan(file) && inode->scope->branch &&
	    !prolly_file_flush(file, error))
		return false;
	if (!pfs_table_get_place(&mount->table, inode, &where))
		return file || pfs_orphan_check(&mount->table, inode, error);
	place = pfs_place_get(&where);
	return prolly_view_get(inode->scope->view, &place, false, out_entry, out_found, error);
}

/* *OUT_VALUE stays NULL where there is none. */
static bool get_hash(PfsMount *mount, PfsInode *inode, char **out_value, GError **error)
{
	char hex[PROLLY_HASH_HEX_SIZE];
	ProllyHash hash;

	if (inode->kind == PFS_KIND_FILE) {
		g_auto(ProllyEntry) entry = {0};
		bool found;

		if (!get_entry(mount, inode, &entry, &found, error))
			return false;
		if (!found || entry.extents) /* bytes over a blob are hashed by a commit */
			return true;
		prolly_hash_compute(g_bytes_get_data(entry.stored, NULL),
				    g_bytes_get_size(entry.stored), &hash);
	} else {
		g_auto(PfsPlace) where = {0};
		ProllyNamespaceFigures figures;

		if (!pfs_table_get_place(&mount->table, inode, &where) ||
		    (!pfs_place_is_top(&where) && where.bytes->len))
			return true;
		if (!prolly_view_get_figures(inode->scope->view,
					     pfs_place_is_top(&where) ? NULL : where.ns, &figures,
					     error))
			return false;
		hash = figures.root;
	}
	*out_value = g_strdup(prolly_hash_to_hex(&hash, hex));
	return true;
}

static bool get_commit(PfsInode *inode, char **out_value)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	ProllyCommitId id;

	prolly_view_get_commit(inode->scope->view, &id);
	*out_value = g_strdup(prolly_commit_id_to_hex(&id, hex));
	return true;
}

/* Is anything below a directory staged? */
static bool has_changes(PfsMount *mount, PfsInode *inode, bool *out_has, GError **error)
{
	g_auto(PfsPlace) where = {0};
	g_autoptr(ProllyView) head = NULL;
	g_autoptr(ProllyChanges) changes = NULL;
	ProllyViewChange change;
	ProllyCommitId id;
	bool end;

	*out_has = false;
	if (!inode->scope->branch || !pfs_table_get_place(&mount->table, inode, &where))
		return true;
	prolly_view_get_commit(inode->scope->view, &id);
	if (!prolly_view_new_commit(mount->repo, &id, &head, error) ||
	    !prolly_changes_new(head, inode->scope->view,
				pfs_place_is_top(&where) ? NULL : where.ns, where.bytes->data,
				where.bytes->len, &changes, error) ||
	    !prolly_changes_next(changes, &change, &end, error))
		return false;
	*out_has = !end;
	return true;
}

static bool get_staged(PfsMount *mount, PfsInode *inode, char **out_value, GError **error)
{
	bool staged = false;

	if (inode->kind == PFS_KIND_FILE) {
		g_auto(ProllyEntry) entry = {0};
		bool found;

		if (!get_entry(mount, inode, &entry, &found, error))
			return false;
		staged = found && entry.is_staged;
	} else if (!has_changes(mount, inode, &staged, error)) {
		return false;
	}
	*out_value = g_strdup(staged ? "1" : "0");
	return true;
}

static bool get_own(PfsMount *mount, PfsInode *inode, const char *name, GBytes **out_value,
		    GError **error)
{
	char *value = NULL;
	bool done = true;

	if (!strcmp(name, "hash"))
		done = get_hash(mount, inode, &value, error);
	else if (!strcmp(name, "commit"))
		done = get_commit(inode, &value);
	else if (!strcmp(name, "staged"))
		done = get_staged(mount, inode, &value, error);
	if (value)
		*out_value = g_bytes_new_take(value, strlen(value));
	return done;
}

/* The errno for a name that no attribute here can have, or 0. */
static int check_name(const char *name)
{
	if (!g_str_has_prefix(name, USER))
		return EOPNOTSUPP;
	return name[strlen(USER)] ? 0 : EINVAL;
}

/* ---- Reading ----------------------------------------------------------------------------- */

static bool get_value(PfsMount *mount, PfsInode *inode, const char *name, GBytes **out_value,
		      GError **error)
{
	g_auto(ProllyAttrs) attrs = {0};
	bool found;

	if (g_str_has_prefix(name, OWN))
		return get_own(mount, inode, name + strlen(OWN), out_value, error);
	if (!pfs_attrs_load(mount, inode, &attrs, &found, error))
		return false;
	if (found)
		prolly_xattrs_get(attrs.xattrs, name, out_value);
	return true;
}

/* As getxattr(2): the size for no room, ERANGE for too little. */
static void reply_sized(fuse_req_t req, const void *data, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, len);
}

void pfs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *inode;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) value = NULL;
	gsize len;
	int failure = check_name(name);

	if (failure) {
		fuse_reply_err(req, failure);
		return;
	}
	inode = pfs_table_find(&mount->table, ino);
	if (!inode) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (!pfs_kind_is_virtual(inode->kind) && !get_value(mount, inode, name, &value, &error)) {
		pfs_reply_error(req, "getxattr", error);
	} else if (!value) {
		fuse_reply_err(req, ENODATA);
	} else {
		const void *data = g_bytes_get_data(value, &len);
		reply_sized(req, data, len, size);
	}
}

void pfs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *inode = pfs_table_find(&mount->table, ino);
	g_auto(ProllyAttrs) attrs = {0};
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GString) list = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	bool found = false;

	if (!inode) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (!pfs_kind_is_virtual(inode->kind) &&
	    !pfs_attrs_load(mount, inode, &attrs, &found, &error)) {
		pfs_reply_error(req, "listxattr", error);
		return;
	}
	if (found && attrs.xattrs)
		names = prolly_xattrs_list(attrs.xattrs);
	for (guint i = 0; names && i < names->len; i++)
		g_string_append_len(list, names->pdata[i], (gssize)strlen(names->pdata[i]) + 1);
	reply_sized(req, list->str, list->len, size);
}

/* ---- Changing ---------------------------------------------------------------------------- */

/* VALUE NULL: removes NAME. FLAGS as setxattr(2)'s. */
static bool change_xattr(PfsMount *mount, PfsInode *inode, const char *name, GBytes *value,
			 int flags, GError **error)
{
	g_autoptr(ProllyFile) file = NULL;
	g_auto(ProllyAttrs) attrs = {0};
	g_autoptr(GBytes) old = NULL;
	g_autoptr(GBytes) changed = NULL;
	bool found;

	if (!inode->scope->branch)
		return prolly_throw(error, PROLLY_ERROR_READ_ONLY, "commits do not change");
	if (!pfs_attrs_load(mount, inode, &attrs, &found, error))
		return false;
	if (!found)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "it was removed");
	prolly_xattrs_get(attrs.xattrs, name, &old);
	if (old && (flags & XATTR_CREATE))
		return prolly_throw(error, PROLLY_ERROR_EXISTS, "%s is there", name);
	if (!old && ((flags & XATTR_REPLACE) || !value))
		return prolly_throw_errno(error, ENODATA, "%s", name);
	changed = prolly_xattrs_with(attrs.xattrs, name, value);
	if (changed && g_bytes_get_size(changed) > TOTAL_MAX)
		return prolly_throw_errno(error, ENOSPC, "attributes of one file");
	file = pfs_table_dup_file(&mount->table, inode);
	pfs_scope_touch(inode->scope);
	return pfs_attrs_change(mount, inode, file,
				&(const ProllyAttrs){.has = PROLLY_ATTR_XATTRS, .xattrs = changed},
				-1, error);
}

static void change_and_reply(fuse_req_t req, fuse_ino_t ino, const char *name, GBytes *value,
			     int flags)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *inode = pfs_table_find(&mount->table, ino);
	g_autoptr(GError) error = NULL;
	int failure = check_name(name);

	if (!inode)
		fuse_reply_err(req, ESTALE);
	else if (failure)
		fuse_reply_err(req, failure);
	else if (g_str_has_prefix(name, OWN) || pfs_kind_is_virtual(inode->kind))
		fuse_reply_err(req, EPERM);
	else if (strlen(name) > NAME_MAX_LEN)
		fuse_reply_err(req, ERANGE);
	else if (change_xattr(mount, inode, name, value, flags, &error))
		fuse_reply_err(req, 0);
	else
		pfs_reply_error(req, "setxattr", error);
}

void pfs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		     size_t size, int flags)
{
	g_autoptr(GBytes) bytes = g_bytes_new(value, size);

	change_and_reply(req, ino, name, bytes, flags);
}

void pfs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	change_and_reply(req, ino, name, NULL, 0);
}
