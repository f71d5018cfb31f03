/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mountpoint: is the place fit to be mounted on, and how to get off it.
 *
 * A mount left dead by a crash answers ENOTCONN to everything; if it was a prollyfs it is cleared,
 * lazily, since processes may still stand in it. A live prollyfs there is an error: mounting a
 * second one over it would only hide the first. The store must not be below its own mount point,
 * nor the mount point in the store: either way the daemon would ask itself for its own files, and
 * wait for ever.
 */

#include "fs-private.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <unistd.h>

#define TYPE      "fuse.prollyfs"
#define FD_PREFIX "/dev/fd/"
/* Of /dev/fuse, as Linux numbers devices. */
#define FUSE_MAJOR 10
#define FUSE_MINOR 229

/* ---- What is mounted --------------------------------------------------------------------- */

/* Undoes \ooo in a field of mountinfo, in place. */
static void unescape(char *field)
{
	char *to = field;

	for (char *p = field; *p; to++) {
		unsigned code;

		if (p[0] == '\\' && sscanf(p + 1, "%3o", &code) == 1) {
			*to = (char)code;
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
}

typedef struct {
	char *store;
	char *options; /* of the file system, whichever way it is mounted */
} Mounted;

static void mounted_clear(Mounted *mounted)
{
	g_free(mounted->store);
	g_free(mounted->options);
	*mounted = (Mounted){0};
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Mounted, mounted_clear)

/* Is LINE of mountinfo a prollyfs on PATH? */
static bool match_line(char *line, const char *path, Mounted *out_mounted)
{
	g_auto(GStrv) halves = g_strsplit(line, " - ", 2);
	g_auto(GStrv) left = NULL;
	g_auto(GStrv) right = NULL;

	if (!halves[0] || !halves[1])
		return false;
	left = g_strsplit(halves[0], " ", 6);
	right = g_strsplit(halves[1], " ", 3);
	if (g_strv_length(left) < 5 || g_strv_length(right) < 3 || strcmp(right[0], TYPE))
		return false;
	unescape(left[4]);
	unescape(right[1]);
	if (strcmp(left[4], path))
		return false;
	mounted_clear(out_mounted);
	out_mounted->store = g_steal_pointer(&right[1]);
	out_mounted->options = g_steal_pointer(&right[2]);
	return true;
}

/* The prollyfs that is mounted on PATH, the topmost of several. False: there is none. */
static bool find_mounted(const char *path, Mounted *out_mounted)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	bool found = false;

	if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
		return false;
	lines = g_strsplit(text, "\n", -1);
	for (guint i = 0; lines[i]; i++)
		found |= match_line(lines[i], path, out_mounted);
	return found;
}

bool pfs_mountpoint_is_read_only(const PfsMount *mount)
{
	g_auto(Mounted) mounted = {0};
	g_auto(GStrv) options = NULL;

	if (mount->options->revision)
		return true;
	/* One that was mounted by somebody else is where we cannot see it. */
	if (!find_mounted(mount->mountpoint, &mounted))
		return mount->options->read_only;
	options = g_strsplit(mounted.options, ",", -1);
	return g_strv_contains((const char *const *)options, "ro");
}

/* ---- Getting off ------------------------------------------------------------------------- */

bool pfs_mountpoint_detach(const char *path, GError **error)
{
	const char *argv[] = {"fusermount3", "-u", "-z", "--", path, NULL};
	int status = 0;

	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return true;
	if (errno != EPERM)
		return prolly_throw_errno(error, errno, "unmounting %s", path);
	if (!g_spawn_sync("/", (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
			  &status, error))
		return false;
	return g_spawn_check_wait_status(status, error);
}

/* ---- Checks ------------------------------------------------------------------------------ */

/* (transfer full) PATH without links and relative parts, though it may be dead or not exist. */
static char *resolve(const char *path)
{
	char *whole = realpath(path, NULL);
	g_autofree char *dir = NULL;
	g_autofree char *base = NULL;
	g_autofree char *real_dir = NULL;

	if (whole) {
		char *copy = g_strdup(whole);
		free(whole);
		return copy;
	}
	dir = g_path_get_dirname(path);
	base = g_path_get_basename(path);
	whole = realpath(dir, NULL);
	if (!whole)
		return g_canonicalize_filename(path, NULL);
	real_dir = g_strdup(whole);
	free(whole);
	return g_build_filename(real_dir, base, NULL);
}

/* What is mounted on PATH already: cleared if it is dead, else an error. */
static bool check_mounted(const PfsMount *mount, const char *path, GError **error)
{
	g_auto(Mounted) mounted = {0};
	struct statvfs ignored;

	if (!find_mounted(path, &mounted))
		return true;
	/* Not stat(2), which the kernel's cache would answer for the dead. */
	if (statvfs(path, &ignored) == 0 || errno != ENOTCONN)
		return prolly_throw(error, PROLLY_ERROR_BUSY,
				    "mount point %s is busy: %s is mounted there", path,
				    mounted.store);
	if (!pfs_mountpoint_detach(path, error))
		return false;
	pfs_log(mount, LOG_NOTICE, "%s: cleared the dead mount of %s", path, mounted.store);
	return true;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (!strcmp(dir, "/"))
		return true;
	return !strncmp(path, dir, len) && (path[len] == '/' || !path[len]);
}

static bool check_store(const char *store, const char *mountpoint, GError **error)
{
	g_auto(ProllySpec) spec = {0};
	g_autofree char *path = NULL;

	if (!prolly_spec_parse(store, &spec, error))
		return false;
	if (!spec.path)
		return true;
	path = resolve(spec.path);
	if (is_below(path, mountpoint))
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "store %s is inside its own mount point %s", path, mountpoint);
	if (is_below(mountpoint, path))
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "mount point %s is inside the store %s", mountpoint, path);
	return true;
}

