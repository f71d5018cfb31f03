/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Iterators: over RocksDB, and over images.
 *
 * To make an iterator of RocksDB, put it at its first key and free it takes 4 to 5 us. That is nothing
 * to who reads a thousand records, but a commit of one key went over the same three records sixteen
 * times. An image is what a range holds, read once: keys and values end to end, and where each begins.
 * Its iterator is an index into that.
 *
 * An image does not change and says nothing of what was written since, so it is for ranges that nobody
 * writes to any more.
 */
#include "store/db-private.h"

#include <string.h>

typedef struct {
	size_t key; /* where it begins; its value follows it */
	size_t key_len;
	size_t value_len;
} Record;

struct ProllyDbImage {
	GByteArray *bytes;
	GArray *records; /* of Record, in the order of their keys */
};

struct ProllyDbIter {
	rocksdb_iterator_t *iter;    /* NULL: over an image */
	rocksdb_readoptions_t *read; /* refers to the bounds below */
	char *lower;
	char *upper;

	const ProllyDbImage *image;
	size_t first, end; /* records within the bounds */
	size_t at;         /* END: nowhere */
};

/* ---- Making ------------------------------------------------------------------------------ */

ProllyDbIter *prolly_db_iter_new(ProllyDb *db, ProllyDbFamily family,
				 const ProllyDbSnapshot *snapshot, const void *lower,
				 size_t lower_len, const void *upper, size_t upper_len)
{
	ProllyDbIter *iter = g_new0(ProllyDbIter, 1);

	iter->read = rocksdb_readoptions_create();
	if (snapshot)
		rocksdb_readoptions_set_snapshot(iter->read, snapshot->snapshot);
	if (lower_len) {
		iter->lower = g_memdup2(lower, lower_len);
		rocksdb_readoptions_set_iterate_lower_bound(iter->read, iter->lower, lower_len);
	}
	if (upper) {
		/* An empty upper bound, below which there is nothing, still is one. */
		iter->upper = g_malloc(upper_len + 1);
		memcpy(iter->upper, upper, upper_len);
		rocksdb_readoptions_set_iterate_upper_bound(iter->read, iter->upper, upper_len);
	}
	iter->iter = rocksdb_create_iterator_cf(db->rocks, iter->read, db->families[family]);
	return iter;
}

ProllyDbIter *prolly_db_iter_new_passing(ProllyDb *db, ProllyDbFamily family)
{
	ProllyDbIter *iter = g_new0(ProllyDbIter, 1);

	iter->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_fill_cache(iter->read, 0);
	iter->iter = rocksdb_create_iterator_cf(db->rocks, iter->read, db->families[family]);
	return iter;
}

void prolly_db_iter_free(ProllyDbIter *iter)
{
	if (!iter)
		return;
	if (iter->iter) {
		rocksdb_iter_destroy(iter->iter);
		rocksdb_readoptions_destroy(iter->read);
	}
	g_free(iter->lower);
	g_free(iter->upper);
	g_free(iter);
}

/* ---- Images ------------------------------------------------------------------------------ */

static void add_record(ProllyDbImage *image, const ProllyDbIter *iter)
{
	Record record = {.key = image->bytes->len};
	const uint8_t *key = prolly_db_iter_get_key(iter, &record.key_len);
	const uint8_t *value = prolly_db_iter_get_value(iter, &record.value_len);

	g_byte_array_append(image->bytes, key, (guint)record.key_len);
	g_byte_array_append(image->bytes, value, (guint)record.value_len);
	g_array_append_val(image->records, record);
}

/* Bytes of the record at which ITER stands. */
static size_t get_size(const ProllyDbIter *iter)
{
	size_t key_len, value_len;

	prolly_db_iter_get_key(iter, &key_len);
	prolly_db_iter_get_value(iter, &value_len);
	return key_len + value_len;
}

bool prolly_db_image_load(ProllyDbIter *iter, size_t max, ProllyDbImage **out_image, GError **error)
{
	g_autoptr(ProllyDbImage) image = g_new0(ProllyDbImage, 1);

	image->bytes = g_byte_array_new();
	image->records = g_array_new(FALSE, FALSE, sizeof(Record));
	*out_image = NULL;
	for (prolly_db_iter_seek_first(iter); prolly_db_iter_is_valid(iter);
	     prolly_db_iter_next(iter)) {
		if (get_size(iter) > max - image->bytes->len)
			return true;
		add_record(image, iter);
	}
	if (!prolly_db_iter_check(iter, error))
		return false;
	*out_image = g_steal_pointer(&image);
	return true;
}

