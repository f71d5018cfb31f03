/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file-copy: a file that takes another one's content without reading it.
 *
 * A content is a stored value with bytes over it (overlay.c), and a stored value that is a blob is
 * a length and a hash: any file of the store may have it, in whatever branch. So a copy from the
 * start takes the source's value, cut to what was copied; and a copy that goes on where the last
 * one ended (callers copy large files in steps) moves the cut. When the cut is at the value's end,
 * nothing is left to be stored; else the next staging splices the last chunks.
 *
 * What is not like that (parts to other offsets, short values, a source with bytes written over its
 * value) is for the caller to copy byte by byte: equal bytes become equal chunks then.
 */
#include "version/file-private.h"
#include "version/working-private.h"

/* The bytes of IN's value that hold in [OFFSET, OFFSET + LEN), as an overlay of their own: its
 * length is where they end. False: it cannot be said so. */
static bool take_source(ProllyFile *in, uint64_t offset, uint64_t len, ProllyOverlay *out_content)
{
	const ProllyOverlay *content = &in->content;
	bool can;

	g_mutex_lock(&in->lock);
	can = content->value.is_blob && !content->runs->len && offset < content->base_length &&
	      prolly_overlay_init(out_content, content->stored, NULL);
	if (can)
		out_content->base_length = out_content->length =
			MIN(content->base_length, offset + MIN(len, UINT64_MAX - offset));
	g_mutex_unlock(&in->lock);
	return can;
}

/* Does CONTENT continue what FILE has up to OFFSET, or replace it? Under FILE's lock. */
static bool fits(const ProllyFile *file, const ProllyOverlay *content, uint64_t offset)
{
	const ProllyOverlay *own = &file->content;

	if (offset == 0)
		return own->length <= content->length;
	return own->length == offset && own->base_length == offset && !own->runs->len &&
	       own->value.is_blob && own->value.blob.length == content->value.blob.length &&
	       prolly_hash_equal(&own->value.blob.hash, &content->value.blob.hash);
}

bool prolly_file_share(ProllyFile *in, ProllyFile *out, uint64_t offset, uint64_t len,
		       uint64_t *out_len)
{
	/* What the source's content refers to stays until OUT is seen to refer to it (gc.c). */
	g_auto(ProllyGuard) guard = prolly_guard_enter(out->repo);
	g_auto(ProllyOverlay) content = {0};
	bool can = in != out && out->branch && take_source(in, offset, len, &content);

	*out_len = 0;
	if (!can)
		return false;
	g_mutex_lock(&out->lock);
	prolly_file_settle(out);
	can = fits(out, &content, offset);
	if (can) {
		*out_len = content.length - offset;
		prolly_overlay_clear(&out->content);
		out->content = content;
		content = (ProllyOverlay){0};
		prolly_file_count_runs(out);
		g_array_set_size(out->unrecorded, 0);
		out->must_rewrite = true;
		out->is_changed = true;
		out->has_new_nodes = true; /* the source's may be */
		out->attrs.mtime = out->attrs.ctime = prolly_time_now();
	}
	g_mutex_unlock(&out->lock);
	return can;
}
