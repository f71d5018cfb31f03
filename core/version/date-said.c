/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates as people say them: "yesterday", "3 days ago", "last friday", "jan 5 3pm", "2026-11-01".
 *
 * It comes to what git makes of the same words, so that a script may be moved over: the text is read
 * from the left, starting at now; what it does not say of the date is as now (of the year: the one
 * in which the month has come already), so a date alone is its moment at this time of day. A number
 * waits for the word behind it, a unit, a month, am or pm; if none of these comes it is the day, then
 * the month, then the year, whichever was not said.
 *
 * Where git guesses this refuses: a word or a sign that means nothing makes the whole no date. A day
 * of the week alone is the last such day, and a time of day with a name (noon) is that of the day that
 * is said, else the last one; git shifts it by a day also from a day that is said.
 */
#include "version/repo-private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY       86400
#define NO_NUMBER (-1)

typedef struct {
	struct tm now;
	struct tm tm;         /* mday, mon, year -1: not said */
	bool has_day;         /* one is said, even if it is today */
	bool has_time_of_day; /* one with a name */
	int64_t number;
} Said;

typedef struct {
	const char *name;
	int value;
} Name;

static const Name months[] = {{"january", 0}, {"february", 1},  {"march", 2},
			      {"april", 3},   {"may", 4},       {"june", 5},
			      {"july", 6},    {"august", 7},    {"september", 8},
			      {"october", 9}, {"november", 10}, {"december", 11}};
static const Name weekdays[] = {{"sundays", 0},    {"mondays", 1},   {"tuesdays", 2},
				{"wednesdays", 3}, {"thursdays", 4}, {"fridays", 5},
				{"saturdays", 6}};
static const Name numbers[] = {{"zero", 0},  {"a", 1},     {"an", 1},   {"one", 1},  {"last", 1},
			       {"two", 2},   {"three", 3}, {"four", 4}, {"five", 5}, {"six", 6},
			       {"seven", 7}, {"eight", 8}, {"nine", 9}, {"ten", 10}};
static const Name units[] = {{"second", 1},     {"seconds", 1},    {"minute", 60}, {"minutes", 60},
			     {"hour", 3600},    {"hours", 3600},   {"day", DAY},   {"days", DAY},
			     {"week", 7 * DAY}, {"weeks", 7 * DAY}};
static const Name long_units[] = {{"month", 1}, {"months", 1}, {"year", 12}, {"years", 12}};
static const Name times_of_day[] = {{"midnight", 0}, {"noon", 12}, {"tea", 17}};
static const Name halves[] = {{"am", 0}, {"pm", 12}};
static const Name fillers[] = {{"ago", 0}, {"and", 0}, {"at", 0}, {"of", 0}, {"on", 0}, {"the", 0}};

/* The value of the name that begins with the LEN letters of WORD, of MIN or more, or is it if MIN is 0.
 * -1: none. */
static int find(const Name *names, size_t n, const char *word, size_t len, size_t min)
{
	for (size_t i = 0; i < n; i++)
		if (len >= min && len <= strlen(names[i].name) &&
		    (min || len == strlen(names[i].name)) &&
		    g_ascii_strncasecmp(word, names[i].name, len) == 0)
			return names[i].value;
	return -1;
}

#define FIND(NAMES, WORD, LEN, MIN) find(NAMES, G_N_ELEMENTS(NAMES), WORD, LEN, MIN)

int prolly_date_find_month(const char *word, size_t len)
{
	return FIND(months, word, len, 3);
}

int prolly_date_find_weekday(const char *word, size_t len)
{
	return FIND(weekdays, word, len, 3);
}

/* ---- What is said so far ----------------------------------------------------------------- */

/* What was not said of the date becomes as now, and then it is SECONDS earlier. */
static bool move(Said *said, int64_t seconds)
{
	time_t time;

	if (said->tm.tm_mday < 0)
		said->tm.tm_mday = said->now.tm_mday;
	if (said->tm.tm_mon < 0)
		said->tm.tm_mon = said->now.tm_mon;
	if (said->tm.tm_year < 0)
		said->tm.tm_year = said->now.tm_year - (said->tm.tm_mon > said->now.tm_mon);
	said->tm.tm_isdst = -1;
	time = (time_t)((int64_t)mktime(&said->tm) - seconds);
	return localtime_r(&time, &said->tm) != NULL;
}

