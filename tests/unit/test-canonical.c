/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One contents, one root. Random contents are reached in every way that there is, from anywhere:
 * single edits and batches in any order, appends, detours over more and over other entries, through
 * nothing, by patches, merges and stores that were closed. Each must end at the tree that the
 * reference (tree-model.h) makes of the contents. (test-injective.c is the other way round: one
 * root, one contents.)
 *
 * A *journey* is one contents, another one to come from, and all ways between them, under
 * parameters of its own; it has a seed of its own too, which is printed if it fails. Of the
 * environment: PROLLY_TEST_SEED begins elsewhere, PROLLY_TEST_ROUNDS=N makes N thousand journeys (4;
 * with PROLLYFS_LONG 80).
 */
#include "tree-model.h"

#include <glib/gstdio.h>

#include "blob/blob.h"
#include "store/db.h"

static unsigned get_rounds(unsigned rounds)
{
	const char *given = g_getenv("PROLLY_TEST_ROUNDS");
	unsigned times = g_getenv("PROLLYFS_LONG") ? 80 : 4;

	if (given)
		times = (unsigned)g_ascii_strtoull(given, NULL, 10);
	return times * rounds;
}

/* ---- Contents ---------------------------------------------------------------------------- */

/* Nodes of a few entries, in all shapes: wide and narrow limits, cuts that are rare and frequent. */
static ProllyFormatParameters random_parameters(Random *random)
{
	static const uint32_t spans[] = {8, 64, 512, 4096};
	static const uint32_t inline_limits[] = {0, 16, 64, 700};
	ProllyFormatParameters parameters = tiny_parameters();

	parameters.min = 1 + random_below(random, 64);
	parameters.max = parameters.min + 1 +
			 random_below(random, spans[random_below(random, G_N_ELEMENTS(spans))]);
	parameters.scale_shift = 4 + random_below(random, 5);
	parameters.inline_limit = inline_limits[random_below(random, G_N_ELEMENTS(inline_limits))];
	parameters.chunk_min = 64;
	parameters.chunk_average = 256;
	parameters.chunk_max = 1024;
	return parameters;
}

typedef struct {
	Random random;
	TreeTest test;
	GTree *target; /* the contents to reach */
	GTree *other;  /* where some ways begin */
	ProllyTree expected, other_tree;
	unsigned n_trees; /* made on the way */
} Journey;

/* A length at or about one of the limits, or a short one. */
static size_t random_length(Random *random, const ProllyFormatParameters *p)
{
	const uint32_t limits[] = {p->min, p->max, p->inline_limit};
	uint32_t around;

	if (random_below(random, 12) > 0)
		return random_below(random, 16);
	around = limits[random_below(random, G_N_ELEMENTS(limits))] + random_below(random, 4);
	return around > 2 ? around - 2 : 0;
}

/* (transfer full) A stored value: inline or a blob, as the limit says. */
static GBytes *random_value(Journey *self)
{
	const ProllyFormatParameters *p = prolly_format_get_parameters(self->test.format);
	size_t len = random_length(&self->random, p);
	g_autoptr(GBytes) content = random_bytes(&self->random, len);
	GBytes *stored;

	g_assert_true(prolly_value_store(&self->test.context, PROLLY_KIND_FILE,
					 g_bytes_get_data(content, NULL), len, &stored, NULL));
	return stored;
}

/* (transfer full) Mostly short, so that keys meet; now and then as long as a node. */
static GBytes *journey_key(Journey *self)
{
	const ProllyFormatParameters *p = prolly_format_get_parameters(self->test.format);

	if (random_below(&self->random, 50) > 0)
		return random_key(&self->random);
	return random_bytes(&self->random, random_length(&self->random, p));
}

static GTree *random_contents(Journey *self, uint32_t n)
{
	GTree *model = model_new();

	while (n--)
		model_set(model, journey_key(self), random_value(self));
	return model;
}

/* (transfer full) The entries of MODEL in random order, which are borrowed. */
static GPtrArray *shuffle(Random *random, GTree *model)
{
	GPtrArray *nodes = g_ptr_array_new();

	for (GTreeNode *node = g_tree_node_first(model); node; node = g_tree_node_next(node))
		g_ptr_array_add(nodes, node);
	for (guint i = nodes->len; i > 1; i--) {
		guint j = random_below(random, i);
		gpointer node = nodes->pdata[i - 1];

		nodes->pdata[i - 1] = nodes->pdata[j];
		nodes->pdata[j] = node;
	}
	return nodes;
}

