/* SPDX-License-Identifier: Apache-2.0 */
/* The base layer: errors, hashes, numbers as bytes. */
#include "base/hash-private.h"
#include "base/memory.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <git2/errors.h>

/* ---- Errors ------------------------------------------------------------------------------ */

typedef struct {
	const char *name;
	int class;
	const char *text;
} ErrorCode;

static const ErrorCode error_codes[] = {
#define ERROR_CODE(code, class, text) {#code, class, text},
	PROLLY_ERRORS(ERROR_CODE)
#undef ERROR_CODE
};

static void test_errors_total(void)
{
	g_assert_cmpuint(G_N_ELEMENTS(error_codes), ==, PROLLY_ERROR_N_CODES);
	for (int i = 0; i < PROLLY_ERROR_N_CODES; i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(prolly_throw(&error, (ProllyErrorCode)i, "object %d", i));
		g_assert_true(prolly_error_is(error, (ProllyErrorCode)i));
		g_assert_cmpint(prolly_error_to_errno(error), ==, error_codes[i].class);
		g_assert_cmpint(error_codes[i].class, >, 0);
		g_assert_cmpint(error_codes[i].text[0], !=, '\0');
		for (int j = 0; j < i; j++)
			g_assert_cmpstr(error_codes[i].name, !=, error_codes[j].name);
	}
}

static void test_errors_of_calls(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(prolly_throw_errno(&error, EXDEV, "rename %s", "a"));
	g_assert_cmpint(prolly_error_to_errno(error), ==, EXDEV);
	g_assert_true(g_str_has_prefix(error->message, "rename a: "));
	g_assert_false(prolly_error_is(error, PROLLY_ERROR_CROSS));
	g_assert_false(prolly_throw_errno(NULL, EXDEV, "nobody wants to know"));
	g_assert_false(prolly_throw(NULL, PROLLY_ERROR_FAILED, "nor this"));
	g_assert_false(prolly_error_is(NULL, PROLLY_ERROR_FAILED));
}

static void test_errors_of_others(void)
{
	g_autoptr(GError) foreign = g_error_new_literal(G_CONVERT_ERROR, 1, "other");
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(prolly_error_to_errno(foreign), ==, EIO);
	g_assert_false(prolly_throw_git(&error, GIT_ENOTFOUND, "branch %s", "x"));
	g_assert_true(prolly_error_is(error, PROLLY_ERROR_NOT_FOUND));
	g_assert_true(g_str_has_prefix(error->message, "branch x: "));
}

/* ---- Hashes ------------------------------------------------------------------------------ */

static void assert_hash(const void *data, size_t len, const char *expected)
{
	char hex[PROLLY_HASH_HEX_SIZE];
	ProllyHash hash;

	prolly_hash_compute(data, len, &hash);
	g_assert_cmpstr(prolly_hash_to_hex(&hash, hex), ==, expected);
}

