/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fs: a store as a mounted filesystem (design.md, sections 7 and 8). The only layer that knows
 * FUSE.
 */

#include <sys/types.h>

#include "version/version.h"

typedef struct {
	const char *store; /* specification */
	const char *mountpoint;
	bool foreground;    /* -f */
	bool debug;         /* -d */
	bool single_thread; /* -s */
	bool create;
	bool read_only;
	const char *branch;   /* that branch alone; NULL: all of them */
	const char *revision; /* that revision alone, read-only; NULL: not */
	uint64_t cache_size;  /* 0: the store's */
	unsigned spin_usec;
	int64_t uid, gid;  /* owner of what has no owner recorded; -1: the mounting user */
	int64_t umask;     /* -1: 022 */
	int64_t ctl_gid;   /* -1: none */
	unsigned max_open; /* files and directories of another user; 0: the default */
	bool allow_other;
	char **fuse_options; /* further -o options for libfuse and mount, NULL-terminated */
} PfsOptions;

/*
 * Mounts and serves. In the background (not FOREGROUND) the calling process waits until the mount
 * answers, and returns 0, or 1 after a message on stderr; the child serves until it is unmounted.
 * In the foreground it returns when it was unmounted. The exit status of prollyfs(1).
 */
int pfs_run(const PfsOptions *options);
