/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a byte stream is cut into chunks.
 *
 * FastCDC. A gear hash runs over the bytes: h = (h << 1) + gear[byte], so that it depends on the
 * last 64 bytes alone. A chunk ends after the first byte, from its MIN-th on, whose h is below a
 * limit; after MAX bytes in any case. The limit is four times as strict as the average asks for
 * before the chunk has AVERAGE bytes and four times as loose after ("normalised chunking"), which
 * keeps most chunks near the average. The bytes before MIN - 64 are not looked at.
 *
 * gear[i] is the i-th output of splitmix64 seeded with the bytes "prollyfs" as a little-endian
 * number; a unit test computes it again. The hash of 64 zeros is -gear[0], which is below no limit,
 * so that a run of zeros is never cut but at MAX.
 *
 * I1. Whether a chunk ends at a place depends only on the bytes from the chunk's start to that
 *     place. So two streams that are both cut at a place, and are equal from there on, are cut
 *     alike; what splice.c and every shared chunk live on.
 * I2. A chunk of zeros alone is the end of the content, since a run as long as AVERAGE is a hole
 *     (blob-writer.c) and zeros are cut nowhere else.
 *
 * Rejected: Rabin fingerprints and buzhash (slower by the bytes they take out of their window);
 * hashing from the chunk's start (skipping MIN saves a quarter of the work and costs nothing).
 */
#include "blob/blob-private.h"

#include <string.h>

