"""Control and status: the host's view of the engine."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4Lite
from tilewright.hdl.control.counters import Counters
from tilewright.hdl.load.unit import LoadUnit
from tilewright.isa import ISA_VERSION, EngineConfig, Unit
from tilewright.isa.registers import IDENTITY, OFFSET, Status

__all__ = ["Control", "Fault"]

Fault = wiring.Signature({"error": Out(1), "status": Out(8)})
Fault.__doc__ = """A unit's error pulse and what is wrong, as a Status."""

# From here on, every register is a counter, in the order of the registers.
_COUNTERS = tuple(name for name, offset in OFFSET.items() if offset >= OFFSET["CYCLES"])


class _Run:
    """Registers of the run: what STATUS says, and what comes next."""

    def __init__(self, config: EngineConfig) -> None:
        self.running = Signal()  # high in BOOT and RUN
        self.clear = Signal()  # as unit_reset, for the counters only: that one has far to go
        self.code = Signal(8)  # with the next two, the fields of STATUS
        self.unit = Signal(2)
        self.index = Signal(config.count_width)
        self.pending = Signal()  # the interrupt
        self.starting = Signal()  # the reset under way is followed by a run


class _Host:
    """Registers that only the host writes."""

    def __init__(self, config: EngineConfig) -> None:
        self.base = Signal(config.addr_width - 12)
        self.program = Signal(config.addr_width)
        self.count = Signal(16)
        self.watchdog = Signal(32)
        self.enable = Signal()  # the interrupt


