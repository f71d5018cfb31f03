/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publications: how history changes. A publication is some git objects and some references' moves;
 * publishing it is one synced write of the database, whatever it holds (design.md, section 6):
 *
 *   1. lock the references, git's way, and compare: whoever moved one since wins, and nothing has
 *      happened (refs-files.c). What we are about to lock is noted first, for whoever comes after a
 *      crash.
 *   2. put the objects into the git directory, unsynced. Nobody refers to them yet, so a disk that
 *      is full now does no harm.
 *   3. one batch, synced: the last nodes, the journal's record of objects and moves, the caller's
 *      records. This is the moment at which it has happened.
 *   4. move the references, unsynced: after a power cut a file of theirs may be there and empty, which
 *      only the journal's record mends. So 3 is synced whoever asks, be it for a tag.
 *
 * A crash before 3 leaves what was; after it, the journal's replay does 2 and 4 again (journal.c).
 * So does step 4 if it fails: once at once, and, if that fails as well, before the next publication or
 * when a branch is looked up, so that who tries again sees what he did.
 * Steps exclude each other by publish_lock, the git directory is held in 2 and 4 only, so that
 * history can be read while the disk syncs.
 */
#include "version/repo-private.h"

#include <inttypes.h>
#include <string.h>

#include "version/backup.h"
#include "version/journal-private.h"

struct ProllyPublication {
	GPtrArray *objects; /* of ProllyGitObject * */
	GPtrArray *updates; /* of ProllyRefUpdate * */
	GArray *parents;    /* of ProllyCommitId: what the objects refer to */
	GArray *made;       /* likewise: commits and tags among them */
};

ProllyPublication *prolly_publication_new(GPtrArray *updates)
{
	ProllyPublication *publication = g_new0(ProllyPublication, 1);

	publication->objects =
		g_ptr_array_new_with_free_func((GDestroyNotify)prolly_git_object_free);
	publication->updates = updates;
	publication->parents = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	publication->made = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	return publication;
}

void prolly_publication_add_update(ProllyPublication *publication, ProllyRefUpdate *update)
{
	g_ptr_array_add(publication->updates, update);
}

void prolly_publication_free(ProllyPublication *publication)
{
	if (!publication)
		return;
	g_ptr_array_unref(publication->objects);
	g_ptr_array_unref(publication->updates);
	g_array_unref(publication->parents);
	g_array_unref(publication->made);
	g_free(publication);
}

/* ---- Making ------------------------------------------------------------------------------ */

char *prolly_reflog_format(ProllyGit *git, const ProllySignature *signature, const char *message)
{
	g_autofree char *line = g_strndup(message, strcspn(message, "\n"));
	int64_t time = signature ? signature->time : g_get_real_time() / G_USEC_PER_SEC;
	int offset = signature ? signature->offset_minutes : prolly_date_get_offset(time);
	g_autofree char *name = signature ? prolly_signature_clean(signature->name) : NULL;
	g_autofree char *email = signature ? prolly_signature_clean(signature->email) : NULL;
	g_autofree char *identity = signature ? g_strdup_printf("%s <%s>", name, email)
					      : g_strdup(prolly_git_get_identity(git));

	return g_strdup_printf("%s %" PRId64 " %c%02d%02d\t%s", identity, time,
			       offset < 0 ? '-' : '+', ABS(offset) / 60, ABS(offset) % 60, line);
}

/* Of BRANCH's reference to TO; where it stands is said when it is published. */
static ProllyPublication *new_branch_move(ProllyRepo *repo, ProllyBranch *branch,
					  const ProllyCommitId *to,
					  const ProllySignature *signature, const char *message)
{
	GPtrArray *updates = g_ptr_array_new_with_free_func((GDestroyNotify)prolly_ref_update_free);
	ProllyRefUpdate *update = g_new0(ProllyRefUpdate, 1);
	g_autofree char *name = prolly_branch_dup_name(branch);

	update->name = g_strconcat(PROLLY_REFS_HEADS, name, NULL);
	update->to = *to;
	g_mutex_lock(&repo->body->git_lock);
	update->log = prolly_reflog_format(repo->body->git, signature, message);
	g_mutex_unlock(&repo->body->git_lock);
	g_ptr_array_add(updates, update);
	return prolly_publication_new(updates);
}

