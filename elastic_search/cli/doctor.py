"""``elastic-search doctor``: whether this environment, or a run's folder, is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from elastic_search import __version__
from elastic_search.cli.options import dir_option, format_options, require, runs_complete
from elastic_search.errors import ElasticError, EnvironmentFault, UsageError

if TYPE_CHECKING:
    from pathlib import Path

EXTRAS = {
    "search": ("torch", "optuna", "sqlalchemy", "filelock", "fvcore", "pillow"),
    "weights": ("safetensors",),
    "plot": ("matplotlib", "plotext"),
    "cluster": ("psycopg",),
    "tools": ("ptflops", "thop", "torchinfo"),
    "models": ("timm", "torchvision"),
}
"""Extras and the packages that they install."""

BRINGS = {
    "search": "searches, validate and your own modules",
    "weights": "published weights",
    "plot": "Figure 4 as a picture and in the terminal",
    "cluster": "searches on many machines",
    "tools": "validate --tools all",
    "models": "timm:NAME and torchvision:NAME",
}
"""What an extra is for."""

FREE_BYTES = 500 * 10**6
"""Free disk space that a long search needs."""


@click.command()
@click.argument("name", required=False, shell_complete=runs_complete)
@click.option("--repair", is_flag=True, help="Write a repaired copy of the run, NAME-repaired.")
@dir_option
@format_options
def doctor(name: str | None, repair: bool, root: str, fmt: str) -> None:
    """Check this environment, or the files of the run NAME, and say how to fix what is wrong.

    Without NAME: Python, extras, device and disk. With NAME: checksums of all results, the database and whether it
    agrees with them, checkpoints, and the cost of the best network. Nothing is changed. --repair writes a copy of the
    run without the damaged files, to be continued with search --name NAME-repaired. Exits with 1 if a check fails.
    """
    from pathlib import Path

    from elastic_search.report.checks import findings_report
    from elastic_search.report.emit import emit

    if name is None:
        if repair:
            raise UsageError("--repair needs a run", "give its NAME")
        findings, title = _environment(Path(root)), "This environment"
    else:
        findings, title = _run(Path(root), name, repair), f"Run {name}"
    emit(findings_report(findings, title), fmt)
    if not all(finding["sound"] for finding in findings):
        raise SystemExit(1)


def _run(root: Path, name: str, repair: bool) -> list[dict[str, Any]]:

    require("optuna", "sqlalchemy", "filelock")
    from elastic_search.search.store.folder import RunFolder
    from elastic_search.search.store.integrity import examine, repaired

    folder = RunFolder(root, name)
    try:
        plan = folder.plan()
    except EnvironmentFault as error:
        cure = "this file cannot be restored; start again under another --name (the results remain readable)"
        return [_finding("run.json", False, error.message.removeprefix(f"{folder.path / 'run.json'}: "), cure)]
    with folder.locked(sweep=False):
        found = examine(folder, plan)
        if repair and all(finding.sound for finding in found):
            click.echo("nothing to repair; no copy was written", err=True)
        elif repair:
            copy = repaired(folder, found)
            click.echo(f"wrote a repaired copy to {copy.path}; continue it with --name {copy.name}", err=True)
    return [_finding(f.what, f.sound, f.says, f.cure.replace("NAME", name)) for f in found]


def _environment(root: Path) -> list[dict[str, Any]]:
    import platform
    import shutil
    import tempfile
    from importlib import metadata
    from importlib.util import find_spec

    found = [_finding("elastic-search", True, f"{__version__}, Python {platform.python_version()}")]
    for extra, module in ((extra, module) for extra, modules in EXTRAS.items() for module in modules):
        try:
            found.append(_finding(module, True, metadata.version(module)))
        except metadata.PackageNotFoundError:
            brings = f"not installed: pip install 'elastic-search[{extra}]' brings {BRINGS[extra]}"
            found.append(_finding(module, True, brings))
    if find_spec("torch") is not None:
        from elastic_search.train.device import choose_device, describe, torch_version

        try:
            found.append(_finding("device", True, f"{describe(choose_device('auto'))} (torch {torch_version()})"))
        except ElasticError as error:
            found.append(_finding("device", False, error.message, error.hint or ""))
    folder = next(path for path in (root.resolve(), *root.resolve().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    cure = "free some space, or choose another --dir"
    found.append(_finding("disk", free >= FREE_BYTES, f"{free / 10**9:.1f} GB free at {folder}", cure))
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)
    except OSError as error:
        return [*found, _finding("folder", False, f"{folder}: {error.strerror}", "choose another --dir")]
    return [*found, _finding("folder", True, f"{folder} is writable")]


def _finding(what: str, sound: bool, says: str, cure: str = "") -> dict[str, Any]:
    return {"what": what, "sound": sound, "says": says, "cure": "" if sound else cure}
