/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database, open: reads and writes, over RocksDB's C interface. (Iterators: db-iter.c.)
 *
 * Errors. RocksDB gives a text; what it begins with decides the code (prolly_db_throw).
 *
 * A full disk. Writes for which there is no room are refused before (db-space.c). Should others
 * fill the disk, so that a write to the log or a flush finds no space, RocksDB refuses writes with
 * that same error until its own watcher, which looks every five seconds, has seen the space come
 * back and has flushed what is in memory; its C interface has no call to resume at once. Reads go
 * on meanwhile, and nothing that was written is lost. So a write that is refused while there *is*
 * space again waits for the watcher; without space it fails at once.
 *
 * Wounds. Other errors at the log RocksDB does not recover from, but by a call that its C interface has
 * not; and Debian's build ends the process by an assertion when such a log is used again, be it to sync
 * or to close it. Nor may a sync be tried again: the kernel takes what it could not write for written.
 * So from then on nothing is written or synced by this process: reads go on, everybody else is told of
 * what failed first, and the next opening recovers as after a crash. The same where there was no space
 * for the first write of all to a log, or to sync it, as RocksDB goes on with it (db-space.c); and
 * where it has not resumed, with space, in RESUME_WAIT_USEC: it gives up if that fails while it
 * resumes.
 *
 * Ingestion. Sorted entries become a table file beside the others, which RocksDB then adopts by a
 * link: no log, no memtable, and no compaction ever if the keys are above all others of the family.
 *
 * Ranges. A range that was deleted is cheap to write, and dear to everyone who reads its family until
 * the memtable is flushed, since each iterator sorts all such ranges anew. A commit deletes two,
 * mostly of a key or none: the thousandth commit of one key took 590 us so, of which 210 to stage
 * it, where the first took 380 and 75. With keys deleted one by one all take 370, and 50 to stage.
 */
#include "base/memory.h"
#include "store/db-private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The watcher looks every 5 s; then it flushes. */
#define RESUME_WAIT_USEC (30 * G_USEC_PER_SEC)
#define RESUME_POLL_USEC (50 * 1000)

#define DELETED_ONE_BY_ONE 64 /* keys of a range */

/* A table that compression makes smaller by less than a sixteenth is dense. */
#define DENSE_GAIN   16
#define DENSE_TABLES 7 /* that follow one */

/* What is known of a family. From KEYS_UNKNOWN it becomes one of the others. */
typedef enum {
	KEYS_UNKNOWN,
	KEYS_NONE,
	KEYS_SOME, /* or there were, or are in some batch */
} Holding;

struct ProllyDbBatch {
	ProllyDb *db;
	rocksdb_writebatch_t *batch;
	ProllyDbKeys *staged;
	bool is_freeing;
};

/* ---- Errors ------------------------------------------------------------------------------ */

static bool is_no_space(const char *text)
{
	return strstr(text, "No space left on device") || strstr(text, "Space limit reached") ||
	       strstr(text, "Disk quota exceeded");
}

static ProllyErrorCode classify_text(const char *text)
{
	if (is_no_space(text))
		return PROLLY_ERROR_NO_SPACE;
	if (g_str_has_prefix(text, "Corruption"))
		return PROLLY_ERROR_CORRUPT;
	if (strstr(text, "lock hold by current process") || strstr(text, "While lock file"))
		return PROLLY_ERROR_LOCKED;
	/* The database names its own files, so one that is not there was lost. */
	if (strstr(text, "No such file or directory"))
		return PROLLY_ERROR_CORRUPT;
	return PROLLY_ERROR_FAILED;
}

bool prolly_db_throw(GError **error, char *text, const char *what)
{
	prolly_throw(error, classify_text(text), "%s: %s", what, text);
	rocksdb_free(text);
	return false;
}

bool prolly_db_check_unhurt(ProllyDb *db, GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->sync_lock);

	return !db->wound ||
	       prolly_throw(error, PROLLY_ERROR_FAILED,
			    "%s: nothing can be written until it is mounted again, since: %s",
			    db->path, db->wound);
}

/* From now on nothing is written, because of TEXT; the first one stays. */
static void wound(ProllyDb *db, const char *text)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->sync_lock);

	if (!db->wound)
		db->wound = g_strdup(text);
}

/* ---- Read -------------------------------------------------------------------------------- */

static const rocksdb_readoptions_t *get_read_options(const ProllyDb *db,
						     const ProllyDbSnapshot *snapshot)
{
	return snapshot ? snapshot->read : db->read;
}

