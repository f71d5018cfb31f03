/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Branches, commits and what names them, on disk and in memory; and how stock git sees them.
 */
#include "repo-fixture.h"

/* ---- Branches ----------------------------------------------------------------------------- */

static void test_branches(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = spec ? open_spec(spec) : new_store(self);
	ProllyBranch *x = create(repo, "feature/x", -1);
	ProllyBranch *y = create(repo, "feature/y", -1);

	assert_branches(repo, "feature/x feature/y main");
	create(repo, "feature", PROLLY_ERROR_EXISTS);
	create(repo, "feature/x", PROLLY_ERROR_EXISTS);
	create(repo, "feature/x/z", PROLLY_ERROR_EXISTS);
	create(repo, "main/z", PROLLY_ERROR_EXISTS);
	g_assert_cmpuint(prolly_branch_get_id(x), !=, prolly_branch_get_id(y));

	must_commit(repo, "feature/x", "ns", "k", "x");
	assert_value(repo, "feature/x", "k", "x");
	assert_value(repo, "feature/y", "k", NULL);
	prolly_branch_unref(x);
	prolly_branch_unref(y);
	if (!spec) {
		prolly_repo_free(repo);
		repo = open_spec(self->store);
		assert_branches(repo, "feature/x feature/y main");
		assert_value(repo, "feature/x", "k", "x");
	}
	prolly_repo_free(repo);
}

static void test_branch_names(void)
{
	static const char *const bad[] = {
		"",   ".prollyfs", "a/.b", "a.lock", "a/b.lock/c", "a..b", "a b",   "a~1",
		"a^", "a:b",       "a?",   "a*",     "a[",         "a\\b", "a\x01", "a\n",
		"/a", "a/",        "a//b", "a.",     "HEAD",       "@",    "-a",    "a@{1}",
	};
	g_autofree char *longest = g_strnfill(250, 'x');
	g_autofree char *longer = g_strnfill(251, 'x');

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		if (prolly_branch_check_name(bad[i], &error))
			g_error("'%s' passed", bad[i]);
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
		g_assert_nonnull(strstr(error->message, bad[i]));
	}
	g_assert_true(prolly_branch_check_name("feature/x", NULL));
	g_assert_true(prolly_branch_check_name("déjà-vu_1%2F", NULL));
	g_assert_true(prolly_branch_check_name(longest, NULL));
	g_assert_false(prolly_branch_check_name(longer, NULL));
}

static void test_branch_delete(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = spec ? open_spec(spec) : new_store(self);
	uint32_t id;

	prolly_branch_unref(create(repo, "merged", -1));
	prolly_branch_unref(create(repo, "ahead", -1));
	must_commit(repo, "ahead", "ns", "k", "v");
	assert_delete(repo, "main", true, PROLLY_ERROR_BUSY);
	assert_delete(repo, "merged", false, -1);
	assert_delete(repo, "ahead", false, PROLLY_ERROR_NOT_EMPTY);
	assert_delete(repo, "ahead", true, -1);
	assert_branches(repo, "main");

	/* the name and the directory that was there are free again, with nothing of the old one */
	prolly_branch_unref(create(repo, "merged/x", -1));
	prolly_branch_unref(create(repo, "ahead", -1));
	assert_value(repo, "ahead", "k", NULL);
	assert_delete(repo, "merged/x", false, -1);
	g_autoptr(ProllyBranch) branch = create(repo, "merged", -1);
	id = prolly_branch_get_id(branch);
	g_assert_cmpuint(id, >, 4);
	g_clear_pointer(&branch, prolly_branch_unref);
	assert_branches(repo, "ahead main merged");
	prolly_repo_free(repo);
}

