/* SPDX-License-Identifier: Apache-2.0 */
/* The database as a map: each test on disk and in memory. test-db-open.c has the rest. */
#include "db-site.h"
#include "store/db-private.h"

static void test_get_and_put(Site *site, gconstpointer in_memory)
{
	assert_value(site, "a", NULL);
	put(site, "a", "1");
	put(site, "b", "");
	assert_value(site, "a", "1");
	assert_value(site, "b", "");
	put(site, "a", "2");
	assert_value(site, "a", "2");
	for (int i = 0; i < PROLLY_DB_N_FAMILIES; i++) {
		if (i != PROLLY_DB_META)
			assert_value_at(site, (ProllyDbFamily)i, NULL, "a", NULL);
		put_in(site, (ProllyDbFamily)i, "family", "x", PROLLY_DB_SYNC);
		assert_value_at(site, (ProllyDbFamily)i, NULL, "family", "x");
	}
	g_assert_true(prolly_db_sync(site->db, NULL));
}

static void test_get_many(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;
	const void *keys[300];
	GBytes *values[300];
	char text[300][5];

	for (unsigned i = 0; i < 300; i++) {
		g_snprintf(text[i], sizeof(text[i]), "%04u", (i * 7) % 300);
		keys[i] = text[i];
		if (i % 3)
			put(site, text[i], text[i]);
	}
	prolly_db_get_many(site->db, PROLLY_DB_META, keys, 4, 300, values, &error);
	g_assert_no_error(error);
	for (unsigned i = 0; i < 300; i++) {
		g_assert_cmpint(values[i] != NULL, ==, i % 3 != 0);
		if (!values[i])
			continue;
		g_assert_cmpmem(g_bytes_get_data(values[i], NULL), g_bytes_get_size(values[i]),
				text[i], 4);
		g_bytes_unref(values[i]);
	}
}

static void test_batch(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);

	put(site, "a", "1");
	size_t empty = prolly_db_batch_get_size(batch);

	prolly_db_batch_delete(batch, PROLLY_DB_META, "a", 1);
	prolly_db_batch_put(batch, PROLLY_DB_META, "b", 1, "2", 1);
	prolly_db_batch_put(batch, PROLLY_DB_STAGED, "b", 1, "3", 1);
	prolly_db_batch_put(batch, PROLLY_DB_META, "c", 1, "4", 1);
	prolly_db_batch_delete(batch, PROLLY_DB_META, "c", 1);
	g_assert_cmpuint(prolly_db_batch_get_size(batch), >, empty);
	assert_value(site, "a", "1");
	assert_value(site, "b", NULL);
	prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(prolly_db_batch_get_size(batch), ==, empty);
	assert_value(site, "a", NULL);
	assert_value(site, "b", "2");
	assert_value(site, "c", NULL);
	assert_value_at(site, PROLLY_DB_STAGED, NULL, "b", "3");

	prolly_db_batch_put(batch, PROLLY_DB_META, "d", 1, "5", 1);
	prolly_db_batch_clear(batch);
	g_assert_true(prolly_db_write(site->db, batch, PROLLY_DB_SYNC, &error));
	assert_value(site, "d", NULL);
}

/* ---- Ranges ------------------------------------------------------------------------------ */

/* The keys from where ITER stands, joined; forwards or back. */
static char *walk(ProllyDbIter *iter, bool forwards)
{
	g_autoptr(GError) error = NULL;
	GString *out = g_string_new(NULL);

	while (prolly_db_iter_is_valid(iter)) {
		size_t key_len;
		size_t len;
		const uint8_t *key = prolly_db_iter_get_key(iter, &key_len);
		const uint8_t *value = prolly_db_iter_get_value(iter, &len);

		g_string_append_len(out, (const char *)key, (gssize)key_len);
		g_string_append_c(out, '=');
		g_string_append_len(out, (const char *)value, (gssize)len);
		g_string_append_c(out, ' ');
		(forwards ? prolly_db_iter_next : prolly_db_iter_prev)(iter);
	}
	g_assert_true(prolly_db_iter_check(iter, &error));
	g_assert_no_error(error);
	return g_string_free(out, FALSE);
}

