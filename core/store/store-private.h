/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of core/store share with each other and with tests, and nobody else includes:
 * the body of a node, the node cache, the nodes on their way, how work is counted, and a hook that
 * makes the memory back end fail.
 */

#include <string.h>

#include "store/census.h"
#include "store/store-backend.h"

#define PROLLY_N_NODE_CLASSES 2

/* ---- Nodes (store-node.c) ---------------------------------------------------------------- */

typedef struct ProllyCache ProllyCache;
typedef struct ProllyArena ProllyArena;

/*
 * Of two cache lines: what a reader needs is on the first. A node's block may be in an arena, and
 * then its bytes and perhaps its view are in the same block; or it is from g_malloc, and OWNER holds
 * the bytes.
 */
struct ProllyNode {
	gint ref_count;     /* in an arena 0: free, and then nothing else means anything */
	uint8_t node_class; /* ProllyNodeClass */
	uint8_t used;       /* atomic; since the cache's hand came by */
	uint8_t in_arena;
	uint8_t room_taken; /* atomic; somebody makes the view there */
	uint32_t len;
	uint16_t room; /* behind the node, for a view */
	uint8_t gone;  /* atomic; was removed from the store, and no link leads here any more */
	uint8_t unused;
	ProllyHash hash;
	void *view;         /* atomic; set once */
	ProllyCache *cache; /* that holds the node; atomic, changed under its shard's lock */

	const uint8_t *bytes;
	GBytes *owner; /* NULL: the block */
	GDestroyNotify view_destroy;
	/* Protected by the lock of the cache's shard: the place there. */
	ProllyNode *chain;
	ProllyNode *newer;
	ProllyNode *older;
	uint32_t view_size; /* atomic; what is not in the block */
	uint32_t charge;
	uint32_t block_size;
	uint32_t padding; /* to the end of the line */
};

/* As prolly_hash_equal, without a call. */
static inline bool node_has_hash(const ProllyNode *node, const ProllyHash *hash)
{
	uint64_t a[4], b[4];

	memcpy(a, node->hash.bytes, sizeof(a));
	memcpy(b, hash->bytes, sizeof(b));
	return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])) == 0;
}

/* OUT_HASHES[i] of the bytes BYTES[i] (nullable). */
void prolly_nodes_hash(GBytes *const *bytes, size_t n, ProllyHash *out_hashes);

/* (transfer full) A node of BYTES (transfer full), whose hash is known. */
ProllyNode *prolly_node_new_take(ProllyNodeClass node_class, const ProllyHash *hash, GBytes *bytes);

/*
 * (nullable) A node in ARENA of LEN bytes, which are the caller's to write, as is the hash, with ROOM
 * for a view. Then he publishes it, and has a reference; or gives it back to the arena. NULL: too
 * large for an arena, or for memory.
 */
ProllyNode *prolly_node_new_in_arena(ProllyArena *arena, ProllyNodeClass node_class, size_t len,
				     size_t room);
void prolly_node_publish(ProllyNode *node);

/* A reference, if NODE, of an arena that lives, is a node at all. It may be any. */
bool prolly_node_try_ref(ProllyNode *node);

/* What the node costs a cache that holds it. */
size_t prolly_node_get_charge(const ProllyNode *node);

/* (transfer full) The bytes of NODE, which live as long as anyone holds them. */
GBytes *prolly_node_dup_bytes(ProllyNode *node);

/* ---- Tables of nodes (node-table.c) ----------------------------------------------------- */

typedef struct {
	uint64_t tag;     /* how the hash begins */
	ProllyNode *node; /* borrowed; NULL: the slot is empty */
} ProllyNodeSlot;

/* Zeroed at first. Its owner has a lock, and keeps the nodes while they are in it. */
typedef struct {
	ProllyNodeSlot *slots; /* atomic, as is the next */
	size_t n_slots;        /* a power of two, or 0 */
	size_t n;
} ProllyNodeTable;

