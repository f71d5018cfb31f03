/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying many trees that share nodes: what was found sound in one is not read again in others, but
 * what each of them says of it is checked. Every node here but a leaf has two children, since the last
 * keys of nodes are so long that there is a cut after the second.
 */
#include "tree-model.h"
#include "tree/verify.h"

#define LONG_KEY 512 /* bytes: the largest size of a node */

typedef struct {
	TreeTest test;
	GArray *nodes;     /* ReferenceEntry: what a parent says of each */
	GHashTable *known; /* of ProllyHash */
	GString *flaws;    /* of the last tree */
	uint64_t n_damages;
	bool is_damaged; /* each entry */
	unsigned n_entries;
} Site;

static void site_start(Site *self)
{
	*self = (Site){.nodes = reference_entries_new(), .flaws = g_string_new(NULL)};
	tree_test_start(&self->test, tiny_parameters());
	self->known = g_hash_table_new_full(prolly_hash_table_hash, prolly_hash_table_equal, g_free,
					    NULL);
}

static void site_stop(Site *self)
{
	g_array_unref(self->nodes);
	g_hash_table_unref(self->known);
	g_string_free(self->flaws, TRUE);
	tree_test_stop(&self->test);
}

/* ---- Nodes, by their numbers ------------------------------------------------------------- */

static ReferenceEntry *get_node(Site *self, guint i)
{
	return &g_array_index(self->nodes, ReferenceEntry, i);
}

/* TEXT and dots; IS_LONG: so that a leaf ends with it. */
static GBytes *make_key(const char *text, bool is_long)
{
	size_t len = strlen(text);
	char *key = g_strnfill(LONG_KEY, '.');

	memcpy(key, text, len);
	return g_bytes_new_take(key, is_long ? LONG_KEY : len);
}

static guint close_node(Site *self, unsigned level, const ReferenceEntry *entries)
{
	reference_close(self->test.store, level, entries, 2, self->nodes);
	return self->nodes->len - 1;
}

/* HAS_CUT: it ends where there is a cut. */
static guint add_leaf(Site *self, const char *first, const char *last, bool has_cut)
{
	ReferenceEntry entries[] = {{.key = make_key(first, false), .keys = 1},
				    {.key = make_key(last, has_cut), .keys = 1}};
	guint leaf;

	for (int i = 0; i < 2; i++) {
		entries[i].value = g_bytes_new("v", 1);
		entries[i].bytes = g_bytes_get_size(entries[i].key) + 1;
	}
	leaf = close_node(self, 0, entries);
	reference_entry_clear(&entries[0]);
	reference_entry_clear(&entries[1]);
	return leaf;
}

static guint add_inner(Site *self, unsigned level, guint a, guint b)
{
	const ReferenceEntry entries[] = {*get_node(self, a), *get_node(self, b)};

	return close_node(self, level, entries);
}

/* Node I, of which it is said that its last key is LAST (NULL: what it is), and that it has as many
 * keys and bytes more. */
static guint add_claim(Site *self, guint i, const char *last, uint64_t keys, uint64_t bytes)
{
	ReferenceEntry claim = *get_node(self, i);

	claim.key = last ? make_key(last, true) : g_bytes_ref(claim.key);
	claim.keys += keys;
	claim.bytes += bytes;
	g_array_append_val(self->nodes, claim);
	return self->nodes->len - 1;
}

/* ---- Verifying --------------------------------------------------------------------------- */

static bool is_known(const ProllyHash *node, void *data)
{
	return g_hash_table_contains(((Site *)data)->known, node);
}

static void note_sound(const ProllyHash *node, void *data)
{
	g_assert_true(g_hash_table_add(((Site *)data)->known, g_memdup2(node, sizeof(ProllyHash))));
}

static bool count_entry(const uint8_t *key, size_t key_len, const uint8_t *value, size_t len,
			void *data, GError **error)
{
	Site *self = data;

	self->n_entries++;
	self->n_damages += self->is_damaged;
	return true;
}

static void note_damage(const ProllyHash *node, GByteArray *after, GByteArray *last,
			const GError *flaw, void *data)
{
	Site *self = data;

	self->n_damages++;
	g_string_append_printf(self->flaws, "%s\n", flaw->message);
}

static void verify(Site *self, guint top)
{
	const ReferenceEntry *node = get_node(self, top);
	ProllyTree tree = {node->hash, node->keys, node->bytes};
	ProllyTreeVerifier verifier = {.is_known = is_known,
				       .note_sound = note_sound,
				       .entry = count_entry,
				       .damage = note_damage,
				       .n_damages = &self->n_damages,
				       .data = self};
	g_autoptr(GError) error = NULL;
	g_autoptr(GError) alone = NULL;

	self->n_damages = self->n_entries = 0;
	g_string_truncate(self->flaws, 0);
	prolly_tree_verify_with(&self->test.context, &tree, &verifier, &error);
	g_assert_no_error(error);
	/* Who knows nothing finds the same, but for what is in entries. */
	if (!self->is_damaged)
		g_assert_cmpint(prolly_tree_verify(&self->test.context, &tree, &alone), ==,
				self->n_damages == 0);
}

static void assert_sound(Site *self, guint top, unsigned n_entries)
{
	verify(self, top);
	g_assert_cmpstr(self->flaws->str, ==, "");
	g_assert_cmpuint(self->n_entries, ==, n_entries);
}

