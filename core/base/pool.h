/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pool: a few threads for work that someone else may do as well.
 *
 * A *job* is given to the pool and asked back later. Whoever asks does it himself if no thread has
 * begun it: so nobody waits for work that nobody does, a pool without a free thread costs little, and
 * jobs may give jobs.
 *
 * Threads are made when there is work for them, and end with the pool. Any thread may use a pool.
 */

#include "base/base.h"

typedef struct ProllyPool ProllyPool;
typedef struct ProllyJob ProllyJob;

typedef void (*ProllyJobFunc)(ProllyJob *job);

/* Lies in what the job is about, at its start. Only `run` is its owner's to set. */
struct ProllyJob {
	ProllyJobFunc run;
	/* The pool's, protected by its lock. */
	ProllyJob *next;
	int state;
};

/* (transfer full) With a thread for each processor that this process may use, at most four. */
ProllyPool *prolly_pool_new(void);
/* Waits for what was begun and drops what was not. NULL is allowed. */
void prolly_pool_free(ProllyPool *pool);

/* Is there more than one processor? Else work is only moved about. */
bool prolly_pool_is_parallel(const ProllyPool *pool);

/* JOB, which was never submitted or is finished, will be run: by a thread, or by who finishes it. */
void prolly_pool_submit(ProllyPool *pool, ProllyJob *job);
/* Has a thread run JOB, which was submitted? */
bool prolly_pool_is_done(ProllyPool *pool, const ProllyJob *job);
/* Returns when JOB, which was submitted, was run. */
void prolly_pool_finish(ProllyPool *pool, ProllyJob *job);

/* Has a thread call FUNC once, for which nobody waits. */
void prolly_pool_call(ProllyPool *pool, void (*func)(void *data), void *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyPool, prolly_pool_free)
