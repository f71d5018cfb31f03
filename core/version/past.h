/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * past: which commits changed a key, and for all keys of a namespace which one did so last.
 */

#include "version/history.h"

/* ---- One key ----------------------------------------------------------------------------- */

typedef struct ProllyKeyLog ProllyKeyLog;

typedef struct {
	ProllyCommit *commit; /* borrowed until the next call */
	bool has_old;         /* the key is in the commit's first parent */
	bool has_new;         /* and in the commit */
} ProllyKeyChange;

/*
 * (transfer full) The commits that OPTIONS mean (topological or not) that changed the key: those that
 * have another value than each of their parents (or have one, without parents), newest first. Where
 * a merge took the value of one parent, that one's history is the key's, as in git: what was done
 * on the other side came to nothing. Each step compares two root hashes, and reads the tree only
 * where they differ.
 */
ProllyKeyLog *prolly_key_log_new(ProllyRepo *repo, const ProllyLogOptions *options,
				 const ProllyPlace *place);
void prolly_key_log_free(ProllyKeyLog *log); /* NULL is allowed */
bool prolly_key_log_next(ProllyKeyLog *log, ProllyKeyChange *out_change, bool *out_end,
			 GError **error);

/* A commit that changed the key, in the picture of its history. */
typedef struct {
	ProllyCommitId id;
	GArray *parents; /* of ProllyCommitId: which changed it last before, on each of its lines */
} ProllyKeyNode;

/*
 * (transfer full) Instead of calling _next: all commits that it would give, children before parents
 * and in git's order: an array of ProllyKeyNode with its clear function set.
 */
bool prolly_key_log_load_graph(ProllyKeyLog *log, GArray **out_nodes, GError **error);

/* ---- All keys of a namespace ------------------------------------------------------------- */

typedef struct ProllyBlame ProllyBlame;

/* Called now and then; false with ERROR ends what calls it. */
typedef bool (*ProllyCheckFunc)(void *data, GError **error);

/*
 * (transfer full) For each key of namespace NS in commit ID the commit that gave it its value. Costs
 * what the commits on the way changed, and 12 bytes and its own length for each key; it ends as soon
 * as every key has its commit.
 */
bool prolly_blame_new(ProllyRepo *repo, const ProllyCommitId *id, const char *ns,
		      ProllyCheckFunc check, void *data, ProllyBlame **out_blame, GError **error);
void prolly_blame_free(ProllyBlame *blame); /* NULL is allowed */
size_t prolly_blame_get_n(const ProllyBlame *blame);
/* The Ith key, in order; all of it is borrowed. */
void prolly_blame_get(ProllyBlame *blame, size_t i, ProllyPlace *out_place,
		      const ProllyCommit **out_commit);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyKeyLog, prolly_key_log_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyBlame, prolly_blame_free)
