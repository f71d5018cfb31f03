/* SPDX-License-Identifier: Apache-2.0 */

/* calls-io: content by other ways than read and write: mappings, copies between descriptors. */

#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#define PAGE 4096
#define BIG  (3u << 20)

/* SIZE bytes that no compressor likes, the same for the same seed. */
static char *make_bytes(size_t size, unsigned seed)
{
	char *bytes = g_malloc(size);
	uint32_t state = seed;

	for (size_t i = 0; i < size; i++) {
		state = state * 1664525 + 1013904223;
		bytes[i] = (char)(state >> 24);
	}
	return bytes;
}

static int make_file(const char *path, const char *bytes, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd >= 0 && pwrite(fd, bytes, size, 0) != (ssize_t)size)
		return -1;
	return fd;
}

/* Does PATH, opened anew, hold just these bytes? */
static bool holds(const char *path, const char *bytes, size_t size)
{
	g_autofree char *found = NULL;
	gsize len;

	return g_file_get_contents(path, &found, &len, NULL) && len == size &&
	       !memcmp(found, bytes, size);
}

/* ---- Mappings ---------------------------------------------------------------------------- */

static char *map_shared_is_written(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(BIG, 1);
	int fd = make_file("f", bytes, BIG);
	char *map = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char found[8];

	CHECK(map != MAP_FAILED);
	CHECK(!memcmp(map, bytes, BIG));
	memcpy(map + 5 * PAGE - 4, "ACROSS", 6);
	memcpy(bytes + 5 * PAGE - 4, "ACROSS", 6);
	CHECK(!msync(map, BIG, MS_SYNC));
	CHECK(pread(fd, found, 6, 5 * PAGE - 4) == 6 && !memcmp(found, "ACROSS", 6));
	map[BIG - 1] = bytes[BIG - 1] = 'z';
	CHECK(!munmap(map, BIG));
	CHECK(!close(fd));
	CHECK(holds("f", bytes, BIG));
	return NULL;
}

static char *map_shared_between_processes(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(2 * PAGE, 2);
	int fd = make_file("f", bytes, 2 * PAGE);
	char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t child;

	CHECK(map != MAP_FAILED);
	child = fork();
	if (child == 0) {
		int again = open("f", O_RDWR);
		char *own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);

		if (own == MAP_FAILED)
			_exit(1);
		own[PAGE] = 'C';
		_exit(0);
	}
	CHECK(case_wait(child));
	CHECK(map[PAGE] == 'C');
	return NULL;
}

static char *map_sees_writes(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(2 * PAGE, 3);
	int fd = make_file("f", bytes, 2 * PAGE);
	char *map = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	int other = open("f", O_RDWR);

	CHECK(map != MAP_FAILED && map[100] == bytes[100]);
	CHECK(pwrite(other, "written", 7, 100) == 7);
	CHECK(!memcmp(map + 100, "written", 7));
	return NULL;
}

static char *map_private_is_not_written(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(2 * PAGE, 4);
	int fd = make_file("f", bytes, 2 * PAGE);
	char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	CHECK(map != MAP_FAILED);
	memset(map, 'x', 2 * PAGE);
	CHECK(!munmap(map, 2 * PAGE));
	CHECK(holds("f", bytes, 2 * PAGE));
	return NULL;
}

static char *map_private_of_a_readonly_descriptor(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(PAGE, 5);
	int fd = make_file("f", bytes, PAGE);
	char *map;

	CHECK(fd >= 0 && !close(fd));
	fd = open("f", O_RDONLY);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED);
	map[0] = (char)~map[0];
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK(errno == EACCES);
	return NULL;
}

static char *map_grows_with_the_file(const CasePlaces *places)
{
	int fd = make_file("f", "abc", 3);
	char *map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char found[4];

	CHECK(map != MAP_FAILED);
	CHECK(map[2] == 'c' && map[3] == 0);
	CHECK(!ftruncate(fd, 3 * PAGE));
	memcpy(map + 2 * PAGE, "late", 4);
	CHECK(!msync(map, 4 * PAGE, MS_SYNC));
	CHECK(pread(fd, found, 4, 2 * PAGE) == 4 && !memcmp(found, "late", 4));
	return NULL;
}

/* What a process writes to the last page behind the end is never in the file. (Nor in ext4's, but
 * in tmpfs's it is.) */
