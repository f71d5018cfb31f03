/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging against a simple model.
 *
 * Cases: every combination of what base, ours and theirs can have of a key (absent, or one of the
 * values of each kind), all in one merge, decided by the rules of merge-model.h.
 *
 * Histories: three branches that are changed and merged into each other at random, criss-crosses
 * among them. The model is merge-model.h's; the conflicts that are told and the state after each
 * merge must be its.
 */
#include "merge-model.h"
#include "working-site.h"

#define NS "n"

static ProllySignature sign(int64_t time)
{
	return (ProllySignature){(char *)"A", (char *)"a@example.com", 1000000000 + time, 0};
}

/* ---- All cases --------------------------------------------------------------------------- */

/* What a side may have of a key; the first character is its kind. */
static const char *const SIDE_VALUES[] = {NULL, "f1", "f2", "f3", "x1", "x2", "l1", "l2"};
#define N_VALUES G_N_ELEMENTS(SIDE_VALUES)

static ProllyKind to_kind(const char *value)
{
	return value[0] == 'f'   ? PROLLY_KIND_FILE
	       : value[0] == 'x' ? PROLLY_KIND_EXECUTABLE
				 : PROLLY_KIND_SYMLINK;
}

/* Makes KEY what VALUE says. */
static void set_value(Fixture *self, const char *key, const char *value)
{
	ProllyPlace place = at(NS, key);
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) stored = NULL;
	bool found;

	if (value) {
		stored = prolly_value_new_inline(to_kind(value), value + 1, 1);
		prolly_edit_put(self->repo, self->branch, &place, stored, NULL, 0, NULL, &error);
	} else {
		prolly_edit_delete(self->repo, self->branch, &place, &found, &error);
	}
	g_assert_no_error(error);
}

/* (transfer full) As above, or NULL. */
static char *get_value(Fixture *self, const char *key)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_autofree char *content = get(self, NS, key);
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(NS, key);
	bool found;

	prolly_view_get(view, &place, false, &entry, &found, &error);
	g_assert_no_error(error);
	return found ? g_strdup_printf("%c%s", "fxl"[entry.kind], content) : NULL;
}

/* *OUT_VALUE (transfer full); false: a conflict. */
static bool expect_value(const MergeCase *c, char **out_value)
{
	MergeHistory rules;
	const char *value;
	bool is_settled;

	merge_history_init(&rules);
	is_settled = merge_settle(&rules, c, &value);
	*out_value = is_settled ? g_strdup(value) : NULL;
	merge_history_clear(&rules);
	return is_settled;
}

typedef void (*CaseFunc)(Fixture *self, const char *key, const MergeCase *c, void *data);

static void foreach_case(Fixture *self, CaseFunc func, void *data)
{
	for (size_t i = 0; i < N_VALUES * N_VALUES * N_VALUES; i++) {
		MergeCase c = {SIDE_VALUES[i % N_VALUES], SIDE_VALUES[i / N_VALUES % N_VALUES],
			       SIDE_VALUES[i / N_VALUES / N_VALUES]};
		g_autofree char *key =
			g_strdup_printf("%s-%s-%s", c.base ? c.base : "no", c.ours ? c.ours : "no",
					c.theirs ? c.theirs : "no");

		func(self, key, &c, data);
	}
}

static void set_base(Fixture *self, const char *key, const MergeCase *c, void *data)
{
	set_value(self, key, c->base);
}

static void set_ours(Fixture *self, const char *key, const MergeCase *c, void *data)
{
	set_value(self, key, c->ours);
}

static void set_theirs(Fixture *self, const char *key, const MergeCase *c, void *data)
{
	set_value(self, key, c->theirs);
}

/* Conflicts that were told: key -> kind + 1. */
static bool note_conflict(const ProllyPlace *place, ProllyConflictKind kind,
			  const ProllyMergeStep *sides, void *data, GError **error)
{
	char *key = g_strndup((const char *)place->key, place->key_len);

	g_assert_true(g_hash_table_insert(data, key, GUINT_TO_POINTER(kind + 1)));
	return true;
}

static void check_told(Fixture *self, const char *key, const MergeCase *c, void *told)
{
	guint kind = GPOINTER_TO_UINT(g_hash_table_lookup(told, key));
	g_autofree char *value = NULL;

	g_test_message("%s", key);
	if (expect_value(c, &value))
		g_assert_cmpuint(kind, ==, 0);
	else
		g_assert_cmpuint(kind, ==, merge_conflict_kind(c) + 1);
}

static void check_unchanged(Fixture *self, const char *key, const MergeCase *c, void *data)
{
	g_autofree char *value = get_value(self, key);

	g_assert_cmpstr(value, ==, c->ours);
}

