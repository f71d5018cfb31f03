/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the tests of keypath share. */

#include "version/keypath.h"

#include <string.h>

#define BRANCH ((ProllyKeyDir){.kind = PROLLY_KEYDIR_BRANCH})
#define KEYS   ((ProllyKeyDir){.kind = PROLLY_KEYDIR_KEYS})

#define BYTES(text) (text), (sizeof(text) - 1)

/* What means something to the grammar, or nearly. */
static const struct {
	const char *text;
	size_t len;
} tokens[] = {
	{BYTES("%")},           {BYTES("25")},    {BYTES("00")},        {BYTES("2F")},
	{BYTES("2E")},          {BYTES("empty")}, {BYTES(".prollyfs")}, {BYTES("prolly-key")},
	{BYTES("prolly-more")}, {BYTES(".")},     {BYTES("a")},         {BYTES("\0")},
	{BYTES("/")},
};

#define N_TOKENS      G_N_ELEMENTS(tokens)
#define N_NAME_TOKENS (N_TOKENS - 2) /* without NUL and '/' */

/* PATH names this key. */
static inline void assert_path_is(const char *path, const char *ns, const void *key, size_t key_len)
{
	g_auto(ProllyPath) parsed = {0};
	g_autoptr(GError) error = NULL;
	size_t len;

	prolly_path_parse(path, &parsed, &error);
	g_assert_no_error(error);
	g_assert_nonnull(parsed.key);
	g_assert_cmpstr(parsed.key_namespace, ==, ns);
	const void *data = g_bytes_get_data(parsed.key, &len);

	g_assert_cmpmem(data, len, key, key_len);
}
