/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sync has brought to the disk: what was there when it began and nothing that came meanwhile;
 * after one that failed, nothing. This program's own syncfs, fsync and fdatasync take the C library's
 * place, for RocksDB too: they count, fail, or let something happen first.
 */
#include "repo-fixture.h"
#include "store/store-backend.h"
#include "version/gc.h"
#include "version/journal-private.h"

#include <sys/syscall.h>

/* ---- The calls --------------------------------------------------------------------------- */

typedef struct {
	GThread *thread;           /* whose calls are meant; NULL: nobody's */
	void (*first)(void *data); /* before the next one; nullable */
	void *data;
	int failure; /* of the next one */
	unsigned n_trees;
	unsigned n_files;
} Calls;

static Calls *calls; /* of the test that runs */

/* 0, or the error that a call has. */
static int begin_call(unsigned *n)
{
	void (*first)(void *data);
	int failure;

	if (!calls || calls->thread != g_thread_self())
		return 0;
	*n += 1;
	first = calls->first;
	failure = calls->failure;
	calls->first = NULL;
	calls->failure = 0;
	if (first)
		first(calls->data);
	return failure;
}

static int sync_by(long number, int fd, bool is_tree)
{
	unsigned ignored;
	int failure = begin_call(!calls ? &ignored : is_tree ? &calls->n_trees : &calls->n_files);

	if (!failure)
		return (int)syscall(number, fd);
	errno = failure;
	return -1;
}

int syncfs(int fd)
{
	return sync_by(SYS_syncfs, fd, true);
}

int fsync(int fd)
{
	return sync_by(SYS_fsync, fd, false);
}

int fdatasync(int fd)
{
	return sync_by(SYS_fdatasync, fd, false);
}

/* Counts this thread's calls, from now on, in SELF, which may have more in it already. */
static void begin(Calls *self)
{
	self->thread = g_thread_self();
	calls = self;
}

static void end(void)
{
	calls = NULL;
}

/* FUNC of DATA, by another thread, to its end. */
static void run_beside(GThreadFunc func, void *data)
{
	g_thread_join(g_thread_new("beside", func, data));
}

/* ---- The journal ------------------------------------------------------------------------- */

static unsigned count_records(ProllyRepo *repo)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(repo->body->db, PROLLY_DB_JOURNAL, NULL, "", 0, NULL, 0);
	unsigned n = 0;

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter))
		n++;
	g_assert_true(prolly_db_iter_check(iter, NULL));
	return n;
}

static gpointer commit_one(gpointer repo)
{
	must_commit(repo, "main", "ns", "meanwhile", "1");
	return NULL;
}

static void commit_beside(void *repo)
{
	run_beside(commit_one, repo);
}

/* I1: a commit that comes while git's files are synced keeps its record. */
static void test_trim_meanwhile(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	Calls meanwhile = {.first = commit_beside, .data = repo};
	g_autoptr(GError) error = NULL;

	must_commit(repo, "main", "ns", "before", "1");
	prolly_journal_trim(repo->body->journal, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(count_records(repo), ==, 0);
	must_commit(repo, "main", "ns", "before", "2");
	begin(&meanwhile);
	prolly_journal_trim(repo->body->journal, &error);
	end();
	g_assert_no_error(error);
	g_assert_cmpuint(meanwhile.n_trees, ==, 1);
	g_assert_cmpuint(count_records(repo), ==, 1);
	prolly_journal_trim(repo->body->journal, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(count_records(repo), ==, 0);
	prolly_repo_free(repo);
}

/* I4: what a sync that failed was for may be lost, whatever the next one says. */
static void test_trim_after_failure(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	Calls failing = {.failure = EIO};
	g_autoptr(GError) error = NULL;

	prolly_journal_trim(repo->body->journal, &error);
	g_assert_no_error(error);
	must_commit(repo, "main", "ns", "k", "1");
	begin(&failing);
	g_assert_false(prolly_journal_trim(repo->body->journal, NULL));
	g_assert_false(prolly_journal_trim(repo->body->journal, &error));
	end();
	g_assert_nonnull(error);
	g_assert_cmpuint(count_records(repo), ==, 1);
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	assert_value(repo, "main", "k", "1");
	prolly_repo_free(repo);
}

/* ---- The database ------------------------------------------------------------------------ */

static gpointer write_one(gpointer db)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);
	g_autoptr(GError) error = NULL;

	prolly_db_batch_put(batch, PROLLY_DB_META, "meanwhile", 9, "1", 1);
	prolly_db_write(db, batch, PROLLY_DB_BUFFERED, &error);
	g_assert_no_error(error);
	return NULL;
}

