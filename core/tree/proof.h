/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proof: what a tree holds, shown to those who have nothing of it but its root hash.
 *
 * A *query* names keys, or a range of keys. A *proof* answers it, in bytes: of each key the value, or
 * that it is not there; of a range every entry, and that there are no others. It is made where the
 * tree is and verified anywhere: verifying needs no store, and believes nothing but the root hash.
 *
 * What holds of a proof that verifies:
 *
 * - It binds the root hash, the query, for each answer key, value (or absence) and rank, the number
 *   of keys in the tree and the format, whose descriptor is in it. It does not bind the namespace's
 *   name, nor the content of a large value, of which an entry holds the hash.
 * - Of one query to one tree there is one proof: another byte, one more or one less, and it fails.
 * - Under one root no two proofs contradict each other, whoever made the root.
 *
 * Size: the nodes on the paths to what is asked for; of one key among a million 13 KiB in the mean.
 *
 * Threads: any number at once; a ProllyProof belongs to one thread at a time.
 *
 * Errors: a proof that does not hold is PROLLY_ERROR_CORRUPT, a query that makes no sense _INVALID.
 */

#include "tree/tree.h"

/* Bytes of the longest proof that is made. */
#define PROLLY_PROOF_MAX (1u << 30)

/*
 * What is asked for: N keys, which strictly ascend; or if N is 0 all keys in [LOWER, UPPER), where an
 * empty UPPER is no bound. So { 0 } asks for everything.
 */
typedef struct {
	const ProllyKey *keys;
	size_t n;
	ProllyKey lower, upper;
} ProllyProofQuery;

/* (transfer full) The proof that answers QUERY for TREE. One over PROLLY_PROOF_MAX is _TOO_BIG. */
bool prolly_proof_make(const ProllyTreeContext *context, const ProllyTree *tree,
		       const ProllyProofQuery *query, GBytes **out_bytes, GError **error);

typedef struct ProllyProof ProllyProof;

/*
 * (transfer full) Checks that BYTES are the proof that answers QUERY for the tree with root hash
 * ROOT. WEIGH is that of the tree's format (prolly_format_new). The keys in QUERY are borrowed until
 * the proof is freed.
 */
bool prolly_proof_verify(GBytes *bytes, const ProllyHash *root, const ProllyProofQuery *query,
			 ProllyWeighFunc weigh, ProllyProof **out_proof, GError **error);
void prolly_proof_free(ProllyProof *proof); /* NULL is allowed */

/* An answer. */
typedef struct {
	const uint8_t *key;
	size_t key_len;
	const uint8_t *value; /* NULL: it is not there */
	size_t value_len;
	uint64_t rank; /* how many keys of the tree are less */
} ProllyProofEntry;

/*
 * The next answer, in key order: for a query of keys one for each, for a range one for each entry in
 * it. The key is borrowed until the next call, the value until the proof is freed. False: no more.
 */
bool prolly_proof_next(ProllyProof *proof, ProllyProofEntry *out_entry);

/* The tree it is about: its top, and how many keys and bytes it has. */
const ProllyTree *prolly_proof_get_tree(const ProllyProof *proof);
const ProllyFormatParameters *prolly_proof_get_parameters(const ProllyProof *proof);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyProof, prolly_proof_free)
