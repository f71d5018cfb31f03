/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Branches: the table of those that somebody holds, and looking one up.
 *
 * A branch is its reference in the git repository; the store's own record (state.c) adds what is
 * local: id, generations, attributes, moves. Where the two disagree the reference is right, because
 * whoever uses git on the store moved it: a reference without a record gets one, a record without a
 * reference goes, and a head that stands elsewhere is a move from outside (design.md, section 5).
 * That is found out when the branch is looked up.
 *
 * A commit or merge moves the reference first and the state in memory after it, under commit_lock.
 * So the comparison is made only if that lock is free; whoever holds it knows where the head is.
 */
#include "version/repo-private.h"

#include <inttypes.h>
#include <string.h>

/* ---- Names ------------------------------------------------------------------------------- */

bool prolly_branch_check_name(const char *name, GError **error)
{
	return prolly_ref_check_name(&prolly_ref_branch, name, error);
}

bool prolly_branch_read_head(ProllyRepo *repo, const char *name, ProllyCommitId *out_head,
			     bool *out_found, GError **error)
{
	return prolly_ref_read(repo, &prolly_ref_branch, name, out_head, out_found, error);
}

bool prolly_branch_list(ProllyRepo *repo, GPtrArray **out_names, GError **error)
{
	return prolly_ref_list(repo, &prolly_ref_branch, NULL, out_names, error);
}

bool prolly_branch_list_level(ProllyRepo *repo, const char *level, GPtrArray **out_names,
			      GError **error)
{
	return prolly_ref_list(repo, &prolly_ref_branch, level, out_names, error);
}

bool prolly_branch_is_level(ProllyRepo *repo, const char *level, bool *out_is, GError **error)
{
	return prolly_ref_is_level(repo, &prolly_ref_branch, level, out_is, error);
}

/* ---- Objects ----------------------------------------------------------------------------- */

ProllyBranch *prolly_branch_new(ProllyRepoBody *body, uint32_t id, const char *name,
				ProllyState *state)
{
	ProllyBranch *branch = g_new0(ProllyBranch, 1);

	branch->references = 1;
	branch->body = body;
	branch->id = id;
	branch->name = g_strdup(name);
	g_mutex_init(&branch->commit_lock);
	g_mutex_init(&branch->write_lock);
	g_mutex_init(&branch->state_lock);
	branch->state = state;
	branch->files = prolly_files_new_table();
	branch->hints = prolly_hints_new();
	branch->moves = prolly_move_cache_new();
	g_mutex_lock(&body->branches_lock);
	g_hash_table_replace(body->branches, branch->name, branch);
	g_mutex_unlock(&body->branches_lock);
	return branch;
}

ProllyBranch *prolly_branch_ref(ProllyBranch *branch)
{
	g_atomic_int_inc(&branch->references);
	return branch;
}

/* Gives up a reference that is not the last. */
static bool unref_shared(ProllyBranch *branch)
{
	gint references = g_atomic_int_get(&branch->references);

	while (references > 1) {
		if (g_atomic_int_compare_and_exchange(&branch->references, references,
						      references - 1))
			return true;
		references = g_atomic_int_get(&branch->references);
	}
	return false;
}

static void free_branch(ProllyBranch *branch)
{
	g_mutex_clear(&branch->commit_lock);
	g_mutex_clear(&branch->write_lock);
	g_mutex_clear(&branch->state_lock);
	prolly_state_unref(branch->state);
	g_hash_table_unref(branch->files);
	prolly_hints_free(branch->hints);
	prolly_move_cache_free(branch->moves);
	g_free(branch->name);
	g_free(branch);
}

/* The last reference goes under branches_lock, so that the table holds no dead branch. */
void prolly_branch_unref(ProllyBranch *branch)
{
	ProllyRepoBody *body;
	bool last;

	if (!branch || unref_shared(branch))
		return;
	body = branch->body;
	g_mutex_lock(&body->branches_lock);
	last = g_atomic_int_dec_and_test(&branch->references);
	if (last && g_hash_table_lookup(body->branches, branch->name) == branch)
		g_hash_table_remove(body->branches, branch->name);
	g_mutex_unlock(&body->branches_lock);
	if (last)
		free_branch(branch);
}

char *prolly_branch_dup_name(ProllyBranch *branch)
{
	char *name;

	g_mutex_lock(&branch->state_lock);
	name = g_strdup(branch->name);
	g_mutex_unlock(&branch->state_lock);
	return name;
}

