/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences and three-way merges of trees, and what they read: exactly the nodes that one side
 * has alone.
 */
#include "tree-model.h"

/* ---- Random pairs ------------------------------------------------------------------------ */

static GBytes *make_value(Random *random)
{
	return random_bytes(random, random_below(random, 30));
}

static void fill_model(Random *random, GTree *model, int n)
{
	while (g_tree_nnodes(model) < n) {
		g_autofree char *key = g_strdup_printf("%u/%u", random_below(random, 40),
						       random_below(random, 1000));

		model_set(model, g_bytes_new(key, strlen(key)), make_value(random));
	}
}

/* Deletes a run of entries, which may be whole subtrees. */
static void delete_run(Random *random, GTree *model, GTree *batch)
{
	uint32_t length = random_below(random, 120);
	GTreeNode *node = g_tree_node_first(model);

	for (uint32_t skip = random_below(random, (uint32_t)g_tree_nnodes(model) + 1); skip; skip--)
		node = g_tree_node_next(node);
	while (node && length--) {
		model_set(batch, g_bytes_ref(g_tree_node_key(node)), NULL);
		node = g_tree_node_next(node);
	}
}

/* Inserts a run of entries into one gap. */
static void insert_run(Random *random, GTree *batch)
{
	uint32_t length = random_below(random, 120), where = random_below(random, 40);

	for (uint32_t i = 0; i < length; i++) {
		g_autofree char *key = g_strdup_printf("%u/%u", where, 500000 + i);

		model_set(batch, g_bytes_new(key, strlen(key)), make_value(random));
	}
}

static GTree *make_batch(Random *random, GTree *model)
{
	GTree *batch = model_new();
	uint32_t n = random_below(random, random_below(random, 3) ? 4 : 60);

	while (n--) {
		bool known = g_tree_nnodes(model) > 0 && random_below(random, 2);
		GBytes *key = known ? model_pick(random, model) : random_key(random);

		model_set(batch, key, random_below(random, 3) ? make_value(random) : NULL);
	}
	if (random_below(random, 4) == 0)
		delete_run(random, model, batch);
	if (random_below(random, 4) == 0)
		insert_run(random, batch);
	return batch;
}

/* ---- Diff -------------------------------------------------------------------------------- */

static bool same_value(GBytes *a, GBytes *b)
{
	return a && b ? g_bytes_equal(a, b) : a == b;
}

static bool in_range(GBytes *key, GBytes *lower, GBytes *upper)
{
	return (!lower || g_bytes_compare(key, lower) >= 0) &&
	       (!upper || g_bytes_compare(key, upper) < 0);
}

/* (transfer full) From B's keys that differ to what B has, NULL where nothing. */
static GTree *model_diff(GTree *a, GTree *b, GBytes *lower, GBytes *upper)
{
	GTree *changes = model_new();
	GTree *sides[] = {a, b};

	for (int i = 0; i < 2; i++) {
		for (GTreeNode *node = g_tree_node_first(sides[i]); node;
		     node = g_tree_node_next(node)) {
			GBytes *key = g_tree_node_key(node), *value = g_tree_lookup(b, key);

			if (!same_value(g_tree_lookup(a, key), value) &&
			    in_range(key, lower, upper))
				model_set(changes, g_bytes_ref(key),
					  value ? g_bytes_ref(value) : NULL);
		}
	}
	return changes;
}

static void assert_value(const uint8_t *data, size_t len, GBytes *expected)
{
	g_assert_cmpint(data != NULL, ==, expected != NULL);
	if (expected)
		assert_same_bytes(data, len, expected);
}

/* The diff from TREES[0] to TREES[1] is that of the models. */
static void check_diff(const ProllyTreeContext *context, const ProllyTree trees[2],
		       GTree *models[2], GBytes *lower, GBytes *upper)
{
	g_autoptr(GTree) expected = model_diff(models[0], models[1], lower, upper);
	g_autoptr(ProllyDiff) diff = NULL;
	GTreeNode *node = g_tree_node_first(expected);
	size_t lower_len = 0, upper_len = 0;
	const void *low = lower ? g_bytes_get_data(lower, &lower_len) : NULL;
	const void *high = upper ? g_bytes_get_data(upper, &upper_len) : NULL;
	ProllyChange change;
	bool end;

	diff = prolly_diff_new(context, &trees[0], &trees[1], lower && !low ? "" : low, lower_len,
			       upper && !high ? "" : high, upper_len);
	while (true) {
		g_assert_true(prolly_diff_next(diff, &change, &end, NULL));
		g_assert_cmpint(end, ==, node == NULL);
		if (end)
			break;
		assert_same_bytes(change.key, change.key_len, g_tree_node_key(node));
		assert_value(change.old_value, change.old_len,
			     g_tree_lookup(models[0], g_tree_node_key(node)));
		assert_value(change.new_value, change.new_len, g_tree_node_value(node));
		node = g_tree_node_next(node);
	}
	g_assert_true(prolly_diff_next(diff, &change, &end, NULL));
	g_assert_true(end);
}

