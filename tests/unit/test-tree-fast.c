/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways of the tree and the store that are there for speed, against the plain ones: edits put in
 * order, look-ups side by side, links to nodes that may be gone, and readers beside a writer in a
 * cache that is too small.
 */
#include "tree-model.h"

#include <dlfcn.h>

#include "store/db.h"

#define SMALL_CACHE (512u << 10)

/* ---- Sorting ----------------------------------------------------------------------------- */

static int compare_edits(gconstpointer a, gconstpointer b)
{
	const ProllyEdit *x = a, *y = b;

	return prolly_bytes_compare(x->key, x->key_len, y->key, y->key_len);
}

/* Keys that share much, nest, are equal but for one byte far behind, and are empty. */
static GBytes *sort_key(Random *random, unsigned kind)
{
	GString *key = g_string_new(NULL);
	g_autoptr(GBytes) tail = random_key(random);
	size_t len;
	const char *data = g_bytes_get_data(tail, &len);

	if (kind == 1)
		g_string_append(key, "a start that all share/");
	if (kind == 2)
		g_string_append_printf(key, "%u", random_below(random, 3));
	if (kind == 2)
		g_string_append(key, "0123456789abcdef");
	g_string_append_len(key, data, (gssize)len);
	return g_string_free_to_bytes(key);
}

static void test_sort(void)
{
	Random random = random_start(31);

	for (unsigned round = 0; round < 60; round++) {
		size_t n = random_below(&random, round < 30 ? 40 : 5000);
		g_autoptr(GTree) seen = model_new();
		g_autofree ProllyEdit *edits = g_new0(ProllyEdit, n + 1);
		g_autofree ProllyEdit *expected = NULL;
		size_t used = 0;

		for (size_t i = 0; i < n; i++) {
			GBytes *key = sort_key(&random, round % 3);
			size_t len;

			if (g_tree_lookup_extended(seen, key, NULL, NULL)) {
				g_bytes_unref(key);
				continue;
			}
			edits[used].key = g_bytes_get_data(key, &len);
			edits[used++].key_len = len;
			model_set(seen, key, NULL);
		}
		expected = g_memdup2(edits, (used + 1) * sizeof(ProllyEdit));
		qsort(expected, used, sizeof(ProllyEdit), compare_edits);
		prolly_edits_sort(edits, used);
		for (size_t i = 0; i < used; i++)
			g_assert_true(edits[i].key == expected[i].key &&
				      edits[i].key_len == expected[i].key_len);
	}
}

/* ---- Nodes that are made of old ones ----------------------------------------------------- */

/* What an edit left with a node is what decoding its bytes gives, and its links lead where they say. */
static void check_views(const ProllyTreeContext *context, ProllyNode *node)
{
	size_t len;
	const uint8_t *bytes = prolly_node_get_bytes(node, &len);
	const char *flaw = NULL;
	const ProllyNodeView *view = prolly_node_decode(context, node, NULL);
	g_autofree ProllyNodeView *fresh =
		prolly_node_view_new(bytes, len, context->format->weigh, &flaw);

	g_assert_null(flaw);
	g_assert_nonnull(view);
	g_assert_true(view->data == bytes && view->weigh == fresh->weigh);
	g_assert_cmpmem(
		&view->keys, offsetof(ProllyNodeView, level) - offsetof(ProllyNodeView, keys),
		&fresh->keys, offsetof(ProllyNodeView, level) - offsetof(ProllyNodeView, keys));
	g_assert_true(view->level == fresh->level && view->wide == fresh->wide);
	g_assert_cmpmem(view->heads, node_count_heads(view->count) * sizeof(int32_t), fresh->heads,
			node_count_heads(fresh->count) * sizeof(int32_t));
	for (uint32_t i = 0; view->level > 0 && i < view->count; i++) {
		const ProllyHash *hash = node_get_child_hash(view, i);
		g_autoptr(ProllyNode) child =
			prolly_store_follow(context->store, node_get_link(view, i), hash);

		if (!child)
			child = prolly_store_get(context->store, PROLLY_NODE_TREE, hash, NULL);
		g_assert_true(prolly_hash_equal(prolly_node_get_hash(child), hash));
		check_views(context, child);
	}
}

/* Edits of old entries, mostly: values as long and not, entries that come and go, all of a leaf. */
static GTree *edit_numbered(Random *random, uint32_t n)
{
	GTree *batch = model_new();
	uint32_t edits = 1 + random_below(random, random_below(random, 4) ? 8 : 200);
	uint32_t at = random_below(random, 2 * n), step = random_below(random, 3);

	for (uint32_t i = 0; i < edits; i++) {
		uint32_t kind = random_below(random, 16);
		g_autofree char *key = NULL, *value = NULL;

		at = step > 0 ? (at + step) % (2 * n) : random_below(random, 2 * n);
		key = g_strdup_printf("%06u", kind < 14 ? at & ~1u : at);
		if (kind > 0)
			value = g_strdup_printf(kind < 12 ? "value %u" : "longer, %u",
						random_below(random, 10));
		model_set_text(batch, key, value);
	}
	return batch;
}

