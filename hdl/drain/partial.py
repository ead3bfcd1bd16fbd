"""Sums that stay between commands: what a Winograd transform makes of its terms."""

from itertools import product
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.lib.sums import add_with_carry
from tilewright.isa.commands.compute import TERM_FIELDS
from tilewright.isa.passes import PARTIAL_GAP, PARTIAL_LATENCY
from tilewright.isa.tiles import MAX_TILE_COLUMNS, MAX_TILE_ROWS

__all__ = ["TILES", "PartialSums", "tile_code", "tile_layout"]

#: What a command of terms can say of its tiles: rows, columns, whether results follow.
TILES = list(product(range(1, MAX_TILE_ROWS + 1), range(1, MAX_TILE_COLUMNS + 1), (False, True)))


def tile_code(tile_h: int, tile_w: int, last: bool) -> int:
    """Return the bits ``tile_h, tile_w, last, partial`` of a command of terms."""
    return tile_h | tile_w << 3 | last << 5 | 1 << 6


def tile_layout():
    """Return what a command says of its terms, as in ``Compute``."""
    return data.StructLayout({field.name: field.width for field in TERM_FIELDS})


class _Place(NamedTuple):
    """The sums whose turn it is, whether new ones are added, and their row and column of tiles."""

    addr: Signal
    adding: Signal
    row: Signal
    column: Signal


class _Turn(NamedTuple):
    """What is done to the sums that are here now, for all heads alike.

    Parameters
    ----------
    read, write : addresses of sums that are read, and of those that come back
    writes : they do
    doubled, used, signs : what the new sums count for, by row of the tile
    row : of the tile, whose total is shown
    """

    read: Signal
    write: Signal
    writes: Value
    doubled: Signal
    used: Signal
    signs: Signal
    row: Signal


