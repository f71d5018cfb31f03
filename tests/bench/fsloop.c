/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scripts/bench measures files with, so that no shell is in the figures. Each use prints the
 * seconds it took, but for `entries`, which prints entries for `prollyfs-ctl load --format nul`.
 *
 *   fsloop create DIRECTORY N SIZE   N files of SIZE bytes, a hundred to a directory
 *   fsloop read DIRECTORY N          opens, reads and closes each of them
 *   fsloop write FILE MIB            a large file of bytes that do not compress, synced at the end
 *   fsloop scan FILE                 reads a large file
 *   fsloop run COMMAND...            any command, its output discarded
 *   fsloop entries N                 24-byte keys, 100-byte values that do not compress
 */
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

static void create_files(const char *directory, unsigned n, size_t size)
{
	uint8_t *data = malloc(size + 8);
	char path[4096];

	fill(data, size, 1);
	for (unsigned i = 0; i < n; i++) {
		if (i % FILES_PER_DIRECTORY == 0) {
			snprintf(path, sizeof(path), "%s/d%04u", directory,
				 i / FILES_PER_DIRECTORY);
			if (mkdir(path, 0777) < 0)
				die(path);
		}
		name_file(path, sizeof(path), directory, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);

		if (fd < 0)
			die(path);
		write_whole(fd, data, size, path);
		if (close(fd) < 0)
			die(path);
	}
	free(data);
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

static void run_command(char **words)
{
	pid_t pid = fork();
	int status;

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

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	double start = now();

	if (strcmp(what, "create") == 0 && argc == 5) {
		create_files(argv[2], number(argv[3]), number(argv[4]));
	} else if (strcmp(what, "read") == 0 && argc == 4) {
		read_files(argv[2], number(argv[3]));
	} else if (strcmp(what, "write") == 0 && argc == 4) {
		write_large(argv[2], number(argv[3]));
	} else if (strcmp(what, "scan") == 0) {
		scan_large(argv[2]);
	} else if (strcmp(what, "run") == 0) {
		run_command(argv + 2);
	} else if (strcmp(what, "entries") == 0) {
		print_entries(number(argv[2]));
		return fflush(stdout) == 0 ? 0 : 1;
	} else {
		fprintf(stderr, "usage: see the head of fsloop.c\n");
		return 2;
	}
	printf("%.6f\n", now() - start);
	return 0;
}
