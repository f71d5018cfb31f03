/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One root, one contents; and of one contents one tree. Every small contents has a root of its own.
 * A *peer* sends trees that no writer of ours made, with hashes, counts and keys that fit together:
 * nodes with bytes changed, and nodes cut elsewhere. Of what prolly_tree_verify accepts, the root
 * must be the one that the reference makes of the contents that are read from it. (And where the rule
 * changes, at the limits of a size, a byte decides.)
 */
#include "tree-model.h"

/* ---- Every small contents ---------------------------------------------------------------- */

/* Entry I of a contents is what the digit I of NUMBER says, to the base of the values there are. */
static GTree *nth_contents(uint32_t number)
{
	static const char *const keys[] = {"", "a", "b", "aa", "ab", "ba", "bb"};
	static const char *const values[] = {NULL, "", "a", "b"};
	GTree *model = model_new();

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		const char *value = values[number % G_N_ELEMENTS(values)];

		if (value)
			model_set_text(model, keys[i], value);
		number /= G_N_ELEMENTS(values);
	}
	return model;
}

/* All 4^7 of them, in one leaf each and in trees of some levels. */
static void test_every_contents(void)
{
	enum { N = 1 << 14 };
	ProllyFormatParameters all[2] = {default_parameters(), tiny_parameters()};

	all[1].min = 1;
	all[1].max = 4;
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		g_autoptr(GHashTable) roots = g_hash_table_new_full(
			prolly_hash_table_hash, prolly_hash_table_equal, g_free, NULL);
		TreeTest test;

		tree_test_start(&test, all[i]);
		for (uint32_t number = 0; number < N; number++) {
			g_autoptr(GTree) model = nth_contents(number);
			ProllyHash *root = g_new(ProllyHash, 1);
			ProllyTree tree = apply_batch(&test.context, NULL, model);

			prolly_tree_get_root(test.format, &tree, root);
			g_assert_true(g_hash_table_add(roots, root));
		}
		tree_test_stop(&test);
	}
}

/* ---- What a peer's tree is --------------------------------------------------------------- */

static GBytes *whole_key(const ProllyNodeView *view, uint32_t i)
{
	ProllyNodeKey key = node_get_key(view, i);
	GByteArray *whole = g_byte_array_new();

	g_byte_array_append(whole, key.prefix, (guint)key.prefix_len);
	g_byte_array_append(whole, key.suffix, (guint)key.suffix_len);
	return g_byte_array_free_to_bytes(whole);
}

/* Is the peer's tree whose top is TOP accepted? Then it must be the tree of its contents. */
static bool try_tree(const ProllyTreeContext *context, const ProllyHash *top)
{
	g_autoptr(GTree) model = NULL;
	g_autoptr(GError) error = NULL;
	ProllyTree tree;

	if (!prolly_tree_open(context, top, &tree, &error) ||
	    !prolly_tree_verify(context, &tree, &error)) {
		if (!prolly_error_is(error, PROLLY_ERROR_MISSING))
			g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
		return false;
	}
	model = model_read(context, &tree);
	assert_canonical(context, &tree, model);
	return true;
}

/* ---- Bytes changed ----------------------------------------------------------------------- */

/* The nodes from the top of a tree to one leaf: entry AT of each is the next. */
typedef struct {
	unsigned height;
	GBytes *nodes[TREE_LEVELS_MAX]; /* the leaf first */
	uint32_t at[TREE_LEVELS_MAX];
} Branch;

/* To the child in the middle, everywhere: neither the first nor the last of its level. */
static Branch find_branch(const ProllyTreeContext *context, const ProllyTree *tree)
{
	const ProllyNodeView *view;
	ProllyNode *node = prolly_path_load_top(context, tree, &view, NULL);
	Branch branch = {.height = view->level + 1u};

	while (node) {
		ProllyNode *parent = node;
		size_t len;
		const uint8_t *bytes = prolly_node_get_bytes(node, &len);

		branch.nodes[view->level] = g_bytes_new(bytes, len);
		branch.at[view->level] = view->count / 2;
		node = view->level == 0 ? NULL
					: prolly_path_load_child(context, view, view->count / 2,
								 &view, NULL);
		prolly_node_unref(parent);
	}
	return branch;
}

static void branch_clear(Branch *branch)
{
	for (unsigned i = 0; i < branch->height; i++)
		g_bytes_unref(branch->nodes[i]);
}

