"""Tensors of more than 8 bits: named, chosen by their dB, or by hand in Brevitas."""

from dataclasses import replace

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from torch import nn

import tilewright as tw
from tests.cosim.test_wide_maps import WIDE
from tilewright.errors import UnsupportedError
from tilewright.target import Target

TARGET = Target(engine=replace(WIDE["8x7-tables"], act_depth=1024))


class Products(nn.Module):
    """A depthwise and a pointwise layer around a shortcut, a product of two maps, and a table."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 12, 3, padding=1)
        self.deep = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.point, self.a, self.b = (nn.Conv2d(12, 12, 1) for _ in range(3))
        self.last = nn.Conv2d(12, 4, 1)

    def forward(self, x):
        x = torch.relu(self.first(x))
        y = x + self.point(torch.relu(self.deep(x)))
        return self.last(self.a(y) * self.b(y) + y).sigmoid()


@pytest.fixture(scope="module")
def images():
    return torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def quantized(images, **options):
    return tw.quantize_with_report(Products().eval(), [images], **options)


@pytest.fixture(scope="module")
def named(images):
    """The network with the product and what shares its grid in 16 bits."""
    return quantized(images, wide_layers=["mul"])


def layers(result):
    """Return bits and dB of each layer; of several of a name, of the first."""
    return {x.name: (x.bits, x.snr_db) for x in reversed(result.report.layers)}


def same_everywhere(model, images):
    """Compile and run; return the program and its results, which golden and isa agree on."""
    program = tw.compile(model, images[:1], TARGET)
    golden, isa = (tw.simulate(program, images[:2], backend=b) for b in ("golden", "isa"))
    for a, b in zip(golden.outputs, isa.outputs, strict=True):
        assert (a == b).all()
    return program, isa.dequantized()


def test_layers_that_stay_below_have_16_bits(images):
    bytes_only, wide = quantized(images), quantized(images, wide_below_db=45)
    before, after = layers(bytes_only), layers(wide)
    assert {bits for bits, _ in before.values()} == {8}
    # What is multiplied, and what a table reads or makes, is bytes.
    assert {name for name, (bits, _) in after.items() if bits == 8} == {"a", "b", "last", "sigmoid"}
    for name in ("add", "mul"):
        assert after[name][1] > before[name][1] + 8
    # What is left is the table's own.
    assert wide.report.output_snr_db > bytes_only.report.output_snr_db + 2
    program, (found,) = same_everywhere(wide.model, images)
    wanted = wide.model.double()(images[:2].double()).detach().numpy()
    assert np.abs(found - wanted).max() <= 1.01 * program.result_types[0].scale


def test_named_layers_have_16_bits(named, images):
    found = layers(named)
    # The sum's other operand shares its grid.
    assert {name for name, (bits, _) in found.items() if bits > 8} == {"mul", "add"}
    same_everywhere(named.model, images)


def test_what_cannot_be_wide_is_named(named, images):
    with pytest.raises(tw.Error, match=r"no layer 'other'.*there are x, first, point"):
        quantized(images, wide_layers=["other"])
    with pytest.raises(UnsupportedError, match=r"^a: more than 8 bits, which mul \(Binary\)"):
        quantized(images, wide_layers=["a"])
    narrow = replace(TARGET, engine=replace(TARGET.engine, wide_maps=False))
    with pytest.raises(UnsupportedError, match=r"16 bits.*take an engine with wide_maps=True"):
        tw.compile(named.model, images[:1], narrow)


class ByHand(nn.Module):
    """Brevitas' quantizers of 16 bits, signed and unsigned, behind layers of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        as_quant = {"return_quant_tensor": True}
        weights = {"weight_bit_width": 8, "bias": False, **as_quant}
        self.x = qnn.QuantIdentity(bit_width=8, **as_quant)
        self.dense = qnn.QuantConv2d(3, 12, 3, padding=1, **weights)
        self.relu = qnn.QuantReLU(bit_width=16, **as_quant)
        self.deep = qnn.QuantConv2d(12, 12, 3, padding=1, stride=2, groups=12, **weights)
        self.middle = qnn.QuantIdentity(bit_width=16, **as_quant)
        self.point = qnn.QuantConv2d(12, 8, 1, **weights)
        self.last = qnn.QuantIdentity(bit_width=16, **as_quant)

    def forward(self, x):
        x = self.relu(self.dense(self.x(x)))
        return self.last(self.point(self.middle(self.deep(x)))).value


def test_brevitas_by_hand_is_exact(images):
    model = ByHand()
    for _ in range(30):
        model(images)
    model.eval()
    program, (found,) = same_everywhere(model, images)
    wanted = model.double()(images[:2].double()).detach().numpy()
    assert {kind.bits for kind in program.graph.values.values()} == {8, 16}
    assert np.abs(found - wanted).max() < 1e-6 * program.result_types[0].scale
