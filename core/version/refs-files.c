/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The references of STORE/git as git keeps them: loose files, packed-refs, reflogs (refs-log.c).
 * libgit2 reads and deletes; listing is ours, because libgit2 goes through all references to list a
 * few; and so is moving, because a move has to hold git's lock of the reference while something else,
 * the journal, becomes durable, and libgit2 has no compare-and-hold.
 *
 * A move: make NAME.lock as git does (O_EXCL), compare what the reference says, write the new value
 * into the lock file; later append to the reflog and rename the lock file onto the reference. git
 * itself is kept out from the first step to the last, and a git that holds the lock is waited for
 * shortly. What is made is held likewise, once there is a place for it: no other reference where it
 * needs a directory, and no directory where it is a file. What git makes of those since, and what it
 * deletes, stands: the lock file does not keep it from that.
 *
 * The new value takes the reference's place by an exchange of the two names, where the filesystem
 * can: to be replaced by a rename makes ext4 write the new file out first, which takes as long as a
 * sync. Nothing is lost by that, since the journal has the move until the directory was synced.
 *
 * A crash leaves lock files (refs-locks.c). So does an error, if they cannot even be removed: then the
 * next move does it.
 *
 * Replay makes those updates again whose reference stands where they began, or where they ended: what
 * is seen there may never have come to the disk. Where git moved it
 * there after we had moved it away, the reflog tells. After a power cut a loose reference may be
 * empty, and the end of a reflog may be zeros: replay takes an unreadable reference for one that
 * stands where the journal says it stood, and cuts a reflog to its last whole line. An unreadable one
 * is not removed first: were the power cut again, it would seem to have been deleted by git.
 */
#include "version/refs-private.h"

#include <dirent.h>
#include <fcntl.h>
#include <git2/refdb.h>
#include <git2/sys/repository.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_WAIT_US 500000
#define LOCK_POLL_US 5000

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DIR, closedir)

typedef struct {
	ProllyRefs base;
	git_repository *repo; /* borrowed */
	ProllySpares *spares; /* borrowed */
	char *dir;
	ProllyPackedRefs packed;
	char *last_found; /* when one was asked for (find_last); nullable */
	ProllyRefListing *listing;
	GHashTable *held; /* names of references whose lock file is ours, from lock to apply */
	GHashTable *left; /* lock file of ours that could not be removed -> its struct stat */
} FileRefs;

static FileRefs *as_files(ProllyRefs *refs)
{
	return (FileRefs *)refs;
}

static char *get_path(FileRefs *files, const char *name)
{
	return g_strconcat(files->dir, "/", name, NULL);
}

static char *get_lock_path(FileRefs *files, const char *name)
{
	return g_strconcat(files->dir, "/", name, ".lock", NULL);
}

/* ---- Reading ----------------------------------------------------------------------------- */

static bool files_get(ProllyRefs *refs, const char *name, ProllyCommitId *out_id, bool *out_found,
		      GError **error)
{
	git_oid oid;
	int result = git_reference_name_to_id(&oid, as_files(refs)->repo, name);

	if (result < 0 && result != GIT_ENOTFOUND) {
		prolly_throw_git(error, result, "%s", name);
		if (error)
			(*error)->code = PROLLY_ERROR_CORRUPT;
		return false;
	}
	*out_found = result == 0;
	if (*out_found)
		prolly_commit_id_from_oid(&oid, out_id);
	return true;
}

/* ---- Listing ----------------------------------------------------------------------------- */

/* Adds NAME unless it is the lock file of a reference. */
static void add_name(GPtrArray *names, const char *name)
{
	if (!g_str_has_suffix(name, ".lock"))
		g_ptr_array_add(names, g_strdup(name));
}

