/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node store: one conformance suite, run over every back end, and what only one of them has.
 *
 * Nodes are made from numbers, so a test names a node by its number and knows its bytes.
 */
#include "store/store-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "remove-tree.h"
#include "store/db.h"

/* ---- Sites: a store of some back end, that can be closed and opened again ---------------- */

typedef struct {
	const char *name;
	ProllyBackendKind kind;
	bool is_lasting; /* survives closing */
} Variant;

static const Variant variants[] = {
	{"memory", PROLLY_BACKEND_MEMORY, false},
	{"file", PROLLY_BACKEND_FILE, true},
	{"cached-file", PROLLY_BACKEND_CACHED_FILE, true},
	{"rocksdb", PROLLY_BACKEND_ROCKSDB, true},
	{"rocksdb-in-memory", PROLLY_BACKEND_ROCKSDB, false},
};

typedef struct {
	const Variant *variant;
	char *dir;
	uint64_t cache_size;
	ProllyDb *db; /* NULL without RocksDB */
	ProllyStore *store;
} Site;

static void open_site(Site *site)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_build_filename(site->dir, "data", NULL);
	ProllyDbOptions db_options = {.path = site->variant->is_lasting ? path : NULL,
				      .create = true};
	ProllyStoreOptions options = {
		.kind = site->variant->kind, .path = site->dir, .cache_size = site->cache_size};

	if (site->variant->kind == PROLLY_BACKEND_ROCKSDB) {
		prolly_db_open(&db_options, &site->db, &error);
		g_assert_no_error(error);
	}
	options.db = site->db;
	prolly_store_open(&options, &site->store, &error);
	g_assert_no_error(error);
	g_assert_cmpint(prolly_store_get_kind(site->store), ==, site->variant->kind);
}

static void close_site(Site *site)
{
	g_clear_pointer(&site->store, prolly_store_unref);
	g_clear_pointer(&site->db, prolly_db_close);
}

static void reopen_site(Site *site)
{
	close_site(site);
	open_site(site);
}

static void set_up(Site *site, gconstpointer variant)
{
	site->variant = variant;
	site->dir = g_dir_make_tmp("prolly-store-XXXXXX", NULL);
	open_site(site);
}

static void tear_down(Site *site, gconstpointer variant)
{
	close_site(site);
	remove_tree(site->dir);
	g_free(site->dir);
}

/* ---- Nodes from numbers ------------------------------------------------------------------ */

static uint8_t *make_bytes(uint64_t number, size_t len)
{
	uint8_t *bytes = g_malloc(len + 8);
	uint64_t x = (number + 1) * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < len; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		prolly_set_le64(bytes + i, x);
	}
	return bytes;
}

static void hash_of(uint64_t number, size_t len, ProllyHash *out_hash)
{
	g_autofree uint8_t *bytes = make_bytes(number, len);

	prolly_hash_compute(bytes, len, out_hash);
}

static void put(ProllyStore *store, ProllyNodeClass node_class, uint64_t number, size_t len)
{
	g_autoptr(GError) error = NULL;
	ProllyHash hash;
	ProllyHash expected;

	hash_of(number, len, &expected);
	prolly_store_put(store, node_class, make_bytes(number, len), len, &hash, NULL, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_hash_equal(&hash, &expected));
}

static void assert_there(ProllyStore *store, ProllyNodeClass node_class, uint64_t number,
			 size_t len)
{
	g_autoptr(GError) error = NULL;
	g_autofree uint8_t *expected = make_bytes(number, len);
	ProllyHash hash;
	size_t got_len;

	prolly_hash_compute(expected, len, &hash);
	g_autoptr(ProllyNode) node = prolly_store_get(store, node_class, &hash, &error);

	g_assert_no_error(error);
	const uint8_t *got = prolly_node_get_bytes(node, &got_len);

	g_assert_cmpmem(got, got_len, expected, len);
	if (node_class == PROLLY_NODE_TREE)
		g_assert_cmpuint((uintptr_t)got & 7, ==, 0);
	g_assert_true(prolly_hash_equal(prolly_node_get_hash(node), &hash));
}

