/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob: cutting, stored values, writing, reading, holes, costs, damage. Splices have
 * test-blob-splice.c.
 */
#include "blob-model.h"

/* ---- Cutter ------------------------------------------------------------------------------ */

static void test_gear(void)
{
	uint64_t state, zeros = 0;

	memcpy(&state, "prollyfs", sizeof(state));
	state = GUINT64_FROM_LE(state);
	for (unsigned i = 0; i < 256; i++)
		g_assert_cmphex(prolly_gear[i], ==, next_random(&state));
	for (unsigned i = 0; i < PROLLY_GEAR_WINDOW; i++)
		zeros = (zeros << 1) + prolly_gear[0];
	/* The loosest limit there is, that of an average of 64. */
	g_assert_cmphex(zeros, >, UINT64_C(1) << 60);
}

static void test_cutter_resumes(void)
{
	ProllyFormatParameters parameters;
	g_autofree uint8_t *data = g_malloc(MIB);
	g_autoptr(GRand) rand = g_rand_new_with_seed(7);
	ProllyCutter cutter;
	size_t total = 0, chunks = 0;

	prolly_format_parameters_init(&parameters);
	prolly_cutter_init(&cutter, &parameters);
	fill(rand, STYLE_RANDOM, data, MIB);
	while (total < MIB) {
		ProllyCutState whole = {0}, pieces = {0};
		size_t len = prolly_cutter_scan(&cutter, &whole, data + total, MIB - total);
		size_t found = 0, given = 0;

		if (len == 0)
			break;
		g_assert_cmpuint(len, >=, cutter.min);
		g_assert_cmpuint(len, <=, cutter.max);
		while (found == 0) {
			given += (size_t)g_rand_int_range(rand, 1, 5000);
			found = prolly_cutter_scan(&cutter, &pieces, data + total, given);
		}
		g_assert_cmpuint(found, ==, len);
		total += len;
		chunks++;
	}
	g_assert_cmpuint(total / chunks, >, 50 * KIB);
	g_assert_cmpuint(total / chunks, <, 110 * KIB);
}

static size_t find_zeros_simply(const uint8_t *data, size_t len, size_t run)
{
	size_t start = 0;

	for (size_t i = 0; i < len; i++) {
		if (data[i])
			start = i + 1;
		else if (i + 1 - start == run)
			return start;
	}
	return start;
}

static void test_zeros(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(11);
	uint8_t data[4000];

	for (int round = 0; round < 2000; round++) {
		size_t len = (size_t)g_rand_int_range(rand, 0, sizeof(data));
		size_t run = (size_t)g_rand_int_range(rand, 1, 600);

		fill(rand, STYLE_SPARSE, data, len);
		g_assert_cmpuint(prolly_zeros_find(data, len, run), ==,
				 find_zeros_simply(data, len, run));
	}
}

/* ---- Values ------------------------------------------------------------------------------ */

static void test_value_parse(void)
{
	g_autoptr(GBytes) in_line = prolly_value_new_inline(PROLLY_KIND_SYMLINK, "target", 6);
	ProllyBlob blob = {.length = 5000, .height = 2, .hash = {{1, 2, 3}}};
	g_autoptr(GBytes) stored = prolly_value_new_blob(PROLLY_KIND_FILE, &blob);
	g_autoptr(GBytes) executable = prolly_value_with_kind(stored, PROLLY_KIND_EXECUTABLE);
	g_autoptr(GError) error = NULL;
	ProllyValue value;
	size_t len;
	const uint8_t *bytes = g_bytes_get_data(in_line, &len);

	g_assert_true(prolly_value_parse(bytes, len, &value, &error));
	g_assert_cmpint(value.kind, ==, PROLLY_KIND_SYMLINK);
	g_assert_false(value.is_blob);
	g_assert_cmpmem(value.data, value.length, "target", 6);
	g_assert_cmpuint(prolly_value_weigh(bytes, len), ==, 6);

	bytes = g_bytes_get_data(executable, &len);
	g_assert_cmpuint(len, ==, PROLLY_VALUE_BLOB_SIZE);
	g_assert_true(prolly_value_parse(bytes, len, &value, &error));
	g_assert_cmpint(value.kind, ==, PROLLY_KIND_EXECUTABLE);
	g_assert_true(value.is_blob);
	assert_same_blob(&value.blob, &blob);
	g_assert_cmpuint(prolly_value_weigh(bytes, len), ==, 5000);
}

