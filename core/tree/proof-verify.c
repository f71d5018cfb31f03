/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying proofs: all that someone without the store has to trust. It stands on hashes and numbers
 * (core/base), the node's decoder and the descriptor's, and on nothing else.
 *
 * The proof:
 *
 *	 0  3  "PTP"
 *	 3  1  version: 1
 *	 4 76  the format's descriptor
 *	80  1  what is asked for: 0 keys, 1 a range without an upper bound, 2 one with
 *	81     keys: varint n, then n strings; a range: one string, or two: lower and upper bound
 *	       then the nodes, each as a string, up to the end
 *
 * (A varint is the shortest LEB128, a string a varint length and so many bytes.)
 *
 * The *route* is what a query has to see of a tree. From the top: of an internal node, for each key
 * the first child whose key is not less, if there is one; for a range the children from the first
 * whose key is not less than the lower bound to the first whose key is not less than the upper, or
 * to the last. Each of these children follows its parent, whole with all that is below it, before
 * the next; a child that several keys lead to is there once. The leaf that a key's route ends in is
 * where the key is or is missing; one behind all keys of the tree ends in the top.
 *
 * What is checked, so that a proof that verifies can be believed:
 *
 * V1  The root hash is SHA-256(descriptor, hash of the first node), and the descriptor is one.
 * V2  The query is the one that was asked, in the one encoding.
 * V3  Each further node is the one that its parent's entry names: its hash is the entry's, its level
 *     one less, its counts of keys and bytes the entry's, its last key the entry's key, and its
 *     first key is greater than the key of the entry before, here or on a level above.
 * V4  Each node is in the one encoding of a node (node.c: order, counts, sections); the top is a
 *     leaf or has two children.
 * V5  The nodes are those of the route, in its order, all of them, and nothing follows.
 *
 * For a tree that was built by the rules V1, V2 and V5 alone would do: nobody finds other nodes with
 * the same hashes. V3 and V4 are for a root that comes from hostile hands: with them every opened
 * leaf holds just the keys between two separators, where look-ups for these keys end, so that two
 * proofs under one root cannot say different things of one key. What they cannot show is that nodes
 * that were not opened are right, and so that the rank, which adds up their counts, is more than what
 * the root's maker claimed. Whether cuts are where the boundary rule wants them is not checked: it
 * would tell a canonical tree from another, but no right answer from a wrong one.
 *
 * Nothing is allocated by a number in the proof: a node's view is at most a few times as large as
 * its bytes, which are there. Views of leaves stay until the proof is freed; keys of a range are put
 * together one by one, since a node's long prefix times its entries may be much more than the node.
 *
 * Rejected: proofs without the query, which would also answer any other query with the same route:
 * true, but "this is the proof for that key" could not be told. Answers beside the nodes: they would
 * have to be checked against the nodes, which hold them anyway.
 */
#include "tree/proof.h"
#include "tree/tree-private.h"

#define PROOF_MAGIC        "PTP\1"
#define PROOF_MAGIC_SIZE   4
#define PROOF_VERSION_AT   3
#define ASKS_KEYS          0
#define ASKS_RANGE_FROM    1
#define ASKS_RANGE_BETWEEN 2

/* ---- Queries ----------------------------------------------------------------------------- */

static int compare_keys(const ProllyKey *a, const ProllyKey *b)
{
	return prolly_bytes_compare(a->key, a->len, b->key, b->len);
}

bool prolly_proof_check_query(const ProllyProofQuery *query, GError **error)
{
	size_t longest = MAX(query->lower.len, query->upper.len);

	for (size_t i = 0; i < query->n; i++) {
		longest = MAX(longest, query->keys[i].len);
		if (i > 0 && compare_keys(&query->keys[i - 1], &query->keys[i]) >= 0)
			return prolly_throw(error, PROLLY_ERROR_INVALID,
					    "proof: the keys asked for do not ascend");
	}
	if (query->n == 0 && query->upper.len > 0 &&
	    compare_keys(&query->lower, &query->upper) >= 0)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "proof: the range asked for is empty");
	if (longest > PROLLY_KEY_MAX)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
				    "proof: a key of %zu bytes is asked for; %u is the limit",
				    longest, PROLLY_KEY_MAX);
	return true;
}

static void append_query(GByteArray *out, const ProllyProofQuery *query)
{
	if (query->n > 0) {
		prolly_append_u8(out, ASKS_KEYS);
		prolly_append_varint(out, query->n);
		for (size_t i = 0; i < query->n; i++)
			prolly_append_string(out, query->keys[i].key, query->keys[i].len);
		return;
	}
	prolly_append_u8(out, query->upper.len ? ASKS_RANGE_BETWEEN : ASKS_RANGE_FROM);
	prolly_append_string(out, query->lower.key, query->lower.len);
	if (query->upper.len)
		prolly_append_string(out, query->upper.key, query->upper.len);
}

