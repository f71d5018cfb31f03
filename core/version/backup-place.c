/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a backup goes: which directory may become one, and how the new takes the old one's place.
 *
 * A backup is built in DIR.partial, beside DIR, and takes DIR's place by one rename: of the two
 * with each other, if DIR is there. So DIR is the old backup or the new one at any moment, a power
 * cut included, as what was built is synced before.
 *
 * The file `backup`, the marker, is the first in it and the last to be removed, on the disk too, and
 * says of which store it is. By that an earlier backup of this store is known, the one thing with
 * something in it that is ever replaced; and so is what an interrupted one has left in DIR.partial, the
 * one thing that is ever removed. (A marker whose own write was cut off is known by what it may hold
 * then, alone beside the lock.) The configuration is the last (backup.c), so that nobody takes half a
 * backup for a store. The marker goes when the backup is changed by somebody who works in it: what
 * is in it then is nowhere else.
 *
 * Two do not work in one place: who builds has the lock of the store that DIR.partial is to be, and
 * of the one that DIR is, in which somebody may be at work.
 */
#include "version/backup-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/remove.h"
#include "base/sync.h"
#include "version/repo-private.h"

#define MARKER     "backup"
#define MARKER_MAX 4096
#define GROUP      "backup"
#define KEY        "store"
#define WAIT_MS    10000 /* for who has just been at work there */

/* ---- May it be there? -------------------------------------------------------------------- */

/* Is FD, a directory, the directory ST or below it? */
static bool is_within(int fd, const struct stat *st, bool *out_is, GError **error)
{
	prolly_autofd int at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat before = {0};
	struct stat here;

	for (;;) {
		if (at < 0 || fstat(at, &here) < 0)
			return prolly_throw_errno(error, errno, "find the directories above");
		*out_is = here.st_dev == st->st_dev && here.st_ino == st->st_ino;
		if (*out_is || (here.st_dev == before.st_dev && here.st_ino == before.st_ino))
			return true;
		before = here;
		int above = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		close(at);
		at = above;
	}
}

/* LINE of /proc/self/mountinfo: "36 35 0:45 ROOT POINT OPTIONS [...] - TYPE ...". */
static bool is_mount_of_ours(const char *line, dev_t device)
{
	const char *type = strstr(line, " - ");
	unsigned major_number;
	unsigned minor_number;

	return type && g_str_has_prefix(type, " - fuse.prollyfs ") &&
	       sscanf(line, "%*u %*u %u:%u ", &major_number, &minor_number) == 2 &&
	       device == makedev(major_number, minor_number);
}

/* A mount would have to serve what is written to it while it is written there. */
static bool is_mounted_store(dev_t device)
{
	g_autofree char *table = NULL;
	g_auto(GStrv) lines = NULL;
	bool is = false;

	if (!g_file_get_contents("/proc/self/mountinfo", &table, NULL, NULL))
		return false;
	lines = g_strsplit(table, "\n", -1);
	for (char **line = lines; *line && !is; line++)
		is = is_mount_of_ours(*line, device);
	return is;
}

static bool check_parent(const char *store, const char *dir, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(dir);
	prolly_autofd int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool is_in_store;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return prolly_throw_errno(error, errno, "%s", parent);
	if (is_mounted_store(st.st_dev))
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s is in a mount of a store: a backup goes elsewhere", dir);
	if (stat(store, &st) < 0)
		return prolly_throw_errno(error, errno, "%s", store);
	if (!is_within(fd, &st, &is_in_store, error))
		return false;
	return !is_in_store ||
	       prolly_throw(error, PROLLY_ERROR_INVALID,
			    "%s is in the store itself: a backup goes elsewhere", dir);
}

/* ---- What is there ----------------------------------------------------------------------- */

static char *new_marker(const char *id)
{
	return g_strdup_printf("# A backup of a prollyfs store, which the next one replaces: see "
			       "prollyfs-ctl(1).\n[" GROUP "]\n" KEY "=%s\n",
			       id);
}

