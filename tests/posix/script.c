/* SPDX-License-Identifier: Apache-2.0 */

/*
 * script: the language of the rows.
 *
 *   CALL WORD...; CALL WORD...; ...
 *
 * Words are separated by spaces. In them, {xN} is N times the letter x, {/N} a path to "f" that is
 * N bytes long, and $O, $B, $R are the places in another namespace, in another branch and read-only.
 * "." alone as a text is nothing, "_" in a text a space. A call that only a number of words tell
 * apart leaves the last out. What is opened by `fd` has a one-letter name until the case ends.
 *
 * `as UID` acts as that user, with no other group, until the next `as`; `as 0` ends it.
 */

#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define WORDS_MAX 8

/* ---- Words ------------------------------------------------------------------------------- */

static void append_braces(GString *word, const char *inside)
{
	long n = strtol(inside + 1, NULL, 10);

	if (inside[0] == 'x') {
		while (n-- > 0)
			g_string_append_c(word, 'x');
		return;
	}
	for (n -= 1; n >= 2; n -= 2)
		g_string_append(word, "./");
	if (n == 1) /* a doubled slash is no other path */
		g_string_append_c(word, '/');
	g_string_append_c(word, 'f');
	if (word->len && word->str[0] == '/') /* of length 2: never absolute */
		g_string_prepend_c(word, '.');
}

static const char *place_of(const Script *self, char letter)
{
	switch (letter) {
	case 'O':
		return self->places->other;
	case 'B':
		return self->places->foreign;
	default:
		return self->places->readonly;
	}
}

static char *expand(const Script *self, const char *raw)
{
	GString *word = g_string_new(NULL);

	for (const char *p = raw; *p; p++) {
		if (*p == '{') {
			append_braces(word, p + 1);
			p = strchr(p, '}');
		} else if (*p == '$') {
			g_string_append(word, place_of(self, *++p));
		} else {
			g_string_append_c(word, *p);
		}
	}
	return g_string_free(word, FALSE);
}

char *script_text(const char *word)
{
	char *text = g_strdup(strcmp(word, ".") ? word : "");

	return g_strdelimit(text, "_", ' ');
}

long script_bits(const ScriptName *names, const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, "|", -1);
	long bits = 0;

	for (char **part = parts; *part; part++) {
		const ScriptName *named = names;

		while (named->name && strcmp(named->name, *part))
			named++;
		if (!named->name && !g_ascii_isdigit(**part))
			g_error("a case names %s, which is no flag", *part);
		bits |= named->name ? named->value : strtol(*part, NULL, 0);
	}
	return bits;
}

static int open_flags(const char *text)
{
	static const ScriptName names[] = {{"RDONLY", O_RDONLY},
					   {"WRONLY", O_WRONLY},
					   {"RDWR", O_RDWR},
					   {"CREAT", O_CREAT},
					   {"EXCL", O_EXCL},
					   {"TRUNC", O_TRUNC},
					   {"APPEND", O_APPEND},
					   {"DIRECTORY", O_DIRECTORY},
					   {"NOFOLLOW", O_NOFOLLOW},
					   {"NONBLOCK", O_NONBLOCK},
					   {"SYNC", O_SYNC},
					   {"DSYNC", O_DSYNC},
					   {"PATH", O_PATH},
					   {"TMPFILE", O_TMPFILE},
					   {"DIRECT", O_DIRECT},
					   {"NOATIME", O_NOATIME},
					   {"CLOEXEC", O_CLOEXEC},
					   {"NOCTTY", O_NOCTTY},
					   {NULL, 0}};

	return (int)script_bits(names, text);
}

mode_t script_mode(const char *word, mode_t otherwise)
{
	return word ? (mode_t)strtoul(word, NULL, 8) : otherwise;
}

int script_fd(const Script *self, const char *word)
{
	return self->fds[(unsigned char)word[0] & 127];
}

/* ---- Files and their content ------------------------------------------------------------- */

