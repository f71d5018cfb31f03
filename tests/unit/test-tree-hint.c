/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes remember of leaves (hint.c), by look-ups of the same keys again and again: keys that are
 * there and that are not, of every shape that a leaf's sizes or a tag could be wrong about, in leaves
 * that come, go and come back elsewhere, by many threads at once. The model says what is right.
 */
#include "tree-model.h"

#include "store/db.h"

#define N         3000u
#define ROUNDS    12u
#define N_THREADS 4u

typedef enum {
	NUMBERED,  /* keys and values of one length, or nearly */
	NESTED,    /* short keys of few letters, the empty one too; values of any length, or none */
	SAME_ENDS, /* keys that differ only before what is in a tag */
	LONG_STARTS, /* keys that share much, and end in any bytes */
	NO_VALUES,
	LARGE, /* some values are longer than a node is meant to be */
	N_SHAPES,
} Shape;

static GBytes *make_key(Random *random, Shape shape)
{
	g_autoptr(GString) key = g_string_new(NULL);
	uint32_t number = random_below(random, 4 * N);

	if (shape == NESTED)
		return random_key(random);
	if (shape == LONG_STARTS) {
		g_string_append_printf(key, "what all of these keys share/%u/", number % 10);
		for (uint32_t i = random_below(random, 20); i > 0; i--)
			g_string_append_c(key, (char)random_below(random, 256));
		return g_string_free_to_bytes(g_steal_pointer(&key));
	}
	g_string_append_printf(key, "%06u", number);
	if (shape == SAME_ENDS)
		g_string_append(key, "/and then the same in every one");
	return g_string_free_to_bytes(g_steal_pointer(&key));
}

static GBytes *make_value(Random *random, Shape shape)
{
	if (shape == NO_VALUES)
		return g_bytes_new(NULL, 0);
	if (shape == LARGE && random_below(random, 20) == 0)
		return random_bytes(random, random_below(random, 40000));
	return random_bytes(random, shape == NUMBERED ? 20 : random_below(random, 60));
}

static GTree *make_model(Random *random, Shape shape)
{
	GTree *model = model_new();

	for (uint32_t i = 0; i < N; i++)
		model_set(model, make_key(random, shape), make_value(random, shape));
	return model;
}

/* (transfer full) Keys that are mostly there, and that mostly are not. */
static GPtrArray *draw_keys(Random *random, Shape shape, GTree *model)
{
	GPtrArray *keys = g_ptr_array_new_with_free_func(unref_bytes);

	for (uint32_t i = 0; i < N; i++)
		g_ptr_array_add(keys, i % 2 ? model_pick(random, model) : make_key(random, shape));
	return keys;
}

/* How many of KEYS were there. */
static uint32_t check_keys(const ProllyTreeContext *context, const ProllyTree *tree, GTree *model,
			   GPtrArray *keys)
{
	uint32_t n_found = 0;

	for (guint i = 0; i < keys->len; i++) {
		GBytes *key = keys->pdata[i], *expected = g_tree_lookup(model, key);
		g_auto(ProllyValueRef) value = {0};
		size_t len;
		const void *data = g_bytes_get_data(key, &len);

		g_assert_true(prolly_tree_get(context, tree, data, len, &value, NULL));
		g_assert_true((value.node != NULL) == (expected != NULL));
		if (expected) {
			assert_same_bytes(value.data, value.len, expected);
			n_found++;
		}
	}
	return n_found;
}

static void test_shapes(gconstpointer parameters)
{
	Random random = random_start(41);

	for (Shape shape = 0; shape < N_SHAPES; shape++) {
		g_autoptr(GTree) model = make_model(&random, shape);
		g_autoptr(GPtrArray) keys = draw_keys(&random, shape, model);
		ProllyTree tree;
		TreeTest test;

		tree_test_start(&test, *(const ProllyFormatParameters *)parameters);
		tree = apply_batch(&test.context, NULL, model);
		for (unsigned round = 0; round < ROUNDS; round++)
			g_assert_cmpuint(check_keys(&test.context, &tree, model, keys), >, N / 3);
		tree_test_stop(&test);
	}
}