/* Adds the references that are files below NAME ("refs/heads/"), which need not be there. */
static bool list_loose(FileRefs *files, const char *name, guint max, GPtrArray *names,
		       GError **error)
{
	g_autofree char *path = get_path(files, name);
	g_autoptr(DIR) dir = opendir(path);
	g_autoptr(GString) child = g_string_new(name);
	int64_t now = g_get_real_time();
	guint first = names->len;
	bool is_flat = true;
	const struct dirent *entry;
	struct stat stamp;

	if (!dir || fstat(dirfd(dir), &stamp) < 0)
		return errno == ENOENT || errno == ENOTDIR ||
		       prolly_throw_errno(error, errno, "list %s", path);
	if (max == G_MAXUINT && prolly_ref_listing_get(files->listing, name, &stamp, names))
		return true;
	while (names->len < max && (entry = readdir(dir))) {
		struct stat st;
		bool is_directory = entry->d_type == DT_DIR;

		if (entry->d_name[0] == '.') /* no reference begins with it */
			continue;
		g_string_truncate(child, strlen(name));
		g_string_append(child, entry->d_name);
		if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK)
			is_directory = fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 &&
				       S_ISDIR(st.st_mode);
		if (!is_directory) {
			add_name(names, child->str);
			continue;
		}
		is_flat = false;
		g_string_append_c(child, '/');
		if (!list_loose(files, child->str, max, names, error))
			return false;
	}
	if (max == G_MAXUINT && is_flat)
		prolly_ref_listing_set(files->listing, name, &stamp, now, names, first);
	return true;
}

/* Adds the packed references below PREFIX that are no files, which would hide them. */
static bool list_packed(FileRefs *files, const char *prefix, guint max, GPtrArray *names,
			GError **error)
{
	const GPtrArray *packed = files->packed.names;
	g_autoptr(GHashTable) loose = NULL;

	if (!prolly_packed_refs_load(&files->packed, files->dir, error))
		return false;
	for (guint i = prolly_packed_refs_find(&files->packed, prefix); i < packed->len; i++) {
		const char *name = g_ptr_array_index(packed, i);

		if (names->len >= max || !g_str_has_prefix(name, prefix))
			break;
		if (!loose) {
			loose = g_hash_table_new(g_str_hash, g_str_equal);
			for (guint j = 0; j < names->len; j++)
				g_hash_table_add(loose, g_ptr_array_index(names, j));
		}
		if (!g_hash_table_contains(loose, name))
			add_name(names, name);
	}
	return true;
}

/* Adds the one that was found last, if it starts with PREFIX and is a file still. A directory of
 * thousands takes long to open, and is asked for again with each name that is looked up in it. */
static void find_last(FileRefs *files, const char *prefix, GPtrArray *names)
{
	g_autofree char *path = NULL;
	struct stat st;

	if (!files->last_found || !g_str_has_prefix(files->last_found, prefix))
		return;
	path = get_path(files, files->last_found);
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		g_ptr_array_add(names, g_strdup(files->last_found));
}

/* Loose ones first: git packs a reference before it removes its file, so none is missed. */
static bool files_list(ProllyRefs *refs, const char *prefix, guint max, GPtrArray *names,
		       GError **error)
{
	FileRefs *files = as_files(refs);

	if (max == 1)
		find_last(files, prefix, names);
	if (names->len >= max)
		return true;
	if (!list_loose(files, prefix, max, names, error) ||
	    !list_packed(files, prefix, max, names, error))
		return false;
	if (max == 1 && names->len) {
		g_free(files->last_found);
		files->last_found = g_strdup(names->pdata[0]);
	}
	return true;
}

/* ---- Moving ------------------------------------------------------------------------------ */

/* Removes LOCK, a lock file of ours: now, or when the next move finds it. */
static void drop_lock(FileRefs *files, const char *lock)
{
	struct stat st;

	if (unlink(lock) < 0 && lstat(lock, &st) == 0)
		g_hash_table_replace(files->left, g_strdup(lock), g_memdup2(&st, sizeof(st)));
}

/* Was LOCK left by drop_lock, and is it gone now? */
static bool drop_left_lock(FileRefs *files, const char *lock)
{
	const struct stat *left = g_hash_table_lookup(files->left, lock);
	struct stat st;

	if (!left || lstat(lock, &st) < 0 || st.st_dev != left->st_dev ||
	    st.st_ino != left->st_ino || st.st_mtim.tv_nsec != left->st_mtim.tv_nsec ||
	    unlink(lock) < 0)
		return false;
	g_hash_table_remove(files->left, lock);
	return true;
}