bool prolly_publication_add_commit(ProllyPublication *publication, ProllyRepo *repo,
				   const ProllyNewCommit *commit, ProllyCommitId *out_id,
				   GError **error)
{
	g_autoptr(GArray) parent = NULL;

	if (commit->n_parents > 0)
		g_array_append_vals(publication->parents, commit->parents,
				    (guint)commit->n_parents);
	if (commit->n_parents > 0 &&
	    !prolly_commit_load_namespaces(repo, &commit->parents[0], &parent, error))
		return false;
	if (!prolly_git_object_build(repo->body->format, commit, parent, publication->objects,
				     out_id, error))
		return false;
	g_array_append_val(publication->made, *out_id);
	return true;
}

bool prolly_publication_add_object(ProllyPublication *publication, git_object_t type, GBytes *bytes,
				   ProllyCommitId *out_id, GError **error)
{
	ProllyGitObject *object;
	git_oid oid;

	if (!prolly_git_object_hash(type, bytes, &oid, error))
		return false;
	object = g_new0(ProllyGitObject, 1);
	object->type = type;
	object->bytes = g_bytes_ref(bytes);
	g_ptr_array_add(publication->objects, object);
	prolly_commit_id_from_oid(&oid, out_id);
	g_array_append_val(publication->made, *out_id);
	return true;
}

bool prolly_publication_new_commit(ProllyRepo *repo, ProllyBranch *branch,
				   const ProllyNewCommit *commit, const char *reflog_message,
				   ProllyPublication **out_publication, ProllyCommitId *out_id,
				   GError **error)
{
	static const ProllyCommitId unknown = {{0}};
	g_autoptr(ProllyPublication) publication =
		new_branch_move(repo, branch, &unknown, commit->committer, reflog_message);
	ProllyRefUpdate *update = g_ptr_array_index(publication->updates, 0);

	if (!prolly_publication_add_commit(publication, repo, commit, &update->to, error))
		return false;
	*out_id = update->to;
	*out_publication = g_steal_pointer(&publication);
	return true;
}

bool prolly_publication_new_move(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *to,
				 const char *reflog_message, ProllyPublication **out_publication,
				 GError **error)
{
	*out_publication = new_branch_move(repo, branch, to, repo->committer, reflog_message);
	return true;
}

/* ---- Publishing -------------------------------------------------------------------------- */

static void unlock_updates(ProllyRefs *refs, const GPtrArray *updates, guint n)
{
	for (guint i = 0; i < n; i++)
		refs->ops->unlock(refs, g_ptr_array_index(updates, i));
}

/* All or none. */
static bool lock_updates(ProllyRefs *refs, const GPtrArray *updates, GError **error)
{
	for (guint i = 0; i < updates->len; i++) {
		if (!refs->ops->lock(refs, g_ptr_array_index(updates, i), error)) {
			unlock_updates(refs, updates, i);
			return false;
		}
	}
	return true;
}

bool prolly_git_write_objects(ProllyGit *git, const GPtrArray *objects, GError **error)
{
	for (guint i = 0; i < objects->len; i++) {
		const ProllyGitObject *object = g_ptr_array_index(objects, i);

		if (!prolly_git_write_object(git, object->type, object->bytes, error))
			return false;
	}
	return true;
}

static bool check_there(ProllyGit *git, const ProllyCommitId *id, GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	git_oid oid;

	prolly_commit_id_to_oid(id, &oid);
	return prolly_commit_id_is_zero(id) || git_odb_exists(git->odb, &oid) ||
	       prolly_throw(error, PROLLY_ERROR_STALE,
			    "commit %s is gone: nothing referred to it, and it was collected",
			    prolly_commit_id_to_hex(id, hex));
}

static bool is_made(const ProllyPublication *publication, const ProllyCommitId *id)
{
	for (guint i = 0; i < publication->made->len; i++) {
		if (prolly_commit_id_equal(id,
					   &g_array_index(publication->made, ProllyCommitId, i)))
			return true;
	}
	return false;
}

/* A collection may have removed what only the caller knew of (gc.c, G3). */
static bool check_targets(const ProllyPublication *publication, ProllyGit *git, GError **error)
{
	for (guint i = 0; i < publication->parents->len; i++) {
		if (!check_there(git, &g_array_index(publication->parents, ProllyCommitId, i),
				 error))
			return false;
	}
	for (guint i = 0; i < publication->updates->len; i++) {
		const ProllyRefUpdate *update = g_ptr_array_index(publication->updates, i);

		if (!is_made(publication, &update->to) && !check_there(git, &update->to, error))
			return false;
	}
	return true;
}

