/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * lock-order: the order in which locks are taken, asserted.
 *
 * With -Dlock_checks=true this header comes before every file of the program (meson.build), and GLib's
 * mutexes go through it: each has a rank by where it is initialised (the table in lock-order.c,
 * which is the whole order), each thread knows what it holds, and a lock that does not rank above
 * all of that ends the program with the names of both. So wherever a test goes the order holds,
 * without the bad luck that a deadlock needs. `scripts/test --locks` runs the suite so. In other
 * builds none of this is there.
 *
 * What is no lock of ours may be waited for as well: the kernel, which has its own and waits for our
 * threads with them. Who waits so holds an outermost lock at most.
 *
 * Who only tries to take a lock does not wait, and may do so out of order; what he then holds counts.
 */

#if __has_include(<glib.h>) /* some tests' programs do without, and have none of these locks */

#include <glib.h>

/* NAME: the expression, FILE: where it is initialised. Aborts if the table has none such. */
void prolly_order_init(GMutex *mutex, const char *name, const char *file);
void prolly_order_clear(GMutex *mutex);
void prolly_order_lock(GMutex *mutex);
gboolean prolly_order_trylock(GMutex *mutex);
void prolly_order_unlock(GMutex *mutex);
/* Aborts if the thread holds a lock that is not outermost. WHAT: what it is about to do. */
void prolly_order_check_outermost(const char *what);

typedef GMutex ProllyOrderLocker;

static inline ProllyOrderLocker *prolly_order_locker_new(GMutex *mutex)
{
	prolly_order_lock(mutex);
	return mutex;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyOrderLocker, prolly_order_unlock)

#define PROLLY_LOCK_CHECKS /* for who asks only with them */

#define g_mutex_init(mutex)       prolly_order_init(mutex, #mutex, __FILE__)
#define g_mutex_clear(mutex)      prolly_order_clear(mutex)
#define g_mutex_lock(mutex)       prolly_order_lock(mutex)
#define g_mutex_trylock(mutex)    prolly_order_trylock(mutex)
#define g_mutex_unlock(mutex)     prolly_order_unlock(mutex)
#define g_mutex_locker_new(mutex) prolly_order_locker_new(mutex)
#define GMutexLocker              ProllyOrderLocker

#endif
