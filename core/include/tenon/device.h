/* tenon/device.h: values and ops of a program, and the kind device that runs them.
 *
 * The core turns an experiment into a flat list of ops over values (forward, backward, update), in an order that is
 * final, and hands it to the device three times: plan() chooses a kernel and the layouts for every op and says how many
 * bytes each value and each op's scratch takes; the core lays lifetimes into one arena; bind() tells the addresses;
 * run() executes a range of ops. Nothing is allocated after bind(). Layouts are the device's own secret: the core sees
 * bytes. Plain means row-major, channels last (NHWC), and all shapes here are plain shapes.
 */
#ifndef TENON_DEVICE_H
#define TENON_DEVICE_H

#include "tenon/type.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TN_MAX_RANK 6

/* dims[0] is the batch in activations. Scalars have rank 0. */
struct tn_shape {
    int32_t rank;
    int32_t dims[TN_MAX_RANK];
};

enum tn_data_type { TN_F32 = 1, TN_U8 = 2, TN_I32 = 3 };

enum tn_role {
    TN_ROLE_INPUT = 1,  /* written by the host before a step: images (TN_F32 or TN_U8), always plain */
    TN_ROLE_TARGET = 2, /* labels and sample weights: plain f32, written by the host */
    TN_ROLE_PARAMETER =
        3,             /* trained; persistent. Convolution kernels [kh,kw,in/groups,out], dense [in,out], else any */
    TN_ROLE_STATE = 4, /* persistent, not trained by gradients (moving mean) */
    TN_ROLE_SLOT = 5,  /* persistent, of the optimizer: same layout and bytes as its parameter */
    TN_ROLE_ACTIVATION = 6,
    TN_ROLE_GRADIENT = 7,  /* of an activation or a parameter. A parameter's gradient has the parameter's layout */
    TN_ROLE_WORKSPACE = 8, /* kept from a forward op for its backward op; content and bytes are the device's affair */
    TN_ROLE_OUTPUT = 9,    /* read by the host after a step (predictions, loss of each sample): always plain f32 */
};

struct tn_value {
    uint32_t id;       /* unique in the program */
    int32_t role;      /* enum tn_role */
    int32_t data_type; /* enum tn_data_type */
    struct tn_shape shape;
    const char *name; /* for messages: "conv1/kernel" */
    /* Set by the device in plan(). A value that is already planned (planned != 0: a parameter that an earlier program
     * of the same session has) keeps its layout. */
    int32_t planned;
    int32_t plain;  /* 1: stored plain, `bytes` = elements * size of the type */
    uint64_t bytes; /* as stored, padding included */
    void *layout;   /* the device's description; owned by the device until forget() */
    /* Set by the core before bind(): where it lives, in the device's memory. */
    void *data;
    void *core; /* the core's own */
};