static void batch_set(GTree *batch, GTreeNode *node, bool delete)
{
	model_set(batch, g_bytes_ref(g_tree_node_key(node)),
		  delete ? NULL : g_bytes_ref(g_tree_node_value(node)));
}

/* ---- Steps ------------------------------------------------------------------------------- */

static ProllyTree start_empty(Journey *self)
{
	ProllyTree tree;

	g_assert_true(prolly_tree_init_empty(&self->test.context, &tree, NULL));
	return tree;
}

static void step(Journey *self, ProllyTree *tree, GTree *batch)
{
	*tree = apply_batch(&self->test.context, tree, batch);
	self->n_trees++;
}

/* Sets (or deletes) the entries NODES, one after the other, MOST at a time or fewer. */
static void step_through(Journey *self, ProllyTree *tree, GPtrArray *nodes, uint32_t most,
			 bool delete)
{
	for (guint i = 0; i < nodes->len;) {
		g_autoptr(GTree) batch = model_new();
		uint32_t n = 1 + random_below(&self->random, most);

		for (; n > 0 && i < nodes->len; n--)
			batch_set(batch, nodes->pdata[i++], delete);
		step(self, tree, batch);
	}
}

/* (transfer full) What is to be done to get from one model to another. */
static GTree *make_difference(GTree *from, GTree *to)
{
	GTree *batch = model_copy(to);

	for (GTreeNode *node = g_tree_node_first(from); node; node = g_tree_node_next(node)) {
		GBytes *value = g_tree_lookup(to, g_tree_node_key(node));

		if (!value)
			batch_set(batch, node, true);
		else if (g_bytes_equal(value, g_tree_node_value(node)))
			g_tree_remove(batch, g_tree_node_key(node));
	}
	return batch;
}

/* ---- Ways: edits ------------------------------------------------------------------------- */

static ProllyTree go_in_bulk(Journey *self)
{
	self->n_trees++;
	return apply_batch(&self->test.context, NULL, self->target);
}

static ProllyTree go_one_by_one(Journey *self)
{
	g_autoptr(GPtrArray) nodes = shuffle(&self->random, self->target);
	ProllyTree tree = start_empty(self);

	step_through(self, &tree, nodes, 1, false);
	return tree;
}

static ProllyTree go_in_batches(Journey *self)
{
	g_autoptr(GPtrArray) nodes = shuffle(&self->random, self->target);
	ProllyTree tree = start_empty(self);

	step_through(self, &tree, nodes, 20, false);
	return tree;
}

static ProllyTree go_in_order(Journey *self, bool ascending, uint32_t most)
{
	g_autoptr(GPtrArray) nodes = g_ptr_array_new();
	ProllyTree tree = start_empty(self);

	for (GTreeNode *node = ascending ? g_tree_node_first(self->target)
					 : g_tree_node_last(self->target);
	     node; node = ascending ? g_tree_node_next(node) : g_tree_node_previous(node))
		g_ptr_array_add(nodes, node);
	step_through(self, &tree, nodes, most, false);
	return tree;
}

static ProllyTree go_by_appends(Journey *self)
{
	return go_in_order(self, true, 1 + random_below(&self->random, 12));
}

static ProllyTree go_by_prepends(Journey *self)
{
	return go_in_order(self, false, 1 + random_below(&self->random, 12));
}

/* There is more at first, up to levels more, and it goes away entry by entry or in batches. */
static ProllyTree go_by_detour(Journey *self)
{
	uint32_t n = random_below(&self->random, random_below(&self->random, 8) ? 30 : 300);
	g_autoptr(GTree) more = random_contents(self, n);
	g_autoptr(GTree) all = model_copy(self->target);
	g_autoptr(GPtrArray) extra = NULL;
	ProllyTree tree;

	for (GTreeNode *node = g_tree_node_first(self->target); node; node = g_tree_node_next(node))
		g_tree_remove(more, g_tree_node_key(node));
	model_apply(all, more);
	tree = apply_batch(&self->test.context, NULL, all);
	extra = shuffle(&self->random, more);
	step_through(self, &tree, extra, 1 + random_below(&self->random, 20), true);
	return tree;
}

/* All keys are there, with values of other lengths. */
static ProllyTree go_by_other_values(Journey *self)
{
	g_autoptr(GTree) wrong = model_new();
	g_autoptr(GPtrArray) nodes = shuffle(&self->random, self->target);
	ProllyTree tree;

	for (guint i = 0; i < nodes->len; i++)
		model_set(wrong, g_bytes_ref(g_tree_node_key(nodes->pdata[i])), random_value(self));
	tree = apply_batch(&self->test.context, NULL, wrong);
	step_through(self, &tree, nodes, 1 + random_below(&self->random, 10), false);
	return tree;
}

