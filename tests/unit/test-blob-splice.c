/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob/splice: bytes laid over a blob. The oracle is a flat buffer: after every splice the blob
 * must be the one that a writer makes of those bytes at one go, and read back as them.
 */
#include "blob-model.h"

/* The smallest chunks there are. */
static inline void set_up_least(Fixture *f, gconstpointer data)
{
	ProllyFormatParameters parameters;

	prolly_format_parameters_init(&parameters);
	parameters.chunk_min = 1;
	parameters.chunk_average = 2;
	parameters.chunk_max = 200;
	set_up_with(f, &parameters);
}

typedef struct {
	uint8_t *bytes; /* LEN of them, of MAX */
	size_t len;
	size_t max;
	ProllyBlob blob;
} Model;

/* Random extents in order over LENGTH bytes, into the model too, which has that length already. */
static size_t make_extents(GRand *rand, Model *model, ProllyExtent *out, size_t max,
			   uint8_t *content)
{
	size_t n = 0;
	uint64_t at = 0;

	while (n < max && model->len > 0) {
		uint64_t left = model->len - at;
		uint64_t offset = at + g_rand_int_range(rand, 0, (int)(left / 2) + 1);
		uint64_t len =
			(uint64_t)g_rand_int_range(rand, 0, 1 << g_rand_int_range(rand, 1, 14));

		len = MIN(len, model->len - offset);
		out[n] = (ProllyExtent){.offset = offset, .len = len, .data = content + offset};
		if (g_rand_int_range(rand, 0, 4) == 0) {
			out[n].data = NULL;
			memset(model->bytes + offset, 0, len);
		} else {
			fill(rand, g_rand_int_range(rand, 0, STYLE_N), content + offset, len);
			memcpy(model->bytes + offset, content + offset, len);
		}
		at = offset + len;
		n++;
		if (at >= model->len)
			break;
	}
	return n;
}

/* One random splice: some extents, and perhaps another length. */
static void step_model(Fixture *f, GRand *rand, Model *model, uint8_t *content)
{
	ProllyExtent extents[40];
	size_t base = model->len, length = model->len;
	int what = g_rand_int_range(rand, 0, 6);

	if (what == 0)
		base = (size_t)g_rand_int_range(rand, 0, (int)model->len + 1);
	if (what == 0 || what == 1)
		length = base +
			 (size_t)g_rand_int_range(rand, 0, 1 << g_rand_int_range(rand, 1, 16));
	else if (what == 2)
		length = base + (size_t)g_rand_int_range(rand, 0, 300);
	length = MIN(length, model->max);
	base = MIN(base, length);
	memset(model->bytes + base, 0, length - base);
	model->len = length;
	size_t most = (size_t)g_rand_int_range(rand, 0, g_rand_int_range(rand, 2, 41));
	size_t n = make_extents(rand, model, extents, most, content);

	model->blob = splice(f, &model->blob, base, length, extents, n);
	ProllyBlob fresh = write_blob(f, model->bytes, model->len, 4096);

	assert_same_blob(&model->blob, &fresh);
}

static unsigned run_model(Fixture *f, unsigned seed, size_t max, int steps)
{
	g_autofree uint8_t *bytes = g_malloc0(max);
	g_autofree uint8_t *content = g_malloc0(max);
	g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
	Model model = {.bytes = bytes, .len = max / 4 * 3, .max = max};

	g_test_message("seed %u", seed);
	fill(rand, (int)(seed % STYLE_N), bytes, model.len);
	model.blob = write_blob(f, bytes, model.len, 10000);
	unsigned height = model.blob.height;

	for (int i = 0; i < steps; i++)
		step_model(f, rand, &model, content);
	assert_reads(f, &model.blob, bytes, model.len, 0, max);
	return height;
}

static void test_splice_model(Fixture *f, gconstpointer data)
{
	for (unsigned seed = 0; seed < 25; seed++)
		run_model(f, seed, 200 * KIB, 80);
}

