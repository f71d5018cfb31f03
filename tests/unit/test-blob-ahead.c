/* SPDX-License-Identifier: Apache-2.0 */
/* Reading blobs without a copy, and ahead of who reads in order. */
#include "blob-model.h"

#include "base/pool.h"
#include "remove-tree.h"

#define LENGTH (6 * MIB + 12345)
#define STEP   (64 * KIB)

/* A blob in a store on disk, of which nothing is in the cache. */
typedef struct {
	char *dir;
	Fixture store;
	uint8_t *content;
	ProllyBlob blob;
} Stored;

static void open_stored(Stored *self, bool is_new)
{
	ProllyStoreOptions options = {.kind = PROLLY_BACKEND_CACHED_FILE, .path = self->dir};
	ProllyFormatParameters parameters;
	g_autoptr(ProllyStore) store = NULL;
	g_autoptr(GError) error = NULL;

	prolly_store_open(&options, &store, &error);
	g_assert_no_error(error);
	self->store.work = prolly_work_new();
	self->store.context.store = prolly_store_new_counting(store, self->store.work);
	if (!is_new)
		return;
	prolly_format_parameters_init(&parameters);
	prolly_format_new(&parameters, prolly_value_weigh, &self->store.context.format, &error);
	g_assert_no_error(error);
}

static void close_stored(Stored *self)
{
	prolly_store_unref(self->store.context.store);
	prolly_work_unref(self->store.work);
}

static void set_up_stored(Stored *self, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	uint64_t state = 77;

	self->dir = g_dir_make_tmp("prolly-ahead-XXXXXX", &error);
	g_assert_no_error(error);
	self->content = g_malloc(LENGTH);
	fill_random(&state, self->content, LENGTH);
	memset(self->content + 2 * MIB, 0, MIB);
	open_stored(self, true);
	self->blob = write_blob(&self->store, self->content, LENGTH, MIB);
	prolly_store_flush(self->store.context.store, NULL, &error);
	g_assert_no_error(error);
	close_stored(self);
	open_stored(self, false);
}

static void tear_down_stored(Stored *self, gconstpointer data)
{
	prolly_format_unref(self->store.context.format);
	close_stored(self);
	remove_tree(self->dir);
	g_free(self->dir);
	g_free(self->content);
}

/* Reads LEN bytes at OFFSET, in pieces, and compares them. */
static void assert_pieces(Stored *self, uint64_t offset, size_t len)
{
	g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(ProllyBlobPiece));
	g_autoptr(GError) error = NULL;
	uint64_t at = offset, end = MIN(offset + len, LENGTH);

	g_array_set_clear_func(pieces, (GDestroyNotify)prolly_blob_piece_clear);
	prolly_blob_read_pieces(&self->store.context, &self->blob, offset, len, pieces, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < pieces->len; i++) {
		const ProllyBlobPiece *piece = &g_array_index(pieces, ProllyBlobPiece, i);

		g_assert_cmpuint(piece->len, >, 0);
		g_assert_cmpuint(piece->len, <=, end - at);
		g_assert_true(memcmp(piece->data, self->content + at, piece->len) == 0);
		at += piece->len;
	}
	g_assert_cmpuint(at, ==, MAX(end, offset));
}

static void test_pieces(Stored *self, gconstpointer data)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(5);

	assert_pieces(self, 0, LENGTH);
	assert_pieces(self, LENGTH - 1, 100);
	assert_pieces(self, LENGTH, 100);
	assert_pieces(self, LENGTH + 5, 100);
	assert_pieces(self, 0, 0);
	for (int i = 0; i < 200; i++)
		assert_pieces(self, (uint64_t)g_rand_int_range(rand, 0, LENGTH),
			      (size_t)g_rand_int_range(rand, 1, 400000));
}

