/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory back end: a table of the nodes themselves. It is also the reference that the conformance
 * suite holds the others to, and the one that fails on command (store-private.h), so that every
 * caller's error paths can be swept.
 *
 * A mutex protects the table. Nodes are shared with whoever put or got them, never copied, and a
 * reader gets the very node that was put, with the view that was made of it; so what the cache evicts
 * costs a look-up here and nothing else. Only who wants to read it all anew (prolly_store_new_direct)
 * gets the bytes.
 *
 * What it costs to store a node lands in the edit that made it where there is one processor. With
 * entries and bytes of GLib's allocated for each node, in tables of GLib's here and for what is
 * pending, a load of a million entries took 115 ns an entry; it takes 96 so.
 */
#include "store/store-private.h"

typedef struct {
	ProllyBackend base;
	GMutex lock;           /* protects all below */
	ProllyNodeTable nodes; /* each with a reference */
	uint64_t bytes;
	unsigned n_operations;
	unsigned fail_at; /* 0: never */
} MemoryBackend;

static const ProllyBackendClass memory_class;

static MemoryBackend *get_self(ProllyBackend *backend)
{
	g_assert(backend->class == &memory_class);
	return (MemoryBackend *)backend;
}

/* Begins an operation: locks, unless a test wants it to fail. */
static bool enter(MemoryBackend *self, GError **error)
{
	g_mutex_lock(&self->lock);
	self->n_operations++;
	if (self->fail_at == 0 || self->n_operations < self->fail_at)
		return true;
	g_mutex_unlock(&self->lock);
	return prolly_throw(error, PROLLY_ERROR_FAILED, "memory back end: told to fail");
}

static void memory_close(ProllyBackend *backend)
{
	MemoryBackend *self = get_self(backend);

	for (size_t i = 0; i < self->nodes.n_slots; i++)
		prolly_node_unref(self->nodes.slots[i].node);
	prolly_node_table_clear(&self->nodes);
	g_mutex_clear(&self->lock);
	g_free(self);
}

static bool memory_get_many(ProllyBackend *backend, ProllyNodeClass node_class,
			    const ProllyHash *hashes, size_t n, GBytes **out_nodes, GError **error)
{
	MemoryBackend *self = get_self(backend);

	if (!enter(self, error))
		return false;
	for (size_t i = 0; i < n; i++) {
		ProllyNode *node = prolly_node_table_find(&self->nodes, &hashes[i]);

		out_nodes[i] = node ? prolly_node_dup_bytes(node) : NULL;
	}
	g_mutex_unlock(&self->lock);
	return true;
}

static ProllyNode *memory_find_held(ProllyBackend *backend, const ProllyHash *hash)
{
	MemoryBackend *self = get_self(backend);

	g_mutex_lock(&self->lock);
	ProllyNode *node = prolly_node_table_find(&self->nodes, hash);

	if (node)
		prolly_node_ref(node);
	g_mutex_unlock(&self->lock);
	return node;
}

static bool memory_has_many(ProllyBackend *backend, ProllyNodeClass node_class,
			    const ProllyHash *hashes, size_t n, bool *out_has, GError **error)
{
	MemoryBackend *self = get_self(backend);

	if (!enter(self, error))
		return false;
	for (size_t i = 0; i < n; i++)
		out_has[i] = prolly_node_table_find(&self->nodes, &hashes[i]) != NULL;
	g_mutex_unlock(&self->lock);
	return true;
}

/* NODE is borrowed. */
static void hold(MemoryBackend *self, ProllyNode *node)
{
	if (prolly_node_table_find(&self->nodes, &node->hash))
		return;
	prolly_node_table_add(&self->nodes, prolly_node_ref(node));
	self->bytes += node->len;
}

static bool memory_put_many(ProllyBackend *backend, const ProllyBackendNode *nodes, size_t n,
			    ProllyDbBatch *batch, GError **error)
{
	MemoryBackend *self = get_self(backend);

	if (!enter(self, error))
		return false;
	for (size_t i = 0; i < n; i++) {
		g_autoptr(ProllyNode) node = prolly_node_new_take(
			nodes[i].node_class, &nodes[i].hash, g_bytes_ref(nodes[i].bytes));

		hold(self, node);
	}
	g_mutex_unlock(&self->lock);
	return true;
}

