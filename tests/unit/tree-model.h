/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests of core/tree share: a store that counts, random numbers, contents as a model (a
 * GTree of GBytes; in a batch of edits a NULL value is a deletion), and the *reference*, a builder
 * that is slow, obvious and independent of core/tree: whatever made a tree, its top node must be
 * the one that the reference makes of its contents.
 */
#include "tree/tree-private.h"

#include <xxhash.h>

/* ---- Random numbers ---------------------------------------------------------------------- */

typedef struct {
	uint64_t state;
} Random;

/* The seed of a test, which PROLLY_TEST_SEED replaces. */
static inline Random random_start(uint64_t seed)
{
	const char *given = g_getenv("PROLLY_TEST_SEED");

	if (given)
		seed = g_ascii_strtoull(given, NULL, 0);
	g_test_message("PROLLY_TEST_SEED=%" G_GUINT64_FORMAT, seed);
	return (Random){seed};
}

/* In [0, LIMIT). splitmix64. */
static inline uint32_t random_below(Random *random, uint32_t limit)
{
	uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(((x ^ (x >> 31)) >> 32) * limit >> 32);
}

static inline GBytes *random_bytes(Random *random, size_t len)
{
	uint8_t *bytes = g_malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)random_below(random, 256);
	return g_bytes_new_take(bytes, len);
}

/* A key of a small alphabet, so that keys meet, nest and share prefixes. */
static inline GBytes *random_key(Random *random)
{
	size_t len = random_below(random, 10);
	uint8_t *bytes = g_malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		bytes[i] = "\0abc/\xff"[random_below(random, 6)];
	return g_bytes_new_take(bytes, len);
}

/* ---- Fixture ----------------------------------------------------------------------------- */

typedef struct {
	ProllyStore *store;
	ProllyFormat *format;
	ProllyTreeContext context;
} TreeTest;

/* As prolly_format_parameters_init, but for the shape: nodes of some 60 bytes make deep trees. */
static inline ProllyFormatParameters tiny_parameters(void)
{
	ProllyFormatParameters parameters;

	prolly_format_parameters_init(&parameters);
	parameters.min = 32;
	parameters.max = 512;
	parameters.scale_shift = 6;
	return parameters;
}

static inline ProllyFormatParameters default_parameters(void)
{
	ProllyFormatParameters parameters;

	prolly_format_parameters_init(&parameters);
	return parameters;
}

static inline void tree_test_start_weighing(TreeTest *test, ProllyFormatParameters parameters,
					    ProllyWeighFunc weigh)
{
	g_autoptr(GError) error = NULL;

	test->store = prolly_store_new_memory();
	prolly_format_new(&parameters, weigh, &test->format, &error);
	g_assert_no_error(error);
	test->context = (ProllyTreeContext){test->store, test->format};
}

static inline void tree_test_start(TreeTest *test, ProllyFormatParameters parameters)
{
	tree_test_start_weighing(test, parameters, NULL);
}

static inline void tree_test_stop(TreeTest *test)
{
	prolly_store_unref(test->store);
	prolly_format_unref(test->format);
}

/* ---- Models ------------------------------------------------------------------------------ */

static inline int compare_bytes(gconstpointer a, gconstpointer b, gpointer data)
{
	return g_bytes_compare(a, b);
}

static inline void unref_bytes(gpointer bytes)
{
	if (bytes)
		g_bytes_unref(bytes);
}

static inline GTree *model_new(void)
{
	return g_tree_new_full(compare_bytes, NULL, unref_bytes, unref_bytes);
}

static inline void model_set(GTree *model, GBytes *key, GBytes *value)
{
	g_tree_replace(model, key, value);
}

static inline void model_set_text(GTree *model, const char *key, const char *value)
{
	model_set(model, g_bytes_new(key, strlen(key)),
		  value ? g_bytes_new(value, strlen(value)) : NULL);
}

