/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * merge-private: what the files of a merge share.
 *
 *   reconcile.c      a merge from its beginning to the branch's move
 *   merge-base.c     the base: common ancestors, and one made of several
 *   merge-sides.c    three states, key by key
 *   merge-tree.c     the trees that come of them
 *   merge-decide.c   keys that both changed: what they become
 *   merge-staged.c   what is staged, beside a merge
 *   merge-stage.c    staging what a merge changes
 *   merge-tape.c     decisions that wait to be carried out
 *   unfinished.c     merges that wait for somebody
 *   unfinished-record.c  what is kept of them
 *   strategy*.c      values that both changed (strategy.h)
 */

#include "version/merge.h"
#include "version/repo-private.h"
#include "version/working-private.h"

/* ---- merge-sides.c: three states --------------------------------------------------------- */

/* Each an array of ProllyNamespace by name; borrowed. */
typedef struct {
	const ProllyTreeContext *context;
	const GArray *base, *ours, *theirs;
	ProllyTree empty; /* what a side without a namespace has of it */
} ProllySides;

/* One namespace of the three. */
typedef struct {
	const char *name;
	const ProllyTree *base, *ours, *theirs;
	bool in_base, in_ours, in_theirs;
} ProllyTrio;

bool prolly_sides_init(ProllySides *out_sides, ProllyRepo *repo, const GArray *base,
		       const GArray *ours, const GArray *theirs, GError **error);
/* (transfer full) The namespaces of any of the three, in order: of ProllyTrio. Borrows from SIDES. */
GArray *prolly_sides_list(const ProllySides *sides);
/* Did theirs change something that is not the same in ours? */
bool prolly_trio_is_changed(const ProllyTrio *trio);
/* The tree of namespace NAME in an array of ProllyNamespace, or NULL. Borrowed. */
const ProllyTree *prolly_namespaces_find(const GArray *namespaces, const char *name);
/* (transfer full) An array of ProllyNamespace without any. */
GArray *prolly_namespaces_new(void);

/* Called for each key that theirs changed and ours not, and each that both changed differently. */
typedef bool (*ProllyStepFunc)(void *data, const ProllyPlace *place, const ProllyMergeStep *step,
			       GError **error);
bool prolly_sides_foreach(const ProllySides *sides, ProllyStepFunc func, void *data,
			  GError **error);
/* Is there a namespace that theirs made, or deleted while ours has no keys in it? */
bool prolly_sides_change_namespaces(const ProllySides *sides);

/* ---- merge-tree.c: what comes of them ---------------------------------------------------- */

/* What becomes of a key that both changed differently. *OUT_STORED (transfer full) NULL: deleted. */
typedef bool (*ProllyDecideFunc)(void *data, const ProllyPlace *place, const ProllyMergeStep *step,
				 GBytes **out_stored, GError **error);
/* (transfer full) The namespaces of the merge. */
bool prolly_sides_merge(const ProllySides *sides, ProllyDecideFunc decide, void *data,
			GArray **out_namespaces, GError **error);

/* True for the stored value of an empty directory. */
bool prolly_stored_is_marker(const uint8_t *stored, size_t len);

/* ---- merge-tape.c ------------------------------------------------------------------------ */

/* Records that are written in order and then read in order, as often as one likes; beyond a bound
 * they are in a file without a name. */
typedef struct ProllyTape ProllyTape;

ProllyTape *prolly_tape_new(void);
void prolly_tape_free(ProllyTape *tape); /* NULL is allowed */
bool prolly_tape_append(ProllyTape *tape, const void *data, size_t len, GError **error);
/* The next read gives the first record. Nothing may be appended after it. */
bool prolly_tape_rewind(ProllyTape *tape, GError **error);
/* *OUT_DATA NULL: there is none left. Borrowed until the next call. */
bool prolly_tape_read(ProllyTape *tape, const uint8_t **out_data, size_t *out_len, GError **error);

/* A key that both changed differently, and what became of it. Everything borrowed. */
typedef struct {
	ProllyPlace place;
	bool is_open;         /* undecided: a conflict */
	const uint8_t *value; /* decided: NULL is deleted */
	size_t value_len;
	ProllyMergeStep sides; /* key and values */
} ProllyVerdict;

bool prolly_tape_append_verdict(ProllyTape *tape, const ProllyVerdict *verdict, GError **error);
bool prolly_tape_read_verdict(ProllyTape *tape, ProllyVerdict *out_verdict, bool *out_end,
			      GError **error);

