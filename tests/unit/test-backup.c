/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups of a store in whose git directory somebody else is at work.
 */
#include "repo-fixture.h"

#include "version/backup.h"
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

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	g_test_add("/version/backup/repacked", Fixture, "-adq", set_up, test_repacked, tear_down);
	g_test_add("/version/backup/packed-beside", Fixture, "-aq", set_up, test_repacked,
		   tear_down);
	return g_test_run();
}
