/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: which back end, what is cached, what is checked, what is counted.
 *
 * The way of a node into the back end, by way of the pending ones, is store-pending.c's. What a
 * reader looks for is in the cache, among the pending, or in the back end, and he looks there in
 * this order (P1 there).
 *
 * The way to a node. A look-up by hash costs a lock and two or three misses of the processor's
 * caches, at each level of a tree. So who refers to a node keeps a link to it (ProllyNodeLink): an
 * address without a reference, which is tried (store-arena.c says why it may be) and holds if what
 * is there has the hash that was wanted. Nothing has to be undone when a node goes, and a link never
 * keeps one: the bound of the cache holds. Tops of trees, to which nobody has a link, are found in
 * `recent`, links that anyone may overwrite.
 *
 *  I1  A link is to a node of this store's arena; one that was removed from the store, or whose place
 *      has another now, is not followed.
 *
 * Deleting. What nobody refers to is deleted by a census (census.h), while others put and read.
 *
 *  I2  What is in the cache is stored, or on its way (P2), whatever is deleted meanwhile: a deletion
 *      counts itself before it begins and takes its nodes out of the cache when it is done; a reader
 *      caches only what it began to read while none was under way and none has begun since, which
 *      the cache looks at under the lock that the removal takes too.
 *
 * Checking: what a back end returns is hashed before it is seen (store.h). Hence the cache needs no
 * distrust. A chunk that is read again is known by its block's sum (store-verified.c).
 */
#include "store/store-private.h"

#include <string.h>

#include "base/hash-chain.h"
#include "base/memory.h"
#include "store/db.h"

#define DEFAULT_CACHE_SIZE (256u << 20)
/* Chunks are read again soon or not at all, and the kernel keeps their pages. */
#define CHUNK_CACHE_SHARE 8

/* ---- Kinds of back ends ------------------------------------------------------------------- */

static const char *const kind_names[] = {
	[PROLLY_BACKEND_MEMORY] = "memory",
	[PROLLY_BACKEND_FILE] = "file",
	[PROLLY_BACKEND_CACHED_FILE] = "cached-file",
	[PROLLY_BACKEND_ROCKSDB] = "rocksdb",
};

const char *prolly_backend_kind_to_text(ProllyBackendKind kind)
{
	return kind_names[kind];
}

bool prolly_backend_kind_from_text(const char *text, ProllyBackendKind *out_kind)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kind_names); i++) {
		if (strcmp(text, kind_names[i]) == 0) {
			*out_kind = (ProllyBackendKind)i;
			return true;
		}
	}
	return false;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

/* Plain files keep nothing but what is in use, which needs no cache. */
static void make_caches(ProllyShared *shared, uint64_t size)
{
	if (size == 0)
		size = DEFAULT_CACHE_SIZE;
	if (shared->kind == PROLLY_BACKEND_FILE)
		size = 0;
	shared->caches[PROLLY_NODE_CHUNK] = prolly_cache_new(size / CHUNK_CACHE_SHARE);
	shared->caches[PROLLY_NODE_TREE] = prolly_cache_new(size - size / CHUNK_CACHE_SHARE);
}

/* BACKEND is (transfer full). */
static ProllyStore *new_store(ProllyBackendKind kind, ProllyBackend *backend, uint64_t cache_size)
{
	ProllyShared *shared = g_new0(ProllyShared, 1);
	ProllyStore *store = g_new0(ProllyStore, 1);

	shared->ref_count = 1;
	shared->kind = kind;
	shared->backend = backend;
	shared->arena = prolly_arena_new();
	prolly_pending_init(shared);
	make_caches(shared, cache_size);
	prolly_verified_init(shared);
	shared->pool = prolly_pool_new();

	store->ref_count = 1;
	store->shared = shared;
	return store;
}

static bool open_file_backend(const char *path, ProllyBackend **out_backend, GError **error)
{
	g_autofree char *nodes = g_build_filename(path, "nodes", NULL);

	return prolly_backend_file_open(nodes, out_backend, error);
}

bool prolly_store_open(const ProllyStoreOptions *options, ProllyStore **out_store, GError **error)
{
	ProllyBackend *backend = NULL;

	switch (options->kind) {
	case PROLLY_BACKEND_MEMORY:
		backend = prolly_backend_memory_new();
		break;
	case PROLLY_BACKEND_FILE:
	case PROLLY_BACKEND_CACHED_FILE:
		if (!open_file_backend(options->path, &backend, error))
			return false;
		break;
	case PROLLY_BACKEND_ROCKSDB:
		if (!prolly_backend_rocksdb_open(options->db, &backend, error))
			return false;
		break;
	}
	g_return_val_if_fail(backend != NULL, false);
	*out_store = new_store(options->kind, backend, options->cache_size);
	return true;
}

