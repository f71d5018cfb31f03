/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The git repository's own garbage: what stays is packed into one pack, the rest goes.
 *
 * The files in which objects are, loose ones and packs, are listed before anything is decided, and
 * only what was listed is removed; whatever comes meanwhile is in files of its own. Order:
 *
 *   1. a pack of all objects that are reached is written, and one for each old pack of those of its
 *      objects that only stay because they are young, with the old one's time; all is synced
 *   2. with publications held up, what they have added since is found (PROLLY_GC_LATE)
 *   3. old packs go whose objects are in a new one or in no set; so do loose objects
 *
 * A crash leaves an object in one place at least. Publications write all objects of a commit anew
 * that its first parent has not, so none relies on one that goes here. A git process that adds
 * objects meanwhile is protected as git gc does it: by their age.
 *
 * What a process left that was killed, or could not remove it, goes when it is as old as what may go,
 * and an hour: somebody may be writing it.
 *
 * libgit2 keeps packs open that are no more. Its object database is replaced by a new one, which
 * those who use the old one do not notice, so that their space comes back.
 */
#include "version/gc-private.h"

#include <git2/sys/repository.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include "base/sync.h"

typedef struct {
	git_oid oid;
	int64_t time;
} LooseObject;

typedef struct {
	char *path; /* without ".pack" */
	int64_t time;
	bool is_kept; /* has a .keep file */
	GArray *oids; /* of git_oid */
} Pack;

struct ProllyGcPacks {
	char *objects; /* directory; NULL: in memory */
	GArray *loose; /* of LooseObject */
	GPtrArray *packs;
	git_repository *repo; /* its own; NULL: in memory */
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_packbuilder, git_packbuilder_free)

/* ---- Listing ----------------------------------------------------------------------------- */

static void free_pack(gpointer data)
{
	Pack *pack = data;

	g_array_unref(pack->oids);
	g_free(pack->path);
	g_free(pack);
}

void prolly_gc_packs_free(ProllyGcPacks *packs)
{
	if (!packs)
		return;
	g_free(packs->objects);
	g_array_unref(packs->loose);
	g_ptr_array_unref(packs->packs);
	git_repository_free(packs->repo);
	g_free(packs);
}

static void list_fanout(ProllyGcPacks *packs, unsigned fanout)
{
	g_autofree char *path = g_strdup_printf("%s/%02x", packs->objects, fanout);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		char hex[GIT_OID_HEXSZ + 1];
		LooseObject object;
		struct stat st;

		if (strlen(name) != GIT_OID_HEXSZ - 2 || stat(file, &st) < 0)
			continue;
		g_snprintf(hex, sizeof(hex), "%02x%s", fanout, name);
		if (git_oid_fromstr(&object.oid, hex) < 0)
			continue;
		object.time = st.st_mtime;
		g_array_append_val(packs->loose, object);
	}
}

static int collect_oid(const git_oid *oid, void *oids)
{
	g_array_append_vals(oids, oid, 1);
	return 0;
}

static int collect_object(const git_oid *oid, void *loose)
{
	LooseObject object = {.oid = *oid, .time = G_MAXINT64 - 1};

	g_array_append_val((GArray *)loose, object);
	return 0;
}

/* What is in memory has no time; it counts as new. */
static void list_memory(ProllyRepoBody *body, ProllyGcPacks *packs)
{
	g_mutex_lock(&body->git_lock);
	git_odb_foreach(body->git->odb, collect_object, packs->loose);
	g_mutex_unlock(&body->git_lock);
}

/* Git may be packing anew: what is not listed is not touched. */
static bool has_gone(const Pack *pack)
{
	g_autofree char *path = g_strconcat(pack->path, ".pack", NULL);

	return !g_file_test(path, G_FILE_TEST_EXISTS);
}

static bool list_pack(ProllyGcPacks *packs, const char *index, GError **error)
{
	Pack *pack = g_new0(Pack, 1);
	git_odb_backend *backend = NULL;
	g_autofree char *keep = NULL;
	struct stat st;
	int result;

	g_ptr_array_add(packs->packs, pack);
	pack->oids = g_array_new(FALSE, FALSE, sizeof(git_oid));
	pack->path = g_strndup(index, strlen(index) - strlen(".idx"));
	keep = g_strconcat(pack->path, ".keep", NULL);
	pack->is_kept = g_file_test(keep, G_FILE_TEST_EXISTS);
	if (stat(index, &st) == 0)
		pack->time = st.st_mtime;
	result = git_odb_backend_one_pack(&backend, index);
	if (result == 0)
		result = backend->foreach (backend, collect_oid, pack->oids);
	if (backend)
		backend->free(backend);
	if (result < 0 && has_gone(pack)) {
		g_ptr_array_set_size(packs->packs, (int)packs->packs->len - 1);
		return true;
	}
	return result == 0 || prolly_throw_git(error, result, "read %s", index);
}

