/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking things back: restore and reset, by examples and against a model that is a map of paths.
 */
#include "version/reset.h"

#include "version/file.h"
#include "version/merge.h"
#include "version/repo-private.h"
#include "working-site.h"

/* ---- In short ----------------------------------------------------------------------------- */

static void get_head(Fixture *self, ProllyCommitId *out_head)
{
	prolly_branch_get_head(self->branch, out_head);
}

static uint64_t restore(Fixture *self, const ProllyCommitId *source, const char *ns,
			const char *prefix, bool is_key)
{
	ProllyRange range = {ns, (const uint8_t *)prefix, prefix ? strlen(prefix) : 0, is_key};
	g_autoptr(GError) error = NULL;
	uint64_t changes = 0;

	prolly_working_restore(self->repo, self->branch, source, &range, 1, &changes, &error);
	g_assert_no_error(error);
	return changes;
}

static void reset(Fixture *self, const ProllyCommitId *to, ProllyResetMode mode)
{
	g_autoptr(GError) error = NULL;
	ProllyCommitId from, head;

	prolly_branch_reset(self->repo, self->branch, to, mode, "there", &from, &error);
	g_assert_no_error(error);
	get_head(self, &head);
	g_assert_true(prolly_commit_id_equal(&head, to));
}

static ProllyHash root_of(ProllyView *view)
{
	ProllyNamespaceFigures figures;
	g_autoptr(GError) error = NULL;

	prolly_view_get_figures(view, NULL, &figures, &error);
	g_assert_no_error(error);
	return figures.root;
}

static ProllyHash working_root(Fixture *self)
{
	g_autoptr(ProllyView) view = view_of(self);

	return root_of(view);
}

static ProllyHash commit_root(Fixture *self, const ProllyCommitId *id)
{
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(GError) error = NULL;

	prolly_view_new_commit(self->repo, id, &view, &error);
	g_assert_no_error(error);
	return root_of(view);
}

static void assert_root(Fixture *self, ProllyHash expected)
{
	ProllyHash root = working_root(self);

	g_assert_cmpmem(root.bytes, PROLLY_HASH_SIZE, expected.bytes, PROLLY_HASH_SIZE);
}

static bool is_clean(Fixture *self)
{
	g_autoptr(ProllyState) state = prolly_branch_get_state(self->branch);
	g_autoptr(GError) error = NULL;
	bool empty = false;

	prolly_staged_is_empty(self->repo, self->branch, state, &empty, &error);
	g_assert_no_error(error);
	return empty;
}

static bool view_has_directory(ProllyView *view, const char *ns, const char *prefix)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, prefix);
	bool exists = false;

	prolly_view_get_directory(view, &place, NULL, &exists, NULL, &error);
	g_assert_no_error(error);
	return exists;
}

static bool has_directory(Fixture *self, const char *ns, const char *prefix)
{
	g_autoptr(ProllyView) view = view_of(self);

	return view_has_directory(view, ns, prefix);
}

static void assert_value(Fixture *self, const char *ns, const char *key, const char *expected)
{
	g_autofree char *value = get(self, ns, key);

	if (g_strcmp0(value, expected) != 0)
		g_test_message("%s/%s is %s, not %s", ns, key, value, expected);
	g_assert_cmpstr(value, ==, expected);
}

/* ---- Examples ----------------------------------------------------------------------------- */

static void test_restore_key(Fixture *self, gconstpointer data)
{
	ProllyAttrs before, after;
	ProllyCommitId head;

	put(self, "ns", "a", "1");
	put(self, "ns", "b", "1");
	commit(self);
	get_head(self, &head);
	get_attrs(self, "ns", "a", &before);
	put(self, "ns", "a", "2");
	put(self, "ns", "b", "2");
	g_assert_cmpuint(restore(self, &head, "ns", "a", true), ==, 1);
	assert_value(self, "ns", "a", "1");
	assert_value(self, "ns", "b", "2");
	get_attrs(self, "ns", "a", &after);
	g_assert_cmpuint(after.ino, ==, before.ino);
	g_assert_cmpint(after.mtime, >, before.mtime);
	g_assert_false(is_clean(self));
	g_assert_cmpuint(restore(self, &head, "ns", "b", true), ==, 1);
	g_assert_true(is_clean(self));
	g_assert_cmpuint(restore(self, &head, "ns", "b", true), ==, 0);
	g_assert_cmpuint(commit(self), ==, 0);
}

