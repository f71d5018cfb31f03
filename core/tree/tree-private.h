/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of core/tree share, lowest first: the format, the node codec (node.c), the builder
 * of levels (chunker.c, draft.c), and the path from the top to an entry (path.c).
 *
 * Words: an *entry* of a node is a key and a value in a leaf, a key and a child in an internal
 * node, where the key is the last one below that child. A node's *source bytes* are what is hashed;
 * its *view* is what decoding derived from them, made once and kept with the node.
 */

#include "tree/proof.h"
#include "tree/tree.h"

#include <string.h>

/* Levels are numbered from the leaves, 0. More cannot be: a level has at most half the nodes of the
 * one below, or one. */
#define TREE_LEVELS_MAX 64

/* The greatest max of a format: (2^16)^4 is where s^4 leaves 64 bits. */
#define FORMAT_MAX_LIMIT 65536u

/* What a child adds to the measure of its parent, beside its key: hash and two counts. */
#define TREE_CHILD_SIZE (PROLLY_HASH_SIZE + 8 + 8)

/* Bytes before a node's first array (node.c); and how many heads of keys are compared at once. */
#define TREE_NODE_HEADER 40
#define TREE_HEADS       4u

/* ---- Format ------------------------------------------------------------------------------ */

struct ProllyFormat {
	gatomicrefcount refs;
	ProllyFormatParameters parameters;
	ProllyWeighFunc weigh;           /* NULL: a value's length */
	uint64_t seeds[TREE_LEVELS_MAX]; /* of the boundary hash, one a level */
	GByteArray *descriptor;
	struct ProllyChunker *spare_chunker; /* atomic, nullable; see chunker.c */
};

/*
 * As memcpy: most pieces of keys are short, and a call takes longer than to copy them, which is done in
 * two halves that may overlap.
 */
static inline void copy_short(uint8_t *out, const uint8_t *bytes, size_t len)
{
	uint64_t words[4];

	if (len > 32) {
		memcpy(out, bytes, len);
	} else if (len >= 16) {
		memcpy(words, bytes, 16);
		memcpy(words + 2, bytes + len - 16, 16);
		memcpy(out, words, 16);
		memcpy(out + len - 16, words + 2, 16);
	} else if (len >= 8) {
		memcpy(words, bytes, 8);
		memcpy(words + 1, bytes + len - 8, 8);
		memcpy(out, words, 8);
		memcpy(out + len - 8, words + 1, 8);
	} else {
		for (size_t i = 0; i < len; i++)
			out[i] = bytes[i];
	}
}

/* What a value adds to byte counts. */
static inline uint64_t format_weigh(ProllyWeighFunc weigh, const uint8_t *value, size_t len)
{
	return weigh ? weigh(value, len) : len;
}

/* Callers may give NULL for the empty key; nothing below the facade gets it. */
static inline const uint8_t *key_or_empty(const void *key)
{
	return key ? key : (const uint8_t *)"";
}

/*
 * Reads a descriptor's PROLLY_FORMAT_DESCRIPTOR_SIZE bytes. Any that prolly_format_new would not give
 * to a format with WEIGH are PROLLY_ERROR_CORRUPT.
 */
G_GNUC_INTERNAL bool prolly_format_parse_descriptor(const uint8_t *bytes, ProllyWeighFunc weigh,
						    ProllyFormatParameters *out_parameters,
						    GError **error);

/* ---- Nodes: node.c ----------------------------------------------------------------------- */

/* Of two cache lines with the heads of some thirty entries: places are offsets from DATA. */
typedef struct {
	const uint8_t *data;   /* the source bytes */
	ProllyWeighFunc weigh; /* what `bytes` was checked with */
	uint64_t keys;         /* below this node */
	uint64_t bytes;
	uint32_t count;
	uint32_t prefix_len; /* the prefix ends where the suffixes begin */
	uint32_t key_ends;   /* end of each suffix, counted from the first's start */
	uint32_t suffixes;
	uint32_t values;
	uint32_t value_stride; /* leaf: mean length of a value */
	uint32_t len;          /* of data */
	uint8_t level;
	bool wide;                    /* ends are 32 bits, not 16 */
	_Alignas(16) int32_t heads[]; /* one a suffix, and up to a multiple of TREE_HEADS more */
} ProllyNodeView;

