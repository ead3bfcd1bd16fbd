"""Slice-by-slice convolution: the definition, and what quantization makes of it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tilewright as tw
from tilewright.errors import Error
from tilewright.nn import RecurrentConv, recurrence

torch.set_num_threads(1)
SEED = 22


def by_rows(x, weight, bias):
    """Return the recurrence downwards, as the paper writes it."""
    rows = list(x.split(1, 2))
    for i in range(1, len(rows)):
        kernel = weight[:, :, None]
        rows[i] = rows[i] + F.relu(F.conv2d(rows[i - 1], kernel, bias, padding=(0, 1)))
    return torch.cat(rows, 2)


@pytest.mark.parametrize("direction", ["down", "up", "right", "left"])
def test_directions_are_the_papers(direction):
    torch.manual_seed(SEED)
    layer = RecurrentConv(4, 3, direction, bias=True)
    x = torch.randn(2, 4, 5, 6)
    turn = {
        "down": lambda y: y,
        "up": lambda y: y.flip(2),
        "right": lambda y: y.transpose(2, 3),
        "left": lambda y: y.flip(3).transpose(2, 3),
    }[direction]
    back = (lambda y: y.transpose(2, 3).flip(3)) if direction == "left" else turn
    torch.testing.assert_close(layer(x), back(by_rows(turn(x), layer.weight, layer.bias)))
    assert layer(x).requires_grad


def test_quantized_it_is_one_layer_that_keeps_its_signal(tmp_path):
    torch.manual_seed(SEED)
    layers = [RecurrentConv(8, 5, d) for d in ("down", "up", "right", "left")]
    for layer in layers:
        layer.weight.data *= 0.5
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *layers, nn.Conv2d(8, 2, 1))
    model, x = model.eval(), torch.randn(3, 3, 6, 7)
    path = tw.quantize(model, [x]).save(tmp_path / "net.q.pt")
    quantized = tw.QuantizedModel.load(path)
    target = tw.Target(engine=tw.EngineConfig(rows=8, cols=4, act_depth=512, out_depth=128))
    program = tw.compile(quantized, x[:1], target)
    golden, isa = (tw.simulate(program, x[:1], backend=b) for b in ("golden", "isa"))
    np.testing.assert_array_equal(golden.outputs[0], isa.outputs[0])
    kinds = [op.kind for op in program.graph.layers]
    assert kinds == ["Conv2d", *["Recurrence"] * 4, "Conv2d"]
    with torch.no_grad():
        wanted = model(x[:1]).numpy()
        own = quantized(x[:1]).numpy()
    found = golden.dequantized()[0]
    assert 10 * np.log10((wanted**2).sum() / ((found - wanted) ** 2).sum()) > 30
    # What tw.quantize returns is the integers' meaning.
    step = program.graph.values[program.graph.outputs[0].input].scale
    assert np.abs(own - found).max() < 2 * step


def test_refused():
    x, weight = torch.zeros(1, 2, 3, 3), torch.zeros(2, 2, 3)
    for made, message in (
        (lambda: RecurrentConv(2, 4), "kernel must be odd"),
        (lambda: RecurrentConv(2, 3, "round"), "direction must be"),
        (lambda: recurrence(x, weight, direction="round"), "direction must be"),
        (lambda: recurrence(x[0], weight), "takes x of"),
        (lambda: recurrence(x, torch.zeros(2, 2, 2)), "an odd T"),
    ):
        with pytest.raises(Error, match=message):
            made()
