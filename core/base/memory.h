/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * memory: what is large may not be had.
 *
 * The rule for all of core and fs: what is small and of fixed size comes from GLib (g_new, its strings,
 * arrays and tables), which ends the process where the system has no memory. Whatever may take
 * PROLLY_LARGE bytes or more, because it grows with somebody's data or was made large, comes from here:
 * it fails with PROLLY_ERROR_NO_MEMORY (ENOMEM), as other calls fail; who asked gives back what he
 * holds and leaves all as it was. So a value too large for the machine is refused, and the mount lives.
 *
 * What comes from here is freed by g_free. WHAT names what the memory was for, in the error.
 *
 * A key, an argument, and a commit's message count as small, with what is put around them. Left to
 * GLib in spite of the rule are tables and lists with a member for each commit, branch, namespace,
 * directory, or open file: who has no memory for these has none for his threads either. So are the
 * lists in which a merge strategy (union, json) has the lines or members of values that it merges,
 * those of the runs of a file with holes, and of the nodes on their way to a back end.
 */

#include "base/base.h"

#define PROLLY_LARGE 65536u

/* Throws PROLLY_ERROR_NO_MEMORY: no SIZE bytes for WHAT. Returns NULL. */
void *prolly_throw_no_memory(GError **error, size_t size, const char *what);

/* (transfer full) SIZE bytes; NULL is a failure, also if SIZE is 0. */
void *prolly_try_malloc(size_t size, const char *what, GError **error);
/* (transfer full) N items of SIZE bytes, all zero. */
void *prolly_try_calloc(size_t n, size_t size, const char *what, GError **error);
/* (transfer full) A copy of LEN bytes. */
void *prolly_try_memdup(const void *data, size_t len, const char *what, GError **error);
/* (transfer full) (nullable) The same. */
GBytes *prolly_try_bytes(const void *data, size_t len, const char *what, GError **error);

#define prolly_try_new(type, n, what, error) \
	((type *)prolly_try_array((n), sizeof(type), (what), (error)))
#define prolly_try_new0(type, n, what, error) \
	((type *)prolly_try_calloc((n), sizeof(type), (what), (error)))
/* (transfer full) N items of SIZE bytes. */
void *prolly_try_array(size_t n, size_t size, const char *what, GError **error);

/*
 * *ARRAY (NULL at first), which has room for *CAPACITY items of SIZE bytes, has room for WANTED of
 * them, and for twice as many as before if that is more. Nothing is changed on failure.
 */
bool prolly_try_grow(void *array, size_t *capacity, size_t wanted, size_t size, const char *what,
		     GError **error);

/*
 * *ARRAY can grow by N bytes without asking for memory that is large. It may be another array with the
 * same bytes then: only its owner may call this.
 */
bool prolly_try_reserve(GByteArray **array, size_t n, const char *what, GError **error);
/* The same of a string, which stays the same. */
bool prolly_try_reserve_text(GString *text, size_t n, const char *what, GError **error);
/* Appends LEN bytes to *ARRAY, as above. */
bool prolly_try_append(GByteArray **array, const void *data, size_t len, const char *what,
		       GError **error);