/* A record of attributes may be as long as a reference and begin like one. */
static void test_value_weigh_other(void)
{
	uint8_t stored[PROLLY_VALUE_BLOB_SIZE];

	memset(stored, 0xff, sizeof(stored));
	for (unsigned tag = 0; tag < 256; tag++) {
		bool is_reference = tag >= PROLLY_VALUE_BLOB &&
				    tag <= (PROLLY_VALUE_BLOB | PROLLY_KIND_SYMLINK);

		stored[0] = (uint8_t)tag;
		g_assert_cmpuint(prolly_value_weigh(stored, sizeof(stored)), ==,
				 is_reference ? UINT64_MAX : sizeof(stored) - 1);
	}
}

static void assert_bad_value(const void *stored, size_t len)
{
	g_autoptr(GError) error = NULL;
	ProllyValue value;

	g_assert_false(prolly_value_parse(stored, len, &value, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
}

static void test_value_hostile(void)
{
	uint8_t stored[PROLLY_VALUE_BLOB_SIZE + 1] = {PROLLY_VALUE_BLOB};

	assert_bad_value(stored, 0);
	assert_bad_value("\x08", 1);
	assert_bad_value("\x03x", 2);
	assert_bad_value("\x06"
			 "1234567",
			 8);
	assert_bad_value(stored, PROLLY_VALUE_BLOB_SIZE); /* length 0 */
	stored[1] = 1;
	for (size_t len = 1; len < PROLLY_VALUE_BLOB_SIZE; len++)
		assert_bad_value(stored, len);
	assert_bad_value(stored, PROLLY_VALUE_BLOB_SIZE + 1);
	stored[9] = PROLLY_BLOB_HEIGHT_MAX + 1;
	assert_bad_value(stored, PROLLY_VALUE_BLOB_SIZE);
	stored[9] = 0;
	stored[8] = 0x80; /* a length over the limit */
	assert_bad_value(stored, PROLLY_VALUE_BLOB_SIZE);
	stored[8] = 0;
	stored[0] = PROLLY_VALUE_BLOB | PROLLY_KIND_DIRECTORY;
	assert_bad_value(stored, PROLLY_VALUE_BLOB_SIZE);
}

/* The length alone decides, and both ways to store give the same bytes. */
static void test_value_store(Fixture *f, gconstpointer data)
{
	static const size_t lengths[] = {0, 1, 1023, 1024, 1025, 5000};
	g_autofree uint8_t *content = g_malloc(5000);
	g_autoptr(GRand) rand = g_rand_new_with_seed(3);
	g_autoptr(GError) error = NULL;

	fill(rand, STYLE_RANDOM, content, 5000);
	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		ProllyBlob blob = write_blob(f, content, lengths[i], 100);
		g_autoptr(GBytes) a = NULL, b = NULL;
		g_autofree uint8_t *back = g_malloc(6000);
		ProllyValue value;
		size_t len;

		prolly_value_store(&f->context, PROLLY_KIND_FILE, content, lengths[i], &a, &error);
		g_assert_no_error(error);
		prolly_value_store_blob(&f->context, PROLLY_KIND_FILE, &blob, &b, &error);
		g_assert_no_error(error);
		g_assert_true(g_bytes_equal(a, b));
		const uint8_t *stored = g_bytes_get_data(a, &len);

		g_assert_true(prolly_value_parse(stored, len, &value, &error));
		g_assert_cmpint(value.is_blob, ==, lengths[i] > 1024);
		prolly_value_read(&f->context, &value, 0, back, 6000, &len, &error);
		g_assert_no_error(error);
		g_assert_cmpmem(back, len, content, lengths[i]);
		if (lengths[i] > 10) {
			prolly_value_read(&f->context, &value, 5, back, 3, &len, &error);
			g_assert_cmpmem(back, len, content + 5, 3);
		}
		prolly_value_read(&f->context, &value, lengths[i] + 9, back, 3, &len, &error);
		g_assert_cmpuint(len, ==, 0);
	}
}

/* ---- Writer ------------------------------------------------------------------------------ */

static void test_writer_steps(Fixture *f, gconstpointer data)
{
	static const size_t steps[] = {1, 7, 64, 255, 256, 1000, 5000, 300000};
	g_autoptr(GRand) rand = g_rand_new_with_seed(5);
	size_t len = 300000;
	g_autofree uint8_t *content = g_malloc(len);

	for (int style = 0; style < STYLE_N; style++) {
		fill(rand, style, content, len);
		ProllyBlob blob = write_blob(f, content, len, len);

		for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
			ProllyBlob other = write_blob(f, content, len, steps[i]);

			assert_same_blob(&blob, &other);
		}
		if (style == STYLE_RANDOM)
			g_assert_cmpuint(blob.height, >=, 2);
		for (int i = 0; i < 200; i++)
			assert_reads(f, &blob, content, len,
				     (uint64_t)g_rand_int_range(rand, 0, (int)len + 10),
				     (size_t)g_rand_int_range(rand, 0, 20000));
		assert_reads(f, &blob, content, len, 0, len + 100);
	}
}

