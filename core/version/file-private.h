/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * file-private: what overlay.c, extents.c, files.c and file*.c share: the bytes written over a
 * value, in memory and as records, and the body of an open file.
 */

#include "version/version-private.h"

/* ---- overlay.c --------------------------------------------------------------------------- */

/* A run of bytes over a value; DATA NULL: zeros. Owned. */
typedef struct {
	uint64_t offset;
	uint64_t len;
	uint8_t *data;
	size_t capacity; /* of data */
	bool is_sealed;  /* read by a splice under way: neither changed nor freed */
} ProllyRun;

/*
 * A content as a value's bytes with others over them: the first BASE_LENGTH bytes of STORED, zeros
 * up to LENGTH, and RUNS (ascending, not overlapping, within LENGTH) over both.
 */
typedef struct {
	GBytes *stored;
	ProllyValue value; /* STORED parsed; borrows its bytes */
	uint64_t base_length;
	uint64_t length;
	GPtrArray *runs;    /* of ProllyRun * */
	uint64_t run_bytes; /* of data in runs: what they cost in memory */
} ProllyOverlay;

/* STORED (transfer none) with nothing over it. */
bool prolly_overlay_init(ProllyOverlay *out_overlay, GBytes *stored, GError **error);
void prolly_overlay_clear(ProllyOverlay *overlay);
/* DATA NULL: zeros. Extends the length as needed. */
bool prolly_overlay_write(ProllyOverlay *overlay, uint64_t offset, const uint8_t *data,
			  uint64_t len, GError **error);
void prolly_overlay_truncate(ProllyOverlay *overlay, uint64_t length);
bool prolly_overlay_read(const ProllyOverlay *overlay, const ProllyTreeContext *context,
			 uint64_t offset, void *buffer, size_t len, size_t *out_len,
			 GError **error);
/* The first run that ends after OFFSET; the number of runs if none does. */
guint prolly_overlay_find(const ProllyOverlay *overlay, uint64_t offset);
bool prolly_overlay_seek(const ProllyOverlay *overlay, const ProllyTreeContext *context,
			 uint64_t offset, bool data, uint64_t *out_offset, GError **error);
/* (transfer full) The content as it is, with the same runs, which become sealed. */
ProllyOverlay prolly_overlay_seal(ProllyOverlay *overlay);
void prolly_overlay_unseal(ProllyOverlay *overlay);
/* STORED, the content as it was sealed, takes the place of the value and of the sealed runs. */
bool prolly_overlay_rebase(ProllyOverlay *overlay, GBytes *stored, GError **error);
bool prolly_overlay_touches_sealed(const ProllyOverlay *overlay, uint64_t offset, uint64_t len);
/* (transfer full) The content as a stored value of KIND: inline, or a blob. */
bool prolly_overlay_store(const ProllyOverlay *overlay, const ProllyTreeContext *context,
			  ProllyKind kind, GBytes **out_stored, GError **error);

/* ---- extents.c --------------------------------------------------------------------------- */

/* A number for the extents of a record in the branch's present generation. */
bool prolly_extents_new_id(ProllyBranch *branch, uint64_t *out_id, GError **error);
/* Is ID one whose records go with the generation that is written to now? */
bool prolly_extents_is_current(uint64_t id, const ProllyState *state);
/* Adds record SEQUENCE of ID to BATCH. DATA NULL: zeros. */
void prolly_extents_put(uint64_t id, uint64_t sequence, uint64_t offset, const uint8_t *data,
			uint64_t len, ProllyDbBatch *batch);
void prolly_extents_delete(uint64_t id, ProllyDbBatch *batch);
/* What the records of a number are: the sequence after the last, and the bytes in all. */
typedef struct {
	uint64_t next;
	uint64_t bytes;
} ProllyExtentsSize;

/* The content of ENTRY, with its records laid over it. OUT_SIZE nullable. */
bool prolly_extents_load(ProllyDb *db, const ProllyDbSnapshot *snapshot, const ProllyEntry *entry,
			 ProllyOverlay *out_overlay, ProllyExtentsSize *out_size, GError **error);

/* ---- files.c, file.c --------------------------------------------------------------------- */

typedef struct {
	uint64_t offset;
	uint64_t len;
} ProllyInterval;

typedef struct ProllyFileSplice ProllyFileSplice;

struct ProllyFile {
	ProllyHolder holder;
	gint references; /* the last goes under write_lock, so that the table holds no dead file */
	ProllyRepo *repo;
	ProllyBranch *branch; /* NULL: a view's, read-only */
	ProllyView *view;     /* NULL: a branch's */
	GPtrArray *places; /* of ProllyOwnedPlace: its names; written under write_lock and lock */

	GMutex lock;
	bool orphan; /* written under write_lock and lock */
	ProllyKind kind;
	ProllyAttrs attrs; /* as read at open, with what was written since */
	ProllyOverlay content;
	uint64_t extents;                    /* where its runs are recorded; 0: nowhere */
	ProllyExtentsSize recorded;          /* what is there */
	GArray *unrecorded;                  /* of ProllyInterval: written since the last flush */
	bool is_changed;                     /* there is something to stage */
	bool must_rewrite;                   /* the records say more than is true (a truncation) */
	bool has_new_nodes;                  /* the store has nodes that only this file refers to */
	gsize kept;                          /* of the body's kept_bytes */
	gsize counted;                       /* of its run_bytes */
	struct {                             /* file-splice.c */
		ProllyFileSplice *under_way; /* NULL: none */
		bool is_awaited;             /* somebody sees to its end */
		bool has_failed;             /* the last one did: the next tells why */
		GCond ended;
	} splice;
	ProllyBlobAhead *ahead; /* of the content, or an earlier one; NULL: not read yet */
};

static inline const ProllyTreeContext *prolly_file_get_context(const ProllyFile *file)
{
	return prolly_repo_get_context(file->repo);
}

/* All under write_lock. */
ProllyFile *prolly_files_find(ProllyBranch *branch, const ProllyPlace *place);
void prolly_files_add_name(ProllyFile *file, const ProllyPlace *place);
/* The file is going: takes its names out of the table. */
void prolly_files_forget(ProllyFile *file);
/* Stages what FILE has, if it is changed and has a name. */
bool prolly_file_stage_locked(ProllyFile *file, GError **error);
/* Are short runs laid over something large, so that a splice costs many times their bytes? Under
 * file->lock. */
bool prolly_file_is_sparse(const ProllyFile *file);
/* Sets the attributes and kind that FILE has in memory. */
void prolly_file_note_attrs(ProllyFile *file, const ProllyAttrs *attrs, int kind);

/* ---- file-splice.c: all under file->lock ------------------------------------------------- */

/* Makes the content a stored value with nothing over it. No splice is under way. */
bool prolly_file_splice(ProllyFile *file, GError **error);
/* Has the pool splice what lies over the value, if that is much and nobody does already. */
void prolly_file_splice_behind(ProllyFile *file);
/* Waits for such a splice to end; the lock is given up meanwhile. */
void prolly_file_settle(ProllyFile *file);
/* Bytes that lie over the value and that no splice under way has. */
uint64_t prolly_file_count_unsealed(const ProllyFile *file);
/* Gives its share of kept_bytes back. */
void prolly_file_unkeep(ProllyFile *file);
/* What lies over the value has changed: run_bytes follows. */
void prolly_file_count_runs(ProllyFile *file);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyOverlay, prolly_overlay_clear)
