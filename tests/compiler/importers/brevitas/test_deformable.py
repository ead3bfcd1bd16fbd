"""Captured deformable convolutions against PyTorch in float64, and what is refused."""

import re

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import Int8ActPerTensorFloat, Int32Bias, Uint8ActPerTensorFloat
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerChannelFixedPoint,
    Uint8ActPerTensorFixedPoint,
)
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFixedPoint
from torch import nn

from tests.compiler.importers.brevitas.captured import capture
from tilewright import Error, UnsupportedError
from tilewright.compiler import ir
from tilewright.compiler.importers.brevitas import float64_outputs
from tilewright.compiler.ir.inputs import quantize_input
from tilewright.nn import (
    DeformConv2d,
    DeformConv2dPack,
    QuantDeformConv2d,
    QuantDeformConv2dPack,
    QuantMask,
    QuantOffset,
)

torch.set_num_threads(1)
EXACT = {"weight_quant": Int8WeightPerChannelFixedPoint, "bias_quant": Int32Bias}


def network(pack, act=Int8ActPerTensorFixedPoint, out=Int8ActPerTensorFixedPoint):
    return nn.Sequential(
        qnn.QuantIdentity(act_quant=act, return_quant_tensor=True),
        pack,
        qnn.QuantIdentity(act_quant=out, return_quant_tensor=True),
    )


def shaken(model, images, spread=1.5):
    """Give the heads weights, as training does, and calibrate."""
    torch.manual_seed(5)
    for module in model.modules():
        if isinstance(module, QuantDeformConv2dPack):
            fan = module.offset_conv.weight[0].numel()
            nn.init.normal_(module.offset_conv.weight, std=spread / fan**0.5)
            if module.mask_conv is not None:
                nn.init.normal_(module.mask_conv.weight, std=1 / fan**0.5)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(images)
    return model.eval()


def check(model, images, width=18):
    """PyTorch in float64 == golden; returns the graph and all its values."""
    graph = capture(model, images, multiplier_width=width)
    golden = float64_outputs(model, images, graph)
    values = []
    for n, image in enumerate(quantize_input(graph, images.numpy())):
        values.append(ir.run(graph, [image]))
        for output, wanted in zip(graph.outputs, golden, strict=True):
            assert np.array_equal(values[-1][output.input], wanted[n])
    assert np.ptp(golden[0]) > 8, "the golden outputs say too little"
    assert ir.parse_graph(ir.print_graph(graph)) == graph
    return graph, values


GEOMETRIES = {
    "plain": dict(in_channels=4, out_channels=6, kernel_size=3, padding=1),
    "strided": dict(
        in_channels=4, out_channels=4, kernel_size=(3, 1), stride=(2, 1), padding=(2, 0),
        dilation=(2, 1), groups=2,
    ),
    "depthwise": dict(in_channels=4, out_channels=4, kernel_size=3, padding=1, groups=4),
    "groups of offsets": dict(
        in_channels=4, out_channels=4, kernel_size=(1, 3), dilation=2, offset_groups=2
    ),
}  # fmt: skip


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("modulation", [None, "clip", "sigmoid"])
@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize(("fraction_bits", "bound"), [(0, None), (0, 3), (3, 2.5), (6, None)])
def test_packs_are_exact(geometry, modulation, square, fraction_bits, bound) -> None:
    torch.manual_seed(0)
    pack = QuantDeformConv2dPack(
        **GEOMETRIES[geometry], modulation=modulation, square=square, bound=bound,
        fraction_bits=fraction_bits, mask_bits=5, **EXACT,
    )  # fmt: skip
    images = torch.randn(3, 4, 9, 8)
    graph, values = check(shaken(network(pack), images), images)
    deform = next(op for op in graph.ops if isinstance(op, ir.DeformConv2d))
    kinds = [op.kind for op in graph.layers]
    assert kinds.count("Conv2d") == 1 + square + (modulation is not None)
    assert kinds.count("Lookup") == (modulation == "sigmoid")
    offsets = np.concatenate([v[deform.offset].ravel() for v in values])
    assert np.abs(offsets).max() > 0
    assert graph.values[deform.offset].scale == 2.0**-fraction_bits
    if bound is not None:
        source = graph.producers()[deform.offset].requantize
        largest = max(np.array(deform.kernel) // 2) if square else 1
        limit = round(bound * 2**fraction_bits) * largest
        assert (source.qmin, source.qmax) == (-limit, limit)


@pytest.mark.parametrize("act", [Int8ActPerTensorFloat, Uint8ActPerTensorFloat])
def test_other_scales_are_exact_at_31_bits(act) -> None:
    """The rounding of a sample does not depend on the scale: ties stay ties."""
    torch.manual_seed(1)
    pack = QuantDeformConv2dPack(
        4, 8, 3, padding=1, modulation="clip", fraction_bits=2, weight_bit_width=4,
        bias_quant=Int32Bias,
    )  # fmt: skip
    images = torch.randn(4, 4, 12, 12) + 1
    check(shaken(network(pack, act, Int8ActPerTensorFloat), images), images, width=31)


def test_zero_points_and_batch_norm() -> None:
    torch.manual_seed(2)
    pack = QuantDeformConv2dPack(4, 4, 3, padding=1, groups=4, **EXACT)
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=ShiftedUint8ActPerTensorFixedPoint, return_quant_tensor=True),
        pack,
        nn.BatchNorm2d(4),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True),
    )
    images = torch.randn(4, 4, 12, 12) + 0.3
    shaken(model, images)
    # On the accumulator's grid, so that the fused form is exact.
    norm = model[2]
    norm.eps = 0.0
    norm.running_mean.zero_()
    norm.running_var.fill_(1)
    nn.init.constant_(norm.weight, 2.0)
    graph, _ = check(model, images)
    assert graph.values[graph.inputs[0].output].zero_point


