/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The census: what it lists and takes, and those who put and read at the very moment at which a node
 * goes. For that a back end stands before the real one that stops where the test says.
 */
#include "census-fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/remove.h"

static bool has(ProllyStore *store, const ProllyHash *hash)
{
	g_autoptr(GError) error = NULL;
	bool there = false;

	prolly_store_has_many(store, PROLLY_NODE_TREE, hash, 1, &there, &error);
	g_assert_no_error(error);
	return there;
}

static void sweep(ProllyCensus *census)
{
	g_autoptr(GError) error = NULL;

	prolly_census_sweep(census, NULL, NULL, &error);
	g_assert_no_error(error);
}

/* ---- Listing and marking ----------------------------------------------------------------- */

#define MANY   20000u
#define HALVES 40u

static void test_marks(void)
{
	g_autoptr(ProllyStore) store = prolly_store_new_memory();
	g_autofree ProllyHash *hashes = g_new(ProllyHash, MANY);
	g_autoptr(ProllyCensus) census = NULL;
	ProllyCensusFigures figures;
	ProllyHash late;

	for (unsigned i = 0; i < MANY; i++)
		hashes[i] = put(store, i % 2 ? PROLLY_NODE_TREE : PROLLY_NODE_CHUNK, i);
	census = new_census(store);
	late = put(store, PROLLY_NODE_TREE, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		g_assert_false(prolly_census_is_marked(census, &hashes[i]));
		if (i % 3)
			g_assert_cmpint(prolly_census_mark(census, &hashes[i]), ==,
					PROLLY_CENSUS_FIRST);
	}
	for (unsigned i = 0; i < MANY; i++) {
		g_assert_cmpint(prolly_census_is_marked(census, &hashes[i]), ==, i % 3 != 0);
		if (i % 3)
			g_assert_cmpint(prolly_census_mark(census, &hashes[i]), ==,
					PROLLY_CENSUS_AGAIN);
	}
	g_assert_cmpint(prolly_census_mark(census, &late), ==, PROLLY_CENSUS_UNLISTED);
	g_assert_true(prolly_census_count(census, NULL, NULL, NULL));
	prolly_census_get_figures(census, &figures);
	g_assert_cmpuint(figures.dead_nodes, ==, (MANY + 2) / 3);
	g_assert_true(has(store, &hashes[0]));
	sweep(census);
	prolly_census_get_figures(census, &figures);
	g_assert_cmpuint(figures.dead_nodes, ==, (MANY + 2) / 3);
	g_assert_cmpuint(figures.dead_bytes, ==, (MANY + 2) / 3 * sizeof(unsigned));
	for (unsigned i = 0; i < MANY; i++)
		g_assert_cmpint(has(store, &hashes[i]), ==, i % 3 != 0);
	g_assert_true(has(store, &late));
}

static void test_watch(void)
{
	g_autoptr(ProllyStore) store = prolly_store_new_memory();
	g_autoptr(ProllyCensus) census = NULL;
	ProllyHash again, gone;

	again = put(store, PROLLY_NODE_TREE, 1);
	gone = put(store, PROLLY_NODE_TREE, 2);
	census = new_census(store);
	put(store, PROLLY_NODE_TREE, 1);
	sweep(census);
	g_assert_true(has(store, &again));
	g_assert_false(has(store, &gone));
	/* What went is put again, whatever a cache had of it. */
	put(store, PROLLY_NODE_TREE, 2);
	g_assert_true(prolly_store_flush(store, NULL, NULL));
	g_assert_true(has(store, &gone));
}

/* What one listed takes of memory, and what all of them do. */
static void test_size(void)
{
	g_autoptr(ProllyStore) store = prolly_store_new_memory();
	g_autoptr(ProllyCensus) census = NULL;
	g_autoptr(ProllyCensus) verifying = NULL;
	size_t none;

	census = new_census(store);
	none = prolly_census_get_size(census);
	g_assert_cmpuint(none, <, 300000);
	g_clear_pointer(&census, prolly_census_free);
	for (unsigned i = 0; i < MANY; i++)
		put(store, PROLLY_NODE_TREE, i);
	census = new_census(store);
	g_assert_cmpuint(prolly_census_get_size(census) - none, <=, MANY * 33 / 10);
	g_assert_true(prolly_census_new(store, PROLLY_CENSUS_TO_VERIFY, &verifying, NULL));
	g_assert_cmpuint(prolly_census_get_size(verifying) - none, <=, MANY * 63 / 10);
}

/* ---- At the very moment ------------------------------------------------------------------ */

/* Before the real back end: says that it has come somewhere, and waits until it may go on. */
typedef struct {
	ProllyBackend base;
	ProllyBackend *real;
	bool stops_before_delete;
	bool stops_after_get;
	bool stops_before_listing;
	GMutex lock;
	GCond cond;
	bool is_there;
	bool may_go;
} Gate;