static inline GTree *model_copy(GTree *model)
{
	GTree *copy = model_new();

	for (GTreeNode *node = g_tree_node_first(model); node; node = g_tree_node_next(node)) {
		GBytes *value = g_tree_node_value(node);

		model_set(copy, g_bytes_ref(g_tree_node_key(node)),
			  value ? g_bytes_ref(value) : NULL);
	}
	return copy;
}

/* Carries out a batch of edits on MODEL. */
static inline void model_apply(GTree *model, GTree *batch)
{
	for (GTreeNode *node = g_tree_node_first(batch); node; node = g_tree_node_next(node)) {
		GBytes *key = g_tree_node_key(node), *value = g_tree_node_value(node);

		if (value)
			model_set(model, g_bytes_ref(key), g_bytes_ref(value));
		else
			g_tree_remove(model, key);
	}
}

/* A model of N entries, the keys numbers with gaps. */
static inline GTree *numbered_model(uint32_t n)
{
	GTree *model = model_new();

	for (uint32_t i = 0; i < n; i++) {
		g_autofree char *key = g_strdup_printf("%06u", 2 * i);
		g_autofree char *value = g_strdup_printf("value %u", i % 7);

		model_set_text(model, key, value);
	}
	return model;
}

/* The key of a random entry of MODEL, which has some. */
static inline GBytes *model_pick(Random *random, GTree *model)
{
	GTreeNode *node = g_tree_node_first(model);
	uint32_t steps = random_below(random, (uint32_t)MIN(g_tree_nnodes(model), 4000));

	while (steps--)
		node = g_tree_node_next(node);
	return g_bytes_ref(g_tree_node_key(node));
}

/* ---- From models to trees ---------------------------------------------------------------- */

static inline bool next_of_model(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	GTreeNode **node = data;

	*out_end = *node == NULL;
	if (*out_end)
		return true;
	*out_edit = (ProllyEdit){0};
	out_edit->key = g_bytes_get_data(g_tree_node_key(*node), &out_edit->key_len);
	if (!out_edit->key)
		out_edit->key = (const uint8_t *)"";
	if (g_tree_node_value(*node)) {
		out_edit->value = g_bytes_get_data(g_tree_node_value(*node), &out_edit->value_len);
		if (!out_edit->value)
			out_edit->value = (const uint8_t *)"";
	}
	*node = g_tree_node_next(*node);
	return true;
}

/* TREE (NULL: the empty one) with BATCH applied. */
static inline ProllyTree apply_batch(const ProllyTreeContext *context, const ProllyTree *tree,
				     GTree *batch)
{
	g_autoptr(GError) error = NULL;
	GTreeNode *node = g_tree_node_first(batch);
	ProllyTree result;

	prolly_tree_apply(context, tree, next_of_model, &node, &result, &error);
	g_assert_no_error(error);
	return result;
}

static inline void assert_same_bytes(const void *data, size_t len, GBytes *expected)
{
	size_t expected_len;
	const void *expected_data = g_bytes_get_data(expected, &expected_len);

	g_assert_cmpmem(data, len, expected_data, expected_len);
}

/* (transfer full) What a cursor over TREE finds. */
static inline GTree *model_read(const ProllyTreeContext *context, const ProllyTree *tree)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, tree);
	GTree *model = model_new();

	g_assert_true(prolly_cursor_seek_first(cursor, NULL));
	while (prolly_cursor_is_valid(cursor)) {
		size_t key_len, value_len;
		const uint8_t *key = prolly_cursor_get_key(cursor, &key_len);
		const uint8_t *value = prolly_cursor_get_value(cursor, &value_len);

		model_set(model, g_bytes_new(key, key_len), g_bytes_new(value, value_len));
		g_assert_true(prolly_cursor_next(cursor, NULL));
	}
	return model;
}

/* ---- The reference ----------------------------------------------------------------------- */

typedef struct {
	GBytes *key;
	GBytes *value;   /* of a leaf */
	ProllyHash hash; /* of a child */
	uint64_t keys, bytes;
} ReferenceEntry;

static inline void reference_entry_clear(gpointer data)
{
	ReferenceEntry *entry = data;

	g_bytes_unref(entry->key);
	unref_bytes(entry->value);
}

