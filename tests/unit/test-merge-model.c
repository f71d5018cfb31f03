/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging against a simple model.
 *
 * Cases: every combination of what base, ours and theirs can have of a key (absent, or one of the
 * values of each kind), all in one merge, decided by rules written down again here.
 *
 * Histories: three branches that are changed and merged into each other at random, criss-crosses
 * among them. The model finds common ancestors by looking at all commits and merges plain arrays of
 * strings; the conflicts that are told and the state after each merge must be its.
 */
#include "working-site.h"

#include "version/merge.h"

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

typedef struct {
	const char *base, *ours, *theirs;
} Case;

static bool is_file(const char *value)
{
	return value && value[0] != 'l';
}

static bool is_kind(const char *a, const char *b)
{
	return a && b && a[0] == b[0];
}

/* Kind and content are settled apart, if all are files. *OUT_VALUE (transfer full). */
static bool settle_files(const Case *c, char **out_value)
{
	char kind, content;

	if (!is_file(c->ours) || !is_file(c->theirs) || (c->base && !is_file(c->base)))
		return false;
	if (is_kind(c->base, c->ours) || is_kind(c->ours, c->theirs))
		kind = c->theirs[0];
	else if (is_kind(c->base, c->theirs))
		kind = c->ours[0];
	else
		return false;
	if (c->ours[1] == c->theirs[1] || (c->base && c->base[1] == c->ours[1]))
		content = c->theirs[1];
	else if (c->base && c->base[1] == c->theirs[1])
		content = c->ours[1];
	else
		return false;
	*out_value = g_strdup_printf("%c%c", kind, content);
	return true;
}

/* *OUT_VALUE (transfer full); false: a conflict. */
static bool expect_value(const Case *c, char **out_value)
{
	const char *chosen;

	if (g_strcmp0(c->ours, c->theirs) == 0 || g_strcmp0(c->base, c->theirs) == 0)
		chosen = c->ours;
	else if (g_strcmp0(c->base, c->ours) == 0)
		chosen = c->theirs;
	else
		return settle_files(c, out_value);
	*out_value = g_strdup(chosen);
	return true;
}

/* Of one that is in conflict. */
static ProllyConflictKind expect_kind(const Case *c)
{
	bool all_files = is_file(c->ours) && is_file(c->theirs) && (!c->base || is_file(c->base));

	if (!c->ours)
		return PROLLY_CONFLICT_DELETED_BY_US;
	if (!c->theirs)
		return PROLLY_CONFLICT_DELETED_BY_THEM;
	/* With two kinds of files the base is of one of them, unless it is absent. */
	if (!is_kind(c->ours, c->theirs) && !(all_files && c->base))
		return PROLLY_CONFLICT_TYPE;
	return c->base ? PROLLY_CONFLICT_BOTH_MODIFIED : PROLLY_CONFLICT_BOTH_ADDED;
}

typedef void (*CaseFunc)(Fixture *self, const char *key, const Case *c, void *data);

static void foreach_case(Fixture *self, CaseFunc func, void *data)
{
	for (size_t i = 0; i < N_VALUES * N_VALUES * N_VALUES; i++) {
		Case c = {SIDE_VALUES[i % N_VALUES], SIDE_VALUES[i / N_VALUES % N_VALUES],
			  SIDE_VALUES[i / N_VALUES / N_VALUES]};
		g_autofree char *key =
			g_strdup_printf("%s-%s-%s", c.base ? c.base : "no", c.ours ? c.ours : "no",
					c.theirs ? c.theirs : "no");

		func(self, key, &c, data);
	}
}

static void set_base(Fixture *self, const char *key, const Case *c, void *data)
{
	set_value(self, key, c->base);
}

static void set_ours(Fixture *self, const char *key, const Case *c, void *data)
{
	set_value(self, key, c->ours);
}

static void set_theirs(Fixture *self, const char *key, const Case *c, void *data)
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

