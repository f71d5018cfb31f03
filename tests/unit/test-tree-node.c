/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format: golden vectors, and what decoders do with bytes that no writer of ours made. The
 * vectors in golden/ are what prollyfs-format(5) describes; a change to one of them is another
 * format. (Set PROLLY_GOLDEN_WRITE to write them.)
 */
#include "tree-model.h"

/* ---- Golden vectors ---------------------------------------------------------------------- */

static void assert_golden(const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(g_getenv("G_TEST_SRCDIR"), "golden", name, NULL);
	g_autofree char *expected = NULL;
	g_autoptr(GError) error = NULL;

	if (g_getenv("PROLLY_GOLDEN_WRITE"))
		g_file_set_contents(path, text, -1, &error);
	g_assert_no_error(error);
	g_file_get_contents(path, &expected, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(text, ==, expected);
}

static void append_hex(GString *out, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		g_string_append_printf(out, "%02x%s", bytes[i], i % 32 == 31 ? "\n" : "");
	if (len % 32 != 0)
		g_string_append_c(out, '\n');
}

static void append_descriptor(GString *out, const char *title, ProllyFormat *format)
{
	size_t len;
	const uint8_t *bytes = prolly_format_get_descriptor(format, &len);

	g_string_append_printf(out, "# %s\n", title);
	append_hex(out, bytes, len);
}

static uint64_t weigh_nothing(const uint8_t *value, size_t len)
{
	return 0;
}

static void test_golden_descriptor(void)
{
	ProllyFormatParameters defaults = default_parameters();
	g_autoptr(ProllyFormat) plain = NULL;
	g_autoptr(ProllyFormat) weighing = NULL;
	g_autoptr(GString) out = g_string_new(NULL);

	g_assert_true(prolly_format_new(&defaults, NULL, &plain, NULL));
	g_assert_true(prolly_format_new(&defaults, weigh_nothing, &weighing, NULL));
	append_descriptor(out, "default parameters, values weigh their length", plain);
	append_descriptor(out, "default parameters, values weighed by core/blob", weighing);
	g_string_append(out, "# seeds of the levels, as numbers\n");
	for (int level = 0; level < TREE_LEVELS_MAX; level++)
		g_string_append_printf(out, "%016" G_GINT64_MODIFIER "x\n", plain->seeds[level]);
	assert_golden("descriptor.txt", out->str);
}

/* Key i is "key-" and six digits, its value 7 * i mod 200 bytes: after which i is a leaf cut? */
static void test_golden_boundaries(void)
{
	ProllyFormatParameters defaults = default_parameters();
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GString) out = g_string_new(NULL);

	g_assert_true(prolly_format_new(&defaults, NULL, &format, NULL));
	for (unsigned level = 0; level < 3; level++) {
		uint64_t s = 0;

		g_string_append_printf(out, "# seed of level %u\n", level);
		for (unsigned i = 0; i < 10000; i++) {
			g_autofree char *key = g_strdup_printf("key-%06u", i);
			uint64_t size = strlen(key) + 7 * i % 200;
			bool cut = prolly_chunker_is_boundary(format, level, s, s + size,
							      (const uint8_t *)key, strlen(key));

			if (cut)
				g_string_append_printf(out, "%u\n", i);
			s = cut ? 0 : s + size;
		}
	}
	assert_golden("boundaries.txt", out->str);
}

/* (transfer full) A format whose limits play no part. */
static ProllyFormat *format_of_scale(uint32_t scale_shift)
{
	ProllyFormatParameters parameters = default_parameters();
	ProllyFormat *format;

	parameters.min = 1;
	parameters.max = 65536;
	parameters.scale_shift = scale_shift;
	g_assert_true(prolly_format_new(&parameters, NULL, &format, NULL));
	return format;
}

/* Where both sides of the rule are equal there is no cut; with one byte more in the entry there is.
 * Where the chance is over one there is a cut, however far over. */