/* The examples of FIPS 180. */
static void test_hash_vectors(void)
{
	g_autofree char *million = g_strnfill(1000000, 'a');

	assert_hash("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_hash("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	assert_hash(million, 1000000,
		    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_hash_of_two(void)
{
	ProllyHash whole;
	ProllyHash halves;

	prolly_hash_compute("abcdef", 6, &whole);
	for (size_t i = 0; i <= 6; i++) {
		prolly_hash_compute2("abcdef", i, &"abcdef"[i], 6 - i, &halves);
		g_assert_true(prolly_hash_equal(&whole, &halves));
	}
}

enum { HASH_LEN = 300, HASH_FAR = 9000, HASH_MOST = 70 };

static void compute_pair(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
			 ProllyHash *out_a, ProllyHash *out_b)
{
	ProllyHashMessage messages[] = {{a, a_len, out_a}, {b, b_len, out_b}};

	prolly_hash_compute_many(messages, 2);
}

/* Every length around a block's edges, alone and beside every other, from places not aligned. */
static void test_hash_lanes(void)
{
	g_autofree uint8_t *data = g_malloc(HASH_FAR + HASH_LEN + 2);
	ProllyHash expected[HASH_LEN], far_expected, a, b;

	for (size_t i = 0; i < HASH_FAR + HASH_LEN + 2; i++)
		data[i] = (uint8_t)(i * 131 + i / 7);
	prolly_hash_compute_plainly(data + 2, HASH_FAR, &far_expected);
	for (size_t i = 0; i < HASH_LEN; i++) {
		prolly_hash_compute_plainly(data + 1, i, &expected[i]);
		prolly_hash_compute(data + 1, i, &a);
		g_assert_true(prolly_hash_equal(&a, &expected[i]));
		compute_pair(data + 1, i, data + 2, HASH_FAR, &a, &b);
		g_assert_true(prolly_hash_equal(&a, &expected[i]));
		g_assert_true(prolly_hash_equal(&b, &far_expected));
	}
	for (size_t i = 0; i < HASH_LEN; i++) {
		for (size_t j = 0; j < HASH_LEN; j += 1 + i % 5) {
			compute_pair(data + 1, i, data + 1, j, &a, &b);
			g_assert_true(prolly_hash_equal(&a, &expected[i]));
			g_assert_true(prolly_hash_equal(&b, &expected[j]));
		}
	}
	g_test_message("SHA instructions: %s", prolly_hash_has_lanes() ? "used" : "not used");
}

/* Any number of messages, of any lengths, beside each other: by whichever ways there are. */
static void check_many(const uint8_t *data, size_t n, size_t max_len, uint32_t *random)
{
	ProllyHashMessage messages[HASH_MOST] = {{0}};
	ProllyHash hashes[HASH_MOST], expected;

	for (size_t i = 0; i < n; i++) {
		*random = *random * 1664525 + 1013904223;
		messages[i] = (ProllyHashMessage){data + i, (*random >> 8) % max_len, &hashes[i]};
	}
	for (int way = 0; way < 3; way++) {
		memset(hashes, way, sizeof(hashes));
		if (way == 0)
			prolly_hash_compute_many(messages, n);
		else if (way == 1 && prolly_hash_has_lanes())
			prolly_hash_lanes_many(messages, n);
		else if (way == 2 && prolly_hash_has_wide())
			prolly_hash_wide_many(messages, n);
		else
			continue;
		for (size_t i = 0; i < n; i++) {
			prolly_hash_compute_plainly(messages[i].data, messages[i].len, &expected);
			g_assert_true(prolly_hash_equal(&hashes[i], &expected));
		}
	}
}

static void test_hash_many(void)
{
	g_autofree uint8_t *data = g_malloc(HASH_FAR + HASH_MOST);
	uint32_t random = 7;

	for (size_t i = 0; i < HASH_FAR + HASH_MOST; i++)
		data[i] = (uint8_t)(i * 151 + i / 5);
	for (size_t n = 0; n <= HASH_MOST; n++) {
		for (int round = 0; round < 12; round++)
			check_many(data, n, round % 3 ? HASH_LEN : HASH_FAR, &random);
	}
	g_test_message("vectors of 512 bits: %s", prolly_hash_has_wide() ? "used" : "not used");
}

/* Messages with the hash of the one before at every kind of place, against the plain way. */
static void test_hash_chain(void)
{
	enum { LINKS = 4, LEN = 700 };
	uint8_t ours[LINKS][LEN], plain[LINKS][LEN];
	ProllyHashLink links[LINKS], expected_links[LINKS];
	ProllyHash hashes[LINKS], expected[LINKS];
	uint32_t random = 1;

	for (unsigned round = 0; round < 3000; round++) {
		unsigned n = 1 + round % LINKS;

		for (unsigned i = 0; i < n; i++) {
			size_t len, at;

			random = random * 1664525 + 1013904223;
			len = PROLLY_HASH_SIZE + (random >> 8) % (LEN - PROLLY_HASH_SIZE);
			random = random * 1664525 + 1013904223;
			at = (random >> 8) % (len - PROLLY_HASH_SIZE + 1);
			memset(ours[i], (int)(round + i), len);
			memset(plain[i], (int)(round + i), len);
			links[i] = (ProllyHashLink){ours[i], len, at};
			expected_links[i] = (ProllyHashLink){plain[i], len, at};
		}
		prolly_hash_compute_chain(links, n, hashes);
		prolly_hash_compute_chain_plainly(expected_links, n, expected);
		for (unsigned i = 0; i < n; i++) {
			g_assert_true(prolly_hash_equal(&hashes[i], &expected[i]));
			g_assert_cmpmem(ours[i], links[i].len, plain[i], links[i].len);
		}
	}
	prolly_hash_compute_chain(links, 0, hashes);
}

static void test_hash_hex(void)
{
	char hex[PROLLY_HASH_HEX_SIZE];
	ProllyHash hash;
	ProllyHash back;

	prolly_hash_compute("x", 1, &hash);
	prolly_hash_to_hex(&hash, hex);
	g_assert_true(prolly_hash_from_hex(hex, &back));
	g_assert_true(prolly_hash_equal(&hash, &back));

	g_autofree char *upper = g_ascii_strup(hex, -1);

	g_assert_true(prolly_hash_from_hex(upper, &back));
	g_assert_true(prolly_hash_equal(&hash, &back));

	g_autofree char *longer = g_strconcat(hex, "0", NULL);

	memset(&back, 7, sizeof(back));
	g_assert_false(prolly_hash_from_hex(longer, &back));
	g_assert_false(prolly_hash_from_hex("", &back));
	g_assert_false(prolly_hash_from_hex("a", &back));
	hex[63] = '\0';
	g_assert_false(prolly_hash_from_hex(hex, &back));
	hex[63] = 'g';
	g_assert_false(prolly_hash_from_hex(hex, &back));
	for (size_t i = 0; i < sizeof(back); i++)
		g_assert_cmpint(back.bytes[i], ==, 7);
}

static void test_hash_order(void)
{
	ProllyHash a = {{0}};
	ProllyHash b = {{0}};

	g_assert_true(prolly_hash_is_zero(&a));
	b.bytes[31] = 1;
	g_assert_false(prolly_hash_is_zero(&b));
	g_assert_cmpint(prolly_hash_compare(&a, &b), <, 0);
	a.bytes[0] = 0x80;
	g_assert_cmpint(prolly_hash_compare(&a, &b), >, 0);
	g_assert_cmpint(prolly_hash_compare(&a, &a), ==, 0);
}

/* ---- Numbers ----------------------------------------------------------------------------- */

static void test_bytes_round_trip(void)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	ProllyReader reader;
	size_t len;

	prolly_append_u8(out, 0xfe);
	prolly_append_le16(out, 0x1234);
	prolly_append_le32(out, 0x12345678);
	prolly_append_le64(out, G_GUINT64_CONSTANT(0x123456789abcdef0));
	prolly_append_be32(out, 0x12345678);
	prolly_append_be64(out, G_GUINT64_CONSTANT(0x123456789abcdef0));
	prolly_append_string(out, "key", 3);
	prolly_append_string(out, NULL, 0);
	g_assert_cmphex(out->data[1], ==, 0x34);
	g_assert_cmphex(out->data[15], ==, 0x12);

	prolly_reader_init(&reader, out->data, out->len);
	g_assert_cmphex(prolly_reader_u8(&reader), ==, 0xfe);
	g_assert_cmphex(prolly_reader_le16(&reader), ==, 0x1234);
	g_assert_cmphex(prolly_reader_le32(&reader), ==, 0x12345678);
	g_assert_cmphex(prolly_reader_le64(&reader), ==, G_GUINT64_CONSTANT(0x123456789abcdef0));
	g_assert_cmphex(prolly_reader_be32(&reader), ==, 0x12345678);
	g_assert_cmphex(prolly_reader_be64(&reader), ==, G_GUINT64_CONSTANT(0x123456789abcdef0));
	g_assert_cmpmem(prolly_reader_string(&reader, &len), 3, "key", 3);
	g_assert_nonnull(prolly_reader_string(&reader, &len));
	g_assert_cmpuint(len, ==, 0);
	g_assert_true(prolly_reader_at_end(&reader));
}

static void test_bytes_set_and_get(void)
{
	uint8_t b[8];

	prolly_set_le64(b, G_GUINT64_CONSTANT(0x8000000000000001));
	g_assert_cmphex(prolly_get_le64(b), ==, G_GUINT64_CONSTANT(0x8000000000000001));
	g_assert_cmphex(b[0], ==, 1);
	prolly_set_be64(b, G_GUINT64_CONSTANT(0x8000000000000001));
	g_assert_cmphex(prolly_get_be64(b), ==, G_GUINT64_CONSTANT(0x8000000000000001));
	g_assert_cmphex(b[0], ==, 0x80);
	prolly_set_le16(b, 0xff00);
	g_assert_cmphex(prolly_get_le16(b), ==, 0xff00);
}

/* Every cut of every varint fails, its whole does not, and there is one form of each. */
static void test_bytes_varint(void)
{
	static const uint64_t values[] = {
		0, 1, 127, 128, 16383, 16384, G_MAXUINT32, (uint64_t)1 << 63, G_MAXUINT64,
	};
	static const size_t lengths[] = {1, 1, 1, 2, 2, 3, 5, 10, 10};

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		g_autoptr(GByteArray) out = g_byte_array_new();
		ProllyReader reader;

		prolly_append_varint(out, values[i]);
		g_assert_cmpuint(out->len, ==, lengths[i]);
		prolly_reader_init(&reader, out->data, out->len);
		g_assert_cmphex(prolly_reader_varint(&reader), ==, values[i]);
		g_assert_true(prolly_reader_at_end(&reader));
		for (guint cut = 0; cut < out->len; cut++) {
			prolly_reader_init(&reader, out->data, cut);
			g_assert_cmphex(prolly_reader_varint(&reader), ==, 0);
			g_assert_false(prolly_reader_ok(&reader));
		}
	}
}

static void test_bytes_varint_hostile(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{"\x80\x00", 2},                                      /* 0 in two bytes */
		{"\xff\x80\x00", 3},                                  /* 127 in three */
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 10},     /* 2^64 */
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},     /* more */
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11}, /* eleven bytes */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		ProllyReader reader;

		prolly_reader_init(&reader, cases[i].bytes, cases[i].len);
		g_assert_cmphex(prolly_reader_varint(&reader), ==, 0);
		g_assert_false(prolly_reader_ok(&reader));
	}
}

