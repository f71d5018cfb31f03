/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edit: changing a branch's working state. Each function is one atomic, logged write: when it has
 * returned the change survives the death of the process (prolly_repo_sync: a power cut).
 *
 * Directories follow their keys: making a key takes the marker out of a directory that was empty,
 * removing the last key of one puts it there (never for a namespace, which exists by itself), and
 * the parent's times move as POSIX says. Open files (file.h) follow renames and become orphans on
 * removal.
 *
 * Errors besides I/O: TOO_BIG and INVALID for keys and names, NOT_FOUND, EXISTS, NOT_EMPTY,
 * NOT_DIR, IS_DIR, and STALE on a branch that was deleted meanwhile.
 */

#include "version/view.h"

/* ---- Keys -------------------------------------------------------------------------------- */

enum {
	PROLLY_EDIT_EXCLUSIVE = 1 << 0, /* EXISTS if the key is there */
	PROLLY_EDIT_KEEP_ATTRS =
		1 << 1, /* an existing key keeps its attributes but for ATTRS' ones */
};

/*
 * Stages PLACE = STORED (blob.h) and makes the namespace if it is missing. ATTRS (nullable) gives
 * the attributes whose bits are in its HAS; times not given are now. *OUT_ATTRS (nullable): what
 * the key has now.
 */
bool prolly_edit_put(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
		     GBytes *stored, const ProllyAttrs *attrs, unsigned flags,
		     ProllyAttrs *out_attrs, GError **error);

/* *OUT_FOUND nullable: with it an absent key is no error, without NOT_FOUND. */
bool prolly_edit_delete(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
			bool *out_found, GError **error);

/* Changes the attributes in ATTRS->has (ctime is now unless given) of a key, or of a directory
 * (PLACE is its prefix). KIND >= 0 changes a file's kind too (FILE <-> EXECUTABLE), a staged
 * change. */
bool prolly_edit_set_attrs(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
			   bool is_directory, const ProllyAttrs *attrs, int kind,
			   ProllyAttrs *out_attrs, GError **error);

/* A second name for a key's content and attributes. EXISTS if TO is there. */
bool prolly_edit_link(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *from,
		      const ProllyPlace *to, ProllyAttrs *out_attrs, GError **error);

/* ---- Directories and namespaces ---------------------------------------------------------- */

/* PLACE is the directory's prefix; with an empty key, the namespace itself. */
bool prolly_edit_make_directory(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
				const ProllyAttrs *attrs, ProllyAttrs *out_attrs, GError **error);
/* NOT_EMPTY if it has keys. */
bool prolly_edit_remove_directory(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
				  GError **error);

enum {
	PROLLY_RENAME_NOREPLACE = 1 << 0,
	PROLLY_RENAME_EXCHANGE = 1 << 1,
	PROLLY_RENAME_FROM_DIRECTORY = 1 << 2, /* FROM is a directory's prefix (or a namespace) */
	PROLLY_RENAME_TO_DIRECTORY = 1 << 3,   /* TO is one; it must be empty unless exchanged */
};

/* rename(2) within a branch, across namespaces too. */
bool prolly_edit_rename(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *from,
			const ProllyPlace *to, unsigned flags, GError **error);

/*
 * The same in two steps: most of what a directory of many keys takes can be done before, while
 * others go on writing. Preparing takes no error and makes no promise; a directory of fewer than
 * LEAST keys is left for the end. REPO outlives it.
 */
typedef struct ProllyRename ProllyRename;

ProllyRename *prolly_rename_new(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *from,
				const ProllyPlace *to, unsigned flags);
void prolly_rename_prepare(ProllyRename *self, size_t least);
/* Of the same branch, from the same place to the same one? */
bool prolly_rename_is_same(const ProllyRename *a, const ProllyRename *b);
bool prolly_rename_finish(ProllyRename *self, GError **error); /* once */
void prolly_rename_free(ProllyRename *self);                   /* NULL is allowed */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyRename, prolly_rename_free)

/* ---- Values that come slowly ------------------------------------------------------------- */

/* A value in pieces, in bounded memory. What has come stays, and nobody waits for the rest, a
 * collection neither. For one thread; REPO outlives it. */
typedef struct ProllyIntake ProllyIntake;

ProllyIntake *prolly_intake_new(ProllyRepo *repo);
/* Large pieces are better: each is stored on its own. After a failure it is only to be freed. */
bool prolly_intake_add(ProllyIntake *intake, const void *data, size_t len, GError **error);
/* *OUT_STORED (transfer full): the value, which stays as long as the intake does. Once. */
bool prolly_intake_finish(ProllyIntake *intake, ProllyKind kind, GBytes **out_stored,
			  GError **error);
void prolly_intake_free(ProllyIntake *intake); /* NULL is allowed */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyIntake, prolly_intake_free)

/* ---- Loading ----------------------------------------------------------------------------- */

/* Many keys as one change: all or nothing, in bounded memory. They get no attributes of their own.
 * REPO outlives the load. */
typedef struct ProllyLoad ProllyLoad;

bool prolly_load_new(ProllyRepo *repo, ProllyBranch *branch, const char *ns, ProllyLoad **out_load,
		     GError **error);
/* Keys in any order; of equal ones the last wins. */
bool prolly_load_add(ProllyLoad *load, const void *key, size_t key_len, const void *content,
		     size_t content_len, GError **error);
/* Makes all that was added visible at once, durable as other edits. */
bool prolly_load_attach(ProllyLoad *load, GError **error);
/* Without attach: nothing has happened. NULL is allowed. */
void prolly_load_free(ProllyLoad *load);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyLoad, prolly_load_free)
