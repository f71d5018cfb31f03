/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pattern-parse: a regular expression as a tree.
 *
 * Basic and extended ones of POSIX, with what glibc adds and people use: \| \+ \? in basic ones,
 * \w \W \s \S \b \B \< \> \` \' in both. As there a repetition that has nothing before it is itself
 * in a basic expression and an error in an extended one, and the like. Back references are an error:
 * what has them cannot be matched in bounded time.
 *
 * How deep groups and repetitions may be nested is bounded, since they are gone through by recursion,
 * here and in pattern.c.
 */

#include "command/pattern-private.h"

#include <string.h>

#define DEPTH_MAX  100u   /* of groups */
#define NODES_MAX  400u   /* of what they are made of, one in the other */
#define REPEAT_MAX 32767u /* as in glibc */

typedef struct {
	PatternTree *tree;
	const char *text, *end; /* what was not taken yet */
	bool extended;
	bool begins; /* nothing of this alternative was taken */
	unsigned depth;
	GError **error;
} Parser;

static bool parse_either(Parser *self, uint32_t *out_node);

static bool fail(Parser *self, const char *what)
{
	return prolly_throw(self->error, PROLLY_ERROR_USAGE, "%s", what);
}

/* ---- Characters -------------------------------------------------------------------------- */

uint32_t prolly_pattern_take_char(const char **text, const char *end)
{
	uint8_t byte = (uint8_t) * *text;
	gunichar c;

	if (byte < 0x80) {
		++*text;
		return byte;
	}
	c = g_utf8_get_char_validated(*text, end - *text);
	if (c >= PATTERN_RAW) {
		++*text;
		return PATTERN_RAW + byte;
	}
	*text = g_utf8_next_char(*text);
	return c;
}

static bool is_alpha(gunichar c)
{
	return g_unichar_isalpha(c);
}

static bool is_digit(gunichar c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(gunichar c)
{
	return g_unichar_isalnum(c);
}

static bool is_upper(gunichar c)
{
	return g_unichar_isupper(c);
}

static bool is_lower(gunichar c)
{
	return g_unichar_islower(c);
}

static bool is_space(gunichar c)
{
	return c == '\v' || g_unichar_isspace(c);
}

static bool is_blank(gunichar c)
{
	return c == '\t' || (c != '\n' && g_unichar_type(c) == G_UNICODE_SPACE_SEPARATOR);
}

static bool is_cntrl(gunichar c)
{
	return g_unichar_iscntrl(c);
}

static bool is_graph(gunichar c)
{
	return g_unichar_isgraph(c);
}

static bool is_print(gunichar c)
{
	return g_unichar_isprint(c);
}

static bool is_punct(gunichar c)
{
	return g_unichar_isgraph(c) && !g_unichar_isalnum(c);
}

static bool is_xdigit(gunichar c)
{
	return c < 0x80 && g_ascii_isxdigit((char)c);
}

static const struct {
	const char *name;
	bool (*has)(gunichar c);
} CLASSES[] = {
	{"alpha", is_alpha}, {"digit", is_digit}, {"alnum", is_alnum}, {"upper", is_upper},
	{"lower", is_lower}, {"space", is_space}, {"blank", is_blank}, {"cntrl", is_cntrl},
	{"graph", is_graph}, {"print", is_print}, {"punct", is_punct}, {"xdigit", is_xdigit},
};

bool prolly_pattern_is_word(uint32_t c)
{
	return c == '_' || (c < PATTERN_RAW && g_unichar_isalnum(c));
}

bool prolly_pattern_set_has(const PatternSet *set, uint32_t c)
{
	bool found = false;

	for (size_t i = 0; i < G_N_ELEMENTS(CLASSES) && c < PATTERN_RAW && !found; i++)
		found = (set->classes >> i & 1) && CLASSES[i].has(c);
	for (guint i = 0; i < set->ranges->len && !found; i++) {
		const PatternRange *range = &g_array_index(set->ranges, PatternRange, i);

		found = c >= range->first && c <= range->last;
	}
	return found;
}

/* ---- Nodes ------------------------------------------------------------------------------- */

static PatternNode *get_node(const Parser *self, uint32_t node)
{
	return &g_array_index(self->tree->nodes, PatternNode, node);
}

static uint32_t add_node(Parser *self, PatternKind kind, uint32_t value)
{
	PatternNode node = {.kind = kind, .value = value};

	g_array_append_val(self->tree->nodes, node);
	return self->tree->nodes->len - 1;
}

/* Makes CHILD the last one of PARENT. */
static void add_child(Parser *self, uint32_t parent, uint32_t child)
{
	get_node(self, child)->before = get_node(self, parent)->child;
	get_node(self, parent)->child = child;
	get_node(self, parent)->depth =
		MAX(get_node(self, parent)->depth, get_node(self, child)->depth + 1);
}

static PatternSet *add_set(Parser *self, bool is_negated, uint32_t *out_node)
{
	PatternSet set = {.is_negated = is_negated,
			  .ranges = g_array_new(FALSE, FALSE, sizeof(PatternRange))};

	g_array_append_val(self->tree->sets, set);
	*out_node = add_node(self, PATTERN_SET, self->tree->sets->len - 1);
	return &g_array_index(self->tree->sets, PatternSet, self->tree->sets->len - 1);
}

static void add_range(PatternSet *set, uint32_t first, uint32_t last)
{
	PatternRange range = {first, last};

	g_array_append_val(set->ranges, range);
}

static void add_class(PatternSet *set, const char *name, size_t len)
{
	for (size_t i = 0; i < G_N_ELEMENTS(CLASSES); i++)
		if (strlen(CLASSES[i].name) == len && memcmp(CLASSES[i].name, name, len) == 0)
			set->classes |= 1u << i;
}

/* ---- Sets -------------------------------------------------------------------------------- */

static bool at(const Parser *self, const char *what)
{
	size_t len = strlen(what);

	return (size_t)(self->end - self->text) >= len && memcmp(self->text, what, len) == 0;
}

static bool take(Parser *self, const char *what)
{
	if (!at(self, what))
		return false;
	self->text += strlen(what);
	return true;
}

/* "[:NAME:]", "[=X=]" or "[.X.]", from its second character on, into *OUT_NAME. */
static bool take_named(Parser *self, char kind, const char **out_name, size_t *out_len)
{
	const char close[] = {kind, ']'};
	const char *found;

	*out_name = self->text + 2;
	found = memmem(*out_name, (size_t)(self->end - *out_name), close, sizeof(close));
	if (!found)
		return fail(self, "[ without ]");
	*out_len = (size_t)(found - *out_name);
	self->text = found + sizeof(close);
	return true;
}

/* An end of a range, or one character. */
static bool take_member(Parser *self, uint32_t *out_c)
{
	const char *name, *rest;
	size_t len;

	if (self->text == self->end)
		return fail(self, "[ without ]");
	if (at(self, "[:"))
		return fail(self, "a class at an end of a range");
	if (!at(self, "[=") && !at(self, "[.")) {
		*out_c = prolly_pattern_take_char(&self->text, self->end);
		return true;
	}
	if (!take_named(self, self->text[1], &name, &len))
		return false;
	rest = name;
	if (len)
		*out_c = prolly_pattern_take_char(&rest, name + len);
	return (len && rest == name + len) || fail(self, "a collating element that is not known");
}

static bool take_class(Parser *self, PatternSet *set)
{
	uint32_t before = set->classes;
	const char *name;
	size_t len;

	if (!take_named(self, ':', &name, &len))
		return false;
	set->classes = 0;
	add_class(set, name, len);
	if (!set->classes)
		return fail(self, "a class that is not known");
	set->classes |= before;
	return true;
}

/* Behind its "[". */
static bool parse_set(Parser *self, uint32_t *out_node)
{
	bool is_negated = take(self, "^");
	PatternSet *set = add_set(self, is_negated, out_node);
	bool first = true;

	for (; first || !take(self, "]"); first = false) {
		uint32_t from, to;

		if (at(self, "[:")) {
			if (!take_class(self, set))
				return false;
			continue;
		}
		if (!take_member(self, &from))
			return false;
		to = from;
		if (at(self, "-") && self->end - self->text > 1 && self->text[1] != ']') {
			self->text++;
			if (!take_member(self, &to))
				return false;
		}
		if (to < from)
			return fail(self, "a range that ends before it begins");
		add_range(set, from, to);
	}
	return true;
}

/* ---- Repetitions ------------------------------------------------------------------------- */

/* No digits: *OUT_NUMBER stays as it is. */
static bool take_number(Parser *self, uint32_t *out_number)
{
	uint32_t number = 0;

	if (self->text == self->end || !g_ascii_isdigit(*self->text))
		return true;
	for (; self->text < self->end && g_ascii_isdigit(*self->text); self->text++) {
		number = number * 10 + (uint32_t)(*self->text - '0');
		if (number > REPEAT_MAX)
			return fail(self, "a repetition count that is too large");
	}
	*out_number = number;
	return true;
}

/* Behind "{": "N}", "N,}", ",M}" or "N,M}". */
static bool take_interval(Parser *self, uint32_t *out_min, uint32_t *out_max)
{
	const char *begin = self->text;

	*out_min = 0;
	if (!take_number(self, out_min))
		return false;
	*out_max = *out_min;
	bool is_empty = self->text == begin;
	if (take(self, ",")) {
		is_empty = false;
		*out_max = PATTERN_UNBOUNDED;
		if (!take_number(self, out_max))
			return false;
	}
	if (is_empty || *out_min > *out_max || !take(self, self->extended ? "}" : "\\}"))
		return fail(self, "a repetition that is none");
	return true;
}

/* Is it one? It is taken then. */
static bool take_repetition(Parser *self, bool *out_taken, uint32_t *out_min, uint32_t *out_max)
{
	*out_taken = true;
	*out_min = 0;
	*out_max = PATTERN_UNBOUNDED;
	if (take(self, "*"))
		return true;
	if (take(self, self->extended ? "+" : "\\+")) {
		*out_min = 1;
		return true;
	}
	if (take(self, self->extended ? "?" : "\\?")) {
		*out_max = 1;
		return true;
	}
	if (take(self, self->extended ? "{" : "\\{"))
		return take_interval(self, out_min, out_max);
	*out_taken = false;
	return true;
}

static bool parse_repetitions(Parser *self, uint32_t *node)
{
	for (bool again = false;; again = true) {
		uint32_t min, max, repeat;
		bool taken;

		if (again && !self->extended && (at(self, "*") || at(self, "\\{")))
			return fail(self, "a repetition of a repetition");
		if (!take_repetition(self, &taken, &min, &max))
			return false;
		if (!taken)
			return true;
		repeat = add_node(self, PATTERN_REPEAT, 0);
		get_node(self, repeat)->min = min;
		get_node(self, repeat)->max = max;
		add_child(self, repeat, *node);
		if (get_node(self, repeat)->depth > NODES_MAX)
			return fail(self, "it is nested too deeply");
		*node = repeat;
	}
}

/* ---- What is repeated -------------------------------------------------------------------- */

/* \w and the like. False: C is none of them. */
static bool add_shorthand(Parser *self, char c, uint32_t *out_node)
{
	static const char ASSERTIONS[] = "<>bB`'";
	static const PatternKind KINDS[] = {PATTERN_WORD_START, PATTERN_WORD_END,
					    PATTERN_WORD_EDGE,  PATTERN_NO_EDGE,
					    PATTERN_LINE_START, PATTERN_LINE_END};
	const char *assertion = c ? strchr(ASSERTIONS, c) : NULL;

	if (assertion) {
		*out_node = add_node(self, KINDS[assertion - ASSERTIONS], 0);
	} else if (c == 'w' || c == 'W') {
		PatternSet *set = add_set(self, c == 'W', out_node);
		add_class(set, "alnum", strlen("alnum"));
		add_range(set, '_', '_');
	} else if (c == 's' || c == 'S') {
		add_class(add_set(self, c == 'S', out_node), "space", strlen("space"));
	} else {
		return false;
	}
	return true;
}

