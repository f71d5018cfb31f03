/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * repo: an open store (STORE on disk, or :memory:): its nodes, its database, its git repository,
 * its branches.
 *
 * One process has a store open at a time; inside it any number of handles (ProllyRepo) share one
 * body. A handle carries what differs between callers: where work is counted, and whether the
 * changes made through it are told to the observer. Handles are cheap.
 *
 * Threads: every function of core/version may be called from any thread, unless it works on an
 * iterator or other object of the caller's, which one thread uses at a time. Lock order is in
 * base/lock-order.c. An observer is called without locks, by who made the change: it may read, and not
 * change.
 */

#include "base/base.h"
#include "store/store.h"
#include "tree/tree.h"

typedef struct ProllyRepo ProllyRepo;
typedef struct ProllyBranch ProllyBranch;

/* ---- Commit ids -------------------------------------------------------------------------- */

#define PROLLY_COMMIT_ID_SIZE     20
#define PROLLY_COMMIT_ID_HEX_SIZE 41 /* with the terminating NUL */

typedef struct {
	uint8_t bytes[PROLLY_COMMIT_ID_SIZE];
} ProllyCommitId;

bool prolly_commit_id_equal(const ProllyCommitId *a, const ProllyCommitId *b);
char *prolly_commit_id_to_hex(const ProllyCommitId *id, char out[PROLLY_COMMIT_ID_HEX_SIZE]);

/* ---- Specifications ---------------------------------------------------------------------- */

typedef struct {
	bool has_kind;          /* false: a bare path, whose back end its configuration names */
	ProllyBackendKind kind; /* of a bare path: rocksdb, for making one */
	char *path;             /* as given; NULL for :memory: */
	uint64_t cache_size;    /* ?cache=SIZE; 0: not given */
} ProllySpec;

/* PATH, rocksdb://PATH, file://PATH, cached-file://PATH[?cache=SIZE], :memory:. */
bool prolly_spec_parse(const char *text, ProllySpec *out_spec, GError **error);
void prolly_spec_clear(ProllySpec *spec);
/* "64M", "1G", "4096": bytes. */
bool prolly_size_parse(const char *text, uint64_t *out_size, GError **error);

/* ---- Lifecycle --------------------------------------------------------------------------- */

typedef struct {
	const char *default_branch;               /* NULL: "main" */
	const ProllyFormatParameters *parameters; /* NULL: the defaults */
} ProllyRepoInitOptions;

/*
 * Makes an empty store with an initial commit. One that exists, or a directory that is not empty,
 * is left untouched: PROLLY_ERROR_EXISTS. OPTIONS nullable. Not for :memory:, which open makes.
 */
bool prolly_repo_init(const char *spec, const ProllyRepoInitOptions *options, GError **error);

typedef struct {
	bool create;         /* init it first if there is none */
	uint64_t cache_size; /* bytes of the node cache; 0: the specification's, else 256 MiB */
	const char *mount; /* written into the lock: where this process mounts it; NULL: nowhere */
	unsigned wait_ms;  /* how long to wait for a holder that is going away; 10000 is the rule */
} ProllyRepoOptions;

/*
 * Opens a store: takes the lock (PROLLY_ERROR_LOCKED names the holder's pid and mount point),
 * checks format version (NEWER_FORMAT) and back end (INVALID if the specification contradicts it),
 * recovers the journal. Errors name the path; a path that is no store is NOT_A_STORE and untouched.
 */
bool prolly_repo_open(const char *spec, const ProllyRepoOptions *options, ProllyRepo **out_repo,
		      GError **error);

/* (transfer full) Another handle. WORK nullable: counted nowhere. NOTIFY: changes made through it
 * are told to the observer (false for the filesystem's own operations, which the kernel knows of).
 */
ProllyRepo *prolly_repo_new_handle(ProllyRepo *repo, ProllyWork *work, bool notify);

/* Frees a handle. The last one flushes, syncs and closes the store. NULL is allowed. */
void prolly_repo_free(ProllyRepo *repo);

/* Everything written so far survives a power cut when this returns (fsync, syncfs). */
bool prolly_repo_sync(ProllyRepo *repo, GError **error);

/* Who holds the store at PATH (a specification is fine): *OUT_PID is 0 if nobody; *OUT_MOUNT
 * (transfer full) is NULL if the holder has it mounted nowhere. */
bool prolly_repo_find_holder(const char *spec, pid_t *out_pid, char **out_mount, GError **error);