static void test_exact_boundaries(void)
{
	static const struct {
		uint32_t scale_shift;
		uint64_t s0, s1;
		const char *key;
	} ties[] = {
		{6, 14, 15, "1252314"},     {8, 498, 499, "116776"},  {8, 23, 44, "267119"},
		{12, 7968, 7984, "116776"}, {12, 368, 704, "267119"}, {16, 5888, 11264, "267119"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ties); i++) {
		g_autoptr(ProllyFormat) format = format_of_scale(ties[i].scale_shift);
		const uint8_t *key = (const uint8_t *)ties[i].key;
		size_t len = strlen(ties[i].key);

		g_assert_false(
			prolly_chunker_is_boundary(format, 0, ties[i].s0, ties[i].s1, key, len));
		g_assert_true(prolly_chunker_is_boundary(format, 0, ties[i].s0 - 1, ties[i].s1, key,
							 len));
	}
	for (uint32_t shift = 4; shift < 16; shift++) {
		g_autoptr(ProllyFormat) format = format_of_scale(shift);

		for (uint64_t s = UINT64_C(1) << shift; s < 65536; s *= 2)
			g_assert_true(prolly_chunker_is_boundary(format, 0, 0, s,
								 (const uint8_t *)"key", 3));
	}
}

static void append_node(GString *out, const char *title, const ProllyTreeContext *context,
			const ProllyTree *tree)
{
	g_autoptr(ProllyNode) node =
		prolly_store_get(context->store, PROLLY_NODE_TREE, &tree->top, NULL);
	char hex[PROLLY_HASH_HEX_SIZE];
	ProllyHash root;
	size_t len;
	const uint8_t *bytes = prolly_node_get_bytes(node, &len);

	prolly_tree_get_root(context->format, tree, &root);
	g_string_append_printf(out, "# %s\n", title);
	append_hex(out, bytes, len);
	g_string_append_printf(out, "# hash %s\n", prolly_hash_to_hex(&tree->top, hex));
	g_string_append_printf(out, "# root %s\n", prolly_hash_to_hex(&root, hex));
}

/* N entries of the manual's example: key i is eight digits, its value "value of" and the number. */
static GTree *example_model(unsigned n)
{
	GTree *model = model_new();

	for (unsigned i = 0; i < n; i++) {
		g_autofree char *key = g_strdup_printf("%08u", i);
		g_autofree char *value = g_strdup_printf("value of %u", i);

		model_set_text(model, key, value);
	}
	return model;
}

static void test_golden_nodes(void)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GTree) none = model_new();
	g_autoptr(GTree) two = model_new();
	g_autoptr(GTree) few = example_model(8);
	TreeTest test, tiny;
	ProllyTree tree;

	tree_test_start(&test, default_parameters());
	tree_test_start(&tiny, tiny_parameters());
	model_set_text(two, "users/alice", "1");
	model_set_text(two, "users/bob", "");
	g_assert_true(prolly_tree_init_empty(&test.context, &tree, NULL));
	append_node(out, "the empty tree", &test.context, &tree);
	tree = apply_batch(&test.context, NULL, two);
	append_node(out, "a leaf: users/alice = \"1\", users/bob = \"\"", &test.context, &tree);
	tree = apply_batch(&tiny.context, NULL, few);
	append_node(out, "the top of entries 0 to 7, with min 32, max 512, scale shift 6",
		    &tiny.context, &tree);
	assert_golden("nodes.txt", out->str);
	tree_test_stop(&tiny);
	tree_test_stop(&test);
}

static void test_golden_root(void)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GTree) model = example_model(12345);
	ProllyFormatParameters all[] = {default_parameters(), tiny_parameters()};

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		char hex[PROLLY_HASH_HEX_SIZE];
		ProllyTree tree;
		ProllyHash root;
		unsigned height;
		TreeTest test;

		tree_test_start(&test, all[i]);
		tree = apply_batch(&test.context, NULL, model);
		prolly_tree_get_root(test.format, &tree, &root);
		g_assert_true(prolly_tree_get_height(&test.context, &tree, &height, NULL));
		g_string_append_printf(
			out, "# 12345 entries, %s parameters: height %u, bytes %u, root\n%s\n",
			i ? "tiny" : "default", height, (unsigned)tree.bytes,
			prolly_hash_to_hex(&root, hex));
		assert_canonical(&test.context, &tree, model);
		tree_test_stop(&test);
	}
	assert_golden("root.txt", out->str);
}

/* ---- Parameters -------------------------------------------------------------------------- */

