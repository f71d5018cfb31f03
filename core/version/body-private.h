/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * body-private: the seam between opening and making stores (open.c) and the bodies of open ones
 * (repo.c).
 */

#include "version/repo-private.h"

/* shape.c: does nothing in the directory PATH lead out of it? INVALID: something does. */
bool prolly_shape_check(const char *path, GError **error);

/* A body with nothing open. PATH NULL: in memory. */
ProllyRepoBody *prolly_body_new(const char *path, const char *default_branch);
/* Flushes and closes what is open. NULL is allowed. */
void prolly_body_free(ProllyRepoBody *body);
/* Opens database, nodes, git and journal; CREATE makes the database. */
bool prolly_body_open_pieces(ProllyRepoBody *body, const ProllyConfig *config, uint64_t cache_size,
			     bool create, GError **error);
/* (transfer full) */
ProllyRepo *prolly_body_new_handle(ProllyRepoBody *body, ProllyWork *work, bool notify);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyRepoBody, prolly_body_free)
