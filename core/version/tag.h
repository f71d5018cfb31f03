/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tag: names of commits that stay where they are. A light tag is a reference; an annotated one an
 * object of its own, with a message and who made it. Both are git's.
 */

#include "version/history.h"

typedef struct {
	char *name;
	ProllyCommitId commit;  /* what it leads to */
	char *message;          /* of an annotated one; NULL: a light one */
	ProllySignature tagger; /* its name NULL: a light one, or not said */
} ProllyTag;

/* (transfer full) Names in byte order; elements are char *. LEVEL (nullable): only those that begin
 * with it and a '/'. */
bool prolly_tag_list(ProllyRepo *repo, const char *level, GPtrArray **out_names, GError **error);
/* *OUT_TAG (transfer full) is NULL if there is none, or one of something that is no commit. */
bool prolly_tag_load(ProllyRepo *repo, const char *name, ProllyTag **out_tag, GError **error);
void prolly_tag_free(ProllyTag *tag); /* NULL is allowed */

typedef struct {
	const char *message;           /* NULL: a light tag */
	const ProllySignature *tagger; /* with a message */
	bool force;                    /* move one that is there */
} ProllyTagOptions;

/* A name that git refuses is INVALID; without FORCE one that is there is EXISTS. */
bool prolly_tag_create(ProllyRepo *repo, const char *name, const ProllyCommitId *commit,
		       const ProllyTagOptions *options, GError **error);
/* *OUT_WAS: what the reference stood at (of an annotated tag its object). NOT_FOUND. */
bool prolly_tag_delete(ProllyRepo *repo, const char *name, ProllyCommitId *out_was, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyTag, prolly_tag_free)
