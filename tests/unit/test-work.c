/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operations cost in nodes: not timed, but counted, at a million entries, and bounded. What each
 * may do is at its test. A bound of reads that is told in paths is one of nodes visited, cached or
 * not; a node that an operation visits twice counts once.
 */
#include "tree-model.h"

#define N_KEYS  1000000
#define N_SMALL 10000
#define N_EDITS 1000

/* ---- A tree, and what is known of it ------------------------------------------------------ */

typedef struct {
	TreeTest test;
	uint32_t n; /* keys: even numbers below 2 n */
	ProllyTree tree;
	unsigned height;
	GHashTable *nodes;      /* the hashes of all */
	ProllyWorkFigures load; /* what making it cost */
} Site;

/* Counts what is done with CONTEXT. */
typedef struct {
	ProllyWork *work;
	ProllyTreeContext context;
} Counter;

static void counter_start(Counter *self, const Site *site)
{
	self->work = prolly_work_new();
	self->context = (ProllyTreeContext){prolly_store_new_counting(site->test.store, self->work),
					    site->test.format};
}

static ProllyWorkFigures counter_stop(Counter *self)
{
	ProllyWorkFigures figures;

	prolly_work_get_figures(self->work, &figures);
	prolly_store_unref(self->context.store);
	prolly_work_unref(self->work);
	return figures;
}

static void fill_key(char key[32], uint32_t number)
{
	g_snprintf(key, 32, "user/%08u/profile/nm", number);
}

typedef struct {
	uint32_t next, n;
	char key[32];
	char value[101];
} Numbers;

static bool next_number(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Numbers *self = data;

	*out_end = self->next == self->n;
	fill_key(self->key, 2 * self->next);
	g_snprintf(self->value, sizeof(self->value), "%0100u", self->next++);
	*out_edit = (ProllyEdit){(const uint8_t *)self->key, 24, (const uint8_t *)self->value, 100};
	return true;
}

static void site_start(Site *self, uint32_t n)
{
	Numbers numbers = {.n = n};
	Counter counter;

	self->n = n;
	tree_test_start(&self->test, default_parameters());
	counter_start(&counter, self);
	g_assert_true(prolly_tree_apply(&counter.context, NULL, next_number, &numbers, &self->tree,
					NULL));
	self->load = counter_stop(&counter);
	g_assert_true(
		prolly_tree_get_height(&self->test.context, &self->tree, &self->height, NULL));
	self->nodes = collect_nodes(&self->test.context, &self->tree);
}

static void site_stop(Site *self)
{
	g_hash_table_unref(self->nodes);
	tree_test_stop(&self->test);
}

static unsigned count_nodes(const Site *self)
{
	return g_hash_table_size(self->nodes);
}

/* How many of the nodes OF are not in FROM. */
static unsigned count_missing(GHashTable *of, GHashTable *from)
{
	GHashTableIter iter;
	gpointer hash;
	unsigned n = 0;

	g_hash_table_iter_init(&iter, of);
	while (g_hash_table_iter_next(&iter, &hash, NULL))
		n += !g_hash_table_contains(from, hash);
	return n;
}

/* A load reads nothing, and makes and hashes each node of the tree once. */
static void test_load(gconstpointer data)
{
	const Site *site = data;
	const ProllyWorkFigures *load = &site->load;

	g_test_message("%u nodes of %" G_GUINT64_FORMAT " bytes", count_nodes(site),
		       load->bytes_written);
	g_assert_cmpuint(load->nodes_read, ==, 0);
	g_assert_cmpuint(load->nodes_written, ==, count_nodes(site));
	g_assert_cmpuint(load->nodes_hashed, ==, count_nodes(site));
	g_assert_cmpuint(load->bytes_written, <, site->tree.bytes * 11 / 10);
}

/* ---- Single edits ------------------------------------------------------------------------ */

/* RESIZE is an update by a value of another length: it may move cuts. */
typedef enum { INSERT, UPDATE, RESIZE, DELETE } EditKind;

