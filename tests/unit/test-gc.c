/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage collection: what stays, what goes, and what happens to those who are at work meanwhile.
 */
#include "gc-fixture.h"

#include <sys/wait.h>

static ProllyRepo *open_kind(Fixture *self, const char *kind)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *spec = NULL;

	if (g_strcmp0(kind, ":memory:") == 0)
		return open_spec(kind);
	spec = g_strconcat(kind ? kind : "", self->store, NULL);
	prolly_repo_init(spec, NULL, &error);
	g_assert_no_error(error);
	return open_spec(self->store);
}

/* ---- What goes --------------------------------------------------------------------------- */

static void test_overwritten(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyView) view = open_live(repo, "main");
	ProllyGcFigures figures, again;

	for (unsigned i = 0; i < 20; i++)
		stage(repo, branch, "k", i, i % 2 ? LONG_VALUE : HUGE_VALUE);
	stage(repo, branch, "other", 5, LONG_VALUE);
	collect(repo, PROLLY_GC_DEFAULT, &figures);
	g_assert_cmpuint(figures.reclaimed_nodes, >, 60);
	g_assert_cmpuint(figures.reclaimed_bytes, >, 10 * HUGE_VALUE);
	assert_content(view, "k", 19, LONG_VALUE);
	assert_content(view, "other", 5, LONG_VALUE);
	collect(repo, PROLLY_GC_DEFAULT, &again);
	g_assert_cmpuint(again.reclaimed_nodes, ==, 0);
	g_assert_cmpuint(again.nodes, ==, figures.nodes);
	if (g_strcmp0(kind, ":memory:") != 0)
		assert_nodes(repo, true);
}

static void test_dry_run(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	ProllyGcOptions options = {.dry_run = true, .prune_before = PROLLY_GC_NOW};
	g_autoptr(GError) error = NULL;
	g_autoptr(GHashTable) before = NULL;
	g_autoptr(GHashTable) after = NULL;
	ProllyGcFigures dry, real;

	for (unsigned i = 0; i < 4; i++)
		stage(repo, branch, "k", i, LONG_VALUE);
	before = list_nodes(repo);
	g_assert_true(prolly_gc_run(repo, &options, &dry, &error));
	after = list_nodes(repo);
	assert_within(before, after, "went in a dry run");
	collect(repo, PROLLY_GC_NOW, &real);
	g_assert_cmpuint(dry.reclaimed_nodes, ==, 3);
	g_assert_cmpuint(dry.reclaimed_nodes, ==, real.reclaimed_nodes);
	g_assert_cmpuint(dry.reclaimed_bytes, ==, real.reclaimed_bytes);
	g_assert_cmpuint(dry.nodes, ==, real.nodes);
}

/* A branch that was deleted stays for the time of grace. */
static void test_grace(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyBranch) branch = create(repo, "b", -1);
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;
	ProllyCommitId id;

	stage(repo, branch, "k", 1, LONG_VALUE);
	commit(repo, branch, &id);
	g_clear_pointer(&branch, prolly_branch_unref);
	assert_delete(repo, "b", true, -1);
	for (int i = 0; i < 2; i++) {
		collect(repo, PROLLY_GC_DEFAULT, &figures);
		g_assert_true(prolly_view_new_commit(repo, &id, &view, &error));
		assert_content(view, "k", 1, LONG_VALUE);
		g_clear_pointer(&view, prolly_view_unref);
	}
	/* Of two packs, one of young objects, the young one grows old. */
	if (g_strcmp0(kind, ":memory:") != 0)
		run("find '%s/git/objects' -type f -exec touch -d '3 weeks ago' {} +", self->store);
	collect(repo, g_strcmp0(kind, ":memory:") ? PROLLY_GC_DEFAULT : PROLLY_GC_NOW, &figures);
	g_assert_cmpuint(figures.reclaimed_nodes, >, 0);
	g_assert_false(prolly_view_new_commit(repo, &id, &view, &error));
	if (g_strcmp0(kind, ":memory:") != 0) {
		run("git --git-dir='%s/git' fsck --strict", self->store);
		assert_nodes(repo, true);
	}
}

