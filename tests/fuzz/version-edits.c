/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that change keys and namespaces of a working state. */
#include "version-steps.h"

/* Short ones, mostly; files, mostly. */
static const char *take_value(Fuzz *self)
{
	static const size_t lengths[] = {0, 900, 1023, 1024, 1025, 5000, 20000};
	unsigned number = fuzz_take_byte(self->input), content = number % 32;
	g_autofree char *text = NULL;

	if (content % 16 < G_N_ELEMENTS(lengths))
		text = g_strnfill(lengths[content % 16], content < 16 ? 'p' : 'q');
	else
		text = g_strdup_printf("%u", content % 4);
	return merge_make_value(&self->model->history, "fffffxxl"[number / 32], text);
}

/* ---- Keys -------------------------------------------------------------------------------- */

void step_put(Fuzz *self)
{
	static const unsigned all_flags[] = {0, PROLLY_EDIT_KEEP_ATTRS, PROLLY_EDIT_EXCLUSIVE};
	Spot spot = take_spot(self);
	const char *value = take_value(self);
	unsigned flags = all_flags[take_below(self, G_N_ELEMENTS(all_flags))];
	bool refused = *spot.value && (flags & PROLLY_EDIT_EXCLUSIVE);
	g_autoptr(GBytes) stored = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(ProllyGuard) guard = prolly_guard_enter(self->site.repo);

	stored = site_store(&self->site, value);
	prolly_edit_put(self->site.repo, self->branch, &spot.place, stored, NULL, flags, NULL,
			&error);
	expect(&error, refused ? PROLLY_ERROR_EXISTS : -1);
	if (!refused)
		*spot.value = value;
}

void step_delete(Fuzz *self)
{
	Spot spot = take_spot(self);
	g_autoptr(GError) error = NULL;

	prolly_edit_delete(self->site.repo, self->branch, &spot.place, NULL, &error);
	expect(&error, *spot.value ? -1 : PROLLY_ERROR_NOT_FOUND);
	*spot.value = NULL;
}

/* A file becomes executable, or is so no more. */
void step_change_kind(Fuzz *self)
{
	Spot spot = take_spot(self);
	bool executable = take_below(self, 2);
	ProllyAttrs attrs = {.has = PROLLY_ATTR_MODE, .mode = executable ? 0755 : 0644};
	g_autoptr(GError) error = NULL;

	if (!merge_is_file(*spot.value))
		return;
	prolly_edit_set_attrs(self->site.repo, self->branch, &spot.place, false, &attrs,
			      executable ? PROLLY_KIND_EXECUTABLE : PROLLY_KIND_FILE, NULL, &error);
	expect(&error, -1);
	*spot.value =
		merge_make_value(&self->model->history, executable ? 'x' : 'f', *spot.value + 1);
}

void step_rename(Fuzz *self)
{
	static const unsigned all_flags[] = {0, 0, PROLLY_RENAME_NOREPLACE, PROLLY_RENAME_EXCHANGE};
	Spot from = take_spot(self), to = take_spot(self);
	unsigned flags = all_flags[take_below(self, G_N_ELEMENTS(all_flags))];
	const char *replaced = *to.value;
	g_autoptr(GError) error = NULL;
	int code = -1;

	if (from.value == to.value || !self->ours->working.has[to.ns])
		return;
	if (!*from.value || (!*to.value && flags & PROLLY_RENAME_EXCHANGE))
		code = PROLLY_ERROR_NOT_FOUND;
	else if (*to.value && flags & PROLLY_RENAME_NOREPLACE)
		code = PROLLY_ERROR_EXISTS;
	prolly_edit_rename(self->site.repo, self->branch, &from.place, &to.place, flags, &error);
	expect(&error, code);
	if (code >= 0)
		return;
	*to.value = *from.value;
	*from.value = flags & PROLLY_RENAME_EXCHANGE ? replaced : NULL;
}

