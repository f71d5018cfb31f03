/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working set: edits one by one, with what they mean for directories, numbers, links and views.
 */
#include "working-site.h"

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

/* A component that is too long for a name goes on in a level of its own, listed once. */
static void test_long_names(Fixture *self, gconstpointer data)
{
	g_autofree char *long_name = g_strnfill(300, 'l');
	g_autofree char *first = g_strconcat(long_name, "1", NULL);
	g_autofree char *second = g_strconcat(long_name, "2", NULL);
	g_autoptr(ProllyView) view = view_of(self);
	g_autofree char *names = NULL, *top = NULL;

	put(self, "n", first, "1");
	put(self, "n", second, "2");
	put(self, "n", "short", "3");
	put(self, "", first, "4");
	names = list_directory(view, "n", "");
	g_assert_true(g_str_has_prefix(names, "llll"));
	g_assert_true(g_str_has_suffix(names, "%prolly-more/,short"));
	g_assert_cmpuint(strlen(names), <, 270);
	top = list_directory(view, "", "");
	g_assert_cmpstr(top, ==, "n/,%prolly-more/");
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
	g_assert_true(
		prolly_edit_rename(self->repo, self->branch, &from, &to, DIRECTORIES, &error));
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
	g_assert_true(
		try_rename(self, "n", "d/", "e/", PROLLY_RENAME_EXCHANGE | DIRECTORIES, &error));
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

/* What is directly in a branch is a namespace or a key of the unnamed one: two places, not one. */
static void test_exchange_top(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace key = at("", "key"), dir = at("n", "d/");

	put(self, "", "key", "file");
	put(self, "n", "d/x", "1");
	g_assert_false(prolly_edit_rename(self->repo, self->branch, &key, &dir,
					  PROLLY_RENAME_EXCHANGE | PROLLY_RENAME_TO_DIRECTORY,
					  &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	g_clear_error(&error);
	g_assert_false(prolly_edit_rename(self->repo, self->branch, &dir, &key,
					  PROLLY_RENAME_EXCHANGE | PROLLY_RENAME_FROM_DIRECTORY,
					  &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_INVALID);
	assert_keys(self, "", "key");
	assert_keys(self, "n", "d/x");
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

static void load_keys(Fixture *self, const char *ns)
{
	g_autoptr(GError) error = NULL;
	ProllyLoad *load;

	prolly_load_new(self->repo, self->branch, ns, &load, &error);
	g_assert_no_error(error);
	prolly_load_add(load, "d/x", 3, "1", 1, &error);
	prolly_load_add(load, "d-", 2, "1", 1, &error);
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
	prolly_load_free(load);
}

/* A load that lies over an empty directory takes its marker away, also when it is committed. */
static void test_load_over_marker(Fixture *self, gconstpointer is_staged)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyView) view = view_of(self);
	ProllyNamespaceFigures figures, clean;

	make_directory(self, "n", "");
	make_directory(self, "n", "d/");
	if (!is_staged)
		commit(self);
	load_keys(self, "n");
	load_keys(self, "clean");
	assert_keys(self, "n", "d-,d/x");
	g_assert_false(is_empty(self, "n", "d/"));
	commit(self);
	assert_keys(self, "n", "d-,d/x");
	prolly_view_get_figures(view, "n", &figures, &error);
	prolly_view_get_figures(view, "clean", &clean, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_hash_equal(&figures.root, &clean.root));
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

/* A subdirectory that is emptied after its marker's place was read past is still a child. */
static void test_emptied_behind(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	put(self, "n", "d/s/x", "1");
	for (int i = 0; i < 50; i++) {
		g_autofree char *key = g_strdup_printf("d/s-%02d", i);

		put(self, "n", key, "1");
	}
	delete (self, "n", "d/s-00"); /* reads the first children */
	delete (self, "n", "d/s/x");
	for (int i = 1; i < 50; i++) {
		g_autofree char *key = g_strdup_printf("d/s-%02d", i);

		delete (self, "n", key);
	}
	assert_keys(self, "n", "d/s/");
	g_assert_false(try_remove_directory(self, "n", "d/", &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_NOT_EMPTY);
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
	TEST("long-names", test_long_names);
	TEST("rename-key", test_rename_key);
	TEST("rename-directory", test_rename_directory);
	TEST("rename-namespace", test_rename_namespace);
	TEST("exchange", test_exchange);
	TEST("exchange-top", test_exchange_top);
	TEST("links", test_links);
	TEST("numbers", test_numbers);
	TEST("load-over-marker", test_load_over_marker);
	g_test_add("/version/working/load-over-staged-marker", Fixture, GINT_TO_POINTER(true),
		   set_up, test_load_over_marker, tear_down);
	TEST("pinned", test_pinned);
	TEST("emptied-behind", test_emptied_behind);
	TEST_EMPTY("ascending");
	TEST_EMPTY("descending");
	TEST_EMPTY("random");
	TEST_EMPTY("committed");
	return g_test_run();
}
