/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * blob-verify: checking a blob for damage.
 */

#include "blob/blob.h"

typedef struct {
	ProllyStore
		*scratch; /* where its nodes are made once more; one that keeps nothing will do */
	/* The node or chunk that has LEN bytes from OFFSET on, is FLAW. */
	void (*damage)(ProllyNodeClass node_class, const ProllyHash *hash, uint64_t offset,
		       uint64_t len, const GError *flaw, void *data);
	void *data;
} ProllyBlobVerifier;

/*
 * Reads all of BLOB, and checks that it is the blob that its content makes. *OUT_SOUND: nothing is
 * damaged. False, with ERROR, if it could not go on for another reason.
 */
bool prolly_blob_verify(const ProllyTreeContext *context, const ProllyBlob *blob,
			const ProllyBlobVerifier *verifier, bool *out_sound, GError **error);
