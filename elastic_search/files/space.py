"""Space files: what varies, the band that all proposals meet, and the proxy that ranks them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import elastic_search
from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS
from elastic_search.errors import ElasticError, FileError, SpecError, UnknownNameError, UsageError
from elastic_search.files import toml
from elastic_search.files.schema import validated
from elastic_search.files.space_schema import SpaceModel, space_mistakes
from elastic_search.recipes import About, Data, Proxy, Training, recipe_dict, recipe_from
from elastic_search.recipes.scenes import scenes_about
from elastic_search.space.band import Band, Limit, around
from elastic_search.space.choice import Space
from elastic_search.space.depths import scaled
from elastic_search.space.match import Candidate, Matcher
from elastic_search.space.parts import Quantity
from elastic_search.space.work import MAX_ROWS, Watch, unwatched

TAKE_NETWORKS = "flops, compare, diff, draw and match take networks"

MAX_BLOCKS = 5_000_000
"""Most blocks in all the options for a stage together."""


@dataclass(frozen=True)
class SearchSpace:
    """A space file: the space, the band that all proposals meet, and the proxy that ranks them.

    Attributes:
        name: name of the file without its extension.
        text: content of the file; where it inherits, with what it inherited, so that it means the same for ever.
        base_name: the published network whose cost is matched.
        space: what varies.
        band: allowed costs of the full network, at its target input size.
        proxy: the edit that makes a proxy.
        training: how the proxy is trained.
        limits: bounds besides the band: on parameters, and on the cost at other input sizes.
        data: where images of the user's own are; None for the embedded scenes.
        about: what these images are, once they have been looked at (``on``).
        watch: is told what a count is doing and which share of it is done.
        most_rows: bounds the memory of a count; see ``space.work``.
    """

    name: str
    text: str
    base_name: str
    space: Space
    band: Band
    proxy: Proxy
    training: Training
    limits: tuple[Limit, ...] = ()
    data: Data | None = None
    about: About | None = None
    watch: Watch = field(default=unwatched, repr=False, compare=False)
    most_rows: int = field(default=MAX_ROWS, repr=False, compare=False)

    @property
    def recipe(self) -> dict[str, Any]:
        """Proxy and training as plain JSON, with the keys of the ``[proxy]`` table."""
        return recipe_dict(self.proxy, self.training)

    @property
    def images(self) -> About:
        """What proxies are trained on.

        Raises:
            UsageError: if they are the user's own, and have not been looked at.
        """
        if self.data is None:
            return scenes_about(self.training, self.proxy.input)
        if self.about is None:
            raise UsageError(f"{self.data.path}: its images have not been read", "use SearchSpace.on(about)")
        return self.about

    def on(self, data: Data, about: About) -> SearchSpace:
        """The same space for other images: the target has their classes and channels, unless the file gives classes.

        The band's input follows them too, where all of them are squares of one size and the file gives no input.

        Args:
            data: where they are.
            about: what was found there.
        """
        found = _made(read_model(self.text, self.name), self.text, self.name, self.name, about)
        return replace(found, data=data, about=about, watch=self.watch, most_rows=self.most_rows)

    def proxy_of(self, spec: Spec) -> Spec:
        """The network that is trained in place of ``spec``, for the classes and channels of the images."""
        return self.proxy.of(spec, len(self.images.classes), self.images.channels)

    @cached_property
    def matcher(self) -> Matcher:
        """All networks of the space with their exact costs."""
        return Matcher(self.space, self.band.convention, self.band.input, self.limits, self.watch, self.most_rows)

    @cached_property
    def scaled_base(self) -> Spec | None:
        """The base scaled to the band, to compare with where the base's own cost is not in it.

        None where it is, and where a change of one block is too large to bring the base nearer.
        """
        base, band = self.space.base, self.band
        if tally(base.graph(), band.input, band.convention).total in band:
            return None
        return found if (found := scaled(base, band)) != base else None

    def at(self, target: int | None = None, tolerance: Fraction | None = None) -> SearchSpace:
        """The same space with another band; None keeps what the file says.

        Args:
            target: new target, in the band's unit. Limits at other inputs move with it, those on parameters stay.
            tolerance: allowed distance from the target, as a share of it.
        """
        band, limits = self.band, self.limits
        if target is not None:
            factor = Fraction(target, band.target)
            limits = tuple(one if one.convention is None else one.moved(factor) for one in limits)
            band = replace(band, target=target)
        if tolerance is not None:
            band = replace(band, tolerance=tolerance)
        return replace(self, band=band, limits=limits)

    def count(self) -> int:
        """The exact number of distinct networks in the band."""
        return self.matcher.count(self.band.low, self.band.high)

    def sample(self, number: int, seed: int = 0, measure: str = "uniform") -> list[Candidate]:
        """Independent draws from the band; see ``Matcher.sample``.

        Raises:
            NothingFitsError: if the band is empty; names the nearest costs below and above.
        """
        return self.matcher.sample(self.band, number, seed, measure)

    def why_not(self, spec: Spec) -> list[str]:
        """Why a network is not in the space or its band; [] if it is in both."""
        band = self.band
        cost, reasons = tally(spec.graph(), band.input, band.convention).total, self.space.why_not(spec)
        if cost not in band:
            reasons.append(f"it costs {cost:,} ({band.change(cost):+.3%}), outside {band}")
        return reasons + [
            f"it has {limit.amount(spec):,}, outside {limit}" for limit in self.limits if not limit.holds(spec)
        ]


def shipped_spaces() -> dict[str, Path]:
    """Files of the spaces that come with the package, by name."""
    package = Path(elastic_search.__file__).parent
    # In a wheel the folder is inside the package, in a checkout next to it.
    folder = next((f for f in (package / "search_spaces", package.parent / "search_spaces") if f.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.toml"))} if folder else {}


def load_space(name: str | Path) -> SearchSpace:
    """Load a space with its band, by the name of a shipped one or by path.

    ``load_space("resnext50").count()`` is the number of its networks that cost as much as ResNeXt-50.

    Raises:
        UnknownNameError: if there is no shipped space with that name.
        UsageError: if it is the name of a published network.
        FileError: if there are mistakes; names the file and all of them.
    """
    name = str(name)
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
    else:
        shipped = shipped_spaces()
        if name not in shipped and name in PUBLISHED:
            raise UsageError(f"{name!r} is a network, not a space", f"spaces: {', '.join(shipped)}; {TAKE_NETWORKS}")
        if name not in shipped:
            raise UnknownNameError("space", name, list(shipped), "(or give a path that ends in .toml)")
        path = shipped[name]
    return parse_space(toml.read(path), path.stem, str(path))


def inherited(data: dict[str, Any], path: str) -> dict[str, Any]:
    """A space file's data on top of those of the shipped space that it inherits from; tables are merged key by key.

    Raises:
        FileError: if there is no such shipped space.
    """
    if "inherit" not in data:
        return data
    name, shipped = data["inherit"], shipped_spaces()
    if not isinstance(name, str) or name not in shipped:
        raise FileError(f"{path}: inherit: {str(name)[:60]!r} is not a shipped space", f"legal: {', '.join(shipped)}")
    below = inherited(toml.parse(toml.read(shipped[name]), str(shipped[name])), str(shipped[name]))
    for key, value in data.items():
        merged = isinstance(value, dict) and isinstance(below.get(key), dict)
        below[key] = {**below[key], **value} if merged else value
    del below["inherit"]
    return below


def read_model(text: str, path: str) -> SpaceModel:
    """The checked values of a space file, with those that it inherits; ``path`` is for messages."""
    return _read(text, path)[0]


def _read(text: str, path: str) -> tuple[SpaceModel, str]:
    """The checked values of a space file, and its text with what it inherits."""
    data = toml.parse(text, path)
    if {"family", "stages"} <= set(data) and "base" not in data:
        raise FileError(f"{path}: a network, not a space", TAKE_NETWORKS)
    whole = inherited(data, path)
    model = validated(whole, path, SpaceModel, space_mistakes(whole))
    return model, text if whole is data else toml.document(whole)


def parse_space(text: str, name: str, path: str) -> SearchSpace:
    """A space from the text of a file; ``path`` is for messages."""
    model, text = _read(text, path)
    return _made(model, text, name, path)


def _made(model: SpaceModel, text: str, name: str, path: str, about: About | None = None) -> SearchSpace:
    """The space of checked values, for the images that ``about`` describes."""
    base, input = _targeted(model, about)
    per = model.splits.per
    names = [base.stage_name(i) for i in range(len(base.stages))]
    depths = tuple(tuple(model.depths[stage]) for stage in names)
    splits = tuple(dict.fromkeys(map(parse_split, model.splits.choices)))
    kinds = tuple(dict.fromkeys(model.resampling.choices))
    convention = CONVENTIONS[model.band.convention]
    own = tally(base.graph(), input, convention).total
    chosen = model.widths or {}
    complete = (tuple(chosen.get(n, (of.width,))) for n, of in zip(names, base.stages, strict=True))
    widths = tuple(complete) if chosen else ()
    cardinality = tuple(dict.fromkeys(model.cardinality.choices)) if model.cardinality else ()
    each = len(kinds) * max(1, len(cardinality)) * (1 if per == "block" else len(splits))
    try:
        for i, stage in enumerate(names):
            if each * len(widths[i] if widths else (1,)) * sum(map(base.blocks, depths[i])) > MAX_BLOCKS:
                raise SpecError(
                    f"{stage}: its options have more than {MAX_BLOCKS:,} blocks in total",
                    'use fewer depths, widths or splits, or let every block choose: per = "block"',
                )
        space = Space(base, depths, splits, kinds, per, widths, cardinality)
        _ = space.arms  # builds every option, and so checks them
    except ElasticError as error:
        raise FileError(f"{path}: {error.message}", error.hint) from None
    band = Band(own, model.band.tolerance, convention, input)
    limits = []
    if model.band.params is not None:
        limits.append(around(base.graph().params, model.band.params, Quantity(None, band.input)))
    for other in dict.fromkeys(model.band.inputs):
        size = other._replace(channels=base.in_channels)
        if size != band.input:
            cost = tally(base.graph(), size, convention).total
            limits.append(around(cost, band.tolerance, Quantity(convention, size)))
    found = SearchSpace(name, text, model.base, space, band, *recipe_from(dict(model.proxy)), tuple(limits),
                        None if model.data is None else Data(**dict(model.data)))  # fmt: skip
    return found.at(model.band.target)


def _targeted(model: SpaceModel, about: About | None) -> tuple[Spec, Shape]:
    """The base with the classes and channels of the images, and the input at which networks are counted."""
    base, input = published(model.base), model.band.input
    if model.band.classes is not None:
        base = base.with_classes(model.band.classes)
    if about is None:
        return base, input
    if model.band.classes is None:
        base = base.with_classes(len(about.classes))
    if about.edge is not None and "input" not in model.band.model_fields_set:
        input = Shape(about.channels, about.edge, about.edge)
    return replace(base, in_channels=about.channels), input._replace(channels=about.channels)
