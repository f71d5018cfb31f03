/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs from streams: what defines which blob a content is.
 *
 * 1. Holes. Each maximal run of zero bytes that is at least chunk_average long is one hole,
 *    wherever it begins: so a blob of written zeros is the blob of a truncate, and an insert
 *    moves a hole without changing it.
 * 2. Chunks. Each stretch between holes (or an end of the content) is cut as chunk.c says,
 *    beginning anew at its start.
 * 3. Nodes. The list of chunks and holes is grouped into nodes as blob-node.c says; their list
 *    is again, and so on up to the lowest level that has one node. One chunk alone is a blob of
 *    height 0; no content is height 0 and a hash of zeros.
 *
 * Nothing here looks at how the content came, so equal contents are equal blobs.
 *
 * The writer keeps back the zeros at the end of what it was given as a number (ZEROS), until a byte
 * that is not zero, or the end, says how long their run is; the bytes since the last cut are in
 * BUFFER, and chunks that were cut may still be in a queue (chunk-queue.c). Hence
 *
 * I1. BUFFER holds no run of zeros that could be part of a hole, so a cut found in it is final.
 * I2. BUFFER has no cut in it: it is a chunk's beginning, shorter than chunk_max.
 * I3. If BUFFER is empty and ZEROS is 0 the writer is *settled*: what follows is cut as if the
 *     content began here. Its zeros might continue a run, but none is open: the byte before is
 *     not zero, or the caller (splice.c) vouches for what it added.
 *
 * Memory: the buffer, the queue, and one unfinished node a level.
 */
#include "base/memory.h"
#include "blob/blob-private.h"

#include <string.h>

typedef struct {
	GArray *pending; /* ProllyBlobEntry: the unfinished node's; NULL: none was ever added */
	bool has_node;   /* a node of this level was finished, or taken over */
} Level;

struct ProllyBlobWriter {
	ProllyStore *store;
	ProllyCutter cutter;
	uint64_t length; /* of everything given, taken over or kept back */
	uint64_t zeros;
	uint8_t *buffer; /* chunk_max bytes, made at the first use */
	size_t fill;
	ProllyCutState cut;
	ProllyChunkQueue *chunks;                 /* and holes, on their way to the lowest level */
	unsigned n_levels;                        /* of levels that had an entry */
	Level levels[PROLLY_BLOB_HEIGHT_MAX + 2]; /* [0] is unused */
};

void prolly_blob_writer_free(ProllyBlobWriter *writer)
{
	if (!writer)
		return;
	for (unsigned level = 1; level <= writer->n_levels; level++)
		g_array_unref(writer->levels[level].pending);
	g_free(writer->buffer);
	prolly_chunk_queue_free(writer->chunks);
	prolly_store_unref(writer->store);
	g_free(writer);
}

uint64_t prolly_blob_writer_get_length(const ProllyBlobWriter *writer)
{
	return writer->length;
}

/* ---- Nodes ------------------------------------------------------------------------------- */

/* Makes a node of what is pending at LEVEL; OUT_ENTRY is what the level above gets. */
static bool finish_node(ProllyBlobWriter *writer, unsigned level, ProllyBlobEntry *out_entry,
			GError **error)
{
	GArray *pending = writer->levels[level].pending;

	if (!prolly_blob_node_put(writer->store, level, (const ProllyBlobEntry *)pending->data,
				  pending->len, out_entry, error))
		return false;
	g_array_set_size(pending, 0);
	writer->levels[level].has_node = true;
	return true;
}

/* Adds ENTRY to the unfinished node of LEVEL, and what that finishes to the levels above. */
static bool add_entry(ProllyBlobWriter *writer, unsigned level, const ProllyBlobEntry *entry,
		      GError **error)
{
	ProllyBlobEntry next = *entry;

	for (;; level++) {
		if (level > PROLLY_BLOB_HEIGHT_MAX)
			return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
					    "a blob of too many levels");
		while (writer->n_levels < level)
			writer->levels[++writer->n_levels].pending =
				g_array_new(FALSE, FALSE, sizeof(ProllyBlobEntry));
		GArray *pending = writer->levels[level].pending;

		g_array_append_val(pending, next);
		if (!prolly_blob_node_is_cut(&next, pending->len))
			return true;
		if (!finish_node(writer, level, &next, error))
			return false;
	}
}

