#!/usr/bin/env python3
"""TensorFlow reads what `tenon pack` writes: all records, the same bytes, the right labels.

  check_tfrecord.py TENON        TENON: the command, e.g. build/bin/tenon

Without TensorFlow it says so and ends with status 77 (skipped).
"""
import glob
import io
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    import numpy as np
    import tensorflow as tf
    from PIL import Image
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

FULL = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/format": tf.io.FixedLenFeature([], tf.string),
    "image/height": tf.io.FixedLenFeature([], tf.int64),
    "image/width": tf.io.FixedLenFeature([], tf.int64),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    "image/class/text": tf.io.FixedLenFeature([], tf.string),
    "image/filename": tf.io.FixedLenFeature([], tf.string),
}
SEED = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")


def records(folder, part, spec, compression):
    """Every record of a part, parsed. TensorFlow checks both checksums of each."""
    shards = sorted(glob.glob(f"{folder}/{part}-*.tfrecord"))
    dataset = tf.data.TFRecordDataset(shards, compression_type=compression)
    return [{key: value.numpy() for key, value in tf.io.parse_single_example(record, spec).items()}
            for record in dataset]


def expect(good, what):
    print(f"{'ok    ' if good else 'FAILED'} {what}")
    return 0 if good else 1


def pictures(folder):
    """name relative to the part -> bytes"""
    found = {}
    for path in glob.glob(f"{folder}/*/*.*"):
        with open(path, "rb") as file:
            found[os.path.relpath(path, folder)] = file.read()
    return found


def check_full(tenon, data, folder, compression):
    """Untouched bytes and all features, of the whole set."""
    run(tenon, "pack", data, folder, "--shards", "4", "--compression", compression.lower() or "none", "--quiet")
    with open(f"{folder}/classes.txt", encoding="utf-8") as file:
        classes = file.read().splitlines()
    with open(f"{folder}/pack.json", encoding="utf-8") as file:
        manifest = json.load(file)
    name = compression or "none"
    failed = expect(classes == sorted(os.listdir(f"{data}/train")), f"{name}: classes")
    for part in ("train", "validation"):
        files = pictures(f"{data}/{part}")
        found = {record["image/filename"].decode(): record for record in records(folder, part, FULL, compression)}
        failed += expect(len(found) == len(files) == manifest["parts"][part]["records"], f"{name}: {part}: all records")
        failed += expect(all(found[key]["image/encoded"] == files[key] for key in files), f"{name}: {part}: same bytes")
        failed += expect(all(classes[record["image/class/label"]] == key.split("/")[0] ==
                             record["image/class/text"].decode() for key, record in found.items()),
                         f"{name}: {part}: labels")
        sizes = [Image.open(io.BytesIO(files[key])) for key in files]
        failed += expect(all((found[key]["image/width"], found[key]["image/height"]) == image.size and
                             found[key]["image/format"].decode() == image.format
                             for key, image in zip(files, sizes)), f"{name}: {part}: sizes and formats")
    return failed


def resized(picture):
    """What TensorFlow's resize and a JPEG of the same quality make of it; halves are rounded another way there."""
    image = tf.io.decode_jpeg(picture, 3, dct_method="INTEGER_ACCURATE") if picture[:2] == b"\xff\xd8" else tf.io.decode_png(picture, 3)
    values = tf.image.resize(image, [30, 50]).numpy()
    buffer = io.BytesIO()
    Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=97)
    return tf.io.decode_jpeg(buffer.getvalue(), 3, dct_method="INTEGER_ACCURATE").numpy().astype(np.float32)


def check_resized(tenon, data, folder, compression):
    """JPEGs of the size asked for, close to TensorFlow's own resize of the same pictures."""
    run(tenon, "pack", f"{data}/train", folder, "--resize", "30x50", "--quality", "97", "--keys", "seed",
        "--compression", compression.lower() or "none", "--quiet")
    files = pictures(f"{data}/train")
    classes = sorted(os.listdir(f"{data}/train"))
    found = records(folder, "train", SEED, compression)
    name = f"resized, {compression or 'none'}"
    failed = expect(len(found) == len(files), f"{name}: all records")
    wanted = [(key.split("/")[0], resized(files[key])) for key in files]
    used = set()
    for record in found:
        image = tf.io.decode_jpeg(record["image"], 3, dct_method="INTEGER_ACCURATE").numpy().astype(np.float32)
        if image.shape != (30, 50, 3):
            return failed + expect(False, f"{name}: shape {image.shape}")
        distance = [np.abs(image - other).mean() for _, other in wanted]
        nearest = int(np.argmin(distance))
        used.add(nearest)
        if distance[nearest] > 1 or wanted[nearest][0] != classes[record["label"]]:
            return failed + expect(False, f"{name}: a picture differs by {distance[nearest]:.2f}, label {record['label']}")
    return failed + expect(len(used) == len(files), f"{name}: every picture once, with its label")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tenon = os.path.abspath(sys.argv[1])
    failed = 0
    with tempfile.TemporaryDirectory() as top:
        data = f"{top}/data"
        run(tenon, "synth", data, "--count", "60", "--validation-count", "12", "--size", "40", "--classes", "3", "--quiet")
        first = sorted(pictures(f"{data}/train"))[0]
        Image.open(f"{data}/train/{first}").save(f"{data}/train/{first[:-4]}-too.png")  # not all are JPEGs
        os.remove(f"{data}/train/{first}")
        for compression in ("", "GZIP"):
            failed += check_full(tenon, data, f"{top}/full{compression}", compression)
            failed += check_resized(tenon, data, f"{top}/resized{compression}", compression)
    print(f"{failed} failed" if failed else "all good")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
