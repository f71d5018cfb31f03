/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as text: the file of a namespace in git, and whole paths.
 *
 * A whole path is a walk from a branch's directory down, one prolly_keypath_lookup for each
 * component, as the kernel would do it; the way back is one prolly_keypath_get_entry for each.
 * Text like "a//b", "./a" and "a/../b" means what it means to the kernel, since keys with such
 * components have escapes for them.
 */
#include "version/keypath.h"

#include <string.h>

/* ---- Namespaces' files ------------------------------------------------------------------- */

#define FILE_PREFIX "ns-"

static bool is_file_char(char c)
{
	return g_ascii_isalnum(c) || c == '_' || c == '-';
}

char *prolly_keypath_namespace_to_file(const char *name)
{
	GString *file = g_string_new(FILE_PREFIX);

	for (; *name; name++) {
		if (is_file_char(*name))
			g_string_append_c(file, *name);
		else
			g_string_append_printf(file, "%%%02X", (uint8_t)*name);
	}
	return g_string_free(file, FALSE);
}

/* The next byte of an encoded file name; 0, which none is: it is malformed. Moves *TEXT. */
static char parse_file_char(const char **text)
{
	const char *p = *text;

	if (is_file_char(*p)) {
		*text += 1;
		return *p;
	}
	if (p[0] != '%' || !g_ascii_isxdigit(p[1]) || !g_ascii_isxdigit(p[2]) ||
	    g_ascii_islower(p[1]) || g_ascii_islower(p[2]))
		return 0;
	char c = (char)(g_ascii_xdigit_value(p[1]) << 4 | g_ascii_xdigit_value(p[2]));

	*text += 3;
	return is_file_char(c) ? 0 : c;
}

bool prolly_keypath_namespace_from_file(const char *file, char out_name[PROLLY_NAMESPACE_MAX + 1])
{
	char name[PROLLY_NAMESPACE_MAX + 1] = "";
	size_t len = 0;

	if (!g_str_has_prefix(file, FILE_PREFIX))
		return false;
	for (file += strlen(FILE_PREFIX); *file;) {
		char c = parse_file_char(&file);

		if (!c || len == PROLLY_NAMESPACE_MAX)
			return false;
		name[len++] = c;
	}
	if (!prolly_keypath_check_namespace(name, NULL))
		return false;
	memcpy(out_name, name, sizeof(name));
	return true;
}

/* ---- Whole paths ------------------------------------------------------------------------- */

void prolly_path_clear(ProllyPath *path)
{
	g_clear_pointer(&path->key, g_bytes_unref);
	g_clear_pointer(&path->key_namespace, g_free);
	g_clear_pointer(&path->prefix, g_bytes_unref);
	g_clear_pointer(&path->dir_namespace, g_free);
}

/* (transfer full) PATH's components with "", "." and ".." resolved. NULL: it leads above the top.
 */
static GPtrArray *split_path(const char *path, bool *out_is_directory)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);

	*out_is_directory = true;
	for (char **part = parts; *part; part++) {
		*out_is_directory = true;
		if (strcmp(*part, "..") == 0) {
			if (names->len == 0)
				return NULL;
			g_ptr_array_set_size(names, (int)names->len - 1);
		} else if (**part && strcmp(*part, ".") != 0) {
			*out_is_directory = false;
			g_ptr_array_add(names, g_strdup(*part));
		}
	}
	return g_steal_pointer(&names);
}

/* A place on the way down a path. */
typedef struct {
	char namespace_name[PROLLY_NAMESPACE_MAX + 1];
	ProllyKeyDirKind kind;
	GByteArray *prefix;
} Walk;

/* The directory that FOUND in WALK's can be becomes WALK's. False: it can be none. */
static bool walk_down(Walk *walk, const ProllyKeyName *found, GByteArray *bytes)
{
	bool is_namespace = found->type == PROLLY_NAME_PLAIN && walk->kind != PROLLY_KEYDIR_KEYS &&
			    walk->kind != PROLLY_KEYDIR_MORE;

	if (found->type != PROLLY_NAME_PLAIN && found->type != PROLLY_NAME_MORE)
		return false;
	if (is_namespace) {
		if (!found->namespace_name[0])
			return false;
		memcpy(walk->namespace_name, found->namespace_name, sizeof(walk->namespace_name));
	}
	g_byte_array_set_size(walk->prefix, 0);
	if (found->prefix_len > 0)
		g_byte_array_append(walk->prefix, bytes->data, (guint)found->prefix_len);
	walk->kind = found->dir_kind;
	return true;
}

static void set_directory(ProllyPath *path, const Walk *walk)
{
	path->prefix = g_bytes_new(walk->prefix->data, walk->prefix->len);
	path->dir_namespace = g_strdup(walk->namespace_name);
	path->dir_kind = walk->kind;
}

