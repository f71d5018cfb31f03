/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The census: a list of all nodes that fits in memory, with two bits for each.
 *
 * A node is listed by a tag of 64 bits, made from its hash, in a sorted array; where it stands there
 * is its number, and two bitmaps say whether it is marked and whether it was put since the watch
 * began. A table of the first of each 65,536th part of the tags leaves some 150 of ten million to
 * search through.
 *
 *     ten million nodes:   tags 80 MB, bitmaps 2 x 1.25 MB, table 0.26 MB: 83 MB, 8.3 bytes a node
 *
 * A hash table of whole hashes would take 640 MB, and the numbers that RocksDB's back end gives its
 * nodes a look-up in its index, 5 us, for each reference that is followed; a tag is found in 0.3 us.
 *
 * Two nodes may not have one tag, or one would be spared and, worse, what only it refers to be taken
 * for reached. So tags depend on a key that nobody can foresee, and if two are equal, which with ten
 * million nodes happens once in 370,000 times, all are made anew with another key. (A hash that is
 * listed twice, because the back end has it under both classes, stays one.) They are sorted in place:
 * swapped into the parts that their first 16 bits say, and each part by itself.
 *
 * The sweep lists once more, and deletes in batches.
 *
 *  C1  Whoever puts a node that is listed sets its bit `put` before it looks whether the node is
 *      there, and waits while the node is in the batch that is being deleted.
 *  C2  The batch is filled under the same lock from nodes that have neither bit.
 *      So a put either spares its node, or comes when it is gone from back end and cache, and puts
 *      it again.
 *
 * Locks: `lock` protects `put` and the batch, and is held over no call.
 */
#include "store/census.h"

#include <stdlib.h>
#include <string.h>

#include "store/store-private.h"

#define N_PARTS    65536u
#define N_TRIES    4
#define BATCH_SIZE 512
#define TOLD_EVERY 4096

struct ProllyCensus {
	gint ref_count;
	ProllyStore *store;
	bool is_watching;
	uint64_t keys[4]; /* of tags */
	GArray *tags;     /* of uint64_t, ascending */
	guint *parts;     /* N_PARTS + 1: where the tags of each begin */
	uint64_t *marked;
	ProllyCensusFigures figures;

	GMutex lock; /* protects all below */
	GCond batch_done;
	uint64_t *put;
	GHashTable *batch; /* ProllyHash, borrowed: those being deleted */
};

/* ---- Tags -------------------------------------------------------------------------------- */

static uint64_t make_tag(const ProllyCensus *census, const ProllyHash *hash)
{
	uint64_t tag = 0;

	for (int i = 0; i < 4; i++)
		tag += census->keys[i] * prolly_get_le64(hash->bytes + 8 * i);
	return tag;
}

static void choose_keys(ProllyCensus *census)
{
	for (int i = 0; i < 4; i++)
		census->keys[i] = (uint64_t)g_random_int() << 32 | g_random_int() | 1;
}

static uint64_t get_tag(const ProllyCensus *census, guint i)
{
	return g_array_index(census->tags, uint64_t, i);
}

/* The number of HASH; false if it is not listed. */
static bool find_node(const ProllyCensus *census, const ProllyHash *hash, guint *out_i)
{
	uint64_t tag = make_tag(census, hash);
	guint low = census->parts[tag >> 48], high = census->parts[(tag >> 48) + 1];

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (get_tag(census, middle) < tag)
			low = middle + 1;
		else
			high = middle;
	}
	*out_i = low;
	return low < census->tags->len && get_tag(census, low) == tag;
}

static bool has_bit(const uint64_t *bits, guint i)
{
	return (bits[i / 64] >> (i % 64) & 1) != 0;
}

static void set_bit(uint64_t *bits, guint i)
{
	bits[i / 64] |= UINT64_C(1) << (i % 64);
}

/* ---- Listing ----------------------------------------------------------------------------- */