static char *map_past_the_end_is_not_kept(const CasePlaces *places)
{
	int fd = make_file("f", "abc", 3);
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char found[10];

	CHECK(map != MAP_FAILED);
	memcpy(map + 3, "garbage", 7);
	CHECK(!msync(map, PAGE, MS_SYNC));
	CHECK(!munmap(map, PAGE));
	CHECK(holds("f", "abc", 3));
	CHECK(!ftruncate(fd, 10));
	CHECK(pread(fd, found, 10, 0) == 10 && !memcmp(found, "abc\0\0\0\0\0\0\0", 10));
	return NULL;
}

/* True in a child that died of it. */
static char *map_past_the_end_is_sigbus(const CasePlaces *places)
{
	int fd = make_file("f", "abc", 3), status;
	char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t child;

	CHECK(map != MAP_FAILED);
	child = fork();
	if (child == 0) {
		((volatile char *)map)[PAGE] = 'x';
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	return NULL;
}

static char *map_outlives_close_and_unlink(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(BIG, 6);
	int fd = make_file("f", bytes, BIG);
	char *map = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED && !close(fd) && !unlink("f"));
	CHECK(!memcmp(map, bytes, BIG));
	memset(map, 'x', BIG);
	CHECK(!msync(map, BIG, MS_SYNC));
	CHECK(!munmap(map, BIG));
	return NULL;
}

static char *map_moves_the_times(const CasePlaces *places)
{
	int fd = make_file("f", "abc", 3);
	const struct timespec old[2] = {{.tv_sec = 5}, {.tv_sec = 6}};
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct stat attr;

	CHECK(map != MAP_FAILED && !futimens(fd, old));
	map[0] = 'X';
	CHECK(!msync(map, PAGE, MS_SYNC) && !munmap(map, PAGE) && !close(fd));
	CHECK(!stat("f", &attr) && attr.st_mtim.tv_sec > 6);
	return NULL;
}

/* ---- Many buffers, direct ones, positions ------------------------------------------------- */

static char *vectors(const CasePlaces *places)
{
	int fd = make_file("f", "", 0);
	char a[3], b[9];
	const struct iovec out[] = {{(char[]){"abc"}, 3}, {NULL, 0}, {(char[]){"defg"}, 4}};
	const struct iovec in[] = {{a, 3}, {b, 9}};

	CHECK(pwritev(fd, out, 3, 2) == 7);
	CHECK(lseek(fd, 0, SEEK_CUR) == 0);
	CHECK(readv(fd, in, 2) == 9);
	CHECK(!memcmp(a, "\0\0a", 3) && !memcmp(b, "bcdefg", 6));
	CHECK(preadv(fd, in, 2, 8) == 1 && a[0] == 'g');
	CHECK(writev(fd, out, 3) == 7 && lseek(fd, 0, SEEK_CUR) == 16);
	return NULL;
}

static char *direct(const CasePlaces *places)
{
	int fd = open("f", O_RDWR | O_CREAT | O_DIRECT, 0644), plain;
	g_autofree char *bytes = make_bytes(2 * PAGE, 7);
	char *aligned =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(aligned != MAP_FAILED);
	if (fd < 0 && errno == EINVAL)
		return NULL; /* a filesystem may say so */
	CHECK(fd >= 0);
	memcpy(aligned, bytes, 2 * PAGE);
	CHECK(pwrite(fd, aligned, 2 * PAGE, PAGE) == 2 * PAGE);
	memset(aligned, 0, 2 * PAGE);
	CHECK(pread(fd, aligned, 2 * PAGE, PAGE) == 2 * PAGE);
	CHECK(!memcmp(aligned, bytes, 2 * PAGE));
	/* Beside a descriptor that is not direct, both ways. */
	plain = open("f", O_RDWR);
	CHECK(pread(plain, aligned, PAGE, PAGE) == PAGE && !memcmp(aligned, bytes, PAGE));
	CHECK(pwrite(plain, "plain", 5, PAGE) == 5);
	CHECK(pread(fd, aligned, PAGE, PAGE) == PAGE && !memcmp(aligned, "plain", 5));
	memset(aligned, 'd', PAGE);
	CHECK(pwrite(fd, aligned, PAGE, PAGE) == PAGE);
	CHECK(pread(plain, bytes, PAGE, PAGE) == PAGE && !memcmp(aligned, bytes, PAGE));
	CHECK(pread(fd, aligned, PAGE, 3 * PAGE) == 0);
	return NULL;
}

static char *shared_positions(const CasePlaces *places)
{
	int fd = make_file("f", "abcdef", 6), twin = dup(fd), other = open("f", O_RDWR);
	char c;

	CHECK(lseek(fd, 2, SEEK_SET) == 2);
	CHECK(read(twin, &c, 1) == 1 && c == 'c');
	CHECK(lseek(fd, 0, SEEK_CUR) == 3);
	CHECK(read(other, &c, 1) == 1 && c == 'a');
	return NULL;
}

