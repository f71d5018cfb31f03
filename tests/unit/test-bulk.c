/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk loads whose leaves several threads make, or that are made of entries where they lie: the tree is
 * the one that the chunker alone makes, whatever the sizes of keys and values, wherever the load ends,
 * and whatever fails.
 */
#include "tree-model.h"

#include "store/store-private.h"

/* ---- Three ways to load -------------------------------------------------------------------- */

/* N entries whose sizes are drawn by KIND; some are nothing, some over all limits of a batch. */
typedef enum {
	SMALL,
	MIXED,
	HUGE_VALUES,
	LONG_KEYS,
} Sizes;

typedef struct {
	uint64_t seed;
	Sizes sizes;
	uint32_t n;
	uint32_t next;
	GByteArray *key;
	GByteArray *value;
} Source;

static void source_init(Source *self, uint64_t seed, Sizes sizes, uint32_t n)
{
	*self = (Source){seed, sizes, n, 0, g_byte_array_new(), g_byte_array_new()};
}

static void source_clear(Source *self)
{
	g_byte_array_unref(self->key);
	g_byte_array_unref(self->value);
}

static uint32_t draw_key_len(const Source *self, Random *random)
{
	if (self->sizes == LONG_KEYS)
		return random_below(random, 20) ? 200 : random_below(random, 60000);
	return random_below(random, 40);
}

static uint32_t draw_value_len(const Source *self, Random *random)
{
	switch (self->sizes) {
	case SMALL:
		return random_below(random, 20);
	case HUGE_VALUES:
		return random_below(random, 4) ? 0 : random_below(random, PROLLY_TREE_VALUE_MAX);
	default:
		return random_below(random, 30) ? random_below(random, 200)
						: random_below(random, 40000);
	}
}

static bool source_next(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Source *self = data;
	Random random = {self->seed + self->next * 1000003};
	uint8_t number[4];

	*out_end = self->next == self->n;
	if (*out_end)
		return true;
	prolly_set_be32(number, self->next++);
	g_byte_array_set_size(self->key, 4 + draw_key_len(self, &random));
	g_byte_array_set_size(self->value, draw_value_len(self, &random));
	memset(self->key->data, (int)random_below(&random, 256), self->key->len);
	memcpy(self->key->data, number, 4);
	if (self->value->len)
		memset(self->value->data, (int)random_below(&random, 256), self->value->len);
	*out_edit = (ProllyEdit){self->key->data, self->key->len,
				 self->value->len ? self->value->data : (const uint8_t *)"",
				 self->value->len};
	return true;
}

/* The plain way. */
static ProllyTree load_alone(const TreeTest *test, Source *source)
{
	ProllyChunker *chunker = prolly_chunker_new(&test->context, true, NULL);
	g_autoptr(GError) error = NULL;
	ProllyEdit edit;
	ProllyTree tree;
	bool end = false;

	for (source_next(source, &edit, &end, NULL); !end; source_next(source, &edit, &end, NULL))
		prolly_chunker_add(chunker, edit.key, edit.key_len, edit.value, edit.value_len,
				   &error);
	g_assert_no_error(error);
	prolly_chunker_finish(chunker, &tree, &error);
	g_assert_no_error(error);
	prolly_chunker_free(chunker);
	return tree;
}

/* With others, after the first entries up to a leaf's end behind number FROM. */
static ProllyTree load_together(const TreeTest *test, Source *source, uint32_t from)
{
	ProllyChunker *chunker = prolly_chunker_new(&test->context, true, NULL);
	ProllyBulk *bulk = NULL;
	g_autoptr(GError) error = NULL;
	ProllyEdit edit;
	ProllyTree tree;
	bool end = false;

	for (source_next(source, &edit, &end, NULL); !end; source_next(source, &edit, &end, NULL)) {
		if (!bulk && source->next > from && prolly_chunker_is_aligned(chunker, 1))
			bulk = prolly_bulk_new(&test->context, chunker, NULL);
		if (bulk)
			prolly_bulk_add(bulk, edit.key, edit.key_len, edit.value, edit.value_len,
					&error);
		else
			prolly_chunker_add(chunker, edit.key, edit.key_len, edit.value,
					   edit.value_len, &error);
		g_assert_no_error(error);
	}
	if (bulk)
		prolly_bulk_finish(bulk, &error);
	g_assert_no_error(error);
	prolly_chunker_finish(chunker, &tree, &error);
	g_assert_no_error(error);
	prolly_bulk_free(bulk);
	prolly_chunker_free(chunker);
	return tree;
}

