/* parallel.c: threads. oneDNN and our own loops share one OpenMP team, so that they never compete for cores. */
#include "cpu.h"

#include <omp.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

int tn_parallel_all_threads(void)
{
    return omp_get_num_procs(); /* respects the affinity mask */
}

void tn_parallel_for(const struct tn_cpu *cpu, uint64_t count, uint64_t grain,
                     void (*body)(void *context, uint64_t begin, uint64_t end), void *context)
{
    if (grain == 0)
        grain = 1;
    uint64_t tasks = count / grain + (count % grain != 0);
    uint64_t threads = (uint64_t)cpu->threads < tasks ? (uint64_t)cpu->threads : tasks;
    if (count == 0)
        return;
    if (threads <= 1) {
        body(context, 0, count);
        return;
    }
#pragma omp parallel num_threads((int)threads)
    {
        /* The team may be smaller than asked for. */
        uint64_t team = (uint64_t)omp_get_num_threads(), me = (uint64_t)omp_get_thread_num();
        uint64_t begin = tasks * me / team * grain, end = tasks * (me + 1) / team * grain;
        if (end > count)
            end = count;
        if (begin < end)
            body(context, begin, end);
    }
}

static void run_from_outside(const struct tn_parallel *parallel, uint64_t count, uint64_t grain,
                             void (*body)(void *context, uint64_t begin, uint64_t end), void *context)
{
    const struct tn_cpu *cpu =
        (const struct tn_cpu *)(const void *)((const char *)parallel - offsetof(struct tn_cpu, parallel));
    tn_parallel_for(cpu, count, grain, body, context);
}

void tn_parallel_init(struct tn_cpu *cpu)
{
    cpu->parallel.size = sizeof cpu->parallel;
    cpu->parallel.threads = (int32_t)cpu->threads;
    cpu->parallel.run = run_from_outside;
}

struct tn_parallel_state tn_parallel_enter(const struct tn_cpu *cpu)
{
    struct tn_parallel_state state = {omp_get_max_threads(), 0};
    omp_set_num_threads((int)cpu->threads);
#if defined(__SSE2__)
    state.control = _mm_getcsr();
#pragma omp parallel
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* flush to zero, denormals are zero */
#endif
    return state;
}

void tn_parallel_leave(struct tn_parallel_state state)
{
#if defined(__SSE2__)
    _mm_setcsr(state.control);
#endif
    omp_set_num_threads(state.threads);
}
