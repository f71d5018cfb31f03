/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: documents, member by member.
 *
 * A value that one side alone changed is the other's; one that both changed to the same is that.
 * Objects that both changed are merged member by member, by the same rules. Members that are only
 * on one side were added, or deleted by the other: deleting a member that the other side changed is
 * a conflict. Arrays that both changed are compared element by element with the base, between
 * elements that all three have in common. Elements that one side removed are gone, and what either
 * added is there (of both at one place the lesser run first, what both added once); but where
 * elements were replaced, which is seen by one that both removed and something added, as many must
 * stand in the place of as many on both sides, and they are merged one by one. Anything else is a
 * conflict, and a conflict anywhere is one of the whole value.
 *
 * The result is put together from the texts: what is taken over keeps its bytes. Where formatting
 * differs, it is chosen as any text would be: whoever changed it, and if both did, the lesser. So
 * numbers lose no digit, and the sides can be exchanged.
 */
#include "version/json-text.h"

#include <string.h>

static const ProllyText NOTHING = {"", 0};

static bool is_same(const ProllyJson *a, const ProllyJson *b)
{
	return a && b && prolly_hash_equal(&a->hash, &b->hash);
}

static bool is_kind(const ProllyJson *json, ProllyJsonKind kind)
{
	return json && json->kind == kind;
}

static void append_text(GByteArray *out, const ProllyText *text)
{
	if (text->len)
		g_byte_array_append(out, (const uint8_t *)text->data, (guint)text->len);
}

/* ---- Three sides ------------------------------------------------------------------------- */

/* Any may be NULL. */
typedef struct {
	const ProllyJson *base, *ours, *theirs;
} Trio;

typedef struct {
	const ProllyJsonMember *base, *ours, *theirs;
} Members;

static const ProllyText *choose(const ProllyText *base, const ProllyText *ours,
				const ProllyText *theirs)
{
	if (!ours || !theirs)
		return ours ? ours : theirs;
	return prolly_text_choose(base ? base : &NOTHING, ours, theirs);
}

/* ---- Containers -------------------------------------------------------------------------- */

/* The white space of a container. */
typedef struct {
	ProllyText first; /* before the first member */
	ProllyText next;  /* before any other */
	ProllyText close;
} Style;

static bool has_line_end(const ProllyText *text)
{
	return text->len && memchr(text->data, '\n', text->len);
}

static const ProllyText SPACE = {" ", 1};

/* Is there a space after a colon of JSON's? Then there is one after its commas. */
static bool has_spaces(const ProllyJson *json)
{
	const ProllyText *colon = &prolly_json_get(json, 0)->colon;

	return colon->len > 0 && colon->data[colon->len - 1] == ' ';
}

/* NEXT: what is between members where JSON has too few to tell. */
static Style get_style(const ProllyJson *json, const ProllyText *next)
{
	Style style = {NOTHING, *next, NOTHING};

	if (!json)
		return style;
	style.close = json->close;
	if (json->members->len > 0)
		style.first = prolly_json_get(json, 0)->lead;
	if (json->members->len > 1)
		style.next = prolly_json_get(json, 1)->lead;
	else if (has_line_end(&style.first))
		style.next = style.first;
	else if (json->kind == PROLLY_JSON_OBJECT && json->members->len > 0)
		style.next = has_spaces(json) ? SPACE : NOTHING;
	return style;
}

/* A container that is being written. */
typedef struct {
	GByteArray *out;
	Style style;
	ProllyJsonKind kind;
	size_t n; /* members so far */
} Writer;

/* In a container with NEXT between its members. */
static void begin_container(Writer *self, const Trio *trio, const ProllyText *next, GByteArray *out)
{
	const ProllyText *inner = has_line_end(next) ? &SPACE : next;
	Style base = get_style(trio->base, inner), ours = get_style(trio->ours, inner);
	Style theirs = get_style(trio->theirs, inner);

	*self = (Writer){.out = out, .kind = trio->ours->kind};
	self->style.first = *prolly_text_choose(&base.first, &ours.first, &theirs.first);
	self->style.next = *prolly_text_choose(&base.next, &ours.next, &theirs.next);
	self->style.close = *prolly_text_choose(&base.close, &ours.close, &theirs.close);
	prolly_append_u8(out, self->kind == PROLLY_JSON_OBJECT ? '{' : '[');
}

