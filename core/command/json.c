/* SPDX-License-Identifier: Apache-2.0 */

/*
 * json: writing JSON, one object at a time, into a string. interface.md, section 3, says how keys,
 * values, dates and hashes look.
 *
 * There is no state beside the string: a comma is due exactly if the last character is neither the
 * bracket that opened the object nor the end of the object before, and no member ends with one of
 * these.
 *
 * A control character is what Unicode calls one (C0, DEL, C1), but for tab, newline and carriage
 * return. U+2028 and its like stand for themselves.
 */

#include "command/command-private.h"

#include <string.h>

static void append_member(GString *json, const char *name)
{
	char last = json->len ? json->str[json->len - 1] : '\n';
	if (last != '{' && last != '[' && last != '\n')
		g_string_append_c(json, ',');
	if (name)
		g_string_append_printf(json, "\"%s\":", name);
}

void prolly_json_begin(GString *json, const char *name, char bracket)
{
	append_member(json, name);
	g_string_append_c(json, bracket);
}

void prolly_json_end(GString *json, char bracket)
{
	g_string_append_c(json, bracket);
}

/* The length of the character at P, 0 if it is not allowed in text, -1 if END cuts it. */
static int measure_character(const uint8_t *p, const uint8_t *end)
{
	if (*p < 0x80)
		return (*p >= 0x20 && *p != 0x7f) || *p == '\t' || *p == '\n' || *p == '\r';
	gunichar c = g_utf8_get_char_validated((const char *)p, end - p);
	if (c == (gunichar)-2)
		return -1;
	if (c == (gunichar)-1 || c < 0xa0)
		return 0;
	return g_unichar_to_utf8(c, NULL);
}

bool prolly_json_is_text_so_far(const void *data, size_t len, size_t *out_len)
{
	const uint8_t *p = data, *end = p + len;
	while (p < end) {
		int step = measure_character(p, end);
		if (step == 0)
			return false;
		if (step < 0)
			break;
		p += step;
	}
	*out_len = len - (size_t)(end - p);
	return true;
}

bool prolly_json_is_text(const void *data, size_t len)
{
	size_t whole = 0;
	return prolly_json_is_text_so_far(data, len, &whole) && whole == len;
}

void prolly_json_escape(GString *json, const void *data, size_t len)
{
	const char *p = data, *end = p + len, *plain = p;
	for (; p < end; p++) {
		if (*p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
			continue;
		g_string_append_len(json, plain, p - plain);
		g_string_append_c(json, '\\');
		g_string_append_c(json, *p == '\t'   ? 't'
					: *p == '\n' ? 'n'
					: *p == '\r' ? 'r'
						     : *p);
		plain = p + 1;
	}
	g_string_append_len(json, plain, end - plain);
}

void prolly_json_add_bytes(GString *json, const char *name, const void *data, size_t len)
{
	append_member(json, name);
	if (prolly_json_is_text(data, len)) {
		g_string_append_c(json, '"');
		prolly_json_escape(json, data, len);
		g_string_append_c(json, '"');
		return;
	}
	gsize start, n;
	gint state = 0, save = 0;

	g_string_append(json, "{\"base64\":\"");
	start = json->len;
	g_string_set_size(json, start + (len / 3 + 1) * 4 + 4);
	n = g_base64_encode_step(data, len, FALSE, json->str + start, &state, &save);
	n += g_base64_encode_close(FALSE, json->str + start + n, &state, &save);
	g_string_truncate(json, start + n);
	g_string_append(json, "\"}");
}

void prolly_json_add_text(GString *json, const char *name, const char *text)
{
	prolly_json_add_bytes(json, name, text, strlen(text));
}

void prolly_json_add_number(GString *json, const char *name, uint64_t number)
{
	append_member(json, name);
	g_string_append_printf(json, "%" G_GUINT64_FORMAT, number);
}

void prolly_json_add_fraction(GString *json, const char *name, double fraction)
{
	char text[G_ASCII_DTOSTR_BUF_SIZE];
	append_member(json, name);
	g_string_append(json, g_ascii_formatd(text, sizeof text, "%.4f", fraction));
}

void prolly_json_add_bool(GString *json, const char *name, bool value)
{
	append_member(json, name);
	g_string_append(json, value ? "true" : "false");
}

void prolly_json_add_null(GString *json, const char *name)
{
	append_member(json, name);
	g_string_append(json, "null");
}

void prolly_json_add_hash(GString *json, const char *name, const ProllyHash *hash)
{
	char hex[PROLLY_HASH_HEX_SIZE];
	append_member(json, name);
	g_string_append_printf(json, "\"%s\"", prolly_hash_to_hex(hash, hex));
}

void prolly_json_add_commit_id(GString *json, const char *name, const ProllyCommitId *id)
{
	char hex[PROLLY_COMMIT_ID_HEX_SIZE];
	append_member(json, name);
	g_string_append_printf(json, "\"%s\"", prolly_commit_id_to_hex(id, hex));
}

void prolly_json_add_time(GString *json, const char *name, const ProllySignature *signature)
{
	int offset = signature->offset_minutes;
	struct tm tm;

	prolly_signature_get_tm(signature, &tm);
	append_member(json, name);
	g_string_append_printf(json, "\"%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d\"",
			       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			       tm.tm_sec, offset < 0 ? '-' : '+', ABS(offset) / 60,
			       ABS(offset) % 60);
}

void prolly_json_add_person(GString *json, const char *name, const ProllySignature *signature)
{
	prolly_json_begin(json, name, '{');
	prolly_json_add_text(json, "name", signature->name);
	prolly_json_add_text(json, "email", signature->email);
	prolly_json_end(json, '}');
}
