/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history of one key.
 *
 * The commits that wait are ordered by their dates. A commit of which a child was looked at has a
 * node with the namespace's tree there and, once it had to be read, the key's value. Where parent
 * and child have the same tree the value is the same too, unread; so a key is looked up once for
 * each change of its namespace, and not at all where nothing changed.
 *
 * Dates that run backwards (a clock that was wrong) only change the order in which the commits are
 * told.
 *
 * Of a range the commits that are in it are found first; the walk ends at those that are not.
 */
#include "version/past-private.h"

#include <string.h>

#include "version/topo-private.h"

/* ---- What the key is in a commit ---------------------------------------------------------- */

typedef struct {
	ProllyTree tree; /* of the namespace; without keys if there is none */
	bool has_tree;
	bool is_read;  /* the value is known */
	GBytes *value; /* stored; NULL: the key is not there */
} Node;

struct ProllyKeyLog {
	ProllyRepo *repo;
	ProllyOwnedPlace *place;
	ProllyWalk walk;
	GHashTable *nodes; /* ProllyCommitId -> Node: of commits that were or are to be looked at */
	GArray *starts;    /* of ProllyCommitId; NULL: they wait already */
	GArray *hidden;    /* the same */
	GHashTable *range; /* of ProllyCommitId: what is not hidden; NULL: nothing is */
	GArray *visits;    /* nullable; of ProllyKeyVisit */
	ProllyCommit *told;
};

static void free_node(void *data)
{
	Node *node = data;

	g_clear_pointer(&node->value, g_bytes_unref);
	g_free(node);
}

/* Borrowed. *OUT_IS_NEW (nullable): nobody asked for it before. */
static bool get_node(ProllyKeyLog *self, const ProllyCommitId *id, Node **out_node,
		     bool *out_is_new, GError **error)
{
	Node *node = g_hash_table_lookup(self->nodes, id);

	if (out_is_new)
		*out_is_new = !node;
	if (!node) {
		node = g_new0(Node, 1);
		g_hash_table_insert(self->nodes, g_memdup2(id, sizeof(*id)), node);
		if (!prolly_commit_load_namespace(self->repo, id, self->place->place.ns,
						  &node->tree, &node->has_tree, error))
			return false;
	}
	*out_node = node;
	return true;
}

static bool read_value(ProllyKeyLog *self, Node *node, GError **error)
{
	const ProllyPlace *place = &self->place->place;
	g_auto(ProllyValueRef) value = {0};

	if (node->is_read)
		return true;
	if (node->has_tree && !prolly_tree_get(prolly_repo_get_context(self->repo), &node->tree,
					       place->key, place->key_len, &value, error))
		return false;
	/* a marker says that there is a directory of this name, not a key */
	if (value.node && value.len && value.data[0] != PROLLY_KIND_DIRECTORY)
		node->value = g_bytes_new(value.data, value.len);
	node->is_read = true;
	return true;
}

static bool is_same(ProllyKeyLog *self, Node *a, Node *b, bool *out_is, GError **error)
{
	*out_is = a->has_tree == b->has_tree &&
		  (!a->has_tree || prolly_tree_equal(&a->tree, &b->tree));
	if (*out_is) {
		if (a->is_read && !b->is_read) {
			b->value = a->value ? g_bytes_ref(a->value) : NULL;
			b->is_read = true;
		}
		return true;
	}
	if (!read_value(self, a, error) || !read_value(self, b, error))
		return false;
	*out_is = a->value && b->value ? g_bytes_equal(a->value, b->value) : a->value == b->value;
	return true;
}

/* ---- The log ------------------------------------------------------------------------------ */

static GArray *dup_ids(const ProllyCommitId *ids, size_t n)
{
	GArray *copy = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));

	g_array_append_vals(copy, ids, (guint)n);
	return copy;
}

ProllyKeyLog *prolly_key_log_new(ProllyRepo *repo, const ProllyLogOptions *options,
				 const ProllyPlace *place)
{
	ProllyKeyLog *self = g_new0(ProllyKeyLog, 1);

	self->repo = repo;
	self->starts = dup_ids(options->starts, options->n_starts);
	self->hidden = dup_ids(options->hidden, options->n_hidden);
	self->place = prolly_place_dup(place);
	prolly_walk_init(&self->walk, repo);
	self->nodes = g_hash_table_new_full(prolly_commit_id_hash, prolly_commit_id_equal_keys,
					    g_free, free_node);
	return self;
}

void prolly_key_log_free(ProllyKeyLog *log)
{
	if (!log)
		return;
	g_clear_pointer(&log->told, prolly_commit_free);
	g_clear_pointer(&log->starts, g_array_unref);
	g_clear_pointer(&log->visits, g_array_unref);
	g_clear_pointer(&log->range, g_hash_table_unref);
	g_array_unref(log->hidden);
	prolly_walk_clear(&log->walk);
	g_hash_table_unref(log->nodes);
	g_free(log->place);
	g_free(log);
}

/* Goes on with a parent, unless that was done before or it is not in the range. */
static bool follow(ProllyKeyLog *self, const ProllyCommitId *id, bool is_new, GError **error)
{
	if (!is_new || (self->range && !g_hash_table_contains(self->range, id)))
		return true;
	return prolly_walk_push(&self->walk, id, error);
}