static void assert_bad(ProllyFormatParameters parameters)
{
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_false(prolly_format_new(&parameters, NULL, &format, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_assert_null(format);
}

static void test_bad_parameters(void)
{
	ProllyFormatParameters p;

#define ASSERT_BAD(assignment)            \
	do {                              \
		p = default_parameters(); \
		assignment;               \
		assert_bad(p);            \
	} while (0)
	ASSERT_BAD(p.min = 0);
	ASSERT_BAD(p.min = p.max);
	ASSERT_BAD(p.max = 65537);
	ASSERT_BAD(p.scale_shift = 3);
	ASSERT_BAD(p.scale_shift = 17);
	ASSERT_BAD(p.inline_limit = PROLLY_TREE_VALUE_MAX);
	ASSERT_BAD(p.chunk_min = 0);
	ASSERT_BAD(p.chunk_average = 65537);
	ASSERT_BAD(p.chunk_max = 1000);
	ASSERT_BAD(p.chunk_max = UINT32_MAX);
#undef ASSERT_BAD
}

/* Every parameter, and the weighing, is in the root hash. */
static void test_parameters_in_root(void)
{
	g_autoptr(GHashTable) roots = g_hash_table_new_full(prolly_hash_table_hash,
							    prolly_hash_table_equal, g_free, NULL);

	for (int i = 0; i < 9; i++) {
		ProllyFormatParameters p = default_parameters();
		uint32_t *fields[] = {&p.min,       &p.max,       &p.scale_shift,  &p.inline_limit,
				      &p.chunk_min, &p.chunk_max, &p.chunk_average};
		g_autoptr(ProllyFormat) format = NULL;
		ProllyHash *root = g_new(ProllyHash, 1);
		ProllyTree tree = {0};

		if (i < 6)
			(*fields[i])--;
		else if (i == 6)
			*fields[i] *= 2;
		g_assert_true(prolly_format_new(&p, i == 7 ? weigh_nothing : NULL, &format, NULL));
		prolly_tree_get_root(format, &tree, root);
		g_assert_true(g_hash_table_add(roots, root));
	}
}

/* ---- Hostile bytes ----------------------------------------------------------------------- */

/* Does the store's node of these bytes decode? If so it must hold together. */
static bool try_node(const ProllyTreeContext *context, const uint8_t *bytes, size_t len)
{
	g_autoptr(ProllyNode) node = NULL;
	g_autoptr(GError) error = NULL;
	const ProllyNodeView *view;

	g_assert_true(prolly_store_put(context->store, PROLLY_NODE_TREE, g_memdup2(bytes, len), len,
				       NULL, &node, NULL));
	view = prolly_node_decode(context, node, &error);
	if (!view) {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
		return false;
	}
	for (uint32_t i = 0; i < view->count; i++) {
		ProllyNodeKey key = node_get_key(view, i);
		g_autofree uint8_t *whole = g_malloc(key.prefix_len + key.suffix_len + 1);
		bool found;

		memcpy(whole, key.prefix, key.prefix_len);
		memcpy(whole + key.prefix_len, key.suffix, key.suffix_len);
		g_assert_cmpuint(
			prolly_node_search(view, whole, key.prefix_len + key.suffix_len, &found),
			==, i);
		g_assert_true(found);
	}
	return true;
}

/* The canonical encoding of what BYTES hold is BYTES: the tree of one leaf with these entries. */
static void assert_only_encoding(const ProllyTreeContext *context, const uint8_t *bytes, size_t len)
{
	g_autoptr(GTree) model = NULL;
	ProllyHash hash;
	ProllyTree tree;

	prolly_hash_compute(bytes, len, &hash);
	g_assert_true(prolly_tree_open(context, &hash, &tree, NULL));
	model = model_read(context, &tree);
	assert_canonical(context, &tree, model);
}

static GBytes *get_node_bytes(const ProllyTreeContext *context, const ProllyHash *hash)
{
	g_autoptr(ProllyNode) node = prolly_store_get(context->store, PROLLY_NODE_TREE, hash, NULL);
	size_t len;
	const uint8_t *bytes = prolly_node_get_bytes(node, &len);

	return g_bytes_new(bytes, len);
}

/* All flips of all bits of a node; and all 255 other values of its header's and ends' bytes. */
static void flip_all(const ProllyTreeContext *context, GBytes *node, bool leaf)
{
	size_t len;
	const uint8_t *original = g_bytes_get_data(node, &len);
	g_autofree uint8_t *bytes = g_memdup2(original, len);
	unsigned accepted = 0;

	g_assert_true(try_node(context, bytes, len));
	for (size_t i = 0; i < len; i++) {
		for (unsigned change = 1; change < 256; change++) {
			if (i >= 60 && (change & (change - 1)) != 0)
				continue;
			bytes[i] = original[i] ^ (uint8_t)change;
			if (try_node(context, bytes, len)) {
				accepted++;
				if (leaf)
					assert_only_encoding(context, bytes, len);
			}
		}
		bytes[i] = original[i];
	}
	/* Bytes of values, of keys between others, of hashes. */
	g_assert_cmpuint(accepted, >, 0);
}

static void test_flips(void)
{
	g_autoptr(GTree) few = example_model(8);
	g_autoptr(GTree) one = example_model(1);
	g_autoptr(GBytes) top = NULL;
	g_autoptr(GBytes) leaf = NULL;
	TreeTest test, tiny;
	ProllyTree tree;

	/* One leaf under parameters that never cut, so that whatever is accepted is a tree. */
	tree_test_start(&test, default_parameters());
	tree = apply_batch(&test.context, NULL, few);
	leaf = get_node_bytes(&test.context, &tree.top);
	flip_all(&test.context, leaf, true);
	g_bytes_unref(leaf);
	tree = apply_batch(&test.context, NULL, one);
	leaf = get_node_bytes(&test.context, &tree.top);
	flip_all(&test.context, leaf, true);

	tree_test_start(&tiny, tiny_parameters());
	tree = apply_batch(&tiny.context, NULL, few);
	top = get_node_bytes(&tiny.context, &tree.top);
	g_assert_cmpuint(((const uint8_t *)g_bytes_get_data(top, NULL))[5], >, 0);
	flip_all(&tiny.context, top, false);
	tree_test_stop(&tiny);
	tree_test_stop(&test);
}

static void test_lengths(void)
{
	g_autoptr(GTree) few = example_model(8);
	TreeTest test;
	ProllyTree tree;

	tree_test_start(&test, tiny_parameters());
	for (int i = 0; i < 2; i++) {
		g_autoptr(GBytes) node = NULL;
		g_autofree uint8_t *longer = NULL;
		size_t len;
		const uint8_t *bytes;

		if (i == 0)
			tree = apply_batch(&test.context, NULL, few);
		else
			g_assert_true(prolly_tree_init_empty(&test.context, &tree, NULL));
		node = get_node_bytes(&test.context, &tree.top);
		bytes = g_bytes_get_data(node, &len);
		for (size_t cut = 0; cut < len; cut++)
			g_assert_false(try_node(&test.context, bytes, cut));
		longer = g_malloc0(len + 8);
		memcpy(longer, bytes, len);
		for (size_t more = 1; more <= 8; more++)
			g_assert_false(try_node(&test.context, longer, len + more));
	}
	tree_test_stop(&test);
}

/* Random bytes behind a good beginning, and headers with numbers at their limits. */
static void test_noise(void)
{
	static const uint32_t extremes[] = {0,          1,          2,         0x7fffffff,
					    0x80000000, 0xffffffff, 0xfffffffe};
	Random random = random_start(21);
	g_autoptr(GTree) few = example_model(8);
	g_autoptr(GBytes) node = NULL;
	TreeTest test;
	ProllyTree tree;
	size_t len;
	const uint8_t *original;

	tree_test_start(&test, tiny_parameters());
	tree = apply_batch(&test.context, NULL, few);
	node = get_node_bytes(&test.context, &tree.top);
	original = g_bytes_get_data(node, &len);
	for (int i = 0; i < 20000; i++) {
		g_autofree uint8_t *bytes = g_memdup2(original, len);

		for (uint32_t n = random_below(&random, 4); n; n--)
			prolly_set_le32(bytes + 8 + 4 * random_below(&random, 8),
					extremes[random_below(&random, G_N_ELEMENTS(extremes))]);
		for (uint32_t n = random_below(&random, 6); n; n--)
			bytes[random_below(&random, (uint32_t)len)] =
				(uint8_t)random_below(&random, 256);
		try_node(&test.context, bytes, len);
	}
	tree_test_stop(&test);
}

/* (transfer full) */
static ReferenceEntry make_entry(size_t key_len, char last, size_t value_len)
{
	ReferenceEntry entry = {.keys = 1, .bytes = key_len + value_len};
	char *key = g_malloc0(key_len + 1);

	if (key_len)
		key[key_len - 1] = last;
	entry.key = g_bytes_new_take(key, key_len);
	entry.value = g_bytes_new_take(g_malloc0(value_len + 1), value_len);
	return entry;
}

typedef struct {
	const char *name;
	struct {
		size_t len;
		char last; /* byte; the others are zeros */
	} keys[2];
	size_t value_len; /* of the second; of the first at most 5 */
	size_t first_len; /* not 0: of the first */
	int less_prefix;  /* than the keys share */
	bool wide;
	unsigned level;
	uint64_t child_keys;
	bool good;
} Form;

static const Form forms[] = {
	{"two keys", {{3, 'a'}, {3, 'b'}}, 5, .good = true},
	{"a prefix that could be longer", {{3, 'a'}, {3, 'b'}}, 5, .less_prefix = 1},
	{"no prefix at all", {{3, 'a'}, {3, 'b'}}, 5, .less_prefix = 2},
	{"the first key all prefix", {{2, 0}, {3, 'b'}}, 5, .good = true},
	{"the first key with a suffix", {{2, 0}, {3, 'b'}}, 5, .less_prefix = 1},
	{"wide without need", {{3, 'a'}, {3, 'b'}}, 5, .wide = true},
	{"a key twice", {{3, 'a'}, {3, 'a'}}, 5},
	{"keys backwards", {{3, 'b'}, {3, 'a'}}, 5},
	{"the longer key first", {{3, 0}, {2, 0}}, 5},
	{"the longest key", {{2, 0}, {PROLLY_KEY_MAX, 'b'}}, 5, .good = true},
	{"a key too long", {{2, 0}, {PROLLY_KEY_MAX + 1, 'b'}}, 5},
	{"the longest value", {{3, 'a'}, {3, 'b'}}, PROLLY_TREE_VALUE_MAX, .good = true},
	{"a value too long", {{3, 'a'}, {3, 'b'}}, PROLLY_TREE_VALUE_MAX + 1},
	{"the most before the last entry", {{3, 'a'}, {3, 'b'}}, 5, 65536 - 4, .good = true},
	{"more before the last entry", {{3, 'a'}, {3, 'b'}}, 5, 65536 - 3},
	{"children", {{3, 'a'}, {3, 'b'}}, 0, .level = 1, .child_keys = 1, .good = true},
	{"children with long keys",
	 {{PROLLY_KEY_MAX - 1, 0}, {PROLLY_KEY_MAX, 'b'}},
	 0,
	 .level = 1,
	 .child_keys = 1,
	 .good = true},
	{"children without keys", {{3, 'a'}, {3, 'b'}}, 0, .level = 1},
	{"children at the highest level",
	 {{3, 'a'}, {3, 'b'}},
	 .level = 63,
	 .child_keys = 1,
	 .good = true},
	{"children above it", {{3, 'a'}, {3, 'b'}}, 0, .level = 64, .child_keys = 1},
	{"counts that overflow", {{3, 'a'}, {3, 'b'}}, .level = 1, .child_keys = UINT64_C(1) << 63},
};

/* Nodes that say what they say in another than the one way. */
static void test_forms(void)
{
	TreeTest test;

	tree_test_start(&test, default_parameters());
	for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
		const Form *f = &forms[i];
		ReferenceEntry entries[2];
		ReferenceForm form;
		g_autoptr(GByteArray) node = NULL;

		for (int j = 0; j < 2; j++) {
			size_t first_len = f->first_len ? f->first_len : MIN(f->value_len, 5);

			entries[j] = make_entry(f->keys[j].len, f->keys[j].last,
						j ? f->value_len : first_len);
			if (f->level > 0)
				entries[j].keys = f->child_keys;
		}
		form = reference_form(f->level, entries, 2);
		form.prefix -= (size_t)f->less_prefix;
		form.wide |= f->wide;
		node = reference_encode(f->level, entries, 2, form);
		g_test_message("%s: %u bytes", f->name, node->len);
		g_assert_cmpint(try_node(&test.context, node->data, node->len), ==, f->good);
		reference_entry_clear(&entries[0]);
		reference_entry_clear(&entries[1]);
	}
	tree_test_stop(&test);
}

/* What a header says of the keys and bytes below is what the entries add up to. */
static void test_counts(void)
{
	static const size_t counts[] = {24, 32}; /* offsets of keys and bytes */
	TreeTest test;

	tree_test_start(&test, default_parameters());
	for (unsigned level = 0; level < 2; level++) {
		ReferenceEntry entries[2] = {make_entry(4, 'a', 5), make_entry(4, 'b', 5)};
		g_autoptr(GByteArray) node = NULL;

		for (int i = 0; i < 2 && level > 0; i++)
			entries[i].keys = 1;
		node = reference_encode(level, entries, 2, reference_form(level, entries, 2));
		g_assert_true(try_node(&test.context, node->data, node->len));
		for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
			node->data[counts[i]] ^= 1;
			g_assert_false(try_node(&test.context, node->data, node->len));
			node->data[counts[i]] ^= 1;
		}
		reference_entry_clear(&entries[0]);
		reference_entry_clear(&entries[1]);
	}
	tree_test_stop(&test);
}

