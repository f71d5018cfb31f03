/* SPDX-License-Identifier: Apache-2.0 */

/*
 * view: states that can be read.
 *
 * A commit's view is a state without generations. A pinned view is a branch's state with a snapshot
 * of the database, so that neither edits nor commits change what it shows. A live view is neither:
 * it takes the branch's present state for each call, and keeps nothing, so it can be held for as
 * long as a mount lives.
 *
 * A commit replaces the state and then deletes the generations it folded. A live reader that had
 * the old state may look into one while it goes away, and would take a staged key for a committed
 * one. So it looks at the state again when it is done, and reads once more if that is another one
 * now. What reads for longer (a cursor, a directory) makes a snapshot first and checks then.
 */

#include "version/repo-private.h"
#include "version/working-private.h"

#include <string.h>

/* ---- Lifecycle --------------------------------------------------------------------------- */

void prolly_entry_clear(ProllyEntry *entry)
{
	g_clear_pointer(&entry->stored, g_bytes_unref);
	prolly_attrs_clear(&entry->attrs);
}

static bool report_snapshot(ProllyHolder *holder, ProllyGc *gc, GError **error)
{
	const ProllyHeldSnapshot *held = (ProllyHeldSnapshot *)holder;

	return prolly_gc_keep_staged(gc, held->branch_id, held->state, held->snapshot, error);
}

/* HELD has a snapshot that fits STATE. */
static void hold_snapshot(ProllyHeldSnapshot *held, ProllyRepo *repo, ProllyBranch *branch,
			  ProllyState *state)
{
	held->branch_id = branch->id;
	held->state = state;
	prolly_holder_add(repo->body, &held->holder, report_snapshot);
}

static void release_snapshot(ProllyHeldSnapshot *held, ProllyRepo *repo)
{
	prolly_holder_remove(&held->holder);
	if (held->snapshot)
		prolly_db_snapshot_free(repo->body->db, g_steal_pointer(&held->snapshot));
}

static ProllyView *view_new(ProllyRepo *repo)
{
	ProllyView *view = g_new0(ProllyView, 1);

	view->references = 1;
	view->repo = repo;
	return view;
}

ProllyView *prolly_view_new_live(ProllyRepo *repo, ProllyBranch *branch)
{
	ProllyView *view = view_new(repo);

	view->branch = prolly_branch_ref(branch);
	return view;
}

bool prolly_view_new_pinned(ProllyRepo *repo, ProllyBranch *branch, ProllyView **out_view,
			    GError **error)
{
	g_autoptr(ProllyView) view = prolly_view_new_live(repo, branch);
	bool ok;

	g_mutex_lock(&branch->write_lock);
	ok = prolly_files_flush_all(repo, branch, error);
	if (ok) {
		view->state = prolly_branch_get_state(branch);
		view->held.snapshot = prolly_db_snapshot_new(repo->body->db);
		hold_snapshot(&view->held, repo, branch, view->state);
		view->laid_over = prolly_laid_over_new(repo, view->held.snapshot);
	}
	g_mutex_unlock(&branch->write_lock);
	if (!ok)
		return false;
	*out_view = g_steal_pointer(&view);
	return true;
}

ProllyView *prolly_view_new_namespaces(ProllyRepo *repo, const ProllyCommitId *id,
				       const GArray *namespaces)
{
	ProllyView *view = view_new(repo);

	view->state = prolly_state_new(id, prolly_namespaces_copy(namespaces));
	prolly_state_publish(view->state, repo->body);
	return view;
}

bool prolly_view_new_commit(ProllyRepo *repo, const ProllyCommitId *id, ProllyView **out_view,
			    GError **error)
{
	g_autoptr(GArray) namespaces = NULL;
	ProllyView *view;

	if (!prolly_commit_load_namespaces(repo, id, &namespaces, error))
		return false;
	view = view_new(repo);
	view->state = prolly_state_new(id, g_steal_pointer(&namespaces));
	prolly_state_publish(view->state, repo->body);
	*out_view = view;
	return true;
}

ProllyView *prolly_view_ref(ProllyView *view)
{
	g_atomic_int_inc(&view->references);
	return view;
}

