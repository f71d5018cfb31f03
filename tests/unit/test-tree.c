/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits, and checking trees. The oracle of every edit is the reference builder of tree-model.h:
 * whatever led to some contents, the tree is the one that they have.
 */
#include "tree-model.h"

/* ---- Making batches ---------------------------------------------------------------------- */

/* A random value; now and then one around the limits of the node's size. */
static GBytes *make_value(Random *random, const ProllyFormatParameters *p)
{
	switch (random_below(random, 40)) {
	case 0:
		return random_bytes(random, p->min - 1 + random_below(random, 3));
	case 1:
		return random_bytes(random, p->max - 8 + random_below(random, 12));
	case 2:
		return random_bytes(random, 0);
	default:
		return random_bytes(random, random_below(random, 24));
	}
}

/* Adds to BATCH one edit of a random kind. */
static void add_random_edit(Random *random, const ProllyFormatParameters *p, GTree *model,
			    GTree *batch)
{
	bool known = g_tree_nnodes(model) > 0 && random_below(random, 2);
	GBytes *key = known ? model_pick(random, model) : random_key(random);
	GBytes *old = g_tree_lookup(model, key);

	switch (random_below(random, 8)) {
	case 0:
	case 1:
	case 2:
		model_set(batch, key, NULL);
		break;
	case 3: /* no change */
		model_set(batch, key, old ? g_bytes_ref(old) : NULL);
		break;
	case 4: /* of the same size */
		model_set(batch, key, random_bytes(random, old ? g_bytes_get_size(old) : 5));
		break;
	default:
		model_set(batch, key, make_value(random, p));
	}
}

/* Deletes, or overwrites, a run of entries. */
static void add_run(Random *random, const ProllyFormatParameters *p, GTree *model, GTree *batch)
{
	bool delete = random_below(random, 4) != 0;
	uint32_t length = random_below(random, 60);
	GTreeNode *node = g_tree_node_first(model);

	for (uint32_t skip = random_below(random, (uint32_t)g_tree_nnodes(model) + 1); skip; skip--)
		node = node ? g_tree_node_next(node) : NULL;
	while (node && length--) {
		model_set(batch, g_bytes_ref(g_tree_node_key(node)),
			  delete ? NULL : make_value(random, p));
		node = g_tree_node_next(node);
	}
}

static GTree *make_batch(Random *random, const ProllyFormatParameters *p, GTree *model)
{
	static const uint32_t sizes[] = {1, 1, 2, 5, 20, 100};
	GTree *batch = model_new();
	uint32_t n = 1 + random_below(random, sizes[random_below(random, G_N_ELEMENTS(sizes))]);

	while (n--)
		add_random_edit(random, p, model, batch);
	if (random_below(random, 12) == 0)
		add_run(random, p, model, batch);
	return batch;
}

/* ---- Edits against the model ------------------------------------------------------------- */

static void run_model(ProllyFormatParameters parameters, uint64_t seed, int rounds, int steps)
{
	Random random = random_start(seed);

	for (int round = 0; round < rounds; round++) {
		TreeTest test;
		g_autoptr(GTree) model = model_new();
		ProllyTree tree;

		tree_test_start(&test, parameters);
		for (uint32_t n = random_below(&random, round % 4 ? 40 : 600); n; n--)
			model_set(model, random_key(&random), make_value(&random, &parameters));
		tree = apply_batch(&test.context, NULL, model);
		for (int step = 0; step < steps; step++) {
			g_autoptr(GTree) batch = make_batch(&random, &parameters, model);

			tree = apply_batch(&test.context, &tree, batch);
			model_apply(model, batch);
			assert_canonical(&test.context, &tree, model);
		}
		assert_contents(&test.context, &tree, model);
		assert_verifies(&test.context, &tree);
		tree_test_stop(&test);
	}
}

static void test_model_tiny(void)
{
	run_model(tiny_parameters(), 1, 500, 50);
}

/* Nodes that hold two children at most: the deepest there are. */
static void test_model_deepest(void)
{
	ProllyFormatParameters parameters = tiny_parameters();

	parameters.min = 1;
	parameters.max = 40;
	parameters.scale_shift = 4;
	run_model(parameters, 2, 150, 40);
}

static void test_model_default(void)
{
	ProllyFormatParameters parameters = default_parameters();

	run_model(parameters, 3, 20, 40);
}

