/* SPDX-License-Identifier: Apache-2.0 */

/*
 * prollyfs: mounts a store. This file turns the command line into PfsOptions; fs does the rest.
 *
 * Options may stand anywhere, since mount(8) puts -o last. Each mount option is known by name: our
 * own, those that libfuse and the kernel are told of, and those that only mean something to
 * mount(8) and systemd, which are taken and ignored (and whatever begins with "x-"). Any other is a
 * usage error that names it, before anything is touched.
 *
 * Under a name that begins with "mount." it is mount(8)'s helper for the type "prollyfs", which has
 * letters of its own.
 */

#include "fs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2

typedef struct {
	PfsOptions options;
	GPtrArray *fuse_options; /* of char * */
	GPtrArray *positional;   /* of const char *, borrowed */
	bool help, version;
	bool is_helper; /* called by mount(8) */
	bool is_fake;   /* which only wants to know whether it could be */
	bool is_remount;
} Arguments;

/* ---- Values ------------------------------------------------------------------------------ */

typedef bool (*TakeFunc)(Arguments *arguments, const char *value);

/* A decimal (or BASE) number up to MAX. */
static bool parse_number(const char *value, guint base, uint64_t max, uint64_t *out_number)
{
	return g_ascii_string_to_unsigned(value, base, 0, max, out_number, NULL);
}

static bool parse_id(const char *value, int64_t *out_id)
{
	uint64_t id = 0;
	if (!parse_number(value, 10, UINT32_MAX - 1, &id))
		return false;
	*out_id = (int64_t)id;
	return true;
}

static bool take_create(Arguments *arguments, const char *value)
{
	return arguments->options.create = true;
}

static bool take_ro(Arguments *arguments, const char *value)
{
	return arguments->options.read_only = true;
}

static bool take_rw(Arguments *arguments, const char *value)
{
	arguments->options.read_only = false;
	return true;
}

static bool take_debug(Arguments *arguments, const char *value)
{
	return arguments->options.debug = arguments->options.foreground = true;
}

static bool take_remount(Arguments *arguments, const char *value)
{
	return arguments->is_remount = true;
}

static bool take_allow_other(Arguments *arguments, const char *value)
{
	return arguments->options.allow_other = true;
}

static bool take_branch(Arguments *arguments, const char *value)
{
	arguments->options.branch = g_strdup(value);
	return *value;
}

static bool take_rev(Arguments *arguments, const char *value)
{
	arguments->options.revision = g_strdup(value);
	return *value;
}

static bool take_cache(Arguments *arguments, const char *value)
{
	return prolly_size_parse(value, &arguments->options.cache_size, NULL) &&
	       arguments->options.cache_size;
}

static bool take_spin(Arguments *arguments, const char *value)
{
	uint64_t usec = 0;
	if (!parse_number(value, 10, G_TIME_SPAN_SECOND, &usec))
		return false;
	arguments->options.spin_usec = (unsigned)usec;
	return true;
}

static bool take_uid(Arguments *arguments, const char *value)
{
	return parse_id(value, &arguments->options.uid);
}

static bool take_gid(Arguments *arguments, const char *value)
{
	return parse_id(value, &arguments->options.gid);
}

static bool take_ctl_gid(Arguments *arguments, const char *value)
{
	return parse_id(value, &arguments->options.ctl_gid);
}

static bool take_max_open(Arguments *arguments, const char *value)
{
	uint64_t max = 0;
	if (!parse_number(value, 10, UINT32_MAX, &max))
		return false;
	arguments->options.max_open = (unsigned)max;
	return max > 0;
}

static bool take_umask(Arguments *arguments, const char *value)
{
	uint64_t mask = 0;
	if (!parse_number(value, 8, 0777, &mask))
		return false;
	arguments->options.umask = (int64_t)mask;
	return true;
}

/* ---- Mount options ----------------------------------------------------------------------- */

