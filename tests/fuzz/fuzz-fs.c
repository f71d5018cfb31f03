/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mounted store, and a directory of the kernel's own (fs-pair.h). The input is a script of system
 * calls, each of which is made on both sides: it must give the same, errno included. Now and then, and
 * in the end, all that can be seen of both is compared. Between the calls our side is committed,
 * collected, and mounted anew, which nobody may notice; if the input's first byte is a multiple of 4
 * the store is on disk, and outlives its mount.
 *
 * A step is a byte that says which call, and what that takes (fs-calls.h). PROLLY_FUZZ_TRACE=1 prints
 * them, and compares after each.
 *
 * What is different on purpose, or cannot be asked of a tmpfs, has its reason below: in differences, in
 * is_avoided, and, of attributes, at the head of fs-pair.c.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs-calls.h"

#define STEPS_MAX     2000
#define COMPARE_EVERY 48
#define LENGTH_MAX    (256u << 10)
#define DEPTH_MAX     4

/* What follows the last call, of a step's first byte. */
enum { STEP_COMMIT, STEP_COLLECT, STEP_REMOUNT, STEP_COMPARE, SPECIAL_STEPS };

static const int open_flags[] = {O_CREAT,  O_CREAT,     O_EXCL, O_TRUNC,
				 O_APPEND, O_DIRECTORY, O_SYNC, O_NOFOLLOW};

static const char *const common_names[] = {"a", "a", "a", "b", "b",  "b",
					   "c", "c", "d", "e", "e.", "A"};
static const char *const rare_names[] = {
	".",    "100%",    "%41", "%2E", "%2F", "%00", "%empty",   "%25", "...", "\xff\xfe",
	"a\nb", ".hidden", "*",   " ",   "a-",  "~",   "\xc3\xa9", "0",   "a b", ".prolly"};
static const char *const texts[] = {"a", "b", "c/d", ".", "a/b", "nowhere", "/nowhere", "e"};
static const char *const xattr_names[] = {"user.a", "user.b", "user.long-name.of.it", "user.",
					  "nothing.a"};

/* ---- Steps from bytes -------------------------------------------------------------------- */

static void take_name(FuzzInput *input, GString *path)
{
	unsigned n = fuzz_take_byte(input) % 32;
	unsigned rare;

	g_string_append_c(path, '/');
	if (n < 30) {
		g_string_append(path, common_names[n % G_N_ELEMENTS(common_names)]);
		return;
	}
	rare = fuzz_take_byte(input) % (G_N_ELEMENTS(rare_names) + 2);
	if (rare < G_N_ELEMENTS(rare_names))
		g_string_append(path, rare_names[rare]);
	else /* as long as it may be, and longer */
		for (unsigned len = 255 + rare - G_N_ELEMENTS(rare_names); len; len--)
			g_string_append_c(path, 'x');
}

static char *take_path(FuzzInput *input, bool may_be_top)
{
	unsigned how = fuzz_take_byte(input);
	unsigned depth = how / 8 % (DEPTH_MAX + 1);
	GString *path = g_string_new(how % 8 ? "main" : "side");

	if (!may_be_top)
		depth = MAX(depth, 1);
	while (depth--)
		take_name(input, path);
	return g_string_free(path, FALSE);
}

/* Small ones, around pages, and around the pieces of large files; up to a mebibyte. */
static uint64_t take_offset(FuzzInput *input)
{
	unsigned n = fuzz_take_byte(input);
	int64_t offset;

	if (n < 96)
		return n;
	if (n < 160)
		return (uint64_t)(n - 96) * 128;
	offset = n < 208 ? (int64_t)(n - 160) / 3 * 4096 : (int64_t)(n - 208) / 3 * 65536;
	return (uint64_t)MAX(offset + (int64_t)(n % 3) - 1, 0);
}

