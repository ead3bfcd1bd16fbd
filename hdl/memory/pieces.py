"""Bursts of AXI cut into pieces that stay within one row and fit the buffers."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.memory.chip import SDRAMChip

__all__ = ["Geometry", "PieceLayout", "Pieces"]


class Geometry:
    """Where the beats of a bus lie in a chip.

    Neighbouring rows of memory lie in neighbouring banks: what is read in order opens one while
    another is read.

    Parameters
    ----------
    chip : SDRAMChip
    data_width : int, bits of a beat; 2, 4 or 8 times the chip's
    piece_beats : int, power of two; no piece crosses a multiple of it

    Raises
    ------
    ValueError
        If beats, pieces and rows do not fit one another.
    """

    def __init__(self, *, chip: SDRAMChip, data_width: int, piece_beats: int) -> None:
        words, rest = divmod(data_width, chip.data_width)
        if rest or words not in (2, 4, 8):
            raise ValueError(
                f"data_width must be 2, 4 or 8 times the chip's {chip.data_width} bits, not "
                f"{data_width!r}"
            )
        if piece_beats < 1 or piece_beats & (piece_beats - 1) or piece_beats > 256:
            raise ValueError(f"piece_beats must be a power of two in 1..256, not {piece_beats!r}")
        if piece_beats * data_width // 8 > chip.row_bytes:
            raise ValueError(
                f"piece_beats must be at most {chip.row_bytes * 8 // data_width}, a row of "
                f"{chip.name}, not {piece_beats!r}"
            )
        self.chip = chip
        self.data_width = data_width
        self.piece_beats = piece_beats
        self.words = words

    @property
    def addr_width(self):
        """Bits of a byte address in the chip."""
        return (self.chip.size_bytes - 1).bit_length()

    @property
    def beat_log2(self):
        """Log2 of the bytes of a beat."""
        return (self.data_width // 8 - 1).bit_length()

    def place(self, address):
        """Return column (of a beat's first word), bank and row of a byte address."""
        row_log2 = (self.chip.row_bytes - 1).bit_length()
        word_log2 = (self.chip.data_width // 8 - 1).bit_length()
        column = address[word_log2:row_log2]
        return column, address[row_log2 : row_log2 + 2], address[row_log2 + 2 : self.addr_width]


class PieceLayout(data.StructLayout):
    """Part of a burst: ``beats`` from a column of an open row on; ``last`` of its burst."""

    def __init__(self, geometry):
        chip = geometry.chip
        super().__init__(
            {
                "column": chip.column_width,
                "bank": 2,
                "row": chip.row_width,
                "beats": range(geometry.piece_beats + 1),
                "last": 1,
            }
        )


class Pieces(wiring.Component):
    """Cut bursts into pieces.

    Addresses wrap at the size of the chip; a burst does not cross 4 KiB.

    Parameters
    ----------
    geometry : Geometry

    Members
    -------
    i : In(stream.Signature({address: 32, len: 8}))   ``len`` is beats - 1, as in AXI
    o : Out(stream.Signature(PieceLayout))

    Timing
    ------
    Burst taken in cycle t: the first piece is valid at ``t + LATENCY``, the next one ``LATENCY``
    cycles after the one before was taken. A burst is taken at the earliest in the cycle after
    the last piece of the one before.
    """

    LATENCY = 2

    def __init__(self, geometry):
        self._geometry = geometry
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"address": 32, "len": 8}))),
                "o": Out(stream.Signature(PieceLayout(geometry))),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        g = self._geometry
        low = g.beat_log2
        address = Signal(g.addr_width)  # of the next piece
        left = Signal(range(257))  # beats from there on
        room = Signal(range(g.piece_beats + 1))
        piece = self.o.payload
        column, bank, row = g.place(address)
        piece_log2 = g.piece_beats.bit_length() - 1
        in_piece = address[low : low + piece_log2] if piece_log2 else 0
        following = address[low + piece_log2 : 12]
        m.d.comb += room.eq(g.piece_beats - in_piece)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [address.eq(self.i.payload.address), left.eq(self.i.payload.len + 1)]
                with m.If(self.i.valid):
                    m.next = "CUT"
            with m.State("CUT"):
                m.d.sync += [
                    piece.column.eq(column),
                    piece.bank.eq(bank),
                    piece.row.eq(row),
                    piece.beats.eq(Mux(left > room, room, left)),
                    piece.last.eq(left <= room),
                    self.o.valid.eq(1),
                ]
                m.next = "PIECE"
            with m.State("PIECE"):
                with m.If(self.o.ready):
                    m.d.sync += [
                        self.o.valid.eq(0),
                        # Bursts do not cross 4 KiB.
                        following.eq(following + 1),
                        address[low : low + piece_log2].eq(0),
                        left.eq(left - piece.beats),
                    ]
                    m.next = "CUT"
                    with m.If(piece.last):
                        m.next = "IDLE"
        return m