ProllyStore *prolly_store_new_memory(void)
{
	return new_store(PROLLY_BACKEND_MEMORY, prolly_backend_memory_new(), 0);
}

ProllyStore *prolly_store_new_void(void)
{
	return new_store(PROLLY_BACKEND_MEMORY, prolly_backend_void_new(), 1);
}

ProllyStore *prolly_store_new_counting(ProllyStore *store, ProllyWork *work)
{
	ProllyStore *counting = g_new0(ProllyStore, 1);

	counting->ref_count = 1;
	counting->shared = store->shared;
	g_atomic_int_inc(&store->shared->ref_count);
	counting->work = prolly_work_ref(work);
	return counting;
}

ProllyStore *prolly_store_new_passing(ProllyStore *store)
{
	ProllyStore *passing = g_new0(ProllyStore, 1);

	passing->ref_count = 1;
	passing->shared = store->shared;
	g_atomic_int_inc(&store->shared->ref_count);
	passing->is_passing = true;
	return passing;
}

ProllyStore *prolly_store_ref(ProllyStore *store)
{
	g_atomic_int_inc(&store->ref_count);
	return store;
}

static void unref_shared(ProllyShared *shared)
{
	if (!g_atomic_int_dec_and_test(&shared->ref_count))
		return;
	prolly_pool_free(shared->pool);
	prolly_verified_clear(shared);
	prolly_pending_clear(shared);
	for (int i = 0; i < PROLLY_N_NODE_CLASSES; i++)
		prolly_cache_free(shared->caches[i]);
	shared->backend->class->close(shared->backend);
	prolly_arena_unref(shared->arena);
	g_free(shared);
}

void prolly_store_unref(ProllyStore *store)
{
	if (!store || !g_atomic_int_dec_and_test(&store->ref_count))
		return;
	unref_shared(store->shared);
	prolly_work_unref(store->work);
	g_free(store);
}

ProllyBackendKind prolly_store_get_kind(ProllyStore *store)
{
	return store->shared->kind;
}

ProllyPool *prolly_store_get_pool(ProllyStore *store)
{
	return store->shared->pool;
}

ProllyBackend *prolly_store_get_backend(ProllyStore *store)
{
	return store->shared->backend;
}

/* ---- Read -------------------------------------------------------------------------------- */

/* (transfer full) (nullable) What needs no back end. */
static ProllyNode *find_resident(const ProllyStore *store, ProllyNodeClass node_class,
				 const ProllyHash *hash)
{
	ProllyShared *shared = store->shared;
	ProllyBackend *backend = shared->backend;
	ProllyNode *node =
		store->is_direct ? NULL : prolly_cache_lookup(shared->caches[node_class], hash);

	if (!node)
		node = prolly_pending_find(shared, hash);
	if (!node && !store->is_direct && backend->class->find_held)
		node = backend->class->find_held(backend, hash);
	return node;
}

/* What a view of a node of entries of a hundred bytes needs, and those of many others. */
static size_t guess_room(size_t len)
{
	return 80 + len / 20;
}

/* A node of BYTES (transfer full), which are copied if they are to lie beside their view. */
static ProllyNode *make_node(ProllyShared *shared, ProllyNodeClass node_class,
			     const ProllyHash *hash, GBytes *bytes)
{
	size_t len;
	const uint8_t *data = g_bytes_get_data(bytes, &len);
	ProllyNode *node = NULL;

	if (node_class == PROLLY_NODE_TREE)
		node = prolly_node_new_in_arena(shared->arena, node_class, len, guess_room(len));
	if (!node)
		return prolly_node_new_take(node_class, hash, bytes);
	if (len > 0)
		memcpy((uint8_t *)node->bytes, data, len);
	node->hash = *hash;
	prolly_node_publish(node);
	g_bytes_unref(bytes);
	return node;
}

/* The node of BYTES (transfer full) (nullable), which the back end gave for HASH and whose hash is
 * ACTUAL. */
