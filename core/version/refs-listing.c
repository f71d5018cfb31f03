/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names in a directory of references, remembered: to read ten thousand entries takes the kernel
 * 4 ms, and `ls` of a mount asks for them each time.
 *
 * L1  The names are right for as long as the directory's stamp (number, time of change) is the one
 *     it had before it was read, and that time was SETTLED ago then: a change in the same tick of the
 *     clock as another leaves no other stamp.
 */
#include "version/repo-private.h"

#include <string.h>

#define SETTLED  (G_USEC_PER_SEC + G_USEC_PER_SEC / 2) /* some filesystems count whole seconds */
#define WORTH_IT 64                                    /* names */

struct ProllyRefListing {
	char *directory; /* NULL: none */
	struct stat stamp;
	GPtrArray *names; /* of char * */
};

ProllyRefListing *prolly_ref_listing_new(void)
{
	ProllyRefListing *self = g_new0(ProllyRefListing, 1);

	self->names = g_ptr_array_new_with_free_func(g_free);
	return self;
}

void prolly_ref_listing_free(ProllyRefListing *self)
{
	g_ptr_array_unref(self->names);
	g_free(self->directory);
	g_free(self);
}

bool prolly_is_same_stamp(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void append_names(GPtrArray *to, const GPtrArray *from, guint first)
{
	for (guint i = first; i < from->len; i++)
		g_ptr_array_add(to, g_strdup(g_ptr_array_index(from, i)));
}

bool prolly_ref_listing_get(const ProllyRefListing *self, const char *directory,
			    const struct stat *stamp, GPtrArray *names)
{
	if (!self->directory || strcmp(self->directory, directory) != 0 ||
	    !prolly_is_same_stamp(&self->stamp, stamp))
		return false;
	append_names(names, self->names, 0);
	return true;
}

void prolly_ref_listing_set(ProllyRefListing *self, const char *directory, const struct stat *stamp,
			    int64_t read_at, const GPtrArray *names, guint first)
{
	int64_t changed =
		(int64_t)stamp->st_mtim.tv_sec * G_USEC_PER_SEC + stamp->st_mtim.tv_nsec / 1000;

	if (names->len - first < WORTH_IT || read_at - changed < SETTLED)
		return;
	g_free(self->directory);
	self->directory = g_strdup(directory);
	self->stamp = *stamp;
	g_ptr_array_set_size(self->names, 0);
	append_names(self->names, names, first);
}
