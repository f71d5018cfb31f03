/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database's space: what it takes, and giving it back.
 *
 * Room. A write is refused here, before RocksDB sees it, unless the disk has room for it twice (in
 * the log, and in the table that the log's contents become) besides what memory holds already and
 * a margin. So neither the log nor a flush runs into the end of the disk, unless other programs
 * fill it meanwhile. RocksDB survives that, with one exception, which is what this is for: when the
 * *first* write to a new log fails (likely enough: a new log is begun when the flush of the old one
 * takes the last space), RocksDB 7.8 resumes with that same log, and its next write to it, or the
 * opening that reads it, is an assertion that fails in Debian's build, and an error for ever in others.
 *
 * To ask the kernel at each write would cost more than the write. What was found free is good for
 * ROOM_USEC, and for a part of it.
 *
 * What takes something away (TIDYING, note_freeing) must not be refused for the want of it: most of
 * the margin is for that. A garbage collection that uses it up drops tables, and has it again.
 *
 * A generation that was committed is deleted as a range: one tombstone, and gigabytes below it.
 * Tables wholly in the range are dropped at once. But RocksDB never does that in its top level,
 * where tables may overlap, and there is what was staged last; so what is left of a large range is
 * compacted, which meets the tombstone and writes nothing. One thread does it behind the callers'
 * backs, and closing waits for it, so that a closed store is small. What is left of a small range
 * is not worth it: the next flush or compaction takes it along. While a snapshot from before the
 * deletion is there, all of it is put off: RocksDB would drop tables that the snapshot has.
 *
 * Tables are dropped for good at once, though what deleted their contents may be in the log alone: who
 * has them dropped has synced that it needs them no more (prolly_db_sync).
 *
 * What a garbage collection deletes lies among what stays. Tables in which nothing stays are dropped
 * at once, too, which takes no room and so can be done on a full disk; the rest is written anew if a
 * sixteenth of it is dead, and else when RocksDB's own compaction comes by.
 *
 * Closing also leaves little for the next opening to replay: a log of more than LOG_LEFT bytes is
 * flushed into tables (one of 2 MB with a load's 34,000 index entries takes 100 ms to replay). A
 * shorter one is left, since flushing writes a file for each family touched, and a command that
 * opens a store for one change should not.
 */
#include "store/db-private.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define LOG_LEFT    (1u << 20)
#define RECLAIM_MIN (8u << 20)
#define SPILL_MIN   (3u << 20)
/* A range is compacted if one part of so many, at least, is dead. */
#define WORTH_SHARE 16

#define ROOM_MARGIN (2u << 20)   /* for what has no log: names of tables, marks, references */
#define ROOM_LEFT   (256u << 10) /* of the margin, for what gives space back */
#define ROOM_USEC   (10 * 1000)
#define ROOM_PART   4 /* of what is free: one may be used before it is measured again */

typedef struct {
	ProllyDbFamily family;
	char *lower;
	size_t lower_len;
	char *upper;
	size_t upper_len;
	uint64_t deleted; /* the number that was written last when it was */
} Range;

static uint64_t get_property(ProllyDb *db, ProllyDbFamily family, const char *name)
{
	uint64_t value = 0;

	rocksdb_property_int_cf(db->rocks, db->families[family], name, &value);
	return value;
}

/* ---- Room -------------------------------------------------------------------------------- */

uint64_t prolly_db_measure_free(const ProllyDb *db)
{
	struct statvfs fs;

	if (statvfs(db->path, &fs) != 0)
		return UINT64_MAX;
	return (uint64_t)(geteuid() == 0 ? fs.f_bfree : fs.f_bavail) * fs.f_frsize;
}

/* Bytes in memory, which are to become tables. */
static uint64_t measure_unwritten(ProllyDb *db)
{
	uint64_t bytes = 0;

	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++)
		bytes += get_property(db, (ProllyDbFamily)i, "rocksdb.cur-size-all-mem-tables");
	return bytes;
}

bool prolly_db_has_begun_memtable(ProllyDb *db)
{
	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++)
		if (get_property(db, (ProllyDbFamily)i, "rocksdb.num-entries-active-mem-table") > 0)
			return true;
	return false;
}

/* What MEASURE adds up over the files of the log. */
static uint64_t measure_logs(const ProllyDb *db, uint64_t (*measure)(const struct stat *st))
{
	GDir *dir = g_dir_open(db->path, 0, NULL);
	const char *name;
	uint64_t bytes = 0;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(db->path, name, NULL);
		struct stat st;

		if (g_str_has_suffix(name, ".log") && stat(file, &st) == 0)
			bytes += measure(&st);
	}
	if (dir)
		g_dir_close(dir);
	return bytes;
}

static uint64_t get_length(const struct stat *st)
{
	return (uint64_t)st->st_size;
}

/* Blocks that the file has beyond its end. */
static uint64_t get_reserved(const struct stat *st)
{
	uint64_t blocks = (uint64_t)st->st_blocks * 512;
	uint64_t length = (uint64_t)st->st_size;

	return blocks > length ? blocks - length : 0;
}

