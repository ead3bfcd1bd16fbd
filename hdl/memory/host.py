"""How a host reaches a memory beside the engine."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["HostPort"]


class HostPort(wiring.Signature):
    """Words of memory, one access after another, from the host's view.

    Members
    -------
    valid : Out(1)            an access is wanted; it, ``write``, ``addr`` and ``data`` stay until
                              ``ready``
    write : Out(1)
    addr : Out(32), bytes; rounded down to 4; it wraps at the size of the memory
    data : Out(32)
    ready : In(1)             the access is done in this cycle
    o : In(32)                with ``ready``, the word that was read
    """

    def __init__(self):
        super().__init__(
            {
                "valid": Out(1),
                "write": Out(1),
                "addr": Out(32),
                "data": Out(32),
                "ready": In(1),
                "o": In(32),
            }
        )