bool prolly_blob_writer_is_aligned(const ProllyBlobWriter *writer, unsigned level)
{
	for (unsigned below = 1; below < level && below <= writer->n_levels; below++)
		if (writer->levels[below].pending->len > 0)
			return false;
	return true;
}

bool prolly_blob_writer_add(ProllyBlobWriter *writer, unsigned level, const ProllyBlobEntry *entry,
			    GError **error)
{
	g_assert(writer->fill == 0 && writer->zeros == 0);
	g_assert(prolly_chunk_queue_is_empty(writer->chunks));
	g_assert(prolly_blob_writer_is_aligned(writer, level));
	if (!add_entry(writer, level, entry, error))
		return false;
	for (unsigned below = 1; below < level; below++)
		writer->levels[below].has_node = true;
	writer->length += entry->length;
	return true;
}

/* What the queue gives. */
static bool take_entry(const ProllyBlobEntry *entry, void *data, GError **error)
{
	return add_entry(data, 1, entry, error);
}

ProllyBlobWriter *prolly_blob_writer_new(const ProllyTreeContext *context)
{
	ProllyBlobWriter *writer = g_new0(ProllyBlobWriter, 1);

	writer->store = prolly_store_ref(context->store);
	writer->chunks = prolly_chunk_queue_new(context->store, take_entry, writer);
	prolly_cutter_init(&writer->cutter, prolly_format_get_parameters(context->format));
	return writer;
}

/* ---- Chunks and holes -------------------------------------------------------------------- */

/* A chunk was cut, and follows what was cut before. */
static bool emit_chunk(ProllyBlobWriter *writer, const uint8_t *data, size_t len, GError **error)
{
	writer->cut = (ProllyCutState){0};
	return prolly_chunk_queue_add(writer->chunks, data, len, error);
}

/* Cuts chunks off DATA while there are any, and keeps the rest; the buffer is empty. */
static bool cut_in_place(ProllyBlobWriter *writer, const uint8_t *data, size_t len, GError **error)
{
	while (len > 0) {
		size_t n = prolly_cutter_scan(&writer->cutter, &writer->cut, data, len);

		if (n == 0)
			break;
		if (!emit_chunk(writer, data, n, error))
			return false;
		data += n;
		len -= n;
	}
	if (len > 0)
		memcpy(writer->buffer, data, len);
	writer->fill = len;
	return true;
}

/* Appends LEN bytes of DATA that are known to be in no hole. */
static bool append(ProllyBlobWriter *writer, const uint8_t *data, size_t len, GError **error)
{
	if (!writer->buffer)
		writer->buffer = prolly_try_malloc(writer->cutter.max, "a value", error);
	if (!writer->buffer)
		return false;
	while (writer->fill > 0 && len > 0) {
		size_t before = writer->fill, n = MIN(len, writer->cutter.max - before);
		size_t cut;

		memcpy(writer->buffer + before, data, n);
		cut = prolly_cutter_scan(&writer->cutter, &writer->cut, writer->buffer, before + n);
		writer->fill = cut ? 0 : before + n;
		if (cut && !emit_chunk(writer, writer->buffer, cut, error))
			return false;
		n = cut ? cut - before : n;
		data += n;
		len -= n;
	}
	return len == 0 || cut_in_place(writer, data, len, error);
}

static bool append_zeros(ProllyBlobWriter *writer, size_t len, GError **error)
{
	g_autofree uint8_t *zeros = prolly_try_calloc(len, 1, "a value's zeros", error);

	return zeros && append(writer, zeros, len, error);
}

/* Ends the stretch of data that the buffer is the end of. */
static bool finish_data(ProllyBlobWriter *writer, GError **error)
{
	size_t fill = writer->fill;

	writer->fill = 0;
	return fill == 0 || emit_chunk(writer, writer->buffer, fill, error);
}

