"""Numbers with their error bars, and what is not known."""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.errors import Error

__all__ = ["Figure", "Unknown", "known", "plain"]


def plain(value: float, digits: int = 4) -> str:
    """Return a number to so many digits as people read it: thousands apart, and no exponent.

    A whole number has all of its digits.
    """
    if value and abs(value) < 1e-4:
        return f"{value:.{digits}g}"
    if value == int(value) or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}"


@dataclass(frozen=True)
class Figure:
    """A number, the range in which it is believed to lie, and where it comes from.

    Parameters
    ----------
    value, low, high : float; all the same if the number is exact
    unit : str
    basis : str, its source, or how it was computed
    """

    value: float
    low: float
    high: float
    unit: str
    basis: str

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} is not between {self.low} and {self.high}")

    @classmethod
    def exact(cls, value: float, unit: str, basis: str) -> Figure:
        """Return a number without error."""
        return cls(value, value, value, unit, basis)

    @classmethod
    def within(cls, value: float, share: float, unit: str, basis: str) -> Figure:
        """Return a number that may be wrong by a share of itself."""
        return cls(value, value * (1 - share), value * (1 + share), unit, basis)

    @property
    def is_exact(self) -> bool:
        """Whether there is no error."""
        return self.low == self.high

    @property
    def relative_error(self) -> float:
        """Distance to the farther end of the range, as a share of the number; 0 is exact."""
        far = max(self.high - self.value, self.value - self.low)
        return far / abs(self.value) if far else 0.0

    def scaled(self, factor: float, unit: str) -> Figure:
        """Return so many times the number, with its source."""
        return Figure(self.value * factor, self.low * factor, self.high * factor, unit, self.basis)

    def error_text(self) -> str:
        """Return the error as people read it."""
        if self.is_exact:
            return "exact"
        if abs(self.high + self.low - 2 * self.value) < 1e-6 * abs(self.value):
            return f"±{self.relative_error:.1%}"
        return f"{plain(self.low)} .. {plain(self.high)}"


@dataclass(frozen=True)
class Unknown:
    """What no number is known for.

    Parameters
    ----------
    unit : str, that it would have
    reason : str
    """

    unit: str
    reason: str


def known(figure: Figure | Unknown, what: str) -> Figure:
    """Return a figure that is known.

    Raises
    ------
    Error
        With the reason, if it is not.
    """
    if isinstance(figure, Unknown):
        raise Error(f"{what} is not known: {figure.reason}")
    return figure
