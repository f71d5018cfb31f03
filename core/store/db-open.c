/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the database: RocksDB's options, what may be opened and what must not be touched, and
 * the check that recovery lost nothing that was promised.
 *
 * What is there decides. A directory without a database is made into one only if the caller wants
 * that and it is empty; a directory with some of a database's files but not its CURRENT is damage,
 * not an invitation to start afresh; a RocksDB of other families is someone else's. All of that is
 * found before anything is written.
 *
 * Recovery. RocksDB's opening replays the log and deletes it, and deletes tables that its manifest
 * does not name, taking a manifest or log cut short for what a power cut leaves. So first comes a
 * read-only opening, which writes nothing: if it ends before the mark (db-mark.c), opening is
 * refused and the files are left for whoever can save something. That costs a millisecond, and the
 * replay of the log again, of which closing leaves a megabyte at most (db.c).
 *
 * Checksums. RocksDB as distributions build it, for any processor, computes CRC32C by table, at
 * 1.3 GB/s; so tables carry XXH3 sums: reading one node of a block of 16 KiB took 12.0 us with the
 * one, 4.7 us with the other, and writing 117 MiB of nodes 167 and 112 ms of the processor. (The
 * log has CRC32C always, as have blob files.)
 *
 * Nothing but its settings goes to RocksDB's file LOG. Who asked is told of errors; and where the disk
 * is full, the second line that could not be written there ends the process by an assertion, in
 * Debian's build.
 *
 * Memory. The node cache above is the cache; here is a small one for blocks, filters and indices,
 * a smaller one for chunks' blocks, which their nodes pin (db.c), and memtables of all families share
 * one bound. Filter and index of the nodes' hashes are in parts of 4 KiB, since those of ten million
 * nodes are 14 MiB, and to make a table with the whole filter takes as much again: a look-up among
 * ten million takes 8.0 for 6.6 us so, among a million the same. Who goes over everything gets by with
 * a fifth of the cache (prolly_db_set_lean). A compaction reads ahead by half a megabyte, of each
 * table that goes in: a collection among ten million nodes took 20 MiB less than with two.
 */
#include "store/db-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMTABLES              "67108864" /* of all families together */
#define MAX_LOG                "134217728"
#define BLOCK_CACHE            (32u << 20)
#define LEAN_BLOCK_CACHE       (6u << 20)
#define BLOCK_CACHE_SHARD_BITS 2
#define CHUNK_CACHE            (2u << 20)
#define XXH3                   4 /* rocksdb::ChecksumType, which the C interface does not name */

/* clang-format off */
#define WRITE_BUFFER "write_buffer_size=16777216;" /* PROLLY_DB_RESERVE */

static const char *const database_options =
	"paranoid_checks=true;"
	"allow_concurrent_memtable_write=false;" /* writers are few: 5 % less without its atomics */
	"track_and_verify_wals_in_manifest=true;"
	"wal_recovery_mode=kPointInTimeRecovery;"
	"db_write_buffer_size=" MEMTABLES ";"
	"max_total_wal_size=" MAX_LOG ";"
	"max_open_files=512;"
	"max_file_opening_threads=1;" /* of 16 for each family: 17 ms to open, with one 7 */
	"max_background_jobs=2;"
	"bytes_per_sync=1048576;"
	"wal_bytes_per_sync=1048576;"
	"compaction_readahead_size=524288;"
	"stats_dump_period_sec=0;"
	"stats_persist_period_sec=0;"
	"info_log_level=FATAL_LEVEL;"
	"max_log_file_size=1048576;"
	"keep_log_file_num=2;"
	"max_manifest_file_size=4194304;"
	"manifest_preallocation_size=65536;"
	/* Of the family "default", which is empty, but has a say in the space kept free. */
	WRITE_BUFFER;

#define FAMILY(compression)                                                                        \
	WRITE_BUFFER "max_write_buffer_number=4;level_compaction_dynamic_level_bytes=true;ttl=0;"  \
	"compression=" compression ";"
