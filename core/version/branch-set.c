/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of branches: making, deleting and renaming them.
 *
 * Each is a publication (publication.c) without objects: a reference that comes, goes or both, and
 * the records that change with it, in one batch. A new branch copies nothing: its record names the
 * commit and shares the attributes of the branch it was made from by their root, with the moves that
 * their times refer to.
 *
 * All under set_lock; what has a branch already also under its commit_lock and write_lock, so that
 * nothing is being staged or committed on it. The commit_lock is taken first: waiting for a long
 * commit must not keep others from making branches. A publication waits for the disk; so the table,
 * which whoever looks up a branch that is in use asks alone, has a lock of its own, branches_lock, and
 * changes when the publication is done, or has happened and is to be done later. Who looks up one that
 * is not in the table waits for the set.
 */
#include "version/merge-private.h"

#include <string.h>

#include "version/view.h"

/* ---- Lost ones -------------------------------------------------------------------------- */

/* Whoever deletes a branch deletes its reflog first, git too: so one that has a record and a reflog and
 * no reference was not deleted. */
static bool has_lost_reference(ProllyRepo *repo, const char *name, bool *out_has, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->git_lock);
	ProllyRefs *refs = repo->body->git->refs;
	g_autofree char *reference = g_strconcat(PROLLY_REFS_HEADS, name, NULL);
	g_autoptr(GArray) entries = NULL;
	g_autoptr(GBytes) log = NULL;
	ProllyCommitId id;
	bool found;

	*out_has = false;
	if (!refs->ops->get(refs, reference, &id, &found, NULL) || found)
		return true;
	if (!refs->ops->load_log(refs, reference, &log, error))
		return false;
	entries = prolly_reflog_parse(log);
	*out_has = entries->len > 0;
	return true;
}

static bool check_not_lost(ProllyRepo *repo, const char *name, GError **error)
{
	bool is_lost;

	if (!prolly_publication_finish(repo, error) ||
	    !has_lost_reference(repo, name, &is_lost, error))
		return false;
	return !is_lost ||
	       prolly_throw(error, PROLLY_ERROR_CORRUPT,
			    "branch %s: its reference is missing, but was not deleted", name);
}

/* ---- Making ------------------------------------------------------------------------------ */

static void share_attributes(ProllyState *state, ProllyBranch *from)
{
	g_autoptr(ProllyState) other = prolly_branch_get_state(from);

	if (!prolly_commit_id_equal(&other->head, &state->head))
		return;
	state->attributes = other->attributes;
	g_array_set_size(state->moves, 0);
	g_array_append_vals(state->moves, other->moves->data, other->moves->len);
}

static bool create_locked(ProllyRepo *repo, const char *name, const ProllyCommitId *start,
			  ProllyBranch *from, ProllyBranch **out_branch, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(GPtrArray) updates = prolly_ref_updates_new();
	g_autoptr(ProllyState) state = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autofree char *message =
		g_strconcat("branch: Created from ", prolly_commit_id_to_hex(start, hex), NULL);
	uint32_t id;

	if (!prolly_ref_check_free(repo, &prolly_ref_branch, name, NULL, error) ||
	    !prolly_branch_drop_record(repo, name, error) ||
	    !prolly_branch_new_state(repo, start, &state, error) ||
	    !prolly_branch_new_id(repo, &id, error))
		return false;
	if (from)
		share_attributes(state, from);
	prolly_state_save(id, name, state, batch);
	g_ptr_array_add(updates, prolly_ref_update_new(repo, &prolly_ref_branch, name, NULL, start,
						       message));
	if (!prolly_publication_write(prolly_publication_new(g_steal_pointer(&updates)), repo,
				      batch, error))
		return false;
	*out_branch = prolly_branch_new(repo->body, id, name, g_steal_pointer(&state));
	return true;
}

