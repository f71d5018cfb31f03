/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loose objects, as git keeps them: objects/XX/YYY..., the id in hex, holds a zlib stream of
 * "TYPE LENGTH\0" and the content.
 *
 * The stream is of stored blocks, as `git -c core.compression=0` writes it: an object of a commit
 * is 200 bytes in a file that takes a block of the disk anyway, and deflating it costs more than
 * writing it. Packing compresses (git-pack.c).
 *
 *     78 01                                       zlib, the fastest level
 *     for each block: 01 if it is the last, 00    stored
 *                     length, its complement      little endian, 2 bytes each
 *                     bytes
 *     Adler-32 of all bytes                       big endian, 4 bytes
 */
#include "base/memory.h"
#include "version/repo-private.h"

#include <string.h>

#define BLOCK_MAX   65535
#define BLOCK_HEAD  5
#define OBJECT      "an object of git"
#define ADLER_PRIME 65521
#define OBJECT_MODE 0444

static void append_be32(GByteArray *out, uint32_t value)
{
	uint8_t bytes[4];

	prolly_set_be32(bytes, value);
	g_byte_array_append(out, bytes, sizeof(bytes));
}

static uint32_t compute_adler32(const uint8_t *data, size_t len)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < len; i++) {
		a = (a + data[i]) % ADLER_PRIME;
		b = (b + a) % ADLER_PRIME;
	}
	return b << 16 | a;
}

static void append_block(GByteArray *out, const uint8_t *data, size_t len, bool is_last)
{
	const uint8_t head[] = {is_last, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)~len,
				(uint8_t)(~len >> 8)};

	g_byte_array_append(out, head, sizeof(head));
	g_byte_array_append(out, data, (guint)len);
}

/* *OUT_STREAM (transfer full). */
static bool encode_stream(const GByteArray *content, GByteArray **out_stream, GError **error)
{
	static const uint8_t head[] = {0x78, 0x01};
	g_autoptr(GByteArray) out = g_byte_array_new();
	size_t n_blocks = content->len / BLOCK_MAX + 1, at = 0;

	if (!prolly_try_reserve(&out, content->len + n_blocks * BLOCK_HEAD + 64, OBJECT, error))
		return false;
	g_byte_array_append(out, head, sizeof(head));
	do {
		size_t len = MIN(content->len - at, BLOCK_MAX);

		append_block(out, content->data + at, len, at + len == content->len);
		at += len;
	} while (at < content->len);
	append_be32(out, compute_adler32(content->data, content->len));
	*out_stream = g_steal_pointer(&out);
	return true;
}

/* The directory XX is made by the first that needs it. */
static bool put_object(ProllySpares *spares, const char *path, const GByteArray *stream,
		       GError **error)
{
	g_autofree char *dir = g_path_get_dirname(path);
	g_autoptr(GError) local = NULL;

	if (prolly_spares_put(spares, path, stream->data, stream->len, OBJECT_MODE, &local))
		return true;
	if (!g_error_matches(local, PROLLY_ERRNO, ENOENT) || g_mkdir_with_parents(dir, 0777) < 0) {
		g_propagate_error(error, g_steal_pointer(&local));
		return false;
	}
	return prolly_spares_put(spares, path, stream->data, stream->len, OBJECT_MODE, error);
}

bool prolly_git_write_loose(ProllySpares *spares, const char *git_dir, const git_oid *oid,
			    git_object_t type, const void *data, size_t len, GError **error)
{
	g_autoptr(GByteArray) content = g_byte_array_new();
	g_autoptr(GByteArray) stream = NULL;
	g_autofree char *path = NULL;
	g_autofree char *head = g_strdup_printf("%s %zu", git_object_type2string(type), len);
	char hex[GIT_OID_HEXSZ + 1];

	if (!prolly_try_reserve(&content, strlen(head) + 1 + len, OBJECT, error))
		return false;
	g_byte_array_append(content, (const uint8_t *)head, (guint)strlen(head) + 1);
	g_byte_array_append(content, data, (guint)len);
	if (!encode_stream(content, &stream, error))
		return false;
	git_oid_tostr(hex, sizeof(hex), oid);
	path = g_strdup_printf("%s/objects/%.2s/%s", git_dir, hex, hex + 2);
	return put_object(spares, path, stream, error);
}
