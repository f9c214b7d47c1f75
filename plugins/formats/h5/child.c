/* child.c: runs the reader in a child process.
 *
 * libhdf5 trusts files: damaged ones have made it overflow, loop and allocate without end, in every version up to now.
 * So the parent forks, the child may open no file, use little memory more than it has, and few seconds of processor; it
 * writes into memory that both see, and what it leaves there counts only when it came to its end. A child that dies is
 * a damaged file.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "h5.h"

/* Of processor: a hundred times what a good file takes. */
enum { LEAST_SECONDS = 2, BYTES_PER_SECOND = 20 << 20, ALIGNMENT = 64 };

/* A private copy of `weights` whose buffers lie in the shared block. */
struct mirror {
    struct tn_weights weights;
    struct tn_weight_layer *layers;
    struct tn_weight *items;
};

/* Calls `visit` for each buffer of `to` and the matching one of `from`, with its number of floats. */
static void each_buffer(struct tn_weights *to, const struct tn_weights *from, bool with_slots,
                        void (*visit)(float **to, float *from, uint64_t count, void *context), void *context)
{
    for (uint32_t i = 0; i < to->layer_count; i++)
        for (uint32_t j = 0; j < to->layers[i].weight_count; j++) {
            struct tn_weight *weight = &to->layers[i].weights[j];
            const struct tn_weight *other = &from->layers[i].weights[j];
            uint64_t count = tn_shape_elements(&weight->shape);
            visit(&weight->data, other->data, count, context);
            for (int32_t slot = 0; with_slots && slot < weight->slot_count && slot < 4; slot++)
                if (weight->slots[slot])
                    visit(&weight->slots[slot], other->slots[slot], count, context);
        }
}

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void visit_count(float **to, float *from, uint64_t count, void *context)
{
    (void)to;
    (void)from;
    *(uint64_t *)context += rounded(count * sizeof(float));
}

static void visit_place(float **to, float *from, uint64_t count, void *context)
{
    char **next = context;
    (void)from;
    *to = (float *)(void *)*next;
    *next += rounded(count * sizeof(float));
}

static void visit_copy(float **to, float *from, uint64_t count, void *context)
{
    (void)context;
    memcpy(*to, from, (size_t)count * sizeof(float));
}

static tn_status mirror_open(struct mirror *mirror, const struct tn_weights *weights, struct tn_error *error)
{
    size_t count = 0;
    struct tn_weight *next;
    for (uint32_t i = 0; i < weights->layer_count; i++)
        count += weights->layers[i].weight_count;
    mirror->weights = *weights;
    mirror->layers = calloc((size_t)weights->layer_count + 1, sizeof *mirror->layers);
    mirror->items = calloc(count + 1, sizeof *mirror->items);
    mirror->weights.layers = mirror->layers;
    if (!mirror->layers || !mirror->items)
        return tn_fail(error, TN_NO_MEMORY, "no memory to read weights");
    next = mirror->items;
    for (uint32_t i = 0; i < weights->layer_count; i++) {
        mirror->layers[i] = weights->layers[i];
        mirror->layers[i].weights = next;
        for (uint32_t j = 0; j < weights->layers[i].weight_count; j++)
            *next++ = weights->layers[i].weights[j];
    }
    return TN_OK;
}

static void mirror_close(struct mirror *mirror)
{
    free(mirror->layers);
    free(mirror->items);
}

/* Data that this process has mapped now; the limit counts from there, since the parent may be large. */
static uint64_t data_bytes_now(void)
{
    unsigned long long pages[6] = {0};
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu %llu %llu %llu %llu", &pages[0], &pages[1], &pages[2], &pages[3], &pages[4],
               &pages[5]) != 6)
        pages[5] = 0;
    (void)fclose(file);
    return pages[5] * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limit(int resource, uint64_t value)
{
    struct rlimit rule = {(rlim_t)value, (rlim_t)value};
    (void)setrlimit(resource, &rule);
}

