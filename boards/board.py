"""What a board is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tilewright.boards.families import get_family
from tilewright.boards.family import Part
from tilewright.boards.sdram import BoardSDRAM
from tilewright.boards.usb import BoardUSB
from tilewright.errors import Error
from tilewright.hdl.families import get_family as get_hdl_family
from tilewright.hdl.families.generic import Family as AnyFamily
from tilewright.isa import EngineConfig

__all__ = ["LINKS", "MEMORY_BYTES", "PORTS", "Board", "Platform"]

#: Of block RAM, on a board that has no other memory.
MEMORY_BYTES = 8192
#: Of the system that goes on a board: clock, serial line, a light that shows the interrupt.
PORTS = ("clk", "uart_tx", "uart_rx", "led")
#: How a host reaches the system.
LINKS = ("serial", "usb")
#: Those of amaranth-boards that have another name here.
_SDRAM_NAMES = {
    "clk_en": "cke",
    **{name: f"{name}_n" for name in ("cs", "ras", "cas", "we")},
}


class Platform(Protocol):
    """What is read of a platform class of amaranth-boards."""

    device: str
    package: str
    default_clk: str
    resources: Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board and the engine that suits it, checked when it is made.

    Parameters
    ----------
    name : str, lower-case letters, digits and hyphens
    family : str, of the FPGA: a module of :mod:`tilewright.boards.families`
    part : Part, the FPGA
    oscillator_mhz : float, of the board's clock input
    clock_mhz : float, of the engine; the family's PLL makes it of the oscillator's
    pins : site of each of ``PORTS``
    active_low : ports that are inverted at their pins
    host_link : str, for people: what the serial line goes to
    link : str, of ``LINKS``: the serial line, or the USB connector of ``usb``
    baud : int, bits a second of the host link
    loader : str, what openFPGALoader calls the board
    memory : str, for people
    sdram : BoardSDRAM or None, the memory behind the engine; None if it is the FPGA's own
    usb : BoardUSB or None, a connector whose data lines go to the FPGA
    engine : EngineConfig; its ``dsp`` is the board's family or "inferred"
    source : str, where the facts come from

    Raises
    ------
    Error
        If one of these does not hold; the message names the board and the field.
    """

    name: str
    family: str
    part: Part
    oscillator_mhz: float
    clock_mhz: float
    pins: dict[str, str]
    host_link: str
    loader: str
    memory: str
    engine: EngineConfig
    source: str
    active_low: tuple[str, ...] = ()
    sdram: BoardSDRAM | None = None
    usb: BoardUSB | None = None
    link: str = "serial"
    baud: int = 1_000_000

    def __post_init__(self) -> None:
        self._check(
            re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name) is not None,
            "name",
            "lower-case letters, digits and hyphens",
        )
        for field in ("oscillator_mhz", "clock_mhz", "baud"):
            self._check(getattr(self, field) > 0, field, "above 0")
        self._check(sorted(self.pins) == sorted(PORTS), "pins", f"of {', '.join(PORTS)}")
        outside = [part for part in (self.sdram, self.usb) if part is not None]
        sites = [*self.pins.values(), *(s for part in outside for s in part.ports().values())]
        self._check(len(set(sites)) == len(sites), "pins", "sites, another for each port")
        self._check(set(self.active_low) <= set(PORTS), "active_low", f"of {', '.join(PORTS)}")
        for field in ("host_link", "loader", "memory", "source"):
            self._check(bool(getattr(self, field)), field, "said")
        reachable = LINKS if self.usb is not None and get_family(self.family).usb else LINKS[:1]
        self._check(self.link in reachable, "link", " or ".join(map(repr, reachable)))
        allowed = (self.family, AnyFamily.name)
        if self.engine.dsp not in allowed:
            raise Error(
                f"{self.name}: dsp of its engine must be {' or '.join(map(repr, allowed))}, "
                f"not {self.engine.dsp!r}"
            )
        get_family(self.family).check(self)
        get_hdl_family(self.engine.dsp).check(self.engine)
        if self.sdram is not None:
            self.sdram.parameters(clock_mhz=self.clock_mhz, data_width=self.engine.bus_width)

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory behind the engine: outside, or of the FPGA's own."""
        if self.sdram is not None:
            return self.sdram.size_bytes
        return get_hdl_family(self.engine.dsp).large_bytes or MEMORY_BYTES

    def _check(self, ok: bool, field: str, must_be: str) -> None:
        if not ok:
            raise Error(f"{self.name}: {field} must be {must_be}, not {getattr(self, field)!r}")

    @classmethod
    def from_platform(
        cls,
        platform: type[Platform],
        *,
        name: str,
        family: str,
        clock_mhz: float,
        host_link: str,
        loader: str,
        memory: str,
        engine: EngineConfig,
        baud: int = 1_000_000,
        led: int = 0,
        chip: str | None = None,
    ) -> Board:
        """Return a board whose FPGA, oscillator and pins are those that amaranth-boards has.

        Parameters
        ----------
        platform : a class of amaranth-boards
        led : which of its lights shows the interrupt
        chip : of the board's SDRAM, if the engine is to use it
        others : as for :class:`Board`
        """
        found = {(r.name, r.number): r for r in platform.resources}

        def resource(of: str, number: int = 0) -> Any:
            if (of, number) not in found:
                raise Error(f"{name}: {platform.__name__} has no {of} {number}")
            return found[of, number]

        clock, light = resource(platform.default_clk), resource("led", led)
        sdram = None
        if chip is not None:
            sites = {signal.name: signal.ios[0].names for signal in resource("sdram").ios}
            sdram = BoardSDRAM(
                chip=chip,
                pins={_SDRAM_NAMES.get(pin, pin): tuple(names) for pin, names in sites.items()},
            )
        usb = None
        if ("usb", 0) in found:
            lines = {signal.name: signal.ios[0].names[0] for signal in resource("usb").ios}
            if "pullup" in lines:
                usb = BoardUSB(d_p=lines["d_p"], d_n=lines["d_n"], pull_up=lines["pullup"])
        # The resource is named from the FPGA: rx is what it receives.
        line = {signal.name: signal.ios[0].names for signal in resource("uart").ios}
        return cls(
            name=name,
            family=family,
            part=get_family(family).part(
                platform.device, platform.package, getattr(platform, "speed", None)
            ),
            oscillator_mhz=clock.clock.frequency / 1e6,
            clock_mhz=clock_mhz,
            pins={
                "clk": clock.ios[0].names[0],
                "uart_tx": line["tx"][0],
                "uart_rx": line["rx"][0],
                "led": light.ios[0].names[0],
            },
            sdram=sdram,
            usb=usb,
            active_low=("led",) if light.ios[0].invert else (),
            host_link=host_link,
            baud=baud,
            loader=loader,
            memory=memory,
            engine=engine,
            source=f"amaranth-boards, {platform.__module__}.{platform.__name__}",
        )