void prolly_proof_append_head(GByteArray *out, const uint8_t *descriptor,
			      const ProllyProofQuery *query)
{
	g_byte_array_append(out, (const guint8 *)PROOF_MAGIC, PROOF_MAGIC_SIZE);
	g_byte_array_append(out, descriptor, PROLLY_FORMAT_DESCRIPTOR_SIZE);
	append_query(out, query);
}

/* ---- The route --------------------------------------------------------------------------- */

static uint32_t search(const ProllyNodeView *view, const ProllyKey *key, bool *out_found)
{
	return prolly_node_search(view, key_or_empty(key->key), key->len, out_found);
}

/* The entries of VIEW from the first not less than the lower bound to the first not less than the
 * upper. */
static void search_range(const ProllyNodeView *view, const ProllyProofQuery *query,
			 uint32_t *out_from, uint32_t *out_to)
{
	bool found;

	*out_from = search(view, &query->lower, &found);
	*out_to = query->upper.len ? search(view, &query->upper, &found) : view->count;
}

void prolly_proof_route_init(ProllyProofRoute *route, const ProllyProofQuery *query,
			     const ProllyNodeView *view, ProllyProofShare share)
{
	*route = (ProllyProofRoute){.query = query, .view = view, .end = share.to};
	route->share = (ProllyProofShare){share.from, share.from};
	if (query->n == 0)
		search_range(view, query, &route->next, &route->last);
}

static bool route_keys_next(ProllyProofRoute *route)
{
	const ProllyKey *keys = route->query->keys;
	size_t at = route->share.to;
	bool found;

	if (at == route->end)
		return false;
	route->child = search(route->view, &keys[at], &found);
	if (route->child == route->view->count)
		return false;
	route->share.from = at;
	while (++at < route->end &&
	       prolly_node_compare_key(route->view, route->child, key_or_empty(keys[at].key),
				       keys[at].len) >= 0)
		;
	route->share.to = at;
	return true;
}

bool prolly_proof_route_next(ProllyProofRoute *route)
{
	if (route->query->n > 0)
		return route_keys_next(route);
	if (route->next > route->last || route->next == route->view->count)
		return false;
	route->child = route->next++;
	return true;
}

/* ---- The proof --------------------------------------------------------------------------- */

/* Where answers are: entries [from, to) of a leaf. For a query of keys one span for each, of one
 * entry or none. */
typedef struct {
	const ProllyNodeView *leaf; /* NULL: behind all keys */
	uint32_t from, to;
	uint64_t rank; /* of entry FROM, or of where it would be */
} Span;

struct ProllyProof {
	GBytes *bytes;
	ProllyProofQuery query; /* keys borrowed */
	ProllyFormatParameters parameters;
	ProllyTree tree;
	GPtrArray *leaves; /* of ProllyNodeView; they point into bytes */
	GArray *spans;     /* of Span */
	guint at;          /* what prolly_proof_next gives next: a span, */
	uint32_t index;    /* and an entry in it, counted from its first */
	GByteArray *key;   /* the last key given, of a range */
};

static ProllyProof *proof_new(GBytes *bytes, const ProllyProofQuery *query)
{
	ProllyProof *self = g_new0(ProllyProof, 1);

	self->bytes = g_bytes_ref(bytes);
	self->query = *query;
	self->leaves = g_ptr_array_new_with_free_func(g_free);
	self->spans = g_array_new(FALSE, FALSE, sizeof(Span));
	self->key = g_byte_array_new();
	return self;
}

void prolly_proof_free(ProllyProof *self)
{
	if (!self)
		return;
	g_byte_array_unref(self->key);
	g_array_unref(self->spans);
	g_ptr_array_unref(self->leaves);
	g_bytes_unref(self->bytes);
	g_free(self);
}

const ProllyTree *prolly_proof_get_tree(const ProllyProof *self)
{
	return &self->tree;
}

const ProllyFormatParameters *prolly_proof_get_parameters(const ProllyProof *self)
{
	return &self->parameters;
}

static bool next_of_keys(ProllyProof *self, ProllyProofEntry *out_entry)
{
	const Span *span;
	const ProllyKey *key;

	if (self->at == self->spans->len)
		return false;
	span = &g_array_index(self->spans, Span, self->at);
	key = &self->query.keys[self->at++];
	*out_entry = (ProllyProofEntry){
		.key = key_or_empty(key->key), .key_len = key->len, .rank = span->rank};
	if (span->from < span->to)
		out_entry->value = node_get_value(span->leaf, span->from, &out_entry->value_len);
	return true;
}

