"""A memory's second port, for a host: one word at a time."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Access", "DirectPort", "HostPort"]


class Access(data.Struct):
    """A word of memory, read or written.

    ``addr`` in bytes, a multiple of 4.
    """

    addr: unsigned(32)
    write: unsigned(1)
    data: unsigned(32)


class HostPort(wiring.Signature):
    """Accesses one after another, as their manager sees them.

    Members
    -------
    request : Out(stream of Access)
    response : In(stream of words), always taken; one for each access, of a write without meaning
    """

    def __init__(self):
        super().__init__(
            {
                "request": Out(stream.Signature(Access)),
                "response": In(stream.Signature(unsigned(32), always_ready=True)),
            }
        )


class DirectPort(wiring.Component):
    """A host's port to a memory that answers after a number of cycles.

    Parameters
    ----------
    latency : int, cycles from an address to its word, at least 1

    Members
    -------
    port : In(HostPort)
    addr : Out(32), write : Out(1), data : Out(32), word : In(32)
    """

    def __init__(self, *, latency):
        if latency < 1:
            raise ValueError(f"latency must be at least 1, not {latency!r}")
        self._latency = latency
        super().__init__(
            {
                "port": In(HostPort()),
                "addr": Out(32),
                "write": Out(1),
                "data": Out(32),
                "word": In(32),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        request, response = self.port.request, self.port.response
        waiting, left = Signal(), Signal(range(self._latency + 1))
        m.d.comb += [
            self.addr.eq(request.payload.addr),
            self.data.eq(request.payload.data),
            self.write.eq(request.valid & request.payload.write & ~waiting),
            response.payload.eq(self.word),
            response.valid.eq(waiting & (left == 0)),
            request.ready.eq(response.valid),
        ]
        with m.If(~waiting):
            m.d.sync += [waiting.eq(request.valid), left.eq(self._latency - 1)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.Else():
            m.d.sync += waiting.eq(0)
        return m
