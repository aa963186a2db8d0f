"""Options that commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fractions import Fraction

    from elastic_search.arch.network import Network
    from elastic_search.arch.ops import Shape
    from elastic_search.arch.spec import Spec
    from elastic_search.arch.split import Split

Command = TypeVar("Command", bound=Callable[..., Any])

CONVENTIONS = ["macs", "fvcore", "torch", "ptflops", "ptflops-aten", "thop", "torchinfo", "authors"]
DTYPES = ["fp32", "bf16", "fp16"]
DEVICES = ["auto", "cuda", "mps", "cpu"]


def dtype_option(help: str) -> Callable[[Command], Command]:
    """The dtype of what a count is of; legal are the names of ``cost.memory.DTYPES``."""
    return click.option("--dtype", type=click.Choice(DTYPES), default=DTYPES[0], show_default=True, help=help)


def device_option(help: str | None = None) -> Callable[[Command], Command]:
    """The device that works; see ``train.device.choose_device``."""
    return click.option("--device", type=click.Choice(DEVICES), default=DEVICES[0], show_default=True, help=help)


class Written(click.ParamType):  # type: ignore[type-arg]
    """A value as people write it."""

    def read(self, text: str) -> Any:
        """The value of a text.

        Raises:
            ValueError: saying what to write.
        """
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Size(Written):
    """An input size: one edge of a square, or height x width; returns (height, width)."""

    name = "H or HxW"

    def read(self, text: str) -> tuple[int, int]:
        from elastic_search.arch.written import parse_size

        _, height, width = parse_size(text)
        return height, width


class Images(Written):
    """One or several input sizes: ``224``, ``193x257``, ``3x224x224``, ``96,224,448``; returns shapes."""

    name = "SIZE[,SIZE…]"

    def read(self, text: str) -> tuple[Shape, ...]:
        from elastic_search.arch.written import parse_size

        return tuple(dict.fromkeys(parse_size(part.strip(), channels=True) for part in text.split(",")))


class Amount(Written):
    """A number of operations or parameters: ``4300000000``, ``4.3e9``, ``4.3G``, ``25M``; returns an int."""

    name = "NUMBER"

    def read(self, text: str) -> int:
        from elastic_search.arch.written import parse_amount

        return parse_amount(text)


class Amounts(Written):
    """Several distinct amounts: ``2G,3G,4.26G``; returns ints, the smallest first."""

    name = "NUMBER[,NUMBER…]"

    def read(self, text: str) -> tuple[int, ...]:
        from elastic_search.arch.written import parse_amount

        amounts = sorted(set(map(parse_amount, text.split(","))))
        if amounts[0] < 1:
            raise ValueError(f"{text!r}: a target is above 0")
        return tuple(amounts)


class Percent(Written):
    """A share: ``1%`` or ``0.01``; returns an exact Fraction."""

    name = "percent"

    def read(self, text: str) -> Fraction:
        from elastic_search.arch.written import parse_percent

        return parse_percent(text)


class Depths(Written):
    """Blocks per stage: ``6,8,5,3``."""

    name = "D1,D2,…"

    def read(self, text: str) -> tuple[int, ...]:
        from elastic_search.arch.written import is_number

        parts = [part.strip() for part in text.split(",")]
        if not all(is_number(part) and 1 <= int(part) <= 1024 for part in parts):
            raise ValueError(f"{text!r} are not depths: write 6,8,5,3 (1 to 1024 blocks a stage)")
        return tuple(map(int, parts))


def input_option(command: Command) -> Command:
    """--input, as (height, width) in ``size``."""
    return click.option("--input", "size", type=Size(), default="224", show_default=True, help="Input size in pixels.")(
        command
    )


def images_option(command: Command) -> Command:
    """--input, as shapes in ``inputs``."""
    return click.option(
        "--input",
        "inputs",
        type=Images(),
        default="224",
        show_default=True,
        help="Input size in pixels; several: 96,224.",
    )(command)


def convention_option(*more: str) -> Callable[[Command], Command]:
    """--convention, by name, or one of ``more``."""
    return click.option(
        "--convention",
        type=click.Choice([*CONVENTIONS, *more]),
        default="fvcore",
        show_default=True,
        help="Whose counting rules; macs are always shown beside.",
    )


def format_options(command: Command) -> Command:
    """--format and --json; the command receives ``fmt``."""
    choice = click.option(
        "--format",
        "fmt",
        type=click.Choice(["table", "json", "csv", "markdown", "latex"]),
        default="table",
        show_default=True,
        help="csv and json hold plain integers.",
    )
    short = click.option("--json", "fmt", flag_value="json", help="Short for --format json.")
    return choice(short(command))


def edit_options(command: Command) -> Command:
    """--split, --down and --up."""
    split = click.option(
        "--split", metavar="SPLIT", help="Branches of every block that may scale, as in 1/2,1/2 or 1/2@1,1/2@1/2."
    )
    down = click.option("--down", type=click.Choice(["avgpool", "trained"]), help="Down-sampling of low branches.")
    up = click.option(
        "--up", type=click.Choice(["bilinear", "nearest", "trained"]), help="Up-sampling of low branches."
    )
    return split(down(up(command)))


def load_graph(name: str, size: tuple[int, ...]) -> Network:
    """Whatever NAME means: a published network, a spec file, or ``package.module:factory`` read at ``size``,
    which is (height, width) or (channels, height, width).

    The last imports and so runs the user's code.
    """
    from elastic_search.arch.network import Network

    if ":" in name and not name.endswith(".toml"):
        from elastic_search.cli.extras import require

        require("torch")
        from elastic_search.arch.ops import Shape, image
        from elastic_search.nn.trace.factory import load_module
        from elastic_search.nn.trace.tracing import own_layers, trace

        shape = image(*size) if len(size) == 2 else Shape(*size)
        module = load_module(name)
        return Network(name, trace(module, shape), module=module, own_layers=own_layers(module))
    label, spec = load_network(name)
    return Network(label, spec.graph(), spec)


def load_network(name: str) -> tuple[str, Spec]:
    """A published network by name, or a spec file: its label and spec."""
    if name.endswith(".toml") or "/" in name:
        from elastic_search.files import load_spec

        return name, load_spec(name)
    from elastic_search.arch.zoo import published

    return name, published(name)


def read_split(text: str, down: str | None, up: str | None) -> Split:
    """The split that --split, --down and --up ask for.

    Raises:
        SplitError: if it is malformed, or its types do not go together.
        UsageError: if a resampling is asked for that no branch would have.
    """
    from elastic_search.arch.split import parse_split, resampling_pair
    from elastic_search.errors import UsageError

    split = parse_split(text, *resampling_pair(down, up))
    if (down or up) and not split.scales_down:
        raise UsageError(
            f"--down and --up need branches below the block's resolution; {split} has none",
            "leave them out, or write one, as in 1/2@1,1/2@1/2",
        )
    return split


def edited(
    spec: Spec, split: str | None, down: str | None, up: str | None, depths: tuple[int, ...] | None = None
) -> Spec:
    """The spec with the edits that options ask for.

    Raises:
        UsageError: if a resampling is asked for where no block has a low branch.
    """
    from elastic_search.arch.edit import elastic, with_resampling
    from elastic_search.errors import UsageError

    if depths is not None:
        spec = spec.with_depths(depths)
    if split is not None:
        return elastic(spec, read_split(split, down, up))
    if down or up:
        if not spec.elastic_blocks:
            raise UsageError("--down and --up need branches below the block's resolution", "add --split 1/2,1/2")
        return with_resampling(spec, down, up)
    return spec