/* Nodes and chunks are compressed (store-rocksdb.c has figures); what is short-lived is not. The
 * numbers are zlib's window, the level, a strategy and the size of a dictionary. */
#define PLAIN  FAMILY("kNoCompression")
#define PACKED FAMILY("kZSTD") "compression_opts=-14:1:0:0;"
/* A large load is read once, at its commit, and dropped: merging its runs early is lost work. */
#define LAZY                                                                                       \
	PLAIN "level0_file_num_compaction_trigger=8;level0_slowdown_writes_trigger=32;"            \
	      "level0_stop_writes_trigger=48;"
/* Keys are mostly staged in order, each with its directory's record: where the last one of the same
 * branch, generation and type went into the memtable is remembered, and is where the next one goes. */
#define HINTED "memtable_insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.13;"
/* Most keys looked up are not there, and the newest are in the memtable. */
#define FILTERED "memtable_prefix_bloom_size_ratio=0.05;memtable_whole_key_filtering=true;"

typedef struct {
	const char *name;
	const char *options;
	int block_size;
	int bloom_bits; /* 0: keys looked up are there, or the family is too small to matter */
	bool has_own_cache;  /* blocks are pinned there (db.c); an index entry is for 64 KiB */
	bool is_partitioned; /* filter and index: of all nodes there are, they would fill the cache */
} FamilySpec;

static const FamilySpec family_specs[] = {
	[PROLLY_DB_META] = { "meta", PLAIN, 4096, 10 },
	[PROLLY_DB_NODES] = { "nodes", PACKED, PROLLY_DB_BLOCK, 0 },
	[PROLLY_DB_CHUNKS] = { "chunks", PACKED, PROLLY_DB_BLOCK, 0, true },
	[PROLLY_DB_INDEX] = { "index", PLAIN FILTERED, 4096, 10, false, true },
	[PROLLY_DB_STAGED] = { "staged", LAZY FILTERED HINTED, 16384, 10 },
	[PROLLY_DB_EXTENTS] = { "extents", PLAIN, 16384, 0 },
	[PROLLY_DB_JOURNAL] = { "journal", PLAIN, 4096, 0 },
};
/* clang-format on */

G_STATIC_ASSERT(G_N_ELEMENTS(family_specs) == PROLLY_DB_N_FAMILIES);

/* The family "default" comes last, as RocksDB must be told of it. */
#define N_NAMES (PROLLY_DB_N_FAMILIES + 1)

static void fill_names(const char *names[N_NAMES])
{
	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++)
		names[i] = family_specs[i].name;
	names[PROLLY_DB_N_FAMILIES] = "default";
}

/* ---- Options ----------------------------------------------------------------------------- */

/* (transfer full) BASE with the settings in TEXT, which is ours: a mistake in it is a bug. */
static rocksdb_options_t *parse_options(rocksdb_options_t *base, const char *text)
{
	rocksdb_options_t *options = rocksdb_options_create();
	char *failure = NULL;

	rocksdb_get_options_from_string(base, text, options, &failure);
	if (failure)
		g_error("database options: %s", failure);
	return options;
}

static rocksdb_options_t *new_family_options(ProllyDb *db, const FamilySpec *spec)
{
	rocksdb_options_t *options = parse_options(db->options, spec->options);
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_cache(table, spec->has_own_cache ? db->chunk_cache
									       : db->block_cache);
	rocksdb_block_based_options_set_block_size(table, (size_t)spec->block_size);
	rocksdb_block_based_options_set_format_version(table, 5);
	rocksdb_block_based_options_set_checksum(table, XXH3);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, !spec->has_own_cache);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
	if (spec->is_partitioned) {
		rocksdb_block_based_options_set_index_type(
			table, rocksdb_block_based_table_index_type_two_level_index_search);
		rocksdb_block_based_options_set_partition_filters(table, 1);
	}
	if (spec->bloom_bits)
		rocksdb_block_based_options_set_filter_policy(
			table, rocksdb_filterpolicy_create_bloom_full(spec->bloom_bits));
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
	return options;
}

