/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parser for JSON (RFC 8259) by recursive descent, DEPTH_MAX deep. Text is hostile: nothing is
 * read past its end, and bytes over 127 are taken as they are.
 *
 * Hashes. A scalar's is over its kind and its text, a string's decoded; an array's over its
 * elements' hashes in order; an object's over its names and values' hashes in the order of the
 * names. So equal contents have equal hashes, at one hash a value.
 */
#include "version/json-text.h"

#include <string.h>

#define DEPTH_MAX 200

typedef struct {
	const char *p;
	const char *end;
	unsigned depth;
} Parser;

static void clear_member(gpointer data)
{
	ProllyJsonMember *member = data;

	g_clear_pointer(&member->name, g_bytes_unref);
	prolly_json_free(member->value);
}

void prolly_json_free(ProllyJson *json)
{
	if (!json)
		return;
	if (json->members)
		g_array_unref(json->members);
	g_free(json);
}

/* ---- Pieces ------------------------------------------------------------------------------ */

static ProllyText take_space(Parser *self)
{
	const char *start = self->p;

	while (self->p < self->end && *self->p && strchr(" \t\r\n", *self->p))
		self->p++;
	return (ProllyText){start, (size_t)(self->p - start)};
}

static bool take_char(Parser *self, char c)
{
	if (self->p == self->end || *self->p != c)
		return false;
	self->p++;
	return true;
}

static ProllyText since(const Parser *self, const char *start)
{
	return (ProllyText){start, (size_t)(self->p - start)};
}

static void append_code(GByteArray *out, uint32_t code)
{
	char utf8[6];
	int len = g_unichar_to_utf8(code, utf8); /* of a lone surrogate too */

	g_byte_array_append(out, (const uint8_t *)utf8, (guint)len);
}

static bool take_hex(Parser *self, uint32_t *out_code)
{
	*out_code = 0;
	for (int i = 0; i < 4; i++) {
		if (self->p == self->end || !g_ascii_isxdigit(*self->p))
			return false;
		*out_code = *out_code << 4 | (uint32_t)g_ascii_xdigit_value(*self->p++);
	}
	return true;
}

/* After "\u". */
static bool take_unicode(Parser *self, GByteArray *out)
{
	Parser ahead;
	uint32_t code, low;

	if (!take_hex(self, &code))
		return false;
	ahead = *self;
	if (code >= 0xd800 && code < 0xdc00 && take_char(&ahead, '\\') && take_char(&ahead, 'u') &&
	    take_hex(&ahead, &low) && low >= 0xdc00 && low < 0xe000) {
		*self = ahead;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	append_code(out, code);
	return true;
}

static bool take_escape(Parser *self, GByteArray *out)
{
	static const char NAMES[] = "\"\\/bfnrt", CODES[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (self->p == self->end)
		return false;
	if (take_char(self, 'u'))
		return take_unicode(self, out);
	found = *self->p ? strchr(NAMES, *self->p) : NULL;
	if (!found)
		return false;
	self->p++;
	g_byte_array_append(out, (const uint8_t *)&CODES[found - NAMES], 1);
	return true;
}

/* After the opening quote, past the closing one. */
static bool take_string(Parser *self, GByteArray *out)
{
	while (self->p < self->end && *self->p != '"') {
		if ((unsigned char)*self->p < 0x20)
			return false;
		if (take_char(self, '\\')) {
			if (!take_escape(self, out))
				return false;
			continue;
		}
		g_byte_array_append(out, (const uint8_t *)self->p++, 1);
	}
	return take_char(self, '"');
}

static bool take_digits(Parser *self)
{
	const char *start = self->p;

	while (self->p < self->end && g_ascii_isdigit(*self->p))
		self->p++;
	return self->p > start;
}

static bool take_number(Parser *self)
{
	take_char(self, '-');
	if (!take_char(self, '0') && !take_digits(self))
		return false;
	if (take_char(self, '.') && !take_digits(self))
		return false;
	if (take_char(self, 'e') || take_char(self, 'E')) {
		if (!take_char(self, '+'))
			take_char(self, '-');
		return take_digits(self);
	}
	return true;
}

static bool take_word(Parser *self, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(self->end - self->p) < len || memcmp(self->p, word, len) != 0)
		return false;
	self->p += len;
	return true;
}

/* ---- Hashes ------------------------------------------------------------------------------ */

static int compare_names(gconstpointer a, gconstpointer b)
{
	return g_bytes_compare((*(const ProllyJsonMember *const *)a)->name,
			       (*(const ProllyJsonMember *const *)b)->name);
}

/* False: a name occurs twice. */
static bool hash_object(ProllyJson *json)
{
	g_autoptr(GPtrArray) sorted = g_ptr_array_new();
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	for (guint i = 0; i < json->members->len; i++)
		g_ptr_array_add(sorted, &g_array_index(json->members, ProllyJsonMember, i));
	g_ptr_array_sort(sorted, compare_names);
	prolly_append_u8(bytes, '{');
	for (guint i = 0; i < sorted->len; i++) {
		const ProllyJsonMember *member = g_ptr_array_index(sorted, i);
		const ProllyJsonMember *last = i ? g_ptr_array_index(sorted, i - 1) : NULL;
		size_t len;
		const void *name = g_bytes_get_data(member->name, &len);

		if (last && g_bytes_equal(member->name, last->name))
			return false;
		prolly_append_string(bytes, name, len);
		g_byte_array_append(bytes, member->value->hash.bytes, PROLLY_HASH_SIZE);
	}
	prolly_hash_compute(bytes->data, bytes->len, &json->hash);
	return true;
}

static void hash_array(ProllyJson *json)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	prolly_append_u8(bytes, '[');
	for (guint i = 0; i < json->members->len; i++)
		g_byte_array_append(bytes, prolly_json_get(json, i)->value->hash.bytes,
				    PROLLY_HASH_SIZE);
	prolly_hash_compute(bytes->data, bytes->len, &json->hash);
}