static void test_patched(gconstpointer parameters)
{
	enum { N = 4000 };
	g_autoptr(GTree) model = numbered_model(N);
	Random random = random_start(33);
	ProllyTree tree;
	TreeTest test, other;

	tree_test_start(&test, *(const ProllyFormatParameters *)parameters);
	tree_test_start(&other, *(const ProllyFormatParameters *)parameters);
	tree = apply_batch(&test.context, NULL, model);
	for (unsigned round = 0; round < 60; round++) {
		g_autoptr(GTree) batch = edit_numbered(&random, N);
		ProllyTree expected;

		model_apply(model, batch);
		tree = apply_batch(&test.context, &tree, batch);
		expected = reference_build(&other.context, model);
		g_assert_true(prolly_tree_equal(&tree, &expected));
		g_assert_cmpuint(tree.keys, ==, expected.keys);
		g_assert_cmpuint(tree.bytes, ==, expected.bytes);

		g_autoptr(ProllyNode) top =
			prolly_store_get(test.store, PROLLY_NODE_TREE, &tree.top, NULL);

		check_views(&test.context, top);
	}
	tree_test_stop(&test);
	tree_test_stop(&other);
}

/* ---- Many at once ------------------------------------------------------------------------ */

static void test_get_many(void)
{
	enum { N = 100 };
	g_autoptr(GTree) model = numbered_model(3000);
	Random random = random_start(32);
	ProllyTree tree;
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	tree = apply_batch(&test.context, NULL, model);
	for (unsigned round = 0; round < 200; round++) {
		char keys[N][8];
		ProllyKey wanted[N];
		ProllyValueRef values[N];
		size_t n = random_below(&random, N);

		for (size_t i = 0; i < n; i++) {
			g_snprintf(keys[i], sizeof(keys[i]), "%06u", random_below(&random, 6100));
			wanted[i] = (ProllyKey){keys[i], 6};
		}
		g_assert_true(prolly_tree_get_many(&test.context, &tree, wanted, n, values, NULL));
		for (size_t i = 0; i < n; i++) {
			g_auto(ProllyValueRef) plain = {0};

			g_assert_true(
				prolly_tree_get(&test.context, &tree, keys[i], 6, &plain, NULL));
			g_assert_true(plain.data == values[i].data && plain.len == values[i].len &&
				      plain.node == values[i].node);
			prolly_value_ref_clear(&values[i]);
		}
	}
	tree_test_stop(&test);
}