static ProllyTree go_from_other(Journey *self)
{
	g_autoptr(GTree) batch = make_difference(self->other, self->target);
	ProllyTree tree = self->other_tree;

	step(self, &tree, batch);
	return tree;
}

static ProllyTree go_through_nothing(Journey *self)
{
	g_autoptr(GPtrArray) nodes = shuffle(&self->random, self->other);
	ProllyTree tree = self->other_tree, empty = start_empty(self);

	step_through(self, &tree, nodes, 1 + (uint32_t)nodes->len, true);
	g_assert_true(prolly_tree_equal(&tree, &empty));
	step(self, &tree, self->target);
	return tree;
}

/* ---- Ways: boundaries -------------------------------------------------------------------- */

/* Adds to BATCH the deletion of the last key of every node of LEVEL below VIEW. */
static void delete_last_keys(const ProllyTreeContext *context, const ProllyNodeView *view,
			     unsigned level, GTree *batch)
{
	for (uint32_t i = 0; view->level > level && i < view->count; i++) {
		ProllyNodeKey key = node_get_key(view, i);
		GByteArray *whole = g_byte_array_new();

		if (view->level > level + 1) {
			const ProllyNodeView *child;
			g_autoptr(ProllyNode) node =
				prolly_path_load_child(context, view, i, &child, NULL);

			delete_last_keys(context, child, level, batch);
		}
		g_byte_array_append(whole, key.prefix, (guint)key.prefix_len);
		g_byte_array_append(whole, key.suffix, (guint)key.suffix_len);
		model_set(batch, g_byte_array_free_to_bytes(whole), NULL);
	}
}

/* The keys after which nodes were cut go away, all at once or one by one, and come back. */
static ProllyTree go_over_boundaries(Journey *self)
{
	const ProllyTreeContext *context = &self->test.context;
	const ProllyNodeView *view;
	ProllyTree tree = self->expected, without;
	g_autoptr(ProllyNode) top = prolly_path_load_top(context, &tree, &view, NULL);
	g_autoptr(GTree) batch = model_new();
	g_autoptr(GTree) left = model_copy(self->target);
	g_autoptr(GTree) back = NULL;
	g_autoptr(GPtrArray) nodes = NULL;

	delete_last_keys(context, view, view->level > 1 ? random_below(&self->random, 2) : 0,
			 batch);
	model_apply(left, batch);
	without = reference_build(context, left);
	nodes = shuffle(&self->random, batch);
	step_through(self, &tree, nodes, random_below(&self->random, 2) ? 1 : 1000, true);
	g_assert_true(prolly_tree_equal(&tree, &without));
	back = make_difference(left, self->target);
	step(self, &tree, back);
	return tree;
}

/* The first and the last key go away and come back. */
static ProllyTree go_over_ends(Journey *self)
{
	ProllyTree tree = self->expected;

	for (int end = 0; end < 3 && g_tree_nnodes(self->target) > 0; end++) {
		g_autoptr(GTree) batch = model_new();
		g_autoptr(GTree) back = model_new();

		if (end != 1)
			batch_set(batch, g_tree_node_first(self->target), true);
		if (end != 0)
			batch_set(batch, g_tree_node_last(self->target), true);
		step(self, &tree, batch);
		if (end != 1)
			batch_set(back, g_tree_node_first(self->target), false);
		if (end != 0)
			batch_set(back, g_tree_node_last(self->target), false);
		step(self, &tree, back);
	}
	return tree;
}

/* ---- Ways: patches and merges ------------------------------------------------------------ */

/* Reads DIFF into BATCH, forwards or (REVERSE) as what undoes it. */
static void read_diff(ProllyDiff *diff, bool reverse, GTree *batch)
{
	g_autoptr(GError) error = NULL;
	ProllyChange change;
	bool end;

	while (prolly_diff_next(diff, &change, &end, &error) && !end) {
		const uint8_t *value = reverse ? change.old_value : change.new_value;
		size_t len = reverse ? change.old_len : change.new_len;

		model_set(batch, g_bytes_new(change.key, change.key_len),
			  value ? g_bytes_new(value, len) : NULL);
	}
	g_assert_no_error(error);
}

