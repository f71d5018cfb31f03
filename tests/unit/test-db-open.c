/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database on disk: what it refuses to open, what it survives.
 *
 * What needs a process that dies, or a disk of its own, runs in a subprocess of the test, which
 * finds its directory in PROLLY_TEST_DIR.
 */
#include "db-site.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/db-private.h"

#define DIR_VARIABLE "PROLLY_TEST_DIR"

/* ---- What may be opened ------------------------------------------------------------------ */

/* Opening fails with CODE and a message that has PART in it, whether or not it may create. */
static void assert_refused(Site *site, ProllyErrorCode code, const char *part)
{
	for (int create = 0; create < 2; create++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(try_open(site, create, &error));
		g_assert_error(error, PROLLY_ERROR, (gint)code);
		g_assert_nonnull(strstr(error->message, part));
		g_assert_null(site->db);
	}
}

static void test_absent(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;

	close_site(site);
	remove_tree(site->path);
	/* Its mark is there: a database that was lost is not replaced. */
	assert_refused(site, PROLLY_ERROR_CORRUPT, site->path);

	g_autofree char *mark = g_strconcat(site->path, ".mark", NULL);

	g_remove(mark);
	g_assert_false(try_open(site, false, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NOT_A_STORE);
	g_assert_nonnull(strstr(error->message, site->path));
	g_assert_false(g_file_test(site->path, G_FILE_TEST_EXISTS));
	open_site(site, true);
}

static void test_foreign(Site *site, gconstpointer in_memory)
{
	g_autofree char *note = g_build_filename(site->dir, "notes", "todo.txt", NULL);
	g_autofree char *notes = g_path_get_dirname(note);

	close_site(site);
	g_assert_cmpint(g_mkdir(notes, 0777), ==, 0);
	g_assert_true(g_file_set_contents(note, "x", 1, NULL));
	g_free(site->path);
	site->path = g_strdup(notes);
	assert_refused(site, PROLLY_ERROR_NOT_A_STORE, notes);
	g_autofree char *mark = g_strconcat(notes, ".mark", NULL);

	g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
}

/* Makes the database at PATH have a family NAME that it has not. */
static void add_family(const char *path, const char *name)
{
	rocksdb_options_t *options = rocksdb_options_create();
	char *failure = NULL;
	size_t n;

	rocksdb_options_set_create_if_missing(options, 1);
	char **names = rocksdb_list_column_families(options, path, &n, &failure);
	bool is_new = failure != NULL;
	const char *only[] = {"default"};
	const char **opened = is_new ? only : (const char **)names;

	g_clear_pointer(&failure, rocksdb_free);
	if (is_new)
		n = 1;
	const rocksdb_options_t *all[16];
	rocksdb_column_family_handle_t *handles[16];

	for (size_t i = 0; i < n; i++)
		all[i] = options;
	rocksdb_t *rocks =
		rocksdb_open_column_families(options, path, (int)n, opened, all, handles, &failure);

	g_assert_null(failure);
	handles[n] = rocksdb_create_column_family(rocks, options, name, &failure);
	g_assert_null(failure);
	for (size_t i = 0; i <= n; i++)
		rocksdb_column_family_handle_destroy(handles[i]);
	rocksdb_close(rocks);
	rocksdb_list_column_families_destroy(names, is_new ? 0 : n);
	rocksdb_options_destroy(options);
}

static void test_other_families(Site *site, gconstpointer in_memory)
{
	close_site(site);
	add_family(site->path, "from-the-future");
	assert_refused(site, PROLLY_ERROR_NEWER_FORMAT, site->path);

	g_free(site->path);
	site->path = g_build_filename(site->dir, "theirs", NULL);
	add_family(site->path, "theirs");
	assert_refused(site, PROLLY_ERROR_NOT_A_STORE, site->path);
}

static void test_locked(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;
	Site other = {.path = site->path};

	put(site, "a", "1");
	g_assert_false(try_open(&other, false, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_LOCKED);
	g_assert_nonnull(strstr(error->message, site->path));
	assert_value(site, "a", "1");
}

/* (transfer full) The first file in the database whose name has PART in it. */
static char *find_file(Site *site, const char *part)
{
	GDir *dir = g_dir_open(site->path, 0, NULL);
	char *found = NULL;
	const char *name;

	while (!found && (name = g_dir_read_name(dir))) {
		if (strstr(name, part))
			found = g_build_filename(site->path, name, NULL);
	}
	g_dir_close(dir);
	return found;
}

static void cut_file(const char *path, off_t bytes)
{
	struct stat st;

	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_size, >, bytes);
	g_assert_cmpint(truncate(path, st.st_size - bytes), ==, 0);
}

static void test_current_lost(Site *site, gconstpointer in_memory)
{
	g_autofree char *current = g_build_filename(site->path, "CURRENT", NULL);

	close_site(site);
	g_assert_cmpint(g_remove(current), ==, 0);
	assert_refused(site, PROLLY_ERROR_CORRUPT, site->path);
	g_assert_false(g_file_test(current, G_FILE_TEST_EXISTS));
}

static void test_manifest_lost(Site *site, gconstpointer in_memory)
{
	g_autofree char *manifest = find_file(site, "MANIFEST-");

	close_site(site);
	g_assert_cmpint(truncate(manifest, 10), ==, 0);
	assert_refused(site, PROLLY_ERROR_CORRUPT, site->path);
	g_assert_cmpint(g_remove(manifest), ==, 0);
	assert_refused(site, PROLLY_ERROR_CORRUPT, site->path);
}

/* A table of its own, with a hundred keys. */
static void ingest_some(Site *site)
{
	g_autoptr(GError) error = NULL;
	ProllyDbEntry entries[100];
	char keys[100][9];

	for (unsigned i = 0; i < 100; i++) {
		g_snprintf(keys[i], sizeof(keys[i]), "%08u", i);
		entries[i] = (ProllyDbEntry){keys[i], 8, "x", 1};
	}
	prolly_db_ingest(site->db, PROLLY_DB_META, entries, 100, &error);
	g_assert_no_error(error);
}

static void test_table_lost(Site *site, gconstpointer in_memory)
{
	ingest_some(site);
	g_autofree char *table = find_file(site, ".sst");

	close_site(site);
	cut_file(table, 100);
	assert_refused(site, PROLLY_ERROR_CORRUPT, site->path);
	g_assert_cmpint(g_remove(table), ==, 0);
	assert_refused(site, PROLLY_ERROR_CORRUPT, site->path);
}

/* A bit flipped in a table is found when it is read; the rest is served. */
static void test_table_damaged(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) value = NULL;

	ingest_some(site);
	put(site, "elsewhere", "1");
	g_autofree char *table = find_file(site, ".sst");

	close_site(site);
	int fd = open(table, O_RDWR | O_CLOEXEC);

	g_assert_cmpint(pwrite(fd, "damage", 6, 200), ==, 6);
	close(fd);
	open_site(site, false);
	g_assert_false(
		prolly_db_get(site->db, PROLLY_DB_META, NULL, "00000010", 8, &value, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	assert_value(site, "elsewhere", "1");
}

static void test_mark_lost(Site *site, gconstpointer in_memory)
{
	g_autofree char *mark = g_strconcat(site->path, ".mark", NULL);

	close_site(site);
	g_assert_true(g_file_set_contents(mark, "nonsense", -1, NULL));
	assert_refused(site, PROLLY_ERROR_CORRUPT, mark);
	g_remove(mark);
	assert_refused(site, PROLLY_ERROR_CORRUPT, mark);
}

/* ---- The mark ---------------------------------------------------------------------------- */

static uint64_t read_mark(const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbMark) mark = NULL;

	prolly_db_mark_open(path, &mark, &error);
	g_assert_no_error(error);
	return prolly_db_mark_get(mark);
}

/* Whichever slot is torn, the other one counts. */
static void test_mark_slots(Site *site, gconstpointer in_memory)
{
	g_autofree char *path = g_build_filename(site->dir, "a-mark", NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbMark) mark = NULL;

	g_assert_true(prolly_db_mark_create(path, &mark, &error));
	g_assert_cmpuint(read_mark(path), ==, 0);
	for (uint64_t i = 10; i < 20; i++) {
		prolly_db_mark_raise(mark, i);
		prolly_db_mark_raise(mark, i - 5);
		g_assert_cmpuint(read_mark(path), ==, i);

		g_autofree char *bytes = NULL;
		gsize len;

		g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
		for (size_t slot = 0; slot < 2; slot++) {
			g_autofree char *torn_path = g_strconcat(path, ".torn", NULL);

			bytes[slot * 4096 + 20] ^= 1;
			g_assert_true(g_file_set_contents(torn_path, bytes, (gssize)len, NULL));
			bytes[slot * 4096 + 20] ^= 1;
			uint64_t left = read_mark(torn_path);

			g_assert_true(left == i || left == (i == 10 ? 0 : i - 1));
		}
	}
}

/* ---- Crashes ----------------------------------------------------------------------------- */

static void run_child(Site *site, const char *name)
{
	g_autofree char *path = g_strdup_printf("/db/child/%s/subprocess", name);

	close_site(site);
	g_setenv(DIR_VARIABLE, site->path, TRUE);
	g_test_trap_subprocess(path, 0, G_TEST_SUBPROCESS_DEFAULT);
}

static void open_in_child(Site *site)
{
	site->path = g_strdup(g_getenv(DIR_VARIABLE));
	open_site(site, false);
}

/* Ten synced writes, then ten that are not, then death. */
static void child_writes_and_dies(void)
{
	Site site = {0};

	open_in_child(&site);
	for (unsigned i = 0; i < 20; i++) {
		g_autofree char *key = g_strdup_printf("%02u", i);

		put_in(&site, PROLLY_DB_META, key, "x",
		       i < 10 ? PROLLY_DB_SYNC : PROLLY_DB_BUFFERED);
	}
	kill(getpid(), SIGKILL);
}

static void test_kill(Site *site, gconstpointer in_memory)
{
	run_child(site, "writes-and-dies");
	open_site(site, false);
	for (unsigned i = 0; i < 20; i++) {
		g_autofree char *key = g_strdup_printf("%02u", i);

		assert_value(site, key, "x");
	}
}

static void child_syncs_and_dies(void)
{
	Site site = {0};

	open_in_child(&site);
	put_in(&site, PROLLY_DB_META, "a", "x", PROLLY_DB_BUFFERED);
	g_assert_true(prolly_db_sync(site.db, NULL));
	kill(getpid(), SIGKILL);
}

/* (transfer full) The log that a dead process left. */
static char *find_filled_log(Site *site)
{
	GDir *dir = g_dir_open(site->path, 0, NULL);
	char *found = NULL;
	const char *name;

	while (!found && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(site->path, name, NULL);
		struct stat st;

		if (g_str_has_suffix(name, ".log") && stat(path, &st) == 0 && st.st_size > 0)
			found = g_steal_pointer(&path);
	}
	g_dir_close(dir);
	g_assert_nonnull(found);
	return found;
}

/* A power cut tears what was not synced: it opens, up to the tear. */
static void test_torn_tail(Site *site, gconstpointer in_memory)
{
	run_child(site, "writes-and-dies");
	g_autofree char *log = find_filled_log(site);

	cut_file(log, 5);
	open_site(site, false);
	assert_value(site, "18", "x");
	assert_value(site, "19", NULL);
}

/* What was synced is gone: damage, and what is left is not touched. */
static void test_synced_loss(Site *site, gconstpointer in_memory)
{
	static const char *const children[] = {"writes-and-dies", "syncs-and-dies"};

	for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
		struct stat st;

		run_child(site, children[i]);
		g_autofree char *log = find_filled_log(site);

		g_assert_cmpint(stat(log, &st), ==, 0);
		off_t size = i == 0 ? st.st_size / 3 : st.st_size - 3;

		g_assert_cmpint(truncate(log, size), ==, 0);
		assert_refused(site, PROLLY_ERROR_CORRUPT, site->path);
		g_assert_cmpint(stat(log, &st), ==, 0);
		g_assert_cmpint(st.st_size, ==, size);
		g_assert_cmpint(g_remove(log), ==, 0);
		assert_refused(site, PROLLY_ERROR_CORRUPT, site->path);

		tear_down(site, NULL);
		set_up(site, NULL);
	}
}

