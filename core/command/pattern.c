/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pattern: regular expressions of whoever asks, over texts of whoever wrote them.
 *
 * glibc's regcomp and regexec are not for either: a few parentheses overflow the stack or fill the
 * memory, and a short expression takes minutes and gigabytes over a long line; and nothing ends them.
 * Here an expression becomes a nondeterministic automaton that is run over the text once, all its
 * states side by side (Thompson). The cost of one character is at most COST_MAX steps for all of a
 * command's expressions together, and that of their automata as much memory, whatever expressions and
 * text are; a command that is interrupted ends.
 *
 * As with REG_NEWLINE a text is its lines: no character of an expression is a newline, and lines begin
 * and end at one. As in git an expression of several lines is several expressions.
 *
 * (PCRE has limits of its own, but backtracks: what goes beyond them has no answer.)
 */

#include "base/memory.h"
#include "command/command-private.h"
#include "command/pattern-private.h"

#include <string.h>

#define TEXT_MAX    1024u  /* bytes of an expression */
#define COST_MAX    10000u /* what is looked at for one character */
#define CHECK_EVERY 4096u  /* characters between two looks whether somebody still waits */
#define SHOWN_MAX   60     /* bytes of an expression in an error */

typedef struct {
	PatternKind kind; /* EITHER: goes on with both; EMPTY: it matches */
	uint32_t value;
	uint32_t next, other;
} State;

typedef struct {
	PatternTree tree; /* for its sets */
	State *states;
	uint32_t n, start;
	uint32_t *lists; /* room for three of states, for a run */
	uint64_t *marks; /* of states: this mark, if gone through at the same place */
	uint64_t mark;
} Program;

struct ProllyPattern {
	ProllyCommand *command; /* borrowed */
	bool ignores_case;
	uint32_t cost;       /* without a command */
	GPtrArray *programs; /* of Program: one must match */
};

/* ---- From a tree to a program ------------------------------------------------------------ */

typedef struct {
	Program *program;
	uint32_t *cost;   /* of all programs of the command */
	uint32_t n_cases; /* in which a character is compared with a set */
} Builder;

/* The cost is what going through the state, or through this part of the tree, takes. */
static bool spend(Builder *self, uint32_t cost)
{
	if (cost > COST_MAX - *self->cost)
		return false;
	*self->cost += cost;
	return true;
}

static bool add_state(Builder *self, State state, uint32_t *out_state)
{
	if (!spend(self, 1))
		return false;
	*out_state = self->program->n++;
	self->program->states[*out_state] = state;
	return true;
}

static bool build(Builder *self, uint32_t place, uint32_t next, uint32_t *out_start);

/* A loop around the node CHILD, of no or more turns. */
static bool build_loop(Builder *self, uint32_t child, uint32_t next, uint32_t *out_start)
{
	State loop = {.kind = PATTERN_EITHER, .other = next};
	uint32_t body;

	if (!add_state(self, loop, out_start) || !build(self, child, *out_start, &body))
		return false;
	self->program->states[*out_start].next = body;
	return true;
}

static bool build_repeat(Builder *self, const PatternNode *node, uint32_t next, uint32_t *out_start)
{
	uint32_t optional = node->max == PATTERN_UNBOUNDED ? 0 : node->max - node->min;
	uint32_t start = next;

	if (node->max == PATTERN_UNBOUNDED && !build_loop(self, node->child, next, &start))
		return false;
	for (uint32_t i = 0; i < optional; i++) {
		State either = {.kind = PATTERN_EITHER, .other = next};

		if (!build(self, node->child, start, &either.next) ||
		    !add_state(self, either, &start))
			return false;
	}
	for (uint32_t i = 0; i < node->min; i++)
		if (!build(self, node->child, start, &start))
			return false;
	*out_start = start;
	return true;
}

static bool build_either(Builder *self, const PatternNode *node, uint32_t next, uint32_t *out_start)
{
	const GArray *nodes = self->program->tree.nodes;
	bool is_first = true;

	*out_start = next;
	for (uint32_t child = node->child; child;
	     child = g_array_index(nodes, PatternNode, child).before) {
		State either = {.kind = PATTERN_EITHER, .other = *out_start};

		if (!build(self, child, next, &either.next))
			return false;
		if (is_first)
			*out_start = either.next;
		else if (!add_state(self, either, out_start))
			return false;
		is_first = false;
	}
	return true;
}

