"""Numbers as registers hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def wrapped(value: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return what a signed register of ``width`` bits holds of a value."""
    half = 1 << (width - 1)
    return (value + half) % (2 * half) - half
