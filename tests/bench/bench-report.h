/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the engine's benchmarks share: figures as they are printed, files as they are counted. */

#include <ftw.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct {
	const char *peer;
	uint64_t n;   /* entries */
	gboolean tsv; /* tabs between the fields, not JSON */
} BenchReport;

static inline void bench_end_unless(bool ok, const GError *error)
{
	if (!ok)
		g_error("%s: %s", g_get_prgname(), error ? error->message : "wrong result");
}

/* CONDITION first, since it may set ERROR. */
#define must(condition, error)                    \
	do {                                      \
		bool must_ok = (condition);       \
		bench_end_unless(must_ok, error); \
	} while (0)

static inline double bench_get_seconds(void)
{
	return (double)g_get_monotonic_time() / 1e6;
}

static inline void bench_emit(const BenchReport *self, const char *workload, double value,
			      const char *unit, const char *note)
{
	if (self->tsv)
		printf("%s\t%s\t%" G_GUINT64_FORMAT "\t%s\t%.4f\t%s\n", self->peer, workload,
		       self->n, unit, value, note);
	else
		printf("{\"peer\":\"%s\",\"workload\":\"%s\",\"n\":%" G_GUINT64_FORMAT
		       ",\"value\":%.4f,\"unit\":\"%s\",\"note\":\"%s\"}\n",
		       self->peer, workload, self->n, value, unit, note);
	fflush(stdout);
}

static inline int bench_compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the N VALUES. */
static inline double bench_get_median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), bench_compare_doubles);
	return values[n / 2];
}

/* (transfer full) The value of --dir; --n and --tsv are REPORT's. */
static inline char *bench_parse_arguments(int argc, char **argv, BenchReport *report)
{
	char *dir = NULL;
	gint64 n = 10000;
	const GOptionEntry options[] = {
		{"n", 0, 0, G_OPTION_ARG_INT64, &n, "entries", "N"},
		{"dir", 0, 0, G_OPTION_ARG_FILENAME, &dir, "where stores go", "DIR"},
		{"tsv", 0, 0, G_OPTION_ARG_NONE, &report->tsv, "tabs, not JSON", NULL},
		{NULL},
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	GError *error = NULL;

	g_option_context_add_main_entries(context, options, NULL);
	must(g_option_context_parse(context, &argc, &argv, &error), error);
	report->n = (uint64_t)n;
	return dir ? dir : g_strdup(g_get_tmp_dir());
}

/* ---- Files ------------------------------------------------------------------------------- */

static size_t bench_disk_bytes;

static inline int bench_add_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type == FTW_F)
		bench_disk_bytes += (size_t)st->st_size;
	return 0;
}

static inline double bench_get_disk_bytes(const char *dir)
{
	bench_disk_bytes = 0;
	nftw(dir, bench_add_file, 16, FTW_PHYS);
	return (double)bench_disk_bytes;
}

static inline int bench_remove_file(const char *path, const struct stat *st, int type,
				    struct FTW *ftw)
{
	return remove(path);
}

static inline void bench_remove_all(const char *dir)
{
	nftw(dir, bench_remove_file, 16, FTW_PHYS | FTW_DEPTH);
}
