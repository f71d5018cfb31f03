/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hints: what a node above leaves remembers of them, so that a look-up knows which lines of a leaf it
 * needs before it has seen any, and mostly knows that a key is not there without looking at all.
 *
 * Of each entry of a leaf one byte is kept, its *tag*, a hash of its key, in the order of the
 * entries; and of the leaf its sizes. A key is looked for among the tags of the leaf it would be in.
 * If none is its own, it is not there. An entry whose tag it is may be it: the key is compared, where
 * it must lie, and the next such entry is tried if it is another. Of leaves with thirty entries, one
 * key in eight meets somebody else's tag.
 *
 * What that saves is waiting for memory. To search a leaf takes its head, its view with the heads of
 * keys, the ends, the key, and then the value: 15 lines, in two rounds. What is here asked for at once
 * is four: where the node begins, prefix, key and value; and the ends if lengths differ. The hint
 * itself is one round more, to a place that is smaller and nearer. Look-ups in turn with hints and
 * without, medians of 24 rounds in one process, ns:
 *
 *	                   there           not there
 *	100,000 entries    226 -> 218      122 ->  97
 *	a million          516 -> 470      385 -> 200
 *
 * A leaf is immutable, and named by the hash in the node above it. So what was seen of it once is
 * true as long as that node is, whatever became of the leaf in memory; only where its bytes lay is a
 * guess, of which nothing follows but what memory is asked for.
 *
 * Hints are made where look-ups come again: of the leaves that they come to, once they have come by the
 * node above twice as often as it has leaves. Those that come once to each leaf of a large tree
 * would only have their cost. They take a byte an entry and 16 a leaf, which the cache is charged with;
 * where entries are so small that there are hundreds in a leaf, there are none.
 *
 *  H1  A hint is read only when its state is MADE, which is set behind the rest (release) by the one
 *      thread that took it from NONE to MAKING. It never changes again.
 *  H2  A node's hints are set once, by compare-and-swap, and go with its view.
 *
 * Rejected: a line of its own for each leaf, one step to get to instead of two (three times the
 * memory, and no faster for it); to ask for the whole leaf and its value meanwhile (keys that are
 * there gain nothing, others lose a third of what they have gained); hints in prolly_tree_get_many,
 * where others are served while one waits (half as slow again).
 */
#include "tree/tree-private.h"

/* Where leaves have more entries than that on average, there are no hints. */
#define MOST_TAGS 240u
/* There are none either before look-ups came so many times to each leaf, on average. */
#define VISITS_A_LEAF 2u
/* So many tags are looked at at a time. */
#define TAGS_AT_ONCE 8u
/* So many of a key's last bytes are in its tag. */
#define TAIL ((size_t)16)

enum {
	STATE_NONE,
	STATE_MAKING,
	STATE_MADE,
	STATE_NEVER, /* the leaf is too large */
};

enum {
	SAME_SUFFIXES = 1, /* are all of one length */
	SAME_VALUES = 2,
};

/* Of a leaf of less than 64 KiB, which is not wide then. Four are a line. */
typedef struct ProllyLeafHint {
	uint16_t start;      /* of the tags */
	uint16_t n;          /* entries */
	uint16_t data_place; /* of the bytes, from where the node is */
	uint16_t prefix_len;
	uint16_t suffixes_len;
	uint16_t suffix_len; /* the mean */
	uint16_t value_len;
	uint8_t flags;
	uint8_t state; /* atomic */
} LeafHint;

typedef struct ProllyHints {
	ProllyWeighFunc weigh; /* what the leaves were checked with */
	uint32_t count;
	uint32_t padding;
	LeafHint leaves[]; /* behind them the tags of all, of each a multiple of TAGS_AT_ONCE */
} ProllyHints;

static inline uint8_t *get_tags(ProllyHints *self, const LeafHint *leaf)
{
	return (uint8_t *)(self->leaves + self->count) + leaf->start;
}

/* ---- Tags -------------------------------------------------------------------------------- */

/* Of a key of LEN bytes whose last 16, or zeros and all of it, are TAIL: they differ where keys do, as
 * often as any. */
