/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores and their history below the working set: what a store on disk is, what refuses to be one,
 * who has it open; branches; commits as stock git sees them; and what a crash leaves, which is
 * played by a subprocess that ends without closing, and by putting an older git directory back.
 */
#include "version/repo-private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
	char *dir;   /* of this test */
	char *store; /* in it; nothing there yet */
} Fixture;

static void run(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* A shell command that must succeed. */
static void run(const char *format, ...)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *command = NULL;
	int status = 0;
	char *argv[] = {(char *)"sh", (char *)"-c", NULL, NULL};
	va_list args;

	va_start(args, format);
	command = g_strdup_vprintf(format, args);
	va_end(args);
	argv[2] = command;
	g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
		     &error);
	g_assert_no_error(error);
	if (status != 0)
		g_error("failed: %s", command);
}

/* What a shell command prints, without the newline at its end. */
static char *capture(const char *format, ...) G_GNUC_PRINTF(1, 2);
static char *capture(const char *format, ...)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *command = NULL;
	char *output = NULL;
	int status = 0;
	char *argv[] = {(char *)"sh", (char *)"-c", NULL, NULL};
	va_list args;

	va_start(args, format);
	command = g_strdup_vprintf(format, args);
	va_end(args);
	argv[2] = command;
	g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, NULL, &status,
		     &error);
	g_assert_no_error(error);
	g_assert_cmpint(status, ==, 0);
	return g_strchomp(output);
}

static void set_up(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	self->dir = g_dir_make_tmp("prolly-repo-XXXXXX", &error);
	g_assert_no_error(error);
	self->store = g_build_filename(self->dir, "store", NULL);
}

static void tear_down(Fixture *self, gconstpointer data)
{
	run("rm -rf '%s'", self->dir);
	g_free(self->store);
	g_free(self->dir);
}

static void init_store(Fixture *self)
{
	g_autoptr(GError) error = NULL;
	bool ok = prolly_repo_init(self->store, NULL, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
}

static ProllyRepo *open_spec(const char *spec)
{
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = NULL;
	bool ok = prolly_repo_open(spec, NULL, &repo, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
	return repo;
}

static ProllyRepo *new_store(Fixture *self)
{
	init_store(self);
	return open_spec(self->store);
}

static ProllyBranch *lookup(ProllyRepo *repo, const char *name)
{
	g_autoptr(GError) error = NULL;
	ProllyBranch *branch = NULL;
	bool ok = prolly_branch_lookup(repo, name, &branch, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
	return branch;
}

static void get_head(ProllyRepo *repo, const char *name, ProllyCommitId *out_head)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, name);

	g_assert_nonnull(branch);
	prolly_branch_get_head(branch, out_head);
}

static char *head_hex(ProllyRepo *repo, const char *name)
{
	ProllyCommitId head;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	get_head(repo, name, &head);
	return g_strdup(prolly_commit_id_to_hex(&head, hex));
}

/* ---- Commits as commit-staged.c would make them ------------------------------------------- */

/* Puts KEY = VALUE into namespace NS of STATE. */
static void put_key(ProllyRepo *repo, ProllyState *state, const char *ns, const char *key,
		    const char *value)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) stored = prolly_value_new_inline(PROLLY_KIND_FILE, value, strlen(value));
	ProllyEdit edit = {(const uint8_t *)key, strlen(key), g_bytes_get_data(stored, NULL),
			   g_bytes_get_size(stored)};
	ProllyNamespace *found = NULL;

	for (guint i = 0; i < state->namespaces->len; i++)
		if (strcmp(g_array_index(state->namespaces, ProllyNamespace, i).name, ns) == 0)
			found = &g_array_index(state->namespaces, ProllyNamespace, i);
	if (!found) {
		ProllyNamespace new = {.name = g_strdup(ns)};

		prolly_tree_init_empty(&repo->context, &new.tree, &error);
		g_assert_no_error(error);
		g_array_append_val(state->namespaces, new);
		found = &g_array_index(state->namespaces, ProllyNamespace,
				       state->namespaces->len - 1);
	}
	prolly_tree_apply_array(&repo->context, &found->tree, &edit, 1, &found->tree, &error);
	g_assert_no_error(error);
}

