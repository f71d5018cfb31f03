/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * version-steps: the steps of fuzz-version.c. Each takes what it needs from the input, has the store
 * and the model do it, and compares what the store says.
 */

#include "fuzz.h"
#include "version-site.h"

typedef struct {
	Site site;
	Model *model; /* its */
	FuzzInput *input;
	/* What a step is for. */
	int at;
	ModelBranch *ours;
	ProllyBranch *branch;
} Fuzz;

/* Keys and namespaces (version-edits.c). */
void step_put(Fuzz *self);
void step_delete(Fuzz *self);
void step_change_kind(Fuzz *self);
void step_rename(Fuzz *self);
void step_load(Fuzz *self);
void step_make_namespace(Fuzz *self);
void step_remove_namespace(Fuzz *self);
void step_rename_namespace(Fuzz *self);

/* Commits, branches and tags (version-history.c). */
void step_commit(Fuzz *self);
void step_change(Fuzz *self);
void step_amend(Fuzz *self);
void step_create_branch(Fuzz *self);
void step_delete_branch(Fuzz *self);
void step_rename_branch(Fuzz *self);
void step_tag(Fuzz *self);
void step_delete_tag(Fuzz *self);
void step_compare(Fuzz *self);
void step_log(Fuzz *self);
void step_collect(Fuzz *self);
void step_check(Fuzz *self);

/* Merges, and going back (version-merges.c). */
void step_merge(Fuzz *self);
void step_apply(Fuzz *self);
void step_continue(Fuzz *self);
void step_abort(Fuzz *self);
void step_resolve(Fuzz *self);
void step_reset(Fuzz *self);
void step_restore(Fuzz *self);

/* ---- What they share --------------------------------------------------------------------- */

static inline unsigned take_below(Fuzz *self, unsigned limit)
{
	return fuzz_take_below(self->input, limit);
}

/* One that is there; mostly the head of a branch. */
static inline int take_commit(Fuzz *self)
{
	int number = fuzz_take_byte(self->input);
	int i = number % self->model->history.n;

	if (number < 160 && self->model->branches[number % MODEL_BRANCHES].is_there)
		return self->model->branches[number % MODEL_BRANCHES].head;
	while (self->model->is_gone[i])
		i = (i + 1) % self->model->history.n;
	return i;
}

typedef struct {
	int ns, key;
	const char **value; /* in the working state */
	ProllyPlace place;
} Spot;

static inline Spot make_spot(Fuzz *self, int ns, int key)
{
	return (Spot){ns, key, &self->ours->working.values[ns][key], site_place(ns, key)};
}

static inline Spot take_spot(Fuzz *self)
{
	int ns = (int)take_below(self, MERGE_NAMESPACES);

	return make_spot(self, ns, (int)take_below(self, MERGE_KEYS));
}

/* CODE -1: none. */
static inline void expect(GError **error, int code)
{
	if (code < 0)
		g_assert_no_error(*error);
	else
		g_assert_error(*error, PROLLY_ERROR, code);
	g_clear_error(error);
}

static inline bool may_commit(const Fuzz *self)
{
	return self->model->history.n < MERGE_COMMITS;
}

static inline void expect_head(const Fuzz *self, const ProllyCommitId *id)
{
	g_assert_true(prolly_commit_id_equal(id, &self->site.ids[self->ours->head]));
}
