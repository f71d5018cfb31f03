/* SPDX-License-Identifier: Apache-2.0 */

/*
 * latency: what each request of the kernel cost, by operation.
 *
 * Always on, so it has to cost nothing: two readings of the clock a request and a few relaxed
 * atomic additions, 0.3 us beside the 10 or more that waking up takes. A request is timed from when
 * it was received until its handler returned, the wait for a worker included.
 *
 * A histogram has buckets that grow by about a fifth: four to each power of two nanoseconds, the
 * bucket's number being the position of a time's highest bit and the two bits that follow. What a
 * table shows for a share of the requests is its bucket's upper end, and never more than the
 * maximum, which is exact.
 */

#include "fs-private.h"

#include <linux/fuse.h>
#include <stdatomic.h>
#include <syslog.h>
#include <time.h>

#define OPERATIONS  64 /* FUSE's numbers go up to 52; what is above is not ours to answer */
#define STEPS_BITS  2  /* of a power of two */
#define STEPS       (1u << STEPS_BITS)
#define MAX_POWER   40 /* 2^40 ns: 18 minutes */
#define BUCKETS     (STEPS * MAX_POWER)
#define NANOSECONDS INT64_C(1000000000)

typedef struct {
	_Atomic uint64_t count;
	_Atomic uint64_t total; /* nanoseconds */
	_Atomic uint64_t max;
	_Atomic uint32_t buckets[BUCKETS];
} Histogram;

struct PfsLatency {
	Histogram operations[OPERATIONS];
};

static const char *const names[OPERATIONS] = {
	[FUSE_LOOKUP] = "lookup",
	[FUSE_FORGET] = "forget",
	[FUSE_GETATTR] = "getattr",
	[FUSE_SETATTR] = "setattr",
	[FUSE_READLINK] = "readlink",
	[FUSE_SYMLINK] = "symlink",
	[FUSE_MKNOD] = "mknod",
	[FUSE_MKDIR] = "mkdir",
	[FUSE_UNLINK] = "unlink",
	[FUSE_RMDIR] = "rmdir",
	[FUSE_RENAME] = "rename",
	[FUSE_LINK] = "link",
	[FUSE_OPEN] = "open",
	[FUSE_READ] = "read",
	[FUSE_WRITE] = "write",
	[FUSE_STATFS] = "statfs",
	[FUSE_RELEASE] = "release",
	[FUSE_FSYNC] = "fsync",
	[FUSE_SETXATTR] = "setxattr",
	[FUSE_GETXATTR] = "getxattr",
	[FUSE_LISTXATTR] = "listxattr",
	[FUSE_REMOVEXATTR] = "removexattr",
	[FUSE_FLUSH] = "flush",
	[FUSE_INIT] = "init",
	[FUSE_OPENDIR] = "opendir",
	[FUSE_READDIR] = "readdir",
	[FUSE_RELEASEDIR] = "releasedir",
	[FUSE_FSYNCDIR] = "fsyncdir",
	[FUSE_ACCESS] = "access",
	[FUSE_CREATE] = "create",
	[FUSE_INTERRUPT] = "interrupt",
	[FUSE_IOCTL] = "ioctl",
	[FUSE_BATCH_FORGET] = "forget_multi",
	[FUSE_FALLOCATE] = "fallocate",
	[FUSE_READDIRPLUS] = "readdirplus",
	[FUSE_RENAME2] = "rename2",
	[FUSE_LSEEK] = "lseek",
	[FUSE_COPY_FILE_RANGE] = "copy_file_range",
	[FUSE_SYNCFS] = "syncfs",
};

PfsLatency *pfs_latency_new(void)
{
	return g_new0(PfsLatency, 1);
}

void pfs_latency_free(PfsLatency *latency)
{
	g_free(latency);
}

int64_t pfs_latency_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NANOSECONDS + now.tv_nsec;
}

/* ---- Buckets ----------------------------------------------------------------------------- */

static unsigned find_bucket(uint64_t time)
{
	unsigned power, bucket;

	if (time < STEPS)
		return (unsigned)time;
	power = 63 - (unsigned)__builtin_clzll(time);
	bucket = power << STEPS_BITS | (unsigned)(time >> (power - STEPS_BITS) & (STEPS - 1));
	return MIN(bucket, BUCKETS - 1);
}

/* The least time that belongs in a later one. */
static uint64_t bucket_end(unsigned bucket)
{
	unsigned power = bucket >> STEPS_BITS;

	if (power < STEPS_BITS)
		return bucket + 1;
	return (uint64_t)(STEPS + bucket % STEPS + 1) << (power - STEPS_BITS);
}

void pfs_latency_note(PfsLatency *latency, unsigned operation, int64_t received)
{
	int64_t elapsed = pfs_latency_now() - received;
	uint64_t time = elapsed > 0 ? (uint64_t)elapsed : 0, max;
	Histogram *histogram;

	if (operation >= OPERATIONS)
		return;
	histogram = &latency->operations[operation];
	atomic_fetch_add_explicit(&histogram->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->total, time, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->buckets[find_bucket(time)], 1, memory_order_relaxed);
	max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
	while (time > max &&
	       !atomic_compare_exchange_weak_explicit(&histogram->max, &max, time,
						      memory_order_relaxed, memory_order_relaxed)) {
	}
}

/* The time that SHARE of COUNT requests took at most, in nanoseconds. */
static uint64_t find_quantile(const Histogram *histogram, uint64_t count, double share)
{
	uint64_t wanted = MAX((uint64_t)((double)count * share + 0.5), 1), seen = 0;
	uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);

	for (unsigned i = 0; i < BUCKETS; i++) {
		seen += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
		if (seen >= wanted)
			return MIN(bucket_end(i), max);
	}
	return max;
}

/* ---- As text ----------------------------------------------------------------------------- */

static double to_usec(uint64_t nanoseconds)
{
	return (double)nanoseconds / 1000;
}

static void append_operation(GString *text, const char *name, const Histogram *histogram)
{
	uint64_t count = atomic_load_explicit(&histogram->count, memory_order_relaxed);
	uint64_t total = atomic_load_explicit(&histogram->total, memory_order_relaxed);
	uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);

	if (!count)
		return;
	g_string_append_printf(
		text,
		"request          %-15s %10" G_GUINT64_FORMAT " %10.1f %10.1f %10.1f %10.1f\n",
		name, count, to_usec(total / count), to_usec(find_quantile(histogram, count, 0.5)),
		to_usec(find_quantile(histogram, count, 0.99)), to_usec(max));
}

void pfs_latency_append(const PfsLatency *latency, GString *text)
{
	g_string_append_printf(text, "requests         %-15s %10s %10s %10s %10s %10s\n",
			       "operation", "number", "mean us", "p50 us", "p99 us", "max us");
	for (unsigned i = 0; i < OPERATIONS; i++)
		append_operation(text, names[i] ? names[i] : "other", &latency->operations[i]);
}

void pfs_latency_log(const PfsMount *mount)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_auto(GStrv) lines = NULL;

	pfs_latency_append(mount->latency, text);
	g_string_truncate(text, text->len - 1); /* the last line's end */
	lines = g_strsplit(text->str, "\n", -1);
	for (char **line = lines; *line; line++)
		pfs_log(mount, LOG_INFO, "%s", *line);
}
