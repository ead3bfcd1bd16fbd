"""``tilewright verify``."""

from __future__ import annotations

import tilewright as tw
from tilewright.cli.files import read_inputs
from tilewright.cli.options import InputsOption, ProgramArgument
from tilewright.cli.tables import console, per_run, progress_bar


def verify(program: ProgramArgument, inputs: InputsOption = None) -> None:
    """Run all executors and compare every output element and every command's cycles."""
    loaded = tw.load(program)
    data = read_inputs(loaded, inputs)
    with progress_bar() as bar:
        task = bar.add_task("golden, isa, rtl", total=None)
        done = tw.verify(
            loaded,
            data,
            progress=lambda images, total: bar.update(task, completed=images, total=total),
        )
    console.print(
        f"golden == isa == rtl: {done.elements:,} output elements, {done.commands:,} commands, "
        f"{done.cycles:,} cycles {per_run(loaded.batch)}"
    )
