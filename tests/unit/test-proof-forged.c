/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roots from hostile hands: well-hashed nodes which no builder made are not believed.
 */
#include "proof-model.h"

/* A proof for the key "b" whose tree is this top of two leaves, of which the first is opened. */
typedef struct {
	unsigned level;               /* of the top */
	const char *separators[2];    /* its keys */
	const char *first[2];         /* keys of the leaf on the path, NULL: no second */
	uint64_t keys_off, bytes_off; /* what the top's first entry says beside the truth */
	bool open_second;             /* the second leaf is on the path instead */
} Forgery;

static ReferenceEntry leaf_entry(const char *key)
{
	return (ReferenceEntry){
		.key = g_bytes_new(key, strlen(key)),
		.value = g_bytes_new("v", 1),
		.keys = 1,
		.bytes = strlen(key) + 1,
	};
}

static ReferenceEntry child_entry(const char *separator, const GByteArray *node)
{
	ReferenceEntry entry = {.key = g_bytes_new(separator, strlen(separator))};

	prolly_hash_compute(node->data, node->len, &entry.hash);
	entry.keys = prolly_get_le64(node->data + 24);
	entry.bytes = prolly_get_le64(node->data + 32);
	return entry;
}

static GByteArray *encode_leaf(const char *const *keys)
{
	ReferenceEntry entries[2];
	size_t n = 0;

	for (; n < 2 && keys[n]; n++)
		entries[n] = leaf_entry(keys[n]);
	GByteArray *node = reference_encode(0, entries, n, reference_form(0, entries, n));
	while (n-- > 0)
		reference_entry_clear(&entries[n]);
	return node;
}

/* Does the proof of TOP, and the N nodes below it that it opens, hold? */
static bool proof_holds(const GByteArray *top, GByteArray *const *nodes, size_t n,
			const ProllyProofQuery *query)
{
	ProllyFormatParameters parameters = tiny_parameters();
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GByteArray) out = g_byte_array_new();
	ProllyTree tree = {0};
	ProllyHash root;

	g_assert_true(prolly_format_new(&parameters, NULL, &format, NULL));
	prolly_hash_compute(top->data, top->len, &tree.top);
	prolly_tree_get_root(format, &tree, &root);
	prolly_proof_append_head(out, format->descriptor->data, query);
	prolly_append_string(out, top->data, top->len);
	for (size_t i = 0; i < n; i++)
		prolly_append_string(out, nodes[i]->data, nodes[i]->len);
	return holds(out->data, out->len, &root, query);
}

static bool forgery_holds(const Forgery *forgery)
{
	const char *rest[2] = {"x", NULL};
	g_autoptr(GByteArray) leaf = encode_leaf(forgery->first);
	g_autoptr(GByteArray) other = encode_leaf(rest);
	bool second = forgery->open_second;
	ReferenceEntry entries[2] = {
		child_entry(forgery->separators[0], second ? other : leaf),
		child_entry(forgery->separators[1], second ? leaf : other),
	};
	ProllyKey key = {"b", 1};
	ProllyProofQuery query = query_of_key(&key);

	entries[second].keys += forgery->keys_off;
	entries[second].bytes += forgery->bytes_off;
	g_autoptr(GByteArray) top =
		reference_encode(forgery->level, entries, 2, reference_form(1, entries, 2));
	reference_entry_clear(&entries[0]);
	reference_entry_clear(&entries[1]);
	return proof_holds(top, &leaf, 1, &query);
}

