"""Pads: of a board's SDRAM, with registers in them, and of its USB connector."""

from amaranth.hdl import IOBufferInstance, IOPort, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tilewright.boards.link.usb import USBPins
from tilewright.hdl.memory.chip import CHIPS
from tilewright.hdl.memory.pins import SDRAMPins

__all__ = ["SDRAMPads", "USBPads"]

#: Pins that are low when they do something: idle until there is a clock.
HIGH = ("ras_n", "cas_n", "we_n")


class SDRAMPads(wiring.Component):
    """Registers and buffers between a controller and a chip; ``dq`` goes both ways.

    Parameters
    ----------
    sdram : BoardSDRAM
    family : Family, whose primitives they are

    Members
    -------
    pins : In(SDRAMPins)

    Attributes
    ----------
    ports : IOPort of each pin, by ``sdram_`` and its name

    Clocks
    ------
    ``sync`` of the registers; ``sdram``, which rises when the chip's is to rise.
    """

    def __init__(self, sdram, family):
        self._family = family
        self.ports = {
            f"sdram_{name}": IOPort(len(sites), name=f"sdram_{name}")
            for name, sites in sdram.pins.items()
        }
        super().__init__({"pins": In(SDRAMPins(CHIPS[sdram.chip]))})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        pins, family = self.pins, self._family
        for port_name, port in self.ports.items():
            name = port_name.removeprefix("sdram_")
            if name == "clk":
                family.pad_clock(m, name, "sdram", port)
            elif name == "cs_n":
                family.pad_constant(m, name, 0, port)  # always selected
            elif name == "cke":
                family.pad_constant(m, name, 1, port)
            elif name == "dq":
                family.pad_inout(m, name, pins.dq_o, pins.dq_oe, pins.dq_i, port)
            else:
                family.pad_output(m, name, getattr(pins, name), port, high=name in HIGH)
        return m


class USBPads(wiring.Component):
    """Buffers between a device and the lines.

    Parameters
    ----------
    usb : BoardUSB

    Members
    -------
    pins : In(USBPins)

    Attributes
    ----------
    ports : IOPort of each pin, by ``usb_`` and its name
    """

    def __init__(self, usb):
        self.ports = {name: IOPort(1, name=name) for name in usb.ports()}
        super().__init__({"pins": In(USBPins())})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        pins, ports = self.pins, self.ports
        m.submodules.d_p = IOBufferInstance(
            ports["usb_d_p"], i=pins.d_p_i, o=pins.d_p_o, oe=pins.oe
        )
        m.submodules.d_n = IOBufferInstance(
            ports["usb_d_n"], i=pins.d_n_i, o=pins.d_n_o, oe=pins.oe
        )
        m.submodules.pull_up = IOBufferInstance(ports["usb_pull_up"], o=pins.pull_up)
        return m
