"""Channels are scaled before norms, which change by nothing but rounding."""

import pytest
import torch
from torch import nn

from tilewright.compiler.importers.export import import_module
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.passes import balanced, balances, prepared
from tilewright.quantization.observe import evened

torch.set_num_threads(1)
SEED, CHANNELS = 32, 8
NORMS = {
    "instance": (lambda: nn.InstanceNorm2d(CHANNELS, affine=True), (CHANNELS, 5, 6)),
    "group": (lambda: nn.GroupNorm(2, CHANNELS), (CHANNELS, 5, 6)),
    "sequence": (lambda: nn.InstanceNorm1d(CHANNELS), (CHANNELS, 9)),
    "volume": (lambda: nn.InstanceNorm3d(CHANNELS), (CHANNELS, 3, 4, 5)),
}


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("smallest", [0.3, 1e-3, 0.0])
def test_results_stay(name: str, smallest: float) -> None:
    torch.manual_seed(SEED)
    make, shape = NORMS[name]
    model, x = make().eval(), torch.randn(4, *shape)
    x *= torch.linspace(smallest, 3, CHANNELS).reshape(-1, *(1,) * (len(shape) - 1))
    with torch.no_grad():
        wanted = model.double()(x.double())
        graph = prepared(import_module(model.float(), [x]).graph)
        assert len(balances(graph)) == 1
        for after in (evened(graph, [x.double()]), balanced(graph, {})):
            assert not any(isinstance(op, q.Balance | q.Regularized) for op in after.ops)
            have = after.outputs[0].of(after.values([x.double()]))
            assert float((have - wanted).abs().max()) < 1e-4, (name, smallest)
    (first,) = balances(graph)
    scaled = next(op for op in evened(graph, [x]).ops if op.output == first.output)
    assert isinstance(scaled, q.Affine)
    assert float(scaled.scale.max() / scaled.scale.min()) > 1.3


def test_like_channels_are_left_alone() -> None:
    torch.manual_seed(SEED)
    x = torch.randn(4, CHANNELS, 20, 20)
    graph = prepared(import_module(nn.InstanceNorm2d(CHANNELS).eval(), [x]).graph)
    assert len(evened(graph, [x]).ops) == len(balanced(graph, {}).ops)
