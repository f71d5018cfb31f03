/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ops-attr: attributes asked for and set; symbolic links' targets; the filesystem's figures.
 *
 * The kernel checks who may (default_permissions), and says when a change of owner or content must
 * take setuid and setgid away (it knows CAP_FSETID, we do not): one of length or owner has a flag
 * then, and before a write, or whatever else changes contents, it sets nothing at all. Kernels that
 * do not know the flag (handshake.c) send the mode. Only O_TRUNC is done without (ops-file.c). A
 * file's x bit for its owner is versioned, as its kind; the rest of the mode is local.
 */

#include "fs-private.h"

#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#define NANOSECONDS INT64_C(1000000000)
#define BLOCK       4096

static void reply_attr(fuse_req_t req, PfsInode *inode)
{
	PfsMount *mount = pfs_mount(req);
	g_autoptr(GError) error = NULL;
	struct stat attr;

	if (!pfs_stat_inode(mount, inode, &attr, &error)) {
		pfs_reply_error(req, "getattr", error);
		return;
	}
	pfs_table_told(&mount->table, inode, &attr);
	fuse_reply_attr(req, &attr, pfs_attr_timeout(inode->kind));
}

void pfs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	PfsInode *inode = pfs_table_find(&pfs_mount(req)->table, ino);

	if (inode)
		reply_attr(req, inode);
	else
		fuse_reply_err(req, ESTALE);
}

/* ---- Local attributes -------------------------------------------------------------------- */

bool pfs_attrs_load(PfsMount *mount, PfsInode *inode, ProllyAttrs *out_attrs, bool *out_found,
		    GError **error)
{
	g_autoptr(ProllyFile) file = pfs_table_dup_file(&mount->table, inode);
	g_auto(PfsPlace) where = {0};
	g_auto(ProllyEntry) entry = {0};
	ProllyPlace place;
	bool has_place;

	*out_found = true;
	if (file)
		return prolly_file_get_attrs(file, out_attrs, error);
	if (!pfs_find_place(mount, inode, &where, &has_place, error))
		return false;
	if (!has_place) {
		g_mutex_lock(&mount->table.lock);
		if (inode->own_xattrs)
			out_attrs->xattrs = g_bytes_ref(inode->own_xattrs);
		g_mutex_unlock(&mount->table.lock);
		return true;
	}
	place = pfs_place_get(&where);
	if (inode->kind != PFS_KIND_FILE)
		return prolly_view_get_directory(inode->scope->view, &place, out_attrs, out_found,
						 NULL, error);
	if (!prolly_view_get(inode->scope->view, &place, true, &entry, out_found, error))
		return false;
	*out_attrs = entry.attrs;
	memset(&entry.attrs, 0, sizeof entry.attrs);
	return true;
}

bool pfs_attrs_change(PfsMount *mount, PfsInode *inode, ProllyFile *file, const ProllyAttrs *attrs,
		      int kind, GError **error)
{
	g_auto(PfsPlace) where = {0};
	ProllyPlace place;
	bool has_place;

	if (file)
		return prolly_file_set_attrs(file, attrs, kind, error);
	if (!pfs_find_place(mount, inode, &where, &has_place, error))
		return false;
	if (!has_place) {
		pfs_orphan_change(mount, inode, attrs);
		return true;
	}
	place = pfs_place_get(&where);
	return prolly_edit_set_attrs(mount->repo, inode->scope->branch, &place,
				     inode->kind != PFS_KIND_FILE, attrs, kind, NULL, error);
}

/* ---- Setting ----------------------------------------------------------------------------- */

static int64_t from_timespec(struct timespec time)
{
	return time.tv_sec * NANOSECONDS + time.tv_nsec;
}

static ProllyAttrs wanted_attrs(const struct stat *attr, int to_set)
{
	ProllyAttrs attrs = {0};
	int64_t now = pfs_now();

	if (to_set & FUSE_SET_ATTR_MODE) {
		attrs.has |= PROLLY_ATTR_MODE;
		attrs.mode = attr->st_mode & 07777;
	}
	if (to_set & FUSE_SET_ATTR_UID) {
		attrs.has |= PROLLY_ATTR_UID;
		attrs.uid = attr->st_uid;
	}
	if (to_set & FUSE_SET_ATTR_GID) {
		attrs.has |= PROLLY_ATTR_GID;
		attrs.gid = attr->st_gid;
	}
	if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) {
		attrs.has |= PROLLY_ATTR_ATIME;
		attrs.atime = to_set & FUSE_SET_ATTR_ATIME_NOW ? now : from_timespec(attr->st_atim);
	}
	if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
		attrs.has |= PROLLY_ATTR_MTIME;
		attrs.mtime = to_set & FUSE_SET_ATTR_MTIME_NOW ? now : from_timespec(attr->st_mtim);
	}
	return attrs;
}

void pfs_attrs_drop_privileges(mode_t mode, ProllyAttrs *attrs)
{
	mode_t dropped = S_ISUID;

	if (mode & S_IXGRP)
		dropped |= S_ISGID; /* without x it is another thing: mandatory locks */
	if (!(mode & dropped))
		return;
	attrs->has |= PROLLY_ATTR_MODE;
	attrs->mode = mode & 07777 & ~dropped;
}

/* The kind that INODE has with mode MODE, or -1: the one it has. */
static int wanted_kind(const PfsInode *inode, mode_t mode)
{
	ProllyKind kind = mode & S_IXUSR ? PROLLY_KIND_EXECUTABLE : PROLLY_KIND_FILE;

	if (inode->kind != PFS_KIND_FILE || inode->value_kind == kind ||
	    (inode->value_kind != PROLLY_KIND_FILE && inode->value_kind != PROLLY_KIND_EXECUTABLE))
		return -1;
	return (int)kind;
}