/* Nodes made of others by an edit know nothing of the leaves below that are new. */
static void test_edited(void)
{
	Random random = random_start(42);
	g_autoptr(GTree) model = make_model(&random, NUMBERED);
	ProllyTree tree;
	TreeTest test;

	tree_test_start(&test, default_parameters());
	tree = apply_batch(&test.context, NULL, model);
	for (unsigned round = 0; round < 20; round++) {
		g_autoptr(GPtrArray) keys = draw_keys(&random, NUMBERED, model);
		g_autoptr(GTree) batch = model_new();

		for (unsigned again = 0; again < ROUNDS; again++)
			check_keys(&test.context, &tree, model, keys);
		for (guint i = 0; i < 30; i++)
			model_set(batch, g_bytes_ref(keys->pdata[i]),
				  i % 3 ? make_value(&random, NUMBERED) : NULL);
		model_apply(model, batch);
		tree = apply_batch(&test.context, &tree, batch);
	}
	tree_test_stop(&test);
}

static uint64_t count_nodes(const TreeTest *test, const ProllyTree *tree, GTree *model,
			    GPtrArray *keys)
{
	g_autoptr(ProllyWork) work = prolly_work_new();
	g_autoptr(ProllyStore) store = prolly_store_new_counting(test->store, work);
	ProllyTreeContext context = {store, test->format};
	ProllyWorkFigures figures;

	g_assert_cmpuint(check_keys(&context, tree, model, keys), ==, 0);
	prolly_work_get_figures(work, &figures);
	return figures.nodes_read;
}

/* For keys that are not there few leaves are read, once they are known. */
static void test_absent(void)
{
	Random random = random_start(43);
	g_autoptr(GTree) model = make_model(&random, NUMBERED);
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(unref_bytes);
	uint64_t first, last = 0;
	ProllyTree tree;
	TreeTest test;

	for (uint32_t i = 0; i < 4 * N; i++) {
		g_autofree char *key = g_strdup_printf("%06u, and not there", i);

		g_ptr_array_add(keys, g_bytes_new(key, strlen(key)));
	}
	tree_test_start(&test, tiny_parameters());
	tree = apply_batch(&test.context, NULL, model);
	first = count_nodes(&test, &tree, model, keys);
	for (unsigned round = 1; round < ROUNDS; round++)
		last = count_nodes(&test, &tree, model, keys);
	g_assert_cmpuint(last, <, first * 3 / 4);
	tree_test_stop(&test);
}

/* ---- Limits ------------------------------------------------------------------------------ */

/* Entries like each other: key I is six digits, its value VALUE_LEN bytes. */
typedef struct {
	uint32_t next, n, value_len;
	char key[8];
	uint8_t *value;
} Uniform;

static bool next_uniform(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Uniform *self = data;

	*out_end = self->next == self->n;
	if (*out_end)
		return true;
	g_snprintf(self->key, sizeof(self->key), "%06u", self->next);
	prolly_set_le32(self->value, self->next++);
	*out_edit = (ProllyEdit){(const uint8_t *)self->key, 6, self->value, self->value_len};
	return true;
}

static ProllyTree make_uniform(const ProllyTreeContext *context, uint32_t n, uint32_t value_len)
{
	g_autofree uint8_t *value = g_malloc0(value_len);
	Uniform uniform = {.n = n, .value_len = value_len, .value = value};
	g_autoptr(GError) error = NULL;
	ProllyTree tree;

	prolly_tree_apply(context, NULL, next_uniform, &uniform, &tree, &error);
	g_assert_no_error(error);
	return tree;
}

static void check_uniform(const ProllyTreeContext *context, const ProllyTree *tree, uint32_t i,
			  uint32_t value_len)
{
	g_auto(ProllyValueRef) value = {0};
	char key[8];

	g_snprintf(key, sizeof(key), "%06u", i);
	g_assert_true(prolly_tree_get(context, tree, key, 6, &value, NULL));
	g_assert_nonnull(value.node);
	g_assert_cmpuint(value.len, ==, value_len);
	g_assert_cmpuint(prolly_get_le32(value.data), ==, i);
}

