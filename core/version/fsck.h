/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fsck: is everything there that a store refers to, and is it what it should be?
 *
 * Looked at are: every reference and its reflog; every commit that they reach, with its files in the
 * git repository; the trees of its namespaces, each node once: its hash, its place and counts as its
 * parent says them, the order of its keys, and every boundary; each large value, read whole and cut
 * once more; and of every branch what is staged, and the attributes.
 *
 * What is damaged can be taken back from where the same bytes are still held, never by guessing:
 * nothing takes a damaged node's place but what has its hash (fsck-repair.c).
 */

#include "version/repo.h"

/* What is wrong with one object. */
typedef struct {
	const char *kind;         /* "git", "reference", "reflog", "tree", "value", "staged",
				     "attributes" */
	const char *object;       /* the hash of the node, or the name of what is damaged */
	const char *const *paths; /* NULL-terminated: where it is seen, REV/NAMESPACE/KEY... */
	const ProllyCommitId *commits;
	size_t n_commits;
	const char *message;
	const char *remedy; /* where it was taken back from; NULL: it is damaged still */
} ProllyDamage;

typedef struct {
	bool repair;
	/* Each damage that was repaired, then those that are left. False: stop (with ERROR set). */
	bool (*damage)(const ProllyDamage *damage, void *data, GError **error);
	/* DONE commits were looked at. False: stop (with ERROR set). */
	bool (*progress)(uint64_t done, void *data, GError **error);
	void *data;
} ProllyFsckOptions;

/* True: it was done, whatever was found; *OUT_N: how many objects are damaged still. Nothing else is
 * changed, and others may go on; what a garbage collection removes meanwhile may be reported as
 * missing. */
bool prolly_fsck_run(ProllyRepo *repo, const ProllyFsckOptions *options, uint64_t *out_n,
		     GError **error);