static void assert_range(Site *site, const ProllyDbSnapshot *snapshot, const char *lower,
			 const char *upper, const char *expected)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(site->db, PROLLY_DB_META, snapshot, lower, strlen(lower), upper,
				   upper ? strlen(upper) : 0);

	g_assert_false(prolly_db_iter_is_valid(iter));
	prolly_db_iter_seek_first(iter);
	g_autofree char *found = walk(iter, true);

	g_assert_cmpstr(found, ==, expected);
}

static void test_iterate(Site *site, gconstpointer in_memory)
{
	static const char *const keys[] = {"a", "ab", "b", "ba", "c", "\xff", "\xff\xff"};

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		put(site, keys[i], "1");
	assert_range(site, NULL, "", NULL, "a=1 ab=1 b=1 ba=1 c=1 \xff=1 \xff\xff=1 ");
	assert_range(site, NULL, "ab", "c", "ab=1 b=1 ba=1 ");
	assert_range(site, NULL, "", "b", "a=1 ab=1 ");
	assert_range(site, NULL, "d", "e", "");
	assert_range(site, NULL, "b", "b", "");
	assert_range(site, NULL, "", "", "");
	assert_range(site, NULL, "\xff", NULL, "\xff=1 \xff\xff=1 ");

	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(site->db, PROLLY_DB_META, NULL, "ab", 2, "c", 1);
	g_autofree char *all = NULL;
	g_autofree char *from = NULL;
	g_autofree char *back = NULL;

	prolly_db_iter_seek_last(iter);
	all = walk(iter, false);
	g_assert_cmpstr(all, ==, "ba=1 b=1 ab=1 ");
	prolly_db_iter_seek(iter, "aba", 3);
	from = walk(iter, true);
	g_assert_cmpstr(from, ==, "b=1 ba=1 ");
	prolly_db_iter_seek_for_prev(iter, "b", 1);
	back = walk(iter, false);
	g_assert_cmpstr(back, ==, "b=1 ab=1 ");
}

static void test_snapshot(Site *site, gconstpointer in_memory)
{
	put(site, "a", "1");
	put(site, "b", "1");
	ProllyDbSnapshot *snapshot = prolly_db_snapshot_new(site->db);
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(site->db, PROLLY_DB_META, NULL, "", 0, NULL, 0);

	put(site, "a", "2");
	put(site, "c", "2");
	assert_value(site, "a", "2");
	assert_value_at(site, PROLLY_DB_META, snapshot, "a", "1");
	assert_value_at(site, PROLLY_DB_META, snapshot, "c", NULL);
	assert_range(site, snapshot, "", NULL, "a=1 b=1 ");
	assert_range(site, NULL, "", NULL, "a=2 b=1 c=2 ");
	/* An iterator sees what was when it was made, too. */
	prolly_db_iter_seek_first(iter);
	g_autofree char *found = walk(iter, true);

	g_assert_cmpstr(found, ==, "a=1 b=1 ");
	prolly_db_snapshot_free(site->db, snapshot);
	prolly_db_snapshot_free(site->db, NULL);
}

static void test_delete_range(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);

	for (char key[2] = "a"; key[0] <= 'f'; key[0]++)
		put(site, key, "1");
	prolly_db_batch_delete_range(batch, PROLLY_DB_META, "b", 1, "e", 1);
	prolly_db_batch_put(batch, PROLLY_DB_META, "c", 1, "2", 1);
	prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, &error);
	g_assert_no_error(error);
	assert_range(site, NULL, "", NULL, "a=1 c=2 e=1 f=1 ");
	prolly_db_reclaim_range(site->db, PROLLY_DB_META, "b", 1, "c", 1);
	assert_range(site, NULL, "", NULL, "a=1 c=2 e=1 f=1 ");
}

