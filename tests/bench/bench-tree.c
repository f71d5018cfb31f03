/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree's benchmark: the workloads that other prolly trees are measured on, over a store in
 * memory and one on RocksDB.
 *
 *	bench-tree --n N --dir DIR --cap SECONDS [--only memory|rocksdb] [--tsv]
 *
 * Prints one figure a line, {"peer","workload","n","value","unit","note"} with the peer "ours" or
 * "ours-rocksdb", as who runs others beside us wants it; or with --tsv, for scripts/bench, the
 * fields PEER, WORKLOAD, N, UNIT, VALUE, NOTE between tabs, with our name. A workload that takes
 * longer than SECONDS is ended early, and its note says after how many calls.
 *
 * What is timed is one call after the other on one thread, without counting. The same calls are
 * made once more through a store that counts, each with figures of its own, and the note has what
 * one of them costs in the mean: "r" nodes and bytes read, "w" written. Chained edits give the same
 * trees the second time, so that nothing is written twice but everything is counted.
 *
 * The cache holds the whole tree, as the caches of those beside which we are measured do; what a
 * read costs that misses it is a workload of its own (get_cold).
 */
#include "bench-data.h"
#include "bench-report.h"
#include "store/db.h"

#define LOADS        3
#define READS        200000
#define TOGETHER     16
#define CHAIN        500 /* single edits, one on the other */
#define BATCHES      20
#define COMMITS      200
#define COLD_READS   2000
#define COUNTED_GETS 1000
#define CACHE_ENTRY  320 /* bytes of cache that an entry may take, with what edits add */
#define SMALL_CACHE  (64u << 20)

typedef struct {
	BenchReport report;
	uint64_t n;
	double cap;
	char *scratch; /* a directory of its own */
	const char *only;

	ProllyDb *db; /* NULL in memory */
	ProllyTreeContext context;
	ProllyTree base;
	BenchEdits entries; /* of base; gone after the loads */
} Bench;

/* ---- Work -------------------------------------------------------------------------------- */

/* One call of a workload: CONTEXT counts or not; I is the number of the call. */
typedef void (*CallFunc)(const ProllyTreeContext *context, size_t i, void *data);

/* What N calls read and wrote in the mean, each counted by itself. */
static char *count_work(const ProllyTreeContext *context, CallFunc call, void *data, size_t n,
			ProllyWorkFigures *out_sum)
{
	ProllyWorkFigures sum = {0};

	for (size_t i = 0; i < n; i++) {
		ProllyWork *work = prolly_work_new();
		ProllyTreeContext counting = *context;
		ProllyWorkFigures figures;

		counting.store = prolly_store_new_counting(context->store, work);
		call(&counting, i, data);
		prolly_work_get_figures(work, &figures);
		sum.nodes_read += figures.nodes_read;
		sum.bytes_read += figures.bytes_read;
		sum.nodes_written += figures.nodes_written;
		sum.bytes_written += figures.bytes_written;
		prolly_store_unref(counting.store);
		prolly_work_unref(work);
	}
	*out_sum = sum;
	return g_strdup_printf(
		"r %.2f nodes %.0f B, w %.2f nodes %.0f B", (double)sum.nodes_read / (double)n,
		(double)sum.bytes_read / (double)n, (double)sum.nodes_written / (double)n,
		(double)sum.bytes_written / (double)n);
}

/* Seconds of up to MAX calls; *OUT_CALLS of them. */
static double time_calls(const Bench *self, CallFunc call, void *data, size_t max,
			 size_t *out_calls)
{
	double start = bench_get_seconds(), end = start;
	size_t i = 0;

	while (i < max && end - start < self->cap) {
		call(&self->context, i++, data);
		/* The clock costs as much as some calls. */
		if (i == max || max <= 1000 || i % 64 == 0)
			end = bench_get_seconds();
	}
	*out_calls = i;
	return end - start;
}

