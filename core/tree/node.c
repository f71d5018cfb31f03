/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node codec: the one encoding of a node, and reading it in place.
 *
 * A node is hashed exactly as it is stored. Numbers are little endian; arrays of fixed width come
 * first, the widest foremost, so that in 8-byte aligned memory every number is aligned; what varies
 * in length comes behind them:
 *
 *	 0  3  "PTN"
 *	 3  1  version: 1
 *	 4  1  kind: 0 leaf, 1 internal
 *	 5  1  level: 0 in a leaf; in an internal node one more than its children's, at most 63
 *	 6  2  flags: bit 0 "wide"; the others are 0
 *	 8  4  n, the number of entries
 *	12  4  P, length of the prefix that all keys share
 *	16  4  K, length of the suffixes
 *	20  4  V, length of the values; 0 in an internal node
 *	24  8  keys in the subtree
 *	32  8  bytes in the subtree: of each entry its key's length and what its value weighs
 *	40
 *	    +---------------- internal node only ----------------+
 *	    |  n * 8   keys in each child's subtree               |
 *	    |  n * 8   bytes in each child's subtree              |
 *	    |  n * 32  hash of each child                         |
 *	    +-----------------------------------------------------+
 *	       n * w   end of each suffix    (w is 4 if wide, else 2)
 *	    +---------------- leaf only --------------------------+
 *	    |  n * w   end of each value                          |
 *	    +-----------------------------------------------------+
 *	       P       the prefix
 *	       K       the suffixes, one behind the other
 *	       V       leaf only: the values, one behind the other
 *
 * An end counts from the start of its own heap; an entry starts where the one before it ends, the
 * first at 0. A key is the prefix and its suffix. The key of an entry in an internal node is the
 * last key below its child. The empty tree is the leaf with n = 0, which is its header alone.
 *
 * Exactly one encoding of a node is accepted, so that equal contents have equal hashes and unequal
 * bytes are unequal contents:
 * N1  The sections fill the node exactly; ends ascend, and the last is the length of its heap.
 * N2  Keys strictly ascend, as unsigned bytes, the shorter first on a tie. (Of suffixes therefore
 *     only the first may be empty.)
 * N3  P is the whole common prefix: one key alone is all prefix, and of several the first's suffix
 *     and the last's do not begin with the same byte.
 * N4  "wide" is set if and only if K or V is over 65535.
 * N5  Kind and level agree; only a leaf can have n = 0; every child has keys.
 * N6  The counts in the header are the sums of those of the entries, in 64 bits.
 * N7  Keys are at most PROLLY_KEY_MAX, values at most PROLLY_TREE_VALUE_MAX bytes long.
 * N8  The entries but the last (of an internal node with two children or one: none) measure less
 *     than the greatest max that a format may have. So what a node becomes when its keys are whole
 *     is bounded, though a prefix that is there once stands for n.
 * What one node cannot show (levels, counts and last keys of its children, and whether the cut is
 * where the rule wants it) is checked where the parent is at hand: path.c and tree.c.
 *
 * Decoding checks all that in one pass over the ends, once for each node in memory, and keeps a
 * *view*: where the sections are, and the *head* of each suffix, its first 4 bytes as a number, for
 * search (node-search.c). Heads are not stored: they would be bytes to hash and to write for what is
 * made in 5 ns an entry.
 *
 * Rejected: front coding of each key by its predecessor (smaller, but entries cannot be reached in
 * place); counts as varint deltas (rank and select would decode); counts and hashes interleaved as
 * records (a rank sums one array of numbers instead of reading 45 cache lines).
 */
#include "base/memory.h"
#include "tree/tree-private.h"

#define NODE_MAGIC     "PTN"
#define NODE_VERSION   1
#define NODE_HEADER    TREE_NODE_HEADER
#define NODE_FLAG_WIDE 1
#define KIND_LEAF      0
#define KIND_INTERNAL  1

