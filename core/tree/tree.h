/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tree: prolly trees, ordered maps from byte strings to byte strings in a store of nodes.
 *
 * Canonical: the same entries under the same format give the same nodes, and so the same root,
 * whatever the order and batching of the edits that led there. Injective: different entries never
 * give the same root. Persistent: an operation makes a new tree and leaves the old one; two trees
 * share every node that is equal.
 *
 * A tree is a value (ProllyTree): copy it freely. It means something only with the store that holds
 * its nodes and the format they were made under. A new tree's nodes are pending in the store until
 * it is flushed.
 *
 * Threads: any number may read and write trees in one store at once; a cursor, diff or merge object
 * belongs to one thread at a time.
 *
 * Errors: PROLLY_ERROR_CORRUPT and _MISSING name the node; PROLLY_ERROR_TOO_BIG for a key over
 * PROLLY_KEY_MAX or a value over PROLLY_TREE_VALUE_MAX; edits out of order are _INVALID.
 */

#include "base/base.h"
#include "store/store.h"

/* Bytes of a stored value; the format's inline limit is far below. */
#define PROLLY_TREE_VALUE_MAX (1u << 20)

/* ---- Format ------------------------------------------------------------------------------ */

typedef struct ProllyFormat ProllyFormat;

/* What decides a tree's shape, and is in every root hash. The boundary rule is in chunker.c. */
typedef struct {
	uint32_t min;          /* bytes a node has at least before a cut; default 512 */
	uint32_t max;          /* bytes at which a node is cut whatever its keys; default 16384 */
	uint32_t scale_shift;  /* L = 1 << scale_shift, the scale of the cut's hazard; default 12 */
	uint32_t inline_limit; /* bytes of the longest value kept in a leaf; default 1024
				  (core/blob) */
	uint32_t chunk_min;    /* of large values' chunks, bytes; default 16 KiB (core/blob) */
	uint32_t chunk_average; /* default 64 KiB, a power of two */
	uint32_t chunk_max;     /* default 256 KiB */
} ProllyFormatParameters;

#define PROLLY_FORMAT_DESCRIPTOR_SIZE 76

/* The name of core/blob's rules in the descriptor ("fastcdc1" as bytes): another one for another
 * gear table, hole rule or cut of a blob's chunks and nodes. */
#define PROLLY_FORMAT_BLOB_RULES UINT64_C(0x3163646374736166)

/* The size that a stored value counts as in subtree byte counts (core/blob knows large ones). */
typedef uint64_t (*ProllyWeighFunc)(const uint8_t *value, size_t len);

void prolly_format_parameters_init(ProllyFormatParameters *out_parameters); /* the defaults */
/* WEIGH NULL: a value's length. Bad parameters are PROLLY_ERROR_INVALID. */
bool prolly_format_new(const ProllyFormatParameters *parameters, ProllyWeighFunc weigh,
		       ProllyFormat **out_format, GError **error);
ProllyFormat *prolly_format_ref(ProllyFormat *format);
void prolly_format_unref(ProllyFormat *format); /* NULL is allowed */
const ProllyFormatParameters *prolly_format_get_parameters(const ProllyFormat *format);
/* The descriptor's bytes: everything that decides how contents become nodes. Borrowed. */
const uint8_t *prolly_format_get_descriptor(const ProllyFormat *format, size_t *out_len);

/* ---- Trees ------------------------------------------------------------------------------- */

typedef struct {
	ProllyHash top; /* hash of the top node */
	uint64_t keys;
	uint64_t bytes; /* of keys and weighed values */
} ProllyTree;

/* What most functions here take first: where nodes are, and how they are made. */
typedef struct {
	ProllyStore *store;   /* borrowed */
	ProllyFormat *format; /* borrowed */
} ProllyTreeContext;

/* The tree without entries: a leaf of none, which this puts. */
bool prolly_tree_init_empty(const ProllyTreeContext *context, ProllyTree *out_tree, GError **error);

/* Reads the counts of the tree whose top node TOP is. */
bool prolly_tree_open(const ProllyTreeContext *context, const ProllyHash *top, ProllyTree *out_tree,
		      GError **error);

