/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors: a path, a bit that says whether it stands at an entry, and a buffer in which the entry's
 * key is put together when it is asked for. The prefix stays in the buffer for as long as the
 * cursor is in one leaf, so that a scan copies suffixes only.
 *
 * Nanoseconds an entry in a scan of a million, key and value looked at: 28 as it was, 9.9 with links
 * to children and large pages (core/store), 7.9 with the next leaf asked for in time and keys put
 * together without a call, 7.2 with one call an entry (prolly_cursor_read) and not four. Handing out
 * a leaf's entries as one array took 9.2: it writes as much as it saves. Memory gives 122 bytes in
 * 3.4.
 *
 * After an error the cursor is at no entry; it can be moved again.
 *
 * Invariants:
 * K1  If valid, path.frames[0] is loaded and its index is below its count.
 * K2  If was_read, valid.
 * K3  key_view is NULL, or the view whose prefix is at the start of `key`.
 */
#include "tree/tree-private.h"

struct ProllyCursor {
	ProllyTreeContext context;
	ProllyPath path;
	bool valid;
	bool was_read;        /* the present entry, by prolly_cursor_read */
	const uint8_t *ahead; /* where the next leaf was seen last, or NULL; only to ask for */
	const ProllyNodeView *key_view;
	uint8_t *key;
	size_t key_capacity;
};

ProllyCursor *prolly_cursor_new(const ProllyTreeContext *context, const ProllyTree *tree)
{
	ProllyCursor *self = g_malloc(sizeof(*self));

	self->context.store = prolly_store_ref(context->store);
	self->context.format = prolly_format_ref(context->format);
	self->valid = false;
	self->was_read = false;
	self->ahead = NULL;
	self->key_view = NULL;
	self->key = NULL;
	self->key_capacity = 0;
	prolly_path_init(&self->path, &self->context, tree);
	return self;
}

void prolly_cursor_free(ProllyCursor *self)
{
	if (!self)
		return;
	prolly_path_unwind(&self->path);
	prolly_store_unref(self->context.store);
	prolly_format_unref(self->context.format);
	g_free(self->key);
	g_free(self);
}

/* ---- Moving ------------------------------------------------------------------------------ */

/* The path goes to another leaf, perhaps. */
static void leave(ProllyCursor *self)
{
	self->valid = false;
	self->was_read = false;
	self->ahead = NULL;
	self->key_view = NULL;
}

static bool arrive(ProllyCursor *self)
{
	self->valid = self->path.frames[0].index < self->path.frames[0].view->count;
	return true;
}

/*
 * While one leaf is passed, the next is asked for, two lines at each entry: the processor would see
 * where a scan goes inside a leaf, but not from one to the next.
 */
static inline void look_ahead(const ProllyCursor *self, uint32_t index)
{
	if (!self->ahead)
		return;
	__builtin_prefetch(self->ahead + (size_t)index * 128);
	__builtin_prefetch(self->ahead + (size_t)index * 128 + 64);
}

static const uint8_t *find_ahead(const ProllyPath *path)
{
	const ProllyPathFrame *parent = &path->frames[1];

	if (path->height < 2 || parent->index + 1 >= parent->view->count)
		return NULL;
	return (const uint8_t *)__atomic_load_n(
		&node_get_link(parent->view, parent->index + 1)->node, __ATOMIC_RELAXED);
}

static bool step_leaf(ProllyCursor *self, bool forward, GError **error)
{
	bool moved;

	leave(self);
	if (!prolly_path_step_leaf(&self->path, forward, &moved, error))
		return false;
	self->valid = moved;
	self->ahead = moved && forward ? find_ahead(&self->path) : NULL;
	return true;
}

bool prolly_cursor_seek_first(ProllyCursor *self, GError **error)
{
	leave(self);
	return prolly_path_seek_rank(&self->path, 0, error) && arrive(self);
}

bool prolly_cursor_seek_last(ProllyCursor *self, GError **error)
{
	uint64_t keys = self->path.tree.keys;

	leave(self);
	return prolly_path_seek_rank(&self->path, keys ? keys - 1 : 0, error) && arrive(self);
}

/* To the first entry >= KEY. What lies behind in the same leaf is near: the path climbs only as far
 * as it must. */
static bool seek_key(ProllyCursor *self, const uint8_t *key, size_t len, GError **error)
{
	bool forward =
		self->valid && prolly_node_compare_key(self->path.frames[0].view, 0, key, len) <= 0;
	bool found;

	leave(self);
	return forward ? prolly_path_seek_forward(&self->path, key, len, &found, error)
		       : prolly_path_seek(&self->path, key, len, &found, error);
}

bool prolly_cursor_seek(ProllyCursor *self, const void *key, size_t len, GError **error)
{
	return seek_key(self, key_or_empty(key), len, error) && arrive(self);
}

bool prolly_cursor_seek_before(ProllyCursor *self, const void *key, size_t len, GError **error)
{
	if (!seek_key(self, key_or_empty(key), len, error))
		return false;
	if (self->path.frames[0].index == 0)
		return step_leaf(self, false, error);
	self->path.frames[0].index--;
	self->valid = true;
	return true;
}