/* In few shards: a table's filter is one block, of a megabyte and more, and one that is larger than
 * a shard is read again for each key that is looked up. */
static rocksdb_cache_t *new_cache(size_t capacity, int shard_bits)
{
	rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
	rocksdb_cache_t *cache;

	rocksdb_lru_cache_options_set_capacity(options, capacity);
	rocksdb_lru_cache_options_set_num_shard_bits(options, shard_bits);
	cache = rocksdb_cache_create_lru_opts(options);
	rocksdb_lru_cache_options_destroy(options);
	return cache;
}

void prolly_db_set_lean(ProllyDb *db, bool is_lean)
{
	rocksdb_cache_set_capacity(db->block_cache, is_lean ? LEAN_BLOCK_CACHE : BLOCK_CACHE);
}

static void make_options(ProllyDb *db)
{
	rocksdb_options_t *base = rocksdb_options_create();

	db->env = db->in_memory ? rocksdb_create_mem_env() : rocksdb_create_default_env();
	db->block_cache = new_cache(BLOCK_CACHE, BLOCK_CACHE_SHARD_BITS);
	db->chunk_cache = new_cache(CHUNK_CACHE, 0);
	rocksdb_options_set_env(base, db->env);
	db->options = parse_options(base, database_options);
	rocksdb_options_destroy(base);
	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++)
		db->family_options[i] = new_family_options(db, &family_specs[i]);

	db->read = rocksdb_readoptions_create();
	db->write_buffered = rocksdb_writeoptions_create();
	db->write_synced = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(db->write_synced, 1);
}

static void free_options(ProllyDb *db)
{
	rocksdb_writeoptions_destroy(db->write_synced);
	rocksdb_writeoptions_destroy(db->write_buffered);
	rocksdb_readoptions_destroy(db->read);
	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++)
		rocksdb_options_destroy(db->family_options[i]);
	rocksdb_options_destroy(db->options);
	rocksdb_cache_destroy(db->chunk_cache);
	rocksdb_cache_destroy(db->block_cache);
	rocksdb_env_destroy(db->env);
}

/* ---- What is there ----------------------------------------------------------------------- */

typedef enum {
	SITE_NOTHING,
	SITE_EMPTY,
	SITE_DATABASE,
	SITE_DAMAGED, /* some of a database, without CURRENT */
	SITE_FOREIGN,
} Site;

static bool is_database_file(const char *name)
{
	return g_str_has_prefix(name, "MANIFEST-") || g_str_has_suffix(name, ".sst") ||
	       g_str_has_prefix(name, "OPTIONS-") || strcmp(name, "IDENTITY") == 0 ||
	       (g_ascii_isdigit(name[0]) && g_str_has_suffix(name, ".log"));
}

static bool survey_site(const char *path, Site *out_site, GError **error)
{
	g_autofree char *mark = g_strconcat(path, ".mark", NULL);
	Site site = SITE_EMPTY;
	const char *name;
	GDir *dir = g_dir_open(path, 0, NULL);

	if (!dir) {
		if (errno != ENOENT)
			return prolly_throw_errno(error, errno, "open %s", path);
		/* Where there is a mark, there was a database. */
		*out_site = g_file_test(mark, G_FILE_TEST_EXISTS) ? SITE_DAMAGED : SITE_NOTHING;
		return true;
	}
	while (site != SITE_DATABASE && (name = g_dir_read_name(dir))) {
		if (strcmp(name, "CURRENT") == 0)
			site = SITE_DATABASE;
		else if (is_database_file(name))
			site = SITE_DAMAGED;
		else if (site == SITE_EMPTY)
			site = SITE_FOREIGN;
	}
	g_dir_close(dir);
	*out_site = site;
	return true;
}

