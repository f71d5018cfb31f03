/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * file: a key's value as an open file.
 *
 * All who have a key of a branch open share one ProllyFile, so each sees the others' writes at
 * once. Writes gather in memory, bounded, and are staged at a flush (close), a sync, a commit of
 * the branch, or when there are too many: short values inline, a few bytes over a large value as
 * extents, more as chunks. A file whose key was removed, renamed over, or changed by a merge is an
 * orphan: it reads and writes as before, and what is written ends with it.
 *
 * Threads: any number on one file.
 */

#include "version/edit.h"

typedef struct ProllyFile ProllyFile;

/* (transfer full) The file of a key of BRANCH's working state; NOT_FOUND, IS_DIR for a marker. */
bool prolly_file_open(ProllyRepo *repo, ProllyBranch *branch, const ProllyPlace *place,
		      ProllyFile **out_file, GError **error);
/* (transfer full) A read-only file of an entry of VIEW. */
bool prolly_file_open_entry(ProllyView *view, const ProllyEntry *entry, ProllyFile **out_file,
			    GError **error);
ProllyFile *prolly_file_ref(ProllyFile *file);
/* The last unref of a file with unstaged bytes stages them; call prolly_file_flush to hear of
 * errors. */
void prolly_file_unref(ProllyFile *file); /* NULL is allowed */

bool prolly_file_read(ProllyFile *file, uint64_t offset, void *buffer, size_t len, size_t *out_len,
		      GError **error);
/*
 * The same without a copy, appended to PIECES (blob.h). *OUT_HAS false, and nothing happened: it does
 * not lie in memory as it is read.
 */
bool prolly_file_read_pieces(ProllyFile *file, uint64_t offset, size_t len, GArray *pieces,
			     bool *out_has, GError **error);
/* Were LEN bytes at OFFSET loaded ahead, so that reading them will not wait for long? Never waits. */
bool prolly_file_is_loaded(ProllyFile *file, uint64_t offset, size_t len);
/* Is what may be written at [OFFSET, OFFSET + LEN) taken without waiting for anything? */
bool prolly_file_has_room(ProllyFile *file, uint64_t offset, size_t len);
/* READ_ONLY on a view's file. */
bool prolly_file_write(ProllyFile *file, uint64_t offset, const void *data, size_t len,
		       GError **error);
/* At the end, whatever it is; *OUT_OFFSET (nullable): where. */
bool prolly_file_append(ProllyFile *file, const void *data, size_t len, uint64_t *out_offset,
			GError **error);
bool prolly_file_truncate(ProllyFile *file, uint64_t length, GError **error);
/*
 * OUT has in [OFFSET, OFFSET + *OUT_LEN), up to LEN bytes of it, what IN has there, without a byte
 * being read: they share it. False, and nothing happens: that cannot be done. It can for a large
 * value that is copied from its start, or on from where the last copy of it to OUT ended.
 */
bool prolly_file_share(ProllyFile *in, ProllyFile *out, uint64_t offset, uint64_t len,
		       uint64_t *out_len);
/* Makes [OFFSET, OFFSET + LEN) zeros without changing the length (punch hole, zero range). */
bool prolly_file_zero(ProllyFile *file, uint64_t offset, uint64_t len, GError **error);
/* lseek(2)'s SEEK_DATA (DATA true) and SEEK_HOLE. *OUT_OFFSET may be the length. */
bool prolly_file_seek(ProllyFile *file, uint64_t offset, bool data, uint64_t *out_offset,
		      GError **error);

/* Length and times as they are now, unstaged writes included. */
uint64_t prolly_file_get_length(ProllyFile *file);
/* Bytes that are not holes, about: what was written over others is counted for both. */
bool prolly_file_get_allocated(ProllyFile *file, uint64_t *out_bytes, GError **error);
bool prolly_file_is_orphan(ProllyFile *file);
/* Is what is written to FILE, of a branch, staged as PLACE's, and perhaps others' too? */
bool prolly_file_has_name(ProllyFile *file, const ProllyPlace *place);
/* (transfer full) The stored value that it is staged or committed as; NULL: it is an orphan, or
 * something lies over the value. */
GBytes *prolly_file_dup_stored(ProllyFile *file);
/* The attributes as they are now; of an orphan, the last ones it had (nlink 0). */
bool prolly_file_get_attrs(ProllyFile *file, ProllyAttrs *out_attrs, GError **error);
bool prolly_file_set_attrs(ProllyFile *file, const ProllyAttrs *attrs, int kind, GError **error);

/* Stages what was written: it survives the death of the process. An error is told once. */
bool prolly_file_flush(ProllyFile *file, GError **error);
/* Flush, then as prolly_repo_sync. */
bool prolly_file_sync(ProllyFile *file, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyFile, prolly_file_unref)
