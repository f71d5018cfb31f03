/* SPDX-License-Identifier: Apache-2.0 */

/*
 * identity: a digest of a content, by which inode.c tells whether it is what the kernel has cached.
 *
 * Of the stored value, which is the content's own bytes or the hash of the blob they are in; so it is
 * no work for a large one. 64 bits of no cryptographic strength: who could make two contents alike
 * writes both.
 */

#include "fs-private.h"

uint64_t pfs_stored_identity(GBytes *stored)
{
	size_t len;
	const uint8_t *bytes = g_bytes_get_data(stored, &len);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (len) /* the kind is told as a mode */
		hash ^= bytes[0] & PROLLY_VALUE_BLOB;
	for (size_t i = 1; i < len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash ? hash : 1;
}

uint64_t pfs_entry_identity(const ProllyEntry *entry)
{
	/* Bytes laid over a blob have no digest, and a commit folds them without changing any. */
	return entry->extents ? 0 : pfs_stored_identity(entry->stored);
}
