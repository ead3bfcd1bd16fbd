"""The order of a stream, watched item by item."""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.formal.proofs import free

__all__ = ["Watch"]


class Watch(wiring.Component):
    """Assert that items leave in the order in which they came, none lost, doubled or changed.

    One item, any of them, is remembered with the number of items ahead of it; when these have left,
    it must be the next. As the item may be any, this holds for all of them.

    Parameters
    ----------
    width : int, bits of an item
    capacity : int        items under way, at most

    Members
    -------
    push, pop : In(1)     an item comes, leaves
    i, o : In(width)      that item
    count : Out           items under way
    """

    def __init__(self, width: int, capacity: int) -> None:
        self._capacity = capacity
        super().__init__(
            {
                "push": In(1),
                "i": In(width),
                "pop": In(1),
                "o": In(width),
                "count": Out(range(capacity + 2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mark = free(m, 1, "mark")
        watching, ahead, item = Signal(), Signal.like(self.count), Signal.like(self.i)
        m.d.sync += self.count.eq(self.count + self.push - self.pop)
        m.d.comb += [
            Assert(self.count <= self._capacity, "no more under way than there is room for"),
            Assert(~self.pop | (self.count != 0), "nothing leaves that did not come"),
        ]
        with m.If(self.push & mark & ~watching):
            m.d.sync += [watching.eq(1), ahead.eq(self.count - self.pop), item.eq(self.i)]
        with m.If(watching & self.pop):
            m.d.sync += [ahead.eq(ahead - 1), watching.eq(ahead != 0)]
            m.d.comb += Assert((ahead != 0) | (self.o == item), "order")
        return m