/* Objects that nothing reaches leave a pack that also has others, with their age. */
static void test_young_in_pack(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_store(self);
	g_autoptr(ProllyBranch) branch = create(repo, "b", -1);
	g_autofree char *packs = NULL;
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;
	ProllyCommitId id;
	ProllyView *view;

	stage(repo, branch, "k", 1, LONG_VALUE);
	commit(repo, branch, &id);
	collect(repo, PROLLY_GC_DEFAULT, &figures);
	run("touch -d '1 week ago' '%s/git/objects/pack/'*", self->store);
	g_clear_pointer(&branch, prolly_branch_unref);
	assert_delete(repo, "b", true, -1);
	for (int i = 0; i < 3; i++) {
		must_commit(repo, "main", "ns", "a", "b");
		collect(repo, PROLLY_GC_DEFAULT, &figures);
		packs = capture("find '%s/git/objects/pack' -name '*.pack' | wc -l", self->store);
		g_assert_cmpstr(packs, ==, "2");
		g_clear_pointer(&packs, g_free);
	}
	/* The one of the young has its week behind it still. */
	packs = capture("find '%s/git/objects/pack' -name '*.pack' -mtime +5 | wc -l", self->store);
	g_assert_cmpstr(packs, ==, "1");
	run("find '%s/git/objects/pack' -mtime +5 -exec touch -d '15 days ago' {} +", self->store);
	collect(repo, PROLLY_GC_DEFAULT, &figures);
	g_assert_false(prolly_view_new_commit(repo, &id, &view, &error));
	run("git --git-dir='%s/git' fsck --strict", self->store);
}

/* ---- What stays -------------------------------------------------------------------------- */

static void test_references(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyBranch) branch = create(repo, "b", -1);
	g_autoptr(ProllyBranch) main_branch = lookup(repo, "main");
	ProllyCommitId ids[3];
	ProllyGcFigures figures;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < 3; i++) {
		stage(repo, branch, "k", i, LONG_VALUE);
		commit(repo, branch, &ids[i]);
	}
	/* One by a light tag, one by an annotated one, one by the reflog of a branch that moved. */
	run("cd '%s/git' && git tag light %s", self->store, prolly_commit_id_to_hex(&ids[0], hex));
	run("cd '%s/git' && git tag -a -m annotated annotated %s", self->store,
	    prolly_commit_id_to_hex(&ids[1], hex));
	run("cd '%s/git' && git update-ref -m x refs/heads/main %s", self->store,
	    prolly_commit_id_to_hex(&ids[2], hex));
	run("cd '%s/git' && git update-ref -m x refs/heads/main %s^^^", self->store,
	    prolly_commit_id_to_hex(&ids[2], hex));
	g_clear_pointer(&branch, prolly_branch_unref);
	assert_delete(repo, "b", true, -1);
	collect(repo, PROLLY_GC_NOW, &figures);
	for (unsigned i = 0; i < 3; i++) {
		g_autoptr(ProllyView) view = NULL;

		prolly_view_new_commit(repo, &ids[i], &view, &error);
		g_assert_no_error(error);
		assert_content(view, "k", i, LONG_VALUE);
	}
	assert_nodes(repo, true);
	run("cd '%s/git' && git tag -d light annotated && git reflog expire --expire=now --all",
	    self->store);
	collect(repo, PROLLY_GC_NOW, &figures);
	g_assert_cmpuint(figures.reclaimed_nodes, >=, 6);
	assert_nodes(repo, true);
}

static void test_views(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyBranch) branch = create(repo, "b", -1);
	ProllyView *pinned, *of_commit;
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;
	ProllyCommitId id;

	stage(repo, branch, "k", 1, HUGE_VALUE);
	commit(repo, branch, &id);
	stage(repo, branch, "s", 2, HUGE_VALUE);
	g_assert_true(prolly_view_new_pinned(repo, branch, &pinned, &error));
	g_assert_true(prolly_view_new_commit(repo, &id, &of_commit, &error));
	g_clear_pointer(&branch, prolly_branch_unref);
	assert_delete(repo, "b", true, -1);
	collect(repo, PROLLY_GC_NOW, &figures);
	assert_content(pinned, "k", 1, HUGE_VALUE);
	assert_content(pinned, "s", 2, HUGE_VALUE);
	assert_content(of_commit, "k", 1, HUGE_VALUE);
	prolly_view_unref(pinned);
	collect(repo, PROLLY_GC_NOW, &figures);
	g_assert_cmpuint(figures.reclaimed_bytes, >, HUGE_VALUE);
	g_assert_cmpuint(figures.reclaimed_bytes, <, 2 * HUGE_VALUE);
	assert_content(of_commit, "k", 1, HUGE_VALUE);
	prolly_view_unref(of_commit);
	collect(repo, PROLLY_GC_NOW, &figures);
	g_assert_cmpuint(figures.reclaimed_bytes, >, HUGE_VALUE);
}

