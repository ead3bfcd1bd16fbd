"""Transforms as the engine's terms: proven, and what they need."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tilewright.compiler.winograd.terms import axis, tiling, tilings
from tilewright.compiler.winograd.transform import TransformError


def test_every_axis_is_proven_and_a_wrong_one_is_not():
    for m in range(1, 5):
        for r in range(1, 8):
            for stride in range(1, 5):
                found = axis(m, r, stride)
                if found is not None:
                    found.prove(stride)
    wrong = axis(4, 3, 1)
    term = replace(wrong.terms[2], scale=wrong.terms[2].scale + 1)
    with pytest.raises(TransformError, match="result 0 is wrong"):
        replace(wrong, terms=(*wrong.terms[:2], term, *wrong.terms[3:])).prove(1)


@pytest.mark.parametrize(
    ("m", "terms", "data", "kernel"),
    [((4, 1), 18, 12, 11), ((2, 2), 16, 10, 12), ((4, 2), 24, 13, 13)],
)
def test_tiles_of_a_3x3_kernel_need_what_is_written_about_them(m, terms, data, kernel):
    found = tiling(m, (3, 3), (1, 1))
    weight = (
        np.full((1, 1, 3, 3), 127) * np.sign(np.stack([t.kernel for t in found.terms]))[:, None]
    )
    largest = max(abs(int(found.transform_kernels(w[None])[i].max())) for i, w in enumerate(weight))
    assert len(found.terms) == terms
    assert max(term.data_bits(-128, 127) for term in found.terms) == data
    assert largest.bit_length() + 1 == kernel


def test_terms_add_up_to_the_convolution_of_torch():
    rng = np.random.default_rng(0)
    for kernel, stride in (((3, 3), (1, 1)), ((5, 5), (2, 2)), ((1, 5), (1, 1)), ((4, 3), (3, 2))):
        for found in tilings(kernel, stride):
            size = [s * (m - 1) + k for m, k, s in zip(found.m, kernel, stride, strict=True)]
            data, weight = rng.integers(-128, 128, size), rng.integers(-127, 128, (1, 1, *kernel))
            total = np.zeros(found.m, object)
            kernels = found.transform_kernels(weight)
            for term, factor in zip(found.terms, kernels.reshape(-1), strict=True):
                rows = term.first[0] + term.step[0] * np.arange(term.taps[0])
                columns = term.first[1] + term.step[1] * np.arange(term.taps[1])
                window = (data[np.ix_(rows, columns)].reshape(-1) * term.coefficients).sum()
                for k, j in np.ndindex(*found.m):
                    if term.rows.used >> k & 1 and term.columns.used >> j & 1:
                        shift = term.rows.scale + term.columns.scale
                        shift += k * term.rows.shift + j * term.columns.shift
                        signs = term.negative + k * term.rows.sign + j * term.columns.sign
                        total[k, j] += int(window * factor) * (-1) ** signs << shift
            expected = torch.nn.functional.conv2d(
                torch.tensor(data[None, None], dtype=torch.float64),
                torch.tensor(weight, dtype=torch.float64),
                stride=stride,
            )
            divisor = (-3 if found.third else 1) << found.halvings
            assert (total == expected[0, 0].numpy() * divisor).all(), f"{found} {stride}"
