/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in a blob's tree.
 *
 * The cursor holds the nodes from the top down to where it stands, and stands on an entry that may
 * be a whole subtree: nodes below it are loaded when somebody descends, so that stepping over a
 * subtree reads nothing of it. A seek to a place that the present nodes hold starts from them.
 *
 * I1. frames[LEVEL .. top] hold nodes; each one's entry INDEX leads to the frame below.
 * I2. Every frame's index is below its count, but at the end of the blob, when LEVEL is 0.
 *
 * A blob of height 0 is one chunk: its one frame, of level 1, has a view without entries, and
 * prolly_blob_cursor_get makes the entry from the reference. Depth is bounded by the height that
 * was checked against PROLLY_BLOB_HEIGHT_MAX, and each node's level by its parent's.
 */
#include "blob/blob-private.h"

static unsigned top_level(const ProllyBlobCursor *cursor)
{
	return MAX(cursor->blob.height, 1);
}

static bool load_frame(ProllyBlobCursor *cursor, unsigned level, const ProllyBlobEntry *entry,
		       uint64_t start, GError **error)
{
	ProllyBlobFrame *frame = &cursor->frames[level];
	ProllyNode *node = NULL;

	if (!prolly_blob_node_load(cursor->store, &entry->hash, level, entry->length, entry->data,
				   &node, error))
		return false;
	prolly_node_unref(frame->node);
	*frame = (ProllyBlobFrame){
		.node = node,
		.view = prolly_blob_node_get_view(node),
		.start = start,
	};
	cursor->level = level;
	return true;
}

bool prolly_blob_cursor_init(ProllyBlobCursor *cursor, ProllyStore *store, const ProllyBlob *blob,
			     GError **error)
{
	ProllyBlobEntry top = {.length = blob->length, .data = UINT64_MAX, .hash = blob->hash};

	if (blob->height > PROLLY_BLOB_HEIGHT_MAX || blob->length > PROLLY_BLOB_LENGTH_MAX)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "a blob of impossible height %u or length %" G_GUINT64_FORMAT,
				    blob->height, blob->length);
	*cursor = (ProllyBlobCursor){.store = store, .blob = *blob};
	if (blob->length == 0)
		return true;
	if (blob->height > 0)
		return load_frame(cursor, blob->height, &top, 0, error);
	cursor->level = 1;
	return true;
}

void prolly_blob_cursor_clear(ProllyBlobCursor *cursor)
{
	for (unsigned level = 1; level <= PROLLY_BLOB_HEIGHT_MAX; level++)
		g_clear_pointer(&cursor->frames[level].node, prolly_node_unref);
	cursor->level = 0;
}

bool prolly_blob_cursor_is_at_end(const ProllyBlobCursor *cursor)
{
	return cursor->level == 0;
}

void prolly_blob_cursor_get(const ProllyBlobCursor *cursor, ProllyBlobEntry *out_entry,
			    uint64_t *out_start)
{
	const ProllyBlobFrame *frame = &cursor->frames[cursor->level];

	if (cursor->blob.height == 0) {
		*out_entry = (ProllyBlobEntry){
			.length = cursor->blob.length,
			.data = cursor->blob.length,
			.hash = cursor->blob.hash,
		};
		*out_start = 0;
		return;
	}
	prolly_blob_view_get(frame->view, frame->index, out_entry, out_start);
	*out_start += frame->start;
}

bool prolly_blob_cursor_descend(ProllyBlobCursor *cursor, GError **error)
{
	ProllyBlobEntry entry;
	uint64_t start;

	g_assert(cursor->level > 1);
	prolly_blob_cursor_get(cursor, &entry, &start);
	return load_frame(cursor, cursor->level - 1, &entry, start, error);
}

void prolly_blob_cursor_ascend(ProllyBlobCursor *cursor)
{
	while (cursor->level > 0 && cursor->level < top_level(cursor) &&
	       cursor->frames[cursor->level].index == 0)
		cursor->level++;
}

void prolly_blob_cursor_skip(ProllyBlobCursor *cursor)
{
	if (cursor->blob.height == 0) {
		cursor->level = 0;
		return;
	}
	while (cursor->level > 0) {
		ProllyBlobFrame *frame = &cursor->frames[cursor->level];

		if (++frame->index < frame->view->count)
			return;
		cursor->level = cursor->level < top_level(cursor) ? cursor->level + 1 : 0;
	}
}

/* The lowest level whose loaded node holds OFFSET. */
static unsigned find_common_level(const ProllyBlobCursor *cursor, uint64_t offset)
{
	unsigned level = cursor->level;

	while (level > 0 && level < top_level(cursor)) {
		const ProllyBlobFrame *frame = &cursor->frames[level];

		if (offset >= frame->start && offset - frame->start < frame->view->length)
			return level;
		level++;
	}
	return top_level(cursor);
}

bool prolly_blob_cursor_seek(ProllyBlobCursor *cursor, uint64_t offset, GError **error)
{
	if (offset >= cursor->blob.length) {
		cursor->level = 0;
		return true;
	}
	cursor->level = find_common_level(cursor, offset);
	if (cursor->blob.height == 0)
		return true;
	for (;;) {
		ProllyBlobFrame *frame = &cursor->frames[cursor->level];

		frame->index = prolly_blob_view_find(frame->view, offset - frame->start);
		if (cursor->level == 1)
			return true;
		if (!prolly_blob_cursor_descend(cursor, error))
			return false;
	}
}