/* PER: of how many things one call is. */
static void measure(const Bench *self, const char *workload, const char *unit, double per,
		    CallFunc call, void *data, size_t max)
{
	double scale = g_str_has_prefix(unit, "us") ? 1e6 : 1e9;
	size_t calls;
	double seconds = time_calls(self, call, data, max, &calls);
	ProllyWorkFigures work;
	g_autofree char *counts =
		count_work(&self->context, call, data, MIN(calls, COUNTED_GETS), &work);
	g_autofree char *note =
		calls < max ? g_strdup_printf("%s; %zu calls", counts, calls) : g_strdup(counts);

	bench_emit(&self->report, workload, seconds * scale / (double)calls / per, unit, note);
	if (max == CHAIN) {
		g_autofree char *bytes = g_strconcat(workload, "_bytes", NULL);
		g_autofree char *nodes = g_strconcat(workload, "_nodes", NULL);

		bench_emit(&self->report, bytes, (double)work.bytes_written / (double)calls,
			   "bytes", "");
		bench_emit(&self->report, nodes, (double)work.nodes_written / (double)calls,
			   "nodes", "");
	}
}

static double get_status_mib(const char *field)
{
	g_autofree char *status = NULL;

	if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL))
		return 0;
	const char *line = strstr(status, field);

	return line ? g_ascii_strtod(line + strlen(field), NULL) / 1024 : 0;
}

/* What the process has at most from now on is what VmHWM says later. */
static void forget_peak(void)
{
	FILE *file = fopen("/proc/self/clear_refs", "w");

	if (!file)
		return;
	fputs("5", file);
	fclose(file);
}

/* ---- Stores ------------------------------------------------------------------------------ */

static void open_store_with_cache(Bench *self, bool create, uint64_t cache_size)
{
	GError *error = NULL;
	g_autofree char *path = g_build_filename(self->scratch, "db", NULL);
	ProllyStoreOptions options = {
		.kind = PROLLY_BACKEND_MEMORY,
		.cache_size = cache_size,
	};

	if (strcmp(self->only, "rocksdb") == 0) {
		ProllyDbOptions db = {.path = path, .create = create};

		if (create)
			bench_remove_all(self->scratch);
		g_mkdir_with_parents(self->scratch, 0700);
		must(prolly_db_open(&db, &self->db, &error), error);
		options.kind = PROLLY_BACKEND_ROCKSDB;
		options.db = self->db;
	}
	must(prolly_store_open(&options, &self->context.store, &error), error);
}

static void open_store(Bench *self, bool create)
{
	open_store_with_cache(self, create, (256u << 20) + self->n * CACHE_ENTRY);
}

static void close_store(Bench *self)
{
	prolly_store_unref(self->context.store);
	prolly_db_close(self->db);
	self->db = NULL;
}

/* Everything put so far survives a power cut. */
static void make_durable(const Bench *self)
{
	GError *error = NULL;

	if (!self->db)
		return;
	must(prolly_store_flush(self->context.store, NULL, &error), error);
	must(prolly_db_sync(self->db, &error), error);
}

/* ---- Loads ------------------------------------------------------------------------------- */

static void load(const ProllyTreeContext *context, size_t i, void *data)
{
	Bench *self = data;
	GError *error = NULL;

	must(prolly_tree_apply_array(context, NULL, self->entries.edits, self->entries.n,
				     &self->base, &error),
	     error);
}

static double time_load(Bench *self)
{
	double start = bench_get_seconds();

	load(&self->context, 0, self);
	make_durable(self);
	return (bench_get_seconds() - start) * 1e9 / (double)self->n;
}

static char *count_load(Bench *self)
{
	ProllyWorkFigures work;

	return count_work(&self->context, load, self, 1, &work);
}

/* Entries that are made when they are asked for, so that nothing but the load takes memory. */
typedef struct {
	uint64_t next, n;
	uint8_t key[BENCH_KEY_LEN], value[BENCH_VALUE_LEN];
} Stream;

