/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * history: commits in the store's git repository, what names them, and what makes them.
 *
 * A commit holds every namespace's tree. The commit graph is git's own: everything here reads and
 * writes objects that stock git accepts.
 */

#include "version/repo.h"

/* ---- Commits ----------------------------------------------------------------------------- */

typedef struct {
	char *name;
	char *email;
	int64_t time;       /* seconds since the epoch */
	int offset_minutes; /* of the author's time zone */
} ProllySignature;

void prolly_signature_clear(ProllySignature *signature);
/*
 * From GIT_AUTHOR_NAME, _EMAIL, _DATE (COMMITTER for a committer), else git's configuration, else
 * login and host name, with the time now. ENVIRONMENT: a NULL-terminated list of "NAME=value" that
 * stands for the caller's, or NULL: this process's own.
 */
bool prolly_signature_init_default(ProllySignature *out_signature, bool committer,
				   const char *const *environment, GError **error);
/* What `commit --author` takes: TEXT is "NAME <ADDRESS>", which replaces both in SIGNATURE. INVALID: it
 * is not exactly that, or no name is left of it once it is cleaned as git cleans it. */
bool prolly_signature_set_person(ProllySignature *signature, const char *text, GError **error);
/* Makes of SIGNATURE, which some program has put into a commit, one that a new commit can have. */
void prolly_signature_tidy(ProllySignature *signature);
/* Whom reflogs name for the branches that are moved through this handle from now on; NULL: who opened
 * the store. Copied. Nobody else uses the handle meanwhile. */
void prolly_repo_set_committer(ProllyRepo *repo, const ProllySignature *committer);

/* (transfer full) What git's configuration, of whom ENVIRONMENT (as above) belongs to, says of NAME;
 * NULL: nothing. */
char *prolly_git_config_dup(const char *name, const char *const *environment);
/* Is VALUE one of those that it has for NAME? Of this process's people alone. */
bool prolly_git_config_lists(const char *name, const char *value);

/*
 * What git takes in its environment variables, in --since and in BRANCH@{DATE}: "@SECONDS [ZONE]",
 * "SECONDS ZONE", ISO 8601, RFC 2822, git's own format; a date alone (at this time of day), a time of
 * day, yesterday, noon, "last friday", "2 weeks 3 days ago". NOW is the time that they refer to. Not
 * before 1970. False, outputs untouched: it is none of these.
 */
bool prolly_date_parse(const char *text, int64_t now, int64_t *out_time, int *out_offset_minutes);

typedef struct {
	ProllyCommitId id;
	ProllyCommitId *parents;
	size_t n_parents;
	ProllySignature author;
	ProllySignature committer;
	char *message; /* as stored, but in UTF-8 where the commit names another encoding */
} ProllyCommit;

bool prolly_commit_load(ProllyRepo *repo, const ProllyCommitId *id, ProllyCommit **out_commit,
			GError **error);
void prolly_commit_free(ProllyCommit *commit); /* NULL is allowed */

/* A namespace of a commit (or of a working state). */
typedef struct {
	char *name;
	ProllyTree tree;
} ProllyNamespace;

/* (transfer full) The namespaces of commit ID in byte order of their names: an array of
 * ProllyNamespace with its clear function set. */
bool prolly_commit_load_namespaces(ProllyRepo *repo, const ProllyCommitId *id,
				   GArray **out_namespaces, GError **error);

/* The namespace NS of commit ID; *OUT_FOUND false: it has none of that name. */
bool prolly_commit_load_namespace(ProllyRepo *repo, const ProllyCommitId *id, const char *ns,
				  ProllyTree *out_tree, bool *out_found, GError **error);

/* The commit that REV (branch, tag, id, REV~N, REV^N, BRANCH@{N}, BRANCH@{DATE}) names. Unknown or
 * ambiguous: NOT_FOUND or INVALID, naming REV. */
bool prolly_revision_resolve(ProllyRepo *repo, const char *rev, ProllyCommitId *out_id,
			     GError **error);

/* *OUT_FOUND false: the two share no history. */
bool prolly_history_merge_base(ProllyRepo *repo, const ProllyCommitId *a, const ProllyCommitId *b,
			       ProllyCommitId *out_base, bool *out_found, GError **error);
/* Is ANCESTOR reachable from ID (or ID itself)? */
bool prolly_history_is_ancestor(ProllyRepo *repo, const ProllyCommitId *ancestor,
				const ProllyCommitId *id, bool *out_is, GError **error);

typedef struct ProllyLog ProllyLog;

typedef struct {
	const ProllyCommitId *starts;
	size_t n_starts;
	const ProllyCommitId *hidden; /* with all that is reachable from them */
	size_t n_hidden;
	bool topological; /* children always before parents, whatever their dates say, and a line of
			     history as long as it can be followed */
	bool has_since;   /* nothing is looked for behind a commit that is older; of a ... */
	int64_t since;    /* ... topological one, or without HIDDEN: others do not take it */
} ProllyLogOptions;

/* (transfer full) The commits reachable from the starts, newest first. It costs the commits that are
 * taken from it; with HIDDEN also those down to where the two meet, and a topological one those that
 * git's commit-graph file does not have. */
bool prolly_log_new(ProllyRepo *repo, const ProllyLogOptions *options, ProllyLog **out_log,
		    GError **error);
void prolly_log_free(ProllyLog *log); /* NULL is allowed */
/* (transfer full) NULL: that was the last. */
bool prolly_log_next(ProllyLog *log, ProllyCommit **out_commit, GError **error);
/* Of a topological one: is ID, a parent of a commit that was given, not to come? */
bool prolly_log_is_hidden(const ProllyLog *log, const ProllyCommitId *id);

/* ---- Making commits ---------------------------------------------------------------------- */

typedef struct {
	const char *message;
	const ProllySignature *author;
	const ProllySignature *committer;
	bool allow_empty;          /* a merge that was staged is committed in any case */
	const ProllyCommit *amend; /* takes the place of this one, the branch's head; nullable */
} ProllyCommitOptions;

/*
 * Commits what is staged on BRANCH in all namespaces, as of the moment it begins: every write that
 * returned before is in, writers go on meanwhile. *OUT_CHANGES keys changed; 0 without ALLOW_EMPTY:
 * nothing was committed and OUT_ID is the head. STALE: AMEND is not the head. On an error
 * everything is still staged. Durable on return, at one synced write.
 */
bool prolly_history_commit(ProllyRepo *repo, ProllyBranch *branch,
			   const ProllyCommitOptions *options, ProllyCommitId *out_id,
			   uint64_t *out_changes, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyCommit, prolly_commit_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyLog, prolly_log_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllySignature, prolly_signature_clear)
