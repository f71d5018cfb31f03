/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock-order: which locks there are, in what order they are taken, and who holds which now.
 *
 * Two threads that take two locks in different orders may wait for each other for ever, once in a
 * million times. The checks make it every time: they are made before a thread waits, so that what may
 * become a deadlock is a message. A thread's locks are a few, so they are an array of its own, and may
 * be given back in any order. To wait for a condition gives its lock up and takes it again; the thread
 * takes nothing meanwhile, so it counts as held.
 *
 * Ranks belong to mutexes by their addresses, so that a GMutex is no larger than in other builds. A
 * lock that has none (GLib's own, a test's) is not looked at.
 */
#include "base/lock-order.h"

#include <pthread.h>
#include <string.h>

#undef g_mutex_init
#undef g_mutex_clear
#undef g_mutex_lock
#undef g_mutex_trylock
#undef g_mutex_unlock

#define HELD_MAX  32
#define OUTERMOST 1 /* rank of what may be held while the kernel is waited for */

typedef struct {
	unsigned rank; /* a thread takes what ranks above all it holds */
	const char *file;
	const char *member;
} Place;

/* Outermost first. */
static const Place places[] = {
	/* Held while requests and whole commands run. */
	{1, "command/session.c", "plain_lock"}, /* a write to a control file */
	{2, "fs/mount.c", "lock"},              /* an answer that others may not see half done */
	{3, "version/branch.c", "commit_lock"}, /* one commit, merge, reset of a branch at a time */

	/* What the kernel is told. */
	{4, "fs/mount.c", "reply_lock"},   /* the answer to a readdirplus */
	{5, "fs/mount.c", "handles_lock"}, /* which files and directories are open */
	{6, "fs/inode.c", "lock"},         /* the nodes that the kernel knows of; not over a read */

	/* Branches, and what is published. */
	{7, "version/repo.c", "set_lock"},       /* the set of branches, while one comes or goes */
	{8, "version/branch.c", "write_lock"},   /* one staged change of a branch at a time */
	{9, "version/repo.c", "branches_lock"},  /* the table of branches that somebody holds */
	{9, "version/file.c", "lock"},           /* an open file's bytes in memory */
	{10, "version/journal.c", "trimming"},   /* one trim of the journal at a time */
	{11, "version/repo.c", "publish_lock"},  /* one publication, from its lock to its move */
	{12, "version/repo.c", "git_lock"},      /* libgit2's repository, and git's references */
	{13, "version/branch.c", "state_lock"},  /* the pointer to a branch's present state */
	{14, "version/repo.c", "counters_lock"}, /* numbers to give out, and their record */

	/* Of one object each, over what the layers below do for it. */
	{15, "blob/blob-ahead.c", "lock"}, /* what a reader of a large value has at hand */
	{15, "version/extents.c", "lock"},
	{16, "store/store-rocksdb.c", "lock"}, /* a node store's writers */
	{16, "store/store-memory.c", "lock"},
	{16, "store/store-file.c", "lock"},
	{17, "store/db-open.c", "sync_lock"},     /* one sync of the database at a time */
	{18, "store/store-pending.c", "lock"},    /* nodes that were put and are not written yet */
	{19, "store/store-cache.c", "lock"},      /* a shard of the cache of nodes */
	{20, "store/store-arena.c", "lock"},      /* a cache's memory: free blocks */
	{21, "store/db-open.c", "adoption_lock"}, /* tables that a load made are taken in */

	/* Leaves: nothing is taken under these. */
	{99, "base/pool.c", "lock"},
	{99, "command/session.c", "lock"},
	{99, "fs/account.c", "lock"},
	{99, "fs/invalidate.c", "lock"},
	{99, "fs/serve.c", "lock"},
	{99, "store/db-mark.c", "lock"},
	{99, "store/db-open.c", "room_lock"},
	{99, "store/db-open.c", "seen_lock"},
	{99, "store/db-recent.c", "lock"},
	{99, "store/store-census.c", "lock"},
	{99, "store/store-regions.c", "lock"},
	{99, "store/store-tables.c", "lock"},
	{99, "store/work.c", "lock"},
	{99, "version/gc-account.c", "lock"},
	{99, "version/guard.c", "lock"},
	{99, "version/journal.c", "lock"},
	{99, "version/intake.c", "lock"},
	{99, "version/load.c", "lock"},
	{99, "version/moves.c", "lock"},
	{99, "version/repo.c", "observer_lock"},
	{99, "version/spares.c", "lock"},
};

