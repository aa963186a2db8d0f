"""Locks that end with their process."""

import subprocess
import sys

from elastic_search.search.claims import Claims

HOLDER = """
import sys
from pathlib import Path
from elastic_search.search.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(claims.take("7"), flush=True)
sys.stdin.read()
"""


def test_claim_is_free_as_soon_as_its_process_is_killed(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "True\n"
        claims = Claims(tmp_path)
        assert not claims.take("7")
        assert claims.take("8")
        holder.kill()
        holder.wait()
        assert claims.take("7")


def test_claim_that_was_released_can_be_taken_by_another(tmp_path):
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert first.take("3")
    assert first.take("3")
    assert not second.take("3")
    first.release("3")
    assert second.take("3")
    second.release("3", ended=True)
    assert not (tmp_path / "3.lock").exists()
    assert first.take("3")
