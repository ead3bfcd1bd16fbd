"""The command queue loses, doubles and swaps no beat, and says so if it was asked for too much."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tests.formal.conftest import Prove
from tests.formal.faults import Fault
from tests.formal.narrow import NarrowConfig
from tests.formal.proofs import free
from tilewright.hdl.commands.queue import CommandQueue, QueueWrite
from tilewright.isa import Unit

CONFIGS = {
    "pipelined": NarrowConfig(bus_width=8, queue_depth=2, least_bytes=2),
    "not pipelined": NarrowConfig(bus_width=8, queue_depth=2, least_bytes=2, pipelined=False),
}


class QueueProperties(wiring.Component):
    """Any reset, beats, commits and any ready in any cycle, but no more commands than beats.

    One beat, any of them, is remembered with the number of commands ahead of its own and its place
    there. Only one bit of it is looked at: the queue treats all alike.

    After a beat too many, the queue may say anything: ``overflow`` has said so.
    """

    def __init__(self, config: NarrowConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(QueueWrite(config)),
                "o": Out(stream.Signature(8 * config.command_bytes(Unit.LOAD))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = CommandQueue(self._config, Unit.LOAD)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        words, depth = queue.words, self._config.queue_depth
        pop = Signal()
        m.d.comb += pop.eq(self.o.valid & self.o.ready)

        # Commands that are complete, of these committed, and beats of the one that comes.
        room = depth + 3
        complete, committed = Signal(range(room + 1)), Signal(range(room + 1))
        place = Signal(range(words))
        ends, commits = Signal(), Signal.like(self.i.count)
        m.d.comb += [
            ends.eq(self.i.valid & (place == words - 1)),
            commits.eq(Mux(self.i.commit, self.i.count, 0)),
            Assume(commits <= complete - committed + ends),
        ]
        m.d.sync += [
            place.eq(place + self.i.valid),
            complete.eq(complete + ends - pop),
            committed.eq(committed + commits - pop),
        ]
        beats = Signal(range(words * (room + 1)))  # in memory or in the register
        lost = Signal()
        m.d.comb += beats.eq(complete * words + place)
        with m.If(queue.overflow):
            m.d.sync += lost.eq(1)
        sound = ~lost & ~queue.overflow

        # Overflow.
        before, came = Signal.like(beats), Signal()
        m.d.sync += [before.eq(beats), came.eq(self.i.valid)]
        m.d.comb += [
            Assume(~lost),  # the program has been stopped
            Assert(~queue.overflow | (came & (before >= depth * words)), "no false alarm"),
            Assert(~sound | (complete <= depth + 1), "an overflow is reported"),
        ]

        # Order.
        mark, watching, bit = free(m, 1, "mark"), Signal(), Signal()
        ahead, at = Signal.like(complete), Signal.like(place)
        with m.If(self.i.valid & mark & ~watching):
            m.d.sync += [
                watching.eq(1),
                ahead.eq(complete - pop),
                at.eq(place),
                bit.eq(self.i.data[0]),
            ]
        with m.If(watching & pop):
            m.d.sync += [ahead.eq(ahead - 1), watching.eq(ahead != 0)]
            same = self.o.payload.word_select(at, self._config.bus_width)[0] == bit
            m.d.comb += Assert(~sound | (ahead != 0) | same, "order")
        m.d.comb += Assert(
            ~sound | ~self.o.valid | (committed != 0), "nothing is offered before its commit"
        )

        # Time: from the moment when a command can move, to when it is offered.
        wait = words + queue.refill(self._config)
        waited = Signal(range(wait + 2), init=1)
        with m.If(self.o.valid | (committed == 0)):
            m.d.sync += waited.eq(1)
        with m.Elif(waited <= wait):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += [
            Assert(
                ~sound | self.o.valid | (waited < wait) | (committed == 0),
                "the next command comes in time",
            ),
        ]
        # A command that is offered stays.
        offered, kept = Signal(), Signal.like(self.o.payload)
        m.d.sync += [offered.eq(self.o.valid & ~self.o.ready), kept.eq(self.o.payload)]
        m.d.comb += Assert(
            ~offered | (self.o.valid & (self.o.payload == kept)), "stable until ready"
        )
        return m