static void assert_damaged(Site *self, guint top, unsigned n, const char *flaw)
{
	verify(self, top);
	g_test_message("%s", self->flaws->str);
	g_assert_cmpuint(self->n_damages, ==, n);
	g_assert_nonnull(strstr(self->flaws->str, flaw));
}

/* ---- What is said of nodes that are known ------------------------------------------------- */

#define NOT_AS_SAID "is not what refers to it says"

static void test_claims(void)
{
	Site site;
	guint leaves[4], inner[2], top, before;

	site_start(&site);
	leaves[0] = add_leaf(&site, "a", "c", true);
	leaves[1] = add_leaf(&site, "e", "g", true);
	leaves[2] = add_leaf(&site, "i", "k", true);
	leaves[3] = add_leaf(&site, "m", "o", true);
	inner[0] = add_inner(&site, 1, leaves[0], leaves[1]);
	inner[1] = add_inner(&site, 1, leaves[2], leaves[3]);
	top = add_inner(&site, 2, inner[0], inner[1]);
	assert_sound(&site, top, 8);
	/* All but the last of each level. */
	g_assert_cmpuint(g_hash_table_size(site.known), ==, 4);
	assert_sound(&site, top, 2);

#define CLAIM(i, last, keys, bytes) add_claim(&site, i, last, keys, bytes)
#define TOP(level, a, b)            add_inner(&site, level, a, b)
	assert_damaged(&site, TOP(2, CLAIM(inner[0], NULL, 1, 0), inner[1]), 1, NOT_AS_SAID);
	assert_damaged(&site, TOP(2, CLAIM(inner[0], NULL, 0, 1), inner[1]), 1, NOT_AS_SAID);
	assert_damaged(&site, TOP(1, CLAIM(leaves[0], NULL, 1, 0), leaves[1]), 1, NOT_AS_SAID);
	assert_damaged(&site, TOP(3, inner[0], inner[1]), 2, NOT_AS_SAID);
	assert_damaged(&site, TOP(1, CLAIM(leaves[0], "d", 0, 0), leaves[1]), 1,
		       "another last key");
	assert_damaged(&site, TOP(1, CLAIM(leaves[0], "a", 5, 0), CLAIM(leaves[0], "z", 7, 0)), 2,
		       NOT_AS_SAID);
	before = add_leaf(&site, "3", "b", true);
	assert_damaged(&site, TOP(1, before, leaves[0]), 1, "overlaps");
	/* What the top says of both is in order, and so is what they say: the first key is not. */
	before = TOP(1, add_leaf(&site, "1", "2", true), before);
	assert_damaged(&site, TOP(2, before, inner[0]), 1, "overlaps");
#undef TOP
#undef CLAIM
	assert_sound(&site, top, 2);
	site_stop(&site);
}

/* What ends without a cut is sound where the level ends, and nowhere else. */
static void test_last_of_level(void)
{
	Site site;
	guint first, open, last;

	site_start(&site);
	first = add_leaf(&site, "a", "c", true);
	open = add_leaf(&site, "e", "g", false);
	last = add_leaf(&site, "i", "k", true);
	assert_sound(&site, add_inner(&site, 1, first, open), 4);
	assert_damaged(&site, add_inner(&site, 1, open, last), 1, "boundary rule");
	assert_sound(&site, add_inner(&site, 1, first, open), 2);
	site_stop(&site);
}

/* What has damage below is named in every tree that has it. */
static void test_damage_below(void)
{
	Site site;
	guint first, missing, damaged, one, other;

	site_start(&site);
	first = add_leaf(&site, "a", "c", true);
	missing = add_claim(&site, add_leaf(&site, "e", "g", true), NULL, 0, 0);
	get_node(&site, missing)->hash.bytes[0] ^= 1;
	damaged = add_inner(&site, 1, first, missing);
	one = add_inner(&site, 1, add_leaf(&site, "i", "k", true), add_leaf(&site, "m", "o", true));
	other = add_inner(&site, 1, add_leaf(&site, "j", "k", true),
			  add_leaf(&site, "m", "o", true));
	assert_damaged(&site, add_inner(&site, 2, damaged, one), 1, "missing");
	assert_damaged(&site, add_inner(&site, 2, damaged, other), 1, "missing");
	g_assert_false(is_known(&get_node(&site, damaged)->hash, &site));
	site_stop(&site);
}

/* So is what is wrong with an entry. */
static void test_damaged_entries(void)
{
	Site site;
	guint top;

	site_start(&site);
	top = add_inner(&site, 1, add_leaf(&site, "a", "c", true), add_leaf(&site, "e", "g", true));
	site.is_damaged = true;
	for (int again = 0; again < 2; again++) {
		verify(&site, top);
		g_assert_cmpuint(site.n_damages, ==, 4);
		g_assert_cmpuint(g_hash_table_size(site.known), ==, 0);
	}
	site.is_damaged = false;
	assert_sound(&site, top, 4);
	site_stop(&site);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tree/verify/claims", test_claims);
	g_test_add_func("/tree/verify/last-of-level", test_last_of_level);
	g_test_add_func("/tree/verify/damage-below", test_damage_below);
	g_test_add_func("/tree/verify/damaged-entries", test_damaged_entries);
	return g_test_run();
}