static void test_bytes_reader_sticks(void)
{
	static const uint8_t data[] = {1, 2, 3};
	ProllyReader reader;
	size_t len = 9;

	prolly_reader_init(&reader, data, sizeof(data));
	g_assert_cmpuint(prolly_reader_le32(&reader), ==, 0);
	g_assert_cmpuint(prolly_reader_u8(&reader), ==, 0);
	g_assert_null(prolly_reader_bytes(&reader, 1));
	g_assert_null(prolly_reader_string(&reader, &len));
	g_assert_false(prolly_reader_ok(&reader));
	g_assert_false(prolly_reader_at_end(&reader));

	prolly_reader_init(&reader, data, sizeof(data));
	g_assert_true(prolly_reader_bytes(&reader, 3) == data);
	g_assert_true(prolly_reader_at_end(&reader));
	g_assert_null(prolly_reader_bytes(&reader, G_MAXSIZE));
	g_assert_false(prolly_reader_ok(&reader));
}

/* A string whose length is a lie. */
static void test_bytes_string_too_long(void)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	ProllyReader reader;
	size_t len = 9;

	prolly_append_varint(out, G_MAXUINT64);
	prolly_append_u8(out, 'x');
	prolly_reader_init(&reader, out->data, out->len);
	g_assert_null(prolly_reader_string(&reader, &len));
	g_assert_false(prolly_reader_ok(&reader));
}

