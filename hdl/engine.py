"""The whole accelerator."""

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.activations import ActivationBuffer
from tilewright.hdl.buffers.offsets import OffsetBuffer
from tilewright.hdl.buffers.results import ResultBanks
from tilewright.hdl.buffers.weights import WeightBuffer
from tilewright.hdl.buffers.words import WordBuffer
from tilewright.hdl.bus.axi import AXI4, AXI4Lite, join
from tilewright.hdl.commands.queue import CommandQueue
from tilewright.hdl.compute import ComputeUnit
from tilewright.hdl.control.unit import Control
from tilewright.hdl.families import get_family
from tilewright.hdl.lib.fanout import Fanout
from tilewright.hdl.lib.place import Place
from tilewright.hdl.load.unit import LoadUnit
from tilewright.hdl.store.unit import StoreUnit
from tilewright.isa import Unit

__all__ = ["Engine"]


class Engine(wiring.Component):
    """Load, compute and store units around three buffers, with their control.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    m_axi : Out(AXI4); programs, feature maps and weights
    s_axil : In(AXI4Lite); ``tilewright.isa.registers``
    irq : Out(1); level, high until cleared
    trace_go : Out(1); the first cycle of a run
    trace_start, trace_done : Out(3); by unit: a command starts, is complete; for simulation,
        leave them open in hardware

    Raises
    ------
    Error
        If there is no family of ``config.dsp``, or it has no such engine.
    """

    def __init__(self, config):
        get_family(config.dsp).check(config)
        self._config = config
        super().__init__(
            {
                "m_axi": Out(AXI4(data_width=config.bus_width)),
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
        config = self._config
        m.submodules.control = control = Control(config)
        # One clock; each unit's reset is a register of its own.
        m.submodules.resets = resets = Fanout(width=1, copies=len(Unit), dsp=config.dsp)
        m.d.comb += resets.i.eq(control.unit_reset)
        domains = [unit.name.lower() for unit in Unit]
        for domain, reset in zip(domains, resets.o, strict=True):
            m.domains += ClockDomain(domain, local=True)
            m.d.comb += [
                ClockSignal(domain).eq(ClockSignal("sync")),
                ResetSignal(domain).eq(reset),
            ]
        load, compute, store = LoadUnit(config), ComputeUnit(config), StoreUnit(config)
        queues = [CommandQueue(config, unit) for unit in Unit]
        units = (load, compute, store)
        for domain, unit, queue in zip(domains, units, queues, strict=True):
            m.submodules[domain] = DomainRenamer(domain)(unit)
            m.submodules[f"{domain}_queue"] = DomainRenamer(domain)(queue)
        m.submodules.activations = activations = ActivationBuffer(config)
        m.submodules.weights = weights = WeightBuffer(config)
        m.submodules.results = results = self._results()

        self._connect_commands(m, control, units, queues)
        self._connect_data(m, units, activations, weights, results)
        self._connect_control(m, control, units, queues)
        return m

    def _results(self):
        """Return the output buffer."""
        config = self._config
        if config.result_words == 2:
            return ResultBanks(config)
        return WordBuffer(
            width=8 * config.rows,
            depth=config.out_depth,
            pipelined=config.pipelined,
            dsp=config.dsp,
            # Together, behind what works with the last row: some are left over otherwise.
            place=Place(config.rows - 1, config.rows, rank=3),
        )

    def _connect_commands(self, m, control, units, queues):
        """Give each unit its commands, and tell it how far the others are."""
        config, (load, compute, store) = self._config, units
        domains = [unit.name.lower() for unit in Unit]
        counts = []
        for index, (unit, queue) in enumerate(zip(units, queues, strict=True)):
            wiring.connect(m, load.fetch[index], queue.i)
            wiring.connect(m, queue.o, unit.i)
            count = Signal(config.count_width, name=f"done_{Unit(index).name.lower()}")
            with m.If(unit.done):
                m.d[domains[index]] += count.eq(count + 1)
            counts.append(count)
            m.d.comb += [
                unit.halt.eq(control.halt),
                control.done[index].eq(unit.done),
                control.done_count[index].eq(count),
                control.fault[index].error.eq(unit.error),
                control.busy[index].eq(unit.busy),
                self.trace_start[index].eq(unit.start),
                self.trace_done[index].eq(unit.done),
            ]
        done_load, done_compute, done_store = counts
        m.d.comb += [
            load.done_compute.eq(done_compute),
            load.done_store.eq(done_store),
            compute.done_load.eq(done_load),
            compute.done_store.eq(done_store),
            store.done_load.eq(done_load),
            store.done_compute.eq(done_compute),
        ]

    def _connect_data(self, m, units, activations, weights, results):
        """Connect the units with memory and with the buffers between them."""
        config, (load, compute, store) = self._config, units
        wiring.connect(m, load.act_write, activations.i_load)
        wiring.connect(m, compute.o_act, activations.i_drain)
        wiring.connect(m, load.weight_write, weights.i)
        if config.transform_at_load:
            wiring.connect(m, load.kernel_write, weights.i_kernels)
        wiring.connect(m, load.table_write, compute.table_write)
        wiring.connect(m, compute.o_out, results.i)
        if config.result_words == 2:
            wiring.connect(m, compute.o_act_odd, activations.i_drain_odd)
            wiring.connect(m, compute.o_out_odd, results.i_odd)
        m.d.comb += [
            activations.addr.eq(compute.act_addr),
            compute.act_data.eq(activations.o),
            weights.addr.eq(compute.weight_addr),
            compute.weight_data.eq(weights.o),
            results.addr.eq(store.out_addr),
            results.enable.eq(store.out_enable),
            store.out_data.eq(results.o),
        ]
        if config.split_columns:
            m.d.comb += [
                weights.split.eq(compute.weight_split),
                compute.weight_upper.eq(weights.o_upper),
            ]
        if config.offset_depth:
            m.submodules.offsets = offsets = OffsetBuffer(config)
            wiring.connect(m, load.offset_write, offsets.i)
            m.d.comb += [
                offsets.addr.eq(compute.offset_addr),
                offsets.mask_addr.eq(compute.mask_addr),
                compute.offset_data.eq(offsets.offsets),
                compute.mask_data.eq(offsets.masks),
            ]
        join(m, self.m_axi, load.axi, store.axi)

    def _connect_control(self, m, control, units, queues):
        """Connect what starts, stops and counts."""
        load, compute, store = units
        wiring.connect(m, control.boot, load.boot)
        wiring.connect(m, wiring.flipped(self.s_axil), control.axil)
        m.d.comb += [
            load.base.eq(control.base),
            store.base.eq(control.base),
            self.irq.eq(control.irq),
            self.trace_go.eq(control.go),
            control.quiet.eq(load.quiet & store.quiet),
            control.finished.eq(load.finished),
            control.overflow.eq(Cat(queue.overflow for queue in queues).any()),
            control.fault[Unit.LOAD].status.eq(load.status),
            control.fault[Unit.COMPUTE].status.eq(compute.status),
            control.fault[Unit.STORE].status.eq(store.status),
            control.steps.eq(compute.step),
            control.stall_load.eq(compute.stall_load),
            control.stall_store.eq(compute.stall_store),
            control.stall_command.eq(compute.stall_command),
            control.stall_result.eq(compute.stall_result),
            control.read_beat.eq(load.beat),
            control.write_beat.eq(store.beat),
        ]
