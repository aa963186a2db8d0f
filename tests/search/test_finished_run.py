"""A run that an earlier version finished: read, ranked, shown and repaired as then, and written in the same bytes.

It has what a run can have: whole trials, one stopped at a rung, one that failed, and repeats with further seeds.
"""

import json
import shutil
from pathlib import Path

import pytest

from elastic_search.atomic import sealed
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.integrity import examine
from elastic_search.search.store.ranking import best_result, best_text, order

GOLDEN = Path(__file__).parents[1] / "golden"
SEARCH = ("search", "golden.toml", "--device", "cpu", "--trials")


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(GOLDEN / "finished_run", tmp_path / "runs/golden")
    found = RunFolder(tmp_path / "runs", "golden")
    (tmp_path / "golden.toml").write_text(found.description()["text"])
    return found


def files(folder):
    return {path.relative_to(folder.path): path.read_bytes() for path in folder.path.rglob("*.*") if path.is_file()}


def test_every_record_is_written_in_the_bytes_it_was_read_from(folder):
    names = [("base.json", None, None), *((f"trials/{n}.json", n, None) for n in folder.trials())]
    names += [(f"repeats/{n}-{seed}.json", n, seed) for n, seed in folder.repeated()]
    assert len(names) == 13
    for name, number, seed in names:
        result = folder.result(number, seed)
        assert sealed(result.to_dict()) == (folder.path / name).read_text()
        folder.record(result, again=seed is not None)
    assert files(folder) == {path.relative_to(GOLDEN / "finished_run"): path.read_bytes()
                             for path in (GOLDEN / "finished_run").rglob("*.*")}  # fmt: skip


def without_errors(lines):
    """A table without its standard errors and the notes about them, which earlier versions did not show."""
    title, header, *rest = lines
    at = header.index("±")
    first_note = next(i for i, line in enumerate(rest) if line.startswith("proxy acc"))
    cut = [line[: at - 5] + line[at + 1 :] for line in (header, *rest[:first_note])]
    later = ("ranked on", "±", "told apart", "warning: the ranking is chance")
    notes = [line for line in rest[first_note:] if not line.startswith(later)]
    return [title, *cut, *notes]


def test_order_and_best_are_those_of_then(folder):
    plan = folder.plan()
    assert [result.number for result in order(folder)] == [3, 0, 4, 5, 1, 2]
    best = best_result(folder)
    assert best_text(folder, plan, best, plan.space.decode(best.values)) == folder.best_file.read_text()
    assert all(finding.sound for finding in examine(folder, plan))


def test_command_shows_that_it_is_finished_as_then(command, folder):
    before = files(folder)
    shown = command(*SEARCH, "5").stdout.splitlines()
    assert without_errors(shown) == (GOLDEN / "finished_run.txt").read_text().splitlines()
    said = json.loads(command(*SEARCH, "5", "--json").stdout)
    assert in_the_first_schema(said) == json.loads((GOLDEN / "finished_run.json").read_text())
    assert files(folder) == before


def in_the_first_schema(said):
    """What ``search --json`` says, with the keys of its first schema."""
    band = {key: value for key, value in said["band"].items() if key not in ("unit", "inside")}
    networks = []
    for row in said["networks"]:
        names = {"count": "cost"}
        new = (
            "state",
            "in_band",
            "depths",
            "splits",
            "test_accuracy",
            "standard_error",
            "ranked_error",
            "accuracy_by_class",
        )
        old = {names.get(key, key): value for key, value in row.items() if key not in new}
        networks.append(old | {"rank": row["state"] if row["rank"] is None else str(row["rank"])})
    rest = {key: value for key, value in said.items() if key not in ("form", "notes")}
    return {**rest, "schema": 1, "band": {**band, "networks": said["band"]["inside"]}, "networks": networks}


