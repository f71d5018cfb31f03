/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of branches: who looks a branch up that is in use waits for nobody; and who looks one up
 * while others make, delete and rename it finds one object of it at most, and of what is gone nothing.
 */
#include "gc-fixture.h"
#include "version/merge.h"
#include "version/working-private.h"

#define N_THREADS 4
#define N_STEPS   500

static const char *const names[] = {"a", "b", "c", "d/e", "d/f"};

/* ---- Beside a change --------------------------------------------------------------------- */

/* A publication that waits for the disk has set_lock: whoever waits for that here waits for ever. */
static void test_held(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	ProllyBranch *held = lookup(repo, "main"), *again;

	alarm(60);
	g_mutex_lock(&repo->body->set_lock);
	again = lookup(repo, "main");
	g_mutex_unlock(&repo->body->set_lock);
	alarm(0);
	g_assert_true(again == held);
	prolly_branch_unref(again);
	prolly_branch_unref(held);
	prolly_repo_free(repo);
}

/* ---- What git deleted -------------------------------------------------------------------- */

static void make_or_rename(ProllyRepo *repo, bool is_rename)
{
	g_autoptr(ProllyBranch) other = lookup(repo, "other");
	g_autoptr(GError) error = NULL;
	ProllyBranch *made = NULL;
	ProllyCommitId head;

	if (is_rename) {
		prolly_branch_rename(repo, other, "other", "side", &error);
	} else {
		get_head(repo, "main", &head);
		prolly_branch_create(repo, "side", &head, NULL, &made, &error);
		prolly_branch_unref(made);
	}
	g_assert_no_error(error);
}

/* Who holds one that git deleted has something else than what gets its name. */
static void test_made_again(Fixture *self, gconstpointer data)
{
	for (int is_rename = 0; is_rename < 2; is_rename++) {
		ProllyRepo *repo = is_rename ? open_spec(self->store) : new_store(self);
		ProllyBranch *held, *first, *second;

		if (!is_rename)
			run("git --git-dir '%s/git' branch other main", self->store);
		run("git --git-dir '%s/git' branch -f side main", self->store);
		held = lookup(repo, "side");
		run("git --git-dir '%s/git' update-ref -d refs/heads/side", self->store);
		make_or_rename(repo, is_rename);
		g_assert_true(prolly_branch_is_deleted(held));
		first = lookup(repo, "side");
		g_assert_true(first != held);
		prolly_branch_unref(held);
		second = lookup(repo, "side");
		g_assert_true(first == second);
		prolly_branch_unref(first);
		prolly_branch_unref(second);
		prolly_repo_free(repo);
	}
}

/* ---- What was deleted -------------------------------------------------------------------- */

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch; /* deleted */
	ProllyCommitId other; /* a commit that it does not have */
	ProllySignature who;
} Deleted;

static bool try_commit(Deleted *self, GError **error)
{
	ProllyCommitOptions options = {
		.message = "m", .author = &self->who, .committer = &self->who, .allow_empty = true};
	ProllyCommitId id;
	uint64_t changes;

	return prolly_history_commit(self->repo, self->branch, &options, &id, &changes, error);
}

static ProllyMergeOptions make_options(Deleted *self)
{
	return (ProllyMergeOptions){.message = "m", .author = &self->who, .committer = &self->who};
}

static bool try_merge(Deleted *self, GError **error)
{
	ProllyMergeOptions options = make_options(self);
	ProllyMergeResult result;
	ProllyCommitId id;

	return prolly_history_merge(self->repo, self->branch, &self->other, &options, &result, &id,
				    error);
}

static bool try_stage_merge(Deleted *self, GError **error)
{
	ProllyMergeOptions options = make_options(self);
	ProllyMergeResult result;
	ProllyCommitId id;

	options.no_commit = options.no_ff = true;
	return prolly_history_merge(self->repo, self->branch, &self->other, &options, &result, &id,
				    error);
}

