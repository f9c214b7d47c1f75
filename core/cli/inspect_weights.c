/* inspect_weights.c: the arrays of a weight file. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/inspect.h"

struct weights {
    struct tn_inspect *inspect;
    struct tn_table table;
    struct tn_text rows; /* with --json */
    uint64_t arrays, numbers, bytes, state_arrays, state_bytes;
};

static uint64_t elements(const struct tn_array_info *array)
{
    uint64_t count = 1;
    for (int32_t i = 0; i < array->rank && i < (int32_t)TN_COUNT_OF(array->dims); i++)
        if (__builtin_mul_overflow(count, array->dims[i], &count))
            return UINT64_MAX; /* such a file is not honest */
    return count;
}

static void add_shape(struct tn_text *text, const struct tn_array_info *array, const char *between)
{
    int32_t shown = array->rank < (int32_t)TN_COUNT_OF(array->dims) ? array->rank : (int32_t)TN_COUNT_OF(array->dims);
    for (int32_t i = 0; i < shown; i++)
        tn_text_format(text, "%s%" PRIu64, i ? between : "", array->dims[i]);
}

static void add_row(struct weights *weights, const struct tn_array_info *array)
{
    struct tn_text shape = {0};
    char bytes[32];
    add_shape(&shape, array, "x");
    tn_table_cell(&weights->table,
                  tn_inspect_printable(&weights->inspect->arena, array->name, strlen(array->name), 400));
    tn_table_cell(&weights->table, shape.data && !shape.failed ? shape.data : "one number");
    tn_table_cell(&weights->table, array->type_name);
    tn_table_cell(&weights->table, tn_say_count(bytes, sizeof bytes, array->bytes));
    tn_table_cell(&weights->table, array->role == TN_ARRAY_OPTIMIZER ? "optimizer" : "");
    tn_text_release(&shape);
}

static void add_json(struct weights *weights, const struct tn_array_info *array)
{
    struct tn_text *json = &weights->rows;
    tn_inspect_member(json, NULL);
    tn_text_add(json, "\n {\"name\": ");
    tn_text_json(json, array->name);
    tn_text_add(json, ", \"shape\": [");
    add_shape(json, array, ", ");
    tn_text_format(json, "], \"type\": \"%s\", \"bytes\": %" PRIu64 ", \"optimizer\": %s}", array->type_name,
                   array->bytes, array->role == TN_ARRAY_OPTIMIZER ? "true" : "false");
}

static void visit(void *context, const struct tn_array_info *array)
{
    struct weights *weights = context;
    if (array->role == TN_ARRAY_OPTIMIZER) {
        weights->state_arrays++;
        weights->state_bytes += array->bytes;
    } else if (array->role == TN_ARRAY_WEIGHT) {
        weights->arrays++;
        weights->numbers += elements(array);
        weights->bytes += array->bytes;
    }
    if (weights->inspect->options->json)
        add_json(weights, array);
    else
        add_row(weights, array);
}

static void say(struct weights *weights, const char *path, const char *notes)
{
    char count[32], bytes[32];
    printf("%s: %s\n", path, notes);
    printf("%" PRIu64 " arrays of weights, %s numbers, %s", weights->arrays,
           tn_say_count(count, sizeof count, weights->numbers), tn_say_bytes(bytes, sizeof bytes, weights->bytes));
    if (weights->state_arrays)
        printf("; %" PRIu64 " arrays of the optimizer's state, %s", weights->state_arrays,
               tn_say_bytes(bytes, sizeof bytes, weights->state_bytes));
    printf("\n\n");
    tn_table_print(&weights->table, 1);
}

tn_status tn_inspect_weights(struct tn_inspect *inspect, const char *path, struct tn_error *error)
{
    struct weights weights = {.inspect = inspect, .table = {.columns = 5, .alignment = "lllrl"}};
    struct tn_text *json = &inspect->json;
    char notes[1024] = "";
    const char *kept;
    for (const char *const *head = (const char *const[]){"array", "shape", "type", "bytes", "", NULL}; *head; head++)
        tn_table_cell(&weights.table, *head);
    tn_status status = tn_weight_file_list(inspect->registry, path, visit, &weights, notes, sizeof notes, error);
    kept = tn_inspect_printable(&inspect->arena, notes, strlen(notes), sizeof notes);
    if (status == TN_OK && inspect->options->json) {
        tn_inspect_member(json, NULL);
        tn_text_add(json, "{\"file\": ");
        tn_text_json(json, path);
        tn_text_format(json, ", \"weights\": %" PRIu64 ", \"notes\": ", weights.numbers);
        tn_text_json(json, notes);
        tn_text_add(json, ", \"arrays\": [");
        tn_text_add(json, weights.rows.data && !weights.rows.failed ? weights.rows.data : "");
        tn_text_add(json, "]}");
    } else if (status == TN_OK) {
        say(&weights, path, kept ? kept : "");
    }
    tn_text_release(&weights.table.cells);
    tn_text_release(&weights.rows);
    return status;
}