/* How many nodes of A are not in B. */
static guint count_alone(GHashTable *a, GHashTable *b)
{
	GHashTableIter iter;
	gpointer hash;
	guint n = 0;

	g_hash_table_iter_init(&iter, a);
	while (g_hash_table_iter_next(&iter, &hash, NULL))
		n += !g_hash_table_contains(b, hash);
	return n;
}

/* A whole diff reads no more than the nodes which one side has alone. The tops are read anyhow. */
static void check_reads(const ProllyTreeContext *context, const ProllyTree trees[2])
{
	g_autoptr(GHashTable) a = collect_nodes(context, &trees[0]);
	g_autoptr(GHashTable) b = collect_nodes(context, &trees[1]);
	g_autoptr(ProllyWork) work = prolly_work_new();
	g_autoptr(ProllyStore) store = prolly_store_new_counting(context->store, work);
	ProllyTreeContext counting = {store, context->format};
	ProllyDiff *diff = prolly_diff_new(&counting, &trees[0], &trees[1], NULL, 0, NULL, 0);
	ProllyWorkFigures figures;
	ProllyChange change;
	guint alone = count_alone(a, b) + count_alone(b, a);
	bool end = false;

	alone += g_hash_table_contains(b, &trees[0].top) + g_hash_table_contains(a, &trees[1].top);
	while (!end)
		g_assert_true(prolly_diff_next(diff, &change, &end, NULL));
	prolly_diff_free(diff);
	prolly_work_get_figures(work, &figures);
	if (prolly_tree_equal(&trees[0], &trees[1]))
		alone = 0;
	g_assert_cmpuint(figures.nodes_read, <=, alone);
}

/* Pairs of trees that are some batches apart. */
static void run_diffs(ProllyFormatParameters parameters, uint64_t seed, int rounds, int most)
{
	Random random = random_start(seed);
	TreeTest test;

	tree_test_start(&test, parameters);
	for (int round = 0; round < rounds; round++) {
		g_autoptr(GTree) a = model_new();
		g_autoptr(GTree) b = NULL;
		GTree *models[2];
		ProllyTree trees[2];

		fill_model(&random, a, (int)random_below(&random, (uint32_t)most));
		b = model_copy(a);
		trees[0] = trees[1] = apply_batch(&test.context, NULL, a);
		for (uint32_t i = 0; i <= random_below(&random, 3); i++) {
			g_autoptr(GTree) batch = make_batch(&random, b);

			model_apply(b, batch);
			trees[1] = apply_batch(&test.context, &trees[1], batch);
		}
		models[0] = a;
		models[1] = b;
		for (int swap = 0; swap < 2; swap++) {
			g_autoptr(GTree) patch = model_diff(models[0], models[1], NULL, NULL);
			g_autoptr(GBytes) lower = random_key(&random);
			g_autoptr(GBytes) upper = model_pick(&random, g_tree_nnodes(a) ? a : b);
			ProllyTree patched = apply_batch(&test.context, &trees[0], patch);

			g_assert_true(prolly_tree_equal(&patched, &trees[1]));
			check_diff(&test.context, trees, models, NULL, NULL);
			check_diff(&test.context, trees, models, lower, NULL);
			check_diff(&test.context, trees, models, NULL, upper);
			check_diff(&test.context, trees, models, lower, upper);
			check_reads(&test.context, trees);
			models[0] = b;
			models[1] = a;
			patched = trees[0];
			trees[0] = trees[1];
			trees[1] = patched;
		}
	}
	tree_test_stop(&test);
}

static void test_diff_tiny(void)
{
	run_diffs(tiny_parameters(), 11, 1000, 500);
}

static void test_diff_deepest(void)
{
	ProllyFormatParameters parameters = tiny_parameters();

	parameters.min = 1;
	parameters.max = 100;
	parameters.scale_shift = 5;
	run_diffs(parameters, 12, 200, 300);
}

static void test_diff_default(void)
{
	run_diffs(default_parameters(), 13, 20, 6000);
}

