/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 of sixteen messages at once, in vectors of 512 bits.
 *
 * Of a vector's sixteen numbers each belongs to another message: a lane. So a round is what the
 * standard says, word for word, on vectors; there are rotations, and one instruction for each
 * function of three words. What decides is how long a round waits for the one before, and so the sums
 * are bracketed so that the new E, which the next round needs first, waits for one rotation, one
 * function and one addition. Nanoseconds for a block of 64 bytes, of messages of 4 KB, on Zen 5:
 *
 *	OpenSSL, SHA instructions                       32
 *	two at once, SHA instructions (hash-lanes.c)    21
 *	this                                            11
 *
 * With additions from left to right it takes a third more.
 *
 * Where a message ends, the next takes its lane; the longest come first, so that lanes are idle
 * late and briefly. (That, and to step all lanes in vectors too, makes 67 ns of 70 for an entry of
 * a load of 200,000.) When there are no more and few lanes are busy, what is left of them ends two
 * by two (hash-lanes.c), which is faster than vectors that are mostly idle. (On a processor with
 * such vectors and no SHA instructions they end here.)
 *
 * Rejected: two times sixteen lanes, which would wait less, and had more vectors than there are.
 *
 * Whether there are such vectors is asked at run time; PROLLYFS_SIMD=off in the environment says no.
 * hash.c has the plain way, which is also what this is tested against.
 */
#include "base/hash-private.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define LANES 16
/* The address sanitizer's own stack, by which it sees a use after return, is not aligned to 64 bytes
 * in gcc 12. So what keeps words on the stack is not instrumented. */
#define KEEPS_WIDE __attribute__((no_sanitize("address")))
#define USES_WIDE  __attribute__((target("avx512f,avx512bw"))) KEEPS_WIDE

/* Words I of all messages, each in its lane. */
typedef __m512i Words;

typedef struct {
	_Alignas(64) uint32_t state[HASH_WORDS][LANES];
	/* Of a feed, while it is in a lane: */
	_Alignas(64)
		const uint8_t *next[LANES]; /* readable as the others are, if the lane is idle */
	_Alignas(64) uint32_t left[LANES];
	HashFeed feeds[LANES];
	ProllyHash *out_hashes[LANES];
	uint32_t busy; /* a bit for each lane */
} Wide;

/* ---- Rounds ------------------------------------------------------------------------------ */

/* From the blocks at BLOCKS plus OFFSET, each with its words in order, to words in order of lanes:
 * a matrix is turned over, first in squares of four. */
