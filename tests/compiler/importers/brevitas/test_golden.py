"""Captured graphs against PyTorch in float64, whole networks at a time."""

import copy
import functools
from collections.abc import Callable

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
from brevitas.graph.quantize import preprocess_for_quantize, quantize
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    Uint8ActPerTensorFloat,
)
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerChannelFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from brevitas.quant.shifted_scaled_int import (
    ShiftedUint8ActPerTensorFixedPoint,
    ShiftedUint8ActPerTensorFloat,
)
from torch import Tensor, nn

from tests.compiler.importers.brevitas.captured import capture, capture_with_report
from tilewright.compiler import ir
from tilewright.compiler.importers.brevitas import float64_outputs, import_module
from tilewright.compiler.ir.inputs import quantize_input

torch.set_num_threads(1)
SEED = 20240611


class Kit:
    """The quantizers of a network: power-of-two or float scales."""

    def __init__(self, power_of_two: bool) -> None:
        p = power_of_two
        self.act = Int8ActPerTensorFixedPoint if p else Int8ActPerTensorFloat
        self.relu = Uint8ActPerTensorFixedPoint if p else Uint8ActPerTensorFloat
        self.shifted = ShiftedUint8ActPerTensorFixedPoint if p else ShiftedUint8ActPerTensorFloat
        self.tensor = Int8WeightPerTensorFixedPoint if p else Int8WeightPerTensorFloat
        self.channel = Int8WeightPerChannelFixedPoint if p else Int8WeightPerChannelFloat

    def identity(self, **kw) -> nn.Module:
        return qnn.QuantIdentity(act_quant=self.act, return_quant_tensor=True, **kw)

    def asymmetric(self, **kw) -> nn.Module:
        return qnn.QuantIdentity(act_quant=self.shifted, return_quant_tensor=True, **kw)

    def relu8(self, **kw) -> nn.Module:
        return qnn.QuantReLU(act_quant=self.relu, return_quant_tensor=True, **kw)

    def conv(self, c: int, k: int, r: int, *, channel: bool = True, bias: bool = True, **kw):
        return qnn.QuantConv2d(
            c,
            k,
            r,
            bias=bias,
            bias_quant=Int32Bias if bias else None,
            weight_quant=self.channel if channel else self.tensor,
            **kw,
        )

    def conv_transpose(self, c: int, k: int, r, **kw):
        return qnn.QuantConvTranspose2d(
            c, k, r, bias=True, bias_quant=Int32Bias, **({"weight_quant": self.channel} | kw)
        )

    def linear(self, c: int, k: int, **kw) -> nn.Module:
        return qnn.QuantLinear(
            c, k, bias=True, bias_quant=Int32Bias, weight_quant=self.tensor,
            output_quant=self.act, **kw,
        )  # fmt: skip


def plain(q: Kit) -> nn.Module:
    return nn.Sequential(
        q.identity(),
        q.conv(3, 8, 3, padding=1, return_quant_tensor=True),
        q.relu8(),
        nn.MaxPool2d(2),
        q.conv(8, 8, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2), channel=False),
        q.identity(bit_width=6),
        nn.Dropout(0.5),
        nn.Flatten(),
        q.linear(8 * 3 * 8, 5),
    )


def grouped_and_narrow(q: Kit) -> nn.Module:
    return nn.Sequential(
        q.identity(),
        q.conv(3, 8, 3, padding="same", weight_bit_width=4),
        q.relu8(bit_width=4),
        q.conv(8, 8, 3, padding="same", stride=2, groups=8, weight_bit_width=3),
        q.relu8(bit_width=16),
        q.conv(8, 4, 2, groups=4, weight_bit_width=2, padding="valid"),
        q.identity(narrow_range=True),
    )