static bool check_node(ProllyShared *shared, ProllyNodeClass node_class, const ProllyHash *hash,
		       GBytes *bytes, const ProllyHash *actual, ProllyNode **out_node,
		       GError **error)
{
	char hex[PROLLY_HASH_HEX_SIZE];

	if (!bytes)
		return prolly_throw(error, PROLLY_ERROR_MISSING, "node %s is missing",
				    prolly_hash_to_hex(hash, hex));
	if (!prolly_hash_equal(hash, actual)) {
		g_bytes_unref(bytes);
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "node %s is damaged: its bytes have another hash",
				    prolly_hash_to_hex(hash, hex));
	}
	*out_node = make_node(shared, node_class, hash, bytes);
	return true;
}

/* Of a deletion under way nobody can tell what it leaves (I2). */
static bool may_cache(const ProllyStore *store, guint *out_seen)
{
	*out_seen = __atomic_load_n(&store->shared->n_deletions, __ATOMIC_SEQ_CST);
	return !store->is_passing &&
	       __atomic_load_n(&store->shared->n_deleting, __ATOMIC_SEQ_CST) == 0;
}

/* Fills in those of NODES that are NULL from BYTES, which has one for each, and caches them. */
static bool admit_nodes(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hashes,
			size_t n, GBytes **bytes, const guint *seen, ProllyNode **nodes,
			GError **error)
{
	ProllyShared *shared = store->shared;
	g_autofree ProllyHash *actual = g_new(ProllyHash, n);
	size_t n_absent = 0;
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		if (!nodes[i])
			actual[n_absent++] = hashes[i];
	}
	prolly_verified_hash(store, node_class, bytes, n_absent, actual);
	for (size_t i = 0, j = 0; i < n; i++) {
		if (nodes[i])
			continue;
		GBytes *of_one = bytes[j];
		const ProllyHash *its_hash = &actual[j++];

		if (!ok) {
			g_bytes_unref(of_one);
			continue;
		}
		ok = check_node(shared, node_class, &hashes[i], of_one, its_hash, &nodes[i], error);
		if (ok && seen)
			nodes[i] = prolly_cache_insert_unless(shared->caches[node_class], nodes[i],
							      &shared->n_deletions, *seen);
	}
	return ok;
}

/* Reads the nodes that NODES has none for; those it adds are the caller's, also on failure. */
static bool read_absent(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hashes,
			size_t n, ProllyNode **nodes, GError **error)
{
	ProllyBackend *backend = store->shared->backend;
	g_autofree ProllyHash *wanted = g_new(ProllyHash, n);
	g_autofree GBytes **bytes = g_new0(GBytes *, n);
	size_t n_wanted = 0;
	guint seen;
	bool is_cached = may_cache(store, &seen);

	for (size_t i = 0; i < n; i++) {
		if (!nodes[i])
			wanted[n_wanted++] = hashes[i];
	}
	return backend->class->get_many(backend, node_class, wanted, n_wanted, bytes, error) &&
	       admit_nodes(store, node_class, hashes, n, bytes, is_cached ? &seen : NULL, nodes,
			   error);
}

static void count_reads(ProllyStore *store, ProllyNode **nodes, size_t n)
{
	for (size_t i = 0; i < n && store->work; i++)
		prolly_work_count_read(store->work, nodes[i]);
}

/*
 * A node that nobody has used for long is in no cache of the processor's, and a search looks at it
 * in many places, one after the other. All of them are asked for at once: the view, which lies
 * behind the node, and behind it where the bytes begin, which is where the keys are. A get in a
 * million entries takes 490 ns with 8 lines, 460 with 12 or 16, 600 with none behind the room. Where
 * the value is nobody knows yet, but as often as not it is on the next page: a line of that has its
 * translation looked up meanwhile, which takes 35 ns of 525 where pages are small.
 */
#define LINES_BEHIND 12
#define PAGE_SIZE    4096

static inline void prefetch_node(const ProllyNode *node)
{
	for (unsigned i = 0; i < LINES_BEHIND; i++)
		__builtin_prefetch((const uint8_t *)(node + 1) + 64 * i);
	__builtin_prefetch((const uint8_t *)(((uintptr_t)node | (PAGE_SIZE - 1)) + 1));
}

/* (transfer full) (nullable) The node at LINK, if it is HASH's still. */
static inline ProllyNode *try_link(ProllyShared *shared, ProllyNodeLink *link,
				   const ProllyHash *hash, bool prefetch)
{
	ProllyNode *node;

	/* It is looked at last, but what takes the reference lets nothing overtake it. */
	__builtin_prefetch(hash);
	node = __atomic_load_n(&link->node, __ATOMIC_ACQUIRE);
	if (!node)
		return NULL;
	if (prefetch)
		prefetch_node(node);
	if (!prolly_node_try_ref(node))
		return NULL;
	if (G_UNLIKELY(!node_has_hash(node, hash) ||
		       __atomic_load_n(&node->gone, __ATOMIC_RELAXED))) {
		prolly_node_unref(node);
		return NULL;
	}
	prolly_cache_note_use(shared->caches[node->node_class], node);
	return node;
}

