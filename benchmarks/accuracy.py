"""What 8 bits cost in accuracy: trained networks in floats, and the integers made of them.

    python -m benchmarks.accuracy [--only ds_cnn]

Trains the float networks on one half of scikit-learn's digits (8 x 8 pixels), enlarged to what each
network takes, and on the other half; quantizes them with ``tw.quantize_with_report``; then the
float network as it was trained and the golden integers of the compiled program see the half that it
was not trained on. So all 1797 images count. Weights are kept in the build folder. Prints a table
and writes JSON.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn
from torch.nn import functional

import tilewright as tw
from benchmarks.output import table_of
from examples import digits
from examples.networks import NETWORKS
from tilewright.files import fresh_file, write_json

RESULTS = Path(__file__).parent / "results"
BUILD = Path(__file__).parents[1] / "build" / "accuracy"
# Its multipliers of 18 bits may move a value by one step from what ``tw.quantize`` returns.
ENGINE = tw.EngineConfig(rows=8, cols=7, weight_depth=8192)
CLASSES = 10
GOAL = 0.5  # percentage points that the integers may be below the floats
CALIBRATION = (3, 100)  # batches of training images, and images in each
FOLDS = 2
BATCH = 32


@dataclass(frozen=True)
class Case:
    """A network and how it is trained.

    Parameters
    ----------
    name : of the examples' networks, or "digits" for the network of ``examples/digits.py``
    shape : (C, H, W) of an input
    width : factor of all channels
    epochs : int
    rate : float, the highest learning rate
    """

    name: str
    shape: tuple[int, int, int]
    width: float
    epochs: int
    rate: float

    def build(self) -> nn.Module:
        """Return the float network, as PyTorch initializes it."""
        if self.name == "digits":
            return digits.DigitsNet(quantized=False)
        return NETWORKS[self.name].architecture(width=self.width, classes=CLASSES)

    def inputs(self, images: Tensor) -> Tensor:
        """Return digits (N, 1, 8, 8) as the network takes them."""
        channels, *size = self.shape
        if size != list(images.shape[2:]):
            images = functional.interpolate(images, tuple(size), mode="bilinear")
        return images.expand(-1, channels, -1, -1).contiguous()


CASES = (
    Case("digits", (1, 8, 8), 1.0, 40, 1e-2),
    Case("ds_cnn", (1, 49, 10), 1.0, 20, 1e-2),
    Case("mobilenet_v1_025", (3, 64, 64), 0.25, 60, 1e-2),
    Case("resnet18", (3, 32, 32), 0.25, 20, 3e-3),
)


@dataclass(frozen=True)
class Accuracy:
    """What a network gets right, and how far its integers are from its floats.

    Parameters
    ----------
    images : int, held out, of all folds
    float_correct, integer_correct : int, of these
    lost, won : int, images that only the floats, or only the integers, get right
    lowest_layer, lowest_layer_snr_db : the layer with the least ratio, of the calibration images
    output_snr_db : float, against the network as it was trained, the least of all folds
    """

    images: int
    float_correct: int
    integer_correct: int
    lost: int
    won: int
    lowest_layer: str
    lowest_layer_snr_db: float
    output_snr_db: float

    @property
    def difference(self) -> float:
        """Integers less floats, in percentage points."""
        return 100 * (self.integer_correct - self.float_correct) / self.images

    @property
    def standard_error(self) -> float:
        """Of the difference, in percentage points: of images lost and won by chance."""
        return 100 * float((self.lost + self.won) ** 0.5) / self.images


def folds() -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return training images and labels, held-out images and labels, of each fold."""
    data = load_digits()
    images = torch.tensor(data.images[:, None] / 16, dtype=torch.float32)
    labels = torch.tensor(data.target)
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(images, labels)
    return [(images[a], labels[a], images[b], labels[b]) for a, b in parts]


def weights_path(case: Case, fold: int) -> Path:
    """Return where weights are kept: named after all that has a say in them."""
    net = case.build()
    parts = [str(net), inspect.getsource(type(net)), str((FOLDS, BATCH, fold))]
    parts += [inspect.getsource(code) for code in (Case, folds, fit, train)]
    parts += [version(name) for name in ("scikit-learn", "torch")]
    key = hashlib.sha256(repr((parts, asdict(case))).encode()).hexdigest()[:16]
    return BUILD / f"{case.name}-{fold}-{key}.pt"


