/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths and their escapes, both ways. The first byte of the input says which: the rest is a path, as
 * someone types it, or a namespace's name and a key. What a path leads to has a path that leads to it
 * again, and every key of every namespace has one.
 */
#include "fuzz.h"

#include "version/keypath.h"

static void assert_refused(GError *error)
{
	if (!prolly_error_is(error, PROLLY_ERROR_NAME_TOO_LONG))
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_error_free(error);
}

/* No component of TEXT is longer than a file system has it, or "." or "..". */
static void assert_components(const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, "/", -1);

	for (size_t i = 0; parts[i]; i++) {
		g_assert_cmpuint(strlen(parts[i]), <=, PROLLY_NAME_MAX);
		g_assert_cmpstr(parts[i], !=, ".");
		g_assert_cmpstr(parts[i], !=, "..");
	}
}

static void assert_leads_to_key(const char *text, const char *name, GBytes *key)
{
	g_auto(ProllyPath) path = {0};
	g_autoptr(GError) error = NULL;

	assert_components(text);
	prolly_path_parse(text, &path, &error);
	g_assert_no_error(error);
	g_assert_nonnull(path.key);
	g_assert_cmpstr(path.key_namespace, ==, name);
	g_assert_true(g_bytes_equal(path.key, key));
}

static void try_key(const char *name, GBytes *key)
{
	size_t len;
	const void *data = g_bytes_get_data(key, &len);
	g_autofree char *plain = prolly_path_from_key(name, data, len, false);
	g_autofree char *beside_directory = prolly_path_from_key(name, data, len, true);

	assert_leads_to_key(plain, name, key);
	assert_leads_to_key(beside_directory, name, key);
}

static void try_directory(const char *name, GBytes *prefix)
{
	size_t len;
	const void *data = g_bytes_get_data(prefix, &len);
	g_autofree char *text = prolly_path_from_directory(name, data, len);
	g_auto(ProllyPath) path = {0};
	g_autoptr(GError) error = NULL;

	assert_components(text);
	prolly_path_parse(text, &path, &error);
	g_assert_no_error(error);
	g_assert_nonnull(path.prefix);
	g_assert_cmpstr(path.dir_namespace, ==, name);
	g_assert_true(g_bytes_equal(path.prefix, prefix));
}

static void try_path(const char *text)
{
	g_auto(ProllyPath) path = {0};
	GError *error = NULL;

	if (!prolly_path_parse(text, &path, &error)) {
		assert_refused(error);
		return;
	}
	g_assert_true(path.key || path.prefix);
	if (path.key)
		try_key(path.key_namespace, path.key);
	if (path.prefix)
		try_directory(path.dir_namespace, path.prefix);
}

/* A namespace's name has an entry in a branch's directory and a file in a commit, and back. */
static void try_namespace(const char *name)
{
	char entry[PROLLY_NAME_MAX + 1], back[PROLLY_NAMESPACE_MAX + 1];
	g_autofree char *file = prolly_keypath_namespace_to_file(name);

	g_assert_true(prolly_keypath_namespace_from_file(file, back));
	g_assert_cmpstr(back, ==, name);
	if (*name == '\0')
		return;
	g_assert_true(prolly_keypath_namespace_from_name(
		entry, prolly_keypath_namespace_to_name(name, entry), back));
	g_assert_cmpstr(back, ==, name);
}

/* The file's name is a namespace's, or not; if it is, it is the one. */
static void try_file(const char *file)
{
	char name[PROLLY_NAMESPACE_MAX + 1];
	g_autofree char *again = NULL;

	if (!prolly_keypath_namespace_from_file(file, name))
		return;
	again = prolly_keypath_namespace_to_file(name);
	g_assert_cmpstr(again, ==, file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {data, size};
	uint32_t what = fuzz_take_below(&input, 3);
	size_t name_len = what == 2 ? fuzz_take_below(&input, 300) : input.left;
	const uint8_t *name_bytes = fuzz_take_bytes(&input, name_len, &name_len);
	g_autofree char *name = g_strndup((const char *)name_bytes, name_len);
	g_autoptr(GBytes) key = g_bytes_new(input.p, input.left);

	if (what == 0) {
		try_path(name);
	} else if (what == 1) {
		try_file(name);
	} else if (prolly_keypath_check_namespace(name, NULL)) {
		try_namespace(name);
		try_key(name, key);
	}
	return 0;
}