/* Of an internal node, for hint.c. */
typedef struct {
	struct ProllyHints *hints; /* atomic; nullable, set once */
	uint64_t visits;           /* atomic; look-ups that came by before there were any */
} ProllyHintSlot;

/* A key in two pieces, as a node holds it. */
typedef struct {
	const uint8_t *prefix;
	size_t prefix_len;
	const uint8_t *suffix;
	size_t suffix_len;
} ProllyNodeKey;

/*
 * The view of NODE, decoded and checked at the first call; lives as long as the node. Bytes that
 * are no node, or another encoding of one, are PROLLY_ERROR_CORRUPT.
 */
G_GNUC_INTERNAL const ProllyNodeView *prolly_node_decode(const ProllyTreeContext *context,
							 ProllyNode *node, GError **error);

/*
 * (transfer full, g_free) (nullable) A view of BYTES that are in no store, which stay where they are
 * while it is used. NULL: they are no node, or another encoding of one; *OUT_FLAW says why.
 */
G_GNUC_INTERNAL ProllyNodeView *prolly_node_view_new(const uint8_t *bytes, size_t len,
						     ProllyWeighFunc weigh, const char **out_flaw);

/* Number I of the ends at the offset ENDS. */
static inline uint32_t node_end(const ProllyNodeView *view, uint32_t ends, uint32_t i)
{
	return view->wide ? prolly_get_le32(view->data + ends + 4 * (size_t)i)
			  : prolly_get_le16(view->data + ends + 2 * (size_t)i);
}

static inline uint32_t node_get_key_end(const ProllyNodeView *view, uint32_t i)
{
	return node_end(view, view->key_ends, i);
}

static inline uint32_t node_get_value_ends(const ProllyNodeView *view)
{
	return view->key_ends + view->count * (view->wide ? 4 : 2);
}

static inline uint32_t node_get_value_end(const ProllyNodeView *view, uint32_t i)
{
	return node_end(view, node_get_value_ends(view), i);
}

static inline const uint8_t *node_get_prefix(const ProllyNodeView *view)
{
	return view->data + view->suffixes - view->prefix_len;
}

static inline const uint8_t *node_get_suffix(const ProllyNodeView *view, uint32_t i,
					     size_t *out_len)
{
	uint32_t start = i ? node_get_key_end(view, i - 1) : 0;

	*out_len = node_get_key_end(view, i) - start;
	return view->data + view->suffixes + start;
}

static inline ProllyNodeKey node_get_key(const ProllyNodeView *view, uint32_t i)
{
	ProllyNodeKey key = {.prefix = node_get_prefix(view), .prefix_len = view->prefix_len};

	key.suffix = node_get_suffix(view, i, &key.suffix_len);
	return key;
}

static inline const uint8_t *node_get_value(const ProllyNodeView *view, uint32_t i, size_t *out_len)
{
	uint32_t start = i ? node_get_value_end(view, i - 1) : 0;

	*out_len = node_get_value_end(view, i) - start;
	return view->data + view->values + start;
}

/* Of an internal node: counts of keys, counts of bytes, and hashes lie one behind the other. */
static inline uint64_t node_get_child_keys(const ProllyNodeView *view, uint32_t i)
{
	return prolly_get_le64(view->data + TREE_NODE_HEADER + 8 * (size_t)i);
}

static inline uint64_t node_get_child_bytes(const ProllyNodeView *view, uint32_t i)
{
	return prolly_get_le64(view->data + TREE_NODE_HEADER + 8 * ((size_t)view->count + i));
}