static bool next_of_stream(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	Stream *self = data;

	*out_end = self->next == self->n;
	if (*out_end)
		return true;
	bench_make_key(self->key, 2 * self->next);
	bench_make_value(self->value, 2 * self->next, 0);
	self->next++;
	*out_edit = (ProllyEdit){self->key, BENCH_KEY_LEN, self->value, BENCH_VALUE_LEN};
	return true;
}

static void load_streamed(const ProllyTreeContext *context, size_t i, void *data)
{
	Bench *self = data;
	Stream stream = {.n = self->n};
	GError *error = NULL;

	must(prolly_tree_apply(context, NULL, next_of_stream, &stream, &self->base, &error), error);
}

/* A load into a store on disk, with a cache far smaller than the tree. */
static void run_bulk_streamed(Bench *self)
{
	double before, seconds;

	forget_peak();
	before = get_status_mib("VmRSS:");
	open_store_with_cache(self, true, SMALL_CACHE);
	seconds = bench_get_seconds();
	load_streamed(&self->context, 0, self);
	make_durable(self);
	seconds = bench_get_seconds() - seconds;

	double grown = get_status_mib("VmHWM:") - before;
	ProllyWorkFigures work;
	g_autofree char *counts = count_work(&self->context, load_streamed, self, 1, &work);
	g_autofree char *note =
		g_strconcat(counts, "; entries made meanwhile, cache of 64 MiB", NULL);

	bench_emit(&self->report, "bulk_streamed", seconds * 1e9 / (double)self->n, "ns/entry",
		   note);
	bench_emit(&self->report, "rss_streamed", grown, "MiB", "of it 64 the cache");
	close_store(self);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Each load into a new store. The first is on memory that the process has to get from the system, the
 * others on what the store before them left. */
static void run_bulk_sorted(Bench *self)
{
	double before, grown, first, values[LOADS];

	forget_peak();
	before = get_status_mib("VmRSS:");
	values[0] = first = time_load(self);
	grown = get_status_mib("VmHWM:") - before;
	for (unsigned i = 1; i < LOADS; i++) {
		close_store(self);
		open_store(self, true);
		values[i] = time_load(self);
	}
	qsort(values, LOADS, sizeof(*values), compare_doubles);

	g_autofree char *counts = count_load(self);
	g_autofree char *note =
		g_strdup_printf("%s; the median of %d loads, each into a new store", counts, LOADS);

	bench_emit(&self->report, "bulk_sorted", values[LOADS / 2], "ns/entry", note);
	bench_emit(&self->report, "bulk_sorted_first", first, "ns/entry",
		   "the first of them, on memory new to the process");
	bench_emit(&self->report, "rss_bulk", grown, "MiB", "with the tree and its store");
}

/* In a new store, which takes the place of the first. */
static void run_bulk_random(Bench *self)
{
	ProllyHash top = self->base.top;
	GError *error = NULL;
	g_autofree uint64_t *order = bench_make_permutation(self->n, 3);
	g_autofree ProllyEdit *edits = g_new(ProllyEdit, self->n);
	double start;

	for (uint64_t i = 0; i < self->n; i++)
		edits[i] = self->entries.edits[order[i]];
	close_store(self);
	open_store(self, true);
	start = bench_get_seconds();
	prolly_edits_sort(edits, self->n);
	must(prolly_tree_apply_array(&self->context, NULL, edits, self->n, &self->base, &error),
	     error);
	make_durable(self);
	start = bench_get_seconds() - start;
	must(prolly_hash_equal(&top, &self->base.top), NULL);

	g_autofree char *counts = count_load(self);
	g_autofree char *note = g_strconcat(counts, "; sorted, then loaded", NULL);

	bench_emit(&self->report, "bulk_random", start * 1e9 / (double)self->n, "ns/entry", note);
}

/* ---- Reads ------------------------------------------------------------------------------- */

typedef struct {
	const Bench *bench;
	uint8_t *keys;
	size_t n;
	bool present;
	uint64_t sum; /* of bytes looked at, so that they are */
} Reads;

static void get_one(const ProllyTreeContext *context, size_t i, void *data)
{
	Reads *self = data;
	g_auto(ProllyValueRef) value = {0};
	GError *error = NULL;

	must(prolly_tree_get(context, &self->bench->base, self->keys + i * BENCH_KEY_LEN,
			     BENCH_KEY_LEN, &value, &error),
	     error);
	must((value.node != NULL) == self->present, NULL);
	if (value.node)
		self->sum += value.data[0];
}

/* Keys TOGETHER * I and those behind it. */
static void get_together(const ProllyTreeContext *context, size_t i, void *data)
{
	Reads *self = data;
	ProllyKey keys[TOGETHER];
	ProllyValueRef values[TOGETHER];
	GError *error = NULL;

	for (size_t j = 0; j < TOGETHER; j++)
		keys[j] =
			(ProllyKey){self->keys + (i * TOGETHER + j) * BENCH_KEY_LEN, BENCH_KEY_LEN};
	must(prolly_tree_get_many(context, &self->bench->base, keys, TOGETHER, values, &error),
	     error);
	for (size_t j = 0; j < TOGETHER; j++) {
		self->sum += values[j].data[0];
		prolly_value_ref_clear(&values[j]);
	}
}

static void scan(const ProllyTreeContext *context, size_t i, void *data)
{
	Reads *self = data;
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, &self->bench->base);
	GError *error = NULL;
	ProllyTreeEntry entry;
	bool end;
	uint64_t n = 0;

	must(prolly_cursor_seek_first(cursor, &error), error);
	while (true) {
		must(prolly_cursor_read(cursor, &entry, &end, &error), error);
		if (end)
			break;
		self->sum += entry.key[5] + (uint64_t)entry.value[0];
		n++;
	}
	must(n == self->bench->n, NULL);
}

