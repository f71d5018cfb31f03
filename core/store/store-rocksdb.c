/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RocksDB back end: nodes and chunks in families of the store's own database (db.h).
 *
 *     nodes, chunks   (sequence, hash)  ->  the node's bytes
 *     index           hash              ->  sequence, length, class
 *     index           "ingesting"       ->  class, first and end sequence of an adoption under way
 *
 * A node's sequence is a number that only grows, one for each node, in the order of the puts. So
 * new keys are above all others of the family: a batch of them is ingested as one sorted file that
 * lands at the bottom at once and is never compacted, and the leaves of a tree lie on disk in the
 * order in which a scan reads them. Keyed by hash alone, each batch would overlap everything, and
 * loading would write every node some five times. Only the index, 45 bytes a node, is in hash
 * order.
 *
 * Measured, 300,000 nodes of 3,700 random bytes (1,058 MiB) put in sets of 16 MiB, on two cores;
 * the times are of the processor, to load and close and to get one node that the kernel has cached,
 * its SHA-256 of 3.5 us included:
 *
 *                                     load    written    on disk    get
 *     (sequence, hash), ingested     2.3 s    1106 MiB   1091 MiB   12 us
 *     hash, ingested                 3.4 s    2440 MiB   1074 MiB    7 us
 *     hash, through the log          5.4 s    4907 MiB   1074 MiB    7 us
 *
 * (the second and third grow with the store, the first does not). A get costs two look-ups; the
 * node cache is there to spare both.
 *
 * Options (db-open.c), measured on a tree of a million entries of 124 bytes (118 MiB), loaded, and
 * 1,000 commits of one key each, of 23.7 kB of nodes; "get" is of one node that a commit wrote and
 * one that the load did, from what the kernel has cached:
 *
 *     compression, block size            on disk by a commit   compaction    get
 *     none, 16 KiB                            24.3 kB             0.5 s    5.0  6.1 us
 *     LZ4, 16 KiB                             15.8                0.6      7.6  5.9
 *     LZ4, 32 KiB                             14.0                0.5     12.1  8.1
 *     Zstandard level 1, 4 KiB                15.3                1.4      9.1  6.8
 *     Zstandard level 1, 16 KiB               13.7                1.1     17.8  6.6
 *     Zstandard level 3, 16 KiB               13.3                1.2     17.6  6.8
 *     the same, 16 KiB dictionary            all of it - 12 %     1.7     16.8 11.3
 *
 * Kept: Zstandard for what goes through the log, which is compressed behind everybody's back; LZ4,
 * or nothing where that gains nothing (db.c), for what is ingested, which somebody waits for and
 * which nothing compacts. Blocks of 16 KiB, since 4 KiB ones make a scan in order 2.5 times slower.
 * No dictionary: each of the load's tables would be built twice. No bloom filter on nodes and
 * chunks, which are there when they are looked for (6.4 for 5.9 us), but on the index, where they
 * mostly are not. No values in files of their own (blob files): a load's get 8.7 for 5.9 us, and
 * their sums are CRC32C by table. What a get pins is copied, a small part of a get's time: a node in
 * the cache lives longer than a block may be kept. But a chunk that has a block to itself stays in it
 * (db.c), and chunks' blocks have a cache of their own that keeps next to nothing else.
 *
 * What a durable load costs: a million such entries in order, on one core, 230 to 250 ns of the
 * processor each, of which 120 are the tree's; RocksDB itself takes 520 to 700, in batches of 1,000
 * through its log and without a sync. Of the rest a table's making takes 75 (to copy, sum up and write
 * what is in it), the index 25. Without sums (which SHA-256 would make up for), or with blocks of 64
 * KiB, it is no faster; 5 ns are for the tables that show whether compression gains anything.
 *
 * A put of less than TABLE_MIN bytes goes through the log, with the caller's batch if there is one:
 * small files would pile up. A larger one becomes a table, which waits for others until it must be
 * read or be durable (store-tables.c).
 *
 *  I1  An index entry is written after, or in one batch with, what it points to.
 *  I2  A hash is written once: whoever puts holds the lock from the look-ups in the index and in the
 *      tables that wait to the write. (store.c does not put again what it gave to a batch not yet
 *      written.)
 */
#include "base/memory.h"
#include "store/store-rocksdb-private.h"

#include <string.h>

#define NODES "nodes" /* what memory is for, in errors */