void prolly_view_unref(ProllyView *view)
{
	if (!view || !g_atomic_int_dec_and_test(&view->references))
		return;
	prolly_laid_over_free(view->laid_over);
	release_snapshot(&view->held, view->repo);
	prolly_state_unref(view->state);
	prolly_branch_unref(view->branch);
	g_free(view);
}

ProllyBranch *prolly_view_get_branch(const ProllyView *view)
{
	return view->branch;
}

ProllyRepo *prolly_view_get_repo(const ProllyView *view)
{
	return view->repo;
}

const ProllyDbSnapshot *prolly_view_get_snapshot(const ProllyView *view)
{
	return view->held.snapshot;
}

void prolly_view_get_commit(const ProllyView *view, ProllyCommitId *out_id)
{
	if (view->state)
		*out_id = view->state->head;
	else
		prolly_branch_get_head(view->branch, out_id);
}

/* ---- What it shows now ------------------------------------------------------------------- */

/* Begins a read; the state is the caller's to give back with end_read. */
static void begin_read(ProllyView *view, ProllyWorking *out_working)
{
	*out_working = (ProllyWorking){
		.repo = view->repo,
		.branch = view->branch,
		.state = view->state ? prolly_state_ref(view->state)
				     : prolly_branch_get_state(view->branch),
		.snapshot = view->held.snapshot,
	};
}

/* True if what was read since begin_read is what the view showed all the time. */
static bool end_read(ProllyView *view, ProllyWorking *working)
{
	g_autoptr(ProllyState) now = NULL;
	bool same = true;

	if (!view->state) {
		now = prolly_branch_get_state(view->branch);
		same = now == working->state;
	}
	g_clear_pointer(&working->state, prolly_state_unref);
	return same;
}

void prolly_pin_init(ProllyPin *pin, ProllyView *view)
{
	ProllyDb *db = view->repo->body->db;

	memset(pin, 0, sizeof(*pin));
	for (;;) {
		ProllyState *state;

		begin_read(view, &pin->working);
		if (!view->state)
			pin->held.snapshot = prolly_db_snapshot_new(db);
		state = prolly_state_ref(pin->working.state);
		if (end_read(view, &pin->working)) {
			pin->state = state;
			break;
		}
		prolly_state_unref(state);
		prolly_db_snapshot_free(db, g_steal_pointer(&pin->held.snapshot));
	}
	pin->working.state = pin->state;
	if (!pin->held.snapshot)
		return;
	pin->working.snapshot = pin->held.snapshot;
	hold_snapshot(&pin->held, view->repo, view->branch, pin->state);
}

void prolly_pin_clear(ProllyPin *pin)
{
	release_snapshot(&pin->held, pin->working.repo);
	g_clear_pointer(&pin->state, prolly_state_unref);
}

/* ---- Keys -------------------------------------------------------------------------------- */

static bool get_entry(const ProllyWorking *working, const ProllyPlace *place, bool with_attrs,
		      ProllyEntry *out_entry, bool *out_found, GError **error)
{
	g_auto(ProllyFinding) finding = {0};

	prolly_finding_init(&finding);
	if (!prolly_working_find(working, place, 0, with_attrs, &finding, error))
		return false;
	*out_found = prolly_finding_exists(&finding);
	if (!*out_found)
		return true;
	return prolly_finding_to_entry(&finding, out_entry, error) &&
	       (!with_attrs ||
		prolly_working_get_attrs(working, place, &finding, &out_entry->attrs, error));
}

bool prolly_view_get(ProllyView *view, const ProllyPlace *place, bool with_attrs,
		     ProllyEntry *out_entry, bool *out_found, GError **error)
{
	ProllyWorking working;

	for (;;) {
		g_auto(ProllyEntry) entry = {0};
		g_autoptr(GError) problem = NULL;
		bool found, ok;

		begin_read(view, &working);
		ok = get_entry(&working, place, with_attrs, &entry, &found, &problem);
		if (!end_read(view, &working))
			continue;
		if (!ok) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return false;
		}
		if (found) {
			*out_entry = entry;
			memset(&entry, 0, sizeof(entry));
		}
		*out_found = found;
		return true;
	}
}