static bool try_apply(Deleted *self, GError **error)
{
	ProllyMergeOptions options = make_options(self);
	ProllyMergeChange change = {.to = &self->other};
	ProllyMergeResult result;
	ProllyCommitId id;

	options.operation = "cherry-pick";
	return prolly_history_apply(self->repo, self->branch, &change, &options, &result, &id,
				    error);
}

static bool try_continue(Deleted *self, GError **error)
{
	ProllyMergeOptions options = make_options(self);
	ProllyMergeResult result;
	ProllyCommitId id;

	return prolly_history_continue(self->repo, self->branch, &options, &result, &id, error);
}

static bool try_abort(Deleted *self, GError **error)
{
	return prolly_history_abort(self->repo, self->branch, error);
}

static bool try_resolve(Deleted *self, GError **error)
{
	ProllyPlace place = make_place("ns", "k");
	uint64_t n;

	return prolly_unfinished_resolve(self->repo, self->branch, &place, false,
					 PROLLY_RESOLVE_OURS, &n, error);
}

/* Deletes branch X, which is held, makes it again, and has DO_IT done to the one that was deleted. */
static void use_deleted(ProllyRepo *repo, bool (*do_it)(Deleted *self, GError **error))
{
	g_autoptr(ProllyBranch) held = create(repo, "X", -1), again = NULL;
	Deleted self = {.repo = repo, .branch = held};
	g_autoptr(GError) error = NULL;

	stage(repo, held, "old", 1, LONG_VALUE);
	prolly_branch_delete(repo, held, NULL, true, &error);
	g_assert_no_error(error);
	again = create(repo, "X", -1);
	stage(repo, again, "doc", 2, LONG_VALUE);
	get_head(repo, "other", &self.other);
	prolly_signature_init_default(&self.who, false, NULL, &error);
	g_assert_no_error(error);
	g_assert_false(do_it(&self, &error));
	g_assert_error(error, PROLLY_ERROR, (int)PROLLY_ERROR_STALE);
	g_assert_nonnull(strstr(error->message, "deleted meanwhile"));
	prolly_signature_clear(&self.who);
}

/* What is done to it changes nothing of the one that has its name now. */
static void test_deleted(Fixture *self, gconstpointer data)
{
	static bool (*const tries[])(Deleted *, GError **) = {
		try_commit,   try_merge, try_stage_merge, try_apply,
		try_continue, try_abort, try_resolve};

	init_store(self);
	for (size_t i = 0; i < G_N_ELEMENTS(tries); i++) {
		ProllyRepo *repo = open_spec(self->store);
		g_autofree char *before = NULL, *after = NULL;
		ProllyView *view;

		if (i == 0) {
			prolly_branch_unref(create(repo, "other", -1));
			must_commit(repo, "other", "ns", "k", "theirs");
		}
		use_deleted(repo, tries[i]);
		before = head_hex(repo, "X");
		prolly_repo_free(repo);
		repo = open_spec(self->store);
		after = head_hex(repo, "X");
		g_assert_cmpstr(before, ==, after);
		view = open_live(repo, "X");
		assert_content(view, "doc", 2, LONG_VALUE);
		prolly_view_unref(view);
		assert_delete(repo, "X", true, -1);
		prolly_repo_free(repo);
	}
}

/* ---- What has happened and is not done ---------------------------------------------------- */

static bool fail_apply(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error)
{
	return prolly_throw(error, PROLLY_ERROR_BUSY, "%s is locked", update->name);
}

static bool fail_replay(ProllyRefs *refs, const GPtrArray *updates, GError **error)
{
	return fail_apply(refs, g_ptr_array_index(updates, 0), error);
}

static void try_stage(ProllyRepo *repo, ProllyBranch *branch, int code)
{
	g_autoptr(GBytes) stored = prolly_value_new_inline(PROLLY_KIND_FILE, "v", 1);
	ProllyPlace place = {"ns", (const uint8_t *)"k", 1};
	g_autoptr(GError) error = NULL;

	prolly_edit_put(repo, branch, &place, stored, NULL, 0, NULL, &error);
	if (code < 0)
		g_assert_no_error(error);
	else
		g_assert_error(error, PROLLY_ERROR, code);
}

