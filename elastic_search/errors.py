"""The errors a user can cause. Each says what is wrong, the rule, and the way out.

The command line prints ``error:`` and ``hint:`` and exits with ``exit_code``:
1 the answer is no, 2 usage or a file's content, 3 data, environment, storage or disk.
"""


class ElasticError(Exception):
    """Base of all errors that end a command with a message instead of a traceback.

    ``message`` says what is wrong, ``hint`` what to do, and ``str()`` both.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message, self.hint = message, hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class SpecError(ElasticError):
    """A network description breaks a rule of its family."""

    exit_code = 2


class SplitError(SpecError):
    """A branching of a block is malformed or impossible there."""


class ShapeError(SpecError):
    """A node cannot take its input; ``path`` is the node's, "" where none is known."""

    def __init__(self, rule: str, hint: str | None = None, path: str = "") -> None:
        super().__init__(f"{path}: {rule}" if path else rule, hint)
        self.rule, self.path = rule, path

    def inside(self, node: str) -> "ShapeError":
        """The same error, seen from the graph that holds ``node``."""
        return ShapeError(self.rule, self.hint, f"{node}.{self.path}" if self.path else node)


class SpaceTooLargeError(SpecError):
    """A space has too many networks to be counted; the hint names the choices to narrow."""


MOST_LISTED = 5
"""Most names that an error lists."""


class UnknownNameError(SpecError):
    """A name that is not known; the hint holds the nearest that are, or all where they are few."""

    def __init__(self, what: str, name: str, known: "list[str] | tuple[str, ...]", also: str = "") -> None:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=3, cutoff=0.5)
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        elif len(known) <= MOST_LISTED:
            hint = f"known: {', '.join(known)}"
        else:
            nearest = get_close_matches(name, known, n=MOST_LISTED, cutoff=0.0)
            hint = f"the nearest of {len(known)}: {', '.join(nearest)}"
        super().__init__(f"unknown {what} {name!r}", f"{hint} {also}".strip())


class FileError(ElasticError):
    """A file that a person wrote cannot be used; lists every mistake that was found."""

    exit_code = 2


class UsageError(ElasticError):
    """Options that contradict each other."""

    exit_code = 2


class NothingFitsError(ElasticError):
    """No configuration lies inside the band; the message gives the nearest that exist."""


class UnfinishedError(ElasticError):
    """The time ended before there was anything to show."""


class OverBudgetError(ElasticError):
    """A network costs more than it may."""


class MismatchError(ElasticError):
    """Two counts of one network differ."""


class EnvironmentFault(ElasticError):
    """A missing extra, an unusable device, a run folder in use, a full disk."""

    exit_code = 3


class DataError(ElasticError):
    """A data set cannot be used as it is: too few images, classes that differ, files that cannot be read."""

    exit_code = 3


def missing_extra(module: str, extra: str) -> EnvironmentFault:
    """The one line for an optional dependency that is not installed."""
    return EnvironmentFault(f"{module} is not installed", f"pip install 'elastic-search[{extra}]'")
