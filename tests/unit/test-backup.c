/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups: of a store in whose git directory somebody else is at work; and those that are written.
 */
#include "repo-fixture.h"

#include "version/backup.h"
#include "version/edit.h"
#include "version/fsck.h"

#define COMMITS 6

typedef struct {
	Fixture *fixture;
	const char *options; /* of git repack */
	bool has_packed;
} Packer;

/* Packs all of the store's packs anew, as soon as something of them is in the backup. */
static bool pack_meanwhile(uint64_t files, uint64_t bytes, void *data, GError **error)
{
	Packer *packer = data;
	const char *store = packer->fixture->store;
	g_autofree char *packs = g_strconcat(store, "-copy.partial/git/objects/pack", NULL);
	g_autoptr(GDir) dir = g_dir_open(packs, 0, NULL);

	if (!packer->has_packed && dir && g_dir_read_name(dir)) {
		run("git --git-dir='%s/git' repack %s", store, packer->options);
		packer->has_packed = true;
	}
	return true;
}

static char *list_packs(const char *store)
{
	return capture("cd '%s/git/objects/pack' && ls", store);
}

static bool fail_damaged(const ProllyDamage *damage, void *data, GError **error)
{
	g_error("%s %s: %s", damage->kind, damage->object, damage->message);
	return false;
}

/* B3 of backup.c: several packs become one while they are copied, or OPTIONS leave them beside it. */
static void test_repacked(Fixture *self, gconstpointer options_of_git)
{
	ProllyRepo *repo = new_store(self);
	Packer packer = {.fixture = self, .options = options_of_git};
	ProllyBackupOptions options = {.progress = pack_meanwhile, .data = &packer};
	g_autofree char *copy = g_strconcat(self->store, "-copy", NULL);
	g_autofree char *left = NULL, *right = NULL, *size = NULL, *count = NULL;
	g_autoptr(GError) error = NULL;
	ProllyFsckOptions fsck = {.damage = fail_damaged};
	ProllyBackupFigures figures;
	uint64_t damaged;

	for (int i = 0; i < COMMITS; i++) {
		g_autofree char *value = g_strdup_printf("%d", i);

		must_commit(repo, "main", "ns", "k", value);
		run("git --git-dir='%s/git' repack -dq", self->store);
	}
	prolly_backup_run(repo, copy, &options, &figures, &error);
	g_assert_no_error(error);
	g_assert_true(packer.has_packed);

	run("git --git-dir='%s/git' fsck --strict", copy);
	left = list_packs(self->store);
	right = list_packs(copy);
	g_assert_cmpstr(left, ==, right);
	count = capture("git --git-dir='%s/git' rev-list --count main", copy);
	g_assert_cmpint(g_ascii_strtoll(count, NULL, 10), ==, COMMITS + 1);
	/* what was copied in vain is not counted, nor are the marker and the lock */
	size = capture("find '%s' -type f ! -name backup ! -name lock | wc -l", copy);
	g_assert_cmpuint(figures.files, ==, g_ascii_strtoull(size, NULL, 10));
	g_assert_cmpuint(figures.copied_files, ==, figures.files);
	prolly_repo_free(repo);

	repo = open_spec(copy);
	assert_value(repo, "main", "k", "5");
	g_assert_true(prolly_fsck_run(repo, &fsck, &damaged, NULL));
	g_assert_cmpuint(damaged, ==, 0);
	prolly_repo_free(repo);
}

/* ---- A backup that is written ------------------------------------------------------------ */

static void write_key(ProllyRepo *repo)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(GBytes) stored = prolly_value_new_inline(PROLLY_KIND_FILE, "2", 1);
	const ProllyPlace place = {"ns", (const uint8_t *)"k", 1};
	g_autoptr(GError) error = NULL;

	prolly_edit_put(repo, branch, &place, stored, NULL, 0, NULL, &error);
	g_assert_no_error(error);
}

static void load_key(ProllyRepo *repo)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyLoad) load = NULL;
	g_autoptr(GError) error = NULL;

	prolly_load_new(repo, branch, "ns", &load, &error);
	g_assert_no_error(error);
	prolly_load_add(load, "k", 1, "2", 1, &error);
	g_assert_no_error(error);
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
}

static void commit_key_anew(ProllyRepo *repo)
{
	must_commit(repo, "main", "ns", "k", "2");
}

static void read_key(ProllyRepo *repo)
{
	assert_value(repo, "main", "k", "1");
}

typedef struct {
	void (*use)(ProllyRepo *repo);
	bool is_replaced; /* by the next backup */
} Use;

/* What is written by whatever call is not replaced by the next backup. */
static void test_used(Fixture *self, gconstpointer data)
{
	const Use *use = data;
	ProllyRepo *repo = new_store(self);
	g_autofree char *copy = g_strconcat(self->store, "-copy", NULL);
	g_autoptr(GError) error = NULL;
	ProllyBackupOptions options = {0};
	ProllyBackupFigures figures;

	must_commit(repo, "main", "ns", "k", "1");
	prolly_backup_run(repo, copy, &options, &figures, &error);
	g_assert_no_error(error);

	ProllyRepo *used = open_spec(copy);
	use->use(used);
	prolly_repo_free(used);
	prolly_backup_run(repo, copy, &options, &figures, &error);
	if (use->is_replaced)
		g_assert_no_error(error);
	else
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
	prolly_repo_free(repo);
}

int main(int argc, char **argv)
{
	static const Use writes = {write_key, false}, loads = {load_key, false};
	static const Use commits = {commit_key_anew, false}, reads = {read_key, true};

	set_identity();
	g_test_init(&argc, &argv, NULL);

	g_test_add("/version/backup/repacked", Fixture, "-adq", set_up, test_repacked, tear_down);
	g_test_add("/version/backup/packed-beside", Fixture, "-aq", set_up, test_repacked,
		   tear_down);
	g_test_add("/version/backup/written", Fixture, &writes, set_up, test_used, tear_down);
	g_test_add("/version/backup/loaded", Fixture, &loads, set_up, test_used, tear_down);
	g_test_add("/version/backup/committed", Fixture, &commits, set_up, test_used, tear_down);
	g_test_add("/version/backup/read", Fixture, &reads, set_up, test_used, tear_down);
	return g_test_run();
}