/* All entries of SOURCE at once; their bytes are in *OUT_BYTES. */
static GArray *collect(Source *source, GByteArray **out_bytes)
{
	GArray *edits = g_array_new(FALSE, FALSE, sizeof(ProllyEdit));
	GByteArray *bytes = g_byte_array_new();
	const uint8_t *at;
	ProllyEdit edit;
	bool end = false;

	for (source_next(source, &edit, &end, NULL); !end; source_next(source, &edit, &end, NULL)) {
		g_byte_array_append(bytes, edit.key, (guint)edit.key_len);
		g_byte_array_append(bytes, edit.value, (guint)edit.value_len);
		g_array_append_val(edits, edit);
	}
	at = bytes->data;
	for (guint i = 0; i < edits->len; i++) {
		ProllyEdit *collected = &g_array_index(edits, ProllyEdit, i);

		collected->key = at;
		collected->value = at + collected->key_len;
		at = collected->value + collected->value_len;
	}
	*out_bytes = bytes;
	return edits;
}

/* Of entries that stay where they are. */
static ProllyTree load_in_place(const TreeTest *test, Source *source)
{
	g_autoptr(GByteArray) bytes = NULL;
	g_autoptr(GArray) edits = collect(source, &bytes);
	ProllyChunker *chunker = prolly_chunker_new(&test->context, true, NULL);
	ProllyBulkArray *load = prolly_bulk_array_new(&test->context, chunker);
	g_autoptr(GError) error = NULL;
	ProllyTree tree;

	for (guint i = 0; i < edits->len; i++) {
		prolly_bulk_array_add(load, &g_array_index(edits, ProllyEdit, i), &error);
		g_assert_no_error(error);
	}
	prolly_bulk_array_finish(load, &error);
	g_assert_no_error(error);
	prolly_chunker_finish(chunker, &tree, &error);
	g_assert_no_error(error);
	prolly_bulk_array_free(load);
	prolly_chunker_free(chunker);
	return tree;
}

static void assert_equal(const TreeTest *test, const ProllyTree *want, const ProllyTree *tree)
{
	g_assert_true(prolly_tree_equal(want, tree));
	g_assert_cmpuint(want->keys, ==, tree->keys);
	g_assert_cmpuint(want->bytes, ==, tree->bytes);
	assert_verifies(&test->context, tree);
}

static void assert_same(ProllyFormatParameters parameters, Sizes sizes, uint32_t n, uint32_t from,
			uint64_t seed)
{
	TreeTest tests[3];
	Source sources[3];

	for (unsigned i = 0; i < 3; i++) {
		tree_test_start(&tests[i], parameters);
		source_init(&sources[i], seed, sizes, n);
	}
	ProllyTree alone = load_alone(&tests[0], &sources[0]);
	ProllyTree together = load_together(&tests[1], &sources[1], from);
	ProllyTree in_place = load_in_place(&tests[2], &sources[2]);

	assert_equal(&tests[1], &alone, &together);
	assert_equal(&tests[2], &alone, &in_place);
	for (unsigned i = 0; i < 3; i++) {
		source_clear(&sources[i]);
		tree_test_stop(&tests[i]);
	}
}

static void test_same_tree(void)
{
	Random random = random_start(51);

	for (uint32_t round = 0; round < 60; round++)
		assert_same(tiny_parameters(), SMALL, random_below(&random, 4000),
			    random_below(&random, 100), random.state);
	for (uint32_t round = 0; round < 20; round++)
		assert_same(default_parameters(), MIXED, random_below(&random, 12000),
			    random_below(&random, 10), random.state);
}

static void test_sizes(void)
{
	Random random = random_start(52);

	for (uint32_t round = 0; round < 4; round++) {
		assert_same(default_parameters(), HUGE_VALUES, 60, 0, random.state + round);
		assert_same(default_parameters(), LONG_KEYS, 2000, 3, random.state + round);
	}
}

