/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three states of a store, namespace by namespace and key by key.
 *
 * Each namespace is a three-way comparison of trees (core/tree/merge.c), which reads only what one
 * of the sides changed. Nothing is read of a namespace that theirs did not change, or that ours
 * changed to the same. A side that does not have a namespace has the empty tree of it.
 */
#include "version/merge-private.h"

#include <string.h>

GArray *prolly_namespaces_new(void)
{
	GArray *namespaces = g_array_new(FALSE, FALSE, sizeof(ProllyNamespace));

	g_array_set_clear_func(namespaces, prolly_namespace_clear);
	return namespaces;
}

const ProllyTree *prolly_namespaces_find(const GArray *namespaces, const char *name)
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

bool prolly_sides_init(ProllySides *out_sides, ProllyRepo *repo, const GArray *base,
		       const GArray *ours, const GArray *theirs, GError **error)
{
	*out_sides = (ProllySides){
		.context = prolly_repo_get_context(repo),
		.base = base,
		.ours = ours,
		.theirs = theirs,
	};
	return prolly_tree_init_empty(out_sides->context, &out_sides->empty, error);
}

static ProllyTrio make_trio(const ProllySides *sides, const char *name)
{
	const ProllyTree *base = prolly_namespaces_find(sides->base, name);
	const ProllyTree *ours = prolly_namespaces_find(sides->ours, name);
	const ProllyTree *theirs = prolly_namespaces_find(sides->theirs, name);

	return (ProllyTrio){
		.name = name,
		.base = base ? base : &sides->empty,
		.ours = ours ? ours : &sides->empty,
		.theirs = theirs ? theirs : &sides->empty,
		.in_base = base != NULL,
		.in_ours = ours != NULL,
		.in_theirs = theirs != NULL,
	};
}

GArray *prolly_sides_list(const ProllySides *sides)
{
	const GArray *all[] = {sides->base, sides->ours, sides->theirs};
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	GArray *trios = g_array_new(FALSE, FALSE, sizeof(ProllyTrio));

	for (size_t side = 0; side < G_N_ELEMENTS(all); side++) {
		for (guint i = 0; i < all[side]->len; i++)
			g_ptr_array_add(names, g_array_index(all[side], ProllyNamespace, i).name);
	}
	g_ptr_array_sort(names, prolly_strings_compare);
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		ProllyTrio trio;

		if (i > 0 && strcmp(name, g_ptr_array_index(names, i - 1)) == 0)
			continue;
		trio = make_trio(sides, name);
		g_array_append_val(trios, trio);
	}
	return trios;
}

bool prolly_trio_is_changed(const ProllyTrio *trio)
{
	return !prolly_tree_equal(trio->base, trio->theirs) &&
	       !prolly_tree_equal(trio->ours, trio->theirs);
}

static bool foreach_step(const ProllySides *sides, const ProllyTrio *trio, ProllyStepFunc func,
			 void *data, GError **error)
{
	g_autoptr(ProllyMerge) merge =
		prolly_merge_new(sides->context, trio->base, trio->ours, trio->theirs);
	ProllyMergeStep step;
	bool end = false;

	while (prolly_merge_next(merge, &step, &end, error)) {
		ProllyPlace place = {trio->name, step.key, step.key_len};

		if (end)
			return true;
		if (step.side != PROLLY_SIDE_THEIRS && step.side != PROLLY_SIDE_BOTH)
			continue;
		if (!func(data, &place, &step, error))
			return false;
	}
	return false;
}

bool prolly_sides_foreach(const ProllySides *sides, ProllyStepFunc func, void *data, GError **error)
{
	g_autoptr(GArray) trios = prolly_sides_list(sides);

	for (guint i = 0; i < trios->len; i++) {
		const ProllyTrio *trio = &g_array_index(trios, ProllyTrio, i);

		if (prolly_trio_is_changed(trio) && !foreach_step(sides, trio, func, data, error))
			return false;
	}
	return true;
}

bool prolly_sides_change_namespaces(const ProllySides *sides)
{
	g_autoptr(GArray) trios = prolly_sides_list(sides);

	for (guint i = 0; i < trios->len; i++) {
		const ProllyTrio *trio = &g_array_index(trios, ProllyTrio, i);

		/* one with keys goes only if these do */
		if (trio->in_base == trio->in_ours && trio->in_base != trio->in_theirs &&
		    (trio->in_theirs || trio->ours->keys == 0))
			return true;
	}
	return false;
}
