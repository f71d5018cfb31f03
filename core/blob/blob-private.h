/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of blob share: the cutter (chunk.c), nodes on disk (blob-node.c), a cursor over a
 * blob's tree (blob-cursor.c), and the writer's inner half, by which a splice reuses what it finds
 * (blob-writer.c).
 */

#include "blob/blob.h"

/* ---- Cutting (chunk.c) ------------------------------------------------------------------- */

#define PROLLY_GEAR_WINDOW 64 /* bytes that the gear hash depends on */

extern const uint64_t prolly_gear[256];

typedef struct {
	size_t min, average, max; /* bytes of a chunk; AVERAGE is also the shortest hole */
	uint64_t strict, loose;   /* a hash below: cut; before AVERAGE, from AVERAGE on */
} ProllyCutter;

void prolly_cutter_init(ProllyCutter *cutter, const ProllyFormatParameters *parameters);

/* Where the cutter stands in a chunk that may not be all there yet; { 0 } at its start. */
typedef struct {
	size_t seen;
	uint64_t hash;
} ProllyCutState;

/*
 * The length of the chunk at the start of DATA, or 0 if its end is not within LEN. Then STATE is
 * such that a call with more bytes goes on; after a cut the caller zeroes it.
 */
size_t prolly_cutter_scan(const ProllyCutter *cutter, ProllyCutState *state, const uint8_t *data,
			  size_t len);

/* How many zero bytes DATA begins with, ends with. */
size_t prolly_zeros_count_leading(const uint8_t *data, size_t len);
size_t prolly_zeros_count_trailing(const uint8_t *data, size_t len);

/* The start of the first run of zeros that is RUN bytes long or reaches DATA's end; LEN: none. */
size_t prolly_zeros_find(const uint8_t *data, size_t len, size_t run);

/* ---- Loading (blob.c) -------------------------------------------------------------------- */

/* Loads the chunks with bytes in [OFFSET, OFFSET + LEN) into the store's cache. */
bool prolly_blob_load(const ProllyTreeContext *context, const ProllyBlob *blob, uint64_t offset,
		      uint64_t len, GError **error);

/* ---- Chunks and nodes on disk (blob-node.c) ---------------------------------------------- */

/*
 * A chunk:  0  3  "PrC"
 *           3  1  version, 1
 *           4  4  length of the data, which follow
 *
 * A node:   0  3  "PrB"
 *           3  1  version, 1
 *           4  1  level: 1 if its children are chunks and holes
 *           5  3  zero
 *           8  4  count of entries, at least 1
 *          12  4  zero
 *          16  .  entries of 48 bytes:
 *                 0  8  end of the child's bytes, counted from the node's first; bit 63: the last
 * of them is zero 8  8  how many of the bytes up to that end are data, i.e. in no hole 16 32  hash
 * of the child; zero for a hole
 *
 * Numbers are little endian. A hole is an entry without data, and only a node of level 1 has any.
 */
#define PROLLY_CHUNK_HEADER    8u
#define PROLLY_BLOB_HEADER     16u
#define PROLLY_BLOB_ENTRY      48u
#define PROLLY_BLOB_LENGTH_MAX ((uint64_t)INT64_MAX)
#define PROLLY_BLOB_HEIGHT_MAX 16u
#define PROLLY_BLOB_COUNT_MAX  256u /* entries of a node; blob-node.c has the rule */

/* One child of a node: a subtree, a chunk or a hole. */
typedef struct {
	uint64_t length;
	uint64_t data; /* bytes of it that are in no hole; 0: it is one hole */
	bool ends_in_zero;
	ProllyHash hash;
} ProllyBlobEntry;

bool prolly_blob_entry_is_hole(const ProllyBlobEntry *entry);

/* A node's decoded head, which stays with the node. */
typedef struct {
	unsigned level;
	unsigned count;
	uint64_t length;
	uint64_t data;
	const uint8_t *entries;
} ProllyBlobView;

/*
 * Loads the node HASH, checks it, and that it is of LEVEL and has LENGTH bytes, of them DATA in no
 * hole, as its parent says. (UINT64_MAX: the caller has nobody who says it.)
 */
bool prolly_blob_node_load(ProllyStore *store, const ProllyHash *hash, unsigned level,
			   uint64_t length, uint64_t data, ProllyNode **out_node, GError **error);
const ProllyBlobView *prolly_blob_node_get_view(const ProllyNode *node);

/* The entry INDEX of a node, and where it begins in the node's bytes (OUT_START nullable). */
void prolly_blob_view_get(const ProllyBlobView *view, unsigned index, ProllyBlobEntry *out_entry,
			  uint64_t *out_start);
/* The index of the entry that holds byte OFFSET, which is below the node's length. */
unsigned prolly_blob_view_find(const ProllyBlobView *view, uint64_t offset);

/* Puts a node of COUNT entries; OUT_ENTRY is its parent's entry for it. */
bool prolly_blob_node_put(ProllyStore *store, unsigned level, const ProllyBlobEntry *entries,
			  unsigned count, ProllyBlobEntry *out_entry, GError **error);
