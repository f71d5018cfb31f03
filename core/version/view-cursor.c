/* SPDX-License-Identifier: Apache-2.0 */

/*
 * view-cursor: a view's keys in order, as entries.
 *
 * A cursor is a scan (scan.c) of a state that is pinned for it, so neither edits nor commits that
 * come meanwhile change what it goes over. What the scan finds stays where it lies; it becomes an
 * entry, with bytes and attributes of its own, only when that is asked for: who counts keys, or
 * skips most of them, pays for neither. The entry is the cursor's, until it moves.
 */

#include "version/working-private.h"

struct ProllyViewCursor {
	ProllyView *view;
	ProllyPin pin;
	char *ns;
	bool with_attrs;
	ProllyScan *scan;
	ProllyEntry entry;
	bool has_entry; /* ENTRY is that of the present key */
};

bool prolly_view_cursor_new(ProllyView *view, const char *ns, const void *prefix, size_t prefix_len,
			    bool with_attrs, ProllyViewCursor **out_cursor, GError **error)
{
	ProllyViewCursor *cursor = g_new0(ProllyViewCursor, 1);
	unsigned flags = PROLLY_SCAN_COMMITTED | (with_attrs ? PROLLY_SCAN_ATTRS : 0);

	cursor->view = prolly_view_ref(view);
	prolly_pin_init(&cursor->pin, view);
	cursor->ns = g_strdup(ns);
	cursor->with_attrs = with_attrs;
	cursor->scan =
		prolly_scan_new(&cursor->pin.working, cursor->ns, prefix, prefix_len, 0, flags);
	*out_cursor = cursor;
	return true;
}

static void forget_entry(ProllyViewCursor *cursor)
{
	prolly_entry_clear(&cursor->entry);
	cursor->has_entry = false;
}

void prolly_view_cursor_free(ProllyViewCursor *cursor)
{
	if (!cursor)
		return;
	forget_entry(cursor);
	prolly_scan_free(cursor->scan);
	prolly_pin_clear(&cursor->pin);
	prolly_view_unref(cursor->view);
	g_free(cursor->ns);
	g_free(cursor);
}

bool prolly_view_cursor_seek(ProllyViewCursor *cursor, const void *key, size_t len, GError **error)
{
	forget_entry(cursor);
	return prolly_scan_seek(cursor->scan, key, len, error);
}

bool prolly_view_cursor_next(ProllyViewCursor *cursor, GError **error)
{
	forget_entry(cursor);
	return prolly_scan_next(cursor->scan, error);
}

bool prolly_view_cursor_is_valid(const ProllyViewCursor *cursor)
{
	return prolly_scan_is_valid(cursor->scan);
}

const uint8_t *prolly_view_cursor_get_key(const ProllyViewCursor *cursor, size_t *out_len)
{
	return prolly_scan_get_key(cursor->scan, out_len);
}

bool prolly_view_cursor_get_entry(ProllyViewCursor *cursor, const ProllyEntry **out_entry,
				  GError **error)
{
	const ProllyFinding *finding = prolly_scan_get_finding(cursor->scan);
	ProllyEntry entry = {0};

	if (!cursor->has_entry) {
		ProllyPlace place = {.ns = cursor->ns};

		place.key = prolly_scan_get_key(cursor->scan, &place.key_len);
		if (!prolly_finding_to_entry(finding, &entry, error))
			return false;
		if (cursor->with_attrs && !prolly_working_get_attrs(&cursor->pin.working, &place,
								    finding, &entry.attrs, error)) {
			prolly_entry_clear(&entry);
			return false;
		}
		cursor->entry = entry;
		cursor->has_entry = true;
	}
	*out_entry = &cursor->entry;
	return true;
}