static void destroy_pinned(gpointer pinned)
{
	rocksdb_pinnableslice_destroy(pinned);
}

/*
 * (transfer full) A copy, since what RocksDB pins is aligned to nothing; consumes PINNED. A chunk,
 * of which nobody wants that, stays where it is, if it has a block to itself.
 */
static GBytes *take_pinned(rocksdb_pinnableslice_t *pinned, ProllyDbFamily family, GError **error)
{
	size_t len;
	const char *data = rocksdb_pinnableslice_value(pinned, &len);
	GBytes *bytes;

	if (family == PROLLY_DB_CHUNKS && len >= PROLLY_DB_BLOCK)
		return g_bytes_new_with_free_func(data, len, destroy_pinned, pinned);
	bytes = prolly_try_bytes(data, len, "an entry of the database", error);
	destroy_pinned(pinned);
	return bytes;
}

static bool get_from_rocks(ProllyDb *db, ProllyDbFamily family, const ProllyDbSnapshot *snapshot,
			   const void *key, size_t key_len, GBytes **out_value, GError **error)
{
	char *failure = NULL;
	rocksdb_pinnableslice_t *pinned =
		rocksdb_get_pinned_cf(db->rocks, get_read_options(db, snapshot),
				      db->families[family], key, key_len, &failure);

	if (failure)
		return prolly_db_throw(error, failure, db->path);
	if (!pinned) {
		*out_value = NULL;
		return true;
	}
	GBytes *value = take_pinned(pinned, family, error);

	if (value)
		*out_value = value;
	return value != NULL;
}

bool prolly_db_get(ProllyDb *db, ProllyDbFamily family, const ProllyDbSnapshot *snapshot,
		   const void *key, size_t key_len, GBytes **out_value, GError **error)
{
	uint64_t changes;

	if (family != PROLLY_DB_STAGED || snapshot)
		return get_from_rocks(db, family, snapshot, key, key_len, out_value, error);
	if (prolly_db_recent_get(db->recent, key, key_len, out_value, &changes))
		return true;
	if (!get_from_rocks(db, family, NULL, key, key_len, out_value, error))
		return false;
	prolly_db_recent_enter(db->recent, key, key_len, *out_value, changes);
	return true;
}

static bool are_sorted(const void *const *keys, size_t key_len, size_t n)
{
	size_t i = 1;

	while (i < n && memcmp(keys[i - 1], keys[i], key_len) <= 0)
		i++;
	return i >= n;
}

