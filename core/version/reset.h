/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * reset: taking a branch, or a part of its working state, back to what a commit holds.
 */

#include "version/view.h"

/* Keys of a namespace. NS NULL: of all of them, and the namespaces themselves. */
typedef struct {
	const char *ns;
	const uint8_t *prefix; /* that they start with, or are without its last '/' */
	size_t prefix_len;
	bool is_key; /* only the key that is PREFIX */
} ProllyRange;

/*
 * Makes the N ranges of BRANCH's working state what they are in commit SOURCE, as one change:
 * nobody sees a part of it, and a crash leaves all or nothing. What then equals the head is staged
 * no more. *OUT_CHANGES: how many keys were changed.
 *
 * A directory that loses its last key stays, empty, if SOURCE has it, and else goes.
 */
bool prolly_working_restore(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *source,
			    const ProllyRange *ranges, size_t n, uint64_t *out_changes,
			    GError **error);

typedef enum {
	PROLLY_RESET_SOFT, /* the working state stays as it is: what differs from TO is staged */
	PROLLY_RESET_HARD, /* the working state is what TO holds; nothing is staged any more */
} ProllyResetMode;

/* Moves BRANCH to commit TO, as one change, durable on return. What it has unfinished ends. REV is how
 * people called it, for the reflog. *OUT_FROM: where it stood. */
bool prolly_branch_reset(ProllyRepo *repo, ProllyBranch *branch, const ProllyCommitId *to,
			 ProllyResetMode mode, const char *rev, ProllyCommitId *out_from,
			 GError **error);