/* Is the kernel's word that setuid and setgid must go in TO_SET? */
static bool drops_privileges(const PfsInode *inode, int to_set)
{
	return inode->kind == PFS_KIND_FILE && !(to_set & FUSE_SET_ATTR_MODE) &&
	       (!to_set || to_set & FUSE_SET_ATTR_KILL_SUID);
}

static bool set_length(PfsMount *mount, PfsInode *inode, ProllyFile *open, uint64_t length,
		       GError **error)
{
	g_autoptr(ProllyFile) file = open ? prolly_file_ref(open) : NULL;

	pfs_table_touch(&mount->table, inode);
	if (!file && !pfs_file_open(mount, inode, &file, error))
		return false;
	/* By path, nobody's close stages it. */
	return prolly_file_truncate(file, length, error) &&
	       (open || prolly_file_flush(file, error));
}

static bool set_attrs(PfsMount *mount, PfsInode *inode, const struct stat *attr, int to_set,
		      GError **error)
{
	g_autoptr(ProllyFile) file = pfs_table_dup_file(&mount->table, inode);
	ProllyAttrs attrs = wanted_attrs(attr, to_set);
	int kind = to_set & FUSE_SET_ATTR_MODE ? wanted_kind(inode, attr->st_mode) : -1;

	if (!inode->scope->branch)
		return prolly_throw(error, PROLLY_ERROR_READ_ONLY, "commits do not change");
	if ((to_set & FUSE_SET_ATTR_SIZE) &&
	    !set_length(mount, inode, file, (uint64_t)attr->st_size, error))
		return false;
	if (drops_privileges(inode, to_set))
		pfs_attrs_drop_privileges(inode->mode, &attrs);
	if (attrs.has && !pfs_attrs_change(mount, inode, file, &attrs, kind, error))
		return false;
	if (kind >= 0)
		inode->value_kind = (ProllyKind)kind;
	pfs_scope_touch(inode->scope);
	return true;
}

void pfs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		    struct fuse_file_info *fi)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *inode = pfs_table_find(&mount->table, ino);
	g_autoptr(GError) error = NULL;

	if (!inode) {
		fuse_reply_err(req, ESTALE);
	} else if (inode->kind == PFS_KIND_CONTROL && (to_set & FUSE_SET_ATTR_SIZE)) {
		reply_attr(req, inode); /* a shell's '>' */
	} else if (pfs_kind_is_virtual(inode->kind)) {
		fuse_reply_err(req, EPERM);
	} else if (set_attrs(mount, inode, attr, to_set, &error)) {
		reply_attr(req, inode);
	} else {
		pfs_reply_error(req, "setattr", error);
	}
}

/* ---- Symbolic links ---------------------------------------------------------------------- */

static bool read_target(PfsMount *mount, PfsInode *inode, char *target, size_t size, GError **error)
{
	g_autoptr(ProllyFile) file = pfs_table_dup_file(&mount->table, inode);
	g_auto(PfsPlace) where = {0};
	g_auto(ProllyEntry) entry = {0};
	ProllyPlace place;
	bool found = false;
	size_t len;

	if (file) { /* of a link that was replaced since it was found */
		if (!prolly_file_read(file, 0, target, size - 1, &len, error))
			return false;
		target[len] = '\0';
		return true;
	}
	if (!pfs_table_get_place(&mount->table, inode, &where))
		return prolly_throw_errno(error, ESTALE, "readlink");
	place = pfs_place_get(&where);
	if (!prolly_view_get(inode->scope->view, &place, false, &entry, &found, error))
		return false;
	if (!found || entry.kind != PROLLY_KIND_SYMLINK)
		return prolly_throw_errno(error, ESTALE, "readlink");
	if (!prolly_view_read(inode->scope->view, &entry, 0, target, size - 1, &len, error))
		return false;
	target[len] = '\0';
	return true;
}

void pfs_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	PfsMount *mount = pfs_mount(req);
	PfsInode *inode = pfs_table_find(&mount->table, ino);
	g_autoptr(GError) error = NULL;
	char target[PATH_MAX];

	if (!inode)
		fuse_reply_err(req, ESTALE);
	else if (inode->kind == PFS_KIND_AT_LINK)
		pfs_op_readlink_revision(req, inode);
	else if (inode->kind != PFS_KIND_FILE)
		fuse_reply_err(req, EINVAL);
	else if (read_target(mount, inode, target, sizeof target, &error))
		fuse_reply_readlink(req, target);
	else
		pfs_reply_error(req, "readlink", error);
}

/* ---- The filesystem ---------------------------------------------------------------------- */

/* Of a store in memory: what the machine has. */
static void memory_figures(struct statvfs *out)
{
	struct sysinfo info;

	if (sysinfo(&info))
		return;
	out->f_bsize = out->f_frsize = BLOCK;
	out->f_blocks = (fsblkcnt_t)((uint64_t)info.totalram * info.mem_unit / BLOCK);
	out->f_bfree = out->f_bavail = (fsblkcnt_t)((uint64_t)info.freeram * info.mem_unit / BLOCK);
}

void pfs_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const char *path = prolly_repo_get_path(pfs_mount(req)->repo);
	struct statvfs figures;

	memset(&figures, 0, sizeof figures);
	if (!path || statvfs(path, &figures))
		memory_figures(&figures);
	/* Keys are not limited in number; programs that look at files want some free. */
	figures.f_files = figures.f_blocks;
	figures.f_ffree = figures.f_favail = figures.f_bavail;
	figures.f_namemax = PROLLY_NAME_MAX;
	fuse_reply_statfs(req, &figures);
}