/* What goes before a member's value. */
static void begin_member(Writer *self, const Members *members)
{
	const ProllyJsonMember *base = members->base, *ours = members->ours;
	const ProllyJsonMember *theirs = members->theirs;

	if (self->n > 0)
		prolly_append_u8(self->out, ',');
	append_text(self->out, self->n > 0 ? &self->style.next : &self->style.first);
	self->n++;
	if (self->kind == PROLLY_JSON_ARRAY)
		return;
	append_text(self->out, choose(base ? &base->key : NULL, ours ? &ours->key : NULL,
				      theirs ? &theirs->key : NULL));
	append_text(self->out, choose(base ? &base->colon : NULL, ours ? &ours->colon : NULL,
				      theirs ? &theirs->colon : NULL));
}

static void end_container(Writer *self)
{
	append_text(self->out, &self->style.close);
	prolly_append_u8(self->out, self->kind == PROLLY_JSON_OBJECT ? '}' : ']');
}

static bool merge_value(const Trio *trio, const ProllyText *next, GByteArray *out);

/* The values of MEMBERS, merged. */
static bool write_member(Writer *self, const Members *members)
{
	Trio trio = {
		members->base ? members->base->value : NULL,
		members->ours ? members->ours->value : NULL,
		members->theirs ? members->theirs->value : NULL,
	};

	begin_member(self, members);
	return merge_value(&trio, &self->style.next, self->out);
}

/* ---- Objects ----------------------------------------------------------------------------- */

/* Name -> 1 + index. */
static GHashTable *index_members(const ProllyJson *json)
{
	GHashTable *index = g_hash_table_new(g_bytes_hash, g_bytes_equal);

	for (guint i = 0; json && i < json->members->len; i++)
		g_hash_table_insert(index, prolly_json_get(json, i)->name, GUINT_TO_POINTER(i + 1));
	return index;
}

static const ProllyJsonMember *find_member(const ProllyJson *json, GHashTable *index, GBytes *name)
{
	guint i = GPOINTER_TO_UINT(g_hash_table_lookup(index, name));

	return i ? prolly_json_get(json, i - 1) : NULL;
}

/* Is a member that only one side has (KEPT; it was BASE) to stay? False: deleting it is a conflict,
 * unless *OUT_DROPPED: it goes. */
static bool check_lone_member(const ProllyJsonMember *base, const ProllyJsonMember *kept,
			      bool *out_dropped)
{
	*out_dropped = base != NULL;
	return !base || is_same(base->value, kept->value);
}

/* (transfer full) Numbers of the names in JSON. */
static GArray *number_names(const ProllyJson *json, GHashTable *known)
{
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (guint i = 0; json && i < json->members->len; i++) {
		GBytes *name = prolly_json_get(json, i)->name;
		gpointer found = g_hash_table_lookup(known, name);
		uint32_t id = found ? GPOINTER_TO_UINT(found) : g_hash_table_size(known) + 1;

		g_hash_table_insert(known, name, GUINT_TO_POINTER(id));
		g_array_append_val(ids, id);
	}
	return ids;
}

static ProllyList as_list(const GArray *ids)
{
	return (ProllyList){(const uint32_t *)(const void *)ids->data, ids->len};
}

static int order_names(void *data, size_t a, size_t b)
{
	const Trio *trio = data;

	return g_bytes_compare(prolly_json_get(trio->ours, a)->name,
			       prolly_json_get(trio->theirs, b)->name);
}

/* (transfer full) The names of the result, and perhaps of members that are dropped, in order. */
static GArray *order_members(Trio *trio)
{
	g_autoptr(GHashTable) known = g_hash_table_new(g_bytes_hash, g_bytes_equal);
	g_autoptr(GArray) base = number_names(trio->base, known);
	g_autoptr(GArray) ours = number_names(trio->ours, known);
	g_autoptr(GArray) theirs = number_names(trio->theirs, known);
	ProllyList a = as_list(base), b = as_list(ours), c = as_list(theirs);

	return prolly_list_union(&a, &b, &c, order_names, trio);
}

