/* SPDX-License-Identifier: Apache-2.0 */
/* blob: what a walk finds, and what damaged and hostile nodes come to. */
#include "blob-model.h"

/* ---- Walks ------------------------------------------------------------------------------- */

static bool collect_hash(ProllyNodeClass node_class, const ProllyHash *hash, void *data,
			 GError **error)
{
	g_hash_table_add(data, g_memdup2(hash, sizeof(*hash)));
	return true;
}

/* A store of just what the walk names has the whole blob. */
static void test_walk(Fixture *f, gconstpointer data)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(prolly_hash_table_hash,
							   prolly_hash_table_equal, g_free, NULL);
	g_autoptr(GRand) rand = g_rand_new_with_seed(53);
	g_autoptr(GError) error = NULL;
	size_t len = 200000;
	g_autofree uint8_t *content = g_malloc(len);
	Fixture other;
	GHashTableIter iter;
	gpointer hash;

	fill(rand, STYLE_SPARSE, content, len);
	ProllyBlob blob = write_blob(f, content, len, len);

	prolly_blob_walk(&f->context, &blob, collect_hash, seen, &error);
	g_assert_no_error(error);
	set_up_tiny(&other, NULL);
	g_hash_table_iter_init(&iter, seen);
	while (g_hash_table_iter_next(&iter, &hash, NULL)) {
		g_autoptr(ProllyNode) node =
			prolly_store_get(f->context.store, PROLLY_NODE_TREE, hash, NULL);
		ProllyNodeClass node_class = PROLLY_NODE_TREE;
		size_t size;

		if (!node || memcmp(prolly_node_get_bytes(node, &size), "PrC", 3) == 0) {
			node_class = PROLLY_NODE_CHUNK;
			prolly_node_unref(node);
			node = prolly_store_get(f->context.store, node_class, hash, &error);
			g_assert_no_error(error);
		}
		const uint8_t *bytes = prolly_node_get_bytes(node, &size);

		prolly_store_put(other.context.store, node_class, g_memdup2(bytes, size), size,
				 NULL, NULL, &error);
		g_assert_no_error(error);
	}
	assert_reads(&other, &blob, content, len, 0, len);
	tear_down(&other, NULL);
}

/* Does the top of BLOB, of level 2 or above, refer to a node without data? */
static bool has_lone_hole(Fixture *f, const ProllyBlob *blob)
{
	g_autoptr(ProllyNode) node = NULL;
	const ProllyBlobView *view;
	bool has = false;

	prolly_blob_node_load(f->context.store, &blob->hash, blob->height, UINT64_MAX, UINT64_MAX,
			      &node, NULL);
	view = prolly_blob_node_get_view(node);
	for (unsigned i = 0; i < view->count; i++) {
		ProllyBlobEntry entry;

		prolly_blob_view_get(view, i, &entry, NULL);
		has |= blob->height > 1 && prolly_blob_entry_is_hole(&entry);
	}
	return has;
}

typedef struct {
	Fixture *fixture;
	GHashTable *seen;
	unsigned level;
} Closure;

static bool collect_below(ProllyNodeClass node_class, const ProllyHash *hash, void *data,
			  GError **error)
{
	Closure *self = data;
	Closure below = {self->fixture, self->seen, self->level - 1};

	g_assert_cmpint(node_class, ==, self->level > 1 ? PROLLY_NODE_TREE : PROLLY_NODE_CHUNK);
	collect_hash(node_class, hash, self->seen, NULL);
	return below.level == 0 || prolly_blob_walk_node(&self->fixture->context, hash, below.level,
							 collect_below, &below, error);
}

/* What a collection marks, node by node, is what there is: a node of nothing but a hole too, which
 * comes of zeros at the end when a node ended just before them. */
