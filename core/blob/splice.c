/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes laid over a blob: the blob of the new content at the cost of what changed.
 *
 * The new content is given to a writer from front to back, but where the writer would only find
 * again what the old blob has, chunks and whole subtrees are taken over unread. Offsets are the
 * same in both, since a splice inserts nothing. That is right in two conditions:
 *
 * I1. When taking over begins, an old entry begins at the place, and the writer is settled
 *     (blob-writer.c, I3): cuts depend on the bytes after a cut only (chunk.c, I1), so the new
 *     list of chunks and holes is the old one from there on, up to the next change.
 * I2. It ends early enough before the change for nothing before that place to depend on the
 *     change (find_reentry). Dependent are: the chunk that has the changed byte; a chunk that
 *     ended because a hole or the end of the content followed, if that is what changes; a hole
 *     or a chunk's zeros at the end, if zeros may come to follow them.
 *
 * After a change the writer is given old bytes until it is settled at the beginning of an old
 * entry: FastCDC finds an old cut again within a chunk or two, and a change that moved no cut at
 * once. A whole subtree is taken over when the writer has no unfinished node below its level. (A
 * level's last node ended because the content did; it is below the limit only if that end stays.)
 *
 * Cost: for each run of changes the path to it, its chunks and one or two more; for an append the
 * last chunk, the path to it, and what is appended.
 */
#include "blob/blob-private.h"

typedef struct {
	ProllyStore *store; /* borrowed */
	ProllyBlob old;
	ProllyBlobCursor cursor;
	ProllyBlobWriter *writer;
	uint64_t position; /* bytes of the new content that the writer has */
	bool after_hole;   /* what it was given last is of an old hole */
} Splice;

static void splice_clear(Splice *splice)
{
	prolly_blob_cursor_clear(&splice->cursor);
	prolly_blob_writer_free(splice->writer);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Splice, splice_clear)

static bool get_entry_at(Splice *splice, uint64_t offset, ProllyBlobEntry *out_entry,
			 uint64_t *out_start, GError **error)
{
	if (!prolly_blob_cursor_seek(&splice->cursor, offset, error))
		return false;
	prolly_blob_cursor_get(&splice->cursor, out_entry, out_start);
	return true;
}

/*
 * The last place not after CHANGE, the first byte that changes (or the length, if that does), up to
 * which entries may be taken over.
 */
static bool find_reentry(Splice *splice, uint64_t change, uint64_t *out_offset, GError **error)
{
	ProllyBlobEntry entry;
	uint64_t start, before;

	*out_offset = 0;
	if (splice->old.length == 0)
		return true;
	if (!get_entry_at(splice, MIN(change, splice->old.length - 1), &entry, &start, error))
		return false;
	/* The chunk before a hole ended because of it. */
	if (prolly_blob_entry_is_hole(&entry) && start > 0 &&
	    !get_entry_at(splice, start - 1, &entry, &start, error))
		return false;
	if (start == 0)
		return true;
	if (!get_entry_at(splice, start - 1, &entry, &before, error))
		return false;
	/* Zeros that may be continued; a chunk has another byte before them, so no need to go
	 * further. */
	*out_offset = entry.ends_in_zero ? before : start;
	return true;
}

/* Takes over what the old blob has from the present place, an entry's beginning, up to LIMIT. */
static bool take_over(Splice *splice, uint64_t limit, GError **error)
{
	ProllyBlobCursor *cursor = &splice->cursor;

	prolly_blob_cursor_ascend(cursor);
	while (!prolly_blob_cursor_is_at_end(cursor) && splice->position < limit) {
		unsigned level = cursor->level;
		ProllyBlobEntry entry;
		uint64_t start;

		prolly_blob_cursor_get(cursor, &entry, &start);
		if (start + entry.length <= limit &&
		    prolly_blob_writer_is_aligned(splice->writer, level)) {
			if (!prolly_blob_writer_add(splice->writer, level, &entry, error))
				return false;
			splice->position = start + entry.length;
			prolly_blob_cursor_skip(cursor);
		} else if (level > 1) {
			if (!prolly_blob_cursor_descend(cursor, error))
				return false;
		} else {
			break;
		}
	}
	return true;
}

/* Gives the writer the bytes of ENTRY from the present place up to END. */
static bool copy_bytes(Splice *splice, const ProllyBlobEntry *entry, uint64_t start, uint64_t end,
		       GError **error)
{
	uint64_t position = splice->position;

	splice->position = end;
	splice->after_hole = prolly_blob_entry_is_hole(entry);
	if (splice->after_hole)
		return prolly_blob_writer_write_zeros(splice->writer, end - position, error);
	g_autoptr(ProllyNode) chunk =
		prolly_store_get(splice->store, PROLLY_NODE_CHUNK, &entry->hash, error);
	const uint8_t *data;

	return chunk && prolly_chunk_get_data(chunk, entry->length, &data, error) &&
	       prolly_blob_writer_write(splice->writer, data + (position - start),
					(size_t)(end - position), error);
}

/* Old content up to TO; entries that end by LIMIT may be taken over. */
static bool keep_old(Splice *splice, uint64_t to, uint64_t limit, GError **error)
{
	while (splice->position < to) {
		ProllyBlobEntry entry;
		uint64_t start;
		bool settled;

		if (!get_entry_at(splice, splice->position, &entry, &start, error))
			return false;
		if (start == splice->position && start + entry.length <= limit) {
			if (!prolly_blob_writer_settle(splice->writer, splice->after_hole, &settled,
						       error))
				return false;
			if (settled) {
				if (!take_over(splice, limit, error))
					return false;
				continue;
			}
		}
		if (!copy_bytes(splice, &entry, start, MIN(to, start + entry.length), error))
			return false;
	}
	return true;
}

/* The old content up to TO, where a change begins. */
static bool keep_old_until_change(Splice *splice, uint64_t to, GError **error)
{
	uint64_t limit;

	return splice->position >= to ||
	       (find_reentry(splice, to, &limit, error) && keep_old(splice, to, limit, error));
}

static bool write_new(Splice *splice, const uint8_t *data, uint64_t len, GError **error)
{
	splice->position += len;
	splice->after_hole = false;
	return data ? prolly_blob_writer_write(splice->writer, data, (size_t)len, error)
		    : prolly_blob_writer_write_zeros(splice->writer, len, error);
}

/* Up to TO, which a change follows: old content before KEPT, zeros after. */
static bool fill(Splice *splice, uint64_t kept, uint64_t to, GError **error)
{
	return keep_old_until_change(splice, MIN(to, kept), error) &&
	       (splice->position >= to || write_new(splice, NULL, to - splice->position, error));
}

static bool check_extents(uint64_t base_length, uint64_t length, const ProllyExtent *extents,
			  size_t n_extents, GError **error)
{
	uint64_t end = 0;

	if (length > PROLLY_BLOB_LENGTH_MAX)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
				    "a value of %" G_GUINT64_FORMAT " bytes", length);
	if (base_length > length)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "a splice of more than its result");
	for (size_t i = 0; i < n_extents; i++) {
		if (extents[i].offset < end || extents[i].offset > length ||
		    extents[i].len > length - extents[i].offset)
			return prolly_throw(error, PROLLY_ERROR_INVALID,
					    "extent %zu of a splice is out of order or bounds", i);
		end = extents[i].offset + extents[i].len;
	}
	return true;
}

bool prolly_blob_splice(const ProllyTreeContext *context, const ProllyBlob *blob,
			uint64_t base_length, uint64_t length, const ProllyExtent *extents,
			size_t n_extents, ProllyBlob *out_blob, GError **error)
{
	g_auto(Splice) splice = {.store = context->store};

	if (blob)
		splice.old = *blob;
	if (!check_extents(base_length, length, extents, n_extents, error) ||
	    !prolly_blob_cursor_init(&splice.cursor, splice.store, &splice.old, error))
		return false;
	uint64_t kept = MIN(base_length, splice.old.length);

	splice.writer = prolly_blob_writer_new(context);
	for (size_t i = 0; i < n_extents; i++) {
		if (extents[i].len == 0)
			continue;
		if (!fill(&splice, kept, extents[i].offset, error) ||
		    !write_new(&splice, extents[i].data, extents[i].len, error))
			return false;
	}
	bool same_end = kept == splice.old.length && length == kept;

	if (same_end && !keep_old(&splice, kept, kept, error))
		return false;
	return fill(&splice, kept, length, error) &&
	       prolly_blob_writer_finish(splice.writer, out_blob, error);
}