/* clang-format off */
const uint64_t prolly_gear[256] = {
	0x31375f549c2b07f0, 0xf24ddcbd22ec8789, 0xb6f0f2bc3242f328, 0xb6ef1c46181e7d19,
	0x699f1a67a559a115, 0x022f6d2c79473666, 0xaf26501320fb39dc, 0x4c623b497e04f3a8,
	0x80dff2d43e2b875c, 0xe7065b2bd9daf348, 0x5d1866a7c776b2e5, 0x3cd8502c1f5c029e,
	0x6aa6bb748c824d03, 0xd50401dd489b4aa4, 0x80f52ae17b319992, 0x5230be4bdf686b33,
	0x2e4a6d2c56841bd7, 0xff7a82de5f722845, 0x5b8a91189f081b23, 0xb793fd51cde2896b,
	0xcc701d65f6761cc9, 0xd0d68c4c0e861596, 0x118e96e02db29650, 0xc26344e959a13b9a,
	0x1968d032dcb39d4d, 0xf3c0d59e36488a8f, 0x8502c60c13c52a87, 0xd32be5d1565a91b1,
	0xa07f827107b33b65, 0xfb7269381fc0c9b4, 0x4b45da4fa9701c6f, 0x515d115c7bfdb72d,
	0xe05052416bd1569e, 0x8e589b42262d141e, 0x7a1375bfa0b075a7, 0xf41ae45035322b97,
	0xbfc902af0e88bd88, 0x3b816e8bf6be344c, 0x0f7b369331090eb6, 0xe88f715e1e273f19,
	0x9be6c435855d0feb, 0x410f49206056b1f6, 0x4ce399280c567aee, 0x9af4d268a7849518,
	0x416905c3ded328eb, 0x3c60ac2748396f02, 0xb764e982358e3ee3, 0xf0aa746a84f8dca0,
	0x87e202effacf1e5c, 0x818e444ab45a7ba3, 0x8c52718712167fa7, 0x6de20d6949834124,
	0xb4c73a5e9c76cde9, 0x82bad157f9034a07, 0xd228b75d2bf3401c, 0xad7e08f7062df239,
	0xa56267c04f1bfb64, 0xaabadabe0aada748, 0x07e8dd71dcd0093f, 0x5012c6f8184b32ec,
	0xce2c5f1ea1e2a5a9, 0x43815c72038fdcb2, 0xcc8ee1957118cc07, 0x71670f69237041ad,
	0x9ddfe5e81753cabe, 0x7132440758f18c03, 0x7fd1d856f510bbff, 0x92419f13bac1f426,
	0x7f536109634f9660, 0x3bfbb72f3f71c08a, 0x8f3cbf91d2e89f3d, 0x657954db3ac40a8a,
	0x26794c77bc8758c9, 0x2caa6adbaaebeba2, 0xd0cc64ab39dcbd01, 0x15aff7c99725b5d7,
	0xebe3b7aff6de5c48, 0xc7a7022322d949a8, 0x3940d062db665f7f, 0xcf0b37d877f26042,
	0xc61c335c683d68e2, 0x58f52772e694ae5c, 0x495cb9a72df972be, 0x9300a38d52a5758e,
	0xb3174ddd9f1cf639, 0x12ef43032c3efa3a, 0x88ca2cc62139b773, 0x52362ca3fa0a8b76,
	0x5a19471e0f814346, 0xbfbd6c3b247c14be, 0xee0a1344218b5f23, 0x28c18c96d4d3a01d,
	0x47b429abc857b7a3, 0x17601dd2e079b3c8, 0x053add850af5c6de, 0x0418bcda7a10ada6,
	0xa0d959c531ac7f19, 0x708d59b3472ae477, 0x9c46cfd2d4773136, 0x1d4ea6de362191a0,
	0x1d10f02d9f59dac2, 0x69a394924bff5e41, 0x7e6f0d0e54db1289, 0xe00b85d1c4f8a12a,
	0xd1361c5f4f6dd63b, 0x30cf2dcab465e384, 0x9ce21e60a4e83722, 0xb54f4fdc1d403b44,
	0xc53d7e44c7530efa, 0xa94e54ac00af13c2, 0xc3e43c51e4256379, 0xde8b477e48bb2e21,
	0xddae4c3e010ae783, 0x996fb72d9015ab1a, 0x269bc6c6ac62722b, 0x8aac9ea2f112afff,
	0xf3d98e09dc50e0d7, 0x01467a9199796649, 0xf6cab13a76b4afce, 0x917ce64d34372daa,
	0x3d05420d6fd5f96b, 0x44ce77efb030eb4a, 0xfad08912dbaf70b3, 0x22628ead53d6dc04,
	0xc0b250890fae3161, 0x023de7a445570ab9, 0xe98c083e70152f97, 0xf5deeaa17a77b6fd,
	0x2357545cdde6fa89, 0xcd512bc5928be7b6, 0xaadd9bfb8e72900f, 0x185144a4c998bf60,
	0x18dde45c4a2b57cd, 0x7e7136e9bd234767, 0xbf13fefa76f67faa, 0x2c377ea5f1ec52cd,
	0xa324aa854702f276, 0xe63e349b9a73889f, 0x8de7f73943f33649, 0xcf08a42b6e256634,
	0x68913d83b8734bf1, 0xd814e0924a6c086e, 0x0a0361a6cd92ba1d, 0x0ec3e93299c7f1a8,
	0xaebcda0f6632421f, 0x543bacc3e04d9d62, 0x41242174b74ea710, 0x4c45cbe93e27bdb5,
	0xccbff7063e1253e0, 0x26fb47396373f797, 0xe52a578139db4182, 0x85b32a8a61a1f958,
	0xc662e21a27cc0873, 0xeb219fbdce93d5df, 0x4a7cd196a472e6e1, 0xf4c5f9dd34774aef,
	0x34a0bf42d350a5b9, 0x9de3b4a2a3ffaa90, 0x2a7d9f85f9efe833, 0x776cd97cfa62b5b2,
	0x69462d4692b9cd45, 0xdf80134c4cf6c002, 0xf6a7aa7aeb9a6639, 0xacb30d2cabc0477a,
	0xa1c662dbe3cc840b, 0x2d722be14458c9d1, 0x16d7a162c549f0c5, 0x5541d21dd2c2fdf6,
	0x45954e2af7307afb, 0x2fe2e9a74bdaddf4, 0xc495c7030b26034f, 0xf475f9e1d82f37d3,
	0xc6b3725024ac9e32, 0x3404f574081fd961, 0x06b39e4e483ba466, 0xcc3221773571170e,
	0x9e6cce835ca6f07e, 0xcdaefdefb6df3f09, 0xd0ecadda42d712ef, 0x9066672375a4c832,
	0xb4ebb99906c0ab6e, 0xb3317b49670ad7b4, 0x235b30f924ca8bb4, 0x78b064e6ec91f279,
	0x07e6eab5189df4d7, 0xfeaf518849889ed5, 0x351b5b97d679c72e, 0x4c7967e33a886b9b,
	0x7b01720af042c86b, 0x5a6f4e68911e34d8, 0xd82dcc9c31bed6f5, 0x9cef36b5b8b1c375,
	0x372871145bbb3247, 0xece4b59246d83783, 0xfe4d93c0e5f62bc7, 0xcea8ebbaf9e0d7c3,
	0x02aeede3e3463dd7, 0xc879254ae2104a86, 0xf67d62a959970fd9, 0x71d42496187fe4b9,
	0x74da693fb444da32, 0xea1d4f9ce5e31a45, 0x20c3ddbf7845b928, 0x94937f7b2915de8f,
	0x312c691d401fb877, 0x514a61d51e51e0c6, 0x65d37a42faeb1a0e, 0x751d320f02a290a3,
	0x9ac1ef31ce16f1e1, 0x5e570c17e0463844, 0xbe9e8cee6bb7fe47, 0xbbb4693871dfbd40,
	0x03a6ae6893113def, 0x02925b31f9ff4b9f, 0x6e3b6cc3efa4cc72, 0xcfb1263d08947d99,
	0x04b3522a9abe4d46, 0xeca37c8d68516e14, 0xc3fab4a5c54e43bb, 0xd58ca63bee29ac9f,
	0xc294f3b7c3909fb9, 0xdf84e6caf9c3f6e8, 0xa8dda79098bf76a0, 0x57bddb4fb9f2771b,
	0x355724f5b92281e3, 0xfa1b45cc33eebd45, 0x42814fd17c0360a7, 0x4ce2251b66aadc24,
	0x8251b0752ebc0684, 0xbe0f67afb31cb017, 0x135390b8d093399e, 0x8bdc7c8249efc1d1,
	0x3a847aecc871694d, 0xc9da5058db362fc7, 0x464b9a7cdca56e54, 0xad17591841e31cec,
	0xfa7a3f6e140c6e60, 0xb08c4f033db64a72, 0x39b90564fec42684, 0x74aab417a316e8c8,
	0xe513f8c3dbcc0a47, 0x76ad3abb85e25df3, 0x9970f86c6b2b4a89, 0xbbfec66620b18975,
	0x29bfa401644ab289, 0x2227a0fbbd99cd30, 0x22c63ff62cfb5641, 0x199d29df9e15b674,
	0x370d3665b7e34fe6, 0x5cb04e6a31c95d39, 0x37447072b07b291c, 0xa707b8170982ec34,
	0xb30fc8bc311bcc32, 0xa010a027e30b74e6, 0x42bb1fc82697a469, 0xb6f70b1de7e278e2,
};
/* clang-format on */