/* Long keys: separators larger than a node, and ends of 32 bits. */
static void test_model_long_keys(void)
{
	Random random = random_start(4);
	TreeTest test;
	g_autoptr(GTree) model = model_new();
	ProllyTree tree;

	tree_test_start(&test, default_parameters());
	g_assert_true(prolly_tree_init_empty(&test.context, &tree, NULL));
	for (int step = 0; step < 60; step++) {
		g_autoptr(GTree) batch = model_new();
		bool delete = step % 4 == 3;
		size_t len = random_below(&random, PROLLY_KEY_MAX + 1);
		GBytes *key = delete ? model_pick(&random, model) : random_bytes(&random, len);

		model_set(batch, key, delete ? NULL : random_bytes(&random, step * 100));
		tree = apply_batch(&test.context, &tree, batch);
		model_apply(model, batch);
		assert_canonical(&test.context, &tree, model);
	}
	assert_contents(&test.context, &tree, model);
	assert_verifies(&test.context, &tree);
	tree_test_stop(&test);
}

/* Single edits: in order, against it, and as a permutation. */
static void test_any_order(void)
{
	enum { N = 400 };
	TreeTest test;
	g_autoptr(GTree) model = numbered_model(N);
	Random random = random_start(5);
	GBytes *keys[N];
	ProllyTree expected;
	int n = 0;

	tree_test_start(&test, tiny_parameters());
	expected = reference_build(&test.context, model);
	for (GTreeNode *node = g_tree_node_first(model); node; node = g_tree_node_next(node))
		keys[n++] = g_tree_node_key(node);
	for (int order = 0; order < 3; order++) {
		ProllyTree tree;

		g_assert_true(prolly_tree_init_empty(&test.context, &tree, NULL));
		for (uint32_t i = 0; i < N; i++) {
			g_autoptr(GTree) batch = model_new();
			uint32_t j = order == 0   ? i
				     : order == 1 ? N - 1 - i
						  : i + random_below(&random, N - i);
			GBytes *key = keys[j];

			if (order == 2) {
				keys[j] = keys[i];
				keys[i] = key;
			}
			model_set(batch, g_bytes_ref(key), g_bytes_ref(g_tree_lookup(model, key)));
			tree = apply_batch(&test.context, &tree, batch);
		}
		g_assert_true(prolly_tree_equal(&tree, &expected));
	}
	tree_test_stop(&test);
}

/* Appending N at a time, for all N. */
static void test_appends(void)
{
	TreeTest test;
	g_autoptr(GTree) model = numbered_model(300);

	tree_test_start(&test, tiny_parameters());
	for (int size = 1; size < 100; size += 1 + size / 4) {
		g_autoptr(GTree) so_far = model_new();
		GTreeNode *node = g_tree_node_first(model);
		ProllyTree tree;

		g_assert_true(prolly_tree_init_empty(&test.context, &tree, NULL));
		while (node) {
			g_autoptr(GTree) batch = model_new();

			for (int i = 0; i < size && node; i++) {
				model_set(batch, g_bytes_ref(g_tree_node_key(node)),
					  g_bytes_ref(g_tree_node_value(node)));
				node = g_tree_node_next(node);
			}
			model_apply(so_far, batch);
			tree = apply_batch(&test.context, &tree, batch);
			assert_canonical(&test.context, &tree, so_far);
		}
	}
	tree_test_stop(&test);
}

/* From full to empty and each key alone: first, last, those at boundaries, and all others. */
static void test_deletes(void)
{
	TreeTest test;
	g_autoptr(GTree) model = numbered_model(250);
	ProllyTree full, tree;

	tree_test_start(&test, tiny_parameters());
	full = apply_batch(&test.context, NULL, model);
	tree = full;
	for (int from = 0; from < 2; from++) {
		g_autoptr(GTree) left = model_copy(model);

		tree = full;
		while (g_tree_nnodes(left) > 0) {
			g_autoptr(GTree) batch = model_new();
			GTreeNode *node = from ? g_tree_node_last(left) : g_tree_node_first(left);
			ProllyTree alone;

			model_set(batch, g_bytes_ref(g_tree_node_key(node)), NULL);
			model_apply(left, batch);
			tree = apply_batch(&test.context, &tree, batch);
			assert_canonical(&test.context, &tree, left);

			g_autoptr(GTree) without = model_copy(model);
			model_apply(without, batch);
			alone = apply_batch(&test.context, &full, batch);
			assert_canonical(&test.context, &alone, without);
		}
		g_assert_cmpuint(tree.keys, ==, 0);
	}
	tree_test_stop(&test);
}