/* Offsets of the sections, from the sizes in the header. 64 bits hold any header's. */
typedef struct {
	uint64_t child_keys, child_bytes, child_hashes, key_ends, value_ends, prefix, suffixes,
		values, len;
} NodeLayout;

static NodeLayout compute_layout(bool leaf, bool wide, uint64_t count, uint64_t prefix_len,
				 uint64_t suffixes_len, uint64_t values_len)
{
	uint64_t ends = count * (wide ? 4 : 2);
	NodeLayout layout;

	layout.child_keys = NODE_HEADER;
	layout.child_bytes = layout.child_keys + (leaf ? 0 : 8 * count);
	layout.child_hashes = layout.child_bytes + (leaf ? 0 : 8 * count);
	layout.key_ends = layout.child_hashes + (leaf ? 0 : PROLLY_HASH_SIZE * count);
	layout.value_ends = layout.key_ends + ends;
	layout.prefix = layout.value_ends + (leaf ? ends : 0);
	layout.suffixes = layout.prefix + prefix_len;
	layout.values = layout.suffixes + suffixes_len;
	layout.len = layout.values + values_len;
	return layout;
}

static bool needs_wide(uint64_t suffixes_len, uint64_t values_len)
{
	return suffixes_len > UINT16_MAX || values_len > UINT16_MAX;
}

/* Heads, and in an internal node a place for hints, and links, of COUNT entries: three times the node
 * at most. */
static size_t compute_view_size(bool leaf, uint32_t count)
{
	size_t size = sizeof(ProllyNodeView) + node_count_heads(count) * sizeof(int32_t);

	return leaf ? size : size + sizeof(ProllyHintSlot) + count * sizeof(ProllyNodeLink);
}

/* ---- Encoding ---------------------------------------------------------------------------- */

static size_t common_prefix(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t len = MIN(a_len, b_len), i = 0;

	while (i < len && a[i] == b[i])
		i++;
	return i;
}

/* Of all keys, which is that of the first and the last, since they ascend. */
static size_t draft_prefix_len(const ProllyDraft *draft)
{
	size_t first_len, last, last_len;

	if (draft->count == 0)
		return 0;
	first_len = draft->ends[0].key_end;
	last = draft_key_start(draft, draft->count - 1);
	last_len = draft->ends[draft->count - 1].key_end - last;
	return common_prefix(draft->keys, first_len, draft->keys + last, last_len);
}

static void encode_header(uint8_t *out, const ProllyDraft *draft, bool wide, size_t prefix_len,
			  size_t suffixes_len, size_t values_len)
{
	memcpy(out, NODE_MAGIC, 3);
	out[3] = NODE_VERSION;
	out[4] = draft->level ? KIND_INTERNAL : KIND_LEAF;
	out[5] = (uint8_t)draft->level;
	prolly_set_le16(out + 6, wide ? NODE_FLAG_WIDE : 0);
	prolly_set_le32(out + 8, draft->count);
	prolly_set_le32(out + 12, (uint32_t)prefix_len);
	prolly_set_le32(out + 16, (uint32_t)suffixes_len);
	prolly_set_le32(out + 20, (uint32_t)values_len);
	prolly_set_le64(out + 24, draft->total_keys);
	prolly_set_le64(out + 32, draft->total_bytes);
}

/* Child I of COUNT, as DRAFT has it. */
static void encode_child(uint8_t *out, size_t count, const ProllyDraft *draft, size_t i)
{
	NodeLayout layout = compute_layout(false, false, count, 0, 0, 0);
	ProllyChildRecord record;

	memcpy(&record, draft->values + i * sizeof(record), sizeof(record));
	prolly_set_le64(out + layout.child_keys + 8 * i, record.keys);
	prolly_set_le64(out + layout.child_bytes + 8 * i, record.bytes);
	memcpy(out + layout.child_hashes + PROLLY_HASH_SIZE * i, &record.hash, PROLLY_HASH_SIZE);
}

static void encode_children(uint8_t *out, const ProllyDraft *draft)
{
	for (size_t i = 0; i < draft->count; i++)
		encode_child(out, draft->count, draft, i);
}

