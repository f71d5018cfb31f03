/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rocksdb-private: RocksDB's C interface, whose library is loaded when the first database is opened.
 *
 * It is large: to load and to relocate it takes a process 4 ms, and prollyfs-ctl, which mostly talks
 * to a process that has the store open, is started for every command. So nothing is linked to it;
 * what is called here by its own name goes through a table. Include this, never <rocksdb/c.h>.
 */

#include <rocksdb/c.h>

#include "base/base.h"

/* All that is called. */
#define PROLLY_ROCKSDB_FUNCTIONS(X)                                                 \
	X(approximate_sizes_cf)                                                     \
	X(batched_multi_get_cf)                                                     \
	X(block_based_options_create)                                               \
	X(block_based_options_destroy)                                              \
	X(block_based_options_set_block_cache)                                      \
	X(block_based_options_set_block_size)                                       \
	X(block_based_options_set_cache_index_and_filter_blocks)                    \
	X(block_based_options_set_cache_index_and_filter_blocks_with_high_priority) \
	X(block_based_options_set_checksum)                                         \
	X(block_based_options_set_filter_policy)                                    \
	X(block_based_options_set_format_version)                                   \
	X(block_based_options_set_index_type)                                       \
	X(block_based_options_set_partition_filters)                                \
	X(cache_create_lru_opts)                                                    \
	X(cache_destroy)                                                            \
	X(cache_set_capacity)                                                       \
	X(close)                                                                    \
	X(column_family_handle_destroy)                                             \
	X(compact_range_cf_opt)                                                     \
	X(compactoptions_create)                                                    \
	X(compactoptions_destroy)                                                   \
	X(compactoptions_set_exclusive_manual_compaction)                           \
	X(create_default_env)                                                       \
	X(create_dir_if_missing)                                                    \
	X(create_iterator_cf)                                                       \
	X(create_mem_env)                                                           \
	X(create_snapshot)                                                          \
	X(delete_file_in_range_cf)                                                  \
	X(disable_file_deletions)                                                   \
	X(enable_file_deletions)                                                    \
	X(env_destroy)                                                              \
	X(envoptions_create)                                                        \
	X(envoptions_destroy)                                                       \
	X(filterpolicy_create_bloom_full)                                           \
	X(flush_cf)                                                                 \
	X(flush_wal)                                                                \
	X(flushoptions_create)                                                      \
	X(flushoptions_destroy)                                                     \
	X(free)                                                                     \
	X(get_latest_sequence_number)                                               \
	X(get_options_from_string)                                                  \
	X(get_pinned_cf)                                                            \
	X(ingest_external_file_cf)                                                  \
	X(ingestexternalfileoptions_create)                                         \
	X(ingestexternalfileoptions_destroy)                                        \
	X(ingestexternalfileoptions_set_move_files)                                 \
	X(iter_destroy)                                                             \
	X(iter_get_error)                                                           \
	X(iter_key)                                                                 \
	X(iter_next)                                                                \
	X(iter_prev)                                                                \
	X(iter_seek)                                                                \
	X(iter_seek_for_prev)                                                       \
	X(iter_seek_to_first)                                                       \
	X(iter_seek_to_last)                                                        \
	X(iter_valid)                                                               \
	X(iter_value)                                                               \
	X(list_column_families)                                                     \
	X(list_column_families_destroy)                                             \
	X(lru_cache_options_create)                                                 \
	X(lru_cache_options_destroy)                                                \
	X(lru_cache_options_set_capacity)                                           \
	X(lru_cache_options_set_num_shard_bits)                                     \
	X(open_column_families)                                                     \
	X(open_for_read_only_column_families)                                       \
	X(options_create)                                                           \
	X(options_create_copy)                                                      \
	X(options_destroy)                                                          \
	X(options_get_compression)                                                  \
	X(options_set_block_based_table_factory)                                    \
	X(options_set_compression)                                                  \
	X(options_set_create_if_missing)                                            \
	X(options_set_create_missing_column_families)                               \
	X(options_set_env)                                                          \
	X(pinnableslice_destroy)                                                    \
	X(pinnableslice_value)                                                      \
	X(property_int_cf)                                                          \
	X(readoptions_create)                                                       \
	X(readoptions_destroy)                                                      \
	X(readoptions_set_fill_cache)                                               \
	X(readoptions_set_iterate_lower_bound)                                      \
	X(readoptions_set_iterate_upper_bound)                                      \
	X(readoptions_set_snapshot)                                                 \
	X(release_snapshot)                                                         \
	X(sstfilewriter_create)                                                     \
	X(sstfilewriter_destroy)                                                    \
	X(sstfilewriter_file_size)                                                  \
	X(sstfilewriter_finish)                                                     \
	X(sstfilewriter_open)                                                       \
	X(sstfilewriter_put)                                                        \
	X(write)                                                                    \
	X(writebatch_clear)                                                         \
	X(writebatch_count)                                                         \
	X(writebatch_create)                                                        \
	X(writebatch_data)                                                          \
	X(writebatch_delete_cf)                                                     \
	X(writebatch_delete_range_cf)                                               \
	X(writebatch_destroy)                                                       \
	X(writebatch_put_cf)                                                        \
	X(writebatch_putv_cf)                                                       \
	X(writeoptions_create)                                                      \
	X(writeoptions_destroy)                                                     \
	X(writeoptions_set_sync)

