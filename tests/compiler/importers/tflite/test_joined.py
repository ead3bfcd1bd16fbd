"""Operators between two convolutions, on the engine or on the host: the reference kernels' own."""

import numpy as np
import pytest

import tilewright as tw
from examples.mlperf_tiny.reference import Kernels, channels_first
from tests.compiler.importers.tflite.files import File
from tilewright.errors import UnsupportedError

ENGINE = tw.EngineConfig(rows=4, cols=4, multiplier_width=31, rounding="double", tables=1)
SAME, VALID = 0, 1
SHAPE, GRID = (1, 6, 8, 4), (0.1, 3)
INT32 = np.int32


class Network(File):
    """A file whose constants come from a seed."""

    def __init__(self, seed=0):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def conv(self, x, shape, own, grid, name, size=1, kernels=4):
        """Add a convolution of x, of ``shape`` on the grid ``own``."""
        scales = np.exp(self.rng.uniform(-6, -4, kernels)).astype(np.float32)
        kernel = (kernels, size, size, shape[3])
        w = self.tensor(kernel, scales, 0, self.rng.integers(-127, 128, kernel))
        bias = self.rng.integers(-500, 500, kernels)
        b = self.tensor((kernels,), scales * np.float32(own[0]), 0, bias, INT32)
        y = self.tensor((*shape[:3], kernels), *grid, name=name)
        self.op(
            "CONV_2D", [x, w, b], [y], "Conv2DOptions", padding=SAME, strideH=1, strideW=1,
            dilationHFactor=1, dilationWFactor=1,
        )  # fmt: skip
        return y


def alone(
    kind, options=None, *, shape=SHAPE, out=SHAPE, own=GRID, grid=GRID, constants=(), last=True,
    results=1, version=2, **fields,
):  # fmt: skip
    """Return a file: convolution, an operator with constants before or behind, convolutions."""
    net = Network()
    x = net.tensor(shape, 0.05, -4)
    a = net.conv(x, shape, (0.05, -4), own, "a", 3)
    more = [
        net.tensor(np.shape(v), *g, data=v, dtype=np.int8 if g else INT32)
        for v, *g in ((np.array(c[0]), *c[1:]) for c in constants)
    ]
    ys = [net.tensor(out, *grid, name=f"y{i}") for i in range(results)]
    net.op(kind, [a, *more] if last else [*more, a], ys, options, version, **fields)
    ends = [net.conv(y, out, grid, (0.4, 2), f"z{i}") for i, y in enumerate(ys)]
    return net.data([x], ends)


def paired(kind, options, *, other=SHAPE, b=(0.07, -9), y=(0.13, 5), constant=None, turned=False):
    """Return a file: two convolutions, or one and a constant, an operator of both, another."""
    net = Network(1)
    x = net.tensor(SHAPE, 0.05, -4)
    left = net.conv(x, SHAPE, (0.05, -4), GRID, "a", 3)
    if constant is None:
        second = [net.tensor(other, 0.06, 7)]
        right = net.conv(second[0], other, (0.06, 7), b, "b", kernels=other[3])
    else:
        second = []
        right = net.tensor(constant, *b, data=net.rng.integers(-128, 128, constant))
    out = net.tensor(SHAPE, *y, name="y")
    net.op(kind, [right, left] if turned else [left, right], [out], options, 2)
    z = net.conv(out, SHAPE, y, (0.4, 2), "z")
    return net.data([x, *second], [z])


def sized(kind, size, **fields):
    return alone(
        f"RESIZE_{kind}", f"Resize{kind.title().replace('_', '')}Options", out=(1, *size, 4),
        constants=[(size,)], **fields,
    )  # fmt: skip