/* Closing leaves little of a long log, and none of it is lost. */
static void test_close_settles(Site *site, gconstpointer in_memory)
{
	g_autofree char *value = g_strnfill(1 << 20, 'x');
	uint64_t left = 0;

	for (unsigned i = 0; i < 8; i++) {
		char key[2] = {(char)('a' + i), '\0'};

		put_in(site, PROLLY_DB_STAGED, key, value, PROLLY_DB_BUFFERED);
	}
	close_site(site);

	GDir *dir = g_dir_open(site->path, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(site->path, name, NULL);
		struct stat st;

		if (g_str_has_suffix(name, ".log") && stat(path, &st) == 0)
			left += (uint64_t)st.st_size;
	}
	g_dir_close(dir);
	g_assert_cmpuint(left, <, 1 << 20);
	open_site(site, false);
	assert_value_at(site, PROLLY_DB_STAGED, NULL, "a", value);
	assert_value_at(site, PROLLY_DB_STAGED, NULL, "h", value);
}

/* What was staged, in the log and in tables at the top, is gone from a disk once it is dropped. */
static void test_close_reclaims(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);
	g_autofree char *value = g_strnfill(1 << 20, 'x');
	uint64_t keys;
	uint64_t bytes;

	for (unsigned i = 0; i < 40; i++) {
		g_autofree char *key = g_strdup_printf("%02u", i * 37 % 40);

		put_in(site, PROLLY_DB_STAGED, key, value, PROLLY_DB_BUFFERED);
	}
	put_in(site, PROLLY_DB_STAGED, "kept", "x", PROLLY_DB_BUFFERED);
	prolly_db_batch_delete_range(batch, PROLLY_DB_STAGED, "0", 1, "a", 1);
	g_assert_true(prolly_db_write(site->db, batch, PROLLY_DB_SYNC, &error));
	prolly_db_reclaim_range(site->db, PROLLY_DB_STAGED, "0", 1, "a", 1);
	g_clear_pointer(&batch, prolly_db_batch_free);
	close_site(site);
	open_site(site, false);
	g_assert_true(prolly_db_get_size(site->db, PROLLY_DB_STAGED, &keys, &bytes, &error));
	g_assert_cmpuint(bytes, <, 1 << 20);
	assert_value_at(site, PROLLY_DB_STAGED, NULL, "kept", "x");
	assert_value_at(site, PROLLY_DB_STAGED, NULL, "05", NULL);
}

