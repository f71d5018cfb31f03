/* SPDX-License-Identifier: Apache-2.0 */

/*
 * attrs: local attributes of paths, as bytes.
 *
 * A record of attributes is a varint of bits, the varint sequence of the branch's last move when it
 * was written, then what the bits name, in this order:
 *
 *   mode, uid, gid          varints
 *   mtime, atime, ctime     zigzag varints; the last two as differences from the first (from 0 if
 *                           that is not there), so that three equal times cost two bytes more than
 *                           one
 *   number, group, salt     varints
 *   extended attributes     the rest: (name, value) pairs of strings, names strictly
 *                           ascending
 *
 * The same bytes are in staged records, in records of directories and in the branch's tree of
 * committed attributes, whose keys are namespace, NUL, type, rest. A record may name nothing but a
 * salt: that of a path whose object was renamed and took its derived number with it.
 *
 * A number that nobody recorded is derived from namespace, key, whether it is a directory, and the
 * salt. It has bit 46 set, numbers from the counter never do, so the two ranges never meet.
 */

#include "version/working-private.h"

#include <string.h>
#include <time.h>

#define DERIVED_BIT (UINT64_C(1) << 46)

void prolly_attrs_clear(ProllyAttrs *attrs)
{
	g_clear_pointer(&attrs->xattrs, g_bytes_unref);
}

void prolly_attr_record_clear(ProllyAttrRecord *record)
{
	prolly_attrs_clear(&record->attrs);
}

int64_t prolly_time_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- Extended attributes, one by one ----------------------------------------------------- */

typedef struct {
	const uint8_t *name;
	size_t name_len;
	const uint8_t *value;
	size_t value_len;
} Xattr;

static bool xattr_next(ProllyReader *reader, Xattr *out)
{
	if (prolly_reader_at_end(reader))
		return false;
	out->name = prolly_reader_string(reader, &out->name_len);
	out->value = prolly_reader_string(reader, &out->value_len);
	return prolly_reader_ok(reader);
}

/* Are the rest of READER's bytes pairs, by strictly ascending name? */
static bool xattrs_ascend(ProllyReader reader)
{
	Xattr before, xattr;

	for (bool first = true; xattr_next(&reader, &xattr); first = false) {
		if (!first && prolly_bytes_compare(before.name, before.name_len, xattr.name,
						   xattr.name_len) >= 0)
			return false;
		before = xattr;
	}
	return prolly_reader_ok(&reader);
}

/* ---- Records ----------------------------------------------------------------------------- */

