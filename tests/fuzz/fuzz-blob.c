/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stored values and the blobs that they refer to. The input is a script that makes chunks and blob
 * nodes that refer to each other by right hashes and lie of lengths, and a stored value, as bytes or
 * as a reference to the last node. A value that parses has one encoding; reading, seeking, walking and
 * writing ends, with bytes or an error.
 */
#include "fuzz.h"

#include "blob-model.h"

#define NODES_MAX   40
#define ENTRIES_MAX 12

/* ---- The script -------------------------------------------------------------------------- */

static ProllyBlobEntry put_bytes(ProllyStore *store, ProllyNodeClass node_class, uint8_t *bytes,
				 size_t len)
{
	ProllyBlobEntry entry = {0};

	g_assert_true(prolly_store_put(store, node_class, bytes, len, &entry.hash, NULL, NULL));
	return entry;
}

/* A chunk, which is one or nearly. */
static ProllyBlobEntry take_chunk(FuzzInput *input, ProllyStore *store)
{
	size_t len;
	uint8_t lie = fuzz_take_byte(input) % 8;
	const uint8_t *data = fuzz_take_string(input, 200, &len);
	uint8_t *bytes = g_malloc(PROLLY_CHUNK_HEADER + len);
	ProllyBlobEntry entry;

	memcpy(bytes, "PrC\1", 4);
	prolly_set_le32(bytes + 4, (uint32_t)len + (lie == 7));
	memcpy(bytes + PROLLY_CHUNK_HEADER, data, len);
	entry = put_bytes(store, PROLLY_NODE_CHUNK, bytes, PROLLY_CHUNK_HEADER + len);
	entry.length = entry.data = len;
	entry.ends_in_zero = len > 0 && data[len - 1] == 0;
	return entry;
}

/* One of those made, or a hole; each with another length now and then. */
static ProllyBlobEntry take_entry(FuzzInput *input, const GArray *made)
{
	uint8_t what = fuzz_take_byte(input);
	ProllyBlobEntry entry = {0};

	if (what % 4 == 0)
		entry.length = fuzz_take_number(input);
	else
		entry = g_array_index(made, ProllyBlobEntry,
				      made->len - 1 - fuzz_take_below(input, made->len));
	if (what / 4 % 16 == 1)
		entry.length = fuzz_take_number(input);
	if (what / 4 % 16 == 2)
		entry.data = fuzz_take_number(input);
	entry.ends_in_zero = entry.ends_in_zero != (what / 4 % 16 == 3);
	return entry;
}

static ProllyBlobEntry take_node(FuzzInput *input, ProllyStore *store, const GArray *made,
				 unsigned level)
{
	uint32_t n = fuzz_take_below(input, ENTRIES_MAX);
	size_t len = PROLLY_BLOB_HEADER + (size_t)n * PROLLY_BLOB_ENTRY;
	uint8_t *bytes = g_malloc0(len), *p = bytes + PROLLY_BLOB_HEADER;
	ProllyBlobEntry sum = {0}, node;

	memcpy(bytes, "PrB\1", 4);
	bytes[4] = (uint8_t)level;
	prolly_set_le32(bytes + 8, n);
	for (uint32_t i = 0; i < n; i++, p += PROLLY_BLOB_ENTRY) {
		ProllyBlobEntry entry = take_entry(input, made);

		sum.length += entry.length;
		sum.data += entry.data;
		sum.ends_in_zero = entry.ends_in_zero;
		prolly_set_le64(p, (sum.length & INT64_MAX) | (uint64_t)sum.ends_in_zero << 63);
		prolly_set_le64(p + 8, sum.data);
		memcpy(p + 16, entry.hash.bytes, PROLLY_HASH_SIZE);
	}
	node = put_bytes(store, PROLLY_NODE_TREE, bytes, len);
	sum.hash = node.hash;
	return sum;
}

/* The blob whose top was made last. */
static ProllyBlob take_blob(FuzzInput *input, ProllyStore *store)
{
	g_autoptr(GArray) made = g_array_new(FALSE, FALSE, sizeof(ProllyBlobEntry));
	ProllyBlob blob = {0};
	ProllyBlobEntry entry;

	do {
		uint8_t what = fuzz_take_byte(input);

		if (made->len == 0 || what % 2 == 0) {
			entry = take_chunk(input, store);
			blob.height = 0;
		} else {
			blob.height = what / 2 % 8 ? blob.height + 1 : fuzz_take_byte(input) % 32;
			entry = take_node(input, store, made, blob.height);
		}
		g_array_append_val(made, entry);
	} while (fuzz_has_more(input) && made->len < NODES_MAX && fuzz_take_byte(input) != 0);
	blob.hash = entry.hash;
	blob.length = entry.length;
	return blob;
}

