/* arena.c: many small allocations with one release, and arrays that grow. */
#include "base/base.h"

#include <stdarg.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 16 * 1024, ALIGNMENT = 16 };

struct tn_arena_block {
    struct tn_arena_block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) unsigned char data[];
};

void *tn_arena_take(struct tn_arena *arena, size_t bytes)
{
    struct tn_arena_block *block = arena->blocks;
    size_t rounded;
    if (arena->failed || bytes > SIZE_MAX - BLOCK_BYTES - sizeof *block) {
        arena->failed = true;
        return NULL;
    }
    rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded == 0)
        rounded = ALIGNMENT;
    if (!block || block->size - block->used < rounded) {
        size_t size = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;
        block = calloc(1, sizeof *block + size);
        if (!block) {
            arena->failed = true;
            return NULL;
        }
        block->size = size;
        /* A block for one large object goes behind the current one, whose room is still good. */
        if (rounded > BLOCK_BYTES && arena->blocks) {
            block->next = arena->blocks->next;
            arena->blocks->next = block;
        } else {
            block->next = arena->blocks;
            arena->blocks = block;
        }
    }
    block->used += rounded;
    return block->data + block->used - rounded;
}

char *tn_arena_text(struct tn_arena *arena, const char *text, size_t length)
{
    char *copy;
    if (!text || length == SIZE_MAX)
        return NULL;
    copy = tn_arena_take(arena, length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *tn_arena_string(struct tn_arena *arena, const char *text)
{
    return text ? tn_arena_text(arena, text, strlen(text)) : NULL;
}

char *tn_arena_format(struct tn_arena *arena, const char *format, ...)
{
    va_list arguments;
    int length;
    char *text;
    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return NULL;
    text = tn_arena_take(arena, (size_t)length + 1);
    if (text) {
        va_start(arguments, format);
        (void)vsnprintf(text, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    return text;
}

void tn_arena_release(struct tn_arena *arena)
{
    while (arena->blocks) {
        struct tn_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->failed = false;
}

tn_status tn_grow(void *items_address, size_t *capacity, size_t needed, size_t item_bytes)
{
    void *items;
    size_t wanted = *capacity ? *capacity : 8;
    if (needed <= *capacity)
        return TN_OK;
    while (wanted < needed) {
        if (wanted > SIZE_MAX / 2)
            return TN_NO_MEMORY;
        wanted *= 2;
    }
    if (item_bytes == 0 || wanted > SIZE_MAX / item_bytes)
        return TN_NO_MEMORY;
    memcpy(&items, items_address, sizeof items);
    items = realloc(items, wanted * item_bytes);
    if (!items)
        return TN_NO_MEMORY;
    memcpy(items_address, &items, sizeof items);
    *capacity = wanted;
    return TN_OK;
}