uint32_t prolly_branch_get_id(const ProllyBranch *branch)
{
	return branch->id;
}

void prolly_branch_get_head(ProllyBranch *branch, ProllyCommitId *out_head)
{
	g_mutex_lock(&branch->state_lock);
	*out_head = branch->state->head;
	g_mutex_unlock(&branch->state_lock);
}

bool prolly_branch_is_deleted(ProllyBranch *branch)
{
	return g_atomic_int_get(&branch->deleted) != 0;
}

/* ---- Loading ----------------------------------------------------------------------------- */

bool prolly_branch_new_state(ProllyRepo *repo, const ProllyCommitId *head, ProllyState **out_state,
			     GError **error)
{
	g_autoptr(ProllyState) state = NULL;
	GArray *namespaces = NULL;
	uint64_t generation;

	if (!prolly_commit_load_namespaces(repo, head, &namespaces, error))
		return false;
	state = prolly_state_new(head, namespaces);
	if (!prolly_tree_init_empty(&repo->context, &state->attributes, error) ||
	    !prolly_repo_next_number(repo->body, PROLLY_COUNTER_GENERATION, &generation, error))
		return false;
	g_array_append_val(state->generations, generation);
	if (!prolly_state_add_birth(repo, state, error))
		return false;
	*out_state = g_steal_pointer(&state);
	return true;
}

bool prolly_branch_new_id(ProllyRepo *repo, uint32_t *out_id, GError **error)
{
	uint64_t id;

	if (!prolly_repo_next_number(repo->body, PROLLY_COUNTER_BRANCH, &id, error))
		return false;
	if (id >= UINT64_C(1) << 24)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG, "no more branches can be made");
	*out_id = (uint32_t)id;
	return true;
}

/* A branch that git made: it gets a record. */
static bool adopt(ProllyRepo *repo, const char *name, const ProllyCommitId *head, uint32_t *out_id,
		  ProllyState **out_state, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(ProllyState) state = NULL;

	if (!prolly_branch_new_state(repo, head, &state, error) ||
	    !prolly_branch_new_id(repo, out_id, error) ||
	    !prolly_store_flush(repo->context.store, NULL, error))
		return false;
	prolly_state_save(*out_id, name, state, batch);
	if (!prolly_db_write(repo->body->db, batch, PROLLY_DB_BUFFERED, error))
		return false;
	*out_state = g_steal_pointer(&state);
	return true;
}

static bool load_recorded(ProllyRepo *repo, const char *name, uint32_t id, ProllyState **out_state,
			  GError **error)
{
	g_autoptr(ProllyState) state = NULL;
	g_autofree char *recorded = NULL;

	if (!prolly_state_load(repo->body, id, &recorded, &state, error))
		return false;
	if (!state || strcmp(recorded, name) != 0)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "the record of branch %s (number %" PRIu32 ") is missing", name,
				    id);
	if (!prolly_commit_load_namespaces(repo, &state->head, &state->namespaces, error))
		return false;
	*out_state = g_steal_pointer(&state);
	return true;
}

/* Under set_lock. */
static bool load_branch(ProllyRepo *repo, const char *name, const ProllyCommitId *head,
			ProllyBranch **out_branch, GError **error)
{
	ProllyState *state = NULL;
	uint32_t id;

	if (!prolly_state_find_branch(repo->body, name, &id, error))
		return false;
	if (!(id ? load_recorded(repo, name, id, &state, error)
		 : adopt(repo, name, head, &id, &state, error))) {
		g_prefix_error(error, "branch %s: ", name);
		/* what a branch stands on is not merely unknown */
		if (error && prolly_error_is(*error, PROLLY_ERROR_NOT_FOUND))
			(*error)->code = PROLLY_ERROR_MISSING;
		return false;
	}
	*out_branch = prolly_branch_new(repo->body, id, name, state);
	return true;
}

/* ---- Moves from outside ------------------------------------------------------------------ */

/* BRANCH, whose state is OLD, stands at HEAD: makes and publishes the state that says so. Under
 * commit_lock and write_lock. */
