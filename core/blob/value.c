/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stored values: what a leaf of a tree holds for a key.
 *
 *   0  1  tag: the kind; PROLLY_VALUE_BLOB is added if a reference follows
 *   then the content itself, or
 *   1  8  length of the content
 *   9  4  height of the blob
 *  13 32  hash of its top node or only chunk
 *
 * Numbers are little endian. A content has one stored value, because its length alone decides
 * between the two. Kinds that have no content of their own (directory, fifo, socket) have none
 * here, a device has its two numbers.
 */
#include "base/memory.h"
#include "blob/blob-private.h"

#include <string.h>

#define DEVICE_SIZE 8

static bool is_device(ProllyKind kind)
{
	return kind == PROLLY_KIND_CHARDEV || kind == PROLLY_KIND_BLOCKDEV;
}

static bool has_free_content(ProllyKind kind)
{
	return kind == PROLLY_KIND_FILE || kind == PROLLY_KIND_EXECUTABLE ||
	       kind == PROLLY_KIND_SYMLINK;
}

static bool parse_blob(const uint8_t *stored, size_t len, ProllyValue *value)
{
	ProllyReader reader;
	const uint8_t *hash;

	prolly_reader_init(&reader, stored + 1, len - 1);
	value->is_blob = true;
	value->length = value->blob.length = prolly_reader_le64(&reader);
	value->blob.height = prolly_reader_le32(&reader);
	hash = prolly_reader_bytes(&reader, PROLLY_HASH_SIZE);
	if (!prolly_reader_at_end(&reader))
		return false;
	memcpy(value->blob.hash.bytes, hash, PROLLY_HASH_SIZE);
	return value->length > 0 && value->length <= PROLLY_BLOB_LENGTH_MAX &&
	       value->blob.height <= PROLLY_BLOB_HEIGHT_MAX;
}

bool prolly_value_parse(const uint8_t *stored, size_t len, ProllyValue *out_value, GError **error)
{
	ProllyValue value = {0};

	if (len == 0)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "a stored value without a tag");
	unsigned kind = stored[0] & ~PROLLY_VALUE_BLOB;

	if (kind >= PROLLY_KIND_N)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "a stored value of unknown kind %u", kind);
	value.kind = (ProllyKind)kind;
	if (stored[0] & PROLLY_VALUE_BLOB) {
		if (!parse_blob(stored, len, &value))
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "a stored value with a bad blob reference");
	} else {
		value.length = len - 1;
		value.data = stored + 1;
	}
	if (!has_free_content(value.kind) &&
	    (value.is_blob || value.length != (is_device(value.kind) ? DEVICE_SIZE : 0)))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "a stored value whose content does not fit kind %u", kind);
	*out_value = value;
	return true;
}

GBytes *prolly_value_new_inline(ProllyKind kind, const void *data, size_t len)
{
	uint8_t *stored = g_try_malloc(1 + len);

	if (!stored)
		return NULL;
	stored[0] = (uint8_t)kind;
	if (len > 0)
		memcpy(stored + 1, data, len);
	return g_bytes_new_take(stored, 1 + len);
}

GBytes *prolly_value_new_blob(ProllyKind kind, const ProllyBlob *blob)
{
	uint8_t stored[PROLLY_VALUE_BLOB_SIZE];

	stored[0] = (uint8_t)kind | PROLLY_VALUE_BLOB;
	prolly_set_le64(stored + 1, blob->length);
	prolly_set_le32(stored + 9, blob->height);
	memcpy(stored + 13, blob->hash.bytes, PROLLY_HASH_SIZE);
	return g_bytes_new(stored, sizeof(stored));
}

GBytes *prolly_value_with_kind(GBytes *stored, ProllyKind kind)
{
	size_t len;
	const uint8_t *old = g_bytes_get_data(stored, &len);
	uint8_t *bytes = g_memdup2(old, len);

	g_assert(len > 0);
	bytes[0] = (uint8_t)kind | (old[0] & PROLLY_VALUE_BLOB);
	return g_bytes_new_take(bytes, len);
}

/*
 * Trees hold other values too (attributes, roots of namespaces), of whatever bytes. Only what has
 * the length and the tag of a reference is weighed as one: two records of attributes whose first
 * bytes were taken for a length would pass 2^64.
 */
uint64_t prolly_value_weigh(const uint8_t *stored, size_t len)
{
	if (len == PROLLY_VALUE_BLOB_SIZE && stored[0] & PROLLY_VALUE_BLOB &&
	    has_free_content((ProllyKind)(stored[0] & ~PROLLY_VALUE_BLOB)))
		return prolly_get_le64(stored + 1);
	return len > 0 ? len - 1 : 0;
}

static uint32_t get_inline_limit(const ProllyTreeContext *context)
{
	return prolly_format_get_parameters(context->format)->inline_limit;
}

/* *OUT_STORED: DATA in line. */
static bool store_inline(ProllyKind kind, const void *data, size_t len, GBytes **out_stored,
			 GError **error)
{
	GBytes *stored = prolly_value_new_inline(kind, data, len);

	if (!stored)
		return prolly_throw_no_memory(error, len, "a value");
	*out_stored = stored;
	return true;
}

bool prolly_value_store(const ProllyTreeContext *context, ProllyKind kind, const void *data,
			size_t len, GBytes **out_stored, GError **error)
{
	ProllyBlob blob;

	if (len <= get_inline_limit(context))
		return store_inline(kind, data, len, out_stored, error);
	g_autoptr(ProllyBlobWriter) writer = prolly_blob_writer_new(context);

	if (!prolly_blob_writer_write(writer, data, len, error) ||
	    !prolly_blob_writer_finish(writer, &blob, error))
		return false;
	*out_stored = prolly_value_new_blob(kind, &blob);
	return true;
}

bool prolly_value_store_blob(const ProllyTreeContext *context, ProllyKind kind,
			     const ProllyBlob *blob, GBytes **out_stored, GError **error)
{
	if (blob->length > get_inline_limit(context)) {
		*out_stored = prolly_value_new_blob(kind, blob);
		return true;
	}
	size_t len = (size_t)blob->length;
	g_autofree uint8_t *data = prolly_try_malloc(len, "a value", error);

	return data && prolly_blob_read(context, blob, 0, data, len, &len, error) &&
	       store_inline(kind, data, len, out_stored, error);
}

bool prolly_value_read(const ProllyTreeContext *context, const ProllyValue *value, uint64_t offset,
		       void *buffer, size_t len, size_t *out_len, GError **error)
{
	if (value->is_blob)
		return prolly_blob_read(context, &value->blob, offset, buffer, len, out_len, error);
	size_t n = 0;

	if (offset < value->length)
		n = (size_t)MIN(len, value->length - offset);
	if (n > 0)
		memcpy(buffer, value->data + offset, n);
	*out_len = n;
	return true;
}