static long close_ok(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static long call_open(Script *self, char *const *words)
{
	return close_ok(open(words[0], open_flags(words[1]), script_mode(words[2], 0666)));
}

static long call_fd(Script *self, char *const *words)
{
	int fd = open(words[1], open_flags(words[2]), script_mode(words[3], 0666));

	self->fds[(unsigned char)words[0][0] & 127] = fd;
	return fd < 0 ? -1 : 0;
}

static long call_close(Script *self, char *const *words)
{
	return close(script_fd(self, words[0]));
}

static long call_create(Script *self, char *const *words)
{
	return close_ok(open(words[0], O_WRONLY | O_CREAT | O_EXCL, script_mode(words[1], 0644)));
}

static long write_text(int fd, const char *word)
{
	g_autofree char *text = script_text(word);
	size_t len = strlen(text);

	return write(fd, text, len) == (ssize_t)len ? 0 : -1;
}

static long put_text(const char *path, int flags, const char *word)
{
	int fd = open(path, flags, 0644);
	long done = fd < 0 ? -1 : write_text(fd, word);
	int failure = errno;

	close(fd);
	errno = failure;
	return done;
}

static long call_put(Script *self, char *const *words)
{
	return put_text(words[0], O_WRONLY | O_CREAT | O_TRUNC, words[1]);
}

static long call_append(Script *self, char *const *words)
{
	return put_text(words[0], O_WRONLY | O_APPEND, words[1]);
}

static long call_overwrite(Script *self, char *const *words)
{
	return put_text(words[0], O_WRONLY, words[1]);
}

void script_show(Script *self, const char *data, ssize_t len)
{
	for (ssize_t i = 0; i < len; i++)
		g_string_append_c(self->value, !data[i] ? '0' : data[i] == ' ' ? '_' : data[i]);
	if (len == 0)
		g_string_append_c(self->value, '.');
}

static long show_read(Script *self, int fd, size_t len, off_t offset)
{
	char buffer[4096];
	ssize_t n;

	len = MIN(len, sizeof buffer);
	n = offset < 0 ? read(fd, buffer, len) : pread(fd, buffer, len, offset);
	if (n >= 0)
		script_show(self, buffer, n);
	return n < 0 ? -1 : 0;
}

static long call_cat(Script *self, char *const *words)
{
	int fd = open(words[0], O_RDONLY);
	long done = fd < 0 ? -1 : show_read(self, fd, 4096, 0);
	int failure = errno;

	close(fd);
	errno = failure;
	return done;
}

static long call_read(Script *self, char *const *words)
{
	return show_read(self, script_fd(self, words[0]), strtoul(words[1], NULL, 10), -1);
}

static long call_pread(Script *self, char *const *words)
{
	return show_read(self, script_fd(self, words[0]), strtoul(words[1], NULL, 10),
			 strtoll(words[2], NULL, 10));
}

static long call_write(Script *self, char *const *words)
{
	return write_text(script_fd(self, words[0]), words[1]);
}

static long call_pwrite(Script *self, char *const *words)
{
	g_autofree char *text = script_text(words[1]);
	ssize_t n =
		pwrite(script_fd(self, words[0]), text, strlen(text), strtoll(words[2], NULL, 10));

	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static long call_lseek(Script *self, char *const *words)
{
	static const ScriptName names[] = {{"SET", SEEK_SET},   {"CUR", SEEK_CUR},
					   {"END", SEEK_END},   {"DATA", SEEK_DATA},
					   {"HOLE", SEEK_HOLE}, {NULL, 0}};
	off_t at = lseek(script_fd(self, words[0]), strtoll(words[1], NULL, 10),
			 (int)script_bits(names, words[2]));

	if (at >= 0)
		g_string_append_printf(self->value, "%lld", (long long)at);
	return at < 0 ? -1 : 0;
}

static long call_truncate(Script *self, char *const *words)
{
	return truncate(words[0], strtoll(words[1], NULL, 10));
}

static long call_ftruncate(Script *self, char *const *words)
{
	return ftruncate(script_fd(self, words[0]), strtoll(words[1], NULL, 10));
}

static long call_fallocate(Script *self, char *const *words)
{
	static const ScriptName names[] = {
		{"KEEP", FALLOC_FL_KEEP_SIZE},      {"PUNCH", FALLOC_FL_PUNCH_HOLE},
		{"ZERO", FALLOC_FL_ZERO_RANGE},     {"COLLAPSE", FALLOC_FL_COLLAPSE_RANGE},
		{"INSERT", FALLOC_FL_INSERT_RANGE}, {NULL, 0}};

	return fallocate(script_fd(self, words[0]), (int)script_bits(names, words[1]),
			 strtoll(words[2], NULL, 10), strtoll(words[3], NULL, 10));
}

static long call_fsync(Script *self, char *const *words)
{
	return fsync(script_fd(self, words[0]));
}

static long call_fdatasync(Script *self, char *const *words)
{
	return fdatasync(script_fd(self, words[0]));
}

static long call_syncfs(Script *self, char *const *words)
{
	return syncfs(script_fd(self, words[0]));
}

/* ---- Names ------------------------------------------------------------------------------- */

static long call_mkdir(Script *self, char *const *words)
{
	return mkdir(words[0], script_mode(words[1], 0755));
}

static long call_rmdir(Script *self, char *const *words)
{
	return rmdir(words[0]);
}

static long call_unlink(Script *self, char *const *words)
{
	return unlink(words[0]);
}

static long call_rename(Script *self, char *const *words)
{
	static const ScriptName names[] = {{"NOREPLACE", RENAME_NOREPLACE},
					   {"EXCHANGE", RENAME_EXCHANGE},
					   {"WHITEOUT", RENAME_WHITEOUT},
					   {NULL, 0}};

	if (!words[2])
		return rename(words[0], words[1]);
	return renameat2(AT_FDCWD, words[0], AT_FDCWD, words[1],
			 (unsigned)script_bits(names, words[2]));
}

static long call_link(Script *self, char *const *words)
{
	return link(words[0], words[1]);
}

/* Follows a symbolic link, or takes a descriptor: linkat(2). */
static long call_linkfollow(Script *self, char *const *words)
{
	return linkat(AT_FDCWD, words[0], AT_FDCWD, words[1], AT_SYMLINK_FOLLOW);
}

static long call_linkfd(Script *self, char *const *words)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", script_fd(self, words[0]));

	return linkat(AT_FDCWD, path, AT_FDCWD, words[1], AT_SYMLINK_FOLLOW);
}

static long call_symlink(Script *self, char *const *words)
{
	return symlink(words[0], words[1]);
}

static long call_readlink(Script *self, char *const *words)
{
	char target[PATH_MAX];
	ssize_t len =
		readlink(words[0], target, words[1] ? strtoul(words[1], NULL, 10) : sizeof target);

	if (len >= 0)
		g_string_append_len(self->value, target, len);
	return len < 0 ? -1 : 0;
}

static long call_mkfifo(Script *self, char *const *words)
{
	return mkfifo(words[0], script_mode(words[1], 0644));
}

static long call_mknod(Script *self, char *const *words)
{
	static const ScriptName names[] = {{"file", S_IFREG}, {"fifo", S_IFIFO},  {"chr", S_IFCHR},
					   {"blk", S_IFBLK},  {"sock", S_IFSOCK}, {"dir", S_IFDIR},
					   {NULL, 0}};

	return mknod(words[0], (mode_t)script_bits(names, words[1]) | script_mode(words[2], 0644),
		     makedev(1, 3));
}

static long call_bind(Script *self, char *const *words)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	long done;

	g_strlcpy(address.sun_path, words[0], sizeof address.sun_path);
	done = bind(fd, (const struct sockaddr *)&address, sizeof address);
	close(fd);
	return done;
}

