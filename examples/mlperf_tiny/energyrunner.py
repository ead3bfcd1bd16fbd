"""Labelled inputs as EEMBC's EnergyRunner has them, as the networks take them.

    python -m examples.mlperf_tiny.energyrunner DATASETS OUTPUT

DATASETS has folders ``kws01``, ``ic01``, ``vww01`` and ``ad01`` (those that are there are read): a
``.bin`` for each input, and ``y_labels.csv`` with a line for each: file, classes, class and, of
anomaly detection, the bytes of a window and those from one to the next. OUTPUT gets ``NAME.npz``
for ``python -m examples.mlperf_tiny --inputs OUTPUT``.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from examples.mlperf_tiny.networks import found
from tilewright.compiler.importers.tflite.file import read_file
from tilewright.errors import Error

FOLDERS = {"kws": "kws01", "ic": "ic01", "vww": "vww01", "ad": "ad01"}

Int8Array = npt.NDArray[np.int8]


def windows(spectrogram: Int8Array, width: int, step: int) -> Int8Array:
    """Return the windows (N, width) of a spectrogram, ``step`` values from one to the next."""
    count = (len(spectrogram) - width) // step + 1
    return np.stack([spectrogram[step * i : step * i + width] for i in range(count)])


def read(folder: Path, path: Path) -> tuple[Int8Array, npt.NDArray[np.int64]]:
    """Return the inputs (N, ...) of a folder, in int8, and their labels (N,).

    Features are int8, images uint8 (H, W, 3), spectrograms float32 with several windows an input.

    Parameters
    ----------
    path : of the network's file, which says the shape, and the scale of spectrograms

    Raises
    ------
    Error  If a line of the labels is of another kind, or a file is of another size.
    """
    file = read_file(path.read_bytes())
    tensor = file.tensors[file.inputs[0]]
    shape, scale, zero_point = tensor.shape[1:], tensor.scales[0], tensor.zero_points[0]
    inputs, labels = [], []
    with (folder / "y_labels.csv").open(newline="") as lines:
        for line in csv.reader(lines):
            try:
                name, _, label, *window = line
                data = (folder / name).read_bytes()
                if window:
                    real = np.frombuffer(data, "<f4")
                    whole = np.clip(np.rint(real / scale) + zero_point, -128, 127).astype(np.int8)
                    width, step = (int(n) // real.itemsize for n in window)
                    inputs.append(windows(whole, width, step).reshape(-1, *shape))
                elif folder.name == FOLDERS["kws"]:
                    inputs.append(np.frombuffer(data, np.int8).reshape(shape))
                else:
                    image = np.frombuffer(data, np.uint8).astype(np.int16) - 128
                    inputs.append(image.astype(np.int8).reshape(shape))
                labels.append(int(label))
            except (ValueError, OSError) as error:
                raise Error(f"{folder}/y_labels.csv: {','.join(line)!r}: {error}") from error
    return np.stack(inputs), np.array(labels)


def main() -> None:
    """Convert the folders that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--models", type=Path, help="folder of kws, ic, vww and ad.tflite")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for network, path in found(arguments.models):
        folder = arguments.datasets / FOLDERS[network.name]
        if not (folder / "y_labels.csv").is_file():
            continue
        inputs, labels = read(folder, path)
        np.savez_compressed(arguments.output / f"{network.name}.npz", inputs=inputs, labels=labels)
        print(f"{network.name}: {inputs.shape[0]} inputs")


if __name__ == "__main__":
    main()
