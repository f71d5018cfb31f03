/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading git's commit-graph file (commit-graph.c writes it): parents, date and generation number of
 * a commit, without its object. A generation is one more than the greatest of the parents', so a
 * commit is never an ancestor of one whose generation is not greater.
 *
 * It is a table of contents and four chunks: how many ids there are up to each first byte, the ids
 * in order, a record for each, and the parents behind the second where there are more. The file is
 * mapped, and a log keeps its mapping, whatever is put in the file's place meanwhile.
 *
 * Nothing in it is trusted: every chunk's size and every number is checked against what is there. A
 * file that cannot be so, or is of another kind (git can chain several), counts as none: all of it
 * can be had from the commits themselves.
 */
#include "version/topo-private.h"

#include <string.h>

#define HEADER_SIZE  8u
#define ENTRY_SIZE   12u /* of the table of contents */
#define FANOUT_SIZE  1024u
#define RECORD_SIZE  36u
#define NO_PARENT    0x70000000u
#define HAS_MORE     0x80000000u /* of a second parent: it is where the others begin */
#define IS_LAST      0x80000000u /* of those */
#define TIME_BITS    34
#define PARENTS_MAX  1000u
#define CHUNK_FANOUT 0x4f494446u /* "OIDF" */
#define CHUNK_IDS    0x4f49444cu /* "OIDL" */
#define CHUNK_DATA   0x43444154u /* "CDAT" */
#define CHUNK_EDGES  0x45444745u /* "EDGE" */

typedef struct {
	const uint8_t *data;
	size_t size;
} Chunk;

struct ProllyCommitGraph {
	GMappedFile *file;
	uint32_t n; /* commits */
	Chunk fanout, ids, records, edges;
};

/* ---- Its shape --------------------------------------------------------------------------- */

static void take_chunk(ProllyCommitGraph *graph, uint32_t name, Chunk chunk)
{
	if (name == CHUNK_FANOUT)
		graph->fanout = chunk;
	else if (name == CHUNK_IDS)
		graph->ids = chunk;
	else if (name == CHUNK_DATA)
		graph->records = chunk;
	else if (name == CHUNK_EDGES)
		graph->edges = chunk;
}

static bool find_chunks(ProllyCommitGraph *graph)
{
	const uint8_t *bytes = (const uint8_t *)g_mapped_file_get_contents(graph->file);
	size_t size = g_mapped_file_get_length(graph->file);
	static const uint8_t START[] = {'C', 'G', 'P', 'H', 1, 1};

	/* its 6th byte: chunks; its 7th: files that it builds upon */
	if (size < HEADER_SIZE || memcmp(bytes, START, sizeof START) != 0 || bytes[7] != 0 ||
	    size - HEADER_SIZE < (bytes[6] + 1) * ENTRY_SIZE)
		return false;
	for (unsigned i = 0; i < bytes[6]; i++) {
		const uint8_t *entry = bytes + HEADER_SIZE + i * ENTRY_SIZE;
		uint64_t start = prolly_get_be64(entry + 4);
		uint64_t end = prolly_get_be64(entry + ENTRY_SIZE + 4);

		if (start > end || end > size)
			return false;
		take_chunk(graph, prolly_get_be32(entry), (Chunk){bytes + start, end - start});
	}
	return true;
}

static uint32_t get_fanout(const ProllyCommitGraph *graph, unsigned byte)
{
	return prolly_get_be32(graph->fanout.data + 4 * (size_t)byte);
}

static bool check_sizes(ProllyCommitGraph *graph)
{
	if (graph->fanout.size != FANOUT_SIZE)
		return false;
	for (unsigned byte = 1; byte < 256; byte++)
		if (get_fanout(graph, byte) < get_fanout(graph, byte - 1))
			return false;
	graph->n = get_fanout(graph, 255);
	return graph->ids.size == (uint64_t)graph->n * PROLLY_COMMIT_ID_SIZE &&
	       graph->records.size == (uint64_t)graph->n * RECORD_SIZE;
}