/* Is the database one of ours, of this version? One with a MARK was. */
static bool check_families(ProllyDb *db, const char *mark, GError **error)
{
	const char *wanted[N_NAMES];
	char *failure = NULL;
	size_t n;
	unsigned n_known = 0;
	bool ok = true;
	char **names = rocksdb_list_column_families(db->options, db->path, &n, &failure);

	if (failure) {
		rocksdb_list_column_families_destroy(names, n);
		return prolly_db_throw(error, failure, db->path);
	}
	fill_names(wanted);
	for (size_t i = 0; i < n; i++) {
		for (int j = 0; j < N_NAMES; j++)
			n_known += strcmp(names[i], wanted[j]) == 0;
	}
	if (n_known < N_NAMES && g_file_test(mark, G_FILE_TEST_EXISTS))
		ok = prolly_throw(error, PROLLY_ERROR_CORRUPT,
				  "%s is damaged: its manifest ends too early", db->path);
	else if (n_known < N_NAMES)
		ok = prolly_throw(error, PROLLY_ERROR_NOT_A_STORE,
				  "%s: a database, but not one of prollyfs", db->path);
	else if (n > N_NAMES)
		ok = prolly_throw(error, PROLLY_ERROR_NEWER_FORMAT,
				  "%s: a database made by a newer version of prollyfs", db->path);
	rocksdb_list_column_families_destroy(names, n);
	return ok;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static bool open_rocks(ProllyDb *db, bool read_only, GError **error)
{
	const char *names[N_NAMES];
	const rocksdb_options_t *options[N_NAMES];
	rocksdb_column_family_handle_t *handles[N_NAMES];
	char *failure = NULL;

	fill_names(names);
	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++)
		options[i] = db->family_options[i];
	options[PROLLY_DB_N_FAMILIES] = db->options;

	if (read_only)
		db->rocks = rocksdb_open_for_read_only_column_families(
			db->options, db->path, N_NAMES, names, options, handles, 0, &failure);
	else
		db->rocks = rocksdb_open_column_families(db->options, db->path, N_NAMES, names,
							 options, handles, &failure);
	if (failure) {
		db->rocks = NULL;
		return prolly_db_throw(error, failure, db->path);
	}
	memcpy(db->families, handles, sizeof(db->families));
	db->default_family = handles[PROLLY_DB_N_FAMILIES];
	return true;
}

static void close_rocks(ProllyDb *db)
{
	if (!db->rocks)
		return;
	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++)
		rocksdb_column_family_handle_destroy(db->families[i]);
	rocksdb_column_family_handle_destroy(db->default_family);
	rocksdb_close(db->rocks);
	db->rocks = NULL;
}

static bool create_database(ProllyDb *db, GError **error)
{
	if (!db->in_memory && g_mkdir_with_parents(db->path, 0777) < 0)
		return prolly_throw_errno(error, errno, "make %s", db->path);
	rocksdb_options_set_create_if_missing(db->options, 1);
	rocksdb_options_set_create_missing_column_families(db->options, 1);
	if (!open_rocks(db, false, error))
		return false;
	if (db->in_memory)
		return true;
	g_autofree char *mark = g_strconcat(db->path, ".mark", NULL);

	return prolly_db_mark_create(mark, &db->mark, error);
}

static bool check_recovered(ProllyDb *db, GError **error)
{
	uint64_t reached = rocksdb_get_latest_sequence_number(db->rocks);
	uint64_t promised = prolly_db_mark_get(db->mark);

	if (reached >= promised)
		return true;
	return prolly_throw(error, PROLLY_ERROR_CORRUPT,
			    "%s is damaged: it ends at write %" G_GUINT64_FORMAT
			    ", but %" G_GUINT64_FORMAT " was synced",
			    db->path, reached, promised);
}

static bool rehearse_recovery(ProllyDb *db, GError **error)
{
	if (!open_rocks(db, true, error))
		return false;
	bool ok = check_recovered(db, error);

	close_rocks(db);
	return ok;
}

