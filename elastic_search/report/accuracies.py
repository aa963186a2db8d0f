"""Accuracies of a search as columns, how sure they are, and which rows they tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot, sqrt
from statistics import median, stdev
from typing import TYPE_CHECKING

from elastic_search.report.emit import Field, Record

if TYPE_CHECKING:
    from elastic_search.recipes import About, Split
    from elastic_search.recipes.training import Metric

OPTIMISTIC = "ranked on these {}, so the first row's accuracy is optimistic; {} ranks on others"
APART = 2.0  # standard errors of a difference from which on two rows are told apart: about 95 %
MOST_NAMED = 6
FEWEST = 3  # networks from which on their accuracies have a spread
SHORT = {"accuracy": "acc", "balanced_accuracy": "bal acc", "f1": "F1"}
LONG = {"accuracy": "top-1", "balanced_accuracy": "balanced accuracy", "f1": "macro F1"}
UNNAMED = {"train": "train", "rank": "held-out", "final": "final"}
"""What columns call a split whose name is more than a word, such as a share of a folder."""

NAMES = {"base": "the base", "base*": "the base", "scaled": "the scaled base"}


def standard_error(accuracy: float, images: int) -> float:
    """Half the Wilson interval of one standard error: that of a share of right answers among ``images``.

    Unlike the root of p (1 - p) / n it is not 0 where all answers are right, or none.
    """
    return sqrt(accuracy * (1 - accuracy) / images + 1 / (4 * images**2)) / (1 + 1 / images)


def accuracy_title(about: About, split: Split, metric: Metric = "accuracy") -> str:
    """Title of the column of the accuracy on a split: "val acc" for a split called val or val/."""
    if "final" not in about.images and not about.sealed:
        return f"proxy {SHORT[metric]}"
    name = about.splits[split].removesuffix("/")
    return f"{name if name.isalpha() else UNNAMED[split]} {SHORT[metric]}"


def accuracy_fields(about: About, metric: Metric = "accuracy") -> list[Field]:
    """Columns of accuracies: the one that ranks, then the one that is shown, with its standard error beside it.

    Where only some of the networks get the second one, the first has its standard error, too.
    """
    ranked, error = (
        Field("accuracy", accuracy_title(about, "rank", metric), "percent"),
        Field("standard_error", "±", "percent"),
    )
    if "final" not in about.images:
        return [ranked, error]
    final = [Field("test_accuracy", accuracy_title(about, "final", metric), "percent"), error]
    return [ranked, *([Field("ranked_error", "±", "percent")] if about.sealed else []), *final]


def accuracy_notes(rows: Sequence[Record], about: About, metric: Metric = "accuracy") -> list[str]:
    """What the standard errors are of, and which of a run's rows they tell apart; a base is the first row."""
    has_final = "final" in about.images
    own = ("images", "rank_on in [data]") if about.sealed else ("scenes", "val_images in [proxy]")
    notes = [] if has_final else [OPTIMISTIC.format(*own)]
    key = "test_accuracy" if has_final else "accuracy"
    whole = [row for row in rows if row[key] is not None and row["place"] not in ("stopped", "failed")]
    notes.append(images_note(about, metric))
    notes += spread_note(rows, about, metric)
    if len(whole) < 2:
        return notes
    largest = sorted(row["standard_error"] for row in whole)[-2:]
    apart = f"told apart: rows that differ by {APART:g} standard errors of a difference, unpaired"
    notes.append(f"{apart} (at most {APART * hypot(*largest):.1%}); {'; '.join(_told_apart(whole, key))}")
    return notes


def spread_note(rows: Sequence[Record], about: About, metric: Metric = "accuracy") -> list[str]:
    """A warning where the images that rank are too few to rank by; [] where they are not, or for under three networks.

    That is where the standard error of the accuracy that ranks, the median over the networks, exceeds the standard
    deviation of these accuracies: chance alone would spread them as far.
    """
    whole = [row for row in rows if row["accuracy"] is not None and row["place"] not in ("stopped", "failed")]
    if len(whole) < FEWEST:
        return []
    error, spread = median(row["ranked_error"] for row in whole), stdev(row["accuracy"] for row in whole)
    if error <= spread:
        return []
    return [
        f"warning: the ranking is chance: one standard error of {accuracy_title(about, 'rank', metric)} "
        f"({error:.1%}, of {about.images['rank']:,} images) exceeds the spread of the {len(whole)} networks "
        f"({spread:.1%}, one standard deviation); rank on more images"
    ]


def images_note(about: About, metric: Metric = "accuracy") -> str:
    """What the standard errors are of."""
    splits: list[Split] = ["final" if "final" in about.images else "rank"]
    if about.sealed and splits == ["final"]:
        splits = ["rank", "final"]
    how = "Wilson" if metric == "accuracy" else "resampled"
    of = ", ".join(
        f"{accuracy_title(about, split, metric)} ({how}, of {about.images[split]:,} images)" for split in splits
    )
    return f"±: one standard error of {of}; the seed's spread is not in it"


def _told_apart(rows: Sequence[Record], key: str) -> list[str]:
    """For the base and the first in rank, the other rows that differ from them by more than chance."""
    said = []
    bases = [row for row in rows if not row["place"].isdecimal()]
    for one in (*bases[-1:], *[row for row in rows if row["place"].isdecimal()][:1]):
        far = [
            row["place"]
            for row in rows
            if abs(row[key] - one[key]) > APART * hypot(row["standard_error"], one["standard_error"])
        ]
        named = ", ".join(far) if len(far) <= MOST_NAMED else f"{len(far)} rows"
        said.append(f"from {NAMES.get(one['place'], one['place'])}: {named or 'none'}")
    return said
