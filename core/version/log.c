/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking history: logs, merge bases, ancestry.
 *
 * git's own algorithms, through libgit2. Its objects are for one thread at a time, so each step is
 * made under the git lock; a log that somebody reads slowly does not hold it between two commits.
 * Where two commits have several best common ancestors (a criss-cross), libgit2 gives one of them.
 *
 * A log by dates alone streams: a commit's parents are pushed when it is taken, which is git's own
 * order and costs what is taken. Where a commit must wait for all its children, topo.c knows how
 * to. What is not to be reachable from elsewhere libgit2 reads first, down to where the two meet.
 */
#include "version/past-private.h"
#include "version/topo-private.h"

struct ProllyLog {
	ProllyRepo *repo;
	ProllyWalk walk;     /* newest first */
	GHashTable *seen;    /* ids that were pushed to it */
	int64_t since;       /* nothing is looked for behind a commit that is older, as in git */
	ProllyTopo *topo;    /* of a topological one */
	git_revwalk *sorted; /* of one by dates from which something is hidden; under git_lock */
};

static bool add_commits(git_revwalk *walk, const ProllyCommitId *ids, size_t n,
			int (*add)(git_revwalk *walk, const git_oid *oid), GError **error)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];

	for (size_t i = 0; i < n; i++) {
		git_oid oid;
		int result;

		prolly_commit_id_to_oid(&ids[i], &oid);
		result = add(walk, &oid);
		if (result < 0)
			return prolly_throw_git(error, result, "log of %s",
						prolly_commit_id_to_hex(&ids[i], hex));
	}
	return true;
}

static bool push_unseen(ProllyLog *log, const ProllyCommitId *ids, size_t n, GError **error)
{
	for (size_t i = 0; i < n; i++)
		if (g_hash_table_add(log->seen, g_memdup2(&ids[i], sizeof(ids[i]))) &&
		    !prolly_walk_push(&log->walk, &ids[i], error))
			return false;
	return true;
}

static bool sort(ProllyLog *log, const ProllyLogOptions *options, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&log->repo->body->git_lock);
	int result = git_revwalk_new(&log->sorted, log->repo->body->git->repo);

	if (result == 0)
		result = git_revwalk_sorting(log->sorted, GIT_SORT_TIME);
	if (result < 0)
		return prolly_throw_git(error, result, "log");
	return add_commits(log->sorted, options->starts, options->n_starts, git_revwalk_push,
			   error) &&
	       add_commits(log->sorted, options->hidden, options->n_hidden, git_revwalk_hide,
			   error);
}

bool prolly_log_new(ProllyRepo *repo, const ProllyLogOptions *options, ProllyLog **out_log,
		    GError **error)
{
	g_autoptr(ProllyLog) log = g_new0(ProllyLog, 1);

	log->repo = repo;
	log->since = options->has_since ? options->since : INT64_MIN;
	prolly_walk_init(&log->walk, repo);
	log->seen = g_hash_table_new_full(prolly_commit_id_hash, prolly_commit_id_equal_keys,
					  g_free, NULL);
	if (!(options->topological ? prolly_topo_new(repo, options, &log->topo, error)
	      : options->n_hidden  ? sort(log, options, error)
				   : push_unseen(log, options->starts, options->n_starts, error)))
		return false;
	*out_log = g_steal_pointer(&log);
	return true;
}

void prolly_log_free(ProllyLog *log)
{
	if (!log)
		return;
	g_mutex_lock(&log->repo->body->git_lock);
	git_revwalk_free(log->sorted);
	g_mutex_unlock(&log->repo->body->git_lock);
	prolly_topo_free(log->topo);
	prolly_walk_clear(&log->walk);
	g_hash_table_unref(log->seen);
	g_free(log);
}

static bool next_sorted(ProllyLog *log, ProllyCommitId *out_id, bool *out_end, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&log->repo->body->git_lock);
	git_oid oid;
	int result = git_revwalk_next(&oid, log->sorted);

	if (result < 0 && result != GIT_ITEROVER)
		return prolly_throw_git(error, result, "log");
	*out_end = result == GIT_ITEROVER;
	if (!*out_end)
		prolly_commit_id_from_oid(&oid, out_id);
	return true;
}

bool prolly_log_next(ProllyLog *log, ProllyCommit **out_commit, GError **error)
{
	g_autoptr(ProllyCommit) commit = NULL;
	ProllyCommitId id;
	bool end = false;

	*out_commit = NULL;
	if (log->topo || log->sorted)
		return (log->topo ? prolly_topo_next(log->topo, &id, &end, error)
				  : next_sorted(log, &id, &end, error)) &&
		       (end || prolly_commit_load(log->repo, &id, out_commit, error));
	commit = prolly_walk_pop(&log->walk);
	if (commit && commit->committer.time >= log->since &&
	    !push_unseen(log, commit->parents, commit->n_parents, error))
		return false;
	*out_commit = g_steal_pointer(&commit);
	return true;
}

bool prolly_log_is_hidden(const ProllyLog *log, const ProllyCommitId *id)
{
	return log->topo && prolly_topo_is_hidden(log->topo, id);
}

bool prolly_history_merge_base(ProllyRepo *repo, const ProllyCommitId *a, const ProllyCommitId *b,
			       ProllyCommitId *out_base, bool *out_found, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->git_lock);
	char hex_a[PROLLY_COMMIT_ID_HEX_SIZE];
	char hex_b[PROLLY_COMMIT_ID_HEX_SIZE];
	git_oid one;
	git_oid two;
	git_oid base;
	int result;

	prolly_commit_id_to_oid(a, &one);
	prolly_commit_id_to_oid(b, &two);
	result = git_merge_base(&base, repo->body->git->repo, &one, &two);
	if (result < 0 && result != GIT_ENOTFOUND)
		return prolly_throw_git(error, result, "merge base of %s and %s",
					prolly_commit_id_to_hex(a, hex_a),
					prolly_commit_id_to_hex(b, hex_b));
	*out_found = result == 0;
	if (*out_found)
		prolly_commit_id_from_oid(&base, out_base);
	return true;
}

bool prolly_history_is_ancestor(ProllyRepo *repo, const ProllyCommitId *ancestor,
				const ProllyCommitId *id, bool *out_is, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->git_lock);
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	git_oid old;
	git_oid new;
	int result;

	prolly_commit_id_to_oid(ancestor, &old);
	prolly_commit_id_to_oid(id, &new);
	result = git_oid_equal(&old, &new)
			 ? 1
			 : git_graph_descendant_of(repo->body->git->repo, &new, &old);
	if (result < 0)
		return prolly_throw_git(error, result, "ancestry of commit %s",
					prolly_commit_id_to_hex(id, hex));
	*out_is = result == 1;
	return true;
}
