/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking history: logs, merge bases, ancestry.
 *
 * git's own algorithms, through libgit2. Its objects are for one thread at a time, so each step is
 * made under the git lock; a log that somebody reads slowly does not hold it between two commits.
 * Where two commits have several best common ancestors (a criss-cross), libgit2 gives one of them.
 */
#include "version/repo-private.h"

struct ProllyLog {
	ProllyRepoBody *body; /* borrowed from the handle that made it */
	git_revwalk *walk;    /* protected by git_lock */
};

bool prolly_log_new(ProllyRepo *repo, const ProllyCommitId *starts, size_t n, ProllyLog **out_log,
		    GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&repo->body->git_lock);
	g_autoptr(git_revwalk) walk = NULL;
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	ProllyLog *log;
	int result = git_revwalk_new(&walk, repo->body->git->repo);

	if (result == 0)
		result = git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME);
	if (result < 0)
		return prolly_throw_git(error, result, "log");
	for (size_t i = 0; i < n; i++) {
		git_oid oid;

		prolly_commit_id_to_oid(&starts[i], &oid);
		result = git_revwalk_push(walk, &oid);
		if (result < 0)
			return prolly_throw_git(error, result, "log of %s",
						prolly_commit_id_to_hex(&starts[i], hex));
	}
	log = g_new0(ProllyLog, 1);
	log->body = repo->body;
	log->walk = g_steal_pointer(&walk);
	*out_log = log;
	return true;
}

void prolly_log_free(ProllyLog *log)
{
	if (!log)
		return;
	g_mutex_lock(&log->body->git_lock);
	git_revwalk_free(log->walk);
	g_mutex_unlock(&log->body->git_lock);
	g_free(log);
}

bool prolly_log_next(ProllyLog *log, ProllyCommitId *out_id, bool *out_end, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&log->body->git_lock);
	git_oid oid;
	int result = git_revwalk_next(&oid, log->walk);

	if (result < 0 && result != GIT_ITEROVER)
		return prolly_throw_git(error, result, "log");
	*out_end = result == GIT_ITEROVER;
	if (!*out_end)
		prolly_commit_id_from_oid(&oid, out_id);
	return true;
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
