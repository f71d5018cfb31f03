/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * backup-private: what the files of a backup share. backup.c says in what order they work.
 */

#include "version/backup.h"

/* ---- backup.c ---------------------------------------------------------------------------- */

/* Removes what a backup that was cut short has left in the store PATH. Under its lock. */
void prolly_backup_sweep(const char *path);

/* ---- backup-place.c: where it goes ------------------------------------------------------- */

/* Is the store PATH a backup, which the next one may take the place of? */
bool prolly_backup_is(const char *path);
/* It is no more. */
void prolly_backup_forget(const char *path);

typedef struct {
	char *dir;     /* DIR, without slashes at its end */
	char *partial; /* where it is built */
	char *before;  /* the backup that there is: DIR; NULL: there is none */
	int lock_fd;   /* of PARTIAL; -1: not taken */
	int before_fd; /* of BEFORE */
} ProllyBackupPlace;

/* ID is of the store that is in the directory STORE. What it takes is given back by clear. */
bool prolly_backup_place_take(const char *store, const char *id, const char *dir,
			      ProllyBackupPlace *out_place, GError **error);
/* What was built takes DIR's place, durably. What was there before is removed. */
bool prolly_backup_place_exchange(ProllyBackupPlace *place, GError **error);
/* If nothing was exchanged, what was built is removed. Of zeros is allowed. */
void prolly_backup_place_clear(ProllyBackupPlace *place);

/* ---- backup-copy.c: files ---------------------------------------------------------------- */

typedef enum {
	PROLLY_BACKUP_CHANGING, /* files that are copied whatever the backup before has */
	PROLLY_BACKUP_FIXED,    /* files that never change under their name */
	PROLLY_BACKUP_TABLES,   /* a database: its tables are fixed */
} ProllyBackupNature;

typedef struct {
	const ProllyBackupPlace *place;
	const ProllyBackupOptions *options; /* nullable */
	ProllyBackupFigures figures;
	bool has_lost; /* of what is fixed: something went while it was copied */
} ProllyBackupCopy;

/*
 * Copies the file or directory FROM, with all below it, to NAME in the backup. What is not there,
 * or is there no more, is passed over; so are fixed files that the backup has. What
 * git and we leave behind when interrupted is not copied.
 */
bool prolly_backup_copy(ProllyBackupCopy *copy, const char *from, const char *name,
			ProllyBackupNature nature, GError **error);
/* Of the files of the directory NAME in the backup, removes those that FROM has no more; and those that
 * may be others there by now, whose names do not begin with LASTING. */
bool prolly_backup_drop_gone(ProllyBackupCopy *copy, const char *from, const char *name,
			     const char *lasting, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyBackupPlace, prolly_backup_place_clear)
