/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history with children before their parents, at the cost of what is taken from it. The way and
 * the order are those of git's `log --graph`.
 *
 * A commit may come when all its children that are to come have come. To know that without reading
 * everything, generation numbers are needed (commit-graph-read.c): the children of a commit have
 * greater ones. Three queues, each some way ahead of the next:
 *
 *   explored  the greatest generation first: who is hidden (reachable from where nothing is wanted,
 *             or too old) passes that on to its parents
 *   counted   the same order, never before they are explored: each commit's children are counted
 *   ready     commits without a child that is to come, the one that became so last first: a line of
 *             history is followed as long as it can be
 *
 * Before a parent is looked at, everything of its generation or a greater one is counted; so its
 * count is whole (invariant), and whether it is hidden is known.
 *
 * Commits that the commit-graph does not have are newer than all that it has, or there is none.
 * Their generation counts as the greatest, so all of them that can be reached are read first. If
 * they are many, the journal's thread is asked to write the file anew.
 */
#include "version/topo-private.h"

#include <string.h>

#include "version/past-private.h"

#define GENERATION_UNKNOWN UINT32_MAX
#define UNKNOWN_MAX        5000 /* commits read one by one, which are worth a new commit-graph */

typedef struct Commit Commit;
struct Commit {
	ProllyCommitId id;
	uint32_t generation;
	int64_t time;
	unsigned order;               /* in which they were met */
	unsigned n_children;          /* that were counted and have not come */
	bool is_explored, is_counted; /* or wait for it */
	bool is_hidden;
	unsigned n_parents;
	Commit **parents; /* of one that was explored */
	ProllyCommitId *parent_ids;
};

struct ProllyTopo {
	ProllyRepo *repo;
	ProllyCommitGraph *graph; /* nullable */
	ProllyCommitFacts facts;  /* used again and again */
	int64_t since;
	GHashTable *commits; /* by id; owns them */
	GTree *exploring, *counting;
	GPtrArray *ready;
	uint64_t counted_to; /* the generation from which on all are counted */
	unsigned n_unknown;
};

/* ---- Commits ----------------------------------------------------------------------------- */

static void free_commit(void *data)
{
	Commit *commit = data;

	g_free(commit->parents);
	g_free(commit->parent_ids);
	g_free(commit);
}

