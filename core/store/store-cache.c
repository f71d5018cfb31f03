/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node cache: bounded in bytes, sharded, and with a second chance for what was used.
 *
 * A shard is a table (node-table.c) and a list in order of age, threaded through the nodes
 * themselves. Hashes are uniform: some of their bytes choose the shard, others the slot.
 *
 * Invariants, for each shard, under its lock:
 *  I1  a node is in the table if and only if it is in the list, and then its `cache` is this cache
 *      and the shard holds one reference to it;
 *  I2  `bytes` is the sum of the charges of its nodes, and is at most `capacity` whenever the lock
 *      is free.
 *
 * What is evicted is the oldest, but one that was used since it became the oldest the last time is
 * the newest again ("clock"). A use is a bit in the node that is set, by readers who have not the
 * lock too: most come to a node through a link in its parent's view (store.c). An order of use
 * would have to be kept under the lock at each of four or five nodes of a look-up.
 *
 * Locks: one mutex a shard, innermost but for the arena's; nodes are let go after it is released,
 * since the destructor of a view is foreign code.
 *
 * There is one cache for each class of nodes (store.c), since one large file read through a common
 * one would sweep out the nodes of all trees.
 */
#include "store/store-private.h"

#define MAX_SHARDS 16u
/* A shard smaller than this could not hold a few of the largest nodes. */
#define MIN_SHARD_CAPACITY (1u << 20)

typedef struct {
	GMutex lock; /* protects all below */
	ProllyNodeTable nodes;
	ProllyNode *newest;
	ProllyNode *oldest;
	uint64_t bytes;
	uint64_t capacity;
	uint64_t hits; /* atomic, see count() */
	uint64_t misses;
	uint64_t evictions;
} Shard;

struct ProllyCache {
	uint64_t capacity;
	unsigned n_shards; /* a power of two */
	Shard shards[MAX_SHARDS];
};

static Shard *get_shard(ProllyCache *cache, const ProllyHash *hash)
{
	return &cache->shards[hash->bytes[8] & (cache->n_shards - 1)];
}

static void unlink_from_list(Shard *shard, ProllyNode *node)
{
	*(node->newer ? &node->newer->older : &shard->newest) = node->older;
	*(node->older ? &node->older->newer : &shard->oldest) = node->newer;
}

static void link_as_newest(Shard *shard, ProllyNode *node)
{
	node->newer = NULL;
	node->older = shard->newest;
	*(shard->newest ? &shard->newest->newer : &shard->oldest) = node;
	shard->newest = node;
}

/* Others than the lock's holder count too, and may lose one now and then: it is a figure. */
static void count(uint64_t *figure)
{
	uint64_t n = __atomic_load_n(figure, __ATOMIC_RELAXED);

	__atomic_store_n(figure, n + 1, __ATOMIC_RELAXED);
}

static void mark_used(ProllyNode *node)
{
	/* Written only if it changes, since many readers share the line. */
	if (!__atomic_load_n(&node->used, __ATOMIC_RELAXED))
		__atomic_store_n(&node->used, true, __ATOMIC_RELAXED);
}

/* NODE was taken out of the table: takes it out of the shard and puts it on DROPPED, chained. */
static void drop_node(Shard *shard, ProllyNode *node, ProllyNode **dropped)
{
	unlink_from_list(shard, node);
	shard->bytes -= node->charge;
	g_atomic_pointer_set(&node->cache, NULL);
	node->chain = *dropped;
	*dropped = node;
}

static void evict_to_capacity(Shard *shard, ProllyNode **dropped)
{
	while (shard->bytes > shard->capacity) {
		ProllyNode *node = shard->oldest;

		if (__atomic_exchange_n(&node->used, false, __ATOMIC_RELAXED)) {
			unlink_from_list(shard, node);
			link_as_newest(shard, node);
			continue;
		}
		prolly_node_table_remove(&shard->nodes, &node->hash);
		drop_node(shard, node, dropped);
		shard->evictions++;
	}
}

static void release_dropped(ProllyNode *dropped)
{
	while (dropped) {
		ProllyNode *next = dropped->chain;

		dropped->chain = NULL;
		prolly_node_unref(dropped);
		dropped = next;
	}
}

ProllyCache *prolly_cache_new(uint64_t capacity)
{
	ProllyCache *cache = g_new0(ProllyCache, 1);

	cache->capacity = capacity;
	cache->n_shards = 1;
	while (cache->n_shards < MAX_SHARDS && capacity / cache->n_shards >= 2 * MIN_SHARD_CAPACITY)
		cache->n_shards *= 2;
	for (unsigned i = 0; i < cache->n_shards; i++) {
		Shard *shard = &cache->shards[i];

		g_mutex_init(&shard->lock);
		shard->capacity = capacity / cache->n_shards;
	}
	return cache;
}

void prolly_cache_free(ProllyCache *cache)
{
	if (!cache)
		return;
	for (unsigned i = 0; i < cache->n_shards; i++) {
		Shard *shard = &cache->shards[i];
		ProllyNode *dropped = NULL;

		while (shard->oldest)
			drop_node(shard, shard->oldest, &dropped);
		release_dropped(dropped);
		prolly_node_table_clear(&shard->nodes);
		g_mutex_clear(&shard->lock);
	}
	g_free(cache);
}