static long call_chdir(Script *self, char *const *words)
{
	return chdir(words[0]);
}

int script_compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static long call_ls(Script *self, char *const *words)
{
	GDir *dir = g_dir_open(words[0], 0, NULL);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	const char *name;

	if (!dir)
		return -1;
	while ((name = g_dir_read_name(dir)))
		g_ptr_array_add(names, g_strdup(name));
	g_dir_close(dir);
	g_ptr_array_sort(names, script_compare_names);
	for (guint i = 0; i < names->len; i++)
		g_string_append_printf(self->value, "%s%s", i ? "," : "",
				       (const char *)names->pdata[i]);
	if (!names->len)
		g_string_append_c(self->value, '.');
	return 0;
}

/* ---- Running ----------------------------------------------------------------------------- */

static const ScriptCall own_calls[] = {
	{"append", call_append},
	{"bind", call_bind},
	{"cat", call_cat},
	{"chdir", call_chdir},
	{"close", call_close},
	{"create", call_create},
	{"fallocate", call_fallocate},
	{"fd", call_fd},
	{"fdatasync", call_fdatasync},
	{"fsync", call_fsync},
	{"ftruncate", call_ftruncate},
	{"link", call_link},
	{"linkfd", call_linkfd},
	{"linkfollow", call_linkfollow},
	{"ls", call_ls},
	{"lseek", call_lseek},
	{"mkdir", call_mkdir},
	{"mkfifo", call_mkfifo},
	{"mknod", call_mknod},
	{"open", call_open},
	{"overwrite", call_overwrite},
	{"pread", call_pread},
	{"put", call_put},
	{"pwrite", call_pwrite},
	{"read", call_read},
	{"readlink", call_readlink},
	{"rename", call_rename},
	{"rmdir", call_rmdir},
	{"symlink", call_symlink},
	{"syncfs", call_syncfs},
	{"truncate", call_truncate},
	{"unlink", call_unlink},
	{"write", call_write},
	{NULL, NULL},
};

