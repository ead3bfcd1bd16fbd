"""The load unit: memory to activation buffer, weight buffer and command queues."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.compiler.isa import EngineConfig, Unit
from tilewright.hdl.axi import AXI4Read
from tilewright.hdl.queue import QueueWrite

__all__ = ["ActivationWrite", "LoadUnit", "WeightWrite"]


class ActivationWrite(wiring.Signature):
    """One pixel word on its way into one lane of the activation buffer, from the writer's view.

    Two consecutive words for the same lane are at least two cycles apart.
    """

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "lane": Out(range(config.cols)),
                "addr": Out(16),
                "data": Out(8 * config.rows),
            }
        )


class WeightWrite(wiring.Signature):
    """One word on its way into the weight buffer, from the writer's view.

    ``addr`` counts modulo 2**16; the buffer keeps as many low bits as it has words.
    """

    def __init__(self, config: EngineConfig) -> None:
        super().__init__({"valid": Out(1), "addr": Out(16), "data": Out(8 * config.rows)})


class LoadUnit(wiring.Component):
    """Run the commands of the load unit."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(8 * Unit.LOAD.command_bytes))),
                "boot": In(stream.Signature(unsigned(48))),  # {address: 32, count: 16}
                "base": In(32),
                "done_compute": In(16),
                "done_store": In(16),
                "axi": Out(AXI4Read(data_width=config.bus_width)),
                "act_write": Out(ActivationWrite(config)),
                "weight_write": Out(WeightWrite(config)),
                "fetch": Out(QueueWrite(config)).array(3),
                "halt": In(1),
                "quiet": Out(1),
                "start": Out(1),
                "done": Out(1),
                "busy": Out(1),
                "beat": Out(1),
                "finished": Out(1),
                "error": Out(1),
                "status": Out(8),
            }
        )

    def elaborate(self, platform):
        return Module()
