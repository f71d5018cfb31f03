/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees as values: making, naming, looking up, and checking them whole.
 *
 * A look-up goes down with one node in hand, so that it allocates nothing, and takes a hint of the
 * last one above the leaves (hint.c). prolly_tree_verify is the only reader that trusts no one: it
 * checks in addition what decoding (node.c) and loading (path.c) leave open, and so that the tree is
 * the one that its contents must have:
 * V1  The last key below a child is the child's key, and its first is greater than the key before.
 * V2  No entry but the last of its node is followed by a cut under the boundary rule; the last is,
 *     but in the last node of a level.
 * V3  The top is a leaf or has two children.
 * Who verifies many trees need not go below a node that was found sound, but another parent may say
 * other things of it: so V1 is checked, and what path.c checks, for each.
 *
 * What a look-up costs is waiting for memory. Of 1,000 entries, which are in the processor's cache, it
 * takes 47 ns, of 10,000 72, of a million, without a hint, 390, with one level more: 24 ns a level, and
 * the rest is two rounds, one for the leaf and, when that was searched, one for the value. (A key that
 * is not there needs one, 270.) A program that does nothing but that with blocks of a leaf's size,
 * and its 12 lines asked for at once (store.c), waits for (nanoseconds; "known": the value is asked
 * for with the leaf):
 *
 *	                      leaf   leaf, value   known   the same, large pages
 *	14 MB (100,000)         22            42      24         22    89    41
 *	143 MB (a million)     194           318     217        132   293   191
 *	1.4 GB (10 million)    296           471     317        240   391   222
 *
 * So a look-up in 10 million cannot cost twice one in 100,000, which waits for hardly anything, with
 * either size of pages: it takes 640 to 840 ns to 150 to 240 (in one run, 836 to 236; LMDB 1,433 to
 * 351).
 *
 * Rejected: all of the leaf asked for with its first lines (64 of them take as long as the round that
 * they save); a guess at the value's place, by where the key is between the heads of its neighbours in
 * the parent, with count and sizes of the leaf noted in the link to it (a key that is there 40 ns
 * less, one that is not 15 more, and nothing won where keys are not spread evenly); to compare
 * prefixes without a call (1 ns).
 *
 * Many look-ups go down side by side (prolly_tree_get_many): while one waits for a node, others
 * search theirs. Of a million entries each of 16 takes 160 ns. prolly_tree_get is the plain way, which
 * they are tested against.
 */
#include "tree/tree-private.h"
#include "tree/verify.h"

/* As many as the processor can wait for at once. */
#define SIDE_BY_SIDE 16

bool prolly_tree_init_empty(const ProllyTreeContext *context, ProllyTree *out_tree, GError **error)
{
	ProllyDraft draft = {0};
	ProllyNode *node = prolly_node_encode(context->store, &draft, error);
	ProllyTree tree = {0};

	if (!node || !prolly_store_put_node(context->store, node, &tree.top, error))
		return false;
	*out_tree = tree;
	return true;
}

bool prolly_tree_open(const ProllyTreeContext *context, const ProllyHash *top, ProllyTree *out_tree,
		      GError **error)
{
	g_autoptr(ProllyNode) node = prolly_store_get(context->store, PROLLY_NODE_TREE, top, error);
	const ProllyNodeView *view = node ? prolly_node_decode(context, node, error) : NULL;

	if (!view)
		return false;
	*out_tree = (ProllyTree){*top, view->keys, view->bytes};
	return true;
}

void prolly_tree_get_root(const ProllyFormat *format, const ProllyTree *tree, ProllyHash *out_root)
{
	prolly_hash_compute2(format->descriptor->data, format->descriptor->len, &tree->top,
			     sizeof(tree->top), out_root);
}

bool prolly_tree_equal(const ProllyTree *a, const ProllyTree *b)
{
	return prolly_hash_equal(&a->top, &b->top);
}

