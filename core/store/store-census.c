/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The census: a list of all nodes that fits in memory, with two bits for each.
 *
 * A node is listed by a tag, some bits of a sum over its hash, in a sorted array; where it stands
 * there is its number, and two bitmaps say whether it is marked and whether it was put since the watch
 * began. The first 16 bits of a tag say in which part of the array it stands, and are not in it; a
 * part of ten million has some 150 tags to search through.
 *
 *     ten million nodes:   tags 30 MB, bitmaps 2 x 1.25 MB, parts 0.26 MB: 33 MB, 3.3 bytes a node
 *
 * (While they are listed, in no order, the tags are whole: 50 MB.) A hash table of whole hashes would
 * take 640 MB, and the numbers that RocksDB's back end gives its nodes a look-up in its index, 5 us,
 * for each reference that is followed; a tag is found in 0.2 us.
 *
 * Who takes a node for another that is marked spares it and, worse, takes what only it refers to for
 * unreached. So tags depend on a key that nobody can foresee, and may be equal nevertheless: with 40
 * bits, of ten million nodes some hundred have a tag that is another one's too. Where the tag is not
 * enough, nodes are told apart by their hashes, in a table `exact` of those that are marked (E):
 *
 *  E1  Nodes that share a tag: it is listed twice. (So is a node that the back end has under both
 *      classes.)
 *  E2  What was put since the watch began, if there is its tag: it may not be listed itself, and have
 *      the tag of one that is. It is marked by its hash whether that one is marked or not.
 *  E3  All others that there are in the store are listed: they were in the back end when the watch
 *      began, and it began before the listing. (What was on its way to the back end then counts as
 *      put, and so does what is added to that while somebody watches.) So a tag that is listed once
 *      and was not put is the node's own.
 *
 * That is for who sweeps. Who verifies asks for nodes that may have been lost, too, to which E3 does
 * not apply: for him tags have 64 bits. A lost node has the tag of one of ten million others once in
 * 110,000 times with 40 bits, which the collector takes for granted (it notices then that something
 * is missing by the next one), and with 64 once in 10^12.
 *
 * Tags are sorted in place: swapped into their parts, and each part by itself.
 *
 * The sweep lists once more, and deletes in batches.
 *
 *  C1  Whoever puts a node that is listed sets its bit `put` before it looks whether the node is
 *      there, and waits while the node is in the batch that is being deleted. While the listing goes
 *      on, the tag is kept in `early` instead.
 *  C2  The batch is filled under the same lock from nodes that have neither bit.
 *      So a put either spares its node, or comes when it is gone from back end and cache, and puts
 *      it again.
 *
 * Locks: `lock` protects `put`, `early` and the batch, and is held over no call. The store's own may
 * be held around it.
 */
#include "base/memory.h"
#include "store/census.h"

#include <stdlib.h>
#include <string.h>

#include "store/store-private.h"

/* Bytes of a tag. (Its test makes it smaller, so that many are equal.) */
#ifndef PROLLY_CENSUS_TAG
#define PROLLY_CENSUS_TAG 5
#endif
#define VERIFYING_TAG 8

#define N_PARTS    65536u
#define PART_SIZE  2 /* bytes of a tag that say its part */
#define BATCH_SIZE 512
#define TOLD_EVERY 4096
#define FIRST_ROOM 4096

struct ProllyCensus {
	gint ref_count;
	ProllyStore *store;
	bool is_watching;
	uint64_t keys[4];  /* of tags */
	unsigned tag_size; /* bytes */
	/* N tags, big-endian, and some room: while they are listed, whole and in no order; then
	 * ascending, without their first PART_SIZE bytes. */
	uint8_t *tags;
	guint n;
	size_t room;  /* bytes */
	guint *parts; /* N_PARTS + 1: how many tags each has; then, where they begin */
	uint64_t *marked;
	GHashTable *exact; /* ProllyHash, owned (E) */
	ProllyCensusFigures figures;

	GMutex lock; /* protects all below */
	GCond batch_done;
	gint is_listed; /* atomic; set under lock */
	GArray *early;  /* of uint64_t: tags put while it was not; then NULL */
	uint64_t *put;
	GHashTable *batch; /* ProllyHash, borrowed: those being deleted */
};