/* Bytes that may be written: RocksDB has a log's blocks allocated ahead, up to a full memory. */
static uint64_t measure_room(ProllyDb *db, uint64_t taken, uint64_t needed)
{
	uint64_t free = prolly_db_measure_free(db);

	if (free < taken + needed)
		free += measure_logs(db, get_reserved);
	return free > taken ? free - taken : 0;
}

static bool throw_no_room(const ProllyDb *db, size_t size, GError **error)
{
	return prolly_throw(error, PROLLY_ERROR_NO_SPACE,
			    "%s: no space left on the disk (for %zu bytes)", db->path, size);
}

bool prolly_db_claim_room(ProllyDb *db, size_t size, GError **error)
{
	if (db->in_memory)
		return true;
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->room_lock);
	gint64 now = g_get_monotonic_time();
	uint64_t needed = 2 * (uint64_t)size;

	if (needed > db->room || now > db->room_until) {
		uint64_t taken = measure_unwritten(db) + ROOM_MARGIN;
		uint64_t room = measure_room(db, taken, needed);

		db->room = 0;
		if (room < needed)
			return throw_no_room(db, size, error);
		db->room = MAX(room / ROOM_PART, needed);
		db->room_until = now + ROOM_USEC;
	}
	db->room -= needed;
	return true;
}

bool prolly_db_claim_room_to_free(ProllyDb *db, size_t size, GError **error)
{
	uint64_t needed = 2 * (uint64_t)size;

	if (prolly_db_claim_room(db, size, NULL) ||
	    measure_room(db, measure_unwritten(db) + ROOM_LEFT, needed) >= needed)
		return true;
	return throw_no_room(db, size, error);
}

/* ---- Reclaiming -------------------------------------------------------------------------- */

/* Nobody waits for the result: a range that could not be compacted now will be by and by. */
static void flush_family(ProllyDb *db, ProllyDbFamily family)
{
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	char *failure = NULL;

	rocksdb_flush_cf(db->rocks, options, db->families[family], &failure);
	g_clear_pointer(&failure, rocksdb_free);
	rocksdb_flushoptions_destroy(options);
}

/* The tombstone has to leave memory to meet what it deletes. */
static void compact_range(ProllyDb *db, const Range *range)
{
	rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();

	flush_family(db, range->family);
	rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
	rocksdb_compact_range_cf_opt(db->rocks, db->families[range->family], options, range->lower,
				     range->lower_len, range->upper, range->upper_len);
	rocksdb_compactoptions_destroy(options);
}

/* Bytes of the tables in the range, deleted or not. */
static uint64_t measure_range(ProllyDb *db, const Range *range)
{
	char *failure = NULL;
	uint64_t size = 0;

	rocksdb_approximate_sizes_cf(db->rocks, db->families[range->family], 1,
				     (const char *const *)&range->lower, &range->lower_len,
				     (const char *const *)&range->upper, &range->upper_len, &size,
				     &failure);
	g_clear_pointer(&failure, rocksdb_free);
	return size;
}

void prolly_db_drop_files(ProllyDb *db, ProllyDbFamily family, const void *lower, size_t lower_len,
			  const void *upper, size_t upper_len)
{
	char *failure = NULL;

	rocksdb_delete_file_in_range_cf(db->rocks, db->families[family], lower, lower_len, upper,
					upper_len, &failure);
	g_clear_pointer(&failure, rocksdb_free);
}

static bool is_worth_compacting(ProllyDb *db, const Range *range)
{
	/* What is on its way to a table is not measured, and would be there with nobody to remove
	 * it. */
	return get_property(db, range->family, "rocksdb.num-immutable-mem-table") > 0 ||
	       measure_range(db, range) >= RECLAIM_MIN;
}

static void drop_files(ProllyDb *db, const Range *range)
{
	prolly_db_drop_files(db, range->family, range->lower, range->lower_len, range->upper,
			     range->upper_len);
}

static void range_free(gpointer data)
{
	Range *range = data;

	g_free(range->lower);
	g_free(range->upper);
	g_free(range);
}

static void reclaim_range(gpointer data, gpointer db)
{
	drop_files(db, data);
	if (is_worth_compacting(db, data))
		compact_range(db, data);
	range_free(data);
}

/* Up to this number no snapshot has what was deleted. An older one has it, but not what is dropped. */
static uint64_t get_unseen(ProllyDb *db)
{
	uint64_t oldest = get_property(db, PROLLY_DB_META, "rocksdb.oldest-snapshot-sequence");

	return get_property(db, PROLLY_DB_META, "rocksdb.num-snapshots") > 0 ? oldest : UINT64_MAX;
}

