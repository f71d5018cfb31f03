/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that wait: nodes that are in a file, but not in the database yet.
 *
 * To take a file in is five syncs in RocksDB 7.8: the file's before and once more after it was linked,
 * two of the manifest, one of the directory. So the files of a load, one a move (store-pending.c), are
 * made while it goes on and taken in together, when they must be or when there are many. Their index
 * entries are written then too, all in the order of their hashes, which takes half the time. A million
 * entries of 124 bytes in order, on one core and ext4, with syncs of 1 to 4 ms:
 *
 *                                  processor    in all    syncs
 *     each file by itself            275 ms     375 ms     32
 *     32 MiB together                240        270        23
 *     64 MiB together                240        275        20
 *     128 MiB together               235        255        18
 *
 * (and 2 MiB more memory, of some 90, than with 64; and since then one sync more an adoption, of its
 * notice.)
 *
 * An adoption of a class's tables:
 *
 *     notice    the key "ingesting" says which sequences
 *     ingest    the files, in one call
 *     index     the entries of their nodes; in the same batch the notice goes
 *
 *  T1  A node that waits is found by prolly_tables_have until its index entry can be read: who wants
 *      its bytes has it adopted.
 *  T2  Between the first and the last sequence of a class that waits, all of that class wait. So the
 *      notice's range has nothing else in it, and the files lie beside one another.
 *  T3  What is in the range of a notice that is found at an opening has no index entries, and is
 *      removed. Files that were not taken in are removed by db-open.c. The notice is on the disk before
 *      the files are taken in, which no power cut takes back.
 *
 * Locks: one leaf, for prolly_tables_have. All else is under the lock of the back end's writers.
 */
#include "base/memory.h"
#include "store/store-rocksdb-private.h"

#include <string.h>

/* For the memory of what waits: 70 bytes a node. */
#define BYTES_MAX (128u << 20)
#define NODES_MAX 65536

static const char notice_key[] = "ingesting";
#define NOTICE_KEY_SIZE (sizeof(notice_key) - 1)
#define NOTICE_SIZE     17

typedef struct {
	ProllyHash hash;
	uint64_t sequence;
	uint32_t len;
} Waiting;

typedef struct {
	char *path; /* NULL: it was taken in, but its nodes are not indexed */
	size_t n;
	Waiting nodes[]; /* in the order of their sequences */
} Table;

struct ProllyTables {
	ProllyDb *db;                               /* borrowed */
	GPtrArray *of_class[PROLLY_N_NODE_CLASSES]; /* of Table *, likewise */
	ProllyNodeClass noticed;                    /* whose notice there is, or was last */
	uint64_t bytes;
	guint n_nodes; /* atomic */

	GMutex lock;         /* leaf; protects: */
	GHashTable *by_hash; /* a set of the tables' hashes */
};

/* ---- Lifecycle --------------------------------------------------------------------------- */

static void free_table(void *data)
{
	Table *table = data;

	g_free(table->path);
	g_free(table);
}

void prolly_tables_free(ProllyTables *self)
{
	if (!self)
		return;
	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++) {
		for (guint i = 0; i < self->of_class[c]->len; i++) {
			const Table *table = g_ptr_array_index(self->of_class[c], i);

			if (table->path)
				prolly_db_discard_table(self->db, table->path);
		}
		g_ptr_array_unref(self->of_class[c]);
	}
	g_hash_table_unref(self->by_hash);
	g_mutex_clear(&self->lock);
	g_free(self);
}

/* T3. */
static bool clean_up(ProllyDb *db, GError **error)
{
	g_autoptr(GBytes) notice = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);
	size_t len;

	if (!prolly_db_get(db, PROLLY_DB_INDEX, NULL, notice_key, NOTICE_KEY_SIZE, &notice, error))
		return false;
	if (!notice)
		return true;
	const uint8_t *p = g_bytes_get_data(notice, &len);

	if (len != NOTICE_SIZE || p[0] >= PROLLY_N_NODE_CLASSES)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "database: the record of an ingest is damaged");
	ProllyDbFamily family = prolly_node_family((ProllyNodeClass)p[0]);

	prolly_db_batch_delete_range(batch, family, p + 1, 8, p + 9, 8);
	prolly_db_batch_delete(batch, PROLLY_DB_INDEX, notice_key, NOTICE_KEY_SIZE);
	if (!prolly_db_write(db, batch, PROLLY_DB_BUFFERED, error))
		return false;
	prolly_db_reclaim_range(db, family, p + 1, 8, p + 9, 8);
	return true;
}

