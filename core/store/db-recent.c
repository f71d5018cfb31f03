/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db-recent: what the last keys of family STAGED hold, in memory.
 *
 * A mount asks for the same few records again and again: a file that is made is looked up, made,
 * opened, written and closed, and each step reads its record or that there is none, and that of its
 * directory. RocksDB takes 1 to 3 us for each, most of it to find out that a key is nowhere. So
 * what was read or written last is kept, absence included.
 *
 * A table of slots, each with the last entry whose key fell there: as many as a directory that somebody
 * works in has files (with 4,096 of them, reading 10,000 files again asked RocksDB for each). Reading a
 * known key takes a reference, and copies nothing. To empty all slots makes the table older: entries of
 * another age are as none, until something takes their slot.
 *
 * It never says what was true once:
 * R1. A write takes its keys out before RocksDB has it, and puts their new values in afterwards;
 *     not if another write went on meanwhile, since it is not known then which came last.
 * R2. A reader that asks RocksDB enters what it heard only if no write was going on, nor has begun
 *     since.
 * R3. A write of ranges, of very many keys, or past the log empties all slots.
 * So an entry that is there while no write of its key is going on is what RocksDB would say.
 *
 * Snapshots are not served from here: they are of the past.
 */
#include "base/memory.h"
#include "store/db-private.h"

#include <string.h>

#define SLOTS     32768 /* a power of two */
#define VALUE_MAX 1024  /* longer values would make it large: 32 MiB and the keys at most */
#define KEYS_MAX  64    /* of a batch: more empty all slots */
#define NEVER     UINT64_MAX

typedef struct {
	uint64_t hash;
	uint64_t age;  /* of the table when it was put in */
	GBytes *value; /* NULL: the key is not there */
	bool is_kept;  /* of a write: false if the value is too long */
	size_t key_len;
	uint8_t key[];
} Entry;

struct ProllyDbRecent {
	GMutex lock; /* leaf */
	uint64_t changes;
	uint64_t age;
	unsigned n_writing;
	Entry *slots[SLOTS];
};

struct ProllyDbKeys {
	GPtrArray *entries; /* of Entry * */
	bool is_all;
};

static void entry_free(void *data)
{
	Entry *entry = data;

	if (!entry)
		return;
	if (entry->value)
		g_bytes_unref(entry->value);
	g_free(entry);
}

