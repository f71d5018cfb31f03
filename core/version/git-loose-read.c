/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading loose objects before libgit2 does.
 *
 * libgit2 1.5 reads a loose object whose file was cut short for ever, with the lock held that
 * history is read under. So a back end of our own stands before its own: it reads the file whole,
 * and says what is damaged. What it does not have is looked for by the others: packs come first, as
 * they do without it, so that a sound copy in a pack is found. Whether the bytes have the hash that
 * they are asked for by is checked by libgit2, whoever reads them.
 *
 * A file is a zlib stream of "TYPE LENGTH\0" and the content. The length is believed only as far as the
 * stream can be that long.
 *
 * Threads: as libgit2's; there is nothing here that changes.
 */
#include "version/repo-private.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define PRIORITY   2 /* that of packs; loose objects have 1 */
#define HEADER_MAX 32
#define EXPANSION  1032 /* at most, of a zlib stream */
#define DATA_MAX   (1u << 30)

typedef struct {
	git_odb_backend base;
	char *objects;
} LooseReader;

typedef struct {
	git_object_t type;
	size_t len;
	size_t header_len; /* with its NUL */
} Header;

static int throw_damaged(const git_oid *oid, const char *what)
{
	g_autofree char *message =
		g_strdup_printf("loose object %s is damaged: %s", git_oid_tostr_s(oid), what);

	git_error_set_str(GIT_ERROR_ODB, message);
	return GIT_ERROR;
}

static bool parse_header(const char *text, size_t n, Header *out_header)
{
	const char *end = memchr(text, '\0', n);
	const char *space = end ? memchr(text, ' ', (size_t)(end - text)) : NULL;
	g_autofree char *name = NULL;
	guint64 len;

	if (!space || !g_ascii_string_to_unsigned(space + 1, 10, 0, DATA_MAX, &len, NULL))
		return false;
	name = g_strndup(text, (gsize)(space - text));
	out_header->type = git_object_string2type(name);
	out_header->len = (size_t)len;
	out_header->header_len = (size_t)(end - text) + 1;
	return git_object_typeisloose(out_header->type);
}

/* What comes after N bytes of content that came with the header in START. One byte more than there
 * may be is asked for, so that too long a stream is seen. */
static char *inflate_content(git_odb_backend *backend, z_stream *stream, const char *start,
			     size_t n, size_t len)
{
	char *data = n <= len ? git_odb_backend_data_alloc(backend, len + 1) : NULL;
	int result;

	if (!data)
		return NULL;
	memcpy(data, start, n);
	stream->next_out = (Bytef *)data + n;
	stream->avail_out = (uInt)(len + 1 - n);
	result = inflate(stream, Z_FINISH);
	if (result == Z_STREAM_END && stream->avail_out == 1) {
		data[len] = '\0';
		return data;
	}
	git_odb_backend_data_free(backend, data);
	return NULL;
}

static int inflate_object(git_odb_backend *backend, z_stream *stream, size_t file_len,
			  const git_oid *oid, void **out_data, Header *out_header)
{
	char start[HEADER_MAX];
	size_t n;
	int result;

	stream->next_out = (Bytef *)start;
	stream->avail_out = sizeof(start);
	result = inflate(stream, Z_SYNC_FLUSH);
	n = sizeof(start) - stream->avail_out;
	if ((result != Z_OK && result != Z_STREAM_END) || !parse_header(start, n, out_header))
		return throw_damaged(oid, "it has no header");
	if (out_header->len / EXPANSION > file_len)
		return throw_damaged(oid, "its file is shorter than its length allows");
	*out_data = inflate_content(backend, stream, start + out_header->header_len,
				    n - out_header->header_len, out_header->len);
	return *out_data ? 0 : throw_damaged(oid, "its contents are cut short, or others");
}

static int read_loose(void **out_data, size_t *out_len, git_object_t *out_type,
		      git_odb_backend *backend, const git_oid *oid)
{
	const LooseReader *self = (LooseReader *)backend;
	const char *hex = git_oid_tostr_s(oid);
	g_autofree char *path = g_strdup_printf("%s/%.2s/%s", self->objects, hex, hex + 2);
	g_autofree char *file = NULL;
	gsize len = 0;
	z_stream stream = {0};
	Header header = {0};
	void *data = NULL;
	int result;

	if (!g_file_get_contents(path, &file, &len, NULL))
		return GIT_ENOTFOUND; /* or libgit2 says why it cannot be read */
	if (len > DATA_MAX || inflateInit(&stream) != Z_OK)
		return throw_damaged(oid, "it is too long");
	stream.next_in = (Bytef *)file;
	stream.avail_in = (uInt)len;
	result = inflate_object(backend, &stream, len, oid, &data, &header);
	(void)inflateEnd(&stream);
	if (result < 0)
		return result;
	*out_data = data;
	*out_len = header.len;
	*out_type = header.type;
	return 0;
}

static int read_loose_header(size_t *out_len, git_object_t *out_type, git_odb_backend *backend,
			     const git_oid *oid)
{
	void *data = NULL;
	int result = read_loose(&data, out_len, out_type, backend, oid);

	if (result == 0)
		git_odb_backend_data_free(backend, data);
	return result;
}

static void free_reader(git_odb_backend *backend)
{
	g_free(((LooseReader *)backend)->objects);
	g_free(backend);
}

int prolly_git_guard_objects(git_odb *odb, const char *objects)
{
	LooseReader *self = g_new0(LooseReader, 1);
	int result;

	git_odb_init_backend(&self->base, GIT_ODB_BACKEND_VERSION);
	self->base.read = read_loose;
	self->base.read_header = read_loose_header;
	self->base.free = free_reader;
	self->objects = g_strdup(objects);
	result = git_odb_add_backend(odb, &self->base, PRIORITY);
	if (result < 0)
		free_reader(&self->base);
	return result;
}

int prolly_git_open_objects(git_odb **out_odb, const char *objects)
{
	git_odb *odb = NULL;
	int result = git_odb_open(&odb, objects);

	if (result == 0)
		result = prolly_git_guard_objects(odb, objects);
	if (result < 0) {
		git_odb_free(odb);
		return result;
	}
	*out_odb = odb;
	return 0;
}
