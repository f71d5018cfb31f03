/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keypath: every key one path, every path at most one key.
 *
 * Three kinds of test. Examples pin the grammar. Enumerations take every sequence of few tokens
 * that mean something to it, as a name and as a component. And a model makes the directories of a
 * set of keys the way a lister does, resolves every path it made the way lookup does, and so finds
 * keys that lost their path, share one, or have two.
 */
#include "version/keypath.h"

#include <string.h>

#define BRANCH ((ProllyKeyDir){.kind = PROLLY_KEYDIR_BRANCH})
#define KEYS   ((ProllyKeyDir){.kind = PROLLY_KEYDIR_KEYS})

/* ---- Examples ---------------------------------------------------------------------------- */

#define BYTES(text) (text), (sizeof(text) - 1)

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

static void assert_path_is(const char *path, const char *ns, const void *key, size_t key_len)
{
	g_auto(ProllyPath) parsed = {0};
	g_autoptr(GError) error = NULL;
	size_t len;

	prolly_path_parse(path, &parsed, &error);
	g_assert_no_error(error);
	g_assert_nonnull(parsed.key);
	g_assert_cmpstr(parsed.key_namespace, ==, ns);
	const void *data = g_bytes_get_data(parsed.key, &len);

	g_assert_cmpmem(data, len, key, key_len);
}

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

static const struct {
	const char *text;
	size_t len;
} tokens[] = {
	{BYTES("%")},           {BYTES("25")},    {BYTES("00")},        {BYTES("2F")},
	{BYTES("2E")},          {BYTES("empty")}, {BYTES(".prollyfs")}, {BYTES("prolly-key")},
	{BYTES("prolly-more")}, {BYTES(".")},     {BYTES("a")},         {BYTES("\0")},
	{BYTES("/")},
};

#define N_TOKENS      G_N_ELEMENTS(tokens)
#define N_NAME_TOKENS (N_TOKENS - 2) /* without NUL and '/' */

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

/* ---- Model: the directories of a set of keys --------------------------------------------- */

typedef struct {
	GPtrArray *keys;        /* of GBytes, ascending, each once */
	GHashTable *namespaces; /* set of names; only if the keys are of the unnamed namespace */
	GHashTable *found;      /* path -> key (GBytes) */
	unsigned n_directories;
} Model;

static int compare_bytes(gconstpointer a, gconstpointer b)
{
	return g_bytes_compare(*(GBytes *const *)a, *(GBytes *const *)b);
}

static bool starts_with(GBytes *key, const uint8_t *prefix, size_t len)
{
	size_t size;
	const uint8_t *data = g_bytes_get_data(key, &size);

	return size >= len && (len == 0 || memcmp(data, prefix, len) == 0);
}