static void test_bytes_compare(void)
{
	g_assert_cmpint(prolly_bytes_compare("a", 1, "b", 1), <, 0);
	g_assert_cmpint(prolly_bytes_compare("b", 1, "a", 1), >, 0);
	g_assert_cmpint(prolly_bytes_compare("a", 1, "a", 1), ==, 0);
	g_assert_cmpint(prolly_bytes_compare("a", 1, "ab", 2), <, 0);
	g_assert_cmpint(prolly_bytes_compare("ab", 2, "a", 1), >, 0);
	g_assert_cmpint(prolly_bytes_compare("", 0, "\0", 1), <, 0);
	g_assert_cmpint(prolly_bytes_compare(NULL, 0, NULL, 0), ==, 0);
	g_assert_cmpint(prolly_bytes_compare("\xff", 1, "\x01", 1), >, 0);
}

/* ---- File descriptors -------------------------------------------------------------------- */

static void test_fd_write_all(void)
{
	g_autoptr(GError) error = NULL;
	int ends[2];
	char got[5];

	g_assert_cmpint(pipe(ends), ==, 0);
	g_assert_true(prolly_write_all(ends[1], "hello", 5, "pipe", &error));
	g_assert_no_error(error);
	g_assert_cmpint(read(ends[0], got, sizeof(got)), ==, 5);
	g_assert_cmpmem(got, 5, "hello", 5);
	prolly_close_fd(&ends[1]);
	g_assert_cmpint(ends[1], ==, -1);
	g_assert_false(prolly_write_all(ends[0], "hello", 5, "the pipe", &error));
	g_assert_cmpint(prolly_error_to_errno(error), ==, EBADF);
	g_assert_nonnull(strstr(error->message, "the pipe"));
	prolly_close_fd(&ends[0]);
}

static void test_fd_auto(void)
{
	int number;

	{
		prolly_autofd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		number = fd;
		g_assert_cmpint(number, >=, 0);
	}
	g_assert_cmpint(fcntl(number, F_GETFD), ==, -1);
}

/* ---- Memory ------------------------------------------------------------------------------ */