static void append_signed(GByteArray *out, int64_t v)
{
	prolly_append_varint(out, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static int64_t read_signed(ProllyReader *reader)
{
	uint64_t v = prolly_reader_varint(reader);

	return (int64_t)(v >> 1 ^ (~(v & 1) + 1));
}

/* Of a user or group. */
static uint32_t read_id(ProllyReader *reader)
{
	uint64_t id = prolly_reader_varint(reader);

	if (id > UINT32_MAX)
		reader->failed = true;
	return (uint32_t)id;
}

/* A difference that wraps instead of overflowing: any two times have one. */
static int64_t subtract(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

void prolly_attr_record_append(GByteArray *out, const ProllyAttrRecord *record)
{
	const ProllyAttrs *attrs = &record->attrs;
	uint32_t has = attrs->has;
	int64_t base = has & PROLLY_ATTR_MTIME ? attrs->mtime : 0;

	if (!attrs->xattrs)
		has &= ~(uint32_t)PROLLY_ATTR_XATTRS;
	prolly_append_varint(out, has);
	prolly_append_varint(out, record->sequence);
	if (has & PROLLY_ATTR_MODE)
		prolly_append_varint(out, attrs->mode);
	if (has & PROLLY_ATTR_UID)
		prolly_append_varint(out, attrs->uid);
	if (has & PROLLY_ATTR_GID)
		prolly_append_varint(out, attrs->gid);
	if (has & PROLLY_ATTR_MTIME)
		append_signed(out, attrs->mtime);
	if (has & PROLLY_ATTR_ATIME)
		append_signed(out, subtract(attrs->atime, base));
	if (has & PROLLY_ATTR_CTIME)
		append_signed(out, subtract(attrs->ctime, base));
	if (has & PROLLY_ATTR_INO)
		prolly_append_varint(out, attrs->ino);
	if (has & PROLLY_ATTR_GROUP)
		prolly_append_varint(out, attrs->group);
	if (has & PROLLY_ATTR_SALT)
		prolly_append_varint(out, record->salt);
	if (has & PROLLY_ATTR_XATTRS) {
		size_t len;
		const void *data = g_bytes_get_data(attrs->xattrs, &len);

		g_byte_array_append(out, data, (guint)len);
	}
}

bool prolly_attr_record_parse(const uint8_t *data, size_t len, ProllyAttrRecord *out_record,
			      GError **error)
{
	ProllyAttrRecord record = {0};
	ProllyAttrs *attrs = &record.attrs;
	ProllyReader reader;
	uint64_t bits;

	prolly_reader_init(&reader, data, len);
	bits = prolly_reader_varint(&reader);
	record.sequence = prolly_reader_varint(&reader);
	if (bits & PROLLY_ATTR_MODE)
		attrs->mode = (uint32_t)prolly_reader_varint(&reader) & 07777;
	if (bits & PROLLY_ATTR_UID)
		attrs->uid = read_id(&reader);
	if (bits & PROLLY_ATTR_GID)
		attrs->gid = read_id(&reader);
	if (bits & PROLLY_ATTR_MTIME)
		attrs->mtime = read_signed(&reader);
	if (bits & PROLLY_ATTR_ATIME)
		attrs->atime = add(attrs->mtime, read_signed(&reader));
	if (bits & PROLLY_ATTR_CTIME)
		attrs->ctime = add(attrs->mtime, read_signed(&reader));
	if (bits & PROLLY_ATTR_INO)
		attrs->ino = prolly_reader_varint(&reader);
	if (bits & PROLLY_ATTR_GROUP)
		attrs->group = prolly_reader_varint(&reader);
	if (bits & PROLLY_ATTR_SALT)
		record.salt = prolly_reader_varint(&reader);
	if (!prolly_reader_ok(&reader) || bits >= PROLLY_ATTR_SALT << 1 ||
	    !(bits & PROLLY_ATTR_XATTRS ? xattrs_ascend(reader) : prolly_reader_at_end(&reader)))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "a record of attributes is damaged");
	attrs->has = (uint32_t)bits;
	if (bits & PROLLY_ATTR_XATTRS)
		attrs->xattrs = g_bytes_new(reader.p, (gsize)(reader.end - reader.p));
	*out_record = record;
	return true;
}

void prolly_attrs_leave_group(ProllyAttrs *attrs)
{
	if (attrs->group)
		attrs->has &= ~(uint32_t)(PROLLY_ATTR_GROUP | PROLLY_ATTR_INO);
	attrs->group = 0;
}

void prolly_attr_record_update(ProllyAttrRecord *record, const ProllyAttrs *attrs)
{
	ProllyAttrs *to = &record->attrs;
	uint32_t has = attrs->has & PROLLY_ATTR_PUBLIC;

	if (has & PROLLY_ATTR_MODE)
		to->mode = attrs->mode & 07777;
	if (has & PROLLY_ATTR_UID)
		to->uid = attrs->uid;
	if (has & PROLLY_ATTR_GID)
		to->gid = attrs->gid;
	if (has & PROLLY_ATTR_ATIME)
		to->atime = attrs->atime;
	if (has & PROLLY_ATTR_MTIME)
		to->mtime = attrs->mtime;
	if (has & PROLLY_ATTR_CTIME)
		to->ctime = attrs->ctime;
	to->has |= has;
	if (!(has & PROLLY_ATTR_XATTRS))
		return;
	g_clear_pointer(&to->xattrs, g_bytes_unref);
	if (attrs->xattrs)
		to->xattrs = g_bytes_ref(attrs->xattrs);
	else
		to->has &= ~(uint32_t)PROLLY_ATTR_XATTRS;
}

void prolly_attr_key_append(GByteArray *out, ProllyRecordType type, const char *ns,
			    const void *rest, size_t rest_len)
{
	g_byte_array_append(out, (const guint8 *)ns, (guint)strlen(ns) + 1);
	prolly_append_u8(out, (uint8_t)type);
	g_byte_array_append(out, rest, (guint)rest_len);
}

/* ---- Numbers ----------------------------------------------------------------------------- */

/* MurmurHash64A, little endian. */
static uint64_t hash_bytes(const uint8_t *data, size_t len, uint64_t seed)
{
	const uint64_t m = UINT64_C(0xc6a4a7935bd1e995);
	uint64_t h = seed ^ len * m;
	uint64_t tail = 0;

	for (; len >= 8; data += 8, len -= 8) {
		uint64_t k = prolly_get_le64(data) * m;

		h = (h ^ (k ^ k >> 47) * m) * m;
	}
	for (size_t i = 0; i < len; i++)
		tail |= (uint64_t)data[i] << 8 * i;
	if (len)
		h = (h ^ tail) * m;
	h = (h ^ h >> 47) * m;
	return h ^ h >> 47;
}

uint64_t prolly_attr_derive_ino(const char *ns, const void *key, size_t key_len, bool is_directory,
				uint64_t salt)
{
	uint64_t seed = hash_bytes((const uint8_t *)ns, strlen(ns), salt << 1 | is_directory);

	return (hash_bytes(key, key_len, seed) & (DERIVED_BIT - 1)) | DERIVED_BIT;
}

/* ---- Extended attributes ----------------------------------------------------------------- */

static void read_xattrs(ProllyReader *reader, GBytes *xattrs)
{
	size_t len = 0;
	const void *data = xattrs ? g_bytes_get_data(xattrs, &len) : NULL;

	prolly_reader_init(reader, data, len);
}

bool prolly_xattrs_get(GBytes *xattrs, const char *name, GBytes **out_value)
{
	size_t name_len = strlen(name);
	ProllyReader reader;
	Xattr xattr;

	*out_value = NULL;
	read_xattrs(&reader, xattrs);
	while (xattr_next(&reader, &xattr))
		if (!prolly_bytes_compare(xattr.name, xattr.name_len, name, name_len)) {
			*out_value = g_bytes_new(xattr.value, xattr.value_len);
			return true;
		}
	return false;
}

static void append_xattr(GByteArray *out, const void *name, size_t name_len, const void *value,
			 size_t value_len)
{
	prolly_append_string(out, name, name_len);
	prolly_append_string(out, value, value_len);
}

GBytes *prolly_xattrs_with(GBytes *xattrs, const char *name, GBytes *value)
{
	GByteArray *out = g_byte_array_new();
	size_t name_len = strlen(name), value_len = 0;
	const void *data = value ? g_bytes_get_data(value, &value_len) : NULL;
	bool pending = value != NULL;
	ProllyReader reader;
	Xattr xattr;

	read_xattrs(&reader, xattrs);
	while (xattr_next(&reader, &xattr)) {
		int order = prolly_bytes_compare(xattr.name, xattr.name_len, name, name_len);

		if (order >= 0 && pending) {
			append_xattr(out, name, name_len, data, value_len);
			pending = false;
		}
		if (order != 0)
			append_xattr(out, xattr.name, xattr.name_len, xattr.value, xattr.value_len);
	}
	if (pending)
		append_xattr(out, name, name_len, data, value_len);
	if (out->len)
		return g_byte_array_free_to_bytes(out);
	g_byte_array_free(out, TRUE);
	return NULL;
}

GPtrArray *prolly_xattrs_list(GBytes *xattrs)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	ProllyReader reader;
	Xattr xattr;

	read_xattrs(&reader, xattrs);
	while (xattr_next(&reader, &xattr))
		g_ptr_array_add(names, g_strndup((const char *)xattr.name, xattr.name_len));
	return names;
}
