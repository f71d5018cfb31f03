/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patch-json: JSON values as lines.
 *
 * A value that is a JSON object or list is mostly one line, and a patch of one line says nothing. So
 * both sides are laid out, a member a line, in the order in which they have them, and those lines
 * are compared. A parser says whether a value is JSON; its bytes are laid out as they are, since a
 * change may be of digits that no number of a parser's has, or of how a string is escaped. White
 * space between them is not kept. It may be all that differs; then, and if one side is no such
 * value, the text is shown as it is.
 */

#include "command/command-private.h"

#include <jansson.h>
#include <string.h>

#define INDENT     2
#define WHITESPACE " \t\r\n"

static bool is_json(const ProllyPatchSide *side)
{
	json_error_t ignored;
	json_t *json = json_loadb(side->text, side->len,
				  JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &ignored);

	json_decref(json);
	return json;
}

/* The string at P, past its closing quote. */
static const char *skip_string(const char *p)
{
	for (p++; *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p + 1;
}

static void append_line_end(GString *out, unsigned depth)
{
	g_string_append_printf(out, "\n%*s", (int)(INDENT * depth), "");
}

/* After an opening bracket at P, which *DEPTH counts. Returns what it leads to. */
static const char *append_opening(GString *out, const char *p, unsigned *depth)
{
	g_string_append_c(out, *p);
	p += 1 + strspn(p + 1, WHITESPACE);
	if (*p == ']' || *p == '}') {
		g_string_append_c(out, *p);
		return p + 1;
	}
	append_line_end(out, ++*depth);
	return p;
}

/* (transfer full) Of TEXT, which is JSON. */
static char *lay_out(const char *text)
{
	GString *out = g_string_new(NULL);
	unsigned depth = 0;

	for (const char *p = text + strspn(text, WHITESPACE); *p; p += strspn(p, WHITESPACE)) {
		const char *start = p;

		switch (*p) {
		case '{':
		case '[':
			p = append_opening(out, p, &depth);
			continue;
		case '}':
		case ']':
			append_line_end(out, --depth);
			g_string_append_c(out, *p++);
			continue;
		case ',':
			g_string_append_c(out, *p++);
			append_line_end(out, depth);
			continue;
		case ':':
			g_string_append(out, ": ");
			p++;
			continue;
		case '"':
			p = skip_string(p);
			break;
		default:
			p += strcspn(p, WHITESPACE ",]}");
		}
		g_string_append_len(out, start, p - start);
	}
	g_string_append_c(out, '\n');
	return g_string_free(out, FALSE);
}

static void replace(ProllyPatchSide *side, char **text)
{
	g_free((char *)side->text);
	side->text = g_steal_pointer(text);
	side->len = strlen(side->text);
}

/* (transfer full) NULL: no object or list. */
static char *try_lay_out(const ProllyPatchSide *side)
{
	g_autofree char *ended = NULL;

	if (!is_json(side))
		return NULL;
	ended = g_strndup(side->text, side->len);
	return lay_out(ended);
}

void prolly_patch_lay_out_json(ProllyPatchSide sides[2])
{
	char *texts[2] = {NULL, NULL};
	bool both = true;

	for (int i = 0; i < 2; i++) {
		texts[i] = sides[i].text ? try_lay_out(&sides[i]) : NULL;
		both = both && (texts[i] || !sides[i].text);
	}
	if (both && !(texts[0] && texts[1] && strcmp(texts[0], texts[1]) == 0))
		for (int i = 0; i < 2; i++)
			if (texts[i])
				replace(&sides[i], &texts[i]);
	g_free(texts[0]);
	g_free(texts[1]);
}