static bool put_lock(FileRefs *files, const char *path, const char *text, bool *out_exists,
		     GError **error)
{
	g_autoptr(GError) local = NULL;

	if (prolly_spares_put_new(files->spares, path, text, strlen(text), 0666, out_exists,
				  &local))
		return true;
	if (!g_error_matches(local, PROLLY_ERRNO, ENOENT)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return false;
	}
	return prolly_ref_make_parents(path, error) &&
	       prolly_spares_put_new(files->spares, path, text, strlen(text), 0666, out_exists,
				     error);
}

/* While git holds the lock PATH, which is in the way of UPDATE. */
static bool wait_for_lock(const ProllyRefUpdate *update, const char *path, gint64 deadline,
			  GError **error)
{
	do {
		if (g_get_monotonic_time() >= deadline)
			return prolly_throw(error, PROLLY_ERROR_BUSY,
					    "%s is locked by another git process (%s exists)",
					    update->name, path);
		g_usleep(LOCK_POLL_US);
	} while (access(path, F_OK) == 0);
	return true;
}

/* Makes PATH, a lock file, with the reference's new value in it. */
static bool make_lock(FileRefs *files, const char *path, const ProllyRefUpdate *update,
		      GError **error)
{
	gint64 deadline = g_get_monotonic_time() + LOCK_WAIT_US;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autofree char *text = g_strconcat(prolly_commit_id_to_hex(&update->to, hex), "\n", NULL);
	bool exists;

	while (true) {
		if (!put_lock(files, path, text, &exists, error))
			return false;
		if (!exists)
			return true;
		if (!drop_left_lock(files, path) && !wait_for_lock(update, path, deadline, error))
			return false;
	}
}

/* Is NAME a file with an id in it? That is most often so, and libgit2 looks at it twice. */
static bool read_loose(FileRefs *files, const char *name, ProllyCommitId *out_id)
{
	g_autofree char *path = get_path(files, name);
	prolly_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[PROLLY_COMMIT_ID_HEX_SIZE + 1];

	if (fd < 0 || read(fd, text, sizeof(text)) != PROLLY_COMMIT_ID_HEX_SIZE ||
	    text[PROLLY_COMMIT_ID_HEX_SIZE - 1] != '\n')
		return false;
	text[PROLLY_COMMIT_ID_HEX_SIZE - 1] = '\0';
	return prolly_commit_id_from_hex(text, out_id);
}

static bool compare(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error)
{
	ProllyCommitId id = {{0}};
	bool found;

	if (!read_loose(as_files(refs), update->name, &id) &&
	    !files_get(refs, update->name, &id, &found, error))
		return false;
	if (!prolly_commit_id_equal(&id, &update->from))
		return prolly_throw(error, PROLLY_ERROR_STALE, "%s was moved meanwhile",
				    update->name);
	return true;
}

static bool is_move(const ProllyRefUpdate *update)
{
	return !prolly_commit_id_is_zero(&update->from) && !prolly_commit_id_is_zero(&update->to);
}

/* Who deletes a reference needs git's lock of packed-refs: whoever has that may be about to write the
 * reference there. */
static bool check_packed(FileRefs *files, const ProllyRefUpdate *update, GError **error)
{
	gint64 deadline = g_get_monotonic_time() + LOCK_WAIT_US;
	g_autofree char *lock = get_lock_path(files, "packed-refs");

	return !prolly_commit_id_is_zero(&update->to) || access(lock, F_OK) < 0 ||
	       wait_for_lock(update, lock, deadline, error);
}

/* ---- What is in the way --------------------------------------------------------------------- */

/* (transfer full) The reference, other than EXCEPT (nullable), beside which NAME cannot be made, or
 * else another file that is in its way; NULL: none. */
static bool find_clash(FileRefs *files, const char *name, const char *except, char **out_other,
		       GError **error)
{
	g_autofree char *path = get_path(files, name);
	g_autofree char *other = prolly_ref_dup_above(files->dir, name);

	if (g_strcmp0(other, except) == 0)
		g_clear_pointer(&other, g_free);
	if (!prolly_packed_refs_load(&files->packed, files->dir, error))
		return false;
	if (!other)
		other = g_strdup(prolly_packed_refs_find_clash(&files->packed, name, except));
	if (!other) {
		prolly_ref_remove_empty(path);
		other = prolly_ref_dup_below(files->dir, name, except);
	}
	*out_other = g_steal_pointer(&other);
	return true;
}