enum tn_op_kind {
    /* forward: inputs -> outputs */
    TN_OP_CAST = 1,   /* x u8 or f32 -> y f32 = x * alpha + beta */
    TN_OP_CONV2D = 2, /* x, kernel, bias|NULL -> y, workspace|NULL.  a.conv; may have activation and pooling fused in */
    TN_OP_DENSE = 3,  /* x [N,in] (any rank: last axis), kernel, bias|NULL -> y.  a.dense */
    TN_OP_POOL = 4,   /* x -> y, workspace|NULL.  a.pool */
    TN_OP_BATCH_NORM = 5,   /* x, gamma|NULL, beta|NULL, moving_mean, moving_variance -> y, saved|NULL (workspace).
                               a.norm; training:   normalises by the batch and updates the moving values in place */
    TN_OP_ACTIVATION = 6,   /* x -> y.  a.activation */
    TN_OP_SOFTMAX = 7,      /* x -> y over the last axis.  a.activation.function tells softmax from log_softmax */
    TN_OP_BINARY = 8,       /* x0, x1 -> y, broadcast as in NumPy.  a.binary */
    TN_OP_CONCAT = 9,       /* x0… -> y.  a.axis */
    TN_OP_RESHAPE = 10,     /* x -> y, same elements in plain order */
    TN_OP_DROPOUT = 11,     /* x -> y, workspace.  a.dropout */
    TN_OP_GLOBAL_POOL = 12, /* x [N,H,W,C] -> y [N,C] or [N,1,1,C], mean or maximum.  a.pool.mode */
    TN_OP_REDUCE_SUM = 13,  /* x -> y: sums over the axes in which y has 1 (for broadcast gradients) */
    TN_OP_COPY = 14,        /* x -> y */
    TN_OP_LOSS = 15, /* prediction, target, weight|NULL -> loss of each sample [N] f32 plain, gradient|NULL.  custom */
    TN_OP_CUSTOM = 16, /* a layer's own kernel on plain buffers: inputs, then parameters -> outputs.  custom */
    /* backward: what each reads is in the comment; an output that is NULL is not wanted */
    TN_OP_CONV2D_GRADIENT = 32,     /* dy, x, kernel, y|NULL, workspace|NULL -> dx|NULL, dkernel|NULL, dbias|NULL */
    TN_OP_DENSE_GRADIENT = 33,      /* dy, x, kernel, y|NULL -> dx|NULL, dkernel|NULL, dbias|NULL */
    TN_OP_POOL_GRADIENT = 34,       /* dy, x, y, workspace|NULL -> dx; x and y layout_only */
    TN_OP_BATCH_NORM_GRADIENT = 35, /* dy, x, gamma|NULL, beta|NULL, y|NULL, saved, moving_mean, moving_variance ->
                                       dx|NULL, dgamma|NULL, dbeta|NULL */
    TN_OP_ACTIVATION_GRADIENT = 36, /* dy, x|NULL, y|NULL -> dx.  One is enough; tn_activation_needs_input() says when
                                       it has to be x */
    TN_OP_SOFTMAX_GRADIENT = 37,    /* dy, y -> dx */
    TN_OP_BINARY_GRADIENT =
        38, /* dy, x0, x1 -> dx0|NULL, dx1|NULL, of y's shape; the core adds REDUCE_SUM for broadcasts */
    TN_OP_CONCAT_GRADIENT = 39,      /* dy, x0… -> dx0|NULL….  a.axis; of x0… only the shapes are read */
    TN_OP_DROPOUT_GRADIENT = 40,     /* dy, workspace -> dx */
    TN_OP_GLOBAL_POOL_GRADIENT = 41, /* dy, x -> dx */
    TN_OP_REDUCE_SUM_GRADIENT = 42,  /* dy -> dx */
    TN_OP_CAST_GRADIENT = 43,        /* dy -> dx = dy * alpha */
    TN_OP_CUSTOM_GRADIENT = 44, /* dy…, inputs, parameters, outputs -> dx…|NULL, dparameters…|NULL.  custom */
    TN_OP_ACCUMULATE = 45,      /* a, b -> a + b: sums gradients that meet */
    /* update */
    TN_OP_UPDATE = 64, /* parameter, gradient, slots… -> nothing; changes parameter and slots in place.  update */
};

enum tn_activation_function {
    TN_LINEAR = 0,
    TN_RELU = 1, /* alpha = negative slope, beta = upper limit (0 = none), gamma = threshold */
    TN_ELU = 2,  /* alpha */
    TN_SELU = 3,
    TN_SIGMOID = 4,
    TN_TANH = 5,
    TN_SOFTPLUS = 6,
    TN_SOFTSIGN = 7,
    TN_EXPONENTIAL = 8,
    TN_GELU = 9, /* exact, by erf */
    TN_GELU_TANH = 10,
    TN_SILU = 11,
    TN_HARD_SIGMOID = 12, /* Keras 3: relu6(x + 3) / 6 */
    TN_HARD_SILU = 13,
    TN_MISH = 14,
    TN_CELU = 15, /* alpha */
    TN_LOG_SIGMOID = 16,
    TN_HARD_TANH = 17,
    TN_SOFTMAX = 18, /* only in TN_OP_SOFTMAX */
    TN_LOG_SOFTMAX = 19,
};

enum tn_pool_mode { TN_POOL_NONE = 0, TN_POOL_MAX = 1, TN_POOL_AVERAGE = 2 /* divides by the real pixels only */ };
enum tn_binary_function { TN_ADD = 1, TN_SUBTRACT = 2, TN_MULTIPLY = 3, TN_MAXIMUM = 4, TN_MINIMUM = 5 };

struct tn_window {
    int32_t mode; /* enum tn_pool_mode */
    int32_t height, width, stride_y, stride_x;
    int32_t top, left, bottom, right; /* padding; may be uneven */
};

struct tn_activation {
    int32_t function; /* enum tn_activation_function */
    float alpha, beta, gamma;
};

struct tn_convolution {
    int32_t stride_y, stride_x, dilation_y, dilation_x; /* 1 = none */
    int32_t top, left, bottom, right;
    int32_t groups;
    struct tn_activation activation; /* fused, applied to conv + bias; TN_LINEAR = none */
    struct tn_window pool;           /* fused, applied last; mode 0 = none. y is then the pooled value */
};

struct tn_dense {
    struct tn_activation activation;
};

struct tn_normalization {
    float epsilon, momentum; /* moving = moving * momentum + batch * (1 - momentum) */
    int32_t training;        /* 0: uses the moving values */
    int32_t unbiased;        /* 1: moving_variance takes n/(n-1) times the batch's variance */
    int32_t relu;            /* fused ReLU */
};

