/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node object: bytes that never change, their hash, and one derived view of them.
 *
 * Threads. Hash and bytes are constant from birth. The view is set once by compare-and-swap: two
 * threads may derive it at the same time, and the loser's work is thrown away, which costs less
 * than a lock on every read. Who sees the view pointer sees what it points to (the exchange is a
 * full barrier, the load acquires).
 *
 * The life of a node in an arena (store-arena.c). Its count is 0 until it is known to others: its
 * maker, who alone has it, writes everything else and then publishes it (prolly_node_publish) with
 * the count 1, so that whoever gets a reference through a stale pointer sees a whole node, if
 * perhaps not the one he wants.
 *
 * The size of a view is known only after the node may have entered the cache, so setting it tells
 * the cache, if there is one, to charge the node anew.
 */
#include "store/store-private.h"

#include <string.h>

ProllyNode *prolly_node_new_take(ProllyNodeClass node_class, const ProllyHash *hash, GBytes *bytes)
{
	ProllyNode *node = g_new0(ProllyNode, 1);
	size_t len;

	if (node_class == PROLLY_NODE_TREE && (uintptr_t)g_bytes_get_data(bytes, &len) & 7) {
		GBytes *aligned = g_bytes_new(g_bytes_get_data(bytes, NULL), len);

		g_bytes_unref(bytes);
		bytes = aligned;
	}
	node->ref_count = 1;
	node->node_class = (uint8_t)node_class;
	node->hash = *hash;
	node->owner = bytes;
	node->bytes = g_bytes_get_data(bytes, &len);
	node->len = (uint32_t)len;
	g_assert(len <= UINT32_MAX);
	return node;
}

void prolly_nodes_hash(GBytes *const *bytes, size_t n, ProllyHash *out_hashes)
{
	g_autofree ProllyHashMessage *messages = g_new(ProllyHashMessage, n);
	size_t n_messages = 0;

	for (size_t i = 0; i < n; i++) {
		ProllyHashMessage *message = &messages[n_messages];

		if (!bytes[i])
			continue;
		message->data = g_bytes_get_data(bytes[i], &message->len);
		message->out_hash = &out_hashes[i];
		n_messages++;
	}
	prolly_hash_compute_many(messages, n_messages);
}

ProllyNode *prolly_node_new_in_arena(ProllyArena *arena, ProllyNodeClass node_class, size_t len,
				     size_t room)
{
	ProllyNode *node;
	uint32_t block_size;

	if (len > PROLLY_ARENA_BLOCK_MAX || room > PROLLY_ARENA_BLOCK_MAX)
		return NULL;
	room = (room + 7) & ~(size_t)7;
	if (sizeof(*node) + room + len > PROLLY_ARENA_BLOCK_MAX)
		return NULL;
	node = prolly_arena_take(arena, sizeof(*node) + room + len);
	if (!node)
		return NULL;
	/* Not the count: somebody may just be trying a stale link. It becomes 1 at last. */
	block_size = node->block_size;
	memset((uint8_t *)node + sizeof(node->ref_count), 0,
	       sizeof(*node) - sizeof(node->ref_count));
	node->block_size = block_size;
	node->node_class = (uint8_t)node_class;
	node->in_arena = true;
	node->len = (uint32_t)len;
	node->room = (uint16_t)room;
	node->bytes = (const uint8_t *)(node + 1) + room;
	return node;
}

void prolly_node_publish(ProllyNode *node)
{
	__atomic_store_n(&node->ref_count, 1, __ATOMIC_RELEASE);
}

ProllyNode *prolly_node_ref(ProllyNode *node)
{
	g_atomic_int_inc(&node->ref_count);
	return node;
}

bool prolly_node_try_ref(ProllyNode *node)
{
	gint count = __atomic_load_n(&node->ref_count, __ATOMIC_RELAXED);

	while (count > 0) {
		if (__atomic_compare_exchange_n(&node->ref_count, &count, count + 1, true,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

void prolly_node_unref(ProllyNode *node)
{
	if (!node || !g_atomic_int_dec_and_test(&node->ref_count))
		return;
	if (node->view && node->view_destroy)
		node->view_destroy(node->view);
	if (node->owner)
		g_bytes_unref(node->owner);
	if (node->in_arena)
		prolly_arena_give(node);
	else
		g_free(node);
}

const ProllyHash *prolly_node_get_hash(const ProllyNode *node)
{
	return &node->hash;
}

const uint8_t *prolly_node_get_bytes(const ProllyNode *node, size_t *out_len)
{
	*out_len = node->len;
	/* The pointer is on the second line, which is not looked at for this. */
	return node->in_arena ? (const uint8_t *)(node + 1) + node->room : node->bytes;
}

GBytes *prolly_node_dup_bytes(ProllyNode *node)
{
	if (node->owner)
		return g_bytes_ref(node->owner);
	return g_bytes_new_with_free_func(node->bytes, node->len, (GDestroyNotify)prolly_node_unref,
					  prolly_node_ref(node));
}

void *prolly_node_get_view(const ProllyNode *node)
{
	return __atomic_load_n(&node->view, __ATOMIC_ACQUIRE);
}

void *prolly_node_take_room(ProllyNode *node, size_t size)
{
	if (size > node->room || __atomic_exchange_n(&node->room_taken, true, __ATOMIC_RELAXED))
		return NULL;
	return node + 1;
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
	prolly_node_add_to_view(node, view != (void *)(node + 1) ? size : 0);
	return view;
}

void prolly_node_add_to_view(ProllyNode *node, size_t size)
{
	ProllyCache *cache;

	__atomic_add_fetch(&node->view_size, (uint32_t)size, __ATOMIC_SEQ_CST);
	cache = g_atomic_pointer_get(&node->cache);
	if (cache)
		prolly_cache_recharge(cache, node);
}

size_t prolly_node_get_charge(const ProllyNode *node)
{
	size_t block = node->in_arena ? node->block_size : sizeof(*node) + node->len;

	return block + __atomic_load_n(&node->view_size, __ATOMIC_SEQ_CST);
}
