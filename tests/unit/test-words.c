/* SPDX-License-Identifier: Apache-2.0 */

/*
 * words: command lines, quoted, split and parsed; and the pieces of printing that need no store:
 * graphs, patches, spools.
 */

#include "command/command-private.h"

#include <string.h>

/* ---- Command lines ----------------------------------------------------------------------- */

static void assert_split(const char *line, const char *joined_by_bars)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) words = prolly_command_split(line, &error);
	g_assert_no_error(error);
	g_autofree char *joined = g_strjoinv("|", words);
	g_assert_cmpstr(joined, ==, joined_by_bars);
}

static void test_split(void)
{
	assert_split("", "");
	assert_split("  \t ", "");
	assert_split("a b  c ", "a|b|c");
	assert_split("a 'b c' \"d e\"", "a|b c|d e");
	assert_split("a'b'\"c\"d", "abcd");
	assert_split("'' \"\" x", "||x");
	assert_split("a\\ b \\' \\\"", "a b|'|\"");
	assert_split("\"a\\\"b\\\\c\\$d\\e\"", "a\"b\\c$d\\e");
	assert_split("'a\\b'", "a\\b");
	assert_split("a # b", "a");
	assert_split("a#b", "a#b");
	assert_split("$'a\\nb\\x41\\'\\\\'", "a\nbA'\\");
	assert_split("$x *? ~ a;b|c", "$x|*?|~|a;b|c");
}

static void test_split_errors(void)
{
	static const char *const LINES[] = {"'a",      "a \"b",    "a\\",     "$'a",
					    "$'\\x0'", "$'\\x00'", "$'\\q'",  "$'\\",
					    "\"a\\\"", "put \377", "$'\\xg0'"};
	for (size_t i = 0; i < G_N_ELEMENTS(LINES); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(prolly_command_split(LINES[i], &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_USAGE);
	}
}

/* What is joined is UTF-8 without a newline, and splits into the same words, whatever they hold. */
static void test_join(void)
{
	for (int round = 0; round < 5000; round++) {
		char words[3][12];
		const char *list[4] = {words[0], words[1], words[2], NULL};
		bool any = g_test_rand_bit();
		for (int i = 0; i < 3; i++) {
			int len = g_test_rand_int_range(0, 11), n = 0;
			for (; n < len; n++)
				words[i][n] = (char)(any ? g_test_rand_int_range(1, 256)
							 : " '\"\\$#\n\tab-"[g_test_rand_int_range(
								   0, 11)]);
			words[i][n] = 0;
		}
		g_autofree char *line = prolly_command_join(list);
		g_assert_null(strchr(line, '\n'));
		g_autoptr(GError) error = NULL;
		g_auto(GStrv) again = prolly_command_split(line, &error);
		g_assert_no_error(error);
		g_assert_true(g_strv_equal(list, (const char *const *)again));
	}
}

static void assert_words(const char *line, const char *rebuilt, const char *directory)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) words = prolly_command_split(line, &error);
	g_auto(ProllyCommandNeeds) needs = {0};
	g_assert_true(prolly_command_inspect((const char *const *)words, &needs, &error));
	g_autofree char *joined = prolly_command_join((const char *const *)needs.words);
	g_assert_cmpstr(joined, ==, rebuilt);
	g_assert_cmpstr(needs.directory, ==, directory);
}

static void test_options(void)
{
	assert_words("-C x --json log -n 5", "log --json --max-count 5 --", "x");
	assert_words("log -n5 --oneline -Cy main", "log --max-count 5 --oneline main --", "y");
	assert_words("-qC z ls -lr", "ls --quiet -l -r --", "z");
	assert_words("--oneline --max-count=3 log", "log --oneline --max-count 3 --", NULL);
	assert_words("-m 'x y' commit", "commit --message 'x y' --", NULL);
	assert_words("branch -m a b", "branch -m a b --", NULL);
	assert_words("commit -m -C", "commit --message -C --", NULL);
	assert_words("diff a b -- -c d", "diff a b -- -c d", NULL);
	assert_words("put -- -k -v", "put -- -k -v", NULL);
	assert_words("-- get x", "get -- x", NULL);
	assert_words("get - --at=v", "get --at v - --", NULL);
}

