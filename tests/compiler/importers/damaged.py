"""Files with bytes that are flipped, overwritten, or cut off: an error of one line, or a network.

``python -m tests.compiler.importers.damaged FOLDER --seeds 0 300`` reads so many damaged copies of
each ONNX and TFLite file in a folder, and says what is no `tilewright.Error`, and the memory taken.
"""

import argparse
import tempfile
import traceback
from pathlib import Path

import numpy as np

import tilewright as tw
from tests.peak import Peak


def damaged(whole: bytes, seed: int) -> bytes:
    """Return a copy of a file with a few bytes changed, inserted or removed, or cut off."""
    rng, data = np.random.default_rng(seed), bytearray(whole)
    for _ in range(int(rng.integers(1, 9))):
        place = int(rng.integers(len(data)))
        match int(rng.integers(4)):
            case 0:
                data[place] ^= 1 << int(rng.integers(8))
            case 1:
                data[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
            case 2:
                data[place:place] = rng.bytes(int(rng.integers(1, 5)))
            case 3:
                del data[place : place + int(rng.integers(1, 5))]
    if seed % 8 == 0:
        del data[int(rng.integers(len(data))) :]
    return bytes(data)


def refusal(path: Path) -> str | None:
    """Return what is wrong with a file, or None; whatever else it raises goes on."""
    try:
        if path.suffix == ".onnx":
            tw.read_onnx(path, host="anywhere")
        else:
            tw.read_tflite(path, host="anywhere")
    except tw.Error as error:
        return str(error)
    return None


def campaign(whole: bytes, suffix: str, seeds: range, folder: Path) -> tuple[int, list[str]]:
    """Return how many damaged copies are refused, and what is wrong with how."""
    refused, wrong = 0, []
    path = folder / f"damaged{suffix}"
    for seed in seeds:
        path.write_bytes(damaged(whole, seed))
        try:
            text = refusal(path)
        except Exception:
            wrong.append(f"seed {seed}: {traceback.format_exc(limit=-4)}")
            continue
        refused += text is not None
        if text is not None and ("\n" in text or len(text) > 1500):
            wrong.append(f"seed {seed}: a message of {len(text)} characters: {text[:200]!r}")
    return refused, wrong


def main() -> None:
    """Damage the files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 300))
    arguments = parser.parse_args()
    files = sorted(p for p in arguments.folder.iterdir() if p.suffix in (".onnx", ".tflite"))
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            peak = Peak()
            seeds = range(*arguments.seeds)
            refused, wrong = campaign(path.read_bytes(), path.suffix, seeds, Path(folder))
            print(
                f"{path.name}: {refused} of {len(seeds)} refused, {len(wrong)} wrong, "
                f"{peak.bytes() >> 20} MiB",
                flush=True,
            )
            print(*wrong[:5], sep="\n", end="\n" if wrong else "")


if __name__ == "__main__":
    main()
