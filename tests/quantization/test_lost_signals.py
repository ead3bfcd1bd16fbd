"""Values that are not finite, parts of results that share a grid, and what is scaled too often."""

import random

import pytest
import torch
from torch import nn

import tilewright as tw
from tests.quantization.test_random_models import LEAST_DB, RandomModel, random_steps, ratio_of
from tilewright.compiler.quantized import ops as q

SEED = 3


class Behind(nn.Module):
    """A convolution and a function of what it gives."""

    def __init__(self, function) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 4, 3), function

    def forward(self, x):
        return self.function(self.conv(x))


@pytest.mark.parametrize("function", [torch.sqrt, torch.log, lambda x: 1 / (x * 0)])
def test_values_that_are_not_finite_name_the_layer(function) -> None:
    """It was a RuntimeError from torch.histc."""
    torch.manual_seed(SEED)
    with pytest.raises(tw.Error, match=r"^(sqrt|log|reciprocal): calibration images lead to"):
        tw.quantize(Behind(function), [torch.randn(4, 3, 6, 6)])


def test_parts_of_a_result_leave_the_engine_apart() -> None:
    """Boxes in pixels beside scores left 13 dB of the scores, and were refused."""
    torch.manual_seed(SEED)
    images = torch.randn(4, 3, 6, 6)
    model = Behind(lambda x: torch.cat([x[:, :2].exp() * 99, x[:, 2:].sigmoid()], 1).flatten(2))
    with pytest.raises(tw.Error, match="parts of a result share one grid"):
        tw.quantize(model, [images], host="never")
    result = tw.quantize_with_report(model, [images])
    assert len(result.report.outputs_snr_db) == 2
    with torch.no_grad():
        wanted, have = model(images), result.model(images)
    noise = (wanted[:, 2:] - have[:, 2:]).square().sum()
    assert 10 * torch.log10(wanted[:, 2:].square().sum() / noise) > 28


def test_what_a_factor_multiplies_has_a_zero_point() -> None:
    torch.manual_seed(SEED)
    model = Behind(
        lambda x: (y := torch.relu(x) - 0.1) * torch.sigmoid(y.mean((2, 3))[..., None, None])
    )
    graph = tw.quantize(model, [torch.randn(8, 3, 6, 6)]).graph
    (gate,) = [op for op in graph.ops if isinstance(op, q.Binary) and op.function == "mul"]
    grids = [graph.tensors[name].quantization for name in gate.inputs]
    assert sorted(grid.zero_point != 0 for grid in grids) == [False, True]


@pytest.mark.parametrize("seed", [212, 240, 405])
def test_networks_that_were_below(seed) -> None:
    """A copy had too large a factor; a gate no zero point; a scaled sum was rounded twice."""
    ratio, report = ratio_of(RandomModel(random_steps(random.Random(seed)), seed), seed)
    assert ratio >= LEAST_DB, f"seed {seed}\n{report}"