class Smooth(nn.Module):
    """Bilinear interpolation as module and function, signed and not, by 2 and by 4."""

    def __init__(self, q: Kit) -> None:
        super().__init__()
        self.quant, self.conv, self.relu = q.identity(), q.conv(3, 5, 3, padding=1), q.relu8()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.first, self.second = q.relu8(), q.identity(bit_width=6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.quant(x)
        first = self.first(self.up(self.relu(self.conv(x))))
        return first, self.second(F.interpolate(x, scale_factor=(2, 4), mode="bilinear"))


class StarReLU(nn.Module):
    """``scale * relu(x) ** 2 + bias``, as in MetaFormer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.tensor(0.9)), nn.Parameter(torch.tensor([-0.4]))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * torch.square(F.relu(x)) + self.bias


class Functions(nn.Module):
    """Activation functions as modules, as functions, one behind another."""

    def __init__(self, q: Kit) -> None:
        super().__init__()
        modules = (
            nn.Hardswish(), nn.SiLU(), nn.GELU(), nn.ELU(0.5), nn.LeakyReLU(0.1), StarReLU(),
        )  # fmt: skip
        self.quant = q.identity()
        self.convs = nn.ModuleList(q.conv(3, 6, 3, padding=1) for _ in modules)
        self.before = nn.ModuleList(q.identity(bit_width=8 - i % 3) for i in range(6))
        self.functions = nn.ModuleList(modules)
        self.after = nn.ModuleList(q.asymmetric() for _ in modules)
        self.last = nn.ModuleList((q.identity(), q.identity(), q.identity(bit_width=5)))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.quant(x)
        parts = zip(self.convs, self.before, self.functions, self.after, strict=True)
        results = [after(function(before(conv(x)))) for conv, before, function, after in parts]
        chained = self.last[0](F.relu(torch.tanh(F.hardsigmoid(results[0]))))
        function = self.last[1](torch.sigmoid(results[1]))
        both = self.last[2](F.elu(results[2], alpha=0.3))
        return (*results, chained, function, both)


def transposed(q: Kit) -> nn.Module:
    return nn.Sequential(
        q.identity(),
        q.conv_transpose(3, 8, 4, stride=2, padding=1, return_quant_tensor=True),
        q.relu8(),
        q.conv_transpose(8, 6, (3, 2), stride=(1, 3), padding=(2, 0), output_padding=(0, 2)),
        q.asymmetric(),
        q.conv_transpose(
            6, 4, 3, stride=2, padding=1, output_padding=1, groups=2, weight_quant=q.tensor
        ),
        q.identity(),
    )


def zero_points(q: Kit) -> nn.Module:
    return nn.Sequential(
        q.asymmetric(),
        q.conv(3, 8, 3, padding=1),
        q.asymmetric(),
        q.conv(8, 8, 3, padding=1, stride=2),
        nn.ReLU(),
        q.asymmetric(),
        nn.MaxPool2d(3, 2, 1),
        q.conv(8, 4, 1),
        q.asymmetric(),
    )


class Residual(nn.Module):
    def __init__(self, q: Kit) -> None:
        super().__init__()
        self.quant = q.identity()
        self.conv1 = q.conv(3, 8, 3, padding=1)
        self.relu = q.relu8()
        self.conv2 = q.conv(8, 8, 3, padding=1)
        self.shared = q.identity()
        self.after = q.relu8()
        self.conv3 = q.conv(8, 8, 3, padding=1)
        self.eltwise = qnn.QuantEltwiseAdd(
            input_quant=q.act, output_quant=q.act, return_quant_tensor=True
        )
        self.pool = q.identity()
        self.fc = q.linear(8, 6)

    def forward(self, x: Tensor):
        x = self.relu(self.conv1(self.quant(x)))
        x = self.shared(x)
        y = self.shared(self.conv2(x))
        y += x
        y = self.after(y)
        y = self.eltwise(self.conv3(y), y)
        z = self.pool(F.adaptive_avg_pool2d(y, 1))
        return self.fc(z.view(z.size(0), -1)), y


class DifferentScales(nn.Module):
    """Adds values of different scales; Brevitas wants plain tensors for that."""

    def __init__(self, q: Kit) -> None:
        super().__init__()
        self.a = q.identity()
        self.b = qnn.QuantIdentity(act_quant=q.act, bit_width=5)
        self.c = qnn.QuantIdentity(act_quant=q.shifted)
        self.out = q.relu8()

    def forward(self, x: Tensor):
        return self.out(torch.add(self.b(self.a(x)), self.c(self.a(x))))


def pools(q: Kit) -> nn.Module:
    return nn.Sequential(
        q.identity(),
        nn.AvgPool2d(2, stride=1, padding=1),
        q.identity(),
        nn.MaxPool2d(3, stride=2),
        nn.AdaptiveAvgPool2d((2, 4)),
        q.asymmetric(),
    )


class Clipped(nn.Module):
    """Activation functions before quantizers that could hold more than they let through."""

    def __init__(self, q: Kit) -> None:
        super().__init__()
        self.quant = q.identity()
        self.conv1 = q.conv(3, 8, (2, 4), padding="same", dilation=(1, 2))
        self.shared = q.asymmetric()  # sees both signs, so its zero point is not zero
        self.conv2 = q.conv(8, 8, 1)
        self.relu6 = nn.ReLU6()
        self.signed = q.identity(bit_width=7)

    def forward(self, x: Tensor):
        x = self.conv1(self.quant(x))
        y = self.shared(F.relu(x))
        z = self.shared(x)
        return y, z, self.signed(self.relu6(self.conv2(z))), self.shared(F.relu(z))


class Moved(nn.Module):
    """Everything that moves data without computing, between convolutions that need a scale."""

    def __init__(self, q: Kit) -> None:
        super().__init__()
        self.quant = q.identity()
        self.conv = q.conv(3, 8, 3, padding=1)
        self.shuffle, self.up = nn.ChannelShuffle(2), nn.Upsample(scale_factor=2)
        self.to_pixels, self.to_channels = nn.PixelShuffle(2), nn.PixelUnshuffle(2)
        self.conv2 = q.conv(3, 4, 1)
        self.last = q.identity()

    def forward(self, x: Tensor):
        x = self.quant(x)
        y = self.quant(self.conv(x))
        a, b = self.shuffle(y).chunk(2, dim=1)
        z = torch.cat([self.quant(a), self.quant(b[:, 1:3]), x], 1)
        c, d, e = torch.split(z.value, [4, 2, 3], 1)
        c, d, e = self.quant(c), self.quant(d), self.quant(e)
        wide = F.interpolate(torch.cat([c, d], 1), scale_factor=(1, 2))
        small = self.to_channels(e)
        mixed = torch.cat([self.last(self.conv2(e)), self.last(d)], 1)
        return self.last(self.conv2(e)), self.to_pixels(small), wide, self.up(small), mixed


def calibrated(build: Callable[[Kit], nn.Module], power_of_two: bool, seed: int = SEED):
    torch.manual_seed(seed)
    model = build(Kit(power_of_two))
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(4, 3, 16, 16) + 0.3)
    return model.eval(), torch.randn(4, 3, 16, 16) + 0.3


def differences(model: nn.Module, graph: ir.Graph, images: Tensor) -> list[np.ndarray]:
    golden = float64_outputs(model, images, graph)
    integers = quantize_input(graph, images.numpy())
    found = []
    for n, image in enumerate(integers):
        values = ir.run(graph, [image])
        found += [values[o.input] - g[n] for o, g in zip(graph.outputs, golden, strict=True)]
    assert any(np.ptp(g) > 4 for g in golden), "the golden outputs say too little"
    return found


NETWORKS = [
    plain, grouped_and_narrow, transposed, zero_points, Residual, Clipped, Moved, Functions, Smooth,
]  # fmt: skip


def test_sequences_are_images_of_one_row() -> None:
    """QuantConv1d and pools of one dimension, from (N, C, L)."""
    q = Kit(True)
    torch.manual_seed(SEED)
    conv = functools.partial(qnn.QuantConv1d, weight_quant=q.channel, bias_quant=Int32Bias)
    model = nn.Sequential(
        q.identity(),
        conv(3, 8, 5, padding=2, stride=2, bias=True),
        nn.BatchNorm1d(8, affine=False),
        q.relu8(),
        nn.MaxPool1d(3, stride=1, padding=1),
        conv(8, 8, 3, padding="same", dilation=2, groups=8, bias=False),
        q.identity(),
        nn.AvgPool1d(2),
        q.identity(),
        nn.AdaptiveAvgPool1d(4),
        q.identity(),
        nn.Flatten(),
        q.linear(32, 5),
    )
    with torch.no_grad(), calibration_mode(model):
        model(torch.randn(8, 3, 32))
    model.eval()
    x = torch.randn(4, 3, 32)
    graph = capture(model, x)
    assert graph.values[graph.inputs[0].output].shape == (3, 1, 32)
    (expected,) = float64_outputs(model, x, graph)
    integers = quantize_input(graph, x.numpy())
    golden = np.stack([ir.run(graph, [image])[graph.outputs[0].input] for image in integers])
    assert (golden != expected).sum() == 0, f"seed {SEED}"


@pytest.mark.parametrize("build", [*NETWORKS, DifferentScales])
@pytest.mark.parametrize("width", [18, 31])
def test_power_of_two_scales_are_exact(build, width) -> None:
    model, images = calibrated(build, power_of_two=True)
    graph = capture(model, images, multiplier_width=width)
    for d in differences(model, graph, images):
        assert not d.any(), f"seed {SEED}: {np.count_nonzero(d)} of {d.size} differ"


@pytest.mark.parametrize("build", NETWORKS)
def test_the_quantized_graph_is_the_model(build) -> None:
    """What the importer makes means, in real numbers, what PyTorch computes."""
    model, images = calibrated(build, power_of_two=True)
    graph = import_module(model, images)
    values = graph.values([images.double()], quantized=True)
    with torch.no_grad():
        result = copy.deepcopy(model).double()(images.double())
    several = isinstance(result, tuple) and not hasattr(result, "bit_width")
    outputs = list(result) if several else [result]
    for view, output in zip(graph.outputs, outputs, strict=True):
        assert torch.equal(view.of(values), getattr(output, "value", output)), f"seed {SEED}"


@pytest.mark.parametrize("build", NETWORKS)
def test_float_scales_are_exact_at_31_bits(build) -> None:
    model, images = calibrated(build, power_of_two=False)
    graph = capture(model, images, multiplier_width=31)
    for d in differences(model, graph, images):
        assert not d.any(), f"seed {SEED}: {np.count_nonzero(d)} of {d.size} differ"


@pytest.mark.parametrize("build", [pools, DifferentScales])
@pytest.mark.parametrize("power_of_two", [False, True])
def test_pools_and_mixed_scales_differ_by_at_most_one(build, power_of_two) -> None:
    model, images = calibrated(build, power_of_two)
    graph = capture(model, images, multiplier_width=31)
    for d in differences(model, graph, images):
        assert np.abs(d).max() <= 1, f"seed {SEED}"
        assert np.count_nonzero(d) <= 0.01 * d.size, f"seed {SEED}: {np.count_nonzero(d)}/{d.size}"


def test_18_bits_differ_rarely_and_by_one() -> None:
    wrong = total = 0
    for seed in range(3):
        model, images = calibrated(
            lambda q: nn.Sequential(q.identity(), q.conv(3, 16, 3), q.relu8()), False, seed
        )
        for d in differences(model, capture(model, images), images):
            assert np.abs(d).max() <= 1, f"seed {seed}"
            wrong, total = wrong + np.count_nonzero(d), total + d.size
    assert wrong <= 2e-4 * total, f"seeds 0..2: {wrong} of {total}"


@pytest.mark.parametrize("power_of_two", [False, True])
def test_batch_norm_differs_by_at_most_one(power_of_two) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        bn = nn.BatchNorm2d(8)
        with torch.no_grad():
            bn.weight.copy_(torch.randn(8))  # negative factors too
            bn.weight[3] = 0.0
            bn.bias.copy_(torch.randn(8))
        model, images = calibrated(
            lambda q, bn=bn: nn.Sequential(
                q.identity(), q.conv(3, 8, 3), bn, q.identity(), nn.MaxPool2d(2)
            ),
            power_of_two,
            seed,
        )
        result = capture_with_report(model, images, multiplier_width=31)
        assert [r.where for r in result.rounded_biases] == ["1"]
        assert 0 < result.rounded_biases[0].error <= 0.5
        for d in differences(model, result.graph, images):
            assert np.abs(d).max() <= 1, f"seed {seed}"
            assert np.count_nonzero(d) <= 0.01 * d.size, f"seed {seed}"
            assert not d[3].any(), f"seed {seed}: the constant channel"


def test_batch_norm_on_the_grid_is_exact() -> None:
    bn = nn.BatchNorm2d(8)
    model, images = calibrated(
        lambda q: nn.Sequential(q.identity(), q.conv(3, 8, 3), bn, q.identity()), True
    )
    with torch.no_grad():
        bn.eps = 0.0
        bn.running_mean.zero_()
        bn.running_var.fill_(1.0)
        bn.weight.copy_(torch.tensor([1.0, -1.0, 2.0, -0.5, 0.0, 4.0, -0.125, 1.0]))
        bn.bias.copy_(torch.tensor([0.0, 0.5, -0.25, 0.0, 0.75, 1.0, 0.0, -1.0]))
    result = capture_with_report(model, images)
    assert result.rounded_biases == ()
    for d in differences(model, result.graph, images):
        assert not d.any(), f"seed {SEED}"


def test_capture_leaves_the_model_alone() -> None:
    model, images = calibrated(plain, False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    capture(model, images)
    after = model.state_dict()
    assert all(
        torch.equal(before[k], after[k]) and before[k].dtype == after[k].dtype for k in after
    )


def test_captured_graph_prints_and_parses_back() -> None:
    model, images = calibrated(Residual, False)
    graph = capture(model, images)
    assert ir.parse_graph(ir.print_graph(graph)) == graph


def test_clipping_keeps_the_zero_point() -> None:
    model, images = calibrated(Clipped, True)
    graph = capture(model, images)
    zero_point = graph.values["conv1"].zero_point
    assert zero_point > 0
    first = graph.producers()["conv1"]
    assert isinstance(first, ir.Conv2d)
    assert first.requantize.qmin == zero_point


def constant(bits: int) -> nn.Module:
    return qnn.QuantIdentity(
        act_quant=Int8ActPerTensorFixedPoint,
        bit_width=bits,
        scaling_impl_type="const",
        scaling_init=2.0 ** (bits - 5),
        return_quant_tensor=True,
    )


def test_relu6_narrows_the_quantizer_behind_it() -> None:
    model = nn.Sequential(constant(8), nn.ReLU6(), constant(8)).eval()
    images = torch.linspace(-9, 9, 256).reshape(1, 1, 16, 16)
    graph = capture(model, images)
    (op,) = graph.layers
    assert isinstance(op, ir.Rescale)
    assert (op.requantize.qmin, op.requantize.qmax) == (0, 96)
    for d in differences(model, graph, images):
        assert not d.any()


def test_narrower_quantizer_of_the_same_scale_still_clamps() -> None:
    model = nn.Sequential(constant(8), constant(6), constant(8)).eval()
    images = torch.linspace(-9, 9, 256).reshape(1, 1, 16, 16)
    graph = capture(model, images)
    assert {t.scale for t in graph.values.values()} == {1 / 16}
    assert [op.name for op in graph.layers] == ["1"], "the third quantizer changes nothing"
    for d in differences(model, graph, images):
        assert not d.any()


def test_post_training_quantization_is_exact_at_31_bits() -> None:
    class Float(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
            self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
            self.relu, self.pool = nn.ReLU(), nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.bn1(self.conv1(x)))
            x = self.relu(x + self.bn2(self.conv2(x)))
            return self.fc(torch.flatten(self.pool(x), 1))

    torch.manual_seed(SEED)
    images = torch.randn(4, 3, 16, 16)
    model = quantize(preprocess_for_quantize(Float().eval(), trace_model=True, equalize_iters=0))
    with torch.no_grad():
        with calibration_mode(model):
            model(images)
        with bias_correction_mode(model):
            model(images)
    graph = capture(model.eval(), images, multiplier_width=31)
    kinds = ["Conv2d", "Conv2d", "Rescale", "WeightedSum", "AvgPool2d", "Linear"]
    assert [op.kind for op in graph.layers] == kinds
    for d in differences(model, graph, images):
        assert not d.any(), f"seed {SEED}"
