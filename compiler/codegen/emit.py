"""Planned groups as commands, in the order in which the network runs."""

from __future__ import annotations

from tilewright.compiler.codegen.buffers.activations import ActivationBuffer
from tilewright.compiler.codegen.computes import Computer
from tilewright.compiler.codegen.images import MemoryMap, Places
from tilewright.compiler.codegen.loads import Loader
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.codegen.stores import Storer
from tilewright.compiler.schedule import Block, LoweredGraph, Plan, Stage
from tilewright.compiler.schedule.array.area import Area
from tilewright.compiler.schedule.array.weights import WeightSource
from tilewright.compiler.schedule.plan.columns import Strip


class Emitter:
    """Write the commands of one group after another.

    The buffers are used in turns; the recorder finds what each command must wait for, so loads run
    ahead of the array as far as the buffers allow.

    Parameters
    ----------
    recorder : Recorder
    lowered : LoweredGraph
    memory : where everything lies
    images : that the program runs: each group all of them before the next group
    """

    def __init__(
        self, recorder: Recorder, lowered: LoweredGraph, memory: MemoryMap, images: int = 1
    ) -> None:
        config = recorder.config
        self._images, self._places = images, Places(memory)
        groups = {value: len(order) // config.rows for value, order in lowered.orders.items()}
        self._activations = ActivationBuffer(config.act_depth, groups)
        self._loader = Loader(recorder, lowered, self._places)
        storer = Storer(recorder, lowered, self._places)
        self._computer = Computer(recorder, self._loader, storer, self._activations)
        self._held: dict[tuple[WeightSource, Block], int] = {}

    def emit(self, plan: Plan) -> None:
        """Append the commands of a group, for all images.

        Raises
        ------
        EngineLimitError
            If a number does not fit its field; the message names the layer.
        """
        for first in range(0, self._images, plan.images * plan.group.images):
            self._held.clear()
            self._loader.begin(plan)
            self._computer.begin(plan.parts)
            for block, rings in zip(plan.blocks, plan.rings, strict=True):
                only = block if len(plan.blocks) > 1 else None
                for image in range(first, first + plan.images):
                    self._places.image = image
                    for strip in plan.columns.strips:
                        self._activations.place(rings, strip)
                        for step in range(1, plan.steps + 1):
                            self._step(plan, only, strip, step)

    def _step(self, plan: Plan, only: Block | None, strip: Strip, step: int) -> None:
        """Append the commands of a strip of rows in a strip of columns."""
        to_load = set(plan.group.loads)
        for number, stage in enumerate(plan.group.stages):
            left, right = strip.columns[stage.output]
            if left == right:
                continue
            self._load_rows(plan, stage, strip, step, to_load)
            start, stop = plan.frontier[stage.output][step - 1 : step + 1]
            if start < stop:
                area = Area(start, stop, left, right)
                self._compute(plan, number, only, area)

    def _load_rows(
        self, plan: Plan, stage: Stage, strip: Strip, step: int, to_load: set[str]
    ) -> None:
        """Load the rows that a step adds to the values that a stage reads first."""
        for value in stage.inputs:
            if value in to_load and value in self._activations.rings:
                to_load.remove(value)
                start, stop = plan.frontier[value][step - 1 : step + 1]
                ring = self._activations.rings[value]
                area = Area(start, stop, *strip.columns[value])
                self._loader.rows(stage.ops[0].layer, value, ring, area)

    def _compute(self, plan: Plan, number: int, only: Block | None, area: Area) -> None:
        """Compute some of a stage's output, of one block of kernel groups or all, one by one."""
        stage, kept = plan.group.stages[number], plan.kept(number)
        for block in plan.weights.blocks[number]:
            if only is not None and block != only:
                continue
            for source in stage.sources if plan.parts is None else ():
                if not (kept and (source, block) in self._held):
                    self._held[source, block] = self._loader.weights(
                        stage.ops[0].layer, source, block, kept=kept
                    )
            bases = {s: self._held[s, block] for s in stage.sources if (s, block) in self._held}
            stored = stage.output in plan.group.stores
            self._computer.area(stage, block, area, bases=bases, stored=stored)
