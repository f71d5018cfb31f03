/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of core/store share with each other and with tests, and nobody else includes:
 * the body of a node, the node cache, how work is counted, and a hook that makes the memory back
 * end fail.
 */

#include "store/store-backend.h"

#define PROLLY_N_NODE_CLASSES 2

/* ---- Nodes (store-node.c) ---------------------------------------------------------------- */

typedef struct ProllyCache ProllyCache;

struct ProllyNode {
	gint ref_count;
	ProllyNodeClass node_class;
	ProllyHash hash;
	GBytes *owner; /* holds BYTES */
	const uint8_t *bytes;
	size_t len;

	void *view; /* atomic; set once */
	size_t view_size;
	GDestroyNotify view_destroy;

	/* The cache that holds the node, atomic; and, protected by its shard's lock, its place
	 * there. */
	ProllyCache *cache;
	ProllyNode *chain;
	ProllyNode *newer;
	ProllyNode *older;
	size_t charge;
};

/* (transfer full) A node of BYTES (transfer full, 8-byte aligned), whose hash is known. */
ProllyNode *prolly_node_new_take(ProllyNodeClass node_class, const ProllyHash *hash, GBytes *bytes);

/* What the node costs a cache that holds it. */
size_t prolly_node_get_charge(const ProllyNode *node);

/* ---- The node cache (store-cache.c) ------------------------------------------------------ */

/* CAPACITY in bytes; 0 holds nothing. */
ProllyCache *prolly_cache_new(uint64_t capacity);
void prolly_cache_free(ProllyCache *cache);

/* (transfer full) (nullable) The node, which is now the most recently used; counts a hit or miss.
 */
ProllyNode *prolly_cache_lookup(ProllyCache *cache, const ProllyHash *hash);
/* The same, and neither counts nor makes it more recent. */
ProllyNode *prolly_cache_peek(ProllyCache *cache, const ProllyHash *hash);
/*
 * (transfer full) Holds NODE (transfer full), evicting what was used least recently; or, if a node
 * of that hash is there already, drops NODE and returns that one.
 */
ProllyNode *prolly_cache_insert(ProllyCache *cache, ProllyNode *node);
void prolly_cache_remove(ProllyCache *cache, const ProllyHash *hash);
/* The node's charge has changed, if this cache holds it still. */
void prolly_cache_recharge(ProllyCache *cache, ProllyNode *node);
/* Adds the cache's figures to those in FIGURES. */
void prolly_cache_add_figures(ProllyCache *cache, ProllyStoreFigures *figures);

/* ---- Work (work.c) ----------------------------------------------------------------------- */

void prolly_work_count_read(ProllyWork *work, const ProllyNode *node);
void prolly_work_count_put(ProllyWork *work, const ProllyNode *node);

/* ---- Faults, for tests (store-memory.c) -------------------------------------------------- */

/*
 * The Nth operation of the memory back end from now on (1: the next) and all after it fail with
 * PROLLY_ERROR_FAILED; 0: none does. Returns the number of operations since the last call.
 */
unsigned prolly_backend_memory_set_fault(ProllyBackend *backend, unsigned nth);

/* The back end of STORE (borrowed). */
ProllyBackend *prolly_store_get_backend(ProllyStore *store);