bool prolly_branch_create(ProllyRepo *repo, const char *name, const ProllyCommitId *start,
			  ProllyBranch *from, ProllyBranch **out_branch, GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(repo);
	bool ok;

	if (!prolly_branch_check_name(name, error) || !prolly_branch_forget(repo, name, error))
		return false;
	g_mutex_lock(&repo->body->set_lock);
	ok = create_locked(repo, name, start, from, out_branch, error);
	g_mutex_unlock(&repo->body->set_lock);
	if (ok)
		prolly_repo_notify_branches(repo, false);
	return ok;
}

/* Adds the commit that a store begins with, and the branch that has it. */
static bool publish_first(ProllyRepo *repo, const char *name, const ProllySignature *author,
			  const ProllySignature *committer, GError **error)
{
	g_autoptr(GArray) namespaces = g_array_new(FALSE, FALSE, sizeof(ProllyNamespace));
	g_autoptr(GPtrArray) updates = prolly_ref_updates_new();
	g_autoptr(ProllyPublication) publication = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	ProllyNewCommit commit = {
		.namespaces = namespaces,
		.message = "Initial commit",
		.author = author,
		.committer = committer,
	};
	ProllyRefUpdate *update = prolly_ref_update_new(repo, &prolly_ref_branch, name, NULL, NULL,
							"commit (initial): Initial commit");

	g_ptr_array_add(updates, update);
	publication = prolly_publication_new(g_steal_pointer(&updates));
	return prolly_publication_add_commit(publication, repo, &commit, &update->to, error) &&
	       prolly_publication_write(g_steal_pointer(&publication), repo, batch, error);
}

bool prolly_branch_create_first(ProllyRepo *repo, const char *name, GError **error)
{
	g_auto(ProllySignature) author = {0};
	g_auto(ProllySignature) committer = {0};

	return prolly_signature_init_default(&author, false, NULL, error) &&
	       prolly_signature_init_default(&committer, true, NULL, error) &&
	       publish_first(repo, name, &author, &committer, error);
}

/* ---- Deleting ---------------------------------------------------------------------------- */

/* In BATCH, and with UPDATES what keeps an unfinished merge. */
static bool delete_records(ProllyRepo *repo, uint32_t id, const char *name, ProllyDbBatch *batch,
			   GPtrArray *updates, GError **error)
{
	ProllyRefUpdate *update;

	prolly_db_batch_note_freeing(batch);
	prolly_state_delete_records(id, name, batch);
	prolly_staged_delete_branch(id, batch);
	prolly_extents_delete_before(id, UINT64_MAX, batch);
	prolly_unfinished_delete(id, batch);
	prolly_gc_account_abandon(repo->body, batch);
	if (!prolly_unfinished_new_update(repo, id, NULL, &update, error))
		return false;
	if (update)
		g_ptr_array_add(updates, update);
	return true;
}

bool prolly_branch_drop_record(ProllyRepo *repo, const char *name, GError **error)
{
	g_autoptr(GPtrArray) updates = prolly_ref_updates_new();
	g_autoptr(ProllyDbBatch) batch = NULL;
	uint32_t id;

	if (!prolly_state_find_branch(repo->body, name, &id, error))
		return false;
	if (!id)
		return true;
	if (!check_not_lost(repo, name, error))
		return false;
	batch = prolly_db_batch_new(repo->body->db);
	if (!delete_records(repo, id, name, batch, updates, error))
		return false;
	if (updates->len == 0)
		return prolly_db_write(repo->body->db, batch, PROLLY_DB_BUFFERED, error);
	return prolly_publication_write(prolly_publication_new(g_steal_pointer(&updates)), repo,
					batch, error);
}

