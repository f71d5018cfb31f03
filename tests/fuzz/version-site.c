/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store beside the model, and what is compared: of a branch its head, its keys with their stored
 * bytes in order, what is staged, and the trees that a commit would give; of a commit its trees, node
 * by node those of a fresh build; the list of branches, tags and of unfinished merges; in the end
 * what fsck says.
 */
#include "version-site.h"

#include <unistd.h>

#include "remove-tree.h"

/* In the order of their bytes, as everything is listed. */
const char *const site_namespaces[MERGE_NAMESPACES] = {"", "m", "n.1"};
const char *const site_keys[MERGE_KEYS] = {
	"%2F", "a", "a!", "ab", "a\xff", "b", "k-of-more-bytes-than-others-k-of-more-bytes", "z",
};
const char *const site_branches[MODEL_BRANCHES] = {"main", "a", "b", "b/c", "b/c.d"};
const char *const site_tags[MODEL_TAGS] = {"v1", "v2", "w/x"};

#define NODE_CACHE (1u << 20)
#define MEMORY     "/dev/shm" /* nobody waits for a disk there */

/* ---- Begin and end ----------------------------------------------------------------------- */

static void open_store(Site *self)
{
	ProllyRepoOptions options = {.create = true, .cache_size = NODE_CACHE};
	g_autofree char *spec =
		self->dir ? g_strconcat("file://", self->dir, "/s", NULL) : g_strdup(":memory:");
	g_autoptr(GError) error = NULL;

	prolly_repo_open(spec, &options, &self->repo, &error);
	g_assert_no_error(error);
}

static void make_store(Site *self)
{
	ProllyRepoInitOptions options = {.parameters = fresh_get_parameters(self->fresh)};
	bool has_memory = g_access(MEMORY, W_OK | X_OK) == 0;
	g_autofree char *spec = NULL;
	g_autoptr(GError) error = NULL;

	self->dir =
		g_strdup_printf("%s/fuzz-version-XXXXXX", has_memory ? MEMORY : g_get_tmp_dir());
	g_assert_nonnull(g_mkdtemp(self->dir));
	spec = g_strconcat("file://", self->dir, "/s", NULL);
	prolly_repo_init(spec, &options, &error);
	g_assert_no_error(error);
}

void site_init(Site *self, bool is_kept)
{
	g_autoptr(ProllyBranch) branch = NULL;

	*self = (Site){0};
	model_init(&self->model);
	self->fresh = fresh_new(is_kept);
	self->stored = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
					     (GDestroyNotify)g_bytes_unref);
	if (is_kept)
		make_store(self);
	open_store(self);
	branch = site_lookup(self, 0);
	prolly_branch_get_head(branch, &self->ids[0]);
}

void site_clear(Site *self)
{
	prolly_repo_free(self->repo);
	if (self->dir)
		remove_tree(self->dir);
	g_free(self->dir);
	g_hash_table_unref(self->stored);
	fresh_free(self->fresh);
	model_clear(&self->model);
}

void site_reopen(Site *self)
{
	if (!self->dir)
		return;
	prolly_repo_free(self->repo);
	open_store(self);
}

/* ---- Names and values -------------------------------------------------------------------- */

ProllySignature site_sign(const Site *self)
{
	return (ProllySignature){(char *)"A", (char *)"a@example.org",
				 1000000000 + self->model.history.n, 60};
}

ProllyBranch *site_lookup(Site *self, int i)
{
	g_autoptr(GError) error = NULL;
	ProllyBranch *branch = NULL;

	prolly_branch_lookup(self->repo, site_branches[i], &branch, &error);
	g_assert_no_error(error);
	g_assert_nonnull(branch);
	return branch;
}

static GBytes *store_value(const ProllyTreeContext *context, const char *value)
{
	ProllyKind kind = value[0] == 'f'   ? PROLLY_KIND_FILE
			  : value[0] == 'x' ? PROLLY_KIND_EXECUTABLE
					    : PROLLY_KIND_SYMLINK;
	g_autoptr(GError) error = NULL;
	GBytes *stored = NULL;

	prolly_value_store(context, kind, value + 1, strlen(value + 1), &stored, &error);
	g_assert_no_error(error);
	return stored;
}

