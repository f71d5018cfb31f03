/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format: everything that decides how contents become nodes, and its descriptor, the bytes that
 * stand for it in every root hash. Nodes do not carry it.
 *
 *	root = SHA-256(descriptor, hash of the top node)
 *
 * The descriptor, PROLLY_FORMAT_DESCRIPTOR_SIZE (76) bytes, numbers little endian:
 *
 *	 0  8  "prollyfm"
 *	 8  4  version of nodes and rules: 1
 *	12  4  hash: 1 is SHA-256
 *	16  4  boundary rule: 1 is the one in chunker.c
 *	20  4  min
 *	24  4  max
 *	28  4  scale shift
 *	32  4  what a value weighs in byte counts: 0 its length, 1 what core/blob says
 *	36  4  inline limit
 *	40  4  chunk min
 *	44  4  chunk average
 *	48  4  chunk max
 *	52 16  label of the level seeds, "prolly seed v1" and two zeros
 *	68  8  identity of core/blob's rules: the name of its chunker and gear table
 *
 * The boundary hash of level N is seeded with the first 8 bytes, little endian, of SHA-256(label, N
 * as one byte). A seed for each level keeps a key that cuts its leaf from cutting every level above
 * (a tower of nodes of one child); that they come from a hash of a label shows that nobody chose
 * them.
 *
 * Invariants:
 * F1  A descriptor has one meaning: two formats with equal descriptors make equal nodes of equal
 *     contents. So the weighing is in it, of which there are two.
 * F2  Parameters that prolly_format_new accepts keep the boundary rule within 64 bits.
 */
#include "tree/tree-private.h"

#define DESCRIPTOR_MAGIC "prollyfm"
#define SEED_LABEL       "prolly seed v1\0" /* with the literal's own NUL 16 bytes */
#define FORMAT_VERSION   1u
#define HASH_SHA256      1u
#define BOUNDARY_HAZARD  1u

#define SCALE_SHIFT_MIN   4u
#define SCALE_SHIFT_LIMIT 16u
#define CHUNK_LIMIT       (1u << 24)

void prolly_format_parameters_init(ProllyFormatParameters *out_parameters)
{
	*out_parameters = (ProllyFormatParameters){
		.min = 512,
		.max = 16384,
		.scale_shift = 12,
		.inline_limit = 1024,
		.chunk_min = 16 << 10,
		.chunk_average = 64 << 10,
		.chunk_max = 256 << 10,
	};
}

static bool check_parameters(const ProllyFormatParameters *p, GError **error)
{
	if (p->min == 0 || p->min >= p->max || p->max > FORMAT_MAX_LIMIT)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "chunking: min %u and max %u are not 0 < min < max <= %u",
				    p->min, p->max, FORMAT_MAX_LIMIT);
	if (p->scale_shift < SCALE_SHIFT_MIN || p->scale_shift > SCALE_SHIFT_LIMIT)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "chunking: scale shift %u is not in [%u, %u]", p->scale_shift,
				    SCALE_SHIFT_MIN, SCALE_SHIFT_LIMIT);
	if (p->inline_limit > PROLLY_TREE_VALUE_MAX / 2)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "chunking: inline limit %u is over %u", p->inline_limit,
				    PROLLY_TREE_VALUE_MAX / 2);
	if (p->chunk_min == 0 || p->chunk_min > p->chunk_average ||
	    p->chunk_average > p->chunk_max || p->chunk_max > CHUNK_LIMIT ||
	    (p->chunk_average & (p->chunk_average - 1)) != 0)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "chunking: chunk sizes %u, %u, %u do not ascend to %u with a "
				    "power of two as average",
				    p->chunk_min, p->chunk_average, p->chunk_max, CHUNK_LIMIT);
	return true;
}

static GByteArray *build_descriptor(const ProllyFormatParameters *p, bool weighs)
{
	GByteArray *out = g_byte_array_sized_new(PROLLY_FORMAT_DESCRIPTOR_SIZE);
	const uint32_t numbers[] = {
		FORMAT_VERSION, HASH_SHA256,      BOUNDARY_HAZARD, p->min,
		p->max,         p->scale_shift,   weighs,          p->inline_limit,
		p->chunk_min,   p->chunk_average, p->chunk_max,
	};

	g_byte_array_append(out, (const guint8 *)DESCRIPTOR_MAGIC, 8);
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
		prolly_append_le32(out, numbers[i]);
	g_byte_array_append(out, (const guint8 *)SEED_LABEL, sizeof(SEED_LABEL));
	prolly_append_le64(out, PROLLY_FORMAT_BLOB_RULES);
	g_assert(out->len == PROLLY_FORMAT_DESCRIPTOR_SIZE);
	return out;
}

bool prolly_format_parse_descriptor(const uint8_t *bytes, ProllyWeighFunc weigh,
				    ProllyFormatParameters *out_parameters, GError **error)
{
	g_autoptr(GByteArray) expected = NULL;
	ProllyFormatParameters p = {
		.min = prolly_get_le32(bytes + 20),
		.max = prolly_get_le32(bytes + 24),
		.scale_shift = prolly_get_le32(bytes + 28),
		.inline_limit = prolly_get_le32(bytes + 36),
		.chunk_min = prolly_get_le32(bytes + 40),
		.chunk_average = prolly_get_le32(bytes + 44),
		.chunk_max = prolly_get_le32(bytes + 48),
	};

	if (memcmp(bytes, DESCRIPTOR_MAGIC, 8) == 0 && prolly_get_le32(bytes + 8) > FORMAT_VERSION)
		return prolly_throw(
			error, PROLLY_ERROR_CORRUPT,
			"descriptor: it has version %u, this program knows versions up to "
			"%u",
			prolly_get_le32(bytes + 8), FORMAT_VERSION);
	expected = build_descriptor(&p, weigh != NULL);
	if (memcmp(bytes, expected->data, expected->len) != 0 || !check_parameters(&p, NULL))
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "descriptor: it is of no known format");
	*out_parameters = p;
	return true;
}

static uint64_t derive_seed(uint8_t level)
{
	ProllyHash hash;

	prolly_hash_compute2(SEED_LABEL, sizeof(SEED_LABEL), &level, 1, &hash);
	return prolly_get_le64(hash.bytes);
}

bool prolly_format_new(const ProllyFormatParameters *parameters, ProllyWeighFunc weigh,
		       ProllyFormat **out_format, GError **error)
{
	ProllyFormat *self;

	if (!check_parameters(parameters, error))
		return false;
	self = g_new0(ProllyFormat, 1);
	g_atomic_ref_count_init(&self->refs);
	self->parameters = *parameters;
	self->weigh = weigh;
	for (unsigned level = 0; level < TREE_LEVELS_MAX; level++)
		self->seeds[level] = derive_seed((uint8_t)level);
	self->descriptor = build_descriptor(parameters, weigh != NULL);
	*out_format = self;
	return true;
}

ProllyFormat *prolly_format_ref(ProllyFormat *self)
{
	g_atomic_ref_count_inc(&self->refs);
	return self;
}

void prolly_format_unref(ProllyFormat *self)
{
	if (!self || !g_atomic_ref_count_dec(&self->refs))
		return;
	prolly_chunker_destroy_spare(self);
	g_byte_array_unref(self->descriptor);
	g_free(self);
}

const ProllyFormatParameters *prolly_format_get_parameters(const ProllyFormat *self)
{
	return &self->parameters;
}

const uint8_t *prolly_format_get_descriptor(const ProllyFormat *self, size_t *out_len)
{
	*out_len = self->descriptor->len;
	return self->descriptor->data;
}
