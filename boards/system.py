"""What goes on a board: the engine, a memory, and the host link."""

from pathlib import Path

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import In, Out

from tilewright.boards.board import MEMORY_BYTES, Board
from tilewright.boards.families import get_family as get_board_family
from tilewright.boards.link.bridge import HostBridge
from tilewright.boards.link.uart import UARTReceiver, UARTTransmitter
from tilewright.boards.link.usb import USBPins, USBSerial, luna_version, steady
from tilewright.boards.pads import SDRAMPads, USBPads
from tilewright.cache import cached_text, digest, digest_of_sources
from tilewright.hdl.engine import Engine
from tilewright.hdl.families import get_family
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.memory.block import OnChipMemory
from tilewright.hdl.memory.engine import SDRAMEngine
from tilewright.hdl.memory.large import LargeMemory
from tilewright.hdl.memory.late import LatePins
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.memory.pins import SDRAMPins
from tilewright.hdl.verilog import DEPENDS_ON, component_rtlil, component_verilog
from tilewright.registry import source_of

__all__ = ["TOP", "System", "simulated_verilog", "system_rtlil"]

TOP = "tilewright_system"
#: Bytes that the host link buffers: none where every cell counts, else a block RAM.
FIFO_BYTES, LARGE_FIFO_BYTES = 1, 2048
_SOURCES = digest_of_sources(Path(__file__).parent)


