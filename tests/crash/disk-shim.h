/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * disk-shim: what the library that stands between a program and its disk shares with the tests.
 *
 * disk-shim.c is loaded before all others (LD_PRELOAD) and sees every call that changes a file below
 * PROLLY_DISK_ROOT. It writes them, in order and with their data, to PROLLY_DISK_LOG, and does with
 * the calls that PROLLY_DISK_CONTROL, a file of one ProllyDiskControl, asks for what that says.
 *
 * A record of the log is a ProllyDiskRecord, the two paths, and the data. A test adds records of its
 * own (NOTE) by writes of its own to the same file, in append mode: what a record comes after had
 * happened when it was written. disk.py reads all that.
 */

#include <stdint.h>

enum {
	PROLLY_DISK_OPEN =
		1,         /* handle, path; offset: open(2)'s flags; of a new file or one without a
				  name too */
	PROLLY_DISK_WRITE, /* handle, offset, data */
	PROLLY_DISK_TRUNCATE, /* handle, or 0 and path; offset: the new length */
	PROLLY_DISK_ALLOCATE, /* handle; offset: the length that the file has at least from now on */
	PROLLY_DISK_SYNC,     /* handle */
	PROLLY_DISK_SYNC_ALL, /* the filesystem */
	PROLLY_DISK_MKDIR,    /* path */
	PROLLY_DISK_RENAME,   /* path, other; offset: renameat2(2)'s flags */
	PROLLY_DISK_LINK,     /* path, other; or handle and other: what is open gets that name */
	PROLLY_DISK_UNLINK,   /* path */
	PROLLY_DISK_RMDIR,    /* path */
	PROLLY_DISK_LOSE,     /* handle: a sync has failed */
	PROLLY_DISK_NOTE,     /* data: what the test says */
};

typedef struct {
	uint32_t size; /* of the whole record */
	uint32_t op;
	uint32_t process;
	uint32_t handle; /* of an open file; unique in its process */
	int64_t offset;
	uint32_t path_len;
	uint32_t other_len;
} ProllyDiskRecord;

/* Sets of calls. */
enum {
	PROLLY_DISK_DATA = 1 << 0,   /* write, truncate, allocate */
	PROLLY_DISK_SYNCS = 1 << 1,  /* fsync, fdatasync, syncfs, msync; not sync_file_range, which
				      promises nothing */
	PROLLY_DISK_NAMES = 1 << 2,  /* rename, link, unlink, rmdir */
	PROLLY_DISK_MAKING = 1 << 3, /* mkdir, open of a file that is made */
	PROLLY_DISK_READS = 1 << 4,  /* read, open of a file that is there */
};

typedef enum {
	PROLLY_DISK_PASS, /* only counts */
	PROLLY_DISK_FAIL, /* with `error` */
	PROLLY_DISK_PART, /* of a write only the first byte, which is no error; others fail */
	PROLLY_DISK_KILL, /* the process, before the call; in the middle of a write */
} ProllyDiskAction;

typedef struct {
	uint32_t calls;   /* the set that is meant; 0: none */
	uint32_t action;  /* ProllyDiskAction */
	int32_t error;    /* errno */
	uint32_t times;   /* how many calls, from the first one on, are treated so */
	int64_t wait;     /* how many calls go before; counted down */
	int64_t n_calls;  /* that were of the set, counted up */
	int64_t n_struck; /* that were treated so, counted up */
} ProllyDiskControl;
