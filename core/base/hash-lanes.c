/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 of two messages at once, with the SHA instructions of x86.
 *
 * One message keeps the SHA unit waiting: each pair of rounds needs the one before. Two messages
 * have nothing to do with each other, so their rounds are interleaved, and the unit is busy. More
 * than two would need more registers than there are. Nanoseconds for a message, on Zen 4:
 *
 *	bytes     OpenSSL   one of ours   each of two
 *	  256         188           131           106
 *	1,024         538           491           358
 *	4,096       1,955         1,943         1,488
 *
 * Messages of which each has the hash of the one before it in its midst (the nodes from a leaf to the
 * top, in a tree of which one leaf is new) must end one after the other; but what comes in each before
 * that hash can be hashed at any time, beside the message whose turn it is. Three nodes of
 * 3.7 KB and a top of 1 KB take 5.1 us so, and 6.2 one by one.
 *
 * A message is the blocks that lie in it whole and a tail of one or two, with what is left, the
 * padding and the length. Both lanes run side by side until one is at its end.
 *
 * Whether there are such instructions is asked at run time; PROLLYFS_SIMD=off in the environment
 * says no. hash.c has the plain way, which is also what this is tested against.
 */
#include "base/hash-private.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>
#include <immintrin.h>

#define BLOCK      64
#define USES_SHA   __attribute__((target("sha,sse4.1,ssse3")))
#define LEAF_7_SHA (1u << 29) /* in EBX */

static const uint32_t round_constants[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

/* The state as the instructions want it: words a b e f, and c d g h, the first on top. */
typedef struct {
	__m128i abef, cdgh;
} State;

typedef struct {
	State state;
	const uint8_t *next; /* block */
	size_t n;            /* blocks from there on in one piece */
	uint8_t tail[2 * BLOCK];
	size_t n_tail; /* of its blocks not begun */
} Lane;

/* ---- Rounds ------------------------------------------------------------------------------ */

static inline USES_SHA void load_block(__m128i words[4], const uint8_t *block)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);

	for (unsigned i = 0; i < 4; i++)
		words[i] = _mm_shuffle_epi8(
			_mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i)), swap);
}

/* Rounds 4 I to 4 I + 3; and in place of the words they used, those that come 16 rounds later. */
static inline USES_SHA void do_rounds(State *state, __m128i words[4], unsigned i)
{
	const __m128i *constants = (const __m128i *)(const void *)round_constants;
	__m128i w = _mm_add_epi32(words[i & 3], _mm_load_si128(constants + i));

	state->cdgh = _mm_sha256rnds2_epu32(state->cdgh, state->abef, w);
	state->abef = _mm_sha256rnds2_epu32(state->abef, state->cdgh, _mm_shuffle_epi32(w, 0x0e));
	if (i < 12) {
		__m128i later = _mm_sha256msg1_epu32(words[i & 3], words[(i + 1) & 3]);

		later = _mm_add_epi32(later,
				      _mm_alignr_epi8(words[(i + 3) & 3], words[(i + 2) & 3], 4));
		words[i & 3] = _mm_sha256msg2_epu32(later, words[(i + 3) & 3]);
	}
}

static USES_SHA void hash_blocks(State *self, const uint8_t *blocks, size_t n)
{
	State state = *self;

	for (; n > 0; n--, blocks += BLOCK) {
		State before = state;
		__m128i words[4];

		load_block(words, blocks);
#pragma GCC unroll 16
		for (unsigned i = 0; i < 16; i++)
			do_rounds(&state, words, i);
		state.abef = _mm_add_epi32(state.abef, before.abef);
		state.cdgh = _mm_add_epi32(state.cdgh, before.cdgh);
	}
	*self = state;
}

static USES_SHA void hash_blocks_of_two(State *self_a, const uint8_t *blocks_a, State *self_b,
					const uint8_t *blocks_b, size_t n)
{
	State a = *self_a, b = *self_b;

	for (; n > 0; n--, blocks_a += BLOCK, blocks_b += BLOCK) {
		State a_before = a, b_before = b;
		__m128i a_words[4], b_words[4];

		load_block(a_words, blocks_a);
		load_block(b_words, blocks_b);
#pragma GCC unroll 16
		for (unsigned i = 0; i < 16; i++) {
			do_rounds(&a, a_words, i);
			do_rounds(&b, b_words, i);
		}
		a.abef = _mm_add_epi32(a.abef, a_before.abef);
		a.cdgh = _mm_add_epi32(a.cdgh, a_before.cdgh);
		b.abef = _mm_add_epi32(b.abef, b_before.abef);
		b.cdgh = _mm_add_epi32(b.cdgh, b_before.cdgh);
	}
	*self_a = a;
	*self_b = b;
}

/* ---- Messages ---------------------------------------------------------------------------- */

/* The first N blocks of a message. */
static USES_SHA void lane_open(Lane *self, const uint8_t *data, size_t n)
{
	self->state.abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
	self->state.cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
	self->next = data;
	self->n = n;
	self->n_tail = 0;
}

