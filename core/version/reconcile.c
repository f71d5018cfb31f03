/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconcile: merging a commit into a branch.
 *
 * Each namespace is a three-way comparison of trees (core/tree/merge.c), which reads only what one
 * of the sides changed. It is run twice. The first pass looks for what stops a merge: keys that
 * both sides changed differently, and staged changes of keys that the merge would change. It writes
 * nothing. The second applies theirs' changes to ours as one batch a namespace. So memory is
 * bounded by two paths, and a merge that stops has touched nothing.
 *
 * Then the branch moves, in one publication. Staged changes that came meanwhile could be
 * overwritten, so what is staged is compared again under write_lock, which is held until the branch
 * has moved; a branch with nothing staged, the common case, is seen at once. Staged changes to
 * other keys stay. A staged value that is the committed one is no change, and is dropped; one that
 * is what the merge brings may stay.
 *
 * A fast-forward is the same with the branch's head as base and theirs as the result.
 *
 * Directory markers (an entry of kind DIRECTORY exists just while its directory is empty): one side
 * may have emptied a directory, or made it, while the other put keys into it. Then a marker and
 * keys meet in the result, and the marker goes. Only two things can bring that about: a key of
 * theirs below a marker of ours, and a marker of theirs above keys of ours; both are noticed as
 * they are applied.
 *
 * A namespace is in the result if either side has it, but for one that a side deleted and in which
 * the other changed nothing; the unnamed one if it has keys.
 */
#include "version/repo-private.h"
#include "version/working-private.h"

#include <string.h>

#define KIND_MASK 0x7f

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
	const ProllyMergeOptions *options;
	ProllyState *state;           /* of the branch when the merge began */
	ProllyMergeChange change;     /* what is merged in; its sides are in base and theirs */
	bool is_merge;                /* its result has theirs as a parent too */
	GArray *base, *ours, *theirs; /* of ProllyNamespace */
	ProllyTree empty;
	uint64_t conflicts;
	bool is_changing; /* theirs changes something: known after the first pass */
	bool is_fast_forward;
	ProllyDbBatch *batch; /* under write_lock: what moves the branch; else NULL */
} Reconcile;

/* ---- Namespaces of three sides ----------------------------------------------------------- */