static void wait_at_gate(Gate *gate)
{
	g_mutex_lock(&gate->lock);
	gate->is_there = true;
	g_cond_broadcast(&gate->cond);
	while (!gate->may_go)
		g_cond_wait(&gate->cond, &gate->lock);
	g_mutex_unlock(&gate->lock);
}

static void wait_for_gate(Gate *gate)
{
	g_mutex_lock(&gate->lock);
	while (!gate->is_there)
		g_cond_wait(&gate->cond, &gate->lock);
	g_mutex_unlock(&gate->lock);
}

static void open_gate(Gate *gate)
{
	g_mutex_lock(&gate->lock);
	gate->may_go = true;
	g_cond_broadcast(&gate->cond);
	g_mutex_unlock(&gate->lock);
}

static void gate_close(ProllyBackend *self)
{
	Gate *gate = (Gate *)self;

	gate->real->class->close(gate->real);
	g_mutex_clear(&gate->lock);
	g_cond_clear(&gate->cond);
	g_free(gate);
}

static bool gate_get_many(ProllyBackend *self, ProllyNodeClass node_class, const ProllyHash *hashes,
			  size_t n, GBytes **out_nodes, GError **error)
{
	Gate *gate = (Gate *)self;
	bool ok = gate->real->class->get_many(gate->real, node_class, hashes, n, out_nodes, error);

	if (gate->stops_after_get)
		wait_at_gate(gate);
	return ok;
}

static bool gate_has_many(ProllyBackend *self, ProllyNodeClass node_class, const ProllyHash *hashes,
			  size_t n, bool *out_has, GError **error)
{
	ProllyBackend *real = ((Gate *)self)->real;

	return real->class->has_many(real, node_class, hashes, n, out_has, error);
}

static bool gate_put_many(ProllyBackend *self, const ProllyBackendNode *nodes, size_t n,
			  ProllyDbBatch *batch, GError **error)
{
	ProllyBackend *real = ((Gate *)self)->real;

	return real->class->put_many(real, nodes, n, batch, error);
}

static bool gate_sync(ProllyBackend *self, GError **error)
{
	return true;
}

static bool gate_foreach(ProllyBackend *self, ProllyNodeClass node_class, ProllyStoreFunc func,
			 void *data, GError **error)
{
	Gate *gate = (Gate *)self;
	ProllyBackend *real = gate->real;

	if (gate->stops_before_listing)
		wait_at_gate(gate);
	return real->class->foreach (real, node_class, func, data, error);
}

static bool gate_delete_many(ProllyBackend *self, ProllyNodeClass node_class,
			     const ProllyHash *hashes, size_t n, GError **error)
{
	Gate *gate = (Gate *)self;

	if (gate->stops_before_delete)
		wait_at_gate(gate);
	return gate->real->class->delete_many(gate->real, node_class, hashes, n, error);
}

static Gate *new_gate(ProllyStore *store)
{
	static const ProllyBackendClass class = {
		.close = gate_close,
		.get_many = gate_get_many,
		.has_many = gate_has_many,
		.put_many = gate_put_many,
		.sync = gate_sync,
		.foreach = gate_foreach,
		.delete_many = gate_delete_many,
	};
	Gate *gate = g_new0(Gate, 1);

	gate->base.class = &class;
	gate->real = store->shared->backend;
	g_mutex_init(&gate->lock);
	g_cond_init(&gate->cond);
	store->shared->backend = &gate->base;
	return gate;
}

static gpointer sweep_thread(gpointer census)
{
	sweep(census);
	return NULL;
}

static gpointer put_thread(gpointer store)
{
	put(store, PROLLY_NODE_TREE, 1);
	return NULL;
}

/* C1: the put finds the node in the cache, and the batch that takes it is on its way. */
static void test_put_of_what_goes(void)
{
	g_autoptr(ProllyStore) store = prolly_store_new_memory();
	Gate *gate = new_gate(store);
	g_autoptr(ProllyCensus) census = NULL;
	GThread *sweeper, *putter;
	ProllyHash hash;

	hash = put(store, PROLLY_NODE_TREE, 1);
	census = new_census(store);
	gate->stops_before_delete = true;
	sweeper = g_thread_new("sweep", sweep_thread, census);
	wait_for_gate(gate);
	putter = g_thread_new("put", put_thread, store);
	g_usleep(20000); /* too short at worst, and then nothing is tested */
	open_gate(gate);
	g_thread_join(sweeper);
	g_thread_join(putter);
	g_assert_true(has(store, &hash));
	g_assert_true(prolly_store_flush(store, NULL, NULL));
	g_assert_true(has(store, &hash));
}

typedef struct {
	ProllyStore *store;
	ProllyHash hash;
} Reading;

