/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guards and holders: how a collection learns what is in use in memory.
 *
 * A guard is a change under way. What it has put or found may be referred to by nothing yet, so a
 * collection waits until every guard that was there when it began is gone (gc.c). Guards are counted
 * in two turns: a collection has new ones counted in the other turn, and waits for the old turn's to
 * come to nothing. New guards never wait.
 *
 * A holder is an object that keeps trees or values alive for as long as it lives: a published state,
 * an open file, a load, a snapshot. It is in a list of the store's and is asked what it holds, without
 * the list's lock, since it may have to take its own; one that goes while it is asked waits for that.
 * Those that come while the list is gone through are asked too: they come first, and the walk begins
 * anew until it finds none that was not asked.
 */
#include "version/gc-private.h"

#define WAIT_USEC (100 * 1000)

/* ---- Guards ------------------------------------------------------------------------------ */

ProllyGuard prolly_guard_enter(ProllyRepo *repo)
{
	ProllyUsage *usage = &repo->body->usage;
	ProllyGuard guard = {.repo = repo};

	g_mutex_lock(&usage->lock);
	guard.turn = usage->turn;
	usage->n_inside[guard.turn]++;
	g_mutex_unlock(&usage->lock);
	return guard;
}

void prolly_guard_leave(ProllyGuard *guard)
{
	ProllyUsage *usage;

	if (!guard->repo)
		return;
	usage = &guard->repo->body->usage;
	g_mutex_lock(&usage->lock);
	if (--usage->n_inside[guard->turn] == 0)
		g_cond_broadcast(&usage->changed);
	g_mutex_unlock(&usage->lock);
	guard->repo = NULL;
}

bool prolly_usage_wait(ProllyGc *gc, GError **error)
{
	ProllyUsage *usage = &gc->body->usage;
	bool ok = true;
	unsigned old;

	if (!prolly_gc_tell(gc, PROLLY_GC_WAITING, 0, 0, error))
		return false;
	g_mutex_lock(&usage->lock);
	old = usage->turn;
	usage->turn = !old;
	while (ok && usage->n_inside[old] > 0) {
		uint64_t n = usage->n_inside[old];

		g_cond_wait_until(&usage->changed, &usage->lock,
				  g_get_monotonic_time() + WAIT_USEC);
		g_mutex_unlock(&usage->lock);
		ok = prolly_gc_tell(gc, PROLLY_GC_WAITING, 0, n, error);
		g_mutex_lock(&usage->lock);
	}
	g_mutex_unlock(&usage->lock);
	return ok;
}

/* ---- Holders ----------------------------------------------------------------------------- */

void prolly_holder_add(ProllyRepoBody *body, ProllyHolder *holder, ProllyHolderFunc report)
{
	ProllyUsage *usage = &body->usage;

	g_mutex_lock(&usage->lock);
	holder->body = body;
	holder->report = report;
	holder->older = usage->newest;
	holder->newer = NULL;
	if (usage->newest)
		usage->newest->newer = holder;
	usage->newest = holder;
	g_mutex_unlock(&usage->lock);
}

void prolly_holder_remove(ProllyHolder *holder)
{
	ProllyUsage *usage;

	if (!holder->body)
		return;
	usage = &holder->body->usage;
	g_mutex_lock(&usage->lock);
	while (holder->is_asked)
		g_cond_wait(&usage->changed, &usage->lock);
	*(holder->newer ? &holder->newer->older : &usage->newest) = holder->older;
	if (holder->older)
		holder->older->newer = holder->newer;
	g_mutex_unlock(&usage->lock);
	holder->body = NULL;
}

/* One that was not asked in this round; the lock is held. */
static ProllyHolder *find_unasked(ProllyUsage *usage)
{
	for (ProllyHolder *holder = usage->newest; holder; holder = holder->older) {
		if (holder->round != usage->round)
			return holder;
	}
	return NULL;
}

bool prolly_usage_ask(ProllyGc *gc, GError **error)
{
	ProllyUsage *usage = &gc->body->usage;
	ProllyHolder *holder;
	bool ok = true;

	g_mutex_lock(&usage->lock);
	usage->round++;
	holder = find_unasked(usage);
	while (ok && holder) {
		holder->round = usage->round;
		holder->is_asked = true;
		g_mutex_unlock(&usage->lock);
		ok = holder->report(holder, gc, error);
		g_mutex_lock(&usage->lock);
		holder->is_asked = false;
		g_cond_broadcast(&usage->changed);
		/* The next one is most often beside it; others may have come in front. */
		holder = holder->older;
		if (!holder || holder->round == usage->round)
			holder = find_unasked(usage);
	}
	g_mutex_unlock(&usage->lock);
	return ok;
}

void prolly_usage_init(ProllyUsage *usage)
{
	g_mutex_init(&usage->lock);
	g_cond_init(&usage->changed);
	g_mutex_init(&usage->collecting);
}

void prolly_usage_clear(ProllyUsage *usage)
{
	/* What outlives the store (a state whose last reference comes late) leaves no list then. */
	for (ProllyHolder *holder = usage->newest; holder; holder = holder->older)
		holder->body = NULL;
	g_mutex_clear(&usage->lock);
	g_cond_clear(&usage->changed);
	g_mutex_clear(&usage->collecting);
}
