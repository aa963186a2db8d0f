"""A band that the base's own cost is not in: the base is trained as it is, and scaled to the band."""

import json
import shutil
import signal

import pytest

from elastic_search.arch.split import PLAIN
from elastic_search.cost.tally import tally
from elastic_search.errors import EnvironmentFault
from elastic_search.files import load_space, parse_space
from elastic_search.report.searches import search_report
from elastic_search.search.run import search
from elastic_search.search.store.integrity import examine
from elastic_search.search.store.result import SCALED
from tests.cli.staging import SPACE as TINY
from tests.search.staging import TEXT, Trainer

OPTIONS = {"counter": None, "halving": False}


def off(target):
    return parse_space(f'{TEXT}[band]\ntarget = {target}\ntolerance = "2%"\n', "off", "off.toml")


@pytest.mark.parametrize("target", ('"6G"', '"6000M"', "6e9", "6_000_000_000"))
def test_target_is_written_as_on_the_command_line(target):
    assert off(target).band.target == 6 * 10**9


@pytest.mark.parametrize("target", ('"6 apples"', "true", "6.5", "inf", "nan", "-6e9", "0", "1e300", "[6]"))
def test_target_that_is_no_cost_is_a_mistake_of_the_file(target):
    with pytest.raises(Exception, match=r"off.toml: 1 mistake\n  band.target") as found:
        off(target)
    assert type(found.value).__name__ == "FileError"


def test_base_in_the_band_is_not_scaled():
    assert parse_space(TEXT, "on", "on.toml").scaled_base is None


@pytest.mark.parametrize("name", ("resnext50", "dla_x60", "densenet201"))
@pytest.mark.parametrize("factor", (0.25, 0.5, 0.7, 1.5, 4))
def test_scaled_base_is_plain_and_nearer_to_the_band(name, factor):
    space = load_space(name)
    base, space = space.space.base, space.at(int(factor * space.band.target))
    scaled, band = space.scaled_base, space.band
    assert scaled == base.with_depths(scaled.depths)
    assert all(split == PLAIN for stage in scaled.stages for split in stage.splits)
    far = abs(tally(scaled.graph(), band.input, band.convention).total - band.target)
    assert far < abs(tally(base.graph(), band.input, band.convention).total - band.target)


def test_stages_keep_their_shares_of_the_depth():
    assert off('"8G"').scaled_base.depths == (6, 8, 13, 6)


def test_scaled_base_is_trained_and_compared_with(tmp_path):
    space, trainer = off('"5G"'), Trainer()
    run = search(space, trainer, trials=2, root=tmp_path, **OPTIONS)
    base, scaled, first, _ = run.rows()
    assert trainer.trained[:2] == [space.space.base, space.scaled_base] == [base.spec, scaled.spec]
    assert [base.rank, scaled.rank, first.rank] == ["base", "scaled", "1"]
    assert scaled.difference == 0
    assert first.difference == first.result.cost / scaled.result.cost - 1
    assert run.folder.trials() == [0, 1]
    report = search_report(run, "done")
    assert [row["place"] for row in report.rows] == ["base*", "scaled", "1", "2"]
    assert [row["in_band"] for row in report.rows] == [False, True, True, True]
    assert [row["trial"] for row in report.rows][:2] == [None, None]
    assert any("base*: not in the band" in note for note in report.notes)
    assert all(finding.sound for finding in examine(run.folder, space))
    again = search(space, Trainer(), trials=3, root=tmp_path, **OPTIONS)
    assert again.rows()[1].result == scaled.result
    assert len(again.trainer.trained) == 1


def test_scaled_base_that_was_interrupted_goes_on(tmp_path):
    def stop(epoch):
        if epoch == 4:
            signal.raise_signal(signal.SIGTERM)

    stopped = search(off('"5G"'), Trainer(stop), trials=1, root=tmp_path, **OPTIONS)
    assert stopped.ended == "signal"
    assert stopped.folder.checkpoint(SCALED).name == "scaled.pt"
    assert stopped.folder.checkpoint(SCALED).exists()
    resumed = search(off('"5G"'), Trainer(), trials=1, root=tmp_path, **OPTIONS)
    assert resumed.trainer.epochs == 2 + 3
    assert not resumed.folder.checkpoint(SCALED).exists()


def test_record_of_another_scaled_base_is_found(tmp_path):
    run = search(off('"5G"'), Trainer(), trials=1, root=tmp_path, **OPTIONS)
    shutil.copy(run.folder.path / "base.json", run.folder.path / "scaled.json")
    with pytest.raises(EnvironmentFault, match=r"scaled.json: damaged"):
        run.rows()


@pytest.mark.slow
def test_command_reports_the_scaled_base_in_every_format(command, tmp_path):
    (tmp_path / "off.toml").write_text(TINY.replace("[band]", '[band]\ntarget = "300M"\ntolerance = "2%"'))
    args = ("search", "off.toml", "--trials", "2", "--device", "cpu")
    done = command(*args)
    assert "scaled base " in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[3:5]] == ["base*", "scaled"]
    networks = json.loads(command(*args, "--json").stdout)["networks"]
    assert [network["state"] for network in networks[:2]] == ["base", "scaled"]
    assert [network["in_band"] for network in networks[:2]] == [False, True]
    lines = command(*args, "--format", "csv").stdout.splitlines()
    assert lines[2].split(",")[1] == "scaled"
    assert "reproduced" in command("reproduce", "off", "scaled", "--device", "cpu").stdout
