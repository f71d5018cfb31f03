/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob: cutting, stored values, writing, reading, holes, costs. Splices have test-blob-splice.c, walks
 * and damage test-blob-walk.c.
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
	return g_test_run();
}
