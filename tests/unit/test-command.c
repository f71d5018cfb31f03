/* SPDX-License-Identifier: Apache-2.0 */

/*
 * command: command lines, each command's text, JSON and exit status, on a store in memory and on
 * one on disk, in this process. What a mount adds to them is the end-to-end tests' business.
 */

#include "command-fixture.h"

/* ---- Help ------------------------------------------------------------------------------ */

static void test_help(void)
{
	static const char *const COMMANDS[] = {
		"init",   "put", "get",  "delete", "ls",     "load",  "dump", "status",
		"commit", "log", "show", "diff",   "branch", "merge", "root", "stats"};
	Fixture f = {.out = g_string_new(NULL), .err = g_string_new(NULL)};
	done(&f, "--help");
	g_autofree char *help = g_strdup(f.out->str);
	for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++) {
		g_autofree char *line = g_strconcat("  ", COMMANDS[i], " ", NULL);
		g_autofree char *of_command = g_strconcat(COMMANDS[i], " --help", NULL);
		g_assert_nonnull(strstr(help, line));
		done(&f, of_command);
		g_assert_nonnull(strstr(f.out->str, COMMANDS[i]));
	}
	done(&f, "--version");
	g_assert_cmpstr(f.out->str, ==, "prollyfs-ctl " PROLLYFS_VERSION "\n");
	g_string_free(f.out, TRUE);
	g_string_free(f.err, TRUE);
}

/* ---- Keys -------------------------------------------------------------------------------- */

static void test_put_get_delete(Fixture *f, gconstpointer data)
{
	done(f, "put users/alice Alice");
	expect(f, 0, "Alice", "get users/alice");
	expect(f, 0, "Alice", "get /users/./alice");
	expect(f, 0, "Alice", "get --cwd users alice");
	expect(f, 0, "Alice", "get --cwd users/deep ../alice");
	done(f, "put top level");
	expect(f, 0, "level", "get --cwd users /top");
	expect(f, 0,
	       "{\"namespace\":\"users\",\"key\":\"alice\",\"path\":\"users/alice\","
	       "\"value\":\"Alice\"}\n",
	       "--json get users/alice");
	expect(f, 1, "", "get users/bob");
	g_assert_cmpstr(f->err->str, ==, "prollyfs-ctl: users/bob: no such key\n");
	expect(f, 1, "", "get none/none");
	refused(f, EISDIR, "users", "get users");
	refused(f, EISDIR, "users", "put users x");
	done(f, "put users/carol x");
	refused(f, EISDIR, "users: is a directory", "delete users/carol users");
	expect(f, 0, "x", "get users/carol");
	done(f, "delete users/carol");
	expect(f, 1, "", "delete users/bob users/alice");
	g_assert_nonnull(strstr(f->err->str, "users/bob"));
	expect(f, 1, "", "get users/alice");
	refused(f, EINVAL, "VALUE", "put users/alice");
	refused(f, EINVAL, "..", "get ../x");
	refused(f, EINVAL, "--at", "put --at main users/x y");
}

static void test_put_stream(Fixture *f, gconstpointer data)
{
	size_t len = 5000000;
	g_autofree char *value = g_malloc(len);
	for (size_t i = 0; i < len; i++)
		value[i] = (char)g_test_rand_int_range(0, 256);
	with_input(f, value, len);
	done(f, "put ns/large");
	g_assert_cmpint(run(f, "get ns/large"), ==, 0);
	g_assert_cmpmem(f->out->str, f->out->len, value, len);
	with_text(f, "");
	done(f, "put ns/empty");
	expect(f, 0, "", "get ns/empty");
	with_text(f, "short");
	done(f, "put ns/large");
	expect(f, 0, "short", "get ns/large");
}

/* A key that is a directory too is NAME%prolly-key, and that name means nothing else. */
static void test_key_and_directory(Fixture *f, gconstpointer data)
{
	with_text(f, "a\tkey\na/b\tbelow\n");
	done(f, "load ns");
	refused(f, EISDIR, "ns/a", "get ns/a");
	expect(f, 0, "key", "get ns/a%prolly-key");
	expect(f, 1, "", "get ns/a/b%prolly-key");
	expect(f, 0, "a%prolly-key\na/b\n", "ls -r ns");
	expect(f, 0, "below", "get ns/a/b");
	expect(f, 0, "", "delete ns/a%prolly-key");
	expect(f, 0, "a/b\n", "ls -r ns");
}

