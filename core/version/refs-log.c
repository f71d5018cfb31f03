/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reflogs, as git keeps them: a file of lines for each reference that has one.
 *
 * A line is added whole or not at all: the next would be a part of what is left of it. What a crash
 * or a full disk left of one is cut off before another is added. After a power cut the end may also
 * be zeros, where a disk has lost a part of what was written; that is for replay to cut.
 */
#include "version/refs-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char *get_path(const char *git_dir, const char *name)
{
	return g_strconcat(git_dir, "/logs/", name, NULL);
}

bool prolly_ref_log_load(const char *git_dir, const char *name, GBytes **out_log, GError **error)
{
	g_autofree char *path = get_path(git_dir, name);
	g_autoptr(GError) local = NULL;
	char *text = NULL;
	gsize len = 0;

	if (!g_file_get_contents(path, &text, &len, &local)) {
		if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
		    g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOTDIR) ||
		    g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_ISDIR)) {
			*out_log = NULL;
			return true;
		}
		return prolly_throw(error, PROLLY_ERROR_FAILED, "%s", local->message);
	}
	*out_log = g_bytes_new_take(text, len);
	return true;
}

/* ---- Whole lines -------------------------------------------------------------------------- */

/* The length of the whole lines at the start of the LEN bytes of TEXT. */
static gsize count_whole(const char *text, gsize len)
{
	while (len > 0 && text[len - 1] != '\n')
		len--;
	return len;
}

/* PATH has the LEN bytes of TEXT: cuts them to the whole lines among the first LIMIT. */
static bool cut(const char *path, const char *text, gsize len, gsize limit, gsize *out_whole,
		GError **error)
{
	gsize whole = count_whole(text, limit);

	if (whole < len && truncate(path, (off_t)whole) < 0)
		return prolly_throw_errno(error, errno, "truncate %s", path);
	*out_whole = whole;
	return true;
}

bool prolly_ref_log_mend(const char *git_dir, const ProllyRefUpdate *update, bool *out_has,
			 GError **error)
{
	g_autofree char *path = get_path(git_dir, update->name);
	g_autofree char *line = prolly_ref_update_to_line(update);
	g_autoptr(GBytes) log = NULL;
	const char *text;
	const char *zero;
	gsize len;
	gsize whole;

	*out_has = false;
	if (!prolly_ref_log_load(git_dir, update->name, &log, error))
		return false;
	if (!log)
		return true;
	text = g_bytes_get_data(log, &len);
	zero = memchr(text, '\0', len);
	if (!cut(path, text, len, zero ? (gsize)(zero - text) : len, &whole, error))
		return false;
	*out_has = whole >= strlen(line) &&
		   memcmp(text + whole - strlen(line), line, strlen(line)) == 0;
	return true;
}

/* ---- Adding a line ------------------------------------------------------------------------ */

/* Opens the reflog PATH at its end. */
static int open_log(const char *path, GError **error)
{
	int fd;

	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 && (errno == EISDIR || errno == ENOENT)) {
		prolly_ref_remove_empty(path);
		if (!prolly_ref_make_parents(path, error))
			return -1;
		fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	}
	if (fd < 0)
		prolly_throw_errno(error, errno, "open %s", path);
	return fd;
}

/* The end of FD, the reflog of NAME, once what is no whole line is cut off it. */
static bool find_end(const char *git_dir, const char *name, int fd, off_t *out_end, GError **error)
{
	g_autofree char *path = NULL;
	g_autoptr(GBytes) log = NULL;
	const char *text;
	char last;
	gsize len;
	gsize whole = 0;

	*out_end = lseek(fd, 0, SEEK_END);
	if (*out_end == 0 || (pread(fd, &last, 1, *out_end - 1) == 1 && last == '\n'))
		return true;
	path = get_path(git_dir, name);
	if (!prolly_ref_log_load(git_dir, name, &log, error))
		return false;
	text = log ? g_bytes_get_data(log, &len) : NULL;
	if (text && !cut(path, text, len, len, &whole, error))
		return false;
	*out_end = (off_t)whole;
	return true;
}

/* What the reference was called before goes on under its name, in FD. */
static bool write_head(int fd, GBytes *head, const char *path, GError **error)
{
	gsize len;
	const char *text = g_bytes_get_data(head, &len);

	return prolly_write_all(fd, text, count_whole(text, len), path, error);
}

bool prolly_ref_log_append(const char *git_dir, const ProllyRefUpdate *update, GError **error)
{
	g_autofree char *path = get_path(git_dir, update->name);
	g_autofree char *line = prolly_ref_update_to_line(update);
	prolly_autofd int fd = open_log(path, error);
	off_t end;

	if (fd < 0 || !find_end(git_dir, update->name, fd, &end, error))
		return false;
	if ((!update->log_head || end > 0 || write_head(fd, update->log_head, path, error)) &&
	    prolly_write_all(fd, line, strlen(line), path, error))
		return true;
	if (ftruncate(fd, end) < 0)
		g_debug("cannot cut %s: %s", path, g_strerror(errno));
	return false;
}
