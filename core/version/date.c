/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates as people and git write them: in GIT_AUTHOR_DATE, in --since, and in BRANCH@{DATE}.
 *
 * Moments in full are split into words, each of which is tried as what it may be (a number of
 * seconds, a date, a time of day, a zone, a month's name, a day's, a year); so ISO 8601, RFC 2822
 * and git's own format need no grammar each. One without a zone is local, one with a zone but without
 * a time of day is that zone's midnight. What is no such moment, date-said.c understands.
 *
 * Nothing is before 1970: git has no commits that are.
 */
#include "version/repo-private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct {
	struct tm tm;
	bool has_date, has_time, has_zone, has_seconds;
	int64_t seconds;
	int offset; /* minutes */
} DateParts;

int prolly_date_get_offset(int64_t time)
{
	struct tm tm;
	time_t seconds = (time_t)time;

	return localtime_r(&seconds, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}

/* "+0200", "-05:30", "Z", and the names that RFC 2822 has. */
static bool parse_zone(const char *word, DateParts *parts)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = {{"Z", 0},    {"UTC", 0},  {"GMT", 0},  {"EST", -5}, {"EDT", -4}, {"CST", -6},
		     {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
	unsigned hours = 0;
	unsigned minutes = 0;
	int used = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(zones); i++) {
		if (g_ascii_strcasecmp(word, zones[i].name) == 0) {
			parts->offset = zones[i].hours * 60;
			return parts->has_zone = true;
		}
	}
	if (word[0] != '+' && word[0] != '-')
		return false;
	if ((sscanf(word + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2 || word[1 + used]) &&
	    (sscanf(word + 1, "%2u%2u%n", &hours, &minutes, &used) != 2 || word[1 + used]))
		return false;
	if (hours > 14 || minutes > 59)
		return false;
	parts->offset = (int)(hours * 60 + minutes) * (word[0] == '-' ? -1 : 1);
	return parts->has_zone = true;
}

/* "12:34[:56[.789]]", and a zone that may follow at once. */
static bool parse_time(const char *word, DateParts *parts)
{
	int hour = 0;
	int minute = 0;
	int second = 0;
	int used = 0;

	if (sscanf(word, "%2d:%2d%n", &hour, &minute, &used) != 2)
		return false;
	word += used;
	if (word[0] == ':') {
		if (sscanf(word, ":%2d%n", &second, &used) != 1)
			return false;
		word += used;
	}
	if (word[0] == '.')
		word += 1 + strspn(word + 1, "0123456789");
	if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return false;
	parts->tm.tm_hour = hour;
	parts->tm.tm_min = minute;
	parts->tm.tm_sec = second;
	parts->has_time = true;
	return word[0] == '\0' || parse_zone(word, parts);
}

/* "20050407T221313", and a zone that may follow at once. */
static bool parse_compact(const char *word, DateParts *parts)
{
	struct tm tm = {0};
	int used = 0;

	if (sscanf(word, "%4d%2d%2dT%2d%2d%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &used) != 6 ||
	    tm.tm_year < 1900 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31 || tm.tm_hour < 0 || tm.tm_hour > 24 || tm.tm_min < 0 ||
	    tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	parts->tm = tm;
	parts->has_date = parts->has_time = true;
	return word[used] == '\0' || parse_zone(word + used, parts);
}

/* "2005-04-07" or "2005/04/07", and "T" with a time that may follow. */
static bool parse_date(const char *word, DateParts *parts)
{
	int year = 0;
	int month = 0;
	int day = 0;
	int used = 0;

	if (sscanf(word, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 &&
	    sscanf(word, "%4d/%2d/%2d%n", &year, &month, &day, &used) != 3)
		return false;
	if (year < 1900 || month < 1 || month > 12 || day < 1 || day > 31)
		return false;
	parts->tm.tm_year = year - 1900;
	parts->tm.tm_mon = month - 1;
	parts->tm.tm_mday = day;
	parts->has_date = true;
	return word[used] == '\0' || (word[used] == 'T' && parse_time(word + used + 1, parts));
}

/* A day of the month, a year, or seconds since the epoch. */
static bool parse_number(const char *word, DateParts *parts)
{
	const char *digits = word + (word[0] == '@');
	char *end = NULL;
	gint64 number = g_ascii_strtoll(digits, &end, 10);

	if (!g_ascii_isdigit(digits[0]) || *end != '\0')
		return false;
	if (word[0] == '@' || number >= 100000000) {
		parts->seconds = number;
		return parts->has_seconds = true;
	}
	if (number >= 1 && number <= 31 && parts->tm.tm_mday == 0)
		parts->tm.tm_mday = (int)number;
	else if (number >= 1900 && number <= 9999)
		parts->tm.tm_year = (int)number - 1900;
	else
		return false;
	parts->has_date = true;
	return true;
}

static bool parse_word(const char *word, DateParts *parts)
{
	int month = prolly_date_find_month(word, strlen(word));

	if (parse_compact(word, parts) || parse_date(word, parts) || parse_time(word, parts) ||
	    parse_number(word, parts) || parse_zone(word, parts))
		return true;
	if (month >= 0) {
		parts->tm.tm_mon = month;
		return parts->has_date = true;
	}
	return prolly_date_find_weekday(word, strlen(word)) >= 0;
}

static bool finish_absolute(DateParts *parts, int64_t *out_time, int *out_offset)
{
	struct tm local = parts->tm;
	int64_t time;

	if (parts->has_seconds) {
		if (parts->has_date || parts->has_time)
			return false;
		time = parts->seconds;
	} else {
		if (!parts->has_date || (!parts->has_time && !parts->has_zone) ||
		    parts->tm.tm_mday == 0 || parts->tm.tm_year == 0)
			return false;
		local.tm_isdst = -1;
		time = parts->has_zone ? (int64_t)timegm(&parts->tm) - parts->offset * 60
				       : (int64_t)mktime(&local);
	}
	*out_time = time;
	*out_offset = parts->has_zone ? parts->offset : prolly_date_get_offset(time);
	return time >= 0;
}

static bool parse_absolute(const char *text, int64_t *out_time, int *out_offset)
{
	g_auto(GStrv) words = g_strsplit_set(text, " ,\t", -1);
	DateParts parts = {0};

	for (char **word = words; *word; word++)
		if (**word != '\0' && !parse_word(*word, &parts))
			return false;
	return finish_absolute(&parts, out_time, out_offset);
}

bool prolly_date_parse(const char *text, int64_t now, int64_t *out_time, int *out_offset_minutes)
{
	int64_t time;
	int offset;

	if (!parse_absolute(text, &time, &offset)) {
		if (!prolly_date_parse_said(text, now, &time))
			return false;
		offset = prolly_date_get_offset(time);
	}
	*out_time = time;
	*out_offset_minutes = offset;
	return true;
}