void prolly_db_image_free(ProllyDbImage *image)
{
	if (!image)
		return;
	g_byte_array_unref(image->bytes);
	g_array_unref(image->records);
	g_free(image);
}

static const uint8_t *get_key(const ProllyDbImage *image, size_t i, size_t *out_len)
{
	const Record *record = &g_array_index(image->records, Record, i);

	*out_len = record->key_len;
	return image->bytes->data + record->key;
}

/* The first record whose key is not below KEY. */
static size_t find(const ProllyDbImage *image, const void *key, size_t len)
{
	size_t low = 0, high = image->records->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2, other_len;
		const uint8_t *other = get_key(image, middle, &other_len);

		if (prolly_bytes_compare(other, other_len, key, len) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

ProllyDbIter *prolly_db_image_iter_new(const ProllyDbImage *image, const void *lower,
				       size_t lower_len, const void *upper, size_t upper_len)
{
	ProllyDbIter *iter = g_new0(ProllyDbIter, 1);

	iter->image = image;
	iter->first = find(image, lower, lower_len);
	iter->end = upper ? find(image, upper, upper_len) : image->records->len;
	iter->end = MAX(iter->first, iter->end);
	iter->at = iter->end;
	return iter;
}

void prolly_db_batch_delete_image(ProllyDbBatch *batch, ProllyDbFamily family,
				  const ProllyDbImage *image)
{
	for (size_t i = 0; i < image->records->len; i++) {
		size_t len;
		const uint8_t *key = get_key(image, i, &len);

		prolly_db_batch_delete(batch, family, key, len);
	}
}

/* ---- Moving ------------------------------------------------------------------------------ */

void prolly_db_iter_seek(ProllyDbIter *iter, const void *key, size_t key_len)
{
	if (iter->iter)
		rocksdb_iter_seek(iter->iter, key, key_len);
	else
		iter->at = CLAMP(find(iter->image, key, key_len), iter->first, iter->end);
}

/* Of an image: to the record before AT, which may be END. */
static void step_back(ProllyDbIter *iter, size_t at)
{
	iter->at = at > iter->first ? at - 1 : iter->end;
}

void prolly_db_iter_seek_for_prev(ProllyDbIter *iter, const void *key, size_t len)
{
	if (iter->iter) {
		rocksdb_iter_seek_for_prev(iter->iter, key, len);
		return;
	}
	size_t at = find(iter->image, key, len), other_len;

	if (at < iter->end && at >= iter->first) {
		const uint8_t *other = get_key(iter->image, at, &other_len);

		at += prolly_bytes_compare(other, other_len, key, len) == 0;
	}
	step_back(iter, MIN(at, iter->end));
}

void prolly_db_iter_seek_first(ProllyDbIter *iter)
{
	if (iter->iter)
		rocksdb_iter_seek_to_first(iter->iter);
	else
		iter->at = iter->first;
}

void prolly_db_iter_seek_last(ProllyDbIter *iter)
{
	if (iter->iter)
		rocksdb_iter_seek_to_last(iter->iter);
	else
		step_back(iter, iter->end);
}

void prolly_db_iter_next(ProllyDbIter *iter)
{
	if (iter->iter)
		rocksdb_iter_next(iter->iter);
	else
		iter->at++;
}

void prolly_db_iter_prev(ProllyDbIter *iter)
{
	if (iter->iter)
		rocksdb_iter_prev(iter->iter);
	else
		step_back(iter, iter->at);
}

bool prolly_db_iter_is_valid(const ProllyDbIter *iter)
{
	return iter->iter ? rocksdb_iter_valid(iter->iter) : iter->at < iter->end;
}

bool prolly_db_iter_check(const ProllyDbIter *iter, GError **error)
{
	char *failure = NULL;

	if (iter->iter)
		rocksdb_iter_get_error(iter->iter, &failure);
	return failure ? prolly_db_throw(error, failure, "database") : true;
}

const uint8_t *prolly_db_iter_get_key(const ProllyDbIter *iter, size_t *out_len)
{
	if (iter->iter)
		return (const uint8_t *)rocksdb_iter_key(iter->iter, out_len);
	return get_key(iter->image, iter->at, out_len);
}

const uint8_t *prolly_db_iter_get_value(const ProllyDbIter *iter, size_t *out_len)
{
	if (iter->iter)
		return (const uint8_t *)rocksdb_iter_value(iter->iter, out_len);
	const Record *record = &g_array_index(iter->image->records, Record, iter->at);

	*out_len = record->value_len;
	return iter->image->bytes->data + record->key + record->key_len;
}
