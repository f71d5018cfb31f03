/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automatic collection: when it is due, driven by git's configuration and never by the clock; that it
 * is in nobody's way; and the thread that does it.
 */
#include "gc-fixture.h"

#define DEADLINE (60 * G_USEC_PER_SEC)

static void configure(Fixture *self, const char *name, const char *value)
{
	run("git --git-dir='%s/git' config %s '%s'", self->store, name, value);
}

/* A store in which little is enough. */
static ProllyRepo *open_eager(Fixture *self)
{
	init_store(self);
	configure(self, "prollyfs.gcSize", "100k");
	return open_spec(self->store);
}

static void get_balance(ProllyRepo *repo, ProllyGcBalance *out_balance)
{
	g_autoptr(GError) error = NULL;

	prolly_gc_get_balance(repo, 1, out_balance, &error);
	g_assert_no_error(error);
}

static bool is_due(ProllyRepo *repo)
{
	ProllyGcBalance balance;

	get_balance(repo, &balance);
	return balance.is_due;
}

static void write_value(ProllyRepo *repo, unsigned n, size_t len)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(GError) error = NULL;

	stage(repo, branch, "k", n, len);
	g_assert_true(prolly_store_flush(repo->context.store, NULL, &error));
}

/* ---- When it is due ---------------------------------------------------------------------- */

static void test_size(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = open_eager(self);
	ProllyGcFigures figures;
	ProllyGcBalance balance;

	write_value(repo, 1, 60000);
	g_assert_false(is_due(repo));
	write_value(repo, 2, 60000);
	g_assert_true(is_due(repo));

	/* What was counted is kept when the store is closed, and when it is only read. */
	prolly_repo_free(repo);
	prolly_repo_free(open_spec(self->store));
	repo = open_spec(self->store);
	get_balance(repo, &balance);
	g_assert_true(balance.is_due);
	g_assert_cmpuint(balance.written, >=, 120000);
	g_assert_cmpuint(balance.collections, ==, 0);
	g_assert_cmpint(balance.last, ==, 0);

	collect(repo, PROLLY_GC_DEFAULT, &figures);
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	get_balance(repo, &balance);
	g_assert_false(balance.is_due);
	g_assert_cmpuint(balance.written, <, 1000);
	g_assert_cmpuint(balance.collections, ==, 1);
	g_assert_cmpint(balance.last, >, 0);
	prolly_repo_free(repo);
}

/* As much as there is has to be written again. */
static void test_percent(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = open_eager(self);
	ProllyGcFigures figures;
	ProllyGcBalance balance;

	write_value(repo, 1, HUGE_VALUE);
	collect(repo, PROLLY_GC_DEFAULT, &figures);
	get_balance(repo, &balance);
	g_assert_cmpuint(balance.limit, ==, figures.bytes);
	write_value(repo, 2, HUGE_VALUE / 2);
	g_assert_false(is_due(repo));
	configure(self, "prollyfs.gcPercent", "40");
	g_assert_true(is_due(repo));
	configure(self, "prollyfs.gcPercent", "60");
	g_assert_false(is_due(repo));
	/* Who waits for it waits for more. */
	configure(self, "prollyfs.gcPercent", "40");
	g_assert_true(prolly_gc_get_balance(repo, 4, &balance, NULL));
	g_assert_false(balance.is_due);
}

static void test_off(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = open_eager(self);
	ProllyGcBalance balance;

	write_value(repo, 1, HUGE_VALUE);
	g_assert_true(is_due(repo));
	configure(self, "gc.auto", "0");
	get_balance(repo, &balance);
	g_assert_false(balance.is_enabled);
	g_assert_false(balance.is_due);
}

static void test_packs(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = open_eager(self);
	ProllyGcFigures figures;
	g_autoptr(GError) error = NULL;

	configure(self, "gc.autoPackLimit", "3");
	for (unsigned i = 0; i < 3; i++) {
		g_autofree char *value = g_strdup_printf("%u", i);

		g_assert_false(is_due(repo));
		must_commit(repo, "main", "ns", "k", value);
		g_assert_true(prolly_git_pack_loose(repo->body, &error));
	}
	g_assert_true(is_due(repo));
	configure(self, "gc.autoPackLimit", "0");
	g_assert_false(is_due(repo));
	configure(self, "gc.autoPackLimit", "3");
	collect(repo, PROLLY_GC_DEFAULT, &figures);
	g_assert_false(is_due(repo));
}