typedef struct {
	const char *name; /* with '=' at its end if it takes a value */
	TakeFunc take;    /* NULL: it is passed on */
} MountOption;

static const MountOption MOUNT_OPTIONS[] = {
	{"create", take_create},
	{"branch=", take_branch},
	{"rev=", take_rev},
	{"cache=", take_cache},
	{"spin=", take_spin},
	{"ctl_gid=", take_ctl_gid},
	{"max_open=", take_max_open},
	{"ro", take_ro},
	{"rw", take_rw},
	{"debug", take_debug},
	{"allow_other", take_allow_other},
	{"remount", take_remount},
	{"uid=", take_uid},
	{"gid=", take_gid},
	{"umask=", take_umask},
	{"allow_root", NULL},
	{"auto_unmount", NULL},
	{"default_permissions", NULL},
	{"fsname=", NULL},
	{"subtype=", NULL},
	{"max_read=", NULL},
	{"blksize=", NULL},
	{"context=", NULL},
	{"fscontext=", NULL},
	{"defcontext=", NULL},
	{"rootcontext=", NULL},
	{"suid", NULL},
	{"nosuid", NULL},
	{"dev", NULL},
	{"nodev", NULL},
	{"exec", NULL},
	{"noexec", NULL},
	{"atime", NULL},
	{"noatime", NULL},
	{"sync", NULL},
	{"async", NULL},
	{"dirsync", NULL},
};

/* They say when and by whom to mount, or are the kernel's default, or what it does not do for FUSE.
 */
static const char *const IGNORED[] = {
	"_netdev",  "auto",       "noauto",      "defaults",      "fail",     "nofail",
	"group",    "nogroup",    "owner",       "noowner",       "user",     "nouser",
	"users",    "nousers",    "diratime",    "nodiratime",    "relatime", "norelatime",
	"lazytime", "nolazytime", "strictatime", "nostrictatime", "silent",   "loud",
	"iversion", "noiversion",
};

static bool is_ignored(const char *option)
{
	/* The last two are the kernel's, which mount(8) hands back when it remounts. */
	static const char *const prefixes[] = {"x-", "comment=", "user=", "user_id=", "group_id="};

	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (g_str_has_prefix(option, prefixes[i]))
			return true;
	for (size_t i = 0; i < G_N_ELEMENTS(IGNORED); i++)
		if (strcmp(option, IGNORED[i]) == 0)
			return true;
	return false;
}

static const MountOption *find_mount_option(const char *option)
{
	for (size_t i = 0; i < G_N_ELEMENTS(MOUNT_OPTIONS); i++) {
		const char *name = MOUNT_OPTIONS[i].name;
		bool has_value = g_str_has_suffix(name, "=");
		if (has_value ? g_str_has_prefix(option, name) : strcmp(option, name) == 0)
			return &MOUNT_OPTIONS[i];
	}
	return NULL;
}

static bool take_mount_option(Arguments *arguments, const char *option, GError **error)
{
	const MountOption *known = find_mount_option(option);
	if (!*option || is_ignored(option))
		return true;
	if (!known)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "unknown option '%s'", option);
	if (!known->take) {
		g_ptr_array_add(arguments->fuse_options, g_strdup(option));
		return true;
	}
	const char *equals = strchr(option, '=');
	return known->take(arguments, equals ? equals + 1 : "") ||
	       prolly_throw(error, PROLLY_ERROR_USAGE, "option '%s': not a value for it", option);
}

/* The bytes of the value at VALUE if all of it is in quotes, as of a context that mount(8) hands over;
 * else 0. */
static size_t quoted_len(const char *value)
{
	const char *end = *value == '"' ? strchr(value + 1, '"') : NULL;
	return end && (!end[1] || end[1] == ',') ? (size_t)(end + 1 - value) : 0;
}