/* ---- Using it ---------------------------------------------------------------------------- */

/* An answer, or an error that may be; which is cleared. */
static void assert_end(bool ok, GError **error)
{
	g_assert_true(ok == !*error);
	if (!ok && !prolly_error_is(*error, PROLLY_ERROR_TOO_BIG) &&
	    !prolly_error_is(*error, PROLLY_ERROR_MISSING))
		g_assert_error(*error, PROLLY_ERROR, PROLLY_ERROR_CORRUPT);
	g_clear_error(error);
}

static void read_at(Fixture *f, const ProllyValue *value, uint64_t offset)
{
	g_autoptr(GError) error = NULL;
	uint8_t buffer[300];
	size_t len;
	bool ok =
		prolly_value_read(&f->context, value, offset, buffer, sizeof(buffer), &len, &error);

	assert_end(ok, &error);
	if (ok)
		g_assert_cmpuint(
			len, ==,
			offset >= value->length ? 0 : MIN(sizeof(buffer), value->length - offset));
}

static void seek_at(Fixture *f, const ProllyBlob *blob, uint64_t offset, bool data)
{
	g_autoptr(GError) error = NULL;
	uint64_t found;
	bool ok = prolly_blob_seek(&f->context, blob, offset, data, &found, &error);

	assert_end(ok, &error);
	if (ok)
		g_assert_cmpuint(found, <=, MAX(blob->length, offset));
}

static bool count_child(ProllyNodeClass node_class, const ProllyHash *hash, void *data,
			GError **error)
{
	unsigned *n = data;

	return ++*n < 2000 || prolly_throw(error, PROLLY_ERROR_TOO_BIG, "enough");
}

static void write_over(Fixture *f, FuzzInput *input, const ProllyBlob *blob)
{
	g_autoptr(GBytes) data = fuzz_take_gbytes(input, 500);
	size_t len;
	const uint8_t *bytes = g_bytes_get_data(data, &len);
	uint64_t offset = fuzz_take_number(input) % (blob->length + 100);
	uint64_t end = offset + len;
	ProllyExtent extent = {offset, len, bytes};
	g_autoptr(GError) error = NULL;
	ProllyBlob result;

	if (len == 0)
		return;
	assert_end(prolly_blob_splice(&f->context, blob, MIN(blob->length, end), end, &extent, 1,
				      &result, &error),
		   &error);
}

static void use(Fixture *f, FuzzInput *input, const ProllyValue *value)
{
	GError *error = NULL;
	uint64_t bytes;
	unsigned n = 0;

	for (int i = 0; i < 4; i++) {
		uint64_t offset = fuzz_take_number(input);

		read_at(f, value, offset);
		if (value->is_blob) {
			seek_at(f, &value->blob, offset, true);
			seek_at(f, &value->blob, offset, false);
		}
	}
	if (!value->is_blob)
		return;
	assert_end(prolly_blob_get_allocated(&f->context, &value->blob, &bytes, &error), &error);
	assert_end(prolly_blob_walk(&f->context, &value->blob, count_child, &n, &error), &error);
	/* What lies behind the place written is cut off, so that little is written anew. */
	if (value->length < 100000)
		write_over(f, input, &value->blob);
}

/* A stored value that parses is the one that its parts make. */
static void assert_one_encoding(GBytes *stored, const ProllyValue *value)
{
	g_autoptr(GBytes) again = value->is_blob ? prolly_value_new_blob(value->kind, &value->blob)
						 : prolly_value_new_inline(value->kind, value->data,
									   (size_t)value->length);
	size_t len;
	const uint8_t *bytes = g_bytes_get_data(stored, &len);

	g_assert_true(g_bytes_equal(stored, again));
	g_assert_cmpuint(prolly_value_weigh(bytes, len), ==, value->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {data, size};
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GError) error = NULL;
	ProllyValue value;
	size_t len;
	Fixture f;

	set_up_tiny(&f, NULL);
	if (fuzz_take_byte(&input) % 2) {
		ProllyBlob blob = take_blob(&input, f.context.store);

		stored = prolly_value_new_blob(PROLLY_KIND_FILE, &blob);
	} else {
		stored = fuzz_take_gbytes(&input, 64);
	}
	data = g_bytes_get_data(stored, &len);
	if (prolly_value_parse(data, len, &value, &error)) {
		assert_one_encoding(stored, &value);
		use(&f, &input, &value);
	} else {
		assert_end(false, &error);
	}
	tear_down(&f, NULL);
	return 0;
}
