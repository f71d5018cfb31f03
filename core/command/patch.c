/* SPDX-License-Identifier: Apache-2.0 */

/*
 * patch: the change of a text value as lines with '-' and '+', in the look of `diff -u`.
 *
 * What the two have in common at the beginning and at the end is set aside first, in linear time.
 * Between, the shortest edit script is looked for as Myers has it ("An O(ND) Difference Algorithm"):
 * for D = 0, 1, 2... how far each diagonal gets with D edits, remembered for the way back. Its memory
 * is the square of D, so D has a limit: two texts that have hardly anything in common are shown as
 * one taken away and one put there, which nobody would read line by line anyway.
 *
 * A value often has no newline at its end, and nobody means anything by that; it is pointed out
 * only where the two sides differ in it.
 */

#include "base/memory.h"
#include "command/command-private.h"

#include <string.h>

#define CONTEXT   3u
#define EDITS_MAX 1000

typedef struct {
	const char *text; /* with its newline, if it has one */
	size_t len;
} Line;

typedef struct {
	Line *lines;
	guint len;
} Lines;

typedef struct {
	Lines old_lines, new_lines;
	guint prefix, suffix;  /* lines in common */
	bool *removed, *added; /* by line */
	uint64_t n_removed, n_added;
} Comparison;

static bool split_lines(const ProllyPatchSide *side, Lines *out_lines, GError **error)
{
	const char *p = side->text, *end = p ? p + side->len : NULL;
	size_t capacity = 0;
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *next = newline ? newline + 1 : end;
		if (!prolly_try_grow(&out_lines->lines, &capacity, out_lines->len + 1, sizeof(Line),
				     "lines", error))
			return false;
		out_lines->lines[out_lines->len++] = (Line){p, (size_t)(next - p)};
		p = next;
	}
	return true;
}

static bool lines_equal(const Lines *a, guint i, const Lines *b, guint j)
{
	const Line *x = &a->lines[i], *y = &b->lines[j];
	return x->len == y->len && memcmp(x->text, y->text, x->len) == 0;
}

/* ---- The shortest script ----------------------------------------------------------------- */

/* Reach[k]: how many old lines the diagonal k (old minus new) has behind it; of k = -d..d. */
typedef struct {
	const Comparison *c;
	int n, m;           /* lines between prefix and suffix */
	GPtrArray *history; /* of int *: the reach before each number of edits */
} Search;

static bool is_equal_at(const Search *self, int x, int y)
{
	return lines_equal(&self->c->old_lines, self->c->prefix + (guint)x, &self->c->new_lines,
			   self->c->prefix + (guint)y);
}

static bool goes_down(const int *reach, int k, int d)
{
	return k == -d || (k != d && reach[k - 1] < reach[k + 1]);
}

/* One more edit on every diagonal. True: the end is reached. */
static bool advance(const Search *self, int *reach, int d)
{
	for (int k = -d; k <= d; k += 2) {
		int x = goes_down(reach, k, d) ? reach[k + 1] : reach[k - 1] + 1;

		while (x < self->n && x - k < self->m && is_equal_at(self, x, x - k))
			x++;
		reach[k] = x;
		if (x >= self->n && x - k >= self->m)
			return true;
	}
	return false;
}

/* From the end back, through what was remembered. */
static void mark_script(const Search *self, Comparison *c)
{
	int x = self->n, y = self->m;

	for (int d = (int)self->history->len - 1; d > 0; d--) {
		const int *reach = (const int *)g_ptr_array_index(self->history, d) + d + 1;
		int k = x - y;
		bool down = goes_down(reach, k, d);

		x = reach[down ? k + 1 : k - 1];
		y = x - (down ? k + 1 : k - 1);
		if (down)
			c->added[c->prefix + (guint)y] = true;
		else
			c->removed[c->prefix + (guint)x] = true;
	}
}

/* False: there are too many edits. */
static bool search(Comparison *c)
{
	int n = (int)(c->old_lines.len - c->prefix - c->suffix);
	int m = (int)(c->new_lines.len - c->prefix - c->suffix);
	int limit = MIN(n + m, EDITS_MAX);
	g_autoptr(GPtrArray) history = g_ptr_array_new_with_free_func(g_free);
	g_autofree int *all = g_new0(int, 2 * (size_t)limit + 3);
	Search self = {c, n, m, history};

	for (int d = 0; d <= limit; d++) {
		/* diagonals -d-1..d+1, which are all that step D looks at */
		g_ptr_array_add(history, g_memdup2(all + limit + 1 - (d + 1),
						   (2 * (size_t)d + 3) * sizeof(int)));
		if (advance(&self, all + limit + 1, d)) {
			mark_script(&self, c);
			return true;
		}
	}
	return false;
}

static bool compare(Comparison *c, const ProllyPatchSide *old_side, const ProllyPatchSide *new_side,
		    GError **error)
{
	const Lines *a = &c->old_lines, *b = &c->new_lines;

	if (!split_lines(old_side, &c->old_lines, error) ||
	    !split_lines(new_side, &c->new_lines, error))
		return false;
	guint n = a->len, m = b->len, shorter = MIN(n, m);

	c->prefix = c->suffix = 0;
	while (c->prefix < shorter && lines_equal(a, c->prefix, b, c->prefix))
		c->prefix++;
	while (c->suffix < shorter - c->prefix &&
	       lines_equal(a, n - 1 - c->suffix, b, m - 1 - c->suffix))
		c->suffix++;
	c->removed = prolly_try_new0(bool, n + 1, "lines", error);
	c->added = c->removed ? prolly_try_new0(bool, m + 1, "lines", error) : NULL;
	if (!c->added)
		return false;
	bool is_short = search(c);
	for (guint i = c->prefix; i < n - c->suffix; i++)
		c->n_removed += c->removed[i] = c->removed[i] || !is_short;
	for (guint i = c->prefix; i < m - c->suffix; i++)
		c->n_added += c->added[i] = c->added[i] || !is_short;
	return true;
}

