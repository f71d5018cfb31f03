/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs: that they say what the tree says (the model), and that nothing but the very bytes verifies.
 */
#include "proof-model.h"

/* ---- Helpers ----------------------------------------------------------------------------- */

static ProllyHash root_of(const TreeTest *test, const ProllyTree *tree)
{
	ProllyHash root;

	prolly_tree_get_root(test->format, tree, &root);
	return root;
}

static GBytes *prove(const TreeTest *test, const ProllyTree *tree, const ProllyProofQuery *query)
{
	g_autoptr(GError) error = NULL;
	GBytes *bytes = NULL;

	prolly_proof_make(&test->context, tree, query, &bytes, &error);
	g_assert_no_error(error);
	return bytes;
}

/* (transfer full) The proof as its verifier sees it. */
static ProllyProof *accept(GBytes *bytes, const ProllyHash *root, const ProllyProofQuery *query)
{
	g_autoptr(GError) error = NULL;
	ProllyProof *proof = NULL;

	prolly_proof_verify(bytes, root, query, NULL, &proof, &error);
	g_assert_no_error(error);
	return proof;
}

static ProllyKey key_of(GBytes *bytes)
{
	ProllyKey key;

	key.key = g_bytes_get_data(bytes, &key.len);
	return key;
}

static uint64_t model_rank(GTree *model, GBytes *key)
{
	uint64_t rank = 0;

	for (GTreeNode *node = g_tree_node_first(model);
	     node && g_bytes_compare(g_tree_node_key(node), key) < 0; node = g_tree_node_next(node))
		rank++;
	return rank;
}

static void assert_answer(ProllyProof *proof, GTree *model, GBytes *key)
{
	GBytes *value = g_tree_lookup(model, key);
	ProllyProofEntry entry;

	g_assert_true(prolly_proof_next(proof, &entry));
	assert_same_bytes(entry.key, entry.key_len, key);
	g_assert_true((entry.value != NULL) == (value != NULL));
	if (value)
		assert_same_bytes(entry.value, entry.value_len, value);
	g_assert_cmpuint(entry.rank, ==, model_rank(model, key));
}

static GTree *random_model(Random *random, uint32_t n)
{
	GTree *model = model_new();

	while (n-- > 0)
		model_set(model, random_key(random),
			  random_bytes(random, random_below(random, 20)));
	return model;
}

/* ---- What proofs say --------------------------------------------------------------------- */

static void test_keys(void)
{
	Random random = random_start(41);
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	for (uint32_t n = 0; n < 600; n = n * 3 / 2 + 1) {
		g_autoptr(GTree) model = random_model(&random, n);
		ProllyTree tree = apply_batch(&test.context, NULL, model);
		ProllyHash root = root_of(&test, &tree);

		for (uint32_t i = 0; i < 200; i++) {
			bool inside = n > 0 && i % 2;
			g_autoptr(GBytes) key =
				inside ? model_pick(&random, model) : random_key(&random);
			ProllyKey asked = key_of(key);
			ProllyProofQuery query = query_of_key(&asked);
			g_autoptr(GBytes) bytes = prove(&test, &tree, &query);
			g_autoptr(ProllyProof) proof = accept(bytes, &root, &query);
			ProllyProofEntry entry;

			assert_answer(proof, model, key);
			g_assert_false(prolly_proof_next(proof, &entry));
			g_assert_cmpuint(prolly_proof_get_tree(proof)->keys, ==, tree.keys);
			g_assert_cmpuint(prolly_proof_get_tree(proof)->bytes, ==, tree.bytes);
			g_assert_true(prolly_tree_equal(prolly_proof_get_tree(proof), &tree));
			g_assert_cmpmem(prolly_proof_get_parameters(proof),
					sizeof(ProllyFormatParameters),
					prolly_format_get_parameters(test.format),
					sizeof(ProllyFormatParameters));
		}
	}
	tree_test_stop(&test);
}

