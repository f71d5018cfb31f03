/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Specifications of stores, and sizes.
 *
 *   PATH  rocksdb://PATH  file://PATH  cached-file://PATH[?cache=SIZE]  :memory:
 *
 * A specification is recognised by its scheme; anything without "://" is a path, so that a path may
 * hold any other character. A scheme we do not know is an error that names it rather than a path of
 * that name, because other schemes are to come.
 */
#include "version/repo-private.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *scheme;
	ProllyBackendKind kind;
	bool may_cache;
} schemes[] = {
	{"rocksdb://", PROLLY_BACKEND_ROCKSDB, false},
	{"file://", PROLLY_BACKEND_FILE, false},
	{"cached-file://", PROLLY_BACKEND_CACHED_FILE, true},
};

bool prolly_size_parse(const char *text, uint64_t *out_size, GError **error)
{
	static const char units[] = "KMGT";
	char *end = NULL;
	uint64_t size;
	unsigned shift = 0;

	errno = 0;
	size = g_ascii_strtoull(text, &end, 10);
	if (!g_ascii_isdigit(text[0]) || errno == ERANGE)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "bad size: %s", text);
	if (*end != '\0') {
		const char *unit = strchr(units, g_ascii_toupper(*end));

		if (!unit)
			return prolly_throw(error, PROLLY_ERROR_INVALID, "bad size: %s", text);
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (*end != '\0' || size > UINT64_MAX >> shift)
		return prolly_throw(error, PROLLY_ERROR_INVALID, "bad size: %s", text);

	*out_size = size << shift;
	return true;
}

/* Cuts "?cache=SIZE" off PATH. */
static bool parse_query(char *path, bool may_cache, const char *text, uint64_t *out_size,
			GError **error)
{
	char *query = strrchr(path, '?');

	*out_size = 0;
	if (!query)
		return true;
	if (!may_cache || !g_str_has_prefix(query, "?cache="))
		return prolly_throw(error, PROLLY_ERROR_INVALID, "unknown option %s in %s", query,
				    text);
	if (!prolly_size_parse(query + strlen("?cache="), out_size, error)) {
		g_prefix_error(error, "%s: ", text);
		return false;
	}
	*query = '\0';
	return true;
}

static bool parse_scheme(const char *text, ProllySpec *out_spec, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
		g_autofree char *path = NULL;
		uint64_t cache_size;

		if (!g_str_has_prefix(text, schemes[i].scheme))
			continue;
		path = g_strdup(text + strlen(schemes[i].scheme));
		if (!parse_query(path, schemes[i].may_cache, text, &cache_size, error))
			return false;
		if (*path == '\0')
			return prolly_throw(error, PROLLY_ERROR_INVALID, "no path in %s", text);
		*out_spec = (ProllySpec){
			.has_kind = true,
			.kind = schemes[i].kind,
			.path = g_steal_pointer(&path),
			.cache_size = cache_size,
		};
		return true;
	}
	return prolly_throw(error, PROLLY_ERROR_INVALID, "unknown kind of store: %s", text);
}

bool prolly_spec_parse(const char *text, ProllySpec *out_spec, GError **error)
{
	g_return_val_if_fail(text != NULL && out_spec != NULL, false);

	if (*text == '\0')
		return prolly_throw(error, PROLLY_ERROR_INVALID, "the store's path is empty");
	if (strcmp(text, ":memory:") == 0) {
		*out_spec = (ProllySpec){.has_kind = true, .kind = PROLLY_BACKEND_MEMORY};
		return true;
	}
	if (strstr(text, "://"))
		return parse_scheme(text, out_spec, error);

	*out_spec = (ProllySpec){.kind = PROLLY_BACKEND_ROCKSDB, .path = g_strdup(text)};
	return true;
}

void prolly_spec_clear(ProllySpec *spec)
{
	g_clear_pointer(&spec->path, g_free);
}

char *prolly_spec_dup_path(const ProllySpec *spec)
{
	char *resolved = realpath(spec->path, NULL);
	char *path;

	if (!resolved)
		return g_canonicalize_filename(spec->path, NULL);
	path = g_strdup(resolved);
	free(resolved);
	return path;
}
