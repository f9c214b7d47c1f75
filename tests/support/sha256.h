/* sha256.h: SHA-256 (FIPS 180-4), for fixtures that name contents by it. */
#ifndef TENON_TESTS_SHA256_H
#define TENON_TESTS_SHA256_H

#include <stddef.h>

/* Writes 64 hexadecimal digits and a 0. */
void sha256_text(const void *bytes, size_t count, char text[65]);

#endif
