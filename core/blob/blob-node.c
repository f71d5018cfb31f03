/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks and blob nodes as bytes. blob-private.h draws both.
 *
 * A node gives the ends of its children, summed up from its own start, so that it is searched in
 * place and does not change when something is inserted before it in the blob. Beside them it sums
 * up the data bytes: a subtree without holes is known by its entry alone, a blob's allocated size
 * by its top node.
 *
 * Boundary: a node ends after an entry if it has COUNT_MIN entries or more and the low 32 bits of
 * that entry's hash are below CUT_BELOW (one in 64), and after PROLLY_BLOB_COUNT_MAX entries in any
 * case; a hole, having no hash, ends none. So nodes have 80 entries, 3.8 KB, on average, and it
 * depends only on the entries since the node's start whether it ends: the argument of chunk.c's I1
 * one level up. The last node of a level ends where the level ends.
 *
 * Stored bytes are input. A node that was checked once keeps its view, so each is checked once for
 * as long as it is in the store's cache.
 */
#include "blob/blob-private.h"

#include <string.h>

#define VERSION   1
#define COUNT_MIN 16u
#define CUT_BELOW (UINT32_C(1) << 26)

#define ZERO_BIT (UINT64_C(1) << 63)

static const uint8_t chunk_magic[4] = {'P', 'r', 'C', VERSION};
static const uint8_t node_magic[4] = {'P', 'r', 'B', VERSION};

static bool throw_corrupt(const ProllyHash *hash, const char *what, GError **error)
{
	char hex[PROLLY_HASH_HEX_SIZE];

	return prolly_throw(error, PROLLY_ERROR_CORRUPT, "node %s: %s",
			    prolly_hash_to_hex(hash, hex), what);
}

bool prolly_blob_entry_is_hole(const ProllyBlobEntry *entry)
{
	return entry->data == 0;
}

/* ---- Chunks ------------------------------------------------------------------------------ */

ProllyNode *prolly_chunk_new_node(ProllyStore *store, const uint8_t *data, size_t len,
				  ProllyBlobEntry *out_entry, GError **error)
{
	uint8_t *bytes;
	ProllyNode *node = prolly_store_new_node(store, PROLLY_NODE_CHUNK,
						 PROLLY_CHUNK_HEADER + len, 0, &bytes, error);

	if (!node)
		return NULL;
	memcpy(bytes, chunk_magic, sizeof(chunk_magic));
	prolly_set_le32(bytes + 4, (uint32_t)len);
	memcpy(bytes + PROLLY_CHUNK_HEADER, data, len);
	*out_entry = (ProllyBlobEntry){
		.length = len,
		.data = len,
		.ends_in_zero = data[len - 1] == 0,
	};
	return node;
}

bool prolly_chunk_get_data(const ProllyNode *node, uint64_t length, const uint8_t **out_data,
			   GError **error)
{
	size_t len;
	const uint8_t *bytes = prolly_node_get_bytes(node, &len);

	if (len < PROLLY_CHUNK_HEADER || memcmp(bytes, chunk_magic, sizeof(chunk_magic)) != 0 ||
	    prolly_get_le32(bytes + 4) != len - PROLLY_CHUNK_HEADER)
		return throw_corrupt(prolly_node_get_hash(node), "not a chunk", error);
	if (len - PROLLY_CHUNK_HEADER != length)
		return throw_corrupt(prolly_node_get_hash(node),
				     "the chunk has not the length its blob says", error);
	*out_data = bytes + PROLLY_CHUNK_HEADER;
	return true;
}

/* ---- Nodes ------------------------------------------------------------------------------- */

void prolly_blob_view_get(const ProllyBlobView *view, unsigned index, ProllyBlobEntry *out_entry,
			  uint64_t *out_start)
{
	const uint8_t *p = view->entries + (size_t)index * PROLLY_BLOB_ENTRY;
	uint64_t end = prolly_get_le64(p);
	uint64_t data = prolly_get_le64(p + 8);
	uint64_t start = 0, data_before = 0;

	if (index > 0) {
		start = prolly_get_le64(p - PROLLY_BLOB_ENTRY) & ~ZERO_BIT;
		data_before = prolly_get_le64(p - PROLLY_BLOB_ENTRY + 8);
	}
	out_entry->length = (end & ~ZERO_BIT) - start;
	out_entry->data = data - data_before;
	out_entry->ends_in_zero = (end & ZERO_BIT) != 0;
	memcpy(out_entry->hash.bytes, p + 16, PROLLY_HASH_SIZE);
	if (out_start)
		*out_start = start;
}

