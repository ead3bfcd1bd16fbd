"""What an integrator has to know of an engine, with its own figures; constraints for its clock."""

from __future__ import annotations

import re
from dataclasses import asdict
from textwrap import dedent

from tilewright.hdl.families.generic import Family as AnyFamily
from tilewright.hdl.verilog import TOP
from tilewright.integration.registers import MAP
from tilewright.isa import ISA_VERSION, EngineConfig
from tilewright.isa.registers import Status
from tilewright.target import Target

__all__ = ["constraints", "notes", "ports"]

_PORT = re.compile(r"^\s*(input|output)\s+(?:wire\s+|reg\s+)*(?:\[(\d+):0\]\s+)?(\w+)\s*;", re.M)
_BUSES = ("m_axi", "s_axil", "trace")


def ports(verilog: str) -> dict[str, tuple[str, int]]:
    """Return direction and width of each port of the module ``TOP``, by name."""
    head = re.search(rf"^module {TOP}\b.*?^endmodule", verilog, re.M | re.S)
    assert head is not None
    found = {name: (way, int(high or 0) + 1) for way, high, name in _PORT.findall(head[0])}
    return dict(sorted(found.items(), key=lambda port: _place(port[0])))


def _place(name: str) -> int:
    """Return a port's place: clock, reset and interrupt, the buses, the trace."""
    return next((i for i, bus in enumerate(_BUSES, 1) if name.startswith(bus)), 0)


def constraints(target: Target) -> str:
    """Return timing constraints in SDC, which Vivado reads as XDC."""
    period = 1000 / target.clock_mhz
    return dedent(f"""\
        # One clock. rst and all buses belong to it: what drives them, and what they drive, is to
        # have a register in the same clock's domain. Leave this line out where the design around
        # the engine constrains the clock.
        create_clock -name clk -period {period:.3f} [get_ports clk]
        """)


def notes(target: Target, verilog: str) -> str:
    """Return a page in Markdown on the engine in ``verilog``."""
    config = target.engine
    return "\n".join(
        (
            _head(config),
            _clock(target),
            _ports(verilog),
            _buses(config),
            _run(config),
            _elsewhere(config),
        )
    )


def _head(config: EngineConfig) -> str:
    return dedent(f"""\
        # A Tilewright engine

        `{TOP}.v`: {config.rows} x {config.cols} multipliers. Its programs are compiled for this
        engine only: digest `0x{config.digest:08x}`, version {ISA_VERSION} of the commands.

        | file | what it is |
        |---|---|
        | `{TOP}.v` | the engine, Verilog-2005, module `{TOP}` |
        | `{MAP}.rdl` | its registers, SystemRDL 2.0 |
        | `{MAP}.h` | the same for C, by PeakRDL: a struct, masks and places |
        | `{TOP}.sdc` | its clock |
        """)


def _clock(target: Target) -> str:
    return dedent(f"""\
        ## Clock and reset

        One clock, `clk`, here of {target.clock_mhz:g} MHz. `rst` is synchronous and high; one cycle
        is enough.
        """)


def _ports(verilog: str) -> str:
    lines = ["## Ports", "", "| port | direction | bits |", "|---|---|---|"]
    lines += [f"| `{name}` | {way} | {width} |" for name, (way, width) in ports(verilog).items()]
    lines += ["", "Leave `trace_*` open: they are for simulation.", ""]
    return "\n".join(lines)


def _buses(config: EngineConfig) -> str:
    beats, size = config.burst_beats, config.bus_bytes
    return dedent(f"""\
        ## Buses

        `m_axi_*` is an AXI4 manager of {config.bus_width} bits with addresses of 32:

        - bursts are INCR, of 1 to {beats} beats of {size} bytes, and cross no multiple of
          {beats * size} bytes, so none of 4 KiB; addresses are whole beats;
        - at most {config.outstanding} reads and {config.outstanding} writes are under way; all have
          identifier 0, so answers come in order;
        - every byte of a write counts (WSTRB is all ones); AWADDR is never later than WDATA;
        - AxCACHE is 0b0011, AxPROT 0; there are no AxLOCK, AxQOS and AxREGION: tie them to 0;
        - reads that follow a write wait for its answer on B;
        - an answer other than OKAY ends the run with READ_ERROR or WRITE_ERROR.

        Caches between the engine and a processor are the processor's to flush: before a run what
        it wrote, after it what it reads.

        On a Zynq, `m_axi` goes to an S_AXI_HP port, `s_axil` to M_AXI_GP, each through an
        interconnect: the ports of a Zynq-7000 are AXI3, with bursts of 16 beats at most, and the
        interconnect cuts longer ones. In LiteX they are an AXIInterface with an ID of 1 bit
        and an AXILiteInterface with 8 bits of address.

        `s_axil_*` is an AXI4-Lite subordinate of 32 bits with 8 bits of address: the registers.
        WSTRB is to be all ones. `irq` is a level, high from the end of a run until PENDING of
        INTERRUPT is written with a one, if ENABLE is set.
        """)


def _run(config: EngineConfig) -> str:
    codes = ", ".join(f"{status.value} {status.name}" for status in Status)
    return dedent(f"""\
        ## A run

        ```python
        import tilewright as tw
        from tilewright.isa import Unit

        program = tw.load("net.tw")  # compiled for this engine
        program.image.tofile("net.bin")  # for memory, at a multiple of 4 KiB
        first, count = program.streams[Unit.LOAD][0], program.boot_count  # PROGRAM and COUNT
        for op in program.graph.inputs:
            program.addresses[op.output]  # after BASE; program.pack(op.output, images): its bytes
        for op in program.graph.outputs:
            program.addresses[op.input]  # program.unpack(op.input, data): what its bytes mean
        ```

        1. Read ID, VERSION and DIGEST: they are the reset values in `{MAP}.rdl`.
        2. Write `net.bin` to memory once; inputs to their addresses for each run.
        3. Write its address to BASE, then PROGRAM and COUNT, then 1 to CONTROL.
        4. Wait for `irq`, or until PENDING is set. STATUS.CODE: {codes}.
        5. Read the outputs. After an error, write 2 to CONTROL; memory keeps what it had.

        `tw.estimate` and `tw.simulate` say how many cycles that takes behind a memory of the
        latency that they are told (`tw.MemoryTiming`).
        """)


def _elsewhere(config: EngineConfig) -> str:
    own = config.dsp != AnyFamily.name
    of = (
        f"This Verilog instantiates primitives of {config.dsp}; `--set dsp={AnyFamily.name}` makes "
        "one for any FPGA."
        if own
        else "This Verilog has no primitives: multipliers and memories are inferred."
    )
    parameters = "\n".join(f"| `{name}` | {value!r} |" for name, value in asdict(config).items())
    return f"## Parameters\n\n{of}\n\n| parameter | value |\n|---|---|\n{parameters}\n"