static const ProllyTree *find_tree(const GArray *namespaces, const char *name)
{
	guint low = 0, high = namespaces->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		const ProllyNamespace *ns = &g_array_index(namespaces, ProllyNamespace, middle);
		int order = strcmp(ns->name, name);

		if (order == 0)
			return &ns->tree;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* (transfer container) The names of all three, in order, once each; borrowed. */
static GPtrArray *list_names(const Reconcile *self)
{
	const GArray *sides[] = {self->base, self->ours, self->theirs};
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	GPtrArray *names = g_ptr_array_new();

	for (size_t side = 0; side < G_N_ELEMENTS(sides); side++) {
		for (guint i = 0; i < sides[side]->len; i++)
			g_ptr_array_add(all, g_array_index(sides[side], ProllyNamespace, i).name);
	}
	g_ptr_array_sort(all, compare_names);
	for (guint i = 0; i < all->len; i++) {
		char *name = g_ptr_array_index(all, i);

		if (i == 0 || strcmp(name, g_ptr_array_index(all, i - 1)) != 0)
			g_ptr_array_add(names, name);
	}
	return names;
}

/* One namespace of the merge; a side that does not have it is the empty tree. */
typedef struct {
	const char *name;
	const ProllyTree *base, *ours, *theirs;
	bool in_base, in_ours, in_theirs;
} Sides;

static Sides get_sides(const Reconcile *self, const char *name)
{
	const ProllyTree *base = find_tree(self->base, name);
	const ProllyTree *ours = find_tree(self->ours, name);
	const ProllyTree *theirs = find_tree(self->theirs, name);

	return (Sides){
		.name = name,
		.base = base ? base : &self->empty,
		.ours = ours ? ours : &self->empty,
		.theirs = theirs ? theirs : &self->empty,
		.in_base = base != NULL,
		.in_ours = ours != NULL,
		.in_theirs = theirs != NULL,
	};
}

static bool is_changed_by_theirs(const Sides *sides)
{
	return !prolly_tree_equal(sides->base, sides->theirs) &&
	       !prolly_tree_equal(sides->ours, sides->theirs);
}

/* ---- The first pass: what stops a merge --------------------------------------------------- */

static ProllyConflictKind classify(const ProllyMergeStep *step)
{
	bool has_both = step->ours && step->theirs && step->ours_len && step->theirs_len;

	if (!step->ours)
		return PROLLY_CONFLICT_DELETED_BY_US;
	if (!step->theirs)
		return PROLLY_CONFLICT_DELETED_BY_THEM;
	if (has_both && ((step->ours[0] ^ step->theirs[0]) & KIND_MASK))
		return PROLLY_CONFLICT_TYPE;
	return step->base ? PROLLY_CONFLICT_BOTH_MODIFIED : PROLLY_CONFLICT_BOTH_ADDED;
}

/* What is staged for a key, beside what our side and theirs have. */
typedef enum {
	STAGED_NOT,
	STAGED_AS_OURS, /* no change */
	STAGED_AS_THEIRS,
	STAGED_OTHERWISE,
} Staged;

static bool equals(const ProllyFinding *finding, const uint8_t *value, size_t len)
{
	if (!value || !prolly_finding_exists(finding))
		return !value && !prolly_finding_exists(finding);
	return !finding->extents && finding->stored_len == len &&
	       memcmp(finding->stored, value, len) == 0;
}

static bool compare_staged(const ProllyWorking *working, const ProllyPlace *place,
			   const ProllyMergeStep *step, Staged *out_staged, GError **error)
{
	g_auto(ProllyFinding) finding = {0};

	prolly_finding_init(&finding);
	if (!prolly_working_find(working, place, 0, false, &finding, error))
		return false;
	if (finding.value_level == PROLLY_LEVEL_COMMITTED ||
	    (!prolly_finding_exists(&finding) && !finding.deleted))
		*out_staged = STAGED_NOT;
	else if (equals(&finding, step->ours, step->ours_len))
		*out_staged = STAGED_AS_OURS;
	else if (equals(&finding, step->theirs, step->theirs_len))
		*out_staged = STAGED_AS_THEIRS;
	else
		*out_staged = STAGED_OTHERWISE;
	return true;
}

static bool is_marker(const uint8_t *stored, size_t len)
{
	return stored && len > 0 && (stored[0] & KIND_MASK) == PROLLY_KIND_DIRECTORY;
}

/* KEY comes with the merge: staged markers of the directories it lies in are void. */
static bool drop_staged_markers(Reconcile *self, const ProllyWorking *working,
				const ProllyPlace *key, GError **error)
{
	for (size_t i = 0; i < key->key_len; i++) {
		ProllyPlace place = {key->ns, key->key, i};
		g_auto(ProllyFinding) finding = {0};

		if (key->key[i] != '/')
			continue;
		prolly_finding_init(&finding);
		if (!prolly_working_find(working, &place, 0, false, &finding, error))
			return false;
		if (prolly_finding_is_marker(&finding) &&
		    finding.value_level != PROLLY_LEVEL_COMMITTED &&
		    !prolly_staged_drop_value(working, &place, self->batch, error))
			return false;
	}
	return true;
}

/* A marker comes with the merge: void if keys are staged in its directory. */
static bool hide_marker(Reconcile *self, const ProllyWorking *working, const ProllyPlace *marker,
			GError **error)
{
	g_autofree uint8_t *prefix = g_malloc(marker->key_len + 1);
	g_autoptr(ProllyScan) scan = NULL;

	if (marker->key_len)
		memcpy(prefix, marker->key, marker->key_len);
	prefix[marker->key_len] = '/';
	scan = prolly_scan_new(working, marker->ns, prefix, marker->key_len + 1, 0, 0);
	if (!prolly_scan_seek(scan, prefix, marker->key_len + 1, error))
		return false;
	if (prolly_scan_is_valid(scan))
		prolly_staged_put_tombstone(working, marker, self->batch);
	return true;
}

/* What is staged stays right over what the merge brings: a directory has keys or a marker. */
static bool settle_staged(Reconcile *self, const ProllyWorking *working, const ProllyPlace *place,
			  const ProllyMergeStep *step, Staged staged, GError **error)
{
	/* It would undo the merge once that has changed the key. */
	if (staged == STAGED_AS_OURS &&
	    !prolly_staged_drop_value(working, place, self->batch, error))
		return false;
	if (!step->theirs || !prolly_namespace_has_directories(place->ns))
		return true;
	if (!is_marker(step->theirs, step->theirs_len))
		return step->base || drop_staged_markers(self, working, place, error);
	return staged != STAGED_NOT || hide_marker(self, working, place, error);
}

static bool throw_overwrite(const ProllyPlace *place, GError **error)
{
	g_autofree char *path = prolly_path_from_key(place->ns, place->key, place->key_len, false);

	return prolly_throw(error, PROLLY_ERROR_WOULD_OVERWRITE,
			    "%s: staged changes would be overwritten by the merge", path);
}

/* WORKING NULL: nothing is staged. LIST: conflicts are told to the caller, else passed over. */
static bool check_step(Reconcile *self, const ProllyWorking *working, const char *ns,
		       const ProllyMergeStep *step, bool list, GError **error)
{
	ProllyPlace place = {ns, step->key, step->key_len};
	Staged staged = STAGED_NOT;

	if (step->side == PROLLY_SIDE_BOTH && list) {
		self->conflicts++;
		return !self->options->conflict ||
		       self->options->conflict(&place, classify(step), step,
					       self->options->conflict_data, error);
	}
	if (step->side != PROLLY_SIDE_THEIRS)
		return true;
	self->is_changing = true;
	if (!working || self->conflicts)
		return true;
	if (!compare_staged(working, &place, step, &staged, error))
		return false;
	if (staged == STAGED_OTHERWISE)
		return throw_overwrite(&place, error);
	return !self->batch || settle_staged(self, working, &place, step, staged, error);
}

static bool check_namespace(Reconcile *self, const ProllyWorking *working, const Sides *sides,
			    bool list, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	g_autoptr(ProllyMerge) merge = NULL;
	ProllyMergeStep step;
	bool end = false;

	if (!is_changed_by_theirs(sides))
		return true;
	merge = prolly_merge_new(context, sides->base, sides->ours, sides->theirs);
	while (prolly_merge_next(merge, &step, &end, error)) {
		if (end)
			return true;
		if (!check_step(self, working, sides->name, &step, list, error))
			return false;
	}
	return false;
}

/* Under write_lock: STATE is the present one, and open files are staged. */
static bool check_state(Reconcile *self, ProllyState *state, bool list, GError **error)
{
	g_autoptr(GPtrArray) names = list_names(self);
	ProllyWorking working = {.repo = self->repo, .branch = self->branch, .state = state};
	bool empty;

	if (!prolly_staged_is_empty(self->repo, self->branch, state, &empty, error))
		return false;
	if (!empty && self->batch)
		prolly_staged_note_move(prolly_branch_get_id(self->branch), state, self->batch);
	for (guint i = 0; i < names->len; i++) {
		Sides sides = get_sides(self, g_ptr_array_index(names, i));

		if (sides.in_base == sides.in_ours && sides.in_base != sides.in_theirs)
			self->is_changing = true;
		if (!check_namespace(self, empty ? NULL : &working, &sides, list, error))
			return false;
	}
	return true;
}

/* ---- The second pass: the result ---------------------------------------------------------- */

typedef struct {
	const ProllyTreeContext *context;
	const Sides *sides;
	ProllyMerge *merge;
	GPtrArray *markers; /* of GBytes: keys of markers that may have keys below them now */
	GByteArray *parent; /* of the last key that was looked at */
} Apply;

static bool has_keys_below(const ProllyTreeContext *context, const ProllyTree *tree,
			   const uint8_t *key, size_t len, bool *out_has, GError **error)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, tree);
	g_autofree uint8_t *prefix = g_malloc(len + 1);
	const uint8_t *found;
	size_t found_len;

	if (len)
		memcpy(prefix, key, len);
	prefix[len] = '/';
	if (!prolly_cursor_seek(cursor, prefix, len + 1, error))
		return false;
	*out_has = false;
	if (prolly_cursor_is_valid(cursor)) {
		found = prolly_cursor_get_key(cursor, &found_len);
		*out_has = found_len > len && memcmp(found, prefix, len + 1) == 0;
	}
	return true;
}

