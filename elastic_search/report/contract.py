"""The machine formats as a contract: the keys of JSON and CSV of every command, with type, unit and meaning.

One place says it: ``emit`` takes the columns of CSV from here, ``tools/formats.py`` writes docs/formats.md from here,
and a test compares what every command prints with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from elastic_search.report.key import Key
from elastic_search.report.keys import KEYS

Paths = dict[str, str]
"""Keys of the objects in a JSON document, by the path of the object: ``networks[].parts[]``."""


class Form(NamedTuple):
    """What one command, or one way of calling it, prints.

    Attributes:
        name: the value of ``form`` in JSON: the command, with the options that change what it prints.
        columns: the keys of CSV in order; "x_*" stands for all keys that begin with "x_". Empty without CSV.
        document: the keys of JSON; one that ends in "?" is not always there.
        about: a sentence on when it is printed, if the name does not say it.
    """

    name: str
    columns: str
    document: Paths
    about: str = ""

    def header(self, rows: Iterable[dict[str, Any]]) -> list[str]:
        """The header of CSV for some rows."""
        keys, known = list[str](), self.columns.split()
        for key in known:
            if key.endswith("*"):
                keys += dict.fromkeys(k for row in rows for k in row if k.startswith(key[:-1]) and k not in known)
            else:
                keys.append(key)
        return keys

    def objects(self) -> Paths:
        """``document`` with the keys that all commands have."""
        return {**self.document, "": f"schema form {self.document['']} notes"}

    def key(self, path: str, column: bool = False) -> Key:
        """What a key holds, by its path in the document or the name of its column: first what is said for this form."""
        parts = path.split(".")
        names = [f"{self.name} csv:{path}"] * column + [f"{self.name}:{path}"]
        for i in range(len(parts)):
            names += [".".join(parts[i:]), ".".join([*parts[i:-1], "*"])]
        starred = [name for name in KEYS if "*" in name and "." not in name]
        for first, last in (name.split("*") for name in starred):
            names += [f"{first}*{last}"] * (path.startswith(first) and path.endswith(last))
        return next(KEYS[name] for name in names if name in KEYS)


def _forms(*forms: Form) -> dict[str, Form]:
    return {form.name: form for form in forms}


COUNTS = "params macs count activations"
ABOUT = "elastic_blocks params_live params_trained_filters opaque reading"
NODE = "op output params count activations"
QUANTITIES = f"{COUNTS} bytes_moved peak_memory intensity depth receptive_field"
RATIOS = " ".join(f"{key}_ratio" for key in QUANTITIES.split())
PASSES = "forward grad_input grad_weight torch_backward backward total total_batch torch_total"
MEMORY = "parameters buffers gradients optimizer inference training total_inference total_training"
BUDGET = {"budget": "within limits", "budget.limits[]": "name input quantity value limit within uncounted"}
BAND = "input convention unit target low high"
SPACE = f"space size {BAND} limits"
LIMITS = {"limits[]": "quantity unit input low high"}
RESULT = (
    "rank state trial id depths splits count difference in_band params proxy_macs proxy_params epochs accuracy "
    "test_accuracy standard_error ranked_error accuracy_by_size accuracy_by_class "
    "curve seeds accuracies seconds reason spec"
)
RUN = {
    "": "run space base seed ended band proxy networks",
    "band": f"{BAND} inside",
    "networks[]": RESULT,
}
PLAN = {
    "": "strategy inside size band seconds_an_epoch rungs trials full epochs seconds short budget_seconds "
    "spent_seconds end",
    "band": BAND,
    "seconds_an_epoch": "base cheapest dearest",
}


def _each(head: str, name: str, paths: Paths) -> Paths:
    """A document whose list ``name`` holds documents of their own."""
    return {"": head, **{f"{name}[]{'.' if path else ''}{path}": keys for path, keys in paths.items()}}


FORMS = _forms(
    Form(
        "flops",
        f"network role input convention unit level path kind blocks resolutions {COUNTS} share {ABOUT}",
        {
            "": "input? by convention unit budget networks difference? ratio?",
            **BUDGET,
            "networks[]": f"name role input id {ABOUT} elasticized? blocks {COUNTS} parts spec",
            "networks[].elasticized": "split convention unit replaced left",
            "networks[].elasticized.replaced[]": "path before after",
            "networks[].elasticized.left[]": "path reason detail",
            "networks[].parts[]": f"path kind blocks resolutions {COUNTS} share",
            "difference": COUNTS,
            "ratio": COUNTS,
        },
        "Whatever the edit and the parts. With several --input, `input` stands in `networks` alone.",
    ),
    Form(
        "flops --convention all",
        "network role input convention unit level path count opaque reading",
        {
            "": "input by budget networks",
            **BUDGET,
            "networks[]": "name role id opaque reading conventions",
            "networks[].conventions.*": "unit count operators parts",
        },
    ),
    Form(
        "flops --training",
        "network input batch dtype optimizer quantity unit value opaque",
        {
            "": "input batch dtype optimizer units budget networks ratio?",
            **BUDGET,
            "units": "flops memory",
            "networks[]": "name opaque flops memory",
            "networks[].flops": PASSES,
            "networks[].memory": MEMORY,
            "ratio": "flops memory",
            "ratio.flops": PASSES,
            "ratio.memory": MEMORY,
        },
    ),
    Form(
        "flops --latency",
        "network role input batch device rounds convention unit macs count ms_median ms_low ms_high macs_ratio "
        "time_ratio opaque",
        {
            "": "input batch device rounds convention unit budget networks",
            **BUDGET,
            "networks[]": "name role macs count ms_median ms_low ms_high macs_ratio time_ratio opaque",
        },
    ),
    Form(
        "compare",
        f"network input dtype convention unit blocks {QUANTITIES} {RATIOS} macs_of_* opaque",
        {
            "": "input convention unit dtype reference networks",
            "networks[]": f"name id depths blocks elastic_blocks params_live opaque {QUANTITIES} macs_live stages "
            "ratio",
            "networks[].stages[]": "path macs",
            "networks[].ratio": QUANTITIES,
        },
    ),
    Form(
        "diff",
        "path change input convention unit " + " ".join(f"{side}_{key}" for side in "ab" for key in NODE.split()),
        {
            "": "a b input convention unit opaque equal nodes",
            "opaque": "a b",
            "nodes[]": "path change a b",
            **{f"nodes[].{side}": NODE for side in "ab"},
        },
    ),
    Form(
        "models",
        "network input depths elastic_blocks convention unit params params_live macs count activations paper_tables "
        "elastic note id",
        {
            "": "input convention unit networks",
            "networks[]": "name depths elastic_blocks params params_live macs count activations paper_tables "
            "elastic note id",
        },
    ),
    Form(
        "match",
        f"rank depths {BAND} count difference macs macs_difference params params_difference id",
        {
            "": f"base split down up {BAND} params found networks",
            "networks[]": "rank depths count difference macs macs_difference params params_difference id",
        },
    ),
    Form(
        "space count",
        "level choice value inside share",
        {"": f"{SPACE} inside share marginals", **LIMITS},
    ),
    Form(
        "space sample",
        f"what depths {BAND} count difference params splits id",
        {"": f"{SPACE} networks", **LIMITS, "networks[]": "what depths count difference params splits id values"},
        "Printed by `space bounds` and `space nearest`, too.",
    ),
    Form("space explain", "", {"": f"{SPACE} inside", **LIMITS}, "Without NETWORK."),
    Form(
        "space explain NETWORK",
        "",
        {"": f"{SPACE} network count in_band reasons", **LIMITS},
    ),
    Form(
        "search",
        f"rank state trial depths splits {BAND} count difference in_band params proxy_macs epochs accuracy "
        "test_accuracy standard_error ranked_error seeds seconds reason id",
        RUN,
    ),
    Form(
        "search --targets",
        "target rank state trial depths splits input convention unit count difference in_band params accuracy "
        "test_accuracy standard_error ranked_error front id",
        {**_each("sweep networks bands", "bands", RUN), "networks[]": f"{RESULT} target front"},
    ),
    Form(
        "search --dry-run",
        f"strategy inside size {BAND} seconds_base seconds_cheapest "
        "seconds_dearest rungs trials full epochs seconds short budget_seconds spent_seconds end",
        PLAN,
    ),
    Form(
        "search --targets --dry-run",
        f"strategy inside size {BAND} seconds_base seconds_cheapest "
        "seconds_dearest rungs trials full epochs seconds short budget_seconds spent_seconds end",
        _each("bands", "bands", PLAN),
    ),
    Form(
        "reproduce",
        "epoch accuracy_recorded accuracy_again equal",
        {"": "run trial equal recorded again differing"},
    ),
    Form(
        "data",
        "label class found used train rank final",
        {
            "": "path name key edge channels subset held_out rank_on listed images splits doubles broken broken_files "
            "looked_at sizes modes imbalance cache cache_bytes classes",
            "splits[]": "split of images",
            "broken_files[]": "file reason",
            "classes[]": "label class found used train rank final",
        },
    ),
    Form(
        "data --caches",
        "key name edge images decoded state bytes used",
        {"": "folder bytes removed caches", "caches[]": "key name edge images decoded state bytes used"},
    ),
    Form(
        "doctor",
        "what sound says cure",
        {"": "sound findings", "findings[]": "what sound says cure"},
    ),
    Form(
        "validate",
        "network input quantity ours tool theirs equal",
        {
            "": "input equal networks",
            "networks[]": "name checks",
            "networks[].checks[]": "quantity ours tool theirs equal failed?",
        },
    ),
    Form(
        "conventions",
        "convention unit operator formula",
        {"": "conventions", "conventions[]": "name unit meaning counts_unread rules"},
    ),
    Form(
        "pyramids",
        "method convention unit macs macs_relative params params_relative conv resampling net net_relative",
        {
            "": "size channels kernel out_channels split branches convention unit elastic_saves methods",
            "branches[]": "b r",
            "methods[]": "method title macs macs_relative params params_relative conv resampling net net_relative",
        },
    ),
    Form(
        "paper",
        "name network source split down up convention unit params_printed params_ours params_equal flops_printed "
        "flops_ours flops_equal top1_error_printed top5_error_printed reason",
        {
            "": "table input compared equal rows",
            "rows[]": "name network source split down up convention unit params flops top1_error_printed "
            "top5_error_printed",
            "rows[].params": "printed ours equal reason",
            "rows[].flops": "printed ours equal reason",
        },
        "table2, table6 and table7.",
    ),
    Form(
        "paper figure4",
        "network family elastic source convention unit params flops top1_error_printed top1_accuracy",
        {
            "": "figure input points",
            "points[]": "network family elastic source convention unit params flops top1_error_printed top1_accuracy",
        },
    ),
    Form(
        "convert",
        "level fate rule keys",
        {"": "name file output keys same renamed merged dropped tensors source_sha256"},
    ),
)