static const ScriptCall *find_call(const ScriptCall *calls, const char *name)
{
	while (calls->name && strcmp(calls->name, name))
		calls++;
	return calls->name ? calls : NULL;
}

long script_call(Script *self, char *const *words)
{
	const ScriptCall *call = find_call(own_calls, words[0]);

	if (!call)
		call = find_call(script_attr_calls, words[0]);
	if (call)
		return call->func(self, words + 1);
	g_error("a case calls %s", words[0]);
	return -1;
}

/* Runs one call of the script; false with errno. */
static bool run_line(Script *self, const char *line)
{
	g_auto(GStrv) raw = g_strsplit(g_strstrip(g_strdup(line)), " ", -1);
	char *words[WORDS_MAX + 1] = {NULL};
	long done;
	int failure;

	g_assert(g_strv_length(raw) < WORDS_MAX);
	for (size_t i = 0; raw[i]; i++)
		words[i] = expand(self, raw[i]);
	errno = 0;
	done = script_call(self, words);
	failure = errno;
	for (size_t i = 0; i < WORDS_MAX; i++)
		g_free(words[i]);
	errno = failure;
	return done == 0;
}

char *case_run_script(const char *script, const CasePlaces *places)
{
	Script self = {.places = places, .value = g_string_new(NULL)};
	g_auto(GStrv) lines = g_strsplit(script, ";", -1);

	memset(self.fds, -1, sizeof self.fds);
	for (size_t i = 0; lines[i]; i++) {
		bool is_last = !lines[i + 1];

		g_string_truncate(self.value, 0);
		if (run_line(&self, lines[i]))
			continue;
		if (is_last)
			g_string_assign(self.value, strerrorname_np(errno));
		else
			g_string_printf(self.value, "%s: %s", g_strstrip(lines[i]),
					strerrorname_np(errno));
		return g_string_free(self.value, FALSE);
	}
	if (!self.value->len)
		g_string_assign(self.value, "ok");
	return g_string_free(self.value, FALSE);
}