static bool write_marker(const char *dir, const char *id, GError **error)
{
	g_autofree char *path = g_build_filename(dir, MARKER, NULL);
	g_autofree char *text = new_marker(id);
	prolly_autofd int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return prolly_throw_errno(error, errno, "make %s", path);
	return prolly_write_all(fd, text, strlen(text), path, error) &&
	       prolly_sync_path(path, error) && prolly_sync_path(dir, error);
}

/* What DIR's marker holds: its length, or -1. */
static ssize_t read_marker(const char *dir, char text[MARKER_MAX])
{
	g_autofree char *path = g_build_filename(dir, MARKER, NULL);
	prolly_autofd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -1 : read(fd, text, MARKER_MAX);
}

/* (transfer full) Of which store DIR is a backup, or NULL. */
static char *load_marker(const char *dir)
{
	g_autoptr(GKeyFile) keys = g_key_file_new();
	char text[MARKER_MAX];
	ssize_t len = read_marker(dir, text);

	if (len < 0 || !g_key_file_load_from_data(keys, text, (gsize)len, G_KEY_FILE_NONE, NULL))
		return NULL;
	return g_key_file_get_string(keys, GROUP, KEY, NULL);
}

bool prolly_backup_is(const char *path)
{
	g_autofree char *id = load_marker(path);

	return id != NULL;
}

void prolly_backup_forget(const char *path)
{
	g_autofree char *marker = g_build_filename(path, MARKER, NULL);

	/* On the disk before what is changed is, whoever has removed it. */
	if (unlink(marker) == 0 || errno == ENOENT)
		(void)prolly_sync_path(path, NULL);
}

static bool is_empty(const char *dir)
{
	g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);

	return entries && !g_dir_read_name(entries);
}

/* Sets place->before, with its lock. */
static bool take_before(ProllyBackupPlace *place, const char *id, GError **error)
{
	g_autofree char *found = NULL;
	struct stat st;

	if (lstat(place->dir, &st) < 0)
		return errno == ENOENT || prolly_throw_errno(error, errno, "%s", place->dir);
	if (!S_ISDIR(st.st_mode))
		return prolly_throw(error, PROLLY_ERROR_EXISTS, "%s exists and is no directory",
				    place->dir);
	found = load_marker(place->dir);
	if (!found && !is_empty(place->dir))
		return prolly_throw(error, PROLLY_ERROR_EXISTS, "%s is not empty, and no backup",
				    place->dir);
	if (found && strcmp(found, id) != 0)
		return prolly_throw(error, PROLLY_ERROR_EXISTS, "%s is a backup of another store",
				    place->dir);
	place->before = g_strdup(place->dir);
	return !found || prolly_lock_take(place->dir, NULL, WAIT_MS, &place->before_fd, error);
}

/* ---- The place it is built in ------------------------------------------------------------ */

/* Everything of an interrupted backup but the lock, which is held. */
static bool empty_partial(const char *partial, GError **error)
{
	g_autoptr(GDir) dir = g_dir_open(partial, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(partial, name, NULL);

		if (strcmp(name, "lock") != 0 && strcmp(name, MARKER) != 0 &&
		    !prolly_remove_tree(child, error))
			return false;
	}
	return true;
}

/* What cannot be removed now is removed by the next backup. */
static void remove_partial(const char *partial)
{
	g_autofree char *marker = g_build_filename(partial, MARKER, NULL);

	if (!empty_partial(partial, NULL) || !prolly_sync_path(partial, NULL))
		return;
	(void)unlink(marker);
	(void)prolly_remove_tree(partial, NULL);
}

/* Is the marker there what a write of it, for the store ID, may have left when it was cut off: fewer
 * bytes, or zeros for some of them? */
static bool is_marker_begun(const char *partial, const char *id)
{
	g_autofree char *whole = new_marker(id);
	char text[MARKER_MAX];
	ssize_t len = read_marker(partial, text);

	if (len < 0 || (size_t)len > strlen(whole))
		return false;
	for (ssize_t i = 0; i < len; i++)
		if (text[i] && text[i] != whole[i])
			return false;
	return true;
}

