/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * store: immutable, content-addressed nodes.
 *
 * A node is a string of bytes named by its SHA-256. Two classes are kept apart, because they are
 * used differently: PROLLY_NODE_TREE (nodes of trees: small, many, cached) and PROLLY_NODE_CHUNK
 * (chunks of large values). A hash names one node, whatever its class.
 *
 * Writing. prolly_store_put gives the node to the store's pending set, where every reader of the
 * store sees it at once; the set goes to the back end when it grows over a bound, and wholly at
 * prolly_store_flush. A node is durable once the flush after its put, and the sync that the caller
 * does after it, have returned; so a reference to it may be made durable only after that, or in the
 * same batch.
 *
 * Reading. What comes from a back end is checked against its hash before anyone sees it (or, of a
 * chunk that was checked before, against the sum that the back end keeps of it): damage is
 * PROLLY_ERROR_CORRUPT, absence where the caller expects a node is PROLLY_ERROR_MISSING, both with
 * the hash in the message. Nodes read are kept in one cache bounded in bytes.
 *
 * Threads: every function may be called from any thread; nodes are immutable.
 */

#include "base/base.h"
#include "base/pool.h"

typedef struct ProllyStore ProllyStore;
typedef struct ProllyNode ProllyNode;
typedef struct ProllyWork ProllyWork;
typedef struct ProllyDb ProllyDb;
typedef struct ProllyDbBatch ProllyDbBatch;

typedef enum {
	PROLLY_NODE_TREE,
	PROLLY_NODE_CHUNK,
} ProllyNodeClass;

/* ---- Nodes ------------------------------------------------------------------------------- */

ProllyNode *prolly_node_ref(ProllyNode *node);
void prolly_node_unref(ProllyNode *node); /* NULL is allowed */
const ProllyHash *prolly_node_get_hash(const ProllyNode *node);
/* The node's bytes, valid while a reference is held. A tree node's are 8-byte aligned. */
const uint8_t *prolly_node_get_bytes(const ProllyNode *node, size_t *out_len);

/*
 * One pointer a node for the layer that decodes it: what that layer derived from the bytes
 * (validated header, heads of keys). Set once; the first setter wins and the loser's object is
 * destroyed by the call, which returns the one that stands. SIZE counts against the cache's bound.
 */
void *prolly_node_get_view(const ProllyNode *node);
void *prolly_node_set_view(ProllyNode *node, void *view, size_t size, GDestroyNotify destroy);
void prolly_node_add_to_view(ProllyNode *node, size_t size); /* it became so much larger */
/* (nullable) Memory for a view of SIZE beside the node's bytes, which goes with them and DESTROY leaves
 * alone. Only the first to ask may have it; NULL: make it elsewhere. */
void *prolly_node_take_room(ProllyNode *node, size_t size);

/*
 * A place to remember where a node is, without holding it; zeroed at first. A view has one for each
 * node that it refers to, so that going there needs no look-up. Only for nodes of one store.
 */
typedef struct {
	ProllyNode *node; /* atomic; it may be gone: only the store may look at it */
} ProllyNodeLink;

/* ---- Work: what operations cost, counted ------------------------------------------------- */

typedef struct {
	uint64_t nodes_read;    /* visits to distinct nodes, cached or not */
	uint64_t nodes_written; /* distinct nodes put */
	uint64_t bytes_read;
	uint64_t bytes_written;
	uint64_t nodes_hashed;
	uint64_t chunks_written; /* of nodes_written, those of class chunk */
} ProllyWorkFigures;

ProllyWork *prolly_work_new(void);
ProllyWork *prolly_work_ref(ProllyWork *work);
void prolly_work_unref(ProllyWork *work);
void prolly_work_get_figures(ProllyWork *work, ProllyWorkFigures *out_figures);

/* ---- Lifecycle --------------------------------------------------------------------------- */

typedef enum {
	PROLLY_BACKEND_MEMORY,      /* :memory: */
	PROLLY_BACKEND_FILE,        /* file:// */
	PROLLY_BACKEND_CACHED_FILE, /* cached-file:// */
	PROLLY_BACKEND_ROCKSDB,     /* rocksdb:// */
} ProllyBackendKind;

