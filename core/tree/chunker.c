/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunker: entries in, nodes out, level by level. The canonical form lives here.
 *
 * The boundary rule. A node is closed after an entry, never inside one. Its measure s is the sum
 * over its entries so far of the key's whole length and the value's (TREE_CHILD_SIZE for a child).
 * For an entry that takes s from s0 to s1, and e the low 32 bits of XXH3-64(key, seed of the level),
 * in this order:
 *
 *	internal node, first entry    no cut
 *	s1 >= max                     cut
 *	s1 <  min                     no cut
 *	else                          cut if and only if e / 2^32 < (s1^4 - s0^4) / L^4
 *
 * where L = 2^scale_shift and the comparison is exact, of integers: e * 2^(4 * scale_shift - 32)
 * against s1^4 - s0^4, the power going to the other side where it is negative. (s1 < max <= 2^16,
 * so s^4 is within 64 bits; scale_shift <= 16, so e's product is too.) The chance of a cut grows
 * with the cube of the size, which is a Weibull distribution of shape 4: with the defaults nodes
 * have 3.7 KB in the mean, with a coefficient of variation of 0.27, and both limits are all but
 * never met. Rejected, with figures in bytes rewritten by an insert (12.4 KB here): a constant
 * chance for each entry (40 KB) or each byte (17 KB), a rolling hash over bytes (moves boundaries
 * with values, and 30 times the time), the same distribution through expm1 (floating point, 16 ns
 * against 4).
 *
 * Why any order of edits gives the same tree: whether there is a cut after an entry depends on
 * nothing but the level, the parameters and the entries since the last cut. So the leaves are a
 * function of the sorted contents; each level's entries are a function of the nodes below; and the
 * root is the lowest level that has one node. The last node of a level ends because nothing
 * follows, so it may be shorter than min, hold a single child, or happen to end with a cut. That the
 * value's bytes have no part in the rule, only its length, keeps an update in place from moving a
 * boundary.
 *
 * Keys being up to 64 KiB and values up to 1 MiB, a node is at most max plus one entry long, or two
 * children: without the exception for the first child, keys longer than max would make levels of
 * nodes of one child for ever.
 *
 * The chunker holds one draft a level (C1), and hands a closed node's key, hash and counts to the
 * level above as an entry. mutate.c also gives it ranges of nodes that exist: of a leaf, entries;
 * of an internal node, subtrees that are taken by reference. That is right exactly where all levels
 * below are between two nodes, since a node follows from where it begins (C2). While a draft is the
 * first entries of an old node (draft.c), but for values as long, the rule's answers are known: no
 * cut but, perhaps, after its last entry; and if it becomes the whole of it and no value is
 * another, its hash is known too (C3).
 *
 * Invariants:
 * C1  Every entry added so far is in exactly one closed node or draft of its level.
 * C2  Entries are added to level N > 0 from outside only while the drafts below N are empty.
 * C3  A draft that has a source is as draft.c says; any draft may lose it, and then copies it.
 * C4  The topmost level has a draft and no closed node, since closing a node makes the level above.
 * C5  Of each closed node that waits for its hash, the parent is a draft or waits too, on the level
 *     above. All entries but of those that wait have their hashes.
 * C6  Every closed node waits or was put.
 *
 * Many nodes are hashed together in less time than one by one (hash-lanes.c, hash-wide.c), so a
 * closed node waits for others of its level. Nothing but a hash depends on a hash: the rule does not
 * look at it, and its place in the parent is known, so building goes on, and the hash is filled in
 * where its entry is by then. A level's nodes are hashed when there are many, after those below.
 * The one edit of a tree is a chain and nothing else, hashed at the end, beside each node what comes
 * in its ancestors before the hash that they wait for; of a batch, a load and a merge all but a few
 * are hashed many at once. And where a put looks is asked for when a hash is known: the processor has
 * loaded it by then. That look was an eighth of an edit.
 *
 * Of a million entries, in memory, on Zen 5, where pairs of nodes were hashed and where up to 32 are:
 * of a batch of 100 an edit takes 11.6 and 9.8 us, of 1000 9.1 and 7.7 us, of a load an entry 170 and
 * 150 ns. Of 16 at a time some end long before the others, and their lanes are idle; of 64 few are: a
 * load's entry then takes 72 ns, and 79 with 16 (of 200,000, which fit into large pages).
 */
#include "base/memory.h"
#include "tree/draft-private.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* So many nodes of a level wait at most. */
#define WAITING_MAX PROLLY_HASH_TOGETHER

#define SPARE_MAX (1 << 20) /* bytes of buffers in a chunker that is kept */

/* A closed node without a hash. */
typedef struct {
	ProllyNode *node;
	ProllyNode *parent; /* that waits too; NULL: the draft of the level above */
	uint32_t index;     /* of its entry there */
} Waiting;

typedef struct {
	DraftBuilder draft;
	unsigned n_waiting;
	unsigned n_owned; /* of them the first, whose parent is closed */
	Waiting waiting[WAITING_MAX];
} ChunkerLevel;

/* A node that may be a draft's source. */
typedef struct {
	ProllyNode *node; /* borrowed, nullable */
	const ProllyNodeView *view;
} Offer;

struct ProllyChunker {
	const ProllyTreeContext *context;
	bool ordered; /* entries of leaves come in order */
	unsigned n_levels;
	unsigned n_started; /* levels that have buffers, in use or not */
	ChunkerLevel levels[TREE_LEVELS_MAX];
	Offer offers[TREE_LEVELS_MAX];
};

/* ---- The rule ---------------------------------------------------------------------------- */

static uint64_t fourth_power(uint64_t s)
{
	return s * s * (s * s);
}

bool prolly_chunker_is_boundary(const ProllyFormat *format, unsigned level, uint64_t s0,
				uint64_t s1, const uint8_t *key, size_t len)
{
	int shift = 4 * (int)format->parameters.scale_shift - 32;
	uint64_t hazard, e;

	if (s1 >= format->parameters.max)
		return true;
	if (s1 < format->parameters.min)
		return false;
	hazard = fourth_power(s1) - fourth_power(s0);
	e = (uint32_t)XXH3_64bits_withSeed(key, len, format->seeds[level]);
	if (shift >= 0)
		return e << shift < hazard;
	/* e < 2^32, so a greater hazard is one without the shift, and a smaller fits with it. */
	return hazard > UINT32_MAX || e < hazard << -shift;
}

/* ---- Closing nodes ----------------------------------------------------------------------- */

static bool throw_unordered(GError **error)
{
	return prolly_throw(error, PROLLY_ERROR_CORRUPT, "tree: its keys do not ascend");
}

static ChunkerLevel *get_level(ProllyChunker *self, unsigned number)
{
	while (self->n_levels <= number) {
		if (self->n_levels == self->n_started)
			prolly_draft_init(&self->levels[self->n_started++].draft, self->n_levels);
		self->n_levels++;
	}
	return &self->levels[number];
}

/* Fills in a child's hash, and how to get to it, in its parent. */
static void set_child(ProllyChunker *self, const Waiting *child)
{
	const ProllyNodeView *view = prolly_node_get_view(child->parent);

	prolly_node_set_child_hash(child->parent, child->index, prolly_node_get_hash(child->node));
	if (view)
		prolly_store_link(self->context->store, node_get_link(view, child->index),
				  child->node);
}

/* The hash of a node is known: it goes to who waits for it. */
static void tell_parent(ProllyChunker *self, unsigned number, const Waiting *waiting)
{
	const ProllyHash *hash = prolly_node_get_hash(waiting->node);

	if (waiting->parent)
		set_child(self, waiting);
	else
		draft_set_child_hash(&self->levels[number + 1].draft, waiting->index, hash);
}

static void drop_waiting(ChunkerLevel *level)
{
	for (unsigned i = 0; i < level->n_waiting; i++)
		prolly_store_drop_node(level->waiting[i].node);
	level->n_waiting = 0;
	level->n_owned = 0;
}

/* Puts what waited on level NUMBER, and has its hash now. */
static bool put_waiting(ProllyChunker *self, unsigned number, GError **error)
{
	ChunkerLevel *level = &self->levels[number];

	for (unsigned i = 0; i < level->n_waiting; i++) {
		if (!prolly_store_put_hashed(self->context->store,
					     g_steal_pointer(&level->waiting[i].node), error))
			return false;
	}
	level->n_waiting = 0;
	level->n_owned = 0;
	return true;
}

/* Hashes and puts all that waits on level NUMBER, on what nothing below does (C5). */
static bool hash_level(ProllyChunker *self, unsigned number, GError **error)
{
	const ChunkerLevel *level = &self->levels[number];
	ProllyNode *nodes[WAITING_MAX];

	if (level->n_waiting == 0)
		return true;
	for (unsigned i = 0; i < level->n_waiting; i++)
		nodes[i] = level->waiting[i].node;
	prolly_store_hash_many(self->context->store, nodes, level->n_waiting);
	for (unsigned i = 0; i < level->n_waiting; i++)
		tell_parent(self, number, &level->waiting[i]);
	return put_waiting(self, number, error);
}

/* How many levels from NUMBER up have one node that waits, each in the next? */
static unsigned count_chain(const ProllyChunker *self, unsigned number)
{
	unsigned n = 0;

	while (number + n < self->n_levels) {
		const ChunkerLevel *level = &self->levels[number + n];

		if (level->n_waiting != 1 ||
		    (n > 0 && level[-1].waiting[0].parent != level->waiting[0].node))
			break;
		n++;
	}
	return n;
}

/* The N lowest of the nodes that wait are a chain from level NUMBER up. */
static bool hash_chain(ProllyChunker *self, unsigned number, unsigned n, GError **error)
{
	ProllyNode *nodes[TREE_LEVELS_MAX];
	size_t ats[TREE_LEVELS_MAX];

	for (unsigned i = 0; i < n; i++)
		nodes[i] = self->levels[number + i].waiting[0].node;
	ats[0] = 0;
	for (unsigned i = 1; i < n; i++)
		ats[i] = prolly_node_find_child_hash(nodes[i],
						     self->levels[number + i - 1].waiting[0].index);
	prolly_store_hash_chain(self->context->store, nodes, ats, n);
	tell_parent(self, number + n - 1, &self->levels[number + n - 1].waiting[0]);
	for (unsigned i = 0; i < n; i++) {
		if (!put_waiting(self, number + i, error))
			return false;
	}
	return true;
}

/* Hashes and puts all that waits below LEVELS. */
static bool drain(ProllyChunker *self, unsigned levels, GError **error)
{
	for (unsigned i = 0; i < levels; i++) {
		unsigned chain = MIN(count_chain(self, i), levels - i);

		if (chain > 1 ? !hash_chain(self, i, chain, error) : !hash_level(self, i, error))
			return false;
		i += chain > 1 ? chain - 1 : 0;
	}
	return true;
}

/* What waits below NODE, which is closed now. */
static void own_waiting(ProllyChunker *self, unsigned number, ProllyNode *node)
{
	ChunkerLevel *below = &self->levels[number - 1];

	for (; below->n_owned < below->n_waiting; below->n_owned++)
		below->waiting[below->n_owned].parent = node;
}

/* NODE (transfer full), the next child of the level above, waits for its hash. */
static void await_hash(ProllyChunker *self, unsigned number, ProllyNode *node)
{
	ChunkerLevel *level = &self->levels[number];

	level->waiting[level->n_waiting++] = (Waiting){
		.node = node,
		.index = get_level(self, number + 1)->draft.draft.count,
	};
}

/* Makes a node of the draft, whose hash is to come; or names the old one that it equals. */
static bool close_node(ProllyChunker *self, unsigned number, ProllyHash *out_hash, GError **error)
{
	const DraftBuilder *draft = &self->levels[number].draft;
	ProllyNode *node;

	if (draft->source && draft->n_patched == 0) {
		*out_hash = *prolly_node_get_hash(draft->source);
		return true;
	}
	node = prolly_draft_encode(draft, self->context, error);
	if (!node)
		return false;
	if (number > 0)
		own_waiting(self, number, node);
	await_hash(self, number, node);
	*out_hash = (ProllyHash){{0}};
	return true;
}

/* Does the draft of NUMBER go on as its source does, with an entry of KEY and VALUE? An empty draft may
 * begin as the node that is offered. */
static inline bool patch_draft(ProllyChunker *self, unsigned number, const ProllyNodeKey *key,
			       const void *value, size_t value_len)
{
	DraftBuilder *draft = &self->levels[number].draft;
	const Offer *offer = &self->offers[number];

	if (!draft->source && offer->node && draft->draft.count == 0)
		prolly_draft_follow(draft, offer->node, offer->view);
	return draft->source && prolly_draft_patch(draft, key, value, value_len);
}

static inline bool append_plainly(ProllyChunker *self, DraftBuilder *draft, const DraftEntry *entry,
				  bool ordered, GError **error)
{
	if (draft->source && !prolly_draft_write_out(draft, self->context->format->weigh, error))
		return false;
	if (!ordered && !prolly_draft_ascends(draft, &entry->key))
		return throw_unordered(error);
	return draft_append(draft, entry, error);
}

/* Is the draft of NUMBER to be cut after what was appended last? */
static inline bool must_cut(ProllyChunker *self, unsigned number)
{
	DraftBuilder *builder = &self->levels[number].draft;
	const ProllyDraft *draft = &builder->draft;
	uint32_t last = draft->count - 1;
	size_t start, key_len, value_len;

	if (builder->source)
		return draft_is_whole(builder) &&
		       prolly_draft_must_cut_source(builder, self->context->format);
	if (number > 0 && last == 0)
		return false;
	start = draft_key_start(draft, last);
	key_len = draft->ends[last].key_end - start;
	value_len = draft->ends[last].value_end - draft_value_start(draft, last);
	return prolly_chunker_is_boundary(self->context->format, number,
					  builder->measure - key_len - value_len, builder->measure,
					  draft->keys + start, key_len);
}

/* Appends a closed node of level NUMBER to its parent: KEY is its last. *OUT_CUT: the parent is to
 * be cut now. */
static bool add_to_parent(ProllyChunker *self, unsigned number, const ProllyNodeKey *key,
			  const ProllyChildRecord *record, bool *out_cut, GError **error)
{
	ChunkerLevel *parent = get_level(self, number + 1);
	DraftEntry entry = {
		.key = *key,
		.value = record,
		.value_len = sizeof(*record),
		.keys = record->keys,
		.bytes = record->bytes,
	};

	if (!patch_draft(self, number + 1, key, record, sizeof(*record)) &&
	    !append_plainly(self, &parent->draft, &entry, false, error))
		return false;
	*out_cut = must_cut(self, number + 1);
	return true;
}

/* What is needed of a draft that ends. */
static bool complete_draft(ProllyChunker *self, DraftBuilder *draft, GError **error)
{
	ProllyWeighFunc weigh = self->context->format->weigh;

	return draft_is_whole(draft) ? prolly_draft_sum(draft, weigh, error)
				     : prolly_draft_write_out(draft, weigh, error);
}

/* Ends the draft of NUMBER, which is not empty, and gives it to the level above. *OUT_CUT: that one
 * is to be cut now. */
static bool close_draft(ProllyChunker *self, unsigned number, bool *out_cut, GError **error)
{
	ChunkerLevel *level = &self->levels[number];
	DraftBuilder *draft = &level->draft;
	ProllyChildRecord record;
	ProllyNodeKey key;

	if (number + 1 == TREE_LEVELS_MAX)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG, "tree: more than %d levels",
				    TREE_LEVELS_MAX);
	if (!complete_draft(self, draft, error))
		return false;
	record = (ProllyChildRecord){.keys = draft->draft.total_keys,
				     .bytes = draft->draft.total_bytes};
	key = prolly_draft_get_last_key(draft);
	if (!close_node(self, number, &record.hash, error) ||
	    !add_to_parent(self, number, &key, &record, out_cut, error))
		return false;
	prolly_draft_empty(draft);
	return level->n_waiting < WAITING_MAX || drain(self, number + 1, error);
}