def test_offsets_may_come_from_anywhere() -> None:
    """One map of offsets moves two layers; it is an input of the model."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant = qnn.QuantIdentity(
                act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True
            )
            self.offset, self.mask = QuantOffset(fraction_bits=3), QuantMask(4)
            options = {"padding": 1, "output_quant": Int8ActPerTensorFixedPoint} | EXACT
            self.a = QuantDeformConv2d(2, 2, 3, **options)
            self.b = QuantDeformConv2d(2, 2, 3, groups=2, **options)

        def forward(self, x, offset, mask):
            x, offset, mask = self.quant(x), self.offset(offset), self.mask(mask)
            return self.a(x, offset), self.b(x, offset, mask)

    torch.manual_seed(3)
    model = Model()
    inputs = (torch.randn(2, 2, 7, 7), 3 * torch.randn(2, 18, 7, 7), torch.rand(2, 9, 7, 7))
    model.train()(*inputs)
    model.eval()
    graph = capture(model, inputs)
    golden = float64_outputs(model, inputs, graph)
    for n in range(2):
        integers = [
            quantize_input(graph.values[op.output], x[n].numpy())
            for op, x in zip(graph.inputs, inputs, strict=True)
        ]
        values = ir.run(graph, integers)
        for output, wanted in zip(graph.outputs, golden, strict=True):
            assert np.array_equal(values[output.input], wanted[n])


def test_pack_loads_the_parameters_of_its_float_twin() -> None:
    options = {"padding": 1, "modulation": "sigmoid", "square": True}
    twin = DeformConv2dPack(4, 4, 3, **options)
    pack = QuantDeformConv2dPack(4, 4, 3, **options)
    names = {name for name, _ in twin.named_parameters()}
    assert names <= set(pack.state_dict())
    missing = pack.load_state_dict(twin.state_dict(), strict=False)
    assert not missing.unexpected_keys


def test_quantized_layer_learns() -> None:
    """Gradients reach offsets, masks, weights and the input, through every rounding."""
    torch.manual_seed(4)
    pack = QuantDeformConv2dPack(4, 4, 3, padding=1, modulation="clip", fraction_bits=0, **EXACT)
    x = torch.randn(2, 4, 6, 6, requires_grad=True)
    network(pack).train()(x).value.square().sum().backward()
    assert x.grad.any()
    for name in ("conv", "offset_conv", "mask_conv"):
        assert getattr(pack, name).weight.grad.any(), name


@pytest.mark.parametrize("output", [None, Int8ActPerTensorFixedPoint])
def test_a_quant_tensor_is_returned_as_by_a_convolution(output) -> None:
    """It was an AssertionError inside Brevitas."""
    torch.manual_seed(9)
    keywords = EXACT | {"return_quant_tensor": True, "output_quant": output}
    plain = qnn.QuantConv2d(4, 6, 3, padding=1, **keywords)
    deform = QuantDeformConv2d(4, 6, 3, padding=1, **keywords)
    with torch.no_grad():
        deform.weight.copy_(plain.weight)
        deform.bias.copy_(plain.bias)
    quant = qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True)
    zero = QuantOffset()(torch.zeros(2, 18, 5, 5))
    image = quant(torch.randn(2, 4, 5, 5))
    plain(image), deform(image, zero)  # calibrates what quantizes the output
    wanted, result = plain.eval()(image), deform.eval()(image, zero)
    assert type(result) is type(wanted)
    torch.testing.assert_close(result.value, wanted.value)
    for name in ("scale", "zero_point", "bit_width"):
        torch.testing.assert_close(getattr(result, name), getattr(wanted, name))
    assert result.signed == wanted.signed


def test_a_layer_that_returns_a_quant_tensor_is_captured() -> None:
    torch.manual_seed(0)
    pack = QuantDeformConv2dPack(**GEOMETRIES["plain"], return_quant_tensor=True, **EXACT)
    images = torch.randn(3, 4, 9, 8)
    check(shaken(network(pack), images), images)


def test_a_quant_tensor_without_a_scale_is_refused() -> None:
    deform = QuantDeformConv2d(2, 2, 1, weight_quant=None, bias=False, return_quant_tensor=True)
    quant = qnn.QuantIdentity(return_quant_tensor=True)
    zero = QuantOffset()(torch.zeros(1, 2, 3, 3))
    with pytest.raises(Error, match="return_quant_tensor=True needs an output_quant"):
        deform(quant(torch.randn(1, 2, 3, 3)), zero)


def layer(offset=None, mask=None, offsets=18, **options):
    """Offsets and a mask of a QuantConv2d each, through the given quantizers."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(6)
            self.quant = qnn.QuantIdentity(return_quant_tensor=True)
            self.offsets = qnn.QuantConv2d(2, offsets, 3, padding=1, bias_quant=Int32Bias)
            self.offset = QuantOffset() if offset is None else offset
            self.masks, self.mask = qnn.QuantConv2d(2, 9, 3, padding=1, bias=False), mask
            self.conv = QuantDeformConv2d(2, 4, 3, padding=1, bias=False, **options)
            self.out = qnn.QuantIdentity()

        def forward(self, x):
            x = self.quant(x)
            offset = self.offset(self.offsets(x))
            mask = () if self.mask is None else (self.mask(self.masks(x)),)
            return self.out(self.conv(x, offset, *mask))

    model = Model().train()
    if offsets == 18 and not isinstance(offset, nn.Identity):
        model(torch.randn(2, 2, 6, 6))
    return model.eval()


