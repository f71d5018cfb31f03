/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work: what operations cost in nodes, whatever a cache spared the disk.
 *
 * "Distinct" needs a memory of what was seen. Hashes are uniform, so their first eight bytes stand
 * for them in a set with open addressing: 16 bytes a node at the fullest, 6 MB for the 350,000
 * nodes of ten million entries. Two nodes of one command share those bytes once in 10^8 commands
 * of that size, and the figure is then one too small.
 */
#include "store/store-private.h"

#include <string.h>

typedef struct {
	uint64_t *slots; /* 0: free */
	size_t n_slots;  /* a power of two */
	size_t n;
} FingerprintSet;

struct ProllyWork {
	gint ref_count;
	GMutex lock; /* protects all below */
	ProllyWorkFigures figures;
	FingerprintSet read;
	FingerprintSet written;
};

static bool place_fingerprint(uint64_t *slots, size_t n_slots, uint64_t fingerprint)
{
	size_t i = fingerprint & (n_slots - 1);

	while (slots[i] != 0 && slots[i] != fingerprint)
		i = (i + 1) & (n_slots - 1);
	if (slots[i] == fingerprint)
		return false;
	slots[i] = fingerprint;
	return true;
}

/* Without memory for that it goes on as it is while there is a slot that is free, and one that stays
 * so, where searches end. */
static void grow_set(FingerprintSet *set)
{
	size_t n_slots = set->n_slots ? 2 * set->n_slots : 64;
	uint64_t *slots = set->n + 2 <= set->n_slots ? g_try_new0(uint64_t, n_slots)
						     : g_new0(uint64_t, n_slots);

	if (!slots)
		return;
	for (size_t i = 0; i < set->n_slots; i++) {
		if (set->slots[i])
			place_fingerprint(slots, n_slots, set->slots[i]);
	}
	g_free(set->slots);
	set->slots = slots;
	set->n_slots = n_slots;
}

/* True if HASH was not in the set. */
static bool add_to_set(FingerprintSet *set, const ProllyHash *hash)
{
	uint64_t fingerprint = prolly_get_le64(hash->bytes);

	if (2 * set->n >= set->n_slots)
		grow_set(set);
	if (!place_fingerprint(set->slots, set->n_slots, fingerprint ? fingerprint : 1))
		return false;
	set->n++;
	return true;
}

ProllyWork *prolly_work_new(void)
{
	ProllyWork *work = g_new0(ProllyWork, 1);

	work->ref_count = 1;
	g_mutex_init(&work->lock);
	return work;
}

ProllyWork *prolly_work_ref(ProllyWork *work)
{
	g_atomic_int_inc(&work->ref_count);
	return work;
}

void prolly_work_unref(ProllyWork *work)
{
	if (!work || !g_atomic_int_dec_and_test(&work->ref_count))
		return;
	g_mutex_clear(&work->lock);
	g_free(work->read.slots);
	g_free(work->written.slots);
	g_free(work);
}

void prolly_work_get_figures(ProllyWork *work, ProllyWorkFigures *out_figures)
{
	g_mutex_lock(&work->lock);
	*out_figures = work->figures;
	g_mutex_unlock(&work->lock);
}

void prolly_work_count_read(ProllyWork *work, const ProllyNode *node)
{
	g_mutex_lock(&work->lock);
	if (add_to_set(&work->read, &node->hash)) {
		work->figures.nodes_read++;
		work->figures.bytes_read += node->len;
	}
	g_mutex_unlock(&work->lock);
}

void prolly_work_count_put(ProllyWork *work, const ProllyNode *node)
{
	g_mutex_lock(&work->lock);
	work->figures.nodes_hashed++;
	if (add_to_set(&work->written, &node->hash)) {
		work->figures.nodes_written++;
		work->figures.bytes_written += node->len;
		if (node->node_class == PROLLY_NODE_CHUNK)
			work->figures.chunks_written++;
	}
	g_mutex_unlock(&work->lock);
}
