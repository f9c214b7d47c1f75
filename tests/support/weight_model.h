/* weight_model.h: weights made by hand, and the formats that write and read them, for tests of formats. */
#ifndef TENON_TESTS_WEIGHT_MODEL_H
#define TENON_TESTS_WEIGHT_MODEL_H

#include "registry/registry.h"

enum { MOST_LAYERS = 48, MOST_WEIGHTS = 8 };

struct model {
    struct tn_weights weights;
    struct tn_weight_layer layers[MOST_LAYERS];
    struct tn_weight items[MOST_LAYERS][MOST_WEIGHTS];
    const char *inputs[MOST_LAYERS];
};

struct bytes {
    void *data;
    uint64_t count;
};

void model_begin(struct model *model);
/* Behind the layer before; `keras`: its class there. */
struct tn_weight_layer *add_layer(struct model *model, const char *name, const char *type, const char *keras);
void add_weight(struct tn_weight_layer *layer, const char *name, int32_t trained, struct tn_shape shape);
/* A convolution, a normalisation, a dense layer; three classes. */
void model_small(struct model *model);
/* One layer `d` with a kernel of 2x2 whose first number is 42. */
void model_tiny(struct model *model);
/* Gives each trained weight `count` slots, filled with numbers, and the rest that an optimizer of Keras has. */
void model_add_slots(struct model *model, int32_t count);
/* Zeros in all weights and slots. */
void model_wipe(struct model *model);
bool same_weights(const struct model *a, const struct model *b);
bool same_slots(const struct model *a, const struct model *b);
void model_clear(struct model *model);

/* ---- the plugins ---- */
void weight_model_setup(void);
void weight_model_teardown(void);
const struct tn_format *format(const char *name);
struct bytes encode(const char *name, const struct model *model, uint32_t flags);
/* Room for 512 bytes of notes. */
tn_status decode_as(const char *name, const void *data, uint64_t count, struct model *model, char *notes,
                    struct tn_error *error);

/* Demands that reading the bytes into the tiny model fails, with `part` in the text, and leaves it as it was. */
void demand_refusal(const char *name, const void *data, uint64_t count, const char *part);

#endif