static void fence_in(uint64_t bytes)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM, SIGXCPU, SIGTERM};
    uint64_t now = data_bytes_now(), seconds = LEAST_SECONDS + bytes / BYTES_PER_SECOND;
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        (void)signal(fatal[i], SIG_DFL);
    (void)signal(SIGINT, SIG_IGN); /* the parent's affair */
    (void)close(STDOUT_FILENO);
    (void)close(STDERR_FILENO);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, seconds);
    limit(RLIMIT_NOFILE, 0);
    if (now)
        limit(RLIMIT_DATA, now + bytes * 3 + (256u << 20));
    (void)alarm((unsigned)(60 + 10 * seconds)); /* should it ever wait instead of work */
}

tn_status h5_in_child(void (*job)(void *context), void *context, uint64_t bytes, int32_t *finished,
                      struct tn_error *error)
{
    int state = 0;
    pid_t child = fork();
    if (child < 0)
        return tn_fail(error, TN_FAILED, "cannot start a process to read the file in: %s", strerror(errno));
    if (child == 0) {
        fence_in(bytes);
        job(context);
        *(volatile int32_t *)finished = 1;
        _exit(0);
    }
    while (waitpid(child, &state, 0) < 0 && errno == EINTR)
        continue;
    if (*(volatile int32_t *)finished) /* also when somebody else has waited for it */
        return TN_OK;
    return tn_fail(error, TN_CORRUPT, "the file is damaged: the HDF5 library %s on it",
                   WIFSIGNALED(state) &&
                           (WTERMSIG(state) == SIGXCPU || WTERMSIG(state) == SIGALRM || WTERMSIG(state) == SIGKILL)
                       ? "found no end"
                       : "broke down");
}

/* ---- reading weights ---- */

struct reading {
    const void *data;
    uint64_t bytes;
    struct tn_weights *weights;
    struct h5_result *result;
};

static void read_weights(void *context)
{
    const struct reading *reading = context;
    h5_read(reading->data, reading->bytes, reading->weights, reading->result);
}

static void take_result(const struct h5_result *result, struct tn_weights *weights, char *notes, uint64_t notes_bytes)
{
    if (result->has_slots)
        weights->iterations = result->iterations;
    if (result->has_learning_rate)
        weights->learning_rate = result->learning_rate;
    if (notes && notes_bytes)
        (void)snprintf(notes, notes_bytes, "%s", result->notes);
}

tn_status h5_read_in_child(const void *data, uint64_t bytes, struct tn_weights *weights, char *notes,
                           uint64_t notes_bytes, struct tn_error *error)
{
    struct mirror mirror = {.layers = NULL};
    struct h5_result *result = MAP_FAILED;
    uint64_t total = rounded(sizeof *result);
    char *next;
    tn_status status = mirror_open(&mirror, weights, error);
    if (status != TN_OK)
        goto out;
    each_buffer(&mirror.weights, weights, true, visit_count, &total);
    result = mmap(NULL, (size_t)total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == MAP_FAILED) {
        status = tn_fail(error, TN_NO_MEMORY, "no memory to read weights");
        goto out;
    }
    next = (char *)result + rounded(sizeof *result);
    each_buffer(&mirror.weights, weights, true, visit_place, &next);
    struct reading reading = {data, bytes, &mirror.weights, result};
    status = h5_in_child(read_weights, &reading, bytes, &result->finished, error);
    if (status == TN_OK && result->status != TN_OK) {
        result->error.text[sizeof result->error.text - 1] = '\0';
        status = tn_fail(error, result->status, "%s", result->error.text);
    }
    if (status == TN_OK) {
        each_buffer(weights, &mirror.weights, result->has_slots != 0, visit_copy, NULL);
        take_result(result, weights, notes, notes_bytes);
    }
out:
    if (result != MAP_FAILED)
        (void)munmap(result, (size_t)total);
    mirror_close(&mirror);
    return status;
}
