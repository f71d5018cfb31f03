/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * generation-private: the seam between who makes a generation as a whole (restore.c, reset.c) and
 * its records (generation.c).
 */

#include "version/working-private.h"

/* In the making. Of another thread's concern only once its state is published. */
typedef struct {
	uint64_t number;
	ProllyState *over;     /* what it lies over */
	ProllyState *state;    /* the same with it on top */
	ProllyTransaction txn; /* writes into it; holds no lock */
	uint64_t n_records;
	unsigned n_batched; /* of them not written yet */
	bool is_written;    /* some are */
	bool is_attached;   /* set by who published a state that lists it */
	GTree *directories; /* of GBytes: those to be made right, children before parents */
} ProllyGeneration;

bool prolly_generation_begin(ProllyGeneration *self, ProllyRepo *repo, ProllyBranch *branch,
			     ProllyState *over, GError **error);
/* Deletes it unless it is attached. Does nothing to { 0 }. */
void prolly_generation_clear(ProllyGeneration *self);
/* All records so far are written, so that they are found when looking through self->state. */
bool prolly_generation_flush(ProllyGeneration *self, GError **error);

/* RECORD nullable: without attributes of its own. */
bool prolly_generation_put(ProllyGeneration *self, const ProllyPlace *place, GBytes *stored,
			   const ProllyAttrRecord *record, GError **error);
/* Attributes over a value that is elsewhere. */
bool prolly_generation_put_attrs(ProllyGeneration *self, const ProllyPlace *place,
				 const ProllyAttrRecord *record, GError **error);
bool prolly_generation_remove(ProllyGeneration *self, const ProllyPlace *place, GError **error);
bool prolly_generation_put_directory(ProllyGeneration *self, const ProllyPlace *dir,
				     const ProllyAttrRecord *record, ProllyDirectoryState state,
				     GError **error);
/* One whose children differ, with the attributes of RECORD, whose sequence becomes this one's: its
 * state is for readers to find, and what it is in may have changed likewise. */
bool prolly_generation_put_changed(ProllyGeneration *self, const ProllyPlace *dir,
				   ProllyAttrRecord *record, GError **error);
bool prolly_generation_put_namespace(ProllyGeneration *self, const char *ns, bool exists,
				     GError **error);

/* Few enough to be laid into the newest generation of self->over, whose records are those it has
 * then: adds that to BATCH, and the end of this one. All records must have been flushed. */
bool prolly_generation_is_small(const ProllyGeneration *self);
bool prolly_generation_lay(ProllyGeneration *self, ProllyDbBatch *batch, GError **error);

/* The directory that PLACE (a key, or a directory's prefix) is in is one of self->directories. */
void prolly_generation_touch_parent(ProllyGeneration *self, const ProllyPlace *place);
/* The directory whose marker MARKER is, is one of them. */
void prolly_generation_touch_marked(ProllyGeneration *self, const ProllyPlace *marker);
/* (transfer full) Takes one out that no other one is below; NULL: there is none left. */
GBytes *prolly_generation_take_directory(ProllyGeneration *self, ProllyPlace *out_dir);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProllyGeneration, prolly_generation_clear)