typedef struct {
#define PROLLY_ROCKSDB_MEMBER(name) __typeof__(rocksdb_##name) *name;
	PROLLY_ROCKSDB_FUNCTIONS(PROLLY_ROCKSDB_MEMBER)
#undef PROLLY_ROCKSDB_MEMBER
} ProllyRocksdb;

/* Loads the library, of the version that this was compiled with; once is enough. */
bool prolly_rocksdb_load(GError **error);
/* Borrowed. It has been loaded. */
const ProllyRocksdb *prolly_rocksdb_get(void);

/* clang-format off */
#define rocksdb_approximate_sizes_cf (prolly_rocksdb_get()->approximate_sizes_cf)
#define rocksdb_batched_multi_get_cf (prolly_rocksdb_get()->batched_multi_get_cf)
#define rocksdb_block_based_options_create (prolly_rocksdb_get()->block_based_options_create)
#define rocksdb_block_based_options_destroy (prolly_rocksdb_get()->block_based_options_destroy)
#define rocksdb_block_based_options_set_block_cache (prolly_rocksdb_get()->block_based_options_set_block_cache)
#define rocksdb_block_based_options_set_block_size (prolly_rocksdb_get()->block_based_options_set_block_size)
#define rocksdb_block_based_options_set_cache_index_and_filter_blocks (prolly_rocksdb_get()->block_based_options_set_cache_index_and_filter_blocks)
#define rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority (prolly_rocksdb_get()->block_based_options_set_cache_index_and_filter_blocks_with_high_priority)
#define rocksdb_block_based_options_set_checksum (prolly_rocksdb_get()->block_based_options_set_checksum)
#define rocksdb_block_based_options_set_filter_policy (prolly_rocksdb_get()->block_based_options_set_filter_policy)
#define rocksdb_block_based_options_set_format_version (prolly_rocksdb_get()->block_based_options_set_format_version)
#define rocksdb_block_based_options_set_index_type (prolly_rocksdb_get()->block_based_options_set_index_type)
#define rocksdb_block_based_options_set_partition_filters (prolly_rocksdb_get()->block_based_options_set_partition_filters)
#define rocksdb_cache_create_lru_opts (prolly_rocksdb_get()->cache_create_lru_opts)
#define rocksdb_cache_destroy (prolly_rocksdb_get()->cache_destroy)
#define rocksdb_cache_set_capacity (prolly_rocksdb_get()->cache_set_capacity)
#define rocksdb_close (prolly_rocksdb_get()->close)
#define rocksdb_column_family_handle_destroy (prolly_rocksdb_get()->column_family_handle_destroy)
#define rocksdb_compact_range_cf_opt (prolly_rocksdb_get()->compact_range_cf_opt)
#define rocksdb_compactoptions_create (prolly_rocksdb_get()->compactoptions_create)
#define rocksdb_compactoptions_destroy (prolly_rocksdb_get()->compactoptions_destroy)
#define rocksdb_compactoptions_set_exclusive_manual_compaction (prolly_rocksdb_get()->compactoptions_set_exclusive_manual_compaction)
#define rocksdb_create_default_env (prolly_rocksdb_get()->create_default_env)
#define rocksdb_create_dir_if_missing (prolly_rocksdb_get()->create_dir_if_missing)
#define rocksdb_create_iterator_cf (prolly_rocksdb_get()->create_iterator_cf)
#define rocksdb_create_mem_env (prolly_rocksdb_get()->create_mem_env)
#define rocksdb_create_snapshot (prolly_rocksdb_get()->create_snapshot)
#define rocksdb_delete_file_in_range_cf (prolly_rocksdb_get()->delete_file_in_range_cf)
#define rocksdb_disable_file_deletions (prolly_rocksdb_get()->disable_file_deletions)
#define rocksdb_enable_file_deletions (prolly_rocksdb_get()->enable_file_deletions)
#define rocksdb_env_destroy (prolly_rocksdb_get()->env_destroy)
#define rocksdb_envoptions_create (prolly_rocksdb_get()->envoptions_create)
#define rocksdb_envoptions_destroy (prolly_rocksdb_get()->envoptions_destroy)
#define rocksdb_filterpolicy_create_bloom_full (prolly_rocksdb_get()->filterpolicy_create_bloom_full)
#define rocksdb_flush_cf (prolly_rocksdb_get()->flush_cf)
#define rocksdb_flush_wal (prolly_rocksdb_get()->flush_wal)
#define rocksdb_flushoptions_create (prolly_rocksdb_get()->flushoptions_create)
#define rocksdb_flushoptions_destroy (prolly_rocksdb_get()->flushoptions_destroy)
#define rocksdb_free (prolly_rocksdb_get()->free)
#define rocksdb_get_latest_sequence_number (prolly_rocksdb_get()->get_latest_sequence_number)
#define rocksdb_get_options_from_string (prolly_rocksdb_get()->get_options_from_string)
#define rocksdb_get_pinned_cf (prolly_rocksdb_get()->get_pinned_cf)
#define rocksdb_ingest_external_file_cf (prolly_rocksdb_get()->ingest_external_file_cf)
#define rocksdb_ingestexternalfileoptions_create (prolly_rocksdb_get()->ingestexternalfileoptions_create)
#define rocksdb_ingestexternalfileoptions_destroy (prolly_rocksdb_get()->ingestexternalfileoptions_destroy)
#define rocksdb_ingestexternalfileoptions_set_move_files (prolly_rocksdb_get()->ingestexternalfileoptions_set_move_files)
#define rocksdb_iter_destroy (prolly_rocksdb_get()->iter_destroy)
#define rocksdb_iter_get_error (prolly_rocksdb_get()->iter_get_error)
#define rocksdb_iter_key (prolly_rocksdb_get()->iter_key)
#define rocksdb_iter_next (prolly_rocksdb_get()->iter_next)
#define rocksdb_iter_prev (prolly_rocksdb_get()->iter_prev)
#define rocksdb_iter_seek (prolly_rocksdb_get()->iter_seek)
#define rocksdb_iter_seek_for_prev (prolly_rocksdb_get()->iter_seek_for_prev)
#define rocksdb_iter_seek_to_first (prolly_rocksdb_get()->iter_seek_to_first)
#define rocksdb_iter_seek_to_last (prolly_rocksdb_get()->iter_seek_to_last)
#define rocksdb_iter_valid (prolly_rocksdb_get()->iter_valid)
#define rocksdb_iter_value (prolly_rocksdb_get()->iter_value)
#define rocksdb_list_column_families (prolly_rocksdb_get()->list_column_families)
#define rocksdb_list_column_families_destroy (prolly_rocksdb_get()->list_column_families_destroy)
#define rocksdb_lru_cache_options_create (prolly_rocksdb_get()->lru_cache_options_create)
#define rocksdb_lru_cache_options_destroy (prolly_rocksdb_get()->lru_cache_options_destroy)
#define rocksdb_lru_cache_options_set_capacity (prolly_rocksdb_get()->lru_cache_options_set_capacity)
#define rocksdb_lru_cache_options_set_num_shard_bits (prolly_rocksdb_get()->lru_cache_options_set_num_shard_bits)
#define rocksdb_open_column_families (prolly_rocksdb_get()->open_column_families)
#define rocksdb_open_for_read_only_column_families (prolly_rocksdb_get()->open_for_read_only_column_families)
#define rocksdb_options_create (prolly_rocksdb_get()->options_create)
#define rocksdb_options_create_copy (prolly_rocksdb_get()->options_create_copy)
#define rocksdb_options_destroy (prolly_rocksdb_get()->options_destroy)
#define rocksdb_options_get_compression (prolly_rocksdb_get()->options_get_compression)
#define rocksdb_options_set_block_based_table_factory (prolly_rocksdb_get()->options_set_block_based_table_factory)
#define rocksdb_options_set_compression (prolly_rocksdb_get()->options_set_compression)
#define rocksdb_options_set_create_if_missing (prolly_rocksdb_get()->options_set_create_if_missing)
#define rocksdb_options_set_create_missing_column_families (prolly_rocksdb_get()->options_set_create_missing_column_families)
#define rocksdb_options_set_env (prolly_rocksdb_get()->options_set_env)
#define rocksdb_pinnableslice_destroy (prolly_rocksdb_get()->pinnableslice_destroy)
#define rocksdb_pinnableslice_value (prolly_rocksdb_get()->pinnableslice_value)
#define rocksdb_property_int_cf (prolly_rocksdb_get()->property_int_cf)
#define rocksdb_readoptions_create (prolly_rocksdb_get()->readoptions_create)
#define rocksdb_readoptions_destroy (prolly_rocksdb_get()->readoptions_destroy)
#define rocksdb_readoptions_set_fill_cache (prolly_rocksdb_get()->readoptions_set_fill_cache)
#define rocksdb_readoptions_set_iterate_lower_bound (prolly_rocksdb_get()->readoptions_set_iterate_lower_bound)
#define rocksdb_readoptions_set_iterate_upper_bound (prolly_rocksdb_get()->readoptions_set_iterate_upper_bound)
#define rocksdb_readoptions_set_snapshot (prolly_rocksdb_get()->readoptions_set_snapshot)
#define rocksdb_release_snapshot (prolly_rocksdb_get()->release_snapshot)
#define rocksdb_sstfilewriter_create (prolly_rocksdb_get()->sstfilewriter_create)
#define rocksdb_sstfilewriter_destroy (prolly_rocksdb_get()->sstfilewriter_destroy)
#define rocksdb_sstfilewriter_file_size (prolly_rocksdb_get()->sstfilewriter_file_size)
#define rocksdb_sstfilewriter_finish (prolly_rocksdb_get()->sstfilewriter_finish)
#define rocksdb_sstfilewriter_open (prolly_rocksdb_get()->sstfilewriter_open)
#define rocksdb_sstfilewriter_put (prolly_rocksdb_get()->sstfilewriter_put)
#define rocksdb_write (prolly_rocksdb_get()->write)
#define rocksdb_writebatch_clear (prolly_rocksdb_get()->writebatch_clear)
#define rocksdb_writebatch_count (prolly_rocksdb_get()->writebatch_count)
#define rocksdb_writebatch_create (prolly_rocksdb_get()->writebatch_create)
#define rocksdb_writebatch_data (prolly_rocksdb_get()->writebatch_data)
#define rocksdb_writebatch_delete_cf (prolly_rocksdb_get()->writebatch_delete_cf)
#define rocksdb_writebatch_delete_range_cf (prolly_rocksdb_get()->writebatch_delete_range_cf)
#define rocksdb_writebatch_destroy (prolly_rocksdb_get()->writebatch_destroy)
#define rocksdb_writebatch_put_cf (prolly_rocksdb_get()->writebatch_put_cf)
#define rocksdb_writebatch_putv_cf (prolly_rocksdb_get()->writebatch_putv_cf)
#define rocksdb_writeoptions_create (prolly_rocksdb_get()->writeoptions_create)
#define rocksdb_writeoptions_destroy (prolly_rocksdb_get()->writeoptions_destroy)
#define rocksdb_writeoptions_set_sync (prolly_rocksdb_get()->writeoptions_set_sync)
/* clang-format on */
