/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References that cannot both be there, since one's name is a directory of the other's: whoever comes
 * second is refused before anything has happened, and what git did since a publication happened stands.
 */
#include "repo-fixture.h"

#include "version/tag.h"

#define N_ROUNDS 60

static ProllyRepo *new_repo(Fixture *self, gconstpointer spec)
{
	return spec ? open_spec(spec) : new_store(self);
}

/* ---- Who comes second --------------------------------------------------------------------- */

/* As a publication does it that asked whether NAME is free before OTHER was made. */
static void assert_clash(ProllyRepo *repo, const char *name, const char *other)
{
	ProllyRefs *refs = repo->body->git->refs;
	g_autofree char *text = g_strdup_printf("%s exists, so %s cannot be made", other, name);
	g_autoptr(GError) error = NULL;
	ProllyRefUpdate update = {.name = (char *)name, .log = (char *)""};

	get_head(repo, "main", &update.to);
	g_mutex_lock(&repo->body->git_lock);
	g_assert_false(refs->ops->lock(refs, &update, &error));
	g_mutex_unlock(&repo->body->git_lock);
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
	g_assert_cmpstr(error->message, ==, text);
}

static void test_second(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = new_repo(self, spec);

	prolly_branch_unref(create(repo, "a/b", -1));
	prolly_branch_unref(create(repo, "c", -1));
	for (int packed = 0; packed <= (spec == NULL); packed++) {
		if (packed)
			run("git --git-dir='%s/git' pack-refs --all", self->store);
		assert_clash(repo, "refs/heads/a", "refs/heads/a/b");
		assert_clash(repo, "refs/heads/a/b/x/y", "refs/heads/a/b");
		assert_clash(repo, "refs/heads/c/d", "refs/heads/c");
	}
	prolly_branch_unref(create(repo, "ab", -1));
	prolly_repo_free(repo);
}

typedef struct {
	ProllyRepo *repo;
	const char *format;
	gint *arrived; /* borrowed */
	bool made[N_ROUNDS];
} Tagger;

static gpointer make_tags(gpointer data)
{
	Tagger *self = data;
	ProllyTagOptions options = {0};
	ProllyCommitId head;

	get_head(self->repo, "main", &head);
	for (int i = 0; i < N_ROUNDS; i++) {
		g_autofree char *name = g_strdup_printf("t%d%s", i, self->format);
		g_autoptr(GError) error = NULL;

		g_atomic_int_inc(self->arrived);
		while (g_atomic_int_get(self->arrived) < 2 * (i + 1))
			g_thread_yield();
		self->made[i] = prolly_tag_create(self->repo, name, &head, &options, &error);
		if (!self->made[i])
			g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
	}
	return NULL;
}

/* Tags take no lock that is their own: two threads see that a name is free. */
static void test_at_once(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = new_repo(self, spec);
	gint arrived = 0;
	Tagger one = {.repo = repo, .format = "", .arrived = &arrived};
	Tagger two = {.repo = repo, .format = "/x", .arrived = &arrived};
	GThread *thread = g_thread_new("tagger", make_tags, &one);

	make_tags(&two);
	g_thread_join(thread);
	for (int i = 0; i < N_ROUNDS; i++)
		g_assert_true(one.made[i] != two.made[i]);
	must_commit(repo, "main", "ns", "k", "v");
	prolly_repo_free(repo);
	if (!spec)
		prolly_repo_free(open_spec(self->store));
}

/* What a killed git was about to make is no reference, and its directory is in the way of one. */
static void test_killed_git(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);

	run("mkdir -p '%s/git/refs/heads/x/z' && touch '%s/git/refs/heads/x/y.lock'", self->store,
	    self->store);
	g_assert_null(create(repo, "x", PROLLY_ERROR_BUSY));
	must_commit(repo, "main", "ns", "k", "v");
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	run("rm '%s/git/refs/heads/x/y.lock'", self->store);
	prolly_branch_unref(create(repo, "x", -1));
	prolly_repo_free(repo);
}

static void rename_branch(ProllyRepo *repo, const char *from, const char *to)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, from);
	g_autoptr(GError) error = NULL;

	prolly_branch_rename(repo, branch, NULL, to, &error);
	g_assert_no_error(error);
}