static int take_open_flags(FuzzInput *input)
{
	static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR, O_PATH};
	int flags = modes[fuzz_take_below(input, G_N_ELEMENTS(modes))];
	unsigned bits = fuzz_take_byte(input);

	for (unsigned i = 0; i < G_N_ELEMENTS(open_flags); i++)
		if (bits >> i & 1)
			flags |= open_flags[i];
	return flags;
}

static int take_flags(FuzzInput *input, const int *flags)
{
	unsigned n = 0;

	while (flags[n] >= 0)
		n++;
	return flags[fuzz_take_below(input, n)];
}

static mode_t take_mode(FuzzInput *input)
{
	static const mode_t modes[] = {0644, 0755, 0777, 01777, 0600, 0400, 0, 06755, 02770, 0070};

	return modes[fuzz_take_below(input, G_N_ELEMENTS(modes))];
}

static void take_argument(FuzzInput *input, FsStep *step, char what)
{
	switch (what) {
	case 'p':
	case 'P':
		step->path = take_path(input, what == 'P');
		break;
	case 'q':
		step->other = take_path(input, false);
		break;
	case 's':
		step->slot = fuzz_take_byte(input) % FS_SLOTS;
		break;
	case 't':
		step->slot2 = fuzz_take_byte(input) % FS_SLOTS;
		break;
	case 'o':
		step->offset = take_offset(input);
		break;
	case 'r':
		step->offset2 = take_offset(input);
		break;
	case 'l':
		step->length = MIN(take_offset(input), LENGTH_MAX);
		break;
	case 'f':
		step->flags = take_flags(input, step->operation->flags);
		break;
	case 'F':
		step->flags = take_open_flags(input);
		break;
	case 'm':
		step->mode = take_mode(input);
		break;
	case 'k':
		step->text = texts[fuzz_take_below(input, G_N_ELEMENTS(texts))];
		break;
	default:
		step->name = xattr_names[fuzz_take_below(input, G_N_ELEMENTS(xattr_names))];
	}
}

static FsStep take_step(FuzzInput *input, const FsOperation *operation, bool is_root)
{
	FsStep step = {.operation = operation};

	step.seed = fuzz_take_byte(input);
	step.as_other = is_root && fuzz_take_byte(input) % 8 == 7;
	for (const char *what = operation->takes; *what; what++)
		take_argument(input, &step, *what);
	return step;
}

static char *describe(const FsStep *step)
{
	g_autofree char *path = g_strescape(step->path ? step->path : "", NULL);
	g_autofree char *other = g_strescape(step->other ? step->other : "", NULL);

	return g_strdup_printf("%s%s path \"%s\" other \"%s\" name %s text %s slots %u %u offsets "
			       "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
			       " length %" G_GUINT64_FORMAT " flags %o mode %o seed %u",
			       step->operation->name, step->as_other ? " (as another)" : "", path,
			       other, step->name ? step->name : "-", step->text ? step->text : "-",
			       step->slot, step->slot2, step->offset, step->offset2, step->length,
			       step->flags, step->mode, step->seed);
}

/* ---- Comparing --------------------------------------------------------------------------- */

static bool is_call(const FsStep *step, const char *name)
{
	return strcmp(step->operation->name, name) == 0;
}

/* On purpose: where OURS is the errno and THEIRS is the kernel's. */
typedef struct {
	const char *operation;
	int ours; /* 0: any */
	int theirs;
	const char *why;
} Difference;

static const Difference differences[] = {
	{"rename", 0, EXDEV, "the kernel looks no name up if the mounts are two, as theirs are"},
	{"link", 0, EXDEV, "the same"},
	{"link-open", 0, EXDEV, "the same"},
	{NULL, 0, 0, NULL},
};

static bool is_on_purpose(const FsStep *step, const FsOutcome *ours, const FsOutcome *theirs)
{
	for (const Difference *it = differences; it->operation; it++)
		if (is_call(step, it->operation) && ours->error &&
		    (!it->ours || it->ours == ours->error) && it->theirs == theirs->error)
			return true;
	return false;
}