/* Everything in one batch: all away, and something else instead. */
static void test_replace_all(void)
{
	TreeTest test;
	g_autoptr(GTree) model = numbered_model(500);
	g_autoptr(GTree) batch = model_new();
	g_autoptr(GTree) other = model_new();
	ProllyTree empty, tree;

	tree_test_start(&test, tiny_parameters());
	g_assert_true(prolly_tree_init_empty(&test.context, &empty, NULL));
	for (GTreeNode *node = g_tree_node_first(model); node; node = g_tree_node_next(node))
		model_set(batch, g_bytes_ref(g_tree_node_key(node)), NULL);
	tree = apply_batch(&test.context, NULL, model);
	tree = apply_batch(&test.context, &tree, batch);
	g_assert_true(prolly_tree_equal(&tree, &empty));

	model_set_text(other, "only", "one");
	model_set_text(batch, "only", "one");
	tree = apply_batch(&test.context, NULL, model);
	tree = apply_batch(&test.context, &tree, batch);
	assert_canonical(&test.context, &tree, other);
	tree_test_stop(&test);
}

/* Reaching the same contents through a detour leads back to the same tree, level by level. */
static void test_grow_and_shrink(void)
{
	TreeTest test;
	g_autoptr(GTree) model = model_new();
	GArray *roots = g_array_new(FALSE, FALSE, sizeof(ProllyTree));
	ProllyTree tree;
	unsigned height = 0, tallest = 0;

	tree_test_start(&test, tiny_parameters());
	g_assert_true(prolly_tree_init_empty(&test.context, &tree, NULL));
	for (uint32_t i = 0; i < 600; i++) {
		g_autofree char *key = g_strdup_printf("%u", i * 7919 % 600);
		g_autoptr(GTree) batch = model_new();

		g_array_append_val(roots, tree);
		model_set_text(batch, key, "v");
		tree = apply_batch(&test.context, &tree, batch);
		g_assert_true(prolly_tree_get_height(&test.context, &tree, &height, NULL));
		tallest = MAX(tallest, height);
	}
	g_assert_cmpuint(tallest, >=, 4);
	for (uint32_t i = 600; i-- > 0;) {
		g_autofree char *key = g_strdup_printf("%u", i * 7919 % 600);
		g_autoptr(GTree) batch = model_new();

		model_set_text(batch, key, NULL);
		tree = apply_batch(&test.context, &tree, batch);
		g_assert_true(prolly_tree_equal(&tree, &g_array_index(roots, ProllyTree, i)));
	}
	g_array_unref(roots);
	tree_test_stop(&test);
}

static void test_injective(void)
{
	static const char *const contents[][4] = {
		{"k1", "ab", "k2", "c"}, {"k1", "a", "k2", "bc"},   {"k1a", "b", "k2", "c"},
		{"k1", "", "k2", "abc"}, {"k1", "abc", "k2", ""},   {"k", "1", "k2", "abc"},
		{"k1", "ab", "k2c", ""}, {"k1", "ab", "k3", "c"},   {"", "k1ab", "k2", "c"},
		{"k1ab", "", "k2c", ""}, {"k1a", "bk2c", "k2", ""},
	};
	g_autoptr(GHashTable) roots = g_hash_table_new_full(prolly_hash_table_hash,
							    prolly_hash_table_equal, g_free, NULL);
	TreeTest test;

	tree_test_start(&test, default_parameters());
	for (size_t i = 0; i < G_N_ELEMENTS(contents); i++) {
		g_autoptr(GTree) model = model_new();
		ProllyHash *root = g_new(ProllyHash, 1);
		ProllyTree tree;

		model_set_text(model, contents[i][0], contents[i][1]);
		model_set_text(model, contents[i][2], contents[i][3]);
		tree = apply_batch(&test.context, NULL, model);
		prolly_tree_get_root(test.format, &tree, root);
		g_assert_true(g_hash_table_add(roots, root));
	}
	tree_test_stop(&test);
}

/* ---- What edits are refused -------------------------------------------------------------- */

static void assert_refused(const ProllyTreeContext *context, const ProllyTree *tree,
			   const ProllyEdit *edits, size_t n, ProllyErrorCode code)
{
	g_autoptr(GError) error = NULL;
	ProllyTree result = {.keys = 77};

	g_assert_false(prolly_tree_apply_array(context, tree, edits, n, &result, &error));
	g_assert_error(error, PROLLY_ERROR, (int)code);
	g_assert_cmpuint(result.keys, ==, 77);
}