static void test_restore_directories(Fixture *self, gconstpointer data)
{
	ProllyCommitId head;

	put(self, "ns", "kept/x", "1");
	put(self, "ns", "deep/er/x", "1");
	commit(self);
	get_head(self, &head);

	/* made for a file that is restored away */
	put(self, "ns", "new/dir/x", "1");
	restore(self, &head, "ns", "new/dir/x", true);
	g_assert_false(has_directory(self, "ns", "new/"));
	g_assert_true(is_clean(self));

	/* lost with its last key */
	delete (self, "ns", "deep/er/x");
	g_assert_true(try_remove_directory(self, "ns", "deep/er/", NULL));
	g_assert_true(try_remove_directory(self, "ns", "deep/", NULL));
	restore(self, &head, "ns", "deep/er/x", true);
	assert_value(self, "ns", "deep/er/x", "1");
	g_assert_true(is_clean(self));

	/* in the commit, and without any key of it */
	delete (self, "ns", "kept/x");
	put(self, "ns", "kept/y", "2");
	restore(self, &head, "ns", "kept/y", true);
	assert_value(self, "ns", "kept/y", NULL);
	g_assert_true(has_directory(self, "ns", "kept/"));
	restore(self, &head, "ns", "", false);
	g_assert_true(is_clean(self));
	assert_root(self, commit_root(self, &head));
}

static void test_restore_namespaces(Fixture *self, gconstpointer data)
{
	ProllyCommitId first, head;

	get_head(self, &first);
	put(self, "a", "k", "1");
	put(self, "", "top", "1");
	commit(self);
	get_head(self, &head);
	put(self, "b", "k", "1");
	restore(self, &first, NULL, NULL, false);
	assert_root(self, commit_root(self, &first));
	assert_value(self, "a", "k", NULL);
	restore(self, &head, "a", "", false);
	assert_value(self, "a", "k", "1");
	assert_value(self, "", "top", NULL);
	restore(self, &head, "", "top", true);
	assert_root(self, commit_root(self, &head));
	g_assert_true(is_clean(self));
}

static void test_open_files(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at("ns", "a");
	ProllyFile *file = NULL;
	ProllyCommitId head;
	char buffer[8];
	size_t len;

	put(self, "ns", "a", "old");
	commit(self);
	get_head(self, &head);
	put(self, "ns", "a", "new");
	prolly_file_open(self->repo, self->branch, &place, &file, &error);
	g_assert_no_error(error);
	restore(self, &head, "ns", "a", true);
	prolly_file_read(file, 0, buffer, sizeof(buffer), &len, &error);
	g_assert_no_error(error);
	g_assert_cmpmem(buffer, len, "new", 3);
	prolly_file_write(file, 0, "orphan", 6, &error);
	g_assert_no_error(error);
	g_clear_pointer(&file, prolly_file_unref);
	assert_value(self, "ns", "a", "old");
}

static bool refuse_lock(ProllyRefs *refs, const ProllyRefUpdate *update, GError **error)
{
	return prolly_throw(error, PROLLY_ERROR_BUSY, "%s is locked", update->name);
}

static void write_text(ProllyFile *file, const char *text)
{
	g_autoptr(GError) error = NULL;

	prolly_file_write(file, 0, text, strlen(text), &error);
	g_assert_no_error(error);
	prolly_file_flush(file, &error);
	g_assert_no_error(error);
}

