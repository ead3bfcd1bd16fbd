"""The command queue loses, doubles and swaps no beat, and says so if it was asked for too much."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
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
        m.d.comb += beats.eq(complete * words + place)

        # Overflow. After its pulse the program is stopped: nothing is said about what follows.
        before, came, over = Signal.like(beats), Signal(), Signal()
        sound = ~queue.overflow
        m.d.sync += [before.eq(beats), came.eq(self.i.valid), over.eq(queue.overflow)]
        m.d.comb += [
            Assume(~over),
            Assert(sound | (came & (before >= depth * words)), "an overflow is one"),
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

        # A command that is offered stays; the next one comes in the documented cycle.
        kept, offered = Signal.like(self.o.payload), Signal()
        cycles = words + queue.refill(self._config)  # from when it can move on
        waited = Signal(range(cycles + 1), init=1)
        m.d.sync += [offered.eq(self.o.valid & ~self.o.ready), kept.eq(self.o.payload)]
        with m.If(self.o.valid | (committed == 0)):
            m.d.sync += waited.eq(1)
        with m.Elif(waited != cycles):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += [
            Assert(~sound | (self.o.valid == (offered | (waited == cycles))), "documented cycle"),
            Assert(~sound | ~offered | (self.o.payload == kept), "stable until ready"),
        ]
        return m


FAULTS = [
    Fault(CommandQueue, "pointer == depth - 1, 0,", "pointer == depth - 1, 1,", "order"),
    Fault(CommandQueue, "with m.If(flight[-1][0] & (flight[-1][1] == words - 1)):",
          "with m.If(flight[-1][0]):", "order"),
    Fault(CommandQueue, "(reading & (index == 0))", "reading",
          "order"),
    Fault(CommandQueue, "self.i.valid & (used == depth)", "0", "an overflow is reported"),
    Fault(CommandQueue, "(used == depth)", "(used == depth - 1)", "an overflow is one"),
    Fault(CommandQueue, "Mux(self.i.commit, self.i.count[: len(level)], 0)",
          "Mux(self.i.commit, 1, 0)", "order"),
    Fault(CommandQueue, "with m.Elif(self.o.ready):", "with m.Elif(1):", "documented cycle"),
    Fault(CommandQueue, "wide.i.eq(flight[-2][0])", "wide.i.eq(0)", "order"),
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_proof(holds: Prove, config: NarrowConfig) -> None:
    holds(QueueProperties(config))


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_faults_are_found(finds: Prove, fault: Fault) -> None:
    finds(fault, QueueProperties(CONFIGS["pipelined"]))
