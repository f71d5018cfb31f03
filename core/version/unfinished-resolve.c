/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolving: what keys in conflict become.
 *
 * A resolution is the value itself, taken from one of the sides or from the working state as it is
 * now, with fingerprints of the sides and of what was staged for the key. It is written, then the
 * key goes out of the trees of what waits. A key that was resolved already is in no such tree; its
 * sides are read from the commits when it is resolved again.
 */
#include "version/merge-private.h"

#include <string.h>

#define BATCH_MAX (4u << 20)

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
	ProllyUnfinished *unfinished;
	ProllyResolveWith with;
	const ProllyPlace *below; /* what is resolved; ns NULL: all */
	ProllyState *state;       /* with what open files held */
	ProllyDbBatch *batch;
	uint64_t n;
} Resolve;

static bool is_below(const ProllyPlace *below, const char *ns, const uint8_t *key, size_t len)
{
	if (!below->ns)
		return true;
	return strcmp(below->ns, ns) == 0 && len >= below->key_len &&
	       (below->key_len == 0 || memcmp(below->key, key, below->key_len) == 0);
}

/* ---- One key ----------------------------------------------------------------------------- */

/* (transfer full) The value of the working state, with what is laid over it folded in; NULL: it has
 * none. */
static bool load_working(Resolve *self, const ProllyFinding *finding, GBytes **out_stored,
			 GError **error)
{
	g_auto(ProllyEntry) entry = {0};

	if (!prolly_finding_exists(finding))
		return true;
	if (!prolly_finding_to_entry(finding, &entry, error))
		return false;
	if (entry.extents)
		return prolly_extents_fold(self->repo, NULL, &entry, out_stored, error);
	*out_stored = g_steal_pointer(&entry.stored);
	return true;
}

static GBytes *new_bytes(const uint8_t *value, size_t len)
{
	return value ? g_bytes_new(value, len) : NULL;
}

static bool choose(Resolve *self, const ProllyFinding *finding, const ProllyMergeStep *step,
		   GBytes **out_stored, GError **error)
{
	switch (self->with) {
	case PROLLY_RESOLVE_BASE:
		*out_stored = new_bytes(step->base, step->base_len);
		return true;
	case PROLLY_RESOLVE_OURS:
		*out_stored = new_bytes(step->ours, step->ours_len);
		return true;
	case PROLLY_RESOLVE_THEIRS:
		*out_stored = new_bytes(step->theirs, step->theirs_len);
		return true;
	default:
		return load_working(self, finding, out_stored, error);
	}
}

static bool flush(Resolve *self, GError **error)
{
	return prolly_store_flush(prolly_repo_get_context(self->repo)->store, NULL, error) &&
	       prolly_db_write(self->repo->body->db, self->batch, PROLLY_DB_BUFFERED, error);
}

static bool resolve_key(Resolve *self, const ProllyPlace *place, const ProllyMergeStep *step,
			GError **error)
{
	ProllyWorking working = {
		.repo = self->repo,
		.branch = self->branch,
		.state = self->state,
	};
	g_auto(ProllyResolution) resolution = {.by_hand = true};
	g_auto(ProllyFinding) finding = {0};

	prolly_finding_init(&finding);
	if (!prolly_working_find(&working, place, 0, false, &finding, error) ||
	    !choose(self, &finding, step, &resolution.stored, error))
		return false;
	prolly_resolution_fingerprint(step, resolution.sides);
	prolly_resolution_fingerprint_value(finding.stored, finding.stored_len, resolution.staged);
	prolly_resolution_put(prolly_branch_get_id(self->branch), place, &resolution, self->batch);
	self->n++;
	return prolly_db_batch_get_size(self->batch) < BATCH_MAX || flush(self, error);
}

/* ---- A key by its name ------------------------------------------------------------------- */

typedef struct {
	ProllyValueRef values[PROLLY_SIDE_OF_N];
} Values;

static void clear_values(Values *values)
{
	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++)
		prolly_value_ref_clear(&values->values[side]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Values, clear_values)

