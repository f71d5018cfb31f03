/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy: bytes from one open file to another, a piece at a time.
 *
 * By read(2) and write(2): copy_file_range(2) would share blocks where the filesystem can, and a copy
 * that shares its blocks with what it is a copy of is damaged together with it.
 */
#include "base/copy.h"
#include "base/memory.h"

#include <errno.h>
#include <unistd.h>

#define PIECE 65536

/* Up to LEN bytes; *OUT_N is 0 at the end of IN. */
static bool read_some(int in, void *piece, size_t len, const char *from, size_t *out_n,
		      GError **error)
{
	ssize_t n;

	do
		n = read(in, piece, len);
	while (n < 0 && errno == EINTR);
	*out_n = (size_t)MAX(n, 0);
	return n >= 0 || prolly_throw_errno(error, errno, "read %s", from);
}

bool prolly_copy_bytes(int in, int out, uint64_t len, const char *from, const char *to,
		       uint64_t *out_n, GError **error)
{
	g_autofree char *piece = prolly_try_malloc((size_t)MIN(len, PIECE), "copying", error);
	uint64_t done = 0;
	size_t n = 0;
	bool ok = true;

	if (!piece)
		return false;
	do {
		ok = read_some(in, piece, (size_t)MIN(len - done, PIECE), from, &n, error) &&
		     prolly_write_all(out, piece, n, to, error);
		done += n;
	} while (ok && n > 0 && done < len);
	if (out_n)
		*out_n = done;
	return ok;
}