/* What N_EDITS single edits of the tree cost, each by itself; of nodes written the greatest last. */
typedef struct {
	uint64_t written[N_EDITS];
	double mean_written, mean_bytes;
} EditCosts;

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void count_edits(const Site *site, EditKind kind, EditCosts *out_costs)
{
	Random random = random_start((uint64_t)kind + 1);
	g_autofree char *value = g_strnfill(100, 'x');
	uint64_t written = 0, bytes = 0;

	for (int i = 0; i < N_EDITS; i++) {
		char key[32];
		ProllyEdit edit = {(const uint8_t *)key, 24, (const uint8_t *)value, 100};
		ProllyWorkFigures figures;
		ProllyTree tree;
		Counter counter;

		fill_key(key, 2 * random_below(&random, site->n) + (kind == INSERT));
		edit.value = kind == DELETE ? NULL : edit.value;
		edit.value_len = kind == RESIZE ? 30 : 100;
		counter_start(&counter, site);
		g_assert_true(prolly_tree_apply_array(&counter.context, &site->tree, &edit, 1,
						      &tree, NULL));
		figures = counter_stop(&counter);
		g_assert_false(prolly_tree_equal(&tree, &site->tree));
		g_assert_cmpuint(figures.nodes_hashed, ==, figures.nodes_written);
		g_assert_cmpuint(figures.nodes_read, <=, site->height + figures.nodes_written);
		out_costs->written[i] = figures.nodes_written;
		written += figures.nodes_written;
		bytes += figures.bytes_written;
	}
	qsort(out_costs->written, N_EDITS, sizeof(uint64_t), compare_numbers);
	out_costs->mean_written = (double)written / N_EDITS;
	out_costs->mean_bytes = (double)bytes / N_EDITS;
	g_test_message("%.2f nodes and %.0f bytes in the mean, %" G_GUINT64_FORMAT
		       " nodes at the 99th percentile, %" G_GUINT64_FORMAT " at most",
		       out_costs->mean_written, out_costs->mean_bytes,
		       out_costs->written[N_EDITS * 99 / 100], out_costs->written[N_EDITS - 1]);
}

/* An edit writes its path, and at the 99th percentile a few nodes more; an update that moves no cut
 * its path alone. */
static void test_edits(gconstpointer data)
{
	const Site *site = data;
	static const unsigned more[] = {[INSERT] = 5, [UPDATE] = 0, [RESIZE] = 5, [DELETE] = 6};

	for (EditKind kind = INSERT; kind <= DELETE; kind++) {
		EditCosts costs;

		count_edits(site, kind, &costs);
		g_assert_cmpuint(costs.written[N_EDITS * 99 / 100], <=, site->height + more[kind]);
		g_assert_cmpfloat(costs.mean_written, <, site->height + 0.6);
		g_assert_cmpfloat(costs.mean_bytes, <, 14000);
		if (kind == UPDATE)
			g_assert_cmpuint(costs.written[N_EDITS - 1], ==, site->height);
	}
}

/* A hundred times the entries cost an edit a level, and nothing else. */
static void test_growth(gconstpointer data)
{
	const Site *site = data;
	EditCosts costs, small_costs;
	Site small;

	site_start(&small, N_SMALL);
	count_edits(site, INSERT, &costs);
	count_edits(&small, INSERT, &small_costs);
	g_assert_cmpfloat(costs.mean_written - small_costs.mean_written, <,
			  site->height - small.height + 0.3);
	site_stop(&small);
}

/* Edits that change nothing write nothing and hash nothing, however many, and read their paths. */
static void test_nothing(gconstpointer data)
{
	const Site *site = data;
	enum { N = 1000 };
	g_autofree ProllyEdit *edits = g_new0(ProllyEdit, N);
	g_autofree char *keys = g_malloc(N * 32), *values = g_malloc(N * 101);
	ProllyWorkFigures figures;
	ProllyTree tree;
	Counter counter;

	for (uint32_t i = 0; i < N; i++) {
		char *key = keys + 32 * (size_t)i, *value = values + 101 * (size_t)i;
		uint32_t number = i * (N_KEYS / N);

		fill_key(key, 2 * number + i % 2);
		g_snprintf(value, 101, "%0100u", number);
		edits[i] = (ProllyEdit){(uint8_t *)key, 24, i % 2 ? NULL : (uint8_t *)value, 100};
	}
	counter_start(&counter, site);
	g_assert_true(
		prolly_tree_apply_array(&counter.context, &site->tree, edits, N, &tree, NULL));
	g_assert_true(prolly_tree_equal(&tree, &site->tree));
	g_assert_true(prolly_tree_apply_array(&counter.context, &site->tree, NULL, 0, &tree, NULL));
	g_assert_true(prolly_tree_equal(&tree, &site->tree));
	figures = counter_stop(&counter);
	g_assert_cmpuint(figures.nodes_written, ==, 0);
	g_assert_cmpuint(figures.nodes_hashed, ==, 0);
	g_assert_cmpuint(figures.nodes_read, <=, N * site->height);
}

