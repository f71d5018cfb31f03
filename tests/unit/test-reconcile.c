/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging: tables of what three sides have and what comes of it, and what is staged meanwhile.
 *
 * A side is written "KEY=VALUE KEY=VALUE", a marker "KEY/"; all keys are in namespace "n".
 */
#include "working-site.h"

/* ---- Branches ---------------------------------------------------------------------------- */

static ProllyBranch *make_branch(Fixture *self, const char *name)
{
	g_autoptr(GError) error = NULL;
	ProllyBranch *branch;
	ProllyCommitId head;

	prolly_branch_get_head(self->branch, &head);
	prolly_branch_create(self->repo, name, &head, self->branch, &branch, &error);
	g_assert_no_error(error);
	return branch;
}

static void set_key(Fixture *self, const char *item)
{
	g_auto(GStrv) parts = g_strsplit(item, "=", 2);

	if (g_str_has_suffix(parts[0], "/")) {
		if (!is_directory(self, "n", parts[0]))
			make_directory(self, "n", parts[0]);
	} else {
		put(self, "n", parts[0], parts[1]);
	}
}

static bool is_listed(char **items, const char *key)
{
	size_t len = strlen(key);

	for (; *items; items++)
		if (!strncmp(*items, key, len) && ((*items)[len] == '=' || !(*items)[len]))
			return true;
	return false;
}

static void remove_unlisted(Fixture *self, char **items)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_autofree char *list = list_keys(view, "n");
	g_auto(GStrv) keys = g_strsplit(list, ",", -1);

	for (char **key = keys; *key; key++) {
		g_autoptr(GError) error = NULL;

		if (is_listed(items, *key))
			continue;
		if (g_str_has_suffix(*key, "/"))
			try_remove_directory(self, "n", *key, &error);
		else
			delete (self, "n", *key);
		g_assert_no_error(error);
	}
}

/* Makes the branch's namespace what SIDE says, and commits. */
static void set_side(Fixture *self, const char *side)
{
	g_auto(GStrv) items = g_strsplit(side, " ", -1);

	remove_unlisted(self, items);
	for (char **item = items; *item; item++)
		set_key(self, *item);
	remove_unlisted(self, items); /* markers of directories that were emptied */
	commit(self);
}

typedef struct {
	GString *conflicts; /* "KEY:KIND" */
} Heard;

static bool hear(const ProllyPlace *place, ProllyConflictKind kind, const ProllyMergeStep *sides,
		 void *data, GError **error)
{
	static const char *const KINDS[] = {"both-modified", "both-added", "deleted-by-them",
					    "deleted-by-us", "type"};
	GString *out = ((Heard *)data)->conflicts;

	g_string_append_printf(out, "%s%.*s:%s", out->len ? " " : "", (int)place->key_len,
			       place->key, KINDS[kind]);
	return true;
}

/* Merges the head of THEIRS; what was heard of conflicts in *OUT_CONFLICTS (nullable). */
static bool merge(Fixture *self, ProllyBranch *theirs, ProllyMergeOptions options,
		  ProllyMergeResult *out_result, char **out_conflicts, GError **error)
{
	ProllySignature author = {(char *)"A", (char *)"a@example.com", 1000000000, 0};
	Heard heard = {g_string_new(NULL)};
	ProllyCommitId head, id;
	bool ok;

	options.message = "merge";
	options.author = options.committer = &author;
	options.conflict = hear;
	options.conflict_data = &heard;
	prolly_branch_get_head(theirs, &head);
	ok = prolly_history_merge(self->repo, self->branch, &head, &options, out_result, &id,
				  error);
	if (out_conflicts)
		*out_conflicts = g_string_free(heard.conflicts, FALSE);
	else
		g_string_free(heard.conflicts, TRUE);
	return ok;
}

/* ---- The table --------------------------------------------------------------------------- */

typedef struct {
	const char *base, *ours, *theirs;
	const char *merged;    /* keys, markers with '/'; NULL: conflicts */
	const char *conflicts; /* or NULL */
} Row;

