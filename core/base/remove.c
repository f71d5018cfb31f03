/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing directories with what is in them.
 *
 * Contents go first. A path is tried as a file before it is looked into, so that a symbolic link
 * is removed and not followed. What is in the way (no permission, a mount) ends it, and is named; what
 * has gone until then is gone. Nothing is synced: a power cut may bring back any part.
 */
#include "base/remove.h"

#include <errno.h>
#include <unistd.h>

bool prolly_remove_tree(const char *path, GError **error)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;

	if (unlink(path) == 0 || errno == ENOENT)
		return true;
	dir = g_dir_open(path, 0, NULL);
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		if (!prolly_remove_tree(child, error))
			return false;
	}
	if (rmdir(path) < 0)
		return prolly_throw_errno(error, errno, "remove %s", path);
	return true;
}
