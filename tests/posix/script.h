/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* script: what the files of the rows' language share. */

#include "posix.h"

typedef struct {
	const CasePlaces *places;
	int fds[128];   /* by letter */
	GString *value; /* of a call that has one */
} Script;

/* What a call gives is what a system call would. Words that are not there are NULL. */
typedef struct {
	const char *name;
	long (*func)(Script *self, char *const *words);
} ScriptCall;

/* The last has no name. */
extern const ScriptCall script_attr_calls[];

typedef struct {
	const char *name;
	long value;
} ScriptName;

/* "A|B|7" -> the values of the names, or'ed; a number stands for itself. */
long script_bits(const ScriptName *names, const char *text);
/* (transfer full) The text that a word writes. */
char *script_text(const char *word);
/* An octal number; of no word OTHERWISE. */
mode_t script_mode(const char *word, mode_t otherwise);
/* What was opened under a letter. */
int script_fd(const Script *self, const char *word);
/* Bytes as the rows write them: NULs as '0', spaces as '_', nothing as ".". */
void script_show(Script *self, const char *data, ssize_t len);
/* For g_ptr_array_sort. */
int script_compare_names(const void *a, const void *b);
/* Runs the call that WORDS name. */
long script_call(Script *self, char *const *words);
