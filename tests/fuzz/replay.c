/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target as an ordinary test: the files of its corpus, and of each a number of mutations,
 * which are the same in every run. PROLLY_FUZZ_MUTATIONS says how many (200; with PROLLYFS_LONG
 * 20,000), and PROLLY_FUZZ_COST, for a target whose inputs take long, by what that is divided. A
 * file named as argument is tried alone.
 *
 * Beside what the target asserts, no input may make it allocate much: a single block may have
 * ALLOCATION_FREE bytes (PROLLY_FUZZ_FREE, for a target that has a whole store), or ALLOCATION_TIMES
 * the input's size if that is more. A length that was believed before it was checked is found by
 * that. malloc is counted by standing before libc's, which the sanitizers do as well; under them
 * nothing is counted.
 */
#include "fuzz.h"

#include <stdio.h>

#define ALLOCATION_FREE  (64u << 10)
#define ALLOCATION_TIMES 64
#define INPUT_MAX        (64u << 10)

/* ---- Allocations ------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

static size_t take_largest(void)
{
	return 0;
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *block, size_t size);

/* The largest block asked for by this thread: what the target's own work is. */
static size_t *get_largest(void)
{
	static __thread size_t largest;

	return &largest;
}

static void note(size_t size)
{
	size_t *largest = get_largest();

	*largest = MAX(*largest, size);
}

void *malloc(size_t size)
{
	note(size);
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	note(n * size);
	return __libc_calloc(n, size);
}

void *realloc(void *block, size_t size)
{
	note(size);
	return __libc_realloc(block, size);
}

/* What it was since the last call. */
static size_t take_largest(void)
{
	size_t *largest = get_largest(), size = *largest;

	*largest = 0;
	return size;
}

#endif

/* ---- One input --------------------------------------------------------------------------- */

static size_t get_free_size(void)
{
	const char *given = g_getenv("PROLLY_FUZZ_FREE");

	return given ? (size_t)g_ascii_strtoull(given, NULL, 10) : ALLOCATION_FREE;
}

/* A copy with nothing behind it, so that a sanitizer sees reads past its end. */
static void try_input(const uint8_t *data, size_t size)
{
	g_autofree uint8_t *exact = g_malloc(MAX(size, (size_t)1));
	size_t most = MAX(get_free_size(), ALLOCATION_TIMES * size);

	if (size)
		memcpy(exact, data, size);
	(void)take_largest();
	LLVMFuzzerTestOneInput(exact, size);
	g_assert_cmpuint(take_largest(), <=, most);
}

/* ---- Mutations --------------------------------------------------------------------------- */

typedef struct {
	uint64_t state;
} Dice;

/* In [0, LIMIT). splitmix64. */
static uint32_t roll(Dice *dice, size_t limit)
{
	uint64_t x = dice->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(((x ^ (x >> 31)) >> 32) * limit >> 32);
}

static void overwrite(Dice *dice, GByteArray *bytes)
{
	static const uint8_t extremes[] = {0, 1, 0x7f, 0x80, 0xff, '%', '/', '\n'};
	uint32_t at = roll(dice, bytes->len);
	uint32_t run = 1 + roll(dice, 4);

	for (; run > 0 && at < bytes->len; run--, at++) {
		if (roll(dice, 2))
			bytes->data[at] = extremes[roll(dice, G_N_ELEMENTS(extremes))];
		else
			bytes->data[at] ^= (uint8_t)(1 << roll(dice, 8));
	}
}

static void take_out(Dice *dice, GByteArray *bytes)
{
	uint32_t at = roll(dice, bytes->len);

	g_byte_array_remove_range(bytes, at, 1 + roll(dice, MIN(bytes->len - at, 16)));
}

/* A piece of OTHER in place of what is behind some byte. */
static void splice_with(Dice *dice, GByteArray *bytes, GBytes *other)
{
	size_t len;
	const uint8_t *data = g_bytes_get_data(other, &len);
	uint32_t from = roll(dice, len + 1);

	g_byte_array_set_size(bytes, roll(dice, bytes->len + 1));
	if (from < len)
		g_byte_array_append(bytes, data + from, (guint)(len - from));
}

static void repeat_piece(Dice *dice, GByteArray *bytes)
{
	uint32_t at = roll(dice, bytes->len), len = 1 + roll(dice, MIN(bytes->len - at, 32));
	g_autofree uint8_t *tail = g_memdup2(bytes->data + at, bytes->len - at);
	guint tail_len = bytes->len - at;

	g_byte_array_set_size(bytes, at + len);
	g_byte_array_append(bytes, tail, tail_len);
}