static void write_beside(void *db)
{
	run_beside(write_one, db);
}

static void sync_alone(ProllyDb *db)
{
	g_autoptr(GError) error = NULL;

	prolly_db_sync(db, &error);
	g_assert_no_error(error);
}

/* A write that comes while the log is synced is not taken for synced; what was is not synced again. */
static void test_database(Fixture *self, gconstpointer data)
{
	g_autofree char *path = g_build_filename(self->dir, "db", NULL);
	ProllyDbOptions options = {.path = path, .create = true};
	g_autoptr(GError) error = NULL;
	Calls meanwhile = {0}, after = {0};
	ProllyDb *db;

	prolly_db_open(&options, &db, &error);
	g_assert_no_error(error);
	meanwhile = (Calls){.first = write_beside, .data = db};
	write_one(db);
	begin(&meanwhile);
	sync_alone(db);
	end();
	g_assert_null(meanwhile.first);
	begin(&after);
	sync_alone(db);
	g_assert_cmpuint(after.n_files, >, 0);
	after.n_files = 0;
	sync_alone(db);
	end();
	g_assert_cmpuint(after.n_files, ==, 0);
	prolly_db_close(db);
}

/* ---- The file back end ------------------------------------------------------------------- */

/* I2: names that a process which died has left are synced, whoever puts the nodes again. */
static void test_names_left(Fixture *self, gconstpointer data)
{
	g_autofree char *path = g_build_filename(self->dir, "nodes", NULL);
	g_autoptr(GError) error = NULL;
	ProllyBackend *backend;
	Calls opening = {0};

	prolly_backend_file_open(path, &backend, &error);
	g_assert_no_error(error);
	backend->class->close(backend);
	begin(&opening);
	prolly_backend_file_open(path, &backend, &error);
	end();
	g_assert_no_error(error);
	g_assert_cmpuint(opening.n_trees, ==, 1);
	backend->class->close(backend);
}

/* ---- The collection ---------------------------------------------------------------------- */

typedef struct {
	Calls calls;
	unsigned marked; /* how many trees were synced before the last mark */
	unsigned swept;  /* before the first node was removed */
	bool has_swept;
} Collection;

static bool count_before(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data,
			 GError **error)
{
	Collection *collection = data;

	if (phase == PROLLY_GC_MARKING)
		collection->marked = collection->calls.n_trees;
	if (phase == PROLLY_GC_SWEEPING && !collection->has_swept) {
		collection->swept = collection->calls.n_trees;
		collection->has_swept = true;
	}
	return true;
}

/* What git has deleted is deleted on the disk before what only that had reached goes: else a power cut
 * could bring it back without. */
static void test_sweep(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	Collection collection = {0};
	ProllyGcOptions options = {
		.prune_before = PROLLY_GC_NOW, .progress = count_before, .data = &collection};
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;

	must_commit(repo, "main", "ns", "k", "1");
	run("git --git-dir='%s/git' update-ref refs/heads/other main", self->store);
	must_commit(repo, "other", "ns", "k", "2");
	run("git --git-dir='%s/git' branch -q -D other", self->store);
	begin(&collection.calls);
	prolly_gc_run(repo, &options, &figures, &error);
	end();
	g_assert_no_error(error);
	g_assert_true(collection.has_swept);
	g_assert_cmpuint(collection.swept, >, collection.marked);
	prolly_repo_free(repo);
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	WITH_STORE("sync/trim-meanwhile", test_trim_meanwhile);
	WITH_STORE("sync/trim-after-failure", test_trim_after_failure);
	WITH_STORE("sync/database", test_database);
	WITH_STORE("sync/names-left", test_names_left);
	WITH_STORE("sync/sweep", test_sweep);
	return g_test_run();
}