/* A file goes on with what it has when its key is gone, and may be staged again by another. */
static void test_files(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(GBytes) content = make_content(1, HUGE_VALUE);
	g_autofree uint8_t *buffer = g_malloc(HUGE_VALUE);
	ProllyPlace place = make_place("ns", "k");
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;
	ProllyFile *file;
	size_t len;

	stage(repo, branch, "k", 1, HUGE_VALUE);
	g_assert_true(prolly_file_open(repo, branch, &place, &file, &error));
	unstage(repo, branch, "k");
	collect(repo, PROLLY_GC_NOW, &figures);
	g_assert_true(prolly_file_read(file, 0, buffer, HUGE_VALUE, &len, &error));
	g_assert_cmpmem(buffer, len, g_bytes_get_data(content, NULL), HUGE_VALUE);
	prolly_file_unref(file);
	collect(repo, PROLLY_GC_NOW, &figures);
	g_assert_cmpuint(figures.reclaimed_bytes, >, HUGE_VALUE);
}

/* What a load has, in its buffer or as records, though nothing names its generation. */
static void test_load(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyView) view = open_live(repo, "main");
	g_autoptr(GBytes) content = make_content(1, HUGE_VALUE);
	g_autofree char *filler = g_strnfill(1000, 'x');
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;
	ProllyLoad *load;

	g_assert_true(prolly_load_new(repo, branch, "ns", &load, &error));
	prolly_load_add(load, "early", 5, g_bytes_get_data(content, NULL), HUGE_VALUE, &error);
	for (unsigned i = 0; i < 30000; i++) /* fills the buffer, so that it is written */
		prolly_load_add(load, &i, sizeof(i), filler, 1000, &error);
	g_bytes_unref(content);
	content = make_content(2, HUGE_VALUE);
	prolly_load_add(load, "late", 4, g_bytes_get_data(content, NULL), HUGE_VALUE, &error);
	g_assert_no_error(error);
	collect(repo, PROLLY_GC_NOW, &figures);
	g_assert_cmpuint(figures.bytes, >, 2 * HUGE_VALUE);
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
	prolly_load_free(load);
	assert_content(view, "early", 1, HUGE_VALUE);
	assert_content(view, "late", 2, HUGE_VALUE);
}

/* ---- Damage ------------------------------------------------------------------------------ */

static void test_missing(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyState) state = NULL;
	g_autoptr(GHashTable) before = NULL;
	g_autoptr(GHashTable) after = NULL;
	const ProllyTree *tree;
	ProllyGcOptions options = {.prune_before = PROLLY_GC_NOW};
	ProllyGcFigures figures;

	stage(repo, branch, "k", 1, LONG_VALUE);
	stage(repo, branch, "k", 2, LONG_VALUE);
	commit(repo, branch, NULL);
	state = prolly_branch_get_state(branch);
	tree = prolly_state_find_namespace(state, "ns");
	prolly_store_delete_many(repo->context.store, PROLLY_NODE_TREE, &tree->top, 1, &error);
	g_assert_no_error(error);
	before = list_nodes(repo);
	g_assert_false(prolly_gc_run(repo, &options, &figures, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
	after = list_nodes(repo);
	assert_within(before, after, "went though something is missing");
}

/* ---- At work meanwhile ------------------------------------------------------------------- */

#define N_KEYS 12

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
	GRand *random;
	unsigned values[N_KEYS]; /* 0: no key */
	unsigned n_calls;
	unsigned act_at;
	gint stop;
} Worker;

/* Values come again and again, so that most were collected or are about to be. */
static void change_something(Worker *worker)
{
	unsigned i = (unsigned)g_rand_int_range(worker->random, 0, N_KEYS);
	char key[8];

	g_snprintf(key, sizeof(key), "k%u", i);
	switch (g_rand_int_range(worker->random, 0, 6)) {
	case 0:
		unstage(worker->repo, worker->branch, key);
		worker->values[i] = 0;
		break;
	case 1:
		commit(worker->repo, worker->branch, NULL);
		break;
	default:
		worker->values[i] = (unsigned)g_rand_int_range(worker->random, 1, 9);
		stage(worker->repo, worker->branch, key, worker->values[i],
		      worker->values[i] % 3 ? LONG_VALUE : HUGE_VALUE);
	}
}

