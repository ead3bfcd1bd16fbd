"""The register map of an engine as SystemRDL 2.0, and as a C header.

Source: Accellera, SystemRDL 2.0.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tilewright.errors import Error
from tilewright.files import write_text
from tilewright.isa import ISA_VERSION, EngineConfig
from tilewright.isa.registers import IDENTITY, OFFSET, REGISTERS, Register, RegisterField, Status

__all__ = ["MAP", "c_header", "register_map", "registers_of"]

MAP = "tilewright_engine"
_BITS = 32
_SOFTWARE = {"RO": "r", "WO": "w", "RW": "rw"}
_STATUS = "status_code"


def registers_of(config: EngineConfig) -> tuple[Register, ...]:
    """Return the registers that an engine has: one without counters has no watchdog either."""
    if config.counters:
        return REGISTERS
    return tuple(r for r in REGISTERS if r.offset < OFFSET["CYCLES"] and r.name != "WATCHDOG")


def register_map(config: EngineConfig) -> str:
    """Return an engine's register map as SystemRDL: an ``addrmap`` of the name ``MAP``."""
    constants = {"ID": IDENTITY, "VERSION": ISA_VERSION, "DIGEST": config.digest}
    lines = [f"enum {_STATUS} {{"]
    lines += [f"    {status.name} = 8'd{status.value};" for status in Status]
    lines += [
        "};",
        "",
        f"addrmap {MAP} {{",
        '    name = "Tilewright engine";',
        "    default regwidth = 32;",
        "    default accesswidth = 32;",
    ]
    for register in registers_of(config):
        lines += ["", "    reg {"]
        lines += [f"        desc = {_quoted(register.meaning)};"]
        lines += _fields(register, constants.get(register.name))
        lines += [f"    }} {register.name} @ 0x{register.offset:02x};"]
    return "\n".join([*lines, "};", ""])


def _fields(register: Register, value: int | None) -> Iterator[str]:
    """Yield a register's fields."""
    whole = RegisterField("VALUE", 0, _BITS, register.doc)
    for field in register.fields or (whole,):
        properties = [f"sw = {_SOFTWARE[register.access]}"]
        properties += [f"hw = {'r' if register.access == 'WO' else 'w'}"]
        if register.access == "RW" and not field.write_one_to_clear:
            properties[-1] = "hw = r"
        if field.write_one_to_clear:
            properties += ["onwrite = woclr", "hwset"]
        if register.name == "STATUS" and field.name == "CODE":
            properties += [f"encode = {_STATUS}"]
        properties += [f"desc = {_quoted(field.doc)}"]
        place = f"[{field.low + field.width - 1}:{field.low}]"
        reset = f" = 0x{value:x}" if value is not None else " = 0"
        yield f"        field {{ {'; '.join(properties)}; }} {field.name}{place}{reset};"


def _quoted(text: str) -> str:
    """Return text as a string of SystemRDL."""
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


def c_header(text: str) -> str:
    """Return the C header that PeakRDL makes of a register map: a struct, masks and places.

    Parameters
    ----------
    text : str, as :func:`register_map` returns it

    Raises
    ------
    Error
        If PeakRDL does not understand the map.
    """
    from peakrdl_cheader.exporter import CHeaderExporter  # half a second
    from systemrdl.compiler import RDLCompiler
    from systemrdl.messages import RDLCompileError

    with tempfile.TemporaryDirectory(prefix="tilewright-") as name:
        source, header = Path(name) / f"{MAP}.rdl", Path(name) / f"{MAP}.h"
        write_text(source, text)
        compiler = RDLCompiler()
        try:
            compiler.compile_file(str(source))
            CHeaderExporter().export(compiler.elaborate(), str(header), generate_bitfields=True)
        except RDLCompileError as error:
            raise Error(f"PeakRDL does not take the register map: {error}") from error
        return header.read_text()