static bool list_node(const ProllyHash *hash, uint64_t size, void *data, GError **error)
{
	ProllyCensus *census = data;
	uint64_t tag = make_tag(census, hash);

	if (census->tags->len == G_MAXUINT / 2)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG, "too many nodes to list");
	g_array_append_val(census->tags, tag);
	census->figures.nodes++;
	census->figures.bytes += size;
	return true;
}

static int compare_tags(gconstpointer a, gconstpointer b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Where in the sorted array the tags of each part begin. */
static void count_parts(ProllyCensus *census)
{
	memset(census->parts, 0, (N_PARTS + 1) * sizeof(*census->parts));
	for (guint i = 0; i < census->tags->len; i++)
		census->parts[(get_tag(census, i) >> 48) + 1]++;
	for (guint part = 0; part < N_PARTS; part++)
		census->parts[part + 1] += census->parts[part];
}

static void sort_tags(ProllyCensus *census)
{
	uint64_t *tags = (uint64_t *)(void *)census->tags->data;
	g_autofree guint *next = NULL;

	count_parts(census);
	next = g_memdup2(census->parts, N_PARTS * sizeof(*next));
	for (guint part = 0; part < N_PARTS; part++) {
		guint start = census->parts[part], end = census->parts[part + 1];

		while (next[part] < end) {
			guint from = next[part];
			uint64_t tag = tags[from];
			guint to = next[tag >> 48]++;

			tags[from] = tags[to];
			tags[to] = tag;
		}
		qsort(tags + start, end - start, sizeof(*tags), compare_tags);
	}
}

/* Of equal tags, which are neighbours, leaves one. */
static bool drop_twins(ProllyCensus *census)
{
	guint n = 0, len = census->tags->len;

	for (guint i = 0; i < len; i++) {
		if (n == 0 || get_tag(census, n - 1) != get_tag(census, i))
			g_array_index(census->tags, uint64_t, n++) = get_tag(census, i);
	}
	g_array_set_size(census->tags, n);
	if (n < len)
		count_parts(census);
	return n < len;
}

static bool list_nodes(ProllyCensus *census, GError **error)
{
	bool twice = true;

	for (int try = 0; try < N_TRIES && twice; try++) {
		choose_keys(census);
		g_array_set_size(census->tags, 0);
		census->figures = (ProllyCensusFigures){0};
		for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++) {
			if (!prolly_store_foreach(census->store, (ProllyNodeClass)c, list_node,
						  census, error))
				return false;
		}
		sort_tags(census);
		twice = drop_twins(census);
	}
	census->marked = g_new0(uint64_t, census->tags->len / 64 + 1);
	census->put = g_new0(uint64_t, census->tags->len / 64 + 1);
	return true;
}

