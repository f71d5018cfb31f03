/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STORE/config: what a store is. A key file, written once, when everything else of the store is in
 * place: a directory with no configuration is not a store, however much of one is in it.
 *
 *   [prollyfs]       format, backend, default-branch
 *   [tree]           the parameters that decide a tree's shape (tree.h)
 *
 * The format's number is of the store as a whole. One that is higher than ours is refused before
 * anything else is looked at, since nothing else need mean what we think.
 */
#include "version/repo-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP       "prollyfs"
#define GROUP_TREE  "tree"
#define CONFIG_NAME "config"
#define LENGTH_MAX  (1 << 20) /* bytes of it */

static const struct {
	const char *key;
	size_t offset;
} tree_keys[] = {
	{"min", offsetof(ProllyFormatParameters, min)},
	{"max", offsetof(ProllyFormatParameters, max)},
	{"scale-shift", offsetof(ProllyFormatParameters, scale_shift)},
	{"inline-limit", offsetof(ProllyFormatParameters, inline_limit)},
	{"chunk-min", offsetof(ProllyFormatParameters, chunk_min)},
	{"chunk-average", offsetof(ProllyFormatParameters, chunk_average)},
	{"chunk-max", offsetof(ProllyFormatParameters, chunk_max)},
};

static uint32_t *get_parameter(ProllyFormatParameters *parameters, size_t i)
{
	return (uint32_t *)((char *)parameters + tree_keys[i].offset);
}

void prolly_config_clear(ProllyConfig *config)
{
	g_clear_pointer(&config->default_branch, g_free);
}

/* Not by a link, which who made the store may have made lead anywhere, nor of any length. */
static bool is_file(const char *file)
{
	struct stat st;

	return lstat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= LENGTH_MAX;
}

bool prolly_config_exists(const char *path)
{
	g_autofree char *file = g_build_filename(path, CONFIG_NAME, NULL);
	g_autoptr(GKeyFile) keys = g_key_file_new();

	return is_file(file) && g_key_file_load_from_file(keys, file, G_KEY_FILE_NONE, NULL) &&
	       g_key_file_has_group(keys, GROUP);
}

/* A number of the file, which is ours to have written: anything but 0..2^32-1 is damage. */
static bool get_number(GKeyFile *keys, const char *group, const char *key, const char *file,
		       uint32_t *out_number, GError **error)
{
	g_autoptr(GError) local = NULL;
	uint64_t number = g_key_file_get_uint64(keys, group, key, &local);

	if (local || number > UINT32_MAX)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s: %s", file,
				    local ? local->message : key);
	*out_number = (uint32_t)number;
	return true;
}

static bool parse_config(GKeyFile *keys, const char *file, ProllyConfig *config, GError **error)
{
	g_autofree char *backend = g_key_file_get_string(keys, GROUP, "backend", NULL);
	uint32_t format = 0;

	if (!get_number(keys, GROUP, "format", file, &format, error))
		return false;
	if (format > PROLLY_STORE_FORMAT)
		return prolly_throw(
			error, PROLLY_ERROR_NEWER_FORMAT,
			"%s: the store has format %u, this program knows formats up to %u", file,
			format, (unsigned)PROLLY_STORE_FORMAT);
	if (format == 0 || !backend || !prolly_backend_kind_from_text(backend, &config->kind) ||
	    config->kind == PROLLY_BACKEND_MEMORY)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s: no such back end: %s", file,
				    backend ? backend : "(none)");

	config->default_branch = g_key_file_get_string(keys, GROUP, "default-branch", NULL);
	if (!config->default_branch || !prolly_branch_check_name(config->default_branch, NULL))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s: bad default-branch", file);

	for (size_t i = 0; i < G_N_ELEMENTS(tree_keys); i++)
		if (!get_number(keys, GROUP_TREE, tree_keys[i].key, file,
				get_parameter(&config->parameters, i), error))
			return false;
	return true;
}

bool prolly_config_load(const char *path, ProllyConfig *out_config, GError **error)
{
	g_autofree char *file = g_build_filename(path, CONFIG_NAME, NULL);
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_auto(ProllyConfig) config = {0};
	g_autoptr(GError) local = NULL;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return prolly_throw(error, PROLLY_ERROR_NOT_A_STORE, "%s: no such store", path);
	if (!is_file(file))
		return prolly_throw(error, PROLLY_ERROR_NOT_A_STORE, "%s is not a prollyfs store",
				    path);
	if (!g_key_file_load_from_file(keys, file, G_KEY_FILE_NONE, &local))
		return prolly_throw(error, PROLLY_ERROR_NOT_A_STORE,
				    "%s is not a prollyfs store: %s: %s", path, file,
				    local->message);
	if (!g_key_file_has_group(keys, GROUP))
		return prolly_throw(error, PROLLY_ERROR_NOT_A_STORE,
				    "%s is not a prollyfs store: %s is not its configuration", path,
				    file);
	if (!parse_config(keys, file, &config, error))
		return false;

	*out_config = config;
	config = (ProllyConfig){0};
	return true;
}

/* Writes FILE under another name, syncs it, gives it its name, syncs the directory. */
static bool replace_file(const char *dir, const char *file, const char *text, GError **error)
{
	g_autofree char *temporary = g_strconcat(file, ".new", NULL);
	prolly_autofd int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	prolly_autofd int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || dir_fd < 0)
		return prolly_throw_errno(error, errno, "open %s", fd < 0 ? temporary : dir);
	if (!prolly_write_all(fd, text, strlen(text), temporary, error))
		return false;
	if (fsync(fd) < 0 || rename(temporary, file) < 0 || fsync(dir_fd) < 0)
		return prolly_throw_errno(error, errno, "write %s", file);
	return true;
}

bool prolly_config_save(const char *path, const ProllyConfig *config, GError **error)
{
	g_autofree char *file = g_build_filename(path, CONFIG_NAME, NULL);
	g_autoptr(GKeyFile) keys = g_key_file_new();
	g_autofree char *text = NULL;

	g_key_file_set_comment(keys, NULL, NULL, " A prollyfs store: see prollyfs-format(5).",
			       NULL);
	g_key_file_set_uint64(keys, GROUP, "format", PROLLY_STORE_FORMAT);
	g_key_file_set_string(keys, GROUP, "backend", prolly_backend_kind_to_text(config->kind));
	g_key_file_set_string(keys, GROUP, "default-branch", config->default_branch);
	for (size_t i = 0; i < G_N_ELEMENTS(tree_keys); i++) {
		ProllyFormatParameters parameters = config->parameters;

		g_key_file_set_uint64(keys, GROUP_TREE, tree_keys[i].key,
				      *get_parameter(&parameters, i));
	}
	text = g_key_file_to_data(keys, NULL, NULL);
	return replace_file(path, file, text, error);
}
