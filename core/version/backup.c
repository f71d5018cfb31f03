/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups of a store that goes on being used.
 *
 * A store is a database and a git directory, which agree but for what the journal says (journal.c),
 * and, with the file back end, files of nodes. A backup has all of them as of one moment:
 *
 *   1. open files are staged, as a commit would do it, and the database is synced.
 *   2. under publish_lock: a checkpoint of the database, links in the store's own directory, and copies
 *      of git's references, reflogs and what else changes there. No publication is half done
 *      then, so that the references stand where the database has them. Nobody else waits: writers
 *      write on.
 *   3. what never changes is copied: the checkpoint's tables, git's objects, nodes' files. More than
 *      there was at the moment may be among them; nothing of it is missing, as
 *
 *  B1  what the database or a reference names was there before it was named,
 *  B2  no collection runs meanwhile (prolly_usage_begin), and
 *  B3  an object that was moved into a pack is read where it is now: loose objects are listed
 *      before packs are, and everything once more if a pack went, since git may pack anew at any
 *      time.
 *
 *   4. the configuration, without which it is no store; and the exchange (backup-place.c).
 *
 * The checkpoint is removed at the end, or, after a crash, at the next opening. Rejected: to copy the
 * database's files as they are, since what its log says of them changes meanwhile; RocksDB's own backup
 * engine, whose form no store can be opened in.
 */
#include "version/backup-private.h"

#include <string.h>
#include <sys/stat.h>

#include "base/remove.h"
#include "version/gc-private.h"

#define CHECKPOINT   "checkpoint" /* in the store, while a backup is made */
#define PACKS        "git/objects/pack"
#define REPACKED_MAX 16

static const char id_key[] = "store-id"; /* of META */

/* ---- The moment -------------------------------------------------------------------------- */

/* (transfer full) What tells this store from others; made when it is first asked for. */
static bool load_id(ProllyRepoBody *body, char **out_id, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = NULL;
	g_autoptr(GBytes) found = NULL;
	g_autofree char *id = NULL;

	if (!prolly_db_get(body->db, PROLLY_DB_META, NULL, id_key, strlen(id_key), &found, error))
		return false;
	if (found) {
		*out_id = g_strndup(g_bytes_get_data(found, NULL), g_bytes_get_size(found));
		return true;
	}
	id = g_uuid_string_random();
	batch = prolly_db_batch_new(body->db);
	prolly_db_batch_put(batch, PROLLY_DB_META, id_key, strlen(id_key), id, strlen(id));
	if (!prolly_db_write(body->db, batch, PROLLY_DB_SYNC, error))
		return false;
	*out_id = g_steal_pointer(&id);
	return true;
}

/* (transfer full) Those that somebody holds: only they have open files. */
static GPtrArray *ref_branches(ProllyRepoBody *body)
{
	GPtrArray *branches = g_ptr_array_new_with_free_func((GDestroyNotify)prolly_branch_unref);
	GHashTableIter iter;
	gpointer branch;

	g_mutex_lock(&body->branches_lock);
	g_hash_table_iter_init(&iter, body->branches);
	while (g_hash_table_iter_next(&iter, NULL, &branch))
		g_ptr_array_add(branches, prolly_branch_ref(branch));
	g_mutex_unlock(&body->branches_lock);
	return branches;
}

static bool stage_open_files(ProllyRepo *repo, GError **error)
{
	g_autoptr(GPtrArray) branches = ref_branches(repo->body);

	for (guint i = 0; i < branches->len; i++) {
		ProllyState *state = NULL;

		if (!prolly_files_flush_branch(repo, g_ptr_array_index(branches, i), &state, error))
			return false;
		prolly_state_unref(state);
	}
	return prolly_repo_sync(repo, error);
}

/* A piece of the store, under the same name. */
static bool copy_piece(ProllyBackupCopy *copy, const ProllyRepoBody *body, const char *name,
		       ProllyBackupNature nature, GError **error)
{
	g_autofree char *from = g_build_filename(body->path, name, NULL);

	return prolly_backup_copy(copy, from, name, nature, error);
}

/* Loose references before packed ones: where git packs them meanwhile, they are in either. */
static bool copy_references(ProllyBackupCopy *copy, const ProllyRepoBody *body, GError **error)
{
	g_autofree char *git = g_build_filename(body->path, "git", NULL);
	g_autofree char *to = g_build_filename(copy->place->partial, "git", NULL);
	g_autoptr(GDir) dir = g_dir_open(git, 0, NULL);
	const char *entry;

	if (!dir || mkdir(to, 0777) < 0)
		return prolly_throw_errno(error, errno, "copy %s", git);
	if (!copy_piece(copy, body, "git/refs", PROLLY_BACKUP_CHANGING, error))
		return false;
	while ((entry = g_dir_read_name(dir))) {
		g_autofree char *name = g_build_filename("git", entry, NULL);

		if (strcmp(entry, "refs") != 0 && strcmp(entry, "objects") != 0 &&
		    !g_str_has_suffix(entry, ".lock") &&
		    !copy_piece(copy, body, name, PROLLY_BACKUP_CHANGING, error))
			return false;
	}
	return true;
}

static bool capture(ProllyBackupCopy *copy, ProllyRepoBody *body, GError **error)
{
	g_autofree char *checkpoint = g_build_filename(body->path, CHECKPOINT, NULL);
	g_autofree char *data = g_build_filename(checkpoint, "data", NULL);
	bool ok;

	if (mkdir(checkpoint, 0700) < 0)
		return prolly_throw_errno(error, errno, "make %s", checkpoint);
	g_mutex_lock(&body->publish_lock);
	ok = prolly_db_checkpoint(body->db, data, error) && copy_references(copy, body, error);
	g_mutex_unlock(&body->publish_lock);
	return ok;
}

