/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers at their limits: the sizes and counts that a node may have, and weights that are more than
 * 64 bits together, in nodes that are read and in nodes that are made.
 */
#include "tree-model.h"

/* ---- Nodes ------------------------------------------------------------------------------- */

/* KEY_LEN bytes that are all BYTE, and a value of which the first byte is WEIGHT. */
static ReferenceEntry make_entry(char byte, size_t key_len, size_t value_len, uint8_t weight)
{
	uint8_t *value = g_malloc0(value_len + 1);

	value[0] = weight;
	return (ReferenceEntry){
		.key = g_bytes_new_take(g_strnfill(key_len, byte), key_len),
		.value = g_bytes_new_take(value, value_len),
		.keys = 1,
		.bytes = key_len + value_len,
	};
}

/* Is the one encoding of these entries (which are freed) a node? WIDER: with ends of the other size. */
static bool try_entries(const ProllyTreeContext *context, unsigned level, ReferenceEntry *entries,
			size_t n, bool wider)
{
	ReferenceForm form = reference_form(level, entries, n);
	g_autoptr(GByteArray) bytes = NULL;
	g_autoptr(ProllyNode) node = NULL;
	g_autoptr(GError) error = NULL;
	const ProllyNodeView *view;

	form.wide ^= wider;
	bytes = reference_encode(level, entries, n, form);
	g_assert_true(prolly_store_put(context->store, PROLLY_NODE_TREE,
				       g_memdup2(bytes->data, bytes->len), bytes->len, NULL, &node,
				       NULL));
	view = prolly_node_decode(context, node, &error);
	if (!view)
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	while (n-- > 0)
		reference_entry_clear(&entries[n]);
	return view != NULL;
}

/* N8: three children or more measure less than any max before the last. */
static void test_many_children(void)
{
	const size_t most = 65535;
	TreeTest test;

	tree_test_start(&test, default_parameters());
	for (size_t n = 3; n <= 5; n++) {
		for (size_t more = 0; more < 2; more++) {
			ReferenceEntry entries[5];
			size_t rest = most + more - 48 * (n - 1);

			for (size_t i = 0; i < n; i++) {
				size_t len = i < n - 2 ? 20000 : i == n - 2 ? rest : 60000;

				rest -= i < n - 2 ? len : 0;
				entries[i] = make_entry((char)('a' + i), len, 0, 0);
			}
			g_assert_cmpint(try_entries(&test.context, 1, entries, n, false), ==,
					more == 0);
		}
	}
	tree_test_stop(&test);
}

/* N4: what is longer than 16 bits say is wide, of values and of keys; and nothing else. */
static void test_wide(void)
{
	TreeTest test;

	tree_test_start(&test, default_parameters());
	for (size_t len = 65534; len <= 65537; len++) {
		for (int wider = 0; wider < 2; wider++) {
			ReferenceEntry values[] = {make_entry('a', 1, 10, 0),
						   make_entry('b', 1, len - 10, 0)};
			ReferenceEntry keys[] = {make_entry('a', 10, 0, 0),
						 make_entry('b', len - 10, 0, 0)};
			ReferenceEntry children[] = {make_entry('a', 10, 0, 0),
						     make_entry('b', len - 10, 0, 0)};

			g_assert_cmpint(try_entries(&test.context, 0, values, 2, wider), ==,
					!wider);
			g_assert_cmpint(try_entries(&test.context, 0, keys, 2, wider), ==, !wider);
			g_assert_cmpint(try_entries(&test.context, 1, children, 2, wider), ==,
					!wider);
		}
	}
	tree_test_stop(&test);
}

/* ---- Weighing ---------------------------------------------------------------------------- */

static uint64_t weigh_first_byte(const uint8_t *value, size_t len)
{
	return len ? (uint64_t)value[0] << 56 : 0;
}