/* Commits KEY = VALUE in namespace NS, with a second parent if MERGED is not NULL. */
static bool commit_key(ProllyRepo *repo, ProllyBranch *branch, const char *ns, const char *key,
		       const char *value, const ProllyCommitId *merged, GError **error)
{
	g_autoptr(ProllyState) old = prolly_branch_get_state(branch);
	g_autoptr(ProllyState) state = prolly_state_copy(old);
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(repo->body->db);
	g_auto(ProllySignature) who = {0};
	ProllyCommitId parents[2] = {old->head};
	g_autofree char *message = g_strdup_printf("%s = %s\n\n\n", key, value);
	ProllyNewCommit commit = {
		.parents = parents,
		.n_parents = merged ? 2 : 1,
		.namespaces = state->namespaces,
		.message = message,
		.author = &who,
		.committer = &who,
	};
	ProllyPublication *publication = NULL;

	if (merged)
		parents[1] = *merged;
	put_key(repo, state, ns, key, value);
	if (!prolly_signature_init_default(&who, false, NULL, error) ||
	    !prolly_publication_new_commit(repo, branch, &commit, "commit: test", &publication,
					   &state->head, error))
		return false;
	prolly_branch_save_state(branch, state, batch);
	if (!prolly_publication_publish(publication, repo, &old->head, batch, error))
		return false;
	prolly_branch_take_state(branch, g_steal_pointer(&state));
	return true;
}

static void must_commit(ProllyRepo *repo, const char *name, const char *ns, const char *key,
			const char *value)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, name);
	g_autoptr(GError) error = NULL;
	bool ok = commit_key(repo, branch, ns, key, value, NULL, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
}

static char *get_value(ProllyRepo *repo, const char *name, const char *ns, const char *key)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, name);
	g_autoptr(ProllyState) state = prolly_branch_get_state(branch);
	const ProllyTree *tree = prolly_state_find_namespace(state, ns);
	g_auto(ProllyValueRef) value = {0};
	g_autoptr(GError) error = NULL;

	if (!tree)
		return NULL;
	prolly_tree_get(&repo->context, tree, key, strlen(key), &value, &error);
	g_assert_no_error(error);
	return value.node ? g_strndup((const char *)value.data + 1, value.len - 1) : NULL;
}

static void assert_value(ProllyRepo *repo, const char *name, const char *key, const char *expected)
{
	g_autofree char *value = get_value(repo, name, "ns", key);

	g_assert_cmpstr(value, ==, expected);
}

static void assert_opens_not(const char *spec, ProllyErrorCode code, const char *part)
{
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = NULL;

	g_assert_false(prolly_repo_open(spec, NULL, &repo, &error));
	g_assert_error(error, PROLLY_ERROR, (int)code);
	if (!strstr(error->message, part))
		g_error("'%s' is not in '%s'", part, error->message);
	g_assert_null(repo);
}

static char *list_tree(const char *dir)
{
	return capture("find '%s' | sort | xargs -d '\\n' ls -ld --time-style=full-iso", dir);
}

/* ---- Specifications, dates ---------------------------------------------------------------- */

