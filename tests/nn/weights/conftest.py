import pytest

from elastic_search.arch.zoo import PUBLISHED, Published
from tests.nn.weights.staging import SMALL


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    for name, spec in SMALL.items():
        monkeypatch.setitem(PUBLISHED, f"small_{name}", Published(lambda spec=spec: spec, "2"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.pth.tar"
    yield path
    path.unlink(missing_ok=True)  # large, and pytest keeps its folders
