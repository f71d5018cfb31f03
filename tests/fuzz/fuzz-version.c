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

static int take_branch(Fuzz *self)
{
	int i = (int)take_below(self, MODEL_BRANCHES);

	while (!self->model->branches[i].is_there)
		i = (i + 1) % MODEL_BRANCHES;
	return i;
}

/* ---- Running ----------------------------------------------------------------------------- */

typedef struct {
	const char *name;
	void (*run)(Fuzz *self);
} Operation;

static const Operation operations[] = {
	{"put", step_put},
	{"put", step_put},
	{"put", step_put},
	{"put", step_put},
	{"put", step_put},
	{"delete", step_delete},
	{"delete", step_delete},
	{"change kind", step_change_kind},
	{"rename", step_rename},
	{"load", step_load},
	{"make namespace", step_make_namespace},
	{"remove namespace", step_remove_namespace},
	{"rename namespace", step_rename_namespace},
	{"commit", step_commit},
	{"commit", step_commit},
	{"commit", step_commit},
	{"amend", step_amend},
	{"create branch", step_create_branch},
	{"create branch", step_create_branch},
	{"delete branch", step_delete_branch},
	{"rename branch", step_rename_branch},
	{"tag", step_tag},
	{"delete tag", step_delete_tag},
	{"merge", step_merge},
	{"merge", step_merge},
	{"merge", step_merge},
	{"apply", step_apply},
	{"apply", step_apply},
	{"continue", step_continue},
	{"continue", step_continue},
	{"abort", step_abort},
	{"resolve", step_resolve},
	{"resolve", step_resolve},
	{"resolve", step_resolve},
	{"reset", step_reset},
	{"restore", step_restore},
	{"compare", step_compare},
	{"log", step_log},
	{"collect", step_collect},
	{"check", step_check},
	{"reopen", NULL}, /* with no branch held */
};

static void run_step(Fuzz *self, bool is_traced)
{
	const Operation *operation = &operations[take_below(self, G_N_ELEMENTS(operations))];

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
	for (unsigned n = 1; fuzz_has_more(&input) && n <= STEPS_MAX; n++) {
		run_step(self, is_traced);
		if (n % CHECK_EVERY == 0 || is_traced)
			site_check(&self->site);
	}
	site_check(&self->site);
	site_clear(&self->site);
	return 0;
}
