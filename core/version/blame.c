/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blame: for each key of a namespace, the commit that gave it the value it has.
 *
 * Every commit that is looked at is suspected of a set of keys. What is the same in its first parent
 * goes there as a whole; of what differs, each key goes to the first other parent that has the
 * value, or is the commit's. The differences are those of two trees, so a commit costs what it
 * changed; and the sets are disjoint and move as wholes, so they are a union-find forest: a key
 * points to its set, a set that was joined with another to that one, and to move the million keys
 * that a commit did not touch is one assignment.
 *
 * A commit's own keys are a set too, which never moves. When no key is in a set that moves, it is
 * done, however much history is left.
 *
 * Dates that run backwards cost time, not truth: a commit that gets keys after it was looked at is
 * looked at again.
 */
#include "base/memory.h"
#include "version/past-private.h"

#include <string.h>

#include "version/repo-private.h"

#define NONE UINT32_MAX

typedef struct {
	uint32_t joined;      /* the set that this one is a part of; NONE: it stands by itself */
	uint64_t n;           /* keys, if it stands by itself */
	ProllyCommit *commit; /* whose keys they are; NULL: they are only suspected */
} Set;

typedef struct {
	size_t offset; /* in the bytes */
	uint32_t len;
	uint32_t set;
} Key;

struct ProllyBlame {
	ProllyRepo *repo;
	char *ns;
	GByteArray *bytes;
	Key *keys; /* in order */
	size_t n_keys, capacity;
	GArray *sets;         /* of Set */
	GHashTable *suspects; /* ProllyCommitId -> set, plus one */
	ProllyWalk walk;
	uint64_t n_open; /* keys that are only suspected */
};

/* ---- Sets --------------------------------------------------------------------------------- */

static Set *get_set(ProllyBlame *self, uint32_t i)
{
	return &g_array_index(self->sets, Set, i);
}

static Key *get_key(ProllyBlame *self, size_t i)
{
	return &self->keys[i];
}

static uint32_t new_set(ProllyBlame *self, uint64_t n)
{
	Set set = {.joined = NONE, .n = n};

	g_array_append_val(self->sets, set);
	return self->sets->len - 1;
}

static uint32_t find_set(ProllyBlame *self, uint32_t i)
{
	while (get_set(self, i)->joined != NONE) {
		uint32_t up = get_set(self, i)->joined;

		if (get_set(self, up)->joined != NONE)
			get_set(self, i)->joined = get_set(self, up)->joined;
		i = up;
	}
	return i;
}

static void join_sets(ProllyBlame *self, uint32_t into, uint32_t from)
{
	get_set(self, into)->n += get_set(self, from)->n;
	get_set(self, from)->joined = into;
}

static void move_key(ProllyBlame *self, size_t i, uint32_t to)
{
	Key *key = get_key(self, i);

	get_set(self, find_set(self, key->set))->n--;
	get_set(self, to)->n++;
	key->set = to;
}

/* The set that ID is suspected of, which may be empty. */
static bool get_suspect(ProllyBlame *self, const ProllyCommitId *id, uint32_t *out_set,
			GError **error)
{
	uint32_t set = GPOINTER_TO_UINT(g_hash_table_lookup(self->suspects, id));

	if (!set) {
		set = new_set(self, 0) + 1;
		g_hash_table_insert(self->suspects, g_memdup2(id, sizeof(*id)),
				    GUINT_TO_POINTER(set));
		if (!prolly_walk_push(&self->walk, id, error))
			return false;
	}
	*out_set = set - 1;
	return true;
}

/* ---- The keys ----------------------------------------------------------------------------- */

static bool load_tree(ProllyBlame *self, const ProllyCommitId *id, ProllyTree *out_tree,
		      GError **error)
{
	bool found;

	return prolly_commit_load_namespace(self->repo, id, self->ns, out_tree, &found, error) &&
	       (found ||
		prolly_tree_init_empty(prolly_repo_get_context(self->repo), out_tree, error));
}