/* (transfer full) Random keys, some of MODEL's, in order. */
static GTree *random_questions(Random *random, GTree *model, uint32_t n)
{
	GTree *questions = model_new();

	while (n-- > 0)
		model_set(questions,
			  random_below(random, 2) && g_tree_nnodes(model) > 0
				  ? model_pick(random, model)
				  : random_key(random),
			  NULL);
	return questions;
}

static void test_many_keys(void)
{
	Random random = random_start(42);
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	for (uint32_t round = 0; round < 150; round++) {
		g_autoptr(GTree) model = random_model(&random, random_below(&random, 400));
		g_autoptr(GTree) asked =
			random_questions(&random, model, 1 + random_below(&random, 60));
		ProllyTree tree = apply_batch(&test.context, NULL, model);
		ProllyHash root = root_of(&test, &tree);
		g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(ProllyKey));

		for (GTreeNode *node = g_tree_node_first(asked); node;
		     node = g_tree_node_next(node)) {
			ProllyKey key = key_of(g_tree_node_key(node));

			g_array_append_val(keys, key);
		}
		ProllyProofQuery query = {(ProllyKey *)(void *)keys->data, keys->len, {0}, {0}};
		g_autoptr(GBytes) bytes = prove(&test, &tree, &query);
		g_autoptr(ProllyProof) proof = accept(bytes, &root, &query);
		ProllyProofEntry entry;

		for (GTreeNode *node = g_tree_node_first(asked); node;
		     node = g_tree_node_next(node))
			assert_answer(proof, model, g_tree_node_key(node));
		g_assert_false(prolly_proof_next(proof, &entry));
	}
	tree_test_stop(&test);
}

/* PROOF gives exactly the entries of MODEL in [LOWER, UPPER). */
static void assert_range(ProllyProof *proof, GTree *model, GBytes *lower, GBytes *upper)
{
	ProllyProofEntry entry;

	for (GTreeNode *node = g_tree_node_first(model); node; node = g_tree_node_next(node)) {
		GBytes *key = g_tree_node_key(node);

		if (g_bytes_compare(key, lower) < 0 ||
		    (g_bytes_get_size(upper) > 0 && g_bytes_compare(key, upper) >= 0))
			continue;
		assert_answer(proof, model, key);
	}
	g_assert_false(prolly_proof_next(proof, &entry));
	g_assert_false(prolly_proof_next(proof, &entry));
}

static void test_ranges(void)
{
	Random random = random_start(43);
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	for (uint32_t round = 0; round < 300; round++) {
		g_autoptr(GTree) model = random_model(&random, random_below(&random, 300));
		ProllyTree tree = apply_batch(&test.context, NULL, model);
		ProllyHash root = root_of(&test, &tree);
		g_autoptr(GBytes) lower = random_key(&random);
		g_autoptr(GBytes) upper = random_key(&random);
		ProllyProofQuery query = {.lower = key_of(lower), .upper = key_of(upper)};

		if (query.upper.len > 0 && g_bytes_compare(lower, upper) >= 0)
			continue;
		g_autoptr(GBytes) bytes = prove(&test, &tree, &query);
		g_autoptr(ProllyProof) proof = accept(bytes, &root, &query);
		assert_range(proof, model, lower, upper);
	}
	tree_test_stop(&test);
}

/* A proof of everything is the whole tree, and gives it. */
static void test_everything(void)
{
	g_autoptr(GTree) model = numbered_model(2000);
	g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
	g_autoptr(GHashTable) nodes = NULL;
	ProllyProofQuery query = {0};
	ProllyWorkFigures figures;
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	ProllyTree tree = apply_batch(&test.context, NULL, model);
	ProllyHash root = root_of(&test, &tree);
	g_autoptr(ProllyWork) work = prolly_work_new();
	g_autoptr(ProllyStore) counting = prolly_store_new_counting(test.store, work);
	ProllyTreeContext context = {counting, test.format};
	GBytes *bytes;

	g_assert_true(prolly_proof_make(&context, &tree, &query, &bytes, NULL));
	g_autoptr(ProllyProof) proof = accept(bytes, &root, &query);
	assert_range(proof, model, none, none);
	nodes = collect_nodes(&test.context, &tree);
	prolly_work_get_figures(work, &figures);
	g_assert_cmpuint(figures.nodes_read, ==, g_hash_table_size(nodes));
	g_bytes_unref(bytes);
	tree_test_stop(&test);
}