/* A family that never had a key, and has one then. */
static void test_delete_unused(Site *site, gconstpointer in_memory)
{
	for (unsigned i = 0; i < 3; i++) {
		g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);

		prolly_db_batch_delete_present(batch, PROLLY_DB_EXTENTS, "a", 1, "z", 1);
		g_assert_true(prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, NULL));
		assert_value_at(site, PROLLY_DB_EXTENTS, NULL, "b", NULL);
		put_in(site, PROLLY_DB_EXTENTS, "b", "1", PROLLY_DB_BUFFERED);
		assert_value_at(site, PROLLY_DB_EXTENTS, NULL, "b", "1");
	}
	if (!in_memory) {
		g_autoptr(ProllyDbBatch) batch = NULL;

		close_site(site);
		open_site(site, false);
		batch = prolly_db_batch_new(site->db);
		prolly_db_batch_delete_present(batch, PROLLY_DB_EXTENTS, "a", 1, "z", 1);
		g_assert_true(prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, NULL));
		assert_value_at(site, PROLLY_DB_EXTENTS, NULL, "b", NULL);
	}
}

/* As many keys as are deleted one by one, about, and none. */
static void test_delete_present(Site *site, gconstpointer in_memory)
{
	static const unsigned counts[] = {0, 1, 63, 64, 65, 300};
	static const ProllyDbFamily families[] = {PROLLY_DB_META, PROLLY_DB_STAGED};
	for (unsigned i = 0; i < G_N_ELEMENTS(counts) * G_N_ELEMENTS(families); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);
		ProllyDbFamily family = families[i % G_N_ELEMENTS(families)];
		unsigned n = counts[i / G_N_ELEMENTS(families)];
		char key[16];

		put_in(site, family, "a", "below", PROLLY_DB_BUFFERED);
		put_in(site, family, "c", "above", PROLLY_DB_BUFFERED);
		for (unsigned j = 0; j < n; j++) {
			g_snprintf(key, sizeof(key), "b%03u", j);
			put_in(site, family, key, "in it", PROLLY_DB_BUFFERED);
		}
		prolly_db_batch_delete_present(batch, family, "b", 1, "c", 1);
		g_assert_true(prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, &error));
		assert_value_at(site, family, NULL, "a", "below");
		assert_value_at(site, family, NULL, "c", "above");
		for (unsigned j = 0; j < n; j++) {
			g_snprintf(key, sizeof(key), "b%03u", j);
			assert_value_at(site, family, NULL, key, NULL);
		}
	}
}

/* ---- Images ------------------------------------------------------------------------------ */

static ProllyDbImage *load_image(Site *site, ProllyDbFamily family, const char *lower,
				 const char *upper, size_t max)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbIter) iter = prolly_db_iter_new(site->db, family, NULL, lower,
							  strlen(lower), upper, strlen(upper));
	ProllyDbImage *image;

	prolly_db_image_load(iter, max, &image, &error);
	g_assert_no_error(error);
	return image;
}

static void assert_same_place(const ProllyDbIter *a, const ProllyDbIter *b)
{
	size_t len, other_len;
	const uint8_t *bytes, *other;

	g_assert_cmpint(prolly_db_iter_is_valid(a), ==, prolly_db_iter_is_valid(b));
	if (!prolly_db_iter_is_valid(a))
		return;
	bytes = prolly_db_iter_get_key(a, &len);
	other = prolly_db_iter_get_key(b, &other_len);
	g_assert_cmpmem(bytes, len, other, other_len);
	bytes = prolly_db_iter_get_value(a, &len);
	other = prolly_db_iter_get_value(b, &other_len);
	g_assert_cmpmem(bytes, len, other, other_len);
}

static void move_both(ProllyDbIter *a, ProllyDbIter *b, void (*move)(ProllyDbIter *))
{
	move(a);
	move(b);
	assert_same_place(a, b);
}