bool prolly_view_find_linked(ProllyView *view, uint64_t group, char **out_ns, GBytes **out_key,
			     GError **error)
{
	g_autofree ProllyOwnedPlace *member = NULL;
	ProllyWorking working;
	bool ok, is_true;

	do {
		g_clear_pointer(&member, g_free);
		g_clear_error(error);
		begin_read(view, &working);
		ok = prolly_links_find_one(&working, group, &member, error);
		is_true = end_read(view, &working);
	} while (!is_true);
	if (!ok)
		return false;
	*out_ns = member ? g_strdup(member->place.ns) : NULL;
	*out_key = member ? g_bytes_new(member->place.key, member->place.key_len) : NULL;
	return true;
}

bool prolly_view_read(ProllyView *view, const ProllyEntry *entry, uint64_t offset, void *buffer,
		      size_t len, size_t *out_len, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(view->repo);
	ProllyValue value;
	size_t stored_len;
	const uint8_t *stored = g_bytes_get_data(entry->stored, &stored_len);

	if (entry->extents && view->laid_over)
		return prolly_laid_over_read(view->laid_over, entry, offset, buffer, len, out_len,
					     error);
	if (entry->extents)
		return prolly_extents_read(view->repo, view->held.snapshot, entry, offset, buffer,
					   len, out_len, error);
	return prolly_value_parse(stored, stored_len, &value, error) &&
	       prolly_value_read(context, &value, offset, buffer, len, out_len, error);
}

/* ---- Namespaces -------------------------------------------------------------------------- */

static bool has_keys(const ProllyWorking *working, const char *ns, bool *out_has, GError **error)
{
	return prolly_working_has_keys(working, &(ProllyPlace){ns, NULL, 0}, out_has, error);
}

bool prolly_view_list_namespaces(ProllyView *view, GPtrArray **out_names, GError **error)
{
	g_auto(ProllyPin) pin = {0};
	g_autoptr(GPtrArray) names = NULL;
	bool has;

	prolly_pin_init(&pin, view);
	if (!prolly_working_list_namespaces(&pin.working, &names, error) ||
	    !has_keys(&pin.working, "", &has, error))
		return false;
	if (!has)
		g_ptr_array_remove_index(names, 0);
	*out_names = g_steal_pointer(&names);
	return true;
}

bool prolly_view_has_namespace(ProllyView *view, const char *ns, bool *out_has, GError **error)
{
	g_auto(ProllyPin) pin = {0};

	prolly_pin_init(&pin, view);
	return ns[0] ? prolly_working_has_namespace(&pin.working, ns, out_has, error)
		     : has_keys(&pin.working, ns, out_has, error);
}

/* ---- Directories ------------------------------------------------------------------------- */

static bool get_directory(const ProllyWorking *working, const ProllyPlace *place,
			  ProllyAttrs *out_attrs, bool *out_exists, bool *out_empty, GError **error)
{
	g_auto(ProllyAttrRecord) record = {0};
	ProllyDirectoryState state;
	bool filled;

	if (!prolly_working_find_directory(working, place, out_attrs ? &record : NULL, &state,
					   error))
		return false;
	filled = state == PROLLY_DIRECTORY_FILLED;
	if (state == PROLLY_DIRECTORY_EXISTS && out_empty &&
	    !has_keys(working, place->ns, &filled, error))
		return false;
	if (state != PROLLY_DIRECTORY_GONE && out_attrs &&
	    !prolly_working_get_directory_attrs(working, place, &record, out_attrs, error))
		return false;
	*out_exists = state != PROLLY_DIRECTORY_GONE;
	if (out_empty)
		*out_empty = !filled;
	return true;
}

bool prolly_view_get_directory(ProllyView *view, const ProllyPlace *place, ProllyAttrs *out_attrs,
			       bool *out_exists, bool *out_empty, GError **error)
{
	ProllyWorking working;

	for (;;) {
		g_auto(ProllyAttrs) attrs = {0};
		g_autoptr(GError) problem = NULL;
		bool exists, empty, ok;

		begin_read(view, &working);
		ok = get_directory(&working, place, out_attrs ? &attrs : NULL, &exists,
				   out_empty ? &empty : NULL, &problem);
		if (!end_read(view, &working))
			continue;
		if (!ok) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return false;
		}
		if (out_attrs) {
			*out_attrs = attrs;
			attrs.xattrs = NULL;
		}
		if (out_empty)
			*out_empty = empty;
		*out_exists = exists;
		return true;
	}
}

/* ---- Figures ----------------------------------------------------------------------------- */