static void test_ls(Fixture *f, gconstpointer data)
{
	with_text(f, "a\t1\nb/c\t22\nb/d/e\t333\n");
	done(f, "load ns");
	done(f, "put README x");
	expect(f, 0, "a\nb\n", "ls ns");
	expect(f, 0, "c\nd\n", "ls ns/b/");
	expect(f, 0, "a\nb/c\nb/d/e\n", "ls -r ns");
	expect(f, 0, "c\nd/e\n", "ls -r ns/b");
	expect(f, 0, "ns\nREADME\n", "ls");
	expect(f, 0, "README\nns/a\nns/b/c\nns/b/d/e\n", "ls -r");
	expect(f, 0, "c\nd\n", "ls --cwd ns/b");
	expect(f, 0, "ns/a\n", "ls ns/a");
	expect(f, 1, "", "ls none");
	expect(f, 0,
	       "{\"path\":\"ns/b/c\",\"key\":\"b/c\",\"size\":2}\n"
	       "{\"path\":\"ns/b/d/e\",\"key\":\"b/d/e\",\"size\":3}\n",
	       "--json ls -r ns/b");
	g_assert_cmpint(run(f, "ls -l ns"), ==, 0);
	g_assert_true(g_str_has_prefix(f->out->str, "-rw"));
	g_assert_nonnull(strstr(f->out->str, "\nd"));
}

/* ---- load and dump ----------------------------------------------------------------------- */

static void test_load_tsv(Fixture *f, gconstpointer data)
{
	static const char IN[] = "k\\ty\tv\\n\\\\\\0\\b\\f\\r\\v\nlast\tno newline";
	with_input(f, IN, sizeof IN - 1);
	done(f, "load ns");
	g_assert_cmpint(run(f, "get $'ns/k\\ty'"), ==, 0);
	g_assert_cmpmem(f->out->str, f->out->len, "v\n\\\0\b\f\r\v", 8);
	expect(f, 0, "k\\ty\tv\\n\\\\\\0\\b\\f\\r\\v\nlast\tno newline\n", "dump ns");
	refused(f, EINVAL, "ns/k", "dump ns --format nul");
	refused(f, EINVAL, "excel", "load ns --format excel");
	expect(f, 1, "", "dump none");
}

static void test_load_errors(Fixture *f, gconstpointer data)
{
	static const struct {
		const char *input;
		size_t len;
		const char *format, *named;
	} CASES[] = {
		{"a\t1\nb\t2\nno tab\nd\t4\n", 20, "tsv", "line 3"},
		{"a\t1\nb\t\\x\n", 9, "tsv", "line 2"},
		{"a\t1\nb\t\\", 7, "tsv", "line 2"},
		{"a\t1\n\n", 5, "tsv", "line 2"},
		{"a\0001\0b\0", 6, "nul", "entry 2"},
		{"a\0001\0b", 5, "nul", "entry 2"},
		{"a\0001\0b\0c", 7, "nul", "entry 2"},
		{"{\"key\":\"a\",\"value\":\"1\"}\n\n{\"key\":1}", 34, "jsonl", "line 3"},
		{"{\"key\":\"a\"}", 11, "jsonl", "line 1"},
		{"[]", 2, "jsonl", "line 1"},
		{"nonsense", 8, "jsonl", "line 1"},
		{"{\"key\":\"a\",\"value\":{\"base64\":\"?\"}}", 35, "jsonl", "line 1"},
		{"{\"key\":\"a\",\"key\":\"b\",\"value\":\"\"}", 33, "jsonl", "line 1"},
	};
	done(f, "put ns/old value");
	for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
		g_autofree char *line = g_strconcat("load ns --format ", CASES[i].format, NULL);
		with_input(f, CASES[i].input, CASES[i].len);
		refused(f, EINVAL, CASES[i].named, line);
		expect(f, 0, "old\n", "ls ns");
	}
	g_autoptr(GString) long_key = g_string_new("a\t1\n");
	for (unsigned i = 0; i <= PROLLY_KEY_MAX; i++)
		g_string_append_c(long_key, 'k');
	g_string_append(long_key, "\tv\n");
	with_input(f, long_key->str, long_key->len);
	g_assert_cmpint(run(f, "load ns"), ==, 2);
	g_assert_nonnull(strstr(f->err->str, "line 2"));
	expect(f, 0, "old\n", "ls ns");
}

