/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: the database as it is at one moment, in a directory of its own, while others go on.
 *
 * RocksDB can make one, but as Debian builds it, it ends the process by an assertion when it cannot
 * write one of the copies. So this is done here, with no file deleted meanwhile:
 *
 *   manifest   copied as far as it goes: which tables there are, as of a moment M
 *   logs       copied likewise, in their order: all that was written since, and up to a later moment
 *   tables     links: those never change
 *   CURRENT    the name of the manifest
 *
 * That is what a crash might have left, and is opened as such. A manifest or log that ends within a
 * record is taken for cut short there. What became of a table after M, by a flush or a compaction, is
 * not known to the checkpoint, which has what it was made of, in the log or in tables that are still
 * there. Tables that are none of M's are removed when it is opened.
 *
 *  I1  No table is adopted between M and the end of the logs: what the log then says of its nodes
 *      would be there without them (adoption_lock).
 *  I2  A log that is not the last one of a listing was complete when the listing was made, so that what
 *      is copied of the logs in their order has no gap.
 *
 * A log longer than LOG_MAX is flushed first, as it would be copied anew each time. The mark that goes
 * with it says what was durable before it began, so that a checkpoint that lost some of that is
 * found out as the database itself would be (db-mark.c).
 */
#include "store/db-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/copy.h"

#define LOG_MAX  (16u << 20)
#define ROOM_MAX (LOG_MAX + (8u << 20)) /* of log and manifest */

typedef struct {
	ProllyDb *db;
	const char *path;
	GPtrArray *names; /* of char *: the database's files */
} Checkpoint;

/* ---- One file ---------------------------------------------------------------------------- */

static int create(const char *path, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0)
		prolly_throw_errno(error, errno, "make %s", path);
	return fd;
}

/* What NAME holds now. One that is gone was not needed any more. */
static bool copy_file(const Checkpoint *self, const char *name, GError **error)
{
	g_autofree char *from = g_build_filename(self->db->path, name, NULL);
	g_autofree char *to = g_build_filename(self->path, name, NULL);
	prolly_autofd int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	struct stat st;

	if (in < 0 && errno == ENOENT)
		return true;
	if (in < 0 || fstat(in, &st) < 0)
		return prolly_throw_errno(error, errno, "open %s", from);
	out = create(to, error);
	return out >= 0 && prolly_copy_bytes(in, out, (uint64_t)st.st_size, from, to, NULL, error);
}

static bool link_file(const Checkpoint *self, const char *name, GError **error)
{
	g_autofree char *from = g_build_filename(self->db->path, name, NULL);
	g_autofree char *to = g_build_filename(self->path, name, NULL);

	if (link(from, to) == 0 || errno == ENOENT)
		return true;
	if (errno == EXDEV || errno == EPERM || errno == ENOTSUP || errno == EMLINK)
		return copy_file(self, name, error);
	return prolly_throw_errno(error, errno, "link %s", to);
}

/* ---- The files --------------------------------------------------------------------------- */

static int compare_numbers(gconstpointer a, gconstpointer b)
{
	uint64_t x = g_ascii_strtoull(*(char *const *)a, NULL, 10);
	uint64_t y = g_ascii_strtoull(*(char *const *)b, NULL, 10);

	return x < y ? -1 : x > y;
}

/* Those whose names are numbers in their order: logs, and tables. */
static bool list_names(Checkpoint *self, GError **error)
{
	GDir *dir = g_dir_open(self->db->path, 0, NULL);
	const char *name;

	if (!dir)
		return prolly_throw_errno(error, errno, "open %s", self->db->path);
	g_ptr_array_set_size(self->names, 0);
	while ((name = g_dir_read_name(dir)))
		g_ptr_array_add(self->names, g_strdup(name));
	g_dir_close(dir);
	g_ptr_array_sort(self->names, compare_numbers);
	return true;
}

static bool is_table(const char *name)
{
	return g_str_has_suffix(name, ".sst");
}

static bool is_log(const char *name)
{
	return g_ascii_isdigit(name[0]) && g_str_has_suffix(name, ".log");
}

static bool is_options(const char *name)
{
	return g_str_has_prefix(name, "OPTIONS-") && !strchr(name, '.');
}

typedef bool (*Carry)(const Checkpoint *self, const char *name, GError **error);

static bool carry_all(Checkpoint *self, bool (*is_one)(const char *name), Carry carry,
		      GError **error)
{
	for (guint i = 0; i < self->names->len; i++) {
		const char *name = g_ptr_array_index(self->names, i);

		if (is_one(name) && !carry(self, name, error))
			return false;
	}
	return true;
}

/* ---- The moment -------------------------------------------------------------------------- */

/* (transfer full) What CURRENT holds: the manifest's name, and a newline. */
static bool load_current(const Checkpoint *self, char **out_text, GError **error)
{
	g_autofree char *path = g_build_filename(self->db->path, "CURRENT", NULL);
	g_autoptr(GError) local = NULL;

	return g_file_get_contents(path, out_text, NULL, &local) ||
	       prolly_throw(error, PROLLY_ERROR_FAILED, "%s", local->message);
}

static bool write_current(const Checkpoint *self, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(self->path, "CURRENT", NULL);
	prolly_autofd int fd = create(path, error);

	return fd >= 0 && prolly_write_all(fd, text, strlen(text), path, error);
}

/* Should RocksDB begin a new manifest meanwhile, the one before stays, as of then. */
static bool capture(Checkpoint *self, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->db->adoption_lock);
	g_autofree char *current = NULL;
	g_autofree char *manifest = NULL;

	if (!load_current(self, &current, error))
		return false;
	manifest = g_strndup(current, strcspn(current, "\n"));
	return copy_file(self, manifest, error) && list_names(self, error) &&
	       carry_all(self, is_log, copy_file, error) &&
	       carry_all(self, is_table, link_file, error) &&
	       carry_all(self, is_options, copy_file, error) && write_current(self, current, error);
}

/* With no file deleted meanwhile: those that M names are there to its end. */
static bool capture_undisturbed(Checkpoint *self, GError **error)
{
	char *failure = NULL;
	bool ok;

	rocksdb_disable_file_deletions(self->db->rocks, &failure);
	if (failure)
		return prolly_db_throw(error, failure, self->path);
	ok = capture(self, error);
	rocksdb_enable_file_deletions(self->db->rocks, 0, &failure);
	/* They are deleted by and by, then. */
	g_clear_pointer(&failure, rocksdb_free);
	return ok;
}

bool prolly_db_checkpoint(ProllyDb *db, const char *path, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	Checkpoint self = {.db = db, .path = path, .names = names};
	g_autofree char *mark_path = g_strconcat(path, ".mark", NULL);
	g_autoptr(ProllyDbMark) mark = NULL;
	uint64_t reached;

	if (db->in_memory)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "a database in memory has no files to copy");
	if (!prolly_db_claim_room(db, ROOM_MAX, error))
		return false;
	prolly_db_shorten_log(db, LOG_MAX);
	if (!prolly_db_sync(db, error))
		return false;
	reached = prolly_db_mark_get(db->mark);
	if (mkdir(path, 0777) < 0)
		return prolly_throw_errno(error, errno, "make %s", path);
	if (!capture_undisturbed(&self, error) || !prolly_db_mark_create(mark_path, &mark, error))
		return false;
	prolly_db_mark_raise(mark, reached);
	return true;
}