static void test_splice_deep(Fixture *f, gconstpointer data)
{
	for (unsigned seed = 0; seed < 10; seed++) {
		unsigned height = run_model(f, seed, 3 * MIB, 20);

		if (seed == STYLE_RANDOM)
			g_assert_cmpuint(height, >=, 3);
	}
}

/* Every place and every small length, around all kinds of boundaries, of a small blob. */
static void test_splice_everywhere(Fixture *f, gconstpointer data)
{
	static const uint8_t zeros[400], ones[400] = {[0 ... 399] = 1};
	static const size_t lengths[] = {1, 2, 64, 300};
	g_autoptr(GRand) rand = g_rand_new_with_seed(23);
	size_t len = 6000;
	g_autofree uint8_t *content = g_malloc(len);
	g_autofree uint8_t *changed = g_malloc(len);

	for (int style = 0; style < STYLE_N; style++) {
		fill(rand, style, content, len);
		ProllyBlob blob = write_blob(f, content, len, len);

		for (size_t at = 0; at + 300 <= len; at += 1 + at % 3) {
			for (size_t k = 0; k < 2 * G_N_ELEMENTS(lengths); k++) {
				size_t n = lengths[k / 2];
				const uint8_t *with = k % 2 ? zeros : ones;
				ProllyExtent extent = {.offset = at, .len = n, .data = with};
				ProllyBlob got = splice(f, &blob, len, len, &extent, 1);

				memcpy(changed, content, len);
				memcpy(changed + at, with, n);
				ProllyBlob fresh = write_blob(f, changed, len, len);

				assert_same_blob(&got, &fresh);
			}
		}
	}
}

static void test_splice_truncate_everywhere(Fixture *f, gconstpointer data)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(29);
	size_t len = 6000;
	g_autofree uint8_t *content = g_malloc(len);
	g_autofree uint8_t *changed = g_malloc(len);

	for (int style = 0; style < STYLE_N; style++) {
		fill(rand, style, content, len);
		ProllyBlob blob = write_blob(f, content, len, len);

		for (size_t at = 0; at <= len; at++) {
			size_t to = lesser(len, at + (size_t)g_rand_int_range(rand, 0, 400));
			ProllyBlob got = splice(f, &blob, at, to, NULL, 0);

			memcpy(changed, content, at);
			memset(changed + at, 0, to - at);
			ProllyBlob fresh = write_blob(f, changed, to, len);

			assert_same_blob(&got, &fresh);
		}
	}
}

static void test_splice_bad_extents(Fixture *f, gconstpointer data)
{
	const ProllyExtent overlapping[] = {{0, 5, NULL}, {4, 1, NULL}};
	const ProllyExtent outside = {8, 5, NULL};
	g_autoptr(GError) error = NULL;
	ProllyBlob out;

	g_assert_false(prolly_blob_splice(&f->context, NULL, 0, 10, overlapping, 2, &out, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_clear_error(&error);
	g_assert_false(prolly_blob_splice(&f->context, NULL, 0, 10, &outside, 1, &out, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_clear_error(&error);
	g_assert_false(prolly_blob_splice(&f->context, NULL, 11, 10, NULL, 0, &out, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_clear_error(&error);
	g_assert_false(
		prolly_blob_splice(&f->context, NULL, 0, UINT64_C(1) << 63, NULL, 0, &out, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_TOO_BIG);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD_BLOB_TEST("/blob/splice/model", set_up_tiny, test_splice_model);
	ADD_BLOB_TEST("/blob/splice/deep", set_up_least, test_splice_deep);
	ADD_BLOB_TEST("/blob/splice/everywhere", set_up_tiny, test_splice_everywhere);
	ADD_BLOB_TEST("/blob/splice/truncate-everywhere", set_up_tiny,
		      test_splice_truncate_everywhere);
	ADD_BLOB_TEST("/blob/splice/bad-extents", set_up_tiny, test_splice_bad_extents);
	return g_test_run();
}
