"""What a board is."""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.isa import EngineConfig


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board and the engine that suits it.

    Parameters
    ----------
    name : str
    device, package : str, as nextpnr names them
    speed_grade : int, or None if the device has but one
    oscillator_mhz : float, of the board's clock input
    clock_mhz : float, of the engine
    pins : site of each port of the board's system, by port name
    active_low : ports that are inverted at their pins
    host_link, memory : str, for people
    engine : EngineConfig
    source : str, where the facts come from
    """

    name: str
    device: str
    package: str
    speed_grade: int | None
    oscillator_mhz: float
    clock_mhz: float
    pins: dict[str, str]
    host_link: str
    memory: str
    engine: EngineConfig
    source: str
    active_low: tuple[str, ...] = ()
