/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What db.c (reading and writing), db-iter.c (ranges), db-open.c (options, opening, recovery),
 * db-space.c (space), db-mark.c and db-checkpoint.c share.
 */

#include "store/db.h"
#include "store/rocksdb-private.h"

/* ---- The mark (db-mark.c) ---------------------------------------------------------------- */

typedef struct ProllyDbMark ProllyDbMark;

/* Makes the file PATH, with a mark of 0, durable. */
bool prolly_db_mark_create(const char *path, ProllyDbMark **out_mark, GError **error);
/* Opens the file PATH; missing or without a whole slot it is PROLLY_ERROR_CORRUPT. */
bool prolly_db_mark_open(const char *path, ProllyDbMark **out_mark, GError **error);
void prolly_db_mark_free(ProllyDbMark *mark); /* NULL is allowed */
uint64_t prolly_db_mark_get(ProllyDbMark *mark);
/* Raises the mark to SEQUENCE, which is durable already; a higher one is left. Best effort. */
void prolly_db_mark_raise(ProllyDbMark *mark, uint64_t sequence);

/* ---- Recent records (db-recent.c) -------------------------------------------------------- */

typedef struct ProllyDbRecent ProllyDbRecent;
typedef struct ProllyDbKeys ProllyDbKeys; /* what a batch writes of the family */

ProllyDbRecent *prolly_db_recent_new(GError **error);
void prolly_db_recent_free(ProllyDbRecent *self); /* NULL is allowed */
/* True if it is known what KEY holds now: *OUT_VALUE (transfer full), NULL if it is not there. Else
 * *OUT_CHANGES is what to give to enter, once RocksDB was asked. */
bool prolly_db_recent_get(ProllyDbRecent *self, const void *key, size_t len, GBytes **out_value,
			  uint64_t *out_changes);
void prolly_db_recent_enter(ProllyDbRecent *self, const void *key, size_t len, GBytes *value,
			    uint64_t changes);

ProllyDbKeys *prolly_db_keys_new(void);
void prolly_db_keys_free(ProllyDbKeys *keys);
void prolly_db_keys_clear(ProllyDbKeys *keys);
/* KEY is written, or deleted: VALUE NULL. */
void prolly_db_keys_add(ProllyDbKeys *keys, const void *key, size_t key_len, const void *value,
			size_t value_len);
void prolly_db_keys_add_all(ProllyDbKeys *keys);
/* More was written than anybody listed. */
void prolly_db_recent_empty(ProllyDbRecent *self);
/* Around a write of KEYS; end, which takes them, gets what begin returned. */
uint64_t prolly_db_recent_begin(ProllyDbRecent *self, const ProllyDbKeys *keys);
void prolly_db_recent_end(ProllyDbRecent *self, ProllyDbKeys *keys, uint64_t begun,
			  bool is_written);

/* ---- The database ------------------------------------------------------------------------ */

struct ProllyDb {
	rocksdb_t *rocks;
	rocksdb_column_family_handle_t *families[PROLLY_DB_N_FAMILIES];
	rocksdb_column_family_handle_t *default_family; /* RocksDB insists on it; empty */

	rocksdb_env_t *env;
	rocksdb_cache_t *block_cache;
	rocksdb_cache_t *chunk_cache;
	rocksdb_options_t *options;
	rocksdb_options_t *family_options[PROLLY_DB_N_FAMILIES];
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write_buffered;
	rocksdb_writeoptions_t *write_synced;

	GThreadPool *reclaimer; /* one thread, made when there is something to reclaim */
	GMutex seen_lock;       /* leaf */
	GPtrArray *seen;        /* ranges to reclaim that an older snapshot has yet */
	gint n_seen;            /* atomic; of them */

	ProllyDbRecent *recent; /* of family STAGED */

	char *path; /* in memory: a name in the environment */
	bool in_memory;
	ProllyDbMark *mark;                        /* NULL in memory */
	gint n_ingests;                            /* atomic; names the files on their way in */
	gint n_uncompressed[PROLLY_DB_N_FAMILIES]; /* atomic; tables to be so (db.c) */
	gint holdings[PROLLY_DB_N_FAMILIES];       /* atomic; Holding (db.c) */
	gint is_broken; /* atomic; the last write failed, so the log ends in a failure */

	GMutex sync_lock;   /* leaf; protects the next three */
	uint64_t n_written; /* writes that somebody may want synced */
	uint64_t n_synced;  /* of them, those that are */
	char *wound;        /* what failed and cannot be made good (db.c); NULL: nothing */
	char *pardoned;     /* of a log, what failed last and can be */

	GMutex adoption_lock; /* leaf, held while tables become the database's, and a checkpoint's */

	GMutex room_lock; /* what follows: see db-space.c */
	uint64_t room;    /* bytes on disk that are known to be free for writing */
	gint64 room_until;
};

struct ProllyDbSnapshot {
	const rocksdb_snapshot_t *snapshot;
	rocksdb_readoptions_t *read;
};

#define PROLLY_DB_BLOCK \
	16384 /* bytes of a block of nodes or chunks, or one value if that is larger */

/* Free space below which RocksDB, once it ran out of it, does not resume. */
#define PROLLY_DB_RESERVE (16u << 20)

/* The directory where sorted files are built before they are taken in. (transfer full) */
char *prolly_db_dup_ingest_dir(const ProllyDb *db);

/*
 * Sets ERROR from TEXT (transfer full), what RocksDB said: "WHAT: TEXT", with the code that fits.
 * Returns false.
 */
bool prolly_db_throw(GError **error, char *text, const char *what);

/* False, with what failed, if nothing can be written any more: see db.c. */
bool prolly_db_check_unhurt(ProllyDb *db, GError **error);

/* ---- Space (db-space.c) ------------------------------------------------------------------ */

/* After a snapshot went: has what only it had reclaimed. */
void prolly_db_reclaim_unseen(ProllyDb *db);

/* Is there something in memory that was written last, to which more is written yet? */
bool prolly_db_has_begun_memtable(ProllyDb *db);
/* Bytes that are free on DB's disk for this process; UINT64_MAX if that cannot be found out. */
uint64_t prolly_db_measure_free(const ProllyDb *db);
/*
 * Claims room on the disk for a write of SIZE bytes: in the log, and in a table later. False where
 * there is none, with PROLLY_ERROR_NO_SPACE.
 */
bool prolly_db_claim_room(ProllyDb *db, size_t size, GError **error);
/* The same for one that gives space back, for which some is left. */
bool prolly_db_claim_room_to_free(ProllyDb *db, size_t size, GError **error);

/* Makes tables of what the log holds, if that is more than MAX bytes. */
void prolly_db_shorten_log(ProllyDb *db, uint64_t max);

void prolly_db_start_reclaimer(ProllyDb *db);
/* Before closing: ends the reclaimer, and leaves all on disk and little in the log. */
void prolly_db_settle(ProllyDb *db);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyDbMark, prolly_db_mark_free)
