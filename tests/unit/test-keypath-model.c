/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keypath, as a filesystem uses it: the directories of a set of keys are made the way a lister
 * makes them, and every name in them is resolved the way lookup does. That finds keys that lost
 * their path, share one, or have two.
 */
#include "keypath-model.h"

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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/keypath/model/clashes", test_model_clashes);
	g_test_add_func("/keypath/model/lengths", test_model_lengths);
	g_test_add_func("/keypath/model/random", test_model_random);
	return g_test_run();
}
