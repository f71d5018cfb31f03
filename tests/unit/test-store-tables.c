/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RocksDB back end's tables that wait (store-tables.c): what is in them is there for everybody,
 * and is durable once the back end was synced; what was not synced may go with the process.
 *
 * Sets of nodes are made from numbers. A set is put in one request, as a move of a large load is.
 */
#include "store/store-rocksdb-private.h"

#include <string.h>

#include "db-site.h"

#define NODES     600
#define NODE_SIZE 8192u /* all of a set go to a table */
#define FEW       10    /* these go through the log */

/* ---- Stores ------------------------------------------------------------------------------ */

typedef struct {
	Site db;
	ProllyStore *store;
} Fixture;

static void open_store(Fixture *self)
{
	ProllyStoreOptions options = {
		.kind = PROLLY_BACKEND_ROCKSDB, .db = self->db.db, .cache_size = 1};
	g_autoptr(GError) error = NULL;

	prolly_store_open(&options, &self->store, &error);
	g_assert_no_error(error);
}

static void set_up_store(Fixture *self, gconstpointer in_memory)
{
	set_up(&self->db, in_memory);
	open_store(self);
}

static void tear_down_store(Fixture *self, gconstpointer in_memory)
{
	g_clear_pointer(&self->store, prolly_store_unref);
	tear_down(&self->db, in_memory);
}

static void reopen_store(Fixture *self)
{
	g_clear_pointer(&self->store, prolly_store_unref);
	close_site(&self->db);
	open_site(&self->db, false);
	open_store(self);
}

static ProllyBackend *get_backend(const Fixture *self)
{
	return prolly_store_get_backend(self->store);
}