/* The same node under two formats: its counts are right in one only. */
static void test_weighing(void)
{
	ProllyFormatParameters defaults = default_parameters();
	g_autoptr(GTree) model = numbered_model(2);
	g_autoptr(GTree) heavy = model_new();
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GError) error = NULL;
	TreeTest test;
	ProllyTree tree, other;
	GTreeNode *node;

	tree_test_start(&test, defaults);
	g_assert_true(prolly_format_new(&defaults, weigh_first_byte, &format, NULL));
	ProllyTreeContext weighing = {test.store, format};

	tree = apply_batch(&test.context, NULL, model);
	g_assert_cmpuint(tree.bytes, ==, 2 * (6 + strlen("value 0")));
	g_assert_false(prolly_tree_open(&weighing, &tree.top, &other, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	g_clear_error(&error);
	assert_verifies(&test.context, &tree);
	g_assert_false(prolly_tree_open(&weighing, &tree.top, &other, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	g_clear_error(&error);

	/* Weights that are more than 64 bits together. */
	model_set_text(heavy, "a", "\x80");
	other = apply_batch(&weighing, NULL, heavy);
	g_assert_cmpuint(other.bytes, ==, (UINT64_C(1) << 63) + 1);
	model_set_text(heavy, "b", "\x80");
	node = g_tree_node_first(heavy);
	g_assert_false(prolly_tree_apply(&weighing, NULL, next_of_model, &node, &other, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_TOO_BIG);
	tree_test_stop(&test);
}

/* N6: sums that run over are wrong, though what is left of them is what the header says. */
static void test_sums(void)
{
	ProllyFormatParameters defaults = default_parameters();

	for (unsigned level = 0; level < 2; level++) {
		for (uint8_t weight = 0x7f; weight <= 0x80; weight++) {
			ReferenceEntry entries[] = {make_entry('a', 1, 1, weight),
						    make_entry('b', 1, 1, weight)};
			TreeTest test;

			for (int i = 0; i < 2; i++)
				entries[i].bytes = ((uint64_t)weight << 56) + 1;
			tree_test_start_weighing(&test, defaults, weigh_first_byte);
			g_assert_cmpint(try_entries(&test.context, level, entries, 2, false), ==,
					weight == 0x7f);
			tree_test_stop(&test);
		}
	}
}

/* Two entries, in a leaf or in one each, of which the second becomes heavier: nothing else changes, so
 * the nodes are copies in which sums are put. */
static void test_heavier(void)
{
	static const size_t value_lens[] = {1, 600};

	for (size_t i = 0; i < G_N_ELEMENTS(value_lens); i++) {
		g_autofree uint8_t *value = g_malloc0(value_lens[i]);
		ProllyEdit edits[] = {{(const uint8_t *)"a", 1, value, value_lens[i]},
				      {(const uint8_t *)"b", 1, value, value_lens[i]}};
		g_autoptr(GError) error = NULL;
		ProllyTree tree, other;
		unsigned height;
		TreeTest test;

		tree_test_start_weighing(&test, tiny_parameters(), weigh_first_byte);
		value[0] = 0x70;
		g_assert_true(prolly_tree_apply_array(&test.context, NULL, edits, 2, &tree, NULL));
		g_assert_true(prolly_tree_get_height(&test.context, &tree, &height, NULL));
		g_assert_cmpuint(height, ==, i + 1);
		value[0] = 0x8f;
		g_assert_true(
			prolly_tree_apply_array(&test.context, &tree, edits + 1, 1, &other, NULL));
		g_assert_cmpuint(other.bytes, ==, (UINT64_C(0xff) << 56) + 2);
		value[0] = 0x90;
		g_assert_false(prolly_tree_apply_array(&test.context, &tree, edits + 1, 1, &other,
						       &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_TOO_BIG);
		tree_test_stop(&test);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/limits/many-children", test_many_children);
	g_test_add_func("/tree/limits/wide", test_wide);
	g_test_add_func("/tree/limits/weighing", test_weighing);
	g_test_add_func("/tree/limits/sums", test_sums);
	g_test_add_func("/tree/limits/heavier", test_heavier);
	return g_test_run();
}
