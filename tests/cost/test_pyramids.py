import csv
import json
import re
import subprocess
import sys
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elastic_search.arch import ops
from elastic_search.arch.split import parse_split
from elastic_search.cost.pyramids import METHODS, Layer, built, cost, graph, inputs, split_ratios, table1
from elastic_search.cost.tools import FVCORE, MACS, TORCH
from elastic_search.errors import SpecError, SplitError, UnknownNameError
from elastic_search.nn.tools import fvcore_counts
from elastic_search.nn.verify import empty_net
from tests.staging import on_a_terminal

HALVES = split_ratios(parse_split("1/2,1/2"))


def layer(n: int, c: int, k: int, split: str, out: int = 1) -> Layer:
    return Layer(n, c, k, split_ratios(parse_split(split)), out)


# Odd and even k, odd and even k·r, r from 1 to 4, with and without a branch at full resolution.
LAYERS = [
    layer(12, 24, 3, "1/2,1/2", out=5),
    layer(12, 24, 3, "1/2@1,1/4@1/2,1/4@1/3", out=2),
    layer(12, 12, 3, "1/3@1/2,1/6@1/3,1/2@1/4", out=3),
    layer(24, 12, 2, "1/2@1,1/4@1/3,1/4@1/4"),
    layer(8, 8, 5, "3/4@1,1/4@1/4", out=7),
    layer(6, 6, 1, "1/2@1/2,1/2@1/3", out=4),
    layer(4, 3, 3, "1", out=2),
]
IDS = [f"{x.n}x{x.c}k{x.k}r{'-'.join(str(r) for _, r in x.branches)}" for x in LAYERS]


# --- the formulas


def test_the_cells_of_table_1():
    x = Layer(n=56, c=256, k=3, branches=HALVES)
    plain, params = 56 * 56 * 256 * 9, 256 * 9
    assert {name: cost(name, x) for name in METHODS} == {
        "single_scale": (plain, params),
        "feature_pyramid_concat": (2 * plain, 2 * params),
        "feature_pyramid_add": (plain, params),
        # 3x3 on one half of the channels and 6x6 on the other.
        "filter_pyramid_standard": (56 * 56 * 128 * (9 + 36), 128 * (9 + 36)),
        "filter_pyramid_dilated": (plain, params),
        # One half at 56x56 and the other at 28x28.
        "elastic": ((56 * 56 + 28 * 28) * 128 * 9, params),
    }


def test_fractions_are_exact():
    found = cost("elastic", Layer(43, 1, 1, ((Fraction(1), Fraction(2)),)))
    assert found.flops == Fraction(1849, 4)
    odd = cost("filter_pyramid_standard", Layer(2, 1, 1, ((Fraction(1), Fraction(3, 2)),)))
    assert (odd.flops, odd.params) == (9, Fraction(9, 4))


@pytest.mark.parametrize("name", METHODS)
def test_output_channels_multiply_a_row(name):
    one, many = (cost(name, Layer(10, 6, 3, HALVES, out)) for out in (1, 7))
    assert (many.flops, many.params) == (7 * one.flops, 7 * one.params)


# --- the paper's claim


@st.composite
def layers(draw) -> Layer:
    """Any sizes with any fractions b and r that Table 1 allows."""
    weights = draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))
    ratios = st.one_of(st.just(Fraction(1)), st.fractions(1, 20, max_denominator=30))
    branches = tuple((Fraction(sum(weights), weight), draw(ratios)) for weight in weights)
    length = st.integers(1, 300)
    return Layer(draw(length), draw(length), draw(st.integers(1, 11)), branches, draw(length))


@given(layers())
def test_elastic_costs_at_most_a_single_scale_and_pyramids_at_least_that(x):
    rows = {name: cost(name, x) for name in METHODS}
    single, elastic = rows.pop("single_scale"), rows.pop("elastic")
    assert 0 < elastic.flops <= single.flops
    assert elastic.params == single.params
    for row in rows.values():
        assert row.flops >= single.flops
        assert row.params >= single.params
    # Equal only where no branch changes its scale, or where there is one branch.
    scaled = any(r > 1 for _, r in x.branches)
    assert (elastic.flops < single.flops) == scaled
    assert (rows["filter_pyramid_standard"].flops > single.flops) == scaled
    assert (rows["feature_pyramid_concat"].flops > single.flops) == (x.q > 1)


# --- against real modules


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("x", LAYERS, ids=IDS)
def test_a_row_is_what_fvcore_counts_on_the_real_layer(name, x):
    net = empty_net(graph(name, x))
    images = tuple(torch.zeros(1, *shape) for shape in inputs(name, x))
    assert sum(image.shape[1] for image in images) == x.c
    operators, _ = fvcore_counts(net, *images)
    flops, params = cost(name, x)
    assert operators["conv"] == flops
    assert sum(p.numel() for p in net.parameters()) == params
    assert net(*images).shape == (1, x.out, x.n, x.n)
    assert built(name, x, MACS) == (flops, 0)
    assert built(name, x, TORCH) == (2 * flops, 0)
    real = built(name, x, FVCORE)
    assert (real.conv, real.resampling) == (flops, operators.get("upsample_bilinear2d", 0))
    assert real.net == sum(operators.values())


