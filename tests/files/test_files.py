import tomllib
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic_search.arch.edit import elastic
from elastic_search.arch.split import TYPES, parse_split
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.errors import ElasticError, FileError, UnknownNameError, UsageError
from elastic_search.files import dump_spec, load_space, load_spec, parse_space, shipped_spaces
from elastic_search.files.meaning import differences
from elastic_search.recipes import Training
from tests.staging import SPACE
from tests.strategies import specs


@settings(max_examples=150, deadline=None)
@given(specs())
def test_spec_file_is_read_back_equal(tmp_path_factory, spec):
    path = tmp_path_factory.mktemp("spec") / "net.toml"
    path.write_text(dump_spec(spec, ("a comment",)))
    assert load_spec(path) == spec


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_spec_is_read_back_equal(tmp_path, name):
    path = tmp_path / "net.toml"
    path.write_text(dump_spec(published(name)))
    assert load_spec(path) == published(name)


def mistakes(tmp_path, text, load=load_spec):
    path = tmp_path / "file.toml"
    path.write_text(text)
    with pytest.raises(FileError) as error:
        load(str(path))
    assert error.value.exit_code == 2
    assert str(path) in str(error.value)
    return str(error.value)


def test_every_mistake_of_a_spec_is_named_at_once(tmp_path):
    text = """
schema = 2
family = "resmext"
cardinalty = 32
classes = 0
[[stages]]
width = "128"
depth = 3
split = "1/2,1/3"
[[stages]]
width = 256
"""
    message = mistakes(tmp_path, text)
    for expected in (
        "7 mistakes",
        "schema: 2; legal: 1",
        "family: 'resmext'; legal: 'resnext'",
        "cardinalty: unknown key; did you mean cardinality?",
        "classes: 0",
        "stages[0].width: '128'",
        "stages[0].split: split '1/2,1/3'",
        "stages[1].depth: missing",
    ):
        assert expected in message


def test_every_mistake_of_a_space_is_named_at_once(tmp_path):
    text = (
        SPACE.replace("layer1", "layer5").replace('"1/2,1/2"', '"1/3,2/3", "1/2@2,1/2"')
        + "[band]\ntolerance = 1\nconvention='flops'\n"
    )
    message = mistakes(tmp_path, text, load_space)
    assert "splits.choices[2]" in message
    assert "band.tolerance: write a share as text" in message
    assert "band.convention: 'flops'; legal: 'fvcore', 'macs', 'torch', 'ptflops'" in message
    assert "depths.layer5: unknown stage; legal: layer1, layer2, layer3, layer4" in message
    assert "depths.layer1: missing" in message
    assert "splits.choices[1]: share 1/3 of 32 paths is 10.67" in message


def test_stages_that_make_no_network_are_all_named(tmp_path):
    text = """
schema = 1
family = "resnext"
[[stages]]
width = 100
depth = 1
[[stages]]
width = 256
depth = 2
split = "1/3,2/3"
[[stages]]
width = 512
depth = 1
splits = ["1/2,1/2"]
"""
    message = mistakes(tmp_path, text)
    assert "3 mistakes" in message
    assert "stages[0]: width 100" in message
    assert "stages[1]: share 1/3 of 32 paths" in message
    assert "stages[2]: split" in message