GBytes *site_stored(Site *self, const char *value)
{
	GBytes *stored = g_hash_table_lookup(self->stored, value);

	if (!stored) {
		stored = store_value(fresh_get_context(self->fresh), value);
		g_hash_table_insert(self->stored, (gpointer)value, stored);
	}
	return stored;
}

GBytes *site_store(Site *self, const char *value)
{
	return store_value(prolly_repo_get_context(self->repo), value);
}

void site_name_commit(Site *self, const ProllyCommitId *id)
{
	self->ids[self->model.history.n - 1] = *id;
}

/* ---- Comparing: keys --------------------------------------------------------------------- */

static void check_names(GPtrArray *names, const char *const *expected, const bool *are_there,
			guint n)
{
	guint at = 0;

	for (guint i = 0; i < n; i++) {
		if (!are_there[i])
			continue;
		g_assert_cmpuint(at, <, names->len);
		g_assert_cmpstr(names->pdata[at++], ==, expected[i]);
	}
	g_assert_cmpuint(at, ==, names->len);
}

static void check_namespace(Site *self, ProllyView *view, const MergeState *state, int ns)
{
	g_autoptr(ProllyViewCursor) cursor = NULL;
	g_autoptr(GError) error = NULL;
	const ProllyEntry *entry;
	size_t len;

	prolly_view_cursor_new(view, site_namespaces[ns], NULL, 0, false, &cursor, &error);
	g_assert_no_error(error);
	prolly_view_cursor_seek(cursor, NULL, 0, &error);
	for (int key = 0; key < MERGE_KEYS; key++) {
		const char *value = state->values[ns][key];
		const uint8_t *found;

		g_assert_no_error(error);
		if (!value)
			continue;
		g_assert_true(prolly_view_cursor_is_valid(cursor));
		found = prolly_view_cursor_get_key(cursor, &len);
		g_assert_cmpmem(found, len, site_keys[key], strlen(site_keys[key]));
		prolly_view_cursor_get_entry(cursor, &entry, &error);
		g_assert_no_error(error);
		g_assert_true(g_bytes_equal(entry->stored, site_stored(self, value)));
		prolly_view_cursor_next(cursor, &error);
	}
	g_assert_no_error(error);
	g_assert_false(prolly_view_cursor_is_valid(cursor));
}

static void check_view(Site *self, ProllyView *view, const MergeState *state)
{
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GError) error = NULL;

	prolly_view_list_namespaces(view, &names, &error);
	g_assert_no_error(error);
	check_names(names, site_namespaces, state->has, MERGE_NAMESPACES);
	for (int ns = 0; ns < MERGE_NAMESPACES; ns++)
		if (state->has[ns])
			check_namespace(self, view, state, ns);
}

/* ---- Comparing: branches ----------------------------------------------------------------- */

static void check_unfinished(Site *self, ProllyBranch *branch, const ModelUnfinished *expected)
{
	g_autoptr(ProllyUnfinished) unfinished = NULL;
	g_autoptr(GError) error = NULL;
	bool is_settled = true;

	prolly_unfinished_load(self->repo, branch, &unfinished, &error);
	g_assert_no_error(error);
	g_assert_cmpint(unfinished != NULL, ==, expected->is_there);
	if (!unfinished)
		return;
	for (int ns = 0; ns < MERGE_NAMESPACES; ns++)
		for (int key = 0; key < MERGE_KEYS; key++)
			is_settled = is_settled && !expected->is_open[ns][key];
	g_assert_cmpint(prolly_unfinished_is_settled(unfinished), ==, is_settled);
	g_assert_cmpuint(unfinished->resolved, ==, expected->resolved);
}

