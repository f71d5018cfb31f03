/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops-conflicts: .prollyfs/conflicts, the keys that unfinished merges wait for, as files.
 *
 *     conflicts/BRANCH/base     what the two sides had in common
 *     conflicts/BRANCH/ours     the branch's
 *     conflicts/BRANCH/theirs   what is merged into it
 *
 * Each is a directory like a commit's, read-only, with the keys in conflict and no others. Only
 * branches that wait have one; a branch's own .prollyfs has the three at once. A '/' in a branch's
 * name is a level, as elsewhere.
 *
 * What is shown shrinks as conflicts are resolved. So the kernel may not remember which directory a
 * side is: every look-up finds the scope of what waits now. Below it nothing ever changes, and is
 * cached without limit; who stays in a directory keeps seeing what waited when they came.
 */
#include "fs-private.h"

#include <string.h>

static const char *const SIDES[PROLLY_SIDE_OF_N] = {
	[PROLLY_SIDE_OF_BASE] = "base",
	[PROLLY_SIDE_OF_OURS] = "ours",
	[PROLLY_SIDE_OF_THEIRS] = "theirs",
};

static char *full_path(const PfsInode *dir, const char *name)
{
	return dir->path ? g_strconcat(dir->path, "/", name, NULL) : g_strdup(name);
}

/* (transfer full) What BRANCH waits for; NULL: nothing. */
static bool load_waiting(PfsMount *mount, ProllyBranch *branch, ProllyUnfinished **out_unfinished,
			 GError **error)
{
	if (!prolly_unfinished_load(mount->repo, branch, out_unfinished, error))
		return false;
	if (*out_unfinished && (*out_unfinished)->is_staged)
		g_clear_pointer(out_unfinished, prolly_unfinished_free);
	return true;
}

/* ---- The sides of a branch --------------------------------------------------------------- */

/* (transfer full) The branch whose sides are in DIR; NULL: it is gone. */
static bool find_branch(PfsMount *mount, const PfsInode *dir, ProllyBranch **out_branch,
			GError **error)
{
	if (dir->path)
		return prolly_branch_lookup(mount->repo, dir->path, out_branch, error);
	*out_branch = prolly_branch_ref(dir->scope->branch);
	return true;
}

static bool load_sides(PfsMount *mount, const PfsInode *dir, ProllyBranch **out_branch,
		       ProllyUnfinished **out_unfinished, GError **error)
{
	return find_branch(mount, dir, out_branch, error) &&
	       (!*out_branch || load_waiting(mount, *out_branch, out_unfinished, error));
}

static bool find_side(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
		      bool *out_found_it, GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	ProllySideOf side = 0;
	PfsScope *scope;

	while (side < PROLLY_SIDE_OF_N && strcmp(SIDES[side], name) != 0)
		side++;
	if (side == PROLLY_SIDE_OF_N)
		return true;
	if (!load_sides(mount, dir, &branch, &unfinished, error))
		return false;
	if (!unfinished)
		return true;
	*out_found_it = true;
	scope = pfs_scope_get_side(mount, branch, unfinished, side, dir->scope);
	return pfs_found_scope(mount, scope, out_found, error);
}

static bool list_sides(PfsMount *mount, PfsInode *dir, GPtrArray *names, GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(ProllyUnfinished) unfinished = NULL;

	if (!load_sides(mount, dir, &branch, &unfinished, error))
		return false;
	for (ProllySideOf side = 0; unfinished && side < PROLLY_SIDE_OF_N; side++)
		g_ptr_array_add(names, g_strconcat(SIDES[side], "/", NULL));
	return true;
}

/* ---- Branches ---------------------------------------------------------------------------- */

/* Names of branches that wait, below the level DIR, cut at the next '/'; all end with one. */
static bool list_level(PfsMount *mount, const char *path, GPtrArray *names, GError **error)
{
	g_autofree char *prefix = path ? g_strconcat(path, "/", NULL) : g_strdup("");
	g_autoptr(GPtrArray) all = NULL;

	if (!prolly_unfinished_list(mount->repo, &all, error))
		return false;
	for (guint i = 0; i < all->len; i++) {
		const char *name = all->pdata[i];
		g_autofree char *entry = NULL;

		if (!g_str_has_prefix(name, prefix))
			continue;
		name += strlen(prefix);
		entry = g_strdup_printf("%.*s/", (int)strcspn(name, "/"), name);
		if (!names->len || strcmp(names->pdata[names->len - 1], entry) != 0)
			g_ptr_array_add(names, g_steal_pointer(&entry));
	}
	return true;
}

static bool is_level(PfsMount *mount, const char *path, bool *out_is, GError **error)
{
	g_autoptr(GPtrArray) below = g_ptr_array_new_with_free_func(g_free);

	if (!list_level(mount, path, below, error))
		return false;
	*out_is = below->len > 0;
	return true;
}

/* A branch that waits, or a level above one. */
static bool find_branch_or_level(PfsMount *mount, PfsInode *dir, const char *name,
				 PfsFound *out_found, bool *out_found_it, GError **error)
{
	g_autofree char *full = full_path(dir, name);
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	bool has_below = false;

	if (!prolly_branch_lookup(mount->repo, full, &branch, error))
		return false;
	if (branch ? !load_waiting(mount, branch, &unfinished, error)
		   : !is_level(mount, full, &has_below, error))
		return false;
	if (!unfinished && !has_below)
		return true;
	*out_found_it = true;
	out_found->kind = unfinished ? PFS_KIND_SIDES : PFS_KIND_CONFLICTS;
	out_found->scope = dir->scope;
	out_found->path = g_steal_pointer(&full);
	pfs_stat_virtual(mount, out_found->kind, pfs_virtual_ino(dir->ino, name), &out_found->attr);
	return true;
}

/* ---- Both -------------------------------------------------------------------------------- */

bool pfs_conflicts_find(PfsMount *mount, PfsInode *dir, const char *name, PfsFound *out_found,
			bool *out_found_it, GError **error)
{
	if (dir->kind == PFS_KIND_SIDES)
		return find_side(mount, dir, name, out_found, out_found_it, error);
	return find_branch_or_level(mount, dir, name, out_found, out_found_it, error);
}

bool pfs_conflicts_list(PfsMount *mount, PfsInode *dir, GPtrArray **out_names, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	if (dir->kind == PFS_KIND_SIDES ? !list_sides(mount, dir, names, error)
					: !list_level(mount, dir->path, names, error))
		return false;
	*out_names = g_steal_pointer(&names);
	return true;
}