/* Does PATH lie directly in a branch, whatever leads there? */
static bool is_at_top(FsPair *pair, const char *path)
{
	g_autofree char *whole = fs_pair_path(pair, FS_THEIRS, path);
	g_autofree char *parent = g_path_get_dirname(whole);
	char real[PATH_MAX];
	struct stat attr, above;
	g_autofree char *up = NULL;

	if (!realpath(parent, real) || stat(real, &attr))
		return false;
	up = g_build_filename(real, "..", NULL);
	return stat(up, &above) == 0 && above.st_dev != attr.st_dev;
}

static bool is_directory(FsPair *pair, const char *path)
{
	g_autofree char *whole = fs_pair_path(pair, FS_THEIRS, path);
	struct stat attr;

	return lstat(whole, &attr) == 0 && S_ISDIR(attr.st_mode);
}

/* Is it not to be tried, since the two would go on differently? */
static bool is_avoided(FsPair *pair, const FsStep *step)
{
	struct stat in, out;

	/* A namespace and a key are not exchanged, nor what would become one (prollyfs(1)). */
	if (is_call(step, "rename") && (step->flags & RENAME_EXCHANGE))
		return is_directory(pair, step->path) != is_directory(pair, step->other) &&
		       (is_at_top(pair, step->path) || is_at_top(pair, step->other));
	/* The kernel does not copy from one mount to another, as theirs are. */
	if (is_call(step, "copy"))
		return fstat(pair->fds[FS_THEIRS][step->slot], &in) ||
		       fstat(pair->fds[FS_THEIRS][step->slot2], &out) || in.st_dev != out.st_dev;
	return step->name && !pair->has_xattrs;
}

/* Has what is open there only zeros in [FROM, TO)? */
static bool is_zero(FsPair *pair, const FsStep *step, off_t from, off_t to)
{
	g_autofree char *path =
		g_strdup_printf("/proc/self/fd/%d", pair->fds[FS_THEIRS][step->slot]);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t byte;
	bool zero = fd >= 0;

	for (off_t at = from; zero && at < to; at++)
		zero = pread(fd, &byte, 1, at) == 1 && byte == 0;
	close(fd);
	return zero;
}

/*
 * Holes are where a filesystem says they are, as long as they are zeros. Their descriptor goes to
 * where ours is.
 */
static bool is_right_seek(FsPair *pair, const FsStep *step, const FsOutcome *ours,
			  const FsOutcome *theirs)
{
	int fd = pair->fds[FS_THEIRS][step->slot];
	off_t from = (off_t)step->offset;
	struct stat attr;

	if ((ours->error && ours->error != ENXIO) || (theirs->error && theirs->error != ENXIO) ||
	    fstat(fd, &attr) || !S_ISREG(attr.st_mode))
		return ours->error == theirs->error;
	if (from >= attr.st_size)
		return ours->error == ENXIO && theirs->error == ENXIO;
	if (!ours->error)
		(void)lseek(fd, ours->value, SEEK_SET);
	else if (!theirs->error) /* where it was, nobody knows any more */
		(void)(lseek(fd, 0, SEEK_SET) + lseek(pair->fds[FS_OURS][step->slot], 0, SEEK_SET));
	if (step->flags == SEEK_DATA)
		return is_zero(pair, step, from, ours->error ? attr.st_size : ours->value);
	return !ours->error && ours->value >= from && ours->value <= attr.st_size &&
	       is_zero(pair, step, ours->value, MIN(ours->value + 1, attr.st_size));
}

static bool is_same(FsPair *pair, const FsStep *step, const FsOutcome *ours,
		    const FsOutcome *theirs)
{
	if (is_call(step, "seek") && step->flags >= SEEK_DATA)
		return is_right_seek(pair, step, ours, theirs);
	return (ours->error == theirs->error && ours->value == theirs->value &&
		g_string_equal(ours->bytes, theirs->bytes)) ||
	       is_on_purpose(step, ours, theirs);
}

