/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fsck-private: what the files of verifying share: fsck.c looks at the trees, values and working
 * sets, fsck-git.c at the git repository, fsck-repair.c takes back what it can.
 */

#include "store/census.h"
#include "version/fsck.h"
#include "version/gc-private.h"
#include "version/repo-private.h"

/* A damage that was found. */
typedef struct {
	char *kind;
	char *object;
	char *message;
	GPtrArray *paths; /* of char * */
	GArray *commits;  /* of ProllyCommitId */
} ProllyFound;

/* A node that is damaged, and where what it held may be found. */
typedef struct {
	ProllyNodeClass node_class;
	ProllyHash hash;
	ProllyFound *found; /* borrowed */
	char *ns;           /* NULL: it is of attributes */
	bool is_of_blob;    /* else of a tree */
	GByteArray *key;    /* of a blob: whose value; of a tree: the last; NULL: to the end */
	GByteArray *after;  /* of a tree; NULL: from the beginning */
	uint64_t offset;    /* of a blob */
	uint64_t length;
} ProllyLost;

typedef struct {
	ProllyRepo *repo;
	const ProllyFsckOptions *options;
	ProllyStore *store;        /* reads what is on the disk */
	ProllyTreeContext context; /* on it */
	ProllyStore *scratch;      /* keeps nothing */
	ProllyCensus *sound;       /* of nodes of trees */
	GHashTable *sound_blobs;   /* tags of references to large values */
	GHashTable *damaged_blobs; /* tag -> GArray of what is wrong (fsck.c) */
	uint32_t secret[4];        /* in tags */
	GHashTable *commits;       /* ProllyCommitId: those that were looked at */
	GHashTable *by_name;       /* kind and object -> ProllyFound, owned by it */
	GPtrArray *found;          /* the same, in order */
	uint64_t n_damages;        /* how often one was come upon */
	GPtrArray *lost;           /* of ProllyLost */
	GPtrArray *references;     /* of char *: names of those that cannot be read */

	git_repository *git; /* a fresh one; NULL: in memory */
	unsigned n_reads;
	ProllyOidSet *objects; /* of git, that are sound */

	/* What is being looked at. */
	const char *kind;
	const char *rev;              /* what paths begin with */
	const char *ns;               /* NULL: none */
	const ProllyCommitId *commit; /* NULL: none */
	const uint8_t *key;           /* of a value */
	size_t key_len;
} ProllyFsck;

/* ---- fsck.c ------------------------------------------------------------------------------ */

bool prolly_fsck_is_damage(const GError *error);
/* PATH is (transfer full). Returns what it was noted in. */
ProllyFound *prolly_fsck_note(ProllyFsck *self, const char *kind, const char *object, char *path,
			      const char *message);
/* Tells the options of FOUND, and how it was repaired (REMEDY NULL: it was not). */
bool prolly_fsck_tell(ProllyFsck *self, const ProllyFound *found, const char *remedy,
		      GError **error);
/* The namespaces of commit ID, which paths begin with REV for. */
bool prolly_fsck_check_commit(ProllyFsck *self, const char *rev, const ProllyCommitId *id,
			      GError **error);

/* ---- fsck-git.c -------------------------------------------------------------------------- */

/* All references, with their reflogs and all they reach. */
bool prolly_fsck_check_references(ProllyFsck *self, GError **error);

/* ---- fsck-repair.c ----------------------------------------------------------------------- */

/* Takes back what it can of what SELF found; *OUT_N: how much. Each is told to the options. */
bool prolly_fsck_repair(ProllyFsck *self, uint64_t *out_n, GError **error);