void prolly_db_reclaim_unseen(ProllyDb *db)
{
	g_autoptr(GMutexLocker) locker = NULL;
	uint64_t unseen;

	if (g_atomic_int_get(&db->n_seen) == 0)
		return;
	locker = g_mutex_locker_new(&db->seen_lock);
	unseen = get_unseen(db);
	for (guint i = db->seen->len; i-- > 0;) {
		if (((Range *)g_ptr_array_index(db->seen, i))->deleted <= unseen)
			g_thread_pool_push(db->reclaimer, g_ptr_array_steal_index_fast(db->seen, i),
					   NULL);
	}
	g_atomic_int_set(&db->n_seen, (gint)db->seen->len);
}

static void put_off(ProllyDb *db, Range *range)
{
	g_mutex_lock(&db->seen_lock);
	g_ptr_array_add(db->seen, range);
	g_atomic_int_set(&db->n_seen, (gint)db->seen->len);
	g_mutex_unlock(&db->seen_lock);
	prolly_db_reclaim_unseen(db); /* the snapshot may have gone meanwhile */
}

void prolly_db_reclaim_range(ProllyDb *db, ProllyDbFamily family, const void *lower,
			     size_t lower_len, const void *upper, size_t upper_len)
{
	Range *range = g_new(Range, 1);

	*range = (Range){
		.family = family,
		.lower = g_memdup2(lower, lower_len),
		.lower_len = lower_len,
		.upper = g_memdup2(upper, upper_len),
		.upper_len = upper_len,
		.deleted = rocksdb_get_latest_sequence_number(db->rocks),
	};
	if (range->deleted > get_unseen(db)) {
		put_off(db, range);
		return;
	}
	drop_files(db, range);
	if (is_worth_compacting(db, range))
		g_thread_pool_push(db->reclaimer, range, NULL);
	else
		range_free(range);
}

/* Compaction writes what stays before it removes what there was. One for which there turns out to be
 * no space has done no harm; but RocksDB does not try others then until there is the reserve. */
static bool has_room(const ProllyDb *db, uint64_t bytes)
{
	uint64_t free = db->in_memory ? UINT64_MAX : prolly_db_measure_free(db);

	return free > bytes + PROLLY_DB_RESERVE ||
	       (free > ROOM_LEFT && (free - ROOM_LEFT) / 2 > bytes);
}

static void flush_all(ProllyDb *db)
{
	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++)
		flush_family(db, (ProllyDbFamily)i);
}

void prolly_db_spill(ProllyDb *db)
{
	bool is_done = false;

	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++) {
		ProllyDbFamily family = (ProllyDbFamily)i;

		if (get_property(db, family, "rocksdb.cur-size-all-mem-tables") < SPILL_MIN)
			continue;
		flush_family(db, family);
		is_done = true;
	}
#ifdef __GLIBC__
	/* Each of RocksDB's threads keeps what it freed. */
	if (is_done)
		malloc_trim(0);
#else
	(void)is_done;
#endif
}

/* Nobody is told of a failure: what was promised is in the log, which stays then. */
void prolly_db_shorten_log(ProllyDb *db, uint64_t max)
{
	if (measure_logs(db, get_length) > max)
		flush_all(db);
}

void prolly_db_make_room(ProllyDb *db)
{
	if (!db->in_memory && prolly_db_measure_free(db) < 2 * PROLLY_DB_RESERVE)
		flush_all(db);
}

void prolly_db_compact_range(ProllyDb *db, ProllyDbFamily family, const void *lower,
			     size_t lower_len, const void *upper, size_t upper_len, uint64_t dead)
{
	Range range = {family, (char *)lower, lower_len, (char *)upper, upper_len, 0};
	uint64_t size;

	/* The log goes when nothing of it is in memory alone, of any family. */
	if (db->in_memory || prolly_db_measure_free(db) > PROLLY_DB_RESERVE)
		flush_family(db, family);
	else
		flush_all(db);
	size = measure_range(db, &range);
	if (dead >= size / WORTH_SHARE && has_room(db, size - MIN(dead, size)))
		compact_range(db, &range);
}

void prolly_db_start_reclaimer(ProllyDb *db)
{
	/* A thread that is made when it is needed cannot fail to be made here. */
	db->reclaimer = g_thread_pool_new(reclaim_range, db, 1, FALSE, NULL);
	db->seen = g_ptr_array_new_with_free_func(range_free);
}

void prolly_db_settle(ProllyDb *db)
{
	g_thread_pool_free(g_steal_pointer(&db->reclaimer), FALSE, TRUE);
	g_clear_pointer(&db->seen, g_ptr_array_unref);
	if (db->in_memory)
		return;
	/* What is there would be replayed by the next opening. */
	prolly_db_shorten_log(db, LOG_LEFT);
	(void)prolly_db_sync(db, NULL);
}

/* ---- Figures ----------------------------------------------------------------------------- */

bool prolly_db_get_size(ProllyDb *db, ProllyDbFamily family, uint64_t *out_keys,
			uint64_t *out_bytes, GError **error)
{
	*out_keys = get_property(db, family, "rocksdb.estimate-num-keys");
	*out_bytes = get_property(db, family, "rocksdb.live-sst-files-size") +
		     get_property(db, family, "rocksdb.cur-size-all-mem-tables");
	return true;
}
