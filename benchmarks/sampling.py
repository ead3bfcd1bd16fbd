"""How far integer deformable sampling is from the definition in floats, for each fraction width.

``python -m benchmarks.sampling`` prints the table of docs/deformable.md and writes
``benchmarks/results/sampling.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.output import markdown_table
from tilewright.compiler.ir import DeformConv2d, TensorType, make_requantize
from tilewright.compiler.ir.arithmetic import requantize
from tilewright.files import write_json
from tilewright.nn.sampling import sample

CHANNELS, SIZE, SIGMA = 16, 48, 2.0


def image(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return an image (C, H, W) of int8: noise, or the same blurred over about five pixels."""
    x = torch.from_numpy(rng.normal(size=(1, CHANNELS, SIZE, SIZE)))
    if kind == "smooth":
        for _ in range(2):
            x = F.avg_pool2d(x, 3, 1, 1)
    return np.clip(np.rint(x[0].numpy() / x.std().item() * 40), -128, 127).astype(np.int64)


def measure(kind: str, bits: int, masked: bool, seed: int) -> dict[str, float]:
    """Return errors of samples in steps of the input: with the same offsets, and with others."""
    rng = np.random.default_rng(seed)
    x = image(kind, rng)
    offset = rng.normal(0, SIGMA, (18, SIZE, SIZE)).clip(-128 / 2**bits, 127 / 2**bits)
    mask = rng.random((9, SIZE, SIZE)) if masked else None
    integers = np.rint(offset * 2**bits).astype(np.int64)
    values = {"x": x, "o": integers}
    types = {
        "x": TensorType(x.shape, 8, True, 1.0, 0),
        "o": TensorType(offset.shape, 8, True, 2.0**-bits, 0),
    }
    if mask is not None:
        values["m"] = np.rint(mask * 256).clip(0, 255).astype(np.int64)
        types["m"] = TensorType(mask.shape, 8, False, 2.0**-8, 0)
    weight = np.ones((1, CHANNELS, 3, 3), np.int64)
    op = DeformConv2d(
        "layer", "x", "o", None if mask is None else "m", "y", weight, 8, np.zeros(1, np.int64),
        (1, 1), (1, 1, 1, 1), (1, 1), 1, 1, make_requantize([1.0], 18, 0, -128, 127),
    )  # fmt: skip
    acc, scale = op.samples(values, types)
    got = requantize(acc, scale)

    def definition(offset: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        tensors = (
            None if a is None else torch.from_numpy(a)[None].double() for a in (offset, mask)
        )
        given, factors = tensors
        samples = sample(
            torch.from_numpy(x)[None].double(), given, factors, (3, 3), (1, 1), (1, 1), (1, 1), 1
        )
        return samples[0].numpy()

    same = got - definition(integers / 2**bits, None if mask is None else values["m"] / 256)
    other = got - definition(offset, mask)
    power = np.square(got - other).mean()
    return {
        "rounding_max": float(np.abs(same).max()),
        "rounding_rms": float(np.sqrt(np.square(same).mean())),
        "all_rms": float(np.sqrt(np.square(other).mean())),
        "all_snr_db": float(10 * np.log10(power / np.square(other).mean())),
    }


def rows(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table of docs/deformable.md, heads first: those without a mask."""
    known = {
        (record["image"], record["fraction_bits"]): record
        for record in records
        if not record["masked"]
    }
    result = [
        ["f", "rounding of samples, most", "rms", "all, smooth image, rms", "SNR",
         "all, white noise, rms", "SNR"]
    ]  # fmt: skip
    for bits in range(9):
        smooth, noise = known["smooth", bits], known["noise", bits]
        cells = [str(bits), f"{smooth['rounding_max']:.2f}", f"{smooth['rounding_rms']:.2f}"]
        for record in (smooth, noise):
            cells += [f"{record['all_rms']:.2f}", f"{record['all_snr_db']:.1f} dB"]
        result.append(cells)
    return result


def main() -> None:
    """Print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/sampling.json"))
    arguments = parser.parse_args()
    results = []
    for kind in ("smooth", "noise"):
        for masked in (False, True):
            for bits in range(9):
                row = {"image": kind, "masked": masked, "fraction_bits": bits}
                row |= measure(kind, bits, masked, 0)
                results.append(row)
    print(markdown_table(rows(results)))
    write_json(arguments.json, results)


if __name__ == "__main__":
    main()