static bool move_months(Said *said, int64_t n)
{
	int64_t month;

	if (!move(said, 0))
		return false;
	month = (int64_t)said->tm.tm_year * 12 + said->tm.tm_mon - n;
	if (month < 0)
		return false;
	said->tm.tm_year = (int)(month / 12);
	said->tm.tm_mon = (int)(month % 12);
	return true;
}

/* The number, for a word that counts; it is used then. */
static int64_t take_number(Said *said)
{
	int64_t number = said->number;

	said->number = NO_NUMBER;
	return number;
}

/* A number that no word wanted. */
static bool place_number(Said *said)
{
	int n = (int)take_number(said);

	if (n == NO_NUMBER)
		return true;
	if (said->tm.tm_mday < 0 && n >= 1 && n <= 31)
		said->tm.tm_mday = n;
	else if (said->tm.tm_mon < 0 && n >= 1 && n <= 12)
		said->tm.tm_mon = n - 1;
	else if (said->tm.tm_year < 0 && n >= 1970 && n <= 9999)
		said->tm.tm_year = n - 1900;
	else
		return false;
	return said->has_day = true;
}

static void set_time(Said *said, int hour, int minute, int second)
{
	said->tm.tm_hour = hour;
	said->tm.tm_min = minute;
	said->tm.tm_sec = second;
}

/* ---- Words ------------------------------------------------------------------------------- */

/* The last such day before today; of a greater number, as many weeks earlier. */
static bool say_weekday(Said *said, int day)
{
	int64_t n = take_number(said);
	int days = (said->now.tm_wday - day + 7) % 7;

	said->has_day = true;
	return move(said, ((days ? days : 7) + 7 * (MAX(n, 1) - 1)) * DAY);
}

static bool say_time_of_day(Said *said, int hour)
{
	set_time(said, hour, 0, 0);
	said->has_time_of_day = true;
	return place_number(said);
}

static bool say_half(Said *said, int half)
{
	int64_t hour = take_number(said);

	if (hour > 23)
		return false;
	if (hour != NO_NUMBER)
		set_time(said, (int)hour, 0, 0);
	said->tm.tm_hour = said->tm.tm_hour % 12 + half;
	return true;
}

static bool say_day(Said *said, const char *word, size_t len)
{
	static const Name names[] = {{"now", 0}, {"today", 0}, {"yesterday", 1}};
	int days = FIND(names, word, len, 0);

	if (days < 0 || !place_number(said))
		return false;
	if (g_ascii_strncasecmp(word, "today", len) == 0)
		set_time(said, 0, 0, 0);
	said->has_day = true;
	return move(said, (int64_t)days * DAY);
}

static bool say_word(Said *said, const char *word, size_t len)
{
	int value;

	if ((value = FIND(numbers, word, len, 0)) >= 0) {
		if (!place_number(said))
			return false;
		said->number = value;
		return true;
	}
	if ((value = FIND(units, word, len, 0)) >= 0) {
		said->has_day |= value >= DAY;
		return said->number != NO_NUMBER && move(said, take_number(said) * value);
	}
	if ((value = FIND(long_units, word, len, 0)) >= 0) {
		said->has_day = true;
		return said->number != NO_NUMBER && move_months(said, take_number(said) * value);
	}
	if ((value = FIND(times_of_day, word, len, 0)) >= 0)
		return say_time_of_day(said, value);
	if ((value = FIND(halves, word, len, 0)) >= 0)
		return say_half(said, value);
	if ((value = prolly_date_find_month(word, len)) >= 0) {
		said->tm.tm_mon = value;
		return said->has_day = true;
	}
	if ((value = prolly_date_find_weekday(word, len)) >= 0)
		return say_weekday(said, value);
	return FIND(fillers, word, len, 0) == 0 || say_day(said, word, len);
}

/* ---- Digits ------------------------------------------------------------------------------ */

