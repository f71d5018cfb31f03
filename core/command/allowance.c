/* SPDX-License-Identifier: Apache-2.0 */

/*
 * allowance: how many bytes one caller's sessions and texts may hold together, between a command and
 * whoever reads what it printed. Taken before memory is, given back when it is free.
 *
 * No lock: what is taken is added first and taken back if that was too much. So two that ask for the
 * last bytes at once may both be refused; never do both get them.
 */

#include "command/command-private.h"

#define KEPT (64u * 1024) /* bytes that an empty buffer may keep, which nobody counts */

bool prolly_allowance_take(ProllyAllowance *allowance, size_t n)
{
	if (!allowance)
		return true;
	size_t before = atomic_fetch_add(&allowance->taken, n);
	if (before <= allowance->limit && n <= allowance->limit - before)
		return true;
	atomic_fetch_sub(&allowance->taken, n);
	return false;
}

void prolly_allowance_give(ProllyAllowance *allowance, size_t n)
{
	if (allowance)
		atomic_fetch_sub(&allowance->taken, n);
}

void prolly_bytes_drop(GByteArray **bytes)
{
	if ((*bytes)->len <= KEPT) {
		g_byte_array_set_size(*bytes, 0);
		return;
	}
	g_byte_array_unref(*bytes);
	*bytes = g_byte_array_new();
}
