/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What loads, commits and reads cost on a store on disk, counted: calls that wait for the disk, nodes
 * written and read, bytes that stay there.
 */
#include "repo-fixture.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include "store/db.h"
#include "version/version.h"

/* ---- Syncs ------------------------------------------------------------------------------- */

/* Of this thread. */
static __thread unsigned n_syncs;

/* In place of the C library's, for every library of this process. */
int fsync(int fd)
{
	n_syncs++;
	return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	n_syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

int syncfs(int fd)
{
	n_syncs++;
	return (int)syscall(SYS_syncfs, fd);
}

/* ---- Edits ------------------------------------------------------------------------------- */

static void stage(ProllyRepo *repo, ProllyBranch *branch, int number, int generation)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *key = g_strdup_printf("key/%08d", number);
	g_autofree char *value = g_strdup_printf("value %d of %d", generation, number);
	g_autoptr(GBytes) stored = prolly_value_new_inline(PROLLY_KIND_FILE, value, strlen(value));
	ProllyPlace place = {"ns", (const uint8_t *)key, strlen(key)};

	prolly_edit_put(repo, branch, &place, stored, NULL, PROLLY_EDIT_KEEP_ATTRS, NULL, &error);
	g_assert_no_error(error);
}

static void commit_staged(ProllyRepo *repo, ProllyBranch *branch)
{
	ProllySignature author = {(char *)"A", (char *)"a@example.com", 1000000000, 0};
	ProllyCommitOptions options = {.message = "one", .author = &author, .committer = &author};
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;
	uint64_t changes;

	prolly_history_commit(repo, branch, &options, &id, &changes, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(changes, >, 0);
}

/* ---- Tests ------------------------------------------------------------------------------- */

/* One sync makes all of it durable: nodes, git objects, the reference. git finds them at once. */
static void test_syncs(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	ProllyBranch *branch = lookup(repo, "main");

	for (int i = 0; i < 50; i++) {
		n_syncs = 0;
		stage(repo, branch, i, 1);
		g_assert_cmpuint(n_syncs, ==, 0);
		commit_staged(repo, branch);
		/* The first write to a log that is new syncs its directory too. */
		g_assert_cmpuint(n_syncs, ==, i == 0 ? 2 : 1);
	}
	prolly_branch_unref(branch);
	prolly_repo_free(repo);
	run("git -C '%s/git' fsck --strict --no-dangling && test $(git -C '%s/git' rev-list "
	    "--count "
	    "main) = 51",
	    self->store, self->store);
}

/* Enough for a tree of three levels, in a table of its own. */
static void load_many(ProllyRepo *repo, ProllyBranch *branch, int n)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyLoad) load = NULL;

	prolly_load_new(repo, branch, "ns", &load, &error);
	g_assert_no_error(error);
	for (int i = 0; i < n; i++) {
		g_autofree char *key = g_strdup_printf("key/%08d", i);
		g_autofree char *value = g_strdup_printf("%0100d", i);

		prolly_load_add(load, key, strlen(key), value, strlen(value), &error);
		g_assert_no_error(error);
	}
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
	commit_staged(repo, branch);
}

/* Reads of the back end, of which the cache knew nothing. */
static uint64_t get_misses(ProllyRepo *repo)
{
	g_autoptr(GError) error = NULL;
	ProllyStoreFigures figures;

	prolly_store_get_figures(prolly_repo_get_context(repo)->store, &figures, &error);
	g_assert_no_error(error);
	return figures.cache_misses;
}

static void get_cold(const char *store, int number)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *key = g_strdup_printf("key/%08d", number);
	g_autoptr(GArray) namespaces = NULL;
	g_auto(ProllyValueRef) value = {0};
	ProllyRepo *repo = open_spec(store);
	ProllyNamespaceFigures figures;
	ProllyCommitId head;
	uint64_t before;

	get_head(repo, "main", &head);
	prolly_commit_load_namespaces(repo, &head, &namespaces, &error);
	g_assert_no_error(error);
	before = get_misses(repo);
	prolly_tree_get(prolly_repo_get_context(repo),
			&g_array_index(namespaces, ProllyNamespace, 0).tree, key, strlen(key),
			&value, &error);
	g_assert_no_error(error);
	g_assert_nonnull(value.node);
	before = get_misses(repo) - before;

	g_autoptr(ProllyView) view = NULL;

	prolly_view_new_commit(repo, &head, &view, &error);
	g_assert_no_error(error);
	prolly_view_get_figures(view, "ns", &figures, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(figures.height, >=, 3);
	g_assert_cmpuint(before, ==, figures.height);
	g_clear_pointer(&view, prolly_view_unref);
	prolly_value_ref_clear(&value);
	prolly_repo_free(repo);
}

