/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place of a reference: the directories that it, or its reflog, is a file in.
 *
 * git makes them as they are needed, and may leave them empty when what was in them is deleted. An
 * empty one is no reference and hides none, so it may go at any time. One with a file in it is in the
 * way of a reference of its name, as a reference is in the way of what would be below it.
 */
#include "version/refs-private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool prolly_ref_make_parents(const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);

	if (g_mkdir_with_parents(parent, 0777) < 0)
		return prolly_throw_errno(error, errno, "make %s", parent);
	return true;
}

void prolly_ref_remove_empty(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	if (!dir)
		return;
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		prolly_ref_remove_empty(child);
	}
	rmdir(path);
}

char *prolly_ref_dup_above(const char *git_dir, const char *name)
{
	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		g_autofree char *above = g_strndup(name, (size_t)(slash - name));
		g_autofree char *path = g_strconcat(git_dir, "/", above, NULL);
		struct stat st;

		if (stat(path, &st) < 0)
			return NULL;
		if (!S_ISDIR(st.st_mode))
			return g_steal_pointer(&above);
	}
	return NULL;
}

bool prolly_ref_is_lock(const char *name)
{
	return g_str_has_suffix(name, ".lock");
}

bool prolly_ref_is_reference(const char *name)
{
	return !prolly_ref_is_lock(name) && strrchr(name, '/')[1] != '.';
}

char *prolly_ref_dup_below(const char *git_dir, const char *name, const char *except)
{
	g_autofree char *path = g_strconcat(git_dir, "/", name, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	g_autofree char *found = NULL;
	const char *entry;

	while (dir && (!found || !prolly_ref_is_reference(found)) &&
	       (entry = g_dir_read_name(dir))) {
		g_autofree char *child = g_strconcat(name, "/", entry, NULL);
		g_autofree char *file = g_build_filename(path, entry, NULL);
		char *other = g_file_test(file, G_FILE_TEST_IS_DIR)
				      ? prolly_ref_dup_below(git_dir, child, except)
				      : g_steal_pointer(&child);

		if (!other || g_strcmp0(other, except) == 0 ||
		    (found && !prolly_ref_is_reference(other))) {
			g_free(other);
			continue;
		}
		g_free(found);
		found = other;
	}
	return g_steal_pointer(&found);
}