/* The root hash: SHA-256(descriptor, top). Equal exactly for equal contents under equal formats. */
void prolly_tree_get_root(const ProllyFormat *format, const ProllyTree *tree, ProllyHash *out_root);

bool prolly_tree_equal(const ProllyTree *a, const ProllyTree *b);

/* The number of levels: 1 for a single leaf. */
bool prolly_tree_get_height(const ProllyTreeContext *context, const ProllyTree *tree,
			    unsigned *out_height, GError **error);

/* ---- Read -------------------------------------------------------------------------------- */

/* A value that stays where it is: DATA lies in NODE, of which the caller holds a reference, until
 * prolly_value_ref_clear. NODE NULL: absent. Initialise with { 0 }. */
typedef struct {
	const uint8_t *data;
	size_t len;
	ProllyNode *node;
} ProllyValueRef;

void prolly_value_ref_clear(ProllyValueRef *ref);

typedef struct {
	const void *key;
	size_t len;
} ProllyKey;

/* OUT_VALUE->node is NULL if KEY is not there. */
bool prolly_tree_get(const ProllyTreeContext *context, const ProllyTree *tree, const void *key,
		     size_t key_len, ProllyValueRef *out_value, GError **error);

/* As N prolly_tree_get, of which one works while others wait for memory. On an error all are NULL. */
bool prolly_tree_get_many(const ProllyTreeContext *context, const ProllyTree *tree,
			  const ProllyKey *keys, size_t n, ProllyValueRef *out_values,
			  GError **error);

/* The number of keys less than KEY. */
bool prolly_tree_rank(const ProllyTreeContext *context, const ProllyTree *tree, const void *key,
		      size_t key_len, uint64_t *out_rank, GError **error);

typedef struct {
	const uint8_t *key, *value;
	size_t key_len, value_len;
} ProllyTreeEntry;

typedef struct ProllyCursor ProllyCursor;

/* (transfer full) A cursor over TREE, at no entry. Of CONTEXT it holds store and format. */
ProllyCursor *prolly_cursor_new(const ProllyTreeContext *context, const ProllyTree *tree);
void prolly_cursor_free(ProllyCursor *cursor); /* NULL is allowed */

/* Each moves to an entry, or to none if there is none (see prolly_cursor_is_valid). */
bool prolly_cursor_seek_first(ProllyCursor *cursor, GError **error);
bool prolly_cursor_seek_last(ProllyCursor *cursor, GError **error);
bool prolly_cursor_seek(ProllyCursor *cursor, const void *key, size_t len, GError **error); /* >= */
bool prolly_cursor_seek_before(ProllyCursor *cursor, const void *key, size_t len,
			       GError **error); /* the last < key */
bool prolly_cursor_seek_rank(ProllyCursor *cursor, uint64_t rank, GError **error);
bool prolly_cursor_next(ProllyCursor *cursor, GError **error);
bool prolly_cursor_prev(ProllyCursor *cursor, GError **error);

bool prolly_cursor_is_valid(const ProllyCursor *cursor);
/* Of the present entry; borrowed until the cursor moves. */
const uint8_t *prolly_cursor_get_key(ProllyCursor *cursor, size_t *out_len);
const uint8_t *prolly_cursor_get_value(ProllyCursor *cursor, size_t *out_len);
/* How many keys come before it. */
uint64_t prolly_cursor_get_rank(const ProllyCursor *cursor);
/* The fast way over many: moves to the next entry, unless this function has not yet given the present
 * one, and gives it, as the two above do. *OUT_END: there is none. */
bool prolly_cursor_read(ProllyCursor *cursor, ProllyTreeEntry *out_entry, bool *out_end,
			GError **error);

/* ---- Write ------------------------------------------------------------------------------- */

typedef struct {
	const uint8_t *key;
	size_t key_len;
	const uint8_t *value; /* NULL: delete (an absent key is no error) */
	size_t value_len;
} ProllyEdit;

/* Where edits come from. Sets *OUT_EDIT, whose bytes stay valid until the next call, or *OUT_END.
 * Keys strictly ascend. */
typedef bool (*ProllyEditFunc)(void *data, ProllyEdit *out_edit, bool *out_end, GError **error);