/* The span with the next entry; NULL: there is none. */
static const Span *find_span(ProllyProof *self)
{
	for (; self->at < self->spans->len; self->at++, self->index = 0) {
		const Span *span = &g_array_index(self->spans, Span, self->at);

		if (self->index < span->to - span->from)
			return span;
	}
	return NULL;
}

static bool next_of_range(ProllyProof *self, ProllyProofEntry *out_entry)
{
	const Span *span = find_span(self);
	ProllyNodeKey key;

	if (!span)
		return false;
	key = node_get_key(span->leaf, span->from + self->index);
	g_byte_array_set_size(self->key, 0);
	g_byte_array_append(self->key, key.prefix, (guint)key.prefix_len);
	g_byte_array_append(self->key, key.suffix, (guint)key.suffix_len);
	*out_entry = (ProllyProofEntry){
		.key = key_or_empty(self->key->data),
		.key_len = self->key->len,
		.rank = span->rank + self->index,
	};
	out_entry->value =
		node_get_value(span->leaf, span->from + self->index, &out_entry->value_len);
	self->index++;
	return true;
}

bool prolly_proof_next(ProllyProof *self, ProllyProofEntry *out_entry)
{
	return self->query.n > 0 ? next_of_keys(self, out_entry) : next_of_range(self, out_entry);
}

/* ---- Verifying --------------------------------------------------------------------------- */

typedef struct {
	ProllyReader reader;
	ProllyWeighFunc weigh;
	ProllyProof *proof; /* what is found out */
} Verifier;

/* An entry of an internal node above, to which the keys below are compared. VIEW NULL: none. */
typedef struct {
	const ProllyNodeView *view;
	uint32_t index;
} Bound;

static bool throw_flaw(GError **error, const char *flaw)
{
	return prolly_throw(error, PROLLY_ERROR_CORRUPT, "proof: %s", flaw);
}

/* V2, and the descriptor's part of V1. */
static bool read_head(Verifier *self, const uint8_t **out_descriptor, GError **error)
{
	g_autoptr(GByteArray) asked = g_byte_array_new();
	const uint8_t *magic = prolly_reader_bytes(&self->reader, PROOF_MAGIC_SIZE);
	const uint8_t *descriptor =
		prolly_reader_bytes(&self->reader, PROLLY_FORMAT_DESCRIPTOR_SIZE);
	const uint8_t *query;

	append_query(asked, &self->proof->query);
	query = prolly_reader_bytes(&self->reader, asked->len);
	if (!magic || memcmp(magic, PROOF_MAGIC, PROOF_VERSION_AT) != 0)
		return throw_flaw(error, "it is none");
	if (magic[PROOF_VERSION_AT] != PROOF_MAGIC[PROOF_VERSION_AT])
		return prolly_throw(
			error, PROLLY_ERROR_CORRUPT,
			"proof: it has version %u, this program knows versions up to %u",
			magic[PROOF_VERSION_AT], PROOF_MAGIC[PROOF_VERSION_AT]);
	if (!query || memcmp(query, asked->data, asked->len) != 0)
		return throw_flaw(error, "it answers another question");
	*out_descriptor = descriptor;
	return prolly_format_parse_descriptor(descriptor, self->weigh, &self->proof->parameters,
					      error);
}

/* V4. The hash is the caller's to compare; nothing but the decoder looks at the bytes before. */
static bool read_node(Verifier *self, const uint8_t **out_bytes, size_t *out_len, GError **error)
{
	*out_bytes = prolly_reader_string(&self->reader, out_len);
	return *out_bytes || throw_flaw(error, "it ends before all nodes were there");
}

static ProllyNodeView *decode(Verifier *self, const uint8_t *bytes, size_t len, GError **error)
{
	const char *flaw = NULL;
	ProllyNodeView *view = prolly_node_view_new(bytes, len, self->weigh, &flaw);

	if (!view)
		prolly_throw(error, PROLLY_ERROR_CORRUPT, "proof: a node in it %s", flaw);
	return view;
}

/* V3. */
static bool is_what_parent_says(const ProllyNodeView *view, const ProllyNodeView *parent,
				uint32_t i, Bound before)
{
	return view->level + 1 == parent->level && view->keys == node_get_child_keys(parent, i) &&
	       view->bytes == node_get_child_bytes(parent, i) &&
	       prolly_node_compare_entries(view, view->count - 1, parent, i) == 0 &&
	       (!before.view ||
		prolly_node_compare_entries(view, 0, before.view, before.index) > 0);
}

