/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place of a reference: the directories that it, or its reflog, is a file in.
 *
 * git makes them as they are needed, and may leave them empty when what was in them is deleted. An
 * empty one is no reference and hides none, so it may go at any time.
 */
#include "version/refs-private.h"

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