/* End I of an array of them. */
static inline void set_end(uint8_t *ends, size_t i, bool wide, size_t end)
{
	if (wide)
		prolly_set_le32(ends + 4 * i, (uint32_t)end);
	else
		prolly_set_le16(ends + 2 * i, (uint16_t)end);
}

static void encode_keys(uint8_t *out, const ProllyDraft *draft, const NodeLayout *layout, bool wide,
			size_t prefix_len)
{
	uint8_t *ends = out + layout->key_ends, *suffixes = out + layout->suffixes;
	size_t start = 0, written = 0;

	memcpy(out + layout->prefix, draft->keys, prefix_len);
	for (size_t i = 0; i < draft->count; i++) {
		size_t end = draft->ends[i].key_end, len = end - start - prefix_len;

		copy_short(suffixes + written, draft->keys + start + prefix_len, len);
		written += len;
		set_end(ends, i, wide, written);
		start = end;
	}
}

static void encode_values(uint8_t *out, const ProllyDraft *draft, const NodeLayout *layout,
			  bool wide, size_t values_len)
{
	uint8_t *ends = out + layout->value_ends;

	for (size_t i = 0; i < draft->count; i++)
		set_end(ends, i, wide, draft->ends[i].value_end);
	if (values_len)
		memcpy(out + layout->values, draft->values, values_len);
}

/* What the draft's encoding is like. */
typedef struct {
	size_t prefix_len, suffixes_len, values_len;
	bool wide;
	NodeLayout layout;
} DraftForm;

static DraftForm make_form(bool leaf, uint32_t count, size_t prefix_len, size_t keys_len,
			   size_t values_len)
{
	DraftForm form = {.prefix_len = prefix_len, .values_len = values_len};

	form.suffixes_len = keys_len - (size_t)count * prefix_len;
	form.wide = needs_wide(form.suffixes_len, form.values_len);
	form.layout = compute_layout(leaf, form.wide, count, form.prefix_len, form.suffixes_len,
				     form.values_len);
	return form;
}

static DraftForm get_form(const ProllyDraft *draft)
{
	bool leaf = draft->level == 0;

	return make_form(leaf, draft->count, draft_prefix_len(draft),
			 draft_key_start(draft, draft->count),
			 leaf ? draft_value_start(draft, draft->count) : 0);
}

ProllyNode *prolly_node_encode(ProllyStore *store, const ProllyDraft *draft, GError **error)
{
	DraftForm form = get_form(draft);
	uint8_t *out;
	size_t room = compute_view_size(draft->level == 0, draft->count);
	ProllyNode *node =
		prolly_store_new_node(store, PROLLY_NODE_TREE, form.layout.len, room, &out, error);

	if (!node)
		return NULL;
	encode_header(out, draft, form.wide, form.prefix_len, form.suffixes_len, form.values_len);
	if (draft->count > 0)
		encode_keys(out, draft, &form.layout, form.wide, form.prefix_len);
	if (draft->level == 0)
		encode_values(out, draft, &form.layout, form.wide, form.values_len);
	else
		encode_children(out, draft);
	return node;
}

/* Keys and values of the run, without the prefix that they share. */
static void encode_run(uint8_t *out, const ProllyRun *run, const DraftForm *form)
{
	const NodeLayout *layout = &form->layout;
	uint8_t *key_ends = out + layout->key_ends, *value_ends = out + layout->value_ends;
	uint8_t *suffix = out + layout->suffixes, *value = out + layout->values;

	memcpy(out + layout->prefix, run->edits[0].key, form->prefix_len);
	for (size_t i = 0; i < run->count; i++) {
		const ProllyEdit *edit = &run->edits[i];
		const uint8_t *key = edit->key;

		copy_short(suffix, key + form->prefix_len, edit->key_len - form->prefix_len);
		memcpy(value, edit->value, edit->value_len);
		suffix += edit->key_len - form->prefix_len;
		value += edit->value_len;
		set_end(key_ends, i, form->wide, (size_t)(suffix - out) - layout->suffixes);
		set_end(value_ends, i, form->wide, (size_t)(value - out) - layout->values);
	}
}

