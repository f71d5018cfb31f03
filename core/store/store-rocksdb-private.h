/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the two files of the RocksDB back end share: how its keys and values are written, the order of
 * hashes, and the tables that wait (store-tables.c).
 */

#include "store/db.h"
#include "store/store-private.h"

/* ---- Keys and values --------------------------------------------------------------------- */

#define PROLLY_DATA_KEY_SIZE    (8 + PROLLY_HASH_SIZE)
#define PROLLY_INDEX_VALUE_SIZE 13

/* The family of a class's nodes. */
static inline ProllyDbFamily prolly_node_family(ProllyNodeClass node_class)
{
	return node_class == PROLLY_NODE_TREE ? PROLLY_DB_NODES : PROLLY_DB_CHUNKS;
}

static inline void prolly_data_key_encode(uint8_t out[PROLLY_DATA_KEY_SIZE], uint64_t sequence,
					  const ProllyHash *hash)
{
	prolly_set_be64(out, sequence);
	memcpy(out + 8, hash->bytes, PROLLY_HASH_SIZE);
}

static inline void prolly_index_entry_put(ProllyDbBatch *batch, const ProllyHash *hash,
					  uint64_t sequence, size_t len, ProllyNodeClass node_class)
{
	uint8_t value[PROLLY_INDEX_VALUE_SIZE];

	prolly_set_be64(value, sequence);
	prolly_set_be32(value + 8, (uint32_t)len);
	value[12] = (uint8_t)node_class;
	prolly_db_batch_put(batch, PROLLY_DB_INDEX, hash->bytes, PROLLY_HASH_SIZE, value,
			    sizeof(value));
}

/* ---- The order of hashes ----------------------------------------------------------------- */

typedef struct {
	uint64_t start; /* of the hash */
	const ProllyHash *hash;
	void *item; /* whose it is */
} ProllyHashOrder;

static inline ProllyHashOrder prolly_hash_order_of(const ProllyHash *hash, void *item)
{
	return (ProllyHashOrder){prolly_get_be64(hash->bytes), hash, item};
}

/* In which look-ups go together, and which a memtable takes twice as fast as any other. */
void prolly_hash_orders_sort(ProllyHashOrder *orders, size_t n);

/* ---- Tables that wait (store-tables.c) --------------------------------------------------- */

typedef struct ProllyTables ProllyTables;

/* A node that is put, with its sequence. */
typedef struct {
	const ProllyBackendNode *node;
	uint64_t sequence; /* 0: it is there already */
} ProllyNumberedNode;

/* On opening. Removes what an adoption that was cut short has left. */
bool prolly_tables_open(ProllyDb *db, ProllyTables **out_tables, GError **error);
/* What waits is gone. NULL is allowed. */
void prolly_tables_free(ProllyTables *self);
/* Makes a table of at least one node, of sequences one after the other and above those of its class;
 * it waits then. */
bool prolly_tables_add(ProllyTables *self, ProllyNodeClass node_class,
		       const ProllyNumberedNode *nodes, size_t n, GError **error);
/* Is the node in one? Any thread may ask, at any time. */
bool prolly_tables_have(ProllyTables *self, const ProllyHash *hash);
/* So much waits that it should be taken in. */
bool prolly_tables_are_many(const ProllyTables *self);
/* Has the database take in what waits: it is durable then, and known once the database is synced.
 * What fails waits on. */
bool prolly_tables_adopt(ProllyTables *self, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyTables, prolly_tables_free)