static uint64_t hash_key(const uint8_t *key, size_t len)
{
	uint64_t hash = len, word;

	for (; len >= 8; key += 8, len -= 8) {
		memcpy(&word, key, 8);
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, key, len);
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

/* (transfer full) VALUE (transfer full) nullable. */
static Entry *entry_new(const void *key, size_t len, GBytes *value)
{
	Entry *entry = g_malloc(sizeof(*entry) + len);

	entry->hash = hash_key(key, len);
	entry->value = value;
	entry->is_kept = true;
	entry->key_len = len;
	memcpy(entry->key, key, len);
	return entry;
}

static Entry **find_slot(ProllyDbRecent *self, uint64_t hash)
{
	return &self->slots[hash % SLOTS];
}

static bool is_at(const ProllyDbRecent *self, const Entry *entry, uint64_t hash, const void *key,
		  size_t len)
{
	return entry && entry->hash == hash && entry->age == self->age && entry->key_len == len &&
	       !memcmp(entry->key, key, len);
}

/* ---- The table --------------------------------------------------------------------------- */

ProllyDbRecent *prolly_db_recent_new(GError **error)
{
	ProllyDbRecent *self = prolly_try_new0(ProllyDbRecent, 1, "recent entries", error);

	if (self)
		g_mutex_init(&self->lock);
	return self;
}

void prolly_db_recent_free(ProllyDbRecent *self)
{
	if (!self)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		entry_free(self->slots[i]);
	g_mutex_clear(&self->lock);
	g_free(self);
}

bool prolly_db_recent_get(ProllyDbRecent *self, const void *key, size_t len, GBytes **out_value,
			  uint64_t *out_changes)
{
	uint64_t hash = hash_key(key, len);
	const Entry *entry;
	bool found;

	g_mutex_lock(&self->lock);
	entry = *find_slot(self, hash);
	found = is_at(self, entry, hash, key, len);
	if (found)
		*out_value = entry->value ? g_bytes_ref(entry->value) : NULL;
	*out_changes = self->n_writing ? NEVER : self->changes;
	g_mutex_unlock(&self->lock);
	return found;
}

void prolly_db_recent_enter(ProllyDbRecent *self, const void *key, size_t len, GBytes *value,
			    uint64_t changes)
{
	Entry *entry, *old = NULL;

	if (value && g_bytes_get_size(value) > VALUE_MAX)
		return;
	entry = entry_new(key, len, value ? g_bytes_ref(value) : NULL);
	g_mutex_lock(&self->lock);
	if (self->changes == changes) {
		Entry **slot = find_slot(self, entry->hash);

		old = *slot;
		entry->age = self->age;
		*slot = g_steal_pointer(&entry);
	}
	g_mutex_unlock(&self->lock);
	entry_free(entry);
	entry_free(old);
}

void prolly_db_recent_empty(ProllyDbRecent *self)
{
	g_mutex_lock(&self->lock);
	self->changes++;
	self->age++;
	g_mutex_unlock(&self->lock);
}

/* ---- Writes ------------------------------------------------------------------------------ */

ProllyDbKeys *prolly_db_keys_new(void)
{
	ProllyDbKeys *keys = g_new0(ProllyDbKeys, 1);

	keys->entries = g_ptr_array_new_with_free_func(entry_free);
	return keys;
}

void prolly_db_keys_free(ProllyDbKeys *keys)
{
	g_ptr_array_unref(keys->entries);
	g_free(keys);
}

void prolly_db_keys_clear(ProllyDbKeys *keys)
{
	g_ptr_array_set_size(keys->entries, 0);
	keys->is_all = false;
}

void prolly_db_keys_add_all(ProllyDbKeys *keys)
{
	g_ptr_array_set_size(keys->entries, 0);
	keys->is_all = true;
}

void prolly_db_keys_add(ProllyDbKeys *keys, const void *key, size_t key_len, const void *value,
			size_t value_len)
{
	Entry *entry;

	if (keys->is_all)
		return;
	if (keys->entries->len == KEYS_MAX) {
		prolly_db_keys_add_all(keys);
		return;
	}
	entry = entry_new(key, key_len, NULL);
	entry->is_kept = !value || value_len <= VALUE_MAX;
	if (value && entry->is_kept)
		entry->value = g_bytes_new(value, value_len);
	g_ptr_array_add(keys->entries, entry);
}

static void take_out(ProllyDbRecent *self, const ProllyDbKeys *keys)
{
	if (keys->is_all)
		self->age++;
	for (guint i = 0; i < keys->entries->len; i++) {
		const Entry *entry = g_ptr_array_index(keys->entries, i);
		Entry **slot = find_slot(self, entry->hash);

		if (is_at(self, *slot, entry->hash, entry->key, entry->key_len))
			g_clear_pointer(slot, entry_free);
	}
}

/* In order: of a key that is written twice the later one stays. */
static void put_in(ProllyDbRecent *self, ProllyDbKeys *keys)
{
	for (guint i = 0; i < keys->entries->len; i++) {
		Entry *entry = g_ptr_array_index(keys->entries, i);
		Entry **slot = find_slot(self, entry->hash);

		entry_free(*slot);
		*slot = entry->is_kept ? entry : NULL;
		entry->age = self->age;
		if (entry->is_kept)
			keys->entries->pdata[i] = NULL;
	}
}

static bool is_empty(const ProllyDbKeys *keys)
{
	return !keys->is_all && !keys->entries->len;
}

uint64_t prolly_db_recent_begin(ProllyDbRecent *self, const ProllyDbKeys *keys)
{
	uint64_t changes;

	if (is_empty(keys))
		return 0;
	g_mutex_lock(&self->lock);
	changes = ++self->changes;
	self->n_writing++;
	take_out(self, keys);
	g_mutex_unlock(&self->lock);
	return changes;
}

void prolly_db_recent_end(ProllyDbRecent *self, ProllyDbKeys *keys, uint64_t begun, bool is_written)
{
	if (is_empty(keys))
		return;
	g_mutex_lock(&self->lock);
	if (is_written && self->changes == begun && self->n_writing == 1)
		put_in(self, keys);
	else
		take_out(self, keys);
	self->n_writing--;
	g_mutex_unlock(&self->lock);
}