static DraftForm get_form_of_run(const ProllyRun *run)
{
	const ProllyEdit *first = &run->edits[0], *last = &run->edits[run->count - 1];

	return make_form(true, run->count,
			 common_prefix(first->key, first->key_len, last->key, last->key_len),
			 run->keys_len, run->values_len);
}

ProllyNode *prolly_node_encode_run(ProllyStore *store, const ProllyRun *run, GError **error)
{
	ProllyDraft draft = {
		.count = run->count, .total_keys = run->count, .total_bytes = run->bytes};
	DraftForm form = get_form_of_run(run);
	uint8_t *out;
	ProllyNode *node = prolly_store_new_node(store, PROLLY_NODE_TREE, form.layout.len,
						 compute_view_size(true, run->count), &out, error);

	if (!node)
		return NULL;
	encode_header(out, &draft, form.wide, form.prefix_len, form.suffixes_len, form.values_len);
	encode_run(out, run, &form);
	return node;
}

static void patch_value(uint8_t *out, const ProllyNodeView *old, const ProllyDraft *draft,
			uint32_t i)
{
	size_t len, start = i ? node_get_value_end(old, i - 1) : 0;

	(void)node_get_value(old, i, &len);
	memcpy(out + old->values + start, draft->values + start, len);
}

/* Of the view of an internal node. */
static void forget_hints(void *view)
{
	g_free(node_get_hint_slot(view)->hints);
}

static void free_inner_view(void *view)
{
	forget_hints(view);
	g_free(view);
}

/* (nullable) As decoding it would make it but for its counts, and with the old one's links but to
 * the children that are others. */
static ProllyNodeView *copy_view(ProllyNode *node, const uint8_t *bytes, const ProllyNodeView *old,
				 const uint32_t *patched, uint32_t n)
{
	ProllyNodeView *view =
		prolly_node_take_room(node, compute_view_size(old->level == 0, old->count));

	if (!view)
		return NULL;
	memcpy(view, old, sizeof(*old) + node_count_heads(old->count) * sizeof(*old->heads));
	view->data = bytes;
	if (old->level > 0)
		*node_get_hint_slot(view) = (ProllyHintSlot){NULL};
	for (uint32_t i = 0; i < old->count && old->level > 0; i++)
		prolly_store_copy_link(node_get_link(view, i), node_get_link(old, i));
	for (uint32_t i = 0; i < n && old->level > 0; i++)
		*node_get_link(view, patched[i]) = (ProllyNodeLink){NULL};
	return view;
}

ProllyNode *prolly_node_encode_patched(ProllyStore *store, const ProllyNodeView *old,
				       ProllyWeighFunc weigh, const ProllyDraft *draft,
				       const uint32_t *patched, uint32_t n, GError **error)
{
	size_t room = compute_view_size(old->level == 0, old->count);
	uint8_t *out;
	ProllyNode *node =
		prolly_store_new_node(store, PROLLY_NODE_TREE, old->len, room, &out, error);
	ProllyNodeView *view;

	if (!node)
		return NULL;
	memcpy(out, old->data, old->len);
	prolly_set_le64(out + 24, draft->total_keys);
	prolly_set_le64(out + 32, draft->total_bytes);
	for (uint32_t i = 0; i < n; i++) {
		if (old->level > 0)
			encode_child(out, old->count, draft, patched[i]);
		else
			patch_value(out, old, draft, patched[i]);
	}
	view = copy_view(node, out, old, patched, n);
	if (view) {
		view->weigh = weigh;
		view->keys = draft->total_keys;
		view->bytes = draft->total_bytes;
		prolly_node_set_view(node, view, room, old->level ? forget_hints : NULL);
	}
	return node;
}