static inline uint8_t make_tag(const uint8_t *tail, size_t len)
{
	uint64_t hash = (prolly_get_le64(tail) ^ len) * 0x9e3779b97f4a7c15u;

	hash ^= prolly_get_le64(tail + 8);
	hash ^= hash >> 29;
	return (uint8_t)(hash * 0xd6e8feb86659fd93u >> 56);
}

static inline uint8_t make_tag_of_key(const uint8_t *key, size_t len)
{
	uint8_t tail[TAIL] = {0};

	if (G_LIKELY(len >= TAIL))
		return make_tag(key + len - TAIL, len);
	memcpy(tail + TAIL - len, key, len);
	return make_tag(tail, len);
}

static uint8_t make_tag_of_entry(const ProllyNodeView *view, uint32_t i)
{
	ProllyNodeKey key = node_get_key(view, i);
	uint8_t tail[TAIL] = {0};
	size_t from_suffix = MIN(key.suffix_len, TAIL);
	size_t from_prefix = MIN(key.prefix_len, TAIL - from_suffix);

	memcpy(tail + TAIL - from_suffix, key.suffix + key.suffix_len - from_suffix, from_suffix);
	memcpy(tail + TAIL - from_suffix - from_prefix, key.prefix + key.prefix_len - from_prefix,
	       from_prefix);
	return make_tag(tail, key.prefix_len + key.suffix_len);
}

static inline uint32_t round_up(uint32_t n)
{
	return (n + TAGS_AT_ONCE - 1) & ~(TAGS_AT_ONCE - 1);
}

/* The first of TAGS [FROM, N) that is TAG; N if none is. There are as many as round_up(N) says. */
static inline uint32_t find_tag(const uint8_t *tags, uint32_t from, uint32_t n, uint8_t tag)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t wanted = UINT64_MAX << 8 * (from % TAGS_AT_ONCE);

	for (uint32_t i = from - from % TAGS_AT_ONCE; i < n; i += TAGS_AT_ONCE) {
		uint64_t other = (prolly_get_le64(tags + i) ^ ones * tag) | ~wanted;
		/* The lowest bit set is in the lowest byte that is 0. */
		uint64_t zero = (other - ones) & ~other & ones << 7;

		if (zero)
			return MIN(n, i + (uint32_t)__builtin_ctzll(zero) / 8);
		wanted = UINT64_MAX;
	}
	return n;
}

/* ---- A leaf, as its hint has it ---------------------------------------------------------- */

/* Places in the leaf's bytes: both arrays of ends have two bytes an entry. */
typedef struct {
	size_t key_ends, value_ends, suffixes, values;
} Places;

static inline Places get_places(const LeafHint *hint)
{
	Places places = {.key_ends = TREE_NODE_HEADER};

	places.value_ends = places.key_ends + 2 * (size_t)hint->n;
	places.suffixes = places.value_ends + 2 * (size_t)hint->n + hint->prefix_len;
	places.values = places.suffixes + hint->suffixes_len;
	return places;
}

/* Has the processor load what it takes to look at entry I of the leaf of HINT, whose node is at NODE or
 * was. */
static inline void prefetch_entry(const LeafHint *hint, const uint8_t *node, uint32_t i)
{
	const uint8_t *data = node + hint->data_place;
	Places places = get_places(hint);

	__builtin_prefetch(node);
	__builtin_prefetch(data + places.values + (size_t)i * hint->value_len);
	__builtin_prefetch(data + places.suffixes - hint->prefix_len);
	__builtin_prefetch(data + places.suffixes + (size_t)i * hint->suffix_len);
	if (!(hint->flags & SAME_SUFFIXES))
		__builtin_prefetch(data + places.key_ends + 2 * (size_t)i);
	if (!(hint->flags & SAME_VALUES))
		__builtin_prefetch(data + places.value_ends + 2 * (size_t)i);
	/* gcc takes a function that does no more for one that does nothing, and leaves out its call. */
	__asm__ volatile("");
}

/* Piece I of those at START: all are LEN long, or LEN is 0 and they end at ENDS. */
static inline const uint8_t *get_piece(const uint8_t *data, size_t len, size_t ends, size_t start,
				       uint32_t i, size_t *out_len)
{
	size_t from = (size_t)i * len;

	if (len == 0)
		from = i ? prolly_get_le16(data + ends + 2 * (size_t)(i - 1)) : 0;
	*out_len = len ? len : prolly_get_le16(data + ends + 2 * (size_t)i) - from;
	return data + start + from;
}