bool prolly_branch_list_lost(ProllyRepo *repo, bool is_locked, GPtrArray **out_references,
			     GError **error)
{
	GMutex *lock = is_locked ? NULL : &repo->body->publish_lock;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) references = g_ptr_array_new_with_free_func(g_free);
	bool ok = true;

	if (!prolly_state_list_names(repo->body, names, error))
		return false;
	for (guint i = 0; ok && i < names->len; i++) {
		bool is_lost;

		/* One that is being published has a record and a reflog first. */
		if (lock)
			g_mutex_lock(lock);
		ok = has_lost_reference(repo, names->pdata[i], &is_lost, error);
		if (lock)
			g_mutex_unlock(lock);
		if (ok && is_lost)
			g_ptr_array_add(references,
					g_strconcat(PROLLY_REFS_HEADS, names->pdata[i], NULL));
	}
	if (ok)
		*out_references = g_steal_pointer(&references);
	return ok;
}

bool prolly_branch_drop_lost(ProllyRepo *repo, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	if (!prolly_state_list_names(repo->body, names, error))
		return false;
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autoptr(GError) local = NULL;
		ProllyCommitId head;
		bool found, is_lost = false;

		if (!prolly_branch_read_head(repo, name, &head, &found, &local)) {
			/* It is there, and nobody can tell where; that is for who asks for it. */
			if (prolly_error_is(local, PROLLY_ERROR_CORRUPT))
				continue;
			g_propagate_error(error, g_steal_pointer(&local));
			return false;
		}
		if (!found && !has_lost_reference(repo, name, &is_lost, error))
			return false;
		if (!found && !is_lost && !prolly_branch_drop_record(repo, name, error))
			return false;
	}
	return true;
}

/* BRANCH is no more: its object and open files become orphans. Under set_lock, write_lock. */
static void orphan_branch(ProllyBranch *branch)
{
	g_atomic_int_set(&branch->deleted, 1);
	prolly_files_orphan(branch, NULL);
	g_mutex_lock(&branch->body->branches_lock);
	g_hash_table_remove(branch->body->branches, branch->name);
	g_mutex_unlock(&branch->body->branches_lock);
}

/* Takes the locks under which BRANCH may change its name or go. */
static void lock_branch(ProllyBranch *branch)
{
	g_mutex_lock(&branch->commit_lock);
	g_mutex_lock(&branch->body->set_lock);
	g_mutex_lock(&branch->write_lock);
}

static void unlock_branch(ProllyBranch *branch)
{
	g_mutex_unlock(&branch->write_lock);
	g_mutex_unlock(&branch->body->set_lock);
	g_mutex_unlock(&branch->commit_lock);
}

/* Under set_lock, and the own locks of BRANCH (nullable), which had that NAME before. */
static bool forget_locked(ProllyRepo *repo, const char *name, ProllyBranch *branch, GError **error)
{
	ProllyCommitId head;
	bool found;

	/* Its reference may be one that is to be made yet. */
	if (!prolly_publication_finish(repo, error) ||
	    !prolly_branch_read_head(repo, name, &head, &found, error))
		return false;
	if (found)
		return true;
	if (!check_not_lost(repo, name, error))
		return false;
	if (branch && !prolly_branch_is_deleted(branch) && strcmp(branch->name, name) == 0)
		orphan_branch(branch);
	return prolly_branch_drop_record(repo, name, error);
}

bool prolly_branch_forget(ProllyRepo *repo, const char *name, GError **error)
{
	g_autoptr(ProllyBranch) branch = prolly_branch_find_held(repo->body, name);
	uint32_t id;
	bool ok;

	if (!prolly_state_find_branch(repo->body, name, &id, error))
		return false;
	if (!id)
		return true;
	prolly_repo_begin_change(repo);
	if (branch) {
		lock_branch(branch);
		ok = forget_locked(repo, name, branch, error);
		unlock_branch(branch);
	} else {
		g_mutex_lock(&repo->body->set_lock);
		ok = forget_locked(repo, name, NULL, error);
		g_mutex_unlock(&repo->body->set_lock);
	}
	if (ok)
		prolly_repo_notify_branches(repo, true);
	prolly_repo_end_change(repo);
	return ok;
}

