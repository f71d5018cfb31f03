/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * verify: checking many trees for damage, as prolly_tree_verify (tree.h) does one.
 */

#include "tree/tree.h"

/* For who checks many trees, which share nodes, and wants to hear of all that is wrong. */
typedef struct {
	/* Was NODE, with all below it, told to be sound? Then only what refers to it is checked. */
	bool (*is_known)(const ProllyHash *node, void *data);
	void (*note_sound)(const ProllyHash *node, void *data);
	/* Each entry. False: stop. */
	ProllyNodeEntryFunc entry;
	/* NODE, which has the keys above AFTER (NULL: all) up to LAST (NULL: the end), is FLAW. */
	void (*damage)(const ProllyHash *node, GByteArray *after, GByteArray *last,
		       const GError *flaw, void *data);
	/* How many damages there are as yet, of nodes and of what ENTRY looks at: a node that has some
	 * below it is not sound. Who has DATA counts them. */
	const uint64_t *n_damages;
	void *data;
	/* (nullable) Where nodes that are known are read once more, for what is said of them: a cache
	 * will do. */
	ProllyStore *known_store;
} ProllyTreeVerifier;

/* False, with ERROR, if it was stopped, or could not go on for another reason than damage. */
bool prolly_tree_verify_with(const ProllyTreeContext *context, const ProllyTree *tree,
			     const ProllyTreeVerifier *verifier, GError **error);
