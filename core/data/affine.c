/* affine.c: maps from target to target, composed before a single pixel is read. */
#include <math.h>

#include "data/sampling.h"

struct tn_affine tn_affine_product(const struct tn_affine *outer, const struct tn_affine *inner)
{
    struct tn_affine product;
    product.yy = outer->yy * inner->yy + outer->yx * inner->xy;
    product.yx = outer->yy * inner->yx + outer->yx * inner->xx;
    product.y0 = outer->yy * inner->y0 + outer->yx * inner->x0 + outer->y0;
    product.xy = outer->xy * inner->yy + outer->xx * inner->xy;
    product.xx = outer->xy * inner->yx + outer->xx * inner->xx;
    product.x0 = outer->xy * inner->y0 + outer->xx * inner->x0 + outer->x0;
    return product;
}

bool tn_affine_stays_inside(const struct tn_affine *map)
{
    return fabs(map->yy) == 1 && map->yx == 0 && map->y0 == 0 && map->xy == 0 && fabs(map->xx) == 1 && map->x0 == 0;
}

bool tn_affine_is_finite(const struct tn_affine *map)
{
    return isfinite(map->yy) && isfinite(map->yx) && isfinite(map->y0) && isfinite(map->xy) && isfinite(map->xx) &&
           isfinite(map->x0);
}