static void draw_keys(Reads *self, size_t n, bool present, uint64_t seed)
{
	BenchRandom random = bench_random_start(seed);

	self->n = n;
	self->present = present;
	for (size_t i = 0; i < n; i++)
		bench_make_key(self->keys + i * BENCH_KEY_LEN,
			       2 * bench_random_below(&random, self->bench->n) + !present);
}

static void run_reads(const Bench *self)
{
	g_autofree uint8_t *keys = g_malloc((size_t)READS * BENCH_KEY_LEN);
	Reads reads = {.bench = self, .keys = keys};
	size_t calls;

	/* Warm: all of the tree is in the cache, and what gets touch in the processor's. */
	time_calls(self, scan, &reads, 1, &calls);
	draw_keys(&reads, READS, true, 7);
	time_calls(self, get_one, &reads, READS, &calls);
	measure(self, "get_hit", "ns", 1, get_one, &reads, READS);
	measure(self, "get_many_16", "ns", TOGETHER, get_together, &reads, READS / TOGETHER);
	draw_keys(&reads, READS, false, 8);
	measure(self, "get_miss", "ns", 1, get_one, &reads, READS);
	measure(self, "scan_all", "ns/entry", (double)self->n, scan, &reads, 1);
}

/* ---- Edits ------------------------------------------------------------------------------- */

/* Batches of one size, applied one on the other. */
typedef struct {
	const Bench *bench;
	BenchEdits all;
	size_t batch;
	ProllyEdit *sorted;
	ProllyTree tree;
} Chain;

static void apply_next(const ProllyTreeContext *context, size_t i, void *data)
{
	Chain *self = data;
	GError *error = NULL;

	if (i == 0)
		self->tree = self->bench->base;
	memcpy(self->sorted, self->all.edits + i * self->batch, self->batch * sizeof(ProllyEdit));
	prolly_edits_sort(self->sorted, self->batch);
	must(prolly_tree_apply_array(context, &self->tree, self->sorted, self->batch, &self->tree,
				     &error),
	     error);
}