/* The index of the first key >= BYTES. */
static guint find_key(const Model *model, const uint8_t *bytes, size_t len)
{
	guint low = 0, high = model->keys->len;

	while (low < high) {
		guint middle = (low + high) / 2;
		size_t size;
		const uint8_t *data = g_bytes_get_data(model->keys->pdata[middle], &size);

		if (prolly_bytes_compare(data, size, bytes, len) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has_key(const Model *model, const uint8_t *bytes, size_t len)
{
	guint at = find_key(model, bytes, len);

	return at < model->keys->len && starts_with(model->keys->pdata[at], bytes, len) &&
	       g_bytes_get_size(model->keys->pdata[at]) == len;
}

static bool is_also_directory(const Model *model, const uint8_t *key, size_t len)
{
	char rival[PROLLY_NAMESPACE_MAX + 1];

	if (model->namespaces)
		return prolly_keypath_get_rival_namespace(key, len, rival) &&
		       g_hash_table_contains(model->namespaces, rival);
	g_autoptr(GByteArray) prefix = g_byte_array_new();

	g_byte_array_append(prefix, key, (guint)len);
	g_byte_array_append(prefix, (const guint8 *)"/", 1);
	guint at = find_key(model, prefix->data, prefix->len);

	return at < model->keys->len &&
	       starts_with(model->keys->pdata[at], prefix->data, prefix->len);
}

static void get_entry(const Model *model, const ProllyKeyDir *dir, guint at, ProllyKeyEntry *entry)
{
	size_t len;
	const uint8_t *key = g_bytes_get_data(model->keys->pdata[at], &len);
	bool also = prolly_keypath_is_direct(dir, key, len) && is_also_directory(model, key, len);

	prolly_keypath_get_entry(dir, key, len, also, entry);
}

/* Does a level have a key in it? */
static bool has_level(const Model *model, const ProllyKeyDir *dir)
{
	for (guint at = find_key(model, dir->prefix, dir->prefix_len);
	     at < model->keys->len &&
	     starts_with(model->keys->pdata[at], dir->prefix, dir->prefix_len);
	     at++) {
		ProllyKeyEntry entry;

		get_entry(model, dir, at, &entry);
		if (entry.type != PROLLY_ENTRY_NONE)
			return true;
	}
	return false;
}

/* NAME in DIR as a filesystem would look it up: what get_entry said must be there, and be that. */
static void check_lookup(const Model *model, const ProllyKeyDir *dir, const ProllyKeyEntry *entry,
			 GBytes *key)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	ProllyKeyName name;
	size_t key_len;
	const uint8_t *key_data = g_bytes_get_data(key, &key_len);

	prolly_keypath_lookup(dir, entry->name, entry->name_len, bytes, &name);
	if (entry->type == PROLLY_ENTRY_KEY) {
		bool also = is_also_directory(model, key_data, key_len);

		g_assert_cmpint(name.type, ==, also ? PROLLY_NAME_KEY : PROLLY_NAME_PLAIN);
		g_assert_cmpmem(bytes->data, name.key_len, key_data, key_len);
		return;
	}
	g_assert_cmpint(name.type, ==,
			entry->type == PROLLY_ENTRY_MORE ? PROLLY_NAME_MORE : PROLLY_NAME_PLAIN);
	g_assert_cmpint(name.dir_kind, ==, entry->dir_kind);
	g_assert_cmpmem(bytes->data, name.prefix_len, key_data, entry->prefix_len);
	const ProllyKeyDir below = {name.dir_kind, bytes->data, name.prefix_len};

	if (name.type == PROLLY_NAME_MORE)
		g_assert_true(has_level(model, &below));
}

static void list_directory(Model *model, const ProllyKeyDir *dir, const char *path);

static void visit_entry(Model *model, const ProllyKeyDir *dir, const ProllyKeyEntry *entry,
			GBytes *key, const char *path, GHashTable *names)
{
	g_autofree char *own = g_strconcat(path, entry->name, NULL);

	g_assert_cmpuint(entry->name_len, ==, strlen(entry->name));
	g_assert_cmpuint(entry->name_len, <=, PROLLY_NAME_MAX);
	g_assert_null(strchr(entry->name, '/'));
	/* No two entries of a directory have one name: nor an unnamed key and a namespace. */
	g_assert_true(g_hash_table_add(names, g_strdup(entry->name)));
	check_lookup(model, dir, entry, key);
	if (entry->type == PROLLY_ENTRY_KEY) {
		g_assert_true(g_hash_table_insert(model->found, g_steal_pointer(&own), key));
		return;
	}
	g_autofree char *below = g_strconcat(own, "/", NULL);
	const ProllyKeyDir child = {entry->dir_kind, g_bytes_get_data(key, NULL),
				    entry->prefix_len};

	model->n_directories++;
	list_directory(model, &child, below);
}

/* A lister as keypath.h describes it. */
static void list_directory(Model *model, const ProllyKeyDir *dir, const char *path)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GByteArray) last_more = NULL;
	g_autoptr(GByteArray) end = g_byte_array_new();
	guint at = find_key(model, dir->prefix, dir->prefix_len);
	GHashTableIter iter;
	gpointer ns;

	if (dir->kind == PROLLY_KEYDIR_BRANCH && model->namespaces) {
		g_hash_table_iter_init(&iter, model->namespaces);
		while (g_hash_table_iter_next(&iter, &ns, NULL)) {
			char name[PROLLY_NAME_MAX + 1];

			prolly_keypath_namespace_to_name(ns, name);
			g_assert_true(g_hash_table_add(names, g_strdup(name)));
		}
	}
	while (at < model->keys->len &&
	       starts_with(model->keys->pdata[at], dir->prefix, dir->prefix_len)) {
		GBytes *key = model->keys->pdata[at++];
		ProllyKeyEntry entry;

		get_entry(model, dir, at - 1, &entry);
		if (entry.type == PROLLY_ENTRY_NONE)
			continue;
		const uint8_t *prefix = g_bytes_get_data(key, NULL);

		if (entry.type == PROLLY_ENTRY_MORE) {
			if (last_more && last_more->len == entry.prefix_len &&
			    starts_with(key, last_more->data, last_more->len))
				continue;
			g_clear_pointer(&last_more, g_byte_array_unref);
			last_more = g_byte_array_new();
			g_byte_array_append(last_more, prefix, (guint)entry.prefix_len);
		}
		visit_entry(model, dir, &entry, key, path, names);
		if (entry.type == PROLLY_ENTRY_DIRECTORY) {
			g_assert_true(prolly_keypath_get_prefix_end(prefix, entry.prefix_len, end));
			at = find_key(model, end->data, end->len);
		}
	}
}

