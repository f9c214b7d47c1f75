/* log.c: lines of the core for people. Where they go is the program's affair: without a sink nothing is printed. */
#include "base/base.h"

#include <pthread.h>
#include <stdarg.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tn_log_sink log_sink;
static void *log_context;

void tn_log_to(tn_log_sink sink, void *context)
{
    (void)pthread_mutex_lock(&lock);
    log_sink = sink;
    log_context = context;
    (void)pthread_mutex_unlock(&lock);
}

void tn_log(int32_t level, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)pthread_mutex_lock(&lock);
    if (log_sink)
        log_sink(log_context, level, text);
    (void)pthread_mutex_unlock(&lock);
}