/* Behind its "(". */
static bool parse_group(Parser *self, uint32_t *out_node)
{
	if (++self->depth > DEPTH_MAX)
		return fail(self, "it is nested too deeply");
	if (!parse_either(self, out_node))
		return false;
	self->depth--;
	self->begins = false;
	return take(self, self->extended ? ")" : "\\)") || fail(self, "( without )");
}

static bool parse_escaped(Parser *self, uint32_t *out_node)
{
	const char *c = self->text + 1;

	if (c == self->end)
		return fail(self, "a backslash at the end");
	if (g_ascii_isdigit(*c) && *c != '0')
		return fail(self, "back references are not supported");
	if (!self->extended && *c == '{')
		return fail(self, "nothing to be repeated");
	if (!self->extended && *c == ')')
		return fail(self, ") without (");
	self->text++;
	if (!self->extended && take(self, "("))
		return parse_group(self, out_node);
	if (add_shorthand(self, *c, out_node))
		self->text++;
	else
		*out_node = add_node(self, PATTERN_CHAR,
				     prolly_pattern_take_char(&self->text, self->end));
	return true;
}

/* Is the "$" here the end of a line? */
static bool is_line_end(const Parser *self)
{
	const char *rest = self->text + 1;

	return self->extended || rest == self->end ||
	       (self->end - rest > 1 && rest[0] == '\\' && (rest[1] == ')' || rest[1] == '|'));
}