/* Every deletion of a member is of one that the other side left as it was. */
static bool check_deletions(const ProllyJson *kept, GHashTable *other, const ProllyJson *base,
			    GHashTable *in_base)
{
	for (guint i = 0; i < kept->members->len; i++) {
		const ProllyJsonMember *member = prolly_json_get(kept, i);
		bool dropped;

		if (!g_hash_table_contains(other, member->name) &&
		    !check_lone_member(find_member(base, in_base, member->name), member, &dropped))
			return false;
	}
	return true;
}

static bool write_named(Writer *self, const Trio *trio, GHashTable *const indexes[3], GBytes *name)
{
	Members members = {
		find_member(trio->base, indexes[0], name),
		find_member(trio->ours, indexes[1], name),
		find_member(trio->theirs, indexes[2], name),
	};
	const ProllyJsonMember *lone = members.ours ? members.ours : members.theirs;
	bool dropped = false;

	if (!members.ours || !members.theirs)
		check_lone_member(members.base, lone, &dropped);
	return dropped || write_member(self, &members);
}

static bool merge_objects(Trio *trio, const ProllyText *next, GByteArray *out)
{
	g_autoptr(GHashTable) in_base = index_members(trio->base);
	g_autoptr(GHashTable) in_ours = index_members(trio->ours);
	g_autoptr(GHashTable) in_theirs = index_members(trio->theirs);
	GHashTable *const indexes[3] = {in_base, in_ours, in_theirs};
	g_autoptr(GArray) items = NULL;
	Writer writer;

	if (!check_deletions(trio->ours, in_theirs, trio->base, in_base) ||
	    !check_deletions(trio->theirs, in_ours, trio->base, in_base))
		return false;
	items = order_members(trio);
	begin_container(&writer, trio, next, out);
	for (guint i = 0; i < items->len; i++) {
		const ProllyListItem *item = &g_array_index(items, ProllyListItem, i);
		const ProllyJson *side =
			item->side == PROLLY_SIDE_OF_OURS ? trio->ours : trio->theirs;

		if (!write_named(&writer, trio, indexes, prolly_json_get(side, item->index)->name))
			return false;
	}
	end_container(&writer);
	return true;
}

/* ---- Arrays ------------------------------------------------------------------------------ */

/* (transfer full) Numbers of the elements of JSON: equal ones have equal numbers. */
static GArray *number_elements(const ProllyJson *json, GHashTable *known)
{
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (guint i = 0; json && i < json->members->len; i++) {
		ProllyHash *hash = &prolly_json_get(json, i)->value->hash;
		gpointer found = g_hash_table_lookup(known, hash);
		uint32_t id = found ? GPOINTER_TO_UINT(found) : g_hash_table_size(known) + 1;

		if (!found)
			g_hash_table_insert(known, hash, GUINT_TO_POINTER(id));
		g_array_append_val(ids, id);
	}
	return ids;
}

/* A part of the three arrays between elements that all have. */
typedef struct {
	size_t start[3], end[3];
} Hunk;

typedef struct {
	Trio *trio;
	ProllyList lists[3];
	size_t *matches[3]; /* of the base with ours and theirs; [0] is NULL */
	Writer writer;
} Arrays;

static size_t hunk_len(const Hunk *hunk, size_t side)
{
	return hunk->end[side] - hunk->start[side];
}

static bool is_hunk_same(const Arrays *self, const Hunk *hunk, size_t a, size_t b)
{
	size_t n = hunk_len(hunk, a);

	return n == hunk_len(hunk, b) &&
	       (n == 0 || memcmp(self->lists[a].ids + hunk->start[a],
				 self->lists[b].ids + hunk->start[b], n * sizeof(uint32_t)) == 0);
}

static const ProllyJsonMember *get_element(const Arrays *self, size_t side, size_t i)
{
	const ProllyJson *sides[3] = {self->trio->base, self->trio->ours, self->trio->theirs};

	return prolly_json_get(sides[side], i);
}

/* One side's elements, as they are. */
static bool write_side(Arrays *self, const Hunk *hunk, size_t side)
{
	for (size_t i = hunk->start[side]; i < hunk->end[side]; i++) {
		Members members = {.ours = get_element(self, side, i)};

		if (!write_member(&self->writer, &members))
			return false;
	}
	return true;
}

