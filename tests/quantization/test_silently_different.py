"""Float networks that came back as silently different ones: each with how it showed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tilewright as tw

SEED = 20261128
ENGINE = tw.EngineConfig(rows=4, cols=4, weight_depth=1024, tables=1, multiplier_width=31)
torch.set_num_threads(1)


def trained(model: nn.Module) -> nn.Module:
    """Give batch norms statistics of their own."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias, 0.0, 0.5)
            nn.init.normal_(module.running_mean, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.1, 1.0)
    return model.eval()


def snr_db(model: nn.Module, images: Tensor) -> tuple[float, tw.QuantizationReport]:
    """Least ratio of a compiled network against the module as it was given, and what was said."""
    quantized = tw.quantize_with_report(model, [images])
    program = tw.compile(quantized.model, images, tw.Target(engine=ENGINE))
    with torch.no_grad():
        wanted = model(images)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    ratios = []
    for a, b in zip(
        wanted, tw.simulate(program, images, backend="golden").dequantized(), strict=True
    ):
        assert a.shape == b.shape
        ratios.append(10 * np.log10((a.numpy() ** 2).sum() / ((a.numpy() - b) ** 2).sum()))
    return float(min(ratios)), quantized.report


class SharedConvolution(nn.Module):
    """One convolution with a batch norm per call: 3 dB, and 37 reported."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.a, self.b = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.relu(self.a(self.conv(x)))
        return self.b(self.conv(y)), self.conv(y)


class SharedParameter(nn.Module):
    """Two layers with one Parameter, one of them before a batch norm: 18 dB."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6, bias=False)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.norm(self.first(x.mean((2, 3)).repeat(1, 2)[:, :6]))))


class NormOfConcatenation(nn.Module):
    """Batch norm of a concatenation, with its own eps: 16 dB, and 36 reported."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(8, eps=1.0)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.norm(torch.cat([self.left(x), self.right(x)], 1))))


class PrunedChannels(nn.Module):
    """Channels whose filters are zero, or nearly so, and only have a bias: 0.3 dB."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 3, 1)
        with torch.no_grad():
            self.conv.weight[::2] *= size
            self.conv.bias.copy_(torch.linspace(-3, 3, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.conv(x))


CASES = {
    "shared convolution": SharedConvolution,
    "shared parameter": SharedParameter,
    "norm of concatenation": NormOfConcatenation,
    "pruned": lambda: PrunedChannels(0.0),
    "nearly pruned": lambda: PrunedChannels(1e-12),
}


@pytest.mark.parametrize("case", CASES)
def test_the_compiled_network_is_the_one_given(case) -> None:
    torch.manual_seed(SEED)
    model, images = trained(CASES[case]()), torch.randn(8, 4, 8, 8)
    ratio, report = snr_db(model, images)
    assert ratio > 30, f"seed {SEED}: {report}"
    assert report.output_snr_db == pytest.approx(ratio, abs=0.2), "said against the module given"


class Shapes(nn.Module):
    """Results in shapes that are not (N, C, H, W): ``argmax(1) == labels`` broadcast."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head, self.fc = nn.Conv2d(4, 6, 3), nn.Conv2d(6, 6, 1), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = F.relu(self.conv(x))
        boxes = self.head(y).view(len(x), 2, 3, 6, 6).permute(0, 1, 3, 4, 2)
        return self.fc(y.mean((2, 3))), y.flatten(2), boxes.reshape(len(x), -1, 3)


def test_results_have_the_models_own_shapes(tmp_path) -> None:
    torch.manual_seed(SEED)
    model, images = Shapes().eval(), torch.randn(3, 4, 8, 8)
    quantized = tw.quantize(model, [images])
    program = tw.compile(quantized, images, tw.Target(engine=ENGINE))
    loaded = tw.Program.load(program.save(tmp_path / "net.tw"))
    with torch.no_grad():
        expected = model(images)
    for backend in ("golden", "isa"):
        result = tw.simulate(loaded, images, backend=backend)
        for a, b, c in zip(expected, result.dequantized(), quantized(images), strict=True):
            assert a.shape == b.shape == c.shape
            assert np.allclose(b, c, atol=1e-5)
            assert float((a - c).norm() / a.norm()) < 0.05
    assert (result.dequantized()[0].argmax(1) == expected[0].argmax(1).numpy()).shape == (3,)


@pytest.mark.parametrize("shape", [(6,), (6, 9)])
def test_vectors_and_sequences_are_taken_as_floats_and_as_integers(shape) -> None:
    torch.manual_seed(SEED)
    model = nn.Linear(6, 4) if len(shape) == 1 else nn.Conv1d(6, 4, 3, padding=1)
    images = torch.randn(4, *shape)
    program = tw.compile(tw.quantize(model, [images]), images, tw.Target(engine=ENGINE))
    integers = program.quantize(images)[0].reshape(4, *shape)
    floats = tw.simulate(program, images).outputs[0]
    assert floats.shape == model(images).shape
    assert np.array_equal(floats, tw.simulate(program, integers).outputs[0])
    assert np.array_equal(floats[:1], tw.simulate(program, integers[0]).outputs[0])
    with pytest.raises(tw.Error, match=r"must have shape \(N, 6"):
        tw.simulate(program, integers[:, :5])
