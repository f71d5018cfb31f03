/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference of two trees, as a stream of changes in key order.
 *
 * Each side has a *front*: the item at which it stands, either an entry of a leaf or a subtree that
 * was not read, with everything before it done. Level 0 means an entry, level N a subtree under an
 * entry of a node of level N. A step looks at both items, of which X has the higher level:
 *
 *	equal subtrees               both are passed
 *	X a subtree, not in Y        X is opened: its front becomes its first child or entry
 *	X a subtree that Y has too   what Y has before it is in Y only: Y's item is opened or reported
 *	two entries                  the smaller key is reported; of equal keys, different values
 *
 * Equal hash, equal contents: so what is passed has no changes. And only what is on one side alone
 * is opened, so that no subtree that both have is ever read, however inserts and deletes have
 * shifted it. To see that Y has X is a search for X's key in Y's frame of X's level, which is in
 * memory. If that frame ends before X's key, the search goes on above and down again; a node Q on
 * that way is read only if X's side has not got it (the same question, one level up). It is right to
 * answer "no" if both have Q: X is not part of Q on its own side, where X's parent is open and Q is
 * not.
 *
 * Memory is two paths. A range is a seek at the start and a comparison as items are passed.
 *
 * Between two changes most is equal, and is passed in runs: children by their hashes, in one loop;
 * entries by the lengths and then all the bytes of several, in two comparisons (the plain way is
 * equal_entries, which sees to the first behind a change). And what is read lies all over memory,
 * but which nodes will be next is known: when two subtrees are opened, the next two that differ are
 * asked for. Of trees of a million entries, a diff of 1, 100 and 1,000 changes took 1.7, 110 and
 * 2,500 us without all that, and takes 0.95, 67 and 1,300, of which the last is as fast as memory
 * gives the leaves. To ask for the whole of a leaf and not its first 900 bytes was not faster.
 *
 * Rejected: comparing the two leaf streams and skipping where parents match (reads every leaf
 * between a change and the next alignment); level-by-level lists of differing nodes (memory of all
 * changes).
 *
 * Invariants:
 * D1  Of each side everything before its front was compared or is known to be equal.
 * D2  frames[i] with i > level is open: its index is that of the node in frames[i - 1].
 * D3  If X is `shared`, Y has the same subtree, at its front or behind it.
 */
#include "tree/tree-private.h"

/* Bytes compared in one call; and how many times more entries are after those that were equal. */
#define STRIDE    128
#define GO_FACTOR 4

typedef struct {
	ProllyTree tree;
	unsigned height; /* 0: the top is not loaded */
	unsigned level;  /* the front is the entry at frames[level].index */
	bool ended;
	bool shared;      /* D3 */
	bool passed_once; /* nothing before the lower limit is left to skip */
	ProllyPathFrame frames[TREE_LEVELS_MAX];
} Side;

struct ProllyDiff {
	ProllyTreeContext context;
	Side a, b;
	bool started;
	bool pass_a, pass_b;   /* the last change is of these fronts */
	GBytes *lower, *upper; /* nullable */
	GByteArray *key;
};

/* ---- Fronts ------------------------------------------------------------------------------ */

static ProllyPathFrame *get_frame(Side *side)
{
	return &side->frames[side->level];
}

static int compare_bound(const ProllyNodeView *view, uint32_t i, GBytes *bound)
{
	size_t len;
	const uint8_t *key = key_or_empty(g_bytes_get_data(bound, &len));

	return prolly_node_compare_key(view, i, key, len);
}

/* Goes up while the front is behind a node's last entry. */
static void settle(Side *side)
{
	side->shared = false;
	while (get_frame(side)->index >= get_frame(side)->view->count) {
		if (side->level + 1 >= side->height) {
			side->ended = true;
			return;
		}
		side->level++;
		get_frame(side)->index++;
	}
}

/* The front goes behind its item and the N - 1 that follow in its node. */
static void pass(const ProllyDiff *self, Side *side, uint32_t n)
{
	ProllyPathFrame *frame = get_frame(side);

	side->passed_once = true;
	frame->index += n;
	if (self->upper && compare_bound(frame->view, frame->index - 1, self->upper) >= 0)
		side->ended = true;
	else
		settle(side);
}

