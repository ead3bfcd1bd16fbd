"""An engine with the controller of its own memory."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4Lite
from tilewright.hdl.bus.writer import Writer
from tilewright.hdl.engine import Engine
from tilewright.hdl.memory.host import HostPort
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.memory.pins import SDRAMPins
from tilewright.hdl.memory.sdram import SDRAMController
from tilewright.hdl.memory.share import HostShare
from tilewright.isa import EngineConfig

__all__ = ["SDRAMEngine"]


class SDRAMEngine(wiring.Component):
    """An engine whose bus ends at a controller; refreshes begin anew with every run.

    A host reaches the memory between the engine's bursts: a run's cycles are those predicted while
    it does not.

    Parameters
    ----------
    config : EngineConfig
    parameters : SDRAMParameters, of the controller

    Members
    -------
    sdram : Out(SDRAMPins)
    host : In(HostPort)
    ready : Out(1); the chip has been initialized: start no program before
    s_axil, irq, trace_go, trace_start, trace_done : the engine's
    """

    def __init__(self, config: EngineConfig, parameters: SDRAMParameters) -> None:
        self._config = config
        self._parameters = parameters
        super().__init__(
            {
                "sdram": Out(SDRAMPins(parameters.chip)),
                "host": In(HostPort()),
                "ready": Out(1),
                "s_axil": In(AXI4Lite(addr_width=8)),
                "irq": Out(1),
                "trace_go": Out(1),
                "trace_start": Out(3),
                "trace_done": Out(3),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.engine = engine = Engine(self._config)
        m.submodules.controller = controller = SDRAMController(self._parameters)
        m.submodules.share = share = HostShare(
            data_width=self._config.bus_width,
            flying=max(self._config.outstanding, Writer.PENDING),
            masks=self._parameters.masks,
        )
        wiring.connect(m, engine.m_axi, share.engine)
        wiring.connect(m, wiring.flipped(self.host), share.host)
        wiring.connect(m, share.axi, controller.axi)
        wiring.connect(m, wiring.flipped(self.s_axil), engine.s_axil)
        wiring.connect(m, controller.pins, wiring.flipped(self.sdram))
        m.d.comb += [
            controller.align.eq(engine.trace_go),
            self.ready.eq(controller.ready),
            self.irq.eq(engine.irq),
            self.trace_go.eq(engine.trace_go),
            self.trace_start.eq(engine.trace_start),
            self.trace_done.eq(engine.trace_done),
        ]
        return m
