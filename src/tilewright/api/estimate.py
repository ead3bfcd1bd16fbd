"""What a program will cost, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tilewright.api.cycles import events_of
from tilewright.errors import require_type
from tilewright.hdl.families import get_family
from tilewright.isa import Compute, Deform, EngineConfig, Unit
from tilewright.program import Program
from tilewright.sim.report import bytes_moved

# Energy per event in pJ: M. Horowitz, "Computing's energy problem", ISSCC 2014, 45 nm: an 8-bit
# multiply and a 32-bit add, a 64-bit access to a small SRAM, a byte of DRAM. An FPGA spends about
# ten times as much on logic (I. Kuon and J. Rose, "Measuring the gap between FPGAs and ASICs",
# IEEE TCAD 2007), hence the factor and the wide error.
FPGA_FACTOR = 10
MAC_PJ = 0.3 * FPGA_FACTOR
SRAM_BYTE_PJ = 1.25 * FPGA_FACTOR
DRAM_BYTE_PJ = 200.0


@dataclass(frozen=True)
class Estimate:
    """A figure, with its relative error (0 is exact) and where it comes from."""

    value: float
    unit: str
    relative_error: float
    basis: str


def multiplier_count(config: EngineConfig) -> int:
    """Return the DSP multipliers of an engine: the array's and the requantizers'."""
    family = get_family(config.dsp)
    width = family.operand_width
    parts = -(-config.acc_width // width) * -(-config.multiplier_width // width)
    columns = -(-config.cols // family.columns_per_multiplier)
    array = config.rows * columns // config.weights_per_byte
    return array + config.requantizer_count * parts


def sample_count(program: Program) -> int:
    """Return how many pixels, of ``rows`` channels each, deformable layers sample."""
    count = 0
    for before, command in pairwise(program.commands(Unit.COMPUTE)):
        if isinstance(before, Deform) and isinstance(command, Compute):
            taps = command.n_cg * command.n_r * command.n_s
            count += command.n_kg * command.n_oy * command.out_w * taps
    return count


def estimate(program: Program) -> dict[str, Estimate]:
    """Return figures by name: cycles, latency, traffic, multipliers, buffer bytes, energy.

    Latency assumes the program's memory timing and clock; energy covers multiplications, samples,
    on-chip operands and bus traffic, not clocks and leakage.
    """
    require_type("estimate", "program", program, Program)
    config, target = program.engine, program.target
    events = events_of(program)
    cycles = events.cycles
    macs = sum(layer.macs for layer in program.layers)
    moved = [bytes_moved(config, event.command) for unit in Unit for event in events.by_unit[unit]]
    read, written = (sum(column) for column in zip(*moved, strict=True))
    # Each step of the array reads a weight word and, for every row, its pixels.
    on_chip = macs * (1 / config.cols + 1 / config.rows)
    energy = macs * MAC_PJ + on_chip * SRAM_BYTE_PJ + (read + written) * DRAM_BYTE_PJ
    # A sample is four pixels, multiplied by a weight each.
    energy += 4 * sample_count(program) * config.rows * (MAC_PJ + SRAM_BYTE_PJ)
    buffers = config.act_bytes + config.weight_bytes + config.out_bytes + config.offset_bytes
    return {
        "cycles": Estimate(cycles, "cycles/image", 0.0, "cycle model"),
        "latency": Estimate(
            cycles / target.clock_mhz / 1e3, "ms/image", 0.0, f"{target.clock_mhz:g} MHz"
        ),
        "utilization": Estimate(
            macs / (config.multipliers * cycles), "of peak", 0.0, "cycle model"
        ),
        "read": Estimate(read, "bytes/image", 0.0, "commands"),
        "written": Estimate(written, "bytes/image", 0.0, "commands"),
        "multipliers": Estimate(multiplier_count(config), "DSP", 0.0, "structure"),
        "buffers": Estimate(buffers, "bytes", 0.0, "configuration"),
        "energy": Estimate(energy / 1e6, "uJ/image", 3.0, "45 nm ASIC figures, scaled to FPGAs"),
    }
