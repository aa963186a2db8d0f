import json

from tests.cli.staging import made, run, searched  # noqa: F401


def test_sound_run_is_exit_0_and_damage_is_found_and_repaired_on_a_copy(command, run):  # noqa: F811
    assert json.loads(command("doctor", "tiny", "--json").stdout)["sound"]
    file = run / "trials/0.json"
    damaged = file.read_text().replace('"cost": 3', '"cost": 4')
    assert damaged != file.read_text()
    file.write_text(damaged)
    done = command("doctor", "tiny", "--repair", check=1)
    assert "checksum" in done.stdout
    assert file.read_text() == damaged
    copy = run.with_name("tiny-repaired")
    assert (copy / "damaged/trials/0.json").read_text() == damaged
    assert command("doctor", "tiny-repaired").stdout.count("FAULT") == 0


def test_damaged_database_and_checkpoint_are_found(command, run):  # noqa: F811
    study = run / "study.db"
    content = bytearray(study.read_bytes())
    content[4096:12288] = bytes(8192)
    study.write_bytes(bytes(content))
    (run / "checkpoints").mkdir(exist_ok=True)
    (run / "checkpoints/5.pt").write_bytes(b"torn")
    data = json.loads(command("doctor", "tiny", "--json", check=1).stdout)
    assert {f["what"] for f in data["findings"] if not f["sound"]} == {"study.db", "checkpoints/5.pt"}


def test_environment_is_described(command):
    data = json.loads(command("doctor", "--json").stdout)
    assert {"torch", "device", "disk"} <= {finding["what"] for finding in data["findings"]}


def test_damaged_description_is_a_fault_with_a_cure_that_is_true(command, tmp_path):
    (tmp_path / "runs/d").mkdir(parents=True)
    (tmp_path / "runs/d/run.json").write_text("")
    for more in ((), ("--repair",)):
        done = command("doctor", "d", *more, check=1)
        assert "run.json" in done.stdout
        assert "another --name" in done.stdout
        assert "--repair" not in done.stdout