static inline const ProllyHash *node_get_child_hash(const ProllyNodeView *view, uint32_t i)
{
	return (const ProllyHash *)(view->data + TREE_NODE_HEADER + 16 * (size_t)view->count +
				    PROLLY_HASH_SIZE * (size_t)i);
}

/* So many heads there are room for: they are looked at TREE_HEADS at a time. */
static inline uint32_t node_count_heads(uint32_t count)
{
	return (count + TREE_HEADS - 1) & ~(TREE_HEADS - 1);
}

/* Of an internal node, behind the heads: what is known of the leaves below it, and links to its
 * children. They may change, whoever reads the view. */
static inline ProllyHintSlot *node_get_hint_slot(const ProllyNodeView *view)
{
	return (ProllyHintSlot *)(void *)(uintptr_t)(view->heads + node_count_heads(view->count));
}

static inline ProllyNodeLink *node_get_link(const ProllyNodeView *view, uint32_t i)
{
	return (ProllyNodeLink *)(node_get_hint_slot(view) + 1) + i;
}

/* The first 8 bytes as a number that sorts as they do. */
static inline uint64_t node_load_start(const uint8_t *bytes, size_t len)
{
	uint64_t start = 0;

	if (len >= 8)
		return prolly_get_be64(bytes);
	for (size_t i = 0; i < len; i++)
		start |= (uint64_t)bytes[i] << (56 - 8 * i);
	return start;
}

/* Of them the first 4, signed as vectors compare them. */
static inline int32_t node_make_head(uint64_t start)
{
	return (int32_t)((uint32_t)(start >> 32) ^ UINT32_C(0x80000000));
}

/* The first entry whose key is KEY or greater; the count if there is none: node-search.c. */
G_GNUC_INTERNAL uint32_t prolly_node_search(const ProllyNodeView *view, const uint8_t *key,
					    size_t len, bool *out_found);

/* The order of entry I's key to KEY, and to entry J's of another node. */
G_GNUC_INTERNAL int prolly_node_compare_key(const ProllyNodeView *view, uint32_t i,
					    const uint8_t *key, size_t len);
G_GNUC_INTERNAL int prolly_node_compare_entries(const ProllyNodeView *a, uint32_t i,
						const ProllyNodeView *b, uint32_t j);

/*
 * A node to be: entries one behind the other, keys whole, and for an internal node as value of each
 * child its hash and counts (TREE_CHILD_SIZE bytes, see ProllyChildRecord).
 */
typedef struct {
	uint32_t key_end;
	uint32_t value_end;
} ProllyDraftEnds;

typedef struct {
	unsigned level;
	uint32_t count;
	uint8_t *keys;
	uint8_t *values;
	ProllyDraftEnds *ends;
	uint64_t total_keys;
	uint64_t total_bytes;
} ProllyDraft;

typedef struct {
	ProllyHash hash;
	uint64_t keys;
	uint64_t bytes;
} ProllyChildRecord;

G_STATIC_ASSERT(sizeof(ProllyChildRecord) == TREE_CHILD_SIZE);

static inline size_t draft_key_start(const ProllyDraft *draft, uint32_t i)
{
	return i ? draft->ends[i - 1].key_end : 0;
}

static inline size_t draft_value_start(const ProllyDraft *draft, uint32_t i)
{
	return i ? draft->ends[i - 1].value_end : 0;
}

/* (transfer full) A new node of STORE, not yet put: the one encoding of DRAFT, whose keys strictly
 * ascend. */
G_GNUC_INTERNAL ProllyNode *prolly_node_encode(ProllyStore *store, const ProllyDraft *draft,
					       GError **error);
/*
 * The same of one that has the keys and counts of entries that VIEW has, and all its values but those
 * of the N entries PATCHED, which are as long. These DRAFT has, where they are if it has all; and
 * its sums. The view of the new node is there with it, and leads where the old one's does.
 */
