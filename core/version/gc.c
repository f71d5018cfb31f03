/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage collection under a live store: in what order, and why nothing is lost.
 *
 *   1. watch    from now on what is put stays, found there or not
 *   2. list     the census lists the nodes there are; only they can go
 *   3. capture  the roots, with everything below them, are marked (gc-roots.c)
 *   4. wait     until every change that was under way at 1 is done (guard.c)
 *   5. capture  again
 *   6. pack     the git repository without the objects that nothing reaches (gc-pack.c)
 *   7. wait, and capture once more
 *   8. sync     everything
 *   9. sweep    what is listed, not marked, and was not put since 1
 *  10. reclaim  gives the space back to the disk
 *
 * Why a node that a root refers to at any time stays. Call a change early if it was under way at 1
 * and late if it began after that.
 *
 *  G1  What early changes did is seen at 5: they are done, and what they made is reached from a
 *      root, or by nobody. So whatever they put or found before 1 is marked if it matters.
 *  G2  A late change refers to nodes of two sorts. Those it puts: they stay, by 1. Those it takes,
 *      with all below them, from a tree or value that it reads: that was reached from a root when it
 *      was read. The root was there at 3 or at 5, and all below it is marked; or it came after 3 and
 *      was gone before 5, or came after 5: then a change made it, and if that was an early one, it
 *      took effect before 5 and its making is reached from a holder or (G1) lost for good; if it was
 *      a late one, it is the same argument again, of an earlier change.
 *  G3  A commit that nothing reaches can be named by its id as long as the git repository has it.
 *      So those go (6) before the nodes do, and whoever named one until then is waited for and seen
 *      (7). A publication refuses a commit whose parents went meanwhile (publication.c).
 *  G4  A root that was removed stays removed after a power cut: that it was is on the disk (8)
 *      before what it reached goes.
 *
 * On a disk without room for the git repository's pack, all its objects stay (and by G3 what their
 * commits have), and the rest is done: it makes room for the next collection.
 *
 * A kill at any moment loses nothing, since what goes is reached by nothing. What cannot be read
 * below a root ends the collection before 6.
 *
 * Memory: 3.3 bytes for each node, 5 while they are listed (store-census.c), some 100 for each
 * object of the git repository, and 100 for each node that came between 1 and 5. RocksDB is told to
 * be content with little, and what is deleted does not gather in memory. The whole process of
 * `prollyfs-ctl gc`, of ten million nodes of which half go, has 95 MiB at most, 26 of them when it
 * has opened the store.
 */
#include "version/gc-private.h"

#include <sys/statvfs.h>

#include <string.h>

#include "base/sync.h"
#include "version/journal-private.h"

#define DEFAULT_GRACE "2.weeks.ago"
#define PACK_MARGIN   (512u << 10)

/* ---- The caller -------------------------------------------------------------------------- */

bool prolly_gc_options_tell(const ProllyGcOptions *options, ProllyGcPhase phase, uint64_t done,
			    uint64_t total, GError **error)
{
	return !options->progress || options->progress(phase, done, total, options->data, error);
}

bool prolly_gc_tell(ProllyGc *gc, ProllyGcPhase phase, uint64_t done, uint64_t total,
		    GError **error)
{
	const ProllyGcOptions *options = gc->options;

	if (options->is_automatic && g_atomic_int_get(&gc->body->usage.is_unwanted))
		return prolly_throw(error, PROLLY_ERROR_CANCELLED, "another collection is wanted");
	return prolly_gc_options_tell(options, phase, done, total, error);
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

static void gc_clear(ProllyGc *gc)
{
	prolly_census_free(gc->census);
	prolly_store_unref(gc->store);
	g_array_unref(gc->stack);
	g_hash_table_unref(gc->unlisted);
	g_array_unref(gc->objects);
	for (int reason = 0; reason < PROLLY_GC_N_REASONS; reason++)
		g_hash_table_unref(gc->kept[reason]);
	g_hash_table_unref(gc->namespaces);
	g_hash_table_unref(gc->damaged);
	git_odb_free(gc->odb);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyGc, gc_clear)

static void gc_init(ProllyGc *gc, ProllyRepo *repo, const ProllyGcOptions *options)
{
	gc->repo = repo;
	gc->body = repo->body;
	gc->options = options;
	gc->store = prolly_store_new_passing(repo->body->store);
	gc->context = (ProllyTreeContext){gc->store, repo->body->format};
	gc->stack = g_array_new(FALSE, FALSE, sizeof(ProllyGcItem));
	gc->unlisted = g_hash_table_new_full(prolly_hash_table_hash, prolly_hash_table_equal,
					     g_free, NULL);
	gc->objects = g_array_new(FALSE, FALSE, sizeof(ProllyGcObject));
	for (int reason = 0; reason < PROLLY_GC_N_REASONS; reason++)
		gc->kept[reason] = prolly_oid_set_new();
	gc->namespaces = prolly_oid_set_new();
	gc->damaged = prolly_oid_set_new();
}

/* ---- The steps --------------------------------------------------------------------------- */

typedef struct {
	ProllyGc *gc;
	ProllyGcPhase phase;
} Telling;

static bool tell_census(uint64_t done, uint64_t total, void *data, GError **error)
{
	Telling *telling = data;

	return prolly_gc_tell(telling->gc, telling->phase, done, total, error);
}

/* In memory it has none of its own. */
char *prolly_gc_dup_configured(ProllyRepoBody *body, const char *name)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&body->git_lock);
	g_autoptr(git_config) config = NULL;
	git_buf value = {0};
	char *text = NULL;

	if (git_repository_config(&config, body->git->repo) == 0 &&
	    git_config_get_string_buf(&value, config, name) == 0)
		text = g_strdup(value.ptr);
	git_buf_dispose(&value);
	return text;
}

