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
 * Both lanes run side by side until one is at its end; the other goes on beside the next message.
 * (hash-private.h: a message is the blocks that lie in it whole, and a tail.)
 *
 * Whether there are such instructions is asked at run time; PROLLYFS_SIMD=off in the environment
 * says no. hash.c has the plain way, which is also what this is tested against.
 */
#include "base/hash-private.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>
#include <immintrin.h>

/* So many messages are begun at once, of which two run. */
#define GROUP      16u
#define USES_SHA   __attribute__((target("sha,sse4.1,ssse3")))
#define LEAF_7_SHA (1u << 29) /* in EBX */

/* The state as the instructions want it: words a b e f, and c d g h, the first on top. */
typedef struct {
	__m128i abef, cdgh;
} State;

typedef struct {
	State state;
	HashFeed *feed; /* borrowed */
	ProllyHash *out_hash;
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
	const __m128i *constants = (const __m128i *)(const void *)prolly_hash_round_constants;
	__m128i w = _mm_add_epi32(words[i & 3], _mm_loadu_si128(constants + i));

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

	for (; n > 0; n--, blocks += HASH_BLOCK) {
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

	for (; n > 0; n--, blocks_a += HASH_BLOCK, blocks_b += HASH_BLOCK) {
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

/* From a to d and e to h, as words in memory have them, and back. */
static inline USES_SHA State load_state(const uint32_t words[HASH_WORDS])
{
	__m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)words);
	__m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)(words + 4));
	__m128i abcd = _mm_shuffle_epi32(dcba, 0x1b), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
	State state = {_mm_unpackhi_epi64(efgh, abcd), _mm_unpacklo_epi64(efgh, abcd)};

	return state;
}

static inline USES_SHA void store_hash(const State *state, ProllyHash *out_hash)
{
	__m128i abcd = _mm_unpackhi_epi64(state->cdgh, state->abef);
	__m128i efgh = _mm_unpacklo_epi64(state->cdgh, state->abef);
	const __m128i reverse = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);

	_mm_storeu_si128((__m128i *)(void *)out_hash->bytes, _mm_shuffle_epi8(abcd, reverse));
	_mm_storeu_si128((__m128i *)(void *)(out_hash->bytes + 16),
			 _mm_shuffle_epi8(efgh, reverse));
}

/* Both lanes, until one has no block left. */
static void run_side_by_side(Lane *x, Lane *y)
{
	while (hash_feed_has_blocks(x->feed) && hash_feed_has_blocks(y->feed)) {
		size_t n = MIN(x->feed->n, y->feed->n);

		hash_blocks_of_two(&x->state, x->feed->next, &y->state, y->feed->next, n);
		hash_feed_pass(x->feed, n);
		hash_feed_pass(y->feed, n);
	}
}

static void lane_end(Lane *self)
{
	while (hash_feed_has_blocks(self->feed)) {
		hash_blocks(&self->state, self->feed->next, self->feed->n);
		hash_feed_pass(self->feed, self->feed->n);
	}
	store_hash(&self->state, self->out_hash);
}

void prolly_hash_lanes_one(const void *data, size_t len, ProllyHash *out_hash)
{
	HashFeed feed;
	Lane lane = {load_state(prolly_hash_initial_state), &feed, out_hash};

	hash_feed_start(&feed, data, len);
	lane_end(&lane);
}

static Lane resume(HashRun *run)
{
	return (Lane){load_state(run->state), &run->feed, run->out_hash};
}

void prolly_hash_lanes_finish(HashRun *runs, size_t n)
{
	Lane x;

	if (n == 0)
		return;
	x = resume(&runs[0]);
	for (size_t i = 1; i < n; i++) {
		Lane y = resume(&runs[i]);

		run_side_by_side(&x, &y);
		/* Who is not at his end goes on beside the next. */
		if (hash_feed_has_blocks(x.feed)) {
			lane_end(&y);
		} else {
			lane_end(&x);
			x = y;
		}
	}
	lane_end(&x);
}

void prolly_hash_lanes_many(const ProllyHashMessage *messages, size_t n)
{
	HashRun runs[GROUP];

	for (size_t i = 0, group; i < n; i += group) {
		group = MIN(GROUP, n - i);
		for (size_t j = 0; j < group; j++)
			hash_run_start(&runs[j], &messages[i + j]);
		prolly_hash_lanes_finish(runs, group);
	}
}

void prolly_hash_lanes_chain(const ProllyHashLink *links, size_t n, ProllyHash *out_hashes)
{
	HashFeed feeds[PROLLY_HASH_CHAIN_MAX];
	Lane lanes[PROLLY_HASH_CHAIN_MAX];
	size_t ahead = 1;

	for (size_t i = 0; i < n; i++) {
		lanes[i] = (Lane){load_state(prolly_hash_initial_state), &feeds[i], &out_hashes[i]};
		hash_feed_open(&feeds[i], links[i].data, i > 0 ? links[i].at / HASH_BLOCK : 0);
	}
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			memcpy(links[i].data + links[i].at, &out_hashes[i - 1], PROLLY_HASH_SIZE);
		hash_feed_complete(&feeds[i], links[i].data, links[i].len);
		/* Beside it what those to come have before the hash that they wait for. */
		for (ahead = MAX(ahead, i + 1); ahead < n; ahead++) {
			run_side_by_side(&lanes[i], &lanes[ahead]);
			if (!hash_feed_has_blocks(&feeds[i]))
				break;
		}
		lane_end(&lanes[i]);
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

void prolly_hash_lanes_many(const ProllyHashMessage *messages, size_t n)
{
	g_assert_not_reached();
}

void prolly_hash_lanes_finish(HashRun *runs, size_t n)
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