/* One character, set, group or assertion. */
static bool parse_atom(Parser *self, uint32_t *out_node)
{
	bool begins = self->begins;

	self->begins = false;
	if (at(self, "\\"))
		return parse_escaped(self, out_node);
	if (take(self, "["))
		return parse_set(self, out_node);
	if (self->extended && take(self, "("))
		return parse_group(self, out_node);
	if (self->extended && strchr("*+?{", *self->text))
		return fail(self, "nothing to be repeated");
	if (*self->text == '^' && (self->extended || begins))
		*out_node = add_node(self, PATTERN_LINE_START, 0);
	else if (*self->text == '$' && is_line_end(self))
		*out_node = add_node(self, PATTERN_LINE_END, 0);
	else if (*self->text == '.')
		*out_node = add_node(self, PATTERN_ANY, 0);
	else {
		*out_node = add_node(self, PATTERN_CHAR,
				     prolly_pattern_take_char(&self->text, self->end));
		return true;
	}
	self->text++;
	return true;
}

/* ---- Expressions ------------------------------------------------------------------------- */

static bool ends(const Parser *self)
{
	if (self->text == self->end)
		return true;
	if (!self->extended)
		return at(self, "\\|") || (self->depth && at(self, "\\)"));
	return at(self, "|") || (self->depth && at(self, ")"));
}

