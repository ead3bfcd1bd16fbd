"""Layers of the example networks after quantization, beside what the quantizer before gave.

    python -m benchmarks.quantizers [--only resnet18]

Each network of ``examples.networks``, with random weights and of reduced size, is calibrated on 32
images. The figures of the quantizer before it (Brevitas' graph rewrites, until commit e360259) were
measured once, on the same networks and images, and stay as they are in the JSON.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from benchmarks.output import table_of
from examples.networks import NETWORKS
from tilewright.files import write_json
from tilewright.quantization import quantize_with_report

RESULTS = Path(__file__).parent / "results"
#: Width and size (H, W) of each network.
REDUCED = {
    "resnet18": (1 / 8, (32, 32)),
    "resnet50": (1 / 8, (32, 32)),
    "mobilenet_v2": (1 / 4, (32, 32)),
    "mobilenet_v3_small": (1 / 4, (32, 32)),
    "mobilenet_v1_025": (1 / 4, (32, 32)),
    "ds_cnn": (1 / 2, (24, 10)),
    "shufflenet_v2": (1 / 4, (32, 32)),
    "convnext_femto": (1 / 6, (32, 32)),
    "inceptionnext_atto": (1 / 5, (32, 32)),
    "espcn": (1 / 4, (9, 14)),
    "unet": (1 / 16, (32, 32)),
    "atrous_pyramid": (1 / 8, (32, 32)),
    "fastdepth": (1 / 8, (32, 32)),
    "ssd_mobilenet_v1": (1 / 8, (64, 64)),
}


def measure(name: str) -> dict[str, float]:
    """Return the mean and the least ratio of a network's layers and that of its output, in dB."""
    width, size = REDUCED[name]
    network = NETWORKS[name].reduced(width=width, size=size)
    result = quantize_with_report(
        network.build(), network.calibration(4, 8), least_snr_db=-math.inf
    )
    ratios = [layer.snr_db for layer in result.report.layers if layer.snr_db is not None]
    output = result.report.output_snr_db
    assert output is not None
    figures = {"mean": sum(ratios) / len(ratios), "lowest": min(ratios), "output": output}
    return {key: round(value, 2) for key, value in figures.items()}


def rows(records: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table, heads first."""
    heads = ["network", "mean, dB", "before", "lowest layer, dB", "before", "output, dB", "before"]
    result = [heads]
    for name in REDUCED:
        pairs = [
            f"{records[which][name][key]:.1f}"
            for key in ("mean", "lowest", "output")
            for which in ("now", "before")
        ]
        result.append([name, *pairs])
    return result


def main(
    only: Annotated[str, typer.Option(help="Only networks whose name contains this.")] = "",
    output: Path = RESULTS / "quantizers.json",
) -> None:
    """Measure the present quantizer."""
    console, records = Console(), json.loads(output.read_text())
    torch.set_num_threads(1)
    for name in (n for n in REDUCED if only in n):
        records["now"][name] = measure(name)
        console.print(name, records["now"][name])
        write_json(output, records)
    console.print(table_of(rows(records)))


if __name__ == "__main__":
    typer.run(main)
