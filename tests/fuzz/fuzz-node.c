/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node decoder: any bytes are refused, or are the one encoding of what they decode to, in which
 * every key is found. The first byte of the input says what values weigh; the rest is the node.
 */
#include "fuzz.h"

#include "blob/blob.h"
#include "tree-model.h"

/* ---- Encoding again ---------------------------------------------------------------------- */

/* Adds entry I of VIEW to a draft, whose arrays have room; and what it counts as to its totals. */
static void draft_add(ProllyDraft *draft, const ProllyNodeView *view, uint32_t i)
{
	size_t key_at = draft_key_start(draft, i), value_at = draft_value_start(draft, i);
	ProllyNodeKey key = node_get_key(view, i);
	ProllyChildRecord record;
	const void *value = &record;
	size_t value_len = sizeof(record);

	if (view->level == 0)
		value = node_get_value(view, i, &value_len);
	else
		record = (ProllyChildRecord){*node_get_child_hash(view, i),
					     node_get_child_keys(view, i),
					     node_get_child_bytes(view, i)};
	if (view->level == 0) {
		record.keys = 1;
		record.bytes = key.prefix_len + key.suffix_len +
			       format_weigh(view->weigh, value, value_len);
	}
	g_assert_false(__builtin_add_overflow(draft->total_keys, record.keys, &draft->total_keys));
	g_assert_false(
		__builtin_add_overflow(draft->total_bytes, record.bytes, &draft->total_bytes));
	memcpy(draft->keys + key_at, key.prefix, key.prefix_len);
	memcpy(draft->keys + key_at + key.prefix_len, key.suffix, key.suffix_len);
	memcpy(draft->values + value_at, value, value_len);
	draft->ends[i].key_end = (uint32_t)(key_at + key.prefix_len + key.suffix_len);
	draft->ends[i].value_end = (uint32_t)(value_at + value_len);
}

static void assert_encodes_to(ProllyStore *store, const ProllyNodeView *view, const uint8_t *bytes,
			      size_t len)
{
	/* A key's prefix is in the node once; its copies are bounded by what the input may be. */
	size_t room = (size_t)view->count * view->prefix_len + len;
	ProllyDraft draft = {
		.level = view->level,
		.count = view->count,
		.keys = g_malloc(room + 1),
		.values = g_malloc((size_t)view->count * sizeof(ProllyChildRecord) + len + 1),
		.ends = g_new(ProllyDraftEnds, view->count + 1),
	};
	ProllyNode *node;
	size_t encoded_len;
	const uint8_t *encoded;

	for (uint32_t i = 0; i < view->count; i++)
		draft_add(&draft, view, i);
	node = prolly_node_encode(store, &draft, NULL);
	encoded = prolly_node_get_bytes(node, &encoded_len);
	g_assert_cmpmem(encoded, encoded_len, bytes, len);
	prolly_store_drop_node(node);
	g_free(draft.keys);
	g_free(draft.values);
	g_free(draft.ends);
}

/* ---- Searching --------------------------------------------------------------------------- */

/* Every key is where it is; a byte more leads behind it, a byte less not. */
static void assert_finds(const ProllyNodeView *view)
{
	for (uint32_t i = 0; i < view->count; i++) {
		ProllyNodeKey key = node_get_key(view, i);
		size_t len = key.prefix_len + key.suffix_len;
		g_autofree uint8_t *whole = g_malloc(len + 1);
		bool found;

		memcpy(whole, key.prefix, key.prefix_len);
		memcpy(whole + key.prefix_len, key.suffix, key.suffix_len);
		whole[len] = 0;
		g_assert_cmpuint(prolly_node_search(view, whole, len, &found), ==, i);
		g_assert_true(found);
		g_assert_cmpuint(prolly_node_search(view, whole, len + 1, &found), ==, i + 1);
		if (len > 0)
			g_assert_cmpuint(prolly_node_search(view, whole, len - 1, &found), <=, i);
		g_assert_cmpint(prolly_node_compare_key(view, i, whole, len), ==, 0);
		if (i > 0)
			g_assert_cmpint(prolly_node_compare_entries(view, i - 1, view, i), <, 0);
	}
}

static uint64_t weigh_first_byte(const uint8_t *value, size_t len)
{
	return len ? (uint64_t)value[0] << 56 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ProllyWeighFunc weighs[] = {NULL, prolly_value_weigh, weigh_first_byte};
	FuzzInput input = {data, size};
	ProllyWeighFunc weigh = weighs[fuzz_take_below(&input, G_N_ELEMENTS(weighs))];
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyNode) node = NULL;
	const ProllyNodeView *view;
	TreeTest test;

	tree_test_start_weighing(&test, tiny_parameters(), weigh);
	g_assert_true(prolly_store_put(test.store, PROLLY_NODE_TREE, g_memdup2(input.p, input.left),
				       input.left, NULL, &node, NULL));
	view = prolly_node_decode(&test.context, node, &error);
	if (view) {
		assert_finds(view);
		assert_encodes_to(test.store, view, input.p, input.left);
	} else {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	}
	g_clear_pointer(&node, prolly_node_unref);
	tree_test_stop(&test);
	return 0;
}
