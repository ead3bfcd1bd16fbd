"""Command queues: fetched commands wait here for their unit."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.compiler.isa import EngineConfig, Unit

__all__ = ["CommandQueue", "QueueWrite"]


class QueueWrite(wiring.Signature):
    """Commands on their way into a queue, from the fetcher's view.

    Members
    -------
    valid : Out(1)        ``data`` is the next beat; never refused
    data : Out(bus_width)
    commit : Out(1)       ``count`` more commands are complete; may accompany their last beat
    count : Out(16)
    """

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "data": Out(config.bus_width),
                "commit": Out(1),
                "count": Out(16),
            }
        )


class CommandQueue(wiring.Component):
    """Hold fetched commands of one unit in block RAM and present the next one whole."""

    def __init__(self, config: EngineConfig, unit: Unit) -> None:
        self._config = config
        self._unit = Unit(unit)
        super().__init__(
            {
                "i": In(QueueWrite(config)),
                "o": Out(stream.Signature(unsigned(8 * self._unit.command_bytes))),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        return Module()