/* ---- merge-decide.c ---------------------------------------------------------------------- */

ProllyConflictKind prolly_conflict_classify(const ProllyMergeStep *step);

/* Decides keys that both sides changed differently. */
typedef struct ProllyDecider ProllyDecider;

typedef struct {
	const ProllyMergeOptions *options; /* strategy, preference, may_execute, warn */
	bool is_virtual;                   /* between bases: neither side is ours */
	const ProllyCommitId *ours;        /* whose history "newest" looks at; NULL: it cannot */
	const ProllyCommitId *theirs;
} ProllyDeciderSetting;

/* INVALID names a strategy that there is none of. */
bool prolly_decider_check_options(const ProllyMergeOptions *options, GError **error);
/* The working state of BRANCH has the attributes. SETTING's pointers stay where they are. */
bool prolly_decider_new(ProllyRepo *repo, ProllyBranch *branch, const ProllyDeciderSetting *setting,
			ProllyDecider **out_decider, GError **error);
void prolly_decider_free(ProllyDecider *decider); /* NULL is allowed */
/* *OUT_DECIDED false: a conflict. *OUT_STORED (transfer full) NULL: deleted. In a dry run a large
 * value need not be in the store. */
bool prolly_decider_decide(ProllyDecider *decider, const ProllyPlace *place,
			   const ProllyMergeStep *step, bool *out_decided, GBytes **out_stored,
			   GError **error);

/* ---- merge-base.c ------------------------------------------------------------------------ */

/* (transfer full) The namespaces of the state that BASES (of ProllyCommitId, not empty) have in
 * common. OPTIONS as for a decider. */
bool prolly_bases_merge(ProllyRepo *repo, ProllyBranch *branch, const ProllyMergeOptions *options,
			const GArray *bases, GArray **out_namespaces, GError **error);

/* ---- unfinished-record.c: what is kept of unfinished merges -------------------------------- */

#define PROLLY_FINGERPRINT_SIZE 16

/* What a key in conflict becomes. */
typedef struct {
	bool by_hand;                            /* somebody resolved it; else a strategy did */
	uint8_t sides[PROLLY_FINGERPRINT_SIZE];  /* of what was in conflict */
	uint8_t staged[PROLLY_FINGERPRINT_SIZE]; /* of what was staged of it then */
	GBytes *stored;                          /* (transfer full) NULL: it is deleted */
} ProllyResolution;

void prolly_resolution_clear(ProllyResolution *resolution);
void prolly_resolution_fingerprint(const ProllyMergeStep *step,
				   uint8_t out[PROLLY_FINGERPRINT_SIZE]);
/* Of one value, NULL being absent. */
void prolly_resolution_fingerprint_value(const uint8_t *value, size_t len,
					 uint8_t out[PROLLY_FINGERPRINT_SIZE]);
/* Does it hold for STEP, or did a side change since? */
bool prolly_resolution_holds(const ProllyResolution *resolution, const ProllyMergeStep *step);
void prolly_resolution_put(uint32_t branch_id, const ProllyPlace *place,
			   const ProllyResolution *resolution, ProllyDbBatch *batch);
bool prolly_resolution_find(ProllyRepo *repo, uint32_t branch_id, const ProllyPlace *place,
			    ProllyResolution *out_resolution, bool *out_found, GError **error);

/* Adds the record of UNFINISHED to BATCH. */
void prolly_unfinished_save(uint32_t branch_id, const ProllyUnfinished *unfinished,
			    ProllyDbBatch *batch);
/* Deletes it, with its resolutions. */
void prolly_unfinished_delete(uint32_t branch_id, ProllyDbBatch *batch);
/* (transfer full) A copy without what waits. */
ProllyUnfinished *prolly_unfinished_copy(const ProllyUnfinished *unfinished);
/* (transfer full) The update of the reference that keeps what the merge of BRANCH_ID needs in the
 * git repository, TO a commit; NULL: away. NULL if there is nothing to do. */
bool prolly_unfinished_new_update(ProllyRepo *repo, uint32_t branch_id, const ProllyCommitId *to,
				  ProllyRefUpdate **out_update, GError **error);

/* ---- unfinished.c: merges that wait -------------------------------------------------------- */

