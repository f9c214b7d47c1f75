/* settings.c: what the run was made of: the experiment with everything resolved, as the core has put it into config.ini
 * of the run directory.
 */
#include "summary.h"
#include "tensorboard.h"

enum { LARGEST = 1 << 20 };

/* Markdown shows lines behind four blanks as they are. */
static void quote(struct message *text, const char *from, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        const char *newline = memchr(from + at, '\n', bytes - at);
        size_t length = newline ? (size_t)(newline - from) - at + 1 : bytes - at;
        message_put(text, "    ", 4);
        message_put(text, from + at, length);
        at += length;
    }
}

tn_status settings_write_text(struct tensorboard *board, const struct tn_run *run, struct tn_error *error)
{
    struct message text = {.bytes = NULL};
    char path[1200];
    void *data = NULL;
    uint64_t bytes = 0;
    tn_status status;
    (void)snprintf(path, sizeof path, "%s/config.ini", run->directory);
    if (board->host->read_file(path, LARGEST, &data, &bytes, NULL) != TN_OK)
        return TN_OK; /* a host that keeps none */
    quote(&text, data, (size_t)bytes);
    board->host->release(data);
    if (text.failed)
        board->train.event.failed = 1;
    summary_text(&board->train.event, "configuration", (uint64_t)run->epoch, (const char *)text.bytes, text.used);
    message_release(&text);
    status = event_file_add(&board->train, error);
    return status == TN_OK ? event_file_flush(&board->train, error) : status;
}
