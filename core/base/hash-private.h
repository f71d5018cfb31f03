/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The two ways to hash, for hash.c, which chooses, and for tests, which compare them: hash.c's own
 * through OpenSSL, and hash-lanes.c's where the processor has SHA instructions.
 */

#include "base/hash-chain.h"

/* prolly_hash_compute through OpenSSL: the reference, and what there is without SHA instructions.
 */
void prolly_hash_compute_plainly(const void *data, size_t len, ProllyHash *out_hash);

void prolly_hash_compute_chain_plainly(const ProllyHashLink *links, size_t n,
				       ProllyHash *out_hashes);

/* Are there SHA instructions? Only then may the others be called. */
bool prolly_hash_has_lanes(void);
void prolly_hash_lanes_one(const void *data, size_t len, ProllyHash *out_hash);
void prolly_hash_lanes_two(const void *a, size_t a_len, const void *b, size_t b_len,
			   ProllyHash *out_a, ProllyHash *out_b);
void prolly_hash_lanes_chain(const ProllyHashLink *links, size_t n, ProllyHash *out_hashes);