@pytest.mark.parametrize("name", METHODS)
def test_a_size_that_r_does_not_divide_is_padded(name):
    x = layer(7, 8, 3, "1/2@1/2,1/2@1/4", out=3)
    images = tuple(torch.zeros(1, *shape) for shape in inputs(name, x))
    net = empty_net(graph(name, x))
    assert net(*images).shape == (1, 3, 7, 7)
    operators, _ = fvcore_counts(net, *images)
    real = built(name, x)
    assert (real.conv, real.net) == (operators["conv"], sum(operators.values()))
    if name == "elastic":
        assert real.conv == (4 * 4 + 2 * 2) * 4 * 9 * 3  # the formula has (7/2)² and (7/4)²
        assert real.conv > cost(name, x).flops
    else:
        assert real.conv == cost(name, x).flops


def test_each_layer_is_of_its_kind():
    x = layer(12, 12, 3, "1/2@1/2,1/2@1/3")

    def convs(name: str) -> list[ops.Conv]:
        return [op for _, op in graph(name, x).walk() if isinstance(op, ops.Conv)]

    assert [(c.in_channels, c.kernel) for c in convs("filter_pyramid_standard")] == [(6, 6), (6, 9)]
    assert [(c.in_channels, c.kernel, c.dilation) for c in convs("filter_pyramid_dilated")] == [(6, 3, 2), (6, 3, 3)]
    assert [(c.in_channels, c.kernel, c.dilation) for c in convs("elastic")] == [(6, 3, 1), (6, 3, 1)]
    assert [c.in_channels for c in convs("feature_pyramid_concat")] == [24]
    assert [c.in_channels for c in convs("feature_pyramid_add")] == [12]


# --- the resampling


def test_resampling_can_eat_the_saving():
    # A bilinear element costs 4 and a low branch at 1/2 saves 3/8 · c · k² for it: more only from c · k² = 11 on.
    for channels, kernel, saves in ((10, 1, False), (12, 1, True), (2, 3, True), (2, 2, False)):
        for out in (1, 64):
            x = layer(8, channels, kernel, "1/2,1/2", out)
            rows = table1(x, FVCORE)
            assert rows[-1]["resampling"] == 4 * 8 * 8 * out
            assert rows[-1]["macs"] < rows[0]["macs"]
            assert (rows[-1]["net"] < rows[0]["net"]) is saves


def test_feature_pyramids_resample_maps_of_all_channels():
    x = layer(8, 16, 3, "1/2@1,1/4@1/2,1/4@1/4", out=2)
    assert built("feature_pyramid_concat", x).resampling == 2 * 4 * 8 * 8 * 16
    assert built("feature_pyramid_add", x).resampling == 2 * 4 * 8 * 8 * 16
    assert built("elastic", x).resampling == 2 * 4 * 8 * 8 * 2


# --- what is refused


@pytest.mark.parametrize("sizes", [(0, 4, 3, 1), (4, 0, 3, 1), (4, 4, -1, 1), (4, 4, 3, 0), (1 << 21, 4, 3, 1)])
def test_lengths_must_be_positive_and_sane(sizes):
    n, c, k, out = sizes
    with pytest.raises(SpecError, match="must be 1 to") as error:
        Layer(n, c, k, HALVES, out)
    assert error.value.hint


@pytest.mark.parametrize(
    ("branches", "problem"),
    [
        (((2, 1), (2, Fraction(1, 2))), "at least 1"),
        (((Fraction(1, 2), 1),), "at least 1"),
        (((2, 1), (3, 2)), "add up to 1"),
        ((), "add up to 1"),
    ],
)
def test_branches_must_be_table_1s(branches, problem):
    with pytest.raises(SplitError, match=problem):
        Layer(4, 4, 3, branches)


def test_a_layer_needs_whole_channels_and_factors():
    with pytest.raises(SplitError, match=r"share 1/3 of 4 channels is 1\.33"):
        graph("elastic", layer(4, 4, 3, "1/3@1,2/3@1/2"))
    with pytest.raises(SplitError, match="r = 3/2"):
        graph("filter_pyramid_dilated", Layer(4, 4, 3, ((1, Fraction(3, 2)),)))
    with pytest.raises(SplitError, match="dilation"):
        split_ratios(parse_split("1/2@1,1/2@1~2"))
    with pytest.raises(UnknownNameError) as error:
        cost("elastics", LAYERS[0])
    assert "elastic" in error.value.hint


# --- the command


