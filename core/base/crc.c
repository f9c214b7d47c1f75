/* crc.c: CRC-32C by ISA-L, which uses the processor's instruction. */
#include <isa-l/crc.h>

#include "base/base.h"

uint32_t tn_crc32c(const void *bytes, uint64_t count)
{
    const unsigned char *at = bytes;
    uint32_t crc = 0xFFFFFFFFu;
    for (; count > 0;) {
        int step = count > 1 << 30 ? 1 << 30 : (int)count;
        crc = crc32_iscsi((unsigned char *)(uintptr_t)at, step, crc);
        at += step;
        count -= (uint64_t)step;
    }
    return ~crc;
}
