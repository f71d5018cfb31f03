/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * refs-private: what the files share that keep references as git does, in the directory GIT_DIR.
 */

#include "version/repo-private.h"

/* ---- refs-memory.c: what both kinds share --------------------------------------------------- */

/* Would NAME be a file below DIRECTORY? */
bool prolly_ref_is_below(const char *name, const char *directory);
/* EXISTS: OTHER is in the way of what UPDATE makes. */
bool prolly_ref_throw_clash(const ProllyRefUpdate *update, const char *other, GError **error);

/* ---- refs-place.c: where the file of a reference is ---------------------------------------- */

/* Makes the directories above PATH. */
bool prolly_ref_make_parents(const char *path, GError **error);
/* Removes PATH if it is a directory with nothing but such directories in it, as git leaves them
 * when a/b was deleted; a is free then. */
void prolly_ref_remove_empty(const char *path);
/* (transfer full) The reference above NAME whose file stands where NAME needs a directory; NULL:
 * none. */
char *prolly_ref_dup_above(const char *git_dir, const char *name);
/* (transfer full) A file below NAME other than EXCEPT (nullable): a reference, if there is one, else
 * a lock file or what git does not know; NULL: none. */
char *prolly_ref_dup_below(const char *git_dir, const char *name, const char *except);
bool prolly_ref_is_lock(const char *name);
/* Could git have made it, as a reference? */
bool prolly_ref_is_reference(const char *name);

/* ---- refs-packed.c: the names in packed-refs ------------------------------------------------ */

typedef struct {
	GPtrArray *names;  /* of char *, in order */
	struct stat stamp; /* of the packed-refs that was read; zero: none */
} ProllyPackedRefs;

void prolly_packed_refs_init(ProllyPackedRefs *self);
void prolly_packed_refs_clear(ProllyPackedRefs *self);
/* Reads packed-refs, if it is another than last time. */
bool prolly_packed_refs_load(ProllyPackedRefs *self, const char *git_dir, GError **error);
/* Where the names begin that are not less than NAME. */
guint prolly_packed_refs_find(const ProllyPackedRefs *self, const char *name);
/* One above or below NAME, other than EXCEPT (nullable); NULL: none. */
const char *prolly_packed_refs_find_clash(const ProllyPackedRefs *self, const char *name,
					  const char *except);

/* ---- refs-log.c: reflogs -------------------------------------------------------------------- */

/* (transfer full) All that the reflog of NAME holds; NULL: there is none. */
bool prolly_ref_log_load(const char *git_dir, const char *name, GBytes **out_log, GError **error);
/* Adds UPDATE's line, or nothing. */
bool prolly_ref_log_append(const char *git_dir, const ProllyRefUpdate *update, GError **error);
/* After a crash: cuts off what is no whole line, or lies behind zeros. *OUT_HAS: the last line is
 * UPDATE's. */
bool prolly_ref_log_mend(const char *git_dir, const ProllyRefUpdate *update, bool *out_has,
			 GError **error);
