/* json.h: a small reader of JSON texts, for the models' descriptions that Keras puts into its files. */
#ifndef TENON_TESTS_JSON_H
#define TENON_TESTS_JSON_H

#include "base/base.h"

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json {
    int kind;         /* enum json_kind */
    const char *key;  /* in an object */
    const char *text; /* of a text; of a number as it was written */
    double number;
    struct json *first, *next; /* members, or the element behind this one */
};

/* All memory is the arena's. NULL: not JSON, or nested too deeply, or no memory. */
const struct json *json_parse(struct tn_arena *arena, const char *text, size_t length);
/* Member of an object; NULL when there is none, or when `object` is none (so calls can be chained). */
const struct json *json_member(const struct json *object, const char *key);
const struct json *json_element(const struct json *array, size_t index);
/* The text of a text; NULL for anything else. */
const char *json_text(const struct json *value);

#endif
