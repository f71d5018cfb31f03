/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of attributes: those that are written are read again, and no others are.
 */
#include "version/working-private.h"

#include <string.h>

typedef struct {
	const char *name, *value;
} Pair;

static void append_text(GByteArray *out, const char *text)
{
	prolly_append_string(out, text, strlen(text));
}

/* Is the record of so many bytes taken? */
static bool try_record(const uint8_t *data, size_t len)
{
	/* Of just this size, so that a sanitizer sees who reads behind it. */
	g_autofree uint8_t *copy = g_memdup2(data, len);
	g_auto(ProllyAttrs) attrs = {0};
	ProllyAttrRecord record = {0};
	g_autoptr(GError) error = NULL;
	bool ok = prolly_attr_record_parse(copy, len, &record, &error);

	if (!ok)
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	attrs = record.attrs;
	return ok;
}

/* ---- Extended attributes ----------------------------------------------------------------- */

/* The pairs that a writer leaves ascend, in whatever order they come and go. */
static void test_xattrs_written(void)
{
	static const char *const names[] = {"user.b", "user.a", "user.bb", "user",   "user.a",
					    "user.c", "user.B", "user.b",  "user.bb"};
	g_autoptr(GBytes) xattrs = NULL;

	for (size_t i = 0; i < 2 * G_N_ELEMENTS(names); i++) {
		const char *name = names[i % G_N_ELEMENTS(names)];
		g_autoptr(GBytes) value = i % 5 == 4 ? NULL : g_bytes_new("value", i % 6);
		g_autoptr(GBytes) found = NULL;
		g_autoptr(GBytes) before = xattrs;
		g_autoptr(GByteArray) bytes = g_byte_array_new();
		ProllyAttrRecord record = {.attrs.has = PROLLY_ATTR_XATTRS};

		xattrs = prolly_xattrs_with(before, name, value);
		prolly_xattrs_get(xattrs, name, &found);
		g_assert_true(value ? found && g_bytes_equal(value, found) : !found);
		record.attrs.xattrs = xattrs;
		prolly_attr_record_append(bytes, &record);
		g_assert_true(try_record(bytes->data, bytes->len));
	}
}

static void test_xattrs_hostile(void)
{
	static const struct {
		Pair pairs[3];
		bool good;
	} cases[] = {
		{{{NULL}}, true},
		{{{"a", "1"}}, true},
		{{{"a", "1"}, {"b", ""}, {"c", "3"}}, true},
		{{{"a", "1"}, {"aa", "2"}, {"b", "3"}}, true},
		{{{"b", "1"}, {"a", "2"}}, false},
		{{{"a", "1"}, {"a", "1"}}, false},
		{{{"a", "1"}, {"c", "2"}, {"b", "3"}}, false},
		{{{"a", "1"}, {"b", "2"}, {"b", "3"}}, false},
		{{{"aa", "1"}, {"a", "2"}}, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GByteArray) bytes = g_byte_array_new();

		prolly_append_varint(bytes, PROLLY_ATTR_XATTRS);
		prolly_append_varint(bytes, 0);
		for (int k = 0; k < 3 && cases[i].pairs[k].name; k++) {
			append_text(bytes, cases[i].pairs[k].name);
			append_text(bytes, cases[i].pairs[k].value);
		}
		g_test_message("case %zu", i);
		g_assert_cmpint(try_record(bytes->data, bytes->len), ==, cases[i].good);
	}
}

/* A pair that is not all there: a name alone, or less. */
static void test_xattrs_cut(void)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	size_t first;

	prolly_append_varint(bytes, PROLLY_ATTR_XATTRS);
	prolly_append_varint(bytes, 0);
	append_text(bytes, "user.a");
	append_text(bytes, "some value");
	first = bytes->len;
	append_text(bytes, "user.b");
	append_text(bytes, "another");
	for (size_t len = 3; len <= bytes->len; len++)
		g_assert_cmpint(try_record(bytes->data, len), ==,
				len == first || len == bytes->len);
}

/* ---- Numbers ----------------------------------------------------------------------------- */

static void test_ids(void)
{
	static const struct {
		uint32_t bit;
		uint64_t id;
		bool good;
	} cases[] = {
		{PROLLY_ATTR_UID, UINT32_MAX, true},
		{PROLLY_ATTR_GID, UINT32_MAX, true},
		{PROLLY_ATTR_UID, UINT64_C(1) << 32, false},
		{PROLLY_ATTR_GID, UINT64_C(1) << 32, false},
		{PROLLY_ATTR_UID, UINT64_MAX, false},
		{PROLLY_ATTR_GID, (UINT64_C(1) << 63) + 1000, false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GByteArray) bytes = g_byte_array_new();

		prolly_append_varint(bytes, cases[i].bit);
		prolly_append_varint(bytes, 0);
		prolly_append_varint(bytes, cases[i].id);
		g_test_message("case %zu", i);
		g_assert_cmpint(try_record(bytes->data, bytes->len), ==, cases[i].good);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/version/attrs/xattrs/written", test_xattrs_written);
	g_test_add_func("/version/attrs/xattrs/hostile", test_xattrs_hostile);
	g_test_add_func("/version/attrs/xattrs/cut", test_xattrs_cut);
	g_test_add_func("/version/attrs/ids", test_ids);
	return g_test_run();
}
