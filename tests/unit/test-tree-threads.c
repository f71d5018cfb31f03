/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many readers on immutable trees while a writer makes new ones, a cache too small for them evicts,
 * and what is pending moves to the back end. Made for the thread sanitizer; and every answer is
 * checked, since what each version of the tree holds is a function of version and key.
 */
#include "tree-model.h"

#include "db-site.h"

#define N_KEYS     3000u
#define N_VERSIONS 60u
#define N_READERS  4u
/* Holds some fifth of one version's nodes. */
#define CACHE_SIZE (128u << 10)

/* ---- What version V holds ---------------------------------------------------------------- */

/* A number that depends on both. */
static uint32_t scatter(uint32_t key, uint32_t version)
{
	uint64_t x = (uint64_t)key << 32 | version;

	x = (x ^ (x >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(x >> 32);
}

typedef enum {
	LEFT_ALONE,
	SET,
	DELETED,
} Deed;

/* What VERSION does to KEY. The first sets all but those that only come later. */
static Deed get_deed(uint32_t key, uint32_t version)
{
	uint32_t x = scatter(key, version);

	if (version == 0)
		return x % 4 ? SET : LEFT_ALONE;
	if (x % 64)
		return LEFT_ALONE;
	return x / 64 % 3 ? SET : DELETED;
}

typedef struct {
	char key[16];
	char value[64]; /* "": absent */
} Line;

static void fill_key(uint32_t key, char out[16])
{
	g_snprintf(out, 16, "key %08u", key * 7);
}

/* KEY as VERSION has it. */
static Line get_line(uint32_t key, uint32_t version)
{
	Line line = {.value = ""};

	fill_key(key, line.key);
	for (uint32_t v = version + 1; v-- > 0;) {
		Deed deed = get_deed(key, v);

		if (deed == LEFT_ALONE)
			continue;
		if (deed == SET)
			g_snprintf(line.value, sizeof(line.value), "%u set by %u, %0*u", key, v,
				   (int)(scatter(v, key) % 40), 0);
		break;
	}
	return line;
}

static void assert_line(const Line *line, const void *value, size_t len)
{
	if (*line->value)
		g_assert_cmpmem(value, len, line->value, strlen(line->value));
	else
		g_assert_null(value);
}

/* ---- The crowd --------------------------------------------------------------------------- */

typedef struct {
	Site site; /* its db is NULL: in memory */
	TreeTest test;
	GMutex lock; /* protects the next two */
	ProllyTree versions[N_VERSIONS];
	uint32_t n_versions;
} Crowd;

static void publish(Crowd *crowd, const ProllyTree *tree)
{
	g_mutex_lock(&crowd->lock);
	crowd->versions[crowd->n_versions++] = *tree;
	g_mutex_unlock(&crowd->lock);
}

static ProllyTree pick(Crowd *crowd, Random *random, uint32_t *out_version)
{
	ProllyTree tree;

	g_mutex_lock(&crowd->lock);
	*out_version = random_below(random, crowd->n_versions);
	tree = crowd->versions[*out_version];
	g_mutex_unlock(&crowd->lock);
	return tree;
}

/* ---- The writer -------------------------------------------------------------------------- */

static ProllyTree make_version(Crowd *crowd, const ProllyTree *before, uint32_t version)
{
	g_autofree Line *lines = g_new(Line, N_KEYS);
	g_autoptr(GArray) edits = g_array_new(FALSE, TRUE, sizeof(ProllyEdit));
	g_autoptr(GError) error = NULL;
	ProllyTree tree;

	for (uint32_t key = 0; key < N_KEYS; key++) {
		ProllyEdit edit = {0};

		if (get_deed(key, version) == LEFT_ALONE)
			continue;
		lines[key] = get_line(key, version);
		edit.key = (const uint8_t *)lines[key].key;
		edit.key_len = strlen(lines[key].key);
		if (*lines[key].value) {
			edit.value = (const uint8_t *)lines[key].value;
			edit.value_len = strlen(lines[key].value);
		}
		g_array_append_val(edits, edit);
	}
	prolly_tree_apply_array(&crowd->test.context, before, (ProllyEdit *)(void *)edits->data,
				edits->len, &tree, &error);
	g_assert_no_error(error);
	return tree;
}

/* Now by the store's own way, now in a batch as a commit does it. */
static void flush(Crowd *crowd, uint32_t version)
{
	g_autoptr(ProllyDbBatch) batch =
		crowd->site.db && version % 2 ? prolly_db_batch_new(crowd->site.db) : NULL;
	g_autoptr(GError) error = NULL;

	prolly_store_flush(crowd->test.store, batch, &error);
	g_assert_no_error(error);
	if (!batch)
		return;
	prolly_db_write(crowd->site.db, batch, PROLLY_DB_BUFFERED, &error);
	g_assert_no_error(error);
	prolly_store_flushed(crowd->test.store, true);
}

static gpointer run_writer(gpointer data)
{
	Crowd *crowd = data;
	ProllyTree tree = crowd->versions[0];

	for (uint32_t version = 1; version < N_VERSIONS; version++) {
		tree = make_version(crowd, &tree, version);
		publish(crowd, &tree);
		if (version % 3 == 0)
			flush(crowd, version);
	}
	return NULL;
}

/* ---- Readers ----------------------------------------------------------------------------- */

typedef struct {
	Crowd *crowd;
	Random random;
} Reader;

static void read_one(const ProllyTreeContext *context, const ProllyTree *tree, uint32_t version,
		     Random *random)
{
	uint32_t key = random_below(random, N_KEYS);
	Line line = get_line(key, version);
	g_auto(ProllyValueRef) value = {0};
	g_autoptr(GError) error = NULL;

	prolly_tree_get(context, tree, line.key, strlen(line.key), &value, &error);
	g_assert_no_error(error);
	assert_line(&line, value.data, value.len);
}

static void read_many(const ProllyTreeContext *context, const ProllyTree *tree, uint32_t version,
		      Random *random)
{
	Line lines[40];
	ProllyKey keys[G_N_ELEMENTS(lines)];
	ProllyValueRef values[G_N_ELEMENTS(lines)];
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		lines[i] = get_line(random_below(random, N_KEYS), version);
		keys[i] = (ProllyKey){lines[i].key, strlen(lines[i].key)};
	}
	prolly_tree_get_many(context, tree, keys, G_N_ELEMENTS(keys), values, &error);
	g_assert_no_error(error);
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		assert_line(&lines[i], values[i].data, values[i].len);
		prolly_value_ref_clear(&values[i]);
	}
}