bool prolly_db_get_many(ProllyDb *db, ProllyDbFamily family, const void *const *keys,
			size_t key_len, size_t n, GBytes **out_values, GError **error)
{
	g_autofree size_t *lens = prolly_try_new(size_t, n, "keys", error);
	g_autofree rocksdb_pinnableslice_t **pinned =
		lens ? prolly_try_new0(rocksdb_pinnableslice_t *, n, "keys", error) : NULL;
	g_autofree char **failures = pinned ? prolly_try_new0(char *, n, "keys", error) : NULL;
	g_autofree GBytes **values = failures ? prolly_try_new0(GBytes *, n, "keys", error) : NULL;
	bool ok = true;

	if (!values)
		return false;
	for (size_t i = 0; i < n; i++)
		lens[i] = key_len;
	rocksdb_batched_multi_get_cf(db->rocks, db->read, db->families[family], n,
				     (const char *const *)keys, lens, pinned, failures,
				     are_sorted(keys, key_len, n));
	for (size_t i = 0; i < n; i++) {
		if (failures[i] && ok)
			ok = prolly_db_throw(error, failures[i], db->path);
		else if (failures[i])
			rocksdb_free(failures[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (ok && pinned[i])
			ok = (values[i] = take_pinned(pinned[i], family, error)) != NULL;
		else if (pinned[i])
			rocksdb_pinnableslice_destroy(pinned[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (ok)
			out_values[i] = values[i];
		else
			g_bytes_unref(values[i]);
	}
	return ok;
}

ProllyDbSnapshot *prolly_db_snapshot_new(ProllyDb *db)
{
	ProllyDbSnapshot *snapshot = g_new0(ProllyDbSnapshot, 1);

	snapshot->snapshot = rocksdb_create_snapshot(db->rocks);
	snapshot->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_snapshot(snapshot->read, snapshot->snapshot);
	return snapshot;
}

void prolly_db_snapshot_free(ProllyDb *db, ProllyDbSnapshot *snapshot)
{
	if (!snapshot)
		return;
	rocksdb_readoptions_destroy(snapshot->read);
	rocksdb_release_snapshot(db->rocks, snapshot->snapshot);
	g_free(snapshot);
	prolly_db_reclaim_unseen(db);
}

/* ---- Batches ----------------------------------------------------------------------------- */

ProllyDbBatch *prolly_db_batch_new(ProllyDb *db)
{
	ProllyDbBatch *batch = g_new0(ProllyDbBatch, 1);

	batch->db = db;
	batch->batch = rocksdb_writebatch_create();
	batch->staged = prolly_db_keys_new();
	return batch;
}

void prolly_db_batch_free(ProllyDbBatch *batch)
{
	if (!batch)
		return;
	rocksdb_writebatch_destroy(batch->batch);
	prolly_db_keys_free(batch->staged);
	g_free(batch);
}

void prolly_db_batch_clear(ProllyDbBatch *batch)
{
	prolly_db_keys_clear(batch->staged);
	rocksdb_writebatch_clear(batch->batch);
	batch->is_freeing = false;
}

void prolly_db_batch_note_freeing(ProllyDbBatch *batch)
{
	batch->is_freeing = true;
}

size_t prolly_db_batch_get_size(const ProllyDbBatch *batch)
{
	size_t size;

	rocksdb_writebatch_data(batch->batch, &size);
	return size;
}

void prolly_db_batch_put(ProllyDbBatch *batch, ProllyDbFamily family, const void *key,
			 size_t key_len, const void *value, size_t value_len)
{
	g_atomic_int_set(&batch->db->holdings[family], KEYS_SOME);
	rocksdb_writebatch_put_cf(batch->batch, batch->db->families[family], key, key_len, value,
				  value_len);
	if (family == PROLLY_DB_STAGED)
		prolly_db_keys_add(batch->staged, key, key_len, value, value_len);
}

void prolly_db_batch_put_parts(ProllyDbBatch *batch, ProllyDbFamily family, const void *key,
			       size_t key_len, const ProllyDbPart parts[2])
{
	const char *const keys[] = {key}, *const values[] = {parts[0].data, parts[1].data};
	const size_t key_lens[] = {key_len}, value_lens[] = {parts[0].len, parts[1].len};

	g_assert(family != PROLLY_DB_STAGED);
	g_atomic_int_set(&batch->db->holdings[family], KEYS_SOME);
	rocksdb_writebatch_putv_cf(batch->batch, batch->db->families[family], 1, keys, key_lens, 2,
				   values, value_lens);
}

void prolly_db_batch_delete(ProllyDbBatch *batch, ProllyDbFamily family, const void *key,
			    size_t key_len)
{
	rocksdb_writebatch_delete_cf(batch->batch, batch->db->families[family], key, key_len);
	if (family == PROLLY_DB_STAGED)
		prolly_db_keys_add(batch->staged, key, key_len, NULL, 0);
}

void prolly_db_batch_delete_range(ProllyDbBatch *batch, ProllyDbFamily family, const void *lower,
				  size_t lower_len, const void *upper, size_t upper_len)
{
	rocksdb_writebatch_delete_range_cf(batch->batch, batch->db->families[family], lower,
					   lower_len, upper, upper_len);
	if (family == PROLLY_DB_STAGED)
		prolly_db_keys_add_all(batch->staged);
}

/* FAMILY has had no key since the database was opened. */
static bool is_unused(ProllyDb *db, ProllyDbFamily family)
{
	gint *holding = &db->holdings[family];

	if (g_atomic_int_get(holding) == KEYS_UNKNOWN) {
		g_autoptr(ProllyDbIter) iter = prolly_db_iter_new(db, family, NULL, "", 0, NULL, 0);

		prolly_db_iter_seek_first(iter);
		/* Should a key be put meanwhile, that stands. */
		if (prolly_db_iter_is_valid(iter) || !prolly_db_iter_check(iter, NULL))
			g_atomic_int_set(holding, KEYS_SOME);
		else
			(void)g_atomic_int_compare_and_exchange(holding, KEYS_UNKNOWN, KEYS_NONE);
	}
	return g_atomic_int_get(holding) == KEYS_NONE;
}

void prolly_db_batch_delete_present(ProllyDbBatch *batch, ProllyDbFamily family, const void *lower,
				    size_t lower_len, const void *upper, size_t upper_len)
{
	g_autoptr(ProllyDbIter) iter = NULL;
	unsigned n = 0;

	if (is_unused(batch->db, family))
		return;
	iter = prolly_db_iter_new(batch->db, family, NULL, lower, lower_len, upper, upper_len);
	for (prolly_db_iter_seek_first(iter);
	     n < DELETED_ONE_BY_ONE && prolly_db_iter_is_valid(iter); prolly_db_iter_next(iter))
		n++;
	if (prolly_db_iter_is_valid(iter) || !prolly_db_iter_check(iter, NULL)) {
		prolly_db_batch_delete_range(batch, family, lower, lower_len, upper, upper_len);
		return;
	}
	for (prolly_db_iter_seek_first(iter); n > 0; prolly_db_iter_next(iter), n--) {
		size_t len;
		const uint8_t *key = prolly_db_iter_get_key(iter, &len);

		prolly_db_batch_delete(batch, family, key, len);
	}
}

/* ---- Write ------------------------------------------------------------------------------- */

/*
 * True, and *FAILURE cleared, if what failed may be tried again: it was refused for want of space
 * that is there now, and has been tried for less than RESUME_WAIT_USEC since *SINCE (at first 0).
 */
static bool wait_to_resume(ProllyDb *db, char **failure, gint64 *since)
{
	gint64 now = g_get_monotonic_time();

	if (*since == 0)
		*since = now;
	if (db->in_memory || !is_no_space(*failure) ||
	    prolly_db_measure_free(db) <= PROLLY_DB_RESERVE)
		return false;
	if (now - *since > RESUME_WAIT_USEC) {
		wound(db, *failure);
		return false;
	}
	g_clear_pointer(failure, rocksdb_free);
	g_usleep(RESUME_POLL_USEC);
	return true;
}

/* Is it a log that could not be written or synced, or the directory with a new log's name? */
static bool concerns_log(const char *failure)
{
	return strstr(failure, ".log: ") || strstr(failure, "While fsync: a directory");
}

/* RocksDB says of a log's failure the same to whoever writes until it has resumed; what is in
 * memtables is only known at first, as it resumes by flushing that. No log has its number again. */
static bool is_pardoned(ProllyDb *db, const char *failure)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->sync_lock);

	return g_strcmp0(db->pardoned, failure) == 0;
}

static void pardon(ProllyDb *db, const char *failure)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->sync_lock);

	if (!strstr(failure, ".log: ")) /* it does not say which */
		return;
	g_free(db->pardoned);
	db->pardoned = g_strdup(failure);
}