void prolly_store_prefetch(const ProllyNodeLink *link)
{
	const ProllyNode *node = __atomic_load_n(&link->node, __ATOMIC_RELAXED);

	if (!node)
		return;
	__builtin_prefetch(node);
	prefetch_node(node);
}

static inline ProllyNode *follow(ProllyStore *store, ProllyNodeLink *link, const ProllyHash *hash,
				 bool prefetch)
{
	ProllyNode *node = store->is_direct ? NULL : try_link(store->shared, link, hash, prefetch);

	if (node && store->work)
		prolly_work_count_read(store->work, node);
	return node;
}

ProllyNode *prolly_store_follow(ProllyStore *store, ProllyNodeLink *link, const ProllyHash *hash)
{
	return follow(store, link, hash, true);
}

ProllyNode *prolly_store_take(ProllyStore *store, ProllyNodeLink *link, const ProllyHash *hash)
{
	return follow(store, link, hash, false);
}

void prolly_store_link(ProllyStore *store, ProllyNodeLink *link, ProllyNode *node)
{
	if (node->in_arena)
		__atomic_store_n(&link->node, node, __ATOMIC_RELEASE);
}

ProllyNode *prolly_store_get(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hash,
			     GError **error)
{
	ProllyShared *shared = store->shared;
	ProllyNodeLink *recent = &shared->recent[hash->bytes[0] & (PROLLY_N_RECENT - 1)];
	bool is_linked = node_class == PROLLY_NODE_TREE && !store->is_direct;
	ProllyNode *node = is_linked ? try_link(shared, recent, hash, true) : NULL;

	if (!node) {
		node = find_resident(store, node_class, hash);
		if (!node && !read_absent(store, node_class, hash, 1, &node, error))
			return NULL;
		prolly_store_link(store, recent, node);
	}
	count_reads(store, &node, 1);
	return node;
}

bool prolly_store_get_many(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hashes,
			   size_t n, ProllyNode **out_nodes, GError **error)
{
	g_autofree ProllyNode **nodes = g_new0(ProllyNode *, n);
	size_t n_found = 0;

	for (size_t i = 0; i < n; i++) {
		nodes[i] = find_resident(store, node_class, &hashes[i]);
		n_found += nodes[i] != NULL;
	}
	if (n_found < n && !read_absent(store, node_class, hashes, n, nodes, error)) {
		for (size_t i = 0; i < n; i++)
			prolly_node_unref(nodes[i]);
		return false;
	}
	count_reads(store, nodes, n);
	memcpy(out_nodes, nodes, n * sizeof(*nodes));
	return true;
}

bool prolly_store_has_many(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hashes,
			   size_t n, bool *out_has, GError **error)
{
	ProllyShared *shared = store->shared;
	g_autofree bool *unstored = g_new(bool, n);

	for (size_t i = 0; i < n; i++) {
		g_autoptr(ProllyNode) node = prolly_pending_find(shared, &hashes[i]);

		unstored[i] = node != NULL;
	}
	if (!shared->backend->class->has_many(shared->backend, node_class, hashes, n, out_has,
					      error))
		return false;
	for (size_t i = 0; i < n; i++)
		out_has[i] = out_has[i] || unstored[i];
	return true;
}

bool prolly_store_foreach(ProllyStore *store, ProllyNodeClass node_class, ProllyStoreFunc func,
			  void *data, GError **error)
{
	ProllyBackend *backend = store->shared->backend;

	return backend->class->foreach (backend, node_class, func, data, error);
}

/* ---- Write ------------------------------------------------------------------------------- */

/* (transfer full) The node of HASH, if it is cached, and so stored or on its way. */
static ProllyNode *find_put(ProllyShared *shared, ProllyNodeClass node_class,
			    const ProllyHash *hash)
{
	prolly_census_note_put(shared, hash);
	return prolly_cache_peek(shared->caches[node_class], hash);
}

