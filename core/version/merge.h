/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * merge: bringing into a branch what was done elsewhere.
 *
 * A merge compares three sides key by key: a base, the branch (ours) and a commit (theirs). What
 * one side changed comes in; what both changed differently is a conflict.
 */

#include "version/history.h"

typedef enum {
	PROLLY_MERGE_UP_TO_DATE, /* there was nothing to bring in */
	PROLLY_MERGE_FAST_FORWARD,
	PROLLY_MERGE_MERGED,
	PROLLY_MERGE_CONFLICT,
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
	const char *operation; /* what reflogs call one that is applied */
	bool no_ff;
	bool ff_only; /* DENIED if a merge commit would be needed */
	bool dry_run; /* say what would be; write nothing */
	const char *message;
	const ProllySignature *author;
	const ProllySignature *committer;
	ProllyConflictFunc conflict;
	void *conflict_data;
} ProllyMergeOptions;

/*
 * Merges commit THEIRS into BRANCH. Conflicts: result CONFLICT, nothing changed. Staged changes to
 * keys that the merge changes: WOULD_OVERWRITE, naming the first; others stay staged. *OUT_ID: the
 * branch's head now.
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
