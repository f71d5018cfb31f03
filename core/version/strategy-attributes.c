/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys are merged how: the versioned attributes file, written as git's are.
 *
 * It is the value of key .prollyattributes in the unnamed namespace. A line is a pattern, then what
 * holds for the keys it matches; of the lines that match, the last one that says something of
 * merging counts:
 *
 *   *.json        merge=json,newest
 *   "total hits"  merge=number
 *   secret        -merge
 *
 * A pattern is matched against the key's path in the branch, NAMESPACE/KEY: in whole if it has a '/'
 * (one at its beginning only says so), else the last component alone. '*' and '?' match no '/',
 * "**" any number of components, [a-z] and [!a-z] one byte, a backslash takes the next byte as it
 * is. "-merge" (and merge=none) leaves keys in conflict, "!merge" makes a line before say nothing;
 * other attributes are for others. A line that begins with '#' is a comment.
 *
 * Matching is linear in the pattern for each '*' (the last one is the only one ever tried again), so
 * no pattern takes long; "**" goes back likewise.
 */
#include "version/strategy.h"

#include <string.h>

typedef struct {
	char *pattern;
	bool is_path;       /* matched against the whole path */
	GArray *strategies; /* of ProllyStrategy; NULL: unspecified again */
} Rule;

struct ProllyAttributes {
	GArray *rules; /* of Rule, the last first */
};

static void clear_rule(gpointer data)
{
	Rule *rule = data;

	g_free(rule->pattern);
	g_clear_pointer(&rule->strategies, g_array_unref);
}

void prolly_attributes_free(ProllyAttributes *attributes)
{
	if (!attributes)
		return;
	g_array_unref(attributes->rules);
	g_free(attributes);
}

/* ---- Matching ---------------------------------------------------------------------------- */

/* The byte C against the class that begins after the '[' at PATTERN; *OUT_END is after its ']'.
 * False, *OUT_END NULL: it has none, and '[' means itself. */
static bool match_class(const char *pattern, char c, const char **out_end)
{
	const char *p = pattern;
	bool negated = *p == '!' || *p == '^';
	bool matched = false;

	*out_end = NULL;
	if (negated)
		p++;
	for (const char *first = p; *p && (*p != ']' || p == first); p++) {
		unsigned char low, high;

		if (*p == '\\' && p[1])
			p++;
		low = high = (unsigned char)*p;
		if (p[1] == '-' && p[2] && p[2] != ']') {
			p += 2;
			high = (unsigned char)*p;
		}
		matched = matched || (low <= (unsigned char)c && (unsigned char)c <= high);
	}
	if (*p != ']')
		return false;
	*out_end = p + 1;
	return matched != negated && c != '/';
}

/* One element of the pattern that is no '*' against the byte C; *PATTERN moves past it. */
static bool match_one(const char **pattern, char c)
{
	const char *p = *pattern;
	const char *end;
	bool matched;

	switch (*p) {
	case '\0':
		return false;
	case '?':
		*pattern = p + 1;
		return c != '/';
	case '[':
		matched = match_class(p + 1, c, &end);
		*pattern = end ? end : p + 1;
		return end ? matched : c == '[';
	case '\\':
		if (p[1])
			p++;
		break;
	default:
		break;
	}
	*pattern = p + 1;
	return *p == c;
}

/* Is there a "**" at PATTERN that stands for whole components (BEGINS: a component begins here)?
 * Then *OUT_REST is what follows it. */
static bool is_double_star(const char *pattern, bool begins, const char **out_rest)
{
	if (!begins || pattern[0] != '*' || pattern[1] != '*' ||
	    (pattern[2] != '/' && pattern[2] != '\0'))
		return false;
	*out_rest = pattern + (pattern[2] ? 3 : 2);
	return true;
}

/* Where to go on when what follows a star does not match. */
typedef struct {
	const char *pattern; /* after the star; NULL: there was none */
	const char *text;    /* the star matches up to here so far */
} Star;

/* Lets the star take one byte more ("**": one component more). False: it cannot. */
static bool extend_star(Star *star, bool is_double)
{
	if (!star->pattern || *star->text == '\0')
		return false;
	if (!is_double)
		return *star->text++ != '/';
	star->text += strcspn(star->text, "/");
	if (*star->text == '\0')
		return false;
	star->text++;
	return true;
}