/* A proof of one key reads its path and no more. */
static void test_work(void)
{
	g_autoptr(GTree) model = numbered_model(2000);
	TreeTest test;
	unsigned height = 0;
	ProllyWorkFigures figures;
	ProllyKey key = {"001000", 6};
	ProllyProofQuery query = query_of_key(&key);

	tree_test_start(&test, tiny_parameters());
	ProllyTree tree = apply_batch(&test.context, NULL, model);
	g_assert_true(prolly_tree_get_height(&test.context, &tree, &height, NULL));
	g_autoptr(ProllyWork) work = prolly_work_new();
	g_autoptr(ProllyStore) counting = prolly_store_new_counting(test.store, work);
	ProllyTreeContext context = {counting, test.format};
	g_autoptr(GBytes) bytes = NULL;

	g_assert_true(prolly_proof_make(&context, &tree, &query, &bytes, NULL));
	prolly_work_get_figures(work, &figures);
	g_assert_cmpuint(figures.nodes_read, ==, height);
	g_assert_cmpuint(figures.nodes_written + figures.nodes_hashed, ==, 0);
	tree_test_stop(&test);
}

/* ---- What must fail ---------------------------------------------------------------------- */

typedef struct {
	ProllyHash root;
	ProllyProofQuery query;
	const uint8_t *data;
	size_t len;
	uint8_t *copy; /* room for LEN + 1 bytes */
} Target;

static void expect_failure(const Target *target, size_t len, const char *what, size_t place)
{
	if (holds(target->copy, len, &target->root, &target->query))
		g_error("it holds with a byte %s at %zu of %zu", what, place, target->len);
}

static void flip_bits(const Target *target)
{
	for (size_t i = 0; i < 8 * target->len; i++) {
		target->copy[i / 8] ^= (uint8_t)(1u << i % 8);
		expect_failure(target, target->len, "flipped", i / 8);
		target->copy[i / 8] = target->data[i / 8];
	}
}

static void replace_bytes(const Target *target)
{
	for (size_t i = 0; i < target->len; i++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			if (byte == target->data[i])
				continue;
			target->copy[i] = (uint8_t)byte;
			expect_failure(target, target->len, "replaced", i);
		}
		target->copy[i] = target->data[i];
	}
}

static void swap_bytes(const Target *target)
{
	for (size_t i = 0; i < target->len; i++) {
		for (size_t j = i + 1; j < target->len; j++) {
			if (target->data[i] == target->data[j])
				continue;
			target->copy[i] = target->data[j];
			target->copy[j] = target->data[i];
			expect_failure(target, target->len, "swapped", i);
			target->copy[j] = target->data[j];
		}
		target->copy[i] = target->data[i];
	}
}

static void drop_bytes(const Target *target)
{
	for (size_t i = 0; i < target->len; i++) {
		memcpy(target->copy, target->data, i);
		memcpy(target->copy + i, target->data + i + 1, target->len - i - 1);
		expect_failure(target, target->len - 1, "dropped", i);
		memcpy(target->copy, target->data, target->len);
		expect_failure(target, i, "cut off", i);
	}
}

static void insert_bytes(const Target *target)
{
	for (size_t i = 0; i <= target->len; i++) {
		memcpy(target->copy, target->data, i);
		memcpy(target->copy + i + 1, target->data + i, target->len - i);
		for (unsigned byte = 0; byte < 256; byte++) {
			target->copy[i] = (uint8_t)byte;
			expect_failure(target, target->len + 1, "inserted", i);
		}
	}
	memcpy(target->copy, target->data, target->len);
}