/* Steps 1 and 2. */
static bool prepare(ProllyPublication *publication, ProllyRepoBody *body, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&body->git_lock);
	ProllyRefs *refs = body->git->refs;

	if (!lock_updates(refs, publication->updates, error))
		return false;
	if (!prolly_git_write_objects(body->git, publication->objects, error) ||
	    !check_targets(publication, body->git, error)) {
		unlock_updates(refs, publication->updates, publication->updates->len);
		return false;
	}
	return true;
}

/* Step 3. */
static bool write_batch(ProllyPublication *publication, ProllyRepo *repo, ProllyDbBatch *batch,
			uint64_t *out_sequence, GError **error)
{
	ProllyRepoBody *body = repo->body;
	bool written;

	if (!prolly_store_flush(repo->context.store, batch, error))
		return false;
	*out_sequence = prolly_journal_add(body->journal, publication->objects,
					   publication->updates, batch);
	written = prolly_db_write(body->db, batch, PROLLY_DB_SYNC, error);
	prolly_store_flushed(repo->context.store, written);
	if (!written)
		prolly_journal_withdraw(body->journal, *out_sequence);
	return written;
}

/* Step 4. What could not be made of it is free for git, until it is made again. */
static bool apply_updates(ProllyPublication *publication, ProllyRepoBody *body, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&body->git_lock);
	ProllyRefs *refs = body->git->refs;

	for (guint i = 0; i < publication->updates->len; i++) {
		if (!refs->ops->apply(refs, g_ptr_array_index(publication->updates, i), error)) {
			unlock_updates(refs, publication->updates, publication->updates->len);
			return false;
		}
	}
	return true;
}

static bool finish_locked(ProllyRepoBody *body, GError **error)
{
	ProllyRefs *refs = body->git->refs;
	bool ok;

	if (!body->unfinished)
		return true;
	g_mutex_lock(&body->git_lock);
	ok = refs->ops->replay(refs, body->unfinished, error);
	g_mutex_unlock(&body->git_lock);
	if (!ok)
		return false;
	g_ptr_array_unref(body->unfinished);
	g_atomic_pointer_set(&body->unfinished, NULL);
	prolly_journal_complete(body->journal, body->unfinished_sequence);
	return true;
}

bool prolly_publication_finish(ProllyRepo *repo, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->publish_lock);

	return finish_locked(repo->body, error);
}

void prolly_publication_finish_late(ProllyRepo *repo)
{
	if (g_atomic_pointer_get(&repo->body->unfinished))
		(void)prolly_publication_finish(repo, NULL);
}

static bool publish_locked(ProllyPublication *publication, ProllyRepo *repo, ProllyDbBatch *batch,
			   bool *out_happened, GError **error)
{
	ProllyRepoBody *body = repo->body;
	uint64_t sequence;

	if (!finish_locked(body, error) ||
	    !prolly_journal_note_locks(body->journal, publication->updates, error) ||
	    !prepare(publication, body, error))
		return false;
	if (!write_batch(publication, repo, batch, &sequence, error)) {
		g_mutex_lock(&body->git_lock);
		unlock_updates(body->git->refs, publication->updates, publication->updates->len);
		g_mutex_unlock(&body->git_lock);
		return false;
	}
	*out_happened = true;
	if (apply_updates(publication, body, NULL)) {
		prolly_journal_complete(body->journal, sequence);
		return true;
	}
	body->unfinished_sequence = sequence;
	g_atomic_pointer_set(&body->unfinished, g_ptr_array_ref(publication->updates));
	return finish_locked(body, error);
}

bool prolly_publication_write_telling(ProllyPublication *publication, ProllyRepo *repo,
				      ProllyDbBatch *batch, bool *out_happened, GError **error)
{
	bool ok;

	*out_happened = false;
	prolly_backup_claim(repo);
	g_mutex_lock(&repo->body->publish_lock);
	ok = publish_locked(publication, repo, batch, out_happened, error);
	g_mutex_unlock(&repo->body->publish_lock);
	prolly_publication_free(publication);
	return ok;
}

bool prolly_publication_write(ProllyPublication *publication, ProllyRepo *repo,
			      ProllyDbBatch *batch, GError **error)
{
	bool has_happened;

	return prolly_publication_write_telling(publication, repo, batch, &has_happened, error);
}

bool prolly_publication_publish(ProllyPublication *publication, ProllyRepo *repo,
				const ProllyCommitId *expected, ProllyDbBatch *batch,
				GError **error)
{
	ProllyRefUpdate *update = g_ptr_array_index(publication->updates, 0);

	update->from = *expected;
	return prolly_publication_write(publication, repo, batch, error);
}
