/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * version-fresh: what a tree should be, made from nothing but its contents by the reference of
 * unit/tree-model.h, in a store of its own: what another store has lost is not put back by that.
 */

#include "tree/tree.h"

typedef struct Fresh Fresh;

/* With TINY nodes few keys make deep trees. */
Fresh *fresh_new(bool tiny);
void fresh_free(Fresh *self);
/* Borrowed. */
const ProllyFormatParameters *fresh_get_parameters(const Fresh *self);
const ProllyTreeContext *fresh_get_context(const Fresh *self);

/* TREE of CONTEXT has the N entries, which are in order, and is the one that the reference makes. */
void fresh_check(const Fresh *self, const ProllyTreeContext *context, const ProllyTree *tree,
		 const ProllyEdit *entries, size_t n);