size_t prolly_node_find_child_hash(const ProllyNode *node, uint32_t i)
{
	size_t len;
	const uint8_t *bytes = prolly_node_get_bytes(node, &len);
	NodeLayout layout = compute_layout(false, false, prolly_get_le32(bytes + 8), 0, 0, 0);

	return layout.child_hashes + PROLLY_HASH_SIZE * (size_t)i;
}

void prolly_node_set_child_hash(ProllyNode *node, uint32_t i, const ProllyHash *hash)
{
	size_t len;
	uint8_t *bytes = (uint8_t *)prolly_node_get_bytes(node, &len);

	memcpy(bytes + prolly_node_find_child_hash(node, i), hash, sizeof(*hash));
}

/* ---- Decoding ---------------------------------------------------------------------------- */

/* What is wrong with a node, or NULL. */
typedef const char *Flaw;

/* One text for each version, of which there are not many. */
static Flaw name_version(unsigned version)
{
	g_autofree char *flaw = g_strdup_printf(
		"has version %u, this program knows versions up to %u", version, NODE_VERSION);

	return g_intern_string(flaw);
}

/* Reads the header and lays out the sections. OUT_VIEW has no heads yet. */
static Flaw decode_header(const uint8_t *bytes, size_t len, ProllyNodeView *out_view)
{
	uint16_t flags;
	uint32_t suffixes_len, values_len;
	NodeLayout layout;

	if (len < NODE_HEADER || memcmp(bytes, NODE_MAGIC, 3) != 0)
		return "is not a node of a tree";
	if (bytes[3] != NODE_VERSION)
		return name_version(bytes[3]);
	out_view->level = bytes[5];
	if (bytes[4] > KIND_INTERNAL || (bytes[4] == KIND_LEAF) != (out_view->level == 0) ||
	    out_view->level >= TREE_LEVELS_MAX)
		return "has no possible kind and level";
	flags = prolly_get_le16(bytes + 6);
	out_view->wide = flags & NODE_FLAG_WIDE;
	out_view->count = prolly_get_le32(bytes + 8);
	out_view->prefix_len = prolly_get_le32(bytes + 12);
	suffixes_len = prolly_get_le32(bytes + 16);
	values_len = prolly_get_le32(bytes + 20);
	out_view->keys = prolly_get_le64(bytes + 24);
	out_view->bytes = prolly_get_le64(bytes + 32);
	if (flags != (needs_wide(suffixes_len, values_len) ? NODE_FLAG_WIDE : 0))
		return "has wrong flags";
	if (out_view->count == 0 && (out_view->level > 0 || out_view->prefix_len > 0))
		return "has no entries";
	if (out_view->level > 0 && values_len > 0)
		return "has values and children";
	layout = compute_layout(out_view->level == 0, out_view->wide, out_view->count,
				out_view->prefix_len, suffixes_len, values_len);
	if (layout.len != len)
		return "has not the length that its header says";

	out_view->data = bytes;
	out_view->len = (uint32_t)len;
	out_view->key_ends = (uint32_t)layout.key_ends;
	out_view->suffixes = (uint32_t)layout.suffixes;
	out_view->values = (uint32_t)layout.values;
	if (out_view->count == 0)
		return suffixes_len || values_len ? "has bytes without entries" : NULL;
	if (node_get_key_end(out_view, out_view->count - 1) != suffixes_len)
		return "has bytes behind its last key";
	if (out_view->level == 0 && node_get_value_end(out_view, out_view->count - 1) != values_len)
		return "has bytes behind its last value";
	return NULL;
}

