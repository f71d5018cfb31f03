/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as bytes: appending to a GByteArray, and a reader that cannot run past its end.
 *
 * The reader is sticky (see base.h), so that decoders of hostile bytes read straight through and
 * ask once whether all of it was there.
 */
#include "base/base.h"

#include <string.h>
#include <unistd.h>

void prolly_append_u8(GByteArray *out, uint8_t v)
{
	g_byte_array_append(out, &v, 1);
}

void prolly_append_le16(GByteArray *out, uint16_t v)
{
	uint8_t b[2];

	prolly_set_le16(b, v);
	g_byte_array_append(out, b, sizeof(b));
}

void prolly_append_le32(GByteArray *out, uint32_t v)
{
	uint8_t b[4];

	prolly_set_le32(b, v);
	g_byte_array_append(out, b, sizeof(b));
}

void prolly_append_le64(GByteArray *out, uint64_t v)
{
	uint8_t b[8];

	prolly_set_le64(b, v);
	g_byte_array_append(out, b, sizeof(b));
}

void prolly_append_be32(GByteArray *out, uint32_t v)
{
	uint8_t b[4];

	prolly_set_be32(b, v);
	g_byte_array_append(out, b, sizeof(b));
}

void prolly_append_be64(GByteArray *out, uint64_t v)
{
	uint8_t b[8];

	prolly_set_be64(b, v);
	g_byte_array_append(out, b, sizeof(b));
}

void prolly_append_varint(GByteArray *out, uint64_t v)
{
	uint8_t b[10];
	guint n = 0;

	do {
		b[n] = (uint8_t)(v & 0x7f);
		v >>= 7;
		if (v)
			b[n] |= 0x80;
		n++;
	} while (v);
	g_byte_array_append(out, b, n);
}

void prolly_append_string(GByteArray *out, const void *data, size_t len)
{
	prolly_append_varint(out, len);
	if (len)
		g_byte_array_append(out, data, (guint)len);
}

void prolly_reader_init(ProllyReader *reader, const void *data, size_t len)
{
	reader->p = data;
	reader->end = reader->p + len;
	reader->failed = false;
}

bool prolly_reader_ok(const ProllyReader *reader)
{
	return !reader->failed;
}

bool prolly_reader_at_end(const ProllyReader *reader)
{
	return !reader->failed && reader->p == reader->end;
}

const uint8_t *prolly_reader_bytes(ProllyReader *reader, size_t len)
{
	const uint8_t *p = reader->p;

	if (reader->failed || (size_t)(reader->end - p) < len) {
		reader->failed = true;
		return NULL;
	}
	reader->p += len;
	return p;
}

uint8_t prolly_reader_u8(ProllyReader *reader)
{
	const uint8_t *p = prolly_reader_bytes(reader, 1);

	return p ? *p : 0;
}

uint16_t prolly_reader_le16(ProllyReader *reader)
{
	const uint8_t *p = prolly_reader_bytes(reader, 2);

	return p ? prolly_get_le16(p) : 0;
}

uint32_t prolly_reader_le32(ProllyReader *reader)
{
	const uint8_t *p = prolly_reader_bytes(reader, 4);

	return p ? prolly_get_le32(p) : 0;
}

uint64_t prolly_reader_le64(ProllyReader *reader)
{
	const uint8_t *p = prolly_reader_bytes(reader, 8);

	return p ? prolly_get_le64(p) : 0;
}

uint32_t prolly_reader_be32(ProllyReader *reader)
{
	const uint8_t *p = prolly_reader_bytes(reader, 4);

	return p ? prolly_get_be32(p) : 0;
}

uint64_t prolly_reader_be64(ProllyReader *reader)
{
	const uint8_t *p = prolly_reader_bytes(reader, 8);

	return p ? prolly_get_be64(p) : 0;
}

uint64_t prolly_reader_varint(ProllyReader *reader)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = prolly_reader_u8(reader);
		bool overflows = shift == 63 && b > 1;
		bool padded = shift > 0 && b == 0;

		if (reader->failed || overflows || padded)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	reader->failed = true;
	return 0;
}

const uint8_t *prolly_reader_string(ProllyReader *reader, size_t *out_len)
{
	uint64_t len = prolly_reader_varint(reader);
	const uint8_t *p = prolly_reader_bytes(reader, len);

	*out_len = p ? (size_t)len : 0;
	return p;
}

int prolly_bytes_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
	size_t common = MIN(a_len, b_len);
	int order = common ? memcmp(a, b, common) : 0;

	if (order)
		return order;
	return a_len < b_len ? -1 : a_len > b_len;
}

int prolly_strings_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void prolly_close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

bool prolly_write_all(int fd, const void *data, size_t len, const char *what, GError **error)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return prolly_throw_errno(error, errno, "write %s", what);
		p += n;
		len -= (size_t)n;
	}
	return true;
}
