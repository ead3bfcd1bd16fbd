"""Cutting blocks of memory into bursts, for the reader and the writer."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.isa import EngineConfig

__all__ = ["BlockLayout", "Bursts", "row_beats_of", "row_beats_width"]


class BlockLayout(data.StructLayout):
    """A block of memory: ``groups`` runs of ``height * row_beats`` contiguous beats.

    ``address`` (of the first run) and ``stride`` (from run to run) are in bytes, multiples of the
    bus width; ``groups``, ``height`` and ``row_beats`` are at least 1. Counts have ``count_width``
    bits.
    """

    def __init__(self, config: EngineConfig, *, count_width: int) -> None:
        super().__init__(
            {
                "address": config.addr_width,
                "groups": count_width,
                "stride": config.addr_width,
                "height": count_width,
                "row_beats": row_beats_width(config, count_width),
            }
        )


def row_beats_width(config: EngineConfig, count_width: int) -> int:
    """Return the bits that hold the beats of the longest row."""
    longest = (1 << count_width) - 1
    return (-(-longest * config.rows // config.bus_bytes)).bit_length()


def row_beats_of(config: EngineConfig, words: Value) -> Value:
    """Return the beats that a row of ``words`` pixel words takes."""
    ratio = config.bus_bytes // config.rows
    if ratio == 0:
        return words * (config.rows // config.bus_bytes)
    return (words + (ratio - 1)) >> (ratio.bit_length() - 1)


class Bursts(wiring.Component):
    """Cut a block of memory into bursts, none of which crosses a multiple of the burst size.

    The beats of a run are not multiplied out: rows are added one per cycle until a burst is full
    or the run is over, which is never slower than the beats themselves.

    Parameters
    ----------
    config : EngineConfig    ``burst_beats * bus_bytes`` is the burst size
    count_width : int, bits

    Members
    -------
    i : In(stream.Signature(BlockLayout))   taken at once; ``stride``, ``height`` and ``row_beats``
                              must stay until ``idle``
    o : Out(stream.Signature({address: addr_width, len: 8}))   ``len`` is beats - 1, as in AXI
    enable : In(1)            a new burst may be presented from the next cycle on; one that is
                              presented stays until taken
    idle : Out(1)             every burst of the last block has been taken

    Timing
    ------
    Block taken in cycle t: the first burst is valid at ``t + FIRST``, later ones ``NEXT`` cycles
    after the previous one was taken, in both cases later by one cycle for each row that has to be
    added to those added before (the first row of a run is free), and while ``enable`` is low.
    """

    FIRST = 2
    NEXT = 2

    def __init__(self, config: EngineConfig, *, count_width: int) -> None:
        self._config = config
        burst = data.StructLayout({"address": config.addr_width, "len": 8})
        super().__init__(
            {
                "i": In(stream.Signature(BlockLayout(config, count_width=count_width))),
                "o": Out(stream.Signature(burst)),
                "enable": In(1),
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> EngineConfig:
        """The engine."""
        return self._config

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        burst_beats = self._config.burst_beats
        beat_log2 = (self._config.bus_bytes).bit_length() - 1
        burst_log2 = burst_beats.bit_length() - 1
        block, burst = self.i.payload, self.o.payload

        address = Signal.like(block.address)  # of the next burst
        run = Signal.like(block.address)  # of the first burst of this run
        groups, rows = Signal.like(block.groups), Signal.like(block.height)  # left after this one
        last_row = Signal()
        have = Signal(len(block.row_beats) + 1)  # beats known to be left in this run
        # Beats from `address` to the next multiple of the burst size.
        room = Signal(range(burst_beats + 1))
        whole, final = Signal(), Signal()  # the burst is: full, the last of its run
        beats = Signal.like(room)  # of the burst at `o`
        stride_run = Signal.like(run)

        m.d.comb += [
            whole.eq(have >= room),
            stride_run.eq(run + block.stride),
            burst.address.eq(address),
            burst.len.eq(beats - 1),
            self.i.ready.eq(self.idle),
        ]

        def room_at(address):
            return burst_beats - address[beat_log2 : beat_log2 + burst_log2]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                m.d.sync += [
                    address.eq(block.address),
                    room.eq(room_at(block.address)),
                    run.eq(block.address),
                    groups.eq(block.groups - 1),
                    rows.eq(block.height - 1),
                    last_row.eq(block.height == 1),
                    have.eq(block.row_beats),
                ]
                with m.If(self.i.valid):
                    m.next = "GATHER"
            with m.State("GATHER"):
                with m.If(~whole & ~last_row):
                    m.d.sync += [
                        have.eq(have + block.row_beats),
                        rows.eq(rows - 1),
                        last_row.eq(rows == 1),
                    ]
                with m.Elif(self.enable):
                    m.d.sync += [
                        beats.eq(Mux(whole, room, have)),
                        final.eq((have <= room) & last_row),
                    ]
                    m.next = "BURST"
            with m.State("BURST"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [
                        address.eq(address + (beats << beat_log2)),
                        room.eq(burst_beats),  # only the last burst of a run ends before
                        have.eq(have - beats),
                    ]
                    m.next = "GATHER"
                    with m.If(final):
                        m.d.sync += [
                            address.eq(stride_run),
                            room.eq(room_at(stride_run)),
                            run.eq(stride_run),
                            groups.eq(groups - 1),
                            rows.eq(block.height - 1),
                            last_row.eq(block.height == 1),
                            have.eq(block.row_beats),
                        ]
                        with m.If(groups == 0):
                            m.next = "IDLE"
        return m
