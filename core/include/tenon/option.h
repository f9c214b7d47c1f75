/* tenon/option.h: option tables. One table is the parser, the bounds check, the defaults, the help and the reference of
 * a type.
 *
 * A type lists its options as a static array that ends with TN_END. The host zeroes the instance struct, fills every
 * field from the table's defaults and the section of the experiment file, checks the bounds, and only then calls
 * open(). Keys that are not in the table are an error at file:line with the nearest known name, so a plugin never
 * parses text by itself.
 */
#ifndef TENON_OPTION_H
#define TENON_OPTION_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The kind of an option and, in brackets, the C type of its field. */
enum tn_option_kind {
    TN_OPTION_END = 0,
    TN_OPTION_INT = 1,    /* int64_t: whole number */
    TN_OPTION_FLOAT = 2,  /* double: number or quotient such as 1/255 */
    TN_OPTION_BOOL = 3,   /* int32_t: yes/no, true/false, on/off, 1/0 */
    TN_OPTION_STRING = 4, /* const char *: text; NULL when absent. Owned by the host, valid until close() returns */
    TN_OPTION_ENUM = 5,   /* int32_t: index into `choices` (names separated by '|') */
    TN_OPTION_SIZE = 6,   /* struct tn_size: `3` (both), `3x5` or `3, 5` = height x width */
    TN_OPTION_BYTES = 7, /* uint64_t: 512, 10k, 2MiB, 2GiB (k, M, G, T and KiB…: powers of 1024; KB, MB…: of 1000) */
    TN_OPTION_DURATION = 8, /* double, seconds: 90, 2s, 10m, 5min, 11h30m, 1d */
    TN_OPTION_LIST = 9,     /* struct tn_list: texts separated by commas */
    TN_OPTION_NUMBERS = 10, /* struct tn_numbers: numbers separated by commas */
    TN_OPTION_GONE = 11,    /* a removed key: `help` says what to write instead */
};

enum {
    TN_OPTION_IS_REQUIRED = 1u,
    TN_OPTION_IS_PATH = 2u /* relative paths count from the experiment file's folder */
};

struct tn_size {
    int32_t height, width;
};
struct tn_list {
    const char *const *items;
    uint32_t count;
};
struct tn_numbers {
    const double *items;
    uint32_t count;
};

struct tn_option {
    uint32_t kind;            /* enum tn_option_kind */
    uint32_t flags;           /* TN_OPTION_IS_… */
    const char *name;         /* the key that a user types */
    uint64_t offset;          /* of the field in the instance struct */
    double default_number;    /* INT, FLOAT, BOOL, ENUM (index); NaN = required */
    double minimum, maximum;  /* inclusive; of INT, FLOAT, each of SIZE and NUMBERS, BYTES, DURATION */
    const char *default_text; /* STRING, SIZE, BYTES, DURATION, LIST, NUMBERS; NULL = absent (field zero) */
    const char *choices;      /* ENUM: "same|valid"; STRING that is a path: "none|memory|FILE", words that are none */
    const char *help;         /* one line, with the unit */
};

/* A default that means "the user has to give it". */
#define TN_REQUIRED NAN
#define TN_ANY      INFINITY /* as a bound: none on this side (use -TN_ANY for the lower one) */

/* clang-format off */
#define TN_OPTION_(kind_, flags_, struct_, field_, number_, low_, high_, text_, choices_, help_) \
    { kind_, flags_, #field_, offsetof(struct_, field_), number_, low_, high_, text_, choices_, help_ }

#define TN_INT(struct_, field_, default_, low_, high_, help_) \
    TN_OPTION_(TN_OPTION_INT, 0, struct_, field_, default_, low_, high_, NULL, NULL, help_)
#define TN_FLOAT(struct_, field_, default_, low_, high_, help_) \
    TN_OPTION_(TN_OPTION_FLOAT, 0, struct_, field_, default_, low_, high_, NULL, NULL, help_)
#define TN_BOOL(struct_, field_, default_, help_) \
    TN_OPTION_(TN_OPTION_BOOL, 0, struct_, field_, default_, 0, 1, NULL, NULL, help_)
#define TN_STRING(struct_, field_, default_, help_) \
    TN_OPTION_(TN_OPTION_STRING, 0, struct_, field_, 0, 0, 0, default_, NULL, help_)
#define TN_STRING_REQUIRED(struct_, field_, help_) \
    TN_OPTION_(TN_OPTION_STRING, TN_OPTION_IS_REQUIRED, struct_, field_, 0, 0, 0, NULL, NULL, help_)
#define TN_PATH(struct_, field_, default_, help_) \
    TN_OPTION_(TN_OPTION_STRING, TN_OPTION_IS_PATH, struct_, field_, 0, 0, 0, default_, NULL, help_)
#define TN_PATH_REQUIRED(struct_, field_, help_) \
    TN_OPTION_(TN_OPTION_STRING, TN_OPTION_IS_PATH | TN_OPTION_IS_REQUIRED, struct_, field_, 0, 0, 0, NULL, NULL, help_)
/* A word of `choices_` as it is ("none|memory|FILE": none, memory), or else a path. */
#define TN_PATH_OR(struct_, field_, default_, choices_, help_) \
    TN_OPTION_(TN_OPTION_STRING, TN_OPTION_IS_PATH, struct_, field_, 0, 0, 0, default_, choices_, help_)
#define TN_ENUM(struct_, field_, default_index_, choices_, help_) \
    TN_OPTION_(TN_OPTION_ENUM, 0, struct_, field_, default_index_, 0, 0, NULL, choices_, help_)
#define TN_SIZE(struct_, field_, default_text_, low_, high_, help_) \
    TN_OPTION_(TN_OPTION_SIZE, 0, struct_, field_, 0, low_, high_, default_text_, NULL, help_)
#define TN_SIZE_REQUIRED(struct_, field_, low_, high_, help_) \
    TN_OPTION_(TN_OPTION_SIZE, TN_OPTION_IS_REQUIRED, struct_, field_, 0, low_, high_, NULL, NULL, help_)
#define TN_BYTES(struct_, field_, default_text_, low_, high_, help_) \
    TN_OPTION_(TN_OPTION_BYTES, 0, struct_, field_, 0, low_, high_, default_text_, NULL, help_)
#define TN_DURATION(struct_, field_, default_text_, low_, high_, help_) \
    TN_OPTION_(TN_OPTION_DURATION, 0, struct_, field_, 0, low_, high_, default_text_, NULL, help_)
#define TN_LIST(struct_, field_, default_text_, help_) \
    TN_OPTION_(TN_OPTION_LIST, 0, struct_, field_, 0, 0, 0, default_text_, NULL, help_)
#define TN_NUMBERS(struct_, field_, default_text_, low_, high_, help_) \
    TN_OPTION_(TN_OPTION_NUMBERS, 0, struct_, field_, 0, low_, high_, default_text_, NULL, help_)
#define TN_GONE(name_, instead_) { TN_OPTION_GONE, 0, name_, 0, 0, 0, 0, NULL, NULL, instead_ }
#define TN_END { TN_OPTION_END, 0, NULL, 0, 0, 0, 0, NULL, NULL, NULL }
/* clang-format on */

#ifdef __cplusplus
}
#endif
#endif
