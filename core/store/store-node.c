/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node object: bytes that never change, their hash, and one derived view of them.
 *
 * Threads. Hash and bytes are constant from birth. The view is set once by compare-and-swap: two
 * threads may derive it at the same time, and the loser's work is thrown away, which costs less
 * than a lock on every read. Who sees the view pointer sees what it points to (the exchange is a
 * full barrier, the load acquires).
 *
 * The size of a view is known only after the node may have entered the cache, so setting it tells
 * the cache, if there is one, to charge the node anew.
 */
#include "store/store-private.h"

ProllyNode *prolly_node_new_take(ProllyNodeClass node_class, const ProllyHash *hash, GBytes *bytes)
{
	ProllyNode *node = g_new0(ProllyNode, 1);

	node->ref_count = 1;
	node->node_class = node_class;
	node->hash = *hash;
	node->owner = bytes;
	node->bytes = g_bytes_get_data(bytes, &node->len);
	g_assert(((uintptr_t)node->bytes & 7) == 0);
	return node;
}

ProllyNode *prolly_node_ref(ProllyNode *node)
{
	g_atomic_int_inc(&node->ref_count);
	return node;
}

void prolly_node_unref(ProllyNode *node)
{
	if (!node || !g_atomic_int_dec_and_test(&node->ref_count))
		return;
	if (node->view && node->view_destroy)
		node->view_destroy(node->view);
	g_bytes_unref(node->owner);
	g_free(node);
}

const ProllyHash *prolly_node_get_hash(const ProllyNode *node)
{
	return &node->hash;
}

const uint8_t *prolly_node_get_bytes(const ProllyNode *node, size_t *out_len)
{
	*out_len = node->len;
	return node->bytes;
}

void *prolly_node_get_view(const ProllyNode *node)
{
	return __atomic_load_n(&node->view, __ATOMIC_ACQUIRE);
}

/* A view in the making is not yet charged: who sets it stores size and destructor after winning. */
void *prolly_node_set_view(ProllyNode *node, void *view, size_t size, GDestroyNotify destroy)
{
	g_return_val_if_fail(view != NULL, NULL);

	if (!g_atomic_pointer_compare_and_exchange(&node->view, NULL, view)) {
		if (destroy)
			destroy(view);
		return __atomic_load_n(&node->view, __ATOMIC_ACQUIRE);
	}
	node->view_destroy = destroy;
	__atomic_store_n(&node->view_size, size, __ATOMIC_SEQ_CST);

	ProllyCache *cache = g_atomic_pointer_get(&node->cache);

	if (cache)
		prolly_cache_recharge(cache, node);
	return view;
}

size_t prolly_node_get_charge(const ProllyNode *node)
{
	return sizeof(*node) + node->len + __atomic_load_n(&node->view_size, __ATOMIC_SEQ_CST);
}
