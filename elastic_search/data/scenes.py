"""Scenes that show one real object each at a random scale and place, on a textured canvas.

Scale is what Elastic networks adapt to, so the proxy task must vary it: each scene holds one Fashion-MNIST object,
pasted at a log-uniform scale. Train, validation and test scenes are made of different source objects.
"""

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from elastic_search.data import fashion
from elastic_search.data.dataset import Examples
from elastic_search.data.fashion import EDGE, load_objects
from elastic_search.recipes import Split, Training
from elastic_search.recipes.scenes import CLASS_NAMES, SIZE_NAMES, scenes_about

SMALLEST_RECOGNISABLE = 12  # px; below this edge the classes cannot be told apart even by eye
MARGIN = math.ceil(EDGE / SMALLEST_RECOGNISABLE)  # source pixels of empty border: the reach of the widest kernel
LARGEST_FRACTION = 0.9  # of the canvas edge; default for the largest object
PIXELS_PER_CHUNK = 2**21  # canvas pixels made at once: bounds memory to some 100 MB at any canvas size

# How the task's difficulty is set. Colour values and contrasts are fractions of full brightness.
CONTRAST = (0.35, 0.6)  # brightness step between canvas and object
TEXTURE_CONTRAST = (0.02, 0.08)  # standard deviation of the noise
GRATING_CONTRAST = 0.08  # largest amplitude of the stripes
GRATING_WAVELENGTH = (4.0, 24.0)  # px
NOISE_WAVELENGTHS = (32, 16, 8, 4)  # px, one per octave
CHROMA = 0.08  # standard deviation of a colour's channels around its brightness
DARKEST_SHADE = 0.5  # brightness of an object's darkest parts, as a fraction of its tint
OPAQUE_FROM = 0.25  # source intensity from which on an object hides the canvas


@dataclass(frozen=True)
class SceneSpec:
    """Which scenes to make.

    Attributes:
        train: number of training scenes.
        test: number of test scenes.
        size: edge of the square canvas, in px.
        smallest: edge of the smallest object, in px.
        largest: edge of the largest object, in px; None means 0.9 of the canvas edge, rounded down.
        seed: decides everything random in the scenes.
        val: number of validation scenes. Their objects are held out from the training objects, so the training scenes
            differ from those of a spec without any.

    Raises:
        ValueError: if a value breaks a rule; names the field, the value and the rule.
    """

    train: int = 4000
    test: int = 1000
    size: int = 64
    smallest: int = 12
    largest: int | None = None
    seed: int = 0
    val: int = 0

    def __post_init__(self) -> None:
        for field, minimum in (("train", 1), ("test", 1), ("smallest", SMALLEST_RECOGNISABLE), ("seed", 0),
                               ("val", 0)):  # fmt: skip
            value = getattr(self, field)
            if value < minimum:
                raise ValueError(f"SceneSpec.{field}={value}: must be at least {minimum}")
        if self.largest is not None and self.largest > self.size:
            raise ValueError(f"SceneSpec.largest={self.largest}: must be at most size={self.size}")
        if self.largest_edge <= self.smallest:
            field, value = ("size", self.size) if self.largest is None else ("largest", self.largest)
            raise ValueError(
                f"SceneSpec.{field}={value}: the largest object ({self.largest_edge} px) must be larger than "
                f"smallest={self.smallest}"
            )

    @property
    def largest_edge(self) -> int:
        """Edge of the largest object, in px, with the default filled in."""
        return int(LARGEST_FRACTION * self.size) if self.largest is None else self.largest


@dataclass(frozen=True)
class Scenes:
    """A set of labelled scenes.

    Attributes:
        images: uint8 [N, 3, S, S], RGB.
        labels: int64 [N], index ``CLASS_NAMES``.
        object_sizes: float32 [N], edge of each scene's object, in px.
    """

    images: Tensor
    labels: Tensor
    object_sizes: Tensor

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.labels)


