#!/usr/bin/env python3
"""Files that hold a training and not only weights: .keras, .weights.h5, .safetensors, in both directions.

  check_keras_formats.py TENON FIXTURES       TENON: the command; FIXTURES: ../shared/fixtures

Needs Keras 3 with TensorFlow, tf_keras and safetensors; without one, or the fixtures, it says so and ends with status 77
(skipped). The three models of the fixtures are trained by both programs on one batch of pictures, which is an epoch: so
each line of log.csv is the loss of one step, and the file of an epoch the weights after it.
"""
import csv
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
try:
    import keras
    import numpy as np
    import safetensors
    import safetensors.numpy
    import tf_keras
    from PIL import Image
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

CLASSES = ["cat", "dog", "fox", "hen", "owl"]
PER_CLASS = 2
EPOCHS = 3

HEAD = """
[experiment]
name = {name}
run_folder = {folder}/runs
seed = 3
epochs = {epochs}
save_every = no
[data]
target_size = {size}
batch_size = 10
class_mode = sparse
shuffle = no
augment = scale
fast_decode = no
[source:train]
type = directory
path = {folder}/{data}
[augment:scale]
type = rescale
scale = 1/255
[loss]
type = sparse_categorical_crossentropy
from_logits = {logits}
[callback:log]
type = csv_logger
[callback:keras]
type = model_checkpoint
path = {{epoch}}.keras
[callback:weights]
type = model_checkpoint
path = {{epoch}}.weights.h5
[callback:tensors]
type = model_checkpoint
path = {{epoch}}.safetensors
[callback:legacy]
type = model_checkpoint
path = {{epoch}}.h5
[optimizer]
type = {optimizer}
"""

ADAM = "adam\nlearning_rate = 0.002\nbeta_2 = 0.99"
AMSGRAD = ADAM + "\namsgrad = yes"
SGD = "sgd\nlearning_rate = 0.05\nmomentum = 0.9\nnesterov = yes"


def conv(name, filters, size, more=""):
    return f"[layer:{name}]\ntype = conv2d\nfilters = {filters}\nkernel_size = {size}\n{more}"


def simple(name, kind, more=""):
    return f"[layer:{name}]\ntype = {kind}\n{more}"


RELU = "activation = relu\n"
SAME = "padding = same\n"
BARE = "use_bias = no\n"

SEED_CNN = (conv("conv2d", 6, 3, RELU) + simple("max_pooling2d", "max_pooling2d")
            + conv("conv2d_1", 8, 3, RELU) + simple("max_pooling2d_1", "max_pooling2d")
            + conv("conv2d_2", 10, 3, RELU) + simple("max_pooling2d_2", "max_pooling2d")
            + simple("flatten", "flatten") + simple("dense", "dense", "units = 16\n" + RELU)
            + simple("dropout", "dropout", "rate = 0\n") + simple("dense_1", "dense", "units = 5\n"))

TINY_VGG = (conv("block1_conv1", 4, 3, SAME + RELU) + conv("block1_conv2", 4, 3, SAME + RELU)
            + simple("block1_pool", "max_pooling2d") + conv("block2_conv1", 8, 3, SAME + RELU)
            + conv("block2_conv2", 8, 3, SAME + RELU) + simple("block2_pool", "max_pooling2d")
            + simple("flatten", "flatten") + simple("fc1", "dense", "units = 12\n" + RELU)
            + simple("predictions", "dense", "units = 5\nactivation = softmax\n"))

NORM = "batch_normalization"
BN_RESIDUAL = (conv("stem", 8, 3, SAME + BARE) + simple("stem_bn", NORM) + simple("stem_relu", "re_lu")
               + simple("dw", "depthwise_conv2d", "kernel_size = 3\n" + SAME + BARE)
               + simple("dw_bn", NORM, "momentum = 0.9\n") + simple("dw_relu", "re_lu")
               + conv("pw", 8, 1, BARE) + simple("pw_bn", NORM)
               + simple("residual", "add", "inputs = pw_bn, stem_relu\n")
               + simple("sep", "separable_conv2d", "filters = 12\nkernel_size = 3\nstrides = 2\n" + SAME)
               + simple("sep_bn", NORM) + simple("act", "activation", RELU)
               + simple("gap", "global_average_pooling2d") + simple("logits", "dense", "units = 5\n"))