static void note_marker(Apply *self, const uint8_t *key, size_t len)
{
	g_ptr_array_add(self->markers, g_bytes_new(key, len));
}

/* Notes markers of ours at the directories that KEY, which theirs adds, lies in. */
static bool note_parents(Apply *self, const uint8_t *key, size_t len, GError **error)
{
	size_t parent_len = len;

	while (parent_len > 0 && key[parent_len - 1] != '/')
		parent_len--;
	if (self->parent->len == parent_len &&
	    (parent_len == 0 || memcmp(self->parent->data, key, parent_len) == 0))
		return true;
	g_byte_array_set_size(self->parent, 0);
	g_byte_array_append(self->parent, key, (guint)parent_len);
	for (size_t i = 0; i < parent_len; i++) {
		g_auto(ProllyValueRef) value = {0};

		if (key[i] != '/')
			continue;
		if (!prolly_tree_get(self->context, self->sides->ours, key, i, &value, error))
			return false;
		if (value.node && is_marker(value.data, value.len))
			note_marker(self, key, i);
	}
	return true;
}

static bool note_step(Apply *self, const ProllyMergeStep *step, GError **error)
{
	bool has = false;

	if (!step->theirs || !prolly_namespace_has_directories(self->sides->name))
		return true;
	if (!is_marker(step->theirs, step->theirs_len))
		return step->base || note_parents(self, step->key, step->key_len, error);
	if (!has_keys_below(self->context, self->sides->ours, step->key, step->key_len, &has,
			    error))
		return false;
	if (has)
		note_marker(self, step->key, step->key_len);
	return true;
}