/* Its reader waits for what is being loaded, and finds it. */
static void test_in_order(Stored *self, gconstpointer data)
{
	g_autoptr(ProllyBlobAhead) ahead = prolly_blob_ahead_new(&self->store.context, &self->blob);
	ProllyPool *pool = prolly_store_get_pool(self->store.context.store);
	unsigned n_loaded = 0;

	for (uint64_t at = 0; at < LENGTH; at += STEP) {
		prolly_blob_ahead_note(ahead, at, STEP);
		n_loaded += prolly_blob_ahead_has(ahead, at, STEP);
		assert_pieces(self, at, STEP);
	}
	/* all but the first two, by which it was seen that they are in order */
	if (prolly_pool_is_parallel(pool))
		g_assert_cmpuint(n_loaded, >=, LENGTH / STEP - 2);
	g_assert_false(prolly_blob_ahead_has(ahead, 0, STEP));
}

/* Reads here and there load nothing besides. */
static void test_random(Stored *self, gconstpointer data)
{
	g_autoptr(ProllyBlobAhead) ahead = prolly_blob_ahead_new(&self->store.context, &self->blob);
	ProllyWorkFigures figures;
	uint64_t at = 1;

	for (int i = 0; i < 20; i++) {
		prolly_blob_ahead_note(ahead, at, 1);
		g_assert_false(prolly_blob_ahead_has(ahead, at, 1));
		at = (at + 3 * MIB) % LENGTH;
	}
	prolly_work_get_figures(self->store.work, &figures);
	g_assert_cmpuint(figures.nodes_read, ==, 0);
}

typedef struct {
	Stored *stored;
	ProllyBlobAhead *ahead;
	uint64_t start;
} Reader;

static gpointer run_reader(gpointer data)
{
	Reader *reader = data;

	for (uint64_t at = reader->start; at < LENGTH; at += 2 * STEP) {
		prolly_blob_ahead_note(reader->ahead, at, STEP);
		(void)prolly_blob_ahead_has(reader->ahead, at + 2 * STEP, STEP);
		assert_pieces(reader->stored, at, STEP);
	}
	return NULL;
}

/* Several threads share one, as a kernel's requests are given to several. */
static void test_threads(Stored *self, gconstpointer data)
{
	g_autoptr(ProllyBlobAhead) ahead = prolly_blob_ahead_new(&self->store.context, &self->blob);
	Reader readers[4];
	GThread *threads[4];

	for (unsigned i = 0; i < 4; i++) {
		readers[i] = (Reader){self, ahead, (i % 2) * STEP};
		threads[i] = g_thread_new("reader", run_reader, &readers[i]);
	}
	for (unsigned i = 0; i < 4; i++)
		g_thread_join(threads[i]);
}

/* Damage is for who reads it; what was given up half-way is waited for. */
static void test_damage(Stored *self, gconstpointer data)
{
	ProllyBlobAhead *ahead;
	g_autofree char *nodes = g_build_filename(self->dir, "nodes", NULL);
	g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(ProllyBlobPiece));
	g_autoptr(GError) error = NULL;

	assert_pieces(self, 0, 2 * STEP); /* the tree's nodes are in the cache */
	remove_tree(nodes);
	ahead = prolly_blob_ahead_new(&self->store.context, &self->blob);
	for (uint64_t at = 0; at < MIB; at += STEP)
		prolly_blob_ahead_note(ahead, at, STEP);
	prolly_blob_ahead_unref(ahead);
	assert_pieces(self, 0, 2 * STEP);
	g_array_set_clear_func(pieces, (GDestroyNotify)prolly_blob_piece_clear);
	g_assert_false(
		prolly_blob_read_pieces(&self->store.context, &self->blob, 0, MIB, pieces, &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_MISSING);
}

static void test_is_of(Stored *self, gconstpointer data)
{
	g_autoptr(ProllyBlobAhead) ahead = prolly_blob_ahead_new(&self->store.context, &self->blob);
	ProllyBlob other = self->blob;

	g_assert_true(prolly_blob_ahead_is_of(ahead, &other));
	other.hash.bytes[31] ^= 1;
	g_assert_false(prolly_blob_ahead_is_of(ahead, &other));
}

#define ADD(path, function) \
	g_test_add("/blob/ahead/" path, Stored, NULL, set_up_stored, function, tear_down_stored)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("pieces", test_pieces);
	ADD("in-order", test_in_order);
	ADD("random", test_random);
	ADD("threads", test_threads);
	ADD("damage", test_damage);
	ADD("is-of", test_is_of);
	return g_test_run();
}
