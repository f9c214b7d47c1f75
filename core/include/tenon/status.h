/* tenon/status.h: how every call of tenon says that it failed.
 *
 * A call that can fail returns a tn_status and takes a `struct tn_error *` that the caller owns (NULL is allowed). The
 * first failure writes it; callers further up add context with tn_error_wrap and never replace the cause. Nothing here
 * links to libtenon: a plugin needs this header and libc.
 */
#ifndef TENON_STATUS_H
#define TENON_STATUS_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t tn_status;

enum {
    TN_OK = 0,
    TN_FAILED = 1,       /* the run failed; the text says why */
    TN_INVALID = 2,      /* the user's file, option or command line is wrong (exit status 2) */
    TN_NOT_FOUND = 3,    /* a file, folder, type or symbol is not there */
    TN_NO_MEMORY = 4,    /* an allocation failed, or a limit forbids it */
    TN_IO = 5,           /* the operating system refused to read or write */
    TN_CORRUPT = 6,      /* bytes that are not what their format demands */
    TN_UNSUPPORTED = 7,  /* well formed, but this build or device cannot do it */
    TN_BUSY = 8,         /* somebody else holds it (a run directory, say) */
    TN_INTERRUPTED = 75, /* stopped in order by a signal; state is saved */
};

/* Owned by the caller, reusable; `file` is empty and `line` 0 where no place in a file is to blame. */
struct tn_error {
    tn_status status;
    uint32_t line;
    char file[512];
    char text[1536];
};

#if defined(__GNUC__)
#define TN_PRINTF(format_, first_) __attribute__((format(printf, format_, first_)))
#define TN_UNUSED                  __attribute__((unused))
#else
#define TN_PRINTF(format_, first_)
#define TN_UNUSED
#endif

/* Records a failure and returns `status`, so that a caller writes `return tn_fail(error, TN_INVALID, "…", …);`. */
TN_PRINTF(3, 4)
TN_UNUSED static inline tn_status tn_fail(struct tn_error *error, tn_status status, const char *format, ...)
{
    if (error) {
        va_list arguments;
        error->status = status;
        va_start(arguments, format);
        (void)vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
    }
    return status;
}

/* clang's analyzer does not look into variadic functions, and would have a failure return TN_OK. */
#ifdef __clang_analyzer__
TN_UNUSED static inline void tn_fail_arguments(const char *format, ...)
{
    (void)format;
}
#define tn_fail(error_, status_, ...) ((void)(error_), tn_fail_arguments(__VA_ARGS__), (tn_status)(status_))
#endif

/* Puts "context: " before the text of a failure that is already recorded and returns its status. */
TN_PRINTF(3, 4)
TN_UNUSED static inline tn_status tn_error_wrap(struct tn_error *error, tn_status status, const char *format, ...)
{
    if (error) {
        char old[sizeof error->text];
        va_list arguments;
        size_t used;
        memcpy(old, error->text, sizeof old);
        old[sizeof old - 1] = '\0';
        va_start(arguments, format);
        (void)vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        used = strlen(error->text);
        (void)snprintf(error->text + used, sizeof error->text - used, ": %s", old);
        error->status = status;
    }
    return status;
}

#ifdef __cplusplus
}
#endif
#endif
