/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* fs-calls: the system calls of fuzz-fs, each on one side of a pair. */

#include <stdint.h>

#include "fs-pair.h"

#define FS_OTHER_USER 12001

typedef struct FsOperation FsOperation;

/* What a call is made with. */
typedef struct {
	const FsOperation *operation;
	char *path, *other;   /* from the top of a side */
	const char *name;     /* of an attribute */
	const char *text;     /* a link's target */
	unsigned slot, slot2; /* of open files */
	uint64_t offset, offset2, length;
	int flags;
	mode_t mode;
	bool as_other; /* another user makes it */
	unsigned seed; /* of the bytes that it writes, and what else is any number */
} FsStep;

/* What a call gave. */
typedef struct {
	int error; /* 0: it succeeded */
	long value;
	GString *bytes; /* that it read */
} FsOutcome;

typedef struct {
	FsPair *pair;
	FsSide side;
} FsPlace;

typedef long (*FsCallFunc)(FsPlace *place, const FsStep *step, FsOutcome *outcome);

struct FsOperation {
	const char *name;
	/* p, q: paths (P: perhaps of a branch itself); s, t: slots; o, r: offsets; l: a length; f:
	 * one of the flags (F: those of open(2)); m: a mode; k: a link's target; x: an attribute's
	 * name */
	const char *takes;
	FsCallFunc call;
	const int *flags; /* that it may have, the last is -1 */
};

/* Some are there more than once: they are made more often. */
extern const FsOperation fs_operations[];
extern const size_t fs_n_operations;
