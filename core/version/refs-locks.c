/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock files of references that a crash has left.
 *
 * Those we might have made were named in the database before (journal.c), and go if they have been
 * there for a second; any that is older than the machine's boot has nobody who could hold it.
 */
#include "version/repo-private.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_STALE_US 1000000

static gint64 get_boot_time_us(void)
{
	struct timespec now;
	struct timespec up;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return (now.tv_sec - up.tv_sec) * G_USEC_PER_SEC + (now.tv_nsec - up.tv_nsec) / 1000;
}

static gint64 get_mtime_us(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	return st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000;
}

/* One of ours, unless it is so young that a git of the present may have made it. */
static void break_own_lock(const char *path)
{
	gint64 mtime = get_mtime_us(path);
	gint64 age = g_get_real_time() - mtime;

	if (mtime == 0)
		return;
	if (age >= 0 && age < LOCK_STALE_US) {
		g_usleep((gulong)(LOCK_STALE_US - age));
		if (get_mtime_us(path) != mtime)
			return;
	}
	unlink(path);
}

static void break_old_locks(const char *path, gint64 boot)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	if (!dir)
		return;
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		if (g_str_has_suffix(name, ".lock")) {
			if (get_mtime_us(child) < boot)
				unlink(child);
		} else {
			break_old_locks(child, boot);
		}
	}
}

void prolly_refs_break_locks(const char *git_dir, const GPtrArray *updates)
{
	g_autofree char *refs = g_build_filename(git_dir, "refs", NULL);
	g_autofree char *packed = g_build_filename(git_dir, "packed-refs.lock", NULL);
	gint64 boot = get_boot_time_us();

	break_old_locks(refs, boot);
	if (get_mtime_us(packed) != 0 && get_mtime_us(packed) < boot)
		unlink(packed);
	for (guint i = 0; i < updates->len; i++) {
		const ProllyRefUpdate *update = g_ptr_array_index(updates, i);
		g_autofree char *lock = g_strconcat(git_dir, "/", update->name, ".lock", NULL);

		break_own_lock(lock);
		if (prolly_commit_id_is_zero(&update->to))
			break_own_lock(packed);
	}
}
