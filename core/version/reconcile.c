/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconcile: a merge from its beginning to the branch's move.
 *
 *   examine   the three sides are compared key by key. Keys that both changed differently are
 *             decided or told as conflicts, and the verdicts go onto a tape; staged changes that are
 *             in the way stop the merge. Nothing is written: a dry run ends here.
 *   record    with conflicts: the merge is written down for whoever resolves them (unfinished.c)
 *   carry out else theirs' changes and the verdicts are applied to ours, one batch a namespace
 *   move      one publication moves the branch, or the changes are staged instead
 *
 * So memory is bounded by a few paths, whatever is merged, and a merge that stops has changed
 * nothing. Only the branch's commit_lock is held until the move; writers go on. Staged changes that
 * came meanwhile could be overwritten, so what is staged is compared again under write_lock, which
 * is held until the branch has moved; a branch with nothing staged, the common case, is seen at
 * once.
 *
 * The observer is told when commit_lock was given up: it waits for the kernel, which may hold a
 * directory for somebody who renames or deletes the branch and so waits for commit_lock.
 *
 * A fast-forward is the same with the branch's head as base and theirs as the result; so is a change
 * that is applied (cherry-pick, revert), with a base that is given and one parent; and so is a merge
 * that is continued, with the verdicts that were found meanwhile.
 *
 * Several changes that are to be staged together are examined and carried out one after the other,
 * each on what came of the one before, and only what came of the last is compared with what is
 * staged, and staged. There is no state of the branch that such a one in the middle could wait in, so
 * conflicts are told and not recorded.
 */
#include "version/merge-private.h"

#include <string.h>

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
	const ProllyMergeOptions *options;
	ProllyMergeChange change;         /* what is merged in */
	const ProllyMergeChange *changes; /* several, of which it is one; nullable */
	size_t n_changes;
	bool is_merge; /* its result has theirs as a parent too */
	bool is_fast_forward;
	ProllyUnfinished *resumed; /* what is continued; nullable */
	bool is_recorded;          /* the branch has an unfinished merge, this one or another */

	ProllyState *state;    /* of the branch when the merge began */
	GArray *bases;         /* of a merge: of ProllyCommitId */
	GArray *base, *theirs; /* of ProllyNamespace */
	GArray *made;          /* of several changes: what came of those before; nullable */
	ProllySides sides;

	ProllyDecider *decider;
	ProllyBeside beside;
	ProllyTape *tape;
	uint64_t conflicts;
	bool is_changing; /* something of ours will be different */

	bool is_changed;   /* the observer is to be told */
	GPtrArray *places; /* where; NULL: everywhere */
} Reconcile;

/* ---- The base ---------------------------------------------------------------------------- */

/* Of a merge. *OUT_DONE: there is nothing to merge. */
static bool find_bases(Reconcile *self, bool *out_done, GError **error)
{
	const ProllyMergeOptions *options = self->options;
	const ProllyCommitId *first;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	if (!prolly_history_merge_bases(self->repo, &self->state->head, self->change.to,
					&self->bases, error))
		return false;
	if (self->bases->len == 0)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "%.10s has no commit in common with the branch: refusing to "
				    "merge unrelated histories",
				    prolly_commit_id_to_hex(self->change.to, hex));
	first = &g_array_index(self->bases, ProllyCommitId, 0);
	*out_done = prolly_commit_id_equal(first, self->change.to);
	self->is_fast_forward = prolly_commit_id_equal(first, &self->state->head) &&
				!options->no_ff && !options->squash && !self->resumed;
	if (!*out_done && !self->is_fast_forward && options->ff_only)
		return prolly_throw(error, PROLLY_ERROR_DENIED,
				    "not possible to fast-forward: the histories have diverged");
	return true;
}

/* (transfer full) Those of commit ID; NULL: none. */
static bool load_namespaces(Reconcile *self, const ProllyCommitId *id, GArray **out_namespaces,
			    GError **error)
{
	if (id)
		return prolly_commit_load_namespaces(self->repo, id, out_namespaces, error);
	*out_namespaces = prolly_namespaces_new();
	return true;
}

static bool load_base(Reconcile *self, GError **error)
{
	if (!self->is_merge)
		return load_namespaces(self, self->change.from, &self->base, error);
	if (self->bases->len == 1)
		self->change.from = &g_array_index(self->bases, ProllyCommitId, 0);
	return prolly_bases_merge(self->repo, self->branch, self->options, self->bases, &self->base,
				  error);
}

