/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging from the command line: what is printed, exit statuses, conflicts and what settles them.
 * What comes of a merge, key by key, is test-reconcile's and test-merge-model's business.
 */

#include "command-fixture.h"

#include "version/version-private.h"

static void test_merge(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "merge --dry-run side");
	g_assert_cmpstr(f->out->str, ==, "Would merge without conflicts.\n");
	refused(f, EPERM, "", "merge --ff-only side");
	done(f, "--json merge side");
	g_assert_true(g_str_has_prefix(f->out->str, "{\"result\":\"merged\",\"commit\":\""));
	g_assert_true(g_str_has_suffix(f->out->str, "\",\"conflicts\":[]}\n"));
	expect(f, 0, "theirs", "get ns/k1");
	expect(f, 0, "ours", "get ns/k2");
	done(f, "log -n 1");
	g_assert_nonnull(strstr(f->out->str, "    Merge branch 'side'\n"));
	g_assert_nonnull(strstr(f->out->str, "\nMerge: "));
	expect(f, 0, "Already up to date.\n", "merge side");
	done(f, "-b side merge main");
	g_assert_nonnull(strstr(f->out->str, "\nFast-forward\n"));
	done(f, "branch next");
	done(f, "-b next put ns/k9 x");
	done(f, "-b next -q commit -m nine");
	done(f, "-q merge --no-ff next");
	done(f, "log --oneline --graph");
	g_assert_nonnull(strstr(f->out->str, "|\\"));
	refused(f, ENOENT, "nothing", "merge nothing");
	refused(f, EINVAL, "--ff-only", "merge --no-ff --ff-only side");
	refused(f, ENOENT, "unfinished", "merge --abort");
	refused(f, ENOENT, "unfinished", "merge --continue");
	refused(f, EINVAL, "octopus", "merge side next");
	refused(f, EINVAL, "no REV", "merge --abort side");
	refused(f, EINVAL, "sideways", "merge -s sideways side");
}

static void test_conflicts(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "put ns/k1 mine");
	done(f, "put ns/added mine");
	done(f, "delete ns/k3");
	done(f, "-q commit -m mine");
	done(f, "-b side put ns/added theirs");
	done(f, "-b side put ns/k3 theirs");
	done(f, "-b side delete ns/k2");
	done(f, "-b side -q commit -m more");
	static const char CONFLICTS[] = "CONFLICT (both-added): ns/added\n"
					"CONFLICT (both-modified): ns/k1\n"
					"CONFLICT (deleted-by-them): ns/k2\n"
					"CONFLICT (deleted-by-us): ns/k3\n";
	expect(f, 1, CONFLICTS, "-q merge side");
	expect(f, 1, CONFLICTS, "-q merge --dry-run side");
	g_assert_cmpint(run(f, "--json merge side"), ==, 1);
	g_assert_true(g_str_has_prefix(f->out->str, "{\"result\":\"conflict\",\"commit\":\""));
	g_assert_nonnull(strstr(f->out->str,
				"\"conflicts\":[{\"namespace\":\"ns\",\"key\":\"added\","
				"\"path\":\"ns/added\",\"kind\":\"both-added\"},{"));
	expect(f, 0, "mine", "get ns/k1");
	expect(f, 0,
	       "both-added       ns/added\nboth-modified    ns/k1\n"
	       "deleted-by-them  ns/k2\ndeleted-by-us    ns/k3\n",
	       "conflicts");
	expect(f, 0, "", "-b side conflicts");
	refused(f, EINVAL, "PATHs", "resolve");
	refused(f, EINVAL, "--theirs", "resolve --ours --theirs ns/k1");
	expect(f, 0,
	       "On branch main\nA merge is not finished: 'conflicts' lists what it waits for; "
	       "'merge --abort' forgets it.\nnothing to commit, nothing is staged\n",
	       "status");
	done(f, "resolve --theirs ns/k1 ns/k2");
	refused(f, EBUSY, "unfinished merge", "merge side");
	expect(f, 1, "CONFLICT (both-added): ns/added\nCONFLICT (deleted-by-us): ns/k3\n",
	       "-q merge --continue");
	done(f, "put ns/added both");
	done(f, "resolve ns/added");
	done(f, "resolve --all --ours");
	expect(f, 0, "", "conflicts");
	done(f, "status");
	g_assert_nonnull(strstr(f->out->str, "finished: 'merge --continue' finishes it; "));
	done(f, "-q merge --continue");
	expect(f, 0, "theirs", "get ns/k1");
	expect(f, 1, "", "get ns/k2");
	expect(f, 1, "", "get ns/k3");
	expect(f, 0, "both", "get ns/added");
	expect(f, 0, "", "diff --name-status");
	refused(f, ENOENT, "unfinished", "merge --continue");
	expect(f, 0, "Already up to date.\n", "merge side");
}

