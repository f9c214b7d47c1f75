/* digest.h: a number of a text, and two numbers of many bytes, for sources that say whether their samples have changed.
 */
#ifndef TENON_LOADERS_DIGEST_H
#define TENON_LOADERS_DIGEST_H

#include <string.h>
#include <sys/stat.h>

#include "tenon/plugin.h"

/* FNV-1a: TEXT_HASH, mixed with bytes, with texts. */
#define TEXT_HASH 14695981039346656037u

static inline uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return hash;
}

/* Of several texts in a row: each has an end. */
static inline uint64_t hash_text(uint64_t hash, const char *text)
{
    return (hash_bytes(hash, text, strlen(text)) ^ 0xFF) * 1099511628211u;
}

static inline void digest_begin(uint64_t digest[2])
{
    digest[0] = TEXT_HASH, digest[1] = 0x9E3779B97F4A7C15u;
}

static inline void digest_number(uint64_t digest[2], uint64_t number)
{
    uint32_t block[4];
    tn_random_block(digest[0], digest[1], number, block); /* Philox mixes as well as any */
    digest[0] = (uint64_t)block[1] << 32 | block[0], digest[1] ^= (uint64_t)block[3] << 32 | block[2];
}

static inline void digest_text(uint64_t digest[2], const char *text)
{
    size_t length = strlen(text);
    digest_number(digest, hash_bytes(TEXT_HASH, text, length));
    digest_number(digest, length);
}

/* Size and time of a file; what is not there counts as that. */
static inline void digest_file(uint64_t digest[2], int folder, const char *path)
{
    struct stat state = {0};
    if (fstatat(folder, path, &state, 0) != 0)
        state = (struct stat){0};
    digest_number(digest, (uint64_t)state.st_size);
    digest_number(digest, (uint64_t)state.st_mtim.tv_sec);
    digest_number(digest, (uint64_t)state.st_mtim.tv_nsec);
}

#endif
