/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on branches, commits and what is staged, beside a model. They are edits, renames,
 * loads, commits, branches, tags, merges that wait and go on, resets, restores, collections, and
 * closing and opening the store. What each says (its errors too) and does must be what the model says
 * (version-model.h): after each the branch that it was for is compared (version-site.h), now and then
 * and in the end everything.
 *
 * A step is a byte that says which operation, one that says on which branch, and what that takes. If
 * the input's first byte is a multiple of 8 the store is on disk. PROLLY_FUZZ_TRACE=1 prints the steps.
 */
#include "version-steps.h"

#include <stdio.h>

#include <git2.h>

#define STEPS_MAX   400
#define CHECK_EVERY 64

/* Often the one that the step before was for: there is something to go on with. */
static int take_branch(Fuzz *self)
{
	int number = fuzz_take_byte(self->input);
	int i = number >= 128 ? self->at : number % MODEL_BRANCHES;

	while (!self->model->branches[i].is_there)
		i = (i + 1) % MODEL_BRANCHES;
	return i;
}

/* ---- Running ----------------------------------------------------------------------------- */

typedef struct {
	const char *name;
	unsigned weight;
	void (*run)(Fuzz *self);
} Operation;

static const Operation operations[] = {
	{"change", 6, step_change},
	{"put", 4, step_put},
	{"delete", 2, step_delete},
	{"change kind", 1, step_change_kind},
	{"rename", 1, step_rename},
	{"load", 1, step_load},
	{"make namespace", 1, step_make_namespace},
	{"remove namespace", 1, step_remove_namespace},
	{"rename namespace", 1, step_rename_namespace},
	{"commit", 2, step_commit},
	{"amend", 1, step_amend},
	{"create branch", 1, step_create_branch},
	{"delete branch", 1, step_delete_branch},
	{"rename branch", 1, step_rename_branch},
	{"tag", 1, step_tag},
	{"delete tag", 1, step_delete_tag},
	{"merge", 7, step_merge},
	{"apply", 3, step_apply},
	{"continue", 3, step_continue},
	{"abort", 1, step_abort},
	{"resolve", 4, step_resolve},
	{"reset", 2, step_reset},
	{"restore", 2, step_restore},
	{"compare", 1, step_compare},
	{"log", 1, step_log},
	{"collect", 1, step_collect},
	{"check", 1, step_check},
	{"reopen", 1, NULL}, /* with no branch held */
};

static const Operation *take_operation(Fuzz *self)
{
	unsigned total = 0, at = 0, i = 0;

	for (i = 0; i < G_N_ELEMENTS(operations); i++)
		total += operations[i].weight;
	at = take_below(self, total);
	for (i = 0; at >= operations[i].weight; i++)
		at -= operations[i].weight;
	return &operations[i];
}

static void run_step(Fuzz *self, bool is_traced)
{
	const Operation *operation = take_operation(self);

	self->at = take_branch(self);
	self->ours = &self->model->branches[self->at];
	if (is_traced)
		fprintf(stderr, "%zu bytes left: %s on %s\n", self->input->left, operation->name,
			site_branches[self->at]);
	if (operation->run) {
		self->branch = site_lookup(&self->site, self->at);
		operation->run(self);
		model_settle(&self->ours->working);
		g_clear_pointer(&self->branch, prolly_branch_unref);
	} else {
		site_reopen(&self->site);
	}
	site_check_branch(&self->site, self->at);
}

/* Three branches, which have a commit with some keys in common. */
static void begin(Fuzz *self)
{
	static const uint8_t script[] = {
		0,  0, 2, 0, 0,  1, 16, 0, 0, 1, 1, 17, 0, 0, 2, 2, 18, 0, 0, /* change */
		21, 0, 1, 0, 21, 0, 2,  0, /* create branch, twice */
	};
	FuzzInput *input = self->input, own = {script, sizeof(script)};

	self->input = &own;
	while (fuzz_has_more(&own))
		run_step(self, false);
	self->input = input;
	g_assert_true(self->model->branches[1].is_there && self->model->branches[2].is_there);
}

bool fuzz_start(void)
{
	static const char *const variables[][2] = {
		{"GIT_AUTHOR_NAME", "A"},
		{"GIT_AUTHOR_EMAIL", "a@example.org"},
		{"GIT_AUTHOR_DATE", "999999999 +0000"},
		{"GIT_COMMITTER_NAME", "C"},
		{"GIT_COMMITTER_EMAIL", "c@example.org"},
		{"GIT_COMMITTER_DATE", "999999999 +0000"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(variables); i++)
		g_setenv(variables[i][0], variables[i][1], TRUE);
	git_libgit2_init(); /* it counts; what it has stays, since to begin anew takes long */
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool is_traced = g_getenv("PROLLY_FUZZ_TRACE") != NULL;
	g_autofree Fuzz *self = g_new0(Fuzz, 1);
	FuzzInput input = {data, size};

	site_init(&self->site, fuzz_has_more(&input) && fuzz_take_byte(&input) % 8 == 0);
	self->model = &self->site.model;
	self->input = &input;
	begin(self);
	for (unsigned n = 1; fuzz_has_more(&input) && n <= STEPS_MAX; n++) {
		run_step(self, is_traced);
		if (n % CHECK_EVERY == 0 || is_traced)
			site_check(&self->site);
	}
	site_check(&self->site);
	site_clear(&self->site);
	return 0;
}