/* Empties it. */
void prolly_node_table_clear(ProllyNodeTable *self);
/* (nullable) Borrowed. */
ProllyNode *prolly_node_table_find(const ProllyNodeTable *self, const ProllyHash *hash);
/* None of NODE's hash is there. */
void prolly_node_table_add(ProllyNodeTable *self, ProllyNode *node);
/* (nullable) The node that is not there any more. */
ProllyNode *prolly_node_table_remove(ProllyNodeTable *self, const ProllyHash *hash);
/* Has the processor load what looking for HASH begins with. No lock is needed. */
void prolly_node_table_prefetch(const ProllyNodeTable *self, const ProllyHash *hash);

/* ---- What the address sanitizer is told -------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, len)   ASAN_POISON_MEMORY_REGION(p, len)
#define UNPOISON(p, len) ASAN_UNPOISON_MEMORY_REGION(p, len)
#else
#define POISON(p, len)   ((void)(p))
#define UNPOISON(p, len) ((void)(p))
#endif

/* ---- Memory from the system (store-regions.c) -------------------------------------------- */

#define PROLLY_REGION_SIZE ((size_t)2 << 20)

/*
 * Memory of that size, and aligned to it, which contains anything. The last *OUT_ABSENT bytes of it
 * have no pages as yet, and are better populated before they are used. NULL: there is none.
 */
uint8_t *prolly_region_take(bool may_be_large, size_t *out_absent);
void prolly_region_populate(uint8_t *start, size_t len);
void prolly_region_give(uint8_t *region);

/* ---- Memory of nodes (store-arena.c) ----------------------------------------------------- */

#define PROLLY_ARENA_BLOCK_MAX ((size_t)64 << 10)

ProllyArena *prolly_arena_new(void);
/* The memory goes when every node has, too. */
void prolly_arena_unref(ProllyArena *arena);
/* A block of SIZE, at most PROLLY_ARENA_BLOCK_MAX, aligned to 64. Only its block_size is set. NULL:
 * there is no memory for it. */
ProllyNode *prolly_arena_take(ProllyArena *arena, size_t size);
/* Its ref_count is 0. */
void prolly_arena_give(ProllyNode *node);

/* ---- The node cache (store-cache.c) ------------------------------------------------------ */

/* CAPACITY in bytes; 0 holds nothing. */
ProllyCache *prolly_cache_new(uint64_t capacity);
void prolly_cache_free(ProllyCache *cache);

/* (transfer full) (nullable) The node, which has been used now; counts a hit or miss. */
ProllyNode *prolly_cache_lookup(ProllyCache *cache, const ProllyHash *hash);
/* Has the processor load what a look-up of HASH begins with, for one who soon makes it. */
void prolly_cache_prefetch(ProllyCache *cache, const ProllyHash *hash);
/* As the look-up, and neither counts nor is a use. */
ProllyNode *prolly_cache_peek(ProllyCache *cache, const ProllyHash *hash);
/* NODE was found without the cache's help: that is a use and a hit, if the cache holds it. */
void prolly_cache_note_use(ProllyCache *cache, ProllyNode *node);
/*
 * (transfer full) Holds NODE (transfer full), evicting what was not used for long; or, if a node
 * of that hash is there already, drops NODE and returns that one.
 */
ProllyNode *prolly_cache_insert(ProllyCache *cache, ProllyNode *node);
/* N nodes, each into that of CACHES which is its class's. They stay the caller's. */
void prolly_caches_insert(ProllyCache **caches, ProllyNode **nodes, size_t n);
void prolly_cache_remove(ProllyCache *cache, const ProllyHash *hash);
/* The same of NODE that was read when *COUNT was SEEN; if it is not any more, NODE may have been
 * deleted since, and is returned without being held. */
ProllyNode *prolly_cache_insert_unless(ProllyCache *cache, ProllyNode *node, const guint *count,
				       guint seen);
/* The node's charge has changed, if this cache holds it still. */
void prolly_cache_recharge(ProllyCache *cache, ProllyNode *node);
/* Adds the cache's figures to those in FIGURES. */
void prolly_cache_add_figures(ProllyCache *cache, ProllyStoreFigures *figures);