bool prolly_tables_open(ProllyDb *db, ProllyTables **out_tables, GError **error)
{
	if (!clean_up(db, error))
		return false;
	ProllyTables *self = g_new0(ProllyTables, 1);

	self->db = db;
	for (int c = 0; c < PROLLY_N_NODE_CLASSES; c++)
		self->of_class[c] = g_ptr_array_new_with_free_func(free_table);
	self->by_hash = g_hash_table_new(prolly_hash_table_hash, prolly_hash_table_equal);
	g_mutex_init(&self->lock);
	*out_tables = self;
	return true;
}

/* ---- Waiting ----------------------------------------------------------------------------- */

bool prolly_tables_have(ProllyTables *self, const ProllyHash *hash)
{
	if (g_atomic_int_get(&self->n_nodes) == 0)
		return false;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

	return g_hash_table_contains(self->by_hash, hash);
}

bool prolly_tables_are_many(const ProllyTables *self)
{
	return self->bytes >= BYTES_MAX || self->n_nodes >= NODES_MAX;
}

static bool build(ProllyTables *self, ProllyNodeClass node_class, const ProllyNumberedNode *nodes,
		  size_t n, char **out_path, GError **error)
{
	g_autofree ProllyDbEntry *entries = prolly_try_new(ProllyDbEntry, n, "nodes", error);
	g_autofree uint8_t *keys =
		entries ? prolly_try_array(n, PROLLY_DATA_KEY_SIZE, "nodes", error) : NULL;

	if (!keys)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t *key = keys + i * PROLLY_DATA_KEY_SIZE;

		prolly_data_key_encode(key, nodes[i].sequence, &nodes[i].node->hash);
		entries[i].key = key;
		entries[i].key_len = PROLLY_DATA_KEY_SIZE;
		entries[i].value = g_bytes_get_data(nodes[i].node->bytes, &entries[i].value_len);
	}
	return prolly_db_build_table(self->db, prolly_node_family(node_class), entries, n, out_path,
				     error);
}

/* (transfer full) (nullable) */
static Table *new_table(const ProllyNumberedNode *nodes, size_t n, GError **error)
{
	Table *table =
		prolly_try_malloc(sizeof(*table) + n * sizeof(table->nodes[0]), "nodes", error);

	if (!table)
		return NULL;
	table->n = n;
	table->path = NULL;
	for (size_t i = 0; i < n; i++)
		table->nodes[i] =
			(Waiting){.hash = nodes[i].node->hash,
				  .sequence = nodes[i].sequence,
				  .len = (uint32_t)g_bytes_get_size(nodes[i].node->bytes)};
	return table;
}

bool prolly_tables_add(ProllyTables *self, ProllyNodeClass node_class,
		       const ProllyNumberedNode *nodes, size_t n, GError **error)
{
	Table *table = new_table(nodes, n, error);

	if (!table)
		return false;
	if (!build(self, node_class, nodes, n, &table->path, error)) {
		g_free(table);
		return false;
	}
	g_ptr_array_add(self->of_class[node_class], table);
	g_mutex_lock(&self->lock);
	for (size_t i = 0; i < n; i++) {
		g_hash_table_add(self->by_hash, &table->nodes[i].hash);
		self->bytes += table->nodes[i].len;
	}
	g_atomic_int_add(&self->n_nodes, (gint)n);
	g_mutex_unlock(&self->lock);
	return true;
}

/* ---- Adoption ---------------------------------------------------------------------------- */

static size_t count_nodes(const GPtrArray *tables)
{
	size_t n = 0;

	for (guint i = 0; i < tables->len; i++)
		n += ((const Table *)g_ptr_array_index(tables, i))->n;
	return n;
}

