/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256: with our own use of the processor's SHA instructions for a message in one piece or for
 * two messages at once (hash-lanes.c), and of its vectors for sixteen (hash-wide.c), if it has them;
 * and else, and for messages in two pieces, through OpenSSL.
 *
 * Two things make EVP as fast as its kernel: the digest is fetched once (a fetch for each message
 * costs more than hashing 256 bytes), and the context is reused. Both live in one object for each
 * thread; GPrivate frees it with the thread, and g_once fetches the digest.
 */
#include "base/hash-private.h"

#include <string.h>

#include <openssl/evp.h>

const uint32_t prolly_hash_initial_state[HASH_WORDS] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

const uint32_t prolly_hash_round_constants[64] = {
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

static const EVP_MD *fetch_sha256(void)
{
	static gsize once = 0;

	if (g_once_init_enter(&once)) {
		EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);

		g_assert(md != NULL);
		g_once_init_leave(&once, (gsize)md);
	}
	return (const EVP_MD *)once;
}

static void free_context(gpointer context)
{
	EVP_MD_CTX_free(context);
}

static EVP_MD_CTX *get_context(void)
{
	static GPrivate contexts = G_PRIVATE_INIT(free_context);
	EVP_MD_CTX *context = g_private_get(&contexts);

	if (!context) {
		context = EVP_MD_CTX_new();
		g_assert(context != NULL);
		g_private_set(&contexts, context);
	}
	return context;
}

void prolly_hash_compute2(const void *a, size_t a_len, const void *b, size_t b_len,
			  ProllyHash *out_hash)
{
	EVP_MD_CTX *context = get_context();
	bool ok = EVP_DigestInit_ex2(context, fetch_sha256(), NULL) &&
		  EVP_DigestUpdate(context, a, a_len) &&
		  (b_len == 0 || EVP_DigestUpdate(context, b, b_len)) &&
		  EVP_DigestFinal_ex(context, out_hash->bytes, NULL);

	g_assert(ok);
}

void prolly_hash_compute_plainly(const void *data, size_t len, ProllyHash *out_hash)
{
	prolly_hash_compute2(data, len, NULL, 0, out_hash);
}

void prolly_hash_compute(const void *data, size_t len, ProllyHash *out_hash)
{
	if (prolly_hash_has_lanes())
		prolly_hash_lanes_one(data, len, out_hash);
	else
		prolly_hash_compute_plainly(data, len, out_hash);
}

void prolly_hash_compute_many(const ProllyHashMessage *messages, size_t n)
{
	if (n >= PROLLY_HASH_WIDE_FROM && prolly_hash_has_wide()) {
		prolly_hash_wide_many(messages, n);
	} else if (prolly_hash_has_lanes()) {
		prolly_hash_lanes_many(messages, n);
	} else {
		for (size_t i = 0; i < n; i++)
			prolly_hash_compute_plainly(messages[i].data, messages[i].len,
						    messages[i].out_hash);
	}
}

void prolly_hash_compute_chain_plainly(const ProllyHashLink *links, size_t n,
				       ProllyHash *out_hashes)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			memcpy(links[i].data + links[i].at, &out_hashes[i - 1], PROLLY_HASH_SIZE);
		prolly_hash_compute_plainly(links[i].data, links[i].len, &out_hashes[i]);
	}
}

void prolly_hash_compute_chain(const ProllyHashLink *links, size_t n, ProllyHash *out_hashes)
{
	g_assert(n <= PROLLY_HASH_CHAIN_MAX);
	if (prolly_hash_has_lanes())
		prolly_hash_lanes_chain(links, n, out_hashes);
	else
		prolly_hash_compute_chain_plainly(links, n, out_hashes);
}

bool prolly_hash_equal(const ProllyHash *a, const ProllyHash *b)
{
	return memcmp(a->bytes, b->bytes, PROLLY_HASH_SIZE) == 0;
}

int prolly_hash_compare(const ProllyHash *a, const ProllyHash *b)
{
	return memcmp(a->bytes, b->bytes, PROLLY_HASH_SIZE);
}

bool prolly_hash_is_zero(const ProllyHash *hash)
{
	static const ProllyHash zero = {{0}};

	return prolly_hash_equal(hash, &zero);
}

char *prolly_hash_to_hex(const ProllyHash *hash, char out[PROLLY_HASH_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < PROLLY_HASH_SIZE; i++) {
		out[2 * i] = digits[hash->bytes[i] >> 4];
		out[2 * i + 1] = digits[hash->bytes[i] & 15];
	}
	out[2 * PROLLY_HASH_SIZE] = '\0';
	return out;
}

bool prolly_hash_from_hex(const char *hex, ProllyHash *out_hash)
{
	ProllyHash hash;

	for (size_t i = 0; i < PROLLY_HASH_SIZE; i++) {
		int high = g_ascii_xdigit_value(hex[2 * i]);
		int low = high < 0 ? -1 : g_ascii_xdigit_value(hex[2 * i + 1]);

		if (low < 0)
			return false;
		hash.bytes[i] = (uint8_t)(high << 4 | low);
	}
	if (hex[2 * PROLLY_HASH_SIZE] != '\0')
		return false;
	*out_hash = hash;
	return true;
}

guint prolly_hash_table_hash(gconstpointer hash)
{
	return prolly_get_le32(((const ProllyHash *)hash)->bytes);
}

gboolean prolly_hash_table_equal(gconstpointer a, gconstpointer b)
{
	return prolly_hash_equal(a, b);
}
