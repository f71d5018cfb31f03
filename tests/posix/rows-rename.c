/* SPDX-License-Identifier: Apache-2.0 */

/*
 * rows-rename: rename(2) and renameat2(2).
 *
 * Every kind of source meets every kind of target, with each flag, in each place; what has to come
 * of it is a few rules (expect). What no such table says follows as rows.
 */

#include "posix.h"

#include <string.h>

typedef struct {
	const char *name;
	const char *make; /* %s: its path; empty: nothing is there */
	bool is_directory;
	bool is_full;
} Kind;

typedef struct {
	const char *name;
	const char *prepare;
	const char *path; /* of the target */
} Place;

static const Kind kinds[] = {
	{"nothing", NULL, false, false},
	{"a file", "put %s abc", false, false},
	{"a link", "symlink none %s", false, false},
	{"a fifo", "mkfifo %s", false, false},
	{"an empty directory", "mkdir %s", true, false},
	{"a full directory", "mkdir %s; create %s/file", true, true},
};

static const Place targets[] = {
	{"in its directory", NULL, "new"},
	{"in another directory", "mkdir sub", "sub/new"},
	{"in another namespace", NULL, "$O/new"},
	{"in another branch", NULL, "$B/new"},
};

static char *replace(const char *template, const char *path)
{
	g_auto(GStrv) parts = g_strsplit(template, "%s", -1);

	return g_strjoinv(path, parts);
}

/* Within a filesystem. */
static const char *expect(const Kind *from, const Kind *to, const char *flag)
{
	if (!from->make)
		return "ENOENT";
	if (!strcmp(flag, "EXCHANGE"))
		return to->make ? "ok" : "ENOENT";
	if (!to->make)
		return "ok";
	if (!strcmp(flag, "NOREPLACE"))
		return "EEXIST";
	if (from->is_directory)
		return !to->is_directory ? "ENOTDIR" : to->is_full ? "ENOTEMPTY" : "ok";
	return to->is_directory ? "EISDIR" : "ok";
}

/* Branches are of one mount, so the kernel looks at types and flags before it asks. */
static const char *expect_foreign(const Kind *from, const Kind *to, const char *flag)
{
	const char *result = expect(from, to, flag);

	return !strcmp(result, "ok") || !strcmp(result, "ENOTEMPTY") ? "EXDEV" : result;
}

static char *make_script(const Kind *from, const Kind *to, const Place *place, const char *flag)
{
	GString *script = g_string_new(NULL);
	const Kind *parts[] = {from, to};
	const char *paths[] = {"old", place->path};

	if (place->prepare)
		g_string_append_printf(script, "%s; ", place->prepare);
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
		g_autofree char *make = parts[i]->make ? replace(parts[i]->make, paths[i]) : NULL;

		if (make)
			g_string_append_printf(script, "%s; ", make);
	}
	g_string_append_printf(script, "rename old %s %s", place->path, flag);
	return g_string_free(script, FALSE);
}

static void add(GArray *rows, const Kind *from, const Kind *to, const Place *place,
		const char *flag)
{
	g_autofree char *script = make_script(from, to, place, flag);
	g_autofree char *name =
		g_strdup_printf("%s over %s %s, flag %s", from->name, to->name, place->name, flag);
	CaseRow row = {.name = g_intern_string(name), .script = g_intern_string(script)};

	if (g_str_has_prefix(place->path, "$B")) {
		row.expected = expect_foreign(from, to, flag);
		row.flags = CASE_OURS;
		g_array_append_val(rows, row);
		row.expected = "EXDEV";
		row.flags = CASE_NATIVE;
	} else {
		row.expected = expect(from, to, flag);
	}
	g_array_append_val(rows, row);
}