bool prolly_tree_get_height(const ProllyTreeContext *context, const ProllyTree *tree,
			    unsigned *out_height, GError **error)
{
	const ProllyNodeView *view;
	g_autoptr(ProllyNode) node = prolly_path_load_top(context, tree, &view, error);

	if (!node)
		return false;
	*out_height = view->level + 1u;
	return true;
}

/* ---- Looking up -------------------------------------------------------------------------- */

void prolly_value_ref_clear(ProllyValueRef *ref)
{
	prolly_node_unref(ref->node);
	*ref = (ProllyValueRef){0};
}

/* Gives the value of KEY in the leaf NODE (transfer full), of VIEW, if it has one. */
static void take_value(ProllyNode *node, const ProllyNodeView *view, const uint8_t *key, size_t len,
		       ProllyValueRef *out_value)
{
	bool found;
	uint32_t index = prolly_node_search(view, key, len, &found);

	if (found) {
		out_value->data = node_get_value(view, index, &out_value->len);
		out_value->node = node;
	} else {
		prolly_node_unref(node);
	}
}

/* The same of leaf I below PARENT, of VIEW, by what is remembered of it or by looking into it. */
static bool get_from_leaf(const ProllyTreeContext *context, ProllyNode *parent,
			  const ProllyNodeView *view, uint32_t i, const uint8_t *key, size_t len,
			  ProllyValueRef *out_value, GError **error)
{
	ProllyHint hint;
	ProllyHintAnswer answer = prolly_hint_ask(context, view, i, key, len, &hint);
	const ProllyNodeView *leaf_view;
	ProllyNode *leaf;

	if (answer == PROLLY_HINT_PERHAPS)
		answer = prolly_hint_take(context, view, i, key, len, &hint, out_value);
	if (answer != PROLLY_HINT_NONE)
		return true;
	leaf = prolly_path_load_child(context, view, i, &leaf_view, error);
	if (!leaf)
		return false;
	prolly_hint_note(context, parent, view, i, leaf_view);
	take_value(leaf, leaf_view, key, len, out_value);
	return true;
}

bool prolly_tree_get(const ProllyTreeContext *context, const ProllyTree *tree, const void *key,
		     size_t key_len, ProllyValueRef *out_value, GError **error)
{
	const uint8_t *bytes = key_or_empty(key);
	const ProllyNodeView *view;
	ProllyNode *node = prolly_path_load_top(context, tree, &view, error);

	*out_value = (ProllyValueRef){0};
	while (node && view->level > 0) {
		bool found;
		uint32_t i = prolly_node_search(view, bytes, key_len, &found);
		ProllyNode *parent = node;

		if (i == view->count) {
			prolly_node_unref(node);
			return true;
		}
		if (view->level == 1) {
			bool ok = get_from_leaf(context, parent, view, i, bytes, key_len, out_value,
						error);

			prolly_node_unref(parent);
			return ok;
		}
		node = prolly_path_load_child(context, view, i, &view, error);
		prolly_node_unref(parent);
	}
	if (!node)
		return false;
	take_value(node, view, bytes, key_len, out_value);
	return true;
}

/* ---- Looking up many --------------------------------------------------------------------- */

/* One of several that go down side by side. */
typedef struct {
	ProllyNode *node; /* (transfer full); NULL: it is done */
	const ProllyNodeView *view;
	uint32_t index; /* of the child to go to */
} Descent;

/* Finds the value, or which child to go to; and asks for that, which is looked at later. */
static void search_one(Descent *self, const ProllyKey *key, ProllyValueRef *out_value)
{
	const uint8_t *bytes = key_or_empty(key->key);
	bool found;

	if (self->view->level == 0) {
		take_value(g_steal_pointer(&self->node), self->view, bytes, key->len, out_value);
		return;
	}
	self->index = prolly_node_search(self->view, bytes, key->len, &found);
	if (self->index < self->view->count) {
		__builtin_prefetch(node_get_child_hash(self->view, self->index));
		prolly_store_prefetch(node_get_link(self->view, self->index));
	} else {
		prolly_node_unref(g_steal_pointer(&self->node));
	}
}