static void test_writer_small(Fixture *f, gconstpointer data)
{
	ProllyBlob blob = write_blob(f, NULL, 0, 1);
	ProllyBlob byte = write_blob(f, (const uint8_t *)"x", 1, 1);
	uint8_t zeros[256] = {0};
	ProllyBlob data_zeros = write_blob(f, zeros, 255, 3);
	ProllyBlob hole = write_blob(f, zeros, 256, 3);

	g_assert_cmpuint(blob.length, ==, 0);
	g_assert_cmpuint(blob.height, ==, 0);
	g_assert_true(prolly_hash_is_zero(&blob.hash));
	g_assert_cmpuint(byte.height, ==, 0);
	assert_reads(f, &byte, (const uint8_t *)"x", 1, 0, 10);
	g_assert_cmpuint(data_zeros.height, ==, 0);
	g_assert_cmpuint(hole.height, ==, 1);
	assert_reads(f, &hole, zeros, 256, 0, 300);
}

/* ---- Holes ------------------------------------------------------------------------------- */

static void test_hole_terabyte(Fixture *f, gconstpointer data)
{
	const uint64_t length = UINT64_C(1) << 40;
	const ProllyExtent extent = {length / 2, 5, (const uint8_t *)"hello"};
	ProllyWorkFigures before = figures(f);
	ProllyBlob blob = splice(f, NULL, 0, length, NULL, 0);
	g_autoptr(GError) error = NULL;
	uint64_t at;

	g_assert_cmpuint(figures(f).bytes_written - before.bytes_written, <=, 100);
	blob = splice(f, &blob, length, length, &extent, 1);
	g_assert_cmpuint(figures(f).bytes_written - before.bytes_written, <=, 1000);
	g_assert_cmpuint(blob.length, ==, length);

	g_assert_true(prolly_blob_seek(&f->context, &blob, 0, true, &at, &error));
	g_assert_cmpuint(at, ==, length / 2);
	g_assert_true(prolly_blob_seek(&f->context, &blob, at, false, &at, &error));
	g_assert_cmpuint(at, ==, length / 2 + 5);
	g_assert_true(prolly_blob_seek(&f->context, &blob, at, true, &at, &error));
	g_assert_cmpuint(at, ==, length);
	g_assert_true(prolly_blob_get_allocated(&f->context, &blob, &at, &error));
	g_assert_cmpuint(at, ==, 5);
	/* A hole that is filled with zeros is the hole. */
	ProllyExtent zeros = {length / 4, length / 2, NULL};

	blob = splice(f, &blob, length, length, &zeros, 1);
	ProllyBlob fresh = splice(f, NULL, 0, length, NULL, 0);

	assert_same_blob(&blob, &fresh);
}