static void test_branch_rename(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = spec ? open_spec(spec) : new_store(self);
	g_autoptr(ProllyBranch) branch = create(repo, "a", -1);
	g_autoptr(ProllyBranch) other = create(repo, "other", -1);
	g_autoptr(GError) error = NULL;
	g_autofree char *name = NULL;
	uint32_t id = prolly_branch_get_id(branch);
	ProllyCommitId old;
	ProllyCommitId past;

	get_head(repo, "a", &old);
	must_commit(repo, "a", "ns", "k", "v");
	g_assert_false(prolly_branch_rename(repo, branch, NULL, "other/x", &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
	g_clear_error(&error);
	prolly_branch_rename(repo, branch, NULL, "a/b", &error);
	g_assert_no_error(error);
	assert_branches(repo, "a/b main other");
	name = prolly_branch_dup_name(branch);
	g_assert_cmpstr(name, ==, "a/b");
	assert_value(repo, "a/b", "k", "v");
	/* its reflog came along: the rename, the commit, the creation */
	prolly_revision_resolve(repo, "a/b@{2}", &past, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_commit_id_equal(&past, &old));
	prolly_branch_rename(repo, branch, NULL, "a", &error);
	g_assert_no_error(error);
	assert_branches(repo, "a main other");
	g_clear_pointer(&branch, prolly_branch_unref);
	g_clear_pointer(&other, prolly_branch_unref);
	if (!spec) {
		prolly_repo_free(repo);
		repo = open_spec(self->store);
	}
	branch = lookup(repo, "a");
	g_assert_cmpuint(prolly_branch_get_id(branch), ==, id);
	g_clear_pointer(&branch, prolly_branch_unref);
	assert_value(repo, "a", "k", "v");
	prolly_repo_free(repo);
}

/* ---- History ------------------------------------------------------------------------------ */

static void test_commit(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = spec ? open_spec(spec) : new_store(self);
	g_autoptr(ProllyCommit) commit = NULL;
	g_autoptr(GArray) namespaces = NULL;
	g_autoptr(GError) error = NULL;
	ProllyCommitId first;
	ProllyCommitId head;

	get_head(repo, "main", &first);
	must_commit(repo, "main", "", "top", "1");
	must_commit(repo, "main", "with space%", "k", "1");
	get_head(repo, "main", &head);
	prolly_commit_load(repo, &head, &commit, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(commit->n_parents, ==, 1);
	g_assert_cmpstr(commit->message, ==, "k = 1\n");

	prolly_commit_load_namespaces(repo, &head, &namespaces, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(namespaces->len, ==, 2);
	g_assert_cmpstr(g_array_index(namespaces, ProllyNamespace, 0).name, ==, "");
	g_assert_cmpstr(g_array_index(namespaces, ProllyNamespace, 1).name, ==, "with space%");
	g_assert_cmpuint(g_array_index(namespaces, ProllyNamespace, 1).tree.keys, ==, 1);
	prolly_repo_free(repo);
}

static void test_stale(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = spec ? open_spec(spec) : new_store(self);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyState) old = prolly_branch_get_state(branch);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(GBytes) written = NULL;
	g_autoptr(GError) error = NULL;
	ProllyPublication *publication = NULL;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;

	must_commit(repo, "main", "ns", "k", "1");
	before = head_hex(repo, "main");
	prolly_publication_new_move(repo, branch, &old->head, "reset", &publication, &error);
	g_assert_no_error(error);
	prolly_db_batch_put(batch, PROLLY_DB_META, "x", 1, "y", 1);
	g_assert_false(prolly_publication_publish(publication, repo, &old->head, batch, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_STALE);
	prolly_db_get(repo->body->db, PROLLY_DB_META, NULL, "x", 1, &written, NULL);
	g_assert_null(written);
	after = head_hex(repo, "main");
	g_assert_cmpstr(before, ==, after);
	must_commit(repo, "main", "ns", "k", "2");
	g_clear_pointer(&batch, prolly_db_batch_free);
	g_clear_pointer(&old, prolly_state_unref);
	g_clear_pointer(&branch, prolly_branch_unref);
	prolly_repo_free(repo);
}

/* Where moves are no more remembered, what came with them is younger than it was, and never lost: the
 * oldest goes on from where the branch began. */
static void test_many_moves(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = spec ? open_spec(spec) : new_store(self);
	ProllyPlace place = {"ns", (const uint8_t *)"k", 1};
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(ProllyState) old = NULL;
	g_autoptr(ProllyView) view = NULL;
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GError) error = NULL;
	ProllyCommitId sides[2];
	ProllyState *state;
	int64_t oldest;
	bool found;

	must_commit(repo, "main", "ns", "k", "1");
	get_head(repo, "main", &sides[1]);
	must_commit(repo, "main", "ns", "other", "1");
	get_head(repo, "main", &sides[0]);
	branch = create(repo, "b", -1);
	old = prolly_branch_get_state(branch);
	state = prolly_state_copy(old);
	for (int i = 0; i < 300; i++)
		prolly_state_add_move(state, &sides[i % 2], &sides[(i + 1) % 2]);
	g_assert_cmpuint(state->moves->len, <, 300);
	oldest = g_array_index(state->moves, ProllyMove, 0).time;
	prolly_branch_take_state(branch, state);

	view = prolly_view_new_live(repo, branch);
	prolly_view_get(view, &place, true, &entry, &found, &error);
	g_assert_no_error(error);
	g_assert_true(found);
	g_assert_cmpint(entry.attrs.mtime, ==, oldest);
	g_clear_pointer(&view, prolly_view_unref);
	g_clear_pointer(&old, prolly_state_unref);
	g_clear_pointer(&branch, prolly_branch_unref);
	prolly_repo_free(repo);
}

/* Only what is there is moved to. */
static void test_gone(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = spec ? open_spec(spec) : new_store(self);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_autoptr(GBytes) written = NULL;
	g_autoptr(GError) error = NULL;
	ProllyPublication *publication = NULL;
	ProllyCommitId gone = {{0x12, 0x34}};
	ProllyCommitId before;
	ProllyCommitId after;

	get_head(repo, "main", &before);
	prolly_publication_new_move(repo, branch, &gone, "reset", &publication, &error);
	g_assert_no_error(error);
	prolly_db_batch_put(batch, PROLLY_DB_META, "x", 1, "y", 1);
	g_assert_false(prolly_publication_publish(publication, repo, &before, batch, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_STALE);
	prolly_db_get(repo->body->db, PROLLY_DB_META, NULL, "x", 1, &written, NULL);
	g_assert_null(written);
	get_head(repo, "main", &after);
	g_assert_true(prolly_commit_id_equal(&before, &after));
	must_commit(repo, "main", "ns", "k", "1"); /* nothing is locked */
	g_clear_pointer(&batch, prolly_db_batch_free);
	g_clear_pointer(&branch, prolly_branch_unref);
	prolly_repo_free(repo);
}

static void assert_resolves(ProllyRepo *repo, const char *rev, const ProllyCommitId *expected)
{
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;

	if (!prolly_revision_resolve(repo, rev, &id, &error))
		g_error("%s: %s", rev, error->message);
	if (!prolly_commit_id_equal(&id, expected))
		g_error("%s is another commit", rev);
}

static void assert_resolves_now(ProllyRepo *repo, const char *rev)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) namespaces = NULL;
	ProllyCommitId id;

	prolly_revision_resolve(repo, rev, &id, &error);
	g_assert_no_error(error);
	prolly_commit_load_namespaces(repo, &id, &namespaces, &error);
	g_assert_no_error(error);
}

static void assert_unknown(ProllyRepo *repo, const char *rev)
{
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;

	if (prolly_revision_resolve(repo, rev, &id, &error))
		g_error("%s resolved", rev);
	g_assert_true(error->domain == PROLLY_ERROR);
	g_assert_nonnull(strstr(error->message, rev));
}

static void test_revisions(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = spec ? open_spec(spec) : new_store(self);
	static const char *const unknown[] = {"nothing", "main~9", "main^3",   "main@{99}",
					      "main@{",  "abc",    "main~x",   "0000000000",
					      "main:ns", "^main",  "~",        "~1",
					      "^",       "^2",     "^{commit}"};
	ProllyCommitId ids[5];
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	g_autofree char *abbreviated = NULL;
	g_autofree char *chain = NULL;
	g_autoptr(ProllyBranch) side = create(repo, "side", -1);
	g_autoptr(ProllyBranch) main = lookup(repo, "main");
	g_autoptr(GError) error = NULL;

	get_head(repo, "main", &ids[0]);
	must_commit(repo, "main", "ns", "k", "1");
	get_head(repo, "main", &ids[1]);
	must_commit(repo, "side", "ns", "s", "1");
	get_head(repo, "side", &ids[2]);
	commit_key(repo, main, "ns", "m", "1", &ids[2], &error);
	g_assert_no_error(error);
	get_head(repo, "main", &ids[3]);

	prolly_commit_id_to_hex(&ids[3], hex);
	abbreviated = g_strndup(hex, 10);
	chain = g_strconcat(hex, "^2~1", NULL);
	assert_resolves(repo, "main", &ids[3]);
	assert_resolves(repo, "HEAD", &ids[3]);
	assert_resolves(repo, "@~1", &ids[1]);
	assert_resolves(repo, "@{1}", &ids[1]);
	assert_resolves(repo, hex, &ids[3]);
	assert_resolves(repo, abbreviated, &ids[3]);
	assert_resolves(repo, "main~", &ids[1]);
	assert_resolves(repo, "main~2", &ids[0]);
	assert_resolves(repo, "main^2", &ids[2]);
	assert_resolves(repo, "main^2^0", &ids[2]);
	assert_resolves(repo, chain, &ids[0]);
	assert_resolves(repo, "main@{0}", &ids[3]);
	assert_resolves(repo, "main@{1}", &ids[1]);
	assert_resolves(repo, "main@{2}^{commit}", &ids[0]);
	assert_resolves(repo, "main@{now}", &ids[3]);
	assert_resolves(repo, "refs/heads/side", &ids[2]);
	for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++)
		assert_unknown(repo, unknown[i]);

	/* a branch named like an id wins */
	g_clear_pointer(&side, prolly_branch_unref);
	prolly_branch_create(repo, abbreviated, &ids[0], NULL, &side, &error);
	g_assert_no_error(error);
	assert_resolves(repo, abbreviated, &ids[0]);
	g_clear_pointer(&side, prolly_branch_unref);
	g_clear_pointer(&main, prolly_branch_unref);
	prolly_repo_free(repo);
}

static void test_graph(Fixture *self, gconstpointer spec)
{
	ProllyRepo *repo = spec ? open_spec(spec) : new_store(self);
	g_autoptr(ProllyBranch) side = create(repo, "side", -1);
	ProllyCommitId root;
	ProllyCommitId a;
	ProllyCommitId b;
	ProllyCommitId base;
	g_autoptr(ProllyLog) log = NULL;
	g_autoptr(GError) error = NULL;
	bool found = false;
	bool is = false;
	unsigned n = 0;

	get_head(repo, "main", &root);
	must_commit(repo, "main", "ns", "k", "1");
	must_commit(repo, "side", "ns", "s", "1");
	get_head(repo, "main", &a);
	get_head(repo, "side", &b);
	g_assert_true(prolly_history_merge_base(repo, &a, &b, &base, &found, &error));
	g_assert_true(found && prolly_commit_id_equal(&base, &root));
	g_assert_true(prolly_history_is_ancestor(repo, &root, &a, &is, &error) && is);
	g_assert_true(prolly_history_is_ancestor(repo, &a, &a, &is, &error) && is);
	g_assert_true(prolly_history_is_ancestor(repo, &a, &b, &is, &error) && !is);

	ProllyCommitId starts[] = {a, b};
	ProllyCommit *commit = NULL;

	prolly_log_new(repo, &(ProllyLogOptions){.starts = starts, .n_starts = 2}, &log, &error);
	while (prolly_log_next(log, &commit, &error) && commit) {
		base = commit->id;
		g_clear_pointer(&commit, prolly_commit_free);
		n++;
	}
	g_assert_no_error(error);
	g_assert_cmpuint(n, ==, 3);
	g_assert_true(prolly_commit_id_equal(&base, &root));
	g_clear_pointer(&log, prolly_log_free);
	g_clear_pointer(&side, prolly_branch_unref);
	prolly_repo_free(repo);
}

static void test_git(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autoptr(ProllyBranch) side = create(repo, "side/x", -1);
	g_autoptr(ProllyBranch) main = lookup(repo, "main");
	g_autofree char *log = NULL;
	g_autofree char *reflog = NULL;
	g_autofree char *files = NULL;
	g_autofree char *fsck = NULL;
	g_autofree char *stat = NULL;
	g_autoptr(GError) error = NULL;
	ProllyCommitId theirs;

	must_commit(repo, "main", "ns", "k", "1");
	must_commit(repo, "side/x", "a b", "k", "1");
	get_head(repo, "side/x", &theirs);
	commit_key(repo, main, "ns", "k", "2", &theirs, &error);
	g_assert_no_error(error);

	fsck = capture("git --git-dir='%s/git' fsck --strict 2>&1", self->store);
	g_assert_cmpstr(fsck, ==, "");
	log = capture("git --git-dir='%s/git' log --format=%%s main | head -n 1", self->store);
	g_assert_cmpstr(log, ==, "k = 2");
	reflog = capture("git --git-dir='%s/git' reflog main | wc -l", self->store);
	g_assert_cmpstr(reflog, ==, "3");
	files = capture("git --git-dir='%s/git' ls-tree --name-only side/x", self->store);
	g_assert_cmpstr(files, ==, "ns-a%20b");
	stat = capture("git --git-dir='%s/git' show --stat --format= main~1", self->store);
	g_assert_nonnull(strstr(stat, "ns-ns"));
	run("git --git-dir='%s/git' gc --quiet --prune=now", self->store);
	must_commit(repo, "main", "ns", "k", "3");
	assert_value(repo, "main", "k", "3");
	g_clear_pointer(&side, prolly_branch_unref);
	g_clear_pointer(&main, prolly_branch_unref);
	/* in packed-refs only */
	assert_delete(repo, "side/x", true, -1);
	assert_branches(repo, "main");
	prolly_repo_free(repo);
}

/* ---- Hostile bytes ------------------------------------------------------------------------ */

static void test_bad_commits(Fixture *self, gconstpointer data)
{
	static const char *const bad[] = {
		"",
		"format 1\n",
		"format 2\nroot 00\n",
		"format 1\nroot zz\ntop 00\nkeys 1\nbytes 1\n",
		"format 1\n"
		"root 0000000000000000000000000000000000000000000000000000000000000000\n"
		"top 0000000000000000000000000000000000000000000000000000000000000000\n"
		"keys 1\nbytes 1\n",
	};
	ProllyRepo *repo = new_store(self);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *blob = g_build_filename(self->dir, "blob", NULL);
		g_autoptr(GArray) namespaces = NULL;
		g_autoptr(GError) error = NULL;
		g_autofree char *hex = NULL;
		ProllyCommitId id;

		g_file_set_contents(blob, bad[i], -1, &error);
		g_assert_no_error(error);
		hex = capture(
			"cd '%s/git' && b=$(git --git-dir=. hash-object -w '%s') && "
			"t=$(printf '100644 blob %%s\\tns-x\\n' $b | git --git-dir=. mktree) "
			"&& git --git-dir=. -c user.name=x -c user.email=x commit-tree -m x $t",
			self->store, blob);
		g_assert_true(prolly_commit_id_from_hex(hex, &id));
		g_assert_false(prolly_commit_load_namespaces(repo, &id, &namespaces, &error));
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
		g_assert_nonnull(strstr(error->message, hex));
		g_assert_nonnull(strstr(error->message, "ns-x"));
	}
	prolly_repo_free(repo);
}

