#!/usr/bin/env python3
"""Keras reads our .h5 files and gives the same outputs, and we read Keras'.

  check_keras_h5.py TENON        TENON: the command, e.g. build/bin/tenon

Needs Keras 3 with TensorFlow and, for Keras 2, tf_keras; without Keras it says so and ends with status 77 (skipped).
Small networks are trained for an epoch on drawn shapes. What Keras makes of our files is compared with `tenon predict`.
Then Keras changes the weights and saves in each of its ways, and `tenon predict` is compared with Keras again.
"""
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    import keras
    import numpy as np
    from PIL import Image
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
try:
    import tf_keras
except ImportError:
    tf_keras = None

TOLERANCE = 2e-5  # of outputs; `tenon predict` prints six digits

HEAD = """
[experiment]
name = {name}
run_folder = {folder}/runs
seed = 5
epochs = 1
[data]
target_size = 24x24
batch_size = 16
fast_decode = no
class_mode = {mode}
[source:train]
type = directory
path = {folder}/{data}/train
[callback:whole]
type = model_checkpoint
path = whole.h5
[callback:weights]
type = model_checkpoint
path = only.h5
save_weights_only = yes
[callback:keras3]
type = model_checkpoint
path = keras3.weights.h5
save_weights_only = yes
[callback:archive]
type = model_checkpoint
path = whole.keras
[loss]
type = {loss}
[optimizer]
type = {optimizer}
"""

CHAIN = """
[layer:scale]
type = rescaling
scale = 1/255
[layer:conv1]
type = conv2d
filters = 6
kernel_size = 3
strides = 2
padding = same
activation = relu
[layer:norm]
type = batch_normalization
[layer:act]
type = activation
activation = tanh
[layer:pool]
type = max_pooling2d
[layer:conv2]
type = conv2d
filters = 8
kernel_size = 2x3
use_bias = no
[layer:mean]
type = average_pooling2d
[layer:flat]
type = flatten
[layer:drop]
type = dropout
rate = 0.3
"""

GRAPH = """
[layer:scale]
type = rescaling
scale = 1/127.5
offset = -1
[layer:stem]
type = conv2d
filters = 6
kernel_size = 3
padding = same
[layer:stem_norm]
type = batch_normalization
momentum = 0.9
[layer:left]
type = conv2d
filters = 6
kernel_size = 3
padding = same
activation = relu
[layer:sum]
type = add
inputs = stem_norm, left
[layer:right]
type = conv2d
inputs = stem
filters = 3
kernel_size = 1
[layer:both]
type = concatenate
inputs = sum, right
[layer:gap]
type = global_average_pooling2d
"""

SOFTMAX = "[layer:out]\ntype = dense\nunits = 3\nactivation = softmax\n"
SIGMOID = "[layer:out]\ntype = dense\nunits = 1\nactivation = sigmoid\n"
LOSSES = {"categorical": "categorical_crossentropy\nlabel_smoothing = 0.1", "sparse": "sparse_categorical_crossentropy",
          "binary": "binary_crossentropy\nlabel_smoothing = 0.2"}
NETWORKS = [
    ("chain", "categorical", "three", "adam", CHAIN + SOFTMAX),
    ("graph", "sparse", "three", "sgd\nmomentum = 0.9", GRAPH + SOFTMAX),
    ("binary", "binary", "two", "adam", GRAPH + SIGMOID),
]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def predictions(tenon, ini, weights, pictures, classes):
    """Scores of each picture in the order of `classes`, as `tenon predict` gives them."""
    rows = json.loads(run(tenon, "predict", ini, *pictures, "--weights", weights, "--json", "--top", str(len(classes))))
    scores = []
    for row in rows:
        found = {row["class"]: row["score"]}
        found.update({other["class"]: other["score"] for other in row.get("others", [])})
        scores.append([found[name] for name in classes])
    return np.array(scores)


def outputs(model, images):
    result = np.array(model(images, training=False))
    return np.concatenate([1 - result, result], axis=1) if result.shape[1] == 1 else result


def check(what, ours, theirs, failures):
    difference = float(np.abs(ours - theirs).max())
    good = ours.shape == theirs.shape and difference <= TOLERANCE
    print(f"{'ok    ' if good else 'FAILED'} {what}: differs by {difference:.2g}")
    if not good:
        failures.append(what)


def shake(model, seed):
    """Other weights than those that were loaded."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        values = np.array(weight)
        if values.dtype == np.float32:
            weight.assign(values * random.uniform(0.8, 1.2, values.shape) + random.uniform(0, 0.02, values.shape))


def check_one(tenon, folder, network, failures):
    name, mode, data, optimizer, layers = network
    ini = f"{folder}/{name}.ini"
    with open(ini, "w", encoding="utf-8") as file:
        file.write(HEAD.format(name=name, mode=mode, data=data, optimizer=optimizer, folder=folder, loss=LOSSES[mode]) + layers)
    run(tenon, "train", ini, "--quiet")
    run_folder = f"{folder}/runs/{name}"
    with open(f"{run_folder}/classes.txt", encoding="utf-8") as file:
        classes = file.read().split()
    top = f"{folder}/{data}/train/{classes[0]}"
    pictures = sorted(os.path.join(top, entry) for entry in os.listdir(top))[:5]
    images = np.stack([np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) for path in pictures])

    files = [f"{run_folder}/checkpoints/{entry}" for entry in ("whole.h5", "only.h5", "keras3.weights.h5")]
    ours = predictions(tenon, ini, files[0], pictures, classes)
    model = keras.saving.load_model(f"{run_folder}/checkpoints/whole.keras")
    check(f"{name}: keras {keras.__version__} load_model(whole.keras)", ours, outputs(model, images), failures)
    wanted = 0.1 if mode == "categorical" else 0.2 if mode == "binary" else None
    if model.loss.get_config().get("label_smoothing") != wanted or not model.optimizer.built:
        print(f"FAILED {name}: whole.keras is compiled with {model.loss.get_config()}")
        failures.append("compiled")
    for library in filter(None, (keras, tf_keras)):
        model = library.models.load_model(files[0])
        version = f"{library.__name__} {library.__version__}"
        check(f"{name}: {version} load_model(whole.h5)", ours, outputs(model, images), failures)
        for path in files[1:]:
            if library is tf_keras and path.endswith(".weights.h5"):
                continue  # the format of Keras 3
            shake(model, 1)
            model.load_weights(path)
            check(f"{name}: {version} load_weights({os.path.basename(path)})", ours, outputs(model, images), failures)
        model.fit(images, model(images), verbose=0, epochs=1) if mode != "sparse" else None  # compiled and trainable
        shake(model, 2)
        theirs = outputs(model, images)
        for entry in ("saved.h5", "saved.weights.h5"):
            path = f"{folder}/{name}.{library.__name__}.{entry}"
            (model.save_weights if entry.endswith("weights.h5") else model.save)(path)
            check(f"{name}: tenon reads {os.path.basename(path)}",
                  predictions(tenon, ini, path, pictures, classes), theirs, failures)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tenon = os.path.abspath(sys.argv[1])
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        for data, classes in (("three", "3"), ("two", "2")):
            run(tenon, "synth", f"{folder}/{data}", "--count", "48", "--validation-count", "0", "--size", "24",
                "--classes", classes, "--quiet")
        for network in NETWORKS:
            check_one(tenon, folder, network, failures)
    print(f"{len(failures)} failed" if failures else "all good")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
