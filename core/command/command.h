/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * command: prollyfs-ctl's commands, one implementation for its three ways in: in-process on a store
 * that nobody has open, through a mount's control file, and from scripts that write to it.
 *
 * A command is a list of words without the program's name ("commit", "-m", "fix"), options of the
 * program included (-b, --at, --json, -q, --work; --cwd, --env and --terminal tell what a front end
 * knows of its caller). It writes its result through the streams it
 * is given, as it is produced, and returns an exit status: 0 done, 1 the answer is no, 2 it failed,
 * with one line on the error stream that names the object.
 *
 * Threads: any number of commands at once.
 */

#include <stdatomic.h>

#include "version/version.h"

/* What a command reads and writes. Each returns false when the other end is gone. */
typedef struct {
	/* Up to LEN bytes of standard input; *OUT_LEN 0: its end. Nullable: there is no input. */
	bool (*read)(void *data, void *buffer, size_t len, size_t *out_len);
	bool (*write)(void *data, const void *bytes, size_t len);       /* standard output */
	bool (*write_error)(void *data, const void *bytes, size_t len); /* standard error */
	/* Progress of a long command: DONE of TOTAL (0: unknown). Nullable. */
	void (*progress)(void *data, const char *what, uint64_t done, uint64_t total);
	/* True when the caller has gone or interrupted: the command ends with CANCELLED. Nullable.
	 */
	bool (*is_cancelled)(void *data);
	void *data;
} ProllyStreams;

/* How many bytes a caller may hold: lines and input that no command has taken yet, output that nobody
 * has read yet, in all sessions and texts that have the same one. */
typedef struct {
	size_t limit;
	_Atomic size_t taken;
} ProllyAllowance;

/* N bytes more, unless that is over the limit. NULL has none. Any thread. */
bool prolly_allowance_take(ProllyAllowance *allowance, size_t n);
void prolly_allowance_give(ProllyAllowance *allowance, size_t n);

typedef struct {
	const char *branch; /* implied by where the caller is; NULL: none */
	const char *cwd; /* directory below the branch that relative PATHs start from; NULL or "" */
	bool confined;   /* a branch's own control file: changing another branch or the store is
			    DENIED */
	const char *const
		*environment; /* GIT_* of the caller, NULL-terminated; NULL: this process's */
	bool is_owner;        /* is who owns this process: a strategy may run a command of theirs */
	bool read_only;       /* so is the mount: a command that changes something is READ_ONLY */
	bool is_terminal;     /* standard output is one: colour is allowed */
	ProllyAllowance *allowance; /* of a session or text; NULL: without limit */
} ProllyCaller;

/* Runs one command on REPO. *OUT_ERRNO (nullable): for status 2, the errno that fits. */
int prolly_command_run(ProllyRepo *repo, const ProllyCaller *caller, const ProllyStreams *streams,
		       const char *const *words, int *out_errno);

/* After a command that changed something on REPO, which nobody has mounted: collects garbage if there
 * is much to gain. What goes wrong is said on the error stream. */
void prolly_command_tidy(ProllyRepo *repo, const ProllyStreams *streams);

/* What a front end must know of a command line before it can have it run. */
typedef struct {
	const char *directory; /* of -C, borrowed from the words; NULL: not given */
	bool store;            /* runs on a store (else with REPO NULL: init, --help, --version) */
	bool place;    /* without a store, has PATHs all the same: --cwd, -C is not changed to */
	bool input;    /* reads standard input */
	bool changes;  /* may leave garbage behind */
	bool identity; /* makes commits: the caller's name and address matter */
	bool mover;    /* moves branches: the committer's do, if there are any */
	bool pager;    /* prints what people page through on a terminal */
	/* Of -F, borrowed from the words: the line to run says "-F -" once the caller has added it,
	 * with the file's contents as standard input. NULL: not given. */
	const char *message_file;
	bool message; /* a message is missing: with --draft it prints what an editor begins with */
	char **words; /* (transfer full) the line to run: WORDS without -C */
} ProllyCommandNeeds;

/* Bad words (an unknown command or option, too few arguments) are PROLLY_ERROR_USAGE. */
bool prolly_command_inspect(const char *const *words, ProllyCommandNeeds *out_needs,
			    GError **error);
void prolly_command_needs_clear(ProllyCommandNeeds *needs);

/* Splits a line by shell quoting. (transfer full) GStrv; bad quoting is PROLLY_ERROR_USAGE. */
char **prolly_command_split(const char *line, GError **error);
/* (transfer full) (nullable) The line that splits into WORDS; NULL: there is no memory for it. */
char *prolly_command_join(const char *const *words);

/* Runs WORDS and returns what it wrote, for the text files of .prollyfs. (transfer full) EDQUOT if that
 * is more than the caller's allowance has left; nothing stays taken of it. */
bool prolly_command_capture(ProllyRepo *repo, const ProllyCaller *caller, const char *const *words,
			    GString **out_text, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyCommandNeeds, prolly_command_needs_clear)
