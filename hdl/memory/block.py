"""A small memory behind AXI4, for boards without a memory of their own."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from tilewright.hdl.bus.axi import AXI4
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.memory.host import HostPort

__all__ = ["OnChipMemory"]


class OnChipMemory(wiring.Component):
    """Block RAM as an AXI4 subordinate, with a second port for the host.

    Addresses wrap at ``size_bytes``.

    Parameters
    ----------
    data_width : int, bits, 32, 64 or 128
    size_bytes : int, power of two

    Members
    -------
    axi : In(AXI4); one burst at a time in each direction, four cycles per beat read
    host : In(HostPort); a word is read ``HOST_LATENCY`` cycles after it was wanted, and written
        when no beat is
    """

    # A cycle more than a lookup takes: a word that was written just before is not there sooner.
    HOST_LATENCY = 4

    def __init__(self, *, data_width, size_bytes):
        self._data_width = data_width
        self._size_bytes = size_bytes
        super().__init__(
            {
                "axi": In(AXI4(data_width=data_width)),
                "host": In(HostPort()),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        axi = self.axi
        # Beats wait here, so that who takes them has no part in the memory's paths.
        m.submodules.beats = beats = SkidBuffer(
            data.StructLayout({"data": self._data_width, "last": 1})
        )
        m.d.comb += [
            axi.rvalid.eq(beats.o.valid),
            axi.rdata.eq(beats.o.payload.data),
            axi.rlast.eq(beats.o.payload.last),
            beats.o.ready.eq(axi.rready),
        ]
        read_at = self._read(m, beats)
        written, write_at = self._write(m)
        self._columns(m, beats.i.payload.data, read_at, written, write_at)
        return m

    @property
    def _word_bits(self):
        """The bits of an address that say which word of the memory."""
        return slice((self._data_width // 8).bit_length() - 1, (self._size_bytes - 1).bit_length())

    def _columns(self, m, beat, read_at, written, write_at):
        """Make a memory for each 32-bit column, so that the host can write a single word."""
        axi, host, words = self.axi, self.host, self._data_width // 32
        low, at = self._word_bits.start, host.addr[self._word_bits]
        host_word = Signal(range(max(words, 2)))
        asked = Signal.like(host_word)
        m.d.sync += [asked.eq(host.addr[2:low] if words > 1 else 0), host_word.eq(asked)]
        waited = Signal(range(self.HOST_LATENCY + 1))
        m.d.comb += host.ready.eq(
            host.valid & Mux(host.write, ~written, waited == self.HOST_LATENCY)
        )
        m.d.sync += waited.eq(Mux(host.valid & ~host.ready, waited + 1, 0))
        for column in range(words):
            memory = Memory(shape=unsigned(32), depth=1 << len(at), init=[])
            m.submodules[f"column_{column}"] = memory
            write, read, shown = memory.write_port(), memory.read_port(), memory.read_port()
            mine = host.valid & host.write & (host.addr[2:low] == column if words > 1 else 1)
            m.d.comb += [
                read.en.eq(1),
                read.addr.eq(read_at),
                shown.en.eq(1),
                shown.addr.eq(at),
            ]
            word, host_data = Signal(32, reset_less=True), Signal(32, reset_less=True)
            m.d.sync += [word.eq(read.data), host_data.eq(shown.data)]
            m.d.comb += beat[32 * column : 32 * column + 32].eq(word)
            m.d.sync += [
                write.en.eq(written | mine),
                write.addr.eq(Mux(written, write_at, at)),
                write.data.eq(Mux(written, axi.wdata[32 * column : 32 * column + 32], host.data)),
            ]
            with m.If(host_word == column):
                m.d.sync += host.o.eq(host_data)

    def _read(self, m, beats):
        """Answer read bursts with beats, and return the word that is looked up."""
        axi, words = self.axi, self._word_bits
        read_at, read_beats = Signal(words.stop - words.start), Signal(8)
        m.d.comb += beats.i.payload.last.eq(read_beats == 0)
        with m.FSM(name="read"):
            with m.State("IDLE"):
                m.d.comb += axi.arready.eq(1)
                m.d.sync += [read_at.eq(axi.araddr[words]), read_beats.eq(axi.arlen)]
                with m.If(axi.arvalid):
                    m.next = "LOOK UP"
            with m.State("LOOK UP"):
                m.next = "REGISTER"
            with m.State("REGISTER"):
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += beats.i.valid.eq(1)
                with m.If(beats.i.ready):
                    m.d.sync += [
                        read_at.eq(read_at + 1),
                        read_beats.eq(read_beats - 1),
                    ]
                    m.next = "LOOK UP"
                    with m.If(beats.i.payload.last):
                        m.next = "IDLE"
        return read_at

    def _write(self, m):
        """Take write bursts; return whether a beat is written, and its word."""
        axi, words = self.axi, self._word_bits
        written, write_at = Signal(), Signal(words.stop - words.start)
        with m.FSM(name="write"):
            with m.State("IDLE"):
                m.d.comb += axi.awready.eq(1)
                m.d.sync += write_at.eq(axi.awaddr[words])
                with m.If(axi.awvalid):
                    m.d.sync += axi.wready.eq(1)
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += written.eq(axi.wvalid)
                with m.If(axi.wvalid):
                    m.d.sync += write_at.eq(write_at + 1)
                    with m.If(axi.wlast):
                        m.d.sync += axi.wready.eq(0)
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += axi.bvalid.eq(1)
                with m.If(axi.bready):
                    m.next = "IDLE"
        return written, write_at
