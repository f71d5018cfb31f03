/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests of blob share: stores of tiny and of real chunks, contents that are hard on a
 * chunker, and the oracle, a writer that is given all bytes at one go.
 */

#include "blob/blob-private.h"

#include <string.h>

#define KIB 1024u
#define MIB (1024u * KIB)

typedef struct {
	ProllyWork *work;
	ProllyTreeContext context;
} Fixture;

static inline void set_up_with(Fixture *f, const ProllyFormatParameters *parameters)
{
	g_autoptr(ProllyStore) store = prolly_store_new_memory();
	g_autoptr(GError) error = NULL;

	f->work = prolly_work_new();
	f->context.store = prolly_store_new_counting(store, f->work);
	prolly_format_new(parameters, prolly_value_weigh, &f->context.format, &error);
	g_assert_no_error(error);
}

static inline void set_up_tiny(Fixture *f, gconstpointer data)
{
	ProllyFormatParameters parameters;

	prolly_format_parameters_init(&parameters);
	parameters.chunk_min = 64;
	parameters.chunk_average = 256;
	parameters.chunk_max = 1024;
	set_up_with(f, &parameters);
}

static inline void set_up_real(Fixture *f, gconstpointer data)
{
	ProllyFormatParameters parameters;

	prolly_format_parameters_init(&parameters);
	set_up_with(f, &parameters);
}

static inline void tear_down(Fixture *f, gconstpointer data)
{
	prolly_format_unref(f->context.format);
	prolly_store_unref(f->context.store);
	prolly_work_unref(f->work);
}

/* ---- Contents ---------------------------------------------------------------------------- */

/* A fixed generator of its own, so that golden hashes do not depend on GLib's. */
static inline uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline void fill_random(uint64_t *state, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t word = next_random(state);

		memcpy(out + i, &word, MIN(len - i, sizeof(word)));
	}
}

/* MIN, but evaluates its arguments, which are often random, once. */
static inline size_t lesser(size_t a, size_t b)
{
	return a < b ? a : b;
}

enum {
	STYLE_RANDOM,
	STYLE_ZEROS,    /* nothing else */
	STYLE_SPARSE,   /* runs of zeros of all lengths between short data */
	STYLE_NUMBERS,  /* small 32-bit numbers: three bytes in four are zero */
	STYLE_PERIODIC, /* no cut but at the maximum, or everywhere the same */
	STYLE_N
};

static inline void fill(GRand *rand, int style, uint8_t *out, size_t len)
{
	uint64_t state = g_rand_int(rand);

	fill_random(&state, out, len);
	if (style == STYLE_ZEROS) {
		memset(out, 0, len);
	} else if (style == STYLE_SPARSE) {
		for (size_t i = 0; i < len;) {
			size_t n = lesser(len - i, (size_t)g_rand_int_range(rand, 1, 700));

			if (g_rand_boolean(rand))
				memset(out + i, 0, n);
			i += n;
		}
	} else if (style == STYLE_NUMBERS) {
		for (size_t i = 0; i < len; i++)
			out[i] = i % 4 ? 0 : out[i];
	} else if (style == STYLE_PERIODIC) {
		for (size_t i = 16; i < len; i++)
			out[i] = out[i % 16];
	}
}

/* ---- Helpers ----------------------------------------------------------------------------- */

static inline ProllyBlob write_blob(Fixture *f, const uint8_t *data, size_t len, size_t step)
{
	g_autoptr(ProllyBlobWriter) writer = prolly_blob_writer_new(&f->context);
	g_autoptr(GError) error = NULL;
	ProllyBlob blob;

	for (size_t i = 0; i < len; i += step) {
		prolly_blob_writer_write(writer, data + i, MIN(step, len - i), &error);
		g_assert_no_error(error);
	}
	g_assert_cmpuint(prolly_blob_writer_get_length(writer), ==, len);
	prolly_blob_writer_finish(writer, &blob, &error);
	g_assert_no_error(error);
	return blob;
}

static inline ProllyBlob splice(Fixture *f, const ProllyBlob *blob, uint64_t base_length,
				uint64_t length, const ProllyExtent *extents, size_t n)
{
	g_autoptr(GError) error = NULL;
	ProllyBlob out;

	prolly_blob_splice(&f->context, blob, base_length, length, extents, n, &out, &error);
	g_assert_no_error(error);
	return out;
}

static inline void assert_same_blob(const ProllyBlob *a, const ProllyBlob *b)
{
	char hex_a[PROLLY_HASH_HEX_SIZE], hex_b[PROLLY_HASH_HEX_SIZE];

	g_assert_cmpuint(a->length, ==, b->length);
	g_assert_cmpuint(a->height, ==, b->height);
	g_assert_cmpstr(prolly_hash_to_hex(&a->hash, hex_a), ==,
			prolly_hash_to_hex(&b->hash, hex_b));
}

static inline void assert_reads(Fixture *f, const ProllyBlob *blob, const uint8_t *data, size_t len,
				uint64_t offset, size_t want)
{
	g_autofree uint8_t *buffer = g_malloc(want + 1);
	g_autoptr(GError) error = NULL;
	size_t n;
	size_t expected = offset < len ? MIN(want, len - offset) : 0;

	prolly_blob_read(&f->context, blob, offset, buffer, want, &n, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(n, ==, expected);
	if (n > 0)
		g_assert_true(memcmp(buffer, data + offset, n) == 0);
}

static inline ProllyWorkFigures figures(Fixture *f)
{
	ProllyWorkFigures out;

	prolly_work_get_figures(f->work, &out);
	return out;
}

#define ADD_BLOB_TEST(name, set_up, test) g_test_add(name, Fixture, NULL, set_up, test, tear_down)
