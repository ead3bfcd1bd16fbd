"""Pruned weights: which they are, that they stay zero, and that they cost no cycles."""

import pytest
import torch
from torch import nn

import tilewright as tw
from tilewright.errors import Error
from tilewright.nn import prune

torch.set_num_threads(1)
SEED = 30


@pytest.mark.parametrize("shape", ["taps", "blocks", "groups"])
def test_least_pieces_are_zero(shape):
    torch.manual_seed(SEED)
    conv, rows, keep = nn.Conv2d(6, 9, (3, 5)), 4, 0.25
    before = conv.weight.detach().clone()
    pruned = prune(nn.Sequential(conv, nn.Conv2d(9, 9, 1, groups=9)), keep, rows=rows, shape=shape)
    assert list(pruned.masks) == [conv]
    size = {"taps": (9, 6, 1, 1), "blocks": (4, 4, 1, 1), "groups": (4, 4, 3, 5)}[shape]
    pieces = {}
    for place in torch.cartesian_prod(*map(torch.arange, before.shape)).tolist():
        key = tuple(p // s for p, s in zip(place, size, strict=True))
        value = tuple(place)
        pieces.setdefault(key, []).append((float(before[value]) ** 2, float(conv.weight[value])))
    kept = {key for key, values in pieces.items() if any(now for _, now in values)}
    assert len(kept) == max(1, round(keep * len(pieces)))
    totals = {key: sum(old for old, _ in values) for key, values in pieces.items()}
    assert min(totals[key] for key in kept) > max(totals[key] for key in totals if key not in kept)
    zero = conv.weight == 0
    assert pruned.kept() == pytest.approx(1 - float(zero.float().mean()))
    torch.testing.assert_close(conv.weight[~zero], before[~zero])
    # Training goes on.
    optimizer = torch.optim.SGD(conv.parameters(), lr=0.1)
    conv(torch.randn(1, 6, 5, 7)).square().sum().backward()
    optimizer.step()
    pruned.zero()
    assert bool((conv.weight[zero] == 0).all())
    assert bool((conv.weight[~zero] != before[~zero]).any())


def test_cycles_follow_the_taps():
    torch.manual_seed(SEED)
    engine = tw.EngineConfig(rows=4, cols=4, act_depth=1024, weight_depth=4096, out_depth=256)
    model, x = nn.Conv2d(32, 4, 11, padding=5).eval(), torch.randn(1, 32, 6, 8)
    cycles = {}
    for keep in (1, 0.09):
        if keep < 1:
            prune(model, keep, rows=4)
        program = tw.compile(tw.quantize(model, [x]), x, tw.Target(engine=engine))
        cycles[keep] = tw.simulate(program, x).cycles
    assert cycles[1] > 4 * cycles[0.09]


def test_refused():
    conv = nn.Conv2d(2, 2, 1)
    for options, message in (
        ({"keep": 0.0}, "keep must be above 0"),
        ({"keep": 0.5, "rows": 0}, "rows must be at least 1"),
        ({"keep": 0.5, "shape": "columns"}, "shape must be"),
        ({"keep": 0.5}, "no convolution of the model has taps"),
    ):
        with pytest.raises(Error, match=message):
            prune(conv, **options)