/* Where a merge that stops comes from. Borrowed. */
typedef struct {
	ProllyTape *tape;           /* of verdicts */
	const ProllyCommitId *head; /* ours */
	const GArray *namespaces;   /* of it */
	const GArray *bases;        /* of ProllyCommitId; nullable */
	const GArray *base;         /* namespaces of what was made of several */
	const ProllySignature *committer;
	bool is_resumed; /* it waited before: what is recorded holds */
} ProllyUnfinishedSource;

/* All under commit_lock. Records UNFINISHED, of which it fills in what waits. */
bool prolly_unfinished_begin(ProllyRepo *repo, ProllyBranch *branch, ProllyUnfinished *unfinished,
			     const ProllyUnfinishedSource *source, GError **error);
/* The same of one for which nothing waits: adds it to PUBLICATION and BATCH. */
bool prolly_unfinished_add(ProllyRepo *repo, ProllyBranch *branch, ProllyUnfinished *unfinished,
			   const ProllyUnfinishedSource *source, ProllyPublication *publication,
			   ProllyDbBatch *batch, GError **error);
/* Adds to PUBLICATION and BATCH that BRANCH has none any more. */
bool prolly_unfinished_end(ProllyRepo *repo, ProllyBranch *branch, ProllyPublication *publication,
			   ProllyDbBatch *batch, GError **error);
/* The same at once. */
bool prolly_unfinished_drop(ProllyRepo *repo, ProllyBranch *branch, GError **error);
/* As prolly_unfinished_load, but NOT_FOUND if there is none. */
bool prolly_unfinished_require(ProllyRepo *repo, ProllyBranch *branch,
			       ProllyUnfinished **out_unfinished, GError **error);

/*
 * What unfinished merges need that no commit has, for the garbage collection: the tops of trees, and
 * stored values, which may be blobs. SNAPSHOT nullable. (The commits are reachable from references
 * below refs/prollyfs/.)
 */
typedef struct {
	bool (*tree)(const ProllyTree *tree, void *data, GError **error);
	bool (*value)(const uint8_t *stored, size_t len, void *data, GError **error);
	void *data;
} ProllyUnfinishedRoots;
bool prolly_unfinished_foreach_root(ProllyRepo *repo, const ProllyDbSnapshot *snapshot,
				    const ProllyUnfinishedRoots *roots, GError **error);

/* ---- merge-staged.c ---------------------------------------------------------------------- */

/*
 * Compares what is staged in STATE with a merge that leads from OURS to MERGED (arrays of
 * ProllyNamespace): WOULD_OVERWRITE if a staged change is in the way. BATCH (nullable) gets what
 * makes staged records right over the merge; then the caller holds write_lock, STATE is the
 * present one and open files are staged.
 */
typedef struct {
	ProllyWorking working;
	bool is_empty;   /* nothing is staged */
	bool is_resumed; /* what was resolved by hand may be staged otherwise */
	ProllyDbBatch *batch;
} ProllyBeside;

bool prolly_beside_init(ProllyBeside *out_beside, ProllyRepo *repo, ProllyBranch *branch,
			ProllyState *state, GError **error);
/* PLACE changes from what STEP->ours says to VALUE (NULL: deleted). */
bool prolly_beside_check(const ProllyBeside *beside, const ProllyPlace *place,
			 const ProllyMergeStep *step, const uint8_t *value, size_t len,
			 GError **error);
bool prolly_beside_check_all(const ProllyBeside *beside, const GArray *ours, const GArray *merged,
			     GError **error);

/* ---- merge-stage.c ----------------------------------------------------------------------- */

typedef struct {
	ProllyRepo *repo;
	ProllyBranch *branch;
	ProllyState *state;   /* of the branch when the merge began */
	const GArray *merged; /* of ProllyNamespace: what is to be staged over the head */
	bool is_resumed;
	bool is_recorded;             /* the branch has an unfinished merge; it ends */
	ProllyUnfinished *unfinished; /* nullable; to be recorded, as staged */
	const ProllyUnfinishedSource *source;
} ProllyStaging;

/* Under commit_lock, as the next; after it the caller tells the observer: everywhere. WOULD_OVERWRITE
 * as prolly_beside_check_all. */
bool prolly_merge_stage(const ProllyStaging *staging, GError **error);
/* Takes it out again, and the unfinished merge ends. */
bool prolly_merge_unstage(ProllyRepo *repo, ProllyBranch *branch, uint64_t generation,
			  GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyResolution, prolly_resolution_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyDecider, prolly_decider_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyTape, prolly_tape_free)
