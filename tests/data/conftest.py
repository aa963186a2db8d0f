import pytest

from elastic_search.data.folder import FolderSource


@pytest.fixture
def reads(monkeypatch):
    """Names of the images that are read in this process, in no particular order within a batch."""
    names, read = [], FolderSource.read

    def counted(self, entry, edge):
        names.append(entry.name)
        return read(self, entry, edge)

    monkeypatch.setattr(FolderSource, "read", counted)
    return names