static void attack(const TreeTest *test, const ProllyTree *tree, const ProllyProofQuery *query)
{
	g_autoptr(GBytes) bytes = prove(test, tree, query);
	Target target = {.root = root_of(test, tree), .query = *query};

	target.data = g_bytes_get_data(bytes, &target.len);
	target.copy = g_malloc(target.len + 1);
	memcpy(target.copy, target.data, target.len);
	g_test_message("a proof of %zu bytes", target.len);
	g_assert_true(holds(target.copy, target.len, &target.root, &target.query));
	flip_bits(&target);
	replace_bytes(&target);
	swap_bytes(&target);
	drop_bytes(&target);
	insert_bytes(&target);
	g_assert_true(holds(target.copy, target.len, &target.root, &target.query));
	g_free(target.copy);
}

static void test_every_byte(void)
{
	g_autoptr(GTree) one = numbered_model(3);
	g_autoptr(GTree) model = numbered_model(30);
	ProllyKey present = {"000020", 6}, absent = {"000021", 6}, behind = {"1", 1};
	ProllyKey many[] = {{"", 0}, {"000004", 6}, {"000005", 6}, {"000050", 6}, {"2", 1}};
	ProllyProofQuery queries[] = {
		query_of_key(&present),
		query_of_key(&absent),
		query_of_key(&behind),
		{.keys = many, .n = G_N_ELEMENTS(many)},
		{.lower = {"000007", 6}, .upper = {"000013", 6}},
		{.lower = {"000051", 6}},
	};
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	ProllyTree empty = apply_batch(&test.context, NULL, model_new());
	ProllyTree leaf = apply_batch(&test.context, NULL, one);
	ProllyTree tree = apply_batch(&test.context, NULL, model);
	attack(&test, &empty, &queries[0]);
	attack(&test, &leaf, &queries[0]);
	for (size_t i = 0; i < G_N_ELEMENTS(queries); i++)
		attack(&test, &tree, &queries[i]);
	tree_test_stop(&test);
}

/* One random change of a large proof. */
static size_t change(Random *random, uint8_t *copy, size_t len)
{
	size_t at = random_below(random, (uint32_t)len), to = random_below(random, (uint32_t)len);
	uint8_t byte = copy[at];

	switch (random_below(random, 4)) {
	case 0:
		copy[at] ^= (uint8_t)(1u << random_below(random, 8));
		return len;
	case 1:
		memmove(copy + at, copy + at + 1, len - at - 1);
		return len - 1;
	case 2:
		memmove(copy + at + 1, copy + at, len - at);
		return len + 1;
	default:
		copy[at] = copy[to];
		copy[to] = byte;
		return byte == copy[at] ? change(random, copy, len) : len;
	}
}

static void test_large(void)
{
	Random random = random_start(44);
	g_autoptr(GTree) model = numbered_model(20000);
	TreeTest test;

	tree_test_start(&test, default_parameters());
	ProllyTree tree = apply_batch(&test.context, NULL, model);
	ProllyHash root = root_of(&test, &tree);
	for (uint32_t round = 0; round < 20; round++) {
		g_autoptr(GBytes) key = model_pick(&random, model);
		ProllyKey asked = key_of(key);
		ProllyProofQuery one = query_of_key(&asked);
		ProllyProofQuery range = {.lower = asked, .upper = {"04", 2}};
		const ProllyProofQuery *query = round % 2 ? &one : &range;
		g_autoptr(GBytes) bytes = prove(&test, &tree, query);
		size_t len;
		const uint8_t *data = g_bytes_get_data(bytes, &len);
		g_autofree uint8_t *copy = g_malloc(len + 1);

		for (uint32_t i = 0; i < 200; i++) {
			memcpy(copy, data, len);
			size_t changed = change(&random, copy, len);
			g_assert_false(holds(copy, changed, &root, query));
		}
		memcpy(copy, data, len);
		g_assert_true(holds(copy, len, &root, query));
	}
	tree_test_stop(&test);
}

