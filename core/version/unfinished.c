/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merges that wait for somebody to resolve their conflicts.
 *
 * What waits is three small trees, in which are base's, ours' and theirs' values of the keys in
 * conflict and nothing else. They are what people see below .prollyfs/conflicts, and comparing them
 * lists the conflicts; so a listing costs what is left, not what was merged. Resolving a key writes
 * what it becomes (unfinished-record.c) and takes it out of the three.
 *
 * The trees are of the moment when the merge stopped. Continuing compares everything again with the
 * branch as it is then (reconcile.c), so they need not follow the branch; a resolution that the
 * branch has passed is void.
 *
 * All of it happens under the branch's commit_lock, in one batch each, so that a crash finds a merge
 * as it was before or after. The nodes of the trees are flushed before the batch that speaks of
 * them.
 */
#include "version/merge-private.h"

#include <string.h>

#define BATCH_MAX (4u << 20)

bool prolly_unfinished_require(ProllyRepo *repo, ProllyBranch *branch,
			       ProllyUnfinished **out_unfinished, GError **error)
{
	g_autofree char *name = NULL;

	if (!prolly_unfinished_load(repo, branch, out_unfinished, error))
		return false;
	if (*out_unfinished)
		return true;
	name = prolly_branch_dup_name(branch);
	return prolly_throw(error, PROLLY_ERROR_NOT_FOUND, "branch '%s' has no unfinished merge",
			    name);
}

/* ---- What waits -------------------------------------------------------------------------- */

static const uint8_t *get_side(const ProllyMergeStep *step, ProllySideOf side, size_t *out_len)
{
	*out_len = side == PROLLY_SIDE_OF_BASE   ? step->base_len
		   : side == PROLLY_SIDE_OF_OURS ? step->ours_len
						 : step->theirs_len;
	return side == PROLLY_SIDE_OF_BASE   ? step->base
	       : side == PROLLY_SIDE_OF_OURS ? step->ours
					     : step->theirs;
}

/* One side's values of the open verdicts on a tape, namespace by namespace. */
typedef struct {
	ProllyTape *tape;
	ProllySideOf side;
	char *ns;              /* of the tree that is built; NULL: none yet */
	ProllyVerdict verdict; /* the next one */
	bool end;
} Reel;

/* To the next open verdict in which the side has a value. */
static bool advance(Reel *reel, GError **error)
{
	size_t len;

	do {
		if (!prolly_tape_read_verdict(reel->tape, &reel->verdict, &reel->end, error))
			return false;
	} while (!reel->end &&
		 (!reel->verdict.is_open || !get_side(&reel->verdict.sides, reel->side, &len)));
	return true;
}

/* The ProllyEditFunc. The verdict that was given last is passed only now: its bytes were in use. */
typedef struct {
	Reel *reel;
	bool is_used;
} Feed;

static bool feed(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Feed *self = data;
	Reel *reel = self->reel;

	if (self->is_used && !advance(reel, error))
		return false;
	self->is_used = true;
	*out_end = reel->end || strcmp(reel->verdict.place.ns, reel->ns) != 0;
	if (*out_end)
		return true;
	*out_edit = (ProllyEdit){.key = reel->verdict.place.key,
				 .key_len = reel->verdict.place.key_len};
	out_edit->value = get_side(&reel->verdict.sides, reel->side, &out_edit->value_len);
	return true;
}

/* (transfer full) */
static bool build_side(ProllyRepo *repo, ProllyTape *tape, ProllySideOf side,
		       GArray **out_namespaces, GError **error)
{
	g_autoptr(GArray) namespaces = prolly_namespaces_new();
	Reel reel = {.tape = tape, .side = side};

	if (!prolly_tape_rewind(tape, error) || !advance(&reel, error))
		return false;
	while (!reel.end) {
		ProllyNamespace ns = {.name = g_strdup(reel.verdict.place.ns)};
		Feed self = {.reel = &reel};

		reel.ns = ns.name;
		if (!prolly_tree_apply(prolly_repo_get_context(repo), NULL, feed, &self, &ns.tree,
				       error)) {
			g_free(ns.name);
			return false;
		}
		g_array_append_val(namespaces, ns);
	}
	*out_namespaces = g_steal_pointer(&namespaces);
	return true;
}