/* Files that were on their way in when the process died. */
static void remove_strays(const ProllyDb *db)
{
	g_autofree char *path = prolly_db_dup_ingest_dir(db);
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		(void)unlink(file);
	}
	if (dir)
		g_dir_close(dir);
}

static bool open_existing(ProllyDb *db, GError **error)
{
	g_autofree char *mark = g_strconcat(db->path, ".mark", NULL);

	if (!check_families(db, mark, error) || !prolly_db_mark_open(mark, &db->mark, error) ||
	    !rehearse_recovery(db, error) || !open_rocks(db, false, error))
		return false;
	remove_strays(db);
	return check_recovered(db, error);
}

static bool open_site(ProllyDb *db, bool create, GError **error)
{
	Site site = SITE_NOTHING;

	if (db->in_memory)
		return create_database(db, error);
	if (!survey_site(db->path, &site, error))
		return false;
	switch (site) {
	case SITE_NOTHING:
	case SITE_EMPTY:
		if (create)
			return create_database(db, error);
		return prolly_throw(error, PROLLY_ERROR_NOT_A_STORE, "%s: no database there",
				    db->path);
	case SITE_DATABASE:
		return open_existing(db, error);
	case SITE_DAMAGED:
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "%s is damaged: a database whose file CURRENT is missing",
				    db->path);
	default:
		return prolly_throw(error, PROLLY_ERROR_NOT_A_STORE,
				    "%s: not a database, and not empty", db->path);
	}
}

static void free_db(ProllyDb *db)
{
	close_rocks(db);
	prolly_db_mark_free(db->mark);
	free_options(db);
	prolly_db_recent_free(db->recent);
	g_mutex_clear(&db->room_lock);
	g_mutex_clear(&db->adoption_lock);
	g_mutex_clear(&db->sync_lock);
	g_mutex_clear(&db->seen_lock);
	g_free(db->wound);
	g_free(db->pardoned);
	g_free(db->path);
	g_free(db);
}

bool prolly_db_open(const ProllyDbOptions *options, ProllyDb **out_db, GError **error)
{
	ProllyDb *db;

	if (!prolly_rocksdb_load(error))
		return false;
	db = g_new0(ProllyDb, 1);
	g_mutex_init(&db->room_lock);
	g_mutex_init(&db->adoption_lock);
	g_mutex_init(&db->sync_lock);
	g_mutex_init(&db->seen_lock);
	db->in_memory = options->path == NULL;
	db->path = g_strdup(db->in_memory ? "/database-in-memory" : options->path);
	db->recent = prolly_db_recent_new(error);
	make_options(db);
	if (!db->recent || !open_site(db, options->create, error)) {
		free_db(db);
		return false;
	}
	prolly_db_start_reclaimer(db);
	*out_db = db;
	return true;
}

#ifdef __GLIBC__
/* on_exit(3): before the destructors of what RocksDB's threads use. */
static void end_at_once(int status, void *data)
{
	fflush(stdout);
	fflush(stderr);
	_exit(status);
}
#endif

/*
 * A log whose last write failed cannot be closed: RocksDB asserts that nothing more is done to its
 * file, and its own closing does. What was written before is in the file; the rest was refused. So
 * such a database is left as a crash would leave it, for the next opening, which is in another
 * process: this one keeps the lock to its end. RocksDB's threads go on, too, and one of them, which
 * resumes when there is space again, met an exit in the middle of it: SIGSEGV. So nothing comes after
 * the exit then.
 */
static void leave_open(void)
{
#ifdef __GLIBC__
	(void)on_exit(end_at_once, NULL);
#endif
}

void prolly_db_close(ProllyDb *db)
{
	if (!db)
		return;
	if (g_atomic_int_get(&db->is_broken) || !prolly_db_check_unhurt(db, NULL)) {
		leave_open();
		return;
	}
	prolly_db_settle(db);
	free_db(db);
}