static void clear_visit(void *visit)
{
	g_array_unref(((ProllyKeyVisit *)visit)->parents);
}

/* COMMIT was looked at; SAME (nullable) is the parent that it has the value of. */
static void note_visit(ProllyKeyLog *self, const ProllyCommit *commit, const ProllyCommitId *same,
		       bool changed)
{
	ProllyKeyVisit visit = {.id = commit->id, .changed = changed};

	if (!self->visits)
		return;
	visit.parents = same ? dup_ids(same, 1) : dup_ids(commit->parents, commit->n_parents);
	g_array_append_val(self->visits, visit);
}

/* Where does the value of COMMIT come from? *OUT_CHANGED: from none of its parents. */
static bool trace(ProllyKeyLog *self, const ProllyCommit *commit, bool *out_changed, GError **error)
{
	g_autofree bool *is_new = g_new0(bool, commit->n_parents + 1);
	Node *node, *parent;
	bool same = false;

	if (!get_node(self, &commit->id, &node, NULL, error))
		return false;
	for (size_t i = 0; i < commit->n_parents; i++) {
		if (!get_node(self, &commit->parents[i], &parent, &is_new[i], error) ||
		    !is_same(self, node, parent, &same, error))
			return false;
		if (same) {
			*out_changed = false;
			for (size_t j = 0; j < i; j++)
				if (is_new[j])
					g_hash_table_remove(self->nodes, &commit->parents[j]);
			note_visit(self, commit, &commit->parents[i], false);
			return follow(self, &commit->parents[i], is_new[i], error);
		}
	}
	if (!read_value(self, node, error))
		return false;
	*out_changed = commit->n_parents || node->value;
	note_visit(self, commit, NULL, *out_changed);
	for (size_t i = 0; i < commit->n_parents; i++)
		if (!follow(self, &commit->parents[i], is_new[i], error))
			return false;
	return true;
}

/* Takes COMMIT. */
static bool tell(ProllyKeyLog *self, ProllyCommit *commit, ProllyKeyChange *out_change,
		 GError **error)
{
	Node *node, *parent;

	self->told = commit;
	*out_change = (ProllyKeyChange){.commit = commit};
	if (!get_node(self, &commit->id, &node, NULL, error))
		return false;
	out_change->has_new = node->value;
	if (!commit->n_parents)
		return true;
	if (!get_node(self, &commit->parents[0], &parent, NULL, error))
		return false;
	out_change->has_old = parent->value;
	return true;
}

/* Finds the commits that are not reachable from what is hidden. */
static bool find_range(ProllyKeyLog *self, const GArray *starts, GError **error)
{
	ProllyLogOptions options = {
		.starts = (const ProllyCommitId *)(const void *)starts->data,
		.n_starts = starts->len,
		.hidden = (const ProllyCommitId *)(const void *)self->hidden->data,
		.n_hidden = self->hidden->len,
		.topological = true,
	};
	g_autoptr(ProllyTopo) topo = NULL;
	ProllyCommitId id;
	bool end = false;

	if (!self->hidden->len)
		return true;
	self->range = g_hash_table_new_full(prolly_commit_id_hash, prolly_commit_id_equal_keys,
					    g_free, NULL);
	if (!prolly_topo_new(self->repo, &options, &topo, error))
		return false;
	while (prolly_topo_next(topo, &id, &end, error)) {
		if (end)
			return true;
		g_hash_table_add(self->range, g_memdup2(&id, sizeof(id)));
	}
	return false;
}

static bool begin(ProllyKeyLog *self, GError **error)
{
	g_autoptr(GArray) starts = g_steal_pointer(&self->starts);

	if (!find_range(self, starts, error))
		return false;
	for (guint i = 0; i < starts->len; i++) {
		const ProllyCommitId *id = &g_array_index(starts, ProllyCommitId, i);
		bool is_new;
		Node *node;

		if (!get_node(self, id, &node, &is_new, error) || !follow(self, id, is_new, error))
			return false;
	}
	return true;
}

bool prolly_key_log_next(ProllyKeyLog *log, ProllyKeyChange *out_change, bool *out_end,
			 GError **error)
{
	g_clear_pointer(&log->told, prolly_commit_free);
	if (log->starts && !begin(log, error))
		return false;
	for (;;) {
		g_autoptr(ProllyCommit) commit = prolly_walk_pop(&log->walk);
		bool changed;

		*out_end = !commit;
		if (!commit)
			return true;
		if (!trace(log, commit, &changed, error))
			return false;
		if (changed)
			return tell(log, g_steal_pointer(&commit), out_change, error);
	}
}

bool prolly_key_log_visit_all(ProllyKeyLog *log, GArray **out_visits, GError **error)
{
	ProllyKeyChange change;
	bool end = false;

	log->visits = g_array_new(FALSE, FALSE, sizeof(ProllyKeyVisit));
	g_array_set_clear_func(log->visits, clear_visit);
	while (!end)
		if (!prolly_key_log_next(log, &change, &end, error))
			return false;
	*out_visits = g_steal_pointer(&log->visits);
	return true;
}
