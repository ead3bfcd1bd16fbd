"""The components that the cocotb tests drive, side by side in one design."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from tests.hdl.configs import CONFIG, CONFIGS, SAMPLING, SHARING
from tilewright.boards.link.bridge import HostBridge
from tilewright.boards.link.uart import UARTReceiver, UARTTransmitter
from tilewright.hdl.bus.reader import Reader
from tilewright.hdl.bus.writer import Writer
from tilewright.hdl.commands.queue import CommandQueue
from tilewright.hdl.compute import ComputeUnit
from tilewright.hdl.control.unit import Control
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.load.unit import LoadUnit
from tilewright.hdl.load.widen import Widen
from tilewright.hdl.memory.block import OnChipMemory
from tilewright.hdl.sequence.pace import PaceSequencer
from tilewright.hdl.sequence.passes import PassSequencer
from tilewright.hdl.sequence.taps import TapSequencer
from tilewright.hdl.store.unit import StoreUnit
from tilewright.hdl.windows.offsets import OffsetSequencer
from tilewright.hdl.windows.sampler import Sampler
from tilewright.isa import Unit

MEMORY_BYTES = 4096  # of the board's memory
DIVISOR = 4  # cycles per bit of the serial line


class Components(wiring.Component):
    """Unconnected components, compiled and simulated at once.

    A bench of its own for each would spend most of its time in building and starting.

    Parameters
    ----------
    parts : components by name; the ports of each begin with its name
    """

    def __init__(self, parts):
        self._parts = parts
        super().__init__({name: Out(part.signature) for name, part in parts.items()})
        for name, part in parts.items():
            setattr(self, name, part)  # its own signals are the ports

    def elaborate(self, platform):
        m = Module()
        for name, part in self._parts.items():
            m.submodules[name] = part
        return m


def components():
    """Return every component that has a stream or a bus."""
    return Components(
        {
            **{f"load_{name}": LoadUnit(config) for name, config in CONFIGS.items()},
            **{f"store_{name}": StoreUnit(config) for name, config in CONFIGS.items()},
            "reader": Reader(CONFIG),
            "writer": Writer(CONFIG),
            "queue": CommandQueue(CONFIG, Unit.COMPUTE),
            "control": Control(CONFIG),
            "passes": PassSequencer(CONFIG),
            "taps": TapSequencer(CONFIG),
            "pace": PaceSequencer(CONFIG),
            "widen": Widen(CONFIGS["wide_words"]),
            "skid": SkidBuffer(16),
            "offsets": OffsetSequencer(SAMPLING),
            "sampler": Sampler(SAMPLING),
            "compute": ComputeUnit(CONFIG),
            "sharing": ComputeUnit(SHARING),
            "memory": OnChipMemory(data_width=CONFIG.bus_width, size_bytes=MEMORY_BYTES),
            "bridge": HostBridge(fifo_bytes=64, memory_bytes=1024),
            "receiver": UARTReceiver(divisor=DIVISOR),
            "transmitter": UARTTransmitter(divisor=DIVISOR),
        }
    )
