"""A USB device of full speed that a host sees as a serial port.

LUNA (``luna-usb``, the extra ``usb``) is the device: USB's class CDC-ACM, for which hosts have a
driver. Bytes cross from its clock to the engine's in queues.
"""

import re
from importlib.metadata import PackageNotFoundError, version

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out

from tilewright.errors import Error

__all__ = ["USBPins", "USBSerial", "luna_version", "steady"]


class USBPins(wiring.Signature):
    """Data lines, and what pulls D+ up to say that a device is there."""

    def __init__(self):
        super().__init__(
            {
                "d_p_i": In(1, init=1),
                "d_n_i": In(1),
                "d_p_o": Out(1),
                "d_n_o": Out(1),
                "oe": Out(1),
                "pull_up": Out(1),
            }
        )


class USBSerial(wiring.Component):
    """Bytes from and to a host's serial port; nothing is lost either way.

    A packet to the host ends where no byte follows the last one for ``PATIENCE`` cycles of ``usb``.

    Members
    -------
    o : Out(stream of bytes), from the host
    i : In(stream of bytes), to the host
    pins : Out(USBPins)

    Clocks
    ------
    ``usb`` of 12 MHz and ``usb_io`` of 48 MHz, whose edges lie together; ``sync`` of the streams.

    Raises
    ------
    Error
        If LUNA is not installed.
    """

    #: For tests of the pid.codes registry's: a board that is sold needs its own.
    VENDOR, PRODUCT = 0x1209, 0x0001
    QUEUE = 16  # bytes on their way from clock to clock
    PATIENCE = 15

    def __init__(self):
        luna_version()  # or an error
        super().__init__(
            {
                "o": Out(stream.Signature(unsigned(8))),
                "i": In(stream.Signature(unsigned(8))),
                "pins": Out(USBPins()),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        from luna.gateware.usb.devices.acm import USBSerialDevice

        bus = _Bus().create()
        m.submodules.device = device = USBSerialDevice(
            bus=bus,
            idVendor=self.VENDOR,
            idProduct=self.PRODUCT,
            manufacturer_string="Tilewright",
            product_string="Tilewright",
        )
        m.submodules.received = received = AsyncFIFO(
            width=8, depth=self.QUEUE, w_domain="usb", r_domain="sync"
        )
        m.submodules.answers = answers = AsyncFIFO(
            width=8, depth=self.QUEUE, w_domain="sync", r_domain="usb"
        )
        wiring.connect(m, received.r_stream, wiring.flipped(self.o))
        wiring.connect(m, wiring.flipped(self.i), answers.w_stream)
        # The last byte that is there waits: a packet has room for those that follow.
        last, waited = Signal(), Signal(range(self.PATIENCE + 1))
        shown = answers.r_rdy & (~last | (waited == self.PATIENCE))
        m.d.comb += last.eq(answers.r_level == 1)
        with m.If(~last | answers.r_en):
            m.d.usb += waited.eq(0)
        with m.Elif(waited != self.PATIENCE):
            m.d.usb += waited.eq(waited + 1)
        m.d.comb += [
            device.connect.eq(1),
            received.w_data.eq(device.rx.payload),
            received.w_en.eq(device.rx.valid),
            device.rx.ready.eq(received.w_rdy),
            device.tx.payload.eq(answers.r_data),
            device.tx.valid.eq(shown),
            device.tx.last.eq(last),
            answers.r_en.eq(shown & device.tx.ready),
            bus.d_p.i.eq(self.pins.d_p_i),
            bus.d_n.i.eq(self.pins.d_n_i),
            self.pins.d_p_o.eq(bus.d_p.o),
            self.pins.d_n_o.eq(bus.d_n.o),
            self.pins.oe.eq(bus.d_p.oe),
            self.pins.pull_up.eq(bus.pullup.o),
        ]
        return m


class _Bus(wiring.Signature):
    """Lines as LUNA names them."""

    def __init__(self):
        line = wiring.Signature({"i": In(1), "o": Out(1), "oe": Out(1)})
        pullup = wiring.Signature({"o": Out(1)})
        super().__init__({"d_p": Out(line), "d_n": Out(line), "pullup": Out(pullup)})


def steady(text: str) -> str:
    """Return RTLIL in which an endpoint is not named by its place in this run's memory."""
    return re.sub(r"(USBStreamInEndpoint)_\d+", r"\1_2", text)


def luna_version() -> str:
    """Return the version of LUNA.

    Raises
    ------
    Error
        If it is not installed.
    """
    try:
        return version("luna-usb")
    except PackageNotFoundError as error:
        raise Error(f"a host over USB needs {error.name}: pip install 'tilewright[usb]'") from error
