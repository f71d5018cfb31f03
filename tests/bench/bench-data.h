/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The data set of the tree's benchmark: keys and values that other engines are measured on too, so
 * that figures can stand side by side. Everything follows from the numbers given; nothing is read.
 *
 * Entry I has the key "user/IIIIIIII/profile/nm" (24 bytes) and 100 bytes that do not compress. A
 * tree of N entries has the even numbers below 2N; the odd ones are the misses and the inserts.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tree/tree.h"

#define BENCH_KEY_LEN   24
#define BENCH_VALUE_LEN 100

typedef struct {
	uint64_t state;
} BenchRandom;

static inline uint64_t bench_mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline BenchRandom bench_random_start(uint64_t seed)
{
	return (BenchRandom){bench_mix(seed) | 1};
}

/* xorshift64*. */
static inline uint64_t bench_random_next(BenchRandom *random)
{
	uint64_t x = random->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random->state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint64_t bench_random_below(BenchRandom *random, uint64_t limit)
{
	return bench_random_next(random) % limit;
}

static inline void bench_make_key(uint8_t *out, uint64_t number)
{
	memcpy(out, "user/00000000/profile/nm", BENCH_KEY_LEN);
	for (unsigned at = 12; number > 0; at--, number /= 10)
		out[at] = (uint8_t)('0' + number % 10);
}

/* GENERATION tells the values that one key has had apart. */
static inline void bench_make_value(uint8_t *out, uint64_t number, uint64_t generation)
{
	BenchRandom random = bench_random_start(number * 1000003 + generation);

	for (size_t at = 0; at < BENCH_VALUE_LEN; at += 8) {
		uint8_t word[8];

		prolly_set_le64(word, bench_random_next(&random));
		memcpy(out + at, word, MIN(sizeof(word), BENCH_VALUE_LEN - at));
	}
}

/* ---- Edits that own their bytes ---------------------------------------------------------- */

typedef struct {
	uint8_t *keys;
	uint8_t *values;
	ProllyEdit *edits;
	size_t n;
} BenchEdits;

static inline BenchEdits bench_edits_new(size_t capacity)
{
	BenchEdits self = {
		.keys = g_malloc(capacity * BENCH_KEY_LEN),
		.values = g_malloc(capacity * BENCH_VALUE_LEN),
		.edits = g_new(ProllyEdit, capacity),
	};

	return self;
}

static inline void bench_edits_clear(BenchEdits *self)
{
	g_free(self->keys);
	g_free(self->values);
	g_free(self->edits);
	*self = (BenchEdits){0};
}

static inline void bench_edits_put(BenchEdits *self, uint64_t number, uint64_t generation)
{
	uint8_t *key = self->keys + self->n * BENCH_KEY_LEN;
	uint8_t *value = self->values + self->n * BENCH_VALUE_LEN;

	bench_make_key(key, number);
	bench_make_value(value, number, generation);
	self->edits[self->n++] = (ProllyEdit){key, BENCH_KEY_LEN, value, BENCH_VALUE_LEN};
}

static inline void bench_edits_delete(BenchEdits *self, uint64_t number)
{
	bench_edits_put(self, number, 0);
	self->edits[self->n - 1].value = NULL;
	self->edits[self->n - 1].value_len = 0;
}

/* The N entries of the tree, in order. */
static inline BenchEdits bench_make_entries(uint64_t n)
{
	BenchEdits self = bench_edits_new(n);

	for (uint64_t i = 0; i < n; i++)
		bench_edits_put(&self, 2 * i, 0);
	return self;
}

/*
 * COUNT edits of different entries of a tree of N, those whose number in the tree leaves the rest
 * PART when divided by PARTS: of every four two updates, an insert and a delete; with MIXED false,
 * and of less than four, updates alone. In the order in which they were drawn.
 */
static inline BenchEdits bench_make_edits(uint64_t n, size_t count, uint64_t seed, uint64_t part,
					  uint64_t parts, bool mixed)
{
	BenchEdits self = bench_edits_new(count);
	BenchRandom random = bench_random_start(seed);
	g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);

	while (self.n < count) {
		uint64_t slot = bench_random_below(&random, n / parts) * parts + part;
		size_t kind = mixed && count >= 4 ? self.n % 4 : 0;

		if (!g_hash_table_add(seen, GSIZE_TO_POINTER(slot)))
			continue;
		if (kind < 2)
			bench_edits_put(&self, 2 * slot, seed);
		else if (kind == 2)
			bench_edits_put(&self, 2 * slot + 1, seed);
		else
			bench_edits_delete(&self, 2 * slot);
	}
	return self;
}

/* The numbers below N in a pseudo-random order (Fisher-Yates). */
static inline uint64_t *bench_make_permutation(uint64_t n, uint64_t seed)
{
	uint64_t *numbers = g_new(uint64_t, n);
	BenchRandom random = bench_random_start(seed);

	for (uint64_t i = 0; i < n; i++)
		numbers[i] = i;
	for (uint64_t i = n - 1; i > 0; i--) {
		uint64_t j = bench_random_below(&random, i + 1), number = numbers[i];

		numbers[i] = numbers[j];
		numbers[j] = number;
	}
	return numbers;
}
