/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STORE/lock: one process has a store open. The lock is an open file description's (F_OFD_SETLK):
 * it ends with the process however that dies, conflicts between two openings in one process too,
 * and survives a fork while either side keeps it. The file's text only says who holds it:
 *
 *   pid 1234
 *   mount /mnt/x        if it is mounted; everything up to the last newline, so any path
 *
 * The file stays when the lock is given back, emptied: removing it would let two processes lock two
 * files of that name.
 */
#include "version/repo-private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_NAME "lock"
#define POLL_US   20000
#define TEXT_MAX  8192

/* What is no regular file is not waited for, and not followed. */
#define LOCK_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

static struct flock whole_file(short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

/* Who the file says holds it; it may be half-written. */
static void read_holder(int fd, pid_t *out_pid, char **out_mount)
{
	char text[TEXT_MAX + 1];
	ssize_t len = pread(fd, text, TEXT_MAX, 0);
	char *line;

	*out_pid = 0;
	*out_mount = NULL;
	if (len <= 0)
		return;
	text[len] = '\0';
	if (g_str_has_prefix(text, "pid "))
		*out_pid = (pid_t)strtol(text + strlen("pid "), NULL, 10);
	line = strchr(text, '\n');
	if (line && g_str_has_prefix(line, "\nmount ") && text[len - 1] == '\n')
		*out_mount = g_strndup(line + strlen("\nmount "),
				       (size_t)(text + len - 1 - (line + strlen("\nmount "))));
}

static bool throw_locked(int fd, const char *path, GError **error)
{
	g_autofree char *mount = NULL;
	pid_t pid;

	read_holder(fd, &pid, &mount);
	if (pid == 0)
		return prolly_throw(error, PROLLY_ERROR_LOCKED, "%s is open in another process",
				    path);
	if (!mount)
		return prolly_throw(error, PROLLY_ERROR_LOCKED, "%s is open in process %d", path,
				    (int)pid);
	return prolly_throw(error, PROLLY_ERROR_LOCKED, "%s is mounted on %s by process %d", path,
			    mount, (int)pid);
}

static bool wait_for_lock(int fd, const char *path, unsigned wait_ms, GError **error)
{
	gint64 deadline = g_get_monotonic_time() + (gint64)wait_ms * 1000;

	for (;;) {
		struct flock lock = whole_file(F_WRLCK);

		if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
			return true;
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return prolly_throw_errno(error, errno, "lock %s", path);
		if (g_get_monotonic_time() >= deadline)
			return throw_locked(fd, path, error);
		g_usleep(POLL_US);
	}
}

bool prolly_lock_take(const char *path, const char *mount, unsigned wait_ms, int *out_fd,
		      GError **error)
{
	g_autofree char *file = g_build_filename(path, LOCK_NAME, NULL);
	prolly_autofd int fd = open(file, O_RDWR | O_CREAT | LOCK_FLAGS, 0644);
	g_autofree char *text = NULL;

	if (fd < 0)
		return prolly_throw_errno(error, errno, "open %s", file);
	if (!wait_for_lock(fd, path, wait_ms, error))
		return false;

	text = mount ? g_strdup_printf("pid %d\nmount %s\n", (int)getpid(), mount)
		     : g_strdup_printf("pid %d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0)
		return prolly_throw_errno(error, errno, "truncate %s", file);
	if (!prolly_write_all(fd, text, strlen(text), file, error))
		return false;
	*out_fd = prolly_steal_fd(&fd);
	return true;
}

void prolly_lock_release(int fd)
{
	if (fd < 0)
		return;
	if (ftruncate(fd, 0) < 0)
		g_debug("cannot empty a lock: %s", g_strerror(errno));
	close(fd);
}

bool prolly_lock_find_holder(const char *path, pid_t *out_pid, char **out_mount, GError **error)
{
	g_autofree char *file = g_build_filename(path, LOCK_NAME, NULL);
	prolly_autofd int fd = open(file, O_RDONLY | LOCK_FLAGS);
	struct flock lock = whole_file(F_RDLCK);
	g_autofree char *mount = NULL;
	pid_t pid = 0;

	if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
		return prolly_throw_errno(error, errno, "open %s", file);
	if (fd >= 0) {
		if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
			return prolly_throw_errno(error, errno, "lock %s", file);
		if (lock.l_type != F_UNLCK)
			read_holder(fd, &pid, &mount);
	}
	*out_pid = pid;
	*out_mount = pid ? g_steal_pointer(&mount) : NULL;
	return true;
}
