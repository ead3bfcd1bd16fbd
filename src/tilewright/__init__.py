"""Tilewright: quantized PyTorch networks to bit-exact convolution accelerators on FPGAs."""

from tilewright.errors import Error, UnsupportedError

__all__ = ["Error", "UnsupportedError"]
