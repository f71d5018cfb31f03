/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mark: up to which sequence number the database is known to be on disk.
 *
 * RocksDB recovers to the last write whose log is whole, and takes whatever ends the log for the
 * torn tail of a power cut, be it the loss of something that was synced. The mark tells the two
 * apart: after each sync the number reached is written here, and a recovery that ends before it has
 * lost what was promised.
 *
 * The file has two slots, a block of the disk apart, written in turn:
 *
 *     offset  size
 *          0     8  "prollymk"
 *          8     8  generation, little endian: the valid slot with the higher one counts
 *         16     8  sequence number, little endian
 *         24     8  the first bytes of SHA-256(bytes 0 to 23)
 *
 *  I1  A slot is written only with a number that is durable already, so that a mark never says too
 *      much.
 *  I2  The slot written is never the one that counts, so that a torn write leaves the older mark.
 *
 * It is not synced, since a commit is one synced write, and a failure to write it fails nothing: an
 * older mark is only a weaker check. The kernel writes it back within seconds, and closing syncs
 * it.
 */
#include "store/db-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SLOT_SIZE   32
#define SLOT_STRIDE 4096
#define N_SLOTS     2

static const char slot_magic[8] = {'p', 'r', 'o', 'l', 'l', 'y', 'm', 'k'};

struct ProllyDbMark {
	GMutex lock; /* protects all below */
	int fd;
	char *path;
	uint64_t generation;
	uint64_t sequence;
};

static void encode_slot(uint8_t out[SLOT_SIZE], uint64_t generation, uint64_t sequence)
{
	ProllyHash sum;

	memcpy(out, slot_magic, sizeof(slot_magic));
	prolly_set_le64(out + 8, generation);
	prolly_set_le64(out + 16, sequence);
	prolly_hash_compute(out, 24, &sum);
	memcpy(out + 24, sum.bytes, 8);
}

static bool slot_is_whole(const uint8_t slot[SLOT_SIZE])
{
	ProllyHash sum;

	prolly_hash_compute(slot, 24, &sum);
	return memcmp(slot, slot_magic, sizeof(slot_magic)) == 0 &&
	       memcmp(slot + 24, sum.bytes, 8) == 0;
}

static bool write_slot(ProllyDbMark *mark, uint64_t sequence, GError **error)
{
	uint8_t slot[SLOT_SIZE];
	uint64_t generation = mark->generation + 1;
	off_t offset = (off_t)(generation % N_SLOTS) * SLOT_STRIDE;

	encode_slot(slot, generation, sequence);
	ssize_t n = pwrite(mark->fd, slot, SLOT_SIZE, offset);

	if (n != SLOT_SIZE)
		return prolly_throw_errno(error, n < 0 ? errno : EIO, "write %s", mark->path);
	mark->generation = generation;
	mark->sequence = sequence;
	return true;
}

static ProllyDbMark *new_mark(const char *path, int fd)
{
	ProllyDbMark *mark = g_new0(ProllyDbMark, 1);

	g_mutex_init(&mark->lock);
	mark->fd = fd;
	mark->path = g_strdup(path);
	return mark;
}

bool prolly_db_mark_create(const char *path, ProllyDbMark **out_mark, GError **error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		return prolly_throw_errno(error, errno, "make %s", path);
	g_autoptr(ProllyDbMark) mark = new_mark(path, fd);

	/* Both slots, so that no later write needs space. */
	if (!write_slot(mark, 0, error) || !write_slot(mark, 0, error))
		return false;
	if (fsync(fd) < 0)
		return prolly_throw_errno(error, errno, "sync %s", path);
	*out_mark = g_steal_pointer(&mark);
	return true;
}

bool prolly_db_mark_open(const char *path, ProllyDbMark **out_mark, GError **error)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool found = false;

	if (fd < 0 && errno == ENOENT)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT,
				    "%s is missing: the database it belongs to is damaged", path);
	if (fd < 0)
		return prolly_throw_errno(error, errno, "open %s", path);
	g_autoptr(ProllyDbMark) mark = new_mark(path, fd);

	for (int i = 0; i < N_SLOTS; i++) {
		uint8_t slot[SLOT_SIZE];

		if (pread(fd, slot, SLOT_SIZE, (off_t)i * SLOT_STRIDE) != SLOT_SIZE ||
		    !slot_is_whole(slot))
			continue;
		uint64_t generation = prolly_get_le64(slot + 8);

		if (!found || generation > mark->generation) {
			mark->generation = generation;
			mark->sequence = prolly_get_le64(slot + 16);
		}
		found = true;
	}
	if (!found)
		return prolly_throw(error, PROLLY_ERROR_CORRUPT, "%s is damaged", path);
	*out_mark = g_steal_pointer(&mark);
	return true;
}

void prolly_db_mark_free(ProllyDbMark *mark)
{
	if (!mark)
		return;
	(void)fdatasync(mark->fd); /* an older mark is a weaker check, no loss */
	close(mark->fd);
	g_mutex_clear(&mark->lock);
	g_free(mark->path);
	g_free(mark);
}

uint64_t prolly_db_mark_get(ProllyDbMark *mark)
{
	g_mutex_lock(&mark->lock);
	uint64_t sequence = mark->sequence;

	g_mutex_unlock(&mark->lock);
	return sequence;
}

void prolly_db_mark_raise(ProllyDbMark *mark, uint64_t sequence)
{
	g_mutex_lock(&mark->lock);
	if (sequence > mark->sequence)
		(void)write_slot(mark, sequence, NULL);
	g_mutex_unlock(&mark->lock);
}
