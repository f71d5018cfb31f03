/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packed-refs: the names in git's file of the references that are no files of their own.
 *
 * Only the names, in order: where they stand libgit2 reads. git renames a new packed-refs into the
 * place of the old, so one whose stat is as it was need not be read again.
 */
#include "version/refs-private.h"

#include <string.h>
#include <sys/stat.h>

void prolly_packed_refs_init(ProllyPackedRefs *self)
{
	*self = (ProllyPackedRefs){.names = g_ptr_array_new_with_free_func(g_free)};
}

void prolly_packed_refs_clear(ProllyPackedRefs *self)
{
	g_clear_pointer(&self->names, g_ptr_array_unref);
}

/* Fills SELF with the names in TEXT: lines of an id, a space and a name. */
static void parse(ProllyPackedRefs *self, char *text)
{
	g_ptr_array_set_size(self->names, 0);
	for (char *line = text, *end; *line; line = end + 1) {
		end = line + strcspn(line, "\n");
		if (end - line > GIT_OID_HEXSZ && line[GIT_OID_HEXSZ] == ' ')
			g_ptr_array_add(self->names,
					g_strndup(line + GIT_OID_HEXSZ + 1,
						  (gsize)(end - line) - GIT_OID_HEXSZ - 1));
		if (*end == '\0')
			break;
	}
	g_ptr_array_sort(self->names, prolly_strings_compare);
}

bool prolly_packed_refs_load(ProllyPackedRefs *self, const char *git_dir, GError **error)
{
	g_autofree char *path = g_strconcat(git_dir, "/packed-refs", NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) local = NULL;
	struct stat st;

	if (stat(path, &st) < 0) {
		g_ptr_array_set_size(self->names, 0);
		self->stamp = (struct stat){0};
		return errno == ENOENT || prolly_throw_errno(error, errno, "read %s", path);
	}
	if (prolly_is_same_stamp(&st, &self->stamp))
		return true;
	if (!g_file_get_contents(path, &text, NULL, &local))
		return prolly_throw(error, PROLLY_ERROR_FAILED, "%s", local->message);
	parse(self, text);
	self->stamp = st;
	return true;
}

guint prolly_packed_refs_find(const ProllyPackedRefs *self, const char *name)
{
	guint low = 0, high = self->names->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (strcmp(g_ptr_array_index(self->names, middle), name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *prolly_packed_refs_find_clash(const ProllyPackedRefs *self, const char *name,
					  const char *except)
{
	g_autofree char *below = g_strconcat(name, "/", NULL);

	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		g_autofree char *above = g_strndup(name, (size_t)(slash - name));
		guint i = prolly_packed_refs_find(self, above);
		const char *packed = i < self->names->len ? self->names->pdata[i] : NULL;

		if (g_strcmp0(packed, above) == 0 && g_strcmp0(packed, except) != 0)
			return packed;
	}
	for (guint i = prolly_packed_refs_find(self, below); i < self->names->len; i++) {
		const char *packed = g_ptr_array_index(self->names, i);

		if (!prolly_ref_is_below(packed, name))
			break;
		if (g_strcmp0(packed, except) != 0)
			return packed;
	}
	return NULL;
}
