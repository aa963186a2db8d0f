"""What commands share: options, the networks and splits that they name, and checks for extras."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import click

from elastic_search.arch.ops import DTYPES
from elastic_search.arch.split import LEGAL_RESAMPLING
from elastic_search.arch.written import is_number, parse_amount, parse_inputs, parse_percent
from elastic_search.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from torch import nn

    from elastic_search.arch.network import Network
    from elastic_search.arch.ops import Shape
    from elastic_search.arch.spec import Spec
    from elastic_search.arch.split import Split

Command = TypeVar("Command", bound=Callable[..., Any])

DEVICES = ["auto", "cuda", "mps", "cpu"]
FORMATS = ["table", "json", "csv", "markdown", "latex"]


class Written(click.ParamType):  # type: ignore[type-arg]
    """A value as people write it; ``read`` raises a ValueError that says what to write."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name, self.read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


class OneOf(click.Choice[str]):
    """One of many names; the error for another lists the nearest alone.

    Args:
        names: all of them.
        what: they name.
    """

    def __init__(self, names: Iterable[str], what: str) -> None:
        super().__init__(list(names))
        self._what = what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            raise UnknownNameError(self._what, value, list(self.choices))
        return str(value)


def _amounts(text: str) -> tuple[int, ...]:
    amounts = sorted(set(map(parse_amount, text.split(","))))
    if amounts[0] < 1:
        raise ValueError(f"{text!r}: every target must be above 0")
    return tuple(amounts)


def _depths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(is_number(part) and 1 <= int(part) <= 1024 for part in parts):
        raise ValueError(f"{text!r} are not depths: write 6,8,5,3 (1 to 1024 blocks per stage)")
    return tuple(map(int, parts))


def _images(text: str) -> tuple[Shape, ...]:
    return tuple(dict.fromkeys(parse_inputs(part.strip()) for part in text.split(",")))


IMAGE = Written("SIZE", parse_inputs)
IMAGES = Written("SIZE[,SIZE…]", _images)
AMOUNT = Written("NUMBER", parse_amount)
AMOUNTS = Written("NUMBER[,NUMBER…]", _amounts)
PERCENT = Written("percent", parse_percent)
DEPTHS = Written("D1,D2,…", _depths)
"""Types of options: a shape; shapes; an int; distinct ints above 0, sorted; a Fraction; ints."""


def option(*names: str, **about: Any) -> Callable[[Command], Command]:
    """An option whose default, if it has one, is shown."""
    return click.option(*names, show_default="default" in about, **about)


