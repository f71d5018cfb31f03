/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GLib's locks as pthread's, for builds with the thread sanitizer: it knows pthread's, while GLib's
 * are futexes inside a library that it has not compiled, so that everything they protect would look
 * like a race. Linked before GLib, these take the place of its own in the tested code.
 *
 * GMutex and GCond are a pointer each, zero at first: what it points to is made at the first use.
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

		pthread_cond_init(made, NULL);
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

void g_cond_signal(GCond *cond)
{
	pthread_cond_signal(get_cond(cond));
}

void g_cond_broadcast(GCond *cond)
{
	pthread_cond_broadcast(get_cond(cond));
}