/* Every key was listed once, at the path that is its own. */
static void check_model(Model *model, const char *ns)
{
	g_autoptr(GString) path = g_string_new(NULL);
	ProllyKeyDir dir = BRANCH;
	GHashTableIter iter;
	gpointer found, key;

	if (ns[0]) {
		g_string_append_printf(path, "%s/", ns);
		dir = KEYS;
	}
	g_hash_table_remove_all(model->found);
	model->n_directories = 0;
	list_directory(model, &dir, path->str);
	g_assert_cmpuint(g_hash_table_size(model->found), ==, model->keys->len);
	g_hash_table_iter_init(&iter, model->found);
	while (g_hash_table_iter_next(&iter, &found, &key)) {
		size_t len;
		const uint8_t *data = g_bytes_get_data(key, &len);
		g_autofree char *own =
			prolly_path_from_key(ns, data, len, is_also_directory(model, data, len));

		g_assert_cmpstr(found, ==, own);
		assert_path_is(found, ns, data, len);
		g_assert_true(has_key(model, data, len));
	}
}

static void model_add(Model *model, const void *key, size_t len)
{
	g_ptr_array_add(model->keys, g_bytes_new(key, len));
}

static void model_init(Model *model)
{
	*model = (Model){
		.keys = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref),
		.found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
	};
}

static void model_sort(Model *model)
{
	g_ptr_array_sort(model->keys, compare_bytes);
	for (guint i = model->keys->len; i-- > 1;)
		if (g_bytes_equal(model->keys->pdata[i], model->keys->pdata[i - 1]))
			g_ptr_array_remove_index(model->keys, i);
}

static void model_clear(Model *model)
{
	g_ptr_array_unref(model->keys);
	g_hash_table_unref(model->found);
	g_clear_pointer(&model->namespaces, g_hash_table_unref);
}

/* Names a namespace after some of the keys, where one can be. */
static void add_rivals(Model *model, GRand *rand)
{
	char name[PROLLY_NAMESPACE_MAX + 1];

	model->namespaces = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; i < model->keys->len; i++) {
		size_t len;
		const uint8_t *key = g_bytes_get_data(model->keys->pdata[i], &len);

		if (g_rand_boolean(rand) && prolly_keypath_get_rival_namespace(key, len, name))
			g_hash_table_add(model->namespaces, g_strdup(name));
	}
}

