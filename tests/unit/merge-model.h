/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Merging, as prollyfs-merge(7) has it, written down again for plain arrays: what becomes of a key,
 * of a state, and which commits are the base. Values are strings, interned by the history so that
 * equal ones are the same pointer; the first character is the kind (f, x, l), NULL is absent.
 *
 * A history looks at all commits for everything, and knows of each which come before it.
 */

#include <stdbool.h>
#include <string.h>

#include <glib.h>

#include "version/merge.h"

#define MERGE_NAMESPACES 3
#define MERGE_UNNAMED    0 /* one that is there while it has keys */
#define MERGE_KEYS       8
#define MERGE_COMMITS    128

typedef struct {
	const char *values[MERGE_NAMESPACES][MERGE_KEYS];
	bool has[MERGE_NAMESPACES];
} MergeState;

typedef struct {
	MergeState state;
	int parents[2];                   /* -1: none */
	bool comes_before[MERGE_COMMITS]; /* itself and its ancestors */
} MergeCommit;

typedef struct {
	GStringChunk *texts;
	MergeCommit commits[MERGE_COMMITS];
	int n;
} MergeHistory;

/* ---- A key ------------------------------------------------------------------------------- */

typedef struct {
	const char *base, *ours, *theirs;
} MergeCase;

static inline bool merge_is_file(const char *value)
{
	return value && value[0] != 'l';
}

static inline bool merge_is_kind(const char *a, const char *b)
{
	return a && b && a[0] == b[0];
}

/* Do all three agree that it is a file? Of which kind is settled apart; *OUT_KIND 0: it is not. */
static inline bool merge_file_kind(const MergeCase *c, char *out_kind)
{
	*out_kind = '\0';
	if (!merge_is_file(c->ours) || !merge_is_file(c->theirs) ||
	    (c->base && !merge_is_file(c->base)))
		return false;
	if (merge_is_kind(c->base, c->ours) || merge_is_kind(c->ours, c->theirs))
		*out_kind = c->theirs[0];
	else if (merge_is_kind(c->base, c->theirs))
		*out_kind = c->ours[0];
	return true;
}

/* CONTENT's, of kind KIND. */
static inline const char *merge_make_value(MergeHistory *self, char kind, const char *content)
{
	g_autofree char *text = g_strdup_printf("%c%s", kind, content);

	return g_string_chunk_insert_const(self->texts, text);
}

/* Kind and content are settled apart, if all are files. */
static inline bool merge_settle_files(MergeHistory *self, const MergeCase *c,
				      const char **out_value)
{
	const char *chosen;
	char kind;

	if (!merge_file_kind(c, &kind) || !kind)
		return false;
	if (strcmp(c->ours + 1, c->theirs + 1) == 0 ||
	    (c->base && strcmp(c->base + 1, c->ours + 1) == 0))
		chosen = c->theirs;
	else if (c->base && strcmp(c->base + 1, c->theirs + 1) == 0)
		chosen = c->ours;
	else
		return false;
	*out_value = merge_make_value(self, kind, chosen + 1);
	return true;
}

/* Did both change it, and differently? */
static inline bool merge_is_clash(const MergeCase *c)
{
	return g_strcmp0(c->ours, c->theirs) != 0 && g_strcmp0(c->base, c->ours) != 0 &&
	       g_strcmp0(c->base, c->theirs) != 0;
}

/* False: a conflict. */
static inline bool merge_settle(MergeHistory *self, const MergeCase *c, const char **out_value)
{
	if (merge_is_clash(c))
		return merge_settle_files(self, c, out_value);
	*out_value = g_strcmp0(c->base, c->ours) == 0 ? c->theirs : c->ours;
	return true;
}

/* Of a conflict. */
static inline ProllyConflictKind merge_conflict_kind(const MergeCase *c)
{
	char kind;

	if (!c->ours)
		return PROLLY_CONFLICT_DELETED_BY_US;
	if (!c->theirs)
		return PROLLY_CONFLICT_DELETED_BY_THEM;
	if (!merge_is_kind(c->ours, c->theirs) && !(merge_file_kind(c, &kind) && kind))
		return PROLLY_CONFLICT_TYPE;
	return c->base ? PROLLY_CONFLICT_BOTH_MODIFIED : PROLLY_CONFLICT_BOTH_ADDED;
}

/* ---- A state ----------------------------------------------------------------------------- */

static inline bool merge_has_keys(const MergeState *state, int ns)
{
	for (int key = 0; key < MERGE_KEYS; key++)
		if (state->values[ns][key])
			return true;
	return false;
}

static inline bool merge_state_equal(const MergeState *a, const MergeState *b)
{
	return memcmp(a->values, b->values, sizeof(a->values)) == 0 &&
	       memcmp(a->has, b->has, sizeof(a->has)) == 0;
}

