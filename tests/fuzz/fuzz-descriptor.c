/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A format's descriptor, as it stands in a proof. The input is one, or the parameters to make one of;
 * its first byte says which, and what values weigh. What is accepted has one meaning: the parameters
 * that are read from it make the same bytes again, and a tree that is the reference's.
 */
#include "fuzz.h"

#include "blob/blob.h"
#include "tree-model.h"

#define ENTRIES_MAX 40

/* Parameters that make sense more often than random ones. */
static ProllyFormatParameters take_parameters(FuzzInput *input)
{
	ProllyFormatParameters parameters = {0};

	parameters.min = (uint32_t)fuzz_take_number(input);
	parameters.max = parameters.min + (uint32_t)fuzz_take_number(input);
	parameters.scale_shift = fuzz_take_below(input, 20);
	parameters.inline_limit = (uint32_t)fuzz_take_number(input);
	parameters.chunk_min = (uint32_t)fuzz_take_number(input);
	parameters.chunk_average = 1u << fuzz_take_below(input, 32);
	parameters.chunk_max = parameters.chunk_average + (uint32_t)fuzz_take_number(input);
	return parameters;
}

static void assert_same(const ProllyFormatParameters *a, const ProllyFormatParameters *b)
{
	g_assert_cmpmem(a, sizeof(*a), b, sizeof(*b));
}

/* Where the rule is near what 64 bits hold, whoever is wrong differs from the reference. */
static void assert_makes_trees(const ProllyFormatParameters *parameters, ProllyWeighFunc weigh,
			       FuzzInput *input)
{
	g_autoptr(GTree) model = model_new();
	TreeTest test;
	ProllyTree tree;

	for (int i = 0; i < ENTRIES_MAX && fuzz_has_more(input); i++) {
		g_autoptr(GBytes) content = fuzz_take_gbytes(input, 8);
		GBytes *key = fuzz_take_gbytes(input, 8);
		size_t len;
		const uint8_t *data = g_bytes_get_data(content, &len);

		model_set(model, key, prolly_value_new_inline(PROLLY_KIND_FILE, data, len));
	}
	tree_test_start_weighing(&test, *parameters, weigh);
	tree = apply_batch(&test.context, NULL, model);
	assert_canonical(&test.context, &tree, model);
	assert_verifies(&test.context, &tree);
	tree_test_stop(&test);
}

/* BYTES are PROLLY_FORMAT_DESCRIPTOR_SIZE. */
static bool try_descriptor(const uint8_t *bytes, ProllyWeighFunc weigh, FuzzInput *input)
{
	ProllyWeighFunc other = weigh ? NULL : prolly_value_weigh;
	ProllyFormatParameters parameters, ignored;
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GError) error = NULL;
	size_t len;

	if (!prolly_format_parse_descriptor(bytes, weigh, &parameters, &error)) {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
		return false;
	}
	g_assert_false(prolly_format_parse_descriptor(bytes, other, &ignored, NULL));
	g_assert_true(prolly_format_new(&parameters, weigh, &format, NULL));
	g_assert_cmpmem(prolly_format_get_descriptor(format, &len), PROLLY_FORMAT_DESCRIPTOR_SIZE,
			bytes, PROLLY_FORMAT_DESCRIPTOR_SIZE);
	g_assert_cmpuint(len, ==, PROLLY_FORMAT_DESCRIPTOR_SIZE);
	assert_makes_trees(&parameters, weigh, input);
	return true;
}

/* One that a format of ours has, which must be accepted; and then with a byte changed. */
static void try_own(FuzzInput *input, ProllyWeighFunc weigh)
{
	ProllyFormatParameters parameters = take_parameters(input), read;
	uint8_t bytes[PROLLY_FORMAT_DESCRIPTOR_SIZE];
	g_autoptr(ProllyFormat) format = NULL;
	g_autoptr(GError) error = NULL;
	FuzzInput none = {0};

	if (!prolly_format_new(&parameters, weigh, &format, &error)) {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
		return;
	}
	memcpy(bytes, format->descriptor->data, sizeof(bytes));
	g_assert_true(prolly_format_parse_descriptor(bytes, weigh, &read, NULL));
	assert_same(&read, &parameters);
	bytes[fuzz_take_below(input, sizeof(bytes))] ^= (uint8_t)(1 + fuzz_take_below(input, 255));
	if (prolly_format_parse_descriptor(bytes, weigh, &read, NULL))
		g_assert_true(memcmp(&read, &parameters, sizeof(read)) != 0);
	try_descriptor(bytes, weigh, &none);
	try_descriptor(format->descriptor->data, weigh, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {data, size};
	uint8_t what = fuzz_take_byte(&input);
	ProllyWeighFunc weigh = what & 1 ? prolly_value_weigh : NULL;
	const uint8_t *bytes;
	size_t len;

	if (what & 2) {
		try_own(&input, weigh);
		return 0;
	}
	bytes = fuzz_take_bytes(&input, PROLLY_FORMAT_DESCRIPTOR_SIZE, &len);
	if (len == PROLLY_FORMAT_DESCRIPTOR_SIZE)
		try_descriptor(bytes, weigh, &input);
	return 0;
}
