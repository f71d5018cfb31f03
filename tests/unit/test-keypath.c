/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keypath: every key one path, every path at most one key.
 *
 * Examples pin the grammar; enumerations take every sequence of few tokens that mean something to
 * it, as a name and as a component. Whole directories have test-keypath-model.c.
 */
#include "keypath-model.h"

/* ---- Examples ---------------------------------------------------------------------------- */

typedef struct {
	const char *ns;
	const char *key;
	size_t key_len;
	bool also_directory;
	const char *path;
} Example;

static const Example examples[] = {
	{"users", BYTES("alice"), false, "users/alice"},
	{"users", BYTES("u/42"), false, "users/u/42"},
	{"users", BYTES("u"), true, "users/u%prolly-key"},
	{"users", BYTES(""), false, "users/%empty"},
	{"users", BYTES("/"), false, "users/%empty/%empty"},
	{"users", BYTES("a//b"), false, "users/a/%empty/b"},
	{"users", BYTES("a/"), false, "users/a/%empty"},
	{"users", BYTES(""), true, "users/%empty%prolly-key"},
	{"users", BYTES("."), false, "users/%2E"},
	{"users", BYTES("../x"), false, "users/%2E%2E/x"},
	{"users", BYTES("..."), false, "users/..."},
	{"users", BYTES("a\0b"), false, "users/a%00b"},
	{"users", BYTES(".prollyfs"), false, "users/.prollyfs"},
	{"users", BYTES("%.prollyfs"), false, "users/%.prollyfs"},
	{"users", BYTES("100%"), false, "users/100%"},
	{"users", BYTES("%41"), false, "users/%41"},
	{"users", BYTES("%2F"), false, "users/%2F"},
	{"users", BYTES("%00"), false, "users/%2500"},
	{"users", BYTES("%2500"), false, "users/%252500"},
	{"users", BYTES("%25"), false, "users/%25"},
	{"users", BYTES("%empty"), false, "users/%25empty"},
	{"users", BYTES("x%empty"), false, "users/x%empty"},
	{"users", BYTES("%2E"), false, "users/%252E"},
	{"users", BYTES("%2E%2E"), false, "users/%252E%2E"},
	{"users", BYTES("%2E%252E"), false, "users/%2E%252E"},
	{"users", BYTES("x%prolly-key"), false, "users/x%25prolly-key"},
	{"users", BYTES("x%prolly-key"), true, "users/x%25prolly-key%prolly-key"},
	{"users", BYTES("%prolly-more"), false, "users/%25prolly-more"},
	{"users", BYTES("x%prolly-keys"), false, "users/x%prolly-keys"},
	{"", BYTES("file"), false, "file"},
	{"", BYTES("a/b"), false, "a%2Fb"},
	{"", BYTES("%2F"), false, "%252F"},
	{"", BYTES(".prollyfs"), false, "%.prollyfs"},
	{"", BYTES("%.prollyfs"), false, "%25.prollyfs"},
	{"", BYTES("users"), true, "users%prolly-key"},
	{"", BYTES(""), false, "%empty"},
	{".prollyfs", BYTES("k"), false, "%.prollyfs/k"},
	{"..", BYTES("k"), false, "%2E%2E/k"},
	{"%00", BYTES("k"), false, "%00/k"},
};

static void test_examples(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(examples); i++) {
		const Example *e = &examples[i];
		g_autofree char *path =
			prolly_path_from_key(e->ns, e->key, e->key_len, e->also_directory);

		g_assert_cmpstr(path, ==, e->path);
		assert_path_is(path, e->ns, e->key, e->key_len);
	}
}

/* ---- Paths that are not just the inverse ------------------------------------------------- */

static void assert_path_fails(const char *path, ProllyErrorCode code)
{
	g_auto(ProllyPath) parsed = {0};
	g_autoptr(GError) error = NULL;

	g_assert_false(prolly_path_parse(path, &parsed, &error));
	g_assert_error(error, PROLLY_ERROR, (int)code);
	g_assert_null(parsed.key);
	g_assert_null(parsed.prefix);
}

static void assert_directory(const char *path, const char *ns, const char *prefix, bool also_key)
{
	g_auto(ProllyPath) parsed = {0};
	g_autoptr(GError) error = NULL;
	size_t len;

	prolly_path_parse(path, &parsed, &error);
	g_assert_no_error(error);
	g_assert_nonnull(parsed.prefix);
	g_assert_cmpstr(parsed.dir_namespace, ==, ns);
	const void *data = g_bytes_get_data(parsed.prefix, &len);

	g_assert_cmpmem(data, len, prefix, strlen(prefix));
	g_assert_cmpint(parsed.key != NULL, ==, also_key);
}