static bool match(const char *pattern, const char *text)
{
	Star single = {0}, pair = {0};
	const char *start = pattern;

	for (;;) {
		bool begins = pattern == start || pattern[-1] == '/';
		const char *rest;

		if (is_double_star(pattern, begins, &rest)) {
			if (*rest == '\0')
				return *text != '\0';
			pair = (Star){rest, text};
			single.pattern = NULL;
			pattern = rest;
			continue;
		}
		if (*pattern == '*') {
			single = (Star){pattern + 1, text};
			pattern++;
			continue;
		}
		if (*pattern == '\0' && *text == '\0')
			return true;
		if (*text != '\0' && match_one(&pattern, *text)) {
			text++;
			continue;
		}
		if (extend_star(&single, false)) {
			pattern = single.pattern;
			text = single.text;
		} else if (extend_star(&pair, true)) {
			single.pattern = NULL;
			pattern = pair.pattern;
			text = pair.text;
		} else {
			return false;
		}
	}
}

static bool matches(const Rule *rule, const char *path)
{
	const char *slash = strrchr(path, '/');

	return match(rule->pattern, rule->is_path || !slash ? path : slash + 1);
}

const GArray *prolly_attributes_find(const ProllyAttributes *attributes, const char *path)
{
	for (guint i = 0; i < attributes->rules->len; i++) {
		const Rule *rule = &g_array_index(attributes->rules, Rule, i);

		if (matches(rule, path))
			return rule->strategies;
	}
	return NULL;
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* (transfer full) The word at *TEXT, which moves past it; NULL: the line ends. A pattern in quotes
 * is as in C, but an attribute's quotes hold what exec: needs: the rest of the word, as it is. */
static char *take_word(const char **text)
{
	const char *p = *text + strspn(*text, " \t\r");
	GString *word;
	bool quoted = false;

	if (*p == '\0')
		return NULL;
	word = g_string_new(NULL);
	for (; *p && (quoted || !strchr(" \t\r", *p)); p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted && *p == '\\' && p[1] && strchr("\"\\", p[1]))
			g_string_append_c(word, *++p);
		else
			g_string_append_c(word, *p);
	}
	*text = p;
	return g_string_free(word, FALSE);
}

/* What WORD says of merging, into RULE; *SAID if it does. */
static bool parse_attribute(const char *word, Rule *rule, bool *said, GError **error)
{
	const char *value = NULL;

	if (strcmp(word, "-merge") == 0)
		value = "none";
	else if (g_str_has_prefix(word, "merge="))
		value = word + strlen("merge=");
	else if (strcmp(word, "!merge") != 0)
		return true;
	*said = true;
	g_clear_pointer(&rule->strategies, g_array_unref);
	return !value || prolly_strategy_parse(value, &rule->strategies, error);
}

static bool parse_line(ProllyAttributes *attributes, const char *line, GError **error)
{
	g_autofree char *pattern = take_word(&line);
	Rule rule = {0};
	bool said = false, ok = true;
	char *word;

	if (!pattern || pattern[0] == '#')
		return true;
	while (ok && (word = take_word(&line))) {
		ok = parse_attribute(word, &rule, &said, error);
		g_free(word);
	}
	if (!ok || !said) {
		clear_rule(&rule);
		return ok;
	}
	rule.is_path = strchr(pattern, '/') != NULL;
	rule.pattern = g_strdup(pattern[0] == '/' ? pattern + 1 : pattern);
	g_array_prepend_val(attributes->rules, rule);
	return true;
}

bool prolly_attributes_parse(const char *text, size_t len, ProllyAttributes **out_attributes,
			     GError **error)
{
	g_autoptr(ProllyAttributes) attributes = g_new0(ProllyAttributes, 1);
	g_autofree char *copy = g_strndup(text, len);
	g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);

	attributes->rules = g_array_new(FALSE, FALSE, sizeof(Rule));
	g_array_set_clear_func(attributes->rules, clear_rule);
	for (guint i = 0; lines[i]; i++) {
		if (!parse_line(attributes, lines[i], error)) {
			g_prefix_error(error, "%s, line %u: ", PROLLY_ATTRIBUTES_KEY, i + 1);
			return false;
		}
	}
	*out_attributes = g_steal_pointer(&attributes);
	return true;
}