static bool list_packs(ProllyGcPacks *packs, GError **error)
{
	g_autofree char *path = g_build_filename(packs->objects, "pack", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *index = g_build_filename(path, name, NULL);

		if (g_str_has_suffix(name, ".idx") && !list_pack(packs, index, error))
			return false;
	}
	return true;
}

bool prolly_gc_packs_list(ProllyGc *gc, ProllyGcPacks **out_packs, GError **error)
{
	g_autoptr(ProllyGcPacks) packs = g_new0(ProllyGcPacks, 1);
	const char *dir = gc->body->git->dir;
	int result;

	packs->loose = g_array_new(FALSE, FALSE, sizeof(LooseObject));
	packs->packs = g_ptr_array_new_with_free_func(free_pack);
	if (!dir) {
		list_memory(gc->body, packs);
		*out_packs = g_steal_pointer(&packs);
		return true;
	}
	packs->objects = g_build_filename(dir, "objects", NULL);
	for (unsigned fanout = 0; fanout < 256; fanout++)
		list_fanout(packs, fanout);
	if (!list_packs(packs, error))
		return false;
	result = prolly_git_open_repository(&packs->repo, dir);
	if (result < 0)
		return prolly_throw_git(error, result, "open %s", dir);
	*out_packs = g_steal_pointer(&packs);
	return true;
}

/* ---- What is too young to go ------------------------------------------------------------- */

bool prolly_gc_packs_keep_young(ProllyGc *gc, ProllyGcPacks *packs, GError **error)
{
	gc->reason = PROLLY_GC_YOUNG;
	for (guint i = 0; i < packs->loose->len; i++) {
		const LooseObject *object = &g_array_index(packs->loose, LooseObject, i);

		if (object->time >= gc->prune_before)
			prolly_gc_note_object(gc, &object->oid);
	}
	for (guint i = 0; i < packs->packs->len; i++) {
		const Pack *pack = g_ptr_array_index(packs->packs, i);

		for (guint j = 0; j < pack->oids->len; j++) {
			if (pack->is_kept || pack->time >= gc->prune_before)
				prolly_gc_note_object(gc, &g_array_index(pack->oids, git_oid, j));
		}
	}
	return prolly_gc_walk_commits(gc, error) && prolly_gc_mark(gc, error);
}

/* ---- Writing packs ----------------------------------------------------------------------- */

typedef struct {
	ProllyGc *gc;
	GError *error;
} Packing;

static int tell_packing(int stage, uint32_t current, uint32_t total, void *data)
{
	Packing *packing = data;

	if (packing->error)
		return -1;
	return prolly_gc_tell(packing->gc, PROLLY_GC_PACKING, current, total, &packing->error) ? 0
											       : -1;
}

/* Writes a pack of OIDS; *OUT_PATH (transfer full), without ".pack". */
static bool write_pack(ProllyGc *gc, ProllyGcPacks *packs, const GPtrArray *oids, char **out_path,
		       GError **error)
{
	g_autoptr(git_packbuilder) builder = NULL;
	Packing packing = {.gc = gc};
	int result = git_packbuilder_new(&builder, packs->repo);

	if (result == 0) {
		git_packbuilder_set_threads(builder, 1);
		git_packbuilder_set_callbacks(builder, tell_packing, &packing);
	}
	for (guint i = 0; result == 0 && i < oids->len; i++)
		result = git_packbuilder_insert(builder, g_ptr_array_index(oids, i), NULL);
	if (result == 0)
		result = git_packbuilder_write(builder, NULL, 0, NULL, NULL);
	if (packing.error) {
		g_propagate_error(error, packing.error);
		return false;
	}
	if (result < 0)
		return prolly_throw_git(error, result, "pack %s", packs->objects);
	*out_path =
		g_strdup_printf("%s/pack/pack-%s", packs->objects, git_packbuilder_name(builder));
	return true;
}

/* Those of PACK that are kept for REASON. (transfer container) */
static GPtrArray *select_oids(const ProllyGc *gc, const Pack *pack, ProllyGcReason reason)
{
	GPtrArray *selected = g_ptr_array_new();

	for (guint i = 0; i < pack->oids->len; i++) {
		git_oid *oid = &g_array_index(pack->oids, git_oid, i);

		if (prolly_oid_set_has(gc->kept[reason], oid))
			g_ptr_array_add(selected, oid);
	}
	return selected;
}

/* Has PACK what cannot be read, and so not be packed anew? */
static bool has_damaged(const ProllyGc *gc, const Pack *pack)
{
	for (guint i = 0; i < pack->oids->len; i++) {
		if (prolly_oid_set_has(gc->damaged, &g_array_index(pack->oids, git_oid, i)))
			return true;
	}
	return false;
}

