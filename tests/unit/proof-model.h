/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests of proofs share.
 */
#include "tree-model.h"

/* Does the proof of these bytes verify? */
static inline bool holds(const uint8_t *data, size_t len, const ProllyHash *root,
			 const ProllyProofQuery *query)
{
	/* Of just this size, so that a sanitizer sees who reads behind it. */
	g_autoptr(GBytes) bytes = g_bytes_new(data, len);
	g_autoptr(ProllyProof) proof = NULL;
	g_autoptr(GError) error = NULL;
	bool ok = prolly_proof_verify(bytes, root, query, NULL, &proof, &error);

	g_assert_true(ok == (error == NULL) && ok == (proof != NULL));
	if (!ok)
		g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	return ok;
}

static inline ProllyProofQuery query_of_key(const ProllyKey *key)
{
	return (ProllyProofQuery){.keys = key, .n = 1};
}