static const Row ROWS[] = {
	{"a=1", "a=1 b=2", "a=1 c=3", "a=1 b=2 c=3", NULL},
	{"a=1 b=1", "a=2 b=1", "a=1 b=2", "a=2 b=2", NULL},
	{"a=1 b=1", "b=1", "a=1", "", NULL},
	{"a=1", "a=2", "a=2", "a=2", NULL},
	{"a=1", "a=2", "a=3", NULL, "a:both-modified"},
	{"a=1", "a=1 b=1", "a=1 b=2", NULL, "b:both-added"},
	{"a=1 z=1", "z=1", "a=2 z=1", NULL, "a:deleted-by-us"},
	{"a=1 z=1", "a=2 z=1", "z=1", NULL, "a:deleted-by-them"},
	{"a=1 b=1 c=1", "a=2 b=2 c=2", "a=3 b=1 c=3", NULL, "a:both-modified c:both-modified"},
	{"z=1", "z=1 d/", "z=1 d/x=1", "d/x=1 z=1", NULL},
	{"z=1", "z=1 d/x=1", "z=1 d/", "d/x=1 z=1", NULL},
	{"z=1", "z=1 d/", "z=1 d/", "d/ z=1", NULL},
	{"d/x=1", "d/", "d/x=1 d/y=1", "d/y=1", NULL},
	{"d/x=1", "d/x=1 d/y=1", "d/", "d/y=1", NULL},
	{"d/", "d/ a=1", "d/x=1", "a=1 d/x=1", NULL},
	{"z=1", "z=1 a=1", "z=1 a/b=1", "a=1 a/b=1 z=1", NULL},
	{"z=1", "z=1 d/ d-=1", "z=1 d/e/x=1", "d-=1 d/e/x=1 z=1", NULL},
	{"z=1", "z=1 a=1", "z=1 a/", NULL, "a:type"},
};

static char *list_values(Fixture *self)
{
	g_autoptr(ProllyView) view = view_of(self);
	g_autofree char *list = list_keys(view, "n");
	g_auto(GStrv) keys = g_strsplit(list, ",", -1);
	GString *out = g_string_new(NULL);

	for (char **key = keys; *key && **key; key++) {
		g_autofree char *content = get(self, "n", *key);

		g_string_append_printf(out, "%s%s%s%s", out->len ? " " : "", *key,
				       content ? "=" : "", content ? content : "");
	}
	return g_string_free(out, FALSE);
}

/* The sides on branches main (ours) and "theirs" (transfer full). */
static ProllyBranch *make_sides(Fixture *self, const char *base, const char *ours,
				const char *theirs)
{
	Fixture other = {self->repo, NULL};

	if (!is_directory(self, "n", ""))
		make_directory(self, "n", "");
	set_side(self, base);
	other.branch = make_branch(self, "theirs");
	set_side(&other, theirs);
	set_side(self, ours);
	return other.branch;
}

static void test_row(Fixture *self, gconstpointer data)
{
	const Row *row = data;
	g_autoptr(ProllyBranch) theirs = make_sides(self, row->base, row->ours, row->theirs);
	g_autoptr(GError) error = NULL;
	g_autofree char *conflicts = NULL, *after = NULL, *before = list_values(self);
	ProllyCommitId head_before, head_after;
	ProllyMergeResult result;

	prolly_branch_get_head(self->branch, &head_before);
	merge(self, theirs, (ProllyMergeOptions){.dry_run = true}, &result, &conflicts, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, row->merged ? PROLLY_MERGE_MERGED : PROLLY_MERGE_CONFLICT);
	after = list_values(self);
	g_assert_cmpstr(before, ==, after);
	g_free(conflicts);
	merge(self, theirs, (ProllyMergeOptions){0}, &result, &conflicts, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, row->merged ? PROLLY_MERGE_MERGED : PROLLY_MERGE_CONFLICT);
	g_free(after);
	after = list_values(self);
	g_assert_cmpstr(after, ==, row->merged ? row->merged : before);
	g_assert_cmpstr(conflicts, ==, row->conflicts ? row->conflicts : "");
	prolly_branch_get_head(self->branch, &head_after);
	g_assert_cmpint(prolly_commit_id_equal(&head_before, &head_after), ==, !row->merged);
	g_assert_cmpuint(commit(self), ==, 0);
}

