/* device.c: the type "cpu": instance, memory, copies between host and values. */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct tn_option options[] = {
    TN_INT(struct tn_cpu, threads, 0, 0, 4096, "threads to compute with; 0 = one for each core that we may use"),
    TN_ENUM(
        struct tn_cpu, convolution, TN_CONVOLUTION_AUTO, "auto|direct|winograd",
        "algorithm of 3x3 convolutions: auto chooses by channels and pass; direct rounds least; winograd where it can"),
    TN_BOOL(struct tn_cpu, huge_pages, 1, "ask the system for huge pages"),
    TN_END,
};

static tn_status device_open(void *self, const struct tn_host *host, struct tn_error *error)
{
    struct tn_cpu *cpu = self;
    cpu->host = host;
    cpu->layouts = NULL;
    cpu->layout_count = cpu->layout_capacity = 0;
    if (cpu->threads == 0)
        cpu->threads = tn_parallel_all_threads();
    tn_parallel_init(cpu);
    if (dnnl_engine_create(&cpu->engine, dnnl_cpu, 0) != dnnl_success)
        return tn_fail(error, TN_FAILED, "oneDNN cannot open the CPU");
    if (dnnl_stream_create(&cpu->stream, cpu->engine, dnnl_stream_default_flags) != dnnl_success) {
        dnnl_engine_destroy(cpu->engine);
        return tn_fail(error, TN_FAILED, "oneDNN cannot make a stream");
    }
    return TN_OK;
}

static void device_close(void *self)
{
    struct tn_cpu *cpu = self;
    tn_layout_free_all(cpu);
    dnnl_stream_destroy(cpu->stream);
    dnnl_engine_destroy(cpu->engine);
}

static const char *instruction_set(void)
{
    switch ((int)dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41:
        return "SSE 4.1";
    case dnnl_cpu_isa_avx:
        return "AVX";
    case dnnl_cpu_isa_avx2:
    case dnnl_cpu_isa_avx2_vnni:
        return "AVX2";
    case dnnl_cpu_isa_avx512_core:
    case dnnl_cpu_isa_avx512_core_vnni:
        return "AVX-512";
    case dnnl_cpu_isa_avx512_core_bf16:
        return "AVX-512 with bfloat16";
    default:
        return dnnl_get_effective_cpu_isa() > dnnl_cpu_isa_avx512_core_bf16 ? "AVX-512 with AMX or fp16"
                                                                            : "plain instructions";
    }
}

static tn_status device_info(void *self, struct tn_device_info *info, struct tn_error *error)
{
    const struct tn_cpu *cpu = self;
    const dnnl_version_t *version = dnnl_version();
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    (void)error;
    info->threads = (int32_t)cpu->threads;
    info->fusions = TN_FUSE_BIAS_RELU | TN_FUSE_CONV_POOL | TN_FUSE_NORM_RELU;
    info->memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    (void)snprintf(info->name, sizeof info->name, "CPU (oneDNN %d.%d.%d, %s, %d thread%s)", version->major,
                   version->minor, version->patch, instruction_set(), (int)cpu->threads, cpu->threads == 1 ? "" : "s");
    return TN_OK;
}

/* ---- memory ---- */

static const uint64_t huge_page = 2u << 20;

static uint64_t mapped_bytes(uint64_t bytes)
{
    uint64_t unit = bytes >= huge_page ? huge_page : 4096;
    return bytes > UINT64_MAX - unit ? 0 : (bytes + (bytes == 0) + unit - 1) / unit * unit;
}

