/* SPDX-License-Identifier: Apache-2.0 */

/*
 * json: what is text and what is not, escaping, commas, dates; checked by an independent reader
 * (jansson) over random bytes.
 */

#include "command/command-private.h"

#include <string.h>

#include <jansson.h>

/* ---- What is text ------------------------------------------------------------------------ */

static void test_text(void)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool is_text;
	} CASES[] = {
		{"", 0, true},
		{"plain", 5, true},
		{"tab\tnewline\nreturn\r", 19, true},
		{"\0", 1, false},
		{"\x01", 1, false},
		{"\x1b[31m", 5, false},
		{"\x7f", 1, false},
		{"gr\303\274n", 5, true},
		{"\302\205", 2, false},        /* U+0085, a C1 control */
		{"\302\240", 2, true},         /* U+00A0 */
		{"\342\200\250", 3, true},     /* U+2028 */
		{"\360\237\230\200", 4, true}, /* U+1F600 */
		{"\377", 1, false},
		{"\303", 1, false},             /* cut */
		{"\300\200", 2, false},         /* overlong */
		{"\355\240\200", 3, false},     /* a surrogate */
		{"\364\220\200\200", 4, false}, /* over U+10FFFF */
	};
	for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_test_message("case %zu", i);
		g_assert_cmpint(prolly_json_is_text(CASES[i].bytes, CASES[i].len), ==,
				CASES[i].is_text);
	}
}

/* Text cut anywhere is text up to a whole character, and no further. */
static void test_text_cut(void)
{
	static const char TEXT[] = "a\303\274\342\202\254\360\237\230\200z";
	for (size_t len = 0; len < sizeof TEXT; len++) {
		size_t whole = 99;
		g_assert_true(prolly_json_is_text_so_far(TEXT, len, &whole));
		g_assert_cmpuint(whole, <=, len);
		g_assert_cmpuint(len - whole, <, 4);
		g_assert_true(prolly_json_is_text(TEXT, whole));
	}
}

/* ---- Objects ----------------------------------------------------------------------------- */

static void test_commas(void)
{
	g_autoptr(GString) json = g_string_new(NULL);
	for (int i = 0; i < 2; i++) {
		prolly_json_begin(json, NULL, '{');
		prolly_json_add_text(json, "a", "}");
		prolly_json_begin(json, "b", '[');
		prolly_json_end(json, ']');
		prolly_json_begin(json, "c", '[');
		prolly_json_add_number(json, NULL, 1);
		prolly_json_add_number(json, NULL, UINT64_MAX);
		prolly_json_add_null(json, NULL);
		prolly_json_end(json, ']');
		prolly_json_add_bool(json, "d", false);
		prolly_json_add_fraction(json, "e", 0.25);
		prolly_json_end(json, '}');
		g_string_append_c(json, '\n');
	}
	static const char LINE[] = "{\"a\":\"}\",\"b\":[],\"c\":[1,18446744073709551615,null],"
				   "\"d\":false,\"e\":0.2500}\n";
	g_autofree char *twice = g_strconcat(LINE, LINE, NULL);
	g_assert_cmpstr(json->str, ==, twice);
}

static void test_time(void)
{
	static const struct {
		int64_t time;
		int offset;
		const char *text;
	} CASES[] = {
		{0, 0, "\"1970-01-01T00:00:00+00:00\""},
		{1767319445, 60, "\"2026-01-02T03:04:05+01:00\""},
		{1767319445, -570, "\"2026-01-01T16:34:05-09:30\""},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(GString) json = g_string_new(NULL);
		ProllySignature signature = {.time = CASES[i].time,
					     .offset_minutes = CASES[i].offset};
		prolly_json_add_time(json, NULL, &signature);
		g_assert_cmpstr(json->str, ==, CASES[i].text);
	}
}

/* ---- Any bytes --------------------------------------------------------------------------- */

static void assert_bytes(json_t *value, const char *data, size_t len)
{
	json_t *encoded = json_object_get(value, "base64");
	g_assert_cmpint(json_is_string(value), ==, prolly_json_is_text(data, len));
	if (json_is_string(value)) {
		g_assert_cmpmem(json_string_value(value), json_string_length(value), data, len);
		return;
	}
	gsize decoded_len = 0;
	g_autofree guchar *decoded = g_base64_decode(json_string_value(encoded), &decoded_len);
	g_assert_cmpmem(decoded, decoded_len, data, len);
}

static void test_round_trip(void)
{
	static const char ALPHABET[] = "ab\"\\/\n\r\t\b\x7f\xc3\xbc\xe2\x82\xac\0\x1f<>{}[],:";
	for (int round = 0; round < 20000; round++) {
		char data[24];
		size_t len = (size_t)g_test_rand_int_range(0, sizeof data);
		bool any = g_test_rand_bit();
		for (size_t i = 0; i < len; i++)
			data[i] = any ? (char)g_test_rand_int_range(0, 256)
				      : ALPHABET[g_test_rand_int_range(0, sizeof ALPHABET - 1)];

		g_autoptr(GString) json = g_string_new(NULL);
		prolly_json_begin(json, NULL, '{');
		prolly_json_add_bytes(json, "x", data, len);
		prolly_json_end(json, '}');
		json_t *parsed = json_loadb(json->str, json->len, JSON_REJECT_DUPLICATES, NULL);
		g_assert_nonnull(parsed);
		assert_bytes(json_object_get(parsed, "x"), data, len);
		json_decref(parsed);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/command/json/text", test_text);
	g_test_add_func("/command/json/text-cut", test_text_cut);
	g_test_add_func("/command/json/commas", test_commas);
	g_test_add_func("/command/json/time", test_time);
	g_test_add_func("/command/json/round-trip", test_round_trip);
	return g_test_run();
}
