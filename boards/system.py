"""What goes on a board: the engine, a memory, and the host link."""

from pathlib import Path

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from tilewright.boards.board import Board
from tilewright.boards.bridge import HostBridge
from tilewright.boards.memory import OnChipMemory
from tilewright.boards.spram import LargeMemory
from tilewright.boards.uart import UARTReceiver, UARTTransmitter
from tilewright.cache import cached_text, digest, digest_of_sources
from tilewright.hdl.engine import Engine
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.verilog import DEPENDS_ON, component_rtlil

__all__ = ["BAUD", "MEMORY_BYTES", "TOP", "System", "pll_dividers", "system_rtlil"]

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
    memory_bytes : int, power of two; an iCE40UP5K has ``LargeMemory.SIZE_BYTES`` instead

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
        if self._config.dsp == "ice40":
            memory = LargeMemory()
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


def pll_dividers(oscillator_mhz, clock_mhz):
    """Return by what the ECP5's PLL divides the oscillator, multiplies it, and divides its own.

    Source: Lattice FPGA-TN-02200, ECP5 and ECP5-5G sysCLOCK PLL/DLL Usage Guide, and the data
    sheet, FPGA-DS-02012: the oscillator of the loop must run at 400..800 MHz, what it is compared
    with at 10 MHz or more; dividers are at most 128.

    Raises
    ------
    ValueError
        If the PLL cannot make this frequency.
    """
    for reference in range(1, int(oscillator_mhz / 10) + 1):
        feedback = clock_mhz * reference / oscillator_mhz
        if feedback == int(feedback) and feedback <= 128:
            return reference, int(feedback), round(600 / clock_mhz)
    raise ValueError(f"no PLL makes {clock_mhz} MHz from {oscillator_mhz} MHz")


def pll(clk, clk_out, locked, board):
    """Return the ECP5's PLL between the oscillator and the engine; ``locked`` is asynchronous."""
    reference, feedback, divider = pll_dividers(board.oscillator_mhz, board.clock_mhz)
    return Instance(
        "EHXPLLL",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=divider,
        p_CLKOP_CPHASE=divider // 2,
        p_CLKOP_FPHASE=0,
        p_FEEDBK_PATH="CLKOP",
        p_CLKI_DIV=reference,
        p_CLKFB_DIV=feedback,
        i_CLKI=clk,
        o_CLKOP=clk_out,
        i_CLKFB=clk_out,
        i_PHASESEL0=Const(0),
        i_PHASESEL1=Const(0),
        i_PHASEDIR=Const(1),
        i_PHASESTEP=Const(1),
        i_PHASELOADREG=Const(1),
        i_PLLWAKESYNC=Const(0),
        i_ENCLKOP=Const(0),
        i_RST=Const(0),
        i_STDBY=Const(0),
        o_LOCK=locked,
    )


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
            m.submodules.pll = pll(self.clk, ClockSignal("start"), locked, board)
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
    key = digest([repr(board), _SOURCES, *DEPENDS_ON])
    return cached_text("system", key, "il", lambda: component_rtlil(_Top(board), TOP))
