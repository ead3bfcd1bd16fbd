"""A network as stages, and where the channels of its values lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tilewright.compiler.ir import Graph, TensorType
from tilewright.compiler.schedule.array.area import PhasedLayout, RowLayout
from tilewright.compiler.schedule.array.stacked import stacked
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.order.channels import ChannelOrder
from tilewright.isa import EngineConfig
from tilewright.isa.layout import FeatureMapLayout


@dataclass(frozen=True)
class LoweredGraph:
    """Stages in execution order, and the types and channel orders of all values they touch.

    ``orders``: of stored values; ``pixels``: bytes of a pixel in memory, of those that have fewer
    than ``rows``; ``aliases``: values that are the bytes of others in memory, read otherwise;
    ``phases``: of values whose rows are counted by phases, how many rows those of one lie apart;
    ``rows``: of aliases that are a row of a value, which, and of how many; stages may write them.
    """

    graph: Graph
    config: EngineConfig
    values: dict[str, TensorType]
    orders: dict[str, ChannelOrder]
    pixels: dict[str, int]
    aliases: dict[str, str]
    phases: dict[str, int]
    rows: dict[str, tuple[int, int]]
    stages: tuple[Stage, ...]

    def layout(self, value: str) -> FeatureMapLayout:
        """Return how a value lies in memory."""
        known = self._layouts.get(value)
        if known is None:
            shape, order = self.values[value].shape, tuple(self.orders[value])
            pixel = self.pixels.get(value, 0)
            if step := self.phases.get(value):
                known = PhasedLayout(self.config, *shape, order, pixel, step)
            elif value in self.rows:
                top, height = self.rows[value]
                known = RowLayout(self.config, *shape, order, pixel, height, top)
            else:
                known = FeatureMapLayout(self.config, *shape, order, pixel)
            self._layouts[value] = known
        return known

    def stacked(self, images: int) -> tuple[Stage | None, ...]:
        """Return the stages of so many images at once; None where only one is."""
        known = self._stacked.get(images)
        if known is None:
            odd = {*self.aliases, *self.aliases.values(), *self.rows, *self.phases}
            known = self._stacked[images] = tuple(
                None if odd.intersection((*stage.inputs, stage.output)) else stacked(stage, images)
                for stage in self.stages
            )
        return known

    @cached_property
    def last_reader(self) -> dict[str, int]:
        """The last stage that reads each value on chip; one behind all, of outputs."""
        found = {value: n for n, stage in enumerate(self.stages) for value in stage.inputs}
        return found | {op.input: len(self.stages) for op in self.graph.outputs}

    @cached_property
    def read_from_memory(self) -> frozenset[str]:
        """Values that operations read from memory, wherever else they are."""
        ops = (op for stage in self.stages for op in stage.ops)
        values = (value for op in ops for value in op.from_memory)
        return frozenset((*values, *self.aliases.values(), *self.rows))

    @cached_property
    def written_as_rows(self) -> dict[str, frozenset[str]]:
        """The rows, values of their own, that stages write, by the value that they are rows of."""
        found: dict[str, frozenset[str]] = {}
        for stage in self.stages:
            if stage.output in self.rows:
                whole = self.aliases[stage.output]
                found[whole] = found.get(whole, frozenset()) | {stage.output}
        return found

    def stored(self, value: str) -> str:
        """Return the value whose bytes a value has in memory: itself, unless it is an alias."""
        return self.aliases.get(value, value)

    @cached_property
    def _stacked(self) -> dict[int, tuple[Stage | None, ...]]:
        """What was asked for."""
        return {}

    @cached_property
    def _layouts(self) -> dict[str, FeatureMapLayout]:
        """What was asked for: plans ask for the same layouts again and again."""
        return {}
