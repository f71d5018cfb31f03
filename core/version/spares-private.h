/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * spares: empty files made ahead, for those of a commit, which are in their places at once then.
 */

#include "base/base.h"

typedef struct ProllySpares ProllySpares;

/* In DIR, on the filesystem of what is put. */
ProllySpares *prolly_spares_new(const char *dir);
void prolly_spares_free(ProllySpares *spares); /* NULL is allowed */

/* Puts a file with the LEN bytes at DATA at PATH, in place of one that is there, with those
 * permissions of MODE that the umask leaves. Unsynced. */
bool prolly_spares_put(ProllySpares *spares, const char *path, const void *data, size_t len,
		       mode_t mode, GError **error);
/* The same, if nothing is at PATH: *OUT_EXISTS. */
bool prolly_spares_put_new(ProllySpares *spares, const char *path, const void *data, size_t len,
			   mode_t mode, bool *out_exists, GError **error);
/* Removes the file PATH: 0, or errno. Nobody waits for its space to be given back. */
int prolly_spares_remove(ProllySpares *spares, const char *path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllySpares, prolly_spares_free)
