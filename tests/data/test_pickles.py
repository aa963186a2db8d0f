"""Pickles are read without running them, whatever they hold."""

import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic_search.data import pickles
from elastic_search.data.pickles import Dtype, Span, read_pickle
from elastic_search.errors import DataError
from tests.data.array_files import Attack, images, labels, planes, python2, python3

CIFAR = {b"data": planes(images(4)), b"labels": [3, 1, 4, 1], b"filenames": [b"a.png", b"b.png", b"c.png", b"d.png"]}


def read(path, content):
    path.write_bytes(content)
    return read_pickle(path)


def content_of(path, array):
    if isinstance(array.content, Span):
        return path.read_bytes()[array.content.offset :][: array.content.length]
    return array.content


@pytest.mark.parametrize("write", [python2, *(lambda value, p=p: pickle.dumps(value, p) for p in (2, 3, 4, 5))])
def test_cifars_dictionary_is_read_as_it_was_written(tmp_path, write):
    file = tmp_path / "data_batch_1"
    found = read(file, write(CIFAR))
    assert found["labels"] == [3, 1, 4, 1]
    assert found["filenames"][3] == b"d.png"
    assert (found["data"].dtype, found["data"].shape) == (Dtype("u1", "|"), (4, 3072))
    assert content_of(file, found["data"]) == CIFAR[b"data"].tobytes()


def test_pixels_of_cifars_own_files_stay_in_the_file(tmp_path):
    found = read(tmp_path / "data_batch_1", python2(CIFAR))
    assert isinstance(found["data"].content, Span)


def test_numbers_of_every_kind_are_read(tmp_path):
    said = {"n": [0, 255, 65535, -1, 2**40, -(2**40)], "x": 1.5, "t": (None, True), "i": np.int16(-7), "a": labels(3)}
    for protocol in (2, 4, 5):
        found = read(tmp_path / "file", pickle.dumps(said, protocol))
        assert [found[key] for key in "nxti"] == [said["n"], 1.5, (None, True), -7]
        assert found["a"].content == labels(3).tobytes()


class System:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


HOSTILE = {
    "a call": (pickle.dumps({b"data": System(os.system, "touch ran")}, 2), f"wants {os.system.__module__}.system"),
    "a call in protocol 0": (pickle.dumps(System(os.system, "touch ran"), 0), f"wants {os.system.__module__}.system"),
    "a call in protocol 4": (pickle.dumps([System(os.system, "touch ran")], 4), f"wants {os.system.__module__}.system"),
    "eval": (pickle.dumps({1: System(eval, "1")}, 2), "wants __builtin__.eval"),
    "an old call": (b"(S'touch ran'\nios\nsystem\n.", "it has the code b'S'"),
    "an instance": (b"(ios\nsystem\n.", "wants os.system"),
    "an object": (pickle.dumps({b"data": Attack()}, 2), "wants sys.exit"),
    "an array of objects": (pickle.dumps({b"data": np.array([Attack()], object)}, 2), "wants sys.exit"),
    "an array of plain objects": (pickle.dumps({b"data": np.array([{}, None], object)}, 2), "array of objects"),
    "an array of texts": (pickle.dumps({b"data": np.array(["a", "b"])}, 2), "array of U1"),
    "columns": (pickle.dumps({b"data": np.asfortranarray(images(4, 0, (3,)))}, 2), "in Fortran's order"),
    "a name under numpy": (b"\x80\x02cnumpy.core.multiarray\nfromfile\n.", "wants numpy.core.multiarray.fromfile"),
    "a list": (pickle.dumps([1, 2], 2), "no dictionary"),
    "keys that cannot be hashed in time": (pickle.dumps({((1,), 2): 3}, 2), "cut short or damaged"),
    "an extension": (b"\x80\x02\x82\x01.", "it has the code"),
    "a class's object": (b"\x80\x02cnumpy\nndarray\n)\x81.", "it has the code"),
    "the shape of more": (python2(CIFAR).replace(struct.pack("<i", 3072), struct.pack("<i", 3073), 1), "says it is"),
    "nothing": (b"", "cut short or damaged"),
    "text": (b"hello world", "cut short or damaged"),
    "a control character in a name": (b"\x80\x02cos\x1b[31m\nsystem\n.", r"wants os\\x1b\[31m.system"),
    "text without end": (b"c" + b"a" * 100_000, "cut short or damaged"),
    "a call of nothing": (b"\x80\x02R.", "cut short or damaged"),
    "no mark": (b"\x80\x02K\x01t.", "cut short or damaged"),
    "a memory that is not there": (b"\x80\x02j\xff\xff\xff\xff.", "cut short or damaged"),
    "a length beyond the end": (b"\x80\x02T\xff\xff\xff\x7fabc.", "cut short or damaged"),
    "a negative length": (b"\x80\x02T\xff\xff\xff\xffabc.", "cut short or damaged"),
    "an array that was never filled": (b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\n)Rs.", None),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickle_is_one_line_that_says_why(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    content, message = HOSTILE[case]
    if message is None:
        assert read(tmp_path / "file", content)["data"].dtype is None
        return
    with pytest.raises(DataError, match=message) as raised:
        read(tmp_path / "file", content)
    assert raised.value.exit_code == 3
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "ran").exists()


@given(st.data())
def test_damaged_pickle_is_read_or_refused(tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from((python2(CIFAR), python3({**CIFAR, b"n": np.int32(3)})))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(300, len(content) - 1)))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    file = tmp_path_factory.getbasetemp() / "damaged"
    try:
        found = read(file, bytes(content))
    except DataError:
        return
    assert all(isinstance(key, str) for key in found)


def test_every_shorter_file_is_refused(tmp_path):
    whole = python2(CIFAR)
    for end in (*range(60), *range(60, len(whole), 997), len(whole) - 1):
        with pytest.raises(DataError):
            read(tmp_path / "file", whole[:end])


def test_steps_and_bytes_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MOST_STEPS", 1000)
    with pytest.raises(DataError, match="more than 1,000 steps"):
        read(tmp_path / "file", b"\x80\x02" + b"}" * 5000 + b".")
    monkeypatch.setattr(pickles, "MOST_BYTES", 2**20)
    with pytest.raises(DataError, match="larger than 1 MiB"):
        read(tmp_path / "file", bytes(2**20 + 1))


def test_one_text_is_not_encoded_again_and_again(tmp_path):
    text = b"X" + struct.pack("<I", 100_000) + bytes(100_000) + b"q\x01"
    again = b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R"
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "file", b"\x80\x02(" + text + 1000 * again + b"l.")


def test_array_of_the_test_is_one_of_cifars():
    """What ``python2`` writes is what Python itself reads."""
    found = pickle.loads(python2(CIFAR), encoding="bytes")
    assert np.array_equal(found[b"data"], CIFAR[b"data"])
