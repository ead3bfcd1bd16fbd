"""Requantization as kernel groups have it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Requantize
from tilewright.compiler.schedule.array.weights import Parameters
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.order.channels import ChannelOrder
from tilewright.isa import EngineConfig


def parameters_of(
    config: EngineConfig,
    name: str,
    order: ChannelOrder,
    requantize: Requantize,
    bias: Iterable[int] | NDArray[np.int64],
) -> Parameters:
    """Return the parameters of kernel groups.

    Parameters
    ----------
    name : the layer's
    order : of the results' channels
    bias : by channel

    Raises
    ------
    EngineLimitError
        If the engine rounds otherwise, or its multipliers are too narrow.
    """
    wanted = "half_even" if requantize.rounding == "half_even" else "double"
    if requantize.rounds and wanted != config.rounding:
        raise EngineLimitError(
            f'{name}: its results are rounded "{requantize.rounding}", and the engine rounds '
            f'"{config.rounding}": take one with rounding="{wanted}"'
            + (" and multiplier_width=31 (each by --set)" if wanted == "double" else "")
        )
    width = requantize.multiplier_width
    if width > config.multiplier_width:
        raise EngineLimitError(
            f"{name}: a multiplier has {width} bits; {at_least(config, 'multiplier_width', width)}"
        )

    def rows(values: Iterable[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        by_channel = np.asarray(values, np.int64)
        return np.where(order >= 0, by_channel[order], 0).reshape(-1, config.rows)

    shift = np.asarray(requantize.shift, np.int64)
    once = np.minimum(shift, requantize.rounding == "half_away")
    return Parameters(rows(bias), rows(requantize.multiplier), rows(shift), rows(once))