/* What is in conflict was resolved with theirs. */
static void check_merged(Fixture *self, const char *key, const MergeCase *c, void *data)
{
	g_autofree char *expected = NULL;
	g_autofree char *value = get_value(self, key);

	if (!expect_value(c, &expected))
		expected = g_strdup(c->theirs);
	g_test_message("%s", key);
	g_assert_cmpstr(value, ==, expected);
}

static void test_cases(Fixture *self, gconstpointer data)
{
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	ProllySignature author = sign(0);
	ProllyMergeOptions options = {.message = "merge",
				      .author = &author,
				      .committer = &author,
				      .conflict = note_conflict,
				      .conflict_data = told};
	Fixture side = {self->repo, NULL};
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;
	ProllyPlace all = {0};
	ProllyCommitId head, id;
	uint64_t n = 0;

	put(self, NS, "anchor", "1");
	foreach_case(self, set_base, NULL);
	commit(self);
	prolly_branch_get_head(self->branch, &head);
	prolly_branch_create(self->repo, "side", &head, self->branch, &side.branch, &error);
	g_assert_no_error(error);
	foreach_case(&side, set_theirs, NULL);
	commit(&side);
	foreach_case(self, set_ours, NULL);
	commit(self);
	prolly_branch_get_head(side.branch, &head);
	prolly_history_merge(self->repo, self->branch, &head, &options, &result, &id, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, PROLLY_MERGE_CONFLICT);
	foreach_case(self, check_told, told);
	foreach_case(self, check_unchanged, NULL);
	prolly_unfinished_resolve(self->repo, self->branch, &all, true, PROLLY_RESOLVE_THEIRS, &n,
				  &error);
	g_assert_no_error(error);
	g_assert_cmpuint(n, ==, g_hash_table_size(told));
	g_hash_table_remove_all(told);
	prolly_history_continue(self->repo, self->branch, &options, &result, &id, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, PROLLY_MERGE_MERGED);
	foreach_case(self, check_merged, NULL);
	prolly_branch_unref(side.branch);
}

/* ---- Random histories -------------------------------------------------------------------- */

#define BRANCHES   3
#define OPERATIONS 110

typedef struct {
	Fixture *fixture;
	Fixture branches[BRANCHES];
	int heads[BRANCHES];
	MergeHistory history;
	uint64_t random;
	unsigned merges, crossed; /* that there were, and that had several bases */
} History;

static unsigned draw(History *self, unsigned n)
{
	self->random = self->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(self->random >> 33) % n;
}

static char *make_key(int key)
{
	return g_strdup_printf("dir-%d/key-%d", key % 3, key);
}

static void check_state(Fixture *fixture, const MergeState *state)
{
	for (int key = 0; key < MERGE_KEYS; key++) {
		g_autofree char *name = make_key(key);
		g_autofree char *value = get_value(fixture, name);

		g_assert_cmpstr(value, ==, state->values[1][key]);
	}
}

static void edit_key(History *self, int branch, MergeState *state)
{
	int key = (int)draw(self, MERGE_KEYS);
	g_autofree char *name = make_key(key);
	char content[] = {(char)('a' + draw(self, 4)), '\0'};
	const char **value = &state->values[1][key];

	if (draw(self, 4) == 0) {
		if (*value)
			delete (&self->branches[branch], NS, name);
		*value = NULL;
	} else {
		put(&self->branches[branch], NS, name, content);
		*value = merge_make_value(&self->history, 'f', content);
	}
}

static void change(History *self, int branch)
{
	MergeState state = self->history.commits[self->heads[branch]].state;
	ProllySignature author = sign(self->history.n);
	ProllyCommitOptions options = {
		.message = "change", .author = &author, .committer = &author, .allow_empty = true};
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;
	uint64_t changes;

	for (unsigned n = 1 + draw(self, 3); n > 0; n--)
		edit_key(self, branch, &state);
	prolly_history_commit(self->fixture->repo, self->branches[branch].branch, &options, &id,
			      &changes, &error);
	g_assert_no_error(error);
	self->heads[branch] = merge_history_add(&self->history, &state, self->heads[branch], -1);
}

/* Conflicts are OURS' (or theirs'), and counted. */
typedef struct {
	MergeHistory *history;
	bool take_ours;
	guint conflicts;
} Choice;

static const char *decide(const MergeCase *c, int ns, int key, void *data)
{
	Choice *choice = data;
	const char *value;

	if (merge_settle(choice->history, c, &value))
		return value;
	choice->conflicts++;
	return choice->take_ours ? c->ours : c->theirs;
}

