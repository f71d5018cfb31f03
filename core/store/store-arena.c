/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: memory for the nodes of one store, each with its bytes and room for its view in one
 * block.
 *
 *	block:  ProllyNode | room for a view | the node's bytes
 *
 * Memory comes in regions of 2 MiB (store-regions.c), as pages of that size where they are to be had
 * (but the first, so that a small store stays small). A tree is read in random order all over its
 * memory, where small pages miss the translation cache at every step, and written to fresh memory,
 * where each small page is a fault. Of a million entries (nanoseconds of the processor, in a virtual
 * machine; "malloc": node, bytes and view each by itself, small pages):
 *
 *	                           get   absent   scan   load, an entry   update of one
 *	malloc                     916      757     28              172          22,100
 *	this, of small pages       592      512     10              170          21,000
 *	this, of large ones        487      421      9              108          16,300
 *
 * Small pages are asked for some at a time: an update of one takes 16.1 us so, and 17.5 with a fault
 * for each page.
 *
 * Rejected: nodes with children in regions of their own, so that the translations of the few that
 * every look-up needs stay cached: nothing to be seen, of a million entries or of ten.
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
 *      is free. What no block was made of contains anything, and nothing leads there.
 *  A2  The arena lives as long as its store or any of its nodes: `users`.
 *
 * Locks: one mutex for the free lists, innermost but for that of the regions.
 */
#include "store/store-private.h"

#define GRAIN  64
#define N_BINS (PROLLY_ARENA_BLOCK_MAX / GRAIN + 1)
/* Small pages are asked for so many bytes at a time. */
#define STEP ((size_t)256 << 10)
/* A free block serves what is smaller by an eighth at most. */
#define SLACK_SHIFT 3

typedef struct Region Region;

/* How a region begins. */
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
	uint8_t *fresh; /* not yet used, to the end of the newest region */
	size_t n_fresh;
	size_t n_absent;          /* of them the last, without pages as yet */
	ProllyNode *bins[N_BINS]; /* free blocks by size, chained */
};

G_STATIC_ASSERT(sizeof(Region) <= GRAIN);
G_STATIC_ASSERT(sizeof(ProllyNode) % GRAIN == 0);

ProllyArena *prolly_arena_new(void)
{
	ProllyArena *self = g_new0(ProllyArena, 1);

	self->users = 1;
	g_mutex_init(&self->lock);
	return self;
}

static void free_regions(ProllyArena *self)
{
	while (self->regions) {
		Region *next = self->regions->next;

		prolly_region_give((uint8_t *)self->regions);
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

static Region *get_region(const ProllyNode *node)
{
	return (Region *)(void *)((uintptr_t)node & ~(uintptr_t)(PROLLY_REGION_SIZE - 1));
}

/* The first is of small pages, so that a small store stays small. False: there is no memory. */
static bool add_region(ProllyArena *self)
{
	size_t absent;
	uint8_t *memory = prolly_region_take(self->regions != NULL, &absent);
	Region *region = (Region *)(void *)memory;

	if (!memory)
		return false;
	*region = (Region){self, self->regions};
	self->regions = region;
	self->fresh = memory + GRAIN;
	self->n_fresh = PROLLY_REGION_SIZE - GRAIN;
	self->n_absent = absent;
	return true;
}

/* The next step of the newest region is to have small pages. */
static Claim claim_step(ProllyArena *self)
{
	Claim claim = {self->fresh + self->n_fresh - self->n_absent, MIN(STEP, self->n_absent)};

	self->n_absent -= claim.len;
	return claim;
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

/* (nullable) *OUT_CLAIM: what is to be populated when the lock is released. */
static ProllyNode *take_fresh(ProllyArena *self, size_t size, Claim *out_claim)
{
	ProllyNode *node;

	if (size > self->n_fresh && !add_region(self))
		return NULL;
	/* A step starts at a page; so what is in front of it in the region's first is no matter. */
	if (self->n_fresh < size + self->n_absent)
		*out_claim = claim_step(self);
	node = (ProllyNode *)(void *)self->fresh;
	node->ref_count = 0;
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
	if (!node)
		return NULL;
	g_atomic_int_inc(&self->users);
	/* Without the lock: others may use what was claimed meanwhile, and get its pages one by one, as
	 * all do from a kernel that does not know the request. */
	if (claim.len > 0)
		prolly_region_populate(claim.start, claim.len);
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