static bool build_concat(Builder *self, const PatternNode *node, uint32_t next, uint32_t *out_start)
{
	const GArray *nodes = self->program->tree.nodes;

	*out_start = next;
	for (uint32_t child = node->child; child;
	     child = g_array_index(nodes, PatternNode, child).before)
		if (!build(self, child, *out_start, out_start))
			return false;
	return true;
}

static uint32_t measure_set(const Builder *self, const PatternNode *node)
{
	const PatternSet *set = &g_array_index(self->program->tree.sets, PatternSet, node->value);

	return self->n_cases * (set->ranges->len + (uint32_t)__builtin_popcount(set->classes));
}

/* The states of the node at PLACE, after which NEXT comes. False: they cost too much. */
static bool build(Builder *self, uint32_t place, uint32_t next, uint32_t *out_start)
{
	const PatternTree *tree = &self->program->tree;
	const PatternNode *node = &g_array_index(tree->nodes, PatternNode, place);
	State state = {.kind = node->kind, .value = node->value, .next = next};

	if (!spend(self, 1)) /* also for what has no states: there may be many times nothing */
		return false;
	switch (node->kind) {
	case PATTERN_CONCAT:
		return build_concat(self, node, next, out_start);
	case PATTERN_EITHER:
		return build_either(self, node, next, out_start);
	case PATTERN_REPEAT:
		return build_repeat(self, node, next, out_start);
	case PATTERN_SET:
		return spend(self, measure_set(self, node)) && add_state(self, state, out_start);
	default:
		return add_state(self, state, out_start);
	}
}

static void free_program(void *data)
{
	Program *program = data;

	prolly_pattern_tree_clear(&program->tree);
	g_free(program->states);
	g_free(program->lists);
	g_free(program->marks);
	g_free(program);
}

/* The characters of a program that takes no heed of case are small ones. */
static void fold_characters(Program *program)
{
	for (uint32_t i = 0; i < program->n; i++) {
		State *state = &program->states[i];

		if (state->kind == PATTERN_CHAR && state->value < PATTERN_RAW)
			state->value = g_unichar_tolower(state->value);
	}
}

/* LEN bytes of one line. */
static bool add_program(ProllyPattern *self, const char *text, size_t len, bool extended,
			GError **error)
{
	Program *program = g_new0(Program, 1);
	Builder builder = {.program = program,
			   .cost = self->command ? &self->command->pattern_cost : &self->cost,
			   .n_cases = self->ignores_case ? 3 : 1};
	State match = {.kind = PATTERN_EMPTY};
	uint32_t end;

	g_ptr_array_add(self->programs, program);
	program->states = prolly_try_new(State, COST_MAX, "a regular expression", error);
	if (!program->states || !prolly_pattern_parse(text, len, extended, &program->tree, error))
		return false;
	if (!add_state(&builder, match, &end) ||
	    !build(&builder, program->tree.top, end, &program->start))
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "it is repeated too often, or there is too much beside it");
	program->states = g_renew(State, program->states, program->n);
	if (self->ignores_case)
		fold_characters(program);
	program->lists = prolly_try_new(uint32_t, 3 * (size_t)program->n, "its states", error);
	program->marks = prolly_try_new0(uint64_t, program->n, "its states", error);
	return program->lists && program->marks;
}

static bool add_programs(ProllyPattern *self, const char *text, bool extended, GError **error)
{
	if (strlen(text) > TEXT_MAX)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "it is over %u bytes", TEXT_MAX);
	for (;;) {
		size_t len = strcspn(text, "\n");

		if (!add_program(self, text, len, extended, error))
			return false;
		if (!text[len])
			return true;
		text += len + 1;
	}
}

bool prolly_pattern_new(ProllyCommand *command, const char *text, bool extended, bool ignore_case,
			ProllyPattern **out_pattern, GError **error)
{
	g_autoptr(ProllyPattern) self = g_new0(ProllyPattern, 1);

	self->command = command;
	self->ignores_case = ignore_case;
	self->programs = g_ptr_array_new_with_free_func(free_program);
	if (!add_programs(self, text, extended, error)) {
		g_prefix_error(error, "%.*s: ", SHOWN_MAX, text);
		return false;
	}
	*out_pattern = g_steal_pointer(&self);
	return true;
}

void prolly_pattern_free(ProllyPattern *self)
{
	if (!self)
		return;
	g_ptr_array_unref(self->programs);
	g_free(self);
}

/* ---- Running ----------------------------------------------------------------------------- */

#define NO_CHAR UINT32_MAX /* before the beginning, behind the end */

