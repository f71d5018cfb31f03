/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * db: the store's own database, RocksDB under STORE/data (or in memory), as an ordered map of bytes
 * in a few families. It holds the working sets, the journal, local attributes, and, with the
 * default back end, the nodes.
 *
 * Durability. A write that returned survives the death of the process (it is in the log, given to
 * the kernel); a write with SYNC, and everything written before it, survives a power cut. Recovery
 * is point-in-time: after a power cut the database is as it was after some write, no earlier than
 * the last synced one. That last clause is checked: a mark of two slots (STORE/data.mark) is
 * written after each sync with the sequence number reached, and a recovery that ends before it is
 * refused as damage (PROLLY_ERROR_CORRUPT), since it would lose what was promised.
 *
 * Threads: any number; an iterator belongs to one thread at a time.
 */

#include "base/base.h"

typedef struct ProllyDb ProllyDb;
typedef struct ProllyDbBatch ProllyDbBatch;
typedef struct ProllyDbIter ProllyDbIter;
typedef struct ProllyDbSnapshot ProllyDbSnapshot;
typedef struct ProllyDbImage ProllyDbImage;

typedef enum {
	PROLLY_DB_META,    /* small records: branches, counters, moves (core/version) */
	PROLLY_DB_NODES,   /* tree nodes (store-rocksdb) */
	PROLLY_DB_CHUNKS,  /* chunks of large values (store-rocksdb) */
	PROLLY_DB_INDEX,   /* hash -> where the chunk is (store-rocksdb) */
	PROLLY_DB_STAGED,  /* working sets (core/version) */
	PROLLY_DB_EXTENTS, /* bytes written over large values (core/version) */
	PROLLY_DB_JOURNAL, /* git objects and moves not yet synced in git (core/version) */
	PROLLY_DB_N_FAMILIES
} ProllyDbFamily;

/* ---- Lifecycle --------------------------------------------------------------------------- */

typedef struct {
	const char *path; /* the directory; NULL: in memory, vanishes on close */
	bool create; /* make it if there is none; else its absence is PROLLY_ERROR_NOT_A_STORE */
} ProllyDbOptions;

bool prolly_db_open(const ProllyDbOptions *options, ProllyDb **out_db, GError **error);
/* Syncs and closes. Iterators, snapshots and batches must be gone. NULL is allowed. One whose log
 * could not be written is left open instead, to the process's end, which has no exit handlers then. */
void prolly_db_close(ProllyDb *db);

/* ---- Read -------------------------------------------------------------------------------- */

/* *OUT_VALUE (transfer full): NULL if KEY is not there. SNAPSHOT nullable: the present. */
bool prolly_db_get(ProllyDb *db, ProllyDbFamily family, const ProllyDbSnapshot *snapshot,
		   const void *key, size_t key_len, GBytes **out_value, GError **error);

/* As N prolly_db_get of keys of one length. */
bool prolly_db_get_many(ProllyDb *db, ProllyDbFamily family, const void *const *keys,
			size_t key_len, size_t n, GBytes **out_values, GError **error);

ProllyDbSnapshot *prolly_db_snapshot_new(ProllyDb *db);
void prolly_db_snapshot_free(ProllyDb *db, ProllyDbSnapshot *snapshot); /* NULL is allowed */

/*
 * An iterator over keys in [LOWER, UPPER), memcmp order; UPPER NULL: to the end. The bounds are
 * copied. It sees the database as it was when made (or SNAPSHOT). Not positioned at first.
 */
ProllyDbIter *prolly_db_iter_new(ProllyDb *db, ProllyDbFamily family,
				 const ProllyDbSnapshot *snapshot, const void *lower,
				 size_t lower_len, const void *upper, size_t upper_len);
