/* settings.c: what the run was made of, from config.ini of the run directory, where the core has put the experiment
 * with everything resolved: all of it as text, and single keys as hyper-parameters. The messages of those are
 *
 *   Data    { 3: Start { 1: entry { 1: key, 2: Value } …, 5: seconds } | 4: End { 1: status, 2: seconds } }
 *   Value   { 2: number | 3: text | 4: truth }
 */
#include <stdlib.h>

#include "summary.h"
#include "tensorboard.h"

enum { LARGEST = 1 << 20, ENDED_WELL = 1 };

/* ---- text ---- */

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

static tn_status write_text(struct tensorboard *board, const struct tn_run *run, const char *config, size_t bytes,
                            struct tn_error *error)
{
    struct message text = {.bytes = NULL};
    quote(&text, config, bytes);
    summary_text(&board->train.event, "configuration", (uint64_t)run->epoch, (const char *)text.bytes, text.used);
    board->train.event.failed |= text.failed;
    message_release(&text);
    return event_file_add(&board->train, error);
}

/* ---- hyper-parameters ---- */

/* Whether the line [at, end) is `name`, blanks and `mark`; *rest is what stands behind. */
static int32_t begins_with(const char *at, const char *end, const char *name, size_t length, char mark,
                           const char **rest)
{
    if ((size_t)(end - at) < length || memcmp(at, name, length) != 0)
        return 0;
    for (at += length; at < end && *at == ' ';)
        at++;
    *rest = at + 1;
    return at < end && *at == mark;
}

/* The value of SECTION.KEY in the config, which ends with a 0. */
static int32_t find_value(const char *config, const char *name, char *value, size_t bytes)
{
    const char *dot = strrchr(name, '.'), *end, *rest;
    int32_t inside = 0;
    for (const char *at = config; dot && *at; at = *end ? end + 1 : end) {
        end = at + strcspn(at, "\n");
        if (*at == '[')
            inside = begins_with(at + 1, end, name, (size_t)(dot - name), ']', &rest);
        else if (inside && begins_with(at, end, dot + 1, strlen(dot + 1), '=', &rest)) {
            rest += strspn(rest, " ");
            (void)snprintf(value, bytes, "%.*s", (int)(end > rest ? end - rest : 0), rest);
            return 1;
        }
    }
    return 0;
}

static void put_value(struct message *data, const char *text)
{
    char *end;
    double number = strtod(text, &end);
    int32_t yes = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
    if (end != text && *end == '\0')
        message_double(data, 2, number);
    else if (yes || strcmp(text, "no") == 0 || strcmp(text, "false") == 0)
        message_varint(data, 4, (uint64_t)yes);
    else
        message_text(data, 3, text);
}

static tn_status put_hparams(struct message *data, const struct tn_list *names, const char *config,
                             struct tn_error *error)
{
    for (uint32_t i = 0; i < names->count; i++) {
        size_t entry, value;
        char text[1024];
        if (!find_value(config, names->items[i], text, sizeof text))
            return tn_fail(error, TN_INVALID,
                           "hparams: %s is not in the experiment: a key is named as on the command line "
                           "(data.batch_size), and has to be given",
                           names->items[i]);
        entry = message_open(data, 1);
        message_text(data, 1, names->items[i]);
        value = message_open(data, 2);
        put_value(data, text);
        message_close(data, value);
        message_close(data, entry);
    }
    message_double(data, 5, wall_seconds());
    return TN_OK;
}

static tn_status add_data(struct event_file *file, const char *tag, const struct message *data, struct tn_error *error)
{
    summary_data(&file->event, tag, "hparams", data);
    file->event.failed |= data->failed;
    return event_file_add(file, error);
}

static tn_status write_hparams(struct tensorboard *board, const struct tn_run *run, const char *config,
                               struct tn_error *error)
{
    struct message data = {.bytes = NULL};
    size_t start = message_open(&data, 3);
    tn_status status = put_hparams(&data, &board->hparams, config, error);
    message_close(&data, start);
    if (status == TN_OK && tensorboard_ready(board, &board->session, run))
        status = add_data(&board->session, "_hparams_/session_start_info", &data, error);
    message_release(&data);
    return status == TN_OK ? event_file_flush(&board->session, error) : status;
}

/* TensorBoard believes the first end that it reads, and a run that was cut off may go on: only its last part has one.
 */
tn_status settings_write_end(struct tensorboard *board, struct tn_error *error)
{
    struct message data = {.bytes = NULL};
    tn_status status;
    size_t end;
    if (board->session.descriptor < 0)
        return TN_OK;
    end = message_open(&data, 4);
    message_varint(&data, 1, ENDED_WELL);
    message_double(&data, 2, wall_seconds());
    message_close(&data, end);
    status = add_data(&board->session, "_hparams_/session_end_info", &data, error);
    message_release(&data);
    return status;
}

/* ---- both ---- */

/* A host that keeps no config.ini leaves it empty. The text ends with a 0. */
static tn_status read_config(struct tensorboard *board, const struct tn_run *run, char **config, size_t *length,
                             struct tn_error *error)
{
    char path[1200];
    void *data = NULL;
    uint64_t bytes = 0;
    (void)snprintf(path, sizeof path, "%s/config.ini", run->directory);
    if (board->host->read_file(path, LARGEST, &data, &bytes, NULL) != TN_OK)
        data = NULL;
    *config = malloc(data ? (size_t)bytes + 1 : 1);
    *length = *config && data ? (size_t)bytes : 0;
    if (*config) {
        if (data)
            memcpy(*config, data, *length);
        (*config)[*length] = '\0';
    }
    if (data)
        board->host->release(data);
    return *config ? TN_OK : tn_fail(error, TN_NO_MEMORY, "no memory to read %s", path);
}

tn_status settings_write(struct tensorboard *board, const struct tn_run *run, struct tn_error *error)
{
    char *config = NULL;
    size_t length = 0;
    tn_status status = read_config(board, run, &config, &length, error);
    if (status == TN_OK && board->hparams.count)
        status = write_hparams(board, run, config, error);
    if (status == TN_OK && board->write_configuration && length && tensorboard_ready(board, &board->train, run))
        status = write_text(board, run, config, length, error);
    free(config);
    return status == TN_OK ? event_file_flush(&board->train, error) : status;
}
