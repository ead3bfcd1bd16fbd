"""What an engine lacks, said so that it can be followed: in numbers that EngineConfig admits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tilewright.errors import Error
from tilewright.isa import Compute, EngineConfig
from tilewright.isa.config import ConfigError


def _most(*names: str) -> int:
    """Return the largest value that fields of the compute command hold, each of them."""
    return min(field.range[1] for field in Compute.FIELDS if field.name in names)


#: What a command can say, at most: pixels from one result to the next, input rows or columns from
#: one window to the next, and from one tap to the next.
MAX_STEP = _most("dst_step")
MAX_STRIDE = _most("stride_x", "oy_dy")
MAX_DILATION = _most("s_dx", "r_dy")

#: Buffers are rings: their depths are powers of two, up to this one.
_MOST_LOG2 = 16


class EngineLimitError(Error):
    """An engine is too small for a layer; the message names the parameter that must grow."""


class MemoryLimitError(EngineLimitError):
    """A program is more than the engine can address.

    Attributes
    ----------
    size : bytes of the program
    """

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size


def at_least(config: EngineConfig, parameter: str, least: int) -> str:
    """Return that a parameter must grow, as ``the engine's X must be at least N, not M``.

    N is the least number from ``least`` on that EngineConfig admits, with the engine's other
    parameters or with ``pipelined=True``, which the text then asks for as well. Where no engine has
    as much, the text says that.

    Parameters
    ----------
    config : the engine that is too small
    parameter : of EngineConfig, an integer
    least : what a layer needs
    """
    least = int(least)  # of a graph that was made with numpy's numbers
    powers = (1 << i for i in range((least - 1).bit_length(), _MOST_LOG2 + 1))
    numbers = [least, *(n for n in powers if n > least)]
    more: Mapping[str, Any]
    for more in ({}, {"pipelined": True}):
        for number in numbers:
            if _admits(config, {parameter: number, **more}):
                also = " with pipelined=True" if more else ""
                now = getattr(config, parameter)
                return f"the engine's {parameter} must be at least {number}{also}, not {now}"
    return f"no engine's {parameter} can be {least}"


def _admits(config: EngineConfig, changes: Mapping[str, Any]) -> bool:
    try:
        replace(config, **changes)
    except ConfigError:
        return False
    return True