bool prolly_gc_get_grace(ProllyRepoBody *body, int64_t *out_before, GError **error)
{
	g_autofree char *text = prolly_gc_dup_configured(body, "gc.pruneExpire");

	return prolly_gc_parse_grace(text ? text : DEFAULT_GRACE, out_before) ||
	       prolly_throw(error, PROLLY_ERROR_INVALID, "gc.pruneExpire: '%s' is not a date",
			    text);
}

static bool choose_grace(ProllyGc *gc, GError **error)
{
	gc->prune_before = gc->keeps_git ? INT64_MIN : gc->options->prune_before;
	return gc->prune_before != PROLLY_GC_DEFAULT ||
	       prolly_gc_get_grace(gc->body, &gc->prune_before, error);
}

/* 1 to 5. */
static bool find_reached(ProllyGc *gc, ProllyGcPacks **out_packs, GError **error)
{
	ProllyCensusUse use =
		gc->options->dry_run ? PROLLY_CENSUS_TO_COUNT : PROLLY_CENSUS_TO_SWEEP;

	if (!choose_grace(gc, error) || !prolly_gc_tell(gc, PROLLY_GC_LISTING, 0, 0, error) ||
	    !prolly_journal_trim(gc->body->journal, error) ||
	    !prolly_census_new(gc->body->store, use, &gc->census, error) ||
	    !prolly_gc_packs_list(gc, out_packs, error))
		return false;
	return prolly_gc_capture(gc, error) && prolly_usage_wait(gc, error) &&
	       prolly_gc_capture(gc, error) && prolly_gc_packs_keep_young(gc, *out_packs, error);
}

static bool sync_all(ProllyGc *gc, GError **error)
{
	const char *dir = gc->body->git->dir;

	if (dir && !prolly_sync_tree(dir, error))
		return false;
	return prolly_store_flush_if_room(gc->body->store, error) &&
	       prolly_db_sync(gc->body->db, error);
}

/* 6 to 10. */
static bool remove_rest(ProllyGc *gc, ProllyGcPacks *packs, GError **error)
{
	Telling telling = {gc, PROLLY_GC_SWEEPING};

	if (!prolly_gc_packs_rewrite(gc, packs, error) || !prolly_usage_wait(gc, error) ||
	    !prolly_gc_capture(gc, error) || !sync_all(gc, error) ||
	    !prolly_census_sweep(gc->census, tell_census, &telling, error) ||
	    !prolly_gc_tell(gc, PROLLY_GC_RECLAIMING, 0, 0, error))
		return false;
	return prolly_census_reclaim(gc->census, error);
}

/* What is packed anew is there twice for a while. */
static bool has_room_for_pack(const ProllyGc *gc, uint64_t git_bytes)
{
	const char *dir = gc->body->git->dir;
	struct statvfs fs;

	return !dir || statvfs(dir, &fs) < 0 ||
	       (uint64_t)fs.f_bavail * fs.f_frsize > git_bytes + PACK_MARGIN;
}

/* While no other does. */
static bool run(ProllyRepo *repo, const ProllyGcOptions *options, ProllyGcFigures *out_figures,
		GError **error)
{
	g_auto(ProllyGc) gc = {0};
	g_autoptr(ProllyGcPacks) packs = NULL;
	Telling telling = {&gc, PROLLY_GC_SWEEPING};
	uint64_t written = prolly_store_get_written(repo->body->store);
	ProllyCensusFigures figures;
	uint64_t git_bytes;

	gc_init(&gc, repo, options);
	git_bytes = prolly_gc_measure_git(&gc);
	prolly_db_make_room(repo->body->db);
	gc.keeps_git = !has_room_for_pack(&gc, git_bytes);
	if (!find_reached(&gc, &packs, error))
		return false;
	if (options->dry_run ? !prolly_census_count(gc.census, tell_census, &telling, error)
			     : !remove_rest(&gc, packs, error))
		return false;
	prolly_census_get_figures(gc.census, &figures);
	*out_figures = (ProllyGcFigures){
		.nodes = figures.nodes - figures.dead_nodes,
		.bytes = figures.bytes - figures.dead_bytes,
		.reclaimed_nodes = figures.dead_nodes,
		.reclaimed_bytes = figures.dead_bytes,
		.git_bytes_before = git_bytes,
		.git_bytes = prolly_gc_measure_git(&gc),
	};
	if (!options->dry_run)
		prolly_gc_account_settle(&gc, written, out_figures->bytes);
	return true;
}

bool prolly_gc_parse_grace(const char *text, int64_t *out_before)
{
	int64_t now = g_get_real_time() / G_USEC_PER_SEC;
	int offset;

	if (strcmp(text, "now") == 0)
		*out_before = PROLLY_GC_NOW;
	else if (strcmp(text, "never") == 0)
		*out_before = INT64_MIN;
	else
		return prolly_date_parse(text, now, out_before, &offset);
	return true;
}

bool prolly_gc_run(ProllyRepo *repo, const ProllyGcOptions *options, ProllyGcFigures *out_figures,
		   GError **error)
{
	g_autoptr(GError) local = NULL;
	bool ok;

	if (!prolly_usage_begin(&repo->body->usage, options, error))
		return false;
	prolly_db_set_lean(repo->body->db, true);
	ok = run(repo, options, out_figures, &local);
	prolly_db_set_lean(repo->body->db, false);
	if (!ok && options->is_automatic && !prolly_error_is(local, PROLLY_ERROR_CANCELLED))
		prolly_gc_account_postpone(repo->body);
	prolly_usage_end(&repo->body->usage);
	if (!ok)
		g_propagate_error(error, g_steal_pointer(&local));
	return ok;
}