/* Random entries through every format give the same root, and dump gives what was loaded. */
static void test_load_dump(Fixture *f, gconstpointer data)
{
	static const char BYTES[] = "\t\n\r\\/%AB\b\f\v\xc3\xbc\xff\x01 \"";
	g_autoptr(GString) nul = g_string_new(NULL);
	for (int i = 0; i < 300; i++) {
		g_string_append_printf(nul, "%03d", i);
		for (int part = 0; part < 2; part++) {
			for (int n = g_test_rand_int_range(0, 40); n > 0; n--)
				g_string_append_c(
					nul, BYTES[g_test_rand_int_range(0, sizeof BYTES - 1)]);
			g_string_append_c(nul, 0);
		}
	}
	/* One value over every limit: inline, JSON, the piece that dump reads. */
	g_string_append_len(nul, "large", 6);
	for (int n = 0; n < 300000; n++)
		g_string_append(nul, n % 7 ? "\xc3\xbc" : "\"");
	g_string_append_c(nul, 0);

	with_input(f, nul->str, nul->len);
	done(f, "load a --format nul");
	g_assert_cmpint(run(f, "dump a --format nul"), ==, 0);
	g_assert_cmpmem(f->out->str, f->out->len, nul->str, nul->len);
	g_assert_cmpint(run(f, "root a"), ==, 0);
	g_autofree char *root = g_strdup(f->out->str);

	static const char *const FORMATS[] = {"tsv", "jsonl", "nul"};
	for (size_t i = 0; i < G_N_ELEMENTS(FORMATS); i++) {
		g_autofree char *dump = g_strconcat("dump a --format ", FORMATS[i], NULL);
		g_autofree char *load = g_strdup_printf("load b%zu --format %s", i, FORMATS[i]);
		g_autofree char *of_copy = g_strdup_printf("root b%zu", i);
		g_assert_cmpint(run(f, dump), ==, 0);
		g_autoptr(GString) text = g_string_new_len(f->out->str, (gssize)f->out->len);
		with_input(f, text->str, text->len);
		done(f, load);
		expect(f, 0, root, of_copy);
	}
}

static void test_load_unnamed(Fixture *f, gconstpointer data)
{
	with_text(f, "a/b\t1\nc\t2\n");
	done(f, "load .");
	expect(f, 0, "a%2Fb\nc\n", "ls");
	expect(f, 0, "a/b\t1\nc\t2\n", "dump .");
	expect(f, 0, "{\"namespace\":\"\",\"entries\":2}\n", "--json load .");
}

/* ---- History ----------------------------------------------------------------------------- */

static void test_commit(Fixture *f, gconstpointer data)
{
	expect(f, 1, "", "commit -m none");
	g_assert_cmpstr(f->err->str, ==, "prollyfs-ctl: main: nothing to commit\n");
	refused(f, EINVAL, "-m", "commit");
	refused(f, EINVAL, "empty", "commit -m '  '");
	done(f, "put ns/a 1");
	done(f, "put other/b 2");
	done(f, "commit -m 'Subject' -m $'Body\\nof it\\n\\n'");
	g_assert_true(g_str_has_prefix(f->out->str, "[main "));
	g_assert_nonnull(strstr(f->out->str, "] Subject\n 2 keys changed\n"));
	expect(f, 0, "On branch main\nnothing to commit, nothing is staged\n", "status");
	done(f, "--json log -n 1");
	g_assert_nonnull(strstr(f->out->str, "\"message\":\"Subject\\n\\nBody\\nof it\"}\n"));
	g_assert_nonnull(strstr(f->out->str,
				"\"author\":{\"name\":\"A U Thor\",\"email\":"
				"\"author@example.org\"},\"date\":\"2026-01-02T03:04:05"
				"+01:00\",\"committed\":\"2026-01-02T03:04:05+01:00\""));
	done(f, "--json commit --allow-empty -m empty --env GIT_AUTHOR_NAME=Other");
	g_assert_nonnull(strstr(f->out->str, "\"branch\":\"main\",\"changes\":0}"));
	done(f, "log -n 1");
	g_assert_nonnull(strstr(f->out->str,
				"\nAuthor: Other <author@example.org>\n"
				"Date:   Fri Jan 2 03:04:05 2026 +0100\n\n    empty\n"));
	refused(f, EINVAL, "PATH", "commit --env PATH=/x -m x");
}