static void test_walk_nodes(Fixture *f, gconstpointer data)
{
	const size_t len = 25000;
	g_autofree uint8_t *content = g_malloc0(len);
	unsigned n_lone = 0;

	for (uint64_t seed = 1; seed < 400; seed++) {
		g_autoptr(GHashTable) seen = g_hash_table_new_full(
			prolly_hash_table_hash, prolly_hash_table_equal, g_free, NULL);
		g_autoptr(GHashTable) marked = g_hash_table_new_full(
			prolly_hash_table_hash, prolly_hash_table_equal, g_free, NULL);
		g_autoptr(GError) error = NULL;
		uint64_t state = seed;

		fill_random(&state, content, 20000);
		content[19999] |= 1;
		ProllyBlob blob = write_blob(f, content, len, len);
		Closure closure = {f, marked, blob.height};

		prolly_blob_walk(&f->context, &blob, collect_hash, seen, &error);
		g_assert_no_error(error);
		collect_hash(PROLLY_NODE_TREE, &blob.hash, marked, NULL);
		prolly_blob_walk_node(&f->context, &blob.hash, blob.height, collect_below, &closure,
				      &error);
		g_assert_no_error(error);
		g_assert_cmpuint(g_hash_table_size(marked), ==, g_hash_table_size(seen));
		n_lone += has_lone_hole(f, &blob);
	}
	g_assert_cmpuint(n_lone, >, 0);
}

/* ---- Hostile bytes ----------------------------------------------------------------------- */

static bool ignore_hash(ProllyNodeClass node_class, const ProllyHash *hash, void *data,
			GError **error)
{
	return true;
}

/* Everything that reads BLOB; only errors may come of it, if anything. */
static void try_everything(Fixture *f, const ProllyBlob *blob)
{
	g_autofree uint8_t *buffer = g_malloc(70000);
	const ProllyExtent extent = {blob->length / 2, 1, (const uint8_t *)"x"};
	ProllyBlob out;
	uint64_t at;
	size_t n;

	prolly_blob_read(&f->context, blob, blob->length / 3, buffer, 70000, &n, NULL);
	prolly_blob_seek(&f->context, blob, blob->length / 5, false, &at, NULL);
	prolly_blob_seek(&f->context, blob, blob->length / 5, true, &at, NULL);
	prolly_blob_get_allocated(&f->context, blob, &at, NULL);
	prolly_blob_walk(&f->context, blob, ignore_hash, NULL, NULL);
	if (blob->length > 0)
		prolly_blob_splice(&f->context, blob, blob->length, blob->length, &extent, 1, &out,
				   NULL);
}

/* Nodes whose bytes were changed before they were hashed, which no hash can tell. */
static void test_hostile_nodes(Fixture *f, gconstpointer data)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(59);
	size_t len = 60000;
	g_autofree uint8_t *content = g_malloc(len);

	fill(rand, STYLE_SPARSE, content, len);
	ProllyBlob blob = write_blob(f, content, len, len);
	g_autoptr(ProllyNode) node =
		prolly_store_get(f->context.store, PROLLY_NODE_TREE, &blob.hash, NULL);
	size_t size;
	const uint8_t *bytes = prolly_node_get_bytes(node, &size);

	for (int i = 0; i < 4000; i++) {
		uint8_t *bad = g_memdup2(bytes, size);
		size_t bad_size = size;
		ProllyBlob other = blob;

		for (int k = g_rand_int_range(rand, 1, 4); k > 0; k--) {
			size_t at = (size_t)g_rand_int_range(rand, 0, i % 2 ? 80 : (int)size);

			bad[MIN(at, size - 1)] = (uint8_t)g_rand_int_range(rand, 0, 256);
		}
		if (i % 7 == 0)
			bad_size = (size_t)g_rand_int_range(rand, 0, (int)size);
		prolly_store_put(f->context.store, PROLLY_NODE_TREE, bad, bad_size, &other.hash,
				 NULL, NULL);
		if (i % 5 == 0)
			other.length = g_rand_int(rand);
		if (i % 11 == 0)
			other.height = (uint32_t)g_rand_int_range(rand, 0, 20);
		try_everything(f, &other);
	}
}

