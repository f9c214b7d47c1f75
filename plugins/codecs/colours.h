/* colours.h: Pillow's conversions between colours, with its rounding. For codecs. */
#ifndef TENON_CODECS_COLOURS_H
#define TENON_CODECS_COLOURS_H

#include <stdint.h>

/* convert("L"). */
static inline unsigned char grey_of(const unsigned char rgb[3])
{
    return (unsigned char)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

/* Light that is left of `light` under `ink`. */
static inline unsigned char light_under(unsigned ink, unsigned light)
{
    unsigned product = ink * light + 128;
    unsigned taken = (product + (product >> 8)) >> 8;
    return (unsigned char)(light > taken ? light - taken : 0);
}

/* Adobe stores light (`inverted`), others ink. */
static inline void rgb_of_cmyk(const unsigned char cmyk[4], int inverted, unsigned char rgb[3])
{
    unsigned light = inverted ? cmyk[3] : 255u - cmyk[3];
    for (int c = 0; c < 3; c++)
        rgb[c] = light_under(inverted ? 255u - cmyk[c] : cmyk[c], light);
}

#endif
