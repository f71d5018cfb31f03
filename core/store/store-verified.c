/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that were read before, by this process, and had the hash that they should have.
 *
 * A file that is read here and there has its chunks read again and again, since the cache holds few
 * of so much. To hash one of 64 KiB takes 31 us, of some 80 that the read of a page takes. That it
 * was stored as it should be is known after the first time; that what the disk gives is still what
 * was stored is known by RocksDB, whose blocks carry the sum of their bytes (XXH3) and the key of
 * what they hold, which is the hash. So a chunk that was verified once is not hashed again: damage
 * since then is found by the sum. Nodes of trees are, always: they are small, and the cache holds
 * them. So is whatever is read past the cache, which is how a check of the store reads, and all of
 * the other back ends, which sum up nothing.
 *
 * So the first reading of a chunk's 4 KiB costs some 10 us to read it, 3 for its sum and 31 for its
 * hash, of 60 in all; passthrough_hp takes 25. Rejected, to be cheaper:
 *   to believe the sum at the first reading too: it says that the bytes are those that RocksDB was
 *     given, not that they had the hash; in a store that somebody else has made they need not;
 *   to mark what this process puts: a put that finds its hash stored leaves what is there, at which
 *     nobody has looked;
 *   to leave out the sum where the hash follows: RocksDB would take a damaged block apart first;
 *   to map the tables into memory: a bad sector, or a table cut short, would be SIGBUS, not EIO.
 *
 * A mark is 8 bytes of the hash at a place that others choose, so a chunk may lose its mark to
 * another, and two that share a mark are not made by chance nor in any time. Words are read and
 * written without a lock: a mark that is lost costs a hash.
 */
#include "store/store-private.h"

#define N_MARKS (UINT32_C(1) << 16) /* of 64 KiB each, 4 GiB */

static uint64_t *find_mark(const ProllyShared *shared, const ProllyHash *hash)
{
	return &shared->verified[prolly_get_le32(hash->bytes) & (N_MARKS - 1)];
}

static uint64_t make_mark(const ProllyHash *hash)
{
	return prolly_get_le64(hash->bytes + 8);
}

/* Without memory for marks there are none. */
void prolly_verified_init(ProllyShared *shared)
{
	if (shared->kind == PROLLY_BACKEND_ROCKSDB)
		shared->verified = g_try_new0(uint64_t, N_MARKS);
}

void prolly_verified_clear(ProllyShared *shared)
{
	g_free(shared->verified);
}

static bool has_marks(const ProllyStore *store, ProllyNodeClass node_class)
{
	return store->shared->verified && node_class == PROLLY_NODE_CHUNK && !store->is_direct;
}

static bool is_marked(const ProllyShared *shared, const ProllyHash *hash)
{
	return __atomic_load_n(find_mark(shared, hash), __ATOMIC_RELAXED) == make_mark(hash);
}

void prolly_verified_hash(ProllyStore *store, ProllyNodeClass node_class, GBytes *const *bytes,
			  size_t n, ProllyHash *hashes)
{
	const ProllyShared *shared = store->shared;
	g_autofree ProllyHash *wanted = NULL;
	g_autofree GBytes **unknown = NULL;

	if (!has_marks(store, node_class)) {
		prolly_nodes_hash(bytes, n, hashes);
		return;
	}
	wanted = g_memdup2(hashes, n * sizeof(*hashes));
	unknown = g_new0(GBytes *, n);
	for (size_t i = 0; i < n; i++)
		unknown[i] = is_marked(shared, &wanted[i]) ? NULL : bytes[i];
	prolly_nodes_hash(unknown, n, hashes);
	for (size_t i = 0; i < n; i++) {
		if (unknown[i] && prolly_hash_equal(&hashes[i], &wanted[i]))
			__atomic_store_n(find_mark(shared, &wanted[i]), make_mark(&wanted[i]),
					 __ATOMIC_RELAXED);
	}
}