/* As many elements of ours and theirs (and of the base, if WITH_BASE), one by one. */
static bool write_pairs(Arrays *self, const Hunk *hunk, bool with_base)
{
	for (size_t i = 0; i < hunk_len(hunk, 1); i++) {
		Members members = {
			with_base ? get_element(self, 0, hunk->start[0] + i) : NULL,
			get_element(self, 1, hunk->start[1] + i),
			get_element(self, 2, hunk->start[2] + i),
		};

		if (!write_member(&self->writer, &members))
			return false;
	}
	return true;
}

typedef struct {
	const Arrays *arrays;
	const Hunk *hunk;
} Added;

static int order_added(void *data, size_t a, size_t b)
{
	const Added *self = data;

	return prolly_text_compare(
		&get_element(self->arrays, 1, self->hunk->start[1] + a)->value->text,
		&get_element(self->arrays, 2, self->hunk->start[2] + b)->value->text);
}

static ProllyList get_part(const Arrays *self, const Hunk *hunk, size_t side)
{
	return (ProllyList){self->lists[side].ids + hunk->start[side], hunk_len(hunk, side)};
}

/* What both left, and what either added. */
static bool write_union(Arrays *self, const Hunk *hunk)
{
	ProllyList base = get_part(self, hunk, 0), ours = get_part(self, hunk, 1);
	ProllyList theirs = get_part(self, hunk, 2);
	Added added = {self, hunk};
	g_autoptr(GArray) items = prolly_list_union(&base, &ours, &theirs, order_added, &added);

	for (guint i = 0; i < items->len; i++) {
		const ProllyListItem *item = &g_array_index(items, ProllyListItem, i);
		size_t side = item->side == PROLLY_SIDE_OF_OURS ? 1 : 2;
		Members members = {
			.ours = get_element(self, side, hunk->start[side] + item->index)};

		if (!write_member(&self->writer, &members))
			return false;
	}
	return true;
}

/* Did a side put something in the place of an element that the other removed, or replaced too? An
 * element that both removed may be that one, if anything was added. */
static bool is_clash(const Arrays *self, const Hunk *hunk)
{
	size_t removed = 0, kept[2] = {0};

	for (size_t i = hunk->start[0]; i < hunk->end[0]; i++) {
		bool in_ours = self->matches[1][i] != PROLLY_LIST_UNMATCHED;
		bool in_theirs = self->matches[2][i] != PROLLY_LIST_UNMATCHED;

		kept[0] += in_ours;
		kept[1] += in_theirs;
		removed += !in_ours && !in_theirs;
	}
	return removed > 0 && (hunk_len(hunk, 1) > kept[0] || hunk_len(hunk, 2) > kept[1]);
}

static bool merge_hunk(Arrays *self, const Hunk *hunk)
{
	size_t n = hunk_len(hunk, 0);

	if (is_hunk_same(self, hunk, 1, 2))
		return write_pairs(self, hunk, false);
	if (is_hunk_same(self, hunk, 0, 1))
		return write_side(self, hunk, 2);
	if (is_hunk_same(self, hunk, 0, 2))
		return write_side(self, hunk, 1);
	if (!is_clash(self, hunk))
		return write_union(self, hunk);
	return n == hunk_len(hunk, 1) && n == hunk_len(hunk, 2) && write_pairs(self, hunk, true);
}

/* The next element of the base that all have, from I on; the number of its elements: none. */
static size_t find_common(const Arrays *self, size_t i)
{
	while (i < self->lists[0].n && (self->matches[1][i] == PROLLY_LIST_UNMATCHED ||
					self->matches[2][i] == PROLLY_LIST_UNMATCHED))
		i++;
	return i;
}

static bool merge_hunks(Arrays *self)
{
	size_t n = self->lists[0].n;
	Hunk hunk = {0};

	for (;;) {
		size_t i = find_common(self, hunk.start[0]);
		Hunk common;

		hunk.end[0] = i;
		hunk.end[1] = i < n ? self->matches[1][i] : self->lists[1].n;
		hunk.end[2] = i < n ? self->matches[2][i] : self->lists[2].n;
		if (!merge_hunk(self, &hunk))
			return false;
		if (i == n)
			return true;
		for (size_t side = 0; side < 3; side++) {
			common.start[side] = hunk.end[side];
			common.end[side] = hunk.start[side] = hunk.end[side] + 1;
		}
		if (!write_pairs(self, &common, true))
			return false;
	}
}

