/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of version-model.h. It knows nothing of trees, records and generations: whatever those
 * do, what can be seen has to be this.
 */
#include "version-model.h"

#include "base/base.h"

void model_init(Model *self)
{
	const MergeState nothing = {0};

	*self = (Model){0};
	merge_history_init(&self->history);
	merge_history_add(&self->history, &nothing, -1, -1);
	for (int i = 0; i < MODEL_TAGS; i++)
		self->tags[i] = -1;
	model_branch_create(self, &self->branches[0], 0);
}

void model_clear(Model *self)
{
	merge_history_clear(&self->history);
}

/* ---- Branches ---------------------------------------------------------------------------- */

void model_branch_create(Model *self, ModelBranch *branch, int commit)
{
	*branch = (ModelBranch){.is_there = true, .working = *model_state(self, commit)};
	model_move(branch, commit);
}

void model_move(ModelBranch *branch, int commit)
{
	branch->head = commit;
	branch->was_at[commit] = true;
}

int model_commit(Model *self, ModelBranch *branch, const MergeState *state, int parent, int other)
{
	int commit = merge_history_add(&self->history, state, parent, other);

	model_move(branch, commit);
	return commit;
}

void model_settle(MergeState *state)
{
	for (int ns = 0; ns < MERGE_NAMESPACES; ns++)
		state->has[ns] =
			merge_has_keys(state, ns) || (ns != MERGE_UNNAMED && state->has[ns]);
}

unsigned model_count_changes(const MergeState *from, const MergeState *to)
{
	unsigned n = 0;

	for (int ns = 0; ns < MERGE_NAMESPACES; ns++) {
		bool has_keys = merge_has_keys(from, ns) || merge_has_keys(to, ns);

		n += from->has[ns] != to->has[ns] && !has_keys;
		for (int key = 0; key < MERGE_KEYS; key++)
			n += from->values[ns][key] != to->values[ns][key];
	}
	return n;
}

/* Marks what comes before the commits that are in NEEDED. */
static void need_all(const Model *self, const bool *needed, bool *all)
{
	for (int i = 0; i < self->history.n; i++)
		for (int j = 0; needed[i] && j <= i; j++)
			all[j] |= self->history.commits[i].comes_before[j];
}

void model_collect(Model *self)
{
	bool tagged[MERGE_COMMITS] = {false}, needed[MERGE_COMMITS] = {false};

	for (int i = 0; i < MODEL_TAGS; i++)
		if (self->tags[i] >= 0)
			tagged[self->tags[i]] = true;
	need_all(self, tagged, needed);
	for (int i = 0; i < MODEL_BRANCHES; i++) {
		const ModelBranch *branch = &self->branches[i];

		if (!branch->is_there)
			continue;
		need_all(self, branch->was_at, needed);
		if (branch->unfinished.is_there)
			need_all(self, branch->unfinished.needs, needed);
	}
	for (int i = 0; i < self->history.n; i++)
		self->is_gone[i] = !needed[i];
}

/* ---- Merging: the three sides ------------------------------------------------------------ */

typedef struct {
	Model *model;
	ModelBranch *branch;
	const ModelChange *change;
	int bases[MERGE_COMMITS];
	int n_bases;
	MergeState base, ours, theirs, merged;
	bool is_decided[MERGE_NAMESPACES][MERGE_KEYS]; /* both changed it */
	bool has_conflicts;
	ModelOutcome *outcome;
} Merging;

static bool holds(const ModelResolution *resolution, const MergeCase *c)
{
	return resolution->is_there &&
	       ((resolution->sides.base == c->base && resolution->sides.ours == c->ours &&
		 resolution->sides.theirs == c->theirs) ||
		resolution->value == c->ours);
}

/* A side as it is, but of the kind that only the other one changed. */
static const char *choose_side(Merging *self, const MergeCase *c, const char *side)
{
	char kind;

	if (!side || !merge_file_kind(c, &kind) || !kind)
		return side;
	return merge_make_value(&self->model->history, kind, side + 1);
}

