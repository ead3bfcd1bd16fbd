"""The host link over bad lines: what arrives, and what that costs.

    python -m benchmarks.link [--images 10000] [--output benchmarks/results/link.json]

The link's own host end talks to a model of the board's end (``tests.boards.link.channel``, which
the RTL is compared with) through a line that flips, drops, doubles or invents bytes both ways. For
every image, its bytes are written, a register is, and the result is read; all is compared. What
the table says of rates is the line's bytes alone, at 3 Mbaud: 300,000 bytes a second each way.
Ends with 1 if anything arrived wrong.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.output import markdown_table
from tests.boards.link.channel import Board, Channel, Faults
from tilewright.boards.link.host import HostLink
from tilewright.files import write_json
from tilewright.isa.registers import OFFSET

IMAGE_BYTES, RESULT_BYTES = 8 * 8 * 8, 64  # digits, as they lie in memory
BYTES_PER_SECOND = 300_000
LINES = {
    "clean": Faults(),
    "1 % flipped and 1 % dropped": Faults(flipped=0.01, dropped=0.01),
    "1 % flipped": Faults(flipped=0.01),
    "1 % doubled": Faults(doubled=0.01),
    "1 % invented": Faults(invented=0.01),
    "0.1 % of each": Faults(0.001, 0.001, 0.001, 0.001),
    "0.01 % of each": Faults(0.0001, 0.0001, 0.0001, 0.0001),
}


@dataclass
class Outcome:
    """What came of a line.

    Parameters
    ----------
    images : sent and read; ``wrong`` of them, in memory or as read
    starts : registers written, of which ``lost_or_doubled`` were not written exactly once
    payload, sent, received : bytes: of images and results, and on the line each way
    frames, repeated : requests on the line, and those that were sent again
    """

    line: str
    images: int = 0
    wrong: int = 0
    starts: int = 0
    lost_or_doubled: int = 0
    payload: int = 0
    sent: int = 0
    received: int = 0
    frames: int = 0
    repeated: int = 0

    @property
    def images_per_second(self) -> float:
        """Of the busier direction."""
        return self.images / (max(self.sent, self.received) / BYTES_PER_SECOND)


def run(line: str, images: int, seed: int, progress: Progress) -> Outcome:
    """Send images and read results over a line."""
    rng = random.Random(seed)
    started: list[int] = []
    board = Board(1 << 13, 512, lambda offset, word: started.append(word))
    channel = Channel(board, LINES[line], seed)
    link = HostLink(channel, patience=0.0)
    outcome = Outcome(line)
    task = progress.add_task(line, total=images)
    for index in range(images):
        data = rng.randbytes(IMAGE_BYTES)
        link.write_memory(0, data)
        link.write_registers(PROGRAM=index)
        result = rng.randbytes(RESULT_BYTES)
        board.memory[4096 : 4096 + RESULT_BYTES] = result
        back = link.read_memory(4096, RESULT_BYTES)
        outcome.images += 1
        outcome.wrong += back != result or board.memory[:IMAGE_BYTES] != data
        outcome.payload += IMAGE_BYTES + RESULT_BYTES
        progress.advance(task)
    outcome.starts = len(started)
    outcome.lost_or_doubled = sum(a != b for a, b in zip(started, range(images), strict=False))
    outcome.lost_or_doubled += abs(len(started) - images)
    assert board.registers[OFFSET["PROGRAM"]] == images - 1
    outcome.sent, outcome.received = channel.sent, channel.received
    outcome.frames = link.statistics.frames
    outcome.repeated = link.statistics.frames - link.statistics.requests
    return outcome


def rows(figures: Any) -> list[list[str]]:
    """Return the figures as a table's rows."""
    head = [
        "bytes of the line, both ways", "images", "wrong", "starts lost or doubled", "frames",
        "of these again", "payload of all bytes", "images a second at 3 Mbaud",
    ]  # fmt: skip
    lines = [head]
    for outcome in (Outcome(**entry) for entry in figures["lines"]):
        lines.append(
            [
                outcome.line,
                f"{outcome.images:,}",
                f"{outcome.wrong}",
                f"{outcome.lost_or_doubled}",
                f"{outcome.frames:,}",
                f"{outcome.repeated:,}",
                f"{outcome.payload / (outcome.sent + outcome.received):.0%}",
                f"{outcome.images_per_second:,.0f}",
            ]
        )
    return lines


def main(
    images: Annotated[int, typer.Option(help="Images over each line.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the faults.")] = 0,
    output: Annotated[Path, typer.Option(help="Figures as JSON.")] = Path("build/link.json"),
) -> None:
    """Run all lines."""
    console = Console()
    start = time.monotonic()
    with Progress(console=console) as progress:
        lines = [run(line, images, seed, progress) for line in LINES]
    figures: dict[str, Any] = {
        "command": f"python -m benchmarks.link --images {images} --seed {seed}",
        "image_bytes": IMAGE_BYTES,
        "result_bytes": RESULT_BYTES,
        "seconds": round(time.monotonic() - start),
        "lines": [asdict(line) for line in lines],
    }
    write_json(output, figures)
    console.print(markdown_table(rows(figures)), markup=False, soft_wrap=True)
    if any(line.wrong or line.lost_or_doubled for line in lines):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
