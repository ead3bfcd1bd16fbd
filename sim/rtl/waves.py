"""Waveforms in the compressed format of GTKWave and Surfer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pylibfst import ffi, lib

__all__ = ["vcd_to_fst"]

_DECLARATION = re.compile(r"\$(scope|upscope|var|timescale|enddefinitions)\b(.*?)\$end", re.DOTALL)
_SECONDS = {"s": 0, "ms": -3, "us": -6, "ns": -9, "ps": -12, "fs": -15}


def vcd_to_fst(vcd: Path, fst: Path) -> None:
    """Convert a value change dump, IEEE 1364 chapter 18, with binary values only."""
    writer = lib.fstWriterCreate(str(fst).encode(), 1)
    try:
        with vcd.open() as file:
            variables = _declare(writer, _header(file))
            for line in file:
                first = line[0]
                if first == "#":
                    lib.fstWriterEmitTimeChange(writer, int(line[1:]))
                elif first == "b":
                    value, name = line[1:].split()
                    handle, width = variables[name]
                    lib.fstWriterEmitValueChange(writer, handle, value.zfill(width).encode())
                elif first in "01":
                    handle, _ = variables[line[1:].strip()]
                    lib.fstWriterEmitValueChange(writer, handle, first.encode())
    finally:
        lib.fstWriterClose(writer)


def _header(file: Any) -> str:
    lines = []
    for line in file:
        lines.append(line)
        if line.lstrip().startswith("$enddefinitions"):
            break
    return "".join(lines)


def _declare(writer: Any, header: str) -> dict[str, tuple[int, int]]:
    """Write the hierarchy; return handle and width of each variable by its short name."""
    variables: dict[str, tuple[int, int]] = {}
    for keyword, rest in _DECLARATION.findall(header):
        words = rest.split()
        if keyword == "timescale":
            number, unit = re.fullmatch(r"(\d+)(\w+)", "".join(words)).groups()  # type: ignore[union-attr]
            lib.fstWriterSetTimescale(writer, _SECONDS[unit] + len(number) - 1)
        elif keyword == "scope":
            lib.fstWriterSetScope(writer, lib.FST_ST_VCD_MODULE, words[1].encode(), ffi.NULL)
        elif keyword == "upscope":
            lib.fstWriterSetUpscope(writer)
        elif keyword == "var":
            _, width, name, *reference = words
            alias = variables.get(name, (0, 0))[0]
            handle = lib.fstWriterCreateVar(
                writer,
                lib.FST_VT_VCD_WIRE,
                lib.FST_VD_IMPLICIT,
                int(width),
                " ".join(reference).encode(),
                alias,
            )
            variables.setdefault(name, (handle, int(width)))
    return variables