/* MergeDecideFunc */
static const char *decide(const MergeCase *c, int ns, int key, void *data)
{
	Merging *self = data;
	const char *strategy = self->change->strategy;
	const ModelResolution *known = &self->branch->unfinished.resolutions[ns][key];
	const char *value;

	self->is_decided[ns][key] = true;
	self->outcome->sides[ns][key] = *c;
	if (self->change->is_resumed && holds(known, c))
		return known->value;
	if (merge_settle(&self->model->history, c, &value))
		return value;
	if (strategy)
		return choose_side(self, c, strcmp(strategy, "ours") ? c->theirs : c->ours);
	self->is_decided[ns][key] = false;
	self->outcome->in_conflict[ns][key] = true;
	self->has_conflicts = true;
	return c->ours;
}

static MergeState state_or_nothing(Model *self, int commit)
{
	return commit < 0 ? (MergeState){0} : *model_state(self, commit);
}

static void merge_sides(Merging *self)
{
	Model *model = self->model;

	self->base = self->change->is_merge
			     ? merge_of_bases(&model->history, self->bases, self->n_bases)
			     : state_or_nothing(model, self->change->from);
	self->ours = *model_state(model, self->branch->head);
	self->theirs = state_or_nothing(model, self->change->to);
	self->merged = merge_states(&model->history, &self->base, &self->ours, &self->theirs,
				    decide, self);
}

/* ---- Merging: what is staged ------------------------------------------------------------- */

static const ModelResolution *find_by_hand(const Merging *self, int ns, int key)
{
	const ModelResolution *known = &self->branch->unfinished.resolutions[ns][key];

	return self->change->is_resumed && known->is_there && known->by_hand ? known : NULL;
}

/* Would a staged value be lost? */
static bool would_overwrite(const Merging *self)
{
	for (int ns = 0; ns < MERGE_NAMESPACES; ns++) {
		for (int key = 0; key < MERGE_KEYS; key++) {
			const char *ours = self->ours.values[ns][key];
			const char *merged = self->merged.values[ns][key];
			const char *working = self->branch->working.values[ns][key];

			if (self->outcome->in_conflict[ns][key] ||
			    (ours == merged && !self->is_decided[ns][key]))
				continue;
			if (working != ours && working != merged && !find_by_hand(self, ns, key))
				return true;
		}
	}
	return false;
}

/* The working state over the merged one, be that committed or staged itself. */
static MergeState lay_over(const Merging *self)
{
	MergeState state = self->branch->working;

	for (int ns = 0; ns < MERGE_NAMESPACES; ns++) {
		if (state.has[ns] == self->ours.has[ns])
			state.has[ns] = self->merged.has[ns];
		for (int key = 0; key < MERGE_KEYS; key++) {
			const char *ours = self->ours.values[ns][key];
			const char *merged = self->merged.values[ns][key];
			const char **working = &state.values[ns][key];
			const ModelResolution *by_hand = find_by_hand(self, ns, key);

			if (ours != merged &&
			    (*working == ours || (by_hand && by_hand->working == *working)))
				*working = merged;
		}
	}
	model_settle(&state);
	return state;
}

/* ---- Merging: what becomes of it --------------------------------------------------------- */

static void finish(Merging *self, bool is_fast_forward)
{
	ModelBranch *branch = self->branch;
	const ModelChange *change = self->change;
	MergeState working = lay_over(self);

	if (is_fast_forward)
		model_move(branch, change->to);
	else
		model_commit(self->model, branch, &self->merged, branch->head,
			     change->is_merge ? change->to : -1);
	branch->working = working;
	branch->unfinished = (ModelUnfinished){0};
}

static void need(ModelUnfinished *unfinished, int commit)
{
	if (commit >= 0)
		unfinished->needs[commit] = true;
}

static void record_key(Merging *self, ModelUnfinished *unfinished, int ns, int key)
{
	const MergeCase *sides = &self->outcome->sides[ns][key];
	ModelResolution *known = &unfinished->resolutions[ns][key];

	unfinished->is_open[ns][key] = self->outcome->in_conflict[ns][key];
	unfinished->sides[ns][key] = *sides;
	if (self->is_decided[ns][key] && !(self->change->is_resumed && holds(known, sides)))
		*known = (ModelResolution){
			.is_there = true, .sides = *sides, .value = self->merged.values[ns][key]};
}