@pytest.mark.parametrize(
    ("line", "says"),
    (
        ('optimizer = "adam"', "proxy.optimizer: 'adam'; legal: 'adamw', 'sgd' or 'muon'"),
        ('schedule = "linear"', "proxy.schedule: 'linear'; legal: 'triangular' or 'cosine'"),
        ('metric = "auc"', "proxy.metric: 'auc'; legal: 'accuracy', 'balanced_accuracy' or 'f1'"),
        ("momentum = 1", "proxy.momentum: 1"),
        ("label_smoothing = -0.1", "proxy.label_smoothing: -0.1"),
        ("ema = 1.0", "proxy.ema: 1.0"),
        ("shift = 1.5", "proxy.shift: 1.5"),
        ("shift = 32\ninput = 32", "shift 32: must be smaller than input, 32 px"),
        ("optimizer = 1", "proxy.optimizer: 1; legal"),
        ("smallest_object = 11", "proxy.smallest_object: 11"),
        ("smallest_object = 28\ninput = 32", "smallest_object 28: must be smaller than the largest object, 28 px"),
        ("val_images = 5", "val_images 5: must be at least 10, or 0 to rank on the test scenes"),
        ("val_images = -1", "proxy.val_images: -1"),
        ("pct_start = 1.5", "proxy.pct_start: 1.5"),
        ("pct_start = nan", "proxy.pct_start"),
        ("adamw_lr = 0", "proxy.adamw_lr: 0"),
        ("zero_init_last = 0", "proxy.zero_init_last: 0"),
        ("warm_up = 0.3", "proxy.warm_up: unknown key"),
    ),
)
def test_recipe_that_cannot_be_trained_is_refused_by_key(tmp_path, line, says):
    assert says in mistakes(tmp_path, SPACE + f"[proxy]\n{line}\n", load_space)


def test_recipe_of_a_file_reaches_the_training():
    text = 'optimizer = "muon"\nlearning_rate = 0.1\nadamw_lr = 0.02\npct_start = 0.25\nsmallest_object = 16\n'
    text += "zero_init_last = false\nval_images = 100\n"
    training = parse_space(SPACE + "[proxy]\n" + text, "mine", "mine.toml").training
    assert training == Training(
        optimizer="muon", learning_rate=0.1, adamw_lr=0.02, pct_start=0.25, smallest_object=16, zero_init_last=False,
        val_images=100,
    )  # fmt: skip


@pytest.mark.parametrize("name", shipped_spaces())
def test_shipped_spaces_rank_on_validation_scenes(name):
    assert parse_space(shipped_spaces()[name].read_text(), name, name).training.ranked_on == "val"


@pytest.mark.parametrize("width", ("inf", "nan", "0", "2", '"1e9999999"', '"1/0"', "true", '"x"', "-1"))
def test_proxy_width_is_a_fraction_up_to_one(tmp_path, width):
    message = mistakes(tmp_path, SPACE + f"[proxy]\nwidth = {width}\n", load_space)
    assert "proxy" in message


def test_scenes_that_fit_no_memory_are_refused(tmp_path):
    assert "pixels" in mistakes(tmp_path, SPACE + "[proxy]\ntrain_images = 1000000\ninput = 512\n", load_space)


def test_syntax_error_names_its_line(tmp_path):
    assert "line 3" in mistakes(tmp_path, "schema = 1\nfamily = 'resnext'\ncardinality = = 3\n")


@pytest.mark.parametrize(
    "text",
    (
        "",
        "[" * 5000,
        "a = " + "[" * 5000,
        "schema = 1\nfamily='resnext'\nstages = []",
        "schema = 1\nfamily='resnext'\nstages = 3",
        "schema = 1\nfamily='resnext'\n[stages]\nwidth=1",
        "schema = 1\nfamily='resnext'\n[[stages]]\nwidth=33\ndepth=1",
        "schema = 1\nfamily='resnext'\n[[stages]]\nwidth=32\ndepth=100000000",
        "schema = 1\nfamily='resnext'\n[[stages]]\nwidth=32\ndepth=1\nsplit='1/2,1/2'\nsplits=['1']",
        "schema = 1\nfamily='resnext'\n[[stages]]\nwidth=32\ndepth=2\nsplits=['1']",
        "schema = 1\nfamily='resnext'\n[[stages]]\nwidth=32\ndepth=1\nsplits=['1/2,1/2']",
        "schema = true\nfamily='resnext'\n[[stages]]\nwidth=true\ndepth=1.0",
        "x = 9" * 60_000,
        "schema = 9999999999999999999999999999999999999999999999",
        "schema = nan",
    ),
)
def test_malformed_spec_is_refused_with_a_message(tmp_path, text):
    mistakes(tmp_path, text)
    mistakes(tmp_path, text, load_space)