/* A list with commas; one is in a value as "\,", or if the value is in quotes, which are part of it. */
static bool take_mount_options(Arguments *arguments, const char *list, GError **error)
{
	g_autoptr(GString) option = g_string_new(NULL);
	for (const char *p = list;; p++) {
		if (p > list && p[-1] == '=') {
			size_t len = quoted_len(p);
			g_string_append_len(option, p, (gssize)len);
			p += len;
		}
		if (*p && *p != ',') {
			p += *p == '\\' && p[1];
			g_string_append_c(option, *p);
			continue;
		}
		if (!take_mount_option(arguments, option->str, error))
			return false;
		g_string_truncate(option, 0);
		if (!*p)
			return true;
	}
}

/* ---- The command line -------------------------------------------------------------------- */

/* What mount(8) may say: mount.TYPE SPEC DIR [-sfnvrw] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]. */
static bool take_helper_letter(Arguments *arguments, char letter)
{
	if (letter == 'f')
		arguments->is_fake = true;
	else if (letter == 'r')
		arguments->options.read_only = true;
	else if (letter == 'w')
		arguments->options.read_only = false;
	return strchr("sfnvrw", letter) != NULL;
}

/* "-fd", "-o LIST", "-oLIST". *OUT_USED: words after this one that were taken. */
static bool take_letters(Arguments *arguments, char **words, int *out_used, GError **error)
{
	for (const char *p = words[0] + 1; *p; p++) {
		if (*p == 'o') {
			const char *list = p[1] ? p + 1 : words[1];
			*out_used = p[1] ? 0 : 1;
			if (!list)
				return prolly_throw(error, PROLLY_ERROR_USAGE,
						    "-o: OPTION is missing");
			return take_mount_options(arguments, list, error);
		}
		if (arguments->is_helper && strchr("tN", *p)) {
			*out_used = p[1] || !words[1] ? 0 : 1;
			return true;
		}
		if (arguments->is_helper && take_helper_letter(arguments, *p))
			continue;
		if (*p == 'f')
			arguments->options.foreground = true;
		else if (*p == 'd')
			take_debug(arguments, "");
		else if (*p == 's')
			arguments->options.single_thread = true;
		else if (*p == 'h')
			arguments->help = true;
		else if (*p == 'V')
			arguments->version = true;
		else
			return prolly_throw(error, PROLLY_ERROR_USAGE, "unknown option '-%c'", *p);
	}
	return true;
}

static bool take_long(Arguments *arguments, const char *word, GError **error)
{
	arguments->help |= strcmp(word, "--help") == 0;
	arguments->version |= strcmp(word, "--version") == 0;
	if (arguments->help || arguments->version)
		return true;
	return prolly_throw(error, PROLLY_ERROR_USAGE, "unknown option '%s'", word);
}

static bool parse_words(Arguments *arguments, char **words, GError **error)
{
	bool ended = false;
	for (; *words; words++) {
		int used = 0;
		if (!ended && strcmp(*words, "--") == 0)
			ended = true;
		else if (ended || **words != '-' || !(*words)[1])
			g_ptr_array_add(arguments->positional, *words);
		else if (!((*words)[1] == '-' ? take_long(arguments, *words, error)
					      : take_letters(arguments, words, &used, error)))
			return false;
		words += used;
	}
	return true;
}

static bool check_words(Arguments *arguments, GError **error)
{
	GPtrArray *positional = arguments->positional;
	if (positional->len < 2)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "%s is missing",
				    positional->len ? "MOUNTPOINT" : "STORE");
	if (positional->len > 2)
		return prolly_throw(error, PROLLY_ERROR_USAGE, "'%s' is one argument too many",
				    (const char *)g_ptr_array_index(positional, 2));
	if (arguments->options.branch && arguments->options.revision)
		return prolly_throw(error, PROLLY_ERROR_USAGE,
				    "the options branch= and rev= do not go together");
	arguments->options.store = g_ptr_array_index(positional, 0);
	arguments->options.mountpoint = g_ptr_array_index(positional, 1);
	g_ptr_array_add(arguments->fuse_options, NULL);
	arguments->options.fuse_options = (char **)arguments->fuse_options->pdata;
	return true;
}

