"""Example networks at reduced size: accuracy after quantization, exactness on every executor."""

import math

import numpy as np
import pytest
import torch

import tilewright as tw
from examples.networks import NETWORKS
from tests.cosim.engines import ENGINES
from tilewright.compiler.importers.brevitas import float64_outputs
from tilewright.quantization import quantize_with_report

torch.set_num_threads(1)

# Multipliers of 31 bits: nothing but a tie could tell the integer graph from PyTorch.
ENGINE = ENGINES["8x7-bus32"]

# Width, input size, and the least signal-to-noise ratio of a layer in dB. Errors add up from layer
# to layer, and random weights do not forgive them as trained ones do.
REDUCED = {
    "resnet18": (1 / 8, (32, 32), 20),
    "resnet50": (1 / 8, (32, 32), 14),
    "mobilenet_v2": (1 / 4, (32, 32), 12),
    "mobilenet_v3_small": (1 / 4, (32, 32), 10),
    "mobilenet_v1_025": (1 / 4, (32, 32), 16),
    "ds_cnn": (1 / 2, (24, 10), 25),
    "shufflenet_v2": (1 / 4, (32, 32), 16),
    "convnext_femto": (1 / 6, (32, 32), 16),
    "inceptionnext_atto": (1 / 5, (32, 32), 14),
    "espcn": (1 / 4, (9, 14), 25),
    "unet": (1 / 16, (32, 32), 25),
    "atrous_pyramid": (1 / 8, (32, 32), 25),
    "fastdepth": (1 / 8, (32, 32), 14),
    "ssd_mobilenet_v1": (1 / 8, (64, 64), 9),
    "vgg16": (1 / 16, (32, 32), 16),
    "efficientnet_b0": (1 / 4, (32, 32), 10),
    "yolo": (1 / 2, (64, 64), 10),
    "fast_scnn": (1 / 4, (64, 64), 14),
    "espcn_1080": (1 / 4, (9, 14), 25),
    "stunet": (1 / 4, (16, 16), 16),
    "r2plus1d": (1 / 4, (16, 16), 16),
    "scnn": (1 / 8, (32, 40), 25),
    "hornet": (1 / 4, (64, 64), 8),
    "convnext_normed": (1 / 6, (64, 64), 16),
    "cvt": (1 / 4, (32, 32), 16),
    "moat": (1 / 4, (32, 48), 20),
    "lfm2": (1 / 2, (40, 48), 16),
    "tvconv": (1 / 2, (24, 24), 25),
}

# Those with products of maps, norms or attention, whose results keep 25 dB on other images.
KINDS = ("hornet", "convnext_normed", "cvt", "moat", "lfm2", "tvconv")


# One with shortcuts, one with depthwise layers, one that is not an image: half a minute of three.
QUICK = {"resnet18", "mobilenet_v1_025", "ds_cnn"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.exhaustive)
        for name in NETWORKS
    ],
)
def test_network_agrees_everywhere(name):
    width, size, least_snr_db = REDUCED[name]
    network = NETWORKS[name].reduced(width=width, size=size)
    quantized = quantize_with_report(network.build(), network.calibration(1))
    report = quantized.report
    assert all(layer.snr_db >= least_snr_db for layer in report.layers), str(report)
    images = network.images(1)
    program = tw.compile(quantized.model, images, tw.Target(engine=ENGINE))
    verified = tw.verify(program, images)
    golden = verified.results["golden"].outputs
    expected = float64_outputs(quantized.model, images, program.graph)
    for have, want in zip(golden, expected, strict=True):
        np.testing.assert_array_equal(have, want.reshape(have.shape))
        assert len(np.unique(have)) > 1


@pytest.mark.parametrize(
    "name",
    [
        name if name == "lfm2" else pytest.param(name, marks=pytest.mark.exhaustive)
        for name in KINDS
    ],
)
def test_results_keep_25_db(name):
    width, size, _ = REDUCED[name]
    network = NETWORKS[name].reduced(width=width, size=size)
    model, images = network.build(), network.images(16)
    quantized = tw.quantize(model, network.calibration(4, 16), least_snr_db=-math.inf)
    program = tw.compile(quantized, images[:1], tw.Target(engine=ENGINE))
    golden = tw.simulate(program, images, backend="golden")
    isa = tw.simulate(program, images[:1])
    np.testing.assert_array_equal(isa.outputs[0], golden.outputs[0][:1])
    with torch.no_grad():
        wanted = model(images).numpy()
    error = wanted - golden.dequantized()[0].reshape(wanted.shape)
    assert 10 * np.log10((wanted**2).sum() / (error**2).sum()) >= 25


def test_networks_are_the_published_ones():
    """As many parameters as in the literature."""
    millions = {
        "resnet18": 11.69,
        "resnet50": 25.56,
        "mobilenet_v2": 3.50,
        "mobilenet_v3_small": 2.54,
        "shufflenet_v2": 2.28,
        "convnext_femto": 5.22,
        "vgg16": 138.37,
        "efficientnet_b0": 5.29,
        "yolo": 3.16,
    }
    for name, expected in millions.items():
        model = NETWORKS[name].architecture()
        parameters = sum(p.numel() for p in model.parameters()) / 1e6
        assert parameters == pytest.approx(expected, abs=0.01)


def test_building_is_repeatable():
    network = NETWORKS["ds_cnn"].reduced(width=1 / 4, size=(16, 8))
    state = torch.get_rng_state()
    first, second = network.build().state_dict(), network.build().state_dict()
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[key], second[key]) for key in first)
