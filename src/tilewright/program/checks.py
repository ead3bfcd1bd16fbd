"""What the parts of a program must say of each other, so that it ends and stays in bounds."""

from __future__ import annotations

import math

from tilewright.compiler.ir import choose_multipliers, side_by_side
from tilewright.errors import Error
from tilewright.isa import Command, Deform, End, Fetch, Unit, decode
from tilewright.isa.layout import reach
from tilewright.isa.rules import MAX_COMMANDS, TO_MEMORY, RuleError, check_command
from tilewright.program.artefact import Program
from tilewright.program.errors import ProgramError


def check_program(program: Program) -> None:
    """Refuse a program whose parts contradict each other.

    Raises
    ------
    Error
        Naming the value or the command.
    """
    width = program.engine.multiplier_width
    if choose_multipliers(program.graph, width) is not program.graph:
        raise ProgramError("the graph has factors where a program has multipliers")
    _check_feature_maps(program)
    _check_results(program)
    commands = _check_streams(program)
    _check_fetches(program, commands[Unit.LOAD])
    for unit in Unit:
        before = None
        for index, command in enumerate(commands[unit]):
            where = f"{unit.name.lower()} command {index}"
            if command.layer >= len(program.layers):
                raise ProgramError(
                    f"{where} works for layer {command.layer}; the program has "
                    f"{len(program.layers)}"
                )
            try:
                check_command(
                    program.engine, command, before if isinstance(before, Deform) else None
                )
            except RuleError as error:
                raise ProgramError(f"{where}: {error}") from error
            if isinstance(command, TO_MEMORY) and (
                command.address + reach(program.engine, command) > program.image.size
            ):
                raise ProgramError(f"{where} goes beyond the {program.image.size} bytes of memory")
            before = command


def _check_feature_maps(program: Program) -> None:
    """Require that inputs and outputs lie in memory, every channel in a place of its own."""
    graph, size = program.graph, program.image.size
    if program.in_columns and side_by_side(graph, program.batch) is None:
        raise ProgramError("its images lie side by side, and are more than a pixel each")
    ends = {op.output for op in graph.inputs} | {op.input for op in graph.outputs}
    for what in ("addresses", "orders"):
        if (named := getattr(program, what).keys()) != ends:
            raise ProgramError(f"{what} of {sorted(named)[:9]}, not of {sorted(ends)[:9]}")
    if not program.pixels.keys() <= ends:
        raise ProgramError(f"pixels of {sorted(program.pixels)[:9]}, not of {sorted(ends)[:9]}")
    for value in ends:
        channels = graph.values[value].shape[0]
        order = program.orders[value]
        if sorted(place for place in order if place >= 0) != list(range(channels)):
            raise ProgramError(f"{value}: its order does not name each of its {channels} channels")
        pixel = program.pixels.get(value, 0)
        if pixel not in (0, *program.engine.pixel_sizes) or (pixel and channels > pixel):
            raise ProgramError(f"{value}: a pixel of {pixel} bytes for {channels} channels")
        address, bytes_ = program.addresses[value], program.room(value)
        if address % program.engine.bus_bytes or address + bytes_ > size:
            raise ProgramError(f"{value}: {bytes_} bytes at {address} of a memory of {size}")


def _check_results(program: Program) -> None:
    """Require that the model's inputs and results are made of the graph's."""
    graph = program.graph
    sizes = [graph.values[op.output].numel for op in graph.inputs]
    if [math.prod(shape) for shape in program.input_shapes] != sizes:
        raise ProgramError(f"inputs of the shapes {program.input_shapes[:9]} for {sizes[:9]}")
    kinds = [graph.values[op.input] for op in graph.outputs]
    for view in program.results:
        if max(view.sources) >= len(kinds):
            raise ProgramError(f"a result of output {max(view.sources)} of {len(kinds)}")
        own = [kinds[i] for i in view.sources]
        grids = {(k.bits, k.signed, k.scale, k.zero_point) for k in own}
        count = sum(kind.numel for kind in own)
        whole = view.index is None and len(own) == 1 and math.prod(view.shape) == count
        inside = view.index is not None and (view.index >= -1).all() and (view.index < count).all()
        if len(grids) > 1 or not (whole or inside):
            raise ProgramError(f"a result of {view.shape} that its outputs do not make up")


def _check_streams(program: Program) -> dict[Unit, list[Command]]:
    """Require that the streams lie in memory; return their commands."""
    config = program.engine
    total = sum(count for _, count in program.streams.values())
    if total > MAX_COMMANDS:
        raise ProgramError(f"{total} commands; a program has at most {MAX_COMMANDS}")
    for unit, (address, count) in program.streams.items():
        end = address + count * config.command_bytes(unit)
        if address % config.bus_bytes or end > program.image.size:
            raise ProgramError(
                f"{count} {unit.name.lower()} commands at {address} of a memory of "
                f"{program.image.size} bytes"
            )
    return {unit: _decode(program, unit) for unit in Unit}


def _decode(program: Program, unit: Unit) -> list[Command]:
    address, count = program.streams[unit]
    size = program.engine.command_bytes(unit)
    commands = []
    for index in range(count):
        place = address + index * size
        try:
            commands.append(decode(unit, program.image[place : place + size].tobytes()))
        except Error as error:
            where = f"{unit.name.lower()} command {index}"
            raise ProgramError(f"{where}, byte {place} of memory: {error}") from error
    return commands


def _check_fetches(program: Program, loads: list[Command]) -> None:
    """Require that every command is fetched once, in its stream's order, and the last is End."""
    if not loads or not isinstance(loads[-1], End):
        raise ProgramError("the last load command must be an End")
    fetched = dict.fromkeys(Unit, 0)
    fetched[Unit.LOAD] = program.boot_count
    if program.boot_count > min(len(loads), program.engine.queue_depth):
        raise ProgramError(f"a first fetch of {program.boot_count} of {len(loads)} load commands")
    for index, command in enumerate(loads):
        if index >= fetched[Unit.LOAD]:
            raise ProgramError(f"load command {index} is not fetched before its turn comes")
        if isinstance(command, End) and index < len(loads) - 1:
            raise ProgramError(f"load command {index} is an End, and others follow")
        if not isinstance(command, Fetch):
            continue
        if command.unit not in set(Unit):
            raise ProgramError(f"load command {index} fetches for unit {command.unit}")
        unit = Unit(command.unit)
        address, count = program.streams[unit]
        place = address + fetched[unit] * program.engine.command_bytes(unit)
        fetched[unit] += command.count
        if command.address != place or fetched[unit] > count:
            raise ProgramError(
                f"load command {index} fetches {command.count} {unit.name.lower()} commands at "
                f"{command.address}; the next ones are at {place}"
            )
    for unit, (_, count) in program.streams.items():
        if fetched[unit] != count:
            raise ProgramError(f"{fetched[unit]} of {count} {unit.name.lower()} commands fetched")