static bool enter_one(const ProllyTreeContext *context, Descent *self, GError **error)
{
	ProllyNode *parent = self->node;

	self->node = prolly_path_load_child(context, self->view, self->index, &self->view, error);
	prolly_node_unref(parent);
	return self->node != NULL;
}

/* A level at a time, in two rounds: what one asks for in a round it needs in the next. */
static bool descend_all(const ProllyTreeContext *context, Descent *descents, const ProllyKey *keys,
			size_t n, ProllyValueRef *out_values, GError **error)
{
	bool more = true, ok = true;

	while (ok && more) {
		more = false;
		for (size_t i = 0; i < n; i++) {
			if (descents[i].node)
				search_one(&descents[i], &keys[i], &out_values[i]);
		}
		for (size_t i = 0; ok && i < n; i++) {
			if (!descents[i].node)
				continue;
			ok = enter_one(context, &descents[i], error);
			more = true;
		}
	}
	for (size_t i = 0; i < n; i++)
		prolly_node_unref(descents[i].node);
	return ok;
}

bool prolly_tree_get_many(const ProllyTreeContext *context, const ProllyTree *tree,
			  const ProllyKey *keys, size_t n, ProllyValueRef *out_values,
			  GError **error)
{
	const ProllyNodeView *view;
	g_autoptr(ProllyNode) top = prolly_path_load_top(context, tree, &view, error);
	bool ok = top != NULL;

	memset(out_values, 0, n * sizeof(*out_values));
	for (size_t start = 0; ok && start < n; start += SIDE_BY_SIDE) {
		Descent descents[SIDE_BY_SIDE];
		size_t group = MIN(SIDE_BY_SIDE, n - start);

		for (size_t i = 0; i < group; i++)
			descents[i] = (Descent){prolly_node_ref(top), view};
		ok = descend_all(context, descents, keys + start, group, out_values + start, error);
	}
	for (size_t i = 0; !ok && i < n; i++)
		prolly_value_ref_clear(&out_values[i]);
	return ok;
}

bool prolly_tree_rank(const ProllyTreeContext *context, const ProllyTree *tree, const void *key,
		      size_t key_len, uint64_t *out_rank, GError **error)
{
	const ProllyNodeView *view;
	ProllyNode *node = prolly_path_load_top(context, tree, &view, error);
	uint64_t rank = 0;

	while (node) {
		bool found;
		uint32_t index = prolly_node_search(view, key_or_empty(key), key_len, &found);
		ProllyNode *parent = node;

		if (view->level == 0 || index == view->count) {
			*out_rank = rank + (view->level == 0 ? index : view->keys);
			prolly_node_unref(node);
			return true;
		}
		for (uint32_t i = 0; i < index; i++)
			rank += node_get_child_keys(view, i);
		node = prolly_path_load_child(context, view, index, &view, error);
		prolly_node_unref(parent);
	}
	return false;
}

/* ---- Walking ----------------------------------------------------------------------------- */

static void set_key(GByteArray *out, const ProllyNodeView *view, uint32_t i)
{
	ProllyNodeKey key = node_get_key(view, i);

	g_byte_array_set_size(out, 0);
	g_byte_array_append(out, key.prefix, (guint)key.prefix_len);
	g_byte_array_append(out, key.suffix, (guint)key.suffix_len);
}

static bool walk_entry(const ProllyNodeView *view, uint32_t i, GByteArray *key,
		       ProllyNodeEntryFunc func, void *data, GError **error)
{
	size_t len;
	const uint8_t *value = node_get_value(view, i, &len);

	set_key(key, view, i);
	return func(key->data, key->len, value, len, data, error);
}

bool prolly_tree_walk_node(const ProllyTreeContext *context, ProllyNode *node,
			   ProllyNodeChildFunc child, ProllyNodeEntryFunc entry, void *data,
			   GError **error)
{
	const ProllyNodeView *view = prolly_node_decode(context, node, error);
	g_autoptr(GByteArray) key = g_byte_array_new();

	if (!view)
		return false;
	for (uint32_t i = 0; i < view->count; i++) {
		bool ok = view->level > 0 ? child(node_get_child_hash(view, i), data, error)
					  : walk_entry(view, i, key, entry, data, error);

		if (!ok)
			return false;
	}
	return true;
}