/* Against the content: a byte is in a hole if its run of zeros is long enough. */
static void test_hole_seek(Fixture *f, gconstpointer data)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(31);
	g_autoptr(GError) error = NULL;
	size_t len = 100000;
	g_autofree uint8_t *content = g_malloc(len);
	g_autofree uint8_t *is_data = g_malloc0(len);
	uint64_t allocated = 0, got;

	fill(rand, STYLE_SPARSE, content, len);
	ProllyBlob blob = write_blob(f, content, len, 999);

	for (size_t i = 0; i < len;) {
		size_t n = prolly_zeros_count_leading(content + i, len - i);

		if (n < 256) {
			n = MAX(n, 1);
			memset(is_data + i, 1, n);
			allocated += n;
		}
		i += n;
	}
	g_assert_true(prolly_blob_get_allocated(&f->context, &blob, &got, &error));
	g_assert_cmpuint(got, ==, allocated);
	for (int i = 0; i < 3000; i++) {
		uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, (int)len + 5);
		bool data_wanted = g_rand_boolean(rand);
		uint64_t expected = MIN(offset, len);

		while (expected < len && is_data[expected] != data_wanted)
			expected++;
		g_assert_true(
			prolly_blob_seek(&f->context, &blob, offset, data_wanted, &got, &error));
		g_assert_cmpuint(got, ==, expected);
	}
}

/* ---- Costs, with the real parameters ----------------------------------------------------- */

static void test_cost_insert(Fixture *f, gconstpointer data)
{
	size_t len = 64 * MIB;
	g_autofree uint8_t *content = g_malloc(len + 1);
	uint64_t state = 41;

	content[0] = '!';
	fill_random(&state, content + 1, len);
	write_blob(f, content + 1, len, MIB);
	ProllyWorkFigures before = figures(f);

	write_blob(f, content, len + 1, MIB);
	ProllyWorkFigures after = figures(f);
	uint64_t again = after.bytes_written - before.bytes_written;

	g_test_message("a byte inserted into 64 MiB: %" G_GUINT64_FORMAT " bytes again", again);
	g_assert_cmpuint(again, <, len / 100);
}

static void test_cost_append(Fixture *f, gconstpointer data)
{
	g_autofree uint8_t *content = g_malloc(32 * MIB);
	uint64_t state = 43;
	ProllyBlob blob = {0};

	fill_random(&state, content, 32 * MIB);
	for (size_t at = 0; at < 32 * MIB; at += MIB) {
		ProllyExtent extent = {at, MIB, content + at};
		ProllyWorkFigures before = figures(f);

		blob = splice(f, &blob, at, at + MIB, &extent, 1);
		ProllyWorkFigures after = figures(f);

		g_assert_cmpuint(after.bytes_written - before.bytes_written, <, MIB + 512 * KIB);
		g_assert_cmpuint(after.nodes_read - before.nodes_read, <, 12);
	}
	ProllyBlob fresh = write_blob(f, content, 32 * MIB, MIB);

	assert_same_blob(&blob, &fresh);
}

static void test_cost_overwrite(Fixture *f, gconstpointer data)
{
	size_t len = 64 * MIB;
	g_autofree uint8_t *content = g_malloc(len);
	g_autoptr(GRand) rand = g_rand_new_with_seed(47);
	uint64_t state = 47;

	fill_random(&state, content, len);
	ProllyBlob blob = write_blob(f, content, len, MIB);

	for (int i = 0; i < 50; i++) {
		uint64_t at = (uint64_t)g_rand_int_range(rand, 0, (int)(len / 4096)) * 4096;
		ProllyExtent extent = {at, 4096, content + at};
		ProllyWorkFigures before = figures(f);

		fill_random(&state, content + at, 4096);
		blob = splice(f, &blob, len, len, &extent, 1);
		ProllyWorkFigures after = figures(f);

		g_assert_cmpuint(after.bytes_written - before.bytes_written, <, MIB);
		g_assert_cmpuint(after.nodes_read - before.nodes_read, <, 24);
	}
	ProllyBlob fresh = write_blob(f, content, len, MIB);

	assert_same_blob(&blob, &fresh);
	ProllyWorkFigures before = figures(f);

	assert_reads(f, &blob, content, len, len / 2, 128 * KIB);
	g_assert_cmpuint(figures(f).nodes_read - before.nodes_read, <, 12);
}