/* TREE with all edits applied, in one pass, in memory of a path. TREE NULL: the empty tree, so this
 * is the bulk load too. Reads and writes only what lies on the paths of edits that change
 * something; if none does, the tree returned is TREE and nothing is written. */
bool prolly_tree_apply(const ProllyTreeContext *context, const ProllyTree *tree,
		       ProllyEditFunc next, void *data, ProllyTree *out_tree, GError **error);

/* The same from an array. */
bool prolly_tree_apply_array(const ProllyTreeContext *context, const ProllyTree *tree,
			     const ProllyEdit *edits, size_t n, ProllyTree *out_tree,
			     GError **error);

/* Puts EDITS into the order that prolly_tree_apply wants; their bytes stay where they are. */
void prolly_edits_sort(ProllyEdit *edits, size_t n);

/* ---- Diff and merge ---------------------------------------------------------------------- */

typedef struct {
	const uint8_t *key;
	size_t key_len;
	const uint8_t *old_value; /* NULL: added */
	size_t old_len;
	const uint8_t *new_value; /* NULL: deleted */
	size_t new_len;
} ProllyChange;

typedef struct ProllyDiff ProllyDiff;

/* (transfer full) The changes that lead from A to B, in key order. Descends both from the roots and
 * never reads a subtree that both have. LOWER and UPPER (nullable): only keys in [LOWER, UPPER). */
ProllyDiff *prolly_diff_new(const ProllyTreeContext *context, const ProllyTree *a,
			    const ProllyTree *b, const void *lower, size_t lower_len,
			    const void *upper, size_t upper_len);
void prolly_diff_free(ProllyDiff *diff); /* NULL is allowed */
/* *OUT_CHANGE is borrowed until the next call. *OUT_END: there is none left. */
bool prolly_diff_next(ProllyDiff *diff, ProllyChange *out_change, bool *out_end, GError **error);

/* One key that ours or theirs changed, with the three sides' values (NULL: absent there). */
typedef enum {
	PROLLY_SIDE_OURS,   /* only ours changed it */
	PROLLY_SIDE_THEIRS, /* only theirs changed it */
	PROLLY_SIDE_SAME,   /* both did, to the same value (or absence) */
	PROLLY_SIDE_BOTH,   /* both did, differently: a conflict unless the caller resolves it */
} ProllyMergeSide;

typedef struct {
	ProllyMergeSide side;
	const uint8_t *key;
	size_t key_len;
	const uint8_t *base, *ours, *theirs;
	size_t base_len, ours_len, theirs_len;
} ProllyMergeStep;

typedef struct ProllyMerge ProllyMerge;

/* (transfer full) The three-way comparison as a stream in key order. The merge itself is
 * prolly_tree_apply on OURS of the steps of side THEIRS, and of those of side BOTH as resolved. */
ProllyMerge *prolly_merge_new(const ProllyTreeContext *context, const ProllyTree *base,
			      const ProllyTree *ours, const ProllyTree *theirs);
void prolly_merge_free(ProllyMerge *merge); /* NULL is allowed */
/* *OUT_STEP is borrowed until the next call. */
bool prolly_merge_next(ProllyMerge *merge, ProllyMergeStep *out_step, bool *out_end,
		       GError **error);

/* ---- Check ------------------------------------------------------------------------------- */

/* The references of a node, for whoever walks stores: FUNC is called for each child of an internal
 * node, and for each entry of a leaf. */
typedef bool (*ProllyNodeChildFunc)(const ProllyHash *child, void *data, GError **error);
typedef bool (*ProllyNodeEntryFunc)(const uint8_t *key, size_t key_len, const uint8_t *value,
				    size_t value_len, void *data, GError **error);
bool prolly_tree_walk_node(const ProllyTreeContext *context, ProllyNode *node,
			   ProllyNodeChildFunc child, ProllyNodeEntryFunc entry, void *data,
			   GError **error);

/* Reads everything and checks order, counts, levels and every boundary against the rule. */
bool prolly_tree_verify(const ProllyTreeContext *context, const ProllyTree *tree, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyFormat, prolly_format_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyCursor, prolly_cursor_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyDiff, prolly_diff_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyMerge, prolly_merge_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyValueRef, prolly_value_ref_clear)