static void test_status(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "put ns/k1 other");
	done(f, "delete ns/k2");
	done(f, "put ns/k4 new");
	expect(f, 0,
	       "On branch main\n"
	       "Changes staged for the next commit:\n"
	       "\tmodified:  ns/k1\n"
	       "\tdeleted:   ns/k2\n"
	       "\tadded:     ns/k4\n",
	       "status");
	done(f, "--json status");
	g_assert_true(g_str_has_prefix(f->out->str, "{\"branch\":\"main\",\"head\":\""));
	g_assert_true(g_str_has_suffix(
		f->out->str,
		",\"changes\":["
		"{\"namespace\":\"ns\",\"key\":\"k1\",\"path\":\"ns/"
		"k1\",\"operation\":\"modified\"},"
		"{\"namespace\":\"ns\",\"key\":\"k2\",\"path\":\"ns/"
		"k2\",\"operation\":\"deleted\"},"
		"{\"namespace\":\"ns\",\"key\":\"k4\",\"path\":\"ns/k4\",\"operation\":\"added\"}"
		"]}\n"));
	refused(f, EINVAL, "--at", "status --at main");
	refused(f, ENOENT, "nothing", "-b nothing status");
}

static void test_log(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "log --oneline");
	g_auto(GStrv) lines = g_strsplit(f->out->str, "\n", -1);
	g_assert_cmpuint(g_strv_length(lines), ==, 4);
	g_assert_true(g_str_has_suffix(lines[0], " ours"));
	g_assert_true(g_str_has_suffix(lines[1], " base"));
	done(f, "log --oneline --all");
	g_assert_nonnull(strstr(f->out->str, " theirs\n"));
	done(f, "log --oneline side -n 1");
	g_assert_true(g_str_has_suffix(f->out->str, " theirs\n"));
	done(f, "log --oneline --at side -n 1");
	g_assert_true(g_str_has_suffix(f->out->str, " theirs\n"));
	done(f, "log --oneline --key ns/k2");
	g_auto(GStrv) of_key = g_strsplit(f->out->str, "\n", -1);
	g_assert_cmpuint(g_strv_length(of_key), ==, 3);
	done(f, "log --oneline --key ns/k3");
	g_assert_true(g_str_has_suffix(f->out->str, " base\n"));
	expect(f, 0, "", "log --oneline --key ns/none");
	expect(f, 0, "", "log -n 0");
	refused(f, EINVAL, "many", "log -n many");
	refused(f, ENOENT, "nothing", "log nothing");
	/* A terminal sees branches behind the ids; scripts do not. */
	done(f, "log --oneline --terminal --color never -n 1 side");
	g_assert_nonnull(strstr(f->out->str, " (side) theirs\n"));
	done(f, "log --oneline --terminal -n 1");
	g_assert_true(g_str_has_prefix(f->out->str, "\033[33m"));
}

static void test_revisions(Fixture *f, gconstpointer data)
{
	make_history(f);
	expect(f, 0, "two", "--at main~1 get ns/k2");
	expect(f, 0, "two", "--at HEAD^ get ns/k2");
	expect(f, 0, "two", "--at @~1 get ns/k2");
	expect(f, 0, "ours", "--at HEAD get ns/k2");
	expect(f, 0, "theirs", "-b side --at @ get ns/k1");
	expect(f, 0, "two", "--at '@{1}' get ns/k2");
	refused(f, ENOENT, "nothing", "--at nothing ls");
	expect(f, 1, "", "--at main~2 get ns/k2");
}

