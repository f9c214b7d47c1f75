#!/usr/bin/env python3
"""TensorFlow and TensorBoard read what the callback tensorboard writes: all values of log.csv, histograms as TensorFlow
counts them, hyper-parameters.

  check_tensorboard.py TENON        TENON: the command, e.g. build/bin/tenon

Without TensorFlow and TensorBoard it says so and ends with status 77 (skipped).
"""
import csv
import glob
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    import h5py
    import numpy as np
    import tensorflow as tf
    from tensorboard import program
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

EPOCHS, STEPS, EVERY = 3, 7, 2
EXPERIMENT = f"""
[experiment]
name = board
epochs = {EPOCHS}
steps_per_epoch = {STEPS}
[data]
target_size = 24x24
batch_size = 8
class_mode = sparse
[source:train]
type = directory
path = data/train
[source:validation]
type = directory
path = data/validation
[schedule]
type = exponential_decay
decay_rate = 0.9
[callback:log]
type = csv_logger
[callback:saved]
type = model_checkpoint
path = {{epoch}}.h5
[callback:board]
type = tensorboard
update_freq = {EVERY}
histogram_freq = 1
write_grads = yes
images = 3
images_freq = 2
write_steps_per_second = yes
throughput = yes
confusion_matrix = yes
hparams = data.batch_size, layer:conv.filters, data.class_mode
[layer:scale]
type = rescaling
scale = 1/255
[layer:conv]
type = conv2d
filters = 4
kernel_size = 3
activation = relu
[layer:norm]
type = batch_normalization
[layer:gap]
type = global_average_pooling2d
[layer:out]
type = dense
units = 3
activation = softmax
"""


def run(*command, folder=None):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")


def expect(good, what):
    print(f"{'ok    ' if good else 'FAILED'} {what}")
    return 0 if good else 1


