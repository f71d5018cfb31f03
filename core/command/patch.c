/* SPDX-License-Identifier: Apache-2.0 */

/*
 * patch: the change of a text value as lines with '-' and '+', in the look of `diff -u`.
 *
 * One hunk: what the two have in common at the beginning and at the end is left out but for three
 * lines of context. So it takes linear time; a change at both ends of a text shows what lies
 * between as well, which is right, if longer than need be.
 *
 * A value often has no newline at its end, and nobody means anything by that; it is pointed out
 * only where the two sides differ in it.
 */

#include "command/command-private.h"

#include <string.h>

#define CONTEXT 3u

typedef struct {
	const char *text; /* with its newline, if it has one */
	size_t len;
} Line;

typedef struct {
	GArray *old_lines, *new_lines; /* of Line */
	guint prefix, suffix;          /* lines in common */
} Comparison;

static GArray *split_lines(const ProllyPatchSide *side)
{
	GArray *lines = g_array_new(FALSE, FALSE, sizeof(Line));
	const char *p = side->text, *end = p ? p + side->len : NULL;
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *next = newline ? newline + 1 : end;
		Line line = {p, (size_t)(next - p)};
		g_array_append_val(lines, line);
		p = next;
	}
	return lines;
}

static bool lines_equal(const GArray *a, guint i, const GArray *b, guint j)
{
	const Line *x = &g_array_index(a, Line, i), *y = &g_array_index(b, Line, j);
	return x->len == y->len && memcmp(x->text, y->text, x->len) == 0;
}

static void compare(Comparison *c, const ProllyPatchSide *old_side, const ProllyPatchSide *new_side)
{
	c->old_lines = split_lines(old_side);
	c->new_lines = split_lines(new_side);
	guint n = c->old_lines->len, m = c->new_lines->len, shorter = MIN(n, m);

	c->prefix = c->suffix = 0;
	while (c->prefix < shorter && lines_equal(c->old_lines, c->prefix, c->new_lines, c->prefix))
		c->prefix++;
	while (c->suffix < shorter - c->prefix &&
	       lines_equal(c->old_lines, n - 1 - c->suffix, c->new_lines, m - 1 - c->suffix))
		c->suffix++;
}

static void comparison_clear(Comparison *c)
{
	g_array_unref(c->old_lines);
	g_array_unref(c->new_lines);
}

static void print_lines(ProllyCommand *command, const GArray *lines, guint from, guint to,
			char mark, bool note_missing_newline)
{
	ProllyPaint paint = mark == '-'   ? PROLLY_PAINT_RED
			    : mark == '+' ? PROLLY_PAINT_GREEN
					  : PROLLY_PAINT_NONE;
	for (guint i = from; i < to; i++) {
		const Line *line = &g_array_index(lines, Line, i);
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

void prolly_patch_print(ProllyCommand *command, const ProllyPatchSide *old_side,
			const ProllyPatchSide *new_side)
{
	Comparison c;
	compare(&c, old_side, new_side);
	guint start = c.prefix - MIN(c.prefix, CONTEXT), after = MIN(c.suffix, CONTEXT);
	guint old_end = c.old_lines->len - c.suffix, new_end = c.new_lines->len - c.suffix;
	bool note = old_side->text && new_side->text &&
		    ends_with_newline(old_side) != ends_with_newline(new_side);
	g_autoptr(GString) ranges = g_string_new("-");

	if (c.prefix < old_end || c.prefix < new_end) {
		print_range(ranges, start, old_end + after - start);
		g_string_append(ranges, " +");
		print_range(ranges, start, new_end + after - start);
		prolly_command_print_painted(command, PROLLY_PAINT_CYAN, "@@ %s @@", ranges->str);
		prolly_command_write(command, "\n", 1);
		print_lines(command, c.old_lines, start, c.prefix, ' ', note);
		print_lines(command, c.old_lines, c.prefix, old_end, '-', note);
		print_lines(command, c.new_lines, c.prefix, new_end, '+', note);
		print_lines(command, c.old_lines, old_end, old_end + after, ' ', note);
	}
	comparison_clear(&c);
}

void prolly_patch_count(const ProllyPatchSide *old_side, const ProllyPatchSide *new_side,
			uint64_t *out_removed, uint64_t *out_added)
{
	Comparison c;
	compare(&c, old_side, new_side);
	*out_removed = c.old_lines->len - c.suffix - c.prefix;
	*out_added = c.new_lines->len - c.suffix - c.prefix;
	comparison_clear(&c);
}