/* The ProllyEditFunc: theirs' changes. */
static bool next_edit(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Apply *self = data;
	ProllyMergeStep step;

	do {
		if (!prolly_merge_next(self->merge, &step, out_end, error))
			return false;
		if (*out_end)
			return true;
	} while (step.side != PROLLY_SIDE_THEIRS);
	if (!note_step(self, &step, error))
		return false;
	*out_edit = (ProllyEdit){step.key, step.key_len, step.theirs, step.theirs_len};
	return true;
}

static int compare_bytes(gconstpointer a, gconstpointer b)
{
	return g_bytes_compare(*(GBytes *const *)a, *(GBytes *const *)b);
}

/* Deletes the noted markers that have keys below them in TREE. */
static bool drop_markers(Apply *self, ProllyTree *tree, GError **error)
{
	g_autoptr(GArray) edits = g_array_new(FALSE, TRUE, sizeof(ProllyEdit));

	g_ptr_array_sort(self->markers, compare_bytes);
	for (guint i = 0; i < self->markers->len; i++) {
		GBytes *marker = g_ptr_array_index(self->markers, i);
		ProllyEdit edit = {0};
		bool has;

		if (i > 0 && g_bytes_equal(marker, g_ptr_array_index(self->markers, i - 1)))
			continue;
		edit.key = g_bytes_get_data(marker, &edit.key_len);
		if (!has_keys_below(self->context, tree, edit.key, edit.key_len, &has, error))
			return false;
		if (has)
			g_array_append_val(edits, edit);
	}
	return edits->len == 0 ||
	       prolly_tree_apply_array(self->context, tree, (ProllyEdit *)(void *)edits->data,
				       edits->len, tree, error);
}