static void test_model_clashes(void)
{
	static const char *const keys[] = {
		"",
		"/",
		"//",
		"a",
		"a/",
		"a//",
		"a//b",
		"a/b",
		"a/b/",
		"a!",
		"a0",
		"a%prolly-key",
		"a%prolly-key/x",
		"%empty",
		"%empty/a",
		"%25empty",
		".",
		"./a",
		"..",
		"../..",
		".prollyfs",
		".prollyfs/x",
		"%.prollyfs",
		"%prolly-more",
		"%prolly-more/a",
		"%prolly-key",
		"%2E",
		"%2E/.",
		"%252E",
	};
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);
	Model model;

	model_init(&model);
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		model_add(&model, keys[i], strlen(keys[i]));
	model_sort(&model);
	check_model(&model, "n");
	add_rivals(&model, rand);
	check_model(&model, "");
	model_clear(&model);
}

static void append_fill(GRand *rand, GByteArray *key, size_t len)
{
	static const char fills[] = "pq%\0/.\xff";
	char fill = fills[g_rand_int_range(rand, 0, sizeof(fills) - 1)];
	size_t old = key->len;

	g_byte_array_set_size(key, (guint)(old + len));
	memset(key->data + old, fill, len);
}

/* Runs of one byte about as long as names and pieces are, and tokens between. */
static void make_key(GRand *rand, GByteArray *key)
{
	static const int lengths[] = {1,   2,   12,  75,  81,  82,  160, 230,
				      241, 243, 244, 245, 255, 256, 482, 600};
	int n = g_rand_int_range(rand, 0, 5);

	g_byte_array_set_size(key, 0);
	for (int i = 0; i < n; i++) {
		int which = g_rand_int_range(rand, 0, 4);

		if (which == 0) {
			append_fill(
				rand, key,
				(size_t)lengths[g_rand_int_range(rand, 0, G_N_ELEMENTS(lengths))]);
		} else if (which == 1) {
			g_byte_array_append(key, (const guint8 *)"/", 1);
		} else {
			int token = g_rand_int_range(rand, 0, N_TOKENS);

			g_byte_array_append(key, (const guint8 *)tokens[token].text,
					    (guint)tokens[token].len);
		}
	}
}

static void test_model_random(void)
{
	for (unsigned seed = 0; seed < 60; seed++) {
		g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
		g_autoptr(GByteArray) key = g_byte_array_new();
		Model model;

		g_test_message("seed %u", seed);
		model_init(&model);
		for (int i = 0; i < 400; i++) {
			make_key(rand, key);
			model_add(&model, key->data, key->len);
			/* Something below it, something beside it. */
			if (g_rand_boolean(rand))
				g_byte_array_append(key, (const guint8 *)"/x", 2);
			else
				g_byte_array_append(key, (const guint8 *)"x", 1);
			model_add(&model, key->data, key->len);
		}
		model_sort(&model);
		check_model(&model, "n");
		g_assert_cmpuint(model.n_directories, >, 50);
		add_rivals(&model, rand);
		check_model(&model, "");
		model_clear(&model);
	}
}

/* All lengths around the limits, with and without a directory of the same name. */
static void test_model_lengths(void)
{
	static const char fills[] = {'p', '%', '\0', '/'};

	for (size_t f = 0; f < G_N_ELEMENTS(fills); f++) {
		g_autoptr(GByteArray) key = g_byte_array_new();
		g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)f);
		Model model;

		model_init(&model);
		for (guint len = 70; len < 800; len++) {
			g_byte_array_set_size(key, len);
			memset(key->data, fills[f], len);
			model_add(&model, key->data, len);
			if (len % 3 == 0) {
				g_byte_array_append(key, (const guint8 *)"/b", 2);
				model_add(&model, key->data, key->len);
			}
		}
		model_sort(&model);
		if (fills[f] != '/')
			check_model(&model, "n");
		add_rivals(&model, rand);
		check_model(&model, "");
		model_clear(&model);
	}
}

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
	g_test_add_func("/keypath/model/clashes", test_model_clashes);
	g_test_add_func("/keypath/model/lengths", test_model_lengths);
	g_test_add_func("/keypath/model/random", test_model_random);
	return g_test_run();
}