bool prolly_store_put(ProllyStore *store, ProllyNodeClass node_class, uint8_t *bytes, size_t len,
		      ProllyHash *out_hash, ProllyNode **out_node, GError **error)
{
	ProllyShared *shared = store->shared;
	ProllyHash hash;

	prolly_hash_compute(bytes, len, &hash);
	g_autoptr(ProllyNode) node = find_put(shared, node_class, &hash);

	if (node) {
		g_free(bytes);
	} else {
		node = make_node(shared, node_class, &hash, g_bytes_new_take(bytes, len));
		if (!prolly_pending_add(shared, &node, error))
			return false;
	}
	if (store->work)
		prolly_work_count_put(store->work, node);
	if (out_hash)
		*out_hash = hash;
	if (out_node)
		*out_node = g_steal_pointer(&node);
	return true;
}

ProllyNode *prolly_store_new_node(ProllyStore *store, ProllyNodeClass node_class, size_t len,
				  size_t room, uint8_t **out_bytes, GError **error)
{
	ProllyNode *node = prolly_node_new_in_arena(store->shared->arena, node_class, len, room);

	if (!node) {
		static const ProllyHash none;
		uint8_t *bytes = prolly_try_malloc(len, "a node", error);

		if (!bytes)
			return NULL;
		node = prolly_node_new_take(node_class, &none, g_bytes_new_take(bytes, len));
		node->ref_count = 0;
	}
	*out_bytes = (uint8_t *)node->bytes;
	return node;
}

bool prolly_store_put_hashed(ProllyStore *store, ProllyNode *node, GError **error)
{
	ProllyShared *shared = store->shared;
	ProllyNode *found = find_put(shared, (ProllyNodeClass)node->node_class, &node->hash);
	bool ok = true;

	prolly_node_publish(node);
	if (found) {
		prolly_node_unref(node);
		node = found;
	} else {
		ok = prolly_pending_add(shared, &node, error);
	}
	if (ok && store->work)
		prolly_work_count_put(store->work, node);
	prolly_node_unref(node);
	return ok;
}

bool prolly_store_put_node(ProllyStore *store, ProllyNode *node, ProllyHash *out_hash,
			   GError **error)
{
	prolly_hash_compute(node->bytes, node->len, &node->hash);
	*out_hash = node->hash;
	return prolly_store_put_hashed(store, node, error);
}

void prolly_store_hash_many(ProllyStore *store, ProllyNode *const *nodes, size_t n)
{
	ProllyHashMessage messages[PROLLY_HASH_TOGETHER];

	g_assert(n > 0 && n <= PROLLY_HASH_TOGETHER);
	for (size_t i = 0; i < n; i++)
		messages[i] = (ProllyHashMessage){nodes[i]->bytes, nodes[i]->len, &nodes[i]->hash};
	prolly_hash_compute_many(messages, n);
	for (size_t i = 0; i < n; i++)
		prolly_cache_prefetch(store->shared->caches[nodes[i]->node_class], &nodes[i]->hash);
}

void prolly_store_hash_chain(ProllyStore *store, ProllyNode **nodes, const size_t *ats, size_t n)
{
	ProllyHashLink links[PROLLY_HASH_CHAIN_MAX];
	ProllyHash hashes[PROLLY_HASH_CHAIN_MAX];

	g_assert(n > 0 && n <= PROLLY_HASH_CHAIN_MAX);
	for (size_t i = 0; i < n; i++)
		links[i] = (ProllyHashLink){(uint8_t *)nodes[i]->bytes, nodes[i]->len, ats[i]};
	prolly_hash_compute_chain(links, n, hashes);
	for (size_t i = 0; i < n; i++) {
		nodes[i]->hash = hashes[i];
		prolly_cache_prefetch(store->shared->caches[nodes[i]->node_class], &hashes[i]);
	}
}

void prolly_store_drop_node(ProllyNode *node)
{
	if (!node)
		return;
	prolly_node_publish(node);
	prolly_node_unref(node);
}

bool prolly_store_flush(ProllyStore *store, ProllyDbBatch *batch, GError **error)
{
	return prolly_pending_flush(store->shared, batch, error);
}

void prolly_store_flushed(ProllyStore *store, bool written)
{
	prolly_pending_flushed(store->shared, written);
}

/* ---- Figures ----------------------------------------------------------------------------- */

bool prolly_store_get_figures(ProllyStore *store, ProllyStoreFigures *out_figures, GError **error)
{
	ProllyShared *shared = store->shared;
	ProllyStoreFigures figures = {0};

	if (!shared->backend->class->get_size(shared->backend, &figures.nodes, &figures.bytes,
					      error))
		return false;
	for (int i = 0; i < PROLLY_N_NODE_CLASSES; i++)
		prolly_cache_add_figures(shared->caches[i], &figures);
	*out_figures = figures;
	return true;
}