/* Is SPEC's path a store (its configuration is there)? */
bool prolly_repo_is_store(const char *spec);

/* ---- What it is -------------------------------------------------------------------------- */

const char *prolly_repo_get_path(const ProllyRepo *repo); /* absolute; NULL: in memory */
const char *prolly_repo_get_default_branch(const ProllyRepo *repo);
/* Borrowed from the handle; counts where the handle counts. */
const ProllyTreeContext *prolly_repo_get_context(const ProllyRepo *repo);

/* ---- Branches ---------------------------------------------------------------------------- */

/* (transfer full) Names in byte order; elements are char *. */
bool prolly_branch_list(ProllyRepo *repo, GPtrArray **out_names, GError **error);
/* The same of those that begin with LEVEL and a '/'; costs what they are. */
bool prolly_branch_list_level(ProllyRepo *repo, const char *level, GPtrArray **out_names,
			      GError **error);
/* Are there any? Costs the same however many they are. */
bool prolly_branch_is_level(ProllyRepo *repo, const char *level, bool *out_is, GError **error);
/* *OUT_BRANCH (transfer full) is NULL if there is none. One object a branch while anyone holds it.
 * A branch that git moved meanwhile is taken over as it stands (the observer hears of it). */
bool prolly_branch_lookup(ProllyRepo *repo, const char *name, ProllyBranch **out_branch,
			  GError **error);
/* At START, with nothing staged; shares the attributes of branch FROM (nullable) if START is its
 * head. A name that git refuses is INVALID, one that exists or clashes ("a" with "a/b") EXISTS. */
bool prolly_branch_create(ProllyRepo *repo, const char *name, const ProllyCommitId *start,
			  ProllyBranch *from, ProllyBranch **out_branch, GError **error);
/* Without FORCE: NOT_EMPTY if something is staged or a commit is on no other branch. The default
 * branch: BUSY. One that has another name than NAME (nullable) by now: NOT_FOUND, here and below. */
bool prolly_branch_delete(ProllyRepo *repo, ProllyBranch *branch, const char *name, bool force,
			  GError **error);
bool prolly_branch_rename(ProllyRepo *repo, ProllyBranch *branch, const char *name,
			  const char *new_name, GError **error);
/* INVALID if git or the mount's layout refuses NAME. */
bool prolly_branch_check_name(const char *name, GError **error);

ProllyBranch *prolly_branch_ref(ProllyBranch *branch);
void prolly_branch_unref(ProllyBranch *branch);            /* NULL is allowed */
char *prolly_branch_dup_name(ProllyBranch *branch);        /* (transfer full) */
uint32_t prolly_branch_get_id(const ProllyBranch *branch); /* local, never reused, 1 and up */
void prolly_branch_get_head(ProllyBranch *branch, ProllyCommitId *out_head);
bool prolly_branch_is_deleted(ProllyBranch *branch);

/* ---- Observer ---------------------------------------------------------------------------- */

/* A key, or everything below a directory. */
typedef struct {
	const char *ns;
	const uint8_t *key;
	size_t key_len;
} ProllyPlace;

/*
 * Hears of changes when they are done and before the function that made them returns. Not called for
 * what is done with handles made with NOTIFY false, but for what git did and they find: then
 * MAY_WAIT is false, as who uses them answers the kernel. Called from any thread.
 */
typedef struct {
	/* Keys of BRANCH changed (value, kind, existence). PLACES NULL: too many to name (or a
	 * namespace came or went). */
	void (*changed)(void *data, ProllyBranch *branch, const ProllyPlace *places, size_t n,
			bool may_wait);
	/* The set of branches changed: made, deleted, renamed. */
	void (*branches_changed)(void *data, bool may_wait);
	/* Somebody is about to change something (prolly_repo_begin_change), whatever handle he has, or
	 * has ended. */
	void (*changing)(void *data, bool has_ended);
} ProllyObserver;

/* One observer at most; NULL removes it. OBSERVER must outlive it. */
void prolly_repo_set_observer(ProllyRepo *repo, const ProllyObserver *observer, void *data);
/* Brackets what changes branches or keys on behalf of a command, for an observer that has to do
 * something before it. No lock of a branch or of the repository's may be held. Any thread. */
void prolly_repo_begin_change(ProllyRepo *repo);
void prolly_repo_end_change(ProllyRepo *repo);

#define PROLLY_OBSERVER_PLACES_MAX 64

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyRepo, prolly_repo_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyBranch, prolly_branch_unref)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllySpec, prolly_spec_clear)
