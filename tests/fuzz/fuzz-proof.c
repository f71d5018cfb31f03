/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof's verifier. The input is a script: a question, and the nodes of a proof. Any of these are
 * refused, for their hashes; so they are *linked* first, as a hostile maker of trees would do it:
 * each node that the route leads to gets its hash, and if the script wants it its counts, into its
 * parent, and the root hash is made of what comes out. What is accepted then must make sense, and
 * must not be accepted any more with one byte changed.
 */
#include "fuzz.h"

#include "tree-model.h"

#define KEYS_MAX 4

typedef struct {
	FuzzInput input;
	bool mends_counts;
	ProllyFormat *format;
	ProllyKey keys[KEYS_MAX];
	ProllyProofQuery query;
} Script;

/* ---- The question ------------------------------------------------------------------------ */

static ProllyKey take_key(FuzzInput *input)
{
	ProllyKey key;

	key.key = fuzz_take_string(input, 12, &key.len);
	return key;
}

/* Of one key up to four, or of a range. It may make no sense. */
static void take_query(Script *self)
{
	uint32_t n = fuzz_take_below(&self->input, KEYS_MAX + 1);

	self->query = (ProllyProofQuery){.keys = self->keys, .n = n};
	for (uint32_t i = 0; i < n; i++)
		self->keys[i] = take_key(&self->input);
	if (n == 0) {
		self->query.lower = take_key(&self->input);
		self->query.upper = take_key(&self->input);
	}
}

/* ---- The nodes --------------------------------------------------------------------------- */

/* Nodes below and with one, each a string in a proof's order, and what its parent says of it. */
typedef struct {
	GByteArray *bytes;
	ProllyHash hash;
	uint64_t keys, total;
	bool is_node;
} Subtree;

static Subtree take_subtree(Script *self, ProllyProofShare share);

/* What NODE, an internal one of COUNT children, says of child I becomes what CHILD is. */
static void mend_child(const Script *self, uint8_t *node, uint32_t count, uint32_t i,
		       const Subtree *child)
{
	uint8_t *keys = node + TREE_NODE_HEADER + 8 * (size_t)i;
	uint8_t *total = keys + 8 * (size_t)count;
	uint8_t *hashes = node + TREE_NODE_HEADER + 16 * (size_t)count;

	memcpy(hashes + sizeof(child->hash) * i, &child->hash, sizeof(child->hash));
	if (!self->mends_counts || !child->is_node)
		return;
	prolly_set_le64(node + 24,
			prolly_get_le64(node + 24) + child->keys - prolly_get_le64(keys));
	prolly_set_le64(node + 32,
			prolly_get_le64(node + 32) + child->total - prolly_get_le64(total));
	prolly_set_le64(keys, child->keys);
	prolly_set_le64(total, child->total);
}

/* Takes the subtrees that the route leads to from NODE, behind it in BELOW. */
static void take_children(Script *self, uint8_t *node, const ProllyNodeView *view,
			  ProllyProofShare share, GByteArray *below)
{
	ProllyProofRoute route;

	prolly_proof_route_init(&route, &self->query, view, share);
	while (fuzz_has_more(&self->input) && prolly_proof_route_next(&route)) {
		Subtree child = take_subtree(self, route.share);

		mend_child(self, node, view->count, route.child, &child);
		g_byte_array_append(below, child.bytes->data, child.bytes->len);
		g_byte_array_unref(child.bytes);
	}
}

static Subtree take_subtree(Script *self, ProllyProofShare share)
{
	size_t len;
	const uint8_t *given = fuzz_take_string(&self->input, 4096, &len);
	g_autofree uint8_t *node = len ? g_memdup2(given, len) : g_malloc(1);
	g_autoptr(GByteArray) below = g_byte_array_new();
	const char *flaw;
	g_autofree ProllyNodeView *view = prolly_node_view_new(node, len, NULL, &flaw);
	Subtree subtree = {.bytes = g_byte_array_new(), .is_node = view != NULL};

	if (view && view->level > 0)
		take_children(self, node, view, share, below);
	if (view) {
		subtree.keys = prolly_get_le64(node + 24);
		subtree.total = prolly_get_le64(node + 32);
	}
	prolly_hash_compute(node, len, &subtree.hash);
	prolly_append_string(subtree.bytes, node, len);
	g_byte_array_append(subtree.bytes, below->data, below->len);
	return subtree;
}