/* What two paths both select is told once. */
static void test_diff_paths(Fixture *f, gconstpointer data)
{
	done(f, "put a/k 1");
	done(f, "put a/d/x 1");
	done(f, "put ab/k 1");
	expect(f, 0, "A\ta/k\nA\ta/d/x\n", "diff --name-status -- a/k a/d a/d/x a/k");
	expect(f, 0, "A\ta/d/x\nA\ta/k\n", "diff --name-status -- a/k a");
	expect(f, 0, "A\ta/d/x\nA\ta/k\nA\tab/k\n", "diff --name-status -- a ab a/k");
	expect(f, 0, "A\ta/d/x\nA\ta/k\nA\tab/k\n", "diff --name-status -- a/k .");
	done(f, "diff --stat -- a/k ab a/k");
	g_assert_nonnull(strstr(f->out->str, "\n 2 keys changed,"));
	g_assert_null(strstr(f->out->str, "1 key changed"));
	expect(f, 0, "Updated 2 keys from HEAD\n", "restore a/k a");
	expect(f, 0, "A\tab/k\n", "diff --name-status");
}

/* The lines of JSON are its bytes: no digit is lost, nor how a string is escaped. */
static void test_diff_json(Fixture *f, gconstpointer data)
{
	with_text(f, "{ \"n\":1,\"id\":0.12345678901234567890, \"s\":\"\\u0061\\\"{\",\"e\":[ ],\n"
		     "\"big\":123456789012345678901,\"o\":{ } ,\"l\":[-1E+2,{\"t\":true}]}");
	done(f, "put ns/json");
	done(f, "-q commit -m one");
	with_text(f, "{\"n\":2,\"id\":0.12345678901234567899,\"s\":\"a\\\"{\",\"e\":[],"
		     "\"big\":123456789012345678902,\"o\":{},\"l\":[-1e+2,{\"t\":true}]}");
	done(f, "put ns/json");
	done(f, "diff");
	g_assert_nonnull(strstr(f->out->str, "@@ -1,12 +1,12 @@\n"
					     " {\n"
					     "-  \"n\": 1,\n"
					     "-  \"id\": 0.12345678901234567890,\n"
					     "-  \"s\": \"\\u0061\\\"{\",\n"
					     "+  \"n\": 2,\n"
					     "+  \"id\": 0.12345678901234567899,\n"
					     "+  \"s\": \"a\\\"{\",\n"
					     "   \"e\": [],\n"
					     "-  \"big\": 123456789012345678901,\n"
					     "+  \"big\": 123456789012345678902,\n"
					     "   \"o\": {},\n"
					     "   \"l\": [\n"
					     "-    -1E+2,\n"
					     "+    -1e+2,\n"
					     "     {\n"
					     "       \"t\": true\n"
					     "     }\n"));
}

static void test_reset_of_nothing(Fixture *f, gconstpointer data)
{
	make_history(f);
	refused(f, ENOENT, "nosuch: unknown revision, and no such key", "reset nosuch");
	refused(f, ENOENT, "main~9", "reset main~9 ns/k1");
	expect(f, 1, "", "reset -- nosuch");
	expect(f, 1, "", "reset main nosuch");
	expect(f, 1, "", "restore nosuch");
	expect(f, 0, "Updated 0 keys from HEAD\n", "reset ns/k1");
}

static void test_show(Fixture *f, gconstpointer data)
{
	static const char *const TAG_NAMES[] = {"v1", "tags/v1", "refs/tags/v1"};

	make_history(f);
	done(f, "show");
	g_assert_true(g_str_has_prefix(f->out->str, "commit "));
	g_assert_true(g_str_has_suffix(f->out->str, "    ours\n\n"
						    "diff a/ns/k2 b/ns/k2\n"
						    "--- a/ns/k2\n"
						    "+++ b/ns/k2\n"
						    "@@ -1 +1 @@\n"
						    "-two\n"
						    "+ours\n"));
	done(f, "--json show side");
	g_assert_true(g_str_has_suffix(
		f->out->str, "\n{\"namespace\":\"ns\",\"key\":\"k1\",\"path\":\"ns/k1\","
			     "\"operation\":\"modified\",\"old\":\"one\",\"new\":\"theirs\"}\n"));
	done(f, "show main~2"); /* the initial commit */
	done(f, "tag -m annotated v1");
	for (size_t i = 0; i < G_N_ELEMENTS(TAG_NAMES); i++) {
		g_autofree char *line = g_strconcat("show ", TAG_NAMES[i], NULL);

		done(f, line);
		g_assert_true(g_str_has_prefix(f->out->str, "tag v1\nTagger: C O Mitter"));
		g_assert_nonnull(strstr(f->out->str, "\nannotated\n\ncommit "));
	}
}

