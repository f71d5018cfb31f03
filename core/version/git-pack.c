/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing: every commit leaves a few loose objects, each a file of its own; when there are many
 * they are written into one pack, as `git gc --auto` would, whose threshold and way of guessing
 * this is: ids are evenly spread, so one of 256 directories tells how many there are.
 *
 * Order. All loose objects go into the pack, reachable or not; the pack is synced; then their files
 * go. A crash at any point leaves each object in one place at least. Whoever reads an object that
 * was loose a moment ago finds the pack, since libgit2 looks for new packs before it gives up.
 *
 * Runs on the journal's thread with a repository object of its own, so it holds no lock.
 */
#include "version/repo-private.h"

#include <string.h>
#include <unistd.h>

#include "base/sync.h"

#define LOOSE_MAX  6700
#define FANOUT     256
#define SAMPLE_DIR "objects/17"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_packbuilder, git_packbuilder_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_odb, git_odb_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_repository, git_repository_free)

bool prolly_git_has_many_loose(const char *git_dir)
{
	g_autofree char *path = g_build_filename(git_dir, SAMPLE_DIR, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	unsigned n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n > LOOSE_MAX / FANOUT;
}

unsigned prolly_git_count_packs(const char *git_dir)
{
	g_autofree char *path = git_dir ? g_build_filename(git_dir, "objects/pack", NULL) : NULL;
	g_autoptr(GDir) dir = path ? g_dir_open(path, 0, NULL) : NULL;
	const char *name;
	unsigned n = 0, n_kept = 0;

	while (dir && (name = g_dir_read_name(dir))) {
		n += g_str_has_suffix(name, ".pack");
		n_kept += g_str_has_suffix(name, ".keep");
	}
	return n - MIN(n, n_kept);
}

static int collect_id(const git_oid *oid, void *ids)
{
	g_array_append_vals(ids, oid, 1);
	return 0;
}

/* (transfer full) The ids (git_oid) of all loose objects. */
static GArray *list_loose(const char *objects_dir, int *out_result)
{
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(git_oid));
	g_autoptr(git_odb) loose = NULL;
	git_odb_backend *backend = NULL;
	int result = git_odb_new(&loose);

	if (result == 0)
		result = git_odb_backend_loose(&backend, objects_dir, -1, 0, 0, 0);
	if (result == 0)
		result = git_odb_add_backend(loose, backend, 1);
	if (result == 0)
		result = git_odb_foreach(loose, collect_id, ids);
	*out_result = result;
	return ids;
}

static int write_pack(git_repository *repo, const GArray *ids)
{
	g_autoptr(git_packbuilder) builder = NULL;
	int result = git_packbuilder_new(&builder, repo);

	if (result == 0)
		git_packbuilder_set_threads(builder, 1);
	for (guint i = 0; result == 0 && i < ids->len; i++)
		result = git_packbuilder_insert(builder, &g_array_index(ids, git_oid, i), NULL);
	if (result == 0)
		result = git_packbuilder_write(builder, NULL, 0, NULL, NULL);
	return result;
}

static void remove_loose(const char *objects_dir, const GArray *ids)
{
	for (guint i = 0; i < ids->len; i++) {
		char hex[GIT_OID_HEXSZ + 1];
		g_autofree char *path = NULL;

		git_oid_tostr(hex, sizeof(hex), &g_array_index(ids, git_oid, i));
		path = g_strdup_printf("%s/%.2s/%s", objects_dir, hex, hex + 2);
		unlink(path);
	}
}

bool prolly_git_pack_loose(const char *git_dir, GError **error)
{
	g_autofree char *objects_dir = g_build_filename(git_dir, "objects", NULL);
	g_autoptr(git_repository) repo = NULL;
	g_autoptr(GArray) ids = NULL;
	int result = prolly_git_open_repository(&repo, git_dir);

	if (result == 0)
		ids = list_loose(objects_dir, &result);
	if (result == 0 && ids->len == 0)
		return true;
	if (result == 0)
		result = write_pack(repo, ids);
	if (result < 0)
		return prolly_throw_git(error, result, "pack %s", git_dir);
	if (!prolly_sync_tree(objects_dir, error))
		return false;
	remove_loose(objects_dir, ids);
	return prolly_git_write_commit_graph(git_dir, error);
}
