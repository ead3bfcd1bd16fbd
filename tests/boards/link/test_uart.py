"""Both ends of a serial line."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from tilewright.boards.link.uart import UARTReceiver, UARTTransmitter


class Loop(wiring.Component):
    """A transmitter that a receiver listens to."""

    received: Out(8)
    valid: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter = transmitter = UARTTransmitter(divisor=4)
        m.submodules.receiver = receiver = UARTReceiver(divisor=4)
        m.d.comb += [
            transmitter.i.valid.eq(1),
            transmitter.i.payload.eq(0xA5),
            receiver.rx.eq(transmitter.tx),
            receiver.o.ready.eq(1),
            self.valid.eq(receiver.o.valid),
            self.received.eq(receiver.o.payload),
        ]
        return m


def test_byte_that_is_sent_arrives():
    dut = Loop()

    async def bench(ctx):
        await ctx.tick().until(dut.valid)
        assert ctx.get(dut.received) == 0xA5

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
