/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: a queue of jobs, first come, first served, and threads that wait for it.
 *
 * A job is in the queue (WAITING), or taken out of it by a thread or by its owner (BEGUN), or DONE.
 * That the owner takes it back from the queue's midst is what GThreadPool has no way for; and that
 * pool's locks are inside a library, where the thread sanitizer does not see them.
 *
 * A thread is woken for each job, if one sleeps: some 5 us for who submits and 50 us until it runs,
 * on a virtual machine. So a job should be worth 50 us or more.
 *
 * Locks: one mutex, innermost; it is never held over a job.
 */
#include "base/pool.h"

#include <sched.h>

#define THREADS_MAX 4

enum {
	JOB_WAITING = 1,
	JOB_BEGUN,
	JOB_DONE,
};

struct ProllyPool {
	unsigned n_processors;

	GMutex lock; /* protects all below */
	GCond work;  /* there is a job, or the end has come */
	GCond done;  /* a job is */
	ProllyJob *first;
	ProllyJob **last; /* where the next one goes */
	GThread *threads[THREADS_MAX];
	unsigned n_threads;
	unsigned n_idle;
	bool ending;
};

/* A call for which nobody waits. */
typedef struct {
	ProllyJob job;
	void (*func)(void *data);
	void *data;
} Call;

static void run_call(ProllyJob *job)
{
	Call *call = (Call *)job;

	call->func(call->data);
}

/* Nobody else looks at a call's job, so it goes with who ran it. */
static bool free_if_call(ProllyJob *job)
{
	if (job->run != run_call)
		return false;
	g_free(job);
	return true;
}

static unsigned count_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return (unsigned)MAX(CPU_COUNT(&set), 1);
}

ProllyPool *prolly_pool_new(void)
{
	ProllyPool *self = g_new0(ProllyPool, 1);

	self->n_processors = count_processors();
	self->last = &self->first;
	g_mutex_init(&self->lock);
	g_cond_init(&self->work);
	g_cond_init(&self->done);
	return self;
}

bool prolly_pool_is_parallel(const ProllyPool *self)
{
	return self->n_processors > 1;
}

/* ---- Threads ----------------------------------------------------------------------------- */

/* The lock is held. */
static ProllyJob *take_first(ProllyPool *self)
{
	ProllyJob *job = self->first;

	self->first = job->next;
	if (!self->first)
		self->last = &self->first;
	job->state = JOB_BEGUN;
	return job;
}

/* JOB was taken. After this it may be gone. The lock is held, but not while the job runs. */
static void run_taken(ProllyPool *self, ProllyJob *job)
{
	g_mutex_unlock(&self->lock);
	job->run(job);
	g_mutex_lock(&self->lock);
	if (free_if_call(job))
		return;
	job->state = JOB_DONE;
	g_cond_broadcast(&self->done);
}

static gpointer run_thread(gpointer data)
{
	ProllyPool *self = data;

	g_mutex_lock(&self->lock);
	while (!self->ending) {
		if (self->first) {
			run_taken(self, take_first(self));
			continue;
		}
		self->n_idle++;
		g_cond_wait(&self->work, &self->lock);
		self->n_idle--;
	}
	g_mutex_unlock(&self->lock);
	return NULL;
}

void prolly_pool_free(ProllyPool *self)
{
	if (!self)
		return;
	g_mutex_lock(&self->lock);
	self->ending = true;
	g_cond_broadcast(&self->work);
	g_mutex_unlock(&self->lock);
	for (unsigned i = 0; i < self->n_threads; i++)
		g_thread_join(self->threads[i]);
	while (self->first)
		free_if_call(take_first(self));
	g_cond_clear(&self->done);
	g_cond_clear(&self->work);
	g_mutex_clear(&self->lock);
	g_free(self);
}

/* Without one what there is to do is done by the others, or by who asks for it. The lock is held. */
static void add_thread(ProllyPool *self)
{
	GThread *thread = g_thread_try_new("prolly-pool", run_thread, self, NULL);

	if (thread)
		self->threads[self->n_threads++] = thread;
}

/* ---- Jobs -------------------------------------------------------------------------------- */

void prolly_pool_submit(ProllyPool *self, ProllyJob *job)
{
	g_mutex_lock(&self->lock);
	job->state = JOB_WAITING;
	job->next = NULL;
	*self->last = job;
	self->last = &job->next;
	if (self->n_idle > 0)
		g_cond_signal(&self->work);
	else if (self->n_threads < MIN(self->n_processors, THREADS_MAX))
		add_thread(self);
	g_mutex_unlock(&self->lock);
}

bool prolly_pool_is_done(ProllyPool *self, const ProllyJob *job)
{
	bool done;

	g_mutex_lock(&self->lock);
	done = job->state == JOB_DONE;
	g_mutex_unlock(&self->lock);
	return done;
}

/* Takes JOB, which waits, out of the queue. The lock is held. */
static void take_back(ProllyPool *self, ProllyJob *job)
{
	ProllyJob **link = &self->first;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	if (!job->next)
		self->last = link;
	job->state = JOB_BEGUN;
}

void prolly_pool_finish(ProllyPool *self, ProllyJob *job)
{
	g_mutex_lock(&self->lock);
	if (job->state == JOB_WAITING) {
		take_back(self, job);
		run_taken(self, job);
	}
	while (job->state != JOB_DONE)
		g_cond_wait(&self->done, &self->lock);
	g_mutex_unlock(&self->lock);
}

void prolly_pool_call(ProllyPool *self, void (*func)(void *data), void *data)
{
	Call *call = g_new0(Call, 1);

	call->job.run = run_call;
	call->func = func;
	call->data = data;
	prolly_pool_submit(self, &call->job);
}