/* The greatest generation first, of equal ones the newest. */
static int compare(const void *a, const void *b)
{
	const Commit *x = a, *y = b;

	if (x->generation != y->generation)
		return x->generation > y->generation ? -1 : 1;
	if (x->time != y->time)
		return x->time > y->time ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* From the commit itself. */
static bool read_facts(ProllyTopo *self, const ProllyCommitId *id, GError **error)
{
	g_autoptr(ProllyCommit) commit = NULL;

	if (!prolly_commit_load(self->repo, id, &commit, error))
		return false;
	self->facts.generation = GENERATION_UNKNOWN;
	self->facts.time = commit->committer.time;
	g_array_set_size(self->facts.parents, 0);
	g_array_append_vals(self->facts.parents, commit->parents, (guint)commit->n_parents);
	if (++self->n_unknown == UNKNOWN_MAX)
		prolly_journal_want_graph(self->repo->body->journal);
	return true;
}

/* Borrowed. */
static bool get_commit(ProllyTopo *self, const ProllyCommitId *id, Commit **out_commit,
		       GError **error)
{
	Commit *commit = g_hash_table_lookup(self->commits, id);

	if (!commit) {
		if (!(self->graph && prolly_commit_graph_find(self->graph, id, &self->facts)) &&
		    !read_facts(self, id, error))
			return false;
		commit = g_new0(Commit, 1);
		commit->id = *id;
		commit->generation = self->facts.generation;
		commit->time = self->facts.time;
		commit->order = g_hash_table_size(self->commits);
		commit->n_parents = self->facts.parents->len;
		commit->parent_ids = g_memdup2(self->facts.parents->data,
					       commit->n_parents * sizeof(ProllyCommitId));
		g_hash_table_insert(self->commits, &commit->id, commit);
	}
	*out_commit = commit;
	return true;
}

/* With all that comes before it, as far as that is known. */
static void hide(Commit *commit)
{
	g_autoptr(GPtrArray) stack = g_ptr_array_new();

	g_ptr_array_add(stack, commit);
	while (stack->len) {
		Commit *next = g_ptr_array_steal_index_fast(stack, stack->len - 1);

		if (next->is_hidden)
			continue;
		next->is_hidden = true;
		for (unsigned i = 0; next->parents && i < next->n_parents; i++)
			g_ptr_array_add(stack, next->parents[i]);
	}
}

/* ---- The queues -------------------------------------------------------------------------- */

/* The first in QUEUE, if its generation is at least CUTOFF; else NULL. It stays there. */
static Commit *peek(GTree *queue, uint32_t cutoff)
{
	GTreeNode *first = g_tree_node_first(queue);
	Commit *commit = first ? g_tree_node_key(first) : NULL;

	return commit && commit->generation >= cutoff ? commit : NULL;
}

static void push(GTree *queue, Commit *commit, bool *is_pushed)
{
	if (!*is_pushed)
		g_tree_insert(queue, commit, commit);
	*is_pushed = true;
}

static bool explore(ProllyTopo *self, Commit *commit, GError **error)
{
	g_autofree Commit **parents = g_new0(Commit *, commit->n_parents + 1);

	for (unsigned i = 0; i < commit->n_parents; i++) {
		if (!get_commit(self, &commit->parent_ids[i], &parents[i], error))
			return false;
		push(self->exploring, parents[i], &parents[i]->is_explored);
	}
	g_clear_pointer(&commit->parent_ids, g_free);
	commit->parents = g_steal_pointer(&parents);
	commit->is_hidden |= commit->time < self->since;
	for (unsigned i = 0; commit->is_hidden && i < commit->n_parents; i++)
		hide(commit->parents[i]);
	return true;
}

static bool explore_to(ProllyTopo *self, uint32_t cutoff, GError **error)
{
	Commit *commit;

	while ((commit = peek(self->exploring, cutoff))) {
		g_tree_remove(self->exploring, commit);
		if (!explore(self, commit, error))
			return false;
	}
	return true;
}

/* Counts the children of all commits of generation CUTOFF and greater ones. */
static bool count_to(ProllyTopo *self, uint32_t cutoff, GError **error)
{
	Commit *commit;

	if (cutoff >= self->counted_to)
		return true;
	self->counted_to = cutoff;
	while ((commit = peek(self->counting, cutoff))) {
		g_tree_remove(self->counting, commit);
		if (!explore_to(self, commit->generation, error))
			return false;
		for (unsigned i = 0; i < commit->n_parents; i++) {
			commit->parents[i]->n_children++;
			push(self->counting, commit->parents[i], &commit->parents[i]->is_counted);
		}
	}
	return true;
}

/* ---- The walk ---------------------------------------------------------------------------- */

static bool add_tips(ProllyTopo *self, const ProllyCommitId *ids, size_t n, bool hides,
		     GPtrArray *tips, GError **error)
{
	for (size_t i = 0; i < n; i++) {
		Commit *commit;

		if (!get_commit(self, &ids[i], &commit, error))
			return false;
		if (hides)
			hide(commit);
		push(self->exploring, commit, &commit->is_explored);
		if (!commit->is_counted)
			g_ptr_array_add(tips, commit);
		push(self->counting, commit, &commit->is_counted);
	}
	return true;
}

/* The oldest first; of equal ones the one that was named last. */
static int compare_tips(const void *a, const void *b)
{
	const Commit *x = *(Commit *const *)a, *y = *(Commit *const *)b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->order > y->order ? -1 : x->order < y->order;
}

static bool begin(ProllyTopo *self, const ProllyLogOptions *options, GError **error)
{
	g_autoptr(GPtrArray) tips = g_ptr_array_new();
	uint32_t lowest = GENERATION_UNKNOWN;

	if (!add_tips(self, options->starts, options->n_starts, false, tips, error) ||
	    !add_tips(self, options->hidden, options->n_hidden, true, tips, error))
		return false;
	for (guint i = 0; i < tips->len; i++)
		lowest = MIN(lowest, ((Commit *)g_ptr_array_index(tips, i))->generation);
	self->counted_to = UINT64_MAX;
	if (!count_to(self, lowest, error))
		return false;
	g_ptr_array_sort(tips, compare_tips);
	for (guint i = 0; i < tips->len; i++) {
		Commit *tip = g_ptr_array_index(tips, i);

		if (!tip->n_children)
			g_ptr_array_add(self->ready, tip);
	}
	return true;
}

bool prolly_topo_new(ProllyRepo *repo, const ProllyLogOptions *options, ProllyTopo **out_topo,
		     GError **error)
{
	g_autoptr(ProllyTopo) self = g_new0(ProllyTopo, 1);

	self->repo = repo;
	self->graph = prolly_commit_graph_open(repo->body->git->dir);
	self->facts.parents = g_array_new(FALSE, FALSE, sizeof(ProllyCommitId));
	self->since = options->has_since ? options->since : INT64_MIN;
	self->commits = g_hash_table_new_full(prolly_commit_id_hash, prolly_commit_id_equal_keys,
					      NULL, free_commit);
	self->exploring = g_tree_new(compare);
	self->counting = g_tree_new(compare);
	self->ready = g_ptr_array_new();
	if (!begin(self, options, error))
		return false;
	*out_topo = g_steal_pointer(&self);
	return true;
}

void prolly_topo_free(ProllyTopo *topo)
{
	if (!topo)
		return;
	prolly_commit_graph_free(topo->graph);
	g_array_unref(topo->facts.parents);
	g_tree_unref(topo->exploring);
	g_tree_unref(topo->counting);
	g_ptr_array_unref(topo->ready);
	g_hash_table_unref(topo->commits);
	g_free(topo);
}

/* COMMIT comes: its parents wait for one child less. */
static bool pass(ProllyTopo *self, Commit *commit, GError **error)
{
	for (unsigned i = 0; i < commit->n_parents; i++) {
		Commit *parent = commit->parents[i];

		if (!count_to(self, parent->generation, error))
			return false;
		if (--parent->n_children == 0 && !parent->is_hidden)
			g_ptr_array_add(self->ready, parent);
	}
	return true;
}

bool prolly_topo_next(ProllyTopo *topo, ProllyCommitId *out_id, bool *out_end, GError **error)
{
	Commit *commit = NULL;

	while (!commit && topo->ready->len) {
		commit = g_ptr_array_steal_index_fast(topo->ready, topo->ready->len - 1);
		if (commit->is_hidden)
			commit = NULL;
	}
	*out_end = !commit;
	if (!commit)
		return true;
	*out_id = commit->id;
	return pass(topo, commit, error);
}

bool prolly_topo_is_hidden(const ProllyTopo *topo, const ProllyCommitId *id)
{
	const Commit *commit = g_hash_table_lookup(topo->commits, id);

	return commit && commit->is_hidden;
}

unsigned prolly_topo_count(const ProllyTopo *topo)
{
	return g_hash_table_size(topo->commits);
}
