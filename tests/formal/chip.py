"""What an SDR SDRAM allows at its pins, written down without looking at the controller."""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tilewright.hdl.memory.chip import SDRAMChip, SDRAMCycles
from tilewright.hdl.memory.pins import Command, SDRAMPins

__all__ = ["ChipRules"]

BANKS = 4


class ChipRules(wiring.Component):
    """Assert every rule of a chip's data sheet, cycle by cycle.

    Source: JEDEC JESD21-C, 3.11.5.

    Parameters
    ----------
    chip : SDRAMChip
    cycles : SDRAMCycles
    words : int   length of a burst
    up : bool     the chip has been initialized before the first cycle

    Members
    -------
    pins : In(SDRAMPins)
    """

    def __init__(self, chip: SDRAMChip, cycles: SDRAMCycles, *, words: int, up: bool) -> None:
        self._cycles, self._words, self._up = cycles, words, up
        super().__init__({"pins": In(SDRAMPins(chip))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins, cycles, words = self.pins, self._cycles, self._words
        command, ba = Signal(3), pins.ba
        m.d.comb += command.eq(pins.ras_n << 2 | pins.cas_n << 1 | pins.we_n)
        is_ = {kind: command == kind for kind in Command}
        column = is_[Command.READ] | is_[Command.WRITE]

        def since(name: str, event: object, most: int) -> Signal:
            """Return the cycles since an event, at most so many; at first it was long ago."""
            count = Signal(range(most + 1), init=most, name=name)
            with m.If(event):
                m.d.sync += count.eq(1)
            with m.Elif(count != most):
                m.d.sync += count.eq(count + 1)
            return count

        quiet = since("refreshed", is_[Command.REFRESH], cycles.rfc)
        moded = since("moded", is_[Command.MODE], cycles.mrd)
        any_active = since("any_active", is_[Command.ACTIVE], cycles.rrd)
        mode_set = Signal(init=self._up)
        with m.If(is_[Command.MODE]):
            m.d.sync += mode_set.eq(1)
        m.d.comb += [
            Assert((command == Command.NOP) | (quiet >= cycles.rfc), "tRFC"),
            Assert((command == Command.NOP) | (moded >= cycles.mrd), "tMRD"),
            Assert(~is_[Command.ACTIVE] | mode_set, "a mode before rows"),
            Assert(~is_[Command.ACTIVE] | (any_active >= cycles.rrd), "tRRD"),
        ]

        # The words under way.
        left, writes, bank = Signal(range(words + 1)), Signal(), Signal(2)
        moving = Signal()
        m.d.comb += moving.eq(column | (left != 0))
        with m.If(column):
            m.d.sync += [left.eq(words - 1), writes.eq(is_[Command.WRITE]), bank.eq(ba)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        now_writes = Mux(column, is_[Command.WRITE], writes)
        now_bank = Mux(column, ba, bank)
        # The chip drives `cl` cycles after each word that it reads.
        drives = Signal(cycles.cl)
        m.d.sync += drives.eq(drives << 1 | (moving & ~now_writes))
        m.d.comb += [
            Assert(~column | (left == 0), "no burst is cut short"),
            Assert(pins.dq_oe == (moving & now_writes), "words are driven while they are written"),
            Assert(~pins.dq_oe | ~drives[-1], "nobody drives against the chip"),
            Assert(~(moving & ~now_writes) | (pins.dqm == 0), "what is read is not masked"),
        ]

        opens, all_ = [], pins.a[10]
        for b in range(BANKS):
            mine = Signal(name=f"mine_{b}")
            m.d.comb += mine.eq(ba == b)
            opened = Signal(name=f"opened_{b}")
            active, closes = is_[Command.ACTIVE] & mine, is_[Command.PRECHARGE] & (mine | all_)
            since_active = since(f"active_{b}", active, max(cycles.rc, cycles.ras, cycles.rcd))
            since_close = since(f"close_{b}", closes, cycles.rp)
            written = since(f"written_{b}", moving & now_writes & (now_bank == b), cycles.wr)
            with m.If(active):
                m.d.sync += opened.eq(1)
            with m.If(closes):
                m.d.sync += opened.eq(0)
            opens.append(opened)
            m.d.comb += [
                Assert(~active | ~opened, "no bank is opened twice"),
                Assert(~active | (since_close >= cycles.rp), "tRP"),
                Assert(~active | (since_active >= cycles.rc), "tRC"),
                Assert(~(column & mine) | opened, "columns of open rows"),
                Assert(~(column & mine) | (since_active >= cycles.rcd), "tRCD"),
                Assert(~(closes & opened) | (since_active >= cycles.ras), "tRAS"),
                Assert(~(closes & opened) | (written >= cycles.wr), "tWR"),
                Assert(~(closes & opened) | (left == 0) | (bank != b), "no row closes in a burst"),
                Assert(
                    ~(is_[Command.REFRESH] | is_[Command.MODE]) | (since_close >= cycles.rp),
                    "tRP before all banks",
                ),
            ]
        m.d.comb += Assert(
            ~(is_[Command.REFRESH] | is_[Command.MODE])
            | ~(opens[0] | opens[1] | opens[2] | opens[3]),
            "all banks are closed",
        )
        return m