class Control(wiring.Component):
    """Start, stop and reset the engine, watch it, and count what it does.

    The registers are those of :mod:`tilewright.isa.registers`. A start resets the units,
    the queues and the counters first, as a soft reset does; the registers that the host writes
    keep their values. Byte strobes are ignored: writes are 32 bits wide. Counters can be up to
    ``Counters.ROUND`` cycles late while the engine runs.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    axil : In(AXI4Lite)
    irq : Out(1)              level: pending and enabled; pending when a run ends, well or not
    base : Out(32)            BASE
    boot : Out(stream.Signature(LoadUnit.BOOT))   the first fetch
    go : Out(1)               pulse: ``boot`` is taken, the run begins
    halt : Out(1)             no unit may start anything; high whenever the engine is not running
    quiet : In(1)             nothing is in flight on the bus
    unit_reset : Out(1)       reset units, queues and done counters, in the next cycle; also high in
                              reset
    finished : In(1)          pulse: the run is complete
    fault : In(Fault).array(3)   by Unit
    overflow : In(1)          pulse: a queue overflowed; the load unit's fault
    done : In(3)              pulses, by Unit: a command is complete
    done_count : In(count_width).array(3)   commands completed, by Unit: the index of the next
    busy : In(3)              by Unit: counted in LOAD_BUSY, COMPUTE_BUSY, STORE_BUSY
    steps, stall_load, stall_store, stall_command, stall_result : In(1)   each counted in its own
        register
    read_beat, write_beat : In(1)   pulse per beat

    Timing
    ------
    Without ``config.counters`` there are no counters and no watchdog: these registers read as 0.
    CYCLES counts the cycle of ``go``, that of ``finished`` and those between; other counters of
    cycles count none but these. A fault halts the engine from the next cycle on. The watchdog halts
    it when ``WATCHDOG + 1`` cycles passed without a done pulse. A soft reset waits for ``quiet``;
    if the bus never answers, forever.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "axil": In(AXI4Lite(addr_width=8)),
                "irq": Out(1),
                "base": Out(32),
                "boot": Out(stream.Signature(LoadUnit.BOOT)),
                "go": Out(1),
                "halt": Out(1),
                "quiet": In(1),
                "unit_reset": Out(1, init=1),
                "finished": In(1),
                "fault": In(Fault).array(3),
                "overflow": In(1),
                "done": In(3),
                "done_count": In(config.count_width).array(3),
                "busy": In(3),
                "steps": In(1),
                "stall_load": In(1),
                "stall_store": In(1),
                "stall_command": In(1),
                "stall_result": In(1),
                "read_beat": In(1),
                "write_beat": In(1),
            }
        )

    @property
    def config(self) -> EngineConfig:
        """The engine."""
        return self._config

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        run, host = _Run(self._config), _Host(self._config)
        start, reset, stop = Signal(), Signal(), Signal()
        write = self._writes(m)
        m.d.comb += Cat(start, reset, stop).eq(write.control)
        self._keep(m, write, run, host)
        counters = self._counters(m, run) if self._config.counters else None
        self._reads(m, self._values(run, host), counters)
        m.d.comb += [
            self.irq.eq(run.pending & host.enable),
            self.base.eq(Cat(Const(0, 12), host.base)),
            self.boot.payload.address.eq(host.program),
            self.boot.payload.count.eq(host.count),
            self.go.eq(self.boot.valid & self.boot.ready),
            self.halt.eq(~run.running),
        ]
        fault = self._faults(m, run.running, host.watchdog)
        m.d.sync += [self.unit_reset.eq(0), run.clear.eq(0)]
        with m.FSM():
            with m.State("STILL"):  # idle, done or at fault
                with m.If(start & (run.code <= Status.DONE)):
                    m.d.sync += run.starting.eq(1)
                    m.next = "FLUSH"
                with m.If(reset):
                    m.d.sync += run.starting.eq(0)
                    m.next = "FLUSH"
            with m.State("FLUSH"):
                with m.If(self.quiet):
                    m.d.sync += [self.unit_reset.eq(1), run.clear.eq(1)]
                    m.next = "RESET"
                with m.If(reset):
                    m.d.sync += run.starting.eq(0)
            with m.State("RESET"):
                m.d.sync += [run.unit.eq(0), run.index.eq(0)]
                with m.If(run.starting & ~reset):
                    m.d.sync += run.code.eq(Status.RUNNING)
                    m.next = "SETTLE"
                with m.Else():
                    m.d.sync += [run.code.eq(Status.IDLE), run.pending.eq(0)]
                    m.next = "STILL"
            with m.State("SETTLE"):  # the units are in reset
                m.d.sync += run.running.eq(1)
                m.next = "BOOT"
                self._end_with(m, reset, run)
            with m.State("BOOT"):
                m.d.comb += self.boot.valid.eq(1)
                m.next = "RUN"  # the load unit is idle: it was reset in the cycle before
                self._end_with(m, reset, run)
            with m.State("RUN"):
                with m.If(fault.valid):
                    m.d.sync += [
                        run.code.eq(fault.status),
                        run.unit.eq(fault.unit),
                        run.index.eq(fault.index),
                    ]
                with m.Elif(self.finished):
                    m.d.sync += run.code.eq(Status.DONE)
                with m.Elif(stop):
                    m.d.sync += run.code.eq(Status.STOPPED)
                with m.If(fault.valid | self.finished | stop):
                    m.d.sync += [run.pending.eq(1), run.running.eq(0)]
                    m.next = "STILL"
                self._end_with(m, reset, run)
        return m

    @staticmethod
    def _end_with(m: Module, reset: Signal, run: _Run) -> None:
        """End the run with a reset, whatever else was to come next."""
        with m.If(reset):
            m.d.sync += [run.starting.eq(0), run.running.eq(0)]
            m.next = "FLUSH"

    def _keep(self, m: Module, write: data.View, run: _Run, host: _Host) -> None:
        """Keep what the host writes."""
        with m.If(write.valid), m.Switch(write.addr):
            with m.Case(OFFSET["INTERRUPT"] >> 2):
                m.d.sync += [
                    run.pending.eq(run.pending & ~write.data[0]),
                    host.enable.eq(write.data[1]),
                ]
            with m.Case(OFFSET["BASE"] >> 2):
                m.d.sync += host.base.eq(write.data[12:])
            with m.Case(OFFSET["PROGRAM"] >> 2):
                m.d.sync += host.program.eq(write.data)
            with m.Case(OFFSET["COUNT"] >> 2):
                m.d.sync += host.count.eq(write.data)
            if self._config.counters:
                with m.Case(OFFSET["WATCHDOG"] >> 2):
                    m.d.sync += host.watchdog.eq(write.data)

    def _values(self, run: _Run, host: _Host) -> dict[str, Value]:
        """Return what the host reads, but for the counters."""
        command_bytes = [self._config.command_bytes(unit) for unit in Unit]
        return {
            "ID": Const(IDENTITY, 32),
            "VERSION": Const(ISA_VERSION, 32),
            "DIGEST": Const(self._config.digest, 32),
            "STATUS": Cat(run.code, run.unit, Const(0, 6), run.index),
            "INTERRUPT": Cat(run.pending, host.enable),
            "BASE": self.base,
            "PROGRAM": host.program,
            "COUNT": host.count,
            "WATCHDOG": host.watchdog,
            "ERROR_ADDRESS": Mux(
                run.unit == Unit.COMPUTE,
                run.index * command_bytes[Unit.COMPUTE],
                run.index * command_bytes[Unit.LOAD],
            ),
        }

    def _faults(self, m: Module, running: Signal, watchdog: Signal) -> data.View:
        """Return what is wrong, if anything: valid, status, unit, index."""
        fault = Signal(
            data.StructLayout(
                {"valid": 1, "status": 8, "unit": 2, "index": self._config.count_width}
            )
        )
        timer, armed, suspect = Signal(33), Signal(), Signal(2)
        m.d.sync += [armed.eq(watchdog != 0), timer.eq(timer - 1), suspect.eq(0)]
        for unit in reversed(Unit):
            with m.If(self.busy[unit]):
                m.d.sync += suspect.eq(unit)
        with m.If(~running | self.done.any() | ~armed):
            m.d.sync += timer.eq(watchdog)

        # The watchdog names the first unit that is at work; else the first unit.
        with m.If(timer[32] & self._config.counters):
            m.d.comb += [
                fault.valid.eq(1),
                fault.status.eq(Status.WATCHDOG),
                fault.unit.eq(suspect),
            ]
        with m.If(self.overflow):
            m.d.comb += [
                fault.valid.eq(1),
                fault.status.eq(Status.BAD_COMMAND),
                fault.unit.eq(Unit.LOAD),
            ]
        for unit in reversed(Unit):
            with m.If(self.fault[unit].error):
                m.d.comb += [
                    fault.valid.eq(1),
                    fault.status.eq(self.fault[unit].status),
                    fault.unit.eq(unit),
                ]
        with m.Switch(fault.unit):
            for unit in Unit:
                with m.Case(unit):
                    m.d.comb += fault.index.eq(self.done_count[unit])
        return fault

    def _counters(self, m: Module, run: _Run) -> Counters:
        """Connect the counters, in the order of their registers."""
        running = run.running
        events = {
            "CYCLES": running,
            "LOAD_BUSY": running & self.busy[Unit.LOAD],
            "COMPUTE_BUSY": running & self.busy[Unit.COMPUTE],
            "STORE_BUSY": running & self.busy[Unit.STORE],
            "COMPUTE_STEPS": running & self.steps,
            "STALL_LOAD": running & self.stall_load,
            "STALL_STORE": running & self.stall_store,
            "STALL_COMMAND": running & self.stall_command,
            "BYTES_READ": self.read_beat,
            "BYTES_WRITTEN": self.write_beat,
            "LOAD_DONE": self.done[Unit.LOAD],
            "COMPUTE_DONE": self.done[Unit.COMPUTE],
            "STORE_DONE": self.done[Unit.STORE],
            "STALL_RESULT": running & self.stall_result,
        }
        weights = {name: 1 for name in events}
        weights["BYTES_READ"] = weights["BYTES_WRITTEN"] = self._config.bus_bytes
        m.submodules.counters = counters = Counters(tuple(weights[name] for name in _COUNTERS))
        m.d.comb += [
            counters.clear.eq(run.clear),
            counters.events.eq(Cat(events[name] for name in _COUNTERS)),
        ]
        return counters

    def _writes(self, m: Module) -> data.View:
        """Take writes; return the one of the cycle before, or of this one: valid, addr, data.

        ``control`` is what it wrote to CONTROL, else 0.
        """
        write = Signal(data.StructLayout({"valid": 1, "addr": 6, "data": 32, "control": 3}))
        axil, taken = self.axil, Signal()
        m.d.comb += [
            taken.eq(axil.awvalid & axil.wvalid & ~axil.bvalid),
            axil.awready.eq(taken),
            axil.wready.eq(taken),
        ]
        domain = m.d.sync if self._config.pipelined else m.d.comb
        domain += [
            write.valid.eq(taken),
            write.addr.eq(axil.awaddr[2:]),
            write.data.eq(axil.wdata),
            write.control.eq(
                Mux(taken & (axil.awaddr[2:] == OFFSET["CONTROL"] >> 2), axil.wdata, 0)
            ),
        ]
        with m.If(taken):
            m.d.sync += axil.bvalid.eq(1)
        with m.Elif(axil.bready):
            m.d.sync += axil.bvalid.eq(0)
        return write

    def _reads(self, m: Module, values: dict[str, Value], counters: Counters | None) -> None:
        """Answer reads, those of counters, if there are any, when their turn comes."""
        axil, addr = self.axil, Signal(6)
        first = OFFSET[_COUNTERS[0]] >> 2
        with m.FSM():
            with m.State("ADDRESS"):
                m.d.comb += axil.arready.eq(1)
                m.d.sync += addr.eq(axil.araddr[2:])
                with m.If(axil.arvalid):
                    m.next = "VALUE"
            with m.State("VALUE"):
                m.d.sync += axil.rdata.eq(0)
                with m.Switch(addr):
                    for name, value in values.items():
                        with m.Case(OFFSET[name] >> 2):
                            m.d.sync += axil.rdata.eq(value)
                m.next = "DATA"
                if counters is not None:
                    with m.If(addr[4:] == first >> 4):
                        m.d.sync += axil.rdata.eq(counters.value)
                        with m.If(addr[:4] != counters.index):
                            m.next = "VALUE"
            with m.State("DATA"):
                m.d.comb += axil.rvalid.eq(1)
                with m.If(axil.rready):
                    m.next = "ADDRESS"