def values(folder):
    """tag -> [(step, array)] of all files of a folder; TensorFlow checks both checksums of each record."""
    found = {}
    for path in sorted(glob.glob(f"{folder}/events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(path):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, tf.make_ndarray(value.tensor)))
    return found


def log_rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_log(top):
    """Every number of log.csv is there as float32, with the epoch as its step."""
    rows = log_rows(f"{top}/runs/board/log.csv")
    train, validation = values(f"{top}/runs/board/logs/train"), values(f"{top}/runs/board/logs/validation")
    failed = expect(len(rows) == EPOCHS and len(rows[0]) == 6, "log.csv is as expected")
    for name in rows[0]:
        if name == "epoch":
            continue
        files, tag = (validation, name[4:]) if name.startswith("val_") else (train, name)
        wanted = [(int(row["epoch"]), np.float32(row[name])) for row in rows]
        failed += expect(files.get(f"epoch_{tag}") == wanted, f"epoch_{tag} is {name} of log.csv")
        if files is validation:
            wanted = [((step + 1) * STEPS, value) for step, value in wanted]
            failed += expect(files.get(f"evaluation_{tag}_vs_iterations") == wanted, f"evaluation_{tag}_vs_iterations")
    for tag in ("loss", "accuracy", "steps_per_second"):
        steps = [step for step, value in train.get(f"batch_{tag}", []) if value > 0 or tag == "accuracy"]
        failed += expect(steps == [step for step in range(1, EPOCHS * STEPS + 1) if step % EVERY == 0], f"batch_{tag}")
    for tag in ("steps_per_second", "images_per_second", "input_wait"):
        failed += expect([step for step, _ in train.get(f"epoch_{tag}", [])] == list(range(EPOCHS)), f"epoch_{tag}")
    return failed


def check_confusion(top):
    """A picture after each validation, as tf.summary.image writes one: width, height, PNG."""
    found = values(f"{top}/runs/board/logs/validation").get("confusion_matrix", [])
    failed = expect([step for step, _ in found] == list(range(EPOCHS)), "confusion_matrix, of each epoch")
    for _, (width, height, png) in found:
        shape = tuple(tf.io.decode_png(png).shape)
        failed += expect(shape == (int(height), int(width), 3), f"a picture of {shape}")
    return failed


def check_histograms(top):
    """Of the weights that the checkpoint of the same epoch holds, as tf.summary.histogram counts them."""
    found = values(f"{top}/runs/board/logs/train")
    failed = count = 0
    for epoch in range(EPOCHS):
        wanted = {}
        with h5py.File(f"{top}/runs/board/checkpoints/{epoch + 1}.h5") as file:
            groups = file["model_weights"] if "model_weights" in file else file
            groups.visititems(lambda name, item: wanted.update({name.split("/", 1)[1].split(":")[0]: item[()]})
                              if isinstance(item, h5py.Dataset) else None)
        writer = tf.summary.create_file_writer(f"{top}/wanted/{epoch}")
        with writer.as_default():
            for name, array in wanted.items():
                tf.summary.histogram(name, array, step=epoch)
        writer.close()
        for name, [(_, theirs)] in values(f"{top}/wanted/{epoch}").items():
            ours = dict(found.get(f"{name}/histogram", [])).get(epoch)
            count += 1
            if ours is None or not np.array_equal(ours[:, 2], theirs[:, 2]) or not np.allclose(ours, theirs, 1e-6, 1e-12):
                failed += expect(False, f"histogram of {name} in epoch {epoch}: {ours}\n{theirs}")
    return failed + expect(failed == 0 and count == EPOCHS * 8, f"{count} histograms are TensorFlow's")


def check_images(top):
    """The first pictures of the first batch of every second epoch; without augmentation they are those of the folder."""
    files = [tf.io.decode_jpeg(tf.io.read_file(path), dct_method="INTEGER_ACCURATE").numpy().astype(int)
             for path in sorted(glob.glob(f"{top}/data/train/*/*"))]
    found = values(f"{top}/runs/board/logs/train").get("training_batch", [])
    failed = expect([step for step, _ in found] == list(range(0, EPOCHS, 2)), "training_batch, of every second epoch")
    for step, (width, height, *pngs) in found:
        pictures = [tf.io.decode_png(png).numpy().astype(int) for png in pngs]
        failed += expect(len(pngs) == 3 and (int(width), int(height)) == (24, 24), f"three pictures in epoch {step}")
        failed += expect(all(any(np.array_equal(picture, file) for file in files) for picture in pictures),
                         f"they are of the folder in epoch {step}")
        failed += expect(len({picture.tobytes() for picture in pictures}) == 3, f"and not one thrice in epoch {step}")
    return failed


def check_gradients(top):
    """Of what is trained, as many numbers as it has; the sums of a bias's gradients are not all the same."""
    found = values(f"{top}/runs/board/logs/train")
    sizes = {"conv/kernel": 3 * 3 * 3 * 4, "conv/bias": 4, "norm/gamma": 4, "norm/beta": 4, "out/kernel": 12, "out/bias": 3}
    tags = {tag.split("_grad")[0] for tag in found if "_grad/" in tag}
    failed = expect(tags == set(sizes), "gradients of all that is trained")
    for name, size in sizes.items():
        rows = found.get(f"{name}_grad/histogram", [])
        good = [step for step, _ in rows] == list(range(EPOCHS)) and all(row[:, 2].sum() == size for _, row in rows)
        failed += expect(good and rows[0][1][29, 1] > rows[0][1][0, 0], f"gradients of {name}")
    return failed


def check_resumed(tenon, top):
    """A run that is killed behind an epoch, before its state is saved, and goes on: in one graph, each epoch as log.csv
    has it; what was repeated lies on what was there."""
    with open(f"{top}/killed.ini", "w", encoding="utf-8") as file:
        file.write(EXPERIMENT.replace("name = board", "name = killed\nsave_every = 5 batches"))
        file.write("[callback:accident]\ntype = exec\non = epoch_end\ncommand = [ $TENON_EPOCH = 1 ] || . ./accident\n")
    with open(f"{top}/accident", "w", encoding="utf-8") as file:
        file.write("kill -9 $PPID\n")
    failed = expect(subprocess.run([tenon, "train", "killed.ini", "--quiet"], cwd=top, check=False).returncode == -9, "killed")
    with open(f"{top}/accident", "w", encoding="utf-8") as file:
        file.write("true\n")
    run(tenon, "train", "killed.ini", "--quiet", folder=top)
    rows = log_rows(f"{top}/runs/killed/log.csv")
    same = log_rows(f"{top}/runs/board/log.csv")
    failed += expect(rows == same, "it ends as the run that was not killed")
    for folder, prefix in (("train", ""), ("validation", "val_")):
        board = EventAccumulator(f"{top}/runs/killed/logs/{folder}", size_guidance={"tensors": 0})
        board.Reload()
        for name in ("loss", "accuracy"):
            points = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in board.Tensors(f"epoch_{name}")]
            wanted = {(int(row["epoch"]), float(np.float32(row[f"{prefix}{name}"]))) for row in rows}
            failed += expect(set(points) == wanted, f"{folder}: epoch_{name} is that of log.csv")
        failed += expect(len(points) == EPOCHS + 1, f"{folder}: one epoch was done twice")
    train = EventAccumulator(f"{top}/runs/killed/logs/train", size_guidance={"tensors": 0})
    train.Reload()
    batches = {}
    for event in train.Tensors("batch_loss"):
        batches.setdefault(event.step, set()).add(float(tf.make_ndarray(event.tensor_proto)))
    wanted = [step for step in range(1, EPOCHS * STEPS + 1) if step % EVERY == 0]
    failed += expect(sorted(batches) == wanted and all(len(losses) == 1 for losses in batches.values()),
                     "batch_loss: one value for each step")
    return failed


def check_second(tenon, top):
    """A second run into the same folder: TensorBoard sees one graph of both."""
    run(tenon, "train", "board.ini", "--fresh", "--quiet", f"callback:board.log_dir={top}/runs/board/logs", folder=top)
    failed = 0
    for folder in ("train", "validation"):
        board = EventAccumulator(f"{top}/runs/board/logs/{folder}", size_guidance={"tensors": 0})
        board.Reload()
        tags = board.Tags()["tensors"]
        seen = [event.step for event in board.Tensors("epoch_loss")]
        failed += expect("epoch_loss" in tags and seen == 2 * list(range(EPOCHS)), f"{folder}: both runs are in one graph")
    return failed


def ask(url, path, body=None, **query):
    request = urllib.request.Request(f"{url.rstrip('/')}/data/plugin/{path}?{urllib.parse.urlencode(query)}",
                                     data=json.dumps(body).encode() if body else None,
                                     headers={"Content-Type": "application/json"} if body else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def check_server(top):
    """What TensorBoard's pages are drawn from."""
    server = program.TensorBoard()
    server.configure(argv=["tensorboard", "--logdir", f"{top}/runs", "--host", "127.0.0.1", "--port", "0",
                           "--load_fast", "false"])
    url = server.launch()
    for _ in range(120):
        tags = ask(url, "scalars/tags")
        if {"board/logs/train", "board/logs/validation"} <= set(tags):
            break
        time.sleep(0.5)
    rows = log_rows(f"{top}/runs/board/log.csv")
    shown = ask(url, "scalars/scalars", run="board/logs/train", tag="epoch_loss")
    wanted = [[int(row["epoch"]), float(np.float32(row["loss"]))] for row in rows]
    failed = expect([point[1:] for point in shown] == wanted, "the page of scalars shows log.csv")
    shown = ask(url, "histograms/histograms", run="board/logs/train", tag="conv/kernel/histogram")
    failed += expect(len(shown) == EPOCHS and len(shown[0][2]) == 30, "the page of histograms shows conv/kernel")
    shown = ask(url, "text/text", run="board/logs/train", tag="configuration")
    failed += expect("kernel_size = 3" in shown[0]["text"], "the page of texts shows the experiment")
    body = {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "colParams": [], "startIndex": 0, "sliceSize": 9}
    for _ in range(60):
        shown = ask(url, "hparams/session_groups", body)
        if shown.get("sessionGroups"):
            break
        time.sleep(0.5)
    groups = shown.get("sessionGroups") or [{}]
    failed += expect(len(groups) == 1 and groups[0].get("hparams") == {
        "data.batch_size": 8.0, "layer:conv.filters": 4.0, "data.class_mode": "sparse"}, "the page of hyper-parameters")
    metrics = {(value["name"].get("group"), value["name"].get("tag")): value["value"]
               for value in groups[0].get("metricValues", [])}
    failed += expect(metrics.get(("validation", "epoch_loss")) == float(np.float32(rows[-1]["val_loss"])),
                     "shows the last val_loss beside them")
    return failed


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tenon = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as top:
        run(tenon, "synth", f"{top}/data", "--count", "60", "--validation-count", "12", "--size", "24", "--classes", "3",
            "--quiet")
        with open(f"{top}/board.ini", "w", encoding="utf-8") as file:
            file.write(EXPERIMENT)
        run(tenon, "train", "board.ini", "--quiet", folder=top)
        failed = check_log(top) + check_confusion(top) + check_histograms(top) + check_gradients(top) + check_images(top)
        failed += check_server(top) + check_resumed(tenon, top) + check_second(tenon, top)
    print(f"{failed} failed" if failed else "all good")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
