"""The wheel, installed away from the checkout, holds what it needs."""

import importlib.util
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A Python that has the wheel, and this environment's third parties but not its editable install."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = next((folder / "venv").glob("*/python"))
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", purelib], capture_output=True, text=True, check=True).stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    own = importlib.util.find_spec("click").origin
    # A plain line in a .pth file adds a folder but does not run that folder's own .pth files.
    (site / "third_parties.pth").write_text(f"{Path(own).parents[1]}\n")
    return python


@pytest.mark.slow
def test_wheel_holds_data_licences_and_spaces(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "elastic_search/paper/tables.toml",
        "elastic_search/search_spaces/demo.toml",
        "elastic_search/search_spaces/resnext50.toml",
        "elastic_search/data/fashion_mnist_subset.xz",
        "elastic_search/data/FASHION_MNIST_LICENSE.txt",
        "elastic_search/py.typed",
    ):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "benchmarks/", "search_spaces/")) for name in names)


@pytest.mark.slow
def test_installed_wheel_counts_and_finds_its_spaces_from_any_folder(installed, tmp_path):
    def run(*args):
        command = [installed, "-m", "elastic_search", *args]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    where = subprocess.run(
        [installed, "-c", "import elastic_search; print(elastic_search.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(ROOT) not in where.stdout
    assert "4.177" in run("flops", "resnext50", "--elastic").stdout
    done = run("search", "demo", "--trials", "1", "--dry-run", "--device", "cpu", "--name", "x")
    assert done.returncode == 0, done.stderr
    assert "18 of 128 networks" in done.stdout


def test_editable_install_finds_its_spaces_from_any_folder(command):
    done = command("search", "demo", "--trials", "1", "--name", "..", check=2)
    assert "run name" in done.stderr
