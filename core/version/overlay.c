/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlay: a value with bytes written over it, in memory.
 *
 * Runs are kept sorted and apart in an array, so that a look-up is a binary search and a sequential
 * writer extends one run in place. A write cuts what lies under it out of the runs there, and
 * either goes on the end of the run before or becomes a run of its own. The array, of pointers, is
 * small by construction: whoever fills it stores it as a value when it passes a bound (file.c).
 *
 * Zeros are runs without data, and cost nothing. Bytes between base_length and length that no run
 * covers are zeros too: a truncation followed by an extension, or a write past the end.
 *
 * Invariants:
 * O1  runs ascend, do not overlap, are not empty, and end at or before length.
 * O2  base_length <= length, and base_length <= value.length.
 * O3  run_bytes is the sum of len over the runs that have data.
 */
#include "base/memory.h"
#include "version/file-private.h"

#include <string.h>

static void free_run(void *run)
{
	g_free(((ProllyRun *)run)->data);
	g_free(run);
}

bool prolly_overlay_init(ProllyOverlay *out_overlay, GBytes *stored, GError **error)
{
	ProllyOverlay overlay = {0};
	size_t len;
	const uint8_t *bytes = g_bytes_get_data(stored, &len);

	if (!prolly_value_parse(bytes, len, &overlay.value, error))
		return false;
	overlay.stored = g_bytes_ref(stored);
	overlay.base_length = overlay.length = overlay.value.length;
	overlay.runs = g_ptr_array_new_with_free_func(free_run);
	*out_overlay = overlay;
	return true;
}

void prolly_overlay_clear(ProllyOverlay *overlay)
{
	g_clear_pointer(&overlay->stored, g_bytes_unref);
	g_clear_pointer(&overlay->runs, g_ptr_array_unref);
	overlay->run_bytes = 0;
}

static ProllyRun *get_run(const ProllyOverlay *overlay, guint i)
{
	return g_ptr_array_index(overlay->runs, i);
}

static uint64_t run_end(const ProllyRun *run)
{
	return run->offset + run->len;
}

