/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * strategy: rules that settle a value which both sides of a merge changed.
 *
 * The rules for texts work on bytes and are symmetric: with the sides exchanged they give the same
 * result, so that merging in either direction leads to the same state. They see three contents; a
 * base that is not there is empty. Each returns false if it cannot settle them: a conflict.
 */

#include "version/merge-private.h"

typedef struct {
	const char *data; /* NULL: absent */
	size_t len;
} ProllyText;

typedef struct {
	ProllyText base, ours, theirs;
} ProllyTexts;

/* ---- strategy-list.c: lists of anything --------------------------------------------------- */

/* Equal elements have equal numbers. */
typedef struct {
	const uint32_t *ids;
	size_t n;
} ProllyList;

#define PROLLY_LIST_UNMATCHED SIZE_MAX

/* (transfer full) For each element of A the one of B that it is matched with, ascending, or
 * UNMATCHED: what a diff would call unchanged. */
size_t *prolly_list_match(const ProllyList *a, const ProllyList *b);

/* An element of a result: which side's, and its index there. */
typedef struct {
	ProllySideOf side;
	size_t index;
} ProllyListItem;

/* Orders element A of ours and B of theirs, if they are different. */
typedef int (*ProllyListOrderFunc)(void *data, size_t a, size_t b);

/*
 * (transfer full) The union of two lists that come from BASE: an array of ProllyListItem. An element
 * of the base (given as ours') is there if both still have it; what a side added comes in where it
 * added it, of two runs added at one place the lesser first; what both added, anywhere, is added as
 * often as the one did who added it more often.
 */
GArray *prolly_list_union(const ProllyList *base, const ProllyList *ours, const ProllyList *theirs,
			  ProllyListOrderFunc order, void *data);

/* ---- strategy-union.c, strategy-number.c, strategy-json.c: texts */

/* Lists of lines: a line is there if nobody removed it, or somebody added it. */
bool prolly_strategy_union(const ProllyTexts *texts, GByteArray *out);
/* Decimal numbers of any length: both differences are added. */
bool prolly_strategy_number(const ProllyTexts *texts, GByteArray *out);
/* strategy-json.c: objects, member by member. */
bool prolly_strategy_json(const ProllyTexts *texts, GByteArray *out);

/* What a three-way choice gives without a conflict; of two changes the lesser. */
const ProllyText *prolly_text_choose(const ProllyText *base, const ProllyText *ours,
				     const ProllyText *theirs);
int prolly_text_compare(const ProllyText *a, const ProllyText *b);

/* ---- strategy-newest.c -------------------------------------------------------------------- */

/* When commits changed a key. */
typedef struct ProllyDating ProllyDating;

ProllyDating *prolly_dating_new(ProllyRepo *repo);
void prolly_dating_free(ProllyDating *dating); /* NULL is allowed */
/* The committer's time of the commit that last changed PLACE in the history of COMMIT. */
bool prolly_dating_find(ProllyDating *dating, const ProllyCommitId *commit,
			const ProllyPlace *place, int64_t *out_time, GError **error);

/* ---- strategy-exec.c ---------------------------------------------------------------------- */

typedef struct {
	ProllyKind kind; /* that the result is to have */
	bool is_merged;
	GBytes *stored; /* (transfer full) NULL in a dry run */
} ProllyStrategyResult;

/* Runs COMMAND on the sides as files; see prollyfs-merge(7). */
bool prolly_strategy_exec(ProllyRepo *repo, const ProllyMergeOptions *options, const char *command,
			  const ProllyPlace *place, const ProllyMergeStep *step,
			  ProllyStrategyResult *out_result, GError **error);

/* ---- strategy.c: names of strategies ------------------------------------------------------ */

typedef enum {
	PROLLY_STRATEGY_NONE, /* leave it in conflict */
	PROLLY_STRATEGY_OURS,
	PROLLY_STRATEGY_THEIRS,
	PROLLY_STRATEGY_UNION,
	PROLLY_STRATEGY_JSON,
	PROLLY_STRATEGY_NUMBER,
	PROLLY_STRATEGY_NEWEST,
	PROLLY_STRATEGY_EXEC,
} ProllyStrategyKind;

typedef struct {
	ProllyStrategyKind kind;
	char *command; /* of _EXEC */
} ProllyStrategy;

/* (transfer full) What TEXT names, "json,theirs" or "exec:COMMAND": an array of ProllyStrategy, to be
 * tried in order. INVALID names what there is not. */
bool prolly_strategy_parse(const char *text, GArray **out_strategies, GError **error);

/* ---- strategy-attributes.c: what .prollyattributes says ------------------------------------- */

#define PROLLY_ATTRIBUTES_KEY ".prollyattributes"

typedef struct ProllyAttributes ProllyAttributes;

/* INVALID names the line. */
bool prolly_attributes_parse(const char *text, size_t len, ProllyAttributes **out_attributes,
			     GError **error);
void prolly_attributes_free(ProllyAttributes *attributes); /* NULL is allowed */
/* (transfer none) The strategies for the key whose path is PATH; NULL: nothing is said of it. */
const GArray *prolly_attributes_find(const ProllyAttributes *attributes, const char *path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyDating, prolly_dating_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyAttributes, prolly_attributes_free)