# Branches in another order than Keras numbers them in, with weights of one shape: taken for another they would load.
BRANCHES = (conv("stem", 6, 3, SAME) + conv("short", 6, 3, SAME + "inputs = stem\n")
            + conv("long1", 6, 3, SAME + RELU + "inputs = stem\n") + conv("long2", 6, 3, SAME + RELU)
            + conv("side", 6, 3, SAME + "inputs = stem\n") + simple("late", NORM, "inputs = side\n")
            + simple("early", NORM, "inputs = long2\n") + simple("sum", "add", "inputs = short, early, late\n")
            + simple("gap", "global_average_pooling2d") + simple("out", "dense", "units = 5\n"))

# One of each layer that Keras has too, some of them frozen.
ZOO = (simple("scaled", "rescaling", "scale = 2\noffset = -1\n") + conv("stem", 8, 3, SAME + "activation = tanh\n")
       + conv("grouped", 8, 3, SAME + "groups = 2\ndilation_rate = 2\ntrainable = no\n") + simple("elu", "elu", "alpha = 0.7\n")
       + simple("frozen_norm", NORM, "trainable = no\nepsilon = 0.01\n") + simple("leaky", "leaky_re_lu", "negative_slope = 0.2\n")
       + simple("norm", NORM, "momentum = 0.8\ncenter = no\n") + simple("mean", "average_pooling2d", "pool_size = 2x3\n" + SAME)
       + simple("a", "depthwise_conv2d", "kernel_size = 2\ndepth_multiplier = 2\ninputs = mean\n")
       + conv("b", 16, 2, "inputs = mean\nactivation = sigmoid\n")
       + simple("product", "multiply", "inputs = a, b\n") + simple("difference", "subtract", "inputs = a, b\n")
       + simple("middle", "average", "inputs = a, b\n") + simple("larger", "maximum", "inputs = b, a\n")
       + simple("smaller", "minimum", "inputs = a, b\n")
       + simple("all", "concatenate", "inputs = product, difference, middle, larger, smaller\n")
       + simple("relu6", "re_lu", "max_value = 6\nnegative_slope = 0.1\nthreshold = 0.05\n")
       + simple("sep", "separable_conv2d", "filters = 6\nkernel_size = 2\ndepth_multiplier = 2\ntrainable = no\n" + SAME)
       + simple("largest", "global_max_pooling2d") + simple("shaped", "reshape", "target_shape = 1, 2, 3\n")
       + simple("flat", "flatten") + simple("dropout", "dropout", "rate = 0\n")
       + simple("out", "dense", "units = 5\nuse_bias = no\n") + simple("chances", "softmax"))

# name, height, width, from logits, optimizer of the INI, of Keras, layers
MODELS = [
    ("seed_cnn", 30, 30, "yes", ADAM, SEED_CNN),
    ("bn_residual", 17, 19, "yes", SGD, BN_RESIDUAL),
    ("tiny_vgg", 16, 16, "no", AMSGRAD, TINY_VGG),
]


def keras_optimizer(text):
    if text is SGD:
        return keras.optimizers.SGD(learning_rate=0.05, momentum=0.9, nesterov=True)
    return keras.optimizers.Adam(learning_rate=0.002, beta_2=0.99, amsgrad=text is AMSGRAD)


