/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits: a sorted batch of them and an old tree give a new tree, in one pass.
 *
 * Two things walk the old tree in key order. The *scout*, a path, looks up each edit before it is
 * used: one that changes nothing (the same value, or the deletion of a key that is not there) is
 * dropped there, and so is never the reason to write anything. The *rebuild* recurses from the top:
 *
 *	internal node: the children before the next edit are taken over by reference, if no node is
 *	under construction on the levels below; any other child is rebuilt.
 *	leaf: its entries, merged with the edits that belong to it, go to the chunker one by one.
 *
 * When re-chunking may stop. A child may be taken over exactly if the new tree begins a node where
 * the child's first leaf begins, on every level below its parent: then the nodes that follow in the
 * new tree are a function of the same entries, up to the child's end, where the old tree has a cut,
 * and so the new one has it too. The last node of a level is the exception: it may end without a
 * cut, and can be taken over only when nothing will follow. Since the recursion asks at each node
 * from the top down, what is taken over is taken at the highest level where both trees are aligned;
 * and after an edit leaves are re-chunked only until a cut that both have.
 *
 * An edit belongs to the leaf in which the scout found its place, which is the first whose last key
 * is not less, or the last leaf. So the recursion needs no keys: it compares nodes with the
 * scout's.
 *
 * Cost of one edit: the path is read, and in the mean h + 0.2..0.4 nodes are written, 12 KB with
 * the defaults. Memory: the path, one draft a level, and the last edit's key.
 *
 * What is rebuilt is offered to the chunker as the source of the node that comes in its place
 * (draft.c): nearly all internal nodes, and leaves where values are replaced by others as long, become
 * copies with a few bytes changed.
 *
 * Rejected: a separate way for appends, which is what the scout and the recursion do anyway when all
 * edits are behind the last key.
 *
 * Invariants:
 * M1  If has_edit, `edit` changes the tree, no key of it was added yet, and the scout stands at its
 *     place.
 * M2  Everything before what the recursion looks at is in the chunker.
 */
#include "base/memory.h"
#include "tree/tree-private.h"

typedef struct {
	const ProllyTreeContext *context;
	ProllyEditFunc next;
	void *data;

	ProllyPath scout;
	bool scouting; /* there is an old tree with keys */
	ProllyEdit edit;
	bool has_edit;
	bool replaces;           /* the old tree has the edit's key */
	bool edits_stay;         /* keys and values where they are, until all is done */
	const uint8_t *last_key; /* NULL before the first edit */
	size_t last_len;
	uint8_t *last_buffer; /* where it is, if they do not */
	size_t last_capacity;

	ProllyChunker *chunker;
	ProllyBulkArray *array; /* both NULL: the chunker makes the leaves too */
	ProllyBulk *bulk;
	uint64_t loaded; /* bytes of entries, without an old tree */
} Apply;

/* A load of so many bytes is worth several threads. */
#define BULK_FROM (512u << 10)

/* ---- The scout --------------------------------------------------------------------------- */

/* The start of a key, printable. */
static char *quote_key(const uint8_t *key, size_t len)
{
	GString *text = g_string_new("\"");

	for (size_t i = 0; i < MIN(len, 40); i++) {
		if (g_ascii_isprint(key[i]) && key[i] != '"' && key[i] != '\\')
			g_string_append_c(text, (char)key[i]);
		else
			g_string_append_printf(text, "\\x%02x", key[i]);
	}
	g_string_append(text, len > 40 ? "\"..." : "\"");
	return g_string_free(text, FALSE);
}

/* The first words mostly tell, and that without a call. */
static inline bool is_less(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t common = MIN(a_len, b_len), i = 0;

	for (; i + 8 <= common; i += 8) {
		uint64_t x = prolly_get_be64(a + i), y = prolly_get_be64(b + i);

		if (x != y)
			return x < y;
	}
	return prolly_bytes_compare(a + i, a_len - i, b + i, b_len - i) < 0;
}

static bool check_edit(Apply *self, GError **error)
{
	const ProllyEdit *edit = &self->edit;
	g_autofree char *quoted = NULL;

	if (G_LIKELY(edit->key_len <= PROLLY_KEY_MAX &&
		     (!edit->value || edit->value_len <= PROLLY_TREE_VALUE_MAX) &&
		     (!self->last_key ||
		      is_less(self->last_key, self->last_len, edit->key, edit->key_len))))
		return true;

	quoted = quote_key(edit->key, edit->key_len);
	if (edit->key_len > PROLLY_KEY_MAX)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
				    "key %s: %zu bytes are more than the limit of %u", quoted,
				    edit->key_len, PROLLY_KEY_MAX);
	if (edit->value && edit->value_len > PROLLY_TREE_VALUE_MAX)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
				    "key %s: a value of %zu bytes is over the limit of %u", quoted,
				    edit->value_len, PROLLY_TREE_VALUE_MAX);
	return prolly_throw(error, PROLLY_ERROR_INVALID,
			    "key %s: edits are not in strictly ascending order", quoted);
}

