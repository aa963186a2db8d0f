"""CIFAR's pickles, read without unpickling them: no name that a file gives is imported or called.

A pickle is a program for a small stack machine. This machine builds dictionaries, lists, numbers, texts and arrays, and
nothing else: the few names by which NumPy's arrays are pickled stand for steps that are written here, and any other
name, such as ``os.system``, ends the reading. A CIFAR file is one dictionary:

    {b"data": array of uint8 [10000, 3072], b"labels": [6, 9, …], …}

Of an array only its place in the file is kept, so that images can be read one by one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from elastic_search.data.source import printable
from elastic_search.errors import DataError

MOST_BYTES = 2**29
"""Of a pickle; CIFAR-100's training images take 150 MiB."""

MOST_STEPS = 2_000_000
"""Of the machine, each of which may make an object; CIFAR-100's training images take 250,000."""

LONG = 4096
"""Bytes from which on a string stays in the file."""

MOST_DIMENSIONS = 8

ARRAY, SCALAR, BUFFER, DTYPE, CLASS, ENCODE = "array", "scalar", "buffer", "dtype", "class", "encode"

LEGAL = {
    **{f"numpy.{core}.multiarray._reconstruct": ARRAY for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": SCALAR for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": BUFFER for core in ("core", "_core")},
    "numpy.ndarray": CLASS,
    "numpy.dtype": DTYPE,
    "_codecs.encode": ENCODE,
}
"""The names that a pickle may give, and what each stands for; none is imported."""

INTEGERS = frozenset(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8))
"""Types of arrays that are read."""


class Span(NamedTuple):
    """A long string of bytes, which was left in the file."""

    offset: int
    length: int


@dataclass
class Dtype:
    """Type of an array's numbers, such as "u1", and their byte order."""

    code: str
    order: str = "="


@dataclass
class Array:
    """An array of whole numbers, in C order; its content is bytes where it is short or was written as text."""

    dtype: Dtype | None = None
    shape: tuple[int, ...] = ()
    content: bytes | Span = b""


class _Name(NamedTuple):
    """A legal name that waits for its arguments."""

    stands_for: str


_MARK = object()


class _FaultError(Exception):
    """What is wrong with a pickle."""


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle: numbers, bytes, texts, lists, tuples, dictionaries, and ``Array``.

    Args:
        path: of a file in protocol 2 to 5.

    Raises:
        DataError: if it cannot be read, is cut short or damaged, or wants anything that CIFAR's files do not; names it.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: larger than {MOST_BYTES >> 20} MiB, so no file of CIFAR's")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", "check its permissions") from None
    try:
        return _Machine(content).run()
    except _FaultError as fault:
        raise DataError(f"{path}: {fault}", "give the files of CIFAR-10 or CIFAR-100 as they were published") from None
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, struct.error):
        raise DataError(f"{path}: cut short or damaged", "load the file again from its source") from None


class _Machine:
    """The stack machine, on the bytes of a file."""

    def __init__(self, content: bytes) -> None:
        self._bytes, self._at = content, 0
        self._to_encode = len(content)
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> dict[str, Any]:
        for _ in range(MOST_STEPS):
            code = self.take(1)
            if code == b".":
                break
            step = _STEPS.get(code)
            if step is None:
                raise _FaultError(f"not a pickle of CIFAR's (it has the code {code!r})")
            step(self)
        else:
            raise _FaultError(f"more than {MOST_STEPS:,} steps, so no file of CIFAR's")
        (found,) = self._stack
        if not isinstance(found, dict):
            raise _FaultError("holds no dictionary of images and labels")
        return {_text(key): value for key, value in found.items()}

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def number(self, layout: str) -> Any:
        """The next number of the file, in a layout of ``struct``."""
        (value,) = struct.unpack(f"<{layout}", self.take(struct.calcsize(layout)))
        return value

    def string(self, layout: str) -> bytes | Span:
        """The next bytes of the file, after their number."""
        length = self.number(layout)
        if length < LONG:
            return self.take(length)
        span = Span(self._at, length)
        self._skip(length)
        return span

    def text(self, layout: str) -> None:
        self.push(self.take(self.number(layout)).decode("utf-8", "surrogatepass"))

    def line(self) -> str:
        end = self._bytes.index(b"\n", self._at, self._at + LONG)
        text = self._bytes[self._at : end].decode()
        self._at = end + 1
        return text

    def name(self) -> None:
        self._named(self.line(), self.line())

    def name_on_stack(self) -> None:
        of, module = self._stack.pop(), self._stack.pop()
        self._named(_text(module), _text(of))

    def _named(self, module: str, name: str) -> None:
        stands_for = LEGAL.get(f"{module}.{name}")
        if stands_for is None:
            self.refuse(f"{module}.{name}")
        self.push(_Name(stands_for))

    def refuse(self, what: str) -> NoReturn:
        raise _FaultError(f"refused, as it wants {printable(what)[:80]}: a pickle may run any code")

    def refuse_named(self) -> None:
        self.refuse(f"{self.line()}.{self.line()}")

    def put(self, at: int) -> None:
        self._memo[at] = self._stack[-1]

    def get(self, at: int) -> None:
        self.push(self._memo[at])

    def memoize(self) -> None:
        self.put(len(self._memo))

    def since_mark(self) -> list[Any]:
        """All that was pushed since the last mark, which goes."""
        start = len(self._stack) - 1
        while self._stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise IndexError("no mark")
        found = self._stack[start + 1 :]
        del self._stack[start:]
        return found

    def popped(self, length: int) -> list[Any]:
        """The last values, which go."""
        found = self._stack[-length:]
        if len(found) < length:
            raise IndexError("too few values")
        del self._stack[-length:]
        return found

    def dictionary(self, values: list[Any]) -> None:
        self.push({})
        self.update(values)

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise TypeError("not a list")
        self._stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        target = self._stack[-1]
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(target, dict) or not isinstance(key, (str, bytes, int)):
                raise TypeError("not a key")  # the hash of nested tuples may take forever
            target[key] = value

    def call(self) -> None:
        """Do what a legal name stands for."""
        arguments, name = self._stack.pop(), self._stack.pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise TypeError("not a name with arguments")
        if name.stands_for == ENCODE:  # of one text again and again, what is made of it would have no bound
            self._to_encode -= len(arguments[0])
            if self._to_encode < 0:
                raise ValueError("more text than the file has")
        self.push(_CALLS[name.stands_for](*arguments))

    def build(self) -> None:
        """Fill in an array or its type."""
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Dtype):
            target.order = _text(state[1])
        elif isinstance(target, Array):
            _, shape, dtype, in_columns, content = state
            made = _array(content, dtype, shape, "F" if in_columns else "C")
            target.dtype, target.shape, target.content = made.dtype, made.shape, made.content
        else:
            raise TypeError("nothing that is built")

    def take(self, length: int) -> bytes:
        start = self._at
        self._skip(length)
        return self._bytes[start : self._at]

    def _skip(self, length: int) -> None:
        if not 0 <= length <= len(self._bytes) - self._at:
            raise ValueError("cut short")
        self._at += length


