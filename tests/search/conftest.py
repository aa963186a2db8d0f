import os

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine


def _do_not_wait(connection, record):
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(autouse=True)
def nobody_waits_for_the_disk(monkeypatch):
    """The kills of these tests are exceptions: what was written is there, whether or not the disk has it."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    event.listen(Engine, "connect", _do_not_wait)
    yield
    event.remove(Engine, "connect", _do_not_wait)
