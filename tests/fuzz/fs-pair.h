/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fs-pair: a mounted store, and directories of the kernel's own beside it, to do the same to both and
 * to compare them.
 *
 * All is in a mount namespace of this process, and in memory: nobody else sees it, and it is gone when
 * the process ends, however that happens. The store is served by a thread of this process, so that
 * libFuzzer knows what code an input has reached.
 */

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

#define FS_SLOTS 6 /* files that can be open at a time */

/* OURS is the mount, THEIRS the kernel's. */
typedef enum { FS_OURS, FS_THEIRS, FS_SIDES } FsSide;

typedef struct {
	char *top;                   /* a directory in memory with all the rest */
	bool is_root;                /* we may act as others */
	bool has_xattrs;             /* theirs: tmpfs has had them since Linux 6.6 */
	bool is_kept;                /* the store outlives a mount of it */
	GThread *server;             /* while it is mounted */
	int fds[FS_SIDES][FS_SLOTS]; /* -1: nothing */
} FsPair;

/* Once, while the process has one thread. NULL: this machine has no FUSE, or we may not mount. */
FsPair *fs_pair_new(void);
/* A store of its own for what comes, on disk if it IS_KEPT; and both sides empty but for branches. */
void fs_pair_begin(FsPair *self, bool is_kept);
void fs_pair_end(FsPair *self);

void fs_pair_mount(FsPair *self);
/* Closes what is open, on both sides. */
void fs_pair_unmount(FsPair *self);

/* (transfer full) Where PATH is on one side. */
char *fs_pair_path(const FsPair *self, FsSide side, const char *path);
/* A command line to the mount's control file. */
void fs_pair_command(FsPair *self, const char *line);

/* Fails, and says of what, if the two sides differ in anything that a caller can see. */
void fs_pair_compare(FsPair *self);
