/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees that a peer or a damaged store could have. The input is a script that makes nodes, the
 * lower ones first, which refer to each other by right hashes, and lie now and then of keys, counts,
 * prefixes and levels. The last is the top. Whatever it is, everything that reads trees ends, with
 * an answer or an error; and if it verifies, it is the tree that its contents have.
 */
#include "fuzz.h"

#include "tree-model.h"

#define NODES_MAX   40
#define ENTRIES_MAX 12
#define STEPS_MAX   2000 /* a node may be in a tree many times: a walk ends somewhere */

/* What is known of a node that was made: what a parent could say of it. */
typedef struct {
	ReferenceEntry entry;
	unsigned level;
} Made;

/* ---- The script -------------------------------------------------------------------------- */

enum {
	LIE_KEYS = 1 << 0,   /* child counts */
	LIE_BYTES = 1 << 1,  /* child sizes */
	LIE_KEY = 1 << 2,    /* a last key that is another */
	LIE_PREFIX = 1 << 3, /* shorter than it could be */
	LIE_WIDE = 1 << 4,
	LIE_LEVEL = 1 << 5,
};

static ReferenceEntry take_leaf_entry(FuzzInput *input, GBytes *before)
{
	ReferenceEntry entry = {.keys = 1};
	size_t len;
	const uint8_t *bytes = fuzz_take_string(input, 16, &len);

	if (before && fuzz_take_byte(input) % 8 != 0) {
		/* Behind the key before, mostly. */
		GByteArray *key = g_byte_array_new();
		size_t before_len;
		const uint8_t *data = g_bytes_get_data(before, &before_len);

		g_byte_array_append(key, data, (guint)before_len);
		g_byte_array_append(key, bytes, (guint)len);
		entry.key = g_byte_array_free_to_bytes(key);
	} else {
		entry.key = g_bytes_new(bytes, len);
	}
	bytes = fuzz_take_string(input, 40, &len);
	entry.value = g_bytes_new(bytes, len);
	entry.bytes = g_bytes_get_size(entry.key) + len;
	return entry;
}

static ReferenceEntry take_child_entry(FuzzInput *input, const GArray *made, unsigned lies)
{
	const Made *child =
		&g_array_index(made, Made, made->len - 1 - fuzz_take_below(input, made->len));
	ReferenceEntry entry = child->entry;

	entry.value = g_bytes_new(NULL, 0); /* in case that it is put into a leaf */
	if (lies & LIE_KEY)
		entry.key = fuzz_take_gbytes(input, 16);
	else
		g_bytes_ref(entry.key);
	if (lies & LIE_KEYS)
		entry.keys = fuzz_take_number(input);
	if (lies & LIE_BYTES)
		entry.bytes = fuzz_take_number(input);
	return entry;
}

static ReferenceForm take_form(FuzzInput *input, unsigned level, const GArray *entries,
			       unsigned lies)
{
	ReferenceForm form =
		reference_form(level, (const ReferenceEntry *)(void *)entries->data, entries->len);

	if ((lies & LIE_PREFIX) && form.prefix > 0)
		form.prefix -= 1 + fuzz_take_below(input, (uint32_t)form.prefix);
	form.wide = form.wide != ((lies & LIE_WIDE) != 0);
	return form;
}

/* Makes one node and appends it. */
static void take_node(FuzzInput *input, ProllyStore *store, GArray *made)
{
	g_autoptr(GArray) entries = reference_entries_new();
	bool leaf = made->len == 0 || fuzz_take_byte(input) % 3 != 0;
	uint32_t n = fuzz_take_below(input, ENTRIES_MAX);
	unsigned lies = fuzz_take_byte(input) % 4 == 3 ? fuzz_take_byte(input) : 0;
	const ReferenceEntry *all;
	GByteArray *bytes;
	Made node = {0};

	for (uint32_t i = 0; i < n; i++) {
		ReferenceEntry entry;

		if (leaf)
			entry = take_leaf_entry(
				input,
				i ? g_array_index(entries, ReferenceEntry, i - 1).key : NULL);
		else
			entry = take_child_entry(input, made, lies);
		g_array_append_val(entries, entry);
		node.entry.keys += entry.keys;
		node.entry.bytes += entry.bytes;
	}
	if (!leaf)
		node.level = g_array_index(made, Made, made->len - 1).level + 1;
	if (lies & LIE_LEVEL)
		node.level = fuzz_take_byte(input);
	all = (const ReferenceEntry *)(void *)entries->data;
	node.entry.key = n ? g_bytes_ref(all[n - 1].key) : g_bytes_new(NULL, 0);
	bytes = reference_encode(node.level, all, n, take_form(input, node.level, entries, lies));
	g_assert_true(prolly_store_put(store, PROLLY_NODE_TREE, g_memdup2(bytes->data, bytes->len),
				       bytes->len, &node.entry.hash, NULL, NULL));
	g_byte_array_unref(bytes);
	g_array_append_val(made, node);
}

/* ---- Using it ---------------------------------------------------------------------------- */

