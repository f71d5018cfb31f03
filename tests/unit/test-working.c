/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working set: edits, views, cursors and directories against a model.
 *
 * The model is a map from path to content, directories and namespaces included. Random edits go to
 * both; what a branch shows must be the model, after each of them, whatever was committed, pinned or
 * loaded in between, and after each commit the trees must be those of a fresh build.
 */
#include "version/working-private.h"

#include <string.h>

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
} Fixture;

static void set_up(Fixture *self, gconstpointer data)
{
	ProllyRepoOptions options = {.create = true};
	g_autoptr(GError) error = NULL;

	prolly_repo_open(":memory:", &options, &self->repo, &error);
	g_assert_no_error(error);
	prolly_branch_lookup(self->repo, "main", &self->branch, &error);
	g_assert_no_error(error);
	g_assert_nonnull(self->branch);
}

static void tear_down(Fixture *self, gconstpointer data)
{
	prolly_branch_unref(self->branch);
	prolly_repo_free(self->repo);
}

/* ---- Edits in short ---------------------------------------------------------------------- */

static ProllyPlace at(const char *ns, const char *key)
{
	return (ProllyPlace){ns, (const uint8_t *)key, strlen(key)};
}

static void put_with(Fixture *self, const char *ns, const char *key, const char *content,
		     unsigned flags, ProllyAttrs *out_attrs)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) stored =
		prolly_value_new_inline(PROLLY_KIND_FILE, content, strlen(content));
	ProllyPlace place = at(ns, key);

	prolly_edit_put(self->repo, self->branch, &place, stored, NULL, flags, out_attrs, &error);
	g_assert_no_error(error);
}

static void put(Fixture *self, const char *ns, const char *key, const char *content)
{
	put_with(self, ns, key, content, PROLLY_EDIT_KEEP_ATTRS, NULL);
}

static void delete(Fixture *self, const char *ns, const char *key)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, key);

	prolly_edit_delete(self->repo, self->branch, &place, NULL, &error);
	g_assert_no_error(error);
}

static void make_directory(Fixture *self, const char *ns, const char *prefix)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, prefix);

	prolly_edit_make_directory(self->repo, self->branch, &place, NULL, NULL, &error);
	g_assert_no_error(error);
}

static bool try_remove_directory(Fixture *self, const char *ns, const char *prefix, GError **error)
{
	ProllyPlace place = at(ns, prefix);

	return prolly_edit_remove_directory(self->repo, self->branch, &place, error);
}

static bool try_rename(Fixture *self, const char *ns, const char *from, const char *to,
		       unsigned flags, GError **error)
{
	ProllyPlace a = at(ns, from), b = at(ns, to);

	return prolly_edit_rename(self->repo, self->branch, &a, &b, flags, error);
}

static uint64_t commit(Fixture *self)
{
	ProllySignature author = {(char *)"A", (char *)"a@example.com", 1000000000, 0};
	ProllyCommitOptions options = {.message = "test", .author = &author, .committer = &author};
	g_autoptr(GError) error = NULL;
	ProllyCommitId id;
	uint64_t changes;

	prolly_history_commit(self->repo, self->branch, &options, &id, &changes, &error);
	g_assert_no_error(error);
	return changes;
}

static ProllyView *view_of(Fixture *self)
{
	return prolly_view_new_live(self->repo, self->branch);
}

/* (transfer full) The content, or NULL. */
static char *get(Fixture *self, const char *ns, const char *key)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, key);
	char buffer[256];
	size_t len;
	bool found;

	prolly_view_get(view, &place, true, &entry, &found, &error);
	g_assert_no_error(error);
	if (!found || entry.kind == PROLLY_KIND_DIRECTORY)
		return NULL;
	prolly_view_read(view, &entry, 0, buffer, sizeof(buffer), &len, &error);
	g_assert_no_error(error);
	return g_strndup(buffer, len);
}

static void get_attrs(Fixture *self, const char *ns, const char *key, ProllyAttrs *out_attrs)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_auto(ProllyEntry) entry = {0};
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, key);
	bool found;

	prolly_view_get(view, &place, true, &entry, &found, &error);
	g_assert_no_error(error);
	g_assert_true(found);
	*out_attrs = entry.attrs;
	out_attrs->xattrs = NULL;
}