void step_load(Fuzz *self)
{
	int ns = (int)take_below(self, MERGE_NAMESPACES);
	g_autoptr(GError) error = NULL;
	g_autoptr(ProllyLoad) load = NULL;

	prolly_load_new(self->site.repo, self->branch, site_namespaces[ns], &load, &error);
	g_assert_no_error(error);
	for (unsigned n = 1 + take_below(self, 4); n; n--) {
		int key = (int)take_below(self, MERGE_KEYS);
		const char *content = take_value(self) + 1;

		prolly_load_add(load, site_keys[key], strlen(site_keys[key]), content,
				strlen(content), &error);
		g_assert_no_error(error);
		self->ours->working.values[ns][key] =
			merge_make_value(&self->model->history, 'f', content);
	}
	prolly_load_attach(load, &error);
	g_assert_no_error(error);
}

/* ---- Namespaces -------------------------------------------------------------------------- */

/* Not the unnamed one. */
static int take_named(Fuzz *self)
{
	int ns = (int)take_below(self, MERGE_NAMESPACES - 1);

	return ns < MERGE_UNNAMED ? ns : ns + 1;
}

void step_make_namespace(Fuzz *self)
{
	int ns = take_named(self);
	ProllyPlace place = {site_namespaces[ns], NULL, 0};
	bool *has = &self->ours->working.has[ns];
	g_autoptr(GError) error = NULL;

	prolly_edit_make_directory(self->site.repo, self->branch, &place, NULL, NULL, &error);
	expect(&error, *has ? PROLLY_ERROR_EXISTS : -1);
	*has = true;
}

void step_remove_namespace(Fuzz *self)
{
	int ns = take_named(self);
	ProllyPlace place = {site_namespaces[ns], NULL, 0};
	bool *has = &self->ours->working.has[ns];
	bool has_keys = merge_has_keys(&self->ours->working, ns);
	g_autoptr(GError) error = NULL;

	prolly_edit_remove_directory(self->site.repo, self->branch, &place, &error);
	expect(&error, !*has ? PROLLY_ERROR_NOT_FOUND : has_keys ? PROLLY_ERROR_NOT_EMPTY : -1);
	*has = has_keys;
}

static void exchange_namespaces(MergeState *state, int a, int b)
{
	MergeState copy = *state;

	memcpy(state->values[a], copy.values[b], sizeof(copy.values[b]));
	memcpy(state->values[b], copy.values[a], sizeof(copy.values[a]));
	state->has[a] = copy.has[b];
	state->has[b] = copy.has[a];
}

void step_rename_namespace(Fuzz *self)
{
	static const unsigned all_flags[] = {0, PROLLY_RENAME_NOREPLACE, PROLLY_RENAME_EXCHANGE};
	int from = take_named(self), to = take_named(self);
	unsigned flags = all_flags[take_below(self, G_N_ELEMENTS(all_flags))];
	ProllyPlace places[] = {{site_namespaces[from], NULL, 0}, {site_namespaces[to], NULL, 0}};
	MergeState *working = &self->ours->working;
	g_autoptr(GError) error = NULL;
	int code = -1;

	if (from == to)
		return;
	if (!working->has[from] || (!working->has[to] && flags & PROLLY_RENAME_EXCHANGE))
		code = PROLLY_ERROR_NOT_FOUND;
	else if (working->has[to] && flags & PROLLY_RENAME_NOREPLACE)
		code = PROLLY_ERROR_EXISTS;
	else if (merge_has_keys(working, to) && !(flags & PROLLY_RENAME_EXCHANGE))
		code = PROLLY_ERROR_NOT_EMPTY;
	prolly_edit_rename(self->site.repo, self->branch, &places[0], &places[1],
			   flags | PROLLY_RENAME_FROM_DIRECTORY | PROLLY_RENAME_TO_DIRECTORY,
			   &error);
	expect(&error, code);
	if (code >= 0)
		return;
	if (!(flags & PROLLY_RENAME_EXCHANGE))
		working->has[to] = false;
	exchange_namespaces(working, from, to);
}
