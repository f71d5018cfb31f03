/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * topo-private: histories in which children come before their parents.
 *
 *   topo.c               the walk
 *   commit-graph-read.c  what makes it cheap
 */

#include "version/repo-private.h"

/* ---- commit-graph-read.c ------------------------------------------------------------------ */

typedef struct ProllyCommitGraph ProllyCommitGraph;

typedef struct {
	uint32_t generation;
	int64_t time;    /* the committer's, for ordering only */
	GArray *parents; /* of ProllyCommitId */
} ProllyCommitFacts;

/* (transfer full) GIT_DIR's file, as it is now; NULL: there is none that can be used. */
ProllyCommitGraph *prolly_commit_graph_open(const char *git_dir);
void prolly_commit_graph_free(ProllyCommitGraph *graph); /* NULL is allowed */
/* Fills in FACTS, whose array is the caller's. False: it does not know ID. */
bool prolly_commit_graph_find(const ProllyCommitGraph *graph, const ProllyCommitId *id,
			      ProllyCommitFacts *out_facts);

/* ---- topo.c ------------------------------------------------------------------------------- */

typedef struct ProllyTopo ProllyTopo;

/* (transfer full) The commits that OPTIONS mean. */
bool prolly_topo_new(ProllyRepo *repo, const ProllyLogOptions *options, ProllyTopo **out_topo,
		     GError **error);
void prolly_topo_free(ProllyTopo *topo); /* NULL is allowed */
bool prolly_topo_next(ProllyTopo *topo, ProllyCommitId *out_id, bool *out_end, GError **error);
/* Is ID, a parent of a commit that came, not to come? */
bool prolly_topo_is_hidden(const ProllyTopo *topo, const ProllyCommitId *id);
/* How many commits it has looked at. */
unsigned prolly_topo_count(const ProllyTopo *topo);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyCommitGraph, prolly_commit_graph_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyTopo, prolly_topo_free)