static bool build_sides(ProllyRepo *repo, ProllyTape *tape, ProllyUnfinished *unfinished,
			GError **error)
{
	for (ProllySideOf side = 0; side < PROLLY_SIDE_OF_N; side++) {
		g_clear_pointer(&unfinished->open[side], g_array_unref);
		if (!build_side(repo, tape, side, &unfinished->open[side], error))
			return false;
	}
	return true;
}

ProllyView *prolly_unfinished_view(ProllyRepo *repo, const ProllyUnfinished *unfinished,
				   ProllySideOf side)
{
	return prolly_view_new_namespaces(repo,
					  unfinished->has_to ? &unfinished->to : &unfinished->from,
					  unfinished->open[side]);
}

bool prolly_unfinished_is_settled(const ProllyUnfinished *unfinished)
{
	for (ProllySideOf side = 0; side < PROLLY_SIDE_OF_N; side++)
		for (guint i = 0; i < unfinished->open[side]->len; i++)
			if (g_array_index(unfinished->open[side], ProllyNamespace, i).tree.keys)
				return false;
	return true;
}

/* ---- Beginning --------------------------------------------------------------------------- */

/* Writes BATCH if it is large. */
static bool drain(ProllyRepo *repo, ProllyDbBatch *batch, GError **error)
{
	return prolly_db_batch_get_size(batch) < BATCH_MAX ||
	       (prolly_store_flush(prolly_repo_get_context(repo)->store, NULL, error) &&
		prolly_db_write(repo->body->db, batch, PROLLY_DB_BUFFERED, error));
}

/* What a strategy decided, unless that is recorded already. */
static bool keep_decision(ProllyRepo *repo, uint32_t branch_id, const ProllyVerdict *verdict,
			  bool is_resumed, ProllyDbBatch *batch, GError **error)
{
	g_auto(ProllyResolution) known = {0};
	g_auto(ProllyResolution) made = {0};
	bool found = false;

	if (is_resumed &&
	    !prolly_resolution_find(repo, branch_id, &verdict->place, &known, &found, error))
		return false;
	if (found && prolly_resolution_holds(&known, &verdict->sides))
		return true;
	prolly_resolution_fingerprint(&verdict->sides, made.sides);
	if (verdict->value)
		made.stored = g_bytes_new(verdict->value, verdict->value_len);
	prolly_resolution_put(branch_id, &verdict->place, &made, batch);
	return drain(repo, batch, error);
}

static bool keep_decisions(ProllyRepo *repo, uint32_t branch_id,
			   const ProllyUnfinishedSource *source, ProllyDbBatch *batch,
			   GError **error)
{
	ProllyVerdict verdict;
	bool end = false;

	if (!prolly_tape_rewind(source->tape, error))
		return false;
	while (prolly_tape_read_verdict(source->tape, &verdict, &end, error)) {
		if (end)
			return true;
		if (!verdict.is_open &&
		    !keep_decision(repo, branch_id, &verdict, source->is_resumed, batch, error))
			return false;
	}
	return false;
}

/* Adds commit COMMIT, whose signatures and message are of no interest to people. */
static bool add_commit(ProllyPublication *publication, ProllyRepo *repo, ProllyNewCommit commit,
		       const ProllySignature *signature, ProllyCommitId *out_id, GError **error)
{
	commit.author = commit.committer = signature;
	return prolly_publication_add_commit(publication, repo, &commit, out_id, error);
}

/* A base that was made of several becomes a commit that has them as parents. */
static bool add_base(ProllyPublication *publication, ProllyRepo *repo, ProllyUnfinished *unfinished,
		     const ProllyUnfinishedSource *source, GError **error)
{
	ProllyNewCommit commit = {
		.message = "The base of an unfinished merge, made of several",
		.namespaces = source->base,
	};

	if (!source->bases || source->bases->len < 2)
		return true;
	commit.parents = (const ProllyCommitId *)(const void *)source->bases->data;
	commit.n_parents = source->bases->len;
	unfinished->has_from = true;
	return add_commit(publication, repo, commit, source->committer, &unfinished->from, error);
}