/* ---- Hostile trees ----------------------------------------------------------------------- */

/* Appends to CHILDREN a leaf of two entries, which ends with a cut, and of which SAID says that it
 * is the last key. */
static void add_leaf(const ProllyTreeContext *context, GArray *children, const char *first,
		     const char *last, const char *said)
{
	const char *const keys[] = {first, last};
	ReferenceEntry entries[2], *child;

	for (int i = 0; i < 2; i++) {
		entries[i] = make_entry(strlen(keys[i]), keys[i][strlen(keys[i]) - 1],
					i ? default_parameters().max : 5);
		g_assert_cmpuint(strlen(keys[i]), ==, 1);
	}
	reference_close(context->store, 0, entries, 2, children);
	reference_entry_clear(&entries[0]);
	reference_entry_clear(&entries[1]);
	child = &g_array_index(children, ReferenceEntry, children->len - 1);
	g_bytes_unref(child->key);
	child->key = g_bytes_new(said, strlen(said));
}

/* (transfer full) The tree that an internal node of LEVEL over CHILDREN is the top of. */
static ProllyTree close_top(const ProllyTreeContext *context, unsigned level, GArray *children)
{
	GArray *tops = reference_entries_new();
	ReferenceEntry *top;
	ProllyTree tree;

	reference_close(context->store, level, (ReferenceEntry *)(void *)children->data,
			children->len, tops);
	top = &g_array_index(tops, ReferenceEntry, 0);
	tree = (ProllyTree){top->hash, top->keys, top->bytes};
	g_array_unref(tops);
	return tree;
}