/* A window is always full at a cut, so parameters below it count as it. */
static size_t at_least_window(uint32_t parameter)
{
	return MAX(parameter, PROLLY_GEAR_WINDOW);
}

void prolly_cutter_init(ProllyCutter *cutter, const ProllyFormatParameters *parameters)
{
	size_t average = at_least_window(parameters->chunk_average);
	int bits = g_bit_nth_msf(average, -1);

	*cutter = (ProllyCutter){
		.min = MIN(at_least_window(parameters->chunk_min), average),
		.average = average,
		.max = MAX(at_least_window(parameters->chunk_max), average),
		.strict = UINT64_C(1) << (64 - bits - 2),
		.loose = UINT64_C(1) << (64 - bits + 2),
	};
}

/* Runs the hash from *POS on to END without looking for a cut. */
static void warm(ProllyCutState *state, const uint8_t *data, size_t end)
{
	for (; state->seen < end; state->seen++)
		state->hash = (state->hash << 1) + prolly_gear[data[state->seen]];
}

/* The same, up to a hash below LIMIT: true, and the state is just behind it. */
static bool hunt(ProllyCutState *state, const uint8_t *data, size_t end, uint64_t limit)
{
	uint64_t hash = state->hash;
	size_t i = state->seen;
	bool found = false;

	while (i < end && !found) {
		hash = (hash << 1) + prolly_gear[data[i++]];
		found = hash < limit;
	}
	state->hash = hash;
	state->seen = i;
	return found;
}

size_t prolly_cutter_scan(const ProllyCutter *cutter, ProllyCutState *state, const uint8_t *data,
			  size_t len)
{
	size_t end = MIN(len, cutter->max);

	if (state->seen + PROLLY_GEAR_WINDOW < cutter->min)
		state->seen = MIN(end, cutter->min - PROLLY_GEAR_WINDOW);
	/* A cut after byte i makes a chunk of i + 1 bytes. */
	warm(state, data, MIN(end, cutter->min - 1));
	if (hunt(state, data, MIN(end, cutter->average - 1), cutter->strict))
		return state->seen;
	if (hunt(state, data, end, cutter->loose))
		return state->seen;
	return end == cutter->max ? end : 0;
}

size_t prolly_zeros_count_leading(const uint8_t *data, size_t len)
{
	size_t n = 0;
	uint64_t word;

	for (; n + sizeof(word) <= len; n += sizeof(word)) {
		memcpy(&word, data + n, sizeof(word));
		if (word)
			break;
	}
	while (n < len && !data[n])
		n++;
	return n;
}

size_t prolly_zeros_count_trailing(const uint8_t *data, size_t len)
{
	size_t left = len;
	uint64_t word;

	for (; left >= sizeof(word); left -= sizeof(word)) {
		memcpy(&word, data + left - sizeof(word), sizeof(word));
		if (word)
			break;
	}
	while (left > 0 && !data[left - 1])
		left--;
	return len - left;
}

/*
 * Looks at one byte in RUN: a long run that begins at FROM or later, and not later than the byte
 * looked at, must have that byte.
 */
size_t prolly_zeros_find(const uint8_t *data, size_t len, size_t run)
{
	size_t from = 0;

	while (len - from >= run) {
		size_t probe = from + run - 1;

		if (data[probe]) {
			from = probe + 1;
			continue;
		}
		size_t start = probe - prolly_zeros_count_trailing(data + from, probe - from);
		size_t end = probe + prolly_zeros_count_leading(data + probe, len - probe);

		if (end - start >= run || end == len)
			return start;
		from = end;
	}
	return len - prolly_zeros_count_trailing(data + from, len - from);
}