/* All that an iterator over LOWER to UPPER can do, over the image as over the database. */
static void compare_iters(Site *site, const ProllyDbImage *image, const char *lower,
			  const char *upper, const char *const *keys, size_t n)
{
	g_autoptr(ProllyDbIter) a =
		prolly_db_iter_new(site->db, PROLLY_DB_META, NULL, lower, strlen(lower), upper,
				   upper ? strlen(upper) : 0);
	g_autoptr(ProllyDbIter) b = prolly_db_image_iter_new(image, lower, strlen(lower), upper,
							     upper ? strlen(upper) : 0);

	assert_same_place(a, b);
	move_both(a, b, prolly_db_iter_seek_last);
	while (prolly_db_iter_is_valid(a))
		move_both(a, b, prolly_db_iter_prev);
	move_both(a, b, prolly_db_iter_seek_first);
	while (prolly_db_iter_is_valid(a))
		move_both(a, b, prolly_db_iter_next);
	for (size_t i = 0; i < n; i++) {
		prolly_db_iter_seek(a, keys[i], strlen(keys[i]));
		prolly_db_iter_seek(b, keys[i], strlen(keys[i]));
		assert_same_place(a, b);
		prolly_db_iter_seek_for_prev(a, keys[i], strlen(keys[i]));
		prolly_db_iter_seek_for_prev(b, keys[i], strlen(keys[i]));
		assert_same_place(a, b);
	}
	g_assert_true(prolly_db_iter_check(b, NULL));
}

static void test_image(Site *site, gconstpointer in_memory)
{
	static const char *const keys[] = {"a", "b", "ba", "bab", "bb", "c", "ca", "d", "\xff"};
	g_autoptr(ProllyDbImage) image = NULL, empty = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i += i % 3 + 1)
		put(site, keys[i], keys[G_N_ELEMENTS(keys) - 1 - i]);
	image = load_image(site, PROLLY_DB_META, "a", "d", 1000);
	for (size_t i = 0; i < G_N_ELEMENTS(keys) - 1; i++) {
		for (size_t j = 0; j < G_N_ELEMENTS(keys) - 1; j++)
			compare_iters(site, image, keys[i], keys[j], keys, G_N_ELEMENTS(keys));
	}
	empty = load_image(site, PROLLY_DB_META, "x", "y", 0);
	compare_iters(site, empty, "x", "y", keys, G_N_ELEMENTS(keys));
}

/* Keys and values of 5 bytes in all. */
static void test_image_max(Site *site, gconstpointer in_memory)
{
	put(site, "a", "1");
	put(site, "b", "22");
	g_assert_null(load_image(site, PROLLY_DB_META, "a", "c", 4));
	g_assert_null(load_image(site, PROLLY_DB_META, "a", "c", 0));
	prolly_db_image_free(load_image(site, PROLLY_DB_META, "a", "b", 4));
	g_autoptr(ProllyDbImage) image = load_image(site, PROLLY_DB_META, "a", "c", 5);

	g_assert_nonnull(image);
}

static void test_delete_image(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);
	g_autoptr(ProllyDbImage) image = NULL;

	for (char key[2] = "a"; key[0] <= 'e'; key[0]++)
		put_in(site, PROLLY_DB_STAGED, key, "1", PROLLY_DB_BUFFERED);
	image = load_image(site, PROLLY_DB_STAGED, "b", "d", 100);
	prolly_db_batch_delete_image(batch, PROLLY_DB_STAGED, image);
	prolly_db_write(site->db, batch, PROLLY_DB_TIDYING, &error);
	g_assert_no_error(error);
	for (char key[2] = "a"; key[0] <= 'e'; key[0]++)
		assert_value_at(site, PROLLY_DB_STAGED, NULL, key,
				key[0] == 'b' || key[0] == 'c' ? NULL : "1");
}

static void test_prefix_end(void)
{
	uint8_t out[3];

	g_assert_cmpuint(prolly_db_prefix_end("abc", 3, out), ==, 3);
	g_assert_cmpmem(out, 3, "abd", 3);
	g_assert_cmpuint(prolly_db_prefix_end("a\xff\xff", 3, out), ==, 1);
	g_assert_cmpmem(out, 1, "b", 1);
	g_assert_cmpuint(prolly_db_prefix_end("\xff\xff", 2, out), ==, 0);
	g_assert_cmpuint(prolly_db_prefix_end("", 0, out), ==, 0);
}