/* The error names the hash. */
static void assert_fails(ProllyStore *store, uint64_t number, size_t len, ProllyErrorCode code)
{
	g_autoptr(GError) error = NULL;
	char hex[PROLLY_HASH_HEX_SIZE];
	ProllyHash hash;

	hash_of(number, len, &hash);
	g_assert_null(prolly_store_get(store, PROLLY_NODE_TREE, &hash, &error));
	g_assert_error(error, PROLLY_ERROR, (gint)code);
	g_assert_nonnull(strstr(error->message, prolly_hash_to_hex(&hash, hex)));
}

static void flush(ProllyStore *store)
{
	g_autoptr(GError) error = NULL;

	prolly_store_flush(store, NULL, &error);
	g_assert_no_error(error);
}

/* A flush as a commit does it: with a batch of the database, if there is one. */
static void flush_synced(Site *site)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbBatch) batch = site->db ? prolly_db_batch_new(site->db) : NULL;

	prolly_store_flush(site->store, batch, &error);
	g_assert_no_error(error);
	if (!batch)
		return;
	prolly_db_write(site->db, batch, PROLLY_DB_SYNC, &error);
	g_assert_no_error(error);
	prolly_store_flushed(site->store, true);
}

static bool has(ProllyStore *store, uint64_t number, size_t len)
{
	g_autoptr(GError) error = NULL;
	ProllyHash hash;
	bool there = false;

	hash_of(number, len, &hash);
	prolly_store_has_many(store, PROLLY_NODE_TREE, &hash, 1, &there, &error);
	g_assert_no_error(error);
	return there;
}

static bool count_node(const ProllyHash *hash, uint64_t size, void *data, GError **error)
{
	uint64_t *totals = data;

	totals[0]++;
	totals[1] += size;
	return true;
}

static uint64_t count_stored(ProllyStore *store, ProllyNodeClass node_class)
{
	g_autoptr(GError) error = NULL;
	uint64_t totals[2] = {0, 0};

	prolly_store_foreach(store, node_class, count_node, totals, &error);
	g_assert_no_error(error);
	return totals[0];
}

/* ---- The conformance suite --------------------------------------------------------------- */

static const size_t sizes[] = {0, 1, 7, 8, 3700, 65536, 300001};

static void test_put_and_get(Site *site, gconstpointer variant)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		put(site->store, PROLLY_NODE_TREE, 2 * i, sizes[i]);
		assert_there(site->store, PROLLY_NODE_TREE, 2 * i, sizes[i]);
		put(site->store, PROLLY_NODE_CHUNK, 2 * i + 1, sizes[i]);
	}
	flush(site->store);
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		assert_there(site->store, PROLLY_NODE_TREE, 2 * i, sizes[i]);
		assert_there(site->store, PROLLY_NODE_CHUNK, 2 * i + 1, sizes[i]);
	}
}

static void test_put_is_idempotent(Site *site, gconstpointer variant)
{
	put(site->store, PROLLY_NODE_TREE, 1, 100);
	put(site->store, PROLLY_NODE_TREE, 1, 100);
	flush(site->store);
	put(site->store, PROLLY_NODE_TREE, 1, 100);
	flush(site->store);
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_TREE), ==, 1);
	if (!site->variant->is_lasting)
		return;
	/* Nothing in memory knows of it now. */
	reopen_site(site);
	put(site->store, PROLLY_NODE_TREE, 1, 100);
	put(site->store, PROLLY_NODE_TREE, 2, 100);
	flush(site->store);
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_TREE), ==, 2);

	ProllyStoreFigures figures;
	g_autoptr(GError) error = NULL;

	prolly_store_get_figures(site->store, &figures, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(figures.nodes, ==, 2);
}

/* A node of one class that is put as the other is one node, found as either. */
static void test_classes_share_hashes(Site *site, gconstpointer variant)
{
	put(site->store, PROLLY_NODE_TREE, 1, 100);
	flush_synced(site);
	if (site->variant->is_lasting)
		reopen_site(site);
	put(site->store, PROLLY_NODE_CHUNK, 1, 100);
	flush_synced(site);
	if (site->variant->is_lasting)
		reopen_site(site);
	assert_there(site->store, PROLLY_NODE_TREE, 1, 100);
	assert_there(site->store, PROLLY_NODE_CHUNK, 1, 100);
}

