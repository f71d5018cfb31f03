/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * restore: taking back nodes that were damaged, for who verifies stores (store-restore.c).
 */

#include "store/store.h"

/* (transfer full) (nullable) The bytes of HASH, wherever the store has them whole: in memory, or with
 * the nodes of the other class. */
GBytes *prolly_store_find_copy(ProllyStore *store, const ProllyHash *hash);

/* Puts BYTES, which have HASH (else CORRUPT), in the place of whatever is there. Durable when the
 * database was synced after it. */
bool prolly_store_restore(ProllyStore *store, ProllyNodeClass node_class, const ProllyHash *hash,
			  GBytes *bytes, GError **error);
