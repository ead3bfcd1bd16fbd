"""Volumes: what modules compute, what the engine computes, and in which time."""

import numpy as np
import pytest
import torch
from torch import nn

import tilewright as tw
from tilewright.compiler.importers.export import import_module
from tilewright.errors import UnsupportedError

torch.set_num_threads(1)
SEED = 29
ENGINE = tw.EngineConfig(rows=4, cols=4, act_depth=2048, weight_depth=8192, out_depth=512, tables=1)


def random_module(rng: np.random.Generator) -> tuple[nn.Module, torch.Tensor]:
    """Return a convolution or a pool of any numbers, and its input."""
    one = lambda low, high: tuple(int(v) for v in rng.integers(low, high + 1, 3))  # noqa: E731
    kernel, stride, groups = one(1, 3), one(1, 2), int(rng.integers(1, 3))
    channels = groups * int(rng.integers(1, 3))
    x = torch.randn(2, channels, *one(5, 8))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    match rng.integers(0, 5):
        case 0:
            module: nn.Module = nn.Conv3d(
                channels, 2 * groups, kernel, stride, padding, one(1, 2), groups
            )
        case 1:
            beyond = tuple(int(rng.integers(0, s)) for s in stride)
            module = nn.ConvTranspose3d(
                channels, 3 * groups, kernel, stride, padding, beyond, groups
            )
        case 2:
            module = nn.MaxPool3d(kernel, stride, padding, ceil_mode=bool(rng.integers(2)))
        case 3:
            ceil, count = (bool(b) for b in rng.integers(0, 2, 2))
            module = nn.AvgPool3d(kernel, stride, padding, ceil, count)
        case _:
            module = nn.AdaptiveAvgPool3d(one(1, 4))
    return nn.Sequential(module, nn.ReLU()), x


@pytest.mark.parametrize("number", range(40))
def test_graph_computes_what_the_module_does(number: int) -> None:
    torch.manual_seed(SEED + number)
    module, x = random_module(np.random.default_rng(SEED + number))
    module = module.double().eval()
    with torch.no_grad():
        expected = module(x.double())
        graph = import_module(module.float(), [x]).graph
        values = graph.values([x.double()])
    view = graph.outputs[0]
    (have,) = (values[name] for name in view.sources)
    assert view.index is None, module
    assert view.shape == expected.shape[1:], module
    torch.testing.assert_close(have.reshape(expected.shape), expected, atol=1e-6, rtol=0)


class Skip(nn.Module):
    """Down and up again, beside what went down."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down = nn.Conv3d(2, 4, 3, padding=1), nn.Conv3d(4, 8, 3, 2, 1)
        self.norm, self.up = nn.BatchNorm3d(8), nn.ConvTranspose3d(8, 4, 2, 2)
        self.last = nn.Conv3d(8, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        y = torch.relu(self.up(torch.relu(self.norm(self.down(x)))))
        return self.last(torch.cat([x, y], 1))


NETWORKS = {
    "skip": (Skip, (2, 4, 6, 6)),
    "factorized": (
        lambda: nn.Sequential(
            nn.Conv3d(3, 8, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.Conv3d(8, 8, (3, 1, 1), padding=(1, 0, 0)),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        ),
        (3, 6, 9, 9),
    ),
    "depthwise": (
        lambda: nn.Sequential(
            nn.Conv3d(4, 4, 3, padding=1, groups=4), nn.ReLU(), nn.AvgPool3d(3, 2, 1)
        ),
        (4, 5, 6, 6),
    ),
    "interpolated": (
        lambda: nn.Sequential(
            nn.Conv3d(2, 4, 1), nn.Upsample(scale_factor=2, mode="trilinear"), nn.Conv3d(4, 2, 1)
        ),
        (2, 3, 4, 4),
    ),
    "repeated": (
        lambda: nn.Sequential(nn.Conv3d(2, 4, 1), nn.Upsample(scale_factor=2), nn.Conv3d(4, 2, 1)),
        (2, 3, 4, 4),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_run_on_the_engine(name: str) -> None:
    torch.manual_seed(SEED)
    make, shape = NETWORKS[name]
    model, x = make().eval(), torch.randn(4, *shape)
    with torch.no_grad():
        expected = model(x[:1]).numpy()
    program = tw.compile(tw.quantize(model, [x]), x, tw.Target(engine=ENGINE))
    golden, isa = (tw.simulate(program, x[:1], backend=b) for b in ("golden", "isa"))
    np.testing.assert_array_equal(golden.outputs[0], isa.outputs[0])
    have = isa.dequantized()[0]
    assert have.shape == expected.shape
    noise = ((have - expected) ** 2).sum() / (expected**2).sum()
    assert noise < 10**-2.5, f"{-10 * np.log10(noise):.1f} dB"


def test_time_follows_the_slices_that_a_kernel_has() -> None:
    """Between slices that are too far apart no step is spent."""
    torch.manual_seed(SEED)
    cycles = {}
    for slices in (4, 8):
        model, x = nn.Conv3d(4, 4, 3, padding=1), torch.randn(2, 4, slices, 8, 8)
        program = tw.compile(tw.quantize(model, [x]), x, tw.Target(engine=ENGINE))
        cycles[slices] = tw.simulate(program, x[:1]).cycles
    # Slices that are next to another: 10 of 4, 22 of 8; channels are put in order in the first.
    assert cycles[8] < 2.4 * cycles[4]


def test_too_many_weights_between_slices() -> None:
    model = nn.Conv3d(256, 256, 3, padding=1)
    with pytest.raises(UnsupportedError, match="Give the model fewer slices at once"):
        import_module(model.eval(), [torch.zeros(1, 256, 16, 4, 4)])
