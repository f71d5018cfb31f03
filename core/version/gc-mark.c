/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marking: everything below a tree's top node or a blob's, each node once.
 *
 * What is noted gets its bit in the census and, if it can refer to something, a place on a stack;
 * marking takes nodes from the stack, many at once so that the back end is asked once for all of
 * them, and notes what they refer to. A chunk refers to nothing and is not read. The stack holds the
 * siblings on the paths to where marking is: some thousands.
 *
 * What the census does not list was put since, or is missing. Such nodes are marked in a table of
 * their own. One that is missing fails the collection: what it refers to would be taken for
 * unreached.
 *
 * A tree of attributes is walked like another one: its values are records, none of which is taken
 * for a reference to a blob but by chance or malice, and then it need not lead anywhere; but the same
 * node may be a leaf of both kinds, and must not be passed over for having been seen as the other.
 */
#include "version/gc-private.h"

#include <string.h>

#define AT_ONCE   32
#define TOLD_MASK 1023

typedef enum {
	ITEM_TREE,       /* a node of a tree whose values are stored values */
	ITEM_ATTRIBUTES, /* a node of a tree of attributes */
	ITEM_BLOB,       /* a node of a blob */
} ItemKind;

/* ---- Noting ------------------------------------------------------------------------------ */

static bool throw_missing(const ProllyHash *hash, GError **error)
{
	char hex[PROLLY_HASH_HEX_SIZE];

	return prolly_throw(error, PROLLY_ERROR_MISSING, "node %s is missing",
			    prolly_hash_to_hex(hash, hex));
}

/* Marks HASH; true if it was not. */
static bool mark(ProllyGc *gc, const ProllyHash *hash, bool *out_listed)
{
	ProllyCensusAnswer answer = prolly_census_mark(gc->census, hash);

	*out_listed = answer != PROLLY_CENSUS_UNLISTED;
	if (answer == PROLLY_CENSUS_AGAIN)
		return false;
	if (answer == PROLLY_CENSUS_UNLISTED) {
		if (g_hash_table_contains(gc->unlisted, hash))
			return false;
		g_hash_table_add(gc->unlisted, g_memdup2(hash, sizeof(*hash)));
	}
	gc->n_marked++;
	return true;
}

static void note_node(ProllyGc *gc, ItemKind kind, unsigned level, bool is_lenient,
		      const ProllyHash *hash)
{
	ProllyGcItem item = {.hash = *hash,
			     .kind = (uint8_t)kind,
			     .level = (uint8_t)level,
			     .is_lenient = is_lenient};
	bool is_listed;

	if (mark(gc, hash, &is_listed))
		g_array_append_val(gc->stack, item);
}

static bool note_chunk(ProllyGc *gc, const ProllyHash *hash, bool is_lenient, GError **error)
{
	bool is_listed;
	bool there = true;

	if (!mark(gc, hash, &is_listed) || is_listed || is_lenient)
		return true;
	if (!prolly_store_has_many(gc->store, PROLLY_NODE_CHUNK, hash, 1, &there, error))
		return false;
	return there || throw_missing(hash, error);
}

/* Most values are inline, and then the first byte says it. */
static bool note_value(ProllyGc *gc, const uint8_t *stored, size_t len, bool is_lenient,
		       GError **error)
{
	ProllyValue value;

	if (len != PROLLY_VALUE_BLOB_SIZE || !(stored[0] & PROLLY_VALUE_BLOB))
		return true;
	if (!prolly_value_parse(stored, len, &value, is_lenient ? NULL : error))
		return is_lenient;
	if (value.blob.height == 0)
		return note_chunk(gc, &value.blob.hash, is_lenient, error);
	note_node(gc, ITEM_BLOB, value.blob.height, is_lenient, &value.blob.hash);
	return true;
}

bool prolly_gc_keep_value(ProllyGc *gc, const uint8_t *stored, size_t len, GError **error)
{
	return note_value(gc, stored, len, false, error);
}

/* A crash before a commit's nodes were written leaves a commit that nothing reaches without them. */
bool prolly_gc_keep_tree(ProllyGc *gc, const ProllyTree *tree, GError **error)
{
	note_node(gc, ITEM_TREE, 0, gc->reason == PROLLY_GC_YOUNG, &tree->top);
	return true;
}

bool prolly_gc_keep_attributes(ProllyGc *gc, const ProllyTree *tree, GError **error)
{
	if (!prolly_hash_is_zero(&tree->top))
		note_node(gc, ITEM_ATTRIBUTES, 0, false, &tree->top);
	return true;
}

