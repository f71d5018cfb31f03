/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * version-model: what branches of keys are, in plain arrays: their working states, the commits, and
 * merges that wait. Merging itself is unit/merge-model.h's; here is what is staged beside it, and
 * what people resolve by hand.
 *
 * A working state is whole in the model: what is staged is where it differs from the head.
 */

#include "merge-model.h"

#define MODEL_BRANCHES 5
#define MODEL_TAGS     3

/* What was decided of a key that both sides changed. */
typedef struct {
	bool is_there, by_hand;
	MergeCase sides;     /* that it was of */
	const char *value;   /* that it is to have */
	const char *working; /* what it was then; by hand */
} ModelResolution;

/* A merge (or a change that is applied) that waits. */
typedef struct {
	bool is_there;
	bool is_merge;
	int from, to; /* of a change, -1: nothing; of a merge TO alone */
	const char *strategy;
	bool is_staging; /* what comes of it is to be staged, not committed */
	MergeState base;
	bool is_open[MERGE_NAMESPACES][MERGE_KEYS];
	MergeCase sides[MERGE_NAMESPACES][MERGE_KEYS]; /* of those */
	ModelResolution resolutions[MERGE_NAMESPACES][MERGE_KEYS];
	unsigned resolved;         /* by hand */
	bool needs[MERGE_COMMITS]; /* commits that stay for it */
} ModelUnfinished;

typedef struct {
	bool is_there;
	int head;
	MergeState working;
	bool was_at[MERGE_COMMITS]; /* its reflog */
	ModelUnfinished unfinished;
} ModelBranch;

typedef struct {
	MergeHistory history;
	bool is_gone[MERGE_COMMITS]; /* collected, as far as anybody may tell */
	ModelBranch branches[MODEL_BRANCHES];
	int tags[MODEL_TAGS]; /* -1: none */
} Model;

void model_init(Model *self);
void model_clear(Model *self);

static inline MergeState *model_state(Model *self, int commit)
{
	return &self->history.commits[commit].state;
}

/* The branch comes, at COMMIT. */
void model_branch_create(Model *self, ModelBranch *branch, int commit);
/* STATE becomes the head of BRANCH. */
int model_commit(Model *self, ModelBranch *branch, const MergeState *state, int parent, int other);
/* BRANCH stands at COMMIT. */
void model_move(ModelBranch *branch, int commit);
/* The unnamed namespace is there if it has keys, another one in any case then. */
void model_settle(MergeState *state);
/* How many keys differ, namespaces without keys counted. */
unsigned model_count_changes(const MergeState *from, const MergeState *to);
/* Commits that nothing refers to any more are gone. */
void model_collect(Model *self);

/* ---- Merging ----------------------------------------------------------------------------- */

typedef struct {
	bool is_merge;
	int from, to;         /* as above */
	const char *strategy; /* "ours", "theirs"; NULL: none */
	bool no_ff, dry_run, is_staging;
	bool is_resumed; /* the branch's unfinished one goes on */
} ModelChange;

typedef struct {
	int failure; /* an error's code; -1: none */
	ProllyMergeResult result;
	bool in_conflict[MERGE_NAMESPACES][MERGE_KEYS];
	MergeCase sides[MERGE_NAMESPACES][MERGE_KEYS];
} ModelOutcome;

/* Carries CHANGE out, unless it fails or is a dry run. */
void model_merge(Model *self, ModelBranch *branch, const ModelChange *change,
		 ModelOutcome *out_outcome);

/* Of the branch's unfinished one; true: it was open or decided before. */
bool model_resolve(Model *self, ModelBranch *branch, int ns, int key, ProllyResolveWith with);