/* Leaves of 64 KiB and more, whose ends are wider numbers. (There are no hints of them twice over: the
 * store has links to smaller nodes only.) */
static void test_large_leaves(void)
{
	static const uint32_t value_lens[] = {16000, 70000, 200000};
	const uint32_t n = 40;

	for (size_t i = 0; i < G_N_ELEMENTS(value_lens); i++) {
		ProllyFormatParameters parameters = default_parameters();
		ProllyTree tree;
		TreeTest test;

		parameters.max = 65536;
		parameters.scale_shift = 16;
		tree_test_start(&test, parameters);
		tree = make_uniform(&test.context, n, value_lens[i]);
		for (uint32_t k = 0; k < ROUNDS * n; k++)
			check_uniform(&test.context, &tree, k % n, value_lens[i]);
		tree_test_stop(&test);
	}
}

/* (nullable) What is known of the leaves below TREE's top. */
static const void *get_hints(const ProllyTreeContext *context, const ProllyTree *tree)
{
	const ProllyNodeView *view;
	g_autoptr(ProllyNode) top = prolly_path_load_top(context, tree, &view, NULL);

	g_assert_cmpuint(view->level, ==, 1);
	return node_get_hint_slot(view)->hints;
}

/* More entries below one node than there are places for tags, though not too many to a leaf. */
static void test_many_tags(void)
{
	const uint32_t value_len = 139;
	ProllyFormatParameters parameters = default_parameters();
	TreeTest test;

	parameters.max = 65536;
	parameters.scale_shift = 15;
	tree_test_start(&test, parameters);
	for (uint32_t n = 60000; n <= 68000; n += 8000) {
		ProllyTree tree = make_uniform(&test.context, n, value_len);
		const ProllyNodeView *view;
		g_autoptr(ProllyNode) top = prolly_path_load_top(&test.context, &tree, &view, NULL);

		g_assert_cmpuint(n + 8 * view->count, <=, 240 * view->count);
		for (unsigned round = 0; round < 3; round++) {
			for (uint32_t i = 0; i < n; i += 7)
				check_uniform(&test.context, &tree, i, value_len);
		}
		g_assert_cmpint(get_hints(&test.context, &tree) != NULL, ==, n <= UINT16_MAX);
	}
	tree_test_stop(&test);
}

/* A node that says of a leaf, which nobody has, that it has so many keys that the sum runs over. */
static void test_hostile_counts(void)
{
	static const uint64_t counts[] = {2, UINT64_MAX - 10, UINT64_MAX - 17, UINT32_MAX};

	for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
		g_autoptr(GArray) nodes = reference_entries_new();
		ReferenceEntry entries[] = {
			{.key = g_bytes_new("a", 1),
			 .value = g_bytes_new("v", 1),
			 .keys = 1,
			 .bytes = 2},
			{.key = g_bytes_new("b", 1),
			 .value = g_bytes_new("v", 1),
			 .keys = 1,
			 .bytes = 2},
		};
		ReferenceEntry children[2], *top;
		ProllyTree tree;
		TreeTest test;

		tree_test_start(&test, default_parameters());
		reference_close(test.store, 0, entries, 2, nodes);
		children[0] = g_array_index(nodes, ReferenceEntry, 0);
		children[1] = (ReferenceEntry){.key = g_bytes_new("c", 1), .keys = counts[i]};
		reference_close(test.store, 1, children, 2, nodes);
		top = &g_array_index(nodes, ReferenceEntry, 1);
		tree = (ProllyTree){top->hash, top->keys, top->bytes};
		for (unsigned round = 0; round < ROUNDS; round++) {
			g_auto(ProllyValueRef) value = {0};

			g_assert_true(prolly_tree_get(&test.context, &tree, "b", 1, &value, NULL));
			assert_same_bytes(value.data, value.len, entries[1].value);
		}
		g_assert_cmpint(get_hints(&test.context, &tree) != NULL, ==, counts[i] == 2);
		for (int k = 0; k < 2; k++)
			reference_entry_clear(&entries[k]);
		g_bytes_unref(children[1].key);
		tree_test_stop(&test);
	}
}

