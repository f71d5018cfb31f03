/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * json-text: JSON as the text that it is, parsed so that its parts can be put together again.
 *
 * Every part is a piece of the text: a value that is taken over keeps its bytes, with the digits of
 * its numbers, the escapes of its strings and its white space. What two parts have in common is told
 * by their hashes, which see contents only: not white space, not the order of an object's members,
 * not how a string is escaped; numbers are compared by their digits.
 */

#include "version/strategy.h"

typedef enum {
	PROLLY_JSON_OBJECT,
	PROLLY_JSON_ARRAY,
	PROLLY_JSON_SCALAR,
} ProllyJsonKind;

typedef struct ProllyJson ProllyJson;

/* A member of an object, or an element of an array (without key and colon). */
typedef struct {
	ProllyText lead;  /* white space before it */
	ProllyText key;   /* with its quotes */
	ProllyText colon; /* with the white space around it */
	GBytes *name;     /* the key, decoded */
	ProllyJson *value;
} ProllyJsonMember;

struct ProllyJson {
	ProllyJsonKind kind;
	ProllyText text;
	ProllyHash hash;
	GArray *members;  /* of ProllyJsonMember; of a scalar NULL */
	ProllyText close; /* white space before the closing bracket */
};

/* (transfer full) The value that TEXT is, with the white space around it; NULL: it is not JSON, or
 * is nested too deep, or an object has a key twice. */
ProllyJson *prolly_json_parse(const ProllyText *text, ProllyText *out_before,
			      ProllyText *out_after);
void prolly_json_free(ProllyJson *json); /* NULL is allowed */

static inline const ProllyJsonMember *prolly_json_get(const ProllyJson *json, size_t i)
{
	return &g_array_index(json->members, ProllyJsonMember, i);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProllyJson, prolly_json_free)