#define TABLE_MIN (4u << 20)

typedef struct {
	uint64_t first; /* sequences of the first and the last */
	uint64_t last;
	uint64_t n; /* 0: none */
	uint64_t bytes;
} Deleted;

typedef struct {
	ProllyBackend base;
	ProllyDb *db;  /* borrowed */
	GMutex lock;   /* of writers: protects all below, and I2 */
	uint64_t next; /* sequence */
	ProllyTables *tables;
	Deleted deleted[PROLLY_N_NODE_CLASSES]; /* since space was last given back */
} RocksBackend;

typedef struct {
	uint64_t sequence;
	uint32_t len;
	ProllyNodeClass node_class;
	bool found;
} Location;

static const ProllyBackendClass rocks_class;

static RocksBackend *get_self(ProllyBackend *backend)
{
	g_assert(backend->class == &rocks_class);
	return (RocksBackend *)backend;
}

/* ---- Keys and values --------------------------------------------------------------------- */

static bool decode_location(const ProllyHash *hash, const void *data, size_t len,
			    Location *out_location, GError **error)
{
	const uint8_t *p = data;
	char hex[PROLLY_HASH_HEX_SIZE];

	if (len != PROLLY_INDEX_VALUE_SIZE || p[12] >= PROLLY_N_NODE_CLASSES)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "node %s: its index entry is damaged",
				    prolly_hash_to_hex(hash, hex));
	out_location->sequence = prolly_get_be64(p);
	out_location->len = prolly_get_be32(p + 8);
	out_location->node_class = (ProllyNodeClass)p[12];
	out_location->found = true;
	return true;
}

/* ---- Read -------------------------------------------------------------------------------- */

/* OUT_LOCATIONS are zeroed by the caller. */
static bool locate_many(RocksBackend *self, const ProllyHash *hashes, size_t n,
			Location *out_locations, GError **error)
{
	g_autofree const void **keys = prolly_try_new(const void *, n, NODES, error);
	g_autofree GBytes **values = keys ? prolly_try_new0(GBytes *, n, NODES, error) : NULL;
	bool ok = true;

	if (!values)
		return false;
	for (size_t i = 0; i < n; i++)
		keys[i] = hashes[i].bytes;
	if (!prolly_db_get_many(self->db, PROLLY_DB_INDEX, keys, PROLLY_HASH_SIZE, n, values,
				error))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!values[i])
			continue;
		size_t len;
		const void *data = g_bytes_get_data(values[i], &len);

		ok = ok && decode_location(&hashes[i], data, len, &out_locations[i], error);
		g_bytes_unref(values[i]);
	}
	return ok;
}

static bool load_node(RocksBackend *self, const ProllyHash *hash, const Location *location,
		      GBytes **out_node, GError **error)
{
	uint8_t key[PROLLY_DATA_KEY_SIZE];
	char hex[PROLLY_HASH_HEX_SIZE];

	prolly_data_key_encode(key, location->sequence, hash);
	if (prolly_db_get(self->db, prolly_node_family(location->node_class), NULL, key,
			  sizeof(key), out_node, error))
		return true;
	g_prefix_error(error, "node %s: ", prolly_hash_to_hex(hash, hex));
	return false;
}

static bool adopt_tables(RocksBackend *self, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

	return prolly_tables_adopt(self->tables, error);
}

/* Before the index is asked: a node that waits now may be there the moment after (T1). */
static bool adopt_if_any(RocksBackend *self, const ProllyHash *hashes, size_t n, GError **error)
{
	for (size_t i = 0; i < n; i++) {
		if (prolly_tables_have(self->tables, &hashes[i]))
			return adopt_tables(self, error);
	}
	return true;
}

static bool rocks_get_many(ProllyBackend *backend, ProllyNodeClass node_class,
			   const ProllyHash *hashes, size_t n, GBytes **out_nodes, GError **error)
{
	RocksBackend *self = get_self(backend);
	g_autofree Location *locations = prolly_try_new0(Location, n, NODES, error);
	g_autoptr(GPtrArray) nodes = g_ptr_array_new_full((guint)n, (GDestroyNotify)g_bytes_unref);

	if (!locations || !adopt_if_any(self, hashes, n, error) ||
	    !locate_many(self, hashes, n, locations, error))
		return false;
	for (size_t i = 0; i < n; i++) {
		GBytes *node = NULL;

		if (locations[i].found && !load_node(self, &hashes[i], &locations[i], &node, error))
			return false;
		if (node)
			g_ptr_array_add(nodes, node);
		locations[i].found = node != NULL;
	}
	for (size_t i = 0, j = 0; i < n; i++)
		out_nodes[i] = locations[i].found ? g_bytes_ref(nodes->pdata[j++]) : NULL;
	return true;
}

