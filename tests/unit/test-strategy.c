/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategies: tables of three texts and what comes of them. Every row is also merged with the sides
 * exchanged, which must give the same.
 */
#include "version/strategy.h"

#include <string.h>

typedef bool (*TextFunc)(const ProllyTexts *texts, GByteArray *out);

typedef struct {
	const char *base; /* NULL: absent */
	const char *ours, *theirs;
	const char *merged; /* NULL: a conflict */
} Row;

static ProllyText as_text(const char *text)
{
	return (ProllyText){text, text ? strlen(text) : 0};
}

/* (transfer full) NULL: a conflict. */
static char *run(TextFunc func, const char *base, const char *ours, const char *theirs)
{
	ProllyTexts texts = {as_text(base), as_text(ours), as_text(theirs)};
	g_autoptr(GByteArray) out = g_byte_array_new();

	if (!func(&texts, out))
		return NULL;
	return g_strndup(out->len ? (const char *)out->data : "", out->len);
}

static void check_rows(TextFunc func, const Row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const Row *row = &rows[i];
		g_autofree char *merged = run(func, row->base, row->ours, row->theirs);
		g_autofree char *back = run(func, row->base, row->theirs, row->ours);

		g_assert_cmpstr(merged, ==, row->merged);
		g_assert_cmpstr(back, ==, row->merged);
	}
}

/* ---- Tables ------------------------------------------------------------------------------ */

static const Row UNION_ROWS[] = {
	{"a\nb\n", "a\nb\nc\n", "a\nb\nd\n", "a\nb\nc\nd\n"},
	{"a\nb\n", "a\nb\nd\n", "a\nb\nc\n", "a\nb\nc\nd\n"},
	{"a\nb\nc\n", "a\nc\n", "a\nb\nc\nd\n", "a\nc\nd\n"},
	{"a\nb\nc\n", "a\nc\n", "b\nc\n", "c\n"},
	{"a\nb\n", "x\na\nb\n", "a\nb\ny\n", "x\na\nb\ny\n"},
	{"a\n", "a\nx\n", "x\na\n", "x\na\n"}, /* both added x: once */
	{"a\n", "a\nx\nx\n", "a\nx\n", "a\nx\nx\n"},
	{"a\nb\nc\n", "a\nB\nc\n", "a\nb2\nc\n", "a\nB\nb2\nc\n"},
	{"a\nb\n", "b\na\n", "a\nb\nc\n", "b\na\nc\n"},
	{"a\nb\n", "", "a\nb\nc\n", "c\n"},
	{"a\nb\n", "", "", ""},
	{NULL, "a\nb\n", "b\nc\n", "a\nb\nc\n"},
	{"a", "a\nb", "a\nc", "a\nb\nc"},
	{"a\n", "a\nb", "a\nc\n", "a\nb\nc\n"},
	{"\n", "\n\n", "\n", "\n\n"},
	{"a\r\n", "a\r\nb\r\n", "a\r\nc\r\n", "a\r\nb\r\nc\r\n"},
};

static void test_union(void)
{
	char nul[] = "a\0b";
	ProllyTexts texts = {as_text("a"), {nul, 3}, as_text("b")};
	g_autoptr(GByteArray) out = g_byte_array_new();

	check_rows(prolly_strategy_union, UNION_ROWS, G_N_ELEMENTS(UNION_ROWS));
	g_assert_false(prolly_strategy_union(&texts, out));
}

static const Row NUMBER_ROWS[] = {
	{"10", "13", "15", "18"},
	{"10", "7", "15", "12"},
	{"10", "10", "15", "15"},
	{"0", "-5", "3", "-2"},
	{"5", "-5", "5", "-5"},
	{"0", "1", "-1", "0"},
	{"-3", "-2", "-1", "0"},
	{NULL, "2", "3", "5"},
	{"1.50", "1.75", "2.00", "2.25"},
	{"0.1", "0.3", "0.2", "0.4"},
	{"0.1", "0.2", "1", "1.1"},
	{"0.001", "1", "2", "2.999"},
	{"10\n", "11\n", "12\n", "13\n"},
	{"10\n", "11", "12\n", "13"},
	{"99999999999999999999999999999999", "100000000000000000000000000000000",
	 "99999999999999999999999999999998", "99999999999999999999999999999999"},
	{"123456789012345678901234567890.000000000000000001",
	 "123456789012345678901234567890.000000000000000002",
	 "123456789012345678901234567891.000000000000000001",
	 "123456789012345678901234567891.000000000000000002"},
	{"007", "008", "009", "10"},
	{"+1", "+2", "+3", "4"},
	{"1", "two", "3", NULL},
	{"one", "2", "3", NULL},
	{"1", "", "3", NULL},
	{"1", "1e3", "3", NULL},
	{"1", "1.", "3", NULL},
	{"1", ".5", "3", NULL},
	{"1", "1.2.3", "3", NULL},
	{"1", "--2", "3", NULL},
	{"1", "0x10", "3", NULL},
	{"1", "2 3", "3", NULL},
};

