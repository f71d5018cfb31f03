/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees of a merge: theirs' changes, and what was decided of keys that both changed, applied to
 * ours as one batch a namespace. What ours and theirs have in common is neither read nor written.
 *
 * Directory markers (an entry of kind DIRECTORY exists just while its directory is empty): one side
 * may have emptied a directory, or made it, while the other put keys into it. Then a marker and
 * keys meet in the result, and the marker goes. Only two things can bring that about: a key that
 * comes in below a marker of ours, and a marker that comes in above keys of ours; both are noticed
 * as they are applied.
 *
 * A namespace is in the result if either side has it, but for one that a side deleted and in which
 * the other changed nothing; the unnamed one if it has keys.
 */
#include "version/merge-private.h"

#include <string.h>

#define KIND_MASK 0x7f

typedef struct {
	const ProllyTreeContext *context;
	const ProllyTrio *trio;
	ProllyDecideFunc decide;
	void *decide_data;
	ProllyMerge *merge;
	GBytes *decided;    /* of the last edit, if that was decided */
	GPtrArray *markers; /* of GBytes: keys of markers that may have keys below them now */
	GByteArray *parent; /* of the last key that was looked at */
} Apply;

bool prolly_stored_is_marker(const uint8_t *stored, size_t len)
{
	return stored && len > 0 && (stored[0] & KIND_MASK) == PROLLY_KIND_DIRECTORY;
}

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
		if (!prolly_tree_get(self->context, self->trio->ours, key, i, &value, error))
			return false;
		if (value.node && prolly_stored_is_marker(value.data, value.len))
			note_marker(self, key, i);
	}
	return true;
}

/* What EDIT makes of directories. A key that ours has lies in no empty one. */
static bool note_edit(Apply *self, const ProllyMergeStep *step, const ProllyEdit *edit,
		      GError **error)
{
	bool has = false;

	if (!edit->value || !prolly_namespace_has_directories(self->trio->name))
		return true;
	if (!prolly_stored_is_marker(edit->value, edit->value_len))
		return step->ours || note_parents(self, step->key, step->key_len, error);
	if (!has_keys_below(self->context, self->trio->ours, step->key, step->key_len, &has, error))
		return false;
	if (has)
		note_marker(self, step->key, step->key_len);
	return true;
}

static bool make_edit(Apply *self, const ProllyMergeStep *step, ProllyEdit *edit, GError **error)
{
	ProllyPlace place = {self->trio->name, step->key, step->key_len};

	g_clear_pointer(&self->decided, g_bytes_unref);
	if (!self->decide(self->decide_data, &place, step, &self->decided, error))
		return false;
	edit->value = self->decided ? g_bytes_get_data(self->decided, &edit->value_len) : NULL;
	return true;
}

/* The ProllyEditFunc. */
static bool next_edit(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Apply *self = data;
	ProllyMergeStep step;

	do {
		if (!prolly_merge_next(self->merge, &step, out_end, error))
			return false;
		if (*out_end)
			return true;
	} while (step.side != PROLLY_SIDE_THEIRS && step.side != PROLLY_SIDE_BOTH);
	*out_edit = (ProllyEdit){step.key, step.key_len, step.theirs, step.theirs_len};
	return (step.side != PROLLY_SIDE_BOTH || make_edit(self, &step, out_edit, error)) &&
	       note_edit(self, &step, out_edit, error);
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

static bool merge_tree(const ProllySides *sides, const ProllyTrio *trio, ProllyDecideFunc decide,
		       void *data, ProllyTree *out_tree, GError **error)
{
	Apply apply = {
		.context = sides->context,
		.trio = trio,
		.decide = decide,
		.decide_data = data,
	};
	bool ok;

	if (prolly_tree_equal(trio->base, trio->ours)) {
		*out_tree = *trio->theirs;
		return true;
	}
	if (!prolly_trio_is_changed(trio)) {
		*out_tree = *trio->ours;
		return true;
	}
	apply.merge = prolly_merge_new(apply.context, trio->base, trio->ours, trio->theirs);
	apply.markers = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	apply.parent = g_byte_array_new();
	/* No key is in the directory 0xff, so the first key's parent is looked at. */
	g_byte_array_append(apply.parent, (const uint8_t *)"\xff", 1);
	ok = prolly_tree_apply(apply.context, trio->ours, next_edit, &apply, out_tree, error) &&
	     drop_markers(&apply, out_tree, error);
	prolly_merge_free(apply.merge);
	g_ptr_array_unref(apply.markers);
	g_byte_array_unref(apply.parent);
	g_clear_pointer(&apply.decided, g_bytes_unref);
	return ok;
}

static bool is_kept(const ProllyTrio *trio, const ProllyTree *merged)
{
	if (merged->keys > 0)
		return true;
	if (trio->name[0] == '\0')
		return false;
	/* One side deleted what both had; else somebody has it. */
	return !trio->in_base || (trio->in_ours && trio->in_theirs);
}

bool prolly_sides_merge(const ProllySides *sides, ProllyDecideFunc decide, void *data,
			GArray **out_namespaces, GError **error)
{
	g_autoptr(GArray) trios = prolly_sides_list(sides);
	g_autoptr(GArray) merged = prolly_namespaces_new();

	for (guint i = 0; i < trios->len; i++) {
		const ProllyTrio *trio = &g_array_index(trios, ProllyTrio, i);
		ProllyNamespace ns;

		if (!merge_tree(sides, trio, decide, data, &ns.tree, error))
			return false;
		if (!is_kept(trio, &ns.tree))
			continue;
		ns.name = g_strdup(trio->name);
		g_array_append_val(merged, ns);
	}
	*out_namespaces = g_steal_pointer(&merged);
	return true;
}