static bool rocks_has_many(ProllyBackend *backend, ProllyNodeClass node_class,
			   const ProllyHash *hashes, size_t n, bool *out_has, GError **error)
{
	RocksBackend *self = get_self(backend);
	g_autofree Location *locations = prolly_try_new0(Location, n, NODES, error);

	if (!locations)
		return false;
	for (size_t i = 0; i < n; i++)
		out_has[i] = prolly_tables_have(self->tables, &hashes[i]);
	if (!locate_many(self, hashes, n, locations, error))
		return false;
	for (size_t i = 0; i < n; i++)
		out_has[i] |= locations[i].found;
	return true;
}

/* ---- Write ------------------------------------------------------------------------------- */

/* What a put has to write of one class: those of the N items that are of it and have a sequence. */
typedef struct {
	ProllyNodeClass node_class;
	ProllyNumberedNode *items; /* of the put, in its order, which is that of the sequences */
	const ProllyHashOrder *by_hash;
	size_t n;
	size_t count; /* in the group */
	size_t bytes;
} Group;

static bool is_in_group(const Group *group, const ProllyNumberedNode *item)
{
	return item->sequence != 0 && item->node->node_class == group->node_class;
}

static void put_index_entries(ProllyDbBatch *batch, const Group *group)
{
	for (size_t i = 0; i < group->n; i++) {
		const ProllyNumberedNode *item = group->by_hash[i].item;

		if (is_in_group(group, item))
			prolly_index_entry_put(batch, &item->node->hash, item->sequence,
					       g_bytes_get_size(item->node->bytes),
					       group->node_class);
	}
}

static void put_data_entries(ProllyDbBatch *batch, const Group *group)
{
	for (size_t i = 0; i < group->n; i++) {
		const ProllyNumberedNode *item = &group->items[i];
		uint8_t key[PROLLY_DATA_KEY_SIZE];
		size_t len;
		const void *data = g_bytes_get_data(item->node->bytes, &len);

		if (!is_in_group(group, item))
			continue;
		prolly_data_key_encode(key, item->sequence, &item->node->hash);
		prolly_db_batch_put(batch, prolly_node_family(group->node_class), key, sizeof(key),
				    data, len);
	}
}

static bool put_table(RocksBackend *self, const Group *group, GError **error)
{
	g_autofree ProllyNumberedNode *nodes =
		prolly_try_new(ProllyNumberedNode, group->count, NODES, error);
	size_t count = 0;

	if (!nodes)
		return false;
	for (size_t i = 0; i < group->n; i++) {
		if (is_in_group(group, &group->items[i]))
			nodes[count++] = group->items[i];
	}
	return prolly_tables_add(self->tables, group->node_class, nodes, count, error);
}

/* What waits is adopted before anything of its class goes through the log (T2). */
static bool put_group(RocksBackend *self, const Group *group, ProllyDbBatch *batch, GError **error)
{
	if (group->count == 0)
		return true;
	if (group->bytes >= TABLE_MIN)
		return put_table(self, group, error);
	if (!prolly_tables_adopt(self->tables, error))
		return false;
	put_data_entries(batch, group);
	put_index_entries(batch, group);
	return true;
}

static int compare_hash_orders(const void *a, const void *b)
{
	const ProllyHashOrder *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return memcmp(x->hash->bytes, y->hash->bytes, PROLLY_HASH_SIZE);
}

void prolly_hash_orders_sort(ProllyHashOrder *orders, size_t n)
{
	qsort(orders, n, sizeof(*orders), compare_hash_orders);
}

