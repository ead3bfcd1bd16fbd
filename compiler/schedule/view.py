"""A schedule as people read it, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilewright.compiler.schedule.plan.rings import room
from tilewright.compiler.schedule.plan.ways import Choice
from tilewright.compiler.schedule.tiles.rounded import RoundingError
from tilewright.isa import EngineConfig


@dataclass(frozen=True)
class LayerView:
    """A layer in a group.

    ``algorithm``: "direct", tiles as in "F(4x2,3x3)", or of samples in memory, "sampled";
    ``weights``: "resident", "streamed" (loaded again for every strip), "once" or "in N parts"
    (of what is reduced over); ``transformed``:
    "" or where the kernels of tiles are, "when compiled" or "at load"; ``rounding``: what
    "F(4x2,3x3) rounded" or the like changes.
    """

    name: str
    kind: str
    algorithm: str
    reads: tuple[str, ...]
    writes: str
    weights: str
    transformed: str
    weight_words: int
    rounding: RoundingError | None = None


@dataclass(frozen=True)
class GroupView:
    """Layers that run together, strip by strip.

    Parameters
    ----------
    layers : LayerView, in order
    strips : steps in which the group runs
    blocks : blocks of output channels, for each of which it runs once
    columns : strips of columns, for each of which every block runs once
    rows_on_chip : rows that the activation buffer holds of each value
    loads, stores : values read from and written to memory
    lane_words : of the activation buffer's ``act_depth``
    weight_words : of the weight buffer's ``weight_depth``, for weights that stay
    cycles, bytes : estimated
    """

    layers: tuple[LayerView, ...]
    strips: int
    blocks: int
    columns: int
    rows_on_chip: dict[str, int]
    loads: tuple[str, ...]
    stores: tuple[str, ...]
    lane_words: int
    weight_words: int
    cycles: int
    bytes: int

    def __str__(self) -> str:
        names = [layer.name for layer in self.layers]
        span = names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}"
        cut = f"{self.strips} strip{'s' * (self.strips > 1)}"
        if self.columns > 1:
            cut += f" x {self.columns} strips of columns"
        if self.blocks > 1:
            cut += f" x {self.blocks} blocks of channels"
        costs = f"about {self.cycles:,} cycles and {self.bytes:,} bytes"
        lines = [f"{span}: {cut}, {self.lane_words} lane words, {costs}"]
        for value in self.loads:
            rows = self.rows_on_chip.get(value)
            held = "part by part" if rows is None else f"{rows} rows on chip"
            lines.append(f"  load   {value}, {held}")
        for layer in self.layers:
            where = []
            if layer.writes in self.rows_on_chip:
                where.append(f"{self.rows_on_chip[layer.writes]} rows on chip")
            if layer.writes in self.stores:
                where.append("memory")
            how = "" if layer.algorithm == "direct" else f" as {layer.algorithm}"
            lines.append(
                f"  {layer.kind:<6} {layer.name}: {', '.join(layer.reads)} -> {layer.writes} "
                f"({' and '.join(where)}){how}, weights {layer.weights}"
                + f", transformed {layer.transformed}"
                * bool(layer.transformed)
            )
            if layer.rounding is not None:
                lines.append(f"         {layer.rounding}")
        return "\n".join(lines)


def view(
    choices: Sequence[Choice], config: EngineConfig, rounding: Mapping[str, RoundingError]
) -> tuple[GroupView, ...]:
    """Return what plans say, for people and for files; ``rounding`` by the layer's name."""
    return tuple(_group(choice, config, rounding) for choice in choices)


def _group(
    choice: Choice, config: EngineConfig, rounding: Mapping[str, RoundingError]
) -> GroupView:
    plan = choice.plan
    layers = []
    resident = 0
    for stage, kept, blocks in zip(
        plan.group.stages, plan.weights.resident, plan.weights.blocks, strict=True
    ):
        words = sum(stage.block_words(config, block) for block in blocks)
        once = plan.runs == 1 or len(plan.blocks) > 1
        resident += words if kept else 0
        op = stage.ops[0]
        where = "resident" if kept else "once" if once else "streamed"
        if plan.parts is not None:
            where = f"in {max(map(len, plan.parts.sections.values()))} parts"
        layers.append(
            LayerView(
                name=op.name,
                kind=op.kind,
                algorithm=op.algorithm,
                reads=stage.inputs,
                writes=stage.output,
                weights=where,
                transformed=op.weights.source.transformed,
                weight_words=words,
                rounding=rounding.get(op.name),
            )
        )
    return GroupView(
        layers=tuple(layers),
        strips=plan.steps,
        blocks=len(plan.blocks),
        columns=len(plan.columns.strips),
        rows_on_chip={value: ring.rows for value, ring in plan.rings[0].items()},
        loads=plan.group.loads,
        stores=tuple(sorted(plan.group.stores)),
        lane_words=max(map(room, plan.rings)),
        weight_words=resident,
        cycles=round(choice.cost.cycles),
        bytes=choice.cost.traffic,
    )