/* Closes the draft of NUMBER, and those above that this fills. */
static bool cut(ProllyChunker *self, unsigned number, GError **error)
{
	bool more = true;

	while (more) {
		if (!close_draft(self, number, &more, error))
			return false;
		number++;
	}
	return true;
}

/* ---- Adding ------------------------------------------------------------------------------ */

/*
 * The format keeps one chunker that was used, so that an edit need not get and clear buffers for
 * every level: they are more than the nodes it makes, and would go to the system and come back.
 */
ProllyChunker *prolly_chunker_new(const ProllyTreeContext *context, bool ordered, GError **error)
{
	ProllyChunker *self =
		__atomic_exchange_n(&context->format->spare_chunker, NULL, __ATOMIC_ACQ_REL);

	if (!self)
		self = prolly_try_new0(ProllyChunker, 1, "making a tree", error);
	if (!self)
		return NULL;
	self->context = context;
	self->ordered = ordered;
	get_level(self, 0);
	return self;
}

static void destroy(ProllyChunker *self)
{
	for (unsigned i = 0; i < self->n_started; i++)
		prolly_draft_clear(&self->levels[i].draft);
	g_free(self);
}

/* Is it worth keeping, and not swollen by long values? */
static bool is_handy(const ProllyChunker *self)
{
	size_t size = 0;

	for (unsigned i = 0; i < self->n_started; i++)
		size += self->levels[i].draft.keys_capacity + self->levels[i].draft.values_capacity;
	return size <= SPARE_MAX;
}