class Checker:
    def __init__(self):
        self.failures = []

    def near(self, what, ours, theirs, tolerance):
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        same = ours.shape == theirs.shape
        largest = np.abs(theirs).max() if theirs.size else 1.0
        difference = float((np.abs(ours - theirs)).max() / max(largest, 1e-30)) if same and theirs.size else 0.0
        good = same and difference <= tolerance
        print(f"{'ok    ' if good else 'FAILED'} {what}: differs by {difference:.2g} of the largest, allowed {tolerance:g}")
        if not good:
            self.failures.append(what)

    def true(self, what, good):
        print(f"{'ok    ' if good else 'FAILED'} {what}")
        if not good:
            self.failures.append(what)

    def lists(self, what, ours, theirs, tolerance):
        """Lists of arrays; told in a line. An array whose gradient is zero but for rounding (a bias in front of a batch
        normalisation) is not compared with its own size."""
        if len(ours) != len(theirs) or any(np.shape(a) != np.shape(b) for a, b in zip(ours, theirs)):
            self.true(f"{what}: {len(ours)} and {len(theirs)} arrays, or of other shapes", False)
            return
        worst = max((float(np.abs(np.float64(a) - np.float64(b)).max() / max(np.abs(np.float64(b)).max(), 0.05))
                     for a, b in zip(ours, theirs)), default=0.0)
        self.true(f"{what}: {len(ours)} arrays, the worst differs by {worst:.2g} of its largest, allowed {tolerance:g}",
                  worst <= tolerance)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def make_pictures(folder, height, width):
    """Smooth noise, another colour for each class; in the order in which tenon reads them."""
    random = np.random.default_rng(height)
    images, labels = [], []
    for label, name in enumerate(CLASSES):
        os.makedirs(f"{folder}/{name}")
        for number in range(PER_CLASS):
            small = random.integers(0, 200, (5, 5, 3)) + random.integers(0, 55, 3)
            picture = Image.fromarray(small.astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
            picture.save(f"{folder}/{name}/{number}.png")
            images.append(np.asarray(picture, np.float32) / np.float32(255))
            labels.append(label)
    return np.stack(images), np.array(labels)


def outputs(model, images):
    return np.asarray(model(images, training=False), np.float64)


def predictions(tenon, ini, weights, folder):
    pictures = [f"{folder}/{name}/{number}.png" for name in CLASSES for number in range(PER_CLASS)]
    rows = json.loads(run(tenon, "predict", ini, *pictures, "--weights", weights, "--json", "--top", "5"))
    scores = []
    for row in rows:
        found = {row["class"]: row["score"], **{other["class"]: other["score"] for other in row["others"]}}
        scores.append([found[name] for name in CLASSES])
    return np.array(scores)


def losses(run_folder):
    with open(f"{run_folder}/log.csv", newline="", encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def without_dropout(model):
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return model


def step(model, images, labels):
    return float(model.train_on_batch(images, labels, return_dict=True)["loss"])


def values(variables):
    return [variable.numpy() for variable in variables]


def keras_names(model):
    return [weight.path.split("/")[-2] + "/" + weight.path.split("/")[-1] for weight in model.weights]


def write_ini(folder, name, model, data, optimizer=None, more="", epochs=EPOCHS):
    _, height, width, logits, standard, layers = model
    path = f"{folder}/{name}.ini"
    with open(path, "w", encoding="utf-8") as file:
        file.write(HEAD.format(name=name, folder=folder, data=data, size=f"{height}x{width}", logits=logits, epochs=epochs,
                               optimizer=optimizer or standard) + more + layers)
    return path


def theirs_to_ours(tenon, check, folder, model, fixtures, images, labels):
    """Keras' fixtures, and a file that Keras trained: outputs, and the next steps."""
    name, _, _, logits, optimizer, _ = model
    ini = write_ini(folder, f"{name}-from", model, f"{name}-data")
    for ending in ("k3.keras", "k3.weights.h5", "k3_model.h5", "k2_model.h5"):
        theirs = keras.saving.load_model(f"{fixtures}/keras-h5/{name}.k3.keras")
        expected = outputs(theirs, images)
        check.near(f"{name}: we predict from {ending}", predictions(tenon, ini, f"{fixtures}/keras-h5/{name}.{ending}",
                                                                    f"{folder}/{name}-data"), expected, 1e-5)
    theirs = without_dropout(keras.saving.load_model(f"{fixtures}/keras-h5/{name}.k3.keras"))
    theirs.compile(keras_optimizer(optimizer), keras.losses.SparseCategoricalCrossentropy(from_logits=logits == "yes"))
    for _ in range(2):
        step(theirs, images, labels)
    theirs.save(f"{folder}/{name}-theirs.keras")
    theirs.save_weights(f"{folder}/{name}-theirs.weights.h5")
    went_on = [step(theirs, images, labels) for _ in range(EPOCHS)]
    for ending in ("keras", "weights.h5"):
        again = write_ini(folder, f"{name}-on-{ending}", model, f"{name}-data",
                          more=f"[weights]\nfrom = {folder}/{name}-theirs.{ending}\n")
        said = run(tenon, "train", again)
        check.true(f"{name}: we say that the state came with Keras' .{ending}", "optimizer's state" in said)
        made = f"{folder}/runs/{name}-on-{ending}"
        check.near(f"{name}: our next {EPOCHS} losses, from Keras' .{ending}", losses(made), went_on, 1e-5)
        ours = safetensors.numpy.load_file(f"{made}/checkpoints/{EPOCHS}.safetensors")
        check.lists(f"{name}: our weights after them", [ours[key] for key in keras_names(theirs)], values(theirs.weights),
                    1e-4)


def judge_tensors(check, what, path, model):
    """safetensors' own reader: values equal Keras', metadata are texts."""
    tensors = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, "np") as file:
        metadata = file.metadata()
    names = keras_names(model)
    state = [key for key in tensors if key.startswith("optimizer/")]
    check.lists(f"{what}: safetensors reads the values that Keras has", [tensors[name] for name in names],
                values(model.weights), 0)
    check.true(f"{what}: its names and metadata",
               len(tensors) == len(names) + len(state) and json.loads(metadata["classes"]) == CLASSES
               and metadata["format"] == "tenon" and int(metadata["iterations"]) == int(model.optimizer.iterations))
    return tensors


def ours_to_theirs(tenon, check, folder, model, images, labels):
    """Files that we wrote after one step: Keras' outputs, and its next step, are ours."""
    name = model[0]
    ini = write_ini(folder, f"{name}-ours", model, f"{name}-data")
    run(tenon, "train", ini, "--quiet")
    made = f"{folder}/runs/{name}-ours"
    logged = losses(made)
    files = f"{made}/checkpoints"
    ours = predictions(tenon, ini, f"{files}/1.keras", f"{folder}/{name}-data")
    theirs = keras.saving.load_model(f"{files}/1.keras")
    check.near(f"{name}: Keras predicts from our .keras", outputs(theirs, images), ours, 1e-5)
    judge_tensors(check, f"{name}: our .safetensors", f"{files}/1.safetensors", theirs)

    other = keras.saving.load_model(f"{files}/3.keras")  # another state, to be replaced
    other.load_weights(f"{files}/1.weights.h5")
    check.lists(f"{name}: Keras loads weights and state from our .weights.h5",
                values(other.weights) + values(other.optimizer.variables),
                values(theirs.weights) + values(theirs.optimizer.variables), 0)
    for library in (keras, tf_keras):
        legacy = library.models.load_model(f"{files}/1.h5")
        check.near(f"{name}: {library.__name__} {library.__version__} predicts from our .h5",
                   outputs(legacy, images), ours, 1e-5)

    went_on = [step(theirs, images, labels) for _ in range(EPOCHS - 1)]
    check.near(f"{name}: Keras' next {EPOCHS - 1} losses, from our .keras", went_on, logged[1:], 1e-5)
    last = safetensors.numpy.load_file(f"{files}/{EPOCHS}.safetensors")
    check.lists(f"{name}: Keras' weights after them", values(theirs.weights), [last[key] for key in keras_names(theirs)],
                1e-4)

    for ending in ("keras", "weights.h5", "safetensors"):
        again = write_ini(folder, f"{name}-again-{ending}", model, f"{name}-data", epochs=EPOCHS - 1)
        run(tenon, "train", again, "--quiet", "--weights", f"{files}/1.{ending}")
        check.near(f"{name}: we go on from our .{ending}", losses(f"{folder}/runs/{name}-again-{ending}"), logged[1:], 0)
        mine = safetensors.numpy.load_file(f"{folder}/runs/{name}-again-{ending}/checkpoints/{EPOCHS - 1}.safetensors")
        check.lists(f"{name}: with the same weights and state", [mine[key] for key in sorted(mine)],
                    [last[key] for key in sorted(last)], 0)


def other_names(tenon, check, folder, model, images, labels):
    """A graph whose layers Keras calls otherwise: then only its order tells which is which, for weights and state."""
    name = model[0]
    ours = keras.saving.load_model(f"{folder}/runs/{name}-ours/checkpoints/2.keras")
    config = json.dumps(ours.get_config())
    for layer in ours.layers:
        config = config.replace(f'"{layer.name}"', f'"other_{layer.name}"')
    theirs = keras.Model.from_config(json.loads(config))
    theirs.set_weights(ours.get_weights())
    theirs.compile(keras_optimizer(model[4]), keras.losses.SparseCategoricalCrossentropy(from_logits=model[3] == "yes"))
    for _ in range(2):
        step(theirs, images, labels)
    theirs.save(f"{folder}/{name}-other.keras")
    theirs.save_weights(f"{folder}/{name}-other.weights.h5")
    expected = outputs(theirs, images)
    went_on = [step(theirs, images, labels) for _ in range(EPOCHS)]
    for ending in ("keras", "weights.h5", "h5"):
        if ending == "h5":  # after the steps: it spoils the model for .keras
            theirs.save(f"{folder}/{name}-other.h5")
            expected = outputs(theirs, images)
        check.near(f"{name}: we predict from a .{ending} with other names",
                   predictions(tenon, f"{folder}/{name}-ours.ini", f"{folder}/{name}-other.{ending}",
                               f"{folder}/{name}-data"), expected, 1e-5)
    again = write_ini(folder, f"{name}-on-other", model, f"{name}-data")
    run(tenon, "train", again, "--weights", f"{folder}/{name}-other.keras")
    check.near(f"{name}: our next {EPOCHS} losses, from a .keras with other names", losses(f"{folder}/runs/{name}-on-other"),
               went_on, 1e-5)


def foreign_tensors(tenon, check, folder, model, images):
    """Files of the package safetensors, in three types."""
    name = model[0]
    theirs = keras.saving.load_model(f"{folder}/runs/{name}-ours/checkpoints/2.keras")
    expected = outputs(theirs, images)
    tensors = dict(zip(keras_names(theirs), values(theirs.weights)))
    for kind, tolerance in (("float32", 1e-5), ("float64", 1e-5), ("float16", 5e-3)):
        path = f"{folder}/{name}-{kind}.safetensors"
        safetensors.numpy.save_file({key.replace("/", "."): value.astype(kind) for key, value in tensors.items()}, path,
                                    metadata={"format": "pt"})
        check.near(f"{name}: we predict from {kind} of the package safetensors",
                   predictions(tenon, f"{folder}/{name}-ours.ini", path, f"{folder}/{name}-data"), expected, tolerance)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tenon, fixtures = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    if not os.path.isdir(f"{fixtures}/keras-h5"):
        print("skipped: there are no fixtures")
        return 77
    check = Checker()
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS + [("branches", 12, 14, "yes", SGD, BRANCHES), ("zoo", 12, 14, "no", SGD, ZOO)]:
            images, labels = make_pictures(f"{folder}/{model[0]}-data", model[1], model[2])
            if model in MODELS:
                theirs_to_ours(tenon, check, folder, model, fixtures, images, labels)
            ours_to_theirs(tenon, check, folder, model, images, labels)
            if model[0] in ("branches", "zoo"):
                other_names(tenon, check, folder, model, images, labels)
        foreign_tensors(tenon, check, folder, MODELS[0], make_pictures(f"{folder}/again", 30, 30)[0])
    print(f"{len(check.failures)} failed" if check.failures else "all good")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
