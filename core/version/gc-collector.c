/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector: a thread that collects when that is worth it (gc-account.c), for who has a store
 * open for long.
 *
 * It sleeps until the account is touched: when as much was written as may decide it, when the git
 * directory was synced after publications (journal.c), and once at its start. When a collection is
 * due it waits for a pause, in which nothing is touched for QUIET, but not for longer than PATIENCE.
 *
 * It has less of the processor and of the disk than others, but not next to nothing: now and then
 * it holds a lock that they wait for, and there is no way back to a higher priority.
 *
 * One that was asked for with `gc` need not wait for it: an automatic one ends then (guard.c).
 */
#include "version/gc-private.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define QUIET    (2 * G_USEC_PER_SEC)
#define PATIENCE (30 * G_USEC_PER_SEC)
#define NICE     10

/* linux/ioprio.h, which older kernels' headers do not have. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_LOWEST      (2 << 13 | 7) /* best effort, the last of it */

struct ProllyGcCollector {
	ProllyRepo *repo; /* its own handle */
	ProllyGcReportFunc report;
	void *data;
	GThread *thread;
	gint stop; /* atomic */
};

static bool is_stopping(ProllyGcCollector *self)
{
	return g_atomic_int_get(&self->stop) != 0;
}

/* ---- Collecting -------------------------------------------------------------------------- */

static bool go_on(ProllyGcPhase phase, uint64_t done, uint64_t total, void *data, GError **error)
{
	return !is_stopping(data) || prolly_throw(error, PROLLY_ERROR_CANCELLED, "cancelled");
}

static void collect(ProllyGcCollector *self)
{
	ProllyGcOptions options = {
		.prune_before = PROLLY_GC_DEFAULT,
		.is_automatic = true,
		.progress = go_on,
		.data = self,
	};
	g_autoptr(GError) failure = NULL;
	ProllyGcFigures figures;

	if (prolly_gc_run(self->repo, &options, &figures, &failure))
		self->report(&figures, NULL, self->data);
	/* Whoever has interrupted it collects himself, or ends. */
	else if (!prolly_error_is(failure, PROLLY_ERROR_CANCELLED) &&
		 !prolly_error_is(failure, PROLLY_ERROR_BUSY))
		self->report(NULL, failure, self->data);
}

/* ---- Waiting ----------------------------------------------------------------------------- */

static void wait_for_pause(ProllyGcCollector *self)
{
	int64_t end = g_get_monotonic_time() + PATIENCE;
	int64_t now = g_get_monotonic_time();
	uint64_t written;

	do {
		written = prolly_store_get_written(self->repo->body->store);
		while (!is_stopping(self) &&
		       prolly_gc_account_wait(self->repo->body, MIN(now + QUIET, end)))
			;
		now = g_get_monotonic_time();
	} while (!is_stopping(self) && now < end &&
		 prolly_store_get_written(self->repo->body->store) != written);
}

/* False: it cannot be told, which is reported once. */
static bool look(ProllyGcCollector *self, bool *is_told, ProllyGcBalance *out_balance)
{
	g_autoptr(GError) failure = NULL;

	if (prolly_gc_get_balance(self->repo, 1, out_balance, &failure)) {
		*is_told = false;
		return true;
	}
	if (!*is_told)
		self->report(NULL, failure, self->data);
	*is_told = true;
	return false;
}

static gpointer run(gpointer data)
{
	ProllyGcCollector *self = data;
	ProllyRepoBody *body = self->repo->body;
	ProllyGcBalance balance;
	bool is_told = false;

	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_LOWEST);
	while (!is_stopping(self)) {
		bool is_known = look(self, &is_told, &balance);

		if (is_known && balance.is_due) {
			wait_for_pause(self);
			if (look(self, &is_told, &balance) && balance.is_due && !is_stopping(self))
				collect(self);
			is_known = look(self, &is_told, &balance);
		}
		(void)prolly_gc_account_save(body, NULL);
		if (is_known)
			prolly_gc_account_watch(body, &balance);
		if (!is_stopping(self))
			prolly_gc_account_wait(body, -1);
	}
	prolly_gc_account_unwatch(body);
	return NULL;
}

/* ---- Lifecycle --------------------------------------------------------------------------- */

ProllyGcCollector *prolly_gc_collector_start(ProllyRepo *repo, ProllyGcReportFunc report,
					     void *data)
{
	ProllyGcCollector *self = g_new0(ProllyGcCollector, 1);

	self->repo = prolly_repo_new_handle(repo, NULL, false);
	self->report = report;
	self->data = data;
	self->thread = g_thread_new("prolly-gc", run, self);
	return self;
}

void prolly_gc_collector_stop(ProllyGcCollector *self)
{
	if (!self)
		return;
	g_atomic_int_set(&self->stop, 1);
	prolly_gc_account_touch(self->repo->body);
	g_thread_join(self->thread);
	prolly_repo_free(self->repo);
	g_free(self);
}