static void test_forgeries(void)
{
	static const Forgery right[] = {
		{.level = 1, .separators = {"c", "x"}, .first = {"b", "c"}},
		{.level = 1, .separators = {"a", "c"}, .first = {"b", "c"}, .open_second = true},
	};
	static const Forgery wrong[] = {
		{.level = 2, .separators = {"c", "x"}, .first = {"b", "c"}},
		{.level = 1, .separators = {"d", "x"}, .first = {"b", "c"}},
		{.level = 1, .separators = {"b", "x"}, .first = {"b", "c"}},
		{.level = 1, .separators = {"c", "x"}, .first = {"b", "c"}, .keys_off = 1},
		{.level = 1, .separators = {"c", "x"}, .first = {"b", "c"}, .bytes_off = 1},
		{.level = 1, .separators = {"c", "x"}, .first = {"c", "b"}},
		{.level = 1, .separators = {"c", "x"}, .first = {NULL}},
		{.level = 1, .separators = {"a", "c"}, .first = {"a", "c"}, .open_second = true},
		{.level = 1, .separators = {"aa", "c"}, .first = {"a", "c"}, .open_second = true},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(right); i++)
		g_assert_true(forgery_holds(&right[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		g_assert_false(forgery_holds(&wrong[i]));
}

/* A top with one child, under which everything else is right. */
static void test_one_child(void)
{
	const char *keys[2] = {"b", "c"};
	g_autoptr(GByteArray) leaf = encode_leaf(keys);
	ReferenceEntry entry = child_entry("c", leaf);
	g_autoptr(GByteArray) top = reference_encode(1, &entry, 1, reference_form(1, &entry, 1));
	ProllyKey key = {"b", 1};
	ProllyProofQuery query = query_of_key(&key);

	g_assert_false(proof_holds(top, &leaf, 1, &query));
	reference_entry_clear(&entry);
}

/* ---- Three levels ------------------------------------------------------------------------ */

/* (transfer full) A node of LEVEL over one child or two, with their last keys. */
static GByteArray *encode_inner(unsigned level, const char *const *separators,
				GByteArray *const *children, size_t n)
{
	ReferenceEntry entries[2];

	for (size_t i = 0; i < n; i++)
		entries[i] = child_entry(separators[i], children[i]);
	GByteArray *node = reference_encode(level, entries, n, reference_form(level, entries, n));
	for (size_t i = 0; i < n; i++)
		reference_entry_clear(&entries[i]);
	return node;
}

/* Leaves up to "c", "m" and "z", under a top of "c" and "z". */
typedef struct {
	GByteArray *leaves[3];
	GByteArray *inner[2];
	GByteArray *top;
} Deep;

/* FIRST: where the second leaf begins. */
static void deep_init(Deep *self, const char *first)
{
	const char *const keys[3][2] = {{"a", "c"}, {first, "m"}, {"p", "z"}};
	const char *const separators[] = {"c", "m", "z"}, *const top[] = {"c", "z"};

	for (int i = 0; i < 3; i++)
		self->leaves[i] = encode_leaf(keys[i]);
	self->inner[0] = encode_inner(1, separators, self->leaves, 1);
	self->inner[1] = encode_inner(1, separators + 1, self->leaves + 1, 2);
	self->top = encode_inner(2, top, self->inner, 2);
}

static void deep_clear(Deep *self)
{
	for (int i = 0; i < 3; i++)
		g_byte_array_unref(self->leaves[i]);
	g_byte_array_unref(self->inner[0]);
	g_byte_array_unref(self->inner[1]);
	g_byte_array_unref(self->top);
}

/* A leaf begins after the key before it, which is two levels above. */
static void test_begins_before(void)
{
	static const char *const firsts[] = {"d", "b", "c"};
	ProllyKey key = {"f", 1};
	ProllyProofQuery one = query_of_key(&key);
	ProllyProofQuery range = {.lower = {"a", 1}, .upper = {"n", 1}};

	for (size_t i = 0; i < G_N_ELEMENTS(firsts); i++) {
		Deep deep;

		deep_init(&deep, firsts[i]);
		GByteArray *const path[] = {deep.inner[1], deep.leaves[1]};
		GByteArray *const all[] = {deep.inner[0], deep.leaves[0], deep.inner[1],
					   deep.leaves[1], deep.leaves[2]};

		g_assert_cmpint(proof_holds(deep.top, path, G_N_ELEMENTS(path), &one), ==, i == 0);
		g_assert_cmpint(proof_holds(deep.top, all, G_N_ELEMENTS(all), &range), ==, i == 0);
		deep_clear(&deep);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/proof/forgeries", test_forgeries);
	g_test_add_func("/tree/proof/one-child", test_one_child);
	g_test_add_func("/tree/proof/begins-before", test_begins_before);
	return g_test_run();
}
