"""Every road, from trained networks: each layer, and the whole, beside onnxruntime."""

import pytest

from benchmarks.roads import file_of, real_images
from examples.mlperf_tiny.floats import narrowed, read_layers
from examples.mlperf_tiny.networks import MODELS
from tests.compiler.importers.onnx.layers import Both, compare

# Half of the channels, so that each takes some seconds; and how many layers have results.
CASES = {
    "quantize_static": ("ic", 14),  # residual additions on two grids
    "PT2E": ("kws", 12),
    "Brevitas": ("ic", 15),
    "QONNX": ("kws", 11),
}


@pytest.mark.parametrize("road", CASES)
def test_every_layer_gives_what_onnxruntime_gives(road, tmp_path):
    name, layers = CASES[road]
    path = MODELS / f"{name}.tflite"
    file = file_of(road, narrowed(read_layers(path), 2), real_images(path, 8, seed=7), tmp_path)
    both = Both(file)
    assert len(both.places) == layers
    counts, by_layer = compare(both, real_images(path, 2, seed=1).numpy())
    different = {layer: own for layer, own in by_layer.items() if own.different}
    assert not different
    assert counts["results"].different == counts["maps"].different == 0
    assert counts["maps"].elements > 60_000
    # Ties of onnxruntime's products in float32 apart, which are followed, it is float64's.
    assert counts["golden"].different <= 2
