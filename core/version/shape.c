/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape: that nothing in a store's directory leads out of it, looked at before anything there is
 * opened.
 *
 * A store may come from somebody else: unpacked, copied, found. Its contents are checked as they are
 * read; but we, libgit2 and RocksDB open its files by name, to read and to write, and a symbolic link
 * there would have us write to any file of the caller's, a fifo wait for ever. So
 * S1  what is in a store is a regular file or a directory, its own directory apart, which may be
 *     reached by a link;
 * S2  its git repository has its objects, references and configuration in itself: no commondir,
 *     alternates or includes, by which git has them elsewhere.
 *
 * Looked at are the store's directory, data, git and all below them; of nodes, of which there may be
 * millions, the directories alone, since nodes are opened without following links (store-file.c). Of
 * entries that are none of a store's nothing is looked at but what they are.
 *
 * Who can write to a store while it is open can change what was looked at; that is for the
 * permissions of its directory to prevent.
 */
#include "version/body-private.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GIT_CONFIG_MAX (1u << 20) /* bytes */

/* ---- Files and directories (S1) ------------------------------------------------------------ */

static void close_dir(DIR *dir)
{
	closedir(dir);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DIR, close_dir)

/* What ENTRY, of DIR, is. False: it is gone. */
static bool find_kind(DIR *dir, const struct dirent *entry, bool *out_directory, bool *out_file)
{
	struct stat st;

	*out_directory = entry->d_type == DT_DIR;
	*out_file = entry->d_type == DT_REG;
	if (entry->d_type != DT_UNKNOWN)
		return true;
	if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	*out_directory = S_ISDIR(st.st_mode);
	*out_file = S_ISREG(st.st_mode);
	return true;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The entries of PATH; DIRECTORIES (nullable) gets those that are some. No PATH: nothing to check. */
static bool check_entries(const char *path, GPtrArray *directories, GError **error)
{
	g_autoptr(DIR) dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return errno == ENOENT || prolly_throw_errno(error, errno, "%s", path);
	while ((errno = 0, entry = readdir(dir))) {
		bool is_directory, is_file;

		if (is_dots(entry->d_name) || !find_kind(dir, entry, &is_directory, &is_file) ||
		    is_file)
			continue;
		if (!is_directory)
			return prolly_throw(error, PROLLY_ERROR_INVALID,
					    "%s/%s is neither a file nor a directory: a store has "
					    "nothing else in it",
					    path, entry->d_name);
		if (directories)
			g_ptr_array_add(directories, g_build_filename(path, entry->d_name, NULL));
	}
	return !errno || prolly_throw_errno(error, errno, "%s", path);
}

/* Everything below PATH, however deep. */
static bool check_tree(const char *path, GError **error)
{
	g_autoptr(GPtrArray) waiting = g_ptr_array_new_with_free_func(g_free);
	bool ok;

	g_ptr_array_add(waiting, g_strdup(path));
	do {
		g_autofree char *next = g_ptr_array_steal_index_fast(waiting, waiting->len - 1);

		ok = check_entries(next, waiting, error);
	} while (ok && waiting->len);
	return ok;
}

/* Classes of nodes, and the directories in those. */
static bool check_nodes(const char *path, GError **error)
{
	g_autoptr(GPtrArray) classes = g_ptr_array_new_with_free_func(g_free);
	bool ok = check_entries(path, classes, error);

	for (guint i = 0; ok && i < classes->len; i++)
		ok = check_entries(classes->pdata[i], NULL, error);
	return ok;
}

/* ---- The git repository (S2) ---------------------------------------------------------------- */

static bool check_absent(const char *path, const char *name, GError **error)
{
	g_autofree char *file = g_build_filename(path, "git", name, NULL);
	struct stat st;

	return lstat(file, &st) < 0 || prolly_throw(error, PROLLY_ERROR_INVALID,
						    "%s has git look outside of the store", file);
}

/* Does the configuration TEXT of git's have a section "include" or "includeIf"? (libgit2 reads on
 * behind a NUL.) */
static bool has_include(const char *text, size_t len)
{
	const char *end = text + len;

	for (const char *p = memchr(text, '[', len); p; p = memchr(p, '[', (size_t)(end - p))) {
		p++;
		if (g_ascii_strncasecmp(p + strspn(p, " \t"), "include", 7) == 0)
			return true;
	}
	return false;
}

static bool check_git_config(const char *path, GError **error)
{
	g_autofree char *file = g_build_filename(path, "git", "config", NULL);
	g_autofree char *text = NULL;
	struct stat st;
	gsize len;

	if (lstat(file, &st) < 0)
		return true; /* for libgit2 to say */
	if (st.st_size > GIT_CONFIG_MAX)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG, "%s is over %u bytes", file,
				    GIT_CONFIG_MAX);
	if (!g_file_get_contents(file, &text, &len, NULL) || !has_include(text, len))
		return true;
	return prolly_throw(error, PROLLY_ERROR_INVALID,
			    "%s includes other files: git would look outside of the store", file);
}

bool prolly_shape_check(const char *path, GError **error)
{
	g_autofree char *git = g_build_filename(path, "git", NULL);
	g_autofree char *data = g_build_filename(path, "data", NULL);
	g_autofree char *nodes = g_build_filename(path, "nodes", NULL);

	return check_entries(path, NULL, error) && check_tree(git, error) &&
	       check_tree(data, error) && check_nodes(nodes, error) &&
	       check_absent(path, "commondir", error) &&
	       check_absent(path, "objects/info/alternates", error) &&
	       check_absent(path, "objects/info/http-alternates", error) &&
	       check_git_config(path, error);
}
