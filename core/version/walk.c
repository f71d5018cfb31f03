/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits that wait to be looked at.
 *
 * They are ordered by their committers' dates, as git orders a log, so that what is done with them
 * streams: when a commit is taken, none that is newer can come but by a clock that ran backwards.
 * Of commits with equal dates (a script makes many in a second) the first that was pushed comes
 * first, which keeps a parent behind the last of its children.
 */
#include "version/past-private.h"

#include <string.h>

#include "version/repo-private.h"

typedef struct {
	int64_t time;
	uint64_t order;
	ProllyCommit *commit;
} Waiting;

static int compare_waiting(const void *a, const void *b, void *data)
{
	const Waiting *x = a, *y = b;

	if (x->time != y->time)
		return x->time > y->time ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

void prolly_walk_init(ProllyWalk *walk, ProllyRepo *repo)
{
	*walk = (ProllyWalk){
		.repo = repo,
		.waiting = g_tree_new_full(compare_waiting, NULL, g_free, NULL),
	};
}

void prolly_walk_clear(ProllyWalk *walk)
{
	ProllyCommit *commit;

	while (walk->waiting && (commit = prolly_walk_pop(walk)))
		prolly_commit_free(commit);
	g_clear_pointer(&walk->waiting, g_tree_unref);
}

bool prolly_walk_push(ProllyWalk *walk, const ProllyCommitId *id, GError **error)
{
	ProllyCommit *commit;
	Waiting *waiting;

	if (!prolly_commit_load(walk->repo, id, &commit, error))
		return false;
	waiting = g_new(Waiting, 1);
	*waiting = (Waiting){commit->committer.time, walk->n_pushed++, commit};
	g_tree_insert(walk->waiting, waiting, commit);
	return true;
}

ProllyCommit *prolly_walk_pop(ProllyWalk *walk)
{
	GTreeNode *first = g_tree_node_first(walk->waiting);
	ProllyCommit *commit;

	if (!first)
		return NULL;
	commit = g_tree_node_value(first);
	g_tree_remove(walk->waiting, g_tree_node_key(first));
	return commit;
}

unsigned prolly_commit_id_hash(const void *id)
{
	return prolly_get_le32(((const ProllyCommitId *)id)->bytes);
}

int prolly_commit_id_equal_keys(const void *a, const void *b)
{
	return prolly_commit_id_equal(a, b);
}
