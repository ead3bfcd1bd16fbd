"""What zero weights give and cost: networks pruned in the shapes that the engine leaves out.

    python -m benchmarks.sparsity [--only resnet18]

Networks are trained as in ``benchmarks.accuracy``, on each half of scikit-learn's digits; then
``tilewright.nn.prune`` sets half of the pieces of their layers to zero, and they are trained on;
then half of those that are left, and so on. Each is quantized with ``tw.quantize``, which sees all
images that it was not trained on, and compiled for a board with its memory: cycles of one image by
the cycle model, whose integers must be golden's. Networks of half the width stand beside them, with
the accuracy that ``benchmarks.accuracy`` found. Networks are kept in the build folder. Prints a
table and writes JSON.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

import tilewright as tw
from benchmarks import accuracy
from benchmarks.accuracy import FOLDS, Case, folds
from benchmarks.output import table_of
from tilewright.files import fresh_file, write_json
from tilewright.nn import pruning
from tilewright.nn.pruning import Shape, prune

RESULTS = Path(__file__).parent / "results"
BUILD = Path(__file__).parents[1] / "build" / "sparsity"
BOARD = "ulx3s-85f"
KEPT = (0.5, 0.25, 0.125)


@dataclass(frozen=True)
class Chain:
    """A network and how it is pruned, step by step.

    Parameters
    ----------
    case : Case, the dense network
    shape : of the pieces, as in ``prune``
    epochs : int, after each pruning
    rate : float, the highest learning rate of these
    """

    case: Case
    shape: Shape
    epochs: int
    rate: float


MOBILENET = Case("mobilenet_v1_025", (3, 64, 64), 0.5, 60, 1e-2)
RESNET = Case("resnet18", (3, 32, 32), 0.5, 20, 3e-3)
CHAINS = (
    Chain(MOBILENET, "blocks", 8, 3e-3),
    Chain(RESNET, "groups", 6, 1e-3),
    Chain(RESNET, "blocks", 6, 1e-3),
    Chain(RESNET, "taps", 6, 1e-3),
)
NARROWER = tuple(replace(case, width=0.25) for case in (MOBILENET, RESNET))
CALIBRATION = (3, 20)  # batches of training images, and images in each


@dataclass(frozen=True)
class Figures:
    """A network of all folds.

    Parameters
    ----------
    kept : float, the share of the weights of its pruned layers that is not zero
    images : int, held out
    float_correct, integer_correct : int, of these
    cycles : float, of an image, mean of the folds
    bytes : float, that an image moves from and to memory, mean of the folds
    """

    kept: float
    images: int
    float_correct: int
    integer_correct: int
    cycles: float
    bytes: float


def key_of(chain: Chain, fold: int, kept: float) -> str:
    """Return a name for a pruned network: of all that has a say in it."""
    parts = [str(accuracy.weights_path(chain.case, fold)), *map(repr, (chain, KEPT, kept))]
    parts += [inspect.getsource(pruned), inspect.getsource(pruning)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def pruned(chain: Chain, fold: int, tick: Callable[[], Any]) -> Iterator[nn.Module]:
    """Yield the network of a fold, pruned more with each; the next is made of the one before."""
    rows = tw.Target.from_board(BOARD).engine.rows
    case = replace(chain.case, epochs=chain.epochs, rate=chain.rate)
    net = accuracy.trained(chain.case, fold, tick)
    for kept in KEPT:
        path = BUILD / f"{case.name}-{chain.shape}-{fold}-{key_of(chain, fold, kept)}.pt"
        if path.exists():
            net.load_state_dict(torch.load(path, weights_only=True))
        else:
            with torch.random.fork_rng(devices=()):
                torch.manual_seed(fold)
                held = prune(net, kept, rows=rows, shape=chain.shape)
                accuracy.fit(net, case, fold, step=held.zero, tick=tick)
            with fresh_file(path) as fresh:
                torch.save(net.state_dict(), fresh)
        yield net


def share_kept(net: nn.Module) -> float:
    """Return the share of weights other than zero, of all convolutions that have zeros."""
    weights = [m.weight.detach() for m in net.modules() if isinstance(m, nn.Conv2d)]
    with_zeros = [w for w in weights if bool((w == 0).any())]
    total = sum(w.numel() for w in with_zeros)
    return sum(int((w != 0).sum()) for w in with_zeros) / total if total else 1.0


def run_of(case: Case, fold: int, net: nn.Module) -> tuple[Any, Any]:
    """Quantize and compile a network, and run an image."""
    images = case.inputs(folds()[fold][0])
    batches, count = CALIBRATION
    quantized = tw.quantize(net, list(torch.split(images[: batches * count], count)))
    program = tw.compile(quantized, images[:1], tw.Target.from_board(BOARD))
    golden, run = (tw.simulate(program, images[:1], backend=b) for b in ("golden", "isa"))
    if not np.array_equal(run.outputs[0], golden.outputs[0]):
        raise tw.Error(f"{case.name}: golden and isa differ")
    return quantized, run


def correct(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> int:
    """Return how many images a network gets right."""
    with torch.no_grad():
        parts = zip(torch.split(images, 100), torch.split(labels, 100), strict=True)
        return sum(int((net(x).flatten(1).argmax(1) == truth).sum()) for x, truth in parts)


def moved_bytes(run: tw.Result) -> int:
    """Return the bytes that a run moved from and to memory."""
    return sum(layer.bytes_read + layer.bytes_written for layer in run.layers)


def measure(case: Case, fold: int, net: nn.Module) -> Figures:
    """Return the figures of the network of a fold."""
    _, _, images, labels = folds()[fold]
    images = case.inputs(images)
    quantized, run = run_of(case, fold, net)
    assert run.cycles is not None
    real, integers = (correct(model, images, labels) for model in (net, quantized))
    return Figures(share_kept(net), len(labels), real, integers, run.cycles, moved_bytes(run))


def narrower(case: Case) -> Figures:
    """Return the figures of a dense network, whose cycles do not depend on its weights."""
    known = json.loads((RESULTS / "accuracy.json").read_text())["networks"]
    wanted = {**asdict(case), "shape": list(case.shape)}
    (found,) = (r["accuracy"] for r in known if r["case"] == wanted)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        net = case.build().eval()
    _, run = run_of(case, 0, net)
    assert run.cycles is not None
    return Figures(
        1.0, found["images"], found["float_correct"], found["integer_correct"], run.cycles,
        moved_bytes(run),
    )  # fmt: skip


def together(found: Sequence[Figures]) -> Figures:
    """Return the figures of all folds as one."""
    kept, cycles, moved = (
        sum(getattr(f, name) for f in found) / len(found) for name in ("kept", "cycles", "bytes")
    )
    return Figures(
        kept, sum(f.images for f in found), sum(f.float_correct for f in found),
        sum(f.integer_correct for f in found), cycles, moved,
    )  # fmt: skip


def record_of(case: Case, shape: str, kept: float, found: Sequence[Figures]) -> dict[str, Any]:
    """Return a line of the table as it is written to JSON."""
    return {
        "network": case.name,
        "width": case.width,
        "shape": shape,
        "keep": kept,
        "figures": asdict(together(found)),
    }


def rows(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table, heads first."""
    dense = {(r["network"], r["width"]): Figures(**r["figures"]) for r in records if not r["shape"]}
    widest = {name: max(w for n, w in dense if n == name) for name, _ in dense}
    heads = ["network", "width", "pruned", "weights kept, %", "floats, %", "integers, %"]
    result = [[*heads, "cycles", "fewer cycles", "fewer bytes"]]
    for record in records:
        got, name = Figures(**record["figures"]), record["network"]
        whole = dense[name, widest[name]]
        shape = record["shape"]
        result.append(
            [
                name.removesuffix("_025"),
                f"{record['width']:g}",
                f"{shape}, {record['keep']:.1%}" if shape else "dense",
                f"{100 * got.kept:.1f}",
                f"{100 * got.float_correct / got.images:.2f}",
                f"{100 * got.integer_correct / got.images:.2f}",
                f"{got.cycles:,.0f}",
                f"{whole.cycles / got.cycles:.2f} x",
                f"{whole.bytes / got.bytes:.2f} x",
            ]
        )
    return result