static void test_pack(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autofree char *git = g_build_filename(self->store, "git", NULL);
	g_autofree char *loose = NULL;
	g_autofree char *fsck = NULL;
	g_autofree char *graph = NULL;
	g_autoptr(ProllyLog) log = NULL;
	ProllyCommitId head;
	g_autoptr(GError) error = NULL;

	for (int i = 0; i < 20; i++)
		must_commit(repo, "main", "ns", "k", i % 2 ? "odd" : "even");
	g_assert_false(prolly_git_has_many_loose(git));
	prolly_git_pack_loose(repo->body, &error);
	g_assert_no_error(error);
	loose = capture("find '%s/objects/'?? -type f | wc -l", git);
	g_assert_cmpstr(loose, ==, "0");
	assert_resolves_now(repo, "main~19");
	must_commit(repo, "main", "ns", "k", "after");
	prolly_git_pack_loose(repo->body, &error);
	g_assert_no_error(error);
	assert_resolves_now(repo, "main~20");
	fsck = capture("git --git-dir='%s' fsck --strict 2>&1", git);
	g_assert_cmpstr(fsck, ==, "");
	graph = capture("git --git-dir='%s' commit-graph verify 2>&1", git);
	g_assert_cmpstr(graph, ==, "");
	/* what is committed since is not in it, and is found all the same */
	must_commit(repo, "main", "ns", "k", "later");
	get_head(repo, "main", &head);
	prolly_log_new(repo,
		       &(ProllyLogOptions){.starts = &head, .n_starts = 1, .topological = true},
		       &log, &error);
	g_assert_no_error(error);
	for (int n = 23; n >= 0; n--) {
		g_autoptr(ProllyCommit) commit = NULL;

		prolly_log_next(log, &commit, &error);
		g_assert_no_error(error);
		g_assert_true((commit != NULL) == (n > 0));
		g_assert_true(n != 1 || commit->n_parents == 0);
	}
	g_clear_pointer(&log, prolly_log_free);
	prolly_repo_free(repo);
}