static bool collect_keys(ProllyBlame *self, const ProllyTree *tree, uint32_t set, GError **error)
{
	g_autoptr(ProllyCursor) cursor =
		prolly_cursor_new(prolly_repo_get_context(self->repo), tree);
	ProllyTreeEntry entry;
	bool end = false;

	if (!prolly_cursor_seek_first(cursor, error))
		return false;
	while (prolly_cursor_read(cursor, &entry, &end, error)) {
		Key key = {self->bytes->len, (uint32_t)entry.key_len, set};

		if (end)
			return true;
		/* a marker is no key anybody put */
		if (entry.value_len && entry.value[0] == PROLLY_KIND_DIRECTORY)
			continue;
		if (self->n_keys == NONE || self->bytes->len > INT32_MAX - entry.key_len)
			return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
					    "namespace %s has too many keys to blame", self->ns);
		if (!prolly_try_append(&self->bytes, entry.key, key.len, "keys", error) ||
		    !prolly_try_grow(&self->keys, &self->capacity, self->n_keys + 1, sizeof(key),
				     "keys", error))
			return false;
		self->keys[self->n_keys++] = key;
	}
	return false;
}

static int compare_key(ProllyBlame *self, size_t i, const uint8_t *bytes, size_t len)
{
	const Key *key = get_key(self, i);

	return prolly_bytes_compare(self->bytes->data + key->offset, key->len, bytes, len);
}

/* Which key has these bytes? SIZE_MAX: none. */
static size_t find_key(ProllyBlame *self, const uint8_t *bytes, size_t len)
{
	size_t low = 0, high = self->n_keys;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_key(self, middle, bytes, len);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return SIZE_MAX;
}

/* ---- One commit --------------------------------------------------------------------------- */

typedef struct {
	const ProllyCommit *commit;
	ProllyTree tree;
	uint32_t set;      /* what it is suspected of */
	uint32_t own;      /* what is its own; NONE: nothing yet */
	size_t *different; /* keys of SET that its first parent has otherwise */
	size_t n_different, capacity;
} Step;

/* Notes the keys of the step's set that are not in tree PARENT as they are in the commit. */
static bool compare_trees(ProllyBlame *self, Step *step, const ProllyTree *parent, GError **error)
{
	g_autoptr(ProllyDiff) diff = NULL;
	ProllyChange change;
	bool end = false;

	if (prolly_tree_equal(parent, &step->tree))
		return true;
	diff = prolly_diff_new(prolly_repo_get_context(self->repo), parent, &step->tree, NULL, 0,
			       NULL, 0);
	while (prolly_diff_next(diff, &change, &end, error)) {
		size_t i;

		if (end)
			return true;
		i = change.new_value ? find_key(self, change.key, change.key_len) : SIZE_MAX;
		if (i == SIZE_MAX || find_set(self, get_key(self, i)->set) != step->set)
			continue;
		if (!prolly_try_grow(&step->different, &step->capacity, step->n_different + 1,
				     sizeof(i), "keys", error))
			return false;
		step->different[step->n_different++] = i;
	}
	return false;
}

static bool has_same_value(ProllyBlame *self, const Step *step, const ProllyTree *parent, size_t i,
			   bool *out_has, GError **error)
{
	const ProllyTreeContext *context = prolly_repo_get_context(self->repo);
	g_auto(ProllyValueRef) own = {0}, theirs = {0};
	const Key *key = get_key(self, i);
	const uint8_t *bytes = self->bytes->data + key->offset;

	if (!prolly_tree_get(context, &step->tree, bytes, key->len, &own, error) ||
	    !prolly_tree_get(context, parent, bytes, key->len, &theirs, error))
		return false;
	*out_has = own.node && theirs.node && own.len == theirs.len &&
		   memcmp(own.data, theirs.data, own.len) == 0;
	return true;
}

/* Of the keys that differ, those go to PARENT that are the same there. */
static bool pass_some(ProllyBlame *self, Step *step, const ProllyCommitId *parent, GError **error)
{
	ProllyTree tree;
	uint32_t set;
	guint kept = 0;

	if (!step->n_different)
		return true;
	if (!load_tree(self, parent, &tree, error))
		return false;
	for (size_t n = 0; n < step->n_different; n++) {
		size_t i = step->different[n];
		bool same;

		if (!has_same_value(self, step, &tree, i, &same, error))
			return false;
		if (!same) {
			step->different[kept++] = i;
			continue;
		}
		if (!get_suspect(self, parent, &set, error))
			return false;
		move_key(self, i, set);
	}
	step->n_different = kept;
	return true;
}

/* What is left of the set goes to PARENT. */
static bool pass_rest(ProllyBlame *self, const Step *step, const ProllyCommitId *parent,
		      GError **error)
{
	uint32_t set;

	if (!get_set(self, step->set)->n)
		return true;
	if (!get_suspect(self, parent, &set, error))
		return false;
	join_sets(self, set, step->set);
	return true;
}