/* Whoever has a file open writes on to the branch as it is, which has not moved. */
static void test_refused(Fixture *self, gconstpointer data)
{
	ProllyRefs *refs = self->repo->body->git->refs;
	const ProllyRefsOps *ops = refs->ops;
	ProllyRefsOps refusing = *ops;
	g_autoptr(ProllyFile) file = NULL;
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at("ns", "a");
	ProllyCommitId first, from;

	put(self, "ns", "a", "first one");
	commit(self);
	get_head(self, &first);
	put(self, "ns", "a", "second");
	commit(self);
	put(self, "ns", "a", "staged");
	prolly_file_open(self->repo, self->branch, &place, &file, &error);
	g_assert_no_error(error);

	refusing.lock = refuse_lock;
	refs->ops = &refusing;
	g_assert_false(prolly_branch_reset(self->repo, self->branch, &first, PROLLY_RESET_HARD,
					   "first", &from, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_BUSY);
	refs->ops = ops;
	write_text(file, "written");
	assert_value(self, "ns", "a", "written");

	reset(self, &first, PROLLY_RESET_HARD);
	g_assert_true(prolly_file_is_orphan(file));
	write_text(file, "orphan");
	assert_value(self, "ns", "a", "first one");
}

static void test_soft(Fixture *self, gconstpointer data)
{
	ProllyCommitId first, head;
	ProllyAttrs before, after;
	ProllyHash root;

	put(self, "ns", "a", "1");
	put(self, "ns", "gone/x", "1");
	commit(self);
	get_head(self, &first);
	put(self, "ns", "a", "2");
	put(self, "new", "k", "2");
	delete (self, "ns", "gone/x");
	g_assert_true(try_remove_directory(self, "ns", "gone/", NULL));
	commit(self);
	get_head(self, &head);
	put(self, "ns", "staged", "3");
	get_attrs(self, "ns", "a", &before);
	root = working_root(self);
	reset(self, &first, PROLLY_RESET_SOFT);
	assert_root(self, root);
	get_attrs(self, "ns", "a", &after);
	g_assert_cmpint(after.mtime, ==, before.mtime);
	g_assert_cmpuint(after.ino, ==, before.ino);
	g_assert_false(has_directory(self, "ns", "gone/"));
	/* what was staged: a, new/k, gone/x and staged */
	g_assert_cmpuint(commit(self), ==, 4);
	assert_root(self, root);
	reset(self, &head, PROLLY_RESET_SOFT);
	g_assert_cmpuint(restore(self, &head, NULL, NULL, false), ==, 1);
	g_assert_cmpuint(commit(self), ==, 0);
}

static void fast_forward(Fixture *self, const ProllyCommitId *to)
{
	ProllyMergeOptions options = {.ff_only = true};
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;
	ProllyCommitId id;

	prolly_history_merge(self->repo, self->branch, to, &options, &result, &id, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, PROLLY_MERGE_FAST_FORWARD);
}

static void stage(Fixture *self, const ProllyCommitId *from, const ProllyCommitId *to)
{
	ProllySignature author = {(char *)"A", (char *)"a@example.com", 1000000000, 0};
	ProllyMergeChange change = {from, to};
	ProllyMergeOptions options = {.operation = "revert",
				      .message = "back",
				      .author = &author,
				      .committer = &author,
				      .no_commit = true};
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;
	ProllyCommitId id;

	prolly_history_apply(self->repo, self->branch, &change, &options, &result, &id, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, PROLLY_MERGE_STAGED);
}

/* What is staged in a namespace that one head has not and the next one has stays there, in the unnamed
 * one as well. */
static void test_soft_under_staged(Fixture *self, gconstpointer data)
{
	ProllyCommitId with, without;
	g_autoptr(GError) error = NULL;

	put(self, "ns", "a", "1");
	put(self, "", "a", "1");
	commit(self);
	get_head(self, &with);
	delete (self, "ns", "a");
	delete (self, "", "a");
	try_remove_directory(self, "ns", "", &error);
	g_assert_no_error(error);
	commit(self);
	get_head(self, &without);
	reset(self, &with, PROLLY_RESET_HARD);
	put(self, "ns", "b", "2");
	put(self, "", "b", "2");
	fast_forward(self, &without);
	assert_keys(self, "ns", "b");
	reset(self, &with, PROLLY_RESET_SOFT);
	g_assert_true(has_directory(self, "ns", ""));
	assert_keys(self, "ns", "b");
	commit(self);
	assert_keys(self, "ns", "b");
	assert_keys(self, "", "b");
}

/* A commit with namespace "ns", and with KEY in it unless it is NULL; then one without. Back to the one
 * or the other. */
static void make_two(Fixture *self, const char *key, ProllyCommitId *out_with,
		     ProllyCommitId *out_without)
{
	g_autoptr(GError) error = NULL;

	make_directory(self, "ns", "");
	if (key)
		put(self, "ns", key, "1");
	commit(self);
	get_head(self, out_with);
	if (key)
		delete (self, "ns", key);
	try_remove_directory(self, "ns", "", &error);
	g_assert_no_error(error);
	commit(self);
	get_head(self, out_without);
	reset(self, out_with, PROLLY_RESET_HARD);
}

/* A move takes a namespace away under a key that is staged in it: it is there, and stays when the key
 * goes, by whatever. */
static void test_namespace_of_staged_key(Fixture *self, gconstpointer data)
{
	ProllyCommitId with, without;

	make_two(self, "a", &with, &without);
	put(self, "ns", "b", "2");
	fast_forward(self, &without);
	g_assert_true(has_directory(self, "ns", ""));
	delete (self, "ns", "b");
	g_assert_true(has_directory(self, "ns", ""));
	g_assert_cmpuint(commit(self), ==, 1);

	reset(self, &with, PROLLY_RESET_HARD);
	put(self, "ns", "b", "2");
	fast_forward(self, &without);
	g_assert_cmpuint(restore(self, &with, "ns", "b", true), ==, 1);
	g_assert_true(has_directory(self, "ns", ""));
	g_assert_cmpuint(commit(self), ==, 1);
}

/* What is staged of a namespace and is no change is not in a move's way. */
static void test_namespace_as_committed(Fixture *self, gconstpointer data)
{
	ProllyCommitId with, without;
	g_autoptr(GError) error = NULL;

	make_two(self, NULL, &with, &without);
	try_remove_directory(self, "ns", "", &error);
	g_assert_no_error(error);
	make_directory(self, "ns", "");
	fast_forward(self, &without);
	g_assert_false(has_directory(self, "ns", ""));
	g_assert_cmpuint(commit(self), ==, 0);
}

/* A removal that is staged ends when a move brings keys. */
static void test_namespace_brought_back(Fixture *self, gconstpointer data)
{
	ProllyCommitId with, without, filled;
	g_autoptr(GError) error = NULL;

	make_two(self, NULL, &with, &without);
	put(self, "ns", "a", "1");
	commit(self);
	get_head(self, &filled);
	reset(self, &with, PROLLY_RESET_HARD);
	try_remove_directory(self, "ns", "", &error);
	g_assert_no_error(error);
	fast_forward(self, &filled);
	assert_keys(self, "ns", "a");
	g_assert_cmpuint(commit(self), ==, 0);

	reset(self, &with, PROLLY_RESET_HARD);
	try_remove_directory(self, "ns", "", &error);
	g_assert_no_error(error);
	fast_forward(self, &filled);
	stage(self, &filled, &with);
	g_assert_true(has_directory(self, "ns", ""));
	assert_keys(self, "ns", "");
}

static void test_hard(Fixture *self, gconstpointer data)
{
	ProllyAttrs mode = {.has = PROLLY_ATTR_MODE, .mode = 0600}, after;
	ProllyPlace place = at("ns", "a");
	g_autoptr(GError) error = NULL;
	ProllyCommitId first, head;

	put(self, "ns", "a", "1");
	commit(self);
	get_head(self, &first);
	put(self, "ns", "b", "2");
	commit(self);
	get_head(self, &head);
	put(self, "ns", "d/c", "3");
	delete (self, "ns", "b");
	prolly_edit_set_attrs(self->repo, self->branch, &place, false, &mode, -1, NULL, &error);
	g_assert_no_error(error);
	reset(self, &first, PROLLY_RESET_HARD);
	g_assert_true(is_clean(self));
	assert_root(self, commit_root(self, &first));
	assert_value(self, "ns", "b", NULL);
	g_assert_false(has_directory(self, "ns", "d/"));
	get_attrs(self, "ns", "a", &after);
	g_assert_cmpuint(after.mode, ==, 0600);
	reset(self, &head, PROLLY_RESET_HARD);
	assert_value(self, "ns", "b", "2");
	assert_root(self, commit_root(self, &head));
	put(self, "ns", "d/c", "4");
	g_assert_cmpuint(commit(self), ==, 1);
}

/* ---- The model ---------------------------------------------------------------------------- */

#define N_STEPS   400
#define N_COMMITS 12

/* A path is a namespace, a '/' and a key. */
typedef struct {
	GHashTable *values; /* path -> value */
	GHashTable *commits[N_COMMITS];
	ProllyCommitId ids[N_COMMITS];
	unsigned n_commits;
	GRand *rand; /* seeded by the test's number */
} Model;

static const char *const NAMESPACES[] = {"n", "m"};
static const char *const KEYS[] = {"a",     "b",     "d/a",   "d/b",   "d/e/a", "d/e/b",
				   "f/g/h", "f/g/i", "f/j/k", "l/m/n", "l/m/o", "z"};
static const char *const PREFIXES[] = {"", "d/", "d/e/", "f/", "f/g/", "f/j/", "l/", "l/m/"};

static unsigned roll(Model *model, unsigned n)
{
	return (unsigned)g_rand_int_range(model->rand, 0, (gint32)n);
}

static const char *pick(Model *model, const char *const *from, size_t n)
{
	return from[roll(model, (unsigned)n)];
}

static GHashTable *new_values(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void copy_values(GHashTable *from, const char *prefix, bool is_key, GHashTable *to)
{
	GHashTableIter iter;
	gpointer path, value;

	g_hash_table_iter_init(&iter, from);
	while (g_hash_table_iter_next(&iter, &path, &value))
		if (is_key ? !strcmp(path, prefix) : g_str_has_prefix(path, prefix))
			g_hash_table_insert(to, g_strdup(path), g_strdup(value));
}

static void remove_values(GHashTable *values, const char *prefix, bool is_key)
{
	GHashTableIter iter;
	gpointer path;

	g_hash_table_iter_init(&iter, values);
	while (g_hash_table_iter_next(&iter, &path, NULL))
		if (is_key ? !strcmp(path, prefix) : g_str_has_prefix(path, prefix))
			g_hash_table_iter_remove(&iter);
}

static void note_commit(Fixture *self, Model *model)
{
	unsigned i = model->n_commits++;

	model->commits[i] = new_values();
	copy_values(model->values, "", false, model->commits[i]);
	get_head(self, &model->ids[i]);
}

static void step_edit(Fixture *self, Model *model)
{
	const char *ns = pick(model, NAMESPACES, G_N_ELEMENTS(NAMESPACES));
	const char *key = pick(model, KEYS, G_N_ELEMENTS(KEYS));
	char *path = g_strconcat(ns, "/", key, NULL);
	char *value = g_strdup_printf("%u", roll(model, 4));

	if (roll(model, 5) < 3) {
		g_test_message("put %s = %s", path, value);
		put(self, ns, key, value);
		g_hash_table_insert(model->values, path, value);
		return;
	}
	g_test_message("delete %s", path);
	if (g_hash_table_remove(model->values, path))
		delete (self, ns, key);
	g_free(path);
	g_free(value);
}

static void step_load(Fixture *self, Model *model)
{
	const char *ns = pick(model, NAMESPACES, G_N_ELEMENTS(NAMESPACES));
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyLoad) load = NULL;

	prolly_load_new(self->repo, self->branch, ns, &load, &error);
	for (int i = 0; i < 3; i++) {
		const char *key = pick(model, KEYS, G_N_ELEMENTS(KEYS));

		g_test_message("load %s/%s", ns, key);
		prolly_load_add(load, key, strlen(key), "loaded", 6, &error);
		g_hash_table_insert(model->values, g_strconcat(ns, "/", key, NULL),
				    g_strdup("loaded"));
	}
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
}

static void step_restore(Fixture *self, Model *model)
{
	unsigned i = roll(model, model->n_commits);
	const char *ns = pick(model, NAMESPACES, G_N_ELEMENTS(NAMESPACES));
	bool is_key = g_rand_boolean(model->rand);
	const char *key = is_key ? pick(model, KEYS, G_N_ELEMENTS(KEYS))
				 : pick(model, PREFIXES, G_N_ELEMENTS(PREFIXES));
	g_autofree char *prefix = g_strconcat(ns, "/", key, NULL);

	g_test_message("restore %s of commit %u", prefix, i);
	restore(self, &model->ids[i], ns, key, is_key);
	remove_values(model->values, prefix, is_key);
	copy_values(model->commits[i], prefix, is_key, model->values);
}

/* No directory more, and none less, than the commit has. */
static void assert_directories(Fixture *self, const ProllyCommitId *id)
{
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(GError) error = NULL;

	prolly_view_new_commit(self->repo, id, &view, &error);
	g_assert_no_error(error);
	for (size_t n = 0; n < G_N_ELEMENTS(NAMESPACES); n++) {
		for (size_t d = 0; d < G_N_ELEMENTS(PREFIXES); d++) {
			const char *ns = NAMESPACES[n], *prefix = PREFIXES[d];

			g_test_message("%s/%s: %d, %d", ns, prefix,
				       view_has_directory(view, ns, prefix),
				       has_directory(self, ns, prefix));
			g_assert_true(view_has_directory(view, ns, prefix) ==
				      has_directory(self, ns, prefix));
		}
	}
}

static void step_restore_all(Fixture *self, Model *model)
{
	unsigned i = roll(model, model->n_commits);
	ProllyCommitId head;

	g_test_message("restore all of commit %u", i);
	restore(self, &model->ids[i], NULL, NULL, false);
	g_hash_table_remove_all(model->values);
	copy_values(model->commits[i], "", false, model->values);
	assert_root(self, commit_root(self, &model->ids[i]));
	assert_directories(self, &model->ids[i]);
	get_head(self, &head);
	if (prolly_commit_id_equal(&head, &model->ids[i]))
		g_assert_cmpuint(restore(self, &head, NULL, NULL, false), ==, 0);
}

static void step_reset(Fixture *self, Model *model)
{
	unsigned i = roll(model, model->n_commits);
	ProllyHash root = working_root(self);

	if (g_rand_boolean(model->rand)) {
		g_test_message("reset --soft to commit %u", i);
		reset(self, &model->ids[i], PROLLY_RESET_SOFT);
		assert_root(self, root);
		return;
	}
	g_test_message("reset --hard to commit %u", i);
	reset(self, &model->ids[i], PROLLY_RESET_HARD);
	assert_root(self, commit_root(self, &model->ids[i]));
	g_assert_true(is_clean(self));
	assert_directories(self, &model->ids[i]);
	g_hash_table_remove_all(model->values);
	copy_values(model->commits[i], "", false, model->values);
}

static void step_commit(Fixture *self, Model *model)
{
	ProllyHash root = working_root(self);

	g_test_message("commit %u", model->n_commits);
	commit(self);
	assert_root(self, root);
	g_assert_true(is_clean(self));
	if (model->n_commits < N_COMMITS)
		note_commit(self, model);
}

/* Every key's value; and a marker exactly where a directory has no keys. */
static void compare(Fixture *self, Model *model)
{
	for (size_t n = 0; n < G_N_ELEMENTS(NAMESPACES); n++) {
		for (size_t k = 0; k < G_N_ELEMENTS(KEYS); k++) {
			g_autofree char *path = g_strconcat(NAMESPACES[n], "/", KEYS[k], NULL);

			assert_value(self, NAMESPACES[n], KEYS[k],
				     g_hash_table_lookup(model->values, path));
		}
		for (size_t d = 1; d < G_N_ELEMENTS(PREFIXES); d++) {
			g_autofree char *prefix =
				g_strconcat(NAMESPACES[n], "/", PREFIXES[d], NULL);
			g_autoptr(GHashTable) below = new_values();

			copy_values(model->values, prefix, false, below);
			if (g_hash_table_size(below))
				g_assert_true(has_directory(self, NAMESPACES[n], PREFIXES[d]));
		}
	}
}

static void assert_markers(Fixture *self, const char *ns)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_autoptr(ProllyViewCursor) cursor = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *marker = NULL;

	prolly_view_cursor_new(view, ns, "", 0, false, &cursor, &error);
	prolly_view_cursor_seek(cursor, "", 0, &error);
	while (prolly_view_cursor_is_valid(cursor)) {
		const ProllyEntry *entry;
		size_t len;
		const char *bytes = (const char *)prolly_view_cursor_get_key(cursor, &len);
		g_autofree char *key = g_strndup(bytes, len);

		prolly_view_cursor_get_entry(cursor, &entry, &error);
		g_assert_no_error(error);
		if (marker && g_str_has_prefix(key, marker))
			g_error("%s: marker %s has %s below it", ns, marker, key);
		if (entry->kind == PROLLY_KIND_DIRECTORY) {
			g_free(marker);
			marker = g_strconcat(key, "/", NULL);
		}
		prolly_view_cursor_next(cursor, &error);
	}
	g_assert_no_error(error);
}