/* Trees that have nothing, or everything, in common, of any heights. */
static void test_diff_heights(void)
{
	static const int sizes[] = {0, 1, 2, 10, 100, 600};
	Random random = random_start(14);
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		for (size_t j = 0; j < G_N_ELEMENTS(sizes); j++) {
			g_autoptr(GTree) a = model_new();
			g_autoptr(GTree) b = model_new();
			GTree *models[2] = {a, b};
			ProllyTree trees[2];

			fill_model(&random, a, sizes[i]);
			fill_model(&random, b, sizes[j]);
			trees[0] = apply_batch(&test.context, NULL, a);
			trees[1] = apply_batch(&test.context, NULL, b);
			check_diff(&test.context, trees, models, NULL, NULL);
			check_reads(&test.context, trees);
		}
	}
	tree_test_stop(&test);
}

typedef struct {
	uint32_t n;
	char key[32];
} Numbers;

static bool next_number(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Numbers *numbers = data;

	*out_end = numbers->n == 100000;
	g_snprintf(numbers->key, sizeof(numbers->key), "user/%08u/profile/nm", numbers->n++);
	*out_edit =
		(ProllyEdit){(const uint8_t *)numbers->key, 24, (const uint8_t *)numbers->key, 24};
	return true;
}

/* One change among 100,000 entries costs the two paths. */
static void test_diff_of_one(void)
{
	ProllyEdit edit = {(const uint8_t *)"user/00050000/profile/nm", 24,
			   (const uint8_t *)"user/00000000/profile/nm", 24};
	g_autoptr(ProllyWork) work = prolly_work_new();
	g_autoptr(ProllyStore) counting = NULL;
	g_autoptr(ProllyDiff) diff = NULL;
	ProllyWorkFigures figures;
	Numbers numbers = {0};
	ProllyTree a, b;
	ProllyChange change;
	unsigned height;
	TreeTest test;
	bool end;

	tree_test_start(&test, default_parameters());
	g_assert_true(prolly_tree_apply(&test.context, NULL, next_number, &numbers, &a, NULL));
	g_assert_true(prolly_tree_apply_array(&test.context, &a, &edit, 1, &b, NULL));
	g_assert_true(prolly_tree_get_height(&test.context, &a, &height, NULL));
	counting = prolly_store_new_counting(test.store, work);
	diff = prolly_diff_new(&(ProllyTreeContext){counting, test.format}, &a, &b, NULL, 0, NULL,
			       0);
	g_assert_true(prolly_diff_next(diff, &change, &end, NULL));
	g_assert_cmpmem(change.key, change.key_len, edit.key, edit.key_len);
	g_assert_true(prolly_diff_next(diff, &change, &end, NULL));
	g_assert_true(end);
	prolly_work_get_figures(work, &figures);
	g_assert_cmpuint(figures.nodes_read, ==, 2 * height);
	g_clear_pointer(&diff, prolly_diff_free);
	tree_test_stop(&test);
}

/* ---- Merge ------------------------------------------------------------------------------- */

/* What side a key's values make. FALSE: nobody changed it. */
static bool classify(GBytes *base, GBytes *ours, GBytes *theirs, ProllyMergeSide *out_side)
{
	bool by_us = !same_value(base, ours), by_them = !same_value(base, theirs);

	if (by_us && by_them)
		*out_side = same_value(ours, theirs) ? PROLLY_SIDE_SAME : PROLLY_SIDE_BOTH;
	else
		*out_side = by_us ? PROLLY_SIDE_OURS : PROLLY_SIDE_THEIRS;
	return by_us || by_them;
}

/* (transfer full) Every key of the three models. */
static GTree *all_keys(GTree *const models[3])
{
	GTree *keys = model_new();

	for (int i = 0; i < 3; i++) {
		for (GTreeNode *node = g_tree_node_first(models[i]); node;
		     node = g_tree_node_next(node))
			model_set(keys, g_bytes_ref(g_tree_node_key(node)), NULL);
	}
	return keys;
}

/* Compares the steps with the models'; BATCH gets what leads from ours to the merge, theirs
 * winning. */
