"""Compare the networks with the reference kernels; their quality, where there are labels."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from examples.mlperf_tiny.networks import Network, found, images, input_shape, labelled, quality
from examples.mlperf_tiny.reference import channels_first, compare, integers
from tilewright.compiler.ir import run
from tilewright.progress import Steps


def reached(network: Network, path: Path, folder: Path) -> tuple[float, int] | None:
    """Return the quality of a network on labelled inputs, and how many, by the integer graph.

    None if the folder has none.
    """
    given = labelled(network, folder)
    if given is None:
        return None
    graph = integers(path.read_bytes())
    (source,), (end,) = graph.inputs, graph.outputs
    kinds = graph.values[source.output], graph.values[end.input]
    inputs, outputs = [], []
    windows = given[0].reshape(-1, *input_shape(path))
    with Steps(network.name, len(windows), None) as steps:
        for image in windows:
            x = channels_first(image[None]).reshape(kinds[0].shape)
            y = run(graph, [x])[end.input]
            inputs.append(kinds[0].scale * (x - kinds[0].zero_point))
            outputs.append(kinds[1].scale * (y - kinds[1].zero_point))
            steps.advance()
    reals = np.array(inputs), np.array(outputs)
    return quality(network, *reals, given[1]), len(given[1])


def measured(network: Network, path: Path, folder: Path) -> str:
    """Say how good a network is."""
    value = reached(network, path, folder)
    if value is None:
        return "no labelled inputs"
    return f"{network.measure} {value[0]:.4f} of {value[1]}, {network.needed} needed"


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="folder of kws, ic, vww and ad.tflite")
    parser.add_argument(
        "--inputs", type=Path, default=Path(), help="folder of NAME.npz: inputs in int8, labels"
    )
    parser.add_argument("--count", type=int, default=8, help="inputs to compare elements on")
    arguments = parser.parse_args()
    for network, path in found(arguments.models):
        result = compare(path.read_bytes(), images(path, arguments.count))
        print(
            f"{network.name}: {result.different} of {result.elements} elements of "
            f"{len(result.names)} layers differ; {measured(network, path, arguments.inputs)}"
        )


if __name__ == "__main__":
    main()