/* A proof holds for its query and its root alone. */
static void test_other_question(void)
{
	g_autoptr(GTree) model = numbered_model(100);
	g_autoptr(GTree) more = numbered_model(101);
	ProllyKey key = {"000100", 6}, other = {"000101", 6}, both[] = {key, other};
	ProllyProofQuery query = query_of_key(&key), another = query_of_key(&other);
	ProllyProofQuery list = {.keys = both, .n = 2};
	ProllyProofQuery range = {.lower = key, .upper = {"000100\0", 7}};
	TreeTest test;

	tree_test_start(&test, tiny_parameters());
	ProllyTree tree = apply_batch(&test.context, NULL, model);
	ProllyTree larger = apply_batch(&test.context, NULL, more);
	ProllyHash root = root_of(&test, &tree), next = root_of(&test, &larger);
	g_autoptr(GBytes) bytes = prove(&test, &tree, &query);
	size_t len;
	const uint8_t *data = g_bytes_get_data(bytes, &len);

	g_assert_true(holds(data, len, &root, &query));
	g_assert_false(holds(data, len, &next, &query));
	g_assert_false(holds(data, len, &root, &another));
	g_assert_false(holds(data, len, &root, &list));
	g_assert_false(holds(data, len, &root, &range));
	tree_test_stop(&test);
}

static uint64_t weigh_double(const uint8_t *value, size_t len)
{
	return 2 * len;
}