static unsigned count_files(const Fixture *self)
{
	g_autofree char *path = g_build_filename(self->db.path, "incoming", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	unsigned n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

/* ---- Sets of nodes ----------------------------------------------------------------------- */

static ProllyBackendNode make_node(ProllyNodeClass node_class, uint64_t set, uint64_t number)
{
	g_autofree uint8_t *bytes = g_malloc(NODE_SIZE);
	ProllyBackendNode node = {.node_class = node_class};
	uint64_t x = (set * NODES + number + 1) * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < NODE_SIZE; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		prolly_set_le64(bytes + i, x);
	}
	prolly_hash_compute(bytes, NODE_SIZE, &node.hash);
	node.bytes = g_bytes_new(bytes, NODE_SIZE);
	return node;
}

/* The first N nodes of SET. */
static bool try_put_set(Fixture *self, ProllyNodeClass node_class, uint64_t set, size_t n,
			GError **error)
{
	g_autofree ProllyBackendNode *nodes = g_new(ProllyBackendNode, n);
	bool ok;

	for (size_t i = 0; i < n; i++)
		nodes[i] = make_node(node_class, set, i);
	ok = get_backend(self)->class->put_many(get_backend(self), nodes, n, NULL, error);
	for (size_t i = 0; i < n; i++)
		g_bytes_unref(nodes[i].bytes);
	return ok;
}

static void put_set(Fixture *self, ProllyNodeClass node_class, uint64_t set, size_t n)
{
	g_autoptr(GError) error = NULL;

	try_put_set(self, node_class, set, n, &error);
	g_assert_no_error(error);
}

static bool has(Fixture *self, uint64_t set, uint64_t number)
{
	ProllyBackendNode node = make_node(PROLLY_NODE_TREE, set, number);
	g_autoptr(GError) error = NULL;
	bool is;

	get_backend(self)->class->has_many(get_backend(self), PROLLY_NODE_TREE, &node.hash, 1, &is,
					   &error);
	g_assert_no_error(error);
	g_bytes_unref(node.bytes);
	return is;
}

static void assert_readable(Fixture *self, uint64_t set, uint64_t number)
{
	ProllyBackendNode node = make_node(PROLLY_NODE_TREE, set, number);
	g_autoptr(GBytes) got = NULL;
	g_autoptr(GError) error = NULL;

	get_backend(self)->class->get_many(get_backend(self), PROLLY_NODE_TREE, &node.hash, 1, &got,
					   &error);
	g_assert_no_error(error);
	g_assert_true(got && g_bytes_equal(got, node.bytes));
	g_bytes_unref(node.bytes);
}

static void sync_store(Fixture *self)
{
	g_autoptr(GError) error = NULL;

	get_backend(self)->class->sync(get_backend(self), &error);
	g_assert_no_error(error);
	prolly_db_sync(self->db.db, &error);
	g_assert_no_error(error);
}

static bool count_node(const ProllyHash *hash, uint64_t size, void *data, GError **error)
{
	unsigned *n = data;

	g_assert_cmpuint(size, ==, NODE_SIZE);
	(*n)++;
	return true;
}

static unsigned count_nodes(Fixture *self, ProllyNodeClass node_class)
{
	g_autoptr(GError) error = NULL;
	unsigned n = 0;

	get_backend(self)->class->foreach (get_backend(self), node_class, count_node, &n, &error);
	g_assert_no_error(error);
	return n;
}

/* ---- Tests ------------------------------------------------------------------------------- */

static void test_together(Fixture *self, gconstpointer unused)
{
	put_set(self, PROLLY_NODE_TREE, 0, NODES);
	put_set(self, PROLLY_NODE_CHUNK, 1, NODES);
	put_set(self, PROLLY_NODE_TREE, 2, NODES);
	g_assert_cmpuint(count_files(self), ==, 3);
	g_assert_true(has(self, 0, 5));
	g_assert_true(has(self, 1, NODES - 1));
	g_assert_false(has(self, 3, 0));
	g_assert_cmpuint(count_files(self), ==, 3);
	sync_store(self);
	g_assert_cmpuint(count_files(self), ==, 0);
	g_assert_true(has(self, 0, 5));

	reopen_store(self);
	for (uint64_t set = 0; set < 3; set++) {
		assert_readable(self, set, 0);
		assert_readable(self, set, NODES - 1);
	}
	g_assert_cmpuint(count_nodes(self, PROLLY_NODE_TREE), ==, 2 * NODES);
	g_assert_cmpuint(count_nodes(self, PROLLY_NODE_CHUNK), ==, NODES);
}

/* Who reads one, lists all, deletes or closes has no need to know. */
static void test_anybody_adopts(Fixture *self, gconstpointer unused)
{
	ProllyBackendNode node = make_node(PROLLY_NODE_TREE, 2, 7);
	g_autoptr(GError) error = NULL;

	put_set(self, PROLLY_NODE_TREE, 0, NODES);
	assert_readable(self, 0, NODES / 2);
	g_assert_cmpuint(count_files(self), ==, 0);
	put_set(self, PROLLY_NODE_TREE, 1, NODES);
	g_assert_cmpuint(count_nodes(self, PROLLY_NODE_TREE), ==, 2 * NODES);

	put_set(self, PROLLY_NODE_TREE, 2, NODES);
	get_backend(self)->class->delete_many(get_backend(self), PROLLY_NODE_TREE, &node.hash, 1,
					      &error);
	g_assert_no_error(error);
	g_bytes_unref(node.bytes);
	g_assert_false(has(self, 2, 7));
	g_assert_true(has(self, 2, 8));

	put_set(self, PROLLY_NODE_TREE, 3, NODES);
	reopen_store(self);
	g_assert_cmpuint(count_nodes(self, PROLLY_NODE_TREE), ==, 4 * NODES - 1);
}

static void test_put_again(Fixture *self, gconstpointer unused)
{
	put_set(self, PROLLY_NODE_TREE, 0, NODES);
	put_set(self, PROLLY_NODE_TREE, 0, NODES);
	g_assert_cmpuint(count_files(self), ==, 1);
	put_set(self, PROLLY_NODE_TREE, 0, FEW);
	g_assert_cmpuint(count_files(self), ==, 1);
	sync_store(self);
	put_set(self, PROLLY_NODE_TREE, 0, NODES);
	g_assert_cmpuint(count_files(self), ==, 0);
	g_assert_cmpuint(count_nodes(self, PROLLY_NODE_TREE), ==, NODES);
}

/* T2: a notice's range may have nothing in it that does not wait. */
static void test_log_between(Fixture *self, gconstpointer unused)
{
	put_set(self, PROLLY_NODE_TREE, 0, NODES);
	put_set(self, PROLLY_NODE_TREE, 1, FEW);
	g_assert_cmpuint(count_files(self), ==, 0);
	put_set(self, PROLLY_NODE_TREE, 2, NODES);
	sync_store(self);
	reopen_store(self);
	assert_readable(self, 0, 0);
	assert_readable(self, 1, 0);
	assert_readable(self, 2, 0);
}

/* A table that cannot be taken in waits on, and nothing of it is lost. */
static void test_failure(Fixture *self, gconstpointer unused)
{
	g_autofree char *file = g_build_filename(self->db.path, "incoming", "1.sst", NULL);
	g_autofree char *away = g_build_filename(self->db.dir, "away", NULL);
	g_autoptr(GError) error = NULL;

	put_set(self, PROLLY_NODE_CHUNK, 0, NODES);
	put_set(self, PROLLY_NODE_CHUNK, 1, NODES);
	g_assert_cmpint(g_rename(file, away), ==, 0);
	g_assert_false(get_backend(self)->class->sync(get_backend(self), &error));
	g_assert_nonnull(error);
	g_clear_error(&error);
	g_assert_false(try_put_set(self, PROLLY_NODE_CHUNK, 2, FEW, &error));
	g_assert_nonnull(error);
	put_set(self, PROLLY_NODE_TREE, 3, NODES);
	g_assert_true(has(self, 0, 0));
	g_assert_true(has(self, 1, 0));

	g_assert_cmpint(g_rename(away, file), ==, 0);
	put_set(self, PROLLY_NODE_CHUNK, 2, FEW);
	reopen_store(self);
	for (uint64_t set = 0; set < 4; set++)
		assert_readable(self, set, 0);
	g_assert_cmpuint(count_nodes(self, PROLLY_NODE_CHUNK), ==, 2 * NODES + FEW);
}

static void copy_database(const Fixture *self, const char *to)
{
	const char *argv[] = {"cp", "-a", self->db.path, to, NULL};
	g_autofree char *mark = g_strconcat(self->db.path, ".mark", NULL);
	g_autofree char *to_mark = g_strconcat(to, ".mark", NULL);
	const char *argv_mark[] = {"cp", mark, to_mark, NULL};
	int status;

	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
				   NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	g_assert_true(g_spawn_sync(NULL, (char **)argv_mark, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
				   NULL, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
}

/* As a process leaves it that dies: what was synced is there, what waited is gone with its files. */
static void test_death(Fixture *self, gconstpointer unused)
{
	g_autofree char *copy = g_build_filename(self->db.dir, "copy", NULL);
	Fixture after = {.db.dir = self->db.dir, .db.path = copy};

	put_set(self, PROLLY_NODE_TREE, 0, NODES);
	sync_store(self);
	put_set(self, PROLLY_NODE_TREE, 1, NODES);
	put_set(self, PROLLY_NODE_TREE, 2, NODES);
	copy_database(self, copy);

	open_site(&after.db, false);
	open_store(&after);
	g_assert_cmpuint(count_files(&after), ==, 0);
	assert_readable(&after, 0, 0);
	g_assert_false(has(&after, 1, 0));
	put_set(&after, PROLLY_NODE_TREE, 2, NODES);
	assert_readable(&after, 2, NODES - 1);
	g_assert_cmpuint(count_nodes(&after, PROLLY_NODE_TREE), ==, 2 * NODES);
	prolly_store_unref(after.store);
	close_site(&after.db);
}

/* So many wait that the next put has them taken in. */
static void test_bounded(Fixture *self, gconstpointer unused)
{
	unsigned most = 0;

	for (uint64_t set = 0; set < 40; set++) {
		put_set(self, PROLLY_NODE_CHUNK, set, NODES);
		most = MAX(most, count_files(self));
	}
	g_assert_cmpuint(most, >, 10);
	g_assert_cmpuint(most, <, 30);
	g_assert_cmpuint(count_nodes(self, PROLLY_NODE_CHUNK), ==, 40 * NODES);
}

#define N_READERS 3

typedef struct {
	Fixture *fixture;
	gint n_put; /* atomic; sets */
	gint ending;
} Race;

/* Whatever was put is there, whether it waits, is being taken in, or was. */
static gpointer run_reader(gpointer data)
{
	Race *race = data;
	uint64_t number = 0;

	while (!g_atomic_int_get(&race->ending)) {
		gint n = g_atomic_int_get(&race->n_put);

		for (gint set = 0; set < n; set++) {
			g_assert_true(has(race->fixture, (uint64_t)set, number++ % NODES));
			if (number % 5 == 0)
				assert_readable(race->fixture, (uint64_t)set, number % NODES);
		}
		g_thread_yield();
	}
	return NULL;
}

static void test_race(Fixture *self, gconstpointer unused)
{
	GThread *readers[N_READERS];
	Race race = {.fixture = self};

	for (int i = 0; i < N_READERS; i++)
		readers[i] = g_thread_new("reader", run_reader, &race);
	for (uint64_t set = 0; set < 8; set++) {
		put_set(self, PROLLY_NODE_TREE, set, set % 3 == 2 ? FEW : NODES);
		if (set % 3 == 2)
			put_set(self, PROLLY_NODE_TREE, set, NODES);
		g_atomic_int_set(&race.n_put, (gint)set + 1);
	}
	g_atomic_int_set(&race.ending, 1);
	for (int i = 0; i < N_READERS; i++)
		g_thread_join(readers[i]);
	sync_store(self);
	g_assert_cmpuint(count_nodes(self, PROLLY_NODE_TREE), ==, 8 * NODES);
}

static void add(const char *name, void (*run)(Fixture *self, gconstpointer unused))
{
	g_autofree char *path = g_strconcat("/store/tables/", name, NULL);

	g_test_add(path, Fixture, NULL, set_up_store, run, tear_down_store);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("together", test_together);
	add("anybody-adopts", test_anybody_adopts);
	add("put-again", test_put_again);
	add("log-between", test_log_between);
	add("failure", test_failure);
	add("death", test_death);
	add("bounded", test_bounded);
	add("race", test_race);
	return g_test_run();
}