static bool parse_concat(Parser *self, uint32_t *out_node)
{
	uint32_t all = add_node(self, PATTERN_CONCAT, 0);

	for (self->begins = true; !ends(self);) {
		uint32_t node = 0;

		if (!parse_atom(self, &node) ||
		    (get_node(self, node)->kind < PATTERN_LINE_START && /* else an assertion */
		     !parse_repetitions(self, &node)))
			return false;
		add_child(self, all, node);
	}
	*out_node = all;
	return true;
}

static bool parse_either(Parser *self, uint32_t *out_node)
{
	uint32_t either = add_node(self, PATTERN_EITHER, 0);

	do {
		uint32_t node = 0;

		if (!parse_concat(self, &node))
			return false;
		add_child(self, either, node);
	} while (take(self, self->extended ? "|" : "\\|"));
	*out_node = either;
	return true;
}

static void clear_set(void *set)
{
	g_array_unref(((PatternSet *)set)->ranges);
}

bool prolly_pattern_parse(const char *text, size_t len, bool extended, PatternTree *tree,
			  GError **error)
{
	Parser self = {.tree = tree,
		       .text = text,
		       .end = text + len,
		       .extended = extended,
		       .error = error};

	tree->nodes = g_array_new(FALSE, FALSE, sizeof(PatternNode));
	tree->sets = g_array_new(FALSE, FALSE, sizeof(PatternSet));
	g_array_set_clear_func(tree->sets, clear_set);
	add_node(&self, PATTERN_EMPTY, 0);
	return parse_either(&self, &tree->top);
}

void prolly_pattern_tree_clear(PatternTree *tree)
{
	g_clear_pointer(&tree->nodes, g_array_unref);
	g_clear_pointer(&tree->sets, g_array_unref);
}