def transposed(padding, size, out, bias=True):
    net = Network(2)
    x = net.tensor(SHAPE, *GRID)
    scales = np.exp(net.rng.uniform(-6, -4, 5)).astype(np.float32)
    kernel = (5, size, size, 4)
    w = net.tensor(kernel, scales, 0, net.rng.integers(-127, 128, kernel))
    shape = net.tensor((4,), data=out, dtype=INT32)
    operands, y = [shape, w, x], net.tensor(out, 0.3, 1, name="y")
    if bias:
        values = net.rng.integers(-500, 500, 5)
        operands.append(net.tensor((5,), scales * np.float32(GRID[0]), 0, values, INT32))
    net.op(
        "TRANSPOSE_CONV", operands, [y], "TransposeConvOptions", 3 if bias else 1,
        padding=padding, strideH=2, strideW=2,
    )  # fmt: skip
    return net.data([x], [y])


POOL = {"strideH": 2, "strideW": 1, "filterHeight": 3, "filterWidth": 3}
PADS = [[0, 0], [1, 1], [1, 2], [0, 0]]
ENGINES = {
    **{
        f"{kind} {name}": lambda k=kind, more=more: paired(k, f"{k.title()}Options", **more)
        for kind in ("ADD", "SUB", "MUL")
        for name, more in {
            "of two": {},
            "of channels": {"constant": (4,)},
            "from a constant": {"constant": (1, 6, 8, 4), "turned": True},
            "of one factor a channel": {"other": (1, 1, 1, 4), "b": (1 / 256, -128)},
            "of one channel": {"other": (1, 6, 8, 1)},
        }.items()
    },
    "MAXIMUM": lambda: paired("MAXIMUM", "MaximumMinimumOptions", b=GRID, y=GRID),
    "LEAKY_RELU": lambda: alone("LEAKY_RELU", "LeakyReluOptions", grid=(0.08, -50), alpha=0.2),
    "PRELU": lambda: alone(
        "PRELU", grid=(0.08, -50), constants=[(np.full((1, 1, 4), 37), 0.01, 0)], version=1
    ),
    "TRANSPOSE_CONV SAME": lambda: transposed(SAME, 3, (1, 12, 16, 5)),
    "TRANSPOSE_CONV VALID": lambda: transposed(VALID, 3, (1, 13, 17, 5), bias=False),
    "MIRROR_PAD": lambda: alone(
        "MIRROR_PAD", "MirrorPadOptions", out=(1, 8, 11, 4), constants=[(PADS,)], mode=0
    ),
    "PADV2": lambda: alone(
        "PADV2", "PadV2Options", out=(1, 8, 11, 4), constants=[(PADS,), (3, *GRID)]
    ),
    "STRIDED_SLICE": lambda: alone(
        "STRIDED_SLICE", "StridedSliceOptions", out=(1, 3, 8, 2), beginMask=1, endMask=11,
        constants=[([0, 1, 0, 1],), ([0, 0, 8, 0],), ([1, 2, 1, 2],)],
    ),
    "SLICE": lambda: alone(
        "SLICE", "SliceOptions", out=(1, 4, 8, 2), constants=[([0, 1, 0, 2],), ([1, 4, -1, -1],)]
    ),
    "SPLIT": lambda: alone(
        "SPLIT", "SplitOptions", out=(1, 6, 8, 2), constants=[(3,)], last=False, results=2,
        numSplits=2,
    ),
    "SPLIT_V": lambda: alone(
        "SPLIT_V", "SplitVOptions", out=(1, 3, 8, 4), constants=[([3, -1],), (1,)], results=2,
        numSplits=2,
    ),
    "GATHER": lambda: alone(
        "GATHER", "GatherOptions", out=(1, 6, 8, 3), constants=[([3, 0, 1],)], axis=3
    ),
    "TILE": lambda: alone("TILE", "TileOptions", out=(1, 6, 8, 8), constants=[([1, 1, 1, 2],)]),
    "RESIZE_BILINEAR of a pixel": lambda: alone(
        "RESIZE_BILINEAR", "ResizeBilinearOptions", shape=(1, 1, 1, 4), out=(1, 5, 6, 4),
        constants=[([5, 6],)],
    ),
}  # fmt: skip
HOSTS = {
    **{
        f"RESIZE_BILINEAR {size} {name}": lambda s=size, more=more: sized("BILINEAR", s, **more)
        for size in ((12, 16), (13, 9), (3, 4))
        for name, more in {
            "from the corner": {},
            "by centers": {"halfPixelCenters": True},
            "by corners": {"alignCorners": True},
        }.items()
    },
    "RESIZE_NEAREST_NEIGHBOR": lambda: sized("NEAREST_NEIGHBOR", (13, 9)),
    "RESIZE_NEAREST_NEIGHBOR by corners": lambda: sized(
        "NEAREST_NEIGHBOR", (13, 9), alignCorners=True
    ),
    "RESIZE_NEAREST_NEIGHBOR by centers": lambda: sized(
        "NEAREST_NEIGHBOR", (3, 5), halfPixelCenters=True
    ),
    "AVERAGE_POOL_2D": lambda: alone(
        "AVERAGE_POOL_2D", "Pool2DOptions", out=(1, 3, 8, 4), padding=SAME, **POOL
    ),
    "AVERAGE_POOL_2D, ReLU": lambda: alone(
        "AVERAGE_POOL_2D", "Pool2DOptions", out=(1, 3, 8, 4), padding=SAME,
        fusedActivationFunction=1, **POOL,
    ),
    "MEAN of channels": lambda: alone(
        "MEAN", "ReducerOptions", out=(1, 6, 8, 1), grid=(0.05, 9), constants=[([3],)],
        keepDims=True,
    ),
    "REDUCE_MAX": lambda: alone(
        "REDUCE_MAX", "ReducerOptions", out=(1, 1, 8, 4), constants=[([1],)], keepDims=True
    ),
    "TRANSPOSE": lambda: alone(
        "TRANSPOSE", "TransposeOptions", out=(1, 8, 4, 6), constants=[([0, 2, 3, 1],)]
    ),
}  # fmt: skip