def _completing(known: Callable[[click.Context], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    """Complete a name from those that are known, and files."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name) for name in known(ctx) if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]

    return complete


def _networks(ctx: click.Context) -> Iterable[str]:
    from elastic_search.arch.zoo import PUBLISHED

    return PUBLISHED


def _spaces(ctx: click.Context) -> Iterable[str]:
    from elastic_search.files.space import shipped_spaces

    return shipped_spaces()


def _runs(ctx: click.Context) -> Iterable[str]:
    from pathlib import Path

    root = Path(ctx.params.get("root") or "runs")
    return sorted(path.parent.name for path in root.glob("*/run.json"))


networks_complete, spaces_complete, runs_complete = map(_completing, (_networks, _spaces, _runs))
"""What the shell completes for an argument."""

image_option = option("--input", type=IMAGE, default="224", help="Input size in pixels, such as 193x257 or 13x32x32.")
seed_option = option("--seed", type=click.IntRange(0, 2**31), default=0, help="Random seed.")
dir_option = option("--dir", "root", default="runs", help="Folder that holds all runs.")


def device_option(help: str = "Device to run on.") -> Callable[[Command], Command]:
    """--device; see ``train.device.choose_device``."""
    return option("--device", type=click.Choice(DEVICES), default=DEVICES[0], help=help)


def dtype_option(help: str) -> Callable[[Command], Command]:
    """--dtype, by name."""
    return option("--dtype", type=click.Choice(list(DTYPES)), default="fp32", help=help)


def convention_option(*more: str) -> Callable[[Command], Command]:
    """--convention, by name, or one of ``more``."""
    from elastic_search.cost.tools import CONVENTIONS

    help = "Counting rules to use; macs are always shown too."
    return option("--convention", type=OneOf([*CONVENTIONS, *more], "convention"), default="fvcore", help=help)


def format_options(command: Command) -> Command:
    """--format and --json; the command receives ``fmt``."""
    help = "Output format; json and csv are for programs (docs/formats.md)."
    short = click.option("--json", "fmt", flag_value="json", help="Same as --format json.")
    return option("--format", "fmt", type=click.Choice(FORMATS), default="table", help=help)(short(command))


def edit_options(command: Command) -> Command:
    """--split, --down and --up."""
    split = "Branches of every block that can be split, such as 1/2,1/2 or 1/2@1,1/2@1/2."
    downs, ups = (click.Choice(list(dict.fromkeys(types))) for types in zip(*LEGAL_RESAMPLING, strict=True))
    down = click.option("--down", type=downs, help="How low branches are down-sampled.")
    up = click.option("--up", type=ups, help="How low branches are up-sampled.")
    return click.option("--split", metavar="SPLIT", help=split)(down(up(command)))


def require(*modules: str, extra: str = "search") -> None:
    """Check that modules of an extra are installed, without importing them.

    Raises:
        EnvironmentFault: for the first that is missing, with the command that installs it.
    """
    from importlib.util import find_spec

    from elastic_search.errors import missing_extra

    for module in modules:
        if find_spec(module) is None:
            raise missing_extra(module, extra)


def is_code(name: str) -> bool:
    """Whether a name is ``package.module:factory``, or ``timm:NAME`` or ``torchvision:NAME``."""
    named = name.startswith(("timm:", "torchvision:"))
    return named or (":" in name and "/" not in name and not name.endswith(".toml"))


def image_of(network: Network, input: Shape) -> Shape:
    """The image that a network takes; a spec's as ``image_of_spec`` says.

    Raises:
        UsageError: if further inputs are given, and the network is no module.
    """
    return input if network.spec is None else image_of_spec(network.label, network.spec, input)


def image_of_spec(label: str, spec: Spec, input: Shape) -> Shape:
    """The image that a spec takes: with its own channels, unless --input names them.

    Raises:
        UsageError: if further inputs are given.
    """
    if getattr(input, "more", ()):
        raise UsageError(f"{label} takes an image and nothing else", "leave out what follows the + in --input")
    return spec.image(input.height, input.width) if getattr(input, "own_channels", True) else input


def load_graph(name: str, size: tuple[int, ...]) -> Network:
    """The network that NAME means: a published one, a spec file, or ``package.module:factory``, traced at ``size``.

    A factory's module is imported, which runs the user's code.

    Args:
        name: as the user wrote it.
        size: (height, width) or (channels, height, width).
    """
    from elastic_search.arch.network import Network

    if is_code(name):
        require("torch")
        from elastic_search.arch.ops import image
        from elastic_search.nn.trace.tracing import network

        shape = image(*size) if len(size) == 2 else size
        return network(name, made(name), shape)
    label, spec = load_network(name)
    return Network(label, spec.graph(), spec)


def check_convention(convention: str, names: Iterable[str]) -> None:
    """Refuse the authors' counter for a module: it sees few classes of layers, and would say too little of others.

    Raises:
        UsageError: if one of the names is code.
    """
    code = [name for name in names if is_code(name)]
    if convention == "authors" and code:
        raise UsageError(
            f"--convention authors is for the paper's networks; of {code[0]} it would leave out what it does not know",
            "give another convention, such as fvcore, or all",
        )


@cache
def made(name: str) -> nn.Module:
    """The module that a factory makes; a command calls it once."""
    from elastic_search.nn.trace.factory import load_module

    return load_module(name)


def load_network(name: str) -> tuple[str, Spec]:
    """Label and spec of a published network, a spec file, or the best of a run's folder."""
    if name.endswith(".toml") or "/" in name:
        from pathlib import Path

        from elastic_search.files import load_spec

        path = Path(name)
        if path.is_dir():
            path /= "best.toml"
        if path.name == "best.toml" and not path.exists() and (path.parent / "run.json").exists():
            raise UsageError(
                f"{path}: no Elastic network of this run has been trained yet, so none is the best",
                f"go on with elastic-search search, with the run's space: {path.parent.name}",
            )
        return str(path) if Path(name).is_dir() else name, load_spec(path)
    from elastic_search.arch.zoo import PUBLISHED, published

    if name not in PUBLISHED:
        from elastic_search.files.space import shipped_spaces

        if name in shipped_spaces():
            raise UsageError(
                f"{name!r} is a space, not a network", "elastic-search search and elastic-search space take spaces"
            )
    return name, published(name)


def read_split(text: str, down: str | None, up: str | None) -> Split:
    """The split that --split, --down and --up ask for.

    Raises:
        SplitError: if it is malformed, or its types do not go together.
        UsageError: if no branch would use the resampling.
    """
    from elastic_search.arch.split import parse_split, resampling_pair

    split = parse_split(text, *resampling_pair(down, up))
    if (down or up) and not split.scales_down:
        raise UsageError(
            f"--down and --up need a branch below the block's resolution; {split} has none",
            "leave them out, or add one, such as 1/2@1,1/2@1/2",
        )
    return split


def edited(
    spec: Spec, split: str | None, down: str | None, up: str | None, depths: tuple[int, ...] | None = None
) -> Spec:
    """The spec with the edits that options ask for.

    Raises:
        UsageError: if a resampling is given and no block has a low branch.
    """
    from elastic_search.arch.edit import elastic, with_resampling

    if depths is not None:
        spec = spec.with_depths(depths)
    if split is not None:
        return elastic(spec, read_split(split, down, up))
    if down or up:
        if not spec.elastic_blocks:
            raise UsageError("--down and --up need a branch below the block's resolution", "add --split 1/2,1/2")
        return with_resampling(spec, down, up)
    return spec
