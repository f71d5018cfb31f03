/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists: matching the elements of two, and the union of two that come from a third.
 *
 * Matching is a longest common subsequence where that is cheap, and patience where it is not.
 * What both begin and end with is matched at once. A small rest is solved exactly, by the table. Of
 * a large one the elements that occur once in both are anchors: the longest run of them that is in
 * order in both is matched (by patience sorting), and what lies between two anchors is a rest of its
 * own. A large rest without anchors is not matched at all: it is taken for rewritten. So the cost is
 * O(n log n) whatever the lists, and people find the result the more natural for the anchors.
 */
#include "version/strategy.h"

#include <string.h>

#define TABLE_MAX (1u << 20) /* cells */
#define DEPTH_MAX 64

typedef struct {
	const uint32_t *a, *b;
	size_t *match; /* of a */
} Matching;

/* [a, a_end) of one list beside [b, b_end) of the other. */
typedef struct {
	size_t a, a_end, b, b_end;
} Range;

/* ---- Small rests: the table --------------------------------------------------------------- */

static void match_by_table(Matching *self, Range range)
{
	size_t rows = range.a_end - range.a, columns = range.b_end - range.b;
	size_t width = columns + 1;
	g_autofree uint32_t *table = g_new0(uint32_t, (rows + 1) * width);
	size_t i = 0, j = 0;

	/* A cell is the length of the best match of what is left. */
	for (size_t row = rows; row-- > 0;) {
		for (size_t column = columns; column-- > 0;) {
			uint32_t *cell = &table[row * width + column];

			if (self->a[range.a + row] == self->b[range.b + column])
				*cell = cell[width + 1] + 1;
			else
				*cell = MAX(cell[width], cell[1]);
		}
	}
	while (i < rows && j < columns) {
		const uint32_t *cell = &table[i * width + j];

		if (self->a[range.a + i] == self->b[range.b + j])
			self->match[range.a + i++] = range.b + j++;
		else if (cell[width] >= cell[1])
			i++;
		else
			j++;
	}
}

/* ---- Large ones: anchors ------------------------------------------------------------------ */

typedef struct {
	size_t a, b;
	size_t before; /* of the run that ends here: the anchor before it */
} Anchor;

#define SEEN_TWICE SIZE_MAX

/* id -> 1 + its only position in [start, end), or SEEN_TWICE. */
static GHashTable *index_elements(const uint32_t *ids, size_t start, size_t end)
{
	GHashTable *index = g_hash_table_new(NULL, NULL);

	for (size_t i = start; i < end; i++) {
		gpointer id = GUINT_TO_POINTER(ids[i]);
		size_t seen = g_hash_table_contains(index, id) ? SEEN_TWICE : i + 1;

		g_hash_table_insert(index, id, GSIZE_TO_POINTER(seen));
	}
	return index;
}

/* (transfer full) Elements that occur once in both, in the order of A. */
static GArray *list_anchors(const Matching *self, Range range)
{
	g_autoptr(GHashTable) in_a = index_elements(self->a, range.a, range.a_end);
	g_autoptr(GHashTable) in_b = index_elements(self->b, range.b, range.b_end);
	GArray *anchors = g_array_new(FALSE, FALSE, sizeof(Anchor));

	for (size_t i = range.a; i < range.a_end; i++) {
		gpointer id = GUINT_TO_POINTER(self->a[i]);
		size_t a = GPOINTER_TO_SIZE(g_hash_table_lookup(in_a, id));
		size_t b = GPOINTER_TO_SIZE(g_hash_table_lookup(in_b, id));
		Anchor anchor = {i, b - 1, 0};

		if (a != SEEN_TWICE && b != SEEN_TWICE && b != 0)
			g_array_append_val(anchors, anchor);
	}
	return anchors;
}

