/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an open file.
 *
 * What nothing is laid over is an immutable value: it is read without the file's lock, so that
 * others read and write meanwhile; and what is large of it, without a copy, and ahead of who reads
 * it in order (blob.h). What something is laid over is read under the lock, with a copy.
 */
#include "version/file-private.h"

#include <string.h>

#define AHEAD_MIN (256u << 10) /* bytes of a blob that is worth it */

/* The content, if nothing is laid over it. Its runs are not the caller's. */
typedef struct {
	GBytes *stored;
	ProllyOverlay content;
	ProllyBlobAhead *ahead; /* NULL: not worth it */
} Plain;

static void plain_clear(Plain *plain)
{
	g_clear_pointer(&plain->stored, g_bytes_unref);
	g_clear_pointer(&plain->ahead, prolly_blob_ahead_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Plain, plain_clear)

/* (transfer full) (nullable) Who reads ahead in the content; the lock is held. */
static ProllyBlobAhead *dup_ahead(ProllyFile *file)
{
	const ProllyValue *value = &file->content.value;

	if (!value->is_blob || value->length < AHEAD_MIN)
		return NULL;
	if (file->ahead && !prolly_blob_ahead_is_of(file->ahead, &value->blob))
		g_clear_pointer(&file->ahead, prolly_blob_ahead_unref);
	if (!file->ahead)
		file->ahead = prolly_blob_ahead_new(prolly_file_get_context(file), &value->blob);
	return prolly_blob_ahead_ref(file->ahead);
}

/* The lock is held. */
static bool take_plain(ProllyFile *file, Plain *out_plain)
{
	if (file->content.runs->len)
		return false;
	out_plain->content = file->content;
	out_plain->stored = g_bytes_ref(file->content.stored);
	out_plain->ahead = dup_ahead(file);
	return true;
}

static bool read_plain(ProllyFile *file, const Plain *plain, uint64_t offset, uint8_t *buffer,
		       size_t len, size_t *out_len, GError **error)
{
	const ProllyOverlay *content = &plain->content;
	size_t known = 0;

	*out_len = 0;
	if (offset >= content->length)
		return true;
	len = (size_t)MIN(len, content->length - offset);
	if (plain->ahead)
		prolly_blob_ahead_note(plain->ahead, offset, len);
	if (offset < content->base_length &&
	    !prolly_value_read(prolly_file_get_context(file), &content->value, offset, buffer,
			       (size_t)MIN(len, content->base_length - offset), &known, error))
		return false;
	memset(buffer + known, 0, len - known);
	*out_len = len;
	return true;
}

bool prolly_file_read(ProllyFile *file, uint64_t offset, void *buffer, size_t len, size_t *out_len,
		      GError **error)
{
	g_auto(Plain) plain = {0};
	bool ok = true;

	g_mutex_lock(&file->lock);
	bool is_plain = take_plain(file, &plain);

	if (!is_plain)
		ok = prolly_overlay_read(&file->content, prolly_file_get_context(file), offset,
					 buffer, len, out_len, error);
	g_mutex_unlock(&file->lock);
	return is_plain ? read_plain(file, &plain, offset, buffer, len, out_len, error) : ok;
}

bool prolly_file_read_pieces(ProllyFile *file, uint64_t offset, size_t len, GArray *pieces,
			     bool *out_has, GError **error)
{
	g_auto(Plain) plain = {0};
	uint64_t end;

	g_mutex_lock(&file->lock);
	*out_has = take_plain(file, &plain);
	g_mutex_unlock(&file->lock);
	if (!*out_has)
		return true;
	end = MIN(plain.content.length, offset + len);
	*out_has = plain.ahead && offset < end && end <= plain.content.base_length;
	if (!*out_has)
		return true;
	prolly_blob_ahead_note(plain.ahead, offset, end - offset);
	return prolly_blob_read_pieces(prolly_file_get_context(file), &plain.content.value.blob,
				       offset, (size_t)(end - offset), pieces, error);
}

bool prolly_file_is_loaded(ProllyFile *file, uint64_t offset, size_t len)
{
	g_autoptr(ProllyBlobAhead) ahead = NULL;

	if (!g_mutex_trylock(&file->lock))
		return false;
	if (!file->content.runs->len && file->ahead)
		ahead = prolly_blob_ahead_ref(file->ahead);
	g_mutex_unlock(&file->lock);
	return ahead && prolly_blob_ahead_has(ahead, offset, len);
}