class SceneData:
    """The scenes of a recipe as a ``Dataset``; they are made when they are asked for.

    Args:
        training: gives their numbers and the size of the smallest object.
        edge: of the scenes in px.
    """

    def __init__(self, training: Training, edge: int) -> None:
        self.about = scenes_about(training, edge)
        self._spec = SceneSpec(
            training.train_images, training.test_images, edge, training.smallest_object, val=training.val_images
        )

    def examples(self, split: Split) -> Examples:
        """The scenes of a split; the size of its object is a scene's group."""
        made = make_scenes(self._spec, self.about.splits[split])  # type: ignore[arg-type]
        return Examples(made.images, made.labels, size_classes(made.object_sizes, self._spec))


def make_scenes(spec: SceneSpec, split: fashion.Split) -> Scenes:
    """The scenes of one split, in random order; the same arguments always give the same scenes.

    Args:
        spec: which scenes to make.
        split: "train", "val" or "test"; each uses its own source objects. Classes are as balanced as their number
            allows.

    Raises:
        ValueError: if there is no such split, or no scene in it.
    """
    source_images, source_labels = load_objects(split, held_out=spec.val > 0)
    count = {"train": spec.train, "val": spec.val, "test": spec.test}[split]
    if not count:
        raise ValueError(f"split={split!r}: SceneSpec.{split}=0, so there are no such scenes")
    generator = _generator(spec.seed, split)
    chosen = _choose_objects(torch.from_numpy(source_labels), count, generator)
    log_scale = _uniform(generator, count, low=math.log(spec.smallest), high=math.log(spec.largest_edge))
    # Rounding in exp() may leave the range by a hair.
    edges = log_scale.exp().clamp(spec.smallest, spec.largest_edge)

    sources = torch.from_numpy(source_images)
    images = torch.empty(count, 3, spec.size, spec.size, dtype=torch.uint8)
    chunk = max(1, PIXELS_PER_CHUNK // spec.size**2)
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        images[part] = _render(sources[chosen[part]], edges[part], spec.size, generator)
    return Scenes(images, torch.from_numpy(source_labels)[chosen], edges)


def size_classes(object_sizes: Tensor, spec: SceneSpec) -> Tensor:
    """Small, medium or large, which are equal thirds of the log-scale range: int64 [N], indices into ``SIZE_NAMES``.

    Args:
        object_sizes: object edges in px, [N].
        spec: what the scenes were made from.
    """
    position = torch.log(object_sizes / spec.smallest) / math.log(spec.largest_edge / spec.smallest)
    return (position * len(SIZE_NAMES)).long().clamp(0, len(SIZE_NAMES) - 1)


def _generator(seed: int, split: fashion.Split) -> torch.Generator:
    """A generator of our own, so that the global random state is neither read nor moved."""
    mixed = np.random.SeedSequence((seed, get_args(fashion.Split).index(split))).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0]))


def _uniform(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=generator)


