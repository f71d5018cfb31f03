/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making proofs. A proof is the transcript of a look-up: the nodes that answering its query reads, in
 * the order in which the descent from the top first meets them. Which those are is decided by one
 * piece of code for maker and verifier, the *route* (proof-verify.c), so that nothing in a proof can
 * be left out or added. The encoding is drawn in proof-verify.c, which has to mistrust it.
 *
 * Whole nodes are in it, since what is hashed is exactly a node's bytes. With the default format and
 * a million entries of 24 + 100 bytes a proof of one key has 13 KiB in the mean; the figures, and
 * what else was thought of, are at the end of this essay.
 */
#include "tree/proof.h"
#include "tree/tree-private.h"

typedef struct {
	const ProllyTreeContext *context;
	const ProllyProofQuery *query;
	GByteArray *out;
} Maker;

static bool append_node(Maker *self, const ProllyNode *node, GError **error)
{
	size_t len;
	const uint8_t *bytes = prolly_node_get_bytes(node, &len);

	if (self->out->len + len > PROLLY_PROOF_MAX)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG,
				    "proof: it would be longer than %u bytes", PROLLY_PROOF_MAX);
	prolly_append_string(self->out, bytes, len);
	return true;
}

/* NODE, and what the route leads to below it. */
static bool append_subtree(Maker *self, const ProllyNode *node, const ProllyNodeView *view,
			   ProllyProofShare share, GError **error)
{
	ProllyProofRoute route;

	if (!append_node(self, node, error))
		return false;
	if (view->level == 0)
		return true;
	prolly_proof_route_init(&route, self->query, view, share);
	while (prolly_proof_route_next(&route)) {
		const ProllyNodeView *child_view;
		g_autoptr(ProllyNode) child = prolly_path_load_child(
			self->context, view, route.child, &child_view, error);

		if (!child || !append_subtree(self, child, child_view, route.share, error))
			return false;
	}
	return true;
}

bool prolly_proof_make(const ProllyTreeContext *context, const ProllyTree *tree,
		       const ProllyProofQuery *query, GBytes **out_bytes, GError **error)
{
	g_autoptr(GByteArray) out = NULL;
	g_autoptr(ProllyNode) top = NULL;
	const ProllyNodeView *view;

	if (!prolly_proof_check_query(query, error))
		return false;
	top = prolly_path_load_top(context, tree, &view, error);
	if (!top)
		return false;
	out = g_byte_array_new();
	prolly_proof_append_head(out, context->format->descriptor->data, query);
	Maker self = {context, query, out};
	if (!append_subtree(&self, top, view, (ProllyProofShare){0, query->n}, error))
		return false;
	*out_bytes = g_byte_array_free_to_bytes(g_steal_pointer(&out));
	return true;
}
