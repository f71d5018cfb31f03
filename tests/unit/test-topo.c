/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories in topological order, over git's commit-graph file.
 *
 * Random histories of several roots, merges and octopuses, some with clocks that ran backwards, are
 * made by git, and read with a commit-graph file of all of them, of the first half, and without one.
 * The order must be that of `git log --topo-order`, ranges and --since included, in a copy that has the
 * whole file: without it git itself is misled by clocks. What is looked at is counted: a few commits
 * for the first few of a long history.
 *
 * A commit-graph file with any byte changed gives a log or an error, and never reads outside.
 */
#include "repo-fixture.h"

#include "version/topo-private.h"

#define N_COMMITS 120

/* ---- Histories --------------------------------------------------------------------------- */

/* Makes the commits from FROM on and below UNTIL; those before are there. SKEWS: some have a clock that
 * ran backwards. */
static void import(Fixture *self, GRand *shape, bool skews, int from, int until)
{
	g_autoptr(GString) stream = g_string_new(NULL);
	g_autofree char *path = g_build_filename(self->dir, "stream", NULL);
	g_autoptr(GError) error = NULL;

	for (int i = from; i < until; i++) {
		int n_parents = i == 0 ? 0 : g_rand_int_range(shape, 0, 40);
		int time = 1900000000 + 60 * i -
			   (skews && g_rand_int_range(shape, 0, 8) == 0 ? 6000 : 0);

		n_parents = n_parents == 0 ? 0 : n_parents < 28 ? 1 : n_parents < 38 ? 2 : 3;
		g_string_append_printf(stream,
				       "commit refs/heads/n%d\nmark :%d\n"
				       "committer x <x@example.org> %d +0000\ndata 1\n-\n",
				       i, i + 1, time);
		for (int p = 0; p < n_parents; p++)
			g_string_append_printf(stream, "%s :%d\n", p ? "merge" : "from",
					       1 + g_rand_int_range(shape, MAX(0, i - 12), i));
		g_string_append_c(stream, '\n');
	}
	g_file_set_contents(path, stream->str, (gssize)stream->len, &error);
	g_assert_no_error(error);
	run("git --git-dir='%s/git' fast-import --quiet --import-marks-if-exists='%s/marks' "
	    "--export-marks='%s/marks' <'%s'",
	    self->store, self->dir, self->dir, path);
}

static void write_graph(Fixture *self)
{
	run("git --git-dir='%s/git' commit-graph write --reachable", self->store);
}

/* ---- Logs -------------------------------------------------------------------------------- */

static void resolve(ProllyRepo *repo, int number, ProllyCommitId *out_id)
{
	g_autofree char *name = g_strdup_printf("refs/heads/n%d", number);
	g_autofree char *hex =
		capture("git --git-dir='%s' rev-parse %s", repo->body->git->dir, name);

	g_assert_true(prolly_commit_id_from_hex(hex, out_id));
}

/* (transfer full) Ids, one a line. */
static char *list(ProllyRepo *repo, const ProllyLogOptions *options)
{
	GString *text = g_string_new(NULL);
	g_autoptr(ProllyTopo) topo = NULL;
	g_autoptr(GError) error = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	ProllyCommitId id;
	bool end = false;

	prolly_topo_new(repo, options, &topo, &error);
	g_assert_no_error(error);
	while (prolly_topo_next(topo, &id, &end, &error) && !end)
		g_string_append_printf(text, "%s\n", prolly_commit_id_to_hex(&id, hex));
	g_assert_no_error(error);
	return g_strchomp(g_string_free(text, FALSE));
}

/* COPY: a repository with the same commits and a commit-graph of all of them. */
static void compare_with_git(ProllyRepo *repo, GRand *rand, const char *copy)
{
	int numbers[3] = {g_rand_int_range(rand, 0, N_COMMITS),
			  g_rand_int_range(rand, 0, N_COMMITS),
			  g_rand_int_range(rand, 0, N_COMMITS)};
	int64_t since = 1900000000 + 60 * g_rand_int_range(rand, 0, N_COMMITS);
	ProllyCommitId ids[3];

	for (int i = 0; i < 3; i++)
		resolve(repo, numbers[i], &ids[i]);
	for (size_t starts = 1; starts <= 2; starts++) {
		for (size_t hidden = 0; hidden <= 1; hidden++) {
			ProllyLogOptions options = {.starts = ids,
						    .n_starts = starts,
						    .hidden = &ids[2],
						    .n_hidden = hidden,
						    .has_since = g_rand_boolean(rand),
						    .since = since};
			g_autofree char *limit =
				options.has_since
					? g_strdup_printf("--since=@%" G_GINT64_FORMAT, since)
					: g_strdup("");
			g_autofree char *ours = list(repo, &options);
			g_autofree char *git = NULL;

			git = capture("git --git-dir='%s' log --topo-order --format=%%H %s n%d n%d "
				      "%s%d --",
				      copy, limit, numbers[0], numbers[starts - 1],
				      hidden ? "^n" : "n", numbers[hidden ? 2 : 0]);
			g_assert_cmpstr(ours, ==, git);
		}
	}
}

