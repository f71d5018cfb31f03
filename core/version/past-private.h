/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * past-private: commits that wait to be looked at, the newest first. Logs, key logs and blame go
 * different ways through the history with it.
 */

#include "version/past.h"

typedef struct {
	ProllyRepo *repo;
	GTree *waiting; /* newest first; of equal dates the one that came first */
	uint64_t n_pushed;
} ProllyWalk;

void prolly_walk_init(ProllyWalk *walk, ProllyRepo *repo);
void prolly_walk_clear(ProllyWalk *walk);
/* A commit that is pushed twice comes twice. */
bool prolly_walk_push(ProllyWalk *walk, const ProllyCommitId *id, GError **error);
/* (transfer full) NULL: none waits. */
ProllyCommit *prolly_walk_pop(ProllyWalk *walk);

/* ---- key-log.c ---------------------------------------------------------------------------- */

/* A commit that a key log came through. */
typedef struct {
	ProllyCommitId id;
	bool changed;    /* the key */
	GArray *parents; /* of ProllyCommitId: all, or of one that did not the one it is as */
} ProllyKeyVisit;

/* (transfer full) All of them, in the order in which they came; of ProllyKeyVisit, with its clear
 * function set. */
bool prolly_key_log_visit_all(ProllyKeyLog *log, GArray **out_visits, GError **error);

/* For tables whose keys are ProllyCommitId. */
unsigned prolly_commit_id_hash(const void *id);
int prolly_commit_id_equal_keys(const void *a, const void *b);