def test_more_trials_go_on_from_it(command, folder):
    """The study is made anew from the results; the band holds no further network."""
    before = files(folder)
    done = command(*SEARCH, "20")
    assert "resuming" in done.stderr
    assert "every network in the band has been tried" in done.stdout
    after = files(folder)
    assert {path: after[path] for path in before if path.name != "spent.json"} == {
        path: content for path, content in before.items() if path.name != "spent.json"
    }
    assert json.loads((folder.path / "spent.json").read_text())["seconds"] > 0


def changed(folder, *edits):
    """Write the run's space file after some edits, each an old text and a new one."""
    text = folder.description()["text"]
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (folder.path.parents[1] / "golden.toml").write_text(text)


def test_space_that_says_the_same_in_other_words_is_the_same_run(command, folder):
    choices = '["1/2,1/2", "1/4,3/4"]'
    changed(
        folder,
        ("schema = 1\n", '# A remark.\nschema = 1\ndescription = "another"\n'),
        ('"3..8"', "[8, 3, 4, 5, 6, 7]"),
        (f'choices = {choices}\nper = "network"\n', f'per = "network"\nchoices = {choices[0]}"1/4, 3/4", "1/2,1/2"]\n'),
        ("epochs = 4", "epochs = 4\nval_images = 0"),
    )
    before = files(folder)
    shown = command(*SEARCH, "5").stdout
    assert without_errors(shown.splitlines()) == (GOLDEN / "finished_run.txt").read_text().splitlines()
    (folder.path.parents[1] / "golden.toml").rename(folder.path.parents[1] / "renamed.toml")
    assert command("search", "renamed.toml", *SEARCH[2:], "5", "--name", "golden").stdout == shown
    assert files(folder) == before


def test_space_that_differs_is_named_key_by_key(command, folder):
    changed(folder, ('"3..8"', '"3..9"'), ('"0.2%"', '"0.4%"\nparams = "1%"'), ('"1/32"', '"1/16"'))
    refused = command(*SEARCH, "5", "--seed", "7", "--no-halving", check=2).stderr.splitlines()
    assert refused == [
        "error: run 'golden' was started with other settings",
        "  depths.layer1: 3..8 before, 3..9 now",
        "  band.tolerance: 0.2% before, 0.4% now",
        "  proxy.width: 1/32 before, 1/16 now",
        "  band.params: none before, 1% now",
        "  seed: 0 before, 7 now",
        "  --no-halving: not given before, given now",
        "hint: search runs/golden goes on with what it was started with; or choose another --name",
    ]


@pytest.mark.parametrize("stored", (("runs/golden",), ("runs/golden/",), ("--resume", "golden")))
def test_stored_run_goes_on_without_its_space_file(command, folder, stored):
    changed(folder, ('"3..8"', '"3..9"'))
    shown = command("search", *stored, "--device", "cpu", "--trials", "5").stdout
    assert without_errors(shown.splitlines()) == (GOLDEN / "finished_run.txt").read_text().splitlines()


def test_stored_run_keeps_its_seed_unless_another_is_asked_for(command, folder):
    file = folder.path / "run.json"
    said = {key: value for key, value in folder.description().items() if key not in ("schema", "sha256")}
    file.write_text(sealed(said | {"seed": 7, "halving": False, "strategy": "uniform"}))
    resumed = ("search", "runs/golden", "--device", "cpu", "--trials", "5")
    assert json.loads(command(*resumed, "--json").stdout)["seed"] == 7
    assert "seed: 7 before, 8 now" in command(*resumed, "--seed", "8", check=2).stderr
    assert "leave out --name and --targets" in command(*resumed, "--name", "other", check=2).stderr


def test_search_without_a_space_or_with_two_is_refused(command, folder):
    assert "no space to search" in command("search", "--trials", "5", check=2).stderr
    assert "exclude one another" in command("search", "golden.toml", "--resume", "golden", check=2).stderr
    assert "no run 'other'" in command("search", "--resume", "other", "--trials", "5", check=2).stderr
    assert "unknown space 'other'" in command("search", "other", check=2).stderr  # before the missing budget
