/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents: bytes written over a large value, as records of the database, so that a few bytes over a
 * large file cost a few bytes until a commit folds them in.
 *
 * A staged value with extents names them by a number. Under it, in family EXTENTS, lie the writes
 * in the order they were made:
 *
 *   key    number be64, sequence be64
 *   value  offset le64, length le64, the bytes (none: zeros)
 *
 * The number has the branch's id in its upper 24 bits and below them a number from the counter that
 * also numbers generations. It is drawn after the generation whose record names it and before the
 * next one, so the extents that end with a generation are one range of keys, and it is known
 * without looking whether a number belongs to the generation that is written to now.
 *
 * Replaying the records in order over the stored value gives the content (prolly_extents_load).
 * They are bounded by whoever writes them (file-stage.c), since the replay is done in memory; a
 * pinned view keeps the last one (ProllyLaidOver), for who reads a content in pieces.
 */
#include "version/file-private.h"

#include <string.h>

#define NUMBER_BITS 40
#define KEY_SIZE    16
#define HEAD_SIZE   16

static uint64_t first_of_branch(uint64_t branch_id)
{
	return branch_id << NUMBER_BITS;
}

bool prolly_extents_new_id(ProllyBranch *branch, uint64_t *out_id, GError **error)
{
	uint64_t number;

	if (!prolly_repo_next_number(branch->body, PROLLY_COUNTER_GENERATION, &number, error))
		return false;
	*out_id = first_of_branch(prolly_branch_get_id(branch)) | number;
	return true;
}

bool prolly_extents_is_current(uint64_t id, const ProllyState *state)
{
	uint64_t newest = g_array_index(state->generations, uint64_t, 0);

	return (id & ((UINT64_C(1) << NUMBER_BITS) - 1)) > newest;
}

void prolly_extents_put(uint64_t id, uint64_t sequence, uint64_t offset, const uint8_t *data,
			uint64_t len, ProllyDbBatch *batch)
{
	uint8_t key[KEY_SIZE], head[HEAD_SIZE];
	const ProllyDbPart parts[] = {{head, sizeof(head)}, {data, data ? len : 0}};

	prolly_set_be64(key, id);
	prolly_set_be64(key + 8, sequence);
	prolly_set_le64(head, offset);
	prolly_set_le64(head + 8, len);
	prolly_db_batch_put_parts(batch, PROLLY_DB_EXTENTS, key, sizeof(key), parts);
}

void prolly_extents_delete(uint64_t id, ProllyDbBatch *batch)
{
	uint8_t lower[8], upper[8];

	prolly_set_be64(lower, id);
	prolly_set_be64(upper, id + 1);
	prolly_db_batch_delete_range(batch, PROLLY_DB_EXTENTS, lower, sizeof(lower), upper,
				     sizeof(upper));
}

void prolly_extents_delete_before(uint32_t branch_id, uint64_t generation, ProllyDbBatch *batch)
{
	uint64_t first = first_of_branch(branch_id);
	bool all = generation >= UINT64_C(1) << NUMBER_BITS;
	uint8_t lower[8], upper[8];

	prolly_set_be64(lower, first);
	prolly_set_be64(upper, all ? first_of_branch((uint64_t)branch_id + 1) : first | generation);
	prolly_db_batch_delete_present(batch, PROLLY_DB_EXTENTS, lower, sizeof(lower), upper,
				       sizeof(upper));
}

/* Lays one record over OVERLAY. */
static bool replay(const uint8_t *value, size_t size, uint64_t id, ProllyOverlay *overlay,
		   GError **error)
{
	ProllyReader reader;
	uint64_t offset, len;
	bool is_zeros = size == HEAD_SIZE;

	prolly_reader_init(&reader, value, size);
	offset = prolly_reader_le64(&reader);
	len = prolly_reader_le64(&reader);
	if (!prolly_reader_ok(&reader) || len == 0 || offset > overlay->length ||
	    len > overlay->length - offset || (!is_zeros && size - HEAD_SIZE != len))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "extents %" G_GINT64_MODIFIER "x: damaged record", id);
	return prolly_overlay_write(overlay, offset, is_zeros ? NULL : value + HEAD_SIZE, len,
				    error);
}

