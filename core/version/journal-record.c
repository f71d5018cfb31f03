/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's records: what a publication puts into the git directory. Family JOURNAL, the key is
 * the record's number (be64), and the value:
 *
 *   version      u8, 1
 *   objects      varint count, then for each: type u8 (git's number), contents (string)
 *   references   varint count, then for each: name (string), from (20 bytes), to (20 bytes),
 *                the reflog's line (string), the reflog before it (string, may be empty)
 *
 * A string is a varint length and its bytes. An object's id is not stored, since it is the hash of
 * its contents; a reference's name is checked before it becomes a path.
 */
#include "version/journal-private.h"

#include <string.h>

#define RECORD_VERSION 1

static void append_cstring(GByteArray *out, const char *text)
{
	prolly_append_string(out, text, strlen(text));
}

void prolly_journal_encode(const GPtrArray *objects, const GPtrArray *updates, GByteArray *out)
{
	prolly_append_u8(out, RECORD_VERSION);
	prolly_append_varint(out, objects ? objects->len : 0);
	for (guint i = 0; objects && i < objects->len; i++) {
		const ProllyGitObject *object = g_ptr_array_index(objects, i);

		prolly_append_u8(out, (uint8_t)object->type);
		prolly_append_string(out, g_bytes_get_data(object->bytes, NULL),
				     g_bytes_get_size(object->bytes));
	}
	prolly_append_varint(out, updates->len);
	for (guint i = 0; i < updates->len; i++) {
		const ProllyRefUpdate *update = g_ptr_array_index(updates, i);
		GBytes *head = update->log_head;

		append_cstring(out, update->name);
		g_byte_array_append(out, update->from.bytes, PROLLY_COMMIT_ID_SIZE);
		g_byte_array_append(out, update->to.bytes, PROLLY_COMMIT_ID_SIZE);
		append_cstring(out, update->log);
		prolly_append_string(out, head ? g_bytes_get_data(head, NULL) : "",
				     head ? g_bytes_get_size(head) : 0);
	}
}

static bool decode_object(ProllyReader *reader, GPtrArray *objects)
{
	uint8_t type = prolly_reader_u8(reader);
	size_t len;
	const uint8_t *bytes = prolly_reader_string(reader, &len);
	ProllyGitObject *object;

	if (!bytes || type < GIT_OBJECT_COMMIT || type > GIT_OBJECT_TAG)
		return false;
	object = g_new0(ProllyGitObject, 1);
	object->type = (git_object_t)type;
	object->bytes = g_bytes_new(bytes, len);
	g_ptr_array_add(objects, object);
	return true;
}

static bool decode_id(ProllyReader *reader, ProllyCommitId *out_id)
{
	const uint8_t *bytes = prolly_reader_bytes(reader, PROLLY_COMMIT_ID_SIZE);

	if (!bytes)
		return false;
	memcpy(out_id->bytes, bytes, PROLLY_COMMIT_ID_SIZE);
	return true;
}

/* (transfer full) NULL if there is none, or a NUL in it. */
static char *decode_cstring(ProllyReader *reader)
{
	size_t len;
	const uint8_t *bytes = prolly_reader_string(reader, &len);

	if (!bytes || memchr(bytes, '\0', len))
		return NULL;
	return g_strndup((const char *)bytes, len);
}

static bool decode_update(ProllyReader *reader, GPtrArray *updates)
{
	g_autoptr(ProllyRefUpdate) update = g_new0(ProllyRefUpdate, 1);
	const uint8_t *head;
	size_t head_len;
	int valid = 0;

	update->name = decode_cstring(reader);
	if (!update->name || !g_str_has_prefix(update->name, "refs/") ||
	    git_reference_name_is_valid(&valid, update->name) < 0 || !valid)
		return false;
	if (!decode_id(reader, &update->from) || !decode_id(reader, &update->to))
		return false;
	update->log = decode_cstring(reader);
	head = prolly_reader_string(reader, &head_len);
	if (!update->log || !head)
		return false;
	if (head_len > 0)
		update->log_head = g_bytes_new(head, head_len);
	g_ptr_array_add(updates, g_steal_pointer(&update));
	return true;
}

bool prolly_journal_decode(const void *data, size_t len, GPtrArray **out_objects,
			   GPtrArray **out_updates, GError **error)
{
	g_autoptr(GPtrArray) objects =
		g_ptr_array_new_with_free_func((GDestroyNotify)prolly_git_object_free);
	g_autoptr(GPtrArray) updates =
		g_ptr_array_new_with_free_func((GDestroyNotify)prolly_ref_update_free);
	ProllyReader reader;
	unsigned version;
	bool ok;

	prolly_reader_init(&reader, data, len);
	version = prolly_reader_u8(&reader);
	if (version > RECORD_VERSION)
		return prolly_throw(error, PROLLY_ERROR_NEWER_FORMAT,
				    "a record of version %u, this program knows versions up to %u",
				    version, RECORD_VERSION);
	ok = version == RECORD_VERSION;
	for (uint64_t n = prolly_reader_varint(&reader); ok && n > 0; n--)
		ok = decode_object(&reader, objects);
	for (uint64_t n = prolly_reader_varint(&reader); ok && n > 0; n--)
		ok = decode_update(&reader, updates);
	if (!ok || !prolly_reader_at_end(&reader))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "a damaged record");
	*out_objects = g_steal_pointer(&objects);
	*out_updates = g_steal_pointer(&updates);
	return true;
}