class System(wiring.Component):
    """An engine whose memory and registers a host reaches over a serial line, or over USB.

    Parameters
    ----------
    config : EngineConfig
    divisor : int, clock cycles per bit of the serial line
    sdram : SDRAMParameters or None, of the controller of the memory outside
    memory_bytes : int, power of two; without a memory outside. A family with ``large_bytes`` has
        those instead
    usb : bool, a host reaches it over USB

    Members
    -------
    uart_rx : In(1), uart_tx : Out(1), or usb : Out(USBPins); then there are the clocks of
        :class:`USBSerial`, too
    led : Out(1); the interrupt
    trace_go, trace_start, trace_done : the engine's
    sdram : Out(SDRAMPins), if there is one
    """

    def __init__(self, config, *, divisor, sdram=None, memory_bytes=MEMORY_BYTES, usb=False):
        self._config = config
        self._divisor = divisor
        self._sdram = sdram
        self._memory_bytes = memory_bytes
        self._usb = usb
        pins = {} if sdram is None else {"sdram": Out(SDRAMPins(sdram.chip))}
        serial = {"uart_rx": In(1, init=1), "uart_tx": Out(1, init=1)}
        super().__init__(
            {
                **({"usb": Out(USBPins())} if usb else serial),
                "led": Out(1),
                "trace_go": Out(1),
                "trace_start": Out(3),
                "trace_done": Out(3),
                **pins,
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.bridge = bridge = HostBridge(
            fifo_bytes=FIFO_BYTES if self._sdram is None else LARGE_FIFO_BYTES,
            memory_bytes=self._host_bytes(),
        )
        requests, replies, pins = self._line(m)
        engine = self._engine(m, bridge)
        wiring.connect(m, requests, bridge.i)
        if self._config.pipelined:
            m.submodules.answers = answers = SkidBuffer(8)
            wiring.connect(m, bridge.o, answers.i)
            wiring.connect(m, answers.o, replies)
        else:
            wiring.connect(m, bridge.o, replies)
        wiring.connect(m, bridge.axil, engine.s_axil)
        m.d.comb += [
            *pins,
            self.led.eq(engine.irq),
            self.trace_go.eq(engine.trace_go),
            self.trace_start.eq(engine.trace_start),
            self.trace_done.eq(engine.trace_done),
        ]
        return m

    def _line(self, m):
        """Add what the host is at the other end of.

        Returns the streams from and to it, and how the serial line is connected.
        """
        if self._usb:
            m.submodules.usb = usb = USBSerial()
            wiring.connect(m, usb.pins, wiring.flipped(self.usb))
            return usb.o, usb.i, []
        m.submodules.receiver = receiver = UARTReceiver(divisor=self._divisor)
        m.submodules.transmitter = transmitter = UARTTransmitter(divisor=self._divisor)
        pins = [receiver.rx.eq(self.uart_rx), self.uart_tx.eq(transmitter.tx)]
        return receiver.o, transmitter.i, pins

    def _host_bytes(self):
        """Return the size of the memory that the host reaches."""
        if self._sdram is not None:
            return self._sdram.chip.size_bytes
        return get_family(self._config.dsp).large_bytes or self._memory_bytes

    def _engine(self, m, bridge):
        """Add the engine and its memory, which the bridge reaches."""
        config = self._config
        if self._sdram is not None:
            m.submodules.engine = engine = SDRAMEngine(config, self._sdram)
            wiring.connect(m, bridge.memory, engine.host)
            wiring.connect(m, engine.sdram, wiring.flipped(self.sdram))
            return engine
        m.submodules.engine = engine = Engine(config)
        if get_family(config.dsp).large_bytes:
            memory = LargeMemory(dsp=config.dsp)
        else:
            memory = OnChipMemory(data_width=config.bus_width, size_bytes=self._memory_bytes)
        m.submodules.memory = memory
        wiring.connect(m, engine.m_axi, memory.axi)
        wiring.connect(m, bridge.memory, memory.host)
        return engine


def _parameters(board: Board) -> SDRAMParameters | None:
    """Return the controller's, if the board has a memory of its own."""
    if board.sdram is None:
        return None
    return board.sdram.parameters(clock_mhz=board.clock_mhz, data_width=board.engine.bus_width)


class _Top(wiring.Component):
    """The system behind the board's pins, in reset until the clock is steady."""

    def __init__(self, board):
        self._board = board
        self._family = get_board_family(board.family)
        self._pads = None if board.sdram is None else SDRAMPads(board.sdram, self._family)
        self._usb = USBPads(board.usb) if board.link == "usb" else None
        super().__init__(
            {"clk": In(1), "uart_rx": In(1, init=1), "uart_tx": Out(1, init=1), "led": Out(1)}
        )

    @property
    def pads(self):
        """Pins besides the members, by name."""
        return {
            name: port
            for pads in (self._pads, self._usb)
            if pads is not None
            for name, port in pads.ports.items()
        }

    def elaborate(self, platform):
        m = Module()
        board = self._board
        m.domains.sync = ClockDomain()
        m.domains.start = ClockDomain(reset_less=True)
        started, locked, steady = Signal(4), Signal(), Signal()
        waiting, reset = Signal(init=1), Signal(init=1)
        m.d.comb += [
            ClockSignal("sync").eq(ClockSignal("start")),
            ResetSignal("sync").eq(reset),
        ]
        # One register on the way to the middle of the chip, one there.
        m.d.start += [waiting.eq(started != 15), reset.eq(waiting)]
        m.submodules.steady = FFSynchronizer(locked, steady, o_domain="start", reset_less=True)
        with m.If(~steady):
            m.d.start += started.eq(0)
        with m.Elif(started != 15):
            m.d.start += started.eq(started + 1)
        behind = None
        if self._pads is not None:
            m.domains.sdram = ClockDomain(reset_less=True)
            behind = ClockSignal("sdram")
        if board.clock_mhz == board.oscillator_mhz and behind is None:
            m.d.comb += [ClockSignal("start").eq(self.clk), locked.eq(1)]
        else:
            self._family.pll(m, board, self.clk, ClockSignal("start"), locked, behind)
        m.submodules.system = system = System(
            board.engine,
            divisor=round(board.clock_mhz * 1e6 / board.baud),
            sdram=_parameters(board),
            usb=self._usb is not None,
        )
        if self._pads is not None:
            m.submodules.pads = self._pads
            wiring.connect(m, system.sdram, self._pads.pins)
        outputs = ["led"]
        if self._usb is None:
            m.d.comb += system.uart_rx.eq(self.uart_rx)
            outputs.insert(0, "uart_tx")
        else:
            self._connect_usb(m, system)
        m.d.comb += [
            getattr(self, port).eq(getattr(system, port) ^ (port in board.active_low))
            for port in outputs
        ]
        return m

    def _connect_usb(self, m, system):
        """Add the device's clocks and pads; the serial line stays as it is when nobody sends."""
        for name in ("usb", "usb_io"):
            m.domains += ClockDomain(name)
        locked = Signal()
        self._family.usb_pll(
            m, self._board, self.clk, ClockSignal("usb_io"), ClockSignal("usb"), locked
        )
        for name in ("usb", "usb_io"):
            m.submodules[f"{name}_reset"] = ResetSynchronizer(~locked, domain=name)
        m.submodules.usb_pads = self._usb
        wiring.connect(m, system.usb, self._usb.pins)
        m.d.comb += self.uart_tx.eq("uart_tx" not in self._board.active_low)


def system_rtlil(board: Board) -> str:
    """Return a board's system as RTLIL, top module ``TOP``; cached by all that it depends on."""
    families = (get_board_family(board.family), get_family(board.engine.dsp))
    device = [luna_version()] if board.link == "usb" else []
    key = digest([repr(board), _SOURCES, *map(source_of, families), *device, *DEPENDS_ON])

    def make() -> str:
        top = _Top(board)
        return steady(component_rtlil(top, TOP, pads=top.pads))

    return cached_text("system", key, "il", make)


def simulated_verilog(board: Board, *, divisor: int) -> str:
    """Return a board's system as Verilog, for simulation: top module ``TOP``, ``clk`` and ``rst``.

    There is no PLL, the pads' registers are common ones, and the host has the serial line.

    Parameters
    ----------
    divisor : int, clock cycles per bit of its serial line
    """
    key = digest([repr(board), str(divisor), _SOURCES, *DEPENDS_ON])

    def make() -> str:
        parameters = _parameters(board)
        system = System(board.engine, divisor=divisor, sdram=parameters)
        pads = 0 if parameters is None else parameters.pad_latency
        return component_verilog(LatePins(system, pads), TOP)

    return cached_text("simulated", key, "v", make)