static void check_values(Worker *worker)
{
	g_autoptr(ProllyView) view = prolly_view_new_live(worker->repo, worker->branch);

	for (unsigned i = 0; i < N_KEYS; i++) {
		char key[8];

		g_snprintf(key, sizeof(key), "k%u", i);
		if (worker->values[i])
			assert_content(view, key, worker->values[i],
				       worker->values[i] % 3 ? LONG_VALUE : HUGE_VALUE);
	}
}

static bool act_between(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data,
			GError **error)
{
	Worker *worker = data;

	if (worker->n_calls++ == worker->act_at) {
		for (int i = 0; i < 30; i++)
			change_something(worker);
	}
	return true;
}

/* A reset of the branch to its first commit, without reflog: everything it had is garbage. */
static void forget_history(Worker *worker)
{
	const char *git = prolly_repo_get_path(worker->repo);

	run("cd '%s/git' && git update-ref refs/heads/work $(git rev-list --max-parents=0 main) && "
	    "git reflog expire --expire=now --all",
	    git);
	prolly_branch_unref(worker->branch);
	worker->branch = lookup(worker->repo, "work");
	for (unsigned i = 0; i < N_KEYS; i++) {
		char key[8];

		g_snprintf(key, sizeof(key), "k%u", i);
		unstage(worker->repo, worker->branch, key);
		worker->values[i] = 0;
	}
}

static void test_between(Fixture *self, gconstpointer kind)
{
	Worker worker = {.repo = open_kind(self, kind)};
	ProllyGcOptions options = {
		.prune_before = PROLLY_GC_NOW, .progress = act_between, .data = &worker};
	ProllyGcFigures figures;

	worker.random = g_rand_new_with_seed(7);
	worker.branch = create(worker.repo, "work", -1);
	for (worker.act_at = 0;; worker.act_at++) {
		g_autoptr(GError) error = NULL;

		for (int i = 0; i < 30; i++)
			change_something(&worker);
		forget_history(&worker);
		worker.n_calls = 0;
		prolly_gc_run(worker.repo, &options, &figures, &error);
		g_assert_no_error(error);
		check_values(&worker);
		commit(worker.repo, worker.branch, NULL);
		check_values(&worker);
		assert_nodes(worker.repo, false);
		collect(worker.repo, PROLLY_GC_NOW, &figures);
		assert_nodes(worker.repo, true);
		check_values(&worker);
		if (worker.n_calls <= worker.act_at)
			break;
	}
	g_assert_cmpuint(worker.act_at, >, 8);
	g_rand_free(worker.random);
	prolly_branch_unref(worker.branch);
	prolly_repo_free(worker.repo);
}

/* A change that has put a blob, and not yet said where it belongs, when a collection begins. */
typedef struct {
	ProllyRepo *repo;
	GMutex lock;
	GCond cond;
	bool has_put;
	bool is_awaited;
} Slow;

static void wait_until(Slow *slow, const bool *what)
{
	g_mutex_lock(&slow->lock);
	while (!*what)
		g_cond_wait(&slow->cond, &slow->lock);
	g_mutex_unlock(&slow->lock);
}

static void note(Slow *slow, bool *what)
{
	g_mutex_lock(&slow->lock);
	*what = true;
	g_cond_broadcast(&slow->cond);
	g_mutex_unlock(&slow->lock);
}

static gpointer change_slowly(gpointer data)
{
	Slow *slow = data;
	g_auto(ProllyGuard) guard = prolly_guard_enter(slow->repo);
	g_autoptr(ProllyBranch) branch = lookup(slow->repo, "main");
	g_autoptr(GBytes) content = make_content(1, HUGE_VALUE);
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GError) error = NULL;
	ProllyPlace place = make_place("ns", "k");

	prolly_value_store(&slow->repo->context, PROLLY_KIND_FILE, g_bytes_get_data(content, NULL),
			   HUGE_VALUE, &stored, &error);
	g_assert_no_error(error);
	note(slow, &slow->has_put);
	wait_until(slow, &slow->is_awaited);
	prolly_edit_put(slow->repo, branch, &place, stored, NULL, 0, NULL, &error);
	g_assert_no_error(error);
	return NULL;
}