def test_unreadable_file_is_refused_with_a_message(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        load_spec(tmp_path / "missing.toml")
    with pytest.raises(FileError, match="directory"):
        load_spec(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="UTF-8"):
        load_spec(tmp_path / "binary.toml")


VALUES = ("0", "-1", "1.5", '""', '"x"', "[]", "{}", "true", "[[1]]", '"9..1"', '"1..99999999"', "[1, 'a']")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_files_are_read_or_refused_never_crash(data):
    """Lines of a good space are dropped, repeated or changed."""
    lines = SPACE.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        edit = data.draw(st.sampled_from(("drop", "repeat", "replace", "character")))
        if edit == "drop" and len(lines) > 1:
            del lines[at]
        elif edit == "repeat":
            lines.insert(at, lines[at])
        elif edit == "replace":
            lines[at] = lines[at].split("=")[0] + "= " + data.draw(st.sampled_from(VALUES))
        elif lines[at]:
            i = data.draw(st.integers(0, len(lines[at]) - 1))
            lines[at] = lines[at][:i] + data.draw(st.characters(codec="utf-8")) + lines[at][i + 1 :]
    try:
        parse_space("\n".join(lines), "mutated", "mutated.toml")
    except ElasticError as error:
        assert error.exit_code == 2


def test_a_space_may_hold_all_types_of_table_6():
    choices = "[resampling]\nchoices = " + str(list(TYPES)).replace("'", '"')
    space = parse_space(f"{SPACE}\n{choices}\n", "mine", "mine.toml").space
    assert tuple(arm.resampling for arm in space.arms if arm.resampling in TYPES) >= TYPES
    made = {str(s) for arm in space.arms for of in arm.stages for o in of for s in o.stage.splits}
    assert {"1/2@1,1/2@1/2", "1/2@1,1/2@1~2", "1/2@1,1/2@1~2ap"} <= made


def test_space_file_means_what_it_says():
    plan = parse_space(SPACE, "mine", "mine.toml")
    assert plan.space.depths == ((3, 4, 5), (4, 6), (6,), (3,))
    assert plan.band.target == 4_259_381_248
    assert plan.band.tolerance == Fraction(1, 100)
    assert plan.space.splits == (parse_split("1"), parse_split("1/2,1/2"))


@pytest.mark.parametrize(
    "name", ("demo", "resnext50", "resnext50_cpu", pytest.param("resnext50_blocks", marks=pytest.mark.slow))
)
def test_shipped_space_loads_by_bare_name_and_is_not_empty(name):
    assert name in shipped_spaces()
    plan = load_space(name)
    assert plan.count() > 10


def test_unknown_space_suggests_the_nearest():
    with pytest.raises(UnknownNameError) as error:
        load_space("resnex50")
    assert "did you mean resnext50" in error.value.hint


def test_proxy_keeps_depths_and_splits():
    plan = load_space("demo")
    spec = elastic(published("resnext50").with_depths((6, 8, 5, 3)), parse_split("1/4,3/4"))
    proxy = plan.proxy.of(spec)
    assert proxy.depths == spec.depths
    assert [stage.splits for stage in proxy.stages] == [stage.splits for stage in spec.stages]
    assert proxy.cardinality == spec.cardinality
    half = replace(plan.proxy, width=Fraction(1, 2)).of(spec)
    assert [stage.width for stage in half.stages] == [stage.width // 2 for stage in spec.stages]


def test_a_space_inherits_from_a_shipped_one_key_by_key():
    plan = parse_space(
        'schema = 1\ninherit = "demo"\n[splits]\nper = "block"\n[band]\nparams = "2%"\n', "mine", "mine.toml"
    )
    demo = load_space("demo")
    assert plan.space.splits_per == "block"
    assert (plan.space.splits, plan.space.depths, plan.recipe) == (demo.space.splits, demo.space.depths, demo.recipe)
    assert plan.band == demo.band
    assert [str(limit) for limit in plan.limits] == ["15,081,691 to 15,697,269 parameters"]


def test_text_of_a_space_holds_what_it_inherited():
    text = 'schema = 1\ninherit = "demo"\ndescription = "\\"a\\" \\u007f é"\n[band]\ninputs = [192, "160x96"]\n'
    plan = parse_space(text, "mine", "mine.toml")
    assert "inherit" not in plan.text
    assert not differences(text, plan.text, "mine.toml")
    again = parse_space(plan.text, "mine", "mine.toml")
    assert again.text == plan.text
    assert (again.space, again.band, again.limits, again.recipe) == (plan.space, plan.band, plan.limits, plan.recipe)
    assert tomllib.loads(plan.text)["description"] == '"a" \x7f é'


def test_an_unknown_space_to_inherit_from_is_refused(tmp_path):
    assert "inherit: 'nothing' is not a shipped space" in mistakes(tmp_path, 'inherit = "nothing"\n', load_space)


def test_widths_and_cardinality_are_choices(tmp_path):
    text = SPACE + "[widths]\nlayer1 = [64, 128]\n[cardinality]\nchoices = [16, 32]\n"
    space = parse_space(text, "mine", "mine.toml").space
    assert {choice.name for choice in space.choices} >= {"layer1.width", "layer2.width", "cardinality"}
    assert space.combinations == 4 * parse_space(SPACE, "mine", "mine.toml").space.combinations
    assert "not a multiple" in mistakes(tmp_path, text.replace("[64, 128]", "[65]"), load_space)


def test_space_counts_and_draws_in_its_band():
    space = parse_space(SPACE + '[band]\nparams = "20%"\n', "mine", "mine.toml")
    drawn = space.sample(5, seed=1)
    assert 0 < space.count() < space.matcher.size
    assert [one.spec for one in drawn] == [one.spec for one in space.sample(5, seed=1)]
    assert all(one.cost in space.band and not space.why_not(one.spec) for one in drawn)
    wide = space.at(tolerance=Fraction(1, 2))
    assert wide.count() > space.count()
    assert wide.limits == space.limits


def test_space_at_another_target_moves_the_bounds_on_costs_alone():
    space = parse_space(SPACE + '[band]\nparams = "20%"\ninputs = [96]\n', "mine", "mine.toml")
    moved = space.at(target=2 * space.band.target)
    assert moved.band.target == 2 * space.band.target
    assert moved.limits[0] == space.limits[0]
    assert (moved.limits[1].low, moved.limits[1].high) == (2 * space.limits[1].low, 2 * space.limits[1].high)
    assert space.at() == space


def test_why_not_names_what_keeps_a_network_out():
    space = parse_space(SPACE, "mine", "mine.toml")
    reasons = space.why_not(published("resnext101"))
    assert any("layer3.depth 23" in reason for reason in reasons)
    assert any("it costs" in reason for reason in reasons)


def test_spec_of_another_number_of_channels_is_read_back(tmp_path):
    spec = replace(published("resnext50"), in_channels=1)
    (tmp_path / "net.toml").write_text(dump_spec(spec))
    assert load_spec(tmp_path / "net.toml") == spec


def test_byte_order_mark_is_no_part_of_a_file(tmp_path):
    mark = b"\xef\xbb\xbf"
    (tmp_path / "space.toml").write_bytes(mark + SPACE.strip().encode())
    (tmp_path / "net.toml").write_bytes(mark + dump_spec(published("resnext50")).encode())
    assert load_space(tmp_path / "space.toml").base_name == "resnext50"
    assert load_spec(tmp_path / "net.toml") == published("resnext50")


def test_space_where_a_network_is_wanted_and_the_reverse_is_one_line(tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "net.toml").write_text(dump_spec(published("resnext50")))
    with pytest.raises(FileError) as found:
        load_spec(tmp_path / "space.toml")
    assert found.value.message == f"{tmp_path / 'space.toml'}: a space, not a network"
    assert "search" in found.value.hint
    with pytest.raises(FileError) as found:
        load_space(tmp_path / "net.toml")
    assert found.value.message == f"{tmp_path / 'net.toml'}: a network, not a space"
    assert "flops" in found.value.hint
    with pytest.raises(UsageError, match="'resnext50_elastic' is a network, not a space") as found:
        load_space("resnext50_elastic")
    assert "flops" in found.value.hint
