/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a branch's move from outside changed: by whoever used git on the store while we had it open.
 *
 * The keys are found by comparing the trees of the namespaces before and after, and named to the
 * observer if they are few. Open files are few too, so each is asked for by name in both: one whose
 * committed value changed shows what is not there any more, and becomes an orphan, unless what is
 * staged hides the change.
 */
#include "version/repo-private.h"

#include <string.h>

#include "version/view.h"
#include "version/working-private.h"

static bool get_committed(ProllyRepo *repo, const ProllyState *state, const ProllyPlace *place,
			  ProllyValueRef *out_value, GError **error)
{
	const ProllyTree *tree = prolly_state_find_namespace(state, place->ns);

	return !tree ||
	       prolly_tree_get(&repo->context, tree, place->key, place->key_len, out_value, error);
}

static bool has_changed(ProllyRepo *repo, const ProllyState *from, const ProllyState *to,
			const ProllyPlace *place, bool *out_changed, GError **error)
{
	g_auto(ProllyValueRef) old = {0};
	g_auto(ProllyValueRef) new = {0};

	if (!get_committed(repo, from, place, &old, error) ||
	    !get_committed(repo, to, place, &new, error))
		return false;
	*out_changed = !old.node != !new.node || old.len != new.len ||
		       (old.node && memcmp(old.data, new.data, old.len) != 0);
	return true;
}

static bool is_staged(ProllyView *view, const ProllyPlace *place, bool *out_staged, GError **error)
{
	g_auto(ProllyEntry) entry = {0};
	bool found;

	if (!prolly_view_get(view, place, false, &entry, &found, error))
		return false;
	*out_staged = found && entry.is_staged;
	return true;
}

static bool orphan_changed_files(ProllyRepo *repo, ProllyBranch *branch, const ProllyState *from,
				 const ProllyState *to, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(ProllyView) view = prolly_view_new_live(repo, branch);
	GHashTableIter iter;
	gpointer place;

	g_hash_table_iter_init(&iter, branch->files);
	while (g_hash_table_iter_next(&iter, &place, NULL))
		g_ptr_array_add(names, prolly_place_dup(place));
	for (guint i = 0; i < names->len; i++) {
		const ProllyOwnedPlace *name = g_ptr_array_index(names, i);
		bool changed;
		bool staged = false;

		if (!has_changed(repo, from, to, &name->place, &changed, error) ||
		    (changed && !is_staged(view, &name->place, &staged, error)))
			return false;
		if (changed && !staged)
			prolly_files_orphan(branch, &name->place);
	}
	return true;
}

/* Adds what differs between A and B, of BEFORE and after, until PLACES holds one more than is told;
 * and the names that hard links are left with, whose number is another. */
static bool collect_places(const ProllyWorking *before, const char *ns, const ProllyTree *a,
			   const ProllyTree *b, GPtrArray *places, GError **error)
{
	g_autoptr(ProllyDiff) diff =
		prolly_diff_new(&before->repo->context, a, b, NULL, 0, NULL, 0);

	while (places->len <= PROLLY_OBSERVER_PLACES_MAX) {
		ProllyChange change;
		ProllyPlace place;
		bool end;

		if (!prolly_diff_next(diff, &change, &end, error))
			return false;
		if (end)
			break;
		place = (ProllyPlace){ns, change.key, change.key_len};
		g_ptr_array_add(places, prolly_place_dup(&place));
		if (!prolly_links_list_others(before, &place, places, error))
			return false;
	}
	return true;
}

/* Do both have namespaces of the same names? */
static bool have_same_names(const ProllyState *a, const ProllyState *b)
{
	if (a->namespaces->len != b->namespaces->len)
		return false;
	for (guint i = 0; i < a->namespaces->len; i++)
		if (strcmp(g_array_index(a->namespaces, ProllyNamespace, i).name,
			   g_array_index(b->namespaces, ProllyNamespace, i).name) != 0)
			return false;
	return true;
}

bool prolly_branch_take_move(ProllyRepo *repo, ProllyBranch *branch, const ProllyState *from,
			     const ProllyState *to, GPtrArray **out_places, GError **error)
{
	g_autoptr(ProllyState) state = prolly_state_ref((ProllyState *)from);
	ProllyWorking before = {.repo = repo, .branch = branch, .state = state};
	g_autoptr(GPtrArray) places = NULL;

	if (!orphan_changed_files(repo, branch, from, to, error))
		return false;
	if (have_same_names(from, to))
		places = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; places && i < from->namespaces->len; i++) {
		const ProllyNamespace *a = &g_array_index(from->namespaces, ProllyNamespace, i);
		const ProllyNamespace *b = &g_array_index(to->namespaces, ProllyNamespace, i);

		if (!collect_places(&before, a->name, &a->tree, &b->tree, places, error))
			return false;
		if (places->len > PROLLY_OBSERVER_PLACES_MAX)
			g_clear_pointer(&places, g_ptr_array_unref);
	}
	*out_places = g_steal_pointer(&places);
	return true;
}

static bool equal_values(const ProllyFinding *a, const ProllyFinding *b)
{
	if (!prolly_finding_exists(a) || !prolly_finding_exists(b))
		return prolly_finding_exists(a) == prolly_finding_exists(b);
	return a->extents == b->extents && a->stored_len == b->stored_len &&
	       memcmp(a->stored, b->stored, a->stored_len) == 0;
}

bool prolly_working_orphan_files(const ProllyWorking *before, const ProllyWorking *after,
				 GError **error)
{
	g_autoptr(GPtrArray) names = prolly_files_list_names(before->branch);

	for (guint i = 0; i < names->len; i++) {
		const ProllyOwnedPlace *name = g_ptr_array_index(names, i);
		g_auto(ProllyFinding) old = {0};
		g_auto(ProllyFinding) new = {0};

		prolly_finding_init(&old);
		prolly_finding_init(&new);
		if (!prolly_working_find(before, &name->place, 0, false, &old, error) ||
		    !prolly_working_find(after, &name->place, 0, false, &new, error))
			return false;
		if (!equal_values(&old, &new))
			prolly_files_orphan(before->branch, &name->place);
	}
	return true;
}

void prolly_branch_notify_places(ProllyRepo *repo, ProllyBranch *branch, const GPtrArray *owned,
				 bool is_found)
{
	ProllyPlace places[PROLLY_OBSERVER_PLACES_MAX];

	if (!owned || owned->len > G_N_ELEMENTS(places)) {
		prolly_repo_notify(repo, branch, NULL, 0, is_found);
		return;
	}
	for (guint i = 0; i < owned->len; i++)
		places[i] = ((const ProllyOwnedPlace *)g_ptr_array_index(owned, i))->place;
	if (owned->len)
		prolly_repo_notify(repo, branch, places, owned->len, is_found);
}
