"""Hardware from a target: Verilog, synthesis."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tilewright.boards import get_board
from tilewright.boards.flow.synthesis import Synthesis
from tilewright.boards.flow.synthesis import synthesize as run_flow
from tilewright.errors import Error, require_type
from tilewright.files import write_text
from tilewright.hdl.verilog import TOP, engine_verilog
from tilewright.target import Target, require_target


def generate_verilog(target: Target, directory: str | os.PathLike[str]) -> Path:
    """Write the engine of a target as Verilog-2005 and return the file's path.

    Ports: ``clk``, ``rst``, AXI4 ``m_axi_*``, AXI4-Lite ``s_axil_*``, ``irq``; leave ``trace_*``
    open.
    """
    require_target("generate_verilog", target)
    require_type("generate_verilog", "directory", directory, str, os.PathLike)
    path = Path(directory) / f"{TOP}.v"
    write_text(path, engine_verilog(target.engine))
    return path


def synthesize(
    target: Target,
    directory: str | os.PathLike[str],
    *,
    place_and_route: bool = False,
    link: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Synthesis:
    """Synthesize a target's engine; see :func:`tilewright.boards.flow.synthesis.synthesize`.

    With ``place_and_route``, the board's whole system is built instead, to a bitstream; with
    ``link``, a host reaches it that way: "serial" or "usb", as of
    :class:`tilewright.boards.Board`.
    """
    require_target("synthesize", target)
    require_type("synthesize", "directory", directory, str, os.PathLike)
    board = None if target.board is None else get_board(target.board)
    if link is not None:
        require_type("synthesize", "link", link, str)
        if board is None or not place_and_route:
            raise Error("a host link is part of a board's whole system: with place and route only")
        board = replace(board, link=link)
    return run_flow(
        target.engine,
        Path(directory),
        board=board,
        place_and_route=place_and_route,
        progress=progress,
    )
