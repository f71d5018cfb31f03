/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sync has brought to the disk: what was there when it began and nothing that came meanwhile;
 * after one that failed, nothing. This program's own syncfs, fsync and fdatasync take the C library's
 * place, for RocksDB too: they count, fail, or let something happen first. So does its statvfs, which
 * says how full the disk is.
 */
#include "repo-fixture.h"
#include "store/census.h"
#include "store/store-backend.h"
#include "version/edit.h"
#include "version/gc.h"
#include "version/history.h"
#include "version/journal-private.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

/* ---- The calls --------------------------------------------------------------------------- */

typedef struct {
	GThread *thread;           /* whose calls are meant; NULL: nobody's */
	void (*first)(void *data); /* before the next one; nullable */
	void *data;
	int failure; /* of the next one */
	unsigned n_trees;
	unsigned n_files;
	unsigned n_logs; /* of them, logs of the database */
	/* The first removal of a table, by whichever thread. */
	bool has_dropped;
	unsigned n_logs_before; /* how many logs were synced then */
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

static bool is_log(int fd)
{
	g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
	g_autofree char *path = g_file_read_link(link, NULL);

	return path && g_str_has_suffix(path, ".log");
}

static int sync_by(long number, int fd, bool is_tree)
{
	unsigned ignored;
	int failure = begin_call(!calls ? &ignored : is_tree ? &calls->n_trees : &calls->n_files);

	if (calls && !is_tree && is_log(fd))
		g_atomic_int_inc(&calls->n_logs);
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

int unlink(const char *path)
{
	if (calls && g_str_has_suffix(path, ".sst") && !calls->has_dropped) {
		calls->n_logs_before = g_atomic_int_get(&calls->n_logs);
		calls->has_dropped = true;
	}
	return (int)syscall(SYS_unlink, path);
}

static gint free_kilobytes = -1; /* of all disks; -1: as it is */

int statvfs(const char *path, struct statvfs *st)
{
	prolly_autofd int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0 || fstatvfs(fd, st) < 0)
		return -1;
	if (g_atomic_int_get(&free_kilobytes) >= 0) {
		st->f_frsize = 1024;
		st->f_bfree = st->f_bavail = (fsblkcnt_t)g_atomic_int_get(&free_kilobytes);
	}
	return 0;
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

/* What the store has found free before is forgotten. */
static void set_free(int kilobytes)
{
	g_atomic_int_set(&free_kilobytes, kilobytes);
	g_usleep(50 * 1000);
}

#define TOO_MUCH (64u << 20) /* for what is free, and what the log has reserved */

/* Publishes what a disk with a MiB left has no room for. */
static void publish_in_vain(ProllyRepo *repo)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	ProllyPublication *publication = prolly_publication_new(prolly_ref_updates_new());
	g_autofree char *bytes = g_malloc0(TOO_MUCH);
	g_autoptr(GError) error = NULL;

	prolly_db_batch_put(batch, PROLLY_DB_META, "vain", 4, bytes, TOO_MUCH);
	set_free(1024);
	g_assert_false(prolly_publication_write(publication, repo, batch, &error));
	set_free(-1);
	g_assert_error(error, PROLLY_ERROR, (int)PROLLY_ERROR_NO_SPACE);
}

/* A publication that the full disk refused takes no number: else those after it would never be
 * complete, nor their records go. */
static void test_trim_after_refusal(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autoptr(GError) error = NULL;

	must_commit(repo, "main", "ns", "k", "1");
	publish_in_vain(repo);
	must_commit(repo, "main", "ns", "k", "2");
	must_commit(repo, "main", "ns", "k", "3");
	prolly_journal_trim(repo->body->journal, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(count_records(repo), ==, 0);
	assert_value(repo, "main", "k", "3");
	prolly_repo_free(repo);
}

/* ---- Packing ----------------------------------------------------------------------------- */

static unsigned count_loose(ProllyRepo *repo)
{
	g_autofree char *n =
		capture("find '%s/git/objects/'?? -type f | wc -l", prolly_repo_get_path(repo));

	return (unsigned)strtoul(n, NULL, 10);
}

static void pack_loose(ProllyRepo *repo)
{
	g_autoptr(GError) error = NULL;

	prolly_git_pack_loose(repo->body, &error);
	g_assert_no_error(error);
}

/* Makes objects that nothing reaches. */
static void commit_aside(ProllyRepo *repo)
{
	prolly_branch_unref(create(repo, "aside", -1));
	must_commit(repo, "aside", "ns", "k", "again");
	assert_delete(repo, "aside", true, -1);
}

/* git takes away what nothing reaches, loose or packed, and a commit makes some of it again. */
static void prune_and_commit(void *repo)
{
	run("git --git-dir='%s/git' gc -q --prune=now", prolly_repo_get_path(repo));
	must_commit(repo, "main", "ns", "k", "again");
}

/* What was made again while the pack was synced stays: the pack may have it no more. */
static void test_pack_meanwhile(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	Calls meanwhile = {.first = prune_and_commit, .data = repo};

	commit_aside(repo);
	begin(&meanwhile);
	pack_loose(repo);
	end();
	g_assert_null(meanwhile.first);
	prolly_repo_free(repo);
	run("git --git-dir='%s/git' fsck --strict", self->store);
	repo = open_spec(self->store);
	assert_value(repo, "main", "k", "again");
	prolly_repo_free(repo);
}

typedef struct {
	ProllyRepo *repo;
	const char *command;
} Disturbance;

static void disturb(void *data)
{
	const Disturbance *self = data;

	run("cd '%s/git/objects' && %s", prolly_repo_get_path(self->repo), self->command);
}

/* A loose object stays that somebody has written, or wanted, since it was listed; all do if the pack is
 * gone that has them. */
static void test_pack_disturbed(Fixture *self, gconstpointer command)
{
	ProllyRepo *repo = new_store(self);
	Disturbance disturbance = {repo, command};
	Calls meanwhile = {.first = disturb, .data = &disturbance};
	unsigned n;

	must_commit(repo, "main", "ns", "k", "v");
	n = count_loose(repo);
	begin(&meanwhile);
	pack_loose(repo);
	end();
	g_assert_cmpuint(n, >, 0);
	g_assert_cmpuint(count_loose(repo), ==, n);
	prolly_repo_free(repo);
}

static void want_collection(void *repo)
{
	g_atomic_int_set(&((ProllyRepo *)repo)->body->usage.is_unwanted, 1);
}

/* Who wants a collection does not wait for the packing's end. */
static void test_pack_unwanted(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	Calls meanwhile = {.first = want_collection, .data = repo};
	unsigned n;

	must_commit(repo, "main", "ns", "k", "v");
	n = count_loose(repo);
	begin(&meanwhile);
	pack_loose(repo);
	end();
	g_assert_cmpuint(count_loose(repo), ==, n);
	pack_loose(repo);
	g_assert_cmpuint(count_loose(repo), ==, 0);
	prolly_repo_free(repo);
}

typedef struct {
	ProllyRepo *repo;
	unsigned n; /* loose objects */
	unsigned n_tried;
} Intruder;

static bool pack_within(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data,
			GError **error)
{
	Intruder *self = data;

	if (phase != PROLLY_GC_MARKING || self->n_tried++)
		return true;
	pack_loose(self->repo);
	g_assert_cmpuint(count_loose(self->repo), ==, self->n);
	return true;
}

static bool give_up(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data, GError **error)
{
	return phase != PROLLY_GC_WAITING ||
	       prolly_throw(error, PROLLY_ERROR_BUSY, "it waits for the packing");
}

static gpointer try_to_collect(gpointer repo)
{
	ProllyGcOptions options = {
		.prune_before = PROLLY_GC_NOW, .is_automatic = true, .progress = give_up};
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;

	g_assert_false(prolly_gc_run(repo, &options, &figures, &error));
	g_assert_error(error, PROLLY_ERROR, (int)PROLLY_ERROR_BUSY);
	g_assert_cmpstr(error->message, ==, "it waits for the packing");
	return NULL;
}

static void collect_beside(void *repo)
{
	run_beside(try_to_collect, repo);
}

/* A collection and packing exclude each other. */
static void test_pack_or_collect(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	Calls meanwhile = {.first = collect_beside, .data = repo};
	Intruder intruder = {.repo = repo};
	ProllyGcOptions options = {
		.prune_before = PROLLY_GC_NOW, .progress = pack_within, .data = &intruder};
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;

	must_commit(repo, "main", "ns", "k", "1");
	intruder.n = count_loose(repo);
	prolly_gc_run(repo, &options, &figures, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(intruder.n_tried, >, 0);
	must_commit(repo, "main", "ns", "k", "2");
	begin(&meanwhile);
	pack_loose(repo);
	end();
	g_assert_null(meanwhile.first);
	prolly_gc_run(repo, &(ProllyGcOptions){.prune_before = PROLLY_GC_NOW}, &figures, &error);
	g_assert_no_error(error);
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

/* ---- Tables ------------------------------------------------------------------------------ */

#define N_CHUNKS   1500u
#define CHUNK_SIZE 6000u

/* (transfer full) A store, and the database below it. */
static void open_store(Fixture *self, ProllyDb **out_db, ProllyStore **out_store)
{
	g_autofree char *path = g_build_filename(self->dir, "db", NULL);
	ProllyDbOptions options = {.path = path, .create = true};
	ProllyStoreOptions store_options = {.kind = PROLLY_BACKEND_ROCKSDB};
	g_autoptr(GError) error = NULL;

	prolly_db_open(&options, out_db, &error);
	g_assert_no_error(error);
	store_options.db = *out_db;
	prolly_store_open(&store_options, out_store, &error);
	g_assert_no_error(error);
}

/* As many chunks as make tables of their own. */
static void put_chunks(ProllyStore *store, GRand *rand, ProllyHash *out_last)
{
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < N_CHUNKS; i++) {
		uint32_t *bytes = g_new(uint32_t, CHUNK_SIZE / 4);

		for (unsigned j = 0; j < CHUNK_SIZE / 4; j++)
			bytes[j] = g_rand_int(rand);
		prolly_store_put(store, PROLLY_NODE_CHUNK, (uint8_t *)bytes, CHUNK_SIZE, out_last,
				 NULL, &error);
		g_assert_no_error(error);
	}
	prolly_store_flush(store, NULL, &error);
	g_assert_no_error(error);
}

/* The disk has it that chunks were deleted before it loses their tables: else a power cut would bring
 * back an index of what is gone, and nobody would write it again. */
static void test_drop(Fixture *self, gconstpointer data)
{
	ProllyDb *db;
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);
	g_autoptr(ProllyStore) store = NULL;
	g_autoptr(GError) error = NULL;
	Calls collection = {0};
	ProllyCensus *census;
	ProllyHash hash;

	open_store(self, &db, &store);
	put_chunks(store, rand, &hash);
	prolly_census_new(store, PROLLY_CENSUS_TO_SWEEP, &census, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_db_sync(db, NULL));
	g_assert_true(prolly_census_sweep(census, NULL, NULL, &error));
	begin(&collection);
	g_assert_true(prolly_census_reclaim(census, &error));
	end();
	g_assert_true(collection.has_dropped);
	g_assert_cmpuint(collection.n_logs_before, >, 0);
	prolly_census_free(census);
	g_clear_pointer(&store, prolly_store_unref);
	prolly_db_close(db);
}

static void stage(ProllyRepo *repo, ProllyBranch *branch, const char *value, uint32_t uid)
{
	const ProllyPlace place = {"ns", (const uint8_t *)"k", 1};
	const ProllyAttrs attrs = {.has = PROLLY_ATTR_UID, .uid = uid};
	g_autoptr(GBytes) stored = prolly_value_new_inline(PROLLY_KIND_FILE, value, strlen(value));
	g_autoptr(GError) error = NULL;

	prolly_edit_put(repo, branch, &place, stored, &attrs, 0, NULL, &error);
	g_assert_no_error(error);
}

/* The notice of an adoption is on the disk before the tables are. */
static void test_adopt(Fixture *self, gconstpointer data)
{
	ProllyDb *db;
	g_autoptr(GRand) rand = g_rand_new_with_seed(2);
	g_autoptr(ProllyStore) store = NULL;
	g_autoptr(GError) error = NULL;
	Calls adoption = {0};
	ProllyHash hash;

	open_store(self, &db, &store);
	begin(&adoption);
	put_chunks(store, rand, &hash);
	end();
	g_assert_cmpuint(adoption.n_logs, >, 0);
	g_clear_pointer(&store, prolly_store_unref);
	prolly_db_close(db);
}

/* A commit of which only attributes come lets go of the records that had them: synced. */
static void test_fold(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_store(self);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	ProllySignature author = {(char *)"A", (char *)"a@e", 1000000000, 0};
	ProllyCommitOptions options = {.message = "m", .author = &author, .committer = &author};
	g_autoptr(GError) error = NULL;
	Calls commit = {0};
	ProllyCommitId id;
	uint64_t changes;

	must_commit(repo, "main", "ns", "k", "1");
	stage(repo, branch, "2", 7);
	stage(repo, branch, "1", 7);
	g_assert_true(prolly_repo_sync(repo, &error));
	begin(&commit);
	prolly_history_commit(repo, branch, &options, &id, &changes, &error);
	end();
	g_assert_cmpuint(changes, ==, 0);
	g_assert_cmpuint(commit.n_logs, >, 0);
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	WITH_STORE("sync/trim-meanwhile", test_trim_meanwhile);
	WITH_STORE("sync/trim-after-failure", test_trim_after_failure);
	WITH_STORE("sync/trim-after-refusal", test_trim_after_refusal);
	WITH_STORE("sync/pack-meanwhile", test_pack_meanwhile);
	g_test_add("/version/sync/pack-touched", Fixture, "touch -c [0-9a-f][0-9a-f]/*", set_up,
		   test_pack_disturbed, tear_down);
	g_test_add("/version/sync/pack-gone", Fixture, "rm pack/*", set_up, test_pack_disturbed,
		   tear_down);
	WITH_STORE("sync/pack-unwanted", test_pack_unwanted);
	WITH_STORE("sync/pack-or-collect", test_pack_or_collect);
	WITH_STORE("sync/database", test_database);
	WITH_STORE("sync/names-left", test_names_left);
	WITH_STORE("sync/sweep", test_sweep);
	WITH_STORE("sync/drop", test_drop);
	WITH_STORE("sync/adopt", test_adopt);
	WITH_STORE("sync/fold", test_fold);
	return g_test_run();
}
