/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading blobs.
 *
 * A read goes down from the top once and then along the lowest nodes; the chunks of up to
 * BATCH entries are asked for together, so that a back end may fetch them in one request. Nodes are
 * searched in place and stay decoded while they are in the store's cache: a sequential read of 128
 * KiB finds its place with three cache look-ups and copies two or three chunks.
 *
 * Holes are found by the sums in the nodes: a subtree without a hole is passed by its entry.
 */
#include "blob/blob-private.h"

#include <string.h>

#define BATCH 16

/* Chunks and holes that follow each other, and what of the blob they hold. */
typedef struct {
	unsigned n;
	ProllyBlobEntry entries[BATCH];
	uint64_t starts[BATCH];
	ProllyNode *chunks[BATCH]; /* NULL: a hole */
} Run;

static void run_clear(Run *run)
{
	for (unsigned i = 0; i < run->n; i++)
		g_clear_pointer(&run->chunks[i], prolly_node_unref);
	run->n = 0;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

/* Collects the entries from OFFSET on up to END. */
static bool run_collect(Run *run, ProllyBlobCursor *cursor, uint64_t offset, uint64_t end,
			GError **error)
{
	run_clear(run);
	while (offset < end && run->n < BATCH) {
		if (!prolly_blob_cursor_seek(cursor, offset, error))
			return false;
		prolly_blob_cursor_get(cursor, &run->entries[run->n], &run->starts[run->n]);
		offset = run->starts[run->n] + run->entries[run->n].length;
		run->chunks[run->n++] = NULL;
	}
	return true;
}

static bool run_load(Run *run, ProllyStore *store, GError **error)
{
	ProllyHash hashes[BATCH];
	ProllyNode *nodes[BATCH];
	size_t n = 0;

	for (unsigned i = 0; i < run->n; i++)
		if (!prolly_blob_entry_is_hole(&run->entries[i]))
			hashes[n++] = run->entries[i].hash;
	if (n == 0)
		return true;
	if (!prolly_store_get_many(store, PROLLY_NODE_CHUNK, hashes, n, nodes, error))
		return false;
	for (unsigned i = run->n; i-- > 0;)
		if (!prolly_blob_entry_is_hole(&run->entries[i]))
			run->chunks[i] = nodes[--n];
	return true;
}

/* What RUN has from OFFSET on, at most LEN bytes, goes to TAKE piece by piece; *OUT_LEN of them. */
typedef void (*TakeFunc)(ProllyNode *chunk, const uint8_t *data, size_t len, void *taker);

static bool run_take(const Run *run, uint64_t offset, size_t len, TakeFunc take, void *taker,
		     size_t *out_len, GError **error)
{
	size_t done = 0;

	for (unsigned i = 0; i < run->n && done < len; i++) {
		uint64_t skip = offset + done - run->starts[i];
		size_t n = (size_t)MIN(len - done, run->entries[i].length - skip);
		const uint8_t *data = NULL;

		if (run->chunks[i] &&
		    !prolly_chunk_get_data(run->chunks[i], run->entries[i].length, &data, error))
			return false;
		take(run->chunks[i], data ? data + skip : NULL, n, taker);
		done += n;
	}
	*out_len = done;
	return true;
}

/* Calls TAKE for all of [OFFSET, OFFSET + LEN), which is in BLOB. */
static bool take_range(const ProllyTreeContext *context, const ProllyBlob *blob, uint64_t offset,
		       uint64_t len, TakeFunc take, void *taker, GError **error)
{
	g_auto(ProllyBlobCursor) cursor = {0};
	g_auto(Run) run = {0};
	uint64_t done = 0;

	if (len == 0)
		return true;
	if (!prolly_blob_cursor_init(&cursor, context->store, blob, error))
		return false;
	while (done < len) {
		size_t n, wanted = (size_t)MIN(len - done, SIZE_MAX);

		if (!run_collect(&run, &cursor, offset + done, offset + len, error) ||
		    !run_load(&run, context->store, error) ||
		    !run_take(&run, offset + done, wanted, take, taker, &n, error))
			return false;
		done += n;
	}
	return true;
}

static uint64_t clip(const ProllyBlob *blob, uint64_t offset, uint64_t len)
{
	return offset < blob->length ? MIN(len, blob->length - offset) : 0;
}

static void copy_out(ProllyNode *chunk, const uint8_t *data, size_t len, void *taker)
{
	uint8_t **out = taker;

	if (data)
		memcpy(*out, data, len);
	else
		memset(*out, 0, len);
	*out += len;
}

bool prolly_blob_read(const ProllyTreeContext *context, const ProllyBlob *blob, uint64_t offset,
		      void *buffer, size_t len, size_t *out_len, GError **error)
{
	uint8_t *out = buffer;

	*out_len = (size_t)clip(blob, offset, len);
	return take_range(context, blob, offset, *out_len, copy_out, &out, error);
}

static void add_piece(ProllyNode *chunk, const uint8_t *data, size_t len, void *taker)
{
	static const uint8_t zeros[64 << 10];

	while (len > 0) {
		ProllyBlobPiece piece = {
			.data = data ? data : zeros,
			.len = data ? len : MIN(len, sizeof(zeros)),
			.node = chunk ? prolly_node_ref(chunk) : NULL,
		};

		g_array_append_val((GArray *)taker, piece);
		len -= piece.len;
	}
}

bool prolly_blob_read_pieces(const ProllyTreeContext *context, const ProllyBlob *blob,
			     uint64_t offset, size_t len, GArray *pieces, GError **error)
{
	return take_range(context, blob, offset, clip(blob, offset, len), add_piece, pieces, error);
}

void prolly_blob_piece_clear(ProllyBlobPiece *piece)
{
	g_clear_pointer(&piece->node, prolly_node_unref);
}

static void take_nothing(ProllyNode *chunk, const uint8_t *data, size_t len, void *taker)
{
}

bool prolly_blob_load(const ProllyTreeContext *context, const ProllyBlob *blob, uint64_t offset,
		      uint64_t len, GError **error)
{
	return take_range(context, blob, offset, clip(blob, offset, len), take_nothing, NULL,
			  error);
}

/* ---- Holes ------------------------------------------------------------------------------- */

static bool seek_data(ProllyBlobCursor *cursor, uint64_t offset, uint64_t *out_offset,
		      GError **error)
{
	ProllyBlobEntry entry;
	uint64_t start;

	if (!prolly_blob_cursor_seek(cursor, offset, error))
		return false;
	prolly_blob_cursor_get(cursor, &entry, &start);
	*out_offset = prolly_blob_entry_is_hole(&entry) ? start + entry.length : offset;
	return true;
}

static bool seek_hole(ProllyBlobCursor *cursor, uint64_t offset, uint64_t *out_offset,
		      GError **error)
{
	if (!prolly_blob_cursor_seek(cursor, offset, error))
		return false;
	while (!prolly_blob_cursor_is_at_end(cursor)) {
		ProllyBlobEntry entry;
		uint64_t start;

		prolly_blob_cursor_get(cursor, &entry, &start);
		if (entry.data == entry.length) {
			prolly_blob_cursor_skip(cursor);
		} else if (cursor->level > 1) {
			if (!prolly_blob_cursor_descend(cursor, error))
				return false;
		} else {
			*out_offset = MAX(start, offset);
			return true;
		}
	}
	*out_offset = cursor->blob.length;
	return true;
}

bool prolly_blob_seek(const ProllyTreeContext *context, const ProllyBlob *blob, uint64_t offset,
		      bool data, uint64_t *out_offset, GError **error)
{
	g_auto(ProllyBlobCursor) cursor = {0};

	if (offset >= blob->length) {
		*out_offset = blob->length;
		return true;
	}
	if (!prolly_blob_cursor_init(&cursor, context->store, blob, error))
		return false;
	return data ? seek_data(&cursor, offset, out_offset, error)
		    : seek_hole(&cursor, offset, out_offset, error);
}

bool prolly_blob_get_allocated(const ProllyTreeContext *context, const ProllyBlob *blob,
			       uint64_t *out_bytes, GError **error)
{
	g_auto(ProllyBlobCursor) cursor = {0};

	if (!prolly_blob_cursor_init(&cursor, context->store, blob, error))
		return false;
	*out_bytes = blob->height > 0 && blob->length > 0 ? cursor.frames[blob->height].view->data
							  : blob->length;
	return true;
}

/* ---- Check ------------------------------------------------------------------------------- */

bool prolly_blob_walk(const ProllyTreeContext *context, const ProllyBlob *blob,
		      ProllyBlobChildFunc child, void *data, GError **error)
{
	g_auto(ProllyBlobCursor) cursor = {0};

	if (blob->length == 0)
		return true;
	if (blob->height > 0 && !child(PROLLY_NODE_TREE, &blob->hash, data, error))
		return false;
	if (!prolly_blob_cursor_init(&cursor, context->store, blob, error))
		return false;
	while (!prolly_blob_cursor_is_at_end(&cursor)) {
		bool is_chunk = cursor.level == 1;
		ProllyBlobEntry entry;
		uint64_t start;

		prolly_blob_cursor_get(&cursor, &entry, &start);
		if (is_chunk && prolly_blob_entry_is_hole(&entry)) {
			prolly_blob_cursor_skip(&cursor);
			continue;
		}
		if (!child(is_chunk ? PROLLY_NODE_CHUNK : PROLLY_NODE_TREE, &entry.hash, data,
			   error))
			return false;
		if (is_chunk)
			prolly_blob_cursor_skip(&cursor);
		else if (!prolly_blob_cursor_descend(&cursor, error))
			return false;
	}
	return true;
}

bool prolly_blob_walk_node(const ProllyTreeContext *context, const ProllyHash *hash, unsigned level,
			   ProllyBlobChildFunc child, void *data, GError **error)
{
	g_autoptr(ProllyNode) node = NULL;
	const ProllyBlobView *view;

	if (!prolly_blob_node_load(context->store, hash, level, UINT64_MAX, UINT64_MAX, &node,
				   error))
		return false;
	view = prolly_blob_node_get_view(node);
	for (unsigned i = 0; i < view->count; i++) {
		ProllyBlobEntry entry;

		prolly_blob_view_get(view, i, &entry, NULL);
		/* A node of nothing but holes is a node all the same. */
		if (level == 1 && prolly_blob_entry_is_hole(&entry))
			continue;
		if (!child(level > 1 ? PROLLY_NODE_TREE : PROLLY_NODE_CHUNK, &entry.hash, data,
			   error))
			return false;
	}
	return true;
}