#define MANY 500

static void test_many(Site *site, gconstpointer variant)
{
	g_autoptr(GError) error = NULL;
	g_autofree ProllyHash *hashes = g_new(ProllyHash, MANY + 1);
	g_autofree ProllyNode **nodes = g_new0(ProllyNode *, MANY + 1);
	g_autofree bool *there = g_new0(bool, MANY + 1);

	for (unsigned i = 0; i < MANY; i++) {
		put(site->store, PROLLY_NODE_TREE, i, 100 + i);
		hash_of(i, 100 + i, &hashes[i]);
		if (i == MANY / 2)
			flush_synced(site);
	}
	hash_of(MANY, 5, &hashes[MANY]);
	hashes[3] = hashes[2];
	if (site->variant->is_lasting) {
		flush_synced(site);
		reopen_site(site);
	}
	prolly_store_has_many(site->store, PROLLY_NODE_TREE, hashes, MANY + 1, there, &error);
	g_assert_no_error(error);
	for (unsigned i = 0; i <= MANY; i++)
		g_assert_cmpint(there[i], ==, i < MANY);

	prolly_store_get_many(site->store, PROLLY_NODE_TREE, hashes, MANY, nodes, &error);
	g_assert_no_error(error);
	for (unsigned i = 0; i < MANY; i++) {
		g_assert_true(prolly_hash_equal(prolly_node_get_hash(nodes[i]), &hashes[i]));
		prolly_node_unref(nodes[i]);
		nodes[i] = NULL;
	}
	g_assert_false(prolly_store_get_many(site->store, PROLLY_NODE_TREE, hashes, MANY + 1, nodes,
					     &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
	g_assert_null(nodes[0]);
}

static void test_missing_is_named(Site *site, gconstpointer variant)
{
	put(site->store, PROLLY_NODE_TREE, 1, 100);
	assert_fails(site->store, 2, 100, PROLLY_ERROR_MISSING);
	flush(site->store);
	assert_fails(site->store, 2, 100, PROLLY_ERROR_MISSING);
	assert_there(site->store, PROLLY_NODE_TREE, 1, 100);
}

static void test_flush_lasts(Site *site, gconstpointer variant)
{
	if (!site->variant->is_lasting) {
		g_test_skip("nothing lasts here");
		return;
	}
	put(site->store, PROLLY_NODE_TREE, 1, 100);
	flush_synced(site);
	put(site->store, PROLLY_NODE_TREE, 2, 100);
	reopen_site(site);
	assert_there(site->store, PROLLY_NODE_TREE, 1, 100);
	g_assert_false(has(site->store, 2, 100));
	assert_fails(site->store, 2, 100, PROLLY_ERROR_MISSING);
}

/* A batch that is not written leaves the nodes pending, and readers never miss them. */
static void test_batch_not_written(Site *site, gconstpointer variant)
{
	g_autoptr(GError) error = NULL;

	if (!site->db) {
		g_test_skip("nodes are not kept in a database");
		return;
	}
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);

	put(site->store, PROLLY_NODE_TREE, 1, 100);
	prolly_store_flush(site->store, batch, &error);
	g_assert_no_error(error);
	g_assert_true(has(site->store, 1, 100));
	assert_there(site->store, PROLLY_NODE_TREE, 1, 100);
	put(site->store, PROLLY_NODE_TREE, 1, 100);
	put(site->store, PROLLY_NODE_TREE, 2, 100);
	prolly_store_flushed(site->store, false);
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_TREE), ==, 0);
	assert_there(site->store, PROLLY_NODE_TREE, 1, 100);
	assert_there(site->store, PROLLY_NODE_TREE, 2, 100);

	flush_synced(site);
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_TREE), ==, 2);
	if (site->variant->is_lasting)
		reopen_site(site);
	assert_there(site->store, PROLLY_NODE_TREE, 1, 100);
	assert_there(site->store, PROLLY_NODE_TREE, 2, 100);
}