/* Returns when SELF, a change, is under way. */
static GThread *start_slow(Slow *self)
{
	GThread *thread;

	g_mutex_init(&self->lock);
	g_cond_init(&self->cond);
	thread = g_thread_new("slow", change_slowly, self);
	wait_until(self, &self->has_put);
	return thread;
}

static bool await_slow(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data,
		       GError **error)
{
	Slow *slow = data;

	if ((phase == PROLLY_GC_WAITING && total > 0) || phase == PROLLY_GC_RECLAIMING)
		note(slow, &slow->is_awaited);
	return true;
}

static void test_under_way(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyView) view = open_live(repo, "main");
	Slow slow = {.repo = repo};
	ProllyGcOptions options = {
		.prune_before = PROLLY_GC_NOW, .progress = await_slow, .data = &slow};
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;
	GThread *thread;

	thread = start_slow(&slow);
	prolly_gc_run(repo, &options, &figures, &error);
	g_assert_no_error(error);
	g_thread_join(thread);
	assert_content(view, "k", 1, HUGE_VALUE);
	g_mutex_clear(&slow.lock);
	g_cond_clear(&slow.cond);
}

typedef struct {
	Slow *slow;
	bool has_waited;
	bool went_on; /* without waiting */
} Second;

static bool cancel_waiting(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data,
			   GError **error)
{
	return phase != PROLLY_GC_WAITING || total == 0 ||
	       prolly_throw(error, PROLLY_ERROR_CANCELLED, "enough");
}

static bool await_again(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data,
			GError **error)
{
	Second *second = data;

	second->has_waited |= phase == PROLLY_GC_WAITING && total > 0;
	second->went_on |= phase > PROLLY_GC_MARKING && !second->has_waited;
	if (second->has_waited || second->went_on)
		note(second->slow, &second->slow->is_awaited);
	return true;
}

/* A collection that was ended while it waited does not keep the next one from waiting. */
static void test_wait_cancelled(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	g_autoptr(ProllyView) view = open_live(repo, "main");
	Slow slow = {.repo = repo};
	Second second = {.slow = &slow};
	ProllyGcOptions options = {.prune_before = PROLLY_GC_NOW, .progress = cancel_waiting};
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;
	GThread *thread;

	thread = start_slow(&slow);
	g_assert_false(prolly_gc_run(repo, &options, &figures, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CANCELLED);
	g_clear_error(&error);

	options.progress = await_again;
	options.data = &second;
	prolly_gc_run(repo, &options, &figures, &error);
	g_assert_no_error(error);
	g_assert_true(second.has_waited && !second.went_on);
	g_thread_join(thread);
	assert_content(view, "k", 1, HUGE_VALUE);
	g_mutex_clear(&slow.lock);
	g_cond_clear(&slow.cond);
}

static gpointer work(gpointer data)
{
	Worker *worker = data;

	for (int i = 0; i < 300 && !g_atomic_int_get(&worker->stop); i++) {
		change_something(worker);
		if (i % 50 == 0)
			check_values(worker);
	}
	g_atomic_int_set(&worker->stop, 1);
	return NULL;
}

static void test_threads(Fixture *self, gconstpointer kind)
{
	g_autoptr(ProllyRepo) repo = open_kind(self, kind);
	Worker workers[2] = {{.repo = repo}, {.repo = repo}};
	GThread *threads[2];
	ProllyGcFigures figures;
	unsigned n = 0;

	for (int i = 0; i < 2; i++) {
		workers[i].random = g_rand_new_with_seed((guint32)i);
		workers[i].branch = create(repo, i ? "one" : "two", -1);
		threads[i] = g_thread_new("worker", work, &workers[i]);
	}
	while (!g_atomic_int_get(&workers[0].stop) || !g_atomic_int_get(&workers[1].stop)) {
		collect(repo, PROLLY_GC_NOW, &figures);
		n++;
	}
	g_test_message("%u collections", n);
	for (int i = 0; i < 2; i++) {
		g_thread_join(threads[i]);
		check_values(&workers[i]);
		prolly_branch_unref(workers[i].branch);
		g_rand_free(workers[i].random);
	}
	collect(repo, PROLLY_GC_NOW, &figures);
	if (g_strcmp0(kind, ":memory:") != 0)
		assert_nodes(repo, true);
}

/* ---- Killed ------------------------------------------------------------------------------ */

static bool die_at(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data, GError **error)
{
	unsigned *left = data;

	if ((*left)-- == 0)
		_exit(9);
	return true;
}

/* In a process of its own, which main() gives to this: a store's threads do not survive a fork. */
static int collect_for(const char *store, const char *at)
{
	unsigned left = (unsigned)g_ascii_strtoull(at, NULL, 10);
	ProllyRepo *repo = open_spec(store);
	ProllyGcOptions options = {
		.prune_before = PROLLY_GC_NOW, .progress = die_at, .data = &left};
	ProllyGcFigures figures;
	bool ok = prolly_gc_run(repo, &options, &figures, NULL);

	prolly_repo_free(repo);
	return ok ? 0 : 1;
}

static bool collect_and_die(Fixture *self, unsigned at)
{
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *number = g_strdup_printf("%u", at);
	char *argv[] = {program, (char *)"--collect", self->store, number, NULL};
	g_autoptr(GError) error = NULL;
	int status;

	g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &error);
	g_assert_no_error(error);
	g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 1);
	return WEXITSTATUS(status) == 9;
}

