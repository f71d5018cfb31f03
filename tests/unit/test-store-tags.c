/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The census with tags of 24 bits, so that hundreds of nodes have the tag of another one: none is
 * ever taken for another. (Tags are of a key that is another one in each run; what is asserted holds
 * with any.)
 */
#define PROLLY_CENSUS_TAG 3
#include "store/store-census.c"

#include "census-fixture.h"

#define N_OLD  60000u /* some 100 pairs of equal tags */
#define N_LATE 20000u /* of which some 70 have the tag of an old one */

static bool is_kept(unsigned i)
{
	return i % 2 == 0;
}

/* Marked twice: never as another one, and once and for all. (One that is not listed the caller has to
 * remember.) */
static void mark_twice(ProllyCensus *census, const ProllyHash *hash)
{
	ProllyCensusAnswer answer = prolly_census_mark(census, hash);

	g_assert_cmpint(answer, !=, PROLLY_CENSUS_AGAIN);
	if (answer == PROLLY_CENSUS_FIRST)
		g_assert_cmpint(prolly_census_mark(census, hash), ==, PROLLY_CENSUS_AGAIN);
}

static unsigned count_shared(const ProllyCensus *census)
{
	unsigned n = 0;

	for (guint part = 0; part < N_PARTS; part++)
		for (guint i = census->parts[part]; i < census->parts[part + 1]; i++)
			n += is_shared(census, part, i);
	return n;
}

/* How many of the old nodes that were not marked are there. */
static unsigned count_left(ProllyStore *store, const ProllyHash *old)
{
	g_autofree bool *there = g_new(bool, N_OLD);
	unsigned n = 0;

	g_assert_true(prolly_store_has_many(store, PROLLY_NODE_TREE, old, N_OLD, there, NULL));
	for (unsigned i = 0; i < N_OLD; i++) {
		g_assert_true(there[i] || !is_kept(i));
		n += there[i] && !is_kept(i);
	}
	return n;
}

static void assert_all_there(ProllyStore *store, const ProllyHash *hashes, size_t n)
{
	g_autofree bool *there = g_new(bool, n);

	g_assert_true(prolly_store_has_many(store, PROLLY_NODE_TREE, hashes, n, there, NULL));
	for (size_t i = 0; i < n; i++)
		g_assert_true(there[i]);
}

/* Marks what is to stay, and sweeps. */
static void collect(ProllyStore *store, ProllyCensus *census, const ProllyHash *old,
		    const ProllyHash *late)
{
	for (unsigned i = 0; i < N_OLD; i++)
		if (is_kept(i))
			mark_twice(census, &old[i]);
	for (unsigned i = 0; i < N_LATE; i++)
		mark_twice(census, &late[i]);
	g_assert_true(prolly_census_sweep(census, NULL, NULL, NULL));
	assert_all_there(store, late, N_LATE);
}

static void test_shared_tags(void)
{
	g_autoptr(ProllyStore) store = prolly_store_new_memory();
	g_autofree ProllyHash *old = g_new(ProllyHash, N_OLD);
	g_autofree ProllyHash *late = g_new(ProllyHash, N_LATE);
	g_autoptr(ProllyCensus) census = NULL;
	unsigned n_shared, n_left;

	for (unsigned i = 0; i < N_OLD; i++)
		old[i] = put(store, PROLLY_NODE_TREE, i);
	census = new_census(store);
	n_shared = count_shared(census);
	g_assert_cmpuint(n_shared, >, 20);
	for (unsigned i = 0; i < N_LATE; i++)
		late[i] = put(store, PROLLY_NODE_TREE, N_OLD + i);
	collect(store, census, old, late);
	n_left = count_left(store, old);
	g_test_message("%u shared tags, %u nodes spared by those put meanwhile", n_shared, n_left);
	g_assert_cmpuint(n_left, <, 300);
	prolly_census_free(census);
	/* Where nobody puts, nothing is spared; and another time other nodes share tags. */
	census = new_census(store);
	collect(store, census, old, late);
	g_assert_cmpuint(count_left(store, old), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/store/census/shared-tags", test_shared_tags);
	return g_test_run();
}