/* Uses TREE in every way. Errors are allowed; crashes, endless loops and bad nodes are not. */
static void use_tree(const ProllyTreeContext *context, const ProllyTree *tree,
		     const ProllyTree *good)
{
	static const char *const keys[] = {"", "a", "c", "e", "g", "i", "zz"};
	ProllyCursor *cursor = prolly_cursor_new(context, tree);
	ProllyDiff *diff = prolly_diff_new(context, good, tree, NULL, 0, NULL, 0);
	ProllyChange change;
	bool end = false;

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		const uint8_t *key = (const uint8_t *)keys[i];
		ProllyEdit edits[] = {{key, strlen(keys[i]), i % 2 ? key : NULL, 1},
				      {(const uint8_t *)"zzz", 3, key, 0}};
		g_auto(ProllyValueRef) value = {0};
		uint64_t rank;
		ProllyTree edited;

		prolly_tree_get(context, tree, keys[i], strlen(keys[i]), &value, NULL);
		prolly_tree_rank(context, tree, keys[i], strlen(keys[i]), &rank, NULL);
		prolly_tree_apply_array(context, tree, edits, 2, &edited, NULL);
		prolly_cursor_seek(cursor, keys[i], strlen(keys[i]), NULL);
		for (int step = 0; step < 20; step++)
			prolly_cursor_next(cursor, NULL);
		prolly_cursor_seek_before(cursor, keys[i], strlen(keys[i]), NULL);
		for (int step = 0; step < 20; step++)
			prolly_cursor_prev(cursor, NULL);
		prolly_cursor_seek_rank(cursor, i, NULL);
	}
	while (!end && prolly_diff_next(diff, &change, &end, NULL))
		;
	prolly_diff_free(diff);
	prolly_cursor_free(cursor);
}