static bool has_staged(ProllyRepo *repo, ProllyBranch *branch)
{
	g_autoptr(ProllyState) state = prolly_branch_get_state(branch);
	g_autoptr(GError) error = NULL;
	bool empty = true;

	prolly_staged_is_empty(repo, branch, state, &empty, &error);
	g_assert_no_error(error);
	return !empty;
}

/* The references cannot be moved, be it that git has them: the rest is as the records are. */
static void test_not_done(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	ProllyRefs *refs = repo->body->git->refs;
	const ProllyRefsOps *ops = refs->ops;
	ProllyRefsOps failing = *ops;
	g_autoptr(ProllyBranch) deleted = create(repo, "deleted", -1);
	g_autoptr(ProllyBranch) renamed = create(repo, "renamed", -1);
	g_autoptr(GError) first = NULL;
	g_autofree char *name = NULL;

	try_stage(repo, renamed, -1);
	failing.apply = fail_apply;
	failing.replay = fail_replay;
	refs->ops = &failing;
	g_assert_false(data ? prolly_branch_rename(repo, renamed, "renamed", "new", &first)
			    : prolly_branch_delete(repo, deleted, "deleted", true, &first));
	g_assert_error(first, PROLLY_ERROR, PROLLY_ERROR_BUSY);
	try_stage(repo, deleted, data ? -1 : PROLLY_ERROR_STALE);
	try_stage(repo, renamed, -1);
	refs->ops = ops;

	if (data) {
		ProllyBranch *found = lookup(repo, "new");

		name = prolly_branch_dup_name(renamed);
		g_assert_cmpstr(name, ==, "new");
		g_assert_true(found == renamed && has_staged(repo, found));
		prolly_branch_unref(found);
		assert_branches(repo, "deleted main new");
	} else {
		g_assert_null(lookup(repo, "deleted"));
		assert_branches(repo, "main renamed");
	}
	g_clear_pointer(&deleted, prolly_branch_unref);
	g_clear_pointer(&renamed, prolly_branch_unref);
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	renamed = lookup(repo, data ? "new" : "renamed");
	g_assert_true(has_staged(repo, renamed));
	g_clear_pointer(&renamed, prolly_branch_unref);
	prolly_repo_free(repo);
}

/* ---- Many at a time ---------------------------------------------------------------------- */

/* What all workers hold: number of a branch -> its object, and how often. */
typedef struct {
	GMutex lock;
	GHashTable *objects;
	GHashTable *counts;
} Held;

typedef struct {
	ProllyRepo *repo;
	ProllyCommitId start;
	guint32 seed;
	Held *held;
} Worker;

/* (transfer full) The branch, or NULL. */
static ProllyBranch *hold(Worker *self, const char *name)
{
	ProllyBranch *branch = lookup(self->repo, name), *other;
	Held *held = self->held;
	gpointer number;

	if (!branch)
		return NULL;
	number = GUINT_TO_POINTER(prolly_branch_get_id(branch));
	g_mutex_lock(&held->lock);
	other = g_hash_table_lookup(held->objects, number);
	g_assert_true(!other || other == branch);
	g_hash_table_insert(held->objects, number, branch);
	g_hash_table_insert(
		held->counts, number,
		GUINT_TO_POINTER(GPOINTER_TO_UINT(g_hash_table_lookup(held->counts, number)) + 1));
	g_mutex_unlock(&held->lock);
	return branch;
}