struct tn_dropout {
    float rate;
    uint64_t stream; /* of this layer; mask = Philox(key = struct tn_step.seed, stream, element in plain order) */
};

/* Services that a kernel on the host gets for one call. */
struct tn_parallel {
    uint32_t size;
    int32_t threads;
    /* Calls body(context, begin, end) on disjoint ranges of [0, count), each a multiple of `grain` long except the
     * last. */
    void (*run)(const struct tn_parallel *parallel, uint64_t count, uint64_t grain,
                void (*body)(void *context, uint64_t begin, uint64_t end), void *context);
};

/* One call of a layer's or loss's own kernel; all buffers are plain and belong to the core, valid during the call. */
struct tn_pass {
    uint32_t size;
    const void *self;
    int32_t training, input_count, output_count, parameter_count;
    const struct tn_shape *input_shapes, *output_shapes, *parameter_shapes;
    const float *const *inputs;
    float *const *outputs; /* backward: read only */
    const float *const *parameters;
    const float *const *output_gradients; /* backward only */
    float *const *input_gradients;        /* backward only; an entry may be NULL: not wanted. Overwrite, do not add */
    float *const *parameter_gradients;    /* backward only; overwrite */
    const struct tn_parallel *parallel;
};

/* One call of a loss.
 *   prediction [N, K] f32; target [N, K] f32 (categorical, binary, regression) or [N] f32 class numbers (sparse)
 *   weight [N] or NULL; loss [N]: of each sample, weighted; gradient [N, K] or NULL: of (sum of loss) / N */
struct tn_loss_pass {
    uint32_t size;
    const void *self;
    int32_t batch, classes; /* N, K = elements of one sample's prediction */
    int32_t target_count;   /* K, or 1 for class numbers */
    int32_t from_logits;    /* 1: prediction is what goes into the activation that the loss declared */
    const float *prediction, *target, *weight;
    float *loss, *gradient;
};

/* One slice of one parameter's update, elementwise: the buffers are opaque in order and padding, all four alike.
 * Padding is zero in all of them and has to stay so. */
struct tn_update {
    uint32_t size;
    const void *self;
    uint64_t count;
    double learning_rate;
    uint64_t step; /* counts from 1 */
    int32_t slot_count;
    int32_t decay; /* 1: weight decay applies to this parameter */
    float *parameter;
    const float *gradient;
    float *const *slots;
};

/* A kernel that a type brings along. device "host": `forward`, `backward` above run on the CPU on plain buffers. */
struct tn_custom {
    const char *type_name; /* for messages */
    const void *self;
    tn_status (*forward)(const struct tn_pass *pass, struct tn_error *error);
    tn_status (*backward)(const struct tn_pass *pass, struct tn_error *error);
    void (*loss)(const struct tn_loss_pass *pass);
    void (*update)(const struct tn_update *update);
    int32_t from_logits, target_count;                  /* of a loss */
    int32_t input_count, parameter_count, output_count; /* of a layer */
};

enum tn_phase { TN_PHASE_FORWARD = 1, TN_PHASE_BACKWARD = 2, TN_PHASE_UPDATE = 3 };

struct tn_op {
    int32_t kind;  /* enum tn_op_kind */
    int32_t phase; /* enum tn_phase */
    uint32_t input_count, output_count;
    struct tn_value **inputs, **outputs; /* entries may be NULL as the kind's comment says */
    const char *layer;                   /* name for messages; never NULL */
    union {
        struct tn_convolution conv;
        struct tn_dense dense;
        struct tn_window pool;
        struct tn_normalization norm;
        struct tn_activation activation;
        struct tn_dropout dropout;
        struct {
            int32_t function;
        } binary;
        struct {
            float alpha, beta;
        } cast;
        struct {
            int32_t training;
        } mode; /* custom */
        int32_t axis;
        struct {
            int32_t decay; /* goes into tn_update.decay */
        } update;
    } a;
    const struct tn_custom *custom; /* TN_OP_CUSTOM…, TN_OP_LOSS, TN_OP_UPDATE */
    uint64_t dying;                 /* bit i: input i is not needed after this op, so that it may be overwritten */
    /* Set by the device in plan(). */
    void *kernel;           /* owned by the device until forget() */
    uint64_t scratch_bytes; /* needed while the op runs only */
    uint32_t overwrites;    /* 1 + i: outputs[0] lives in inputs[i]'s place (its bit in `dying` must be set, bytes must
                               agree) */
    uint32_t reserved;
    const char *algorithm; /* a static text for `tenon plan`: "winograd", "direct", "plain loop" */
    /* Set by the core before bind(). */
    void *scratch;
    /* Bit i: input i is named for its shape and layout alone; its data may be gone when the op runs. */
    uint64_t layout_only;
};