static bool take_over(ProllyRepo *repo, ProllyBranch *branch, const ProllyState *old,
		      const ProllyCommitId *head, GPtrArray **out_places, GError **error)
{
	g_autoptr(ProllyState) state = prolly_state_copy(old);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	GArray *namespaces = NULL;

	if (!prolly_commit_load_namespaces(repo, head, &namespaces, error))
		return false;
	g_array_unref(state->namespaces);
	state->namespaces = namespaces;
	state->head = *head;
	prolly_state_add_move(state, &old->head, head);
	prolly_staged_note_move(branch->id, old, batch);
	prolly_branch_save_state(branch, state, batch);
	if (!prolly_db_write(repo->body->db, batch, PROLLY_DB_BUFFERED, error))
		return false;
	prolly_hints_clear(branch->hints);
	prolly_branch_take_state(branch, prolly_state_ref(state));
	/* It is done: what cannot be told now is told as "everything". */
	if (!prolly_branch_take_move(repo, branch, old, state, out_places, NULL)) {
		prolly_files_orphan(branch, NULL);
		*out_places = NULL;
	}
	return true;
}

/* Under commit_lock. */
static bool follow_head_locked(ProllyRepo *repo, ProllyBranch *branch, bool *out_moved,
			       GPtrArray **out_places, GError **error)
{
	g_autofree char *name = prolly_branch_dup_name(branch);
	g_autoptr(ProllyState) state = prolly_branch_get_state(branch);
	ProllyCommitId head;
	bool found;
	bool ok;

	*out_moved = false;
	if (prolly_branch_is_deleted(branch))
		return true;
	if (!prolly_branch_read_head(repo, name, &head, &found, error))
		return false;
	if (!found || prolly_commit_id_equal(&head, &state->head))
		return true;
	g_mutex_lock(&branch->write_lock);
	ok = take_over(repo, branch, state, &head, out_places, error);
	g_mutex_unlock(&branch->write_lock);
	*out_moved = ok;
	return ok;
}

/* If git moved the reference, BRANCH follows. HEAD is where it was seen. */
static bool follow_head(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *head,
			GError **error)
{
	g_autoptr(GPtrArray) places = NULL;
	ProllyCommitId known;
	bool moved = false;
	bool ok = true;

	prolly_branch_get_head(branch, &known);
	if (prolly_commit_id_equal(&known, head))
		return true;
	prolly_repo_begin_change(repo);
	if (g_mutex_trylock(&branch->commit_lock)) {
		ok = follow_head_locked(repo, branch, &moved, &places, error);
		g_mutex_unlock(&branch->commit_lock);
	}
	if (ok && moved)
		prolly_branch_notify_places(repo, branch, places, true);
	prolly_repo_end_change(repo);
	return ok;
}

/* ---- Looking up -------------------------------------------------------------------------- */

ProllyBranch *prolly_branch_find_held(ProllyRepoBody *body, const char *name)
{
	ProllyBranch *branch;

	g_mutex_lock(&body->branches_lock);
	branch = g_hash_table_lookup(body->branches, name);
	if (branch)
		prolly_branch_ref(branch);
	g_mutex_unlock(&body->branches_lock);
	return branch;
}

/* (transfer full) The branch in the table, or loaded into it; NULL: it went while we waited. */
static bool find_or_load(ProllyRepo *repo, const char *name, ProllyBranch **out_branch,
			 GError **error)
{
	g_autoptr(GMutexLocker) locker = NULL;
	ProllyCommitId head;
	bool found;

	*out_branch = prolly_branch_find_held(repo->body, name);
	if (*out_branch)
		return true;
	locker = g_mutex_locker_new(&repo->body->set_lock);
	*out_branch = prolly_branch_find_held(repo->body, name);
	if (*out_branch)
		return true;
	return prolly_branch_read_head(repo, name, &head, &found, error) &&
	       (!found || load_branch(repo, name, &head, out_branch, error));
}

bool prolly_branch_lookup(ProllyRepo *repo, const char *name, ProllyBranch **out_branch,
			  GError **error)
{
	g_autoptr(ProllyBranch) branch = NULL;
	ProllyCommitId head;
	bool found;

	g_return_val_if_fail(repo != NULL && name != NULL && out_branch != NULL, false);

	*out_branch = NULL;
	if (!prolly_branch_check_name(name, NULL))
		return true;
	prolly_publication_finish_late(repo);
	if (!prolly_branch_read_head(repo, name, &head, &found, error))
		return false;
	if (!found)
		return prolly_branch_forget(repo, name, error);
	if (!find_or_load(repo, name, &branch, error) ||
	    (branch && !follow_head(repo, branch, &head, error)))
		return false;
	*out_branch = g_steal_pointer(&branch);
	return true;
}