def test_json_holds_the_formulas_exactly(command):
    args = ("--size", "43", "--channels", "6", "--out-channels", "1", "--split", "1/2@1,1/6@1/2,1/3@1/4")
    data = json.loads(command("pyramids", *args, "--json").stdout)
    x = layer(43, 6, 3, "1/2@1,1/6@1/2,1/3@1/4")
    assert (data["schema"], data["convention"], data["unit"]) == (2, "fvcore", "MACs")
    assert data["branches"] == [{"b": 2, "r": 1}, {"b": 6, "r": 2}, {"b": 3, "r": 4}]
    assert [row["method"] for row in data["methods"]] == list(METHODS)
    single = cost("single_scale", x)
    for row in data["methods"]:
        expected, real = cost(row["method"], x), built(row["method"], x)
        assert row["title"] == METHODS[row["method"]].title
        assert row["macs"] == float(expected.flops)
        assert isinstance(row["macs"], int) == (expected.flops.denominator == 1)
        assert row["macs_relative"] == float(expected.flops / single.flops)
        assert row["params"] == expected.params
        assert row["params_relative"] == float(Fraction(expected.params) / single.params)
        assert (row["conv"], row["resampling"], row["net"]) == (*real, real.net)
        assert row["net_relative"] == float(Fraction(real.net, single.flops.numerator))
    # 43² · 9 · (3 + 1/4 + 2/16)
    assert data["methods"][-1]["macs"] == 449307 / 8
    assert data["elastic_saves"] is True


def test_csv_is_exact_and_conventions_change_only_the_real_layer(command):
    def rows(convention: str) -> list[dict[str, str]]:
        args = ("--size", "3", "--channels", "2", "--kernel", "1", "--out-channels", "1", "--convention", convention)
        return list(csv.DictReader(command("pyramids", *args, "--format", "csv").stdout.splitlines()))

    fvcore, macs, torch_ = (rows(name)[-1] for name in ("fvcore", "macs", "torch"))
    assert fvcore["macs"] == macs["macs"] == torch_["macs"] == "11.25"
    assert (fvcore["conv"], fvcore["resampling"], fvcore["net"]) == ("13", "64", "77")
    assert (macs["conv"], macs["resampling"], macs["net"]) == ("13", "0", "13")
    assert (torch_["conv"], torch_["resampling"], torch_["net"]) == ("26", "0", "26")


def test_table_for_people(command):
    text = command("pyramids").stdout
    lines = {line.split("  ")[0]: line.split() for line in text.split("relative to single scale")[0].splitlines()}
    assert lines["Elastic"] == ["Elastic", "1.156", "0.590", "3.211", "1.159"]
    assert re.search(r"^Elastic +-37\.50% +\+0\.00% +-37\.33%$", text, re.M)
    assert "Elastic saves 37.50% of the multiply-adds, 37.33% net" in text
    assert "does not divide" not in text
    poor = command("pyramids", "--kernel", "1", "--channels", "8", "--size", "7").stdout
    assert "Elastic saves 37.50% of the multiply-adds, but net costs" in poor
    assert "some r does not divide 7" in poor
    assert "saves nothing" in command("pyramids", "--split", "1").stdout
    assert "| Elastic | 1.156 | -37.50% |" in command("pyramids", "--format", "markdown").stdout
    assert r"Elastic & 1.156 & $-$37.50\% &" in command("pyramids", "--format", "latex").stdout


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--size", "4096", "--channels", "4096", "--split", "1/2@1,1/4@1/3,1/4@1/16"),
        ("--convention", "torch", "--channels", "8", "--size", "7", "--out-channels", "1"),
    ],
)
def test_the_table_fits_a_terminal_of_80_columns(args):
    lines = on_a_terminal("pyramids", *args, TERM="dumb").splitlines()
    assert max(map(len, lines)) <= 80
    for method in METHODS.values():
        assert any(line.strip().startswith(method.title) for line in lines), method.title
    assert any("relative to single scale" in line for line in lines)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--split", "1/2@1,1/2@1/2~2"), "dilation"),
        (("--split", "1/3,1/3,1/3"), "share 1/3 of 256 channels"),
        (("--size", "0"), "size 0: must be 1 to"),
        (("--kernel", "-3"), "kernel -3: must be 1 to"),
        (("--out-channels", "0"), "out-channels 0: must be 1 to"),
        (("--split", "halves"), "cannot read branch"),
    ],
)
def test_bad_input_is_an_error_with_a_way_out(command, args, message):
    done = command("pyramids", *args, check=2)
    assert done.stdout == ""
    assert message in done.stderr
    assert "hint: " in done.stderr


def test_the_command_needs_no_torch_or_numpy():
    code = (
        "import sys; from elastic_search.cli.main import cli\n"
        "cli(['pyramids', '--json'], standalone_mode=False)\n"
        "sys.exit(str([name for name in ('torch', 'numpy', 'fvcore') if name in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == ""
    assert json.loads(done.stdout)["methods"]
