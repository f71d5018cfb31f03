/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a collection takes of memory, by the number of nodes: the peak of a whole process that has the
 * store for itself, as `prollyfs-ctl gc` has.
 *
 * The store has tiny nodes, as its format may say: a large value of chunks of 64 bytes, each another
 * one, that was written over by a second one of as many. So half of the nodes go. It is made in one
 * process, and collected in another.
 */
#include "gc-fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define CHUNK 64u

/* ---- Processes --------------------------------------------------------------------------- */

typedef void (*WorkFunc)(Fixture *self, unsigned n);

/* Does WORK in a process of its own. Returns its peak of memory, in KiB. */
static long work_apart(WorkFunc work, Fixture *self, unsigned n)
{
	struct rusage usage;
	int status;
	pid_t pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		work(self, n);
		_exit(0);
	}
	while (wait4(pid, &status, 0, &usage) < 0)
		g_assert_cmpint(errno, ==, EINTR);
	g_assert_cmpint(status, ==, 0);
	return usage.ru_maxrss;
}

/* ---- The store --------------------------------------------------------------------------- */

/* (transfer full) A value of N chunks. */
static GBytes *store_many(ProllyRepo *repo, unsigned n, uint64_t seed)
{
	g_autoptr(ProllyBlobWriter) writer = prolly_blob_writer_new(&repo->context);
	g_autoptr(GError) error = NULL;
	ProllyBlob blob;

	for (unsigned i = 0; i < n; i++) {
		uint64_t chunk[CHUNK / 8] = {seed, i + 1};

		for (unsigned j = 2; j < CHUNK / 8; j++)
			chunk[j] = (chunk[j - 1] + chunk[j - 2]) * UINT64_C(0x9e3779b97f4a7c15);
		prolly_blob_writer_write(writer, chunk, sizeof(chunk), &error);
		g_assert_no_error(error);
	}
	prolly_blob_writer_finish(writer, &blob, &error);
	g_assert_no_error(error);
	return prolly_value_new_blob(PROLLY_KIND_FILE, &blob);
}

static void stage_many(ProllyRepo *repo, ProllyBranch *branch, unsigned n, uint64_t seed)
{
	g_auto(ProllyGuard) guard = prolly_guard_enter(repo);
	g_autoptr(GBytes) stored = store_many(repo, n, seed);
	g_autoptr(GError) error = NULL;
	ProllyPlace place = make_place("ns", "many");

	prolly_edit_put(repo, branch, &place, stored, NULL, 0, NULL, &error);
	g_assert_no_error(error);
}

static void make_store(Fixture *self, unsigned n)
{
	ProllyFormatParameters parameters;
	ProllyRepoInitOptions options = {.parameters = &parameters};
	g_autoptr(GError) error = NULL;
	ProllyBranch *branch;
	ProllyRepo *repo;

	prolly_format_parameters_init(&parameters);
	parameters.chunk_min = parameters.chunk_average = parameters.chunk_max = CHUNK;
	prolly_repo_init(self->store, &options, &error);
	g_assert_no_error(error);
	repo = open_spec(self->store);
	branch = lookup(repo, "main");
	for (unsigned i = 0; i < 2; i++)
		stage_many(repo, branch, n / 2, i);
	commit(repo, branch, NULL);
	prolly_branch_unref(branch);
	prolly_repo_free(repo);
}

static void collect_store(Fixture *self, unsigned n)
{
	ProllyRepo *repo = open_spec(self->store);
	ProllyGcFigures figures;

	collect(repo, PROLLY_GC_NOW, &figures);
	g_assert_cmpuint(figures.reclaimed_nodes, >=, n / 2);
	g_assert_cmpuint(figures.nodes, >=, n / 2);
	prolly_repo_free(repo);
}

/* A sanitizer's memory is not the store's. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* With PROLLYFS_LONG ten million nodes in 100 MiB; else few, which all but the census takes as much
 * for. */
static void test_peak(Fixture *self, gconstpointer data)
{
	bool is_long = g_getenv("PROLLYFS_LONG") != NULL;
	unsigned n = is_long ? 10000000 : 200000;
	long most = (is_long ? 100 : 64) << 10;
	long peak;

	work_apart(make_store, self, n);
	peak = work_apart(collect_store, self, n);
	g_test_message("%u nodes: %ld KiB", n, peak);
	if (!IS_SANITIZED)
		g_assert_cmpint(peak, <=, most);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/gc/memory/peak", Fixture, NULL, set_up, test_peak, tear_down);
	return g_test_run();
}
