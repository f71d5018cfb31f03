/* SPDX-License-Identifier: Apache-2.0 */

/* calls-directory: directory streams. */

#include "posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY 1000

static bool make_files(const char *dir, unsigned n)
{
	int at = open(dir, O_RDONLY | O_DIRECTORY);
	bool done = at >= 0;

	for (unsigned i = 0; done && i < n; i++) {
		char name[32];
		int fd;

		g_snprintf(name, sizeof name, "file%06u", i);
		fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		done = fd >= 0 && !close(fd);
	}
	close(at);
	return done;
}

/* How many different names DIR has from here on, without the dots; -1: one came twice. */
static int count_names(DIR *dir)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct dirent *entry;

	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !g_hash_table_add(seen, g_strdup(entry->d_name)))
			return -1;
	return (int)g_hash_table_size(seen);
}

static char *lists_all(const CasePlaces *places)
{
	DIR *dir;
	struct dirent *entry;
	unsigned dots = 0;

	CHECK(!mkdir("d", 0755) && make_files("d", MANY));
	dir = opendir("d");
	CHECK(dir && count_names(dir) == MANY);
	rewinddir(dir);
	while ((entry = readdir(dir)))
		dots += !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	CHECK(dots == 2);
	return NULL;
}

static char *types_and_numbers(const CasePlaces *places)
{
	DIR *dir;
	struct dirent *entry;
	struct stat attr;

	CHECK(!mkdir("d", 0755) && make_files("d", 3) && !mkdir("d/sub", 0755));
	CHECK(!symlink("x", "d/link") && !mkfifo("d/fifo", 0644));
	dir = opendir("d");
	while ((entry = readdir(dir))) {
		CHECK(!fstatat(dirfd(dir), entry->d_name, &attr, AT_SYMLINK_NOFOLLOW));
		CHECK(entry->d_type == IFTODT(attr.st_mode));
		if (strcmp(entry->d_name, ".."))
			CHECK(entry->d_ino == attr.st_ino);
	}
	return NULL;
}

static char *positions_are_found_again(const CasePlaces *places)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) at = g_array_new(FALSE, FALSE, sizeof(long));
	struct dirent *entry;
	DIR *dir;

	CHECK(!mkdir("d", 0755) && make_files("d", MANY));
	dir = opendir("d");
	for (;;) {
		long position = telldir(dir);

		entry = readdir(dir);
		if (!entry)
			break;
		g_array_append_val(at, position);
		g_ptr_array_add(names, g_strdup(entry->d_name));
	}
	for (guint i = names->len; i-- > 0; i -= MIN(i, 137)) {
		seekdir(dir, g_array_index(at, long, i));
		entry = readdir(dir);
		CHECK(entry && !strcmp(entry->d_name, names->pdata[i]));
	}
	/* In another stream of the same directory too. */
	closedir(dir);
	dir = opendir("d");
	seekdir(dir, g_array_index(at, long, names->len / 2));
	entry = readdir(dir);
	CHECK(entry && !strcmp(entry->d_name, names->pdata[names->len / 2]));
	return NULL;
}

static char *rewind_sees_what_is_new(const CasePlaces *places)
{
	DIR *dir;

	CHECK(!mkdir("d", 0755) && make_files("d", 10));
	dir = opendir("d");
	CHECK(count_names(dir) == 10);
	CHECK(!unlink("d/file000003") && !mkdir("d/new", 0755) && !mkdir("d/newer", 0755));
	rewinddir(dir);
	CHECK(count_names(dir) == 11);
	return NULL;
}

static char *deletion_while_reading(const CasePlaces *places)
{
	unsigned n = 0;
	struct dirent *entry;
	DIR *dir;

	CHECK(!mkdir("d", 0755) && make_files("d", MANY));
	dir = opendir("d");
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		CHECK(!unlinkat(dirfd(dir), entry->d_name, 0));
		n++;
	}
	CHECK(n == MANY && !rmdir("d"));
	return NULL;
}

/* What is not touched is listed once, whatever happens to the rest. */
static char *changes_while_reading(const CasePlaces *places)
{
	unsigned n_old = 0, n = 0;
	struct dirent *entry;
	DIR *dir;

	CHECK(!mkdir("d", 0755) && make_files("d", MANY));
	dir = opendir("d");
	while ((entry = readdir(dir))) {
		char name[32];

		n_old += g_str_has_prefix(entry->d_name, "file");
		g_snprintf(name, sizeof name, "extra%u", n++ % 100);
		CHECK(n > MANY * 2 || !mkdirat(dirfd(dir), name, 0755) ||
		      !unlinkat(dirfd(dir), name, AT_REMOVEDIR));
	}
	CHECK(n_old == MANY);
	return NULL;
}

static char *renames_while_reading(const CasePlaces *places)
{
	DIR *dir;

	CHECK(!mkdir("d", 0755) && make_files("d", MANY));
	dir = opendir("d");
	CHECK(readdir(dir) && readdir(dir) && readdir(dir));
	CHECK(!rename("d", "e"));
	rewinddir(dir);
	CHECK(count_names(dir) == MANY);
	return NULL;
}

static char *removed_directory_reads_as_empty(const CasePlaces *places)
{
	struct dirent *entry;
	DIR *dir;

	CHECK(!mkdir("d", 0755));
	dir = opendir("d");
	CHECK(!rmdir("d"));
	errno = 0;
	while ((entry = readdir(dir)))
		CHECK(entry->d_name[0] == '.');
	CHECK(errno == 0 || errno == ENOENT);
	return NULL;
}

const CaseCall calls_directory[] = {
	{"a stream lists all", lists_all, 0},
	{"types and numbers are those of stat", types_and_numbers, 0},
	{"telldir and seekdir", positions_are_found_again, 0},
	{"rewinddir sees what is new", rewind_sees_what_is_new, 0},
	{"deletion while reading", deletion_while_reading, 0},
	{"creation and deletion while reading", changes_while_reading, 0},
	{"the directory is renamed while reading", renames_while_reading, 0},
	{"a removed directory reads as empty", removed_directory_reads_as_empty, 0},
	{NULL, NULL, 0},
};
