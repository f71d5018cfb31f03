/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What fuzz targets share. A target is one function of the bytes it is given, LLVMFuzzerTestOneInput,
 * which asserts what must hold for whatever bytes. libFuzzer calls it (scripts/fuzz), and so does
 * replay.c, an ordinary test, with the files in corpus/NAME.
 *
 * A target that needs numbers and strings rather than bytes takes them from a FuzzInput: after its
 * end every number is 0 and every string empty, so any bytes are a script.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * A target may have it: called once, while there is one thread. False: this machine has not what the
 * target needs.
 */
bool fuzz_start(void) __attribute__((weak));

typedef struct {
	const uint8_t *p;
	size_t left;
} FuzzInput;

static inline bool fuzz_has_more(const FuzzInput *input)
{
	return input->left > 0;
}

static inline uint8_t fuzz_take_byte(FuzzInput *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->p++;
}

/* In [0, LIMIT). */
static inline uint32_t fuzz_take_below(FuzzInput *input, uint32_t limit)
{
	uint32_t number = fuzz_take_byte(input);

	if (limit > 256)
		number = number << 8 | fuzz_take_byte(input);
	return number % limit;
}

/* Any, short ones in few bytes: the first byte says how many follow. */
static inline uint64_t fuzz_take_number(FuzzInput *input)
{
	unsigned n = fuzz_take_byte(input);
	uint64_t number = 0;

	if (n < 248)
		return n;
	for (n -= 247; n > 0; n--)
		number = number << 8 | fuzz_take_byte(input);
	return number;
}

/* LEN bytes where they are, or as many as there are. */
static inline const uint8_t *fuzz_take_bytes(FuzzInput *input, size_t len, size_t *out_len)
{
	const uint8_t *bytes = input->p;

	*out_len = MIN(len, input->left);
	input->p += *out_len;
	input->left -= *out_len;
	return bytes;
}

/* A string of less than LIMIT bytes. */
static inline const uint8_t *fuzz_take_string(FuzzInput *input, uint32_t limit, size_t *out_len)
{
	return fuzz_take_bytes(input, fuzz_take_below(input, limit), out_len);
}

/* (transfer full) The same in memory of its own, so that reading past its end is seen. */
static inline GBytes *fuzz_take_gbytes(FuzzInput *input, uint32_t limit)
{
	size_t len;
	const uint8_t *bytes = fuzz_take_string(input, limit, &len);

	return g_bytes_new(bytes, len);
}