/* ---- Batches ----------------------------------------------------------------------------- */

/* N keys that are not there; STEP apart, from FIRST. What setting (or deleting) them makes. */
static ProllyTree apply_steps(const ProllyTreeContext *context, const ProllyTree *tree,
			      uint32_t first, uint32_t step, uint32_t n)
{
	g_autofree ProllyEdit *edits = g_new0(ProllyEdit, n);
	g_autofree char *keys = g_malloc(n * 32);
	ProllyTree result;

	for (uint32_t i = 0; i < n; i++) {
		char *key = keys + 32 * (size_t)i;

		fill_key(key, first + step * i);
		edits[i] = (ProllyEdit){(uint8_t *)key, 24, (uint8_t *)key, 24};
	}
	g_assert_true(prolly_tree_apply_array(context, tree, edits, n, &result, NULL));
	return result;
}

/* Edits that are far apart write their leaves and what is above; a run of them a run of leaves. */
static void test_batches(gconstpointer data)
{
	const Site *site = data;
	const uint32_t n = 1000;
	ProllyWorkFigures figures;
	Counter counter;

	counter_start(&counter, site);
	apply_steps(&counter.context, &site->tree, 1, 2 * (N_KEYS / n), n);
	figures = counter_stop(&counter);
	g_test_message("scattered: %" G_GUINT64_FORMAT " read, %" G_GUINT64_FORMAT " written",
		       figures.nodes_read, figures.nodes_written);
	g_assert_cmpuint(figures.nodes_written, <, 2 * n);
	g_assert_cmpuint(figures.nodes_hashed, ==, figures.nodes_written);
	g_assert_cmpuint(figures.nodes_read, <, 2 * n);

	/* 172 KB of old and new entries: some 47 leaves, one or two of each level above, and where
	 * the run ends the way to the next cut. */
	counter_start(&counter, site);
	apply_steps(&counter.context, &site->tree, N_KEYS + 1, 2, n);
	figures = counter_stop(&counter);
	g_test_message("a run: %" G_GUINT64_FORMAT " read, %" G_GUINT64_FORMAT " written",
		       figures.nodes_read, figures.nodes_written);
	g_assert_cmpuint(figures.nodes_written, <=, 47 + 20);
	g_assert_cmpuint(figures.nodes_read, <=, 47 + 20);

	/* Appends rewrite the right spine alone. */
	counter_start(&counter, site);
	apply_steps(&counter.context, &site->tree, 2 * N_KEYS, 2, n);
	figures = counter_stop(&counter);
	g_assert_cmpuint(figures.nodes_written, <=, 24 + 20);
	g_assert_cmpuint(figures.nodes_read, <=, site->height);
}

/* A batch of a few entries here and there, and often behind the last. */
static GTree *random_batch(Random *random, uint32_t n)
{
	GTree *batch = model_new();

	for (uint32_t i = 1 + random_below(random, 4); i; i--) {
		uint32_t number = 2 * n - 2 * random_below(random, random_below(random, 2) ? n : 3);
		g_autofree char *key = g_strdup_printf("%06u", number);
		g_autofree char *value = g_strnfill(random_below(random, 40), 'y');

		model_set_text(batch, key, random_below(random, 3) ? value : NULL);
	}
	return batch;
}

/* What is written and hashed are the nodes that only the new tree has, each once. It is more where
 * all nodes at the right end, of several levels, ended with a cut, and something is appended: then
 * those above the leaf are made again, which is too rare to care. */