typedef struct {
	const char *name;
	const char *leaves[3][3]; /* first key, last key, what the parent says the last is */
	const char *flaw;         /* in the message of prolly_tree_verify; NULL: none */
	int lie;                  /* added to the first child's count of keys */
	unsigned level;           /* of the top; 0 stands for 1 */
} Hostile;

static const Hostile hostile_trees[] = {
	{"nothing wrong", {{"a", "b", "b"}, {"d", "e", "e"}, {"g", "h", "h"}}, NULL},
	{"last keys that are not",
	 {{"a", "b", "c"}, {"d", "e", "f"}, {"g", "h", "i"}},
	 "another last key"},
	{"overlapping children", {{"a", "c", "c"}, {"b", "g", "g"}, {"e", "i", "i"}}, "overlaps"},
	{"children out of order",
	 {{"g", "h", "b"}, {"d", "e", "e"}, {"a", "b", "i"}},
	 "another last key"},
	{"the same child again",
	 {{"a", "b", "b"}, {"a", "b", "d"}, {"a", "b", "f"}},
	 "another last key"},
	{"a wrong count",
	 {{"a", "b", "b"}, {"d", "e", "e"}, {"g", "h", "h"}},
	 "is not what refers to it says",
	 .lie = 1},
	{"a level left out",
	 {{"a", "b", "b"}, {"d", "e", "e"}, {"g", "h", "h"}},
	 "is not what refers to it says",
	 .level = 2},
	{"the highest level",
	 {{"a", "b", "b"}, {"d", "e", "e"}, {"g", "h", "h"}},
	 "is not what refers to it says",
	 .level = 63},
};

