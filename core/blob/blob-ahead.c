/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead.
 *
 * Who reads a blob in order waits for each chunk: a read of the database, a checksum and a hash,
 * 40 us for 64 KiB. So while he takes what is at one place, a thread of the store's pool loads the
 * next *window* into the store's cache. Windows grow from WINDOW_MIN to WINDOW_MAX while reads go on
 * in order. One window is under way at a time, and is begun when less than its size is left of what
 * was loaded: that is double buffering, and what is wasted on a reader who stops is two windows.
 *
 * The cache holds what was loaded, so memory has the cache's bound however many blobs are read. The
 * cache may drop a chunk before it is read; then the read loads it. Nor does a window tell an error:
 * the read that meets it does.
 *
 * In order means near where the last read ended, as requests of a kernel that reads ahead itself may
 * overtake each other.
 *
 *  A1  What is in [loaded_from, loaded_to) was loaded, or was found not to be loadable.
 *  A2  job is submitted and not finished exactly while is_under_way; it loads [job_from, job_to),
 *      which begins at loaded_to, and nobody else looks at these two.
 */
#include "blob/blob-private.h"

#include "base/pool.h"

#define WINDOW_MIN (256u << 10)
#define WINDOW_MAX (1u << 20)
#define NEAR       (512u << 10)

struct ProllyBlobAhead {
	ProllyJob job; /* first */
	ProllyTreeContext context;
	ProllyBlob blob;
	bool is_useful; /* there is a cache to load to, and a processor to do it */

	gint references;
	GMutex lock; /* protects all below */
	uint64_t expected;
	uint64_t loaded_from;
	uint64_t loaded_to;
	uint64_t window; /* bytes of the next */
	bool is_under_way;
	uint64_t job_from;
	uint64_t job_to;
};

static void load_window(ProllyJob *job)
{
	ProllyBlobAhead *self = (ProllyBlobAhead *)job;
	g_autoptr(GError) ignored = NULL;

	(void)prolly_blob_load(&self->context, &self->blob, self->job_from,
			       self->job_to - self->job_from, &ignored);
}

static ProllyPool *get_pool(const ProllyBlobAhead *self)
{
	return prolly_store_get_pool(self->context.store);
}

static bool is_useful(const ProllyBlobAhead *self)
{
	ProllyBackendKind kind = prolly_store_get_kind(self->context.store);

	return kind != PROLLY_BACKEND_MEMORY && kind != PROLLY_BACKEND_FILE &&
	       prolly_pool_is_parallel(get_pool(self));
}

ProllyBlobAhead *prolly_blob_ahead_new(const ProllyTreeContext *context, const ProllyBlob *blob)
{
	ProllyBlobAhead *self = g_new0(ProllyBlobAhead, 1);

	self->references = 1;
	self->job.run = load_window;
	self->context = *context;
	prolly_store_ref(self->context.store);
	self->blob = *blob;
	self->window = WINDOW_MIN;
	self->is_useful = is_useful(self);
	g_mutex_init(&self->lock);
	return self;
}

ProllyBlobAhead *prolly_blob_ahead_ref(ProllyBlobAhead *self)
{
	g_atomic_int_inc(&self->references);
	return self;
}

void prolly_blob_ahead_unref(ProllyBlobAhead *self)
{
	if (!self || !g_atomic_int_dec_and_test(&self->references))
		return;
	if (self->is_under_way)
		prolly_pool_finish(get_pool(self), &self->job);
	g_mutex_clear(&self->lock);
	prolly_store_unref(self->context.store);
	g_free(self);
}

/* Waits for the window that is under way. */
static void finish_window(ProllyBlobAhead *self)
{
	prolly_pool_finish(get_pool(self), &self->job);
	self->is_under_way = false;
	self->loaded_to = self->job_to;
}

static void begin_window(ProllyBlobAhead *self)
{
	self->job_from = self->loaded_to;
	self->job_to = MIN(self->loaded_to + self->window, self->blob.length);
	self->is_under_way = true;
	self->window = MIN(self->window * 2, WINDOW_MAX);
	prolly_pool_submit(get_pool(self), &self->job);
}

static bool is_near(uint64_t a, uint64_t b)
{
	return a > b ? a - b <= NEAR : b - a <= NEAR;
}

static void start_over(ProllyBlobAhead *self, uint64_t at)
{
	if (self->is_under_way)
		finish_window(self);
	self->loaded_from = self->loaded_to = at;
	self->window = WINDOW_MIN;
}

void prolly_blob_ahead_note(ProllyBlobAhead *self, uint64_t offset, uint64_t len)
{
	uint64_t end = MIN(self->blob.length, offset + len);
	bool in_order;

	if (!self->is_useful)
		return;
	g_mutex_lock(&self->lock);
	in_order = self->expected != 0 && is_near(offset, self->expected);
	self->expected = end;
	if (in_order) {
		if (self->is_under_way &&
		    (end > self->loaded_to || prolly_pool_is_done(get_pool(self), &self->job)))
			finish_window(self);
		if (end > self->loaded_to || offset < self->loaded_from)
			start_over(self, end);
		if (!self->is_under_way && self->loaded_to < self->blob.length &&
		    self->loaded_to - end < self->window)
			begin_window(self);
	}
	g_mutex_unlock(&self->lock);
}

bool prolly_blob_ahead_is_of(const ProllyBlobAhead *self, const ProllyBlob *blob)
{
	return self->blob.length == blob->length && self->blob.height == blob->height &&
	       prolly_hash_equal(&self->blob.hash, &blob->hash);
}

bool prolly_blob_ahead_has(ProllyBlobAhead *self, uint64_t offset, uint64_t len)
{
	uint64_t end = MIN(self->blob.length, offset + len);
	bool has;

	if (!g_mutex_trylock(&self->lock))
		return false;
	if (self->is_under_way && prolly_pool_is_done(get_pool(self), &self->job))
		finish_window(self);
	has = offset >= self->loaded_from && end <= self->loaded_to;
	g_mutex_unlock(&self->lock);
	return has;
}