static void damage_file(Site *site, const ProllyHash *hash)
{
	char hex[PROLLY_HASH_HEX_SIZE];
	g_autofree char *path = NULL;

	prolly_hash_to_hex(hash, hex);
	path = g_strdup_printf("%s/nodes/tree/%.2s/%s", site->dir, hex, hex + 2);
	g_assert_cmpint(g_chmod(path, 0600), ==, 0);
	g_assert_true(g_file_set_contents(path, "damaged", -1, NULL));
}

static void damage_value(Site *site, const ProllyHash *hash)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(site->db, PROLLY_DB_NODES, NULL, NULL, 0, NULL, 0);

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		size_t len;
		const uint8_t *key = prolly_db_iter_get_key(iter, &len);

		if (memcmp(key + len - PROLLY_HASH_SIZE, hash->bytes, PROLLY_HASH_SIZE) == 0)
			prolly_db_batch_put(batch, PROLLY_DB_NODES, key, len, "damaged", 7);
	}
	g_assert_true(prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, NULL));
}

static void test_damage_is_named(Site *site, gconstpointer variant)
{
	g_autoptr(GError) error = NULL;
	ProllyHash hashes[2];
	ProllyNode *nodes[2] = {NULL, NULL};

	if (!site->variant->is_lasting) {
		g_test_skip("nothing comes off a disk here");
		return;
	}
	put(site->store, PROLLY_NODE_TREE, 1, 100);
	put(site->store, PROLLY_NODE_TREE, 2, 100);
	flush_synced(site);
	hash_of(1, 100, &hashes[0]);
	hash_of(2, 100, &hashes[1]);
	(site->db ? damage_value : damage_file)(site, &hashes[1]);
	reopen_site(site);

	assert_fails(site->store, 2, 100, PROLLY_ERROR_CORRUPT);
	g_assert_false(
		prolly_store_get_many(site->store, PROLLY_NODE_TREE, hashes, 2, nodes, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	assert_there(site->store, PROLLY_NODE_TREE, 1, 100);
}

static bool stop_at_third(const ProllyHash *hash, uint64_t size, void *data, GError **error)
{
	unsigned *n = data;

	if (++*n < 3)
		return true;
	return prolly_throw(error, PROLLY_ERROR_CANCELLED, "enough");
}

static void test_foreach(Site *site, gconstpointer variant)
{
	g_autoptr(GError) error = NULL;
	uint64_t totals[2] = {0, 0};
	unsigned n = 0;

	for (unsigned i = 0; i < 50; i++)
		put(site->store, i % 5 ? PROLLY_NODE_TREE : PROLLY_NODE_CHUNK, i, 100);
	flush(site->store);
	put(site->store, PROLLY_NODE_TREE, 50, 100); /* pending: not seen */
	prolly_store_foreach(site->store, PROLLY_NODE_TREE, count_node, totals, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(totals[0], ==, 40);
	g_assert_cmpuint(totals[1], ==, 4000);
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_CHUNK), ==, 10);

	g_assert_false(
		prolly_store_foreach(site->store, PROLLY_NODE_TREE, stop_at_third, &n, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CANCELLED);
	g_assert_cmpuint(n, ==, 3);
}

static void test_delete(Site *site, gconstpointer variant)
{
	g_autoptr(GError) error = NULL;
	ProllyHash hashes[3];

	for (unsigned i = 0; i < 3; i++) {
		hash_of(i, 100, &hashes[i]);
		if (i < 2)
			put(site->store, PROLLY_NODE_TREE, i, 100);
	}
	flush(site->store);
	/* The second is there, the third never was. */
	prolly_store_delete_many(site->store, PROLLY_NODE_TREE, hashes + 1, 2, &error);
	g_assert_no_error(error);
	assert_there(site->store, PROLLY_NODE_TREE, 0, 100);
	assert_fails(site->store, 1, 100, PROLLY_ERROR_MISSING);
	g_assert_false(has(site->store, 1, 100));
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_TREE), ==, 1);

	put(site->store, PROLLY_NODE_TREE, 1, 100);
	flush_synced(site);
	if (site->variant->is_lasting)
		reopen_site(site);
	assert_there(site->store, PROLLY_NODE_TREE, 1, 100);
}

#define SPILLED      1100u
#define SPILLED_SIZE 65536u