class PartialSums(wiring.Component):
    """Add the sums of pass after pass to those of earlier commands; divide and show the totals.

    The sums of a pass come in the order in which the drain shifts them out, once for each column of
    the tiles. Arithmetic is modulo ``2**acc_width`` throughout: intermediate sums may overflow,
    since what counts are the totals, and dividing by an odd number is multiplying by its inverse.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start : In(1); ``acc`` shows the first sums of a pass from the next cycle on
    begins, ends : In(1); with ``start``: it is its command's first, last pass
    tile : In(tile_layout); from the cycle after ``start`` to the last total
    acc : In(array of requantizers signed(acc_width))
    total : Out(array of requantizers signed(acc_width))
    launch : Out(1); ``total`` shows a window of ``drain_cycles`` results from the next cycle on
    row, column : Out; with ``launch``: of the tile
    blank : Out(1); with ``launch``: there are no results
    final : Out(1); with ``launch``: the window is the last of its command
    """

    def __init__(self, config):
        self._config = config
        heads = data.ArrayLayout(signed(config.acc_width), config.requantizer_count)
        super().__init__(
            {
                "start": In(1),
                "begins": In(1),
                "ends": In(1),
                "tile": In(tile_layout()),
                "acc": In(heads),
                "total": Out(heads),
                "launch": Out(1),
                "row": Out(range(MAX_TILE_ROWS)),
                "column": Out(1),
                "blank": Out(1),
                "final": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        turn = self._turn(m, self._walk(m))
        for i in range(self._config.requantizer_count):
            self._head(m, i, turn)
        return m

    def _walk(self, m):
        """Go through elements of a window, columns and rows of the tile; announce windows."""
        tile = self.tile
        depth, window = self._config.partial_depth, self._config.drain_cycles
        adding, reading = Signal(), Signal()
        gap = Signal(range(PARTIAL_GAP + 1))
        element = Signal(range(window))
        row, column = Signal(range(MAX_TILE_ROWS)), Signal()
        addr, base, following = Signal(range(depth)), Signal(range(depth)), Signal(range(depth))
        ending, ended = Signal(), Signal()
        over, last_column = Signal(), Signal()
        m.d.comb += [
            over.eq(element == window - 1),
            last_column.eq(column == tile.tile_w - 1),
        ]
        with m.If(adding | reading):
            m.d.sync += [element.eq(element + 1), addr.eq(addr + 1)]
            with m.If(over):
                m.d.sync += [element.eq(0), column.eq(~last_column)]
        with m.If(adding & over & last_column):
            m.d.sync += [
                adding.eq(0),
                following.eq(addr + 1),
                gap.eq(PARTIAL_GAP),
                ended.eq(ending),
            ]
        begin = Signal()  # reading begins in the next cycle, or would
        m.d.comb += begin.eq(gap == 1)
        with m.If(gap != 0):
            m.d.sync += gap.eq(gap - 1)
        with m.If(begin & tile.last):
            m.d.sync += [reading.eq(1), addr.eq(base), row.eq(0)]
        with m.If(reading & over & last_column):
            m.d.sync += [row.eq(row + 1), addr.eq(base)]
            with m.If(row == tile.tile_h - 1):
                m.d.sync += reading.eq(0)
        with m.If(self.start):
            at = Signal.like(base)
            m.d.comb += at.eq(Mux(self.begins, 0, Mux(adding, addr + 1, following)))
            m.d.sync += [
                adding.eq(1),
                element.eq(0),
                column.eq(0),
                addr.eq(at),
                base.eq(at),
                ending.eq(self.ends),
            ]

        blank = Signal()
        m.d.sync += blank.eq(begin & ~tile.last & ended)
        self._announce(
            m,
            launch=(reading & (element == 0)) | blank,
            row=row,
            column=column,
            blank=blank,
            final=blank | (ending & last_column & (row == tile.tile_h - 1)),
        )
        return _Place(addr, adding, row, column)

    def _announce(self, m, **window):
        """Say what a window is, ``PARTIAL_LATENCY`` cycles after its first total is read."""
        announced = Signal(data.StructLayout(
            {"launch": 1, "row": range(MAX_TILE_ROWS), "column": 1, "blank": 1, "final": 1}
        ))  # fmt: skip
        m.d.comb += [announced[name].eq(value) for name, value in window.items()]
        for _ in range(PARTIAL_LATENCY - 1):
            later = Signal.like(announced)
            m.d.sync += later.eq(announced)
            announced = later
        m.d.comb += [
            self.launch.eq(announced.launch),
            self.row.eq(announced.row),
            self.column.eq(announced.column),
            self.blank.eq(announced.blank),
            self.final.eq(announced.final),
        ]

    def _turn(self, m, place):
        """Return what the sums of the place are multiplied by: constant over a column."""
        tile, (addr, adding, row, column) = self.tile, place
        writes, at_1, at_2 = Signal(2), Signal.like(addr), Signal.like(addr)
        used, signs = Signal(MAX_TILE_ROWS), Signal(MAX_TILE_ROWS)
        doubled, read_row = Signal(), Signal.like(row)
        m.d.sync += [
            writes.eq(Cat(adding, writes)),
            at_1.eq(addr),
            at_2.eq(at_1),
            doubled.eq(tile.column_shift & column),
            used.eq(Mux(tile.columns_used.bit_select(column, 1), tile.rows_used, 0)),
            signs.eq(
                Cat(
                    tile.negative ^ (tile.row_sign & (k & 1)) ^ (tile.column_sign & column)
                    for k in range(MAX_TILE_ROWS)
                )
            ),
            read_row.eq(row),
        ]
        return _Turn(addr, at_2, writes[1], doubled, used, signs, read_row)

    def _head(self, m, i, turn):
        """Add what a head of the drain shifts out to its sums; divide and show its totals."""
        config, tile = self._config, self.tile
        width = config.acc_width
        m.submodules[f"memory_{i}"] = memory = Memory(
            shape=unsigned(MAX_TILE_ROWS * width), depth=config.partial_depth, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [read.en.eq(1), read.addr.eq(turn.read), write.addr.eq(turn.write)]
        m.d.comb += write.en.eq(turn.writes)
        scaled, sums = Signal(width, name=f"scaled_{i}"), []
        m.d.sync += scaled.eq(self.acc[i] << tile.scale)
        once = Signal(width, name=f"once_{i}")
        m.d.comb += once.eq(Mux(turn.doubled, scaled << 1, scaled))
        for k in range(MAX_TILE_ROWS):
            before, term = Signal(width), Signal(width)
            total = Signal(width, name=f"sum_{i}_{k}", reset_less=True)
            m.d.comb += [
                before.eq(read.data.word_select(k, width) & ~tile.first.replicate(width)),
                term.eq(
                    (Mux(tile.row_shift, once << k, once) ^ turn.signs[k].replicate(width))
                    & turn.used[k].replicate(width)
                ),
            ]
            carry = Signal()
            m.d.comb += carry.eq(turn.signs[k] & turn.used[k])
            m.d.sync += total.eq(add_with_carry(before, term, carry))
            sums.append(total)
        m.d.comb += write.data.eq(Cat(sums))

        value = Signal(width, name=f"read_{i}", reset_less=True)
        m.d.sync += value.eq(read.data.word_select(turn.row, width))
        # Times 0x55555555, which is -1/3 modulo a power of two.
        for shift in (2, 4, 8, 16):
            raised = Signal(width, name=f"times_{i}_{shift}", reset_less=True)
            more = (value << shift)[:width] & tile.third.replicate(width)
            m.d.sync += raised.eq(value + more)
            value = raised
        halved = Signal(signed(width), name=f"halved_{i}", reset_less=True)
        m.d.sync += halved.eq(value.as_signed() >> tile.halvings)
        m.d.comb += self.total[i].eq(halved)