static void mutate(Dice *dice, GByteArray *bytes, GBytes *other)
{
	switch (bytes->len ? roll(dice, 8) : 0) {
	case 0:
		splice_with(dice, bytes, other);
		break;
	case 1:
		take_out(dice, bytes);
		break;
	case 2:
		repeat_piece(dice, bytes);
		break;
	default:
		overwrite(dice, bytes);
	}
}

/* ---- The corpus -------------------------------------------------------------------------- */

static GBytes *read_input(const char *path)
{
	g_autoptr(GError) error = NULL;
	char *text;
	gsize len;

	g_file_get_contents(path, &text, &len, &error);
	g_assert_no_error(error);
	return g_bytes_new_take(text, len);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* (transfer full) The files' contents, by name. */
static GPtrArray *load_corpus(const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	GPtrArray *corpus = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	GDir *dir = g_dir_open(path, 0, &error);
	const char *name;

	g_assert_no_error(error);
	while ((name = g_dir_read_name(dir)))
		g_ptr_array_add(names, g_build_filename(path, name, NULL));
	g_dir_close(dir);
	g_ptr_array_sort(names, compare_names);
	for (guint i = 0; i < names->len; i++)
		g_ptr_array_add(corpus, read_input(names->pdata[i]));
	g_assert_cmpuint(corpus->len, >, 0);
	return corpus;
}

static void test_corpus(gconstpointer data)
{
	g_autoptr(GPtrArray) corpus = load_corpus(data);

	try_input((const uint8_t *)"", 0);
	for (guint i = 0; i < corpus->len; i++) {
		size_t len;
		const uint8_t *bytes = g_bytes_get_data(corpus->pdata[i], &len);

		try_input(bytes, len);
	}
	g_test_message("%u files", corpus->len);
}

static unsigned get_mutations(void)
{
	const char *given = g_getenv("PROLLY_FUZZ_MUTATIONS");
	const char *cost = g_getenv("PROLLY_FUZZ_COST");
	unsigned n = g_getenv("PROLLYFS_LONG") ? 20000 : 200;

	if (given)
		return (unsigned)g_ascii_strtoull(given, NULL, 10);
	return cost ? n / (unsigned)g_ascii_strtoull(cost, NULL, 10) : n;
}

/* Of each file some; each of up to five changes, one behind the other. */
static void test_mutations(gconstpointer data)
{
	g_autoptr(GPtrArray) corpus = load_corpus(data);
	unsigned n = get_mutations();
	Dice dice = {1};

	for (guint i = 0; i < corpus->len; i++) {
		for (unsigned j = 0; j < n; j++) {
			g_autoptr(GByteArray) bytes = g_byte_array_new();
			size_t len;
			const uint8_t *original = g_bytes_get_data(corpus->pdata[i], &len);

			if (len)
				g_byte_array_append(bytes, original, (guint)len);
			for (uint32_t changes = 1 + roll(&dice, 5); changes; changes--)
				mutate(&dice, bytes, corpus->pdata[roll(&dice, corpus->len)]);
			try_input(bytes->data, MIN(bytes->len, INPUT_MAX));
		}
	}
	g_test_message("%u inputs", corpus->len * n);
}

int main(int argc, char **argv)
{
	const char *top = g_getenv("G_TEST_SRCDIR"), *name = g_getenv("PROLLY_FUZZ_TARGET");
	g_autofree char *corpus = NULL, *path = NULL;

	if (fuzz_start && !fuzz_start()) {
		printf("1..0 # SKIP this machine has not what the target needs\n");
		return 0;
	}
	g_test_init(&argc, &argv, NULL);
	if (argc > 1) {
		g_autoptr(GBytes) input = read_input(argv[1]);
		size_t len;
		const uint8_t *bytes = g_bytes_get_data(input, &len);

		try_input(bytes, len);
		return 0;
	}
	g_assert_nonnull(name);
	corpus = g_build_filename(top, "corpus", name, NULL);
	path = g_strdup_printf("/fuzz/%s/corpus", name);
	g_test_add_data_func(path, corpus, test_corpus);
	g_free(path);
	path = g_strdup_printf("/fuzz/%s/mutations", name);
	g_test_add_data_func(path, corpus, test_mutations);
	return g_test_run();
}