void prolly_chunker_free(ProllyChunker *self)
{
	ProllyFormat *format;
	ProllyChunker *none = NULL;

	if (!self)
		return;
	format = self->context->format;
	for (unsigned i = 0; i < self->n_levels; i++) {
		prolly_draft_empty(&self->levels[i].draft);
		drop_waiting(&self->levels[i]);
	}
	self->n_levels = 0;
	if (!is_handy(self) ||
	    !__atomic_compare_exchange_n(&format->spare_chunker, &none, self, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		destroy(self);
}

void prolly_chunker_destroy_spare(ProllyFormat *format)
{
	if (format->spare_chunker)
		destroy(format->spare_chunker);
}

bool prolly_chunker_add(ProllyChunker *self, const uint8_t *key, size_t key_len,
			const uint8_t *value, size_t value_len, GError **error)
{
	DraftBuilder *draft = &self->levels[0].draft;
	DraftEntry entry = {
		.key = {key, key_len, key, 0},
		.value = value,
		.value_len = value_len,
		.keys = 1,
	};

	if (__builtin_add_overflow(format_weigh(self->context->format->weigh, value, value_len),
				   key_len, &entry.bytes))
		return prolly_draft_throw_overflow(error);
	if (!patch_draft(self, 0, &entry.key, value, value_len) &&
	    !append_plainly(self, draft, &entry, self->ordered, error))
		return false;
	return !must_cut(self, 0) || cut(self, 0, error);
}

void prolly_chunker_offer(ProllyChunker *self, unsigned level, ProllyNode *node,
			  const ProllyNodeView *view)
{
	self->offers[level] = (Offer){node, view};
}

/* Does the draft go on as its source, NODE, does from FROM on; or is it empty, and may begin so? */
static bool can_follow(DraftBuilder *draft, ProllyNode *node, const ProllyNodeView *view,
		       uint32_t from)
{
	if (!draft->source && draft->draft.count == 0 && from == 0)
		prolly_draft_follow(draft, node, view);
	return draft->source_view == view && draft->draft.count == from;
}

bool prolly_chunker_add_range(ProllyChunker *self, ProllyNode *node, const ProllyNodeView *view,
			      uint32_t from, uint32_t to, GError **error)
{
	ProllyWeighFunc weigh = self->context->format->weigh;
	DraftBuilder *draft;

	if (from >= to)
		return true;
	draft = &get_level(self, view->level)->draft;
	if (can_follow(draft, node, view, from)) {
		draft->draft.count = to;
		return !must_cut(self, view->level) || cut(self, view->level, error);
	}
	for (uint32_t i = from; i < to; i++) {
		ProllyChildRecord record;
		DraftEntry entry = prolly_draft_read_entry(view, i, weigh, &record);

		if (!append_plainly(self, draft, &entry, i > from, error))
			return false;
		if (must_cut(self, view->level) && !cut(self, view->level, error))
			return false;
	}
	return true;
}

bool prolly_chunker_add_leaf(ProllyChunker *self, const uint8_t *key, size_t key_len,
			     const ProllyChildRecord *leaf, GError **error)
{
	ProllyNodeKey whole = {key, key_len, key, 0};
	bool more;

	return add_to_parent(self, 0, &whole, leaf, &more, error) && (!more || cut(self, 1, error));
}

bool prolly_chunker_add_new_leaf(ProllyChunker *self, ProllyNode *leaf, const uint8_t *key,
				 size_t key_len, const ProllyChildRecord *record, GError **error)
{
	ChunkerLevel *level = get_level(self, 0);

	await_hash(self, 0, leaf);
	return prolly_chunker_add_leaf(self, key, key_len, record, error) &&
	       (level->n_waiting < WAITING_MAX || drain(self, 1, error));
}

bool prolly_chunker_is_aligned(const ProllyChunker *self, unsigned levels)
{
	for (unsigned i = 0; i < MIN(levels, self->n_levels); i++) {
		if (self->levels[i].draft.draft.count > 0)
			return false;
	}
	return true;
}

/* ---- Finishing --------------------------------------------------------------------------- */

/* A subtree that was taken over may be a chain of only children on top of the root. */
static bool descend_to_root(const ProllyTreeContext *context, ProllyTree *tree, GError **error)
{
	while (true) {
		const ProllyNodeView *view;
		g_autoptr(ProllyNode) node = prolly_path_load_top(context, tree, &view, error);

		if (!node)
			return false;
		if (view->level == 0 || view->count > 1)
			return true;
		tree->top = *node_get_child_hash(view, 0);
	}
}

/* The tree of the only child that the topmost draft has. */
static bool finish_with_child(ProllyChunker *self, bool is_root, ProllyTree *out_tree,
			      GError **error)
{
	DraftBuilder *draft = &self->levels[self->n_levels - 1].draft;
	ProllyChildRecord record;
	ProllyTree tree;

	if (!prolly_draft_write_out(draft, self->context->format->weigh, error))
		return false;
	memcpy(&record, draft->draft.values, sizeof(record));
	tree = (ProllyTree){record.hash, record.keys, record.bytes};
	if (!is_root && !descend_to_root(self->context, &tree, error))
		return false;
	*out_tree = tree;
	return true;
}

/*
 * From the leaves up: what is not closed is the last node of its level. The topmost level's draft
 * (C4) with a single child is not a node but shows that the level below has only one. That one is
 * the root if it was closed here as the topmost level of then; if it was taken over, it may be what
 * is left of a level, with one child.
 */
bool prolly_chunker_finish(ProllyChunker *self, ProllyTree *out_tree, GError **error)
{
	bool is_root = false;

	if (self->n_levels == 1 && self->levels[0].draft.draft.count == 0)
		return prolly_tree_init_empty(self->context, out_tree, error);
	for (unsigned i = 0;; i++) {
		const ProllyDraft *draft = &self->levels[i].draft.draft;
		bool top = i + 1 == self->n_levels;

		if (top && i > 0 && draft->count == 1)
			return drain(self, self->n_levels, error) &&
			       finish_with_child(self, is_root, out_tree, error);
		is_root = top;
		if (draft->count > 0 && !cut(self, i, error))
			return false;
	}
}