static void test_exact(gconstpointer data)
{
	Random random = random_start(10);
	unsigned rare = 0;
	TreeTest test;
	Site site;

	tree_test_start(&test, tiny_parameters());
	site.test = test;
	for (uint32_t n = 1; n < 500; n++) {
		g_autoptr(GTree) model = numbered_model(n);
		g_autoptr(GTree) batch = random_batch(&random, n);
		ProllyTree tree = apply_batch(&test.context, NULL, model), changed;
		g_autoptr(GHashTable) nodes = collect_nodes(&test.context, &tree);
		g_autoptr(GHashTable) changed_nodes = NULL;
		ProllyWorkFigures figures;
		Counter counter;

		counter_start(&counter, &site);
		changed = apply_batch(&counter.context, &tree, batch);
		figures = counter_stop(&counter);
		changed_nodes = collect_nodes(&test.context, &changed);
		rare += figures.nodes_written != count_missing(changed_nodes, nodes);
		g_assert_cmpuint(figures.nodes_hashed, ==, figures.nodes_written);
	}
	g_assert_cmpuint(rare, <=, 500 / 100);
	tree_test_stop(&test);
}

/* ---- Reads ------------------------------------------------------------------------------- */

/* Nothing is written or hashed, and no more than MOST nodes are read. */
static void assert_reads(Counter *counter, uint64_t most)
{
	ProllyWorkFigures figures = counter_stop(counter);

	g_assert_cmpuint(figures.nodes_written, ==, 0);
	g_assert_cmpuint(figures.nodes_hashed, ==, 0);
	g_assert_cmpuint(figures.nodes_read, <=, most);
}

/* A look-up of a key that is there, or is not, reads a node a level. */
static void test_look_up(gconstpointer data)
{
	const Site *site = data;
	Random random = random_start(20);

	for (int i = 0; i < 1000; i++) {
		g_auto(ProllyValueRef) value = {0};
		uint32_t number = random_below(&random, 2 * N_KEYS);
		char key[32];
		uint64_t rank;
		Counter counter;

		fill_key(key, number);
		counter_start(&counter, site);
		g_assert_true(
			prolly_tree_get(&counter.context, &site->tree, key, 24, &value, NULL));
		g_assert_true((value.node != NULL) == (number % 2 == 0));
		assert_reads(&counter, site->height);
		counter_start(&counter, site);
		g_assert_true(
			prolly_tree_rank(&counter.context, &site->tree, key, 24, &rank, NULL));
		g_assert_cmpuint(rank, ==, (number + 1) / 2);
		assert_reads(&counter, site->height);
	}
}

/* Many look-ups at once read the paths, and what paths share once. */
static void test_get_many(gconstpointer data)
{
	const Site *site = data;
	enum { N = 16 };
	char texts[N][32];
	ProllyKey keys[N];
	ProllyValueRef values[N] = {0};
	Counter counter;

	for (uint32_t i = 0; i < N; i++) {
		fill_key(texts[i], N_KEYS + 2 * i);
		keys[i] = (ProllyKey){texts[i], 24};
	}
	counter_start(&counter, site);
	g_assert_true(prolly_tree_get_many(&counter.context, &site->tree, keys, N, values, NULL));
	assert_reads(&counter, 2 * site->height);
	for (int i = 0; i < N; i++) {
		g_assert_nonnull(values[i].node);
		prolly_value_ref_clear(&values[i]);
	}
}

/* Wherever a cursor goes, it reads the way there: two leaves at the border between them. */
static void test_seeks(gconstpointer data)
{
	const Site *site = data;
	Random random = random_start(21);

	for (int i = 0; i < 1000; i++) {
		g_autoptr(ProllyCursor) cursor = NULL;
		uint32_t number = 1 + random_below(&random, 2 * N_KEYS - 2);
		char key[32];
		Counter counter;

		fill_key(key, number);
		counter_start(&counter, site);
		cursor = prolly_cursor_new(&counter.context, &site->tree);
		switch (i % 5) {
		case 0:
			g_assert_true(prolly_cursor_seek(cursor, key, 24, NULL));
			break;
		case 1:
			g_assert_true(prolly_cursor_seek_before(cursor, key, 24, NULL));
			break;
		case 2:
			g_assert_true(prolly_cursor_seek_rank(cursor, number / 2, NULL));
			break;
		case 3:
			g_assert_true(prolly_cursor_seek_first(cursor, NULL));
			break;
		default:
			g_assert_true(prolly_cursor_seek_last(cursor, NULL));
		}
		g_assert_true(prolly_cursor_is_valid(cursor));
		g_clear_pointer(&cursor, prolly_cursor_free);
		assert_reads(&counter, i % 5 == 1 ? 2 * site->height : site->height);
	}
}

