/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * gc-private: what the files of garbage collection share. gc.c says in what order they work.
 */

#include "store/census.h"
#include "version/repo-private.h"

/* A set of git's object ids (gc-git.c). */
typedef GHashTable ProllyOidSet;

/* A node to be looked at (gc-mark.c). */
typedef struct {
	ProllyHash hash;
	uint8_t kind;    /* of gc-mark.c */
	uint8_t level;   /* of a blob's node */
	bool is_lenient; /* it may be missing, and what is below it */
} ProllyGcItem;

/* Why an object of git stays; one that is in an earlier set is in no later one. */
typedef enum {
	PROLLY_GC_REACHED,
	PROLLY_GC_YOUNG, /* nothing reaches it, but it is too young to go */
	PROLLY_GC_LATE,  /* reached, but that was found out when the others were packed already */
	PROLLY_GC_N_REASONS,
} ProllyGcReason;

typedef struct {
	git_oid oid;
	bool required; /* its absence is damage */
} ProllyGcObject;

struct ProllyGc {
	ProllyRepo *repo;
	ProllyRepoBody *body; /* its own */
	const ProllyGcOptions *options;
	ProllyStore *store;        /* its reads leave the cache alone */
	ProllyTreeContext context; /* on it */
	ProllyCensus *census;

	GArray *stack;        /* of ProllyGcItem */
	GHashTable *unlisted; /* ProllyHash, owned: marked nodes that the census does not list */
	uint64_t n_marked;

	bool keeps_git;        /* there is no room to pack it */
	git_odb *odb;          /* NULL: in memory, or not open yet */
	unsigned n_reads;      /* since it was opened */
	GArray *objects;       /* of ProllyGcObject, to be looked at */
	ProllyGcReason reason; /* why those that are found now stay */
	ProllyOidSet *kept[PROLLY_GC_N_REASONS];
	ProllyOidSet *namespaces; /* of them, those that name a tree, which was noted */
	ProllyOidSet *damaged;    /* what cannot be read, and nothing reaches: it names nothing */
	int64_t prune_before;     /* seconds */
};

/* ---- gc.c -------------------------------------------------------------------------------- */

/* False if the caller of the collection, or of one that is to be, wants it to end. */
bool prolly_gc_tell(ProllyGc *gc, ProllyGcPhase phase, uint64_t done, uint64_t total,
		    GError **error);
bool prolly_gc_options_tell(const ProllyGcOptions *options, ProllyGcPhase phase, uint64_t done,
			    uint64_t total, GError **error);
/* (transfer full) (nullable) What the repository's configuration, or git's own, has of NAME. */
char *prolly_gc_dup_configured(ProllyRepoBody *body, const char *name);
/* What gc.pruneExpire says, or two weeks. */
bool prolly_gc_get_grace(ProllyRepoBody *body, int64_t *out_before, GError **error);

/* ---- gc-account.c ------------------------------------------------------------------------ */

/* A collection that began when WRITTEN bytes had been written has left LIVE bytes. */
void prolly_gc_account_settle(ProllyGc *gc, uint64_t written, uint64_t live);
/* An automatic one has failed: the next one has to be due anew. */
void prolly_gc_account_postpone(ProllyRepoBody *body);
/* Waits until the account is touched (true), or UNTIL (of the monotonic clock; -1: for ever). */
bool prolly_gc_account_wait(ProllyRepoBody *body, int64_t until);
/* Has the account touched when so much was written that it may change BALANCE's answer, or that it
 * is worth being saved. */
void prolly_gc_account_watch(ProllyRepoBody *body, const ProllyGcBalance *balance);
void prolly_gc_account_unwatch(ProllyRepoBody *body);

/* ---- guard.c ----------------------------------------------------------------------------- */

/* Returns when all guards that are there now are gone. */
bool prolly_usage_wait(ProllyGc *gc, GError **error);
/* Asks every holder. */
bool prolly_usage_ask(ProllyGc *gc, GError **error);
/* Around a collection, or what it must not come into. BUSY: another runs. */
bool prolly_usage_begin(ProllyUsage *usage, const ProllyGcOptions *options, GError **error);
/* The same for the packing of loose objects, which ends for whoever comes. False: something runs. */
bool prolly_usage_begin_packing(ProllyUsage *usage);
void prolly_usage_end(ProllyUsage *usage);

/* ---- gc-mark.c --------------------------------------------------------------------------- */

bool prolly_gc_tell_marked(ProllyGc *gc, GError **error);
/* Marks everything below what was noted. CORRUPT, MISSING. */
bool prolly_gc_mark(ProllyGc *gc, GError **error);

/* ---- gc-roots.c -------------------------------------------------------------------------- */

/* Notes, and marks, everything that must stay now. */
bool prolly_gc_capture(ProllyGc *gc, GError **error);

/* ---- gc-git.c ---------------------------------------------------------------------------- */

ProllyOidSet *prolly_oid_set_new(void);
/* True: it was not in it. */
bool prolly_oid_set_add(ProllyOidSet *set, const git_oid *oid);
bool prolly_oid_set_has(ProllyOidSet *set, const git_oid *oid);

/* Notes what the references and reflogs name. IS_LOCKED: the caller holds publish_lock. */
bool prolly_gc_note_references(ProllyGc *gc, bool is_locked, GError **error);
/* Everything below the noted commits is wanted, and the trees of their namespaces stay. */
bool prolly_gc_walk_commits(ProllyGc *gc, GError **error);
/* Notes an object that need not be there. */
void prolly_gc_note_object(ProllyGc *gc, const git_oid *oid);
bool prolly_gc_is_kept(const ProllyGc *gc, const git_oid *oid);

/* ---- gc-pack.c --------------------------------------------------------------------------- */

typedef struct ProllyGcPacks ProllyGcPacks;

/* The files in which the git repository's objects are. */
bool prolly_gc_packs_list(ProllyGc *gc, ProllyGcPacks **out_packs, GError **error);
void prolly_gc_packs_free(ProllyGcPacks *packs); /* NULL is allowed */
/* Objects that nothing reaches and that are too young to go stay, with what they refer to. */
bool prolly_gc_packs_keep_young(ProllyGc *gc, ProllyGcPacks *packs, GError **error);
/* Packs what stays and removes the rest. Under no lock. */
bool prolly_gc_packs_rewrite(ProllyGc *gc, ProllyGcPacks *packs, GError **error);
/* Bytes of the git repository's files. */
uint64_t prolly_gc_measure_git(ProllyGc *gc);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyGcPacks, prolly_gc_packs_free)
