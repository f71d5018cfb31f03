/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * merge: bringing into a branch what was done elsewhere.
 *
 * A merge compares three sides key by key: a base, the branch (ours) and a commit (theirs). What
 * one side changed comes in; what both changed differently is a conflict, unless a strategy settles
 * it (strategy.h has the rules for values, prollyfs-merge(7) the table).
 *
 * A merge with conflicts changes neither the branch nor what is staged. It is recorded and waits,
 * over crashes too: its conflicts are listed and resolved one by one, and then it is continued; or
 * it is aborted. A branch has one unfinished merge at most.
 *
 * Errors: WOULD_OVERWRITE where staged changes are in the way, naming the first key; BUSY where an
 * unfinished merge is; NOT_FOUND where none is; DENIED for a fast-forward that is not possible and
 * for a command that may not be run.
 */

#include "version/view.h"

/* ---- Merging ----------------------------------------------------------------------------- */

typedef enum {
	PROLLY_MERGE_UP_TO_DATE, /* there was nothing to bring in */
	PROLLY_MERGE_FAST_FORWARD,
	PROLLY_MERGE_MERGED,
	PROLLY_MERGE_CONFLICT,
	PROLLY_MERGE_STAGED, /* of squash and no_commit: what it changes is staged */
} ProllyMergeResult;

typedef enum {
	PROLLY_CONFLICT_BOTH_MODIFIED,
	PROLLY_CONFLICT_BOTH_ADDED,
	PROLLY_CONFLICT_DELETED_BY_THEM,
	PROLLY_CONFLICT_DELETED_BY_US,
	PROLLY_CONFLICT_TYPE, /* the kinds differ (file, symlink, executable...) in what changed */
} ProllyConflictKind;

/* Called for each conflict, in order of namespace and key, before anything is changed. The stored
 * values are NULL where the side has none. */
typedef bool (*ProllyConflictFunc)(const ProllyPlace *place, ProllyConflictKind kind,
				   const ProllyMergeStep *sides, void *data, GError **error);

typedef struct {
	const char *operation; /* "cherry-pick", "revert"; NULL: "merge" */
	const char *note; /* nullable; kept with an unfinished one, for who continues it. One with a
			     note is not replaced by another merge */
	bool no_ff;
	bool ff_only;         /* DENIED if a merge commit would be needed */
	bool dry_run;         /* say what would be; write nothing */
	bool squash;          /* stage what it changes; no commit is made, nor will be */
	bool no_commit;       /* stage it; of a merge, the next commit has both parents. A
				 fast-forward is made all the same */
	bool may_execute;     /* strategies may run commands: the caller is who owns the process */
	const char *strategy; /* nullable: for every key in conflict */
	const char *preference; /* nullable: for those that the attributes say nothing of */
	const char *message;
	const ProllySignature *author;
	const ProllySignature *committer;
	ProllyConflictFunc conflict; /* nullable */
	void *conflict_data;
	/* Nullable, as those below; they get conflict_data too. */
	void (*warn)(const char *text, void *data);
	bool (*is_cancelled)(void *data); /* stops a command that a strategy runs */
} ProllyMergeOptions;

/*
 * Merges commit THEIRS into BRANCH. Staged changes to keys that the merge changes are
 * WOULD_OVERWRITE; others stay staged. Conflicts: result CONFLICT, and the merge is recorded; it
 * replaces an unfinished one in which nothing was resolved. *OUT_ID: the branch's head now.
 */
bool prolly_history_merge(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *theirs,
			  const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			  ProllyCommitId *out_id, GError **error);

/* What leads from one commit to another; NULL is the state without anything. */
typedef struct {
	const ProllyCommitId *from;
	const ProllyCommitId *to;
} ProllyMergeChange;

/*
 * Applies CHANGE to BRANCH, as a three-way merge whose base is CHANGE->from and whose commit has one
 * parent: cherry-pick (from a commit's parent to the commit) and revert (back again). UP_TO_DATE: it
 * would change nothing, and no commit was made. All else as in prolly_history_merge; OPTIONS->no_ff
 * and ff_only mean nothing.
 */
bool prolly_history_apply(ProllyRepo *repo, ProllyBranch *branch, const ProllyMergeChange *change,
			  const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			  ProllyCommitId *out_id, GError **error);

