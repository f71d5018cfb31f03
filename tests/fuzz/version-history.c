/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that make commits, branches and tags, look at them, and collect what nothing refers to. */
#include "version-steps.h"

/* ---- Commits ----------------------------------------------------------------------------- */

void step_commit(Fuzz *self)
{
	ProllySignature author = site_sign(&self->site);
	ProllyCommitOptions options = {.message = "change",
				       .author = &author,
				       .committer = &author,
				       .allow_empty = take_below(self, 4) == 3};
	MergeState working = self->ours->working;
	unsigned expected =
		model_count_changes(model_state(self->model, self->ours->head), &working);
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;
	uint64_t changes;

	if (!may_commit(self))
		return;
	prolly_history_commit(self->site.repo, self->branch, &options, &id, &changes, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(changes, ==, expected);
	if (expected || options.allow_empty) {
		model_commit(self->model, self->ours, &working, self->ours->head, -1);
		site_name_commit(&self->site, &id);
	}
	expect_head(self, &id);
}

/* Some keys, and a commit. */
void step_change(Fuzz *self)
{
	for (unsigned n = 1 + take_below(self, 3); n; n--) {
		if (take_below(self, 4) == 3)
			step_delete(self);
		else
			step_put(self);
		model_settle(&self->ours->working);
	}
	step_commit(self);
}

void step_amend(Fuzz *self)
{
	const MergeCommit *head = &self->model->history.commits[self->ours->head];
	ProllySignature author = site_sign(&self->site);
	g_autoptr(ProllyCommit) amended = NULL;
	ProllyCommitOptions options = {
		.message = "amended", .author = &author, .committer = &author, .allow_empty = true};
	MergeState working = self->ours->working;
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;
	uint64_t changes;

	/* Without the first one two branches have nothing in common any more. */
	if (!may_commit(self) || (head->parents[0] < 0 && take_below(self, 16)))
		return;
	prolly_commit_load(self->site.repo, &self->site.ids[self->ours->head], &amended, &error);
	g_assert_no_error(error);
	options.amend = amended;
	prolly_history_commit(self->site.repo, self->branch, &options, &id, &changes, &error);
	g_assert_no_error(error);
	model_commit(self->model, self->ours, &working, head->parents[0], head->parents[1]);
	site_name_commit(&self->site, &id);
}

/* ---- Branches ---------------------------------------------------------------------------- */

static bool lies_below(const char *name, const char *top)
{
	size_t len = strlen(top);

	return strncmp(name, top, len) == 0 && name[len] == '/';
}

/* Can a branch take name I? EXCEPT (-1: none) gives up its own. */
static bool is_free(const Fuzz *self, int i, int except)
{
	for (int j = 0; j < MODEL_BRANCHES; j++) {
		if (j == except || !self->model->branches[j].is_there)
			continue;
		if (j == i || lies_below(site_branches[i], site_branches[j]) ||
		    lies_below(site_branches[j], site_branches[i]))
			return false;
	}
	return true;
}

void step_create_branch(Fuzz *self)
{
	int name = (int)take_below(self, MODEL_BRANCHES), start = take_commit(self);
	g_autoptr(ProllyBranch) made = NULL;
	g_autoptr(GError) error = NULL;

	prolly_branch_create(self->site.repo, site_branches[name], &self->site.ids[start],
			     self->branch, &made, &error);
	expect(&error, is_free(self, name, -1) ? -1 : PROLLY_ERROR_EXISTS);
	if (is_free(self, name, -1))
		model_branch_create(self->model, &self->model->branches[name], start);
	site_check_branch(&self->site, name);
}

/* Has another branch everything that this one has committed? */
static bool is_elsewhere(const Fuzz *self)
{
	for (int i = 0; i < MODEL_BRANCHES; i++) {
		const ModelBranch *other = &self->model->branches[i];

		if (i != self->at && other->is_there &&
		    self->model->history.commits[other->head].comes_before[self->ours->head])
			return true;
	}
	return false;
}

/* Is it known to be refused, or to be done (*OUT_UNKNOWN: neither)? What was put and taken back counts
 * as staged, which the model does not see; and a working state with nothing in it does not. */
static int expect_deletion(const Fuzz *self, bool force, bool *out_unknown)
{
	const MergeState *working = &self->ours->working;
	bool is_changed = !merge_state_equal(working, model_state(self->model, self->ours->head));
	bool has_something = false;

	for (int ns = 0; ns < MERGE_NAMESPACES; ns++)
		has_something = has_something || working->has[ns];
	if (self->at == 0)
		return PROLLY_ERROR_BUSY;
	if (force)
		return -1;
	if (!is_elsewhere(self) || (is_changed && has_something))
		return PROLLY_ERROR_NOT_EMPTY;
	*out_unknown = has_something;
	return -1;
}

void step_delete_branch(Fuzz *self)
{
	bool force = take_below(self, 2), is_unknown = false, done;
	int code = expect_deletion(self, force, &is_unknown);
	g_autoptr(GError) error = NULL;

	done = prolly_branch_delete(self->site.repo, self->branch, NULL, force, &error);
	if (is_unknown && !done)
		code = PROLLY_ERROR_NOT_EMPTY;
	expect(&error, code);
	if (done)
		*self->ours = (ModelBranch){0};
}

void step_rename_branch(Fuzz *self)
{
	int name = (int)take_below(self, MODEL_BRANCHES);
	g_autoptr(GError) error = NULL;
	int code = -1;

	if (name == self->at)
		return;
	if (self->at == 0)
		code = PROLLY_ERROR_BUSY;
	else if (!is_free(self, name, self->at))
		code = PROLLY_ERROR_EXISTS;
	prolly_branch_rename(self->site.repo, self->branch, NULL, site_branches[name], &error);
	expect(&error, code);
	if (code >= 0)
		return;
	self->model->branches[name] = *self->ours;
	*self->ours = (ModelBranch){0};
	site_check_branch(&self->site, name);
}

void step_tag(Fuzz *self)
{
	int tag = (int)take_below(self, MODEL_TAGS), commit = take_commit(self);
	unsigned how = take_below(self, 4);
	ProllySignature tagger = site_sign(&self->site);
	ProllyTagOptions options = {.message = how & 1 ? "tag" : NULL,
				    .tagger = how & 1 ? &tagger : NULL,
				    .force = how & 2};
	int *expected = &self->model->tags[tag];
	bool refused = *expected >= 0 && !options.force;
	g_autoptr(GError) error = NULL;

	prolly_tag_create(self->site.repo, site_tags[tag], &self->site.ids[commit], &options,
			  &error);
	expect(&error, refused ? PROLLY_ERROR_EXISTS : -1);
	if (!refused)
		*expected = commit;
}

void step_delete_tag(Fuzz *self)
{
	int tag = (int)take_below(self, MODEL_TAGS);
	g_autoptr(GError) error = NULL;
	ProllyCommitId was;

	prolly_tag_delete(self->site.repo, site_tags[tag], &was, &error);
	expect(&error, self->model->tags[tag] < 0 ? PROLLY_ERROR_NOT_FOUND : -1);
	self->model->tags[tag] = -1;
}

/* ---- Looking ----------------------------------------------------------------------------- */

void step_compare(Fuzz *self)
{
	int from = take_commit(self), to = take_commit(self);
	g_autoptr(ProllyView) a = NULL, b = NULL;
	g_autoptr(GError) error = NULL;

	prolly_view_new_commit(self->site.repo, &self->site.ids[from], &a, &error);
	g_assert_no_error(error);
	prolly_view_new_commit(self->site.repo, &self->site.ids[to], &b, &error);
	g_assert_no_error(error);
	site_check_changes(&self->site, a, b, model_state(self->model, from),
			   model_state(self->model, to));
}

void step_log(Fuzz *self)
{
	site_check_log(&self->site, take_commit(self));
}

void step_collect(Fuzz *self)
{
	ProllyGcOptions options = {.prune_before = PROLLY_GC_NOW};
	ProllyGcFigures figures;
	g_autoptr(GError) error = NULL;

	prolly_gc_run(self->site.repo, &options, &figures, &error);
	g_assert_no_error(error);
	model_collect(self->model);
}

void step_check(Fuzz *self)
{
	site_check(&self->site);
}
