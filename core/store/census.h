/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * census: which nodes there are, which of them are wanted, and the removal of the others.
 *
 * For garbage collection. A census lists the nodes of a store's back end; somebody marks those that
 * are reached from what must stay; the sweep deletes what was listed and not marked. The store goes
 * on serving and taking nodes meanwhile: from the beginning of prolly_census_new on, every node that
 * is put stays, found there or not. So who puts all nodes of a tree after that, or takes them from a
 * tree all of which is marked, may refer to it. What was put before and is wanted must be marked.
 *
 * Memory: 3.3 bytes a node listed, 5 while they are; 6.3 and 8 TO_VERIFY; and some 100 for each that
 * is marked after it was put meanwhile (store-census.c has the arithmetic).
 *
 * Threads: a census belongs to one thread; the store's others are kept apart from it inside.
 */

#include "base/base.h"
#include "store/store.h"

typedef struct ProllyCensus ProllyCensus;

/* Gives what is pending to the back end, if the disk has room for it: what is not there cannot go. */
bool prolly_store_flush_if_room(ProllyStore *store, GError **error);

typedef enum {
	PROLLY_CENSUS_TO_SWEEP,  /* it watches, from before the listing; one of a store at a time */
	PROLLY_CENSUS_TO_COUNT,  /* deletes nothing, and need not be exact while others put */
	PROLLY_CENSUS_TO_VERIFY, /* the same, and is asked for nodes that may have been lost */
} ProllyCensusUse;

/* Does that, and lists all nodes. */
bool prolly_census_new(ProllyStore *store, ProllyCensusUse use, ProllyCensus **out_census,
		       GError **error);
/* Ends the watch. NULL is allowed. */
void prolly_census_free(ProllyCensus *census);
/* Bytes of memory for the nodes that are listed. */
size_t prolly_census_get_size(const ProllyCensus *census);

typedef enum {
	PROLLY_CENSUS_UNLISTED, /* put since, or missing */
	PROLLY_CENSUS_FIRST,    /* it is marked now (one that was put meanwhile, maybe again) */
	PROLLY_CENSUS_AGAIN,    /* it was already */
} ProllyCensusAnswer;

ProllyCensusAnswer prolly_census_mark(ProllyCensus *census, const ProllyHash *hash);
bool prolly_census_is_marked(const ProllyCensus *census, const ProllyHash *hash);

typedef struct {
	uint64_t nodes; /* that are there (marked or not), and their bytes */
	uint64_t bytes;
	uint64_t dead_nodes; /* of them, those that the sweep takes */
	uint64_t dead_bytes;
} ProllyCensusFigures;

void prolly_census_get_figures(const ProllyCensus *census, ProllyCensusFigures *out_figures);

/* Is told of progress now and then: of TOTAL nodes, DONE were looked at. False: stop, with ERROR. */
typedef bool (*ProllyCensusFunc)(uint64_t done, uint64_t total, void *data, GError **error);

/* Counts what is not marked (nodes and bytes of the figures are counted anew). */
bool prolly_census_count(ProllyCensus *census, ProllyCensusFunc func, void *data, GError **error);
/* The same, TO_SWEEP, and deletes it. Stopped or killed at any moment, it has deleted only what it
 * may. */
bool prolly_census_sweep(ProllyCensus *census, ProllyCensusFunc func, void *data, GError **error);

/* Gives the space of what was deleted back to the disk, as far as that is worth it. */
bool prolly_census_reclaim(ProllyCensus *census, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyCensus, prolly_census_free)