guint prolly_overlay_find(const ProllyOverlay *overlay, uint64_t offset)
{
	guint low = 0, high = overlay->runs->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (run_end(get_run(overlay, middle)) > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* ---- Writing ----------------------------------------------------------------------------- */

/* DATA: (transfer full) */
static void insert_run(ProllyOverlay *overlay, guint at, uint64_t offset, uint8_t *data,
		       uint64_t len)
{
	ProllyRun *run = g_new0(ProllyRun, 1);

	run->offset = offset;
	run->len = len;
	run->data = data;
	if (data) {
		run->capacity = len;
		overlay->run_bytes += len;
	}
	g_ptr_array_insert(overlay->runs, (int)at, run);
}

/* Makes RUN end at END, which lies in it. */
static void shorten_run(ProllyOverlay *overlay, ProllyRun *run, uint64_t end)
{
	if (run->data)
		overlay->run_bytes -= run_end(run) - end;
	run->len = end - run->offset;
}

/* Makes RUN begin at START, which lies in it. */
static void behead_run(ProllyOverlay *overlay, ProllyRun *run, uint64_t start)
{
	uint64_t cut = start - run->offset;

	if (run->data) {
		memmove(run->data, run->data + cut, run->len - cut);
		overlay->run_bytes -= cut;
	}
	run->offset = start;
	run->len -= cut;
}

/* Takes [OFFSET, END) out of the runs. TAIL (transfer full): what a run has behind END that goes on on
 * both sides. Returns where a run at OFFSET belongs. */
static guint cut_out(ProllyOverlay *overlay, uint64_t offset, uint64_t end, uint8_t *tail)
{
	guint i = prolly_overlay_find(overlay, offset);

	if (i < overlay->runs->len && get_run(overlay, i)->offset < offset) {
		ProllyRun *run = get_run(overlay, i);

		if (run_end(run) > end) {
			insert_run(overlay, i + 1, end, tail, run_end(run) - end);
			run = get_run(overlay, i);
		}
		shorten_run(overlay, run, offset);
		i++;
	}
	while (i < overlay->runs->len && run_end(get_run(overlay, i)) <= end) {
		shorten_run(overlay, get_run(overlay, i), get_run(overlay, i)->offset);
		g_ptr_array_remove_index(overlay->runs, i);
	}
	if (i < overlay->runs->len && get_run(overlay, i)->offset < end)
		behead_run(overlay, get_run(overlay, i), end);
	return i;
}

/* Appends to RUN, which has the room. */
static void extend_run(ProllyOverlay *overlay, ProllyRun *run, const uint8_t *data, uint64_t len)
{
	if (data) {
		memcpy(run->data + run->len, data, len);
		overlay->run_bytes += len;
	}
	run->len += len;
}

/* The run that DATA at OFFSET can go on the end of, once that is cut off there; NULL: none. AT: the
 * first that ends after OFFSET. */
static ProllyRun *find_extensible(const ProllyOverlay *overlay, guint at, uint64_t offset,
				  bool has_data)
{
	ProllyRun *run = NULL;

	if (at < overlay->runs->len && get_run(overlay, at)->offset < offset)
		run = get_run(overlay, at);
	else if (at > 0 && run_end(get_run(overlay, at - 1)) == offset)
		run = get_run(overlay, at - 1);
	return run && !run->data == !has_data && !run->is_sealed ? run : NULL;
}

/* What a write needs, got before anything is changed. */
typedef struct {
	ProllyRun *extended; /* has room for the data; NULL: they become a run of their own, */
	uint8_t *data;       /* which has these bytes; NULL: zeros */
	uint8_t *tail;       /* see cut_out */
} Means;

static bool gather_means(const ProllyOverlay *overlay, uint64_t offset, const uint8_t *data,
			 uint64_t len, Means *out_means, GError **error)
{
	static const char WHAT[] = "bytes written to a file";
	uint64_t end = offset + len;
	guint at = prolly_overlay_find(overlay, offset);
	const ProllyRun *cut = at < overlay->runs->len ? get_run(overlay, at) : NULL;
	Means means = {.extended = find_extensible(overlay, at, offset, data != NULL)};
	ProllyRun *extended = means.extended;

	if (data && extended &&
	    !prolly_try_grow(&extended->data, &extended->capacity, (size_t)(end - extended->offset),
			     1, WHAT, error))
		return false;
	if (cut && cut->data && cut->offset < offset && run_end(cut) > end) {
		means.tail = prolly_try_memdup(cut->data + (end - cut->offset),
					       (size_t)(run_end(cut) - end), WHAT, error);
		if (!means.tail)
			return false;
	}
	if (data && !extended) {
		means.data = prolly_try_memdup(data, (size_t)len, WHAT, error);
		if (!means.data) {
			g_free(means.tail);
			return false;
		}
	}
	*out_means = means;
	return true;
}

bool prolly_overlay_write(ProllyOverlay *overlay, uint64_t offset, const uint8_t *data,
			  uint64_t len, GError **error)
{
	Means means;
	guint at;

	if (len == 0)
		return true;
	if (!gather_means(overlay, offset, data, len, &means, error))
		return false;
	at = cut_out(overlay, offset, offset + len, means.tail);
	if (means.extended)
		extend_run(overlay, means.extended, data, len);
	else
		insert_run(overlay, at, offset, means.data, len);
	overlay->length = MAX(overlay->length, offset + len);
	return true;
}

void prolly_overlay_truncate(ProllyOverlay *overlay, uint64_t length)
{
	if (length < overlay->length) {
		cut_out(overlay, length, UINT64_MAX, NULL);
		overlay->base_length = MIN(overlay->base_length, length);
	}
	overlay->length = length;
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* Fills BUFFER with what lies under the runs at [OFFSET, OFFSET + LEN). */
static bool read_base(const ProllyOverlay *overlay, const ProllyTreeContext *context,
		      uint64_t offset, uint8_t *buffer, size_t len, GError **error)
{
	size_t want = 0, done = 0;

	if (offset < overlay->base_length)
		want = (size_t)MIN(len, overlay->base_length - offset);
	if (want &&
	    !prolly_value_read(context, &overlay->value, offset, buffer, want, &done, error))
		return false;
	memset(buffer + done, 0, len - done);
	return true;
}

bool prolly_overlay_read(const ProllyOverlay *overlay, const ProllyTreeContext *context,
			 uint64_t offset, void *buffer, size_t len, size_t *out_len, GError **error)
{
	uint64_t end, at = offset;
	uint8_t *out = buffer;

	if (offset >= overlay->length) {
		*out_len = 0;
		return true;
	}
	end = offset + MIN(len, overlay->length - offset);
	for (guint i = prolly_overlay_find(overlay, offset); at < end; i++) {
		const ProllyRun *run = i < overlay->runs->len ? get_run(overlay, i) : NULL;
		uint64_t gap_end = run ? MIN(run->offset, end) : end;
		uint64_t stop;

		if (at < gap_end &&
		    !read_base(overlay, context, at, out + (at - offset), gap_end - at, error))
			return false;
		at = MAX(at, gap_end);
		if (at == end)
			break;
		stop = MIN(run_end(run), end);
		if (run->data)
			memcpy(out + (at - offset), run->data + (at - run->offset), stop - at);
		else
			memset(out + (at - offset), 0, stop - at);
		at = stop;
	}
	*out_len = (size_t)(end - offset);
	return true;
}

/* The first byte of data (DATA) or of a hole at or after AT, in the base up to END, or END. */
static bool seek_base(const ProllyOverlay *overlay, const ProllyTreeContext *context, uint64_t at,
		      uint64_t end, bool data, uint64_t *out_offset, GError **error)
{
	uint64_t base_end = MIN(end, overlay->base_length);
	uint64_t found = end;

	if (at >= base_end) {
		*out_offset = data ? end : at;
		return true;
	}
	if (!overlay->value.is_blob)
		found = data ? at : base_end;
	else if (!prolly_blob_seek(context, &overlay->value.blob, at, data, &found, error))
		return false;
	if (found >= base_end)
		found = data ? end : base_end;
	*out_offset = found;
	return true;
}

bool prolly_overlay_seek(const ProllyOverlay *overlay, const ProllyTreeContext *context,
			 uint64_t offset, bool data, uint64_t *out_offset, GError **error)
{
	uint64_t at = offset;

	for (guint i = prolly_overlay_find(overlay, offset); at < overlay->length; i++) {
		const ProllyRun *run = i < overlay->runs->len ? get_run(overlay, i) : NULL;
		uint64_t gap_end = run ? run->offset : overlay->length;

		if (at < gap_end) {
			uint64_t found;

			if (!seek_base(overlay, context, at, gap_end, data, &found, error))
				return false;
			at = found;
			if (found < gap_end)
				break;
		}
		if (!run || (run->data != NULL) == data)
			break;
		at = run_end(run);
	}
	*out_offset = MIN(at, overlay->length);
	return true;
}

/* ---- Sealed runs ------------------------------------------------------------------------- */

ProllyOverlay prolly_overlay_seal(ProllyOverlay *overlay)
{
	ProllyOverlay sealed = *overlay;

	sealed.stored = g_bytes_ref(overlay->stored);
	sealed.runs = g_ptr_array_sized_new(overlay->runs->len);
	for (guint i = 0; i < overlay->runs->len; i++) {
		get_run(overlay, i)->is_sealed = true;
		g_ptr_array_add(sealed.runs, get_run(overlay, i));
	}
	return sealed;
}

void prolly_overlay_unseal(ProllyOverlay *overlay)
{
	for (guint i = 0; i < overlay->runs->len; i++)
		get_run(overlay, i)->is_sealed = false;
}

bool prolly_overlay_rebase(ProllyOverlay *overlay, GBytes *stored, GError **error)
{
	ProllyValue value;
	size_t len;
	const uint8_t *bytes = g_bytes_get_data(stored, &len);

	if (!prolly_value_parse(bytes, len, &value, error))
		return false;
	for (guint i = overlay->runs->len; i-- > 0;) {
		const ProllyRun *run = get_run(overlay, i);

		if (!run->is_sealed)
			continue;
		if (run->data)
			overlay->run_bytes -= run->len;
		g_ptr_array_remove_index(overlay->runs, i);
	}
	g_bytes_unref(overlay->stored);
	overlay->stored = g_bytes_ref(stored);
	overlay->value = value;
	overlay->base_length = value.length;
	return true;
}

bool prolly_overlay_touches_sealed(const ProllyOverlay *overlay, uint64_t offset, uint64_t len)
{
	for (guint i = prolly_overlay_find(overlay, offset); i < overlay->runs->len; i++) {
		const ProllyRun *run = get_run(overlay, i);

		if (run->offset >= offset + len)
			return false;
		if (run->is_sealed)
			return true;
	}
	return false;
}

/* ---- As a value -------------------------------------------------------------------------- */

static bool store_inline(const ProllyOverlay *overlay, const ProllyTreeContext *context,
			 ProllyKind kind, GBytes **out_stored, GError **error)
{
	g_autofree uint8_t *content =
		prolly_try_malloc((size_t)overlay->length, "a file's content", error);
	size_t len;

	if (!content ||
	    !prolly_overlay_read(overlay, context, 0, content, overlay->length, &len, error))
		return false;
	return prolly_value_store(context, kind, content, len, out_stored, error);
}

/* The runs as extents, before them an inline value's bytes as far as no run covers them. */
static GArray *runs_to_extents(const ProllyOverlay *overlay)
{
	GArray *extents = g_array_new(FALSE, FALSE, sizeof(ProllyExtent));
	uint64_t at = 0, base = overlay->value.is_blob ? 0 : overlay->base_length;

	for (guint i = 0; i <= overlay->runs->len; i++) {
		const ProllyRun *run = i < overlay->runs->len ? get_run(overlay, i) : NULL;
		uint64_t gap_end = run ? MIN(run->offset, base) : base;

		if (at < gap_end) {
			ProllyExtent gap = {at, gap_end - at, overlay->value.data + at};

			g_array_append_val(extents, gap);
		}
		if (run) {
			ProllyExtent extent = {run->offset, run->len, run->data};

			g_array_append_val(extents, extent);
			at = run_end(run);
		}
	}
	return extents;
}

bool prolly_overlay_store(const ProllyOverlay *overlay, const ProllyTreeContext *context,
			  ProllyKind kind, GBytes **out_stored, GError **error)
{
	const ProllyFormatParameters *parameters = prolly_format_get_parameters(context->format);
	bool is_blob = overlay->value.is_blob;
	g_autoptr(GArray) extents = NULL;
	ProllyBlob blob;

	if (overlay->length <= parameters->inline_limit)
		return store_inline(overlay, context, kind, out_stored, error);
	extents = runs_to_extents(overlay);
	if (!prolly_blob_splice(context, is_blob ? &overlay->value.blob : NULL,
				is_blob ? overlay->base_length : 0, overlay->length,
				(const ProllyExtent *)(void *)extents->data, extents->len, &blob,
				error))
		return false;
	*out_stored = prolly_value_new_blob(kind, &blob);
	return true;
}
