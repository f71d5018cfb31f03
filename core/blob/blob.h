/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * blob: values of any size, and what a stored value is.
 *
 * A stored value (what a tree's leaf holds for a key) is one tag byte, the kind in its low bits and
 * PROLLY_VALUE_BLOB in its high bit, then the content: the bytes themselves up to the format's
 * inline limit, else a blob reference (length, height and hash of the top of a tree of chunks).
 * Which of the two it is depends on the length only, so a content has one stored value.
 *
 * A blob is content-defined chunks (FastCDC) under a positional tree whose node boundaries are
 * decided by the chunks' hashes; a run of zeros of the format's chunk_average or more, wherever it
 * begins, is one entry without a chunk (a hole), written or not. The same content is always the
 * same blob, however it was written; blob-writer.c says which.
 *
 * Threads: any number; blobs are immutable values; a writer or source belongs to one thread.
 */

#include "base/base.h"
#include "store/store.h"
#include "tree/tree.h"

/* ---- Stored values ----------------------------------------------------------------------- */

typedef enum {
	PROLLY_KIND_FILE = 0,
	PROLLY_KIND_EXECUTABLE = 1,
	PROLLY_KIND_SYMLINK = 2,
	PROLLY_KIND_DIRECTORY = 3, /* an empty one, with no content: a marker */
	PROLLY_KIND_FIFO = 4,
	PROLLY_KIND_SOCKET = 5,
	PROLLY_KIND_CHARDEV = 6, /* content: major, minor as two le32 */
	PROLLY_KIND_BLOCKDEV = 7,
	PROLLY_KIND_N
} ProllyKind;

#define PROLLY_VALUE_BLOB 0x80

typedef struct {
	uint64_t length; /* bytes of content */
	uint32_t height; /* 0: the hash names one chunk; else levels of blob nodes */
	ProllyHash hash;
} ProllyBlob;

#define PROLLY_VALUE_BLOB_SIZE (1 + 8 + 4 + PROLLY_HASH_SIZE) /* bytes of a stored reference */

typedef struct {
	ProllyKind kind;
	uint64_t length; /* of the content */
	bool is_blob;
	const uint8_t *data; /* inline content, in the stored bytes; NULL for a blob */
	ProllyBlob blob;
} ProllyValue;

/* Decodes STORED, whose bytes OUT_VALUE borrows. Bad bytes are PROLLY_ERROR_CORRUPT. */
bool prolly_value_parse(const uint8_t *stored, size_t len, ProllyValue *out_value, GError **error);

/* (transfer full) Stored values. The first does not look at the limit: the caller does. It is NULL if
 * there is no memory. */
GBytes *prolly_value_new_inline(ProllyKind kind, const void *data, size_t len);
GBytes *prolly_value_new_blob(ProllyKind kind, const ProllyBlob *blob);
/* (transfer full) STORED with another kind. */
GBytes *prolly_value_with_kind(GBytes *stored, ProllyKind kind);

/* The ProllyWeighFunc of every format that holds stored values: the content's length. What cannot
 * be a stored reference weighs its length less one. */
uint64_t prolly_value_weigh(const uint8_t *stored, size_t len);

/* ---- Reading blobs ----------------------------------------------------------------------- */

/* Reads up to LEN bytes at OFFSET into BUFFER; *OUT_LEN is less only at the end of the blob. */
bool prolly_blob_read(const ProllyTreeContext *context, const ProllyBlob *blob, uint64_t offset,
		      void *buffer, size_t len, size_t *out_len, GError **error);

/* Bytes of a blob, where they are in memory. */
typedef struct {
	const uint8_t *data; /* NODE's, or zeros */
	size_t len;
	ProllyNode *node; /* nullable; referenced */
} ProllyBlobPiece;

/* As prolly_blob_read, without a copy: appends to PIECES, of ProllyBlobPiece, which hold nodes: call
 * prolly_blob_piece_clear for each. Also after a failure. */
bool prolly_blob_read_pieces(const ProllyTreeContext *context, const ProllyBlob *blob,
			     uint64_t offset, size_t len, GArray *pieces, GError **error);
void prolly_blob_piece_clear(ProllyBlobPiece *piece);

/*
 * Reading ahead, in the store's pool, of a blob that is read in order. A help, never needed: damage
 * is left to who reads it. Any number of threads.
 */
typedef struct ProllyBlobAhead ProllyBlobAhead;
ProllyBlobAhead *prolly_blob_ahead_new(const ProllyTreeContext *context, const ProllyBlob *blob);
ProllyBlobAhead *prolly_blob_ahead_ref(ProllyBlobAhead *ahead);
void prolly_blob_ahead_unref(ProllyBlobAhead *ahead); /* NULL is allowed */
bool prolly_blob_ahead_is_of(const ProllyBlobAhead *ahead, const ProllyBlob *blob);
/* Call before LEN bytes at OFFSET are read: waits for them if they are being loaded, and has more
 * loaded if reads follow each other. */
void prolly_blob_ahead_note(ProllyBlobAhead *ahead, uint64_t offset, uint64_t len);
/* Were they loaded, so that reading them will not wait for long? Never waits. */
bool prolly_blob_ahead_has(ProllyBlobAhead *ahead, uint64_t offset, uint64_t len);

/* The start of the first data (DATA true) or hole at or after OFFSET; the length if none is. */
bool prolly_blob_seek(const ProllyTreeContext *context, const ProllyBlob *blob, uint64_t offset,
		      bool data, uint64_t *out_offset, GError **error);

/* Bytes that are not holes, for st_blocks. */
bool prolly_blob_get_allocated(const ProllyTreeContext *context, const ProllyBlob *blob,
			       uint64_t *out_bytes, GError **error);

/* ---- Writing blobs ----------------------------------------------------------------------- */

/* One run of bytes written over a blob; DATA NULL: LEN zeros. */
typedef struct {
	uint64_t offset;
	uint64_t len;
	const uint8_t *data;
} ProllyExtent;

/*
 * BLOB (nullable: the empty one) cut or extended with zeros to BASE_LENGTH, then to LENGTH, with
 * the extents (ascending, not overlapping, within LENGTH) laid over it: the canonical blob of the
 * result. (BASE_LENGTH <= both, so that a truncation followed by an extension reads as zeros
 * between.) Reads and writes only the chunks around what changed. The splice is how write, append
 * and truncate work.
 */
bool prolly_blob_splice(const ProllyTreeContext *context, const ProllyBlob *blob,
			uint64_t base_length, uint64_t length, const ProllyExtent *extents,
			size_t n_extents, ProllyBlob *out_blob, GError **error);

/* A blob from a stream, in bounded memory. */
typedef struct ProllyBlobWriter ProllyBlobWriter;
ProllyBlobWriter *prolly_blob_writer_new(const ProllyTreeContext *context);
void prolly_blob_writer_free(ProllyBlobWriter *writer); /* NULL is allowed */
bool prolly_blob_writer_write(ProllyBlobWriter *writer, const void *data, size_t len,
			      GError **error);
uint64_t prolly_blob_writer_get_length(const ProllyBlobWriter *writer);
/* Puts what was cut, and appends to PARTS, of ProllyBlob, the chunks and trees that no other of them is
 * above. Bytes that were not cut are put in none. */
bool prolly_blob_writer_list_parts(ProllyBlobWriter *writer, GArray *parts, GError **error);
/* Ends the stream. */
bool prolly_blob_writer_finish(ProllyBlobWriter *writer, ProllyBlob *out_blob, GError **error);

/*
 * (transfer full) The stored value of kind KIND for content DATA: inline or a blob, as its length
 * says.
 */
bool prolly_value_store(const ProllyTreeContext *context, ProllyKind kind, const void *data,
			size_t len, GBytes **out_stored, GError **error);
/* The same for a blob that a writer or a splice made: one within the limit is read and inlined. */
bool prolly_value_store_blob(const ProllyTreeContext *context, ProllyKind kind,
			     const ProllyBlob *blob, GBytes **out_stored, GError **error);
/* Reads up to LEN bytes of the content of a parsed value, inline or blob. */
bool prolly_value_read(const ProllyTreeContext *context, const ProllyValue *value, uint64_t offset,
		       void *buffer, size_t len, size_t *out_len, GError **error);

/* ---- Check ------------------------------------------------------------------------------- */

/* Calls CHILD for each hash BLOB's tree refers to, blob nodes (class tree) and chunks alike. */
typedef bool (*ProllyBlobChildFunc)(ProllyNodeClass node_class, const ProllyHash *hash, void *data,
				    GError **error);
bool prolly_blob_walk(const ProllyTreeContext *context, const ProllyBlob *blob,
		      ProllyBlobChildFunc child, void *data, GError **error);

/* The same for one blob node of LEVEL alone: its children, of LEVEL - 1 (0: chunks). */
bool prolly_blob_walk_node(const ProllyTreeContext *context, const ProllyHash *hash, unsigned level,
			   ProllyBlobChildFunc child, void *data, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyBlobAhead, prolly_blob_ahead_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyBlobWriter, prolly_blob_writer_free)