def fit(
    net: nn.Module, case: Case, fold: int, *, step: Callable[[], Any], tick: Callable[[], Any]
) -> None:
    """Train a network on digits moved by up to a pixel; leaves it in evaluation mode.

    Parameters
    ----------
    case : its epochs and rate, and what it takes
    step, tick : called after every step of the optimizer, and every epoch
    """
    images, labels, _, _ = folds()[fold]
    images = functional.pad(images, (1, 1, 1, 1))
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), case.rate, weight_decay=0.02)
    steps = case.epochs * -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, case.rate, total_steps=steps)
    loss = nn.CrossEntropyLoss(label_smoothing=0.05)
    for _ in range(case.epochs):
        for batch in torch.split(torch.randperm(len(labels)), BATCH):
            top, left = torch.randint(3, (2,)).tolist()
            moved = images[batch, :, top : top + 8, left : left + 8]
            optimizer.zero_grad()
            loss(net(case.inputs(moved)), labels[batch]).backward()
            optimizer.step()
            schedule.step()
            step()
        tick()
    net.eval()


def train(case: Case, fold: int, tick: Callable[[], Any]) -> nn.Module:
    """Return the float network, trained; the caller's random state is kept."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(fold)
        net = case.build()
        fit(net, case, fold, step=lambda: None, tick=tick)
    return net


def trained(case: Case, fold: int, tick: Callable[[], Any] = lambda: None) -> nn.Module:
    """Return the trained network, from the build folder if this very code has trained it before."""
    path = weights_path(case, fold)
    if path.exists():
        net = case.build()
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.eval()
    net = train(case, fold, tick)
    with fresh_file(path) as fresh:
        torch.save(net.state_dict(), fresh)
    return net


def measure(case: Case, nets: Sequence[nn.Module]) -> Accuracy:
    """Quantize and compile the networks of all folds, and run both on the held-out images."""
    floats, integers, layers, outputs = [], [], [], []
    for net, (images, _, held_out, labels) in zip(nets, folds(), strict=True):
        images, held_out = case.inputs(images), case.inputs(held_out)
        batches, count = CALIBRATION
        result = tw.quantize_with_report(net, torch.split(images[: batches * count], count))
        program = tw.compile(result.model, images[:1], tw.Target(engine=ENGINE))
        (found,) = tw.simulate(program, held_out, backend="golden").outputs
        with torch.no_grad():
            floats.append(net(held_out).argmax(1) == labels)
        integers.append(torch.from_numpy(found.argmax(1)) == labels)
        layers += [(x.snr_db, x.name) for x in result.report.layers if x.snr_db is not None]
        outputs.append(result.report.output_snr_db or 0.0)
    a, b = torch.cat(floats), torch.cat(integers)
    ratio, lowest = min(layers)
    return Accuracy(
        len(a), int(a.sum()), int(b.sum()), int((a & ~b).sum()), int((b & ~a).sum()),
        lowest, ratio, min(outputs),
    )  # fmt: skip


def rows(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table, heads first."""
    heads = ["network", "input", "width", "float, %", "integers, %", "lost, won"]
    heads += ["difference, points", "standard error"]
    result = [[*heads, "lowest layer, dB", "output, dB"]]
    for record in records:
        got, case = Accuracy(**record["accuracy"]), Case(**record["case"])
        result.append(
            [
                case.name,
                " x ".join(map(str, case.shape)),
                f"{case.width:g}",
                f"{100 * got.float_correct / got.images:.2f}",
                f"{100 * got.integer_correct / got.images:.2f}",
                f"{got.lost}, {got.won}",
                f"{got.difference:+.2f}" + " (goal missed)" * (got.difference < -GOAL),
                f"{got.standard_error:.2f}",
                f"{got.lowest_layer_snr_db:.1f} ({got.lowest_layer})",
                f"{got.output_snr_db:.1f}",
            ]
        )
    return result


def main(
    only: Annotated[str, typer.Option(help="Only networks whose name contains this.")] = "",
    output: Path = RESULTS / "accuracy.json",
) -> None:
    """Train, quantize and measure."""
    console = Console()
    if not console.is_terminal:
        console.width = 200
    torch.set_num_threads(1)  # these layers are so small that a second thread only costs time
    known = json.loads(output.read_text())["networks"] if output.exists() else []
    records = {record["case"]["name"]: record for record in known}
    bars = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
    chosen = [case for case in CASES if only in case.name]
    with Progress(*bars, TimeElapsedColumn(), console=console) as progress:
        for case in chosen:
            total = FOLDS * case.epochs + 1
            task = progress.add_task(case.name, total=total)
            nets = []
            for fold in range(FOLDS):
                tick = partial(progress.advance, task)
                nets.append(trained(case, fold, tick))
            accuracy = measure(case, nets)
            progress.update(task, completed=total)
            records[case.name] = {"case": asdict(case), "accuracy": asdict(accuracy)}
            kept = [records[other.name] for other in CASES if other.name in records]
            write_json(output, {"data": "digits of scikit-learn, two folds", "networks": kept})
    console.print(table_of(rows([records[case.name] for case in chosen])))


if __name__ == "__main__":
    typer.run(main)