/* Whatever is in the way of what UPDATE makes is found before anything has happened. Who is about to
 * make a reference below it is waited for. */
static bool check_place(FileRefs *files, const ProllyRefUpdate *update, GError **error)
{
	gint64 deadline = g_get_monotonic_time() + LOCK_WAIT_US;

	while (true) {
		g_autofree char *other = NULL;
		g_autofree char *path = NULL;

		if (!find_clash(files, update->name, update->old_name, &other, error))
			return false;
		if (!other)
			return true;
		if (!prolly_ref_is_lock(other))
			return prolly_ref_throw_clash(update, other, error);
		path = get_path(files, other);
		if (!wait_for_lock(update, path, deadline, error))
			return false;
	}
}

/* The same when UPDATE has happened: *OUT_IS says that git has made another reference since, beside
 * which its own cannot be made, and that stands. A reflog that it has got goes, as with whoever
 * deletes a reference. */
static bool is_superseded(FileRefs *files, const ProllyRefUpdate *update, bool *out_is,
			  GError **error)
{
	g_autofree char *other = NULL;
	g_autofree char *log = g_strconcat(files->dir, "/logs/", update->name, NULL);

	if (!find_clash(files, update->name, NULL, &other, error))
		return false;
	*out_is = other && prolly_ref_is_reference(other);
	if (!*out_is)
		return true;
	g_debug("%s is not made: git has made %s", update->name, other);
	if (unlink(log) < 0 && errno != ENOENT && errno != ENOTDIR && errno != EISDIR)
		return prolly_throw_errno(error, errno, "remove %s", log);
	return true;
}

/* Lock files below what UPDATE has made, which has happened: nobody makes a reference of one, now or
 * later. Who is at it is given the time to see that. */
static bool break_locks_below(FileRefs *files, const ProllyRefUpdate *update, GError **error)
{
	gint64 deadline = g_get_monotonic_time() + LOCK_WAIT_US;

	while (true) {
		g_autofree char *other = prolly_ref_dup_below(files->dir, update->name, NULL);
		g_autofree char *path = NULL;

		if (!other || !prolly_ref_is_lock(other))
			return true;
		path = get_path(files, other);
		if (wait_for_lock(update, path, deadline, NULL))
			continue;
		if (unlink(path) < 0 && errno != ENOENT)
			return prolly_throw_errno(error, errno, "remove %s", path);
	}
}

/* ---- Locking ------------------------------------------------------------------------------- */

/* Is it below what it is renamed from? It has no place before that is deleted. */
static bool has_no_place_yet(const ProllyRefUpdate *update)
{
	return update->old_name && prolly_ref_is_below(update->name, update->old_name);
}

static bool files_lock(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error)
{
	FileRefs *files = as_files(refs);
	g_autofree char *lock = get_lock_path(files, update->name);

	if (prolly_commit_id_is_zero(&update->to))
		return check_packed(files, update, error) && compare(refs, update, error);
	if (!is_move(update) &&
	    (!compare(refs, update, error) || !check_place(files, update, error)))
		return false;
	if (has_no_place_yet(update))
		return true;
	if (!make_lock(files, lock, update, error))
		return false;
	if (!compare(refs, update, error)) {
		drop_lock(files, lock);
		return false;
	}
	g_hash_table_add(files->held, g_strdup(update->name));
	return true;
}

static void files_unlock(ProllyRefs *refs, const ProllyRefUpdate *update)
{
	FileRefs *files = as_files(refs);
	g_autofree char *lock = get_lock_path(files, update->name);

	if (g_hash_table_remove(files->held, update->name))
		drop_lock(files, lock);
}

/* ---- Applying ------------------------------------------------------------------------------ */

/* Errno. */
static int replace_file(FileRefs *files, const char *from, const char *path)
{
	int result;

	if (renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
		return rename(from, path) < 0 ? errno : 0;
	result = prolly_spares_remove(files->spares, from);
	if (result != EISDIR) {
		if (result)
			drop_lock(files, from);
		return 0;
	}
	/* What stood there was no file, which an exchange does not mind. */
	(void)renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_EXCHANGE);
	return rename(from, path) < 0 ? errno : 0;
}