static bool load_sides(Reconcile *self, GError **error)
{
	return load_base(self, error) &&
	       load_namespaces(self, self->change.to, &self->theirs, error) &&
	       prolly_sides_init(&self->sides, self->repo, self->base,
				 self->made ? self->made : self->state->namespaces, self->theirs,
				 error);
}

/* ---- Examining --------------------------------------------------------------------------- */

/* A verdict that is there already: from the record of what is continued. */
static bool recall(Reconcile *self, const ProllyPlace *place, const ProllyMergeStep *step,
		   bool *out_decided, GBytes **out_stored, GError **error)
{
	g_auto(ProllyResolution) resolution = {0};
	bool found;

	*out_decided = false;
	if (!self->resumed)
		return true;
	if (!prolly_resolution_find(self->repo, prolly_branch_get_id(self->branch), place,
				    &resolution, &found, error))
		return false;
	if (found && prolly_resolution_holds(&resolution, step)) {
		*out_decided = true;
		*out_stored = g_steal_pointer(&resolution.stored);
	}
	return true;
}

static bool tell_conflict(Reconcile *self, const ProllyPlace *place, const ProllyMergeStep *step,
			  GError **error)
{
	const ProllyMergeOptions *options = self->options;

	self->conflicts++;
	return !options->conflict || options->conflict(place, prolly_conflict_classify(step), step,
						       options->conflict_data, error);
}

/* Is it what ours has already? */
static bool is_as_ours(const ProllyVerdict *verdict)
{
	const ProllyMergeStep *sides = &verdict->sides;

	if (!verdict->value || !sides->ours)
		return !verdict->value && !sides->ours;
	return verdict->value_len == sides->ours_len &&
	       memcmp(verdict->value, sides->ours, sides->ours_len) == 0;
}

/* Both changed it. */
static bool examine_clash(Reconcile *self, const ProllyPlace *place, const ProllyMergeStep *step,
			  GError **error)
{
	ProllyVerdict verdict = {.place = *place, .sides = *step};
	g_autoptr(GBytes) stored = NULL;
	bool decided;

	if (!recall(self, place, step, &decided, &stored, error) ||
	    (!decided &&
	     !prolly_decider_decide(self->decider, place, step, &decided, &stored, error)))
		return false;
	verdict.is_open = !decided;
	if (stored)
		verdict.value = g_bytes_get_data(stored, &verdict.value_len);
	if (!prolly_tape_append_verdict(self->tape, &verdict, error))
		return false;
	if (!decided)
		return tell_conflict(self, place, step, error);
	self->is_changing |= !is_as_ours(&verdict);
	return prolly_beside_check(&self->beside, place, step, verdict.value, verdict.value_len,
				   error);
}

/* ProllyStepFunc */
static bool examine_step(void *data, const ProllyPlace *place, const ProllyMergeStep *step,
			 GError **error)
{
	Reconcile *self = data;

	if (self->options->is_cancelled &&
	    self->options->is_cancelled(self->options->conflict_data))
		return prolly_throw(error, PROLLY_ERROR_CANCELLED, "cancelled");
	if (step->side == PROLLY_SIDE_BOTH)
		return examine_clash(self, place, step, error);
	self->is_changing = true;
	return prolly_beside_check(&self->beside, place, step, step->theirs, step->theirs_len,
				   error);
}

static bool examine(Reconcile *self, GError **error)
{
	ProllyDeciderSetting setting = {
		.options = self->options,
		.ours = &self->state->head,
		.theirs = self->change.to,
	};
	g_autoptr(ProllyState) state = NULL;
	bool ok;

	self->tape = prolly_tape_new();
	if (!prolly_files_flush_branch(self->repo, self->branch, &state, error) ||
	    !load_sides(self, error) ||
	    !prolly_beside_init(&self->beside, self->repo, self->branch, state, error) ||
	    !prolly_decider_new(self->repo, self->branch, &setting, &self->decider, error))
		return false;
	self->beside.is_resumed = self->resumed != NULL;
	self->beside.is_empty |= self->n_changes > 0; /* that is compared at the end */
	self->is_changing |= prolly_sides_change_namespaces(&self->sides);
	ok = prolly_sides_foreach(&self->sides, examine_step, self, error);
	g_clear_pointer(&self->decider, prolly_decider_free);
	return ok;
}

