/* cpu.h: the instance of the cpu device, and its threads.
 *
 * Reading order: device.c (the table), plan.c (a program becomes kernels), layout.h (how a value lies in memory),
 * kernel.h (what a planned op consists of), then one op_….c for each family of ops. onednn.c hides the library's
 * versions, parallel.c is the only file with OpenMP in it.
 */
#ifndef TENON_CPU_CPU_H
#define TENON_CPU_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "onednn.h"
#include "tenon/device.h"
#include "tenon/type.h"

enum tn_convolution_choice { TN_CONVOLUTION_AUTO = 0, TN_CONVOLUTION_DIRECT = 1, TN_CONVOLUTION_WINOGRAD = 2 };

struct tn_layout;

struct tn_cpu {
    /* options */
    int64_t threads; /* 0 = all; open() puts the number in */
    int32_t convolution, huge_pages;
    /* set by open() */
    const struct tn_host *host;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct tn_parallel parallel;
    /* Every layout that was ever described, each once, so that equal layouts are the same pointer (layout.c). */
    struct tn_layout **layouts;
    uint32_t layout_count, layout_capacity;
};

/* Loops whose compiled form matters. GCC makes one copy for each instruction set and picks when the plugin loads; the
 * results are the same bits in all of them (no contraction, no reassociation). Sanitizers cannot run the picking code
 * that early. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&                       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TN_VECTOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TN_VECTOR
#endif
#define TN_INLINE static inline __attribute__((always_inline))

/* In front of a loop whose iterations touch only their own elements, so that output may be input (in place). */
#if defined(__clang__)
#define TN_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TN_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* parallel.c: runs body on disjoint ranges of [0, count), as struct tn_parallel says. The split depends on count, grain
 * and the number of threads only. */
void tn_parallel_for(const struct tn_cpu *cpu, uint64_t count, uint64_t grain,
                     void (*body)(void *context, uint64_t begin, uint64_t end), void *context);
int tn_parallel_all_threads(void);
void tn_parallel_init(struct tn_cpu *cpu);
/* Around a step: sets the number of threads that oneDNN will use and, on every thread, flush-to-zero. */
struct tn_parallel_state {
    int threads;
    unsigned control;
};
struct tn_parallel_state tn_parallel_enter(const struct tn_cpu *cpu);
void tn_parallel_leave(struct tn_parallel_state state);

#endif