static bool merge_tree(Reconcile *self, const Sides *sides, ProllyTree *out_tree, GError **error)
{
	Apply apply = {.context = prolly_repo_get_context(self->repo), .sides = sides};
	bool ok;

	if (prolly_tree_equal(sides->base, sides->ours)) {
		*out_tree = *sides->theirs;
		return true;
	}
	if (!is_changed_by_theirs(sides)) {
		*out_tree = *sides->ours;
		return true;
	}
	apply.merge = prolly_merge_new(apply.context, sides->base, sides->ours, sides->theirs);
	apply.markers = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	apply.parent = g_byte_array_new();
	/* No key is in the directory 0xff, so the first key's parent is looked at. */
	g_byte_array_append(apply.parent, (const uint8_t *)"\xff", 1);
	ok = prolly_tree_apply(apply.context, sides->ours, next_edit, &apply, out_tree, error) &&
	     drop_markers(&apply, out_tree, error);
	prolly_merge_free(apply.merge);
	g_ptr_array_unref(apply.markers);
	g_byte_array_unref(apply.parent);
	return ok;
}

static bool is_kept(const Sides *sides, const ProllyTree *merged)
{
	if (merged->keys > 0)
		return true;
	if (sides->name[0] == '\0')
		return false;
	/* One side deleted what both had; else somebody has it. */
	return !sides->in_base || (sides->in_ours && sides->in_theirs);
}

/* (transfer full) The namespaces of the merge commit. */
static bool merge_namespaces(Reconcile *self, GArray **out_namespaces, GError **error)
{
	g_autoptr(GPtrArray) names = list_names(self);
	g_autoptr(GArray) merged = g_array_new(FALSE, FALSE, sizeof(ProllyNamespace));

	g_array_set_clear_func(merged, prolly_namespace_clear);
	for (guint i = 0; i < names->len; i++) {
		Sides sides = get_sides(self, g_ptr_array_index(names, i));
		ProllyNamespace ns;

		if (!merge_tree(self, &sides, &ns.tree, error))
			return false;
		if (!is_kept(&sides, &ns.tree))
			continue;
		ns.name = g_strdup(sides.name);
		g_array_append_val(merged, ns);
	}
	*out_namespaces = g_steal_pointer(&merged);
	return true;
}

/* ---- Moving the branch -------------------------------------------------------------------- */

static char *make_reflog_message(const Reconcile *self)
{
	const char *message = self->options->message;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	if (!self->is_merge)
		return g_strdup_printf("%s: %.*s", self->options->operation,
				       (int)strcspn(message, "\n"), message);
	return g_strdup_printf("merge %.10s: %s", prolly_commit_id_to_hex(self->change.to, hex),
			       self->is_fast_forward ? "Fast-forward" : "Merge made");
}

/* (transfer full) What is to be published, and the head after it. */
static bool prepare_publication(Reconcile *self, const GArray *namespaces,
				ProllyPublication **out_publication, ProllyCommitId *out_id,
				GError **error)
{
	g_autofree char *reflog = make_reflog_message(self);
	ProllyCommitId parents[2] = {self->state->head};
	ProllyNewCommit commit = {
		.parents = parents,
		.n_parents = self->is_merge ? 2 : 1,
		.namespaces = namespaces,
		.message = self->options->message,
		.author = self->options->author,
		.committer = self->options->committer,
	};

	if (self->is_fast_forward) {
		*out_id = *self->change.to;
		return prolly_publication_new_move(self->repo, self->branch, self->change.to,
						   reflog, out_publication, error);
	}
	if (self->is_merge)
		parents[1] = *self->change.to;
	return prolly_publication_new_commit(self->repo, self->branch, &commit, reflog,
					     out_publication, out_id, error);
}

