/* initialize.c: first weights, by Keras' rules. Every weight has a random stream of its own, named by layer and weight:
 * adding a layer changes no other layer's weights, and neither order nor threads matter. */
#include <math.h>
#include <stdlib.h>

#include "plan/internal.h"

static void fans(const struct tn_shape *shape, double *in, double *out)
{
    double field = 1;
    if (shape->rank < 2) {
        *in = *out = shape->rank ? shape->dims[0] : 1;
        return;
    }
    for (int32_t i = 0; i + 2 < shape->rank; i++)
        field *= shape->dims[i];
    *in = field * shape->dims[shape->rank - 2];
    *out = field * shape->dims[shape->rank - 1];
}

/* Standard normal by Box and Muller (one of the pair, so that draws stay independent of their number). */
static double normal(struct tn_random *random)
{
    double radius = sqrt(-2.0 * log(1.0 - tn_random_unit(random)));
    return radius * cos(6.283185307179586 * tn_random_unit(random));
}

static double truncated(struct tn_random *random)
{
    double x;
    do {
        x = normal(random);
    } while (fabs(x) > 2.0);
    return x;
}

static void fill_uniform(float *out, uint64_t count, double limit, struct tn_random *random)
{
    for (uint64_t i = 0; i < count; i++)
        out[i] = (float)tn_random_uniform(random, -limit, limit);
}

static void fill_normal(float *out, uint64_t count, double sigma, bool cut, struct tn_random *random)
{
    for (uint64_t i = 0; i < count; i++)
        out[i] = (float)(sigma * (cut ? truncated(random) : normal(random)));
}

static void fill(const struct tn_initializer *initializer, const struct tn_shape *shape, float *out,
                 struct tn_random *random)
{
    /* A normal cut at two sigma has this standard deviation; Keras divides by it. */
    static const double cut = 0.87962566103423978;
    uint64_t count = tn_shape_elements(shape);
    double in, outs, value = initializer->value;
    fans(shape, &in, &outs);
    switch (initializer->kind) {
    case TN_GLOROT_UNIFORM:
        fill_uniform(out, count, sqrt(6.0 / (in + outs)), random);
        break;
    case TN_GLOROT_NORMAL:
        fill_normal(out, count, sqrt(2.0 / (in + outs)) / cut, true, random);
        break;
    case TN_HE_UNIFORM:
        fill_uniform(out, count, sqrt(6.0 / in), random);
        break;
    case TN_HE_NORMAL:
        fill_normal(out, count, sqrt(2.0 / in) / cut, true, random);
        break;
    case TN_LECUN_UNIFORM:
        fill_uniform(out, count, sqrt(3.0 / in), random);
        break;
    case TN_LECUN_NORMAL:
        fill_normal(out, count, sqrt(1.0 / in) / cut, true, random);
        break;
    case TN_RANDOM_NORMAL:
        fill_normal(out, count, value > 0 ? value : 0.05, false, random);
        break;
    case TN_RANDOM_UNIFORM:
        fill_uniform(out, count, value > 0 ? value : 0.05, random);
        break;
    case TN_TRUNCATED_NORMAL:
        fill_normal(out, count, value > 0 ? value : 0.05, true, random);
        break;
    default:
        for (uint64_t i = 0; i < count; i++)
            out[i] = initializer->kind == TN_ONES ? 1.0f : initializer->kind == TN_CONSTANT ? (float)value : 0.0f;
        break;
    }
}

/* Slots begin with zeros, and so does the device's memory. */
tn_status tn__initialize(struct tn_network *network, struct tn_error *error)
{
    uint64_t most = 1;
    float *buffer;
    tn_status status = TN_OK;
    for (size_t i = 0; i < network->parameter_count; i++) {
        uint64_t count = tn_shape_elements(&network->parameters[i]->info.shape);
        most = count > most ? count : most;
    }
    buffer = calloc((size_t)most, sizeof *buffer);
    if (!buffer)
        return tn_fail(error, TN_NO_MEMORY, "no memory to initialise the weights");
    for (size_t i = 0; i < network->parameter_count && status == TN_OK; i++) {
        struct parameter *p = network->parameters[i];
        struct tn_random random = tn_random_stream(network->spec.seed, tn_hash_text(p->value.name, 1));
        fill(&p->initializer, &p->info.shape, buffer, &random);
        status = tn_network_write(network, (uint32_t)i, -1, buffer, error);
    }
    free(buffer);
    return status;
}