/* Takes COMMIT: the N keys of set SET are its own. */
static void settle(ProllyBlame *self, uint32_t set, ProllyCommit *commit)
{
	get_set(self, set)->commit = commit;
	self->n_open -= get_set(self, set)->n;
}

static bool look_at_parents(ProllyBlame *self, Step *step, GError **error)
{
	const ProllyCommit *commit = step->commit;
	ProllyTree first;

	if (!load_tree(self, &commit->id, &step->tree, error) ||
	    !load_tree(self, &commit->parents[0], &first, error) ||
	    !compare_trees(self, step, &first, error))
		return false;
	for (size_t i = 1; i < commit->n_parents; i++)
		if (!pass_some(self, step, &commit->parents[i], error))
			return false;
	if (step->n_different)
		step->own = new_set(self, 0);
	for (size_t n = 0; n < step->n_different; n++)
		move_key(self, step->different[n], step->own);
	return pass_rest(self, step, &commit->parents[0], error);
}

/* Takes COMMIT. */
static bool look_at(ProllyBlame *self, ProllyCommit *commit, GError **error)
{
	g_autoptr(ProllyCommit) owned = commit;
	uint32_t set = GPOINTER_TO_UINT(g_hash_table_lookup(self->suspects, &commit->id)) - 1;
	Step step = {.commit = commit, .set = set, .own = NONE};
	bool ok;

	g_hash_table_remove(self->suspects, &commit->id);
	if (!get_set(self, set)->n)
		return true;
	if (!commit->n_parents)
		step.own = set;
	ok = !commit->n_parents || look_at_parents(self, &step, error);
	g_free(step.different);
	if (!ok)
		return false;
	if (step.own != NONE)
		settle(self, step.own, g_steal_pointer(&owned));
	return true;
}

/* ---- All of them -------------------------------------------------------------------------- */

static bool run(ProllyBlame *self, const ProllyCommitId *id, ProllyCheckFunc check, void *data,
		GError **error)
{
	ProllyTree tree;
	uint32_t set;

	if (!load_tree(self, id, &tree, error) || !get_suspect(self, id, &set, error) ||
	    !collect_keys(self, &tree, set, error))
		return false;
	self->n_open = get_set(self, set)->n = self->n_keys;
	while (self->n_open) {
		ProllyCommit *commit = prolly_walk_pop(&self->walk);

		if (!check(data, error)) {
			prolly_commit_free(commit);
			return false;
		}
		if (!look_at(self, commit, error))
			return false;
	}
	return true;
}

bool prolly_blame_new(ProllyRepo *repo, const ProllyCommitId *id, const char *ns,
		      ProllyCheckFunc check, void *data, ProllyBlame **out_blame, GError **error)
{
	g_autoptr(ProllyBlame) self = g_new0(ProllyBlame, 1);

	self->repo = repo;
	self->ns = g_strdup(ns);
	self->bytes = g_byte_array_new();
	self->sets = g_array_new(FALSE, FALSE, sizeof(Set));
	self->suspects = g_hash_table_new_full(prolly_commit_id_hash, prolly_commit_id_equal_keys,
					       g_free, NULL);
	prolly_walk_init(&self->walk, repo);
	if (!run(self, id, check, data, error))
		return false;
	*out_blame = g_steal_pointer(&self);
	return true;
}

void prolly_blame_free(ProllyBlame *blame)
{
	if (!blame)
		return;
	for (guint i = 0; i < blame->sets->len; i++)
		prolly_commit_free(get_set(blame, i)->commit);
	prolly_walk_clear(&blame->walk);
	g_hash_table_unref(blame->suspects);
	g_array_unref(blame->sets);
	g_free(blame->keys);
	g_byte_array_unref(blame->bytes);
	g_free(blame->ns);
	g_free(blame);
}

size_t prolly_blame_get_n(const ProllyBlame *blame)
{
	return blame->n_keys;
}

void prolly_blame_get(ProllyBlame *blame, size_t i, ProllyPlace *out_place,
		      const ProllyCommit **out_commit)
{
	const Key *key = get_key(blame, i);

	*out_place = (ProllyPlace){blame->ns, blame->bytes->data + key->offset, key->len};
	*out_commit = get_set(blame, find_set(blame, key->set))->commit;
}
