/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers never given twice. META has for each counter the first number that was not reserved yet;
 * a block is reserved at a time, and what is left of one at the end is never given. A crash may
 * lose a reservation, but then also everything written after it, since the database recovers to a
 * point in time; so no number survives that could be given again.
 *
 * Records: key "counter/" and a digit, value le64.
 */
#include "version/repo-private.h"

#include <string.h>

#define KEY_PREFIX "counter/"
#define KEY_SIZE   (sizeof(KEY_PREFIX))

static const uint64_t block_sizes[PROLLY_COUNTER_N] = {
	[PROLLY_COUNTER_BRANCH] = 16,
	[PROLLY_COUNTER_GENERATION] = 256,
	[PROLLY_COUNTER_INODE] = 4096,
};

static void make_key(ProllyCounter counter, char key[KEY_SIZE])
{
	memcpy(key, KEY_PREFIX, strlen(KEY_PREFIX));
	key[strlen(KEY_PREFIX)] = (char)('0' + counter);
}

bool prolly_counters_load(ProllyRepoBody *body, GError **error)
{
	for (ProllyCounter counter = 0; counter < PROLLY_COUNTER_N; counter++) {
		g_autoptr(GBytes) value = NULL;
		char key[KEY_SIZE];
		uint64_t next = 1;

		make_key(counter, key);
		if (!prolly_db_get(body->db, PROLLY_DB_META, NULL, key, sizeof(key), &value, error))
			return false;
		if (value && g_bytes_get_size(value) != 8)
			return prolly_throw(error, PROLLY_ERROR_CORRUPT,
					    "the record %s%d is damaged", KEY_PREFIX, (int)counter);
		if (value)
			next = prolly_get_le64(g_bytes_get_data(value, NULL));
		body->next[counter] = body->reserved[counter] = next;
	}
	return true;
}

static bool reserve_block(ProllyRepoBody *body, ProllyCounter counter, GError **error)
{
	g_autoptr(ProllyDbBatch) batch = prolly_db_batch_new(body->db);
	uint64_t end = body->next[counter] + block_sizes[counter];
	uint8_t value[8];
	char key[KEY_SIZE];

	make_key(counter, key);
	prolly_set_le64(value, end);
	prolly_db_batch_put(batch, PROLLY_DB_META, key, sizeof(key), value, sizeof(value));
	if (!prolly_db_write(body->db, batch, PROLLY_DB_BUFFERED, error))
		return false;
	body->reserved[counter] = end;
	return true;
}

bool prolly_repo_next_number(ProllyRepoBody *body, ProllyCounter counter, uint64_t *out_number,
			     GError **error)
{
	g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&body->counters_lock);

	if (body->next[counter] == body->reserved[counter] && !reserve_block(body, counter, error))
		return false;
	*out_number = body->next[counter]++;
	return true;
}