/* ---- Leaves that come and go, and threads ------------------------------------------------- */

typedef struct {
	TreeTest test;
	ProllyTree tree;
	GTree *model;
	GPtrArray *keys;
} Readers;

static gpointer run_reader(gpointer data)
{
	const Readers *self = data;

	for (unsigned round = 0; round < ROUNDS; round++)
		check_keys(&self->test.context, &self->tree, self->model, self->keys);
	return NULL;
}

/* All begin with the same keys, whose hints they make at the same time. */
static void read_by_many(Readers *self)
{
	GThread *threads[N_THREADS];

	for (unsigned i = 0; i < N_THREADS; i++)
		threads[i] = g_thread_new("reader", run_reader, self);
	for (unsigned i = 0; i < N_THREADS; i++)
		g_thread_join(threads[i]);
}

static void test_threads(void)
{
	Random random = random_start(44);
	Readers readers = {0};

	for (Shape shape = 0; shape < N_SHAPES; shape++) {
		g_autoptr(GTree) model = readers.model = make_model(&random, shape);
		g_autoptr(GPtrArray) keys = readers.keys = draw_keys(&random, shape, model);

		tree_test_start(&readers.test, default_parameters());
		readers.tree = apply_batch(&readers.test.context, NULL, model);
		read_by_many(&readers);
		tree_test_stop(&readers.test);
	}
}

/* A cache that holds a fraction: a leaf that was known is read from the back end, to another place. */
static void test_evicted(void)
{
	Random random = random_start(45);
	ProllyStoreOptions options = {.kind = PROLLY_BACKEND_ROCKSDB, .cache_size = 64u << 10};
	ProllyDbOptions in_memory = {.create = true};
	g_autoptr(GTree) model = make_model(&random, NUMBERED);
	g_autoptr(GPtrArray) keys = draw_keys(&random, NUMBERED, model);
	Readers readers = {.model = model, .keys = keys};
	ProllyStoreFigures figures;

	g_assert_true(prolly_db_open(&in_memory, &options.db, NULL));
	tree_test_start(&readers.test, tiny_parameters());
	prolly_store_unref(readers.test.store);
	g_assert_true(prolly_store_open(&options, &readers.test.store, NULL));
	readers.test.context.store = readers.test.store;
	readers.tree = apply_batch(&readers.test.context, NULL, model);
	g_assert_true(prolly_store_flush(readers.test.store, NULL, NULL));
	read_by_many(&readers);
	g_assert_true(prolly_store_get_figures(readers.test.store, &figures, NULL));
	g_assert_cmpuint(figures.cache_evictions, >, 1000);
	g_assert_cmpuint(figures.cache_bytes, <=, figures.cache_capacity);
	tree_test_stop(&readers.test);
	prolly_db_close(options.db);
}

int main(int argc, char **argv)
{
	ProllyFormatParameters tiny = tiny_parameters(), standard = default_parameters();

	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/tree/hint/shapes/tiny", &tiny, test_shapes);
	g_test_add_data_func("/tree/hint/shapes/default", &standard, test_shapes);
	g_test_add_func("/tree/hint/edited", test_edited);
	g_test_add_func("/tree/hint/absent", test_absent);
	g_test_add_func("/tree/hint/large-leaves", test_large_leaves);
	g_test_add_func("/tree/hint/many-tags", test_many_tags);
	g_test_add_func("/tree/hint/hostile-counts", test_hostile_counts);
	g_test_add_func("/tree/hint/threads", test_threads);
	g_test_add_func("/tree/hint/evicted", test_evicted);
	return g_test_run();
}