static void test_spec(void)
{
	static const struct {
		const char *text;
		bool ok;
		bool has_kind;
		ProllyBackendKind kind;
		const char *path;
		uint64_t cache;
	} cases[] = {
		{"a/b", true, false, PROLLY_BACKEND_ROCKSDB, "a/b", 0},
		{"a?cache=1", true, false, PROLLY_BACKEND_ROCKSDB, "a?cache=1", 0},
		{"rocksdb:///x", true, true, PROLLY_BACKEND_ROCKSDB, "/x", 0},
		{"file://x y", true, true, PROLLY_BACKEND_FILE, "x y", 0},
		{"cached-file://x", true, true, PROLLY_BACKEND_CACHED_FILE, "x", 0},
		{"cached-file://x?cache=64M", true, true, PROLLY_BACKEND_CACHED_FILE, "x",
		 64 << 20},
		{":memory:", true, true, PROLLY_BACKEND_MEMORY, NULL, 0},
		{"", false},
		{"s3://x", false},
		{"file://", false},
		{"file://x?cache=64M", false},
		{"cached-file://x?cache=64Q", false},
		{"cached-file://x?size=64M", false},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(ProllySpec) spec = {0};
		bool ok = prolly_spec_parse(cases[i].text, &spec, NULL);

		g_assert_true(ok == cases[i].ok);
		if (!ok)
			continue;
		g_assert_true(spec.has_kind == cases[i].has_kind);
		g_assert_cmpint(spec.kind, ==, cases[i].kind);
		g_assert_cmpstr(spec.path, ==, cases[i].path);
		g_assert_cmpuint(spec.cache_size, ==, cases[i].cache);
	}
}

static void test_size(void)
{
	uint64_t size = 0;

	g_assert_true(prolly_size_parse("4096", &size, NULL) && size == 4096);
	g_assert_true(prolly_size_parse("1k", &size, NULL) && size == 1024);
	g_assert_true(prolly_size_parse("2G", &size, NULL) && size == UINT64_C(2) << 30);
	g_assert_false(prolly_size_parse("", &size, NULL));
	g_assert_false(prolly_size_parse("-1", &size, NULL));
	g_assert_false(prolly_size_parse("1MB", &size, NULL));
	g_assert_false(prolly_size_parse("99999999999999999999", &size, NULL));
	g_assert_false(prolly_size_parse("99999999999999T", &size, NULL));
}

static void test_date(void)
{
	static const struct {
		const char *text;
		int64_t time;
		int offset;
	} cases[] = {
		{"@1112911993 +0200", 1112911993, 120},
		{"1112911993 -0700", 1112911993, -420},
		{"2005-04-07T22:13:13Z", 1112911993, 0},
		{"2005-04-07T22:13:13+00:00", 1112911993, 0},
		{"2005-04-07 15:13:13.5 -0700", 1112911993, -420},
		{"Thu, 07 Apr 2005 22:13:13 +0000", 1112911993, 0},
		{"Thu Apr 7 15:13:13 2005 -0700", 1112911993, -420},
		{"2005-04-07 UTC", 1112832000, 0},
	};
	static const char *const bad[] = {"",      "tomorrow-ish",     "2005-13-01", "25:61",
					  "12:00", "2005-04-07 hello", "@12x",       "3 moons ago"};
	int64_t time = 0;
	int offset = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		if (!prolly_date_parse(cases[i].text, 0, &time, &offset))
			g_error("not parsed: %s", cases[i].text);
		g_assert_cmpint(time, ==, cases[i].time);
		g_assert_cmpint(offset, ==, cases[i].offset);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		if (prolly_date_parse(bad[i], 0, &time, &offset))
			g_error("parsed: %s", bad[i]);
	g_assert_true(prolly_date_parse("2.days.ago", 1000000, &time, &offset));
	g_assert_cmpint(time, ==, 1000000 - 2 * 86400);
	g_assert_true(prolly_date_parse("yesterday", 1000000, &time, &offset));
	g_assert_cmpint(time, ==, 1000000 - 86400);
}

/* ---- Stores ------------------------------------------------------------------------------- */