/* Does a node end after ENTRY, which is its entry number COUNT (from 1)? */
bool prolly_blob_node_is_cut(const ProllyBlobEntry *entry, unsigned count);

/* (transfer full) A chunk of DATA, LEN > 0, neither hashed nor put; OUT_ENTRY but for its hash. */
ProllyNode *prolly_chunk_new_node(ProllyStore *store, const uint8_t *data, size_t len,
				  ProllyBlobEntry *out_entry, GError **error);
/* The bytes of a chunk of LENGTH bytes in NODE. */
bool prolly_chunk_get_data(const ProllyNode *node, uint64_t length, const uint8_t **out_data,
			   GError **error);

/* ---- Cursor (blob-cursor.c) -------------------------------------------------------------- */

typedef struct {
	ProllyNode *node; /* a reference */
	const ProllyBlobView *view;
	uint64_t start; /* of the node in the blob */
	unsigned index;
} ProllyBlobFrame;

/*
 * A place in a blob's tree: the entry INDEX of the frame LEVEL, which may be a whole subtree; the
 * frames above it lead there. A blob of one chunk is given a frame of its own, without a node.
 */
typedef struct {
	ProllyStore *store; /* borrowed */
	ProllyBlob blob;
	unsigned level; /* of the lowest frame; 0 at the end of the blob */
	ProllyBlobFrame frames[PROLLY_BLOB_HEIGHT_MAX + 1];
} ProllyBlobCursor;

/* At the first entry of the top node. Checks BLOB itself. */
bool prolly_blob_cursor_init(ProllyBlobCursor *cursor, ProllyStore *store, const ProllyBlob *blob,
			     GError **error);
void prolly_blob_cursor_clear(ProllyBlobCursor *cursor);
bool prolly_blob_cursor_is_at_end(const ProllyBlobCursor *cursor);
/* To the chunk or hole that has byte OFFSET; to the end if OFFSET is not less than the length. */
bool prolly_blob_cursor_seek(ProllyBlobCursor *cursor, uint64_t offset, GError **error);
/* The entry it is at, and where that begins in the blob. */
void prolly_blob_cursor_get(const ProllyBlobCursor *cursor, ProllyBlobEntry *out_entry,
			    uint64_t *out_start);
/* Past the entry it is at: to the next one of the lowest frame that has one. */
void prolly_blob_cursor_skip(ProllyBlobCursor *cursor);
/* From a subtree to its first child; LEVEL is above 1. */
bool prolly_blob_cursor_descend(ProllyBlobCursor *cursor, GError **error);
/* To the highest subtree that begins where it is. */
void prolly_blob_cursor_ascend(ProllyBlobCursor *cursor);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyBlobCursor, prolly_blob_cursor_clear)

/* ---- Chunks on their way (chunk-queue.c) ------------------------------------------------- */

typedef struct ProllyChunkQueue ProllyChunkQueue;
typedef bool (*ProllyChunkFunc)(const ProllyBlobEntry *entry, void *data, GError **error);

/* TELL is called, in the queue's order, for each chunk that was put and each hole: within calls of
 * add, add_hole and settle. After one of these failed the queue is only to be freed. */
ProllyChunkQueue *prolly_chunk_queue_new(ProllyStore *store, ProllyChunkFunc tell, void *data);
void prolly_chunk_queue_free(ProllyChunkQueue *queue); /* what was not put is dropped */
bool prolly_chunk_queue_add(ProllyChunkQueue *queue, const uint8_t *data, size_t len,
			    GError **error);
bool prolly_chunk_queue_add_hole(ProllyChunkQueue *queue, uint64_t len, GError **error);
/* All that is in the queue is put and told. */
bool prolly_chunk_queue_settle(ProllyChunkQueue *queue, GError **error);
bool prolly_chunk_queue_is_empty(const ProllyChunkQueue *queue);

/* ---- The writer's inner half (blob-writer.c) --------------------------------------------- */

/* LEN zeros, at no cost. */
bool prolly_blob_writer_write_zeros(ProllyBlobWriter *writer, uint64_t len, GError **error);
/*
 * Do chunks begin anew here, whatever comes? If AFTER_HOLE, the caller knows that what comes begins
 * with a byte that is not zero, so that a run of zeros that was written ends here.
 */
bool prolly_blob_writer_settle(ProllyBlobWriter *writer, bool after_hole, bool *out_settled,
			       GError **error);
/* May a whole node of level LEVEL - 1 be added, the writer being settled? */
bool prolly_blob_writer_is_aligned(const ProllyBlobWriter *writer, unsigned level);
/* Adds an entry of a node of LEVEL: a chunk or hole (1), or a whole node of the level below. */
bool prolly_blob_writer_add(ProllyBlobWriter *writer, unsigned level, const ProllyBlobEntry *entry,
			    GError **error);
