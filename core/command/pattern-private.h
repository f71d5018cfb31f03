/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pattern-private: what pattern-parse.c makes of a regular expression, and pattern.c a program of.
 */

#include "base/base.h"

/* A character is a code point, or this and a byte that is none of valid UTF-8. */
#define PATTERN_RAW (0x110000u)

typedef enum {
	PATTERN_EMPTY,
	PATTERN_CHAR,
	PATTERN_ANY,
	PATTERN_SET,
	PATTERN_CONCAT, /* of the children, the last first */
	PATTERN_EITHER, /* one of the children */
	PATTERN_REPEAT, /* of the one child */
	PATTERN_LINE_START,
	PATTERN_LINE_END,
	PATTERN_WORD_START,
	PATTERN_WORD_END,
	PATTERN_WORD_EDGE,
	PATTERN_NO_EDGE,
} PatternKind;

#define PATTERN_UNBOUNDED UINT32_MAX

/* Nodes are named by their place; 0 is the empty one, and stands for none among siblings. */
typedef struct {
	PatternKind kind;
	uint32_t value;    /* of a CHAR; of a SET its place */
	uint32_t child;    /* the last one */
	uint32_t before;   /* the sibling before this one */
	uint32_t min, max; /* of a REPEAT */
	unsigned depth;    /* of what is below, and of this */
} PatternNode;

typedef struct {
	uint32_t first, last;
} PatternRange;

typedef struct {
	bool is_negated;
	uint32_t classes; /* bits, by their places in pattern-parse.c */
	GArray *ranges;   /* of PatternRange */
} PatternSet;

typedef struct {
	GArray *nodes; /* of PatternNode */
	GArray *sets;  /* of PatternSet */
	uint32_t top;
} PatternTree;

/* The character at TEXT, which is not at END; *TEXT moves past it. */
uint32_t prolly_pattern_take_char(const char **text, const char *end);
bool prolly_pattern_set_has(const PatternSet *set, uint32_t c);
bool prolly_pattern_is_word(uint32_t c);

/* Fills TREE, which is to be cleared in any case. LEN bytes, without a newline. USAGE. */
bool prolly_pattern_parse(const char *text, size_t len, bool extended, PatternTree *tree,
			  GError **error);
void prolly_pattern_tree_clear(PatternTree *tree);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PatternTree, prolly_pattern_tree_clear)