/* Checks ends and order of keys, and fills in their heads. *OUT_LENGTHS: the sum of key lengths. */
static Flaw decode_keys(ProllyNodeView *view, uint64_t *out_lengths)
{
	const uint8_t *suffixes = view->data + view->suffixes;
	uint32_t total = node_get_key_end(view, view->count - 1), start = 0, before = 0;
	uint64_t number_before = 0;

	for (uint32_t i = 0; i < view->count; i++) {
		uint32_t end = node_get_key_end(view, i);
		uint64_t number;

		if (end < start || end > total)
			return "has ends of keys that do not ascend";
		if ((uint64_t)(end - start) + view->prefix_len > PROLLY_KEY_MAX)
			return "has a key that is too long";
		number = node_load_start(suffixes + start, end - start);
		view->heads[i] = node_make_head(number);
		if (i > 0 && number_before >= number &&
		    prolly_bytes_compare(suffixes + before, start - before, suffixes + start,
					 end - start) >= 0)
			return "has keys out of order";
		number_before = number;
		before = start;
		start = end;
	}
	for (uint32_t i = view->count; i < node_count_heads(view->count); i++)
		view->heads[i] = INT32_MAX;
	/* BEFORE is where the last suffix starts. Of one key alone, the suffix is 0 long. */
	if (view->count == 1 ? total > 0
			     : node_get_key_end(view, 0) > 0 && suffixes[0] == suffixes[before])
		return "has keys that share more than the prefix";
	*out_lengths = total + (uint64_t)view->prefix_len * view->count;
	return NULL;
}

/* The values' weights add up to what the header says. Ends were checked. */
static bool weights_agree(const ProllyNodeView *view, ProllyWeighFunc weigh, uint64_t key_lengths)
{
	uint64_t sum = key_lengths;

	for (uint32_t i = 0; i < view->count; i++) {
		size_t len;
		const uint8_t *value = node_get_value(view, i, &len);

		if (__builtin_add_overflow(sum, format_weigh(weigh, value, len), &sum))
			return false;
	}
	return sum == view->bytes;
}

static Flaw decode_values(ProllyNodeView *view, ProllyWeighFunc weigh, uint64_t key_lengths)
{
	uint32_t total = node_get_value_end(view, view->count - 1), start = 0;

	for (uint32_t i = 0; i < view->count; i++) {
		uint32_t end = node_get_value_end(view, i);

		if (end < start || end > total)
			return "has ends of values that do not ascend";
		if (end - start > PROLLY_TREE_VALUE_MAX)
			return "has a value that is too long";
		start = end;
	}
	view->value_stride = total / view->count;
	if (view->keys != view->count || !weights_agree(view, weigh, key_lengths))
		return "has wrong counts";
	return NULL;
}

static Flaw decode_children(const ProllyNodeView *view)
{
	uint64_t keys = 0, bytes = 0;

	for (uint32_t i = 0; i < view->count; i++) {
		if (node_get_child_keys(view, i) == 0)
			return "has a child without keys";
		if (__builtin_add_overflow(keys, node_get_child_keys(view, i), &keys) ||
		    __builtin_add_overflow(bytes, node_get_child_bytes(view, i), &bytes))
			return "has counts that overflow";
	}
	return keys == view->keys && bytes == view->bytes ? NULL : "has wrong counts";
}

/* N8. Ends were checked. */
static bool is_bounded(const ProllyNodeView *view, uint64_t key_lengths)
{
	uint32_t last = view->count - 1;
	size_t key_len, value_len = TREE_CHILD_SIZE;
	uint64_t measure = key_lengths;

	if (view->level > 0 && view->count <= 2)
		return true;
	if (view->level > 0) {
		measure += view->count * (uint64_t)TREE_CHILD_SIZE;
	} else {
		measure += node_get_value_end(view, last);
		(void)node_get_value(view, last, &value_len);
	}
	(void)node_get_suffix(view, last, &key_len);
	return measure - view->prefix_len - key_len - value_len < FORMAT_MAX_LIMIT;
}