/* ---- What does not change ---------------------------------------------------------------- */

static bool copy_database(ProllyBackupCopy *copy, const ProllyRepoBody *body, GError **error)
{
	g_autofree char *data = g_build_filename(body->path, CHECKPOINT, "data", NULL);
	g_autofree char *mark = g_strconcat(data, ".mark", NULL);

	return prolly_backup_copy(copy, data, "data", PROLLY_BACKUP_TABLES, error) &&
	       prolly_backup_copy(copy, mark, "data.mark", PROLLY_BACKUP_CHANGING, error);
}

/* B3. What is in info/ is about objects that are there already. */
static bool copy_objects_once(ProllyBackupCopy *copy, const ProllyRepoBody *body, const char *packs,
			      GError **error)
{
	g_autofree char *objects = g_build_filename(body->path, "git", "objects", NULL);
	g_autoptr(GDir) dir = g_dir_open(objects, 0, NULL);
	g_autofree char *to = g_build_filename(copy->place->partial, "git", "objects", NULL);
	const char *entry;

	if (!dir || (mkdir(to, 0777) < 0 && errno != EEXIST))
		return prolly_throw_errno(error, errno, "copy %s", objects);
	while ((entry = g_dir_read_name(dir))) {
		g_autofree char *name = g_build_filename("git", "objects", entry, NULL);

		if (strcmp(entry, "pack") != 0 &&
		    !copy_piece(copy, body, name, PROLLY_BACKUP_FIXED, error))
			return false;
	}
	copy->has_lost = false;
	return !g_file_test(packs, G_FILE_TEST_IS_DIR) ||
	       prolly_backup_copy(copy, packs, PACKS, PROLLY_BACKUP_FIXED, error);
}

/* Has the backup all PACKS that there are now? While git packs anew, who lists them may see neither the
 * old ones nor the new. */
static bool has_packs(const ProllyBackupCopy *copy, const char *packs)
{
	g_autoptr(GDir) dir = g_dir_open(packs, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *to = g_build_filename(copy->place->partial, PACKS, entry, NULL);

		if ((g_str_has_suffix(entry, ".pack") || g_str_has_suffix(entry, ".idx")) &&
		    !g_file_test(to, G_FILE_TEST_EXISTS))
			return false;
	}
	return true;
}

static bool copy_objects(ProllyBackupCopy *copy, const ProllyRepoBody *body, GError **error)
{
	g_autofree char *packs = g_build_filename(body->path, PACKS, NULL);

	for (int i = 0; i < REPACKED_MAX; i++) {
		if (!copy_objects_once(copy, body, packs, error))
			return false;
		if (!copy->has_lost && has_packs(copy, packs))
			return true;
		/* Of a pack that went, a part may have been copied. */
		if (!prolly_backup_drop_gone(copy, packs, PACKS, "pack-", error))
			return false;
	}
	return prolly_throw(error, PROLLY_ERROR_BUSY, "%s/git is packed anew all the time",
			    body->path);
}

static bool build(ProllyBackupCopy *copy, ProllyRepo *repo, GError **error)
{
	ProllyRepoBody *body = repo->body;

	return stage_open_files(repo, error) && capture(copy, body, error) &&
	       copy_database(copy, body, error) && copy_objects(copy, body, error) &&
	       copy_piece(copy, body, "nodes", PROLLY_BACKUP_FIXED, error) &&
	       copy_piece(copy, body, "config", PROLLY_BACKUP_CHANGING, error);
}

/* ---- Running ----------------------------------------------------------------------------- */

void prolly_backup_sweep(const char *path)
{
	g_autofree char *checkpoint = g_build_filename(path, CHECKPOINT, NULL);

	/* Should it stay, it is in the way of the next backup, which says so. */
	(void)prolly_remove_tree(checkpoint, NULL);
}

static bool run(ProllyRepo *repo, const char *dir, const ProllyBackupOptions *options,
		ProllyBackupFigures *out_figures, GError **error)
{
	g_auto(ProllyBackupPlace) place = {.lock_fd = -1, .before_fd = -1};
	ProllyBackupCopy copy = {.place = &place, .options = options};
	g_autofree char *id = NULL;
	bool ok;

	if (!load_id(repo->body, &id, error) ||
	    !prolly_backup_place_take(repo->body->path, id, dir, &place, error))
		return false;
	ok = build(&copy, repo, error);
	prolly_backup_sweep(repo->body->path);
	if (!ok || !prolly_backup_place_exchange(&place, error))
		return false;
	*out_figures = copy.figures;
	return true;
}

bool prolly_backup_run(ProllyRepo *repo, const char *dir, const ProllyBackupOptions *options,
		       ProllyBackupFigures *out_figures, GError **error)
{
	static const ProllyGcOptions exclusive = {0};
	bool ok;

	g_return_val_if_fail(g_path_is_absolute(dir), false);

	if (!repo->body->path)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "a store in memory has no files to copy");
	if (!prolly_usage_begin(&repo->body->usage, &exclusive, error))
		return false;
	ok = run(repo, dir, options, out_figures, error);
	prolly_usage_end(&repo->body->usage);
	return ok;
}

void prolly_backup_claim(ProllyRepo *repo)
{
	if (!g_atomic_int_get(&repo->body->is_backup))
		return;
	prolly_backup_forget(repo->body->path);
	g_atomic_int_set(&repo->body->is_backup, 0);
}