/* The first key from KEY on that VERSION holds, or N_KEYS. */
static uint32_t next_present(uint32_t key, uint32_t version, Line *out_line)
{
	for (; key < N_KEYS; key++) {
		*out_line = get_line(key, version);
		if (*out_line->value)
			return key;
	}
	return key;
}

static void scan(const ProllyTreeContext *context, const ProllyTree *tree, uint32_t version,
		 Random *random)
{
	g_autoptr(ProllyCursor) cursor = prolly_cursor_new(context, tree);
	g_autoptr(GError) error = NULL;
	uint32_t key = random_below(random, N_KEYS);
	char start[16];

	fill_key(key, start);
	prolly_cursor_seek(cursor, start, strlen(start), &error);
	for (uint32_t n = 0; n < 300; n++, key++) {
		Line line;
		size_t key_len, value_len;

		g_assert_no_error(error);
		key = next_present(key, version, &line);
		g_assert_true(prolly_cursor_is_valid(cursor) == (key < N_KEYS));
		if (key == N_KEYS)
			return;
		const uint8_t *found = prolly_cursor_get_key(cursor, &key_len);
		const uint8_t *value = prolly_cursor_get_value(cursor, &value_len);
		g_assert_cmpmem(found, key_len, line.key, strlen(line.key));
		assert_line(&line, value, value_len);
		prolly_cursor_next(cursor, &error);
	}
}

/* What led from one version to another, each change as both have it. */
static void compare(Crowd *crowd, const ProllyTreeContext *context, Random *random)
{
	uint32_t from, to;
	ProllyTree a = pick(crowd, random, &from), b = pick(crowd, random, &to);
	g_autoptr(ProllyDiff) diff = prolly_diff_new(context, &a, &b, NULL, 0, NULL, 0);
	g_autoptr(GError) error = NULL;

	for (uint32_t key = 0; key <= N_KEYS; key++) {
		Line old_line = get_line(key, from), new_line = get_line(key, to);
		ProllyChange change;
		bool end;

		if (key < N_KEYS && strcmp(old_line.value, new_line.value) == 0)
			continue;
		prolly_diff_next(diff, &change, &end, &error);
		g_assert_no_error(error);
		g_assert_true(end == (key == N_KEYS));
		if (end)
			break;
		g_assert_cmpmem(change.key, change.key_len, old_line.key, strlen(old_line.key));
		assert_line(&old_line, change.old_value, change.old_len);
		assert_line(&new_line, change.new_value, change.new_len);
	}
}

static void prove(const ProllyTreeContext *context, const ProllyTree *tree, uint32_t version,
		  Random *random)
{
	Line line = get_line(random_below(random, N_KEYS), version);
	ProllyKey key = {line.key, strlen(line.key)};
	ProllyProofQuery query = {.keys = &key, .n = 1};
	g_autoptr(ProllyProof) proof = NULL;
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(GError) error = NULL;
	ProllyProofEntry entry;
	ProllyHash root;

	prolly_tree_get_root(context->format, tree, &root);
	prolly_proof_make(context, tree, &query, &bytes, &error);
	g_assert_no_error(error);
	prolly_proof_verify(bytes, &root, &query, NULL, &proof, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_proof_next(proof, &entry));
	assert_line(&line, entry.value, entry.value_len);
}

