"""Pictures that tests make, and folders of them."""

import io

import numpy as np
from PIL import Image


def picture(seed=0, size=(24, 20)):
    """An RGB picture unlike any of another seed: smooth, so that a JPEG of it resembles it."""
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (4, 4, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)


def encoded(image, format="PNG", **options):
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def fill(folder, count, seed=0):
    """A folder with a number of different pictures, 0.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(count):
        (folder / f"{at}.png").write_bytes(encoded(picture(1000 * seed + at)))
    return folder


def tree(root, count=10, classes=("cat", "dog")):
    """A folder of each class with a number of pictures; no picture is there twice."""
    for seed, name in enumerate(classes, sum(map(ord, root.name))):
        fill(root / name, count, seed)
    return root


def parted(root, count=10, held_out=4, name="val"):
    """The same in train/ and val/."""
    tree(root / "train", count)
    tree(root / name, held_out)
    return root


def everything(dataset):
    """Bytes of the images, and labels, of all splits."""
    found = [dataset.examples(split) for split in dataset.about.images]
    return [(one.images.numpy().tobytes(), one.labels.tolist()) for one in found]