static void test_diff(Fixture *f, gconstpointer data)
{
	make_history(f);
	expect(f, 0, "", "diff");
	expect(f, 0, "M\tns/k1\nM\tns/k2\n", "diff --name-status main side");
	expect(f, 0, "M\tns/k1\n", "diff --name-status main side -- ns/k1");
	expect(f, 0, "M\tns/k1\n", "diff --name-status main side --cwd ns -- k1 k3");
	expect(f, 0, "M\tns/k1\nM\tns/k2\n", "diff --name-status main side -- ns");
	expect(f, 0, "", "diff main side -- other");
	expect(f, 1, "M\tns/k1\nM\tns/k2\n", "diff --exit-code --name-status main side");
	expect(f, 0, "", "diff --exit-code main main");
	done(f, "put ns/k3 $'three\\n'");
	done(f, "put ns/new $'a\\nb\\n'");
	expect(f, 0,
	       " ns/k3  | 2 +-\n"
	       " ns/new | 2 ++\n"
	       " 2 keys changed, 3 lines added, 1 removed\n",
	       "diff --stat");
	expect(f, 0,
	       "diff a/ns/k3 b/ns/k3\n--- a/ns/k3\n+++ b/ns/k3\n@@ -1 +1 @@\n"
	       "-three\n\\ No newline at end of value\n+three\n",
	       "diff -- ns/k3");
	expect(f, 0,
	       "diff a/ns/new b/ns/new\nnew file\n--- /dev/null\n+++ b/ns/new\n@@ -0,0 +1,2 @@\n"
	       "+a\n+b\n",
	       "diff -- ns/new");
	expect(f, 0, "M\tns/k1\nM\tns/k2\nM\tns/k3\nA\tns/new\n", "diff --name-status side");
	refused(f, ENOENT, "nothing", "diff nothing");
	refused(f, EINVAL, "'c'", "diff a b c");
}

static void test_diff_values(Fixture *f, gconstpointer data)
{
	g_autofree char *large = g_strnfill(PROLLY_JSON_VALUE_MAX + 1, 'x');
	done(f, "put ns/bin $'\\x01\\x02'");
	with_input(f, large, strlen(large));
	done(f, "put ns/large");
	expect(f, 0, "diff a/ns/bin b/ns/bin\nnew file\nBinary value of 2 bytes\n",
	       "diff -- ns/bin");
	expect(f, 0, "diff a/ns/large b/ns/large\nnew file\nBinary value of 65537 bytes\n",
	       "diff -- ns/large");
	done(f, "--json diff -- ns/large");
	g_assert_nonnull(strstr(f->out->str, "\"new\":{\"size\":65537,\"hash\":\""));
	expect(f, 0,
	       "{\"namespace\":\"ns\",\"key\":\"bin\",\"path\":\"ns/bin\",\"operation\":\"added\","
	       "\"new\":{\"base64\":\"AQI=\"}}\n",
	       "--json diff -- ns/bin");
	done(f, "-q commit -m x");
	done(f, "put ns/bin $'\\x01'");
	expect(f, 0, "diff a/ns/bin b/ns/bin\nBinary values differ: 2 and 1 bytes\n", "diff");
	expect(f, 0, " ns/bin | Bin 2 -> 1 bytes\n 1 key changed, 0 lines added, 0 removed\n",
	       "diff --stat");
}

/* ---- Branches and merges ----------------------------------------------------------------- */