static bool get_value(Resolve *self, const GArray *namespaces, const ProllyPlace *place,
		      ProllyValueRef *out_value, GError **error)
{
	const ProllyTree *tree = prolly_namespaces_find(namespaces, place->ns);

	return !tree || prolly_tree_get(prolly_repo_get_context(self->repo), tree, place->key,
					place->key_len, out_value, error);
}

static bool get_committed(Resolve *self, bool has, const ProllyCommitId *id,
			  const ProllyPlace *place, ProllyValueRef *out_value, GError **error)
{
	g_autoptr(GArray) namespaces = NULL;

	return !has || (prolly_commit_load_namespaces(self->repo, id, &namespaces, error) &&
			get_value(self, namespaces, place, out_value, error));
}

static ProllyMergeStep make_step(const ProllyPlace *place, const Values *values)
{
	const ProllyValueRef *refs = values->values;

	return (ProllyMergeStep){
		.side = PROLLY_SIDE_BOTH,
		.key = place->key,
		.key_len = place->key_len,
		.base = refs[PROLLY_SIDE_OF_BASE].data,
		.base_len = refs[PROLLY_SIDE_OF_BASE].len,
		.ours = refs[PROLLY_SIDE_OF_OURS].data,
		.ours_len = refs[PROLLY_SIDE_OF_OURS].len,
		.theirs = refs[PROLLY_SIDE_OF_THEIRS].data,
		.theirs_len = refs[PROLLY_SIDE_OF_THEIRS].len,
	};
}

/* Again, if it was resolved before. */
static bool resolve_again(Resolve *self, const ProllyPlace *place, GError **error)
{
	const ProllyUnfinished *unfinished = self->unfinished;
	g_auto(ProllyResolution) known = {0};
	g_auto(Values) values = {0};
	ProllyValueRef *refs = values.values;
	ProllyMergeStep step;
	bool found;

	if (!prolly_resolution_find(self->repo, prolly_branch_get_id(self->branch), place, &known,
				    &found, error))
		return false;
	if (!found)
		return true;
	if (!get_committed(self, unfinished->has_from, &unfinished->from, place,
			   &refs[PROLLY_SIDE_OF_BASE], error) ||
	    !get_value(self, self->state->namespaces, place, &refs[PROLLY_SIDE_OF_OURS], error) ||
	    !get_committed(self, unfinished->has_to, &unfinished->to, place,
			   &refs[PROLLY_SIDE_OF_THEIRS], error))
		return false;
	step = make_step(place, &values);
	return resolve_key(self, place, &step, error);
}

static bool resolve_named(Resolve *self, const ProllyPlace *place, GError **error)
{
	g_auto(Values) values = {0};
	bool is_open = false;
	ProllyMergeStep step;

	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++) {
		if (!get_value(self, self->unfinished->open[side], place, &values.values[side],
			       error))
			return false;
		is_open = is_open || values.values[side].node;
	}
	if (!is_open)
		return resolve_again(self, place, error);
	step = make_step(place, &values);
	return resolve_key(self, place, &step, error);
}

/* ---- Many keys --------------------------------------------------------------------------- */

/* ProllyStepFunc */
static bool resolve_step(void *data, const ProllyPlace *place, const ProllyMergeStep *step,
			 GError **error)
{
	Resolve *self = data;

	return !is_below(self->below, place->ns, place->key, place->key_len) ||
	       resolve_key(self, place, step, error);
}

static bool foreach_open(ProllyRepo *repo, const ProllyUnfinished *unfinished, ProllyStepFunc func,
			 void *data, GError **error)
{
	GArray *const *open = unfinished->open;
	ProllySides sides;

	return prolly_sides_init(&sides, repo, open[PROLLY_SIDE_OF_BASE], open[PROLLY_SIDE_OF_OURS],
				 open[PROLLY_SIDE_OF_THEIRS], error) &&
	       prolly_sides_foreach(&sides, func, data, error);
}

typedef struct {
	ProllyConflictFunc func;
	void *data;
} Listener;

