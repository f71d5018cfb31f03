/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging what a merge changes, instead of committing it (squash, no-commit).
 *
 * It is staged below all that is staged already: a generation goes under the others that holds what
 * the merge made of each key it changes. So whatever was staged lies over it, just as it would over
 * the commit, and the same comparison says what is in the way (merge-staged.c). The generation is
 * filled while writers go on, since only the two committed states say what is in it.
 *
 * Being a generation of its own it can be taken out again: that is how a merge which waits for its
 * commit is aborted. What was staged over it stays.
 *
 * Directories. Records of newer generations say how directories were before; a move from the head
 * to itself makes those void (moves.c), so that readers look again.
 *
 * A key that was there keeps its attributes but for its times, which are now; one that was not is a
 * new object.
 */
#include "version/generation-private.h"
#include "version/merge-private.h"

#include <string.h>

typedef struct {
	const ProllyStaging *staging;
	ProllyWorking committed; /* the head, without what is staged */
	ProllyGeneration generation;
} Stage;

/* ---- Keys -------------------------------------------------------------------------------- */

static bool make_record(Stage *self, const ProllyPlace *place, bool exists,
			ProllyAttrRecord *out_record, GError **error)
{
	int first = (int)self->committed.state->generations->len;
	g_auto(ProllyFinding) finding = {0};
	ProllyAttrs *attrs = &out_record->attrs;

	if (!exists)
		return prolly_transaction_new_record(&self->generation.txn, 0, out_record, error);
	prolly_finding_init(&finding);
	if (!prolly_working_find(&self->committed, place, first, true, &finding, error) ||
	    !prolly_working_settle(&self->committed, place, &finding, out_record, error))
		return false;
	prolly_attrs_leave_group(attrs);
	attrs->atime = attrs->mtime = attrs->ctime = self->generation.txn.now;
	attrs->has |= PROLLY_ATTR_TIMES;
	return true;
}

static bool stage_key(Stage *self, const ProllyPlace *place, const ProllyChange *change,
		      GError **error)
{
	bool was_marker =
		change->old_value && prolly_stored_is_marker(change->old_value, change->old_len);
	bool is_marker =
		change->new_value && prolly_stored_is_marker(change->new_value, change->new_len);
	g_auto(ProllyAttrRecord) record = {0};
	g_autoptr(GBytes) stored = NULL;

	if (was_marker || is_marker)
		prolly_generation_touch_marked(&self->generation, place);
	if (!change->old_value || !change->new_value)
		prolly_generation_touch_parent(&self->generation, place);
	if (!change->new_value)
		return prolly_generation_remove(&self->generation, place, error);
	stored = g_bytes_new(change->new_value, change->new_len);
	if (is_marker)
		return prolly_generation_put(&self->generation, place, stored, NULL, error);
	if (!make_record(self, place, change->old_value && !was_marker, &record, error))
		return false;
	record.sequence = prolly_state_get_sequence(self->generation.state);
	return prolly_generation_put(&self->generation, place, stored, &record, error);
}

static bool stage_namespace(Stage *self, const ProllyTrio *trio, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->staging->repo);
	g_autoptr(ProllyDiff) diff =
		prolly_diff_new(context, trio->ours, trio->theirs, NULL, 0, NULL, 0);
	ProllyChange change;
	bool end = false;

	while (prolly_diff_next(diff, &change, &end, error)) {
		ProllyPlace place = {trio->name, change.key, change.key_len};

		if (end)
			return true;
		if (!stage_key(self, &place, &change, error))
			return false;
	}
	return false;
}

static bool stage_namespaces(Stage *self, GError **error)
{
	const ProllyStaging *staging = self->staging;
	const GArray *ours = self->committed.state->namespaces;
	g_autoptr(GArray) trios = NULL;
	ProllySides sides;

	if (!prolly_sides_init(&sides, staging->repo, ours, ours, staging->merged, error))
		return false;
	trios = prolly_sides_list(&sides);
	for (guint i = 0; i < trios->len; i++) {
		const ProllyTrio *trio = &g_array_index(trios, ProllyTrio, i);

		if (prolly_trio_is_changed(trio) && !stage_namespace(self, trio, error))
			return false;
		if (trio->in_ours != trio->in_theirs &&
		    !prolly_generation_put_namespace(&self->generation, trio->name, trio->in_theirs,
						     error))
			return false;
	}
	return true;
}

/* ---- Directories ------------------------------------------------------------------------- */

/* Those whose children differ (I1 in staged.c); their state is for readers to find. */
static bool stage_directories(Stage *self, GError **error)
{
	ProllyPlace dir;

	for (;;) {
		g_autoptr(GBytes) key = prolly_generation_take_directory(&self->generation, &dir);
		g_auto(ProllyAttrRecord) record = {0};

		if (!key)
			return true;
		if (!prolly_working_find_directory(&self->committed, &dir, &record, NULL, error))
			return false;
		record.attrs.mtime = record.attrs.ctime = self->generation.txn.now;
		record.attrs.has |= PROLLY_ATTR_MTIME | PROLLY_ATTR_CTIME;
		if (!prolly_generation_put_changed(&self->generation, &dir, &record, error))
			return false;
	}
}

/* ---- Making it true ---------------------------------------------------------------------- */

/* (transfer full) STATE, with what its records say of directories void. */
static ProllyState *copy_moved(const ProllyState *state)
{
	ProllyState *copy = prolly_state_copy(state);

	prolly_state_add_move(copy, &state->head, &state->head);
	return copy;
}

