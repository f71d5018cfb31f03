/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The picture of a key's history: the commits that changed it, and how they hang together, as git
 * draws it for a file. A commit that did not change the key is passed over: who had it as a parent
 * has the next one behind it that did.
 *
 * All commits that the history comes through are ordered, and then those left out that changed
 * nothing, so the order is that of the whole log (topo.c): a commit comes when its children have, the
 * one that became free last first.
 */
#include "version/past-private.h"

typedef struct Vertex Vertex;
struct Vertex {
	ProllyKeyVisit *visit;
	unsigned n_children; /* that have not come */
	Vertex *before;      /* of one that changed nothing: one behind it, as far as is known */
};

typedef struct {
	GArray *visits;
	Vertex *vertices;  /* one for each visit */
	GHashTable *index; /* ProllyCommitId -> Vertex *, borrowed */
	GPtrArray *ready;  /* of Vertex *; the last comes next */
} Sorter;

static const ProllyCommitId *get_parent(const Vertex *vertex, guint i)
{
	return &g_array_index(vertex->visit->parents, ProllyCommitId, i);
}

/* NULL: it is not in the range. */
static Vertex *find(const Sorter *self, const ProllyCommitId *id)
{
	return g_hash_table_lookup(self->index, id);
}

static void sorter_init(Sorter *self, GArray *visits)
{
	self->visits = visits;
	self->vertices = g_new0(Vertex, visits->len + 1);
	self->index = g_hash_table_new(prolly_commit_id_hash, prolly_commit_id_equal_keys);
	self->ready = g_ptr_array_new();
	for (guint i = 0; i < visits->len; i++) {
		Vertex *vertex = &self->vertices[i];

		vertex->visit = &g_array_index(visits, ProllyKeyVisit, i);
		g_hash_table_insert(self->index, &vertex->visit->id, vertex);
	}
	for (guint i = 0; i < visits->len; i++)
		for (guint j = 0; j < self->vertices[i].visit->parents->len; j++) {
			Vertex *parent = find(self, get_parent(&self->vertices[i], j));

			if (parent)
				parent->n_children++;
		}
	/* what came first is to come first */
	for (guint i = visits->len; i-- > 0;)
		if (!self->vertices[i].n_children)
			g_ptr_array_add(self->ready, &self->vertices[i]);
}

static void sorter_clear(Sorter *self)
{
	g_hash_table_unref(self->index);
	g_ptr_array_unref(self->ready);
	g_free(self->vertices);
}

/* NULL: that was the last. */
static const Vertex *take_next(Sorter *self)
{
	Vertex *vertex;

	if (!self->ready->len)
		return NULL;
	vertex = g_ptr_array_steal_index_fast(self->ready, self->ready->len - 1);
	for (guint i = 0; i < vertex->visit->parents->len; i++) {
		Vertex *parent = find(self, get_parent(vertex, i));

		if (parent && --parent->n_children == 0)
			g_ptr_array_add(self->ready, parent);
	}
	return vertex;
}

static Vertex *step_back(const Sorter *self, Vertex *vertex)
{
	if (!vertex->before && vertex->visit->parents->len)
		vertex->before = find(self, get_parent(vertex, 0));
	return vertex->before;
}

/* Which commit changed the key last, at ID or before it; NULL: none in the range. Those on the way
 * remember it, so that a way is gone once. */
static const ProllyCommitId *find_change(const Sorter *self, const ProllyCommitId *id)
{
	Vertex *start = find(self, id), *found = start;

	while (found && !found->visit->changed)
		found = step_back(self, found);
	for (Vertex *vertex = start; found && vertex != found;) {
		Vertex *next = vertex->before;

		vertex->before = found;
		vertex = next;
	}
	return found ? &found->visit->id : NULL;
}

static void add_parent(GArray *parents, const ProllyCommitId *id)
{
	for (guint i = 0; i < parents->len; i++)
		if (prolly_commit_id_equal(&g_array_index(parents, ProllyCommitId, i), id))
			return;
	g_array_append_val(parents, *id);
}

static ProllyKeyNode make_node(const Sorter *self, const Vertex *vertex)
{
	ProllyKeyNode node = {.id = vertex->visit->id};

	node.parents = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	for (guint i = 0; i < vertex->visit->parents->len; i++) {
		const ProllyCommitId *id = find_change(self, get_parent(vertex, i));

		if (id)
			add_parent(node.parents, id);
	}
	return node;
}

static void clear_node(void *node)
{
	g_array_unref(((ProllyKeyNode *)node)->parents);
}

bool prolly_key_log_load_graph(ProllyKeyLog *log, GArray **out_nodes, GError **error)
{
	g_autoptr(GArray) visits = NULL;
	g_autoptr(GArray) nodes = g_array_new(FALSE, FALSE, sizeof(ProllyKeyNode));
	const Vertex *vertex;
	Sorter sorter;

	g_array_set_clear_func(nodes, clear_node);
	if (!prolly_key_log_visit_all(log, &visits, error))
		return false;
	sorter_init(&sorter, visits);
	while ((vertex = take_next(&sorter))) {
		if (vertex->visit->changed) {
			ProllyKeyNode node = make_node(&sorter, vertex);

			g_array_append_val(nodes, node);
		}
	}
	sorter_clear(&sorter);
	*out_nodes = g_steal_pointer(&nodes);
	return true;
}