/* ---- Asking ------------------------------------------------------------------------------ */

ProllyHintAnswer prolly_hint_ask(const ProllyTreeContext *context, const ProllyNodeView *view,
				 uint32_t i, const uint8_t *key, size_t len, ProllyHint *out_hint)
{
	ProllyHints *self = __atomic_load_n(&node_get_hint_slot(view)->hints, __ATOMIC_ACQUIRE);
	const uint8_t *place = prolly_store_get_link_place(node_get_link(view, i));
	const LeafHint *hint;

	if (!self || self->weigh != context->format->weigh || !place)
		return PROLLY_HINT_NONE;
	hint = &self->leaves[i];
	if (__atomic_load_n(&hint->state, __ATOMIC_ACQUIRE) != STATE_MADE)
		return PROLLY_HINT_NONE;
	out_hint->leaf = hint;
	out_hint->tags = get_tags(self, hint);
	out_hint->tag = make_tag_of_key(key, len);
	out_hint->entry = find_tag(out_hint->tags, 0, hint->n, out_hint->tag);
	if (out_hint->entry == hint->n || len < hint->prefix_len)
		return PROLLY_HINT_ABSENT;
	prefetch_entry(hint, place, out_hint->entry);
	return PROLLY_HINT_PERHAPS;
}

/* Does entry I of the leaf of HINT, whose bytes are DATA, have the key that ends with the LEN bytes
 * REST, behind the prefix? */
static inline bool has_key(const LeafHint *hint, const Places *places, const uint8_t *data,
			   uint32_t i, const uint8_t *rest, size_t len)
{
	size_t suffix_len, same = hint->flags & SAME_SUFFIXES ? hint->suffix_len : 0;
	const uint8_t *suffix =
		get_piece(data, same, places->key_ends, places->suffixes, i, &suffix_len);

	return suffix_len == len && memcmp(suffix, rest, len) == 0;
}

ProllyHintAnswer prolly_hint_take(const ProllyTreeContext *context, const ProllyNodeView *view,
				  uint32_t i, const uint8_t *key, size_t len,
				  const ProllyHint *asked, ProllyValueRef *out_value)
{
	const LeafHint *hint = asked->leaf;
	Places places = get_places(hint);
	uint32_t entry = asked->entry;
	size_t data_len, same = hint->flags & SAME_VALUES ? hint->value_len : 0;
	ProllyNode *node = prolly_store_take(context->store, node_get_link(view, i),
					     node_get_child_hash(view, i));
	const uint8_t *data;

	if (!node)
		return PROLLY_HINT_NONE;
	data = prolly_node_get_bytes(node, &data_len);
	if (memcmp(data + places.suffixes - hint->prefix_len, key, hint->prefix_len) != 0)
		entry = hint->n;
	while (entry < hint->n &&
	       !has_key(hint, &places, data, entry, key + hint->prefix_len, len - hint->prefix_len))
		entry = find_tag(asked->tags, entry + 1, hint->n, asked->tag);
	if (entry == hint->n) {
		prolly_node_unref(node);
		return PROLLY_HINT_ABSENT;
	}
	out_value->data =
		get_piece(data, same, places.value_ends, places.values, entry, &out_value->len);
	out_value->node = node;
	return PROLLY_HINT_FOUND;
}

/* ---- Taking note ------------------------------------------------------------------------- */

static size_t compute_size(const ProllyNodeView *view)
{
	size_t size = sizeof(ProllyHints) + view->count * sizeof(LeafHint);

	for (uint32_t i = 0; i < view->count; i++)
		size += round_up((uint32_t)node_get_child_keys(view, i));
	return size;
}

/* (transfer full) (nullable) Hints that know nothing as yet of the leaves below VIEW; NULL: it can do
 * without, as where there is no memory. */