static inline GArray *reference_entries_new(void)
{
	GArray *entries = g_array_new(FALSE, FALSE, sizeof(ReferenceEntry));

	g_array_set_clear_func(entries, reference_entry_clear);
	return entries;
}

/* The rule as the manual states it, in numbers too wide to overflow. */
static inline bool reference_cuts(const ProllyFormatParameters *p, unsigned level, uint64_t s0,
				  uint64_t s1, GBytes *key)
{
	unsigned __int128 before = s0, after = s1, scale = 1u << p->scale_shift;
	const char label[16] = "prolly seed v1";
	uint8_t number = (uint8_t)level;
	size_t len;
	const void *data = g_bytes_get_data(key, &len);
	ProllyHash seed;
	uint32_t e;

	if (s1 >= p->max)
		return true;
	if (s1 < p->min)
		return false;
	prolly_hash_compute2(label, sizeof(label), &number, 1, &seed);
	e = (uint32_t)XXH3_64bits_withSeed(data, len, prolly_get_le64(seed.bytes));
	return e * (scale * scale * scale * scale) <
	       (after * after * after * after - before * before * before * before) << 32;
}

/* Bytes all keys begin with. */
static inline size_t reference_prefix(const ReferenceEntry *entries, size_t n)
{
	size_t prefix;
	const uint8_t *first = g_bytes_get_data(entries[0].key, &prefix);

	for (size_t i = 1; i < n; i++) {
		size_t len, same = 0;
		const uint8_t *key = g_bytes_get_data(entries[i].key, &len);

		while (same < MIN(prefix, len) && key[same] == first[same])
			same++;
		prefix = same;
	}
	return prefix;
}

static inline void reference_put_end(GByteArray *out, bool wide, size_t end)
{
	if (wide)
		prolly_append_le32(out, (uint32_t)end);
	else
		prolly_append_le16(out, (uint16_t)end);
}

/* What follows from a node's entries alone, unless a test wants it wrong. */
typedef struct {
	size_t prefix;
	bool wide;
} ReferenceForm;

static inline ReferenceForm reference_form(unsigned level, const ReferenceEntry *entries, size_t n)
{
	ReferenceForm form = {.prefix = n ? reference_prefix(entries, n) : 0};
	size_t keys = 0, values = 0;

	for (size_t i = 0; i < n; i++) {
		keys += g_bytes_get_size(entries[i].key) - form.prefix;
		values += level == 0 ? g_bytes_get_size(entries[i].value) : 0;
	}
	form.wide = keys > 65535 || values > 65535;
	return form;
}