static void test_parse(void)
{
	g_autofree char *long_name = g_strnfill(256, 'n');
	g_autofree char *long_key = g_strnfill(PROLLY_KEY_MAX, '/');

	assert_directory("", "", "", false);
	assert_directory(".", "", "", false);
	assert_directory("./", "", "", false);
	assert_directory("users/..", "", "", false);
	assert_directory("users", "users", "", true);
	assert_directory("users/", "users", "", false);
	assert_directory("users/.", "users", "", false);
	assert_directory("./users//a/./b/../c", "users", "a/c/", true);
	assert_directory("/users/a/", "users", "a/", false);
	assert_directory("users/%empty", "users", "/", true);
	assert_path_is("users/a/../b", "users", "b", 1);
	assert_path_is("./file", "", "file", 4);
	assert_path_fails("..", PROLLY_ERROR_INVALID);
	assert_path_fails("a/../../b", PROLLY_ERROR_INVALID);
	assert_path_fails(".prollyfs/x", PROLLY_ERROR_INVALID);
	assert_path_fails("a%prolly-key/x", PROLLY_ERROR_INVALID);
	assert_path_fails("users/%prolly-key", PROLLY_ERROR_INVALID);
	assert_path_fails("users/%prolly-more", PROLLY_ERROR_INVALID);
	assert_path_fails("users/x%prolly-more/y", PROLLY_ERROR_INVALID);
	assert_path_fails("users/x%prolly-key%prolly-key", PROLLY_ERROR_INVALID);
	assert_path_fails("users/.%prolly-key", PROLLY_ERROR_INVALID);
	assert_path_fails(long_name, PROLLY_ERROR_NAME_TOO_LONG);

	g_autoptr(GString) deep = g_string_new("users");

	for (size_t i = 0; i < PROLLY_KEY_MAX; i++)
		g_string_append(deep, "/b");
	assert_path_fails(deep->str, PROLLY_ERROR_NAME_TOO_LONG);
}

