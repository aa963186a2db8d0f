"""Damaged and hostile space files: a space, or a message with exit code 2; soon, and without filling the memory."""

import resource
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elastic_search.cost.tally import tally
from elastic_search.errors import ElasticError, FileError
from elastic_search.files import load_spec, parse_space, shipped_spaces
from tests.staging import SPACE, damaged

SHIPPED = {name: path.read_text() for name, path in shipped_spaces().items()}
SECONDS, MEGABYTES = 2.0, 500
"""What reading a file may take."""

VALUES = st.sampled_from(
    ("0", "1", "-1", "1024", "65536", "65537", "9" * 30, "1e400", "nan", "-inf", "true", '""', '"1..1024"', '"9..1"',
     '"1..99999999999999"', "[]", "{}", "[[1]]", "[1, 'a']", "[1, 2, 3]", "[1024]", '"1/3,2/3"', '"1/0,1"', '["1@1/2"]',
     '["1/2,1/2", "1/4,3/4"]', '["1/2@1,1/2@1~9999999"]', '"block"', '"network"', '"resnext101"', '"dla_x60"',
     '"densenet201"', '"demo"', '"0%"', '"100%"', '"101%"', '"1x1"', '"4096x4096"', '"0x5"', "1979-05-27", "0x10",
     '["trained+trained"]', '["avgpool+bilinear", "trained+nearest"]', "[32, 64, 65536]", "3", '"thop"', "'''x'''")
)  # fmt: skip


TABLES = st.tuples(
    st.sampled_from(("widths", "cardinality", "band", "proxy", "depths", "resampling", "x")).map("[{}]".format),
    st.builds(
        "{} = {}".format,
        st.sampled_from(("layer1", "layer4", "choices", "level3", "block2", "params", "inputs", "input")),
        VALUES,
    ),
)


@st.composite
def spaces(draw) -> str:
    """A shipped space after one to four edits."""
    return damaged(draw, SHIPPED[draw(st.sampled_from(sorted(SHIPPED)))], VALUES, 4, TABLES)