/* 72 MB: more than may be pending and moving (64 MiB), so that sets go to the back end by the way. */
static void test_spill(Site *site, gconstpointer variant)
{
	for (unsigned i = 0; i < SPILLED; i++) {
		put(site->store, PROLLY_NODE_CHUNK, i, SPILLED_SIZE);
		if (i % 16 == 0)
			assert_there(site->store, PROLLY_NODE_CHUNK, i / 2, SPILLED_SIZE);
	}
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_CHUNK), >, 0);
	flush_synced(site);
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_CHUNK), ==, SPILLED);
	if (site->variant->is_lasting)
		reopen_site(site);
	for (unsigned i = 0; i < SPILLED; i++)
		assert_there(site->store, PROLLY_NODE_CHUNK, i, SPILLED_SIZE);
}

static void test_cache_is_bounded(Site *site, gconstpointer variant)
{
	g_autoptr(GError) error = NULL;
	ProllyStoreFigures figures;

	site->cache_size = 4u << 20;
	reopen_site(site);
	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < 2000; i++) {
			put(site->store, PROLLY_NODE_TREE, i, 4096);
			if (i == 999)
				flush(site->store);
		}
		flush(site->store);
	}
	for (unsigned i = 0; i < 2000; i++)
		assert_there(site->store, PROLLY_NODE_TREE, i, 4096);
	for (unsigned i = 1900; i < 2000; i++)
		assert_there(site->store, PROLLY_NODE_TREE, i, 4096);
	prolly_store_get_figures(site->store, &figures, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(figures.cache_bytes, <=, figures.cache_capacity);
	if (site->variant->kind == PROLLY_BACKEND_FILE) {
		g_assert_cmpuint(figures.cache_capacity, ==, 0);
		g_assert_cmpuint(figures.cache_hits, ==, 0);
		return;
	}
	g_assert_cmpuint(figures.cache_capacity, ==, 4u << 20);
	g_assert_cmpuint(figures.cache_bytes, >, 2u << 20);
	g_assert_cmpuint(figures.cache_hits, >=, 100);
	g_assert_cmpuint(figures.cache_misses, >, 1000);
	g_assert_cmpuint(figures.cache_evictions, >, 1000);
}

static void test_figures(Site *site, gconstpointer variant)
{
	g_autoptr(GError) error = NULL;
	ProllyStoreFigures figures;

	for (unsigned i = 0; i < 100; i++)
		put(site->store, i % 2 ? PROLLY_NODE_TREE : PROLLY_NODE_CHUNK, i, 1000);
	flush(site->store);
	prolly_store_get_figures(site->store, &figures, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(figures.nodes, ==, 100);
	g_assert_cmpuint(figures.bytes, >=, 100000);
}

/* What is counted is what was done, not what a cache made of it. */
static void test_work_is_counted(Site *site, gconstpointer variant)
{
	g_autoptr(ProllyWork) work = prolly_work_new();
	g_autoptr(ProllyStore) store = prolly_store_new_counting(site->store, work);
	ProllyWorkFigures figures;

	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < 200; i++)
			put(store, i < 50 ? PROLLY_NODE_CHUNK : PROLLY_NODE_TREE, i, 100);
	}
	put(site->store, PROLLY_NODE_TREE, 1000, 100); /* somebody else's */
	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 50; i < 200; i += 2)
			assert_there(store, PROLLY_NODE_TREE, i, 100);
		flush(store);
	}
	assert_there(site->store, PROLLY_NODE_TREE, 51, 100);
	prolly_work_get_figures(work, &figures);
	g_assert_cmpuint(figures.nodes_written, ==, 200);
	g_assert_cmpuint(figures.bytes_written, ==, 20000);
	g_assert_cmpuint(figures.chunks_written, ==, 50);
	g_assert_cmpuint(figures.nodes_hashed, ==, 400);
	g_assert_cmpuint(figures.nodes_read, ==, 75);
	g_assert_cmpuint(figures.bytes_read, ==, 7500);
}

#define N_THREADS    4
#define THREAD_NODES 300u

typedef struct {
	Site *site;
	unsigned number;
} Worker;