static void test_refused(void)
{
	g_autofree uint8_t *big = g_malloc0(PROLLY_TREE_VALUE_MAX + 1);
	const uint8_t *a = (const uint8_t *)"a", *b = (const uint8_t *)"b";
	const ProllyEdit twice[] = {{a, 1, b, 1}, {a, 1, a, 1}};
	const ProllyEdit backwards[] = {{b, 1, b, 1}, {a, 1, NULL, 0}};
	const ProllyEdit long_key[] = {{big, PROLLY_KEY_MAX + 1, a, 1}};
	const ProllyEdit long_value[] = {{a, 1, big, PROLLY_TREE_VALUE_MAX + 1}};
	const ProllyEdit longest[] = {{big, PROLLY_KEY_MAX, big, PROLLY_TREE_VALUE_MAX}};
	g_autoptr(GTree) model = numbered_model(100);
	TreeTest test;
	ProllyTree tree;

	tree_test_start(&test, tiny_parameters());
	tree = apply_batch(&test.context, NULL, model);
	for (int i = 0; i < 2; i++) {
		const ProllyTree *old = i ? &tree : NULL;

		assert_refused(&test.context, old, twice, 2, PROLLY_ERROR_INVALID);
		assert_refused(&test.context, old, backwards, 2, PROLLY_ERROR_INVALID);
		assert_refused(&test.context, old, long_key, 1, PROLLY_ERROR_TOO_BIG);
		assert_refused(&test.context, old, long_value, 1, PROLLY_ERROR_TOO_BIG);
	}
	g_assert_true(prolly_tree_apply_array(&test.context, &tree, longest, 1, &tree, NULL));
	assert_verifies(&test.context, &tree);
	g_assert_cmpuint(tree.keys, ==, 101);
	tree_test_stop(&test);
}

static bool fail_at_third(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	static const char *const keys[] = {"a", "b"};
	int *n = data;

	if (*n == 2)
		return prolly_throw(error, PROLLY_ERROR_CANCELLED, "enough");
	*out_edit = (ProllyEdit){(const uint8_t *)keys[*n], 1, (const uint8_t *)"v", 1};
	(*n)++;
	return true;
}