/* The node of BYTES, if it is one, and what its parent would say of it. */
static bool put_node(const ProllyTreeContext *context, const uint8_t *bytes, size_t len,
		     ReferenceEntry *out_child)
{
	g_autoptr(ProllyNode) node = NULL;
	g_autoptr(GError) error = NULL;
	const ProllyNodeView *view;

	g_assert_true(prolly_store_put(context->store, PROLLY_NODE_TREE, g_memdup2(bytes, len), len,
				       &out_child->hash, &node, NULL));
	view = prolly_node_decode(context, node, &error);
	if (!view) {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
		return false;
	}
	out_child->key = view->count ? whole_key(view, view->count - 1) : g_bytes_new(NULL, 0);
	out_child->keys = view->keys;
	out_child->bytes = view->bytes;
	return true;
}

/* Puts the internal node of BYTES with CHILD in the place of its entry AT; CHILD becomes that. */
static bool put_parent(const ProllyTreeContext *context, GBytes *bytes, uint32_t at,
		       ReferenceEntry *child)
{
	size_t len;
	const uint8_t *data = g_bytes_get_data(bytes, &len);
	g_autoptr(GArray) entries = reference_entries_new();
	g_autoptr(ProllyNode) node = NULL;
	g_autoptr(GByteArray) encoded = NULL;
	const ReferenceEntry *all;
	const ProllyNodeView *view;

	g_assert_true(prolly_store_put(context->store, PROLLY_NODE_TREE, g_memdup2(data, len), len,
				       NULL, &node, NULL));
	view = prolly_node_decode(context, node, NULL);
	for (uint32_t i = 0; i < view->count; i++) {
		ReferenceEntry entry = {
			.key = whole_key(view, i),
			.hash = *node_get_child_hash(view, i),
			.keys = node_get_child_keys(view, i),
			.bytes = node_get_child_bytes(view, i),
		};

		if (i == at) {
			reference_entry_clear(&entry);
			entry = *child;
		}
		g_array_append_val(entries, entry);
	}
	all = (const ReferenceEntry *)(void *)entries->data;
	encoded = reference_encode(view->level, all, entries->len,
				   reference_form(view->level, all, entries->len));
	return put_node(context, encoded->data, encoded->len, child);
}

/* Is the tree accepted in which BYTES are the node of LEVEL, and all above fits? */
static bool try_branch(const ProllyTreeContext *context, const Branch *branch, unsigned level,
		       const uint8_t *bytes, size_t len)
{
	ReferenceEntry child = {0};
	bool accepted;

	if (!put_node(context, bytes, len, &child))
		return false;
	for (unsigned i = level + 1; i < branch->height; i++) {
		if (!put_parent(context, branch->nodes[i], branch->at[i], &child))
			return false;
	}
	accepted = try_tree(context, &child.hash);
	reference_entry_clear(&child);
	return accepted;
}

/* Every bit of the node of LEVEL, every second byte of it taken out, doubled or swapped. */
static unsigned change_node(const ProllyTreeContext *context, const Branch *branch, unsigned level)
{
	size_t len;
	const uint8_t *original = g_bytes_get_data(branch->nodes[level], &len);
	g_autofree uint8_t *bytes = g_malloc(len + 1);
	unsigned accepted = 0;

	memcpy(bytes, original, len);
	for (size_t i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			bytes[i] = original[i] ^ (uint8_t)(1 << bit);
			accepted += try_branch(context, branch, level, bytes, len);
		}
		bytes[i] = original[i];
	}
	for (size_t i = 0; i + 1 < len; i += 2) {
		memmove(bytes + i, original + i + 1, len - i - 1);
		accepted += try_branch(context, branch, level, bytes, len - 1);
		memcpy(bytes + i + 1, original + i, len - i);
		bytes[i] = original[i];
		accepted += try_branch(context, branch, level, bytes, len + 1);
		memcpy(bytes, original, len);
		bytes[i] = original[i + 1];
		bytes[i + 1] = original[i];
		accepted += original[i] != original[i + 1] &&
			    try_branch(context, branch, level, bytes, len);
		memcpy(bytes, original, len);
	}
	return accepted;
}

static void test_changed_bytes(void)
{
	g_autoptr(GTree) model = numbered_model(60);
	ProllyTree tree;
	TreeTest test;
	Branch branch;

	tree_test_start(&test, tiny_parameters());
	tree = apply_batch(&test.context, NULL, model);
	branch = find_branch(&test.context, &tree);
	g_assert_cmpuint(branch.height, >=, 3);
	for (unsigned level = 0; level < branch.height; level++) {
		size_t len;
		const uint8_t *bytes = g_bytes_get_data(branch.nodes[level], &len);
		unsigned accepted;

		g_assert_true(try_branch(&test.context, &branch, level, bytes, len));
		accepted = change_node(&test.context, &branch, level);
		/* Other values are other contents. Above them everything follows. */
		g_assert_cmpint(accepted > 0, ==, level == 0);
	}
	branch_clear(&branch);
	tree_test_stop(&test);
}