/* What a deleted branch had goes when the time of grace is over, though nothing is written. */
static void test_abandoned(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = open_eager(self);
	ProllyGcFigures figures;

	prolly_branch_unref(create(repo, "b", -1));
	must_commit(repo, "b", "ns", "k", "value");
	g_assert_false(is_due(repo));
	assert_delete(repo, "b", true, -1);
	g_assert_false(is_due(repo));
	configure(self, "gc.pruneExpire", "now");
	g_assert_true(is_due(repo));
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	g_assert_true(is_due(repo));
	configure(self, "gc.pruneExpire", "never");
	g_assert_false(is_due(repo));
	configure(self, "gc.pruneExpire", "now");
	collect(repo, PROLLY_GC_DEFAULT, &figures);
	g_assert_cmpuint(figures.reclaimed_nodes, >, 0);
	g_assert_false(is_due(repo));
	/* Once a day is often enough. */
	prolly_branch_unref(create(repo, "b", -1));
	assert_delete(repo, "b", true, -1);
	g_assert_false(is_due(repo));
	prolly_repo_free(repo);
}

static void test_bad_configuration(Fixture *self, gconstpointer data)
{
	static const char *const names[] = {"gc.auto", "prollyfs.gcSize", "prollyfs.gcPercent",
					    "gc.autoPackLimit", "gc.pruneExpire"};
	g_autoptr(ProllyRepo) repo = open_eager(self);

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(GError) error = NULL;
		ProllyGcBalance balance;

		configure(self, names[i], "whenever");
		g_assert_false(prolly_gc_get_balance(repo, 1, &balance, &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
		g_assert_nonnull(strstr(error->message, names[i]));
		run("git --git-dir='%s/git' config --unset %s", self->store, names[i]);
	}
}

/* ---- In nobody's way --------------------------------------------------------------------- */

/* Ends only if another one is asked for. */
static bool wait_for_demand(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data,
			    GError **error)
{
	ProllyRepo *repo = data;
	gint64 end = g_get_monotonic_time() + DEADLINE;

	while (!g_atomic_int_get(&repo->body->usage.is_unwanted))
		g_assert_cmpint(g_get_monotonic_time(), <, end);
	return true;
}

static gpointer collect_automatically(gpointer repo)
{
	ProllyGcOptions options = {.prune_before = PROLLY_GC_DEFAULT,
				   .is_automatic = true,
				   .progress = wait_for_demand,
				   .data = repo};
	ProllyGcFigures figures;
	GError *error = NULL;

	g_assert_false(prolly_gc_run(repo, &options, &figures, &error));
	return error;
}

static void test_gives_way(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = open_eager(self);
	g_autoptr(GThread) thread = NULL;
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;
	bool is_running = false;

	write_value(repo, 1, HUGE_VALUE);
	write_value(repo, 2, 10);
	thread = g_thread_new("automatic", collect_automatically, repo);
	while (!is_running) {
		g_mutex_lock(&repo->body->usage.lock);
		is_running = repo->body->usage.is_collecting;
		g_mutex_unlock(&repo->body->usage.lock);
	}
	collect(repo, PROLLY_GC_DEFAULT, &figures);
	g_assert_cmpuint(figures.reclaimed_bytes, >, HUGE_VALUE / 2);
	error = g_thread_join(g_steal_pointer(&thread));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CANCELLED);
}