G_GNUC_INTERNAL ProllyNode *prolly_node_encode_patched(
	ProllyStore *store, const ProllyNodeView *view, ProllyWeighFunc weigh,
	const ProllyDraft *draft, const uint32_t *patched, uint32_t n, GError **error);
/* Of an internal node that was encoded before the hash of its child I was known: where in its bytes
 * that is to be, and the same done. */
G_GNUC_INTERNAL size_t prolly_node_find_child_hash(const ProllyNode *node, uint32_t i);
G_GNUC_INTERNAL void prolly_node_set_child_hash(ProllyNode *node, uint32_t i,
						const ProllyHash *hash);

/* A leaf to be: entries that stay where they are, in order, all with values; and their sums. */
typedef struct {
	ProllyEdit *edits;
	uint32_t count;
	size_t keys_len, values_len;
	uint64_t bytes; /* in the subtree */
} ProllyRun;

/* As prolly_node_encode of a draft of RUN. */
G_GNUC_INTERNAL ProllyNode *prolly_node_encode_run(ProllyStore *store, const ProllyRun *run,
						   GError **error);

/* ---- What is known of leaves: hint.c ----------------------------------------------------- */

typedef enum {
	PROLLY_HINT_NONE, /* nothing is known: look into the leaf */
	PROLLY_HINT_ABSENT,
	PROLLY_HINT_PERHAPS,
	PROLLY_HINT_FOUND,
} ProllyHintAnswer;

/* What was found of a key. It is as lasting as the view. */
typedef struct {
	const struct ProllyLeafHint *leaf;
	const uint8_t *tags;
	uint32_t entry;
	uint8_t tag;
} ProllyHint;

/* Does leaf I below VIEW have KEY? If perhaps, the processor is told to load its entry. */
G_GNUC_INTERNAL ProllyHintAnswer prolly_hint_ask(const ProllyTreeContext *context,
						 const ProllyNodeView *view, uint32_t i,
						 const uint8_t *key, size_t len,
						 ProllyHint *out_hint);
/* For one who was told PERHAPS: looks, and gives the value if it is there. */
G_GNUC_INTERNAL ProllyHintAnswer prolly_hint_take(const ProllyTreeContext *context,
						  const ProllyNodeView *view, uint32_t i,
						  const uint8_t *key, size_t len,
						  const ProllyHint *asked,
						  ProllyValueRef *out_value);
/* LEAF, which is leaf I below NODE, of VIEW, was searched. */
G_GNUC_INTERNAL void prolly_hint_note(const ProllyTreeContext *context, ProllyNode *node,
				      const ProllyNodeView *view, uint32_t i,
				      const ProllyNodeView *leaf);

/* ---- Building: chunker.c ----------------------------------------------------------------- */

/* Is there a cut after an entry with KEY that took its node's measure from S0 to S1? */
G_GNUC_INTERNAL bool prolly_chunker_is_boundary(const ProllyFormat *format, unsigned level,
						uint64_t s0, uint64_t s1, const uint8_t *key,
						size_t len);

typedef struct ProllyChunker ProllyChunker;

/* (transfer full) CONTEXT is borrowed until it is freed. ORDERED: the caller sees to it that all keys
 * ascend; else they are checked. */
G_GNUC_INTERNAL ProllyChunker *prolly_chunker_new(const ProllyTreeContext *context, bool ordered,
						  GError **error);
G_GNUC_INTERNAL void prolly_chunker_free(ProllyChunker *chunker); /* NULL is allowed */
/* For a format that goes. */
G_GNUC_INTERNAL void prolly_chunker_destroy_spare(ProllyFormat *format);

/* Appends an entry to the leaves. Keys strictly ascend, over everything that is added. */
G_GNUC_INTERNAL bool prolly_chunker_add(ProllyChunker *chunker, const uint8_t *key, size_t key_len,
					const uint8_t *value, size_t value_len, GError **error);

