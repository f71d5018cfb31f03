/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock that jumps: what is preloaded by this sees the time of day that the kernel says and, in
 * seconds, the int64_t at the beginning of the file that PROLLY_CLOCK names, which a test changes while
 * the program runs. Clocks that only go forward are left alone, as a jump leaves them alone.
 *
 * A wait until a time of day is one until the kernel's, so its end is moved back.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Mapped once; this process's own zero if there is no file. */
static _Atomic int64_t *get_offset(void)
{
	static _Atomic int64_t none;
	static _Atomic int64_t *_Atomic mapped;
	const char *path = getenv("PROLLY_CLOCK");
	_Atomic int64_t *offset = mapped;
	int fd;

	if (offset)
		return offset;
	fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	offset = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	mapped = offset == MAP_FAILED ? &none : offset;
	return mapped;
}

static void *find(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
	static int (*_Atomic next)(clockid_t, struct timespec *);
	int done;

	if (!next)
		next = (int (*)(clockid_t, struct timespec *))find("clock_gettime");
	done = next(clock, out);
	if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		out->tv_sec += *get_offset();
	return done;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
			   const struct timespec *restrict end)
{
	static int (*_Atomic next)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
	struct timespec moved = *end;

	if (!next)
		next = (int (*)(pthread_cond_t *, pthread_mutex_t *,
				const struct timespec *))dlvsym(RTLD_NEXT, "pthread_cond_timedwait",
								"GLIBC_2.3.2");
	if (!next)
		next = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))find(
			"pthread_cond_timedwait");
	moved.tv_sec -= *get_offset();
	return next(cond, mutex, &moved);
}