/* An answer, or an error that may be; which is cleared. */
static void assert_end(bool ok, GError **error)
{
	if (ok)
		g_assert_no_error(*error);
	else if (!prolly_error_is(*error, PROLLY_ERROR_TOO_BIG) &&
		 !prolly_error_is(*error, PROLLY_ERROR_MISSING))
		g_assert_error(*error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	g_clear_error(error);
}

static void walk(const ProllyTreeContext *context, const ProllyTree *tree, bool forward)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, tree);
	g_autoptr(GError) error = NULL;
	bool ok = forward ? prolly_cursor_seek_first(cursor, &error)
			  : prolly_cursor_seek_last(cursor, &error);

	for (int i = 0; ok && prolly_cursor_is_valid(cursor) && i < STEPS_MAX; i++) {
		size_t len;

		(void)prolly_cursor_get_rank(cursor);
		g_assert_nonnull(prolly_cursor_get_key(cursor, &len));
		g_assert_cmpuint(len, <=, PROLLY_KEY_MAX);
		(void)prolly_cursor_get_value(cursor, &len);
		ok = forward ? prolly_cursor_next(cursor, &error)
			     : prolly_cursor_prev(cursor, &error);
	}
	assert_end(ok, &error);
}

static void look_up(const ProllyTreeContext *context, const ProllyTree *tree, GBytes *key)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, tree);
	GError *error = NULL;
	g_auto(ProllyValueRef) value = {0};
	ProllyValueRef many[2] = {0};
	size_t len;
	const void *data = g_bytes_get_data(key, &len);
	ProllyKey keys[2] = {{data, len}, {"b", 1}};
	uint64_t rank;

	assert_end(prolly_tree_get(context, tree, data, len, &value, &error), &error);
	assert_end(prolly_tree_rank(context, tree, data, len, &rank, &error), &error);
	assert_end(prolly_tree_get_many(context, tree, keys, 2, many, &error), &error);
	prolly_value_ref_clear(&many[0]);
	prolly_value_ref_clear(&many[1]);
	assert_end(prolly_cursor_seek_before(cursor, data, len, &error), &error);
	assert_end(prolly_cursor_seek_rank(cursor, tree->keys / 2, &error), &error);
}

static void compare(const ProllyTreeContext *context, const ProllyTree *a, const ProllyTree *b)
{
	g_autoptr(ProllyDiff) diff = prolly_diff_new(context, a, b, NULL, 0, NULL, 0);
	g_autoptr(GError) error = NULL;
	ProllyChange change;
	bool ok = true, end = false;

	for (int i = 0; ok && !end && i < STEPS_MAX; i++)
		ok = prolly_diff_next(diff, &change, &end, &error);
	assert_end(ok, &error);
}

static void change(const ProllyTreeContext *context, const ProllyTree *tree, FuzzInput *input)
{
	g_autoptr(GTree) batch = model_new();
	g_autoptr(GError) error = NULL;
	GTreeNode *node;
	ProllyTree result;
	bool ok;

	for (uint32_t n = 1 + fuzz_take_below(input, 6); n; n--) {
		GBytes *key = fuzz_take_gbytes(input, 16);

		model_set(batch, key,
			  fuzz_take_byte(input) % 2 ? fuzz_take_gbytes(input, 8) : NULL);
	}
	node = g_tree_node_first(batch);
	ok = prolly_tree_apply(context, tree, next_of_model, &node, &result, &error);
	assert_end(ok, &error);
	if (ok)
		walk(context, &result, true);
}

/* TREE was accepted: is it the tree of what can be read from it? */
static void assert_is_canonical(const ProllyTreeContext *context, const ProllyTree *tree)
{
	g_autoptr(GTree) model = model_read(context, tree);

	assert_contents(context, tree, model);
	assert_canonical(context, tree, model);
}

static void use(const TreeTest *test, const ProllyTree *tree, FuzzInput *input)
{
	g_autoptr(GTree) model = numbered_model(20);
	ProllyTree good = apply_batch(&test->context, NULL, model);
	g_autoptr(GError) error = NULL;

	if (prolly_tree_verify(&test->context, tree, &error))
		assert_is_canonical(&test->context, tree);
	else
		assert_end(false, &error);
	/* The same subtrees many times over are more than can be walked. */
	if (tree->keys > 50 * STEPS_MAX)
		return;
	walk(&test->context, tree, true);
	walk(&test->context, tree, false);
	for (int i = 0; i < 4; i++) {
		g_autoptr(GBytes) key = fuzz_take_gbytes(input, 16);

		look_up(&test->context, tree, key);
	}
	compare(&test->context, tree, &good);
	compare(&test->context, &good, tree);
	change(&test->context, tree, input);
}

static void made_clear(gpointer data)
{
	reference_entry_clear(&((Made *)data)->entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ProllyFormatParameters parameters = tiny_parameters();
	FuzzInput input = {data, size};
	GArray *made = g_array_new(FALSE, FALSE, sizeof(Made));
	g_autoptr(GError) error = NULL;
	ProllyTree tree;
	TreeTest test;

	g_array_set_clear_func(made, made_clear);
	parameters.min = 1 + fuzz_take_byte(&input);
	parameters.max = parameters.min + 1 + fuzz_take_byte(&input);
	parameters.scale_shift = 4 + fuzz_take_below(&input, 6);
	tree_test_start(&test, parameters);
	do
		take_node(&input, test.store, made);
	while (fuzz_has_more(&input) && made->len < NODES_MAX && fuzz_take_byte(&input) != 0);
	if (prolly_tree_open(&test.context, &g_array_index(made, Made, made->len - 1).entry.hash,
			     &tree, &error))
		use(&test, &tree, &input);
	else
		assert_end(false, &error);
	g_array_unref(made);
	tree_test_stop(&test);
	return 0;
}