void site_check_branch(Site *self, int i)
{
	ModelBranch *expected = &self->model.branches[i];
	g_autoptr(ProllyBranch) branch = NULL;
	g_autoptr(ProllyView) view = NULL;
	g_autoptr(GError) error = NULL;
	ProllyCommitId head;

	prolly_branch_lookup(self->repo, site_branches[i], &branch, &error);
	g_assert_no_error(error);
	g_assert_cmpint(branch != NULL, ==, expected->is_there);
	if (!branch)
		return;
	prolly_branch_get_head(branch, &head);
	g_assert_true(prolly_commit_id_equal(&head, &self->ids[expected->head]));
	view = prolly_view_new_live(self->repo, branch);
	check_view(self, view, &expected->working);
	check_unfinished(self, branch, &expected->unfinished);
}

/* ---- Comparing: trees -------------------------------------------------------------------- */

static void check_tree(Site *self, const ProllyTree *tree, const MergeState *state, int ns)
{
	ProllyEdit entries[MERGE_KEYS] = {0};
	size_t n = 0;

	for (int key = 0; key < MERGE_KEYS; key++) {
		const char *value = state->values[ns][key];
		ProllyPlace place = site_place(ns, key);
		ProllyEdit *entry = &entries[n];

		if (!value)
			continue;
		entry->key = place.key;
		entry->key_len = place.key_len;
		entry->value = g_bytes_get_data(site_stored(self, value), &entry->value_len);
		n++;
	}
	fresh_check(self->fresh, prolly_repo_get_context(self->repo), tree, entries, n);
}

void site_check_commit(Site *self, int commit)
{
	const MergeState *state = model_state(&self->model, commit);
	g_autoptr(GArray) namespaces = NULL;
	g_autoptr(GError) error = NULL;
	guint at = 0;

	prolly_commit_load_namespaces(self->repo, &self->ids[commit], &namespaces, &error);
	g_assert_no_error(error);
	for (int ns = 0; ns < MERGE_NAMESPACES; ns++) {
		const ProllyNamespace *found;

		if (!state->has[ns])
			continue;
		g_assert_cmpuint(at, <, namespaces->len);
		found = &g_array_index(namespaces, ProllyNamespace, at++);
		g_assert_cmpstr(found->name, ==, site_namespaces[ns]);
		check_tree(self, &found->tree, state, ns);
	}
	g_assert_cmpuint(at, ==, namespaces->len);
}

/* What a commit now would give; and what is staged, as the changes from the head. */
static void check_staged(Site *self, int i)
{
	const ModelBranch *expected = &self->model.branches[i];
	g_autoptr(ProllyBranch) branch = site_lookup(self, i);
	g_autoptr(ProllyView) head = NULL, view = NULL;
	g_autoptr(GError) error = NULL;
	ProllyTree tree;

	prolly_view_new_commit(self->repo, &self->ids[expected->head], &head, &error);
	g_assert_no_error(error);
	prolly_view_new_pinned(self->repo, branch, &view, &error);
	g_assert_no_error(error);
	site_check_changes(self, head, view, model_state(&self->model, expected->head),
			   &expected->working);
	for (int ns = 0; ns < MERGE_NAMESPACES; ns++) {
		if (!expected->working.has[ns])
			continue;
		prolly_view_get_tree(view, site_namespaces[ns], &tree, &error);
		g_assert_no_error(error);
		check_tree(self, &tree, &expected->working, ns);
	}
}

/* ---- Comparing: changes and logs --------------------------------------------------------- */

static void check_entry(Site *self, const ProllyEntry *entry, const char *value)
{
	g_assert_cmpint(entry != NULL, ==, value != NULL);
	if (entry)
		g_assert_true(g_bytes_equal(entry->stored, site_stored(self, value)));
}

void site_check_changes(Site *self, ProllyView *a, ProllyView *b, const MergeState *from,
			const MergeState *to)
{
	g_autoptr(ProllyChanges) changes = NULL;
	g_autoptr(GError) error = NULL;
	ProllyViewChange change;
	bool end = false;

	prolly_changes_new(a, b, NULL, NULL, 0, &changes, &error);
	g_assert_no_error(error);
	for (int i = 0; i < MERGE_NAMESPACES * MERGE_KEYS; i++) {
		int ns = i / MERGE_KEYS, key = i % MERGE_KEYS;
		ProllyPlace place = site_place(ns, key);

		if (from->values[ns][key] == to->values[ns][key])
			continue;
		prolly_changes_next(changes, &change, &end, &error);
		g_assert_no_error(error);
		g_assert_false(end);
		g_assert_cmpstr(change.place.ns, ==, place.ns);
		g_assert_cmpmem(change.place.key, change.place.key_len, place.key, place.key_len);
		check_entry(self, change.old_entry, from->values[ns][key]);
		check_entry(self, change.new_entry, to->values[ns][key]);
	}
	prolly_changes_next(changes, &change, &end, &error);
	g_assert_no_error(error);
	g_assert_true(end);
}