static void test_number(void)
{
	check_rows(prolly_strategy_number, NUMBER_ROWS, G_N_ELEMENTS(NUMBER_ROWS));
}

static const Row JSON_ROWS[] = {
	/* members */
	{"{\"a\":1}", "{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":3}", "{\"a\":1,\"b\":2,\"c\":3}"},
	{"{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}", "{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":2}"},
	{"{\"a\":1,\"b\":1}", "{\"b\":1}", "{\"a\":1,\"b\":2}", "{\"b\":2}"},
	{"{\"a\":1,\"b\":1}", "{\"b\":1}", "{\"a\":1}", "{}"},
	{"{\"a\":1}", "{\"a\":2}", "{\"a\":2}", "{\"a\":2}"},
	{"{\"a\":1}", "{\"a\":2}", "{\"a\":3}", NULL},
	{"{\"a\":1}", "{}", "{\"a\":3}", NULL},
	{"{}", "{\"a\":2}", "{\"a\":3}", NULL},
	{"{\"o\":{\"x\":1,\"y\":1}}", "{\"o\":{\"x\":2,\"y\":1}}", "{\"o\":{\"x\":1,\"y\":2}}",
	 "{\"o\":{\"x\":2,\"y\":2}}"},
	{"{}", "{\"o\":{\"x\":1}}", "{\"o\":{\"y\":1}}", "{\"o\":{\"x\":1,\"y\":1}}"},
	{NULL, "{\"a\":1}", "{\"b\":1}", "{\"a\":1,\"b\":1}"},
	/* contents, not texts */
	{"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "{\"a\":1,\"b\":3}", "{\"b\":3,\"a\":1}"},
	{"{\"a\":\"x\"}", "{\"a\":\"\\u0078\"}", "{\"a\":\"y\"}", "{\"a\":\"y\"}"},
	{"{\"\\u0061\":1}", "{\"a\":1,\"b\":1}", "{\"a\":2}", "{\"a\":2,\"b\":1}"},
	/* numbers keep their digits */
	{"{\"n\":1,\"m\":1}", "{\"n\":1.10,\"m\":1}", "{\"n\":1,\"m\":12345678901234567890123}",
	 "{\"n\":1.10,\"m\":12345678901234567890123}"},
	/* kinds */
	{"{\"a\":1}", "{\"a\":{}}", "{\"a\":[]}", NULL},
	{"{\"a\":1}", "{\"a\":{\"b\":1}}", "{\"a\":{\"c\":1}}", NULL},
	{"1", "2", "1", "2"},
	{"1", "2", "3", NULL},
	/* arrays */
	{"[1,2,3]", "[1,2,3,4]", "[0,1,2,3]", "[0,1,2,3,4]"},
	{"[1]", "[1,2]", "[1,3]", "[1,2,3]"},
	{"[1]", "[1,3]", "[1,2]", "[1,2,3]"},
	{"[1]", "[1,2,3]", "[1,3]", "[1,2,3]"},
	{"[1,2,3]", "[1,3]", "[1,2,3,4]", "[1,3,4]"},
	{"[1,2,3]", "[1,3]", "[1,2]", "[1]"},
	{"[1,2,3]", "[1,5,3]", "[1,6,3]", NULL},
	{"[1,2,3]", "[1,5,6,3]", "[1,3]", NULL},
	{"[{\"id\":1,\"a\":1,\"b\":1}]", "[{\"id\":1,\"a\":2,\"b\":1}]",
	 "[{\"id\":1,\"a\":1,\"b\":2}]", "[{\"id\":1,\"a\":2,\"b\":2}]"},
	{"{\"t\":[]}", "{\"t\":[\"x\"]}", "{\"t\":[\"y\"]}", "{\"t\":[\"x\",\"y\"]}"},
	/* formatting */
	{"{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\n  \"b\": 2\n}\n", "{\n  \"a\": 1,\n  \"c\": 3\n}\n",
	 "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}\n"},
	{"{\n  \"a\": 1,\n  \"b\": 2\n}\n", "{\n  \"b\": 2\n}\n", "{\n  \"a\": 1,\n  \"b\": 3\n}\n",
	 "{\n  \"b\": 3\n}\n"},
	{"{\"a\": 1, \"b\": 2}", "{\"a\": 5, \"b\": 2}", "{\"a\": 1, \"b\": 6}",
	 "{\"a\": 5, \"b\": 6}"},
	{"{\"a\":1,\"b\":1}", "{\n\t\"a\": 1,\n\t\"b\": 1\n}", "{\"a\":1,\"b\":2}",
	 "{\n\t\"a\": 1,\n\t\"b\": 2\n}"},
	/* not JSON */
	{"{}", "{\"a\":1,}", "{\"b\":1}", NULL},
	{"{}", "{\"a\":1,\"a\":2}", "{\"b\":1}", NULL},
	{"{", "{\"a\":1}", "{\"b\":1}", NULL},
	{"{}", "{\"a\":01}", "{\"b\":1}", NULL},
	{"{}", "{\"a\":\"\\x\"}", "{\"b\":1}", NULL},
	{"{}", "{\"a\":\"\n\"}", "{\"b\":1}", NULL},
	{"{}", "{\"a\":1} 2", "{\"b\":1}", NULL},
	{"{}", "", "{\"b\":1}", NULL},
};

static void test_json(void)
{
	check_rows(prolly_strategy_json, JSON_ROWS, G_N_ELEMENTS(JSON_ROWS));
}

static void test_json_depth(void)
{
	g_autofree char *deep = g_strnfill(100000, '[');
	g_autofree char *merged = run(prolly_strategy_json, "[]", deep, "[1]");

	g_assert_null(merged);
}

/* ---- Lists ------------------------------------------------------------------------------- */

/* Long lists take another way than short ones; both sides' additions and removals are in. */
static void test_long_lists(void)
{
	g_autoptr(GString) base = g_string_new(NULL);
	g_autoptr(GString) ours = g_string_new("first\n");
	g_autoptr(GString) theirs = g_string_new(NULL);
	g_autoptr(GString) expected = g_string_new("first\n");
	g_autofree char *merged = NULL;

	for (int i = 0; i < 20000; i++) {
		g_string_append_printf(base, "line %d\n", i);
		if (i % 100 != 3)
			g_string_append_printf(ours, "line %d\n", i);
		if (i % 100 == 50)
			g_string_append_printf(theirs, "changed %d\n", i);
		else
			g_string_append_printf(theirs, "line %d\n", i);
		if (i % 100 == 50)
			g_string_append_printf(expected, "changed %d\n", i);
		else if (i % 100 != 3)
			g_string_append_printf(expected, "line %d\n", i);
	}
	merged = run(prolly_strategy_union, base->str, ours->str, theirs->str);
	g_assert_cmpstr(merged, ==, expected->str);
}

/* Random lists: what the union's definition says of each line, by counting. */
static void test_random_lists(void)
{
	for (int round = 0; round < 300; round++) {
		GString *texts[3];
		g_autofree char *merged = NULL;
		g_autofree char *back = NULL;

		for (int side = 0; side < 3; side++) {
			int n = g_test_rand_int_range(0, 12);

			texts[side] = g_string_new(NULL);
			for (int i = 0; i < n; i++)
				g_string_append_printf(texts[side], "%c\n",
						       'a' + g_test_rand_int_range(0, 4));
		}
		merged = run(prolly_strategy_union, texts[0]->str, texts[1]->str, texts[2]->str);
		back = run(prolly_strategy_union, texts[0]->str, texts[2]->str, texts[1]->str);
		g_assert_cmpstr(merged, ==, back);
		g_free(back);
		back = run(prolly_strategy_union, texts[0]->str, texts[1]->str, texts[0]->str);
		g_assert_cmpstr(back, ==, texts[1]->str);
		for (char line = 'a'; line < 'e'; line++) {
			bool any = strchr(texts[1]->str, line) || strchr(texts[2]->str, line);

			g_assert_true(any || !strchr(merged, line));
		}
		for (int side = 0; side < 3; side++)
			g_string_free(texts[side], TRUE);
	}
}

/* ---- Names and attributes ----------------------------------------------------------------- */

static void test_names(void)
{
	static const char *const BAD[] = {"", "our", "json,", ",json", "exec:", "exec: ", "Ours"};
	g_autoptr(GArray) chain = NULL;
	g_autoptr(GError) error = NULL;
	const ProllyStrategy *last;

	prolly_strategy_parse("json,newest,exec:sort -u %A, %B", &chain, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(chain->len, ==, 3);
	last = &g_array_index(chain, ProllyStrategy, 2);
	g_assert_cmpint(last->kind, ==, PROLLY_STRATEGY_EXEC);
	g_assert_cmpstr(last->command, ==, "sort -u %A, %B");
	for (size_t i = 0; i < G_N_ELEMENTS(BAD); i++) {
		g_autoptr(GArray) none = NULL;

		g_assert_false(prolly_strategy_parse(BAD[i], &none, &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
		g_clear_error(&error);
	}
}

static void check_pattern(const char *pattern, const char *path, bool expected)
{
	g_autofree char *text = g_strdup_printf("%s merge=union\n", pattern);
	g_autoptr(ProllyAttributes) attributes = NULL;
	g_autoptr(GError) error = NULL;

	prolly_attributes_parse(text, strlen(text), &attributes, &error);
	g_assert_no_error(error);
	if ((prolly_attributes_find(attributes, path) != NULL) != expected)
		g_error("pattern %s, path %s: expected %d", pattern, path, expected);
}

static void test_patterns(void)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
	} CASES[] = {
		{"*.json", "ns/a.json", true},
		{"*.json", "ns/dir/a.json", true},
		{"*.json", "a.json", true},
		{"*.json", "ns/a.json/b", false},
		{"*.json", "ns/a.jsonl", false},
		{"/*.json", "a.json", true},
		{"/*.json", "ns/a.json", false},
		{"ns/*.json", "ns/a.json", true},
		{"ns/*.json", "ns/dir/a.json", false},
		{"ns/*.json", "other/ns/a.json", false},
		{"ns/**", "ns/a", true},
		{"ns/**", "ns/a/b/c", true},
		{"ns/**", "ns2/a", false},
		{"**/a", "ns/a", true},
		{"**/a", "a", true},
		{"**/a", "ns/x/y/a", true},
		{"**/a", "ns/xa", false},
		{"ns/**/z", "ns/z", true},
		{"ns/**/z", "ns/x/y/z", true},
		{"ns/**/z", "ns/x/yz", false},
		{"ns/**/m*/*.j", "ns/a/ma/b/mb/c.j", true},
		{"ns/**/m*/*.j", "ns/a/ma/b/nb/c.j", false},
		{"counters/?", "counters/a", true},
		{"counters/?", "counters/ab", false},
		{"counters/?", "counters/", false},
		{"n[a-c]", "ns/nb", true},
		{"n[a-c]", "ns/nd", false},
		{"n[!a-c]", "ns/nd", true},
		{"n[]x]", "ns/n]", true},
		{"n[", "ns/n[", true},
		{"a\\*b", "ns/a*b", true},
		{"a\\*b", "ns/axb", false},
		{"\"a b\"", "ns/a b", true},
		{"*a*a*a*a*a*a*b", "ns/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
		{"*x*y", "ns/axbxcy", true},
		{"*", "ns/anything", true},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++)
		check_pattern(CASES[i].pattern, CASES[i].path, CASES[i].matches);
}

static void test_attributes(void)
{
	static const char TEXT[] = "# comment\n"
				   "\n"
				   "* text=auto\n"
				   "*.n eol=lf merge=number\r\n"
				   "*.j merge=json,ours\n"
				   "raw/* -merge\n"
				   "raw/x.n !merge\n"
				   "*.e merge=\"exec:tool --flag \\\"%A\\\"\"\n";
	g_autoptr(ProllyAttributes) attributes = NULL;
	g_autoptr(GError) error = NULL;
	const GArray *found;

	prolly_attributes_parse(TEXT, strlen(TEXT), &attributes, &error);
	g_assert_no_error(error);
	g_assert_null(prolly_attributes_find(attributes, "ns/a"));
	found = prolly_attributes_find(attributes, "ns/a.n");
	g_assert_cmpint(g_array_index(found, ProllyStrategy, 0).kind, ==, PROLLY_STRATEGY_NUMBER);
	found = prolly_attributes_find(attributes, "ns/a.j");
	g_assert_cmpuint(found->len, ==, 2);
	found = prolly_attributes_find(attributes, "raw/a.n");
	g_assert_cmpint(g_array_index(found, ProllyStrategy, 0).kind, ==, PROLLY_STRATEGY_NONE);
	g_assert_null(prolly_attributes_find(attributes, "raw/x.n"));
	found = prolly_attributes_find(attributes, "ns/a.e");
	g_assert_cmpstr(g_array_index(found, ProllyStrategy, 0).command, ==, "tool --flag \"%A\"");
	g_assert_false(prolly_attributes_parse("a\nb merge=nope\n", 15, &attributes, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_assert_nonnull(strstr(error->message, "line 2"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/version/strategy/union", test_union);
	g_test_add_func("/version/strategy/number", test_number);
	g_test_add_func("/version/strategy/json", test_json);
	g_test_add_func("/version/strategy/json-depth", test_json_depth);
	g_test_add_func("/version/strategy/long-lists", test_long_lists);
	g_test_add_func("/version/strategy/random-lists", test_random_lists);
	g_test_add_func("/version/strategy/names", test_names);
	g_test_add_func("/version/strategy/patterns", test_patterns);
	g_test_add_func("/version/strategy/attributes", test_attributes);
	return g_test_run();
}