/* Half of the nodes are the other threads' too; each reads what it knows to have been put. */
static gpointer run_worker(gpointer data)
{
	Worker *worker = data;
	ProllyStore *store = worker->site->store;

	for (unsigned i = 0; i < THREAD_NODES; i++) {
		unsigned own = i % 2 ? i : i + 10000 * (worker->number + 1);

		put(store, PROLLY_NODE_TREE, own, 2000);
		assert_there(store, PROLLY_NODE_TREE, own, 2000);
		g_assert_true(has(store, own, 2000));
		if (i % 50 == worker->number)
			flush(store);
	}
	return NULL;
}

static void test_threads(Site *site, gconstpointer variant)
{
	GThread *threads[N_THREADS];
	Worker workers[N_THREADS];

	for (unsigned i = 0; i < N_THREADS; i++) {
		workers[i] = (Worker){site, i};
		threads[i] = g_thread_new("worker", run_worker, &workers[i]);
	}
	for (unsigned i = 0; i < 20; i++)
		flush_synced(site);
	for (unsigned i = 0; i < N_THREADS; i++)
		g_thread_join(threads[i]);
	flush_synced(site);
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_TREE), ==,
			 THREAD_NODES / 2 * (N_THREADS + 1));
	if (site->variant->is_lasting)
		reopen_site(site);
	for (unsigned i = 1; i < THREAD_NODES; i += 2)
		assert_there(site->store, PROLLY_NODE_TREE, i, 2000);
}

static const struct {
	const char *name;
	void (*run)(Site *site, gconstpointer variant);
} conformance[] = {
	{"put-and-get", test_put_and_get},
	{"put-is-idempotent", test_put_is_idempotent},
	{"classes-share-hashes", test_classes_share_hashes},
	{"many", test_many},
	{"missing-is-named", test_missing_is_named},
	{"flush-lasts", test_flush_lasts},
	{"batch-not-written", test_batch_not_written},
	{"damage-is-named", test_damage_is_named},
	{"foreach", test_foreach},
	{"delete", test_delete},
	{"spill", test_spill},
	{"cache-is-bounded", test_cache_is_bounded},
	{"figures", test_figures},
	{"work-is-counted", test_work_is_counted},
	{"threads", test_threads},
};

/* ---- Only with files --------------------------------------------------------------------- */

/* What a dead process was writing is not seen, and goes away. */
static void test_file_strays(Site *site, gconstpointer variant)
{
	g_autofree char *stray = g_build_filename(site->dir, "nodes/incoming/17", NULL);
	g_autofree char *foreign = g_build_filename(site->dir, "nodes/tree/ab", NULL);
	g_autofree char *note = g_build_filename(foreign, "note.txt", NULL);

	g_assert_true(g_file_set_contents(stray, "half a no", -1, NULL));
	g_assert_cmpint(g_mkdir(foreign, 0777), ==, 0);
	g_assert_true(g_file_set_contents(note, "not a node", -1, NULL));
	reopen_site(site);
	g_assert_false(g_file_test(stray, G_FILE_TEST_EXISTS));
	g_assert_true(g_file_test(note, G_FILE_TEST_EXISTS));
	g_assert_cmpuint(count_stored(site->store, PROLLY_NODE_TREE), ==, 0);
}

/* ---- Only with RocksDB ------------------------------------------------------------------- */

/* As a process leaves it that died between ingesting nodes and indexing them. */
static void test_rocksdb_ingest_cut_short(Site *site, gconstpointer variant)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);
	g_autoptr(GBytes) left = NULL;
	uint8_t notice[17] = {PROLLY_NODE_TREE};
	uint8_t key[40] = {0};
	ProllyDbEntry entry = {key, sizeof(key), "orphan", 6};

	put(site->store, PROLLY_NODE_TREE, 1, 100);
	flush_synced(site);
	prolly_set_be64(key, 1000);
	prolly_set_be64(notice + 1, 1000);
	prolly_set_be64(notice + 9, 1001);
	prolly_db_batch_put(batch, PROLLY_DB_INDEX, "ingesting", 9, notice, sizeof(notice));
	g_assert_true(prolly_db_write(site->db, batch, PROLLY_DB_SYNC, &error));
	g_assert_true(prolly_db_ingest(site->db, PROLLY_DB_NODES, &entry, 1, &error));
	g_clear_pointer(&batch, prolly_db_batch_free);
	reopen_site(site);

	prolly_db_get(site->db, PROLLY_DB_NODES, NULL, key, sizeof(key), &left, &error);
	g_assert_no_error(error);
	g_assert_null(left);
	assert_there(site->store, PROLLY_NODE_TREE, 1, 100);
	put(site->store, PROLLY_NODE_TREE, 2, 100);
	flush_synced(site);
	reopen_site(site);
	assert_there(site->store, PROLLY_NODE_TREE, 2, 100);
}