static int find_commit(const Site *self, const ProllyCommitId *id)
{
	int i = 0;

	while (i < self->model.history.n && !prolly_commit_id_equal(id, &self->ids[i]))
		i++;
	return i;
}

void site_check_log(Site *self, int commit)
{
	const bool *expected = self->model.history.commits[commit].comes_before;
	ProllyLogOptions options = {.starts = &self->ids[commit], .n_starts = 1};
	bool seen[MERGE_COMMITS] = {false};
	g_autoptr(ProllyLog) log = NULL;
	g_autoptr(GError) error = NULL;

	prolly_log_new(self->repo, &options, &log, &error);
	g_assert_no_error(error);
	for (;;) {
		g_autoptr(ProllyCommit) found = NULL;
		int i;

		prolly_log_next(log, &found, &error);
		g_assert_no_error(error);
		if (!found)
			break;
		i = find_commit(self, &found->id);
		g_assert_cmpint(i, <, self->model.history.n);
		g_assert_false(seen[i]);
		seen[i] = true;
	}
	g_assert_cmpmem(seen, sizeof(seen), expected, sizeof(seen));
}

/* ---- Comparing: everything --------------------------------------------------------------- */

static void check_branch_names(Site *self)
{
	g_autoptr(GPtrArray) names = NULL, waiting = NULL;
	bool are_there[MODEL_BRANCHES], wait[MODEL_BRANCHES];
	/* "main" sorts behind the others */
	const char *sorted[MODEL_BRANCHES];
	g_autoptr(GError) error = NULL;

	for (int i = 0; i < MODEL_BRANCHES; i++) {
		const ModelBranch *branch = &self->model.branches[(i + 1) % MODEL_BRANCHES];

		sorted[i] = site_branches[(i + 1) % MODEL_BRANCHES];
		are_there[i] = branch->is_there;
		wait[i] = branch->is_there && branch->unfinished.is_there;
	}
	prolly_branch_list(self->repo, &names, &error);
	g_assert_no_error(error);
	check_names(names, sorted, are_there, MODEL_BRANCHES);
	prolly_unfinished_list(self->repo, &waiting, &error);
	g_assert_no_error(error);
	check_names(waiting, sorted, wait, MODEL_BRANCHES);
}

static void check_tags(Site *self)
{
	for (int i = 0; i < MODEL_TAGS; i++) {
		int expected = self->model.tags[i];
		g_autoptr(ProllyTag) tag = NULL;
		g_autoptr(GError) error = NULL;

		prolly_tag_load(self->repo, site_tags[i], &tag, &error);
		g_assert_no_error(error);
		g_assert_cmpint(tag != NULL, ==, expected >= 0);
		if (tag)
			g_assert_true(prolly_commit_id_equal(&tag->commit, &self->ids[expected]));
	}
}

static bool note_damage(const ProllyDamage *damage, void *data, GError **error)
{
	g_warning("%s %s: %s", damage->kind, damage->object, damage->message);
	return true;
}

static void check_health(Site *self)
{
	ProllyFsckOptions options = {.damage = note_damage};
	g_autoptr(GError) error = NULL;
	uint64_t n;

	prolly_fsck_run(self->repo, &options, &n, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(n, ==, 0);
}

void site_check(Site *self)
{
	check_branch_names(self);
	check_tags(self);
	for (int i = 0; i < MODEL_BRANCHES; i++) {
		site_check_branch(self, i);
		if (self->model.branches[i].is_there)
			check_staged(self, i);
	}
	for (int i = 0; i < self->model.history.n; i++)
		if (!self->model.is_gone[i])
			site_check_commit(self, i);
	check_health(self);
}
