"""What bursts a block of memory must be cut into, written down without looking at the hardware."""

from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.formal.narrow import NarrowConfig
from tilewright.hdl.bus.bursts import BlockLayout, row_beats_width

__all__ = ["BlockRule"]


class BlockRule(wiring.Component):
    """Assert that bursts cover a block: every beat once, in order, by the longest bursts allowed.

    Assumes what the cutter's contract asks of its user: counts of at least 1, addresses of whole
    beats, and a block that stays.

    Parameters
    ----------
    config : NarrowConfig
    count_width : int, bits

    Members
    -------
    block : In(BlockLayout)
    start : In(1)         the block is taken
    burst : In(1)         a burst is taken
    address : In, len : In(8)   that burst
    open : Out(1)         bursts of the block are still to come
    reach : Out           beats of the run up to the end of the next burst
    run_ends : Out(1)     the next burst is the last of its run
    """

    def __init__(self, config: NarrowConfig, *, count_width: int) -> None:
        self._config = config
        self._count_width = count_width
        super().__init__(
            {
                "block": In(BlockLayout(config, count_width=count_width)),
                "start": In(1),
                "burst": In(1),
                "address": In(config.addr_width),
                "len": In(8),
                "open": Out(1),
                "reach": Out(count_width + row_beats_width(config, count_width)),
                "run_ends": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block, config = self.block, self._config
        beat_log2 = config.bus_bytes.bit_length() - 1
        burst_log2 = config.burst_beats.bit_length() - 1

        taken, first = Signal.like(block), Signal()
        m.d.sync += first.eq(self.start)
        with m.If(self.start):
            m.d.sync += taken.eq(block)
        kept = (taken.stride == block.stride) & (taken.height == block.height)
        m.d.comb += [
            Assume(~self.open | (kept & (taken.row_beats == block.row_beats))),
            Assume(~self.start | (block.groups != 0)),
            Assume(~self.start | (block.height != 0)),
            Assume(~self.start | (block.row_beats != 0)),
            Assume(~self.start | (block.address[:beat_log2] == 0)),
            Assume(~self.start | (block.stride[:beat_log2] == 0)),
        ]

        # The run under way, its next beat, and the beats and runs that are left.
        run, address = Signal.like(block.address), Signal.like(block.address)
        beats = Signal(len(block.height) + len(block.row_beats))
        runs = Signal.like(block.groups)
        room, length = Signal(range(config.burst_beats + 1)), Signal(9)
        longest, total = Signal.like(room), Signal.like(beats)
        m.d.comb += [
            self.open.eq(runs != 0),
            room.eq(config.burst_beats - address[beat_log2 : beat_log2 + burst_log2]),
            longest.eq(Mux(beats < room, beats, room)),
            length.eq(self.len + 1),
            total.eq(block.height * block.row_beats),
            self.run_ends.eq(beats <= room),
            self.reach.eq(total - beats + longest),
        ]
        with m.If(self.start):
            m.d.sync += [
                run.eq(block.address),
                address.eq(block.address),
                beats.eq(total),
                runs.eq(block.groups),
            ]
        with m.Elif(self.burst):
            m.d.comb += [
                Assert(self.open, "no burst too many"),
                Assert(self.address == address, "next address"),
                Assert(length <= room, "no burst crosses a multiple of its greatest size"),
                Assert(length <= beats, "no burst goes beyond its run"),
                Assert(length == longest, "no burst is cut short"),
            ]
            with m.If(self.run_ends):
                m.d.sync += [
                    run.eq(run + block.stride),
                    address.eq(run + block.stride),
                    beats.eq(total),
                    runs.eq(runs - 1),
                ]
            with m.Else():
                m.d.sync += [
                    address.eq(address + (length << beat_log2)),
                    beats.eq(beats - length),
                ]
        return m