static ProllyMergeResult run_merge(History *self, int branch, int theirs, const char *strategy,
				   bool dry_run, guint *out_told)
{
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	ProllySignature author = sign(self->history.n);
	ProllyMergeOptions options = {.message = "merge",
				      .author = &author,
				      .committer = &author,
				      .strategy = strategy,
				      .dry_run = dry_run,
				      .conflict = note_conflict,
				      .conflict_data = told};
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;
	ProllyCommitId head, id;

	prolly_branch_get_head(self->branches[theirs].branch, &head);
	prolly_history_merge(self->fixture->repo, self->branches[branch].branch, &head, &options,
			     &result, &id, &error);
	g_assert_no_error(error);
	*out_told = g_hash_table_size(told);
	return result;
}

static void merge(History *self, int branch, int theirs)
{
	MergeHistory *history = &self->history;
	int ours_id = self->heads[branch], theirs_id = self->heads[theirs];
	const MergeState *ours = &history->commits[ours_id].state;
	Choice choice = {history, draw(self, 2), 0};
	int bases[MERGE_COMMITS];
	int n_bases = merge_find_bases(history, ours_id, &theirs_id, 1, bases);
	MergeState base = merge_of_bases(history, bases, n_bases);
	MergeState state = merge_states(history, &base, ours, &history->commits[theirs_id].state,
					decide, &choice);
	guint conflicts = choice.conflicts, told;
	ProllyMergeResult result, expected = PROLLY_MERGE_MERGED;

	if (bases[0] == theirs_id)
		expected = PROLLY_MERGE_UP_TO_DATE;
	else if (bases[0] == ours_id)
		expected = PROLLY_MERGE_FAST_FORWARD;
	result = run_merge(self, branch, theirs, NULL, true, &told);
	g_assert_cmpuint(told, ==, conflicts);
	g_assert_cmpint(result, ==, conflicts ? PROLLY_MERGE_CONFLICT : expected);
	check_state(&self->branches[branch], ours);
	result = run_merge(self, theirs, branch, NULL, true, &told);
	g_assert_cmpuint(told, ==, conflicts);
	result =
		run_merge(self, branch, theirs, choice.take_ours ? "ours" : "theirs", false, &told);
	g_assert_cmpint(result, ==, expected);
	check_state(&self->branches[branch], &state);
	if (expected == PROLLY_MERGE_FAST_FORWARD)
		self->heads[branch] = theirs_id;
	else if (expected == PROLLY_MERGE_MERGED)
		self->heads[branch] = merge_history_add(history, &state, ours_id, theirs_id);
	result = run_merge(self, branch, theirs, NULL, false, &told);
	g_assert_cmpint(result, ==, PROLLY_MERGE_UP_TO_DATE);
	self->merges += expected == PROLLY_MERGE_MERGED;
	self->crossed += expected == PROLLY_MERGE_MERGED && n_bases > 1;
}

static void begin(History *self)
{
	g_autoptr(GError) error = NULL;
	ProllyCommitId head;
	MergeState nothing = {.has = {[1] = true}};

	self->branches[0] = *self->fixture;
	make_directory(self->fixture, NS, "");
	commit(self->fixture);
	prolly_branch_get_head(self->fixture->branch, &head);
	merge_history_init(&self->history);
	merge_history_add(&self->history, &nothing, -1, -1);
	for (int i = 1; i < BRANCHES; i++) {
		g_autofree char *name = g_strdup_printf("branch-%d", i);

		self->branches[i].repo = self->fixture->repo;
		prolly_branch_create(self->fixture->repo, name, &head, self->fixture->branch,
				     &self->branches[i].branch, &error);
		g_assert_no_error(error);
	}
}

static void test_histories(Fixture *fixture, gconstpointer seed)
{
	g_autofree History *self = g_new0(History, 1);

	g_test_message("seed %d", GPOINTER_TO_INT(seed));
	self->fixture = fixture;
	self->random = (uint64_t)GPOINTER_TO_INT(seed);
	begin(self);
	for (int i = 0; i < OPERATIONS; i++) {
		int branch = (int)draw(self, BRANCHES);
		int other = (branch + 1 + (int)draw(self, BRANCHES - 1)) % BRANCHES;

		if (draw(self, 5) < 2)
			merge(self, branch, other);
		else
			change(self, branch);
	}
	g_test_message("%u merges, %u with several bases", self->merges, self->crossed);
	g_assert_cmpuint(self->merges, >, 3);
	for (int i = 1; i < BRANCHES; i++)
		prolly_branch_unref(self->branches[i].branch);
	merge_history_clear(&self->history);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/version/merge/cases", Fixture, NULL, set_up, test_cases, tear_down);
	for (int seed = 1; seed <= 12; seed++) {
		g_autofree char *name = g_strdup_printf("/version/merge/histories/%d", seed);

		g_test_add(name, Fixture, GINT_TO_POINTER(seed), set_up, test_histories, tear_down);
	}
	return g_test_run();
}
