/* manifest.c: judges what a plugin exports before any of its code runs. */
#include "registry/internal.h"

enum { MOST_TYPES = 256, MOST_OPTIONS = 256, LARGEST_STRUCT = 4096 };
#define LARGEST_INSTANCE ((uint64_t)1 << 24)

size_t tn__kind_size(uint32_t kind)
{
    switch (kind) {
    case TN_SOURCE:
        return sizeof(struct tn_source);
    case TN_CODEC:
        return sizeof(struct tn_codec);
    case TN_AUGMENT:
        return sizeof(struct tn_augment);
    case TN_LAYER:
        return sizeof(struct tn_layer);
    case TN_LOSS:
        return sizeof(struct tn_loss);
    case TN_METRIC:
        return sizeof(struct tn_metric);
    case TN_OPTIMIZER:
        return sizeof(struct tn_optimizer);
    case TN_SCHEDULE:
        return sizeof(struct tn_schedule);
    case TN_CALLBACK:
        return sizeof(struct tn_callback);
    case TN_FORMAT:
        return sizeof(struct tn_format);
    case TN_DEVICE:
        return sizeof(struct tn_device);
    default:
        return 0;
    }
}

tn_status tn__manifest_check(const struct tn_manifest *manifest, struct tn_error *error)
{
    if (manifest->magic != TN_ABI_MAGIC)
        return tn_fail(error, TN_INVALID,
                       "its manifest does not begin with tenon's mark: it was not made with TN_PLUGIN of tenon/type.h");
    if (manifest->abi_major != TN_ABI_MAJOR)
        return tn_fail(
            error, TN_INVALID,
            "it was built for plugin ABI %u, this tenon has ABI %u.%u: build it again with this tenon's headers "
            "(cc -shared -fPIC $(pkg-config --cflags tenon) …)",
            manifest->abi_major, TN_ABI_MAJOR, TN_ABI_MINOR);
    if (manifest->abi_need > TN_ABI_MINOR)
        return tn_fail(error, TN_INVALID, "it needs plugin ABI %u.%u, this tenon has %u.%u: use a newer tenon",
                       TN_ABI_MAJOR, manifest->abi_need, TN_ABI_MAJOR, TN_ABI_MINOR);
    if (manifest->size < offsetof(struct tn_manifest, author) || manifest->size > LARGEST_STRUCT)
        return tn_fail(error, TN_INVALID, "its manifest claims a size of %u bytes", manifest->size);
    if (manifest->type_count == 0 || manifest->type_count > MOST_TYPES || !manifest->types)
        return tn_fail(error, TN_INVALID, "its manifest lists %u types", manifest->type_count);
    if (!manifest->name || !manifest->version || !manifest->licence)
        return tn_fail(error, TN_INVALID, "its manifest has no name, version or licence");
    return TN_OK;
}

static size_t field_size(uint32_t kind)
{
    switch (kind) {
    case TN_OPTION_BOOL:
    case TN_OPTION_ENUM:
        return 4;
    case TN_OPTION_INT:
    case TN_OPTION_FLOAT:
    case TN_OPTION_SIZE:
    case TN_OPTION_BYTES:
    case TN_OPTION_DURATION:
        return 8;
    case TN_OPTION_STRING:
        return sizeof(char *);
    case TN_OPTION_LIST:
    case TN_OPTION_NUMBERS:
        return sizeof(struct tn_list);
    default:
        return 0;
    }
}

static uint32_t choice_count(const char *choices)
{
    uint32_t count = 1;
    for (; *choices; choices++)
        count += *choices == '|';
    return count;
}

static tn_status option_check(const struct tn_type *type, const struct tn_option *option, struct tn_error *error)
{
    uint64_t size = field_size(option->kind), step = size > 8 ? 8 : size;
    if (option->kind == TN_OPTION_SIZE)
        step = 4;
    if (option->kind == TN_OPTION_GONE)
        return TN_OK;
    if (size == 0)
        return tn_fail(error, TN_INVALID, "option `%s` of `%s` is of kind %u, which this tenon does not know",
                       option->name, type->name, option->kind);
    if (option->offset > type->instance_size || type->instance_size - option->offset < size)
        return tn_fail(error, TN_INVALID, "option `%s` of `%s` lies outside of its instance struct", option->name,
                       type->name);
    if (option->offset % step != 0)
        return tn_fail(error, TN_INVALID, "option `%s` of `%s` lies at byte %llu: not a field of its kind's C type",
                       option->name, type->name, (unsigned long long)option->offset);
    if (option->kind == TN_OPTION_ENUM &&
        (!option->choices || !(option->default_number >= 0 && option->default_number < choice_count(option->choices))))
        return tn_fail(error, TN_INVALID, "option `%s` of `%s` has no choices, or a default that is none of them",
                       option->name, type->name);
    return TN_OK;
}

