/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions: memory from the system for the arenas of all stores, 2 MiB at a time, aligned to that.
 *
 * What memory costs is its pages. Of 2 MiB, in microseconds of the kernel's time, in a virtual machine
 * whose host takes back what lies idle:
 *
 *	512 small pages		600 to 750
 *	one large page		90; if the host has to find it first, 4,500
 *	a region that was kept	100 to 180, small pages; 10, a large one
 *
 * So a million entries, in some 72 regions, cost 45 ns each of small pages, of 90 to 96 for the whole
 * load; on what another store left the load takes 60 to 64 (bulk-array.c).
 *
 * Kept regions. When a store closes, its regions are kept for the next one of the process, up to
 * KEPT_MAX: what malloc does for all other memory. The kernel may take their pages where there is need
 * (MADV_FREE), and only then gives others, which are zero, when they are used again. So nothing is
 * known of what a region contains, and a list of kept ones cannot be threaded through them.
 *
 * Large pages. Trees are read in random order all over their memory, where small pages miss the
 * translation cache at every step (store-arena.c has figures). But nobody can tell a large page that
 * is cheap from one that is dear but by the time it takes. So where one was dearer than small ones
 * are, the next regions are of small pages. These are asked for some at a time, just before they are
 * used, since the kernel does that in less time than it takes to come by for each. (More at a time
 * takes less, but what is cleared is to be in the processor's cache when it is used.)
 *
 * Rejected: to give all memory back (a process that opens one store after the other pays each time);
 * memory of a file in memory (memfd): 1.6 times as dear, however it is asked for; to keep regions
 * without telling the kernel: some 8 ns an entry less by these figures, and memory lost to others.
 *
 *  G1  The pages of what is kept are nobody's: nothing in them is read, and the sanitizer says so.
 *
 * Locks: one mutex, innermost.
 */
#include "store/store-private.h"

#include <sys/mman.h>

/* Linux 5.14 has it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define SIZE PROLLY_REGION_SIZE
/* 256 MiB. */
#define KEPT_MAX 128
/* Microseconds for a region of small pages, where it cannot be seen. */
#define SMALL_COST 1000
/* How many regions go without a large page after one that was dear; four times as many the next
 * time. */
#define SMALL_FIRST 256
#define SMALL_MOST  4096

typedef struct {
	GMutex lock; /* protects all below */
	uint8_t *kept[KEPT_MAX];
	unsigned n_kept;
	gint64 small_cost; /* of a region, by the last one that was of small pages: microseconds */
	unsigned n_small;  /* so many regions are to be of small pages now */
	unsigned next_small; /* and so many the next time that a large one is dear */
} Regions;

/* The process's, like the memory that they are of. */
static Regions *get_regions(void)
{
	static gsize once = 0;

	if (g_once_init_enter(&once)) {
		Regions *self = g_new0(Regions, 1);

		g_mutex_init(&self->lock);
		self->small_cost = SMALL_COST;
		self->next_small = SMALL_FIRST;
		g_once_init_leave(&once, (gsize)self);
	}
	return (Regions *)once;
}

/* (nullable) Twice as much as needed is mapped, and what is not aligned given back. */
static uint8_t *map_region(void)
{
	uint8_t *map =
		mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (map == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)map & (SIZE - 1);
	if (before > 0)
		munmap(map, before);
	munmap(map + before + SIZE, SIZE - before);
	return map + before;
}

static uint8_t *take_kept(Regions *self)
{
	uint8_t *region = NULL;

	g_mutex_lock(&self->lock);
	if (self->n_kept > 0)
		region = self->kept[--self->n_kept];
	g_mutex_unlock(&self->lock);
	return region;
}

/* Not where the last one cost more than small ones, until that is some regions ago. */
static bool wants_large(Regions *self, bool may_be_large)
{
	bool wants;

	g_mutex_lock(&self->lock);
	wants = may_be_large && self->n_small == 0;
	if (may_be_large && !wants)
		self->n_small--;
	if (!wants)
		self->small_cost = G_MAXINT64;
	g_mutex_unlock(&self->lock);
	return wants;
}

static void populate_large(Regions *self, uint8_t *region)
{
	gint64 cost = g_get_monotonic_time();

	(void)madvise(region, SIZE, MADV_HUGEPAGE);
	(void)madvise(region, SIZE, MADV_POPULATE_WRITE);
	*(volatile uint8_t *)region = 0;
	cost = g_get_monotonic_time() - cost;

	g_mutex_lock(&self->lock);
	if (cost <= self->small_cost) {
		self->next_small = SMALL_FIRST;
	} else {
		self->n_small = self->next_small;
		self->next_small = MIN(4 * self->next_small, SMALL_MOST);
	}
	g_mutex_unlock(&self->lock);
}

uint8_t *prolly_region_take(bool may_be_large, size_t *out_absent)
{
	Regions *self = get_regions();
	uint8_t *region = take_kept(self);

	*out_absent = 0;
	if (region) {
		UNPOISON(region, SIZE);
		return region;
	}
	region = map_region();
	if (!region)
		return NULL;
	if (wants_large(self, may_be_large))
		populate_large(self, region);
	else
		*out_absent = SIZE;
	return region;
}

void prolly_region_populate(uint8_t *start, size_t len)
{
	Regions *self = get_regions();
	gint64 begin = g_get_monotonic_time(), cost = SMALL_COST;

	if (madvise(start, len, MADV_POPULATE_WRITE) == 0)
		cost = (g_get_monotonic_time() - begin) * (gint64)(SIZE / len);
	g_mutex_lock(&self->lock);
	/* The least, whatever else the processor did meanwhile. */
	self->small_cost = MIN(self->small_cost, cost);
	g_mutex_unlock(&self->lock);
}

void prolly_region_give(uint8_t *region)
{
	Regions *self = get_regions();
	bool kept;

	(void)madvise(region, SIZE, MADV_FREE);
	POISON(region, SIZE);
	g_mutex_lock(&self->lock);
	kept = self->n_kept < KEPT_MAX;
	if (kept)
		self->kept[self->n_kept++] = region;
	g_mutex_unlock(&self->lock);
	if (kept)
		return;
	UNPOISON(region, SIZE);
	munmap(region, SIZE);
}