def main(
    only: Annotated[str, typer.Option(help="Only networks whose name contains this.")] = "",
    output: Path = RESULTS / "sparsity.json",
) -> None:
    """Train, prune, quantize and measure."""
    console = Console()
    if not console.is_terminal:
        console.width = 200
    torch.set_num_threads(1)  # these layers are so small that a second thread only costs time
    known = json.loads(output.read_text())["networks"] if output.exists() else []
    records = {(r["network"], r["width"], r["shape"], r["keep"]): r for r in known}

    def write(case: Case, shape: str, kept: float, found: Sequence[Figures]) -> None:
        records[case.name, case.width, shape, kept] = record_of(case, shape, kept, found)
        order = sorted(records, key=lambda key: (key[0], bool(key[2]), key[2], -key[1], -key[3]))
        write_json(output, {"board": BOARD, "networks": [records[key] for key in order]})

    bars = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn())
    with Progress(*bars, TimeElapsedColumn(), console=console) as progress:
        for case in NARROWER:
            if only in case.name:
                write(case, "", 1.0, [narrower(case)])
        for case in (MOBILENET, RESNET):
            if only not in case.name:
                continue
            task = progress.add_task(f"{case.name} {case.width:g}", total=FOLDS * case.epochs)
            tick = partial(progress.advance, task)
            found = [
                measure(case, fold, accuracy.trained(case, fold, tick)) for fold in range(FOLDS)
            ]
            progress.update(task, completed=FOLDS * case.epochs)
            write(case, "", 1.0, found)
        for chain in CHAINS:
            if only not in chain.case.name:
                continue
            total = FOLDS * chain.epochs * len(KEPT)
            task = progress.add_task(f"{chain.case.name} {chain.shape}", total=total)
            tick = partial(progress.advance, task)
            steps = [
                [measure(chain.case, fold, net) for net in pruned(chain, fold, tick)]
                for fold in range(FOLDS)
            ]
            progress.update(task, completed=total)
            for kept, some in zip(KEPT, zip(*steps, strict=True), strict=True):
                write(chain.case, chain.shape, kept, some)
    console.print(table_of(rows(list(records.values()))))


if __name__ == "__main__":
    typer.run(main)