struct tn_program {
    uint32_t size;
    uint32_t op_count, value_count;
    int32_t training, batch;
    struct tn_op *ops;
    struct tn_value **values;
    void *device_data; /* the device's own, until forget() */
};

/* What changes from step to step. */
struct tn_step {
    uint32_t size;
    uint32_t reserved;
    double learning_rate;
    uint64_t step; /* 1-based count of optimizer steps */
    uint64_t seed; /* key for dropout in this step */
};

/* Fusions that a device runs as one op; the core rewrites only to these. */
enum {
    TN_FUSE_BIAS_RELU = 1u, /* CONV2D and DENSE with TN_RELU, slope 0, no limit */
    TN_FUSE_CONV_POOL = 2u, /* CONV2D (+ ReLU) + max POOL whose windows do not overlap */
    TN_FUSE_NORM_RELU = 4u, /* BATCH_NORM + ReLU */
};

struct tn_device_info {
    uint32_t size;
    int32_t threads;
    uint32_t fusions; /* TN_FUSE_… */
    uint32_t reserved;
    uint64_t memory_bytes; /* 0 = unknown */
    char name[128];        /* "CPU (oneDNN 2.6.3, AVX-512, 2 threads)" */
};

struct tn_device {
    struct tn_type type;
    tn_status (*info)(void *self, struct tn_device_info *info, struct tn_error *error); /* [setup] */
    /* Chooses kernels and layouts for the whole program; sets the fields named above in every value and op. An op that
     * the device cannot run is TN_UNSUPPORTED with the layer's name.  [setup] */
    tn_status (*plan)(void *self, struct tn_program *program, struct tn_error *error);
    /* Device memory, aligned to 4096 bytes, zeroed.  [setup] */
    tn_status (*allocate)(void *self, uint64_t bytes, void **memory, struct tn_error *error);
    void (*release)(void *self, void *memory, uint64_t bytes);
    /* All `data` and `scratch` addresses are set: build what run() needs. May be called again when addresses changed.
     * [setup] */
    tn_status (*bind)(void *self, struct tn_program *program, struct tn_error *error);
    /* Runs ops[first .. last). May return before the device is done; read() and wait() see the results.  [step] */
    tn_status (*run)(void *self, struct tn_program *program, uint32_t first, uint32_t last, const struct tn_step *step,
                     struct tn_error *error);
    /* Between plain host memory and a value (its layout converted). `elements` of the value's data type, plain order.
     * [step] */
    tn_status (*write)(void *self, struct tn_value *value, const void *plain, struct tn_error *error);
    tn_status (*read)(void *self, const struct tn_value *value, void *plain, struct tn_error *error);
    tn_status (*wait)(void *self, struct tn_error *error);
    /* Frees what plan() and bind() made for this program, and layouts of values that only it has (persistent ones
     * stay).  [setup] */
    void (*forget)(void *self, struct tn_program *program);
    /* Frees a persistent value's layout.  [setup] */
    void (*forget_value)(void *self, struct tn_value *value);
    /* Copies `bytes` within device memory (the weights that early stopping keeps). NULL = not offered.  [step] */
    tn_status (*copy)(void *self, void *to, const void *from, uint64_t bytes, struct tn_error *error);
};

#define TN_SIZE_OF_TN_DEVICE sizeof(struct tn_device)

/* 1: the derivative of this activation cannot be had from its output, so that the backward op needs the input. For all
 * others y is enough, and the better choice (x may then die early, or be overwritten by y). */
TN_UNUSED static inline int32_t tn_activation_needs_input(const struct tn_activation *activation)
{
    switch (activation->function) {
    case TN_GELU:
    case TN_GELU_TANH:
    case TN_SILU:
    case TN_HARD_SILU:
    case TN_MISH:
    case TN_HARD_TANH: /* as for RELU: at the limit itself the gradient passes, beyond it does not */
        return 1;
    case TN_RELU: /* slope: the sign of y tells the side only while 0 <= slope and nothing is shifted. relu6 does not
                     pass at its limit, others do, so that for them y at the limit is not enough */
        return activation->alpha < 0.0f || activation->gamma != 0.0f ||
               (activation->beta > 0.0f && activation->beta != 6.0f);
    case TN_ELU:
    case TN_CELU:
        return activation->alpha <= 0.0f;
    default:
        return 0;
    }
}

/* Number of elements of a shape. */
TN_UNUSED static inline uint64_t tn_shape_elements(const struct tn_shape *shape)
{
    uint64_t count = 1;
    for (int32_t i = 0; i < shape->rank; i++)
        count *= (uint64_t)shape->dims[i];
    return count;
}

#ifdef __cplusplus
}
#endif
#endif
