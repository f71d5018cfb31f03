/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path: the nodes from the top of a tree down to a place in one leaf. Everything that moves in a
 * tree (cursors, edits, look-ups by rank) is a path that climbs as far as it must and descends
 * again.
 *
 * Where a node is loaded, it is checked against what was said of it: the top against the tree's
 * counts, a child against its parent's level and counts. That is what bounds every descent by the
 * top's level, and makes every node below the top one with entries, so that damage which still has
 * the right hash (a tree made by hostile hands) can give wrong answers but no loop or crash. Last
 * keys are not compared here, since the child's last suffix is a cache line that nobody else needs:
 * prolly_tree_verify does.
 *
 * Invariants:
 * P1  frames[i].node is NULL, or the child at frames[i + 1].index.
 * P2  If frames[i].node is NULL, so are all below.
 */
#include "tree/tree-private.h"

static ProllyNode *throw_mismatch(const ProllyHash *hash, GError **error)
{
	char hex[PROLLY_HASH_HEX_SIZE];

	prolly_throw(error, PROLLY_ERROR_CORRUPT, "node %s is not what refers to it says",
		     prolly_hash_to_hex(hash, hex));
	return NULL;
}

ProllyNode *prolly_path_load_top(const ProllyTreeContext *context, const ProllyTree *tree,
				 const ProllyNodeView **out_view, GError **error)
{
	g_autoptr(ProllyNode) node =
		prolly_store_get(context->store, PROLLY_NODE_TREE, &tree->top, error);
	const ProllyNodeView *view = node ? prolly_node_decode(context, node, error) : NULL;

	if (!view)
		return NULL;
	if (view->keys != tree->keys || view->bytes != tree->bytes)
		return throw_mismatch(&tree->top, error);
	*out_view = view;
	return g_steal_pointer(&node);
}

static G_GNUC_NO_INLINE ProllyNode *get_child(const ProllyTreeContext *context,
					      const ProllyNodeView *parent, uint32_t i,
					      const ProllyNodeView **out_view, GError **error)
{
	const ProllyHash *hash = node_get_child_hash(parent, i);
	g_autoptr(ProllyNode) node =
		prolly_store_get(context->store, PROLLY_NODE_TREE, hash, error);
	const ProllyNodeView *view = node ? prolly_node_decode(context, node, error) : NULL;

	if (!view)
		return NULL;
	if (view->level + 1 != parent->level || view->keys != node_get_child_keys(parent, i) ||
	    view->bytes != node_get_child_bytes(parent, i))
		return throw_mismatch(hash, error);
	prolly_store_link(context->store, node_get_link(parent, i), node);
	*out_view = view;
	return g_steal_pointer(&node);
}

ProllyNode *prolly_path_load_child(const ProllyTreeContext *context, const ProllyNodeView *parent,
				   uint32_t i, const ProllyNodeView **out_view, GError **error)
{
	ProllyNode *node = prolly_store_follow(context->store, node_get_link(parent, i),
					       node_get_child_hash(parent, i));

	/* There is a link only to a child that was found to be what its parent says. */
	if (G_UNLIKELY(!node))
		return get_child(context, parent, i, out_view, error);
	*out_view = prolly_node_decode(context, node, error);
	if (G_UNLIKELY(!*out_view)) {
		prolly_node_unref(node);
		return NULL;
	}
	return node;
}

void prolly_path_init(ProllyPath *path, const ProllyTreeContext *context, const ProllyTree *tree)
{
	path->context = *context;
	path->tree = *tree;
	path->height = 0;
}

/* Forgets the frames below LEVEL. */
static void drop_below(ProllyPath *path, unsigned level)
{
	while (level-- > 0 && path->frames[level].node) {
		prolly_node_unref(path->frames[level].node);
		path->frames[level].node = NULL;
	}
}

void prolly_path_unwind(ProllyPath *path)
{
	drop_below(path, path->height);
	path->height = 0;
}

bool prolly_path_load(ProllyPath *path, GError **error)
{
	ProllyPathFrame top = {0};

	if (path->height > 0)
		return true;
	top.node = prolly_path_load_top(&path->context, &path->tree, &top.view, error);
	if (!top.node)
		return false;
	path->height = top.view->level + 1u;
	for (unsigned i = 0; i + 1 < path->height; i++)
		path->frames[i].node = NULL;
	path->frames[path->height - 1] = top;
	return true;
}