static void test_source_fails(void)
{
	g_autoptr(GError) error = NULL;
	TreeTest test;
	ProllyTree tree;
	int n = 0;

	tree_test_start(&test, tiny_parameters());
	g_assert_false(prolly_tree_apply(&test.context, NULL, fail_at_third, &n, &tree, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CANCELLED);
	tree_test_stop(&test);
}

/* ---- Checking ---------------------------------------------------------------------------- */

static bool cuts_every_third(const ProllyFormatParameters *p, unsigned level, uint64_t s0,
			     uint64_t s1, GBytes *key)
{
	return s1 > 100;
}

static bool cuts_too_late(const ProllyFormatParameters *p, unsigned level, uint64_t s0, uint64_t s1,
			  GBytes *key)
{
	return s0 >= p->min && reference_cuts(p, level, s0, s1, key);
}

static bool cuts_wrongly_above(const ProllyFormatParameters *p, unsigned level, uint64_t s0,
			       uint64_t s1, GBytes *key)
{
	return level ? s1 > 300 : reference_cuts(p, level, s0, s1, key);
}

static void assert_verify_fails(const ProllyTreeContext *context, const ProllyTree *tree,
				const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(prolly_tree_verify(context, tree, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	g_assert_nonnull(strstr(error->message, message));
}

static void test_verify_boundaries(void)
{
	static const CutFunc wrong[] = {cuts_every_third, cuts_too_late, cuts_wrongly_above};
	g_autoptr(GTree) model = numbered_model(200);
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		ProllyTree tree = reference_build_with(&test.context, wrong[i], model);

		assert_contents(&test.context, &tree, model);
		assert_verify_fails(&test.context, &tree, "boundary rule");
	}
	tree_test_stop(&test);
}

/* A missing leaf is named; what does not need it still works. */
static void test_missing_node(void)
{
	g_autoptr(GTree) model = numbered_model(1000);
	g_autoptr(GHashTable) nodes = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(ProllyValueRef) value = {0};
	ProllyNodeKey last = {0};
	const ProllyNodeView *view;
	ProllyTree tree;
	TreeTest test;
	ProllyHash victim;
	char hex[PROLLY_HASH_HEX_SIZE];

	tree_test_start(&test, default_parameters());
	tree = apply_batch(&test.context, NULL, model);
	g_assert_true(prolly_store_flush(test.store, NULL, NULL));
	{
		g_autoptr(ProllyNode) top =
			prolly_path_load_top(&test.context, &tree, &view, &error);

		victim = *node_get_child_hash(view, 0);
		last = node_get_key(view, 0);
		g_assert_cmpuint(last.prefix_len + last.suffix_len, ==, 6);
	}
	g_assert_true(prolly_store_delete_many(test.store, PROLLY_NODE_TREE, &victim, 1, NULL));
	prolly_hash_to_hex(&victim, hex);
	g_assert_false(prolly_tree_get(&test.context, &tree, "000002", 6, &value, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
	g_assert_nonnull(strstr(error->message, hex));
	g_clear_error(&error);
	g_assert_false(prolly_tree_verify(&test.context, &tree, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
	g_assert_true(prolly_tree_get(&test.context, &tree, "001998", 6, &value, NULL));
	g_assert_nonnull(value.node);
	prolly_value_ref_clear(&value);
	tree_test_stop(&test);
}

/* Whatever node is missing: what needs it says so, what does not works, and nothing leaks. */
static void use_without(const ProllyTreeContext *context, const ProllyTree trees[2], GTree *batch)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, &trees[0]);
	g_autoptr(ProllyDiff) diff =
		prolly_diff_new(context, &trees[0], &trees[1], NULL, 0, NULL, 0);
	GTreeNode *node = g_tree_node_first(batch);
	g_autoptr(GError) scan_error = NULL;
	g_autoptr(GError) diff_error = NULL;
	g_autoptr(GError) apply_error = NULL;
	ProllyChange change;
	ProllyTree result = {.keys = 77};
	bool end = false;

	prolly_cursor_seek_first(cursor, &scan_error);
	while (!scan_error && prolly_cursor_is_valid(cursor))
		prolly_cursor_next(cursor, &scan_error);
	g_assert_error(scan_error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
	g_assert_false(prolly_cursor_is_valid(cursor));
	while (!diff_error && !end)
		prolly_diff_next(diff, &change, &end, &diff_error);
	if (diff_error)
		g_assert_error(diff_error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
	if (prolly_tree_apply(context, &trees[0], next_of_model, &node, &result, &apply_error)) {
		g_assert_true(prolly_tree_equal(&result, &trees[1]));
	} else {
		g_assert_error(apply_error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
		g_assert_cmpuint(result.keys, ==, 77);
	}
}

static void test_missing_anywhere(void)
{
	g_autoptr(GTree) model = numbered_model(150);
	g_autoptr(GTree) batch = model_new();
	g_autoptr(GHashTable) nodes = NULL;
	ProllyTree trees[2];
	TreeTest test;
	GHashTableIter iter;
	gpointer hash;

	tree_test_start(&test, tiny_parameters());
	model_set_text(batch, "000051", "inserted");
	model_set_text(batch, "000200", NULL);
	model_set_text(batch, "000202", NULL);
	trees[0] = apply_batch(&test.context, NULL, model);
	trees[1] = apply_batch(&test.context, &trees[0], batch);
	nodes = collect_nodes(&test.context, &trees[0]);
	g_assert_true(prolly_store_flush(test.store, NULL, NULL));
	g_hash_table_iter_init(&iter, nodes);
	while (g_hash_table_iter_next(&iter, &hash, NULL)) {
		g_autoptr(ProllyNode) node =
			prolly_store_get(test.store, PROLLY_NODE_TREE, hash, NULL);
		size_t len;
		const uint8_t *bytes = prolly_node_get_bytes(node, &len);

		g_assert_true(
			prolly_store_delete_many(test.store, PROLLY_NODE_TREE, hash, 1, NULL));
		use_without(&test.context, trees, batch);
		g_assert_true(prolly_store_put(test.store, PROLLY_NODE_TREE, g_memdup2(bytes, len),
					       len, NULL, NULL, NULL));
		g_assert_true(prolly_store_flush(test.store, NULL, NULL));
	}
	assert_verifies(&test.context, &trees[0]);
	tree_test_stop(&test);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/mutate/model-tiny", test_model_tiny);
	g_test_add_func("/tree/mutate/model-deepest", test_model_deepest);
	g_test_add_func("/tree/mutate/model-default", test_model_default);
	g_test_add_func("/tree/mutate/model-long-keys", test_model_long_keys);
	g_test_add_func("/tree/mutate/any-order", test_any_order);
	g_test_add_func("/tree/mutate/appends", test_appends);
	g_test_add_func("/tree/mutate/deletes", test_deletes);
	g_test_add_func("/tree/mutate/replace-all", test_replace_all);
	g_test_add_func("/tree/mutate/grow-and-shrink", test_grow_and_shrink);
	g_test_add_func("/tree/mutate/injective", test_injective);
	g_test_add_func("/tree/mutate/refused", test_refused);
	g_test_add_func("/tree/mutate/source-fails", test_source_fails);
	g_test_add_func("/tree/verify/boundaries", test_verify_boundaries);
	g_test_add_func("/tree/verify/missing-node", test_missing_node);
	g_test_add_func("/tree/verify/missing-anywhere", test_missing_anywhere);
	return g_test_run();
}
