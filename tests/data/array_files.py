"""Files of arrays as CIFAR, keras and MedMNIST publish them, small."""

import pickle
import struct
import sys

import numpy as np

NAMES = ("plane", "car", "bird")


def images(count, seed=0, shape=(32, 32, 3)):
    """Different images, uint8 [N, *shape]."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def labels(count, classes=3):
    """Each class in turn, int64 [N]."""
    return np.arange(count) % classes


def planes(pixels):
    """Pixels [N, 32, 32, 3] as rows of CIFAR's: a plane for each channel."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), -1)


def python2(value):
    """A pickle of protocol 2 as Python 2 wrote CIFAR's: texts are bytes, and arrays are of numpy.core."""
    return b"\x80\x02" + _python2(value) + b"."


def _python2(value):
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(key) + _python2(item) for key, item in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_python2, value)) + b"e"
    if isinstance(value, bytes):
        short = len(value) < 256
        return (b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"".join(map(_python2, value.shape)) + (b"\x86" if value.ndim == 2 else b"\x85")
    return made + b"(K\x01" + shape + kind + b"\x89" + _python2(value.tobytes()) + b"tb"


def cifar10(root, write=python2, count=30, **more):
    """A folder with two batches of training images and one of test images."""
    root.mkdir(parents=True)
    for seed, name in enumerate(("data_batch_1", "data_batch_2", "test_batch")):
        said = {b"data": planes(images(count, seed)), b"labels": labels(count).tolist(), **more}
        (root / name).write_bytes(write(said))
    (root / "batches.meta").write_bytes(write({b"label_names": [name.encode() for name in NAMES]}))
    return root


def cifar100(root, write=python2, count=30):
    root.mkdir(parents=True)
    for seed, name in enumerate(("train", "test")):
        said = {b"data": planes(images(count, seed)), b"fine_labels": labels(count).tolist()}
        (root / name).write_bytes(write({**said, b"coarse_labels": [0] * count}))
    (root / "meta").write_bytes(write({b"fine_label_names": [name.encode() for name in NAMES]}))
    return root


def records(pixels, *marks):
    """Binary records: labels, then pixels."""
    return np.hstack([np.stack(marks, 1).astype(np.uint8), planes(pixels)]).tobytes()


def binary10(root, count=30):
    root.mkdir(parents=True)
    for seed, name in enumerate(("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin")):
        (root / name).write_bytes(records(images(count, seed), labels(count)))
    (root / "batches.meta.txt").write_text("".join(f"{name}\n" for name in NAMES) + "\n")
    return root


def binary100(root, count=30):
    root.mkdir(parents=True)
    for seed, name in enumerate(("train.bin", "test.bin")):
        (root / name).write_bytes(records(images(count, seed), np.zeros(count), labels(count)))
    (root / "fine_label_names.txt").write_text("\n".join(NAMES))
    return root


def python3(value):
    """A pickle of protocol 2 as this Python writes it."""
    return pickle.dumps(value, 2)


def keras(file, save=np.savez, count=30, shape=(28, 28), **more):
    x, y = images(count, 0, shape), images(count // 2, 1, shape)
    save(file, **{"x_train": x, "y_train": labels(count), "x_test": y, "y_test": labels(len(y))} | more)
    return file


def medmnist(file, save=np.savez_compressed, count=30, shape=(28, 28, 3), **more):
    arrays = {}
    for seed, part in enumerate(("train", "val", "test")):
        arrays |= {f"{part}_images": images(count, seed, shape), f"{part}_labels": labels(count)[:, None]}
    save(file, **arrays | more)
    return file


class Attack:
    """An object whose pickle runs a command when it is read as pickles usually are."""

    def __reduce__(self):
        return sys.exit, ("the pickle ran",)


def read_all(source, edge=32):
    """The images of each part, uint8 [N, edge, edge, channels]."""
    found = {part: [] for part in source.parts}
    for entry in source.entries:
        found[entry.part].append(source.read(entry, edge)[0])
    return {part: np.stack(some) for part, some in found.items()}
