/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory back end: a hash table. It is also the reference that the conformance suite holds the
 * others to, and the one that fails on command (store-private.h), so that every caller's error
 * paths can be swept.
 *
 * A mutex protects the table. Nodes are shared with whoever put or got them, never copied.
 */
#include "store/store-private.h"

typedef struct {
	ProllyHash hash;
	ProllyNodeClass node_class;
	GBytes *bytes;
} Entry;

typedef struct {
	ProllyBackend base;
	GMutex lock;         /* protects all below */
	GHashTable *entries; /* Entry, by its hash */
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

static void free_entry(gpointer data)
{
	Entry *entry = data;

	g_bytes_unref(entry->bytes);
	g_free(entry);
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

	g_hash_table_unref(self->entries);
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
		Entry *entry = g_hash_table_lookup(self->entries, &hashes[i]);

		out_nodes[i] = entry ? g_bytes_ref(entry->bytes) : NULL;
	}
	g_mutex_unlock(&self->lock);
	return true;
}

static bool memory_has_many(ProllyBackend *backend, ProllyNodeClass node_class,
			    const ProllyHash *hashes, size_t n, bool *out_has, GError **error)
{
	MemoryBackend *self = get_self(backend);

	if (!enter(self, error))
		return false;
	for (size_t i = 0; i < n; i++)
		out_has[i] = g_hash_table_contains(self->entries, &hashes[i]);
	g_mutex_unlock(&self->lock);
	return true;
}

static void put_node(MemoryBackend *self, const ProllyBackendNode *node)
{
	Entry *entry = g_new(Entry, 1);

	entry->hash = node->hash;
	entry->node_class = node->node_class;
	entry->bytes = g_bytes_ref(node->bytes);
	/* Of one that is there already this is a copy, which may as well take its place. */
	if (g_hash_table_replace(self->entries, &entry->hash, entry))
		self->bytes += g_bytes_get_size(node->bytes);
}

static bool memory_put_many(ProllyBackend *backend, const ProllyBackendNode *nodes, size_t n,
			    ProllyDbBatch *batch, GError **error)
{
	MemoryBackend *self = get_self(backend);

	if (!enter(self, error))
		return false;
	for (size_t i = 0; i < n; i++)
		put_node(self, &nodes[i]);
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

/* FUNC runs without the lock, over what was there at the start, so that it may use the store. */
static bool memory_foreach(ProllyBackend *backend, ProllyNodeClass node_class, ProllyStoreFunc func,
			   void *data, GError **error)
{
	MemoryBackend *self = get_self(backend);
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(Entry));
	GHashTableIter iter;
	gpointer value;

	if (!enter(self, error))
		return false;
	g_hash_table_iter_init(&iter, self->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		Entry entry = *(Entry *)value;

		if (entry.node_class != node_class)
			continue;
		g_bytes_ref(entry.bytes);
		g_array_append_val(found, entry);
	}
	g_mutex_unlock(&self->lock);

	bool ok = true;

	for (guint i = 0; i < found->len; i++) {
		Entry *entry = &g_array_index(found, Entry, i);

		ok = ok && func(&entry->hash, g_bytes_get_size(entry->bytes), data, error);
		g_bytes_unref(entry->bytes);
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
		Entry *entry = g_hash_table_lookup(self->entries, &hashes[i]);

		if (!entry)
			continue;
		self->bytes -= g_bytes_get_size(entry->bytes);
		g_hash_table_remove(self->entries, &hashes[i]);
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
	*out_nodes = g_hash_table_size(self->entries);
	*out_bytes = self->bytes;
	g_mutex_unlock(&self->lock);
	return true;
}

static const ProllyBackendClass memory_class = {
	.close = memory_close,
	.get_many = memory_get_many,
	.has_many = memory_has_many,
	.put_many = memory_put_many,
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
	self->entries = g_hash_table_new_full(prolly_hash_table_hash, prolly_hash_table_equal, NULL,
					      free_entry);
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