static inline USES_WIDE void load_blocks(Words words[16], const uint8_t *const blocks[LANES],
					 size_t offset)
{
	const Words swap =
		_mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
	Words pairs[16], squares[16];

#pragma GCC unroll 8
	for (unsigned i = 0; i < 16; i += 2) {
		Words x = _mm512_shuffle_epi8(_mm512_loadu_si512(blocks[i] + offset), swap);
		Words y = _mm512_shuffle_epi8(_mm512_loadu_si512(blocks[i + 1] + offset), swap);

		pairs[i] = _mm512_unpacklo_epi32(x, y);
		pairs[i + 1] = _mm512_unpackhi_epi32(x, y);
	}
#pragma GCC unroll 4
	for (unsigned i = 0; i < 16; i += 4) {
		squares[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
		squares[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
		squares[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
		squares[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
	}
#pragma GCC unroll 4
	for (unsigned i = 0; i < 4; i++) {
		Words a = _mm512_shuffle_i32x4(squares[i], squares[i + 4], 0x44);
		Words b = _mm512_shuffle_i32x4(squares[i], squares[i + 4], 0xee);
		Words c = _mm512_shuffle_i32x4(squares[i + 8], squares[i + 12], 0x44);
		Words d = _mm512_shuffle_i32x4(squares[i + 8], squares[i + 12], 0xee);

		words[i] = _mm512_shuffle_i32x4(a, c, 0x88);
		words[i + 4] = _mm512_shuffle_i32x4(a, c, 0xdd);
		words[i + 8] = _mm512_shuffle_i32x4(b, d, 0x88);
		words[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
	}
}

/* The functions of three words, as tables of eight bits: what comes of 111 is on top. */
#define XOR      0x96
#define CHOOSE   0xca
#define MAJORITY 0xe8

#define ROTATE3(w, i, j, k)                                                       \
	_mm512_ternarylogic_epi32(_mm512_ror_epi32(w, i), _mm512_ror_epi32(w, j), \
				  _mm512_ror_epi32(w, k), XOR)
#define ROTATE2_SHIFT(w, i, j, k)                                                 \
	_mm512_ternarylogic_epi32(_mm512_ror_epi32(w, i), _mm512_ror_epi32(w, j), \
				  _mm512_srli_epi32(w, k), XOR)
#define ADD(a, b) _mm512_add_epi32(a, b)

/* Instead of word I, which was used, the one that comes 16 rounds later. */
static inline USES_WIDE void schedule(Words w[16], unsigned i)
{
	Words before = w[(i + 1) & 15], after = w[(i + 14) & 15];

	w[i] = ADD(ADD(w[i], ROTATE2_SHIFT(before, 7, 18, 3)),
		   ADD(w[(i + 9) & 15], ROTATE2_SHIFT(after, 17, 19, 10)));
}

/* Round I of sixteen, with a constant. What is A in one round is B in the next: V turns instead. */
static inline USES_WIDE void do_round(Words v[HASH_WORDS], unsigned i, Words word,
				      uint32_t constant)
{
	Words a = v[(0 - i) & 7], b = v[(1 - i) & 7], c = v[(2 - i) & 7], *d = &v[(3 - i) & 7];
	Words e = v[(4 - i) & 7], f = v[(5 - i) & 7], g = v[(6 - i) & 7], *h = &v[(7 - i) & 7];
	Words early = ADD(ADD(*h, ADD(word, _mm512_set1_epi32((int)constant))),
			  _mm512_ternarylogic_epi32(e, f, g, CHOOSE));
	Words late = ROTATE3(e, 6, 11, 25);

	*d = ADD(ADD(*d, early), late);
	*h = ADD(ADD(early, late),
		 ADD(ROTATE3(a, 2, 13, 22), _mm512_ternarylogic_epi32(a, b, c, MAJORITY)));
}

/* The next N blocks of each lane. */
static USES_WIDE void hash_blocks(uint32_t state[HASH_WORDS][LANES],
				  const uint8_t *const blocks[LANES], size_t n)
{
	Words v[HASH_WORDS], words[16];

	for (unsigned i = 0; i < HASH_WORDS; i++)
		v[i] = _mm512_load_si512(state[i]);
	for (size_t offset = 0; offset < n * HASH_BLOCK; offset += HASH_BLOCK) {
		load_blocks(words, blocks, offset);
		for (const uint32_t *k = prolly_hash_round_constants;; k += 16) {
			bool last = k == prolly_hash_round_constants + 48;

#pragma GCC unroll 16
			for (unsigned i = 0; i < 16; i++) {
				do_round(v, i, words[i], k[i]);
				if (!last)
					schedule(words, i);
			}
			if (last)
				break;
		}
		for (unsigned i = 0; i < HASH_WORDS; i++) {
			v[i] = ADD(v[i], _mm512_load_si512(state[i]));
			_mm512_store_si512(state[i], v[i]);
		}
	}
}

/* ---- Lanes ------------------------------------------------------------------------------- */

/* The next piece of a lane's message, if there is one; else the lane is idle. */
static bool feed_lane(Wide *self, unsigned lane)
{
	HashFeed *feed = &self->feeds[lane];

	if (!hash_feed_has_blocks(feed))
		return false;
	self->next[lane] = feed->next;
	self->left[lane] = (uint32_t)feed->n;
	feed->n = 0;
	return true;
}

static void open_lane(Wide *self, unsigned lane, const ProllyHashMessage *message)
{
	g_assert(message->len / HASH_BLOCK < UINT32_MAX);
	hash_feed_start(&self->feeds[lane], message->data, message->len);
	(void)feed_lane(self, lane);
	for (unsigned i = 0; i < HASH_WORDS; i++)
		self->state[i][lane] = prolly_hash_initial_state[i];
	self->out_hashes[lane] = message->out_hash;
	self->busy |= 1u << lane;
}

static void close_lane(Wide *self, unsigned lane)
{
	for (unsigned i = 0; i < HASH_WORDS; i++)
		prolly_set_be32(self->out_hashes[lane]->bytes + 4 * i, self->state[i][lane]);
	self->busy &= ~(1u << lane);
}

/* The least of the numbers in BUSY lanes. (Not _mm512_mask_reduce_min_epu32: gcc 12's has a variable
 * in memory, and is inlined together with the mark that the variable's scope has ended, also into what
 * is not instrumented. Nobody takes the mark back, and who has this stack next is blamed.) */
static USES_WIDE uint32_t find_least(__mmask16 busy, __m512i numbers)
{
	__m512i all = _mm512_mask_mov_epi32(_mm512_set1_epi32(-1), busy, numbers);
	__m256i eight =
		_mm256_min_epu32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
	__m128i four =
		_mm_min_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));

	four = _mm_min_epu32(four, _mm_shuffle_epi32(four, 0x4e));
	four = _mm_min_epu32(four, _mm_shuffle_epi32(four, 0xb1));
	return (uint32_t)_mm_cvtsi128_si32(four);
}

/* All lanes, until one has no block left in one piece. An idle one does what another does. */
static USES_WIDE void run_lanes(Wide *self)
{
	__mmask16 busy = (__mmask16)self->busy;
	__m512i left = _mm512_load_si512(self->left);
	uint32_t n = find_least(busy, left);
	__m512i step = _mm512_set1_epi64((long long)n * HASH_BLOCK);
	const uint8_t *any = self->next[__builtin_ctz(self->busy)];

	for (uint32_t idle = ~self->busy & ((1u << LANES) - 1); idle; idle &= idle - 1)
		self->next[__builtin_ctz(idle)] = any;
	hash_blocks(self->state, self->next, n);
	for (unsigned i = 0; i < LANES; i += 8) {
		__m512i next = _mm512_load_si512(&self->next[i]);

		_mm512_store_si512(&self->next[i], _mm512_add_epi64(next, step));
	}
	_mm512_store_si512(self->left,
			   _mm512_mask_sub_epi32(left, busy, left, _mm512_set1_epi32((int)n)));
}

/* The lanes that are at the end of a piece. */
static USES_WIDE uint32_t find_ended(const Wide *self)
{
	return _mm512_mask_testn_epi32_mask((__mmask16)self->busy, _mm512_load_si512(self->left),
					    _mm512_set1_epi32(-1));
}

/* What is left when most lanes are idle. */
static void finish_few(Wide *self)
{
	HashRun runs[PROLLY_HASH_WIDE_FROM];
	size_t n = 0;

	for (uint32_t busy = self->busy; busy; busy &= busy - 1) {
		unsigned lane = (unsigned)__builtin_ctz(busy);
		HashRun *run = &runs[n++];

		for (unsigned i = 0; i < HASH_WORDS; i++)
			run->state[i] = self->state[i][lane];
		run->feed = self->feeds[lane];
		run->feed.next = self->next[lane];
		run->feed.n = self->left[lane];
		/* It may be in the tail, which was copied. */
		if (run->feed.n_tail == 0)
			run->feed.next =
				run->feed.tail + (self->next[lane] - self->feeds[lane].tail);
		run->out_hash = self->out_hashes[lane];
	}
	prolly_hash_lanes_finish(runs, n);
}

/* ---- Messages ---------------------------------------------------------------------------- */

/* So many messages are put in order; and by so many lengths, in blocks. */
#define WINDOW    64
#define N_LENGTHS 128

static unsigned get_length(const ProllyHashMessage *message)
{
	return (unsigned)MIN(message->len / HASH_BLOCK, N_LENGTHS - 1);
}

/* The longest come first: what is begun late is short then, and lanes end together. */
static void put_in_order(const ProllyHashMessage *messages, size_t n,
			 const ProllyHashMessage *order[WINDOW])
{
	uint8_t places[N_LENGTHS] = {0}; /* counts, and then where the next of a length goes */
	unsigned place = 0;

	for (size_t i = 0; i < n; i++)
		places[get_length(&messages[i])]++;
	for (unsigned length = N_LENGTHS; length-- > 0;) {
		unsigned count = places[length];

		places[length] = (uint8_t)place;
		place += count;
	}
	for (size_t i = 0; i < n; i++)
		order[places[get_length(&messages[i])]++] = &messages[i];
}

/* At most WINDOW. */
static KEEPS_WIDE void hash_window(const ProllyHashMessage *messages, size_t n)
{
	unsigned few = prolly_hash_has_lanes() ? PROLLY_HASH_WIDE_FROM : 1;
	const ProllyHashMessage *order[WINDOW];
	Wide self = {.busy = 0};
	size_t next = 0;

	put_in_order(messages, n, order);
	for (; next < MIN(n, LANES); next++)
		open_lane(&self, (unsigned)next, order[next]);
	while ((unsigned)__builtin_popcount(self.busy) >= few) {
		run_lanes(&self);
		for (uint32_t ended = find_ended(&self); ended; ended &= ended - 1) {
			unsigned lane = (unsigned)__builtin_ctz(ended);

			if (feed_lane(&self, lane))
				continue;
			close_lane(&self, lane);
			if (next < n)
				open_lane(&self, lane, order[next++]);
		}
	}
	if (self.busy)
		finish_few(&self);
}

void prolly_hash_wide_many(const ProllyHashMessage *messages, size_t n)
{
	for (size_t start = 0; start < n; start += WINDOW)
		hash_window(messages + start, MIN(WINDOW, n - start));
}

static bool detect(void)
{
	return g_strcmp0(g_getenv("PROLLYFS_SIMD"), "off") != 0 &&
	       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

bool prolly_hash_has_wide(void)
{
	static gsize answer = 0; /* 0: not asked, 1: no, 2: yes */

	if (g_once_init_enter(&answer))
		g_once_init_leave(&answer, detect() ? 2 : 1);
	return answer == 2;
}

#else

void prolly_hash_wide_many(const ProllyHashMessage *messages, size_t n)
{
	g_assert_not_reached();
}

bool prolly_hash_has_wide(void)
{
	return false;
}

#endif