/* Over all of FAMILY, for who reads it once: what it reads is not kept in memory. */
ProllyDbIter *prolly_db_iter_new_passing(ProllyDb *db, ProllyDbFamily family);
void prolly_db_iter_free(ProllyDbIter *iter);                                  /* NULL is allowed */
void prolly_db_iter_seek(ProllyDbIter *iter, const void *key, size_t key_len); /* >= key */
void prolly_db_iter_seek_for_prev(ProllyDbIter *iter, const void *key, size_t len); /* <= key */
void prolly_db_iter_seek_first(ProllyDbIter *iter);
void prolly_db_iter_seek_last(ProllyDbIter *iter);
void prolly_db_iter_next(ProllyDbIter *iter);
void prolly_db_iter_prev(ProllyDbIter *iter);
/* False at the end, or after an error: ask prolly_db_iter_check which. */
bool prolly_db_iter_is_valid(const ProllyDbIter *iter);
bool prolly_db_iter_check(const ProllyDbIter *iter, GError **error);
/* Borrowed until the iterator moves. */
const uint8_t *prolly_db_iter_get_key(const ProllyDbIter *iter, size_t *out_len);
const uint8_t *prolly_db_iter_get_value(const ProllyDbIter *iter, size_t *out_len);

/*
 * All that ITER goes over, copied: for who goes over a few records, which do not change, many times.
 * *OUT_IMAGE (transfer full): NULL if keys and values have more than MAX bytes.
 */
bool prolly_db_image_load(ProllyDbIter *iter, size_t max, ProllyDbImage **out_image,
			  GError **error);
void prolly_db_image_free(ProllyDbImage *image); /* NULL is allowed */
/* As prolly_db_iter_new; IMAGE must outlive it. */
ProllyDbIter *prolly_db_image_iter_new(const ProllyDbImage *image, const void *lower,
				       size_t lower_len, const void *upper, size_t upper_len);

/* ---- Write ------------------------------------------------------------------------------- */

ProllyDbBatch *prolly_db_batch_new(ProllyDb *db);
void prolly_db_batch_free(ProllyDbBatch *batch); /* NULL is allowed */
void prolly_db_batch_clear(ProllyDbBatch *batch);
size_t prolly_db_batch_get_size(const ProllyDbBatch *batch); /* bytes */
void prolly_db_batch_put(ProllyDbBatch *batch, ProllyDbFamily family, const void *key,
			 size_t key_len, const void *value, size_t value_len);
/* The same of a value in two parts. Not for PROLLY_DB_STAGED. */
typedef struct {
	const void *data;
	size_t len;
} ProllyDbPart;
void prolly_db_batch_put_parts(ProllyDbBatch *batch, ProllyDbFamily family, const void *key,
			       size_t key_len, const ProllyDbPart parts[2]);
void prolly_db_batch_delete(ProllyDbBatch *batch, ProllyDbFamily family, const void *key,
			    size_t key_len);
/* Deletes keys in [LOWER, UPPER). */
void prolly_db_batch_delete_range(ProllyDbBatch *batch, ProllyDbFamily family, const void *lower,
				  size_t lower_len, const void *upper, size_t upper_len);
/*
 * The same of the keys that are there now, for a range that nobody writes to any more, BATCH
 * neither: one by one if they are few, since a deleted range slows the reads of its family down.
 */
void prolly_db_batch_delete_present(ProllyDbBatch *batch, ProllyDbFamily family, const void *lower,
				    size_t lower_len, const void *upper, size_t upper_len);

/* Deletes IMAGE's keys, which are of FAMILY. */
void prolly_db_batch_delete_image(ProllyDbBatch *batch, ProllyDbFamily family,
				  const ProllyDbImage *image);

/* While somebody goes over everything, who wants the memory for himself: less is kept of what is read.
 * One at a time. */
void prolly_db_set_lean(ProllyDb *db, bool is_lean);
/* Makes tables of what memory holds if that is much: for who writes more and more and has time. */
void prolly_db_spill(ProllyDb *db);

/* On a disk that is nearly full: makes tables of what the log holds, which goes then. */
void prolly_db_make_room(ProllyDb *db);

/* What it writes takes something away: a disk that is full for others has room for it. (Until it is
 * cleared; TIDYING implies it.) */