static void test_abort(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "put ns/k1 mine");
	done(f, "-q commit -m mine");
	g_assert_cmpint(run(f, "-q merge side"), ==, 1);
	done(f, "put ns/k1 staged");
	done(f, "resolve ns/k1");
	done(f, "merge --abort");
	expect(f, 0, "", "conflicts");
	expect(f, 0, "staged", "get ns/k1");
	refused(f, ENOENT, "unfinished", "merge --abort");
	refused(f, ENOENT, "unfinished", "resolve --all");
	expect(f, 0, "theirs", "-b side get ns/k1");
}

static void test_squash(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "log --oneline");
	g_autofree char *log = g_strdup(f->out->str);
	done(f, "put ns/mine staged");
	done(f, "-b side put other/new theirs");
	done(f, "-b side delete ns/k3");
	done(f, "-b side -q commit -m more");
	refused(f, EINVAL, "--squash", "merge --squash --no-ff side");
	expect(f, 0, "The changes are staged; nothing was committed.\n", "merge --squash side");
	expect(f, 0, log, "log --oneline");
	expect(f, 0, "M\tns/k1\nD\tns/k3\nA\tns/mine\nA\tother/new\n", "diff --name-status");
	expect(f, 0, "theirs", "get ns/k1");
	expect(f, 0, "ours", "get ns/k2");
	refused(f, ENOENT, "unfinished", "merge --abort");
	done(f, "-q commit -m squashed");
	expect(f, 0, "", "diff --name-status");
	done(f, "log -n 1");
	g_assert_null(strstr(f->out->str, "Merge: "));
	expect(f, 0, "D\tns/mine\n", "diff --name-status main side -- ns/mine ns/k1 ns/k3 other");
}

/* A conflict of a squash is resolved like any, and continued it is staged. */
static void test_squash_conflict(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "put ns/k1 mine");
	done(f, "-q commit -m mine");
	g_assert_cmpint(run(f, "-q merge --squash side"), ==, 1);
	done(f, "resolve --theirs ns/k1");
	expect(f, 0, "The changes are staged; nothing was committed.\n", "merge --continue");
	expect(f, 0, "M\tns/k1\n", "diff --name-status");
	refused(f, ENOENT, "unfinished", "merge --continue");
}

static void test_no_commit(Fixture *f, gconstpointer data)
{
	make_history(f);
	expect(f, 0, "The changes are staged; nothing was committed.\n", "merge --no-commit side");
	expect(f, 0, "M\tns/k1\n", "diff --name-status");
	expect(f, 0, "", "conflicts");
	refused(f, EBUSY, "unfinished merge", "merge side");
	refused(f, EBUSY, "middle of a merge", "commit --amend -m x");
	done(f, "status");
	g_assert_nonnull(strstr(f->out->str, "finished: 'commit' makes its commit; "));
	done(f, "put ns/more also");
	done(f, "-q commit");
	done(f, "log -n 1");
	g_assert_nonnull(strstr(f->out->str, "Merge: "));
	g_assert_nonnull(strstr(f->out->str, "    Merge branch 'side'\n"));
	expect(f, 0, "also", "get ns/more");
	expect(f, 0, "", "diff --name-status");
	expect(f, 0, "Already up to date.\n", "merge side");
}