/* Does RocksDB resume, once there is space? With that same log, unless something is in a memtable that
 * takes writes. The log may have what failed: what is written next has its number, and once two have
 * the same number and key, no opening gets past them. */
static bool is_curable(ProllyDb *db, const char *failure)
{
	if (!is_no_space(failure))
		return false;
	if (!concerns_log(failure) || is_pardoned(db, failure))
		return true;
	if (!prolly_db_has_begun_memtable(db))
		return false;
	pardon(db, failure);
	return true;
}

/* Writes BATCH, once; *OUT_FAILURE (transfer full) says what RocksDB has against it. */
static bool try_batch(ProllyDb *db, const ProllyDbBatch *batch,
		      const rocksdb_writeoptions_t *options, char **out_failure, GError **error)
{
	if (!prolly_db_check_unhurt(db, error))
		return false;
	rocksdb_write(db->rocks, options, batch->batch, out_failure);
	if (*out_failure && !is_curable(db, *out_failure))
		wound(db, *out_failure);
	return true;
}

static bool write_batch(ProllyDb *db, const ProllyDbBatch *batch, ProllyDbDurability durability,
			GError **error)
{
	const rocksdb_writeoptions_t *options =
		durability == PROLLY_DB_SYNC ? db->write_synced : db->write_buffered;
	bool is_freeing = batch->is_freeing || durability == PROLLY_DB_TIDYING;
	size_t size = prolly_db_batch_get_size(batch);
	gint64 since = 0;
	char *failure = NULL;

	if (!(is_freeing ? prolly_db_claim_room_to_free(db, size, error)
			 : prolly_db_claim_room(db, size, error)))
		return false;
	do {
		if (!try_batch(db, batch, options, &failure, error))
			return false;
	} while (failure && wait_to_resume(db, &failure, &since));
	g_atomic_int_set(&db->is_broken, failure != NULL);
	return failure ? prolly_db_throw(error, failure, db->path) : true;
}