/* A scan reads the range: its leaves, of which some have 30 entries, and what is above them. */
static void test_scans(gconstpointer data)
{
	const Site *site = data;
	static const uint32_t lengths[] = {1, 10, 100, 1000, 100000};

	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		for (int forward = 0; forward < 2; forward++) {
			g_autoptr(ProllyCursor) cursor = NULL;
			Counter counter;

			counter_start(&counter, site);
			cursor = prolly_cursor_new(&counter.context, &site->tree);
			g_assert_true(prolly_cursor_seek_rank(cursor, N_KEYS / 2, NULL));
			for (uint32_t n = 1; n < lengths[i]; n++)
				g_assert_true(forward ? prolly_cursor_next(cursor, NULL)
						      : prolly_cursor_prev(cursor, NULL));
			g_clear_pointer(&cursor, prolly_cursor_free);
			assert_reads(&counter, site->height + 3 + lengths[i] / 27);
		}
	}
}

/* Everything is read once. */
static void test_whole(gconstpointer data)
{
	const Site *site = data;
	g_autoptr(ProllyCursor) cursor = NULL;
	Counter counter;

	counter_start(&counter, site);
	cursor = prolly_cursor_new(&counter.context, &site->tree);
	for (bool end = false; !end;) {
		ProllyTreeEntry entry;

		g_assert_true(prolly_cursor_read(cursor, &entry, &end, NULL));
	}
	g_clear_pointer(&cursor, prolly_cursor_free);
	assert_reads(&counter, count_nodes(site));
	counter_start(&counter, site);
	g_assert_true(prolly_tree_verify(&counter.context, &site->tree, NULL));
	assert_reads(&counter, count_nodes(site));
}

/* A proof reads what is in it. */
static void test_proofs(gconstpointer data)
{
	const Site *site = data;
	ProllyKey key = {"user/00123456/profile/nm", 24};
	ProllyProofQuery one = {.keys = &key, .n = 1};
	ProllyProofQuery range = {.lower = key, .upper = {"user/00125456", 13}}; /* 1000 keys */
	g_autoptr(GBytes) of_one = NULL;
	g_autoptr(GBytes) of_range = NULL;
	Counter counter;

	counter_start(&counter, site);
	g_assert_true(prolly_proof_make(&counter.context, &site->tree, &one, &of_one, NULL));
	assert_reads(&counter, site->height);
	counter_start(&counter, site);
	g_assert_true(prolly_proof_make(&counter.context, &site->tree, &range, &of_range, NULL));
	assert_reads(&counter, site->height + 3 + 1000 / 27);
}

/* ---- Diff and merge ---------------------------------------------------------------------- */

/* The nodes that only one of the site's tree and TREE has. */
static unsigned count_alone(const Site *site, const ProllyTree *tree)
{
	g_autoptr(GHashTable) nodes = collect_nodes(&site->test.context, tree);

	return count_missing(nodes, site->nodes) + count_missing(site->nodes, nodes);
}

static uint32_t count_changes(const ProllyTreeContext *context, const ProllyTree *a,
			      const ProllyTree *b, const char *lower, const char *upper)
{
	g_autoptr(ProllyDiff) diff =
		prolly_diff_new(context, a, b, lower, lower ? 24 : 0, upper, upper ? 24 : 0);
	uint32_t n = 0;
	ProllyChange change;

	for (bool end = false; !end; n += !end)
		g_assert_true(prolly_diff_next(diff, &change, &end, NULL));
	return n;
}

