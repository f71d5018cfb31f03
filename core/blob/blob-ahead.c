/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead.
 *
 * Who reads a blob in order waits for each chunk: a read of the database, a checksum and a hash,
 * 40 us for 64 KiB. So while he takes what is at one place, threads of the store's pool load the next
 * *windows* into the store's cache. Windows grow from WINDOW_MIN to WINDOW_MAX while reads go on in
 * order. Up to N_WINDOWS are under way at a time, as to load is more work than to take: a reader who
 * has come to one that nobody has begun loads it himself (pool.h). One is begun when less than LEAD
 * times its size is left of what is or will be loaded, which is also what is wasted, at most, on a
 * reader who stops.
 *
 * The cache holds what was loaded, so memory has the cache's bound however many blobs are read. The
 * cache may drop a chunk before it is read; then the read loads it. Nor does a window tell an error:
 * the read that meets it does.
 *
 * The processor's time for 1 GiB read so, in seconds, on two processors of Zen 5: hashes 0.23, reading
 * the tables 0.21, copying to the kernel 0.20, the tables' sums 0.06, all else 0.18; and the reader's
 * own 0.27. passthrough_hp, which splices pages, takes 0.3 besides the reader's. So on two processors,
 * both busy, we take longer. (Not measured: more processors, which would load windows beside both.)
 *
 * In order means near where the last read ended, as requests of a kernel that reads ahead itself may
 * overtake each other.
 *
 *  A1  What is in [loaded_from, loaded_to) was loaded, or was found not to be loadable.
 *  A2  The n_under_way windows from the oldest on were submitted and not finished. Each begins where
 *      the one before it ends, the oldest at loaded_to, and nobody changes their bounds.
 */
#include "blob/blob-private.h"

#include "base/pool.h"

#define WINDOW_MIN (256u << 10)
#define WINDOW_MAX (1u << 20)
#define N_WINDOWS  2
#define LEAD       3
#define NEAR       (1u << 20)

typedef struct {
	ProllyJob job; /* first */
	ProllyBlobAhead *ahead;
	uint64_t from;
	uint64_t to;
} Window;

struct ProllyBlobAhead {
	ProllyTreeContext context;
	ProllyBlob blob;
	bool is_useful; /* there is a cache to load to, and a processor to do it */

	gint references;
	GMutex lock; /* protects all below */
	uint64_t expected;
	uint64_t loaded_from;
	uint64_t loaded_to;
	uint64_t size; /* of the next window, in bytes */
	Window windows[N_WINDOWS];
	unsigned oldest;
	unsigned n_under_way;
};

static void load_window(ProllyJob *job)
{
	const Window *window = (const Window *)job;
	const ProllyBlobAhead *self = window->ahead;
	g_autoptr(GError) ignored = NULL;

	(void)prolly_blob_load(&self->context, &self->blob, window->from, window->to - window->from,
			       &ignored);
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
	for (unsigned i = 0; i < N_WINDOWS; i++) {
		self->windows[i].job.run = load_window;
		self->windows[i].ahead = self;
	}
	self->context = *context;
	prolly_store_ref(self->context.store);
	self->blob = *blob;
	self->size = WINDOW_MIN;
	self->is_useful = is_useful(self);
	g_mutex_init(&self->lock);
	return self;
}

ProllyBlobAhead *prolly_blob_ahead_ref(ProllyBlobAhead *self)
{
	g_atomic_int_inc(&self->references);
	return self;
}

/* Waits for the oldest window that is under way. */
static void finish_window(ProllyBlobAhead *self)
{
	Window *window = &self->windows[self->oldest];

	prolly_pool_finish(get_pool(self), &window->job);
	self->loaded_to = window->to;
	self->oldest = (self->oldest + 1) % N_WINDOWS;
	self->n_under_way--;
}

/* Finishes the windows that were loaded, in their order, and waits for those before END. */
static void finish_windows(ProllyBlobAhead *self, uint64_t end)
{
	while (self->n_under_way > 0 &&
	       (end > self->loaded_to ||
		prolly_pool_is_done(get_pool(self), &self->windows[self->oldest].job)))
		finish_window(self);
}

void prolly_blob_ahead_unref(ProllyBlobAhead *self)
{
	if (!self || !g_atomic_int_dec_and_test(&self->references))
		return;
	finish_windows(self, UINT64_MAX);
	g_mutex_clear(&self->lock);
	prolly_store_unref(self->context.store);
	g_free(self);
}

/* Where the last window ends that was begun. */
static uint64_t get_begun_to(const ProllyBlobAhead *self)
{
	unsigned last = (self->oldest + self->n_under_way + N_WINDOWS - 1) % N_WINDOWS;

	return self->n_under_way > 0 ? self->windows[last].to : self->loaded_to;
}

static void begin_window(ProllyBlobAhead *self)
{
	Window *window = &self->windows[(self->oldest + self->n_under_way) % N_WINDOWS];

	window->from = get_begun_to(self);
	window->to = MIN(window->from + self->size, self->blob.length);
	self->n_under_way++;
	self->size = MIN(self->size * 2, WINDOW_MAX);
	prolly_pool_submit(get_pool(self), &window->job);
}

/* Begins the windows that a reader who is at END will need soon. */
static void begin_windows(ProllyBlobAhead *self, uint64_t end)
{
	uint64_t begun_to = get_begun_to(self);

	while (self->n_under_way < N_WINDOWS && begun_to < self->blob.length &&
	       begun_to - end < LEAD * self->size) {
		begin_window(self);
		begun_to = get_begun_to(self);
	}
}

static bool is_near(uint64_t a, uint64_t b)
{
	return a > b ? a - b <= NEAR : b - a <= NEAR;
}

static void start_over(ProllyBlobAhead *self, uint64_t at)
{
	finish_windows(self, UINT64_MAX);
	self->loaded_from = self->loaded_to = at;
	self->size = WINDOW_MIN;
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
		finish_windows(self, end);
		if (end > self->loaded_to || offset < self->loaded_from)
			start_over(self, end);
		begin_windows(self, end);
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
	finish_windows(self, 0);
	has = offset >= self->loaded_from && end <= self->loaded_to;
	g_mutex_unlock(&self->lock);
	return has;
}