/* What NAME in WALK's directory can be, into BYTES and OUT_FOUND. */
static bool walk_look_up(const Walk *walk, const char *path, const char *name, GByteArray *bytes,
			 ProllyKeyName *out_found, GError **error)
{
	const ProllyKeyDir dir = {walk->kind, walk->prefix->data, walk->prefix->len};
	size_t len = strlen(name);

	prolly_keypath_lookup(&dir, name, len, bytes, out_found);
	if (out_found->type != PROLLY_NAME_NONE)
		return true;
	if (len > PROLLY_NAME_MAX || bytes->len > PROLLY_KEY_MAX)
		return prolly_throw(error, PROLLY_ERROR_NAME_TOO_LONG, "%s: name too long", path);
	return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: no key can have this path", path);
}

static bool parse_names(const char *path, const GPtrArray *names, bool is_directory, Walk *walk,
			ProllyPath *out_path, GError **error)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	for (guint i = 0; i < names->len; i++) {
		bool is_key = i + 1 == names->len && !is_directory;
		ProllyKeyName found;

		if (!walk_look_up(walk, path, names->pdata[i], bytes, &found, error))
			return false;
		if (is_key && found.type != PROLLY_NAME_MORE) {
			out_path->key = g_bytes_new(bytes->data, found.key_len);
			out_path->key_namespace = g_strdup(walk->namespace_name);
		}
		if (!walk_down(walk, &found, bytes)) {
			if (is_key)
				return true;
			return prolly_throw(error, PROLLY_ERROR_INVALID,
					    "%s: no directory can have this path", path);
		}
	}
	set_directory(out_path, walk);
	return true;
}

bool prolly_path_parse(const char *path, ProllyPath *out_path, GError **error)
{
	bool is_directory;
	g_autoptr(GPtrArray) names = split_path(path, &is_directory);
	g_autoptr(GByteArray) prefix = g_byte_array_new();
	g_auto(ProllyPath) parsed = {0};
	Walk walk = {.kind = PROLLY_KEYDIR_BRANCH, .prefix = prefix};

	if (!names)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "%s: leads above the branch",
				    path);
	if (!parse_names(path, names, is_directory, &walk, &parsed, error))
		return false;
	*out_path = parsed;
	parsed = (ProllyPath){0};
	return true;
}

/* Appends the names that lead to the directory of the namespace NAME. */
static ProllyKeyDir start_path(GString *path, const char *name)
{
	char entry[PROLLY_NAME_MAX + 1];

	if (!name[0])
		return (ProllyKeyDir){.kind = PROLLY_KEYDIR_BRANCH};
	prolly_keypath_namespace_to_name(name, entry);
	g_string_append(path, entry);
	g_string_append_c(path, '/');
	return (ProllyKeyDir){.kind = PROLLY_KEYDIR_KEYS};
}

char *prolly_path_from_key(const char *name, const void *key, size_t key_len, bool also_directory)
{
	GString *path = g_string_new(NULL);
	ProllyKeyDir dir = start_path(path, name);
	ProllyKeyEntry entry;

	for (;;) {
		prolly_keypath_get_entry(&dir, key, key_len, also_directory, &entry);
		g_assert(entry.type != PROLLY_ENTRY_NONE);
		g_string_append(path, entry.name);
		if (entry.type == PROLLY_ENTRY_KEY)
			return g_string_free(path, FALSE);
		g_string_append_c(path, '/');
		dir = (ProllyKeyDir){entry.dir_kind, key, entry.prefix_len};
	}
}

char *prolly_path_from_directory(const char *name, const void *prefix, size_t prefix_len)
{
	GString *path = g_string_new(NULL);
	ProllyKeyDir dir = start_path(path, name);
	g_autoptr(GByteArray) key = g_byte_array_new();
	ProllyKeyEntry entry;

	if (prefix_len > 0)
		g_byte_array_append(key, prefix, (guint)prefix_len);
	/* A level is where the way to a key that goes on for long leads through. */
	if (prefix_len > 0 && (!name[0] || key->data[prefix_len - 1] != '/')) {
		g_byte_array_set_size(key, (guint)prefix_len + PROLLY_NAME_MAX + 1);
		memset(key->data + prefix_len, 'x', PROLLY_NAME_MAX + 1);
	}
	while (dir.prefix_len < prefix_len) {
		prolly_keypath_get_entry(&dir, key->data, key->len, false, &entry);
		g_assert(entry.type != PROLLY_ENTRY_NONE && entry.type != PROLLY_ENTRY_KEY);
		g_string_append(path, entry.name);
		g_string_append_c(path, '/');
		dir = (ProllyKeyDir){entry.dir_kind, key->data, entry.prefix_len};
	}
	return g_string_free(path, FALSE);
}
