/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the database: staged ones, attributes, and those of the journal. The first byte of the
 * input says which; the rest is the record. One that is accepted says the same when it is written
 * and read again.
 */
#include "fuzz.h"

#include "version/journal-private.h"
#include "version/working-private.h"

static void assert_corrupt(GError *error)
{
	if (!prolly_error_is(error, PROLLY_ERROR_NEWER_FORMAT))
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	g_error_free(error);
}

static void assert_same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	g_assert_cmpmem(a, a_len, b, b_len);
}

static void try_staged(const uint8_t *data, size_t len)
{
	g_autoptr(GByteArray) again = g_byte_array_new();
	ProllyStagedRecord record, second;
	GError *error = NULL;

	if (!prolly_staged_record_parse(data, len, &record, &error)) {
		assert_corrupt(error);
		return;
	}
	prolly_staged_record_append(again, &record);
	g_assert_true(prolly_staged_record_parse(again->data, again->len, &second, NULL));
	g_assert_cmpuint(second.flags, ==, record.flags);
	g_assert_cmpuint(second.extents, ==, record.extents);
	g_assert_cmpuint(second.base_length, ==, record.base_length);
	g_assert_cmpuint(second.length, ==, record.length);
	assert_same_bytes(second.stored, second.stored_len, record.stored, record.stored_len);
	assert_same_bytes(second.attrs, second.attrs_len, record.attrs, record.attrs_len);
}

/* They are pairs, and go in order: else who sets one would leave others. */
static void assert_ascending(GBytes *xattrs)
{
	g_autoptr(GBytes) name_before = NULL;
	ProllyReader reader;
	size_t len;
	const void *data = g_bytes_get_data(xattrs, &len);

	prolly_reader_init(&reader, data, len);
	while (!prolly_reader_at_end(&reader)) {
		size_t name_len, value_len;
		const uint8_t *name = prolly_reader_string(&reader, &name_len);
		g_autoptr(GBytes) before = g_steal_pointer(&name_before);

		prolly_reader_string(&reader, &value_len);
		g_assert_true(prolly_reader_ok(&reader));
		name_before = g_bytes_new(name, name_len);
		g_assert_true(!before || g_bytes_compare(before, name_before) < 0);
	}
}

static void try_attributes(const uint8_t *data, size_t len)
{
	g_autoptr(GByteArray) again = g_byte_array_new();
	g_autoptr(GByteArray) third = g_byte_array_new();
	ProllyAttrRecord record, second;
	GError *error = NULL;

	if (!prolly_attr_record_parse(data, len, &record, &error)) {
		assert_corrupt(error);
		return;
	}
	if (record.attrs.xattrs)
		assert_ascending(record.attrs.xattrs);
	prolly_attr_record_append(again, &record);
	g_assert_true(prolly_attr_record_parse(again->data, again->len, &second, NULL));
	g_assert_cmpuint(second.attrs.has, ==, record.attrs.has);
	g_assert_cmpuint(second.sequence, ==, record.sequence);
	g_assert_cmpuint(second.salt, ==, record.salt);
	prolly_attr_record_append(third, &second);
	assert_same_bytes(third->data, third->len, again->data, again->len);
	prolly_attr_record_clear(&record);
	prolly_attr_record_clear(&second);
}

static void try_journal(const uint8_t *data, size_t len)
{
	g_autoptr(GPtrArray) objects = NULL;
	g_autoptr(GPtrArray) updates = NULL;
	g_autoptr(GPtrArray) objects_again = NULL;
	g_autoptr(GPtrArray) updates_again = NULL;
	g_autoptr(GByteArray) again = g_byte_array_new();
	g_autoptr(GByteArray) third = g_byte_array_new();
	GError *error = NULL;

	if (!prolly_journal_decode(data, len, &objects, &updates, &error)) {
		assert_corrupt(error);
		return;
	}
	prolly_journal_encode(objects, updates, again);
	g_assert_true(prolly_journal_decode(again->data, again->len, &objects_again, &updates_again,
					    NULL));
	g_assert_cmpuint(objects_again->len, ==, objects->len);
	g_assert_cmpuint(updates_again->len, ==, updates->len);
	prolly_journal_encode(objects_again, updates_again, third);
	assert_same_bytes(third->data, third->len, again->data, again->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {data, size};

	git_libgit2_init(); /* it counts; what it has stays, since to begin anew takes long */
	switch (fuzz_take_below(&input, 3)) {
	case 0:
		try_staged(input.p, input.left);
		break;
	case 1:
		try_attributes(input.p, input.left);
		break;
	default:
		try_journal(input.p, input.left);
	}
	return 0;
}
