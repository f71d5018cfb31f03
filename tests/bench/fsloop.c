/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scripts/bench measures files with, so that no shell is in the figures. Each use prints the
 * seconds it took, but for `entries`, which prints entries for `prollyfs-ctl load --format nul`.
 *
 *   fsloop create DIRECTORY N SIZE   N files of SIZE bytes, a hundred to a directory
 *   fsloop create-sync ...           the same, each synced
 *   fsloop rewrite DIRECTORY N SIZE  opens each with O_TRUNC and writes it again
 *   fsloop replace DIRECTORY N SIZE  writes each under another name and renames that over it
 *   fsloop replace-sync ...          the same, each synced before the rename
 *   fsloop append DIRECTORY N SIZE   adds SIZE bytes to each
 *   fsloop stat DIRECTORY N          lstat of each
 *   fsloop read DIRECTORY N          opens, reads and closes each of them
 *   fsloop list DIRECTORY            reads a directory's names
 *   fsloop hold DIRECTORY N COMMAND...  runs a command while each file is open, with a byte written
 *   fsloop write FILE MIB            a large file of bytes that do not compress, synced at the end
 *   fsloop scan FILE                 reads a large file
 *   fsloop peek FILE N               N reads of 4 KiB, at random
 *   fsloop poke FILE N               N overwrites of 4 KiB, at random, and one sync at the end
 *   fsloop run COMMAND...            any command, its output discarded
 *   fsloop entries N                 24-byte keys, 100-byte values that do not compress
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILES_PER_DIRECTORY 100
#define BLOCK               (1u << 20)
#define VALUE_SIZE          100
#define PAGE                4096

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "fsloop: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* xorshift64*: the same bytes for the same seed, and nothing a compressor could find. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static void fill(uint8_t *buffer, size_t len, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t word = next_random(&state);

		memcpy(buffer + i, &word, len - i < 8 ? len - i : 8);
	}
}

static void write_whole(int fd, const uint8_t *data, size_t len, const char *path)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			die(path);
		data += n;
		len -= (size_t)n;
	}
}

static void name_file(char *path, size_t size, const char *directory, unsigned i)
{
	snprintf(path, size, "%s/d%04u/f%06u", directory, i / FILES_PER_DIRECTORY, i);
}

/* Writes SIZE bytes to PATH, opened as FLAGS say. */
static void write_small(const char *path, int flags, const uint8_t *data, size_t size, int sync)
{
	int fd = open(path, O_WRONLY | flags, 0666);

	if (fd < 0)
		die(path);
	write_whole(fd, data, size, path);
	if (sync && fsync(fd) < 0)
		die(path);
	if (close(fd) < 0)
		die(path);
}

static void make_directory(const char *directory, unsigned i)
{
	char path[4096];

	if (i % FILES_PER_DIRECTORY != 0)
		return;
	snprintf(path, sizeof(path), "%s/d%04u", directory, i / FILES_PER_DIRECTORY);
	if (mkdir(path, 0777) < 0)
		die(path);
}

typedef enum { CREATE, REWRITE, REPLACE, APPEND } Change;

static void change_files(Change change, const char *directory, unsigned n, size_t size, int sync)
{
	uint8_t *data = malloc(size + 8);
	char path[4096], temporary[4200];

	fill(data, size, 1 + change);
	for (unsigned i = 0; i < n; i++) {
		name_file(path, sizeof(path), directory, i);
		snprintf(temporary, sizeof(temporary), "%s.new", path);
		switch (change) {
		case CREATE:
			make_directory(directory, i);
			write_small(path, O_CREAT | O_EXCL, data, size, sync);
			break;
		case REWRITE:
			write_small(path, O_TRUNC, data, size, sync);
			break;
		case APPEND:
			write_small(path, O_APPEND, data, size, sync);
			break;
		case REPLACE:
			write_small(temporary, O_CREAT | O_EXCL, data, size, sync);
			if (rename(temporary, path) < 0)
				die(path);
			break;
		}
	}
	free(data);
}

static void stat_files(const char *directory, unsigned n)
{
	char path[4096];
	struct stat attr;

	for (unsigned i = 0; i < n; i++) {
		name_file(path, sizeof(path), directory, i);
		if (lstat(path, &attr) < 0)
			die(path);
	}
}

static void read_files(const char *directory, unsigned n)
{
	static uint8_t buffer[65536];
	char path[4096];

	for (unsigned i = 0; i < n; i++) {
		name_file(path, sizeof(path), directory, i);
		int fd = open(path, O_RDONLY);

		if (fd < 0 || read(fd, buffer, sizeof(buffer)) < 0 || close(fd) < 0)
			die(path);
	}
}

static void list_directory(const char *path)
{
	DIR *directory = opendir(path);

	if (!directory)
		die(path);
	errno = 0;
	while (readdir(directory))
		continue;
	if (errno)
		die(path);
	closedir(directory);
}