static void fill_for_killing(Fixture *self)
{
	ProllyRepo *repo = open_spec(self->store);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyBranch) doomed = lookup(repo, "doomed");

	if (!doomed)
		doomed = create(repo, "doomed", -1);
	for (unsigned i = 0; i < 2; i++) {
		stage(repo, branch, "k", i, LONG_VALUE);
		commit(repo, branch, NULL);
		stage(repo, doomed, "k", i + 100, HUGE_VALUE);
		commit(repo, doomed, NULL);
	}
	stage(repo, branch, "s", 7, HUGE_VALUE);
	g_clear_pointer(&doomed, prolly_branch_unref);
	assert_delete(repo, "doomed", true, -1);
	g_clear_pointer(&branch, prolly_branch_unref);
	prolly_repo_free(repo);
}

static void test_killed(Fixture *self, gconstpointer kind)
{
	g_autofree char *spec = g_strconcat(kind ? kind : "", self->store, NULL);
	unsigned at = 0;
	bool died = true;

	g_assert_true(prolly_repo_init(spec, NULL, NULL));
	for (; died; at++) {
		ProllyRepo *repo;

		fill_for_killing(self);
		died = collect_and_die(self, at);
		repo = open_spec(self->store);
		assert_nodes(repo, !died);
		run("git --git-dir='%s/git' fsck --strict --no-dangling", self->store);
		g_autoptr(ProllyView) view = open_live(repo, "main");

		assert_content(view, "k", 1, LONG_VALUE);
		assert_content(view, "s", 7, HUGE_VALUE);
		g_clear_pointer(&view, prolly_view_unref);
		prolly_repo_free(repo);
	}
	g_assert_cmpuint(at, >, 8);
}

int main(int argc, char **argv)
{
	set_identity();
	if (argc == 4 && strcmp(argv[1], "--collect") == 0)
		return collect_for(argv[2], argv[3]);
	g_test_init(&argc, &argv, NULL);
	WITH_BOTH("gc/overwritten", test_overwritten);
	g_test_add("/version/gc/overwritten/file", Fixture, "file://", set_up, test_overwritten,
		   tear_down);
	WITH_BOTH("gc/dry-run", test_dry_run);
	WITH_BOTH("gc/grace", test_grace);
	WITH_STORE("gc/young-in-pack", test_young_in_pack);
	WITH_STORE("gc/references", test_references);
	WITH_BOTH("gc/views", test_views);
	WITH_BOTH("gc/files", test_files);
	WITH_BOTH("gc/load", test_load);
	WITH_BOTH("gc/missing", test_missing);
	WITH_STORE("gc/between", test_between);
	WITH_BOTH("gc/under-way", test_under_way);
	WITH_BOTH("gc/wait-cancelled", test_wait_cancelled);
	WITH_BOTH("gc/threads", test_threads);
	g_test_add("/version/gc/threads/file", Fixture, "file://", set_up, test_threads, tear_down);
	WITH_STORE("gc/killed", test_killed);
	g_test_add("/version/gc/killed/file", Fixture, "file://", set_up, test_killed, tear_down);
	return g_test_run();
}
