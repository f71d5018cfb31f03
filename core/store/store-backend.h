/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a back end is: the interface that store.c dispatches to, and nothing else includes.
 *
 * A back end keeps immutable nodes and knows nothing of hashes beyond using them as names: store.c
 * checks what it returns, caches, and keeps the pending set. A back end embeds ProllyBackend first.
 * Every function may be called from any thread, and several at once.
 */

#include "store/store.h"

typedef struct ProllyBackend ProllyBackend;

typedef struct {
	ProllyHash hash;
	ProllyNodeClass node_class;
	GBytes *bytes; /* borrowed; a back end that keeps it takes a reference */
} ProllyBackendNode;

typedef struct {
	/* Frees the back end; what was put stays. */
	void (*close)(ProllyBackend *self);

	/*
	 * OUT_NODES[i] (transfer full): the bytes stored under HASHES[i], or NULL if there are
	 * none. The bytes are unchecked. A node put under another class may be found.
	 */
	bool (*get_many)(ProllyBackend *self, ProllyNodeClass node_class, const ProllyHash *hashes,
			 size_t n, GBytes **out_nodes, GError **error);

	bool (*has_many)(ProllyBackend *self, ProllyNodeClass node_class, const ProllyHash *hashes,
			 size_t n, bool *out_has, GError **error);

	/*
	 * Stores nodes; one that is there already is left. Never is a node half-written visible.
	 * BATCH (nullable) may be added to instead of writing at once, in which case the nodes are
	 * visible only after its write. Without BATCH they are visible on return, but not durable.
	 */
	bool (*put_many)(ProllyBackend *self, const ProllyBackendNode *nodes, size_t n,
			 ProllyDbBatch *batch, GError **error);

	/*
	 * Of a back end that keeps nodes as they are, both, else NULL. Puts nodes, of which it takes
	 * references; and finds one (transfer full) (nullable), which needs no check.
	 */
	bool (*hold_many)(ProllyBackend *self, ProllyNode *const *nodes, size_t n, GError **error);
	ProllyNode *(*find_held)(ProllyBackend *self, const ProllyHash *hash);

	/* Returns when everything put without a batch is durable, or will be once the database is
	 * synced. */
	bool (*sync)(ProllyBackend *self, GError **error);

	bool (*foreach)(ProllyBackend *self, ProllyNodeClass node_class, ProllyStoreFunc func,
			void *data, GError **error);

	bool (*delete_many)(ProllyBackend *self, ProllyNodeClass node_class,
			    const ProllyHash *hashes, size_t n, GError **error);

	/* NULL: deleting does it. After much was deleted: gives its space back to the disk, as far as
	 * that is worth it. May take long; others may go on. */
	bool (*reclaim)(ProllyBackend *self, GError **error);

	/* Nodes and bytes as stored; estimates are allowed. */
	bool (*get_size)(ProllyBackend *self, uint64_t *out_nodes, uint64_t *out_bytes,
			 GError **error);
} ProllyBackendClass;

struct ProllyBackend {
	const ProllyBackendClass *class;
};

/* Constructors, one a back end. OUT_BACKEND is (transfer full). */
ProllyBackend *prolly_backend_memory_new(void);
ProllyBackend *prolly_backend_void_new(void);
bool prolly_backend_file_open(const char *path, ProllyBackend **out_backend, GError **error);
bool prolly_backend_rocksdb_open(ProllyDb *db, ProllyBackend **out_backend, GError **error);
