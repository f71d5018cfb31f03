/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading trees: cursors and look-ups against the model. (What they cost is in test-work.c.)
 */
#include "tree-model.h"

/* ---- Cursors ----------------------------------------------------------------------------- */

/* CURSOR stands at NODE of the model, which is entry RANK; or at none. */
static void assert_stands(ProllyCursor *cursor, GTreeNode *node, uint64_t rank)
{
	size_t len;

	g_assert_cmpint(prolly_cursor_is_valid(cursor), ==, node != NULL);
	if (!node)
		return;
	const uint8_t *key = prolly_cursor_get_key(cursor, &len);
	assert_same_bytes(key, len, g_tree_node_key(node));
	const uint8_t *value = prolly_cursor_get_value(cursor, &len);
	assert_same_bytes(value, len, g_tree_node_value(node));
	g_assert_cmpuint(prolly_cursor_get_rank(cursor), ==, rank);
}

static GTreeNode *model_at(GTree *model, int64_t rank)
{
	GTreeNode *node = rank < 0 ? NULL : g_tree_node_first(model);

	while (node && rank-- > 0)
		node = g_tree_node_next(node);
	return node;
}

/* NODE of the model, or the end, is what a read gives. */
static void assert_reads(ProllyCursor *cursor, GTreeNode *node)
{
	ProllyTreeEntry entry;
	bool end;

	g_assert_true(prolly_cursor_read(cursor, &entry, &end, NULL));
	g_assert_cmpint(end, ==, node == NULL);
	if (end)
		return;
	assert_same_bytes(entry.key, entry.key_len, g_tree_node_key(node));
	assert_same_bytes(entry.value, entry.value_len, g_tree_node_value(node));
}

/* Some steps either way from where CURSOR is, and reads in between. */
static void walk_about(Random *random, ProllyCursor *cursor, GTree *model, int64_t rank)
{
	GTreeNode *node = model_at(model, rank);
	bool was_read = false;

	for (int i = 0; i < 40 && node; i++) {
		bool back = random_below(random, 4) == 0, reads = !back && random_below(random, 2);

		if (back || !reads || was_read) {
			node = back ? g_tree_node_previous(node) : g_tree_node_next(node);
			rank += back ? -1 : 1;
		}
		if (reads)
			assert_reads(cursor, node);
		else
			g_assert_true(back ? prolly_cursor_prev(cursor, NULL)
					   : prolly_cursor_next(cursor, NULL));
		was_read = reads;
		assert_stands(cursor, node, (uint64_t)rank);
	}
	if (!node)
		assert_reads(cursor, NULL);
}

static void check_scan(const ProllyTreeContext *context, const ProllyTree *tree, GTree *model)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, tree);
	GTreeNode *node = g_tree_node_first(model);

	assert_reads(cursor, NULL); /* it is at no entry */
	g_assert_true(prolly_cursor_seek_first(cursor, NULL));
	for (; node; node = g_tree_node_next(node))
		assert_reads(cursor, node);
	assert_reads(cursor, NULL);
	assert_reads(cursor, NULL);
}

static int64_t model_rank(GTree *model, GBytes *key)
{
	int64_t rank = 0;

	for (GTreeNode *node = g_tree_node_first(model);
	     node && g_bytes_compare(g_tree_node_key(node), key) < 0; node = g_tree_node_next(node))
		rank++;
	return rank;
}

static void check_seeks(Random *random, const ProllyTreeContext *context, const ProllyTree *tree,
			GTree *model)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, tree);
	int64_t last = (int64_t)g_tree_nnodes(model) - 1;

	g_assert_true(prolly_cursor_seek_first(cursor, NULL));
	assert_stands(cursor, g_tree_node_first(model), 0);
	g_assert_true(prolly_cursor_seek_last(cursor, NULL));
	assert_stands(cursor, g_tree_node_last(model), (uint64_t)last);
	for (int i = 0; i < 60; i++) {
		g_autoptr(GBytes) key = random_key(random);
		int64_t rank = model_rank(model, key);
		uint64_t counted;
		size_t len;
		const void *data = g_bytes_get_data(key, &len);

		data = data ? data : "";
		g_assert_true(prolly_cursor_seek(cursor, data, len, NULL));
		assert_stands(cursor, model_at(model, rank), (uint64_t)rank);
		walk_about(random, cursor, model, rank);
		g_assert_true(prolly_cursor_seek_before(cursor, data, len, NULL));
		assert_stands(cursor, model_at(model, rank - 1), (uint64_t)(rank - 1));
		walk_about(random, cursor, model, rank - 1);
		g_assert_true(prolly_cursor_seek_rank(cursor, (uint64_t)rank, NULL));
		assert_stands(cursor, model_at(model, rank), (uint64_t)rank);
		g_assert_true(prolly_tree_rank(context, tree, data, len, &counted, NULL));
		g_assert_cmpuint(counted, ==, (uint64_t)rank);
	}
}

static void check_gets(Random *random, const ProllyTreeContext *context, const ProllyTree *tree,
		       GTree *model)
{
	for (int i = 0; i < 100; i++) {
		g_autoptr(GBytes) key = random_below(random, 2) && g_tree_nnodes(model) > 0
						? model_pick(random, model)
						: random_key(random);
		GBytes *expected = g_tree_lookup(model, key);
		g_auto(ProllyValueRef) value = {0};
		size_t len;
		const void *data = g_bytes_get_data(key, &len);

		g_assert_true(prolly_tree_get(context, tree, data ? data : "", len, &value, NULL));
		g_assert_cmpint(value.node != NULL, ==, expected != NULL);
		if (expected)
			assert_same_bytes(value.data, value.len, expected);
	}
}

static void test_reading(void)
{
	static const int sizes[] = {0, 1, 2, 3, 10, 50, 300};
	Random random = random_start(6);
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(GTree) model = model_new();
		ProllyTree tree;

		while (g_tree_nnodes(model) < sizes[i])
			model_set(model, random_key(&random), random_bytes(&random, i));
		tree = apply_batch(&test.context, NULL, model);
		check_scan(&test.context, &tree, model);
		check_seeks(&random, &test.context, &tree, model);
		check_gets(&random, &test.context, &tree, model);
	}
	tree_test_stop(&test);
}

/* Keys that tie in their first 8 bytes behind the prefix. */
static void test_reading_ties(void)
{
	Random random = random_start(7);
	TreeTest test;
	g_autoptr(GTree) model = model_new();
	ProllyTree tree;

	tree_test_start(&test, default_parameters());
	for (int i = 0; i < 400; i++) {
		g_autofree char *key =
			g_strdup_printf("x%.*s%d", i % 23, "aaaaaaaaaaaaaaaaaaaaaaa", i % 17);

		model_set_text(model, key, "v");
	}
	tree = apply_batch(&test.context, NULL, model);
	assert_canonical(&test.context, &tree, model);
	for (GTreeNode *node = g_tree_node_first(model); node; node = g_tree_node_next(node)) {
		g_auto(ProllyValueRef) value = {0};
		size_t len;
		const void *key = g_bytes_get_data(g_tree_node_key(node), &len);

		g_assert_true(prolly_tree_get(&test.context, &tree, key, len, &value, NULL));
		g_assert_nonnull(value.node);
	}
	check_seeks(&random, &test.context, &tree, model);
	tree_test_stop(&test);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/cursor/reading", test_reading);
	g_test_add_func("/tree/cursor/ties", test_reading_ties);
	return g_test_run();
}
