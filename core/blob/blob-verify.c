/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying a blob: every node and chunk is read, and told if it is damaged; and what was read is cut
 * and hashed once more, which has to give the same blob. So boundaries, holes, heights and sums are
 * right if the hash is.
 *
 * Past a damage nothing can be said of where the content is cut, so only what is there is looked at.
 */
#include "blob/blob-verify.h"

#include "blob/blob-private.h"

typedef struct {
	const ProllyTreeContext *context;
	const ProllyBlobVerifier *verifier;
	ProllyBlobWriter *writer; /* NULL: something is damaged */
} Verify;

/* True, and told, if FLAW (transfer full) is damage; else it is the ERROR. */
static bool note_damage(Verify *self, ProllyNodeClass node_class, const ProllyBlobEntry *entry,
			uint64_t start, GError *flaw, GError **error)
{
	g_clear_pointer(&self->writer, prolly_blob_writer_free);
	if (!prolly_error_is(flaw, PROLLY_ERROR_CORRUPT) &&
	    !prolly_error_is(flaw, PROLLY_ERROR_MISSING)) {
		g_propagate_error(error, flaw);
		return false;
	}
	self->verifier->damage(node_class, &entry->hash, start, entry->length, flaw,
			       self->verifier->data);
	g_error_free(flaw);
	return true;
}

static bool visit_chunk(Verify *self, const ProllyBlobEntry *entry, uint64_t start, GError **error)
{
	GError *flaw = NULL;
	g_autoptr(ProllyNode) node =
		prolly_store_get(self->context->store, PROLLY_NODE_CHUNK, &entry->hash, &flaw);
	const uint8_t *data;

	if (!node || !prolly_chunk_get_data(node, entry->length, &data, &flaw))
		return note_damage(self, PROLLY_NODE_CHUNK, entry, start, flaw, error);
	return !self->writer ||
	       prolly_blob_writer_write(self->writer, data, (size_t)entry->length, error);
}

static bool visit(Verify *self, unsigned level, const ProllyBlobEntry *entry, uint64_t start,
		  GError **error);

static bool visit_node(Verify *self, unsigned level, const ProllyBlobEntry *entry, uint64_t start,
		       GError **error)
{
	g_autoptr(ProllyNode) node = NULL;
	const ProllyBlobView *view;
	GError *flaw = NULL;

	if (!prolly_blob_node_load(self->context->store, &entry->hash, level, entry->length,
				   entry->data, &node, &flaw))
		return note_damage(self, PROLLY_NODE_TREE, entry, start, flaw, error);
	view = prolly_blob_node_get_view(node);
	for (unsigned i = 0; i < view->count; i++) {
		ProllyBlobEntry child;
		uint64_t at;

		prolly_blob_view_get(view, i, &child, &at);
		if (!visit(self, level - 1, &child, start + at, error))
			return false;
	}
	return true;
}

static bool visit(Verify *self, unsigned level, const ProllyBlobEntry *entry, uint64_t start,
		  GError **error)
{
	if (level > 0)
		return visit_node(self, level, entry, start, error);
	if (!prolly_blob_entry_is_hole(entry))
		return visit_chunk(self, entry, start, error);
	return !self->writer || prolly_blob_writer_write_zeros(self->writer, entry->length, error);
}

/* Nothing was damaged: is it what its content makes? */
static bool check_shape(Verify *self, const ProllyBlob *blob, const ProllyBlobEntry *top,
			GError **error)
{
	ProllyBlob made;
	GError *flaw = NULL;

	if (!prolly_blob_writer_finish(self->writer, &made, error))
		return false;
	if (made.length == blob->length && made.height == blob->height &&
	    prolly_hash_equal(&made.hash, &blob->hash))
		return true;
	prolly_throw(&flaw, PROLLY_ERROR_CORRUPT,
		     "a large value of %" G_GUINT64_FORMAT " bytes is not cut where the rule says",
		     blob->length);
	return note_damage(self, blob->height ? PROLLY_NODE_TREE : PROLLY_NODE_CHUNK, top, 0, flaw,
			   error);
}

bool prolly_blob_verify(const ProllyTreeContext *context, const ProllyBlob *blob,
			const ProllyBlobVerifier *verifier, bool *out_sound, GError **error)
{
	ProllyTreeContext scratch = {verifier->scratch, context->format};
	ProllyBlobEntry top = {.length = blob->length, .data = UINT64_MAX, .hash = blob->hash};
	Verify self = {.context = context, .verifier = verifier};
	bool ok = true;

	if (blob->height > PROLLY_BLOB_HEIGHT_MAX || blob->length > PROLLY_BLOB_LENGTH_MAX)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "a blob of impossible height %u or length %" G_GUINT64_FORMAT,
				    blob->height, blob->length);
	self.writer = prolly_blob_writer_new(&scratch);
	if (blob->length > 0)
		ok = visit(&self, blob->height, &top, 0, error);
	if (ok && self.writer)
		ok = check_shape(&self, blob, &top, error);
	*out_sound = ok && self.writer;
	prolly_blob_writer_free(self.writer);
	return ok;
}