static void get_directory(Fixture *self, const char *ns, const char *prefix, ProllyAttrs *out_attrs,
			  bool *out_exists, bool *out_empty)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, prefix);

	prolly_view_get_directory(view, &place, out_attrs, out_exists, out_empty, &error);
	g_assert_no_error(error);
}

static bool is_directory(Fixture *self, const char *ns, const char *prefix)
{
	bool exists;

	get_directory(self, ns, prefix, NULL, &exists, NULL);
	return exists;
}

static bool is_empty(Fixture *self, const char *ns, const char *prefix)
{
	bool exists, empty;

	get_directory(self, ns, prefix, NULL, &exists, &empty);
	g_assert_true(exists);
	return empty;
}

/* All keys of NS, markers with a '/': "a,b/,c". */
static char *list_keys(ProllyView *view, const char *ns)
{
	g_autoptr(ProllyViewCursor) cursor = NULL;
	g_autoptr(GError) error = NULL;
	GString *out = g_string_new(NULL);

	prolly_view_cursor_new(view, ns, NULL, 0, true, &cursor, &error);
	g_assert_no_error(error);
	for (prolly_view_cursor_seek(cursor, NULL, 0, &error);
	     prolly_view_cursor_is_valid(cursor); prolly_view_cursor_next(cursor, &error)) {
		const ProllyEntry *entry;
		size_t len;
		const uint8_t *key = prolly_view_cursor_get_key(cursor, &len);

		g_assert_no_error(error);
		prolly_view_cursor_get_entry(cursor, &entry, &error);
		g_assert_no_error(error);
		g_string_append_printf(out, "%s%.*s%s", out->len ? "," : "", (int)len, key,
				       entry->kind == PROLLY_KIND_DIRECTORY ? "/" : "");
	}
	g_assert_no_error(error);
	return g_string_free(out, FALSE);
}

static char *list_directory(ProllyView *view, const char *ns, const char *prefix)
{
	g_autoptr(ProllyDirectory) directory = NULL;
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at(ns, prefix);
	GString *out = g_string_new(NULL);
	ProllyDirent dirent;
	bool end;

	prolly_directory_open(view, &place, true, &directory, &error);
	g_assert_no_error(error);
	for (;;) {
		prolly_directory_next(directory, &dirent, &end, &error);
		g_assert_no_error(error);
		if (end)
			break;
		g_string_append_printf(out, "%s%s%s", out->len ? "," : "", dirent.name,
				       dirent.is_directory ? "/" : "");
	}
	return g_string_free(out, FALSE);
}

#define assert_keys(self, ns, expected)                             \
	do {                                                        \
		g_autoptr(ProllyView) view_ = view_of(self);        \
		g_autofree char *keys_ = list_keys(view_, ns);      \
		g_assert_cmpstr(keys_, ==, expected);               \
	} while (0)

#define assert_entries(self, ns, prefix, expected)                          \
	do {                                                                \
		g_autoptr(ProllyView) view_ = view_of(self);                \
		g_autofree char *names_ = list_directory(view_, ns, prefix); \
		g_assert_cmpstr(names_, ==, expected);                      \
	} while (0)

#define assert_content(self, ns, key, expected)                     \
	do {                                                        \
		g_autofree char *content_ = get(self, ns, key);     \
		g_assert_cmpstr(content_, ==, expected);            \
	} while (0)

/* ---- Single edits ------------------------------------------------------------------------ */

static void test_put_get(Fixture *self, gconstpointer data)
{
	ProllyAttrs created, kept, renewed;

	assert_content(self, "n", "a", NULL);
	put_with(self, "n", "a", "1", 0, &created);
	assert_content(self, "n", "a", "1");
	put_with(self, "n", "a", "2", PROLLY_EDIT_KEEP_ATTRS, &kept);
	assert_content(self, "n", "a", "2");
	g_assert_cmpuint(kept.ino, ==, created.ino);
	put_with(self, "n", "a", "3", 0, &renewed);
	g_assert_cmpuint(renewed.ino, !=, created.ino);
	commit(self);
	assert_content(self, "n", "a", "3");
	get_attrs(self, "n", "a", &kept);
	g_assert_cmpuint(kept.ino, ==, renewed.ino);
	g_assert_cmpint(kept.mtime, ==, renewed.mtime);
	delete (self, "n", "a");
	assert_content(self, "n", "a", NULL);
	g_assert_cmpuint(commit(self), ==, 1);
	assert_keys(self, "n", "");
}