/* ---- Moving the branch -------------------------------------------------------------------- */

/* ProllyDecideFunc: what examining found. */
static bool read_verdict(void *data, const ProllyPlace *place, const ProllyMergeStep *step,
			 GBytes **out_stored, GError **error)
{
	Reconcile *self = data;
	ProllyVerdict verdict;
	bool end;

	if (!prolly_tape_read_verdict(self->tape, &verdict, &end, error))
		return false;
	g_assert(!end && prolly_place_equal(&verdict.place, place));
	if (verdict.value)
		*out_stored = g_bytes_new(verdict.value, verdict.value_len);
	return true;
}

/* (transfer full) The namespaces of the result. */
static bool carry_out(Reconcile *self, GArray **out_namespaces, GError **error)
{
	if (self->made) {
		*out_namespaces = g_array_ref(self->made);
		return true;
	}
	if (self->is_fast_forward) {
		*out_namespaces = g_array_ref(self->theirs);
		return true;
	}
	return prolly_tape_rewind(self->tape, error) &&
	       prolly_sides_merge(&self->sides, read_verdict, self, out_namespaces, error);
}

static void clear_change(Reconcile *self)
{
	g_clear_pointer(&self->tape, prolly_tape_free);
	g_clear_pointer(&self->base, g_array_unref);
	g_clear_pointer(&self->theirs, g_array_unref);
}

/* One of several changes, which has been examined: the next is applied to what comes of it. */
static bool carry_over(Reconcile *self, GError **error)
{
	GArray *made = NULL;

	if (!prolly_tape_rewind(self->tape, error) ||
	    !prolly_sides_merge(&self->sides, read_verdict, self, &made, error))
		return false;
	g_clear_pointer(&self->made, g_array_unref);
	self->made = made;
	clear_change(self);
	return true;
}

static bool examine_all(Reconcile *self, GError **error)
{
	g_autoptr(ProllyState) state = NULL;
	ProllyBeside beside;

	for (size_t i = 0; i < self->n_changes; i++) {
		self->change = self->changes[i];
		if (!examine(self, error))
			return false;
		if (self->conflicts)
			return true;
		if (!carry_over(self, error))
			return false;
	}
	return prolly_files_flush_branch(self->repo, self->branch, &state, error) &&
	       prolly_beside_init(&beside, self->repo, self->branch, state, error) &&
	       prolly_beside_check_all(&beside, self->state->namespaces, self->made, error);
}

static char *make_reflog_message(const Reconcile *self)
{
	const char *message = self->options->message;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	if (!self->is_merge)
		return g_strdup_printf("%s: %.*s", self->options->operation,
				       (int)strcspn(message, "\n"), message);
	return g_strdup_printf("merge %.10s: %s", prolly_commit_id_to_hex(self->change.to, hex),
			       self->is_fast_forward ? "Fast-forward" : "Merge made");
}

/* (transfer full) What is to be published, and the head after it. */
static bool prepare_publication(Reconcile *self, const GArray *namespaces,
				ProllyPublication **out_publication, ProllyCommitId *out_id,
				GError **error)
{
	g_autofree char *reflog = make_reflog_message(self);
	ProllyCommitId parents[2] = {self->state->head};
	ProllyNewCommit commit = {
		.parents = parents,
		.n_parents = self->is_merge ? 2 : 1,
		.namespaces = namespaces,
		.message = self->options->message,
		.author = self->options->author,
		.committer = self->options->committer,
	};

	if (self->is_fast_forward) {
		*out_id = *self->change.to;
		return prolly_publication_new_move(self->repo, self->branch, self->change.to,
						   reflog, out_publication, error);
	}
	if (self->is_merge)
		parents[1] = *self->change.to;
	return prolly_publication_new_commit(self->repo, self->branch, &commit, reflog,
					     out_publication, out_id, error);
}

/* Whatever the branch has unfinished ends with this merge. */
static bool forget_unfinished(Reconcile *self, ProllyPublication *publication, ProllyDbBatch *batch,
			      GError **error)
{
	return !self->is_recorded ||
	       prolly_unfinished_end(self->repo, self->branch, publication, batch, error);
}

