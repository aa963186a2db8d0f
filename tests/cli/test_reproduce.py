"""``reproduce`` and ``doctor`` on a run that the real command made."""

import json

import pytest

from elastic_search.atomic import sealed
from tests.cli.staging import made, run, searched  # noqa: F401


def test_trial_is_the_same_again(command, run):  # noqa: F811
    done = command("reproduce", "tiny", "1", "--device", "cpu", "--json")
    data = json.loads(done.stdout)
    assert data["equal"]
    assert data["again"] == json.loads((run / "trials/1.json").read_text())["curve"]


@pytest.mark.slow
def test_other_curve_is_exit_1_and_other_versions_are_named(command, run):  # noqa: F811
    result = json.loads((run / "trials/0.json").read_text())
    del result["sha256"], result["schema"]
    result["curve"][0] += 0.125
    (run / "trials/0.json").write_text(sealed(result))
    about = json.loads((run / "run.json").read_text())
    about["first_start"]["torch"] = "0.1"
    del about["sha256"], about["schema"]
    (run / "run.json").write_text(sealed(about))
    done = command("reproduce", "tiny", "0", "--device", "cpu", check=1)
    assert "torch: 0.1 then" in done.stderr
    assert "NO" in done.stdout


def test_trial_that_is_not_there_is_refused(inside, run):  # noqa: F811
    assert "recorded: base, 0, 1" in inside("reproduce", "tiny", "7", check=2).stderr
    assert "no run 'other'" in inside("reproduce", "other", "0", check=2).stderr