/* The first of N pile tops whose anchor lies after B. */
static size_t find_pile(const Anchor *anchors, const GArray *tops, size_t b)
{
	size_t low = 0, high = tops->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (anchors[g_array_index(tops, size_t, middle)].b < b)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Matches the longest run of ANCHORS that ascends in both. False: there are none. */
static bool match_anchors(Matching *self, GArray *list)
{
	Anchor *anchors = (Anchor *)(void *)list->data;
	g_autoptr(GArray) tops = g_array_new(FALSE, FALSE, sizeof(size_t));
	size_t i;

	for (i = 0; i < list->len; i++) {
		size_t pile = find_pile(anchors, tops, anchors[i].b);

		anchors[i].before = pile > 0 ? g_array_index(tops, size_t, pile - 1) : SIZE_MAX;
		if (pile == tops->len)
			g_array_append_val(tops, i);
		else
			g_array_index(tops, size_t, pile) = i;
	}
	if (tops->len == 0)
		return false;
	for (i = g_array_index(tops, size_t, tops->len - 1); i != SIZE_MAX; i = anchors[i].before)
		self->match[anchors[i].a] = anchors[i].b;
	return true;
}

/* ---- Both -------------------------------------------------------------------------------- */

static void match_range(Matching *self, Range range, unsigned depth);

/* The rests between the elements of RANGE that are matched already. */
static void match_between(Matching *self, Range range, unsigned depth)
{
	Range rest = range;

	for (size_t i = range.a; i <= range.a_end; i++) {
		bool is_end = i == range.a_end;

		if (!is_end && self->match[i] == PROLLY_LIST_UNMATCHED)
			continue;
		rest.a_end = i;
		rest.b_end = is_end ? range.b_end : self->match[i];
		match_range(self, rest, depth + 1);
		rest.a = i + 1;
		rest.b = rest.b_end + 1;
	}
}

static void match_range(Matching *self, Range range, unsigned depth)
{
	g_autoptr(GArray) anchors = NULL;

	while (range.a < range.a_end && range.b < range.b_end &&
	       self->a[range.a] == self->b[range.b])
		self->match[range.a++] = range.b++;
	while (range.a < range.a_end && range.b < range.b_end &&
	       self->a[range.a_end - 1] == self->b[range.b_end - 1])
		self->match[--range.a_end] = --range.b_end;
	if (range.a == range.a_end || range.b == range.b_end)
		return;
	if ((range.a_end - range.a + 1) <= TABLE_MAX / (range.b_end - range.b + 1)) {
		match_by_table(self, range);
		return;
	}
	if (depth >= DEPTH_MAX)
		return;
	anchors = list_anchors(self, range);
	if (match_anchors(self, anchors))
		match_between(self, range, depth);
}

size_t *prolly_list_match(const ProllyList *a, const ProllyList *b)
{
	Matching self = {a->ids, b->ids, g_new(size_t, a->n + 1)};

	for (size_t i = 0; i < a->n; i++)
		self.match[i] = PROLLY_LIST_UNMATCHED;
	match_range(&self, (Range){0, a->n, 0, b->n}, 0);
	return self.match;
}

/* ---- Union ------------------------------------------------------------------------------- */

typedef struct {
	ProllySideOf side;
	const ProllyList *list;
	size_t *match;    /* of the base's elements */
	bool *is_kept;    /* of its own: matched with one of the base's */
	size_t position;  /* of its own: the next one */
	GHashTable *seen; /* id -> how often this side has added it so far */
} Side;

static void init_side(Side *side, ProllySideOf which, const ProllyList *base,
		      const ProllyList *list)
{
	*side = (Side){.side = which, .list = list, .match = prolly_list_match(base, list)};
	side->is_kept = g_new0(bool, list->n + 1);
	side->seen = g_hash_table_new(NULL, NULL);
	for (size_t i = 0; i < base->n; i++)
		if (side->match[i] != PROLLY_LIST_UNMATCHED)
			side->is_kept[side->match[i]] = true;
}

static void clear_side(Side *side)
{
	g_free(side->match);
	g_free(side->is_kept);
	g_hash_table_unref(side->seen);
}

/* The end of the run of added elements at the side's position. */
static size_t find_run_end(const Side *side)
{
	size_t i = side->position;

	while (i < side->list->n && !side->is_kept[i])
		i++;
	return i;
}

static guint count_seen(const Side *side, size_t i)
{
	return GPOINTER_TO_UINT(
		g_hash_table_lookup(side->seen, GUINT_TO_POINTER(side->list->ids[i])));
}

/*
 * Does what ours adds at its position come before what theirs adds? Element for element; of equal
 * runs, the one that repeats more of what its side added before, since it appends more. (Runs that
 * are equal in that too give the same in either order.)
 */
static bool is_ours_first(const Side *ours, size_t ours_end, const Side *theirs, size_t theirs_end,
			  ProllyListOrderFunc order, void *data)
{
	size_t i = ours->position, j = theirs->position;

	for (; i < ours_end && j < theirs_end; i++, j++)
		if (ours->list->ids[i] != theirs->list->ids[j])
			return order(data, i, j) < 0;
	if (i < ours_end || j < theirs_end)
		return i == ours_end;
	for (i = ours->position, j = theirs->position; i < ours_end; i++, j++)
		if (count_seen(ours, i) != count_seen(theirs, j))
			return count_seen(ours, i) > count_seen(theirs, j);
	return true;
}

/* Adds the run up to END; what the other side has added as often already is there. */
static void append_run(Side *side, size_t end, GHashTable *added, GArray *out)
{
	for (; side->position < end; side->position++) {
		gpointer id = GUINT_TO_POINTER(side->list->ids[side->position]);
		guint seen = GPOINTER_TO_UINT(g_hash_table_lookup(side->seen, id)) + 1;
		guint there = GPOINTER_TO_UINT(g_hash_table_lookup(added, id));
		ProllyListItem item = {side->side, side->position};

		g_hash_table_insert(side->seen, id, GUINT_TO_POINTER(seen));
		if (seen <= there)
			continue;
		g_hash_table_insert(added, id, GUINT_TO_POINTER(there + 1));
		g_array_append_val(out, item);
	}
}

/* Base element I: past it on both sides. */
static void append_kept(Side *ours, Side *theirs, size_t i, GArray *out)
{
	ProllyListItem item = {PROLLY_SIDE_OF_OURS, ours->match[i]};
	bool in_ours = ours->match[i] != PROLLY_LIST_UNMATCHED;
	bool in_theirs = theirs->match[i] != PROLLY_LIST_UNMATCHED;

	if (in_ours)
		ours->position = ours->match[i] + 1;
	if (in_theirs)
		theirs->position = theirs->match[i] + 1;
	if (in_ours && in_theirs)
		g_array_append_val(out, item);
}

GArray *prolly_list_union(const ProllyList *base, const ProllyList *ours, const ProllyList *theirs,
			  ProllyListOrderFunc order, void *data)
{
	g_autoptr(GHashTable) added = g_hash_table_new(NULL, NULL);
	GArray *out = g_array_new(FALSE, FALSE, sizeof(ProllyListItem));
	Side one, other;

	init_side(&one, PROLLY_SIDE_OF_OURS, base, ours);
	init_side(&other, PROLLY_SIDE_OF_THEIRS, base, theirs);
	for (size_t i = 0; i <= base->n; i++) {
		size_t one_end = find_run_end(&one), other_end = find_run_end(&other);
		bool first = is_ours_first(&one, one_end, &other, other_end, order, data);

		append_run(first ? &one : &other, first ? one_end : other_end, added, out);
		append_run(first ? &other : &one, first ? other_end : one_end, added, out);
		if (i < base->n)
			append_kept(&one, &other, i, out);
	}
	clear_side(&one);
	clear_side(&other);
	return out;
}