void prolly_db_batch_note_freeing(ProllyDbBatch *batch);

typedef enum {
	PROLLY_DB_TIDYING,  /* as BUFFERED, but of what a power cut may bring back: prolly_db_sync
			       does not sync for it */
	PROLLY_DB_BUFFERED, /* survives the process */
	PROLLY_DB_SYNC,     /* survives a power cut, with all before it */
} ProllyDbDurability;

/* Applies BATCH wholly or not at all, and clears it. A full disk is PROLLY_ERROR_NO_SPACE. */
bool prolly_db_write(ProllyDb *db, ProllyDbBatch *batch, ProllyDbDurability durability,
		     GError **error);

/* Everything written so far (but for TIDYING) survives a power cut when this returns. Costs nothing
 * if it does already. */
bool prolly_db_sync(ProllyDb *db, GError **error);

/* For store-rocksdb and bulk loads: sorted entries, written past log and memtable. */
typedef struct {
	const void *key;
	size_t key_len;
	const void *value;
	size_t value_len;
} ProllyDbEntry;

/* ENTRIES strictly ascending. Durable and visible on return. */
bool prolly_db_ingest(ProllyDb *db, ProllyDbFamily family, const ProllyDbEntry *entries, size_t n,
		      GError **error);

/*
 * The same in two steps. First a file of at least one entry is made, of which nobody sees anything;
 * if the process dies, the next opening removes it. *OUT_PATH (transfer full) is the caller's, to
 * have it taken in or discarded.
 */
bool prolly_db_build_table(ProllyDb *db, ProllyDbFamily family, const ProllyDbEntry *entries,
			   size_t n, char **out_path, GError **error);
/* Takes files in, all or none, that have no keys between each other's. On failure they stay. */
bool prolly_db_adopt_tables(ProllyDb *db, ProllyDbFamily family, const char *const *paths, size_t n,
			    GError **error);
void prolly_db_discard_table(const ProllyDb *db, const char *path);

/*
 * After a range was deleted: gives the files that lay wholly in [LOWER, UPPER) back to the disk
 * now, and lets compaction take the rest; once the last snapshot is gone that has the range yet. Cheap;
 * nothing readable changes. That the range is not needed survives a power cut already, if the deletion
 * does not: what is dropped is gone for good.
 */
void prolly_db_reclaim_range(ProllyDb *db, ProllyDbFamily family, const void *lower,
			     size_t lower_len, const void *upper, size_t upper_len);

/* Only the first half of that, at once: whatever a snapshot has. */
void prolly_db_drop_files(ProllyDb *db, ProllyDbFamily family, const void *lower, size_t lower_len,
			  const void *upper, size_t upper_len);

/*
 * After DEAD bytes of keys and values were deleted here and there in [LOWER, UPPER): writes what is
 * left anew and returns, if that is worth it and there is room to. What is not done is done by and by.
 */
void prolly_db_compact_range(ProllyDb *db, ProllyDbFamily family, const void *lower,
			     size_t lower_len, const void *upper, size_t upper_len, uint64_t dead);

/*
 * Makes the database as it is now, synced or not, in the directory PATH, which is not there yet,
 * with its mark beside it; on the database's own filesystem its tables are links. INVALID in
 * memory.
 */
bool prolly_db_checkpoint(ProllyDb *db, const char *path, GError **error);

/* Bytes on disk and an estimate of the number of keys of FAMILY. */
bool prolly_db_get_size(ProllyDb *db, ProllyDbFamily family, uint64_t *out_keys,
			uint64_t *out_bytes, GError **error);

/* The key after every key that starts with PREFIX: writes it to OUT (PREFIX's length or less) and
 * returns its length; 0 if there is none (all 0xff). For range bounds. */
size_t prolly_db_prefix_end(const void *prefix, size_t prefix_len, uint8_t *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyDb, prolly_db_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyDbBatch, prolly_db_batch_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyDbIter, prolly_db_iter_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyDbImage, prolly_db_image_free)