/*
 * Applies N changes one after the other and stages what comes of all together; OPTIONS->no_commit is
 * true. Conflicts in one of them are told, and nothing is staged or recorded.
 */
bool prolly_history_stage_all(ProllyRepo *repo, ProllyBranch *branch,
			      const ProllyMergeChange *changes, size_t n,
			      const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			      ProllyCommitId *out_id, GError **error);

/* The common ancestors of A and B that no other one descends from; several after a criss-cross.
 * (transfer full) Of ProllyCommitId, the oldest first; empty: the two share no history. */
bool prolly_history_merge_bases(ProllyRepo *repo, const ProllyCommitId *a, const ProllyCommitId *b,
				GArray **out_bases, GError **error);

/* ---- Unfinished merges ------------------------------------------------------------------- */

typedef enum {
	PROLLY_SIDE_OF_BASE,
	PROLLY_SIDE_OF_OURS,
	PROLLY_SIDE_OF_THEIRS,
	PROLLY_SIDE_OF_N
} ProllySideOf;

typedef struct {
	char *operation;
	bool is_staged;      /* begun with no_commit: what it changes is staged, nothing waits */
	bool is_squash;      /* its changes are to be staged, not committed */
	uint64_t generation; /* of is_staged: where; 0: it changed nothing */
	bool has_from;       /* else from the state without anything */
	bool has_to;         /* the same */
	ProllyCommitId from; /* the base; after a criss-cross a commit made of the bases */
	ProllyCommitId to;   /* theirs */
	char *message;
	ProllySignature author; /* name NULL: whoever continues it */
	char *strategy;         /* nullable, as the two below */
	char *preference;
	char *note;
	uint64_t resolved;              /* keys that were resolved by hand */
	GArray *open[PROLLY_SIDE_OF_N]; /* of ProllyNamespace: what a side has of the keys that
					      wait */
} ProllyUnfinished;

/* *OUT_UNFINISHED (transfer full) is NULL if there is none. */
bool prolly_unfinished_load(ProllyRepo *repo, ProllyBranch *branch,
			    ProllyUnfinished **out_unfinished, GError **error);
void prolly_unfinished_free(ProllyUnfinished *unfinished); /* NULL is allowed */
/* Does no key wait any more? */
bool prolly_unfinished_is_settled(const ProllyUnfinished *unfinished);
/* (transfer full) The names of the branches on which conflicts wait, in byte order. */
bool prolly_unfinished_list(ProllyRepo *repo, GPtrArray **out_names, GError **error);
/* (transfer full) A view of one side's values of the keys that wait. */
ProllyView *prolly_unfinished_view(ProllyRepo *repo, const ProllyUnfinished *unfinished,
				   ProllySideOf side);

/*
 * Goes on with what BRANCH has unfinished: compares again with the branch as it is now, and makes
 * the commit (of a squash: stages it) if nothing waits any more. Conflicts that are left (or came
 * up since) are told: CONFLICT. Of OPTIONS it takes the message, unless it is NULL, the committer,
 * the author of a merge, may_execute, warn and the conflict function.
 */
bool prolly_history_continue(ProllyRepo *repo, ProllyBranch *branch,
			     const ProllyMergeOptions *options, ProllyMergeResult *out_result,
			     ProllyCommitId *out_id, GError **error);

/* Forgets it. What was staged to resolve it stays staged; what no_commit staged goes, as far as it
 * was not changed since. */
bool prolly_history_abort(ProllyRepo *repo, ProllyBranch *branch, GError **error);

typedef enum {
	PROLLY_RESOLVE_WORKING, /* the key's value in the working state, or its absence */
	PROLLY_RESOLVE_BASE,
	PROLLY_RESOLVE_OURS,
	PROLLY_RESOLVE_THEIRS,
} ProllyResolveWith;

/*
 * Resolves PLACE (a key), or with BELOW all waiting keys that start with it, of namespace ns (NULL:
 * of all). A key that was resolved may be resolved again by name. *OUT_N: how many there were; 0: it
 * is not in conflict.
 */
bool prolly_unfinished_resolve(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
			       bool below, ProllyResolveWith with, uint64_t *out_n, GError **error);

/* Calls FUNC for each key that waits, in order. */
bool prolly_unfinished_foreach(ProllyRepo *repo, const ProllyUnfinished *unfinished,
			       ProllyConflictFunc func, void *data, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyUnfinished, prolly_unfinished_free)