/* ---- Ingest ------------------------------------------------------------------------------ */

#define N_INGESTED 1000u

static void ingest(Site *site, ProllyDbFamily family, unsigned first, const char *value)
{
	g_autoptr(GError) error = NULL;
	g_autofree ProllyDbEntry *entries = g_new(ProllyDbEntry, N_INGESTED);
	g_autofree char *keys = g_malloc(N_INGESTED * 9);

	for (unsigned i = 0; i < N_INGESTED; i++) {
		char *key = keys + (size_t)i * 9;

		g_snprintf(key, 9, "%08u", first + i);
		entries[i] = (ProllyDbEntry){key, 8, value, strlen(value)};
	}
	prolly_db_ingest(site->db, family, entries, N_INGESTED, &error);
	g_assert_no_error(error);
}

static void test_ingest(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;

	put(site, "00000005", "old");
	put(site, "00002000", "old");
	ingest(site, PROLLY_DB_META, 0, "new");
	assert_value(site, "00000005", "new");
	assert_value(site, "00000999", "new");
	assert_value(site, "00001000", NULL);
	assert_value(site, "00002000", "old");
	put(site, "00000005", "newer");
	ingest(site, PROLLY_DB_META, 500, "newest");
	assert_value(site, "00000005", "newer");
	assert_value(site, "00000999", "newest");
	g_assert_true(prolly_db_ingest(site->db, PROLLY_DB_META, NULL, 0, &error));
	if (in_memory)
		return;
	close_site(site);
	open_site(site, false);
	assert_value(site, "00000005", "newer");
	assert_value(site, "00001499", "newest");
}

/* A range that was ingested and deleted is given back at once. */
static void test_reclaim(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);
	g_autofree char *value = g_strnfill(2000, 'x');
	uint64_t keys;
	uint64_t before;
	uint64_t after;

	ingest(site, PROLLY_DB_EXTENTS, 0, value);
	ingest(site, PROLLY_DB_EXTENTS, 10000, value);
	g_assert_true(prolly_db_get_size(site->db, PROLLY_DB_EXTENTS, &keys, &before, &error));
	g_assert_cmpuint(keys, ==, 2 * N_INGESTED);
	g_assert_cmpuint(before, >, 4000000);
	prolly_db_batch_delete_range(batch, PROLLY_DB_EXTENTS, "00000000", 8, "00010000", 8);
	g_assert_true(prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, &error));
	prolly_db_reclaim_range(site->db, PROLLY_DB_EXTENTS, "00000000", 8, "00010000", 8);
	g_assert_true(prolly_db_get_size(site->db, PROLLY_DB_EXTENTS, &keys, &after, &error));
	g_assert_cmpuint(after, <, before / 2 + 100000);
	assert_value_at(site, PROLLY_DB_EXTENTS, NULL, "00000001", NULL);
	assert_value_at(site, PROLLY_DB_EXTENTS, NULL, "00010001", value);
}

static void assert_key_count(Site *site, const ProllyDbSnapshot *snapshot, unsigned expected)
{
	g_autoptr(ProllyDbIter) iter =
		prolly_db_iter_new(site->db, PROLLY_DB_EXTENTS, snapshot, "", 0, NULL, 0);
	unsigned n = 0;

	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter))
		n++;
	g_assert_true(prolly_db_iter_check(iter, NULL));
	g_assert_cmpuint(n, ==, expected);
}

static uint64_t measure(Site *site)
{
	uint64_t keys, bytes;

	g_assert_true(prolly_db_get_size(site->db, PROLLY_DB_EXTENTS, &keys, &bytes, NULL));
	return bytes;
}