/* ---- Tags -------------------------------------------------------------------------------- */

static uint64_t make_tag(const ProllyCensus *census, const ProllyHash *hash)
{
	uint64_t sum = 0;

	for (int i = 0; i < 4; i++)
		sum += census->keys[i] * prolly_get_le64(hash->bytes + 8 * i);
	return sum >> (64 - 8 * census->tag_size);
}

static void choose_keys(ProllyCensus *census)
{
	for (int i = 0; i < 4; i++)
		census->keys[i] = (uint64_t)g_random_int() << 32 | g_random_int() | 1;
}

static guint get_part(const ProllyCensus *census, uint64_t tag)
{
	return (guint)(tag >> (8 * (census->tag_size - PART_SIZE)));
}

/* A tag without its part. */
static uint64_t get_rest(const ProllyCensus *census, uint64_t tag)
{
	return tag & ((UINT64_C(1) << (8 * (census->tag_size - PART_SIZE))) - 1);
}

/* The Ith number of SIZE bytes in the array, behind whose last one there are 8 bytes. */
static uint64_t get_number(const ProllyCensus *census, guint i, unsigned size)
{
	return prolly_get_be64(census->tags + (size_t)i * size) >> (64 - 8 * size);
}

static void set_number(ProllyCensus *census, guint i, unsigned size, uint64_t number)
{
	uint8_t bytes[8];

	prolly_set_be64(bytes, number << (64 - 8 * size));
	memcpy(census->tags + (size_t)i * size, bytes, size);
}

/* Of one that is listed. */
static uint64_t get_rest_of(const ProllyCensus *census, guint i)
{
	return get_number(census, i, census->tag_size - PART_SIZE);
}

/* The number of the first that has TAG; false if there is none. */
static bool find_tag(const ProllyCensus *census, uint64_t tag, guint *out_i)
{
	guint part = get_part(census, tag);
	guint low = census->parts[part], high = census->parts[part + 1], end = high;
	uint64_t rest = get_rest(census, tag);

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (get_rest_of(census, middle) < rest)
			low = middle + 1;
		else
			high = middle;
	}
	*out_i = low;
	return low < end && get_rest_of(census, low) == rest;
}

static bool find_node(const ProllyCensus *census, const ProllyHash *hash, guint *out_i)
{
	return find_tag(census, make_tag(census, hash), out_i);
}

/* Is the tag of I, the first that has it, another one's too? */
static bool is_shared(const ProllyCensus *census, guint part, guint i)
{
	return i + 1 < census->parts[part + 1] &&
	       get_rest_of(census, i) == get_rest_of(census, i + 1);
}

static bool has_bit(const uint64_t *bits, guint i)
{
	return (__atomic_load_n(&bits[i / 64], __ATOMIC_RELAXED) >> (i % 64) & 1) != 0;
}

static void set_bit(uint64_t *bits, guint i)
{
	__atomic_or_fetch(&bits[i / 64], UINT64_C(1) << (i % 64), __ATOMIC_RELAXED);
}

/* ---- Listing ----------------------------------------------------------------------------- */

static bool set_room(ProllyCensus *census, size_t room, GError **error)
{
	uint8_t *tags = g_try_realloc(census->tags, room);

	if (!tags)
		return prolly_throw_no_memory(error, room, "a list of nodes");
	census->tags = tags;
	census->room = room;
	return true;
}

static bool list_node(const ProllyHash *hash, uint64_t size, void *data, GError **error)
{
	ProllyCensus *census = data;
	uint64_t tag = make_tag(census, hash);

	if (census->n == G_MAXUINT / 2)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG, "too many nodes to list");
	if ((size_t)(census->n + 1) * census->tag_size + 8 > census->room &&
	    !set_room(census, census->room + census->room / 2, error))
		return false;
	set_number(census, census->n++, census->tag_size, tag);
	census->parts[get_part(census, tag)]++;
	census->figures.nodes++;
	census->figures.bytes += size;
	return true;
}

/* From how many there are of each part to where each begins. Returns the greatest. */
static guint sum_parts(ProllyCensus *census)
{
	guint sum = 0, greatest = 0;

	for (guint part = 0; part <= N_PARTS; part++) {
		guint n = census->parts[part];

		census->parts[part] = sum;
		sum += n;
		greatest = MAX(greatest, n);
	}
	return greatest;
}

