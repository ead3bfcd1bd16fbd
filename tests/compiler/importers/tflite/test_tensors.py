"""Functions of every integer, and what the host has of two tensors: the reference kernels' own."""

import numpy as np
import pytest

import tilewright as tw
from examples.mlperf_tiny.reference import Kernels, channels_first, compare
from tests.compiler.importers.tflite.files import File
from tilewright.compiler.importers.tflite import import_tflite
from tilewright.errors import UnsupportedError

ENGINE = tw.EngineConfig(rows=4, cols=4, multiplier_width=31, rounding="double", tables=1)
EVERY = np.arange(-128, 128, dtype=np.int8)[None]


@pytest.mark.parametrize("kind", ["GELU", "GELU by tanh", "RSQRT", "EXP", "LOG"])
def test_functions_of_every_integer(kind):
    rng = np.random.default_rng(len(kind))
    options = {"approximate": "tanh" in kind} if "GELU" in kind else {}
    for case in range(12):
        point = -128 if kind == "RSQRT" else int(rng.integers(-128, 128))
        file = File()
        x = file.tensor((1, 256), rng.uniform(0.001, 0.12), point)
        y = file.tensor((1, 256), rng.uniform(0.005, 0.3), int(rng.integers(-128, 128)))
        name = "GeluOptions" if options else None
        file.op(kind.split()[0], [x], [y], name, 1 if options else 2, **options)
        found = compare(file.data([x], [y]), [EVERY])
        assert (found.elements, found.different) == (256, 0), f"case {case}"


@pytest.fixture
def differ(tmp_path):
    """Return how many results of a file differ from the kernels' own."""

    def differ(data, seed):
        path = tmp_path / "net.tflite"
        path.write_bytes(data)
        model = tw.read_tflite(path, host="anywhere")
        program = tw.compile(model, None, tw.Target(engine=ENGINE), host="anywhere")
        kernels, rng = Kernels(data), np.random.default_rng(seed)
        (entry,) = kernels.interpreter.get_output_details()
        scale, point = entry["quantization"]
        different = 0
        for _ in range(4):
            arrays = [rng.integers(-128, 128, i["shape"]).astype(np.int8) for i in kernels.inputs]
            kernels.run(*arrays)
            images = [channels_first(a).astype(np.int8)[None] for a in arrays]
            (result,) = tw.simulate(program, images, backend="isa").dequantized()
            have = np.rint(np.asarray(result[0]) / scale) + point
            different += int((have != kernels.value(entry["index"])).sum())
        return different

    return differ


PRODUCTS = {
    "sequences": ((1, 5, 12), (1, 12, 7), (1, 5, 7), {}),
    "heads": ((1, 2, 5, 12), (1, 2, 12, 7), (1, 2, 5, 7), {}),
    "turned": ((1, 2, 12, 5), (1, 1, 7, 12), (1, 2, 5, 7), {"adjX": True, "adjY": True}),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_products_of_two_tensors_are_the_hosts(case, differ):
    first, second, result, options = PRODUCTS[case]
    file = File()
    a, b = file.tensor(first, 0.05, -4), file.tensor(second, 0.07, -9)
    own = file.tensor(first, 0.06, 3)
    file.op("QUANTIZE", [a], [own], "QuantizeOptions")
    y = file.tensor(result, 0.4, 5)
    file.op("BATCH_MATMUL", [own, b], [y], "BatchMatMulOptions", 2, **options)
    assert differ(file.data([a, b], [y]), 1) == 0


@pytest.mark.parametrize("shape", [(1, 12, 7), (12, 7), (7, 12)])
def test_products_with_a_matrix_are_the_engines(shape):
    rng, file, turned = np.random.default_rng(0), File(), shape == (7, 12)
    x = file.tensor((1, 5, 12), 0.05, -4)
    w = file.tensor(shape, 0.02, 0, rng.integers(-127, 128, shape))
    y = file.tensor((1, 5, 7), 0.4, 5)
    file.op("BATCH_MATMUL", [x, w], [y], "BatchMatMulOptions", 2, adjY=turned)
    data = file.data([x], [y])
    found = compare(data, [rng.integers(-128, 128, (1, 5, 12)).astype(np.int8) for _ in range(9)])
    assert (found.elements, found.different) == (315, 0)
    assert not import_tflite(data).host


@pytest.mark.parametrize("second", [(1, 8, 8, 4), (1, 1, 1, 4), (1, 8, 8, 1)])
def test_squared_differences_are_the_hosts(second, differ):
    file = File()
    a, b = file.tensor((1, 8, 8, 4), 0.05, -4), file.tensor(second, 0.07, -9)
    own, y = file.tensor((1, 8, 8, 4), 0.06, 3), file.tensor((1, 8, 8, 4), 0.6, -100)
    file.op("QUANTIZE", [a], [own], "QuantizeOptions")
    file.op("SQUARED_DIFFERENCE", [own, b], [y], None, 2)
    assert differ(file.data([a, b], [y]), 2) == 0


@pytest.mark.parametrize(
    ("kind", "text"),
    [("SUM", "use MEAN"), ("SQRT", "use RSQRT"), ("RSQRT", "what may be negative")],
)
def test_kernels_that_are_not_their_reals_are_refused(kind, text):
    file = File()
    x, y = file.tensor((1, 4, 4, 2), 0.1, 0), file.tensor((1, 4, 4, 2), 0.1, 3)
    file.op(kind, [x], [y], None, 2)
    with pytest.raises(UnsupportedError, match=text):
        import_tflite(file.data([x], [y]), host="anywhere")


def test_a_product_with_a_constant_that_is_not_taken_says_why():
    file = File()
    x = file.tensor((1, 5, 12), 0.05, -4)
    w = file.tensor((12, 7), 0.02, 3, np.ones((12, 7), np.int8))
    y = file.tensor((1, 5, 7), 0.4, 5)
    file.op("BATCH_MATMUL", [x, w], [y], "BatchMatMulOptions", 2)
    with pytest.raises(UnsupportedError, match="with a zero point"):
        import_tflite(file.data([x], [y]), host="anywhere")
