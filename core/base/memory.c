/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that may be refused.
 *
 * A GByteArray cannot be asked to grow and fail. But its bytes can be taken out, and an array be
 * made of bytes: so one that would grow to something large is replaced by one that has the room
 * already. What room an array has it does not tell either; yet GLib and these functions alike give
 * it a power of two, so it is at least the next one from its length. (If that is not so the bytes
 * are there all the same; only it may be GLib that asks for more.)
 */
#include "base/memory.h"

#include <string.h>

void *prolly_throw_no_memory(GError **error, size_t size, const char *what)
{
	prolly_throw(error, PROLLY_ERROR_NO_MEMORY, "no memory for %s (%zu bytes)", what, size);
	return NULL;
}

void *prolly_try_malloc(size_t size, const char *what, GError **error)
{
	void *memory = g_try_malloc(MAX(size, 1));

	return memory ? memory : prolly_throw_no_memory(error, size, what);
}

void *prolly_try_calloc(size_t n, size_t size, const char *what, GError **error)
{
	void *memory = g_try_malloc0_n(MAX(n, 1), size);

	return memory ? memory : prolly_throw_no_memory(error, n * size, what);
}

void *prolly_try_memdup(const void *data, size_t len, const char *what, GError **error)
{
	void *copy = prolly_try_malloc(len, what, error);

	return copy && len ? memcpy(copy, data, len) : copy;
}

GBytes *prolly_try_bytes(const void *data, size_t len, const char *what, GError **error)
{
	void *copy = prolly_try_memdup(data, len, what, error);

	return copy ? g_bytes_new_take(copy, len) : NULL;
}

void *prolly_try_array(size_t n, size_t size, const char *what, GError **error)
{
	void *memory = g_try_malloc_n(MAX(n, 1), size);

	return memory ? memory : prolly_throw_no_memory(error, n * size, what);
}

/* ---- Growing ----------------------------------------------------------------------------- */

bool prolly_try_grow(void *array, size_t *capacity, size_t wanted, size_t size, const char *what,
		     GError **error)
{
	void *old, *grown;
	size_t room;

	if (wanted <= *capacity)
		return true;
	memcpy(&old, array, sizeof(old));
	room = *capacity > wanted / 2 && *capacity <= SIZE_MAX / 2 ? 2 * *capacity : wanted;
	grown = g_try_realloc_n(old, room, size);
	if (!grown)
		return prolly_throw_no_memory(error, room * size, what);
	memcpy(array, &grown, sizeof(grown));
	*capacity = room;
	return true;
}

/* The least power of two that is not below N, which is at most 2^31. */
static size_t round_up(size_t n)
{
	size_t power = 1;

	while (power < n)
		power *= 2;
	return power;
}

bool prolly_try_reserve(GByteArray **array, size_t n, const char *what, GError **error)
{
	size_t len = (*array)->len, room;
	uint8_t *bytes;

	if (n > INT32_MAX - len)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG, "%s: over %d bytes", what,
				    INT32_MAX);
	room = round_up(len + n);
	if (room < PROLLY_LARGE || room <= round_up(len))
		return true;
	bytes = g_try_realloc((*array)->data, room);
	if (!bytes)
		return prolly_throw_no_memory(error, room, what);
	(*array)->data = NULL;
	g_byte_array_unref(*array);
	*array = g_byte_array_set_size(g_byte_array_new_take(bytes, room), (guint)len);
	return true;
}

bool prolly_try_reserve_text(GString *text, size_t n, const char *what, GError **error)
{
	size_t room;
	char *str;

	if (n > INT32_MAX - text->len - 1)
		return prolly_throw(error, PROLLY_ERROR_TOO_BIG, "%s: over %d bytes", what,
				    INT32_MAX);
	room = round_up(text->len + n + 1);
	if (room < PROLLY_LARGE || room <= text->allocated_len)
		return true;
	str = g_try_realloc(text->str, room);
	if (!str)
		return prolly_throw_no_memory(error, room, what);
	text->str = str;
	text->allocated_len = room;
	return true;
}

bool prolly_try_append(GByteArray **array, const void *data, size_t len, const char *what,
		       GError **error)
{
	if (!prolly_try_reserve(array, len, what, error))
		return false;
	if (len)
		g_byte_array_append(*array, data, (guint)len);
	return true;
}