static void record(Merging *self)
{
	ModelUnfinished *unfinished = &self->branch->unfinished;
	const ModelChange *change = self->change;

	if (!change->is_resumed)
		*unfinished = (ModelUnfinished){
			.is_there = true,
			.is_merge = change->is_merge,
			.from = change->from,
			.to = change->to,
			.strategy = change->strategy,
			.is_staging = change->is_staging,
		};
	unfinished->base = self->base;
	memset(unfinished->needs, 0, sizeof(unfinished->needs));
	need(unfinished, self->branch->head);
	need(unfinished, change->to);
	for (int i = 0; i < self->n_bases; i++)
		need(unfinished, self->bases[i]);
	if (!change->is_merge)
		need(unfinished, change->from);
	for (int ns = 0; ns < MERGE_NAMESPACES; ns++)
		for (int key = 0; key < MERGE_KEYS; key++)
			record_key(self, unfinished, ns, key);
}

static void act(Merging *self, bool is_fast_forward)
{
	if (self->change->dry_run)
		return;
	switch (self->outcome->result) {
	case PROLLY_MERGE_CONFLICT:
		record(self);
		break;
	case PROLLY_MERGE_UP_TO_DATE:
		if (self->change->is_resumed)
			self->branch->unfinished = (ModelUnfinished){0};
		break;
	case PROLLY_MERGE_STAGED:
		self->branch->working = lay_over(self);
		self->branch->unfinished = (ModelUnfinished){0};
		break;
	default:
		finish(self, is_fast_forward);
	}
}

/* False: there is no need to look at keys, or no way. */
static bool find_bases(Merging *self)
{
	const ModelChange *change = self->change;

	if (!change->is_merge)
		return true;
	self->n_bases = merge_find_bases(&self->model->history, self->branch->head, &change->to, 1,
					 self->bases);
	if (self->n_bases == 0)
		self->outcome->failure = PROLLY_ERROR_INVALID;
	return self->n_bases > 0 && self->bases[0] != change->to;
}

void model_merge(Model *model, ModelBranch *branch, const ModelChange *change,
		 ModelOutcome *outcome)
{
	Merging self = {.model = model, .branch = branch, .change = change, .outcome = outcome};
	bool is_fast_forward = false;

	*outcome = (ModelOutcome){.failure = -1, .result = PROLLY_MERGE_UP_TO_DATE};
	if (!change->is_resumed && !change->dry_run && branch->unfinished.is_there &&
	    branch->unfinished.resolved) {
		outcome->failure = PROLLY_ERROR_BUSY;
		return;
	}
	if (find_bases(&self)) {
		is_fast_forward = change->is_merge && self.bases[0] == branch->head &&
				  !change->no_ff && !change->is_staging && !change->is_resumed;
		merge_sides(&self);
		if (would_overwrite(&self)) {
			outcome->failure = PROLLY_ERROR_WOULD_OVERWRITE;
			return;
		}
		if (self.has_conflicts)
			outcome->result = PROLLY_MERGE_CONFLICT;
		else if (is_fast_forward)
			outcome->result = PROLLY_MERGE_FAST_FORWARD;
		else if (change->is_merge || !merge_state_equal(&self.merged, &self.ours))
			outcome->result =
				change->is_staging ? PROLLY_MERGE_STAGED : PROLLY_MERGE_MERGED;
	}
	if (outcome->failure < 0)
		act(&self, is_fast_forward);
}

/* ---- Resolving --------------------------------------------------------------------------- */

bool model_resolve(Model *self, ModelBranch *branch, int ns, int key, ProllyResolveWith with)
{
	ModelUnfinished *unfinished = &branch->unfinished;
	ModelResolution *known = &unfinished->resolutions[ns][key];
	const char *working = branch->working.values[ns][key];
	MergeState theirs = state_or_nothing(self, unfinished->to);
	MergeCase sides = {unfinished->base.values[ns][key],
			   model_state(self, branch->head)->values[ns][key],
			   theirs.values[ns][key]};

	if (unfinished->is_open[ns][key])
		sides = unfinished->sides[ns][key];
	else if (!known->is_there)
		return false;
	*known = (ModelResolution){
		.is_there = true,
		.by_hand = true,
		.sides = sides,
		.value = with == PROLLY_RESOLVE_WORKING ? working
			 : with == PROLLY_RESOLVE_BASE  ? sides.base
			 : with == PROLLY_RESOLVE_OURS  ? sides.ours
							: sides.theirs,
		.working = working,
	};
	unfinished->is_open[ns][key] = false;
	unfinished->resolved++;
	return true;
}