static void test_exclusive(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) stored = prolly_value_new_inline(PROLLY_KIND_FILE, "x", 1);
	ProllyPlace place = at("n", "a");

	put(self, "n", "a", "1");
	g_assert_false(prolly_edit_put(self->repo, self->branch, &place, stored, NULL,
				       PROLLY_EDIT_EXCLUSIVE, NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
}

/* What was made and removed between commits leaves nothing staged. */
static void test_no_residue(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyState) state = NULL;
	g_autoptr(GError) error = NULL;
	bool empty;

	put(self, "n", "keep", "1");
	commit(self);
	put(self, "n", "temporary", "1");
	delete (self, "n", "temporary");
	state = prolly_branch_get_state(self->branch);
	prolly_staged_is_empty(self->repo, self->branch, state, &empty, &error);
	g_assert_no_error(error);
	g_assert_true(empty);
}

static void test_markers(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	make_directory(self, "n", "");
	make_directory(self, "n", "d/");
	assert_keys(self, "n", "d/");
	g_assert_true(is_empty(self, "n", "d/"));
	put(self, "n", "d/x", "1");
	assert_keys(self, "n", "d/x");
	g_assert_false(is_empty(self, "n", "d/"));
	commit(self);
	delete (self, "n", "d/x");
	assert_keys(self, "n", "d/");
	g_assert_true(try_remove_directory(self, "n", "d/", &error));
	assert_keys(self, "n", "");
	g_assert_false(is_directory(self, "n", "d/"));
	g_assert_false(try_remove_directory(self, "n", "d/", &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NOT_FOUND);
	g_clear_error(&error);
	put(self, "n", "a/b/c", "1");
	assert_keys(self, "n", "a/b/c");
	g_assert_false(try_remove_directory(self, "n", "a/", &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NOT_EMPTY);
	delete (self, "n", "a/b/c");
	assert_keys(self, "n", "a/b/");
}

/* A key and a directory of one name: the directory goes with its last key. */
static void test_key_and_directory(Fixture *self, gconstpointer data)
{
	put(self, "n", "a", "key");
	put(self, "n", "a-b", "between");
	put(self, "n", "a/x", "below");
	assert_keys(self, "n", "a,a-b,a/x");
	assert_entries(self, "n", "", "a%prolly-key,a-b,a/");
	delete (self, "n", "a/x");
	assert_keys(self, "n", "a,a-b");
	g_assert_false(is_directory(self, "n", "a/"));
	assert_entries(self, "n", "", "a,a-b");
}

static void test_rename_key(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyAttrs before, after;

	put_with(self, "n", "d/a", "1", 0, &before);
	put(self, "n", "e/b", "2");
	g_assert_true(try_rename(self, "n", "d/a", "e/c", 0, &error));
	assert_keys(self, "n", "d/,e/b,e/c");
	get_attrs(self, "n", "e/c", &after);
	g_assert_cmpuint(before.ino, ==, after.ino);
	g_assert_true(try_rename(self, "n", "e/c", "e/b", 0, &error));
	assert_keys(self, "n", "d/,e/b");
	assert_content(self, "n", "e/b", "1");
	g_assert_true(try_rename(self, "n", "e/b", "d/z", 0, &error));
	assert_keys(self, "n", "d/z,e/");
	g_assert_false(try_rename(self, "n", "gone", "x", 0, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NOT_FOUND);
}

#define DIRECTORIES (PROLLY_RENAME_FROM_DIRECTORY | PROLLY_RENAME_TO_DIRECTORY)

static void test_rename_directory(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyAttrs before, after;
	bool exists;

	put(self, "n", "a/x", "1");
	put(self, "n", "a/s/y", "2");
	make_directory(self, "n", "a/e/");
	get_directory(self, "n", "a/s/", &before, &exists, NULL);
	commit(self);
	g_assert_true(try_rename(self, "n", "a/", "b/", DIRECTORIES, &error));
	assert_keys(self, "n", "b/e/,b/s/y,b/x");
	g_assert_false(is_directory(self, "n", "a/"));
	g_assert_false(is_directory(self, "n", "a/s/"));
	g_assert_true(is_empty(self, "n", "b/e/"));
	get_directory(self, "n", "b/s/", &after, &exists, NULL);
	g_assert_cmpuint(before.ino, ==, after.ino);
	g_assert_false(try_rename(self, "n", "b/", "b/s/c/", DIRECTORIES, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_clear_error(&error);
	put(self, "n", "c/z", "3");
	g_assert_false(try_rename(self, "n", "b/", "c/", DIRECTORIES, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NOT_EMPTY);
	g_clear_error(&error);
	delete (self, "n", "c/z");
	g_assert_true(try_rename(self, "n", "b/", "c/", DIRECTORIES, &error));
	assert_keys(self, "n", "c/e/,c/s/y,c/x");
	commit(self);
	assert_keys(self, "n", "c/e/,c/s/y,c/x");
}

static void test_rename_namespace(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace from = at("n", ""), to = at("m", "");

	put(self, "n", "a/x", "1");
	commit(self);
	g_assert_true(prolly_edit_rename(self->repo, self->branch, &from, &to, DIRECTORIES, &error));
	g_assert_no_error(error);
	assert_keys(self, "m", "a/x");
	assert_entries(self, "", "", "m/");
	commit(self);
	assert_entries(self, "", "", "m/");
	assert_keys(self, "m", "a/x");
}

static void test_exchange(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	put(self, "n", "a", "file");
	put(self, "n", "d/x", "1");
	put(self, "n", "d/y", "2");
	put(self, "n", "e/x", "3");
	g_assert_true(try_rename(self, "n", "d/", "e/", PROLLY_RENAME_EXCHANGE | DIRECTORIES,
				 &error));
	g_assert_no_error(error);
	assert_keys(self, "n", "a,d/x,e/x,e/y");
	assert_content(self, "n", "d/x", "3");
	assert_content(self, "n", "e/x", "1");
	g_assert_true(try_rename(self, "n", "a", "e/",
				 PROLLY_RENAME_EXCHANGE | PROLLY_RENAME_TO_DIRECTORY, &error));
	g_assert_no_error(error);
	assert_keys(self, "n", "a/x,a/y,d/x,e");
	assert_content(self, "n", "e", "file");
}

static void test_links(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace a = at("n", "a"), b = at("n", "b");
	ProllyAttrs of_a, of_b;

	put(self, "n", "a", "1");
	commit(self);
	prolly_edit_link(self->repo, self->branch, &a, &b, &of_b, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(of_b.nlink, ==, 2);
	get_attrs(self, "n", "a", &of_a);
	g_assert_cmpuint(of_a.nlink, ==, 2);
	g_assert_cmpuint(of_a.ino, ==, of_b.ino);
	put(self, "n", "b", "2");
	assert_content(self, "n", "a", "2");
	commit(self);
	get_attrs(self, "n", "b", &of_b);
	g_assert_cmpuint(of_b.nlink, ==, 2);
	g_assert_true(try_rename(self, "n", "b", "c", 0, &error));
	get_attrs(self, "n", "a", &of_a);
	g_assert_cmpuint(of_a.nlink, ==, 2);
	delete (self, "n", "a");
	get_attrs(self, "n", "c", &of_b);
	g_assert_cmpuint(of_b.nlink, ==, 1);
	assert_content(self, "n", "c", "2");
}

/* A derived number goes with what is renamed; what takes the name gets another. */
static void test_numbers(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyLoad *load;
	ProllyAttrs before, after, second;

	prolly_load_new(self->repo, self->branch, "n", &load, &error);
	g_assert_no_error(error);
	prolly_load_add(load, "a", 1, "1", 1, &error);
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
	prolly_load_free(load);
	get_attrs(self, "n", "a", &before);
	commit(self);
	get_attrs(self, "n", "a", &after);
	g_assert_cmpuint(before.ino, ==, after.ino);
	g_assert_cmpint(before.mtime, ==, after.mtime);
	g_assert_true(try_rename(self, "n", "a", "b", 0, &error));
	get_attrs(self, "n", "b", &after);
	g_assert_cmpuint(before.ino, ==, after.ino);
	commit(self);
	prolly_load_new(self->repo, self->branch, "n", &load, &error);
	prolly_load_add(load, "a", 1, "2", 1, &error);
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
	prolly_load_free(load);
	get_attrs(self, "n", "a", &second);
	g_assert_cmpuint(second.ino, !=, before.ino);
}

/* A load that lies over an empty directory takes its marker away, also when it is committed. */
static void test_load_over_marker(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyLoad *load;

	make_directory(self, "n", "");
	make_directory(self, "n", "d/");
	commit(self);
	prolly_load_new(self->repo, self->branch, "n", &load, &error);
	g_assert_no_error(error);
	prolly_load_add(load, "d/x", 3, "1", 1, &error);
	prolly_load_add(load, "d-", 2, "1", 1, &error);
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
	prolly_load_free(load);
	assert_keys(self, "n", "d-,d/x");
	g_assert_false(is_empty(self, "n", "d/"));
	commit(self);
	assert_keys(self, "n", "d-,d/x");
	delete (self, "n", "d/x");
	assert_keys(self, "n", "d/,d-");
}

static void test_pinned(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyView) pinned = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *keys = NULL;

	put(self, "n", "a", "1");
	put(self, "n", "b", "1");
	prolly_view_new_pinned(self->repo, self->branch, &pinned, &error);
	g_assert_no_error(error);
	delete (self, "n", "a");
	put(self, "n", "c", "1");
	commit(self);
	keys = list_keys(pinned, "n");
	g_assert_cmpstr(keys, ==, "a,b");
	assert_keys(self, "n", "b,c");
}

/* ---- The model --------------------------------------------------------------------------- */

/* Paths ("d/" of directories) to contents, of namespace "n". */
typedef struct {
	GTree *paths;
	GRand *rand;
} Model;

static int compare_text(gconstpointer a, gconstpointer b, gpointer data)
{
	return strcmp(a, b);
}

static bool model_has(Model *model, const char *path)
{
	return g_tree_lookup(model->paths, path) != NULL;
}

static void model_set(Model *model, const char *path, const char *content)
{
	g_tree_replace(model->paths, g_strdup(path), g_strdup(content));
}

static gboolean collect(gpointer path, gpointer content, gpointer paths)
{
	g_ptr_array_add(paths, path);
	return FALSE;
}

/* Paths that start with PREFIX, but PREFIX. Borrowed until the model changes. */
static GPtrArray *model_list(Model *model, const char *prefix)
{
	GPtrArray *all = g_ptr_array_new(), *found = g_ptr_array_new();

	g_tree_foreach(model->paths, collect, all);
	for (guint i = 0; i < all->len; i++)
		if (g_str_has_prefix(all->pdata[i], prefix) && strcmp(all->pdata[i], prefix))
			g_ptr_array_add(found, all->pdata[i]);
	g_ptr_array_unref(all);
	return found;
}

static bool model_is_empty(Model *model, const char *prefix)
{
	g_autoptr(GPtrArray) found = model_list(model, prefix);

	return !found->len;
}

static char *random_directory(Model *model)
{
	g_autoptr(GPtrArray) all = model_list(model, "");
	g_autoptr(GPtrArray) dirs = g_ptr_array_new();

	g_ptr_array_add(dirs, (char *)"");
	for (guint i = 0; i < all->len; i++)
		if (g_str_has_suffix(all->pdata[i], "/"))
			g_ptr_array_add(dirs, all->pdata[i]);
	return g_strdup(dirs->pdata[g_rand_int_range(model->rand, 0, (gint)dirs->len)]);
}

static char *random_path(Model *model, const char *suffix)
{
	static const char *const NAMES[] = {"a", "b", "c", "a-", "a.b", "aa", "z", "0", "!", "~"};
	g_autofree char *dir = random_directory(model);

	return g_strconcat(dir, NAMES[g_rand_int_range(model->rand, 0, G_N_ELEMENTS(NAMES))], suffix,
			   NULL);
}

/* Is a key or a directory in the way? */
static bool is_taken(Model *model, const char *path)
{
	g_autofree char *other = g_str_has_suffix(path, "/") ? g_strndup(path, strlen(path) - 1)
							       : g_strconcat(path, "/", NULL);

	return model_has(model, path) || model_has(model, other);
}

static void step_put(Fixture *self, Model *model)
{
	g_autofree char *path = random_path(model, "");
	g_autofree char *dir = g_strconcat(path, "/", NULL);
	g_autofree char *content = g_strdup_printf("%u", g_rand_int(model->rand));

	if (model_has(model, dir))
		return;
	put(self, "n", path, content);
	model_set(model, path, content);
}

static void step_delete(Fixture *self, Model *model)
{
	g_autofree char *path = random_path(model, "");
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at("n", path);
	bool found = false, ok;

	ok = prolly_edit_delete(self->repo, self->branch, &place, &found, &error);
	if (!ok)
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_IS_DIR);
	else
		g_assert_cmpint(found, ==, model_has(model, path));
	if (found)
		g_tree_remove(model->paths, path);
}

static void step_make_directory(Fixture *self, Model *model)
{
	g_autofree char *path = random_path(model, "/");
	g_autoptr(GError) error = NULL;
	ProllyPlace place = at("n", path);
	bool made = prolly_edit_make_directory(self->repo, self->branch, &place, NULL, NULL, &error);

	g_assert_cmpint(made, ==, !is_taken(model, path));
	if (made)
		model_set(model, path, "");
	else
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_EXISTS);
}

static void step_remove_directory(Fixture *self, Model *model)
{
	g_autofree char *path = random_path(model, "/");
	g_autoptr(GError) error = NULL;
	bool removed = try_remove_directory(self, "n", path, &error);

	g_assert_cmpint(removed, ==, model_has(model, path) && model_is_empty(model, path));
	if (removed)
		g_tree_remove(model->paths, path);
}

static void model_move(Model *model, const char *from, const char *to)
{
	g_autoptr(GPtrArray) below = g_str_has_suffix(from, "/") ? model_list(model, from)
								  : g_ptr_array_new();
	g_autoptr(GPtrArray) moved = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(below, (char *)from);
	for (guint i = 0; i < below->len; i++) {
		const char *path = below->pdata[i];

		g_ptr_array_add(moved, g_strdup(path));
		g_ptr_array_add(moved, g_strdup(g_tree_lookup(model->paths, path)));
	}
	for (guint i = 0; i < moved->len; i += 2)
		g_tree_remove(model->paths, moved->pdata[i]);
	for (guint i = 0; i < moved->len; i += 2) {
		g_autofree char *path =
			g_strconcat(to, (char *)moved->pdata[i] + strlen(from), NULL);

		model_set(model, path, moved->pdata[i + 1]);
	}
}

static void step_rename(Fixture *self, Model *model)
{
	bool is_dir = g_rand_boolean(model->rand);
	g_autofree char *from = random_path(model, is_dir ? "/" : "");
	g_autofree char *to = random_path(model, is_dir ? "/" : "");
	g_autofree char *other = is_dir ? g_strndup(to, strlen(to) - 1) : g_strconcat(to, "/", NULL);
	g_autoptr(GError) error = NULL;
	bool may = model_has(model, from) && !model_has(model, other) &&
		   (!is_dir || (!g_str_has_prefix(to, from) && model_is_empty(model, to)));
	bool done;

	if (!strcmp(from, to) || (!is_dir && model_has(model, other)))
		return;
	done = try_rename(self, "n", from, to, is_dir ? DIRECTORIES : 0, &error);
	if (may)
		g_assert_no_error(error);
	g_assert_cmpint(done, ==, may);
	if (done)
		model_move(model, from, to);
}

/* Keys that a load adds where nothing is in their way, directories made as needed. */
static void step_load(Fixture *self, Model *model)
{
	g_autoptr(GError) error = NULL;
	ProllyLoad *load;

	prolly_load_new(self->repo, self->branch, "n", &load, &error);
	g_assert_no_error(error);
	for (int i = 0; i < 3; i++) {
		g_autofree char *path = random_path(model, "");
		g_autofree char *dir = g_strconcat(path, "/", NULL);

		if (model_has(model, dir))
			continue;
		prolly_load_add(load, path, strlen(path), "loaded", 6, &error);
		g_assert_no_error(error);
		model_set(model, path, "loaded");
	}
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
	prolly_load_free(load);
}

/* ---- Comparing --------------------------------------------------------------------------- */

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keys as they are in the tree: files, and directories that are empty. */
static char *model_keys(Model *model)
{
	g_autoptr(GPtrArray) all = model_list(model, "");
	g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < all->len; i++) {
		const char *path = all->pdata[i];

		if (!g_str_has_suffix(path, "/"))
			g_ptr_array_add(keys, g_strconcat(path, "\1", NULL));
		else if (model_is_empty(model, path))
			g_ptr_array_add(keys, g_strdup_printf("%.*s\1/", (int)strlen(path) - 1, path));
	}
	g_ptr_array_sort(keys, compare_names);
	for (guint i = 0; i < keys->len; i++) {
		char *mark = strchr(keys->pdata[i], 1);

		*mark = '\0';
		g_string_append_printf(out, "%s%s%s", out->len ? "," : "", (char *)keys->pdata[i],
				       mark + 1);
	}
	return g_string_free(out, FALSE);
}

static char *sort_names(const char *list)
{
	g_auto(GStrv) names = g_strsplit(list, ",", -1);

	qsort(names, g_strv_length(names), sizeof(char *), compare_names);
	return g_strjoinv(",", names);
}

static char *model_entries(Model *model, const char *dir)
{
	g_autoptr(GPtrArray) below = model_list(model, dir);
	g_autoptr(GString) out = g_string_new(NULL);

	for (guint i = 0; i < below->len; i++) {
		const char *name = (char *)below->pdata[i] + strlen(dir), *slash = strchr(name, '/');

		if (!slash || !slash[1])
			g_string_append_printf(out, "%s%s", out->len ? "," : "", name);
	}
	return sort_names(out->str);
}

static void compare_directory(Fixture *self, Model *model, ProllyView *view, const char *dir)
{
	g_autofree char *listed = list_directory(view, "n", dir), *sorted = sort_names(listed);
	g_autofree char *expected = model_entries(model, dir);
	bool exists, empty;

	g_assert_cmpstr(sorted, ==, expected);
	get_directory(self, "n", dir, NULL, &exists, &empty);
	g_assert_true(exists);
	g_assert_cmpint(empty, ==, !expected[0]);
}

static void compare(Fixture *self, Model *model)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_autofree char *keys = list_keys(view, "n"), *expected = model_keys(model);
	g_autofree char *dir = random_directory(model), *path = random_path(model, "");
	g_autofree char *below = random_path(model, "/");
	bool exists;

	g_assert_cmpstr(keys, ==, expected);
	assert_content(self, "n", path, g_tree_lookup(model->paths, path));
	compare_directory(self, model, view, dir);
	get_directory(self, "n", below, NULL, &exists, NULL);
	g_assert_cmpint(exists, ==, model_has(model, below));
}

/* The committed tree is that of a fresh build. */
static void compare_root(Fixture *self, Model *model)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	g_autoptr(ProllyState) state = prolly_branch_get_state(self->branch);
	const ProllyTree *tree = prolly_state_find_namespace(state, "n");
	g_autofree char *list = model_keys(model);
	g_auto(GStrv) keys = g_strsplit(list, ",", -1);
	g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	guint n = list[0] ? g_strv_length(keys) : 0;
	g_autofree ProllyEdit *edits = g_new0(ProllyEdit, n + 1);
	g_autoptr(ProllyView) view = NULL;
	g_autofree char *committed = NULL;
	g_autoptr(GError) error = NULL;
	ProllyTree built;

	for (guint i = 0; i < n; i++) {
		const char *content = g_tree_lookup(model->paths, keys[i]);
		bool marker = g_str_has_suffix(keys[i], "/");
		GBytes *stored = prolly_value_new_inline(
			marker ? PROLLY_KIND_DIRECTORY : PROLLY_KIND_FILE, content, strlen(content));

		g_ptr_array_add(values, stored);
		edits[i].key = (const uint8_t *)keys[i];
		edits[i].key_len = strlen(keys[i]) - marker;
		edits[i].value = g_bytes_get_data(stored, &edits[i].value_len);
	}
	prolly_view_new_commit(self->repo, &state->head, &view, &error);
	g_assert_no_error(error);
	committed = list_keys(view, "n");
	g_assert_cmpstr(committed, ==, list);
	prolly_tree_apply_array(context, NULL, edits, n, &built, &error);
	g_assert_no_error(error);
	g_assert_nonnull(tree);
	g_assert_true(prolly_tree_equal(tree, &built));
}

static void test_model(Fixture *self, gconstpointer data)
{
	guint32 seed = (guint32)g_test_rand_int();
	Model model = {
		.paths = g_tree_new_full(compare_text, NULL, g_free, g_free),
		.rand = g_rand_new_with_seed(seed),
	};
	void (*const STEPS[])(Fixture *, Model *) = {
		step_put,         step_put,
		step_put,         step_delete,
		step_delete,      step_delete,
		step_rename,      step_make_directory,
		step_make_directory, step_remove_directory,
	};

	g_test_message("seed %u", seed);
	make_directory(self, "n", "");
	for (int i = 0; i < 1500; i++) {
		int dice = g_rand_int_range(model.rand, 0, 100);

		if (dice < 3) {
			commit(self);
			compare_root(self, &model);
		} else if (dice < 5) {
			step_load(self, &model);
		} else {
			STEPS[g_rand_int_range(model.rand, 0, G_N_ELEMENTS(STEPS))](self, &model);
		}
		compare(self, &model);
	}
	g_tree_destroy(model.paths);
	g_rand_free(model.rand);
}

/* ---- Emptying directories ---------------------------------------------------------------- */

static void empty_in_order(Fixture *self, const char *order)
{
	GRand *rand = g_rand_new_with_seed(7);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	for (int i = 0; i < 300; i++)
		g_ptr_array_add(names, g_strdup_printf("d/%04d", i));
	for (guint i = 0; i < names->len; i++)
		put(self, "n", names->pdata[i], "1");
	if (!strcmp(order, "committed"))
		commit(self);
	while (names->len) {
		guint at_index = !strcmp(order, "descending") ? names->len - 1
				 : !strcmp(order, "random")
					 ? (guint)g_rand_int_range(rand, 0, (gint)names->len)
					 : 0;

		g_assert_false(is_empty(self, "n", "d/"));
		delete (self, "n", names->pdata[at_index]);
		g_ptr_array_remove_index(names, at_index);
	}
	assert_keys(self, "n", "d/");
	g_rand_free(rand);
}

static void test_empty(Fixture *self, gconstpointer order)
{
	empty_in_order(self, order);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(path, function) \
	g_test_add("/version/working/" path, Fixture, NULL, set_up, function, tear_down)
#define TEST_EMPTY(order) \
	g_test_add("/version/working/empty/" order, Fixture, order, set_up, test_empty, tear_down)
	TEST("put-get", test_put_get);
	TEST("exclusive", test_exclusive);
	TEST("no-residue", test_no_residue);
	TEST("markers", test_markers);
	TEST("key-and-directory", test_key_and_directory);
	TEST("rename-key", test_rename_key);
	TEST("rename-directory", test_rename_directory);
	TEST("rename-namespace", test_rename_namespace);
	TEST("exchange", test_exchange);
	TEST("links", test_links);
	TEST("numbers", test_numbers);
	TEST("load-over-marker", test_load_over_marker);
	TEST("pinned", test_pinned);
	TEST("model", test_model);
	TEST_EMPTY("ascending");
	TEST_EMPTY("descending");
	TEST_EMPTY("random");
	TEST_EMPTY("committed");
	return g_test_run();
}
