/* json.h: reads JSON text piece by piece, for the formats that have some. Nothing is allocated: what a text says of
 * itself cannot cost memory, and no value is gone into deeper than JSON_DEEPEST. After the first fault every call
 * returns false; `problem` then has a word for it.
 */
#ifndef TENON_FORMATS_JSON_H
#define TENON_FORMATS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_DEEPEST = 64 };

struct json {
    const char *at, *end;
    const char *problem; /* NULL: all is well */
};

struct json json_begin(const void *text, size_t bytes);
/* Goes into an object ('{') or array ('['). */
bool json_enter(struct json *json, char bracket);
/* Before each member: true when there is one, false behind the closing bracket. `*first` is true at first. */
bool json_more(struct json *json, char bracket, bool *first);
/* A text, unescaped, into `room` bytes with a 0 behind; a longer one is a fault. `text` NULL: only checked.
 * `length`, which may be NULL, gets its bytes. */
bool json_text(struct json *json, char *text, size_t room, size_t *length);
/* The name of an object's member, and the colon. */
bool json_key(struct json *json, char *text, size_t room, size_t *length);
/* A number from 0 to 2^64 - 1 without fraction or exponent. */
bool json_whole(struct json *json, uint64_t *value);
/* Any value. */
bool json_skip(struct json *json);
/* Nothing but blanks is left. */
bool json_finished(struct json *json);
/* What comes next, without taking it: '{', '[', '"', a digit, …; 0 at the end. */
char json_peek(struct json *json);
bool json_fault(struct json *json, const char *problem);

#endif
