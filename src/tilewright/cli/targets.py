"""The engine, board and memory that options choose."""

from __future__ import annotations

from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import tilewright as tw
from tilewright import files
from tilewright.cli.options import DEFAULT_BOARD
from tilewright.errors import Error

if TYPE_CHECKING:
    from tilewright.isa import EngineConfig
    from tilewright.sim.timing import SDRAM, MemoryTiming
    from tilewright.target import Target

_MAX_ENGINE_BYTES = 1 << 16


def chosen_target(
    board: str | None,
    engine: Path | None,
    settings: list[str] | None,
    memory: str | None = None,
) -> Target:
    """Return what --board, --engine, --set and --memory say.

    Raises
    ------
    Error
        Naming the file or option, and the parameter.
    """
    if engine is None:
        target = tw.Target.from_board(DEFAULT_BOARD if board is None else board)
    else:
        target = tw.Target(engine=read_engine(engine))
        if board is not None:
            target = replace(tw.Target.from_board(board), engine=target.engine)
    if settings:
        target = replace(target, engine=_changed(target.engine, settings))
    if memory is not None:
        target = replace(target, memory=parse_memory(memory, target.clock_mhz))
    return target


def target_of(
    program: Path | None, board: str | None, engine: Path | None, settings: list[str] | None
) -> Target:
    """Return a program's own target, or what the options say.

    Raises
    ------
    Error
        If there are both, or one is wrong.
    """
    if program is None:
        return chosen_target(board, engine, settings)
    refuse_options(program, board, engine, settings)
    return tw.load(program).target


def refuse_options(program: Path, *options: object) -> None:
    """Refuse options that choose an engine, beside a program, which has one."""
    if any(options):
        raise Error(
            f"{program} is for an engine of its own: leave out --board, --engine, --set and "
            "--memory, or compile the network for another engine"
        )


def read_engine(path: Path) -> EngineConfig:
    """Return the engine of a TOML file.

    Raises
    ------
    Error
        If it is no TOML file, or has unknown or wrong parameters.
    """
    import tomllib

    data = files.read_bytes(path, _MAX_ENGINE_BYTES)
    try:
        values = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise Error(f"{path} is not a TOML file: {error}") from error
    for name in values:
        _require_parameter(name, str(path))
    try:
        return tw.EngineConfig.from_fields(values)
    except Error as error:
        raise Error(f"{path}: {error}") from error


def parse_memory(text: str, clock_mhz: float) -> MemoryTiming | SDRAM:
    """Read READ,WRITE, latencies in cycles, or the name of an SDRAM chip.

    Raises
    ------
    Error
        If it is neither; the message lists the chips.
    """
    read, comma, write = text.partition(",")
    if not comma and not text.isdecimal():
        try:
            return tw.SDRAM(text, clock_mhz)
        except Error as error:
            raise Error(f"--memory {text}: {error}; READ,WRITE are latencies in cycles") from error
    if not (read.isdecimal() and write.isdecimal() and len(text) < 20):
        raise Error(f"--memory {text} must be READ,WRITE, two latencies in cycles, or a chip")
    return tw.MemoryTiming(int(read), int(write))


def _changed(engine: EngineConfig, settings: list[str]) -> EngineConfig:
    """Return an engine with some parameters changed together."""
    values: dict[str, object] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        name, option = name.strip(), f"--set {text}"
        if not equals:
            raise Error(f"{option} must be NAME=VALUE, as in rows=8")
        _require_parameter(name, option)
        if name in values:
            raise Error(f"{option}: {name} is set twice")
        values[name] = _value(name, value.strip(), option)
    try:
        # dataclasses.replace would do; this one is told names that are checked.
        own = {field.name: getattr(engine, field.name) for field in fields(engine)}
        return tw.EngineConfig.from_fields({**own, **values})
    except Error as error:
        raise Error(f"--set {' --set '.join(settings)}: {error}") from error


def _require_parameter(name: str, where: str) -> None:
    names = [field.name for field in fields(tw.EngineConfig)]
    if name not in names:
        close = get_close_matches(name, names, 1)
        hint = f"; {close[0]}?" if close else f"; there are {', '.join(names)}"
        raise Error(f"{where}: an engine has no parameter {name!r}{hint}")


def _value(name: str, text: str, option: str) -> object:
    """Read a parameter's value as the type that it has in an engine."""
    (field,) = (field for field in fields(tw.EngineConfig) if field.name == name)
    if isinstance(field.default, str):
        return text
    if isinstance(field.default, bool):
        if text.lower() not in ("true", "false"):
            raise Error(f"{option}: {name} must be true or false")
        return text.lower() == "true"
    if field.default is None and text.lower() == "none":
        return None
    if not text.removeprefix("-").isdecimal() or len(text) > 12:
        raise Error(f"{option}: {name} must be a whole number")
    return int(text)
