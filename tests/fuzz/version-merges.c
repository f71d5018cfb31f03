/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that merge, go on with what waits, and take branches and keys back. */
#include "version-steps.h"

static const char *take_strategy(Fuzz *self)
{
	static const char *const strategies[] = {NULL, NULL, "ours", "theirs"};

	return strategies[take_below(self, G_N_ELEMENTS(strategies))];
}

/* ---- Merges ------------------------------------------------------------------------------ */

/* Conflicts that were told. */
typedef struct {
	const ModelOutcome *expected;
	bool told[MERGE_NAMESPACES][MERGE_KEYS];
} Told;

static bool note_conflict(const ProllyPlace *place, ProllyConflictKind kind,
			  const ProllyMergeStep *sides, void *data, GError **error)
{
	Told *self = data;

	for (int ns = 0; ns < MERGE_NAMESPACES; ns++) {
		for (int key = 0; key < MERGE_KEYS; key++) {
			if (strcmp(place->ns, site_namespaces[ns]) ||
			    place->key_len != strlen(site_keys[key]) ||
			    memcmp(place->key, site_keys[key], place->key_len))
				continue;
			g_assert_true(self->expected->in_conflict[ns][key]);
			g_assert_false(self->told[ns][key]);
			g_assert_cmpint(kind, ==,
					merge_conflict_kind(&self->expected->sides[ns][key]));
			self->told[ns][key] = true;
			return true;
		}
	}
	g_assert_not_reached();
}

static void call_merge(Fuzz *self, const ModelChange *change, const ProllyMergeOptions *options,
		       ProllyMergeResult *out_result, ProllyCommitId *out_id, GError **error)
{
	const ProllyCommitId *ids = self->site.ids;
	ProllyMergeChange applied = {change->from < 0 ? NULL : &ids[change->from],
				     change->to < 0 ? NULL : &ids[change->to]};

	if (change->is_resumed)
		prolly_history_continue(self->site.repo, self->branch, options, out_result, out_id,
					error);
	else if (change->is_merge)
		prolly_history_merge(self->site.repo, self->branch, applied.to, options, out_result,
				     out_id, error);
	else
		prolly_history_apply(self->site.repo, self->branch, &applied, options, out_result,
				     out_id, error);
}

static void merge(Fuzz *self, const ModelChange *change)
{
	ProllySignature author = site_sign(&self->site);
	ModelOutcome expected;
	Told told = {.expected = &expected};
	ProllyMergeOptions options = {
		.operation = change->is_merge ? NULL : "cherry-pick",
		.message = "merge",
		.author = &author,
		.committer = &author,
		.no_ff = change->no_ff,
		.dry_run = change->dry_run,
		.squash = change->is_staging && change->is_merge,
		.no_commit = change->is_staging && !change->is_merge,
		.strategy = change->strategy,
		.conflict = note_conflict,
		.conflict_data = &told,
	};
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;
	ProllyCommitId id;

	if (!may_commit(self))
		return;
	model_merge(self->model, self->ours, change, &expected);
	call_merge(self, change, &options, &result, &id, &error);
	expect(&error, expected.failure);
	if (expected.failure >= 0)
		return;
	g_assert_cmpint(result, ==, expected.result);
	if (result == PROLLY_MERGE_CONFLICT)
		g_assert_cmpmem(told.told, sizeof(told.told), expected.in_conflict,
				sizeof(expected.in_conflict));
	if (result == PROLLY_MERGE_MERGED && !change->dry_run)
		site_name_commit(&self->site, &id);
	expect_head(self, &id);
}

void step_merge(Fuzz *self)
{
	ModelChange change = {.is_merge = true, .from = -1, .to = take_commit(self)};
	unsigned how = take_below(self, 8);

	change.no_ff = how == 3 || how == 4;
	change.is_staging = how == 5 || how == 6;
	change.dry_run = how == 7;
	change.strategy = take_strategy(self);
	merge(self, &change);
}

/* What a commit has changed, once more or back. */
void step_apply(Fuzz *self)
{
	ModelChange change = {.to = take_commit(self)};
	unsigned how = take_below(self, 8);

	change.from = self->model->history.commits[change.to].parents[0];
	if (how & 1) {
		int parent = change.from;

		change.from = change.to;
		change.to = parent;
	}
	change.is_staging = how / 2 == 2;
	change.dry_run = how / 2 == 3;
	change.strategy = take_strategy(self);
	merge(self, &change);
}

void step_continue(Fuzz *self)
{
	const ModelUnfinished *unfinished = &self->ours->unfinished;
	ModelChange change = {
		.is_merge = unfinished->is_merge,
		.from = unfinished->from,
		.to = unfinished->to,
		.strategy = unfinished->strategy,
		.is_staging = unfinished->is_staging,
		.is_resumed = true,
	};
	ProllyMergeOptions options = {0};
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;
	ProllyCommitId id;

	if (unfinished->is_there) {
		merge(self, &change);
		return;
	}
	call_merge(self, &change, &options, &result, &id, &error);
	expect(&error, PROLLY_ERROR_NOT_FOUND);
}