static bool listen(void *data, const ProllyPlace *place, const ProllyMergeStep *step,
		   GError **error)
{
	Listener *self = data;

	return self->func(place, prolly_conflict_classify(step), step, self->data, error);
}

bool prolly_unfinished_foreach(ProllyRepo *repo, const ProllyUnfinished *unfinished,
			       ProllyConflictFunc func, void *data, GError **error)
{
	Listener listener = {func, data};

	return foreach_open(repo, unfinished, listen, &listener, error);
}

/* ---- What waits no more ------------------------------------------------------------------- */

/* The keys of a tree that are resolved, as deletions. */
typedef struct {
	ProllyCursor *cursor; /* over the tree as it was */
	const char *ns;
	const ProllyPlace *below;
	bool is_named; /* BELOW is the one key */
	bool begun;
} Removal;

static bool step_removal(Removal *self, GError **error)
{
	if (self->begun)
		return prolly_cursor_next(self->cursor, error);
	self->begun = true;
	return self->below->ns ? prolly_cursor_seek(self->cursor, self->below->key,
						    self->below->key_len, error)
			       : prolly_cursor_seek_first(self->cursor, error);
}

/* The ProllyEditFunc. */
static bool next_removal(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Removal *self = data;
	size_t len;

	if (!step_removal(self, error))
		return false;
	*out_end = !prolly_cursor_is_valid(self->cursor);
	if (*out_end)
		return true;
	*out_edit = (ProllyEdit){0};
	out_edit->key = prolly_cursor_get_key(self->cursor, &len);
	out_edit->key_len = len;
	*out_end = !is_below(self->below, self->ns, out_edit->key, len) ||
		   (self->is_named && len != self->below->key_len);
	return true;
}

static bool remove_from_tree(Resolve *self, ProllyNamespace *ns, bool is_named, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, &ns->tree);
	Removal removal = {cursor, ns->name, self->below, is_named, false};
	ProllyTree left;

	if (!prolly_tree_apply(context, &ns->tree, next_removal, &removal, &left, error))
		return false;
	ns->tree = left;
	return true;
}

/* Takes what is resolved out of what waits. */
static bool remove_resolved(Resolve *self, bool is_named, GError **error)
{
	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++) {
		GArray *namespaces = self->unfinished->open[side];

		for (guint i = namespaces->len; i-- > 0;) {
			ProllyNamespace *ns = &g_array_index(namespaces, ProllyNamespace, i);

			if (self->below->ns && strcmp(self->below->ns, ns->name) != 0)
				continue;
			if (!remove_from_tree(self, ns, is_named, error))
				return false;
			if (ns->tree.keys == 0)
				g_array_remove_index(namespaces, i);
		}
	}
	return true;
}

/* ---- Both -------------------------------------------------------------------------------- */

/* Under commit_lock. */
static bool run(Resolve *self, bool is_named, GError **error)
{
	uint32_t branch_id = prolly_branch_get_id(self->branch);

	if (!prolly_files_flush_branch(self->repo, self->branch, &self->state, error))
		return false;
	if (is_named ? !resolve_named(self, self->below, error)
		     : !foreach_open(self->repo, self->unfinished, resolve_step, self, error))
		return false;
	if (self->n == 0)
		return true;
	if (!remove_resolved(self, is_named, error))
		return false;
	self->unfinished->resolved += self->n;
	prolly_unfinished_save(branch_id, self->unfinished, self->batch);
	return flush(self, error);
}

bool prolly_unfinished_resolve(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
			       bool below, ProllyResolveWith with, uint64_t *out_n, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&branch->commit_lock);
	g_auto(ProllyGuard) guard = prolly_guard_enter(repo);
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	Resolve self = {
		.repo = repo,
		.branch = branch,
		.with = with,
		.below = place,
		.batch = batch,
	};
	bool ok;

	if (!prolly_branch_check_there(branch, error) ||
	    !prolly_unfinished_require(repo, branch, &unfinished, error))
		return false;
	self.unfinished = unfinished;
	ok = run(&self, !below, error);
	prolly_state_unref(self.state);
	*out_n = self.n;
	return ok;
}
