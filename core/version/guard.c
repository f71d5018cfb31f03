/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guards and holders: how a collection learns what is in use in memory.
 *
 * A guard is a change under way. What it has put or found may be referred to by nothing yet, so a
 * collection waits until every guard that was there when it began is gone (gc.c). Guards are counted
 * in two turns: a collection has new ones counted in the other turn, and waits for the old turn's to
 * come to nothing. New guards never wait. The other turn has none by then, unless a collection was
 * ended while it waited; they are waited for before.
 *
 * A holder is an object that keeps trees or values alive for as long as it lives: a published state,
 * an open file, a load, a snapshot. It is in a list of the store's and is asked what it holds, without
 * the list's lock, since it may have to take its own; one that goes while it is asked waits for that.
 * Those that come while the list is gone through are asked too: they come first, and the walk begins
 * anew until it finds none that was not asked.
 *
 * One collection, or backup, runs at a time. An automatic collection is in nobody's way, nor is the
 * packing of loose objects (git-pack.c), which counts as one.
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
	/* A broadcast is a system call even if nobody listens. */
	if (--usage->n_inside[guard->turn] == 0 && usage->n_waiting)
		g_cond_broadcast(&usage->changed);
	g_mutex_unlock(&usage->lock);
	guard->repo = NULL;
}

/* Waits a little, or until something changed. The lock is held. */
static void wait_a_little(ProllyUsage *usage)
{
	usage->n_waiting++;
	g_cond_wait_until(&usage->changed, &usage->lock, g_get_monotonic_time() + WAIT_USEC);
	usage->n_waiting--;
}

/* Until the guards of TURN have come to nothing. The lock is held, but while the caller is told. */
static bool wait_for_turn(ProllyGc *gc, unsigned turn, GError **error)
{
	ProllyUsage *usage = &gc->body->usage;
	bool ok = true;

	while (ok && usage->n_inside[turn] > 0) {
		uint64_t n = usage->n_inside[turn];

		wait_a_little(usage);
		g_mutex_unlock(&usage->lock);
		ok = prolly_gc_tell(gc, PROLLY_GC_WAITING, 0, n, error);
		g_mutex_lock(&usage->lock);
	}
	return ok;
}

bool prolly_usage_wait(ProllyGc *gc, GError **error)
{
	ProllyUsage *usage = &gc->body->usage;
	unsigned old;
	bool ok;

	if (!prolly_gc_tell(gc, PROLLY_GC_WAITING, 0, 0, error))
		return false;
	g_mutex_lock(&usage->lock);
	old = usage->turn;
	/* One that ended while it waited has left the turn with guards in it that are older. */
	ok = wait_for_turn(gc, !old, error);
	if (ok) {
		usage->turn = !old;
		ok = wait_for_turn(gc, old, error);
	}
	g_mutex_unlock(&usage->lock);
	return ok;
}

/* ---- One collection at a time ------------------------------------------------------------ */

/* While another runs. An automatic one ends for one that was asked for, and packing for any. */
static bool wait_for_other(ProllyUsage *usage, const ProllyGcOptions *options, GError **error)
{
	bool ok;

	if (!usage->is_packing && (options->is_automatic || !usage->is_automatic))
		return prolly_throw(error, PROLLY_ERROR_BUSY,
				    "a collection or a backup is running already");
	g_atomic_int_set(&usage->is_unwanted, 1);
	wait_a_little(usage);
	g_mutex_unlock(&usage->lock);
	ok = prolly_gc_options_tell(options, PROLLY_GC_WAITING, 0, 1, error);
	g_mutex_lock(&usage->lock);
	return ok;
}

bool prolly_usage_begin(ProllyUsage *usage, const ProllyGcOptions *options, GError **error)
{
	bool ok = true;

	g_mutex_lock(&usage->lock);
	while (ok && usage->is_collecting)
		ok = wait_for_other(usage, options, error);
	if (ok) {
		usage->is_collecting = true;
		usage->is_automatic = options->is_automatic;
		g_atomic_int_set(&usage->is_unwanted, 0);
	}
	g_mutex_unlock(&usage->lock);
	return ok;
}

bool prolly_usage_begin_packing(ProllyUsage *usage)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&usage->lock);

	if (usage->is_collecting)
		return false;
	usage->is_collecting = true;
	usage->is_automatic = true;
	usage->is_packing = true;
	g_atomic_int_set(&usage->is_unwanted, 0);
	return true;
}

void prolly_usage_end(ProllyUsage *usage)
{
	g_mutex_lock(&usage->lock);
	usage->is_collecting = false;
	usage->is_packing = false;
	g_cond_broadcast(&usage->changed);
	g_mutex_unlock(&usage->lock);
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
}

void prolly_usage_clear(ProllyUsage *usage)
{
	/* What outlives the store (a state whose last reference comes late) leaves no list then. */
	for (ProllyHolder *holder = usage->newest; holder; holder = holder->older)
		holder->body = NULL;
	g_mutex_clear(&usage->lock);
	g_cond_clear(&usage->changed);
}