/* Some edits on a version, made twice at the same time by others: the trees are equal. */
static void edit(const ProllyTreeContext *context, const ProllyTree *tree, uint32_t version,
		 Random *random)
{
	Line line = get_line(random_below(random, N_KEYS), version);
	ProllyEdit change = {(const uint8_t *)line.key, strlen(line.key), (const uint8_t *)"x", 1};
	ProllyEdit back = change;
	ProllyTree changed, restored;
	g_autoptr(GError) error = NULL;

	back.value = *line.value ? (const uint8_t *)line.value : NULL;
	back.value_len = strlen(line.value);
	prolly_tree_apply_array(context, tree, &change, 1, &changed, &error);
	g_assert_no_error(error);
	prolly_tree_apply_array(context, &changed, &back, 1, &restored, &error);
	g_assert_no_error(error);
	g_assert_true(prolly_tree_equal(&restored, tree));
}

static gpointer run_reader(gpointer data)
{
	Reader *reader = data;
	Crowd *crowd = reader->crowd;
	g_autoptr(ProllyWork) work = prolly_work_new();
	g_autoptr(ProllyStore) counting = prolly_store_new_counting(crowd->test.store, work);
	ProllyTreeContext context = {counting, crowd->test.format};
	uint32_t version = 0;

	while (version < N_VERSIONS - 1) {
		ProllyTree tree = pick(crowd, &reader->random, &version);

		for (int i = 0; i < 20; i++)
			read_one(&context, &tree, version, &reader->random);
		read_many(&context, &tree, version, &reader->random);
		scan(&context, &tree, version, &reader->random);
		compare(crowd, &context, &reader->random);
		prove(&context, &tree, version, &reader->random);
		edit(&context, &tree, version, &reader->random);
	}
	return NULL;
}

/* ---- The tests --------------------------------------------------------------------------- */

static void start(Crowd *crowd, ProllyBackendKind kind)
{
	ProllyStoreOptions options = {.kind = kind, .cache_size = CACHE_SIZE};
	ProllyFormatParameters parameters = default_parameters();
	g_autoptr(GError) error = NULL;

	*crowd = (Crowd){0};
	g_mutex_init(&crowd->lock);
	if (kind == PROLLY_BACKEND_ROCKSDB)
		set_up(&crowd->site, NULL);
	else if (kind != PROLLY_BACKEND_MEMORY)
		crowd->site.dir = g_dir_make_tmp("prolly-threads-XXXXXX", NULL);
	options.db = crowd->site.db;
	options.path = crowd->site.dir;
	prolly_store_open(&options, &crowd->test.store, &error);
	g_assert_no_error(error);
	parameters.min = 128;
	parameters.scale_shift = 9;
	g_assert_true(prolly_format_new(&parameters, NULL, &crowd->test.format, NULL));
	crowd->test.context = (ProllyTreeContext){crowd->test.store, crowd->test.format};
}

static void stop(Crowd *crowd)
{
	tree_test_stop(&crowd->test);
	close_site(&crowd->site);
	if (crowd->site.dir)
		remove_tree(crowd->site.dir);
	g_free(crowd->site.dir);
	g_free(crowd->site.path);
	g_mutex_clear(&crowd->lock);
}

static void test_crowd(gconstpointer data)
{
	Random random = random_start(46);
	Reader readers[N_READERS];
	GThread *threads[N_READERS], *writer;
	Crowd crowd;
	ProllyStoreFigures figures;
	g_autoptr(GError) error = NULL;

	start(&crowd, (ProllyBackendKind)GPOINTER_TO_INT(data));
	ProllyTree first = make_version(&crowd, NULL, 0);
	publish(&crowd, &first);
	for (uint32_t i = 0; i < N_READERS; i++) {
		readers[i] = (Reader){&crowd, {random.state + i}};
		threads[i] = g_thread_new("reader", run_reader, &readers[i]);
	}
	writer = g_thread_new("writer", run_writer, &crowd);
	g_thread_join(writer);
	for (uint32_t i = 0; i < N_READERS; i++)
		g_thread_join(threads[i]);

	for (uint32_t version = 0; version < N_VERSIONS; version += 7)
		assert_verifies(&crowd.test.context, &crowd.versions[version]);
	flush(&crowd, 0);
	prolly_store_get_figures(crowd.test.store, &figures, &error);
	g_assert_no_error(error);
	g_test_message("%" G_GUINT64_FORMAT " hits, %" G_GUINT64_FORMAT
		       " misses, %" G_GUINT64_FORMAT " evictions",
		       figures.cache_hits, figures.cache_misses, figures.cache_evictions);
	g_assert_cmpuint(figures.cache_evictions, >, 0);
	stop(&crowd);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/tree/threads/memory", GINT_TO_POINTER(PROLLY_BACKEND_MEMORY),
			     test_crowd);
	g_test_add_data_func("/tree/threads/cached-file",
			     GINT_TO_POINTER(PROLLY_BACKEND_CACHED_FILE), test_crowd);
	g_test_add_data_func("/tree/threads/rocksdb", GINT_TO_POINTER(PROLLY_BACKEND_ROCKSDB),
			     test_crowd);
	return g_test_run();
}
