/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File-stage: what was written to an open file, as records: at a flush, or before the branch is
 * frozen for a commit (prolly_files_flush_all). What staging writes depends on the content.
 *
 *   short (the format's inline limit)             the bytes, inline
 *   a little was written over something large     the runs as extents (extents.c)
 *   else                                          a blob: the runs spliced into the old one
 *
 * Why extents at all: a splice reads and writes the chunks around each run, some 128 KiB, and every
 * node on the way. A database in a mount, which writes a page and syncs, pays 4 KiB instead. Only
 * what was written since the last time is recorded then, under the same number, as long as the
 * branch's generation is the same; so a page that is written again and again is recorded as often,
 * and when records pass EXTENTS_MAX, and twice what they are good for, they are spliced in, once
 * for so many bytes.
 *
 * A little is EXTENTS_NEW bytes; of a sparse file, whose runs are short beside a chunk (an image of
 * a disk, a large database), as much as is kept in memory (file.c): splicing would read and write
 * many times as much.
 *
 * A splice is never made under the branch's lock, since others write meanwhile: a flush splices
 * first, and then stages; and what it finds then, or the freezing of the branch finds, that is not
 * spliced is recorded as extents, however much.
 *
 * What is staged is the content between two writes, since both hold the file's lock: a write is
 * never torn by staging.
 */
#include "version/file-private.h"

#include "version/backup.h"

#define EXTENTS_NEW   (1u << 20)  /* bytes that a flush records rather than splices */
#define EXTENTS_MAX   (8u << 20)  /* and in all flushes */
#define EXTENTS_SHARE 4           /* nor does it leave this part of the length */
#define SPARSE_RUN    (32u << 10) /* bytes of a run that is short beside a chunk */

/* ---- As records -------------------------------------------------------------------------- */

static bool is_short(const ProllyFile *file)
{
	return file->content.length <=
	       prolly_format_get_parameters(prolly_file_get_context(file)->format)->inline_limit;
}

/* Is the content a stored value as it is? */
static bool is_plain(const ProllyFile *file)
{
	const ProllyOverlay *content = &file->content;

	return content->runs->len == 0 && content->base_length == content->length &&
	       content->length == content->value.length;
}

static uint64_t count_unrecorded(const ProllyFile *file)
{
	uint64_t bytes = 0;

	if (file->must_rewrite)
		return file->content.run_bytes;
	for (guint i = 0; i < file->unrecorded->len; i++)
		bytes += g_array_index(file->unrecorded, ProllyInterval, i).len;
	return bytes;
}

/* Is no more written over something large than a part of it? */
static bool is_laid_over(const ProllyFile *file)
{
	const ProllyOverlay *content = &file->content;

	return content->value.is_blob && content->run_bytes < content->length / EXTENTS_SHARE;
}

bool prolly_file_is_sparse(const ProllyFile *file)
{
	const ProllyOverlay *content = &file->content;

	return is_laid_over(file) && content->run_bytes / SPARSE_RUN < content->runs->len;
}

/* Is little enough written over something large? */
static bool wants_extents(const ProllyFile *file)
{
	uint64_t unrecorded = count_unrecorded(file);
	uint64_t all = unrecorded + (file->must_rewrite ? 0 : file->recorded.bytes);

	if (!is_laid_over(file))
		return false;
	if (prolly_file_is_sparse(file))
		return all <= MAX(EXTENTS_MAX, 2 * file->content.run_bytes);
	return unrecorded <= EXTENTS_NEW && all <= EXTENTS_MAX;
}

static void record_run(ProllyFile *file, const ProllyRun *run, uint64_t from, uint64_t to,
		       ProllyDbBatch *batch)
{
	prolly_extents_put(file->extents, file->recorded.next++, from,
			   run->data ? run->data + (from - run->offset) : NULL, to - from, batch);
	if (run->data)
		file->recorded.bytes += to - from;
}

/* Records what the runs have in [OFFSET, OFFSET + LEN). */
static void record_interval(ProllyFile *file, uint64_t offset, uint64_t len, ProllyDbBatch *batch)
{
	const GPtrArray *runs = file->content.runs;
	uint64_t end = offset + len;

	for (guint i = prolly_overlay_find(&file->content, offset); i < runs->len; i++) {
		const ProllyRun *run = g_ptr_array_index(runs, i);

		if (run->offset >= end)
			break;
		record_run(file, run, MAX(offset, run->offset), MIN(end, run->offset + run->len),
			   batch);
	}
}

/* Adds records to BATCH, so that the extents say what the runs do (F3). */
static bool record_runs(ProllyFile *file, const ProllyState *state, ProllyDbBatch *batch,
			GError **error)
{
	bool anew = file->must_rewrite || !file->extents ||
		    !prolly_extents_is_current(file->extents, state);
	uint64_t id;

	if (!anew) {
		for (guint i = 0; i < file->unrecorded->len; i++) {
			const ProllyInterval *interval =
				&g_array_index(file->unrecorded, ProllyInterval, i);

			record_interval(file, interval->offset, interval->len, batch);
		}
		return true;
	}
	if (!prolly_extents_new_id(file->branch, &id, error))
		return false;
	if (file->extents && prolly_extents_is_current(file->extents, state))
		prolly_extents_delete(file->extents, batch);
	file->extents = id;
	file->recorded = (ProllyExtentsSize){0};
	file->must_rewrite = false;
	record_interval(file, 0, file->content.length, batch);
	return true;
}

/* Adds to BATCH what makes the content a stored value with or without extents. */
static bool prepare(ProllyFile *file, ProllyDbBatch *batch, GError **error)
{
	g_autoptr(ProllyState) state = prolly_branch_get_state(file->branch);

	if (!is_plain(file) && !is_short(file))
		return record_runs(file, state, batch, error);
	if (!is_plain(file) && !prolly_file_splice(file, error))
		return false;
	if (file->extents && prolly_extents_is_current(file->extents, state))
		prolly_extents_delete(file->extents, batch);
	file->extents = 0;
	file->must_rewrite = false;
	return true;
}

static bool stage(ProllyFile *file, GError **error)
{
	ProllyDb *db = file->repo->body->db;
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(db);
	g_autoptr(GBytes) stored = NULL;
	const ProllyOwnedPlace *name = g_ptr_array_index(file->places, 0);
	ProllyStagedContent content;
	ProllyAttrs times = {
		.has = PROLLY_ATTR_MTIME | PROLLY_ATTR_CTIME,
		.mtime = file->attrs.mtime,
		.ctime = file->attrs.ctime,
	};

	if (!prepare(file, batch, error))
		return false;
	if (file->has_new_nodes &&
	    !prolly_store_flush(prolly_file_get_context(file)->store, NULL, error))
		return false;
	stored = prolly_value_with_kind(file->content.stored, file->kind);
	content = (ProllyStagedContent){
		.stored = stored,
		.extents = file->extents,
		.base_length = file->content.base_length,
		.length = file->content.length,
	};
	prolly_backup_claim(file->repo);
	if (!prolly_staged_put_value_locked(file->repo, file->branch, &name->place, &content,
					    &times, batch, error) ||
	    !prolly_db_write(db, batch, PROLLY_DB_BUFFERED, error))
		return false;
	file->is_changed = false;
	file->has_new_nodes = false;
	g_array_set_size(file->unrecorded, 0);
	return true;
}

bool prolly_file_stage_locked(ProllyFile *file, GError **error)
{
	bool ok = true;

	g_mutex_lock(&file->lock);
	prolly_file_settle(file);
	if (file->is_changed && !file->orphan && file->branch) {
		ok = stage(file, error);
		/* Half of the records may be written: say all of them the next time. */
		if (!ok)
			file->must_rewrite = true;
	}
	g_mutex_unlock(&file->lock);
	return ok;
}

static bool is_changed(ProllyFile *file)
{
	bool changed;

	g_mutex_lock(&file->lock);
	changed = file->is_changed && !file->orphan;
	g_mutex_unlock(&file->lock);
	return changed;
}

/* Splices what is better staged as a blob, before the branch's lock is taken. */
static bool splice_ahead(ProllyFile *file, GError **error)
{
	bool ok = true;

	g_mutex_lock(&file->lock);
	prolly_file_settle(file);
	if (file->is_changed && !file->orphan && !is_plain(file) && !is_short(file) &&
	    !wants_extents(file))
		ok = prolly_file_splice(file, error);
	g_mutex_unlock(&file->lock);
	return ok;
}

bool prolly_file_flush(ProllyFile *file, GError **error)
{
	bool ok;

	if (!file->branch || !is_changed(file))
		return true;
	if (!splice_ahead(file, error))
		return false;
	g_mutex_lock(&file->branch->write_lock);
	ok = prolly_file_stage_locked(file, error);
	g_mutex_unlock(&file->branch->write_lock);
	return ok;
}

GBytes *prolly_file_dup_stored(ProllyFile *file)
{
	GBytes *stored = NULL;

	g_mutex_lock(&file->lock);
	if (!file->orphan && !file->is_changed && is_plain(file))
		stored = g_bytes_ref(file->content.stored);
	g_mutex_unlock(&file->lock);
	return stored;
}

bool prolly_file_sync(ProllyFile *file, GError **error)
{
	return prolly_file_flush(file, error) && prolly_repo_sync(file->repo, error);
}