static void test_order(Fixture *self, gconstpointer data)
{
	unsigned seed = GPOINTER_TO_UINT(data);
	g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
	g_autofree char *copy = g_build_filename(self->dir, "copy", NULL);
	bool skews = seed % 2;
	ProllyRepo *repo;

	g_test_message("seed %u", seed);
	init_store(self);
	import(self, rand, skews, 0, N_COMMITS / 2);
	if (seed % 3)
		write_graph(self);
	import(self, rand, skews, N_COMMITS / 2, N_COMMITS);
	if (seed % 3 == 2)
		write_graph(self);
	run("cp -r '%s/git' '%s'", self->store, copy);
	run("git --git-dir='%s' commit-graph write --reachable", copy);
	repo = open_spec(self->store);
	for (int i = 0; i < 5; i++)
		compare_with_git(repo, rand, copy);
	prolly_repo_free(repo);
}

/* ---- What it costs ----------------------------------------------------------------------- */

/* How many commits are looked at for the first N. */
static unsigned count(ProllyRepo *repo, const ProllyLogOptions *options, unsigned n)
{
	g_autoptr(ProllyTopo) topo = NULL;
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;
	bool end = false;

	prolly_topo_new(repo, options, &topo, &error);
	g_assert_no_error(error);
	while (n--) {
		g_assert_true(prolly_topo_next(topo, &id, &end, &error));
		g_assert_false(end);
	}
	return prolly_topo_count(topo);
}

/* 20 of 20000 commits, with a merge of a side line in every tenth. */
static void test_cost(Fixture *self, gconstpointer data)
{
	const int n = 20000;
	g_autoptr(GString) stream = g_string_new(NULL);
	g_autofree char *path = g_build_filename(self->dir, "stream", NULL);
	g_autoptr(GError) error = NULL;
	ProllyCommitId ids[2];
	ProllyRepo *repo;

	for (int i = 1; i <= n; i++) {
		g_string_append_printf(
			stream,
			"commit refs/heads/%s\nmark :%d\ncommitter x <x@y> %d +0000\n"
			"data 1\n-\n",
			i % 10 == 9 ? "side" : "n0", i, 1900000000 + i);
		if (i > 1)
			g_string_append_printf(stream, "from :%d\n", i % 10 == 0 ? i - 2 : i - 1);
		if (i % 10 == 0)
			g_string_append_printf(stream, "merge :%d\n", i - 1);
	}
	g_file_set_contents(path, stream->str, (gssize)stream->len, &error);
	g_assert_no_error(error);
	init_store(self);
	run("git --git-dir='%s/git' fast-import --quiet --force <'%s'", self->store, path);
	run("git --git-dir='%s/git' branch n1 n0~100", self->store);
	write_graph(self);
	repo = open_spec(self->store);
	resolve(repo, 0, &ids[0]);
	resolve(repo, 1, &ids[1]);

	ProllyLogOptions options = {.starts = ids, .n_starts = 1};
	g_assert_cmpuint(count(repo, &options, 20), <, 40);
	options.hidden = &ids[1];
	options.n_hidden = 1;
	g_assert_cmpuint(count(repo, &options, 20), <, 200);
	run("rm '%s/git/objects/info/commit-graph'", self->store);
	options.n_hidden = 0;
	g_assert_cmpuint(count(repo, &options, 20), ==, (unsigned)n);
	prolly_repo_free(repo);
	/* the journal was asked for another, and wrote it at the latest when the store was closed */
	run("git --git-dir='%s/git' commit-graph verify", self->store);
	repo = open_spec(self->store);
	g_assert_cmpuint(count(repo, &options, 20), <, 40);
	prolly_repo_free(repo);
}

/* ---- Damage ------------------------------------------------------------------------------ */

static void test_damage(Fixture *self, gconstpointer data)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);
	g_autofree char *path = NULL, *bytes = NULL;
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;
	ProllyRepo *repo;
	gsize len;

	init_store(self);
	import(self, rand, true, 0, 20);
	write_graph(self);
	repo = open_spec(self->store);
	resolve(repo, 19, &id);
	path = g_build_filename(self->store, "git", "objects", "info", "commit-graph", NULL);
	g_file_get_contents(path, &bytes, &len, &error);
	g_assert_no_error(error);
	for (gsize i = 0; i < len; i += 2) {
		ProllyLogOptions options = {.starts = &id, .n_starts = 1};
		g_autoptr(ProllyTopo) topo = NULL;
		g_autoptr(GError) ignored = NULL;
		ProllyCommitId next;
		bool end = false;
		char was = bytes[i];

		bytes[i] = (char)(was ^ (1 << g_rand_int_range(rand, 0, 8)));
		unlink(path);
		g_file_set_contents(path, bytes, (gssize)(i % 7 ? len : i), &error);
		g_assert_no_error(error);
		bytes[i] = was;
		if (prolly_topo_new(repo, &options, &topo, &ignored))
			while (!end && prolly_topo_next(topo, &next, &end, &ignored))
				;
	}
	prolly_repo_free(repo);
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);
	for (unsigned seed = 1; seed <= 6; seed++) {
		g_autofree char *name = g_strdup_printf("/version/topo/order/%u", seed);

		g_test_add(name, Fixture, GUINT_TO_POINTER(seed), set_up, test_order, tear_down);
	}
	WITH_STORE("topo/cost", test_cost);
	WITH_STORE("topo/damage", test_damage);
	return g_test_run();
}
