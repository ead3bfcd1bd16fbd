"""Float networks on an engine, beside the module as it was given."""

import numpy as np
import torch
from torch import nn

import tilewright as tw


def check_on_engine(
    model: nn.Module, images: torch.Tensor, engine: tw.EngineConfig, least: float, label: str
) -> None:
    """Compare isa with golden, and both with the module: at least so many dB."""
    quantized = tw.quantize(model, [images])
    program = tw.compile(quantized, images, tw.Target(engine=engine))
    with torch.no_grad():
        expected = model(images[:1]).numpy()
    results = [tw.simulate(program, images[:1], backend=name) for name in ("golden", "isa")]
    assert np.array_equal(results[0].outputs[0], results[1].outputs[0])
    have = results[0].dequantized()[0]
    assert have.shape == expected.shape
    ratio = 10 * np.log10((expected**2).sum() / ((expected - have) ** 2).sum())
    assert ratio > least, f"{label}: {ratio:.1f} dB\n{quantized}"