static void check_told(Fixture *self, const char *key, const Case *c, void *told)
{
	guint kind = GPOINTER_TO_UINT(g_hash_table_lookup(told, key));
	g_autofree char *value = NULL;

	g_test_message("%s", key);
	if (expect_value(c, &value))
		g_assert_cmpuint(kind, ==, 0);
	else
		g_assert_cmpuint(kind, ==, expect_kind(c) + 1);
}

static void check_unchanged(Fixture *self, const char *key, const Case *c, void *data)
{
	g_autofree char *value = get_value(self, key);

	g_assert_cmpstr(value, ==, c->ours);
}

/* What is in conflict was resolved with theirs. */
static void check_merged(Fixture *self, const char *key, const Case *c, void *data)
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

#define KEYS        8
#define BRANCHES    3
#define COMMITS_MAX 128
#define OPERATIONS  110

/* Values are interned, so that equal ones are the same pointer; NULL: absent. */
typedef struct {
	const char *values[KEYS];
} State;

typedef struct {
	State state;
	bool has[COMMITS_MAX]; /* itself and its ancestors */
} Commit;

typedef struct {
	Fixture *fixture;
	Fixture branches[BRANCHES];
	int heads[BRANCHES];
	Commit commits[COMMITS_MAX];
	int n;
	uint64_t random;
	unsigned merges, crossed; /* that there were, and that had several bases */
} History;

static unsigned draw(History *self, unsigned n)
{
	self->random = self->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(self->random >> 33) % n;
}

static int add_commit(History *self, const State *state, int parent, int other)
{
	Commit *commit = &self->commits[self->n];

	g_assert_cmpint(self->n, <, COMMITS_MAX);
	*commit = (Commit){.state = *state};
	for (int i = 0; i < self->n; i++)
		commit->has[i] = (parent >= 0 && self->commits[parent].has[i]) ||
				 (other >= 0 && self->commits[other].has[i]);
	commit->has[self->n] = true;
	return self->n++;
}

/* The best common ancestors of ONE and of the N in OTHERS together, the oldest first. */
static int find_bases(const History *self, int one, const int *others, int n, int *out)
{
	bool common[COMMITS_MAX] = {false};
	int n_found = 0;

	for (int i = 0; i < self->n; i++) {
		bool has = false;

		for (int j = 0; j < n; j++)
			has = has || self->commits[others[j]].has[i];
		common[i] = has && self->commits[one].has[i];
	}
	for (int i = 0; i < self->n; i++) {
		bool is_best = common[i];

		for (int j = i + 1; j < self->n && is_best; j++)
			is_best = !(common[j] && self->commits[j].has[i]);
		if (is_best)
			out[n_found++] = i;
	}
	return n_found;
}

/* *OUT_VALUE of a key; false: a conflict. */
static bool merge_value(const char *base, const char *ours, const char *theirs, const char **out)
{
	*out = base == ours ? theirs : ours;
	return ours == theirs || base == ours || base == theirs;
}

/* What the commits in BASES have in common: a conflict becomes a value that nothing else has. */
static State merge_bases(const History *self, const int *bases, int n)
{
	State state = self->commits[bases[0]].state;

	for (int i = 1; i < n; i++) {
		const State *next = &self->commits[bases[i]].state;
		int below[COMMITS_MAX];
		int n_below = find_bases(self, bases[i], bases, i, below);
		State base = merge_bases(self, below, n_below);

		for (int key = 0; key < KEYS; key++) {
			const char *ours = state.values[key], *theirs = next->values[key];
			g_autofree char *text = NULL;

			if (merge_value(base.values[key], ours, theirs, &state.values[key]))
				continue;
			text = g_strdup_printf("<%d|%s|%s|%d>", bases[0], ours ? ours : "",
					       theirs ? theirs : "", bases[i]);
			state.values[key] = g_intern_string(text);
		}
	}
	return state;
}

static char *make_key(int key)
{
	return g_strdup_printf("dir-%d/key-%d", key % 3, key);
}