static void test_init(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	ProllyRepo *repo = new_store(self);

	g_assert_cmpstr(prolly_repo_get_default_branch(repo), ==, "main");
	g_assert_cmpstr(prolly_repo_get_path(repo), ==, self->store);
	g_assert_true(prolly_repo_is_store(self->store));
	prolly_repo_free(repo);

	before = list_tree(self->store);
	g_assert_false(prolly_repo_init(self->store, NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
	after = list_tree(self->store);
	g_assert_cmpstr(before, ==, after);
}

static void test_init_kinds(Fixture *self, gconstpointer data)
{
	static const char *const schemes[] = {"rocksdb://", "file://", "cached-file://"};

	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
		g_autofree char *spec = g_strdup_printf("%s%s%zu", schemes[i], self->store, i);
		g_autofree char *path = g_strdup_printf("%s%zu", self->store, i);
		g_autofree char *other =
			g_strconcat(schemes[(i + 1) % G_N_ELEMENTS(schemes)], path, NULL);
		g_autoptr(GError) error = NULL;
		ProllyRepo *repo;

		prolly_repo_init(spec, NULL, &error);
		g_assert_no_error(error);
		repo = open_spec(path);
		must_commit(repo, "main", "ns", "k", "v");
		prolly_repo_free(repo);
		repo = open_spec(spec);
		assert_value(repo, "main", "k", "v");
		prolly_repo_free(repo);
		assert_opens_not(other, PROLLY_ERROR_INVALID, path);
	}
}

static void test_init_branch(Fixture *self, gconstpointer data)
{
	ProllyRepoInitOptions options = {.default_branch = "team/trunk"};
	g_autoptr(GError) error = NULL;
	g_autofree char *head = NULL;
	ProllyRepo *repo;

	prolly_repo_init(self->store, &options, &error);
	g_assert_no_error(error);
	repo = open_spec(self->store);
	g_assert_cmpstr(prolly_repo_get_default_branch(repo), ==, "team/trunk");
	head = capture("git --git-dir='%s/git' symbolic-ref HEAD", self->store);
	g_assert_cmpstr(head, ==, "refs/heads/team/trunk");
	prolly_repo_free(repo);

	options.default_branch = "no..good";
	g_assert_false(prolly_repo_init("elsewhere", &options, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_assert_false(g_file_test("elsewhere", G_FILE_TEST_EXISTS));
}

/* A directory with something in it, and one where a making was interrupted. */
static void test_init_leftovers(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo;

	run("mkdir '%s' && touch '%s/data'", self->store, self->store);
	g_assert_false(prolly_repo_init(self->store, NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
	g_clear_error(&error);

	run("rm -r '%s'; mkdir -p '%s/data' '%s/git/refs'; touch '%s/lock'", self->store,
	    self->store, self->store, self->store);
	assert_opens_not(self->store, PROLLY_ERROR_NOT_A_STORE, self->store);
	repo = new_store(self);
	prolly_repo_free(repo);
}

static void test_not_a_store(Fixture *self, gconstpointer data)
{
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;

	assert_opens_not(self->store, PROLLY_ERROR_NOT_A_STORE, self->store);
	g_assert_false(g_file_test(self->store, G_FILE_TEST_EXISTS));

	run("mkdir '%s' && echo '[core]' > '%s/config'", self->store, self->store);
	before = list_tree(self->store);
	assert_opens_not(self->store, PROLLY_ERROR_NOT_A_STORE, self->store);
	g_assert_false(prolly_repo_is_store(self->store));
	after = list_tree(self->store);
	g_assert_cmpstr(before, ==, after);
}

static void test_newer_format(Fixture *self, gconstpointer data)
{
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;

	init_store(self);
	run("sed -i s/^format=.*/format=7/ '%s/config'", self->store);
	before = list_tree(self->store);
	assert_opens_not(self->store, PROLLY_ERROR_NEWER_FORMAT, "format 7");
	after = list_tree(self->store);
	g_assert_cmpstr(before, ==, after);
}

static void test_damaged(Fixture *self, gconstpointer data)
{
	static const struct {
		const char *damage;
		ProllyErrorCode code;
		const char *message;
	} cases[] = {
		{"sed -i /^backend/d %s/config", PROLLY_ERROR_CORRUPT, "config"},
		{"sed -i s/^min=.*/min=x/ %s/config", PROLLY_ERROR_CORRUPT, "config"},
		{"truncate -s 0 %s/config", PROLLY_ERROR_NOT_A_STORE, "store"},
		{"rm -r %s/git", PROLLY_ERROR_CORRUPT, "git is missing"},
		{"rm -r %s/data", PROLLY_ERROR_CORRUPT, "data is missing"},
		{"rm %s/git/HEAD", PROLLY_ERROR_CORRUPT, "git"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *command =
			g_strdup_printf("f() { %s; }; f", cases[i].damage); /* one %s */
		g_autofree char *full = NULL;
		g_auto(GStrv) parts = g_strsplit(command, "%s", 2);

		init_store(self);
		full = g_strjoin(self->store, parts[0], parts[1], NULL);
		run("%s", full);
		assert_opens_not(self->store, cases[i].code, cases[i].message);
		run("rm -r '%s'", self->store);
	}
}

static void test_lock(Fixture *self, gconstpointer data)
{
	ProllyRepoOptions options = {.mount = "/a mount\npoint"};
	g_autofree char *pid_text = g_strdup_printf("%d", (int)getpid());
	g_autofree char *mount = NULL;
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = NULL;
	pid_t pid;

	init_store(self);
	g_assert_true(prolly_repo_find_holder(self->store, &pid, &mount, &error));
	g_assert_cmpint(pid, ==, 0);
	prolly_repo_open(self->store, &options, &repo, &error);
	g_assert_no_error(error);

	assert_opens_not(self->store, PROLLY_ERROR_LOCKED, pid_text);
	assert_opens_not(self->store, PROLLY_ERROR_LOCKED, "/a mount\npoint");
	g_assert_true(prolly_repo_find_holder(self->store, &pid, &mount, &error));
	g_assert_cmpint(pid, ==, getpid());
	g_assert_cmpstr(mount, ==, "/a mount\npoint");
	assert_opens_not(self->store, PROLLY_ERROR_LOCKED, pid_text);
	prolly_repo_free(repo);

	repo = open_spec(self->store);
	prolly_repo_free(repo);
}

static gpointer free_later(gpointer repo)
{
	g_usleep(200000);
	prolly_repo_free(repo);
	return NULL;
}

static void test_lock_wait(Fixture *self, gconstpointer data)
{
	ProllyRepoOptions options = {.wait_ms = 20000};
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = new_store(self);
	GThread *thread = g_thread_new("closer", free_later, repo);

	prolly_repo_open(self->store, &options, &repo, &error);
	g_assert_no_error(error);
	g_thread_join(thread);
	prolly_repo_free(repo);
}

static void test_memory(void)
{
	ProllyRepo *repo = open_spec(":memory:");
	g_autofree char *past = NULL;
	ProllyCommitId id;
	ProllyCommitId head;
	g_autoptr(GError) error = NULL;

	get_head(repo, "main", &id);
	must_commit(repo, "main", "ns", "k", "v");
	assert_value(repo, "main", "k", "v");
	get_head(repo, "main", &head);
	prolly_revision_resolve(repo, "main@{1}", &id, &error);
	g_assert_no_error(error);
	g_assert_false(prolly_commit_id_equal(&id, &head));
	prolly_revision_resolve(repo, "main^", &head, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_commit_id_equal(&id, &head));
	g_assert_null(prolly_repo_get_path(repo));
	prolly_repo_free(repo);
}

static void test_numbers(Fixture *self, gconstpointer data)
{
	uint64_t last = 0;

	init_store(self);
	for (int round = 0; round < 3; round++) {
		ProllyRepo *repo = open_spec(self->store);

		for (int i = 0; i < 5000; i++) {
			g_autoptr(GError) error = NULL;
			uint64_t number;

			prolly_repo_next_number(repo->body, PROLLY_COUNTER_INODE, &number, &error);
			g_assert_no_error(error);
			g_assert_cmpuint(number, >, last);
			last = number;
		}
		prolly_repo_free(repo);
	}
}

/* ---- Branches ----------------------------------------------------------------------------- */

static ProllyBranch *create(ProllyRepo *repo, const char *name, int code)
{
	g_autoptr(GError) error = NULL;
	ProllyBranch *branch = NULL;
	ProllyCommitId head;

	get_head(repo, "main", &head);
	if (code < 0) {
		prolly_branch_create(repo, name, &head, NULL, &branch, &error);
		g_assert_no_error(error);
		g_assert_nonnull(branch);
	} else {
		g_assert_false(prolly_branch_create(repo, name, &head, NULL, &branch, &error));
		g_assert_error(error, PROLLY_ERROR, code);
	}
	return branch;
}

static char *list_branches(ProllyRepo *repo)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GError) error = NULL;

	prolly_branch_list(repo, &names, &error);
	g_assert_no_error(error);
	g_ptr_array_add(names, NULL);
	return g_strjoinv(" ", (char **)names->pdata);
}

static void assert_branches(ProllyRepo *repo, const char *expected)
{
	g_autofree char *names = list_branches(repo);

	g_assert_cmpstr(names, ==, expected);
}

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

static void assert_delete(ProllyRepo *repo, const char *name, bool force, int code)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, name);
	g_autoptr(GError) error = NULL;
	bool ok = prolly_branch_delete(repo, branch, force, &error);

	if (code < 0) {
		g_assert_no_error(error);
		g_assert_true(ok);
		g_assert_true(prolly_branch_is_deleted(branch));
		g_assert_null(lookup(repo, name));
	} else {
		g_assert_error(error, PROLLY_ERROR, code);
		g_assert_false(prolly_branch_is_deleted(branch));
	}
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
	g_assert_false(prolly_branch_rename(repo, branch, "other/x", &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
	g_clear_error(&error);
	prolly_branch_rename(repo, branch, "a/b", &error);
	g_assert_no_error(error);
	assert_branches(repo, "a/b main other");
	name = prolly_branch_dup_name(branch);
	g_assert_cmpstr(name, ==, "a/b");
	assert_value(repo, "a/b", "k", "v");
	/* its reflog came along: the rename, the commit, the creation */
	prolly_revision_resolve(repo, "a/b@{2}", &past, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_commit_id_equal(&past, &old));
	prolly_branch_rename(repo, branch, "a", &error);
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

static void assert_resolves(ProllyRepo *repo, const char *rev, const ProllyCommitId *expected)
{
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;

	if (!prolly_revision_resolve(repo, rev, &id, &error))
		g_error("%s: %s", rev, error->message);
	if (!prolly_commit_id_equal(&id, expected))
		g_error("%s is another commit", rev);
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
	static const char *const unknown[] = {"nothing", "main~9", "main^3", "main@{99}",
					      "main@{",  "abc",    "main~x", "0000000000",
					      "main:ns", "^main"};
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
	bool end = false;

	prolly_log_new(repo, starts, 2, &log, &error);
	while (prolly_log_next(log, &base, &end, &error) && !end)
		n++;
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

/* ---- git at work on an open store ---------------------------------------------------------- */

typedef struct {
	unsigned changed;
	unsigned branches;
	char *places;
} Heard;

static void hear_change(void *data, ProllyBranch *branch, const ProllyPlace *places, size_t n)
{
	Heard *heard = data;
	GString *text = g_string_new(places ? "" : "many");

	for (size_t i = 0; places && i < n; i++)
		g_string_append_printf(text, "%s/%.*s ", places[i].ns, (int)places[i].key_len,
				       (const char *)places[i].key);
	heard->changed++;
	g_free(heard->places);
	heard->places = g_string_free(text, FALSE);
}

static void hear_branches(void *data)
{
	((Heard *)data)->branches++;
}

static const ProllyObserver observer = {hear_change, hear_branches};

static void test_outside_move(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(ProllyState) state = NULL;
	g_autofree char *one = NULL;
	Heard heard = {0};

	must_commit(repo, "main", "ns", "a", "1");
	one = head_hex(repo, "main");
	must_commit(repo, "main", "ns", "a", "2");
	must_commit(repo, "main", "ns", "b", "1");
	prolly_repo_set_observer(repo, &observer, &heard);
	run("git --git-dir='%s/git' update-ref refs/heads/main %s", self->store, one);
	assert_value(repo, "main", "a", "1");
	assert_value(repo, "main", "b", NULL);
	g_assert_cmpuint(heard.changed, ==, 1);
	g_assert_cmpstr(heard.places, ==, "ns/a ns/b ");
	state = prolly_branch_get_state(branch);
	g_assert_cmpuint(state->moves->len, ==, 1);
	must_commit(repo, "main", "ns", "c", "1");

	/* one that git makes, and takes away again while it is held */
	run("git --git-dir='%s/git' branch theirs main", self->store);
	g_clear_pointer(&branch, prolly_branch_unref);
	branch = lookup(repo, "theirs");
	g_assert_nonnull(branch);
	must_commit(repo, "theirs", "ns", "d", "1");
	run("git --git-dir='%s/git' branch -q -D theirs", self->store);
	g_assert_null(lookup(repo, "theirs"));
	g_assert_true(prolly_branch_is_deleted(branch));
	g_clear_pointer(&branch, prolly_branch_unref);

	prolly_repo_set_observer(repo, NULL, NULL);
	prolly_repo_free(repo);
	g_free(heard.places);
}

static void test_git_holds_lock(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autoptr(ProllyBranch) branch = lookup(repo, "main");
	g_autoptr(GError) error = NULL;

	run("touch '%s/git/refs/heads/main.lock'", self->store);
	g_assert_false(commit_key(repo, branch, "ns", "k", "v", NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_BUSY);
	g_assert_nonnull(strstr(error->message, "main.lock"));
	run("rm '%s/git/refs/heads/main.lock'", self->store);
	must_commit(repo, "main", "ns", "k", "v");
	g_clear_pointer(&branch, prolly_branch_unref);
	prolly_repo_free(repo);
}

/* ---- Crashes ------------------------------------------------------------------------------ */

#define CRASH_STORE "PROLLY_TEST_CRASH_STORE"

/* Ends without closing anything. */
static void crash_subprocess(void)
{
	ProllyRepo *repo = open_spec(g_getenv(CRASH_STORE));

	must_commit(repo, "main", "ns", "a", "1");
	prolly_branch_unref(create(repo, "made", -1));
	must_commit(repo, "made", "ns", "b", "1");
	must_commit(repo, "main", "ns", "a", "2");
	must_commit(repo, "main", "ns", "a", "3");
	_exit(0);
}

static void crash(Fixture *self)
{
	g_setenv(CRASH_STORE, self->store, TRUE);
	g_test_trap_subprocess("/version/repo/crash/subprocess", 0,
			       G_TEST_SUBPROCESS_INHERIT_STDERR);
	g_test_trap_assert_passed();
}

static void assert_recovered(Fixture *self)
{
	ProllyRepo *repo = open_spec(self->store);
	g_autofree char *fsck = NULL;
	g_autofree char *log = NULL;

	assert_branches(repo, "made main");
	assert_value(repo, "main", "a", "3");
	assert_value(repo, "made", "b", "1");
	fsck = capture("git --git-dir='%s/git' fsck --strict 2>&1", self->store);
	g_assert_cmpstr(fsck, ==, "");
	log = capture("git --git-dir='%s/git' log --oneline main | wc -l", self->store);
	g_assert_cmpstr(log, ==, "4");
	must_commit(repo, "main", "ns", "a", "4");
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	assert_value(repo, "main", "a", "4");
	prolly_repo_free(repo);
}

static void test_crash(Fixture *self, gconstpointer damage)
{
	g_autofree char *before = NULL;

	init_store(self);
	run("cp -a '%s/git' '%s/git-before' && touch '%s/git-before/stamp'", self->store, self->dir,
	    self->dir);
	crash(self);
	if (damage)
		run("cd '%s' && %s", self->store, (const char *)damage);
	assert_recovered(self);
}

/* git moved the branch after the crash: its doing stands. */
static void test_crash_then_git(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo;

	init_store(self);
	crash(self);
	run("cd '%s/git' && git --git-dir=. update-ref refs/heads/main main~3", self->store);
	repo = open_spec(self->store);
	assert_value(repo, "main", "a", NULL);
	assert_value(repo, "made", "b", "1");
	prolly_repo_free(repo);
}

static void test_trimmed(Fixture *self, gconstpointer data)
{
	ProllyRepo *repo = new_store(self);
	g_autoptr(ProllyDbIter) iter = NULL;

	must_commit(repo, "main", "ns", "k", "v");
	prolly_repo_free(repo);
	repo = open_spec(self->store);
	iter = prolly_db_iter_new(repo->body->db, PROLLY_DB_JOURNAL, NULL, "", 0, NULL, 0);
	prolly_db_iter_seek_first(iter);
	g_assert_false(prolly_db_iter_is_valid(iter));
	g_clear_pointer(&iter, prolly_db_iter_free);
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

#define WITH_STORE(path, function) \
	g_test_add("/version/" path, Fixture, NULL, set_up, function, tear_down)
#define WITH_BOTH(path, function)                                                                 \
	do {                                                                                      \
		g_test_add("/version/" path "/disk", Fixture, NULL, set_up, function, tear_down); \
		g_test_add("/version/" path "/memory", Fixture, ":memory:", set_up, function,     \
			   tear_down);                                                            \
	} while (0)

int main(int argc, char **argv)
{
	g_setenv("GIT_AUTHOR_NAME", "A U Thor", TRUE);
	g_setenv("GIT_AUTHOR_EMAIL", "author@example.com", TRUE);
	g_setenv("GIT_COMMITTER_NAME", "C O Mitter", TRUE);
	g_setenv("GIT_COMMITTER_EMAIL", "committer@example.com", TRUE);
	g_test_init(&argc, &argv, NULL);

	g_test_add_func("/version/spec/parse", test_spec);
	g_test_add_func("/version/spec/size", test_size);
	g_test_add_func("/version/date/parse", test_date);
	WITH_STORE("open/init", test_init);
	WITH_STORE("open/init-kinds", test_init_kinds);
	WITH_STORE("open/init-branch", test_init_branch);
	WITH_STORE("open/init-leftovers", test_init_leftovers);
	WITH_STORE("open/not-a-store", test_not_a_store);
	WITH_STORE("open/newer-format", test_newer_format);
	WITH_STORE("open/damaged", test_damaged);
	WITH_STORE("lock/held", test_lock);
	WITH_STORE("lock/wait", test_lock_wait);
	WITH_STORE("counters/never-twice", test_numbers);
	g_test_add_func("/version/open/memory", test_memory);
	WITH_BOTH("branch/create", test_branches);
	g_test_add_func("/version/branch/names", test_branch_names);
	WITH_BOTH("branch/delete", test_branch_delete);
	WITH_BOTH("branch/rename", test_branch_rename);
	WITH_BOTH("commit/namespaces", test_commit);
	WITH_BOTH("publication/stale", test_stale);
	WITH_BOTH("revision/resolve", test_revisions);
	WITH_BOTH("log/graph", test_graph);
	WITH_STORE("commit/stock-git", test_git);
	WITH_STORE("commit/hostile", test_bad_commits);
	WITH_STORE("branch/moved-by-git", test_outside_move);
	WITH_STORE("refs/locked-by-git", test_git_holds_lock);
	g_test_add_func("/version/repo/crash/subprocess", crash_subprocess);
	g_test_add("/version/journal/crash", Fixture, NULL, set_up, test_crash, tear_down);
	g_test_add("/version/journal/lost-git", Fixture, "rm -r git && mv ../git-before git",
		   set_up, test_crash, tear_down);
	g_test_add("/version/journal/empty-objects", Fixture,
		   "find git/objects -type f -newer ../git-before/stamp -exec truncate -s 0 {} +",
		   set_up, test_crash, tear_down);
	g_test_add("/version/journal/empty-references", Fixture,
		   "find git/refs -type f -exec truncate -s 0 {} +", set_up, test_crash, tear_down);
	g_test_add("/version/journal/torn-reflog", Fixture,
		   "printf 'abc\\0\\0\\0' >> git/logs/refs/heads/main", set_up, test_crash,
		   tear_down);
	WITH_STORE("journal/then-git", test_crash_then_git);
	WITH_STORE("journal/trimmed", test_trimmed);
	return g_test_run();
}