/* Checks everything behind the header, and fills in what the view has beside it. */
static Flaw decode_entries(ProllyNodeView *view, ProllyWeighFunc weigh)
{
	uint64_t key_lengths = 0;
	Flaw flaw = NULL;

	if (view->level > 0) {
		*node_get_hint_slot(view) = (ProllyHintSlot){NULL};
		memset(node_get_link(view, 0), 0, view->count * sizeof(ProllyNodeLink));
	}
	if (view->count > 0)
		flaw = decode_keys(view, &key_lengths);
	if (!flaw && view->level > 0)
		flaw = decode_children(view);
	else if (!flaw && view->count > 0)
		flaw = decode_values(view, weigh, key_lengths);
	else if (!flaw && (view->keys || view->bytes))
		flaw = "has wrong counts";
	if (!flaw && view->count > 0 && !is_bounded(view, key_lengths))
		flaw = "has more entries than any node";
	return flaw;
}

static const ProllyNodeView *throw_flaw(const ProllyNode *node, Flaw flaw, GError **error)
{
	char hex[PROLLY_HASH_HEX_SIZE];

	prolly_throw(error, PROLLY_ERROR_CORRUPT, "node %s %s",
		     prolly_hash_to_hex(prolly_node_get_hash(node), hex), flaw);
	return NULL;
}

/* VIEW was checked under another format's weighing: do its counts hold under this one's too? */
static bool reweigh(const ProllyNodeView *view, ProllyWeighFunc weigh)
{
	uint64_t key_lengths;

	if (view->level > 0 || view->count == 0)
		return true;
	key_lengths =
		node_get_key_end(view, view->count - 1) + (uint64_t)view->prefix_len * view->count;
	return weights_agree(view, weigh, key_lengths);
}

static GDestroyNotify get_destroy(const ProllyNodeView *view, bool in_room)
{
	if (view->level > 0)
		return in_room ? forget_hints : free_inner_view;
	return in_room ? NULL : g_free;
}

static G_GNUC_NO_INLINE const ProllyNodeView *make_view(ProllyNode *node, ProllyWeighFunc weigh,
							GError **error)
{
	size_t len;
	const uint8_t *bytes = prolly_node_get_bytes(node, &len);
	ProllyNodeView header = {.weigh = weigh}, *view;
	Flaw flaw = decode_header(bytes, len, &header);
	size_t size = compute_view_size(header.level == 0, header.count);
	bool in_room;

	if (flaw)
		return throw_flaw(node, flaw, error);
	view = prolly_node_take_room(node, size);
	in_room = view != NULL;
	if (!in_room)
		view = prolly_try_malloc(size, "a node's view", error);
	if (!view)
		return NULL;
	*view = header;
	flaw = decode_entries(view, weigh);
	if (!flaw)
		return prolly_node_set_view(node, view, size, get_destroy(view, in_room));
	if (!in_room)
		g_free(view);
	return throw_flaw(node, flaw, error);
}

ProllyNodeView *prolly_node_view_new(const uint8_t *bytes, size_t len, ProllyWeighFunc weigh,
				     const char **out_flaw)
{
	ProllyNodeView header = {.weigh = weigh};
	g_autofree ProllyNodeView *view = NULL;
	Flaw flaw = decode_header(bytes, len, &header);

	if (!flaw) {
		view = g_malloc(compute_view_size(header.level == 0, header.count));
		*view = header;
		flaw = decode_entries(view, weigh);
	}
	if (!flaw)
		return g_steal_pointer(&view);
	*out_flaw = flaw;
	return NULL;
}

const ProllyNodeView *prolly_node_decode(const ProllyTreeContext *context, ProllyNode *node,
					 GError **error)
{
	ProllyWeighFunc weigh = context->format->weigh;
	const ProllyNodeView *view = prolly_node_get_view(node);
	size_t len;

	if (G_UNLIKELY(!view)) {
		view = make_view(node, weigh, error);
		if (!view)
			return NULL;
	}
	/* Or it was read as a blob's, and has the view of one, which does not begin like that. */
	if (G_UNLIKELY(view->data != prolly_node_get_bytes(node, &len)))
		return throw_flaw(node, "is not a node of a tree", error);
	if (G_UNLIKELY(view->weigh != weigh) && !reweigh(view, weigh))
		return throw_flaw(node, "has wrong counts", error);
	return view;
}