static gpointer get_thread(gpointer data)
{
	Reading *reading = data;

	prolly_node_unref(prolly_store_get(reading->store, PROLLY_NODE_TREE, &reading->hash, NULL));
	return NULL;
}

/* I5 of store.c: a reader has the node, and caches it when it is gone. */
static void test_read_of_what_goes(void)
{
	g_autoptr(ProllyStore) store = prolly_store_new_memory();
	Gate *gate = new_gate(store);
	g_autoptr(ProllyCensus) census = NULL;
	Reading reading = {store, put(store, PROLLY_NODE_TREE, 1)};
	GThread *reader;

	census = new_census(store);
	prolly_cache_remove(store->shared->caches[PROLLY_NODE_TREE], &reading.hash);
	gate->stops_after_get = true;
	reader = g_thread_new("get", get_thread, &reading);
	wait_for_gate(gate);
	sweep(census);
	open_gate(gate);
	g_thread_join(reader);
	gate->stops_after_get = false;
	g_assert_false(has(store, &reading.hash));
	put(store, PROLLY_NODE_TREE, 1);
	g_assert_true(has(store, &reading.hash));
}

static gpointer census_thread(gpointer store)
{
	return new_census(store);
}

/* What is put while the listing goes on stays, listed or not. */
static void test_put_of_what_is_listed(void)
{
	g_autoptr(ProllyStore) store = prolly_store_new_memory();
	Gate *gate = new_gate(store);
	g_autoptr(ProllyCensus) census = NULL;
	ProllyHash again = put(store, PROLLY_NODE_TREE, 1), gone = put(store, PROLLY_NODE_TREE, 2);
	ProllyHash late;
	GThread *lister;

	g_assert_true(prolly_store_flush(store, NULL, NULL));
	gate->stops_before_listing = true;
	lister = g_thread_new("list", census_thread, store);
	wait_for_gate(gate);
	put(store, PROLLY_NODE_TREE, 1);
	late = put(store, PROLLY_NODE_TREE, 3);
	g_assert_true(prolly_store_flush(store, NULL, NULL));
	open_gate(gate);
	census = g_thread_join(lister);
	sweep(census);
	g_assert_true(has(store, &again));
	g_assert_true(has(store, &late));
	g_assert_false(has(store, &gone));
}

/* A deletion that fails half-way: what went is put again like what never was. */
static void test_half_deleted(void)
{
	g_autofree char *dir = g_dir_make_tmp("prolly-census-XXXXXX", NULL);
	ProllyStoreOptions options = {.kind = PROLLY_BACKEND_CACHED_FILE, .path = dir};
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyStore) store = NULL;
	ProllyCensus *census;
	ProllyHash hashes[HALVES];
	char hex[PROLLY_HASH_HEX_SIZE];
	unsigned last = 0;

	prolly_store_open(&options, &store, &error);
	g_assert_no_error(error);
	for (unsigned i = 0; i < HALVES; i++) {
		hashes[i] = put(store, PROLLY_NODE_TREE, i);
		if (memcmp(&hashes[i], &hashes[last], sizeof(ProllyHash)) > 0)
			last = i;
	}
	g_assert_true(prolly_store_flush(store, NULL, NULL));
	prolly_hash_to_hex(&hashes[last], hex);
	path = g_strdup_printf("%s/nodes/tree/%.2s/%s", dir, hex, hex + 2);
	g_assert_cmpint(unlink(path), ==, 0);
	g_assert_cmpint(mkdir(path, 0777), ==, 0); /* which nobody unlinks */
	census = new_census(store);
	g_assert_false(prolly_census_sweep(census, NULL, NULL, &error));
	g_assert_nonnull(error);
	prolly_census_free(census);
	g_assert_cmpint(rmdir(path), ==, 0);
	for (unsigned i = 0; i < HALVES; i++)
		put(store, PROLLY_NODE_TREE, i);
	g_assert_true(prolly_store_flush(store, NULL, NULL));
	g_clear_pointer(&store, prolly_store_unref);
	g_clear_error(&error);
	prolly_store_open(&options, &store, &error);
	g_assert_no_error(error);
	for (unsigned i = 0; i < HALVES; i++)
		g_assert_true(i == last || has(store, &hashes[i]));
	g_assert_true(prolly_remove_tree(dir, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/store/census/marks", test_marks);
	g_test_add_func("/store/census/size", test_size);
	g_test_add_func("/store/census/watch", test_watch);
	g_test_add_func("/store/census/put-of-what-is-listed", test_put_of_what_is_listed);
	g_test_add_func("/store/census/put-of-what-goes", test_put_of_what_goes);
	g_test_add_func("/store/census/read-of-what-goes", test_read_of_what_goes);
	g_test_add_func("/store/census/half-deleted", test_half_deleted);
	return g_test_run();
}
