"""Random float networks: the integers are the module as it was given, to 30 dB."""

import math
import os

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings

import tilewright as tw
from tests.quantization.random_models import SIZE, models

COUNT = int(os.environ.get("RANDOM_MODELS", "8"))
torch.set_num_threads(1)


@settings(
    max_examples=COUNT,
    deadline=None,
    derandomize="RANDOM_MODELS" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(models())
def test_integers_are_the_module_as_given(drawn) -> None:
    model, seed = drawn
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(24, 3, SIZE, SIZE, generator=generator)
    quantized = tw.quantize_with_report(model, [images], least_snr_db=-math.inf)
    with torch.no_grad():
        wanted = model(images).numpy()
        have = quantized.model(images).numpy()
    assert have.shape == wanted.shape
    ratio = 10 * np.log10((wanted**2).sum() / ((wanted - have) ** 2).sum())
    assert ratio >= 30, f"{model.steps} seed {seed}: {ratio:.1f} dB\n{quantized.report}"