def differences(folder, data, host):
    """Elements of the results that differ from the reference kernels', and the program."""
    path = folder / "net.tflite"
    path.write_bytes(data)
    kernels, rng = Kernels(data), np.random.default_rng(5)
    model = tw.read_tflite(path, host=host)
    program = tw.compile(model, None, tw.Target(engine=ENGINE), host=host)
    shapes = [tuple(entry["shape"]) for entry in kernels.inputs]
    different = 0
    for _ in range(2):
        arrays = [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
        kernels.run(*arrays)
        images = tuple(channels_first(a).astype(np.int8)[None] for a in arrays)
        result = tw.simulate(program, images, backend="golden")
        for entry, reals in zip(
            kernels.interpreter.get_output_details(), result.dequantized(), strict=True
        ):
            scale, zero = entry["quantization"]
            have = np.rint(np.asarray(reals[0]) / scale) + zero
            different += int((have.reshape(-1) != kernels.value(entry["index"]).reshape(-1)).sum())
    return different, program


@pytest.mark.parametrize("case", ENGINES)
def test_on_the_engine(case, tmp_path):
    different, program = differences(tmp_path, ENGINES[case](), "never")
    assert isinstance(program, tw.Program)
    assert different == 0


@pytest.mark.parametrize("case", HOSTS)
def test_on_the_host(case, tmp_path):
    different, program = differences(tmp_path, HOSTS[case](), "anywhere")
    assert isinstance(program, tw.HostedProgram)
    assert different == 0


@pytest.mark.parametrize("host", ["edges", "never"])
def test_the_middle_is_refused_by_name(host, tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(HOSTS["AVERAGE_POOL_2D"]())
    way = 'host="anywhere"' if host == "edges" else "padding='valid'"
    with pytest.raises(UnsupportedError, match="y0: an average pool with padding") as caught:
        tw.read_tflite(path, host=host)
    assert way in str(caught.value)


def test_isa_is_golden_across_the_host(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(HOSTS["RESIZE_BILINEAR (3, 4) by centers"]())
    model = tw.read_tflite(path, host="anywhere")
    program = tw.compile(model, None, tw.Target(engine=ENGINE), host="anywhere")
    x = np.random.default_rng(6).integers(-128, 128, (1, 4, 6, 8)).astype(np.int8)
    golden, isa = (tw.simulate(program, x, backend=name) for name in ("golden", "isa"))
    np.testing.assert_array_equal(golden.outputs[0], isa.outputs[0])
