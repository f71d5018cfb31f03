/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: the database as it is at one moment, in a directory of its own, while others go on.
 *
 * RocksDB links the tables, which never change, and copies the manifest and what the log has. A log
 * longer than LOG_MAX is flushed first, as it would be copied anew each time. The mark that goes with it
 * says what was durable before it began, so that a checkpoint that lost some of that is found out as
 * the database itself would be (db-mark.c).
 *
 * RocksDB as Debian builds it ends the process by an assertion when it cannot write such a copy; so
 * there has to be room for what it copies before it begins.
 */
#include "store/db-private.h"

#define LOG_MAX  (16u << 20)
#define ROOM_MAX (LOG_MAX + (8u << 20)) /* of log and manifest */

static bool create_checkpoint(ProllyDb *db, const char *path, GError **error)
{
	char *failure = NULL;
	rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(db->rocks, &failure);

	if (!failure)
		rocksdb_checkpoint_create(checkpoint, path, LOG_MAX, &failure);
	if (checkpoint)
		rocksdb_checkpoint_object_destroy(checkpoint);
	return failure ? prolly_db_throw(error, failure, path) : true;
}

bool prolly_db_checkpoint(ProllyDb *db, const char *path, GError **error)
{
	g_autofree char *mark_path = g_strconcat(path, ".mark", NULL);
	g_autoptr(ProllyDbMark) mark = NULL;
	uint64_t reached;

	if (db->in_memory)
		return prolly_throw(error, PROLLY_ERROR_INVALID,
				    "a database in memory has no files to copy");
	if (!prolly_db_claim_room(db, ROOM_MAX, error) || !prolly_db_sync(db, error))
		return false;
	reached = prolly_db_mark_get(db->mark);
	if (!create_checkpoint(db, path, error) || !prolly_db_mark_create(mark_path, &mark, error))
		return false;
	prolly_db_mark_raise(mark, reached);
	return true;
}