bool prolly_cursor_seek_rank(ProllyCursor *self, uint64_t rank, GError **error)
{
	leave(self);
	return prolly_path_seek_rank(&self->path, rank, error) && arrive(self);
}

bool prolly_cursor_next(ProllyCursor *self, GError **error)
{
	ProllyPathFrame *leaf = &self->path.frames[0];

	if (!self->valid)
		return true;
	if (leaf->index + 1 == leaf->view->count)
		return step_leaf(self, true, error);
	leaf->index++;
	self->was_read = false;
	look_ahead(self, leaf->index);
	return true;
}

bool prolly_cursor_prev(ProllyCursor *self, GError **error)
{
	ProllyPathFrame *leaf = &self->path.frames[0];

	if (!self->valid)
		return true;
	if (leaf->index == 0)
		return step_leaf(self, false, error);
	leaf->index--;
	self->was_read = false;
	return true;
}

/* ---- Looking ----------------------------------------------------------------------------- */

bool prolly_cursor_is_valid(const ProllyCursor *self)
{
	return self->valid;
}

/*
 * Copies a piece of a key. Most are short, and a copy of a constant
 * size takes a fifth of the time of a call: so 16 bytes are copied of what is shorter, if LIMIT, up
 * to which PIECE can be read, allows. There is room for PIECE_SLACK bytes too many at OUT.
 */
#define PIECE_SLACK 16

static inline void put_piece(uint8_t *out, const uint8_t *piece, size_t len, const uint8_t *limit)
{
	if (len <= PIECE_SLACK && (size_t)(limit - piece) >= PIECE_SLACK)
		memcpy(out, piece, PIECE_SLACK);
	else
		memcpy(out, piece, len);
}

/* Makes room for every key of VIEW, and puts its prefix there. */
static void load_prefix(ProllyCursor *self, const ProllyNodeView *view)
{
	size_t suffixes_len = node_get_key_end(view, view->count - 1);
	size_t most = view->prefix_len + MIN(suffixes_len, (size_t)PROLLY_KEY_MAX) + PIECE_SLACK;

	if (most > self->key_capacity || !self->key) {
		g_free(self->key);
		self->key_capacity = MAX(2 * most, (size_t)64);
		self->key = g_malloc(self->key_capacity);
	}
	memcpy(self->key, node_get_prefix(view), view->prefix_len);
	self->key_view = view;
}

/* The present entry's key, put together. */
static inline const uint8_t *build_key(ProllyCursor *self, size_t *out_len)
{
	const ProllyPathFrame *leaf = &self->path.frames[0];
	const ProllyNodeView *view = leaf->view;
	const uint8_t *suffix;
	size_t suffix_len;

	if (self->key_view != view)
		load_prefix(self, view);
	suffix = node_get_suffix(view, leaf->index, &suffix_len);
	put_piece(self->key + view->prefix_len, suffix, suffix_len, view->data + view->len);
	*out_len = view->prefix_len + suffix_len;
	return self->key;
}

static inline void fill_entry(ProllyCursor *self, ProllyTreeEntry *out_entry)
{
	const ProllyPathFrame *leaf = &self->path.frames[0];

	out_entry->key = build_key(self, &out_entry->key_len);
	out_entry->value = node_get_value(leaf->view, leaf->index, &out_entry->value_len);
}

const uint8_t *prolly_cursor_get_key(ProllyCursor *self, size_t *out_len)
{
	g_return_val_if_fail(self->valid, NULL);
	return build_key(self, out_len);
}

const uint8_t *prolly_cursor_get_value(ProllyCursor *self, size_t *out_len)
{
	const ProllyPathFrame *leaf = &self->path.frames[0];

	g_return_val_if_fail(self->valid, NULL);
	return node_get_value(leaf->view, leaf->index, out_len);
}

/* Goes where prolly_cursor_read wants to be next, which is not in this leaf. */
static G_GNUC_NO_INLINE bool read_first(ProllyCursor *self, ProllyTreeEntry *out_entry,
					bool *out_end, GError **error)
{
	if (self->was_read && !prolly_cursor_next(self, error))
		return false;
	*out_end = !self->valid;
	self->was_read = self->valid;
	if (self->valid)
		fill_entry(self, out_entry);
	return true;
}

bool prolly_cursor_read(ProllyCursor *self, ProllyTreeEntry *out_entry, bool *out_end,
			GError **error)
{
	ProllyPathFrame *leaf = &self->path.frames[0];

	if (G_UNLIKELY(!self->was_read || leaf->index + 1 == leaf->view->count))
		return read_first(self, out_entry, out_end, error);
	leaf->index++;
	look_ahead(self, leaf->index);
	fill_entry(self, out_entry);
	*out_end = false;
	return true;
}

uint64_t prolly_cursor_get_rank(const ProllyCursor *self)
{
	g_return_val_if_fail(self->valid, 0);
	return prolly_path_get_rank(&self->path);
}
