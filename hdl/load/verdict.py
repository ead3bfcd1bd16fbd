"""What is wrong with a load command: the hardware's part of :mod:`tilewright.isa.rules`."""

from amaranth.hdl import Cat, Mux

from tilewright.hdl.commands.decode import command_view, outside
from tilewright.isa import (
    ISA_VERSION,
    Check,
    End,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Unit,
)
from tilewright.isa.kernel_steps import MAX_KERNEL_STEPS, MAX_KERNEL_TAPS
from tilewright.isa.registers import Status
from tilewright.isa.widths import load_count_width

__all__ = ["LIKE_WEIGHTS", "for_another", "judge", "load_kinds"]

#: Words that go where weights go, or are loaded as they are.
LIKE_WEIGHTS = (LoadWeights, LoadTable, LoadOffsets, LoadKernelSteps)


def load_kinds(config):
    """Return the commands of an engine's load unit."""
    kinds = (Check, Fetch, LoadActivations, LoadWeights, LoadTable, End)
    if config.offset_depth:
        kinds += (LoadOffsets,)
    if config.transform_at_load:
        kinds += (LoadKernelSteps, LoadKernels)
    return kinds


def for_another(config, command):
    """Return whether ``command``, if it is a Check, is for another engine."""
    check = command_view(Check, command)
    return (check.digest != config.digest) | (check.version != ISA_VERSION)


def judge(m, config, s):
    """Set ``s.status`` to the one that refuses ``s.command``, and ``s.refused``, or IDLE."""
    kinds = load_kinds(config)
    fetch = command_view(Fetch, s.command)
    act, weights = (
        command_view(LoadActivations, s.command),
        command_view(LoadWeights, s.command),
    )
    beat_log2 = config.bus_bytes.bit_length() - 1
    # All that move data have their address here.
    address, width = act.address, load_count_width(config)
    skewed = address[:beat_log2].any() | address[config.addr_width :].any()
    bad = dict(zip(kinds, s.extra, strict=True))
    bad[Fetch] = ~s.booting & bad[Fetch]  # at boot the upper bits are not ours
    bad[Fetch] |= (
        skewed | (fetch.unit > max(Unit)) | (fetch.count == 0) | (fetch.count > config.queue_depth)
    )
    known = [act.pixel == size.bit_length() for size in (0, *config.pixel_sizes)]
    bad[LoadActivations] |= (
        skewed
        | ~Cat(known).any()
        | act.group_stride[:beat_log2].any()
        | outside(width, act.groups, act.height, act.width)
    )
    for kind in {LoadWeights, LoadTable, LoadOffsets, LoadKernelSteps} & bad.keys():
        bad[kind] |= skewed | outside(width, weights.words)
    half = weights.words[0] if config.kernel_width > 8 else 1
    bad[LoadWeights] |= weights.wide & half
    bad[LoadTable] |= not config.tables
    if config.transform_at_load:
        kernels = command_view(LoadKernels, s.command)
        bad[LoadKernelSteps] |= weights.words > MAX_KERNEL_STEPS
        bad[LoadKernels] |= (
            skewed
            | outside(width, kernels.channels)
            | (kernels.steps == 0)
            | (kernels.steps > MAX_KERNEL_STEPS)
            | (kernels.taps == 0)
            | (kernels.taps > MAX_KERNEL_TAPS)
        )
    with m.Switch(act.opcode):
        for kind in kinds:
            with m.Case(kind.OPCODE):
                m.d.sync += s.status.eq(Mux(bad[kind], Status.BAD_COMMAND, Status.IDLE))
                m.d.sync += s.refused.eq(bad[kind])
                if kind is Check:
                    with m.If(~bad[kind] & s.other):
                        m.d.sync += [s.status.eq(Status.CONFIG_MISMATCH), s.refused.eq(1)]
        with m.Default():
            m.d.sync += [s.status.eq(Status.BAD_COMMAND), s.refused.eq(1)]
