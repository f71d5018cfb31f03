/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ops-branch: branches as directories, in the mount's root and in levels of branch names.
 *
 * Branch feature/x is MNT/feature/x, and MNT/feature is a level: it is there while a branch is
 * below, so it is never cached by the kernel. mkdir makes a branch from the default branch's head,
 * mv renames one, rmdir deletes one that holds nothing: its working state is empty and all its
 * commits are on another branch. Nothing else can be made here (interface.md, section 1).
 *
 * A branch whose files were all deleted has those deletions staged, which prolly_branch_delete takes
 * for nothing: `rm -rf` drops a merged branch. That looks under its lock whether its commits are
 * elsewhere, since of two branches with the same ones, deleted at a time, one has to stay.
 */

#include "fs-private.h"

#include <string.h>

/* ---- Names ------------------------------------------------------------------------------- */

int64_t pfs_branches_changed_at(PfsMount *mount)
{
	g_mutex_lock(&mount->table.lock);
	int64_t time = mount->branches_changed;
	g_mutex_unlock(&mount->table.lock);
	return time;
}

void pfs_branches_touch(PfsMount *mount)
{
	int64_t now = pfs_now();

	g_mutex_lock(&mount->table.lock);
	mount->branches_changed = now;
	g_mutex_unlock(&mount->table.lock);
}

char *pfs_branch_full_name(const PfsInode *dir, const char *name)
{
	return dir->path ? g_strconcat(dir->path, "/", name, NULL) : g_strdup(name);
}

bool pfs_branch_level(PfsMount *mount, const char *prefix, GPtrArray **out_names, GError **error)
{
	g_autoptr(GPtrArray) branches = NULL;
	GPtrArray *names;
	size_t skip = prefix ? strlen(prefix) + 1 : 0;

	if (!(prefix ? prolly_branch_list_level(mount->repo, prefix, &branches, error)
		     : prolly_branch_list(mount->repo, &branches, error)))
		return false;
	names = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < branches->len; i++) {
		const char *name = branches->pdata[i];
		const char *slash;
		g_autofree char *entry = NULL;

		slash = strchr(name + skip, '/');
		entry = slash ? g_strndup(name + skip, (size_t)(slash - name) - skip + 1)
			      : g_strdup(name + skip);
		/* Names are sorted: those of a level are neighbours. */
		if (!names->len || strcmp(names->pdata[names->len - 1], entry))
			g_ptr_array_add(names, g_steal_pointer(&entry));
	}
	*out_names = names;
	return true;
}

/* ---- Look-ups ---------------------------------------------------------------------------- */

/* The directory of SCOPE's branch or commit. */
static bool find_top(PfsMount *mount, PfsScope *scope, PfsFound *out_found, GError **error)
{
	const ProllyPlace place = {.ns = ""};
	g_auto(ProllyAttrs) attrs = {0};
	bool exists;

	out_found->moves = g_atomic_int_get(&scope->moves);
	if (!prolly_view_get_directory(scope->view, &place, &attrs, &exists, NULL, error))
		return false;
	pfs_found_directory(mount, scope, &attrs, out_found);
	out_found->kind = PFS_KIND_TOP;
	return true;
}

bool pfs_found_scope(PfsMount *mount, PfsScope *scope, PfsFound *out_found, GError **error)
{
	out_found->held = scope;
	return find_top(mount, scope, out_found, error);
}

bool pfs_branches_find(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
		       bool *out_found_it, GError **error)
{
	g_autofree char *full = pfs_branch_full_name(dir, name);
	g_autoptr(ProllyBranch) branch = NULL;

	*out_found_it = false;
	if (dir->kind == PFS_KIND_ROOT && !strcmp(name, PFS_META_NAME))
		return pfs_meta_find(mount, dir, name, out_found, out_found_it, error);
	if (!prolly_branch_lookup(mount->repo, full, &branch, error))
		return false;
	if (branch) {
		*out_found_it = true;
		return pfs_found_scope(mount, pfs_scope_get_branch(mount, branch), out_found,
				       error);
	}
	if (!prolly_branch_is_level(mount->repo, full, out_found_it, error))
		return false;
	if (*out_found_it) {
		out_found->kind = PFS_KIND_LEVEL;
		out_found->path = g_steal_pointer(&full);
		pfs_stat_virtual(mount, PFS_KIND_LEVEL, pfs_virtual_ino(dir->ino, name),
				 &out_found->attr);
	}
	return true;
}

bool pfs_branches_list(PfsMount *mount, PfsInode *dir, GPtrArray **out_names, GError **error)
{
	return pfs_branch_level(mount, dir->path, out_names, error);
}

/* ---- Making, deleting, renaming ---------------------------------------------------------- */