/* The load ends at, before and behind the ends of leaves and batches. */
static void test_ends(void)
{
	Random random = random_start(53);

	for (uint32_t n = 0; n < 400; n += 1 + n / 60)
		assert_same(tiny_parameters(), SMALL, n, 0, random.state);
	for (uint32_t n = 4000; n < 4100; n += 7)
		assert_same(tiny_parameters(), SMALL, n, 0, random.state);
}

/* ---- By the facade ----------------------------------------------------------------------- */

/* The way that a load takes by itself is one of the two. */
static void test_apply(void)
{
	Random random = random_start(54);
	TreeTest test, other;
	Source source, again;
	ProllyTree tree;
	g_autoptr(GError) error = NULL;
	ProllyWorkFigures figures;
	g_autoptr(ProllyWork) work = prolly_work_new();

	tree_test_start(&test, default_parameters());
	tree_test_start(&other, default_parameters());
	source_init(&source, random.state, MIXED, 30000);
	source_init(&again, random.state, MIXED, 30000);
	ProllyTree alone = load_alone(&test, &source);
	g_autoptr(ProllyStore) counting = prolly_store_new_counting(other.store, work);
	ProllyTreeContext context = {counting, other.format};

	prolly_tree_apply(&context, NULL, source_next, &again, &tree, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_tree_equal(&alone, &tree));
	g_autoptr(GHashTable) nodes = collect_nodes(&other.context, &tree);
	prolly_work_get_figures(work, &figures);
	g_assert_cmpuint(figures.nodes_written, ==, g_hash_table_size(nodes));
	g_assert_cmpuint(figures.nodes_hashed, ==, g_hash_table_size(nodes));
	source_clear(&source);
	source_clear(&again);
	tree_test_stop(&test);
	tree_test_stop(&other);
}

typedef struct {
	Source source;
	uint32_t fail_at;
} Failing;

static bool failing_next(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Failing *self = data;

	if (self->source.next == self->fail_at)
		return prolly_throw(error, PROLLY_ERROR_CANCELLED, "enough");
	return source_next(&self->source, out_edit, out_end, error);
}

/* Whoever gives the entries fails, while leaves are in the making. */
static void test_source_fails(void)
{
	for (uint32_t fail_at = 5000; fail_at < 12000; fail_at += 1733) {
		Failing failing = {.fail_at = fail_at};
		g_autoptr(GError) error = NULL;
		ProllyTree tree;
		TreeTest test;

		tree_test_start(&test, default_parameters());
		source_init(&failing.source, 1, MIXED, 20000);
		g_assert_false(prolly_tree_apply(&test.context, NULL, failing_next, &failing, &tree,
						 &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CANCELLED);
		source_clear(&failing.source);
		tree_test_stop(&test);
	}
}

/* The back end fails: sooner or later whoever puts has to move nodes, and is told. */
static void test_store_fails(void)
{
	g_autoptr(GError) error = NULL;
	ProllyTree tree;
	TreeTest test;
	Source source;

	tree_test_start(&test, default_parameters());
	source_init(&source, 1, HUGE_VALUES, 700);
	prolly_backend_memory_set_fault(prolly_store_get_backend(test.store), 1);
	g_assert_false(prolly_tree_apply(&test.context, NULL, source_next, &source, &tree, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_FAILED);
	source_clear(&source);
	tree_test_stop(&test);
}

static bool unordered_next(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Source *self = data;

	if (self->next == 15000)
		self->next = 14000;
	return source_next(self, out_edit, out_end, error);
}

static void test_unordered(void)
{
	g_autoptr(GError) error = NULL;
	ProllyTree tree;
	TreeTest test;
	Source source;

	tree_test_start(&test, default_parameters());
	source_init(&source, 1, MIXED, 20000);
	g_assert_false(
		prolly_tree_apply(&test.context, NULL, unordered_next, &source, &tree, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	source_clear(&source);
	tree_test_stop(&test);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/bulk/same-tree", test_same_tree);
	g_test_add_func("/tree/bulk/sizes", test_sizes);
	g_test_add_func("/tree/bulk/ends", test_ends);
	g_test_add_func("/tree/bulk/apply", test_apply);
	g_test_add_func("/tree/bulk/source-fails", test_source_fails);
	g_test_add_func("/tree/bulk/store-fails", test_store_fails);
	g_test_add_func("/tree/bulk/unordered", test_unordered);
	return g_test_run();
}
