/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * version-site: a store and its model, and how they are compared.
 *
 * The store is in memory, or in a directory if it IS_KEPT: then it has tiny nodes, so that few keys
 * make deep trees, and can be closed and opened again. What a tree should be is version-fresh.h's
 * to say.
 */

#include "version-fresh.h"
#include "version-model.h"

#include "version/version.h"

typedef struct {
	Model model;
	ProllyCommitId ids[MERGE_COMMITS];
	ProllyRepo *repo;
	char *dir; /* NULL: in memory */
	Fresh *fresh;
	GHashTable *stored; /* value of the model -> GBytes, as a tree has it */
} Site;

extern const char *const site_namespaces[MERGE_NAMESPACES];
extern const char *const site_keys[MERGE_KEYS];
extern const char *const site_branches[MODEL_BRANCHES];
extern const char *const site_tags[MODEL_TAGS];

void site_init(Site *self, bool is_kept);
void site_clear(Site *self);
void site_reopen(Site *self);

static inline ProllyPlace site_place(int ns, int key)
{
	return (ProllyPlace){site_namespaces[ns], (const uint8_t *)site_keys[key],
			     strlen(site_keys[key])};
}

/* Whose commits all are: one a second. */
ProllySignature site_sign(const Site *self);
/* (transfer full) Branch I, which is there. */
ProllyBranch *site_lookup(Site *self, int i);
/* VALUE as a tree has it; in STORE so has what it refers to. Borrowed. */
GBytes *site_stored(Site *self, const char *value);
/* (transfer full) The same, to be put into the store. */
GBytes *site_store(Site *self, const char *value);
/* The commit that the model made last has this id. */
void site_name_commit(Site *self, const ProllyCommitId *id);

/* Branch I: whether it is there, its head, and all its keys. */
void site_check_branch(Site *self, int i);
void site_check_commit(Site *self, int commit);
/* What leads from A to B is what the model says. */
void site_check_changes(Site *self, ProllyView *a, ProllyView *b, const MergeState *from,
			const MergeState *to);
/* The commits that come before COMMIT. */
void site_check_log(Site *self, int commit);
/* Everything. */
void site_check(Site *self);