/* Which of the N are there, or in tables that wait? The sequences of those become 0, of others 1. */
static bool find_missing(RocksBackend *self, const ProllyHashOrder *by_hash, size_t n,
			 GError **error)
{
	g_autofree ProllyHash *hashes = prolly_try_new(ProllyHash, n, NODES, error);
	g_autofree Location *locations = hashes ? prolly_try_new0(Location, n, NODES, error) : NULL;

	if (!locations)
		return false;
	for (size_t i = 0; i < n; i++)
		hashes[i] = *by_hash[i].hash;
	if (!locate_many(self, hashes, n, locations, error))
		return false;
	for (size_t i = 0; i < n; i++) {
		ProllyNumberedNode *item = by_hash[i].item;

		item->sequence =
			!locations[i].found && !prolly_tables_have(self->tables, &hashes[i]);
	}
	return true;
}

/* Gives a sequence to the items that are not there, of one class after the other. */
static void number_items(RocksBackend *self, Group *groups)
{
	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++) {
		Group *group = &groups[c];

		for (size_t i = 0; i < group->n; i++) {
			ProllyNumberedNode *item = &group->items[i];

			if (!is_in_group(group, item))
				continue;
			item->sequence = self->next++;
			group->count++;
			group->bytes += g_bytes_get_size(item->node->bytes);
		}
	}
}

static bool put_groups(RocksBackend *self, const ProllyBackendNode *nodes, size_t n,
		       ProllyDbBatch *batch, GError **error)
{
	g_autofree ProllyNumberedNode *items = prolly_try_new(ProllyNumberedNode, n, NODES, error);
	g_autofree ProllyHashOrder *by_hash =
		items ? prolly_try_new(ProllyHashOrder, n, NODES, error) : NULL;
	Group groups[PROLLY_N_NODE_CLASSES];

	if (!by_hash)
		return false;
	for (size_t i = 0; i < n; i++) {
		items[i] = (ProllyNumberedNode){&nodes[i], 0};
		by_hash[i] = prolly_hash_order_of(&nodes[i].hash, &items[i]);
	}
	prolly_hash_orders_sort(by_hash, n);
	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++)
		groups[c] = (Group){(ProllyNodeClass)c, items, by_hash, n, 0, 0};
	if (!find_missing(self, by_hash, n, error))
		return false;
	number_items(self, groups);
	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++) {
		if (!put_group(self, &groups[c], batch, error))
			return false;
	}
	return true;
}

static bool rocks_put_many(ProllyBackend *backend, const ProllyBackendNode *nodes, size_t n,
			   ProllyDbBatch *batch, GError **error)
{
	RocksBackend *self = get_self(backend);
	g_autoptr(ProllyDbBatch) own = batch ? NULL : prolly_db_batch_new(self->db);

	g_mutex_lock(&self->lock);
	bool ok = (!prolly_tables_are_many(self->tables) ||
		   prolly_tables_adopt(self->tables, error)) &&
		  put_groups(self, nodes, n, batch ? batch : own, error) &&
		  (batch || prolly_db_write(self->db, own, PROLLY_DB_BUFFERED, error));

	g_mutex_unlock(&self->lock);
	return ok;
}

/* What is not in a caller's batch is in the log then, or was synced by the adoption. */
static bool rocks_sync(ProllyBackend *backend, GError **error)
{
	return adopt_tables(get_self(backend), error);
}

static void note_deleted(RocksBackend *self, const Location *location)
{
	Deleted *deleted = &self->deleted[location->node_class];

	if (deleted->n == 0 || location->sequence < deleted->first)
		deleted->first = location->sequence;
	deleted->last = MAX(deleted->last, location->sequence);
	deleted->n++;
	deleted->bytes += location->len;
}

static bool rocks_delete_many(ProllyBackend *backend, ProllyNodeClass node_class,
			      const ProllyHash *hashes, size_t n, GError **error)
{
	RocksBackend *self = get_self(backend);
	g_autofree Location *locations = prolly_try_new0(Location, n, NODES, error);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(self->db);

	if (!locations)
		return false;
	g_mutex_lock(&self->lock);
	bool ok = prolly_tables_adopt(self->tables, error) &&
		  locate_many(self, hashes, n, locations, error);

	for (size_t i = 0; i < n && ok; i++) {
		uint8_t key[PROLLY_DATA_KEY_SIZE];

		if (!locations[i].found)
			continue;
		prolly_data_key_encode(key, locations[i].sequence, &hashes[i]);
		prolly_db_batch_delete(batch, prolly_node_family(locations[i].node_class), key,
				       sizeof(key));
		prolly_db_batch_delete(batch, PROLLY_DB_INDEX, hashes[i].bytes, PROLLY_HASH_SIZE);
	}
	prolly_db_batch_note_freeing(batch);
	ok = ok && prolly_db_write(self->db, batch, PROLLY_DB_BUFFERED, error);
	for (size_t i = 0; i < n && ok; i++) {
		if (locations[i].found)
			note_deleted(self, &locations[i]);
	}
	g_mutex_unlock(&self->lock);
	prolly_db_spill(self->db);
	return ok;
}

