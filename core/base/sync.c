/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing files to the disk.
 *
 * Many are synced at once by syncfs(2), which costs about as much as a handful of fsyncs. But FUSE
 * does not tell its filesystems of that call: on those (a store may lie on one) each file and each
 * directory is synced by itself.
 *
 * A sync that failed is not made good by one that succeeds: the kernel may have dropped what it could
 * not write. Who calls these has to write it again.
 */
#include "base/sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define FUSE_MAGIC 0x65735546

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DIR, closedir)

bool prolly_syncs_together(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type != FUSE_MAGIC;
}

bool prolly_sync_path(const char *path, GError **error)
{
	prolly_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return prolly_throw_errno(error, errno, "sync %s", path);
	return true;
}

static bool sync_each(const char *path, GError **error);

/* What was removed meanwhile need not be synced, and what is neither file nor directory is not ours. */
static bool sync_entry(const char *path, GError **error)
{
	g_autoptr(GError) local = NULL;
	struct stat st;
	bool ok;

	if (lstat(path, &st) < 0)
		return errno == ENOENT || prolly_throw_errno(error, errno, "sync %s", path);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return true;
	ok = S_ISDIR(st.st_mode) ? sync_each(path, &local) : prolly_sync_path(path, &local);
	if (ok || g_error_matches(local, PROLLY_ERRNO, ENOENT))
		return true;
	g_propagate_error(error, g_steal_pointer(&local));
	return false;
}

/* A directory after what is in it. */
static bool sync_each(const char *path, GError **error)
{
	g_autoptr(DIR) dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return prolly_throw_errno(error, errno, "sync %s", path);
	while ((entry = readdir(dir))) {
		g_autofree char *child = g_build_filename(path, entry->d_name, NULL);

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    !sync_entry(child, error))
			return false;
	}
	return prolly_sync_path(path, error);
}

bool prolly_sync_tree(const char *path, GError **error)
{
	prolly_autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return prolly_throw_errno(error, errno, "open %s", path);
	if (!prolly_syncs_together(fd))
		return sync_each(path, error);
	return syncfs(fd) == 0 || prolly_throw_errno(error, errno, "sync %s", path);
}

/* Who may make files in a directory may be kept from reading it, and so from syncing it. */
static bool sync_parent(const char *parent, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (prolly_sync_path(parent, &local) || g_error_matches(local, PROLLY_ERRNO, EACCES))
		return true;
	g_propagate_error(error, g_steal_pointer(&local));
	return false;
}

bool prolly_make_directories(const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);

	if (mkdir(path, 0777) == 0)
		return sync_parent(parent, error);
	if (errno == ENOENT && strcmp(parent, path) != 0)
		return prolly_make_directories(parent, error) &&
		       prolly_make_directories(path, error);
	if (errno == EEXIST && g_file_test(path, G_FILE_TEST_IS_DIR))
		return sync_parent(parent, error);
	return prolly_throw_errno(error, errno, "make %s", path);
}