static void test_no_commit_abort(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "put ns/mine staged");
	done(f, "-b side put deep/a/b/c theirs");
	done(f, "-b side -q commit -m more");
	done(f, "-q merge --no-commit side");
	expect(f, 0, "theirs", "get deep/a/b/c");
	done(f, "put ns/later staged");
	done(f, "merge --abort");
	expect(f, 0, "A\tns/later\nA\tns/mine\n", "diff --name-status");
	expect(f, 0, "one", "get ns/k1");
	expect(f, 1, "", "ls deep");
	/* What is left of a merge may be nothing: it is a merge all the same. */
	done(f, "-q merge --no-commit -m again side");
	done(f, "put ns/k1 one");
	done(f, "delete deep/a/b/c ns/later ns/mine");
	done(f, "merge --continue");
	done(f, "log -n 1");
	g_assert_nonnull(strstr(f->out->str, "Merge: "));
	g_assert_nonnull(strstr(f->out->str, "    again\n"));
	expect(f, 0, "one", "get ns/k1");
}

/* What was staged stays, and its commit is one like any other. */
static void test_reset_ends_it(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "-q merge --no-commit side");
	done(f, "-q reset HEAD~1");
	refused(f, ENOENT, "unfinished", "merge --abort");
	expect(f, 0, "M\tns/k1\nM\tns/k2\n", "diff --name-status");
	done(f, "-q commit -m both");
	done(f, "log -n 1");
	g_assert_null(strstr(f->out->str, "Merge: "));
	done(f, "-q reset --hard HEAD~1");
	done(f, "put ns/k1 mine");
	done(f, "-q commit -m mine");
	g_assert_cmpint(run(f, "-q merge side"), ==, 1);
	done(f, "-q reset");
	expect(f, 0, "", "conflicts");
	refused(f, ENOENT, "unfinished", "merge --continue");
	expect(f, 0, "mine", "get ns/k1");
}

static void test_would_overwrite(Fixture *f, gconstpointer data)
{
	make_history(f);
	done(f, "put ns/k1 staged");
	refused(f, EBUSY, "ns/k1", "merge side");
	done(f, "put ns/k1 one");
	done(f, "put ns/other staged");
	done(f, "-q merge side");
	expect(f, 0, "A\tns/other\n", "diff --name-status");
}

/* ---- The observer ------------------------------------------------------------------------ */

static void hear(void *data, ProllyBranch *branch, const ProllyPlace *places, size_t n,
		 bool may_wait)
{
	g_assert_true(g_mutex_trylock(&branch->commit_lock));
	g_mutex_unlock(&branch->commit_lock);
	g_assert_true(g_mutex_trylock(&branch->write_lock));
	g_mutex_unlock(&branch->write_lock);
	++*(unsigned *)data;
}

/* Who is told of a merge may wait for somebody who waits for the branch: it has no lock any more. */
static void test_told(Fixture *f, gconstpointer data)
{
	static const ProllyObserver observer = {.changed = hear};
	static const char *const lines[] = {
		"merge side",
		"reset --hard HEAD~1",
		"merge --squash side",
		"reset --hard HEAD",
		"merge --no-commit side",
		"merge --abort",
		"cherry-pick side",
		"revert HEAD",
		"cherry-pick --no-commit side",
		"restore ns/k1",
		"put ns/k1 mine",
	};
	unsigned heard = 0, before;

	make_history(f);
	prolly_repo_set_observer(f->repo, &observer, &heard);
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		before = heard;
		done(f, lines[i]);
		g_assert_cmpuint(heard, >, before);
	}
	done(f, "-q commit -m mine");
	g_assert_cmpint(run(f, "-q merge side"), ==, 1);
	done(f, "resolve --theirs ns/k1");
	before = heard;
	done(f, "-q merge --continue");
	g_assert_cmpuint(heard, >, before);
	prolly_repo_set_observer(f->repo, NULL, NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_to("/command/merge/", "merge", test_merge);
	add_to("/command/merge/", "conflicts", test_conflicts);
	add_to("/command/merge/", "abort", test_abort);
	add_to("/command/merge/", "squash", test_squash);
	add_to("/command/merge/", "squash-conflict", test_squash_conflict);
	add_to("/command/merge/", "no-commit", test_no_commit);
	add_to("/command/merge/", "no-commit-abort", test_no_commit_abort);
	add_to("/command/merge/", "reset-ends-it", test_reset_ends_it);
	add_to("/command/merge/", "would-overwrite", test_would_overwrite);
	add_to("/command/merge/", "told", test_told);
	return g_test_run();
}