bool prolly_store_flush_if_room(ProllyStore *store, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (prolly_store_flush(store, NULL, &local) ||
	    prolly_error_is(local, PROLLY_ERROR_NO_SPACE))
		return true;
	g_propagate_error(error, g_steal_pointer(&local));
	return false;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

bool prolly_census_new(ProllyStore *store, ProllyCensus **out_census, GError **error)
{
	g_autoptr(ProllyCensus) census = g_new0(ProllyCensus, 1);

	census->ref_count = 1;
	census->store = prolly_store_ref(store);
	census->tags = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	census->parts = g_new(guint, N_PARTS + 1);
	g_mutex_init(&census->lock);
	g_cond_init(&census->batch_done);
	census->batch = g_hash_table_new(prolly_hash_table_hash, prolly_hash_table_equal);
	if (!prolly_store_flush_if_room(store, error) || !list_nodes(census, error))
		return false;
	*out_census = g_steal_pointer(&census);
	return true;
}

static void unref_census(ProllyCensus *census)
{
	if (!g_atomic_int_dec_and_test(&census->ref_count))
		return;
	g_hash_table_unref(census->batch);
	g_mutex_clear(&census->lock);
	g_cond_clear(&census->batch_done);
	g_array_unref(census->tags);
	g_free(census->parts);
	g_free(census->marked);
	g_free(census->put);
	prolly_store_unref(census->store);
	g_free(census);
}

void prolly_census_free(ProllyCensus *census)
{
	if (!census)
		return;
	if (census->is_watching) {
		ProllyShared *shared = census->store->shared;

		g_mutex_lock(&shared->lock);
		g_atomic_pointer_set(&shared->census, NULL);
		g_mutex_unlock(&shared->lock);
	}
	unref_census(census);
}

void prolly_census_watch(ProllyCensus *census)
{
	ProllyShared *shared = census->store->shared;

	g_mutex_lock(&shared->lock);
	g_assert(!shared->census);
	g_atomic_pointer_set(&shared->census, census);
	g_mutex_unlock(&shared->lock);
	census->is_watching = true;
}

void prolly_census_get_figures(const ProllyCensus *census, ProllyCensusFigures *out_figures)
{
	*out_figures = census->figures;
}

/* ---- Marking ----------------------------------------------------------------------------- */

ProllyCensusAnswer prolly_census_mark(ProllyCensus *census, const ProllyHash *hash)
{
	guint i;

	if (!find_node(census, hash, &i))
		return PROLLY_CENSUS_UNLISTED;
	if (has_bit(census->marked, i))
		return PROLLY_CENSUS_AGAIN;
	set_bit(census->marked, i);
	return PROLLY_CENSUS_FIRST;
}

bool prolly_census_is_marked(const ProllyCensus *census, const ProllyHash *hash)
{
	guint i;

	return find_node(census, hash, &i) && has_bit(census->marked, i);
}

/* ---- Putting ----------------------------------------------------------------------------- */

/* (transfer full) (nullable) The census that watches. */
static ProllyCensus *get_watching(ProllyShared *shared)
{
	ProllyCensus *census;

	if (!g_atomic_pointer_get(&shared->census))
		return NULL;
	g_mutex_lock(&shared->lock);
	census = shared->census;
	if (census)
		g_atomic_int_inc(&census->ref_count);
	g_mutex_unlock(&shared->lock);
	return census;
}

void prolly_census_note_put(ProllyShared *shared, const ProllyHash *hash)
{
	ProllyCensus *census = get_watching(shared);
	guint i;

	if (!census)
		return;
	if (find_node(census, hash, &i)) {
		g_mutex_lock(&census->lock);
		set_bit(census->put, i);
		while (g_hash_table_contains(census->batch, hash))
			g_cond_wait(&census->batch_done, &census->lock);
		g_mutex_unlock(&census->lock);
	}
	unref_census(census);
}

/* ---- Deleting ---------------------------------------------------------------------------- */

bool prolly_store_delete_many(ProllyStore *store, ProllyNodeClass node_class,
			      const ProllyHash *hashes, size_t n, GError **error)
{
	ProllyShared *shared = store->shared;

	__atomic_add_fetch(&shared->n_deleting, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->n_deletions, 1, __ATOMIC_SEQ_CST);
	bool ok =
		shared->backend->class->delete_many(shared->backend, node_class, hashes, n, error);

	for (size_t i = 0; i < n && ok; i++)
		prolly_cache_remove(shared->caches[node_class], &hashes[i]);
	__atomic_sub_fetch(&shared->n_deleting, 1, __ATOMIC_SEQ_CST);
	return ok;
}

/* ---- Sweeping ---------------------------------------------------------------------------- */

typedef struct {
	ProllyCensus *census;
	bool is_deleting;
	ProllyCensusFunc func;
	void *data;
	uint64_t total;
	ProllyNodeClass node_class;
	ProllyHash hashes[BATCH_SIZE];
	uint64_t sizes[BATCH_SIZE];
	size_t n;
} Sweep;

/* Leaves in the batch what nobody has put meanwhile, and lets everybody know of it (C2). */
static void announce_batch(Sweep *sweep)
{
	ProllyCensus *census = sweep->census;
	size_t n = 0;

	g_mutex_lock(&census->lock);
	for (size_t i = 0; i < sweep->n; i++) {
		guint number;

		if (!find_node(census, &sweep->hashes[i], &number) || has_bit(census->put, number))
			continue;
		sweep->hashes[n] = sweep->hashes[i];
		sweep->sizes[n] = sweep->sizes[i];
		g_hash_table_add(census->batch, &sweep->hashes[n++]);
	}
	g_mutex_unlock(&census->lock);
	sweep->n = n;
}

static void end_batch(ProllyCensus *census)
{
	g_mutex_lock(&census->lock);
	g_hash_table_remove_all(census->batch);
	g_cond_broadcast(&census->batch_done);
	g_mutex_unlock(&census->lock);
}

static bool tell(Sweep *sweep, GError **error)
{
	return !sweep->func ||
	       sweep->func(sweep->census->figures.nodes, sweep->total, sweep->data, error);
}

/* On a full disk, what was deleted so far makes room for the deletion of the rest. */
static bool delete_batch(Sweep *sweep, GError **error)
{
	ProllyCensus *census = sweep->census;
	g_autoptr(GError) local = NULL;

	if (prolly_store_delete_many(census->store, sweep->node_class, sweep->hashes, sweep->n,
				     &local))
		return true;
	if (!prolly_error_is(local, PROLLY_ERROR_NO_SPACE)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return false;
	}
	return prolly_census_reclaim(census, error) &&
	       prolly_store_delete_many(census->store, sweep->node_class, sweep->hashes, sweep->n,
					error);
}

static bool take_batch(Sweep *sweep, GError **error)
{
	ProllyCensus *census = sweep->census;
	bool ok = true;

	if (!tell(sweep, error))
		return false;
	announce_batch(sweep);
	if (sweep->is_deleting && sweep->n > 0)
		ok = delete_batch(sweep, error);
	end_batch(census);
	for (size_t i = 0; i < sweep->n && ok; i++) {
		census->figures.dead_nodes++;
		census->figures.dead_bytes += sweep->sizes[i];
	}
	sweep->n = 0;
	return ok;
}

static bool sweep_node(const ProllyHash *hash, uint64_t size, void *data, GError **error)
{
	Sweep *sweep = data;
	ProllyCensus *census = sweep->census;
	guint i;

	census->figures.nodes++;
	census->figures.bytes += size;
	if (census->figures.nodes % TOLD_EVERY == 0 && !tell(sweep, error))
		return false;
	if (!find_node(census, hash, &i) || has_bit(census->marked, i))
		return true;
	sweep->hashes[sweep->n] = *hash;
	sweep->sizes[sweep->n++] = size;
	return sweep->n < BATCH_SIZE || take_batch(sweep, error);
}

static bool sweep(ProllyCensus *census, bool is_deleting, ProllyCensusFunc func, void *data,
		  GError **error)
{
	g_autofree Sweep *self = g_new0(Sweep, 1);

	self->census = census;
	self->is_deleting = is_deleting;
	self->func = func;
	self->data = data;
	self->total = census->figures.nodes;
	census->figures = (ProllyCensusFigures){0};
	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++) {
		self->node_class = (ProllyNodeClass)c;
		if (!prolly_store_foreach(census->store, self->node_class, sweep_node, self,
					  error) ||
		    !take_batch(self, error))
			return false;
	}
	return true;
}

bool prolly_census_count(ProllyCensus *census, ProllyCensusFunc func, void *data, GError **error)
{
	return sweep(census, false, func, data, error);
}

bool prolly_census_sweep(ProllyCensus *census, ProllyCensusFunc func, void *data, GError **error)
{
	return sweep(census, true, func, data, error);
}

bool prolly_census_reclaim(ProllyCensus *census, GError **error)
{
	ProllyBackend *backend = census->store->shared->backend;

	return !backend->class->reclaim || backend->class->reclaim(backend, error);
}
