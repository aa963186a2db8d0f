"""``draw``: the command."""

import xml.etree.ElementTree as ET

import pytest

from elastic_search.arch.zoo import published
from elastic_search.files import dump_spec
from tests.staging import HEAVY, loaded_by, on_a_terminal


@pytest.mark.parametrize(("suffix", "start"), ((".svg", "<svg "), (".dot", "digraph "), (".mmd", "flowchart TB")))
def test_suffix_gives_the_format(command, tmp_path, suffix, start):
    done = command("draw", "resnext50", "-o", f"net{suffix}")
    assert done.stdout == ""
    assert f"wrote net{suffix}" in done.stderr
    assert (tmp_path / f"net{suffix}").read_text(encoding="utf-8").startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [f"net{suffix}"]


def test_format_overrides_the_suffix_and_stdout_takes_any(command, tmp_path):
    command("draw", "resnext50", "-o", "net.txt", "--format", "dot", "--by", "stage")
    text = command("draw", "resnext50", "--format", "dot", "--by", "stage", PYTHONIOENCODING="ascii").stdout
    assert (tmp_path / "net.txt").read_text(encoding="utf-8") == text
    ET.fromstring(command("draw", "resnext50").stdout)


def test_svg_is_not_poured_onto_a_terminal():
    with pytest.raises(AssertionError):
        on_a_terminal("draw", "resnext50")
    assert "flowchart TB" in on_a_terminal("draw", "resnext50", "--format", "mermaid", "--by", "stage")


def test_name_of_a_file_is_escaped_everywhere(command, tmp_path):
    name = 'a"b<&]\\.toml'
    (tmp_path / name).write_text(dump_spec(published("resnext50")))
    ET.fromstring(command("draw", f"./{name}").stdout)
    assert 'digraph "./a\\"b<&]\\\\.toml" {' in command("draw", f"./{name}", "--format", "dot").stdout
    command("draw", f"./{name}", "--format", "mermaid")


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    (
        ("draw", 2, "missing argument"),
        ("draw resnext5 -o net.svg", 2, "did you mean resnext50"),
        ("draw resnext50 -o net.bmp", 2, "use one of .svg"),
        ("draw resnext50 -o nowhere/net.svg", 3, "cannot be written"),
        ("draw densenet201 --input 16 -o net.svg", 2, "does not fit"),
        ("draw resnext50 --format bmp", 2, "svg"),
    ),
)
def test_wrong_use_ends_with_a_message(command, tmp_path, args, code, expected):
    done = command(*args.split(), check=code)
    assert expected in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_drawing_loads_nothing_heavy(tmp_path):
    assert not loaded_by("draw", "resnext50", "-o", str(tmp_path / "net.svg")) & HEAVY