static bool get_tree_figures(const ProllyTreeContext *context, const ProllyTree *tree,
			     ProllyNamespaceFigures *out_figures, GError **error)
{
	out_figures->keys = tree->keys;
	out_figures->bytes = tree->bytes;
	prolly_tree_get_root(context->format, tree, &out_figures->root);
	return prolly_tree_get_height(context, tree, &out_figures->height, error);
}

/* The tree name -> root (design.md, section 4), in the store's pending nodes like any other. */
static bool get_all_figures(const ProllyTreeContext *context, const GArray *namespaces,
			    ProllyNamespaceFigures *out_figures, GError **error)
{
	g_autofree ProllyEdit *edits = g_new0(ProllyEdit, namespaces->len);
	g_autofree ProllyHash *roots = g_new0(ProllyHash, namespaces->len);
	uint64_t keys = 0, bytes = 0;
	ProllyTree tree;

	for (guint i = 0; i < namespaces->len; i++) {
		const ProllyNamespace *ns = &g_array_index(namespaces, ProllyNamespace, i);

		prolly_tree_get_root(context->format, &ns->tree, &roots[i]);
		edits[i] = (ProllyEdit){
			.key = (const uint8_t *)ns->name,
			.key_len = strlen(ns->name),
			.value = roots[i].bytes,
			.value_len = PROLLY_HASH_SIZE,
		};
		keys += ns->tree.keys;
		bytes += ns->tree.bytes;
	}
	if (!prolly_tree_apply_array(context, NULL, edits, namespaces->len, &tree, error) ||
	    !get_tree_figures(context, &tree, out_figures, error))
		return false;
	out_figures->keys = keys;
	out_figures->bytes = bytes;
	return true;
}

/* The tree of NS; of the unnamed one, which may not be there, the empty tree. */
static bool find_tree(const ProllyTreeContext *context, const GArray *namespaces, const char *ns,
		      ProllyTree *out_tree, GError **error)
{
	for (guint i = 0; i < namespaces->len; i++) {
		const ProllyNamespace *found = &g_array_index(namespaces, ProllyNamespace, i);

		if (!strcmp(found->name, ns)) {
			*out_tree = found->tree;
			return true;
		}
	}
	if (ns[0])
		return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s: no such namespace", ns);
	return prolly_tree_init_empty(context, out_tree, error);
}

/*
 * The namespaces of VIEW, or those that a commit now would give: PIN's, or FOLD's. A throw-away
 * store over the view's would have to share its cache; pending nodes are idempotent, and a commit of
 * the same state writes the same ones.
 */
static bool get_namespaces(ProllyView *view, ProllyPin *pin, ProllyFold *fold,
			   const GArray **out_namespaces, GError **error)
{
	bool empty = true;

	prolly_pin_init(pin, view);
	if (view->branch &&
	    !prolly_staged_is_empty(view->repo, view->branch, pin->state, &empty, error))
		return false;
	if (!empty && !prolly_fold_run(&pin->working, 0, false, fold, error))
		return false;
	*out_namespaces = empty ? pin->state->namespaces : fold->namespaces;
	return true;
}

bool prolly_view_get_tree(ProllyView *view, const char *ns, ProllyTree *out_tree, GError **error)
{
	g_auto(ProllyPin) pin = {0};
	g_auto(ProllyFold) fold = {0};
	const GArray *namespaces;

	return get_namespaces(view, &pin, &fold, &namespaces, error) &&
	       find_tree(prolly_repo_get_context(view->repo), namespaces, ns, out_tree, error);
}

bool prolly_view_get_figures(ProllyView *view, const char *ns, ProllyNamespaceFigures *out_figures,
			     GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(view->repo);
	/* Trees that nothing refers to are made, and read. */
	g_auto(ProllyGuard) guard = prolly_guard_enter(view->repo);
	g_auto(ProllyPin) pin = {0};
	g_auto(ProllyFold) fold = {0};
	const GArray *namespaces;
	ProllyTree tree;

	if (!get_namespaces(view, &pin, &fold, &namespaces, error))
		return false;
	if (!ns)
		return get_all_figures(context, namespaces, out_figures, error);
	return find_tree(context, namespaces, ns, &tree, error) &&
	       get_tree_figures(context, &tree, out_figures, error);
}
