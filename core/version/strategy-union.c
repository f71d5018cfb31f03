/* SPDX-License-Identifier: Apache-2.0 */
/*
 * union: lists of lines.
 *
 * The union of lists (strategy-list.c), line by line: a line of the base is in the result if both
 * sides still have it, and what a side added comes in where it added it. So nothing is ever in
 * conflict, the sides can be exchanged, and a line that one side removed stays removed, which is
 * not so if changed regions are simply put together.
 *
 * The last line may lack its newline; the result's does if those of all sides that have lines do.
 * What has a NUL byte in it is no list of lines.
 */
#include "version/strategy.h"

#include <string.h>

typedef struct {
	const char *text;
	size_t len; /* without the newline */
} Line;

typedef struct {
	GArray *lines; /* of Line */
	GArray *ids;   /* of uint32_t */
	bool is_cut;   /* the last line has no newline */
} Lines;

static void clear_lines(Lines *lines)
{
	g_array_unref(lines->lines);
	g_array_unref(lines->ids);
}

/* ---- Reading ----------------------------------------------------------------------------- */

static void add_line(Lines *lines, GHashTable *known, const char *text, size_t len)
{
	g_autoptr(GBytes) bytes = g_bytes_new_static(text, len);
	gpointer found = g_hash_table_lookup(known, bytes);
	uint32_t id = GPOINTER_TO_UINT(found);
	Line line = {text, len};

	if (!found) {
		id = g_hash_table_size(known) + 1;
		g_hash_table_insert(known, g_steal_pointer(&bytes), GUINT_TO_POINTER(id));
	}
	g_array_append_val(lines->lines, line);
	g_array_append_val(lines->ids, id);
}

/* KNOWN: lines (GBytes, of the texts themselves) -> their numbers. */
static void split(const ProllyText *text, GHashTable *known, Lines *out_lines)
{
	const char *p = text->data, *end = p + text->len;

	out_lines->lines = g_array_new(FALSE, FALSE, sizeof(Line));
	out_lines->ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	while (p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		add_line(out_lines, known, p, (size_t)((stop ? stop : end) - p));
		out_lines->is_cut = !stop;
		p = stop ? stop + 1 : end;
	}
}

static ProllyList as_list(const Lines *lines)
{
	return (ProllyList){(const uint32_t *)(const void *)lines->ids->data, lines->ids->len};
}

/* ---- The result -------------------------------------------------------------------------- */

static const Line *get_line(const Lines *lines, size_t i)
{
	return &g_array_index(lines->lines, Line, i);
}

typedef struct {
	const Lines *ours, *theirs;
} Sides;

/* ProllyListOrderFunc: by their bytes. */
static int order_lines(void *data, size_t a, size_t b)
{
	const Sides *sides = data;
	const Line *x = get_line(sides->ours, a), *y = get_line(sides->theirs, b);

	return prolly_bytes_compare(x->text, x->len, y->text, y->len);
}

static void append_items(GByteArray *out, const GArray *items, const Sides *sides)
{
	for (guint i = 0; i < items->len; i++) {
		const ProllyListItem *item = &g_array_index(items, ProllyListItem, i);
		bool is_ours = item->side == PROLLY_SIDE_OF_OURS;
		const Line *line = get_line(is_ours ? sides->ours : sides->theirs, item->index);

		g_byte_array_append(out, (const uint8_t *)line->text, (guint)line->len);
		g_byte_array_append(out, (const uint8_t *)"\n", 1);
	}
}

static bool has_nul(const ProllyText *text)
{
	return text->len > 0 && memchr(text->data, '\0', text->len);
}

/* Those that have lines have a last one without a newline. */
static bool is_cut(const Lines *ours, const Lines *theirs)
{
	bool any = ours->lines->len || theirs->lines->len;

	return any && (!ours->lines->len || ours->is_cut) &&
	       (!theirs->lines->len || theirs->is_cut);
}

static GArray *unite(const Lines *base, Sides *sides)
{
	ProllyList of_base = as_list(base), ours = as_list(sides->ours);
	ProllyList theirs = as_list(sides->theirs);

	return prolly_list_union(&of_base, &ours, &theirs, order_lines, sides);
}

bool prolly_strategy_union(const ProllyTexts *texts, GByteArray *out)
{
	g_autoptr(GHashTable) known = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
							    (GDestroyNotify)g_bytes_unref, NULL);
	Lines base = {0}, ours = {0}, theirs = {0};
	Sides sides = {&ours, &theirs};
	g_autoptr(GArray) items = NULL;

	if (has_nul(&texts->base) || has_nul(&texts->ours) || has_nul(&texts->theirs))
		return false;
	split(&texts->base, known, &base);
	split(&texts->ours, known, &ours);
	split(&texts->theirs, known, &theirs);
	items = unite(&base, &sides);
	append_items(out, items, &sides);
	if (out->len > 0 && is_cut(&ours, &theirs))
		g_byte_array_set_size(out, out->len - 1);
	clear_lines(&base);
	clear_lines(&ours);
	clear_lines(&theirs);
	return true;
}
