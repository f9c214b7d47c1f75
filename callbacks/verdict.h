/* verdict.h: what class a picture of a validation batch is of, and what the network said. Private to this folder. */
#ifndef TENON_CALLBACKS_VERDICT_H
#define TENON_CALLBACKS_VERDICT_H

#include "tenon/plugin.h"

struct verdict {
    int32_t truth, said; /* numbers of classes */
    double confidence;   /* in what was said */
};

TN_UNUSED static int32_t verdict_highest(const float *values, int32_t count)
{
    int32_t best = 0;
    for (int32_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* 1: each picture has one class. */
TN_UNUSED static int32_t verdict_is_there(const struct tn_seen_batch *seen)
{
    return seen->class_mode == TN_CLASS_CATEGORICAL || seen->class_mode == TN_CLASS_BINARY ||
           seen->class_mode == TN_CLASS_SPARSE;
}

/* 0: there is not one class for each picture. */
TN_UNUSED static int32_t verdict_of(const struct tn_seen_batch *seen, int32_t i, struct verdict *verdict)
{
    const float *prediction = seen->predictions + (size_t)i * (size_t)seen->prediction_count;
    const float *target = seen->targets ? seen->targets + (size_t)i * (size_t)seen->target_count : NULL;
    if (!target || !verdict_is_there(seen))
        return 0;
    verdict->truth =
        seen->class_mode == TN_CLASS_CATEGORICAL ? verdict_highest(target, seen->target_count) : (int32_t)*target;
    if (seen->prediction_count == 1) {
        verdict->said = *prediction > 0.5F;
        verdict->confidence = verdict->said ? *prediction : 1 - *prediction;
    } else {
        verdict->said = verdict_highest(prediction, seen->prediction_count);
        verdict->confidence = prediction[verdict->said];
    }
    return 1;
}

#endif