/* Adds to PUBLICATION what keeps the three commits in the git repository. */
static bool keep_commits(ProllyRepo *repo, uint32_t branch_id, ProllyUnfinished *unfinished,
			 const ProllyUnfinishedSource *source, ProllyPublication *publication,
			 GError **error)
{
	ProllyCommitId parents[3] = {*source->head};
	ProllyNewCommit commit = {
		.parents = parents,
		.n_parents = 1,
		.namespaces = source->namespaces,
		.message = "What an unfinished merge needs: ours, theirs and the base",
	};
	ProllyRefUpdate *update;
	ProllyCommitId id;

	if (!add_base(publication, repo, unfinished, source, error))
		return false;
	if (unfinished->has_to)
		parents[commit.n_parents++] = unfinished->to;
	if (unfinished->has_from)
		parents[commit.n_parents++] = unfinished->from;
	if (!add_commit(publication, repo, commit, source->committer, &id, error) ||
	    !prolly_unfinished_new_update(repo, branch_id, &id, &update, error))
		return false;
	if (update)
		prolly_publication_add_update(publication, update);
	return true;
}

bool prolly_unfinished_add(ProllyRepo *repo, ProllyBranch *branch, ProllyUnfinished *unfinished,
			   const ProllyUnfinishedSource *source, ProllyPublication *publication,
			   ProllyDbBatch *batch, GError **error)
{
	uint32_t branch_id = prolly_branch_get_id(branch);

	prolly_unfinished_delete(branch_id, batch);
	if (!keep_commits(repo, branch_id, unfinished, source, publication, error))
		return false;
	prolly_unfinished_save(branch_id, unfinished, batch);
	return true;
}

bool prolly_unfinished_begin(ProllyRepo *repo, ProllyBranch *branch, ProllyUnfinished *unfinished,
			     const ProllyUnfinishedSource *source, GError **error)
{
	uint32_t branch_id = prolly_branch_get_id(branch);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(ProllyPublication) publication = prolly_publication_new(prolly_ref_updates_new());

	if (!source->is_resumed)
		prolly_unfinished_delete(branch_id, batch);
	if (!build_sides(repo, source->tape, unfinished, error) ||
	    !keep_decisions(repo, branch_id, source, batch, error) ||
	    !keep_commits(repo, branch_id, unfinished, source, publication, error))
		return false;
	prolly_unfinished_save(branch_id, unfinished, batch);
	return prolly_publication_write(g_steal_pointer(&publication), repo, batch, error);
}

/* ---- Ending ------------------------------------------------------------------------------ */

bool prolly_unfinished_end(ProllyRepo *repo, ProllyBranch *branch, ProllyPublication *publication,
			   ProllyDbBatch *batch, GError **error)
{
	uint32_t branch_id = prolly_branch_get_id(branch);
	ProllyRefUpdate *update;

	prolly_unfinished_delete(branch_id, batch);
	if (!prolly_unfinished_new_update(repo, branch_id, NULL, &update, error))
		return false;
	if (update)
		prolly_publication_add_update(publication, update);
	return true;
}

bool prolly_unfinished_drop(ProllyRepo *repo, ProllyBranch *branch, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(ProllyPublication) publication = prolly_publication_new(prolly_ref_updates_new());

	return prolly_unfinished_end(repo, branch, publication, batch, error) &&
	       prolly_publication_write(g_steal_pointer(&publication), repo, batch, error);
}

/* Under commit_lock. */
static bool abort_locked(ProllyRepo *repo, ProllyBranch *branch, bool *out_changed, GError **error)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;

	if (!prolly_branch_check_there(branch, error) ||
	    !prolly_unfinished_require(repo, branch, &unfinished, error))
		return false;
	*out_changed = unfinished->is_staged;
	return unfinished->is_staged
		       ? prolly_merge_unstage(repo, branch, unfinished->generation, error)
		       : prolly_unfinished_drop(repo, branch, error);
}

bool prolly_history_abort(ProllyRepo *repo, ProllyBranch *branch, GError **error)
{
	bool is_changed = false;
	bool ok;

	g_mutex_lock(&branch->commit_lock);
	ok = abort_locked(repo, branch, &is_changed, error);
	g_mutex_unlock(&branch->commit_lock);
	if (ok && is_changed)
		prolly_repo_notify(repo, branch, NULL, 0, false);
	return ok;
}
