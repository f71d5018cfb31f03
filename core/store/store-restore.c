/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that were damaged: reading what is really on the disk, whatever memory holds; finding another
 * copy of a node; and putting one in the place of what is there.
 *
 * A node may be held by a cache that read it when it was whole, by the set of those that are not
 * stored yet, and by the back end under the other class. Whatever is found counts only if it has the
 * hash.
 *
 * What is put back takes the place of the damaged one, which a put would leave since it is there. A
 * crash in between leaves the node missing, which is no worse.
 */
#include "store/restore.h"

#include "store/store-private.h"

/* ---- Reading past all that is in memory -------------------------------------------------- */

ProllyStore *prolly_store_new_direct(ProllyStore *store)
{
	ProllyStore *direct = prolly_store_new_passing(store);

	direct->is_direct = true;
	return direct;
}

/* ---- Copies ------------------------------------------------------------------------------ */

static bool has_hash(GBytes *bytes, const ProllyHash *hash)
{
	ProllyHash actual;

	prolly_hash_compute(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &actual);
	return prolly_hash_equal(hash, &actual);
}

/* (transfer full) (nullable) */
static GBytes *find_in_memory(ProllyShared *shared, const ProllyHash *hash)
{
	g_autoptr(ProllyNode) node = prolly_pending_find(shared, hash);

	for (int c = 0; c < PROLLY_N_NODE_CLASSES && !node; c++)
		node = prolly_cache_peek(shared->caches[c], hash);
	return node ? g_bytes_new(node->bytes, node->len) : NULL;
}

GBytes *prolly_store_find_copy(ProllyStore *store, const ProllyHash *hash)
{
	ProllyBackend *backend = store->shared->backend;
	GBytes *found = find_in_memory(store->shared, hash);

	for (int c = 0; c < PROLLY_N_NODE_CLASSES && !found; c++) {
		if (!backend->class->get_many(backend, (ProllyNodeClass)c, hash, 1, &found, NULL))
			found = NULL;
		if (found && !has_hash(found, hash))
			g_clear_pointer(&found, g_bytes_unref);
	}
	return found;
}

/* ---- Putting back ------------------------------------------------------------------------ */

bool prolly_store_restore(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hash,
			  GBytes *bytes, GError **error)
{
	ProllyBackend *backend = store->shared->backend;
	ProllyBackendNode node = {.hash = *hash, .node_class = node_class, .bytes = bytes};
	char hex[PROLLY_HASH_HEX_SIZE];

	if (!has_hash(bytes, hash))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "node %s: other bytes",
				    prolly_hash_to_hex(hash, hex));
	prolly_census_note_put(store->shared, hash);
	return prolly_store_delete_many(store, node_class, hash, 1, error) &&
	       backend->class->put_many(backend, &node, 1, NULL, error) &&
	       backend->class->sync(backend, error);
}
