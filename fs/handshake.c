/* SPDX-License-Identifier: Apache-2.0 */

/*
 * handshake: what the kernel is asked for that libfuse 3.14 cannot ask for.
 *
 * Before each write(2) the kernel asks for the attribute security.capability, which a write would
 * have to take away: a round trip for each write. With HANDLE_KILLPRIV_V2, by which the server
 * promises to do that itself, it remembers that a file has nothing to lose. So the kernel's first
 * message is read on its way to libfuse, which knows no such flag, and the answer to it gets the flag
 * on its way back. Everything else passes as it is.
 *
 * What is promised is kept where attributes and contents are changed (ops-attr.c, ops-file.c);
 * security.* attributes cannot be set here at all.
 */

#include "fs-private.h"

#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t receive(int fd, void *buffer, size_t size, void *data)
{
	PfsMount *mount = data;
	const struct fuse_in_header *header = buffer;
	const struct fuse_init_in *init = (const void *)(header + 1);
	ssize_t len = read(fd, buffer, size);

	if (mount->is_ready || len < (ssize_t)(sizeof *header + sizeof *init) ||
	    header->opcode != FUSE_INIT)
		return len;
	mount->may_drop_privileges = init->flags & FUSE_HANDLE_KILLPRIV_V2;
	return len;
}

/* The answer to the first message: PARTS are its header and what it says. */
static void extend(struct iovec *parts, int n)
{
	const struct fuse_out_header *header = parts[0].iov_base;
	struct fuse_init_out *init = n == 2 ? parts[1].iov_base : NULL;

	if (!header->error && init && parts[1].iov_len >= sizeof *init)
		init->flags |= FUSE_HANDLE_KILLPRIV_V2;
}

static ssize_t send_parts(int fd, struct iovec *parts, int n, void *data)
{
	PfsMount *mount = data;

	if (G_UNLIKELY(mount->may_drop_privileges)) {
		mount->may_drop_privileges = false;
		extend(parts, n);
	}
	return writev(fd, parts, n);
}

bool pfs_handshake_prepare(PfsMount *mount, GError **error)
{
	const struct fuse_custom_io io = {.read = receive, .writev = send_parts};
	int failure = fuse_session_custom_io(mount->session, &io, fuse_session_fd(mount->session));

	return !failure || prolly_throw_errno(error, -failure, "/dev/fuse");
}