/*
 * Appends entries [FROM, TO) of a node that exists, at its level. Of an internal node this takes
 * whole subtrees by reference, so the levels below must be aligned, and a child that is the last of
 * its level may only come when nothing follows.
 */
G_GNUC_INTERNAL bool prolly_chunker_add_range(ProllyChunker *chunker, ProllyNode *node,
					      const ProllyNodeView *view, uint32_t from,
					      uint32_t to, GError **error);

/* NODE, of the old tree, may be the source (draft.c) of a draft on its level, until it is taken back
 * (NULL). */
G_GNUC_INTERNAL void prolly_chunker_offer(ProllyChunker *chunker, unsigned level, ProllyNode *node,
					  const ProllyNodeView *view);

/* Appends a leaf that is closed and put: its last key, and what its parent says of it. A leaf must
 * begin here. */
G_GNUC_INTERNAL bool prolly_chunker_add_leaf(ProllyChunker *chunker, const uint8_t *key,
					     size_t key_len, const ProllyChildRecord *leaf,
					     GError **error);

/* The same of LEAF (transfer full) that is not put, whose hash is to come. */
G_GNUC_INTERNAL bool prolly_chunker_add_new_leaf(ProllyChunker *chunker, ProllyNode *leaf,
						 const uint8_t *key, size_t key_len,
						 const ProllyChildRecord *record, GError **error);

/* Does a node begin here on each of the LEVELS lowest levels? */
G_GNUC_INTERNAL bool prolly_chunker_is_aligned(const ProllyChunker *chunker, unsigned levels);

/* Ends every level. The chunker can only be freed then. */
G_GNUC_INTERNAL bool prolly_chunker_finish(ProllyChunker *chunker, ProllyTree *out_tree,
					   GError **error);

/* ---- Leaves made by several threads: bulk.c ---------------------------------------------- */

typedef struct ProllyBulk ProllyBulk;

/* (transfer full) Goes on for CHUNKER, where a leaf begins. Nothing else is given to the chunker
 * until it is finished. Both are borrowed. */
G_GNUC_INTERNAL ProllyBulk *prolly_bulk_new(const ProllyTreeContext *context,
					    ProllyChunker *chunker, GError **error);
G_GNUC_INTERNAL void prolly_bulk_free(ProllyBulk *bulk); /* NULL is allowed */
/* As prolly_chunker_add; that the keys ascend is for the caller to see to. */
G_GNUC_INTERNAL bool prolly_bulk_add(ProllyBulk *bulk, const uint8_t *key, size_t key_len,
				     const uint8_t *value, size_t value_len, GError **error);
/* Ends the leaves. The chunker has them then. */
G_GNUC_INTERNAL bool prolly_bulk_finish(ProllyBulk *bulk, GError **error);

/* ---- Leaves made where their entries lie: bulk-array.c ----------------------------------- */

typedef struct ProllyBulkArray ProllyBulkArray;

/* (transfer full) As prolly_bulk_new. */
G_GNUC_INTERNAL ProllyBulkArray *prolly_bulk_array_new(const ProllyTreeContext *context,
						       ProllyChunker *chunker);
G_GNUC_INTERNAL void prolly_bulk_array_free(ProllyBulkArray *array); /* NULL is allowed */
/* As prolly_chunker_add. What EDIT points to stays there until the load is freed, and EDIT has a
 * value; that the keys ascend is for the caller to see to. */
G_GNUC_INTERNAL bool prolly_bulk_array_add(ProllyBulkArray *array, const ProllyEdit *edit,
					   GError **error);
/* Does a leaf begin here? */
G_GNUC_INTERNAL bool prolly_bulk_array_is_aligned(const ProllyBulkArray *array);
/* Ends the leaves. The chunker has them then. */
G_GNUC_INTERNAL bool prolly_bulk_array_finish(ProllyBulkArray *array, GError **error);

/* ---- Paths: path.c ----------------------------------------------------------------------- */

