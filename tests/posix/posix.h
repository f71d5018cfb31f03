/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * posix: a matrix of system calls and what each has to do, for any directory.
 *
 * Two kinds of cases. A row is a small script (script.c) with the result of its last call: an errno
 * or a value. A function does what a script cannot: several processes, mappings, locks. Each case
 * runs in a process and a directory of its own and is one line of TAP.
 *
 * The expectations are those of a native filesystem, and are tried on one too (posix.bats): where
 * ours is different on purpose the row says so, with CASE_OURS and its twin CASE_NATIVE.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Two users without any privilege; root's run of the matrix acts as them. */
#define USER_A 12001
#define USER_B 12002

enum {
	CASE_ROOT = 1 << 0,   /* needs root */
	CASE_USER = 1 << 1,   /* needs somebody else */
	CASE_OURS = 1 << 2,   /* on prollyfs only */
	CASE_NATIVE = 1 << 3, /* elsewhere only */
};

typedef struct {
	const char *name;
	const char *script;
	const char *expected;
	unsigned flags;
} CaseRow;

/* Directories beside the current one, of the same case; absolute. */
typedef struct {
	char *other;    /* in another namespace of the branch */
	char *foreign;  /* in another branch */
	char *readonly; /* has file, dir/file, empty/, link; NULL: none */
} CasePlaces;

/* NULL: passed. Else what was wrong (transfer full). */
typedef char *(*CaseFunc)(const CasePlaces *places);

typedef struct {
	const char *name;
	CaseFunc func;
	unsigned flags;
} CaseCall;

typedef struct {
	const char *name;
	const CaseRow *rows;
	const CaseCall *calls;
	void (*generate)(GArray *rows); /* adds CaseRows whose strings stay allocated */
} CaseGroup;

/* The groups, one for each file of cases; the last has no name. */
const CaseGroup *case_groups(void);

/* (transfer full) The result of the last call of SCRIPT: "ok", an errno's name, or a value. A call
 * before it that fails is told as "CALL: ERRNO". */
char *case_run_script(const char *script, const CasePlaces *places);

/* In functions of cases: returns a description unless CONDITION holds. */
#define CHECK(condition)                                                                    \
	do {                                                                                \
		if (!(condition))                                                           \
			return g_strdup_printf("%s:%d: %s (errno: %s)", __FILE__, __LINE__, \
					       #condition, g_strerror(errno));              \
	} while (0)

/* Ends a child with whether it saw what it should; case_wait tells the parent. */
bool case_wait(pid_t child);

extern const CaseRow rows_open[], rows_names[], rows_attr[], rows_data[], rows_readonly[],
	rows_xattr[], rows_paths[], rows_times[];
extern const CaseCall calls_io[], calls_process[], calls_directory[];
void rows_rename_generate(GArray *rows);