/* *OUT_ELSEWHERE: another branch has commit HEAD. */
static bool is_elsewhere(ProllyRepo *repo, const char *name, const ProllyCommitId *head,
			 bool *out_elsewhere, GError **error)
{
	g_autoptr(GPtrArray) names = NULL;

	*out_elsewhere = false;
	if (!prolly_branch_list(repo, &names, error))
		return false;
	for (guint i = 0; i < names->len && !*out_elsewhere; i++) {
		const char *other = g_ptr_array_index(names, i);
		ProllyCommitId other_head;
		bool found;

		if (strcmp(other, name) == 0)
			continue;
		if (!prolly_branch_read_head(repo, other, &other_head, &found, error))
			return false;
		if (found &&
		    !prolly_history_is_ancestor(repo, head, &other_head, out_elsewhere, error))
			return false;
	}
	return true;
}

/* Nothing staged, or nothing left: a working state without any key has nothing to lose. */
static bool has_staged_work(ProllyRepo *repo, ProllyBranch *branch, bool *out_has, GError **error)
{
	g_autoptr(ProllyState) state = prolly_branch_get_state(branch);
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(GPtrArray) namespaces = NULL;
	bool empty;

	if (!prolly_staged_is_empty(repo, branch, state, &empty, error))
		return false;
	if (!empty) {
		view = prolly_view_new_live(repo, branch);
		if (!prolly_view_list_namespaces(view, &namespaces, error))
			return false;
		empty = namespaces->len == 0;
	}
	*out_has = !empty;
	return true;
}

static bool check_deletable(ProllyRepo *repo, ProllyBranch *branch, const char *name,
			    GError **error)
{
	ProllyCommitId head;
	bool staged;
	bool elsewhere;

	prolly_branch_get_head(branch, &head);
	if (!has_staged_work(repo, branch, &staged, error))
		return false;
	if (staged)
		return prolly_throw(error, PROLLY_ERROR_NOT_EMPTY, "branch '%s' has staged changes",
				    name);
	if (!is_elsewhere(repo, name, &head, &elsewhere, error))
		return false;
	if (!elsewhere)
		return prolly_throw(error, PROLLY_ERROR_NOT_EMPTY,
				    "branch '%s' has commits that are on no other branch", name);
	return true;
}

/* Under all three locks. */
static bool delete_locked(ProllyRepo *repo, ProllyBranch *branch, bool force, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(GPtrArray) updates = prolly_ref_updates_new();
	g_autofree char *name = prolly_branch_dup_name(branch);
	ProllyCommitId head;
	bool has_happened;
	bool ok;

	if (prolly_branch_is_deleted(branch))
		return prolly_throw(error, PROLLY_ERROR_STALE, "branch '%s' was deleted", name);
	if (strcmp(name, repo->body->default_branch) == 0)
		return prolly_throw(error, PROLLY_ERROR_BUSY,
				    "branch '%s' is the store's default branch", name);
	if (!force && !check_deletable(repo, branch, name, error))
		return false;

	prolly_branch_get_head(branch, &head);
	if (!delete_records(repo, branch->id, name, batch, updates, error))
		return false;
	g_ptr_array_add(updates, prolly_ref_update_new(repo, &prolly_ref_branch, name, &head, NULL,
						       "branch: Deleted"));
	ok = prolly_publication_write_telling(prolly_publication_new(g_steal_pointer(&updates)),
					      repo, batch, &has_happened, error);
	if (has_happened)
		orphan_branch(branch);
	return ok;
}

/* Somebody may have renamed it since it was found. */
static bool check_still(ProllyBranch *branch, const char *name, GError **error)
{
	return !name || strcmp(branch->name, name) == 0 ||
	       prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "%s: no such branch", name);
}

bool prolly_branch_delete(ProllyRepo *repo, ProllyBranch *branch, const char *name, bool force,
			  GError **error)
{
	bool ok;

	lock_branch(branch);
	ok = check_still(branch, name, error) &&
	     (force || prolly_files_flush_all(repo, branch, error)) &&
	     delete_locked(repo, branch, force, error);
	unlock_branch(branch);
	if (ok || prolly_branch_is_deleted(branch))
		prolly_repo_notify_branches(repo, false);
	return ok;
}