static void test_branch(Fixture *f, gconstpointer data)
{
	make_history(f);
	expect(f, 0, "* main\n  side\n", "branch");
	expect(f, 0, "  main\n* side\n", "branch -b side");
	done(f, "branch back main~1");
	expect(f, 0, "two", "-b back get ns/k2");
	refused(f, EEXIST, "back", "branch back");
	refused(f, EINVAL, "a..b", "branch a..b");
	done(f, "branch -m back then");
	expect(f, 0, "* main\n  side\n  then\n", "branch");
	done(f, "branch -d then");
	g_assert_true(g_str_has_prefix(f->out->str, "Deleted branch then (was "));
	refused(f, ENOENT, "then", "branch -d then");
	refused(f, ENOTEMPTY, "side", "branch -d side");
	done(f, "-q branch -D side");
	g_assert_cmpstr(f->out->str, ==, "");
	refused(f, EBUSY, "main", "branch -D main");
	refused(f, EINVAL, "NAME", "branch -d");
	done(f, "--json branch");
	g_assert_true(g_str_has_prefix(f->out->str, "{\"name\":\"main\",\"commit\":\""));
	g_assert_true(g_str_has_suffix(f->out->str, "\",\"current\":true}\n"));
}

/* ---- The store --------------------------------------------------------------------------- */

static void test_root_stats(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "root ns");
	g_autofree char *root = g_strdup(f->out->str);
	g_assert_cmpuint(strlen(root), ==, 65);
	expect(f, 0, root, "root ns --at main");
	done(f, "put ns/k1 other");
	g_assert_cmpint(run(f, "root ns"), ==, 0);
	g_assert_cmpstr(f->out->str, !=, root);
	done(f, "put ns/k1 one");
	expect(f, 0, root, "root ns");
	done(f, "--json root ns");
	g_assert_true(g_str_has_prefix(f->out->str, "{\"namespace\":\"ns\",\"root\":\""));
	g_assert_nonnull(strstr(f->out->str, "\",\"keys\":3,\"bytes\":18}\n"));
	done(f, "--json root");
	g_assert_true(g_str_has_prefix(f->out->str, "{\"namespace\":null,\"root\":\""));
	expect(f, 1, "", "root none");
	done(f, "--json stats");
	g_assert_nonnull(strstr(f->out->str, "\"backend\":"));
	g_assert_nonnull(
		strstr(f->out->str, "\"namespaces\":[{\"name\":\"ns\",\"keys\":3,\"bytes\":18,"));
	done(f, "stats");
	g_assert_nonnull(strstr(f->out->str, "cache hits"));
	refused(f, EPERM, "init", "init x");
}

static void test_init(void)
{
	g_autofree char *dir = g_dir_make_tmp("prollyfs-test-XXXXXX", NULL);
	g_autofree char *line = g_strdup_printf("init --branch trunk %s/store", dir);
	g_autofree char *spec = g_strdup_printf("%s/store", dir);
	ProllyRepoOptions options = {0};
	g_autoptr(GError) error = NULL;
	Fixture f = {.out = g_string_new(NULL), .err = g_string_new(NULL)};

	done(&f, line);
	g_assert_nonnull(strstr(f.out->str, spec));
	refused(&f, EEXIST, spec, line);
	prolly_repo_open(spec, &options, &f.repo, &error);
	g_assert_no_error(error);
	expect(&f, 0, "* trunk\n", "branch");
	prolly_repo_free(f.repo);
	remove_tree(dir);
	g_string_free(f.out, TRUE);
	g_string_free(f.err, TRUE);
}

static void test_work(Fixture *f, gconstpointer data)
{
	static const char *const FIGURES[] = {
		"{\"nodes_read\":",    ",\"nodes_written\":", ",\"bytes_read\":",
		",\"bytes_written\":", ",\"nodes_hashed\":",  ",\"chunks_written\":"};
	make_history(f);
	g_assert_cmpint(run(f, "--work get ns/k1"), ==, 0);
	g_assert_cmpstr(f->out->str, ==, "one");
	for (size_t i = 0; i < G_N_ELEMENTS(FIGURES); i++)
		g_assert_nonnull(strstr(f->err->str, FIGURES[i]));
	g_assert_nonnull(strstr(f->err->str, "\"nodes_written\":0,"));
	/* After an error's line, too. */
	g_assert_cmpint(run(f, "--work get ns/none"), ==, 1);
	g_assert_true(g_str_has_suffix(f->err->str, "}\n"));
}