/* Points the frame of LEVEL > 0 at entry INDEX and loads that child. */
static bool enter_child(ProllyPath *path, unsigned level, uint32_t index, GError **error)
{
	ProllyPathFrame *frame = &path->frames[level], *child = &path->frames[level - 1];

	if (frame->index == index && child->node)
		return true;
	drop_below(path, level);
	frame->index = index;
	child->index = 0;
	child->node =
		prolly_path_load_child(&path->context, frame->view, index, &child->view, error);
	return child->node != NULL;
}

/* ---- Seeking ----------------------------------------------------------------------------- */

static bool seek_from(ProllyPath *path, unsigned level, const uint8_t *key, size_t len,
		      bool *out_found, GError **error)
{
	for (;; level--) {
		ProllyPathFrame *frame = &path->frames[level];
		bool found;
		uint32_t i = prolly_node_search(frame->view, key, len, &found);

		if (level == 0) {
			frame->index = i;
			*out_found = found;
			return true;
		}
		if (!enter_child(path, level, MIN(i, frame->view->count - 1), error))
			return false;
	}
}

bool prolly_path_seek(ProllyPath *path, const uint8_t *key, size_t len, bool *out_found,
		      GError **error)
{
	return prolly_path_load(path, error) &&
	       seek_from(path, path->height - 1, key, len, out_found, error);
}

static bool frame_reaches(const ProllyPathFrame *frame, const uint8_t *key, size_t len)
{
	return frame->node &&
	       prolly_node_compare_key(frame->view, frame->view->count - 1, key, len) >= 0;
}

bool prolly_path_seek_forward(ProllyPath *path, const uint8_t *key, size_t len, bool *out_found,
			      GError **error)
{
	unsigned level = 0;

	if (path->height == 0)
		return prolly_path_seek(path, key, len, out_found, error);
	if (path->frames[0].node && path->frames[0].index == path->frames[0].view->count) {
		*out_found = false;
		return true;
	}
	while (level + 1 < path->height && !frame_reaches(&path->frames[level], key, len))
		level++;
	return seek_from(path, level, key, len, out_found, error);
}

static bool go_behind_last(ProllyPath *path, GError **error)
{
	for (unsigned level = path->height - 1; level > 0; level--) {
		if (!enter_child(path, level, path->frames[level].view->count - 1, error))
			return false;
	}
	path->frames[0].index = path->frames[0].view->count;
	return true;
}

bool prolly_path_seek_rank(ProllyPath *path, uint64_t rank, GError **error)
{
	if (!prolly_path_load(path, error))
		return false;
	if (rank >= path->tree.keys)
		return go_behind_last(path, error);
	for (unsigned level = path->height - 1; level > 0; level--) {
		const ProllyNodeView *view = path->frames[level].view;
		uint32_t i = 0;

		while (rank >= node_get_child_keys(view, i))
			rank -= node_get_child_keys(view, i++);
		if (!enter_child(path, level, i, error))
			return false;
	}
	path->frames[0].index = (uint32_t)rank;
	return true;
}

bool prolly_path_step_leaf(ProllyPath *path, bool forward, bool *out_moved, GError **error)
{
	unsigned level = 1;

	while (level < path->height &&
	       path->frames[level].index == (forward ? path->frames[level].view->count - 1 : 0))
		level++;
	if (level >= path->height) {
		*out_moved = false;
		return true;
	}
	if (!enter_child(path, level, path->frames[level].index + (forward ? 1 : UINT32_MAX),
			 error))
		return false;
	while (--level > 0) {
		if (!enter_child(path, level, forward ? 0 : path->frames[level].view->count - 1,
				 error))
			return false;
	}
	path->frames[0].index = forward ? 0 : path->frames[0].view->count - 1;
	*out_moved = true;
	return true;
}

uint64_t prolly_path_get_rank(const ProllyPath *path)
{
	uint64_t rank = path->height ? path->frames[0].index : 0;

	for (unsigned level = 1; level < path->height; level++) {
		for (uint32_t i = 0; i < path->frames[level].index; i++)
			rank += node_get_child_keys(path->frames[level].view, i);
	}
	return rank;
}