/* ---- Renaming ---------------------------------------------------------------------------- */

/* The old reference goes first: `a` and `a/b` cannot both be there. The reflog goes along. */
static bool build_rename(ProllyRepo *repo, const char *name, const char *new_name,
			 const ProllyCommitId *head, GPtrArray *updates, GError **error)
{
	g_autofree char *message =
		g_strdup_printf("Branch: renamed %s%s to %s%s", PROLLY_REFS_HEADS, name,
				PROLLY_REFS_HEADS, new_name);
	ProllyRefUpdate *old =
		prolly_ref_update_new(repo, &prolly_ref_branch, name, head, NULL, message);
	ProllyRefUpdate *new =
		prolly_ref_update_new(repo, &prolly_ref_branch, new_name, NULL, head, message);
	ProllyRefs *refs = repo->body->git->refs;
	bool ok;

	new->old_name = g_strdup(old->name);
	g_ptr_array_add(updates, old);
	g_ptr_array_add(updates, new);
	g_mutex_lock(&repo->body->git_lock);
	ok = refs->ops->load_log(refs, old->name, &new->log_head, error);
	g_mutex_unlock(&repo->body->git_lock);
	return ok;
}

static void set_name(ProllyBranch *branch, const char *name)
{
	GHashTable *table = branch->body->branches;

	g_mutex_lock(&branch->body->branches_lock);
	g_hash_table_remove(table, branch->name);
	g_mutex_lock(&branch->state_lock);
	g_free(branch->name);
	branch->name = g_strdup(name);
	g_mutex_unlock(&branch->state_lock);
	g_hash_table_replace(table, branch->name, branch);
	g_mutex_unlock(&branch->body->branches_lock);
}

/* Under all three locks. */
static bool rename_locked(ProllyRepo *repo, ProllyBranch *branch, const char *new_name,
			  GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(GPtrArray) updates = prolly_ref_updates_new();
	g_autoptr(ProllyState) state = prolly_branch_get_state(branch);
	g_autofree char *name = prolly_branch_dup_name(branch);
	bool has_happened;
	bool ok;

	if (prolly_branch_is_deleted(branch))
		return prolly_throw(error, PROLLY_ERROR_STALE, "branch '%s' was deleted", name);
	if (strcmp(name, repo->body->default_branch) == 0)
		return prolly_throw(error, PROLLY_ERROR_BUSY,
				    "branch '%s' is the store's default branch", name);
	if (strcmp(name, new_name) == 0)
		return true; /* with what is staged */
	if (!prolly_ref_check_free(repo, &prolly_ref_branch, new_name, name, error) ||
	    !prolly_branch_drop_record(repo, new_name, error) ||
	    !build_rename(repo, name, new_name, &state->head, updates, error))
		return false;
	prolly_state_delete_records(branch->id, name, batch);
	prolly_state_save(branch->id, new_name, state, batch);
	ok = prolly_publication_write_telling(prolly_publication_new(g_steal_pointer(&updates)),
					      repo, batch, &has_happened, error);
	if (has_happened)
		set_name(branch, new_name);
	return ok;
}

bool prolly_branch_rename(ProllyRepo *repo, ProllyBranch *branch, const char *name,
			  const char *new_name, GError **error)
{
	bool has_new_name;
	bool ok;

	if (!prolly_branch_check_name(new_name, error) ||
	    !prolly_branch_forget(repo, new_name, error))
		return false;
	lock_branch(branch);
	ok = check_still(branch, name, error) && rename_locked(repo, branch, new_name, error);
	has_new_name = strcmp(branch->name, new_name) == 0;
	unlock_branch(branch);
	if (ok || has_new_name)
		prolly_repo_notify_branches(repo, false);
	return ok;
}