static tn_status device_allocate(void *self, uint64_t bytes, void **memory, struct tn_error *error)
{
    const struct tn_cpu *cpu = self;
    uint64_t size = mapped_bytes(bytes), extra = size >= huge_page ? huge_page : 0;
    char *base, *aligned;
    *memory = NULL;
    if (size == 0 || size > SIZE_MAX - extra)
        return tn_fail(error, TN_NO_MEMORY, "%llu bytes are more than this machine can address",
                       (unsigned long long)bytes);
    base = mmap(NULL, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return tn_fail(error, TN_NO_MEMORY, "cannot get %.1f MiB of memory: %s", (double)size / (1 << 20),
                       strerror(errno));
    /* Give back what lies before and after the aligned part. */
    aligned = extra ? base + (huge_page - (uintptr_t)base % huge_page) % huge_page : base;
    if (aligned > base)
        (void)munmap(base, (size_t)(aligned - base));
    if (extra && aligned < base + extra)
        (void)munmap(aligned + size, (size_t)(base + extra - aligned));
#if defined(MADV_HUGEPAGE)
    if (cpu->huge_pages && size >= huge_page)
        (void)madvise(aligned, size, MADV_HUGEPAGE); /* a wish; without it all still works */
#else
    (void)cpu;
#endif
    *memory = aligned;
    return TN_OK;
}

static void device_release(void *self, void *memory, uint64_t bytes)
{
    (void)self;
    if (memory)
        (void)munmap(memory, mapped_bytes(bytes));
}

/* ---- copies ---- */

static tn_status convert(struct tn_cpu *cpu, tn_const_md from, void *source, tn_const_md to, void *target,
                         struct tn_error *error)
{
    struct tn_parallel_state state = tn_parallel_enter(cpu);
    dnnl_primitive_desc_t descriptor = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t memories[3] = {NULL, NULL, NULL};
    dnnl_status_t status = tn_reorder(&descriptor, cpu->engine, from, to);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&primitive, descriptor);
    if (status == dnnl_success)
        status = dnnl_memory_create(&memories[0], from, cpu->engine, source);
    if (status == dnnl_success)
        status = dnnl_memory_create(&memories[1], to, cpu->engine, target);
    if (status == dnnl_success) /* a rare call, so that the library may allocate this scratchpad */
        status = dnnl_memory_create(&memories[2], dnnl_primitive_desc_query_md(descriptor, dnnl_query_scratchpad_md, 0),
                                    cpu->engine, DNNL_MEMORY_ALLOCATE);
    if (status == dnnl_success) {
        dnnl_exec_arg_t arguments[] = {
            {DNNL_ARG_FROM, memories[0]}, {DNNL_ARG_TO, memories[1]}, {DNNL_ARG_SCRATCHPAD, memories[2]}};
        status = dnnl_primitive_execute(primitive, cpu->stream, 3, arguments);
    }
    for (int i = 0; i < 3; i++)
        if (memories[i])
            dnnl_memory_destroy(memories[i]);
    if (primitive)
        dnnl_primitive_destroy(primitive);
    if (descriptor)
        dnnl_primitive_desc_destroy(descriptor);
    tn_parallel_leave(state);
    return status == dnnl_success
               ? TN_OK
               : tn_fail(error, TN_FAILED, "oneDNN cannot convert a layout (status %d)", (int)status);
}

static tn_status device_write(void *self, struct tn_value *value, const void *plain, struct tn_error *error)
{
    const struct tn_layout *layout = value->layout;
    if (!value->planned || !layout || !value->data)
        return tn_fail(error, TN_FAILED, "value \"%s\" has no place yet", value->name ? value->name : "?");
    if (layout->plain) {
        memcpy(value->data, plain, layout->bytes);
        return TN_OK;
    }
    return convert(self, layout->plain_md, (void *)(uintptr_t)plain, layout->md, value->data, error);
}

static tn_status device_read(void *self, const struct tn_value *value, void *plain, struct tn_error *error)
{
    const struct tn_layout *layout = value->layout;
    if (!value->planned || !layout || !value->data)
        return tn_fail(error, TN_FAILED, "value \"%s\" has no place yet", value->name ? value->name : "?");
    if (layout->plain) {
        memcpy(plain, value->data, layout->bytes);
        return TN_OK;
    }
    return convert(self, layout->md, value->data, layout->plain_md, plain, error);
}

static tn_status device_wait(void *self, struct tn_error *error)
{
    const struct tn_cpu *cpu = self;
    return dnnl_stream_wait(cpu->stream) == dnnl_success ? TN_OK : tn_fail(error, TN_FAILED, "oneDNN's stream failed");
}

static tn_status device_copy(void *self, void *to, const void *from, uint64_t bytes, struct tn_error *error)
{
    (void)self;
    (void)error;
    memcpy(to, from, (size_t)bytes);
    return TN_OK;
}

static const struct tn_device device_cpu = {
    TN_TYPE_WITH(TN_DEVICE, "cpu", struct tn_cpu, options, "the CPU, by oneDNN", 0, device_open, device_close),
    .info = device_info,
    .plan = tn_program_plan,
    .allocate = device_allocate,
    .release = device_release,
    .bind = tn_program_bind,
    .run = tn_program_run,
    .write = device_write,
    .read = device_read,
    .wait = device_wait,
    .forget = tn_program_forget,
    .forget_value = tn_value_forget,
    .copy = device_copy,
};

TN_PLUGIN("tenon.cpu", TENON_VERSION, "Apache-2.0", &device_cpu.type);