/* The young ones of PACK get a pack of their own, of the same age, if it has others. */
static bool save_young(ProllyGc *gc, ProllyGcPacks *packs, Pack *pack, GPtrArray *written,
		       GError **error)
{
	g_autoptr(GPtrArray) young = select_oids(gc, pack, PROLLY_GC_YOUNG);
	struct utimbuf times = {.actime = pack->time, .modtime = pack->time};
	g_autofree char *path = NULL;
	static const char *const suffixes[] = {".pack", ".idx"};

	if (pack->is_kept)
		return true;
	if (has_damaged(gc, pack) || (young->len > 0 && young->len == pack->oids->len)) {
		g_ptr_array_add(written, g_strdup(pack->path));
		return true;
	}
	if (young->len == 0)
		return true;
	if (!write_pack(gc, packs, young, &path, error))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *file = g_strconcat(path, suffixes[i], NULL);

		(void)utime(file, &times);
	}
	g_ptr_array_add(written, g_steal_pointer(&path));
	return true;
}

/* Does OID, which nothing reaches, stay in the file that it is in? */
static bool is_left(const ProllyGc *gc, const git_oid *oid)
{
	return prolly_oid_set_has(gc->kept[PROLLY_GC_YOUNG], oid) ||
	       prolly_oid_set_has(gc->damaged, oid);
}

/* Is there anything to gain? */
static bool is_tidy(const ProllyGc *gc, const ProllyGcPacks *packs)
{
	guint n = 0;

	for (guint i = 0; i < packs->loose->len; i++) {
		const LooseObject *object = &g_array_index(packs->loose, LooseObject, i);

		if (!is_left(gc, &object->oid))
			return false;
	}
	for (guint i = 0; i < packs->packs->len; i++) {
		const Pack *pack = g_ptr_array_index(packs->packs, i);
		g_autoptr(GPtrArray) young = select_oids(gc, pack, PROLLY_GC_YOUNG);
		g_autoptr(GPtrArray) reached = select_oids(gc, pack, PROLLY_GC_REACHED);

		if (pack->is_kept || young->len == pack->oids->len || has_damaged(gc, pack))
			continue;
		if (reached->len < pack->oids->len)
			return false;
		n++;
	}
	return n <= 1;
}

/* 1. WRITTEN: the packs that are to stay. */
static bool write_packs(ProllyGc *gc, ProllyGcPacks *packs, GPtrArray *written, GError **error)
{
	g_autoptr(GPtrArray) reached = g_ptr_array_new();
	char *path = NULL;
	GHashTableIter iter;
	gpointer oid;

	g_hash_table_iter_init(&iter, gc->kept[PROLLY_GC_REACHED]);
	while (g_hash_table_iter_next(&iter, &oid, NULL))
		g_ptr_array_add(reached, oid);
	if (!write_pack(gc, packs, reached, &path, error))
		return false;
	g_ptr_array_add(written, path);
	for (guint i = 0; i < packs->packs->len; i++) {
		if (!save_young(gc, packs, g_ptr_array_index(packs->packs, i), written, error))
			return false;
	}
	return prolly_sync_tree(packs->objects, error);
}

/* ---- Removing ---------------------------------------------------------------------------- */

static void remove_file(const char *path, const char *suffix)
{
	g_autofree char *file = g_strconcat(path, suffix, NULL);

	(void)unlink(file);
}

/* The pack goes last: one without an index is nobody's, and swept by the next collection. */
static void remove_pack(const Pack *pack)
{
	static const char *const suffixes[] = {".bitmap", ".rev", ".idx", ".pack"};

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
		remove_file(pack->path, suffixes[i]);
}

static bool is_superseded(const ProllyGc *gc, const Pack *pack, GPtrArray *written)
{
	if (pack->is_kept ||
	    g_ptr_array_find_with_equal_func(written, pack->path, g_str_equal, NULL))
		return false;
	for (guint i = 0; i < pack->oids->len; i++) {
		const git_oid *oid = &g_array_index(pack->oids, git_oid, i);

		if (prolly_oid_set_has(gc->kept[PROLLY_GC_LATE], oid))
			return false;
	}
	return true;
}

static void remove_file_of(const ProllyGcPacks *packs, const git_oid *oid)
{
	char hex[GIT_OID_HEXSZ + 1];
	g_autofree char *path = NULL;

	git_oid_tostr(hex, sizeof(hex), oid);
	path = g_strdup_printf("%s/%.2s/%s", packs->objects, hex, hex + 2);
	(void)unlink(path);
}

/* Those that are packed now, and those that nobody wants. */
static void remove_loose(const ProllyGc *gc, const ProllyGcPacks *packs)
{
	for (guint i = 0; i < packs->loose->len; i++) {
		const git_oid *oid = &g_array_index(packs->loose, LooseObject, i).oid;

		if (is_left(gc, oid) || prolly_oid_set_has(gc->kept[PROLLY_GC_LATE], oid))
			continue;
		if (packs->objects)
			remove_file_of(packs, oid);
		else if (!prolly_gc_is_kept(gc, oid))
			prolly_odb_memory_remove(gc->body->git->memory, oid);
	}
}

