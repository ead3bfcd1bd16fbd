"""Networks as a user has them, and programs of them."""

import numpy as np
import pytest

import tilewright as tw
from tests.cli.run import invoke
from tests.cosim.engines import ENGINES
from tilewright.cli.files import load_model

NET = """
import brevitas.nn as qnn
import torch
from brevitas.quant import (
    Int8ActPerTensorFixedPoint, Int8WeightPerTensorFixedPoint, Int32Bias,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn


def make():
    torch.manual_seed(0)
    net = nn.Sequential(
        qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True),
        qnn.QuantConv2d(3, 5, 3, padding=1, weight_quant=Int8WeightPerTensorFixedPoint,
                        bias_quant=Int32Bias),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True),
    )
    inputs = torch.randn(2, 3, 6, 6)
    net(inputs)
    return net.eval(), inputs


def only_a_model():
    return make()[0]


not_a_function = 3
"""

FLOAT_NET = """
import torch
from torch import nn

from blocks import Pair


def make():
    torch.manual_seed(0)
    return Pair().eval(), [(torch.randn(8, 6), torch.randn(8, 2, 5)) for _ in range(2)]


def one_batch():
    return make()[0], make()[1][0]


def classifier():
    torch.manual_seed(0)
    return nn.Linear(6, 7).eval(), torch.randn(40, 6)
"""

BLOCKS = """
import torch
from torch import nn


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(6, 4)
        self.conv = nn.Conv1d(2, 3, 3)

    def forward(self, features, sequence):
        return torch.relu(self.dense(features)), self.conv(sequence)
"""


@pytest.fixture(scope="session")
def net(tmp_path_factory):
    """Return a file with a network of Brevitas layers."""
    path = tmp_path_factory.mktemp("net") / "net.py"
    path.write_text(NET)
    return path


@pytest.fixture(scope="session")
def program(net):
    """Return its program for the default board."""
    path = net.parent / "net.tw"
    output = invoke("compile", f"{net}:make", "-o", path)
    assert "1 layers" in output
    return path


@pytest.fixture(scope="session")
def small(net):
    """Return its program for an engine that the suite builds anyway."""
    model, inputs = load_model(f"{net}:make")
    target = tw.Target(engine=ENGINES["4x4-bus64"])
    return tw.compile(model, inputs, target).save(net.parent / "small.tw")


@pytest.fixture(scope="session")
def float_net(tmp_path_factory):
    """Return a file with a float network of two inputs and two results, from a file beside it."""
    folder = tmp_path_factory.mktemp("float")
    (folder / "blocks.py").write_text(BLOCKS)
    path = folder / "float_net.py"
    path.write_text(FLOAT_NET)
    return path


@pytest.fixture(scope="session")
def quantized(float_net):
    """Return it quantized, and what the command printed."""
    path = float_net.parent / "q.pt"
    return path, invoke("quantize", f"{float_net}:make", "-o", path)


@pytest.fixture(scope="session")
def pair(quantized):
    """Return the program of the network of two inputs."""
    path = quantized[0].parent / "pair.tw"
    invoke("compile", quantized[0], "-o", path, "--set", "rows=4", "--set", "cols=4")
    return path


@pytest.fixture(scope="session")
def pair_inputs(pair):
    """Return a file of its inputs, by name."""
    rng = np.random.default_rng(4)
    path = pair.parent / "pair.npz"
    sequence, features = rng.normal(size=(3, 2, 5)), rng.normal(size=(3, 6))
    np.savez(path, sequence=sequence, features=features)
    return path