/* So many nodes ahead is asked for a node, and for its place in the table. */
#define NODE_AHEAD  16
#define PLACE_AHEAD 8

static bool memory_hold_many(ProllyBackend *backend, ProllyNode *const *nodes, size_t n,
			     GError **error)
{
	MemoryBackend *self = get_self(backend);

	if (!enter(self, error))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (i + NODE_AHEAD < n)
			__builtin_prefetch(nodes[i + NODE_AHEAD], 1);
		if (i + PLACE_AHEAD < n)
			prolly_node_table_prefetch(&self->nodes, &nodes[i + PLACE_AHEAD]->hash);
		hold(self, nodes[i]);
	}
	g_mutex_unlock(&self->lock);
	return true;
}

static bool memory_sync(ProllyBackend *backend, GError **error)
{
	MemoryBackend *self = get_self(backend);

	if (!enter(self, error))
		return false;
	g_mutex_unlock(&self->lock);
	return true;
}

typedef struct {
	ProllyHash hash;
	uint64_t size;
} Listed;

/* FUNC runs without the lock, over what was there at the start, so that it may use the store. */
static bool memory_foreach(ProllyBackend *backend, ProllyNodeClass node_class, ProllyStoreFunc func,
			   void *data, GError **error)
{
	MemoryBackend *self = get_self(backend);
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(Listed));
	bool ok = true;

	if (!enter(self, error))
		return false;
	for (size_t i = 0; i < self->nodes.n_slots; i++) {
		const ProllyNode *node = self->nodes.slots[i].node;

		if (!node || node->node_class != node_class)
			continue;
		Listed listed = {node->hash, node->len};

		g_array_append_val(list, listed);
	}
	g_mutex_unlock(&self->lock);
	for (guint i = 0; i < list->len && ok; i++) {
		const Listed *listed = &g_array_index(list, Listed, i);

		ok = func(&listed->hash, listed->size, data, error);
	}
	return ok;
}

static bool memory_delete_many(ProllyBackend *backend, ProllyNodeClass node_class,
			       const ProllyHash *hashes, size_t n, GError **error)
{
	MemoryBackend *self = get_self(backend);

	if (!enter(self, error))
		return false;
	for (size_t i = 0; i < n; i++) {
		ProllyNode *node = prolly_node_table_remove(&self->nodes, &hashes[i]);

		if (!node)
			continue;
		self->bytes -= node->len;
		/* A reader may have it still, and the cache not know it. */
		__atomic_store_n(&node->gone, true, __ATOMIC_RELAXED);
		prolly_node_unref(node);
	}
	g_mutex_unlock(&self->lock);
	return true;
}

static bool memory_get_size(ProllyBackend *backend, uint64_t *out_nodes, uint64_t *out_bytes,
			    GError **error)
{
	MemoryBackend *self = get_self(backend);

	if (!enter(self, error))
		return false;
	*out_nodes = self->nodes.n;
	*out_bytes = self->bytes;
	g_mutex_unlock(&self->lock);
	return true;
}

static const ProllyBackendClass memory_class = {
	.close = memory_close,
	.get_many = memory_get_many,
	.has_many = memory_has_many,
	.put_many = memory_put_many,
	.hold_many = memory_hold_many,
	.find_held = memory_find_held,
	.sync = memory_sync,
	.foreach = memory_foreach,
	.delete_many = memory_delete_many,
	.get_size = memory_get_size,
};

ProllyBackend *prolly_backend_memory_new(void)
{
	MemoryBackend *self = g_new0(MemoryBackend, 1);

	self->base.class = &memory_class;
	g_mutex_init(&self->lock);
	return &self->base;
}

unsigned prolly_backend_memory_set_fault(ProllyBackend *backend, unsigned nth)
{
	MemoryBackend *self = get_self(backend);

	g_mutex_lock(&self->lock);
	unsigned n = self->n_operations;

	self->n_operations = 0;
	self->fail_at = nth;
	g_mutex_unlock(&self->lock);
	return n;
}