/* One that cannot succeed is not tried again at once. */
static void test_failure(Fixture *self, gconstpointer data)
{
	ProllyGcOptions options = {.prune_before = PROLLY_GC_DEFAULT, .is_automatic = true};
	ProllyRepo *repo;
	ProllyGcFigures figures;
	ProllyGcBalance balance;
	g_autofree char *spec = g_strconcat("file://", self->store, NULL);

	g_assert_true(prolly_repo_init(spec, NULL, NULL));
	configure(self, "prollyfs.gcSize", "1k");
	repo = open_spec(self->store);
	must_commit(repo, "main", "ns", "k", "value");
	write_value(repo, 7, LONG_VALUE);
	run("rm -f '%s'/nodes/tree/*/*", self->store);
	for (int i = 0; i < 2; i++) {
		g_autoptr(GError) error = NULL;

		g_assert_true(is_due(repo));
		g_assert_false(prolly_gc_run(repo, &options, &figures, &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
		get_balance(repo, &balance);
		g_assert_false(balance.is_due);
		g_assert_cmpuint(balance.collections, ==, 0);
		prolly_repo_free(repo);
		repo = open_spec(self->store);
		g_assert_false(is_due(repo));
		write_value(repo, (unsigned)i, LONG_VALUE);
	}
	prolly_repo_free(repo);
}

/* ---- The thread -------------------------------------------------------------------------- */

typedef struct {
	GMutex lock;
	GCond changed;
	unsigned n_done, n_failed;
	uint64_t reclaimed;
} Reports;

static void note_report(const ProllyGcFigures *figures, const GError *failure, void *data)
{
	Reports *reports = data;

	g_assert_true((figures != NULL) != (failure != NULL));
	g_mutex_lock(&reports->lock);
	reports->n_done += figures != NULL;
	reports->n_failed += failure != NULL;
	if (figures)
		reports->reclaimed += figures->reclaimed_bytes;
	g_cond_signal(&reports->changed);
	g_mutex_unlock(&reports->lock);
}

static void wait_for_reports(Reports *reports, const unsigned *counter, unsigned n)
{
	gint64 end = g_get_monotonic_time() + DEADLINE;

	g_mutex_lock(&reports->lock);
	while (*counter < n)
		g_assert_true(g_cond_wait_until(&reports->changed, &reports->lock, end));
	g_mutex_unlock(&reports->lock);
}

/* What is due when it begins, and what becomes so. */
static void test_collector(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = open_eager(self);
	Reports reports = {0};
	ProllyGcCollector *collector;

	configure(self, "prollyfs.gcPercent", "0");
	write_value(repo, 1, HUGE_VALUE);
	write_value(repo, 2, HUGE_VALUE);
	collector = prolly_gc_collector_start(repo, note_report, &reports);
	wait_for_reports(&reports, &reports.n_done, 1);
	g_assert_cmpuint(reports.reclaimed, >=, HUGE_VALUE);
	write_value(repo, 3, HUGE_VALUE);
	wait_for_reports(&reports, &reports.n_done, 2);
	g_assert_cmpuint(reports.reclaimed, >=, 2 * HUGE_VALUE);
	prolly_gc_collector_stop(collector);
	g_assert_cmpuint(reports.n_failed, ==, 0);
	write_value(repo, 4, HUGE_VALUE);
	g_assert_true(is_due(repo));
}

/* A configuration that makes no sense is told once; one that is mended is followed. */
static void test_collector_configuration(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = open_eager(self);
	Reports reports = {0};
	ProllyGcCollector *collector;

	write_value(repo, 1, HUGE_VALUE);
	configure(self, "prollyfs.gcSize", "whatever");
	collector = prolly_gc_collector_start(repo, note_report, &reports);
	wait_for_reports(&reports, &reports.n_failed, 1);
	prolly_gc_account_touch(repo->body);
	configure(self, "prollyfs.gcSize", "1k");
	prolly_gc_account_touch(repo->body);
	wait_for_reports(&reports, &reports.n_done, 1);
	prolly_gc_collector_stop(collector);
	g_assert_cmpuint(reports.n_failed, ==, 1);
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);
	WITH_STORE("gc-auto/size", test_size);
	WITH_STORE("gc-auto/percent", test_percent);
	WITH_STORE("gc-auto/off", test_off);
	WITH_STORE("gc-auto/packs", test_packs);
	WITH_STORE("gc-auto/abandoned", test_abandoned);
	WITH_STORE("gc-auto/bad-configuration", test_bad_configuration);
	WITH_STORE("gc-auto/gives-way", test_gives_way);
	WITH_STORE("gc-auto/failure", test_failure);
	WITH_STORE("gc-auto/collector", test_collector);
	WITH_STORE("gc-auto/collector-configuration", test_collector_configuration);
	return g_test_run();
}