/* What a branch is renamed from is not in its way. */
static void test_renamed(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = new_repo(self, spec);

	prolly_branch_unref(create(repo, "a", -1));
	for (int packed = 0; packed <= (spec == NULL); packed++) {
		if (packed)
			run("git --git-dir='%s/git' pack-refs --all", self->store);
		rename_branch(repo, "a", "a/b");
		assert_branches(repo, "a/b main");
		rename_branch(repo, "a/b", "a");
		assert_branches(repo, "a main");
	}
	prolly_repo_free(repo);
}

/* ---- What git did since ------------------------------------------------------------------- */

/* git is at work between our lock and what we do under it. */
static void test_between(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	ProllyRefs *refs = repo->body->git->refs;
	ProllyRefUpdate update = {.name = (char *)"refs/heads/x",
				  .log = (char *)"C <c@d> 1 +0000\tbranch: Created"};
	g_autoptr(GError) error = NULL;

	get_head(repo, "main", &update.to);
	g_mutex_lock(&repo->body->git_lock);
	refs->ops->lock(refs, &update, &error);
	g_assert_no_error(error);
	run("git --git-dir='%s/git' branch x/y main", self->store);
	refs->ops->apply(refs, &update, &error);
	g_mutex_unlock(&repo->body->git_lock);
	g_assert_no_error(error);
	assert_branches(repo, "main x/y");
	run("cd '%s/git' && test ! -e refs/heads/x.lock && test ! -f logs/refs/heads/x",
	    self->store);
	prolly_repo_free(repo);
}

#define CRASH_STORE "PROLLY_TEST_CRASH_STORE"

/* Ends without closing, with all of it in the journal. */
static void crash_subprocess(void)
{
	ProllyRepo *repo = open_spec(g_getenv(CRASH_STORE));

	prolly_branch_unref(create(repo, "a", -1));
	assert_delete(repo, "a", true, -1);
	prolly_branch_unref(create(repo, "a/b", -1));
	prolly_branch_unref(create(repo, "c/d", -1));
	assert_delete(repo, "c/d", true, -1);
	prolly_branch_unref(create(repo, "c", -1));
	_exit(0);
}

static void test_crash(Fixture *self, gconstpointer data)
{
	const char *const *setting = data; /* what git does then, and what there is in the end */
	ProllyRepo *repo;

	init_store(self);
	g_setenv(CRASH_STORE, self->store, TRUE);
	g_test_trap_subprocess("/version/refs/crash/subprocess", 0,
			       G_TEST_SUBPROCESS_INHERIT_STDERR);
	g_test_trap_assert_passed();
	run("cd '%s/git' && export GIT_DIR=. && %s", self->store, setting[0]);
	repo = open_spec(self->store);
	assert_branches(repo, setting[1]);
	must_commit(repo, "main", "ns", "k", "v");
	prolly_branch_unref(create(repo, "other", -1));
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	run("git --git-dir='%s/git' fsck --strict", self->store);
	prolly_repo_free(repo);
}

/* Elsewhere than where the journal has them. */
#define GIT_MAKES_OTHERS                                                             \
	"git branch -qD a/b c && new=$(git commit-tree -p main -m new main^{tree}) " \
	"&& git branch a $new && git branch c/d $new"

static const char *const settings[][3] = {
	{"true", "a/b c main", "/version/refs/crash/made-again"},
	{GIT_MAKES_OTHERS, "a c/d main", "/version/refs/crash/git-made-others"},
	{GIT_MAKES_OTHERS " && git pack-refs --all", "a c/d main",
	 "/version/refs/crash/git-packed-others"},
	/* c is what a power cut has taken, and a git was killed that made another */
	{"rm refs/heads/c && mkdir refs/heads/c && touch refs/heads/c/x.lock", "a/b c main",
	 "/version/refs/crash/git-killed"},
};

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	WITH_BOTH("refs/second", test_second);
	WITH_BOTH("refs/at-once", test_at_once);
	WITH_BOTH("refs/renamed", test_renamed);
	WITH_STORE("refs/killed-git", test_killed_git);
	WITH_STORE("refs/between", test_between);
	g_test_add_func("/version/refs/crash/subprocess", crash_subprocess);
	for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
		g_test_add(settings[i][2], Fixture, settings[i], set_up, test_crash, tear_down);
	return g_test_run();
}