/* ---- Which kind of merge ----------------------------------------------------------------- */

static void test_fast_forward(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyBranch) theirs = make_sides(self, "a=1", "a=1", "a=2");
	g_autoptr(GError) error = NULL;
	ProllyCommitId theirs_head, head;
	ProllyMergeResult result;

	prolly_branch_get_head(theirs, &theirs_head);
	merge(self, theirs, (ProllyMergeOptions){.ff_only = true}, &result, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, PROLLY_MERGE_FAST_FORWARD);
	prolly_branch_get_head(self->branch, &head);
	g_assert_true(prolly_commit_id_equal(&head, &theirs_head));
	merge(self, theirs, (ProllyMergeOptions){0}, &result, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, PROLLY_MERGE_UP_TO_DATE);
}

static void test_no_ff(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyBranch) theirs = make_sides(self, "a=1", "a=1", "a=2");
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyCommit) made = NULL;
	ProllyCommitId head;
	ProllyMergeResult result;

	merge(self, theirs, (ProllyMergeOptions){.no_ff = true}, &result, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, PROLLY_MERGE_MERGED);
	prolly_branch_get_head(self->branch, &head);
	prolly_commit_load(self->repo, &head, &made, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(made->n_parents, ==, 2);
	assert_content(self, "n", "a", "2");
}

static void test_ff_only(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyBranch) theirs = make_sides(self, "a=1", "a=1 b=1", "a=2");
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;

	g_assert_false(
		merge(self, theirs, (ProllyMergeOptions){.ff_only = true}, &result, NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_DENIED);
	assert_content(self, "n", "a", "1");
}

/* ---- What is staged meanwhile ------------------------------------------------------------ */

static void test_overwrite(Fixture *self, gconstpointer fast_forward)
{
	g_autoptr(ProllyBranch) theirs =
		make_sides(self, "a=1 b=1", fast_forward ? "a=1 b=1" : "a=1 b=1 c=1", "a=2 b=1");
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;

	put(self, "n", "b", "staged");
	put(self, "n", "a", "staged");
	g_assert_false(merge(self, theirs, (ProllyMergeOptions){0}, &result, NULL, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_WOULD_OVERWRITE);
	g_assert_nonnull(strstr(error->message, "n/a"));
	g_clear_error(&error);
	put(self, "n", "a", "1");
	merge(self, theirs, (ProllyMergeOptions){0}, &result, NULL, &error);
	g_assert_no_error(error);
	/* What was staged for a was no change, so it went; b stays staged. */
	assert_content(self, "n", "a", "2");
	assert_content(self, "n", "b", "staged");
	g_assert_cmpuint(commit(self), ==, 1);
	assert_content(self, "n", "a", "2");
}

static void test_staged_as_theirs(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyBranch) theirs = make_sides(self, "a=1 b=1", "a=1 b=1 c=1", "a=2");
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;

	put(self, "n", "a", "2");
	delete (self, "n", "b");
	merge(self, theirs, (ProllyMergeOptions){0}, &result, NULL, &error);
	g_assert_no_error(error);
	assert_keys(self, "n", "a,c");
	g_assert_cmpuint(commit(self), ==, 0);
}

static void test_staged_marker(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyBranch) theirs =
		make_sides(self, "d/x=1 e/x=1", "d/x=1 e/x=1 c=1", "d/x=1 d/y=1 e/");
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;

	delete (self, "n", "d/x");
	put(self, "n", "e/z", "1");
	assert_keys(self, "n", "c,d/,e/x,e/z");
	merge(self, theirs, (ProllyMergeOptions){0}, &result, NULL, &error);
	g_assert_no_error(error);
	assert_keys(self, "n", "c,d/y,e/z");
	commit(self);
	assert_keys(self, "n", "c,d/y,e/z");
}