/* A snapshot keeps what it has, and its tables; they go when it went. */
static void test_reclaim_seen(Site *site, gconstpointer in_memory)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);
	g_autofree char *value = g_strnfill(2000, 'x');
	ProllyDbSnapshot *before, *after;
	uint64_t full;

	ingest(site, PROLLY_DB_EXTENTS, 0, value);
	full = measure(site);
	before = prolly_db_snapshot_new(site->db);
	prolly_db_batch_delete_range(batch, PROLLY_DB_EXTENTS, "00000000", 8, "00010000", 8);
	g_assert_true(prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, &error));
	after = prolly_db_snapshot_new(site->db);
	prolly_db_reclaim_range(site->db, PROLLY_DB_EXTENTS, "00000000", 8, "00010000", 8);
	assert_value_at(site, PROLLY_DB_EXTENTS, before, "00000001", value);
	assert_key_count(site, before, N_INGESTED);
	assert_key_count(site, after, 0);
	assert_key_count(site, NULL, 0);
	prolly_db_snapshot_free(site->db, before);
	for (int i = 0; i < 60000 && measure(site) > full / 2; i++) /* another thread does it */
		g_usleep(1000);
	g_assert_cmpuint(measure(site), <=, full / 2);
	assert_key_count(site, after, 0);
	prolly_db_snapshot_free(site->db, after);
}

/* ---- Recent records ---------------------------------------------------------------------- */

#define N_KEYS  6000 /* more than there are slots */
#define N_STEPS 6000

/* A value for KEY, or NULL: it is deleted. Some are too long to be kept. */
static char *make_value(GRand *rand, unsigned key)
{
	unsigned kind = (unsigned)g_rand_int_range(rand, 0, 10);

	if (kind < 2)
		return NULL;
	if (kind == 2)
		return g_strnfill((gsize)g_rand_int_range(rand, 1000, 1100),
				  (char)('a' + key % 26));
	return g_strdup_printf("%u-%u", key, g_rand_int(rand));
}

static void write_some(Site *site, GRand *rand, char *model[N_KEYS])
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);
	g_autoptr(GError) error = NULL;
	int n = g_rand_int_range(rand, 0, 30) ? g_rand_int_range(rand, 1, 5) : 100;

	for (int i = 0; i < n; i++) {
		unsigned key = (unsigned)g_rand_int_range(rand, 0, N_KEYS);
		g_autofree char *text = g_strdup_printf("%04u", key);

		g_free(model[key]);
		model[key] = make_value(rand, key);
		if (model[key])
			prolly_db_batch_put(batch, PROLLY_DB_STAGED, text, 4, model[key],
					    strlen(model[key]));
		else
			prolly_db_batch_delete(batch, PROLLY_DB_STAGED, text, 4);
	}
	prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, &error);
	g_assert_no_error(error);
}

static void delete_some(Site *site, GRand *rand, char *model[N_KEYS])
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(site->db);
	g_autoptr(GError) error = NULL;
	unsigned from = (unsigned)g_rand_int_range(rand, 0, N_KEYS - 200);
	g_autofree char *lower = g_strdup_printf("%04u", from);
	g_autofree char *upper = g_strdup_printf("%04u", from + 100);

	for (unsigned key = from; key < from + 100; key++)
		g_clear_pointer(&model[key], g_free);
	prolly_db_batch_delete_range(batch, PROLLY_DB_STAGED, lower, 4, upper, 4);
	prolly_db_write(site->db, batch, PROLLY_DB_BUFFERED, &error);
	g_assert_no_error(error);
}

static void assert_some(Site *site, GRand *rand, char *model[N_KEYS])
{
	for (int i = 0; i < 8; i++) {
		unsigned key = (unsigned)g_rand_int_range(rand, 0, N_KEYS);
		g_autofree char *text = g_strdup_printf("%04u", key);

		assert_value_at(site, PROLLY_DB_STAGED, NULL, text, model[key]);
		assert_value_at(site, PROLLY_DB_STAGED, NULL, text, model[key]); /* kept now */
	}
}

/* Whatever is written, what is read is what was written last. */
static void test_recent(Site *site, gconstpointer in_memory)
{
	guint32 seed = g_test_rand_int();
	g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
	g_autofree char **model = g_new0(char *, N_KEYS);

	g_test_message("seed %u", seed);
	for (int step = 0; step < N_STEPS; step++) {
		if (step % 50 == 49)
			delete_some(site, rand, model);
		else
			write_some(site, rand, model);
		assert_some(site, rand, model);
	}
	for (unsigned key = 0; key < N_KEYS; key++)
		g_free(model[key]);
}