/* ---- A full disk ------------------------------------------------------------------------- */

#define DISK_SIZE "64m"
#define BALLAST   (40 << 20)

/* A small filesystem of this process's own; false where that is not allowed. */
static bool mount_small_disk(const char *path)
{
	return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("small-disk", path, "tmpfs", 0, "size=" DISK_SIZE) == 0;
}

/* Values that do not compress, until one does not fit; returns how many did. */
static unsigned fill_disk(Site *site, ProllyDbBatch *batch, GError **error)
{
	g_autofree char *value = g_malloc(65536);
	uint64_t x = 1;

	for (unsigned i = 0;; i++) {
		g_autofree char *key = g_strdup_printf("%06u", i);

		for (size_t j = 0; j < 65536; j += 8) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			prolly_set_le64((uint8_t *)value + j, x);
		}
		prolly_db_batch_put(batch, PROLLY_DB_STAGED, key, 6, value, 65536);
		if (!prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, error))
			return i;
	}
}

static unsigned count_staged(Site *site)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(site->db, PROLLY_DB_STAGED, NULL, NULL, 0, NULL, 0);
	unsigned n = 0;

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter))
		n++;
	g_assert_true(prolly_db_iter_check(iter, NULL));
	return n;
}

/* Writes are refused, reads go on, and when there is space again all is as before. */
static void child_fills_disk(void)
{
	const char *dir = g_getenv(DIR_VARIABLE);
	g_autofree char *ballast = g_build_filename(dir, "ballast", NULL);
	g_autoptr(GError) error = NULL;
	Site site = {.path = g_build_filename(dir, "data", NULL)};

	if (!mount_small_disk(dir)) {
		g_print("not allowed to mount\n");
		return;
	}
	open_site(&site, true);
	int fd = open(ballast, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	g_assert_cmpint(posix_fallocate(fd, 0, BALLAST), ==, 0);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site.db);
	unsigned n = fill_disk(&site, batch, &error);

	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NO_SPACE);
	g_clear_error(&error);
	g_assert_cmpuint(n, >, 50);
	g_assert_cmpuint(count_staged(&site), ==, n);
	g_assert_false(prolly_db_write(site.db, batch, PROLLY_DB_BUFFERED, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NO_SPACE);
	g_clear_error(&error);

	g_assert_cmpint(ftruncate(fd, 0), ==, 0);
	close(fd);
	prolly_db_write(site.db, batch, PROLLY_DB_SYNC, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(count_staged(&site), ==, n + 1);
	g_clear_pointer(&batch, prolly_db_batch_free);
	close_site(&site);
	open_site(&site, false);
	g_assert_cmpuint(count_staged(&site), ==, n + 1);
	close_site(&site);
	g_free(site.path);
	g_print("survived\n");
}

static void test_full_disk(Site *site, gconstpointer in_memory)
{
	g_autofree char *path = g_steal_pointer(&site->path);

	site->path = g_build_filename(site->dir, "disk", NULL);
	g_assert_cmpint(g_mkdir(site->path, 0777), ==, 0);
	run_child(site, "fills-disk");
	g_test_trap_assert_passed();
	g_test_trap_assert_stdout("*\n");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(Site *site, gconstpointer in_memory);
	} tests[] = {
		{"absent", test_absent},
		{"foreign", test_foreign},
		{"other-families", test_other_families},
		{"locked", test_locked},
		{"current-lost", test_current_lost},
		{"manifest-lost", test_manifest_lost},
		{"table-lost", test_table_lost},
		{"table-damaged", test_table_damaged},
		{"mark-lost", test_mark_lost},
		{"mark-slots", test_mark_slots},
		{"kill", test_kill},
		{"torn-tail", test_torn_tail},
		{"synced-loss", test_synced_loss},
		{"close-settles", test_close_settles},
		{"close-reclaims", test_close_reclaims},
		{"full-disk", test_full_disk},
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/db/%s", tests[i].name);

		g_test_add(path, Site, NULL, set_up, tests[i].run, tear_down);
	}
	g_test_add_func("/db/child/writes-and-dies/subprocess", child_writes_and_dies);
	g_test_add_func("/db/child/syncs-and-dies/subprocess", child_syncs_and_dies);
	g_test_add_func("/db/child/fills-disk/subprocess", child_fills_disk);
	return g_test_run();
}