static tn_status options_check(const struct tn_type *type, struct tn_error *error)
{
    const struct tn_option *option = type->options;
    for (size_t i = 0; option && option->kind != TN_OPTION_END; i++, option++) {
        tn_status status;
        if (i >= MOST_OPTIONS)
            return tn_fail(error, TN_INVALID, "the option table of `%s` does not end with TN_END", type->name);
        if (!option->name || !option->name[0] || !option->help)
            return tn_fail(error, TN_INVALID, "option %zu of `%s` has no name or no help", i + 1, type->name);
        status = option_check(type, option, error);
        if (status != TN_OK)
            return status;
    }
    return TN_OK;
}

/* The functions that a kind cannot do without. */
const char *tn__type_missing(const struct tn_type *t)
{
    switch (t->kind) {
    case TN_SOURCE: {
        const struct tn_source *s = (const struct tn_source *)(const void *)t;
        return !s->scan ? "scan" : !s->read ? "read" : !s->name ? "name" : NULL;
    }
    case TN_CODEC: {
        const struct tn_codec *c = (const struct tn_codec *)(const void *)t;
        return !c->probe ? "probe" : !c->size ? "size" : !c->decode ? "decode" : NULL;
    }
    case TN_AUGMENT: {
        const struct tn_augment *a = (const struct tn_augment *)(const void *)t;
        return !a->affine && !a->apply && !a->scale_shift ? "affine, apply or scale_shift" : NULL;
    }
    case TN_LAYER: {
        const struct tn_layer *l = (const struct tn_layer *)(const void *)t;
        return l->build       ? NULL
               : !l->infer    ? "build, or infer"
               : !l->forward  ? "forward"
               : !l->backward ? "backward"
                              : NULL;
    }
    case TN_LOSS:
        return ((const struct tn_loss *)(const void *)t)->compute ? NULL : "compute";
    case TN_METRIC: {
        const struct tn_metric *m = (const struct tn_metric *)(const void *)t;
        return !m->update ? "update" : !m->value ? "value" : NULL;
    }
    case TN_OPTIMIZER: {
        const struct tn_optimizer *o = (const struct tn_optimizer *)(const void *)t;
        return !o->slot_count ? "slot_count" : !o->update ? "update" : !o->learning_rate ? "learning_rate" : NULL;
    }
    case TN_SCHEDULE:
        return ((const struct tn_schedule *)(const void *)t)->rate ? NULL : "rate";
    case TN_CALLBACK:
        return ((const struct tn_callback *)(const void *)t)->on ? NULL : "on";
    case TN_FORMAT: {
        const struct tn_format *f = (const struct tn_format *)(const void *)t;
        return !f->encode && !f->decode ? "encode or decode" : !f->extensions ? "extensions" : NULL;
    }
    case TN_DEVICE: {
        const struct tn_device *d = (const struct tn_device *)(const void *)t;
        return !d->info                      ? "info"
               : !d->plan                    ? "plan"
               : !d->allocate || !d->release ? "allocate and release"
               : !d->bind                    ? "bind"
               : !d->run                     ? "run"
               : !d->write || !d->read       ? "write and read"
                                             : NULL;
    }
    default:
        return NULL;
    }
}

tn_status tn__type_check(const struct tn_type *type, struct tn_error *error)
{
    size_t known;
    if (!type)
        return tn_fail(error, TN_INVALID, "its manifest lists a type that is not there");
    if (type->size < sizeof(struct tn_type) || type->size > LARGEST_STRUCT)
        return tn_fail(error, TN_INVALID, "a type claims a size of %u bytes", type->size);
    if (!type->name || !type->name[0] || !type->summary)
        return tn_fail(error, TN_INVALID, "a type has no name or no summary");
    known = tn__kind_size(type->kind);
    if (!known)
        return tn_fail(error, TN_INVALID, "type `%s` is of kind %u (%s), which this tenon does not know", type->name,
                       type->kind, tn_kind_name(type->kind));
    for (size_t i = known; i < type->size; i++)
        if (((const unsigned char *)type)[i] != 0)
            return tn_fail(error, TN_INVALID,
                           "%s `%s` uses a member at byte %zu that this tenon does not have yet: use a newer tenon",
                           tn_kind_name(type->kind), type->name, i);
    if (type->instance_size > LARGEST_INSTANCE)
        return tn_fail(error, TN_INVALID, "%s `%s` claims instances of %llu bytes", tn_kind_name(type->kind),
                       type->name, (unsigned long long)type->instance_size);
    return options_check(type, error);
}

const struct tn_type *tn__type_copy(const struct tn_type *type, struct tn_arena *arena)
{
    size_t known = tn__kind_size(type->kind);
    struct tn_type *copy = tn_arena_take(arena, known);
    if (copy) {
        memcpy(copy, type, type->size < known ? type->size : known);
        copy->size = (uint32_t)known;
    }
    return copy;
}
