/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The ways to hash, for hash.c, which chooses, and for tests, which compare them: hash.c's own through
 * OpenSSL; hash-lanes.c's where the processor has SHA instructions; and hash-wide.c's, for many
 * messages, where it has vectors of 512 bits.
 */

#include "base/hash-chain.h"

#include <string.h>

/* prolly_hash_compute through OpenSSL: the reference, and what there is without SHA instructions.
 */
void prolly_hash_compute_plainly(const void *data, size_t len, ProllyHash *out_hash);

void prolly_hash_compute_chain_plainly(const ProllyHashLink *links, size_t n,
				       ProllyHash *out_hashes);

/* ---- What is left of a message, in blocks ------------------------------------------------ */

#define HASH_BLOCK 64
#define HASH_WORDS 8

extern const uint32_t prolly_hash_initial_state[HASH_WORDS];
extern const uint32_t prolly_hash_round_constants[64];

/* The blocks that lie whole in the message, and a tail of one or two, with the rest of it, the
 * padding and the length. */
typedef struct {
	const uint8_t *next; /* block */
	size_t n;            /* blocks from there on in one piece */
	uint8_t tail[2 * HASH_BLOCK];
	size_t n_tail; /* of its blocks not begun */
} HashFeed;

/* The first N blocks of a message. */
static inline void hash_feed_open(HashFeed *self, const uint8_t *data, size_t n)
{
	self->next = data;
	self->n = n;
	self->n_tail = 0;
}

/* Of the message that was opened, all that is not done. */
static inline void hash_feed_complete(HashFeed *self, const uint8_t *data, size_t len)
{
	size_t left = len % HASH_BLOCK;

	self->n = (size_t)(data + len - left - self->next) / HASH_BLOCK;
	self->n_tail = left + 9 > HASH_BLOCK ? 2 : 1;
	memset(self->tail, 0, sizeof(self->tail));
	if (left > 0)
		memcpy(self->tail, data + len - left, left);
	self->tail[left] = 0x80;
	prolly_set_be64(self->tail + self->n_tail * HASH_BLOCK - 8, (uint64_t)len * 8);
}

static inline void hash_feed_start(HashFeed *self, const uint8_t *data, size_t len)
{
	hash_feed_open(self, data, 0);
	hash_feed_complete(self, data, len);
}

/* Goes on in the tail if the message itself is done. Is there a block? */
static inline bool hash_feed_has_blocks(HashFeed *self)
{
	if (self->n == 0 && self->n_tail > 0) {
		self->next = self->tail;
		self->n = self->n_tail;
		self->n_tail = 0;
	}
	return self->n > 0;
}

static inline void hash_feed_pass(HashFeed *self, size_t n)
{
	self->next += n * HASH_BLOCK;
	self->n -= n;
}

/* ---- With the processor's help ----------------------------------------------------------- */

/* Are there SHA instructions? Only then may the others be called. */
bool prolly_hash_has_lanes(void);
void prolly_hash_lanes_one(const void *data, size_t len, ProllyHash *out_hash);
void prolly_hash_lanes_many(const ProllyHashMessage *messages, size_t n);
void prolly_hash_lanes_chain(const ProllyHashLink *links, size_t n, ProllyHash *out_hashes);

/* A message that was begun. */
typedef struct {
	uint32_t state[HASH_WORDS];
	HashFeed feed;
	ProllyHash *out_hash;
} HashRun;

static inline void hash_run_start(HashRun *self, const ProllyHashMessage *message)
{
	memcpy(self->state, prolly_hash_initial_state, sizeof(self->state));
	hash_feed_start(&self->feed, message->data, message->len);
	self->out_hash = message->out_hash;
}

/* Ends N messages that were begun elsewhere. */
void prolly_hash_lanes_finish(HashRun *runs, size_t n);

/* Fewer messages than this are not worth the other way. */
#define PROLLY_HASH_WIDE_FROM 6

/* Are there vectors of 512 bits? Only then may the other be called. */
bool prolly_hash_has_wide(void);
void prolly_hash_wide_many(const ProllyHashMessage *messages, size_t n);
