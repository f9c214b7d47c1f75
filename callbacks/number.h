/* number.h: numbers as text the way Python writes them, since file names and logs of Keras are made by Python.
 * Private to this folder.
 */
#ifndef TENON_CALLBACKS_NUMBER_H
#define TENON_CALLBACKS_NUMBER_H

#include <stdlib.h>

#include "tenon/plugin.h"

/* Python's repr(): the shortest digits that read back as the same double; 1e16 and beyond, or below 1e-4, with an
 * exponent; whole numbers end in ".0". `text` needs 32 bytes. */
TN_UNUSED static void number_repr(char text[32], double value)
{
    char digits[32];
    int precision, exponent;
    if (isnan(value) || isinf(value)) {
        (void)snprintf(text, 32, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    for (precision = 0; precision < 17; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*e", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 16)
        (void)snprintf(text, 32, "%s", digits);
    else
        (void)snprintf(text, 32, "%.*f", precision > exponent ? precision - exponent : 1, value);
}

#endif
