/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests of stores and their history share: a directory of each test's own, branches, and
 * commits made below the working set, as commit-staged.c would make them.
 */

#include "version/repo-private.h"

#include <string.h>
#include <unistd.h>

typedef struct {
	char *dir;   /* of this test */
	char *store; /* in it; nothing there yet */
} Fixture;

static inline void run(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* A shell command that must succeed. */
static inline void run(const char *format, ...)
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
static inline char *capture(const char *format, ...) G_GNUC_PRINTF(1, 2);
static inline char *capture(const char *format, ...)
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

static inline void set_up(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	self->dir = g_dir_make_tmp("prolly-repo-XXXXXX", &error);
	g_assert_no_error(error);
	self->store = g_build_filename(self->dir, "store", NULL);
}

static inline void tear_down(Fixture *self, gconstpointer data)
{
	run("rm -rf '%s'", self->dir);
	g_free(self->store);
	g_free(self->dir);
}

static inline void init_store(Fixture *self)
{
	g_autoptr(GError) error = NULL;
	bool ok = prolly_repo_init(self->store, NULL, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
}

static inline ProllyRepo *open_spec(const char *spec)
{
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = NULL;
	bool ok = prolly_repo_open(spec, NULL, &repo, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
	return repo;
}

static inline ProllyRepo *new_store(Fixture *self)
{
	init_store(self);
	return open_spec(self->store);
}

static inline ProllyBranch *lookup(ProllyRepo *repo, const char *name)
{
	g_autoptr(GError) error = NULL;
	ProllyBranch *branch = NULL;
	bool ok = prolly_branch_lookup(repo, name, &branch, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
	return branch;
}

static inline void get_head(ProllyRepo *repo, const char *name, ProllyCommitId *out_head)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, name);

	g_assert_nonnull(branch);
	prolly_branch_get_head(branch, out_head);
}

static inline char *head_hex(ProllyRepo *repo, const char *name)
{
	ProllyCommitId head;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	get_head(repo, name, &head);
	return g_strdup(prolly_commit_id_to_hex(&head, hex));
}

/* ---- Commits as commit-staged.c would make them ------------------------------------------- */

/* Puts KEY = VALUE into namespace NS of STATE. */
static inline void put_key(ProllyRepo *repo, ProllyState *state, const char *ns, const char *key,
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
static inline bool commit_key(ProllyRepo *repo, ProllyBranch *branch, const char *ns,
			      const char *key, const char *value, const ProllyCommitId *merged,
			      GError **error)
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

static inline void must_commit(ProllyRepo *repo, const char *name, const char *ns, const char *key,
			       const char *value)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, name);
	g_autoptr(GError) error = NULL;
	bool ok = commit_key(repo, branch, ns, key, value, NULL, &error);

	g_assert_no_error(error);
	g_assert_true(ok);
}

static inline char *get_value(ProllyRepo *repo, const char *name, const char *ns, const char *key)
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

static inline void assert_value(ProllyRepo *repo, const char *name, const char *key,
				const char *expected)
{
	g_autofree char *value = get_value(repo, name, "ns", key);

	g_assert_cmpstr(value, ==, expected);
}

static inline void assert_opens_not(const char *spec, ProllyErrorCode code, const char *part)
{
	g_autoptr(GError) error = NULL;
	ProllyRepo *repo = NULL;

	g_assert_false(prolly_repo_open(spec, NULL, &repo, &error));
	g_assert_error(error, PROLLY_ERROR, (int)code);
	if (!strstr(error->message, part))
		g_error("'%s' is not in '%s'", part, error->message);
	g_assert_null(repo);
}

static inline char *list_tree(const char *dir)
{
	return capture("find '%s' | sort | xargs -d '\\n' ls -ld --time-style=full-iso", dir);
}

/* ---- Branches ---------------------------------------------------------------------------- */

static inline ProllyBranch *create(ProllyRepo *repo, const char *name, int code)
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

static inline char *list_branches(ProllyRepo *repo)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GError) error = NULL;

	prolly_branch_list(repo, &names, &error);
	g_assert_no_error(error);
	g_ptr_array_add(names, NULL);
	return g_strjoinv(" ", (char **)names->pdata);
}

static inline void assert_branches(ProllyRepo *repo, const char *expected)
{
	g_autofree char *names = list_branches(repo);

	g_assert_cmpstr(names, ==, expected);
}

static inline void assert_delete(ProllyRepo *repo, const char *name, bool force, int code)
{
	g_autoptr(ProllyBranch) branch = lookup(repo, name);
	g_autoptr(GError) error = NULL;
	bool ok = prolly_branch_delete(repo, branch, NULL, force, &error);

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

#define WITH_STORE(path, function) \
	g_test_add("/version/" path, Fixture, NULL, set_up, function, tear_down)
#define WITH_BOTH(path, function)                                                                 \
	do {                                                                                      \
		g_test_add("/version/" path "/disk", Fixture, NULL, set_up, function, tear_down); \
		g_test_add("/version/" path "/memory", Fixture, ":memory:", set_up, function,     \
			   tear_down);                                                            \
	} while (0)

/* What commits are made by. */
static inline void set_identity(void)
{
	g_setenv("GIT_AUTHOR_NAME", "A U Thor", TRUE);
	g_setenv("GIT_AUTHOR_EMAIL", "author@example.com", TRUE);
	g_setenv("GIT_COMMITTER_NAME", "C O Mitter", TRUE);
	g_setenv("GIT_COMMITTER_EMAIL", "committer@example.com", TRUE);
}