/* From the lock file to the reference. The reflog comes first, as git does it; a disk too full for
 * its line does not undo what the journal has. */
static bool finish_move(FileRefs *files, const ProllyRefUpdate *update, GError **error)
{
	g_autofree char *path = get_path(files, update->name);
	g_autofree char *lock = get_lock_path(files, update->name);
	g_autoptr(GError) local = NULL;
	int result;

	if (*update->log && !prolly_ref_log_append(files->dir, update, &local))
		g_debug("reflog of %s: %s", update->name, local->message);
	result = replace_file(files, lock, path);
	if (result) {
		prolly_throw_errno(error, result, "move %s", path);
		drop_lock(files, lock);
		return false;
	}
	return true;
}

static bool stands_at(const git_reference *reference, const ProllyCommitId *id)
{
	const git_oid *target = git_reference_target(reference);

	return target && memcmp(target->id, id->bytes, PROLLY_COMMIT_ID_SIZE) == 0;
}

/* libgit2 takes a reference out of what it knows of packed-refs before it writes that: if it cannot, it
 * would not find it there again. */
static void forget_packed(git_repository *repo)
{
	git_refdb *fresh = NULL;

	if (git_refdb_open(&fresh, repo) == 0)
		(void)git_repository_set_refdb(repo, fresh);
	git_refdb_free(fresh);
}

static bool delete_ref(FileRefs *files, const ProllyRefUpdate *update, GError **error)
{
	g_autoptr(git_reference) reference = NULL;
	int result;

	if (!check_packed(files, update, error)) /* taken since */
		return false;
	result = git_reference_lookup(&reference, files->repo, update->name);
	if (result == GIT_ENOTFOUND)
		return true;
	if (result == 0 && !stands_at(reference, &update->from))
		return true;
	if (result == 0)
		result = git_reference_delete(reference);
	if (result < 0 && result != GIT_EMODIFIED && result != GIT_ENOTFOUND) {
		prolly_throw_git(error, result, "delete %s", update->name);
		forget_packed(files->repo);
		return false;
	}
	return true;
}

/* IS_HELD: its lock file is ours already. */
static bool create_ref(FileRefs *files, const ProllyRefUpdate *update, bool is_held, GError **error)
{
	g_autofree char *lock = get_lock_path(files, update->name);
	ProllyCommitId id;
	bool is_superseded_now = false;
	bool found = false;
	bool ok = is_superseded(files, update, &is_superseded_now, error);

	if (ok && !is_superseded_now && !is_held)
		ok = is_held = make_lock(files, lock, update, error);
	if (ok && !is_superseded_now)
		ok = files_get(&files->base, update->name, &id, &found, error);
	if (ok && !is_superseded_now && !found)
		return finish_move(files, update, error);
	if (is_held)
		drop_lock(files, lock);
	return ok;
}

static bool files_apply(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error)
{
	FileRefs *files = as_files(refs);
	bool is_held = g_hash_table_remove(files->held, update->name);

	if (prolly_commit_id_is_zero(&update->to))
		return delete_ref(files, update, error);
	if (prolly_commit_id_is_zero(&update->from))
		return create_ref(files, update, is_held, error);
	return finish_move(files, update, error);
}

static bool files_restore(ProllyRefs *refs, const char *name, const ProllyCommitId *id,
			  GError **error)
{
	FileRefs *files = as_files(refs);
	ProllyRefUpdate update = {.name = (char *)name, .to = *id, .log = (char *)""};
	g_autofree char *lock = get_lock_path(files, name);

	return make_lock(files, lock, &update, error) && finish_move(files, &update, error);
}

static bool files_load_log(ProllyRefs *refs, const char *name, GBytes **out_log, GError **error)
{
	return prolly_ref_log_load(as_files(refs)->dir, name, out_log, error);
}

/* ---- After a crash ----------------------------------------------------------------------- */

static bool is_readable(FileRefs *files, const char *name)
{
	ProllyCommitId id;
	bool found;

	return files_get(&files->base, name, &id, &found, NULL);
}