void step_abort(Fuzz *self)
{
	g_autoptr(GError) error = NULL;

	prolly_history_abort(self->site.repo, self->branch, &error);
	expect(&error, self->ours->unfinished.is_there ? -1 : PROLLY_ERROR_NOT_FOUND);
	self->ours->unfinished = (ModelUnfinished){0};
}

/* The product says of values that bases have in common what commits they are of; the model does not. */
static bool is_made_up(const char *value)
{
	return value && value[1] == '<';
}

static void resolve_all(Fuzz *self, ProllyResolveWith with)
{
	uint64_t n, expected = 0;
	g_autoptr(GError) error = NULL;
	ProllyPlace all = {0};

	for (int ns = 0; ns < MERGE_NAMESPACES; ns++)
		for (int key = 0; key < MERGE_KEYS; key++)
			expected += self->ours->unfinished.is_open[ns][key] &&
				    model_resolve(self->model, self->ours, ns, key, with);
	prolly_unfinished_resolve(self->site.repo, self->branch, &all, true, with, &n, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(n, ==, expected);
}

/* One that waits, if there is any from there on. */
static Spot take_conflict(Fuzz *self)
{
	Spot spot = take_spot(self);

	for (int i = 0; i < MERGE_NAMESPACES * MERGE_KEYS; i++) {
		int at = (spot.ns * MERGE_KEYS + spot.key + i) % (MERGE_NAMESPACES * MERGE_KEYS);

		if (self->ours->unfinished.is_open[at / MERGE_KEYS][at % MERGE_KEYS])
			return make_spot(self, at / MERGE_KEYS, at % MERGE_KEYS);
	}
	return spot;
}

void step_resolve(Fuzz *self)
{
	ProllyResolveWith with = (ProllyResolveWith)take_below(self, PROLLY_RESOLVE_THEIRS + 1);
	Spot spot = take_below(self, 4) ? take_conflict(self) : take_spot(self);
	g_autoptr(GError) error = NULL;
	uint64_t n;

	if (with != PROLLY_RESOLVE_BASE && take_below(self, 4) == 3 &&
	    self->ours->unfinished.is_there) {
		resolve_all(self, with);
		return;
	}
	if (is_made_up(self->ours->unfinished.base.values[spot.ns][spot.key]))
		return;
	prolly_unfinished_resolve(self->site.repo, self->branch, &spot.place, false, with, &n,
				  &error);
	expect(&error, self->ours->unfinished.is_there ? -1 : PROLLY_ERROR_NOT_FOUND);
	if (self->ours->unfinished.is_there)
		g_assert_cmpuint(n, ==,
				 model_resolve(self->model, self->ours, spot.ns, spot.key, with));
}

/* ---- Going back -------------------------------------------------------------------------- */

void step_reset(Fuzz *self)
{
	int to = take_commit(self), from = self->ours->head;
	ProllyResetMode mode = take_below(self, 2) ? PROLLY_RESET_HARD : PROLLY_RESET_SOFT;
	g_autoptr(GError) error = NULL;
	ProllyCommitId was;

	prolly_branch_reset(self->site.repo, self->branch, &self->site.ids[to], mode, "there", &was,
			    &error);
	g_assert_no_error(error);
	g_assert_true(prolly_commit_id_equal(&was, &self->site.ids[from]));
	model_move(self->ours, to);
	self->ours->unfinished = (ModelUnfinished){0};
	if (mode == PROLLY_RESET_HARD)
		self->ours->working = *model_state(self->model, to);
}

/* NS of the working state becomes what SOURCE has, as far as keys begin with PREFIX (or are it). */
static unsigned restore_namespace(MergeState *working, const MergeState *source, int ns,
				  const char *prefix, bool is_key)
{
	bool is_touched = !*prefix && working->has[ns] != source->has[ns];
	unsigned n = 0;

	for (int key = 0; key < MERGE_KEYS; key++) {
		const char **was = &working->values[ns][key], *is = source->values[ns][key];

		if (*was == is || !(is_key ? strcmp(site_keys[key], prefix) == 0
					   : g_str_has_prefix(site_keys[key], prefix)))
			continue;
		is_touched = is_touched || !*was || !is;
		*was = is;
		n++;
	}
	if (is_touched)
		working->has[ns] = merge_has_keys(working, ns) || source->has[ns];
	return n;
}

void step_restore(Fuzz *self)
{
	int commit = take_commit(self);
	const MergeState *source = model_state(self->model, commit);
	unsigned how = take_below(self, 8);
	Spot spot = take_spot(self);
	bool is_all = how == 0, is_whole = how <= 2;
	const char *prefix = is_whole ? "" : site_keys[spot.key];
	ProllyRange range = {
		.ns = is_all ? NULL : spot.place.ns,
		.prefix = (const uint8_t *)prefix,
		.prefix_len = strlen(prefix),
		.is_key = how > 4,
	};
	g_autoptr(GError) error = NULL;
	unsigned expected = 0;
	uint64_t changes;

	for (int ns = 0; ns < MERGE_NAMESPACES; ns++)
		if (is_all || ns == spot.ns)
			expected += restore_namespace(&self->ours->working, source, ns, prefix,
						      range.is_key);
	prolly_working_restore(self->site.repo, self->branch, &self->site.ids[commit], &range, 1,
			       &changes, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(changes, ==, expected);
}
