/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Hashes of messages that have each other's hashes in them, as the nodes from a leaf to the top of a
 * tree do.
 */

#include "base/base.h"

#define PROLLY_HASH_CHAIN_MAX 64

/* One of several messages, of which each but the first has at AT the hash of the one before. */
typedef struct {
	uint8_t *data;
	size_t len;
	size_t at;
} ProllyHashLink;

/* SHA-256 of N such messages, at most PROLLY_HASH_CHAIN_MAX, into which it writes the hashes; in less
 * time than one by one. */
void prolly_hash_compute_chain(const ProllyHashLink *links, size_t n, ProllyHash *out_hashes);