static bool make_branch(PfsMount *mount, const char *name, GError **error)
{
	g_autoptr(ProllyBranch) from = NULL;
	g_autoptr(ProllyBranch) branch = NULL;
	const char *default_name = prolly_repo_get_default_branch(mount->repo);
	ProllyCommitId head;

	if (!prolly_branch_check_name(name, error) ||
	    !prolly_branch_lookup(mount->repo, default_name, &from, error))
		return false;
	if (!from)
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "branch %s is not there",
				    default_name);
	prolly_branch_get_head(from, &head);
	return prolly_branch_create(mount->repo, name, &head, from, &branch, error);
}

void pfs_branch_mkdir(fuse_req_t req, PfsInode *dir, const char *name)
{
	PfsMount *mount = pfs_mount(req);
	g_autofree char *full = pfs_branch_full_name(dir, name);
	g_autoptr(GError) error = NULL;
	PfsFound found = {0};
	bool found_it = false;
	bool made = make_branch(mount, full, &error) &&
		    pfs_branches_find(mount, dir, name, &found, &found_it, &error);

	pfs_gate_enter(mount);
	if (!made) {
		pfs_reply_error(req, "mkdir", error);
	} else {
		pfs_branches_touch(mount);
		if (found_it)
			pfs_reply_entry(req, dir, name, &found);
		else
			fuse_reply_err(req, ENOENT);
	}
	pfs_gate_leave(mount);
	pfs_found_clear(&mount->table, &found);
}

static bool is_empty(PfsMount *mount, ProllyBranch *branch, bool *out_empty, GError **error)
{
	g_autoptr(ProllyView) view = prolly_view_new_live(mount->repo, branch);
	g_autoptr(GPtrArray) namespaces = NULL;

	if (!prolly_view_list_namespaces(view, &namespaces, error))
		return false;
	*out_empty = !namespaces->len;
	return true;
}

static bool delete_branch(PfsMount *mount, const char *name, GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;
	bool empty, is_level;

	if (!prolly_branch_lookup(mount->repo, name, &branch, error))
		return false;
	if (!branch) {
		if (!prolly_branch_is_level(mount->repo, name, &is_level, error))
			return false;
		if (is_level)
			return prolly_throw(error, PROLLY_ERROR_NOT_EMPTY, "%s holds branches",
					    name);
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "branch %s is not there", name);
	}
	if (!strcmp(name, prolly_repo_get_default_branch(mount->repo)))
		return prolly_throw(error, PROLLY_ERROR_BUSY, "%s is the default branch", name);
	if (!is_empty(mount, branch, &empty, error))
		return false;
	if (!empty)
		return prolly_throw(error, PROLLY_ERROR_NOT_EMPTY, "branch %s has files", name);
	return prolly_branch_delete(mount->repo, branch, name, false, error);
}

void pfs_branch_rmdir(fuse_req_t req, PfsInode *dir, const char *name)
{
	PfsMount *mount = pfs_mount(req);
	g_autofree char *full = pfs_branch_full_name(dir, name);
	g_autoptr(GError) error = NULL;

	if (dir->kind == PFS_KIND_ROOT && !strcmp(name, PFS_META_NAME)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (!delete_branch(mount, full, &error)) {
		pfs_reply_error(req, "rmdir", error);
		return;
	}
	pfs_gate_enter(mount);
	pfs_table_unlink(&mount->table, dir, name);
	pfs_branches_touch(mount);
	pfs_gate_leave(mount);
	fuse_reply_err(req, 0);
}

static bool rename_branch(PfsMount *mount, const char *from, const char *to, GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;

	if (!prolly_branch_check_name(to, error) ||
	    !prolly_branch_lookup(mount->repo, from, &branch, error))
		return false;
	if (!branch) /* a level, or .prollyfs */
		return prolly_throw(error, PROLLY_ERROR_DENIED, "%s is no branch", from);
	return prolly_branch_rename(mount->repo, branch, from, to, error);
}

void pfs_branch_rename(fuse_req_t req, PfsInode *from, const char *from_name, PfsInode *to,
		       const char *to_name, unsigned flags)
{
	PfsMount *mount = pfs_mount(req);
	g_autofree char *from_full = pfs_branch_full_name(from, from_name);
	g_autofree char *to_full = pfs_branch_full_name(to, to_name);
	g_autoptr(GError) error = NULL;

	if (flags & PROLLY_RENAME_EXCHANGE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (!rename_branch(mount, from_full, to_full, &error)) {
		pfs_reply_error(req, "rename", error);
		return;
	}
	pfs_gate_enter(mount);
	pfs_table_rename(&mount->table, from, from_name, to, to_name);
	pfs_branches_touch(mount);
	pfs_gate_leave(mount);
	fuse_reply_err(req, 0);
}
