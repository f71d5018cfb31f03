/* SPDX-License-Identifier: Apache-2.0 */

/*
 * spool: bytes on their way from a writer to a reader that comes later, in order.
 *
 * Up to MEMORY_MAX of them, or what can be had, are in memory; when there are more, what follows
 * goes to an unlinked file in the directory for temporary files, until everything was read. So
 * memory is bounded, whatever a command prints before anyone reads it. (A memfd would be the
 * daemon's memory all the same.)
 *
 * Invariant: bytes in memory are older than those in the file; while the file holds any, nothing is
 * added to memory.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_MAX (1024u * 1024)

struct ProllySpool {
	GByteArray *memory;
	size_t memory_read; /* of memory, already read */
	int fd;             /* -1: no file yet */
	uint64_t file_read;
	uint64_t file_written;
};

ProllySpool *prolly_spool_new(void)
{
	ProllySpool *spool = g_new0(ProllySpool, 1);
	spool->memory = g_byte_array_new();
	spool->fd = -1;
	return spool;
}

void prolly_spool_free(ProllySpool *spool)
{
	if (!spool)
		return;
	g_byte_array_unref(spool->memory);
	if (spool->fd >= 0)
		close(spool->fd);
	g_free(spool);
}

static bool open_file(ProllySpool *spool, GError **error)
{
	if (spool->fd >= 0)
		return true;
	g_autofree char *path = g_build_filename(g_get_tmp_dir(), "prollyfs-XXXXXX", NULL);
	spool->fd = mkostemp(path, O_CLOEXEC);
	if (spool->fd < 0)
		return prolly_throw_errno(error, errno, "%s", path);
	unlink(path);
	return true;
}

static bool write_file(ProllySpool *spool, const char *data, size_t len, GError **error)
{
	if (!open_file(spool, error))
		return false;
	while (len) {
		ssize_t n = pwrite(spool->fd, data, len, (off_t)spool->file_written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return prolly_throw_errno(error, errno, "temporary file for output");
		spool->file_written += (uint64_t)n;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

bool prolly_spool_write(ProllySpool *spool, const void *data, size_t len, GError **error)
{
	bool in_memory = spool->file_read == spool->file_written &&
			 spool->memory->len - spool->memory_read + len <= MEMORY_MAX;
	if (in_memory) {
		g_byte_array_remove_range(spool->memory, 0, (guint)spool->memory_read);
		spool->memory_read = 0;
		in_memory = prolly_try_reserve(&spool->memory, len, "output", NULL);
	}
	if (!in_memory)
		return write_file(spool, data, len, error);
	g_byte_array_append(spool->memory, data, (guint)len);
	return true;
}

static size_t read_memory(ProllySpool *spool, void *buffer, size_t len)
{
	size_t n = MIN(len, spool->memory->len - spool->memory_read);
	if (n)
		memcpy(buffer, spool->memory->data + spool->memory_read, n);
	spool->memory_read += n;
	if (spool->memory_read == spool->memory->len) {
		prolly_bytes_drop(&spool->memory);
		spool->memory_read = 0;
	}
	return n;
}

/* When everything was read the file's space is given back. */
static bool read_file(ProllySpool *spool, void *buffer, size_t len, size_t *out_len, GError **error)
{
	ssize_t n;
	do
		n = pread(spool->fd, buffer, len, (off_t)spool->file_read);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return prolly_throw_errno(error, errno, "temporary file for output");
	spool->file_read += (uint64_t)n;
	if (spool->file_read == spool->file_written) {
		spool->file_read = spool->file_written = 0;
		if (ftruncate(spool->fd, 0) < 0)
			return prolly_throw_errno(error, errno, "temporary file for output");
	}
	*out_len = (size_t)n;
	return true;
}

bool prolly_spool_read(ProllySpool *spool, void *buffer, size_t len, size_t *out_len,
		       GError **error)
{
	size_t n = read_memory(spool, buffer, len);
	if (!n && len && spool->file_read < spool->file_written)
		return read_file(spool, buffer, len, out_len, error);
	*out_len = n;
	return true;
}
