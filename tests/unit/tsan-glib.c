/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GLib's locks as pthread's, for builds with the thread sanitizer: it knows pthread's, while GLib's
 * are futexes inside a library that it has not compiled, so that everything they protect would look
 * like a race. Linked before GLib, these take the place of its own in the tested code.
 *
 * GMutex and GCond are a pointer each, zero at first: what it points to is made at the first use. A
 * GThreadPool's own locks are inside GLib too, so it is made anew of these.
 */
#include <glib.h>
#include <pthread.h>

static pthread_mutex_t *get_mutex(GMutex *mutex)
{
	gpointer *place = (gpointer *)mutex;
	pthread_mutex_t *found = g_atomic_pointer_get(place);

	if (!found) {
		pthread_mutex_t *made = g_new(pthread_mutex_t, 1);

		pthread_mutex_init(made, NULL);
		if (g_atomic_pointer_compare_and_exchange(place, NULL, made))
			return made;
		g_free(made);
		found = g_atomic_pointer_get(place);
	}
	return found;
}

static pthread_cond_t *get_cond(GCond *cond)
{
	gpointer *place = (gpointer *)cond;
	pthread_cond_t *found = g_atomic_pointer_get(place);

	if (!found) {
		pthread_cond_t *made = g_new(pthread_cond_t, 1);
		pthread_condattr_t attributes;

		/* g_cond_wait_until goes by it. */
		pthread_condattr_init(&attributes);
		pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
		pthread_cond_init(made, &attributes);
		pthread_condattr_destroy(&attributes);
		if (g_atomic_pointer_compare_and_exchange(place, NULL, made))
			return made;
		g_free(made);
		found = g_atomic_pointer_get(place);
	}
	return found;
}

void g_mutex_init(GMutex *mutex)
{
	*(gpointer *)mutex = NULL;
}

void g_mutex_clear(GMutex *mutex)
{
	g_free(*(gpointer *)mutex);
	*(gpointer *)mutex = NULL;
}

void g_mutex_lock(GMutex *mutex)
{
	pthread_mutex_lock(get_mutex(mutex));
}

void g_mutex_unlock(GMutex *mutex)
{
	pthread_mutex_unlock(get_mutex(mutex));
}

gboolean g_mutex_trylock(GMutex *mutex)
{
	return pthread_mutex_trylock(get_mutex(mutex)) == 0;
}

void g_cond_init(GCond *cond)
{
	*(gpointer *)cond = NULL;
}

void g_cond_clear(GCond *cond)
{
	g_free(*(gpointer *)cond);
	*(gpointer *)cond = NULL;
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
	pthread_cond_wait(get_cond(cond), get_mutex(mutex));
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
	struct timespec end = {
		.tv_sec = end_time / G_USEC_PER_SEC,
		.tv_nsec = end_time % G_USEC_PER_SEC * 1000,
	};

	return pthread_cond_timedwait(get_cond(cond), get_mutex(mutex), &end) == 0;
}

void g_cond_signal(GCond *cond)
{
	pthread_cond_signal(get_cond(cond));
}

void g_cond_broadcast(GCond *cond)
{
	pthread_cond_broadcast(get_cond(cond));
}

/* ---- Thread pools ------------------------------------------------------------------------ */

typedef struct {
	GThreadPool pool;
	GMutex lock; /* protects all below */
	GCond work;
	GQueue tasks;
	GPtrArray *threads;
	int max_threads;
	guint n_idle;
	gboolean ending;
} Pool;

static gpointer run_thread(gpointer data)
{
	Pool *self = data;

	g_mutex_lock(&self->lock);
	while (self->tasks.length > 0 || !self->ending) {
		gpointer task = g_queue_pop_head(&self->tasks);

		if (!task) {
			self->n_idle++;
			g_cond_wait(&self->work, &self->lock);
			self->n_idle--;
			continue;
		}
		g_mutex_unlock(&self->lock);
		self->pool.func(task, self->pool.user_data);
		g_mutex_lock(&self->lock);
	}
	g_mutex_unlock(&self->lock);
	return NULL;
}

GThreadPool *g_thread_pool_new(GFunc func, gpointer user_data, gint max_threads, gboolean exclusive,
			       GError **error)
{
	Pool *self = g_new0(Pool, 1);

	self->pool = (GThreadPool){func, user_data, exclusive};
	self->threads = g_ptr_array_new();
	self->max_threads = max_threads;
	return &self->pool;
}

gboolean g_thread_pool_push(GThreadPool *pool, gpointer task, GError **error)
{
	Pool *self = (Pool *)pool;

	g_mutex_lock(&self->lock);
	g_queue_push_tail(&self->tasks, task);
	if (self->n_idle >= self->tasks.length)
		g_cond_signal(&self->work);
	else if (self->max_threads < 0 || self->threads->len < (guint)self->max_threads)
		g_ptr_array_add(self->threads, g_thread_new("pool", run_thread, self));
	g_mutex_unlock(&self->lock);
	return TRUE;
}

void g_thread_pool_free(GThreadPool *pool, gboolean immediate, gboolean wait)
{
	Pool *self = (Pool *)pool;

	g_mutex_lock(&self->lock);
	if (immediate)
		g_queue_clear(&self->tasks);
	self->ending = TRUE;
	g_cond_broadcast(&self->work);
	g_mutex_unlock(&self->lock);
	for (guint i = 0; i < self->threads->len; i++)
		g_thread_join(self->threads->pdata[i]);
	g_ptr_array_unref(self->threads);
	g_mutex_clear(&self->lock);
	g_cond_clear(&self->work);
	g_free(self);
}