/* (transfer full) The proof that the script's nodes make, and the root it is for. */
static GByteArray *take_proof(Script *self, ProllyHash *out_root)
{
	GByteArray *proof = g_byte_array_new();
	Subtree all = take_subtree(self, (ProllyProofShare){0, self->query.n});
	ProllyTree tree = {.top = all.hash};

	prolly_proof_append_head(proof, self->format->descriptor->data, &self->query);
	g_byte_array_append(proof, all.bytes->data, all.bytes->len);
	prolly_tree_get_root(self->format, &tree, out_root);
	g_byte_array_unref(all.bytes);
	return proof;
}

/* ---- What must hold ---------------------------------------------------------------------- */

/* (transfer full) (nullable) */
static ProllyProof *verify(const GByteArray *bytes, const ProllyHash *root,
			   const ProllyProofQuery *query)
{
	g_autoptr(GBytes) copy = g_bytes_new(bytes->data, bytes->len);
	g_autoptr(GError) error = NULL;
	ProllyProof *proof = NULL;

	if (!prolly_proof_verify(copy, root, query, NULL, &proof, &error))
		g_assert_true(!proof && error && error->domain == PROLLY_ERROR);
	return proof;
}

static int compare_entry(const ProllyProofEntry *entry, const ProllyKey *key)
{
	return prolly_bytes_compare(entry->key, entry->key_len, key->key, key->len);
}

/* Each key asked for is answered, in order. */
static void assert_keys(ProllyProof *proof, const ProllyProofQuery *query)
{
	const ProllyTree *tree = prolly_proof_get_tree(proof);
	ProllyProofEntry entry;
	uint64_t rank = 0;

	for (size_t i = 0; i < query->n; i++) {
		g_assert_true(prolly_proof_next(proof, &entry));
		g_assert_cmpint(compare_entry(&entry, &query->keys[i]), ==, 0);
		g_assert_cmpuint(entry.rank, >=, rank);
		g_assert_cmpuint(entry.rank + (entry.value ? 1 : 0), <=, tree->keys);
		rank = entry.rank + (entry.value ? 1 : 0);
	}
	g_assert_false(prolly_proof_next(proof, &entry));
}

/* Entries of the range, in order and without a gap. */
static void assert_range(ProllyProof *proof, const ProllyProofQuery *query)
{
	g_autofree uint8_t *last = NULL;
	ProllyKey before = query->lower;
	ProllyProofEntry entry;
	uint64_t rank = 0;

	for (bool first = true; prolly_proof_next(proof, &entry); first = false) {
		int order = compare_entry(&entry, &before);

		g_assert_true(first ? order >= 0 : order > 0);
		g_assert_true(first || entry.rank == rank + 1);
		g_assert_true(!query->upper.len || compare_entry(&entry, &query->upper) < 0);
		g_assert_nonnull(entry.value);
		rank = entry.rank;
		g_assert_cmpuint(rank, <, prolly_proof_get_tree(proof)->keys);
		g_free(last);
		last = g_memdup2(entry.key, entry.key_len);
		before = (ProllyKey){last, entry.key_len};
	}
}

/* With a byte changed, dropped or doubled, where the script says. */
static void assert_brittle(Script *self, GByteArray *bytes, const ProllyHash *root)
{
	uint32_t at = fuzz_take_below(&self->input, 65536) % bytes->len;
	uint8_t byte = bytes->data[at];

	bytes->data[at] ^= (uint8_t)(1 + fuzz_take_below(&self->input, 255));
	g_assert_null(verify(bytes, root, &self->query));
	bytes->data[at] = byte;
	g_byte_array_append(bytes, &byte, 1);
	g_assert_null(verify(bytes, root, &self->query));
	g_byte_array_set_size(bytes, bytes->len - 1);
	g_byte_array_remove_index(bytes, at);
	g_assert_null(verify(bytes, root, &self->query));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ProllyFormatParameters parameters = tiny_parameters();
	Script script = {.input = {data, size}};
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GByteArray) bytes = NULL;
	g_autoptr(ProllyProof) proof = NULL;
	ProllyHash root;

	g_assert_true(prolly_format_new(&parameters, NULL, &format, NULL));
	script.format = format;
	script.mends_counts = fuzz_take_byte(&script.input) & 1;
	take_query(&script);
	bytes = take_proof(&script, &root);
	proof = verify(bytes, &root, &script.query);
	if (!proof)
		return 0;
	if (script.query.n > 0)
		assert_keys(proof, &script.query);
	else
		assert_range(proof, &script.query);
	assert_brittle(&script, bytes, &root);
	return 0;
}
