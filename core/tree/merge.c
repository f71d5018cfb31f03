/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three-way comparison: the changes from the base to ours and those from the base to theirs, side
 * by side in key order. A key that both have is the same change, if the values (or absences) that
 * it leads to are equal, or else for the caller to resolve.
 *
 * Each side is one diff (diff.c), so nothing that base and ours, or base and theirs, have in common
 * is read, and memory is four paths.
 */
#include "tree/tree-private.h"

/* One diff and its next change. */
typedef struct {
	ProllyDiff *diff;
	ProllyChange change;
	bool loaded; /* `change` or `ended` is the diff's next answer, and not used yet */
	bool ended;
} Stream;

struct ProllyMerge {
	Stream ours;
	Stream theirs;
};

ProllyMerge *prolly_merge_new(const ProllyTreeContext *context, const ProllyTree *base,
			      const ProllyTree *ours, const ProllyTree *theirs)
{
	ProllyMerge *self = g_new0(ProllyMerge, 1);

	self->ours.diff = prolly_diff_new(context, base, ours, NULL, 0, NULL, 0);
	self->theirs.diff = prolly_diff_new(context, base, theirs, NULL, 0, NULL, 0);
	return self;
}

void prolly_merge_free(ProllyMerge *self)
{
	if (!self)
		return;
	prolly_diff_free(self->ours.diff);
	prolly_diff_free(self->theirs.diff);
	g_free(self);
}

static bool load(Stream *stream, GError **error)
{
	if (!stream->loaded && !stream->ended &&
	    !prolly_diff_next(stream->diff, &stream->change, &stream->ended, error))
		return false;
	stream->loaded = !stream->ended;
	return true;
}

/* Which comes first: ours (< 0), theirs (> 0), or both. One is loaded at least. */
static int compare_streams(const Stream *ours, const Stream *theirs)
{
	if (!ours->loaded || !theirs->loaded)
		return ours->loaded ? -1 : 1;
	return prolly_bytes_compare(ours->change.key, ours->change.key_len, theirs->change.key,
				    theirs->change.key_len);
}

static bool equal_results(const ProllyChange *a, const ProllyChange *b)
{
	if (!a->new_value || !b->new_value)
		return a->new_value == b->new_value;
	return a->new_len == b->new_len && memcmp(a->new_value, b->new_value, a->new_len) == 0;
}

static ProllyMergeStep make_step(const ProllyChange *ours, const ProllyChange *theirs, int order)
{
	const ProllyChange *any = order <= 0 ? ours : theirs;
	ProllyMergeStep step = {
		.key = any->key,
		.key_len = any->key_len,
		.base = any->old_value,
		.base_len = any->old_len,
		.ours = order <= 0 ? ours->new_value : any->old_value,
		.ours_len = order <= 0 ? ours->new_len : any->old_len,
		.theirs = order >= 0 ? theirs->new_value : any->old_value,
		.theirs_len = order >= 0 ? theirs->new_len : any->old_len,
	};

	if (order != 0)
		step.side = order < 0 ? PROLLY_SIDE_OURS : PROLLY_SIDE_THEIRS;
	else
		step.side = equal_results(ours, theirs) ? PROLLY_SIDE_SAME : PROLLY_SIDE_BOTH;
	return step;
}

bool prolly_merge_next(ProllyMerge *self, ProllyMergeStep *out_step, bool *out_end, GError **error)
{
	Stream *ours = &self->ours, *theirs = &self->theirs;
	int order;

	if (!load(ours, error) || !load(theirs, error))
		return false;
	*out_end = !ours->loaded && !theirs->loaded;
	if (*out_end)
		return true;
	order = compare_streams(ours, theirs);
	*out_step = make_step(&ours->change, &theirs->change, order);
	if (order <= 0)
		ours->loaded = false;
	if (order >= 0)
		theirs->loaded = false;
	return true;
}
