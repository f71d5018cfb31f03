/* SPDX-License-Identifier: Apache-2.0 */

/* script-attr: the calls of the rows that are about attributes: who, what, when. */

#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- Attributes -------------------------------------------------------------------------- */

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "dir";
	case S_IFLNK:
		return "link";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "sock";
	case S_IFCHR:
		return "chr";
	default:
		return "blk";
	}
}

static void append_time(GString *value, struct timespec time)
{
	g_string_append_printf(value, "%lld.%09ld", (long long)time.tv_sec, time.tv_nsec);
}

static void show_stat(GString *value, const struct stat *attr, const char *field)
{
	if (!strcmp(field, "type"))
		g_string_append(value, type_name(attr->st_mode));
	else if (!strcmp(field, "mode"))
		g_string_append_printf(value, "%04o", attr->st_mode & 07777);
	else if (!strcmp(field, "nlink"))
		g_string_append_printf(value, "%lu", (unsigned long)attr->st_nlink);
	else if (!strcmp(field, "uid"))
		g_string_append_printf(value, "%u", attr->st_uid);
	else if (!strcmp(field, "gid"))
		g_string_append_printf(value, "%u", attr->st_gid);
	else if (!strcmp(field, "size"))
		g_string_append_printf(value, "%lld", (long long)attr->st_size);
	else if (!strcmp(field, "hasblocks"))
		g_string_append(value, attr->st_blocks ? "yes" : "no");
	else if (!strcmp(field, "rdev"))
		g_string_append_printf(value, "%u:%u", major(attr->st_rdev), minor(attr->st_rdev));
	else if (!strcmp(field, "atime"))
		append_time(value, attr->st_atim);
	else if (!strcmp(field, "mtime"))
		append_time(value, attr->st_mtim);
	else
		g_error("a case asks for %s", field);
}

static long call_stat(Script *self, char *const *words)
{
	struct stat attr;

	if (stat(words[0], &attr))
		return -1;
	show_stat(self->value, &attr, words[1]);
	return 0;
}

static long call_lstat(Script *self, char *const *words)
{
	struct stat attr;

	if (lstat(words[0], &attr))
		return -1;
	show_stat(self->value, &attr, words[1]);
	return 0;
}

static long call_fstat(Script *self, char *const *words)
{
	struct stat attr;

	if (fstat(script_fd(self, words[0]), &attr))
		return -1;
	show_stat(self->value, &attr, words[1]);
	return 0;
}

static long call_same(Script *self, char *const *words)
{
	struct stat a, b;

	if (lstat(words[0], &a) || lstat(words[1], &b))
		return -1;
	g_string_append(self->value,
			a.st_ino == b.st_ino && a.st_dev == b.st_dev ? "same" : "other");
	return 0;
}

static long call_chmod(Script *self, char *const *words)
{
	return chmod(words[0], script_mode(words[1], 0));
}

static long call_fchmod(Script *self, char *const *words)
{
	return fchmod(script_fd(self, words[0]), script_mode(words[1], 0));
}

/* Numbers as chown(2) takes them; "a" and "b" are the two users, "me" the caller, -1 no change. */
static uid_t id_word(const char *word)
{
	if (!strcmp(word, "a"))
		return USER_A;
	if (!strcmp(word, "b"))
		return USER_B;
	if (!strcmp(word, "me"))
		return geteuid();
	return (uid_t)strtol(word, NULL, 10);
}

static long call_chown(Script *self, char *const *words)
{
	return chown(words[0], id_word(words[1]), id_word(words[2]));
}

static long call_lchown(Script *self, char *const *words)
{
	return lchown(words[0], id_word(words[1]), id_word(words[2]));
}

static long call_fchown(Script *self, char *const *words)
{
	return fchown(script_fd(self, words[0]), id_word(words[1]), id_word(words[2]));
}

static long call_umask(Script *self, char *const *words)
{
	umask(script_mode(words[0], 0));
	return 0;
}

static struct timespec time_word(const char *word)
{
	struct timespec time = {0};
	char *end;

	if (!strcmp(word, "NOW"))
		return (struct timespec){.tv_nsec = UTIME_NOW};
	if (!strcmp(word, "OMIT"))
		return (struct timespec){.tv_nsec = UTIME_OMIT};
	time.tv_sec = strtoll(word, &end, 10);
	if (*end == '.')
		time.tv_nsec = strtol(end + 1, NULL, 10);
	return time;
}

static long set_times(char *const *words, int flags)
{
	const struct timespec times[2] = {time_word(words[1]), time_word(words[2])};

	return utimensat(AT_FDCWD, words[0], times, flags);
}

static long call_utimens(Script *self, char *const *words)
{
	return set_times(words, 0);
}

static long call_lutimens(Script *self, char *const *words)
{
	return set_times(words, AT_SYMLINK_NOFOLLOW);
}

static long call_touch(Script *self, char *const *words)
{
	return utimensat(AT_FDCWD, words[0], NULL, 0);
}

static long call_access(Script *self, char *const *words)
{
	static const ScriptName names[] = {
		{"F", F_OK}, {"R", R_OK}, {"W", W_OK}, {"X", X_OK}, {NULL, 0}};

	return faccessat(AT_FDCWD, words[0], (int)script_bits(names, words[1]), AT_EACCESS);
}