/* The merge takes all of a directory but what is staged in it. */
static void test_taken_away(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyBranch) theirs = make_sides(self, "z=1 p/d/a=1", "z=1 p/d/a=1", "z=1");
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;

	put(self, "n", "p/d/x", "1");
	merge(self, theirs, (ProllyMergeOptions){0}, &result, NULL, &error);
	g_assert_no_error(error);
	assert_keys(self, "n", "p/d/x,z");
	g_assert_false(is_empty(self, "n", "p/"));
	g_assert_false(is_empty(self, "n", "p/d/"));
	assert_entries(self, "n", "", "p/,z");
	delete (self, "n", "p/d/x");
	assert_keys(self, "n", "p/d/,z");
}

/* ---- Times and links --------------------------------------------------------------------- */

static void test_times(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyBranch) theirs = make_sides(self, "a=1 b=1", "a=1 b=1 c=1", "a=2 b=1 d=1");
	g_autoptr(GError) error = NULL;
	ProllyAttrs a, b, d, after;
	ProllyMergeResult result;
	int64_t before = prolly_time_now();

	get_attrs(self, "n", "a", &a);
	get_attrs(self, "n", "b", &b);
	merge(self, theirs, (ProllyMergeOptions){0}, &result, NULL, &error);
	g_assert_no_error(error);
	get_attrs(self, "n", "b", &after);
	g_assert_cmpint(after.mtime, ==, b.mtime);
	get_attrs(self, "n", "a", &after);
	g_assert_cmpint(after.mtime, >=, before);
	g_assert_cmpuint(after.ino, ==, a.ino);
	get_attrs(self, "n", "d", &d);
	g_assert_cmpint(d.mtime, ==, after.mtime);
}

static void test_link_group(Fixture *self, gconstpointer data)
{
	ProllyPlace a = at("n", "a"), b = at("n", "b");
	Fixture other = {self->repo, NULL};
	g_autoptr(ProllyBranch) theirs = NULL;
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;
	ProllyAttrs of_a, of_b;

	put(self, "n", "a", "1");
	prolly_edit_link(self->repo, self->branch, &a, &b, NULL, &error);
	g_assert_no_error(error);
	commit(self);
	other.branch = theirs = make_branch(self, "theirs");
	get_attrs(&other, "n", "a", &of_a);
	g_assert_cmpuint(of_a.nlink, ==, 2);
	put_with(&other, "n", "a", "2", 0, NULL);
	commit(&other);
	merge(self, theirs, (ProllyMergeOptions){0}, &result, NULL, &error);
	g_assert_no_error(error);
	get_attrs(self, "n", "a", &of_a);
	get_attrs(self, "n", "b", &of_b);
	g_assert_cmpuint(of_a.nlink, ==, 1);
	g_assert_cmpuint(of_b.nlink, ==, 1);
	g_assert_cmpuint(of_a.ino, !=, of_b.ino);
	put(self, "n", "b", "3");
	assert_content(self, "n", "a", "2");
}

/* ---- Namespaces -------------------------------------------------------------------------- */

static void test_namespaces(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyBranch) theirs = NULL;
	Fixture other = {self->repo, NULL};
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;

	make_directory(self, "gone", "");
	make_directory(self, "kept", "");
	commit(self);
	other.branch = theirs = make_branch(self, "theirs");
	make_directory(&other, "new", "");
	g_assert_true(try_remove_directory(&other, "gone", "", &error));
	g_assert_cmpuint(commit(&other), ==, 2);
	put(self, "mine", "a", "1");
	put(self, "", "unnamed", "1");
	commit(self);
	merge(self, theirs, (ProllyMergeOptions){0}, &result, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(result, ==, PROLLY_MERGE_MERGED);
	assert_entries(self, "", "", "kept/,mine/,new/,unnamed");
}

/* ---- A change applied -------------------------------------------------------------------- */

static ProllyMergeResult apply(Fixture *self, const ProllyCommitId *from, const ProllyCommitId *to,
			       bool dry_run)
{
	ProllySignature author = {(char *)"A", (char *)"a@example.com", 1000000000, 0};
	ProllyMergeOptions options = {
		.operation = "revert",
		.message = "apply",
		.author = &author,
		.committer = &author,
		.dry_run = dry_run,
	};
	ProllyMergeChange change = {from, to};
	g_autoptr(GError) error = NULL;
	ProllyMergeResult result;
	ProllyCommitId id, head;

	prolly_history_apply(self->repo, self->branch, &change, &options, &result, &id, &error);
	g_assert_no_error(error);
	prolly_branch_get_head(self->branch, &head);
	g_assert_true(prolly_commit_id_equal(&id, &head));
	return result;
}

