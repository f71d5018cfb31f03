/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * refs-private: what the files share that keep references as git does, in the directory GIT_DIR.
 */

#include "version/repo-private.h"

/* ---- refs-place.c: where the file of a reference is ---------------------------------------- */

/* Makes the directories above PATH. */
bool prolly_ref_make_parents(const char *path, GError **error);
/* Removes PATH if it is a directory with nothing but such directories in it, as git leaves them
 * when a/b was deleted; a is free then. */
void prolly_ref_remove_empty(const char *path);

/* ---- refs-log.c: reflogs -------------------------------------------------------------------- */

/* (transfer full) All that the reflog of NAME holds; NULL: there is none. */
bool prolly_ref_log_load(const char *git_dir, const char *name, GBytes **out_log, GError **error);
/* Adds UPDATE's line, or nothing. */
bool prolly_ref_log_append(const char *git_dir, const ProllyRefUpdate *update, GError **error);
/* After a crash: cuts off what is no whole line, or lies behind zeros. *OUT_HAS: the last line is
 * UPDATE's. */
bool prolly_ref_log_mend(const char *git_dir, const ProllyRefUpdate *update, bool *out_has,
			 GError **error);