static ProllyTree go_by_patch(Journey *self)
{
	bool reverse = random_below(&self->random, 2);
	const ProllyTree *from = &self->other_tree, *to = &self->expected;
	g_autoptr(ProllyDiff) diff = prolly_diff_new(&self->test.context, reverse ? to : from,
						     reverse ? from : to, NULL, 0, NULL, 0);
	g_autoptr(GTree) batch = model_new();
	ProllyTree tree = self->other_tree;

	read_diff(diff, reverse, batch);
	step(self, &tree, batch);
	return tree;
}

/* The ranges between random bounds, each patched by itself, in random order. */
static ProllyTree go_by_range_patches(Journey *self)
{
	g_autoptr(GTree) bounds = model_new();
	g_autoptr(GPtrArray) lowers = NULL;
	ProllyTree tree = self->other_tree;

	model_set(bounds, g_bytes_new(NULL, 0), NULL);
	for (uint32_t n = random_below(&self->random, 6); n; n--)
		model_set(bounds, random_key(&self->random), NULL);
	lowers = shuffle(&self->random, bounds);
	for (guint i = 0; i < lowers->len; i++) {
		GTreeNode *next = g_tree_node_next(lowers->pdata[i]);
		g_autoptr(ProllyDiff) diff = NULL;
		g_autoptr(GTree) batch = model_new();
		size_t lower_len, upper_len = 0;
		const void *lower = g_bytes_get_data(g_tree_node_key(lowers->pdata[i]), &lower_len);
		const void *upper =
			next ? g_bytes_get_data(g_tree_node_key(next), &upper_len) : NULL;

		diff = prolly_diff_new(&self->test.context, &self->other_tree, &self->expected,
				       lower, lower_len, upper, upper_len);
		read_diff(diff, false, batch);
		step(self, &tree, batch);
	}
	return tree;
}

/* Base is the other contents; each change to the target was made by ours, by theirs or by both. */
static ProllyTree go_by_merge(Journey *self)
{
	const ProllyTreeContext *context = &self->test.context;
	g_autoptr(GTree) changes = make_difference(self->other, self->target);
	g_autoptr(GTree) of_ours = model_new();
	g_autoptr(GTree) of_theirs = model_new();
	g_autoptr(GTree) steps = model_new();
	g_autoptr(ProllyMerge) merge = NULL;
	g_autoptr(GError) error = NULL;
	ProllyTree ours, theirs;
	ProllyMergeStep merge_step;
	bool end;

	for (GTreeNode *node = g_tree_node_first(changes); node; node = g_tree_node_next(node)) {
		uint32_t who = random_below(&self->random, 3);

		if (who != 0)
			batch_set(of_ours, node, !g_tree_node_value(node));
		if (who != 1)
			batch_set(of_theirs, node, !g_tree_node_value(node));
	}
	ours = apply_batch(context, &self->other_tree, of_ours);
	theirs = apply_batch(context, &self->other_tree, of_theirs);
	merge = prolly_merge_new(context, &self->other_tree, &ours, &theirs);
	while (prolly_merge_next(merge, &merge_step, &end, &error) && !end) {
		g_assert_cmpint(merge_step.side, !=, PROLLY_SIDE_BOTH);
		if (merge_step.side == PROLLY_SIDE_THEIRS)
			model_set(steps, g_bytes_new(merge_step.key, merge_step.key_len),
				  merge_step.theirs
					  ? g_bytes_new(merge_step.theirs, merge_step.theirs_len)
					  : NULL);
	}
	g_assert_no_error(error);
	step(self, &ours, steps);
	return ours;
}

/* ---- All ways ---------------------------------------------------------------------------- */

static const struct {
	const char *name;
	ProllyTree (*go)(Journey *self);
} ways[] = {
	{"in bulk", go_in_bulk},
	{"one by one", go_one_by_one},
	{"in batches", go_in_batches},
	{"by appends", go_by_appends},
	{"by prepends", go_by_prepends},
	{"by a detour over more", go_by_detour},
	{"by other values", go_by_other_values},
	{"from other contents", go_from_other},
	{"through nothing", go_through_nothing},
	{"over boundaries", go_over_boundaries},
	{"over both ends", go_over_ends},
	{"by a patch", go_by_patch},
	{"by patches of ranges", go_by_range_patches},
	{"by a merge", go_by_merge},
};

