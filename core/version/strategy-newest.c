/* SPDX-License-Identifier: Apache-2.0 */
/*
 * newest: when a side last changed a key.
 *
 * From the side's commit the history is walked back as long as a parent has the same value of the
 * key; where none has, this commit changed it. So a merge that took the key from one of its parents
 * is not a change, and what merged in is followed to where it was made. A commit whose namespace is
 * the parent's as a whole costs no look into the tree.
 *
 * Many keys walk the same history, so what is known of commits is kept; when it has become much, it
 * is forgotten.
 */
#include "version/strategy.h"

#include <string.h>

#define KNOWN_MAX 4096

typedef struct {
	ProllyCommit *commit;
	GArray *namespaces;
} Known;

struct ProllyDating {
	ProllyRepo *repo;  /* borrowed */
	GHashTable *known; /* ProllyCommitId -> Known */
};

static void free_known(gpointer data)
{
	Known *known = data;

	prolly_commit_free(known->commit);
	g_array_unref(known->namespaces);
	g_free(known);
}

static guint hash_id(gconstpointer id)
{
	return prolly_get_le32(((const ProllyCommitId *)id)->bytes);
}

static gboolean equal_ids(gconstpointer a, gconstpointer b)
{
	return prolly_commit_id_equal(a, b);
}

ProllyDating *prolly_dating_new(ProllyRepo *repo)
{
	ProllyDating *dating = g_new0(ProllyDating, 1);

	dating->repo = repo;
	dating->known = g_hash_table_new_full(hash_id, equal_ids, NULL, free_known);
	return dating;
}

void prolly_dating_free(ProllyDating *dating)
{
	if (!dating)
		return;
	g_hash_table_unref(dating->known);
	g_free(dating);
}

/* Borrowed until something else is known. */
static bool know(ProllyDating *self, const ProllyCommitId *id, const Known **out_known,
		 GError **error)
{
	Known *known = g_hash_table_lookup(self->known, id);
	g_autoptr(ProllyCommit) commit = NULL;
	g_autoptr(GArray) namespaces = NULL;

	if (!known) {
		if (!prolly_commit_load(self->repo, id, &commit, error) ||
		    !prolly_commit_load_namespaces(self->repo, id, &namespaces, error))
			return false;
		known = g_new0(Known, 1);
		known->commit = g_steal_pointer(&commit);
		known->namespaces = g_steal_pointer(&namespaces);
		g_hash_table_insert(self->known, &known->commit->id, known);
	}
	*out_known = known;
	return true;
}

static bool get_value(ProllyDating *self, const ProllyTree *tree, const ProllyPlace *place,
		      ProllyValueRef *out_value, GError **error)
{
	return !tree || prolly_tree_get(prolly_repo_get_context(self->repo), tree, place->key,
					place->key_len, out_value, error);
}

/* Have two trees (NULL: none) the same value at PLACE? */
static bool have_same(ProllyDating *self, const ProllyTree *a, const ProllyTree *b,
		      const ProllyPlace *place, bool *out_same, GError **error)
{
	g_auto(ProllyValueRef) one = {0};
	g_auto(ProllyValueRef) other = {0};

	*out_same = a == b || (a && b && prolly_tree_equal(a, b));
	if (*out_same)
		return true;
	if (!get_value(self, a, place, &one, error) || !get_value(self, b, place, &other, error))
		return false;
	*out_same = !one.node == !other.node && one.len == other.len &&
		    (!one.node || memcmp(one.data, other.data, one.len) == 0);
	return true;
}

/* *OUT_NEXT: the parent that has PLACE as commit ID has it; *OUT_FOUND false: none has. */
static bool find_same_parent(ProllyDating *self, const Known *known, const ProllyPlace *place,
			     ProllyCommitId *out_next, bool *out_found, GError **error)
{
	const ProllyTree *tree = prolly_namespaces_find(known->namespaces, place->ns);
	ProllyTree own = tree ? *tree : (ProllyTree){0};

	*out_found = false;
	for (size_t i = 0; i < known->commit->n_parents && !*out_found; i++) {
		const Known *parent;

		if (!know(self, &known->commit->parents[i], &parent, error) ||
		    !have_same(self, tree ? &own : NULL,
			       prolly_namespaces_find(parent->namespaces, place->ns), place,
			       out_found, error))
			return false;
		*out_next = parent->commit->id;
	}
	return true;
}

bool prolly_dating_find(ProllyDating *self, const ProllyCommitId *commit, const ProllyPlace *place,
			int64_t *out_time, GError **error)
{
	ProllyCommitId id = *commit;
	bool found = true;

	while (found) {
		const Known *known;
		ProllyCommitId next;

		if (g_hash_table_size(self->known) > KNOWN_MAX)
			g_hash_table_remove_all(self->known);
		if (!know(self, &id, &known, error) ||
		    !find_same_parent(self, known, place, &next, &found, error))
			return false;
		*out_time = known->commit->committer.time;
		id = next;
	}
	return true;
}
