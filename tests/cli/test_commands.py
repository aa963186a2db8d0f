"""The real commands, as users type them."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from elastic_search.arch.zoo import PUBLISHED
from elastic_search.cli.main import cli
from elastic_search.cost.tally import count


def test_flops_shows_base_and_elastic_with_differences(command):
    out = command("flops", "resnext50", "--elastic").stdout
    assert re.search(r"total\s+base\s+16\s+-\s+25\.029\s+4\.230\s+4\.259\s+14\.402\s+100\.0%", out)
    assert re.search(r"total\s+elastic\s+22\s+-\s+25\.247\s+4\.177\s+4\.248", out)
    assert re.search(r"total\s+change\s+-\s+-\s+\+0\.87%\s+-1\.27%\s+-0\.26%", out)
    assert "56+28" in out
    assert "…" not in out


@pytest.mark.parametrize("columns", (80, 200))
def test_flops_fits_a_terminal(tmp_path, columns):
    """On a terminal rich draws the table; nothing is cut at 80 columns, and a wide one is side by side."""
    main, side = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "elastic_search", "flops", "resnext50", "--elastic"], stdout=side, env=env, cwd=tmp_path
    )
    os.close(side)
    chunks = []
    while True:
        try:
            chunk = os.read(main, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    assert process.wait(60) == 0
    os.close(main)
    text = re.sub(r"\x1b\[[0-9;]*m", "", b"".join(chunks).decode())
    assert max(len(line.rstrip("\r")) for line in text.split("\n")) <= columns
    assert "…" not in text
    assert "4.177" in text
    assert bool(re.search(r"base +elastic +change", text)) == (columns == 200)


def test_flops_json_holds_plain_integers(command):
    data = json.loads(command("flops", "resnext50", "--elastic", "--json").stdout)
    base, variant = data["networks"]
    assert data["schema"] == 2
    assert (base["macs"], variant["macs"]) == (4_230_479_872, 4_176_891_904)
    assert sum(part["count"] for part in base["parts"]) == base["count"] == 4_259_381_248
    assert data["difference"]["macs"] == variant["macs"] - base["macs"]
    assert base["parts"][1]["resolutions"] == [[56, 56]]
    assert variant["parts"][1]["resolutions"] == [[56, 56], [28, 28]]


@pytest.mark.parametrize("by", ("stage", "block", "op"))
@pytest.mark.parametrize("size", ("224", "193x257"))
def test_flops_parts_add_up(command, by, size):
    done = command("flops", "se_resnext50", "--elastic", "--by", by, "--input", size, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    for network in ("se_resnext50", "se_resnext50_elastic"):
        mine = [row for row in rows if row["network"] == network]
        *parts, whole = mine
        assert (whole["level"], whole["path"], float(whole["share"])) == ("total", "", 1)
        assert {row["level"] for row in parts} == {by}
        assert sum(float(row["share"]) for row in parts) == pytest.approx(1)
        for key in ("params", "macs", "count", "activations"):
            assert sum(int(row[key]) for row in parts) == int(whole[key])


def test_flops_of_an_edit_equals_the_published_network(command):
    args = ("--split", "1/2,1/2", "--depths", "6,8,5,3", "--json")
    edited = json.loads(command("flops", "resnext50", *args).stdout)["networks"][1]
    assert edited["id"] == json.loads(command("flops", "resnext50_elastic", "--json").stdout)["networks"][0]["id"]


def test_flops_input_is_height_by_width(command):
    data = json.loads(command("flops", "resnext50", "--input", "193x257", "--json").stdout)
    assert data["input"] == [3, 193, 257]
    assert data["networks"][0]["parts"][1]["resolutions"] == [[49, 65]]


@pytest.mark.parametrize("fmt", ("table", "markdown", "latex", "csv"))
def test_every_format_is_ascii_so_that_any_terminal_shows_it(command, fmt):
    for args in (("flops", "resnext50", "--elastic"), ("models",), ("match", "resnext50", "--limit", "3")):
        out = command(*args, "--format", fmt, PYTHONIOENCODING="ascii").stdout
        assert out.isascii()
        assert len(out.splitlines()) > 3


def test_models_lists_every_network(command):
    data = json.loads(command("models", "--json").stdout)
    assert [entry["name"] for entry in data["networks"]] == list(PUBLISHED)
    table = command("models").stdout
    assert "resnext50x2_elastic: never released" in table


def test_match_lists_all_in_machine_formats_and_a_few_in_the_table(command):
    args = ("match", "resnext50", "--split", "1/2,1/2", "--tolerance", "0.5%")
    data = json.loads(command(*args, "--json").stdout)
    assert data["found"] == len(data["networks"]) > 100
    assert [6, 8, 5, 3] in [network["depths"] for network in data["networks"]]
    assert all(data["low"] <= network["count"] <= data["high"] for network in data["networks"])
    distances = [abs(network["count"] - data["target"]) for network in data["networks"]]
    assert distances == sorted(distances)
    table = command(*args, "--limit", "4").stdout
    assert f"{data['found']} match; the nearest 4 are shown" in table
    assert f"{'-'.join(map(str, data['networks'][3]['depths']))}" in table


def test_match_says_what_each_change_is_from_where_a_target_is_given(inside):
    said = inside("match", "resnext50", "--target", "2G", "--limit", "1").stdout
    assert "change: of fvcore from the target, of macs and params from resnext50" in said
    assert "from the target" not in inside("match", "resnext50", "--limit", "1").stdout


def test_unknown_quantity_to_sort_by_names_the_nearest(inside):
    assert "unknown quantity to sort by 'coun'" in inside("compare", "resnext50", "--sort", "coun", check=2).stderr


def test_match_bounds_parameters_only_when_asked(command):
    args = ("match", "resnext50", "--tolerance", "0.5%", "--json")
    every = json.loads(command(*args).stdout)
    some = json.loads(command(*args, "--params-tolerance", "2%").stdout)
    assert 0 < some["found"] < every["found"]
    assert all(abs(network["params_difference"]) <= 0.02 for network in some["networks"])


def test_validate_agrees_with_the_tools(command):
    out = command("validate", "resnext50_elastic", "--input", "64").stdout
    assert "NO" not in out
    assert re.search(r"(\d+) of \1 quantities equal", out)


def test_spec_file_is_a_network_name(command, tmp_path):
    from elastic_search.arch.zoo import published
    from elastic_search.files import dump_spec

    (tmp_path / "mine.toml").write_text(dump_spec(published("resnext50_elastic")))
    data = json.loads(command("flops", "mine.toml", "--json").stdout)
    assert data["networks"][0]["macs"] == 4_176_891_904


def test_parameters_that_trained_filters_add_are_named(command):
    args = ("flops", "dla_x60", "--split", "1/2,1/2", "--up")
    assert "edited: 89,600 of 17,739,416 params are trained resampling filters" in command(*args, "trained").stdout
    assert "filters" not in command(*args, "nearest").stdout
    networks = json.loads(command(*args, "trained", "--json").stdout)["networks"]
    assert [network["params_trained_filters"] for network in networks] == [0, 89_600]
    args = ("match", "dla_x60", "--input", "64", "--tolerance", "5%")
    assert "params include the trained resampling filters" in command(*args, "--down", "trained").stdout
    assert "filters" not in command(*args).stdout


def test_match_names_a_resampling_only_where_there_is_one(command):
    args = ("match", "dla_x60", "--input", "64", "--split")
    assert "(avgpool down, bilinear up)" in command(*args, "1/2,1/2", "--tolerance", "5%").stdout
    assert "split 1/2@1,1/2@1~2 at 64x64" in command(*args, "1/2@1,1/2@1~2").stdout
    for split, expected in (("1/2@1,1/2@1~2", (None, None)), ("1/2,1/2", ("avgpool", "bilinear"))):
        data = json.loads(command(*args, split, "--tolerance", "5%", "--json").stdout)
        assert (data["down"], data["up"]) == expected


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    (
        ("flops resnext5", 2, "did you mean resnext50"),
        ("flops missing.toml", 2, "no such file"),
        ("flops resnext50 --elastic --split 1/2,1/2", 2, "leave out --elastic"),
        ("flops resnext50 --elastic --depths 1,1,1,1", 2, "--elastic"),
        ("flops resnext50x2_elastic --elastic", 2, "resnext50x2_elastic has no published Elastic variant"),
        ("flops resnext50 --split 1/3,2/3", 2, "share 1/3 of 32 paths is 10.67 at layer1.0"),
        ("flops resnext50 --split 1/2,1/4", 2, "must add up to 1"),
        ("flops resnext50 --split 1/0", 2, "divides by zero"),
        ("flops resnext50 --split x", 2, "cannot read branch"),
        ("flops resnext50 --up nearest", 2, "add --split"),
        ("flops resnext50 --split 1/2,1/2 --down trained --up nearest", 2, "cannot be combined"),
        ("flops dla_x60 --split 1/2@1,1/2@1~2 --up trained", 2, "1/2@1,1/2@1~2 has none"),
        ("match dla_x60 --split 1 --down avgpool", 2, "leave them out"),
        ("flops resnext50 --depths 1,2", 2, "2 depths for 4 stages"),
        ("flops resnext50 --depths 0,1,1,1", 2, "are not depths"),
        ("flops resnext50 --input 0", 2, "1 to 4096"),
        (f"flops resnext50 --input {'9' * 5000}", 2, "is not a size"),
        (f"flops resnext50 --depths {'9' * 5000}", 2, "are not depths"),
        (f"flops resnext50 --split {'9' * 5000}", 2, "at most 200"),
        ("flops dla_x60 --depths 0,1,1,1", 2, "are not depths"),
        ("flops densenet201 --split 1/3,2/3", 2, "share 1/3 of 128 paths"),
        ("match dla_x60 --tolerance 1%", 1, "the nearest cost"),
        ("flops resnext50 --input 2x2x2x2", 2, "is not a size"),
        ("flops resnext50 --input 2x32x32", 2, "takes 3 channels"),
        ("flops resnext50 --convention flop", 2, "did you mean ptflops"),
        ("flop resnext50", 2, "did you mean flops"),
        ("validate", 2, "give NAMES"),
        ("validate resnext50 --all", 2, "give NAMES"),
        ("match resnext50 --tolerance 0.0001%", 1, "the nearest cost 4,259,280,896"),
        ("match resnext50 --tolerance 200%", 2, "more than 100%"),
        ("match resnext50 --tolerance 0.1% --params-tolerance 0%", 1, "raise --params-tolerance"),
        ("search demo", 2, "no budget for the search"),
        ("search dmo --trials 1", 2, "did you mean demo"),
        ("search demo --trials 1 --name ../x", 2, "run name"),
        ("search demo --hours 1 --minutes 1", 2, "exclude one another"),
        ("search demo --minutes inf", 2, "at most 100000"),
        ("search demo --minutes nan", 2, "at most 100000"),
        ("flops resnext50 --split=", 2, "cannot read branch"),
        ("match resnext50 --split=", 2, "cannot read branch"),
        ("flops /dev/zero", 2, "larger than 256 KiB"),
    ),
)
def test_wrong_input_ends_with_a_message_and_its_exit_code(command, args, code, expected):
    done = command(*args.split(), check=code)
    assert expected in done.stderr
    assert not done.stdout


def test_unsatisfiable_band_says_so_at_once(command, tmp_path):
    (tmp_path / "none.toml").write_text(
        'schema = 1\nbase = "resnext50"\n[depths]\nlayer1 = 1\nlayer2 = 1\nlayer3 = 1\nlayer4 = 1\n'
        '[splits]\nchoices = ["1/2,1/2"]\n'
    )
    done = command("search", "none.toml", "--trials", "1", check=1)
    assert "none of 1 networks" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_output_into_a_closed_pipe_is_no_error(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m elastic_search flops resnext101 --elastic --by op | head -1",
        shell=True, capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_full_disk_is_an_error_with_its_exit_code():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "elastic_search", "flops", "resnext50", "--json"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("error:")
    assert "Traceback" not in done.stderr


def test_validate_names_the_first_difference_and_exits_with_1(monkeypatch):
    from elastic_search.arch import ops
    from elastic_search.cost.convention import Rule
    from elastic_search.cost.tools import FVCORE

    seven = Rule("7", lambda call: 7)
    monkeypatch.setitem(FVCORE.rules, ops.GlobalPool, ("adaptive_avg_pool2d", seven))
    count.cache_clear()
    done = CliRunner().invoke(cli, ["validate", "resnext50", "--input", "32"])
    count.cache_clear()
    assert done.exit_code == 1
    assert "resnext50: fvcore is" in done.stderr
    assert re.search(r"fvcore adaptive_avg_pool2d +7 +2048 +fvcore +NO", done.stdout)


def test_dead_parameters_of_dla_are_named(command):
    text = command("flops", "dla_x60").stdout
    assert "the results of level3.project, level4.project, level4.tree1.project are not" in text
    (network,) = json.loads(command("flops", "dla_x60", "--json").stdout)["networks"]
    dead = sum(before * after + 2 * after for before, after in ((128, 256), (256, 512), (256, 512)))
    assert (network["params"], network["params_live"]) == (17_649_816, 17_649_816 - dead)


def test_models_lists_what_has_room_on_a_small_image(command):
    rows = json.loads(command("models", "--input", "16", "--json").stdout)["networks"]
    assert [row["macs"] is None for row in rows] == [row["name"].startswith("densenet") for row in rows]
    assert "resnext50" in command("models", "--input", "16").stdout


def test_name_that_the_terminal_cannot_show_is_no_error(command, tmp_path):
    from elastic_search.arch.zoo import published
    from elastic_search.files import dump_spec

    (tmp_path / "\u00e9.toml").write_text(dump_spec(published("resnext50")))
    assert "?.toml" in command("flops", "\u00e9.toml", PYTHONIOENCODING="ascii", PYTHONUTF8="1").stdout


def test_control_characters_of_a_file_do_not_reach_the_terminal(command, tmp_path):
    (tmp_path / "x.toml").write_text('schema = 1\n"\\u001b[31mred" = 1\n')
    assert "\x1b" not in command("flops", "x.toml", check=2).stderr


def test_largest_counts_are_shown_exactly(command):
    edge = str(2**20)
    out = command("pyramids", "--size", edge, "--kernel", edge, "--channels", edge, "--out-channels", edge).stdout
    assert "1208925819614629.175" in out


def test_debug_shows_the_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "elastic_search", "--debug", "flops", "nothing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" in done.stderr
