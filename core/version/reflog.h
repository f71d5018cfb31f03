/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * reflog: where a branch stood, move by move.
 */

#include "version/history.h"

typedef struct {
	ProllyCommitId from; /* all zero: the branch was made */
	ProllyCommitId to;
	ProllySignature who; /* and when */
	char *message;       /* "commit: fix typo" */
} ProllyReflogEntry;

/* (transfer full) Of ProllyReflogEntry, oldest first, with its clear function set; empty if none is
 * kept. */
bool prolly_reflog_load(ProllyRepo *repo, const char *branch, GArray **out_entries, GError **error);