static bool set_date(Said *said, int year, int month, int day)
{
	if (month < 1 || month > 12 || day < 1 || day > 31 || (year >= 0 && year < 1970))
		return false;
	said->tm.tm_mday = day;
	said->tm.tm_mon = month - 1;
	said->tm.tm_year = year < 0 ? -1 : year - 1900;
	return said->has_day = true;
}

/* "2026-11-01", also with '/' and '.'; "11/01/2026"; "01.11.2026" and "01.11.". Returns how long it is,
 * 0: none. */
static int say_date(Said *said, const char *text)
{
	int a = 0, b = 0, c = 0, used = 0;
	char sign = 0, again = 0;

	if (sscanf(text, "%4d%c%2d%c%4d%n", &a, &sign, &b, &again, &c, &used) == 5 && used &&
	    sign == again && strchr("-/.", sign) && b > 0 && c > 0) {
		if (a > 31 ? set_date(said, a, b, c)
			   : ((sign != '.' && set_date(said, c, a, b)) || set_date(said, c, b, a)))
			return used;
		return 0;
	}
	used = 0;
	if (sscanf(text, "%2d.%2d.%n", &a, &b, &used) == 2 && used && b > 0 &&
	    set_date(said, -1, b, a))
		return used;
	return 0;
}

/* "12:34[:56[.789]]" */
static int say_time(Said *said, const char *text)
{
	int hour = 0, minute = 0, second = 0, used = 0, more = 0;

	if (sscanf(text, "%2d:%2d%n", &hour, &minute, &used) != 2 || used == 0)
		return 0;
	if (sscanf(text + used, ":%2d%n", &second, &more) == 1) {
		used += more;
		if (text[used] == '.')
			used += 1 + (int)strspn(text + used + 1, "0123456789");
	}
	if (hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return 0;
	set_time(said, hour, minute, second);
	return used;
}

/* Returns how much was read; 0: it cannot be. */
static size_t say_digits(Said *said, const char *text)
{
	size_t len = strspn(text, "0123456789");
	int used;

	if (!place_number(said))
		return 0;
	used = say_date(said, text);
	if (used && text[used] == 'T' && g_ascii_isdigit(text[used + 1]))
		return (size_t)used + 1;
	if (!used)
		used = say_time(said, text);
	if (used)
		return (size_t)used;
	if (len > 6 || (text[len] && strchr(":-/", text[len])) ||
	    (text[len] == '.' && g_ascii_isdigit(text[len + 1])))
		return 0;
	said->number = g_ascii_strtoll(text, NULL, 10);
	return len;
}

/* ---- The whole --------------------------------------------------------------------------- */

static bool say(Said *said, const char *text)
{
	bool is_empty = true;

	while (*text) {
		size_t len = 1;

		if (g_ascii_isdigit(*text)) {
			len = say_digits(said, text);
			is_empty = false;
		} else if (g_ascii_isalpha(*text)) {
			for (len = 1; g_ascii_isalpha(text[len]);)
				len++;
			if (!say_word(said, text, len))
				return false;
			is_empty = false;
		} else if (!strchr(is_empty ? " \t" : " \t,._-", *text)) {
			return false;
		}
		if (len == 0)
			return false;
		text += len;
	}
	return !is_empty && place_number(said) && move(said, 0);
}

bool prolly_date_parse_said(const char *text, int64_t now, int64_t *out_time)
{
	time_t seconds = (time_t)now;
	Said said = {.number = NO_NUMBER};

	if (g_ascii_strcasecmp(text, "never") == 0) {
		*out_time = 0;
		return true;
	}
	if (!localtime_r(&seconds, &said.now))
		return false;
	said.tm = said.now;
	said.tm.tm_mday = said.tm.tm_mon = said.tm.tm_year = -1;
	if (!say(&said, text))
		return false;
	said.tm.tm_isdst = -1;
	seconds = mktime(&said.tm);
	if (said.has_time_of_day && !said.has_day && seconds > now) {
		if (!move(&said, DAY))
			return false;
		seconds = mktime(&said.tm);
	}
	*out_time = MAX((int64_t)seconds, 0);
	return true;
}