/* Under write_lock. */
static bool move_branch(Reconcile *self, ProllyPublication *taken, const ProllyCommitId *id,
			GArray *namespaces, GError **error)
{
	g_autoptr(ProllyPublication) publication = taken;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(self->repo->body->db);
	g_autoptr(ProllyState) old = NULL, state = NULL;
	ProllyBeside beside;

	if (!prolly_files_flush_all(self->repo, self->branch, error))
		return false;
	old = prolly_branch_get_state(self->branch);
	if (!prolly_beside_init(&beside, self->repo, self->branch, old, error))
		return false;
	beside.is_resumed = self->resumed != NULL;
	beside.batch = batch;
	if (!prolly_beside_check_all(&beside, old->namespaces, namespaces, error) ||
	    !forget_unfinished(self, publication, batch, error))
		return false;
	state = prolly_state_copy(old);
	g_array_unref(state->namespaces);
	state->namespaces = g_array_ref(namespaces);
	prolly_state_add_move(state, &old->head, id);
	state->head = *id;
	prolly_branch_save_state(self->branch, state, batch);
	if (!prolly_publication_publish(g_steal_pointer(&publication), self->repo, &old->head,
					batch, error))
		return false;
	prolly_hints_clear(self->branch->hints);
	prolly_branch_take_state(self->branch, prolly_state_ref(state));
	/* The branch has moved: what cannot be told now is told as "everything". */
	if (!prolly_branch_take_move(self->repo, self->branch, old, state, &self->places, NULL))
		prolly_files_orphan(self->branch, NULL);
	return true;
}

/* *OUT_ID: the head then. */
static bool finish(Reconcile *self, ProllyCommitId *out_id, GError **error)
{
	g_autoptr(ProllyPublication) publication = NULL;
	g_autoptr(GArray) namespaces = NULL;
	ProllyCommitId id;
	bool ok;

	if (!carry_out(self, &namespaces, error) ||
	    !prepare_publication(self, namespaces, &publication, &id, error))
		return false;
	g_mutex_lock(&self->branch->write_lock);
	ok = move_branch(self, g_steal_pointer(&publication), &id, namespaces, error);
	g_mutex_unlock(&self->branch->write_lock);
	if (!ok)
		return false;
	*out_id = id;
	self->is_changed = true;
	return true;
}

/* ---- With conflicts ---------------------------------------------------------------------- */

static ProllyUnfinished *describe(const Reconcile *self)
{
	const ProllyMergeOptions *options = self->options;
	ProllyUnfinished *made = g_new0(ProllyUnfinished, 1);

	made->operation = g_strdup(self->is_merge ? "merge" : options->operation);
	made->message = g_strdup(options->message);
	made->strategy = g_strdup(options->strategy);
	made->preference = g_strdup(options->preference);
	made->note = g_strdup(options->note);
	made->is_squash = options->squash || (options->no_commit && !self->is_merge);
	made->has_to = self->change.to != NULL;
	if (made->has_to)
		made->to = *self->change.to;
	if (!self->is_merge) {
		made->author = *options->author;
		made->author.name = g_strdup(options->author->name);
		made->author.email = g_strdup(options->author->email);
	}
	for (size_t side = 0; side < PROLLY_SIDE_OF_N; side++)
		made->open[side] = prolly_namespaces_new();
	return made;
}

/* (transfer full) What is to be remembered, but for the verdicts. */
static ProllyUnfinished *new_unfinished(const Reconcile *self)
{
	ProllyUnfinished *made =
		self->resumed ? prolly_unfinished_copy(self->resumed) : describe(self);

	made->has_from = self->change.from != NULL;
	if (made->has_from)
		made->from = *self->change.from;
	return made;
}

static ProllyUnfinishedSource make_source(const Reconcile *self)
{
	return (ProllyUnfinishedSource){
		.tape = self->tape,
		.head = &self->state->head,
		.namespaces = self->state->namespaces,
		.bases = self->bases,
		.base = self->base,
		.committer = self->options->committer,
		.is_resumed = self->resumed != NULL,
	};
}

static bool record(Reconcile *self, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = new_unfinished(self);
	ProllyUnfinishedSource source = make_source(self);

	return prolly_unfinished_begin(self->repo, self->branch, unfinished, &source, error);
}

/* ---- Without a commit -------------------------------------------------------------------- */