/* Nothing is in it but the lock, and the marker of which a part is written at most: its making was cut
 * off. */
static bool is_just_begun(const char *partial, const char *id)
{
	g_autoptr(GDir) dir = g_dir_open(partial, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (strcmp(name, "lock") != 0 &&
		    (strcmp(name, MARKER) != 0 || !is_marker_begun(partial, id)))
			return false;
	return dir != NULL;
}

static bool take_partial(ProllyBackupPlace *place, const char *id, GError **error)
{
	const char *partial = place->partial;
	g_autofree char *found = NULL;
	struct stat st;
	bool is_ours;

	if (mkdir(partial, 0700) < 0 && errno != EEXIST)
		return prolly_throw_errno(error, errno, "make %s", partial);
	if (lstat(partial, &st) < 0)
		return prolly_throw_errno(error, errno, "%s", partial);
	found = load_marker(partial);
	is_ours = g_strcmp0(found, id) == 0;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (!is_ours && !is_just_begun(partial, id)))
		return prolly_throw(error, PROLLY_ERROR_EXISTS,
				    "%s is in the way: the backup is built there", partial);
	if (!prolly_lock_take(partial, NULL, 0, &place->lock_fd, error))
		return false;
	if (chmod(partial, 0700) < 0)
		return prolly_throw_errno(error, errno, "%s", partial);
	return empty_partial(partial, error) && (is_ours || write_marker(partial, id, error));
}

/* Better now than when all is copied. */
static bool check_exchange(const ProllyBackupPlace *place, GError **error)
{
	g_autofree char *a = g_build_filename(place->partial, "a", NULL);
	g_autofree char *b = g_build_filename(place->partial, "b", NULL);
	int failure = 0;

	if (!place->before)
		return true;
	if (mkdir(a, 0700) < 0 || mkdir(b, 0700) < 0 ||
	    renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0)
		failure = errno;
	(void)rmdir(a);
	(void)rmdir(b);
	return failure == 0 ||
	       prolly_throw_errno(error, failure, "%s: two directories cannot be exchanged there",
				  place->dir);
}

bool prolly_backup_place_take(const char *store, const char *id, const char *dir,
			      ProllyBackupPlace *out_place, GError **error)
{
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	*out_place = (ProllyBackupPlace){.lock_fd = -1, .before_fd = -1};
	out_place->dir = g_strndup(dir, len);
	out_place->partial = g_strconcat(out_place->dir, ".partial", NULL);
	return check_parent(store, out_place->dir, error) && take_before(out_place, id, error) &&
	       take_partial(out_place, id, error) && check_exchange(out_place, error);
}

/* ---- The end ----------------------------------------------------------------------------- */

static bool sync_names(const ProllyBackupPlace *place, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(place->dir);

	return prolly_sync_path(parent, error);
}

bool prolly_backup_place_exchange(ProllyBackupPlace *place, GError **error)
{
	int result;

	if (!prolly_sync_tree(place->partial, error))
		return false;
	if (place->before)
		result = renameat2(AT_FDCWD, place->partial, AT_FDCWD, place->dir, RENAME_EXCHANGE);
	else
		result = rename(place->partial, place->dir);
	if (result < 0)
		return prolly_throw_errno(error, errno, "move %s to its place", place->partial);
	prolly_lock_release(place->lock_fd);
	place->lock_fd = -1;
	if (!sync_names(place, error))
		return false;
	if (place->before)
		remove_partial(place->partial);
	return true;
}

void prolly_backup_place_clear(ProllyBackupPlace *place)
{
	if (place->partial) {
		if (place->lock_fd >= 0)
			remove_partial(place->partial);
		prolly_lock_release(place->lock_fd);
		prolly_lock_release(place->before_fd);
	}
	g_free(place->dir);
	g_free(place->partial);
	g_free(place->before);
	*place = (ProllyBackupPlace){0};
}
