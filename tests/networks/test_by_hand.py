"""A network's layer quantized by hand: as near to the floats, and the same on every executor."""

import numpy as np
import torch

import tilewright as tw
from examples.networks.by_hand import QuantRecursiveGatedConv
from examples.networks.hornet import RecursiveGatedConv
from examples.networks.initialize import initialize
from tests.cosim.engines import ENGINES
from tilewright.compiler.importers.brevitas import float64_outputs

ENGINE = ENGINES["8x7-bus32"]


def test_recursive_gated_convolution():
    model, shape = RecursiveGatedConv(8, 3), (8, 6, 6)
    initialize(model, shape)
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(72, *shape, generator=generator)
    quantized = QuantRecursiveGatedConv(model, 0.3, images[8:])
    images = images[:8]
    program = tw.compile(quantized, images[:1], tw.Target(engine=ENGINE))
    verified = tw.verify(program, images[:1])
    golden = tw.simulate(program, images, backend="golden")
    np.testing.assert_array_equal(verified.results["golden"].outputs[0], golden.outputs[0][:1])
    expected = float64_outputs(quantized, images, program.graph)[0]
    np.testing.assert_array_equal(golden.outputs[0], expected.reshape(golden.outputs[0].shape))
    with torch.no_grad():
        wanted = (images + 0.3 * model(images)).numpy()
    error = wanted - golden.dequantized()[0].reshape(wanted.shape)
    snr = 10 * np.log10((wanted**2).sum() / (error**2).sum())
    assert snr >= 25
