/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An older kernel: what is preloaded by this reads in the first message of /dev/fuse the minor version
 * that PROLLYFS_TEST_KERNEL says (37: Linux 6.1), and does without what came later. The kernel below
 * still has all of it, and answers to what an older one knows as that did.
 */
#include <dlfcn.h>
#include <linux/fuse.h>
#include <stdlib.h>
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