/* What a power cut has left of an object is left out, and stays. */
static void test_pack_torn(Fixture *self, gconstpointer data)
{
	static const char torn[] = "ab/cdef0123456789abcdef0123456789abcdef01";
	ProllyRepo *repo = new_store(self);
	g_autofree char *loose = NULL;
	g_autoptr(GError) error = NULL;

	must_commit(repo, "main", "ns", "k", "v");
	run("cd '%s/git/objects' && mkdir -p ab && : >%s", self->store, torn);
	for (int i = 0; i < 2; i++) {
		prolly_git_pack_loose(repo->body, &error);
		g_assert_no_error(error);
	}
	loose = capture("cd '%s/git/objects' && find ?? -type f", self->store);
	g_assert_cmpstr(loose, ==, torn);
	assert_resolves_now(repo, "main~1");
	prolly_repo_free(repo);
}

int main(int argc, char **argv)
{
	set_identity();
	g_test_init(&argc, &argv, NULL);

	WITH_BOTH("branch/create", test_branches);
	g_test_add_func("/version/branch/names", test_branch_names);
	WITH_BOTH("branch/delete", test_branch_delete);
	WITH_BOTH("branch/rename", test_branch_rename);
	WITH_BOTH("commit/namespaces", test_commit);
	WITH_BOTH("branch/many-moves", test_many_moves);
	WITH_BOTH("publication/stale", test_stale);
	WITH_BOTH("publication/gone", test_gone);
	WITH_BOTH("revision/resolve", test_revisions);
	WITH_BOTH("log/graph", test_graph);
	WITH_STORE("commit/stock-git", test_git);
	WITH_STORE("commit/packed", test_pack);
	WITH_STORE("commit/packed-torn", test_pack_torn);
	WITH_STORE("commit/hostile", test_bad_commits);
	return g_test_run();
}