/* The changes are staged. Of a merge it is remembered, for the next commit. */
static bool stage(Reconcile *self, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = new_unfinished(self);
	g_autoptr(GArray) namespaces = NULL;
	ProllyUnfinishedSource source = make_source(self);
	ProllyStaging staging = {
		.repo = self->repo,
		.branch = self->branch,
		.state = self->state,
		.is_resumed = self->resumed != NULL,
		.is_recorded = self->is_recorded,
		.source = &source,
	};

	if (!carry_out(self, &namespaces, error))
		return false;
	staging.merged = namespaces;
	if (!unfinished->is_squash) {
		unfinished->is_staged = true;
		staging.unfinished = unfinished;
	}
	self->is_changed = prolly_merge_stage(&staging, error);
	return self->is_changed;
}

/* ---- The merge ---------------------------------------------------------------------------- */

/* A merge that waits is not in the way if nothing was done for it yet. */
static bool check_unfinished(Reconcile *self, GError **error)
{
	g_autoptr(ProllyUnfinished) other = NULL;
	g_autofree char *name = NULL;

	if (self->resumed) {
		self->is_recorded = true;
		return true;
	}
	if (self->options->dry_run)
		return true;
	if (!prolly_unfinished_load(self->repo, self->branch, &other, error))
		return false;
	self->is_recorded = other != NULL;
	if (!other || (other->resolved == 0 && !other->note && !other->is_staged))
		return true;
	name = prolly_branch_dup_name(self->branch);
	return prolly_throw(error, PROLLY_ERROR_BUSY,
			    "branch '%s' has an unfinished %s: finish it with '%s --continue' or "
			    "drop it with '%s --abort'",
			    name, other->operation, other->operation, other->operation);
}

/* After examining. What changes nothing makes no commit unless it is a merge. */
static ProllyMergeResult get_result(const Reconcile *self)
{
	if (self->conflicts)
		return PROLLY_MERGE_CONFLICT;
	if (self->is_fast_forward)
		return PROLLY_MERGE_FAST_FORWARD;
	if (!self->is_merge && !self->is_changing)
		return PROLLY_MERGE_UP_TO_DATE;
	return self->options->squash || self->options->no_commit ? PROLLY_MERGE_STAGED
								 : PROLLY_MERGE_MERGED;
}

static bool act(Reconcile *self, ProllyMergeResult result, ProllyCommitId *id, GError **error)
{
	if (self->options->dry_run)
		return true;
	switch (result) {
	case PROLLY_MERGE_CONFLICT:
		return self->n_changes > 0 || record(self, error);
	case PROLLY_MERGE_UP_TO_DATE:
		return !self->resumed || prolly_unfinished_drop(self->repo, self->branch, error);
	case PROLLY_MERGE_STAGED:
		return stage(self, error);
	default:
		return finish(self, id, error);
	}
}

/* Under commit_lock. */
static bool run(Reconcile *self, ProllyMergeResult *out_result, ProllyCommitId *out_id,
		GError **error)
{
	ProllyCommitId id = self->state->head;
	ProllyMergeResult result = PROLLY_MERGE_UP_TO_DATE;
	bool done = false;

	if (!prolly_decider_check_options(self->options, error) || !check_unfinished(self, error) ||
	    (self->is_merge && !find_bases(self, &done, error)))
		return false;
	if (!done) {
		if (!(self->n_changes ? examine_all(self, error) : examine(self, error)))
			return false;
		result = get_result(self);
	}
	if (!act(self, result, &id, error))
		return false;
	*out_result = result;
	*out_id = id;
	return true;
}

/* Under commit_lock, with what is merged in SELF; tell follows. */
static bool reconcile_locked(Reconcile *self, ProllyMergeResult *out_result, ProllyCommitId *out_id,
			     GError **error)
{
	bool ok;

	if (!prolly_branch_check_there(self->branch, error))
		return false;
	self->state = prolly_branch_get_state(self->branch);
	ok = run(self, out_result, out_id, error);
	prolly_state_unref(self->state);
	prolly_decider_free(self->decider);
	g_clear_pointer(&self->bases, g_array_unref);
	g_clear_pointer(&self->made, g_array_unref);
	clear_change(self);
	return ok;
}