ProllyCommitGraph *prolly_commit_graph_open(const char *git_dir)
{
	g_autofree char *path = NULL;
	ProllyCommitGraph *graph;
	GMappedFile *file;

	if (!git_dir)
		return NULL;
	path = g_build_filename(git_dir, "objects", "info", "commit-graph", NULL);
	file = g_mapped_file_new(path, FALSE, NULL);
	if (!file)
		return NULL;
	graph = g_new0(ProllyCommitGraph, 1);
	graph->file = file;
	if (!find_chunks(graph) || !check_sizes(graph))
		g_clear_pointer(&graph, prolly_commit_graph_free);
	return graph;
}

void prolly_commit_graph_free(ProllyCommitGraph *graph)
{
	if (!graph)
		return;
	g_mapped_file_unref(graph->file);
	g_free(graph);
}

/* ---- What it says ------------------------------------------------------------------------ */

static const uint8_t *get_id(const ProllyCommitGraph *graph, uint32_t i)
{
	return graph->ids.data + (size_t)i * PROLLY_COMMIT_ID_SIZE;
}

static bool find(const ProllyCommitGraph *graph, const ProllyCommitId *id, uint32_t *out_i)
{
	uint32_t low = id->bytes[0] ? get_fanout(graph, id->bytes[0] - 1u) : 0;
	uint32_t high = get_fanout(graph, id->bytes[0]);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = memcmp(id->bytes, get_id(graph, middle), PROLLY_COMMIT_ID_SIZE);

		if (order == 0) {
			*out_i = middle;
			return true;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static bool add_parent(const ProllyCommitGraph *graph, uint32_t i, GArray *parents)
{
	ProllyCommitId id;

	if (i >= graph->n || parents->len >= PARENTS_MAX)
		return false;
	memcpy(id.bytes, get_id(graph, i), PROLLY_COMMIT_ID_SIZE);
	g_array_append_val(parents, id);
	return true;
}

/* The second parent and those behind it. */
static bool add_more(const ProllyCommitGraph *graph, uint32_t first, GArray *parents)
{
	for (size_t i = first;; i++) {
		uint32_t edge;

		if (i >= graph->edges.size / 4)
			return false;
		edge = prolly_get_be32(graph->edges.data + 4 * i);
		if (!add_parent(graph, edge & ~IS_LAST, parents))
			return false;
		if (edge & IS_LAST)
			return true;
	}
}

static bool add_parents(const ProllyCommitGraph *graph, uint32_t first, uint32_t second,
			GArray *parents)
{
	if (first == NO_PARENT)
		return second == NO_PARENT;
	if (!add_parent(graph, first, parents))
		return false;
	if (second == NO_PARENT)
		return true;
	return second & HAS_MORE ? add_more(graph, second & ~HAS_MORE, parents)
				 : add_parent(graph, second, parents);
}

bool prolly_commit_graph_find(const ProllyCommitGraph *graph, const ProllyCommitId *id,
			      ProllyCommitFacts *out_facts)
{
	const uint8_t *record;
	uint64_t numbers;
	uint32_t i;

	if (!find(graph, id, &i))
		return false;
	record = graph->records.data + (size_t)i * RECORD_SIZE + PROLLY_COMMIT_ID_SIZE;
	numbers = prolly_get_be64(record + 8);
	out_facts->time = (int64_t)(numbers & (((uint64_t)1 << TIME_BITS) - 1));
	out_facts->generation = (uint32_t)(numbers >> TIME_BITS);
	g_array_set_size(out_facts->parents, 0);
	/* git once wrote files without generations, all 0 */
	return out_facts->generation > 0 &&
	       add_parents(graph, prolly_get_be32(record), prolly_get_be32(record + 4),
			   out_facts->parents);
}
