"""What the real tools say of every published network, as tests/golden/published.json.

    python tools/golden_counts.py            make the file: one fresh process a network
    python tools/golden_counts.py NAME       print one network's entry

Nothing here reads our own counts: the module is built and run, its parameters are summed, and the tools' totals are
written down. The test compares them with the graphs' counts. Where they differ, the code is wrong, not the file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "published.json"
SIZE = 224


def measured(name: str) -> dict[str, int]:
    """One network's parameters and the tools' totals at 224 × 224."""
    import torch

    from elastic_search.arch.zoo import published
    from elastic_search.nn.net import Net
    from elastic_search.nn.tools import TOOLS, fvcore_counts
    from elastic_search.nn.verify import empty_net

    graph = published(name).graph()
    net, image = empty_net(graph, dead=True), torch.zeros(1, 3, SIZE, SIZE)
    totals = {convention: sum(count(net, image).values()) for convention, (_, count) in TOOLS.items()}
    return {
        "params": sum(p.numel() for p in net.parameters()),
        "params_live": sum(p.numel() for p in Net(graph).parameters()),
        "activations": fvcore_counts(net, image)[1],
        "macs": totals["torch"] // 2,
        **totals,
    }


def in_fresh_process(name: str) -> dict[str, int]:
    """The same, by a Python that has done nothing else."""
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
    entry: dict[str, int] = json.loads(done.stdout)
    return entry


def main() -> None:
    """Write the file, or print one entry."""
    if len(sys.argv) > 1:
        print(json.dumps(measured(sys.argv[1])))
        return
    from elastic_search.arch.zoo import PUBLISHED

    entries = {name: in_fresh_process(name) for name in PUBLISHED}
    lines = (f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
