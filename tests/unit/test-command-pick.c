/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cherry-pick and revert from the command line: several commits, what a dry run says of them, and
 * how those to come are gone on with. What comes of one is test-reconcile's business.
 */

#include "command-fixture.h"

/* Branch f: two commits on top of the first of main, which the second of them is built on. */
static void make_series(Fixture *f)
{
	done(f, "put ns/text one");
	done(f, "put ns/number 1");
	done(f, "-q commit -m base");
	done(f, "branch f");
	done(f, "-b f put ns/text theirs");
	done(f, "-b f put ns/new a");
	done(f, "-b f -q commit -m first");
	done(f, "-b f put ns/number 5");
	done(f, "-b f put ns/new b");
	done(f, "-b f -q commit -m second");
}

static void head_is(Fixture *f, const char *subject)
{
	done(f, "show HEAD --oneline --name-status");
	g_assert_nonnull(strstr(f->out->str, subject));
}

static void test_dry_run(Fixture *f, gconstpointer data)
{
	make_series(f);
	expect(f, 0, "Would merge without conflicts.\n", "cherry-pick --dry-run f~1 f");
	expect(f, 0, "Would merge without conflicts.\n", "cherry-pick --dry-run main..f");
	done(f, "--json cherry-pick --dry-run main..f");
	g_assert_true(g_str_has_prefix(f->out->str, "{\"result\":\"merged\",\"commit\":\""));
	head_is(f, " base\n");
	expect(f, 0, "", "diff");
	done(f, "-q cherry-pick f~1 f");
	expect(f, 0, "b", "get ns/new");
	expect(f, 0, "Would merge without conflicts.\n", "revert --dry-run HEAD HEAD~1");
	/* The other way round, the older commit's value is not what is there. */
	expect(f, 1, "CONFLICT (deleted-by-them): ns/new\nWould stop with conflicts.\n",
	       "revert --dry-run HEAD~1 HEAD");
	head_is(f, " second\n");
}

static void test_dry_run_goes_on(Fixture *f, gconstpointer data)
{
	make_series(f);
	done(f, "put ns/text ours");
	done(f, "-q commit -m ours");
	g_assert_cmpint(run(f, "cherry-pick f~1 f"), ==, 1);
	refused(f, EINVAL, "--dry-run", "cherry-pick --dry-run --continue");
	refused(f, EINVAL, "--dry-run", "cherry-pick --dry-run --skip");
	refused(f, EINVAL, "--dry-run", "cherry-pick --dry-run --abort");
	expect(f, 0, "both-modified    ns/text\n", "conflicts");
}

/* A merge in a series stops it before anything is made. */
static void test_merge_among_them(Fixture *f, gconstpointer data)
{
	make_series(f);
	done(f, "branch g f~2");
	done(f, "-b g put ns/g g");
	done(f, "-b g -q commit -m g");
	done(f, "-b g -q merge --no-ff f");
	refused(f, EINVAL, "is a merge", "cherry-pick f~1 g");
	head_is(f, " base\n");
	refused(f, ENOENT, "nothing unfinished", "cherry-pick --continue");
	done(f, "-q cherry-pick f~1 f");
}

/* The strategies of the first call go for the commits to come. */
static void test_strategies_stay(Fixture *f, gconstpointer data)
{
	static const char *const OPTIONS[] = {"-X number", "-s number"};

	make_series(f);
	done(f, "put ns/text ours");
	done(f, "put ns/number 2");
	done(f, "-q commit -m ours");
	for (size_t i = 0; i < G_N_ELEMENTS(OPTIONS); i++) {
		g_autofree char *line = g_strdup_printf("cherry-pick %s f~1 f", OPTIONS[i]);

		g_assert_cmpint(run(f, line), ==, 1);
		expect(f, 0, "both-modified    ns/text\n", "conflicts");
		done(f, "resolve --theirs ns/text");
		done(f, "-q cherry-pick --continue");
		expect(f, 0, "6", "get ns/number");
		expect(f, 0, "theirs", "get ns/text");
		expect(f, 0, "b", "get ns/new");
		done(f, "-q reset --hard HEAD~2");
	}
	/* Without the first commit, the second's new key is in conflict; its number is not. */
	for (size_t i = 0; i < G_N_ELEMENTS(OPTIONS); i++) {
		g_autofree char *line = g_strdup_printf("cherry-pick %s f~1 f", OPTIONS[i]);

		g_assert_cmpint(run(f, line), ==, 1);
		g_assert_cmpint(run(f, "cherry-pick --skip"), ==, 1);
		expect(f, 0, "deleted-by-us    ns/new\n", "conflicts");
		done(f, "cherry-pick --abort");
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_to("/command/pick/", "dry-run", test_dry_run);
	add_to("/command/pick/", "dry-run-goes-on", test_dry_run_goes_on);
	add_to("/command/pick/", "merge-among-them", test_merge_among_them);
	add_to("/command/pick/", "strategies-stay", test_strategies_stay);
	return g_test_run();
}