/* ---- Marking ----------------------------------------------------------------------------- */

/* A node whose references are being noted. */
typedef struct {
	ProllyGc *gc;
	const ProllyGcItem *item;
} Walk;

static bool note_child(const ProllyHash *child, void *data, GError **error)
{
	Walk *walk = data;

	note_node(walk->gc, (ItemKind)walk->item->kind, 0, walk->item->is_lenient, child);
	return true;
}

static bool note_entry(const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len,
		       void *data, GError **error)
{
	Walk *walk = data;
	bool is_doubtful = walk->item->is_lenient || walk->item->kind == ITEM_ATTRIBUTES;

	return note_value(walk->gc, value, value_len, is_doubtful, error);
}

static bool note_blob_child(ProllyNodeClass node_class, const ProllyHash *hash, void *data,
			    GError **error)
{
	Walk *walk = data;
	const ProllyGcItem *item = walk->item;

	if (node_class == PROLLY_NODE_CHUNK)
		return note_chunk(walk->gc, hash, item->is_lenient, error);
	note_node(walk->gc, ITEM_BLOB, item->level - 1u, item->is_lenient, hash);
	return true;
}

static bool walk_node(ProllyGc *gc, const ProllyGcItem *item, ProllyNode *node, GError **error)
{
	Walk walk = {gc, item};

	return item->kind == ITEM_BLOB
		       ? prolly_blob_walk_node(&gc->context, &item->hash, item->level,
					       note_blob_child, &walk, error)
		       : prolly_tree_walk_node(&gc->context, node, note_child, note_entry, &walk,
					       error);
}

/* Of one that may be missing or damaged. */
static bool walk_lenient(ProllyGc *gc, const ProllyGcItem *item, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(ProllyNode) node =
		item->kind == ITEM_BLOB
			? NULL
			: prolly_store_get(gc->store, PROLLY_NODE_TREE, &item->hash, &local);

	if ((node || item->kind == ITEM_BLOB) && walk_node(gc, item, node, &local))
		return true;
	if (prolly_error_is(local, PROLLY_ERROR_MISSING) ||
	    prolly_error_is(local, PROLLY_ERROR_CORRUPT))
		return true;
	g_propagate_error(error, g_steal_pointer(&local));
	return false;
}

/* Loads the nodes of trees that ITEMS are together, and notes what they refer to. */
static bool walk_trees(ProllyGc *gc, const ProllyGcItem *items, size_t n, GError **error)
{
	ProllyHash hashes[AT_ONCE];
	ProllyNode *nodes[AT_ONCE];
	bool ok = true;

	if (n == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		hashes[i] = items[i].hash;
	if (!prolly_store_get_many(gc->store, PROLLY_NODE_TREE, hashes, n, nodes, error))
		return false;
	for (size_t i = 0; i < n; i++) {
		ok = ok && walk_node(gc, &items[i], nodes[i], error);
		prolly_node_unref(nodes[i]);
	}
	return ok;
}

/* Takes some items from the stack and walks them. */
static bool walk_some(ProllyGc *gc, GError **error)
{
	ProllyGcItem items[AT_ONCE];
	size_t n = 0;

	while (gc->stack->len > 0 && n < AT_ONCE) {
		ProllyGcItem item = g_array_index(gc->stack, ProllyGcItem, gc->stack->len - 1);
		bool ok = true;

		g_array_set_size(gc->stack, gc->stack->len - 1);
		if (item.is_lenient)
			ok = walk_lenient(gc, &item, error);
		else if (item.kind == ITEM_BLOB)
			ok = walk_node(gc, &item, NULL, error);
		else
			items[n++] = item;
		if (!ok)
			return false;
	}
	return walk_trees(gc, items, n, error);
}

bool prolly_gc_tell_marked(ProllyGc *gc, GError **error)
{
	ProllyCensusFigures figures;

	prolly_census_get_figures(gc->census, &figures);
	return prolly_gc_tell(gc, PROLLY_GC_MARKING, gc->n_marked, figures.nodes, error);
}

bool prolly_gc_mark(ProllyGc *gc, GError **error)
{
	uint64_t told = gc->n_marked & ~(uint64_t)TOLD_MASK;

	while (gc->stack->len > 0) {
		if (!walk_some(gc, error))
			return false;
		if ((gc->n_marked & ~(uint64_t)TOLD_MASK) == told)
			continue;
		told = gc->n_marked & ~(uint64_t)TOLD_MASK;
		if (!prolly_gc_tell_marked(gc, error))
			return false;
	}
	return true;
}
