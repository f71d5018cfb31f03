/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renames of directories that were prepared: what comes between preparing and finishing is neither
 * lost nor left behind, and what is not finished leaves nothing.
 */
#include "version/reset.h"
#include "working-site.h"

#define DIRECTORIES (PROLLY_RENAME_FROM_DIRECTORY | PROLLY_RENAME_TO_DIRECTORY)

/* (transfer full) The rename of n/a/ to n/b/, prepared however few keys there are. */
static ProllyRename *prepare(Fixture *self)
{
	ProllyPlace from = at("n", "a/"), to = at("n", "b/");
	ProllyRename *rename = prolly_rename_new(self->repo, self->branch, &from, &to, DIRECTORIES);

	prolly_rename_prepare(rename, 0);
	return rename;
}

static void finish(ProllyRename *rename)
{
	g_autoptr(GError) error = NULL;

	prolly_rename_finish(rename, &error);
	g_assert_no_error(error);
	prolly_rename_free(rename);
}

static guint count_generations(Fixture *self)
{
	g_autoptr(ProllyState) state = prolly_branch_get_state(self->branch);

	return state->generations->len;
}

/* Records of staged entries, of all generations that may be. */
static guint count_records(Fixture *self)
{
	guint n = 0;

	for (uint64_t generation = 1; generation < 100; generation++) {
		g_autoptr(ProllyDbIter) iter = prolly_staged_iter_new_entries(
			self->repo->body->db, NULL, prolly_branch_get_id(self->branch), generation);

		for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
		     prolly_db_iter_next(iter))
			n++;
	}
	return n;
}

/* Keys committed, staged over those, and staged alone; directories, one of them empty. */
static void fill(Fixture *self)
{
	put(self, "n", "a/committed", "1");
	put(self, "n", "a/s/over", "2");
	put(self, "n", "elsewhere", "3");
	commit(self);
	put(self, "n", "a/s/over", "4");
	put(self, "n", "a/staged", "5");
	make_directory(self, "n", "a/empty/");
}

static void test_made(Fixture *self, gconstpointer data)
{
	ProllyAttrs before, after;
	ProllyRename *rename;
	guint n;

	fill(self);
	get_attrs(self, "n", "a/s/over", &before);
	n = count_generations(self);
	rename = prepare(self);
	assert_keys(self, "n", "a/committed,a/empty/,a/s/over,a/staged,elsewhere");
	put(self, "n", "elsewhere", "6");
	put(self, "n", "more", "7");
	finish(rename);
	g_assert_cmpuint(count_generations(self), ==, n + 1);
	for (int committed = 0; committed < 2; committed++) {
		assert_keys(self, "n", "b/committed,b/empty/,b/s/over,b/staged,elsewhere,more");
		assert_content(self, "n", "b/s/over", "4");
		assert_content(self, "n", "elsewhere", "6");
		get_attrs(self, "n", "b/s/over", &after);
		g_assert_cmpuint(before.ino, ==, after.ino);
		g_assert_cmpint(before.mtime, ==, after.mtime);
		g_assert_cmpint(before.ctime, ==, after.ctime);
		g_assert_false(is_directory(self, "n", "a/"));
		g_assert_true(is_empty(self, "n", "b/empty/"));
		commit(self);
	}
}

/* And back, over what the first one left. */
static void test_back(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace from = at("n", "b/"), to = at("n", "a/");
	ProllyRename *rename;
	guint n;

	fill(self);
	finish(prepare(self));
	n = count_generations(self);
	rename = prolly_rename_new(self->repo, self->branch, &from, &to, DIRECTORIES);
	prolly_rename_prepare(rename, 0);
	finish(rename);
	g_assert_cmpuint(count_generations(self), ==, n + 1);
	assert_keys(self, "n", "a/committed,a/empty/,a/s/over,a/staged,elsewhere");
	g_assert_cmpuint(commit(self), ==, 3);
	assert_keys(self, "n", "a/committed,a/empty/,a/s/over,a/staged,elsewhere");
}

/* Over an empty directory; and what it leaves is empty then. */
static void test_replaced(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace from = at("n", "p/a/"), to = at("n", "b/");
	ProllyRename *rename;

	put(self, "n", "p/a/x", "1");
	make_directory(self, "n", "b/");
	rename = prolly_rename_new(self->repo, self->branch, &from, &to, DIRECTORIES);
	prolly_rename_prepare(rename, 0);
	finish(rename);
	for (int committed = 0; committed < 2; committed++) {
		assert_keys(self, "n", "b/x,p/");
		assert_entries(self, "n", "", "b/,p/");
		assert_entries(self, "n", "b/", "x");
		g_assert_true(is_empty(self, "n", "p/"));
		commit(self);
	}
}

