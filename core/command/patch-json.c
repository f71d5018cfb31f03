/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patch-json: JSON values as lines.
 *
 * A value that is a JSON object or list is mostly one line, and a patch of one line says nothing. So
 * both sides are laid out, a member a line, in the order in which they have them, and those lines
 * are compared. What a parser does not keep (spaces, how a number is written) may be all that
 * differs; then, and if one side is no such value, the text is shown as it is.
 */

#include "command/command-private.h"

#include <jansson.h>
#include <string.h>

/* (transfer full; by free) NULL: no object or list. */
static char *lay_out(const ProllyPatchSide *side)
{
	json_error_t ignored;
	json_t *json = json_loadb(side->text, side->len, JSON_REJECT_DUPLICATES, &ignored);
	char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;

	json_decref(json);
	return text;
}

static void replace(ProllyPatchSide *side, const char *text)
{
	g_free((char *)side->text);
	side->text = g_strconcat(text, "\n", NULL);
	side->len = strlen(side->text);
}

void prolly_patch_lay_out_json(ProllyPatchSide sides[2])
{
	char *texts[2] = {NULL, NULL};
	bool both = true;

	for (int i = 0; i < 2; i++) {
		texts[i] = sides[i].text ? lay_out(&sides[i]) : NULL;
		both = both && (texts[i] || !sides[i].text);
	}
	if (both && !(texts[0] && texts[1] && strcmp(texts[0], texts[1]) == 0))
		for (int i = 0; i < 2; i++)
			if (texts[i])
				replace(&sides[i], texts[i]);
	free(texts[0]);
	free(texts[1]);
}