/* ---- Verifying --------------------------------------------------------------------------- */

typedef struct {
	const ProllyTreeContext *context;
	GByteArray *key;
	const ProllyTreeVerifier *verifier; /* NULL: the first flaw is the error */
} Verify;

/* An entry of a node above: keys below are greater than it. VIEW NULL: there is none before. */
typedef struct {
	const ProllyNodeView *view;
	uint32_t index;
} Bound;

static bool throw_wrong(const ProllyNode *node, const char *flaw, GError **error)
{
	char hex[PROLLY_HASH_HEX_SIZE];

	return prolly_throw(error, PROLLY_ERROR_CORRUPT, "node %s %s",
			    prolly_hash_to_hex(prolly_node_get_hash(node), hex), flaw);
}

/* V2 for one node. LAST: of its level. */
static bool has_right_cuts(Verify *self, const ProllyNodeView *view, bool last)
{
	uint64_t s0 = 0;

	for (uint32_t i = 0; i < view->count; i++) {
		size_t value_len = TREE_CHILD_SIZE;
		uint64_t s1;
		bool cut;

		set_key(self->key, view, i);
		if (view->level == 0)
			(void)node_get_value(view, i, &value_len);
		s1 = s0 + self->key->len + value_len;
		cut = (view->level == 0 || i > 0) &&
		      prolly_chunker_is_boundary(self->context->format, view->level, s0, s1,
						 self->key->data, self->key->len);
		if (i + 1 < view->count ? cut : !cut && !last)
			return false;
		s0 = s1;
	}
	return true;
}

/* V1: keys below NODE, which are greater than BEFORE. (Of an internal node the first key is not the
 * least below it.) */
static bool check_bound(const ProllyNode *node, const ProllyNodeView *view, Bound before,
			GError **error)
{
	return !before.view || view->count == 0 ||
	       prolly_node_compare_entries(view, 0, before.view, before.index) > 0 ||
	       throw_wrong(node, "overlaps the node before it", error);
}

/* (transfer full) Child I of PARENT, which is all that PARENT says of it. */
static ProllyNode *load_child(const ProllyTreeContext *context, const ProllyNodeView *parent,
			      uint32_t i, const ProllyNodeView **out_view, GError **error)
{
	const ProllyNodeView *view;
	g_autoptr(ProllyNode) node = prolly_path_load_child(context, parent, i, &view, error);

	if (!node)
		return NULL;
	if (prolly_node_compare_entries(view, view->count - 1, parent, i) != 0) {
		throw_wrong(node, "has another last key than its parent says", error);
		return NULL;
	}
	*out_view = view;
	return g_steal_pointer(&node);
}

/*
 * The same of one that is sound, with all below it: what another parent says of it is still to be
 * checked, and where it begins, for which its first leaf has to be seen.
 */
static bool verify_known(Verify *self, const ProllyNodeView *parent, uint32_t i, Bound before,
			 GError **error)
{
	ProllyStore *store = self->verifier->known_store;
	ProllyTreeContext context = {store ? store : self->context->store, self->context->format};
	const ProllyNodeView *view;
	g_autoptr(ProllyNode) node = load_child(&context, parent, i, &view, error);

	while (node && before.view && view->level > 0) {
		ProllyNode *above = node;

		node = prolly_path_load_child(&context, view, 0, &view, error);
		prolly_node_unref(above);
	}
	return node && check_bound(node, view, before, error);
}

static bool verify_node(Verify *self, const ProllyNode *node, const ProllyNodeView *view,
			Bound before, bool last, GError **error);

static bool load_and_verify(Verify *self, const ProllyNodeView *parent, uint32_t i, Bound before,
			    bool last, GError **error)
{
	const ProllyNodeView *view;
	g_autoptr(ProllyNode) node = load_child(self->context, parent, i, &view, error);

	return node && verify_node(self, node, view, before, last, error);
}