static void assert_no_memory(GError **error)
{
	g_assert_error(*error, PROLLY_ERROR, PROLLY_ERROR_NO_MEMORY);
	g_assert_cmpint(prolly_error_to_errno(*error), ==, ENOMEM);
	g_assert_nonnull(strstr((*error)->message, "a test"));
	g_clear_error(error);
}

/* What no number says is refused, and nothing is changed by that. (What is only too much a sanitizer
 * does not let a program ask for.) */
static void test_memory_refused(void)
{
	const size_t huge = SIZE_MAX / 2;
	g_autoptr(GByteArray) array = g_byte_array_new();
	g_autoptr(GString) text = g_string_new("text");
	g_autoptr(GError) error = NULL;
	g_autofree uint64_t *numbers = g_new0(uint64_t, 3);
	uint64_t *before = numbers;
	size_t capacity = 3;

	g_assert_null(prolly_try_new0(uint64_t, huge, "a test", &error));
	assert_no_memory(&error);
	g_assert_null(prolly_try_new(uint64_t, huge, "a test", &error));
	assert_no_memory(&error);
	g_assert_false(prolly_try_grow(&numbers, &capacity, huge, 8, "a test", &error));
	assert_no_memory(&error);
	g_assert_true(numbers == before && capacity == 3);
	g_byte_array_append(array, (const guint8 *)"abc", 3);
	g_assert_false(prolly_try_reserve(&array, huge, "a test", &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_TOO_BIG);
	g_clear_error(&error);
	g_assert_cmpmem(array->data, array->len, "abc", 3);
	g_assert_false(prolly_try_reserve_text(text, huge, "a test", &error));
	g_assert_error(error, PROLLY_ERROR, PROLLY_ERROR_TOO_BIG);
	g_assert_cmpstr(text->str, ==, "text");
}

/* What is appended is there, whatever it is in pieces of. */
static void test_memory_grown(void)
{
	for (size_t step = 1; step < 300000; step = step * 3 + 1) {
		g_autofree uint8_t *piece = g_malloc(step);
		g_autoptr(GByteArray) array = g_byte_array_new();
		g_autoptr(GString) text = g_string_new(NULL);
		size_t n = 0;

		for (; n * step < 400000; n++) {
			memset(piece, (int)(n % 251) + 1, step);
			g_assert_true(prolly_try_append(&array, piece, step, "a test", NULL));
			g_assert_true(prolly_try_reserve_text(text, step, "a test", NULL));
			g_string_append_len(text, (const char *)piece, (gssize)step);
		}
		g_assert_cmpuint(array->len, ==, n * step);
		g_assert_cmpuint(text->len, ==, n * step);
		for (size_t i = 0; i < n * step; i++)
			g_assert_cmpuint(array->data[i], ==, i / step % 251 + 1);
		g_assert_cmpmem(text->str, text->len, array->data, array->len);
		g_byte_array_set_size(array, 3);
		g_assert_true(prolly_try_reserve(&array, 100000, "a test", NULL));
		g_assert_cmpuint(array->len, ==, 3);
		g_assert_cmpuint(array->data[2], ==, 2 / step % 251 + 1);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/errors/total", test_errors_total);
	g_test_add_func("/base/errors/of-calls", test_errors_of_calls);
	g_test_add_func("/base/errors/of-others", test_errors_of_others);
	g_test_add_func("/base/hash/vectors", test_hash_vectors);
	g_test_add_func("/base/hash/of-two", test_hash_of_two);
	g_test_add_func("/base/hash/lanes", test_hash_lanes);
	g_test_add_func("/base/hash/many", test_hash_many);
	g_test_add_func("/base/hash/chain", test_hash_chain);
	g_test_add_func("/base/hash/hex", test_hash_hex);
	g_test_add_func("/base/hash/order", test_hash_order);
	g_test_add_func("/base/bytes/round-trip", test_bytes_round_trip);
	g_test_add_func("/base/bytes/set-and-get", test_bytes_set_and_get);
	g_test_add_func("/base/bytes/varint", test_bytes_varint);
	g_test_add_func("/base/bytes/varint-hostile", test_bytes_varint_hostile);
	g_test_add_func("/base/bytes/reader-sticks", test_bytes_reader_sticks);
	g_test_add_func("/base/bytes/string-too-long", test_bytes_string_too_long);
	g_test_add_func("/base/bytes/compare", test_bytes_compare);
	g_test_add_func("/base/fd/write-all", test_fd_write_all);
	g_test_add_func("/base/fd/auto", test_fd_auto);
	g_test_add_func("/base/memory/refused", test_memory_refused);
	g_test_add_func("/base/memory/grown", test_memory_grown);
	return g_test_run();
}