/* "memory", "file", "cached-file", "rocksdb". */
const char *prolly_backend_kind_to_text(ProllyBackendKind kind);
bool prolly_backend_kind_from_text(const char *text, ProllyBackendKind *out_kind);

typedef struct {
	ProllyBackendKind kind;
	const char *path; /* of the store's directory; nodes of file back ends are in PATH/nodes;
			     NULL: memory */
	ProllyDb *db; /* where rocksdb keeps nodes; borrowed, outlives the store; NULL for others */
	uint64_t cache_size; /* bytes; 0: the default, 256 MiB */
} ProllyStoreOptions;

/* Opens a node store (its directory is made if it is missing). */
bool prolly_store_open(const ProllyStoreOptions *options, ProllyStore **out_store, GError **error);

/* A memory store of its own, with no database: for tests and for hashing things that are not kept.
 */
ProllyStore *prolly_store_new_memory(void);

/*
 * (transfer full) Another handle on STORE's nodes, pending set and cache, whose operations are also
 * counted in WORK. Cheap: one for each command.
 */
ProllyStore *prolly_store_new_counting(ProllyStore *store, ProllyWork *work);

/* (transfer full) Another handle, for who reads everything once: what it reads from the back end does
 * not enter the cache. */
ProllyStore *prolly_store_new_passing(ProllyStore *store);
/* (transfer full) The same for who wants to know what is on the disk: it is read whatever the cache
 * has. */
ProllyStore *prolly_store_new_direct(ProllyStore *store);
/* A store that keeps nothing but what is in its bounded sets: for who wants hashes alone. */
ProllyStore *prolly_store_new_void(void);

ProllyStore *prolly_store_ref(ProllyStore *store);
/* The last handle's unref closes the back end. What was not flushed is dropped. NULL is allowed. */
void prolly_store_unref(ProllyStore *store);

/* ---- Read -------------------------------------------------------------------------------- */

/* (transfer full) The node HASH names. Absent: PROLLY_ERROR_MISSING. */
ProllyNode *prolly_store_get(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hash,
			     GError **error);

/* (transfer full) (nullable) The node HASH names, if LINK was made for it and it is in memory still.
 * Counted as by prolly_store_get. */
ProllyNode *prolly_store_follow(ProllyStore *store, ProllyNodeLink *link, const ProllyHash *hash);
/* The same for one who needs little of it, and has asked the memory for that. */
ProllyNode *prolly_store_take(ProllyStore *store, ProllyNodeLink *link, const ProllyHash *hash);
/* Has the processor load what LINK leads to, for one who follows it soon. */
void prolly_store_prefetch(const ProllyNodeLink *link);
/* Makes LINK lead to NODE, which is STORE's; or to where another link of it leads. */
void prolly_store_link(ProllyStore *store, ProllyNodeLink *link, ProllyNode *node);
/* (nullable) Where the node of LINK lies, or lay. Only the processor may be told to look there. */
static inline const uint8_t *prolly_store_get_link_place(const ProllyNodeLink *link)
{
	return (const uint8_t *)__atomic_load_n(&link->node, __ATOMIC_RELAXED);
}
static inline void prolly_store_copy_link(ProllyNodeLink *link, const ProllyNodeLink *other)
{
	link->node = __atomic_load_n(&other->node, __ATOMIC_ACQUIRE);
}

/* As N prolly_store_get, in one request of the back end. OUT_NODES[i] are (transfer full). */
bool prolly_store_get_many(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hashes,
			   size_t n, ProllyNode **out_nodes, GError **error);

/* OUT_HAS[i]: is HASHES[i] there (pending ones included)? */
bool prolly_store_has_many(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hashes,
			   size_t n, bool *out_has, GError **error);

/* Calls FUNC for every node of the back end, pending ones not included; stops when it returns
 * false. */
typedef bool (*ProllyStoreFunc)(const ProllyHash *hash, uint64_t size, void *data, GError **error);
bool prolly_store_foreach(ProllyStore *store, ProllyNodeClass node_class, ProllyStoreFunc func,
			  void *data, GError **error);