static char *too_large(const CasePlaces *places)
{
	int fd = make_file("f", "abc", 3);
	const struct rlimit limit = {1 << 20, 1 << 20};

	CHECK(pwrite(fd, "x", 1, INT64_MAX) == -1);
	CHECK(errno == EFBIG || errno == EINVAL);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	fd = open("g", O_RDWR | O_CREAT, 0644);
	CHECK(pwrite(fd, "x", 1, 1 << 20) == -1 && errno == EFBIG);
	CHECK(ftruncate(fd, (1 << 20) + 1) == -1 && errno == EFBIG);
	CHECK(pwrite(fd, "xyz", 3, (1 << 20) - 1) == 1);
	return NULL;
}

static char *large_offsets(const CasePlaces *places)
{
	const off_t at = (off_t)1 << 40;
	int fd = make_file("f", "abc", 3);
	struct stat attr;
	char found[4];

	CHECK(pwrite(fd, "far", 3, at) == 3);
	CHECK(!fstat(fd, &attr) && attr.st_size == at + 3);
	CHECK(attr.st_blocks < 4096);
	CHECK(pread(fd, found, 4, at - 1) == 4 && !memcmp(found, "\0far", 4));
	CHECK(lseek(fd, PAGE * 100, SEEK_DATA) <= at);
	CHECK(lseek(fd, PAGE * 100, SEEK_DATA) > at - (1 << 20));
	CHECK(!ftruncate(fd, 3) && holds("f", "abc", 3));
	return NULL;
}

static char *statvfs_makes_sense(const CasePlaces *places)
{
	struct statvfs figures;

	CHECK(!statvfs(".", &figures));
	CHECK(figures.f_namemax == 255 && figures.f_bsize >= 512 && figures.f_frsize >= 512);
	CHECK(figures.f_blocks >= figures.f_bfree && figures.f_bfree >= figures.f_bavail);
	CHECK(figures.f_bavail > 0 && figures.f_ffree > 0);
	return NULL;
}

/* ---- Copies in the kernel ---------------------------------------------------------------- */

/* All of IN from IN_AT to OUT_AT of OUT. */
static bool copy_all(int in, off_t in_at, int out, off_t out_at, size_t len)
{
	while (len > 0) {
		ssize_t n = copy_file_range(in, &in_at, out, &out_at, len, 0);

		if (n <= 0)
			return false;
		len -= (size_t)n;
	}
	return true;
}

static char *copy_whole(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(BIG, 8);
	int in = make_file("f", bytes, BIG), out = make_file("g", "", 0);

	CHECK(copy_all(in, 0, out, 0, BIG) && holds("g", bytes, BIG));
	/* The source is not tied to its copy. */
	CHECK(pwrite(in, "changed", 7, 1000) == 7 && holds("g", bytes, BIG));
	return NULL;
}

static char *copy_to(const char *dir)
{
	g_autofree char *path = g_build_filename(dir, "g", NULL);
	g_autofree char *bytes = make_bytes(BIG, 9);
	int in = make_file("f", bytes, BIG), out = make_file(path, "", 0);

	CHECK(copy_all(in, 0, out, 0, BIG) && holds(path, bytes, BIG));
	return NULL;
}

static char *copy_between_namespaces(const CasePlaces *places)
{
	return copy_to(places->other);
}

static char *copy_between_branches(const CasePlaces *places)
{
	return copy_to(places->foreign);
}

static char *copy_parts(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(BIG, 10);
	g_autofree char *target = make_bytes(BIG, 11);
	int in = make_file("f", bytes, BIG), out = make_file("g", target, BIG);
	const size_t from = 123457, to = 1000003, len = 1234567;

	CHECK(copy_all(in, from, out, to, len));
	memcpy(target + to, bytes + from, len);
	CHECK(holds("g", target, BIG));
	/* Beyond the target's end there is a hole before it. */
	CHECK(copy_all(in, 5, out, BIG + 1000, 10));
	target = g_realloc(target, BIG + 1010);
	memset(target + BIG, 0, 1000);
	memcpy(target + BIG + 1000, bytes + 5, 10);
	CHECK(holds("g", target, BIG + 1010));
	return NULL;
}