bool pfs_mountpoint_is_descriptor(const char *path)
{
	return g_str_has_prefix(path, FD_PREFIX) &&
	       g_ascii_string_to_unsigned(path + strlen(FD_PREFIX), 10, 0, INT_MAX, NULL, NULL);
}

/* Whoever passed it has mounted it, and knows where. */
static bool check_descriptor(const char *path, char **out_path, GError **error)
{
	int fd = (int)g_ascii_strtoull(path + strlen(FD_PREFIX), NULL, 10);
	struct stat info;

	if (fstat(fd, &info))
		return prolly_throw_errno(error, errno, "mount point %s", path);
	if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(FUSE_MAJOR, FUSE_MINOR))
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "mount point %s is not a descriptor of /dev/fuse", path);
	*out_path = g_strdup(path);
	return true;
}

bool pfs_mountpoint_check(const PfsMount *mount, char **out_path, GError **error)
{
	g_autofree char *path = NULL;
	struct stat info;

	if (pfs_mountpoint_is_descriptor(mount->options->mountpoint))
		return check_descriptor(mount->options->mountpoint, out_path, error);
	path = resolve(mount->options->mountpoint);
	if (!check_mounted(mount, path, error))
		return false;
	if (stat(path, &info))
		return prolly_throw_errno(error, errno, "mount point %s", path);
	if (!S_ISDIR(info.st_mode))
		return prolly_throw_errno(error, ENOTDIR, "mount point %s", path);
	if (!check_store(mount->options->store, path, error))
		return false;
	*out_path = g_steal_pointer(&path);
	return true;
}

char *pfs_mountpoint_source(const PfsMount *mount)
{
	const char *store = mount->options->store;
	g_auto(ProllySpec) spec = {0};

	if (strstr(store, "://") || !prolly_spec_parse(store, &spec, NULL) || !spec.path)
		return g_strdup(store);
	return resolve(spec.path);
}