/* No lock is held. */
static void tell(Reconcile *self)
{
	if (self->is_changed)
		prolly_branch_notify_places(self->repo, self->branch, self->places, false);
	g_clear_pointer(&self->places, g_ptr_array_unref);
}

static bool reconcile(Reconcile *self, ProllyMergeResult *out_result, ProllyCommitId *out_id,
		      GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(self->repo);
	bool ok;

	g_mutex_lock(&self->branch->commit_lock);
	ok = reconcile_locked(self, out_result, out_id, error);
	g_mutex_unlock(&self->branch->commit_lock);
	tell(self);
	return ok;
}

bool prolly_history_merge(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *theirs,
			  const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			  ProllyCommitId *out_id, GError **error)
{
	Reconcile self = {
		.repo = repo,
		.branch = branch,
		.options = options,
		.change = {.to = theirs},
		.is_merge = true,
	};

	return reconcile(&self, out_result, out_id, error);
}

bool prolly_history_apply(ProllyRepo *repo, ProllyBranch *branch, const ProllyMergeChange *change,
			  const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			  ProllyCommitId *out_id, GError **error)
{
	Reconcile self = {
		.repo = repo,
		.branch = branch,
		.options = options,
		.change = *change,
	};

	return reconcile(&self, out_result, out_id, error);
}

bool prolly_history_stage_all(ProllyRepo *repo, ProllyBranch *branch,
			      const ProllyMergeChange *changes, size_t n,
			      const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			      ProllyCommitId *out_id, GError **error)
{
	Reconcile self = {
		.repo = repo,
		.branch = branch,
		.options = options,
		.changes = changes,
		.n_changes = n,
	};

	return reconcile(&self, out_result, out_id, error);
}

/* ---- Going on ---------------------------------------------------------------------------- */

/* SELF and its OPTIONS become those of UNFINISHED. Borrows from it. */
static void take_up(Reconcile *self, ProllyMergeOptions *options, ProllyUnfinished *unfinished)
{
	self->is_merge = strcmp(unfinished->operation, "merge") == 0;
	self->resumed = unfinished;
	if (unfinished->has_from && !self->is_merge)
		self->change.from = &unfinished->from;
	if (unfinished->has_to)
		self->change.to = &unfinished->to;
	options->operation = unfinished->operation;
	options->strategy = unfinished->strategy;
	options->preference = unfinished->preference;
	options->squash = unfinished->is_squash;
	if (!options->message)
		options->message = unfinished->message;
	if (unfinished->author.name)
		options->author = &unfinished->author;
}

/* Under commit_lock; tell follows. */
static bool resume(Reconcile *self, ProllyMergeOptions *options, ProllyUnfinished *unfinished,
		   ProllyMergeResult *out_result, ProllyCommitId *out_id, GError **error)
{
	take_up(self, options, unfinished);
	return reconcile_locked(self, out_result, out_id, error);
}

/* What is staged needs a commit only. No lock is held. */
static bool commit_staged(ProllyRepo *repo, ProllyBranch *branch,
			  const ProllyUnfinished *unfinished, const ProllyMergeOptions *given,
			  ProllyMergeResult *out_result, ProllyCommitId *out_id, GError **error)
{
	ProllyCommitOptions options = {
		.message = given->message ? given->message : unfinished->message,
		.author = unfinished->author.name ? &unfinished->author : given->author,
		.committer = given->committer,
		.allow_empty = true,
	};
	uint64_t changes;

	*out_result = PROLLY_MERGE_MERGED;
	return prolly_history_commit(repo, branch, &options, out_id, &changes, error);
}

bool prolly_history_continue(ProllyRepo *repo, ProllyBranch *branch,
			     const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			     ProllyCommitId *out_id, GError **error)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(repo);
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	ProllyMergeOptions resumed = *options;
	Reconcile self = {.repo = repo, .branch = branch, .options = &resumed};
	bool ok;

	g_mutex_lock(&branch->commit_lock);
	ok = prolly_branch_check_there(branch, error) &&
	     prolly_unfinished_require(repo, branch, &unfinished, error) &&
	     (unfinished->is_staged ||
	      resume(&self, &resumed, unfinished, out_result, out_id, error));
	g_mutex_unlock(&branch->commit_lock);
	tell(&self);
	if (!ok || !unfinished->is_staged)
		return ok;
	return commit_staged(repo, branch, unfinished, options, out_result, out_id, error);
}