static void test_usage(void)
{
	static const struct {
		const char *line, *named;
	} CASES[] = {
		{"", "command"},
		{"frobnicate", "frobnicate"},
		{"tug x", "unknown command 'tug'"},
		{"--frobnicate ls", "--frobnicate"},
		{"ls --frobnicate", "--frobnicate"},
		{"ls -x", "-x"},
		{"ls --json=yes", "--json"},
		{"log -n", "-n"},
		{"log --max-count", "--max-count"},
		{"get", "get"},
		{"get a b", "'b'"},
		{"-C", "-C"},
		{"--at", "--at"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autoptr(GError) error = NULL;
		g_auto(GStrv) words = prolly_command_split(CASES[i].line, NULL);
		g_auto(ProllyCommandNeeds) needs = {0};
		g_assert_false(prolly_command_inspect((const char *const *)words, &needs, &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_USAGE);
		g_assert_nonnull(strstr(error->message, CASES[i].named));
	}
}

static void test_needs(void)
{
	static const struct {
		const char *line;
		bool store, input, identity, pager;
	} CASES[] = {
		{"init x", false, false, false, false},
		{"--help", false, false, false, false},
		{"put --help", false, false, false, false},
		{"--version", false, false, false, false},
		{"put a", true, true, false, false},
		{"put a b", true, false, false, false},
		{"load a", true, true, false, false},
		{"commit -m x", true, false, true, false},
		{"merge x", true, false, true, false},
		{"log", true, false, false, true},
		{"log --no-pager", true, false, false, false},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_auto(GStrv) words = prolly_command_split(CASES[i].line, NULL);
		g_auto(ProllyCommandNeeds) needs = {0};
		g_test_message("%s", CASES[i].line);
		g_assert_true(prolly_command_inspect((const char *const *)words, &needs, NULL));
		g_assert_cmpint(needs.store, ==, CASES[i].store);
		g_assert_cmpint(needs.input, ==, CASES[i].input);
		g_assert_cmpint(needs.identity, ==, CASES[i].identity);
		g_assert_cmpint(needs.pager, ==, CASES[i].pager);
	}
}

/* ---- Graphs ------------------------------------------------------------------------------ */

/* COMMITS: "a:bc" is commit a with parents b and c, newest first. The picture, with the letters. */
static void assert_graph(const char *const *commits, const char *picture)
{
	g_autoptr(ProllyGraph) graph = prolly_graph_new();
	g_autoptr(GString) drawn = g_string_new("\n");

	for (; *commits; commits++) {
		const char *text = *commits;
		g_autoptr(GArray) parents = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
		ProllyCommitId id = {.bytes = {(uint8_t)text[0]}};
		for (const char *parent = text + 2; *parent; parent++) {
			ProllyCommitId parent_id = {.bytes = {(uint8_t)*parent}};
			g_array_append_val(parents, parent_id);
		}
		prolly_graph_push(graph, &id, parents);
		prolly_graph_append_line(graph, drawn);
		g_string_append_printf(drawn, "%c\n", text[0]);
		while (prolly_graph_is_pending(graph)) {
			prolly_graph_append_line(graph, drawn);
			g_strchomp(drawn->str);
			g_string_set_size(drawn, strlen(drawn->str));
			g_string_append_c(drawn, '\n');
		}
	}
	g_assert_cmpstr(drawn->str, ==, picture);
}

static void test_graph(void)
{
	assert_graph((const char *[]){"c:b", "b:a", "a:", NULL}, "\n"
								 "* c\n"
								 "* b\n"
								 "* a\n");
	assert_graph((const char *[]){"d:bc", "c:a", "b:a", "a:", NULL}, "\n"
									 "*  d\n"
									 "|\\\n"
									 "| * c\n"
									 "* | b\n"
									 "|/\n"
									 "* a\n");
	/* Two histories, and one that goes on beside them. */
	assert_graph((const char *[]){"e:d", "z:y", "d:", "y:", NULL}, "\n"
								       "* e\n"
								       "| * z\n"
								       "* | d\n"
								       " /\n"
								       "* y\n");
	/* An edge that crosses a column. */
	assert_graph((const char *[]){"c:a", "d:b", "e:a", "b:a", "a:", NULL}, "\n"
									       "* c\n"
									       "| * d\n"
									       "| | * e\n"
									       "| |/\n"
									       "|/|\n"
									       "| * b\n"
									       "|/\n"
									       "* a\n");
	/* Three parents. */
	assert_graph((const char *[]){"m:abc", "c:r", "b:r", "a:r", "r:", NULL}, "\n"
										 "*    m\n"
										 "|\\\n"
										 "|\\ \\\n"
										 "| | * c\n"
										 "| * | b\n"
										 "| |/\n"
										 "* | a\n"
										 "|/\n"
										 "* r\n");
}

/* ---- Patches and spools ------------------------------------------------------------------ */

static bool append_text(void *data, const void *bytes, size_t len)
{
	g_string_append_len(data, bytes, (gssize)len);
	return true;
}

static void assert_patch(const char *a, const char *b, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GString) output = g_string_new(NULL);
	ProllyStreams streams = {.write = append_text, .data = text};
	ProllyCommand command = {.streams = &streams, .output = output};
	ProllyPatchSide sides[] = {{a, a ? strlen(a) : 0}, {b, b ? strlen(b) : 0}};

	prolly_patch_print(&command, &sides[0], &sides[1], NULL);
	prolly_command_flush(&command);
	g_assert_cmpstr(text->str, ==, expected);
}

static void test_patch(void)
{
	assert_patch("a\n", "a\n", "");
	assert_patch(NULL, "", "");
	assert_patch(NULL, "a", "@@ -0,0 +1 @@\n+a\n");
	assert_patch("a", NULL, "@@ -1 +0,0 @@\n-a\n");
	assert_patch("a", "b", "@@ -1 +1 @@\n-a\n+b\n");
	assert_patch("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
		     "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
	assert_patch("1\n2\n", "1\nnew\n2\n", "@@ -1,2 +1,3 @@\n 1\n+new\n 2\n");
	assert_patch("a\na\n", "a\n", "@@ -1,2 +1 @@\n a\n-a\n");
	assert_patch("a\n", "a", "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of value\n");
}

/* What is read is what was written, in order, whatever the pieces; far over what memory holds. */
static void test_spool(void)
{
	g_autoptr(ProllySpool) spool = prolly_spool_new();
	g_autofree uint8_t *piece = g_malloc(200000);
	uint64_t written = 0, seen = 0;
	size_t len = 0;

	for (int round = 0; round < 400; round++) {
		size_t n = (size_t)g_test_rand_int_range(0, 200000);
		bool writes =
			round < 200 ? g_test_rand_int_range(0, 4) : g_test_rand_int_range(0, 2);
		for (size_t i = 0; writes && i < n; i++)
			piece[i] = (uint8_t)((written + i) * 31 >> 3);
		if (writes) {
			g_assert_true(prolly_spool_write(spool, piece, n, NULL));
			written += n;
			continue;
		}
		g_assert_true(prolly_spool_read(spool, piece, n, &len, NULL));
		g_assert_true(len || !n || seen == written);
		for (size_t i = 0; i < len; i++)
			g_assert_cmpint(piece[i], ==, (uint8_t)((seen + i) * 31 >> 3));
		seen += len;
	}
	do {
		g_assert_true(prolly_spool_read(spool, piece, 200000, &len, NULL));
		seen += len;
	} while (len);
	g_assert_cmpuint(seen, ==, written);
}

/* ---- Tables ------------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/command/words/split", test_split);
	g_test_add_func("/command/words/split-errors", test_split_errors);
	g_test_add_func("/command/words/join", test_join);
	g_test_add_func("/command/words/options", test_options);
	g_test_add_func("/command/words/usage", test_usage);
	g_test_add_func("/command/words/needs", test_needs);
	g_test_add_func("/command/graph", test_graph);
	g_test_add_func("/command/patch", test_patch);
	g_test_add_func("/command/spool", test_spool);
	return g_test_run();
}