def _choose_objects(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """A source object for each scene: int64 [count]; no object is used again before all others of its class were."""
    scene_labels = torch.arange(count) % len(CLASS_NAMES)
    scene_labels = scene_labels[torch.randperm(count, generator=generator)]
    chosen = torch.empty(count, dtype=torch.int64)
    for label in range(len(CLASS_NAMES)):
        scenes = (scene_labels == label).nonzero().flatten()
        objects = (labels == label).nonzero().flatten()
        rounds = math.ceil(len(scenes) / len(objects))
        order = [objects[torch.randperm(len(objects), generator=generator)] for _ in range(rounds)]
        if order:
            chosen[scenes] = torch.cat(order)[: len(scenes)]
    return chosen


def _render(sources: Tensor, edges: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Each source object, uint8 [N, 28, 28], pasted on its own canvas with its edge [N]: uint8 [N, 3, size, size]."""
    count = len(sources)
    ground, tint = _colours(count, generator)
    canvas = ground[:, :, None, None] + _texture(count, size, generator)[:, None]
    intensity = functional.pad(sources, (MARGIN,) * 4).float() / 255
    opacity = (intensity / OPAQUE_FROM).clamp(max=1)
    # Resampling the shade multiplied by the opacity keeps the black surroundings from darkening the object's rim.
    shade = opacity * (DARKEST_SHADE + (1 - DARKEST_SHADE) * intensity)
    left_top = _uniform(generator, 2, count) * (size - edges)
    across, down = (_paste_weights(corner, edges, size) for corner in left_top)
    layers = down[:, None] @ torch.stack((opacity, shade), 1) @ across[:, None].transpose(2, 3)
    opacity, shade = layers[:, :1], layers[:, 1:]
    scene = canvas * (1 - opacity) + tint[:, :, None, None] * shade
    return (scene * 255).round().clamp(0, 255).to(torch.uint8)


def _paste_weights(corner: Tensor, edges: Tensor, size: int) -> Tensor:
    """Weights that resample one axis of an object with its margin onto the canvas: float32 [N, size, 28 + 2 MARGIN].

    The kernel is a triangle, one source pixel wide when enlarging (bilinear) and one canvas pixel wide when shrinking
    (antialiased). It reaches into the empty margin, which blends the object's border softly. ``corner`` [N] is where
    the objects start on the canvas, in px.
    """
    step = (EDGE / edges)[:, None, None]  # source pixels per canvas pixel
    position = (torch.arange(size)[:, None] + 0.5 - corner[:, None, None]) * step - 0.5
    width = step.clamp(min=1)
    weights = (1 - (position - torch.arange(-MARGIN, EDGE + MARGIN)).abs() / width).clamp(min=0)
    # Without normalisation a shrunken object would show ripples; the lower limit serves pixels far from the object.
    return weights / weights.sum(2, keepdim=True).clamp(min=1e-6)


def _colours(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Canvas colours and object tints: float32 [N, 3] each.

    Brightness always differs by some minimum, with either side the brighter one, so that objects stay visible.
    """
    contrast = _uniform(generator, count, low=CONTRAST[0], high=CONTRAST[1])
    is_light = torch.rand(count, generator=generator) < 0.5
    dark = _uniform(generator, count, low=0.1, high=1) * (0.9 - contrast)
    light = dark + contrast
    ground = torch.where(is_light, dark, light)
    tint = torch.where(is_light, light, dark)
    chroma = CHROMA * torch.randn(2, count, 3, generator=generator)
    chroma -= chroma.mean(2, keepdim=True)
    return ground[:, None] + chroma[0], tint[:, None] + chroma[1]


def _texture(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Octaves of smooth noise, plus a grating, around zero: float32 [N, size, size]."""
    roughness = _uniform(generator, count, 1, 1)
    noise = torch.zeros(count, size, size)
    variance = torch.zeros(count, 1, 1)
    for octave, wavelength in enumerate(NOISE_WAVELENGTHS):
        knots = size // wavelength + 2
        position = (torch.arange(size) + 0.5) / wavelength
        distance = (position[:, None] - torch.arange(knots)).abs().clamp(max=1)
        weights = (1 + torch.cos(math.pi * distance)) / 2  # smoother than linear, so that no grid of knots shows
        amplitude = roughness**octave
        noise += amplitude * (weights @ torch.randn(count, knots, knots, generator=generator) @ weights.T)
        variance += amplitude**2
    noise *= _uniform(generator, count, 1, 1, low=TEXTURE_CONTRAST[0], high=TEXTURE_CONTRAST[1]) / variance.sqrt()

    angle, phase = _uniform(generator, 2, count, 1, 1, high=2 * math.pi)
    shortest, longest = GRATING_WAVELENGTH
    frequency = 2 * math.pi / shortest * (shortest / longest) ** _uniform(generator, count, 1, 1)
    pixels = torch.arange(size)
    wave = frequency * (torch.cos(angle) * pixels + torch.sin(angle) * pixels[:, None]) + phase
    # Squared, so that most gratings are faint.
    grating = GRATING_CONTRAST * _uniform(generator, count, 1, 1) ** 2 * torch.sin(wave)
    return noise + grating
