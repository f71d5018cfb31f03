/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of nodes by hash, for one who holds them and has a lock: what is cached (store-cache.c),
 * what is pending (store-pending.c), and all that the back end in memory has (store-memory.c).
 *
 * Open addressing, at most half full: of a node the table has the address and, beside it, the first
 * eight bytes of its hash, which say where it belongs, and which of those on the way there is to be
 * looked at. Hashes are uniform, so nothing is mixed, and all but one in 2^64 of the nodes looked at
 * are the one that was wanted. A node that is not there costs one line of the table, 1.5 slots in the
 * mean; one that is, its own first line too.
 *
 * What is removed leaves no mark: those behind it that would not be found any more move up.
 *
 *  T1  From the slot that a node's hash says to the one where it is, none is empty.
 *  T2  At least half of the slots are empty; or, if there was no memory for more, one.
 */
#include "store/store-private.h"

#define SLOTS_INITIAL 64

static uint64_t get_tag(const ProllyHash *hash)
{
	return prolly_get_le64(hash->bytes);
}

static size_t get_next(const ProllyNodeTable *self, size_t i)
{
	return (i + 1) & (self->n_slots - 1);
}

/* The slot of HASH's node, or the empty one that it would get. There are slots. */
static size_t find_slot(const ProllyNodeTable *self, const ProllyHash *hash)
{
	uint64_t tag = get_tag(hash);
	size_t i = tag & (self->n_slots - 1);

	while (self->slots[i].node &&
	       (self->slots[i].tag != tag || !node_has_hash(self->slots[i].node, hash)))
		i = get_next(self, i);
	return i;
}

void prolly_node_table_clear(ProllyNodeTable *self)
{
	g_free(self->slots);
	*self = (ProllyNodeTable){0};
}

ProllyNode *prolly_node_table_find(const ProllyNodeTable *self, const ProllyHash *hash)
{
	return self->n > 0 ? self->slots[find_slot(self, hash)].node : NULL;
}

static void place(ProllyNodeTable *self, ProllyNodeSlot slot)
{
	size_t i = slot.tag & (self->n_slots - 1);

	while (self->slots[i].node)
		i = get_next(self, i);
	self->slots[i] = slot;
}

/* Without memory for that it goes on as it is while there is a slot that is free, and one that stays
 * so, where searches end. */
static void grow(ProllyNodeTable *self)
{
	ProllyNodeSlot *old = self->slots;
	size_t n_old = self->n_slots;

	size_t n_slots = n_old ? 2 * n_old : SLOTS_INITIAL;
	ProllyNodeSlot *slots = self->n + 2 <= n_old ? g_try_new0(ProllyNodeSlot, n_slots)
						     : g_new0(ProllyNodeSlot, n_slots);

	if (!slots)
		return;
	/* Others look at both without the lock (prefetch), but not at what is there. */
	__atomic_store_n(&self->slots, slots, __ATOMIC_RELAXED);
	__atomic_store_n(&self->n_slots, n_slots, __ATOMIC_RELAXED);
	for (size_t i = 0; i < n_old; i++) {
		if (old[i].node)
			place(self, old[i]);
	}
	g_free(old);
}

void prolly_node_table_add(ProllyNodeTable *self, ProllyNode *node)
{
	if (2 * (self->n + 1) > self->n_slots)
		grow(self);
	place(self, (ProllyNodeSlot){get_tag(&node->hash), node});
	self->n++;
}

/* Slot HOLE is empty now: who is behind it and belongs there or before it comes there (T1). */
static void close_hole(ProllyNodeTable *self, size_t hole)
{
	size_t mask = self->n_slots - 1;

	for (size_t i = get_next(self, hole); self->slots[i].node; i = get_next(self, i)) {
		size_t home = self->slots[i].tag & mask;

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		self->slots[hole] = self->slots[i];
		self->slots[i].node = NULL;
		hole = i;
	}
}

ProllyNode *prolly_node_table_remove(ProllyNodeTable *self, const ProllyHash *hash)
{
	ProllyNode *node;
	size_t i;

	if (self->n == 0)
		return NULL;
	i = find_slot(self, hash);
	node = self->slots[i].node;
	if (!node)
		return NULL;
	self->slots[i].node = NULL;
	self->n--;
	close_hole(self, i);
	return node;
}

void prolly_node_table_prefetch(const ProllyNodeTable *self, const ProllyHash *hash)
{
	const ProllyNodeSlot *slots = __atomic_load_n(&self->slots, __ATOMIC_RELAXED);
	size_t n_slots = __atomic_load_n(&self->n_slots, __ATOMIC_RELAXED);

	if (n_slots > 0)
		__builtin_prefetch(&slots[get_tag(hash) & (n_slots - 1)]);
}
