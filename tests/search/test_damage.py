"""Files of a run that were cut, flipped or forged: named and refused, or harmless. Never another number, never code."""

import json
import random
import shutil
import signal

import pytest

from elastic_search.atomic import sealed, write_atomically
from elastic_search.errors import ElasticError, EnvironmentFault
from elastic_search.search.evaluator import TrialError
from elastic_search.search.store import integrity
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.integrity import examine, repaired
from elastic_search.search.store.ranking import network_of, ranking
from tests.search.staging import CHECKPOINT, TEXT, Trainer, counted, flipped, outcome, start, starter  # noqa: F401

FILES = ("trials/0.json", "trials/1.json", "base.json", "spent.json", "run.json", "best.toml", "study.db")
OPTIONS = {"trials": 5, "counter": counted}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A run with a trial that failed, one that was interrupted, and two that ended; and what comes of it."""
    begin = starter(tmp_path_factory.mktemp("template"))

    def fault(epoch):
        if epoch == 8:
            raise TrialError("the loss is nan")
        if epoch == 12:
            signal.raise_signal(signal.SIGTERM)

    search = begin(Trainer(fault), name="made", trials=4, counter=counted)
    assert search.run() == "signal"
    whole = begin(name="whole", **OPTIONS)
    shutil.copytree(search.folder.path, whole.folder.path, dirs_exist_ok=True)
    assert whole.run() == "trials"
    return search.folder.path, outcome(whole)


@pytest.fixture
def made(template, tmp_path, monkeypatch):
    """Makes copies of the template, changed. The checkpoints of the pretended trainer are numbers."""
    monkeypatch.setattr(integrity, "_is_whole", lambda path: bool(CHECKPOINT.fullmatch(path.read_bytes())))

    def copy(name, change=lambda path: None):
        path = tmp_path / name
        shutil.copytree(template[0], path)
        change(path)
        return RunFolder(tmp_path, name)

    copy.whole = template[1]
    return copy


def detected_or_harmless(made, start, name, file, change, seen):  # noqa: F811
    """After the change, the search and doctor name the file, or nothing differs."""
    folder = made(name, lambda path: (path / file).write_bytes(change((path / file).read_bytes())))
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    try:
        findings = examine(folder, folder.plan())
        found = [finding.what for finding in findings if not finding.sound]
        seen["doctor"] += bool(found)
        assert set(found) <= {file}, (file, findings)
    except ElasticError as error:
        assert error.exit_code == 3, error
        assert file in str(error)
        seen["doctor"] += 1
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before
    try:
        search = start(name=name, **OPTIONS)
        search.run()
        assert outcome(search) == made.whole, (file, found)
    except ElasticError as error:
        assert error.exit_code == 3, error
        assert file in str(error) or file.partition("/")[2].partition(".")[0] in str(error), error
        seen["search"] += 1
    shutil.rmtree(folder.path)


def damage(made, start, times, seed):  # noqa: F811
    """Cut and flip each kind of file; how often that was seen."""
    rng, seen = random.Random(seed), {"doctor": 0, "search": 0}
    for file in FILES:
        for i in range(times):
            cut = rng.random()
            change = flipped(rng.randrange(10**9), rng.randrange(8))
            if i % 2:
                change = lambda content, cut=cut: content[: int(cut * len(content))]  # noqa: E731
            detected_or_harmless(made, start, f"{file.replace('/', '-')}-{i}", file, change, seen)
    return seen


def test_damaged_files_are_named_or_harmless(made, start):  # noqa: F811
    seen = damage(made, start, 2, seed=1)
    assert seen["doctor"] >= 8
    assert seen["search"] >= 8


@pytest.mark.full
def test_many_damaged_files_are_named_or_harmless(made, start):  # noqa: F811
    assert damage(made, start, 12, seed=2)["search"] >= 30


def in_the_database(old, new):
    """Change a text in the database file, so that it stays a database."""

    def change(content):
        assert old in content
        assert len(old) == len(new)
        return content.replace(old, new)

    return change


@pytest.mark.parametrize(
    "change",
    (
        in_the_database(b"COMPLETE", b"COMPLETF"),
        in_the_database(b"COMPLETE", b"PRUNED\0\0"),
        in_the_database(b'"name": "Cat', b'"mame": "Cat'),
        in_the_database(b'"layer2.depth": ', b'"layer2.depth" :'),
        in_the_database(b"RUNNING", b"WAITING"),
        lambda content: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
        lambda content: b"",
        lambda content: b"\0" * 4096,
    ),
    ids=("state", "other-state", "distribution", "proposal", "running", "zeroed", "empty", "zeros"),
)
def test_database_that_says_something_else_is_named_or_harmless(made, start, change):  # noqa: F811
    detected_or_harmless(made, start, "changed", "study.db", change, {"doctor": 0, "search": 0})


def test_value_that_was_changed_in_the_database_is_found(made, start):  # noqa: F811
    import sqlite3
    from contextlib import closing

    for statement in (
        "UPDATE trial_values SET value = value + 0.001",
        "UPDATE trial_intermediate_values SET intermediate_value = intermediate_value + 0.001",
        "UPDATE trial_params SET param_value = 1 - param_value WHERE param_name = 'layer1.split'",
        "DELETE FROM trials WHERE number = 0",
        "UPDATE trials SET number = 7 WHERE number = 3",
        "UPDATE trial_system_attributes SET value_json = replace(value_json, 'avgpool', 'trained')",
    ):
        folder = made("changed")
        with closing(sqlite3.connect(folder.study_file)) as database:
            assert database.execute(statement).rowcount
            database.commit()
        if "system" not in statement:
            (finding,) = [finding for finding in examine(folder, folder.plan()) if finding.what == "study.db"]
            assert not finding.sound, statement
        with pytest.raises(EnvironmentFault, match=r"study\.db"):
            start(name="changed", **OPTIONS).run()
        shutil.rmtree(folder.path)


def test_database_left_in_the_middle_of_a_write_is_sound(made):
    """What a killed process leaves beside it is rolled back by the next that opens it, and doctor changes nothing."""
    import sqlite3
    from contextlib import closing

    folder, other = made("whole-one"), made("hot")
    with closing(sqlite3.connect(other.study_file)) as database:
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        for _ in range(300):
            database.execute("INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT 1, random(), '1'")
        journal = other.study_file.with_name("study.db-journal")
        assert journal.stat().st_size > 512
        for file in (other.study_file, journal):
            shutil.copy(file, folder.path / file.name)
        database.rollback()
    before = journal_of(folder)
    assert all(finding.sound for finding in examine(folder, folder.plan()))
    assert journal_of(folder) == before


def journal_of(folder):
    return [(path.name, path.read_bytes()) for path in sorted(folder.path.glob("study.db*"))]


@pytest.mark.parametrize(
    "file",
    ["trials/1.json", "study.db"]
    + [
        pytest.param(name, marks=pytest.mark.slow) for name in ("trials/0.json", "base.json", "spent.json", "best.toml")
    ],
)
def test_repaired_copy_of_a_damaged_run_goes_on(made, start, file):  # noqa: F811
    folder = made("hurt", lambda path: (path / file).write_bytes(b"\xff\x00 nonsense"))
    findings = examine(folder, folder.plan())
    assert [finding.what for finding in findings if not finding.sound and file == finding.what]
    copy = repaired(folder, findings)
    assert (copy.path / "damaged" / file).read_bytes() == b"\xff\x00 nonsense"
    search = start(name=copy.name, **OPTIONS)
    assert search.run() == "trials"
    assert all(finding.sound for finding in examine(copy, search.plan))
    # What was recorded and is whole stays; what is trained again has the same values.
    found, _, best = outcome(search)
    expected, _, expected_best = made.whole
    lost = 1 if file == "trials/1.json" else None
    for number, result in found.items():
        if number == lost and lost is not None:
            assert result.values == expected[number].values
        else:
            assert result == expected[number]
    if lost is None:
        assert best == expected_best


def test_trial_whose_file_was_moved_away_is_missed(made, start):  # noqa: F811
    made("lost", lambda path: (path / "trials/0.json").unlink())
    with pytest.raises(EnvironmentFault, match="holds trial 0, whose result is missing") as caught:
        start(name="lost", **OPTIONS).run()
    assert "delete the study" in caught.value.hint
    (start(name="lost", **OPTIONS).folder.study_file).unlink()
    search = start(name="lost", **OPTIONS)
    assert search.run() == "trials"
    assert outcome(search) == made.whole


def forged(path, **changes):
    content = {key: value for key, value in json.loads(path.read_text()).items() if key != "sha256"}
    path.write_text(sealed({**content, **changes}))


HUGE = 10**400
RESULTS = (
    {"number": 3}, {"number": True}, {"number": "0"}, {"values": None}, {"values": []}, {"values": {"depth": [1]}},
    {"values": {"layer1.depth": 99}}, {"values": {}}, {"id": 5}, {"cost": -1}, {"cost": 1.5}, {"cost": HUGE},
    {"params": "many"}, {"accuracy": "1"}, {"accuracy": HUGE}, {"accuracy": float("nan")}, {"accuracy": float("inf")},
    {"accuracy": True}, {"accuracy": 1e300}, {"curve": None}, {"curve": ["1"]}, {"curve": {}}, {"seconds": -1},
    {"seconds": float("inf")}, {"seconds": HUGE}, {"accuracy_by_size": {"small": "x"}}, {"accuracy_by_size": None},
    {"accuracy": None}, {"accuracy": None, "reason": 3}, {"stopped": "yes"}, {"seed": "x"}, {"seed": HUGE},
)  # fmt: skip


@pytest.mark.parametrize("change", RESULTS, ids=lambda change: str(change)[:40])
def test_forged_result_is_refused_by_all_that_read_it(made, change):
    """With a checksum that fits, as only somebody who means it can write."""
    folder = made("forged", lambda path: forged(path / "trials/0.json", **change))
    plan = folder.plan()
    assert [finding.what for finding in examine(folder, plan) if not finding.sound] == ["trials/0.json"]
    for read in (lambda: ranking(plan, folder), lambda: network_of(plan, folder.result(0))):
        with pytest.raises(EnvironmentFault, match=r"0\.json|trial 0"):
            read()


@pytest.mark.parametrize(
    "text",
    (
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 100_000,
        '{"schema": 1, "sha256": "' + "0" * 64 + '", "number": ' + "9" * 5000 + "}",
        '{"schema": 1, "sha256": "' + "0" * 64 + '", "number": 1e400}',
        '{"schema": 1, "sha256": ["a"]}',
        '{"schema": 1}',
        "null",
        "NaN",
        '"\\ud800"',
        "\x00",
    ),
    ids=range(11),
)
def test_odd_json_is_refused_with_its_name(made, start, text):  # noqa: F811
    for file in ("trials/0.json", "run.json"):
        folder = made("odd", lambda path, file=file: (path / file).write_text(text))
        with pytest.raises(EnvironmentFault, match=file):
            start(name="odd", **OPTIONS).run()
        shutil.rmtree(folder.path)


@pytest.mark.parametrize(
    "change",
    (
        {"text": 3},
        {"text": TEXT.replace('"resnext50"', '"../../etc/passwd"')},
        {"text": TEXT.replace('"resnext50"', '"os:system"')},
        {"text": 'inherit = "small"\n'},
        {"text": 'inherit = "../demo"\n'},
        {"text": "x = 1\n" * 200_000},
        {"text": "a = " + "[" * 100_000},
        {"target": -1},
        {"target": 0},
        {"target": 1.5},
        {"target": HUGE},
        {"target": "2G"},
        {"seed": "x"},
        {"space": None},
        {"strategy": 3},
        {"halving": "no"},
    ),
    ids=lambda change: str(change)[:40],
)
def test_forged_run_is_refused(made, change):
    folder = made("forged", lambda path: forged(path / "run.json", **change))
    with pytest.raises(ElasticError, match=r"run\.json") as caught:
        folder.plan()
    assert caught.value.exit_code in (2, 3)


def test_names_in_paths_lead_nowhere_else(made, start, tmp_path):  # noqa: F811
    """Files whose names look like results, and links that lead out of the run."""
    canary = tmp_path / "canary.json"
    canary.write_text("alive")

    def change(path):
        for name in ("0003.json", "٣.json", "-1.json", "1e3.json", "..json", "$(id).json", "a;b.json", "\n.json"):
            (path / "trials" / name).write_text("{}")
        (path / "checkpoints/٣.pt").write_text("")
        for name in ("spent.json", "trials/4.json", "best.toml"):
            (path / name).unlink(missing_ok=True)
            (path / f"{name}.tmp").symlink_to(canary)
        (path / "best.toml").symlink_to(canary)

    folder = made("names", change)
    assert folder.trials() == [0, 1, 2]
    search = start(name="names", **OPTIONS)
    with search.folder.locked():
        assert search.run() == "trials"
    assert canary.read_text() == "alive"
    assert not folder.best_file.is_symlink()
    assert outcome(search)[0] == made.whole[0]


def test_result_far_ahead_of_the_others_makes_no_million_trials(made, start):  # noqa: F811
    def change(path):
        (path / "trials/999999999.json").write_bytes((path / "trials/0.json").read_bytes())
        forged(path / "trials/999999999.json", number=999_999_999)

    made("ahead", change)
    with pytest.raises(EnvironmentFault, match="far ahead"):
        start(name="ahead", **OPTIONS).run()


def test_link_in_the_place_of_a_file_is_replaced_not_followed(tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    (tmp_path / "file").symlink_to(canary)
    write_atomically(tmp_path / "file", "new")
    assert canary.read_text() == "alive"
    assert (tmp_path / "file").read_text() == "new"


def test_reading_a_run_runs_no_code(made, tmp_path, monkeypatch):
    """A pickle in each file's place, and modules beside it that say when they are imported."""
    import pickle

    class Payload:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("ran",))

    names = ("trials/0.json", "spent.json", "best.toml", "study.db", "checkpoints/3.pt", "base.json")
    for name in names:
        folder = made("pickled", lambda path, name=name: (path / name).write_bytes(pickle.dumps(Payload())))
        for module in ("json.py", "search.py", "small.py"):
            (folder.path / module).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        monkeypatch.chdir(folder.path)
        assert [finding.what for finding in examine(folder, folder.plan()) if not finding.sound] == [name]
        assert not (tmp_path / "ran").exists()
        shutil.rmtree(folder.path)