/* Keys that were absent are looked up, and so kept, and then taken in as a table. */
static void test_recent_ingest(Site *site, gconstpointer in_memory)
{
	assert_value_at(site, PROLLY_DB_STAGED, NULL, "00000001", NULL);
	ingest(site, PROLLY_DB_STAGED, 0, "value");
	assert_value_at(site, PROLLY_DB_STAGED, NULL, "00000001", "value");
}

/* What a reader heard before a write, or during one, is not kept after it; nor what two writes at
 * a time gave. */
static void test_recent_race(void)
{
	ProllyDbRecent *recent = prolly_db_recent_new(NULL);
	ProllyDbKeys *keys = prolly_db_keys_new(), *others = prolly_db_keys_new();
	g_autoptr(GBytes) old = g_bytes_new("old", 3);
	GBytes *value = NULL;
	uint64_t before, during, begun;

	g_assert_false(prolly_db_recent_get(recent, "k", 1, &value, &before));
	prolly_db_keys_add(keys, "k", 1, "new", 3);
	begun = prolly_db_recent_begin(recent, keys);
	g_assert_false(prolly_db_recent_get(recent, "k", 1, &value, &during));
	prolly_db_recent_enter(recent, "k", 1, old, before);
	prolly_db_recent_enter(recent, "k", 1, old, during);
	g_assert_false(prolly_db_recent_get(recent, "k", 1, &value, &during));
	prolly_db_recent_end(recent, keys, begun, true);
	g_assert_true(prolly_db_recent_get(recent, "k", 1, &value, &during));
	g_assert_cmpmem(g_bytes_get_data(value, NULL), g_bytes_get_size(value), "new", 3);
	g_clear_pointer(&value, g_bytes_unref);
	prolly_db_recent_enter(recent, "k", 1, old, before);
	g_assert_true(prolly_db_recent_get(recent, "k", 1, &value, &during));
	g_assert_cmpmem(g_bytes_get_data(value, NULL), g_bytes_get_size(value), "new", 3);
	g_clear_pointer(&value, g_bytes_unref);

	prolly_db_keys_clear(keys);
	prolly_db_keys_add(keys, "k", 1, "one", 3);
	prolly_db_keys_add(others, "k", 1, "two", 3);
	begun = prolly_db_recent_begin(recent, keys);
	before = prolly_db_recent_begin(recent, others);
	prolly_db_recent_end(recent, others, before, true);
	prolly_db_recent_end(recent, keys, begun, true);
	g_assert_false(prolly_db_recent_get(recent, "k", 1, &value, &during));
	prolly_db_keys_free(keys);
	prolly_db_keys_free(others);
	prolly_db_recent_free(recent);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(Site *site, gconstpointer in_memory);
	} tests[] = {
		{"get-and-put", test_get_and_put},
		{"get-many", test_get_many},
		{"batch", test_batch},
		{"iterate", test_iterate},
		{"snapshot", test_snapshot},
		{"delete-range", test_delete_range},
		{"delete-present", test_delete_present},
		{"delete-unused", test_delete_unused},
		{"image", test_image},
		{"image-max", test_image_max},
		{"delete-image", test_delete_image},
		{"ingest", test_ingest},
		{"reclaim", test_reclaim},
		{"reclaim-seen", test_reclaim_seen},
		{"recent", test_recent},
		{"recent-ingest", test_recent_ingest},
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *on_disk = g_strdup_printf("/db/%s", tests[i].name);
		g_autofree char *in_memory = g_strdup_printf("/db/in-memory/%s", tests[i].name);

		g_test_add(on_disk, Site, NULL, set_up, tests[i].run, tear_down);
		g_test_add(in_memory, Site, "in memory", set_up, tests[i].run, tear_down);
	}
	g_test_add_func("/db/prefix-end", test_prefix_end);
	g_test_add_func("/db/recent-race", test_recent_race);
	return g_test_run();
}