/* A node of ENTRIES, whether or not they are in order. */
static inline GByteArray *reference_encode(unsigned level, const ReferenceEntry *entries, size_t n,
					   ReferenceForm form)
{
	size_t prefix = form.prefix, key_end = 0, value_end = 0;
	g_autoptr(GByteArray) key_ends = g_byte_array_new();
	g_autoptr(GByteArray) value_ends = g_byte_array_new();
	g_autoptr(GByteArray) suffixes = g_byte_array_new();
	g_autoptr(GByteArray) values = g_byte_array_new();
	GByteArray *out = g_byte_array_new();
	uint64_t keys = 0, bytes = 0;

	for (size_t i = 0; i < n; i++) {
		size_t len;
		const uint8_t *key = g_bytes_get_data(entries[i].key, &len);

		if (len > prefix)
			g_byte_array_append(suffixes, key + prefix, (guint)(len - prefix));
		keys += entries[i].keys;
		bytes += entries[i].bytes;
		if (level == 0 && g_bytes_get_size(entries[i].value) > 0)
			g_byte_array_append(values, g_bytes_get_data(entries[i].value, NULL),
					    (guint)g_bytes_get_size(entries[i].value));
	}
	for (size_t i = 0; i < n; i++) {
		key_end += g_bytes_get_size(entries[i].key) - prefix;
		reference_put_end(key_ends, form.wide, key_end);
		value_end += level == 0 ? g_bytes_get_size(entries[i].value) : 0;
		reference_put_end(value_ends, form.wide, value_end);
	}

	g_byte_array_append(out, (const guint8 *)"PTN\1", 4);
	prolly_append_u8(out, level > 0);
	prolly_append_u8(out, (uint8_t)level);
	prolly_append_le16(out, form.wide);
	prolly_append_le32(out, (uint32_t)n);
	prolly_append_le32(out, (uint32_t)prefix);
	prolly_append_le32(out, suffixes->len);
	prolly_append_le32(out, values->len);
	prolly_append_le64(out, keys);
	prolly_append_le64(out, bytes);
	for (size_t i = 0; level > 0 && i < n; i++)
		prolly_append_le64(out, entries[i].keys);
	for (size_t i = 0; level > 0 && i < n; i++)
		prolly_append_le64(out, entries[i].bytes);
	for (size_t i = 0; level > 0 && i < n; i++)
		g_byte_array_append(out, entries[i].hash.bytes, PROLLY_HASH_SIZE);
	g_byte_array_append(out, key_ends->data, key_ends->len);
	if (level == 0)
		g_byte_array_append(out, value_ends->data, value_ends->len);
	if (prefix)
		g_byte_array_append(out, g_bytes_get_data(entries[0].key, NULL), (guint)prefix);
	g_byte_array_append(out, suffixes->data, suffixes->len);
	g_byte_array_append(out, values->data, values->len);
	return out;
}

/* Puts a node of N ENTRIES and appends it to UPPER as a child. */
static inline void reference_close(ProllyStore *store, unsigned level,
				   const ReferenceEntry *entries, size_t n, GArray *upper)
{
	GByteArray *node = reference_encode(level, entries, n, reference_form(level, entries, n));
	ReferenceEntry child = {0};
	size_t len = node->len;
	uint8_t *bytes = g_memdup2(node->data, len);

	g_byte_array_unref(node);
	child.key = n ? g_bytes_ref(entries[n - 1].key) : g_bytes_new(NULL, 0);
	for (size_t i = 0; i < n; i++) {
		child.keys += entries[i].keys;
		child.bytes += entries[i].bytes;
	}
	g_assert_true(
		prolly_store_put(store, PROLLY_NODE_TREE, bytes, len, &child.hash, NULL, NULL));
	g_array_append_val(upper, child);
}

typedef bool (*CutFunc)(const ProllyFormatParameters *p, unsigned level, uint64_t s0, uint64_t s1,
			GBytes *key);

/* (transfer full) The nodes above ENTRIES, which are those of LEVEL. */
static inline GArray *reference_level(const ProllyTreeContext *context, CutFunc cuts,
				      unsigned level, GArray *entries)
{
	const ProllyFormatParameters *p = prolly_format_get_parameters(context->format);
	const ReferenceEntry *all = (const ReferenceEntry *)(void *)entries->data;
	GArray *upper = reference_entries_new();
	uint64_t s = 0;
	guint start = 0;

	for (guint i = 0; i < entries->len; i++) {
		uint64_t size = g_bytes_get_size(all[i].key) +
				(level == 0 ? g_bytes_get_size(all[i].value) : 48);

		if ((level == 0 || i > start) && cuts(p, level, s, s + size, all[i].key)) {
			reference_close(context->store, level, all + start, i + 1 - start, upper);
			start = i + 1;
			s = 0;
		} else {
			s += size;
		}
	}
	if (start < entries->len)
		reference_close(context->store, level, all + start, entries->len - start, upper);
	return upper;
}