static void run_chain(const Bench *self, const char *workload, const char *unit, size_t n,
		      size_t batch, BenchEdits all)
{
	g_autofree ProllyEdit *sorted = g_new(ProllyEdit, batch);
	Chain chain = {.bench = self, .all = all, .batch = batch, .sorted = sorted};

	measure(self, workload, unit, (double)batch, apply_next, &chain, n);
	bench_edits_clear(&chain.all);
}

static void run_single_edits(const Bench *self)
{
	static const char *const names[] = {"insert_1", "update_1", "delete_1"};

	for (unsigned kind = 0; kind < G_N_ELEMENTS(names); kind++) {
		BenchRandom random = bench_random_start(11);
		BenchEdits all = bench_edits_new(CHAIN);

		for (size_t i = 0; i < CHAIN; i++) {
			uint64_t number = 2 * bench_random_below(&random, self->n);

			if (kind == 2)
				bench_edits_delete(&all, number);
			else
				bench_edits_put(&all, number + (kind == 0), 1);
		}
		run_chain(self, names[kind], "us", CHAIN, 1, all);
	}
}

static void run_batches(const Bench *self, const char *workload, size_t batch)
{
	BenchEdits all = bench_edits_new(BATCHES * batch);

	for (size_t i = 0; i < BATCHES; i++) {
		BenchEdits edits = bench_make_edits(self->n, batch, 100 + i, 0, 1, true);

		for (size_t j = 0; j < batch; j++) {
			ProllyEdit edit = edits.edits[j];
			uint8_t *key = all.keys + all.n * BENCH_KEY_LEN;
			uint8_t *value = all.values + all.n * BENCH_VALUE_LEN;

			memcpy(key, edit.key, BENCH_KEY_LEN);
			memcpy(value, edits.values + j * BENCH_VALUE_LEN, BENCH_VALUE_LEN);
			edit.key = key;
			edit.value = edit.value ? value : NULL;
			all.edits[all.n++] = edit;
		}
		bench_edits_clear(&edits);
	}
	run_chain(self, workload, "ns/edit", BATCHES, batch, all);
}

/* ---- Diffs and merges -------------------------------------------------------------------- */

static ProllyTree make_branch(const Bench *self, const ProllyTree *tree, size_t n, uint64_t seed,
			      uint64_t part, uint64_t parts, bool mixed)
{
	BenchEdits edits = bench_make_edits(self->n, n, seed, part, parts, mixed);
	ProllyTree branch;
	GError *error = NULL;

	prolly_edits_sort(edits.edits, edits.n);
	must(prolly_tree_apply_array(&self->context, tree, edits.edits, edits.n, &branch, &error),
	     error);
	bench_edits_clear(&edits);
	return branch;
}

typedef struct {
	ProllyTree base, ours, theirs, merged;
	size_t n_changes;
} Versions;

static void diff_one(const ProllyTreeContext *context, size_t i, void *data)
{
	const Versions *self = data;
	g_autoptr(ProllyDiff) diff =
		prolly_diff_new(context, &self->base, &self->ours, NULL, 0, NULL, 0);
	GError *error = NULL;
	ProllyChange change;
	bool end = false;
	size_t n = 0;

	while (true) {
		must(prolly_diff_next(diff, &change, &end, &error), error);
		if (end)
			break;
		n++;
	}
	must(n == self->n_changes, NULL);
}

static bool next_of_theirs(void *data, ProllyEdit *out_edit, bool *out_end, GError **error)
{
	ProllyMerge *merge = data;
	ProllyMergeStep step;

	do {
		if (!prolly_merge_next(merge, &step, out_end, error))
			return false;
	} while (!*out_end && step.side != PROLLY_SIDE_THEIRS);
	if (!*out_end)
		*out_edit = (ProllyEdit){step.key, step.key_len, step.theirs, step.theirs_len};
	return true;
}