static long call_as(Script *self, char *const *words)
{
	uid_t uid = id_word(words[0]);
	gid_t group = words[1] ? id_word(words[1]) : uid;

	if (seteuid(0))
		return -1;
	if (setgroups(0, NULL) || setegid(group))
		return -1;
	return seteuid(uid);
}

static long call_namemax(Script *self, char *const *words)
{
	g_string_append_printf(self->value, "%ld", pathconf(words[0], _PC_NAME_MAX));
	return 0;
}

/* ---- Extended attributes ----------------------------------------------------------------- */

static long call_setxattr(Script *self, char *const *words)
{
	static const ScriptName names[] = {
		{"CREATE", XATTR_CREATE}, {"REPLACE", XATTR_REPLACE}, {NULL, 0}};
	g_autofree char *text = script_text(words[2]);

	return lsetxattr(words[0], words[1], text, strlen(text),
			 words[3] ? (int)script_bits(names, words[3]) : 0);
}

static long call_fsetxattr(Script *self, char *const *words)
{
	g_autofree char *text = script_text(words[2]);

	return fsetxattr(script_fd(self, words[0]), words[1], text, strlen(text), 0);
}

static long show_xattr(Script *self, char *buffer, ssize_t len)
{
	if (len >= 0)
		script_show(self, buffer, len);
	return len < 0 ? -1 : 0;
}

static long call_getxattr(Script *self, char *const *words)
{
	char buffer[4096];
	size_t size = words[2] ? strtoul(words[2], NULL, 10) : sizeof buffer;

	return show_xattr(self, buffer, lgetxattr(words[0], words[1], buffer, size));
}

static long call_fgetxattr(Script *self, char *const *words)
{
	char buffer[4096];

	return show_xattr(self, buffer,
			  fgetxattr(script_fd(self, words[0]), words[1], buffer, sizeof buffer));
}

static long call_xattrsize(Script *self, char *const *words)
{
	ssize_t len = lgetxattr(words[0], words[1], NULL, 0);

	if (len >= 0)
		g_string_append_printf(self->value, "%zd", len);
	return len < 0 ? -1 : 0;
}

/* The user's own names only: a kernel may add others. */
static long call_listxattr(Script *self, char *const *words)
{
	char names[4096];
	ssize_t len =
		llistxattr(words[0], names, words[1] ? strtoul(words[1], NULL, 10) : sizeof names);
	g_autoptr(GPtrArray) found = g_ptr_array_new();

	if (len < 0)
		return -1;
	for (char *name = names; name < names + len; name += strlen(name) + 1)
		if (g_str_has_prefix(name, "user."))
			g_ptr_array_add(found, name);
	g_ptr_array_sort(found, script_compare_names);
	for (guint i = 0; i < found->len; i++)
		g_string_append_printf(self->value, "%s%s", i ? "," : "",
				       (const char *)found->pdata[i]);
	if (!found->len)
		g_string_append_c(self->value, '.');
	return 0;
}

static long call_removexattr(Script *self, char *const *words)
{
	return lremovexattr(words[0], words[1]);
}

/* ---- Times that a call moves ------------------------------------------------------------- */

/*
 * `moves PATH CALL...`: which times of PATH the call moves, as letters of "amc", or ".". Access and
 * modification are set to long ago before; the change time cannot be, so the clock that the
 * filesystem reads is waited for.
 */
static int is_later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

static int wait_for_clock(struct timespec past)
{
	struct stat attr = {0};

	do {
		int fd = open(".clock", O_WRONLY | O_CREAT, 0600);

		if (fd < 0 || fchmod(fd, 0600) || fstat(fd, &attr))
			return -1;
		close(fd);
	} while (!is_later(attr.st_ctim, past));
	return 0;
}

static long call_moves(Script *self, char *const *words)
{
	const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	struct stat before, after;
	const char *path = words[0];
	size_t start = self->value->len;

	if (utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW) || lstat(path, &before) ||
	    wait_for_clock(before.st_ctim) || script_call(self, words + 1) || lstat(path, &after))
		return -1;
	g_string_truncate(self->value, start);
	if (is_later(after.st_atim, old[0]))
		g_string_append_c(self->value, 'a');
	if (is_later(after.st_mtim, old[1]))
		g_string_append_c(self->value, 'm');
	if (is_later(after.st_ctim, before.st_ctim))
		g_string_append_c(self->value, 'c');
	if (self->value->len == start)
		g_string_append_c(self->value, '.');
	return 0;
}

/* ---- All of them -------------------------------------------------------------------------- */

const ScriptCall script_attr_calls[] = {
	{"access", call_access},
	{"as", call_as},
	{"chmod", call_chmod},
	{"chown", call_chown},
	{"fchmod", call_fchmod},
	{"fchown", call_fchown},
	{"fgetxattr", call_fgetxattr},
	{"fsetxattr", call_fsetxattr},
	{"fstat", call_fstat},
	{"getxattr", call_getxattr},
	{"lchown", call_lchown},
	{"listxattr", call_listxattr},
	{"lstat", call_lstat},
	{"lutimens", call_lutimens},
	{"moves", call_moves},
	{"namemax", call_namemax},
	{"removexattr", call_removexattr},
	{"same", call_same},
	{"setxattr", call_setxattr},
	{"stat", call_stat},
	{"touch", call_touch},
	{"umask", call_umask},
	{"utimens", call_utimens},
	{"xattrsize", call_xattrsize},
	{NULL, NULL},
};