/* The run of zeros that was kept back is over: it is a hole, or data after all. */
static bool settle_zeros(ProllyBlobWriter *writer, GError **error)
{
	uint64_t zeros = writer->zeros;

	writer->zeros = 0;
	if (zeros < writer->cutter.average)
		return append_zeros(writer, (size_t)zeros, error);
	return finish_data(writer, error) &&
	       prolly_chunk_queue_add_hole(writer->chunks, zeros, error);
}

bool prolly_blob_writer_settle(ProllyBlobWriter *writer, bool after_hole, bool *out_settled,
			       GError **error)
{
	if (after_hole && writer->zeros >= writer->cutter.average && !settle_zeros(writer, error))
		return false;
	*out_settled = writer->fill == 0 && writer->zeros == 0;
	return !*out_settled || prolly_chunk_queue_settle(writer->chunks, error);
}

/* ---- The stream -------------------------------------------------------------------------- */

static bool grow(ProllyBlobWriter *writer, uint64_t len, GError **error)
{
	if (len > PROLLY_BLOB_LENGTH_MAX - writer->length)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
				    "a value of more than %" G_GUINT64_FORMAT " bytes",
				    PROLLY_BLOB_LENGTH_MAX);
	writer->length += len;
	return true;
}

bool prolly_blob_writer_write_zeros(ProllyBlobWriter *writer, uint64_t len, GError **error)
{
	if (!grow(writer, len, error))
		return false;
	writer->zeros += len;
	return true;
}

bool prolly_blob_writer_write(ProllyBlobWriter *writer, const void *data, size_t len,
			      GError **error)
{
	const uint8_t *p = data;

	if (!grow(writer, len, error))
		return false;
	while (len > 0) {
		size_t zeros = prolly_zeros_count_leading(p, len);

		writer->zeros += zeros;
		p += zeros;
		len -= zeros;
		if (len == 0)
			break;
		size_t n = prolly_zeros_find(p, len, writer->cutter.average);

		if (!settle_zeros(writer, error) || !append(writer, p, n, error))
			return false;
		p += n;
		len -= n;
	}
	return true;
}

bool prolly_blob_writer_list_parts(ProllyBlobWriter *writer, GArray *parts, GError **error)
{
	if (!prolly_chunk_queue_settle(writer->chunks, error))
		return false;
	for (unsigned level = 1; level <= writer->n_levels; level++) {
		const GArray *pending = writer->levels[level].pending;

		for (guint i = 0; i < pending->len; i++) {
			const ProllyBlobEntry *entry = &g_array_index(pending, ProllyBlobEntry, i);
			ProllyBlob part = {entry->length, level - 1, entry->hash};

			if (level > 1 || !prolly_blob_entry_is_hole(entry))
				g_array_append_val(parts, part);
		}
	}
	return true;
}

/* The lowest level that has one node; all nodes are finished on the way. */
static bool finish_levels(ProllyBlobWriter *writer, ProllyBlob *out_blob, GError **error)
{
	for (unsigned level = 1; level <= writer->n_levels; level++) {
		Level *at = &writer->levels[level];
		const ProllyBlobEntry *first = (const ProllyBlobEntry *)at->pending->data;
		bool is_top = !at->has_node;
		ProllyBlobEntry entry;

		/* One child and no other: it is the top itself, unless it is a hole. */
		if (is_top && at->pending->len == 1 &&
		    (level > 1 || !prolly_blob_entry_is_hole(first))) {
			out_blob->height = level - 1;
			out_blob->hash = first->hash;
			return true;
		}
		if (at->pending->len > 0) {
			if (!finish_node(writer, level, &entry, error))
				return false;
			if (is_top) {
				out_blob->height = level;
				out_blob->hash = entry.hash;
				return true;
			}
			if (!add_entry(writer, level + 1, &entry, error))
				return false;
		}
	}
	return true;
}

bool prolly_blob_writer_finish(ProllyBlobWriter *writer, ProllyBlob *out_blob, GError **error)
{
	ProllyBlob blob = {.length = writer->length};

	if (!settle_zeros(writer, error) || !finish_data(writer, error) ||
	    !prolly_chunk_queue_settle(writer->chunks, error) ||
	    !finish_levels(writer, &blob, error))
		return false;
	*out_blob = blob;
	return true;
}