/* The format is bound: its parameters, and how values weigh. */
static void test_format(void)
{
	g_autoptr(GTree) model = numbered_model(10);
	ProllyFormatParameters parameters = tiny_parameters(), wider = tiny_parameters();
	ProllyKey key = {"000004", 6};
	ProllyProofQuery query = query_of_key(&key);
	ProllyFormatParameters read;
	TreeTest test, same;
	g_autoptr(ProllyProof) proof = NULL;
	g_autoptr(GError) error = NULL;

	wider.inline_limit++;
	tree_test_start(&test, parameters);
	tree_test_start(&same, wider);
	ProllyTree tree = apply_batch(&test.context, NULL, model);
	ProllyTree twin = apply_batch(&same.context, NULL, model);
	ProllyHash root = root_of(&test, &tree);
	g_autoptr(GBytes) bytes = prove(&test, &tree, &query);
	g_autoptr(GBytes) other = prove(&same, &twin, &query);

	g_assert_true(prolly_tree_equal(&tree, &twin));
	g_assert_false(g_bytes_equal(bytes, other));
	g_assert_false(
		holds(g_bytes_get_data(other, NULL), g_bytes_get_size(other), &root, &query));
	g_assert_false(prolly_proof_verify(bytes, &root, &query, weigh_double, &proof, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);

	g_assert_true(
		prolly_format_parse_descriptor(test.format->descriptor->data, NULL, &read, NULL));
	for (size_t i = 0; i < PROLLY_FORMAT_DESCRIPTOR_SIZE; i++) {
		uint8_t copy[PROLLY_FORMAT_DESCRIPTOR_SIZE];

		memcpy(copy, test.format->descriptor->data, sizeof(copy));
		copy[i] ^= 0x81; /* a parameter may become another; then it is read as that */
		if (prolly_format_parse_descriptor(copy, NULL, &read, NULL)) {
			g_autoptr(ProllyFormat) format = NULL;

			g_assert_true(prolly_format_new(&read, NULL, &format, NULL));
			g_assert_cmpmem(copy, sizeof(copy), format->descriptor->data,
					format->descriptor->len);
		}
	}
	tree_test_stop(&test);
	tree_test_stop(&same);
}

static void assert_senseless(const ProllyProofQuery *query, ProllyErrorCode code)
{
	ProllyTree tree;
	TreeTest test;
	g_autoptr(GError) error = NULL, verify_error = NULL;
	g_autoptr(GBytes) bytes = NULL, nothing = g_bytes_new(NULL, 0);
	g_autoptr(ProllyProof) proof = NULL;
	ProllyHash root = {{0}};

	tree_test_start(&test, tiny_parameters());
	g_assert_true(prolly_tree_init_empty(&test.context, &tree, NULL));
	g_assert_false(prolly_proof_make(&test.context, &tree, query, &bytes, &error));
	g_assert_error(error, PROLLY_ERROR, (int)code);
	g_assert_false(prolly_proof_verify(nothing, &root, query, NULL, &proof, &verify_error));
	g_assert_error(verify_error, PROLLY_ERROR, (int)code);
	tree_test_stop(&test);
}

static void test_bad_query(void)
{
	g_autofree uint8_t *bytes = g_malloc0(PROLLY_KEY_MAX + 1);
	ProllyKey unsorted[] = {{"b", 1}, {"a", 1}}, twice[] = {{"a", 1}, {"a", 1}};
	ProllyKey large = {bytes, PROLLY_KEY_MAX + 1};
	ProllyProofQuery disorder = {.keys = unsorted, .n = 2}, repeat = {.keys = twice, .n = 2};
	ProllyProofQuery empty = {.lower = {"b", 1}, .upper = {"b", 1}};
	ProllyProofQuery too_long = query_of_key(&large);

	assert_senseless(&disorder, PROLLY_ERROR_INVALID);
	assert_senseless(&repeat, PROLLY_ERROR_INVALID);
	assert_senseless(&empty, PROLLY_ERROR_INVALID);
	assert_senseless(&too_long, PROLLY_ERROR_TOO_BIG);
}

/* ---- Size -------------------------------------------------------------------------------- */

typedef struct {
	uint32_t next, n;
	uint64_t seed;
	char key[25];
	uint8_t value[100];
} Million;

static void fill_key(uint32_t i, uint64_t seed, char out[25])
{
	uint64_t scatter = (i + 1) * UINT64_C(0x9e3779b97f4a7c15) + seed;

	g_snprintf(out, 25, "%07u-%016" G_GINT64_MODIFIER "x", i, scatter);
}

static bool next_of_million(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Million *self = data;

	*out_end = self->next == self->n;
	if (*out_end)
		return true;
	fill_key(self->next++, self->seed, self->key);
	*out_edit = (ProllyEdit){(const uint8_t *)self->key, 24, self->value, sizeof(self->value)};
	return true;
}

/* A proof of one key among a million is under 20 KiB, whichever key it is. */
static void test_size(void)
{
	Random random = random_start(45);
	Million million = {.n = 1000000, .seed = random.state};
	size_t longest = 0, sum = 0;
	ProllyTree tree;
	TreeTest test;

	tree_test_start(&test, default_parameters());
	g_assert_true(
		prolly_tree_apply(&test.context, NULL, next_of_million, &million, &tree, NULL));
	ProllyHash root = root_of(&test, &tree);
	for (uint32_t round = 0; round < 10000; round++) {
		char text[25];
		ProllyKey key = {text, 24};
		ProllyProofQuery query = query_of_key(&key);

		fill_key(random_below(&random, million.n), million.seed, text);
		text[23] = round % 4 == 0 ? '-' : text[23];
		g_autoptr(GBytes) bytes = prove(&test, &tree, &query);
		g_autoptr(ProllyProof) proof = accept(bytes, &root, &query);
		ProllyProofEntry entry;

		g_assert_true(prolly_proof_next(proof, &entry));
		g_assert_true((entry.value == NULL) == (round % 4 == 0));
		longest = MAX(longest, g_bytes_get_size(bytes));
		sum += g_bytes_get_size(bytes);
	}
	g_test_message("10,000 proofs: %zu bytes in the mean, %zu at most", sum / 10000, longest);
	g_assert_cmpuint(longest, <, 20 * 1024);
	tree_test_stop(&test);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/proof/keys", test_keys);
	g_test_add_func("/tree/proof/many-keys", test_many_keys);
	g_test_add_func("/tree/proof/ranges", test_ranges);
	g_test_add_func("/tree/proof/everything", test_everything);
	g_test_add_func("/tree/proof/work", test_work);
	g_test_add_func("/tree/proof/every-byte", test_every_byte);
	g_test_add_func("/tree/proof/large", test_large);
	g_test_add_func("/tree/proof/other-question", test_other_question);
	g_test_add_func("/tree/proof/format", test_format);
	g_test_add_func("/tree/proof/bad-query", test_bad_query);
	g_test_add_func("/tree/proof/size", test_size);
	return g_test_run();
}