static void check_state(Fixture *fixture, const State *state)
{
	for (int key = 0; key < KEYS; key++) {
		g_autofree char *name = make_key(key);
		g_autofree char *value = get(fixture, NS, name);

		g_assert_cmpstr(value, ==, state->values[key]);
	}
}

static void edit_key(History *self, int branch, State *state)
{
	int key = (int)draw(self, KEYS);
	g_autofree char *name = make_key(key);
	char value[] = {(char)('a' + draw(self, 4)), '\0'};

	if (draw(self, 4) == 0) {
		if (state->values[key])
			delete (&self->branches[branch], NS, name);
		state->values[key] = NULL;
	} else {
		put(&self->branches[branch], NS, name, value);
		state->values[key] = g_intern_string(value);
	}
}

static void change(History *self, int branch)
{
	State before = self->commits[self->heads[branch]].state, state = before;
	ProllySignature author = sign(self->n);
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
	self->heads[branch] = add_commit(self, &state, self->heads[branch], -1);
}

/* The state that a merge makes, conflicts being OURS' (or theirs'), and how many there are. */
static State expect_merge(const History *self, const State *base, int ours, int theirs,
			  bool take_ours, guint *out_conflicts)
{
	State state;

	*out_conflicts = 0;
	for (int key = 0; key < KEYS; key++) {
		const char *of_ours = self->commits[ours].state.values[key];
		const char *of_theirs = self->commits[theirs].state.values[key];

		if (merge_value(base->values[key], of_ours, of_theirs, &state.values[key]))
			continue;
		state.values[key] = take_ours ? of_ours : of_theirs;
		++*out_conflicts;
	}
	return state;
}

static ProllyMergeResult run_merge(History *self, int branch, int theirs, const char *strategy,
				   bool dry_run, guint *out_told)
{
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	ProllySignature author = sign(self->n);
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
	int ours_id = self->heads[branch], theirs_id = self->heads[theirs];
	bool take_ours = draw(self, 2);
	int bases[COMMITS_MAX];
	int n_bases = find_bases(self, ours_id, &theirs_id, 1, bases);
	State base = merge_bases(self, bases, n_bases);
	guint conflicts, told;
	State state = expect_merge(self, &base, ours_id, theirs_id, take_ours, &conflicts);
	ProllyMergeResult result, expected = PROLLY_MERGE_MERGED;

	if (bases[0] == theirs_id)
		expected = PROLLY_MERGE_UP_TO_DATE;
	else if (bases[0] == ours_id)
		expected = PROLLY_MERGE_FAST_FORWARD;
	result = run_merge(self, branch, theirs, NULL, true, &told);
	g_assert_cmpuint(told, ==, conflicts);
	g_assert_cmpint(result, ==, conflicts ? PROLLY_MERGE_CONFLICT : expected);
	check_state(&self->branches[branch], &self->commits[ours_id].state);
	result = run_merge(self, theirs, branch, NULL, true, &told);
	g_assert_cmpuint(told, ==, conflicts);
	result = run_merge(self, branch, theirs, take_ours ? "ours" : "theirs", false, &told);
	g_assert_cmpint(result, ==, expected);
	check_state(&self->branches[branch], &state);
	if (expected == PROLLY_MERGE_FAST_FORWARD)
		self->heads[branch] = theirs_id;
	else if (expected == PROLLY_MERGE_MERGED)
		self->heads[branch] = add_commit(self, &state, ours_id, theirs_id);
	result = run_merge(self, branch, theirs, NULL, false, &told);
	g_assert_cmpint(result, ==, PROLLY_MERGE_UP_TO_DATE);
	self->merges += expected == PROLLY_MERGE_MERGED;
	self->crossed += expected == PROLLY_MERGE_MERGED && n_bases > 1;
}

static void begin(History *self)
{
	g_autoptr(GError) error = NULL;
	ProllyCommitId head;
	State nothing = {0};

	self->branches[0] = *self->fixture;
	make_directory(self->fixture, NS, "");
	commit(self->fixture);
	prolly_branch_get_head(self->fixture->branch, &head);
	add_commit(self, &nothing, -1, -1);
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
