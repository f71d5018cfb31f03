/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategies by their names, as options and attributes give them.
 *
 * A chain of them is tried from the left: "json,newest" is json, and where that finds a conflict,
 * newest. The command of "exec:" is all that follows it, commas too, so it comes last.
 */
#include "version/strategy.h"

#include <string.h>

static const struct {
	const char *name;
	ProllyStrategyKind kind;
} NAMES[] = {
	{"none", PROLLY_STRATEGY_NONE},     {"ours", PROLLY_STRATEGY_OURS},
	{"theirs", PROLLY_STRATEGY_THEIRS}, {"union", PROLLY_STRATEGY_UNION},
	{"json", PROLLY_STRATEGY_JSON},     {"number", PROLLY_STRATEGY_NUMBER},
	{"newest", PROLLY_STRATEGY_NEWEST},
};

#define EXEC_PREFIX "exec:"

static void clear_strategy(gpointer strategy)
{
	g_free(((ProllyStrategy *)strategy)->command);
}

static bool parse_name(const char *name, size_t len, ProllyStrategyKind *out_kind, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
		if (strlen(NAMES[i].name) == len && memcmp(NAMES[i].name, name, len) == 0) {
			*out_kind = NAMES[i].kind;
			return true;
		}
	}
	return prolly_throw(error, PROLLY_ERROR_INVALID,
			    "'%.*s' is no merge strategy (ours, theirs, union, json, number, "
			    "newest, none or exec:COMMAND)",
			    (int)len, name);
}

bool prolly_strategy_parse(const char *text, GArray **out_strategies, GError **error)
{
	g_autoptr(GArray) strategies = g_array_new(FALSE, FALSE, sizeof(ProllyStrategy));

	g_array_set_clear_func(strategies, clear_strategy);
	for (;;) {
		ProllyStrategy strategy = {0};
		size_t len = strcspn(text, ",");

		if (g_str_has_prefix(text, EXEC_PREFIX)) {
			strategy.kind = PROLLY_STRATEGY_EXEC;
			strategy.command = g_strdup(text + strlen(EXEC_PREFIX));
			len = strlen(text);
			if (g_strstrip(strategy.command)[0] == '\0') {
				g_free(strategy.command);
				return prolly_throw(error, PROLLY_ERROR_INVALID,
						    "exec: names no command");
			}
		} else if (!parse_name(text, len, &strategy.kind, error)) {
			return false;
		}
		g_array_append_val(strategies, strategy);
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	*out_strategies = g_steal_pointer(&strategies);
	return true;
}

/* ---- Choosing between texts --------------------------------------------------------------- */

int prolly_text_compare(const ProllyText *a, const ProllyText *b)
{
	return prolly_bytes_compare(a->data, a->len, b->data, b->len);
}

const ProllyText *prolly_text_choose(const ProllyText *base, const ProllyText *ours,
				     const ProllyText *theirs)
{
	if (prolly_text_compare(base, ours) == 0)
		return theirs;
	if (prolly_text_compare(base, theirs) == 0)
		return ours;
	return prolly_text_compare(ours, theirs) <= 0 ? ours : theirs;
}