/* Reverting a commit in the middle, and applying it again. */
static void test_apply(Fixture *self, gconstpointer data)
{
	g_autoptr(ProllyCommit) made = NULL;
	g_autoptr(GError) error = NULL;
	ProllyCommitId first, second, third, head;

	put(self, "n", "a", "1");
	put(self, "n", "b", "1");
	commit(self);
	prolly_branch_get_head(self->branch, &first);
	put(self, "n", "a", "2");
	put(self, "new", "x", "1");
	commit(self);
	prolly_branch_get_head(self->branch, &second);
	put(self, "n", "b", "2");
	commit(self);
	prolly_branch_get_head(self->branch, &third);

	g_assert_cmpint(apply(self, &second, &first, true), ==, PROLLY_MERGE_MERGED);
	prolly_branch_get_head(self->branch, &head);
	g_assert_true(prolly_commit_id_equal(&head, &third));
	g_assert_cmpint(apply(self, &second, &first, false), ==, PROLLY_MERGE_MERGED);
	assert_content(self, "n", "a", "1");
	assert_content(self, "n", "b", "2");
	assert_entries(self, "", "", "n/");
	prolly_branch_get_head(self->branch, &head);
	prolly_commit_load(self->repo, &head, &made, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(made->n_parents, ==, 1);
	g_assert_true(prolly_commit_id_equal(&made->parents[0], &third));

	g_assert_cmpint(apply(self, &second, &first, true), ==, PROLLY_MERGE_UP_TO_DATE);
	g_assert_cmpint(apply(self, &second, &first, false), ==, PROLLY_MERGE_UP_TO_DATE);
	g_assert_cmpint(apply(self, &first, &second, false), ==, PROLLY_MERGE_MERGED);
	assert_content(self, "n", "a", "2");
	assert_entries(self, "", "", "n/,new/");
}

/* From and to the empty state. */
static void test_apply_from_nothing(Fixture *self, gconstpointer data)
{
	ProllyCommitId head;

	put(self, "n", "a", "1");
	commit(self);
	prolly_branch_get_head(self->branch, &head);
	g_assert_cmpint(apply(self, NULL, &head, false), ==, PROLLY_MERGE_UP_TO_DATE);
	g_assert_cmpint(apply(self, &head, NULL, false), ==, PROLLY_MERGE_MERGED);
	assert_entries(self, "", "", "");
	g_assert_cmpint(apply(self, NULL, &head, false), ==, PROLLY_MERGE_MERGED);
	assert_content(self, "n", "a", "1");
	put(self, "n", "a", "2");
	commit(self);
	g_assert_cmpint(apply(self, &head, NULL, false), ==, PROLLY_MERGE_CONFLICT);
	assert_content(self, "n", "a", "2");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(ROWS); i++) {
		g_autofree char *path = g_strdup_printf("/version/reconcile/table/%zu", i);

		g_test_add(path, Fixture, &ROWS[i], set_up, test_row, tear_down);
	}
#define TEST(path, function, data) \
	g_test_add("/version/reconcile/" path, Fixture, data, set_up, function, tear_down)
	TEST("fast-forward", test_fast_forward, NULL);
	TEST("no-ff", test_no_ff, NULL);
	TEST("ff-only", test_ff_only, NULL);
	TEST("overwrite/merge", test_overwrite, NULL);
	TEST("overwrite/fast-forward", test_overwrite, "yes");
	TEST("staged-as-theirs", test_staged_as_theirs, NULL);
	TEST("staged-marker", test_staged_marker, NULL);
	TEST("taken-away", test_taken_away, NULL);
	TEST("times", test_times, NULL);
	TEST("link-group", test_link_group, NULL);
	TEST("namespaces", test_namespaces, NULL);
	TEST("apply", test_apply, NULL);
	TEST("apply-from-nothing", test_apply_from_nothing, NULL);
	return g_test_run();
}
