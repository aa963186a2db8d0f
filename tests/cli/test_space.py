import json
from fractions import Fraction

import pytest

from elastic_search.files import load_space


def test_space_count_gives_the_exact_number_and_marginals(command):
    data = json.loads(command("space", "count", "demo", "--json").stdout)
    assert (data["inside"], data["size"]) == (18, 128)
    assert data["share"] == 18 / 128
    assert all(sum(counts.values()) == 18 for counts in data["marginals"].values())
    assert "18 of 128 networks" in command("space", "count", "demo").stdout


def test_space_sample_lies_in_the_band(command):
    band = load_space("demo").band
    for measure in ("uniform", "prior"):
        data = json.loads(command("space", "sample", "demo", "-n", "5", "--measure", measure, "--json").stdout)
        assert len(data["networks"]) == 5
        assert all(network["count"] in band for network in data["networks"])


def test_space_bounds_and_nearest_name_networks(command):
    least, most = json.loads(command("space", "bounds", "demo", "--json").stdout)["networks"]
    assert least["count"] < most["count"]
    below, above = json.loads(command("space", "nearest", "demo", "--target", "2.4G", "--json").stdout)["networks"]
    assert below["count"] <= 2_400_000_000 <= above["count"]


def test_space_explain_says_why(command):
    assert "is in resnext50" in command("space", "explain", "resnext50", "resnext50_elastic").stdout
    found = command("space", "explain", "demo", "resnext101", check=1).stdout
    assert "layer3.depth 23 is not in" in found
    assert "outside" in found
    assert "the nearest cost" in command("space", "explain", "demo", "--target", "1G", check=1).stderr


def test_space_lint_checks_a_file(command, tmp_path):
    assert "not empty" in command("space", "lint", "demo").stdout
    (tmp_path / "bad.toml").write_text('schema = 1\ninherit = "demo"\n[splits]\nper = "layer"\n')
    assert "splits.per: 'layer'" in command("space", "lint", str(tmp_path / "bad.toml"), check=2).stderr


def test_space_explain_as_json(command):
    data = json.loads(command("space", "explain", "demo", "resnext101", "--json", check=1).stdout)
    assert data["in_band"] is False
    assert any("layer3.depth 23" in reason for reason in data["reasons"])
    assert json.loads(command("space", "explain", "demo", "--json").stdout)["inside"] == 18


def test_target_of_zero_is_refused(command):
    assert "above 0" in command("space", "count", "demo", "--target", "0", check=2).stderr


def test_bounds_at_other_inputs_move_with_the_target(command, tmp_path):
    text = 'schema = 1\ninherit = "demo"\n[band]\ninputs = [192]\ntolerance = "2%"\n'
    (tmp_path / "a.toml").write_text(text)
    at_base = json.loads(command("space", "count", "a.toml", "--json").stdout)
    lower = json.loads(command("space", "count", "a.toml", "--target", "2.34G", "--json").stdout)
    assert lower["inside"] > 0
    for key in ("low", "high"):
        ratio = Fraction(2_340_000_000, at_base["target"])
        assert abs(lower["limits"][0][key] - at_base["limits"][0][key] * ratio) < 2
    # Parameters stay near the base's; what keeps all networks out is named.
    (tmp_path / "b.toml").write_text(text + 'params = "0%"\n')
    none = command("space", "count", "b.toml", "--target", "2.34G", check=1).stderr
    assert "but none of these has" in none
    assert "parameters" in none


def test_space_lint_names_every_width_and_cardinality(command, tmp_path):
    text = 'schema = 1\ninherit = "demo"\n'
    (tmp_path / "widths.toml").write_text(text + "[widths]\nlayer1 = [100, 128]\nlayer2 = [256, 257]\n")
    found = command("space", "lint", "widths.toml", check=2).stderr
    assert "widths.layer1[0]" in found
    assert "widths.layer2[1]" in found
    (tmp_path / "paths.toml").write_text(text + "[cardinality]\nchoices = [32, 7, 16, 9]\n")
    found = command("space", "lint", "paths.toml", check=2).stderr
    assert "cardinality.choices[1]" in found
    assert "cardinality.choices[3]" in found


@pytest.mark.slow
@pytest.mark.parametrize("line", ["space count", "space sample", "space bounds", "space nearest", "search --dry-run"])
def test_space_that_is_too_large_is_refused_by_every_command(command, tmp_path, line):
    widths = "\n".join(f"layer{i} = [{w}, {2 * w}, {3 * w}, {4 * w}]" for i, w in enumerate((96, 192, 384, 768), 1))
    (tmp_path / "wide.toml").write_text(f'schema = 1\ninherit = "resnext50_blocks"\n[widths]\n{widths}\n')
    budget = ["--minutes", "1"] if "search" in line else []
    done = command(*line.split(), "wide.toml", *budget, check=2)
    assert "error: " in done.stderr
    assert "[widths]" in done.stderr
    assert done.stdout == ""
