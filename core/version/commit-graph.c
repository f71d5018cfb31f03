/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git's commit-graph file: all commits with their parents, dates and generation numbers, in a form
 * that is looked things up in without unpacking an object. What has to go through all of history
 * (graphs, ranges, merge bases; ours through libgit2, and stock git's) is many times faster for it.
 *
 * It is written anew whenever loose objects are packed or commits were removed, on the journal's
 * thread or gc's, with a repository object of its own, so it holds no lock. What was committed since
 * is not in it, and is read from its objects as before: the file never has to be right about what is
 * new. It must not name what is gone, though, so who removes commits writes it first.
 *
 * Written beside and renamed after a sync: a reader finds the old one or the new one, whole.
 */
#include "version/repo-private.h"

#include <git2/sys/commit_graph.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_commit_graph_writer, git_commit_graph_writer_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_repository, git_repository_free)

/* The file's bytes, for what is reachable from any reference. */
static int dump(git_repository *repo, const char *info_dir, git_buf *out)
{
	git_commit_graph_writer_options options = GIT_COMMIT_GRAPH_WRITER_OPTIONS_INIT;
	g_autoptr(git_commit_graph_writer) writer = NULL;
	g_autoptr(git_revwalk) walk = NULL;
	int result = git_commit_graph_writer_new(&writer, info_dir);

	if (result == 0)
		result = git_revwalk_new(&walk, repo);
	if (result == 0)
		result = git_revwalk_push_glob(walk, "*");
	if (result == 0)
		result = git_commit_graph_writer_add_revwalk(writer, walk);
	if (result == 0)
		result = git_commit_graph_writer_dump(out, writer, &options);
	return result;
}

bool prolly_git_write_commit_graph(const char *git_dir, GError **error)
{
	g_autofree char *info_dir = g_build_filename(git_dir, "objects", "info", NULL);
	g_autofree char *path = g_build_filename(info_dir, "commit-graph", NULL);
	g_autoptr(git_repository) repo = NULL;
	git_buf bytes = GIT_BUF_INIT;
	int result = prolly_git_open_repository(&repo, git_dir);
	bool ok;

	if (result == 0)
		result = dump(repo, info_dir, &bytes);
	if (result < 0)
		ok = prolly_throw_git(error, result, "%s", path);
	else
		ok = g_mkdir_with_parents(info_dir, 0777) == 0 &&
		     g_file_set_contents_full(path, bytes.ptr, (gssize)bytes.size,
					      G_FILE_SET_CONTENTS_CONSISTENT |
						      G_FILE_SET_CONTENTS_DURABLE,
					      0444, error);
	git_buf_dispose(&bytes);
	return ok;
}
