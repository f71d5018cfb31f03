/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of our own figures on RocksDB: RocksDB itself, as one table without history and without
 * hashes, on the data and the workloads of bench-tree.
 *
 *	bench-rocksdb --n N --dir DIR [--tsv]
 *
 * Loads are batches of 1,000 through its log, and are not synced (ours are). It has 128 MiB of
 * memtable, bloom filters, a block cache that holds everything, and no compression, which these
 * values do not take.
 */
#include "bench-data.h"
#include "bench-report.h"

#include <rocksdb/c.h>

#define BATCH   1000
#define READS   200000
#define COMMITS 500

typedef struct {
	BenchReport report;
	char *scratch; /* a directory of its own */
	BenchEdits entries;

	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_writeoptions_t *write;
	rocksdb_readoptions_t *read;
} Floor;

static void check(char *failure)
{
	if (failure)
		g_error("bench-rocksdb: %s", failure);
}

static void open_db(Floor *self)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	char *failure = NULL;

	bench_remove_all(self->scratch);
	self->options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(self->options, 1);
	rocksdb_options_set_write_buffer_size(self->options, 128u << 20);
	rocksdb_options_set_compression(self->options, rocksdb_no_compression);
	rocksdb_block_based_options_set_filter_policy(table,
						      rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_block_based_options_set_block_cache(table, rocksdb_cache_create_lru(512u << 20));
	rocksdb_options_set_block_based_table_factory(self->options, table);
	rocksdb_block_based_options_destroy(table);
	self->write = rocksdb_writeoptions_create();
	self->read = rocksdb_readoptions_create();
	self->db = rocksdb_open(self->options, self->scratch, &failure);
	check(failure);
}

static void close_db(Floor *self)
{
	rocksdb_close(self->db);
	rocksdb_writeoptions_destroy(self->write);
	rocksdb_readoptions_destroy(self->read);
	rocksdb_options_destroy(self->options);
}

/* Loads the entries in ORDER; NULL: in that of their keys. */
static void load(Floor *self, const char *workload, const uint64_t *order)
{
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	double start = bench_get_seconds();
	char *failure = NULL;

	for (uint64_t i = 0; i < self->report.n; i++) {
		const ProllyEdit *edit = &self->entries.edits[order ? order[i] : i];

		rocksdb_writebatch_put(batch, (const char *)edit->key, edit->key_len,
				       (const char *)edit->value, edit->value_len);
		if ((i + 1) % BATCH != 0 && i + 1 != self->report.n)
			continue;
		rocksdb_write(self->db, self->write, batch, &failure);
		check(failure);
		rocksdb_writebatch_clear(batch);
	}
	bench_emit(&self->report, workload,
		   (bench_get_seconds() - start) * 1e9 / (double)self->report.n, "ns/entry",
		   "batches of 1000, log on, not synced");
	rocksdb_writebatch_destroy(batch);
}

static void settle(Floor *self)
{
	rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
	char *failure = NULL;

	rocksdb_flush(self->db, flush, &failure);
	check(failure);
	rocksdb_flushoptions_destroy(flush);
	rocksdb_compact_range(self->db, NULL, 0, NULL, 0);
}

static void get_all(Floor *self, const uint8_t *keys)
{
	for (size_t i = 0; i < READS; i++) {
		char *failure = NULL;
		rocksdb_pinnableslice_t *value = rocksdb_get_pinned(
			self->db, self->read, (const char *)keys + i * BENCH_KEY_LEN, BENCH_KEY_LEN,
			&failure);

		check(failure);
		must(value, NULL);
		rocksdb_pinnableslice_destroy(value);
	}
}

static void run_gets(Floor *self)
{
	g_autofree uint8_t *keys = g_malloc((size_t)READS * BENCH_KEY_LEN);
	BenchRandom random = bench_random_start(7);
	double start;

	for (size_t i = 0; i < READS; i++)
		bench_make_key(keys + i * BENCH_KEY_LEN,
			       2 * bench_random_below(&random, self->report.n));
	get_all(self, keys);
	start = bench_get_seconds();
	get_all(self, keys);
	bench_emit(&self->report, "get_hit", (bench_get_seconds() - start) * 1e9 / READS, "ns", "");
}

static void run_commits(Floor *self)
{
	g_autofree double *seconds = g_new(double, COMMITS);
	BenchRandom random = bench_random_start(12);

	rocksdb_writeoptions_set_sync(self->write, 1);
	for (size_t i = 0; i < COMMITS; i++) {
		BenchEdits edit = bench_edits_new(1);
		double start = bench_get_seconds();
		char *failure = NULL;

		bench_edits_put(&edit, 2 * bench_random_below(&random, self->report.n) + 1, 2);
		rocksdb_put(self->db, self->write, (const char *)edit.keys, BENCH_KEY_LEN,
			    (const char *)edit.values, BENCH_VALUE_LEN, &failure);
		check(failure);
		seconds[i] = bench_get_seconds() - start;
		bench_edits_clear(&edit);
	}
	bench_emit(&self->report, "commit_insert_1", bench_get_median(seconds, COMMITS) * 1e6, "us",
		   "one synced write; median of 500");
}

int main(int argc, char **argv)
{
	Floor self = {.report = {.peer = "rocksdb"}};
	g_autofree char *dir = bench_parse_arguments(argc, argv, &self.report);
	g_autofree uint64_t *order = NULL;

	self.scratch = g_build_filename(dir, "bench-rocksdb", NULL);
	self.entries = bench_make_entries(self.report.n);
	order = bench_make_permutation(self.report.n, 3);
	open_db(&self);
	load(&self, "bulk_random", order);
	close_db(&self);
	open_db(&self);
	load(&self, "bulk_sorted", NULL);
	settle(&self);
	run_gets(&self);
	run_commits(&self);
	close_db(&self);
	bench_emit(&self.report, "disk_per_entry",
		   bench_get_disk_bytes(self.scratch) / (double)self.report.n, "bytes",
		   "124 of key and value; compacted, closed");
	bench_edits_clear(&self.entries);
	bench_remove_all(self.scratch);
	g_free(self.scratch);
	return 0;
}