/* Contents, and others that have much, little or nothing in common with them. */
static void choose_contents(Journey *self)
{
	uint32_t most = random_below(&self->random, 10) ? 60 : 400, shared;
	GTreeNode *node;

	self->target = random_contents(self, random_below(&self->random, most));
	self->other = random_contents(self, random_below(&self->random, 20));
	shared = random_below(&self->random, (uint32_t)g_tree_nnodes(self->target) + 1);
	for (node = g_tree_node_first(self->target); shared > 0; node = g_tree_node_next(node)) {
		if (random_below(&self->random, 20) > 0)
			batch_set(self->other, node, false);
		shared--;
	}
}

static void journey_start(Journey *self, uint64_t seed)
{
	*self = (Journey){.random = {seed}};
	tree_test_start_weighing(&self->test, random_parameters(&self->random), prolly_value_weigh);
	choose_contents(self);
	self->expected = reference_build(&self->test.context, self->target);
	self->other_tree = apply_batch(&self->test.context, NULL, self->other);
}

static void journey_stop(Journey *self)
{
	g_tree_unref(self->target);
	g_tree_unref(self->other);
	tree_test_stop(&self->test);
}

static void assert_arrived(const Journey *self, const ProllyTree *tree, uint64_t seed,
			   const char *how)
{
	if (prolly_tree_equal(tree, &self->expected) && tree->keys == self->expected.keys &&
	    tree->bytes == self->expected.bytes)
		return;
	g_error("another root %s: PROLLY_TEST_SEED=%" G_GUINT64_FORMAT, how, seed);
}

/* Under other parameters the same contents have another root, even if all nodes are the same. */
static void check_other_parameters(Journey *self)
{
	ProllyFormatParameters parameters = *prolly_format_get_parameters(self->test.format);
	uint32_t *const fields[] = {&parameters.min, &parameters.max, &parameters.inline_limit};
	g_autoptr(ProllyFormat) format = NULL;
	ProllyTreeContext context = {.store = self->test.store};
	ProllyHash root, other_root;
	ProllyTree tree;

	++*fields[random_below(&self->random, G_N_ELEMENTS(fields))];
	if (parameters.min >= parameters.max)
		parameters.max++;
	g_assert_true(prolly_format_new(&parameters, prolly_value_weigh, &format, NULL));
	context.format = format;
	tree = apply_batch(&context, NULL, self->target);
	prolly_tree_get_root(format, &tree, &other_root);
	prolly_tree_get_root(self->test.format, &self->expected, &root);
	g_assert_false(prolly_hash_equal(&root, &other_root));
}

static void test_every_way(void)
{
	unsigned rounds = get_rounds(1000), n_trees = 0;
	uint64_t seed = random_start(1).state;

	for (unsigned round = 0; round < rounds; round++) {
		Journey self;

		if (round % 500 == 0)
			g_test_message("PROLLY_TEST_SEED=%" G_GUINT64_FORMAT " from here on",
				       seed + round);
		journey_start(&self, seed + round);
		for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
			ProllyTree tree = ways[i].go(&self);

			assert_arrived(&self, &tree, seed + round, ways[i].name);
		}
		assert_verifies(&self.test.context, &self.expected);
		check_other_parameters(&self);
		n_trees += self.n_trees;
		journey_stop(&self);
	}
	g_test_message("%u sequences of edits, %u trees", rounds * (unsigned)G_N_ELEMENTS(ways),
		       n_trees);
}

/* ---- Back ends --------------------------------------------------------------------------- */

/* A store that can be closed and opened again, if its nodes are on disk. */
typedef struct {
	ProllyBackendKind kind;
	char *dir;
	ProllyDb *db;
	ProllyStore *store;
} Home;

static void home_open(Home *self)
{
	g_autofree char *data = g_build_filename(self->dir, "data", NULL);
	ProllyDbOptions db_options = {.path = data, .create = true};
	ProllyStoreOptions options = {.kind = self->kind, .path = self->dir};
	g_autoptr(GError) error = NULL;

	if (self->kind == PROLLY_BACKEND_ROCKSDB)
		prolly_db_open(&db_options, &self->db, &error);
	g_assert_no_error(error);
	options.db = self->db;
	prolly_store_open(&options, &self->store, &error);
	g_assert_no_error(error);
}

static void home_close(Home *self)
{
	g_clear_pointer(&self->store, prolly_store_unref);
	g_clear_pointer(&self->db, prolly_db_close);
}

/* Everything goes to the back end, and but for a store in memory comes from there again. */
static void home_reopen(Home *self)
{
	g_autoptr(GError) error = NULL;

	prolly_store_flush(self->store, NULL, &error);
	g_assert_no_error(error);
	if (self->kind == PROLLY_BACKEND_MEMORY)
		return;
	home_close(self);
	home_open(self);
}