typedef struct {
	ProllyNode *node; /* NULL: not loaded */
	const ProllyNodeView *view;
	uint32_t index; /* of an entry; in a leaf the count stands for "behind the last" */
} ProllyPathFrame;

/*
 * The nodes from the top of a tree to a place in a leaf: frames[0] is the leaf. Every frame's node
 * is the child that the frame above points at. Initialise with prolly_path_init.
 */
typedef struct {
	ProllyTreeContext context; /* borrowed */
	ProllyTree tree;
	unsigned height; /* 0: nothing is loaded */
	ProllyPathFrame frames[TREE_LEVELS_MAX];
} ProllyPath;

/*
 * (transfer full) The node of TREE's top, or of entry I's child, checked against what its parent
 * says of it: level and counts.
 */
G_GNUC_INTERNAL ProllyNode *prolly_path_load_top(const ProllyTreeContext *context,
						 const ProllyTree *tree,
						 const ProllyNodeView **out_view, GError **error);
G_GNUC_INTERNAL ProllyNode *prolly_path_load_child(const ProllyTreeContext *context,
						   const ProllyNodeView *parent, uint32_t i,
						   const ProllyNodeView **out_view, GError **error);

G_GNUC_INTERNAL void prolly_path_init(ProllyPath *path, const ProllyTreeContext *context,
				      const ProllyTree *tree);
G_GNUC_INTERNAL void prolly_path_unwind(ProllyPath *path);

/* Loads the top, if it is not. */
G_GNUC_INTERNAL bool prolly_path_load(ProllyPath *path, GError **error);

/* Goes to the first entry >= KEY; to behind the last leaf's last if there is none. */
G_GNUC_INTERNAL bool prolly_path_seek(ProllyPath *path, const uint8_t *key, size_t len,
				      bool *out_found, GError **error);
/* The same from a place in a leaf whose first key is <= KEY, or behind the last entry if KEY's
 * place is there too: climbs only as far as it must. */
G_GNUC_INTERNAL bool prolly_path_seek_forward(ProllyPath *path, const uint8_t *key, size_t len,
					      bool *out_found, GError **error);
/* Goes to entry RANK; to behind the last if there are not so many. */
G_GNUC_INTERNAL bool prolly_path_seek_rank(ProllyPath *path, uint64_t rank, GError **error);
/* Goes to the first entry (FORWARD) or the last of the leaf after or before the present one;
 * *OUT_MOVED is false, and nothing moves, if there is none. */
G_GNUC_INTERNAL bool prolly_path_step_leaf(ProllyPath *path, bool forward, bool *out_moved,
					   GError **error);
/* How many entries come before the place. */
G_GNUC_INTERNAL uint64_t prolly_path_get_rank(const ProllyPath *path);

/* ---- Proofs: proof-verify.c -------------------------------------------------------------- */

G_GNUC_INTERNAL bool prolly_proof_check_query(const ProllyProofQuery *query, GError **error);
/* What stands before the nodes. */
G_GNUC_INTERNAL void prolly_proof_append_head(GByteArray *out, const uint8_t *descriptor,
					      const ProllyProofQuery *query);

/* Which of the keys that a query asks for: [from, to). Of a range: none. */
typedef struct {
	size_t from, to;
} ProllyProofShare;

/* Goes through the children of an internal node that a query needs, in order. */
typedef struct {
	const ProllyProofQuery *query;
	const ProllyNodeView *view;
	uint32_t child;         /* the present one */
	ProllyProofShare share; /* the keys that lead to it */
	size_t end;             /* of the keys that lead to the node */
	uint32_t next, last;    /* of a range: children still to come */
} ProllyProofRoute;

G_GNUC_INTERNAL void prolly_proof_route_init(ProllyProofRoute *route, const ProllyProofQuery *query,
					     const ProllyNodeView *view, ProllyProofShare share);
/* To the first child, or the next. False: there is none. */
G_GNUC_INTERNAL bool prolly_proof_route_next(ProllyProofRoute *route);
