/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commits and reads cost on a store on disk, counted: calls that wait for the disk, nodes
 * written and read.
 */
#include "repo-fixture.h"

#include <sys/syscall.h>

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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/cost/commit/syncs", Fixture, NULL, set_up, test_syncs, tear_down);
	return g_test_run();
}