typedef struct {
	const GMutex *mutex;
	const Place *place;
} Taken;

typedef struct {
	Taken locks[HELD_MAX];
	unsigned n;
} Held;

/* ---- Ranks ------------------------------------------------------------------------------- */

typedef struct {
	pthread_mutex_t lock;
	GHashTable *places; /* mutex -> Place */
} Registry;

/* The process's, like its mutexes. */
static Registry *get_registry(void)
{
	static gsize once = 0;

	if (g_once_init_enter(&once)) {
		Registry *self = g_new0(Registry, 1);

		pthread_mutex_init(&self->lock, NULL);
		self->places = g_hash_table_new(NULL, NULL);
		g_once_init_leave(&once, (gsize)self);
	}
	return (Registry *)once;
}

static void set_place(const GMutex *mutex, const Place *place)
{
	Registry *self = get_registry();

	pthread_mutex_lock(&self->lock);
	if (place)
		g_hash_table_insert(self->places, (gpointer)mutex, (gpointer)place);
	else
		g_hash_table_remove(self->places, mutex);
	pthread_mutex_unlock(&self->lock);
}

static const Place *get_place(const GMutex *mutex)
{
	Registry *self = get_registry();
	const Place *place;

	pthread_mutex_lock(&self->lock);
	place = g_hash_table_lookup(self->places, mutex);
	pthread_mutex_unlock(&self->lock);
	return place;
}

/* Of "&self->gate.lock" the last word. */
static const char *get_member(const char *name)
{
	const char *end = name + strlen(name);

	while (end > name && (g_ascii_isalnum(end[-1]) || end[-1] == '_'))
		end--;
	return end;
}

void prolly_order_init(GMutex *mutex, const char *name, const char *file)
{
	g_mutex_init(mutex);
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		if (g_str_has_suffix(file, places[i].file) &&
		    strcmp(get_member(name), places[i].member) == 0) {
			set_place(mutex, &places[i]);
			return;
		}
	}
	if (!strstr(file, "tests/"))
		g_error("lock order: %s in %s has no place in it (base/lock-order.c)", name, file);
}

void prolly_order_clear(GMutex *mutex)
{
	set_place(mutex, NULL);
	g_mutex_clear(mutex);
}

/* ---- What a thread holds ----------------------------------------------------------------- */

static Held *get_held(void)
{
	static GPrivate key = G_PRIVATE_INIT(g_free);
	Held *held = g_private_get(&key);

	if (!held) {
		held = g_new0(Held, 1);
		g_private_set(&key, held);
	}
	return held;
}

static void check(const Place *place)
{
	const Held *held = get_held();

	for (unsigned i = 0; i < held->n; i++) {
		const Place *other = held->locks[i].place;

		if (other->rank >= place->rank)
			g_error("lock order: %s of %s is taken by who holds %s of %s",
				place->member, place->file, other->member, other->file);
	}
}

void prolly_order_check_outermost(const char *what)
{
	const Held *held = get_held();

	for (unsigned i = 0; i < held->n; i++) {
		const Place *place = held->locks[i].place;

		if (place->rank > OUTERMOST)
			g_error("lock order: %s by who holds %s of %s", what, place->member,
				place->file);
	}
}

static void note(const GMutex *mutex, const Place *place)
{
	Held *held = get_held();

	if (held->n == HELD_MAX)
		g_error("lock order: %s of %s is one lock too many", place->member, place->file);
	held->locks[held->n++] = (Taken){mutex, place};
}

static void forget(const GMutex *mutex, const Place *place)
{
	Held *held = get_held();
	unsigned i = held->n;

	while (i > 0 && held->locks[i - 1].mutex != mutex)
		i--;
	if (!i)
		g_error("lock order: %s of %s is given back by who does not hold it", place->member,
			place->file);
	memmove(&held->locks[i - 1], &held->locks[i], (held->n - i) * sizeof(held->locks[0]));
	held->n--;
}

void prolly_order_lock(GMutex *mutex)
{
	const Place *place = get_place(mutex);

	if (place)
		check(place);
	g_mutex_lock(mutex);
	if (place)
		note(mutex, place);
}

gboolean prolly_order_trylock(GMutex *mutex)
{
	const Place *place = get_place(mutex);

	if (!g_mutex_trylock(mutex))
		return FALSE;
	if (place)
		note(mutex, place);
	return TRUE;
}

void prolly_order_unlock(GMutex *mutex)
{
	const Place *place = get_place(mutex);

	if (place)
		forget(mutex, place);
	g_mutex_unlock(mutex);
}