/* ---- Golden hashes ----------------------------------------------------------------------- */

/* These change only with the format's version. */
static void test_golden(Fixture *f, gconstpointer data)
{
	size_t len = 24 * MIB;
	g_autofree uint8_t *content = g_malloc(len);
	char hex[PROLLY_HASH_HEX_SIZE];
	uint64_t state = 1;

	fill_random(&state, content, len);
	memset(content + 3 * MIB, 0, 100000);
	memset(content + 5 * MIB, 0, 65535);
	ProllyBlob blob = write_blob(f, content, len, MIB);

	g_assert_cmpuint(blob.height, ==, 2);
	g_assert_cmpstr(prolly_hash_to_hex(&blob.hash, hex), ==,
			"310e3a6610dbc677c588e7b8d1314cbf07ff366fbf01361e01f252f89879dc6d");
	blob = write_blob(f, content, 10000, MIB);
	g_assert_cmpuint(blob.height, ==, 0);
	g_assert_cmpstr(prolly_hash_to_hex(&blob.hash, hex), ==,
			"287b3f44f43804a1ded881cac9f81978dd11ee325e8da2ada6d242dc9b15064a");
	blob = splice(f, NULL, 0, UINT64_C(1) << 40, NULL, 0);
	g_assert_cmpuint(blob.height, ==, 1);
	g_assert_cmpstr(prolly_hash_to_hex(&blob.hash, hex), ==,
			"f4b221a34ef47a346e66e2ecf8e2acbb34ed6490eb024343738ede38b5175e75");
}

/* ---- Walk and hostile bytes -------------------------------------------------------------- */

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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/blob/cutter/gear", test_gear);
	g_test_add_func("/blob/cutter/resumes", test_cutter_resumes);
	g_test_add_func("/blob/cutter/zeros", test_zeros);
	g_test_add_func("/blob/value/parse", test_value_parse);
	g_test_add_func("/blob/value/weigh-other", test_value_weigh_other);
	g_test_add_func("/blob/value/hostile", test_value_hostile);
	ADD_BLOB_TEST("/blob/value/store", set_up_tiny, test_value_store);
	ADD_BLOB_TEST("/blob/writer/steps", set_up_tiny, test_writer_steps);
	ADD_BLOB_TEST("/blob/writer/small", set_up_tiny, test_writer_small);
	ADD_BLOB_TEST("/blob/hole/terabyte", set_up_real, test_hole_terabyte);
	ADD_BLOB_TEST("/blob/hole/seek", set_up_tiny, test_hole_seek);
	ADD_BLOB_TEST("/blob/cost/insert", set_up_real, test_cost_insert);
	ADD_BLOB_TEST("/blob/cost/append", set_up_real, test_cost_append);
	ADD_BLOB_TEST("/blob/cost/overwrite", set_up_real, test_cost_overwrite);
	ADD_BLOB_TEST("/blob/golden", set_up_real, test_golden);
	ADD_BLOB_TEST("/blob/walk", set_up_tiny, test_walk);
	ADD_BLOB_TEST("/blob/walk-nodes", set_up_tiny, test_walk_nodes);
	ADD_BLOB_TEST("/blob/hostile/missing-chunk", set_up_tiny, test_missing_chunk);
	ADD_BLOB_TEST("/blob/hostile/nodes", set_up_tiny, test_hostile_nodes);
	ADD_BLOB_TEST("/blob/hostile/fields", set_up_tiny, test_hostile_fields);
	ADD_BLOB_TEST("/blob/hostile/entries", set_up_tiny, test_hostile_entries);
	ADD_BLOB_TEST("/blob/hostile/children", set_up_tiny, test_hostile_children);
	ADD_BLOB_TEST("/blob/hostile/chunk", set_up_tiny, test_hostile_chunk);
	return g_test_run();
}