static void remember_key(Apply *self)
{
	size_t len = self->edit.key_len;

	self->last_key = self->edit.key;
	self->last_len = len;
	if (self->edits_stay)
		return;
	if (!self->last_buffer || len > self->last_capacity) {
		self->last_capacity = 2 * len + 64;
		self->last_buffer = g_realloc(self->last_buffer, self->last_capacity);
	}
	memcpy(self->last_buffer, self->edit.key, len);
	self->last_key = self->last_buffer;
}

/* Finds the edit's place, and whether it changes anything. */
static bool scout_edit(Apply *self, bool *out_changes, GError **error)
{
	const ProllyEdit *edit = &self->edit;
	const ProllyPathFrame *leaf = &self->scout.frames[0];
	const uint8_t *value;
	size_t len;

	self->replaces = false;
	if (self->scouting && !prolly_path_seek_forward(&self->scout, edit->key, edit->key_len,
							&self->replaces, error))
		return false;
	if (!self->replaces || !edit->value) {
		*out_changes = self->replaces || edit->value;
		return true;
	}
	value = node_get_value(leaf->view, leaf->index, &len);
	*out_changes = len != edit->value_len || memcmp(value, edit->value, len) != 0;
	return true;
}

/* Goes to the next edit that changes the tree (M1). */
static bool next_edit(Apply *self, GError **error)
{
	bool end = false, changes = false;

	self->has_edit = false;
	while (!changes) {
		self->edit = (ProllyEdit){0};
		if (!self->next(self->data, &self->edit, &end, error))
			return false;
		if (end)
			return true;
		self->edit.key = key_or_empty(self->edit.key);
		if (!check_edit(self, error))
			return false;
		remember_key(self);
		if (!scout_edit(self, &changes, error))
			return false;
	}
	self->has_edit = true;
	return true;
}

/* Puts the edit into the new tree, and goes to the next. */
static bool use_edit(Apply *self, GError **error)
{
	const ProllyEdit *edit = &self->edit;

	if (edit->value && !prolly_chunker_add(self->chunker, edit->key, edit->key_len, edit->value,
					       edit->value_len, error))
		return false;
	return next_edit(self, error);
}

/* ---- The rebuild ------------------------------------------------------------------------- */

/* Does the next edit's place lie below VIEW? Then it is entry *OUT_INDEX there. */
static bool is_edited(const Apply *self, const ProllyNodeView *view, uint32_t *out_index)
{
	const ProllyPathFrame *frame = &self->scout.frames[view->level];

	if (!self->has_edit || frame->view != view)
		return false;
	*out_index = frame->index;
	return true;
}

static bool rebuild_leaf(Apply *self, ProllyNode *node, const ProllyNodeView *view, GError **error)
{
	uint32_t done = 0, place;

	while (is_edited(self, view, &place)) {
		if (!prolly_chunker_add_range(self->chunker, node, view, done, place, error))
			return false;
		done = place + (self->replaces ? 1 : 0);
		if (!use_edit(self, error))
			return false;
	}
	return prolly_chunker_add_range(self->chunker, node, view, done, view->count, error);
}

/* (transfer full) Child I of VIEW; from the scout if it has it. */
static ProllyNode *load_child(Apply *self, const ProllyNodeView *view, uint32_t i,
			      const ProllyNodeView **out_view, GError **error)
{
	const ProllyPathFrame *child = &self->scout.frames[view->level - 1];
	uint32_t place;

	if (!is_edited(self, view, &place) || place != i)
		return prolly_path_load_child(&self->scout.context, view, i, out_view, error);
	*out_view = child->view;
	return prolly_node_ref(child->node);
}

static bool rebuild(Apply *self, ProllyNode *node, const ProllyNodeView *view, GError **error);

static bool rebuild_children(Apply *self, ProllyNode *node, const ProllyNodeView *view,
			     GError **error)
{
	uint32_t i = 0;

	while (i < view->count) {
		uint32_t edited = view->count;

		(void)is_edited(self, view, &edited);
		if (i < edited && prolly_chunker_is_aligned(self->chunker, view->level)) {
			if (!prolly_chunker_add_range(self->chunker, node, view, i, edited, error))
				return false;
			i = edited;
		} else {
			const ProllyNodeView *child_view;
			g_autoptr(ProllyNode) child = load_child(self, view, i, &child_view, error);

			if (!child || !rebuild(self, child, child_view, error))
				return false;
			i++;
		}
	}
	return true;
}

static bool rebuild(Apply *self, ProllyNode *node, const ProllyNodeView *view, GError **error)
{
	bool ok;

	prolly_chunker_offer(self->chunker, view->level, node, view);
	ok = view->level == 0 ? rebuild_leaf(self, node, view, error)
			      : rebuild_children(self, node, view, error);
	prolly_chunker_offer(self->chunker, view->level, NULL, NULL);
	return ok;
}