def _array(content: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    if not isinstance(dtype, Dtype) or dtype.code not in INTEGERS or dtype.order not in ("|", "<", ">", "="):
        raise _FaultError(f"refused, as it holds an array of {'objects' if 'O' in _code(dtype) else _code(dtype)}")
    if not isinstance(content, (bytes, Span)) or not isinstance(shape, tuple) or len(shape) > MOST_DIMENSIONS:
        raise TypeError("not an array")
    if _text(order) != "C" and len(shape) > 1:
        raise _FaultError("holds an array in Fortran's order")
    if not all(isinstance(edge, int) and 0 <= edge <= MOST_BYTES for edge in shape):
        raise TypeError("not a shape")
    length = content.length if isinstance(content, Span) else len(content)
    if math.prod(shape) * int(dtype.code[1]) != length:
        by = " x ".join(map(str, shape))
        raise _FaultError(f"holds an array that says it is {by} of {dtype.code}, and has {length:,} bytes")
    return Array(dtype, shape, content)


def _code(dtype: Any) -> str:
    return printable(dtype.code) if isinstance(dtype, Dtype) else "no known type"


def _scalar(dtype: Dtype, content: bytes) -> int:
    _array(content, dtype, ())
    return int.from_bytes(content, "big" if dtype.order == ">" else "little", signed=dtype.code.startswith("i"))


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("not how bytes are written")
    return text.encode("latin-1")


def _text(value: Any) -> str:
    """A text that Python 2 may have written as bytes."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


_CALLS: dict[str, Callable[..., Any]] = {
    ARRAY: lambda *_: Array(),
    SCALAR: _scalar,
    BUFFER: _array,
    DTYPE: lambda code, *_: Dtype(_text(code[:8])),
    ENCODE: _encoded,
}

_STEPS: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda m: m.number("B"),  # the protocol
    b"\x95": lambda m: m.number("Q"),  # the length of a frame
    b"(": lambda m: m.push(_MARK),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("B")),
    b"M": lambda m: m.push(m.number("H")),
    b"J": lambda m: m.push(m.number("i")),
    b"\x8a": lambda m: m.push(int.from_bytes(m.take(m.number("B")), "little", signed=True)),
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"U": lambda m: m.push(m.string("B")),
    b"T": lambda m: m.push(m.string("i")),
    b"C": lambda m: m.push(m.string("B")),
    b"B": lambda m: m.push(m.string("I")),
    b"\x8e": lambda m: m.push(m.string("Q")),
    b"\x96": lambda m: m.push(m.string("Q")),
    b"X": lambda m: m.text("I"),
    b"\x8c": lambda m: m.text("B"),
    b"\x8d": lambda m: m.text("Q"),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b")": lambda m: m.push(()),
    b"d": lambda m: m.dictionary(m.since_mark()),
    b"l": lambda m: m.push(m.since_mark()),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.push(tuple(m.popped(1))),
    b"\x86": lambda m: m.push(tuple(m.popped(2))),
    b"\x87": lambda m: m.push(tuple(m.popped(3))),
    b"a": lambda m: m.extend(m.popped(1)),
    b"e": lambda m: m.extend(m.since_mark()),
    b"s": lambda m: m.update(m.popped(2)),
    b"u": lambda m: m.update(m.since_mark()),
    b"q": lambda m: m.put(m.number("B")),
    b"r": lambda m: m.put(m.number("I")),
    b"\x94": lambda m: m.memoize(),
    b"h": lambda m: m.get(m.number("B")),
    b"j": lambda m: m.get(m.number("I")),
    b"c": lambda m: m.name(),
    b"\x93": lambda m: m.name_on_stack(),
    b"R": lambda m: m.call(),
    b"b": lambda m: m.build(),
    b"i": lambda m: m.refuse_named(),
}
"""What the codes of a pickle do; the rest, such as those that make an object of a class, are refused."""