/* Under write_lock. *OUT_PLACES (transfer full): as prolly_branch_take_move says. */
static bool move_branch(Reconcile *self, ProllyPublication *taken, const ProllyCommitId *id,
			GArray *namespaces, GPtrArray **out_places, GError **error)
{
	g_autoptr(ProllyPublication) publication = taken;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(self->repo->body->db);
	g_autoptr(ProllyState) old = NULL, state = NULL;

	if (!prolly_files_flush_all(self->repo, self->branch, error))
		return false;
	old = prolly_branch_get_state(self->branch);
	self->batch = batch;
	if (!check_state(self, old, false, error))
		return false;
	state = prolly_state_copy(old);
	g_array_unref(state->namespaces);
	state->namespaces = g_array_ref(namespaces);
	prolly_state_add_move(state, &old->head, id);
	state->head = *id;
	prolly_branch_save_state(self->branch, state, batch);
	if (!prolly_publication_publish(g_steal_pointer(&publication), self->repo, &old->head,
					batch, error))
		return false;
	prolly_hints_clear(self->branch->hints);
	prolly_branch_take_state(self->branch, prolly_state_ref(state));
	/* The branch has moved: what cannot be told now is told as "everything". */
	if (!prolly_branch_take_move(self->repo, self->branch, old, state, out_places, NULL)) {
		prolly_files_orphan(self->branch, NULL);
		*out_places = NULL;
	}
	return true;
}

static void tell(Reconcile *self, GPtrArray *owned)
{
	ProllyPlace places[PROLLY_OBSERVER_PLACES_MAX];

	if (!owned || owned->len > G_N_ELEMENTS(places)) {
		prolly_repo_notify(self->repo, self->branch, NULL, 0);
		return;
	}
	for (guint i = 0; i < owned->len; i++)
		places[i] = ((ProllyOwnedPlace *)g_ptr_array_index(owned, i))->place;
	if (owned->len)
		prolly_repo_notify(self->repo, self->branch, places, owned->len);
}

static bool finish(Reconcile *self, ProllyCommitId *out_id, GError **error)
{
	g_autoptr(ProllyPublication) publication = NULL;
	g_autoptr(GArray) namespaces = NULL;
	g_autoptr(GPtrArray) places = NULL;
	ProllyCommitId id;
	bool ok;

	if (self->is_fast_forward)
		namespaces = g_array_ref(self->theirs);
	else if (!merge_namespaces(self, &namespaces, error))
		return false;
	if (!prepare_publication(self, namespaces, &publication, &id, error))
		return false;
	g_mutex_lock(&self->branch->write_lock);
	ok = move_branch(self, g_steal_pointer(&publication), &id, namespaces, &places, error);
	g_mutex_unlock(&self->branch->write_lock);
	if (!ok)
		return false;
	*out_id = id;
	tell(self, places);
	return true;
}

/* ---- The merge ---------------------------------------------------------------------------- */

/* Of a merge, into OUT_BASE. *OUT_DONE: there is nothing to merge. */
static bool find_base(Reconcile *self, ProllyCommitId *out_base, bool *out_done, GError **error)
{
	bool found;

	if (!prolly_history_merge_base(self->repo, &self->state->head, self->change.to, out_base,
				       &found, error))
		return false;
	if (!found)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "refusing to merge unrelated histories");
	self->change.from = out_base;
	*out_done = prolly_commit_id_equal(out_base, self->change.to);
	self->is_fast_forward =
		prolly_commit_id_equal(out_base, &self->state->head) && !self->options->no_ff;
	if (!*out_done && !self->is_fast_forward && self->options->ff_only)
		return prolly_throw(error, PROLLY_ERROR_DENIED,
				    "not possible to fast-forward: the histories have diverged");
	return true;
}