static void test_hostile_trees(void)
{
	g_autoptr(GTree) model = example_model(1000);
	TreeTest test;
	ProllyTree good;

	tree_test_start(&test, default_parameters());
	good = apply_batch(&test.context, NULL, model);
	for (size_t i = 0; i < G_N_ELEMENTS(hostile_trees); i++) {
		const Hostile *hostile = &hostile_trees[i];
		g_autoptr(GArray) children = reference_entries_new();
		g_autoptr(GError) error = NULL;
		ProllyTree tree;

		for (int j = 0; j < 3; j++)
			add_leaf(&test.context, children, hostile->leaves[j][0],
				 hostile->leaves[j][1], hostile->leaves[j][2]);
		g_array_index(children, ReferenceEntry, 0).keys += hostile->lie;
		tree = close_top(&test.context, hostile->level ? hostile->level : 1, children);
		g_test_message("%s", hostile->name);
		prolly_tree_verify(&test.context, &tree, &error);
		if (hostile->flaw) {
			g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
			g_assert_nonnull(strstr(error->message, hostile->flaw));
		} else {
			g_assert_no_error(error);
		}
		use_tree(&test.context, &tree, &good);
	}
	tree_test_stop(&test);
}

/* A top with one child, and a tree whose counts are not its top's. */
static void test_wrong_tops(void)
{
	g_autoptr(GTree) model = example_model(3);
	g_autoptr(GArray) children = reference_entries_new();
	g_autoptr(GError) error = NULL;
	TreeTest test;
	ProllyTree tree;

	tree_test_start(&test, default_parameters());
	add_leaf(&test.context, children, "a", "b", "b");
	tree = close_top(&test.context, 1, children);
	g_assert_false(prolly_tree_verify(&test.context, &tree, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	g_clear_error(&error);

	tree = apply_batch(&test.context, NULL, model);
	tree.keys++;
	g_assert_false(prolly_tree_verify(&test.context, &tree, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	tree_test_stop(&test);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/golden/descriptor", test_golden_descriptor);
	g_test_add_func("/tree/golden/boundaries", test_golden_boundaries);
	g_test_add_func("/tree/golden/exact-boundaries", test_exact_boundaries);
	g_test_add_func("/tree/golden/nodes", test_golden_nodes);
	g_test_add_func("/tree/golden/root", test_golden_root);
	g_test_add_func("/tree/format/bad-parameters", test_bad_parameters);
	g_test_add_func("/tree/format/parameters-in-root", test_parameters_in_root);
	g_test_add_func("/tree/node/flips", test_flips);
	g_test_add_func("/tree/node/lengths", test_lengths);
	g_test_add_func("/tree/node/noise", test_noise);
	g_test_add_func("/tree/node/forms", test_forms);
	g_test_add_func("/tree/node/counts", test_counts);
	g_test_add_func("/tree/node/hostile-trees", test_hostile_trees);
	g_test_add_func("/tree/node/wrong-tops", test_wrong_tops);
	return g_test_run();
}
