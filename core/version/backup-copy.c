/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a store's files into a backup.
 *
 * A file that never changes under its name (a table, a node, an object of git) is a link to that of
 * the backup before, if that has one of the same size and time; what is copied keeps its time
 * for that. The name alone would not do: a backup that is opened goes on with numbers of its own, so
 * the next table of the store and that of the backup have one name. A backup never shares a file with
 * the store itself, so that what damages one leaves the other.
 *
 * What a store has is files and directories; anything else is refused, as it would be something else
 * when it is read elsewhere.
 */
#include "version/backup-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/copy.h"

#define PIECE 262144

static bool tell(ProllyBackupCopy *copy, GError **error)
{
	const ProllyBackupOptions *options = copy->options;

	return !options || !options->progress ||
	       options->progress(copy->figures.copied_files, copy->figures.copied_bytes,
				 options->data, error);
}

/* ---- One file ---------------------------------------------------------------------------- */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return S_ISREG(b->st_mode) && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The file of the backup before, as TO: false if it has none such, or there are no links. */
static bool link_before(const ProllyBackupCopy *copy, const struct stat *wanted, const char *name,
			const char *to)
{
	g_autofree char *before = NULL;
	struct stat st;

	if (!copy->place->before)
		return false;
	before = g_build_filename(copy->place->before, name, NULL);
	return lstat(before, &st) == 0 && is_same(wanted, &st) && link(before, to) == 0;
}

/* Up to LEN bytes: what is added meanwhile comes with the next backup. */
static bool copy_told(ProllyBackupCopy *copy, int in, int out, uint64_t len, const char *from,
		      const char *to, GError **error)
{
	uint64_t n = len;

	for (uint64_t done = 0; n > 0 && done < len; done += n) {
		if (!prolly_copy_bytes(in, out, MIN(len - done, PIECE), from, to, &n, error))
			return false;
		copy->figures.copied_bytes += n;
		if (!tell(copy, error))
			return false;
	}
	return true;
}

static bool copy_contents(ProllyBackupCopy *copy, int in, const struct stat *st, const char *from,
			  const char *to, GError **error)
{
	struct timespec times[2] = {st->st_atim, st->st_mtim};
	prolly_autofd int out =
		open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (out < 0)
		return prolly_throw_errno(error, errno, "make %s", to);
	if (!copy_told(copy, in, out, (uint64_t)st->st_size, from, to, error))
		return false;
	if (fchmod(out, st->st_mode & 0777) < 0 || futimens(out, times) < 0)
		return prolly_throw_errno(error, errno, "make %s", to);
	copy->figures.copied_files++;
	return true;
}

/* There is no file any more where one was a moment ago. */
static bool pass_over(ProllyBackupCopy *copy, bool is_fixed)
{
	copy->has_lost |= is_fixed;
	return true;
}

static bool copy_file(ProllyBackupCopy *copy, const char *from, const char *name, bool is_fixed,
		      GError **error)
{
	g_autofree char *to = g_build_filename(copy->place->partial, name, NULL);
	prolly_autofd int in = -1;
	struct stat st;

	if (is_fixed && lstat(to, &st) == 0)
		return true;
	in = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (in < 0 && errno == ENOENT)
		return pass_over(copy, is_fixed);
	if (in < 0 || fstat(in, &st) < 0)
		return prolly_throw_errno(error, errno, "open %s", from);
	copy->figures.files++;
	copy->figures.bytes += (uint64_t)st.st_size;
	if (is_fixed && link_before(copy, &st, name, to))
		return tell(copy, error);
	return copy_contents(copy, in, &st, from, to, error);
}

/* ---- Directories ------------------------------------------------------------------------- */

/* What is interrupted leaves files of such names; but for that of a lock, references have them too. */
static bool is_stray(const char *name, ProllyBackupNature nature)
{
	if (g_str_has_suffix(name, ".lock"))
		return true;
	return nature != PROLLY_BACKUP_CHANGING &&
	       (g_str_has_prefix(name, "tmp_") || strcmp(name, "incoming") == 0);
}

static bool is_fixed(const char *name, ProllyBackupNature nature)
{
	return nature == PROLLY_BACKUP_FIXED ||
	       (nature == PROLLY_BACKUP_TABLES && g_str_has_suffix(name, ".sst"));
}

static bool copy_directory(ProllyBackupCopy *copy, const char *from, const char *name,
			   const struct stat *st, ProllyBackupNature nature, GError **error)
{
	g_autofree char *to = g_build_filename(copy->place->partial, name, NULL);
	g_autoptr(GDir) dir = g_dir_open(from, 0, NULL);
	const char *entry;

	if (!dir && errno == ENOENT)
		return true;
	if (!dir)
		return prolly_throw_errno(error, errno, "open %s", from);
	if (mkdir(to, (st->st_mode & 0777) | S_IRWXU) < 0 && errno != EEXIST)
		return prolly_throw_errno(error, errno, "make %s", to);
	while ((entry = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(from, entry, NULL);
		g_autofree char *child_name = g_build_filename(name, entry, NULL);

		if (!is_stray(entry, nature) &&
		    !prolly_backup_copy(copy, child, child_name, nature, error))
			return false;
	}
	return true;
}

bool prolly_backup_copy(ProllyBackupCopy *copy, const char *from, const char *name,
			ProllyBackupNature nature, GError **error)
{
	struct stat st;

	if (lstat(from, &st) < 0 && errno == ENOENT)
		return pass_over(copy, is_fixed(from, nature));
	if (lstat(from, &st) < 0)
		return prolly_throw_errno(error, errno, "read %s", from);
	if (S_ISDIR(st.st_mode))
		return copy_directory(copy, from, name, &st, nature, error);
	if (!S_ISREG(st.st_mode))
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%s is neither a file nor a directory: it cannot be copied",
				    from);
	return copy_file(copy, from, name, is_fixed(from, nature), error);
}

/* FILE is in the backup, and is not to be. */
static bool take_back(ProllyBackupCopy *copy, const char *file, GError **error)
{
	struct stat st;

	if (lstat(file, &st) < 0 || unlink(file) < 0)
		return prolly_throw_errno(error, errno, "remove %s", file);
	copy->figures.files--;
	copy->figures.bytes -= (uint64_t)st.st_size;
	if (st.st_nlink == 1) { /* no link to that of the backup before */
		copy->figures.copied_files--;
		copy->figures.copied_bytes -= (uint64_t)st.st_size;
	}
	return true;
}

bool prolly_backup_drop_gone(ProllyBackupCopy *copy, const char *from, const char *name,
			     const char *lasting, GError **error)
{
	g_autofree char *to = g_build_filename(copy->place->partial, name, NULL);
	g_autoptr(GDir) dir = g_dir_open(to, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *source = g_build_filename(from, entry, NULL);
		g_autofree char *file = g_build_filename(to, entry, NULL);

		if ((!g_str_has_prefix(entry, lasting) ||
		     !g_file_test(source, G_FILE_TEST_EXISTS)) &&
		    !take_back(copy, file, error))
			return false;
	}
	return true;
}