/* Of the message whose first blocks the lane has, all that it has not done. */
static void lane_complete(Lane *self, const uint8_t *data, size_t len)
{
	size_t left = len % BLOCK;
	uint64_t bits = (uint64_t)len * 8;

	self->n = (size_t)(data + len - left - self->next) / BLOCK;
	self->n_tail = left + 9 > BLOCK ? 2 : 1;
	memset(self->tail, 0, sizeof(self->tail));
	if (left > 0)
		memcpy(self->tail, data + len - left, left);
	self->tail[left] = 0x80;
	prolly_set_be64(self->tail + self->n_tail * BLOCK - 8, bits);
}

static void lane_start(Lane *self, const uint8_t *data, size_t len)
{
	lane_open(self, data, 0);
	lane_complete(self, data, len);
}

/* Goes on in the tail if the message itself is done. Is there a block? */
static bool lane_has_blocks(Lane *self)
{
	if (self->n == 0 && self->n_tail > 0) {
		self->next = self->tail;
		self->n = self->n_tail;
		self->n_tail = 0;
	}
	return self->n > 0;
}

static void lane_pass(Lane *self, size_t n)
{
	self->next += n * BLOCK;
	self->n -= n;
}

/* Both lanes, until one has no block left. */
static void run_side_by_side(Lane *x, Lane *y)
{
	while (lane_has_blocks(x) && lane_has_blocks(y)) {
		size_t n = MIN(x->n, y->n);

		hash_blocks_of_two(&x->state, x->next, &y->state, y->next, n);
		lane_pass(x, n);
		lane_pass(y, n);
	}
}

static USES_SHA void lane_end(Lane *self, ProllyHash *out_hash)
{
	/* From a b e f and c d g h to a b c d and e f g h, then to bytes. */
	__m128i first = _mm_unpackhi_epi64(self->state.cdgh, self->state.abef);
	__m128i second = _mm_unpacklo_epi64(self->state.cdgh, self->state.abef);
	const __m128i reverse = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);

	while (lane_has_blocks(self)) {
		hash_blocks(&self->state, self->next, self->n);
		lane_pass(self, self->n);
		first = _mm_unpackhi_epi64(self->state.cdgh, self->state.abef);
		second = _mm_unpacklo_epi64(self->state.cdgh, self->state.abef);
	}
	_mm_storeu_si128((__m128i *)(void *)out_hash->bytes, _mm_shuffle_epi8(first, reverse));
	_mm_storeu_si128((__m128i *)(void *)(out_hash->bytes + 16),
			 _mm_shuffle_epi8(second, reverse));
}

void prolly_hash_lanes_one(const void *data, size_t len, ProllyHash *out_hash)
{
	Lane lane;

	lane_start(&lane, data, len);
	lane_end(&lane, out_hash);
}

void prolly_hash_lanes_two(const void *a, size_t a_len, const void *b, size_t b_len,
			   ProllyHash *out_a, ProllyHash *out_b)
{
	Lane x, y;

	lane_start(&x, a, a_len);
	lane_start(&y, b, b_len);
	run_side_by_side(&x, &y);
	lane_end(&x, out_a);
	lane_end(&y, out_b);
}

void prolly_hash_lanes_chain(const ProllyHashLink *links, size_t n, ProllyHash *out_hashes)
{
	Lane lanes[PROLLY_HASH_CHAIN_MAX];
	size_t ahead = 1;

	for (size_t i = 0; i < n; i++)
		lane_open(&lanes[i], links[i].data, i > 0 ? links[i].at / BLOCK : 0);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			memcpy(links[i].data + links[i].at, &out_hashes[i - 1], PROLLY_HASH_SIZE);
		lane_complete(&lanes[i], links[i].data, links[i].len);
		/* Beside it what those to come have before the hash that they wait for. */
		for (ahead = MAX(ahead, i + 1); ahead < n; ahead++) {
			run_side_by_side(&lanes[i], &lanes[ahead]);
			if (!lane_has_blocks(&lanes[i]))
				break;
		}
		lane_end(&lanes[i], &out_hashes[i]);
	}
}

static bool detect(void)
{
	unsigned eax, ebx, ecx, edx;

	return g_strcmp0(g_getenv("PROLLYFS_SIMD"), "off") != 0 &&
	       __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & LEAF_7_SHA) &&
	       __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

bool prolly_hash_has_lanes(void)
{
	static gsize answer = 0; /* 0: not asked, 1: no, 2: yes */

	if (g_once_init_enter(&answer))
		g_once_init_leave(&answer, detect() ? 2 : 1);
	return answer == 2;
}

#else

void prolly_hash_lanes_one(const void *data, size_t len, ProllyHash *out_hash)
{
	g_assert_not_reached();
}

void prolly_hash_lanes_two(const void *a, size_t a_len, const void *b, size_t b_len,
			   ProllyHash *out_a, ProllyHash *out_b)
{
	g_assert_not_reached();
}

void prolly_hash_lanes_chain(const ProllyHashLink *links, size_t n, ProllyHash *out_hashes)
{
	g_assert_not_reached();
}

bool prolly_hash_has_lanes(void)
{
	return false;
}

#endif