static bool merge_arrays(Trio *trio, const ProllyText *next, GByteArray *out)
{
	g_autoptr(GHashTable) known =
		g_hash_table_new(prolly_hash_table_hash, prolly_hash_table_equal);
	g_autoptr(GArray) base = number_elements(trio->base, known);
	g_autoptr(GArray) ours = number_elements(trio->ours, known);
	g_autoptr(GArray) theirs = number_elements(trio->theirs, known);
	Arrays self = {
		.trio = trio,
		.lists = {as_list(base), as_list(ours), as_list(theirs)},
	};
	bool ok;

	for (size_t side = 1; side < 3; side++)
		self.matches[side] = prolly_list_match(&self.lists[0], &self.lists[side]);
	begin_container(&self.writer, trio, next, out);
	ok = merge_hunks(&self);
	end_container(&self.writer);
	g_free(self.matches[1]);
	g_free(self.matches[2]);
	return ok;
}

/* ---- Values ------------------------------------------------------------------------------ */

static bool are_all(const Trio *trio, ProllyJsonKind kind)
{
	return is_kind(trio->ours, kind) && is_kind(trio->theirs, kind) &&
	       (!trio->base || is_kind(trio->base, kind));
}

/* Did a side change nothing, not even the formatting? */
static bool is_untouched(const ProllyJson *base, const ProllyJson *side)
{
	return base && prolly_text_compare(&base->text, &side->text) == 0;
}

/* One of ours and theirs may be NULL: what there is only one of is taken. NEXT is between members of
 * what the value is in. */
static bool merge_value(const Trio *trio, const ProllyText *next, GByteArray *out)
{
	Trio copy = *trio;

	if (!trio->ours || !trio->theirs || is_same(trio->ours, trio->theirs)) {
		append_text(out, choose(trio->base ? &trio->base->text : NULL,
					trio->ours ? &trio->ours->text : NULL,
					trio->theirs ? &trio->theirs->text : NULL));
		return true;
	}
	if (!is_untouched(trio->base, trio->ours) && !is_untouched(trio->base, trio->theirs)) {
		if (are_all(trio, PROLLY_JSON_OBJECT))
			return merge_objects(&copy, next, out);
		if (are_all(trio, PROLLY_JSON_ARRAY))
			return merge_arrays(&copy, next, out);
	}
	if (!is_same(trio->base, trio->ours) && !is_same(trio->base, trio->theirs))
		return false;
	append_text(out, is_same(trio->base, trio->ours) ? &trio->theirs->text : &trio->ours->text);
	return true;
}

/* Nothing, or white space only: there is no value. */
static bool is_blank(const ProllyText *text)
{
	for (size_t i = 0; i < text->len; i++)
		if (!g_ascii_isspace(text->data[i]))
			return false;
	return true;
}

bool prolly_strategy_json(const ProllyTexts *texts, GByteArray *out)
{
	ProllyText before[3] = {NOTHING, NOTHING, NOTHING};
	ProllyText after[3] = {NOTHING, NOTHING, NOTHING};
	g_autoptr(ProllyJson) base = NULL;
	g_autoptr(ProllyJson) ours = prolly_json_parse(&texts->ours, &before[1], &after[1]);
	g_autoptr(ProllyJson) theirs = prolly_json_parse(&texts->theirs, &before[2], &after[2]);
	bool has_base = !is_blank(&texts->base);
	Trio trio;

	if (has_base)
		base = prolly_json_parse(&texts->base, &before[0], &after[0]);
	if (!ours || !theirs || (has_base && !base))
		return false;
	trio = (Trio){base, ours, theirs};
	append_text(out, prolly_text_choose(&before[0], &before[1], &before[2]));
	if (!merge_value(&trio, &SPACE, out))
		return false;
	append_text(out, prolly_text_choose(&after[0], &after[1], &after[2]));
	return true;
}
