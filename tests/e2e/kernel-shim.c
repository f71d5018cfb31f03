/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other kernels, for what is preloaded by this.
 *
 * An older one: in the first message of /dev/fuse is the minor version that PROLLYFS_TEST_KERNEL says
 * (37: Linux 6.1), and what reads it does without what came later. The kernel below still has all of
 * it, and answers to what an older one knows as that did.
 *
 * One that is slow to hear: while there is a file named PROLLYFS_TEST_DEAF it is not told which names
 * have changed. Once that is so, there is one of that name with ".held" at its end.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t read(int fd, void *buffer, size_t size)
{
	static ssize_t (*_Atomic next)(int, void *, size_t);
	const char *minor = getenv("PROLLYFS_TEST_KERNEL");
	const struct fuse_in_header *header = buffer;
	struct fuse_init_in *init = (void *)(header + 1);
	ssize_t len;

	if (!next)
		next = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
	len = next(fd, buffer, size);
	if (minor && len >= (ssize_t)(sizeof *header + sizeof *init) &&
	    header->len == (size_t)len && header->opcode == FUSE_INIT &&
	    init->major == FUSE_KERNEL_VERSION)
		init->minor = (uint32_t)strtoul(minor, NULL, 10);
	return len;
}

static void wait_to_be_heard(const char *deaf)
{
	char held[4096];

	snprintf(held, sizeof held, "%s.held", deaf);
	while (access(deaf, F_OK) == 0) {
		close(open(held, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		usleep(2000);
	}
}

ssize_t writev(int fd, const struct iovec *pieces, int n)
{
	static ssize_t (*_Atomic next)(int, const struct iovec *, int);
	const char *deaf = getenv("PROLLYFS_TEST_DEAF");
	const struct fuse_out_header *header = n > 0 ? pieces[0].iov_base : NULL;

	if (!next)
		next = (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
	if (deaf && header && pieces[0].iov_len == sizeof *header && header->unique == 0 &&
	    header->error == FUSE_NOTIFY_INVAL_ENTRY)
		wait_to_be_heard(deaf);
	return next(fd, pieces, n);
}