static ProllyHints *new_hints(const ProllyNodeView *view, ProllyWeighFunc weigh)
{
	uint64_t most = MIN(UINT16_MAX, MOST_TAGS * view->count);
	ProllyHints *self;
	uint32_t start = 0;

	/* Leaves that nobody has seen have as many keys as this node says: up to 2^64 together. */
	if (view->keys > most || view->keys + view->count * TAGS_AT_ONCE > most)
		return NULL;
	self = g_try_malloc0(compute_size(view));
	if (!self)
		return NULL;
	self->weigh = weigh;
	self->count = view->count;
	for (uint32_t i = 0; i < view->count; i++) {
		self->leaves[i].start = (uint16_t)start;
		self->leaves[i].n = (uint16_t)node_get_child_keys(view, i);
		start += round_up(self->leaves[i].n);
	}
	return self;
}

/* Look-ups that are lost count by threads that count at the same time are few. */
static bool is_visited_enough(ProllyHintSlot *slot, const ProllyNodeView *view)
{
	uint64_t visits = __atomic_load_n(&slot->visits, __ATOMIC_RELAXED);

	__atomic_store_n(&slot->visits, visits + 1, __ATOMIC_RELAXED);
	return visits >= (uint64_t)VISITS_A_LEAF * view->count;
}

/* (nullable) Those of NODE, which are made if it is time. */
static ProllyHints *get_hints(ProllyNode *node, const ProllyNodeView *view, ProllyWeighFunc weigh)
{
	ProllyHintSlot *slot = node_get_hint_slot(view);
	ProllyHints *present = __atomic_load_n(&slot->hints, __ATOMIC_ACQUIRE), *self;

	if (present || !is_visited_enough(slot, view))
		return present;
	self = new_hints(view, weigh);
	if (!self)
		return NULL;
	if (!__atomic_compare_exchange_n(&slot->hints, &present, self, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		g_free(self);
		return present;
	}
	prolly_node_add_to_view(node, compute_size(view));
	return self;
}

/* The mean length of N pieces that end at ENDS; and whether all have it. */
static uint16_t get_mean(const ProllyNodeView *view, uint32_t ends, uint32_t n, bool *out_same)
{
	uint32_t mean = node_end(view, ends, n - 1) / n;

	*out_same = true;
	for (uint32_t i = 0; i < n; i++)
		*out_same &= node_end(view, ends, i) == (i + 1) * mean;
	return (uint16_t)mean;
}

/* PLACE: where LEAF's node is. */
static void make_hint(LeafHint *hint, uint8_t *tags, const uint8_t *place,
		      const ProllyNodeView *leaf)
{
	bool same_suffixes, same_values;

	hint->data_place = (uint16_t)(leaf->data - place);
	hint->prefix_len = (uint16_t)leaf->prefix_len;
	hint->suffixes_len = (uint16_t)(leaf->values - leaf->suffixes);
	hint->suffix_len = get_mean(leaf, leaf->key_ends, leaf->count, &same_suffixes);
	hint->value_len = get_mean(leaf, node_get_value_ends(leaf), leaf->count, &same_values);
	hint->flags = (same_suffixes ? SAME_SUFFIXES : 0) | (same_values ? SAME_VALUES : 0);
	for (uint32_t i = 0; i < leaf->count; i++)
		tags[i] = make_tag_of_entry(leaf, i);
}

/* Takes HINT, of LEAF, from NONE to MAKING; false: somebody did before, or there will be none. */
static bool begin_hint(LeafHint *hint, const ProllyNodeView *leaf)
{
	uint8_t state = __atomic_load_n(&hint->state, __ATOMIC_RELAXED);
	uint8_t next = leaf->len > UINT16_MAX ? STATE_NEVER : STATE_MAKING;

	return state == STATE_NONE &&
	       __atomic_compare_exchange_n(&hint->state, &state, next, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED) &&
	       next == STATE_MAKING;
}

void prolly_hint_note(const ProllyTreeContext *context, ProllyNode *node,
		      const ProllyNodeView *view, uint32_t i, const ProllyNodeView *leaf)
{
	const uint8_t *place = prolly_store_get_link_place(node_get_link(view, i));
	ProllyHints *self = place ? get_hints(node, view, context->format->weigh) : NULL;
	LeafHint *hint;

	if (!self || self->weigh != context->format->weigh)
		return;
	hint = &self->leaves[i];
	if (begin_hint(hint, leaf)) {
		make_hint(hint, get_tags(self, hint), place, leaf);
		__atomic_store_n(&hint->state, STATE_MADE, __ATOMIC_RELEASE);
	}
}