/* (transfer full) Those of commit ID; NULL: none. */
static bool load_namespaces(Reconcile *self, const ProllyCommitId *id, GArray **out_namespaces,
			    GError **error)
{
	if (id)
		return prolly_commit_load_namespaces(self->repo, id, out_namespaces, error);
	*out_namespaces = g_array_new(FALSE, FALSE, sizeof(ProllyNamespace));
	return true;
}

static bool load_sides(Reconcile *self, GError **error)
{
	self->ours = g_array_ref(self->state->namespaces);
	return load_namespaces(self, self->change.from, &self->base, error) &&
	       load_namespaces(self, self->change.to, &self->theirs, error) &&
	       prolly_tree_init_empty(prolly_repo_get_context(self->repo), &self->empty, error);
}

static bool check_first(Reconcile *self, GError **error)
{
	g_autoptr(ProllyState) state = NULL;

	return prolly_files_flush_branch(self->repo, self->branch, &state, error) &&
	       check_state(self, state, true, error);
}

/* After the first pass. What changes nothing makes no commit unless it is a merge. */
static ProllyMergeResult get_result(const Reconcile *self)
{
	if (self->conflicts)
		return PROLLY_MERGE_CONFLICT;
	if (self->is_fast_forward)
		return PROLLY_MERGE_FAST_FORWARD;
	return self->is_merge || self->is_changing ? PROLLY_MERGE_MERGED : PROLLY_MERGE_UP_TO_DATE;
}

/* Under commit_lock. */
static bool run(Reconcile *self, ProllyMergeResult *out_result, ProllyCommitId *out_id,
		GError **error)
{
	ProllyCommitId base, id = self->state->head;
	ProllyMergeResult result = PROLLY_MERGE_UP_TO_DATE;
	bool done = false;

	if (self->is_merge && !find_base(self, &base, &done, error))
		return false;
	if (!done) {
		if (!load_sides(self, error) || !check_first(self, error))
			return false;
		result = get_result(self);
		if (result != PROLLY_MERGE_CONFLICT && result != PROLLY_MERGE_UP_TO_DATE &&
		    !self->options->dry_run && !finish(self, &id, error))
			return false;
	}
	*out_result = result;
	*out_id = id;
	return true;
}

/* SELF has what is merged. */
static bool reconcile(Reconcile *self, ProllyMergeResult *out_result, ProllyCommitId *out_id,
		      GError **error)
{
	ProllyBranch *branch = self->branch;
	bool ok;

	g_mutex_lock(&branch->commit_lock);
	self->state = prolly_branch_get_state(branch);
	ok = run(self, out_result, out_id, error);
	g_mutex_unlock(&branch->commit_lock);
	prolly_state_unref(self->state);
	g_clear_pointer(&self->base, g_array_unref);
	g_clear_pointer(&self->ours, g_array_unref);
	g_clear_pointer(&self->theirs, g_array_unref);
	return ok;
}

bool prolly_history_merge(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *theirs,
			  const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			  ProllyCommitId *out_id, GError **error)
{
	Reconcile self = {
		.repo = repo,
		.branch = branch,
		.options = options,
		.change = {.to = theirs},
		.is_merge = true,
	};

	return reconcile(&self, out_result, out_id, error);
}

bool prolly_history_apply(ProllyRepo *repo, ProllyBranch *branch, const ProllyMergeChange *change,
			  const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			  ProllyCommitId *out_id, GError **error)
{
	Reconcile self = {
		.repo = repo,
		.branch = branch,
		.options = options,
		.change = *change,
	};

	return reconcile(&self, out_result, out_id, error);
}