/* A node is missing under one of the last keys: an error, and of those found before nothing is left. */
static void test_get_many_fails(void)
{
	enum { N = 40 };
	g_autoptr(GTree) model = numbered_model(1000);
	ProllyKey keys[N];
	ProllyValueRef values[N];
	g_autoptr(GError) error = NULL;
	const ProllyNodeView *view;
	ProllyHash victim;
	ProllyTree tree;
	TreeTest test;

	for (unsigned i = 0; i < N; i++)
		keys[i] = (ProllyKey){i < N - 1 ? "001998" : "000000", 6};
	tree_test_start(&test, tiny_parameters());
	tree = apply_batch(&test.context, NULL, model);
	g_assert_true(prolly_store_flush(test.store, NULL, NULL));
	ProllyNode *top = prolly_path_load_top(&test.context, &tree, &view, NULL);

	victim = *node_get_child_hash(view, 0);
	prolly_node_unref(top);
	g_assert_true(prolly_tree_get_many(&test.context, &tree, keys, N, values, NULL));
	for (size_t i = 0; i < N; i++) {
		g_assert_nonnull(values[i].node);
		prolly_value_ref_clear(&values[i]);
	}
	g_assert_true(prolly_store_delete_many(test.store, PROLLY_NODE_TREE, &victim, 1, NULL));
	g_assert_false(prolly_tree_get_many(&test.context, &tree, keys, N, values, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
	for (size_t i = 0; i < N; i++)
		g_assert_null(values[i].node);
	tree_test_stop(&test);
}

/* ---- Links ------------------------------------------------------------------------------- */

/* (transfer full) On a database in memory, since what the cache evicts is gone only where the back end
 * does not keep the nodes themselves. Close it when the test has stopped. */
static ProllyDb *open_small(TreeTest *test)
{
	ProllyStoreOptions options = {.kind = PROLLY_BACKEND_ROCKSDB, .cache_size = SMALL_CACHE};
	ProllyDbOptions in_memory = {.create = true};

	g_assert_true(prolly_db_open(&in_memory, &options.db, NULL));
	tree_test_start(test, default_parameters());
	prolly_store_unref(test->store);
	g_assert_true(prolly_store_open(&options, &test->store, NULL));
	test->context.store = test->store;
	return options.db;
}

static ProllyWorkFigures count_gets(const TreeTest *test, const ProllyTree *tree, unsigned n)
{
	g_autoptr(ProllyWork) work = prolly_work_new();
	g_autoptr(ProllyStore) store = prolly_store_new_counting(test->store, work);
	ProllyTreeContext context = {store, test->format};
	ProllyWorkFigures figures;

	for (unsigned i = 0; i < n; i++) {
		g_auto(ProllyValueRef) value = {0};
		char key[8];

		g_snprintf(key, sizeof(key), "%06u", i * 14 % 40000);
		g_assert_true(prolly_tree_get(&context, tree, key, 6, &value, NULL));
		g_assert_nonnull(value.node);
	}
	prolly_work_get_figures(work, &figures);
	return figures;
}

/* What was read is the same whether nodes come through links, the cache or the back end. */
static void test_links_count(void)
{
	g_autoptr(GTree) model = numbered_model(20000);
	ProllyWorkFigures first, second;
	ProllyTree tree;
	TreeTest test;
	ProllyDb *db = open_small(&test);

	tree = apply_batch(&test.context, NULL, model);
	g_assert_true(prolly_store_flush(test.store, NULL, NULL));
	first = count_gets(&test, &tree, 3000);
	second = count_gets(&test, &tree, 3000);
	g_assert_cmpuint(first.nodes_read, ==, second.nodes_read);
	g_assert_cmpuint(first.bytes_read, ==, second.bytes_read);
	first = count_gets(&test, &tree, 1);
	second = count_gets(&test, &tree, 1);
	g_assert_cmpuint(first.nodes_read, ==, second.nodes_read);
	tree_test_stop(&test);
	prolly_db_close(db);
}

/* ---- Readers beside a writer ------------------------------------------------------------- */

typedef struct {
	TreeTest test;
	ProllyTree trees[4];
	gint stop;
} Crowd;

/* The value that tree WHICH has for number I: numbered_model's, or the writer's. */
static void check_value(const Crowd *crowd, unsigned which, uint32_t i, ProllyValueRef *value)
{
	g_autofree char *expected = i % 50 == which ? g_strdup_printf("written by %u", which)
						    : g_strdup_printf("value %u", i % 7);

	g_assert_nonnull(value->node);
	g_assert_cmpmem(value->data, value->len, expected, strlen(expected));
	prolly_value_ref_clear(value);
}

static gpointer run_reader(gpointer data)
{
	const Crowd *crowd = data;
	Random random = {7};

	for (unsigned round = 0; round < 300; round++) {
		unsigned which = random_below(&random, 4);
		char keys[20][8];
		ProllyKey wanted[20];
		ProllyValueRef values[20];
		uint32_t numbers[20];

		for (unsigned i = 0; i < 20; i++) {
			numbers[i] = random_below(&random, 20000);
			g_snprintf(keys[i], sizeof(keys[i]), "%06u", 2 * numbers[i]);
			wanted[i] = (ProllyKey){keys[i], 6};
		}
		g_assert_true(prolly_tree_get_many(&crowd->test.context, &crowd->trees[which],
						   wanted, 20, values, NULL));
		for (unsigned i = 0; i < 20; i++)
			check_value(crowd, which, numbers[i], &values[i]);
		g_assert_true(prolly_tree_get(&crowd->test.context, &crowd->trees[which], keys[3],
					      6, &values[0], NULL));
		check_value(crowd, which, numbers[3], &values[0]);
	}
	return NULL;
}

/* Edits of its own, whose nodes push out what the readers read, and take the places of it. */
static gpointer run_writer(gpointer data)
{
	Crowd *crowd = data;
	const ProllyTreeContext *context = &crowd->test.context;
	ProllyTree tree = crowd->trees[0];
	Random random = {8};

	while (!g_atomic_int_get(&crowd->stop)) {
		char key[16];
		ProllyEdit edit = {(const uint8_t *)key, 7, (const uint8_t *)key, 7};

		g_snprintf(key, sizeof(key), "%06ux", random_below(&random, 40000));
		g_assert_true(prolly_tree_apply_array(context, &tree, &edit, 1, &tree, NULL));
		if (random_below(&random, 10) == 0)
			g_assert_true(prolly_store_flush(context->store, NULL, NULL));
	}
	g_assert_true(prolly_tree_verify(context, &tree, NULL));
	return NULL;
}

static void make_trees(Crowd *crowd)
{
	g_autoptr(GTree) model = numbered_model(20000);
	ProllyTree base = apply_batch(&crowd->test.context, NULL, model);

	for (unsigned which = 0; which < 4; which++) {
		g_autoptr(GTree) batch = model_new();
		g_autofree char *value = g_strdup_printf("written by %u", which);

		for (uint32_t i = which; i < 20000; i += 50) {
			g_autofree char *key = g_strdup_printf("%06u", 2 * i);

			model_set_text(batch, key, value);
		}
		crowd->trees[which] = apply_batch(&crowd->test.context, &base, batch);
	}
	g_assert_true(prolly_store_flush(crowd->test.store, NULL, NULL));
}

static void test_crowd(void)
{
	Crowd crowd = {.stop = 0};
	GThread *readers[3], *writer;
	ProllyStoreFigures figures;
	ProllyDb *db = open_small(&crowd.test);

	make_trees(&crowd);
	writer = g_thread_new("writer", run_writer, &crowd);
	for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++)
		readers[i] = g_thread_new("reader", run_reader, &crowd);
	for (unsigned i = 0; i < G_N_ELEMENTS(readers); i++)
		g_thread_join(readers[i]);
	g_atomic_int_set(&crowd.stop, 1);
	g_thread_join(writer);
	g_assert_true(prolly_store_get_figures(crowd.test.store, &figures, NULL));
	g_assert_cmpuint(figures.cache_evictions, >, 1000);
	g_assert_cmpuint(figures.cache_bytes, <=, figures.cache_capacity);
	tree_test_stop(&crowd.test);
	prolly_db_close(db);
}

/* ---- Locks ------------------------------------------------------------------------------- */

/* How many locks this thread took. */
static unsigned *get_locks(void)
{
	static __thread unsigned locks;

	return &locks;
}

#ifndef __SANITIZE_THREAD__ /* there it is tsan-glib.c's, and nothing is counted */

#undef g_mutex_lock /* with -Dlock_checks: that of lock-order.h, which comes here as well */

void g_mutex_lock(GMutex *mutex)
{
	void (*lock)(GMutex *) = (void (*)(GMutex *))dlsym(RTLD_NEXT, "g_mutex_lock");

	++*get_locks();
	lock(mutex);
}

#endif

/* Reads all of TREE, by look-ups and by a scan; how many locks that took. */
static unsigned count_locks(const ProllyTreeContext *context, const ProllyTree *tree)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, tree);
	unsigned before = *get_locks();

	for (uint32_t i = 0; i < 20000; i++) {
		g_auto(ProllyValueRef) value = {0};
		char key[8];

		g_snprintf(key, sizeof(key), "%06u", 2 * i);
		g_assert_true(prolly_tree_get(context, tree, key, 6, &value, NULL));
		g_assert_nonnull(value.node);
	}
	for (bool end = false; !end;) {
		ProllyTreeEntry entry;

		g_assert_true(prolly_cursor_read(cursor, &entry, &end, NULL));
	}
	return *get_locks() - before;
}