/* How many writes there were before now that somebody may want synced. */
static uint64_t count_written(ProllyDb *db)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->sync_lock);

	return db->n_written;
}

/* One more, which is in the log. */
static void note_written(ProllyDb *db)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->sync_lock);

	db->n_written++;
}

/* The first COUNT of them are on disk, as is all up to number SEQUENCE. */
static void note_synced(ProllyDb *db, uint64_t count, uint64_t sequence)
{
	g_mutex_lock(&db->sync_lock);
	db->n_synced = MAX(db->n_synced, count);
	g_mutex_unlock(&db->sync_lock);
	if (db->mark)
		prolly_db_mark_raise(db->mark, sequence);
}

static bool is_synced(ProllyDb *db, uint64_t count)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&db->sync_lock);

	return count <= db->n_synced;
}

/*
 * A synced write takes the log before it along, so all up to its own last number is on disk; that
 * number is at least the last one before it, plus what the batch holds.
 */
bool prolly_db_write(ProllyDb *db, ProllyDbBatch *batch, ProllyDbDurability durability,
		     GError **error)
{
	bool synced = durability == PROLLY_DB_SYNC;
	uint64_t n_before = count_written(db);
	uint64_t reached = rocksdb_get_latest_sequence_number(db->rocks) +
			   (uint64_t)rocksdb_writebatch_count(batch->batch);

	uint64_t begun = prolly_db_recent_begin(db->recent, batch->staged);
	bool done = write_batch(db, batch, durability, error);

	prolly_db_recent_end(db->recent, batch->staged, begun, done);
	if (!done)
		return false;
	prolly_db_batch_clear(batch);
	if (synced)
		note_synced(db, n_before, reached);
	else if (durability == PROLLY_DB_BUFFERED)
		note_written(db);
	return true;
}

/* Syncs after a write that found no space: by another one, which waits for RocksDB to resume. Its log
 * may not be touched as it was. */
static bool sync_by_write(ProllyDb *db, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);

	prolly_db_batch_delete(batch, PROLLY_DB_META, "sync", 4);
	return prolly_db_write(db, batch, PROLLY_DB_SYNC, error);
}

bool prolly_db_sync(ProllyDb *db, GError **error)
{
	uint64_t n_before = count_written(db);
	uint64_t reached = rocksdb_get_latest_sequence_number(db->rocks);
	char *failure = NULL;

	if (!db->mark) /* in memory there is no power to cut */
		return true;
	if (!prolly_db_check_unhurt(db, error))
		return false;
	if (g_atomic_int_get(&db->is_broken))
		return sync_by_write(db, error);
	if (is_synced(db, n_before))
		return true;
	rocksdb_flush_wal(db->rocks, 1, &failure);
	if (failure) {
		wound(db, failure);
		return prolly_db_throw(error, failure, db->path);
	}
	note_synced(db, n_before, reached);
	return true;
}

/* ---- Ingest ------------------------------------------------------------------------------ */

char *prolly_db_dup_ingest_dir(const ProllyDb *db)
{
	return g_build_filename(db->path, "incoming", NULL);
}

/*
 * Compressing what does not compress costs as much as writing it. So the family's tables are left
 * uncompressed for a while, if one was hardly smaller for it: then another is tried.
 */
static void note_gain(ProllyDb *db, ProllyDbFamily family, uint64_t before, uint64_t after)
{
	bool is_dense = after > before - before / DENSE_GAIN;

	g_atomic_int_set(&db->n_uncompressed[family], is_dense ? DENSE_TABLES : 0);
}

/* (transfer full) What a table of FAMILY is written with: somebody waits for it, so it is LZ4 that
 * compresses it. */
static rocksdb_options_t *make_table_options(ProllyDb *db, ProllyDbFamily family, bool compress)
{
	rocksdb_options_t *options = rocksdb_options_create_copy(db->family_options[family]);

	if (!compress)
		rocksdb_options_set_compression(options, rocksdb_no_compression);
	else if (rocksdb_options_get_compression(options) != rocksdb_no_compression)
		rocksdb_options_set_compression(options, rocksdb_lz4_compression);
	return options;
}