/* ---- Write ------------------------------------------------------------------------------- */

/*
 * Hashes BYTES (transfer full, from g_malloc; freed by the store whatever happens) and puts the
 * node. Idempotent: a node that is there is not written again. OUT_HASH, OUT_NODE (transfer full)
 * nullable.
 */
bool prolly_store_put(ProllyStore *store, ProllyNodeClass node_class, uint8_t *bytes, size_t len,
		      ProllyHash *out_hash, ProllyNode **out_node, GError **error);

/*
 * The same without a copy. A new node is LEN bytes that its maker alone sees and writes at
 * *OUT_BYTES, and ROOM for a view of it; it is (transfer full) to the put, whatever happens, or
 * dropped. NULL: there is no memory for it.
 */
ProllyNode *prolly_store_new_node(ProllyStore *store, ProllyNodeClass node_class, size_t len,
				  size_t room, uint8_t **out_bytes, GError **error);
bool prolly_store_put_node(ProllyStore *store, ProllyNode *node, ProllyHash *out_hash,
			   GError **error);
/*
 * The same in two steps, since several nodes are hashed in less time than one by one; and what
 * putting looks at is on its way by then: N that have nothing to do with each other (as many as
 * PROLLY_HASH_TOGETHER at once), or N (at most PROLLY_HASH_CHAIN_MAX) of which each but the first
 * has at ATS[i] the hash of the one before, which this writes there.
 */
#define PROLLY_HASH_TOGETHER 64
void prolly_store_hash_many(ProllyStore *store, ProllyNode *const *nodes, size_t n);
void prolly_store_hash_chain(ProllyStore *store, ProllyNode **nodes, const size_t *ats, size_t n);
bool prolly_store_put_hashed(ProllyStore *store, ProllyNode *node, GError **error);
void prolly_store_drop_node(ProllyNode *node); /* NULL is allowed */

/*
 * Gives all that is pending to the back end. With BATCH (nullable) a back end that keeps its nodes
 * in BATCH's database may add the last of them to it, so that one synced write of the batch makes
 * everything durable; another back end has synced its nodes when this returns. On an error
 * everything is still pending.
 */
bool prolly_store_flush(ProllyStore *store, ProllyDbBatch *batch, GError **error);

/*
 * For nodes that prolly_store_flush put into a batch: they are handed to readers until the batch
 * was written. Call once after each flush with a batch that succeeded, after the batch's write,
 * whatever the back end: until then every other flush waits. WRITTEN false puts the nodes back to
 * pending.
 */
void prolly_store_flushed(ProllyStore *store, bool written);

/* Removes nodes; absent ones are no error. For garbage collection (census.h), which knows that nobody
 * refers to them. */
bool prolly_store_delete_many(ProllyStore *store, ProllyNodeClass node_class,
			      const ProllyHash *hashes, size_t n, GError **error);

/* ---- Figures ----------------------------------------------------------------------------- */

typedef struct {
	uint64_t nodes; /* as stored, both classes; an estimate where counting would read everything
			 */
	uint64_t bytes;
	uint64_t cache_capacity;
	uint64_t cache_bytes;
	uint64_t cache_hits;
	uint64_t cache_misses;
	uint64_t cache_evictions;
} ProllyStoreFigures;

bool prolly_store_get_figures(ProllyStore *store, ProllyStoreFigures *out_figures, GError **error);

/* Bytes of nodes that went to the back end since the store was opened. */
uint64_t prolly_store_get_written(ProllyStore *store);
/* FUNC (NULL: nobody waits) is called once when they reach MARK, which may be now, on the thread that
 * brings them there, under a lock: it must be quick, and ask the store nothing. */
typedef void (*ProllyWrittenFunc)(void *data);
void prolly_store_watch_written(ProllyStore *store, uint64_t mark, ProllyWrittenFunc func,
				void *data);
ProllyBackendKind prolly_store_get_kind(ProllyStore *store);

/* Threads for whoever works on the store's nodes. Borrowed. */
ProllyPool *prolly_store_get_pool(ProllyStore *store);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyStore, prolly_store_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyNode, prolly_node_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyWork, prolly_work_unref)
