/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change costs that is kept: a store on disk is loaded and committed, then gets commits of
 * one key, each staged and committed, with its git objects and its branch's move.
 *
 *	bench-commit --n N --dir DIR [--tsv]
 *
 * A commit should cost one synced write and little more. So the calls that sync are counted, and
 * timed, on the thread that commits: what is over is the rest of the commit's time. Between the
 * commits as many bytes are appended to a file and synced, which is what one synced write costs at
 * that time on that disk.
 *
 * The git directory is left behind, in a directory of its own: on ext4 without a journal, who has
 * deleted thousands of files waits for each new one for a minute, and that would be the next run.
 */
#include "bench-data.h"
#include "bench-report.h"

#include <fcntl.h>
#include <rocksdb/c.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blob/blob.h"
#include "version/version.h"

#define COMMITS 1000
#define NS      "bench"

/* ---- Syncs ------------------------------------------------------------------------------- */

typedef struct {
	unsigned n;
	double seconds;
} Syncs;

/* Of this thread. */
static __thread Syncs syncs;

static int count_sync(long number, int fd)
{
	double start = bench_get_seconds();
	int result = (int)syscall(number, fd);

	syncs.n++;
	syncs.seconds += bench_get_seconds() - start;
	return result;
}

/* In place of the C library's, for every library of this process. */
int fsync(int fd)
{
	return count_sync(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return count_sync(SYS_fdatasync, fd);
}

int syncfs(int fd)
{
	return count_sync(SYS_syncfs, fd);
}

/* ---- The store --------------------------------------------------------------------------- */

typedef struct {
	BenchReport report;
	char *scratch; /* a directory of its own */
	char *store;
	ProllyRepo *repo;
	ProllyBranch *branch;
} Site;

static void open_store(Site *self)
{
	GError *error = NULL;

	must(prolly_repo_open(self->store, NULL, &self->repo, &error), error);
	must(prolly_branch_lookup(self->repo, "main", &self->branch, &error), error);
}

static void close_store(Site *self)
{
	prolly_branch_unref(self->branch);
	prolly_repo_free(self->repo);
}

static void commit(ProllyRepo *repo, ProllyBranch *branch)
{
	ProllySignature author = {(char *)"A", (char *)"a@example.org", 1000000000, 0};
	ProllyCommitOptions options = {.message = "one", .author = &author, .committer = &author};
	ProllyCommitId id;
	uint64_t changes;
	GError *error = NULL;

	must(prolly_history_commit(repo, branch, &options, &id, &changes, &error), error);
	must(changes > 0, NULL);
}

static void run_load(Site *self)
{
	g_autoptr(ProllyLoad) loading = NULL;
	BenchEdits entries = bench_make_entries(self->report.n);
	double start, bytes, data = (double)self->report.n * (BENCH_KEY_LEN + BENCH_VALUE_LEN);
	GError *error = NULL;

	must(prolly_repo_init(self->store, NULL, &error), error);
	open_store(self);
	start = bench_get_seconds();
	must(prolly_load_new(self->repo, self->branch, NS, &loading, &error), error);
	for (size_t i = 0; i < entries.n; i++)
		must(prolly_load_add(loading, entries.edits[i].key, BENCH_KEY_LEN,
				     entries.edits[i].value, BENCH_VALUE_LEN, &error),
		     error);
	must(prolly_load_attach(loading, &error), error);
	bench_emit(&self->report, "repo_load_staged",
		   (bench_get_seconds() - start) * 1e9 / (double)entries.n, "ns/entry", "");
	start = bench_get_seconds();
	commit(self->repo, self->branch);
	bench_emit(&self->report, "repo_load_committed",
		   (bench_get_seconds() - start) * 1e9 / (double)entries.n, "ns/entry", "");
	bench_edits_clear(&entries);
	prolly_load_free(g_steal_pointer(&loading));
	close_store(self);
	bytes = bench_get_disk_bytes(self->store);
	bench_emit(&self->report, "repo_disk_per_entry", bytes / (double)self->report.n, "bytes",
		   "124 of key and value; loaded, committed, closed");
	bench_emit(&self->report, "repo_disk_ratio", bytes / data, "", "to the keys and values");
}

/* ---- Commits ----------------------------------------------------------------------------- */

typedef struct {
	double total[COMMITS];
	double over[COMMITS];
	double floor[COMMITS];
	unsigned n_syncs;
} Times;

static void stage(Site *self, ProllyRepo *repo, uint64_t number, uint64_t generation)
{
	uint8_t key[BENCH_KEY_LEN], value[BENCH_VALUE_LEN];
	ProllyPlace place = {NS, key, sizeof(key)};
	g_autoptr(GBytes) stored = NULL;
	GError *error = NULL;

	bench_make_key(key, number);
	bench_make_value(value, number, generation);
	must(prolly_value_store(prolly_repo_get_context(repo), PROLLY_KIND_FILE, value,
				sizeof(value), &stored, &error),
	     error);
	must(prolly_edit_put(repo, self->branch, &place, stored, NULL, PROLLY_EDIT_KEEP_ATTRS, NULL,
			     &error),
	     error);
}

/* Commit number I. */
static void time_commit(Site *self, ProllyRepo *repo, size_t i, uint64_t number, Times *times)
{
	double start = bench_get_seconds(), seconds;

	syncs = (Syncs){0};
	stage(self, repo, number, i + 1);
	commit(repo, self->branch);
	seconds = bench_get_seconds() - start;
	times->total[i] = seconds;
	times->over[i] = seconds - syncs.seconds;
	times->n_syncs += syncs.n;
}

static double time_synced_write(int fd)
{
	static const uint8_t bytes[16384] = {1};
	double start = bench_get_seconds();

	must(write(fd, bytes, sizeof(bytes)) == sizeof(bytes), NULL);
	must(fdatasync(fd) == 0, NULL);
	return bench_get_seconds() - start;
}

static void make_commits(Site *self, Times *times, ProllyWork *work)
{
	g_autofree char *path = g_build_filename(self->scratch, "file", NULL);
	ProllyRepo *repo = prolly_repo_new_handle(self->repo, work, false);
	BenchRandom random = bench_random_start(12);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	must(fd >= 0, NULL);
	for (size_t i = 0; i < COMMITS; i++) {
		times->floor[i] = time_synced_write(fd);
		time_commit(self, repo, i, 2 * bench_random_below(&random, self->report.n) + 1,
			    times);
	}
	close(fd);
	prolly_repo_free(repo);
}

static void report_commits(const Site *self, Times *times, const ProllyWorkFigures *work)
{
	const BenchReport *report = &self->report;

	bench_emit(report, "commit_1", bench_get_median(times->total, COMMITS) * 1e6, "us",
		   "one key staged and committed, git objects and all; median of 1000");
	bench_emit(report, "synced_write", bench_get_median(times->floor, COMMITS) * 1e6, "us",
		   "16 KiB appended and synced, between the commits; median of 1000");
	bench_emit(report, "commit_1_over", bench_get_median(times->over, COMMITS) * 1e6, "us",
		   "commit_1 but for the time in syncs; median of 1000");
	bench_emit(report, "commit_1_syncs", (double)times->n_syncs / COMMITS, "syncs",
		   "fsync, fdatasync, syncfs by the thread that commits");
	bench_emit(report, "commit_1_nodes", (double)work->nodes_written / COMMITS, "nodes", "");
	bench_emit(report, "commit_1_bytes", (double)work->bytes_written / COMMITS, "bytes",
		   "of nodes");
}

/* ---- Space ------------------------------------------------------------------------------- */

/* Everything that can be merged is, with the options that the database was last opened with. */
static void compact(const Site *self)
{
	g_autofree char *path = g_build_filename(self->store, "data", NULL);
	rocksdb_env_t *env = rocksdb_create_default_env();
	rocksdb_cache_t *cache = rocksdb_cache_create_lru(32u << 20);
	rocksdb_options_t *options, **each;
	char *failure = NULL, **names;
	size_t n;
	rocksdb_t *db;

	rocksdb_load_latest_options(path, env, false, cache, &options, &n, &names, &each, &failure);
	must(!failure, NULL);
	g_autofree rocksdb_column_family_handle_t **handles =
		g_new(rocksdb_column_family_handle_t *, n);

	db = rocksdb_open_column_families(options, path, (int)n, (const char *const *)names,
					  (const rocksdb_options_t *const *)each, handles,
					  &failure);
	must(!failure, NULL);
	for (size_t i = 0; i < n; i++) {
		rocksdb_compact_range_cf(db, handles[i], NULL, 0, NULL, 0);
		rocksdb_column_family_handle_destroy(handles[i]);
	}
	rocksdb_close(db);
	rocksdb_load_latest_options_destroy(options, names, each, n);
	rocksdb_cache_destroy(cache);
	rocksdb_env_destroy(env);
}

static void report_growth(const Site *self, const char *workload, double before, const char *note)
{
	g_autofree char *path = g_build_filename(self->store, "data", NULL);

	bench_emit(&self->report, workload, (bench_get_disk_bytes(path) - before) / COMMITS,
		   "bytes", note);
}

static void run_commits(Site *self)
{
	g_autofree char *path = g_build_filename(self->store, "data", NULL);
	g_autofree Times *times = g_new0(Times, 1);
	ProllyWork *work = prolly_work_new();
	ProllyWorkFigures figures;
	double before = bench_get_disk_bytes(path);

	open_store(self);
	make_commits(self, times, work);
	prolly_work_get_figures(work, &figures);
	prolly_work_unref(work);
	report_commits(self, times, &figures);
	close_store(self);
	report_growth(self, "commit_1_growth", before, "the database's files, closed");
	compact(self);
	report_growth(self, "commit_1_growth_compacted", before, "the database's files, compacted");
}

int main(int argc, char **argv)
{
	Site self = {.report = {.peer = "prollyfs-rocksdb"}};
	g_autofree char *dir = bench_parse_arguments(argc, argv, &self.report);
	g_autofree char *data = NULL;

	self.scratch = g_build_filename(dir, "bench-commit-XXXXXX", NULL);
	must(g_mkdtemp(self.scratch), NULL);
	self.store = g_build_filename(self.scratch, "store", NULL);
	run_load(&self);
	run_commits(&self);
	data = g_build_filename(self.store, "data", NULL);
	bench_remove_all(data);
	g_free(self.store);
	g_free(self.scratch);
	return 0;
}