/* ---- Running ----------------------------------------------------------------------------- */

static void act_as(unsigned id)
{
	setfsgid(id);
	setfsuid(id);
}

static FsOutcome perform(FsPair *pair, FsSide side, const FsStep *step)
{
	FsOutcome outcome = {.bytes = g_string_new(NULL)};
	FsPlace place = {pair, side};

	if (step->as_other)
		act_as(FS_OTHER_USER);
	errno = 0;
	outcome.value = step->operation->call(&place, step, &outcome);
	outcome.error = outcome.value < 0 ? errno : 0;
	if (step->as_other)
		act_as(0);
	return outcome;
}

static void check_outcomes(FsPair *pair, const FsStep *step, const char *text,
			   const FsOutcome *ours, const FsOutcome *theirs)
{
	if (!is_same(pair, step, ours, theirs))
		g_error("%s: gives %ld (%s), should give %ld (%s)%s", text, ours->value,
			strerrorname_np(ours->error), theirs->value, strerrorname_np(theirs->error),
			g_string_equal(ours->bytes, theirs->bytes) ? "" : "; with other bytes");
}

static void run_step(FsPair *pair, FuzzInput *input, const FsOperation *operation, bool is_traced)
{
	FsStep step = take_step(input, operation, pair->is_root);
	g_autofree char *text = describe(&step);
	FsOutcome ours, theirs;

	if (is_traced)
		fprintf(stderr, "%s\n", text);
	if (!is_avoided(pair, &step)) {
		ours = perform(pair, FS_OURS, &step);
		theirs = perform(pair, FS_THEIRS, &step);
		check_outcomes(pair, &step, text, &ours, &theirs);
		g_string_free(ours.bytes, TRUE);
		g_string_free(theirs.bytes, TRUE);
	}
	g_free(step.path);
	g_free(step.other);
}

static void run_special(FsPair *pair, unsigned what, bool is_traced)
{
	static const char *const names[] = {"commit", "collect", "remount", "compare"};

	if (is_traced)
		fprintf(stderr, "%s\n", names[what]);
	if (what == STEP_COMMIT) {
		fs_pair_command(pair, "-q commit --allow-empty -m x\n");
		fs_pair_command(pair, "-q -b side commit --allow-empty -m x\n");
	} else if (what == STEP_COLLECT) {
		fs_pair_command(pair, "-q gc --prune=now\n");
	} else if (what == STEP_REMOUNT && pair->is_kept) {
		fs_pair_unmount(pair);
		fs_pair_mount(pair);
	}
	if (what == STEP_COMPARE || what == STEP_REMOUNT)
		fs_pair_compare(pair);
}

static void run_script(FsPair *pair, FuzzInput *input)
{
	bool is_traced = g_getenv("PROLLY_FUZZ_TRACE") != NULL;

	for (unsigned n = 1; fuzz_has_more(input) && n < STEPS_MAX; n++) {
		size_t what = fuzz_take_byte(input) % (fs_n_operations + SPECIAL_STEPS);

		if (is_traced)
			fprintf(stderr, "%zu bytes left: ", input->left + 1);
		if (what < fs_n_operations)
			run_step(pair, input, &fs_operations[what], is_traced);
		else
			run_special(pair, (unsigned)(what - fs_n_operations), is_traced);
		if (n % COMPARE_EVERY == 0 || is_traced)
			fs_pair_compare(pair);
	}
	fs_pair_compare(pair);
}

/* The one of this process: made in fuzz_start. */
static FsPair **get_pair(void)
{
	static FsPair *pair;

	return &pair;
}

bool fuzz_start(void)
{
	*get_pair() = fs_pair_new();
	return *get_pair() != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput input = {data, size};
	FsPair *pair = *get_pair();

	fs_pair_begin(pair, fuzz_take_byte(&input) % 4 == 0);
	run_script(pair, &input);
	fs_pair_end(pair);
	return 0;
}