/* ---- All nodes --------------------------------------------------------------------------- */

typedef bool (*LocationFunc)(const ProllyHash *hash, const Location *location, void *data,
			     GError **error);

static bool foreach_location(RocksBackend *self, LocationFunc func, void *data, GError **error)
{
	g_autoptr(ProllyDbIter) iter = prolly_db_iter_new_passing(self->db, PROLLY_DB_INDEX);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		size_t key_len;
		size_t len;
		const uint8_t *key = prolly_db_iter_get_key(iter, &key_len);
		const uint8_t *value = prolly_db_iter_get_value(iter, &len);
		Location location = {0};
		ProllyHash hash;

		if (key_len != PROLLY_HASH_SIZE)
			continue;
		memcpy(hash.bytes, key, PROLLY_HASH_SIZE);
		if (!decode_location(&hash, value, len, &location, error) ||
		    !func(&hash, &location, data, error))
			return false;
	}
	return prolly_db_iter_check(iter, error);
}

typedef struct {
	ProllyNodeClass node_class;
	ProllyStoreFunc func;
	void *data;
} Listing;

static bool list_location(const ProllyHash *hash, const Location *location, void *data,
			  GError **error)
{
	const Listing *listing = data;

	return location->node_class != listing->node_class ||
	       listing->func(hash, location->len, listing->data, error);
}

static bool rocks_foreach(ProllyBackend *backend, ProllyNodeClass node_class, ProllyStoreFunc func,
			  void *data, GError **error)
{
	RocksBackend *self = get_self(backend);
	Listing listing = {node_class, func, data};

	return adopt_tables(self, error) && foreach_location(self, list_location, &listing, error);
}

/* ---- Space ------------------------------------------------------------------------------- */

/*
 * Which sequences of a range of deleted nodes are in use: a bit for 2^SHIFT of them, so that it takes
 * 8 MiB at most. No node that is not indexed yet is in the range: those have higher sequences, as
 * what waited was adopted before the range was taken.
 */
typedef struct {
	ProllyNodeClass node_class;
	Deleted range;
	unsigned shift;
	uint64_t *used;
	uint64_t n_bits;
} UseMap;

#define USE_MAP_BITS (UINT64_C(1) << 26)

static bool note_use(const ProllyHash *hash, const Location *location, void *data, GError **error)
{
	UseMap *map = data;

	if (location->node_class == map->node_class && location->sequence >= map->range.first &&
	    location->sequence <= map->range.last) {
		uint64_t bit = (location->sequence - map->range.first) >> map->shift;

		map->used[bit / 64] |= UINT64_C(1) << (bit % 64);
	}
	return true;
}

static bool is_used(const UseMap *map, uint64_t bit)
{
	return map->used[bit / 64] >> (bit % 64) & 1;
}

/* Tables in which nothing is left. */
static void drop_unused(RocksBackend *self, const UseMap *map)
{
	for (uint64_t bit = 0, start = 0; bit <= map->n_bits; bit++) {
		uint8_t lower[8], upper[8];

		if (bit < map->n_bits && !is_used(map, bit))
			continue;
		if (bit > start) {
			prolly_set_be64(lower, map->range.first + (start << map->shift));
			prolly_set_be64(upper, MIN(map->range.first + (bit << map->shift),
						   map->range.last + 1));
			prolly_db_drop_files(self->db, prolly_node_family(map->node_class), lower,
					     8, upper, 8);
		}
		start = bit + 1;
	}
}

static bool reclaim_class(RocksBackend *self, ProllyNodeClass node_class, const Deleted *deleted,
			  GError **error)
{
	UseMap map = {.node_class = node_class, .range = *deleted};
	g_autofree uint64_t *used = NULL;
	uint8_t lower[8], upper[8];

	while ((deleted->last - deleted->first) >> map.shift >= USE_MAP_BITS)
		map.shift++;
	map.n_bits = ((deleted->last - deleted->first) >> map.shift) + 1;
	map.used = used = prolly_try_new0(uint64_t, map.n_bits / 64 + 1, NODES, error);
	if (!used)
		return false;
	if (!foreach_location(self, note_use, &map, error))
		return false;
	drop_unused(self, &map);
	prolly_set_be64(lower, deleted->first);
	prolly_set_be64(upper, deleted->last + 1);
	prolly_db_compact_range(self->db, prolly_node_family(node_class), lower, 8, upper, 8,
				deleted->bytes);
	return true;
}