/* ---- Nodes cut elsewhere ----------------------------------------------------------------- */

/* As reference_level, but one decision in ODDS is wrong. */
static GArray *build_level(Random *random, const ProllyTreeContext *context, unsigned level,
			   GArray *entries, uint32_t odds)
{
	const ProllyFormatParameters *p = prolly_format_get_parameters(context->format);
	const ReferenceEntry *all = (const ReferenceEntry *)(void *)entries->data;
	GArray *upper = reference_entries_new();
	uint64_t s = 0;
	guint start = 0;

	for (guint i = 0; i < entries->len; i++) {
		uint64_t size = g_bytes_get_size(all[i].key) +
				(level == 0 ? g_bytes_get_size(all[i].value) : 48);
		bool cut = (level == 0 || i > start) &&
			   reference_cuts(p, level, s, s + size, all[i].key);

		cut = cut != (random_below(random, odds) == 0);
		s = cut ? 0 : s + size;
		if (!cut && i + 1 < entries->len)
			continue;
		reference_close(context->store, level, all + start, i + 1 - start, upper);
		start = i + 1;
	}
	return upper;
}

/* A tree of MODEL, which has entries, cut wrongly now and then, perhaps with levels too many. */
static ProllyHash build_wrongly(Random *random, const ProllyTreeContext *context, GTree *model)
{
	uint32_t odds = 2 + random_below(random, 60);
	GArray *entries = reference_entries_new();
	unsigned level = 0;
	ProllyHash top;

	for (GTreeNode *node = g_tree_node_first(model); node; node = g_tree_node_next(node)) {
		ReferenceEntry entry = {.keys = 1};

		entry.key = g_bytes_ref(g_tree_node_key(node));
		entry.value = g_bytes_ref(g_tree_node_value(node));
		entry.bytes = g_bytes_get_size(entry.key) + g_bytes_get_size(entry.value);
		g_array_append_val(entries, entry);
	}
	while (level == 0 ||
	       (level < TREE_LEVELS_MAX && (entries->len > 1 || random_below(random, 10) == 0))) {
		GArray *upper = build_level(random, context, level++, entries, odds);

		g_array_unref(entries);
		entries = upper;
	}
	top = g_array_index(entries, ReferenceEntry, 0).hash;
	g_array_unref(entries);
	return top;
}

static void test_cut_elsewhere(void)
{
	Random random = random_start(2);
	unsigned accepted = 0;
	const unsigned rounds = 4000;

	for (unsigned round = 0; round < rounds; round++) {
		ProllyFormatParameters parameters = tiny_parameters();
		g_autoptr(GTree) model = model_new();
		ProllyHash top;
		TreeTest test;

		parameters.min = 1 + random_below(&random, 60);
		tree_test_start(&test, parameters);
		for (uint32_t n = 1 + random_below(&random, 40); n; n--)
			model_set(model, random_key(&random),
				  random_bytes(&random, random_below(&random, 20)));
		top = build_wrongly(&random, &test.context, model);
		accepted += try_tree(&test.context, &top);
		tree_test_stop(&test);
	}
	g_test_message("%u of %u were cut rightly", accepted, rounds);
	g_assert_cmpuint(accepted, >, 0);
	g_assert_cmpuint(accepted, <, rounds / 2);
}

/* ---- Limits ------------------------------------------------------------------------------ */

/* The limits themselves: at the least size a cut is possible, at the largest it is certain. */
static void test_limits(void)
{
	ProllyFormatParameters parameters = default_parameters();
	g_autoptr(ProllyFormat) format = NULL;
	unsigned n_cuts[3] = {0}; /* below the least size, at it, and at the largest */

	g_assert_true(prolly_format_new(&parameters, NULL, &format, NULL));
	for (unsigned i = 0; i < 100000; i++) {
		const uint64_t sizes[] = {parameters.min - 1, parameters.min, parameters.max};
		char key[16];
		size_t len = (size_t)g_snprintf(key, sizeof(key), "%u", i);

		for (int j = 0; j < 3; j++)
			n_cuts[j] +=
				prolly_chunker_is_boundary(format, 0, sizes[j] - (j < 2 ? 500 : 1),
							   sizes[j], (const uint8_t *)key, len);
	}
	g_assert_cmpuint(n_cuts[0], ==, 0);
	g_assert_cmpuint(n_cuts[1], >, 0);
	g_assert_cmpuint(n_cuts[2], ==, 100000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/injective/every-contents", test_every_contents);
	g_test_add_func("/tree/injective/changed-bytes", test_changed_bytes);
	g_test_add_func("/tree/injective/cut-elsewhere", test_cut_elsewhere);
	g_test_add_func("/tree/injective/limits", test_limits);
	return g_test_run();
}
