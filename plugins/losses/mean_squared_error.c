/* mean_squared_error.c: mean of (prediction - target)^2 over the outputs: Keras' MeanSquaredError. */
#include "common.h"

struct mean_squared_error {
    char none;
};

static void compute(const struct tn_loss_pass *pass)
{
    for (int32_t i = 0; i < pass->batch; i++) {
        double weight = weight_of(pass, i), sum = 0;
        for (int32_t k = 0; k < pass->classes; k++) {
            size_t at = (size_t)i * (size_t)pass->classes + (size_t)k;
            double difference = (double)pass->prediction[at] - pass->target[at];
            sum += difference * difference;
            if (pass->gradient)
                pass->gradient[at] = (float)(weight * 2.0 * difference / ((double)pass->classes * pass->batch));
        }
        pass->loss[i] = (float)(weight * sum / pass->classes);
    }
}

static const struct tn_loss mean_squared_error = {
    TN_TYPE(TN_LOSS, "mean_squared_error", struct mean_squared_error, NULL,
            "mean of squared differences (regression, class_mode = input): Keras' mse"),
    .compute = compute,
    .keras_class = "MeanSquaredError",
};

TN_PLUGIN("tenon.losses.mean_squared_error", TENON_VERSION, "Apache-2.0", &mean_squared_error.type);
