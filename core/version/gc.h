/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * gc: garbage collection of a store that goes on being used, and what it asks of those who use it.
 *
 * What stays is what is reached from a branch, a tag or any other reference, a reflog's entry, what
 * is staged or half loaded, an open file, directory, view or mount, a merge that is not finished,
 * and what a change that is being made refers to. gc.c has the argument.
 */

#include "version/repo.h"

/* ---- Changes under way ------------------------------------------------------------------- */

/*
 * A change that puts nodes, or takes trees or blobs from elsewhere, and then makes a record or a
 * commit refer to them is made between enter and leave. The functions of version do this for
 * themselves; who stores a value first (blob.h) and then gives it to one of them does it around
 * both. May be nested. Not around prolly_gc_run, which waits for all who are inside.
 */
typedef struct {
	ProllyRepo *repo; /* NULL: left */
	unsigned turn;
} ProllyGuard;

ProllyGuard prolly_guard_enter(ProllyRepo *repo);
void prolly_guard_leave(ProllyGuard *guard);

/* ---- Collection -------------------------------------------------------------------------- */

typedef enum {
	PROLLY_GC_LISTING, /* done, total: nodes, as far as they are known */
	PROLLY_GC_WAITING, /* for changes that were under way */
	PROLLY_GC_MARKING,
	PROLLY_GC_PACKING, /* the git repository */
	PROLLY_GC_SWEEPING,
	PROLLY_GC_RECLAIMING,
} ProllyGcPhase;

typedef struct {
	bool dry_run; /* counts, and changes nothing */
	/* Commits that nothing reaches and that came into the git repository after this time (seconds)
	 * stay, with all they have. PROLLY_GC_NOW: none; PROLLY_GC_DEFAULT: what gc.pruneExpire says,
	 * or two weeks. */
	int64_t prune_before;
	bool is_automatic; /* ends if somebody asks for another one */
	/* Nullable. False: stop (with ERROR set); nothing is lost by that. */
	bool (*progress)(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data,
			 GError **error);
	void *data;
} ProllyGcOptions;

#define PROLLY_GC_DEFAULT (-1)
#define PROLLY_GC_NOW     INT64_MAX

typedef struct {
	uint64_t nodes; /* that stay, and their bytes */
	uint64_t bytes;
	uint64_t reclaimed_nodes;
	uint64_t reclaimed_bytes;
	uint64_t git_bytes_before; /* files of the git repository */
	uint64_t git_bytes;
} ProllyGcFigures;

/* "now", "never", or a date as git takes it ("2.weeks.ago"), for prune_before. False: none of these. */
bool prolly_gc_parse_grace(const char *text, int64_t *out_before);

/*
 * Removes what nothing reaches. BUSY: another one runs. CORRUPT and MISSING name what it could not
 * read; then nothing was removed, since nobody knows what lies below.
 */
bool prolly_gc_run(ProllyRepo *repo, const ProllyGcOptions *options, ProllyGcFigures *out_figures,
		   GError **error);

/* ---- Automatic collection ---------------------------------------------------------------- */

/* What decides (gc-account.c); git's configuration has the limits (prollyfs-ctl(1)). */
typedef struct {
	bool is_enabled;
	bool is_due;
	uint64_t written; /* bytes of nodes since the last collection; due are ... */
	uint64_t limit;
	uint64_t packs; /* of the git repository, that came since; due are ... */
	uint64_t pack_limit;
	int64_t last; /* when the last one ended (seconds); 0: there was none */
	uint64_t collections;
} ProllyGcBalance;

/* Costs the same whatever there is. PATIENCE: what the limits are multiplied by, for who has somebody
 * wait. INVALID: the configuration makes no sense. */
bool prolly_gc_get_balance(ProllyRepo *repo, unsigned patience, ProllyGcBalance *out_balance,
			   GError **error);

/* A thread that collects when it is worth it, and tells REPORT of it: FIGURES, or FAILURE. Stopped
 * before REPO is freed; that ends what runs. */
typedef struct ProllyGcCollector ProllyGcCollector;
typedef void (*ProllyGcReportFunc)(const ProllyGcFigures *figures, const GError *failure,
				   void *data);
ProllyGcCollector *prolly_gc_collector_start(ProllyRepo *repo, ProllyGcReportFunc report,
					     void *data);
void prolly_gc_collector_stop(ProllyGcCollector *collector); /* NULL is allowed */

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyGuard, prolly_guard_leave)