static void put_notice(ProllyDbBatch *batch, ProllyNodeClass node_class, const GPtrArray *tables)
{
	const Table *first = g_ptr_array_index(tables, 0);
	const Table *last = g_ptr_array_index(tables, tables->len - 1);
	uint8_t notice[NOTICE_SIZE] = {(uint8_t)node_class};

	prolly_set_be64(notice + 1, first->nodes[0].sequence);
	prolly_set_be64(notice + 9, last->nodes[last->n - 1].sequence + 1);
	prolly_db_batch_put(batch, PROLLY_DB_INDEX, notice_key, NOTICE_KEY_SIZE, notice,
			    sizeof(notice));
}

/* Those that were not taken in yet. */
static bool ingest(ProllyTables *self, ProllyNodeClass node_class, const GPtrArray *tables,
		   GError **error)
{
	g_autofree const char **paths = g_new(const char *, tables->len);
	size_t n = 0;

	for (guint i = 0; i < tables->len; i++) {
		const Table *table = g_ptr_array_index(tables, i);

		if (table->path)
			paths[n++] = table->path;
	}
	if (n > 0 &&
	    !prolly_db_adopt_tables(self->db, prolly_node_family(node_class), paths, n, error))
		return false;
	for (guint i = 0; i < tables->len; i++)
		g_clear_pointer(&((Table *)g_ptr_array_index(tables, i))->path, g_free);
	return true;
}

static bool put_index_entries(ProllyDbBatch *batch, ProllyNodeClass node_class,
			      const GPtrArray *tables, GError **error)
{
	size_t n = count_nodes(tables);
	g_autofree ProllyHashOrder *orders = prolly_try_new(ProllyHashOrder, n, "nodes", error);
	ProllyHashOrder *order = orders;

	if (!orders)
		return false;
	for (guint i = 0; i < tables->len; i++) {
		Table *table = g_ptr_array_index(tables, i);

		for (size_t j = 0; j < table->n; j++)
			*order++ = prolly_hash_order_of(&table->nodes[j].hash, &table->nodes[j]);
	}
	prolly_hash_orders_sort(orders, n);
	for (size_t i = 0; i < n; i++) {
		const Waiting *node = orders[i].item;

		prolly_index_entry_put(batch, &node->hash, node->sequence, node->len, node_class);
	}
	return true;
}

/* They are indexed. */
static void forget(ProllyTables *self, GPtrArray *tables)
{
	g_mutex_lock(&self->lock);
	for (guint i = 0; i < tables->len; i++) {
		const Table *table = g_ptr_array_index(tables, i);

		for (size_t j = 0; j < table->n; j++) {
			g_hash_table_remove(self->by_hash, &table->nodes[j].hash);
			self->bytes -= table->nodes[j].len;
		}
		g_atomic_int_add(&self->n_nodes, -(gint)table->n);
	}
	g_mutex_unlock(&self->lock);
	g_ptr_array_set_size(tables, 0);
}

static bool adopt_class(ProllyTables *self, ProllyNodeClass node_class, GError **error)
{
	GPtrArray *tables = self->of_class[node_class];
	g_autoptr(ProllyDbBatch) batch = NULL;

	if (tables->len == 0)
		return true;
	batch = prolly_db_batch_new(self->db);
	put_notice(batch, node_class, tables);
	self->noticed = node_class;
	/* Synced, as the tables are part of the database at once. */
	if (!prolly_db_write(self->db, batch, PROLLY_DB_SYNC, error) ||
	    !ingest(self, node_class, tables, error))
		return false;
	prolly_db_batch_delete(batch, PROLLY_DB_INDEX, notice_key, NOTICE_KEY_SIZE);
	if (!put_index_entries(batch, node_class, tables, error) ||
	    !prolly_db_write(self->db, batch, PROLLY_DB_BUFFERED, error))
		return false;
	forget(self, tables);
	return true;
}

/* First the class whose notice is there, should its adoption have failed: there is one at a time. */
bool prolly_tables_adopt(ProllyTables *self, GError **error)
{
	unsigned first = self->noticed;

	for (unsigned i = 0; i < PROLLY_N_NODE_CLASSES; i++) {
		if (!adopt_class(self, (first + i) % PROLLY_N_NODE_CLASSES, error))
			return false;
	}
	return true;
}
