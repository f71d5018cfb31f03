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
	ProllyFormatParameters parameters = tiny_parameters();
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GByteArray) out = g_byte_array_new();
	ProllyKey key = {"b", 1};
	ProllyProofQuery query = query_of_key(&key);
	ProllyTree tree = {0};
	ProllyHash root;

	entries[second].keys += forgery->keys_off;
	entries[second].bytes += forgery->bytes_off;
	g_autoptr(GByteArray) top =
		reference_encode(forgery->level, entries, 2, reference_form(1, entries, 2));
	g_assert_true(prolly_format_new(&parameters, NULL, &format, NULL));
	prolly_hash_compute(top->data, top->len, &tree.top);
	prolly_tree_get_root(format, &tree, &root);
	prolly_proof_append_head(out, format->descriptor->data, &query);
	prolly_append_string(out, top->data, top->len);
	prolly_append_string(out, leaf->data, leaf->len);
	reference_entry_clear(&entries[0]);
	reference_entry_clear(&entries[1]);
	return holds(out->data, out->len, &root, &query);
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
	ProllyFormatParameters parameters = tiny_parameters();
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(GByteArray) leaf = encode_leaf(keys);
	ReferenceEntry entry = child_entry("c", leaf);
	g_autoptr(GByteArray) top = reference_encode(1, &entry, 1, reference_form(1, &entry, 1));
	ProllyKey key = {"b", 1};
	ProllyProofQuery query = query_of_key(&key);
	ProllyTree tree = {0};
	ProllyHash root;

	g_assert_true(prolly_format_new(&parameters, NULL, &format, NULL));
	prolly_hash_compute(top->data, top->len, &tree.top);
	prolly_tree_get_root(format, &tree, &root);
	prolly_proof_append_head(out, format->descriptor->data, &query);
	prolly_append_string(out, top->data, top->len);
	prolly_append_string(out, leaf->data, leaf->len);
	g_assert_false(holds(out->data, out->len, &root, &query));
	reference_entry_clear(&entry);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/proof/forgeries", test_forgeries);
	g_test_add_func("/tree/proof/one-child", test_one_child);
	return g_test_run();
}