static bool swap_into_parts(ProllyCensus *census, GError **error)
{
	unsigned size = census->tag_size;
	g_autofree guint *next =
		prolly_try_memdup(census->parts, N_PARTS * sizeof(*next), "a list of nodes", error);

	if (!next)
		return false;
	for (guint part = 0; part < N_PARTS; part++) {
		while (next[part] < census->parts[part + 1]) {
			guint from = next[part];
			uint64_t tag = get_number(census, from, size);
			guint to = next[get_part(census, tag)]++;

			set_number(census, from, size, get_number(census, to, size));
			set_number(census, to, size, tag);
		}
	}
	return true;
}

static int compare_tags(gconstpointer a, gconstpointer b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* What a part becomes stands before it, or in its place. */
static void sort_part(ProllyCensus *census, guint start, guint end, uint64_t *buffer)
{
	unsigned size = census->tag_size;

	for (guint i = start; i < end; i++)
		buffer[i - start] = get_rest(census, get_number(census, i, size));
	qsort(buffer, end - start, sizeof(*buffer), compare_tags);
	for (guint i = start; i < end; i++)
		set_number(census, i, size - PART_SIZE, buffer[i - start]);
}

static bool sort_tags(ProllyCensus *census, GError **error)
{
	g_autofree uint64_t *buffer =
		prolly_try_new(uint64_t, sum_parts(census) + 1, "a list of nodes", error);

	if (!buffer || !swap_into_parts(census, error))
		return false;
	for (guint part = 0; part < N_PARTS; part++)
		sort_part(census, census->parts[part], census->parts[part + 1], buffer);
	return set_room(census, (size_t)census->n * (census->tag_size - PART_SIZE) + 8, error);
}

/* From now on notes of puts find their bits. */
static bool end_listing(ProllyCensus *census, GError **error)
{
	size_t n_words = census->n / 64 + 1;
	guint i;

	census->marked = prolly_try_new0(uint64_t, n_words, "a list of nodes", error);
	if (census->marked)
		census->put = prolly_try_new0(uint64_t, n_words, "a list of nodes", error);
	if (!census->put)
		return false;
	g_mutex_lock(&census->lock);
	for (guint k = 0; k < census->early->len; k++) {
		if (find_tag(census, g_array_index(census->early, uint64_t, k), &i))
			set_bit(census->put, i);
	}
	g_clear_pointer(&census->early, g_array_unref);
	g_atomic_int_set(&census->is_listed, 1);
	g_mutex_unlock(&census->lock);
	return true;
}

static bool list_nodes(ProllyCensus *census, GError **error)
{
	if (!set_room(census, FIRST_ROOM, error))
		return false;
	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++) {
		if (!prolly_store_foreach(census->store, (ProllyNodeClass)c, list_node, census,
					  error))
			return false;
	}
	return sort_tags(census, error) && end_listing(census, error);
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

static void note_early(ProllyCensus *census, const ProllyNodeSet *set)
{
	for (guint i = 0; i < set->nodes->len; i++) {
		const ProllyNode *node = g_ptr_array_index(set->nodes, i);
		uint64_t tag = make_tag(census, &node->hash);

		g_array_append_val(census->early, tag);
	}
}

/* E3. */
static void begin_watch(ProllyCensus *census)
{
	ProllyShared *shared = census->store->shared;

	g_mutex_lock(&shared->lock);
	g_assert(!shared->census);
	note_early(census, &shared->pending);
	note_early(census, &shared->moving);
	g_atomic_pointer_set(&shared->census, census);
	g_mutex_unlock(&shared->lock);
	census->is_watching = true;
}

bool prolly_census_new(ProllyStore *store, ProllyCensusUse use, ProllyCensus **out_census,
		       GError **error)
{
	g_autoptr(ProllyCensus) census = g_new0(ProllyCensus, 1);

	census->ref_count = 1;
	census->store = prolly_store_ref(store);
	census->tag_size = use == PROLLY_CENSUS_TO_VERIFY ? VERIFYING_TAG : PROLLY_CENSUS_TAG;
	choose_keys(census);
	census->parts = prolly_try_new0(guint, N_PARTS + 1, "a list of nodes", error);
	census->exact = g_hash_table_new_full(prolly_hash_table_hash, prolly_hash_table_equal,
					      g_free, NULL);
	g_mutex_init(&census->lock);
	g_cond_init(&census->batch_done);
	census->early = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	census->batch = g_hash_table_new(prolly_hash_table_hash, prolly_hash_table_equal);
	if (!census->parts || !prolly_store_flush_if_room(store, error))
		return false;
	if (use == PROLLY_CENSUS_TO_SWEEP)
		begin_watch(census);
	if (!list_nodes(census, error))
		return false;
	*out_census = g_steal_pointer(&census);
	return true;
}

static void unref_census(ProllyCensus *census)
{
	if (!g_atomic_int_dec_and_test(&census->ref_count))
		return;
	g_hash_table_unref(census->batch);
	g_clear_pointer(&census->early, g_array_unref);
	g_mutex_clear(&census->lock);
	g_cond_clear(&census->batch_done);
	g_hash_table_unref(census->exact);
	g_free(census->tags);
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

void prolly_census_get_figures(const ProllyCensus *census, ProllyCensusFigures *out_figures)
{
	*out_figures = census->figures;
}

size_t prolly_census_get_size(const ProllyCensus *census)
{
	return census->room + 2 * (census->n / 64 + 1) * sizeof(uint64_t) +
	       (N_PARTS + 1) * sizeof(guint);
}

/* ---- Marking ----------------------------------------------------------------------------- */

/* Where a node is marked. */
typedef struct {
	guint i;       /* its number */
	bool is_exact; /* E1, E2: by its hash, else by its bit */
} Place;

static bool find_place(const ProllyCensus *census, const ProllyHash *hash, Place *out_place)
{
	uint64_t tag = make_tag(census, hash);

	if (!find_tag(census, tag, &out_place->i))
		return false;
	out_place->is_exact = has_bit(census->put, out_place->i) ||
			      is_shared(census, get_part(census, tag), out_place->i);
	return true;
}

static bool is_marked_at(const ProllyCensus *census, const ProllyHash *hash, const Place *place)
{
	return place->is_exact ? g_hash_table_contains(census->exact, hash)
			       : has_bit(census->marked, place->i);
}

ProllyCensusAnswer prolly_census_mark(ProllyCensus *census, const ProllyHash *hash)
{
	Place place;

	if (!find_place(census, hash, &place))
		return PROLLY_CENSUS_UNLISTED;
	if (is_marked_at(census, hash, &place))
		return PROLLY_CENSUS_AGAIN;
	if (place.is_exact)
		g_hash_table_add(census->exact, g_memdup2(hash, sizeof(*hash)));
	else
		set_bit(census->marked, place.i);
	return PROLLY_CENSUS_FIRST;
}

bool prolly_census_is_marked(const ProllyCensus *census, const ProllyHash *hash)
{
	Place place;

	return find_place(census, hash, &place) && is_marked_at(census, hash, &place);
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

/* The lock is held; it is given up to wait. */
static void note_tag(ProllyCensus *census, const ProllyHash *hash)
{
	uint64_t tag = make_tag(census, hash);
	guint i;

	if (!g_atomic_int_get(&census->is_listed)) {
		g_array_append_val(census->early, tag);
	} else if (find_tag(census, tag, &i)) {
		set_bit(census->put, i);
		while (g_hash_table_contains(census->batch, hash))
			g_cond_wait(&census->batch_done, &census->lock);
	}
}

void prolly_census_note_put(ProllyShared *shared, const ProllyHash *hash)
{
	ProllyCensus *census = get_watching(shared);
	guint i;

	if (!census)
		return;
	if (!g_atomic_int_get(&census->is_listed) || find_node(census, hash, &i)) {
		g_mutex_lock(&census->lock);
		note_tag(census, hash);
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

	/* One that failed may have deleted some. */
	for (size_t i = 0; i < n; i++)
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
	Place place;

	census->figures.nodes++;
	census->figures.bytes += size;
	if (census->figures.nodes % TOLD_EVERY == 0 && !tell(sweep, error))
		return false;
	if (!find_place(census, hash, &place) || is_marked_at(census, hash, &place))
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