static void merge_one(const ProllyTreeContext *context, size_t i, void *data)
{
	Versions *self = data;
	g_autoptr(ProllyMerge) merge =
		prolly_merge_new(context, &self->base, &self->ours, &self->theirs);
	GError *error = NULL;

	must(prolly_tree_apply(context, &self->ours, next_of_theirs, merge, &self->merged, &error),
	     error);
}

static void run_diff(const Bench *self, const char *workload, size_t n, bool mixed)
{
	Versions versions = {.base = self->base, .n_changes = n};

	versions.ours = make_branch(self, &self->base, n, 500, 0, 1, mixed);
	diff_one(&self->context, 0, &versions);
	measure(self, workload, "us", 1, diff_one, &versions, BATCHES);
}

static void run_merge(const Bench *self, const char *workload, bool mixed)
{
	Versions versions = {.base = self->base};
	ProllyTree want;

	versions.ours = make_branch(self, &self->base, 100, 600, 0, 2, mixed);
	versions.theirs = make_branch(self, &self->base, 100, 601, 1, 2, mixed);
	measure(self, workload, "us", 1, merge_one, &versions, BATCHES);
	want = make_branch(self, &versions.ours, 100, 601, 1, 2, mixed);
	must(prolly_tree_equal(&versions.merged, &want), NULL);
}

/* ---- On disk ----------------------------------------------------------------------------- */

/* Edits of one key, each with the new root made durable in one synced write. */
static void commit_one(const ProllyTreeContext *context, size_t i, void *data)
{
	Chain *self = data;
	ProllyDb *db = self->bench->db;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);
	GError *error = NULL;

	apply_next(context, i, data);
	must(prolly_store_flush(context->store, batch, &error), error);
	prolly_db_batch_put(batch, PROLLY_DB_META, "bench", 5, &self->tree.top,
			    sizeof(self->tree.top));
	must(prolly_db_write(db, batch, PROLLY_DB_SYNC, &error), error);
	prolly_store_flushed(context->store, true);
}

static void run_commits(Bench *self)
{
	g_autofree ProllyEdit *sorted = g_new(ProllyEdit, 1);
	BenchRandom random = bench_random_start(12);
	Chain chain = {
		.bench = self, .all = bench_edits_new(COMMITS), .batch = 1, .sorted = sorted};
	double before, seconds;
	ProllyWorkFigures work;
	size_t calls;

	close_store(self);
	before = bench_get_disk_bytes(self->scratch);
	open_store(self, false);
	for (size_t i = 0; i < COMMITS; i++)
		bench_edits_put(&chain.all, 2 * bench_random_below(&random, self->n) + 1, 2);
	seconds = time_calls(self, commit_one, &chain, COMMITS, &calls);

	g_autofree char *counts = count_work(&self->context, apply_next, &chain, calls, &work);
	g_autofree char *note = g_strconcat(counts, "; nodes and root in one synced write", NULL);

	bench_emit(&self->report, "commit_insert_1", seconds * 1e6 / (double)calls, "us", note);
	bench_edits_clear(&chain.all);
	close_store(self);
	bench_emit(&self->report, "growth_per_commit",
		   (bench_get_disk_bytes(self->scratch) - before) / (double)calls, "bytes",
		   "files after closing");
	open_store(self, false);
}

