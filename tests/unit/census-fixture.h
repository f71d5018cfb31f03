/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Stores of tiny nodes, and censuses of them. */
#include "store/store-private.h"

static inline ProllyHash put(ProllyStore *store, ProllyNodeClass node_class, unsigned n)
{
	g_autoptr(GError) error = NULL;
	ProllyHash hash;

	prolly_store_put(store, node_class, g_memdup2(&n, sizeof(n)), sizeof(n), &hash, NULL,
			 &error);
	g_assert_no_error(error);
	return hash;
}

static inline ProllyCensus *new_census(ProllyStore *store)
{
	g_autoptr(GError) error = NULL;
	ProllyCensus *census = NULL;

	prolly_census_new(store, PROLLY_CENSUS_TO_SWEEP, &census, &error);
	g_assert_no_error(error);
	return census;
}
