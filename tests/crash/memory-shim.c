/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that is short of memory: of what is preloaded by this, one large allocation is refused. The
 * file that PROLLY_MEMORY names has a Control, by which a test says which one, while the program runs.
 *
 * Only what our own code asks for counts, by GLib or without it, and what libgit2 does. RocksDB and the
 * library of C++ throw, and nobody catches that; of libfuse's buffers a mount has none to spare.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
	_Atomic uint64_t is_armed;
	_Atomic uint64_t size;    /* bytes from which an allocation is large */
	_Atomic uint64_t number;  /* of the one that fails, from 0 */
	_Atomic uint64_t n_large; /* that there were since it was armed */
	_Atomic uint64_t n_refused;
} Control;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* Mapped once; this process's own zeros if there is no file. */
static Control *get_control(void)
{
	static Control none;
	static Control *_Atomic mapped;
	const char *path = getenv("PROLLY_MEMORY");
	Control *control = mapped;
	int fd;

	if (control)
		return control;
	fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	control = fd < 0 ? MAP_FAILED
			 : mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	mapped = control == MAP_FAILED ? &none : control;
	return mapped;
}

/* Is CALLER code of ours, or of a library that answers for us? */
static bool counts(const void *caller)
{
	static const char *const NAMES[] = {"/prollyfs", "/libprollyfs", "/libglib-", "/libgit2"};
	Dl_info found;

	if (!dladdr(caller, &found) || !found.dli_fname)
		return false;
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		const char *name = strrchr(found.dli_fname, '/');

		if (name && strncmp(name, NAMES[i], strlen(NAMES[i])) == 0)
			return true;
	}
	return false;
}

/* Is this the one that fails? */
static bool is_refused(size_t size, const void *caller)
{
	const int before = errno;
	Control *control = size < 4096 ? NULL : get_control();
	bool is = control && control->is_armed && size >= control->size && counts(caller) &&
		  control->n_large++ == control->number;

	if (is)
		control->n_refused++;
	errno = is ? ENOMEM : before;
	return is;
}

void *malloc(size_t size)
{
	return is_refused(size, __builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	size_t all;
	bool is = !__builtin_mul_overflow(n, size, &all) &&
		  is_refused(all, __builtin_return_address(0));

	return is ? NULL : __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
	return is_refused(size, __builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return is_refused(size, __builtin_return_address(0)) ? NULL
							     : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *memory = is_refused(size, __builtin_return_address(0))
			       ? NULL
			       : __libc_memalign(alignment, size);

	if (memory)
		*out = memory;
	return memory ? 0 : ENOMEM;
}