/* ---- Values ------------------------------------------------------------------------------ */

static bool parse_value(Parser *self, ProllyJson *json);

static bool parse_scalar(Parser *self, ProllyJson *json)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	const char *start = self->p;

	json->kind = PROLLY_JSON_SCALAR;
	if (take_char(self, '"')) {
		prolly_append_u8(bytes, '"');
		if (!take_string(self, bytes))
			return false;
	} else if (take_word(self, "true") || take_word(self, "false") || take_word(self, "null") ||
		   take_number(self)) {
		g_byte_array_append(bytes, (const uint8_t *)start, (guint)(self->p - start));
	} else {
		return false;
	}
	prolly_hash_compute(bytes->data, bytes->len, &json->hash);
	return true;
}

static bool parse_name(Parser *self, ProllyJsonMember *member)
{
	g_autoptr(GByteArray) name = g_byte_array_new();
	const char *start = self->p;

	if (!take_char(self, '"') || !take_string(self, name))
		return false;
	member->key = since(self, start);
	member->name = g_byte_array_free_to_bytes(g_steal_pointer(&name));
	start = self->p;
	take_space(self);
	if (!take_char(self, ':'))
		return false;
	take_space(self);
	member->colon = since(self, start);
	return true;
}

/* After LEAD; the member is freed with JSON whatever happens. */
static bool parse_member(Parser *self, ProllyJson *json, ProllyText lead)
{
	ProllyJsonMember member = {.lead = lead, .value = g_new0(ProllyJson, 1)};
	bool ok = json->kind == PROLLY_JSON_ARRAY || parse_name(self, &member);

	ok = ok && parse_value(self, member.value);
	g_array_append_val(json->members, member);
	return ok;
}

/* After the opening bracket, past the closing one. */
static bool parse_members(Parser *self, ProllyJson *json, char close)
{
	json->members = g_array_new(FALSE, FALSE, sizeof(ProllyJsonMember));
	g_array_set_clear_func(json->members, clear_member);
	json->close = take_space(self);
	if (take_char(self, close))
		return true;
	for (;;) {
		if (!parse_member(self, json, json->close))
			return false;
		json->close = take_space(self);
		if (take_char(self, close))
			return true;
		if (!take_char(self, ','))
			return false;
		json->close = take_space(self);
	}
}

static bool parse_container(Parser *self, ProllyJson *json, ProllyJsonKind kind)
{
	bool ok;

	json->kind = kind;
	if (self->depth == DEPTH_MAX)
		return false;
	self->p++;
	self->depth++;
	ok = parse_members(self, json, kind == PROLLY_JSON_OBJECT ? '}' : ']');
	self->depth--;
	if (!ok)
		return false;
	if (kind == PROLLY_JSON_OBJECT)
		return hash_object(json);
	hash_array(json);
	return true;
}

static bool parse_value(Parser *self, ProllyJson *json)
{
	const char *start = self->p;
	bool ok;

	if (start < self->end && *start == '{')
		ok = parse_container(self, json, PROLLY_JSON_OBJECT);
	else if (start < self->end && *start == '[')
		ok = parse_container(self, json, PROLLY_JSON_ARRAY);
	else
		ok = parse_scalar(self, json);
	json->text = since(self, start);
	return ok;
}

ProllyJson *prolly_json_parse(const ProllyText *text, ProllyText *out_before, ProllyText *out_after)
{
	g_autoptr(ProllyJson) json = g_new0(ProllyJson, 1);
	Parser parser = {.p = text->data, .end = text->data + text->len};

	*out_before = take_space(&parser);
	if (!parse_value(&parser, json))
		return NULL;
	*out_after = take_space(&parser);
	return parser.p == parser.end ? g_steal_pointer(&json) : NULL;
}
