/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working set against a model, a map from path to content, directories included. Random edits
 * go to both; what a branch shows must be the model, after each of them, whatever was committed or
 * loaded in between, and after each commit the tree must be that of a fresh build.
 */
#include "working-site.h"

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

	return g_strconcat(dir, NAMES[g_rand_int_range(model->rand, 0, G_N_ELEMENTS(NAMES))],
			   suffix, NULL);
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
	bool made =
		prolly_edit_make_directory(self->repo, self->branch, &place, NULL, NULL, &error);

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
	g_autoptr(GPtrArray) below =
		g_str_has_suffix(from, "/") ? model_list(model, from) : g_ptr_array_new();
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

/* In two steps, if it is to be PREPARED. */
static bool rename_path(Fixture *self, const char *from, const char *to, unsigned flags,
			bool prepared, GError **error)
{
	ProllyPlace a = at("n", from), b = at("n", to);
	g_autoptr(ProllyRename) rename = NULL;

	if (!prepared)
		return try_rename(self, "n", from, to, flags, error);
	rename = prolly_rename_new(self->repo, self->branch, &a, &b, flags);
	prolly_rename_prepare(rename, 0);
	return prolly_rename_finish(rename, error);
}

static void step_rename(Fixture *self, Model *model)
{
	bool is_dir = g_rand_boolean(model->rand);
	g_autofree char *from = random_path(model, is_dir ? "/" : "");
	g_autofree char *to = random_path(model, is_dir ? "/" : "");
	g_autofree char *other =
		is_dir ? g_strndup(to, strlen(to) - 1) : g_strconcat(to, "/", NULL);
	g_autoptr(GError) error = NULL;
	bool may = model_has(model, from) && !model_has(model, other) &&
		   (!is_dir || (!g_str_has_prefix(to, from) && model_is_empty(model, to)));
	bool done;

	if (!strcmp(from, to) || (!is_dir && model_has(model, other)))
		return;
	done = rename_path(self, from, to, is_dir ? DIRECTORIES : 0, g_rand_boolean(model->rand),
			   &error);
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
			g_ptr_array_add(keys,
					g_strdup_printf("%.*s\1/", (int)strlen(path) - 1, path));
	}
	g_ptr_array_sort(keys, prolly_strings_compare);
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

	qsort(names, g_strv_length(names), sizeof(char *), prolly_strings_compare);
	return g_strjoinv(",", names);
}

static char *model_entries(Model *model, const char *dir)
{
	g_autoptr(GPtrArray) below = model_list(model, dir);
	g_autoptr(GString) out = g_string_new(NULL);

	for (guint i = 0; i < below->len; i++) {
		const char *name = (char *)below->pdata[i] + strlen(dir),
			   *slash = strchr(name, '/');

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
		GBytes *stored =
			prolly_value_new_inline(marker ? PROLLY_KIND_DIRECTORY : PROLLY_KIND_FILE,
						content, strlen(content));

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
		step_put,
		step_put,
		step_put,
		step_delete,
		step_delete,
		step_delete,
		step_rename,
		step_make_directory,
		step_make_directory,
		step_remove_directory,
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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/version/working/model", Fixture, NULL, set_up, test_model, tear_down);
	return g_test_run();
}