static void remove_below(const char *path)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		remove_below(child);
	}
	if (dir)
		g_dir_close(dir);
	g_remove(path);
}

/* The way from OTHER to TARGET in batches; between them the store is closed, and of the tree is
 * known only its top. */
static void check_in_home(Journey *self, Home *home)
{
	ProllyTreeContext context = {home->store, self->test.format};
	g_autoptr(GTree) changes = make_difference(self->other, self->target);
	g_autoptr(GPtrArray) nodes = shuffle(&self->random, changes);
	ProllyTree tree = apply_batch(&context, NULL, self->other);

	for (guint i = 0; i < nodes->len;) {
		g_autoptr(GTree) batch = model_new();

		for (uint32_t n = 1 + nodes->len / 3; n > 0 && i < nodes->len; n--, i++)
			batch_set(batch, nodes->pdata[i], !g_tree_node_value(nodes->pdata[i]));
		home_reopen(home);
		context.store = home->store;
		g_assert_true(prolly_tree_open(&context, &tree.top, &tree, NULL));
		tree = apply_batch(&context, &tree, batch);
	}
	home_reopen(home);
	context.store = home->store;
	g_assert_true(prolly_tree_open(&context, &self->expected.top, &tree, NULL));
	g_assert_cmpuint(tree.keys, ==, self->expected.keys);
	g_assert_cmpuint(tree.bytes, ==, self->expected.bytes);
	assert_verifies(&context, &tree);
	assert_contents(&context, &tree, self->target);
}

static void test_back_end(gconstpointer data)
{
	Home home = {.kind = (ProllyBackendKind)GPOINTER_TO_INT(data)};
	unsigned rounds = get_rounds(1);
	uint64_t seed = random_start(1000).state;

	home.dir = g_dir_make_tmp("prolly-canonical-XXXXXX", NULL);
	home_open(&home);
	for (unsigned round = 0; round < rounds; round++) {
		Journey self;

		journey_start(&self, seed + round);
		check_in_home(&self, &home);
		journey_stop(&self);
	}
	home_close(&home);
	remove_below(home.dir);
	g_free(home.dir);
}

/* ---- The inline limit -------------------------------------------------------------------- */

/* One content grows over the limit and shrinks again, by splices; its value is always the same. */
static void test_inline_limit(void)
{
	Random random = random_start(3);
	ProllyFormatParameters parameters = tiny_parameters();
	TreeTest test;

	parameters.inline_limit = 64;
	tree_test_start_weighing(&test, parameters, prolly_value_weigh);
	for (int round = 0; round < 300; round++) {
		g_autoptr(GBytes) all = random_bytes(&random, 200);
		const uint8_t *bytes = g_bytes_get_data(all, NULL);
		uint64_t length = random_below(&random, 200), other = random_below(&random, 200);
		ProllyExtent whole = {0, other, bytes}, rest = {0, length, bytes};
		g_autoptr(GBytes) expected = NULL;
		g_autoptr(GBytes) stored = NULL;
		ProllyBlob blob;

		g_assert_true(prolly_value_store(&test.context, PROLLY_KIND_FILE, bytes, length,
						 &expected, NULL));
		g_assert_true(
			prolly_blob_splice(&test.context, NULL, 0, other, &whole, 1, &blob, NULL));
		g_assert_true(prolly_blob_splice(&test.context, &blob, MIN(other, length), length,
						 &rest, 1, &blob, NULL));
		g_assert_true(prolly_value_store_blob(&test.context, PROLLY_KIND_FILE, &blob,
						      &stored, NULL));
		assert_same_bytes(g_bytes_get_data(stored, NULL), g_bytes_get_size(stored),
				  expected);
		g_assert_cmpuint(prolly_value_weigh(g_bytes_get_data(stored, NULL),
						    g_bytes_get_size(stored)),
				 ==, length);
	}
	tree_test_stop(&test);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/canonical/every-way", test_every_way);
	for (int kind = PROLLY_BACKEND_MEMORY; kind <= PROLLY_BACKEND_ROCKSDB; kind++) {
		g_autofree char *name =
			g_strdup_printf("/tree/canonical/back-end/%s",
					prolly_backend_kind_to_text((ProllyBackendKind)kind));

		g_test_add_data_func(name, GINT_TO_POINTER(kind), test_back_end);
	}
	g_test_add_func("/tree/canonical/inline-limit", test_inline_limit);
	return g_test_run();
}