static void let_go(Worker *self, ProllyBranch *branch)
{
	Held *held = self->held;
	gpointer number;
	guint count;

	if (!branch)
		return;
	number = GUINT_TO_POINTER(prolly_branch_get_id(branch));
	g_mutex_lock(&held->lock);
	count = GPOINTER_TO_UINT(g_hash_table_lookup(held->counts, number)) - 1;
	g_hash_table_insert(held->counts, number, GUINT_TO_POINTER(count));
	if (count == 0)
		g_hash_table_remove(held->objects, number);
	g_mutex_unlock(&held->lock);
	prolly_branch_unref(branch);
}

/* What another thread's change may answer to ours. */
static void assert_expected(const GError *error)
{
	if (!error || prolly_error_is(error, PROLLY_ERROR_EXISTS) ||
	    prolly_error_is(error, PROLLY_ERROR_NOT_FOUND) ||
	    prolly_error_is(error, PROLLY_ERROR_STALE))
		return;
	g_error("%s", error->message);
}

static void make(Worker *self, const char *name)
{
	g_autoptr(GError) error = NULL;
	ProllyBranch *branch = NULL;

	if (prolly_branch_create(self->repo, name, &self->start, NULL, &branch, &error))
		prolly_branch_unref(branch);
	assert_expected(error);
}

static void step(Worker *self, GRand *rand)
{
	const char *name = names[g_rand_int_range(rand, 0, G_N_ELEMENTS(names))];
	const char *other = names[g_rand_int_range(rand, 0, G_N_ELEMENTS(names))];
	ProllyBranch *branch = hold(self, name);
	g_autoptr(GError) error = NULL;

	if (!branch) {
		make(self, name);
		return;
	}
	switch (g_rand_int_range(rand, 0, 8)) {
	case 0:
		(void)prolly_branch_delete(self->repo, branch, name, true, &error);
		break;
	case 1:
		(void)prolly_branch_rename(self->repo, branch, name, other, &error);
		break;
	}
	assert_expected(error);
	let_go(self, branch);
}

static gpointer work(gpointer data)
{
	Worker *self = data;
	GRand *rand = g_rand_new_with_seed(self->seed);

	for (int i = 0; i < N_STEPS; i++)
		step(self, rand);
	g_rand_free(rand);
	return NULL;
}

/* References and records are of the same branches, and each can be looked up. */
static void assert_whole(ProllyRepo *repo)
{
	g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) listed = NULL;
	g_autoptr(GError) error = NULL;

	prolly_branch_list(repo, &listed, &error);
	g_assert_no_error(error);
	prolly_state_list_names(repo->body, records, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(records->len, ==, listed->len);
	for (guint i = 0; i < listed->len; i++) {
		ProllyBranch *branch = lookup(repo, g_ptr_array_index(listed, i));

		g_assert_nonnull(branch);
		prolly_branch_unref(branch);
	}
}

static void test_threads(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	Held held = {.objects = g_hash_table_new(NULL, NULL),
		     .counts = g_hash_table_new(NULL, NULL)};
	GThread *threads[N_THREADS];
	Worker workers[N_THREADS];

	g_mutex_init(&held.lock);
	for (guint i = 0; i < N_THREADS; i++) {
		workers[i] = (Worker){repo, .seed = g_test_rand_int(), .held = &held};
		get_head(repo, "main", &workers[i].start);
		threads[i] = g_thread_new("worker", work, &workers[i]);
	}
	for (guint i = 0; i < N_THREADS; i++)
		g_thread_join(threads[i]);
	g_hash_table_unref(held.objects);
	g_hash_table_unref(held.counts);
	g_mutex_clear(&held.lock);
	assert_whole(repo);
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	assert_whole(repo);
	prolly_repo_free(repo);
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	WITH_STORE("branches/held", test_held);
	WITH_STORE("branches/made-again", test_made_again);
	WITH_STORE("branches/deleted", test_deleted);
	g_test_add("/version/branches/not-deleted", Fixture, NULL, set_up, test_not_done,
		   tear_down);
	g_test_add("/version/branches/not-renamed", Fixture, "", set_up, test_not_done, tear_down);
	WITH_STORE("branches/threads", test_threads);
	return g_test_run();
}
