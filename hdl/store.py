"""The store unit: output buffer to memory."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.compiler.isa import EngineConfig, Unit
from tilewright.hdl.axi import AXI4Write

__all__ = ["StoreUnit"]


class StoreUnit(wiring.Component):
    """Run the commands of the store unit."""

    OUT_LATENCY = 2

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(8 * Unit.STORE.command_bytes))),
                "base": In(32),
                "done_load": In(16),
                "done_compute": In(16),
                "out_addr": Out(16),
                "out_data": In(8 * config.rows),
                "axi": Out(AXI4Write(data_width=config.bus_width)),
                "halt": In(1),
                "quiet": Out(1),
                "start": Out(1),
                "done": Out(1),
                "busy": Out(1),
                "beat": Out(1),
                "error": Out(1),
                "status": Out(8),
            }
        )

    def elaborate(self, platform):
        return Module()
