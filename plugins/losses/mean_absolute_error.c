/* mean_absolute_error.c: mean of |prediction - target| over the outputs: Keras' MeanAbsoluteError. */
#include "common.h"

struct mean_absolute_error {
    char none;
};

static void compute(const struct tn_loss_pass *pass)
{
    for (int32_t i = 0; i < pass->batch; i++) {
        double weight = weight_of(pass, i), sum = 0;
        for (int32_t k = 0; k < pass->classes; k++) {
            size_t at = (size_t)i * (size_t)pass->classes + (size_t)k;
            double difference = (double)pass->prediction[at] - pass->target[at];
            double slope = (difference > 0) - (difference < 0); /* 0 where both are the same, as Keras has it */
            sum += fabs(difference);
            if (pass->gradient)
                pass->gradient[at] = (float)(weight * slope / ((double)pass->classes * pass->batch));
        }
        pass->loss[i] = (float)(weight * sum / pass->classes);
    }
}

static const struct tn_loss mean_absolute_error = {
    TN_TYPE(TN_LOSS, "mean_absolute_error", struct mean_absolute_error, NULL,
            "mean of absolute differences (regression): Keras' mae"),
    .compute = compute,
    .keras_class = "MeanAbsoluteError",
};

TN_PLUGIN("tenon.losses.mean_absolute_error", TENON_VERSION, "Apache-2.0", &mean_absolute_error.type);
