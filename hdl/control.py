"""Control and status: the host's view of the engine."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.compiler.isa import EngineConfig
from tilewright.hdl.axi import AXI4Lite

__all__ = ["Control", "Fault"]

Fault = wiring.Signature({"error": Out(1), "status": Out(8)})


class Control(wiring.Component):
    """Start, stop and reset the engine; watch it; count what it does."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "axil": In(AXI4Lite(addr_width=8)),
                "irq": Out(1),
                "base": Out(32),
                "boot": Out(stream.Signature(unsigned(48))),  # LoadUnit.boot
                "go": Out(1),  # first cycle of a run (boot.valid rises)
                "halt": Out(1),
                "quiet": In(1),  # and of the units' quiet
                "unit_reset": Out(1),  # reset units, queues, done counters
                "finished": In(1),  # LoadUnit.finished
                "fault": In(Fault).array(3),  # by Unit: error, status of each unit
                "overflow": In(1),  # or of the queues' overflow
                "done": In(3),  # the units' done pulses, by Unit
                "done_count": In(16).array(3),  # the done counters, by Unit
                "busy": In(3),  # by Unit
                "steps": In(1),  # event: the array multiplied
                "stall_load": In(1),
                "stall_store": In(1),
                "stall_command": In(1),
                "read_beat": In(1),
                "write_beat": In(1),
            }
        )

    def elaborate(self, platform):
        return Module()