/* ---- Faults, on the memory back end ------------------------------------------------------ */

typedef struct {
	ProllyStore *store;
	unsigned n_put;
} Story;

/* Everything a store does; stops at the first failure. */
static bool run_story(Story *story, GError **error)
{
	ProllyStore *store = story->store;
	uint64_t totals[2];
	ProllyStoreFigures figures;
	ProllyHash hash;
	bool there;

	for (unsigned i = 0; i < 40; i++) {
		bool ok = prolly_store_put(store, PROLLY_NODE_CHUNK, make_bytes(i, 1 << 20),
					   1 << 20, &hash, NULL, error);

		story->n_put = i + 1;
		if (!ok)
			return false;
	}
	hash_of(0, 1 << 20, &hash);
	g_autoptr(ProllyNode) node = prolly_store_get(store, PROLLY_NODE_CHUNK, &hash, error);

	return node && prolly_store_flush(store, NULL, error) &&
	       prolly_store_has_many(store, PROLLY_NODE_CHUNK, &hash, 1, &there, error) &&
	       prolly_store_foreach(store, PROLLY_NODE_CHUNK, count_node, totals, error) &&
	       prolly_store_get_figures(store, &figures, error) &&
	       prolly_store_delete_many(store, PROLLY_NODE_CHUNK, &hash, 0, error);
}

/* Whichever operation fails, the failure is told, and no node that was put is lost. */
static void test_fault_sweep(void)
{
	bool done = false;

	for (unsigned nth = 1; !done; nth++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(ProllyStore) store = prolly_store_new_memory();
		ProllyBackend *backend = prolly_store_get_backend(store);
		Story story = {.store = store};

		prolly_backend_memory_set_fault(backend, nth);
		done = run_story(&story, &error);
		if (!done)
			g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_FAILED);
		else
			g_assert_cmpuint(nth, >, 7);
		prolly_backend_memory_set_fault(backend, 0);
		g_assert_cmpuint(story.n_put, >, 0);
		for (unsigned i = 0; i < story.n_put; i++)
			assert_there(store, PROLLY_NODE_CHUNK, i, 1 << 20);
		flush(store);
		g_assert_cmpuint(count_stored(store, PROLLY_NODE_CHUNK), ==, story.n_put);
	}
}

static void test_kinds(void)
{
	ProllyBackendKind kind;

	for (int i = PROLLY_BACKEND_MEMORY; i <= PROLLY_BACKEND_ROCKSDB; i++) {
		g_assert_true(prolly_backend_kind_from_text(
			prolly_backend_kind_to_text((ProllyBackendKind)i), &kind));
		g_assert_cmpint((int)kind, ==, i);
	}
	g_assert_false(prolly_backend_kind_from_text("floppy", &kind));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (size_t v = 0; v < G_N_ELEMENTS(variants); v++) {
		for (size_t i = 0; i < G_N_ELEMENTS(conformance); i++) {
			g_autofree char *path = g_strdup_printf("/store/%s/%s", variants[v].name,
								conformance[i].name);

			g_test_add(path, Site, &variants[v], set_up, conformance[i].run, tear_down);
		}
	}
	g_test_add("/store/file/strays", Site, &variants[1], set_up, test_file_strays, tear_down);
	g_test_add("/store/rocksdb/ingest-cut-short", Site, &variants[3], set_up,
		   test_rocksdb_ingest_cut_short, tear_down);
	g_test_add_func("/store/memory/fault-sweep", test_fault_sweep);
	g_test_add_func("/store/kinds", test_kinds);
	return g_test_run();
}