/*
 * Adds to DONE those of UPDATES that were carried out before git moved the same reference: the
 * reflog has them, and after them a line that is none of ours. They are not to be made again, even
 * if git moved the reference back to where they began; but if it is unreadable now, whoever moved it
 * last, git or we without a sync, that was lost with it, and they are made again.
 */
static bool find_done(FileRefs *files, const GPtrArray *updates, GHashTable *done, GError **error)
{
	g_autoptr(GHashTable) groups = prolly_ref_updates_group(updates);
	GHashTableIter iter;
	gpointer name, group;

	g_hash_table_iter_init(&iter, groups);
	while (g_hash_table_iter_next(&iter, &name, &group)) {
		g_autoptr(GBytes) log = NULL;
		bool is_last;

		if (!prolly_ref_log_mend(files->dir, ((GPtrArray *)group)->pdata[0], &is_last,
					 error) ||
		    !prolly_ref_log_load(files->dir, name, &log, error))
			return false;
		if (log && is_readable(files, name))
			prolly_ref_updates_find_done(group, log, done);
	}
	return true;
}

static bool replay_update(FileRefs *files, const ProllyRefUpdate *update, GError **error)
{
	g_autofree char *path = get_path(files, update->name);
	g_autofree char *lock = get_lock_path(files, update->name);
	g_autoptr(GError) local = NULL;
	ProllyCommitId id = {{0}};
	bool found;
	bool is_logged;
	bool is_void = false;
	int result;

	if (!files_get(&files->base, update->name, &id, &found, &local)) {
		id = update->from;
		if (prolly_commit_id_is_zero(&update->to) && unlink(path) < 0 && errno != ENOENT)
			return prolly_throw_errno(error, errno, "remove %s, which is damaged",
						  path);
	}
	if (prolly_commit_id_is_zero(&update->to))
		return !prolly_commit_id_equal(&id, &update->from) ||
		       delete_ref(files, update, error);
	if (!prolly_commit_id_equal(&id, &update->from) &&
	    !prolly_commit_id_equal(&id, &update->to))
		return true;

	if (prolly_commit_id_is_zero(&id) && !is_superseded(files, update, &is_void, error))
		return false;
	if (is_void)
		return true;
	if (!break_locks_below(files, update, error))
		return false;
	prolly_ref_remove_empty(path);
	if (!prolly_ref_log_mend(files->dir, update, &is_logged, error) ||
	    !make_lock(files, lock, update, error))
		return false;
	if (!is_logged)
		return finish_move(files, update, error);
	result = replace_file(files, lock, path);
	return result == 0 || prolly_throw_errno(error, result, "move %s", path);
}

static bool files_replay(ProllyRefs *refs, const GPtrArray *updates, GError **error)
{
	FileRefs *files = as_files(refs);
	g_autoptr(GHashTable) done = g_hash_table_new(NULL, NULL);

	if (!find_done(files, updates, done, error))
		return false;
	for (guint i = 0; i < updates->len; i++) {
		ProllyRefUpdate *update = g_ptr_array_index(updates, i);

		if (!g_hash_table_contains(done, update) && !replay_update(files, update, error))
			return false;
	}
	return true;
}

static void files_free(ProllyRefs *refs)
{
	prolly_packed_refs_clear(&as_files(refs)->packed);
	g_free(as_files(refs)->last_found);
	prolly_ref_listing_free(as_files(refs)->listing);
	g_hash_table_unref(as_files(refs)->held);
	g_hash_table_unref(as_files(refs)->left);
	g_free(as_files(refs)->dir);
	g_free(refs);
}

ProllyRefs *prolly_refs_new_files(git_repository *repo, const char *git_dir, ProllySpares *spares)
{
	static const ProllyRefsOps ops = {
		.free = files_free,
		.get = files_get,
		.list = files_list,
		.lock = files_lock,
		.apply = files_apply,
		.unlock = files_unlock,
		.replay = files_replay,
		.load_log = files_load_log,
		.restore = files_restore,
	};
	FileRefs *files = g_new0(FileRefs, 1);

	files->base.ops = &ops;
	files->repo = repo;
	files->spares = spares;
	files->dir = g_strdup(git_dir);
	prolly_packed_refs_init(&files->packed);
	files->listing = prolly_ref_listing_new();
	files->held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	files->left = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return &files->base;
}
