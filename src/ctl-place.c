/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ctl-place: from a path to whoever carries out the command.
 *
 * A path inside a mount of a store says more than the store: the branch, and where in it relative
 * paths start. The kernel's mount table tells the mount; the directory .prollyfs, which every
 * branch has and nothing else, tells where in the path the branch ends, since its name may have
 * slashes. Where only a branch can be seen (`-o branch=`, or a branch's directory bound elsewhere),
 * the root of what is mounted has that branch's own .prollyfs, in which log is a file and not a
 * directory of branches. Where there is one commit only (`-o rev=`), .prollyfs has a link to it.
 *
 * A path that is a store's goes to the process that has the store mounted, or if nobody has, is
 * opened here. Between asking and doing a mount may come or go: one that has just taken the store
 * may not answer yet, so it is given the time that opening a store is given as well. Where it is, the
 * store's lock says, which is whoever's the store is: so that no command goes astray, into another
 * mount or a plain file, the mount table has to have a mount of that store there.
 */

#include "ctl.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOUNT_TYPE "fuse.prollyfs"
#define WAIT_USEC  (10 * G_TIME_SPAN_SECOND)
#define WAIT_STEP  (20 * G_TIME_SPAN_MILLISECOND)
#define META       ".prollyfs"
#define CONTROL    META "/ctl"
#define AT         META "/at/"
#define REVISION   META "/rev"

void ctl_place_clear(CtlPlace *place)
{
	g_free(place->control);
	g_free(place->store);
	g_free(place->branch);
	g_free(place->cwd);
	g_free(place->revision);
	*place = (CtlPlace){0};
}

/* ---- The mount table --------------------------------------------------------------------- */

/* Undoes the octal escapes of mountinfo in place. */
static void unescape(char *field)
{
	char *out = field;
	for (char *in = field; *in; in++) {
		if (*in == '\\' && in[1] && in[2] && in[3]) {
			*out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 3;
		} else {
			*out++ = *in;
		}
	}
	*out = 0;
}

/* What of PATH is below the directory DIRECTORY, without leading slashes; NULL if it is not below.
 */
static const char *get_below(const char *path, const char *directory)
{
	size_t len = strlen(directory);
	while (len && directory[len - 1] == '/')
		len--;
	if (strncmp(path, directory, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path + len + strspn(path + len, "/");
}

/* A line of the table. */
typedef struct {
	char *point;
	char *source; /* of a store's mount: which store it is; NULL: it is another's */
} MountLine;

static void mount_line_clear(MountLine *line)
{
	g_free(line->point);
	g_free(line->source);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MountLine, mount_line_clear)

/* Takes LINE of mountinfo apart. */
static bool parse_mount(const char *line, MountLine *out)
{
	g_auto(GStrv) halves = g_strsplit(line, " - ", 2);
	if (!halves[0] || !halves[1])
		return false;
	g_auto(GStrv) fields = g_strsplit(halves[0], " ", 6);
	g_auto(GStrv) of_type = g_strsplit(halves[1], " ", 3);
	if (g_strv_length(fields) < 6 || g_strv_length(of_type) < 2)
		return false;
	out->point = g_strdup(fields[4]);
	unescape(out->point);
	if (strcmp(of_type[0], MOUNT_TYPE) == 0) {
		out->source = g_strdup(of_type[1]);
		unescape(out->source);
	}
	return true;
}

/* The mount that PATH, a real path, is in. False: it is no store's. */
static bool find_mount_line(const char *path, MountLine *out)
{
	g_autofree char *table = NULL;

	if (!g_file_get_contents("/proc/self/mountinfo", &table, NULL, NULL))
		return false;
	g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
	for (char **text = lines; *text; text++) {
		g_auto(MountLine) line = {0};
		/* Of two at one place the later lies on top. */
		if (!parse_mount(*text, &line) || !get_below(path, line.point) ||
		    (out->point && strlen(line.point) < strlen(out->point)))
			continue;
		mount_line_clear(out);
		*out = line;
		line = (MountLine){0};
	}
	return out->source != NULL;
}

/* (transfer full) The mount point of the store's mount that PATH, a real path, is in. NULL: it is in
 * none. */
static char *find_mount(const char *path)
{
	g_auto(MountLine) line = {0};

	return find_mount_line(path, &line) ? g_steal_pointer(&line.point) : NULL;
}

/* Are SOURCE, as a mount is listed, and SPEC one store? (Relative to what a SOURCE was, nobody
 * knows.) */
static bool is_same_store(const char *source, const char *spec)
{
	g_auto(ProllySpec) mounted = {0}, asked = {0};
	struct stat a, b;

	if (!prolly_spec_parse(source, &mounted, NULL) || !prolly_spec_parse(spec, &asked, NULL) ||
	    !mounted.path || !asked.path)
		return false;
	if (!g_path_is_absolute(mounted.path))
		return true;
	return stat(mounted.path, &a) == 0 && stat(asked.path, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static bool is_mount_of(const char *mount, const char *spec)
{
	g_auto(MountLine) line = {0};

	return find_mount_line(mount, &line) && strcmp(line.point, mount) == 0 &&
	       is_same_store(line.source, spec);
}

/* ---- Inside a mount ---------------------------------------------------------------------- */

static bool is_there(const char *directory, const char *name, mode_t *out_mode)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	struct stat st;
	if (stat(path, &st) != 0)
		return false;
	*out_mode = st.st_mode;
	return true;
}

/* BELOW as a directory below its branch: what is in its .prollyfs counts as the branch itself. */
static void set_cwd(CtlPlace *place, const char *below)
{
	bool is_meta = g_str_has_prefix(below, META) &&
		       (!below[strlen(META)] || below[strlen(META)] == '/');
	place->cwd = *below && !is_meta ? g_strdup(below) : NULL;
}

/* ".prollyfs/at/ID/..." : a commit, and a directory in it. */
static void set_revision(CtlPlace *place, const char *below)
{
	const char *id = below + strlen(AT);
	size_t len = strcspn(id, "/");
	place->revision = g_strndup(id, len);
	place->cwd = id[len] ? g_strdup(id + len + 1) : NULL;
}

/* The branch that BELOW, seen from the mount point, begins with, if it does. */
static void split_branch(CtlPlace *place, const char *mount, const char *below)
{
	for (size_t len = strcspn(below, "/"); len; len += 1 + strcspn(below + len + 1, "/")) {
		g_autofree char *branch = g_strndup(below, len);
		g_autofree char *directory = g_build_filename(mount, branch, NULL);
		mode_t mode = 0;
		if (is_there(directory, CONTROL, &mode)) {
			place->branch = g_steal_pointer(&branch);
			set_cwd(place, below + len + (below[len] == '/'));
			return;
		}
		if (!below[len])
			return;
	}
}

/* (transfer full) The commit that the mount is of. NULL: it is of none. */
static char *read_revision(const char *mount)
{
	g_autofree char *path = g_build_filename(mount, REVISION, NULL);
	g_autofree char *target = g_file_read_link(path, NULL);

	return target ? g_path_get_basename(target) : NULL;
}

static bool find_in_mount(const char *mount, const char *path, CtlPlace *place, GError **error)
{
	const char *below = get_below(path, mount);
	mode_t mode = 0;
	bool is_visible = is_there(mount, META "/log", &mode);

	if (g_str_has_prefix(below, AT))
		set_revision(place, below);
	else if ((place->revision = read_revision(mount)) || (is_visible && !S_ISDIR(mode)))
		set_cwd(place, below);
	else if (!g_str_has_prefix(below, META))
		split_branch(place, mount, below);
	if (is_visible)
		place->control = g_build_filename(mount, CONTROL, NULL);
	else if (place->branch)
		place->control = g_build_filename(mount, place->branch, CONTROL, NULL);
	return place->control ||
	       prolly_throw(error, PROLLY_ERROR_FAILED,
			    "%s: no control file can be reached in the mount %s", path, mount);
}

/* ---- A store ----------------------------------------------------------------------------- */

/* The control file of the process that has the store mounted; with none, the store is opened here.
 */
static bool find_holder(const char *spec, CtlPlace *place, GError **error)
{
	int64_t deadline = g_get_monotonic_time() + WAIT_USEC;
	for (;;) {
		g_autofree char *mount = NULL;
		mode_t mode = 0;
		pid_t pid = 0;

		if (!prolly_repo_find_holder(spec, &pid, &mount, error))
			return false;
		if (!pid || !mount) {
			place->store = g_strdup(spec);
			return true;
		}
		if (is_mount_of(mount, spec) && is_there(mount, CONTROL, &mode)) {
			place->control = g_build_filename(mount, CONTROL, NULL);
			return true;
		}
		if (g_get_monotonic_time() >= deadline)
			return prolly_throw(
				error, PROLLY_ERROR_LOCKED,
				"%s: process %d has it mounted on %s, says its lock, but no mount "
				"of it answers there",
				spec, (int)pid, mount);
		g_usleep(WAIT_STEP);
	}
}

bool ctl_place_find(const char *directory, CtlPlace *out_place, GError **error)
{
	const char *path = directory ? directory : ".";
	bool is_spec = strstr(path, "://") || *path == ':';
	char *real = is_spec ? NULL : realpath(path, NULL);
	int failure = errno;
	g_autofree char *resolved = g_strdup(real);
	g_autofree char *mount = resolved ? find_mount(resolved) : NULL;

	free(real);
	*out_place = (CtlPlace){0};
	if (mount)
		return find_in_mount(mount, resolved, out_place, error);
	if (!is_spec && !resolved)
		return prolly_throw_errno(error, failure, "%s", path);
	if (!is_spec && !prolly_repo_is_store(path))
		return prolly_throw(error, PROLLY_ERROR_NOT_A_STORE,
				    "%s: neither a store nor in a mount of one",
				    directory ? directory : resolved);
	return find_holder(directory ? directory : resolved, out_place, error);
}

bool ctl_place_find_cwd(const char *directory, CtlPlace *out_place, GError **error)
{
	const char *path = directory ? directory : ".";
	char *real = realpath(path, NULL);
	int failure = errno;
	g_autofree char *resolved = g_strdup(real);
	g_autofree char *mount = resolved ? find_mount(resolved) : NULL;

	free(real);
	*out_place = (CtlPlace){0};
	if (directory && !resolved)
		return prolly_throw_errno(error, failure, "%s", path);
	return !mount || find_in_mount(mount, resolved, out_place, error);
}
