"""MLPerf Tiny's networks: elements beside TFLite's reference kernels, cycles on every board.

``python -m benchmarks.mlperf_tiny FOLDER`` (of kws, ic, vww and ad.tflite) writes
``benchmarks/results/mlperf_tiny.json``, from which ``python -m benchmarks.docs`` makes
docs/mlperf_tiny.md. ``--inputs`` names a folder of labelled inputs: see ``examples.mlperf_tiny``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tilewright as tw
from benchmarks.output import markdown_table
from examples.mlperf_tiny.__main__ import reached
from examples.mlperf_tiny.networks import NETWORKS, Network, found, images
from examples.mlperf_tiny.reference import channels_first, compare
from tilewright.estimation.figures import known
from tilewright.files import write_json

RESULT = Path(__file__).parent / "results/mlperf_tiny.json"
#: What of a board's engine changes for it to round as TFLite does.
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "ulx3s-85f-tflite": {},
    "ulx3s-12f": {"rounding": "double", "multiplier_width": 31, "requantizers": 1},
}
#: Small, so that its RTL is compiled in a minute.
RTL = tw.EngineConfig(rows=8, cols=5, multiplier_width=31, rounding="double", act_depth=2048)

#: Other FPGA entries, from mlcommons/tiny_results v1.1: inferences per second, and accuracy.
PUBLISHED: Sequence[tuple[str, Mapping[str, str]]] = (
    ("fpgaConvNet, ZedBoard", {"ic": "2431 (86.0 %)", "kws": "3088", "vww": "105"}),
)


def board_target(board: str) -> tw.Target:
    """Return a board with an engine that rounds as TFLite does."""
    target = tw.Target.from_board(board)
    return replace(target, engine=replace(target.engine, **CHANGES[board]))


def measure(network: Network, path: Path, count: int, rtl: bool) -> dict[str, Any]:
    """Return the figures of a network."""
    found_ = compare(path.read_bytes(), images(path, count))
    record: dict[str, Any] = {
        "name": network.name,
        "elements": found_.elements,
        "different": found_.different,
        "layers": len(found_.names),
        "images": count,
        "boards": {},
    }
    model = tw.read_tflite(path)
    record["host"] = [kind for kind, _ in model.host]
    for board in CHANGES:
        try:
            program = tw.compile(model, None, board_target(board))
        except tw.Error as error:
            record["boards"][board] = {"refused": str(error)}
            continue
        figures = tw.estimate(program).figures
        record["macs"] = sum(layer.macs for layer in program.layers)
        record["boards"][board] = {
            key: known(figures[key], key).value
            for key in ("cycles", "latency", "utilization", "read", "energy")
        }
    if rtl:
        program = tw.compile(model, None, tw.Target(engine=RTL))
        (image,) = images(path, 1)
        shape = model.graph.input_shapes[0]
        checked = tw.verify(program, channels_first(image).reshape(1, *shape))
        record["rtl"] = {"elements": checked.elements, "cycles": checked.cycles}
    return record


def rows(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the table of elements and of quality."""
    names = {network.name: network for network in NETWORKS}
    table = [["network", "layers", "elements compared", "different", "RTL", "needed", "reached"]]
    for r in records:
        network = names[r["name"]]
        table.append(
            [
                f"{r['name']}: {network.title}",
                str(r["layers"]),
                f"{r['elements']:,}",
                str(r["different"]),
                f"= isa, {r['rtl']['cycles']:,} cycles" if "rtl" in r else "-",
                f"{network.measure} {network.needed:.2f}",
                f"{r['quality']:.4f} of {r['labelled']:,} inputs" if "quality" in r else "-",
            ]
        )
    return table


def board_rows(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the table of speed on every board."""
    table = [["network", "MACs", "board", "cycles", "images/s", "of peak", "KB read", "energy, uJ"]]
    for r in records:
        for board, f in r["boards"].items():
            if "refused" in f:
                table.append([r["name"], "-", board, f["refused"], "-", "-", "-", "-"])
                continue
            table.append(
                [
                    r["name"],
                    f"{r['macs'] / 1e6:.2f} M",
                    board,
                    f"{f['cycles']:,.0f}",
                    f"{1e3 / f['latency']:,.0f}",
                    f"{100 * f['utilization']:.0f} %",
                    f"{f['read'] / 1e3:,.0f}",
                    f"{f['energy']:,.0f}",
                ]
            )
    return table


def published_rows() -> list[list[str]]:
    """Return the table of other entries."""
    names = [network.name for network in NETWORKS]
    return [["inferences/s", *names]] + [
        [who, *(figures.get(name, "-") for name in names)] for who, figures in PUBLISHED
    ]


def page(record: Mapping[str, Any]) -> str:
    """Return docs/mlperf_tiny.md."""
    networks = record["networks"]
    (images,) = {r["images"] for r in networks}
    return f"""# MLPerf Tiny

Written by `python -m benchmarks.docs` from what `python -m benchmarks.mlperf_tiny FOLDER` measured.

The four networks of the closed division, from their TFLite files as published
([mlcommons/tiny](https://github.com/mlcommons/tiny), Apache-2.0), on engines with
`rounding="double"`.

## Elements

Every tensor that a layer writes, beside the reference kernels of LiteRT (`ai-edge-litert`,
`OpResolverType.BUILTIN_REF`), on {images} inputs of each network: noise and smooth noise in turns,
by a seed. Softmax, the last operator of three of them, is the host's and is left out. One input of
each ran in RTL (an engine of 8 x 5, Verilator): every element and every command's cycle is that of
the functional model.

{markdown_table(rows(networks))}
What is reached is measured through the integer graph on the labelled inputs of EEMBC's
EnergyRunner, which submissions to the benchmark are judged by; they are not part of this
repository. `python -m examples.mlperf_tiny.energyrunner DATASETS OUTPUT` reads its folders, and
`python -m benchmarks.mlperf_tiny FOLDER --inputs OUTPUT` measures. Since no element differs, it is
what the files reach with the reference kernels.

## Speed

Cycles are the model's, exact for each board's memory; images per second at the board's clock, one
image at a time. `ulx3s-85f-tflite` is an ULX3S-85F with an engine that rounds as TFLite does,
placed and routed ([its page](synthesis.md)); the ULX3S-12F's is its own with one requantizer of 31
bits, which has not been routed so: its clock is that of the engine that rounds once. Energy is
`tw.estimate`'s, whose ranges [its page](estimate.md) has.

{markdown_table(board_rows(networks))}
Another FPGA entry, from mlcommons/tiny_results v1.1, on another device:

{markdown_table(published_rows())}"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inputs", type=Path, help="folder of labelled inputs")
    parser.add_argument("--images", type=int, default=40, help="to compare elements on")
    parser.add_argument("--no-rtl", action="store_true")
    arguments = parser.parse_args()
    records = []
    for network, path in found(arguments.folder):
        record = measure(network, path, arguments.images, not arguments.no_rtl)
        if arguments.inputs is not None:
            value = reached(network, path, arguments.inputs)
            if value is not None:
                record |= {"quality": value[0], "labelled": value[1]}
        print(network.name, record)
        records.append(record)
    write_json(RESULT, {"networks": records})


if __name__ == "__main__":
    main()
