import json
from fractions import Fraction

from elastic_search.files import load_space


def test_space_count_gives_the_exact_number_and_marginals(command):
    data = json.loads(command("space", "count", "demo", "--json").stdout)
    assert (data["inside"], data["size"]) == (25, 1260)
    assert Fraction(data["share"]) == Fraction(25, 1260)
    assert all(sum(counts.values()) == 25 for counts in data["marginals"].values())
    assert "25 of 1,260 networks" in command("space", "count", "demo").stdout


def test_space_sample_lies_in_the_band(command):
    band = load_space("demo").band
    for measure in ("uniform", "prior"):
        data = json.loads(command("space", "sample", "demo", "-n", "5", "--measure", measure, "--json").stdout)
        assert len(data["networks"]) == 5
        assert all(network["cost"] in band for network in data["networks"])


def test_space_bounds_and_nearest_name_networks(command):
    least, most = json.loads(command("space", "bounds", "demo", "--json").stdout)["networks"]
    assert least["cost"] < most["cost"]
    below, above = json.loads(command("space", "nearest", "demo", "--target", "4.2G", "--json").stdout)["networks"]
    assert below["cost"] <= 4_200_000_000 <= above["cost"]


def test_space_explain_says_why(command):
    assert "is in demo" in command("space", "explain", "demo", "resnext50_elastic").stdout
    found = command("space", "explain", "demo", "resnext101", check=1).stdout
    assert "layer3.depth 23 is not in" in found
    assert "outside" in found
    assert "the nearest cost" in command("space", "explain", "demo", "--target", "1G", check=1).stderr


def test_space_lint_checks_a_file(command, tmp_path):
    assert "not empty" in command("space", "lint", "demo").stdout
    (tmp_path / "bad.toml").write_text('schema = 1\ninherit = "demo"\n[splits]\nper = "layer"\n')
    assert "splits.per: 'layer'" in command("space", "lint", str(tmp_path / "bad.toml"), check=2).stderr
