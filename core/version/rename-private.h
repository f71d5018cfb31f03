/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rename-private: the seam between a rename (rename.c) and the part of it that is done before its
 * moment (rename-ahead.c).
 */

#include "version/working-private.h"

/* One of the two ends: a key, or a directory's prefix. */
typedef struct {
	ProllyPlace place;
	bool is_directory;
	bool exists;
	ProllyDirectoryState state; /* of a directory */
} ProllyRenameEnd;

/* What lies under two prefixes; protected by the branch's write_lock. */
struct ProllyWatch {
	const ProllyPlace *from;
	const ProllyPlace *to;
	bool is_void; /* something there was changed, or the whole state was */
};

/* What was made of a large directory ahead of its rename. */
typedef struct {
	bool is_made;        /* all of it */
	uint64_t generation; /* that it was written into; 0: none */
	ProllyState *over;   /* which the generation goes on top of */
	GArray *members;     /* of ProllyRenamedMember */
	ProllyWatch watch;
	ProllyDbBatch *outs; /* what leaves; what arrives is in the transaction's batch */
	bool is_attached;
} ProllyRenameAhead;

/* A member of a group of hard links that is renamed. Owned. */
typedef struct {
	uint64_t group;
	ProllyOwnedPlace *from;
	ProllyOwnedPlace *to;
} ProllyRenamedMember;

struct ProllyRename {
	ProllyRepo *repo;
	ProllyBranch *branch;
	ProllyGuard guard;
	ProllyOwnedPlace *from_place, *to_place; /* those of ... */
	ProllyRenameEnd from, to;
	unsigned flags;
	ProllyTransaction *txn; /* the one under way, nullable */
	GHashTable *groups;     /* uint64_t -> Group *: those whose lists change */
	ProllyRenameAhead ahead;
	bool is_ahead; /* what is under way is that, else the rename itself */
};

/* rename.c. May the rename be made? *OUT_IS_MADE: it would change nothing. */
bool prolly_rename_check(ProllyRename *self, bool *out_is_made, GError **error);
/* Everything in the directory that moves, gone from where it was and staged where it goes, if what
 * it replaces is empty. */
bool prolly_rename_walk_tree(ProllyRename *self, GError **error);

/* rename-groups.c. */
GHashTable *prolly_rename_new_groups(void);
/* FROM is no member of group NUMBER (0: none) any more, TO (nullable) is one. */
bool prolly_rename_change_group(ProllyRename *self, uint64_t number, const ProllyPlace *from,
				const ProllyPlace *to, bool is_changed, GError **error);
/* The same of all that were noted ahead. */
bool prolly_rename_change_noted(ProllyRename *self, GError **error);
bool prolly_rename_save_groups(ProllyRename *self, GError **error);

/* rename-ahead.c. Ahead, what leaves goes into a batch of its own: changes from one to the other. */
void prolly_rename_turn_ahead(ProllyRename *self);
/* After each key: writes what has gathered. */
bool prolly_rename_flush_ahead(ProllyRename *self, GError **error);
/* The member is to change its name when the rename is made. */
void prolly_rename_note_member(ProllyRename *self, uint64_t group, const ProllyPlace *from,
			       const ProllyPlace *to);
/* Under write_lock, in the transaction that makes it: does what was made ahead hold? Then the
 * transaction writes on top of that. Not if it MAY not. */
bool prolly_rename_take_ahead(ProllyRename *self, bool may);
/* Under write_lock: puts into the transaction's batch that the branch has it; after the batch is
 * written, the branch does. */
void prolly_rename_save_ahead(ProllyRename *self, ProllyState **out_state);
void prolly_rename_attach_ahead(ProllyRename *self, ProllyState *state);
/* What was made and is not attached goes. No lock is held. */
void prolly_rename_discard_ahead(ProllyRename *self);