/* Bound to a branch: it alone can be changed, others can be read and merged. */
static void test_confined(Fixture *f, gconstpointer data)
{
	make_history(f);
	f->caller.branch = "side";
	f->caller.confined = true;
	expect(f, 0, "theirs", "get ns/k1");
	done(f, "-b side put ns/mine x");
	done(f, "-q commit -m mine");
	expect(f, 0, "one", "--at main get ns/k1");
	done(f, "log main");
	done(f, "branch");
	refused(f, EPERM, "main", "-b main put ns/k1 x");
	refused(f, EPERM, "main", "-b main commit -m x");
	refused(f, EPERM, "new", "branch new");
	refused(f, EPERM, "main", "branch -D main");
	refused(f, EPERM, "main", "branch -m main x");
	done(f, "-q merge main");
	expect(f, 0, "ours", "get ns/k2");
}

/* On a read-only mount everything can be read, nothing changed. */
static void test_read_only(Fixture *f, gconstpointer data)
{
	static const char *const CHANGES[] = {
		"put ns/k1 x",
		"delete ns/k1",
		"load ns",
		"restore ns/k1",
		"reset --hard HEAD~1",
		"reset ns/k1",
		"commit -m x --allow-empty",
		"merge side",
		"merge --continue",
		"merge --abort",
		"revert HEAD",
		"cherry-pick side",
		"resolve --all",
		"branch new",
		"branch -f side main",
		"branch -D side",
		"branch -m side x",
		"tag new",
		"tag -d v1",
		"gc",
		"fsck --repair",
	};
	make_history(f);
	done(f, "tag v1");
	f->caller.read_only = true;
	for (size_t i = 0; i < G_N_ELEMENTS(CHANGES); i++)
		refused(f, EROFS, "read-only", CHANGES[i]);
	expect(f, 0, "one", "get ns/k1");
	done(f, "status");
	done(f, "branch");
	expect(f, 0, "M\tns/k1\nM\tns/k2\n", "diff --name-status main side");
}

/* What one pattern may cost all of a command's may. */
static void test_patterns_together(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "log -E --grep '((abc){100}){12}'");
	refused(f, EINVAL, "too often",
		"log -E --grep '((abc){100}){12}' --grep '((abc){100}){12}'");
	refused(f, EINVAL, "too often",
		"log -E --grep '((abc){100}){12}' --author '((abc){100}){12}'");
}

static void test_capture(Fixture *f, gconstpointer data)
{
	static const char *const LOG[] = {"log", "--oneline", NULL};
	static const char *const BAD[] = {"log", "nothing", NULL};
	GString *text = NULL;
	g_autoptr(GError) error = NULL;

	make_history(f);
	done(f, "log --oneline");
	g_assert_true(prolly_command_capture(f->repo, &f->caller, LOG, &text, &error));
	g_assert_cmpstr(text->str, ==, f->out->str);
	g_string_free(text, TRUE);
	g_assert_false(prolly_command_capture(f->repo, &f->caller, BAD, &text, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NOT_FOUND);
}

/* ---- Tables ------------------------------------------------------------------------------ */

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/command/help", test_help);
	g_test_add_func("/command/init", test_init);
	add_to("/command/", "put-get-delete", test_put_get_delete);
	add_to("/command/", "put-stream", test_put_stream);
	add_to("/command/", "key-and-directory", test_key_and_directory);
	add_to("/command/", "ls", test_ls);
	add_to("/command/", "load-tsv", test_load_tsv);
	add_to("/command/", "load-errors", test_load_errors);
	add_to("/command/", "load-dump", test_load_dump);
	add_to("/command/", "load-unnamed", test_load_unnamed);
	add_to("/command/", "commit", test_commit);
	add_to("/command/", "status", test_status);
	add_to("/command/", "log", test_log);
	add_to("/command/log/", "patterns-together", test_patterns_together);
	add_to("/command/", "revisions", test_revisions);
	add_to("/command/", "reset-of-nothing", test_reset_of_nothing);
	add_to("/command/", "show", test_show);
	add_to("/command/", "diff-json", test_diff_json);
	add_to("/command/", "diff-paths", test_diff_paths);
	add_to("/command/", "diff", test_diff);
	add_to("/command/", "diff-values", test_diff_values);
	add_to("/command/", "branch", test_branch);
	add_to("/command/", "root-stats", test_root_stats);
	add_to("/command/", "work", test_work);
	add_to("/command/", "confined", test_confined);
	add_to("/command/", "read-only", test_read_only);
	add_to("/command/", "capture", test_capture);
	return g_test_run();
}
