"""A memory's bus, shared by the engine and the host."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4
from tilewright.hdl.memory.host import HostPort

__all__ = ["HostShare"]


class HostShare(wiring.Component):
    """Let the host's accesses between the engine's bursts.

    Without an access, the engine's bus is the memory's: no cycle is added. For an access no further
    burst of the engine begins; when those under way are done, a beat is read or written for the
    host. What was shown to the memory stays until it is taken, as AXI wants it.

    Parameters
    ----------
    data_width : int, bits of the bus
    flying : int, at least the bursts of the engine that are under way in one direction
    masks : bool, the memory can write some bytes of a beat; if not, what the host writes is put
        into the beat that is there, which is read before

    Members
    -------
    engine : In(AXI4), axi : Out(AXI4); the engine gives a beat only when the address of its burst
        has been taken
    host : In(HostPort)
    """

    def __init__(self, *, data_width: int, flying: int, masks: bool = True) -> None:
        self._data_width = data_width
        self._flying = flying
        self._masks = masks
        super().__init__(
            {
                "engine": In(AXI4(data_width=data_width)),
                "axi": Out(AXI4(data_width=data_width)),
                "host": In(HostPort()),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        engine, axi, host = self.engine, self.axi, self.host
        size = (self._data_width // 8).bit_length() - 1
        ours, closed = Signal(), Signal()  # the host has the bus; the engine begins no burst
        # What comes is not for the engine: as long and a cycle longer, so that it is a register of
        # its own, near the engine.
        hidden = Signal()
        reading, writing = Signal(range(self._flying + 1)), Signal(range(self._flying + 1))
        address_sent, data_sent = Signal(), Signal()
        # The host may be far away. What it asks for stays, and is not used before WAIT is over.
        write, addr, given = (
            Signal.like(of, name=f"host_{name}", reset_less=True)
            for name, of in (("write", host.write), ("addr", host.addr), ("data", host.data))
        )
        m.d.sync += [write.eq(host.write), addr.eq(host.addr), given.eq(host.data)]
        lane = addr[2:size]
        there = Signal()  # without masks: the beat is, with the host's word in it
        writes, beat, strobe = self._written(write, given, lane, there)
        wanted = {"ar": ~writes, "aw": writes}

        shown = {prefix: Signal(name=f"{prefix}_shown") for prefix in ("ar", "aw")}  # not taken yet
        for prefix, count, ended in (
            ("ar", reading, engine.rvalid & engine.rready & engine.rlast),
            ("aw", writing, engine.bvalid & engine.bready),
        ):
            valid, ready = getattr(engine, f"{prefix}valid"), getattr(engine, f"{prefix}ready")
            out_valid, taken = getattr(axi, f"{prefix}valid"), getattr(axi, f"{prefix}ready")
            opened = Signal(name=f"{prefix}_open")
            m.d.comb += [
                opened.eq(~closed | shown[prefix]),
                ready.eq(taken & opened),
                out_valid.eq(Mux(ours, wanted[prefix] & ~address_sent, valid & opened)),
                getattr(axi, f"{prefix}addr").eq(
                    Mux(ours, addr & ~((1 << size) - 1), getattr(engine, f"{prefix}addr"))
                ),
                getattr(axi, f"{prefix}len").eq(Mux(ours, 0, getattr(engine, f"{prefix}len"))),
            ]
            m.d.sync += [
                shown[prefix].eq(valid & opened & ~taken),
                count.eq(count + (valid & ready) - ended),
            ]
            with m.If(ours & wanted[prefix] & taken):
                m.d.sync += address_sent.eq(1)

        self._connect_beats(m, ours, hidden, writes & ~data_sent, beat, strobe)
        with m.FSM():
            with m.State("ENGINE"):
                with m.If(host.valid):
                    m.d.sync += closed.eq(1)
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += [address_sent.eq(0), data_sent.eq(0)]
                with m.If((reading == 0) & (writing == 0) & ~shown["ar"] & ~shown["aw"]):
                    m.d.sync += [ours.eq(1), hidden.eq(1)]
                    m.next = "HOST"
            with m.State("HOST"):
                with m.If(axi.wready):
                    m.d.sync += data_sent.eq(1)
                m.d.sync += host.o.eq(self._word(axi.rdata, lane))
                with m.If(axi.rvalid | axi.bvalid):
                    m.d.sync += [ours.eq(0), closed.eq(0)]
                    m.next = "DONE"
                if not self._masks:
                    with m.If(write & axi.rvalid):
                        m.d.sync += [ours.eq(0), closed.eq(1), there.eq(1), beat.eq(axi.rdata)]
                        m.d.sync += self._word(beat, lane).eq(given)
                        m.next = "WAIT"
            with m.State("DONE"):
                m.d.comb += host.ready.eq(1)
                m.d.sync += hidden.eq(0)
                if not self._masks:
                    m.d.sync += there.eq(0)
                m.next = "ENGINE"
        return m

    def _word(self, beat, lane):
        """Return the host's word of a beat."""
        return beat.word_select(lane, 32) if self._data_width > 32 else beat

    def _written(self, write, given, lane, there):
        """Return if the host writes now (without masks, when ``there``), the beat, its strobes."""
        if not self._masks:
            return write & there, Signal(self._data_width, name="beat", reset_less=True), ~0
        words = self._data_width // 32
        return write, Cat(*[given] * words), 0xF << 4 * lane if words > 1 else 0xF

    def _connect_beats(self, m, ours, hidden, gives, beat, strobe):
        """Connect beats and answers: the engine's, or the host's, which ``gives`` a ``beat``."""
        engine, axi = self.engine, self.axi
        m.d.comb += [
            axi.wvalid.eq(Mux(ours, gives, engine.wvalid)),
            axi.wdata.eq(Mux(ours, beat, engine.wdata)),
            axi.wstrb.eq(Mux(ours, strobe, engine.wstrb)),
            axi.wlast.eq(ours | engine.wlast),
            axi.rready.eq(ours | engine.rready),
            axi.bready.eq(ours | engine.bready),
            engine.wready.eq(axi.wready & ~ours),
            engine.rvalid.eq(axi.rvalid & ~hidden),
            engine.bvalid.eq(axi.bvalid & ~hidden),
        ]
        m.d.comb += [
            getattr(engine, name).eq(getattr(axi, name))
            for name in ("rdata", "rresp", "rlast", "rid", "bresp", "bid")
        ]