/* A diff reads no subtree that both trees have, so none at all of equal ones. */
static void test_diffs(gconstpointer data)
{
	const Site *site = data;
	static const uint32_t numbers[] = {1, 100, 1000};
	Counter counter;

	counter_start(&counter, site);
	g_assert_cmpuint(count_changes(&counter.context, &site->tree, &site->tree, NULL, NULL), ==,
			 0);
	assert_reads(&counter, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
		uint32_t n = numbers[i], step = 2 * (N_KEYS / n);
		ProllyTree other = apply_steps(&site->test.context, &site->tree, 1001, step, n);
		unsigned alone = count_alone(site, &other);

		g_test_message("%u changes, %u nodes not shared", n, alone);
		g_assert_cmpuint(alone, <, 2 * n * (site->height + 1));
		counter_start(&counter, site);
		g_assert_cmpuint(count_changes(&counter.context, &site->tree, &other, NULL, NULL),
				 ==, n);
		assert_reads(&counter, alone);
		/* Of a range only what differs in it: here one change. */
		counter_start(&counter, site);
		g_assert_cmpuint(count_changes(&counter.context, &other, &site->tree,
					       "user/00001000/profile/nm",
					       "user/00001002/profile/nm"),
				 ==, 1);
		assert_reads(&counter, 2 * (site->height + 1));
	}
}

/* Of a range without a change only the tops are read: what both have ends it, and what differs behind
 * it is no business of its. */
static void test_range_diff(gconstpointer data)
{
	const Site *site = data;
	ProllyTree other = apply_steps(&site->test.context, &site->tree, 1001, N_KEYS - 2000, 2);
	Counter counter;

	counter_start(&counter, site);
	g_assert_cmpuint(count_changes(&counter.context, &other, &site->tree,
				       "user/00500000/profile/nm", "user/00500003/profile/nm"),
			 ==, 0);
	assert_reads(&counter, 2);
}

/* A merge of changes that have nothing to do with each other reads and writes what they changed. */
static void test_merge(gconstpointer data)
{
	const Site *site = data;
	const uint32_t n = 100, step = 2 * (N_KEYS / n);
	const ProllyTreeContext *context = &site->test.context;
	ProllyTree ours = apply_steps(context, &site->tree, 1, step, n);
	ProllyTree theirs = apply_steps(context, &site->tree, 1 + step / 2, step, n);
	unsigned alone = count_alone(site, &ours) + count_alone(site, &theirs);
	g_autoptr(GTree) steps = model_new();
	g_autoptr(ProllyMerge) merge = NULL;
	ProllyWorkFigures figures;
	ProllyMergeStep merge_step;
	Counter counter;

	counter_start(&counter, site);
	merge = prolly_merge_new(&counter.context, &site->tree, &ours, &theirs);
	for (bool end = false; !end;) {
		g_assert_true(prolly_merge_next(merge, &merge_step, &end, NULL));
		if (!end && merge_step.side == PROLLY_SIDE_THEIRS)
			model_set(steps, g_bytes_new(merge_step.key, merge_step.key_len),
				  g_bytes_new(merge_step.theirs, merge_step.theirs_len));
	}
	g_clear_pointer(&merge, prolly_merge_free);
	assert_reads(&counter, alone);
	g_assert_cmpint(g_tree_nnodes(steps), ==, n);
	counter_start(&counter, site);
	apply_batch(&counter.context, &ours, steps);
	figures = counter_stop(&counter);
	g_test_message("%u nodes changed; %" G_GUINT64_FORMAT " written by the merge", alone,
		       figures.nodes_written);
	g_assert_cmpuint(figures.nodes_written, <=, alone);
	g_assert_cmpuint(figures.nodes_hashed, ==, figures.nodes_written);
	g_assert_cmpuint(figures.nodes_read, <=, alone);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		GTestDataFunc function;
	} tests[] = {
		{"/tree/work/load", test_load},       {"/tree/work/edits", test_edits},
		{"/tree/work/growth", test_growth},   {"/tree/work/nothing", test_nothing},
		{"/tree/work/batches", test_batches}, {"/tree/work/exact", test_exact},
		{"/tree/work/look-up", test_look_up}, {"/tree/work/get-many", test_get_many},
		{"/tree/work/seeks", test_seeks},     {"/tree/work/scans", test_scans},
		{"/tree/work/whole", test_whole},     {"/tree/work/proofs", test_proofs},
		{"/tree/work/diffs", test_diffs},     {"/tree/work/range-diff", test_range_diff},
		{"/tree/work/merge", test_merge},
	};
	Site site;
	int status;

	g_test_init(&argc, &argv, NULL);
	site_start(&site, N_KEYS);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_data_func(tests[i].name, &site, tests[i].function);
	status = g_test_run();
	site_stop(&site);
	return status;
}
