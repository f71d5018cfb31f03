/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: memory for the nodes of one store, each with its bytes and room for its view in one
 * block.
 *
 *	block:  ProllyNode | room for a view | the node's bytes
 *
 * Memory comes from the system in regions of 2 MiB, aligned to their size, as pages of that size
 * where the kernel gives them (but the first, so that a small store stays small). A tree is read in
 * random order all over its memory, where small pages miss the translation cache at every step, and
 * written to fresh memory, where each small page is a fault. Of a million entries (nanoseconds of the
 * processor, in a virtual machine; "malloc": node, bytes and view each by itself, small pages):
 *
 *	                           get   absent   scan   load, an entry   update of one
 *	malloc                     916      757     28              172          22,100
 *	this, of small pages       592      512     10              170          21,000
 *	this, of large ones        487      421      9              108          16,300
 *
 * A large page costs 0.1 ms; but one that the host of a virtual machine has to find first some 4 ms,
 * more than it saves, where 512 small ones that were used before cost 0.7. Nobody can tell them apart
 * but by the time it takes. So where a large one was dearer than small ones are, the next regions are
 * of small pages. These are asked for some at a time, just before they are used, since the kernel
 * does that in less time than it takes to come by for each: an update of one, with small pages, takes
 * 16.1 us, and with a fault for each page 17.5. (More at a time takes less, but what is cleared is to
 * be in the processor's cache when it is used.)
 *
 * A block keeps its size for ever: blocks are never split, joined or given back one by one, and a
 * freed one is used again for a node of its size or a little less. Nodes of one tree have much the
 * same sizes at all times, so that little is lost. What this buys is that the place of a node is
 * the place of a node for as long as the arena lives. So a reader may hold a pointer without a
 * reference (a ProllyNodeLink), and try: prolly_node_try_ref looks at a count that is there whatever
 * has become of the node, and who gets a reference by it compares the hash (store.c).
 *
 * Invariants:
 *  A1  The first words of a block are a ProllyNode's, whose ref_count is 0 exactly while the block
 *      is free; memory not yet used is zero.
 *  A2  The arena lives as long as its store or any of its nodes: `users`.
 *
 * Locks: one mutex for the free lists, innermost.
 */
#include "store/store-private.h"

#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, len)   ASAN_POISON_MEMORY_REGION(p, len)
#define UNPOISON(p, len) ASAN_UNPOISON_MEMORY_REGION(p, len)
#else
#define POISON(p, len)   ((void)(p))
#define UNPOISON(p, len) ((void)(p))
#endif

/* Linux 5.14 has it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define REGION_SIZE ((size_t)2 << 20)
#define GRAIN       64
#define N_BINS      (PROLLY_ARENA_BLOCK_MAX / GRAIN + 1)
/* Small pages are asked for so many bytes at a time. */
#define STEP ((size_t)256 << 10)
/* Microseconds for a region of them, where it cannot be seen. */
#define SMALL_COST 1000
/* How many regions go without a large page after one that was dear; four times as many the next time. */
#define SMALL_FIRST 256
#define SMALL_MOST  4096
/* A free block serves what is smaller by an eighth at most. */
#define SLACK_SHIFT 3

typedef struct Region Region;

struct Region {
	ProllyArena *arena;
	Region *next;
};

/* Memory that is to have pages before it is used. */
typedef struct {
	uint8_t *start;
	size_t len; /* 0: there is nothing to do */
} Claim;

struct ProllyArena {
	gint users; /* the store, and each node */

	GMutex lock; /* protects all below */
	Region *regions;
	size_t n_regions;
	uint8_t *fresh; /* not yet used, to the end of the newest region */
	size_t n_fresh;
	size_t n_absent;   /* of them the last, without pages as yet */
	gint64 small_cost; /* of a region, by the last one that was of small pages: microseconds */
	unsigned n_small;  /* so many regions are to be of small pages now */
	unsigned next_small;      /* and so many the next time that a large one is dear */
	ProllyNode *bins[N_BINS]; /* free blocks by size, chained */
};

G_STATIC_ASSERT(sizeof(Region) <= GRAIN);
G_STATIC_ASSERT(sizeof(ProllyNode) % GRAIN == 0);

ProllyArena *prolly_arena_new(void)
{
	ProllyArena *self = g_new0(ProllyArena, 1);

	self->users = 1;
	self->next_small = SMALL_FIRST;
	g_mutex_init(&self->lock);
	return self;
}

static void free_regions(ProllyArena *self)
{
	while (self->regions) {
		Region *next = self->regions->next;

		UNPOISON(self->regions, REGION_SIZE);
		munmap(self->regions, REGION_SIZE);
		self->regions = next;
	}
}

void prolly_arena_unref(ProllyArena *self)
{
	if (!g_atomic_int_dec_and_test(&self->users))
		return;
	free_regions(self);
	g_mutex_clear(&self->lock);
	g_free(self);
}

/* ---- Regions ----------------------------------------------------------------------------- */

/* Twice as much as needed is mapped, and what is not aligned given back. */
static uint8_t *map_region(void)
{
	uint8_t *map = mmap(NULL, 2 * REGION_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (map == MAP_FAILED)
		g_error("out of memory: no %zu bytes for nodes", 2 * REGION_SIZE);
	before = -(uintptr_t)map & (REGION_SIZE - 1);
	if (before > 0)
		munmap(map, before);
	munmap(map + before + REGION_SIZE, REGION_SIZE - before);
	return map + before;
}

static Region *get_region(const ProllyNode *node)
{
	return (Region *)(void *)((uintptr_t)node & ~(uintptr_t)(REGION_SIZE - 1));
}

/* Not where the last one cost more than small ones, until that is some regions ago. */
static bool wants_large(ProllyArena *self)
{
	if (self->n_regions == 0)
		return false;
	if (self->n_small == 0)
		return true;
	self->n_small--;
	return false;
}

static void populate_large(ProllyArena *self, uint8_t *region)
{
	gint64 start = g_get_monotonic_time();

	(void)madvise(region, REGION_SIZE, MADV_HUGEPAGE);
	(void)madvise(region, REGION_SIZE, MADV_POPULATE_WRITE);
	*(volatile uint8_t *)region = 0;
	if (g_get_monotonic_time() - start <= self->small_cost) {
		self->next_small = SMALL_FIRST;
	} else {
		self->n_small = self->next_small;
		self->next_small = MIN(4 * self->next_small, SMALL_MOST);
	}
}

static void add_region(ProllyArena *self)
{
	uint8_t *memory = map_region();
	Region *region = (Region *)(void *)memory;
	bool large = wants_large(self);

	if (large)
		populate_large(self, memory);
	else
		self->small_cost = G_MAXINT64;
	region->arena = self;
	region->next = self->regions;
	self->regions = region;
	self->n_regions++;
	self->fresh = memory + GRAIN;
	self->n_fresh = REGION_SIZE - GRAIN;
	self->n_absent = large ? 0 : REGION_SIZE;
}

/* The next step of the newest region is to have small pages. */
static Claim claim_step(ProllyArena *self)
{
	Claim claim = {self->fresh + self->n_fresh - self->n_absent, MIN(STEP, self->n_absent)};

	self->n_absent -= claim.len;
	return claim;
}

/* Without the lock: others may use what was claimed meanwhile, and get its pages one by one, as all do
 * from a kernel that does not know the request. */
static void populate(ProllyArena *self, const Claim *claim)
{
	gint64 start = g_get_monotonic_time(), cost = SMALL_COST;

	if (madvise(claim->start, claim->len, MADV_POPULATE_WRITE) == 0)
		cost = (g_get_monotonic_time() - start) * (gint64)(REGION_SIZE / claim->len);
	g_mutex_lock(&self->lock);
	/* The least, whatever else the processor did meanwhile. */
	self->small_cost = MIN(self->small_cost, cost);
	g_mutex_unlock(&self->lock);
}

/* ---- Blocks ------------------------------------------------------------------------------ */

/* A block that was used before, of SIZE or a little more. */
static ProllyNode *take_used(ProllyArena *self, size_t size)
{
	size_t first = size / GRAIN, last = MIN(first + (first >> SLACK_SHIFT), N_BINS - 1);

	for (size_t bin = first; bin <= last; bin++) {
		ProllyNode *node = self->bins[bin];

		if (!node)
			continue;
		UNPOISON(node, bin * GRAIN);
		self->bins[bin] = node->chain;
		return node;
	}
	return NULL;
}

/* *OUT_CLAIM: what is to be populated when the lock is released. */
static ProllyNode *take_fresh(ProllyArena *self, size_t size, Claim *out_claim)
{
	ProllyNode *node;

	if (size > self->n_fresh)
		add_region(self);
	/* A step starts at a page; so what is in front of it in the region's first is no matter. */
	if (self->n_fresh < size + self->n_absent)
		*out_claim = claim_step(self);
	node = (ProllyNode *)(void *)self->fresh;
	node->block_size = (uint32_t)size;
	self->fresh += size;
	self->n_fresh -= size;
	return node;
}

ProllyNode *prolly_arena_take(ProllyArena *self, size_t size)
{
	ProllyNode *node;
	Claim claim = {0};

	size = (size + GRAIN - 1) / GRAIN * GRAIN;
	g_assert(size <= PROLLY_ARENA_BLOCK_MAX);
	g_mutex_lock(&self->lock);
	node = take_used(self, size);
	if (!node)
		node = take_fresh(self, size, &claim);
	g_mutex_unlock(&self->lock);
	g_atomic_int_inc(&self->users);
	if (claim.len > 0)
		populate(self, &claim);
	return node;
}

void prolly_arena_give(ProllyNode *node)
{
	ProllyArena *self = get_region(node)->arena;
	size_t size = node->block_size;

	g_mutex_lock(&self->lock);
	node->chain = self->bins[size / GRAIN];
	self->bins[size / GRAIN] = node;
	/* All but the count, at which others may look. */
	POISON((uint8_t *)node + 8, size - 8);
	g_mutex_unlock(&self->lock);
	prolly_arena_unref(self);
}