static void write_large(const char *path, unsigned mebibytes)
{
	uint8_t *block = malloc(BLOCK);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	if (fd < 0)
		die(path);
	for (unsigned i = 0; i < mebibytes; i++) {
		fill(block, BLOCK, i + 1);
		write_whole(fd, block, BLOCK, path);
	}
	if (fsync(fd) < 0 || close(fd) < 0)
		die(path);
	free(block);
}

static void scan_large(const char *path)
{
	uint8_t *block = malloc(BLOCK);
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		die(path);
	while ((n = read(fd, block, BLOCK)) > 0)
		continue;
	if (n < 0)
		die(path);
	close(fd);
	free(block);
}

/* N reads or overwrites of a page at random places of a large file. */
static void touch_pages(const char *path, unsigned n, int writing)
{
	uint8_t page[PAGE];
	uint64_t state = 4;
	struct stat attr;
	int fd = open(path, writing ? O_RDWR : O_RDONLY);

	if (fd < 0 || fstat(fd, &attr) < 0)
		die(path);
	fill(page, PAGE, 7);
	for (unsigned i = 0; i < n; i++) {
		off_t at = (off_t)(next_random(&state) % (uint64_t)(attr.st_size / PAGE)) * PAGE;
		ssize_t done = writing ? pwrite(fd, page, PAGE, at) : pread(fd, page, PAGE, at);

		if (done != PAGE)
			die(path);
	}
	if ((writing && fsync(fd) < 0) || close(fd) < 0)
		die(path);
}

static void run_command(char **words)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		execvp(words[0], words);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die(words[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "fsloop: %s failed\n", words[0]);
		exit(1);
	}
}

/* The files stay open until the command is done, and the descriptors to the end. */
static void hold_files(const char *directory, unsigned n, char **command)
{
	char path[4096];

	for (unsigned i = 0; i < n; i++) {
		name_file(path, sizeof(path), directory, i);
		int fd = open(path, O_RDWR | O_CLOEXEC);

		if (fd < 0 || write(fd, "x", 1) != 1)
			die(path);
	}
	run_command(command);
}

static void print_entries(unsigned n)
{
	uint8_t value[VALUE_SIZE + 4];

	for (unsigned i = 0; i < n; i++) {
		fill(value, sizeof(value), i + 1);
		for (unsigned k = 0; k < VALUE_SIZE; k++)
			if (value[k] == 0)
				value[k] = 'Z'; /* NUL is what ends a value */
		printf("user/%08u/profile/nm%c", 2 * i, '\0');
		fwrite(value, 1, VALUE_SIZE, stdout);
		putchar('\0');
	}
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || value == 0 || value > UINT32_MAX) {
		fprintf(stderr, "fsloop: bad number %s\n", text);
		exit(2);
	}
	return (unsigned)value;
}

static int is(const char *word, const char *name)
{
	return strcmp(word, name) == 0;
}

/* The workloads of small files. */
static int run_files(const char *what, int argc, char **argv)
{
	const size_t size = argc == 5 && !is(what, "hold") ? number(argv[4]) : 0;
	const unsigned n = argc > 3 ? number(argv[3]) : 0;

	if (is(what, "create") && argc == 5)
		change_files(CREATE, argv[2], n, size, 0);
	else if (is(what, "create-sync") && argc == 5)
		change_files(CREATE, argv[2], n, size, 1);
	else if (is(what, "rewrite") && argc == 5)
		change_files(REWRITE, argv[2], n, size, 0);
	else if (is(what, "replace") && argc == 5)
		change_files(REPLACE, argv[2], n, size, 0);
	else if (is(what, "replace-sync") && argc == 5)
		change_files(REPLACE, argv[2], n, size, 1);
	else if (is(what, "append") && argc == 5)
		change_files(APPEND, argv[2], n, size, 0);
	else if (is(what, "stat") && argc == 4)
		stat_files(argv[2], n);
	else if (is(what, "read") && argc == 4)
		read_files(argv[2], n);
	else if (is(what, "list") && argc == 3)
		list_directory(argv[2]);
	else if (is(what, "hold") && argc >= 5)
		hold_files(argv[2], n, argv + 4);
	else
		return 0;
	return 1;
}

/* Those of a large one. */
static int run_large(const char *what, int argc, char **argv)
{
	if (is(what, "write") && argc == 4)
		write_large(argv[2], number(argv[3]));
	else if (is(what, "scan") && argc == 3)
		scan_large(argv[2]);
	else if (is(what, "peek") && argc == 4)
		touch_pages(argv[2], number(argv[3]), 0);
	else if (is(what, "poke") && argc == 4)
		touch_pages(argv[2], number(argv[3]), 1);
	else
		return 0;
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	double start = now();

	if (is(what, "entries")) {
		print_entries(number(argv[2]));
		return fflush(stdout) == 0 ? 0 : 1;
	}
	if (is(what, "run")) {
		run_command(argv + 2);
	} else if (!run_files(what, argc, argv) && !run_large(what, argc, argv)) {
		fprintf(stderr, "usage: see the head of fsloop.c\n");
		return 2;
	}
	printf("%.6f\n", now() - start);
	return 0;
}
