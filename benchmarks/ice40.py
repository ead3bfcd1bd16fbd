"""Logic cells of small engines on the iCE40UP5K, by parameter.

    python -m benchmarks.ice40 --directory build/ice40 --json benchmarks/results/ice40.json

Parameters change one after another, each on top of those before. Engines are synthesized and packed
without a board; finished ones are reused.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tilewright.boards.flow.synthesis import synthesize
from tilewright.files import write_json
from tilewright.isa import EngineConfig

BASE = EngineConfig(
    rows=4,
    cols=2,
    requantizers=1,
    multiplier_width=16,
    act_depth=512,
    weight_depth=1024,
    out_depth=256,
    bus_width=32,
    queue_depth=8,
    burst_beats=4,
    outstanding=1,
    dsp="ice40",
)
STEPS: tuple[tuple[str, dict[str, int | bool]], ...] = (
    ("4 x 2", {}),
    ("prefetch=False", {"prefetch": False}),
    ("counters=False", {"counters": False}),
    ("early_parameters=False", {"early_parameters": False}),
    ("addr_width=17", {"addr_width": 17}),
    ("acc_width=24", {"acc_width": 24}),
    ("2 x 2", {"rows": 2}),
    (
        "smaller buffers",
        {"act_depth": 256, "weight_depth": 512, "out_depth": 128},
    ),
)


def rows(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table of docs/ice40.md, heads first."""
    result = [["engine", "logic cells", "LUT4", "flip-flops", "block RAMs", "DSPs"]]
    for record in records:
        used = {kind: n["used"] for kind, n in record["utilization"].items()}
        cells = (
            used["ICESTORM_LC"], record["resources"]["SB_LUT4"], record["resources"]["SB_DFF"],
            used["ICESTORM_RAM"], used["ICESTORM_DSP"],
        )  # fmt: skip
        name = f"`{record['name']}`" if "=" in record["name"] else record["name"]
        result.append([name, *(f"{n:,}" for n in cells)])
    return result


def main() -> None:
    """Synthesize, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path("build/ice40"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    config, records = BASE, []
    for index, (name, changes) in enumerate(STEPS):
        config = replace(config, **changes)  # type: ignore[arg-type]
        result = synthesize(config, arguments.directory / str(index))
        assert result.utilization is not None
        used = {kind: n["used"] for kind, n in result.utilization.items()}
        records.append(
            {
                "name": name,
                "config": asdict(config),
                "resources": result.resources,
                "utilization": result.utilization,
                "versions": result.versions,
                "commands": result.commands,
            }
        )
        print(
            f"{name:24} {used['ICESTORM_LC']:6} cells {used['ICESTORM_RAM']:3} RAM "
            f"{used['ICESTORM_DSP']:2} DSP",
            flush=True,
        )
        if arguments.json is not None:
            write_json(arguments.json, records)


if __name__ == "__main__":
    main()
