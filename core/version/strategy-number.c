/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number: counters. The result is ours + theirs - base: what each side added or took away is added
 * to the base. A base that is not there is 0.
 *
 * A number is a sign, digits, and optionally a point and more digits; its digits are kept as they
 * are, so integers are of any length and decimals exact. The result has as many decimal places as
 * the longer side, or as many as it needs. White space around it is kept, as a three-way choice.
 */
#include "version/strategy.h"

#include <string.h>

#define DIGITS_MAX 65536u

typedef struct {
	bool is_negative;
	GByteArray *digits;       /* 0..9, the least significant first */
	size_t places;            /* so many of them are decimal places */
	ProllyText before, after; /* white space */
} Number;

static void clear_number(Number *number)
{
	if (number->digits)
		g_byte_array_unref(number->digits);
}

/* ---- Reading ----------------------------------------------------------------------------- */

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && strchr(" \t\r\n", *p) && *p)
		p++;
	return p;
}

/* Digits and one point between P and END into NUMBER. */
static bool read_digits(const char *p, const char *end, Number *number)
{
	const char *point = p < end ? memchr(p, '.', (size_t)(end - p)) : NULL;

	if (point && (point == p || point + 1 == end))
		return false;
	number->places = point ? (size_t)(end - point - 1) : 0;
	for (const char *q = end; q-- > p;) {
		uint8_t digit = (uint8_t)(*q - '0');

		if (q == point)
			continue;
		if (!g_ascii_isdigit(*q))
			return false;
		g_byte_array_append(number->digits, &digit, 1);
	}
	return number->digits->len > 0 && number->digits->len <= DIGITS_MAX;
}

/* Absent: 0. */
static bool read_number(const ProllyText *text, Number *out_number)
{
	const char *start, *end;
	uint8_t zero = 0;

	*out_number = (Number){.digits = g_byte_array_new()};
	if (!text->data) {
		g_byte_array_append(out_number->digits, &zero, 1);
		return true;
	}
	end = text->data + text->len;
	start = skip_space(text->data, end);
	out_number->before = (ProllyText){text->data, (size_t)(start - text->data)};
	while (end > start && skip_space(end - 1, end) == end)
		end--;
	out_number->after = (ProllyText){end, (size_t)(text->data + text->len - end)};
	if (start < end && (*start == '-' || *start == '+'))
		out_number->is_negative = *start++ == '-';
	return read_digits(start, end, out_number);
}

/* ---- Adding ------------------------------------------------------------------------------ */

static uint8_t get_digit(const Number *number, size_t i)
{
	return i < number->digits->len ? number->digits->data[i] : 0;
}

/* Gives NUMBER this many decimal places, which are not fewer. */
static void set_places(Number *number, size_t places)
{
	g_autofree uint8_t *zeros = g_malloc0(places - number->places + 1);

	g_byte_array_prepend(number->digits, zeros, (guint)(places - number->places));
	number->places = places;
}

/* By magnitude, of numbers with as many places. */
static int compare_magnitudes(const Number *a, const Number *b)
{
	for (size_t i = MAX(a->digits->len, b->digits->len); i-- > 0;)
		if (get_digit(a, i) != get_digit(b, i))
			return get_digit(a, i) < get_digit(b, i) ? -1 : 1;
	return 0;
}

/* A += B (of magnitudes), or A -= B with A the greater. */
static void add_magnitude(Number *a, const Number *b, bool subtract)
{
	size_t n = MAX(a->digits->len, b->digits->len) + 1;
	guint old = a->digits->len;
	int carry = 0;

	g_byte_array_set_size(a->digits, (guint)n);
	memset(a->digits->data + old, 0, n - old);
	for (size_t i = 0; i < n; i++) {
		int digit = a->digits->data[i] + carry +
			    (subtract ? -get_digit(b, i) : get_digit(b, i));

		carry = digit < 0 ? -1 : digit / 10;
		a->digits->data[i] = (uint8_t)(digit - 10 * carry);
	}
}

/* A += B; B may be changed. */
static void add(Number *a, Number *b, bool negate)
{
	bool b_negative = b->is_negative != negate;
	size_t places = MAX(a->places, b->places);
	GByteArray *digits;

	set_places(a, places);
	set_places(b, places);
	if (a->is_negative == b_negative) {
		add_magnitude(a, b, false);
		return;
	}
	if (compare_magnitudes(a, b) < 0) {
		digits = a->digits;
		a->digits = b->digits;
		b->digits = digits;
		a->is_negative = b_negative;
	}
	add_magnitude(a, b, true);
}

/* ---- Writing ----------------------------------------------------------------------------- */

static void append_text(GByteArray *out, const ProllyText *text)
{
	if (text->len)
		g_byte_array_append(out, (const uint8_t *)text->data, (guint)text->len);
}

/* With PLACES decimal places, or more if there are digits in them. */
static void append_number(GByteArray *out, const Number *number, size_t places)
{
	size_t low = 0, high = number->digits->len;

	while (number->places - low > places && number->digits->data[low] == 0)
		low++;
	while (high > number->places + 1 && number->digits->data[high - 1] == 0)
		high--;
	if (number->is_negative) {
		size_t i = low;

		while (i < high && number->digits->data[i] == 0)
			i++;
		if (i < high)
			g_byte_array_append(out, (const uint8_t *)"-", 1);
	}
	for (size_t i = high; i-- > low;) {
		char digit = (char)('0' + number->digits->data[i]);

		g_byte_array_append(out, (const uint8_t *)&digit, 1);
		if (i == number->places && i > low)
			g_byte_array_append(out, (const uint8_t *)".", 1);
	}
}

bool prolly_strategy_number(const ProllyTexts *texts, GByteArray *out)
{
	Number base = {0}, ours = {0}, theirs = {0};
	bool ok = read_number(&texts->base, &base) && read_number(&texts->ours, &ours) &&
		  read_number(&texts->theirs, &theirs);

	if (ok) {
		size_t places = MAX(ours.places, theirs.places);

		append_text(out, prolly_text_choose(&base.before, &ours.before, &theirs.before));
		add(&ours, &theirs, false);
		add(&ours, &base, true);
		append_number(out, &ours, places);
		append_text(out, prolly_text_choose(&base.after, &ours.after, &theirs.after));
	}
	clear_number(&base);
	clear_number(&ours);
	clear_number(&theirs);
	return ok;
}