def memory():
    """The most megabytes that this process ever held."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def space_or_message(text):
    """Read a space; None if it is refused as it must be."""
    began, held = time.process_time(), memory()
    try:
        plan = parse_space(text, "damaged", "damaged.toml")
    except ElasticError as error:
        assert error.exit_code == 2
        assert str(error).startswith("damaged.toml: ")
        assert len(str(error)) < 50_000
        plan = None
    assert time.process_time() - began < SECONDS
    assert memory() - held < MEGABYTES
    return plan


def right_or_refused(text):
    plan = space_or_message(text)
    if plan is None:
        return
    # What was read is a space: its first and its last network are networks, and are written and read alike.
    for at in (0, -1):
        values = {choice.name: choice.values[at] for choice in plan.space.choices}
        spec = plan.space.decode(values)
        if sum(len(stage.splits) for stage in spec.stages) < 200:
            assert tally(spec.graph(), plan.band.input, plan.band.convention).total > 0


QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(spaces())
def test_100_damaged_space_files_are_read_right_or_refused(text):
    right_or_refused(text)


@pytest.mark.full
@settings(QUICK, max_examples=1000)
@given(spaces())
def test_1000_damaged_space_files_are_read_right_or_refused(text):
    right_or_refused(text)


def listed(values):
    return str(list(values)).replace("'", '"')


SHARES = [f"{a}/32{scale},{32 - a}/32" for a in range(1, 32) for scale in ("", "@1/2", "@1/4", "@1/8", "@1/16")]
ONE_DEEP = SPACE.replace('"3..5"', '"1..1000"')
STAGE = "[[stages]]\nwidth = 64\ndepth = {}\n"
HOSTILE = {
    "every split at every depth": ONE_DEEP.replace('["1", "1/2,1/2"]', listed(SHARES)),
    "a thousand and more depths": SPACE.replace('"3..5"', '"1..1024"'),
    "more depths than numbers": SPACE.replace('"3..5"', '"1..' + "9" * 4000 + '"'),
    "digits": SPACE.replace('"3..5"', '"' + "9" * 5000 + ".." + "9" * 5000 + '"'),
    "widths": SPACE + f"[widths]\nlayer1 = {listed(range(32, 65536, 32))}\n",
    "one width too many paths": SPACE + "[cardinality]\nchoices = [65536]\n",
    "odd cardinality": SPACE + "[cardinality]\nchoices = [31]\n",
    "trees of a thousand levels": 'schema = 1\ninherit = "dla_x60"\n[depths]\nlevel2 = "1..1000"\n',
    "dotted key": "a." * 50_000 + "b = 1",
    "dotted key of quotes": '"a".' * 30_000 + "b = 1",
    "dotted key inside": "x = {" + "a . " * 30_000 + "b = 1}",
    "dotted table": "[a" + ".a" * 50_000 + "]\nb = 1",
    "nested lists": "a = " + "[" * 100_000,
    "nested tables": "a = " + "{b=" * 50_000,
    "twenty thousand keys": SPACE + "".join(f"k{i} = 1\n" for i in range(20_000)),
    "twenty thousand tables": "".join(f"[t{i}]\n" for i in range(20_000)),
    "a long key": "k" * 200_000 + " = 1\n" + SPACE,
    "a long base": SPACE.replace("resnext50", "r" * 200_000),
    "a long split": SPACE.replace('"1/2,1/2"', '"' + ",".join(["1/32"] * 20_000) + '"'),
    "a long share": SPACE + '[band]\ntolerance = "0.' + "9" * 100_000 + '"\n',
    "a huge number": SPACE.replace("schema = 1", "schema = 1" + "0" * 100_000),
    "a huge exponent": SPACE.replace("schema = 1", "schema = 1e" + "9" * 1000),
    "an escape": SPACE.replace('"resnext50"', '"\\u001b[31m\\u0000"'),
    "itself": 'inherit = "damaged"\n',
    "a path": 'inherit = "../../etc/passwd"\n',
    "a list to inherit": 'inherit = ["demo"]\n',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_space_is_refused_soon(text):
    assert space_or_message(text) is None


@pytest.mark.parametrize(
    "text",
    (
        SPACE + "[widths]\nlayer1 = [65536]\nlayer4 = [65536]\n",
        SPACE.replace("[4, 6]", listed(range(1, 1000))),
        SPACE + '[band]\ninput = "4096x1"\ninputs = [4096, "1x4096"]\n',
        SPACE.replace("schema = 1", 'schema = 1\ndescription = "' + "a. " * 60_000 + '"'),
    ),
    ids=("widths", "depths", "inputs", "description"),
)
def test_large_space_is_read_soon(text):
    right_or_refused(text)
    assert space_or_message(text) is not None


@pytest.mark.parametrize("depth", (11, 1024))
def test_spec_of_a_tree_too_deep_is_refused_soon(tmp_path, depth):
    """2^1024 blocks would fill any memory."""
    path = tmp_path / "net.toml"
    path.write_text('schema = 1\nfamily = "dla"\n' + STAGE.format(depth))
    with pytest.raises(FileError, match=r"stages\[0\].depth: \d+: more than 1024 blocks"):
        load_spec(path)


def test_spec_of_sixteen_deep_stages_is_read_soon(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text('schema = 1\nfamily = "resnext"\n' + STAGE.format(1024) * 16)
    began = time.process_time()
    assert load_spec(path).depths == (1024,) * 16
    path.write_text('schema = 1\nfamily = "resnext"\n' + STAGE.format(1) * 17)
    with pytest.raises(FileError, match="stages"):
        load_spec(path)
    assert time.process_time() - began < SECONDS


def test_space_file_larger_than_its_limit_is_refused(tmp_path):
    from elastic_search.files import load_space

    path = tmp_path / "big.toml"
    path.write_text(SPACE + "#" * (256 * 1024))
    with pytest.raises(FileError, match="larger than 256 KiB"):
        load_space(str(path))