static void test_model(Fixture *self, gconstpointer data)
{
	guint32 seed = GPOINTER_TO_UINT(data);
	Model model = {.values = new_values(), .rand = g_rand_new_with_seed(seed)};

	g_test_message("seed %u", seed);
	note_commit(self, &model);
	for (int i = 0; i < N_STEPS; i++) {
		unsigned step = roll(&model, 20);

		if (step < 10)
			step_edit(self, &model);
		else if (step < 11)
			step_load(self, &model);
		else if (step < 15)
			step_restore(self, &model);
		else if (step < 16)
			step_restore_all(self, &model);
		else if (step < 18)
			step_reset(self, &model);
		else
			step_commit(self, &model);
		compare(self, &model);
		for (size_t n = 0; n < G_N_ELEMENTS(NAMESPACES); n++)
			assert_markers(self, NAMESPACES[n]);
	}
	for (unsigned i = 0; i < model.n_commits; i++)
		g_hash_table_unref(model.commits[i]);
	g_hash_table_unref(model.values);
	g_rand_free(model.rand);
}

#define TEST(name, function) \
	g_test_add("/version/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST("restore/key", test_restore_key);
	TEST("restore/directories", test_restore_directories);
	TEST("restore/namespaces", test_restore_namespaces);
	TEST("restore/open-files", test_open_files);
	TEST("reset/refused", test_refused);
	TEST("reset/soft", test_soft);
	TEST("reset/soft-under-staged", test_soft_under_staged);
	TEST("reset/namespace-of-staged-key", test_namespace_of_staged_key);
	TEST("reset/namespace-as-committed", test_namespace_as_committed);
	TEST("reset/namespace-brought-back", test_namespace_brought_back);
	TEST("reset/hard", test_hard);
	for (unsigned seed = 0; seed < 10; seed++) {
		g_autofree char *name = g_strdup_printf("/version/reset/model/%u", seed);

		g_test_add(name, Fixture, GUINT_TO_POINTER(seed), set_up, test_model, tear_down);
	}
	return g_test_run();
}
