"""The steps in which the load unit transforms the kernel of a channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import EngineConfig
from tilewright.isa.fields import EncodeError, Field, bits, declared, pack, unpack

#: Taps of a kernel, and steps of its transform, at most.
MAX_KERNEL_TAPS, MAX_KERNEL_STEPS = 16, 256


@dataclass(frozen=True, kw_only=True)
class KernelStep:
    """Add a tap to what one step after another makes of a channel's kernel.

    Sums have ``kernel_width`` bits; what does not fit is lost.
    """

    FIELDS: ClassVar[tuple[Field, ...]]

    tap: int = bits(4, "which is added")
    shift: int = bits(1, "1: the tap is added twice", default=0)
    negative: int = bits(1, "1: the tap is subtracted", default=0)
    first: int = bits(1, "1: to nothing, instead of to the sum of the step before", default=0)
    double: int = bits(1, "1: to twice the sum of the step before", default=0)
    write: int = bits(1, "1: the sum is a result", default=0)

    @property
    def factor(self) -> int:
        """What the tap is multiplied by."""
        return (-1 if self.negative else 1) << self.shift

    def encode(self) -> int:
        """Return the step's bits."""
        return pack(self.FIELDS, asdict(self), "KernelStep")

    @classmethod
    def decode(cls, bits: int) -> KernelStep:
        """Return the step that some bits hold; those above its fields mean nothing."""
        return cls(**unpack(cls.FIELDS, bits))


KernelStep.FIELDS = declared(KernelStep)


def pack_kernel_steps(config: EngineConfig, steps: Iterable[KernelStep]) -> NDArray[np.uint8]:
    """Return the bytes of the steps of a transform, each the first two of ``rows``.

    Raises
    ------
    EncodeError
        If there are more steps than an engine holds.
    """
    bits = [step.encode() for step in steps]
    if not 0 < len(bits) <= MAX_KERNEL_STEPS:
        raise EncodeError(f"a kernel's transform has 1..{MAX_KERNEL_STEPS} steps, not {len(bits)}")
    words = np.zeros((len(bits), config.rows), np.uint8)
    words[:, 0], words[:, 1] = np.array(bits) & 0xFF, np.array(bits) >> 8
    return words.reshape(-1)


def unpack_kernel_steps(config: EngineConfig, data: NDArray[np.uint8]) -> list[KernelStep]:
    """Return the steps whose bytes are ``data``."""
    words = data.reshape(-1, config.rows).astype(int)
    return [KernelStep.decode(int(low | high << 8)) for low, high in words[:, :2]]