/* A reader takes a lock of the cache where it meets a node for the first time, a shard's and the
 * back end's; where it has been before, none at all. */
static void test_locks(void)
{
	g_autoptr(GTree) model = numbered_model(20000);
	g_autoptr(GHashTable) nodes = NULL;
	ProllyTree tree;
	TreeTest test;
	unsigned first;

	tree_test_start(&test, default_parameters());
	tree = apply_batch(&test.context, NULL, model);
	first = count_locks(&test.context, &tree);
	nodes = collect_nodes(&test.context, &tree);
	g_test_message("%u locks for %u nodes", first, g_hash_table_size(nodes));
	g_assert_cmpuint(first, <=, 4 * g_hash_table_size(nodes));
	g_assert_cmpuint(count_locks(&test.context, &tree), <=, 4);
	tree_test_stop(&test);
}

int main(int argc, char **argv)
{
	const ProllyFormatParameters usual = default_parameters(), tiny = tiny_parameters();

	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/fast/sort", test_sort);
	g_test_add_data_func("/tree/fast/patched", &usual, test_patched);
	g_test_add_data_func("/tree/fast/patched-tiny", &tiny, test_patched);
	g_test_add_func("/tree/fast/get-many", test_get_many);
	g_test_add_func("/tree/fast/get-many-fails", test_get_many_fails);
	g_test_add_func("/tree/fast/links-count", test_links_count);
	g_test_add_func("/tree/fast/readers-and-writer", test_crowd);
	g_test_add_func("/tree/fast/locks", test_locks);
	return g_test_run();
}