/* True, and told, if FLAW (transfer full) is damage; else it is the ERROR. */
static bool note_damage(Verify *self, const ProllyHash *node, Bound before, Bound last,
			GError *flaw, GError **error)
{
	g_autoptr(GByteArray) after = before.view ? g_byte_array_new() : NULL;
	g_autoptr(GByteArray) to = last.view ? g_byte_array_new() : NULL;
	bool is_damage = prolly_error_is(flaw, PROLLY_ERROR_CORRUPT) ||
			 prolly_error_is(flaw, PROLLY_ERROR_MISSING);

	if (!is_damage) {
		g_propagate_error(error, flaw);
		return false;
	}
	if (before.view)
		set_key(after, before.view, before.index);
	if (last.view)
		set_key(to, last.view, last.index);
	self->verifier->damage(node, after, to, flaw, self->verifier->data);
	g_error_free(flaw);
	return true;
}

static bool verify_child(Verify *self, const ProllyNodeView *parent, uint32_t i, Bound before,
			 bool last, GError **error)
{
	const ProllyTreeVerifier *verifier = self->verifier;
	const ProllyHash *hash = node_get_child_hash(parent, i);
	GError *flaw = NULL;
	uint64_t n_damages;
	bool known;

	if (!verifier)
		return load_and_verify(self, parent, i, before, last, error);
	n_damages = *verifier->n_damages;
	known = verifier->is_known(hash, verifier->data);
	if (!(known ? verify_known(self, parent, i, before, &flaw)
		    : load_and_verify(self, parent, i, before, last, &flaw)))
		return note_damage(self, hash, before, (Bound){parent, i}, flaw, error);
	/* The last of a level need not end at a cut, where others have to. */
	if (!known && !last && *verifier->n_damages == n_damages)
		verifier->note_sound(hash, verifier->data);
	return true;
}

static bool tell_entries(Verify *self, const ProllyNodeView *view, GError **error)
{
	const ProllyTreeVerifier *verifier = self->verifier;

	for (uint32_t i = 0; i < view->count; i++) {
		if (!walk_entry(view, i, self->key, verifier->entry, verifier->data, error))
			return false;
	}
	return true;
}

static bool verify_node(Verify *self, const ProllyNode *node, const ProllyNodeView *view,
			Bound before, bool last, GError **error)
{
	if (!check_bound(node, view, before, error))
		return false;
	if (!has_right_cuts(self, view, last))
		return throw_wrong(node, "begins or ends where the boundary rule does not cut",
				   error);
	if (view->level == 0 && self->verifier)
		return tell_entries(self, view, error);
	for (uint32_t i = 0; view->level > 0 && i < view->count; i++) {
		bool child_last = last && i + 1 == view->count;

		if (!verify_child(self, view, i, before, child_last, error))
			return false;
		before = (Bound){view, i};
	}
	return true;
}

static bool verify_top(Verify *self, const ProllyTree *tree, GError **error)
{
	const ProllyNodeView *view;
	g_autoptr(ProllyNode) node = prolly_path_load_top(self->context, tree, &view, error);

	if (!node)
		return false;
	if (view->level > 0 && view->count < 2)
		return throw_wrong(node, "is the top of a tree and has one child", error);
	return verify_node(self, node, view, (Bound){0}, true, error);
}

bool prolly_tree_verify(const ProllyTreeContext *context, const ProllyTree *tree, GError **error)
{
	g_autoptr(GByteArray) key = g_byte_array_new();
	Verify self = {.context = context, .key = key};

	return verify_top(&self, tree, error);
}

bool prolly_tree_verify_with(const ProllyTreeContext *context, const ProllyTree *tree,
			     const ProllyTreeVerifier *verifier, GError **error)
{
	g_autoptr(GByteArray) key = g_byte_array_new();
	Verify self = {.context = context, .key = key, .verifier = verifier};
	GError *flaw = NULL;

	return verify_top(&self, tree, &flaw) ||
	       note_damage(&self, &tree->top, (Bound){0}, (Bound){0}, flaw, error);
}