static void print_help(void)
{
	g_print("usage: prollyfs [-f] [-d] [-s] [-o OPTION[,OPTION...]] STORE MOUNTPOINT\n"
		"Mounts a store of versioned trees: every branch a directory, every key a file.\n\n"
		"STORE is PATH or rocksdb://PATH, file://PATH, cached-file://PATH[?cache=SIZE],\n"
		"or :memory:\n\n"
		"  -f             stay in the foreground\n"
		"  -d             print requests (and stay in the foreground)\n"
		"  -s             use one thread\n"
		"  -h, --help     print this\n"
		"  -V, --version  print the version\n\n"
		"Mount options, beside those of mount(8) and fuse(8):\n"
		"  create         make the store if there is none\n"
		"  branch=NAME    that branch alone: MOUNTPOINT/NAMESPACE/KEY\n"
		"  rev=REV        that revision alone, read-only\n"
		"  ro             nothing can be changed\n"
		"  cache=SIZE     the node cache (256M)\n"
		"  spin=USEC      look for the next request so long before sleeping\n"
		"  allow_other    other users may use the mount\n"
		"  uid=N, gid=N   owner and group of what has none recorded\n"
		"  umask=OCTAL    permissions that what has no mode recorded does not have (022)\n"
		"  ctl_gid=GID    that group may use the control files\n"
		"  max_open=N     files and directories that another user may have open (65536)\n");
}

/* Flags of a mount are the kernel's to change, and nothing is asked of the process that serves it.
 * -i: mount(8) does not call us again. */
static int remount(const Arguments *arguments)
{
	static const char *const flags[] = {"suid",  "nosuid",  "dev",  "nodev", "exec",   "noexec",
					    "atime", "noatime", "sync", "async", "dirsync"};
	const PfsOptions *options = &arguments->options;
	g_autoptr(GString) list = g_string_new(options->read_only ? "remount,ro" : "remount,rw");

	for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
		if (g_strv_contains((const char *const *)options->fuse_options, flags[i]))
			g_string_append_printf(list, ",%s", flags[i]);
	execlp("mount", "mount", "-i", "-o", list->str, options->mountpoint, NULL);
	g_printerr("prollyfs: mount: %s\n", g_strerror(errno));
	return 1;
}

static int run(Arguments *arguments, char **words)
{
	g_autoptr(GError) error = NULL;
	bool ok = parse_words(arguments, words, &error);

	if (ok && arguments->help) {
		print_help();
		return 0;
	}
	if (ok && arguments->version) {
		g_print("prollyfs " PROLLYFS_VERSION "\n");
		return 0;
	}
	if (!ok || !check_words(arguments, &error)) {
		g_printerr(
			"prollyfs: %s\n"
			"usage: prollyfs [-f] [-d] [-s] [-o OPTION[,OPTION...]] STORE MOUNTPOINT\n",
			error->message);
		return EXIT_USAGE;
	}
	if (arguments->is_fake)
		return 0;
	return arguments->is_remount ? remount(arguments) : pfs_run(&arguments->options);
}

int main(int argc, char **argv)
{
	Arguments arguments = {
		.options = {.uid = -1, .gid = -1, .umask = -1, .ctl_gid = -1},
		.fuse_options = g_ptr_array_new_with_free_func(g_free),
		.positional = g_ptr_array_new(),
	};
	g_autofree char *name = g_path_get_basename(argc > 0 ? argv[0] : "prollyfs");
	int status;

	arguments.is_helper = g_str_has_prefix(name, "mount.");
	status = run(&arguments, argv + (argc > 0));

	g_ptr_array_unref(arguments.positional);
	g_ptr_array_unref(arguments.fuse_options);
	g_free((char *)arguments.options.branch);
	g_free((char *)arguments.options.revision);
	return status;
}
