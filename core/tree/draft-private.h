/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A node in the making, for the chunker: draft.c says how.
 */

#include "tree/tree-private.h"

/* One entry on its way into a draft. */
typedef struct {
	ProllyNodeKey key;
	const void *value;
	size_t value_len;
	uint64_t keys; /* what it adds to the subtree's counts */
	uint64_t bytes;
} DraftEntry;

typedef struct {
	ProllyDraft draft;
	size_t keys_len, keys_capacity;
	size_t values_len, values_capacity;
	size_t ends_capacity;
	uint64_t measure; /* s of the draft, if it has no source */

	/* The node whose first entries the draft has, but for some values; both NULL: none. */
	ProllyNode *source;
	const ProllyNodeView *source_view;
	uint32_t *patched; /* of these entries, ascending; as many as the source has at most */
	uint32_t n_patched;
} DraftBuilder;

G_GNUC_INTERNAL void prolly_draft_init(DraftBuilder *self, unsigned level);
G_GNUC_INTERNAL void prolly_draft_clear(DraftBuilder *self);
G_GNUC_INTERNAL void prolly_draft_empty(DraftBuilder *self);
/* There is room for one more entry. */
G_GNUC_INTERNAL bool prolly_draft_grow(DraftBuilder *self, size_t key_len, size_t value_len,
				       GError **error);
/* Throws: the counts overflow. */
G_GNUC_INTERNAL bool prolly_draft_throw_overflow(GError **error);

/* Entry I of VIEW. RECORD: where an internal node's value is put together. */
G_GNUC_INTERNAL DraftEntry prolly_draft_read_entry(const ProllyNodeView *view, uint32_t i,
						   ProllyWeighFunc weigh,
						   ProllyChildRecord *record);

/* Is KEY greater than the last? Old trees that lie of their keys could make it less. No source. */
G_GNUC_INTERNAL bool prolly_draft_ascends(const DraftBuilder *self, const ProllyNodeKey *key);
/* With a source, after its last entry. */
G_GNUC_INTERNAL ProllyNodeKey prolly_draft_get_last_key(const DraftBuilder *self);

/* What becomes entry I's value in an internal node. */
static inline void draft_set_child_hash(DraftBuilder *self, uint32_t i, const ProllyHash *hash)
{
	memcpy(self->draft.values + i * sizeof(ProllyChildRecord) +
		       offsetof(ProllyChildRecord, hash),
	       hash, sizeof(*hash));
}

/* ---- With a source ----------------------------------------------------------------------- */

/* NODE becomes the source of an empty draft, which has none of its entries yet; but not if there is no
 * memory for that. */
G_GNUC_INTERNAL void prolly_draft_follow(DraftBuilder *self, ProllyNode *node,
					 const ProllyNodeView *view);
/* Takes an entry with the source's next key and a value of the length there. False: it is another. */
G_GNUC_INTERNAL bool prolly_draft_patch(DraftBuilder *self, const ProllyNodeKey *key,
					const void *value, size_t value_len);
/* Goes on without the source. */
G_GNUC_INTERNAL bool prolly_draft_write_out(DraftBuilder *self, ProllyWeighFunc weigh,
					    GError **error);
/* The counts of a draft that has all of the source. */
G_GNUC_INTERNAL bool prolly_draft_sum(DraftBuilder *self, ProllyWeighFunc weigh, GError **error);

/* All of its entries are there. */
static inline bool draft_is_whole(const DraftBuilder *self)
{
	return self->source && self->draft.count == self->source_view->count;
}

/* Is there a cut after the source's last entry? */
G_GNUC_INTERNAL bool prolly_draft_must_cut_source(DraftBuilder *self, const ProllyFormat *format);

/* (transfer full) The draft's node, not yet put. A source is whole, and summed up. */
G_GNUC_INTERNAL ProllyNode *prolly_draft_encode(const DraftBuilder *self,
						const ProllyTreeContext *context, GError **error);

/* ---- Without ----------------------------------------------------------------------------- */

/* Appends to the draft and nothing else. */
static inline bool draft_append(DraftBuilder *self, const DraftEntry *entry, GError **error)
{
	const ProllyNodeKey *key = &entry->key;
	ProllyDraft *draft = &self->draft;
	size_t key_len = key->prefix_len + key->suffix_len;

	if ((self->keys_len + key_len > self->keys_capacity ||
	     self->values_len + entry->value_len > self->values_capacity ||
	     draft->count == self->ends_capacity) &&
	    !prolly_draft_grow(self, key_len, entry->value_len, error))
		return false;
	if (__builtin_add_overflow(draft->total_keys, entry->keys, &draft->total_keys) ||
	    __builtin_add_overflow(draft->total_bytes, entry->bytes, &draft->total_bytes))
		return prolly_draft_throw_overflow(error);

	copy_short(draft->keys + self->keys_len, key->prefix, key->prefix_len);
	copy_short(draft->keys + self->keys_len + key->prefix_len, key->suffix, key->suffix_len);
	/* What was patched is there already. */
	if (entry->value != draft->values + self->values_len)
		memcpy(draft->values + self->values_len, entry->value, entry->value_len);
	self->keys_len += key_len;
	self->values_len += entry->value_len;
	self->measure += key_len + entry->value_len;
	draft->ends[draft->count].key_end = (uint32_t)self->keys_len;
	draft->ends[draft->count].value_end = (uint32_t)self->values_len;
	draft->count++;
	return true;
}
