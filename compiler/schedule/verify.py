"""What must hold of a lowered graph and of plans, whatever made them.

A fault of lowering or of the plan shows here, by name, instead of as a wrong number.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.plan.strips import Plan


class ScheduleFault(AssertionError):
    """The compiler is wrong: what it scheduled contradicts itself."""


def _demand(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise ScheduleFault(f"{name}: {what}")


def verify_lowered(lowered: LoweredGraph) -> None:
    """Check that stages read what is there, write each value once, and cover all of it.

    Raises
    ------
    ScheduleFault  Naming the layer.
    """
    graph = lowered.graph
    written = {v for op in (*graph.inputs, *graph.constants) for v in op.outputs}
    missing = {value: set(rows) for value, rows in lowered.written_as_rows.items()}
    for value, rows in missing.items():
        height = lowered.values[value].shape[1]
        places = {lowered.rows[row][0] for row in rows}
        _demand(places == set(range(height)), value, f"{len(places)} of {height} rows are written")
    for stage in lowered.stages:
        for value in (*stage.inputs, *(v for op in stage.ops for v in op.from_memory)):
            _demand(
                value in written or lowered.stored(value) in written,
                stage.name,
                f"reads {value!r} before it is written",
            )
        _demand(stage.output not in written, stage.name, f"writes {stage.output!r} again")
        written.add(stage.output)
        if stage.output in lowered.rows:
            whole = lowered.stored(stage.output)
            missing[whole].remove(stage.output)
            if not missing[whole]:
                written.add(whole)
        groups = len(lowered.orders[stage.output]) // lowered.config.rows
        for op in stage.ops:
            _verify_op(op, stage, groups)
    for output in graph.outputs:
        stored = lowered.stored(output.input)
        _demand(stored in written, output.name, f"nothing writes {output.input!r}")


def _verify_op(op: ArrayOp, stage: Stage, groups: int) -> None:
    """Check that an operation fits its stage and covers the ``groups`` kernel groups of it."""
    _demand(op.output == stage.output, op.name, "computes another value than its stage")
    _demand(op.windows.operands == stage.operands, op.name, "reads others than its stage")
    source = op.weights.source
    for sections in (op.sections, source.sections):
        ends = [section.kg + section.n_kg for section in sections]
        starts = [section.kg for section in sections]
        _demand(starts == [0, *ends[:-1]], op.name, "its sections do not follow one another")
        _demand(ends[-1] == groups, op.name, f"it computes {ends[-1]} of {groups} kernel groups")
    rows = {len(values) for values in vars(source.parameters).values()}
    _demand(rows == {groups}, op.name, "parameters are not those of its kernel groups")


def verify_plan(plan: Plan, lowered: LoweredGraph) -> None:
    """Check that rows are computed once and before they are read, and that rings do not overlap.

    And that strips of columns have what they read, and together all columns.

    Raises
    ------
    ScheduleFault  Naming the layer.
    """
    stages = plan.group.stages
    for value, rows in plan.frontier.items():
        _demand(all(a <= b for a, b in pairwise(rows)), value, "rows are taken back")
    for stage in stages:
        _verify_rows(plan, stage, lowered.values[stage.output].shape[1] * plan.group.images)
    for number, stage in enumerate(stages):
        blocks = plan.weights.blocks[number]
        covered = [kg for block in blocks for kg in block.kernel_groups]
        _demand(covered == list(range(stage.n_kg)), stage.name, "blocks do not cover its weights")
    for stage in stages:
        _verify_columns(plan, stage, lowered)
    for block, rings in zip(plan.blocks, plan.rings, strict=True):
        _verify_rings(plan, block, rings, lowered)


def _verify_columns(plan: Plan, stage: Stage, lowered: LoweredGraph) -> None:
    """Check that strips have all columns of what is stored, and what is read for them."""
    if stage.output in plan.group.stores:
        end, width = 0, lowered.values[stage.output].shape[2]
        for strip in plan.columns.strips:
            first, stop = strip.columns[stage.output]
            _demand(first <= end, stage.name, f"columns {end} to {first - 1} are not computed")
            end = max(end, stop)
        _demand(end == width, stage.name, f"{end} of {width} columns are computed")
    for strip in plan.columns.strips:
        first, stop = strip.columns[stage.output]
        if first == stop:
            continue
        low, high = stage.input_columns(first, stop)
        for value in stage.inputs:
            begin, end = strip.columns[value]
            origin = strip.origins[value]
            _demand(
                begin <= low and high <= end,
                stage.name,
                f"it reads columns {low} to {high - 1} of {value!r}, of which the strip has "
                f"{begin} to {end - 1}",
            )
            other = stage.inputs[0]
            alike = origin == strip.origins[other]
            _demand(alike and origin <= begin, stage.name, f"a row of {value!r} begins wrong")
            for rings in plan.rings if value in plan.rings[0] else ():
                ring = rings[value]
                shape, first_shape = (ring.rows, ring.row), (rings[other].rows, rings[other].row)
                _demand(shape == first_shape, stage.name, "what it reads is not addressed alike")
                room = ring.row * lowered.config.cols
                _demand(end - origin <= room, stage.name, f"a row of {value!r} has no room")


def _verify_rows(plan: Plan, stage: Stage, height: int) -> None:
    """Check that a stage's rows are all there that are needed, and read what is complete."""
    made = plan.frontier[stage.output]
    if stage.output in plan.group.stores:
        _demand(made[-1] == height, stage.name, f"{made[-1]} of {height} rows are computed")
    for step, (start, stop) in enumerate(pairwise(made), 1):
        if start == stop:
            continue
        _, end = stage.input_rows(start, stop)
        for value in stage.inputs:
            complete = plan.frontier[value][step]
            _demand(
                end <= complete,
                stage.name,
                f"step {step} reads {value!r} up to row {end}, of which {complete} are complete",
            )