/* A chunk that is gone is named; what is elsewhere in the blob is as it was. */
static void test_missing_chunk(Fixture *f, gconstpointer data)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(61);
	g_autoptr(GError) error = NULL;
	size_t len = 20000, n;
	g_autofree uint8_t *content = g_malloc(len);
	g_autofree uint8_t *buffer = g_malloc(len);
	g_auto(ProllyBlobCursor) cursor = {0};
	ProllyBlobEntry entry;
	uint64_t start;
	char hex[PROLLY_HASH_HEX_SIZE];

	fill(rand, STYLE_RANDOM, content, len);
	ProllyBlob blob = write_blob(f, content, len, len);

	g_assert_true(prolly_blob_cursor_init(&cursor, f->context.store, &blob, &error));
	g_assert_true(prolly_blob_cursor_seek(&cursor, len / 2, &error));
	prolly_blob_cursor_get(&cursor, &entry, &start);
	g_assert_true(prolly_store_flush(f->context.store, NULL, &error));
	prolly_store_delete_many(f->context.store, PROLLY_NODE_CHUNK, &entry.hash, 1, &error);
	g_assert_no_error(error);
	g_assert_false(prolly_blob_read(&f->context, &blob, 0, buffer, len, &n, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
	g_assert_nonnull(strstr(error->message, prolly_hash_to_hex(&entry.hash, hex)));
	assert_reads(f, &blob, content, len, 0, start);
	assert_reads(f, &blob, content, len, start + entry.length, len);

	ProllyExtent extent = {0, 5, (const uint8_t *)"hello"};
	ProllyBlob changed = splice(f, &blob, len, len, &extent, 1);

	memcpy(content, "hello", 5);
	assert_reads(f, &changed, content, len, 0, start);
}

static void assert_node_refused(Fixture *f, const uint8_t *bytes, size_t size, const ProllyBlob *as)
{
	g_autoptr(GError) error = NULL;
	ProllyBlob blob = *as;
	uint8_t byte;
	size_t n;

	prolly_store_put(f->context.store, PROLLY_NODE_TREE, g_memdup2(bytes, size), size,
			 &blob.hash, NULL, NULL);
	g_assert_false(prolly_blob_read(&f->context, &blob, 0, &byte, 1, &n, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
}

/* One rule broken at a time. */
static void test_hostile_fields(Fixture *f, gconstpointer data)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = {
		{0, 'Q'}, {3, 2},     {4, 0},     {4, 2},       {4, 200},
		{5, 1},   {8, 0},     {8, 1},     {9, 1},       {12, 1},
		{16, 0},  {22, 0xff}, {24, 0xff}, {16 + 48, 0}, {24 + 48, 0},
	};
	ProllyBlobEntry entries[2] = {
		{.length = 200, .data = 200, .hash = {{7}}},
		{.length = 100, .data = 100, .hash = {{8}}},
	};
	ProllyBlob blob = {.length = 300, .height = 1};
	g_autoptr(ProllyNode) node = NULL;
	ProllyBlobEntry top;
	size_t size;

	g_assert_true(prolly_blob_node_put(f->context.store, 1, entries, 2, &top, NULL));
	node = prolly_store_get(f->context.store, PROLLY_NODE_TREE, &top.hash, NULL);
	const uint8_t *bytes = prolly_node_get_bytes(node, &size);

	for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
		g_autofree uint8_t *bad = g_memdup2(bytes, size);

		bad[changes[i].at] = changes[i].value;
		assert_node_refused(f, bad, size, &blob);
	}
	assert_node_refused(f, bytes, size - 1, &blob);
	assert_node_refused(f, bytes, 3, &blob);
	blob.length = 301;
	assert_node_refused(f, bytes, size, &blob);
	blob.length = 300;
	blob.height = 2;
	assert_node_refused(f, bytes, size, &blob);
}

/* Nodes of entries that could be, but for one thing. */
static void test_hostile_entries(Fixture *f, gconstpointer data)
{
	const ProllyBlobEntry chunk = {.length = 200, .data = 200, .hash = {{7}}};
	const ProllyBlobEntry hole = {.length = 100};
	const struct {
		ProllyBlobEntry entry;
		bool is_right;
	} cases[] = {
		{chunk, true},
		{hole, true},
		{{.length = 0}, false}, /* no bytes */
		{{.length = UINT64_MAX - 49, .data = UINT64_MAX - 49, .hash = {{8}}}, false},
		{{.length = 100, .hash = {{8}}}, false}, /* a hole with a hash */
		{{.length = 100, .data = 100}, false},   /* a chunk without one */
		{{.length = 100, .data = 99, .hash = {{8}}}, false},
		{{.length = 100, .data = 101, .hash = {{8}}}, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		ProllyBlobEntry entries[3] = {chunk, cases[i].entry, chunk}, top;
		int expected = cases[i].is_right ? PROLLY_ERROR_MISSING : PROLLY_ERROR_CORRUPT;
		g_autoptr(GError) error = NULL;
		uint8_t byte;
		size_t n;

		g_test_message("case %zu", i);
		g_assert_true(prolly_blob_node_put(f->context.store, 1, entries, 3, &top, NULL));
		ProllyBlob blob = {.length = top.length, .height = 1, .hash = top.hash};

		g_assert_false(prolly_blob_read(&f->context, &blob, 0, &byte, 1, &n, &error));
		/* The chunks are nowhere. */
		g_assert_error(error, PROLLY_ERROR, expected);
	}
}

/* A chunk of LEN bytes. */
static ProllyBlobEntry put_chunk(Fixture *f, size_t len)
{
	g_autofree uint8_t *bytes = g_malloc0(len);
	ProllyBlobEntry entry;
	ProllyNode *chunk;

	memset(bytes, 'x', len);
	chunk = prolly_chunk_new_node(f->context.store, bytes, len, &entry, NULL);
	g_assert_true(prolly_store_put_node(f->context.store, chunk, &entry.hash, NULL));
	return entry;
}

static void assert_corrupt(bool ok, GError **error)
{
	g_assert_false(ok);
	g_assert_error(*error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	g_clear_error(error);
}

/* All who go down to a child find that it has not what the node above says. */
static void assert_child_refused(Fixture *f, const ProllyBlob *blob)
{
	GError *error = NULL;
	uint64_t at;
	uint8_t byte;
	size_t n;

	assert_corrupt(prolly_blob_read(&f->context, blob, 0, &byte, 1, &n, &error), &error);
	assert_corrupt(prolly_blob_seek(&f->context, blob, 0, false, &at, &error), &error);
	assert_corrupt(prolly_blob_seek(&f->context, blob, 0, true, &at, &error), &error);
}

/* A node of level 2 whose first entry says that its child, of 200 bytes and a hole of 300, has more or
 * less; the second has 200. */
static void test_hostile_children(Fixture *f, gconstpointer data)
{
	static const struct {
		int64_t length, data; /* more */
		bool is_seen;         /* in the node itself: not even its sums are given */
	} cases[] = {
		{0, -1, false}, {0, 1, false},   {0, -200, false}, {0, 300, false}, {-1, 0, false},
		{1, 0, false},  {300, 0, false}, {0, 301, true},   {0, -201, true},
	};
	const ProllyBlobEntry lower[] = {put_chunk(f, 200), {.length = 300}};
	ProllyBlobEntry children[2], top;
	GError *error = NULL;
	uint64_t at;

	g_assert_true(prolly_blob_node_put(f->context.store, 1, lower, 2, &children[0], NULL));
	g_assert_true(prolly_blob_node_put(f->context.store, 1, lower, 1, &children[1], NULL));
	g_assert_true(prolly_blob_node_put(f->context.store, 2, children, 2, &top, NULL));
	const ProllyBlob right = {.length = 700, .height = 2, .hash = top.hash};

	g_assert_true(prolly_blob_seek(&f->context, &right, 0, false, &at, NULL));
	g_assert_cmpuint(at, ==, 200);
	g_assert_true(prolly_blob_get_allocated(&f->context, &right, &at, NULL));
	g_assert_cmpuint(at, ==, 400);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		ProllyBlobEntry entries[] = {children[0], children[1]};

		g_test_message("case %zu", i);
		entries[0].length += (uint64_t)cases[i].length;
		entries[0].data += (uint64_t)cases[i].data;
		g_assert_true(prolly_blob_node_put(f->context.store, 2, entries, 2, &top, NULL));
		ProllyBlob blob = {.length = top.length, .height = 2, .hash = top.hash};

		assert_child_refused(f, &blob);
		if (cases[i].is_seen)
			assert_corrupt(prolly_blob_get_allocated(&f->context, &blob, &at, &error),
				       &error);
	}
	/* One has more than bytes, and the other makes up for it. */
	children[0].data = 100;
	children[1].data = 201;
	g_assert_true(prolly_blob_node_put(f->context.store, 2, children, 2, &top, NULL));
	const ProllyBlob more = {.length = 700, .height = 2, .hash = top.hash};

	assert_corrupt(prolly_blob_get_allocated(&f->context, &more, &at, &error), &error);
}

/* A chunk is as long as the blob says, or it is refused. */
static void test_hostile_chunk(Fixture *f, gconstpointer data)
{
	ProllyBlobEntry entry;
	ProllyNode *chunk = prolly_chunk_new_node(f->context.store, (const uint8_t *)"ten bytes.",
						  10, &entry, NULL);

	g_assert_true(prolly_store_put_node(f->context.store, chunk, &entry.hash, NULL));
	for (uint64_t length = 8; length <= 12; length++) {
		ProllyBlob blob = {.length = length, .hash = entry.hash};
		g_autoptr(GError) error = NULL;
		uint8_t byte;
		size_t n;

		if (prolly_blob_read(&f->context, &blob, 0, &byte, 1, &n, &error))
			g_assert_cmpuint(length, ==, 10);
		else
			g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
		g_assert_cmpint(error == NULL, ==, length == 10);
	}
}

static bool pass_hash(const ProllyHash *hash, void *data, GError **error)
{
	return true;
}

static bool pass_entry(const uint8_t *key, size_t key_len, const uint8_t *value, size_t len,
		       void *data, GError **error)
{
	return true;
}

/* A tree whose top is a blob's node is refused, whatever has read that as a blob before. */
static void test_blob_as_tree(Fixture *f, gconstpointer data)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(54);
	g_autoptr(GError) error = NULL;
	size_t len = 20000, n;
	g_autofree uint8_t *content = g_malloc(len);
	ProllyTree tree;

	fill(rand, STYLE_RANDOM, content, len);
	ProllyBlob blob = write_blob(f, content, len, len);

	g_assert_cmpuint(blob.height, >, 0);
	g_assert_true(prolly_blob_read(&f->context, &blob, 0, content, 1, &n, &error));
	g_assert_false(prolly_tree_open(&f->context, &blob.hash, &tree, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	g_clear_error(&error);

	g_autoptr(ProllyNode) node =
		prolly_store_get(f->context.store, PROLLY_NODE_TREE, &blob.hash, &error);

	g_assert_false(
		prolly_tree_walk_node(&f->context, node, pass_hash, pass_entry, NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD_BLOB_TEST("/blob/walk", set_up_tiny, test_walk);
	ADD_BLOB_TEST("/blob/walk-nodes", set_up_tiny, test_walk_nodes);
	ADD_BLOB_TEST("/blob/hostile/missing-chunk", set_up_tiny, test_missing_chunk);
	ADD_BLOB_TEST("/blob/hostile/nodes", set_up_tiny, test_hostile_nodes);
	ADD_BLOB_TEST("/blob/hostile/fields", set_up_tiny, test_hostile_fields);
	ADD_BLOB_TEST("/blob/hostile/entries", set_up_tiny, test_hostile_entries);
	ADD_BLOB_TEST("/blob/hostile/children", set_up_tiny, test_hostile_children);
	ADD_BLOB_TEST("/blob/hostile/chunk", set_up_tiny, test_hostile_chunk);
	ADD_BLOB_TEST("/blob/hostile/as-tree", set_up_tiny, test_blob_as_tree);
	return g_test_run();
}
