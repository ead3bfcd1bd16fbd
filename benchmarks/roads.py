"""MLPerf Tiny's networks by four roads to ONNX files: golden model, onnxruntime and float64.

``python -m benchmarks.roads FOLDER`` (of kws, ic, vww and ad.tflite) takes the networks in floats,
with the weights that the files have, through onnxruntime's ``quantize_static``, PT2E, Brevitas's
QCDQ and QONNX's conversion, and compares every tensor of integers of the files that come out: from
the input on, and layer by layer, each of onnxruntime's own operands, so that a difference is that
layer's own. It writes ``benchmarks/results/roads.json``, from which ``python -m benchmarks.docs``
makes the table of docs/onnx.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.output import markdown_table
from examples.mlperf_tiny.brevitas_twins import Twin
from examples.mlperf_tiny.floats import Layer, Network, read_layers
from examples.mlperf_tiny.networks import found, images
from examples.mlperf_tiny.reference import channels_first
from tests.compiler.importers.onnx import convert
from tests.compiler.importers.onnx.layers import Both, Counts, compare
from tilewright.compiler.importers.tflite.file import read_file
from tilewright.files import write_json

RESULT = Path(__file__).parent / "results/roads.json"
Road = Callable[[Path, nn.Module, Tensor], Path]
#: By name: the tools, and whether they start at Brevitas's quantizers.
ROADS: Mapping[str, tuple[Road, bool]] = {
    "quantize_static": (convert.static, False),
    "PT2E": (convert.pt2e, False),
    "Brevitas": (convert.qcdq, True),
    "QONNX": (convert.qonnx, True),
}
#: Images of each network, so that each gives a million elements.
COUNTS: Mapping[str, int] = {"kws": 16, "ic": 8, "vww": 5, "ad": 640}
#: Seeds of what is calibrated with, and of what is compared.
CALIBRATION, COMPARED = 7, 1


def real_images(path: Path, count: int, *, seed: int) -> Tensor:
    """Return inputs (N, ...) of a network, channels first, in reals."""
    file = read_file(path.read_bytes())
    grid = file.tensors[file.inputs[0]]
    steps = np.stack([channels_first(image) for image in images(path, count, seed)])
    return torch.from_numpy((steps - grid.zero_points[0]) * grid.scales[0]).float()


def file_of(road: str, layers: Sequence[Layer], batch: Tensor, folder: Path) -> Path:
    """Return the ONNX file that a road makes of a network, calibrated on a batch (N, ...)."""
    convert_to, from_brevitas = ROADS[road]
    model = Twin(layers, batch.split(16)) if from_brevitas else Network(layers)
    return convert_to(folder, model, batch)


def measure(name: str, path: Path, road: str, count: int) -> dict[str, Any]:
    """Return the counts of a network by a road; onnxruntime as it runs, and unoptimized."""
    record: dict[str, Any] = {"network": name, "road": road, "images": count}
    inputs = real_images(path, count, seed=COMPARED).numpy()
    with tempfile.TemporaryDirectory() as folder:
        batch = real_images(path, 32, seed=CALIBRATION)
        file = file_of(road, read_layers(path), batch, Path(folder))
        for kind, plain in (("optimized", False), ("plain", True)):
            counts, by_layer = compare(Both(file, plain=plain), inputs)
            record[kind] = {key: asdict(value) for key, value in counts.items()}
            record[kind]["by_layer"] = {k: asdict(v) for k, v in by_layer.items() if v.different}
    return record


def _sum(records: Sequence[Mapping[str, Any]], run: str, kind: str) -> Counts:
    """Return the counts of several networks together."""
    own = [record[run][kind] for record in records]
    return Counts(
        sum(c["elements"] for c in own),
        sum(c["different"] for c in own),
        max(c["largest"] for c in own),
    )


def _shown(counts: Counts) -> str:
    """Return how many of how many differ, and by how much."""
    by = f", by {counts.largest}" if counts.different else ""
    return f"{counts.different:,} of {counts.elements:,}{by}"


def rows(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the table: golden beside onnxruntime, and both beside float64."""
    table = [
        [
            "road", "network", "results", "maps between", "layers, each of its own operands",
            "of these, golden off float64", "onnxruntime off float64", "layers, not optimized",
        ]
    ]  # fmt: skip
    columns = [("optimized", kind) for kind in ("results", "maps", "layers")]
    for road in ROADS:
        own = [record for record in records if record["road"] == road]
        for name, several in [*((r["network"], [r]) for r in own), ("all", own)]:
            row = [_shown(_sum(several, *column)) for column in columns]
            row += [str(_sum(several, "optimized", k).different) for k in ("golden", "onnxruntime")]
            plain = _sum(several, "plain", "layers")
            table.append([road, name, *row, f"{plain.different:,}"])
    return table


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=int, default=1, help="of the images, one of so many")
    arguments = parser.parse_args()
    records = []
    for network, path in found(arguments.folder):
        for road in ROADS:
            count = max(1, COUNTS[network.name] // arguments.share)
            records.append(measure(network.name, path, road, count))
            for run in ("optimized", "plain"):
                shown = {
                    k: _shown(_sum(records[-1:], run, k)) for k in ("results", "maps", "layers")
                }
                print(network.name, road, run, shown, flush=True)
    write_json(RESULT, {"networks": records})
    print(markdown_table(rows(records)))


if __name__ == "__main__":
    main()