/* Files of git's that say where objects are, or which commits there are: the commit-graph is made
 * again, the others by git. */
static void remove_indices(const ProllyGcPacks *packs)
{
	static const char *const names[] = {"/info/commit-graph",
					    "/info/commit-graphs/commit-graph-chain",
					    "/pack/multi-pack-index", "/info/packs"};

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		remove_file(packs->objects, names[i]);
}

/* Under git_lock. */
static bool replace_odb(ProllyGit *git, const char *objects, GError **error)
{
	git_odb *odb = NULL;
	int result = prolly_git_open_objects(&odb, objects);

	if (result == 0)
		result = git_repository_set_odb(git->repo, odb);
	if (result < 0) {
		git_odb_free(odb);
		return prolly_throw_git(error, result, "open %s", objects);
	}
	git_odb_free(git->odb);
	git->odb = odb;
	return true;
}

/* 2 and 3, under publish_lock. */
static bool remove_rest(ProllyGc *gc, ProllyGcPacks *packs, GPtrArray *written, GError **error)
{
	bool ok = true;

	gc->reason = PROLLY_GC_LATE;
	if (!prolly_gc_note_references(gc, true, error) || !prolly_gc_walk_commits(gc, error))
		return false;
	g_mutex_lock(&gc->body->git_lock);
	for (guint i = 0; i < packs->packs->len; i++) {
		const Pack *pack = g_ptr_array_index(packs->packs, i);

		if (is_superseded(gc, pack, written))
			remove_pack(pack);
	}
	remove_loose(gc, packs);
	g_queue_clear(&gc->body->git->recent);
	g_clear_pointer(&gc->body->git->namespaces, g_hash_table_unref);
	if (packs->objects) {
		remove_indices(packs);
		ok = replace_odb(gc->body->git, packs->objects, error);
	}
	g_mutex_unlock(&gc->body->git_lock);
	return ok;
}

/* A temporary one, of git's, libgit2's or (of the commit-graph) ours; or a pack without an index, for
 * which nobody looks. */
static bool is_leftover(const char *directory, const char *name)
{
	g_autofree char *index = NULL;

	if (!g_str_has_suffix(name, ".pack"))
		return g_str_has_prefix(name, "tmp_") || g_str_has_prefix(name, "pack_git2_") ||
		       g_str_has_prefix(name, "commit-graph.");
	index = g_strdup_printf("%s/%.*s.idx", directory, (int)strlen(name) - 5, name);
	return !g_file_test(index, G_FILE_TEST_EXISTS);
}

static void remove_leftovers_in(const char *directory, int64_t before)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(directory, name, NULL);
		struct stat st;

		if (is_leftover(directory, name) && lstat(file, &st) == 0 && S_ISREG(st.st_mode) &&
		    st.st_mtime < before)
			(void)unlink(file);
	}
}

static void remove_leftovers(const ProllyGc *gc, const ProllyGcPacks *packs)
{
	static const char *const names[] = {"", "pack", "info"};
	int64_t hour_ago = g_get_real_time() / G_USEC_PER_SEC - 3600;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(packs->objects, names[i], NULL);

		remove_leftovers_in(path, MIN(gc->prune_before, hour_ago));
	}
}

bool prolly_gc_packs_rewrite(ProllyGc *gc, ProllyGcPacks *packs, GError **error)
{
	g_autoptr(GPtrArray) written = g_ptr_array_new_with_free_func(g_free);
	bool ok;

	if (gc->keeps_git)
		return true;
	if (packs->objects)
		remove_leftovers(gc, packs);
	if (is_tidy(gc, packs))
		return true;
	if (packs->repo && !write_packs(gc, packs, written, error))
		return false;
	if (!prolly_gc_tell(gc, PROLLY_GC_PACKING, 1, 1, error))
		return false;
	g_mutex_lock(&gc->body->publish_lock);
	ok = remove_rest(gc, packs, written, error);
	g_mutex_unlock(&gc->body->publish_lock);
	return ok && (!packs->objects || prolly_git_write_commit_graph(gc->body->git->dir, error));
}

/* ---- Figures ----------------------------------------------------------------------------- */

static uint64_t measure_directory(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	uint64_t bytes = 0;
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		struct stat st;

		if (lstat(file, &st) < 0)
			continue;
		bytes += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode))
			bytes += measure_directory(file);
	}
	return bytes;
}

uint64_t prolly_gc_measure_git(ProllyGc *gc)
{
	return gc->body->git->dir ? measure_directory(gc->body->git->dir) : 0;
}