def squared(offset):
    """Square offsets of a kernel of 5, from a quantizer that a model has for itself."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant = qnn.QuantIdentity(return_quant_tensor=True)
            self.distance = qnn.QuantConv2d(2, 1, 3, padding=1, bias=False)
            self.offset = offset
            self.conv = QuantDeformConv2d(2, 2, 5, padding=2, bias=False, square=True)
            self.out = qnn.QuantIdentity()

        def forward(self, x):
            x = self.quant(x)
            return self.out(self.conv(x, self.offset(self.distance(x))))

    model = Model().train()
    model(torch.randn(2, 2, 6, 6))
    return model.eval()


def biased(value):
    model = layer()
    nn.init.constant_(model.offsets.bias, value)
    return model


def scaled(value):
    model = layer()
    scaling = model.offset.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl
    scaling.forward = lambda *_: torch.tensor(value)
    return model


def identity(**keywords):
    return qnn.QuantIdentity(return_quant_tensor=True, **keywords)


class FloatLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = qnn.QuantIdentity()
        self.conv = DeformConv2d(2, 2, 1, square=True)

    def forward(self, x):
        x = self.quant(x)
        return self.conv(x, x[:, :1])


REFUSED = {
    "wrong number of offsets": (
        lambda: layer(offsets=16),
        ("conv: ", "offset must have the shape (1, 18, 6, 6), not (1, 16, 6, 6)"),
    ),
    "offsets that are not quantized": (
        lambda: layer(offset=nn.Identity()),
        ("conv: ", "the offset must be a QuantTensor"),
    ),
    "a scale that is no power of two": (
        lambda: layer(offset=identity(act_quant=Int8ActPerTensorFloat)),
        ("conv: ", "no power of two", "tilewright.nn.QuantOffset"),
    ),
    "wide offsets": (
        lambda: layer(offset=QuantOffset(bit_width=9)),
        ("conv: ", "offsets of 9 signed bits", "at most 8 bits"),
    ),
    "unsigned offsets": (
        lambda: layer(offset=QuantMask()),
        ("conv: ", "offsets of 8 unsigned bits", "QuantOffset"),
    ),
    "a signed mask": (
        lambda: layer(mask=QuantOffset()),
        ("conv: ", "a mask of 8 signed bits", "QuantMask"),
    ),
    "a saturated quantizer": (
        lambda: biased(1000.0),
        ("conv: ", "channel 0 of its offsets, from offsets, is always 7.9375 pixels", "bound"),
    ),
    "a bound of which the kernel takes more than there is": (
        lambda: squared(QuantOffset(bound=5)),
        ("conv: ", "a bound of 5 pixels, of which its kernel takes 2", "at most 3.9375 pixels"),
    ),
    "a bound of nothing": (
        lambda: layer(offset=QuantOffset(fraction_bits=2, bound=0.1)),
        ("conv: ", "only offsets of 0.0 pixels", "at least 0.25 pixels"),
    ),
    "offsets that are not numbers": (
        lambda: biased(float("nan")),
        ("offsets: ", "the bias nan", "NaN or infinity"),
    ),
    "a scale that is not a number": (
        lambda: scaled(float("nan")),
        ("offset: ", "the scale nan", "finite and positive"),
    ),
    "a float layer": (
        lambda: FloatLayer().eval(),
        ("conv: ", "DeformConv2d", "tilewright.nn.QuantDeformConv2d"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case) -> None:
    build, fragments = REFUSED[case]
    with pytest.raises(UnsupportedError) as error:
        capture(build(), torch.randn(1, 2, 6, 6))
    for fragment in fragments:
        assert fragment in str(error.value)


@pytest.mark.parametrize("size", [(0, 6), (6, 0), (1, 6)])
def test_refuses_images_of_zero_area(size) -> None:
    """Given as such, or because no position is left."""
    pack = QuantDeformConv2dPack(2, 2, (3, 1), modulation="clip", **EXACT)
    with pytest.raises(UnsupportedError, match=r"example input 0 is|does not run on the example"):
        capture(network(pack).eval(), torch.zeros(1, 2, *size))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: QuantOffset(fraction_bits=9), "fraction_bits must be in 0..8, not 9"),
        (lambda: QuantOffset(bound=-1), "bound must be positive or None, not -1"),
        (
            lambda: QuantOffset(4, bound=20),
            (
                "bound must be at most 7.9375 pixels with fraction_bits="
                "4 in 8 bits, not 20; give it fraction_bits=2"
            ),
        ),
        (lambda: QuantOffset(0, bound=128), "bound must be at most 127 pixels"),
        (lambda: QuantOffset(4, bound=1, bit_width=5), "at most 0.9375 pixels"),
        (
            lambda: QuantDeformConv2dPack(2, 2, 5, square=True, bound=5),
            "at most 3.96875 pixels with fraction_bits=4 in 8 bits and taps 2 distances from the",
        ),
        (lambda: QuantMask(1), "fraction_bits must be in 2..8, not 1"),
        (lambda: QuantDeformConv2d(4, 4, 3, offset_groups=3), "offset_groups must divide"),
        (lambda: QuantDeformConv2d(4, 4, 3, padding="same"), "padding must be zeros"),
        (lambda: QuantDeformConv2d(4, 4, 2, square=True), "a kernel with a centre"),
    ],
)
def test_options_out_of_range(build, message) -> None:
    with pytest.raises(Exception, match=re.escape(message)):
        build()
