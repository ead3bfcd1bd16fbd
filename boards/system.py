"""What goes on a board: the engine, a memory, and the host link."""

from pathlib import Path

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from tilewright.boards.board import Board
from tilewright.boards.families import get_family as get_board_family
from tilewright.boards.link.bridge import HostBridge
from tilewright.boards.link.uart import UARTReceiver, UARTTransmitter
from tilewright.cache import cached_text, digest, digest_of_sources
from tilewright.hdl.engine import Engine
from tilewright.hdl.families import get_family
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.memory.block import OnChipMemory
from tilewright.hdl.memory.large import LargeMemory
from tilewright.hdl.verilog import DEPENDS_ON, component_rtlil
from tilewright.registry import source_of

__all__ = ["BAUD", "MEMORY_BYTES", "TOP", "System", "system_rtlil"]

TOP = "tilewright_system"
BAUD = 1_000_000
MEMORY_BYTES = 8192
_SOURCES = digest_of_sources(Path(__file__).parent)


class System(wiring.Component):
    """An engine whose memory and registers a host reaches over a serial line.

    Parameters
    ----------
    config : EngineConfig
    divisor : int, clock cycles per bit of the serial line
    memory_bytes : int, power of two; a family with
        ``large_bytes`` has those instead

    Members
    -------
    uart_rx : In(1), uart_tx : Out(1)
    led : Out(1); the interrupt
    """

    def __init__(self, config, *, divisor, memory_bytes=MEMORY_BYTES):
        self._config = config
        self._divisor = divisor
        self._memory_bytes = memory_bytes
        super().__init__({"uart_rx": In(1, init=1), "uart_tx": Out(1, init=1), "led": Out(1)})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.engine = engine = Engine(self._config)
        if get_family(self._config.dsp).large_bytes:
            memory = LargeMemory(dsp=self._config.dsp)
        else:
            memory = OnChipMemory(data_width=self._config.bus_width, size_bytes=self._memory_bytes)
        m.submodules.memory = memory
        m.submodules.bridge = bridge = HostBridge()
        m.submodules.receiver = receiver = UARTReceiver(divisor=self._divisor)
        m.submodules.transmitter = transmitter = UARTTransmitter(divisor=self._divisor)
        wiring.connect(m, receiver.o, bridge.i)
        if self._config.pipelined:
            m.submodules.answers = answers = SkidBuffer(8)
            wiring.connect(m, bridge.o, answers.i)
            wiring.connect(m, answers.o, transmitter.i)
        else:
            wiring.connect(m, bridge.o, transmitter.i)
        wiring.connect(m, bridge.axil, engine.s_axil)
        wiring.connect(m, engine.m_axi, memory.axi)
        m.d.comb += [
            receiver.rx.eq(self.uart_rx),
            self.uart_tx.eq(transmitter.tx),
            self.led.eq(engine.irq),
            memory.addr.eq(bridge.addr),
            memory.write.eq(bridge.write),
            memory.data.eq(bridge.data),
            bridge.memory.eq(memory.o),
        ]
        return m


class _Top(wiring.Component):
    """The system behind the board's clock pin, in reset until the clock is steady."""

    def __init__(self, board):
        self._board = board
        super().__init__(
            {"clk": In(1), "uart_rx": In(1, init=1), "uart_tx": Out(1, init=1), "led": Out(1)}
        )

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
        if board.clock_mhz == board.oscillator_mhz:
            m.d.comb += [ClockSignal("start").eq(self.clk), locked.eq(1)]
        else:
            family = get_board_family(board.family)
            family.pll(m, board, self.clk, ClockSignal("start"), locked)
        m.submodules.system = system = System(
            board.engine, divisor=round(board.clock_mhz * 1e6 / BAUD)
        )
        m.d.comb += [
            system.uart_rx.eq(self.uart_rx),
            *(
                getattr(self, port).eq(getattr(system, port) ^ (port in board.active_low))
                for port in ("uart_tx", "led")
            ),
        ]
        return m


def system_rtlil(board: Board) -> str:
    """Return a board's system as RTLIL, top module ``TOP``; cached by all that it depends on."""
    families = (get_board_family(board.family), get_family(board.engine.dsp))
    key = digest([repr(board), _SOURCES, *map(source_of, families), *DEPENDS_ON])
    return cached_text("system", key, "il", lambda: component_rtlil(_Top(board), TOP))