static void check_steps(const ProllyTreeContext *context, const ProllyTree trees[3],
			GTree *const models[3], GTree *batch)
{
	g_autoptr(GTree) keys = all_keys(models);
	g_autoptr(ProllyMerge) merge = prolly_merge_new(context, &trees[0], &trees[1], &trees[2]);
	ProllyMergeStep step;
	bool end;

	for (GTreeNode *node = g_tree_node_first(keys); node; node = g_tree_node_next(node)) {
		GBytes *key = g_tree_node_key(node), *values[3];
		ProllyMergeSide side;

		for (int i = 0; i < 3; i++)
			values[i] = g_tree_lookup(models[i], key);
		if (!classify(values[0], values[1], values[2], &side))
			continue;
		g_assert_true(prolly_merge_next(merge, &step, &end, NULL));
		g_assert_false(end);
		g_assert_cmpint(step.side, ==, side);
		assert_same_bytes(step.key, step.key_len, key);
		assert_value(step.base, step.base_len, values[0]);
		assert_value(step.ours, step.ours_len, values[1]);
		assert_value(step.theirs, step.theirs_len, values[2]);
		if (side == PROLLY_SIDE_THEIRS || side == PROLLY_SIDE_BOTH)
			model_set(batch, g_bytes_ref(key),
				  values[2] ? g_bytes_ref(values[2]) : NULL);
	}
	g_assert_true(prolly_merge_next(merge, &step, &end, NULL));
	g_assert_true(end);
}

static void test_merge_laws(void)
{
	Random random = random_start(15);
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	for (int round = 0; round < 500; round++) {
		g_autoptr(GTree) base = model_new();
		g_autoptr(GTree) ours = NULL;
		g_autoptr(GTree) theirs = NULL;
		g_autoptr(GTree) to_theirs = model_new();
		g_autoptr(GTree) to_ours = model_new();
		ProllyTree trees[3], merged, swapped;

		fill_model(&random, base, (int)random_below(&random, 400));
		ours = model_copy(base);
		theirs = model_copy(base);
		for (int i = 0; i < 3; i++) { /* the last batch is both sides' */
			g_autoptr(GTree) batch = make_batch(&random, base);

			model_apply(i == 1 ? theirs : ours, batch);
			if (i == 2)
				model_apply(theirs, batch);
		}
		trees[0] = apply_batch(&test.context, NULL, base);
		trees[1] = apply_batch(&test.context, NULL, ours);
		trees[2] = apply_batch(&test.context, NULL, theirs);
		check_steps(&test.context, trees, (GTree *[]){base, ours, theirs}, to_theirs);
		merged = apply_batch(&test.context, &trees[1], to_theirs);
		model_apply(ours, to_theirs);
		assert_canonical(&test.context, &merged, ours);

		/* The other way round it is the same, where theirs does not win over ours. */
		check_steps(&test.context, (ProllyTree[]){trees[0], trees[2], merged},
			    (GTree *[]){base, theirs, ours}, to_ours);
		swapped = apply_batch(&test.context, &trees[2], to_ours);
		g_assert_true(prolly_tree_equal(&merged, &swapped));
	}
	tree_test_stop(&test);
}

/* Merging with the base itself, and with itself, changes nothing and reads nothing twice. */
static void test_merge_trivial(void)
{
	Random random = random_start(16);
	g_autoptr(GTree) a = model_new();
	g_autoptr(GTree) b = NULL;
	g_autoptr(GTree) batch = NULL;
	TreeTest test;
	ProllyTree x, y;

	tree_test_start(&test, tiny_parameters());
	fill_model(&random, a, 300);
	b = model_copy(a);
	batch = make_batch(&random, a);
	model_apply(b, batch);
	x = apply_batch(&test.context, NULL, a);
	y = apply_batch(&test.context, NULL, b);
	for (int i = 0; i < 4; i++) {
		ProllyTree trees[3] = {x, i & 1 ? y : x, i & 2 ? y : x};
		GTree *models[3] = {a, i & 1 ? b : a, i & 2 ? b : a};
		g_autoptr(GTree) steps = model_new();
		ProllyTree merged;

		check_steps(&test.context, trees, models, steps);
		merged = apply_batch(&test.context, &trees[1], steps);
		g_assert_true(prolly_tree_equal(&merged, i ? &y : &x));
	}
	tree_test_stop(&test);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/diff/tiny", test_diff_tiny);
	g_test_add_func("/tree/diff/deepest", test_diff_deepest);
	g_test_add_func("/tree/diff/default", test_diff_default);
	g_test_add_func("/tree/diff/heights", test_diff_heights);
	g_test_add_func("/tree/diff/of-one", test_diff_of_one);
	g_test_add_func("/tree/merge/laws", test_merge_laws);
	g_test_add_func("/tree/merge/trivial", test_merge_trivial);
	return g_test_run();
}