static bool write_table(ProllyDb *db, ProllyDbFamily family, const ProllyDbEntry *entries, size_t n,
			const char *path, GError **error)
{
	bool compress = g_atomic_int_add(&db->n_uncompressed[family], -1) <= 0;
	rocksdb_envoptions_t *env_options = rocksdb_envoptions_create();
	rocksdb_options_t *options = make_table_options(db, family, compress);
	rocksdb_sstfilewriter_t *writer = rocksdb_sstfilewriter_create(env_options, options);
	uint64_t before = 0;
	uint64_t after = 0;
	char *failure = NULL;

	rocksdb_sstfilewriter_open(writer, path, &failure);
	for (size_t i = 0; i < n && !failure; i++)
		rocksdb_sstfilewriter_put(writer, entries[i].key, entries[i].key_len,
					  entries[i].value, entries[i].value_len, &failure);
	if (!failure)
		rocksdb_sstfilewriter_finish(writer, &failure);
	rocksdb_sstfilewriter_file_size(writer, &after);
	for (size_t i = 0; i < n; i++)
		before += entries[i].key_len + entries[i].value_len;
	if (compress && !failure)
		note_gain(db, family, before, after);
	rocksdb_sstfilewriter_destroy(writer);
	rocksdb_options_destroy(options);
	rocksdb_envoptions_destroy(env_options);
	return failure ? prolly_db_throw(error, failure, db->path) : true;
}

static bool make_ingest_dir(ProllyDb *db, const char *dir, GError **error)
{
	char *failure = NULL;

	if (!db->in_memory && mkdir(dir, 0777) < 0 && errno != EEXIST)
		return prolly_throw_errno(error, errno, "make %s", dir);
	if (db->in_memory)
		rocksdb_create_dir_if_missing(db->env, dir, &failure);
	return failure ? prolly_db_throw(error, failure, dir) : true;
}

bool prolly_db_build_table(ProllyDb *db, ProllyDbFamily family, const ProllyDbEntry *entries,
			   size_t n, char **out_path, GError **error)
{
	g_autofree char *dir = prolly_db_dup_ingest_dir(db);
	g_autofree char *path =
		g_strdup_printf("%s/%d.sst", dir, g_atomic_int_add(&db->n_ingests, 1));

	if (!make_ingest_dir(db, dir, error))
		return false;
	if (!write_table(db, family, entries, n, path, error)) {
		prolly_db_discard_table(db, path);
		return false;
	}
	*out_path = g_steal_pointer(&path);
	return true;
}

bool prolly_db_adopt_tables(ProllyDb *db, ProllyDbFamily family, const char *const *paths, size_t n,
			    GError **error)
{
	rocksdb_ingestexternalfileoptions_t *options;
	gint64 since = 0;
	char *failure = NULL;

	if (!prolly_db_check_unhurt(db, error))
		return false;
	options = rocksdb_ingestexternalfileoptions_create();
	rocksdb_ingestexternalfileoptions_set_move_files(options, 1);
	g_mutex_lock(&db->adoption_lock);
	do {
		rocksdb_ingest_external_file_cf(db->rocks, db->families[family], paths, n, options,
						&failure);
	} while (failure && wait_to_resume(db, &failure, &since));
	g_mutex_unlock(&db->adoption_lock);
	rocksdb_ingestexternalfileoptions_destroy(options);
	if (failure)
		return prolly_db_throw(error, failure, db->path);
	g_atomic_int_set(&db->holdings[family], KEYS_SOME);
	if (family == PROLLY_DB_STAGED)
		prolly_db_recent_empty(db->recent);
	return true;
}

void prolly_db_discard_table(const ProllyDb *db, const char *path)
{
	if (!db->in_memory)
		(void)unlink(path);
}

bool prolly_db_ingest(ProllyDb *db, ProllyDbFamily family, const ProllyDbEntry *entries, size_t n,
		      GError **error)
{
	g_autofree char *path = NULL;
	const char *paths[1];

	if (n == 0)
		return true;
	if (!prolly_db_build_table(db, family, entries, n, &path, error))
		return false;
	paths[0] = path;
	if (prolly_db_adopt_tables(db, family, paths, 1, error))
		return true;
	prolly_db_discard_table(db, path);
	return false;
}

/* ---- Keys -------------------------------------------------------------------------------- */

size_t prolly_db_prefix_end(const void *prefix, size_t prefix_len, uint8_t *out)
{
	const uint8_t *p = prefix;

	while (prefix_len > 0 && p[prefix_len - 1] == 0xff)
		prefix_len--;
	if (prefix_len == 0)
		return 0;
	memcpy(out, p, prefix_len);
	out[prefix_len - 1]++;
	return prefix_len;
}