/* Adds to BATCH and PUBLICATION what becomes of unfinished merges. */
static bool settle_unfinished(const ProllyStaging *staging, ProllyPublication *publication,
			      ProllyDbBatch *batch, GError **error)
{
	if (staging->unfinished)
		return prolly_unfinished_add(staging->repo, staging->branch, staging->unfinished,
					     staging->source, publication, batch, error);
	return !staging->is_recorded ||
	       prolly_unfinished_end(staging->repo, staging->branch, publication, batch, error);
}

/* Writes BATCH and makes STATE the branch's, which was OLD. Under write_lock. */
static bool publish_state(ProllyRepo *repo, ProllyBranch *branch, ProllyState *old,
			  ProllyState *state, ProllyPublication *publication, ProllyDbBatch *batch,
			  GError **error)
{
	ProllyWorking before = {.repo = repo, .branch = branch, .state = old};
	ProllyWorking after = {.repo = repo, .branch = branch, .state = state};

	prolly_staged_note_move(prolly_branch_get_id(branch), state, batch);
	prolly_branch_save_state(branch, state, batch);
	if (!prolly_publication_write(publication, repo, batch, error))
		return false;
	prolly_hints_clear(branch->hints);
	prolly_branch_take_state(branch, prolly_state_ref(state));
	/* It is done: what cannot be told now is told as "everything". */
	if (!prolly_working_orphan_files(&before, &after, NULL))
		prolly_files_orphan(branch, NULL);
	return true;
}

/* Under write_lock. */
static bool attach(Stage *self, GError **error)
{
	const ProllyStaging *staging = self->staging;
	ProllyRepo *repo = staging->repo;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(ProllyPublication) publication = prolly_publication_new(prolly_ref_updates_new());
	g_autoptr(ProllyState) old = NULL, state = NULL;
	ProllyBeside beside;

	if (!prolly_files_flush_all(repo, staging->branch, error))
		return false;
	old = prolly_branch_get_state(staging->branch);
	if (!prolly_commit_id_equal(&old->head, &self->committed.state->head))
		return prolly_throw(error, PROLLY_ERROR_STALE, "the branch has moved meanwhile");
	if (!prolly_beside_init(&beside, repo, staging->branch, old, error))
		return false;
	beside.is_resumed = staging->is_resumed;
	beside.batch = batch;
	if (!prolly_beside_check_all(&beside, old->namespaces, staging->merged, error) ||
	    !settle_unfinished(staging, publication, batch, error))
		return false;
	state = copy_moved(old);
	if (self->generation.is_written)
		g_array_append_val(state->generations, self->generation.number);
	self->generation.is_attached = publish_state(repo, staging->branch, old, state,
						     g_steal_pointer(&publication), batch, error);
	return self->generation.is_attached;
}

static bool run(Stage *self, GError **error)
{
	const ProllyStaging *staging = self->staging;
	ProllyState *ours = self->committed.state;
	bool ok;

	if (!prolly_generation_begin(&self->generation, staging->repo, staging->branch, ours,
				     error))
		return false;
	/* Records are as of the move that is about to come. */
	prolly_state_add_move(self->generation.state, &ours->head, &ours->head);
	if (!stage_namespaces(self, error) || !stage_directories(self, error) ||
	    !prolly_generation_flush(&self->generation, error) ||
	    !prolly_store_flush(prolly_repo_get_context(staging->repo)->store, NULL, error))
		return false;
	if (staging->unfinished)
		staging->unfinished->generation =
			self->generation.is_written ? self->generation.number : 0;
	g_mutex_lock(&staging->branch->write_lock);
	ok = attach(self, error);
	g_mutex_unlock(&staging->branch->write_lock);
	return ok;
}

bool prolly_merge_stage(const ProllyStaging *staging, GError **error)
{
	Stage self = {
		.staging = staging,
		.committed = {.repo = staging->repo,
			      .branch = staging->branch,
			      .state = staging->state},
	};
	bool ok = run(&self, error);

	prolly_generation_clear(&self.generation);
	return ok;
}

/* ---- Taking it back ---------------------------------------------------------------------- */

/* (transfer full) OLD without GENERATION. */
static ProllyState *without_generation(const ProllyState *old, uint64_t generation)
{
	ProllyState *state = copy_moved(old);

	for (guint i = state->generations->len; i-- > 1;)
		if (g_array_index(state->generations, uint64_t, i) == generation)
			g_array_remove_index(state->generations, i);
	return state;
}

/* Under write_lock. */
static bool detach(ProllyRepo *repo, ProllyBranch *branch, uint64_t generation, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(ProllyPublication) publication = prolly_publication_new(prolly_ref_updates_new());
	g_autoptr(ProllyState) old = NULL, state = NULL;

	if (!prolly_files_flush_all(repo, branch, error) ||
	    !prolly_unfinished_end(repo, branch, publication, batch, error))
		return false;
	old = prolly_branch_get_state(branch);
	state = without_generation(old, generation);
	return publish_state(repo, branch, old, state, g_steal_pointer(&publication), batch, error);
}

/* If it fails, the next start does it. */
static void delete_records(ProllyRepo *repo, ProllyBranch *branch, uint64_t generation)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);

	prolly_staged_delete_generation(prolly_branch_get_id(branch), generation, batch);
	prolly_db_write(repo->body->db, batch, PROLLY_DB_TIDYING, NULL);
}

bool prolly_merge_unstage(ProllyRepo *repo, ProllyBranch *branch, uint64_t generation,
			  GError **error)
{
	bool ok;

	g_mutex_lock(&branch->write_lock);
	ok = detach(repo, branch, generation, error);
	g_mutex_unlock(&branch->write_lock);
	if (!ok)
		return false;
	delete_records(repo, branch, generation);
	return true;
}
