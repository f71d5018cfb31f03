/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ctl: the parts of prollyfs-ctl: where the store is (ctl-place.c), this process's standard streams
 * (ctl-streams.c), and messages out of files and editors (ctl-message.c). What commands do is
 * core/command's; this program has no part in it, so that a command does the same whoever carries
 * it out.
 */

#include "command/session.h"

/* ---- ctl-place.c ------------------------------------------------------------------------- */

/* Where a command goes, and what its place in a mount says about it. */
typedef struct {
	char *control; /* the control file to send it to; NULL: open STORE */
	char *store;   /* specification */
	char *branch;  /* the place implies it; NULL: the store's default (or the control file's) */
	char *cwd;     /* below the branch; NULL: its directory */
	char *revision; /* the place is this commit's; NULL: a branch's, or of none */
} CtlPlace;

/* DIRECTORY is -C, or NULL: the current directory. */
bool ctl_place_find(const char *directory, CtlPlace *out_place, GError **error);
/* The same for a command that needs no store: only where in a mount DIRECTORY is, if it is in one. */
bool ctl_place_find_cwd(const char *directory, CtlPlace *out_place, GError **error);
void ctl_place_clear(CtlPlace *place);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CtlPlace, ctl_place_clear)

/* ---- ctl-streams.c ----------------------------------------------------------------------- */

typedef struct {
	int output;      /* standard output, or a pipe to the pager */
	GPid pager;      /* 0: none */
	bool progress;   /* standard error is a terminal */
	int64_t started; /* monotonic, microseconds; when a command first told of progress */
	int64_t shown;   /* when it was last shown; 0: never */
	/* What the command says after one of these is not shown. */
	GError *input_failure; /* atomic: another thread may read the input */
	GError *output_failure;
} CtlStreams;

/* PAGER: send the output through the user's pager, if standard output is a terminal. */
void ctl_streams_init(CtlStreams *streams, bool pager);
/* Ends a progress line and waits for the pager. False with ERROR if a stream failed: the command
 * has not done what it says. */
bool ctl_streams_finish(CtlStreams *streams, GError **error);
/* The callbacks over STREAMS. */
ProllyStreams ctl_streams_get(CtlStreams *streams);

/* ---- ctl-message.c ----------------------------------------------------------------------- */

/* FILE becomes standard input. */
bool ctl_message_open(const char *file, GError **error);
/* Is there somebody to edit? */
bool ctl_message_can_edit(void);
/* What the user's editor makes of DRAFT becomes standard input. */
bool ctl_message_edit(const char *draft, size_t len, GError **error);