/* ---- The load ---------------------------------------------------------------------------- */

/* Is this a place from which on several threads make the leaves, and worth it? */
static bool wants_bulk(Apply *self, bool is_parallel)
{
	return is_parallel && self->loaded >= BULK_FROM &&
	       (self->array ? prolly_bulk_array_is_aligned(self->array)
			    : prolly_chunker_is_aligned(self->chunker, 1));
}

static bool load_edit(Apply *self, GError **error)
{
	const ProllyEdit *edit = &self->edit;

	self->loaded += edit->key_len + edit->value_len;
	if (!self->array)
		return use_edit(self, error);
	return prolly_bulk_array_add(self->array, edit, error) && next_edit(self, error);
}

/* All edits, of which there is nothing to be scouted: all have values. */
static bool load(Apply *self, GError **error)
{
	bool is_parallel = prolly_pool_is_parallel(prolly_store_get_pool(self->context->store));

	if (self->edits_stay)
		self->array = prolly_bulk_array_new(self->context, self->chunker);
	while (self->has_edit && !wants_bulk(self, is_parallel)) {
		if (!load_edit(self, error))
			return false;
	}
	if (self->array && !prolly_bulk_array_finish(self->array, error))
		return false;
	if (!self->has_edit)
		return true;
	self->bulk = prolly_bulk_new(self->context, self->chunker, error);
	if (!self->bulk)
		return false;
	while (self->has_edit) {
		const ProllyEdit *edit = &self->edit;

		if (!prolly_bulk_add(self->bulk, edit->key, edit->key_len, edit->value,
				     edit->value_len, error) ||
		    !next_edit(self, error))
			return false;
	}
	return prolly_bulk_finish(self->bulk, error);
}

/* The new tree, after the first edit that changes something was found. */
static bool apply_edits(Apply *self, ProllyTree *out_tree, GError **error)
{
	const ProllyPathFrame *top;
	g_autoptr(ProllyNode) node = NULL;

	if (self->scouting) {
		top = &self->scout.frames[self->scout.height - 1];
		node = prolly_node_ref(top->node);
		if (!rebuild(self, node, top->view, error))
			return false;
	} else if (!load(self, error)) {
		return false;
	}
	return prolly_chunker_finish(self->chunker, out_tree, error);
}

static bool apply(const ProllyTreeContext *context, const ProllyTree *tree, ProllyEditFunc next,
		  void *data, bool edits_stay, ProllyTree *out_tree, GError **error)
{
	Apply self = {
		.context = context,
		.next = next,
		.data = data,
		.edits_stay = edits_stay,
		.scouting = tree && tree->keys > 0,
	};
	bool ok;

	if (self.scouting)
		prolly_path_init(&self.scout, context, tree);
	ok = next_edit(&self, error);
	if (ok && self.has_edit) {
		/* Edits are checked; what lies between them in an old tree is not. */
		self.chunker = prolly_chunker_new(context, !self.scouting, error);
		ok = self.chunker && apply_edits(&self, out_tree, error);
		prolly_bulk_free(self.bulk);
		prolly_bulk_array_free(self.array);
		prolly_chunker_free(self.chunker);
	} else if (ok && tree) {
		*out_tree = *tree;
	} else if (ok) {
		ok = prolly_tree_init_empty(context, out_tree, error);
	}
	if (self.scouting)
		prolly_path_unwind(&self.scout);
	g_free(self.last_buffer);
	return ok;
}

bool prolly_tree_apply(const ProllyTreeContext *context, const ProllyTree *tree,
		       ProllyEditFunc next, void *data, ProllyTree *out_tree, GError **error)
{
	return apply(context, tree, next, data, false, out_tree, error);
}

/* ---- From an array ----------------------------------------------------------------------- */

typedef struct {
	const ProllyEdit *next;
	const ProllyEdit *end;
} EditArray;

/* So far ahead are keys and values asked for: what is to be loaded is seldom in the processor's
 * caches. */
#define EDITS_AHEAD 12

static bool next_of_array(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	EditArray *array = data;

	if (array->end - array->next > EDITS_AHEAD) {
		const ProllyEdit *ahead = array->next + EDITS_AHEAD;

		__builtin_prefetch(ahead->key);
		__builtin_prefetch(ahead->value);
		__builtin_prefetch((const void *)((uintptr_t)ahead->value + 64));
	}
	*out_end = array->next == array->end;
	if (!*out_end)
		*out_edit = *array->next++;
	return true;
}

bool prolly_tree_apply_array(const ProllyTreeContext *context, const ProllyTree *tree,
			     const ProllyEdit *edits, size_t n, ProllyTree *out_tree,
			     GError **error)
{
	EditArray array = {edits, edits + n};

	return apply(context, tree, next_of_array, &array, true, out_tree, error);
}