/* Where the front begins in a node just read: behind what is below the range. */
static uint32_t find_start(const ProllyDiff *self, const Side *side, const ProllyNodeView *view)
{
	size_t len;
	const uint8_t *key;
	bool found;

	if (!self->lower || side->passed_once)
		return 0;
	key = key_or_empty(g_bytes_get_data(self->lower, &len));
	return prolly_node_search(view, key, len, &found);
}

static void place_node(const ProllyDiff *self, Side *side, unsigned level, ProllyNode *node,
		       const ProllyNodeView *view)
{
	ProllyPathFrame *frame = &side->frames[level];

	prolly_node_unref(frame->node);
	*frame = (ProllyPathFrame){node, view, find_start(self, side, view)};
	side->level = level;
	settle(side);
}

/* The subtree at the front is replaced by what is in its node. */
static bool open_front(const ProllyDiff *self, Side *side, GError **error)
{
	const ProllyPathFrame *frame = get_frame(side);
	const ProllyNodeView *view;
	ProllyNode *node =
		prolly_path_load_child(&self->context, frame->view, frame->index, &view, error);

	if (!node)
		return false;
	place_node(self, side, side->level - 1, node, view);
	return true;
}

static bool open_top(const ProllyDiff *self, Side *side, GError **error)
{
	const ProllyNodeView *view;
	ProllyNode *node = prolly_path_load_top(&self->context, &side->tree, &view, error);

	if (!node)
		return false;
	side->height = view->level + 1u;
	place_node(self, side, view->level, node, view);
	return true;
}

/* ---- Is a subtree on the other side? ----------------------------------------------------- */

/* An entry of an internal node of one side. */
typedef struct {
	const ProllyNodeView *view;
	uint32_t index;
} Subtree;

