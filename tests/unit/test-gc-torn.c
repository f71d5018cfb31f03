/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Garbage collection, and objects of git that a power cut has left empty, or git a pack of half.
 */
#include "gc-fixture.h"

/* (transfer full) The path of the loose object HEX. */
static char *get_path(Fixture *self, const char *hex)
{
	return g_strdup_printf("%s/git/objects/%.2s/%s", self->store, hex, hex + 2);
}

static bool is_loose(Fixture *self, const char *hex)
{
	g_autofree char *path = get_path(self, hex);

	return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void tear(Fixture *self, const char *hex)
{
	g_autofree char *path = get_path(self, hex);

	run("test -s '%s' && chmod +w '%s' && : >'%s'", path, path, path);
}

/* (transfer full) */
static char *resolve(Fixture *self, const char *revision)
{
	return capture("git --git-dir='%s/git' rev-parse '%s'", self->store, revision);
}

/* (transfer full) REVISION of branch b, which has VALUE, is torn, and nothing reaches it. */
static char *leave_torn(Fixture *self, ProllyRepo *repo, const char *revision, const char *value,
			bool is_old)
{
	char *hex;

	prolly_branch_unref(create(repo, "b", -1));
	must_commit(repo, "b", "ns", "k", value);
	hex = resolve(self, revision);
	assert_delete(repo, "b", true, -1);
	if (is_old)
		run("find '%s/git/objects' -type f -exec touch -d '3 weeks ago' {} +", self->store);
	tear(self, hex);
	return hex;
}

/* What a power cut has left of objects that nothing reaches is left alone until it is old; of one that
 * is reached it is said. */
static void test_torn(Fixture *self, gconstpointer data)
{
	static const char *const revisions[] = {"b", "b^{tree}", "b:ns-ns"};
	ProllyGcOptions options = {.prune_before = PROLLY_GC_DEFAULT};
	g_autoptr(ProllyRepo) repo = new_store(self);
	char *torn[G_N_ELEMENTS(revisions)];
	g_autofree char *reached = NULL;
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;

	for (size_t i = 0; i < G_N_ELEMENTS(revisions); i++)
		torn[i] = leave_torn(self, repo, revisions[i], revisions[i], false);
	must_commit(repo, "main", "ns", "k", "v");
	for (int i = 0; i < 2; i++)
		collect(repo, PROLLY_GC_DEFAULT, &figures);
	for (size_t i = 0; i < G_N_ELEMENTS(revisions); i++)
		g_assert_true(is_loose(self, torn[i]));
	run("find '%s/git/objects' -type f -exec touch -d '3 weeks ago' {} +", self->store);
	collect(repo, PROLLY_GC_DEFAULT, &figures);
	for (size_t i = 0; i < G_N_ELEMENTS(revisions); i++) {
		g_assert_false(is_loose(self, torn[i]));
		g_free(torn[i]);
	}
	run("git --git-dir='%s/git' fsck --strict", self->store);
	must_commit(repo, "main", "ns", "k", "w");
	reached = resolve(self, "main^{tree}");
	tear(self, reached);
	g_assert_false(prolly_gc_run(repo, &options, &figures, &error));
	g_assert_nonnull(strstr(error->message, reached));
	g_assert_true(is_loose(self, reached));
}

static bool commit_again(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data,
			 GError **error)
{
	ProllyRepo **repo = data;

	if (phase == PROLLY_GC_PACKING && *repo)
		must_commit(g_steal_pointer(repo), "main", "ns", "k", "again");
	return true;
}

/* One that was torn, and is made again while a collection runs, keeps what it refers to. */
static void test_torn_again(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyRepo) repo = new_store(self);
	ProllyRepo *left = repo;
	ProllyGcOptions options = {
		.prune_before = PROLLY_GC_DEFAULT, .progress = commit_again, .data = &left};
	g_autoptr(GError) error = NULL;
	g_autofree char *torn = NULL;
	ProllyGcFigures figures;

	torn = leave_torn(self, repo, "b^{tree}", "again", true);
	prolly_gc_run(repo, &options, &figures, &error);
	g_assert_no_error(error);
	g_assert_null(left);
	run("git --git-dir='%s/git' fsck --strict", self->store);
	assert_value(repo, "main", "k", "again");
}

/* Git packs anew: of its old pack there is the index yet. */
static void test_index_alone(Fixture *self, gconstpointer data)
{
	ProllyGcOptions options = {.prune_before = PROLLY_GC_NOW};
	g_autoptr(ProllyRepo) repo = new_store(self);
	g_autoptr(GError) error = NULL;
	ProllyGcFigures figures;

	must_commit(repo, "main", "ns", "k", "1");
	run("cd '%s/git' && git --git-dir=. repack -adq && cd objects/pack && "
	    "cp pack-*.idx pack-0123456789012345678901234567890123456789.idx",
	    self->store);
	prolly_gc_run(repo, &options, &figures, &error);
	g_assert_no_error(error);
	assert_value(repo, "main", "k", "1");
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	WITH_STORE("gc/torn", test_torn);
	WITH_STORE("gc/torn-again", test_torn_again);
	WITH_STORE("gc/index-alone", test_index_alone);
	return g_test_run();
}
