"""Engines too small to be built, so that proofs are: components see the same arithmetic."""

from dataclasses import dataclass

from tilewright.isa import EngineConfig, Unit

__all__ = ["NarrowConfig"]


@dataclass(frozen=True, kw_only=True)
class NarrowConfig(EngineConfig):
    """An engine whose parameters may be below what :class:`EngineConfig` admits.

    Parameters
    ----------
    least_bytes : int or None   bytes of every command; None: as of any engine
    """

    least_bytes: int | None = None

    def __post_init__(self) -> None:
        """Accept everything."""

    def command_bytes(self, unit: Unit) -> int:
        """Bytes of one command of a unit."""
        return super().command_bytes(unit) if self.least_bytes is None else self.least_bytes