static const CaseRow others[] = {
	{"the old name is gone", "create f; rename f g; ls .", "g", 0},
	{"the content moves", "put f abc; put g x; rename f g; cat g", "abc", 0},
	{"the mode moves", "create f 0601; create g 0644; rename f g; stat g mode", "0601", 0},
	{"the number moves", "create f; link f h; rename f g; same g h", "same", 0},
	{"onto itself", "put f abc; rename f f; cat f", "abc", 0},
	{"a directory onto itself", "mkdir d; create d/f; rename d d; ls d", "f", 0},
	{"a directory moves with all in it",
	 "mkdir d; mkdir d/e; put d/e/f abc; rename d g; "
	 "cat g/e/f",
	 "abc", 0},
	{"a directory into another namespace", "mkdir d; put d/f abc; rename d $O/e; cat $O/e/f",
	 "abc", 0},
	{"a directory over an empty one", "mkdir d; put d/f abc; mkdir e; rename d e; ls .", "e",
	 0},
	{"into itself", "mkdir d; rename d d/e", "EINVAL", 0},
	{"deep into itself", "mkdir d; mkdir d/e; rename d d/e/f", "EINVAL", 0},
	{"over its parent", "mkdir d; mkdir d/e; rename d/e d", "ENOTEMPTY", 0},
	{"a file over its parent", "mkdir d; create d/f; rename d/f d", "ENOTEMPTY", 0},
	{"exchange with what is inside", "mkdir d; create d/f; rename d d/f EXCHANGE", "EINVAL", 0},
	{"exchange with what is around", "mkdir d; create d/f; rename d/f d EXCHANGE", "EINVAL", 0},
	{"exchange of files", "put f abc; put g x; rename f g EXCHANGE; cat f", "x", 0},
	{"exchange of a file and a directory",
	 "put f abc; mkdir d; put d/x y; rename f d EXCHANGE; ls f", "x", 0},
	{"exchange of a file and a directory, its other side",
	 "put f abc; mkdir d; put d/x y; rename f d EXCHANGE; cat d", "abc", 0},
	{"exchange of directories",
	 "mkdir d; create d/x; mkdir e; create e/y; "
	 "rename d e EXCHANGE; ls d",
	 "y", 0},
	{"exchange over namespaces", "put f abc; put $O/g x; rename f $O/g EXCHANGE; cat f", "x",
	 0},
	{"exchange with itself", "put f abc; rename f f EXCHANGE; cat f", "abc", 0},
	{"both flags", "create f; create g; rename f g NOREPLACE|EXCHANGE", "EINVAL", 0},
	{"an unknown flag", "create f; rename f g 64", "EINVAL", 0},
	{"NOREPLACE onto itself", "create f; rename f f NOREPLACE", "EEXIST", 0},
	{"of .", "rename . d", "EBUSY", 0},
	{"to .", "mkdir d; rename d .", "EBUSY", 0},
	{"of ..", "mkdir d; rename d/.. e", "EBUSY", 0},
	{"below nothing", "create f; rename f d/g", "ENOENT", 0},
	{"below a file", "create f; create g; rename f g/h", "ENOTDIR", 0},
	{"of what is below a file", "create f; rename f/g h", "ENOTDIR", 0},
	{"of a file with a slash", "create f; rename f/ g", "ENOTDIR", 0},
	{"a file to a name with a slash", "create f; rename f g/", "ENOTDIR", 0},
	{"a directory to a name with a slash", "mkdir d; rename d e/; stat e type", "dir", 0},
	{"hard links of one file", "create f; link f g; rename f g; ls .", "f,g", 0},
	{"exchanged hard links", "create f; link f g; rename f g EXCHANGE; same f g", "same", 0},
	{"over a link replaces the link", "put f abc; put t x; symlink t l; rename f l; cat t", "x",
	 0},
	{"over a file with other names", "put f abc; put g x; link g h; rename f g; cat h", "x", 0},
	{"over an open file", "put f abc; put g x; fd a g RDWR; rename f g; fstat a nlink", "0", 0},
	{"a directory that is open", "mkdir d; create d/f; fd a d RDONLY; rename d e; fstat a type",
	 "dir", 0},
	{"the current directory", "mkdir d; chdir d; rename ../d ../e; create f; ls ../e", "f", 0},
	{"over an empty directory that is open",
	 "mkdir d; mkdir e; fd a e RDONLY; rename d e; fstat a nlink", "0", 0},
	{"twice there and back", "put f abc; rename f g; rename g f; cat f", "abc", 0},
	{"a new one under the old name is another",
	 "create f; link f h; rename f g; create f; "
	 "same f h",
	 "other", 0},
	{"where one may not write", "mkdir d 0755; create d/f; as a; rename d/f d/g", "EACCES",
	 CASE_ROOT},
	{"to where one may not write",
	 "mkdir d 0755; mkdir e 0777; chmod e 0777; as a; "
	 "create e/f; rename e/f d/f",
	 "EACCES", CASE_ROOT},
	{"another's out of a sticky directory",
	 "mkdir d; chmod d 01777; create d/f; chown d/f b b; as a; rename d/f d/g", "EPERM",
	 CASE_ROOT},
	{"over another's in a sticky directory",
	 "mkdir d; chmod d 01777; create d/f; chown d/f b b; as a; create d/g; rename d/g d/f",
	 "EPERM", CASE_ROOT},
	{"one's own in a sticky directory",
	 "mkdir d; chmod d 01777; as a; create d/f; rename d/f d/g", "ok", CASE_ROOT},
	{"another's directory to another parent",
	 "mkdir d; chmod d 0777; mkdir e; chmod e 0777; mkdir d/s; chown d/s b b; as a; "
	 "rename d/s e/s",
	 "EACCES", CASE_ROOT},
	{NULL, NULL, NULL, 0},
};

void rows_rename_generate(GArray *rows)
{
	const char *flags[] = {"0", "NOREPLACE", "EXCHANGE"};

	for (size_t place = 0; place < G_N_ELEMENTS(targets); place++)
		for (size_t flag = 0; flag < G_N_ELEMENTS(flags); flag++)
			for (size_t i = 0; i < G_N_ELEMENTS(kinds) * G_N_ELEMENTS(kinds); i++)
				add(rows, &kinds[i / G_N_ELEMENTS(kinds)],
				    &kinds[i % G_N_ELEMENTS(kinds)], &targets[place], flags[flag]);
	for (const CaseRow *row = others; row->name; row++)
		g_array_append_vals(rows, row, 1);
}