static bool rocks_reclaim(ProllyBackend *backend, GError **error)
{
	RocksBackend *self = get_self(backend);
	Deleted deleted[PROLLY_N_NODE_CLASSES];
	uint8_t end[PROLLY_HASH_SIZE + 1];
	uint64_t n = 0;

	g_mutex_lock(&self->lock);
	bool ok = prolly_tables_adopt(self->tables, error);

	if (ok) {
		memcpy(deleted, self->deleted, sizeof(deleted));
		memset(self->deleted, 0, sizeof(self->deleted));
	}
	g_mutex_unlock(&self->lock);
	if (!ok)
		return false;
	/* What is dropped is gone at once, whatever the log says after a power cut. */
	if (!prolly_db_sync(self->db, error))
		return false;
	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++) {
		n += deleted[c].n;
		if (deleted[c].n > 0 &&
		    !reclaim_class(self, (ProllyNodeClass)c, &deleted[c], error))
			return false;
	}
	memset(end, 0xff, sizeof(end));
	if (n > 0)
		prolly_db_compact_range(self->db, PROLLY_DB_INDEX, "", 0, end, sizeof(end),
					n * (PROLLY_HASH_SIZE + PROLLY_INDEX_VALUE_SIZE));
	return true;
}

static bool rocks_get_size(ProllyBackend *backend, uint64_t *out_nodes, uint64_t *out_bytes,
			   GError **error)
{
	RocksBackend *self = get_self(backend);
	uint64_t n_nodes = 0;
	uint64_t n_bytes = 0;

	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++) {
		uint64_t keys;
		uint64_t bytes;

		if (!prolly_db_get_size(self->db, prolly_node_family(c), &keys, &bytes, error))
			return false;
		n_nodes += keys;
		n_bytes += bytes;
	}
	*out_nodes = n_nodes;
	*out_bytes = n_bytes;
	return true;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

static void rocks_close(ProllyBackend *backend)
{
	RocksBackend *self = get_self(backend);

	if (self->tables)
		(void)prolly_tables_adopt(self->tables, NULL);
	prolly_tables_free(self->tables);
	g_mutex_clear(&self->lock);
	g_free(self);
}

static const ProllyBackendClass rocks_class = {
	.close = rocks_close,
	.get_many = rocks_get_many,
	.has_many = rocks_has_many,
	.put_many = rocks_put_many,
	.sync = rocks_sync,
	.foreach = rocks_foreach,
	.delete_many = rocks_delete_many,
	.reclaim = rocks_reclaim,
	.get_size = rocks_get_size,
};

/* Raises NEXT over the last sequence of the family. */
static bool find_last_sequence(RocksBackend *self, ProllyDbFamily family, GError **error)
{
	g_autoptr(ProllyDbIter) iter = prolly_db_iter_new(self->db, family, NULL, NULL, 0, NULL, 0);

	prolly_db_iter_seek_last(iter);
	if (prolly_db_iter_is_valid(iter)) {
		size_t len;
		const uint8_t *key = prolly_db_iter_get_key(iter, &len);

		if (len != PROLLY_DATA_KEY_SIZE)
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "database: a node's key of %zu bytes", len);
		self->next = MAX(self->next, prolly_get_be64(key) + 1);
	}
	return prolly_db_iter_check(iter, error);
}

bool prolly_backend_rocksdb_open(ProllyDb *db, ProllyBackend **out_backend, GError **error)
{
	RocksBackend *self = g_new0(RocksBackend, 1);

	self->base.class = &rocks_class;
	self->db = db;
	self->next = 1;
	g_mutex_init(&self->lock);
	if (!prolly_tables_open(db, &self->tables, error) ||
	    !find_last_sequence(self, PROLLY_DB_NODES, error) ||
	    !find_last_sequence(self, PROLLY_DB_CHUNKS, error)) {
		rocks_close(&self->base);
		return false;
	}
	*out_backend = &self->base;
	return true;
}
