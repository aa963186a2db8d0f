"""Whether what a command prints keeps the contract of ``report.contract``; reports of a run that needs no training."""

import csv
import io
import re
from dataclasses import replace
from types import SimpleNamespace

from elastic_search.files import load_space
from elastic_search.report.checks import findings_report, weights_report
from elastic_search.report.searches import curves_report, plan_report, plans_report, search_report, sweep_report
from elastic_search.search.plan import Forecast, Pace
from elastic_search.search.store.ranking import Row
from elastic_search.search.store.result import Result

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
    "counts by name": _by_name(_by_name(PLAIN["integer"])),
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


def of_a_search():
    """Reports of a search and of what reads its record, made without training."""
    space = load_space("demo")
    spec, base = space.matcher.extremes[0].spec, space.space.base
    result = Result(
        None,
        None,
        "a",
        10,
        5,
        accuracy=0.5,
        test_accuracy=0.55,
        curve=(0.4, 0.5),
        seconds=1.5,
        proxy_macs=7,
        proxy_params=3,
    )
    tried = replace(result, number=0, accuracy_by_size={"small": 0.5}, accuracies=(0.5, 0.6))
    failed = replace(tried, number=2, accuracy=None, test_accuracy=None, reason="out of memory", accuracies=())
    rows = [Row("base", result, base, 0.0), Row("1", tried, spec, 0.01)]
    rows += [Row("stopped", replace(tried, number=1, stopped=True, accuracies=()), spec, -0.01)]
    rows += [Row("failed", failed, spec, 0.0)]
    run = SimpleNamespace(
        **{"rows": lambda: rows, "space": space, "inside": 25, "ended": "trials", "title": "A run"},
        folder=SimpleNamespace(name="demo", spent_seconds=2.5),
        settings=SimpleNamespace(seed=0, strategy="uniform", workers=2),
        halving=SimpleNamespace(rungs=[1, 3]),
        pace=Pace(1.0, 0.5, 2.0),
    )
    plan = plan_report(run, Forecast(3, 2, 9, 60.0, True, None))
    front = [replace(rows[0], front=True), replace(rows[1], band=0, front=False)]
    conversion = SimpleNamespace(
        same=3, renamed=2, merged=0, dropped=(("heads", 1),), keys=6, tensors=5, source_sha256="ab"
    )
    findings = [
        {"what": "disk", "sound": True, "says": "1 GB", "cure": ""},
        {"what": "torch", "sound": False, "says": "none", "cure": "install it"},
    ]
    return [
        search_report(run, "all trials are done"),
        sweep_report("demo", [run], front),
        plan,
        plans_report([plan, plan]),
        curves_report("demo", "base", [0.1, 0.2], [0.1, 0.3], ["torch: 1 then, 2 now"]),
        findings_report(findings, "This environment"),
        weights_report("resnext50", "a.pth", "a.safetensors", conversion),
    ]
