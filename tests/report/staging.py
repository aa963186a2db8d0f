"""Whether what a command prints keeps the contract of ``report.contract``."""

import csv
import io
import re

PLAIN = {
    "text": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
}
PLAIN["fraction"] = PLAIN["number"]


def _all(of, length=None):
    return lambda value: isinstance(value, list) and all(map(of, value)) and length in (None, len(value))


def _by_name(of):
    return lambda value: isinstance(value, dict) and all(map(of, value.values()))


JSON = {
    **PLAIN,
    "texts": _all(PLAIN["text"]),
    "integers": _all(PLAIN["integer"]),
    "fractions": _all(PLAIN["number"]),
    "shape": _all(PLAIN["integer"], 3),
    "sizes": _all(_all(PLAIN["integer"], 2)),
    "counts": _by_name(PLAIN["integer"]),
    "fractions by name": _by_name(PLAIN["number"]),
    "texts by name": _by_name(PLAIN["text"]),
}

NUMBER = r"-?\d+(\.\d+)?(e[+-]?\d+)?"
CSV = {
    "text": r"(?s:.+)",
    "integer": r"-?\d+",
    "number": NUMBER,
    "fraction": NUMBER,
    "boolean": "true|false",
    "texts": r"(\S+( \S+)*)?",
    "integers": r"(\d+(-\d+)*)?",
    "shape": r"\d+x\d+x\d+",
    "sizes": r"(\d+x\d+(\+\d+x\d+)*)?",
    "counts": r"(\S+=\d+( \S+=\d+)*)?",
}


def violations(form, document):
    """Where a JSON document does not keep the contract."""
    return list(_object(form, form.objects(), "", "", document))


def _object(form, objects, place, path, value):
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not an object"
        return
    names = objects[place].split()
    known = {name.rstrip("?") for name in names}
    yield from (f"{path}: no key {name!r}" for name in names if not name.endswith("?") and name not in value)
    yield from (f"{path}: unknown key {name!r}" for name in value if name not in known)
    for name in known & value.keys():
        yield from _value(form, objects, f"{place}.{name}".lstrip("."), f"{path}.{name}".lstrip("."), value[name])


def _value(form, objects, place, path, value):
    kind = form.key(place).type
    if value is None:
        if not kind.endswith("?"):
            yield f"{path}: null"
    elif f"{place}[]" in objects:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is not a list"
            return
        for i, entry in enumerate(value):
            yield from _object(form, objects, f"{place}[]", f"{path}[{i}]", entry)
    elif f"{place}.*" in objects:
        for name, entry in value.items():
            yield from _object(form, objects, f"{place}.*", f"{path}.{name}", entry)
    elif place in objects:
        yield from _object(form, objects, place, path, value)
    elif not JSON[kind.rstrip("?")](value):
        yield f"{path}: {value!r} is not {kind}"


def strays(form, text):
    """Where a CSV file does not keep the contract."""
    header, *rows = csv.reader(io.StringIO(text))
    expected = form.header([dict.fromkeys(header)])
    found = [] if header == expected else [f"columns {header} where {expected} belong"]
    found += [] if rows else ["no rows"]
    for row in rows:
        found += [] if len(row) == len(header) else [f"{len(row)} cells: {row}"]
        for name, cell in zip(header, row, strict=False):
            if name not in expected:
                continue
            kind = form.key(name, column=True).type
            empty = kind.endswith("?") and not cell
            if not empty and not re.fullmatch(CSV[kind.rstrip("?")], cell):
                found.append(f"{name}: {cell!r} is not {kind}")
    return found