bool prolly_extents_load(ProllyDb *db, const ProllyDbSnapshot *snapshot, const ProllyEntry *entry,
			 ProllyOverlay *out_overlay, ProllyExtentsSize *out_size, GError **error)
{
	g_auto(ProllyOverlay) overlay = {0};
	g_autoptr(ProllyDbIter) iter = NULL;
	uint8_t lower[8], upper[8];
	ProllyExtentsSize recorded = {0};
	size_t len;

	if (!prolly_overlay_init(&overlay, entry->stored, error))
		return false;
	overlay.base_length = MIN(entry->base_length, overlay.value.length);
	overlay.length = entry->length;
	prolly_set_be64(lower, entry->extents);
	prolly_set_be64(upper, entry->extents + 1);
	iter = prolly_db_iter_new(db, PROLLY_DB_EXTENTS, snapshot, lower, sizeof(lower), upper,
				  sizeof(upper));
	prolly_db_iter_seek_first(iter);
	for (; prolly_db_iter_is_valid(iter); prolly_db_iter_next(iter)) {
		const uint8_t *key = prolly_db_iter_get_key(iter, &len);

		if (len != KEY_SIZE)
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "extents %" G_GINT64_MODIFIER "x: damaged key",
					    entry->extents);
		recorded.next = prolly_get_be64(key + 8) + 1;
		const uint8_t *value = prolly_db_iter_get_value(iter, &len);
		recorded.bytes += len;
		if (!replay(value, len, entry->extents, &overlay, error))
			return false;
	}
	if (!prolly_db_iter_check(iter, error))
		return false;
	*out_overlay = overlay;
	overlay = (ProllyOverlay){0};
	if (out_size)
		*out_size = recorded;
	return true;
}

bool prolly_extents_fold(ProllyRepo *repo, const ProllyDbSnapshot *snapshot,
			 const ProllyEntry *entry, GBytes **out_stored, GError **error)
{
	g_auto(ProllyOverlay) overlay = {0};

	return prolly_extents_load(repo->body->db, snapshot, entry, &overlay, NULL, error) &&
	       prolly_overlay_store(&overlay, &repo->context, entry->kind, out_stored, error);
}

bool prolly_extents_read(ProllyRepo *repo, const ProllyDbSnapshot *snapshot,
			 const ProllyEntry *entry, uint64_t offset, void *buffer, size_t len,
			 size_t *out_len, GError **error)
{
	g_auto(ProllyOverlay) overlay = {0};

	return prolly_extents_load(repo->body->db, snapshot, entry, &overlay, NULL, error) &&
	       prolly_overlay_read(&overlay, &repo->context, offset, buffer, len, out_len, error);
}

/* ---- Reading in pieces ------------------------------------------------------------------- */

struct ProllyLaidOver {
	ProllyRepo *repo;
	const ProllyDbSnapshot *snapshot;

	GMutex lock; /* of what follows */
	uint64_t id; /* 0: nothing was read yet */
	ProllyOverlay overlay;
};

ProllyLaidOver *prolly_laid_over_new(ProllyRepo *repo, const ProllyDbSnapshot *snapshot)
{
	ProllyLaidOver *self = g_new0(ProllyLaidOver, 1);

	self->repo = repo;
	self->snapshot = snapshot;
	g_mutex_init(&self->lock);
	return self;
}

void prolly_laid_over_free(ProllyLaidOver *self)
{
	if (!self)
		return;
	prolly_overlay_clear(&self->overlay);
	g_mutex_clear(&self->lock);
	g_free(self);
}

/* Under its lock: has the content of ENTRY. */
static bool lay_over(ProllyLaidOver *self, const ProllyEntry *entry, GError **error)
{
	if (self->id == entry->extents)
		return true;
	prolly_overlay_clear(&self->overlay);
	self->id = 0;
	if (!prolly_extents_load(self->repo->body->db, self->snapshot, entry, &self->overlay, NULL,
				 error))
		return false;
	self->id = entry->extents;
	return true;
}

bool prolly_laid_over_read(ProllyLaidOver *self, const ProllyEntry *entry, uint64_t offset,
			   void *buffer, size_t len, size_t *out_len, GError **error)
{
	bool ok;

	g_mutex_lock(&self->lock);
	ok = lay_over(self, entry, error) &&
	     prolly_overlay_read(&self->overlay, &self->repo->context, offset, buffer, len, out_len,
				 error);
	g_mutex_unlock(&self->lock);
	return ok;
}