/* Many of them do not make a branch slow for good. */
static void test_bounded(Fixture *self, gconstpointer data)
{
	fill(self);
	for (int i = 0; i < 20; i++) {
		g_autoptr(GError) error = NULL;

		finish(prepare(self));
		g_assert_true(try_rename(self, "n", "b/", "a/", DIRECTORIES, &error));
	}
	g_assert_cmpuint(count_generations(self), <=, 12);
	assert_keys(self, "n", "a/committed,a/empty/,a/s/over,a/staged,elsewhere");
}

static void change_key(Fixture *self)
{
	put(self, "n", "a/committed", "9");
}

static void add_key(Fixture *self)
{
	put(self, "n", "a/new/key", "9");
}

static void remove_key(Fixture *self)
{
	delete (self, "n", "a/staged");
}

static void add_directory(Fixture *self)
{
	make_directory(self, "n", "a/d/");
}

static void do_commit(Fixture *self)
{
	commit(self);
}

static void do_restore(Fixture *self)
{
	g_autoptr(GError) error = NULL;
	ProllyCommitId head;
	ProllyRange range = {.ns = "n"};
	uint64_t changes;

	prolly_branch_get_head(self->branch, &head);
	prolly_working_restore(self->repo, self->branch, &head, &range, 1, &changes, &error);
	g_assert_no_error(error);
}

typedef struct {
	void (*change)(Fixture *self);
	const char *keys; /* then */
} Between;

static void test_between(Fixture *self, gconstpointer data)
{
	const Between *between = data;
	ProllyRename *rename;

	fill(self);
	rename = prepare(self);
	between->change(self);
	finish(rename);
	assert_keys(self, "n", between->keys);
	if (between->change == change_key)
		assert_content(self, "n", "b/committed", "9");
	commit(self);
	assert_keys(self, "n", between->keys);
}

static void test_given_up(Fixture *self, gconstpointer data)
{
	guint n;

	fill(self);
	n = count_records(self);
	prolly_rename_free(prepare(self));
	g_assert_cmpuint(count_records(self), ==, n);
	assert_keys(self, "n", "a/committed,a/empty/,a/s/over,a/staged,elsewhere");
	commit(self);
}

/* Names of one object, in the directory and out of it. */
static void test_links(Fixture *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	ProllyPlace x = at("n", "a/staged"), y = at("n", "a/s/second"), z = at("n", "third");
	ProllyRename *rename;
	ProllyAttrs attrs;

	fill(self);
	prolly_edit_link(self->repo, self->branch, &x, &y, NULL, &error);
	prolly_edit_link(self->repo, self->branch, &x, &z, NULL, &error);
	g_assert_no_error(error);
	rename = prepare(self);
	put(self, "n", "elsewhere", "6");
	finish(rename);
	for (int committed = 0; committed < 2; committed++) {
		get_attrs(self, "n", "third", &attrs);
		g_assert_cmpuint(attrs.nlink, ==, 3);
		put(self, "n", "b/s/second", committed ? "b" : "a");
		assert_content(self, "n", "b/staged", committed ? "b" : "a");
		assert_content(self, "n", "third", committed ? "b" : "a");
		commit(self);
	}
}

int main(int argc, char **argv)
{
	static const Between changed = {change_key,
					"b/committed,b/empty/,b/s/over,b/staged,elsewhere"};
	static const Between added = {add_key,
				      "b/committed,b/empty/,b/new/key,b/s/over,b/staged,elsewhere"};
	static const Between removed = {remove_key, "b/committed,b/empty/,b/s/over,elsewhere"};
	static const Between made = {add_directory,
				     "b/committed,b/d/,b/empty/,b/s/over,b/staged,elsewhere"};
	static const Between committed = {do_commit,
					  "b/committed,b/empty/,b/s/over,b/staged,elsewhere"};
	static const Between restored = {do_restore, "b/committed,b/s/over,elsewhere"};

	g_test_init(&argc, &argv, NULL);
#define TEST(path, data, function) \
	g_test_add("/version/rename/" path, Fixture, data, set_up, function, tear_down)
	TEST("made", NULL, test_made);
	TEST("back", NULL, test_back);
	TEST("replaced", NULL, test_replaced);
	TEST("bounded", NULL, test_bounded);
	TEST("between/key-changed", &changed, test_between);
	TEST("between/key-added", &added, test_between);
	TEST("between/key-removed", &removed, test_between);
	TEST("between/directory-made", &made, test_between);
	TEST("between/commit", &committed, test_between);
	TEST("between/restore", &restored, test_between);
	TEST("given-up", NULL, test_given_up);
	TEST("links", NULL, test_links);
#undef TEST
	return g_test_run();
}