/* The first read of a store just opened reads one node a level. */
static void test_cold_get(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	ProllyBranch *branch = lookup(repo, "main");

	load_many(repo, branch, 40000);
	prolly_branch_unref(branch);
	prolly_repo_free(repo);
	for (int i = 0; i < 10; i++)
		get_cold(self->store, i * 3999);
}

/* ---- Space ------------------------------------------------------------------------------- */

#define LOADED       300000u
#define COMMITS      200u
#define PATH_ON_DISK 16384 /* bytes that a commit of one key may leave */

/* Key and value of entry NUMBER, which do not compress but for the key's beginning. */
static void make_entry(uint32_t number, char key[25], uint8_t value[100])
{
	uint64_t x = (number + 1) * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

	g_snprintf(key, 25, "user/%08u/profile/nm", number);
	for (int i = 0; i < 100; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		value[i] = (uint8_t)(x >> 32);
	}
}

/* Those of even numbers are there; the odd ones come with the commits. */
static void load_entries(ProllyRepo *repo, ProllyBranch *branch)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyLoad) load = NULL;

	prolly_load_new(repo, branch, "ns", &load, &error);
	g_assert_no_error(error);
	for (uint32_t i = 0; i < LOADED; i++) {
		uint8_t value[100];
		char key[25];

		make_entry(2 * i, key, value);
		prolly_load_add(load, key, 24, value, sizeof(value), &error);
		g_assert_no_error(error);
	}
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
	commit_staged(repo, branch);
}

static void stage_entry(ProllyRepo *repo, ProllyBranch *branch, uint32_t number)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) stored = NULL;
	uint8_t value[100];
	char key[25];
	ProllyPlace place = {"ns", (const uint8_t *)key, 24};

	make_entry(number, key, value);
	stored = prolly_value_new_inline(PROLLY_KIND_FILE, value, sizeof(value));
	prolly_edit_put(repo, branch, &place, stored, NULL, PROLLY_EDIT_KEEP_ATTRS, NULL, &error);
	g_assert_no_error(error);
}

/* Bytes of the database's files, which is closed. */
static uint64_t measure_database(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	uint64_t bytes = 0;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);
		struct stat st;

		if ((g_str_has_suffix(name, ".sst") || g_str_has_suffix(name, ".log")) &&
		    stat(file, &st) == 0)
			bytes += (uint64_t)st.st_size;
	}
	return bytes;
}

static void compact_database(const char *path)
{
	static const uint8_t end[64] = {[0 ... 63] = 0xff};
	ProllyDbOptions options = {.path = path};
	g_autoptr(GError) error = NULL;
	ProllyDb *db = NULL;

	prolly_db_open(&options, &db, &error);
	g_assert_no_error(error);
	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++)
		prolly_db_compact_range(db, (ProllyDbFamily)i, "", 0, end, sizeof(end), UINT64_MAX);
	prolly_db_close(db);
}

/* A load takes little more than its data; a commit of one key its two paths, of the values' tree and
 * of the attributes', compressed, however long ago it was. */
static void test_space(Fixture *self, gconstpointer data)
{
	g_autofree char *path = g_build_filename(self->store, "data", NULL);
	ProllyRepo *repo = new_store(self);
	ProllyBranch *branch = lookup(repo, "main");
	uint64_t loaded, before, committed, compacted;

	load_entries(repo, branch);
	prolly_branch_unref(branch);
	prolly_repo_free(repo);
	loaded = measure_database(path);
	g_test_message("%.1f bytes an entry", (double)loaded / LOADED);
	g_assert_cmpuint(loaded, <, (uint64_t)LOADED * 124 * 11 / 10);

	compact_database(path);
	before = measure_database(path);
	repo = open_spec(self->store);
	branch = lookup(repo, "main");
	for (uint32_t i = 0; i < COMMITS; i++) {
		stage_entry(repo, branch, 2 * (i * 7919 % LOADED) + 1);
		commit_staged(repo, branch);
	}
	prolly_branch_unref(branch);
	prolly_repo_free(repo);
	committed = measure_database(path) - before;
	compact_database(path);
	compacted = measure_database(path) - before;
	g_test_message("%.0f bytes a commit, compacted %.0f", (double)committed / COMMITS,
		       (double)compacted / COMMITS);
	g_assert_cmpuint(committed, <=, COMMITS * PATH_ON_DISK);
	g_assert_cmpuint(compacted, <=, COMMITS * PATH_ON_DISK);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/cost/commit/syncs", Fixture, NULL, set_up, test_syncs, tear_down);
	g_test_add("/cost/get/cold", Fixture, NULL, set_up, test_cold_get, tear_down);
	g_test_add("/cost/commit/space", Fixture, NULL, set_up, test_space, tear_down);
	return g_test_run();
}
