/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions: the same as glibc's say, of expressions and texts that do it no harm; and what
 * they may cost, of those that do.
 */
#include "command/command-private.h"

#include <regex.h>
#include <string.h>

#define ROUNDS 60000

typedef enum { BAD, NO, YES } Answer;

static Answer ask(const char *pattern, bool extended, bool ignore_case, const char *text)
{
	g_autoptr(ProllyPattern) compiled = NULL;
	g_autoptr(GError) error = NULL;

	if (!prolly_pattern_new(NULL, pattern, extended, ignore_case, &compiled, &error)) {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_USAGE);
		return BAD;
	}
	return prolly_pattern_matches(compiled, text) ? YES : NO;
}

/* By lines, as git does: \s and \W would take a newline. */
static Answer ask_glibc(const char *pattern, bool extended, bool ignore_case, const char *text)
{
	int flags = REG_NOSUB | REG_NEWLINE | (extended ? REG_EXTENDED : 0) |
		    (ignore_case ? REG_ICASE : 0);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	Answer answer = NO;
	regex_t compiled;

	if (regcomp(&compiled, pattern, flags) != 0)
		return BAD;
	for (char **line = lines; *line; line++)
		if (regexec(&compiled, *line, 0, NULL, 0) == 0)
			answer = YES;
	regfree(&compiled);
	return answer;
}

static void make_text(GString *text, const char *const *parts, size_t n, int max)
{
	int len = g_test_rand_int_range(0, max);

	g_string_truncate(text, 0);
	for (int i = 0; i < len; i++)
		g_string_append(text, parts[g_test_rand_int_range(0, (int)n)]);
}

static void test_random(void)
{
	static const char *const PATTERNS[] = {
		"a",           "b",      "B",    "_",         " ",    ".",    "*",    "+",
		"?",           "(",      ")",    "|",         "{",    "}",    "^",    "$",
		"\\(",         "\\)",    "\\|",  "\\{",       "\\}",  "\\+",  "\\?",  "{1}",
		"{2}",         "{0,2}",  "{,1}", "\\{1,2\\}", "[ab]", "[^a]", "[]a]", "[^]-]",
		"[[:alpha:]]", "[a-c-]", "\\w",  "\\W",       "\\s",  "\\S",  "\\b",  "\\B",
		"\\<",         "\\>",    "\\.",  "a",         "b",    "(",    ")",    "[[.a.]]",
		"[[=b=]]",     "[b-a]",
	};
	static const char *const TEXTS[] = {"a",  "b", "A", "B", "_", " ", "a", "b",
					    "\n", "-", "]", "(", ")", "{", "*", "+"};
	g_autoptr(GString) pattern = g_string_new(NULL), text = g_string_new(NULL);
	unsigned n_of[3] = {0};

	for (int i = 0; i < ROUNDS; i++) {
		bool extended = g_test_rand_bit(), ignore_case = g_test_rand_bit();
		Answer answer, expected;

		make_text(pattern, PATTERNS, G_N_ELEMENTS(PATTERNS), 8);
		make_text(text, TEXTS, G_N_ELEMENTS(TEXTS), 10);
		g_string_append_c(text, 'x'); /* behind a last newline is a line to glibc */
		answer = ask(pattern->str, extended, ignore_case, text->str);
		expected = ask_glibc(pattern->str, extended, ignore_case, text->str);
		n_of[expected]++;
		if (answer != expected)
			g_error("'%s' (extended %d, ignore case %d) in '%s': %d, should be %d",
				pattern->str, extended, ignore_case, text->str, answer, expected);
	}
	g_test_message("%u bad, %u no, %u yes", n_of[BAD], n_of[NO], n_of[YES]);
}

/* Code points, not bytes; and bytes that are none. */
static void test_characters(void)
{
	g_assert_cmpint(ask("^.$", false, false, "\u00f6"), ==, YES);
	g_assert_cmpint(ask("^[\u00e4\u00f6]$", false, false, "\u00f6"), ==, YES);
	g_assert_cmpint(ask("^[a-z]$", false, false, "\u00f6"), ==, NO);
	g_assert_cmpint(ask("\u00d6", false, true, "x\u00f6"), ==, YES);
	g_assert_cmpint(ask("^[[:upper:]]$", false, false, "\u00d6"), ==, YES);
	g_assert_cmpint(ask("^\\w$", false, false, "\u00f6"), ==, YES);
	g_assert_cmpint(ask("^.$", false, false, "\xf6"), ==, YES);
	g_assert_cmpint(ask("\xf6", false, true, "a\xf6"), ==, YES);
	g_assert_cmpint(ask("\xf6", false, false, "\u00f6"), ==, NO);
	g_assert_cmpint(ask("^[^a]$", false, false, "\xff"), ==, YES);
}