static void test_namespaces(void)
{
	static const struct {
		const char *name, *file;
	} files[] = {
		{"", "ns-"},
		{"users", "ns-users"},
		{".git", "ns-%2Egit"},
		{"a b%_-9", "ns-a%20b%25_-9"},
		{"\xc3\xa9", "ns-%C3%A9"},
	};
	static const char *const bad[] = {"",      "users", "ns-a.b", "ns-%2e",   "ns-%61",
					  "ns-%2", "ns-%",  "ns-%00", "ns-a%2Fb", "ns-%GG"};
	char name[PROLLY_NAMESPACE_MAX + 1];
	g_autofree char *long_name = g_strnfill(256, 'n');
	g_autofree char *longest = g_strnfill(255, 'n');
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *file = prolly_keypath_namespace_to_file(files[i].name);

		g_assert_cmpstr(file, ==, files[i].file);
		g_assert_true(prolly_keypath_namespace_from_file(file, name));
		g_assert_cmpstr(name, ==, files[i].name);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(prolly_keypath_namespace_from_file(bad[i], name));
	g_assert_true(prolly_keypath_check_namespace("", NULL));
	g_assert_true(prolly_keypath_check_namespace(longest, NULL));
	g_assert_false(prolly_keypath_check_namespace("a/b", &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_clear_error(&error);
	g_assert_false(prolly_keypath_check_namespace(long_name, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NAME_TOO_LONG);
}

static void test_create(void)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	g_autofree char *piece = g_strnfill(241, 'p');
	const ProllyKeyDir more = {PROLLY_KEYDIR_MORE, (const uint8_t *)piece, 241};
	const ProllyKeyDir long_names = {.kind = PROLLY_KEYDIR_LONG};
	g_autofree char *name = g_strnfill(256, 'n');
	static const char *const reserved[] = {"%prolly-key", "a%prolly-key", "%prolly-more",
					       "a%prolly-more"};
	g_autoptr(GError) error = NULL;
	ProllyKeyName found;

	for (size_t i = 0; i < G_N_ELEMENTS(reserved); i++) {
		g_assert_false(prolly_keypath_create(&KEYS, reserved[i], strlen(reserved[i]), bytes,
						     &found, &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
		g_clear_error(&error);
		g_assert_false(prolly_keypath_create(&BRANCH, reserved[i], strlen(reserved[i]),
						     bytes, &found, &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
		g_clear_error(&error);
	}
	g_assert_false(prolly_keypath_create(&KEYS, name, 256, bytes, &found, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NAME_TOO_LONG);
	g_clear_error(&error);
	g_assert_true(prolly_keypath_create(&KEYS, name, 255, bytes, &found, &error));
	g_assert_false(prolly_keypath_create(&more, name, 255, bytes, &found, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_clear_error(&error);
	g_assert_false(prolly_keypath_create(&long_names, name, 255, bytes, &found, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_clear_error(&error);

	g_autofree uint8_t *prefix = g_malloc(PROLLY_KEY_MAX);

	memset(prefix, '/', PROLLY_KEY_MAX);
	const ProllyKeyDir deep = {PROLLY_KEYDIR_KEYS, prefix, PROLLY_KEY_MAX - 3};

	g_assert_true(prolly_keypath_create(&deep, "abc", 3, bytes, &found, &error));
	g_assert_false(prolly_keypath_create(&deep, "abcd", 4, bytes, &found, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NAME_TOO_LONG);
	g_assert_true(prolly_keypath_create(&BRANCH, "%00", 3, bytes, &found, NULL));
	g_assert_cmpmem(bytes->data, found.key_len, "\0", 1);
	g_assert_cmpstr(found.namespace_name, ==, "%00");
}

static void test_prefix_end(void)
{
	g_autoptr(GByteArray) end = g_byte_array_new();

	g_assert_true(prolly_keypath_get_prefix_end("a/", 2, end));
	g_assert_cmpmem(end->data, end->len, "a0", 2);
	g_assert_true(prolly_keypath_get_prefix_end("a\xff\xff", 3, end));
	g_assert_cmpmem(end->data, end->len, "b", 1);
	g_assert_false(prolly_keypath_get_prefix_end("\xff\xff", 2, end));
	g_assert_false(prolly_keypath_get_prefix_end("", 0, end));
}

/* ---- Enumerations ------------------------------------------------------------------------ */

/* Sequence number N of DEPTH tokens of the first COUNT. */
static void make_sequence(size_t n, unsigned depth, size_t count, GByteArray *out)
{
	g_byte_array_set_size(out, 0);
	for (; depth > 0; depth--, n /= count)
		g_byte_array_append(out, (const guint8 *)tokens[n % count].text,
				    (guint)tokens[n % count].len);
}

static bool ends_with(const GByteArray *bytes, const char *suffix)
{
	size_t len = strlen(suffix);

	return bytes->len >= len && memcmp(bytes->data + bytes->len - len, suffix, len) == 0;
}

/* A legal name means one key, whose name is that name; what is not legal is refused. */
static void check_name(const ProllyKeyDir *dir, const GByteArray *name, GByteArray *bytes)
{
	bool reserved = ends_with(name, "%prolly-key") || ends_with(name, "%prolly-more");
	bool is_dots = (name->len == 1 && ends_with(name, ".")) ||
		       (name->len == 2 && ends_with(name, ".."));
	bool taken =
		dir->kind == PROLLY_KEYDIR_BRANCH && name->len == 9 && ends_with(name, ".prollyfs");
	bool legal = name->len > 0 && !reserved && !is_dots && !taken;
	g_autoptr(GError) error = NULL;
	ProllyKeyName found;
	ProllyKeyEntry entry;

	g_assert_cmpint(prolly_keypath_create(dir, (const char *)name->data, name->len, bytes,
					      &found, &error),
			==, legal);
	if (!legal) {
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
		return;
	}
	prolly_keypath_get_entry(dir, bytes->data, found.key_len, false, &entry);
	g_assert_cmpint(entry.type, ==, PROLLY_ENTRY_KEY);
	g_assert_cmpmem(entry.name, entry.name_len, name->data, name->len);
	if (dir->kind == PROLLY_KEYDIR_BRANCH) {
		char of_namespace[PROLLY_NAME_MAX + 1];
		char rival[PROLLY_NAMESPACE_MAX + 1];

		g_assert_cmpint(found.namespace_name[0], !=, 0);
		prolly_keypath_namespace_to_name(found.namespace_name, of_namespace);
		g_assert_cmpmem(of_namespace, strlen(of_namespace), name->data, name->len);
		g_assert_true(
			prolly_keypath_get_rival_namespace(bytes->data, found.key_len, rival));
		g_assert_cmpstr(rival, ==, found.namespace_name);
	}
}

static void test_every_name(void)
{
	g_autoptr(GByteArray) name = g_byte_array_new();
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	for (unsigned depth = 0, count = 1; depth <= 5; depth++, count *= N_NAME_TOKENS) {
		for (size_t n = 0; n < count; n++) {
			make_sequence(n, depth, N_NAME_TOKENS, name);
			check_name(&KEYS, name, bytes);
			check_name(&BRANCH, name, bytes);
		}
	}
}

/* A key has one path, in which no component is what a directory entry cannot be. */
static void check_key(const char *ns, const GByteArray *key, bool also_directory)
{
	g_autofree char *path = prolly_path_from_key(ns, key->data, key->len, also_directory);
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);

	assert_path_is(path, ns, key->data, key->len);
	for (char **part = parts; *part; part++) {
		g_assert_cmpuint(strlen(*part), >, 0);
		g_assert_cmpuint(strlen(*part), <=, PROLLY_NAME_MAX);
		g_assert_cmpstr(*part, !=, ".");
		g_assert_cmpstr(*part, !=, "..");
	}
	g_assert_cmpstr(parts[0], !=, ".prollyfs");
}

static void test_every_key(void)
{
	g_autoptr(GByteArray) key = g_byte_array_new();

	for (unsigned depth = 0, count = 1; depth <= 4; depth++, count *= N_TOKENS) {
		for (size_t n = 0; n < count; n++) {
			make_sequence(n, depth, N_TOKENS, key);
			check_key("n", key, false);
			check_key("n", key, true);
			check_key("", key, false);
			check_key("", key, true);
		}
	}
}

/* ---- Limits ------------------------------------------------------------------------------ */

/* The largest keys, of one component and of many. */
static void test_largest(void)
{
	static const char fills[] = {'p', '%', '\0', '/', '.'};
	g_autoptr(GByteArray) key = g_byte_array_new();

	for (size_t f = 0; f < G_N_ELEMENTS(fills); f++) {
		g_byte_array_set_size(key, PROLLY_KEY_MAX);
		memset(key->data, fills[f], PROLLY_KEY_MAX);
		check_key("n", key, false);
		check_key("", key, true);
	}
}

/* A name in a level that is not too long for another place is nothing. */
static void test_levels(void)
{
	g_autofree char *piece = g_strnfill(241, 'p');
	g_autofree char *level = g_strconcat("n/", piece, "%prolly-more", NULL);
	g_autofree char *short_key = g_strconcat(level, "/0123456789abcd", NULL);
	g_autofree char *long_key = g_strconcat(level, "/0123456789abcde", NULL);
	g_autofree char *short_rival = g_strconcat(level, "/012%prolly-key", NULL);
	g_autofree char *long_rival = g_strconcat(level, "/0123%prolly-key", NULL);
	g_autofree char *shorter = g_strconcat("n/", piece + 1, "%prolly-more/", NULL);
	g_autofree char *longer = g_strconcat("n/q", piece, "%prolly-more/", NULL);
	g_autofree char *unnamed = g_strconcat(piece, "%prolly-more/", NULL);
	g_autofree char *expected = g_strconcat(piece, "0123456789abcde", NULL);
	g_autofree char *expected_rival = g_strconcat(piece, "0123", NULL);

	assert_path_fails(short_key, PROLLY_ERROR_INVALID);
	assert_path_is(long_key, "n", expected, strlen(expected));
	assert_path_fails(short_rival, PROLLY_ERROR_INVALID);
	assert_path_is(long_rival, "n", expected_rival, strlen(expected_rival));
	assert_path_fails(shorter, PROLLY_ERROR_INVALID);
	assert_path_fails(longer, PROLLY_ERROR_INVALID);
	assert_path_fails(unnamed, PROLLY_ERROR_INVALID);
	assert_directory(level, "n", piece, false);
	assert_directory("%prolly-more", "", "", false);
	assert_path_fails("%prolly-more/x", PROLLY_ERROR_INVALID);
}

static void test_directory_paths(void)
{
	static const char *const paths[] = {"n/", "n/a/", "n/a/%empty/", "n/%2E/b/", "n/%empty/"};
	g_autofree char *piece = g_strnfill(241, 'p');
	g_autofree char *level = g_strconcat("n/a/", piece, "%prolly-more/", NULL);
	g_autofree char *unnamed = g_strconcat("%prolly-more/", piece, "%prolly-more/", NULL);
	g_autoptr(GPtrArray) all = g_ptr_array_new();

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
		g_ptr_array_add(all, (gpointer)paths[i]);
	g_ptr_array_add(all, level);
	g_ptr_array_add(all, unnamed);
	for (guint i = 0; i < all->len; i++) {
		g_auto(ProllyPath) parsed = {0};
		g_autoptr(GError) error = NULL;
		size_t len;

		prolly_path_parse(all->pdata[i], &parsed, &error);
		g_assert_no_error(error);
		g_assert_null(parsed.key);
		const void *prefix = g_bytes_get_data(parsed.prefix, &len);
		g_autofree char *path =
			prolly_path_from_directory(parsed.dir_namespace, prefix, len);

		g_assert_cmpstr(path, ==, all->pdata[i]);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/keypath/examples", test_examples);
	g_test_add_func("/keypath/parse", test_parse);
	g_test_add_func("/keypath/namespaces", test_namespaces);
	g_test_add_func("/keypath/create", test_create);
	g_test_add_func("/keypath/prefix-end", test_prefix_end);
	g_test_add_func("/keypath/every-name", test_every_name);
	g_test_add_func("/keypath/every-key", test_every_key);
	g_test_add_func("/keypath/levels", test_levels);
	g_test_add_func("/keypath/largest", test_largest);
	g_test_add_func("/keypath/directory-paths", test_directory_paths);
	return g_test_run();
}