/* ---- The store (store.c) ----------------------------------------------------------------- */

/* Nodes in the order in which they were added. */
typedef struct {
	GPtrArray *nodes; /* ProllyNode, owned */
	ProllyNodeTable by_hash;
	size_t bytes;
} ProllyNodeSet;

typedef enum {
	TURN_FREE,
	TURN_MOVING, /* the back end is at work */
	TURN_BATCH,  /* a batch is out, not yet written */
} ProllyTurn;

/* store-written.c */
typedef struct {
	uint64_t bytes; /* that went to the back end since the opening */
	uint64_t mark;  /* func is called when they reach it, and the mark is gone then */
	ProllyWrittenFunc func;
	void *data;
} ProllyWritten;

#define PROLLY_N_RECENT 64 /* a power of two */

/* What all handles on a store share. */
typedef struct {
	gint ref_count;
	ProllyBackendKind kind;
	ProllyBackend *backend;
	ProllyCache *caches[PROLLY_N_NODE_CLASSES];
	ProllyArena *arena;
	/* Tree nodes asked for by hash, at a place it decides. */
	ProllyNodeLink recent[PROLLY_N_RECENT];
	ProllyPool *pool;
	uint64_t *verified;   /* store-verified.c; nullable */
	guint n_deleting;     /* atomic; deletions under way */
	guint n_deletions;    /* atomic; that were begun */
	ProllyCensus *census; /* atomic, nullable; changed under lock */

	GMutex lock;     /* protects all below */
	GCond turn_free; /* signalled when it becomes so */
	ProllyTurn turn;
	bool mover_called; /* and has not come yet */
	ProllyNodeSet pending;
	ProllyNodeSet moving; /* empty when the turn is free */
	ProllyWritten written;
} ProllyShared;

struct ProllyStore {
	gint ref_count;
	ProllyShared *shared;
	ProllyWork *work; /* NULL: not counted */
	bool is_passing;  /* what it reads does not enter the cache */
	bool is_direct;   /* nor does what is there spare it the reading */
};

/* ---- What need not be hashed again (store-verified.c) -------------------------------------- */

void prolly_verified_init(ProllyShared *shared);
void prolly_verified_clear(ProllyShared *shared);
/* HASHES[i], for which the back end gave BYTES[i] (nullable), is made the hash of those, unless it is
 * known to be that. */
void prolly_verified_hash(ProllyStore *store, ProllyNodeClass node_class, GBytes *const *bytes,
			  size_t n, ProllyHash *hashes);

/* ---- Nodes on their way to the back end (store-pending.c) --------------------------------- */

/* The lock, the turn and the two sets; the rest of SHARED comes later and goes after. */
void prolly_pending_init(ProllyShared *shared);
void prolly_pending_clear(ProllyShared *shared);
/* (transfer full) (nullable) The node of HASH, if it may not be stored yet. */
ProllyNode *prolly_pending_find(ProllyShared *shared, const ProllyHash *hash);
/*
 * Makes *NODE pending, unless one of its hash is: that one takes its place (transfer full, both). If
 * many are, waits until some are stored; it is that which can fail, and then *NODE is pending too.
 */
bool prolly_pending_add(ProllyShared *shared, ProllyNode **node, GError **error);
/* As prolly_store_flush, and prolly_store_flushed. */
bool prolly_pending_flush(ProllyShared *shared, ProllyDbBatch *batch, GError **error);
void prolly_pending_flushed(ProllyShared *shared, bool written);

/* ---- How much was written (store-written.c) ----------------------------------------------- */

/* The lock of SHARED is held. */
void prolly_store_count_written(ProllyShared *shared, uint64_t bytes);

/* ---- The census (store-census.c) --------------------------------------------------------- */

/* HASH is about to be put: it stays. Waits if it is going just now. */
void prolly_census_note_put(ProllyShared *shared, const ProllyHash *hash);

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