/* Not prolly_hash_equal, which is no inline: this is the innermost loop of a diff. */
static inline bool same_hash(const ProllyHash *a, const ProllyHash *b)
{
	uint64_t x[4], y[4];

	memcpy(x, a->bytes, sizeof(x));
	memcpy(y, b->bytes, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
}

static bool same_subtree(Subtree a, const ProllyNodeView *view, uint32_t i)
{
	return same_hash(node_get_child_hash(a.view, a.index), node_get_child_hash(view, i));
}

/* How many children from I and J on are equal, one by one. */
static uint32_t count_equal_children(const ProllyNodeView *a, uint32_t i, const ProllyNodeView *b,
				     uint32_t j)
{
	const ProllyHash *x = node_get_child_hash(a, i), *y = node_get_child_hash(b, j);
	uint32_t max = MIN(a->count - i, b->count - j), n = 0;

	while (n < max && same_hash(x + n, y + n))
		n++;
	return n;
}

/* The first entry of VIEW from LOW on whose key is not less than X's. */
static uint32_t find_key_of(Subtree x, const ProllyNodeView *view, uint32_t low)
{
	uint32_t high = view->count;

	/* Both sides being at much the same place, that is mostly the first. */
	if (low < high && prolly_node_compare_entries(view, low, x.view, x.index) >= 0)
		return low;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (prolly_node_compare_entries(view, middle, x.view, x.index) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has_subtree(const ProllyDiff *self, const Side *side, const Side *other, Subtree x,
			bool *out_has, GError **error);

/* The same in the subtree Q of SIDE, which is above X's level. Q is read only if it is SIDE's
 * alone. */
static bool has_subtree_below(const ProllyDiff *self, const Side *side, const Side *other,
			      Subtree x, Subtree q, bool *out_has, GError **error)
{
	const ProllyNodeView *view;
	g_autoptr(ProllyNode) node = NULL;
	uint32_t i;
	bool both;

	*out_has = false;
	if (!has_subtree(self, other, side, q, &both, error))
		return false;
	if (both)
		return true;
	node = prolly_path_load_child(&self->context, q.view, q.index, &view, error);
	if (!node)
		return false;
	i = find_key_of(x, view, 0);
	if (view->level > x.view->level)
		return i == view->count ||
		       has_subtree_below(self, side, other, x, (Subtree){view, i}, out_has, error);
	*out_has = i < view->count && same_subtree(x, view, i);
	return true;
}

/* Has SIDE the subtree X of OTHER, at its front or behind it? SIDE's front is not above X's level.
 */
static bool has_subtree(const ProllyDiff *self, const Side *side, const Side *other, Subtree x,
			bool *out_has, GError **error)
{
	unsigned level = x.view->level;
	uint32_t i = 0;

	*out_has = false;
	for (; level < side->height; level++) {
		const ProllyPathFrame *frame = &side->frames[level];
		/* What is open has been begun: it is not behind the front. */
		uint32_t low = frame->index + (level > side->level ? 1 : 0);

		i = find_key_of(x, frame->view, low);
		if (i < frame->view->count)
			break;
	}
	if (level >= side->height)
		return true;
	if (level > x.view->level)
		return has_subtree_below(self, side, other, x,
					 (Subtree){side->frames[level].view, i}, out_has, error);
	*out_has = same_subtree(x, side->frames[level].view, i);
	return true;
}

/* ---- Steps ------------------------------------------------------------------------------- */

/*
 * The fronts are subtrees of one level. Passes equal ones, as many as there are next to each other.
 * Was there one?
 */
static bool pass_equal(const ProllyDiff *self, Side *a, Side *b)
{
	const ProllyPathFrame *fa = get_frame(a), *fb = get_frame(b);
	uint32_t n = count_equal_children(fa->view, fa->index, fb->view, fb->index);

	if (n == 0)
		return false;
	pass(self, a, n);
	pass(self, b, n);
	return true;
}

/*
 * The fronts are subtrees of one level, which differ, and A's is opened now. What is needed next is
 * asked for, to be there in time: B's, and the next two that differ.
 */
static void look_ahead(Side *a, Side *b)
{
	const ProllyPathFrame *fa = get_frame(a), *fb = get_frame(b);
	uint32_t i = fa->index + 1, j = fb->index + 1, n;

	prolly_store_prefetch(node_get_link(fb->view, fb->index));
	if (i == fa->view->count || j == fb->view->count)
		return;
	n = count_equal_children(fa->view, i, fb->view, j);
	if (i + n < fa->view->count)
		prolly_store_prefetch(node_get_link(fa->view, i + n));
	if (j + n < fb->view->count)
		prolly_store_prefetch(node_get_link(fb->view, j + n));
}

/* Has *SIDE come to its end? An entry at or over the upper limit is one. */
static bool has_ended(const ProllyDiff *self, Side *side)
{
	const ProllyPathFrame *frame = get_frame(side);

	if (!side->ended && side->level == 0 && self->upper &&
	    compare_bound(frame->view, frame->index, self->upper) >= 0)
		side->ended = true;
	return side->ended;
}

/* Opens what must be opened, until both fronts are entries, or one is and the other can wait. */
static bool open_fronts(const ProllyDiff *self, Side *a, Side *b, GError **error)
{
	while (true) {
		bool a_ended = has_ended(self, a), b_ended = has_ended(self, b);
		Side *x = b_ended || (!a_ended && a->level >= b->level) ? a : b;
		Side *y = x == a ? b : a;
		const ProllyPathFrame *frame = get_frame(x);
		bool level = !y->ended && x->level == y->level;

		/* What both have is behind the place where Y has left the range. */
		x->ended |= x->shared && y->ended;
		if (x->ended || x->level == 0)
			return true;
		if (level && pass_equal(self, a, b))
			continue;
		if (!y->ended && !x->shared &&
		    !has_subtree(self, y, x, (Subtree){frame->view, frame->index}, &x->shared,
				 error))
			return false;
		if (x->shared && y->level == 0)
			return true;
		if (level && !x->shared)
			look_ahead(x, y);
		if (!open_front(self, x->shared ? y : x, error))
			return false;
	}
}

static void set_change(ProllyDiff *self, bool of_a, bool of_b, ProllyChange *out_change)
{
	const ProllyPathFrame *fa = get_frame(&self->a), *fb = get_frame(&self->b);
	const ProllyPathFrame *frame = of_a ? fa : fb;
	ProllyNodeKey key = node_get_key(frame->view, frame->index);
	ProllyChange change = {0};

	g_byte_array_set_size(self->key, 0);
	g_byte_array_append(self->key, key.prefix, (guint)key.prefix_len);
	g_byte_array_append(self->key, key.suffix, (guint)key.suffix_len);
	change.key = self->key->data;
	change.key_len = self->key->len;
	if (of_a)
		change.old_value = node_get_value(fa->view, fa->index, &change.old_len);
	if (of_b)
		change.new_value = node_get_value(fb->view, fb->index, &change.new_len);
	self->pass_a = of_a;
	self->pass_b = of_b;
	*out_change = change;
}

static bool equal_pieces(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static bool equal_values(const ProllyNodeView *a, uint32_t i, const ProllyNodeView *b, uint32_t j)
{
	size_t a_len, b_len;
	const uint8_t *a_value = node_get_value(a, i, &a_len);
	const uint8_t *b_value = node_get_value(b, j, &b_len);

	return equal_pieces(a_value, a_len, b_value, b_len);
}

/* The plain way to compare two entries of leaves with one prefix. */
static bool equal_entries(const ProllyNodeView *a, uint32_t i, const ProllyNodeView *b, uint32_t j)
{
	size_t a_len, b_len;
	const uint8_t *a_suffix, *b_suffix;

	if (a->heads[i] != b->heads[j])
		return false;
	a_suffix = node_get_suffix(a, i, &a_len);
	b_suffix = node_get_suffix(b, j, &b_len);
	return equal_pieces(a_suffix, a_len, b_suffix, b_len) && equal_values(a, i, b, j);
}

/* How many bytes are equal before the first that is not. */
static size_t count_equal_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t n = 0;

	while (len - n >= STRIDE && memcmp(a + n, b + n, STRIDE) == 0)
		n += STRIDE;
	while (len - n >= 8 && memcmp(a + n, b + n, 8) == 0)
		n += 8;
	while (n < len && a[n] == b[n])
		n++;
	return n;
}

/* Of a leaf's suffixes or values those from FIRST on. */
typedef struct {
	const ProllyNodeView *view;
	const uint8_t *heap;
	uint32_t ends; /* as node_end wants it */
	uint32_t first;
	uint32_t start; /* of the first in the heap */
} Pieces;

static Pieces get_suffixes(const ProllyNodeView *view, uint32_t i)
{
	return (Pieces){view, view->data + view->suffixes, view->key_ends, i,
			i ? node_get_key_end(view, i - 1) : 0};
}

static Pieces get_values(const ProllyNodeView *view, uint32_t i)
{
	return (Pieces){view, view->data + view->values, node_get_value_ends(view), i,
			i ? node_get_value_end(view, i - 1) : 0};
}

static inline uint32_t get_end(const Pieces *self, uint32_t n)
{
	return node_end(self->view, self->ends, self->first + n);
}

/* How many of N are equal: as far as their lengths are, one comparison of all their bytes says. */
static uint32_t count_equal_pieces(Pieces a, Pieces b, uint32_t n)
{
	uint32_t shift = b.start - a.start, k = 0;
	size_t equal;

	while (k < n && get_end(&a, k) + shift == get_end(&b, k))
		k++;
	if (k == 0)
		return 0;
	equal = a.start +
		count_equal_bytes(a.heap + a.start, b.heap + b.start, get_end(&a, k - 1) - a.start);
	while (k > 0 && get_end(&a, k - 1) > equal)
		k--;
	return k;
}

/* How many of N entries of leaves with one prefix are equal. */
static uint32_t count_equal_entries(const ProllyNodeView *a, uint32_t i, const ProllyNodeView *b,
				    uint32_t j, uint32_t n)
{
	if (n == 1)
		return equal_entries(a, i, b, j);
	n = count_equal_pieces(get_suffixes(a, i), get_suffixes(b, j), n);
	return count_equal_pieces(get_values(a, i), get_values(b, j), n);
}

/*
 * Both fronts are entries. Passes those that are equal on both sides, as far as both leaves go;
 * what an upper limit excludes may be among them, as it would be among equal subtrees. Was there
 * one? More and more are looked at in one go, so that this costs no more than in proportion to what
 * is passed, and little for one of many.
 */
static bool pass_equal_entries(Side *a, Side *b)
{
	ProllyPathFrame *fa = get_frame(a), *fb = get_frame(b);
	const ProllyNodeView *va = fa->view, *vb = fb->view;
	uint32_t left = MIN(va->count - fa->index, vb->count - fb->index), n = 0, go = 1, passed;

	if (!equal_pieces(node_get_prefix(va), va->prefix_len, node_get_prefix(vb), vb->prefix_len))
		return false;
	do {
		go = MIN(go, left - n);
		passed = count_equal_entries(va, fa->index + n, vb, fb->index + n, go);
		n += passed;
		go = passed == go ? GO_FACTOR * go : 0;
	} while (go > 0 && n < left);
	if (n == 0)
		return false;
	a->passed_once = b->passed_once = true;
	fa->index += n;
	fb->index += n;
	settle(a);
	settle(b);
	return true;
}

/* Both fronts are entries. They may still be equal, behind different prefixes. */
static void compare_fronts(ProllyDiff *self, ProllyChange *out_change, bool *out_changed)
{
	const ProllyPathFrame *fa = get_frame(&self->a), *fb = get_frame(&self->b);
	int order = prolly_node_compare_entries(fa->view, fa->index, fb->view, fb->index);

	*out_changed = order != 0 || !equal_values(fa->view, fa->index, fb->view, fb->index);
	if (*out_changed) {
		set_change(self, order <= 0, order >= 0, out_change);
		return;
	}
	pass(self, &self->a, 1);
	pass(self, &self->b, 1);
}

/* Reports the next change, or gets nearer to it. The fronts are as open_fronts leaves them. */
static void step(ProllyDiff *self, ProllyChange *out_change, bool *out_changed)
{
	Side *a = &self->a, *b = &self->b;

	if (a->ended || b->ended || a->level != b->level) {
		/* The other is at its end, or a subtree that comes later on this side. */
		bool of_a = !a->ended && a->level == 0;

		set_change(self, of_a, !of_a, out_change);
		*out_changed = true;
	} else if (!pass_equal_entries(a, b)) {
		compare_fronts(self, out_change, out_changed);
	}
}

static bool start(ProllyDiff *self, GError **error)
{
	self->started = true;
	self->a.ended = self->b.ended = prolly_tree_equal(&self->a.tree, &self->b.tree);
	return self->a.ended ||
	       (open_top(self, &self->a, error) && open_top(self, &self->b, error));
}

static bool find_change(ProllyDiff *self, ProllyChange *out_change, bool *out_end, GError **error)
{
	Side *a = &self->a, *b = &self->b;
	bool changed = false;

	if (!self->started && !start(self, error))
		return false;
	if (self->pass_a)
		pass(self, a, 1);
	if (self->pass_b)
		pass(self, b, 1);
	self->pass_a = self->pass_b = false;
	while (!changed) {
		if (a->ended && b->ended)
			break;
		if (!open_fronts(self, a, b, error))
			return false;
		if (a->ended && b->ended)
			break;
		step(self, out_change, &changed);
	}
	*out_end = !changed;
	return true;
}

/* ---- The object -------------------------------------------------------------------------- */

ProllyDiff *prolly_diff_new(const ProllyTreeContext *context, const ProllyTree *a,
			    const ProllyTree *b, const void *lower, size_t lower_len,
			    const void *upper, size_t upper_len)
{
	ProllyDiff *self = g_new0(ProllyDiff, 1);

	self->context.store = prolly_store_ref(context->store);
	self->context.format = prolly_format_ref(context->format);
	self->a.tree = *a;
	self->b.tree = *b;
	self->lower = lower ? g_bytes_new(lower, lower_len) : NULL;
	self->upper = upper ? g_bytes_new(upper, upper_len) : NULL;
	self->key = g_byte_array_new();
	return self;
}

static void side_clear(Side *side)
{
	for (unsigned i = 0; i < side->height; i++)
		prolly_node_unref(side->frames[i].node);
}

void prolly_diff_free(ProllyDiff *self)
{
	if (!self)
		return;
	side_clear(&self->a);
	side_clear(&self->b);
	if (self->lower)
		g_bytes_unref(self->lower);
	if (self->upper)
		g_bytes_unref(self->upper);
	g_byte_array_unref(self->key);
	prolly_store_unref(self->context.store);
	prolly_format_unref(self->context.format);
	g_free(self);
}

bool prolly_diff_next(ProllyDiff *self, ProllyChange *out_change, bool *out_end, GError **error)
{
	if (!find_change(self, out_change, out_end, error)) {
		self->a.ended = self->b.ended = true;
		return false;
	}
	return true;
}