static char *copy_within(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(BIG, 12);
	int fd = make_file("f", bytes, BIG);
	off_t from = 0, to = 1000;

	CHECK(copy_all(fd, 0, fd, 2 << 20, 1 << 20));
	memcpy(bytes + (2 << 20), bytes, 1 << 20);
	CHECK(holds("f", bytes, BIG));
	CHECK(copy_file_range(fd, &from, fd, &to, 2000, 0) == -1 && errno == EINVAL);
	return NULL;
}

static char *copy_at_the_end(const CasePlaces *places)
{
	int in = make_file("f", "abcdef", 6), out = make_file("g", "", 0);
	off_t at = 4, past = 6;

	CHECK(copy_file_range(in, &at, out, NULL, 100, 0) == 2 && at == 6);
	CHECK(holds("g", "ef", 2) && lseek(out, 0, SEEK_CUR) == 2);
	CHECK(copy_file_range(in, &past, out, NULL, 100, 0) == 0);
	CHECK(copy_file_range(in, NULL, out, NULL, 3, 0) == 3 && lseek(in, 0, SEEK_CUR) == 3);
	CHECK(holds("g", "efabc", 5));
	return NULL;
}

static char *copy_refused(const CasePlaces *places)
{
	int in = make_file("f", "abcdef", 6);
	int reader = open("f", O_RDONLY), appender = open("f", O_WRONLY | O_APPEND);
	int dir = open(".", O_RDONLY);

	CHECK(copy_file_range(in, NULL, reader, NULL, 3, 0) == -1 && errno == EBADF);
	CHECK(copy_file_range(in, NULL, appender, NULL, 3, 0) == -1 && errno == EBADF);
	CHECK(copy_file_range(dir, NULL, in, NULL, 3, 0) == -1 && errno == EISDIR);
	CHECK(copy_file_range(reader, NULL, in, NULL, 3, 1) == -1 && errno == EINVAL);
	return NULL;
}

static char *sendfile_copies(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(BIG, 13);
	int in = make_file("f", bytes, BIG), out = make_file("g", "", 0);
	off_t at = 0;

	while (at < (off_t)BIG)
		CHECK(sendfile(out, in, &at, BIG - (size_t)at) > 0);
	CHECK(holds("g", bytes, BIG));
	return NULL;
}

static char *splice_copies(const CasePlaces *places)
{
	g_autofree char *bytes = make_bytes(BIG, 14);
	int in = make_file("f", bytes, BIG), out = make_file("g", "", 0), fds[2];
	loff_t from = 0, to = 0;

	CHECK(!pipe(fds));
	while (from < (loff_t)BIG) {
		ssize_t n = splice(in, &from, fds[1], NULL, 65536, 0);

		CHECK(n > 0);
		while (n > 0) {
			ssize_t m = splice(fds[0], NULL, out, &to, (size_t)n, 0);

			CHECK(m > 0);
			n -= m;
		}
	}
	CHECK(holds("g", bytes, BIG));
	return NULL;
}

const CaseCall calls_io[] = {
	{"a shared mapping is written", map_shared_is_written, 0},
	{"a shared mapping is shared by processes", map_shared_between_processes, 0},
	{"a mapping sees what is written", map_sees_writes, 0},
	{"a private mapping is not written", map_private_is_not_written, 0},
	{"a private mapping of a descriptor for reading", map_private_of_a_readonly_descriptor, 0},
	{"a mapping grows with its file", map_grows_with_the_file, 0},
	{"a mapping past the end is not kept", map_past_the_end_is_not_kept, CASE_OURS},
	{"a mapping past the end is SIGBUS", map_past_the_end_is_sigbus, 0},
	{"a mapping outlives close and unlink", map_outlives_close_and_unlink, 0},
	{"a mapping moves the times", map_moves_the_times, 0},
	{"readv, writev, preadv, pwritev", vectors, 0},
	{"O_DIRECT, beside others", direct, 0},
	{"positions are shared by dup, not by open", shared_positions, 0},
	{"EFBIG, by length and by limit", too_large, 0},
	{"offsets of a terabyte", large_offsets, 0},
	{"statvfs", statvfs_makes_sense, 0},
	{"copy_file_range of a whole file", copy_whole, 0},
	{"copy_file_range between namespaces", copy_between_namespaces, 0},
	{"copy_file_range between branches", copy_between_branches, CASE_OURS},
	{"copy_file_range of parts", copy_parts, 0},
	{"copy_file_range within a file", copy_within, 0},
	{"copy_file_range at the end", copy_at_the_end, 0},
	{"copy_file_range refused", copy_refused, 0},
	{"sendfile", sendfile_copies, 0},
	{"splice", splice_copies, 0},
	{NULL, NULL, 0},
};