/* The first reads of a store just opened; what the kernel has cached stays so. */
static void run_cold_reads(Bench *self)
{
	g_autofree uint8_t *keys = g_malloc((size_t)COLD_READS * BENCH_KEY_LEN);
	Reads reads = {.bench = self, .keys = keys};
	double start, first, cold;
	size_t calls;

	close_store(self);
	bench_emit(&self->report, "disk_per_entry",
		   bench_get_disk_bytes(self->scratch) / (double)self->n, "bytes",
		   "124 of key and value");
	draw_keys(&reads, COLD_READS, true, 9);
	start = bench_get_seconds();
	open_store(self, false);
	get_one(&self->context, 0, &reads);
	first = bench_get_seconds() - start;
	cold = time_calls(self, get_one, &reads, COLD_READS, &calls);

	ProllyWorkFigures work;
	g_autofree char *of_first = count_work(&self->context, get_one, &reads, 1, &work);
	g_autofree char *of_cold = count_work(&self->context, get_one, &reads, COLD_READS, &work);
	g_autofree char *note_first = g_strconcat(of_first, "; page cache warm", NULL);
	g_autofree char *note_cold =
		g_strconcat(of_cold, "; the first 2000 gets, page cache warm", NULL);

	bench_emit(&self->report, "reopen_first_get", first * 1e6, "us", note_first);
	bench_emit(&self->report, "get_cold", cold * 1e9 / COLD_READS, "ns", note_cold);
}

/* ---- All of it --------------------------------------------------------------------------- */

static void run_all(Bench *self)
{
	if (strcmp(self->only, "rocksdb") == 0)
		run_bulk_streamed(self);
	open_store(self, true);
	self->entries = bench_make_entries(self->n);
	run_bulk_sorted(self);
	run_bulk_random(self);
	bench_edits_clear(&self->entries);
	if (self->db)
		run_cold_reads(self);
	run_reads(self);
	run_single_edits(self);
	run_batches(self, "batch_100", 100);
	run_batches(self, "batch_1000", 1000);
	run_diff(self, "diff_1", 1, true);
	run_diff(self, "diff_100", 100, true);
	run_diff(self, "diff_1000", 1000, true);
	run_merge(self, "merge_100x100", true);
	run_diff(self, "diff_100_updates", 100, false);
	run_merge(self, "merge_100x100_updates", false);
	if (self->db)
		run_commits(self);
	bench_emit(&self->report, "rss_peak", get_status_mib("VmHWM:"), "MiB",
		   "whole process, entries to load included");
	close_store(self);
	bench_remove_all(self->scratch);
}

int main(int argc, char **argv)
{
	Bench self = {.n = 10000, .cap = 5, .only = ""};
	const char *dir = g_get_tmp_dir();
	gint64 n = (gint64)self.n;
	const GOptionEntry options[] = {
		{"n", 0, 0, G_OPTION_ARG_INT64, &n, "entries", "N"},
		{"dir", 0, 0, G_OPTION_ARG_FILENAME, &dir, "where stores go", "DIR"},
		{"cap", 0, 0, G_OPTION_ARG_DOUBLE, &self.cap, "end a workload early", "SECONDS"},
		{"only", 0, 0, G_OPTION_ARG_STRING, &self.only, "memory or rocksdb", "STORE"},
		{"tsv", 0, 0, G_OPTION_ARG_NONE, &self.report.tsv, "tabs, not JSON", NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	ProllyFormatParameters parameters;
	GError *error = NULL;

	g_option_context_add_main_entries(context, options, NULL);
	must(g_option_context_parse(context, &argc, &argv, &error), error);
	self.n = self.report.n = (uint64_t)n;
	self.scratch = g_build_filename(dir, "prollyfs-bench", NULL);
	prolly_format_parameters_init(&parameters);
	must(prolly_format_new(&parameters, NULL, &self.context.format, &error), error);

	const char *only = self.only;
	static const char *const kinds[] = {"memory", "rocksdb"};
	static const char *const peers[2][2] = {{"ours", "ours-rocksdb"},
						{"prollyfs", "prollyfs-rocksdb"}};

	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (*only && strcmp(only, kinds[i]) != 0)
			continue;
		self.only = kinds[i];
		self.report.peer = peers[self.report.tsv][i];
		run_all(&self);
	}
	prolly_format_unref(self.context.format);
	g_free(self.scratch);
	return 0;
}