/* What a key becomes that both changed differently. */
typedef const char *(*MergeDecideFunc)(const MergeCase *c, int ns, int key, void *data);

static inline bool merge_keeps_namespace(const MergeState *merged, int ns, bool in_base,
					 bool in_ours, bool in_theirs)
{
	if (merge_has_keys(merged, ns) || ns == MERGE_UNNAMED)
		return merge_has_keys(merged, ns);
	return in_base ? in_ours && in_theirs : in_ours || in_theirs;
}

static inline MergeState merge_states(MergeHistory *self, const MergeState *base,
				      const MergeState *ours, const MergeState *theirs,
				      MergeDecideFunc decide, void *data)
{
	MergeState merged = {0};

	for (int ns = 0; ns < MERGE_NAMESPACES; ns++) {
		for (int key = 0; key < MERGE_KEYS; key++) {
			MergeCase c = {base->values[ns][key], ours->values[ns][key],
				       theirs->values[ns][key]};

			if (merge_is_clash(&c))
				merged.values[ns][key] = decide(&c, ns, key, data);
			else
				merge_settle(self, &c, &merged.values[ns][key]);
		}
		merged.has[ns] = merge_keeps_namespace(&merged, ns, base->has[ns], ours->has[ns],
						       theirs->has[ns]);
	}
	return merged;
}

/* ---- A history --------------------------------------------------------------------------- */

static inline void merge_history_init(MergeHistory *self)
{
	self->texts = g_string_chunk_new(4096);
	self->n = 0;
}

static inline void merge_history_clear(MergeHistory *self)
{
	g_string_chunk_free(self->texts);
}

/* A commit; OTHER (or both) -1: it has no such parent. */
static inline int merge_history_add(MergeHistory *self, const MergeState *state, int parent,
				    int other)
{
	MergeCommit *commit = &self->commits[self->n];

	g_assert_cmpint(self->n, <, MERGE_COMMITS);
	*commit = (MergeCommit){.state = *state, .parents = {parent, other}};
	for (int i = 0; i < self->n; i++)
		commit->comes_before[i] = (parent >= 0 && self->commits[parent].comes_before[i]) ||
					  (other >= 0 && self->commits[other].comes_before[i]);
	commit->comes_before[self->n] = true;
	return self->n++;
}

/* The best common ancestors of ONE and of the N in OTHERS together, the oldest first. */
static inline int merge_find_bases(const MergeHistory *self, int one, const int *others, int n,
				   int *out)
{
	bool common[MERGE_COMMITS] = {false};
	int n_found = 0;

	for (int i = 0; i < self->n; i++) {
		bool has = false;

		for (int j = 0; j < n; j++)
			has = has || self->commits[others[j]].comes_before[i];
		common[i] = has && self->commits[one].comes_before[i];
	}
	for (int i = 0; i < self->n; i++) {
		bool is_best = common[i];

		for (int j = i + 1; j < self->n && is_best; j++)
			is_best = !(common[j] && self->commits[j].comes_before[i]);
		if (is_best)
			out[n_found++] = i;
	}
	return n_found;
}

typedef struct {
	MergeHistory *history;
	int first, last; /* bases; last -1: several were merged before */
} MergeBetweenBases;

/* A conflict between bases becomes a file that nothing else has. */
static inline const char *merge_decide_between_bases(const MergeCase *c, int ns, int key,
						     void *data)
{
	const char *sides[] = {c->ours, c->theirs};
	g_autoptr(GString) text = g_string_new("f<");
	MergeBetweenBases *self = data;
	const char *value;

	if (merge_settle(self->history, c, &value))
		return value;
	if (self->last >= 0)
		g_string_append_printf(text, "%d and %d", self->first, self->last);
	for (size_t i = 0; i < G_N_ELEMENTS(sides); i++)
		g_string_append_printf(text, "|%s",
				       !sides[i]                 ? "(deleted)"
				       : merge_is_file(sides[i]) ? sides[i] + 1
								 : sides[i]);
	g_string_append_c(text, '>');
	return g_string_chunk_insert_const(self->history->texts, text->str);
}

/* What the commits in BASES have in common. */
static inline MergeState merge_of_bases(MergeHistory *self, const int *bases, int n)
{
	MergeState state = self->commits[bases[0]].state;

	for (int i = 1; i < n; i++) {
		MergeBetweenBases between = {self, bases[0], i == 1 ? bases[i] : -1};
		MergeState base = {0};
		int below[MERGE_COMMITS];
		int n_below = merge_find_bases(self, bases[i], bases, i, below);

		if (n_below > 0)
			base = merge_of_bases(self, below, n_below);
		state = merge_states(self, &base, &state, &self->commits[bases[i]].state,
				     merge_decide_between_bases, &between);
	}
	return state;
}