static void comparison_clear(Comparison *c)
{
	g_free(c->old_lines.lines);
	g_free(c->new_lines.lines);
	g_free(c->removed);
	g_free(c->added);
}

/* ---- Printing ---------------------------------------------------------------------------- */

static void print_lines(ProllyCommand *command, const Lines *lines, guint from, guint to, char mark,
			bool note_missing_newline)
{
	ProllyPaint paint = mark == '-'   ? PROLLY_PAINT_RED
			    : mark == '+' ? PROLLY_PAINT_GREEN
					  : PROLLY_PAINT_NONE;
	for (guint i = from; i < to; i++) {
		const Line *line = &lines->lines[i];
		bool has_newline = line->text[line->len - 1] == '\n';
		prolly_command_print_painted(command, paint, "%c%.*s", mark,
					     (int)(line->len - has_newline), line->text);
		prolly_command_write(command, "\n", 1);
		if (!has_newline && note_missing_newline)
			prolly_command_print(command, "\\ No newline at end of value\n");
	}
}

static bool ends_with_newline(const ProllyPatchSide *side)
{
	return side->len && side->text[side->len - 1] == '\n';
}

/* "12,3": where a side's part of a hunk begins, and how many lines it has. */
static void print_range(GString *out, guint start, guint n)
{
	g_string_append_printf(out, "%u", n ? start + 1 : start);
	if (n != 1)
		g_string_append_printf(out, ",%u", n);
}

/* A run of lines in which no more than 2 * CONTEXT in a row are common: from I, J up to I_END,
 * J_END, context included. */
typedef struct {
	guint i, j, i_end, j_end;
} Hunk;

static bool is_changed(const Comparison *c, guint i, guint j)
{
	return (i < c->old_lines.len && c->removed[i]) || (j < c->new_lines.len && c->added[j]);
}

/* The next hunk from *HUNK's end on. False: there is none. */
static bool find_hunk(const Comparison *c, Hunk *hunk)
{
	guint n = c->old_lines.len, m = c->new_lines.len, common = 0;
	guint i = hunk->i_end, j = hunk->j_end;

	while (i < n && j < m && !is_changed(c, i, j))
		i++, j++, common++;
	if (!is_changed(c, i, j))
		return false;
	common = MIN(common, CONTEXT);
	hunk->i = i - common;
	hunk->j = j - common;
	for (common = 0; common <= 2 * CONTEXT && (i < n || j < m);) {
		if (!is_changed(c, i, j)) {
			i++, j++, common++;
			continue;
		}
		while (i < n && c->removed[i])
			i++;
		while (j < m && c->added[j])
			j++;
		common = 0;
	}
	common -= MIN(common, CONTEXT);
	hunk->i_end = i - common;
	hunk->j_end = j - common;
	return true;
}

static void print_hunk(ProllyCommand *command, const Comparison *c, const Hunk *hunk, bool note)
{
	g_autoptr(GString) ranges = g_string_new("-");
	guint i = hunk->i, j = hunk->j;

	print_range(ranges, hunk->i, hunk->i_end - hunk->i);
	g_string_append(ranges, " +");
	print_range(ranges, hunk->j, hunk->j_end - hunk->j);
	prolly_command_print_painted(command, PROLLY_PAINT_CYAN, "@@ %s @@", ranges->str);
	prolly_command_write(command, "\n", 1);
	while (i < hunk->i_end || j < hunk->j_end) {
		guint old_end = i, new_end = j;

		while (old_end < hunk->i_end && c->removed[old_end])
			old_end++;
		print_lines(command, &c->old_lines, i, old_end, '-', note);
		while (new_end < hunk->j_end && c->added[new_end])
			new_end++;
		print_lines(command, &c->new_lines, j, new_end, '+', note);
		i = old_end;
		j = new_end;
		if (i < hunk->i_end && j < hunk->j_end) {
			print_lines(command, &c->old_lines, i, i + 1, ' ', note);
			i++, j++;
		}
	}
}

bool prolly_patch_print(ProllyCommand *command, const ProllyPatchSide *old_side,
			const ProllyPatchSide *new_side, GError **error)
{
	bool note = old_side->text && new_side->text &&
		    ends_with_newline(old_side) != ends_with_newline(new_side);
	Comparison c = {0};
	Hunk hunk = {0};

	bool ok = compare(&c, old_side, new_side, error);
	while (ok && find_hunk(&c, &hunk))
		print_hunk(command, &c, &hunk, note);
	comparison_clear(&c);
	return ok;
}

bool prolly_patch_count(const ProllyPatchSide *old_side, const ProllyPatchSide *new_side,
			uint64_t *out_removed, uint64_t *out_added, GError **error)
{
	Comparison c = {0};

	bool ok = compare(&c, old_side, new_side, error);
	*out_removed = c.n_removed;
	*out_added = c.n_added;
	comparison_clear(&c);
	return ok;
}