/* (transfer full) The next node, which must be child I of PARENT. */
static ProllyNodeView *take_child(Verifier *self, const ProllyNodeView *parent, uint32_t i,
				  Bound before, GError **error)
{
	g_autofree ProllyNodeView *view = NULL;
	const uint8_t *bytes;
	size_t len;
	ProllyHash hash;

	if (!read_node(self, &bytes, &len, error))
		return NULL;
	prolly_hash_compute(bytes, len, &hash);
	if (!prolly_hash_equal(&hash, node_get_child_hash(parent, i))) {
		throw_flaw(error, "a node in it is not the one that its parent names");
		return NULL;
	}
	view = decode(self, bytes, len, error);
	if (view && !is_what_parent_says(view, parent, i, before)) {
		throw_flaw(error, "a node in it is not what its parent says");
		return NULL;
	}
	return g_steal_pointer(&view);
}

static void answer_behind_last(Verifier *self, size_t n, uint64_t rank)
{
	Span span = {.rank = rank};

	while (n-- > 0)
		g_array_append_val(self->proof->spans, span);
}

/* LEAF holds what SHARE of the keys, or the range, asks for, if anything does. */
static void answer_from_leaf(Verifier *self, const ProllyNodeView *leaf, ProllyProofShare share,
			     uint64_t rank)
{
	const ProllyProofQuery *query = &self->proof->query;
	Span span = {.leaf = leaf};

	for (size_t i = share.from; i < share.to; i++) {
		bool found;

		span.from = search(leaf, &query->keys[i], &found);
		span.to = span.from + found;
		span.rank = rank + span.from;
		g_array_append_val(self->proof->spans, span);
	}
	if (query->n > 0)
		return;
	search_range(leaf, query, &span.from, &span.to);
	span.rank = rank + span.from;
	g_array_append_val(self->proof->spans, span);
}

/* VIEW (transfer full) was checked: goes where SHARE of the query leads, V5. RANK: of its first key. */
static bool verify_subtree(Verifier *self, ProllyNodeView *view, Bound before,
			   ProllyProofShare share, uint64_t rank, GError **error)
{
	g_autofree ProllyNodeView *owned = view;
	ProllyProofRoute route;
	uint32_t i = 0;

	if (view->level == 0) {
		g_ptr_array_add(self->proof->leaves, g_steal_pointer(&owned));
		answer_from_leaf(self, view, share, rank);
		return true;
	}
	prolly_proof_route_init(&route, &self->proof->query, view, share);
	while (prolly_proof_route_next(&route)) {
		ProllyNodeView *child;

		for (; i < route.child; i++) {
			rank += node_get_child_keys(view, i);
			before = (Bound){view, i};
		}
		child = take_child(self, view, i, before, error);
		if (!child || !verify_subtree(self, child, before, route.share, rank, error))
			return false;
	}
	answer_behind_last(self, share.to - route.share.to, self->proof->tree.keys);
	return true;
}

/* V1. (transfer full) */
static ProllyNodeView *take_top(Verifier *self, const uint8_t *descriptor, const ProllyHash *root,
				GError **error)
{
	ProllyTree *tree = &self->proof->tree;
	g_autofree ProllyNodeView *view = NULL;
	const uint8_t *bytes;
	size_t len;
	ProllyHash hash;

	if (!read_node(self, &bytes, &len, error))
		return NULL;
	prolly_hash_compute(bytes, len, &tree->top);
	prolly_hash_compute2(descriptor, PROLLY_FORMAT_DESCRIPTOR_SIZE, &tree->top,
			     sizeof(tree->top), &hash);
	if (!prolly_hash_equal(&hash, root)) {
		throw_flaw(error, "it is about another root");
		return NULL;
	}
	view = decode(self, bytes, len, error);
	if (view && view->level > 0 && view->count < 2) {
		throw_flaw(error, "the top of its tree has one child");
		return NULL;
	}
	if (view) {
		tree->keys = view->keys;
		tree->bytes = view->bytes;
	}
	return g_steal_pointer(&view);
}

bool prolly_proof_verify(GBytes *bytes, const ProllyHash *root, const ProllyProofQuery *query,
			 ProllyWeighFunc weigh, ProllyProof **out_proof, GError **error)
{
	g_autoptr(ProllyProof) proof = NULL;
	Verifier self = {.weigh = weigh};
	const uint8_t *data, *descriptor = NULL;
	ProllyNodeView *top;
	size_t len;

	if (!prolly_proof_check_query(query, error))
		return false;
	proof = proof_new(bytes, query);
	self.proof = proof;
	data = g_bytes_get_data(bytes, &len);
	prolly_reader_init(&self.reader, data, len);
	if (!read_head(&self, &descriptor, error))
		return false;
	top = take_top(&self, descriptor, root, error);
	if (!top ||
	    !verify_subtree(&self, top, (Bound){0}, (ProllyProofShare){0, query->n}, 0, error))
		return false;
	if (!prolly_reader_at_end(&self.reader))
		return throw_flaw(error, "something follows its last node");
	*out_proof = g_steal_pointer(&proof);
	return true;
}
