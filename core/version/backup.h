/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * backup: a copy of a store that is in use, as it is at one moment: every commit and reference, and of
 * every branch what is staged. The copy is a store.
 */

#include "version/repo.h"

typedef struct {
	/* So much was copied so far. False: stop (with ERROR set); what was there before stays. */
	bool (*progress)(uint64_t files, uint64_t bytes, void *data, GError **error);
	void *data;
} ProllyBackupOptions;

typedef struct {
	uint64_t files; /* of the backup */
	uint64_t bytes;
	uint64_t copied_files; /* of them, those that the backup before did not have */
	uint64_t copied_bytes;
} ProllyBackupFigures;

/*
 * Makes the backup DIR, an absolute path: a new directory, an empty one, or an earlier backup of this
 * store, with which it shares what has not changed. It takes its place at once, when all of it is on
 * the disk: until then DIR is what it was. In between it is built in DIR.partial.
 *
 * EXISTS: something else is there. INVALID: DIR is in the store or in a mount of one, or the store
 * is in memory. LOCKED: DIR is in use. BUSY: a garbage collection, or another backup, runs.
 */
bool prolly_backup_run(ProllyRepo *repo, const char *dir, const ProllyBackupOptions *options,
		       ProllyBackupFigures *out_figures, GError **error);

/* REPO is about to be changed by somebody: if it was a backup, it is a store in its own right from
 * now on, and no backup takes its place. */
void prolly_backup_claim(ProllyRepo *repo);
