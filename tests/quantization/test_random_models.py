"""Random float networks: the integers are the module as it was given, to 30 dB.

``RANDOM_MODELS=500 python -m pytest -s tests/quantization/test_random_models.py`` draws as many as
wanted, other ones each time; ``python -m tests.quantization.test_random_models 0:500`` takes seeds.
"""

import math
import os
import random
import sys

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings

import tilewright as tw
from tests.quantization.random_models import SIZE, RandomModel, models, random_steps

COUNT = int(os.environ.get("RANDOM_MODELS", "8"))
LEAST_DB, IMAGES = 30, 64
torch.set_num_threads(1)


def ratio_of(model: RandomModel, seed: int) -> tuple[float, tw.QuantizationReport]:
    """Return how far the integers of a network are from its floats, in dB."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(IMAGES, 3, SIZE, SIZE, generator=generator)
    quantized = tw.quantize_with_report(model, [images], least_snr_db=-math.inf)
    with torch.no_grad():
        wanted, have = (m(images).numpy() for m in (model, quantized.model))
    assert have.shape == wanted.shape
    noise = ((wanted - have) ** 2).sum()
    ratio = 10 * np.log10((wanted**2).sum() / noise) if noise else math.inf
    return float(ratio), quantized.report


@settings(
    max_examples=COUNT,
    deadline=None,
    derandomize="RANDOM_MODELS" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(models())
def test_integers_are_the_module_as_given(drawn) -> None:
    model, seed = drawn
    ratio, report = ratio_of(model, seed)
    assert ratio >= LEAST_DB, f"{model.steps} seed {seed}: {ratio:.1f} dB\n{report}"


def main(seeds: str) -> None:
    """Quantize the networks of some seeds, as in ``0:500``, and print the worst."""
    first, end = map(int, seeds.split(":"))
    found = []
    for seed in range(first, end):
        generator = random.Random(seed)
        model = RandomModel(random_steps(generator), seed)
        ratio, _ = ratio_of(model, seed)
        found.append(ratio)
        if ratio < LEAST_DB:
            print(
                f"seed {seed}: {ratio:.1f} dB, {[(s.kind, s.option) for s in model.steps]}",
                flush=True,
            )
        if len(found) % 5 == 0:
            print(f"{len(found)} networks, the lowest {min(found):.1f} dB", flush=True)
    missed = sum(ratio < LEAST_DB for ratio in found)
    low = np.percentile([min(r, 99.0) for r in found], [0, 5, 50]).round(1).tolist()
    print(f"{len(found)} networks, {missed} below {LEAST_DB} dB; lowest, 5 %, median: {low}")
    raise SystemExit(missed > 0)


if __name__ == "__main__":
    main(sys.argv[1])