ProllyNode *prolly_cache_lookup(ProllyCache *cache, const ProllyHash *hash)
{
	Shard *shard = get_shard(cache, hash);

	g_mutex_lock(&shard->lock);
	ProllyNode *node = prolly_node_table_find(&shard->nodes, hash);

	if (node) {
		prolly_node_ref(node);
		mark_used(node);
		count(&shard->hits);
	} else {
		shard->misses++;
	}
	g_mutex_unlock(&shard->lock);
	return node;
}

void prolly_cache_prefetch(ProllyCache *cache, const ProllyHash *hash)
{
	prolly_node_table_prefetch(&get_shard(cache, hash)->nodes, hash);
}

ProllyNode *prolly_cache_peek(ProllyCache *cache, const ProllyHash *hash)
{
	Shard *shard = get_shard(cache, hash);

	g_mutex_lock(&shard->lock);
	ProllyNode *node = prolly_node_table_find(&shard->nodes, hash);

	if (node)
		prolly_node_ref(node);
	g_mutex_unlock(&shard->lock);
	return node;
}

void prolly_cache_note_use(ProllyCache *cache, ProllyNode *node)
{
	if (g_atomic_pointer_get(&node->cache) != cache)
		return;
	mark_used(node);
	count(&get_shard(cache, &node->hash)->hits);
}

/* The caller has found nothing of NODE's hash in SHARD. */
static void hold_node(ProllyCache *cache, Shard *shard, ProllyNode *node)
{
	prolly_node_table_add(&shard->nodes, prolly_node_ref(node));
	link_as_newest(shard, node);
	g_atomic_pointer_set(&node->cache, cache);
	node->charge = (uint32_t)prolly_node_get_charge(node);
	shard->bytes += node->charge;
}

/* COUNT nullable. The shard's lock orders this with the removal of what was deleted: whoever deletes
 * counts first, and removes from the cache last. */
static ProllyNode *insert(ProllyCache *cache, ProllyNode *node, const guint *count, guint seen)
{
	Shard *shard = get_shard(cache, &node->hash);
	ProllyNode *dropped = NULL;

	g_mutex_lock(&shard->lock);
	ProllyNode *found = prolly_node_table_find(&shard->nodes, &node->hash);

	if (found) {
		prolly_node_ref(found);
	} else if (prolly_node_get_charge(node) <= shard->capacity &&
		   (!count || __atomic_load_n(count, __ATOMIC_SEQ_CST) == seen)) {
		hold_node(cache, shard, node);
		evict_to_capacity(shard, &dropped);
	}
	g_mutex_unlock(&shard->lock);

	release_dropped(dropped);
	if (!found)
		return node;
	prolly_node_unref(node);
	return found;
}

ProllyNode *prolly_cache_insert(ProllyCache *cache, ProllyNode *node)
{
	return insert(cache, node, NULL, 0);
}

ProllyNode *prolly_cache_insert_unless(ProllyCache *cache, ProllyNode *node, const guint *count,
				       guint seen)
{
	return insert(cache, node, count, seen);
}

/* So many nodes ahead is asked for a node, and for its place in the table. */
#define NODE_AHEAD  16
#define PLACE_AHEAD 8

void prolly_caches_insert(ProllyCache **caches, ProllyNode **nodes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i + NODE_AHEAD < n)
			__builtin_prefetch(nodes[i + NODE_AHEAD]);
		if (i + PLACE_AHEAD < n) {
			const ProllyNode *soon = nodes[i + PLACE_AHEAD];

			prolly_cache_prefetch(caches[soon->node_class], &soon->hash);
		}
		prolly_node_unref(prolly_cache_insert(caches[nodes[i]->node_class],
						      prolly_node_ref(nodes[i])));
	}
}

void prolly_cache_remove(ProllyCache *cache, const ProllyHash *hash)
{
	Shard *shard = get_shard(cache, hash);
	ProllyNode *dropped = NULL;

	g_mutex_lock(&shard->lock);
	ProllyNode *node = prolly_node_table_remove(&shard->nodes, hash);

	if (node) {
		__atomic_store_n(&node->gone, true, __ATOMIC_RELAXED);
		drop_node(shard, node, &dropped);
	}
	g_mutex_unlock(&shard->lock);
	release_dropped(dropped);
}

void prolly_cache_recharge(ProllyCache *cache, ProllyNode *node)
{
	Shard *shard = get_shard(cache, &node->hash);
	ProllyNode *dropped = NULL;

	g_mutex_lock(&shard->lock);
	if (g_atomic_pointer_get(&node->cache) == cache) {
		shard->bytes -= node->charge;
		node->charge = (uint32_t)prolly_node_get_charge(node);
		shard->bytes += node->charge;
		evict_to_capacity(shard, &dropped);
	}
	g_mutex_unlock(&shard->lock);
	release_dropped(dropped);
}

void prolly_cache_add_figures(ProllyCache *cache, ProllyStoreFigures *figures)
{
	figures->cache_capacity += cache->capacity;
	for (unsigned i = 0; i < cache->n_shards; i++) {
		Shard *shard = &cache->shards[i];

		g_mutex_lock(&shard->lock);
		figures->cache_bytes += shard->bytes;
		figures->cache_hits += __atomic_load_n(&shard->hits, __ATOMIC_RELAXED);
		figures->cache_misses += shard->misses;
		figures->cache_evictions += shard->evictions;
		g_mutex_unlock(&shard->lock);
	}
}