def _verify_rings(plan: Plan, block: Block, rings: dict[str, Ring], lowered: LoweredGraph) -> None:
    """Check that rings hold what is read of them, and that values that live together lie apart.

    A value lives from the step and stage that make it to its last reader's: whoever shares its room
    must begin after that, in every step.
    """
    whole = len(plan.blocks) == 1
    for stage in plan.group.stages:
        first, end = stage.channel_groups(
            lowered.config, block if not whole else Block(0, stage.n_kg)
        )
        for operand in stage.operands if rings else ():
            held = sum(rings[part].groups for part in operand.parts)
            skipped = rings[operand.parts[0]].first
            _demand(
                held >= end - first, stage.name, f"{held} of {end - first} channel groups on chip"
            )
            _demand(
                skipped <= first + operand.first, stage.name, "its first channels are not there"
            )
    lives = {value: _life(plan, value) for value in rings}
    for a, b in combinations(rings, 2):
        (begin_a, end_a), (begin_b, end_b) = lives[a], lives[b]
        if begin_a < end_b and begin_b < end_a:
            apart = (
                rings[a].base + rings[a].size <= rings[b].base
                or rings[b].base + rings[b].size <= rings[a].base
            )
            _demand(
                apart, plan.group.stages[0].name, f"{a!r} and {b!r} share room and live together"
            )


def _life(plan: Plan, value: str) -> tuple[int, int]:
    """Return the stages of a step during which a value must keep its room, as (first, end)."""
    stages = plan.group.stages
    readers = [number for number, stage in enumerate(stages) if value in stage.inputs]
    kept = any(_keeps(plan, stages[number], value) for number in readers)
    if kept or (value in plan.group.loads and plan.steps > 1):
        return 0, len(stages)
    made = next((n for n, stage in enumerate(stages) if stage.output == value), 0)
    return made, max(readers) + 1


def _keeps(plan: Plan, stage: Stage, value: str) -> bool:
    """Return whether a reader needs rows of a value in a later step than the one that made them."""
    height, made = stage.output_type.shape[1], plan.frontier[stage.output]
    for step in range(1, plan.steps):
        if made[step] < made[-1]:
            if stage.input_rows(made[step], height)[0] < plan.frontier[value][step]:
                return True
    return False


def verify_schedule(lowered: LoweredGraph, plans: Sequence[Plan]) -> None:
    """Check a lowered graph, each plan, and that the plans are all of its stages in order."""
    verify_lowered(lowered)
    stages = [stage for plan in plans for stage in plan.group.stages]
    images = [plan.group.images for plan in plans for _ in plan.group.stages]
    wanted = [
        stage if count == 1 else lowered.stacked(count)[number]
        for number, (stage, count) in enumerate(zip(lowered.stages, images, strict=False))
    ]
    whole = len(stages) == len(lowered.stages) and stages == wanted
    _demand(whole, lowered.graph.name, "plans leave stages out")
    for plan in plans:
        verify_plan(plan, lowered)