/* The tree of MODEL with another rule for where to cut. */
static inline ProllyTree reference_build_with(const ProllyTreeContext *context, CutFunc cuts,
					      GTree *model)
{
	GArray *entries = reference_entries_new();
	ReferenceEntry *top;
	ProllyTree tree;
	unsigned level = 0;

	for (GTreeNode *node = g_tree_node_first(model); node; node = g_tree_node_next(node)) {
		ReferenceEntry entry = {.keys = 1};

		entry.key = g_bytes_ref(g_tree_node_key(node));
		entry.value = g_bytes_ref(g_tree_node_value(node));
		entry.bytes =
			g_bytes_get_size(entry.key) +
			format_weigh(context->format->weigh, g_bytes_get_data(entry.value, NULL),
				     g_bytes_get_size(entry.value));
		g_array_append_val(entries, entry);
	}
	do {
		GArray *upper = reference_level(context, cuts, level++, entries);

		g_array_unref(entries);
		entries = upper;
	} while (entries->len > 1);
	if (entries->len == 0)
		reference_close(context->store, 0, NULL, 0, entries);
	top = &g_array_index(entries, ReferenceEntry, 0);
	tree = (ProllyTree){top->hash, top->keys, top->bytes};
	g_array_unref(entries);
	return tree;
}

static inline ProllyTree reference_build(const ProllyTreeContext *context, GTree *model)
{
	return reference_build_with(context, reference_cuts, model);
}

/* ---- Assertions -------------------------------------------------------------------------- */

/* A cursor over TREE gives MODEL, forwards. */
static inline void assert_contents(const ProllyTreeContext *context, const ProllyTree *tree,
				   GTree *model)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, tree);
	g_autoptr(GError) error = NULL;
	size_t len;

	g_assert_cmpuint(tree->keys, ==, (guint64)g_tree_nnodes(model));
	prolly_cursor_seek_first(cursor, &error);
	g_assert_no_error(error);
	for (GTreeNode *node = g_tree_node_first(model); node; node = g_tree_node_next(node)) {
		g_assert_true(prolly_cursor_is_valid(cursor));
		const uint8_t *key = prolly_cursor_get_key(cursor, &len);
		assert_same_bytes(key, len, g_tree_node_key(node));
		const uint8_t *value = prolly_cursor_get_value(cursor, &len);
		assert_same_bytes(value, len, g_tree_node_value(node));
		prolly_cursor_next(cursor, &error);
		g_assert_no_error(error);
	}
	g_assert_false(prolly_cursor_is_valid(cursor));
}

/* TREE is the one that the reference makes of MODEL. */
static inline void assert_canonical(const ProllyTreeContext *context, const ProllyTree *tree,
				    GTree *model)
{
	ProllyTree expected = reference_build(context, model);

	g_assert_cmpmem(&tree->top, sizeof(tree->top), &expected.top, sizeof(expected.top));
	g_assert_cmpuint(tree->keys, ==, expected.keys);
	g_assert_cmpuint(tree->bytes, ==, expected.bytes);
}

static inline void assert_verifies(const ProllyTreeContext *context, const ProllyTree *tree)
{
	g_autoptr(GError) error = NULL;

	prolly_tree_verify(context, tree, &error);
	g_assert_no_error(error);
}

/* Adds the hash of every node of the tree to SET. */
static inline bool collect_child(const ProllyHash *hash, void *data, GError **error);

typedef struct {
	const ProllyTreeContext *context;
	GHashTable *set;
} Collect;

static inline bool ignore_entry(const uint8_t *key, size_t key_len, const uint8_t *value,
				size_t value_len, void *data, GError **error)
{
	return true;
}

static inline bool collect_child(const ProllyHash *hash, void *data, GError **error)
{
	Collect *collect = data;

	g_autoptr(ProllyNode) node =
		prolly_store_get(collect->context->store, PROLLY_NODE_TREE, hash, error);

	g_hash_table_add(collect->set, g_memdup2(hash, sizeof(*hash)));
	return node && prolly_tree_walk_node(collect->context, node, collect_child, ignore_entry,
					     data, error);
}

/* (transfer full) The hashes of all nodes of TREE. */
static inline GHashTable *collect_nodes(const ProllyTreeContext *context, const ProllyTree *tree)
{
	GHashTable *set = g_hash_table_new_full(prolly_hash_table_hash, prolly_hash_table_equal,
						g_free, NULL);
	Collect collect = {context, set};

	g_assert_true(collect_child(&tree->top, &collect, NULL));
	return set;
}