unsigned prolly_blob_view_find(const ProllyBlobView *view, uint64_t offset)
{
	unsigned low = 0, high = view->count - 1;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const uint8_t *p = view->entries + (size_t)middle * PROLLY_BLOB_ENTRY;

		if (offset < (prolly_get_le64(p) & ~ZERO_BIT))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* What is wrong with the entry after one that ends at *END with *DATA before, or NULL; moves both.
 */
static const char *check_entry(const uint8_t *p, unsigned level, uint64_t *end, uint64_t *data)
{
	uint64_t next_end = prolly_get_le64(p) & ~ZERO_BIT;
	uint64_t next_data = prolly_get_le64(p + 8);
	ProllyHash hash;

	if (next_end <= *end || next_end > PROLLY_BLOB_LENGTH_MAX)
		return "ends of its entries do not ascend";
	if (next_data < *data || next_data - *data > next_end - *end)
		return "an entry has more data than bytes";
	uint64_t own_data = next_data - *data;

	memcpy(hash.bytes, p + 16, PROLLY_HASH_SIZE);
	if (level == 1 && own_data != 0 && own_data != next_end - *end)
		return "a chunk has a hole in it";
	if ((level == 1 && own_data == 0) != prolly_hash_is_zero(&hash))
		return "a hole has a hash or a child has none";
	*end = next_end;
	*data = next_data;
	return NULL;
}

static bool decode(const ProllyNode *node, ProllyBlobView *out_view, GError **error)
{
	size_t len;
	const uint8_t *bytes = prolly_node_get_bytes(node, &len);
	const ProllyHash *hash = prolly_node_get_hash(node);

	if (len < PROLLY_BLOB_HEADER || memcmp(bytes, node_magic, sizeof(node_magic)) != 0)
		return throw_corrupt(hash, "not a blob node", error);
	ProllyBlobView view = {
		.level = bytes[4],
		.count = prolly_get_le32(bytes + 8),
		.entries = bytes + PROLLY_BLOB_HEADER,
	};

	if (view.level < 1 || view.level > PROLLY_BLOB_HEIGHT_MAX || bytes[5] || bytes[6] ||
	    bytes[7] || prolly_get_le32(bytes + 12))
		return throw_corrupt(hash, "bad header of a blob node", error);
	if (view.count < 1 || view.count > PROLLY_BLOB_COUNT_MAX ||
	    len != PROLLY_BLOB_HEADER + (size_t)view.count * PROLLY_BLOB_ENTRY)
		return throw_corrupt(hash, "bad count of a blob node", error);
	for (unsigned i = 0; i < view.count; i++) {
		const char *wrong = check_entry(view.entries + (size_t)i * PROLLY_BLOB_ENTRY,
						view.level, &view.length, &view.data);

		if (wrong)
			return throw_corrupt(hash, wrong, error);
	}
	*out_view = view;
	return true;
}

const ProllyBlobView *prolly_blob_node_get_view(const ProllyNode *node)
{
	return prolly_node_get_view(node);
}

/*
 * A view is only ever set here, after the magic was seen; one of another layer cannot be on a node
 * with that magic.
 */
static const ProllyBlobView *ensure_view(ProllyNode *node, GError **error)
{
	size_t len;
	const uint8_t *bytes = prolly_node_get_bytes(node, &len);
	ProllyBlobView view;

	if (len >= sizeof(node_magic) && memcmp(bytes, node_magic, sizeof(node_magic)) == 0) {
		const ProllyBlobView *old = prolly_node_get_view(node);

		if (old)
			return old;
	}
	if (!decode(node, &view, error))
		return NULL;
	return prolly_node_set_view(node, g_memdup2(&view, sizeof(view)), sizeof(view), g_free);
}

bool prolly_blob_node_load(ProllyStore *store, const ProllyHash *hash, unsigned level,
			   uint64_t length, uint64_t data, ProllyNode **out_node, GError **error)
{
	g_autoptr(ProllyNode) node = prolly_store_get(store, PROLLY_NODE_TREE, hash, error);

	if (!node)
		return false;
	const ProllyBlobView *view = ensure_view(node, error);

	if (!view)
		return false;
	if (view->level != level)
		return throw_corrupt(hash, "a blob node of the wrong level", error);
	if ((length != UINT64_MAX && view->length != length) ||
	    (data != UINT64_MAX && view->data != data))
		return throw_corrupt(hash, "a blob node has not the length its parent says", error);
	*out_node = g_steal_pointer(&node);
	return true;
}

bool prolly_blob_node_is_cut(const ProllyBlobEntry *entry, unsigned count)
{
	if (count >= PROLLY_BLOB_COUNT_MAX)
		return true;
	return count >= COUNT_MIN && !prolly_blob_entry_is_hole(entry) &&
	       prolly_get_le32(entry->hash.bytes) < CUT_BELOW;
}

bool prolly_blob_node_put(ProllyStore *store, unsigned level, const ProllyBlobEntry *entries,
			  unsigned count, ProllyBlobEntry *out_entry, GError **error)
{
	size_t len = PROLLY_BLOB_HEADER + (size_t)count * PROLLY_BLOB_ENTRY;
	uint8_t *bytes = g_malloc0(len);
	uint8_t *p = bytes + PROLLY_BLOB_HEADER;
	ProllyBlobEntry sum = {0};

	memcpy(bytes, node_magic, sizeof(node_magic));
	bytes[4] = (uint8_t)level;
	prolly_set_le32(bytes + 8, count);
	for (unsigned i = 0; i < count; i++, p += PROLLY_BLOB_ENTRY) {
		sum.length += entries[i].length;
		sum.data += entries[i].data;
		sum.ends_in_zero = entries[i].ends_in_zero;
		prolly_set_le64(p, sum.length | (sum.ends_in_zero ? ZERO_BIT : 0));
		prolly_set_le64(p + 8, sum.data);
		memcpy(p + 16, entries[i].hash.bytes, PROLLY_HASH_SIZE);
	}
	if (!prolly_store_put(store, PROLLY_NODE_TREE, bytes, len, &sum.hash, NULL, error))
		return false;
	*out_entry = sum;
	return true;
}