/* As in git: of several lines one is enough; behind the last newline is nothing. */
static void test_lines(void)
{
	g_assert_cmpint(ask("a\nb", false, false, "xb"), ==, YES);
	g_assert_cmpint(ask("a\nb", false, false, "xc"), ==, NO);
	g_assert_cmpint(ask("^$", false, false, "a\n"), ==, NO);
	g_assert_cmpint(ask("^$", false, false, "a\n\nb\n"), ==, YES);
	g_assert_cmpint(ask("", false, false, "a\n"), ==, YES);
	g_assert_cmpint(ask("a[^b]b", false, false, "a\nb"), ==, NO);
}

static void test_refused(void)
{
	g_autofree char *deep = g_strnfill(500, '(');
	g_autofree char *undeep = g_strnfill(500, ')');
	g_autofree char *closed = g_strconcat(deep, "a", undeep, NULL);
	g_autofree char *deeper = g_strnfill(30000, '(');
	g_autofree char *many = g_strnfill(1025, 'a');
	g_autofree char *stars = g_strnfill(1000, '*');
	g_autofree char *repeated = g_strconcat("a", stars, NULL);

	g_assert_cmpint(ask(deep, true, false, "a"), ==, BAD);
	g_assert_cmpint(ask(closed, true, false, "a"), ==, BAD);
	closed[501 + 90] = '\0';
	g_assert_cmpint(ask(closed + 410, true, false, "a"), ==, YES);
	g_assert_cmpint(ask(deeper, true, false, "a"), ==, BAD);
	g_assert_cmpint(ask(many, true, false, "a"), ==, BAD);
	g_assert_cmpint(ask(repeated, true, false, "a"), ==, BAD);
	g_assert_cmpint(ask("(((a{1,255}){1,255}){1,100})", true, false, "a"), ==, BAD);
	g_assert_cmpint(ask("\\(\\(a\\{1,255\\}\\)\\{1,255\\}\\)", false, false, "a"), ==, BAD);
	g_assert_cmpint(ask("((((){9999}){9999}){9999}){9999}", true, false, "a"), ==, BAD);
	g_assert_cmpint(ask("((((){9999}){9999}){9999}){0,0}", true, false, "a"), ==, YES);
	g_assert_cmpint(ask("a{32768}", true, false, "a"), ==, BAD);
	g_assert_cmpint(ask("\\(a*\\)\\1", false, false, "a"), ==, BAD);
	g_assert_cmpint(ask("(a*)\\1", true, false, "a"), ==, BAD);
	g_assert_cmpint(ask("a{1,1000}", true, false, "a"), ==, YES);
}

/* What takes glibc gigabytes, or as long as the universe, takes a moment. */
static void test_bounded(void)
{
	static const char *const PATTERNS[] = {"(a|b)*a(a|b){100}c", "(a*)*c", "(a|a)*c",
					       "(.*.*.*.*.*.*)*c"};
	g_autoptr(GRand) source = g_rand_new_with_seed(1);
	g_autofree char *text = g_strnfill(200000, 'a');
	int64_t start = g_get_monotonic_time();

	for (size_t i = 0; i < 200000; i += 1 + g_rand_boolean(source))
		text[i] = 'b';
	for (size_t i = 0; i < G_N_ELEMENTS(PATTERNS); i++)
		g_assert_cmpint(ask(PATTERNS[i], true, false, text), ==, NO);
	g_assert_cmpint(g_get_monotonic_time() - start, <, 120 * G_USEC_PER_SEC);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/command/pattern/random", test_random);
	g_test_add_func("/command/pattern/characters", test_characters);
	g_test_add_func("/command/pattern/lines", test_lines);
	g_test_add_func("/command/pattern/refused", test_refused);
	g_test_add_func("/command/pattern/bounded", test_bounded);
	return g_test_run();
}