/* Where a run is: between two characters. */
typedef struct {
	Program *program;
	bool ignores_case;
	uint32_t before, after;
	uint32_t *states, n_states;   /* that wait for the character after */
	uint32_t *seeds, n_seeds;     /* what the character before has led to */
	uint32_t *pending, n_pending; /* still to be gone through */
} Run;

static bool holds(const Run *run, PatternKind kind)
{
	bool word_before = run->before != NO_CHAR && prolly_pattern_is_word(run->before);
	bool word_after = run->after != NO_CHAR && prolly_pattern_is_word(run->after);

	switch (kind) {
	case PATTERN_LINE_START:
		return run->before == NO_CHAR || run->before == '\n';
	case PATTERN_LINE_END:
		return run->after == NO_CHAR || run->after == '\n';
	case PATTERN_WORD_START:
		return !word_before && word_after;
	case PATTERN_WORD_END:
		return word_before && !word_after;
	case PATTERN_WORD_EDGE:
		return word_before != word_after;
	default:
		return word_before == word_after;
	}
}

static void push(Run *run, uint32_t state)
{
	if (run->program->marks[state] == run->program->mark)
		return;
	run->program->marks[state] = run->program->mark;
	run->pending[run->n_pending++] = state;
}

/* Goes from the seeds, and from the start, through all that takes no character. True: it matches. */
static bool follow(Run *run)
{
	run->program->mark++;
	run->n_states = 0;
	push(run, run->program->start);
	for (uint32_t i = 0; i < run->n_seeds; i++)
		push(run, run->seeds[i]);
	while (run->n_pending) {
		uint32_t place = run->pending[--run->n_pending];
		const State *state = &run->program->states[place];

		if (state->kind == PATTERN_EMPTY)
			return true;
		if (state->kind == PATTERN_EITHER) {
			push(run, state->next);
			push(run, state->other);
		} else if (state->kind < PATTERN_LINE_START) {
			run->states[run->n_states++] = place;
		} else if (holds(run, state->kind)) {
			push(run, state->next);
		}
	}
	return false;
}

static bool is_in_set(const Run *run, const PatternSet *set, uint32_t c)
{
	bool found = prolly_pattern_set_has(set, c);

	if (run->ignores_case && c < PATTERN_RAW)
		found = found || prolly_pattern_set_has(set, g_unichar_tolower(c)) ||
			prolly_pattern_set_has(set, g_unichar_toupper(c));
	return found != set->is_negated;
}

static bool takes(const Run *run, const State *state, uint32_t c, uint32_t folded)
{
	const GArray *sets = run->program->tree.sets;

	switch (state->kind) {
	case PATTERN_CHAR:
		return state->value == folded;
	case PATTERN_ANY:
		return true;
	default:
		return is_in_set(run, &g_array_index(sets, PatternSet, state->value), c);
	}
}

/* Over the character after. A newline ends whatever goes on. */
static void step(Run *run)
{
	uint32_t c = run->after;
	uint32_t folded = run->ignores_case && c < PATTERN_RAW ? g_unichar_tolower(c) : c;

	run->n_seeds = 0;
	for (uint32_t i = 0; i < run->n_states && c != '\n'; i++) {
		const State *state = &run->program->states[run->states[i]];

		if (takes(run, state, c, folded))
			run->seeds[run->n_seeds++] = state->next;
	}
	run->before = c;
}

static bool run_over(Run *run, ProllyCommand *command, const char *text)
{
	const char *end = text + strlen(text);

	run->before = NO_CHAR;
	for (uint32_t n = 1;; n++) {
		const char *next = text;

		run->after = text < end ? prolly_pattern_take_char(&next, end) : NO_CHAR;
		/* Behind the last newline is no line. */
		if (text == end && run->before == '\n')
			return false;
		if (follow(run))
			return true;
		if (text == end ||
		    (n % CHECK_EVERY == 0 && command && !prolly_command_check(command, NULL)))
			return false;
		step(run);
		text = next;
	}
}

static bool program_matches(const ProllyPattern *self, Program *program, const char *text)
{
	Run run = {
		.program = program,
		.ignores_case = self->ignores_case,
		.states = program->lists,
		.seeds = program->lists + program->n,
		.pending = program->lists + 2 * (size_t)program->n,
	};

	return run_over(&run, self->command, text);
}

bool prolly_pattern_matches(ProllyPattern *self, const char *text)
{
	for (guint i = 0; i < self->programs->len; i++)
		if (program_matches(self, g_ptr_array_index(self->programs, i), text))
			return true;
	return false;
}
